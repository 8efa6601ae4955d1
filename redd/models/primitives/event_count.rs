//! The event count under loom, in which no wait times out.

use std::time::Duration;

/// The number of notifications when a thread prepared to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitKey(u32);

/// The event count, as a mutex and a condition variable.
#[derive(Debug)]
pub(crate) struct EventCount {
    inner: loom::sync::Mutex<Inner>,
    changed: loom::sync::Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    notified: u32,
    waiters: u32,
    /// Wake-ups that no waiter has consumed yet.
    woken: u32,
}

impl Default for EventCount {
    fn default() -> Self {
        Self { inner: loom::sync::Mutex::new(Inner::default()), changed: loom::sync::Condvar::new() }
    }
}

impl EventCount {
    fn lock(&self) -> loom::sync::MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    pub(crate) fn prepare_wait(&self) -> WaitKey {
        WaitKey(self.lock().notified)
    }

    pub(crate) fn wait(&self, key: WaitKey, _timeout: Option<Duration>) -> bool {
        let mut inner = self.lock();
        if inner.notified != key.0 {
            return false;
        }
        inner.waiters += 1;
        while inner.woken == 0 {
            inner = self.changed.wait(inner).expect("nothing panics under this lock");
        }
        inner.woken -= 1;
        true
    }

    pub(crate) fn is_notified_since(&self, key: WaitKey) -> bool {
        self.prepare_wait().0 != key.0
    }

    pub(crate) fn notify_one(&self) -> bool {
        let mut inner = self.lock();
        inner.notified += 1;
        let wakes = inner.waiters > 0;
        if wakes {
            inner.waiters -= 1;
            inner.woken += 1;
            self.changed.notify_all();
        }
        wakes
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.lock().waiters > 0
    }
}

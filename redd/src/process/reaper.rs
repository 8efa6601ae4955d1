//! How the end of a process is learned, and how processes are reaped after their [`Child`](super::Child) was dropped.
//!
//! A pidfd in the driver's epoll reports the end. Without pidfds (before Linux 5.3, or forbidden by a sandbox) `SIGCHLD`
//! does. A dropped child becomes an orphan, an object that is its own waker. It stays registered, and the thread that
//! receives the event reaps the process.
//!
//! Called by `child`.
//!
//! # Invariants
//! - `by-id`: this module waits for single processes by their id, and only for those that it holds. So it takes no exit
//!   status that other code waits for.
//! - `registered-before-checked`: the source is registered before the process is checked. An end after the check makes an
//!   event.
//! - `orphan-or-left-over`: a process that was not waited for is in an orphan, or in `LEFT_OVER` if its runtime has
//!   shut down. The next start or drop of a child checks those.

use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::Readiness;
use crate::driver::{Driver, Source};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::Mutex;
use crate::signal::unix::Signal;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::OnceLock;
use std::task::{Context, Poll, Wake, Waker, ready};

/// A process that was not waited for yet.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    end: End,
}

/// How redd learns that the process has ended.
#[derive(Debug)]
enum End {
    Pidfd(Readiness<Arc<Source<OwnedFd>>>),
    Signal(Signal),
    /// Not registered yet, because no descriptor was left. `poll_wait` tries again.
    Unregistered(Arc<Driver>),
}

impl Running {
    /// Takes over `child`; an error returns it.
    pub(super) fn new(child: Child, driver: &Arc<Driver>) -> Result<Self, (io::Error, Child)> {
        reap_left_over();
        match End::of(&child, driver) {
            Ok(end) => Ok(Self { child, end }),
            // The child runs already, so an error would be wrong.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                Ok(Self { child, end: End::Unregistered(Arc::clone(driver)) })
            }
            Err(error) => Err((error, child)),
        }
    }

    /// Polls for the end. When this is ready, the process has been waited for.
    pub(super) fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        loop {
            // `registered-before-checked`, `by-id`.
            if let Some(status) = self.child.try_wait()? {
                return Poll::Ready(Ok(status));
            }
            if let End::Unregistered(driver) = &self.end {
                self.end = End::of(&self.child, driver)?;
                continue;
            }
            match self.end.poll_event(cx) {
                Poll::Ready(event) => event?,
                Poll::Pending => {
                    waiting::record(WaitKind::Process, None);
                    return Poll::Pending;
                }
            }
        }
    }

    /// Its handle is gone: it is reaped when it ends (`orphan-or-left-over`).
    pub(super) fn abandon(self) {
        reap_left_over();
        let orphan = Arc::new(Orphan { running: Mutex::new(Some(self)) });
        orphan.wake();
    }
}

impl End {
    fn of(child: &Child, driver: &Arc<Driver>) -> io::Result<Self> {
        let by_pidfd =
            crate::sys::process::pidfd_open(child.id()).and_then(|pidfd| register(pidfd, Arc::clone(driver)));
        match by_pidfd {
            Ok(source) => Ok(Self::Pidfd(Readiness::of(source, Interest::READABLE))),
            // Not the way without a pidfd, which would leave a handler of `SIGCHLD` behind.
            Err(error) if crate::driver::is_shutdown_error(&error) => Err(error),
            Err(_no_pidfd) => Signal::of_children(driver).map(Self::Signal),
        }
    }

    /// Ready: something has happened since the last call, so check the process.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Pidfd(readiness) => {
                readiness.follow_runtime(|source, driver| register(source.try_clone()?, driver));
                readiness.poll_event(cx)
            }
            Self::Signal(signal) => match ready!(signal.poll_unbudgeted(cx)) {
                Some(()) => Poll::Ready(Ok(())),
                None => Poll::Ready(Err(crate::driver::shutdown_error())),
            },
            Self::Unregistered(_) => Poll::Ready(Ok(())),
        }
    }
}

fn register(pidfd: OwnedFd, driver: Arc<Driver>) -> io::Result<Arc<Source<OwnedFd>>> {
    Source::new_with_driver(driver, pidfd, Interest::READABLE).map(Arc::new)
}

/// A process whose [`Child`](super::Child) was dropped. `None` once it was waited for.
struct Orphan {
    running: Mutex<Option<Running>>,
}

impl Wake for Orphan {
    /// Called by the thread that received the event, without a lock: checks the process, and waits on if it still runs.
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(Arc::clone(&self));
        // Locked during the poll, so that a wake on another thread is not lost. The only waker that is cloned or dropped
        // under the lock is our own, and we hold another reference.
        let mut slot = self.running.lock();
        let Some(running) = slot.as_mut() else {
            return;
        };
        let Poll::Ready(result) = running.poll_wait(&mut Context::from_waker(&waker)) else {
            return;
        };
        let running = slot.take();
        drop(slot);
        if let (Err(_), Some(running)) = (result, running) {
            // The runtime has shut down, or other code has waited for the process: the next check finds out.
            leave_over(running.child);
        }
    }
}

static LEFT_OVER: OnceLock<Mutex<Vec<Child>>> = OnceLock::new();

fn left_over() -> &'static Mutex<Vec<Child>> {
    LEFT_OVER.get_or_init(Mutex::default)
}

/// Nothing reports the end of `child`, so it is checked from time to time.
pub(super) fn leave_over(mut child: Child) {
    // An error means that it is no longer our child: other code has waited for it, or `SIGCHLD` is ignored.
    if let Ok(None) = child.try_wait() {
        left_over().lock().push(child);
    }
}

/// Reaps the processes of `LEFT_OVER` that have ended.
pub(super) fn reap_left_over() {
    left_over().lock().retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

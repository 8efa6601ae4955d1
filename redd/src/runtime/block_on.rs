//! The doors in: a future runs to its end on the calling thread.
//!
//! # Invariants
//! - `core-or-waiting`: of the threads in `block_on` of a current-thread runtime one has the core and runs the tasks;
//!   the others only poll their own future, and one of them is told when the core is free.

use std::future::Future;
use std::pin::{Pin, pin};
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::Handle;
use super::context::{self, Entered};
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::parker::Parker;
use crate::scheduler::Shared;
use crate::scheduler::worker::{self, Root, Worker};
use crate::task::coop;

/// Parks the thread while the future waits. Runs no tasks.
#[track_caller]
pub(super) fn on_parker<F: Future>(handle: &Handle, what: &str, future: F) -> F::Output {
    let _running = context::mark_entered(what, Entered::Yes);
    let _entered = handle.enter();
    let waker_of_thread = Arc::new(ParkedThread { parker: Parker::new() });
    let waker = Waker::from(Arc::clone(&waker_of_thread));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = coop::with_full(|| future.as_mut().poll(&mut cx)) {
            return output;
        }
        waker_of_thread.parker.park();
    }
}

struct ParkedThread {
    parker: Parker,
}

impl Wake for ParkedThread {
    fn wake(self: Arc<Self>) {
        self.parker.unpark();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        self.parker.unpark();
    }
}

/// Runs the tasks of a current-thread runtime beside the future.
#[track_caller]
pub(super) fn on_core<F: Future>(handle: &Handle, future: F) -> F::Output {
    let shared = &handle.shared;
    let _running = context::mark_entered("`Runtime::block_on`", Entered::Pinned);
    let _entered = handle.enter();
    let woken = Arc::new(RootWaker {
        shared: Arc::clone(shared),
        is_woken: AtomicBool::new(true),
        parker: Arc::new(Parker::new()),
    });
    let waker = Waker::from(Arc::clone(&woken));
    let mut root = RootPoll { future: pin!(future), output: None, woken: &woken, waker: &waker };
    loop {
        if let Some(core) = take_core(shared, &woken.parker) {
            let mut core = CoreGuard { core: Some(core), shared };
            let core = core.core.as_mut().expect("it was just put there");
            let has_finished = worker::run_root(shared, core, &mut root);
            if !has_finished {
                panic!("{}", closed_message(shared));
            }
        } else {
            // `core-or-waiting`
            if !root.poll_if_woken() {
                woken.parker.park();
                continue;
            }
        }
        return root.output.take().expect("the root has ended");
    }
}

fn closed_message(shared: &Shared) -> &'static str {
    // Acquire: pairs with the Release in `Shared::task_panicked`.
    if shared.has_unhandled_panic.load(Ordering::Acquire) {
        "a spawned task panicked and the runtime is configured to shut down on unhandled panic. The task's panic was \
         printed above; mend it, or use `UnhandledPanic::Ignore`."
    } else {
        "the runtime was shut down while `block_on` ran on it. Keep the `Runtime` until its `block_on` calls have ended."
    }
}

fn take_core(shared: &Shared, parker: &Arc<Parker>) -> Option<Box<Worker>> {
    if let Some(core) = shared.core.lock().take() {
        return Some(core);
    }
    let mut waiters = shared.core_waiters.lock();
    // The core may have come back before we were in the list; whoever puts it back looks at the list afterwards.
    if let Some(core) = shared.core.lock().take() {
        return Some(core);
    }
    if !waiters.iter().any(|other| Arc::ptr_eq(other, parker)) {
        waiters.push(Arc::clone(parker));
    }
    None
}

/// Puts the core back and tells one waiting thread, also when the root panics.
struct CoreGuard<'a> {
    core: Option<Box<Worker>>,
    shared: &'a Shared,
}

impl Drop for CoreGuard<'_> {
    fn drop(&mut self) {
        *self.shared.core.lock() = self.core.take();
        let waiters = std::mem::take(&mut *self.shared.core_waiters.lock());
        for waiter in waiters {
            waiter.unpark();
        }
    }
}

struct RootPoll<'a, F: Future> {
    future: Pin<&'a mut F>,
    output: Option<F::Output>,
    woken: &'a Arc<RootWaker>,
    waker: &'a Waker,
}

impl<F: Future> Root for RootPoll<'_, F> {
    #[inline]
    fn poll_if_woken(&mut self) -> bool {
        // AcqRel: we see what was done before the wake. Pairs with the swap in `RootWaker::wake_by_ref`.
        if self.woken.is_woken.load(Ordering::Relaxed) && self.woken.is_woken.swap(false, Ordering::AcqRel) {
            let mut cx = Context::from_waker(self.waker);
            if let Poll::Ready(output) = coop::with_full(|| self.future.as_mut().poll(&mut cx)) {
                self.output = Some(output);
            }
        }
        self.output.is_some()
    }

    #[inline]
    fn is_woken(&self) -> bool {
        self.woken.is_woken.load(Ordering::Relaxed)
    }
}

/// Wakes the root of a current-thread runtime.
struct RootWaker {
    shared: Arc<Shared>,
    is_woken: AtomicBool,
    /// Unparked by the root's waker, and by whoever gives the core back.
    parker: Arc<Parker>,
}

impl Wake for RootWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: publishes what this thread did. Pairs with the swap in `RootPoll::poll_if_woken`.
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        // `core-or-waiting`: ours may be a root that waits without the core, also when a task wakes it on the thread that
        // has the core. Without a sleeper this is one swap.
        self.parker.unpark();
        // On the thread that runs the core the loop looks by itself.
        if !worker::runs_here(ptr::from_ref(&*self.shared)) {
            self.shared.wake_worker_for_injected();
        }
    }
}

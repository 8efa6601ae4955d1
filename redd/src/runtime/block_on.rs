//! The entry points of `block_on`: run a future to completion on the calling thread.
//!
//! # Invariants
//! - `core-or-waiting`: of the threads in `block_on` of a current-thread runtime, one holds the core and runs the
//!   tasks. The others only poll their own future. One of them is woken when the core is free.

#![expect(unsafe_code, reason = "enters the runtime by a borrowed reference")]

use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::call::Call;
use crate::current::{self, Entered};
use crate::observe::coarse;
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::baton;
use crate::scheduler::choices::{Flavor, UnhandledPanic};
use crate::scheduler::enter::enter_borrowed;
use crate::scheduler::root::Root;
use crate::scheduler::shared::{Core, RootWaker, RootWakers, Shared, Worker};
use crate::scheduler::start;
use crate::scheduler::worker;
use crate::task::coop;
use crate::task::slab::LateGuest;

/// Parks the thread while the future waits. Runs no tasks. A watched future ends by itself when its host has crashed.
///
/// A future that is ready at its first poll takes no lock and makes no allocation. The waker and the record for dumps are
/// those of the thread's last call. A guest cache is entered when the future spawns.
#[track_caller]
pub(super) fn on_parker<F: Future>(shared: &Arc<Shared>, what: &str, is_watched: bool, future: F) -> F::Output {
    let _running = current::mark_entered(what, Entered::Yes);
    // SAFETY: it is dropped below.
    let _entered = unsafe { enter_borrowed(shared) };
    shared.expect_own_process(what);
    coarse::refresh(); // `coarse-is-close`
    let call = Call::begin(&shared.roots, Location::caller());
    let mut cx = Context::from_waker(call.waker());
    let mut future = pin!(future);
    let ends_at_panic = shared.config.unhandled_panic == UnhandledPanic::ShutdownRuntime;
    let _listed = ends_at_panic.then(|| Listed::new(shared, call.waker()));
    let is_multi = shared.config.flavor == Flavor::MultiThread;
    // With this guest cache, the first such thread spawns as fast as a worker.
    let guest = pin!(LateGuest::new(&shared.slab, shared.config.workers));
    let guest = guest.into_ref();
    if is_multi {
        guest.register();
    }
    let mut has_cancelled = false;
    loop {
        if !is_watched && shared.config.has_crashed() {
            baton::end_if_dead();
        }
        if ends_at_panic && has_panicked(shared) {
            panic!("{}", closed_message(shared));
        }
        if let Poll::Ready(output) = call.record().poll(|| coop::with_full(|| future.as_mut().poll(&mut cx))) {
            return output;
        }
        shared.expect_own_process(what);
        if !has_cancelled && shared.is_closed() {
            // This code may run in a destructor, in the middle of the walk that cancels the tasks. The future may then
            // wait for a task that the walk has not reached.
            has_cancelled = true;
            shared.cancel_unpolled();
        }
        guest.flush();
        start::park(shared, call.parker());
        coarse::refresh(); // `coarse-is-close`
    }
}

/// A root that is woken when a panic shuts its runtime down.
struct Listed<'a>(&'a Shared, &'a Waker);

impl<'a> Listed<'a> {
    fn new(shared: &'a Shared, waker: &'a Waker) -> Self {
        shared.panic_wakers.lock().push(waker.clone());
        Self(shared, waker)
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.0.panic_wakers.lock().retain(|other| !other.will_wake(self.1));
    }
}

/// Whether a task's panic has shut the runtime down.
pub(super) fn has_panicked(shared: &Shared) -> bool {
    // Acquire: pairs with the Release in `Shared::task_panicked`.
    shared.has_unhandled_panic.load(Ordering::Acquire)
}

/// Runs the tasks of a current-thread runtime beside the future.
#[track_caller]
pub(super) fn on_core<F: Future>(shared: &Arc<Shared>, future: F) -> F::Output {
    shared.expect_own_process("`Runtime::block_on`");
    let _running = current::mark_entered("`Runtime::block_on`", Entered::NoBlockInPlace);
    // SAFETY: it is dropped below.
    let _entered = unsafe { enter_borrowed(shared) };
    // Dropped after the guard: the drop of the future must not delay the tasks, which another thread can run by then.
    let future = pin!(future);
    let (core, wakers) = {
        let mut core = shared.core.lock();
        (core.worker.take(), core.spare.take())
    };
    let wakers = wakers.unwrap_or_else(|| RootWakers::new(Arc::downgrade(shared)));
    let mut guard =
        CoreGuard { core, wakers: Some(wakers), core_lock: &shared.core, has_panicked: &shared.has_unhandled_panic };
    let RootWakers { woken, waker } = guard.wakers.as_ref().expect("it was just put there");
    woken.is_woken.store(true, Ordering::Relaxed);
    shared.set_root(Location::caller());
    let _record = shared.roots.begin_on_core(guard.core.is_some(), Location::caller());
    let mut root = RootPoll { future, output: None, woken, waker };
    loop {
        if guard.core.is_none() {
            guard.core = take_core_or_wait(&shared.core, woken);
        }
        if let Some(core) = &mut guard.core {
            let has_finished = worker::run_root(shared, core, &mut root);
            if !has_finished {
                if has_panicked(shared) {
                    // Here, and not when the runtime is dropped, because other threads may wait for these tasks.
                    guard.core.take().into_iter().for_each(|core| worker::finish_current_thread(shared, core));
                }
                panic!("{}", closed_message(shared));
            }
        } else {
            // `core-or-waiting`
            if !root.poll_if_woken() {
                if has_panicked(shared) {
                    panic!("{}", closed_message(shared));
                }
                woken.parker.park();
                continue;
            }
        }
        return root.output.take().expect("the root has ended");
    }
}

pub(super) fn closed_message(shared: &Shared) -> &'static str {
    if has_panicked(shared) {
        "a spawned task panicked and the runtime is configured to shut down on unhandled panic. The task's panic was \
         printed above. Fix the task, or use `UnhandledPanic::Ignore`."
    } else {
        "the runtime was shut down while `block_on` ran on it. Keep the `Runtime` until its `block_on` calls have ended."
    }
}

/// Takes the core if it is free. Otherwise registers this thread, and the thread that returns the core wakes it. Both
/// happen in one critical section, or the core could be returned between the check and the registration.
pub(super) fn take_core_or_wait(core_lock: &Mutex<Core>, woken: &Arc<RootWaker>) -> Option<Box<Worker>> {
    let mut core = core_lock.lock();
    let worker = core.worker.take();
    if worker.is_none() && !core.waiters.iter().any(|other| Arc::ptr_eq(other, woken)) {
        core.waiters.push(Arc::clone(woken));
    }
    worker
}

/// Returns the core and wakes the waiting threads, also when the root panics.
pub(super) struct CoreGuard<'a> {
    pub(super) core: Option<Box<Worker>>,
    /// `Some` until the drop.
    pub(super) wakers: Option<RootWakers>,
    pub(super) core_lock: &'a Mutex<Core>,
    pub(super) has_panicked: &'a AtomicBool,
}

impl Drop for CoreGuard<'_> {
    fn drop(&mut self) {
        // If no other thread has a clone of the waker, a late wake cannot reach the next root.
        let spare = self.wakers.take().filter(RootWakers::is_unshared);
        let mut core = self.core_lock.lock();
        // A panic that ends the runtime is reported to all waiting threads, whichever thread observes it first.
        // Acquire: as in `has_panicked`.
        let wakes = self.core.is_some() || self.has_panicked.load(Ordering::Acquire);
        if let Some(worker) = self.core.take() {
            core.worker = Some(worker);
        }
        let waiters = if wakes && !core.waiters.is_empty() { mem::take(&mut core.waiters) } else { Vec::new() };
        let old_spare = match spare {
            Some(spare) => core.spare.replace(spare),
            None => None,
        };
        drop(core);
        drop(old_spare);
        if !waiters.is_empty() {
            unpark_all(waiters);
        }
    }
}

#[cold]
fn unpark_all(waiters: Vec<Arc<RootWaker>>) {
    waiters.into_iter().for_each(|waiter| waiter.parker.unpark());
}

struct RootPoll<'a, F: Future> {
    future: Pin<&'a mut F>,
    output: Option<F::Output>,
    woken: &'a Arc<RootWaker>,
    waker: &'a Waker,
}

impl<F: Future> Root for RootPoll<'_, F> {
    const MAY_PANIC: bool = true;

    #[inline]
    fn poll_if_woken(&mut self) -> bool {
        // AcqRel: reads what was done before the wake. Pairs with the swap in `RootWaker::wake_by_ref`.
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

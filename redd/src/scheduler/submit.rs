//! How work enters a runtime: spawned and woken tasks go to a queue, or are cancelled if the runtime has closed.
//!
//! Called by the functions that spawn, by wakers ([`Schedule`]), and by workers that hand tasks over.

#![expect(unsafe_code, reason = "allocates tasks; their raw references pass through queues")]

use std::future::Future;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use super::choices::UnhandledPanic;
use super::local::{self, LOCAL};
use super::phase::Accepts;
use super::shared::Shared;
use crate::observe::hooks::UnjoinedPanic;
use crate::observe::recorder::{self, EventKind, pair};
use crate::primitives::atomic::Ordering;
use crate::primitives::baton::{self, Baton};
use crate::sys::fork;
use crate::task::current::current_is_of;
use crate::task::inherited::{self, Inherited};
use crate::task::runnable::Schedule;
use crate::task::{self, JoinHandle, Runnable, cell};

impl Shared {
    /// Whether work that this thread spawns now is cancelled at once.
    #[inline]
    pub(crate) fn refuses_here(&self) -> bool {
        match self.phase.accepts() {
            Accepts::All => false,
            Accepts::FromItself => !(local::runs_here(self) || current_is_of(&self.slab)),
            Accepts::Nothing => true,
        }
    }

    /// Spawns a task. It is cancelled at once if the runtime has shut down, or drains and the caller is not its own code.
    #[track_caller]
    pub(crate) fn spawn<F>(&self, future: F, name: Option<Arc<str>>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_at(future, name, Location::caller())
    }

    /// As [`spawn`](Self::spawn), for a caller that knows the line of the user.
    pub(crate) fn spawn_at<F>(
        &self,
        future: F,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // SAFETY: the future and its output are `Send`.
        unsafe { self.spawn_unchecked(future, name, location) }
    }

    /// # Safety
    /// If the future or its output is not `Send`, this is the thread of the local runtime.
    pub(crate) unsafe fn spawn_unchecked<F: Future>(
        &self,
        future: F,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        // Boxed first: a large future is passed on no further.
        if const { cell::is_boxed::<F, false>() } {
            let bytes = Some(size_of::<F>());
            // SAFETY: by the safety contract.
            unsafe { self.spawn_as_is(Box::pin(future), bytes, name, location) }
        } else {
            // SAFETY: by the safety contract.
            unsafe { self.spawn_as_is(future, None, name, location) }
        }
    }

    /// `original_bytes`: the size of the future in its box.
    ///
    /// # Safety
    /// As for `spawn_unchecked`.
    #[cfg_attr(not(debug_assertions), inline(always))]
    unsafe fn spawn_as_is<F: Future>(
        &self,
        future: F,
        original_bytes: Option<usize>,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        if inherited::is_any(self.config.inherits_span) {
            // SAFETY: by the safety contract.
            return unsafe { self.spawn_inheriting(future, original_bytes, name, location) };
        }
        if !self.process.is_current() {
            fork::panic_in_child("`spawn`", Some(location));
        }
        // SAFETY: by the safety contract.
        let (runnable, handle) =
            unsafe { cell::allocate_as_is::<F, false>(&self.slab, future, original_bytes, name, location) };
        self.enqueue_spawned(runnable);
        handle
    }

    /// As [`spawn_as_is`](Self::spawn_as_is), on a thread on which inherited values are set.
    ///
    /// # Safety
    /// As for `spawn_unchecked`.
    // Apart from it, so that spawns without values do nothing for those with values.
    #[cold]
    #[inline(never)]
    unsafe fn spawn_inheriting<F: Future>(
        &self,
        future: F,
        original_bytes: Option<usize>,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        if !self.process.is_current() {
            fork::panic_in_child("`spawn`", Some(location));
        }
        let slab = &self.slab;
        let (runnable, handle) = match Inherited::capture(self.config.inherits_span) {
            // SAFETY: by the safety contract.
            Some(values) => unsafe {
                cell::allocate_inheriting::<F, false>(slab, values, future, original_bytes, name, location)
            },
            // SAFETY: as above.
            None => unsafe { cell::allocate_as_is::<F, false>(slab, future, original_bytes, name, location) },
        };
        self.enqueue_inheriting(runnable);
        handle
    }

    /// One copy for all types of futures.
    #[inline(never)]
    fn enqueue_inheriting(&self, runnable: Runnable) {
        self.enqueue_spawned(runnable);
    }

    /// Queues a new task, or cancels it if the runtime has closed.
    // Its two callers would keep it from being inlined otherwise.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn enqueue_spawned(&self, runnable: Runnable) {
        if self.instrumentation.tracks_latency {
            self.instrumentation.stamp(&runnable);
        }
        if self.refuses_here() {
            runnable.cancel(); // `closed-cancels`
        } else if let Err(refused) = self.try_schedule(runnable, EventKind::Spawn) {
            // The runtime has closed meanwhile. The walk of the slab may have missed a task that was published just now, so the task
            // is cancelled here. This is also the right thread for a task that is not `Send`.
            refused.cancel();
        }
    }

    /// Moves a task of a worker to the injector.
    pub(crate) fn inject(&self, runnable: Runnable) {
        // If the runtime is closed, the walk of the slab cancels the task (`closed-cancels`); only the reference is dropped here.
        drop(self.try_inject(runnable));
    }

    fn try_inject(&self, runnable: Runnable) -> Result<(), Runnable> {
        match self.injector.push(runnable.into_raw()) {
            Ok(()) => {
                self.wake_worker_after_publish();
                Ok(())
            }
            // SAFETY: it was made by `into_raw` above.
            Err(task) => Err(unsafe { Runnable::from_raw(task) }),
        }
    }

    /// Queues a task at this thread's worker or in the injector. Returns it if the runtime has closed. `cause` is for the flight
    /// recorder.
    #[inline]
    fn try_schedule(&self, runnable: Runnable, cause: EventKind) -> Result<(), Runnable> {
        // SAFETY: set while the worker runs on this thread.
        match unsafe { LOCAL.get().as_ref() } {
            Some(local) if ptr::eq(local.direct.get(), self) && local.is_active() => {
                // SAFETY: this thread is the worker, so it owns the queue.
                unsafe { local.push(self, runnable) };
                Ok(())
            }
            _ => self.record_and_schedule(runnable, cause),
        }
    }

    /// As [`try_schedule`](Self::try_schedule), on a thread that is no active worker of this runtime, or while wakes and spawns are
    /// recorded.
    #[inline(never)]
    fn record_and_schedule(&self, runnable: Runnable, cause: EventKind) -> Result<(), Runnable> {
        let is_recorded = self.instrumentation.is_recorded();
        if is_recorded {
            recorder::full(cause, pair(runnable.header().id().number(), task::current::id_or_zero()));
        }
        if let Some(baton) = &self.config.baton {
            record_in_world(baton, &runnable, cause);
        }
        // SAFETY: set while the worker runs on this thread.
        match unsafe { LOCAL.get().as_ref() } {
            Some(local) if ptr::eq(local.shared, self) => {
                local.follow_recording(self);
                if local.is_active() {
                    // SAFETY: this thread is the worker, so it owns the queue.
                    unsafe { local.push(self, runnable) };
                    return Ok(());
                }
                self.try_inject(runnable)
            }
            _ => self.try_inject(runnable),
        }
    }
}

/// A task of a simulated world has been spawned or woken. A thread outside of that world fails it.
fn record_in_world(baton: &Arc<Baton>, runnable: &Runnable, cause: EventKind) {
    if !baton.is_here() {
        baton.fail_for_foreign_wake(&runnable.task().info());
    }
    let kind = if cause == EventKind::Spawn { baton::EventKind::Spawned } else { baton::EventKind::Woken };
    let task = runnable.task();
    baton.record_task(kind, task.id().number(), &|| format!("{:#}", task.info()), Some(task::current::id_or_zero()), 0);
}

impl Schedule for Shared {
    fn schedule(&self, runnable: Runnable) {
        // As in `inject`: if the runtime has closed, only the reference is dropped.
        drop(self.try_schedule(runnable, EventKind::Wake));
    }

    fn request_trim(&self) {
        self.wake_worker_after_publish();
    }

    fn is_kept_by_this_thread(&self) -> bool {
        local::runs_here(self)
    }

    fn task_panicked(&self) {
        local::record_panic();
        if self.config.unhandled_panic == UnhandledPanic::ShutdownRuntime {
            // Release: pairs with the Acquire in `block_on::has_panicked`.
            self.has_unhandled_panic.store(true, Ordering::Release);
            self.close();
            self.wake_sleeper();
            let roots = std::mem::take(&mut *self.panic_wakers.lock());
            roots.into_iter().for_each(Waker::wake);
        }
    }

    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>) {
        panic.report(self.config.task_hooks.on_unjoined_panic.as_ref());
    }
}

/// Schedules for a runtime that tracks latency.
pub(super) struct Stamping(pub(super) Arc<Shared>);

impl Schedule for Stamping {
    fn schedule(&self, runnable: Runnable) {
        self.0.instrumentation.stamp(&runnable);
        self.0.schedule(runnable);
    }

    fn request_trim(&self) {
        self.0.request_trim();
    }

    fn is_kept_by_this_thread(&self) -> bool {
        self.0.is_kept_by_this_thread()
    }

    fn task_panicked(&self) {
        self.0.task_panicked();
    }

    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>) {
        self.0.panic_unjoined(panic);
    }
}

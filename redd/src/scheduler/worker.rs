//! The worker loop: take the next task, poll it, poll the driver at intervals, park.
//!
//! Run by the worker threads of a multi-thread runtime, by `block_on` of a current-thread one, and by spare
//! workers, which run while a worker is blocked or stalled. `search` finds the next task, `park` polls the driver and parks.
//!
//! # Invariants
//! - `flag-while-polling`: a slot's poll mark is odd exactly while its worker polls a task.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; tasks' raw references")]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::{Duration, Instant};

use super::choices::Flavor;
use super::leave::{arrive_here, finish};
use super::local::{LOCAL, before_wake, record_panic};
use super::local_queue::LocalQueue;
use super::pace::{INJECTOR_INTERVAL_FIRST, INJECTOR_PATIENCE_NS, LAPS_WITHOUT_POLL, LIFO_STREAK_MAX};
use super::root::{NoRoot, Root};
use super::running_loops::LoopAction;
use super::shared::{Local, Shared, Worker};
use super::slot::WorkerSlot;
use super::{enter, stand_in, start};
use crate::collections::wake_list::WakeList;
use crate::current;
use crate::driver::EventBuffer;
use crate::observe::counters::add;
use crate::observe::report::AbortOnUnwind;
use crate::primitives::atomic::Ordering;
use crate::primitives::rng::Rng;
use crate::primitives::spin::Spin;
use crate::primitives::thread;
use crate::sys;
use crate::task::Runnable;
use crate::task::poll::Ran;
use crate::time::clock::real_now;

/// A `block_on` of a current-thread runtime updates the coarse clock if the last one that did began so long ago.
const COARSE_PRECISION: Duration = Duration::from_millis(1);

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    RootFinished,
    Closed,
    /// This spare is no longer needed.
    Retired,
}

impl Worker {
    pub(crate) fn new(shared: &Shared, index: usize) -> Box<Self> {
        let is_multi = shared.config.flavor == Flavor::MultiThread;
        if is_multi {
            // This thread runs the worker until it leaves.
            arrive_here(shared);
            shared.slot(index).thread.store(sys::thread::current_id(), Ordering::Relaxed);
        }
        Box::new(Self {
            local: Box::new(Local {
                shared,
                direct: Cell::new(if shared.instrumentation.follows_wakes() { ptr::null() } else { shared }),
                index,
                slot: shared.use_slot(index),
                queue: LocalQueue::new(&shared.config),
                is_clean: Cell::new(false),
                scheduled: Cell::new(0),
            }),
            polls_at_park: 0,
            polls_timed: 0,
            thread: None,
            tick: 0,
            injector_interval: shared.config.global_queue_interval.unwrap_or(INJECTOR_INTERVAL_FIRST),
            poll_ns: INJECTOR_PATIENCE_NS / f64::from(INJECTOR_INTERVAL_FIRST),
            driver_polled_at: real_now(),
            coarse_until: real_now(),
            lease_wait_since: None,
            lifo_streak: 0,
            driver_interval: shared.config.event_interval,
            offer_from: 1,
            searching: None,
            spin: Spin::default(),
            laps: 0,
            is_spare: index >= shared.config.workers,
            rng: Rng::new(shared.config.seed.wrapping_add(index as u64)),
            events: EventBuffer::with_capacity(shared.config.events_per_turn),
            wakers: WakeList::new(),
        })
    }

    fn is_multi(&self, shared: &Shared) -> bool {
        shared.config.flavor == Flavor::MultiThread
    }

    #[inline]
    pub(super) fn slot<'a>(&self, _: &'a Shared) -> &'a WorkerSlot {
        // SAFETY: the slot lives as long as the runtime. Not by its index, which costs 1 ns of a yield's 29.
        unsafe { &*self.local.slot }
    }

    /// Runs tasks until the root ends or the runtime closes.
    pub(super) fn run<R: Root>(&mut self, shared: &Shared, root: &mut R) -> Ended {
        let _own = (!R::MAY_PANIC).then(|| AbortOnUnwind("the worker thread"));
        let _running = self.is_multi(shared).then(|| RunningLoop::begin(shared));
        let _thread = OnThread::enter(self);
        let mut busy_since = self.begin_run(shared);
        let mut is_first = true;
        // Polls until the next poll of the driver. A spare polls the driver first: the other workers may be busy for long.
        let mut left = if self.is_spare { 0 } else { self.driver_interval };
        loop {
            if root.poll_if_woken() {
                // A root that is ready at once is not worth a second reading of the clock. Its time is not counted.
                if !is_first {
                    self.add_busy(shared, busy_since);
                }
                return Ended::RootFinished;
            }
            is_first = false;
            self.local.readmit_yielded();
            // A root that yields expects that the driver is polled.
            let may_skip_driver = !root.is_woken();
            let (mut skips_driver, mut was_stalled) = (false, false);
            while left > 0 {
                if shared.is_closed_or_stalled() {
                    if shared.is_closed() {
                        return self.end_run(shared, busy_since, Ended::Closed);
                    }
                    was_stalled = self.clear_stalled(shared);
                    if was_stalled {
                        self.resume_after_stall(shared);
                        break; // to `poll_driver_and_timers`: timers and I/O have waited for long, and the next task may block, too
                    }
                }
                if let Some(runnable) = self.next_task(shared) {
                    // A task from the LIFO slot is counted with its waker: otherwise a chain of wakes would poll the driver four times
                    // as often.
                    left -= u32::from(self.lifo_streak == 0);
                    self.poll(shared, runnable);
                    continue;
                }
                left -= 1;
                if root.is_woken() {
                    skips_driver = may_skip_driver && self.may_run_another_lap();
                    break;
                }
                if self.next_lap() {
                    continue;
                }
                if self.local.has_yielded() {
                    break; // to `poll_driver_and_timers`
                }
                if self.may_retire(shared) {
                    return self.end_run(shared, busy_since, Ended::Retired);
                }
                if self.spin_before_park(shared, root) {
                    continue;
                }
                busy_since = self.park_and_resume(shared, root, busy_since);
                (skips_driver, left) = (true, self.driver_interval);
                break;
            }
            if !skips_driver {
                self.poll_driver_and_timers(shared);
                left = self.driver_interval;
                // After a stall it first runs what it has just found: the other workers may be stalled without a mark.
                if !was_stalled && self.may_retire(shared) {
                    return self.end_run(shared, busy_since, Ended::Retired);
                }
            }
        }
    }

    /// Prepares the run of the loop. Returns the time.
    fn begin_run(&mut self, shared: &Shared) -> Instant {
        self.publish_thread(shared);
        let now = real_now();
        if now >= self.coarse_until {
            // `coarse-is-close`, of an idle current-thread runtime.
            shared.update_coarse_clock(now);
            self.coarse_until = now + COARSE_PRECISION;
        }
        shared.stall_detector.on_wake(shared);
        if self.is_spare {
            // As in `resume_after_stall`: it may have waited for a call since it last polled the driver.
            (self.driver_polled_at, self.tick) = (now, 0);
        }
        now
    }

    /// Releases what the worker holds. Returns `ended`.
    fn end_run(&mut self, shared: &Shared, busy_since: Instant, ended: Ended) -> Ended {
        self.stop_searching(shared);
        self.add_busy(shared, busy_since);
        ended
    }

    /// Parks, and then does what each worker does when it wakes. Returns the time.
    fn park_and_resume(&mut self, shared: &Shared, root: &impl Root, busy_since: Instant) -> Instant {
        let since = self.add_busy(shared, busy_since);
        let woken_by_push = self.park(shared, root);
        let now = real_now();
        if woken_by_push {
            self.spin.record_sleep(now.saturating_duration_since(since));
        }
        self.clear_stalled(shared);
        shared.stall_detector.on_wake(shared);
        let ms = shared.update_coarse_clock(now);
        shared.stall_detector.maybe_scan(shared, ms);
        start::retry_if_due(shared, ms);
        self.driver_polled_at = now;
        now
    }

    /// This thread has not run user code yet (`one-ahead`).
    pub(super) fn become_clean(&mut self) {
        self.local.is_clean.set(true);
        self.wakers.set_before_wake(before_wake);
    }

    /// As in Tokio, the metrics of a worker that starts after the runtime has closed show one park with nothing to do. So a
    /// program that waits for the first park of each worker does not wait forever.
    fn count_late_start(&self, shared: &Shared) {
        let slot = self.slot(shared);
        if slot.parks.load(Ordering::Relaxed) == 0 {
            add(&slot.parks, 1);
            add(&slot.counters.noops, 1);
        }
    }

    /// Publishes in the slot which thread is the worker.
    fn publish_thread(&mut self, shared: &Shared) {
        let thread = Some(thread::public_id());
        if self.thread != thread {
            self.thread = thread;
            *self.slot(shared).thread_id.lock() = thread;
        }
    }

    /// If only tasks that have yielded are left, makes them ready for another lap. At most `LAPS_WITHOUT_POLL` laps run without a
    /// poll of the driver.
    fn next_lap(&mut self) -> bool {
        let may = self.may_run_another_lap();
        if !self.local.has_yielded() || !may {
            return false;
        }
        self.local.readmit_yielded();
        true
    }

    /// Whether the tasks or the root run another lap before the driver is polled.
    #[inline]
    fn may_run_another_lap(&mut self) -> bool {
        self.laps = self.laps.wrapping_add(1);
        self.laps % LAPS_WITHOUT_POLL != 0
    }

    /// The worker has found a task: its search ends, and it wakes a worker for what is left. A clean worker first starts its
    /// successor (`one-ahead`).
    #[inline(never)]
    fn before_poll(&mut self, shared: &Shared) {
        self.local.leave_clean(shared);
        self.stop_searching(shared);
    }

    #[inline]
    fn poll(&mut self, shared: &Shared, runnable: Runnable) {
        if self.searching.is_some() | self.local.is_clean.get() {
            self.before_poll(shared);
        }
        let slot = self.slot(shared);
        // `flag-while-polling`
        let polls = slot.mark.begin(runnable.as_ptr());
        let ran =
            if shared.instrumentation.is_on() { self.poll_instrumented(shared, runnable) } else { runnable.run() };
        slot.mark.end(polls);
        match ran {
            Ran::Done => {}
            // SAFETY: `one-owner`.
            Ran::Requeue(runnable) => unsafe { self.local.requeue(shared, runnable) },
            // SAFETY: `one-owner`.
            Ran::Yielded(runnable) => unsafe { self.local.requeue_yielded(shared, runnable) },
        }
    }

    #[cold]
    fn poll_instrumented(&self, shared: &Shared, runnable: Runnable) -> Ran {
        self.local.follow_recording(shared);
        shared.instrumentation.run(&shared.config, self.local.index, runnable)
    }

    /// Retires this spare if it is not needed. If true, it is no longer counted.
    fn may_retire(&self, shared: &Shared) -> bool {
        if !self.is_spare {
            return false;
        }
        self.clear_stalled(shared); // otherwise it would be subtracted twice
        stand_in::try_retire(shared)
    }

    /// After a stalled poll: hands the worker's tasks over, as the next one may block this thread again.
    #[cold]
    fn resume_after_stall(&mut self, shared: &Shared) {
        self.hand_over(shared);
        // `tune` must not take such a poll for the usual time of a poll.
        self.driver_polled_at = real_now();
        // So the worker checks the injector last, after all of that has run.
        self.tick = 0;
    }

    /// Hands all queued tasks to the other workers.
    pub(super) fn hand_over(&mut self, shared: &Shared) {
        self.lifo_streak = LIFO_STREAK_MAX;
        while let Some(runnable) = self.pop_own(shared) {
            shared.inject(runnable);
        }
    }

    /// Clears the mark of the monitor, as this thread runs tasks. True if there was a mark.
    #[inline]
    pub(super) fn clear_stalled(&self, shared: &Shared) -> bool {
        let state = &self.slot(shared).state;
        !state.is_active() && shared.workers.states.clear_mark(state)
    }

    /// Everything that a worker's thread does between its first and its last step.
    pub(super) fn run_thread(&mut self, shared: &Shared) {
        let _own = AbortOnUnwind("the worker thread");
        // SAFETY: one thread per index, and the caller keeps the slab.
        let _cache = unsafe { shared.slab.enter(self.local.index) };
        let ended = self.run(shared, &mut NoRoot);
        debug_assert_eq!(ended, Ended::Closed, "a worker has no root and does not retire");
        self.count_late_start(shared);
        self.drain(shared);
        // SAFETY: tasks of a multi-thread runtime are `Send`.
        unsafe { shared.slab.cancel_all() };
    }

    /// Drops the references to all queued tasks. The walk of the slab cancels the tasks.
    pub(super) fn drain(&mut self, shared: &Shared) {
        self.local.readmit_yielded();
        while let Some(runnable) = self.pop_own(shared) {
            drop(runnable);
        }
    }
}

/// A guard: this loop is counted (`running_loops`).
struct RunningLoop<'a>(&'a Shared);

impl<'a> RunningLoop<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.workers.running_loops.enter();
        Self(shared)
    }
}

impl Drop for RunningLoop<'_> {
    fn drop(&mut self) {
        match self.0.workers.running_loops.exit() {
            LoopAction::Continue => {}
            LoopAction::WakeAnother => self.0.wake_to_leave(),
            // Every worker cancels tasks when its loop has ended, this one among them.
            LoopAction::EndWaits => self.0.end_waits(),
        }
    }
}

/// A guard: this thread is the worker.
struct OnThread {
    before: *const Local,
    _seed: current::SeedGuard,
}

impl OnThread {
    fn enter(worker: &Worker) -> Self {
        Self { before: LOCAL.replace(&raw const *worker.local), _seed: current::seed_thread(worker.rng.next_u64()) }
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        if thread::is_unwinding() {
            record_panic(); // of the root
        }
        LOCAL.set(self.before);
    }
}

/// Runs a root future and the tasks of a current-thread runtime on this thread.
pub(crate) fn run_root(shared: &Shared, worker: &mut Worker, root: &mut impl Root) -> bool {
    // SAFETY: the caller has the worker, and with it its cache; `shared` keeps the slab.
    let _cache = unsafe { shared.slab.enter(0) };
    worker.run(shared, root) == Ended::RootFinished
}

/// Ends a current-thread runtime on the thread that drops it.
pub(crate) fn finish_current_thread(shared: &Shared, mut worker: Box<Worker>) {
    shared.close();
    {
        let _entered = enter::enter(shared.arc());
        // SAFETY: the caller has the worker, and with it its cache; `shared` keeps the slab.
        let _cache = unsafe { shared.slab.enter(0) };
        // No thread runs the loop; the destructors below may wait.
        shared.end_waits();
        worker.drain(shared);
        // SAFETY: the tasks of a local runtime are dropped on its thread; those of others are `Send`.
        unsafe { shared.slab.cancel_all() };
        drop(catch_unwind(AssertUnwindSafe(|| worker.wakers.wake_all())));
    }
    drop(worker);
    finish(shared);
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]

    use super::*;
    use crate::runtime::{Builder, Rescue};

    /// If it stayed a searcher, the other workers would leave every task to it, and no worker would be woken.
    #[test]
    fn a_spare_that_retires_between_two_rounds_ends_its_search() {
        let runtime = Builder::new_multi_thread().worker_threads(1).rescue(Rescue::off()).build().unwrap();
        let shared = &runtime.handle().shared;
        while shared.idle.load().sleepers == 0 {
            thread::yield_now(); // until the only worker is parked, and searches no longer
        }
        shared.workers.states.join(1);
        let mut spare = Worker::new(shared, shared.config.workers);
        spare.searching = shared.idle.start_search(1);
        assert!(spare.searching.is_some());
        let ended = spare.run(shared, &mut NoRoot);
        crate::scheduler::leave::WORKER_OF.set(0);
        assert_eq!((ended, shared.idle.load().searchers), (Ended::Retired, 0));
        let nine = runtime.block_on(runtime.spawn(async { 9 }));
        assert_eq!(nine.unwrap(), 9);
    }
}

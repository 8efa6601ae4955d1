//! Polls of the driver and of timers, and the park.
//!
//! Called by the loop in `worker`. The steps of the protocol and the proof that no task is left behind are in PARKING.md.
//!
//! # Invariants
//! - `cover`: if the shared wheel has a deadline and workers are parked, one of them sleeps no longer than to that deadline,
//!   or a worker is awake that reads the wheel before it parks.
//! - `served-in-turn`: what is ready is served in about the order in which it became ready. A worker takes few events at once and
//!   leaves the rest in the driver, in their order. Before it takes events, it takes its share of the injector.
//! - `nothing-behind`: before a worker polls a task, it takes the token that it may have left in the driver. Without rescue it also
//!   offers the tasks in its ring and the events that it has left. The poll may block for long, and then no other code does so.
//!
//! # Why not otherwise
//! All events at once overflow the run queue. The injector then has the rest, and a worker that always finds tasks in its run queue
//! hardly checks the injector. Such connections waited for ten rounds of the others (decision 0024).

use std::io;
use std::time::Duration;

use super::closures::try_spawn_on;
use super::pace::{DRIVER_DEFER, DRIVER_GAP_MAX, EVENTS_MAX, LEASE_PATIENCE, POLLS_PER_EVENT};
use super::root::Root;
use super::shared::{Shared, Worker};
use super::slot::WorkerSlot;
use super::{spares, start};
use crate::observe::counters::add;
use crate::observe::recorder::{self, EventKind};
use crate::observe::{looks, report};
use crate::primitives::atomic::Ordering;
use crate::primitives::event_count::WaitKey;
use crate::primitives::thread;
use crate::task::inherited;
use crate::time::clock::{WhenIdle, real_now};

impl Worker {
    /// Polls I/O and timers without sleeping, between two polls of tasks.
    pub(super) fn poll_driver_and_timers(&mut self, shared: &Shared) {
        if self.lease_holder_is_waking(shared) {
            // The lease holder takes the events.
            self.queue_share_of_injector(shared);
        } else {
            self.queue_ready(shared);
        }
        let now = real_now();
        self.clear_stalled(shared);
        let since = now.saturating_duration_since(self.driver_polled_at).as_nanos() as u64;
        self.publish(shared, since);
        let ms = shared.update_coarse_clock(now);
        shared.stall_detector.maybe_scan(shared, ms);
        start::retry_if_due(shared, ms);
        if now.saturating_duration_since(self.driver_polled_at) > DRIVER_GAP_MAX {
            shared.ensure_driver_polled();
        }
        self.tune(shared, now);
        self.expire(shared);
    }

    /// Queues what is ready elsewhere, without sleeping: first tasks of the injector, then those that events wake.
    pub(super) fn queue_ready(&mut self, shared: &Shared) {
        self.queue_share_of_injector(shared);
        if self.poll_driver(shared, Some(Duration::ZERO)) {
            // The token was meant for a parked worker.
            shared.apply(shared.idle.pass_token());
        }
        offer_events(shared);
    }

    /// Whether the lease holder is about to return from the driver with all events.
    ///
    /// A poll of the driver by this worker would take the token from it, and the token would be written again. That would repeat at
    /// each poll until the lease holder gets a CPU. This worker waits only for a short time, as the token may have woken another
    /// parked worker.
    #[inline(never)]
    fn lease_holder_is_waking(&mut self, shared: &Shared) -> bool {
        if !(shared.idle.has_token() && shared.parking.is_driver_leased()) {
            self.lease_wait_since = None;
            return false;
        }
        let now = real_now();
        let since = *self.lease_wait_since.get_or_insert(now);
        let waits = now.saturating_duration_since(since) < LEASE_PATIENCE;
        if !waits {
            self.lease_wait_since = None;
        }
        waits
    }

    /// Polls the driver once and dispatches the events. True if it returned the token.
    fn poll_driver(&mut self, shared: &Shared, timeout: Option<Duration>) -> bool {
        let has_token = self.wait_for_events(shared, timeout);
        self.dispatch_events(shared);
        has_token
    }

    /// The first half of a poll of the driver: it wakes no task.
    fn wait_for_events(&mut self, shared: &Shared, timeout: Option<Duration>) -> bool {
        if self.local.is_stealable() && shared.config.baton.is_none() {
            // `served-in-turn`: this worker takes as many as it will soon serve. The rest is for the next worker that has room.
            let missing = EVENTS_MAX.saturating_sub(self.local.queue_depth());
            self.events.set_limit(missing.max(self.driver_interval.div_ceil(POLLS_PER_EVENT) as usize));
        }
        match shared.parts.driver.wait(&mut self.events, timeout) {
            Ok(has_token) => has_token,
            Err(error) => {
                shared.expect_own_process("an async context");
                fatal_driver_error(&error)
            }
        }
    }

    /// The second half: it wakes the tasks that wait for the events.
    fn dispatch_events(&mut self, shared: &Shared) {
        let count = shared.parts.driver.dispatch(&mut self.events, &mut self.wakers);
        if count > 0 {
            self.record(shared, EventKind::DriverEvents, count as u64);
        }
        self.wakers.wake_all();
    }

    /// Records a quiet event of the flight recorder. Not inlined into the loop.
    #[inline(never)]
    pub(super) fn record(&self, shared: &Shared, kind: EventKind, argument: u64) {
        if shared.config.observe {
            recorder::on_worker(kind, argument);
        }
    }

    /// Fires the expired timers of this worker's wheel and of the wheels that no active worker owns.
    fn expire(&mut self, shared: &Shared) {
        let own = (!self.is_spare).then_some(self.local.index);
        for wheel in own.into_iter().chain(shared.common_wheels()) {
            if let Some(deadline) = shared.parts.timers.next_deadline(wheel) {
                let now = shared.parts.timers.now_tick();
                if deadline <= now {
                    let count = shared.parts.timers.expire(wheel, now, &mut self.wakers);
                    self.record(shared, EventKind::TimersFired, count as u64);
                    self.wakers.wake_all();
                }
            }
        }
        if shared.slab.next_trim_at() != u64::MAX {
            self.local.leave_clean(shared); // It may start a thread of the pool, and user code may make its name.
            maybe_trim_memory(shared);
        }
    }

    /// Spins for work from outside before the park. True if there is some.
    ///
    /// Only a searcher, or the only worker, spins: while any other worker spins, a push would wake a second one. I/O and timers
    /// wait no longer than they would behind a few short polls.
    #[inline]
    pub(super) fn spin_before_park(&mut self, shared: &Shared, root: &impl Root) -> bool {
        // A clean worker leaves such work to a worker that has already run tasks, so that no further thread starts for it.
        let no_push_wakes_another = self.searching.is_some() || !self.local.is_stealable();
        if !no_push_wakes_another || self.local.is_clean.get() {
            return false;
        }
        let mut spin = self.spin;
        let has_work = spin.spin(|| self.must_stay_awake(shared, root, false));
        self.spin = spin;
        if has_work {
            // As in `park`, where the last check finds work.
            thread::spin_loop();
        }
        has_work
    }

    /// Parks, steps 6 to 9 of PARKING.md. True if a push from outside has ended the sleep.
    pub(super) fn park(&mut self, shared: &Shared, root: &impl Root) -> bool {
        let searching = self.searching.take();
        let was_searching = searching.is_some();
        let key = shared.parking.event_count.prepare_wait();
        shared.idle.enter_park(searching);
        if self.must_stay_awake(shared, root, was_searching) {
            shared.idle.cancel_park();
            // The push may be half done: its thread has a few steps left.
            thread::spin_loop();
            return false;
        }
        if shared.config.hooks.park() {
            // The hook may have woken tasks, even on this worker.
            if self.must_stay_awake(shared, root, true) {
                shared.idle.cancel_park();
                // A hook that wakes a task each time must not starve timers and I/O.
                self.poll_driver_and_timers(shared);
                shared.config.hooks.unpark();
                return false;
            }
        }
        let slot = self.slot(shared);
        let polls = slot.mark.polls();
        add(&slot.counters.noops, u64::from(polls == self.polls_at_park));
        self.polls_at_park = polls;
        slot.parks.store(slot.parks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        slot.unparks.store(slot.unparks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        shared.stall_detector.on_park(shared);
        looks::on_park();
        let is_recorded = shared.config.observe && recorder::begin_sleep();
        let has_token = self.sleep(shared, root, key);
        let woken_at = if is_recorded { recorder::now() } else { 0 };
        let woken_by_push = has_token && (root.is_woken() || !shared.injector.is_empty());
        slot.unparks.store(slot.unparks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.searching = shared.idle.leave_park(has_token);
        // After `leave_park`: a task that this wakes must not count this worker as parked.
        let count = shared.parts.driver.dispatch(&mut self.events, &mut self.wakers);
        if is_recorded {
            recorder::end_sleep(woken_at, count as u64);
        }
        self.wakers.wake_all();
        self.expire(shared);
        offer_events(shared);
        shared.config.hooks.unpark();
        woken_by_push
    }

    /// The last check before the sleep (step 7 of PARKING.md). With rescue, only a worker that searched checks the rings of others: any
    /// other worker leaves that to the searchers.
    fn must_stay_awake(&self, shared: &Shared, root: &impl Root, checks_others: bool) -> bool {
        root.is_woken()
            || shared.is_closed()
            || !shared.injector.is_empty()
            || !self.local.is_empty()
            || ((checks_others || !shared.config.rescue.is_on())
                && self.local.is_stealable()
                && has_tasks_in_rings(shared))
    }

    /// Sleeps until a wake-up, an event or the next deadline. True if a notification woke it.
    fn sleep(&mut self, shared: &Shared, root: &impl Root, key: WaitKey) -> bool {
        let timers = &shared.parts.timers;
        let clock = timers.clock();
        if clock.is_paused() {
            return self.sleep_paused(shared, root);
        }
        let own = if self.is_spare { None } else { timers.next_deadline(self.local.index) };
        let mut common = shared.common_wheels().filter_map(|wheel| timers.next_deadline(wheel)).min();
        let trim_at = shared.slab.next_trim_at();
        if trim_at != u64::MAX {
            shared.slab.flush_cache();
            common = Some(common.map_or(trim_at, |deadline| deadline.min(trim_at)));
        }
        // `cover`: another worker may sleep to this deadline already. AcqRel: pairs with itself; a plain minimum.
        let common = common.filter(|deadline| {
            shared.config.workers == 1 || shared.covered.fetch_min(*deadline, Ordering::AcqRel) > *deadline
        });
        let deadline = match (own, common) {
            (Some(own), Some(common)) => Some(own.min(common)),
            (own, common) => own.or(common),
        };
        let mut timeout = deadline.map(|deadline| timers.duration_until(deadline));
        if self.is_spare {
            // It checks at this interval whether it may retire.
            timeout = Some(
                timeout.map_or(spares::RETIRE_CHECK_INTERVAL, |timeout| timeout.min(spares::RETIRE_CHECK_INTERVAL)),
            );
        }
        let has_token = self.sleep_for(shared, key, timeout);
        if let Some(common) = common {
            // Another worker may cover an earlier deadline by now. Then the exchange fails. Relaxed: it carries nothing else.
            let _ = shared.covered.compare_exchange(common, u64::MAX, Ordering::Relaxed, Ordering::Relaxed);
        }
        has_token
    }

    /// Sleeps in the driver, or at the event count while another worker has the driver lease (`one-lease` of `parking`).
    fn sleep_for(&mut self, shared: &Shared, key: WaitKey, mut timeout: Option<Duration>) -> bool {
        if !self.local.is_stealable() {
            return self.wait_for_events(shared, shared.stall_detector.bound_sleep(shared, timeout));
        }
        let parking = &shared.parking;
        if shared.has_others_awake() && !parking.is_driver_leased() {
            // They poll the driver soon, and then take all events that have arrived.
            let aside = timeout.map_or(DRIVER_DEFER, |timeout| timeout.min(DRIVER_DEFER));
            if parking.event_count.wait(key, Some(aside)) {
                return true;
            }
            timeout = timeout.map(|timeout| timeout - aside);
            if parking.event_count.is_notified_since(key) || timeout == Some(Duration::ZERO) {
                return false;
            }
        }
        let Some(lease) = parking.try_lease_driver() else {
            return parking.event_count.wait(key, timeout);
        };
        let has_token = self.wait_for_events(shared, timeout);
        drop(lease);
        // `nothing-behind`: the token may be behind events that were left, or may have come after the wait. Workers that found the
        // lease taken rely on this one to take it.
        has_token || shared.idle.has_token_after_lease()
    }

    /// Sleeps with a paused clock: the clock advances exactly when there is nothing else to do.
    #[cold]
    fn sleep_paused(&mut self, shared: &Shared, root: &impl Root) -> bool {
        let timers = &shared.parts.timers;
        let mut has_token = false;
        let decision = timers.clock().when_idle(|| {
            has_token = self.poll_driver(shared, Some(Duration::ZERO));
            // Events that were left are work, too: they may wake a task before the next deadline.
            !(has_token || shared.parts.driver.may_have_more() || self.must_stay_awake(shared, root, false))
        });
        let next = (0..=shared.config.workers).filter_map(|wheel| timers.next_deadline(wheel)).min();
        match (decision, next) {
            (WhenIdle::HasWork, _) => has_token,
            (WhenIdle::Jump, Some(tick)) => {
                timers.clock().advance_to(timers.instant_of(tick));
                false
            }
            (WhenIdle::Jump, None) | (WhenIdle::Wait, _) => {
                self.poll_driver(shared, shared.stall_detector.bound_sleep(shared, None))
            }
        }
    }
}

/// Whether a searcher would find a task.
fn has_tasks_in_rings(shared: &Shared) -> bool {
    shared.slots().any(WorkerSlot::has_tasks_for_others)
}

/// Whether a poll of the driver has left events, which no worker may see while this one is in a long poll (`nothing-behind`).
fn has_unwatched_events(shared: &Shared) -> bool {
    !shared.config.rescue.is_on() && shared.parts.driver.may_have_more()
}

/// Wakes a worker for them. The caller is not counted as parked.
fn offer_events(shared: &Shared) {
    if has_unwatched_events(shared) {
        shared.offer();
    }
}

/// Whether there is a reason to wake a parked worker: tasks, events, or a deadline that no parked worker's timeout covers. By `cover` this
/// worker is awake then, but it may be busy until after the deadline.
pub(super) fn has_work_for_others(shared: &Shared) -> bool {
    // Relaxed: a snapshot; a thread that sets a deadline does so before its fence `submit-vs-park`.
    let is_uncovered = |deadline| deadline < shared.covered.load(Ordering::Relaxed);
    !shared.injector.is_empty()
        || has_tasks_in_rings(shared)
        || has_unwatched_events(shared)
        || shared.common_wheels().filter_map(|wheel| shared.parts.timers.next_deadline(wheel)).any(is_uncovered)
}

/// If the time to trim has come, runs a closure on the blocking pool that returns idle memory to the system.
#[cold]
fn maybe_trim_memory(shared: &Shared) {
    // A paused clock does not measure idleness.
    let now = shared.parts.timers.now_tick();
    if shared.slab.next_trim_at() > now || shared.parts.timers.clock().is_paused() {
        return;
    }
    if let Some(trim) = shared.slab.maybe_trim(now) {
        // If the system refuses a thread for it now, the next spike tries again.
        drop(inherited::without(|| try_spawn_on(&shared.arc(), || trim.run(), None)));
    }
}

/// Aborts: the runtime cannot work without the driver, and a hang would be worse than a message.
fn fatal_driver_error(error: &io::Error) -> ! {
    report::fatal(format_args!(
        "waiting for I/O failed on thread `{}`: {error}. The descriptor of the runtime's epoll was closed or \
         changed by other code of this process; find the code that closes descriptors that are not its own. Aborting.",
        thread::current_name()
    ))
}

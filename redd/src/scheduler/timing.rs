//! What a worker measures of itself, and the intervals that it derives from that: how often it polls the driver and checks the
//! injector.
//!
//! Called by the loop in `worker` and by `park`.

use std::time::Instant;

use super::pace::{DRIVER_GAP_MAX, INJECTOR_INTERVAL_MAX, INJECTOR_PATIENCE_NS, OFFER_MAX, OFFER_NS, SMOOTHING};
use super::shared::{Shared, Worker};
use crate::observe::counters::add;
use crate::primitives::atomic::Ordering;
use crate::time::clock::real_now;

impl Worker {
    /// Counts the time since `since` as busy. Returns the time.
    pub(super) fn add_busy(&mut self, shared: &Shared, since: Instant) -> Instant {
        let now = real_now();
        let ns = now.saturating_duration_since(since).as_nanos();
        let busy = &self.slot(shared).busy_ns;
        busy.store(busy.load(Ordering::Relaxed).wrapping_add(ns as u64), Ordering::Relaxed);
        self.publish(shared, ns as u64);
        now
    }

    /// Publishes what is counted without atomics, and the mean time of a poll. The polls since the last call took `ns` in total.
    pub(super) fn publish(&mut self, shared: &Shared, ns: u64) {
        let slot = self.slot(shared);
        add(&slot.counters.local_schedules, u64::from(self.local.scheduled.take()));
        slot.counters.fifo_len.store(self.local.private_len() as u64, Ordering::Relaxed);
        let polls = slot.mark.polls() / 2;
        let new = polls.wrapping_sub(std::mem::replace(&mut self.polls_timed, polls));
        if new > 0 && self.local.is_stealable() {
            let (mean, before) = (ns / new, slot.counters.poll_ns.load(Ordering::Relaxed));
            // The same smoothing as in `tune`.
            let smoothed = if before == 0 {
                mean.max(1)
            } else {
                before - before / u64::from(SMOOTHING) + mean / u64::from(SMOOTHING)
            };
            slot.counters.poll_ns.store(smoothed, Ordering::Relaxed);
        }
    }

    /// Adapts the intervals to the time of a poll, so that a task from outside waits about as long behind short polls as behind
    /// long ones. The same holds for I/O and timers.
    pub(super) fn tune(&mut self, shared: &Shared, now: Instant) {
        let since = now.saturating_duration_since(self.driver_polled_at).as_nanos() as f64;
        let mean = since / f64::from(self.driver_interval);
        self.poll_ns += (mean - self.poll_ns) / f64::from(SMOOTHING);
        let polls = DRIVER_GAP_MAX.as_nanos() as f64 / self.poll_ns.max(1.0);
        self.driver_interval = (polls as u32).clamp(1, shared.config.event_interval.max(1));
        if shared.config.rescue.is_on() {
            self.offer_from = ((OFFER_NS / self.poll_ns.max(1.0)) as usize).clamp(1, OFFER_MAX);
        }
        if shared.config.global_queue_interval.is_none() {
            let polls = INJECTOR_PATIENCE_NS / self.poll_ns.max(1.0);
            self.injector_interval = (polls as u32).clamp(2, INJECTOR_INTERVAL_MAX);
        }
        self.driver_polled_at = now;
    }
}

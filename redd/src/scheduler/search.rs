//! Where a worker's next task comes from: its own queue, the injector, the queues of other workers.
//!
//! Called by the loop in `worker`, and by `stand_in`, which hands a worker's tasks over.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; tasks' raw references")]

use super::choices::Flavor;
use super::local_queue::LocalQueue;
use super::pace::{INJECTED_BATCH_MAX, LIFO_STREAK_MAX, WORLD_CHOICES_MAX};
use super::park::has_work_for_others;
use super::shared::{Shared, Worker};
use crate::observe::counters::add;
use crate::observe::recorder::EventKind;
use crate::primitives::baton::Baton;
use crate::task::Runnable;
use crate::task::runnable::TaskRef;

impl Worker {
    /// Checks the worker's own queue, then the injector, then the queues of others. At intervals the injector comes first, or
    /// tasks from outside would starve.
    #[inline]
    pub(super) fn next_task(&mut self, shared: &Shared) -> Option<Runnable> {
        self.tick = self.tick.wrapping_add(1);
        if self.tick % self.injector_interval == 0 {
            if let Some(runnable) = self.pop_first(shared) {
                return Some(runnable);
            }
        }
        if let Some(runnable) = self.pop_own(shared) {
            return Some(runnable);
        }
        if self.local.is_stealable() && shared.parts.driver.may_have_more() {
            if let Some(runnable) = self.queue_ready_and_pop(shared) {
                return Some(runnable);
            }
        }
        let workers = shared.config.workers;
        let batch = (shared.injector.len() / workers + 1).min(INJECTED_BATCH_MAX);
        if let Some(runnable) = self.pop_injected(shared, batch) {
            return Some(runnable);
        }
        if self.local.is_stealable() { self.steal(shared) } else { None }
    }

    /// The last poll of the driver has left events. To take them is cheaper than to steal, or to park.
    #[inline(never)]
    fn queue_ready_and_pop(&mut self, shared: &Shared) -> Option<Runnable> {
        self.queue_ready(shared);
        self.pop_own(shared)
    }

    /// Queues this worker's share of the injector behind its own tasks, up to half of what its run queue holds (`served-in-turn`).
    #[inline]
    pub(super) fn queue_share_of_injector(&mut self, shared: &Shared) {
        if !shared.injector.is_empty() {
            self.queue_injected(shared);
        }
    }

    #[inline(never)]
    fn queue_injected(&mut self, shared: &Shared) {
        if shared.config.baton.is_some() {
            return; // `next_in_world` takes all of them.
        }
        let depth = if self.local.is_stealable() { self.local.queue_depth() } else { 0 };
        let share = (shared.injector.len() / shared.config.workers + 1).min(INJECTED_BATCH_MAX.saturating_sub(depth));
        if share == 0 {
            return;
        }
        let mut count = 0;
        shared.injector.pop_batch(share, |task| {
            count += 1;
            // SAFETY: `one-owner`; the injector's reference passes to the queue.
            unsafe { self.local.push_back(shared, task) };
        });
        if count > 0 {
            self.record(shared, EventKind::SharedBatch, count);
            self.offer_rest(shared);
        }
    }

    /// The task that comes first at the interval: one from outside, or in a simulated world the one that the seed chooses.
    #[inline(never)]
    fn pop_first(&mut self, shared: &Shared) -> Option<Runnable> {
        if shared.config.baton.is_some() { self.next_in_world(shared) } else { self.pop_injected(shared, 1) }
    }

    /// Lets another thread of the world run, if the seed says so. Then chooses one of the tasks that are ready here.
    #[cold]
    fn next_in_world(&mut self, shared: &Shared) -> Option<Runnable> {
        Baton::maybe_pass();
        let baton = shared.config.baton.as_ref()?;
        if shared.config.has_crashed() {
            if shared.config.flavor == Flavor::MultiThread {
                shared.end_after_crash(); // If the program keeps the runtime, nothing else ends this thread.
            }
            return None;
        }
        // All tasks that are ready join one queue. If they are more than the queue holds, the rest waits for its turn.
        while !shared.injector.is_empty() && self.local.queue_depth() < WORLD_CHOICES_MAX {
            let task = self.pop_injected(shared, 1)?.into_raw();
            // SAFETY: `one-owner`; the injector's reference passes to the queue.
            unsafe { self.local.push_back(shared, task) };
        }
        if self.local.is_stealable() {
            // SAFETY: `one-owner`.
            if let Some(task) = unsafe { self.slot(shared).queue.take_lifo() } {
                // SAFETY: as above; its reference passes to the ring.
                unsafe { self.local.push_back(shared, task) };
            }
        }
        let depth = self.local.queue_depth();
        let mut ids = Vec::new();
        if baton.ranks_tasks() {
            for _ in 0..depth {
                ids.push(self.postpone_first(shared)?.id().number());
            }
        }
        let skipped = baton.choose_task(depth, &ids);
        let first = if skipped > 0 { Some(self.postpone_first(shared)?) } else { None };
        for _ in 1..skipped {
            self.postpone_first(shared)?;
        }
        let chosen = self.pop_own(shared)?;
        if let Some(first) = first.filter(|_| baton.keeps_words()) {
            let [chosen, first] = [chosen.task(), &first].map(|task| baton.name_task(task.id().number(), &task.info()));
            baton.describe_choice(&|| format!("{chosen} runs before {first}"));
        }
        Some(chosen)
    }

    /// Moves the first task of the queue to its end.
    fn postpone_first(&mut self, shared: &Shared) -> Option<TaskRef> {
        let runnable = self.pop_own(shared)?;
        let task = runnable.task().clone();
        // SAFETY: `one-owner`; the reference goes back to the queue.
        unsafe { self.local.push_back(shared, runnable.into_raw()) };
        Some(task)
    }

    #[inline]
    pub(super) fn pop_own(&mut self, shared: &Shared) -> Option<Runnable> {
        if let LocalQueue::Private { ready, .. } = &self.local.queue {
            // SAFETY: the list owns the references of its tasks.
            return ready.pop().map(|task| unsafe { Runnable::from_raw(task) });
        }
        let queue = &self.slot(shared).queue;
        // SAFETY: `one-owner`.
        let woken_last = unsafe { queue.take_lifo() };
        let task = match woken_last {
            Some(task) if self.lifo_streak < LIFO_STREAK_MAX => {
                self.lifo_streak += 1;
                Some(task)
            }
            woken_last => {
                self.lifo_streak = 0;
                if let Some(task) = woken_last {
                    // SAFETY: `one-owner`.
                    unsafe { self.local.push_back(shared, task) };
                }
                // SAFETY: `one-owner`.
                unsafe { queue.pop() }
            }
        }?;
        // A parked worker may take the tasks that would wait for this poll.
        if queue.len() >= self.offer_from {
            shared.offer();
        }
        // SAFETY: the queue owned the reference.
        Some(unsafe { Runnable::from_raw(task) })
    }

    /// Takes up to `batch` tasks from the injector: returns the first, and queues the others here.
    #[inline]
    fn pop_injected(&mut self, shared: &Shared, batch: usize) -> Option<Runnable> {
        if shared.injector.is_empty() { None } else { self.pop_batch(shared, batch) }
    }

    /// Separate from `pop_injected`, so that the check of an empty injector needs no call. That saves 18 instructions of each yield.
    #[inline(never)]
    fn pop_batch(&mut self, shared: &Shared, batch: usize) -> Option<Runnable> {
        let (mut first, mut count) = (None, 0);
        shared.injector.pop_batch(batch, |task| {
            count += 1;
            if first.is_none() {
                first = Some(task);
            } else {
                // SAFETY: `one-owner`; the injector's reference passes to the queue.
                unsafe { self.local.push_back(shared, task) };
            }
        });
        let first = first?;
        self.record(shared, EventKind::SharedBatch, count);
        self.offer_rest(shared);
        // SAFETY: the injector owned the reference.
        Some(unsafe { Runnable::from_raw(first) })
    }

    /// Step 10 of PARKING.md: a parked worker may take the tasks that are left in either queue.
    fn offer_rest(&self, shared: &Shared) {
        let has_more = self.local.is_stealable() && !self.slot(shared).queue.is_ring_empty();
        if has_more || !shared.injector.is_empty() {
            shared.offer();
        }
    }

    fn steal(&mut self, shared: &Shared) -> Option<Runnable> {
        if !self.start_searching(shared) {
            return None;
        }
        let slots = shared.slots();
        let count = slots.len();
        let start = self.rng.below(count as u32) as usize;
        for offset in 0..count {
            let index = (start + offset) % count;
            if index == self.local.index {
                continue;
            }
            let victim = shared.slot(index);
            if !victim.state.is_active() {
                // Its thread may not run the task of its LIFO slot for long.
                if let Some(task) = victim.queue.steal_lifo() {
                    self.count_stolen(shared, 1);
                    // SAFETY: the queue owned the reference.
                    return Some(unsafe { Runnable::from_raw(task) });
                }
            }
            // SAFETY: `one-owner`: the destination is this worker's queue.
            let stolen = unsafe { shared.slot(index).queue.steal_into(&self.slot(shared).queue) };
            if let Some(task) = stolen {
                // A worker that has tasks does not steal, so the queue now holds the rest of what was stolen.
                self.count_stolen(shared, self.slot(shared).queue.len() as u64 + 1);
                // SAFETY: the queue owned the reference.
                return Some(unsafe { Runnable::from_raw(task) });
            }
        }
        self.pop_injected(shared, 1)
    }

    fn count_stolen(&self, shared: &Shared, tasks: u64) {
        let counters = &self.slot(shared).counters;
        add(&counters.steals, 1);
        add(&counters.stolen_tasks, tasks);
        self.record(shared, EventKind::Steal, tasks);
    }

    fn start_searching(&mut self, shared: &Shared) -> bool {
        if self.searching.is_none() {
            self.searching = shared.idle.start_search(shared.config.workers.div_ceil(2));
        }
        self.searching.is_some()
    }

    /// Ends the search. If the last searcher leaves work, it wakes the next worker (`chained-wakes`).
    ///
    /// Not inlined into the loop, like `lease_holder_is_waking`: inlined, they cost 3 ns of a yield's 29 (`yield_200`).
    #[inline(never)]
    pub(super) fn stop_searching(&mut self, shared: &Shared) {
        let Some(searching) = self.searching.take() else { return };
        if shared.idle.end_search(searching) && has_work_for_others(shared) {
            shared.wake_worker();
        }
    }
}

//! The loop: next task, poll, look at the world, park.
//!
//! Run by the worker threads of a multi-thread runtime, by `block_on` of a current-thread one, and by spares that stand
//! in for a worker that is blocked or stuck.
//!
//! # Invariants
//! - `one-owner`: the thread that `LOCAL` names as a worker is the only one that pushes to and pops from its queue.
//! - `flag-while-polling`: a slot's mark says exactly while a task of it is being polled that it is.
//! - `cover`: if the shared wheel has a deadline and workers sleep, one of them sleeps no longer than to that deadline,
//!   or a worker is awake that will look at the wheel before it sleeps.

#![expect(unsafe_code, reason = "owner-only calls of the run queue; tasks' raw references")]

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::active::Step;
use super::counters::add;
use super::idle::AfterPark;
use super::rescue::poll_mark;
use super::{Flavor, Shared, WorkerSlot, idle, spares, start};
use crate::collections::wake_list::WakeList;
use crate::driver::EventBuffer;
use crate::observe::report::{self, AbortOnUnwind};
use crate::primitives::atomic::Ordering;
use crate::primitives::event_count::WaitKey;
use crate::primitives::parker;
use crate::primitives::rng::Rng;
use crate::primitives::spin::Spin;
use crate::primitives::{thread, thread_local};
use crate::runtime::context;
use crate::sys;
use crate::task::Runnable;
use crate::task::cell::Header;
use crate::task::poll::Ran;
use crate::task::waker;
use crate::time::clock::{WhenIdle, real_now};

/// How often in a row a worker takes the task it just woke before it looks at the others. The figure is Tokio's.
pub(super) const NEXT_STREAK_MAX: u32 = 3;

/// How long a task in the injector may wait for a busy worker, about; the figures are Tokio's.
const INJECTOR_PATIENCE_NS: f64 = 200_000.0;
const INJECTOR_INTERVAL_FIRST: u32 = 61;
const INJECTOR_INTERVAL_MAX: u32 = 127;

/// How often a current-thread runtime goes round its yielding tasks, or back to a root that its tasks wake, before it
/// looks for I/O and timers. A look costs 150 ns, a yield 25; picked by feel.
const LAPS_WITHOUT_LOOKING: u32 = 16;

/// Work in the ring that is worth a wake at the start of a poll: less is done before a thread is up, and each time that
/// half of it was taken the next half would be offered. In time, and at most in tasks; picked by feel.
const OFFER_NS: f64 = 100_000.0;
const OFFER_MAX: usize = 64;

/// How long a worker without work leaves the driver to those that are awake before it waits there itself: some hundred
/// requests of a server. Picked by feel.
const ASIDE: Duration = Duration::from_millis(1);

/// A worker that comes to look for I/O this rarely has one that sleeps by the bell wait for it instead; picked by feel.
const LONG_BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// How long a busy worker leaves the driver to a watcher that has been woken; picked by feel.
const LEASE_PATIENCE: Duration = Duration::from_micros(100);

/// At most as many tasks at once from the injector.
const INJECTED_BATCH_MAX: usize = 128;

thread_local! {
    /// The worker that this thread is; null if it is none.
    pub(super) static LOCAL: Cell<*const Local> = const { Cell::new(ptr::null()) };
    /// The address of the runtime of which this thread is a worker, from its first step to `leave`: also while its loop does
    /// not run. Zero if it is none.
    static SERVES: Cell<usize> = const { Cell::new(0) };
}

/// What code on the worker's thread needs of its worker: where to push.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) shared: *const Shared,
    pub(super) index: usize,
    pub(super) slot: *const WorkerSlot,
    /// The queue of a current-thread runtime: nobody steals, so it is a plain list in order of arrival.
    fifo: Fifo,
    has_fifo: bool,
    use_next_slot: bool,
    /// This thread has not run user code, and starts its successor before it does (`one-ahead` of `start`).
    is_clean: Cell<bool>,
    /// Tasks queued here since the last `publish`.
    scheduled: Cell<u32>,
}

impl Local {
    /// If not, the thread is blocked or said to be stuck, so what it wakes goes to the others.
    #[inline]
    pub(super) fn is_active(&self) -> bool {
        self.slot().state.is_active()
    }

    #[inline]
    pub(super) fn slot(&self) -> &WorkerSlot {
        // SAFETY: the slot lives as long as the runtime, which the thread that runs the worker keeps.
        unsafe { &*self.slot }
    }

    /// # Safety
    /// The calling thread is this worker (`one-owner`), and `shared` is its runtime.
    #[inline]
    pub(super) unsafe fn push(&self, shared: &Shared, runnable: Runnable) {
        self.scheduled.set(self.scheduled.get().wrapping_add(1));
        if self.has_fifo {
            self.fifo.push(runnable.into_raw());
            return;
        }
        let task = runnable.into_raw();
        let displaced = if self.use_next_slot {
            // SAFETY: `one-owner`.
            match unsafe { (*self.slot).queue.push_next(task) } {
                Some(displaced) => displaced,
                None => return,
            }
        } else {
            task
        };
        // SAFETY: `one-owner`.
        unsafe { self.push_back(shared, displaced) };
    }

    pub(super) fn queue_depth(&self) -> usize {
        if self.has_fifo {
            return self.fifo.len.get();
        }
        // SAFETY: the slot lives as long as `shared`.
        unsafe { (*self.slot).queue.len() }
    }

    /// # Safety
    /// As for `push`; the caller passes on the task's `Runnable` reference.
    pub(super) unsafe fn push_back(&self, shared: &Shared, task: NonNull<Header>) {
        if self.has_fifo {
            self.fifo.push(task);
            return;
        }
        // SAFETY: the slot lives as long as `shared`.
        let queue = unsafe { &(*self.slot).queue };
        // SAFETY: `one-owner`.
        unsafe {
            queue.push(task, |batch| {
                let counters = &(*self.slot).counters;
                add(&counters.overflows, 1);
                add(&counters.overflowed_tasks, batch.len() as u64);
                if let Err(refused) = shared.injector.push_batch(batch) {
                    // The batch carries the references of its `Runnable`s.
                    refused.for_each(|task| drop(Runnable::from_raw(task)));
                }
            });
        }
        // Two tasks are more than this worker takes next; one is not worth a wake. Between polls nothing keeps them waiting:
        // whoever starts the next poll makes the offer (`Worker::pop_own`). While a worker has never run a task no other
        // searches by chance, so that one is worth it.
        let has_clean = shared.workers.has_clean.load(Ordering::Relaxed);
        // SAFETY: as above.
        if (has_clean || queue.len() >= 2) && poll_mark::is_polling(unsafe { (*self.slot).mark.polls() }) {
            if has_clean {
                // It may go to sleep for the first time just now, and nothing repeats the offer of a poll that blocks.
                idle::after_remote_push();
            }
            shared.wake_worker();
        }
    }
}

impl Local {
    /// `one-ahead`: this thread is about to run user code.
    fn leave_clean(&self, shared: &Shared) {
        if self.is_clean.replace(false) {
            start::start_successor(shared);
        }
    }
}

/// A worker that may be clean is about to call a waker; false if it is clean no more. Wakers of tasks and of `block_on` run no
/// user code.
fn before_wake(waker: &Waker) -> bool {
    // SAFETY: set while the worker runs on this thread.
    let Some(local) = (unsafe { LOCAL.get().as_ref() }) else { return false };
    if !(waker::is_of_task(waker) || parker::is_of_parker(waker)) {
        // SAFETY: the thread that runs the worker keeps its runtime.
        local.leave_clean(unsafe { &*local.shared });
    }
    local.is_clean.get()
}

/// A list of queued tasks through their `next` links, for one thread.
#[derive(Debug)]
struct Fifo {
    head: Cell<*mut Header>,
    tail: Cell<*mut Header>,
    len: Cell<usize>,
}

impl Fifo {
    const fn new() -> Self {
        Self { head: Cell::new(ptr::null_mut()), tail: Cell::new(ptr::null_mut()), len: Cell::new(0) }
    }

    #[inline]
    fn push(&self, task: NonNull<Header>) {
        // SAFETY: the list owns a reference of each task in it, and the link belongs to the queue that holds the task.
        unsafe {
            task.as_ref().set_next(ptr::null_mut());
            match self.tail.replace(task.as_ptr()).as_ref() {
                Some(tail) => tail.set_next(task.as_ptr()),
                None => self.head.set(task.as_ptr()),
            }
        }
        self.len.set(self.len.get() + 1);
    }

    /// Moves all of `other` to the end.
    #[inline]
    fn append(&self, other: &Self) {
        let head = other.head.replace(ptr::null_mut());
        if head.is_null() {
            return;
        }
        // SAFETY: as in `push`.
        match unsafe { self.tail.replace(other.tail.replace(ptr::null_mut())).as_ref() } {
            Some(tail) => tail.set_next(head),
            None => self.head.set(head),
        }
        self.len.set(self.len.get() + other.len.take());
    }

    #[inline]
    fn pop(&self) -> Option<NonNull<Header>> {
        let task = NonNull::new(self.head.get())?;
        // SAFETY: as in `push`.
        let next = unsafe { task.as_ref().next() };
        self.head.set(next);
        if next.is_null() {
            self.tail.set(ptr::null_mut());
        }
        self.len.set(self.len.get() - 1);
        Some(task)
    }
}

/// The future that `block_on` runs beside the tasks.
pub(crate) trait Root {
    /// Whether a poll of it may panic; then the loop ends with that panic.
    const MAY_PANIC: bool;
    /// Polls it if it was woken; true when it has ended.
    fn poll_if_woken(&mut self) -> bool;
    /// Whether its waker was called since the last poll.
    fn is_woken(&self) -> bool;
}

/// For worker threads, which have none.
pub(super) struct NoRoot;

impl Root for NoRoot {
    const MAY_PANIC: bool = false;

    fn poll_if_woken(&mut self) -> bool {
        false
    }
    fn is_woken(&self) -> bool {
        false
    }
}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    RootFinished,
    Closed,
    /// This spare is not needed any more.
    Retired,
}

/// One worker: what its own thread needs.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Behind a pointer: code inside a poll pushes to it through `LOCAL` while `&mut self` is in use.
    local: Box<Local>,
    /// How many polls there were when it last slept, and while it is asked to sleep again without one: a no-op.
    polls_at_park: u64,
    /// The polls of which `counters.poll_ns` knows.
    polls_timed: u64,
    thread: Option<thread::PublicId>,
    tick: u32,
    /// Polls between two looks into the injector, and the smoothed time of a poll that it follows from.
    injector_interval: u32,
    poll_ns: f64,
    looked_at: Instant,
    /// Since when it leaves the driver to the watcher.
    waits_for_lease_since: Option<Instant>,
    pub(super) next_streak: u32,
    /// Polls between two looks at the world.
    look_interval: u32,
    /// So many tasks in the ring are worth a wake when a poll starts.
    offer_from: usize,
    pub(super) is_searching: bool,
    /// What is known of its sleeps that a push from outside has ended.
    spin: Spin,
    is_spare: bool,
    /// Tasks of a current-thread runtime that gave way: they run again after all others, and after the root.
    yielded: Fifo,
    laps: u32,
    rng: Rng,
    events: EventBuffer,
    wakers: WakeList,
}

// SAFETY: a worker moves between threads only while no thread runs it; the raw pointers are to its runtime, which the
// thread that runs it keeps alive.
unsafe impl Send for Worker {}

impl Worker {
    pub(crate) fn new(shared: &Shared, index: usize) -> Box<Self> {
        let is_multi = shared.config.flavor == Flavor::MultiThread;
        if is_multi {
            // This thread runs it to the end.
            SERVES.set(ptr::from_ref(shared).addr());
            shared.slot(index).thread.store(sys::thread::current_id(), Ordering::Relaxed);
        }
        Box::new(Self {
            local: Box::new(Local {
                shared,
                index,
                slot: shared.use_slot(index),
                fifo: Fifo::new(),
                has_fifo: !is_multi,
                use_next_slot: shared.config.use_next_slot,
                is_clean: Cell::new(false),
                scheduled: Cell::new(0),
            }),
            polls_at_park: 0,
            polls_timed: 0,
            thread: None,
            tick: 0,
            injector_interval: shared.config.global_queue_interval.unwrap_or(INJECTOR_INTERVAL_FIRST),
            poll_ns: INJECTOR_PATIENCE_NS / f64::from(INJECTOR_INTERVAL_FIRST),
            looked_at: real_now(),
            waits_for_lease_since: None,
            next_streak: 0,
            look_interval: shared.config.event_interval,
            offer_from: 1,
            is_searching: false,
            spin: Spin::default(),
            yielded: Fifo::new(),
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
    fn slot<'a>(&self, _: &'a Shared) -> &'a WorkerSlot {
        // SAFETY: the slot lives as long as the runtime. Not by its index, which costs 1 ns of a yield's 29.
        unsafe { &*self.local.slot }
    }

    /// Runs tasks until the root ends or the runtime closes.
    pub(super) fn run<R: Root>(&mut self, shared: &Shared, root: &mut R) -> Ended {
        let _own = (!R::MAY_PANIC).then(|| AbortOnUnwind("the worker thread"));
        let _active = self.is_multi(shared).then(|| Looping::begin(shared));
        let _thread = OnThread::enter(self);
        self.note_thread(shared);
        let mut busy_since = real_now();
        shared.stall_detector.on_wake(shared);
        let mut is_first = true;
        // Polls until the next look at the world. A spare looks first: it may be the only one that has time to.
        let mut left = if self.is_spare { 0 } else { self.look_interval };
        if self.is_spare {
            // As in `resume_after_stall`: it may have waited for a call since it looked last.
            (self.looked_at, self.tick) = (busy_since, 0);
        }
        loop {
            if root.poll_if_woken() {
                // A root that never waits is not worth a second look at the clock; its time does not count.
                if !is_first {
                    self.add_busy(shared, busy_since);
                }
                return Ended::RootFinished;
            }
            is_first = false;
            self.readmit_yielded();
            // A root that gives way expects the look.
            let may_skip_look = !root.is_woken();
            let (mut skips_look, mut was_stalled) = (false, false);
            // This loop is the scheduler.
            while left > 0 {
                if shared.is_disturbed() {
                    if shared.is_closed() {
                        self.stop_searching(shared);
                        self.add_busy(shared, busy_since);
                        return Ended::Closed;
                    }
                    was_stalled = self.clear_stalled(shared);
                    if was_stalled {
                        self.resume_after_stall(shared);
                        break; // to `poll_driver_and_timers`: the next task may block too, and timers and I/O wait for long
                    }
                }
                if let Some(runnable) = self.next_task(shared) {
                    // A task that another just woke counts with it, so a chain of wakes does not look four times as often.
                    left -= u32::from(self.next_streak == 0);
                    self.poll(shared, runnable);
                    continue;
                }
                left -= 1;
                if root.is_woken() {
                    skips_look = may_skip_look && self.may_go_round();
                    break;
                }
                if self.next_lap() {
                    continue;
                }
                if !self.yielded.head.get().is_null() {
                    break; // to `poll_driver_and_timers`
                }
                if self.may_retire(shared) {
                    self.stop_searching(shared);
                    self.add_busy(shared, busy_since);
                    return Ended::Retired;
                }
                if self.spin_before_park(shared, root) {
                    continue;
                }
                let since = self.add_busy(shared, busy_since);
                let was_called = self.park(shared, root);
                busy_since = real_now();
                if was_called {
                    self.spin.note_sleep(busy_since.saturating_duration_since(since));
                }
                self.clear_stalled(shared);
                shared.stall_detector.on_wake(shared);
                let ms = shared.note_time(busy_since);
                shared.stall_detector.maybe_scan(shared, ms);
                start::retry_if_due(shared, ms);
                self.looked_at = busy_since;
                skips_look = true;
                left = self.look_interval;
                break;
            }
            if !skips_look {
                self.poll_driver_and_timers(shared);
                left = self.look_interval;
                // Not before what it has just seen has had its turn: the others may be stuck and not known to be.
                if !was_stalled && self.may_retire(shared) {
                    self.add_busy(shared, busy_since);
                    return Ended::Retired;
                }
            }
        }
    }

    /// This thread has not run user code yet (`one-ahead`).
    pub(super) fn become_clean(&mut self) {
        self.local.is_clean.set(true);
        self.wakers.set_before_wake(before_wake);
    }

    /// As in Tokio, a worker that starts when the runtime has closed already is one that slept once, with nothing to do:
    /// who waits for each worker's first sleep need not wait for ever.
    fn count_late_start(&self, shared: &Shared) {
        let slot = self.slot(shared);
        if slot.parks.load(Ordering::Relaxed) == 0 {
            add(&slot.parks, 1);
            add(&slot.counters.noops, 1);
        }
    }

    /// The slot says which thread is the worker.
    fn note_thread(&mut self, shared: &Shared) {
        let thread = Some(thread::public_id());
        if self.thread != thread {
            self.thread = thread;
            *self.slot(shared).thread_id.lock() = thread;
        }
    }

    /// Those that gave way get their turn again.
    #[inline]
    fn readmit_yielded(&mut self) {
        self.local.fifo.append(&self.yielded);
    }

    /// Only tasks that gave way are left: another lap with them, at most so many without a look at the world.
    fn next_lap(&mut self) -> bool {
        let may = self.may_go_round();
        if self.yielded.head.get().is_null() || !may {
            return false;
        }
        self.readmit_yielded();
        true
    }

    /// Another round of the tasks or the root, unless it is time for a look at the world.
    #[inline]
    fn may_go_round(&mut self) -> bool {
        self.laps = self.laps.wrapping_add(1);
        self.laps % LAPS_WITHOUT_LOOKING != 0
    }

    /// The answer is the time.
    fn add_busy(&mut self, shared: &Shared, since: Instant) -> Instant {
        let now = real_now();
        let ns = now.saturating_duration_since(since).as_nanos();
        let busy = &self.slot(shared).busy_ns;
        busy.store(busy.load(Ordering::Relaxed).wrapping_add(ns as u64), Ordering::Relaxed);
        self.publish(shared, ns as u64);
        now
    }

    /// Makes visible what is counted without atomics, and what a poll takes: the polls since the last time have taken
    /// `ns`.
    fn publish(&mut self, shared: &Shared, ns: u64) {
        let slot = self.slot(shared);
        add(&slot.counters.local_schedules, u64::from(self.local.scheduled.take()));
        slot.counters.fifo_len.store(self.local.fifo.len.get() as u64, Ordering::Relaxed);
        let polls = slot.mark.polls() / 2;
        let new = polls.wrapping_sub(std::mem::replace(&mut self.polls_timed, polls));
        if new > 0 && !self.local.has_fifo {
            let (mean, before) = (ns / new, slot.counters.poll_ns.load(Ordering::Relaxed));
            // As steady as `tune`.
            let smoothed = if before == 0 { mean.max(1) } else { before - before / 8 + mean / 8 };
            slot.counters.poll_ns.store(smoothed, Ordering::Relaxed);
        }
    }

    /// Own queue first, every so often the injector first, or outside tasks starve; then everybody else's queue.
    #[inline]
    fn next_task(&mut self, shared: &Shared) -> Option<Runnable> {
        self.tick = self.tick.wrapping_add(1);
        if self.tick % self.injector_interval == 0 {
            if let Some(runnable) = self.pop_injected(shared, 1) {
                return Some(runnable);
            }
        }
        if let Some(runnable) = self.pop_own(shared) {
            return Some(runnable);
        }
        let workers = shared.config.workers;
        let batch = (shared.injector.len() / workers + 1).min(INJECTED_BATCH_MAX);
        if let Some(runnable) = self.pop_injected(shared, batch) {
            return Some(runnable);
        }
        self.steal(shared)
    }

    #[inline]
    pub(super) fn pop_own(&mut self, shared: &Shared) -> Option<Runnable> {
        if self.local.has_fifo {
            // SAFETY: the list owns the references of its tasks.
            return self.local.fifo.pop().map(|task| unsafe { Runnable::from_raw(task) });
        }
        let queue = &self.slot(shared).queue;
        // SAFETY: `one-owner`.
        let next = unsafe { queue.pop_next() };
        let task = match next {
            Some(task) if self.next_streak < NEXT_STREAK_MAX => {
                self.next_streak += 1;
                Some(task)
            }
            next => {
                self.next_streak = 0;
                if let Some(task) = next {
                    // SAFETY: `one-owner`.
                    unsafe { self.local.push_back(shared, task) };
                }
                // SAFETY: `one-owner`.
                unsafe { queue.pop() }
            }
        }?;
        // Whoever sleeps may take what this poll would keep waiting.
        if queue.len() >= self.offer_from {
            shared.wake_worker();
        }
        // SAFETY: the queue owned the reference.
        Some(unsafe { Runnable::from_raw(task) })
    }

    /// Takes up to `batch` tasks from outside: runs the first, keeps the others.
    fn pop_injected(&mut self, shared: &Shared, batch: usize) -> Option<Runnable> {
        if shared.injector.is_empty() {
            return None;
        }
        let mut first = None;
        shared.injector.pop_batch(batch, |task| {
            if first.is_none() {
                first = Some(task);
            } else {
                // SAFETY: `one-owner`; the injector's reference goes on to the queue.
                unsafe { self.local.push_back(shared, task) };
            }
        });
        let first = first?;
        // Step 10 of PARKING.md: whoever sleeps may take what is left, here or there.
        let has_more = !self.local.has_fifo && !self.slot(shared).queue.is_ring_empty();
        if has_more || !shared.injector.is_empty() {
            shared.wake_worker();
        }
        // SAFETY: the injector owned the reference.
        Some(unsafe { Runnable::from_raw(first) })
    }

    fn steal(&mut self, shared: &Shared) -> Option<Runnable> {
        if self.local.has_fifo || !self.start_searching(shared) {
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
                // Its thread does not look at its next-slot for a while.
                if let Some(task) = victim.queue.steal_next() {
                    self.count_stolen(shared, 1);
                    // SAFETY: the queue owned the reference.
                    return Some(unsafe { Runnable::from_raw(task) });
                }
            }
            // SAFETY: `one-owner`: the destination is this worker's queue.
            let stolen = unsafe { shared.slot(index).queue.steal_into(&self.slot(shared).queue) };
            if let Some(task) = stolen {
                // Nobody steals who has tasks, so what is in the queue now is the rest of the loot.
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
    }

    fn start_searching(&mut self, shared: &Shared) -> bool {
        if !self.is_searching {
            self.is_searching = shared.idle.start_search(shared.config.workers.div_ceil(2));
        }
        self.is_searching
    }

    /// The last searcher that leaves something to do wakes the next one: wakes are chained, not fanned out.
    ///
    /// Kept out of the loop, like `lease_holder_is_waking`: within it they cost 3 ns of a yield's 29 (`yield_200`).
    #[inline(never)]
    fn stop_searching(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.is_searching) && shared.idle.end_search() && has_work_for_others(shared) {
            shared.wake_worker();
        }
    }

    /// The worker has found a task: its search ends, and what is left is for others. Before its first task there is one more
    /// of them.
    #[inline(never)]
    fn before_poll(&mut self, shared: &Shared) {
        self.local.leave_clean(shared);
        self.stop_searching(shared);
    }

    #[inline]
    fn poll(&mut self, shared: &Shared, runnable: Runnable) {
        if self.is_searching | self.local.is_clean.get() {
            self.before_poll(shared);
        }
        let slot = self.slot(shared);
        // `flag-while-polling`
        let polls = slot.mark.begin(runnable.as_ptr());
        let ran = if shared.instrumentation.is_on {
            shared.instrumentation.run(shared, self.local.index, runnable)
        } else {
            runnable.run()
        };
        slot.mark.end(polls);
        match ran {
            Ran::Done => {}
            Ran::Yielded(runnable) if self.local.has_fifo => {
                self.local.scheduled.set(self.local.scheduled.get().wrapping_add(1));
                self.yielded.push(runnable.into_raw());
            }
            // SAFETY: `one-owner`; the reference goes on to the queue.
            Ran::Requeue(runnable) | Ran::Yielded(runnable) => unsafe {
                self.local.scheduled.set(self.local.scheduled.get().wrapping_add(1));
                self.local.push_back(shared, runnable.into_raw());
            },
        }
    }

    /// A busy worker looks for I/O and timers without sleeping.
    fn poll_driver_and_timers(&mut self, shared: &Shared) {
        if self.lease_holder_is_waking(shared) {
            // The driver is left to the watcher.
        } else if self.turn(shared, Some(Duration::ZERO)) {
            // It was meant for a sleeper.
            shared.apply(shared.idle.pass_token());
        }
        let now = real_now();
        self.clear_stalled(shared);
        let since = now.saturating_duration_since(self.looked_at).as_nanos() as u64;
        self.publish(shared, since);
        let ms = shared.note_time(now);
        shared.stall_detector.maybe_scan(shared, ms);
        start::retry_if_due(shared, ms);
        if now.saturating_duration_since(self.looked_at) > LONG_BETWEEN_LOOKS {
            shared.ensure_driver_polled();
        }
        self.tune(shared, now);
        self.expire(shared);
    }

    /// Whether the watcher is about to come out of the driver, with all that is there. A turn of ours would take the token
    /// from it, which then had to be written again, with each look until the watcher gets a CPU. Not for long: it may have
    /// been another sleeper who was woken.
    #[inline(never)]
    fn lease_holder_is_waking(&mut self, shared: &Shared) -> bool {
        if !(shared.idle.has_token() && shared.parking.is_driver_leased()) {
            self.waits_for_lease_since = None;
            return false;
        }
        let now = real_now();
        let since = *self.waits_for_lease_since.get_or_insert(now);
        let waits = now.saturating_duration_since(since) < LEASE_PATIENCE;
        if !waits {
            self.waits_for_lease_since = None;
        }
        waits
    }

    /// True: this spare is not needed, and does not count any more.
    fn may_retire(&self, shared: &Shared) -> bool {
        if !self.is_spare {
            return false;
        }
        self.clear_stalled(shared); // or it would be counted out twice
        spares::try_retire(shared)
    }

    /// After a poll that was stuck: what it finds ready now is not to stand behind what may block it again.
    #[cold]
    fn resume_after_stall(&mut self, shared: &Shared) {
        spares::drain_to_injector(self, shared);
        // Such a poll says nothing about the others (`tune`).
        self.looked_at = real_now();
        // Nor is it the injector's turn before all of that has run.
        self.tick = 0;
    }

    /// This thread runs tasks, whatever the monitor thinks. True if it thought otherwise.
    #[inline]
    fn clear_stalled(&self, shared: &Shared) -> bool {
        let state = &self.slot(shared).state;
        !state.is_active() && shared.workers.states.clear_mark(state)
    }

    /// Short polls: look into the injector less often; long ones: more often, so that a task from outside waits about
    /// as long in either case. With I/O it is the same.
    fn tune(&mut self, shared: &Shared, now: Instant) {
        let since = now.saturating_duration_since(self.looked_at).as_nanos() as f64;
        let mean = since / f64::from(self.look_interval);
        // An eighth of the new, picked by feel: steady within some 20 looks.
        self.poll_ns += (mean - self.poll_ns) / 8.0;
        let polls = LONG_BETWEEN_LOOKS.as_nanos() as f64 / self.poll_ns.max(1.0);
        self.look_interval = (polls as u32).clamp(1, shared.config.event_interval.max(1));
        self.offer_from = ((OFFER_NS / self.poll_ns.max(1.0)) as usize).clamp(1, OFFER_MAX);
        if shared.config.global_queue_interval.is_none() {
            let polls = INJECTOR_PATIENCE_NS / self.poll_ns.max(1.0);
            self.injector_interval = (polls as u32).clamp(2, INJECTOR_INTERVAL_MAX);
        }
        self.looked_at = now;
    }

    /// One turn of the driver; true if it brought the token.
    fn turn(&mut self, shared: &Shared, timeout: Option<Duration>) -> bool {
        let has_token = self.wait_for_events(shared, timeout);
        self.pass_events_on(shared);
        has_token
    }

    /// The first half of a turn: nobody is woken yet.
    fn wait_for_events(&mut self, shared: &Shared, timeout: Option<Duration>) -> bool {
        match shared.driver.wait(&mut self.events, timeout) {
            Ok(has_token) => has_token,
            Err(error) => {
                shared.expect_own_process("an async context");
                fatal_driver_error(&error)
            }
        }
    }

    /// The second half.
    fn pass_events_on(&mut self, shared: &Shared) {
        shared.driver.dispatch(&mut self.events, &mut self.wakers);
        self.wakers.wake_all();
    }

    /// Fires what is due on this worker's wheel and on those that nobody else looks at.
    fn expire(&mut self, shared: &Shared) {
        let own = (!self.is_spare).then_some(self.local.index);
        for wheel in own.into_iter().chain(shared.common_wheels()) {
            if let Some(deadline) = shared.timers.next_deadline(wheel) {
                let now = shared.timers.now_tick();
                if deadline <= now {
                    shared.timers.expire(wheel, now, &mut self.wakers);
                    self.wakers.wake_all();
                }
            }
        }
        if shared.slab.next_trim_at() != u64::MAX {
            self.local.leave_clean(shared); // It may start a thread of the pool, whose name may be made by user code.
            maybe_trim_memory(shared);
        }
    }

    /// Before it parks: true if something to do has come from outside meanwhile. Only for one who searches, or is alone: pushes
    /// would wake another worker otherwise. I/O and timers wait for no longer than behind so many short polls.
    #[inline]
    fn spin_before_park(&mut self, shared: &Shared, root: &impl Root) -> bool {
        // A clean worker leaves what comes now to one that has run tasks before, so that no further thread starts for it.
        if !(self.is_searching || self.local.has_fifo) || self.local.is_clean.get() {
            return false;
        }
        let mut spin = self.spin;
        let is_there = spin.spin(|| self.has_reason_to_stay(shared, root, false));
        self.spin = spin;
        if is_there {
            // As where the park is refused.
            thread::spin_loop();
        }
        is_there
    }

    /// True: a push from outside has ended the sleep.
    fn park(&mut self, shared: &Shared, root: &impl Root) -> bool {
        let was_searching = std::mem::take(&mut self.is_searching);
        let key = shared.parking.event_count.prepare_wait();
        // The protocol, step by step, is in PARKING.md.
        shared.idle.enter_park(was_searching);
        if self.has_reason_to_stay(shared, root, was_searching) {
            shared.idle.cancel_park();
            // Perhaps a push that is half done: its thread has a few steps to go.
            thread::spin_loop();
            return false;
        }
        if shared.config.hooks.park() {
            // The hook may have woken tasks, on this very worker too.
            if self.has_reason_to_stay(shared, root, true) {
                shared.idle.cancel_park();
                // A hook that always does so must not keep timers and I/O waiting.
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
        let has_token = self.sleep(shared, root, key);
        let was_called = has_token && (root.is_woken() || !shared.injector.is_empty());
        slot.unparks.store(slot.unparks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.is_searching = shared.idle.leave_park(has_token) == AfterPark::Search;
        // Not before: who is woken by this must not take this worker for one that sleeps.
        self.pass_events_on(shared);
        self.expire(shared);
        shared.config.hooks.unpark();
        was_called
    }

    fn has_own_work(&self, shared: &Shared) -> bool {
        if self.local.has_fifo { !self.local.fifo.head.get().is_null() } else { !self.slot(shared).queue.is_empty() }
    }

    /// The last look before sleeping. The rings of others are looked at by those who searched; if others search, they
    /// do (step 7 of PARKING.md).
    fn has_reason_to_stay(&self, shared: &Shared, root: &impl Root, looks_at_others: bool) -> bool {
        root.is_woken()
            || shared.is_closed()
            || !shared.injector.is_empty()
            || self.has_own_work(shared)
            || (looks_at_others && !self.local.has_fifo && has_tasks_in_rings(shared))
    }

    /// Sleeps in the driver until a wake, an event or the next deadline. True if a token woke it.
    fn sleep(&mut self, shared: &Shared, root: &impl Root, key: WaitKey) -> bool {
        let timers = &shared.timers;
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
        // `cover`: someone else may sleep to this deadline already. AcqRel: pairs with itself; a plain minimum.
        let common = common.filter(|deadline| {
            shared.config.workers == 1 || shared.covered.fetch_min(*deadline, Ordering::AcqRel) > *deadline
        });
        let deadline = match (own, common) {
            (Some(own), Some(common)) => Some(own.min(common)),
            (own, common) => own.or(common),
        };
        let mut timeout = deadline.map(|deadline| timers.duration_until(deadline));
        if self.is_spare {
            // It looks now and then whether it may go.
            timeout = Some(timeout.map_or(spares::PATIENCE, |timeout| timeout.min(spares::PATIENCE)));
        }
        let has_token = self.sleep_for(shared, key, timeout);
        if let Some(common) = common {
            // Not ours any more if someone covers an earlier one meanwhile. Relaxed: it carries nothing else.
            let _ = shared.covered.compare_exchange(common, u64::MAX, Ordering::Relaxed, Ordering::Relaxed);
        }
        has_token
    }

    /// In the driver, or by the bell while another worker watches (`one-lease` of `parking`).
    fn sleep_for(&mut self, shared: &Shared, key: WaitKey, mut timeout: Option<Duration>) -> bool {
        if self.local.has_fifo {
            return self.wait_for_events(shared, timeout);
        }
        let parking = &shared.parking;
        if shared.has_others_awake() && !parking.is_driver_leased() {
            // They will come back to the driver soon, and take all that has come until then.
            let aside = timeout.map_or(ASIDE, |timeout| timeout.min(ASIDE));
            if parking.event_count.wait(key, Some(aside)) {
                return true;
            }
            timeout = timeout.map(|timeout| timeout - aside);
            if parking.event_count.is_notified_since(key) || timeout == Some(Duration::ZERO) {
                return false;
            }
        }
        let lease = parking.try_lease_driver();
        if lease.is_none() {
            return parking.event_count.wait(key, timeout);
        }
        self.wait_for_events(shared, timeout)
    }

    /// With a paused clock time moves on exactly when there is nothing else to do.
    #[cold]
    fn sleep_paused(&mut self, shared: &Shared, root: &impl Root) -> bool {
        let timers = &shared.timers;
        let mut has_token = false;
        let decision = timers.clock().when_idle(|| {
            has_token = self.turn(shared, Some(Duration::ZERO));
            !(has_token || self.has_reason_to_stay(shared, root, false))
        });
        let next = (0..=shared.config.workers).filter_map(|wheel| timers.next_deadline(wheel)).min();
        match (decision, next) {
            (WhenIdle::HasWork, _) => has_token,
            (WhenIdle::Jump, Some(tick)) => {
                timers.clock().advance_to(timers.instant_of(tick));
                false
            }
            (WhenIdle::Jump, None) | (WhenIdle::Wait, _) => self.turn(shared, None),
        }
    }

    /// All that a worker's thread does between its first and its last step.
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

    /// Lets go of all queued tasks; whoever walks the slab cancels them.
    pub(super) fn drain(&mut self, shared: &Shared) {
        self.readmit_yielded();
        while let Some(runnable) = self.pop_own(shared) {
            drop(runnable);
        }
    }
}

/// Whether a thief would find something.
fn has_tasks_in_rings(shared: &Shared) -> bool {
    shared.slots().any(WorkerSlot::has_tasks_for_others)
}

/// Whether someone who sleeps has a reason to get up: tasks, or a deadline that nobody sleeps to (`cover`: this worker is
/// awake, but may be busy for longer).
pub(super) fn has_work_for_others(shared: &Shared) -> bool {
    // Relaxed: a moment's view; whoever sets a deadline stands behind the fence `submit-vs-park`.
    let is_uncovered = |deadline| deadline < shared.covered.load(Ordering::Relaxed);
    !shared.injector.is_empty()
        || has_tasks_in_rings(shared)
        || shared.common_wheels().filter_map(|wheel| shared.timers.next_deadline(wheel)).any(is_uncovered)
}

/// If it is time, has memory that lies idle given back by a thread of the blocking pool.
#[cold]
fn maybe_trim_memory(shared: &Shared) {
    // Paused time says nothing about idleness.
    let now = shared.timers.now_tick();
    if shared.slab.next_trim_at() > now || shared.timers.clock().is_paused() {
        return;
    }
    if let Some(trim) = shared.slab.maybe_trim(now) {
        // If the system has no thread for it now, it has one after the next spike.
        drop(crate::blocking::try_spawn_on(&shared.handle(), || trim.run(), None));
    }
}

/// Nothing works without the driver, and a hang would be worse than an end with a message.
fn fatal_driver_error(error: &io::Error) -> ! {
    report::fatal(format_args!(
        "waiting for I/O failed on thread `{}`: {error}. The descriptor of the runtime's epoll was closed or \
         changed by other code of this process; find who closes descriptors that are not its own. Aborting.",
        thread::current_name()
    ))
}

/// While it lives, this worker is active (`active`).
struct Looping<'a>(&'a Shared);

impl<'a> Looping<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.workers.active.enter();
        Self(shared)
    }
}

impl Drop for Looping<'_> {
    fn drop(&mut self) {
        match self.0.workers.active.exit() {
            Step::Open => {}
            Step::Closed => self.0.wake_to_leave(),
            // Every worker cancels tasks when its loop has ended, this one among them.
            Step::Last => self.0.end_waits(),
        }
    }
}

/// While it lives, this thread is the worker.
struct OnThread {
    before: *const Local,
    _seed: context::SeedGuard,
}

impl OnThread {
    fn enter(worker: &Worker) -> Self {
        Self { before: LOCAL.replace(&raw const *worker.local), _seed: context::seed_thread(worker.rng.next_u64()) }
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        if thread::is_unwinding() {
            note_panic(); // of the root
        }
        LOCAL.set(self.before);
    }
}

/// The poll that this thread's worker is in has panicked.
pub(crate) fn note_panic() {
    // SAFETY: set while the worker runs on this thread.
    if let Some(local) = unsafe { LOCAL.get().as_ref() } {
        local.slot().mark.note_panic();
    }
}

/// Whether this thread runs tasks of that runtime right now.
pub(crate) fn runs_here(shared: *const Shared) -> bool {
    // SAFETY: set while the worker runs on this thread.
    unsafe { LOCAL.get().as_ref() }.is_some_and(|local| ptr::eq(local.shared, shared))
}

/// The address of the runtime of which this thread is a worker that has not left, or zero. Such a worker keeps its runtime.
pub(crate) fn serves_here() -> usize {
    SERVES.get()
}

/// As [`leave`], of the worker that this thread was.
pub(super) fn leave_here(shared: &Shared) {
    SERVES.set(0);
    leave(shared);
}

/// A worker has left its loop for good; the last one clears up.
pub(super) fn leave(shared: &Shared) {
    // AcqRel: the last one sees all that the others did. Pairs with itself.
    if shared.workers.alive.fetch_sub(1, Ordering::AcqRel) == 1 {
        finish(shared);
    } else {
        shared.wake_to_leave();
        // A shutdown may wait for all but some.
        shared.workers.ended.unpark();
    }
}

/// After the last worker has left: nothing may stay alive.
pub(crate) fn finish(shared: &Shared) {
    shared.close();
    let _entered = context::enter(shared.handle());
    // SAFETY: the injector owned the reference.
    shared.injector.drain(|task| drop(unsafe { Runnable::from_raw(task) }));
    // SAFETY: tasks of a multi-thread runtime are `Send`; of another flavour this is called on their thread.
    unsafe { shared.slab.cancel_all() };
    shared.timers.shutdown();
    shared.driver.shutdown();
    shared.slab.close();
    start::wake_unstarted(shared);
    spares::release_spares(shared);
    shared.workers.ended.unpark();
}

/// Runs a root future and the tasks of a current-thread runtime on this thread.
pub(crate) fn run_root(shared: &Shared, worker: &mut Worker, root: &mut impl Root) -> bool {
    // SAFETY: whoever has the worker has its cache; `shared` keeps the slab.
    let _cache = unsafe { shared.slab.enter(0) };
    worker.run(shared, root) == Ended::RootFinished
}

/// Ends a current-thread runtime on the thread that drops it.
pub(crate) fn finish_current_thread(shared: &Shared, mut worker: Box<Worker>) {
    shared.close();
    {
        let _entered = context::enter(shared.handle());
        // SAFETY: whoever has the worker has its cache; `shared` keeps the slab.
        let _cache = unsafe { shared.slab.enter(0) };
        // Nobody runs the loop any more; the destructors below may wait.
        shared.end_waits();
        worker.drain(shared);
        // SAFETY: the tasks of a local runtime are dropped on its thread; those of others are `Send`.
        unsafe { shared.slab.cancel_all() };
        drop(catch_unwind(AssertUnwindSafe(|| worker.wakers.wake_all())));
    }
    drop(worker);
    finish(shared);
}

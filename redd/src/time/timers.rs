//! The timers of a runtime: a wheel for each worker, and a shared one for all other threads, blocked and stalled workers.
//!
//! Called by `sleep` (arm, poll, disarm), by the worker loop (`next_deadline`, `expire`) and by shutdown.
//!
//! A [`Timer`] is embedded in its future. Creating one touches no shared memory. The first poll links its entry into a
//! wheel, and dropping it unlinks the entry. Each of these costs one compare-exchange and one store: no allocation, no
//! reference count, no system call.
//!
//! ```text
//!          arm                fire (expire)
//!   IDLE ───────▶ ARMED ─────────────────────▶ FIRED    (also by its owner: `fire`)
//!    ▲              │ detach (shutdown)          │
//!    │              └───────────▶ DETACHED       │
//!    └── disarm (reset, drop) ◀── any state ─────┘
//! ```
//!
//! # Invariants
//! - `state-under-lock`: an entry becomes ARMED, and leaves ARMED, only under the lock of the wheel it is linked in. It is
//!   linked exactly while it is ARMED.
//! - `owner-or-lock`: while ARMED, only the holder of that lock accesses an entry's waker, filing, task and start. Otherwise
//!   only the timer's owner does.
//! - `last-touch`: storing FIRED or DETACHED is the last access to an entry by the thread that takes it out of the wheel. The
//!   owner may free it right after.
//! - `wheels-are-immortal`: a wheel is never freed, only reused. So a timer may lock the wheel that it was armed on at any
//!   time, on any thread, even after its runtime was dropped.
//! - `one-life`: a wheel holds the number of the runtime that it serves. Arming compares it under the lock, so a timer cannot
//!   end up in a wheel that now serves another runtime.
//! - `no-user-code-under-lock`: wakers are cloned, woken and dropped only while no lock is held.
//!
//! # Why not otherwise
//! Freeing the wheels with the runtime would need a reference count in every timer, or a third step in every drop:
//! ARMED → DROPPING, for which the shutdown waits. Keeping ten kilobytes per worker for the next runtime avoids both.

#![expect(unsafe_code, reason = "entries are linked into wheels by address")]

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Weak;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::clock::{Clock, tick_at_or_after};
use super::wheel::{Filed, Filing, Insertion, Wheel, WheelWalk};
use crate::collections::linked_list::{Linked, Links};
use crate::collections::wake_list::WakeList;
use crate::observe::coarse;
use crate::observe::waiter::{Subject, WaiterInfo};
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicU8, AtomicU64, Ordering, fixed};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::reuse_pool::Pool;
use crate::primitives::{Mutex, ShortMutex, thread};

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/time_timers.rs"]
mod models;

/// Published when a wheel is empty.
const NO_DEADLINE: u64 = u64::MAX;
/// The life of a wheel that serves no runtime.
const NO_RUNTIME: u64 = 0;

/// How many timers are described under one lock: each costs about as much as a cache miss. With 256, a worker that armed a timer
/// meanwhile waited for more than a millisecond: after some 30 µs it sleeps between its attempts (`thread::spin`).
const COLLECTED_AT_ONCE: usize = 64;

/// Numbers for `one-life`.
static NEXT_LIFE: fixed::AtomicU64 = fixed::AtomicU64::new(NO_RUNTIME + 1);
static IDLE_WHEELS: Pool<LockedWheel> = Pool::new();

/// The timers of one runtime.
pub(crate) struct Timers {
    clock: Clock,
    life: u64,
    /// One per worker, not per spare. The last is shared by threads outside, spares, and blocked and stalled workers.
    wheels: Box<[&'static LockedWheel]>,
    /// The slot of the calling thread: that of the worker that it is, or the shared one.
    slot_here: fn(&Self) -> usize,
    /// Held by the one walk (`walk-is-linked` in `wheel`).
    walking: Mutex<()>,
}

/// Unparks the workers of a runtime.
pub(crate) trait Unpark: Send + Sync {
    /// The shared wheel has a new first deadline: a parked worker must check it.
    fn unpark_for_timer(&self);
}

impl Timers {
    /// Creates the timers of a runtime with `worker_slots` workers.
    ///
    /// A thread outside of the runtime that arms a timer calls `workers`. `slot_here` returns the slot of the calling thread.
    pub(crate) fn new(
        clock: Clock,
        worker_slots: usize,
        workers: Weak<dyn Unpark>,
        slot_here: fn(&Self) -> usize,
    ) -> Self {
        let life = NEXT_LIFE.fetch_add(1, Ordering::Relaxed);
        let wheels: Box<[_]> = (0..=worker_slots)
            .map(|_| {
                let wheel = IDLE_WHEELS.take(LockedWheel::new);
                wheel.open(life, clock.start());
                wheel
            })
            .collect();
        let timers = Self { clock, life, wheels, slot_here, walking: Mutex::new(()) };
        *timers.wheels[timers.shared_slot()].owner.lock() = Some(workers);
        timers
    }

    #[inline]
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The slot whose wheel is shared by all threads that are not workers.
    pub(crate) fn shared_slot(&self) -> usize {
        self.wheels.len() - 1
    }

    /// Returns the tick by which [`expire`](Self::expire) must be called for this slot, or `None` if no timer is armed
    /// there. It may be too early if a timer was dropped. It is never too late.
    #[inline]
    pub(crate) fn next_deadline(&self, slot: usize) -> Option<u64> {
        match self.wheels[slot].next_deadline.load(Ordering::Relaxed) {
            NO_DEADLINE => None,
            tick => Some(tick),
        }
    }

    /// Returns the current tick.
    #[inline]
    pub(crate) fn now_tick(&self) -> u64 {
        self.clock.now_tick()
    }

    /// Returns the time at which `tick` begins.
    pub(crate) fn instant_of(&self, tick: u64) -> Instant {
        self.clock.instant_of(tick)
    }

    /// Returns the time until `tick` begins, or zero if it has begun.
    pub(crate) fn duration_until(&self, tick: u64) -> Duration {
        self.instant_of(tick).saturating_duration_since(self.clock.now())
    }

    /// Fires the due timers of a slot, on any thread, and returns how many there were.
    ///
    /// Their wakers go into `wakers`. Whenever that is full, the wakers in it are woken here, so the caller must hold no
    /// lock. The caller wakes the rest.
    ///
    /// A caller that only has to fire due timers checks [`next_deadline`](Self::next_deadline) first, which saves the
    /// lock. A call without due timers still updates the wheel's time, so that arming a timer recognizes a deadline that
    /// has passed.
    pub(crate) fn expire(&self, slot: usize, now_tick: u64, wakers: &mut WakeList) -> usize {
        self.wheels[slot].take_out(wakers, FIRED, |inner| inner.wheel.pop_due(now_tick))
    }

    /// Detaches every timer and wakes the tasks that wait for one. Afterwards no timer of this runtime can be armed.
    ///
    /// The caller must hold no lock. Calling it again has no effect.
    pub(crate) fn shutdown(&self) {
        let shared = self.wheels[self.shared_slot()];
        let owner = shared.owner.lock().take();
        let mut wakers = WakeList::new();
        for wheel in &self.wheels {
            wheel.take_out(&mut wakers, DETACHED, |inner| {
                inner.life = NO_RUNTIME;
                inner.wheel.pop_any()
            });
        }
        wakers.wake_all();
        drop(owner);
    }

    /// Adds the tasks that wait for a timer. Timers that are armed or dropped meanwhile may or may not be among them.
    pub(crate) fn collect(&self, out: &mut Vec<WaiterInfo>) {
        // The lock is free for as long as a thread that waits for it may pause between two attempts.
        self.collect_by(COLLECTED_AT_ONCE, || (0..thread::SPINS).for_each(thread::spin), out);
    }

    /// As [`collect`](Self::collect), with this many timers under one lock, and `pause` before each.
    fn collect_by(&self, count: usize, pause: impl Fn(), out: &mut Vec<WaiterInfo>) {
        let _walk = self.walking.lock();
        let now = self.clock.now();
        for wheel in &self.wheels {
            wheel.collect(count, &pause, |tick| self.instant_of(tick).saturating_duration_since(now), out);
        }
    }

    /// Returns the wheel on which the calling thread arms timers: its worker's own, or the shared one.
    #[inline]
    pub(super) fn wheel_here(&self) -> &'static LockedWheel {
        self.wheels[(self.slot_here)(self)]
    }

    /// Returns whether `timer` was created in this runtime.
    #[inline]
    pub(super) fn is_home_of(&self, timer: &Timer) -> bool {
        timer.life == self.life
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.shutdown();
        for wheel in &self.wheels {
            IDLE_WHEELS.give_back(wheel);
        }
    }
}

/// A wheel behind a lock, aligned to its own cache lines.
#[repr(align(128))]
pub(super) struct LockedWheel {
    inner: ShortMutex<WheelInner>,
    /// The value of `Wheel::next_deadline` when the lock was last released.
    next_deadline: AtomicU64,
    /// The workers to unpark; only in a shared wheel, until the shutdown.
    owner: Mutex<Option<Weak<dyn Unpark>>>,
}

struct WheelInner {
    wheel: Wheel<TimerEntry>,
    /// `one-life`.
    life: u64,
    /// Tick 0 of the runtime that the wheel serves.
    start: Instant,
}

impl LockedWheel {
    fn new() -> Self {
        Self {
            inner: ShortMutex::new(WheelInner {
                wheel: Wheel::new(),
                life: NO_RUNTIME,
                start: super::clock::real_now(),
            }),
            next_deadline: AtomicU64::new(NO_DEADLINE),
            owner: Mutex::new(None),
        }
    }

    /// Assigns the wheel to another runtime.
    fn open(&self, life: u64, start: Instant) {
        self.with(|inner| {
            inner.wheel.restart();
            inner.life = life;
            inner.start = start;
        });
    }

    /// Runs `f` under the lock. `f` must be short and call no user code (`no-user-code-under-lock`).
    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut WheelInner) -> R) -> R {
        f(&mut self.inner.lock())
    }

    fn publish(&self, inner: &WheelInner) {
        let next = inner.wheel.next_deadline().unwrap_or(NO_DEADLINE);
        self.next_deadline.store(next, Ordering::Relaxed);
    }

    /// Takes out entries until `pop` returns `None`, and leaves each of them in `state`.
    fn take_out(
        &self,
        wakers: &mut WakeList,
        state: u8,
        mut pop: impl FnMut(&mut WheelInner) -> Option<NonNull<TimerEntry>>,
    ) -> usize {
        let mut count = 0;
        loop {
            let is_done = self.with(|inner| {
                let mut is_done = false;
                while wakers.has_room() {
                    let Some(entry) = pop(inner) else {
                        is_done = true;
                        break;
                    };
                    count += 1;
                    // SAFETY: `pop` unlinked the entry from this wheel, whose lock we hold.
                    wakers.push(unsafe { TimerEntry::leave(entry, state) });
                }
                self.publish(inner);
                is_done
            });
            if is_done {
                return count;
            }
            wakers.wake_all();
        }
    }

    /// Adds the tasks that wait for a timer of this wheel. The caller holds the lock for the one walk.
    fn collect(&self, count: usize, pause: impl Fn(), remaining: impl Fn(u64) -> Duration, out: &mut Vec<WaiterInfo>) {
        let (mut walk, mut found) = (WheelWalk::new(), Vec::new());
        let mut is_done = false;
        while !is_done {
            pause();
            // Memory is allocated outside of the lock.
            found.reserve(count);
            is_done = self.with(|inner| {
                inner.wheel.visit(&mut walk, count, |entry, tick| {
                    // SAFETY: it is linked in this wheel, whose lock we hold.
                    found.extend(unsafe { TimerEntry::describe(entry, remaining(tick)) });
                })
            });
        }
        if self.with(|inner| inner.wheel.has_moved_since_walk()) {
            found.sort_by_key(|(address, _)| *address);
            found.dedup_by_key(|(address, _)| *address);
        }
        out.extend(found.into_iter().map(|(_, waiter)| waiter));
    }

    /// Unparks the runtime that this shared wheel serves.
    pub(super) fn unpark_owner(&self) {
        let owner = self.owner.lock().clone();
        if let Some(workers) = owner.and_then(|owner| owner.upgrade()) {
            workers.unpark_for_timer();
        }
    }
}

const IDLE: u8 = 0;
const ARMED: u8 = 1;
const FIRED: u8 = 2;
const DETACHED: u8 = 3;

/// The part of a timer that a wheel links.
struct TimerEntry {
    filing: UnsafeCell<Filing<TimerEntry>>,
    waker: UnsafeCell<Option<Waker>>,
    /// The id of the task that waits, 0 if that is no task, and since when on the coarse clock.
    task: UnsafeCell<u64>,
    since_ms: UnsafeCell<u32>,
    /// The line of the program that made the timer.
    location: &'static Location<'static>,
    state: AtomicU8,
}

// SAFETY: `owner-or-lock` excludes concurrent accesses to the cells, and wakers are `Send`.
unsafe impl Send for TimerEntry {}
// SAFETY: through a shared reference only `state` is read.
unsafe impl Sync for TimerEntry {}

// SAFETY: always the same field.
unsafe impl Linked for TimerEntry {
    unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>> {
        // SAFETY: `element` is alive by the safety contract, so its filing is.
        unsafe { NonNull::new_unchecked(&raw mut (*Self::filing(element).as_ptr()).links) }
    }
}

// SAFETY: always the same field, in which `Linked::links` finds the links.
unsafe impl Filed for TimerEntry {
    unsafe fn filing(element: NonNull<Self>) -> NonNull<Filing<Self>> {
        // SAFETY: `element` is alive by the safety contract. The reference covers only the cell.
        let filing = unsafe { &(*element.as_ptr()).filing };
        filing.with_mut(|filing| {
            // SAFETY: the address of a field is not null.
            unsafe { NonNull::new_unchecked(filing) }
        })
    }
}

impl TimerEntry {
    fn new(location: &'static Location<'static>) -> Self {
        Self {
            filing: UnsafeCell::new(Filing::new()),
            waker: UnsafeCell::new(None),
            task: UnsafeCell::new(0),
            since_ms: UnsafeCell::new(0),
            location,
            state: AtomicU8::new(IDLE),
        }
    }

    /// Describes the wait, if a task waits, with the address that tells it from others.
    ///
    /// # Safety
    /// The entry is linked in a wheel whose lock is held.
    unsafe fn describe(entry: NonNull<Self>, remaining: Duration) -> Option<(usize, WaiterInfo)> {
        let address = entry.addr().get();
        // SAFETY: it is linked, so it is alive.
        let entry = unsafe { entry.as_ref() };
        debug_assert_eq!(entry.state.load(Ordering::Relaxed), ARMED, "`state-under-lock`");
        // SAFETY: `owner-or-lock`: ARMED, and the lock is held.
        let has_waker = entry.waker.with(|waker| unsafe { (*waker).is_some() });
        let waiter = WaiterInfo {
            // SAFETY: as above.
            task: entry.task.with(|task| unsafe { *task }),
            kind: WaitKind::Timer,
            location: Some(entry.location),
            // SAFETY: as above.
            since_ms: entry.since_ms.with(|since| unsafe { *since }),
            is_direct: false,
            subject: Subject::Deadline { remaining },
        };
        has_waker.then_some((address, waiter))
    }

    /// Takes the waker and stores `state` (FIRED or DETACHED). The entry may already be freed when this returns.
    ///
    /// # Safety
    /// The entry is alive. It was unlinked from a wheel whose lock has been held since.
    unsafe fn leave(entry: NonNull<Self>, state: u8) -> Option<Waker> {
        // SAFETY: `state-under-lock`: still ARMED, so its owner cannot free it before the store below.
        let entry = unsafe { entry.as_ref() };
        let waker = entry.waker.with_mut(|waker| {
            // SAFETY: `owner-or-lock`: ARMED, and the lock is held.
            unsafe { (*waker).take() }
        });
        // Release, `last-touch`: our accesses come before the owner's. Pairs with Acquire in `Timer::state`.
        entry.state.store(state, Ordering::Release);
        waker
    }
}

pin_project! {
    /// One timer: the entry and what is needed to arm it. It is embedded in a future and pinned with it.
    pub(crate) struct Timer {
        // The runtime that created it: its number and its shared wheel.
        life: u64,
        home: &'static LockedWheel,
        // The wheel on which it was last armed.
        wheel: Option<&'static LockedWheel>,
        #[pin]
        entry: TimerEntry,
    }

    impl PinnedDrop for Timer {
        fn drop(this: Pin<&mut Self>) {
            drop(this.disarm());
        }
    }
}

/// The result of [`Timer::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum TimerState {
    /// It is in no wheel: arm it.
    Idle,
    /// It is in a wheel and holds the waker of this poll.
    Waiting,
    /// Its deadline has been reached.
    Fired,
    /// Its runtime was shut down.
    Detached,
}

/// The result of [`Timer::arm`].
#[derive(Debug)]
#[must_use]
pub(super) enum Arming {
    /// It is in the wheel.
    Armed,
    /// It is the earliest timer of its wheel. A thread that sleeps until the wheel's previous deadline sleeps too long.
    ArmedEarliest,
    /// Its deadline has been reached, so it counts as fired. The caller drops or wakes the waker.
    Due(Option<Waker>),
    /// Its runtime was shut down, so it counts as detached. The caller drops or wakes the waker.
    Gone(Option<Waker>),
}

impl Timer {
    /// Creates a timer of the runtime that owns `timers`.
    #[inline]
    pub(super) fn new(timers: &Timers, location: &'static Location<'static>) -> Self {
        let home = timers.wheels[timers.shared_slot()];
        Self { life: timers.life, home, wheel: None, entry: TimerEntry::new(location) }
    }

    /// The line of the program that made it.
    #[inline]
    pub(super) fn location(&self) -> &'static Location<'static> {
        self.entry.location
    }

    /// Returns the wheel on which threads outside of its runtime arm it.
    pub(super) fn home(&self) -> &'static LockedWheel {
        self.home
    }

    pub(super) fn is_fired(&self) -> bool {
        self.state() == FIRED
    }

    #[inline]
    fn state(&self) -> u8 {
        // Acquire: if the timer has left the wheel, sees all accesses of the thread that took it out. Pairs with
        // Release in `TimerEntry::leave`.
        self.entry.state.load(Ordering::Acquire)
    }

    /// Returns the timer's state. If it is in a wheel, stores the waker of this poll; `task` returns the id of the task.
    #[inline]
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, task: fn() -> u64) -> TimerState {
        match self.state() {
            IDLE => TimerState::Idle,
            ARMED => self.set_waker(cx.waker(), task),
            FIRED => TimerState::Fired,
            _ => TimerState::Detached,
        }
    }

    #[inline(never)]
    fn set_waker(self: Pin<&mut Self>, new: &Waker, task: fn() -> u64) -> TimerState {
        let is_same = self.with_waker(|old| old.as_ref().is_some_and(|old| old.will_wake(new)));
        let is_waiting = match is_same {
            Some(false) => {
                // `no-user-code-under-lock`: the clone and the drop of the old waker happen between two lock sections.
                let (mut waker, task) = (Some(new.clone()), task());
                let swapped = self.with_waker(|old| {
                    // SAFETY: `owner-or-lock`: ARMED, and the lock is held.
                    self.entry.task.with_mut(|slot| unsafe { *slot = task });
                    if old.is_none() {
                        // It was armed by a reset while no task waited.
                        // SAFETY: as above.
                        self.entry.since_ms.with_mut(|slot| unsafe { *slot = coarse::now_ms() });
                    }
                    std::mem::swap(old, &mut waker);
                });
                swapped.is_some()
            }
            Some(true) => true,
            None => false,
        };
        match self.state() {
            _ if is_waiting => TimerState::Waiting,
            FIRED => TimerState::Fired,
            _ => TimerState::Detached,
        }
    }

    /// Runs `f` on the stored waker, under the lock. Returns `None` if the timer has left the wheel.
    fn with_waker<R>(&self, f: impl FnOnce(&mut Option<Waker>) -> R) -> Option<R> {
        let wheel = self.wheel.expect("an armed timer knows its wheel");
        wheel.with(|_| {
            // Relaxed: `state-under-lock`, and the lock is held.
            let is_armed = self.entry.state.load(Ordering::Relaxed) == ARMED;
            // SAFETY: `owner-or-lock`: ARMED, and the lock is held.
            is_armed.then(|| self.entry.waker.with_mut(|waker| f(unsafe { &mut *waker })))
        })
    }

    /// The task with this id begins to wait. The timer must be in no wheel.
    #[inline]
    pub(super) fn begin_wait(self: Pin<&mut Self>, task: u64) {
        let entry = &self.entry;
        debug_assert_ne!(entry.state.load(Ordering::Relaxed), ARMED, "`owner-or-lock`");
        // SAFETY: `owner-or-lock`: not ARMED, and we are the owner.
        entry.task.with_mut(|slot| unsafe { *slot = task });
        // SAFETY: as above.
        entry.since_ms.with_mut(|slot| unsafe { *slot = coarse::now_ms() });
    }

    /// Links the timer into `wheel`. It must be in no wheel. If a task begins to wait, [`begin_wait`](Self::begin_wait) was
    /// called.
    #[inline]
    pub(super) fn arm(
        self: Pin<&mut Self>,
        wheel: &'static LockedWheel,
        deadline: Instant,
        waker: Option<Waker>,
    ) -> Arming {
        let this = self.project();
        *this.wheel = Some(wheel);
        let life = *this.life;
        let entry = this.entry.into_ref().get_ref();
        debug_assert_ne!(entry.state.load(Ordering::Relaxed), ARMED, "a timer is armed once until it is disarmed");
        // SAFETY: `owner-or-lock`: not ARMED, and we are the owner. The slot is empty, so nothing is dropped.
        entry.waker.with_mut(|slot| unsafe { slot.write(waker) });
        // A timer that is not linked returns its waker.
        let leave = |state| {
            entry.state.store(state, Ordering::Relaxed);
            // SAFETY: as above.
            entry.waker.with_mut(|slot| unsafe { (*slot).take() })
        };
        wheel.with(|inner| {
            // Relaxed, here and below: `state-under-lock`. The owner reads its own writes.
            if inner.life != life {
                return Arming::Gone(leave(DETACHED));
            }
            let tick = tick_at_or_after(inner.start, deadline);
            // SAFETY: the entry is pinned and in no wheel. Before it is freed, `disarm` (in reset and drop) or the firing
            // takes it out.
            match unsafe { inner.wheel.insert(NonNull::from(entry), tick) } {
                Insertion::Due => Arming::Due(leave(FIRED)),
                Insertion::Filed => {
                    entry.state.store(ARMED, Ordering::Relaxed);
                    if tick < wheel.next_deadline.load(Ordering::Relaxed) {
                        wheel.publish(inner);
                        Arming::ArmedEarliest
                    } else {
                        Arming::Armed
                    }
                }
            }
        })
    }

    /// Fires the timer for its owner, which has observed that the deadline has been reached.
    #[cold]
    pub(super) fn fire(mut self: Pin<&mut Self>) {
        drop(self.as_mut().disarm());
        // Relaxed: it is in no wheel, so only the owner accesses it.
        self.entry.state.store(FIRED, Ordering::Relaxed);
    }

    /// Makes the timer idle, from any state. Returns its waker, if it had one, for the caller to drop or to reuse.
    #[inline(always)]
    pub(super) fn disarm(self: Pin<&mut Self>) -> Option<Waker> {
        // Fast path: a timer that was never polled, as in a timeout whose value was ready immediately.
        if self.state() == IDLE { None } else { self.disarm_used() }
    }

    fn disarm_used(self: Pin<&mut Self>) -> Option<Waker> {
        let state = self.state();
        let entry = &self.entry;
        let waker = if state == ARMED {
            let wheel = self.wheel.expect("an armed timer knows its wheel");
            // `wheels-are-immortal`: if it serves another runtime by now, the entry has left it.
            wheel.with(|inner| {
                // Relaxed: `state-under-lock`, and the lock is held.
                if entry.state.load(Ordering::Relaxed) != ARMED {
                    return None;
                }
                // SAFETY: `state-under-lock`: ARMED, so linked in this wheel.
                let tick = unsafe { inner.wheel.remove(NonNull::from(entry)) };
                if tick <= wheel.next_deadline.load(Ordering::Relaxed) {
                    wheel.publish(inner);
                }
                entry.waker.with_mut(|waker| {
                    // SAFETY: `owner-or-lock`: the lock is held.
                    unsafe { (*waker).take() }
                })
            })
        } else {
            None
        };
        // Relaxed: it is in no wheel, so only the owner accesses it.
        entry.state.store(IDLE, Ordering::Relaxed);
        waker
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state() {
            IDLE => "idle",
            ARMED => "armed",
            FIRED => "fired",
            _ => "detached",
        };
        f.debug_struct("Timer").field("state", &state).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::primitives::thread;
    use std::sync::Arc;
    use std::task::Wake;

    struct NoWorkers;

    impl Unpark for NoWorkers {
        fn unpark_for_timer(&self) {}
    }

    fn paused(worker_slots: usize) -> Timers {
        Timers::new(Clock::new_paused(), worker_slots, Weak::<NoWorkers>::new(), Timers::shared_slot)
    }

    #[track_caller]
    fn idle(timers: &Timers) -> Pin<Box<Timer>> {
        Box::pin(Timer::new(timers, Location::caller()))
    }

    #[track_caller]
    fn arm_at(timers: &Timers, slot: usize, tick: u64, waker: Waker) -> Pin<Box<Timer>> {
        let mut timer = idle(timers);
        timer.as_mut().begin_wait(7);
        let arming = timer.as_mut().arm(timers.wheels[slot], timers.instant_of(tick), Some(waker));
        assert!(matches!(arming, Arming::Armed | Arming::ArmedEarliest));
        timer
    }

    fn fire(timers: &Timers, slot: usize, now_tick: u64) -> usize {
        let mut wakers = WakeList::new();
        let count = timers.expire(slot, now_tick, &mut wakers);
        wakers.wake_all();
        count
    }

    /// Logs its number when woken.
    struct Numbered(u64, Arc<Mutex<Vec<u64>>>);
    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.lock().push(self.0);
        }
    }

    #[test]
    fn timers_fire_in_the_order_of_their_deadlines_however_many_there_are() {
        let timers = paused(0);
        let log = Arc::new(Mutex::new(Vec::new()));
        let ticks: Vec<u64> = (0..200).map(|n| 1 + (n * 7919) % 500).collect();
        let armed: Vec<_> = ticks
            .iter()
            .map(|&tick| arm_at(&timers, 0, tick, Arc::new(Numbered(tick, Arc::clone(&log))).into()))
            .collect();
        assert_eq!(timers.next_deadline(0), ticks.iter().min().copied());
        assert_eq!(fire(&timers, 0, 1000), 200);
        let mut sorted = ticks;
        sorted.sort_unstable();
        assert_eq!(*log.lock(), sorted);
        assert!(armed.iter().all(|timer| timer.is_fired()));
        assert_eq!(timers.next_deadline(0), None);
    }

    #[test]
    fn dropping_the_earliest_timer_makes_the_next_one_the_deadline() {
        let timers = paused(1);
        let early = arm_at(&timers, 0, 5, Waker::noop().clone());
        let late = arm_at(&timers, 0, 500, Waker::noop().clone());
        assert_eq!(timers.next_deadline(0), Some(5));
        assert_eq!(timers.next_deadline(timers.shared_slot()), None);
        drop(early);
        assert_eq!(timers.next_deadline(0), Some(500));
        drop(late);
        assert_eq!(timers.next_deadline(0), None);
    }

    #[test]
    fn only_an_earliest_timer_is_reported_as_earliest() {
        let timers = paused(0);
        let arm = |tick| {
            let mut timer = idle(&timers);
            let arming = timer.as_mut().arm(timers.wheels[0], timers.instant_of(tick), None);
            (matches!(arming, Arming::ArmedEarliest), timer)
        };
        let (first, a) = arm(10);
        let (later, b) = arm(20);
        let (earlier, c) = arm(9);
        assert_eq!([first, later, earlier], [true, false, true]);
        drop((a, b, c));
    }

    #[test]
    fn a_deadline_that_the_wheel_has_passed_is_due_when_armed() {
        let timers = paused(0);
        fire(&timers, 0, 100);
        let mut timer = idle(&timers);
        let arming = timer.as_mut().arm(timers.wheels[0], timers.instant_of(100), Some(Waker::noop().clone()));
        assert!(matches!(arming, Arming::Due(Some(_))));
        assert!(timer.is_fired());
    }

    #[test]
    fn after_shutdown_timers_are_detached_and_cannot_be_armed() {
        let timers = paused(0);
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut armed = arm_at(&timers, 0, 9, Arc::new(Numbered(9, Arc::clone(&log))).into());
        let mut idle = idle(&timers);
        timers.shutdown();
        timers.shutdown();
        assert_eq!(*log.lock(), [9], "the waiting task is woken");
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(armed.as_mut().poll(&mut cx, || 8), TimerState::Detached);
        let arming = idle.as_mut().arm(timers.wheels[0], timers.instant_of(9), None);
        assert!(matches!(arming, Arming::Gone(None)));
        drop(timers);
        let other = paused(3);
        drop(armed);
        drop(idle);
        assert!((0..4).all(|slot| other.next_deadline(slot).is_none()));
    }

    #[test]
    fn a_timer_is_not_armed_on_a_wheel_that_serves_another_runtime() {
        let gone = paused(0);
        let mut timer = idle(&gone);
        let wheel = gone.wheels[0];
        gone.shutdown();
        wheel.open(u64::MAX, real_start());
        let arming = timer.as_mut().arm(wheel, real_start(), None);
        assert!(matches!(arming, Arming::Gone(None)));
        wheel.with(|inner| inner.life = NO_RUNTIME);
    }

    fn real_start() -> Instant {
        super::super::clock::real_now()
    }

    #[test]
    fn the_last_waker_is_woken_and_the_earlier_one_is_dropped() {
        let timers = paused(0);
        let log = Arc::new(Mutex::new(Vec::new()));
        let first = Arc::new(Numbered(1, Arc::clone(&log)));
        let second = Arc::new(Numbered(2, Arc::clone(&log)));
        let mut timer = arm_at(&timers, 0, 3, Arc::clone(&first).into());
        let waker = Waker::from(Arc::clone(&second));
        let mut cx = Context::from_waker(&waker);
        assert_eq!(timer.as_mut().poll(&mut cx, || 8), TimerState::Waiting);
        assert_eq!(timer.as_mut().poll(&mut cx, || 8), TimerState::Waiting);
        assert_eq!(Arc::strong_count(&first), 1);
        assert_eq!(fire(&timers, 0, 3), 1);
        assert_eq!(*log.lock(), [2]);
        assert_eq!(timer.as_mut().poll(&mut cx, || 8), TimerState::Fired);
    }

    /// Drops a timer of the same wheel when it is woken, and another when it is dropped.
    struct Entangled {
        when_woken: Mutex<Option<Pin<Box<Timer>>>>,
        _when_dropped: Pin<Box<Timer>>,
    }
    impl Wake for Entangled {
        fn wake(self: Arc<Self>) {
            drop(self.when_woken.lock().take());
        }
    }

    #[test]
    fn a_waker_may_drop_timers_of_the_wheel_that_wakes_it() {
        let timers = paused(0);
        let noop = || Waker::noop().clone();
        let entangled = Arc::new(Entangled {
            when_woken: Mutex::new(Some(arm_at(&timers, 0, 1, noop()))),
            _when_dropped: arm_at(&timers, 0, 70, noop()),
        });
        let weak: Weak<_> = Arc::downgrade(&entangled);
        let fired = arm_at(&timers, 0, 1, Arc::clone(&entangled).into());
        let dropped = arm_at(&timers, 0, 2, entangled.into());
        assert_eq!(fire(&timers, 0, 1), 2);
        assert!(weak.upgrade().is_some());
        drop(dropped);
        assert!(weak.upgrade().is_none());
        assert_eq!(timers.next_deadline(0), None);
        drop(fired);
    }

    fn collected(timers: &Timers) -> Vec<(u64, Duration)> {
        let mut waiters = Vec::new();
        timers.collect(&mut waiters);
        waiters
            .iter()
            .map(|waiter| match waiter {
                WaiterInfo { task, kind: WaitKind::Timer, subject: Subject::Deadline { remaining }, .. } => {
                    (*task, *remaining)
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_walk_shows_each_waiting_task_and_its_deadline() {
        let timers = paused(1);
        let (own, shared) = (0, timers.shared_slot());
        let mut first = arm_at(&timers, own, 5, Waker::noop().clone());
        let line = line!() + 1;
        let second = arm_at(&timers, shared, 1 << 40, Waker::noop().clone());
        let mut unpolled = idle(&timers);
        let arming = unpolled.as_mut().arm(timers.wheels[own], timers.instant_of(9), None);
        assert!(matches!(arming, Arming::Armed));
        assert_eq!(collected(&timers), [(7, Duration::from_millis(5)), (7, Duration::from_millis(1 << 40))]);
        let mut waiters = Vec::new();
        timers.collect(&mut waiters);
        assert_eq!(waiters[1].location.map(Location::line), Some(line));
        // Another task polls it. Then it gets another deadline while that task waits.
        let waker = Waker::from(Arc::new(Numbered(0, Arc::default())));
        assert_eq!(first.as_mut().poll(&mut Context::from_waker(&waker), || 8), TimerState::Waiting);
        let waker = first.as_mut().disarm();
        assert_eq!(collected(&timers).len(), 1);
        let arming = first.as_mut().arm(timers.wheels[own], timers.instant_of(6), waker);
        assert!(matches!(arming, Arming::ArmedEarliest));
        assert_eq!(collected(&timers)[0], (8, Duration::from_millis(6)));
        drop((first, second));
        assert_eq!(collected(&timers), []);
    }

    #[test]
    fn a_wait_for_a_timer_that_was_reset_before_begins_with_the_poll() {
        let timers = paused(0);
        // The clock starts at zero, which is also what a new timer has.
        while coarse::now_ms() == 0 {
            coarse::refresh();
        }
        let mut timer = idle(&timers);
        let arming = timer.as_mut().arm(timers.wheels[0], timers.instant_of(9), None);
        assert!(matches!(arming, Arming::ArmedEarliest));
        assert_eq!(timer.as_mut().poll(&mut Context::from_waker(Waker::noop()), || 7), TimerState::Waiting);
        let mut waiters = Vec::new();
        timers.collect(&mut waiters);
        assert!(matches!(waiters[..], [WaiterInfo { task: 7, since_ms: 1.., .. }]), "{waiters:?}");
    }

    #[test]
    fn a_walk_sees_all_timers_of_a_crowded_slot() {
        let timers = paused(0);
        let armed: Vec<_> =
            (0..10 * COLLECTED_AT_ONCE).map(|_| arm_at(&timers, 0, 600_123, Waker::noop().clone())).collect();
        assert_eq!(collected(&timers).len(), armed.len());
    }

    #[test]
    fn timers_are_dropped_while_another_thread_fires_them() {
        let timers = Arc::new(paused(0));
        let firing = Arc::clone(&timers);
        let rounds = u64::from(crate::sys::emulation::rounds(2_000));
        let thread = thread::spawn_named("firing".into(), None, move || {
            (0..rounds).map(|tick| fire(&firing, 0, tick)).sum::<usize>()
        })
        .expect("a test may start a thread");
        let mut cx = Context::from_waker(Waker::noop());
        let mut fired = 0;
        for round in 0..rounds {
            let mut timer = idle(&timers);
            let deadline = timers.instant_of(round + round % 5);
            match timer.as_mut().arm(timers.wheels[0], deadline, None) {
                Arming::Armed | Arming::ArmedEarliest => {
                    if timer.as_mut().poll(&mut cx, || 8) == TimerState::Fired {
                        fired += 1;
                    }
                }
                Arming::Due(_) => {}
                Arming::Gone(_) => panic!("the timers were not shut down"),
            }
        }
        assert!(fired <= thread.join().expect("firing does not panic"));
        assert_eq!(timers.next_deadline(0), None);
    }
}

//! The shared state of one registration: its word, and the wakers of the tasks that wait.
//!
//! Called by `source` (for tasks), by `Driver::dispatch` (for events) and by `slab`.
//!
//! # Invariants
//! - `waker-then-bit`: a waker is stored under the lock and before `State::enlist`, in one critical section. So a
//!   thread that sees the bit and then takes the lock finds the waker.
//! - `ended-under-lock`: the lock under which a waker is stored is also held to end all waits. So either the shutdown
//!   finds the waker, or the waker is not stored.
//! - `user-code-outside`: wakers are cloned, dropped and called without the lock.
//! - `described-in-its-use`: a use of the slot ends before its descriptor is closed. So a description of the descriptor is
//!   right if the generation is the same afterwards.
//!
//! # Why not otherwise
//! Lock-free cells for the two wakers cost two read-modify-writes to store a waker and two to take one. The uncontended
//! lock costs the same. And if no task waits, the event sees that in the word and takes no lock at all.

#![expect(unsafe_code, reason = "locations in atomic pointers")]

use super::ready::{Interest, Ready};
use super::state::{Direction, Enlist, State, WaitSlot, Waiting};
use crate::collections::wake_list::WakeList;
use crate::observe::coarse;
use crate::observe::waiter::{Subject, WaiterInfo};
use crate::observe::waiting::{Locate, WaitKind};
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::os::fd::RawFd;
use std::panic::Location;
use std::ptr;
use std::task::Waker;

/// A dump shows at most so many waiters of one list: it copies them under the lock.
const LISTED_MAX: usize = 1000;

/// See the module page.
#[derive(Debug)]
pub(crate) struct IoSlot {
    word: AtomicU64,
    /// The descriptor of this use, for dumps.
    fd: AtomicU32,
    /// Where the tasks with a place of their own wait, if that is known.
    read_at: AtomicPtr<Location<'static>>,
    write_at: AtomicPtr<Location<'static>>,
    waiters: Mutex<Waiters>,
}

/// The waiting tasks.
#[derive(Debug, Default)]
struct Waiters {
    reader: Option<SlotWaiter>,
    writer: Option<SlotWaiter>,
    /// Waiters without a cell of their own, in order of arrival.
    list: Vec<Listed>,
    /// The ticket of the next waiter in the list.
    next_ticket: u64,
    /// No event is dispatched from now on, so no task may wait.
    have_ended: bool,
}

/// A waiting task.
#[derive(Debug)]
struct SlotWaiter {
    waker: Waker,
    /// Its id. 0 if it is no task.
    task: u64,
    /// On the coarse clock.
    since_ms: u32,
}

#[derive(Debug)]
struct Listed {
    ticket: u64,
    interest: Interest,
    purpose: Purpose,
    location: Option<&'static Location<'static>>,
    waiter: SlotWaiter,
}

/// What a waiter of the list waits for by means of the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Descriptor,
    /// The end of the process with this id.
    Process(u32),
    /// The signal with this number.
    Signal(i32),
    /// Nothing of the program's: a part of redd is its own waker.
    Internal,
}

impl Waiters {
    fn cell(&mut self, direction: Direction) -> &mut Option<SlotWaiter> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }
}

/// The result of an attempt to wait.
#[derive(Debug)]
#[must_use]
pub(crate) enum Waited {
    /// The task need not wait: the word has what is ready.
    Ready(State),
    /// The waker is stored.
    Pending,
    /// The task would wait forever, because the runtime is shutting down.
    Ended,
}

impl IoSlot {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(State::fresh(0).word()),
            fd: AtomicU32::new(0),
            read_at: AtomicPtr::new(ptr::null_mut()),
            write_at: AtomicPtr::new(ptr::null_mut()),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// The runtime has ended, and with it all uses. The slot is as new, but for its generation.
    pub(crate) fn become_new(&self) {
        self.end_use();
        self.waiters.lock().have_ended = false;
    }

    /// The cell for the location of the task that waits in the cell of `direction`.
    #[inline]
    pub(crate) fn location_of(&self, direction: Direction) -> &AtomicPtr<Location<'static>> {
        match direction {
            Direction::Read => &self.read_at,
            Direction::Write => &self.write_at,
        }
    }

    /// A use begins, with this descriptor.
    pub(crate) fn begin_use(&self, fd: RawFd) {
        // Relaxed: read under the lock under which a waiter of this use was stored.
        self.fd.store(fd as u32, Ordering::Relaxed);
    }

    /// Adds the tasks that wait. `describe` returns what there is to know about the descriptor.
    pub(crate) fn collect(&self, describe: impl FnOnce(RawFd) -> Option<Box<str>>, out: &mut Vec<WaiterInfo>) {
        let state = self.state();
        if !state.is_anyone_waiting() {
            return;
        }
        let mut found = Vec::new();
        let waiters = self.waiters.lock();
        for (direction, kind, cell) in [
            (Direction::Read, WaitKind::Readable, &waiters.reader),
            (Direction::Write, WaitKind::Writable, &waiters.writer),
        ] {
            // A waker without its bit was left by a task that found the descriptor ready.
            let waiter = cell.as_ref().filter(|_| state.is_waiting(direction));
            // SAFETY: it is null or comes from a `&'static`.
            let location = unsafe { self.location_of(direction).load(Ordering::Relaxed).as_ref() };
            found.extend(waiter.map(|waiter| (waiter.task, waiter.since_ms, kind, Purpose::Descriptor, location)));
        }
        let listed = waiters.list.iter().take(LISTED_MAX);
        found.extend(listed.map(|listed| {
            let kind = if listed.interest == Interest::WRITABLE { WaitKind::Writable } else { WaitKind::Readable };
            (listed.waiter.task, listed.waiter.since_ms, kind, listed.purpose, listed.location)
        }));
        let fd = self.fd.load(Ordering::Relaxed) as RawFd;
        drop(waiters);
        if found.iter().all(|(.., purpose, _)| *purpose == Purpose::Internal) {
            return;
        }
        let about = describe(fd);
        if self.state().generation() != state.generation() {
            return; // `described-in-its-use`: the tasks found above wait no longer.
        }
        out.extend(found.into_iter().filter_map(|(task, since_ms, kind, purpose, location)| {
            let (kind, subject) = match purpose {
                Purpose::Descriptor => (kind, Subject::Descriptor { fd, about: about.clone() }),
                Purpose::Process(id) => (WaitKind::Process, Subject::Process(id)),
                Purpose::Signal(number) => (WaitKind::Signal, Subject::Signal(number)),
                Purpose::Internal => return None,
            };
            Some(WaiterInfo { task, kind, location, since_ms, is_direct: false, subject })
        }));
    }

    pub(crate) fn state(&self) -> State {
        // Acquire: reads what the thread that harvested the event did before. Pairs with Release in `IoSlot::apply`.
        State::from_word(self.word.load(Ordering::Acquire))
    }

    /// Applies a step, and repeats it if another thread has changed the word meanwhile. Returns `None` if the step
    /// declines.
    fn apply<R>(&self, mut step: impl FnMut(State) -> Option<(State, R)>) -> Option<R> {
        let mut current = self.state();
        loop {
            let (next, answer) = step(current)?;
            if next == current {
                return Some(answer);
            }
            // Release: publishes what this thread did before the step. Acquire: reads what other threads did before
            // theirs. They pair with each other here, and with Acquire in `IoSlot::state`.
            match self.word.compare_exchange_weak(current.word(), next.word(), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(answer),
                Err(word) => current = State::from_word(word),
            }
        }
    }

    /// An event has arrived for use `generation` of this slot.
    pub(crate) fn on_event(&self, generation: u32, event: Ready, wakers: &mut WakeList) {
        if let Some(waiting) = self.apply(|state| state.on_event(generation, event)) {
            self.take_wakers(waiting, Some(event), wakers);
        }
    }

    /// No event is dispatched from now on (`ended-under-lock`).
    pub(crate) fn end_waits(&self, wakers: &mut WakeList) {
        self.waiters.lock().have_ended = true;
        let all = Waiting { reader: true, writer: true, list: true };
        self.take_wakers(all, None, wakers);
    }

    /// The runtime shuts down.
    pub(crate) fn on_shutdown(&self, wakers: &mut WakeList) {
        self.apply(|state| Some((state.on_shutdown(), ())));
        let all = Waiting { reader: true, writer: true, list: true };
        self.take_wakers(all, None, wakers);
    }

    /// Moves wakers into `wakers`. From the list it takes those that wait for `event`, or all of them if that is
    /// `None`.
    fn take_wakers(&self, waiting: Waiting, event: Option<Ready>, wakers: &mut WakeList) {
        if waiting.is_empty() {
            return;
        }
        let mut waiters = self.waiters.lock();
        // `waker-then-bit`: the lock orders us after the thread that set the bit. We may also take a waker that was
        // stored since. Its task then checks again, and waits again.
        for (is_wanted, direction) in [(waiting.reader, Direction::Read), (waiting.writer, Direction::Write)] {
            if is_wanted {
                if let Some(SlotWaiter { waker, .. }) = waiters.cell(direction).take() {
                    if !wakers.has_room() {
                        drop(waiters);
                        wakers.wake_all();
                        waiters = self.waiters.lock();
                    }
                    wakers.push(waker);
                }
            }
        }
        if !waiting.list {
            return;
        }
        loop {
            let mut is_full = false;
            waiters.list.retain_mut(|listed| {
                if event.is_some_and(|event| (event & listed.interest.mask()).is_empty()) {
                    return true;
                }
                is_full = !wakers.has_room();
                if !is_full {
                    wakers.push(std::mem::replace(&mut listed.waiter.waker, Waker::noop().clone()));
                }
                is_full
            });
            if !is_full {
                break;
            }
            drop(waiters);
            wakers.wake_all();
            waiters = self.waiters.lock();
        }
        if waiters.list.is_empty() {
            self.apply(|state| Some((state.list_emptied(), ())));
        }
    }

    /// Unsets `cleared`, unless an event has arrived since `seen`.
    pub(crate) fn clear(&self, seen: State, cleared: Ready) {
        self.apply(|state| Some((state.clear(seen, cleared)?, ())));
    }

    /// The outcome after all waits have ended.
    fn ready_or_ended(&self, slot: WaitSlot, interest: Interest) -> Waited {
        match self.state().enlist(slot, interest) {
            Enlist::Ready(state) => Waited::Ready(state),
            Enlist::Wait(_) => Waited::Ended,
        }
    }

    fn enlist(&self, slot: WaitSlot, interest: Interest) -> Waited {
        let found = self.apply(|state| {
            Some(match state.enlist(slot, interest) {
                Enlist::Ready(ready) => (state, Waited::Ready(ready)),
                Enlist::Wait(next) => (next, Waited::Pending),
            })
        });
        found.expect("`State::enlist` never declines")
    }

    /// Stores `waker` of the task with this id in the cell of `direction`. It replaces the waker of a task that waited there
    /// before, as in Tokio.
    pub(crate) fn wait(&self, direction: Direction, waker: &Waker, task: u64) -> Waited {
        // `user-code-outside`: cloned before the lock if the word shows no waker there, which is the usual case.
        let mut fresh = (!self.state().is_waiting(direction)).then(|| waker.clone());
        // Each poll says anew where it waits.
        self.location_of(direction).store(ptr::null_mut(), Ordering::Relaxed);
        let mut waiters = self.waiters.lock();
        let is_stored = waiters.cell(direction).as_ref().is_some_and(|stored| stored.waker.will_wake(waker));
        if fresh.is_none() && !is_stored {
            drop(waiters);
            fresh = Some(waker.clone());
            waiters = self.waiters.lock();
        }
        if waiters.have_ended {
            drop(waiters);
            return self.ready_or_ended(WaitSlot::Cell(direction), direction.interest());
        }
        let waiter = fresh.map(|waker| SlotWaiter { waker, task, since_ms: coarse::now_ms() });
        let replaced = waiter.and_then(|waiter| waiters.cell(direction).replace(waiter));
        let waited = self.enlist(WaitSlot::Cell(direction), direction.interest());
        drop(waiters);
        drop(replaced);
        waited
    }

    /// Adds `waker` of the task with this id to the list, or replaces the caller's waker that is already there. `ticket`
    /// identifies it in the list.
    pub(crate) fn wait_in_list(
        &self,
        ticket: &mut Option<u64>,
        interest: Interest,
        purpose: Purpose,
        waker: &Waker,
        task: u64,
    ) -> Waited {
        // `user-code-outside`. The clone is seldom wasted: few futures are polled again before their event.
        let mut waker = waker.clone();
        let mut waiters = self.waiters.lock();
        if let Some(listed) = find(&mut waiters.list, *ticket) {
            (listed.waiter.task, listed.purpose, listed.location) = (task, purpose, None);
            std::mem::swap(&mut listed.waiter.waker, &mut waker);
            drop(waiters);
            drop(waker);
            return Waited::Pending;
        }
        if waiters.have_ended {
            drop(waiters);
            return self.ready_or_ended(WaitSlot::List, interest);
        }
        // The bit is set first, and under the lock: an event that sees it waits for the lock and then finds the waker.
        let waited = self.enlist(WaitSlot::List, interest);
        *ticket = None;
        match waited {
            Waited::Ready(_) | Waited::Ended => {
                drop(waiters);
                drop(waker);
            }
            Waited::Pending => {
                *ticket = Some(waiters.next_ticket);
                let waiter = SlotWaiter { waker, task, since_ms: coarse::now_ms() };
                let listed = Listed { ticket: waiters.next_ticket, interest, purpose, location: None, waiter };
                waiters.next_ticket += 1;
                waiters.list.push(listed);
            }
        }
        waited
    }

    /// Leaves the list. Does nothing if an event has already taken the waker.
    pub(crate) fn leave_list(&self, ticket: u64) {
        let mut waiters = self.waiters.lock();
        let index = waiters.list.iter().position(|listed| listed.ticket == ticket);
        let left = index.map(|index| waiters.list.remove(index));
        // The bit stays set: the next event finds an empty list and unsets it.
        drop(waiters);
        drop(left);
    }

    /// The registration ends: from here on the word belongs to the slot's next use.
    pub(crate) fn end_use(&self) {
        self.apply(|state| Some((state.next_use(), ())));
        let mut waiters = self.waiters.lock();
        // The list is not empty if a future in it was forgotten with `mem::forget`.
        let left = (waiters.reader.take(), waiters.writer.take(), std::mem::take(&mut waiters.list));
        drop(waiters);
        drop(left);
    }
}

impl Locate for IoSlot {
    fn locate(&self, number: u64, location: &'static Location<'static>) {
        if let Some(listed) = find(&mut self.waiters.lock().list, Some(number)) {
            listed.location = Some(location);
        }
    }
}

fn find(list: &mut [Listed], ticket: Option<u64>) -> Option<&mut Listed> {
    let ticket = ticket?;
    list.iter_mut().find(|listed| listed.ticket == ticket)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn waiters(slot: &IoSlot) -> Vec<WaiterInfo> {
        let mut waiters = Vec::new();
        slot.collect(|_| None, &mut waiters);
        waiters
    }

    #[test]
    fn a_slot_that_has_served_another_runtime_is_as_new() {
        let slot = IoSlot::new();
        slot.begin_use(3);
        let wait = |slot: &IoSlot| {
            let place = slot.wait(Direction::Read, Waker::noop(), 7);
            let listed = slot.wait_in_list(&mut None, Interest::READABLE, Purpose::Descriptor, Waker::noop(), 8);
            matches!((place, listed), (Waited::Pending, Waited::Pending))
        };
        assert!(wait(&slot));
        let mut wakers = WakeList::new();
        slot.end_waits(&mut wakers);
        assert!(!wait(&slot) && waiters(&slot).is_empty());
        slot.on_shutdown(&mut wakers);
        wakers.wake_all();
        slot.become_new();
        assert!(!slot.state().is_shutdown());
        assert!(wait(&slot));
        assert_eq!(waiters(&slot).len(), 2);
    }

    #[test]
    fn a_waiter_of_the_list_gets_its_location_afterwards_if_it_is_still_there() {
        let slot = IoSlot::new();
        slot.begin_use(3);
        let mut ticket = None;
        let wait = |ticket: &mut _| slot.wait_in_list(ticket, Interest::WRITABLE, Purpose::Signal(9), Waker::noop(), 7);
        assert!(matches!(wait(&mut ticket), Waited::Pending));
        slot.locate(ticket.expect("it is in the list"), Location::caller());
        let [WaiterInfo { kind: WaitKind::Signal, location: Some(_), subject: Subject::Signal(9), .. }] =
            waiters(&slot)[..]
        else {
            panic!("{:?}", waiters(&slot))
        };
        // The next poll may be from somewhere else.
        assert!(matches!(wait(&mut ticket), Waited::Pending));
        assert_eq!(waiters(&slot)[0].location, None);
        slot.leave_list(ticket.expect("it is in the list"));
        slot.locate(ticket.expect("as before"), Location::caller());
        assert!(waiters(&slot).is_empty());
    }
}

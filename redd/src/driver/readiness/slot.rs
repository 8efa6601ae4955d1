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
//!
//! # Why not otherwise
//! Lock-free cells for the two wakers cost two read-modify-writes to store a waker and two to take one. The uncontended
//! lock costs the same. And if no task waits, the event sees that in the word and takes no lock at all.

use super::ready::{Interest, Ready};
use super::state::{Direction, Enlist, State, WaitSlot, Waiting};
use crate::collections::wake_list::WakeList;
use crate::primitives::Mutex;
use crate::primitives::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// See the module page.
#[derive(Debug)]
pub(crate) struct IoSlot {
    word: AtomicU64,
    waiters: Mutex<Waiters>,
}

/// The waiting tasks.
#[derive(Debug, Default)]
struct Waiters {
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Waiters without a cell of their own, in order of arrival.
    list: Vec<Listed>,
    /// The ticket of the next waiter in the list.
    next_ticket: u64,
    /// No event is dispatched from now on, so no task may wait.
    have_ended: bool,
}

#[derive(Debug)]
struct Listed {
    ticket: u64,
    interest: Interest,
    waker: Waker,
}

impl Waiters {
    fn cell(&mut self, direction: Direction) -> &mut Option<Waker> {
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
        Self { word: AtomicU64::new(State::fresh(0).word()), waiters: Mutex::new(Waiters::default()) }
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
                if let Some(waker) = waiters.cell(direction).take() {
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
                    wakers.push(std::mem::replace(&mut listed.waker, Waker::noop().clone()));
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

    /// Stores `waker` in the cell of `direction`. It replaces the waker of a task that waited there before, as in
    /// Tokio.
    pub(crate) fn wait(&self, direction: Direction, waker: &Waker) -> Waited {
        // `user-code-outside`: cloned before the lock if the word shows no waker there, which is the usual case.
        let mut fresh = (!self.state().is_waiting(direction)).then(|| waker.clone());
        let mut waiters = self.waiters.lock();
        let is_stored = waiters.cell(direction).as_ref().is_some_and(|stored| stored.will_wake(waker));
        if fresh.is_none() && !is_stored {
            drop(waiters);
            fresh = Some(waker.clone());
            waiters = self.waiters.lock();
        }
        if waiters.have_ended {
            drop(waiters);
            return self.ready_or_ended(WaitSlot::Cell(direction), direction.interest());
        }
        let replaced = fresh.and_then(|waker| waiters.cell(direction).replace(waker));
        let waited = self.enlist(WaitSlot::Cell(direction), direction.interest());
        drop(waiters);
        drop(replaced);
        waited
    }

    /// Adds `waker` to the list, or replaces the caller's waker that is already there. `ticket` identifies it in the
    /// list.
    pub(crate) fn wait_in_list(&self, ticket: &mut Option<u64>, interest: Interest, waker: &Waker) -> Waited {
        // `user-code-outside`. The clone is seldom wasted: few futures are polled again before their event.
        let mut waker = waker.clone();
        let mut waiters = self.waiters.lock();
        if let Some(listed) = find(&mut waiters.list, *ticket) {
            std::mem::swap(&mut listed.waker, &mut waker);
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
                let listed = Listed { ticket: waiters.next_ticket, interest, waker };
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

fn find(list: &mut [Listed], ticket: Option<u64>) -> Option<&mut Listed> {
    let ticket = ticket?;
    list.iter_mut().find(|listed| listed.ticket == ticket)
}

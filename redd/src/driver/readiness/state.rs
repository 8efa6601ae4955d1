//! The word of one registration: what is ready, which tasks wait, and which use of the slot this is. Values in, values
//! out.
//!
//! ```text
//! 63        32 31    16 15 14  13   12     11     10     9       8       7..0
//! generation  | tick   | 0  UNTRIED_W UNTRIED_R LIST WRITER READER SHUTDOWN ready
//! ```
//!
//! | step | by | effect |
//! |---|---|---|
//! | `on_event` | the thread that harvested an event | sets ready bits, counts the tick, returns whose wakers to take |
//! | `clear` | an operation that would block | unsets ready bits, unless an event arrived after the operation read the word |
//! | `enlist` | a task that is about to wait | either finds readiness, or sets a waiting bit for the next event |
//! | `on_shutdown` | the shutdown of the runtime | sets SHUTDOWN permanently; all waiting tasks are to be woken |
//! | `next_use` | deregistration | the next generation, with nothing ready and no waiting bit |
//!
//! Called by `slot`, which applies the steps in a compare-exchange loop.
//!
//! # Invariants
//! - `tick-counts-events`: every event changes the tick, so a `clear` with an old tick changes nothing.
//! - `generation-guards`: a step on behalf of an earlier use of the slot changes nothing.
//! - `closed-stays`: READ_CLOSED and WRITE_CLOSED are unset only by one of our own operations that would block, which
//!   disproves them. For example, Linux reports a refused datagram in the same way as the end of writing.
//! - `bit-before-pending`: a task returns `Pending` only after `enlist` has set its waiting bit in a word that is not
//!   ready. The next event for that word sees the bit.

use super::ready::{Interest, Ready};

const SHUTDOWN: u64 = 1 << 8;
const READER: u64 = 1 << 9;
const WRITER: u64 = 1 << 10;
const LIST: u64 = 1 << 11;
const UNTRIED_READ: u64 = 1 << 12;
const UNTRIED_WRITE: u64 = 1 << 13;
const TICK_SHIFT: u32 = 16;
const TICK_MASK: u64 = 0xffff << TICK_SHIFT;
const GENERATION_SHIFT: u32 = 32;

/// The direction of an operation. Each has a cell of its own for a waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    pub(crate) fn interest(self) -> Interest {
        match self {
            Self::Read => Interest::READABLE,
            Self::Write => Interest::WRITABLE,
        }
    }

    fn waiting_bit(self) -> u64 {
        match self {
            Self::Read => READER,
            Self::Write => WRITER,
        }
    }
}

/// Where a waker waits: in the cell of a direction, or in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitSlot {
    Cell(Direction),
    List,
}

/// Whose wakers to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reader: bool,
    pub(crate) writer: bool,
    pub(crate) list: bool,
}

impl Waiting {
    pub(crate) fn is_empty(self) -> bool {
        !(self.reader || self.writer || self.list)
    }
}

/// What [`State::enlist`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Enlist {
    /// Ready or shut down: do not wait.
    Ready(State),
    /// The word to store. Once it is stored, the task may return `Pending`.
    Wait(State),
}

/// See the module page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State(u64);

impl State {
    pub(crate) const fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    /// The start of a use: nothing is known to be ready, and nothing was tried.
    pub(crate) const fn fresh(generation: u32) -> Self {
        Self((generation as u64) << GENERATION_SHIFT | UNTRIED_READ | UNTRIED_WRITE)
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    pub(crate) fn ready(self) -> Ready {
        Ready::from_bits(self.0 as u8)
    }

    pub(crate) fn is_shutdown(self) -> bool {
        self.0 & SHUTDOWN != 0
    }

    /// Whether an operation in this direction is worth trying: it is ready, or no operation has tried it yet.
    pub(crate) fn is_worth_trying(self, interest: Interest) -> bool {
        !(self.ready() & interest.mask()).is_empty() || self.0 & untried(interest.mask()) != 0
    }

    /// Whether the cell of `direction` has a waker.
    pub(crate) fn is_waiting(self, direction: Direction) -> bool {
        self.0 & direction.waiting_bit() != 0
    }

    fn is_ready(self, interest: Interest) -> bool {
        self.is_shutdown() || !(self.ready() & interest.mask()).is_empty()
    }

    /// An event for use `generation`. Returns `None` if that is an earlier use: the event is dropped
    /// (`generation-guards`).
    ///
    /// Unsets the bits of the reader and the writer if the event is for them. The event may wake only some of
    /// the tasks in the list. So the list's bit stays until a thread that holds the lock finds the list empty.
    pub(crate) fn on_event(self, generation: u32, event: Ready) -> Option<(Self, Waiting)> {
        if self.generation() != generation {
            return None;
        }
        let waiting = Waiting {
            reader: self.0 & READER != 0 && event.is_readable(),
            writer: self.0 & WRITER != 0 && event.is_writable(),
            list: self.0 & LIST != 0,
        };
        let mut word = self.0 | u64::from(event.bits());
        if waiting.reader {
            word &= !READER;
        }
        if waiting.writer {
            word &= !WRITER;
        }
        // `tick-counts-events`: the tick wraps within its field. Between a read of the word and the `clear`, 65,536
        // events do not happen.
        let tick = word.wrapping_add(1 << TICK_SHIFT) & TICK_MASK;
        Some((Self(word & !TICK_MASK | tick), waiting))
    }

    /// An operation has shown that `cleared` is not ready. `seen` is the word that it read before it tried. A caller
    /// without a proof leaves the closed bits out of `cleared` (`closed-stays`). Returns `None` if the word has changed
    /// since, so that nothing is known now (`tick-counts-events`, `generation-guards`).
    pub(crate) fn clear(self, seen: Self, cleared: Ready) -> Option<Self> {
        if (self.0 ^ seen.0) & (TICK_MASK | u64::from(u32::MAX) << GENERATION_SHIFT) != 0 {
            return None;
        }
        Some(Self(self.0 & !u64::from(cleared.bits()) & !untried(cleared)))
    }

    /// The waker of a task has been stored. Sets the bit that makes the next event take it (`bit-before-pending`).
    pub(crate) fn enlist(self, slot: WaitSlot, interest: Interest) -> Enlist {
        if self.is_ready(interest) {
            return Enlist::Ready(self);
        }
        let bit = match slot {
            WaitSlot::Cell(direction) => direction.waiting_bit(),
            WaitSlot::List => LIST,
        };
        Enlist::Wait(Self(self.0 | bit))
    }

    /// The list is empty.
    pub(crate) fn list_emptied(self) -> Self {
        Self(self.0 & !LIST)
    }

    /// The runtime shuts down: no task waits from now on.
    pub(crate) fn on_shutdown(self) -> Self {
        Self(self.0 & !(READER | WRITER | LIST) | SHUTDOWN)
    }

    /// The registration ends: later events for it are stale (`generation-guards`).
    pub(crate) fn next_use(self) -> Self {
        Self::fresh(self.generation().wrapping_add(1))
    }
}

fn untried(directions: Ready) -> u64 {
    let mut bits = 0;
    if !(directions & Ready::READABLE).is_empty() {
        bits |= UNTRIED_READ;
    }
    if !(directions & Ready::WRITABLE).is_empty() {
        bits |= UNTRIED_WRITE;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: u8 = Ready::ALL.bits();

    /// Every pattern of the low bits, with ticks at both ends of their field.
    fn every_state() -> impl Iterator<Item = State> {
        (0_u64..1 << 14).flat_map(|low| {
            [0_u64, 0xffff].into_iter().map(move |tick| State(7 << GENERATION_SHIFT | tick << TICK_SHIFT | low))
        })
    }

    #[test]
    fn an_event_sets_its_bits_counts_the_tick_and_takes_only_answered_waiters() {
        for state in every_state() {
            for bits in 0..=EVENTS {
                let event = Ready::from_bits(bits);
                let (next, waiting) = state.on_event(7, event).expect("this generation");
                assert_eq!(next.ready(), state.ready() | event);
                assert_ne!(next.0 & TICK_MASK, state.0 & TICK_MASK);
                assert_eq!(next.generation(), 7);
                assert_eq!(next.is_shutdown(), state.is_shutdown());
                assert_eq!(waiting.reader, state.0 & READER != 0 && event.is_readable());
                assert_eq!(next.0 & READER == 0, state.0 & READER == 0 || waiting.reader);
                assert_eq!(next.0 & WRITER == 0, state.0 & WRITER == 0 || waiting.writer);
                assert_eq!(next.0 & LIST, state.0 & LIST);
                assert_eq!(state.on_event(8, event), None);
                // A `clear` by a caller that read the word before the event changes nothing.
                assert_eq!(next.clear(state, Ready::ALL), None);
            }
        }
    }

    #[test]
    fn a_clear_unsets_its_bits_and_keeps_all_waiting_bits() {
        for state in every_state() {
            let all_but_closed = Ready::ALL - Ready::READ_CLOSED - Ready::WRITE_CLOSED;
            let next = state.clear(state, all_but_closed).expect("nothing happened");
            assert_eq!(next.ready(), state.ready() & (Ready::READ_CLOSED | Ready::WRITE_CLOSED));
            assert_eq!(next.0 & (READER | WRITER | LIST | SHUTDOWN), state.0 & (READER | WRITER | LIST | SHUTDOWN));
            assert_eq!(next.0 & (UNTRIED_READ | UNTRIED_WRITE), 0);
            let one = state.clear(state, Ready::READABLE).expect("nothing happened");
            assert_eq!(one.0 & UNTRIED_WRITE, state.0 & UNTRIED_WRITE);
            assert_eq!(state.clear(state.next_use(), Ready::ALL), None);
        }
    }

    #[test]
    fn a_task_that_enlists_on_a_word_that_is_not_ready_is_seen_by_the_next_event() {
        for state in every_state() {
            for (slot, interest, event) in [
                (WaitSlot::Cell(Direction::Read), Interest::READABLE, Ready::READ_CLOSED),
                (WaitSlot::Cell(Direction::Write), Interest::WRITABLE, Ready::WRITABLE),
                (WaitSlot::List, Interest::PRIORITY, Ready::PRIORITY),
            ] {
                match state.enlist(slot, interest) {
                    Enlist::Ready(same) => {
                        assert_eq!(same, state);
                        assert!(state.is_shutdown() || !(state.ready() & interest.mask()).is_empty());
                    }
                    Enlist::Wait(next) => {
                        assert!(!state.is_shutdown());
                        let (_, waiting) = next.on_event(7, event).expect("this generation");
                        assert!(match slot {
                            WaitSlot::Cell(Direction::Read) => waiting.reader,
                            WaitSlot::Cell(Direction::Write) => waiting.writer,
                            WaitSlot::List => waiting.list,
                        });
                    }
                }
            }
            assert!(state.on_shutdown().is_shutdown());
            let next = state.next_use();
            assert_eq!(next, State::fresh(8));
            assert!(next.is_worth_trying(Interest::READABLE));
            assert!(next.ready().is_empty());
        }
    }
}

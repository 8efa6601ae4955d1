//! The events of the flight recorder, as the two words that a ring has of each.
//!
//! Called by `recorder`. The words are also the format of a trace, which the program `redd` reads.
//!
//! - The first word: the ticks of `sys::ticks`, without the five highest bits, and below them the number of the kind.
//! - The second word: what the kind says. Where it is two tasks, it has the low half of each id; `pair` puts them together.

use super::ring::Words;

/// The number of bits of a kind.
const KIND_BITS: u32 = 5;

/// What happened. The numbers are part of the format of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EventKind {
    /// The events behind this one are of the thread with the low half, those in front of it of the thread with the high half.
    Thread = 1,
    /// The worker went to sleep, and has not been seen awake since. Only the reader makes this one.
    Park = 2,
    /// The worker has slept. See [`slept`] for how long; it is awake because the driver returned events of descriptors, if
    /// there are any.
    Sleep = 3,
    /// The driver has returned so many events of descriptors.
    DriverEvents = 4,
    /// So many timers have fired.
    TimersFired = 5,
    /// The worker has taken so many tasks from the injector.
    SharedBatch = 6,
    /// The worker has taken so many tasks from another one.
    Steal = 7,
    /// The thread begins to run the closure with this id.
    ClosureStart = 8,
    /// The closure has ended.
    ClosureEnd = 9,
    /// The task with this id waits for permits.
    LockWait = 10,
    /// The first task got its permits, which the second one has released.
    LockGrant = 11,
    /// The poll of the task with this id is late. 0: of the future of `block_on`.
    LatePoll = 12,
    /// A spare worker starts to run.
    SpareStarted = 13,
    /// The task with this id has panicked.
    Panic = 14,
    /// The second task has spawned the first one.
    Spawn = 15,
    /// The poll of the task with this id begins.
    PollStart = 16,
    /// It has ended, and the task has not.
    PollEnd = 17,
    /// It has ended, and so has the task.
    TaskEnd = 18,
    /// The second task has woken the first one, which is queued now. If it was queued already, or is being polled, that is no
    /// event.
    Wake = 19,
    /// After `TaskEnd`: the address of the location that spawned the task.
    SpawnedAt = 20,
}

/// Two ids as one word: the low half of each. The client completes them by the ids that it knows in full.
#[inline]
pub(crate) fn pair(first: u64, second: u64) -> u64 {
    u64::from(first as u32) | second << 32
}

/// The bits of a number of events beside a time.
const COUNT_BITS: u32 = 16;

/// What an event of the kind `Sleep` says: for how many ticks, and how many events of descriptors there were. As many as fit.
#[inline]
pub(super) fn slept(ticks: u64, count: u64) -> u64 {
    ticks.min(u64::MAX >> COUNT_BITS) << COUNT_BITS | count.min((1 << COUNT_BITS) - 1)
}

/// When the event begins, in ticks.
pub(super) fn start_of(words: Words, now: u64) -> u64 {
    let slept = if kind_of(words) == EventKind::Sleep as u64 { words[1] >> COUNT_BITS } else { 0 };
    ticks_of(words, now).wrapping_sub(slept)
}

/// The words of an event.
#[inline]
pub(super) fn words(ticks: u64, kind: EventKind, argument: u64) -> Words {
    [ticks << KIND_BITS | kind as u64, argument]
}

/// The kind of an event; `None` if the slot was not written, or its page was given back meanwhile.
pub(crate) fn kind_of([first, _]: Words) -> u64 {
    first & ((1 << KIND_BITS) - 1)
}

/// The ticks of an event, of which `now` is at most 2⁵⁸ ahead or behind.
pub(super) fn ticks_of([first, _]: Words, now: u64) -> u64 {
    let behind = (now << KIND_BITS).wrapping_sub(first & !((1 << KIND_BITS) - 1)) as i64 >> KIND_BITS;
    now.wrapping_sub(behind as u64)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_again_across_the_wrap_of_the_word() {
        for now in [0, 5, 1 << 58, 1 << 59, (1 << 59) + 7, u64::MAX >> 1, u64::MAX] {
            for ahead in [-1000_i64, -1, 0, 1, 1000, 1 << 40, -(1 << 40)] {
                let ticks = now.wrapping_add_signed(ahead);
                let words = words(ticks, EventKind::SpawnedAt, 9);
                assert_eq!((ticks_of(words, now), kind_of(words)), (ticks, EventKind::SpawnedAt as u64));
            }
        }
        assert_eq!(kind_of([0, 0]), 0);
    }

    #[test]
    fn a_pair_has_the_low_half_of_each() {
        assert_eq!(pair(0x1_2345_6789, 0x9_8765_4321), 0x8765_4321_2345_6789);
    }
}

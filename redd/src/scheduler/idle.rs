//! How many workers are parked or search, and whether a wake-up is in flight: one word for all workers.
//!
//! Called by `search` and `park`, and by every thread that makes a task ready (`wake_one`). The protocol around it, and the
//! proof that no task is left behind while all workers sleep, are in PARKING.md beside this file.
//!
//! ```text
//!              start_search                    enter_park(Some)
//!   working ───────────────────▶ searching ───────────────────────────▶ sleeping
//!      ▲ ▲                           │ ▲                                 │ │ │
//!      │ └────── end_search ─────────┘ └──── leave_park(with token) ─────┘ │ │
//!      └──────────── cancel_park, leave_park(without token) ───────────────┘ │
//!      └───────────▶ enter_park(None) ──────────────────────────────┘
//!
//!   token:  none ──wake_one──▶ in flight ──leave_park(with token), pass_token──▶ none
//! ```
//!
//! # Invariants
//! - `one-token`: at most one wake-up that the word counts is in flight. The worker that receives it clears the bit, whether it
//!   was set or not (a shutdown wakes without it), and then searches or passes it on.
//! - `chained-wakes`: while a worker searches or a token is in flight, no other worker is woken. The last searcher to end its
//!   search checks once more for tasks, and calls `wake_one` if it finds any.
//! - `submit-vs-park`: a pair of fences. One is between the push of a task and the read of the word. The other is between the
//!   change of the word to "parked" or "no longer searching" and the last check for tasks. They are in
//!   [`fence_after_publish`], and in [`fence_before_recheck`] after [`Idle::enter_park`] and [`Idle::end_search`].
//!
//! A worker without a thread is not counted in the word, and nothing here starts one: `one-ahead` in `start.rs`.
//!
//! # Why not otherwise
//! With a list of parked workers under a lock, the waker could choose the worker to wake, but it would pay for the lock. A
//! wake-up per task costs more than most tasks. So does one per search: when each searcher that found a task woke the next
//! worker, two workers woke for each single task from outside.

use std::fmt;

use crate::primitives::atomic::{AtomicU64, Ordering, fence};
use crate::primitives::cache_padded::CachePadded;

/// See the module page.
pub(crate) struct Idle {
    word: CachePadded<AtomicU64>,
}

/// What the caller of [`Idle::wake_one`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum WakeAction {
    /// The token is set: wake a worker at the event count, or else call `driver.wake()`.
    WriteToken,
    /// No worker is parked, or one searches or is already being woken.
    Nothing,
}

/// The permission to steal from other workers. The word counts the searchers, so the worker gives it back with
/// [`Idle::end_search`] or [`Idle::enter_park`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Searching(());

/// What a worker does after it has left the park.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum AfterPark {
    /// The token woke it, so it is a searcher.
    Search,
    /// An event or a deadline woke it, or its last check found a task.
    Continue,
}

/// To be called after a change that parked workers check for (a push, a mark, a phase), and before `wake_one`. A push to the
/// worker's own queue needs no fence, as that worker is awake.
#[inline]
pub(crate) fn fence_after_publish() {
    // Fence `submit-vs-park` (submit side; the other is in `idle::fence_before_recheck`): we see the parked worker or it sees our
    // task.
    fence(Ordering::SeqCst);
}

/// Called after the change of the word by which this worker stops taking tasks, and before its last check for tasks.
fn fence_before_recheck() {
    // Fence `submit-vs-park` (park side; the other is in `idle::fence_after_publish`): the pusher sees that we are parked or no
    // longer search, or our last check sees its task.
    fence(Ordering::SeqCst);
}

impl Idle {
    /// No worker is parked or searches.
    pub(crate) fn new() -> Self {
        Self { word: CachePadded(AtomicU64::new(0)) }
    }

    /// Requests a worker that searches for tasks. In the common case this is one load.
    #[inline]
    pub(crate) fn wake_one(&self) -> WakeAction {
        let word = self.word.0.load(Ordering::Relaxed);
        if word & (SEARCHERS | TOKEN) == 0 && word >= SLEEPER { self.wake_one_slow() } else { WakeAction::Nothing }
    }

    #[inline(never)]
    fn wake_one_slow(&self) -> WakeAction {
        self.apply(Word::woken)
    }

    /// Lets a worker without work steal from other workers, unless `limit` workers search already.
    pub(crate) fn start_search(&self, limit: usize) -> Option<Searching> {
        let limit = u16::try_from(limit.max(1)).unwrap_or(u16::MAX);
        self.apply(|word| word.search_started(limit)).then_some(Searching(()))
    }

    /// Ends a search that has found a task, or that ends without a park.
    ///
    /// If true, this was the last searcher. It must check for tasks once more, and call [`wake_one`](Self::wake_one) if there is
    /// one (`chained-wakes`).
    #[must_use]
    pub(crate) fn end_search(&self, Searching(()): Searching) -> bool {
        let is_last = self.apply(Word::search_ended);
        if is_last {
            fence_before_recheck();
        }
        is_last
    }

    /// Counts the worker as parked, and no longer as a searcher.
    ///
    /// The worker checks for tasks once more after this. Then it either sleeps and calls [`leave_park`](Self::leave_park), or
    /// calls [`cancel_park`](Self::cancel_park).
    pub(crate) fn enter_park(&self, searching: Option<Searching>) {
        self.apply(|word| word.park_entered(searching.is_some()));
        fence_before_recheck();
    }

    /// Whether a wake-up is in flight. A snapshot.
    pub(crate) fn has_token(&self) -> bool {
        self.load().has_token
    }

    /// Whether a wake-up is in flight, for a worker that has released the driver lease and may have left the token in the driver.
    pub(crate) fn has_token_after_lease(&self) -> bool {
        // `submit-vs-park`, with the lease in the place of a task. Another worker may enter park and find the lease taken. Either it
        // sees that the lease is free, or this load sees the token, which no worker in the driver will take.
        fence_after_publish();
        self.load().has_token
    }

    /// The last check has found a task, so the worker does not sleep.
    pub(crate) fn cancel_park(&self) {
        let _ = self.apply(|word| word.park_left(false));
    }

    /// The worker has slept. `has_token`: a notification woke it, by the event count or the eventfd, and
    /// the worker is a searcher now.
    pub(crate) fn leave_park(&self, has_token: bool) -> Option<Searching> {
        match self.apply(|word| word.park_left(has_token)) {
            AfterPark::Search => Some(Searching(())),
            AfterPark::Continue => None,
        }
    }

    /// A worker that was not parked found the token, which was meant for one that is (`one-token`).
    pub(crate) fn pass_token(&self) -> WakeAction {
        self.apply(Word::token_passed)
    }

    pub(super) fn load(&self) -> Word {
        Word::unpack(self.word.0.load(Ordering::Relaxed))
    }

    /// The only place that changes the word. Relaxed: it carries no data; the order of its changes and the fence pair
    /// `submit-vs-park` are all that the proof needs.
    #[inline]
    pub(super) fn apply<A>(&self, step: impl Fn(Word) -> (Word, A)) -> A {
        let mut before = self.word.0.load(Ordering::Relaxed);
        loop {
            let (after, result) = step(Word::unpack(before));
            let after = after.pack();
            if after == before {
                return result;
            }
            match self.word.0.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return result,
                Err(now) => before = now,
            }
        }
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}

/// The layout is `sleepers:16 | searchers:16 | token:1`, with the token in bit 0. These are the token, all searchers, and one
/// sleeper.
const TOKEN: u64 = 1;
const SEARCHERS: u64 = 0xffff << 1;
const SLEEPER: u64 = 1 << 17;

/// The word as values. Each step is pure: it takes a word and returns the new word and a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) sleepers: u16,
    pub(super) searchers: u16,
    pub(super) has_token: bool,
}

impl Word {
    fn pack(self) -> u64 {
        u64::from(self.sleepers) << 17 | u64::from(self.searchers) << 1 | u64::from(self.has_token)
    }

    fn unpack(bits: u64) -> Self {
        Self { sleepers: (bits >> 17) as u16, searchers: (bits >> 1) as u16, has_token: bits & TOKEN != 0 }
    }

    /// If no worker searches (`chained-wakes`), a parked worker is to be woken, unless a token is already in flight.
    pub(super) fn woken(self) -> (Self, WakeAction) {
        if self.searchers > 0 || self.sleepers == 0 {
            return (self, WakeAction::Nothing);
        }
        let action = if self.has_token { WakeAction::Nothing } else { WakeAction::WriteToken };
        (Self { has_token: true, ..self }, action)
    }

    pub(super) fn search_started(self, limit: u16) -> (Self, bool) {
        if self.searchers < limit { (Self { searchers: self.searchers + 1, ..self }, true) } else { (self, false) }
    }

    pub(super) fn search_ended(self) -> (Self, bool) {
        debug_assert!(self.searchers > 0, "the caller is a searcher");
        let searchers = self.searchers - 1;
        (Self { searchers, ..self }, searchers == 0)
    }

    pub(super) fn park_entered(self, was_searching: bool) -> (Self, ()) {
        debug_assert!(!was_searching || self.searchers > 0, "the caller is a searcher");
        let searchers = self.searchers - u16::from(was_searching);
        (Self { sleepers: self.sleepers + 1, searchers, ..self }, ())
    }

    pub(super) fn park_left(self, has_token: bool) -> (Self, AfterPark) {
        debug_assert!(self.sleepers > 0, "the caller is counted as parked");
        let sleepers = self.sleepers - 1;
        if has_token {
            (Self { sleepers, searchers: self.searchers + 1, has_token: false }, AfterPark::Search)
        } else {
            (Self { sleepers, ..self }, AfterPark::Continue)
        }
    }

    pub(super) fn token_passed(self) -> (Self, WakeAction) {
        // If it has to be written again, the bit stays set.
        if self.has_token { Self { has_token: false, ..self }.woken() } else { (self, WakeAction::Nothing) }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// All words with up to three parked workers and searchers.
    fn words() -> impl Iterator<Item = Word> {
        (0..4 * 4).flat_map(|n| [false, true].map(|has_token| Word { sleepers: n % 4, searchers: n / 4, has_token }))
    }

    #[test]
    fn packing_keeps_all_fields() {
        let most = Word { sleepers: u16::MAX, searchers: u16::MAX, has_token: true };
        for word in words().chain([most]) {
            assert_eq!(Word::unpack(word.pack()), word);
        }
    }

    #[test]
    fn a_token_is_written_only_if_no_wake_up_is_in_flight() {
        for word in words() {
            let (after, action) = word.woken();
            let idle = Idle { word: CachePadded(AtomicU64::new(word.pack())) };
            assert_eq!((idle.wake_one(), idle.load()), (action, after), "the short path agrees");
            let is_needed = word.sleepers > 0 && word.searchers == 0 && !word.has_token;
            assert_eq!(action == WakeAction::WriteToken, is_needed, "{word:?}");
            assert_eq!(after, Word { has_token: word.has_token || is_needed, ..word });
            assert_eq!(after.woken(), (after, WakeAction::Nothing), "`one-token`: {word:?}");
        }
    }

    #[test]
    fn searchers_stay_within_the_limit_and_the_last_one_is_told_that_it_is_last() {
        for word in words() {
            for limit in 1..4 {
                let (after, is_searcher) = word.search_started(limit);
                assert_eq!(is_searcher, word.searchers < limit);
                if is_searcher {
                    assert_eq!(after.search_ended(), (word, word.searchers == 0), "`chained-wakes`");
                } else {
                    assert_eq!(after, word);
                }
            }
        }
    }

    #[test]
    fn parking_and_leaving_are_balanced() {
        for word in words() {
            let (after, next) = word.park_entered(false).0.park_left(false);
            assert_eq!((after, next), (word, AfterPark::Continue));
            let (after, next) = word.park_entered(false).0.park_left(true);
            assert_eq!(next, AfterPark::Search);
            assert_eq!(after, Word { searchers: word.searchers + 1, has_token: false, ..word });
            if word.searchers > 0 {
                let asleep = word.park_entered(true).0;
                assert_eq!(asleep.park_left(true).0, Word { has_token: false, ..word });
            }
        }
    }

    #[test]
    fn a_token_found_by_a_busy_worker_is_passed_on_if_it_is_needed() {
        for word in words() {
            let (after, action) = word.token_passed();
            let is_needed = word.has_token && word.sleepers > 0 && word.searchers == 0;
            assert_eq!(action == WakeAction::WriteToken, is_needed, "{word:?}");
            assert_eq!(after, Word { has_token: is_needed, ..word });
        }
    }

    #[test]
    fn a_worker_that_cancels_its_park_leaves_the_token_to_a_parked_one() {
        let idle = Idle::new();
        idle.enter_park(None);
        idle.enter_park(None);
        assert_eq!(idle.wake_one(), WakeAction::WriteToken);
        idle.cancel_park();
        assert!(idle.has_token());
        assert!(idle.leave_park(true).is_some(), "it searches");
    }

    #[test]
    fn a_limit_of_zero_lets_one_search() {
        let idle = Idle::new();
        let searching = idle.start_search(0).expect("no worker searches");
        assert!(idle.start_search(0).is_none());
        assert!(idle.end_search(searching));
    }
}

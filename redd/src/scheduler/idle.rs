//! Who sleeps, who searches, and whom to wake: one word for all workers.
//!
//! Called by `worker` (search, park) and by whoever makes a task ready (`wake_one`). The protocol around it, and the
//! proof that no task is left lying while all sleep, is in `PARKING.md` beside this file.
//!
//! ```text
//!              start_search                    enter_park(searching)
//!   working ───────────────────▶ searching ───────────────────────────▶ sleeping
//!      ▲ ▲                           │ ▲                                 │ │ │
//!      │ └────── end_search ─────────┘ └──── leave_park(with token) ─────┘ │ │
//!      └──────────── cancel_park, leave_park(without token) ───────────────┘ │
//!      └───────────▶ enter_park(not searching) ──────────────────────────────┘
//!
//!   token:  none ──wake_one──▶ in flight ──leave_park(with token), pass_token──▶ none
//! ```
//!
//! # Invariants
//! - `one-token`: at most one wake-up that the word knows of is on its way. Whoever finds it clears the bit, whether it
//!   was set or not (shutdown wakes without it), and searches or passes it on.
//! - `chained-wakes`: while someone searches or a token is on its way nobody else is woken; the last to end its search
//!   looks for what was left to it, and calls `wake_one` in its turn if it sees any.
//! - `submit-vs-park`: the fence between "I put a task down" and "is anyone asleep, or searching?" on one side, and between
//!   "I am asleep", or "I search no more", and "is a task there?" on the other. It stands in [`after_remote_push`], and in
//!   [`before_last_look`] behind [`Idle::enter_park`] and [`Idle::end_search`].
//!
//! A worker that has no thread yet is not in the word, and nothing here starts one: `one-ahead` in `start.rs`.
//!
//! # Why not otherwise
//! A list of sleepers under a lock says whom to wake, but all sleep in the same epoll, and the kernel knows better
//! which of them is warm. A wake-up per task costs more than most tasks. So does one per search: a searcher that always
//! woke the next one when it found something had two workers awake for each single task from outside.

use std::fmt;

use super::run_queue::CachePadded;
use crate::primitives::atomic::{AtomicU64, Ordering, fence};

/// See the module page.
pub(crate) struct Idle {
    word: CachePadded<AtomicU64>,
}

/// What the caller of [`Idle::wake_one`] does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum WakeAction {
    /// The token is taken out: call `driver.wake()`.
    WriteToken,
    /// All are awake, or someone is on the way already.
    Nothing,
}

/// What the caller of [`Idle::leave_park`] is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum AfterPark {
    /// A searcher: it ends with `end_search` or `enter_park(true)`.
    Search,
    /// A worker that an event, a deadline or its last look woke.
    Continue,
}

/// After a push to where sleeping workers look, before `wake_one`. A push to the worker's own queue does without: that
/// worker is awake.
#[inline]
pub(crate) fn after_remote_push() {
    // Fence `submit-vs-park` (submit side; the other is in `idle::before_last_look`): we see the sleeper or it sees our task.
    fence(Ordering::SeqCst);
}

/// Behind a change of the word after which others count on this worker no more, before its last look for tasks.
fn before_last_look() {
    // Fence `submit-vs-park` (park side; the other is in `idle::after_remote_push`): the pusher sees that we sleep or search
    // no more, or our last look sees its task.
    fence(Ordering::SeqCst);
}

impl Idle {
    /// Nobody sleeps or searches.
    pub(crate) fn new() -> Self {
        Self { word: CachePadded(AtomicU64::new(0)) }
    }

    /// Someone is to look for tasks. In the common case this is one load.
    #[inline]
    pub(crate) fn wake_one(&self) -> WakeAction {
        let word = self.word.0.load(Ordering::Relaxed);
        if word & (SEARCHERS | TOKEN) == 0 && word >= SLEEPER { self.call_one() } else { WakeAction::Nothing }
    }

    #[inline(never)]
    fn call_one(&self) -> WakeAction {
        self.apply(Word::woken)
    }

    /// A worker without work asks whether it may look into the queues of others. True: it is a searcher now.
    pub(crate) fn start_search(&self, limit: usize) -> bool {
        let limit = u16::try_from(limit.max(1)).unwrap_or(u16::MAX);
        self.apply(|word| word.search_started(limit))
    }

    /// A searcher found something, or gives up without sleeping. True: it was the last, and has to look once more and call
    /// [`wake_one`](Self::wake_one) if there is more (`chained-wakes`).
    #[must_use]
    pub(crate) fn end_search(&self) -> bool {
        let is_last = self.apply(Word::search_ended);
        if is_last {
            before_last_look();
        }
        is_last
    }

    /// The worker is counted as asleep. It looks at the injector once more after this, and then either sleeps and calls
    /// [`leave_park`](Self::leave_park), or calls [`cancel_park`](Self::cancel_park).
    pub(crate) fn enter_park(&self, was_searching: bool) {
        self.apply(|word| word.park_entered(was_searching));
        before_last_look();
    }

    /// A wake-up is on its way. A moment's view.
    pub(crate) fn has_token(&self) -> bool {
        self.load().has_token
    }

    /// The last look found something.
    pub(crate) fn cancel_park(&self) {
        let _ = self.apply(|word| word.park_left(false));
    }

    /// The worker has slept. `has_token`: the driver reported the wake-up.
    pub(crate) fn leave_park(&self, has_token: bool) -> AfterPark {
        self.apply(|word| word.park_left(has_token))
    }

    /// A worker that did not sleep found the token, which was meant for one that does (`one-token`).
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
            let (after, answer) = step(Word::unpack(before));
            let after = after.pack();
            if after == before {
                return answer;
            }
            match self.word.0.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return answer,
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

/// `sleepers:16 | searchers:16 | token:1`, the token in bit 0: one of each, and all searchers.
const TOKEN: u64 = 1;
const SEARCHERS: u64 = 0xffff << 1;
const SLEEPER: u64 = 1 << 17;

/// The word as values. The steps are pure: a word in, the new word and the answer out.
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

    /// If no worker searches (`chained-wakes`), a sleeper is to look at the queues, unless a token wakes one already.
    pub(super) fn woken(self) -> (Self, WakeAction) {
        if self.searchers > 0 || self.sleepers == 0 {
            return (self, WakeAction::Nothing);
        }
        let answer = if self.has_token { WakeAction::Nothing } else { WakeAction::WriteToken };
        (Self { has_token: true, ..self }, answer)
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
        debug_assert!(self.sleepers > 0, "the caller is a sleeper");
        let sleepers = self.sleepers - 1;
        if has_token {
            (Self { sleepers, searchers: self.searchers + 1, has_token: false }, AfterPark::Search)
        } else {
            (Self { sleepers, ..self }, AfterPark::Continue)
        }
    }

    pub(super) fn token_passed(self) -> (Self, WakeAction) {
        // If it is written again, the bit stays.
        if self.has_token { Self { has_token: false, ..self }.woken() } else { (self, WakeAction::Nothing) }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// All words with up to three sleepers and searchers.
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
    fn a_wake_up_is_written_only_for_a_sleeper_that_nobody_will_help() {
        for word in words() {
            let (after, answer) = word.woken();
            let idle = Idle { word: CachePadded(AtomicU64::new(word.pack())) };
            assert_eq!((idle.wake_one(), idle.load()), (answer, after), "the quick look says the same");
            let is_needed = word.sleepers > 0 && word.searchers == 0 && !word.has_token;
            assert_eq!(answer == WakeAction::WriteToken, is_needed, "{word:?}");
            assert_eq!(after, Word { has_token: word.has_token || is_needed, ..word });
            assert_eq!(after.woken(), (after, WakeAction::Nothing), "`one-token`: {word:?}");
        }
    }

    #[test]
    fn searchers_stay_below_the_limit_and_the_last_one_knows() {
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
            let (after, answer) = word.park_entered(false).0.park_left(false);
            assert_eq!((after, answer), (word, AfterPark::Continue));
            let (after, answer) = word.park_entered(false).0.park_left(true);
            assert_eq!(answer, AfterPark::Search);
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
            let (after, answer) = word.token_passed();
            let is_needed = word.has_token && word.sleepers > 0 && word.searchers == 0;
            assert_eq!(answer == WakeAction::WriteToken, is_needed, "{word:?}");
            assert_eq!(after, Word { has_token: is_needed, ..word });
        }
    }

    #[test]
    fn who_does_not_sleep_after_all_leaves_the_token_to_whoever_does() {
        let idle = Idle::new();
        idle.enter_park(false);
        idle.enter_park(false);
        assert_eq!(idle.wake_one(), WakeAction::WriteToken);
        idle.cancel_park();
        assert!(idle.has_token());
        assert_eq!(idle.leave_park(true), AfterPark::Search);
    }

    #[test]
    fn a_limit_of_zero_lets_one_search() {
        let idle = Idle::new();
        assert!(idle.start_search(0));
        assert!(!idle.start_search(0));
        assert!(idle.end_search());
    }
}

//! Spinning for a moment before a thread sleeps, if that has paid for this thread before.
//!
//! Called by workers and by threads of the blocking pool.
//!
//! Two threads that pass work to each other sleep for a few microseconds each time. The system takes ten to forty to wake
//! a thread on a processor that sleeps too. If both check a little longer for what they wait for, neither sleeps.
//!
//! # Invariants
//! - `bounded-waste`: after `n` failed attempts in a row, `2^n - 1` short sleeps pass before the next attempt, at most
//!   `2^8 - 1`. So a thread for which spinning never pays loses a tenth of a microsecond per sleep. A thread whose
//!   sleeps are long loses nothing. If attempts succeed late again and again, they have failed in this sense: the thread that does
//!   the work could have used the processor.
//! - `fresh-waits`: a new thread is treated as after [`FRESH`] failed attempts. So the threads of a runtime that lives for a
//!   few sleeps never spin.
//!
//! # Why not otherwise
//! A new thread that spins after its first short sleep may be about to end, or share a busy processor with the thread that it
//! waits for. There the spin uses up the thread's share, and the next turn may be milliseconds away.

use std::time::Duration;

use super::clock::now;
use super::spin_limits::{FRESH, PAYS, ROUNDS, SHORT, SPIN_MAX};
use super::thread::spin_loop;

/// Pauses between two checks of the condition.
const PAUSES: u32 = 8;
const FAILED_MAX: u32 = 8;
/// So many late successes in a row are a failure. The first of two threads to spin waits until the other one has woken, which
/// takes longer than what follows.
const LATE_MAX: u32 = 4;

/// What one thread knows of its sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    is_due: bool,
    /// Failed attempts in a row.
    failed: u32,
    /// Short sleeps that pass before the next attempt.
    passes: u32,
    /// Successful attempts in a row that came late.
    late: u32,
}

impl Default for Spin {
    fn default() -> Self {
        Self { is_due: false, failed: FRESH, passes: passes_after(FRESH), late: 0 }
    }
}

/// `bounded-waste`
const fn passes_after(failed: u32) -> u32 {
    (1 << failed) - 1
}

impl Spin {
    /// Spins until `is_there` returns true, if previous sleeps suggest that spinning pays. Returns whether it became true.
    #[inline]
    pub(crate) fn spin(&mut self, is_there: impl FnMut() -> bool) -> bool {
        self.is_due && self.spin_now(is_there)
    }

    #[cold]
    fn spin_now(&mut self, mut is_there: impl FnMut() -> bool) -> bool {
        if super::baton::is_member() {
            return false; // No other thread of the world runs meanwhile.
        }
        let since = now();
        for _ in 0..ROUNDS {
            if is_there() {
                self.record_success(now().saturating_duration_since(since));
                return true;
            }
            if now().saturating_duration_since(since) > SPIN_MAX {
                break;
            }
            (0..PAUSES).for_each(|_| spin_loop());
        }
        self.record_failure();
        false
    }

    fn record_success(&mut self, spun: Duration) {
        self.late = if spun > PAYS { self.late + 1 } else { 0 };
        if self.late == 0 {
            self.failed = 0;
        } else if self.late >= LATE_MAX {
            self.record_failure();
        }
    }

    /// `bounded-waste`
    fn record_failure(&mut self) {
        (self.is_due, self.late) = (false, 0);
        self.failed = (self.failed + 1).min(FAILED_MAX);
        self.passes = passes_after(self.failed);
    }

    /// Records how long the thread slept until its condition became true.
    #[inline]
    pub(crate) fn record_sleep(&mut self, slept: Duration) {
        if slept < SHORT {
            self.is_due = self.passes == 0;
            self.passes = self.passes.saturating_sub(1);
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn it_spins_after_some_short_sleeps_and_again_as_long_as_it_pays() {
        let mut spin = Spin::default();
        assert!(!spin.spin(|| panic!("nothing is known yet")));
        for _ in 0..15 {
            spin.record_sleep(Duration::from_micros(1));
            assert!(!spin.spin(|| panic!("`fresh-waits`")));
        }
        spin.record_sleep(Duration::from_millis(1));
        assert!(!spin.spin(|| panic!("sleeps are long")));
        spin.record_sleep(Duration::from_micros(1));
        for _ in 0..3 {
            assert!(spin.spin(|| true));
        }
        assert!(!spin.spin(|| false));
        assert!(!spin.spin(|| panic!("it did not pay")));
    }

    #[test]
    fn a_spin_that_succeeds_late_has_not_paid() {
        let mut spin = Spin::default();
        (0..16).for_each(|_| spin.record_sleep(Duration::from_micros(1)));
        let late = || {
            let since = now();
            while now().saturating_duration_since(since) < 2 * PAYS {
                spin_loop();
            }
            true
        };
        (1..LATE_MAX).for_each(|_| assert!(spin.spin(late), "what is there is found"));
        assert!(spin.spin(|| true) && spin.spin(late), "it pays again");
        (1..LATE_MAX).for_each(|_| assert!(spin.spin(late)));
        assert!(!spin.spin(|| panic!("it did not pay")));
    }

    #[test]
    fn failed_spins_become_rare() {
        let (mut spin, mut looks) = (Spin::default(), 0);
        for _ in 0..10_000 {
            spin.record_sleep(Duration::from_micros(1));
            let mut has_looked = false;
            spin.spin(|| {
                has_looked = true;
                false
            });
            looks += u32::from(has_looked);
        }
        // One each after 15, 31, 63 and 127 passes, then one in 256.
        assert!((40..=45).contains(&looks), "{looks}");
    }
}

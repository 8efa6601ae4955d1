//! What functions of the C library return on a thread of a world: time, random numbers, sleeps and timed waits.
//!
//! Called through `sim::interposed` by the package `redd-sim-libc`, which replaces these functions in programs that link it. Without it nothing
//! calls these.
//!
//! # Invariants
//! - `anywhere`: time and random numbers take no lock and allocate nothing. A signal handler, an allocator and a destructor may call these.
//! - `real-for-redd`: while a thread has an `Outside`, each function returns that the caller uses the real one. Code has one that holds
//!   the lock of a world or waits for the baton.

use std::mem::MaybeUninit;
use std::time::Duration;

use super::member::{is_any, wait_word, wake_address, with_member};
use super::origin::stopped_ns;
use super::world::{Seat, nanos};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::user_code::guarded;
use crate::sys::outside::{Outside, is_outside};

/// Threads of all worlds that are in `wait_timed`.
static TIMED_WAITERS: AtomicU32 = AtomicU32::new(0);

/// The clocks of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Starts at a fixed time, and shows the virtual time.
    Monotonic,
    /// The time of day: 2026-01-01, or `World::start_at`, and the virtual time.
    Realtime,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It was woken, or it ends early.
    Woken,
    /// The word had another value.
    Changed,
    /// The virtual time has passed.
    TimedOut,
}

/// The time of the calling thread's world, in nanoseconds. `None` if the caller uses the real clock (`anywhere`).
pub(crate) fn clock_ns(clock: Clock) -> Option<u64> {
    if !is_any() {
        return None;
    }
    if let Some(stopped) = stopped_ns() {
        return Some(stopped);
    }
    with_member(|baton, _| match clock {
        Clock::Monotonic => baton.monotonic_ns(),
        Clock::Realtime => baton.unix_ns(),
    })
}

/// Fills the buffer with random numbers of the calling thread's world. Returns false if the caller uses the real ones (`anywhere`).
pub(crate) fn fill_random(buffer: &mut [MaybeUninit<u8>]) -> bool {
    let fill = |buffer: &mut [MaybeUninit<u8>], seat: &Seat| {
        let bytes = seat.entropy.draw(buffer.len());
        for (to, byte) in buffer.iter_mut().zip(bytes) {
            to.write(byte);
        }
    };
    is_any() && with_member(|_, seat| fill(buffer, seat)).is_some()
}

/// Sleeps for a virtual time. Returns false if the caller uses the real function.
pub(crate) fn sleep(duration: Duration) -> bool {
    let now_ns = || with_member(|baton, _| baton.monotonic_ns());
    let Some(start_ns) = is_any().then(now_ns).flatten() else { return false };
    let end_ns = start_ns.saturating_add(nanos(duration));
    let never_woken = AtomicU32::new(0);
    // `early-return`: a wait may end before its time.
    while let Some(now_ns) = now_ns().filter(|now_ns| *now_ns < end_ns) {
        if wait(&never_woken, 0, Duration::from_nanos(end_ns - now_ns)).is_none() {
            break;
        }
    }
    true
}

/// Waits for [`wake_timed`] or for a virtual time, if the word has the expected value. `None` if the caller uses the real function.
pub(crate) fn wait_timed(word: &AtomicU32, expected: u32, timeout: Duration) -> Option<Waited> {
    if !is_any() {
        return None;
    }
    let now = || with_member(|baton, _| baton.passed());
    let end = now()?.saturating_add(timeout);
    // Relaxed: threads of the world see it with the baton. A wake from outside of the world may be missed, as if it had come before.
    TIMED_WAITERS.fetch_add(1, Ordering::Relaxed);
    let was_woken = wait(word, expected, timeout);
    TIMED_WAITERS.fetch_sub(1, Ordering::Relaxed);
    Some(match was_woken {
        Some(true) => Waited::Woken,
        Some(false) if word.load(Ordering::Relaxed) != expected => Waited::Changed,
        Some(false) if now().is_some_and(|now| now < end) => Waited::Woken,
        Some(false) | None => Waited::TimedOut,
    })
}

/// Wakes threads of worlds that are in [`wait_timed`] for this word, and returns how many.
pub(crate) fn wake_timed(word: usize, at_most: u32) -> u32 {
    if TIMED_WAITERS.load(Ordering::Relaxed) == 0 || is_outside() {
        return 0;
    }
    let _outside = Outside::begin(); // `real-for-redd`: the locks in here wake other threads, too.
    (0..at_most).take_while(|_| wake_address(word)).count() as u32
}

/// As `wait_word`. `None` if the world cannot continue: the calls are below a function of C, through which no panic can unwind.
fn wait(word: &AtomicU32, expected: u32, timeout: Duration) -> Option<bool> {
    guarded(|| wait_word(word, expected, Some(timeout))).flatten()
}

#[cfg(all(test, not(any(loom, shuttle, miri))))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::primitives::baton::{FailureKind, new_world, wake_word};

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread outside of the world, in a test that fails if the system refuses it"
    )]
    fn a_wake_from_outside_of_the_world_as_a_thread_begins_to_wait_is_not_lost() {
        for spins in 0..400 {
            let word = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
            let baton = new_world(1, Duration::from_secs(10), false);
            // Started before the test's thread joins the world, so it has other CPUs.
            let outside = Arc::clone(&word);
            let thread = std::thread::spawn(move || {
                outside.1.store(1, Ordering::Release);
                while outside.1.load(Ordering::Acquire) == 1 {
                    std::hint::spin_loop();
                }
                (0..spins).for_each(|_| std::hint::spin_loop());
                outside.0.store(1, Ordering::Relaxed);
                wake_word(&outside.0);
                outside.1.store(3, Ordering::Release);
            });
            let joined = baton.join();
            while word.1.load(Ordering::Acquire) == 0 {
                std::thread::yield_now();
            }
            word.1.store(2, Ordering::Release);
            wait_word(&word.0, 0, None);
            // The world gives up on a thread that the system does not let run for long.
            let has_woken = word.1.load(Ordering::Acquire) == 3;
            let failures = baton.failures();
            let is_lost = failures.iter().any(|failure| failure.kind == FailureKind::NothingCanHappen);
            assert!(!(is_lost && has_woken), "{failures:?}");
            drop(joined);
            thread.join().expect("it does not panic");
        }
    }
}

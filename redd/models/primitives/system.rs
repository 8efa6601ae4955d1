//! Where a thread sleeps, and what time it is, in shuttle's models: both are part of the schedule.
//!
//! # Invariants
//! - `any-moment`: in a model a sleep with an end may end at any moment, and then the clock stands at its end at least.
//!   So a model sees threads that are late, and the same schedule shows the same times.

use super::super::atomic::{AtomicU32, Ordering};
use shuttle::rand::Rng as _;
use shuttle::sync::{Condvar, Mutex};
use std::cell::Cell;
use std::io;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Turns after which a sleep with an end is over at the latest.
const LONGEST_SLEEP: u32 = 6;

shuttle::lazy_static! {
    static ref SLEEPERS: (Mutex<Vec<Sleeper>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());
}

struct Sleeper {
    word: usize,
    id: u64,
    is_woken: bool,
}

std::thread_local! {
    /// Of this execution, all threads of which are one thread of the system.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// A new execution begins.
pub(in crate::primitives) fn reset() {
    PASSED.set(Duration::ZERO);
    NEXT_ID.set(0);
}

#[expect(clippy::disallowed_methods, reason = "where the modelled clock starts")]
pub(crate) fn now() -> Instant {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    *START + PASSED.get()
}

pub(crate) fn has_surely_passed(instant: Instant) -> bool {
    instant <= now()
}

/// `any-moment`
fn sleep_turns(timeout: Duration, mut is_over: impl FnMut() -> bool) -> bool {
    let end = PASSED.get().saturating_add(timeout.min(Duration::from_secs(1 << 20)));
    for _ in 0..shuttle::rand::thread_rng().gen_range(1..=LONGEST_SLEEP) {
        shuttle::thread::yield_now();
        if is_over() {
            return true;
        }
    }
    PASSED.set(PASSED.get().max(end));
    false
}

fn with_sleepers<R>(f: impl FnOnce(&mut Vec<Sleeper>) -> R) -> R {
    f(&mut SLEEPERS.0.lock().expect("nothing panics under this lock"))
}

/// As `sys::futex_wait`: the look at the word and the falling asleep are one step.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let (place, id) = (std::ptr::from_ref(word).addr(), NEXT_ID.get());
    NEXT_ID.set(id + 1);
    let mut sleepers = SLEEPERS.0.lock().expect("nothing panics under this lock");
    if word.load(Ordering::Relaxed) != expected {
        return false;
    }
    sleepers.push(Sleeper { word: place, id, is_woken: false });
    let has_woken = |sleepers: &[Sleeper]| sleepers.iter().any(|sleeper| sleeper.id == id && sleeper.is_woken);
    match timeout {
        None => {
            while !has_woken(&sleepers) {
                sleepers = SLEEPERS.1.wait(sleepers).expect("nothing panics under this lock");
            }
            drop(sleepers);
        }
        Some(timeout) => {
            drop(sleepers);
            sleep_turns(timeout, || with_sleepers(|sleepers| has_woken(sleepers)));
        }
    }
    with_sleepers(|sleepers| {
        let is_woken = has_woken(sleepers);
        sleepers.retain(|sleeper| sleeper.id != id);
        is_woken
    })
}

/// As `sys::futex_wake_one`.
pub(crate) fn futex_wake_one(word: &AtomicU32) -> bool {
    if crate::primitives::has_mistake("a system that loses wakes") {
        return true;
    }
    let place = std::ptr::from_ref(word).addr();
    let wakes = with_sleepers(|sleepers| {
        let sleeper = sleepers.iter_mut().find(|sleeper| sleeper.word == place && !sleeper.is_woken);
        sleeper.is_some_and(|sleeper| {
            sleeper.is_woken = true;
            true
        })
    });
    if wakes {
        SLEEPERS.1.notify_all();
    }
    wakes
}

/// Checks until it has happened, and lets other threads run in between.
pub(crate) fn wait_outside(
    timeout: Option<Duration>,
    mut wait: impl FnMut(Option<Duration>) -> io::Result<bool>,
) -> io::Result<()> {
    if wait(Some(Duration::ZERO))? || timeout == Some(Duration::ZERO) {
        return Ok(());
    }
    let mut result = Ok(false);
    let mut has_happened = || {
        result = wait(Some(Duration::ZERO));
        !matches!(result, Ok(false))
    };
    match timeout {
        None => {
            while !has_happened() {
                shuttle::thread::yield_now();
            }
        }
        Some(timeout) => {
            sleep_turns(timeout, has_happened);
        }
    }
    result.map(drop)
}

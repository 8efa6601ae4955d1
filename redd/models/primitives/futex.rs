//! The futex of shuttle's models.

use super::clock::sleep_turns;
use crate::primitives::atomic::{AtomicU32, Ordering};
use shuttle::sync::{Condvar, Mutex};
use std::cell::Cell;
use std::time::Duration;

shuttle::lazy_static! {
    static ref SLEEPERS: (Mutex<Vec<Sleeper>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());
}

struct Sleeper {
    word: usize,
    id: u64,
    is_woken: bool,
}

std::thread_local! {
    /// For one execution. All its threads are one thread of the system.
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// Starts a new execution.
pub(super) fn reset() {
    NEXT_ID.set(0);
}

fn with_sleepers<R>(f: impl FnOnce(&mut Vec<Sleeper>) -> R) -> R {
    f(&mut SLEEPERS.0.lock().expect("nothing panics under this lock"))
}

/// As `sys::futex_wait`: checking the word and going to sleep are one step.
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

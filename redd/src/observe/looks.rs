//! When to look for tasks that can never run again.
//!
//! Called where a task begins to wait for permits that are taken (`sync::permits`), and where a worker parks (`scheduler::park`).
//! The looks themselves are in `runtime::diagnose`.
//!
//! # Invariants
//! - `asked-until-looked`: after a wait or a park, a look is due, and further ones cost one load until it has begun. A look clears
//!   the marks before it reads anything. So what it has not seen is seen by a later one.
//! - `quiet-at-rest`: only waits and parks ask for looks, and those that a look itself asks for are few. So a process in which nothing
//!   happens has none.
//!
//! # Why not otherwise
//! A thread that looks once a second would wake an idle process. A look in each wait would follow other tasks under the locks
//! of their lists.

use std::sync::OnceLock;

use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicBool;
use crate::primitives::cache_padded::CachePadded;

/// Why a look is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A task waits for permits.
    Wait,
    /// A worker has nothing to do.
    Park,
    /// A current-thread runtime is old enough for a monitor.
    Age,
}

/// What takes the requests, if any runtime wants reports.
static ASK: OnceLock<fn(Reason)> = OnceLock::new();

/// Whether a wait, or a park, is to ask for a look (`asked-until-looked`).
static MARKS: CachePadded<[AtomicBool; 2]> = CachePadded([const { AtomicBool::new(false) }; 2]);

/// A request waits for a runtime to be old enough for a monitor.
static IS_POSTPONED: AtomicBool = AtomicBool::new(false);

/// A task has begun to wait for permits that are taken.
#[inline]
pub(crate) fn on_wait() {
    on(Reason::Wait);
}

/// A worker is about to park.
#[inline]
pub(crate) fn on_park() {
    on(Reason::Park);
}

/// A current-thread runtime is old enough for a monitor.
pub(crate) fn on_age() {
    ASK.get().iter().for_each(|ask| ask(Reason::Age));
}

/// Whether a request waits for [`on_age`].
pub(crate) fn is_postponed() -> bool {
    IS_POSTPONED.load(Ordering::Relaxed)
}

pub(crate) fn set_postponed(is_postponed: bool) {
    IS_POSTPONED.store(is_postponed, Ordering::Relaxed);
}

#[inline]
fn on(reason: Reason) {
    // Relaxed: it is a hint, and a look reads everything under the locks of the lists.
    if MARKS.0[reason as usize].load(Ordering::Relaxed) {
        ask(reason);
    }
}

#[cold]
fn ask(reason: Reason) {
    if MARKS.0[reason as usize].swap(false, Ordering::Relaxed) {
        ASK.get().iter().for_each(|ask| ask(reason));
    }
}

/// A wait or park that comes while another thread handles one asks again (`asked-until-looked`).
pub(crate) fn ask_again(reason: Reason) {
    if let Some(mark) = MARKS.0.get(reason as usize) {
        mark.store(true, Ordering::Relaxed);
    }
}

/// Begins to ask for looks, or goes on with it when a look begins (`quiet-at-rest`: it asks for none itself). The first call decides what takes the requests.
pub(crate) fn begin(ask: fn(Reason)) {
    ASK.get_or_init(|| ask);
    for mark in &MARKS.0 {
        // Without a change, the cache line stays with the threads that read it.
        if !mark.load(Ordering::Relaxed) {
            mark.store(true, Ordering::Relaxed);
        }
    }
}

//! Atomics, cells, locks, threads, sleep and randomness: those of std in programs, those of loom or shuttle in models.
//!
//! No other room names `std::sync::atomic`, `std::thread`, `std::cell::UnsafeCell` or `std::sync::Mutex`,
//! so a model can explore every interleaving, and every choice of the scheduler follows from one seed.
//!
//! This file picks what models use: for a model, a file of `redd/models/primitives` replaces the file here. No other
//! file uses `cfg(loom)` or `cfg(shuttle)` outside of its tests. Loom tries every order of the steps of a small
//! model, weak memory included. Shuttle tries orders at random, of models as large as a runtime.
//!
//! Both apply only with `test`. A user may set `--cfg loom` for a crate of their own: then redd is built with std, since
//! loom is a dev-dependency.

// In models, files of `redd/models/primitives` replace these.
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../models/primitives/atomic.rs")]
pub(crate) mod atomic;
#[cfg_attr(all(test, loom), path = "../../models/primitives/cell.rs")]
pub(crate) mod cell;
#[cfg_attr(all(test, shuttle), path = "../../models/primitives/clock.rs")]
pub(crate) mod clock;
#[cfg_attr(all(test, loom), path = "../../models/primitives/const_fn.rs")]
pub(crate) mod const_fn;
#[cfg_attr(all(test, loom), path = "../../models/primitives/event_count.rs")]
pub(crate) mod event_count;
#[cfg_attr(all(test, shuttle), path = "../../models/primitives/event_wait.rs")]
pub(crate) mod event_wait;
#[cfg(not(all(test, loom)))]
#[cfg_attr(all(test, shuttle), path = "../../models/primitives/futex.rs")]
pub(crate) mod futex;
#[cfg_attr(all(test, shuttle), path = "../../models/primitives/local.rs")]
pub(crate) mod local;
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../models/primitives/lock.rs")]
pub(crate) mod lock;
#[cfg_attr(all(test, loom), path = "../../models/primitives/parker.rs")]
pub(crate) mod parker;
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../models/primitives/reuse_pool.rs")]
pub(crate) mod reuse_pool;
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../models/primitives/spin_limits.rs")]
mod spin_limits;
#[cfg_attr(all(test, any(loom, shuttle)), path = "../../models/primitives/thread.rs")]
pub(crate) mod thread;

// These are the same in models.
#[cfg_attr(all(test, any(loom, shuttle)), allow(dead_code, unused_imports, reason = "models have no simulated worlds"))]
pub(crate) mod baton;
pub(crate) mod cache_padded;
pub(crate) mod count;
pub(crate) mod lock_wait;
pub(crate) mod parker_waker;
pub(crate) mod record_pool;
pub(crate) mod rng;
pub(crate) mod seed;
pub(crate) mod spin;
pub(crate) mod spin_mutex;
pub(crate) mod user_code;
pub(crate) mod virtual_time;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/primitives/harness.rs"]
mod harness;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use harness::*;

pub(crate) use const_fn::const_fn;
pub(crate) use local::thread_local;
pub(crate) use lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, ShortMutex, ShortMutexGuard};

/// Counts references. In loom's models loom does, and so finds leaks and early frees.
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::Arc;

#[cfg(all(test, loom))]
pub(crate) use loom::sync::Arc;

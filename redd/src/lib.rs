//! redd: an async task runtime.
//!
//! A *redd* is the nest in which salmon spawn; here it is where tasks are spawned: [`spawn`].
//! The public API has the paths, names, signatures and semantics of Tokio 1.54; everything behind it is redd's own.
//!
//! Reading order for the curious: this file, `task/mod.rs`, `task/state.rs`, `scheduler/worker.rs`, `scheduler/idle.rs`.

#![cfg_attr(
    not(all(feature = "net", feature = "fs", feature = "process", feature = "signal", feature = "macros")),
    allow(dead_code, unused_imports, reason = "rooms share what a build without some of them does not use")
)]

// Foundations.
#[macro_use]
mod texts;
pub(crate) mod collections;
pub(crate) mod primitives;
pub(crate) mod sys;

// The core.
pub(crate) mod blocking;
pub(crate) mod scheduler;
pub mod task;
pub mod time;

// What the user holds.
pub mod group;
pub mod observe;
pub mod runtime;

// The world outside.
pub(crate) mod driver;
#[cfg(feature = "fs")]
pub mod fs;
pub mod io;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "signal")]
pub mod signal;

// Between tasks.
pub mod sync;

#[cfg(feature = "stack")]
mod symbols;
#[cfg(not(feature = "stack"))]
mod symbols {
    pub(crate) use crate::sys::stack::write_module as write;
}
#[cfg(feature = "tracing")]
mod trace;
#[cfg(not(feature = "tracing"))]
mod trace {
    pub(crate) fn late_poll(_late: &crate::runtime::LatePoll) {}
}
#[macro_use]
pub mod macros;

pub use runtime::spawn;

#[cfg(feature = "macros")]
pub use redd_macros::{main, test};

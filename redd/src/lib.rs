//! An async runtime for Rust with the public API of Tokio 1.54: same paths, names, signatures and semantics.
//!
//! The implementation is redd's own. A *redd* is the nest in which salmon spawn; here it is where tasks are spawned: [`spawn`].
//!
//! # Why
//! - **A task that blocks its worker stalls no other task for long.** After some 15 ms the tasks behind it run on another worker. A
//!   line on standard error names the task, the line that spawned it, and what it is blocked in.
//! - **A program that hangs explains itself.** `redd dump PID`, of the package
//!   [`redd-cli`](https://github.com/redd-rs/redd/tree/main/redd-cli), prints what each task waits for, and which task has it. The
//!   process needs no change. [`Handle::snapshot`](runtime::Handle::snapshot) has the same. Deadlocks and futurelocks are reported
//!   without a question: [`Builder::diagnose`](runtime::Builder::diagnose).
//! - **A rare failure has a seed.** A test in a simulated world, [`sim`], repeats its run: the order of tasks, the clock, the network
//!   and the disk.
//! - **A group of tasks leaves nothing behind.** [`group`] has limits, deadlines, clean-ups that await, and a shutdown in phases.
//! - **Less CPU** for tasks, channels, timers, locks and files; as much for sockets. The
//!   [benchmarks](https://github.com/redd-rs/redd/blob/main/docs/benchmarks/README.md) have the values, and what is slower.
//!
//! A program on Tokio [switches](https://github.com/redd-rs/redd/blob/main/docs/guide/switching.md) with one line in its
//! `Cargo.toml`, and so do the crates that it depends on. A new program depends on `redd`. Where redd differs on purpose,
//! [the compatibility page](https://github.com/redd-rs/redd/blob/main/docs/compatibility.md) has the list. It runs on Linux only.
//!
//! # A server
//! Each connection is a task that sends back what it receives:
#![cfg_attr(all(feature = "net", feature = "macros"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "net", feature = "macros")), doc = "```ignore")]
//! #[redd::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = redd::net::TcpListener::bind("127.0.0.1:7000").await?;
//!     loop {
//!         let (mut stream, _) = listener.accept().await?;
//!         redd::spawn(async move {
//!             let (mut reader, mut writer) = stream.split();
//!             redd::io::copy(&mut reader, &mut writer).await
//!         });
//!     }
//! }
//! ```
//!
//! # Which runtime
//! | Runtime | Made by | Use it for |
//! |---|---|---|
//! | multi-thread | `#[redd::main]`, [`Builder::new_multi_thread`](runtime::Builder::new_multi_thread) | servers: worker threads share the tasks |
//! | current-thread | `#[redd::test]`, [`Builder::new_current_thread`](runtime::Builder::new_current_thread) | tests, tools: tasks run on the thread in `block_on` |
//! | local | [`LocalRuntime`](runtime::LocalRuntime) | tasks that are not `Send` |
//! | simulated | `#[redd::test(sim)]`, [`sim::World`] | tests that a seed repeats |
//!
//! A call that blocks delays its task in any case. Run it in [`task::spawn_blocking`].
//!
//! # Features
//! | Feature | Default | What it adds |
//! |---|---|---|
//! | `net` | yes | the module `net`: TCP, UDP, Unix sockets, pipes |
//! | `fs` | yes | the module `fs`: files and directories |
//! | `process` | yes | the module `process`: child processes; enables `signal` and `net` |
//! | `signal` | yes | the module `signal`: Unix signals; enables `net` |
//! | `macros` | yes | `#[redd::main]`, `#[redd::test]`, `select!`, `join!`, `try_join!` |
//! | `tracing` | no | late polls as `tracing` events, tasks as spans, spans that tasks inherit |
//! | `stack` | no | function names in the stack of a late poll |
//! | `stream` | no | the results of a `TaskGroup` as a `futures_core::Stream` |
//!
//! The environment variable `REDD_DEBUG` has [options](observe::DEBUG_OPTIONS) for a program that is already built.
//!
//! # Where to read on
//! The guide, each program of which is compiled and run:
//! [spawning tasks](https://github.com/redd-rs/redd/blob/main/docs/guide/spawning-tasks.md),
//! [when a task blocks](https://github.com/redd-rs/redd/blob/main/docs/guide/blocking.md),
//! [seeing inside a program that hangs](https://github.com/redd-rs/redd/blob/main/docs/guide/seeing-inside.md),
//! [task groups](https://github.com/redd-rs/redd/blob/main/docs/guide/task-groups.md),
//! [replay](https://github.com/redd-rs/redd/blob/main/docs/guide/replay.md), and
//! [the rest of the book](https://github.com/redd-rs/redd/blob/main/docs/SUMMARY.md).

// A reading order for contributors: this file, `task/mod.rs`, `task/state.rs`, `scheduler/worker.rs`,
// `scheduler/idle.rs`.

#![cfg_attr(
    not(all(feature = "net", feature = "fs", feature = "process", feature = "signal", feature = "macros")),
    allow(dead_code, unused_imports, reason = "rooms share what a build without some of them does not use")
)]
// On docs.rs each item names the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

// Foundations.
#[macro_use]
mod format_macros;
pub(crate) mod attach;
pub(crate) mod collections;
pub(crate) mod primitives;
pub(crate) mod sys;

// The core.
pub(crate) mod blocking;
pub(crate) mod current;
pub(crate) mod scheduler;
pub mod task;
pub mod time;

// What the user holds.
pub mod group;
pub mod observe;
pub mod runtime;
pub mod sim;

// The world outside.
pub(crate) mod disk;
pub(crate) mod driver;
#[cfg(feature = "fs")]
pub mod fs;
pub mod io;
#[cfg(feature = "net")]
pub mod net;
pub(crate) mod network;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "signal")]
pub mod signal;

// Between tasks.
pub mod sync;

#[macro_use]
pub mod macros;

pub use runtime::spawn;

#[cfg(feature = "macros")]
pub use redd_macros::{main, test};

/// The page in the registry. Its program compiles.
#[cfg(all(doctest, feature = "net", feature = "macros"))]
#[doc = include_str!("../README.md")]
mod registry_page {}

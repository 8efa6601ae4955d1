//! An async runtime for Rust with the public API of Tokio 1.54: same paths, names, signatures and semantics.
//!
//! The implementation is redd's own. Where redd differs on purpose, `docs/compatibility.md` in the repository has the list.
//! A *redd* is the nest in which salmon spawn; here it is where tasks are spawned: [`spawn`].
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
//!
//! A task that blocks delays the tasks behind it. Run blocking calls in [`task::spawn_blocking`].
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
//! # A program that hangs
//! - [`Handle::snapshot`](runtime::Handle::snapshot) lists each task, what it waits for, and which task has that.
//! - The program `redd` of the package `redd-cli` prints the same of a running process, which needs no change.
//! - Deadlocks and futurelocks are reported on standard error; see [`Builder::diagnose`](runtime::Builder::diagnose).
//! - The environment variable `REDD_DEBUG` has [options](observe::DEBUG_OPTIONS).
//!
//! # Where to read on
//! The guide is in the repository, in `docs/guide`: spawning tasks, what happens when a task blocks, seeing inside a program that
//! hangs, and how to switch a program from Tokio.

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

/// The page of the registry, whose program is an example.
#[cfg(all(doctest, feature = "macros", feature = "net"))]
#[doc = include_str!("../README.md")]
struct Readme;

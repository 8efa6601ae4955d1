//! redd under the name `tokio`, for `[patch.crates-io]`: the paths of Tokio 1.54, and nothing else.
//!
//! This is not the Tokio project's crate, is not affiliated with it, and is never published.
//!
//! - [`spawn`] starts a task; [`task`] has `JoinHandle`, `JoinSet`, `spawn_blocking` and `LocalSet`.
//! - [`runtime`] builds and configures runtimes.
//! - [`time`] has `sleep`, `timeout` and `interval`.
//! - [`sync`] has channels, `Mutex`, `RwLock`, `Semaphore` and `Notify`.
//! - [`io`] has the traits `AsyncRead` and `AsyncWrite`, and their extensions.
//! - With their features: `net`, `fs`, `process`, `signal`, and the macros `main`, `test`, `select`, `join`, `try_join`.
//!
//! Each item's documentation is that of `redd`. Features have Tokio's names; one gates a re-export here only where it
//! gates the module in `redd`. Every crate of a program that asks for `tokio` gets this crate.
//!
//! # Invariants
//! - `only-names`: nothing here has behaviour; no type is declared here, so values pass freely between code that says
//!   `tokio` and code that says `redd`.

#[cfg(feature = "fs")]
pub use redd::fs;
#[cfg(feature = "net")]
pub use redd::net;
#[cfg(feature = "process")]
pub use redd::process;
#[cfg(feature = "signal")]
pub use redd::signal;
pub use redd::{io, runtime, spawn, sync, task, time};

#[cfg(feature = "macros")]
pub use redd::{join, select, try_join};
pub use redd::{pin, task_local};

// `only-names`: the attributes are redd's, with `::tokio` as the path that they expand to.
#[cfg(feature = "macros")]
pub use redd::macros::support::{tokio_main as main, tokio_test as test};

// Expansions and a few programs use this path.
#[doc(hidden)]
pub use redd::macros;

/// As in Tokio, this module exists and is empty. Streams are in the crate `tokio-stream`.
pub mod stream {}

/// What `redd::assert_active!` looks for; the real Tokio does not have it.
#[doc(hidden)]
pub const IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION: bool = true;

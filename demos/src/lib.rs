//! What the programs in `src/bin` share. Each program has one bug that leaves tasks waiting forever.
//!
//! A program calls [`report_soon`] first. A thread then prints what the runtime shows of the tasks, and ends the process.
//! The same programs are built for the registry's Tokio in `on-tokio`, which has a `seen` of its own.

mod seen;
mod watch;

pub use watch::{get, report_soon};

//! Child processes: start them, talk to them and wait for them without blocking a thread.
//!
//! [`Command`] is `std::process::Command` with methods that wait asynchronously. The process runs when [`Command::spawn`]
//! returns. Dropping the [`Child`] lets it run on, unless [`Command::kill_on_drop`] is set. In both cases redd waits for it
//! in the end, so that no zombie stays as long as a runtime with I/O runs.
//!
//! # Examples
//! ```
//! use redd::process::Command;
//!
//! # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let output = Command::new("echo").arg("spawned").output().await?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"spawned\n");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

mod child;
mod command;
mod pipes;
mod reaper;

pub use child::Child;
pub use command::Command;
pub use pipes::{ChildStderr, ChildStdin, ChildStdout};

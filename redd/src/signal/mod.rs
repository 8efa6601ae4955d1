//! Receiving signals of the operating system asynchronously.
//!
//! The first listener for a kind of signal replaces the system's default action until the process ends. For example,
//! after one call of [`ctrl_c`], Ctrl-C no longer terminates the program by itself.
//!
//! In a [simulated world](crate::sim) the signals of a host come from the script of the world, and the process gets no handler.
//!
//! # Examples
//! A graceful shutdown. Here the program sends itself the signal:
//! ```
//! use redd::signal::unix::{SignalKind, signal};
//!
//! # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let mut terminate = signal(SignalKind::terminate())?;
//! # std::process::Command::new("sh").args(["-c", "kill -TERM $PPID"]).status()?;
//! let reason = redd::select! {
//!     result = redd::signal::ctrl_c() => result.map(|()| "interrupted")?,
//!     _ = terminate.recv() => "terminated",
//! };
//! assert_eq!(reason, "terminated");
//! # std::io::Result::Ok(())
//! # }).unwrap();
//! ```

mod registry;
mod script;
mod shutdown;
mod simulated;
pub mod unix;

use std::future::Future;
use std::io;
use std::panic::Location;

/// Waits for the next Ctrl-C (`SIGINT`).
///
/// - Signals that arrive before the first poll are not received.
/// - From the first poll on, Ctrl-C no longer terminates the process, even after this future is ready or dropped.
/// - All waiting tasks receive the signal.
///
/// # Cancel safety
/// A signal that arrives after the future is dropped is lost. To receive signals between calls, keep a
/// [`unix::Signal`].
///
/// # Panics
/// If polled outside of a runtime, or in a runtime built without I/O.
///
/// # Errors
/// - `EMFILE` or `ENFILE`: no descriptors are left.
/// - The system refused to install the handler.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let interrupted = redd::spawn(redd::signal::ctrl_c());
/// redd::task::yield_now().await;
/// // As if the user pressed Ctrl-C.
/// std::process::Command::new("sh").args(["-c", "kill -INT $PPID"]).status()?;
/// assert!(interrupted.await?.is_ok());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[track_caller]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    let location = Location::caller();
    async move {
        unix::signal(unix::SignalKind::interrupt())?.recv_at(location).await;
        Ok(())
    }
}

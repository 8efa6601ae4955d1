//! Signals of the operating system as things to await.
//!
//! The first listener for a kind of signal replaces what the system would do with it, for the rest of the process's
//! life: after one call of [`ctrl_c`], Ctrl-C does not end the program by itself any more.
//!
//! # Examples
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! redd::signal::ctrl_c().await?;
//! println!("shutting down");
//! # Ok(())
//! # }
//! ```

mod registry;
pub mod unix;

use std::future::Future;
use std::io;
use std::panic::Location;

/// Waits for the next Ctrl-C (`SIGINT`).
///
/// - Signals that came before the first poll are not seen.
/// - From then on Ctrl-C does not end the process by itself, also after this future is done or dropped.
/// - Every task that waits sees the signal.
///
/// # Cancel safety
/// A signal that comes after it is dropped is not kept for the next call; keep a [`unix::Signal`] for that.
///
/// # Panics
/// Outside of a runtime, and in one that was built without I/O.
///
/// # Errors
/// The system refused the handler, or there are no descriptors left.
#[track_caller]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    let place = Location::caller();
    async move {
        unix::signal(unix::SignalKind::interrupt())?.recv_at(place).await;
        Ok(())
    }
}

//! Channels from many senders to one receiver: with a limit ([`channel`]), and without ([`unbounded_channel`]).
//!
//! - Messages of one sender arrive in the order in which they were sent; none is lost, and none arrives twice.
//! - The receiver gets `None` when all senders are dropped, or after it has closed the channel, once everything that
//!   was sent, or had a permit, is received.
//! - A channel is independent of a runtime: threads use `blocking_send`, `blocking_recv` or the methods that do not wait.
//!
//! The queue is in `chain`; what both channels share is in `shared`.

mod bounded;
pub(crate) mod chain;
pub mod error;
mod send_timeout;
mod shared;
mod unbounded;

pub use bounded::{OwnedPermit, Permit, PermitIterator, Receiver, Sender, WeakSender, channel};
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};

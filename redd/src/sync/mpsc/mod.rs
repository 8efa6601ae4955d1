//! Channels from many senders to one receiver: bounded ([`channel`]) and unbounded ([`unbounded_channel`]).
//!
//! - Messages of one sender arrive in the order in which they were sent. None is lost, and none arrives twice.
//! - The receiver gets `None` when all senders are dropped, or after it has closed the channel. Before that, it receives
//!   everything that was sent or had a permit.
//! - A channel is independent of a runtime. Threads use `blocking_send`, `blocking_recv` or the methods that do not
//!   wait.
//!
//! # Examples
//! A task that owns some state, and a handle for requests to it:
//! ```
//! use redd::sync::{mpsc, oneshot};
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (requests, mut receiver) = mpsc::channel::<(u32, oneshot::Sender<u32>)>(16);
//! redd::spawn(async move {
//!     let mut total = 0;
//!     while let Some((amount, reply)) = receiver.recv().await {
//!         total += amount;
//!         let _ = reply.send(total); // the requester may have gone
//!     }
//! });
//! for (amount, expected) in [(5, 5), (7, 12)] {
//!     let (reply, total) = oneshot::channel();
//!     requests.send((amount, reply)).await.unwrap();
//!     assert_eq!(total.await, Ok(expected));
//! }
//! # });
//! ```

// The queue is in `chain`; `shared` has what both channels have in common, and `limit` the permits of the bounded one.

mod bounded;
pub(crate) mod chain;
pub mod error;
mod limit;
mod permit;
mod receiver;
mod send_timeout;
mod shared;
mod unbounded;

pub use bounded::{OwnedPermit, Sender, WeakSender, channel};
pub use permit::{Permit, PermitIterator};
pub use receiver::Receiver;
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel};

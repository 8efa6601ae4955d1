//! A channel for one value: [`channel`] makes a [`Sender`] and a [`Receiver`].
//!
//! It carries the reply to a request, or the result of a computation, from one task to another. The receiver is a
//! future.
//!
//! # Examples
//! Several requests are under way, and each gets its own reply:
//! ```
//! use redd::sync::oneshot;
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let mut replies = Vec::new();
//! for number in 1..=3 {
//!     let (sender, receiver) = oneshot::channel();
//!     redd::spawn(async move { sender.send(number * number) });
//!     replies.push(receiver);
//! }
//! let mut sum = 0;
//! for reply in replies {
//!     sum += reply.await.unwrap();
//! }
//! assert_eq!(sum, 14);
//! # });
//! ```

mod channel;
pub mod error;

pub use channel::{Receiver, Sender, channel};

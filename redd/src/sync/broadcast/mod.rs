//! A channel in which every receiver gets every message that is sent while it exists.
//!
//! - **A receiver that falls behind loses messages.** The channel keeps the last `capacity` messages. A receiver that
//!   has lost some gets [`Lagged`](error::RecvError::Lagged) with their number, and continues with the oldest message
//!   that is left.
//! - Senders never wait for receivers.
//!
//! # Examples
//! Every connection of a chat server gets every line:
//! ```
//! use redd::sync::broadcast;
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (lines, _) = broadcast::channel(16);
//! let mut connections = redd::task::JoinSet::new();
//! for _ in 0..3 {
//!     let mut lines = lines.subscribe();
//!     connections.spawn(async move {
//!         let mut received = Vec::new();
//!         while let Ok(line) = lines.recv().await {
//!             received.push(line);
//!         }
//!         received // all senders are dropped
//!     });
//! }
//! lines.send("hello").unwrap();
//! lines.send("bye").unwrap();
//! drop(lines);
//! for received in connections.join_all().await {
//!     assert_eq!(received, ["hello", "bye"]);
//! }
//! # });
//! ```
//!
//! # Lagging
//! ```
//! use redd::sync::broadcast::{self, error::TryRecvError};
//!
//! let (sender, mut receiver) = broadcast::channel(2);
//! for number in 1..=5 {
//!     sender.send(number).unwrap();
//! }
//! assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(3)));
//! assert_eq!(receiver.try_recv(), Ok(4));
//! assert_eq!(receiver.try_recv(), Ok(5));
//! ```

mod channel;
pub mod error;

pub use channel::{Receiver, Sender, WeakSender, channel};

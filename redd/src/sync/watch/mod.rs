//! A channel that holds one value, the latest. Receivers see that it has changed, but not how often.
//!
//! It is made for configuration, for the state of a service and for a signal to shut down. A receiver that is slow sees
//! fewer values, but never an old one after a new one.
//!
//! # Examples
//! A configuration that is reloaded, and a task that follows it:
//! ```
//! use redd::sync::watch;
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (config, mut changes) = watch::channel("debug");
//! let follower = redd::spawn(async move {
//!     let mut seen = vec![*changes.borrow_and_update()];
//!     while changes.changed().await.is_ok() {
//!         seen.push(*changes.borrow_and_update());
//!     }
//!     seen // all senders are dropped
//! });
//! redd::task::yield_now().await;
//! config.send("info").unwrap();
//! config.send("error").unwrap(); // before the follower looked, so it does not see `info`
//! drop(config);
//! assert_eq!(follower.await.unwrap(), ["debug", "error"]);
//! # });
//! ```

mod channel;
pub mod error;

pub use channel::{Receiver, Ref, Sender, channel};

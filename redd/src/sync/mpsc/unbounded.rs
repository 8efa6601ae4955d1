//! The channel without a limit.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll};

use super::chain::Chain;
use super::error::{SendError, TryRecvError};
use super::shared::{FlowControl, MpscState, Rx};
use crate::primitives::Arc;
use crate::sync::blocking::block_thread_on;
use crate::sync::senders::{Channel, Tx, WeakTx, sender_handles};

/// Makes a channel whose senders never wait.
///
/// - Memory grows with the number of messages that wait; if the senders can outrun the receiver for long, use the
///   bounded [`channel`](super::channel()).
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = redd::sync::mpsc::unbounded_channel();
/// for number in 1..=3 {
///     sender.send(number).unwrap();
/// }
/// drop(sender);
/// let mut sum = 0;
/// while let Some(number) = receiver.recv().await {
///     sum += number;
/// }
/// assert_eq!(sum, 6);
/// # });
/// ```
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (tx, rx) = super::shared::new(Unlimited);
    (UnboundedSender { tx }, UnboundedReceiver { rx })
}

/// Flow without permits: the chain itself says whether it is closed.
#[derive(Debug)]
pub(super) struct Unlimited;

impl FlowControl for Unlimited {
    fn release(&self, _permits: usize) {}

    fn close(&self) {}

    const ENDS_AT_CLOSE: bool = true;

    fn is_closed<T>(&self, chain: &Chain<T>) -> bool {
        chain.is_rx_closed()
    }

    fn is_drained<T>(&self, _chain: &Chain<T>) -> bool {
        // The chain knows where it ends, and says `Closed` there.
        false
    }
}

/// Sends to an unbounded channel; clone it for more senders.
///
/// - The channel ends for the receiver when all senders are dropped and all messages are received.
pub struct UnboundedSender<T> {
    tx: Tx<MpscState<T, Unlimited>>,
}

impl<T> UnboundedSender<T> {
    /// Sends a message; it never waits.
    ///
    /// # Errors
    /// Gives the message back if the receiver is closed or dropped.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.tx.shared().chain.push(message).map_err(SendError)
    }
}

super::shared::sender_methods!(UnboundedSender, WeakUnboundedSender, Unlimited);

/// Receives from an unbounded channel.
///
/// - Dropping it drops the messages that wait, and makes sending fail.
pub struct UnboundedReceiver<T> {
    rx: Rx<T, Unlimited>,
}

super::shared::receiver_methods!(UnboundedReceiver);

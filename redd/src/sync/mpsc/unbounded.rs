//! The channel without a limit.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll};

use super::chain::Chain;
use super::error::{SendError, TryRecvError};
use super::shared::{Flow, Rx, Tx, Weak};

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

impl Flow for Unlimited {
    fn give_back(&self, _permits: usize) {}

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
    tx: Tx<T, Unlimited>,
}

impl<T> UnboundedSender<T> {
    /// Sends a message; it never waits.
    ///
    /// # Errors
    /// Gives the message back if the receiver is closed or dropped.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.tx.shared().chain.push(message).map_err(SendError)
    }

    /// Waits until the receiver is closed or dropped.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        self.tx.closed(Location::caller())
    }

    /// Whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        self.tx.shared().is_rx_closed()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.tx.is_same(&other.tx)
    }

    /// A sender that does not keep the channel open.
    #[must_use = "a weak sender does nothing until it is upgraded"]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        let weak = self.tx.downgrade();
        WeakUnboundedSender { weak }
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.tx.shared().strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.tx.shared().weak_count()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        let tx = self.tx.clone();
        Self { tx }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tx.shared().fmt_as("UnboundedSender", f)
    }
}

/// A sender that does not keep the channel open; [`upgrade`](Self::upgrade) it to send.
pub struct WeakUnboundedSender<T> {
    weak: Weak<T, Unlimited>,
}

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there is one left.
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.weak.upgrade().map(|tx| UnboundedSender { tx })
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.weak.shared().strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.weak.shared().weak_count()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        let weak = self.weak.clone();
        Self { weak }
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakUnboundedSender").finish_non_exhaustive()
    }
}

/// Receives from an unbounded channel.
///
/// - Dropping it drops the messages that wait, and makes sending fail.
pub struct UnboundedReceiver<T> {
    rx: Rx<T, Unlimited>,
}

super::shared::receiver_methods!(UnboundedReceiver);

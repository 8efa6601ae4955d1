//! The channel without a limit: senders never wait.
//!
//! Called by user code.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll};

use super::chain::Chain;
use super::error::{SendError, TryRecvError};
use super::shared::{FlowControl, MpscState, Rx};
use crate::primitives::Arc;
use crate::sync::blocking::block_thread_on;
use crate::sync::senders::{Channel, Tx, WeakTx};

/// Makes a channel whose senders never wait.
///
/// - **Memory grows with the number of messages in the channel.** If senders can be faster than the receiver for long,
///   use the bounded [`channel`](super::channel()).
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = mpsc::unbounded_channel();
/// for number in 1..=3 {
///     sender.send(number).unwrap(); // no await
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

/// Flow control without permits: the chain itself records whether it is closed.
#[derive(Debug)]
pub(super) struct Unlimited;

impl FlowControl for Unlimited {
    fn release(&self, _permits: usize) {}

    fn capacity(&self) -> Option<(usize, usize)> {
        None
    }

    fn close(&self) {}

    const ENDS_AT_CLOSE: bool = true;

    fn is_closed<T>(&self, chain: &Chain<T>) -> bool {
        chain.is_rx_closed()
    }

    fn is_drained<T>(&self, _chain: &Chain<T>) -> bool {
        // The chain knows where it ends, and returns `Closed` there.
        false
    }
}

/// Sends to an unbounded channel. Made by [`unbounded_channel`]; clone it for more senders.
///
/// - The channel ends for the receiver when all senders are dropped and all messages are received.
///
/// # Examples
/// From a callback that must not wait:
/// ```
/// use redd::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::unbounded_channel();
/// let on_event: Box<dyn Fn(&'static str)> = Box::new(move |event| sender.send(event).unwrap());
/// on_event("clicked");
/// assert_eq!(receiver.try_recv(), Ok("clicked"));
/// ```
pub struct UnboundedSender<T> {
    tx: Tx<MpscState<T, Unlimited>>,
}

impl<T> UnboundedSender<T> {
    /// Sends a message, without waiting. It can be called outside of a runtime.
    ///
    /// - `Ok` does not mean that the message will be received: the receiver may be dropped before.
    ///
    /// # Errors
    /// [`SendError`] with the message, if the receiver is closed or dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc::{self, error::SendError};
    ///
    /// let (sender, receiver) = mpsc::unbounded_channel();
    /// assert!(sender.send("hello").is_ok());
    /// drop(receiver);
    /// assert_eq!(sender.send("is there anybody"), Err(SendError("is there anybody")));
    /// ```
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.tx.shared().chain.push(message).map_err(SendError)
    }

    /// Waits until the receiver is closed or dropped.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    /// A task that stops when its messages are no longer wanted:
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, receiver) = mpsc::unbounded_channel::<u32>();
    /// let task = redd::spawn(async move {
    ///     sender.closed().await;
    ///     sender.is_closed()
    /// });
    /// drop(receiver);
    /// assert!(task.await.unwrap());
    /// # });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        self.tx.shared().closed(Some(Location::caller()))
    }

    /// Returns whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        self.tx.shared().is_rx_closed()
    }

    /// Returns whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.tx.shared(), other.tx.shared())
    }

    /// Makes a sender that does not keep the channel open.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::unbounded_channel::<u32>();
    /// let weak = sender.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// assert!(receiver.is_closed());
    /// ```
    #[must_use = "a weak sender does nothing until it is upgraded"]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        let weak = self.tx.downgrade();
        WeakUnboundedSender { weak }
    }

    /// Returns how many senders there are.
    pub fn strong_count(&self) -> usize {
        self.tx.shared().senders().strong_count()
    }

    /// Returns how many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.tx.shared().senders().weak_count()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone() }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tx.shared().fmt_as("UnboundedSender", f)
    }
}

/// A sender that does not keep the channel open. Made by [`UnboundedSender::downgrade`].
///
/// - [`upgrade`](Self::upgrade) it to send.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::unbounded_channel();
/// let weak = sender.downgrade();
/// weak.upgrade().expect("a sender is left").send("news").unwrap();
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(receiver.blocking_recv(), Some("news"));
/// assert_eq!(receiver.blocking_recv(), None, "a weak sender does not keep the channel open");
/// ```
pub struct WeakUnboundedSender<T> {
    weak: WeakTx<MpscState<T, Unlimited>>,
}

impl<T> WeakUnboundedSender<T> {
    /// Returns a sender, or `None` if all senders are dropped.
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        self.weak.upgrade().map(|tx| UnboundedSender { tx })
    }

    /// Returns how many senders there are.
    pub fn strong_count(&self) -> usize {
        self.weak.shared().senders().strong_count()
    }

    /// Returns how many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.weak.shared().senders().weak_count()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        Self { weak: self.weak.clone() }
    }
}

debug_struct!([T] WeakUnboundedSender<T> as "WeakUnboundedSender", self => { .. });

/// Receives from an unbounded channel. Made by [`unbounded_channel`].
///
/// - Dropping it drops the messages in the channel, and makes later sends fail.
/// - To end without losing messages, call [`close`](Self::close) and receive until `None`.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::unbounded_channel();
/// sender.send("one").unwrap();
/// sender.send("two").unwrap();
/// assert_eq!((receiver.len(), receiver.try_recv()), (2, Ok("one")));
/// ```
pub struct UnboundedReceiver<T> {
    rx: Rx<T, Unlimited>,
}

impl<T> UnboundedReceiver<T> {
    /// Waits for the next message. Returns `None` when the channel has ended.
    ///
    /// - It ends when all senders are dropped, or after [`close`](Self::close). All messages sent before are received
    ///   first.
    ///
    /// # Cancel safety
    /// No message is lost if the future is dropped: a message is taken out only as it is returned.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// redd::spawn(async move { sender.send("done") });
    /// assert_eq!(receiver.recv().await, Some("done"));
    /// assert_eq!(receiver.recv().await, None, "the sender is dropped");
    /// # });
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<T>> {
        self.rx.recv(Location::caller())
    }

    /// Waits for messages and appends up to `limit` of them to `buffer`. Returns how many.
    ///
    /// - It waits until there is one message, and then takes the available messages, up to `limit`. It does not wait for
    ///   `limit` messages.
    /// - It returns 0 if the channel has ended, or if `limit` is 0.
    ///
    /// # Cancel safety
    /// No message is lost if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// for line in ["one", "two", "three"] {
    ///     sender.send(line).unwrap();
    /// }
    /// let mut batch = Vec::new();
    /// assert_eq!(receiver.recv_many(&mut batch, 100).await, 3);
    /// assert_eq!(batch, ["one", "two", "three"]);
    /// # });
    /// ```
    #[track_caller]
    pub fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> impl Future<Output = usize> {
        self.rx.recv_many(buffer, limit, Some(Location::caller()))
    }

    /// Takes the next message if there is one.
    ///
    /// # Errors
    /// - [`Empty`](TryRecvError::Empty): no message is available now.
    /// - [`Disconnected`](TryRecvError::Disconnected): the channel has ended.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send("hello").unwrap();
    /// assert_eq!(receiver.try_recv(), Ok("hello"));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.rx.try_recv()
    }

    /// Blocks the thread until there is a message. Returns `None` when the channel has ended.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`recv`](Self::recv) there.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// sender.send("hello").unwrap();
    /// assert_eq!(thread.join().unwrap(), Some("hello"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_thread_on("`mpsc::UnboundedReceiver::blocking_recv`", self.recv())
    }

    /// Blocks the thread until there are messages, and appends up to `limit` of them to `buffer`. Returns how many.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`recv_many`](Self::recv_many) there.
    #[track_caller]
    pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        block_thread_on("`mpsc::UnboundedReceiver::blocking_recv_many`", self.recv_many(buffer, limit))
    }

    /// Makes later sends fail. Messages that were sent before can still be received.
    ///
    /// - To lose no message, receive until `None` afterwards.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// sender.send(1).unwrap();
    /// receiver.close();
    /// assert!(sender.is_closed());
    /// assert_eq!(receiver.recv().await, Some(1), "what was sent before is not lost");
    /// assert_eq!(receiver.recv().await, None);
    /// # });
    /// ```
    pub fn close(&mut self) {
        self.rx.close();
    }

    /// Returns whether the channel is closed: [`close`](Self::close) was called, or all senders are dropped.
    ///
    /// - There may be messages left.
    pub fn is_closed(&self) -> bool {
        self.rx.is_closed()
    }

    /// Returns whether the channel holds no message.
    pub fn is_empty(&self) -> bool {
        self.rx.len() == 0
    }

    /// Returns how many messages the channel holds.
    pub fn len(&self) -> usize {
        self.rx.len()
    }

    /// Polls for the next message, like [`recv`](Self::recv). Only the task that polled last is woken.
    ///
    /// # Examples
    /// A `Stream` of the messages needs no more than this:
    /// ```
    /// use redd::sync::mpsc;
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (sender, mut receiver) = mpsc::unbounded_channel();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(receiver.poll_recv(&mut cx), Poll::Pending);
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.poll_recv(&mut cx), Poll::Ready(Some(1)));
    /// ```
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.rx.poll_recv(cx)
    }

    /// Polls for messages, like [`recv_many`](Self::recv_many). Only the task that polled last is woken.
    pub fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        self.rx.poll_recv_many(cx, buffer, limit)
    }

    /// Returns how many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.rx.shared().senders().strong_count()
    }

    /// Returns how many weak senders there are.
    pub fn sender_weak_count(&self) -> usize {
        self.rx.shared().senders().weak_count()
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rx.shared().fmt_as("UnboundedReceiver", f)
    }
}

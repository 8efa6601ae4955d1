//! The receiver of a bounded channel.
//!
//! Called by user code; made by `bounded`.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::task::{Context, Poll};

use super::error::TryRecvError;
use super::limit::Limited;
use super::shared::Rx;
use crate::sync::blocking::block_thread_on;
use crate::sync::senders::Channel;

/// Receives from a bounded channel. Made by [`channel`](super::channel()).
///
/// - Dropping it drops the messages in the channel, and makes later sends fail.
/// - To end without losing messages, call [`close`](Self::close) and receive until `None`.
///
/// # Examples
/// A receiver beside a signal to stop:
/// ```
/// use redd::sync::{mpsc, oneshot};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = mpsc::channel(8);
/// let (stop, mut stopped) = oneshot::channel::<()>();
/// sender.send("request").await.unwrap();
/// stop.send(()).unwrap();
/// let mut requests = Vec::new();
/// loop {
///     redd::select! {
///         biased;
///         _ = &mut stopped, if !receiver.is_closed() => receiver.close(), // no new requests
///         request = receiver.recv() => match request {
///             Some(request) => requests.push(request),
///             None => break, // all that were sent are handled
///         },
///     }
/// }
/// assert_eq!(requests, ["request"]);
/// # });
/// ```
pub struct Receiver<T> {
    rx: Rx<T, Limited>,
}

impl<T> Receiver<T> {
    pub(super) fn new(rx: Rx<T, Limited>) -> Self {
        Self { rx }
    }

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
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// redd::spawn(async move {
    ///     for number in 1..=3 {
    ///         sender.send(number).await.unwrap();
    ///     }
    /// });
    /// let mut received = Vec::new();
    /// while let Some(number) = receiver.recv().await {
    ///     received.push(number);
    /// }
    /// assert_eq!(received, [1, 2, 3]);
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
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// for line in ["one", "two", "three"] {
    ///     sender.send(line).await.unwrap();
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
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.try_send("hello").unwrap();
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
    /// A thread that does the work for asynchronous tasks:
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// let thread = std::thread::spawn(move || {
    ///     let mut sum = 0;
    ///     while let Some(number) = receiver.blocking_recv() {
    ///         sum += number;
    ///     }
    ///     sum
    /// });
    /// sender.send(20).await.unwrap();
    /// sender.send(22).await.unwrap();
    /// drop(sender);
    /// assert_eq!(thread.join().unwrap(), 42);
    /// # });
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_thread_on("`mpsc::Receiver::blocking_recv`", self.recv())
    }

    /// Blocks the thread until there are messages, and appends up to `limit` of them to `buffer`. Returns how many.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`recv_many`](Self::recv_many) there.
    #[track_caller]
    pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        block_thread_on("`mpsc::Receiver::blocking_recv_many`", self.recv_many(buffer, limit))
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
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// sender.send(1).await.unwrap();
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
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel(8);
    /// sender.try_send("hello").unwrap();
    /// assert_eq!((receiver.len(), receiver.capacity(), receiver.max_capacity()), (1, 7, 8));
    /// ```
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
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(receiver.poll_recv(&mut cx), Poll::Pending);
    /// sender.try_send(1).unwrap();
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

    /// Returns for how many messages there is room now.
    pub fn capacity(&self) -> usize {
        self.rx.shared().flow.available()
    }

    /// Returns for how many messages there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.rx.shared().flow.bound()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rx.shared().fmt_as("Receiver", f)
    }
}

//! The channel with a limit, and its senders.
//!
//! `limit` describes how permits bound the channel, and `receiver` has the receiver. Called by user code.

use std::fmt;
use std::future::Future;
use std::panic::Location;

use super::error::{SendError, TrySendError};
use super::limit::Limited;
use super::permit::{Permit, PermitIterator};
use super::receiver::Receiver;
use super::shared::MpscState;
use crate::primitives::Arc;
use crate::sync::blocking::block_thread_on;
use crate::sync::senders::{Channel, Tx, WeakTx};

/// Makes a channel that holds at most `buffer` messages. When it is full, senders wait for room.
///
/// - Senders get room in the order in which they began to wait.
/// - Messages of one sender arrive in the order in which they were sent.
///
/// # Panics
/// If `buffer` is zero, or more than a semaphore can count.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = mpsc::channel(1);
/// redd::spawn(async move {
///     for number in 1..=3 {
///         sender.send(number).await.unwrap(); // waits for the receiver twice
///     }
/// });
/// let mut sum = 0;
/// while let Some(number) = receiver.recv().await {
///     sum += number;
/// }
/// assert_eq!(sum, 6);
/// # });
/// ```
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    assert!(buffer > 0, "an mpsc channel was made with room for no message; use a buffer of at least 1");
    let (tx, rx) = super::shared::new(Limited::new(buffer));
    (Sender { tx }, Receiver::new(rx))
}

/// Sends to a bounded channel. Made by [`channel`]; clone it for more senders.
///
/// - The channel ends for the receiver when all senders are dropped and all messages are received.
///
/// # Examples
/// Several tasks report to one:
/// ```
/// use redd::sync::mpsc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = mpsc::channel(4);
/// for page in 1..=10 {
///     let sender = sender.clone();
///     redd::spawn(async move { sender.send(page * page).await });
/// }
/// drop(sender); // so that the channel ends with the last task
/// let mut count = 0;
/// while receiver.recv().await.is_some() {
///     count += 1;
/// }
/// assert_eq!(count, 10);
/// # });
/// ```
pub struct Sender<T> {
    tx: Tx<MpscState<T, Limited>>,
}

impl<T> Sender<T> {
    fn shared(&self) -> &MpscState<T, Limited> {
        self.tx.shared()
    }

    /// Sends a message. If the channel is full, it waits for room.
    ///
    /// - `Ok` does not mean that the message will be received: the receiver may be dropped before.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message was not sent and is dropped too; its place in the queue is lost. To keep
    /// the message, [`reserve`](Self::reserve) first.
    ///
    /// # Errors
    /// [`SendError`] with the message, if the receiver is closed or dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc::{self, error::SendError};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::channel(8);
    /// sender.send("hello").await.unwrap();
    /// assert_eq!(receiver.recv().await, Some("hello"));
    /// drop(receiver);
    /// assert_eq!(sender.send("late").await, Err(SendError("late")));
    /// # });
    /// ```
    #[track_caller]
    pub fn send(&self, message: T) -> impl Future<Output = Result<(), SendError<T>>> {
        let location = Some(Location::caller());
        async move {
            match self.shared().acquire(1, location).await {
                Ok(()) => self.shared().push(message).map_err(SendError),
                Err(SendError(())) => Err(SendError(message)),
            }
        }
    }

    /// Sends a message if there is room. It can be called outside of a runtime.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full) or [`Closed`](TrySendError::Closed), with the message.
    ///
    /// # Examples
    /// A queue that drops new messages under overload:
    /// ```
    /// use redd::sync::mpsc::{self, error::TrySendError};
    ///
    /// let (sender, _receiver) = mpsc::channel(1);
    /// assert!(sender.try_send("first").is_ok());
    /// assert_eq!(sender.try_send("second"), Err(TrySendError::Full("second")));
    /// ```
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.shared().try_acquire(1) {
            Ok(()) => self.shared().push(message).map_err(TrySendError::Closed),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(message)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(message)),
        }
    }

    /// Sends a message. If the channel is full, it blocks the thread until there is room.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`send`](Self::send) there.
    ///
    /// # Errors
    /// [`SendError`] with the message, if the receiver is closed or dropped.
    ///
    /// # Examples
    /// A thread that reads, and tasks that process:
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::channel(1);
    /// let thread = std::thread::spawn(move || {
    ///     for line in ["one", "two", "three"] {
    ///         sender.blocking_send(line).unwrap();
    ///     }
    /// });
    /// let mut lines = Vec::new();
    /// while let Some(line) = receiver.recv().await {
    ///     lines.push(line);
    /// }
    /// thread.join().unwrap();
    /// assert_eq!(lines, ["one", "two", "three"]);
    /// # });
    /// ```
    #[track_caller]
    pub fn blocking_send(&self, message: T) -> Result<(), SendError<T>> {
        block_thread_on("`mpsc::Sender::blocking_send`", self.send(message))
    }

    /// Waits for room for one message. The returned permit keeps the room until it is used or dropped.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost, and nothing else.
    ///
    /// # Errors
    /// [`SendError`] if the receiver is closed or dropped.
    ///
    /// # Examples
    /// Wait for room before doing the work, so that a dropped future wastes none:
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::channel(1);
    /// let permit = sender.reserve().await.unwrap();
    /// assert!(sender.try_send("other").is_err(), "the room is taken");
    /// permit.send("result of the work"); // neither waits nor fails
    /// assert_eq!(receiver.recv().await, Some("result of the work"));
    /// # });
    /// ```
    #[track_caller]
    pub fn reserve(&self) -> impl Future<Output = Result<Permit<'_, T>, SendError<()>>> {
        let location = Some(Location::caller());
        async move {
            let shared = self.shared();
            shared.acquire(1, location).await?;
            Ok(Permit::new(shared))
        }
    }

    /// Waits for room for `n` messages at once.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost, and nothing else.
    ///
    /// # Errors
    /// [`SendError`] if the receiver is closed or dropped, or if `n` exceeds [`max_capacity`](Self::max_capacity).
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::channel(2);
    /// for (permit, part) in sender.reserve_many(2).await.unwrap().zip(["header", "body"]) {
    ///     permit.send(part);
    /// }
    /// assert_eq!(receiver.recv().await, Some("header"));
    /// assert_eq!(receiver.recv().await, Some("body"));
    /// # });
    /// ```
    #[track_caller]
    pub fn reserve_many(&self, n: usize) -> impl Future<Output = Result<PermitIterator<'_, T>, SendError<()>>> {
        let location = Some(Location::caller());
        async move {
            let shared = self.shared();
            shared.acquire(n, location).await?;
            Ok(PermitIterator::new(shared, n))
        }
    }

    /// Waits for room for one message. The returned permit owns the sender, so that it can move into a task.
    ///
    /// # Cancel safety
    /// If the future is dropped, the sender is dropped with it: clone it first to keep one.
    ///
    /// # Errors
    /// [`SendError`] if the receiver is closed or dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = mpsc::channel(1);
    /// let permit = sender.reserve_owned().await.unwrap();
    /// redd::spawn(async move { permit.send("hello") });
    /// assert_eq!(receiver.recv().await, Some("hello"));
    /// # });
    /// ```
    #[track_caller]
    pub fn reserve_owned(self) -> impl Future<Output = Result<OwnedPermit<T>, SendError<()>>> {
        let location = Some(Location::caller());
        async move {
            self.shared().acquire(1, location).await?;
            Ok(OwnedPermit { sender: Some(self) })
        }
    }

    /// Takes room for one message, if there is some.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full) or [`Closed`](TrySendError::Closed).
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, mut receiver) = mpsc::channel(1);
    /// let permit = sender.try_reserve().unwrap();
    /// assert!(sender.try_reserve().is_err());
    /// permit.send("hello");
    /// assert_eq!(receiver.try_recv(), Ok("hello"));
    /// ```
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        let shared = self.shared();
        shared.try_acquire(1)?;
        Ok(Permit::new(shared))
    }

    /// Takes room for `n` messages, if there is so much.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full) if there is less, or [`Closed`](TrySendError::Closed).
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        let shared = self.shared();
        shared.try_acquire(n)?;
        Ok(PermitIterator::new(shared, n))
    }

    /// Takes room for one message, if there is some. The returned permit owns the sender.
    ///
    /// # Errors
    /// [`Full`](TrySendError::Full) or [`Closed`](TrySendError::Closed), with the sender.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.shared().try_acquire(1) {
            Ok(()) => Ok(OwnedPermit { sender: Some(self) }),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(self)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(self)),
        }
    }

    /// Returns for how many messages there is room now. Reserved room does not count.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, _receiver) = mpsc::channel(5);
    /// sender.try_send("hello").unwrap();
    /// let _permit = sender.try_reserve().unwrap();
    /// assert_eq!((sender.capacity(), sender.max_capacity()), (3, 5));
    /// ```
    pub fn capacity(&self) -> usize {
        self.shared().flow.available()
    }

    /// Returns for how many messages there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.shared().flow.bound()
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
    /// let (sender, receiver) = mpsc::channel::<u32>(1);
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
    /// let (sender, receiver) = mpsc::channel::<u32>(1);
    /// let weak = sender.downgrade();
    /// assert!(weak.upgrade().is_some());
    /// drop(sender);
    /// assert!(weak.upgrade().is_none());
    /// assert!(receiver.is_closed());
    /// ```
    #[must_use = "a weak sender does nothing until it is upgraded"]
    pub fn downgrade(&self) -> WeakSender<T> {
        let weak = self.tx.downgrade();
        WeakSender { weak }
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

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { tx: self.tx.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tx.shared().fmt_as("Sender", f)
    }
}

/// A sender that does not keep the channel open. Made by [`Sender::downgrade`].
///
/// - [`upgrade`](Self::upgrade) it to send.
///
/// # Examples
/// A receiver that can send to itself, and still ends when all other senders are dropped:
/// ```
/// use redd::sync::mpsc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = mpsc::channel(8);
/// let own = sender.downgrade();
/// sender.send(3).await.unwrap();
/// drop(sender);
/// let mut received = Vec::new();
/// while let Some(number) = receiver.recv().await {
///     received.push(number);
///     assert!(own.upgrade().is_none());
/// }
/// assert_eq!(received, [3]);
/// # });
/// ```
pub struct WeakSender<T> {
    weak: WeakTx<MpscState<T, Limited>>,
}

impl<T> WeakSender<T> {
    /// Returns a sender, or `None` if all senders are dropped.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.weak.upgrade().map(|tx| Sender { tx })
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

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { weak: self.weak.clone() }
    }
}

debug_struct!([T] WeakSender<T> as "WeakSender", self => { .. });

/// Room for one message, with the sender. Made by [`Sender::reserve_owned`]; dropping it returns the room.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel::<u32>(1);
/// let permit = sender.clone().try_reserve_owned().unwrap();
/// assert!(permit.same_channel_as_sender(&sender));
/// assert_eq!(receiver.capacity(), 0);
/// drop(permit);
/// assert_eq!(receiver.capacity(), 1);
/// ```
pub struct OwnedPermit<T> {
    /// `None` once it is used.
    sender: Option<Sender<T>>,
}

impl<T> OwnedPermit<T> {
    fn take_sender(&mut self) -> Sender<T> {
        self.sender.take().expect("only the methods that consume the permit take the sender")
    }

    /// Sends a message and returns the sender. This neither waits nor fails.
    ///
    /// - If the receiver was dropped, the message is dropped at once.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, mut receiver) = mpsc::channel(2);
    /// let sender = sender.try_reserve_owned().unwrap().send("one");
    /// sender.try_send("two").unwrap();
    /// assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok("one"), Ok("two")));
    /// ```
    pub fn send(mut self, message: T) -> Sender<T> {
        let sender = self.take_sender();
        drop(sender.shared().push(message));
        sender
    }

    /// Returns the room to the channel, and the sender to the caller.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::mpsc;
    ///
    /// let (sender, _receiver) = mpsc::channel::<u32>(1);
    /// let permit = sender.try_reserve_owned().unwrap();
    /// let sender = permit.release();
    /// assert_eq!(sender.capacity(), 1);
    /// ```
    pub fn release(mut self) -> Sender<T> {
        let sender = self.take_sender();
        sender.shared().release_unused(1);
        sender
    }

    /// Returns whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.sender, &other.sender) {
            (Some(one), Some(other)) => one.same_channel(other),
            _ => false,
        }
    }

    /// Returns whether this and `sender` send to the same channel.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.sender.as_ref().is_some_and(|own| own.same_channel(sender))
    }
}

impl<T> Drop for OwnedPermit<T> {
    fn drop(&mut self) {
        if let Some(sender) = &self.sender {
            sender.shared().release_unused(1);
        }
    }
}

debug_struct!([T] OwnedPermit<T> as "OwnedPermit", self => { sender: self.sender });

//! The channel with a limit: a message needs a permit, and the receiver gives it back.
//!
//! # Invariants
//! - `permit-then-push`: who pushes holds a permit, so that at most `bound` messages are in the chain; the receiver
//!   gives the permit back after it has taken the message.
//! - `drained-is-idle`: of a closed channel all permits are free exactly if no message is in it or can still come. Who
//!   gives a permit back otherwise than by sending wakes the receiver if that was the last.

use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::task::{Context, Poll};

use super::chain::Chain;
use super::error::{SendError, TryRecvError, TrySendError};
use super::shared::{FlowControl, MpscState, Rx};
use crate::observe::waiting::WaitKind;
use crate::primitives::Arc;
use crate::sync::blocking::block_thread_on;
use crate::sync::permits::{Permits, TryAcquireError};
use crate::sync::senders::{Channel, Tx, WeakTx, sender_handles};
use crate::sync::wait_list::CallSite;

/// Makes a channel in which at most `buffer` messages wait; then senders wait for room.
///
/// - Senders get room in the order in which they asked.
/// - Messages of one sender arrive in the order in which they were sent.
///
/// # Panics
/// If `buffer` is zero, or more than a semaphore can count.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = redd::sync::mpsc::channel(1);
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
    assert!(buffer > 0, "an mpsc channel was made with room for no message; ask for a buffer of at least 1");
    let (tx, rx) = super::shared::new(Limited { permits: Permits::new(buffer), bound: buffer });
    (Sender { tx }, Receiver { rx })
}

/// Flow by permits.
#[derive(Debug)]
pub(super) struct Limited {
    permits: Permits,
    bound: usize,
}

impl FlowControl for Limited {
    #[inline]
    fn release(&self, permits: usize) {
        self.permits.release(permits);
    }

    fn close(&self) {
        self.permits.close();
    }

    const ENDS_AT_CLOSE: bool = false;

    fn is_closed<T>(&self, _chain: &Chain<T>) -> bool {
        self.permits.is_closed()
    }

    fn is_drained<T>(&self, _chain: &Chain<T>) -> bool {
        self.permits.is_closed() && self.permits.available() == self.bound
    }
}

impl<T> MpscState<T, Limited> {
    /// Sends; the caller holds a permit, which goes to the message (`permit-then-push`). Gives the message back if the
    /// receiver has gone.
    #[inline]
    fn push(&self, message: T) -> Result<(), T> {
        let pushed = self.chain.push(message);
        if pushed.is_err() {
            self.release_unused(1);
        }
        pushed
    }

    /// Gives permits back that were not used.
    fn release_unused(&self, permits: usize) {
        self.flow.release(permits);
        self.wake_if_drained();
    }

    /// `drained-is-idle`: permits may have come back otherwise than by sending.
    fn wake_if_drained(&self) {
        if self.flow.is_drained(&self.chain) {
            self.on_drained.wake();
        }
    }

    /// Waits for permits; the caller owns them.
    async fn acquire(&self, count: usize, location: CallSite) -> Result<(), SendError<()>> {
        /// Dropped after the future that may have collected some of the permits and given them back.
        struct Collected<'a, T>(&'a MpscState<T, Limited>);
        impl<T> Drop for Collected<'_, T> {
            fn drop(&mut self) {
                self.0.wake_if_drained();
            }
        }
        if count > self.flow.bound {
            return Err(SendError(()));
        }
        let permits = &self.flow.permits;
        if permits.acquire_at_once(count) {
            return Ok(());
        }
        let _collected = Collected(self);
        permits.acquire(count, WaitKind::MpscSend, location).await.map_err(|_closed| SendError(()))
    }

    fn try_acquire(&self, count: usize) -> Result<(), TrySendError<()>> {
        if count > self.flow.bound {
            return Err(TrySendError::Full(()));
        }
        self.flow.permits.try_acquire(count).map_err(|error| match error {
            TryAcquireError::Closed => TrySendError::Closed(()),
            TryAcquireError::NoPermits => TrySendError::Full(()),
        })
    }
}

/// Sends to a bounded channel; clone it for more senders.
///
/// - The channel ends for the receiver when all senders are dropped and all messages are received.
pub struct Sender<T> {
    tx: Tx<MpscState<T, Limited>>,
}

impl<T> Sender<T> {
    fn shared(&self) -> &MpscState<T, Limited> {
        self.tx.shared()
    }

    /// Sends a message; waits for room if the channel is full.
    ///
    /// - `Ok` does not mean that the message will be looked at: the receiver may be dropped before.
    ///
    /// # Cancel safety
    /// If it is dropped, the message was not sent and is dropped with it, and the place in the line is lost.
    /// [`reserve`](Self::reserve) first to keep the message.
    ///
    /// # Errors
    /// Gives the message back if the receiver is closed or dropped.
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

    /// Sends a message if there is room.
    ///
    /// # Errors
    /// Gives the message back if the channel is full or closed.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        match self.shared().try_acquire(1) {
            Ok(()) => self.shared().push(message).map_err(TrySendError::Closed),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(message)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(message)),
        }
    }

    /// Sends a message from a thread outside of a runtime; the thread sleeps until there is room.
    ///
    /// # Errors
    /// Gives the message back if the receiver is closed or dropped.
    ///
    /// # Panics
    /// When called inside an asynchronous context: await `send` there.
    #[track_caller]
    pub fn blocking_send(&self, message: T) -> Result<(), SendError<T>> {
        block_thread_on("mpsc::Sender::blocking_send", self.send(message))
    }

    /// Waits for room for one message.
    ///
    /// - The permit keeps the room until it is used or dropped.
    ///
    /// # Cancel safety
    /// Dropping it loses the place in the line and nothing else.
    ///
    /// # Errors
    /// If the receiver is closed or dropped.
    #[track_caller]
    pub fn reserve(&self) -> impl Future<Output = Result<Permit<'_, T>, SendError<()>>> {
        let location = Some(Location::caller());
        async move {
            let shared = self.shared();
            shared.acquire(1, location).await?;
            Ok(Permit { shared })
        }
    }

    /// Waits for room for `n` messages at once.
    ///
    /// # Cancel safety
    /// Dropping it loses the place in the line and nothing else.
    ///
    /// # Errors
    /// If the receiver is closed or dropped, or if the channel never has so much room.
    #[track_caller]
    pub fn reserve_many(&self, n: usize) -> impl Future<Output = Result<PermitIterator<'_, T>, SendError<()>>> {
        let location = Some(Location::caller());
        async move {
            let shared = self.shared();
            shared.acquire(n, location).await?;
            Ok(PermitIterator { shared, n })
        }
    }

    /// Waits for room for one message; the permit owns the sender.
    ///
    /// # Cancel safety
    /// If it is dropped, the sender is dropped with it: clone it first to keep one.
    ///
    /// # Errors
    /// If the receiver is closed or dropped.
    #[track_caller]
    pub fn reserve_owned(self) -> impl Future<Output = Result<OwnedPermit<T>, SendError<()>>> {
        let location = Some(Location::caller());
        async move {
            self.shared().acquire(1, location).await?;
            Ok(OwnedPermit { sender: Some(self) })
        }
    }

    /// Room for one message if there is some.
    ///
    /// # Errors
    /// If the channel is full or closed.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        let shared = self.shared();
        shared.try_acquire(1)?;
        Ok(Permit { shared })
    }

    /// Room for `n` messages if there is so much.
    ///
    /// # Errors
    /// If there is not, or the channel is closed.
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        let shared = self.shared();
        shared.try_acquire(n)?;
        Ok(PermitIterator { shared, n })
    }

    /// Room for one message if there is some; the permit owns the sender.
    ///
    /// # Errors
    /// Gives the sender back if the channel is full or closed.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        match self.shared().try_acquire(1) {
            Ok(()) => Ok(OwnedPermit { sender: Some(self) }),
            Err(TrySendError::Full(())) => Err(TrySendError::Full(self)),
            Err(TrySendError::Closed(())) => Err(TrySendError::Closed(self)),
        }
    }

    /// For how many messages there is room now.
    pub fn capacity(&self) -> usize {
        self.shared().flow.permits.available()
    }

    /// For how many messages there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.shared().flow.bound
    }
}

super::shared::sender_methods!(Sender, WeakSender, Limited);

/// Room for one message. Made by [`Sender::reserve`]; dropping it gives the room back.
pub struct Permit<'a, T> {
    shared: &'a MpscState<T, Limited>,
}

impl<T> Permit<'_, T> {
    /// Sends a message; it neither waits nor fails. If the receiver was dropped, the message is dropped at once.
    pub fn send(self, message: T) {
        drop(ManuallyDrop::new(self).shared.push(message));
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.shared.release_unused(1);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt_as("Permit", f)
    }
}

/// Room for several messages, permit by permit. Made by [`Sender::reserve_many`]; dropping it gives the rest back.
pub struct PermitIterator<'a, T> {
    shared: &'a MpscState<T, Limited>,
    n: usize,
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Permit<'a, T>> {
        self.n = self.n.checked_sub(1)?;
        Some(Permit { shared: self.shared })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n, Some(self.n))
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}
impl<T> FusedIterator for PermitIterator<'_, T> {}

impl<T> Drop for PermitIterator<'_, T> {
    fn drop(&mut self) {
        if self.n > 0 {
            self.shared.release_unused(self.n);
        }
    }
}

debug_struct!([T] PermitIterator<'_, T> as "PermitIterator", self => { capacity: self.n, .. });

/// Room for one message, together with the sender. Made by [`Sender::reserve_owned`]; dropping it gives the room back.
pub struct OwnedPermit<T> {
    /// `None` once it is used.
    sender: Option<Sender<T>>,
}

impl<T> OwnedPermit<T> {
    fn take_sender(&mut self) -> Sender<T> {
        self.sender.take().expect("only the methods that consume the permit take the sender")
    }

    /// Sends a message and gives the sender back; it neither waits nor fails. If the receiver was dropped, the message is
    /// dropped at once.
    pub fn send(mut self, message: T) -> Sender<T> {
        let sender = self.take_sender();
        drop(sender.shared().push(message));
        sender
    }

    /// Gives the room and the sender back.
    pub fn release(mut self) -> Sender<T> {
        let sender = self.take_sender();
        sender.shared().release_unused(1);
        sender
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.sender, &other.sender) {
            (Some(one), Some(other)) => one.same_channel(other),
            _ => false,
        }
    }

    /// Whether this and `sender` send to the same channel.
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

/// Receives from a bounded channel.
///
/// - Dropping it drops the messages that wait, and makes sending fail.
pub struct Receiver<T> {
    rx: Rx<T, Limited>,
}

impl<T> Receiver<T> {
    /// For how many messages there is room now.
    pub fn capacity(&self) -> usize {
        self.rx.shared().flow.permits.available()
    }

    /// For how many messages there is room in an empty channel.
    pub fn max_capacity(&self) -> usize {
        self.rx.shared().flow.bound
    }
}

super::shared::receiver_methods!(Receiver);

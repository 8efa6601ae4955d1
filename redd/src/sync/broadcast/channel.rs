//! The broadcast channel: senders, receivers and the ring of messages.
//!
//! Long because of its examples: about half of the lines are code.
//!
//! The messages are in a ring. Positions count up forever; position `p` is in slot `p & mask`. The tail's lock orders
//! senders. A receiver that finds its message takes only the slot's lock.
//!
//! # Invariants
//! - `tail-before-slot`: a thread that holds a slot's lock takes no other lock. A slot's position changes only under the
//!   tail's lock.
//! - `unseen-counts`: a message's `unseen` is the number of receivers that existed when it was sent and have not yet
//!   taken it, skipped it or been dropped. The receiver that brings it to zero takes the message out, and drops it
//!   without a lock.
//! - `clone-alone`: a message is cloned under its slot's lock, one receiver at a time, because `T` need not be `Sync`.
//!   This is the one place where user code runs under a lock: a `clone` that uses the same channel may wait for itself.

use std::future::Future;
use std::panic::Location;

use super::error::{RecvError, SendError, TryRecvError};
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicU64, Ordering};
use crate::primitives::{Arc, Mutex};
use crate::sync::senders::{Channel, Senders, Tx, WeakTx};
use crate::sync::wait_list::WaitList;
use crate::sync::wait_until::wait_until;
use crate::task::coop::cooperative;

/// Makes a channel that keeps the last `capacity` messages, rounded up to a power of two.
///
/// # Panics
/// If `capacity` is zero, or more than there is memory for.
///
/// # Examples
/// ```
/// use redd::sync::broadcast;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut first) = broadcast::channel(16);
/// let mut second = sender.subscribe();
/// sender.send("hello").unwrap();
/// assert_eq!(first.recv().await, Ok("hello"));
/// assert_eq!(second.recv().await, Ok("hello"));
/// # });
/// ```
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(capacity);
    let receiver = sender.subscribe();
    (sender, receiver)
}

struct BroadcastState<T> {
    slots: Box<[RingSlot<T>]>,
    /// The number of slots, which is a power of two, less one.
    mask: u64,
    tail: WaitList<Tail>,
    senders: Senders,
    /// Senders that wait until the last receiver is dropped.
    on_last_receiver: WaitList,
}

struct Tail {
    /// The position of the next message.
    position: u64,
    receivers: usize,
    /// All senders are gone.
    is_closed: bool,
}

struct RingSlot<T> {
    /// The position of the message. Changed under both locks, and read without a lock as a hint.
    position: AtomicU64,
    message: Mutex<Message<T>>,
}

struct Message<T> {
    value: Option<T>,
    /// See `unseen-counts`.
    unseen: usize,
}

impl<T> BroadcastState<T> {
    fn slot(&self, position: u64) -> &RingSlot<T> {
        &self.slots[(position & self.mask) as usize]
    }

    /// Counts the message as seen and calls `read` with it. Returns `None` if it is not in its slot.
    fn read_once<R>(&self, position: u64, read: impl FnOnce(&T) -> R) -> Option<R> {
        let slot = self.slot(position);
        if slot.position.load(Ordering::Relaxed) != position {
            return None;
        }
        let mut message = slot.message.lock();
        // Under the slot's lock this is exact.
        if slot.position.load(Ordering::Relaxed) != position {
            return None;
        }
        // `unseen-counts`, also if `read` panics.
        message.unseen -= 1;
        if message.unseen == 0 {
            let last = message.value.take()?;
            drop(message);
            return Some(read(&last));
        }
        // `clone-alone`
        message.value.as_ref().map(read)
    }

    /// Reads the message at `next`, as [`Receiver::try_recv`] does, and moves `next` on.
    fn try_recv<R>(&self, next: &mut u64, read: impl Fn(&T) -> R) -> Result<R, TryRecvError> {
        loop {
            let position = *next;
            // Moved on before `read`, so that a message whose clone panics is not read again.
            *next = position.wrapping_add(1);
            if let Some(result) = self.read_once(position, &read) {
                return Ok(result);
            }
            *next = position;
            let tail = self.tail.lock();
            // `tail-before-slot`: under the tail's lock the position is exact.
            if self.slot(position).position.load(Ordering::Relaxed) == position {
                continue; // It was sent in between.
            }
            if position == tail.position {
                return Err(if tail.is_closed { TryRecvError::Closed } else { TryRecvError::Empty });
            }
            let oldest = tail.position.wrapping_sub(self.mask + 1);
            *next = oldest;
            return Err(TryRecvError::Lagged(oldest.wrapping_sub(position)));
        }
    }

    fn subscribe(this: &Arc<Self>) -> Receiver<T> {
        let mut tail = this.tail.lock();
        tail.receivers += 1;
        let next = tail.position;
        drop(tail);
        Receiver { shared: Arc::clone(this), next }
    }
}

impl<T> Channel for BroadcastState<T> {
    fn senders(&self) -> &Senders {
        &self.senders
    }

    fn end(&self) {
        let mut tail = self.tail.lock();
        tail.is_closed = true;
        tail.notify_all();
    }
}

/// Sends to all receivers. Made by [`channel`]; clone it for more senders.
///
/// - Sending never waits, and can be done outside of a runtime. It fails if there is no receiver.
/// - When all senders are dropped, receivers get the messages that are left, and then an error.
///
/// # Examples
/// ```
/// use redd::sync::broadcast;
///
/// let (sender, mut receiver) = broadcast::channel(4);
/// let other = sender.clone();
/// sender.send("from one").unwrap();
/// other.send("from the other").unwrap();
/// assert_eq!(receiver.try_recv(), Ok("from one"));
/// assert_eq!(receiver.try_recv(), Ok("from the other"));
/// ```
pub struct Sender<T> {
    tx: Tx<BroadcastState<T>>,
}

impl<T> Sender<T> {
    /// Makes a sender without receivers, for a channel that keeps the last `capacity` messages.
    ///
    /// - `capacity` is rounded up to a power of two.
    ///
    /// # Panics
    /// If `capacity` is zero, or more than there is memory for.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let sender = broadcast::Sender::new(4);
    /// assert!(sender.send("before").is_err(), "there is no receiver");
    /// let mut receiver = sender.subscribe();
    /// sender.send("after").unwrap();
    /// assert_eq!(receiver.try_recv(), Ok("after"));
    /// ```
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a broadcast channel was made with room for no message; use a capacity of at least 1");
        assert!(
            capacity <= usize::MAX >> 1,
            "a broadcast channel was made with a capacity of {capacity}, which is more than the address space has; \
             use a smaller one"
        );
        let capacity = capacity.next_power_of_two();
        let mut slots = Vec::new();
        assert!(
            slots.try_reserve_exact(capacity).is_ok(),
            "a broadcast channel was made with a capacity of {capacity}, for which there is no memory; use a smaller one"
        );
        slots.extend((0..capacity as u64).map(|index| RingSlot {
            // A position that no receiver reads.
            position: AtomicU64::new(index.wrapping_sub(capacity as u64)),
            message: Mutex::new(Message { value: None, unseen: 0 }),
        }));
        Self {
            tx: Tx::first(Arc::new(BroadcastState {
                slots: slots.into_boxed_slice(),
                mask: capacity as u64 - 1,
                tail: WaitList::new(Tail { position: 0, receivers: 0, is_closed: false }),
                senders: Senders::one(),
                on_last_receiver: WaitList::new(()),
            })),
        }
    }

    fn shared(&self) -> &Arc<BroadcastState<T>> {
        self.tx.shared()
    }

    /// Sends a message to all present receivers, and returns how many there are.
    ///
    /// - If the channel is full, the oldest message is dropped.
    ///
    /// # Errors
    /// [`SendError`] with the message, if there is no receiver now. A later send can succeed.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let (sender, mut first) = broadcast::channel(4);
    /// assert_eq!(sender.send("one").unwrap(), 1);
    /// let mut second = sender.subscribe();
    /// assert_eq!(sender.send("two").unwrap(), 2);
    /// assert_eq!((first.try_recv(), first.try_recv()), (Ok("one"), Ok("two")));
    /// assert_eq!(second.try_recv(), Ok("two"), "`one` was sent before it subscribed");
    /// ```
    pub fn send(&self, message: T) -> Result<usize, SendError<T>> {
        let mut tail = self.shared().tail.lock();
        let receivers = tail.receivers;
        if receivers == 0 {
            drop(tail);
            return Err(SendError(message));
        }
        let position = tail.position;
        tail.position = position.wrapping_add(1);
        let slot = self.shared().slot(position);
        // `tail-before-slot`
        let mut stored = slot.message.lock();
        slot.position.store(position, Ordering::Relaxed);
        stored.unseen = receivers;
        let overwritten = stored.value.replace(message);
        drop(stored);
        tail.notify_all();
        drop(overwritten);
        Ok(receivers)
    }

    /// Makes a receiver of the messages that are sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        BroadcastState::subscribe(self.shared())
    }

    /// Returns how many messages the channel holds that at least one receiver has not seen.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let (sender, mut fast) = broadcast::channel(4);
    /// let slow = sender.subscribe();
    /// sender.send(1).unwrap();
    /// fast.try_recv().unwrap();
    /// assert_eq!(sender.len(), 1, "`slow` has not seen it");
    /// drop(slow);
    /// assert!(sender.is_empty());
    /// ```
    pub fn len(&self) -> usize {
        let tail = self.shared().tail.lock();
        let capacity = self.shared().slots.len();
        let oldest = tail.position.wrapping_sub(capacity as u64);
        // Before a message that all receivers have seen, all have seen every message: a receiver reads in order. So this
        // is a binary search.
        let (mut seen, mut rest) = (0, capacity);
        while rest > 0 {
            let half = rest / 2;
            let slot = self.shared().slot(oldest.wrapping_add((seen + half) as u64));
            if slot.message.lock().unseen == 0 {
                seen += half + 1;
                rest -= half + 1;
            } else {
                rest = half;
            }
        }
        capacity - seen
    }

    /// Returns whether every receiver has seen every message.
    pub fn is_empty(&self) -> bool {
        let tail = self.shared().tail.lock();
        let last = self.shared().slot(tail.position.wrapping_sub(1));
        last.message.lock().unseen == 0
    }

    /// Returns how many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared().tail.lock().receivers
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = broadcast::channel(1);
    /// redd::spawn(async move { receiver.recv().await });
    /// sender.send("last message").unwrap();
    /// sender.closed().await; // the task has received it and dropped its receiver
    /// assert_eq!(sender.receiver_count(), 0);
    /// # });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        let has_no_receiver = || (self.receiver_count() == 0).then_some(());
        cooperative(wait_until(
            &self.shared().on_last_receiver,
            WaitKind::Broadcast,
            Some(Location::caller()),
            has_no_receiver,
            move |_| has_no_receiver(),
        ))
    }

    /// Returns whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.tx.shared(), other.tx.shared())
    }

    /// Makes a sender that does not keep the channel open.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel::<u32>(1);
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

/// A sender that does not keep the channel open. Made by [`Sender::downgrade`].
///
/// - [`upgrade`](Self::upgrade) it to send.
///
/// # Examples
/// ```
/// use redd::sync::broadcast;
///
/// let (sender, mut receiver) = broadcast::channel(4);
/// let weak = sender.downgrade();
/// weak.upgrade().expect("a sender is left").send("news").unwrap();
/// assert_eq!(receiver.try_recv().unwrap(), "news");
///
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakSender<T> {
    weak: WeakTx<BroadcastState<T>>,
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

debug_struct!([T] Sender<T> as "Sender", self => {
    capacity: self.shared().slots.len(),
    receivers: self.receiver_count(),
});

/// Receives every message that is sent while it exists. Made by [`channel`] and [`Sender::subscribe`].
///
/// - It is not `Clone`. [`resubscribe`](Self::resubscribe) makes another one, which skips the messages sent before.
/// - Dropping it counts its remaining messages as seen.
///
/// # Examples
/// ```
/// use redd::sync::broadcast;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = broadcast::channel(4);
/// let task = redd::spawn(async move {
///     let mut sum = 0;
///     while let Ok(number) = receiver.recv().await {
///         sum += number;
///     }
///     sum
/// });
/// sender.send(20).unwrap();
/// sender.send(22).unwrap();
/// drop(sender);
/// assert_eq!(task.await.unwrap(), 42);
/// # });
/// ```
pub struct Receiver<T> {
    shared: Arc<BroadcastState<T>>,
    /// The position of the message that comes next.
    next: u64,
}

impl<T> Receiver<T> {
    /// Returns how many messages this receiver has not seen, including those that it has lost.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let (sender, receiver) = broadcast::channel(2);
    /// for number in 1..=5 {
    ///     sender.send(number).unwrap();
    /// }
    /// assert_eq!(receiver.len(), 5, "three of them are lost");
    /// ```
    pub fn len(&self) -> usize {
        let end = self.shared.tail.lock().position;
        end.wrapping_sub(self.next) as usize
    }

    /// Returns whether this receiver has seen every message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Returns how many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.shared.senders.strong_count()
    }

    /// Returns how many weak senders there are.
    pub fn sender_weak_count(&self) -> usize {
        self.shared.senders.weak_count()
    }

    /// Returns whether all senders are dropped. There may be messages left.
    pub fn is_closed(&self) -> bool {
        self.shared.senders.strong_count() == 0
    }
}

impl<T: Clone> Receiver<T> {
    /// Waits for the next message.
    ///
    /// # Cancel safety
    /// No message is lost if the future is dropped: the next call returns it.
    ///
    /// # Errors
    /// - [`Lagged`](RecvError::Lagged): so many messages were lost. The next call returns the oldest that is left.
    /// - [`Closed`](RecvError::Closed): all senders are dropped and all messages are received.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast::{self, error::RecvError};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = broadcast::channel(2);
    /// for number in 1..=3 {
    ///     sender.send(number).unwrap();
    /// }
    /// drop(sender);
    /// let mut received = Vec::new();
    /// loop {
    ///     match receiver.recv().await {
    ///         Ok(number) => received.push(number),
    ///         Err(RecvError::Lagged(lost)) => assert_eq!(lost, 1), // go on
    ///         Err(RecvError::Closed) => break,
    ///     }
    /// }
    /// assert_eq!(received, [2, 3]);
    /// # });
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<T, RecvError>> {
        let location = Some(Location::caller());
        cooperative(async move {
            let Self { shared, next } = self;
            loop {
                let position = *next;
                let slot = shared.slot(position);
                let is_there = || slot.position.load(Ordering::Relaxed) == position;
                if !is_there() {
                    wait_until(
                        &shared.tail,
                        WaitKind::Broadcast,
                        location,
                        || is_there().then_some(()),
                        |tail| {
                            let is_due = is_there() || tail.position != position || tail.is_closed;
                            is_due.then_some(())
                        },
                    )
                    .await;
                }
                match shared.try_recv(next, T::clone) {
                    Ok(message) => return Ok(message),
                    Err(TryRecvError::Lagged(lost)) => return Err(RecvError::Lagged(lost)),
                    Err(TryRecvError::Closed) => return Err(RecvError::Closed),
                    Err(TryRecvError::Empty) => {}
                }
            }
        })
    }

    /// Returns the next message if there is one.
    ///
    /// # Errors
    /// - [`Empty`](TryRecvError::Empty): no message is available now.
    /// - [`Lagged`](TryRecvError::Lagged): so many messages were lost. The next call returns the oldest that is left.
    /// - [`Closed`](TryRecvError::Closed): all senders are dropped and all messages are received.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(4);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send("hello").unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Ok("hello"));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.shared.try_recv(&mut self.next, T::clone)
    }

    /// Blocks the thread until there is a message.
    ///
    /// # Panics
    /// On a thread that runs tasks: await [`recv`](Self::recv) there.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv).
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let (sender, mut receiver) = broadcast::channel(4);
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// sender.send("hello").unwrap();
    /// assert_eq!(thread.join().unwrap(), Ok("hello"));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        crate::sync::blocking::block_thread_on("`broadcast::Receiver::blocking_recv`", self.recv())
    }

    /// Makes a receiver of the messages that are sent from now on.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::broadcast;
    ///
    /// let (sender, first) = broadcast::channel(4);
    /// sender.send("old").unwrap();
    /// let mut second = first.resubscribe();
    /// sender.send("new").unwrap();
    /// assert_eq!(second.try_recv(), Ok("new"));
    /// ```
    pub fn resubscribe(&self) -> Self {
        BroadcastState::subscribe(&self.shared)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut tail = self.shared.tail.lock();
        tail.receivers -= 1;
        let is_last = tail.receivers == 0;
        let end = tail.position;
        drop(tail);
        // `unseen-counts`. A message that is sent from here on does not count this receiver.
        let capacity = self.shared.mask + 1;
        let unseen = end.wrapping_sub(self.next).min(capacity);
        for back in (1..=unseen).rev() {
            self.shared.read_once(end.wrapping_sub(back), |_| ());
        }
        // Last, so that a sender that is woken finds an empty channel.
        if is_last {
            self.shared.on_last_receiver.lock().notify_all();
        }
    }
}

debug_struct!([T] Receiver<T> as "Receiver", self => { len: self.len(), .. });

//! The channel that holds the latest value: senders, receivers and their state word.
//!
//! Long because of its examples: about half of the lines are code.
//!
//! One word holds the version and two bits. So one step of a sender counts the version up and learns whether a receiver
//! waits.
//!
//! # Invariants
//! - `version-under-lock`: the version changes only while the value is locked for writing. A receiver that has seen a
//!   version and then locks the value for reading therefore finds the value of that version or a later one.
//! - `waiters-bit`: WAITERS is set under the list's lock before a receiver links itself, and cleared under that lock
//!   before all are notified. The step that sets it also reads the version: either that is the new one, or the sender's
//!   step sees the bit.
//! - `no-poison`: if a closure that changes the value panics, the lock is released and the version stays as it was.

use std::fmt::Debug;
use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use super::error::{RecvError, SendError};
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::{Arc, RwLock, RwLockReadGuard};
use crate::sync::wait_list::{CallSite, WaitList};
use crate::sync::wait_until::wait_until;
use crate::task::coop::cooperative;

/// All senders are gone.
const CLOSED: usize = 1;
/// A receiver may be in the list.
const WAITERS: usize = 2;
/// One version. Versions wrap: a receiver would have to miss 2^62 changes (2^30 on 32 bits) to mistake one for another.
const ONE: usize = 4;

/// Makes a channel that holds `init`, which the receiver counts as seen.
///
/// # Examples
/// ```
/// use redd::sync::watch;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = watch::channel("starting");
/// redd::spawn(async move { sender.send("ready") });
/// receiver.changed().await.unwrap();
/// assert_eq!(*receiver.borrow_and_update(), "ready");
/// # });
/// ```
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(init);
    let receiver = sender.subscribe();
    (sender, receiver)
}

#[derive(Debug)]
struct WatchState<T> {
    value: RwLock<T>,
    /// The version times [`ONE`], plus the two bits.
    state: AtomicUsize,
    receivers: AtomicUsize,
    senders: AtomicUsize,
    on_change: WaitList,
    on_last_receiver: WaitList,
}

/// What a receiver finds that has seen a version.
enum Resolution {
    Changed(usize),
    Closed,
}

const fn version(state: usize) -> usize {
    state & !(ONE - 1)
}

fn classify(state: usize, seen: usize) -> Option<Resolution> {
    if version(state) != seen {
        Some(Resolution::Changed(version(state)))
    } else if state & CLOSED != 0 {
        Some(Resolution::Closed)
    } else {
        None
    }
}

impl<T> WatchState<T> {
    fn state(&self) -> usize {
        // Acquire: a version is seen after what the sender did. Pairs with Release in `Sender::send_if_modified` and
        // `Sender::drop`.
        self.state.load(Ordering::Acquire)
    }

    /// Returns the value, which counts as seen.
    fn read(&self, seen: &mut usize) -> Ref<'_, T> {
        let value = self.value.read();
        // `version-under-lock`
        let current = version(self.state());
        let has_changed = std::mem::replace(seen, current) != current;
        Ref { value, has_changed }
    }

    fn notify_receivers(&self) {
        let list = self.on_change.lock();
        // `waiters-bit`
        self.state.fetch_and(!WAITERS, Ordering::Relaxed);
        list.notify_all();
    }

    /// Waits for a version that is not `seen`. It uses no budget: its callers do.
    async fn changed(&self, seen: usize, location: CallSite) -> Resolution {
        wait_until(
            &self.on_change,
            WaitKind::Watch,
            location,
            || classify(self.state(), seen),
            // `waiters-bit`. Acquire: as in `WatchState::state`.
            |_| {
                let state = self.state.fetch_or(WAITERS, Ordering::Acquire);
                classify(state, seen)
            },
        )
        .await
    }
}

/// Changes the value. Made by [`channel`]; clone it for more senders.
///
/// - When all senders are dropped, a receiver gets the last value if it has not seen it, and then an error.
/// - **A receiver that holds a [`Ref`] makes every change of the value block the thread.**
///
/// # Examples
/// ```
/// use redd::sync::watch;
///
/// let (sender, receiver) = watch::channel(0);
/// let other = sender.clone();
/// sender.send(1).unwrap();
/// other.send_modify(|value| *value += 1);
/// assert_eq!(*receiver.borrow(), 2);
/// ```
pub struct Sender<T> {
    shared: Arc<WatchState<T>>,
}

// A sender on another thread holds the lock of the value for as long as its closure runs.
debug_struct!([T: Debug] Sender<T> as "Sender", self => {
    value: self.shared.value,
    senders: self.sender_count(),
    receivers: self.receiver_count(),
});

impl<T> Sender<T> {
    /// Makes a sender without receivers, for a channel that holds `init`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let sender = watch::Sender::new(1);
    /// assert!(sender.send(2).is_err(), "there is no receiver");
    /// sender.send_replace(3);
    /// assert_eq!(*sender.subscribe().borrow(), 3);
    /// ```
    pub fn new(init: T) -> Self {
        Self {
            shared: Arc::new(WatchState {
                value: RwLock::new(init),
                state: AtomicUsize::new(0),
                receivers: AtomicUsize::new(0),
                senders: AtomicUsize::new(1),
                on_change: WaitList::new(()),
                on_last_receiver: WaitList::new(()),
            }),
        }
    }

    /// Replaces the value if there is a receiver, and wakes all receivers that wait.
    ///
    /// # Errors
    /// [`SendError`] with the value, if there is no receiver. [`send_replace`](Self::send_replace) stores it in any
    /// case.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(0);
    /// sender.send(1).unwrap();
    /// assert_eq!(*receiver.borrow(), 1);
    /// drop(receiver);
    /// assert!(sender.send(2).is_err());
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// Changes the value in place, and wakes all receivers that wait.
    ///
    /// # Panics
    /// If `modify` panics. The value stays as `modify` left it, and receivers are not woken.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(vec![1]);
    /// sender.send_modify(|numbers| numbers.push(2));
    /// assert_eq!(*receiver.borrow(), [1, 2]);
    /// ```
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Changes the value in place, and wakes receivers only if `modify` returns true. Returns the same.
    ///
    /// # Panics
    /// If `modify` panics. The value stays as `modify` left it, and receivers are not woken.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (highest, receiver) = watch::channel(10);
    /// let raise = |to: i32| {
    ///     highest.send_if_modified(|highest| {
    ///         let is_higher = to > *highest;
    ///         *highest = to.max(*highest);
    ///         is_higher
    ///     })
    /// };
    /// assert!(!raise(5));
    /// assert!(!receiver.has_changed().unwrap());
    /// assert!(raise(15));
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let mut value = self.shared.value.write();
        // `no-poison`
        let result = catch_unwind(AssertUnwindSafe(|| modify(&mut value)));
        let state = match result {
            Ok(false) => return false,
            // Release: a version is seen after what the sender did. Pairs with Acquire in `WatchState::state`.
            Ok(true) => self.shared.state.fetch_add(ONE, Ordering::Release),
            Err(payload) => {
                drop(value);
                resume_unwind(payload);
            }
        };
        drop(value);
        if state & WAITERS != 0 {
            self.shared.notify_receivers();
        }
        true
    }

    /// Replaces the value, even if there is no receiver, and returns the old one.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel("old");
    /// assert_eq!(sender.send_replace("new"), "old");
    /// assert_eq!(*receiver.borrow(), "new");
    /// ```
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// Returns the value, locked for reading.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref { value: self.shared.value.read(), has_changed: false }
    }

    /// Returns whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    /// Each worker drops its receiver when it has finished, and the main task waits for the last one:
    /// ```
    /// use redd::sync::watch;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (shutdown, receiver) = watch::channel(false);
    /// for _ in 0..3 {
    ///     let mut receiver = receiver.clone();
    ///     redd::spawn(async move { receiver.wait_for(|is_down| *is_down).await.map(|_| ()) });
    /// }
    /// drop(receiver);
    /// shutdown.send(true).unwrap();
    /// shutdown.closed().await;
    /// assert_eq!(shutdown.receiver_count(), 0);
    /// # });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> {
        let is_closed = || self.is_closed().then_some(());
        cooperative(wait_until(
            &self.shared.on_last_receiver,
            WaitKind::Watch,
            Some(Location::caller()),
            is_closed,
            move |_| is_closed(),
        ))
    }

    /// Makes a receiver that counts the present value as seen.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, _receiver) = watch::channel(0);
    /// let late = sender.subscribe();
    /// assert!(!late.has_changed().unwrap());
    /// sender.send(1).unwrap();
    /// assert!(late.has_changed().unwrap());
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = version(self.shared.state());
        Receiver::new(&self.shared, seen)
    }

    /// Returns how many receivers there are.
    pub fn receiver_count(&self) -> usize {
        // Acquire: a count of zero is seen after what the last receiver did. Pairs with AcqRel in `Receiver::drop`.
        self.shared.receivers.load(Ordering::Acquire)
    }

    /// Returns how many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.senders.load(Ordering::Relaxed)
    }

    /// Returns whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: Default> Default for Sender<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // AcqRel: the last sender sees what all others did. Pairs with itself.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Release: the end is seen after what the senders did. Pairs with Acquire in `WatchState::state`.
            let state = self.shared.state.fetch_or(CLOSED, Ordering::Release);
            if state & WAITERS != 0 {
                self.shared.notify_receivers();
            }
        }
    }
}

/// Sees the latest value. Made by [`channel`]; clone it for more receivers.
///
/// - A clone counts as seen what the original has seen.
///
/// # Examples
/// A signal to shut down, for any number of tasks:
/// ```
/// use redd::sync::watch;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (shutdown, receiver) = watch::channel(false);
/// let mut tasks = redd::task::JoinSet::new();
/// for _ in 0..3 {
///     let mut shutdown = receiver.clone();
///     tasks.spawn(async move {
///         redd::select! {
///             _ = shutdown.wait_for(|is_requested| *is_requested) => "stopped",
///             () = std::future::pending() => "finished", // the work
///         }
///     });
/// }
/// shutdown.send(true).unwrap();
/// assert_eq!(tasks.join_all().await, ["stopped"; 3]);
/// # });
/// ```
pub struct Receiver<T> {
    shared: Arc<WatchState<T>>,
    /// The version seen last, as in the state word.
    seen: usize,
}

debug_struct!([T: Debug] Receiver<T> as "Receiver", self => {
    value: self.shared.value,
    has_changed: (version(self.shared.state()) != self.seen),
    is_closed: (self.shared.state() & CLOSED != 0),
});

impl<T> Receiver<T> {
    fn new(shared: &Arc<WatchState<T>>, seen: usize) -> Self {
        shared.receivers.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), seen }
    }

    /// Returns the value, locked for reading. It does not count as seen.
    ///
    /// - **Senders block their thread while the [`Ref`] lives.** Copy what is needed and drop it; do not hold it across
    ///   an await.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(String::from("old"));
    /// sender.send("new".into()).unwrap();
    /// let value = receiver.borrow().clone(); // the `Ref` is dropped at once
    /// assert_eq!(value, "new");
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn borrow(&self) -> Ref<'_, T> {
        let value = self.shared.value.read();
        // `version-under-lock`: it cannot change meanwhile.
        let has_changed = version(self.shared.state()) != self.seen;
        Ref { value, has_changed }
    }

    /// Returns the value, locked for reading, and counts it as seen. Otherwise like [`borrow`](Self::borrow).
    ///
    /// # Examples
    /// In a loop with [`changed`](Self::changed), it avoids one turn for a value that was seen already:
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(0);
    /// sender.send(1).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 1);
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.shared.read(&mut self.seen)
    }

    /// Returns whether the value has changed since it was seen last.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, receiver) = watch::channel(0);
    /// assert!(!receiver.has_changed().unwrap());
    /// sender.send(1).unwrap();
    /// assert!(receiver.has_changed().unwrap());
    /// drop(sender);
    /// assert!(receiver.has_changed().is_err());
    /// ```
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let state = self.shared.state();
        if state & CLOSED != 0 {
            return Err(RecvError(()));
        }
        Ok(version(state) != self.seen)
    }

    /// Returns whether all senders are dropped.
    pub fn is_closed(&self) -> bool {
        self.shared.state() & CLOSED != 0
    }

    /// Counts the value as not seen, so that [`changed`](Self::changed) returns at once.
    ///
    /// # Examples
    /// A loop that also handles the first value:
    /// ```
    /// use redd::sync::watch;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (_sender, mut receiver) = watch::channel("first");
    /// receiver.mark_changed();
    /// receiver.changed().await.unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), "first");
    /// # });
    /// ```
    pub fn mark_changed(&mut self) {
        self.seen = version(self.shared.state()).wrapping_sub(ONE);
    }

    /// Counts the value as seen, so that [`changed`](Self::changed) waits for the next one.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(0);
    /// sender.send(1).unwrap();
    /// receiver.mark_unchanged();
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn mark_unchanged(&mut self) {
        self.seen = version(self.shared.state());
    }

    /// Waits until the value has changed since it was seen last, and counts it as seen.
    ///
    /// # Cancel safety
    /// If the future is dropped, the value counts as not seen, and the next call returns at once.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are dropped and the last value was seen.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = watch::channel(0);
    /// redd::spawn(async move {
    ///     sender.send(1).unwrap();
    /// });
    /// assert!(receiver.changed().await.is_ok());
    /// assert_eq!(*receiver.borrow(), 1);
    /// assert!(receiver.changed().await.is_err(), "the sender is dropped");
    /// # });
    /// ```
    #[track_caller]
    pub fn changed(&mut self) -> impl Future<Output = Result<(), RecvError>> {
        let location = Some(Location::caller());
        cooperative(async move {
            match self.shared.changed(self.seen, location).await {
                Resolution::Changed(version) => {
                    self.seen = version;
                    Ok(())
                }
                Resolution::Closed => Err(RecvError(())),
            }
        })
    }

    /// Waits for a value for which `condition` holds. Returns it locked for reading, and counts it as seen.
    ///
    /// - `condition` is called for the present value first, even if that was seen before.
    ///
    /// # Cancel safety
    /// If the future is dropped, the values for which `condition` was called count as seen.
    ///
    /// # Panics
    /// If `condition` panics.
    ///
    /// # Errors
    /// [`RecvError`] if all senders are dropped and `condition` does not hold for the last value.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (progress, mut receiver) = watch::channel(0);
    /// redd::spawn(async move {
    ///     for percent in (0..=100).step_by(25) {
    ///         progress.send(percent).unwrap();
    ///         redd::task::yield_now().await;
    ///     }
    /// });
    /// let half = *receiver.wait_for(|percent| *percent >= 50).await.unwrap();
    /// assert_eq!(half, 50);
    /// # });
    /// ```
    #[track_caller]
    pub fn wait_for(
        &mut self,
        condition: impl FnMut(&T) -> bool,
    ) -> impl Future<Output = Result<Ref<'_, T>, RecvError>> {
        let location = Some(Location::caller());
        cooperative(self.wait_for_at(condition, location))
    }

    async fn wait_for_at(
        &mut self,
        mut condition: impl FnMut(&T) -> bool,
        location: CallSite,
    ) -> Result<Ref<'_, T>, RecvError> {
        let Self { shared, seen } = self;
        loop {
            {
                let value = shared.read(seen);
                if condition(&value) {
                    return Ok(value);
                }
            }
            match shared.changed(*seen, location).await {
                // Counted as seen when it is read, above.
                Resolution::Changed(_) => {}
                Resolution::Closed => return Err(RecvError(())),
            }
        }
    }

    /// Returns whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(&self.shared, self.seen)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        // AcqRel: the last receiver sees what all others did. Pairs with itself and with Acquire in
        // `Sender::receiver_count`.
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.on_last_receiver.lock().notify_all();
        }
    }
}

/// The value of a watch channel, locked for reading. Made by [`Receiver::borrow`].
///
/// - **Senders block their thread while it lives.** A thread that holds two of them may wait for itself, if a sender
///   comes in between.
pub struct Ref<'a, T> {
    value: RwLockReadGuard<'a, T>,
    has_changed: bool,
}

debug_struct!([T: Debug] Ref<'_, T> as "Ref", self => { value: *self.value, has_changed: self.has_changed });

impl<T> Ref<'_, T> {
    /// Returns whether the receiver had not seen this value before. Always false for a sender.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::watch;
    ///
    /// let (sender, mut receiver) = watch::channel(0);
    /// sender.send(1).unwrap();
    /// assert!(receiver.borrow_and_update().has_changed());
    /// assert!(!receiver.borrow_and_update().has_changed());
    /// ```
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

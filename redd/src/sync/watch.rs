//! A channel that holds one value, the latest: receivers see that it has changed, not how often.
//!
//! One word holds the version and two bits, so that one step of a sender counts the version up and learns whether
//! somebody waits.
//!
//! # Invariants
//! - `version-under-lock`: the version changes only while the value is locked for writing. So who has seen a version and
//!   then locks the value for reading finds the value of that version or a later one.
//! - `waiters-bit`: WAITERS is set under the list's lock before a receiver links itself, and cleared there before all are
//!   called. The step that sets it also reads the version: either it is the new one, or the sender's step sees the bit.
//! - `no-poison`: a panic of a closure that changes the value lets the lock go and leaves the version as it was.

use std::future::Future;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use self::error::{RecvError, SendError};
use super::wait_list::{CallSite, WaitList};
use super::wait_until::wait_until;
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::has_mistake;
use crate::primitives::{Arc, RwLock, RwLockReadGuard};
use crate::task::coop::cooperative;

/// All senders are gone.
const CLOSED: usize = 1;
/// A receiver may be in the list.
const WAITERS: usize = 2;
/// One version. Versions wrap; that a receiver misses exactly all of them is not to be feared.
const ONE: usize = 4;

/// Makes a channel that holds `init`; the receiver counts it as seen.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = redd::sync::watch::channel("starting");
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

/// What a receiver that has seen a version finds.
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

    /// The value, which counts as seen.
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

    /// Waits for a version that is not `seen`. Takes part in no budget: the callers do.
    async fn changed(&self, seen: usize, location: CallSite) -> Resolution {
        wait_until(
            &self.on_change,
            WaitKind::Watch,
            location,
            || classify(self.state(), seen),
            // `waiters-bit`. Acquire: as in `WatchState::state`.
            |_| {
                let state = self.state.fetch_or(WAITERS, Ordering::Acquire);
                classify(state, seen).filter(|_| !has_mistake("a receiver that does not look again"))
            },
        )
        .await
    }
}

/// Changes the value; clone it for more senders.
///
/// - When all senders are dropped, receivers get the last value if they have not seen it, then an error.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<WatchState<T>>,
}

impl<T> Sender<T> {
    /// A sender without receivers, for a channel that holds `init`.
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

    /// Replaces the value if there is a receiver, and wakes all that wait.
    ///
    /// # Errors
    /// Gives the value back if there is no receiver; [`send_replace`](Self::send_replace) keeps it all the same.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// Changes the value in place, and wakes all receivers that wait.
    ///
    /// - A receiver that holds a [`Ref`] makes it block the thread.
    ///
    /// # Panics
    /// If `modify` panics; the value stays as `modify` left it, and receivers are not told.
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Changes the value in place; receivers are told only if `modify` answers that it changed. Returns its answer.
    ///
    /// # Panics
    /// As [`send_modify`](Self::send_modify).
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

    /// Replaces the value, also if there is no receiver, and returns the old one.
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// The value, locked for reading.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref { value: self.shared.value.read(), has_changed: false }
    }

    /// Whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
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

    /// A receiver that counts the value as it is now as seen.
    pub fn subscribe(&self) -> Receiver<T> {
        let seen = version(self.shared.state());
        Receiver::new(&self.shared, seen)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        // Acquire: a count of zero is seen after what the last receiver did. Pairs with AcqRel in `Receiver::drop`.
        self.shared.receivers.load(Ordering::Acquire)
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.senders.load(Ordering::Relaxed)
    }

    /// Whether both send to the same channel.
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
        // AcqRel: the last sender comes after what all others did. Pairs with itself.
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            // Release: the end is seen after what the senders did. Pairs with Acquire in `WatchState::state`.
            let state = self.shared.state.fetch_or(CLOSED, Ordering::Release);
            if state & WAITERS != 0 {
                self.shared.notify_receivers();
            }
        }
    }
}

/// Sees the latest value; clone it for more receivers.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<WatchState<T>>,
    /// The version seen last, as it stands in the state word.
    seen: usize,
}

impl<T> Receiver<T> {
    fn new(shared: &Arc<WatchState<T>>, seen: usize) -> Self {
        shared.receivers.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared), seen }
    }

    /// The value, locked for reading; it does not count as seen.
    ///
    /// - Senders block their thread as long as the [`Ref`] lives: copy what is needed and let it go, and do not hold it
    ///   across an await.
    pub fn borrow(&self) -> Ref<'_, T> {
        let value = self.shared.value.read();
        // `version-under-lock`: it cannot change meanwhile.
        let has_changed = version(self.shared.state()) != self.seen;
        Ref { value, has_changed }
    }

    /// The value, locked for reading; it counts as seen. As for the rest, see [`borrow`](Self::borrow).
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.shared.read(&mut self.seen)
    }

    /// Whether the value has changed since it was seen last.
    ///
    /// # Errors
    /// If all senders are dropped.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        let state = self.shared.state();
        if state & CLOSED != 0 {
            return Err(RecvError(()));
        }
        Ok(version(state) != self.seen)
    }

    /// Whether all senders are dropped.
    pub fn is_closed(&self) -> bool {
        self.shared.state() & CLOSED != 0
    }

    /// Counts the value as not seen, so that [`changed`](Self::changed) returns at once.
    pub fn mark_changed(&mut self) {
        self.seen = version(self.shared.state()).wrapping_sub(ONE);
    }

    /// Counts the value as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = version(self.shared.state());
    }

    /// Waits until the value has changed since it was seen last, and counts it as seen.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: a change that it has not returned for counts as not seen.
    ///
    /// # Errors
    /// If all senders are dropped and the last value was seen.
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

    /// Waits for a value that `condition` holds for, and returns it, locked for reading; it counts as seen.
    ///
    /// - The value that is there now is asked about first, whether it was seen or not.
    ///
    /// # Cancel safety
    /// If it is dropped, the values that were asked about count as seen.
    ///
    /// # Errors
    /// If all senders are dropped and `condition` does not hold for the last value.
    ///
    /// # Panics
    /// If `condition` panics.
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
                // Counted as seen when it is asked about, above.
                Resolution::Changed(_) => {}
                Resolution::Closed => return Err(RecvError(())),
            }
        }
    }

    /// Whether both receive from the same channel.
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
        // AcqRel: the last receiver comes after what all others did. Pairs with itself and with Acquire in
        // `Sender::receiver_count`.
        if self.shared.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.on_last_receiver.lock().notify_all();
        }
    }
}

/// The value, locked for reading.
///
/// - Senders block their thread as long as it lives, and a thread that holds two of them may wait for itself if a
///   sender comes in between.
#[derive(Debug)]
pub struct Ref<'a, T> {
    value: RwLockReadGuard<'a, T>,
    has_changed: bool,
}

impl<T> Ref<'_, T> {
    /// Whether the receiver had not seen this value before. For a sender it is never so.
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

pub mod error {
    //! What sending to and receiving from a watch channel can fail with.

    use std::fmt;

    /// There is no receiver; the value comes back.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct SendError<T>(pub T);

    impl<T> fmt::Debug for SendError<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("SendError").finish_non_exhaustive()
        }
    }

    error_texts! {
        [T] SendError<T>,
        _ => "the watch channel has no receiver",
    }

    /// All senders are dropped.
    #[derive(Clone, Debug)]
    pub struct RecvError(pub(super) ());

    error_texts! {
        [] RecvError,
        _ => "the watch channel has no sender any more",
    }
}

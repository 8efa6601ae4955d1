//! Wakes tasks without handing over a value: [`Notify`].
//!
//! Called by user code.
//!
//! ```text
//!             notified: takes it                      the last waiter leaves
//!   NOTIFIED ────────────────────▶ EMPTY ◀──────────────────────────────── WAITING
//!            ◀────────────────────       ────────────────────────────────▶
//!             notify_one, notify_last                 a waiter enqueues
//! ```
//! The bits above the state count the calls of `notify_waiters`.
//!
//! # Invariants
//! - `waiting-bit`: under the lock, the state is `WAITING` exactly if the list is not empty. While it is `WAITING`,
//!   only the holder of the lock changes the word.
//! - `always-a-write`: every notification writes the word, also when that changes nothing. So of a notification and a
//!   waiter that enqueues, one sees the other.
//! - `received-or-forwarded`: a notification of one waiter is received by it or, if it is dropped first, goes to the
//!   next.

#![expect(unsafe_code, reason = "links the waiter that the future pins")]

use std::future::Future;
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::wait_list::{CallSite, Guard, Notification, WaitList, WaitStage, Waiter};
use crate::collections::wake_list::wake_guarded;
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::const_fn;
use crate::task::coop::{has_budget_remaining, poll_proceed, spend_on};

/// No notification is stored and no task waits.
const EMPTY: usize = 0;
/// At least one task waits.
const WAITING: usize = 1;
/// One notification is stored for the next waiter.
const NOTIFIED: usize = 2;
/// The bits of the state.
const STATE: usize = 0b11;
/// One call of `notify_waiters`.
const CALL: usize = 0b100;

/// Wakes one task, or all waiting tasks, without handing over a value.
///
/// - If no task waits, [`notify_one`](Self::notify_one) stores one permit (never more). The next
///   [`notified`](Self::notified) takes it at once.
/// - [`notify_waiters`](Self::notify_waiters) stores nothing. It reaches every [`Notified`] that exists when it is
///   called, whether or not that future was polled yet.
/// - Waiters are notified in the order in which they were first polled (or enabled).
///
/// # Examples
/// A queue of one's own, with one consumer:
/// ```
/// use redd::sync::Notify;
/// use std::sync::{Arc, Mutex};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let queue = Arc::new((Mutex::new(Vec::new()), Notify::new()));
/// let producer = queue.clone();
/// redd::spawn(async move {
///     producer.0.lock().unwrap().push("item");
///     producer.1.notify_one();
/// });
/// let item = loop {
///     if let Some(item) = queue.0.lock().unwrap().pop() {
///         break item;
///     }
///     queue.1.notified().await; // a push since the check has stored a permit
/// };
/// assert_eq!(item, "item");
/// # });
/// ```
pub struct Notify {
    word: AtomicUsize,
    waiters: WaitList,
}

debug_struct!([] Notify as "Notify", self => {
    // Relaxed: for people, and out of date at once.
    has_permit: (self.word.load(Ordering::Relaxed) & STATE == NOTIFIED),
    has_waiters: (self.word.load(Ordering::Relaxed) & STATE == WAITING),
});

impl Notify {
    const_fn! {
        /// Makes a `Notify` without a permit.
        pub const fn new() -> Self {
            Self {
                word: AtomicUsize::new(EMPTY),
                waiters: WaitList::new(()),
            }
        }

        /// Makes a `Notify` without a permit, for a `static`.
        ///
        /// # Examples
        /// ```
        /// use redd::sync::Notify;
        ///
        /// static READY: Notify = Notify::const_new();
        ///
        /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        /// READY.notify_one();
        /// READY.notified().await; // takes the permit
        /// assert!(!std::pin::pin!(READY.notified()).enable(), "there is no other");
        /// # });
        /// ```
        pub const fn const_new() -> Self {
            Self::new()
        }
    }

    /// Waits for a notification.
    ///
    /// - The future receives every `notify_waiters` that is called after this, even before its first poll.
    /// - It receives a `notify_one` once it was polled or [enabled](Notified::enable).
    /// - A stored permit makes it ready at its first poll, and is used up.
    ///
    /// # Cancel safety
    /// If the future is dropped, its place in the queue is lost. A notification that had reached only it goes to the
    /// next waiter.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Notify;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let ready = Arc::new(Notify::new());
    /// let waiter = ready.clone();
    /// let task = redd::spawn(async move {
    ///     waiter.notified().await;
    ///     "notified"
    /// });
    /// ready.notify_one();
    /// assert_eq!(task.await.unwrap(), "notified");
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn notified(&self) -> Notified<'_> {
        Notified { listener: Listener::new(self, Some(Location::caller())) }
    }

    /// Like [`notified`](Self::notified), with a future that owns a reference to the `Notify`.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Notify;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let stop = Arc::new(Notify::new());
    /// let task = redd::spawn(stop.clone().notified_owned());
    /// stop.notify_waiters(); // reaches the future, which was not polled yet
    /// assert!(task.await.is_ok());
    /// # });
    /// ```
    #[inline]
    #[track_caller]
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        OwnedNotified { listener: Listener::new(self, Some(Location::caller())) }
    }

    /// Notifies the task that has waited longest. If no task waits, stores a permit for the next one.
    ///
    /// - Everything before this call is visible to the task that it notifies.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Notify;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let notify = Notify::new();
    /// notify.notify_one();
    /// notify.notify_one(); // there is one permit at most
    /// notify.notified().await;
    /// let second = std::pin::pin!(notify.notified()).enable();
    /// assert!(!second);
    /// # });
    /// ```
    pub fn notify_one(&self) {
        self.notify(Notification::First);
    }

    /// Notifies the task that began to wait last. If no task waits, stores a permit for the next one.
    ///
    /// - The memory that the last waiter uses is likely still in the CPU's cache. Under steady traffic, the first
    ///   waiter may wait forever.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Notify;
    /// use std::pin::pin;
    ///
    /// let notify = Notify::new();
    /// let (mut first, mut last) = (pin!(notify.notified()), pin!(notify.notified()));
    /// first.as_mut().enable();
    /// last.as_mut().enable();
    /// notify.notify_last();
    /// assert_eq!((first.enable(), last.enable()), (false, true));
    /// ```
    pub fn notify_last(&self) {
        self.notify(Notification::Last);
    }

    /// Notifies all present waiters, including futures that were made and not yet polled. Stores no permit.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Notify;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let notify = Notify::new();
    /// let (one, two) = (notify.notified(), notify.notified());
    /// notify.notify_waiters();
    /// redd::join!(one, two);
    /// let later = std::pin::pin!(notify.notified()).enable();
    /// assert!(!later, "it came after the call");
    /// # });
    /// ```
    pub fn notify_waiters(&self) {
        if self.try_count_notify_waiters() {
            return;
        }
        let guard = self.waiters.lock();
        if self.try_count_notify_waiters() {
            return;
        }
        // `waiting-bit`: no other thread changes the word now. Release: what happened before the call is visible to a
        // listener that sees the count. Pairs with Acquire in `Notify::try_receive`.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            Some((word & !STATE).wrapping_add(CALL) | EMPTY)
        });
        guard.notify_all();
    }

    fn notify(&self, notification: Notification) {
        if !self.try_store() {
            self.notify_locked(self.waiters.lock(), notification);
        }
    }

    /// Stores a permit, if no task waits.
    fn try_store(&self) -> bool {
        self.change_unless_waiting(|word| (word & !STATE) | NOTIFIED)
    }

    /// Counts a call of `notify_waiters`, if no task waits.
    fn try_count_notify_waiters(&self) -> bool {
        self.change_unless_waiting(|word| word.wrapping_add(CALL))
    }

    /// Applies `change` to the word, if no task waits. Returns whether it did.
    #[inline]
    fn change_unless_waiting(&self, change: impl Fn(usize) -> usize) -> bool {
        let step = |word| (word & STATE != WAITING).then(|| change(word));
        // `always-a-write`. Release: what happened before is visible to the notified task. Pairs with Acquire in
        // `Notify::try_receive`.
        self.word.fetch_update(Ordering::Release, Ordering::Relaxed, step).is_ok()
    }

    fn notify_locked(&self, mut guard: Guard<'_>, notification: Notification) {
        if self.try_store() {
            return;
        }
        // `waiting-bit`: the state is `WAITING`, as the store failed. So there is a waiter.
        let waker = guard.notify_one(notification).expect("`waiting-bit`");
        if guard.is_empty() {
            self.clear_waiting();
        }
        drop(guard);
        wake_guarded(waker);
    }

    /// Restores `waiting-bit` after a waiter has left the list.
    fn clear_waiting_if_empty(&self, guard: &Guard<'_>) {
        if guard.is_empty() && self.word.load(Ordering::Relaxed) & STATE == WAITING {
            self.clear_waiting();
        }
    }

    /// The state becomes `EMPTY`. Called by the holder of the lock, while the state is `WAITING` and the list empty.
    fn clear_waiting(&self) {
        let word = self.word.load(Ordering::Relaxed);
        // A plain store: `waiting-bit`, no other thread changes the word. Release: the calls that it counts happened before,
        // through the lock or the thread that set `WAITING`. Pairs with Acquire in `Notify::try_receive` and `Listener::new`.
        self.word.store(word & !STATE, Ordering::Release);
    }

    /// Returns whether a listener that has seen `calls` calls has been notified. Takes the permit if it was that.
    ///
    /// With `guard` (the lock is held) and no notification, the state is `WAITING` afterwards.
    fn try_receive(&self, calls: usize, guard: Option<&Guard<'_>>) -> bool {
        // Acquire: what happened before the notification is visible. Pairs with Release in `Notify::notify_waiters`
        // and `Notify::change_unless_waiting`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word / CALL != calls {
                return true;
            }
            let next = match (word & STATE, guard) {
                (NOTIFIED, _) => word & !STATE,
                (EMPTY, Some(_)) => word | WAITING,
                _ => return false,
            };
            // Acquire: as above. Also before the listener enqueues, so that of a notification and the listener one sees
            // the other (`always-a-write`).
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return word & STATE == NOTIFIED,
                Err(current) => word = current,
            }
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self::new()
    }
}

pin_project! {
    /// What [`Notified`] and [`OwnedNotified`] have in common. `N` is a reference or an `Arc`.
    struct Listener<N>
    where
        N: Deref<Target = Notify>,
    {
        notify: N,
        // Calls of `notify_waiters` before this listener was made.
        calls: usize,
        // It was notified, and its owner knows.
        is_received: bool,
        #[pin]
        waiter: Waiter,
    }

    impl<N> PinnedDrop for Listener<N>
    where
        N: Deref<Target = Notify>,
    {
        fn drop(this: Pin<&mut Self>) {
            if this.waiter.stage() != WaitStage::Idle {
                this.leave();
            }
        }
    }
}

impl<N: Deref<Target = Notify>> Listener<N> {
    /// Whether it has been notified, for people.
    fn is_notified(&self) -> bool {
        // Relaxed: out of date at once.
        let has_call = self.notify.word.load(Ordering::Relaxed) / CALL != self.calls;
        self.is_received || has_call || matches!(self.waiter.stage(), WaitStage::Notified(_))
    }
}

impl<N: Deref<Target = Notify>> Listener<N> {
    fn new(notify: N, location: CallSite) -> Self {
        // Acquire: if a call is counted here already, the caller sees what happened before it, and need not wait for
        // it. Pairs with Release in `Notify::notify_waiters`.
        let calls = notify.word.load(Ordering::Acquire) / CALL;
        Self { notify, calls, is_received: false, waiter: Waiter::new(WaitKind::Notify, location) }
    }

    /// Returns whether it is notified. If not, it is in the list, and `cx`, if given, will be woken.
    #[inline]
    fn poll_notified(self: Pin<&mut Self>, cx: Option<&Context<'_>>) -> bool {
        let this = self.project();
        if *this.is_received {
            return true;
        }
        let notify: &Notify = this.notify;
        let waiter = this.waiter.as_ref();
        *this.is_received = match (waiter.stage(), cx) {
            (WaitStage::Idle, _) if notify.try_receive(*this.calls, None) => true,
            // SAFETY: `waiter` is pinned; this listener borrows the notify or owns a reference to it; and `leave`,
            // called in drop, removes the waiter.
            (WaitStage::Idle, _) => unsafe { enqueue(notify, waiter, *this.calls, cx) },
            (WaitStage::Linked, Some(cx)) => notify.waiters.update_waker(waiter, cx) != WaitStage::Linked,
            (WaitStage::Linked, None) => notify.waiters.lock().stage(waiter) != WaitStage::Linked,
            (WaitStage::Notified(_), _) => true,
        };
        if *this.is_received {
            // A waiter that `notify_waiters` has not reached yet stays linked; `leave` removes it.
            waiter.acknowledge();
        }
        *this.is_received
    }

    /// Leaves the list. A notification that was not received is forwarded.
    #[cold]
    fn leave(self: Pin<&mut Self>) {
        let this = self.project();
        let notify: &Notify = this.notify;
        let mut guard = notify.waiters.lock();
        let (stage, unused) = guard.remove(this.waiter.as_ref());
        match stage {
            // `received-or-forwarded`
            WaitStage::Notified(unused @ (Notification::First | Notification::Last)) if !*this.is_received => {
                notify.notify_locked(guard, unused);
            }
            WaitStage::Idle | WaitStage::Linked | WaitStage::Notified(_) => {
                notify.clear_waiting_if_empty(&guard);
                drop(guard);
            }
        }
        drop(unused);
    }

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self;
        if !has_budget_remaining() {
            return this.poll_without_budget(cx);
        }
        if this.as_mut().poll_notified(Some(cx)) {
            spend_on(|| true);
            return Poll::Ready(());
        }
        this.waiter.record();
        Poll::Pending
    }

    #[cold]
    fn poll_without_budget(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let unit = ready!(poll_proceed(cx));
        if self.as_mut().poll_notified(Some(cx)) {
            unit.made_progress();
            return Poll::Ready(());
        }
        self.waiter.record();
        Poll::Pending
    }
}

/// Enqueues the waiter, unless a notification was first: then it returns true.
///
/// # Safety
/// The safety contract of [`Guard::push_back`].
unsafe fn enqueue(notify: &Notify, waiter: Pin<&Waiter>, calls: usize, cx: Option<&Context<'_>>) -> bool {
    waiter.begin();
    let waker = cx.map(|cx| cx.waker().clone());
    let mut guard = notify.waiters.lock();
    if notify.try_receive(calls, Some(&guard)) {
        drop(guard);
        return true;
    }
    // SAFETY: by the safety contract. `waiting-bit`: `try_receive` has set it.
    unsafe { guard.push_back(waiter, waker, 0) };
    false
}

pin_project! {
    /// Completes when it is notified. Made by [`Notify::notified`].
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Notified<'a> {
        #[pin]
        listener: Listener<&'a Notify>,
    }
}

debug_struct!([] Notified<'_> as "Notified", self => { notify: *self.listener.notify, is_notified: self.listener.is_notified() });

debug_struct!([] OwnedNotified as "OwnedNotified", self => {
    notify: *self.listener.notify,
    is_notified: self.listener.is_notified(),
});

impl Notified<'_> {
    /// Enqueues the future without waiting, and returns whether it is notified already.
    ///
    /// - From now on a `notify_one` may choose it, although it was not polled.
    ///
    /// # Examples
    /// Enable, check the condition, then wait: so no notification between the check and the wait is missed.
    /// ```
    /// use redd::sync::Notify;
    /// use std::pin::pin;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let shared = Arc::new((AtomicBool::new(false), Notify::new()));
    /// let other = shared.clone();
    /// redd::spawn(async move {
    ///     other.0.store(true, Ordering::Release);
    ///     other.1.notify_one();
    /// });
    /// let (is_done, notify) = &*shared;
    /// let mut notified = pin!(notify.notified());
    /// loop {
    ///     notified.as_mut().enable();
    ///     if is_done.load(Ordering::Acquire) {
    ///         break;
    ///     }
    ///     notified.as_mut().await;
    ///     notified.set(notify.notified());
    /// }
    /// assert!(is_done.load(Ordering::Acquire));
    /// # });
    /// ```
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().listener.poll_notified(None)
    }
}

impl Future for Notified<'_> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().listener.poll(cx)
    }
}

pin_project! {
    /// Completes when it is notified. Made by [`Notify::notified_owned`].
    ///
    /// # Examples
    /// ```
    /// use redd::sync::Notify;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let notify = Arc::new(Notify::new());
    /// let mut notified = Box::pin(notify.clone().notified_owned());
    /// assert!(!notified.as_mut().enable(), "not notified yet");
    /// notify.notify_waiters(); // Reaches the future although it was not polled.
    /// redd::spawn(notified).await.unwrap();
    /// assert_eq!(Arc::strong_count(&notify), 1);
    /// # });
    /// ```
    #[must_use = "a future does nothing until it is awaited"]
    pub struct OwnedNotified {
        #[pin]
        listener: Listener<Arc<Notify>>,
    }
}

impl OwnedNotified {
    /// Enqueues the future without waiting, and returns whether it is notified already.
    ///
    /// - From now on a `notify_one` may choose it, although it was not polled.
    ///
    /// - See [`Notified::enable`] for its use.
    pub fn enable(self: Pin<&mut Self>) -> bool {
        self.project().listener.poll_notified(None)
    }
}

impl Future for OwnedNotified {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().listener.poll(cx)
    }
}

//! Tells tasks that something happened, without saying what: [`Notify`].
//!
//! Called by programs, and by other primitives that need "wake all".
//!
//! ```text
//!             notified: takes it                      the last waiter goes
//!   NOTIFIED ────────────────────▶ EMPTY ◀──────────────────────────────── WAITING
//!            ◀────────────────────       ────────────────────────────────▶
//!             notify_one, notify_last                 a waiter lines up
//! ```
//! Above the state, the word counts the calls of `notify_waiters`.
//!
//! # Invariants
//! - `waiting-bit`: under the lock, the state is `WAITING` exactly if the list is not empty, and while it is, only the
//!   holder of the lock changes the word.
//! - `always-a-write`: every notification writes the word, also when that changes nothing. So of a notification and a
//!   lining-up, one sees the other.
//! - `received-or-forwarded`: a call to one waiter is heard by it or, when it is dropped first, goes to the next.

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
use crate::primitives::{const_fn, has_mistake};
use crate::task::coop::{has_budget_remaining, poll_proceed, spend_on};

/// No notification is stored and nobody waits.
const EMPTY: usize = 0;
/// Somebody waits.
const WAITING: usize = 1;
/// One notification is stored for the next who asks.
const NOTIFIED: usize = 2;
/// The bits of the state.
const STATE: usize = 0b11;
/// One call of `notify_waiters`.
const CALL: usize = 0b100;

/// Wakes one task, or all that wait, without handing over a value.
///
/// - [`notify_one`](Self::notify_one) with nobody waiting stores one permit (never more), which the next
///   [`notified`](Self::notified) takes at once.
/// - [`notify_waiters`](Self::notify_waiters) stores nothing. It reaches every [`Notified`] that exists when it is
///   called, whether or not that future was polled yet.
/// - Waiters are called in the order in which they were first polled (or enabled).
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let notify = redd::sync::Notify::new();
/// let noticed = notify.notified();
/// notify.notify_waiters();
/// noticed.await; // it existed before the call
/// notify.notify_one();
/// notify.notified().await; // a permit was stored
/// # });
/// ```
#[derive(Debug)]
pub struct Notify {
    word: AtomicUsize,
    waiters: WaitList,
}

impl Notify {
    const_fn! {
        /// A `Notify` without a permit.
        pub const fn new() -> Self {
            Self {
                word: AtomicUsize::new(EMPTY),
                waiters: WaitList::new(()),
            }
        }

        /// The same as [`new`](Self::new), for statics.
        pub const fn const_new() -> Self {
            Self::new()
        }
    }

    /// A future that is ready when it is notified.
    ///
    /// - It hears every `notify_waiters` from now on, and a `notify_one` once it was polled or
    ///   [enabled](Notified::enable).
    /// - A permit stored by `notify_one` makes it ready at its first poll, and is used up.
    ///
    /// # Cancel safety
    /// Dropping it gives its place in the line away; a notification that had reached only it goes to the next.
    #[track_caller]
    pub fn notified(&self) -> Notified<'_> {
        Notified { listener: Listener::new(self, Some(Location::caller())) }
    }

    /// As [`notified`](Self::notified), with a future that shares the ownership.
    #[track_caller]
    pub fn notified_owned(self: Arc<Self>) -> OwnedNotified {
        OwnedNotified { listener: Listener::new(self, Some(Location::caller())) }
    }

    /// Notifies the task that has waited longest; with nobody waiting, stores a permit for the next.
    ///
    /// What happened before this call is visible to the task that it notifies.
    pub fn notify_one(&self) {
        self.notify(Notification::First);
    }

    /// Notifies the task that has waited shortest; with nobody waiting, stores a permit for the next.
    ///
    /// Useful where the last waiter's caches are warmest; with steady traffic the first may wait for ever.
    pub fn notify_last(&self) {
        self.notify(Notification::Last);
    }

    /// Notifies all that wait now, including futures that were made and not yet polled. Stores no permit.
    pub fn notify_waiters(&self) {
        if self.try_count_notify_waiters() {
            return;
        }
        let guard = self.waiters.lock();
        if self.try_count_notify_waiters() {
            return;
        }
        // `waiting-bit`: nobody but us changes the word now. Release: what happened before the call is visible to
        // who sees the count. Pairs with Acquire in `Notify::try_receive`.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            Some((word & !STATE).wrapping_add(CALL) | EMPTY)
        });
        guard.notify_all();
    }

    fn notify(&self, call: Notification) {
        if !self.try_store() {
            self.notify_locked(self.waiters.lock(), call);
        }
    }

    /// Stores a permit, if nobody waits.
    fn try_store(&self) -> bool {
        self.change_unless_waiting(|word| (word & !STATE) | NOTIFIED)
    }

    /// Counts a call of `notify_waiters`, if nobody waits.
    fn try_count_notify_waiters(&self) -> bool {
        self.change_unless_waiting(|word| word.wrapping_add(CALL))
    }

    /// Notifies without looking at the list.
    #[inline]
    fn change_unless_waiting(&self, change: impl Fn(usize) -> usize) -> bool {
        let step = |word| (word & STATE != WAITING).then(|| change(word));
        // `always-a-write`. Release: what happened before is visible to who is notified. Pairs with Acquire in
        // `Notify::try_receive`.
        self.word.fetch_update(Ordering::Release, Ordering::Relaxed, step).is_ok()
    }

    fn notify_locked(&self, mut guard: Guard<'_>, call: Notification) {
        if !has_mistake("a notification that does not look again") && self.try_store() {
            return;
        }
        let called = guard.notify_one(call);
        self.clear_waiting_if_empty(&guard);
        drop(guard);
        wake_guarded(called.flatten());
    }

    /// `waiting-bit`, after someone left the list.
    fn clear_waiting_if_empty(&self, guard: &Guard<'_>) {
        if !guard.is_empty() {
            return;
        }
        let word = self.word.load(Ordering::Relaxed);
        if word & STATE == WAITING {
            // A plain store: `waiting-bit`, nobody else changes the word. Release: the calls that it counts happened
            // before, through the lock or whoever set `WAITING`. Pairs with Acquire in `Notify::try_receive` and
            // `Listener::new`.
            self.word.store(word & !STATE, Ordering::Release);
        }
    }

    /// Whether a listener that has seen `calls` calls has been notified; takes the permit if that is why. With `guard`
    /// (the lock is held) and nothing heard, the state is `WAITING` afterwards.
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
            // Acquire: as above; also for lining up, so that of a notification and us one sees the other
            // (`always-a-write`).
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
    /// What [`Notified`] and [`OwnedNotified`] have in common; `N` is a reference or a count of the `Notify`.
    #[derive(Debug)]
    struct Listener<N>
    where
        N: Deref<Target = Notify>,
    {
        notify: N,
        // Calls of `notify_waiters` before this listener was made.
        calls: usize,
        // It was notified, and said so.
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
    fn new(notify: N, location: CallSite) -> Self {
        // Acquire: if a call is counted here already, the caller sees what happened before it, and need not wait for
        // it. Pairs with Release in `Notify::notify_waiters`.
        let calls = notify.word.load(Ordering::Acquire) / CALL;
        Self { notify, calls, is_received: false, waiter: Waiter::new(WaitKind::Notify, location) }
    }

    /// Whether it is notified; if not it is in line, and `cx`, if given, will be woken.
    fn poll_notified(self: Pin<&mut Self>, cx: Option<&Context<'_>>) -> bool {
        let this = self.project();
        if *this.is_received {
            return true;
        }
        let notify: &Notify = this.notify;
        let waiter = this.waiter.as_ref();
        *this.is_received = match (waiter.stage(), cx) {
            (WaitStage::Idle, _) if notify.try_receive(*this.calls, None) => true,
            // SAFETY: `waiter` is pinned; this listener borrows the notify or holds a count of it, and `leave`, called
            // in drop, removes the waiter.
            (WaitStage::Idle, _) => unsafe { enqueue(notify, waiter, *this.calls, cx) },
            (WaitStage::Linked, Some(cx)) => notify.waiters.update_waker(waiter, cx) != WaitStage::Linked,
            (WaitStage::Linked, None) => notify.waiters.lock().stage(waiter) != WaitStage::Linked,
            (WaitStage::Notified(_), _) => true,
        };
        if *this.is_received {
            // One that a `notify_waiters` is still on the way to stays linked; `leave` takes it out.
            waiter.acknowledge();
        }
        *this.is_received
    }

    /// Leaves the line, or the call unheard.
    #[cold]
    fn leave(self: Pin<&mut Self>) {
        let this = self.project();
        let notify: &Notify = this.notify;
        let mut guard = notify.waiters.lock();
        let (stage, unused) = guard.remove(this.waiter.as_ref());
        match stage {
            // `received-or-forwarded`
            WaitStage::Notified(call @ (Notification::First | Notification::Last)) if !*this.is_received => {
                notify.notify_locked(guard, call);
            }
            WaitStage::Idle | WaitStage::Linked | WaitStage::Notified(_) => {
                notify.clear_waiting_if_empty(&guard);
                drop(guard);
            }
        }
        drop(unused);
    }

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

/// Puts the waiter in line, unless a notification is there first. True: it was.
///
/// # Safety
/// The duty of [`Guard::push_back`].
unsafe fn enqueue(notify: &Notify, waiter: Pin<&Waiter>, calls: usize, cx: Option<&Context<'_>>) -> bool {
    let waker = cx.map(|cx| cx.waker().clone());
    let mut guard = notify.waiters.lock();
    if notify.try_receive(calls, Some(&guard)) {
        drop(guard);
        return true;
    }
    // SAFETY: by this function's duty. `waiting-bit`: `try_receive` has set it.
    unsafe { guard.push_back(waiter, waker, 0) };
    false
}

/// A future around a listener.
macro_rules! notified {
    ($Notified:ident $(<$lifetime:lifetime>)?, $Owner:ty, $made_by:literal) => {
        pin_project! {
            #[doc = concat!("Ready when notified. Made by [`Notify::", $made_by, "`].")]
            #[derive(Debug)]
            #[must_use = "a future does nothing until it is awaited"]
            pub struct $Notified $(<$lifetime>)? {
                #[pin]
                listener: Listener<$Owner>,
            }
        }

        impl $(<$lifetime>)? $Notified $(<$lifetime>)? {
            /// Gets in line without waiting: from now on a `notify_one` may choose this future. True if it is notified
            /// already.
            ///
            /// For the pattern "enable, look whether there is anything to do, await if not", which misses no notification.
            pub fn enable(self: Pin<&mut Self>) -> bool {
                self.project().listener.poll_notified(None)
            }
        }

        impl $(<$lifetime>)? Future for $Notified $(<$lifetime>)? {
            type Output = ();

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
                self.project().listener.poll(cx)
            }
        }
    };
}

notified!(Notified<'a>, &'a Notify, "notified");
notified!(OwnedNotified, Arc<Notify>, "notified_owned");

//! A channel for one value: [`channel`] makes a [`Sender`] and a [`Receiver`].
//!
//! Both handles point to one allocation. There is no reference count: the state word says which handle has gone, and
//! the second to go frees.
//!
//! ```text
//! sender     send, drop:      ── DONE ──> [take and wake the receiver's waker] ── TX_GONE    (one step if nobody waits)
//! receiver   poll:            ── RX_WAKER ──> (DONE seen) take the value ── RX_GONE          (no step if TX_GONE is seen)
//!            close, drop:     ── RX_CLOSED ──> [take and wake the sender's waker] ── RX_GONE
//! ```
//! DONE and RX_CLOSED exclude each other in one way only: DONE after RX_CLOSED carries no value.
//!
//! # Invariants
//! - `value-owner`: the sender owns the value until it sets DONE; then the receiver does.
//! - `rx-waker-owner`: the receiver writes its waker only while RX_WAKER and DONE are clear. The step that sets DONE
//!   with RX_WAKER set gives the waker to the sender, who moves it out by reading only; so the receiver may compare it
//!   whenever it has seen RX_WAKER.
//! - `tx-waker-owner`: the same for the sender's waker with TX_WAKER and RX_CLOSED; it is given away only if DONE is clear.
//! - `last-frees`: a handle sets its GONE bit as its last access; the one that finds the other's bit set frees.

#![expect(unsafe_code, reason = "one allocation with two owners and no reference count")]

use std::future::{Future, poll_fn};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};

use super::wait_list::CallSite;
use crate::collections::wake_list::wake_guarded;
use crate::observe::resources::{Operation, Resource, ResourceKind, Update};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::atomic::{AtomicU8, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::has_mistake;
use crate::task::coop::poll_proceed;

use self::error::{RecvError, TryRecvError};

/// The sender has finished: the value cell holds the outcome, `None` if it was dropped.
const DONE: u8 = 1;
/// The sender does not touch the allocation any more.
const TX_GONE: u8 = 2;
/// The receiver does not touch the allocation any more.
const RX_GONE: u8 = 4;
/// The receiver takes no value any more.
const RX_CLOSED: u8 = 8;
/// The receiver's waker is stored.
const RX_WAKER: u8 = 16;
/// The sender's waker is stored.
const TX_WAKER: u8 = 32;

/// Makes a channel that carries one value from a sender to a receiver.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, receiver) = redd::sync::oneshot::channel();
/// redd::spawn(async move { sender.send(6 * 7) });
/// assert_eq!(receiver.await, Ok(42));
/// # });
/// ```
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let resource = Resource::new(ResourceKind::Oneshot);
    resource.tell(|| [Update::TxDropped(false)]);
    resource.tell(|| [Update::RxDropped(false)]);
    resource.tell(|| [Update::ValueSent(false)]);
    resource.tell(|| [Update::ValueReceived(false)]);
    let operation = resource.operation("oneshot::Receiver");
    let shared = NonNull::from(Box::leak(Box::new(OneshotState {
        state: AtomicU8::new(0),
        value: UnsafeCell::new(None),
        rx_waker: UnsafeCell::new(MaybeUninit::uninit()),
        tx_waker: UnsafeCell::new(MaybeUninit::uninit()),
        resource,
    })));
    let receiver = Receiver { shared: Some(shared), location: Location::caller(), operation };
    (Sender { shared }, receiver)
}

struct OneshotState<T> {
    state: AtomicU8,
    value: UnsafeCell<Option<T>>,
    rx_waker: UnsafeCell<MaybeUninit<Waker>>,
    tx_waker: UnsafeCell<MaybeUninit<Waker>>,
    resource: Resource,
}

impl<T> OneshotState<T> {
    /// # Safety
    /// The caller is the value's owner (`value-owner`).
    unsafe fn take_value(&self) -> Option<T> {
        // SAFETY: this function's duty.
        self.value.with_mut(|value| unsafe { (*value).take() })
    }
}

/// Moves a waker out, by reading only.
///
/// # Safety
/// The caller owns the stored waker (`rx-waker-owner`, `tx-waker-owner`).
unsafe fn read_waker(cell: &UnsafeCell<MaybeUninit<Waker>>) -> Waker {
    // SAFETY: this function's duty.
    cell.with(|waker| unsafe { (*waker).assume_init_read() })
}

/// Leaves the waker of one handle, with its bit `own`, for the step of the other handle that sets `end`. True: that came
/// first.
///
/// # Safety
/// `cell` and `own` are the calling handle's, and `end` was clear in `seen`, which it saw last (`rx-waker-owner`,
/// `tx-waker-owner`).
unsafe fn register(
    state: &AtomicU8,
    seen: u8,
    cell: &UnsafeCell<MaybeUninit<Waker>>,
    own: u8,
    end: u8,
    waker: &Waker,
) -> bool {
    let mut old = None;
    if seen & own != 0 {
        // SAFETY: only this handle sets `own`, after writing. The waker may be moved out at the same time, by reading;
        // comparing looks at the two pointers inside and not at what they point to.
        if cell.with(|stored| unsafe { (*stored).assume_init_ref().will_wake(waker) }) {
            return false;
        }
        // Acquire: sees what came before `end`. Pairs with Release in `finish_tx`, `Receiver::close`, `finish_rx`.
        if state.fetch_and(!own, Ordering::Acquire) & end != 0 {
            return true; // The other handle has the waker.
        }
        // SAFETY: taken back before `end` was set.
        old = Some(unsafe { read_waker(cell) });
    }
    let new = waker.clone();
    // SAFETY: `own` is clear, only this handle sets it, and it was clear when `end` was set, if it was.
    cell.with_mut(|slot| unsafe { (*slot).write(new) });
    // Release: publishes the waker. Pairs with Acquire in `finish_tx`, `Receiver::close`, `finish_rx`. Acquire: as above.
    let seen = state.fetch_or(own, Ordering::AcqRel);
    drop(old);
    if seen & end != 0 && !has_mistake("a waker that is left without a second look") {
        // SAFETY: `end` was set while `own` was clear, so nobody else takes it.
        drop(unsafe { read_waker(cell) });
        return true;
    }
    false
}

/// # Safety
/// The caller saw both GONE bits (`last-frees`).
unsafe fn free<T>(shared: NonNull<OneshotState<T>>) {
    // SAFETY: made by `Box::leak` in `channel`, and this function's duty.
    drop(unsafe { Box::from_raw(shared.as_ptr()) });
}

/// Sends the value. Made by [`channel`].
///
/// - Sending does not wait.
/// - Dropping it without sending makes the receiver get an error.
pub struct Sender<T> {
    shared: NonNull<OneshotState<T>>,
}

// SAFETY: the handles coordinate through the state word; a value may cross to another thread, so `T: Send`.
unsafe impl<T: Send> Send for Sender<T> {}
// SAFETY: as above; nothing gives out a reference to the value.
unsafe impl<T: Send> Sync for Sender<T> {}

impl<T> Sender<T> {
    fn shared(&self) -> &OneshotState<T> {
        // SAFETY: `last-frees`: this handle has not set TX_GONE, so the allocation is there.
        unsafe { self.shared.as_ref() }
    }

    /// Hands `value` to the receiver, and wakes it.
    ///
    /// `Ok` does not mean that the receiver will look at it: it may be dropped with the value inside.
    ///
    /// # Errors
    /// Gives the value back if the receiver is closed or dropped.
    pub fn send(self, value: T) -> Result<(), T> {
        let resource = self.shared().resource.clone();
        let this = ManuallyDrop::new(self);
        // SAFETY: `value-owner`: DONE is clear as long as this handle exists.
        this.shared().value.with_mut(|slot| unsafe { *slot = Some(value) });
        // SAFETY: `this` is not used, nor dropped, afterwards.
        let refused = unsafe { finish_tx(this.shared) };
        resource.tell(|| [Update::ValueSent(refused.is_none()), Update::TxDropped(true)]);
        refused.map_or(Ok(()), Err)
    }

    /// Waits until the receiver is closed or dropped: nobody wants the value any more.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing.
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        let location = Location::caller();
        // `async`, because such futures are not `Unpin` in Tokio.
        async move { poll_fn(|cx| self.poll_closed_at(cx, Some(location))).await }
    }

    /// Whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        // Acquire: what the receiver did before closing. Pairs with Release in `Receiver::close`, `finish_rx`.
        self.shared().state.load(Ordering::Acquire) & RX_CLOSED != 0
    }

    /// Polls whether the receiver is closed or dropped; the last polled task is woken when it is.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_closed_at(cx, None)
    }

    fn poll_closed_at(&mut self, cx: &mut Context<'_>, location: CallSite) -> Poll<()> {
        let unit = ready!(poll_proceed(cx));
        if self.is_closed_or_register(cx.waker()) {
            unit.made_progress();
            return Poll::Ready(());
        }
        waiting::note(WaitKind::Oneshot, location);
        Poll::Pending
    }

    fn is_closed_or_register(&mut self, waker: &Waker) -> bool {
        let shared = self.shared();
        // Acquire: as in `is_closed`.
        let seen = shared.state.load(Ordering::Acquire);
        // SAFETY: `tx-waker-owner`: this handle is the sender's.
        seen & RX_CLOSED != 0 || unsafe { register(&shared.state, seen, &shared.tx_waker, TX_WAKER, RX_CLOSED, waker) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let resource = self.shared().resource.clone();
        // SAFETY: the handle is not used after its drop. The value cell is empty, so nothing comes back.
        drop(unsafe { finish_tx(self.shared) });
        resource.tell(|| [Update::TxDropped(true)]);
    }
}

/// The sender's end: whatever is in the value cell goes to the receiver, or comes back if that one is closed.
///
/// # Safety
/// The sender's handle is not used afterwards.
unsafe fn finish_tx<T>(handle: NonNull<OneshotState<T>>) -> Option<T> {
    // SAFETY: `last-frees`: TX_GONE is set below at the earliest.
    let shared = unsafe { handle.as_ref() };
    let mut seen = shared.state.load(Ordering::Relaxed);
    let own_waker = loop {
        if seen & RX_CLOSED != 0 {
            // SAFETY: `value-owner`: DONE is still clear.
            let value = unsafe { shared.take_value() };
            // AcqRel: the freeing handle sees the other's last access. Pairs with itself in `finish_rx`.
            if shared.state.fetch_or(DONE | TX_GONE, Ordering::AcqRel) & RX_GONE != 0 {
                // SAFETY: `last-frees`.
                unsafe { free(handle) };
            }
            return value;
        }
        let own_waker = (seen & TX_WAKER != 0).then(|| {
            // SAFETY: `tx-waker-owner`: it is ours if the exchange succeeds, and is forgotten if it does not.
            ManuallyDrop::new(unsafe { read_waker(&shared.tx_waker) })
        });
        // If nobody waits, this is also the last access.
        let gone = if seen & RX_WAKER == 0 { TX_GONE } else { 0 };
        let next = (seen & !TX_WAKER) | DONE | gone;
        // Release: publishes the value. Pairs with Acquire in `Receiver::poll_outcome`, `try_recv`, `is_empty`, `finish_rx`.
        // Acquire: sees the receiver's waker. Pairs with Release in `register`.
        match shared.state.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => break own_waker,
            Err(now) => seen = now,
        }
    };
    if seen & RX_WAKER != 0 {
        // SAFETY: `rx-waker-owner`: the exchange set DONE with RX_WAKER set.
        let rx_waker = unsafe { read_waker(&shared.rx_waker) };
        // AcqRel: the freeing handle sees the other's last access. Pairs with itself in `finish_rx`.
        if shared.state.fetch_or(TX_GONE, Ordering::AcqRel) & RX_GONE != 0 {
            // SAFETY: `last-frees`.
            unsafe { free(handle) };
        }
        wake_guarded(rx_waker);
    }
    drop(own_waker.map(ManuallyDrop::into_inner));
    None
}

debug_struct!([T] Sender<T> as "Sender", self => { is_closed: self.is_closed() });

/// Receives the value: await it. Made by [`channel`].
///
/// - It is a future; awaiting `&mut receiver` keeps it, for use in a `select!`.
/// - Dropping it, or [`close`](Self::close), tells the sender that nobody wants the value.
///
/// # Cancel safety
/// A value that was sent stays in the channel until it is taken out.
///
/// # Panics
/// When it is polled after it has completed.
pub struct Receiver<T> {
    /// `None` after the outcome was taken.
    shared: Option<NonNull<OneshotState<T>>>,
    location: &'static Location<'static>,
    operation: Operation,
}

// SAFETY: the handles coordinate through the state word; a value may cross to another thread, so `T: Send`.
unsafe impl<T: Send> Send for Receiver<T> {}
// SAFETY: as above; nothing gives out a reference to the value.
unsafe impl<T: Send> Sync for Receiver<T> {}

impl<T> Receiver<T> {
    fn shared(&self) -> Option<&OneshotState<T>> {
        // SAFETY: `last-frees`: this handle has not set RX_GONE, so the allocation is there.
        self.shared.map(|shared| unsafe { shared.as_ref() })
    }

    fn resource(&self) -> Resource {
        self.shared().map_or(Resource::UNSEEN, |shared| shared.resource.clone())
    }

    /// Refuses a value from now on; one that was sent before can still be received.
    pub fn close(&mut self) {
        let Some(shared) = self.shared() else { return };
        // Release: what was done before closing. Pairs with Acquire in `Sender::is_closed`.
        // Acquire: sees the sender's waker. Pairs with Release in `register`.
        let seen = shared.state.fetch_or(RX_CLOSED, Ordering::AcqRel);
        if seen & (RX_CLOSED | DONE) == 0 && seen & TX_WAKER != 0 {
            // SAFETY: `tx-waker-owner`: this step set RX_CLOSED with TX_WAKER set and DONE clear.
            wake_guarded(unsafe { read_waker(&shared.tx_waker) });
        }
    }

    /// Whether the outcome has been taken, so that polling again would panic.
    pub fn is_terminated(&self) -> bool {
        self.shared.is_none()
    }

    /// Whether no value can be taken right now.
    pub fn is_empty(&self) -> bool {
        let Some(shared) = self.shared() else {
            return true;
        };
        // Acquire: sees the value. Pairs with Release in `finish_tx`.
        if shared.state.load(Ordering::Acquire) & DONE == 0 {
            return true;
        }
        // SAFETY: `value-owner`: DONE was seen, and taking the value needs `&mut self`.
        shared.value.with(|value| unsafe { (*value).is_none() })
    }

    /// Takes the value if it is there.
    ///
    /// # Errors
    /// - `Empty`: it has not been sent yet.
    /// - `Closed`: it never will be, or it has been taken.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let Some(shared) = self.shared() else {
            return Err(TryRecvError::Closed);
        };
        // Acquire: sees the value. Pairs with Release in `finish_tx`.
        if shared.state.load(Ordering::Acquire) & (DONE | RX_CLOSED) == 0 {
            return Err(TryRecvError::Empty);
        }
        self.take_outcome().ok_or(TryRecvError::Closed)
    }

    /// Waits for the value on a thread outside of a runtime.
    ///
    /// # Errors
    /// If the sender was dropped without sending.
    ///
    /// # Panics
    /// When called inside an asynchronous context: await the receiver there.
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        super::blocking::block_thread_on("oneshot::Receiver::blocking_recv", self)
    }

    /// Lets go of the channel; a value that was sent comes out.
    fn take_outcome(&mut self) -> Option<T> {
        let resource = self.resource();
        let shared = self.shared.take()?;
        // SAFETY: the handle was taken out above, so this is its last use.
        let value = unsafe { finish_rx(shared) };
        resource.tell(|| [Update::ValueReceived(value.is_some())]);
        value
    }

    fn poll_outcome(&mut self, waker: &Waker) -> Poll<Option<T>> {
        let Some(shared) = self.shared() else {
            panic!(
                "a oneshot receiver was polled after it had completed (channel made at {}): \
                 ask `is_terminated` first, or disable its branch of the `select!`",
                self.location
            );
        };
        // Acquire: sees the value. Pairs with Release in `finish_tx`.
        let seen = shared.state.load(Ordering::Acquire);
        if seen & (DONE | RX_CLOSED) != 0 {
            return Poll::Ready(self.take_outcome());
        }
        // SAFETY: `rx-waker-owner`: this handle is the receiver's.
        if unsafe { register(&shared.state, seen, &shared.rx_waker, RX_WAKER, DONE, waker) } {
            return Poll::Ready(self.take_outcome());
        }
        Poll::Pending
    }
}

/// The receiver's end: a value that was sent comes out, and the sender is told that nobody waits.
///
/// # Safety
/// The receiver's handle is not used afterwards.
unsafe fn finish_rx<T>(handle: NonNull<OneshotState<T>>) -> Option<T> {
    // SAFETY: `last-frees`: RX_GONE is set below at the earliest.
    let shared = unsafe { handle.as_ref() };
    let mut value = None;
    // Acquire: sees the value. Pairs with Release in `finish_tx`.
    let mut seen = shared.state.load(Ordering::Acquire);
    let own_waker = loop {
        let mut own_waker = None;
        if seen & DONE != 0 {
            if value.is_none() {
                // SAFETY: `value-owner`: DONE was seen.
                value = unsafe { shared.take_value() };
            }
            if seen & TX_GONE != 0 {
                // SAFETY: `last-frees`: the sender has gone, and this is the receiver's last access.
                unsafe { free(handle) };
                return value;
            }
        } else {
            if seen & TX_WAKER != 0 && seen & RX_CLOSED == 0 {
                // The sender waits for this. Its waker must be taken while the allocation is surely there.
                // Ordering as in `Receiver::close`.
                seen = shared.state.fetch_or(RX_CLOSED, Ordering::AcqRel);
                if seen & DONE == 0 && seen & TX_WAKER != 0 {
                    // SAFETY: `tx-waker-owner`: this step set RX_CLOSED with TX_WAKER set and DONE clear.
                    wake_guarded(unsafe { read_waker(&shared.tx_waker) });
                }
                // Acquire: sees the value. Pairs with Release in `finish_tx`.
                seen = shared.state.load(Ordering::Acquire);
                continue;
            }
            own_waker = (seen & RX_WAKER != 0).then(|| {
                // SAFETY: `rx-waker-owner`: it is ours if the exchange succeeds, and is forgotten if it does not.
                ManuallyDrop::new(unsafe { read_waker(&shared.rx_waker) })
            });
        }
        let next = (seen & !RX_WAKER) | RX_CLOSED | RX_GONE;
        // Release: what was done before. Pairs with Acquire in `Sender::is_closed`; and the last access, pairs with
        // AcqRel in `finish_tx`. Acquire: sees the value. Pairs with Release in `finish_tx`.
        match shared.state.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => break own_waker,
            Err(now) => seen = now,
        }
    };
    drop(own_waker.map(ManuallyDrop::into_inner));
    value
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (operation, resource) = (self.operation.clone(), self.resource());
        operation.poll(&resource, "poll_recv", || {
            let unit = ready!(poll_proceed(cx));
            match self.poll_outcome(cx.waker()) {
                Poll::Ready(outcome) => {
                    unit.made_progress();
                    Poll::Ready(outcome.ok_or(RecvError(())))
                }
                Poll::Pending => {
                    waiting::note(WaitKind::Oneshot, Some(self.location));
                    Poll::Pending
                }
            }
        })
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let resource = self.resource();
        let Some(shared) = self.shared.take() else { return };
        // SAFETY: as in `take_outcome`.
        drop(unsafe { finish_rx(shared) });
        resource.tell(|| [Update::RxDropped(true)]);
    }
}

debug_struct!([T] Receiver<T> as "Receiver", self => {
    is_terminated: self.is_terminated(),
    is_empty: self.is_empty(),
});

pub mod error {
    //! What receiving from a oneshot channel can fail with.

    /// The sender was dropped without sending.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RecvError(pub(super) ());

    error_texts! {
        [] RecvError,
        _ => "the oneshot channel ended without a value: the sender was dropped or the receiver closed",
    }

    /// Why there is no value to take.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum TryRecvError {
        /// The value has not been sent yet.
        Empty,
        /// The value will never come, or has been taken.
        Closed,
    }

    error_texts! {
        [] TryRecvError,
        Self::Empty => "the oneshot channel has no value yet",
        Self::Closed => "the oneshot channel is closed: no value will come",
    }
}

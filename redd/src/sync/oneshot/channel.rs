//! The channel for one value: both handles and their state word.
//!
//! Long because the steps of the two handles pair with each other.
//!
//! Both handles point to one allocation. There is no reference count: the state word records which handle has gone, and
//! the second to go frees the allocation.
//! ```text
//! sender     send, drop:      ── DONE ──> [take and wake the receiver's waker] ── TX_GONE   (one step if no waker is stored)
//! receiver   poll:            ── RX_WAKER ──> (DONE seen) take the value ── RX_GONE         (no step if TX_GONE is seen)
//!            close, drop:     ── RX_CLOSED ──> [take and wake the sender's waker] ── RX_GONE
//! ```
//! DONE and RX_CLOSED exclude each other in one way only: DONE after RX_CLOSED carries no value.
//!
//! # Invariants
//! - `value-owner`: the sender owns the value until it sets DONE. From then on the receiver owns it.
//! - `rx-waker-owner`: the receiver writes its waker only while RX_WAKER and DONE are clear. The step that sets DONE
//!   with RX_WAKER set gives the waker to the sender, which moves it out by reading only. So the receiver may compare
//!   the waker whenever it has seen RX_WAKER.
//! - `tx-waker-owner`: the same for the sender's waker with TX_WAKER and RX_CLOSED. It is given away only if DONE is
//!   clear.
//! - `last-frees`: a handle sets its GONE bit as its last access. The handle that finds the other's bit set frees.

#![expect(unsafe_code, reason = "one allocation with two owners and no reference count")]

use std::future::{Future, poll_fn};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker, ready};

use crate::collections::wake_list::wake_guarded;
use crate::observe::resources::{Operation, Resource, ResourceKind, ResourceState};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::atomic::{AtomicU8, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::sync::wait_cell::WaitCell;
use crate::sync::wait_list::CallSite;
use crate::task::coop::{has_budget_remaining, poll_proceed, spend_on};

use super::error::{RecvError, TryRecvError};

/// The sender has finished. The value cell holds the outcome, `None` if the sender was dropped.
const DONE: u8 = 1;
/// The sender no longer accesses the allocation.
const TX_GONE: u8 = 2;
/// The receiver no longer accesses the allocation.
const RX_GONE: u8 = 4;
/// The receiver no longer accepts a value.
const RX_CLOSED: u8 = 8;
/// The receiver's waker is stored.
const RX_WAKER: u8 = 16;
/// The sender's waker is stored.
const TX_WAKER: u8 = 32;

/// Makes a channel that carries one value from a sender to a receiver.
///
/// # Examples
/// ```
/// use redd::sync::oneshot;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, receiver) = oneshot::channel();
/// redd::spawn(async move { sender.send(6 * 7) });
/// assert_eq!(receiver.await, Ok(42));
/// # });
/// ```
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let resource = Resource::new(ResourceKind::Oneshot);
    let operation = resource.operation("oneshot::Receiver");
    let shared = NonNull::from(Box::leak(Box::new(OneshotState {
        state: AtomicU8::new(0),
        value: UnsafeCell::new(None),
        rx_waker: UnsafeCell::new(MaybeUninit::uninit()),
        tx_waker: UnsafeCell::new(MaybeUninit::uninit()),
        resource,
    })));
    let wait = ManuallyDrop::new(WaitCell::new());
    let receiver = Receiver { shared: Some(shared), location: Location::caller(), operation, wait };
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
        // SAFETY: by the safety contract.
        self.value.with_mut(|value| unsafe { (*value).take() })
    }
}

/// Moves a waker out, by reading only.
///
/// # Safety
/// The caller owns the stored waker (`rx-waker-owner`, `tx-waker-owner`).
unsafe fn read_waker(cell: &UnsafeCell<MaybeUninit<Waker>>) -> Waker {
    // SAFETY: by the safety contract.
    cell.with(|waker| unsafe { (*waker).assume_init_read() })
}

/// Stores the waker of one handle, with its bit `own`, for the step of the other handle that sets `end`.
///
/// Returns true if that step came first.
///
/// # Safety
/// `cell` and `own` are the calling handle's, and `end` was clear in `seen`, which it saw last (`rx-waker-owner`,
/// `tx-waker-owner`).
#[inline]
unsafe fn register(
    state: &AtomicU8,
    seen: u8,
    cell: &UnsafeCell<MaybeUninit<Waker>>,
    own: u8,
    end: u8,
    waker: &Waker,
) -> bool {
    if seen & own == 0 {
        // SAFETY: by the safety contract; only this handle sets `own`.
        unsafe { register_first(state, cell, own, end, waker) }
    } else {
        // SAFETY: by the safety contract.
        unsafe { register_again(state, cell, own, end, waker) }
    }
}

/// [`register`], if a waker was stored before.
///
/// # Safety
/// The safety contract of [`register`], and `own` was set in `seen`.
unsafe fn register_again(
    state: &AtomicU8,
    cell: &UnsafeCell<MaybeUninit<Waker>>,
    own: u8,
    end: u8,
    waker: &Waker,
) -> bool {
    // SAFETY: only this handle sets `own`, after writing. The waker may be moved out at the same time, but by
    // reading only. Comparing looks at the two pointers inside, and not at what they point to.
    if cell.with(|stored| unsafe { (*stored).assume_init_ref().will_wake(waker) }) {
        return false;
    }
    // Acquire: sees what came before `end`. Pairs with Release in `finish_tx`, `Receiver::close`, `finish_rx`.
    if state.fetch_and(!own, Ordering::Acquire) & end != 0 {
        return true; // The other handle has the waker.
    }
    // SAFETY: taken back before `end` was set.
    let old = unsafe { read_waker(cell) };
    // SAFETY: `own` was cleared above.
    let has_ended = unsafe { register_first(state, cell, own, end, waker) };
    drop(old);
    has_ended
}

/// [`register`], if no waker is stored.
///
/// # Safety
/// The safety contract of [`register`], and `own` is clear.
#[inline]
unsafe fn register_first(
    state: &AtomicU8,
    cell: &UnsafeCell<MaybeUninit<Waker>>,
    own: u8,
    end: u8,
    waker: &Waker,
) -> bool {
    let new = waker.clone();
    // SAFETY: `own` is clear, only this handle sets it, and it was clear when `end` was set, if it was.
    cell.with_mut(|slot| unsafe { (*slot).write(new) });
    // Release: publishes the waker. Pairs with Acquire in `finish_tx`, `Receiver::close`, `finish_rx`. Acquire: sees what
    // came before `end`. Pairs with Release there. The addition sets the bit, which is clear, and costs less than a
    // `fetch_or` whose result is used.
    let seen = state.fetch_add(own, Ordering::AcqRel);
    if seen & end != 0 {
        // SAFETY: `end` was set while `own` was clear, so the other handle does not take the waker.
        drop(unsafe { read_waker(cell) });
        return true;
    }
    false
}

/// # Safety
/// The caller saw both GONE bits (`last-frees`).
unsafe fn free<T>(shared: NonNull<OneshotState<T>>) {
    // SAFETY: made by `Box::leak` in `channel`; freed once, by the safety contract.
    drop(unsafe { Box::from_raw(shared.as_ptr()) });
}

/// Sends the value. Made by [`channel`].
///
/// - Sending never waits, and can be done outside of a runtime.
/// - If it is dropped without sending, the receiver gets an error.
///
/// # Examples
/// ```
/// use redd::sync::oneshot;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, receiver) = oneshot::channel::<u32>();
/// redd::spawn(async move { drop(sender) });
/// assert!(receiver.await.is_err());
/// # });
/// ```
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

    /// Sends `value` and wakes the receiver.
    ///
    /// - `Ok` does not mean that the value will be received: the receiver may be dropped with the value inside.
    ///
    /// # Errors
    /// The value, if the receiver is closed or dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send("too late"), Err("too late"));
    /// ```
    pub fn send(self, value: T) -> Result<(), T> {
        let resource = self.shared().resource.clone();
        let this = ManuallyDrop::new(self);
        // SAFETY: `value-owner`: DONE is clear as long as this handle exists.
        this.shared().value.with_mut(|slot| unsafe { *slot = Some(value) });
        // SAFETY: `this` is not used, nor dropped, afterwards.
        let refused = unsafe { finish_tx(this.shared) };
        resource.record_state(|| [ResourceState::ValueSent(refused.is_none()), ResourceState::TxDropped(true)]);
        refused.map_or(Ok(()), Err)
    }

    /// Waits until the receiver is closed or dropped, so that the value is no longer wanted.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    /// A computation that stops when its result is no longer wanted:
    /// ```
    /// use redd::sync::oneshot;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut sender, receiver) = oneshot::channel::<u32>();
    /// let task = redd::spawn(async move {
    ///     redd::select! {
    ///         () = sender.closed() => "cancelled",
    ///         () = std::future::pending() => "finished", // the computation
    ///     }
    /// });
    /// drop(receiver);
    /// assert_eq!(task.await.unwrap(), "cancelled");
    /// # });
    /// ```
    #[track_caller]
    pub fn closed(&mut self) -> impl Future<Output = ()> {
        let location = Location::caller();
        // `async`, because such futures are not `Unpin` in Tokio.
        async move {
            let mut wait = WaitCell::new();
            let poll = |cx: &mut Context<'_>| {
                let polled = self.poll_closed_at(cx, Some(location));
                if polled.is_pending() {
                    wait.begin(WaitKind::Oneshot, Some(location));
                }
                polled
            };
            poll_fn(poll).await;
        }
    }

    /// Returns whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        // Acquire: what the receiver did before closing. Pairs with Release in `Receiver::close`, `finish_rx`.
        self.shared().state.load(Ordering::Acquire) & RX_CLOSED != 0
    }

    /// Polls whether the receiver is closed or dropped, like [`closed`](Self::closed).
    ///
    /// - Only the task that polled last is woken.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::oneshot;
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (mut sender, receiver) = oneshot::channel::<u32>();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(sender.poll_closed(&mut cx), Poll::Pending);
    /// drop(receiver);
    /// assert_eq!(sender.poll_closed(&mut cx), Poll::Ready(()));
    /// ```
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_closed_at(cx, None)
    }

    fn poll_closed_at(&mut self, cx: &mut Context<'_>, location: CallSite) -> Poll<()> {
        let unit = ready!(poll_proceed(cx));
        if self.is_closed_or_register(cx.waker()) {
            unit.made_progress();
            return Poll::Ready(());
        }
        waiting::record(WaitKind::Oneshot, location);
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
        resource.record_state(|| [ResourceState::TxDropped(true)]);
    }
}

/// Ends the sender's half: the content of the value cell goes to the receiver, or is returned if the receiver is closed.
///
/// # Safety
/// The caller does not use the sender's handle afterwards.
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
            // SAFETY: `tx-waker-owner`: it is this handle's if the exchange succeeds, and is forgotten if it fails.
            ManuallyDrop::new(unsafe { read_waker(&shared.tx_waker) })
        });
        // If no waker is stored, this is also the last access.
        let gone = if seen & RX_WAKER == 0 { TX_GONE } else { 0 };
        let next = (seen & !TX_WAKER) | DONE | gone;
        // Release: publishes the value. Pairs with Acquire in `Receiver::poll_outcome`, `try_recv`, `is_empty`,
        // `finish_rx`.
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
        // The addition sets the bit: only this handle does, and has not done it yet.
        if shared.state.fetch_add(TX_GONE, Ordering::AcqRel) & RX_GONE != 0 {
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
/// - Await `&mut receiver` to keep it, for example in a loop around `select!`.
/// - If it is dropped or [closed](Self::close), sending fails, and [`Sender::closed`] returns.
///
/// # Cancel safety
/// A value that was sent stays in the channel until it is taken out.
///
/// # Panics
/// If it is polled after it has completed: see [`is_terminated`](Self::is_terminated).
///
/// # Examples
/// Wait for the reply, and do other work meanwhile:
/// ```
/// use redd::sync::oneshot;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut receiver) = oneshot::channel();
/// let mut sender = Some(sender);
/// let mut steps = 0;
/// let reply = loop {
///     redd::select! {
///         biased;
///         reply = &mut receiver => break reply,
///         () = redd::task::yield_now() => steps += 1,
///     }
///     if steps == 3 {
///         sender.take().unwrap().send("reply").unwrap();
///     }
/// };
/// assert_eq!(reply, Ok("reply"));
/// # });
/// ```
pub struct Receiver<T> {
    /// `None` after the outcome was taken.
    shared: Option<NonNull<OneshotState<T>>>,
    location: &'static Location<'static>,
    operation: Operation,
    /// For dumps. It is cleared when `shared` is taken out, and needs no drop after that.
    wait: ManuallyDrop<WaitCell>,
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
        self.shared().map_or(Resource::NONE, |shared| shared.resource.clone())
    }

    /// Makes a later send fail. A value that was sent before can still be received.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::oneshot;
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send("late"), Err("late"));
    /// ```
    pub fn close(&mut self) {
        let Some(shared) = self.shared() else { return };
        // Release: publishes what was done before closing. Pairs with Acquire in `Sender::is_closed`.
        // Acquire: sees the sender's waker. Pairs with Release in `register`.
        let seen = shared.state.fetch_or(RX_CLOSED, Ordering::AcqRel);
        if seen & (RX_CLOSED | DONE) == 0 && seen & TX_WAKER != 0 {
            // SAFETY: `tx-waker-owner`: this step set RX_CLOSED with TX_WAKER set and DONE clear.
            wake_guarded(unsafe { read_waker(&shared.tx_waker) });
        }
    }

    /// Returns whether the outcome has been taken, so that polling again would panic.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::oneshot;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (sender, mut receiver) = oneshot::channel();
    /// sender.send(1).unwrap();
    /// assert!(!receiver.is_terminated());
    /// assert_eq!((&mut receiver).await, Ok(1));
    /// assert!(receiver.is_terminated());
    /// # });
    /// ```
    pub fn is_terminated(&self) -> bool {
        self.shared.is_none()
    }

    /// Returns whether no value can be taken now.
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
    /// - [`Empty`](TryRecvError::Empty): the value has not been sent yet.
    /// - [`Closed`](TryRecvError::Closed): it will never be sent, or it has been taken.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::oneshot::{self, error::TryRecvError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send("hello").unwrap();
    /// assert_eq!(receiver.try_recv(), Ok("hello"));
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let (Some(handle), Some(shared)) = (self.shared, self.shared()) else {
            return Err(TryRecvError::Closed);
        };
        // Acquire: sees the value. Pairs with Release in `finish_tx`.
        if shared.state.load(Ordering::Acquire) & (DONE | RX_CLOSED) == 0 {
            return Err(TryRecvError::Empty);
        }
        // SAFETY: it is this handle's allocation.
        unsafe { self.take_outcome(handle) }.ok_or(TryRecvError::Closed)
    }

    /// Blocks the thread until the value is there.
    ///
    /// # Panics
    /// On a thread that runs tasks: await the receiver there.
    ///
    /// # Errors
    /// [`RecvError`] if the sender was dropped without sending.
    ///
    /// # Examples
    /// ```
    /// use redd::sync::oneshot;
    ///
    /// let (sender, receiver) = oneshot::channel();
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// sender.send(7).unwrap();
    /// assert_eq!(thread.join().unwrap(), Ok(7));
    /// ```
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        crate::sync::blocking::block_thread_on("`oneshot::Receiver::blocking_recv`", self)
    }

    /// Releases the channel. Returns the value if one was sent.
    ///
    /// # Safety
    /// `handle` is the content of `shared`.
    unsafe fn take_outcome(&mut self, handle: NonNull<OneshotState<T>>) -> Option<T> {
        self.wait.clear();
        let resource = self.resource();
        self.shared = None;
        // SAFETY: the handle was taken out above, so this is its last use.
        let value = unsafe { finish_rx(handle) };
        resource.record_state(|| [ResourceState::ValueReceived(value.is_some())]);
        value
    }

    #[inline]
    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        if !has_budget_remaining() {
            return self.poll_without_budget(cx);
        }
        let polled = self.poll_outcome(cx.waker());
        if polled.is_ready() {
            spend_on(|| true);
        }
        polled.map(|outcome| outcome.ok_or(RecvError(())))
    }

    #[cold]
    fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, RecvError>> {
        let unit = ready!(poll_proceed(cx));
        let polled = self.poll_outcome(cx.waker());
        if polled.is_ready() {
            unit.made_progress();
        }
        polled.map(|outcome| outcome.ok_or(RecvError(())))
    }

    /// Polls for the outcome. If it is not there, it records the wait.
    #[inline]
    fn poll_outcome(&mut self, waker: &Waker) -> Poll<Option<T>> {
        let (Some(handle), Some(shared)) = (self.shared, self.shared()) else {
            panic!(
                "a oneshot receiver was polled after it had completed (channel made at {}): \
                 check `is_terminated` first, or disable its branch of the `select!`",
                self.location
            );
        };
        // Acquire: sees the value. Pairs with Release in `finish_tx`.
        let seen = shared.state.load(Ordering::Acquire);
        if seen & (DONE | RX_CLOSED) != 0
            // SAFETY: `rx-waker-owner`: this handle is the receiver's.
            || unsafe { register(&shared.state, seen, &shared.rx_waker, RX_WAKER, DONE, waker) }
        {
            // SAFETY: it is this handle's allocation.
            return Poll::Ready(unsafe { self.take_outcome(handle) });
        }
        waiting::record(WaitKind::Oneshot, Some(self.location));
        self.wait.begin(WaitKind::Oneshot, Some(self.location));
        Poll::Pending
    }
}

/// Ends the receiver's half: returns the value if one was sent, and wakes a sender that waits for the close.
///
/// # Safety
/// The caller does not use the receiver's handle afterwards.
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
                // The sender waits for this. Its waker must be taken before RX_GONE is set: then the allocation is
                // still there. Ordering as in `Receiver::close`.
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
                // SAFETY: `rx-waker-owner`: it is this handle's if the exchange succeeds, and is forgotten if it fails.
                ManuallyDrop::new(unsafe { read_waker(&shared.rx_waker) })
            });
        }
        let next = (seen & !RX_WAKER) | RX_CLOSED | RX_GONE;
        // Release: publishes what was done before. Pairs with Acquire in `Sender::is_closed`. It is also the last
        // access: pairs with AcqRel in `finish_tx`. Acquire: sees the value. Pairs with Release in `finish_tx`.
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
        let operation = self.operation.clone();
        operation.poll(|| self.poll_recv(cx))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let resource = self.resource();
        let Some(shared) = self.shared.take() else { return };
        self.wait.clear();
        // SAFETY: as in `take_outcome`.
        drop(unsafe { finish_rx(shared) });
        resource.record_state(|| [ResourceState::RxDropped(true)]);
    }
}

debug_struct!([T] Receiver<T> as "Receiver", self => {
    is_terminated: self.is_terminated(),
    is_empty: self.is_empty(),
});

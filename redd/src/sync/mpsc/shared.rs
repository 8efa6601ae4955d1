//! The state and the receiver that the bounded and the unbounded channel have in common.
//!
//! Called by `bounded`, `receiver` and `unbounded`, whose public types wrap [`Tx`](crate::sync::senders::Tx) and [`Rx`].
//!
//! # Invariants
//! - `one-receiver`: a channel has one `Rx`, which is not `Clone`. Its methods on `&mut self` and its drop are the
//!   calls of the chain's `one-consumer`. After them, only the drop of the last handle accesses the queue.

#![expect(unsafe_code, reason = "the chain has one consumer")]

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::task::{Context, Poll, Waker, ready};

use super::chain::{Chain, Parked, Popped};
use super::error::TryRecvError;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::Arc;
use crate::sync::senders::{Channel, Senders, Tx};
use crate::sync::wait_cell::WaitCell;
use crate::sync::wait_list::{CallSite, WaitList};
use crate::sync::wait_until::wait_until;
use crate::sync::waker_cell::WakerCell;
use crate::task::coop::{cooperative, poll_proceed};

/// How senders are held back, and how the channel is closed from the receiver's side.
pub(super) trait FlowControl: fmt::Debug + Send + Sync + 'static {
    /// Returns permits: messages were taken out, or will not come.
    fn release(&self, permits: usize);

    /// For how many messages there is room now, and in an empty channel. `None` if there is no limit.
    fn capacity(&self) -> Option<(usize, usize)>;

    /// Makes all later requests for permits fail: the receiver closes the channel.
    fn close(&self);

    /// Whether a closed channel ends at the present tail of the chain, because messages need no permit.
    const ENDS_AT_CLOSE: bool;

    /// Returns whether the receiver has closed the channel.
    fn is_closed<T>(&self, chain: &Chain<T>) -> bool;

    /// Returns whether the channel is closed, holds no message and can get none, as far as the permits show.
    fn is_drained<T>(&self, chain: &Chain<T>) -> bool;
}

/// The state of a channel.
#[repr(C)]
pub(super) struct MpscState<T, F> {
    pub(super) chain: Chain<T>,
    pub(super) flow: F,
    senders: Senders,
    /// Senders that wait for the receiver to close.
    on_close: WaitList,
    /// The receiver of a closed channel, while permits may still be used.
    pub(super) on_drained: WakerCell,
}

// A panic cannot leave the channel in a broken state: redd catches the panics of user code that it calls.
impl<T, F> UnwindSafe for MpscState<T, F> {}
impl<T, F> RefUnwindSafe for MpscState<T, F> {}

pub(super) fn new<T, F: FlowControl>(flow: F) -> (Tx<MpscState<T, F>>, Rx<T, F>) {
    let shared = Arc::new(MpscState {
        chain: Chain::new(),
        flow,
        senders: Senders::one(),
        on_close: WaitList::new(()),
        on_drained: WakerCell::new(),
    });
    let rx = Rx { shared: Arc::clone(&shared), wait: WaitCell::new() };
    (Tx::first(shared), rx)
}

impl<T, F: FlowControl> Channel for MpscState<T, F> {
    fn senders(&self) -> &Senders {
        &self.senders
    }

    fn end(&self) {
        self.chain.close_tx();
    }
}

impl<T, F: FlowControl> MpscState<T, F> {
    pub(super) fn is_rx_closed(&self) -> bool {
        self.flow.is_closed(&self.chain)
    }

    pub(super) fn closed(&self, location: CallSite) -> impl Future<Output = ()> {
        let is_closed = || self.is_rx_closed().then_some(());
        cooperative(wait_until(&self.on_close, WaitKind::MpscSend, location, is_closed, move |_| is_closed()))
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(name);
        if let Some((capacity, max_capacity)) = self.flow.capacity() {
            out.field("capacity", &capacity).field("max_capacity", &max_capacity);
        }
        out.field("senders", &self.senders.strong_count())
            .field("is_closed", &self.is_rx_closed())
            .finish_non_exhaustive()
    }
}

/// The receiver's reference to the channel (`one-receiver`).
pub(super) struct Rx<T, F: FlowControl> {
    shared: Arc<MpscState<T, F>>,
    /// For dumps.
    wait: WaitCell,
}

/// A future that receives, and then waits no longer, also if it is dropped before.
struct Receiving<'a, T, F: FlowControl>(&'a mut Rx<T, F>);

impl<T, F: FlowControl> Drop for Receiving<'_, T, F> {
    #[inline]
    fn drop(&mut self) {
        self.0.wait.end();
    }
}

// No method pins a value of type `T`.
impl<T, F: FlowControl> Unpin for Rx<T, F> {}

impl<T, F: FlowControl> Rx<T, F> {
    pub(super) fn shared(&self) -> &MpscState<T, F> {
        &self.shared
    }

    fn pop(&mut self) -> Popped<T> {
        // SAFETY: `one-receiver`.
        unsafe { self.shared.chain.pop() }
    }

    fn park(&mut self, waker: &Waker) -> Parked {
        // SAFETY: `one-receiver`.
        unsafe { self.shared.chain.park(waker) }
    }

    // `async`, because such futures are not `Unpin` in Tokio.
    pub(super) async fn recv(&mut self, location: &'static Location<'static>) -> Option<T> {
        let receiving = Receiving(self);
        poll_fn(|cx| receiving.0.poll_one(cx, Some(location))).await
    }

    pub(super) async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize, location: CallSite) -> usize {
        let receiving = Receiving(self);
        poll_fn(|cx| receiving.0.poll_many(cx, buffer, limit, location)).await
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let polled = self.poll_one(cx, None);
        self.end_wait(polled)
    }

    pub(super) fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        let polled = self.poll_many(cx, buffer, limit, None);
        self.end_wait(polled)
    }

    /// The task waits no longer, if `polled` is ready. A future that receives does this when it is dropped.
    fn end_wait<R>(&self, polled: Poll<R>) -> Poll<R> {
        if polled.is_ready() {
            self.wait.end();
        }
        polled
    }

    fn poll_one(&mut self, cx: &mut Context<'_>, location: CallSite) -> Poll<Option<T>> {
        self.poll_take(cx, location, |rx| match rx.pop() {
            Popped::Value(value) => {
                rx.shared.flow.release(1);
                Some(Some(value))
            }
            Popped::Closed => Some(None),
            Popped::Empty => None,
        })
    }

    fn poll_many(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<T>,
        limit: usize,
        location: CallSite,
    ) -> Poll<usize> {
        if limit == 0 {
            return Poll::Ready(0);
        }
        self.poll_take(cx, location, |rx| {
            let mut count = 0;
            let mut popped = rx.pop();
            while let Popped::Value(value) = popped {
                buffer.push(value);
                count += 1;
                popped = if count < limit { rx.pop() } else { Popped::Empty };
            }
            rx.shared.flow.release(count);
            (count > 0 || matches!(popped, Popped::Closed)).then_some(count)
        })
    }

    /// Waits until `take` returns a value. Returns the default value if the channel has ended.
    #[inline]
    fn poll_take<R: Default>(
        &mut self,
        cx: &mut Context<'_>,
        location: CallSite,
        mut take: impl FnMut(&mut Self) -> Option<R>,
    ) -> Poll<R> {
        let unit = ready!(poll_proceed(cx));
        let result = loop {
            if let Some(result) = take(self) {
                break result;
            }
            match self.register(cx.waker()) {
                NextStep::WaitForProducer => {
                    waiting::record(WaitKind::MpscReceive, location);
                    let senders = &self.shared.senders;
                    // SAFETY: `shared` keeps the channel alive, and `drop` clears the cell before it gives that up.
                    unsafe { self.wait.begin_receive(WaitKind::MpscReceive, location, senders) };
                    return Poll::Pending;
                }
                NextStep::EndOfChannel => break R::default(),
                NextStep::PopAgain => {}
            }
        };
        unit.made_progress();
        Poll::Ready(result)
    }

    /// Registers the waker where it is needed, after nothing was found.
    fn register(&mut self, waker: &Waker) -> NextStep {
        if self.park(waker) == Parked::No {
            return NextStep::PopAgain;
        }
        if self.shared.is_rx_closed() {
            self.shared.on_drained.register(waker);
            if self.shared.flow.is_drained(&self.shared.chain) {
                return NextStep::EndOfChannel;
            }
        }
        NextStep::WaitForProducer
    }

    pub(super) fn try_recv(&mut self) -> Result<T, TryRecvError> {
        loop {
            match self.pop() {
                Popped::Value(value) => {
                    self.wait.end();
                    self.shared.flow.release(1);
                    return Ok(value);
                }
                Popped::Closed => return Err(TryRecvError::Disconnected),
                Popped::Empty => {}
            }
            if self.shared.flow.is_drained(&self.shared.chain) {
                return Err(TryRecvError::Disconnected);
            }
            if self.len() == 0 {
                return Err(TryRecvError::Empty);
            }
            // A producer has claimed the head slot and not published it. The send of a later producer may have returned
            // already, so "empty" would be wrong.
            // SAFETY: `one-receiver`.
            unsafe { self.shared.chain.wait_for_head_slot() };
        }
    }

    pub(super) fn len(&self) -> usize {
        // SAFETY: `one-receiver`: only `&mut self` moves the head.
        unsafe { self.shared.chain.len() }
    }

    /// Returns whether sending has ended: the receiver has closed the channel, or all senders are dropped.
    pub(super) fn is_closed(&self) -> bool {
        self.shared.is_rx_closed() || self.shared.senders.strong_count() == 0
    }

    pub(super) fn close(&mut self) {
        if self.shared.is_rx_closed() {
            return;
        }
        if F::ENDS_AT_CLOSE {
            // SAFETY: `one-receiver`.
            unsafe { self.shared.chain.close_rx() };
        }
        self.shared.flow.close();
        self.shared.on_close.lock().notify_all();
    }
}

/// What a receiver does next that has found no message.
enum NextStep {
    /// Return `Pending`: a producer will wake it.
    WaitForProducer,
    /// Return that the channel has ended.
    EndOfChannel,
    /// A message was published meanwhile.
    PopAgain,
}

impl<T, F: FlowControl> Drop for Rx<T, F> {
    fn drop(&mut self) {
        self.wait.clear_receive();
        self.close();
        // Otherwise the task that received last would be kept until the last sender is dropped.
        drop(self.shared.on_drained.take());
        // SAFETY: `one-receiver`.
        let count = unsafe { self.shared.chain.end_rx() };
        self.shared.flow.release(count);
    }
}

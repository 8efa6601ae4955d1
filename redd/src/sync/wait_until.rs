//! A future that waits in a [`WaitList`] until a condition holds: for conditions that hold for all who wait at once.
//!
//! Called by the channels: a change, a message, a close. Whoever makes the condition true does `list.lock().notify_all()`
//! afterwards.
//!
//! # Invariants
//! - `checked-under-lock`: the condition is asked once more under the list's lock before the waiter is linked. So either
//!   it sees the change, or the one who changes it finds the waiter in the list.

#![expect(unsafe_code, reason = "links the waiter that the future pins")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::wait_list::{CallSite, Guard, WaitList, WaitStage, Waiter};
use crate::observe::waiting::WaitKind;

/// Waits until one of the two answers: `quick`, asked without the lock, or `locked`, asked under it. Both run no
/// foreign code.
pub(crate) fn wait_until<D, R, Q, L>(
    list: &WaitList<D>,
    kind: WaitKind,
    location: CallSite,
    quick: Q,
    locked: L,
) -> WaitUntil<'_, D, Q, L>
where
    Q: FnMut() -> Option<R>,
    L: FnMut(&mut Guard<'_, D>) -> Option<R>,
{
    WaitUntil { list, quick, locked, waiter: Waiter::new(kind, location) }
}

pin_project! {
    /// See [`wait_until`].
    pub(crate) struct WaitUntil<'a, D, Q, L> {
        list: &'a WaitList<D>,
        quick: Q,
        locked: L,
        #[pin]
        waiter: Waiter,
    }

    impl<D, Q, L> PinnedDrop for WaitUntil<'_, D, Q, L> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let waiter = this.waiter.as_ref();
            if waiter.stage() == WaitStage::Linked {
                this.list.unlink(waiter);
            }
        }
    }
}

impl<D, R, Q, L> Future for WaitUntil<'_, D, Q, L>
where
    Q: FnMut() -> Option<R>,
    L: FnMut(&mut Guard<'_, D>) -> Option<R>,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        loop {
            match waiter.stage() {
                WaitStage::Linked => match this.list.update_waker(waiter, cx) {
                    WaitStage::Idle | WaitStage::Linked => {
                        waiter.record();
                        return Poll::Pending;
                    }
                    // It is being called: the call has not reached it yet, so it leaves by itself.
                    WaitStage::Notified(_) => {
                        this.list.unlink(waiter);
                        waiter.acknowledge();
                    }
                },
                WaitStage::Notified(_) => waiter.acknowledge(),
                WaitStage::Idle => {
                    if let Some(output) = (this.quick)() {
                        return Poll::Ready(output);
                    }
                    let waker = cx.waker().clone();
                    let mut guard = this.list.lock();
                    // `checked-under-lock`
                    if let Some(output) = (this.locked)(&mut guard) {
                        drop(guard);
                        return Poll::Ready(output);
                    }
                    // SAFETY: `same-list`: the waiter is pinned, the list is borrowed for longer than this future
                    // lives, and the drop above removes it.
                    unsafe { guard.push_back(waiter, Some(waker), 0) };
                    drop(guard);
                    waiter.record();
                    return Poll::Pending;
                }
            }
        }
    }
}

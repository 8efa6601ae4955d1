//! A future that waits in a [`WaitList`] until a condition holds. The condition holds for all waiters at once.
//!
//! Called by the channels, `barrier` and `set_once`: a change, a message, a close. The thread that makes the condition
//! true calls `list.lock().notify_all()` afterwards.
//!
//! # Invariants
//! - `checked-under-lock`: the condition is checked again under the list's lock before the waiter is linked. So either
//!   the check sees the change, or the thread that makes the change finds the waiter in the list.

#![expect(unsafe_code, reason = "links the waiter that the future pins")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::wait_list::{CallSite, Guard, WaitList, WaitStage, Waiter};
use crate::observe::waiting::WaitKind;

/// Waits until `quick`, called without the lock, or `locked`, called under it, returns a value. Both run no user code.
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
                    // A `notify_all` has not reached it yet, so it leaves the list by itself.
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
                    waiter.begin();
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

//! Blocks the thread until a future is ready: the `blocking_*` methods of `sync`.
//!
//! Called by these methods, and by an mpsc receiver that waits for a push that has begun.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::current::forbid_blocking;
use crate::primitives::baton;
use crate::primitives::parker::Parker;
use crate::task::coop::without_limit;

/// Blocks the thread until `future` is ready. `method` is the public method in back quotes, for the message of the panic.
///
/// # Panics
/// On a thread that runs tasks.
#[track_caller]
pub(crate) fn block_thread_on<F: Future>(method: &str, future: F) -> F::Output {
    forbid_blocking(method);
    let mut future = pin!(future);
    block_on_parker(poll_fn(|cx| {
        baton::end_if_dead();
        future.as_mut().poll(cx)
    }))
}

/// Polls `future` on this thread until it is ready, and parks the thread in between.
///
/// There is no budget, because no other task runs on this thread.
pub(crate) fn block_on_parker<F: Future>(future: F) -> F::Output {
    without_limit(|| poll_until_ready(future))
}

fn poll_until_ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let parker = Arc::new(Parker::new());
    let waker = Waker::from(Arc::clone(&parker));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        parker.park_unless_dead();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_wakes_itself_is_polled_again() {
        let mut polls = 0;
        let output = block_on_parker(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 3 { Poll::Ready(7) } else { Poll::Pending }
        }));
        assert_eq!((output, polls), (7, 3));
    }
}

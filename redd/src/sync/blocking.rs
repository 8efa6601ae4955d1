//! The thread waits for a future: behind every `blocking_*` method of `sync`.
//!
//! Called by those methods, and by a receiver that has to wait for a moment.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::primitives::parker::Parker;
use crate::runtime::context::forbid_blocking;
use crate::task::coop::without_limit;

/// Answers for the method `method` of a user.
///
/// # Panics
/// On a thread that runs tasks.
#[track_caller]
pub(crate) fn block_thread_on<F: Future>(method: &str, future: F) -> F::Output {
    forbid_blocking(method);
    block_on_parker(future)
}

/// Polls `future` on this thread, which sleeps in between, until it is done. There is no budget: yielding helps nothing.
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
        parker.park();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_future_that_wakes_itself_is_polled_again() {
        let mut polls = 0;
        let answer = block_on_parker(std::future::poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 3 { Poll::Ready(7) } else { Poll::Pending }
        }));
        assert_eq!((answer, polls), (7, 3));
    }
}

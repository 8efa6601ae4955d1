//! `settle`: waits until everything else waits.
//!
//! Called by users.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::primitives::baton::Settler;
use crate::primitives::thread;

/// Waits until all other tasks and threads of the world wait, at this instant of virtual time.
///
/// So a test can say: *now everything that could follow has followed*. If several tasks call it, all of them continue at the same moment.
///
/// # Cancel safety
/// Dropping the future has no effect on other tasks.
///
/// # Panics
/// Panics outside of a simulated world.
///
/// # Examples
/// ```
/// use redd::runtime::Builder;
/// use redd::sim::settle;
/// use redd::time::{Duration, Instant, sleep};
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static STEPS: AtomicU32 = AtomicU32::new(0);
/// let runtime = Builder::new_current_thread().enable_time().simulated(1).build()?;
/// runtime.block_on(async {
///     let start = Instant::now();
///     let task = redd::spawn(async {
///         for _ in 0..10 {
///             STEPS.fetch_add(1, Ordering::Relaxed);
///             redd::task::yield_now().await;
///         }
///         sleep(Duration::from_secs(1)).await;
///     });
///     settle().await;
///     assert_eq!(STEPS.load(Ordering::Relaxed), 10);
///     assert_eq!(start.elapsed(), Duration::ZERO);
///     task.await.unwrap();
/// });
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn settle() -> Settle {
    let Some(settler) = Settler::new() else {
        panic!(
            "`settle` was called on thread `{}`, which does not belong to a simulated world. Call it in `#[redd::test(sim)]`, in a host of \
             a `World`, or in a runtime of `Builder::simulated`.",
            thread::current_name()
        );
    };
    Settle(settler)
}

/// The future of [`settle`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Settle(Settler);

impl Future for Settle {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.poll(cx.waker()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

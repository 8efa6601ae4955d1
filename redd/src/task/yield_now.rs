//! `yield_now`: lets other tasks run.

use std::future::poll_fn;
use std::task::Poll;

use super::current;

/// Lets other tasks run: the current task goes to the back of the run queue.
///
/// - It does not guarantee which task runs next, or that another one runs.
/// - Inside a future that polls several others, such as `join!`, the whole task yields.
/// - A loop that only sometimes has to yield uses [`consume_budget`](super::consume_budget).
///
/// # Cancel safety
/// Nothing is lost if the future is dropped.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let other = redd::spawn(async { "ran" });
/// while !other.is_finished() {
///     redd::task::yield_now().await;
/// }
/// assert_eq!(other.await.unwrap(), "ran");
/// # });
/// ```
pub async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        if !current::yield_current(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

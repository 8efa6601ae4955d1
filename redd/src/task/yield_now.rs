//! `yield_now`.

use std::future::poll_fn;
use std::task::Poll;

/// Lets other tasks run: the current task goes to the back of the queue.
///
/// It gives no promise about which task runs next. Inside futures that poll in their own order (`join!`, a
/// `FuturesUnordered`) it wakes through them.
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
        if !super::poll::yield_current(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await;
}

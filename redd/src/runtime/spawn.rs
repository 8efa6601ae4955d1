//! `spawn`.

#![expect(unsafe_code, reason = "allocates tasks")]

use std::future::Future;
use std::panic::Location;

use crate::current;
use crate::scheduler::enter;
use crate::task::JoinHandle;

/// Spawns a task: the future runs from now on beside the code that spawned it.
///
/// - It starts without being awaited, but is never polled inside `spawn` itself.
/// - Dropping the handle detaches the task: it runs on. Awaiting the handle gives the output.
/// - A panic stays inside the task: it is printed by the usual hook, and comes out of the handle as a
///   [`JoinError`](crate::task::JoinError).
/// - When the runtime shuts down, the future is dropped at the await point where it stands.
/// - It costs one slot of memory (128 bytes for small futures) and no lock.
///
/// The future must be `Send`, because workers share their tasks, and must own what it uses. For futures that are not
/// `Send` there is [`spawn_local`](crate::task::spawn_local), for code that does not await
/// [`spawn_blocking`](crate::task::spawn_blocking), and for many tasks that belong together a
/// [`JoinSet`](crate::task::JoinSet).
///
/// # Panics
/// Outside of a runtime; the message says how to enter one.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let numbers = vec![1, 2, 3];
/// let sum = redd::spawn(async move { numbers.iter().sum::<i32>() });
/// assert_eq!(sum.await.unwrap(), 6);
/// # });
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let location = Location::caller();
    // SAFETY: it is not used after this function.
    match unsafe { enter::borrow_current() } {
        // SAFETY: the future and its output are `Send`.
        Some(shared) => unsafe { shared.spawn_unchecked(future, None, location) },
        None => current::missing("`spawn`"),
    }
}

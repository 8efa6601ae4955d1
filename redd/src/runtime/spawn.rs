//! `spawn`.

#![expect(unsafe_code, reason = "allocates tasks")]

use std::future::Future;
use std::panic::Location;

use crate::current;
use crate::scheduler::enter;
use crate::task::JoinHandle;

/// Spawns a task: the runtime runs the future concurrently with the code that spawned it.
///
/// - The task starts without being awaited, but `spawn` itself never polls it.
/// - Dropping the handle detaches the task, which continues to run. Awaiting the handle returns the output.
/// - A panic ends only the task. The panic hook prints it, and the handle returns it as a
///   [`JoinError`](crate::task::JoinError).
/// - When the runtime shuts down, the future is dropped at its await point.
/// - It costs one slot of memory (128 bytes for small futures) and no lock.
///
/// The future must be `Send`, because workers share their tasks, and must own the data that it uses. For futures that
/// are not `Send` use [`spawn_local`](crate::task::spawn_local). For code that does not await use
/// [`spawn_blocking`](crate::task::spawn_blocking). For many tasks that belong together use a
/// [`JoinSet`](crate::task::JoinSet).
///
/// # Panics
/// Panics outside of a runtime. The message says how to enter one.
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

//! `spawn_blocking`, and what other rooms run on the blocking pool of the current runtime.
//!
//! Called by `task::spawn_blocking`, `fs`, `net::lookup` and stdio.

use std::future::Future;
use std::io;
use std::panic::Location;

use super::task::Urgency;
use crate::scheduler::closures::{accepts_here, spawn_on, submit, try_spawn_on};
use crate::scheduler::enter::{expect_current, with_current};
use crate::task::JoinHandle;
use crate::task::inherited;

/// Runs a closure on a thread that may block, and returns a handle to its result.
///
/// - It starts without being awaited. Threads are added as needed, up to `Builder::max_blocking_threads` (512). Beyond that,
///   closures wait for a thread.
/// - Dropping the handle lets it run on. `abort` works only before it has started.
/// - Shutdown waits for closures that have started, and for one for which a thread has just been started or woken. Other
///   closures that wait for a thread are cancelled.
/// - For heavy computation use few closures or a separate pool: up to 512 threads would compete for the CPUs.
/// - If the system refuses the pool's first thread, the handle returns an error: a panic with the reason. If it refuses a
///   further one, closures wait for the threads that exist. See [`try_spawn_blocking`].
///
/// # Panics
/// Outside of a runtime.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let digits = redd::task::spawn_blocking(|| {
///     // Something slow that does not await.
///     (1..=20_u64).product::<u64>().to_string()
/// });
/// assert_eq!(digits.await.unwrap(), "2432902008176640000");
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    spawn_on(&expect_current("`spawn_blocking`"), f, None)
}

/// As [`spawn_blocking`], but a thread that the system refuses is an error, and the closure is dropped.
///
/// # Errors
/// The pool has no thread and the system starts none: the process is at a limit of threads or memory.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn try_spawn_blocking<F, R>(f: F) -> io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    try_spawn_on(&expect_current("`try_spawn_blocking`"), f, None)
}

/// Runs `f` on the blocking pool of the current runtime.
#[track_caller]
pub(crate) fn run<T, F>(f: F) -> impl Future<Output = io::Result<T>> + Send + use<T, F>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let (shared, location) = (expect_current("this operation on the blocking pool"), Location::caller());
    // Code of redd alone: it reads no inherited value.
    let join = inherited::without(|| submit(&shared, f, None, Urgency::Usual, location));
    async move { flatten(join?.await) }
}

/// As [`run`], but returns the handle. Once `f` is accepted, it runs, even if the runtime shuts down first. A runtime that has
/// shut down drops it. `None` if the system refuses a thread.
#[track_caller]
pub(crate) fn run_mandatory<T, F>(f: F) -> Option<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let shared = expect_current("this operation on a file");
    let location = Location::caller();
    inherited::without(|| submit(&shared, f, None, Urgency::Mandatory, location)).ok()
}

/// Whether work that need not wait may be done on this thread instead of the blocking pool.
///
/// False where [`run`] would panic or refuse the work, and in a simulated world, whose events must not depend on what the
/// kernel has in its caches.
pub(crate) fn is_optional() -> bool {
    with_current(|shared| accepts_here(shared)).unwrap_or(false)
}

/// The error of work that is not done because its runtime has shut down.
pub(crate) fn runtime_gone() -> io::Error {
    crate::driver::shutdown_error()
}

fn flatten<T>(joined: Result<io::Result<T>, crate::task::JoinError>) -> io::Result<T> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("background task failed")),
    }
}

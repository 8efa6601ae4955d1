//! `block_in_place`.

use crate::current::{self, Entered};
use crate::primitives::thread;
use crate::scheduler::stand_in;
use crate::task::coop;

/// Runs a blocking closure on this worker's thread, while other threads take over the worker's tasks.
///
/// - Only the current task stops: tasks queued behind it move to other workers. If no other worker is active, a spare worker
///   starts. Other futures of the **same** task (`join!`, `select!`) wait until the closure returns.
/// - Outside of a runtime, and inside `spawn_blocking`, it only calls the closure.
/// - Aborting the task does not stop a closure that has started.
///
/// # Panics
/// On a current-thread runtime or inside a `LocalSet`, where no other thread can run the tasks; and if the closure panics.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap().block_on(async {
/// let sum = redd::spawn(async {
///     redd::task::block_in_place(|| (1..=100).sum::<u32>())
/// });
/// assert_eq!(sum.await.unwrap(), 5050);
/// # });
/// ```
#[track_caller]
pub fn block_in_place<F, R>(f: F) -> R
where
    F: FnOnce() -> R,
{
    match current::entered() {
        Entered::No => f(),
        Entered::Yes => {
            let _may_block = current::mark(Entered::No);
            stand_in::block_in_place(|| coop::without_limit(f))
        }
        Entered::NoBlockInPlace => panic!(
            "`block_in_place` was called on thread `{}`, which runs a current-thread runtime or a `LocalSet`, but it can \
             call blocking only when running on the multi-threaded runtime: no other thread can run the tasks that \
             would wait. Use `spawn_blocking`.",
            thread::current_name()
        ),
    }
}

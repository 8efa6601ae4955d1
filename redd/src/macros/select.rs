//! `select!`: the wrapper and its documentation. `redd-macros` generates the expansion.

/// Waits for several futures on the current task and runs the handler of the first that is ready.
///
/// A branch is `pattern = future, if condition => handler`. The condition is optional. The last branch may be
/// `else => handler`. There are at most 64 branches. A handler that is a block needs no comma after it.
///
/// - First all conditions are evaluated, then **all** future expressions. A future whose condition is false is created,
///   but not polled.
/// - If the value of a ready future does not match its pattern, the branch is disabled and the others continue. When all
///   branches are disabled, `else` runs.
/// - When a branch is chosen, the futures of all branches are dropped, then its handler runs. The handler may `return`,
///   `break`, use `?` and `.await`, and use variables that another branch borrowed.
/// - The first poll begins with a random branch, and each further poll with the next one. So no branch starves.
/// - With `biased;` in front, branches are polled in the order as written. That is cheaper and predictable. But a branch
///   that is always ready starves those after it.
/// - All branches run on this task, not in parallel. A branch that blocks the thread blocks all of them: spawn it instead.
///
/// # Cancel safety
/// The branches that are not chosen are dropped, possibly halfway. In a loop, use futures that lose nothing by that;
/// their documentation has a section *Cancel safety*. Or create the future outside of the loop and poll it by `&mut`.
///
/// # Panics
/// If all branches are disabled and there is no `else`.
///
/// # Examples
/// The first of two results:
/// ```
/// use redd::time::{Duration, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let winner = redd::select! {
///     () = sleep(Duration::from_secs(1)) => "fast",
///     () = sleep(Duration::from_secs(2)) => "slow",
/// };
/// assert_eq!(winner, "fast");
/// # });
/// ```
///
/// A branch with a condition, and `else` for the end:
/// ```
/// use redd::sync::mpsc;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (sender, mut numbers) = mpsc::channel(4);
/// let (spare_sender, mut spares) = mpsc::channel(4);
/// sender.send(1).await.unwrap();
/// spare_sender.send(100).await.unwrap();
/// drop((sender, spare_sender));
/// let (mut sum, uses_spares) = (0, false);
/// loop {
///     redd::select! {
///         Some(number) = numbers.recv() => sum += number,
///         Some(number) = spares.recv(), if uses_spares => sum += number,
///         // `numbers` is closed, and `spares` is disabled.
///         else => break,
///     }
/// }
/// assert_eq!(sum, 1);
/// # });
/// ```
///
/// An operation that continues across the turns of a loop is polled by reference:
/// ```
/// use redd::time::{Duration, interval, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let mut upload = std::pin::pin!(async {
///     sleep(Duration::from_secs(25)).await;
///     "stored"
/// });
/// let mut progress = interval(Duration::from_secs(10));
/// let mut reports = 0;
/// let result = loop {
///     redd::select! {
///         result = &mut upload => break result,
///         _ = progress.tick() => reports += 1,
///     }
/// };
/// assert_eq!((result, reports), ("stored", 3));
/// # });
/// ```
///
/// `biased;` checks for a stop request before each message:
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use redd::sync::{mpsc, oneshot};
///
/// let (lines, mut received) = mpsc::channel(8);
/// let (stop, mut stopped) = oneshot::channel::<()>();
/// for line in ["one", "two"] {
///     lines.send(line).await.unwrap();
/// }
/// let mut seen = Vec::new();
/// loop {
///     redd::select! {
///         biased;
///         Some(line) = received.recv() => seen.push(line),
///         _ = &mut stopped => break,
///         else => unreachable!("`stop` is open"),
///     }
///     if seen.len() == 2 {
///         break;
///     }
/// }
/// drop(stop);
/// assert_eq!(seen, ["one", "two"]);
/// # });
/// ```
#[macro_export]
macro_rules! select {
    ($($branches:tt)*) => {
        $crate::macros::support::select! { ($crate::macros::support) $($branches)* }
    };
}

//! `select!`: the wrapper and its documentation. The expansion is made by `redd-macros`.

/// Waits for several futures on the current task and runs the handler of the first that is done.
///
/// A branch is `pattern = future, if condition => handler`; the condition is optional. `else => handler` may stand
/// last. Up to 64 branches. A handler that is a block needs no comma behind it.
///
/// - The conditions are evaluated first, then **all** futures' expressions, also those whose condition is false; such
///   a future is not polled.
/// - A future whose value does not match the pattern is done with; the others go on. When no branch is left, `else`
///   runs.
/// - When a branch is chosen, the futures of all branches are dropped, then its handler runs. The handler may
///   `return`, `break`, use `?` and `.await`, and borrow what another branch had borrowed.
/// - The first poll begins with a branch chosen at random, each further one with the next branch, so that none starves.
///   `biased;` in front polls in the order as written: cheaper and predictable, but then a branch that is always ready
///   starves those behind it.
/// - All branches run on this task: none in parallel. A branch that blocks blocks all; spawn it instead.
///
/// # Cancel safety
/// A branch that is not chosen is dropped half done. In a loop, use futures that lose nothing by that (their
/// documentation has a section *Cancel safety*), or keep the future outside of the loop and poll it by `&mut`.
///
/// # Panics
/// When all branches are off and there is no `else`.
///
/// # Examples
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
///         else => unreachable!("one of both is open"),
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

//! `pin!`: pins futures on the stack and shadows the variables that held them.

/// Pins futures on the stack.
///
/// - `pin!(a, b)` shadows the variables `a` and `b` with pinned references to their values.
/// - `pin! { let a = future(); let b = other(); }` declares and pins them.
///
/// A future must be pinned to be polled repeatedly through a reference, as in a `select!` inside a loop. Unlike
/// [`std::pin::pin!`], it is a statement, as in Tokio.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = async { 42 };
/// redd::pin!(answer);
/// assert_eq!((&mut answer).await, 42);
/// redd::pin! {
///     let one = async { 1 };
///     let two = async { 2 };
/// }
/// assert_eq!(((&mut one).await, two.await), (1, 2));
/// # });
/// ```
///
/// One deadline for a whole loop:
/// ```
/// use redd::time::{Duration, interval, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let deadline = sleep(Duration::from_millis(35));
/// redd::pin!(deadline);
/// let mut ticks = interval(Duration::from_millis(10));
/// let mut count = 0;
/// loop {
///     redd::select! {
///         _ = ticks.tick() => count += 1,
///         () = &mut deadline => break,
///     }
/// }
/// assert_eq!(count, 4);
/// # });
/// ```
#[macro_export]
macro_rules! pin {
    ($($name:ident),* $(,)?) => {
        $(
            #[allow(unused_mut, reason = "a pinned future that is awaited at once is not borrowed")]
            let mut $name = $crate::macros::support::pin!($name);
        )*
    };
    ($(let $name:ident = $future:expr;)*) => {
        $(
            #[allow(unused_mut, reason = "a pinned future that is awaited at once is not borrowed")]
            let mut $name = $crate::macros::support::pin!($future);
        )*
    };
}

//! `pin!`: futures pinned on the stack, in place of the variables that hold them.

/// Pins futures on the stack.
///
/// - `pin!(a, b)` replaces the variables `a` and `b` by pinned references to what they held.
/// - `pin! { let a = future(); let b = other(); }` declares and pins them.
///
/// A future has to be pinned to be polled more than once through a reference, as in a `select!` inside a loop. Unlike
/// [`std::pin::pin!`] it is a statement, as in Tokio.
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

//! `join!` and `try_join!`: the wrappers and their documentation. The expansions are made by `redd-macros`.

/// Waits for several futures on the current task until all are done; a tuple of their outputs.
///
/// - All run on this task: at the same time, but not in parallel. Spawn them for that, and join the handles.
/// - Each is dropped when it is done. Dropping the whole drops those that are not.
/// - Polls begin with another future each time; `biased;` in front polls in the order as written.
/// - From none to 64 futures. They need not be pinned.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (one, two) = redd::join!(async { 1 }, async { "two" });
/// assert_eq!((one, two), (1, "two"));
/// # });
/// ```
#[macro_export]
macro_rules! join {
    ($($futures:tt)*) => {
        $crate::macros::support::join! { ($crate::macros::support) $($futures)* }
    };
}

/// Waits for several futures on the current task until all are `Ok`, or until the first is an error.
///
/// `Ok` with a tuple of their values, or the error of the first that failed; the others are dropped then. All have the
/// same error type. Otherwise as [`join!`](crate::join).
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// async fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
///     text.parse()
/// }
/// assert_eq!(redd::try_join!(parse("1"), parse("2")), Ok((1, 2)));
/// assert!(redd::try_join!(parse("1"), parse("x"), std::future::pending::<Result<(), _>>()).is_err());
/// # });
/// ```
#[macro_export]
macro_rules! try_join {
    ($($futures:tt)*) => {
        $crate::macros::support::try_join! { ($crate::macros::support) $($futures)* }
    };
}

//! `join!` and `try_join!`: the wrappers and their documentation. The expansions are made by `redd-macros`.

/// Waits for several futures on the current task until all are ready, and returns a tuple of their outputs.
///
/// - All futures run on this task: concurrently, but not in parallel. For parallelism, spawn them and join the handles.
/// - Each future is dropped when it is ready.
/// - Each poll begins with a different future. With `biased;` in front, futures are polled in the order as written.
/// - Takes 0 to 64 futures. They need not be pinned.
///
/// # Cancel safety
/// Dropping the joined future drops all futures that are not ready yet, and the outputs of the others.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (one, two) = redd::join!(async { 1 }, async { "two" });
/// assert_eq!((one, two), (1, "two"));
/// # });
/// ```
///
/// The futures run concurrently, so two sleeps take as long as the longer one:
/// ```
/// use redd::time::{Duration, Instant, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let start = Instant::now();
/// redd::join!(sleep(Duration::from_secs(2)), sleep(Duration::from_secs(3)));
/// assert_eq!(start.elapsed().as_secs(), 3);
/// # });
/// ```
///
/// In parallel, with a task for each future:
/// ```
/// # redd::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(async {
/// let sum = redd::spawn(async { (1..=100).sum::<u32>() });
/// let product = redd::spawn(async { (1..=10).product::<u32>() });
/// let (sum, product) = redd::join!(sum, product);
/// assert_eq!((sum.unwrap(), product.unwrap()), (5_050, 3_628_800));
/// # });
/// ```
#[macro_export]
macro_rules! join {
    ($($futures:tt)*) => {
        $crate::macros::support::join! { ($crate::macros::support) $($futures)* }
    };
}

/// Waits for several futures on the current task until all return `Ok`, or until the first returns an error.
///
/// - Returns `Ok` with a tuple of the values, or the first error. After an error, the other futures are dropped.
/// - All futures have the same error type.
/// - Otherwise as [`join!`](crate::join).
///
/// # Cancel safety
/// An error cancels the other futures, possibly halfway. A spawned task keeps running: only its handle is dropped.
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
///
/// Both directions of a connection, until the first one fails:
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (near, mut far) = duplex(64);
/// let (mut read, mut write) = split(near);
/// redd::spawn(async move { far.write_all(b"hello").await });
/// let mut greeting = [0; 5];
/// let (count, ()) = redd::try_join!(read.read_exact(&mut greeting), write.write_all(b"hi"))?;
/// assert_eq!((count, &greeting), (5, b"hello"));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[macro_export]
macro_rules! try_join {
    ($($futures:tt)*) => {
        $crate::macros::support::try_join! { ($crate::macros::support) $($futures)* }
    };
}

//! Procedural macros of redd: `#[main]` and `#[test]` in two spellings, and the parsers behind `select!`, `join!` and
//! `try_join!`.
//!
//! Called by the `macro_rules!` wrappers in `redd::macros`, which pass the path of their support module. So no expansion
//! depends on the caller's name for the crate. The two attributes cannot be wrapped: each exists once with `::redd` and
//! once with `::tokio` as its default path.
//!
//! # Invariants
//! - `own-names`: every name that an expansion introduces has a mixed-site span. So it neither refers to nor shadows a variable
//!   of the caller, and lints treat it as code of another crate.

mod entry;
mod join;
mod pattern;
mod select;
mod tree;

use proc_macro::TokenStream;

/// Runs an async function on a runtime of its own.
///
/// The function becomes a synchronous one. It builds a runtime with I/O and time enabled, and runs the body on it with
/// `block_on`. When the body returns, the runtime is dropped and the remaining tasks are cancelled.
///
/// | argument | value |
/// |---|---|
/// | `flavor` | `"multi_thread"` (the default), `"current_thread"` or `"local"` |
/// | `worker_threads` | the number of workers; only for `multi_thread` |
/// | `start_paused` | `true` starts with a paused clock; not for `multi_thread` |
/// | `unhandled_panic` | `"ignore"` (the default) or `"shutdown_runtime"`; differs from Tokio: for any flavor |
/// | `name` | the name of the runtime |
/// | `crate` | the path of redd if it was renamed, such as `"my_crate::redd"` |
///
/// # Panics
/// The function panics if the runtime cannot be built, for lack of threads or descriptors. To handle that as an error,
/// build the runtime with `runtime::Builder`.
///
/// # Examples
/// ```
/// #[redd::main]
/// async fn main() {
///     let task = redd::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// }
/// ```
///
/// All work on the main thread, and errors that end the program:
/// ```
/// #[redd::main(flavor = "current_thread")]
/// async fn main() -> std::io::Result<()> {
///     let here = std::thread::current().id();
///     let task = redd::spawn(async { std::thread::current().id() });
///     assert_eq!(task.await?, here);
///     Ok(())
/// }
/// ```
///
/// Two workers:
/// ```
/// #[redd::main(worker_threads = 2)]
/// async fn main() {
///     assert_eq!(redd::runtime::Handle::current().metrics().num_workers(), 2);
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Main, "redd").into()
}

/// Runs an async function as a test, on a runtime of its own.
///
/// Takes the arguments of [`macro@main`]. The default flavor is `"current_thread"`. The function takes no arguments and
/// may return any type that a test may return.
///
/// With `strict`, which takes no value, the test also fails if its tasks have a deadlock or a futurelock, if a task can never run
/// again, or if nothing can happen for five seconds. The failure has the lines that are to blame and a dump of all tasks. It is
/// `Builder::fail_on_diagnosis` of the runtime.
///
/// With `sim`, which takes no value, the test runs in a simulated world: time is virtual on every flavor, and a seed decides the
/// schedule. It runs in one world. `seeds = 200` runs it in 200 worlds, until one fails; the environment variable `REDD_SEED` chooses
/// one of them. The test also fails if a panic is not joined, if a task outlives it, and if nothing can happen. See `redd::sim`.
///
/// # Examples
/// ```
/// use redd::time::{Duration, Instant, sleep};
///
/// #[redd::test(start_paused = true)]
/// async fn a_long_sleep_takes_no_time() {
///     let start = Instant::now();
///     sleep(Duration::from_secs(3600)).await;
///     assert_eq!(start.elapsed().as_secs(), 3600);
/// }
///
/// #[redd::test(flavor = "multi_thread", worker_threads = 2)]
/// async fn tasks_run_on_two_workers() -> Result<(), redd::task::JoinError> {
///     assert_eq!(redd::spawn(async { 7 }).await?, 7);
///     Ok(())
/// }
///
/// #[redd::test(sim, seeds = 20, flavor = "multi_thread")]
/// async fn every_order_gives_the_same_sum() {
///     let (sender, mut numbers) = redd::sync::mpsc::channel(1);
///     for number in 1..=3 {
///         let sender = sender.clone();
///         redd::spawn(async move { sender.send(number).await.unwrap() });
///     }
///     drop(sender);
///     let mut sum = 0;
///     while let Some(number) = numbers.recv().await {
///         sum += number;
///     }
///     assert_eq!(sum, 6);
/// }
///
/// #[redd::test(strict)]
/// #[should_panic(expected = "deadlock: a task waits for itself")]
/// async fn a_task_must_not_take_its_lock_twice() {
///     let lock = redd::sync::Mutex::new(());
///     redd::spawn(async move {
///         let _first = lock.lock().await;
///         let _second = lock.lock().await;
///     })
///     .await
///     .unwrap();
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Test, "redd").into()
}

/// As [`macro@main`], for programs that use redd under the name `tokio`.
#[proc_macro_attribute]
pub fn tokio_main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Main, "tokio").into()
}

/// As [`macro@test`], for programs that use redd under the name `tokio`.
#[proc_macro_attribute]
pub fn tokio_test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Test, "tokio").into()
}

/// The parser behind `redd::select!`.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    select::expand(input.into()).into()
}

/// The parser behind `redd::join!`.
#[doc(hidden)]
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    join::expand(input.into(), join::Kind::All).into()
}

/// The parser behind `redd::try_join!`.
#[doc(hidden)]
#[proc_macro]
pub fn try_join(input: TokenStream) -> TokenStream {
    join::expand(input.into(), join::Kind::UntilError).into()
}

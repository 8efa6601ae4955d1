//! Procedural macros of redd: `#[main]` and `#[test]` in two spellings, and the parsers behind `select!`, `join!` and
//! `try_join!`.
//!
//! Called by the `macro_rules!` wrappers in `redd::macros`, which hand in the path of their support module, so that no
//! expansion depends on the name under which the caller knows the crate. The two attributes cannot be wrapped; each
//! exists once with `::redd` and once with `::tokio` as its default path.
//!
//! # Invariants
//! - `own-names`: every name that an expansion introduces has a mixed-site span, so it neither sees nor shadows a
//!   variable of the caller, and lints treat it as foreign code.

mod entry;
mod join;
mod pattern;
mod select;
mod tree;

use proc_macro::TokenStream;

/// Runs an async function on a runtime of its own.
///
/// The function becomes a plain one that builds a runtime, with I/O and time enabled, and runs the body on it with
/// `block_on`.
///
/// - `flavor`: `"multi_thread"` (the default), `"current_thread"` or `"local"`.
/// - `worker_threads`: a number; only for `multi_thread`.
/// - `start_paused`: `true` starts with the clock stopped; not for `multi_thread`.
/// - `unhandled_panic`: `"ignore"` (the default) or `"shutdown_runtime"`. Differs from Tokio: for any flavor.
/// - `name`: the name of the runtime.
/// - `crate`: the path of redd where it was renamed, such as `crate = "my_crate::redd"`.
///
/// # Panics
/// The function panics when the system refuses what a runtime needs (threads, descriptors). Build one with
/// `runtime::Builder` to handle that as an error.
///
/// # Examples
/// ```
/// #[redd::main(flavor = "current_thread")]
/// async fn main() -> std::io::Result<()> {
///     redd::time::sleep(std::time::Duration::from_millis(1)).await;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Main, "redd").into()
}

/// Runs an async function as a test, on a runtime of its own.
///
/// Takes the arguments of [`macro@main`]; the default flavor is `"current_thread"`. The function takes no arguments
/// and returns what a test may return.
///
/// # Examples
/// ```
/// #[redd::test(start_paused = true)]
/// async fn a_long_sleep_takes_no_time() {
///     redd::time::sleep(std::time::Duration::from_secs(3600)).await;
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Test, "redd").into()
}

/// As [`macro@main`], for programs that know redd as `tokio`.
#[proc_macro_attribute]
pub fn tokio_main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(arguments.into(), item.into(), entry::Kind::Main, "tokio").into()
}

/// As [`macro@test`], for programs that know redd as `tokio`.
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

//! `assert_active!`: the switch to redd, checked by the compiler.

/// Fails to compile unless the crate that is called `tokio` here is redd's facade.
///
/// A `[patch.crates-io]` that does not apply (a version that does not match, a second workspace) is only a warning of
/// Cargo, and the program then runs on Tokio without a word. Put this line next to `main` to be sure. With the real
/// Tokio the compiler answers that it cannot find `IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION` in `tokio`.
///
/// The crate that says `redd::assert_active!();` has both `redd` and `tokio` among its dependencies.
#[macro_export]
macro_rules! assert_active {
    () => {
        const _: bool = ::tokio::IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION;
    };
}

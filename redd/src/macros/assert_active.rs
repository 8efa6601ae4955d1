//! `assert_active!`: a compile-time check that a program runs on redd.

/// Fails to compile unless the caller's dependency `tokio` is redd's facade.
///
/// If a `[patch.crates-io]` does not apply, for example because the version does not match, Cargo only prints a warning.
/// The program then runs on Tokio. Put this macro next to `main` to make that an error: with the real Tokio, the
/// compiler cannot find `IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION` in `tokio`.
///
/// The crate that uses `redd::assert_active!();` depends on both `redd` and `tokio`.
#[macro_export]
macro_rules! assert_active {
    () => {
        const _: bool = ::tokio::IS_REDD_PLEASE_CHECK_THE_PATCH_SECTION;
    };
}

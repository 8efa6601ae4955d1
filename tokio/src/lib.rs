//! redd under the name `tokio`, for `[patch.crates-io]`.
pub use redd::*;

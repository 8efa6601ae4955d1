//! A seed for a runtime or thread that was not given one.
//!
//! Called by `runtime::Builder`, and by `current` for threads outside of a runtime.

use super::baton;
use std::hash::{BuildHasher, RandomState};

/// In a simulated world it follows from the seed of the world. Otherwise it comes from the hash keys that std draws from the system.
pub(crate) fn random_seed() -> u64 {
    baton::random_u64().unwrap_or_else(|| RandomState::new().hash_one(0x5eed_u64))
}

//! What a process says about itself to the others.
//!
//! Stored by `keeper`, read by `status`.

use std::sync::atomic::AtomicU64;

use serde::{Deserialize, Serialize};

use crate::engine::names::Partition;

/// What this process says about itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) machine: String,
    pub(crate) process: u32,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) pages: u64,
    pub(crate) pages_per_s: f64,
    pub(crate) in_flight: u64,
    pub(crate) waiting: u64,
    pub(crate) seconds: u64,
}

/// What the loop of the crawl says about itself.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) in_flight: AtomicU64,
    pub(super) waiting: AtomicU64,
}

//! Programs in simulated worlds.
//!
//! The programs are ordinary ones for Tokio. The tests run them as hosts of `redd::sim::World`.

pub mod raft;
pub mod repeat;
pub mod service;
pub mod shop;
pub mod wire;

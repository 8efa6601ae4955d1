//! Work that blocks a thread: closures run on a pool of their own, away from the workers.

mod in_place;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/blocking_pool.rs"]
mod models;
pub(crate) mod pool;
mod spawn_blocking;

pub use in_place::block_in_place;
pub(crate) use spawn_blocking::{BlockingPool, run, run_mandatory, runtime_gone, spawn_on, try_spawn_on};
pub use spawn_blocking::{spawn_blocking, try_spawn_blocking};

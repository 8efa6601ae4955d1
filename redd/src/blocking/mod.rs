//! Work that blocks a thread: a pool of threads runs such closures, so that they do not block the workers.

mod in_place;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/blocking_pool.rs"]
mod models;
pub(crate) mod pool;
mod spawn_blocking;
pub(crate) mod task;

pub use in_place::block_in_place;
pub(crate) use spawn_blocking::{is_optional, run, run_mandatory, runtime_gone};
pub use spawn_blocking::{spawn_blocking, try_spawn_blocking};

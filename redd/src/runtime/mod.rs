//! The runtime: what runs tasks, timers and I/O.
//!
//! [`Builder`] makes a [`Runtime`]; `#[redd::main]` does it for you. A multi-thread runtime has worker threads that
//! share the work; a current-thread one runs its tasks on the thread that calls [`Runtime::block_on`].

mod block_on;
mod builder;
mod defaults;
pub mod dump;
mod handle;
mod lifecycle;
mod local;
mod metrics;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/runtime_block_on.rs"]
mod models;
mod shutdown;
mod spawn;
mod waits;
#[cfg(all(test, shuttle))]
#[path = "../../models/runtime_whole.rs"]
mod whole_models;

use std::io;

pub use crate::observe::histogram::{
    HistogramConfiguration, HistogramScale, InvalidHistogramConfiguration, LogHistogram, LogHistogramBuilder,
};
pub use crate::scheduler::choices::{RuntimeFlavor, UnhandledPanic};
pub use crate::scheduler::enter::EnterGuard;
pub use crate::scheduler::id::Id;
pub use crate::scheduler::rescue::{CpuUse, LatePoll, Rescue, RescueAction, Stack};
pub use crate::task::TaskMeta;
pub use crate::task::hooks::UnjoinedPanic;
pub use builder::{Builder, RngSeed};
pub use dump::Dump;
pub use handle::{Handle, TryCurrentError};
pub use lifecycle::Runtime;
pub use local::{LocalOptions, LocalRuntime};
pub use metrics::RuntimeMetrics;
pub use shutdown::UnfinishedWork;
pub use spawn::spawn;

use crate::scheduler::local::current_worker_index;

/// Whether an error says that the runtime behind a socket has shut down.
pub fn is_rt_shutdown_err(error: &io::Error) -> bool {
    crate::driver::is_shutdown_error(error)
}

/// The index of the worker that runs this code, or `None` outside of a worker and on a spare thread that stands in for
/// one inside `block_in_place`. Below [`RuntimeMetrics::num_workers`].
pub fn worker_index() -> Option<usize> {
    current_worker_index()
}

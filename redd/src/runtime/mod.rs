//! The runtime, which runs tasks, timers and I/O.
//!
//! [`Builder`] creates a [`Runtime`], and `#[redd::main]` does it for you. A multi-thread runtime has worker threads
//! that share the work. A current-thread runtime runs its tasks on the thread that calls [`Runtime::block_on`].

mod block_on;
mod builder;
mod call;
mod collect;
mod defaults;
mod diagnose;
mod handle;
mod lifecycle;
mod local;
mod look;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/runtime_block_on.rs"]
mod models;
mod observed;
mod shutdown;
pub(crate) mod simulated;
mod spawn;
mod strict;
#[cfg(redd_suite_in_world)]
#[path = "../../models/runtime_suite_in_world.rs"]
mod suite_in_world;
mod top;
mod waits;
mod watched;
#[cfg(all(test, shuttle))]
#[path = "../../models/runtime_whole.rs"]
mod whole_models;

use std::io;

pub use crate::observe::dump::Dump;
pub use crate::observe::histogram::{
    HistogramConfiguration, HistogramScale, InvalidHistogramConfiguration, LogHistogram, LogHistogramBuilder,
};
pub use crate::observe::hooks::UnjoinedPanic;
pub use crate::observe::late_poll::{CpuUse, LatePoll, RescueAction, Stack};
pub use crate::observe::metrics::RuntimeMetrics;
pub use crate::scheduler::choices::{RuntimeFlavor, UnhandledPanic};
pub use crate::scheduler::enter::EnterGuard;
pub use crate::scheduler::id::Id;
pub use crate::scheduler::rescue::Rescue;
pub use crate::task::TaskMeta;
pub use builder::{Builder, RngSeed};
pub use handle::{Handle, TryCurrentError};
pub use lifecycle::Runtime;
pub use local::{LocalOptions, LocalRuntime};
pub use shutdown::UnfinishedWork;
pub use spawn::spawn;

use crate::scheduler::local::current_worker_index;

pub mod dump {
    //! Every live task of a runtime: its name, and everything it waits on. Made by
    //! [`Handle::snapshot`](super::Handle::snapshot) and [`Handle::dump`](super::Handle::dump).

    pub use crate::observe::dump::{
        Cancelled, Child, ChildStage, CleanUp, Diagnosis, Dump, InShield, Membership, Node, NodeKind, Role, Root,
        ShutdownPhase, StuckTask, Taken, Task, TaskState, Tasks, Trace, Tree, Unjoined, Wait, What,
    };
}

/// Returns whether an error reports that the runtime behind a socket has shut down.
///
/// # Examples
/// ```
/// use redd::net::UdpSocket;
/// use redd::runtime::{Builder, is_rt_shutdown_err};
///
/// let runtime = Builder::new_current_thread().enable_all().build()?;
/// let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0"))?;
/// drop(runtime);
/// let other = Builder::new_current_thread().build()?;
/// let error = other.block_on(socket.readable()).unwrap_err();
/// assert!(is_rt_shutdown_err(&error));
/// # std::io::Result::Ok(())
/// ```
pub fn is_rt_shutdown_err(error: &io::Error) -> bool {
    crate::driver::is_shutdown_error(error)
}

/// Returns the index of the worker that runs this code, which is below [`RuntimeMetrics::num_workers`]. Returns `None`
/// outside of a worker, and on a spare thread that stands in for a worker inside `block_in_place`.
///
/// # Examples
/// ```
/// use redd::runtime::{Builder, worker_index};
///
/// let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
/// let index = runtime.block_on(runtime.spawn(async { worker_index() }))?;
/// assert!(index.is_some_and(|index| index < 2));
/// assert_eq!(worker_index(), None);
/// # std::io::Result::Ok(())
/// ```
pub fn worker_index() -> Option<usize> {
    current_worker_index()
}

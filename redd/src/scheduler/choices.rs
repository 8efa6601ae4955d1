//! What a builder chooses among, and the limits of its choices. Imports nothing.

/// The kind of a runtime.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// Runs its tasks on the thread in `block_on`.
    CurrentThread,
    /// Runs its tasks on worker threads.
    MultiThread,
}

/// The kind of a runtime, which also distinguishes the two current-thread kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    MultiThread,
    CurrentThread,
    /// Current-thread, and its tasks need not be `Send`.
    Local,
}

impl Flavor {
    pub(crate) fn for_users(self) -> RuntimeFlavor {
        match self {
            Self::MultiThread => RuntimeFlavor::MultiThread,
            Self::CurrentThread | Self::Local => RuntimeFlavor::CurrentThread,
        }
    }
}

/// What a runtime or `LocalSet` does when a task panics.
///
/// In both cases the panic hook prints the panic, and the task's handle returns it. A panic that no code joins is reported with
/// the task's name and spawn location; see
/// [`Builder::on_unhandled_panic`](crate::runtime::Builder::on_unhandled_panic).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// The other tasks continue.
    Ignore,
    /// The runtime shuts down, even if the task's handle still exists: `block_on` panics, and other tasks are cancelled.
    ///
    /// A panic of a closure of `spawn_blocking` does not count, as in Tokio. Differs from Tokio: every flavor supports it.
    ShutdownRuntime,
}

/// The number of spare workers that may run for workers in `block_in_place`: as many as Tokio's pool has threads by default.
pub(crate) const MAX_SPARES: usize = 512;

/// The largest number of workers. The idle word counts workers and spares for rescue together in 16 bits.
pub(crate) const MAX_WORKERS: usize = 32_767;
pub(crate) const MAX_RESCUE_WORKERS: usize = 16_384;

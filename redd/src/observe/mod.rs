//! Observing a running runtime: wait kinds, histograms, and spans of resources.

pub(crate) mod histogram;
pub(crate) mod report;
#[cfg(feature = "tracing")]
pub(crate) mod resources;
#[cfg(not(feature = "tracing"))]
#[path = "unseen.rs"]
pub(crate) mod resources;
pub(crate) mod waiting;

pub use waiting::WaitKind;

/// The kinds of resources that tokio-console knows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceKind {
    Barrier,
    Mutex,
    Oneshot,
    /// The permits inside of a lock or semaphore.
    Permits,
    RwLock,
    Semaphore,
    Sleep,
}

/// A change of a resource's state.
#[allow(dead_code, reason = "for the spans of resources, where there are any")]
pub(crate) enum Update {
    Arrived(usize),
    /// In milliseconds.
    Duration(u64),
    Locked(bool),
    MaxReaders(u32),
    Permits(usize),
    /// The change in the number of readers.
    Readers(i64),
    RxDropped(bool),
    Size(usize),
    TxDropped(bool),
    ValueReceived(bool),
    ValueSent(bool),
    WriteLocked(bool),
}

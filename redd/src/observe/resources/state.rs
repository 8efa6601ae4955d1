//! The kinds of resources, and the values of their states.
//!
//! Called by `sync` and `time`, which record them, and by `spans`.

/// What a resource is, with the values that never change.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceKind {
    Barrier {
        /// The number of tasks that wait for each other.
        size: usize,
    },
    Mutex,
    Oneshot,
    RwLock {
        max_readers: u32,
    },
    Semaphore {
        /// The number of permits at the start.
        permits: usize,
    },
    Sleep,
}

/// One value of a resource's state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ResourceState {
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

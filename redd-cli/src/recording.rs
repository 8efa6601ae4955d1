//! What a process did in the last seconds: the events of its flight recorder, in the order of their times.
//!
//! Made from the bytes that the process sends, and the source of both the Perfetto file and the HTML timeline.

/// The events, and the threads and tasks that they speak of.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recording {
    pub(crate) pid: u32,
    pub(crate) program: String,
    /// The time of the first event, in nanoseconds since 1970.
    pub(crate) started_unix_ns: u64,
    pub(crate) threads: Vec<Thread>,
    pub(crate) tasks: Vec<Task>,
    /// Sorted by `at_ns`.
    pub(crate) events: Vec<Event>,
    /// How many events of that time were overwritten before they could be read.
    pub(crate) lost: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Thread {
    pub(crate) name: String,
    pub(crate) tid: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) id: u64,
    pub(crate) name: Option<String>,
    /// `src/main.rs:10:9`; empty if the task ended before it could be asked.
    pub(crate) spawned_at: String,
    pub(crate) parent: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds since the first event.
    pub(crate) at_ns: u64,
    /// An index into `threads`.
    pub(crate) thread: usize,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// `by`: the task that was polled on this thread.
    Spawn {
        task: u64,
        by: Option<u64>,
    },
    PollStart {
        task: u64,
    },
    PollEnd {
        task: u64,
        has_ended: bool,
    },
    Wake {
        task: u64,
        by: Option<u64>,
    },
    Park,
    Unpark,
    /// The driver returned this many events of descriptors.
    DriverEvents {
        count: u64,
    },
    TimersFired {
        count: u64,
    },
    /// Taken from the queue that the workers share.
    SharedBatch {
        count: u64,
    },
    Steal {
        count: u64,
    },
    ClosureStart {
        id: u64,
    },
    ClosureEnd {
        id: u64,
    },
    /// The task waits for a lock or permits that others have.
    LockWait {
        task: u64,
    },
    /// A release handed it over.
    LockGrant {
        task: u64,
        by: Option<u64>,
    },
    LatePoll {
        task: u64,
    },
    SpareStarted,
    Panic {
        task: u64,
    },
}

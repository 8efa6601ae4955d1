//! The options of rescue.
//!
//! Called by `runtime::Builder`. [`Rescue`] is public as `runtime::Rescue`.

use std::time::Duration;

use crate::scheduler::choices::MAX_RESCUE_WORKERS;

/// What a runtime does about stalled workers: those whose current poll has run for too long. See [`Builder::rescue`].
///
/// [`Builder::rescue`]: crate::runtime::Builder::rescue
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use redd::runtime::{Builder, Rescue};
///
/// let runtime = Builder::new_multi_thread()
///     .rescue(Rescue::new().threshold(Duration::from_millis(20)).max_workers(8))
///     .build()
///     .unwrap();
/// assert_eq!(runtime.block_on(async { 1 + 1 }), 2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rescue {
    pub(crate) mode: Mode,
    pub(crate) threshold: Duration,
    pub(crate) report_after: Duration,
    pub(crate) max_workers: usize,
    pub(crate) with_stack: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Off,
    Report,
    Rescue,
}

impl Rescue {
    /// Detects, reports and rescues: the default of a multi-thread runtime.
    pub fn new() -> Self {
        Self {
            mode: Mode::Rescue,
            threshold: Duration::from_millis(10),
            report_after: Duration::from_millis(100),
            max_workers: 64,
            with_stack: false,
        }
    }

    /// Whether the work of stalled workers runs elsewhere.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.mode == Mode::Rescue
    }

    /// Does not detect stalled workers, either.
    pub fn off() -> Self {
        Self { mode: Mode::Off, ..Self::new() }
    }

    /// Detects and reports, and does not run work elsewhere: the default of a current-thread runtime.
    pub fn report_only() -> Self {
        Self { mode: Mode::Report, ..Self::new() }
    }

    /// About how long a poll takes before its worker counts as stalled. It is rescued then, if work waits for it.
    ///
    /// Default: 10 ms. The minimum is 2 ms: below it the monitor would mostly measure its own effects.
    pub fn threshold(mut self, threshold: Duration) -> Self {
        self.threshold = threshold.clamp(Duration::from_millis(2), Duration::from_secs(3600));
        self
    }

    /// How long a poll takes before it is *late*: reported, and counted. Default: 100 ms.
    ///
    /// - Only the task's own time counts: time that its thread waited for a CPU, or for a lock of redd, does not. A poll
    ///   that mostly waits for a CPU is reported when it has taken ten times as long.
    /// - A thread that computes, waits for a lock, or reads a file may be printing the backtrace of a panic. Then the report
    ///   waits until the poll ends, and is dropped if it ends in a panic. If the poll continues, it is reported when it has
    ///   taken ten times as long. Other system calls that block are reported at once.
    /// - A poll that still runs when it has taken ten times as long as at its report is reported once more.
    /// - A rescue before that is only counted, in [`RuntimeMetrics::rescues`](crate::runtime::RuntimeMetrics::rescues).
    pub fn report_after(mut self, elapsed: Duration) -> Self {
        self.report_after = elapsed;
        self
    }

    /// Whether the report of a late poll has the stack of its thread. Default: no. With the feature `stack` the stack has the names
    /// of functions, without it addresses.
    ///
    /// - While the thread is in a panic, the poll is not late: the panic has its own message. That includes a panic that the
    ///   program catches. A panic that takes a hundred times as long as a late poll is reported.
    /// - A signal interrupts the thread: system calls that take no `SA_RESTART`, such as `poll` and `nanosleep`, end with
    ///   `EINTR`, and the code that blocks should expect that. It is a real-time signal that had no handler when the first
    ///   stack was taken.
    /// - The stack is walked in the signal handler. With glibc 2.35 and GCC 12, or newer, that takes no lock; with older ones
    ///   it can hang if another thread loads a library at that moment.
    /// - A thread of its own writes each such report, as reading the program's debug information may take a second. While eight such
    ///   threads are busy, further reports are dropped.
    pub fn with_stack(mut self, with_stack: bool) -> Self {
        self.with_stack = with_stack;
        self
    }

    /// For a runtime whose tasks stay on one thread.
    pub(crate) fn without_spares(mut self) -> Self {
        if self.mode == Mode::Rescue {
            self.mode = Mode::Report;
        }
        self
    }

    /// How many spare workers may run at a time. Default: 64, at most 16,384. When the bound is reached, the monitor only reports.
    pub fn max_workers(mut self, count: usize) -> Self {
        self.max_workers = count.min(MAX_RESCUE_WORKERS);
        self
    }
}

impl Default for Rescue {
    fn default() -> Self {
        Self::new()
    }
}

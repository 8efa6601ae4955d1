//! The tuning constants of the scheduler: what each one trades, and what other values of it cost.
//!
//! Read by `worker`, `timing`, `search`, `park` and `rescue`. Rows are those of `bench/workloads`, and their results are in
//! docs/benchmarks/constants.md. "No difference" means: none outside the noise of the row, at a quarter and at four times the value.
//!
//! Some constants are elsewhere:
//! - the capacity of a run queue, in its type (`run_queue`),
//! - how long a thread spins before it sleeps (`primitives::spin`, decision 0012),
//! - how long spares are kept, and when a refused thread is requested again (`thread_main`, `start`),
//! - the event interval and the threshold of rescue, which `Builder` sets.

use std::time::Duration;

/// How many times in a row a worker runs the task in its LIFO slot before it runs the others.
///
/// More: a chain of wakes stays in the cache. Fewer: the other tasks of the worker wait less behind such a chain. The value
/// is Tokio's. With 1 `ping_pong` costs 3 % more, with 9 it costs 2 % less.
pub(super) const LIFO_STREAK_MAX: u32 = 3;

/// About how long a task in the injector may wait for a busy worker, in nanoseconds. It determines the interval between two checks
/// of the injector.
///
/// Shorter: a task from another thread starts sooner. Longer: fewer reads of a shared cache line between polls. The value is
/// Tokio's. `spawn_1000_join_outside` and `yield_200`: no difference.
pub(super) const INJECTOR_PATIENCE_NS: f64 = 200_000.0;
/// That interval in polls until the first polls have been timed. The value is Tokio's. The same rows: no difference.
pub(super) const INJECTOR_INTERVAL_FIRST: u32 = 61;
/// That interval in polls at most, however short polls are. The value is Tokio's. The same rows: no difference.
pub(super) const INJECTOR_INTERVAL_MAX: u32 = 127;

/// The divisor of the moving average of a worker's poll times: a new value has the weight 1 / `SMOOTHING`.
///
/// Larger: steadier. Smaller: the average follows a change of load within fewer rounds (8: some 20 rounds). The same rows: no
/// difference. No row has a load that changes.
pub(super) const SMOOTHING: u8 = 8;

/// In a simulated world a worker chooses among at most this many tasks. It is less than a run queue holds.
pub(super) const WORLD_CHOICES_MAX: usize = 128;

/// The maximum number of tasks that a worker takes from the injector at once.
///
/// More: the injector's lock is taken less often. Fewer: the tasks are spread over the workers without a steal.
/// `spawn_1000_join_outside`: no difference.
pub(super) const INJECTED_BATCH_MAX: usize = 128;

/// How many rounds of yielding tasks, or of a root that its tasks wake, a current-thread runtime runs before it polls I/O and
/// timers.
///
/// More: a yield is cheaper, as a poll of the driver costs 150 ns and a yield 25. Fewer: I/O and timers wait less. With 4
/// `yield_1_current` costs 97 % more and `spawn_await_current` 34 %; with 64 they cost 10 % and 3 % less.
pub(super) const LAPS_WITHOUT_POLL: u32 = 16;

/// Work in the ring that is worth a wake at the start of a poll, in nanoseconds. Without rescue, a single task is.
///
/// Less: a parked worker helps sooner. More: fewer wakes. Less work than this is done before a thread is awake, and each time that
/// a thief had taken half of it, the rest would cause another wake. `fan_out_fan_in` and `spawn_1000_join_2_workers`: no
/// difference.
pub(super) const OFFER_NS: f64 = 100_000.0;
/// The maximum of the same in tasks: this many are worth a wake however short their polls are. The same rows: no difference.
pub(super) const OFFER_MAX: usize = 64;

/// How many ready tasks a worker of several has after it has taken events. It takes no more events than are missing.
///
/// More: fewer polls of the driver. Fewer: a connection waits less in the run queue of a worker that gets no CPU, as another worker
/// serves it. With 192 the p90 of 512 connections is 5.4 ms and not 3.1; with 16 hyper costs 10 % more CPU (decision 0024).
pub(super) const EVENTS_MAX: usize = 64;
/// Such a worker takes at least one event for this many polls between two polls of the driver, however many tasks it has.
///
/// More: its run queue does not overflow if polls are long, and the driver is polled often. Fewer: events wait less behind tasks that
/// wake themselves. With 2 an event is taken within two rounds (`tests/fairness.rs`).
pub(super) const POLLS_PER_EVENT: u32 = 2;

/// How long a worker without work leaves the driver to the workers that are awake before it waits in the driver itself.
///
/// Longer: fewer context switches, as a worker that is awake takes several events at once; 1 ms is some hundred requests of a
/// server. Shorter: events are seen sooner when all awake workers are in long polls. Decision 0009 measured the design as a whole, by
/// context switches per request of a server. `tcp_echo_64_inside` and `interval_100`: no difference.
pub(super) const DRIVER_DEFER: Duration = Duration::from_millis(1);

/// If a worker polls the driver less often than this, it makes a parked worker take the driver lease.
///
/// It also bounds the number of polls between two polls of the driver. Shorter: events and timers wait less behind polls of
/// some 100 µs. Longer: fewer wakes and `epoll_wait`s. `tcp_echo_64_inside` and `interval_100`: no difference.
pub(super) const DRIVER_GAP_MAX: Duration = Duration::from_millis(1);

/// How long a busy worker does not poll the driver after the lease holder has been woken.
///
/// Longer: fewer tokens are taken from the lease holder and written again. Shorter: events wait less for a thread that gets no CPU.
/// `spawn_blocking_many_tasks` and `tcp_echo_64_inside`: no difference.
pub(super) const LEASE_PATIENCE: Duration = Duration::from_micros(100);

/// How old a current-thread runtime is before it is scanned for stalls, in milliseconds.
///
/// Less: a stall is detected earlier. More: short runtimes are cheaper, as they register no alarm. `startup_current` and
/// `interval_1`: no difference.
pub(super) const SHORT_LIFE_MS: u64 = 100;

/// How many times in a row the alarm may be disarmed and armed again within a step before workers no longer do so.
///
/// More: a runtime that wakes occasionally has no wake-ups besides its own. Fewer: a runtime that wakes often makes fewer system
/// calls. `interval_1` and `interval_100`: no difference.
pub(super) const RAPID_REARMS_MAX: u32 = 16;

/// How much CPU time a computing poll may have, as a multiple of the threshold. It is counted from the first reading of its thread
/// on, so that with the default threshold a spare starts after some 70 ms.
///
/// Less: tasks behind it start sooner. More: a computation that ends soon does not share its CPU, as more threads than CPUs
/// help no task then. Not measured against other values; the rows are `cpu_loop`, `cpu_both` and `cpu_control`.
pub(super) const PATIENCE_WITH_COMPUTING: u32 = 6;
/// If that poll has to share the CPUs, this much CPU time is enough after the same wall time. Not measured; the same rows.
pub(super) const COMPUTING_AT_LEAST: u32 = 2;
/// How many thresholds to wait if the system reports nothing about the thread. Not measured: no row runs on such a system.
pub(super) const PATIENCE_WITH_UNKNOWN: u32 = 3;
/// How many thresholds to wait for a thread that hardly gets a CPU. A spare would compete with it, but the wait must be bounded.
/// Not measured: no row has that many other processes.
pub(super) const PATIENCE_WITH_WAITING: u32 = 100;

/// A poll that was held back, or that only waits for a CPU, is reported after this many times as long. A choice of the reports,
/// not of speed.
pub(super) const MUCH_LATER: u32 = 10;
/// A reported poll is reported again when it has taken this many times as long. A choice of the reports, not of speed.
pub(super) const REMINDER: u32 = 10;
/// How long a thread may take to record its stack: about as long as a thread often waits for a CPU. Not measured.
pub(super) const PATIENCE_WITH_STACK: Duration = Duration::from_millis(20);

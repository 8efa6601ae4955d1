//! `Builder`: every option of a runtime, its default and its cost.
//!
//! Long because each option is a method of its own, with its contract.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::lifecycle::Runtime;
use super::local::{LocalOptions, LocalRuntime};
use super::simulated::OwnWorld;
use crate::observe::dump::Diagnosis;
use crate::observe::histogram::{HistogramConfiguration, HistogramScale};
use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
use crate::observe::late_poll::LatePoll;
use crate::observe::overdue::Overdue;
use crate::observe::spans;
use crate::primitives::baton;
use crate::primitives::seed::random_seed;
use crate::scheduler::choices::{Flavor, MAX_WORKERS, RuntimeFlavor, UnhandledPanic};
use crate::scheduler::config::{Config, ThreadHooks};
use crate::scheduler::rescue::Rescue;
use crate::task::TaskMeta;

/// Builds a [`Runtime`] with chosen options.
///
/// I/O and time are disabled by default: most programs call [`enable_all`](Self::enable_all).
///
/// # Examples
/// ```
/// let runtime = redd::runtime::Builder::new_multi_thread()
///     .worker_threads(2)
///     .thread_name("crunch")
///     .enable_all()
///     .build()
///     .unwrap();
/// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
/// ```
pub struct Builder {
    flavor: RuntimeFlavor,
    worker_threads: Option<usize>,
    config: Config,
    seed: Option<u64>,
    rescue: Option<Rescue>,
    max_rescue_workers: Option<usize>,
    world_seed: Option<u64>,
    poll_times: Wanted,
    latencies: Wanted,
    /// The histogram of poll times as set by Tokio's older methods.
    legacy: (HistogramScale, Duration, usize),
}

/// What programs set most often. The worker threads are those that were set, if any.
impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Builder");
        if let Some(name) = &self.config.name {
            out.field("name", name);
        }
        out.field("flavor", &self.flavor)
            .field("worker_threads", &self.worker_threads)
            .field("enable_io", &self.config.enable_io)
            .field("enable_time", &self.config.enable_time)
            .field("start_paused", &self.config.start_paused)
            .field("max_blocking_threads", &self.config.max_blocking_threads)
            .field("thread_keep_alive", &self.config.thread_keep_alive)
            .field("thread_stack_size", &self.config.thread_stack_size)
            .finish_non_exhaustive()
    }
}

/// Whether a histogram is enabled, and its buckets.
#[derive(Clone, Debug, Default)]
struct Wanted {
    is_enabled: bool,
    configuration: Option<HistogramConfiguration>,
}

impl Wanted {
    fn resolve(&self, default: impl FnOnce() -> HistogramConfiguration) -> Option<HistogramConfiguration> {
        self.is_enabled.then(|| self.configuration.clone().unwrap_or_else(default))
    }
}

/// The seed of a runtime's random choices: which worker to steal from, which branch `select!` polls first.
///
/// # Examples
/// ```
/// use redd::runtime::{Builder, RngSeed};
///
/// let branch = || {
///     let runtime = Builder::new_current_thread().rng_seed(RngSeed::from_bytes(b"a test")).build().unwrap();
///     runtime.block_on(async { redd::select! { () = async {} => 1, () = async {} => 2 } })
/// };
/// assert_eq!(branch(), branch(), "`select!` starts at the same branch");
/// ```
#[derive(Clone, Debug)]
pub struct RngSeed {
    seed: u64,
}

impl RngSeed {
    /// Creates a seed from any bytes: the same bytes give the same seed on every machine.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // FNV-1a, 64 bit (Fowler, Noll, Vo): short and public domain. It need not resist an attacker.
        let seed = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self { seed }
    }
}

/// The largest event buffer of a worker, in events of 16 bytes.
const MAX_EVENTS_PER_TURN: usize = 65_536;

impl Builder {
    /// Creates a builder of a runtime that runs its tasks on the thread that calls `block_on`.
    ///
    /// Between calls of `block_on` no task is polled. There is one thread less than with
    /// [`new_multi_thread`](Self::new_multi_thread), and no task moves to another thread.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, RuntimeFlavor};
    ///
    /// let runtime = Builder::new_current_thread().build()?;
    /// let here = std::thread::current().id();
    /// let there = runtime.block_on(runtime.spawn(async { std::thread::current().id() }))?;
    /// assert_eq!(here, there);
    /// assert_eq!(runtime.handle().runtime_flavor(), RuntimeFlavor::CurrentThread);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_current_thread() -> Self {
        // Tokio's value, which programs rely on for their tuning.
        Self::new(RuntimeFlavor::CurrentThread, Some(31))
    }

    /// Creates a builder of a runtime with worker threads, which steal tasks from each other.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, RuntimeFlavor};
    ///
    /// let runtime = Builder::new_multi_thread().enable_all().build()?;
    /// let here = std::thread::current().id();
    /// let there = runtime.block_on(runtime.spawn(async { std::thread::current().id() }))?;
    /// assert_ne!(here, there);
    /// assert_eq!(runtime.handle().runtime_flavor(), RuntimeFlavor::MultiThread);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn new_multi_thread() -> Self {
        Self::new(RuntimeFlavor::MultiThread, None)
    }

    fn new(flavor: RuntimeFlavor, global_queue_interval: Option<u32>) -> Self {
        Self {
            flavor,
            worker_threads: None,
            config: Config {
                flavor: Flavor::CurrentThread,
                workers: 1,
                global_queue_interval,
                event_interval: 61,
                events_per_turn: 1024,
                enable_io: false,
                enable_time: false,
                start_paused: false,
                use_lifo_slot: true,
                name: None,
                thread_name: None,
                thread_stack_size: None,
                max_blocking_threads: 512,
                thread_keep_alive: Duration::from_secs(10),
                unhandled_panic: UnhandledPanic::Ignore,
                hooks: ThreadHooks::default(),
                task_hooks: TaskHooks::default(),
                poll_times: None,
                latencies: None,
                tracks_latency: false,
                seed: 0,
                rescue: Rescue::off(),
                on_late_poll: None,
                observe: true,
                diagnose: true,
                on_diagnosis: None,
                on_overdue: None,
                inherits_span: false,
                is_watched: false,
                baton: None,
                made_in: None,
            },
            seed: None,
            poll_times: Wanted::default(),
            latencies: Wanted::default(),
            legacy: (HistogramScale::Linear, Duration::from_micros(100), 10),
            rescue: None,
            max_rescue_workers: None,
            world_seed: None,
        }
    }

    /// Enables I/O and time: [`enable_io`](Self::enable_io) and [`enable_time`](Self::enable_time).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let address = runtime.block_on(async {
    ///     redd::time::sleep(Duration::from_millis(1)).await;
    ///     redd::net::UdpSocket::bind("127.0.0.1:0").await?.local_addr()
    /// })?;
    /// assert!(address.ip().is_loopback());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enable_all(&mut self) -> &mut Self {
        self.enable_io().enable_time()
    }

    /// Enables sockets, pipes, signals and processes.
    ///
    /// Without it they panic with a message that names this method.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_io().build()?;
    /// let listener = runtime.block_on(redd::net::TcpListener::bind("127.0.0.1:0"))?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enable_io(&mut self) -> &mut Self {
        self.config.enable_io = true;
        self
    }

    /// Enables `sleep`, `timeout` and `interval`.
    ///
    /// Without it they panic with a message that names this method.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_time().build()?;
    /// let result = runtime.block_on(async {
    ///     redd::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await
    /// });
    /// assert!(result.is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enable_time(&mut self) -> &mut Self {
        self.config.enable_time = true;
        self
    }

    /// Sets how long an idle thread of the blocking pool is kept. Default: 10 seconds.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = redd::runtime::Builder::new_current_thread().thread_keep_alive(Duration::ZERO).build()?;
    /// runtime.block_on(runtime.spawn_blocking(|| {}))?;
    /// while runtime.metrics().num_blocking_threads() > 0 {
    ///     std::thread::yield_now();
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_keep_alive(&mut self, duration: Duration) -> &mut Self {
        self.config.thread_keep_alive = duration;
        self
    }

    /// Sets the stack size of the runtime's threads, in bytes. Default: that of `std::thread`.
    ///
    /// It applies to workers and to threads of the blocking pool, not to the thread that calls `block_on`. If the system refuses
    /// a thread, the error of [`build`](Self::build) or of `spawn_blocking` names this size.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().thread_stack_size(16 << 20).build()?;
    /// let sum = runtime.spawn(async {
    ///     let large = [1_u8; 8 << 20]; // More than the default of 2 MiB.
    ///     std::hint::black_box(&large).iter().map(|byte| u64::from(*byte)).sum::<u64>()
    /// });
    /// assert_eq!(runtime.block_on(sum)?, 8 << 20);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.config.thread_stack_size = Some(bytes);
        self
    }

    /// Starts with the clock paused, for tests. It requires a current-thread runtime.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    /// runtime.block_on(async {
    ///     let start = redd::time::Instant::now();
    ///     redd::time::sleep(Duration::from_secs(3600)).await; // Returns at once: the clock jumps to the deadline.
    ///     assert!(start.elapsed() >= Duration::from_secs(3600));
    /// });
    /// ```
    pub fn start_paused(&mut self, is_paused: bool) -> &mut Self {
        self.config.start_paused = is_paused;
        self
    }

    /// Fixes the seed of the runtime's random choices, for tests that must repeat them. Default: a random seed.
    ///
    /// On a current-thread runtime the same seed gives the same choices. With several workers the system's scheduling
    /// still differs from run to run.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, RngSeed};
    ///
    /// let branches = || {
    ///     let runtime = Builder::new_current_thread().rng_seed(RngSeed::from_bytes(b"a test")).build().unwrap();
    ///     runtime.block_on(async {
    ///         let mut branches = Vec::new();
    ///         for _ in 0..20 {
    ///             branches.push(redd::select! { () = async {} => 1, () = async {} => 2 });
    ///         }
    ///         branches
    ///     })
    /// };
    /// assert_eq!(branches(), branches());
    /// ```
    pub fn rng_seed(&mut self, seed: RngSeed) -> &mut Self {
        self.seed = Some(seed.seed);
        self
    }

    /// Runs woken tasks in the order of their wakes. Default: the most recently woken task runs first.
    ///
    /// The LIFO slot makes replies between two tasks fast, because the data that they share is still in the CPU's
    /// cache.
    ///
    /// # Examples
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// let order = Arc::new(Mutex::new(Vec::new()));
    /// let runtime = redd::runtime::Builder::new_multi_thread().worker_threads(1).disable_lifo_slot().build()?;
    /// let tasks = runtime.spawn({
    ///     let order = order.clone();
    ///     async move {
    ///         let tasks = [1, 2, 3].map(|number| {
    ///             let order = order.clone();
    ///             redd::spawn(async move { order.lock().unwrap().push(number) })
    ///         });
    ///         for task in tasks {
    ///             task.await.unwrap();
    ///         }
    ///     }
    /// });
    /// runtime.block_on(tasks)?;
    /// assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn disable_lifo_slot(&mut self) -> &mut Self {
        self.config.use_lifo_slot = false;
        self
    }

    /// Sets whether a task's panic shuts the runtime down. Default: [`UnhandledPanic::Ignore`], so the other tasks
    /// continue.
    ///
    /// Differs from Tokio: it works on every flavor.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, UnhandledPanic};
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    ///
    /// let runtime = Builder::new_current_thread().unhandled_panic(UnhandledPanic::ShutdownRuntime).build()?;
    /// let result = catch_unwind(AssertUnwindSafe(|| {
    ///     runtime.block_on(async {
    ///         redd::spawn(async { panic!("a bug") });
    ///         std::future::pending::<()>().await
    ///     })
    /// }));
    /// assert!(result.is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn unhandled_panic(&mut self, policy: UnhandledPanic) -> &mut Self {
        self.config.unhandled_panic = policy;
        self
    }

    /// Records how long polls take, in one histogram for each worker.
    ///
    /// It costs two clock reads for each poll, about 40 ns. The values are in
    /// [`RuntimeMetrics::poll_time_histogram_bucket_count`](super::RuntimeMetrics::poll_time_histogram_bucket_count).
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_metrics_poll_time_histogram().build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// let metrics = runtime.metrics();
    /// let polls = (0..metrics.poll_time_histogram_num_buckets())
    ///     .map(|bucket| metrics.poll_time_histogram_bucket_count(0, bucket))
    ///     .sum::<u64>();
    /// assert_eq!(polls, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enable_metrics_poll_time_histogram(&mut self) -> &mut Self {
        self.poll_times.is_enabled = true;
        self
    }

    /// As in Tokio, an older name of [`enable_metrics_poll_time_histogram`](Self::enable_metrics_poll_time_histogram).
    #[doc(hidden)]
    #[deprecated(note = "use `enable_metrics_poll_time_histogram`")]
    pub fn enable_metrics_poll_count_histogram(&mut self) -> &mut Self {
        self.enable_metrics_poll_time_histogram()
    }

    /// Sets the buckets of the histogram of poll times, if that is enabled. Default: ten of 100 µs.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, HistogramConfiguration};
    /// use std::time::Duration;
    ///
    /// let runtime = Builder::new_current_thread()
    ///     .enable_metrics_poll_time_histogram()
    ///     .metrics_poll_time_histogram_configuration(HistogramConfiguration::linear(Duration::from_millis(1), 5))
    ///     .build()?;
    /// let metrics = runtime.metrics();
    /// assert_eq!(metrics.poll_time_histogram_bucket_range(1), Duration::from_millis(1)..Duration::from_millis(2));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn metrics_poll_time_histogram_configuration(&mut self, configuration: HistogramConfiguration) -> &mut Self {
        self.poll_times.configuration = Some(configuration);
        self
    }

    /// Sets how the buckets of the histogram of poll times grow. Tokio's older method.
    #[deprecated(note = "use `metrics_poll_time_histogram_configuration`")]
    pub fn metrics_poll_count_histogram_scale(&mut self, histogram_scale: HistogramScale) -> &mut Self {
        self.legacy.0 = histogram_scale;
        self
    }

    /// Sets how many buckets the histogram of poll times has. Tokio's older method.
    #[deprecated(note = "use `metrics_poll_time_histogram_configuration`")]
    pub fn metrics_poll_count_histogram_buckets(&mut self, buckets: usize) -> &mut Self {
        self.legacy.2 = buckets;
        self
    }

    /// Measures how long tasks are queued, for the hooks around polls:
    /// [`TaskMeta::schedule_latency`](super::TaskMeta::schedule_latency).
    ///
    /// It costs one more clock read for each wake and for each poll, about 20 ns each.
    ///
    /// # Examples
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// let latency = Arc::new(Mutex::new(None));
    /// let seen = latency.clone();
    /// let runtime = redd::runtime::Builder::new_current_thread()
    ///     .track_task_schedule_latency()
    ///     .on_before_task_poll(move |task| *seen.lock().unwrap() = task.schedule_latency())
    ///     .build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// assert!(latency.lock().unwrap().is_some());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn track_task_schedule_latency(&mut self) -> &mut Self {
        self.config.tracks_latency = true;
        self
    }

    /// Records how long tasks are queued before they are polled, in one histogram for each worker.
    ///
    /// This enables [`track_task_schedule_latency`](Self::track_task_schedule_latency) too, and costs the same.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_metrics_schedule_latency_histogram().build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// let metrics = runtime.metrics();
    /// let polls = (0..metrics.schedule_latency_histogram_num_buckets())
    ///     .map(|bucket| metrics.schedule_latency_histogram_bucket_count(0, bucket))
    ///     .sum::<u64>();
    /// assert_eq!(polls, 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enable_metrics_schedule_latency_histogram(&mut self) -> &mut Self {
        self.latencies.is_enabled = true;
        self
    }

    /// Sets the buckets of the histogram of schedule latencies, if that is enabled. Default: ten of 100 µs.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, HistogramConfiguration, LogHistogram};
    ///
    /// let runtime = Builder::new_current_thread()
    ///     .enable_metrics_schedule_latency_histogram()
    ///     .metrics_schedule_latency_histogram_configuration(HistogramConfiguration::log(LogHistogram::default()))
    ///     .build()?;
    /// assert!(runtime.metrics().schedule_latency_histogram_num_buckets() > 10);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn metrics_schedule_latency_histogram_configuration(
        &mut self,
        configuration: HistogramConfiguration,
    ) -> &mut Self {
        self.latencies.configuration = Some(configuration);
        self
    }

    /// Sets what happens when a task blocks its worker: whether redd detects, reports and rescues it, and after what
    /// time.
    ///
    /// - Default of a multi-thread runtime: [`Rescue::new`], also with one worker because the machine has one CPU.
    /// - Default after [`worker_threads(1)`](Self::worker_threads): [`Rescue::off`]. Such a program may rely on its tasks
    ///   never running in parallel.
    /// - A current-thread runtime never does more than [`Rescue::report_only`], its default, because its tasks need not be
    ///   `Send`. It is monitored once it is 100 ms old.
    /// - A spare worker is a thread like the others: it has the runtime's thread name, and the hooks for starting,
    ///   stopping, parking and unparking threads run on it.
    /// - Nothing is taken from the stalled thread. A lock that it holds stays locked, and tasks that wait for that lock
    ///   continue to wait.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, Rescue};
    /// use std::time::Duration;
    ///
    /// let runtime = Builder::new_multi_thread()
    ///     .worker_threads(2)
    ///     .rescue(Rescue::new().report_after(Duration::from_millis(50)))
    ///     .build()?;
    /// assert_eq!(runtime.metrics().rescues(), 0);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn rescue(&mut self, rescue: Rescue) -> &mut Self {
        self.rescue = Some(rescue);
        self
    }

    /// Sets how many spare workers may run at a time in the place of stalled ones. Default: 64.
    ///
    /// A shorter way to call [`Rescue::max_workers`].
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().worker_threads(2).max_rescue_workers(4).build()?;
    /// assert_eq!(runtime.metrics().rescue_workers(), 0, "none runs before a worker stalls");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn max_rescue_workers(&mut self, count: usize) -> &mut Self {
        self.max_rescue_workers = Some(count);
        self
    }

    /// Sets how many worker threads a multi-thread runtime has. A current-thread runtime ignores it.
    ///
    /// Default: the environment variable `TOKIO_WORKER_THREADS`, or the number of CPUs available to the process.
    ///
    /// - Differs from Tokio: `build` starts the first worker. Each worker starts the next one before its first task, and
    ///   the last one starts a spare thread.
    /// - With [`on_thread_start`](Self::on_thread_start) all workers start in `build`. With
    ///   [`on_thread_park`](Self::on_thread_park) or [`on_thread_unpark`](Self::on_thread_unpark) they also start at once,
    ///   one after the other.
    /// - All threads inherit the state of the thread that calls `build`: CPUs, signal mask, nice value, namespaces,
    ///   working directory. If a task, or a thread that calls a waker, changes its own state, that has no effect on
    ///   them.
    /// - If the system refuses a later thread, the runtime continues with the threads that it has. It reports that once
    ///   on standard error, and tries again from time to time. A thread that starts so late inherits from the thread
    ///   that starts it: a worker that has run tasks, or a thread in `block_on`.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    /// assert_eq!(runtime.metrics().num_workers(), 2);
    /// ```
    ///
    /// # Panics
    /// Panics if `count` is 0 or more than 32,767.
    #[track_caller]
    pub fn worker_threads(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::worker_threads` was called with 0: no thread would run the tasks. Give at least 1, or use \
             `Builder::new_current_thread` to run them on the calling thread."
        );
        assert!(
            count <= MAX_WORKERS,
            "`Builder::worker_threads` was called with {count}, more than the scheduler can count. Give at most {}.",
            MAX_WORKERS
        );
        self.worker_threads = Some(count);
        self
    }

    /// Sets how many threads the blocking pool may have, in addition to the workers. Default: 512. Further closures are
    /// queued.
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// static RUNNING: AtomicUsize = AtomicUsize::new(0);
    ///
    /// let runtime = redd::runtime::Builder::new_current_thread().max_blocking_threads(1).build()?;
    /// let closures = [(); 8].map(|()| {
    ///     runtime.spawn_blocking(|| {
    ///         let others = RUNNING.fetch_add(1, Ordering::Relaxed);
    ///         RUNNING.fetch_sub(1, Ordering::Relaxed);
    ///         others
    ///     })
    /// });
    /// for closure in closures {
    ///     assert_eq!(runtime.block_on(closure)?, 0, "one closure runs at a time");
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// Panics if `count` is 0.
    #[track_caller]
    pub fn max_blocking_threads(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::max_blocking_threads` was called with 0: `spawn_blocking` would wait forever. Give at least 1."
        );
        self.config.max_blocking_threads = count;
        self
    }

    /// Sets after how many polls a worker checks the injector before its own queue.
    ///
    /// The injector has the tasks that were spawned or woken by other threads. Default: 31 on a current-thread runtime.
    /// On a multi-thread runtime the interval depends on how long polls take.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().global_queue_interval(7).build()?;
    /// assert_eq!(runtime.block_on(runtime.spawn(async { 6 * 7 }))?, 42);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// Panics if `interval` is 0.
    #[track_caller]
    pub fn global_queue_interval(&mut self, interval: u32) -> &mut Self {
        assert!(
            interval > 0,
            "`Builder::global_queue_interval` was called with 0, which is not an interval. Give the number of polls between \
             two looks, at least 1."
        );
        self.config.global_queue_interval = Some(interval);
        self
    }

    /// Sets after how many polls a busy worker checks for I/O and timers. Default: 61.
    ///
    /// A smaller number lowers the latency of I/O under load. Each check costs a system call.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_all().event_interval(5).build()?;
    /// assert_eq!(runtime.block_on(runtime.spawn(async { 6 * 7 }))?, 42);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// Panics if `interval` is 0.
    #[track_caller]
    pub fn event_interval(&mut self, interval: u32) -> &mut Self {
        assert!(
            interval > 0,
            "`Builder::event_interval` was called with 0, which is not an interval. Give the number of polls between \
             two looks, at least 1."
        );
        self.config.event_interval = interval;
        self
    }

    /// Sets how many I/O events a worker takes at once when it has no task to run. Default: 1024, at most 65,536.
    ///
    /// Each worker has a buffer of that size, 16 bytes for each event. On a multi-thread runtime a worker takes at most 64 events at
    /// once, or half of [`event_interval`](Self::event_interval) if that is more. It leaves the rest to the worker that next runs
    /// out of tasks.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().enable_io().max_io_events_per_tick(64).build()?;
    /// let (one, other) = runtime.block_on(async { redd::net::UnixDatagram::pair() })?;
    /// let received = runtime.block_on(async {
    ///     one.send(b"spawn").await?;
    ///     other.recv(&mut [0; 8]).await
    /// })?;
    /// assert_eq!(received, 5);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// Panics if `count` is 0.
    #[track_caller]
    pub fn max_io_events_per_tick(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::max_io_events_per_tick` was called with 0: no I/O event would be taken. Give at least 1."
        );
        self.config.events_per_turn = count.min(MAX_EVENTS_PER_TURN);
        self
    }

    /// Sets how many I/O events a busy worker takes at once. Default: as many as an idle worker.
    ///
    /// Differs from Tokio: a worker has one buffer for events, so a smaller number applies to an idle worker too.
    ///
    /// # Panics
    /// Panics if `count` is 0.
    #[track_caller]
    pub fn max_io_events_per_busy_tick(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::max_io_events_per_busy_tick` was called with 0: no I/O event would be taken. Give at least 1."
        );
        self.config.events_per_turn = self.config.events_per_turn.min(count);
        self
    }

    /// Sets how wide the first bucket of the histogram of poll times is. Tokio's older method.
    ///
    /// # Panics
    /// Panics if it is 0.
    #[deprecated(note = "use `metrics_poll_time_histogram_configuration`")]
    #[track_caller]
    pub fn metrics_poll_count_histogram_resolution(&mut self, resolution: Duration) -> &mut Self {
        assert!(
            !resolution.is_zero(),
            "`Builder::metrics_poll_count_histogram_resolution` was called with 0: no poll is that short. Give the width \
             of the first bucket."
        );
        self.legacy.1 = resolution;
        self
    }

    /// Sets the name of the runtime in reports, which [`Handle::name`](super::Handle::name) returns.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().name("database").build()?;
    /// assert_eq!(runtime.handle().name(), Some("database"));
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// Panics if the name is empty or only white space.
    #[track_caller]
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        assert!(
            !name.trim().is_empty(),
            "`Builder::name` was called with the name {name:?}, which reports cannot show. Give a word, or no name."
        );
        self.config.name = Some(name);
        self
    }

    /// Sets one name for all threads of the runtime: workers, spare workers and blocking threads, as in Tokio.
    ///
    /// By default each thread has a name of its own:
    ///
    /// | thread | name | number |
    /// |---|---|---|
    /// | worker | `redd-worker-0` | the worker's index, as in metrics, dumps and traces |
    /// | spare worker | `redd-spare-0` | counted from the first spare, whose index follows that of the last worker |
    /// | of the blocking pool | `redd-blocking-0` | the smallest that no other thread of the pool has |
    ///
    /// The numbers start from 0 in each runtime. A process with several runtimes has threads of the same name, unless this method
    /// names them. Differs from Tokio: there the default is one name for all, `tokio-rt-worker`.
    ///
    /// Linux keeps 15 bytes of a name, for `ps -L`, `top -H`, `perf`, gdb and `/proc`. A default name that is longer is shortened there
    /// so that its number remains: `redd-blocking-10` is `redd-blockin-10`. [`Thread::name`](std::thread::Thread::name) returns the whole
    /// name. Of a name set here, Linux keeps the first 15 bytes.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().thread_name("crunch").build().unwrap();
    /// let name = runtime.block_on(runtime.spawn(async { std::thread::current().name().map(str::to_owned) }));
    /// assert_eq!(name.unwrap().as_deref(), Some("crunch"));
    /// ```
    ///
    /// By default:
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    /// let name = || std::thread::current().name().map(str::to_owned);
    /// let worker = runtime.block_on(runtime.spawn(async move { name() }))?;
    /// let blocking = runtime.block_on(runtime.spawn_blocking(name))?;
    /// assert_eq!(worker.as_deref(), Some("redd-worker-0"));
    /// assert_eq!(blocking.as_deref(), Some("redd-blocking-0"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        self.config.thread_name = Some(Arc::new(move || name.clone()));
        self
    }

    /// Sets a function that is called once for each thread of the runtime and returns its name.
    ///
    /// [`build`](Self::build) calls it for all workers, also for those whose threads start later, and for two spare workers. It is
    /// called again when a spare worker or a thread of the blocking pool starts. If the function panics, the thread gets its default
    /// name; see [`thread_name`](Self::thread_name).
    ///
    /// # Examples
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// static NEXT: AtomicUsize = AtomicUsize::new(0);
    ///
    /// let runtime = redd::runtime::Builder::new_multi_thread()
    ///     .thread_name_fn(|| format!("crunch-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// let name = runtime.block_on(runtime.spawn(async { std::thread::current().name().map(str::to_owned) }))?;
    /// assert!(name.unwrap().starts_with("crunch-"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.config.thread_name = Some(Arc::new(f));
        self
    }

    /// Enables time, as [`enable_time`](Self::enable_time) does.
    ///
    /// Tokio has a second implementation of timers, with a wheel for each worker. redd's timers always have that.
    pub fn enable_alt_timer(&mut self) -> &mut Self {
        self.enable_time()
    }

    /// Accepted for compatibility, without effect.
    ///
    /// In Tokio, a worker that leaves the driver then wakes another one to take over the driver before it runs tasks.
    /// In redd all workers share one epoll.
    pub fn enable_eager_driver_handoff(&mut self) -> &mut Self {
        self
    }

    /// Accepted for compatibility, without effect.
    ///
    /// In Tokio it splits the lock of the blocking pool's queue. redd's pool mostly passes closures to threads without
    /// that lock.
    pub fn enable_sharded_blocking_queue(&mut self) -> &mut Self {
        self
    }

    /// Accepted for compatibility, without effect: files are read from the page cache, and otherwise by the blocking pool.
    pub fn enable_io_uring(&mut self) -> &mut Self {
        self
    }

    /// Calls `f` on each thread of the runtime when it starts, including the threads of the blocking pool.
    ///
    /// - With this hook all workers start in [`build`](Self::build), and not one after another. So a program may count
    ///   them, or make them wait for each other.
    /// - A spare worker calls it when it first runs in the place of another.
    /// - A panic in this or any other hook is printed, and the runtime continues.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let threads = Arc::new(AtomicUsize::new(0));
    /// let counter = threads.clone();
    /// let runtime = redd::runtime::Builder::new_multi_thread()
    ///     .worker_threads(2)
    ///     .on_thread_start(move || drop(counter.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// drop(runtime);
    /// assert!(threads.load(Ordering::Relaxed) >= 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_thread_start<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_start = Some(Arc::new(f));
        self
    }

    /// Calls `f` on each thread of the runtime before it ends.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let threads = Arc::new(AtomicUsize::new(0));
    /// let counter = threads.clone();
    /// let runtime = redd::runtime::Builder::new_multi_thread()
    ///     .worker_threads(1)
    ///     .on_thread_stop(move || drop(counter.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// drop(runtime);
    /// assert!(threads.load(Ordering::Relaxed) >= 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_thread_stop<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_stop = Some(Arc::new(f));
        self
    }

    /// Calls `f` on a worker before it parks because it has nothing to do.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (parked, parks) = mpsc::channel();
    /// let runtime = redd::runtime::Builder::new_multi_thread()
    ///     .worker_threads(1)
    ///     .on_thread_park(move || drop(parked.send(std::thread::current().id())))
    ///     .build()?;
    /// assert_ne!(parks.recv().unwrap(), std::thread::current().id());
    /// # drop(runtime);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_thread_park<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_park = Some(Arc::new(f));
        self
    }

    /// Calls `f` on a worker after it was parked.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (parked, parks) = mpsc::channel();
    /// let (unparked, unparks) = mpsc::channel();
    /// let runtime = redd::runtime::Builder::new_multi_thread()
    ///     .worker_threads(1)
    ///     .on_thread_park(move || drop(parked.send(())))
    ///     .on_thread_unpark(move || drop(unparked.send(())))
    ///     .build()?;
    /// parks.recv().unwrap();
    /// runtime.block_on(runtime.spawn(async {}))?; // Wakes the worker.
    /// assert_eq!(unparks.recv(), Ok(()));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_thread_unpark<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_unpark = Some(Arc::new(f));
        self
    }

    /// Calls `f` with each task that is spawned, on the thread that spawns it.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let count = Arc::new(AtomicUsize::new(0));
    /// let counter = count.clone();
    /// let runtime = redd::runtime::Builder::new_current_thread()
    ///     .on_task_spawn(move |_task| drop(counter.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// assert_eq!(count.load(Ordering::Relaxed), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_task_spawn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.on_spawn = Some(Arc::new(f));
        self
    }

    /// Calls `f` with each task that ends: completed, cancelled or panicked.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let count = Arc::new(AtomicUsize::new(0));
    /// let counter = count.clone();
    /// let runtime = redd::runtime::Builder::new_current_thread()
    ///     .on_task_terminate(move |_task| drop(counter.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// assert_eq!(count.load(Ordering::Relaxed), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_task_terminate<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.on_terminate = Some(Arc::new(f));
        self
    }

    /// Calls `f` before each poll of a task.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let count = Arc::new(AtomicUsize::new(0));
    /// let counter = count.clone();
    /// let runtime = redd::runtime::Builder::new_current_thread()
    ///     .on_before_task_poll(move |_task| drop(counter.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// runtime.block_on(runtime.spawn(redd::task::yield_now()))?;
    /// assert_eq!(count.load(Ordering::Relaxed), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_before_task_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.before_poll = Some(Arc::new(f));
        self
    }

    /// Calls `f` after each poll of a task.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// let count = Arc::new(AtomicUsize::new(0));
    /// let counter = count.clone();
    /// let runtime = redd::runtime::Builder::new_current_thread()
    ///     .on_after_task_poll(move |_task| drop(counter.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// runtime.block_on(runtime.spawn(redd::task::yield_now()))?;
    /// assert_eq!(count.load(Ordering::Relaxed), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_after_task_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.after_poll = Some(Arc::new(f));
        self
    }

    /// Calls `f` for each panic of a task or blocking closure that is not joined. Default: a line on standard error
    /// with the task's name, location and age.
    ///
    /// - A panic is not joined if the `JoinHandle` is dropped without having been awaited. `f` runs on the thread that
    ///   drops the handle. If the handle is already gone, it runs where the task panics. It must not block.
    /// - For tasks of a `LocalSet`, `f` is the hook of the runtime in which the set runs.
    /// - A panic of `f` is printed and goes no further.
    ///
    /// # Examples
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// let panics = Arc::new(Mutex::new(Vec::new()));
    /// let seen = panics.clone();
    /// let runtime = redd::runtime::Builder::new_current_thread()
    ///     .on_unhandled_panic(move |panic| seen.lock().unwrap().push(panic.message().unwrap_or("?").to_owned()))
    ///     .build()
    ///     .unwrap();
    /// runtime.block_on(async {
    ///     drop(redd::spawn(async { panic!("not joined") }));
    ///     redd::task::yield_now().await;
    /// });
    /// assert_eq!(*panics.lock().unwrap(), ["not joined"]);
    /// ```
    pub fn on_unhandled_panic<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&UnjoinedPanic<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.on_unjoined_panic = Some(Arc::new(f));
        self
    }

    /// Calls `f` when a poll is late, instead of writing a line to standard error; see [`Rescue::report_after`].
    ///
    /// - It is called when the line would be written. So it is not called for a rescue below [`Rescue::report_after`].
    ///   For a poll that may be panicking it is called after the end of that poll.
    /// - It runs on the monitor thread of the process, after the rescue. No worker of any runtime is rescued while it
    ///   runs, so it must not block for long.
    /// - A panic in it is printed, and the monitor continues.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, LatePoll};
    /// use std::sync::mpsc;
    ///
    /// let (report, reports) = mpsc::channel();
    /// let (end, ended) = mpsc::channel::<()>();
    /// let runtime = Builder::new_multi_thread()
    ///     .on_late_poll(move |late: &LatePoll| drop(report.send(late.to_string())))
    ///     .build()
    ///     .unwrap();
    /// runtime.spawn(async move { ended.recv() }); // Blocks its worker.
    /// assert!(reports.recv().unwrap().contains("spawn_blocking"));
    /// drop(end);
    /// ```
    pub fn on_late_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&LatePoll) + Send + Sync + 'static,
    {
        self.config.on_late_poll = Some(Arc::new(f));
        self
    }

    /// Whether the program `redd` may ask this runtime from outside what it does. Default: yes.
    ///
    /// - The same user, or root, may read the state of tasks: names, locations in the source and what they wait on. Nothing of the
    ///   program's data is shown, and nothing can be changed.
    /// - A process without a runtime that may be asked has no thread for it. That thread sleeps until a client asks.
    ///   A current-thread runtime starts it at an age of 100 ms, others when they are built.
    /// - The environment variable `REDD_DEBUG=attach=off` does the same for all runtimes of a process.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().observe(false).build()?;
    /// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn observe(&mut self, is_seen: bool) -> &mut Self {
        self.config.observe = is_seen;
        self
    }

    /// Whether the runtime looks by itself for tasks that can never run again. Default: yes.
    ///
    /// It finds deadlocks and futurelocks within about two seconds, and stranded tasks: see [`Diagnosis`]. Each line that has one is
    /// reported once, on standard error or to [`on_diagnosis`](Self::on_diagnosis). A report changes nothing else.
    ///
    /// - A look needs a reason: a task has waited for a lock or for permits, or a worker has parked. A process in which nothing happens
    ///   has no looks and no wake-ups for them. Looks take at most a hundredth of one CPU.
    /// - The monitor thread of the process does it. A runtime without rescue starts that thread when a task first waits for a lock; a
    ///   current-thread runtime not before an age of 100 ms.
    /// - The environment variable `REDD_DEBUG=diagnose=off` switches it off for all runtimes of a process.
    ///
    /// [`Handle::snapshot`](super::Handle::snapshot) has the diagnoses in any case.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_current_thread().diagnose(false).build()?;
    /// assert_eq!(runtime.block_on(async { 6 * 7 }), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn diagnose(&mut self, looks: bool) -> &mut Self {
        self.config.diagnose = looks;
        self
    }

    /// Calls `f` for each diagnosis, instead of writing it to standard error; see [`diagnose`](Self::diagnose).
    ///
    /// - It is called once for each line that has a deadlock, a futurelock or a stranded task. A diagnosis with tasks of several
    ///   runtimes goes to the one with the first task. [`Diagnosis::NothingCanHappen`] is not reported: a thread outside may wake a
    ///   task. Only a [strict](Self::fail_on_diagnosis) test fails with it.
    /// - It runs on the monitor thread of the process. No worker of any runtime is rescued while it runs, so it must not block for
    ///   long.
    /// - A panic in it is printed, and the monitor continues.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Builder;
    /// use redd::runtime::dump::Diagnosis;
    /// use redd::sync::Mutex;
    /// use std::sync::{Arc, mpsc};
    ///
    /// let (report, reports) = mpsc::channel();
    /// let runtime = Builder::new_multi_thread()
    ///     .worker_threads(2)
    ///     .on_diagnosis(move |diagnosis: &Diagnosis| drop(report.send(diagnosis.to_string())))
    ///     .build()?;
    /// let lock = Arc::new(Mutex::new(()));
    /// runtime.spawn(async move {
    ///     let _first = lock.lock().await;
    ///     let _second = lock.lock().await;
    /// });
    /// assert!(reports.recv().unwrap().starts_with("deadlock: a task waits for itself\n"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_diagnosis<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&Diagnosis) + Send + Sync + 'static,
    {
        self.config.on_diagnosis = Some(Arc::new(f));
        self
    }

    /// Calls `f` for what of a [`TaskGroup`](crate::group::TaskGroup) takes longer than it may, instead of writing it to standard error.
    ///
    /// - A group that was cancelled is waited for, by `close` or the like, and after a second its blocking closures still run. They cannot
    ///   be stopped. It is reported once. A group that was not cancelled is not reported, however long it takes.
    /// - A clean-up has exceeded its time, and no call has returned that: the group was dropped, or `close` returned another failure.
    /// - The future of a [`shield`](crate::group::shield()) has exceeded its time, and was dropped.
    /// - `f` runs on the thread where that happens, often a worker. So it must not block. A panic in it is caught.
    ///
    /// `REDD_DEBUG=overdue=off` switches the lines on standard error off.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{TaskGroup, shield};
    /// use redd::observe::Overdue;
    /// use redd::runtime::Builder;
    /// use redd::time::Duration;
    /// use std::sync::mpsc;
    ///
    /// let (report, reports) = mpsc::channel();
    /// let runtime = Builder::new_current_thread()
    ///     .enable_all()
    ///     .start_paused(true)
    ///     .on_overdue(move |overdue: &Overdue| drop(report.send(overdue.to_string())))
    ///     .build()?;
    /// runtime.block_on(async {
    ///     let group = TaskGroup::<()>::new();
    ///     group.spawn(shield(Duration::from_secs(5), std::future::pending()));
    ///     redd::task::yield_now().await;
    ///     group.cancel("shutdown");
    ///     group.close().await.unwrap_err();
    /// });
    /// assert!(reports.try_recv().unwrap().contains("did not end within 5s"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_overdue<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&Overdue) + Send + Sync + 'static,
    {
        self.config.on_overdue = Some(Arc::new(f));
        self
    }

    /// Whether a diagnosis makes [`Runtime::block_on`] panic, with the report and a dump of all tasks. Default: no. It is for tests:
    /// `#[redd::test(strict)]` sets it.
    ///
    /// - The look of [`diagnose`](Self::diagnose) takes place each second, and once more when the future of `block_on` has ended.
    /// - It also fails if [nothing can happen](Diagnosis::NothingCanHappen) for five seconds. So a test that waits longer than that for a
    ///   thread of its own should not be strict.
    /// - A task that is left over when the future ends is a diagnosis if it can never run again and its `JoinHandle` was dropped, such
    ///   as a detached `pending()`.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Builder;
    ///
    /// let runtime = Builder::new_current_thread().fail_on_diagnosis(true).build()?;
    /// let failure = std::panic::catch_unwind(|| {
    ///     runtime.block_on(async {
    ///         drop(redd::spawn(std::future::pending::<()>()));
    ///         redd::task::yield_now().await;
    ///     });
    /// });
    /// assert!(failure.unwrap_err().downcast::<String>().unwrap().contains("can never run again"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn fail_on_diagnosis(&mut self, fails: bool) -> &mut Self {
        self.config.is_watched = fails;
        self
    }

    /// Makes a simulated world for this runtime: its schedule, its clock and all its random choices follow from `seed`. For tests.
    ///
    /// - The thread that builds the runtime belongs to the world until it drops the runtime. Call `block_on` on that thread.
    /// - A multi-thread runtime has one worker, and its other properties: tasks are `Send`, and `block_in_place` works.
    /// - Time is virtual: if no thread can run, the clock moves to the next timer.
    /// - [`Runtime::block_on`] panics if nothing can happen any more, if a panic was not joined, or if a thread outside of the world has
    ///   woken a task of it.
    /// - On a thread of a world this does nothing: a runtime that is built there belongs to that world. See [`sim`](crate::sim).
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Builder;
    /// use redd::time::{Duration, Instant, sleep};
    ///
    /// let runtime = Builder::new_multi_thread().enable_time().simulated(7).build()?;
    /// runtime.block_on(async {
    ///     let start = Instant::now();
    ///     sleep(Duration::from_secs(3600)).await;
    ///     assert_eq!(start.elapsed(), Duration::from_secs(3600));
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    pub fn simulated(&mut self, seed: u64) -> &mut Self {
        self.world_seed = Some(seed);
        self
    }

    /// Runs each task and blocking closure inside of the `tracing` span that was current where it was spawned. Off by default.
    ///
    /// - The span is entered for each poll, and while the future is dropped. It is not closed before the task has ended.
    /// - The spans that redd makes for its tasks and locks are not inherited.
    /// - Each spawn then asks the subscriber for the current span, and allocates if there is one.
    /// - A [`TaskGroup`](crate::group::TaskGroup) may decide otherwise for its tasks:
    ///   [`TaskGroupBuilder::inherit_span`](crate::group::TaskGroupBuilder::inherit_span).
    ///
    /// Only with the feature `tracing`.
    ///
    /// # Examples
    /// ```
    /// use tracing::{Span, info_span};
    ///
    /// let runtime = redd::runtime::Builder::new_current_thread().inherit_span(true).build()?;
    /// let task = info_span!("request").in_scope(|| runtime.spawn(async { Span::current().is_none() }));
    /// // A program with a subscriber would see `request` inside of the task.
    /// assert!(runtime.block_on(task)?);
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(feature = "tracing")]
    pub fn inherit_span(&mut self, inherits: bool) -> &mut Self {
        self.config.inherits_span = inherits;
        self
    }

    /// Returns the chosen options, with the ones that follow from them.
    fn finished_config(&self) -> Config {
        let mut config = self.config.clone();
        config.seed = self.seed.unwrap_or_else(random_seed);
        let (scale, resolution, buckets) = self.legacy;
        config.poll_times = self.poll_times.resolve(|| HistogramConfiguration::legacy(scale, resolution, buckets));
        config.latencies = self.latencies.resolve(HistogramConfiguration::default);
        config.task_hooks = spans::around(config.task_hooks);
        config
    }

    /// Builds the runtime and starts its first thread; see [`worker_threads`](Self::worker_threads).
    ///
    /// The builder can be used again: each call builds another runtime.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptors are left, `EAGAIN` if the system refuses the thread. Then no part of the
    /// runtime is left running.
    ///
    /// # Panics
    /// Panics if the clock is to start paused on a multi-thread runtime.
    ///
    /// # Examples
    /// ```
    /// let mut builder = redd::runtime::Builder::new_current_thread();
    /// let one = builder.enable_all().build()?;
    /// let other = builder.build()?;
    /// assert_ne!(one.handle().id(), other.handle().id());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn build(&mut self) -> io::Result<Runtime> {
        let world = self.own_world();
        let mut config = self.finished_config();
        match self.flavor {
            RuntimeFlavor::CurrentThread => {
                config.flavor = Flavor::CurrentThread;
                config.rescue = self.rescue_or(Rescue::report_only()).without_spares();
            }
            RuntimeFlavor::MultiThread => {
                assert!(
                    !config.start_paused,
                    "`Builder::start_paused` needs one thread to decide when time advances. Use \
                     `Builder::new_current_thread`."
                );
                config.flavor = Flavor::MultiThread;
                config.workers = match self.worker_threads {
                    Some(count) => count,
                    None => default_workers()?.min(MAX_WORKERS),
                };
                let default = if self.worker_threads == Some(1) { Rescue::off() } else { Rescue::new() };
                config.rescue = self.rescue_or(default);
            }
        }
        simulate_if_in_world(&mut config);
        Runtime::start(config, world)
    }

    /// The world of this runtime alone, if it is to have one.
    fn own_world(&self) -> Option<OwnWorld> {
        #[cfg(redd_suite_in_world)]
        super::suite_in_world::join();
        self.world_seed.filter(|_| !baton::is_member()).map(OwnWorld::new)
    }

    fn rescue_or(&self, default: Rescue) -> Rescue {
        let rescue = self.rescue.clone().unwrap_or(default);
        match self.max_rescue_workers {
            Some(count) => rescue.max_workers(count),
            None => rescue,
        }
    }

    /// Builds a runtime that stays on this thread and runs tasks that are not `Send`.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    ///
    /// # Panics
    /// Panics if this is a multi-thread builder.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, LocalOptions};
    /// use std::rc::Rc;
    ///
    /// let runtime = Builder::new_current_thread().build_local(LocalOptions::default())?;
    /// let number = Rc::new(42);
    /// let task = runtime.spawn_local({
    ///     let number = number.clone();
    ///     async move { *number }
    /// });
    /// assert_eq!(runtime.block_on(task)?, 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn build_local(&mut self, options: LocalOptions) -> io::Result<LocalRuntime> {
        assert!(
            self.flavor == RuntimeFlavor::CurrentThread,
            "`Builder::build_local` was called on a multi-thread builder: a local runtime stays on its thread. Use \
             `Builder::new_current_thread`."
        );
        let LocalOptions { .. } = options;
        let world = self.own_world();
        let mut config = self.finished_config();
        config.flavor = Flavor::Local;
        config.rescue = self.rescue_or(Rescue::report_only()).without_spares();
        simulate_if_in_world(&mut config);
        LocalRuntime::start(config, world)
    }
}

/// A runtime that is built on a thread of a simulated world belongs to that world.
fn simulate_if_in_world(config: &mut Config) {
    if let Some(baton) = baton::current() {
        config.simulate(baton);
    }
}

/// Reads `TOKIO_WORKER_THREADS`, or else counts the CPUs that this process may use.
#[track_caller]
fn default_workers() -> io::Result<usize> {
    let Some(text) = std::env::var_os("TOKIO_WORKER_THREADS") else {
        return Ok(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    };
    match text.to_str().and_then(|text| text.trim().parse::<usize>().ok()) {
        Some(count) if count > 0 => Ok(count),
        Some(_) | None => panic!(
            "the environment variable TOKIO_WORKER_THREADS is {text:?}, which is not a number of threads. Set it to 1 or \
             more, or unset it to use one thread a CPU."
        ),
    }
}

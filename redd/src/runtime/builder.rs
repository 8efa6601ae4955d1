//! `Builder`: every option of a runtime, its default, its cost.
//!
//! Long because each option is a method of its own, with its contract.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::lifecycle::Runtime;
use super::local::{LocalOptions, LocalRuntime};
use crate::observe::histogram::{HistogramConfiguration, HistogramScale};
use crate::primitives::rng::random_seed;
use crate::scheduler::choices::{DEFAULT_THREAD_NAME, Flavor, MAX_WORKERS, RuntimeFlavor, UnhandledPanic};
use crate::scheduler::config::{Config, ThreadHooks};
use crate::scheduler::rescue::{LatePoll, Rescue};
use crate::task::TaskMeta;
use crate::task::hooks::{TaskHooks, UnjoinedPanic};
use crate::task::spans;

/// Makes a [`Runtime`] with chosen options.
///
/// Nothing is enabled at first: most programs call [`enable_all`](Self::enable_all).
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
#[derive(Debug)]
pub struct Builder {
    flavor: RuntimeFlavor,
    worker_threads: Option<usize>,
    config: Config,
    seed: Option<u64>,
    rescue: Option<Rescue>,
    max_rescue_workers: Option<usize>,
    poll_times: Wanted,
    latencies: Wanted,
    /// What Tokio's older methods said of the histogram of poll times.
    legacy: (HistogramScale, Duration, usize),
}

/// A histogram that a program may ask for: whether, and how.
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

/// The seed of a runtime's choices: which worker to steal from, where `select!` starts.
#[derive(Clone, Debug)]
pub struct RngSeed {
    seed: u64,
}

impl RngSeed {
    /// A seed from any bytes: the same bytes give the same seed on every machine.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // FNV-1a, 64 bit (Fowler, Noll, Vo): short, public domain, and it need not resist an attacker.
        let seed = bytes
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        Self { seed }
    }
}

/// Each worker has room for so many I/O events, 16 bytes each.
const MAX_EVENTS_PER_TURN: usize = 65_536;

impl Builder {
    /// A runtime that runs its tasks on the thread that calls `block_on`.
    pub fn new_current_thread() -> Self {
        // Tokio's value; programs tune against it.
        Self::new(RuntimeFlavor::CurrentThread, Some(31))
    }

    /// A runtime with worker threads that share the work.
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
                use_next_slot: true,
                name: None,
                thread_name: Arc::new(|| DEFAULT_THREAD_NAME.to_owned()),
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
            },
            seed: None,
            poll_times: Wanted::default(),
            latencies: Wanted::default(),
            legacy: (HistogramScale::Linear, Duration::from_micros(100), 10),
            rescue: None,
            max_rescue_workers: None,
        }
    }

    /// Enables I/O and time: sockets, signals, processes, `sleep`, `timeout`, `interval`.
    pub fn enable_all(&mut self) -> &mut Self {
        self.enable_io().enable_time()
    }

    /// Enables sockets, pipes, signals and processes.
    pub fn enable_io(&mut self) -> &mut Self {
        self.config.enable_io = true;
        self
    }

    /// Enables `sleep`, `timeout`, `interval`.
    pub fn enable_time(&mut self) -> &mut Self {
        self.config.enable_time = true;
        self
    }

    /// How long an idle thread of the blocking pool stays. Default: 10 seconds.
    pub fn thread_keep_alive(&mut self, duration: Duration) -> &mut Self {
        self.config.thread_keep_alive = duration;
        self
    }

    /// The stack of its threads, in bytes. Default: the system's. If the system refuses a thread, the error names this
    /// size: of [`build`](Self::build) for a worker, of `spawn_blocking` for a thread of the blocking pool.
    pub fn thread_stack_size(&mut self, bytes: usize) -> &mut Self {
        self.config.thread_stack_size = Some(bytes);
        self
    }

    /// Starts with the clock paused, for tests. Only on a current-thread runtime.
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

    /// Fixes the seed of the runtime's choices.
    pub fn rng_seed(&mut self, seed: RngSeed) -> &mut Self {
        self.seed = Some(seed.seed);
        self
    }

    /// Runs woken tasks strictly in the order of their wakes, instead of the most recently woken first.
    pub fn disable_lifo_slot(&mut self) -> &mut Self {
        self.config.use_next_slot = false;
        self
    }

    /// Whether a task's panic shuts the runtime down. Default: the rest goes on. Works on every flavor.
    pub fn unhandled_panic(&mut self, policy: UnhandledPanic) -> &mut Self {
        self.config.unhandled_panic = policy;
        self
    }

    /// Counts how long polls take, in a histogram for each worker; see
    /// [`RuntimeMetrics::poll_time_histogram_bucket_count`](super::RuntimeMetrics::poll_time_histogram_bucket_count).
    ///
    /// Each poll then reads the clock twice, some 40 ns.
    pub fn enable_metrics_poll_time_histogram(&mut self) -> &mut Self {
        self.poll_times.is_enabled = true;
        self
    }

    /// The buckets of the histogram of poll times, if that is enabled. Default: ten of 100 µs.
    pub fn metrics_poll_time_histogram_configuration(&mut self, configuration: HistogramConfiguration) -> &mut Self {
        self.poll_times.configuration = Some(configuration);
        self
    }

    /// As in Tokio, an older way to say how the buckets of the histogram of poll times grow.
    #[deprecated(note = "use `metrics_poll_time_histogram_configuration`")]
    pub fn metrics_poll_count_histogram_scale(&mut self, histogram_scale: HistogramScale) -> &mut Self {
        self.legacy.0 = histogram_scale;
        self
    }

    /// As in Tokio, an older way to say how many buckets there are.
    #[deprecated(note = "use `metrics_poll_time_histogram_configuration`")]
    pub fn metrics_poll_count_histogram_buckets(&mut self, buckets: usize) -> &mut Self {
        self.legacy.2 = buckets;
        self
    }

    /// Tells the hooks of polls how long the task was queued:
    /// [`TaskMeta::schedule_latency`](super::TaskMeta::schedule_latency).
    ///
    /// Each wake and each poll then read the clock once more, some 20 ns.
    pub fn track_task_schedule_latency(&mut self) -> &mut Self {
        self.config.tracks_latency = true;
        self
    }

    /// Counts how long tasks are queued before they are polled, in a histogram for each worker. Costs as
    /// [`track_task_schedule_latency`](Self::track_task_schedule_latency), which this enables too.
    pub fn enable_metrics_schedule_latency_histogram(&mut self) -> &mut Self {
        self.latencies.is_enabled = true;
        self
    }

    /// The buckets of the histogram of schedule latencies, if that is enabled. Default: ten of 100 µs.
    pub fn metrics_schedule_latency_histogram_configuration(
        &mut self,
        configuration: HistogramConfiguration,
    ) -> &mut Self {
        self.latencies.configuration = Some(configuration);
        self
    }

    /// What happens when a task blocks its worker: looked for, reported and rescued, in which times, or not at all.
    ///
    /// - Default: [`Rescue::new`] on a multi-thread runtime, also with one worker because the machine has one CPU.
    ///   [`Rescue::off`] if [`worker_threads(1)`](Self::worker_threads) was asked for: such a program may rely on
    ///   its tasks never running in parallel. [`Rescue::report_only`] on a current-thread runtime, whatever is
    ///   asked for beyond that: its tasks need not be `Send`. It is watched once it is 100 ms old.
    /// - A spare worker is a thread as the others: it has the runtime's thread name, and the hooks for starting,
    ///   stopping, parking and unparking threads run on it.
    /// - Nothing is taken from the stuck thread. A lock that it holds stays locked, and what waits for that lock
    ///   waits on.
    pub fn rescue(&mut self, rescue: Rescue) -> &mut Self {
        self.rescue = Some(rescue);
        self
    }

    /// How many spare workers may run for stuck ones at a time; short for [`Rescue::max_workers`]. Default: 64.
    pub fn max_rescue_workers(&mut self, count: usize) -> &mut Self {
        self.max_rescue_workers = Some(count);
        self
    }

    /// How many worker threads a multi-thread runtime has. A current-thread runtime ignores it.
    ///
    /// Default: the environment variable `TOKIO_WORKER_THREADS`, or the number of CPUs available to the process.
    ///
    /// - Differs from Tokio: `build` starts the first worker. Each worker starts the next before its first task, and the
    ///   last one starts a spare thread that stands by.
    /// - With [`on_thread_start`](Self::on_thread_start) all workers start in `build`. With
    ///   [`on_thread_park`](Self::on_thread_park) or [`on_thread_unpark`](Self::on_thread_unpark) they start at once,
    ///   one behind the other.
    /// - All inherit the state of the thread that calls `build` (CPUs, signal mask, nice value, namespaces, working
    ///   directory), whatever a task or the thread of a waker has changed for itself.
    /// - If the system refuses a later thread, the runtime goes on with those that it has, says so once on standard
    ///   error, and asks again from time to time. A thread that it gets then inherits from the thread that asks: a
    ///   worker that has run tasks, or a thread in `block_on`.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    /// assert_eq!(runtime.metrics().num_workers(), 2);
    /// ```
    ///
    /// # Panics
    /// If `count` is 0 or more than 32,767.
    #[track_caller]
    pub fn worker_threads(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::worker_threads` was called with 0: nobody would run the tasks. Give at least 1, or use \
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

    /// How many threads the blocking pool may grow to, beside the workers. Default: 512. Further closures wait.
    ///
    /// # Panics
    /// If `count` is 0.
    #[track_caller]
    pub fn max_blocking_threads(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::max_blocking_threads` was called with 0: `spawn_blocking` would wait for ever. Give at least 1."
        );
        self.config.max_blocking_threads = count;
        self
    }

    /// After how many polls a worker asks the injector (tasks from outside) before its own queue. Default: 31 on a
    /// current-thread runtime; on a multi-thread one it follows from how long polls take.
    ///
    /// # Panics
    /// If `interval` is 0.
    #[track_caller]
    pub fn global_queue_interval(&mut self, interval: u32) -> &mut Self {
        assert!(
            interval > 0,
            "`Builder::global_queue_interval` was called with 0: there is no such interval. Give the number of polls between \
             two looks, at least 1."
        );
        self.config.global_queue_interval = Some(interval);
        self
    }

    /// After how many polls a busy worker looks for I/O and timers.
    ///
    /// # Panics
    /// If `interval` is 0.
    #[track_caller]
    pub fn event_interval(&mut self, interval: u32) -> &mut Self {
        assert!(
            interval > 0,
            "`Builder::event_interval` was called with 0: there is no such interval. Give the number of polls between \
             two looks, at least 1."
        );
        self.config.event_interval = interval;
        self
    }

    /// How many I/O events a worker takes at once when it has nothing else to do. Default: 1024, at most 65,536.
    ///
    /// # Panics
    /// If `count` is 0.
    #[track_caller]
    pub fn max_io_events_per_tick(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::max_io_events_per_tick` was called with 0: no I/O would ever be seen. Give at least 1."
        );
        self.config.events_per_turn = count.min(MAX_EVENTS_PER_TURN);
        self
    }

    /// How many I/O events a busy worker takes at once. Default: as many as an idle one. Differs from Tokio: a
    /// worker has one buffer for events, so a smaller number holds for an idle worker too.
    ///
    /// # Panics
    /// If `count` is 0.
    #[track_caller]
    pub fn max_io_events_per_busy_tick(&mut self, count: usize) -> &mut Self {
        assert!(
            count > 0,
            "`Builder::max_io_events_per_busy_tick` was called with 0: no I/O would ever be seen. Give at least 1."
        );
        self.config.events_per_turn = self.config.events_per_turn.min(count);
        self
    }

    /// As in Tokio, an older way to say how wide the first bucket is.
    ///
    /// # Panics
    /// If it is 0.
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

    /// The name of the runtime, for reports.
    ///
    /// # Panics
    /// If the name is empty or only white space.
    #[track_caller]
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        assert!(
            !name.trim().is_empty(),
            "`Builder::name` was called with the name {name:?}, which a report could not show. Give a word, or no name."
        );
        self.config.name = Some(name);
        self
    }

    /// The name of the runtime's threads. Default: `redd-worker`.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Builder::new_multi_thread().thread_name("crunch").build().unwrap();
    /// let name = runtime.block_on(runtime.spawn(async { std::thread::current().name().map(str::to_owned) }));
    /// assert_eq!(name.unwrap().as_deref(), Some("crunch"));
    /// ```
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        self.config.thread_name = Arc::new(move || name.clone());
        self
    }

    /// Called once a thread for its name. If it panics, the thread gets the default name.
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.config.thread_name = Arc::new(f);
        self
    }

    /// Accepted, without effect. Tokio has a second implementation of timers for workers; redd's timers are of that
    /// kind always: each worker has a wheel of its own.
    pub fn enable_alt_timer(&mut self) -> &mut Self {
        self.enable_time()
    }

    /// Accepted, without effect. In Tokio a worker that leaves the driver lets another one take over before it runs
    /// tasks; in redd all workers wait in one epoll, so no worker has to.
    pub fn enable_eager_driver_handoff(&mut self) -> &mut Self {
        self
    }

    /// Accepted, without effect. In Tokio it divides the lock of the blocking pool's queue; redd's pool hands closures
    /// over without that lock where it can.
    pub fn enable_sharded_blocking_queue(&mut self) -> &mut Self {
        self
    }

    /// Accepted, without effect: files are read and written by the blocking pool.
    pub fn enable_io_uring(&mut self) -> &mut Self {
        self
    }

    /// Called on each of its threads when it starts, also threads of the blocking pool.
    ///
    /// With this hook all workers start in [`build`](Self::build), and not one after another: a program may count
    /// them, or let them wait for each other. A spare worker calls it when it first stands in for another.
    ///
    /// A panic in this or another hook is printed, and the runtime goes on.
    pub fn on_thread_start<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_start = Some(Arc::new(f));
        self
    }

    /// Called on each of its threads before it ends.
    pub fn on_thread_stop<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_stop = Some(Arc::new(f));
        self
    }

    /// Called on a worker before it goes to sleep because there is nothing to do.
    pub fn on_thread_park<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_park = Some(Arc::new(f));
        self
    }

    /// Called on a worker after it has slept.
    pub fn on_thread_unpark<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() + Send + Sync + 'static,
    {
        self.config.hooks.on_unpark = Some(Arc::new(f));
        self
    }

    /// Called with each task that is spawned, on the spawning thread.
    pub fn on_task_spawn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.on_spawn = Some(Arc::new(f));
        self
    }

    /// Called with each task that ends: completed, cancelled or panicked.
    pub fn on_task_terminate<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.on_terminate = Some(Arc::new(f));
        self
    }

    /// Called before each poll of a task.
    pub fn on_before_task_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.before_poll = Some(Arc::new(f));
        self
    }

    /// Called after each poll of a task.
    pub fn on_after_task_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&TaskMeta<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.after_poll = Some(Arc::new(f));
        self
    }

    /// Calls `f` for each panic of a task or blocking closure that nobody joins. Default: a line on standard error
    /// with the task's name, place and age.
    ///
    /// - It is known that nobody joins when the `JoinHandle` is dropped without having been awaited: when the task
    ///   panics, if the handle is gone by then. `f` runs on the thread where that happens, and must not block.
    /// - Tasks of a `LocalSet` tell the runtime in which the set runs.
    /// - A panic of `f` ends there.
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
    ///     drop(redd::spawn(async { panic!("nobody looks") }));
    ///     redd::task::yield_now().await;
    /// });
    /// assert_eq!(*panics.lock().unwrap(), ["nobody looks"]);
    /// ```
    pub fn on_unhandled_panic<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&UnjoinedPanic<'_>) + Send + Sync + 'static,
    {
        self.config.task_hooks.on_unjoined_panic = Some(Arc::new(f));
        self
    }

    /// Called when a poll is late, instead of a line on standard error; see [`Rescue::report_after`].
    ///
    /// - It is called at the moments at which the line would be written: not for a rescue below
    ///   [`Rescue::report_after`], and after the poll if that may be one that panics.
    /// - It runs on the monitor thread of the process, after the rescue. While it runs nobody is rescued, in no
    ///   runtime, so it must not block for long.
    /// - A panic in it is printed, and the monitor goes on.
    ///
    /// # Examples
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use redd::runtime::{Builder, LatePoll};
    ///
    /// let (report, reports) = mpsc::channel();
    /// let runtime = Builder::new_multi_thread()
    ///     .on_late_poll(move |late: &LatePoll| drop(report.send(late.to_string())))
    ///     .build()
    ///     .unwrap();
    /// runtime.spawn(async { std::thread::sleep(Duration::from_millis(200)) });
    /// assert!(reports.recv().unwrap().contains("spawn_blocking"));
    /// ```
    pub fn on_late_poll<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn(&LatePoll) + Send + Sync + 'static,
    {
        self.config.on_late_poll = Some(Arc::new(f));
        self
    }

    /// The decisions, with what follows from them.
    fn finished_config(&self) -> Config {
        let mut config = self.config.clone();
        config.seed = self.seed.unwrap_or_else(random_seed);
        let (scale, resolution, buckets) = self.legacy;
        config.poll_times = self.poll_times.resolve(|| HistogramConfiguration::legacy(scale, resolution, buckets));
        config.latencies = self.latencies.resolve(HistogramConfiguration::default);
        config.task_hooks = spans::around(config.task_hooks);
        config
    }

    /// Makes the runtime and starts its first thread; see [`worker_threads`](Self::worker_threads).
    ///
    /// # Errors
    /// The system refuses a descriptor or that thread; then nothing of the runtime is left running.
    ///
    /// # Panics
    /// If the clock shall start paused on a multi-thread runtime.
    #[track_caller]
    pub fn build(&mut self) -> io::Result<Runtime> {
        let mut config = self.finished_config();
        match self.flavor {
            RuntimeFlavor::CurrentThread => {
                config.flavor = Flavor::CurrentThread;
                config.rescue = self.rescue_or(Rescue::report_only()).without_spares();
            }
            RuntimeFlavor::MultiThread => {
                assert!(
                    !config.start_paused,
                    "`Builder::start_paused` needs one thread to decide when time moves on. Use \
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
        Runtime::start(config)
    }

    fn rescue_or(&self, default: Rescue) -> Rescue {
        let rescue = self.rescue.clone().unwrap_or(default);
        match self.max_rescue_workers {
            Some(count) => rescue.max_workers(count),
            None => rescue,
        }
    }

    /// Makes a runtime that stays on this thread and runs tasks that are not `Send`.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    ///
    /// # Panics
    /// If this is a multi-thread builder.
    #[track_caller]
    pub fn build_local(&mut self, options: LocalOptions) -> io::Result<LocalRuntime> {
        assert!(
            self.flavor == RuntimeFlavor::CurrentThread,
            "`Builder::build_local` was called on a multi-thread builder: a local runtime stays on its thread. Use \
             `Builder::new_current_thread`."
        );
        let LocalOptions { .. } = options;
        let mut config = self.finished_config();
        config.flavor = Flavor::Local;
        config.rescue = self.rescue_or(Rescue::report_only()).without_spares();
        LocalRuntime::start(config)
    }
}

/// `TOKIO_WORKER_THREADS`, or the CPUs that this process may use.
#[track_caller]
fn default_workers() -> io::Result<usize> {
    let Some(text) = std::env::var_os("TOKIO_WORKER_THREADS") else {
        return Ok(std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    };
    match text.to_str().and_then(|text| text.trim().parse::<usize>().ok()) {
        Some(count) if count > 0 => Ok(count),
        Some(_) | None => panic!(
            "the environment variable TOKIO_WORKER_THREADS is {text:?}, which is no number of threads. Set it to 1 or \
             more, or unset it to use one thread a CPU."
        ),
    }
}

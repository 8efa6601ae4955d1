//! `Runtime`: it owns a running runtime, from the start of its threads to its shutdown.
//!
//! Made by `Builder`.

use std::future::Future;
use std::io;
use std::time::Duration;

use super::block_on;
use super::handle::Handle;
use super::observed;
use super::shutdown::{self, UnfinishedWork};
use crate::observe::metrics::RuntimeMetrics;
use crate::scheduler::choices::Flavor;
use crate::scheduler::config::Config;
use crate::scheduler::enter::EnterGuard;
use crate::scheduler::rescue::alarm;
use crate::scheduler::shared::{Shared, Worker};
use crate::scheduler::start::start_first;
use crate::task::JoinHandle;
use crate::task::cell::LARGE_FUTURE;

/// Owns worker threads, driver, timers and blocking pool.
///
/// - Dropping it shuts it down: every task is dropped at its await point, and the drop waits until no worker and no
///   closure of the blocking pool runs any more. [`shutdown_timeout`](Self::shutdown_timeout) and
///   [`shutdown_background`](Self::shutdown_background) wait less.
/// - Code may wait on its own thread: with `Handle::block_on` inside `block_in_place`, in a closure of the pool, in a
///   destructor, on another thread. Its wait ends as soon as no worker is left that could end it otherwise. Timers
///   panic, sockets, children and signals return an error or `None`, and joined tasks are cancelled. A wait that begins
///   later ends at once in the same way.
/// - Inside a destructor that runs because its thread panics, a timer ends without a panic: a second one would abort the
///   process.
/// - A shutdown does not wait for a thread that waits for it: its own worker inside `block_in_place`, its own blocking
///   closure, or workers of several runtimes that drop each other. These end after it has returned.
/// - A worker inside `block_in_place` is waited for otherwise. If it joins the thread that drops the runtime, each waits
///   for the other forever; use [`shutdown_timeout`](Self::shutdown_timeout) there.
/// - It must not be dropped where blocking is forbidden (inside a task or `block_on`).
///
/// # Examples
/// ```
/// let runtime = redd::runtime::Runtime::new().unwrap();
/// let answer = runtime.spawn(async { 42 });
/// assert_eq!(runtime.block_on(answer).unwrap(), 42);
/// ```
#[derive(Debug)]
pub struct Runtime {
    pub(super) handle: Handle,
}

impl std::panic::UnwindSafe for Runtime {}
impl std::panic::RefUnwindSafe for Runtime {}

impl Runtime {
    pub(crate) fn start(mut config: Config) -> io::Result<Self> {
        observed::apply_debug_options(&mut config);
        let shared = Shared::new(config)?;
        match shared.config.flavor {
            Flavor::MultiThread => {
                if let Err(error) = start_first(&shared) {
                    // Those that did start leave.
                    shared.close();
                    shared.wake_sleeper();
                    shutdown::join_workers(&shared, &[]);
                    return Err(error);
                }
                if let Err(error) = alarm::start(&shared) {
                    shutdown::abandon(&shared);
                    return Err(shared.config.explain_no_monitor(error));
                }
            }
            Flavor::CurrentThread | Flavor::Local => {
                let core = Worker::new(&shared, 0);
                shared.core.lock().worker = Some(core);
            }
        }
        observed::begin(&shared);
        Ok(Self { handle: Handle { shared } })
    }

    /// A handle to spawn from anywhere.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Runtime::new().unwrap();
    /// let handle = runtime.handle().clone();
    /// let task = std::thread::spawn(move || handle.spawn(async { 42 })).join().unwrap();
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// ```
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Spawns a task on this runtime; see [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// Runs a closure on the blocking pool; see [`spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle.spawn_blocking(f)
    }

    /// Runs a future to its end on this thread, inside this runtime.
    ///
    /// - On a current-thread runtime this thread runs the spawned tasks too, until the future ends; then they stand
    ///   still until the next `block_on`.
    /// - The future itself is no task: other tasks run beside it, but it does not move to a worker.
    ///
    /// # Panics
    /// If this thread already runs tasks, or if the future panics.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        if std::mem::size_of::<F>() > LARGE_FUTURE { self.run(Box::pin(future)) } else { self.run(future) }
    }

    #[track_caller]
    fn run<F: Future>(&self, future: F) -> F::Output {
        match self.handle.shared.config.flavor {
            Flavor::MultiThread => block_on::on_parker(&self.handle.shared, "`Runtime::block_on`", future),
            Flavor::CurrentThread | Flavor::Local => block_on::on_core(&self.handle.shared, future),
        }
    }

    /// Makes this runtime the current one of this thread until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Shuts down and waits at most `duration` for workers and blocking closures. Those that still run then end when
    /// they do; their threads are left behind.
    ///
    /// Waits for timers, I/O and tasks end as with a drop, so only code that computes, or that waits for something outside of
    /// the runtime, is left behind.
    pub fn shutdown_timeout(self, duration: Duration) {
        shutdown::shutdown(&self.handle.shared, Some(duration));
    }

    /// Shuts down without waiting. May be called where blocking is forbidden.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    ///
    /// let outer = Runtime::new().unwrap();
    /// let answer = outer.block_on(async {
    ///     let inner = Runtime::new().unwrap();
    ///     let answer = inner.spawn(async { 42 }).await;
    ///     inner.shutdown_background(); // A drop would wait, and must not in a task.
    ///     answer
    /// });
    /// assert_eq!(answer.unwrap(), 42);
    /// ```
    pub fn shutdown_background(self) {
        self.shutdown_timeout(Duration::ZERO);
    }

    /// Waits until no task and no blocking closure is left, at most for `within`, then shuts down. Returns what was left;
    /// nothing, if all ended in time.
    ///
    /// - While it drains, tasks and closures of this runtime may still spawn, or requests under way could not read a
    ///   file or ask a helper task; what they spawn is waited for. From anywhere else a spawn is refused: its handle says
    ///   that it was cancelled, as after a shutdown.
    /// - It does not ask tasks to end: first stop the tasks that would go on forever, such as those that accept
    ///   connections. The rest is cancelled at the deadline where it waits.
    /// - What has not reached an `.await` by then, and closures that run, are left behind, as with
    ///   [`shutdown_timeout`](Self::shutdown_timeout). It returns at most a tenth of a second after the deadline.
    /// - Threads that wait for timers, I/O or tasks get the end of their wait at the deadline, as with a drop. A drain on a
    ///   worker of the runtime itself, inside `block_in_place`, lasts until the deadline: its own task is one of those left.
    /// - A current-thread runtime runs its tasks meanwhile, on this thread; a paused clock moves on as in `block_on`.
    /// - A task that panics meanwhile has ended, and is reported as ever. A panic in the drop of a future that is cancelled
    ///   is caught; the others are dropped all the same.
    ///
    /// # Panics
    /// - Where blocking is forbidden, inside of a task or `block_on`.
    /// - If a task's panic has shut the runtime down (`UnhandledPanic::ShutdownRuntime`): then the others were cancelled,
    ///   and not drained.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = redd::runtime::Runtime::new().unwrap();
    /// runtime.spawn(async { redd::time::sleep(Duration::from_millis(2)).await });
    /// runtime.spawn(std::future::pending::<()>());
    /// let left = runtime.drain(Duration::from_millis(20));
    /// assert_eq!(left.len(), 1);
    /// println!("not done: {}", left[0]); // task 2 (spawned at src/main.rs:5:9, 20.0ms old)
    /// ```
    #[track_caller]
    pub fn drain(self, within: Duration) -> Vec<UnfinishedWork> {
        shutdown::drain(&self.handle.shared, within)
    }

    /// The runtime's counters.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        shutdown::shutdown(&self.handle.shared, None);
    }
}

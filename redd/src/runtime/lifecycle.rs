//! `Runtime`: owns a running runtime, from the start of its threads to its shutdown.
//!
//! Made by `Builder`.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use super::handle::Handle;
use super::shutdown::{self, UnfinishedWork};
use super::simulated::{self, OwnWorld};
use super::watched::watched;
use super::{block_on, diagnose, observed};
use crate::observe::metrics::RuntimeMetrics;
use crate::scheduler::choices::Flavor;
use crate::scheduler::config::Config;
use crate::scheduler::enter::EnterGuard;
use crate::scheduler::rescue::alarm;
use crate::scheduler::shared::{Shared, Worker};
use crate::scheduler::start::start_first;
use crate::task::JoinHandle;
use crate::task::cell::LARGE_FUTURE;

/// Owns the worker threads, the driver, the timers and the blocking pool.
///
/// - Dropping it shuts it down: every task is dropped at its await point. The drop waits until all workers and all
///   closures of the blocking pool have ended. [`shutdown_timeout`](Self::shutdown_timeout) and
///   [`shutdown_background`](Self::shutdown_background) wait less.
/// - Other code may block its thread on a timer, I/O or a task at that time: in `Handle::block_on` inside
///   `block_in_place`, in a closure of the pool, in a destructor, or on another thread. Its wait ends as soon as no
///   worker is left that could end it otherwise. Timers panic, sockets, children and signals return an error or `None`,
///   and joined tasks are cancelled. A wait that begins later ends at once in the same way.
/// - In a destructor that runs because its thread panics, a timer ends without a panic: a second panic would abort the
///   process.
/// - A shutdown does not wait for a thread that waits for it: its own worker inside `block_in_place`, its own blocking
///   closure, or workers of several runtimes that drop each other. These end after it has returned.
/// - It does wait for any other worker inside `block_in_place`. If such a worker joins the thread that drops the
///   runtime, each waits for the other forever. Use [`shutdown_timeout`](Self::shutdown_timeout) there.
/// - It must not be dropped where blocking is forbidden (inside a task or `block_on`).
///
/// # Examples
/// ```
/// let runtime = redd::runtime::Runtime::new().unwrap();
/// let answer = runtime.spawn(async { 42 });
/// assert_eq!(runtime.block_on(answer).unwrap(), 42);
/// ```
pub struct Runtime {
    pub(super) handle: Handle,
    /// Dropped after the shutdown.
    _world: Option<OwnWorld>,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt_as("Runtime", f)
    }
}

impl std::panic::UnwindSafe for Runtime {}
impl std::panic::RefUnwindSafe for Runtime {}

impl Runtime {
    pub(crate) fn start(mut config: Config, world: Option<OwnWorld>) -> io::Result<Self> {
        observed::apply_debug_options(&mut config);
        let shared = Shared::new(config)?;
        match shared.config.flavor {
            Flavor::MultiThread => {
                if let Err(error) = start_first(&shared) {
                    // The workers that did start leave.
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
        diagnose::begin(&shared);
        simulated::begin(&shared);
        Ok(Self { handle: Handle { shared }, _world: world })
    }

    /// Returns a handle, for spawning from any thread.
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

    /// Runs a future to completion on this thread, inside this runtime.
    ///
    /// - On a current-thread runtime this thread also runs the spawned tasks, until the future completes. They pause
    ///   then until the next `block_on`.
    /// - The future itself is not a task: it runs beside the tasks, but it never moves to a worker.
    ///
    /// # Panics
    /// Panics if this thread already runs tasks, or if the future panics.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        if std::mem::size_of::<F>() > LARGE_FUTURE { self.run(Box::pin(future)) } else { self.run(future) }
    }

    #[track_caller]
    fn run<F: Future>(&self, future: F) -> F::Output {
        if self.handle.shared.config.is_watched {
            return self.run_any(true, watched(self.handle.shared.arc(), future));
        }
        self.run_any(false, future)
    }

    #[track_caller]
    fn run_any<F: Future>(&self, is_watched: bool, future: F) -> F::Output {
        match self.handle.shared.config.flavor {
            Flavor::MultiThread => block_on::on_parker(&self.handle.shared, "`Runtime::block_on`", is_watched, future),
            Flavor::CurrentThread | Flavor::Local => block_on::on_core(&self.handle.shared, future),
        }
    }

    /// Makes this runtime the current one of this thread until the guard is dropped.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Shuts down and waits at most `duration` for workers and blocking closures. Threads that still run then are
    /// detached, and end when their code does.
    ///
    /// Waits for timers, I/O and tasks end as with a drop. So only code that computes, or that waits for something
    /// outside of the runtime, is left running.
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

    /// Waits until no task and no blocking closure is left, at most for `within`, and then shuts down. Returns the work
    /// that was left, which is empty if all ended in time.
    ///
    /// - While it drains, tasks and closures of this runtime may still spawn, and the drain waits for what they spawn.
    ///   Otherwise a request in progress could not read a file or start a helper task. A spawn from anywhere else is
    ///   refused: its handle reports a cancelled task, as after a shutdown.
    /// - It does not request tasks to end. First stop the tasks that would run forever, such as those that accept
    ///   connections. At the deadline the remaining tasks are cancelled at their await points.
    /// - Tasks that have not reached an `.await` by then, and closures that run, are left running, as with
    ///   [`shutdown_timeout`](Self::shutdown_timeout). It returns at most a tenth of a second after the deadline.
    /// - At the deadline, threads that wait for timers, I/O or tasks stop waiting, as with a drop. A drain on a worker
    ///   of the runtime itself, inside `block_in_place`, lasts until the deadline, because its own task is one of those
    ///   left.
    /// - A current-thread runtime runs its tasks meanwhile, on this thread. A paused clock advances as in `block_on`.
    /// - A task that panics meanwhile has ended, and its panic is reported as usual. A panic in the drop of a cancelled
    ///   future is caught, and the other futures are still dropped.
    ///
    /// # Panics
    /// - Panics where blocking is forbidden: inside of a task or `block_on`.
    /// - Panics if a task's panic has shut the runtime down (`UnhandledPanic::ShutdownRuntime`): then the other tasks
    ///   were cancelled, and not drained.
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

    /// Returns the runtime's metrics.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        shutdown::shutdown(&self.handle.shared, None);
    }
}

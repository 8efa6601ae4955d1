//! The runtime: what runs tasks, timers and I/O.
//!
//! [`Builder`] makes a [`Runtime`]; `#[redd::main]` does it for you. A multi-thread runtime has worker threads that
//! share the work; a current-thread one runs its tasks on the thread that calls [`Runtime::block_on`].

pub(crate) mod block_on;
mod builder;
mod handle;
mod id;
mod local;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/runtime_block_on.rs"]
mod models;
mod shutdown;
mod spawn;
mod waits;
#[cfg(all(test, shuttle))]
#[path = "../../models/runtime_whole.rs"]
mod whole_models;

use std::future::Future;
use std::io;
use std::time::Duration;

pub use crate::observe::dump::Dump;
pub use crate::observe::histogram::{
    HistogramConfiguration, HistogramScale, InvalidHistogramConfiguration, LogHistogram, LogHistogramBuilder,
};
pub use crate::observe::metrics::RuntimeMetrics;
pub use crate::scheduler::UnhandledPanic;
pub use crate::scheduler::enter::EnterGuard;
pub use crate::scheduler::rescue::{CpuUse, LatePoll, Rescue, RescueAction, Stack};
pub use crate::task::TaskMeta;
pub use crate::task::hooks::UnjoinedPanic;
pub use builder::{Builder, RngSeed};
pub use handle::{Handle, TryCurrentError};
pub use id::Id;
pub use local::{LocalOptions, LocalRuntime};
pub use shutdown::UnfinishedWork;
pub use spawn::spawn;

use crate::scheduler::{Config, Flavor, Shared, rescue, start, worker};
use crate::task::JoinHandle;
use crate::task::cell::LARGE_FUTURE;

pub mod dump {
    //! Every live task of a runtime: its name, and what it waits on. Made by [`Handle::dump`](super::Handle::dump).

    pub use crate::observe::dump::{Dump, Task, TaskState, Tasks, Trace};
}

/// Which kind of runtime.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeFlavor {
    /// Runs its tasks on the thread in `block_on`.
    CurrentThread,
    /// Runs its tasks on worker threads.
    MultiThread,
}

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
    handle: Handle,
}

impl std::panic::UnwindSafe for Runtime {}
impl std::panic::RefUnwindSafe for Runtime {}

impl Runtime {
    /// A multi-thread runtime with everything enabled and one worker per CPU.
    ///
    /// # Errors
    /// The system refuses a descriptor or a thread.
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build()
    }

    pub(crate) fn start(config: Config) -> io::Result<Self> {
        let shared = Shared::new(config)?;
        match shared.config.flavor {
            Flavor::MultiThread => {
                if let Err(error) = start::start_first(&shared) {
                    // Those that did start leave.
                    shared.close();
                    shared.wake_sleeper();
                    shutdown::join_workers(&shared, &[]);
                    return Err(error);
                }
                if let Err(error) = rescue::start(&shared) {
                    shutdown::abandon(&shared);
                    return Err(error);
                }
            }
            Flavor::CurrentThread | Flavor::Local => {
                let core = worker::Worker::new(&shared, 0);
                shared.core.lock().worker = Some(core);
            }
        }
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
            Flavor::MultiThread => block_on::on_parker(&self.handle, "`Runtime::block_on`", future),
            Flavor::CurrentThread | Flavor::Local => block_on::on_core(&self.handle, future),
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
    pub fn shutdown_timeout(mut self, duration: Duration) {
        shutdown::shutdown(&mut self.handle, Some(duration));
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
    /// - If a task's panic has shut the runtime down ([`UnhandledPanic::ShutdownRuntime`]): then the others were cancelled,
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
    pub fn drain(mut self, within: Duration) -> Vec<UnfinishedWork> {
        shutdown::drain(&mut self.handle, within)
    }

    /// The runtime's counters.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.handle.metrics()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        shutdown::shutdown(&mut self.handle, None);
    }
}

/// Whether an error says that the runtime behind a socket has shut down.
///
/// # Examples
/// ```
/// use redd::net::UdpSocket;
/// use redd::runtime::{Builder, is_rt_shutdown_err};
///
/// let runtime = Builder::new_current_thread().enable_all().build()?;
/// let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0"))?;
/// drop(runtime);
/// let other = Builder::new_current_thread().build()?;
/// let error = other.block_on(socket.readable()).unwrap_err();
/// assert!(is_rt_shutdown_err(&error));
/// # std::io::Result::Ok(())
/// ```
pub fn is_rt_shutdown_err(error: &io::Error) -> bool {
    crate::driver::is_shutdown_error(error)
}

/// The index of the worker that runs this code, or `None` outside of a worker and on a spare thread that stands in for
/// one inside `block_in_place`. Below [`RuntimeMetrics::num_workers`].
///
/// # Examples
/// ```
/// use redd::runtime::{Builder, worker_index};
///
/// let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
/// let index = runtime.block_on(runtime.spawn(async { worker_index() }))?;
/// assert!(index.is_some_and(|index| index < 2));
/// assert_eq!(worker_index(), None);
/// # std::io::Result::Ok(())
/// ```
pub fn worker_index() -> Option<usize> {
    Shared::current_worker_index()
}

//! `Handle`: a cloneable handle to a runtime.

use std::fmt;
use std::future::Future;

use super::block_on;
use super::collect::{Collected, collect};
use crate::observe::coarse;
use crate::observe::dump::Dump;
use crate::observe::metrics::RuntimeMetrics;
use crate::observe::unjoined;
use crate::observe::waiter::WaiterInfo;
use crate::scheduler::choices::RuntimeFlavor;
use crate::scheduler::closures::spawn_on;
use crate::scheduler::enter::{self, EnterGuard};
use crate::scheduler::id::Id;
use crate::scheduler::shared::Shared;
use crate::sync::waits;
use crate::task::JoinHandle;
use std::sync::Arc;

/// A handle to a runtime, for spawning tasks, entering its context and reading its metrics.
///
/// - Cloning is cheap.
/// - A handle does not keep the runtime running. Once its [`Runtime`](super::Runtime) is dropped, tasks that are
///   spawned through a handle are cancelled at once.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("Handle", f)
    }
}

impl Handle {
    /// What identifies the runtime, for the `Debug` of types that stand for it.
    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct(name);
        out.field("id", &self.id());
        if let Some(name) = self.name() {
            out.field("name", &name);
        }
        out.field("flavor", &self.runtime_flavor())
            .field("workers", &self.shared.config.workers)
            .finish_non_exhaustive()
    }
}

impl std::panic::UnwindSafe for Handle {}
impl std::panic::RefUnwindSafe for Handle {}

impl Handle {
    /// Returns the runtime that this thread is in.
    ///
    /// # Panics
    /// Panics outside of a runtime. Use [`try_current`](Self::try_current) there.
    #[track_caller]
    pub fn current() -> Self {
        Self::expect_current("`Handle::current`")
    }

    /// Returns the runtime that this thread is in, or an error outside of one.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Handle, Runtime};
    ///
    /// assert!(Handle::try_current().is_err());
    /// let runtime = Runtime::new().unwrap();
    /// assert!(runtime.block_on(async { Handle::try_current().is_ok() }));
    /// ```
    ///
    /// # Errors
    /// The thread is not inside a runtime.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        enter::current().map(|shared| Self { shared }).ok_or(TryCurrentError { _private: () })
    }

    /// Makes this runtime the current one of this thread until the guard is dropped, so that `spawn`, `sleep` and
    /// sockets work here.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Runtime::new().unwrap();
    /// let _guard = runtime.handle().enter();
    /// let task = redd::spawn(async { 42 });
    /// assert_eq!(runtime.block_on(task).unwrap(), 42);
    /// ```
    pub fn enter(&self) -> EnterGuard<'_> {
        enter::enter(Arc::clone(&self.shared))
    }

    /// Spawns a task on this runtime; see [`spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared.spawn(future, None)
    }

    /// Runs a closure on this runtime's blocking pool; see [`spawn_blocking`](crate::task::spawn_blocking).
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        spawn_on(&self.shared, f, None)
    }

    /// Runs a future to completion on this thread, inside this runtime.
    ///
    /// - On a current-thread runtime this does **not** run the runtime's tasks, timers and I/O: only
    ///   [`Runtime::block_on`](super::Runtime::block_on) does. If no thread is inside that call, a future that waits
    ///   for them waits forever.
    /// - If the runtime shuts down meanwhile, its timers panic and its I/O returns errors. That happens at the latest
    ///   when no worker is left that runs tasks. A wait that begins later ends at once in the same way.
    ///
    /// # Examples
    /// ```
    /// let runtime = redd::runtime::Runtime::new().unwrap();
    /// let handle = runtime.handle().clone();
    /// let thread = std::thread::spawn(move || handle.block_on(async { 42 }));
    /// assert_eq!(thread.join().unwrap(), 42);
    /// ```
    ///
    /// # Panics
    /// Panics if this thread already runs tasks, or if the future panics.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.shared.expect_own_world("`Handle::block_on`");
        block_on::on_parker(&self.shared, "`Handle::block_on`", false, future)
    }

    /// Returns the kind of this runtime.
    pub fn runtime_flavor(&self) -> RuntimeFlavor {
        self.shared.flavor()
    }

    /// Returns the runtime's id, which is unique in the process while the runtime exists.
    pub fn id(&self) -> Id {
        self.shared.id
    }

    /// Returns the runtime's name, if its builder set one.
    pub fn name(&self) -> Option<&str> {
        self.shared.config.name.as_deref()
    }

    /// Returns the runtime's metrics.
    pub fn metrics(&self) -> RuntimeMetrics {
        RuntimeMetrics::new(Arc::clone(&self.shared))
    }

    /// Returns every live task of the runtime, with everything that each waits on, and the closures of its
    /// blocking pool. Tasks of a `LocalSet` that runs in it are among them.
    ///
    /// - Polls nothing, wakes no task, and does not wait for one. It may be called from any thread, also when all workers are
    ///   blocked.
    /// - Costs time in proportion to the number of tasks. They run on meanwhile, so each may have changed since.
    /// - Contains names of tasks and paths of source files, and no values of the program.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// let (send, receive) = redd::sync::oneshot::channel::<()>();
    /// let task = redd::spawn(receive);
    /// # while !redd::runtime::Handle::current().snapshot().to_string().contains("Oneshot") { redd::task::yield_now().await; }
    /// let dump = redd::runtime::Handle::current().snapshot();
    /// assert_eq!(dump.tasks().iter().next().unwrap().id(), task.id());
    /// assert!(dump.to_string().contains("waits: Oneshot"));
    /// # drop(send);
    /// # });
    /// ```
    pub fn snapshot(&self) -> Dump {
        let look = || {
            let Collected { tasks, mut waiters, nodes } = collect(&self.shared);
            let left_out = waits::collect(&mut waiters);
            waiters.iter_mut().for_each(WaiterInfo::hide_internal_lines);
            let now_ms = coarse::now_ms();
            Dump::new(tasks, waiters, nodes, left_out, now_ms).with_stillness().with_unjoined(unjoined::count())
        };
        let mut dump = look();
        dump.confirm(look);
        dump
    }

    /// Returns a [`snapshot`](Self::snapshot). It never waits: it returns a future because Tokio's function does.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let idle = redd::spawn(std::future::pending::<()>());
    /// let dump = redd::runtime::Handle::current().dump().await;
    /// assert!(dump.tasks().get(idle.id()).is_some());
    /// # idle.abort(); });
    /// ```
    pub async fn dump(&self) -> Dump {
        self.snapshot()
    }

    /// Returns the current runtime, or panics with a message that names `what`.
    #[track_caller]
    pub(crate) fn expect_current(what: &str) -> Self {
        Self { shared: enter::expect_current(what) }
    }
}

/// The error of [`Handle::try_current`]: there is no current runtime.
///
/// # Examples
/// ```
/// use redd::runtime::Handle;
///
/// let error = Handle::try_current().unwrap_err();
/// assert!(error.is_missing_context());
/// assert!(error.to_string().contains("Handle::enter"));
/// ```
pub struct TryCurrentError {
    _private: (),
}

impl TryCurrentError {
    /// Returns whether the thread is not inside a runtime. Always true: a thread that ends has left its runtimes.
    pub fn is_missing_context(&self) -> bool {
        true
    }

    /// Returns whether the thread's locals are destroyed. Differs from Tokio: always false, because redd's locals are
    /// plain data, readable until the thread ends.
    pub fn is_thread_local_destroyed(&self) -> bool {
        false
    }
}

debug_struct!([] TryCurrentError as "TryCurrentError", self => { reason: "not inside a runtime" });

error_texts! {
    [] TryCurrentError,
    _ => "this thread is not inside a redd runtime; call from a task or `Runtime::block_on`, or enter one with \
          `Handle::enter`",
}

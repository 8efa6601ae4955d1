//! `LocalRuntime`: a runtime that stays on its thread and runs tasks that are not `Send`.

#![expect(unsafe_code, reason = "spawns tasks that are not `Send`, on their thread")]

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::panic::Location;
use std::time::Duration;

use super::handle::Handle;
use super::lifecycle::Runtime;
use super::shutdown::UnfinishedWork;
use super::simulated::OwnWorld;
use crate::observe::metrics::RuntimeMetrics;
use crate::scheduler::config::Config;
use crate::scheduler::enter::EnterGuard;
use crate::task::JoinHandle;

/// Options of a local runtime. There are none yet.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LocalOptions {
    /// Not `Send`, like the runtime that it configures.
    _phantom: PhantomData<*mut u8>,
}

/// A current-thread runtime that does not leave its thread, so its tasks need not be `Send`.
///
/// [`spawn_local`](crate::task::spawn_local) works in it without a `LocalSet`.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// let runtime = redd::runtime::LocalRuntime::new().unwrap();
/// let shared = Rc::new(5);
/// let twice = Rc::clone(&shared);
/// let sum = runtime.block_on(async move {
///     let task = redd::task::spawn_local(async move { *twice });
///     task.await.unwrap() + *shared
/// });
/// assert_eq!(sum, 10);
/// ```
pub struct LocalRuntime {
    runtime: Runtime,
    _not_send: PhantomData<*mut u8>,
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runtime.handle.fmt_as("LocalRuntime", f)
    }
}

impl std::panic::UnwindSafe for LocalRuntime {}
impl std::panic::RefUnwindSafe for LocalRuntime {}

impl LocalRuntime {
    pub(crate) fn start(config: Config, world: Option<OwnWorld>) -> io::Result<Self> {
        Ok(Self { runtime: Runtime::start(config, world)?, _not_send: PhantomData })
    }

    /// Returns a handle. Its `spawn` takes `Send` futures and works from any thread.
    pub fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Spawns a task that need not be `Send`.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        // SAFETY: `Self` is not `Send`, so this is the thread of the local runtime.
        unsafe { self.handle().shared.spawn_unchecked(future, None, Location::caller()) }
    }

    /// As [`Runtime::spawn_blocking`].
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, f: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.handle().spawn_blocking(f)
    }

    /// As [`Runtime::block_on`].
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// As [`Runtime::enter`].
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// As [`Runtime::shutdown_timeout`].
    pub fn shutdown_timeout(self, duration: Duration) {
        self.runtime.shutdown_timeout(duration);
    }

    /// As [`Runtime::shutdown_background`].
    pub fn shutdown_background(self) {
        self.runtime.shutdown_background();
    }

    /// As [`Runtime::drain`].
    #[track_caller]
    pub fn drain(self, within: Duration) -> Vec<UnfinishedWork> {
        self.runtime.drain(within)
    }

    /// Returns the runtime's metrics.
    pub fn metrics(&self) -> RuntimeMetrics {
        self.runtime.metrics()
    }
}

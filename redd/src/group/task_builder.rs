//! `task::Builder`: spawns tasks with a name.
//!
//! Called by user code, and by `join_set_builder`.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use super::local_set::{self, LocalSet};
use crate::runtime::Handle;
use crate::scheduler::closures;
use crate::task::JoinHandle;

/// Spawns tasks with a name.
///
/// The name appears in dumps, in reports of late polls and unjoined panics, and in tokio-console.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let task = redd::task::Builder::new().name("fetch").spawn(async { 200 }).unwrap();
/// assert_eq!(task.await.unwrap(), 200);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Builder<'a> {
    name: Option<&'a str>,
}

impl<'a> Builder<'a> {
    /// Creates a builder without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the task's name.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let names = ["left", "right"];
    /// let mut outputs = Vec::new();
    /// for name in names {
    ///     let task = redd::task::Builder::new().name(name).spawn(async { name.len() })?;
    ///     outputs.push(task.await?);
    /// }
    /// assert_eq!(outputs, [4, 5]);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn name(self, name: &'a str) -> Self {
        Self { name: Some(name) }
    }

    fn owned_name(self) -> Option<Arc<str>> {
        self.name.map(Arc::from)
    }

    /// Spawns a task; see [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(future, &Handle::expect_current("`task::Builder::spawn`"))
    }

    /// Spawns a task on the runtime of `handle`; see [`Handle::spawn`].
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::Builder;
    ///
    /// let runtime = Runtime::new()?;
    /// let task = Builder::new().name("sum").spawn_on(async { 20 + 22 }, runtime.handle())?;
    /// assert_eq!(runtime.block_on(task)?, 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(handle.shared.spawn(future, self.owned_name()))
    }

    /// Spawns a task that need not be `Send` onto the current set or local runtime; see [`spawn_local`](crate::task::spawn_local).
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Panics
    /// Panics outside of a `LocalSet` and of a local runtime.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::LocalRuntime;
    /// use redd::task::Builder;
    /// use std::rc::Rc;
    ///
    /// LocalRuntime::new()?.block_on(async {
    ///     let text = Rc::new("not Send");
    ///     let task = Builder::new().name("local").spawn_local(async move { text.len() })?;
    ///     assert_eq!(task.await?, 8);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(local_set::spawn_local_named(future, self.owned_name(), Location::caller()))
    }

    /// Spawns a task onto `local_set`; see [`LocalSet::spawn_local`].
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::task::{Builder, LocalSet};
    ///
    /// let local = LocalSet::new();
    /// let task = Builder::new().name("local").spawn_local_on(async { 7 }, &local)?;
    /// assert_eq!(local.run_until(task).await?, 7);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(local_set.spawn_named(future, self.owned_name(), Location::caller()))
    }

    /// Runs a closure on the blocking pool; see [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// Unlike that function it does not panic if the system refuses a thread.
    ///
    /// # Errors
    /// Returns [`WouldBlock`](io::ErrorKind::WouldBlock) or another error of the system if the pool has no thread and cannot start one.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let task = redd::task::Builder::new().name("digits").spawn_blocking(|| 2_u64.pow(40).to_string().len())?;
    /// assert_eq!(task.await?, 13);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, f: F) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.spawn_blocking_on(f, &Handle::expect_current("`task::Builder::spawn_blocking`"))
    }

    /// Runs a closure on the blocking pool of `handle`; see [`Handle::spawn_blocking`].
    ///
    /// # Errors
    /// As for [`spawn_blocking`](Self::spawn_blocking).
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::Builder;
    ///
    /// let runtime = Runtime::new()?;
    /// let task = Builder::new().name("read").spawn_blocking_on(|| std::fs::metadata("/"), runtime.handle())?;
    /// assert!(runtime.block_on(task)??.is_dir());
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_blocking_on<F, R>(self, f: F, handle: &Handle) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        closures::try_spawn_on(&handle.shared, f, self.owned_name())
    }
}

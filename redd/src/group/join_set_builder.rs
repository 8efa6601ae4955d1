//! The builder that spawns named tasks into a `JoinSet`.
//!
//! Called by user code.

use std::future::Future;

use super::join_set::JoinSet;
use super::local_set::LocalSet;
use crate::runtime::Handle;
use crate::task::{AbortHandle, Builder};

impl<T> JoinSet<T> {
    /// Returns a builder that spawns a named task into the set.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.build_task().name("fetch").spawn(async { 200 })?;
    /// assert_eq!(set.join_next().await.unwrap()?, 200);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn build_task(&mut self) -> JoinSetBuilder<'_, T> {
        JoinSetBuilder { set: self, builder: Builder::new() }
    }
}

/// Spawns a named task into a set. Created by [`JoinSet::build_task`].
///
/// The name appears in dumps, in reports of late polls and unjoined panics, and in tokio-console.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut set = redd::task::JoinSet::new();
/// let (left, right) = (set.build_task().name("left"), 20);
/// left.spawn(async move { right + 22 })?;
/// assert_eq!(set.join_all().await, [42]);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing is spawned until `spawn` is called"]
pub struct JoinSetBuilder<'a, T> {
    set: &'a mut JoinSet<T>,
    builder: Builder<'a>,
}

impl<'a, T: 'static> JoinSetBuilder<'a, T> {
    /// Sets the task's name.
    pub fn name(self, name: &'a str) -> Self {
        Self { builder: self.builder.name(name), ..self }
    }

    /// Spawns the task; see [`JoinSet::spawn`].
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn(future)?))
    }

    /// Spawns the task on the runtime of `handle`; see [`JoinSet::spawn_on`].
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::JoinSet;
    ///
    /// let runtime = Runtime::new()?;
    /// let mut set = JoinSet::new();
    /// set.build_task().name("worker").spawn_on(async { 7 }, runtime.handle())?;
    /// assert_eq!(runtime.block_on(set.join_all()), [7]);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_on(future, handle)?))
    }

    /// Runs the closure on the blocking pool; see [`JoinSet::spawn_blocking`].
    ///
    /// # Errors
    /// Returns [`WouldBlock`](std::io::ErrorKind::WouldBlock) or another error of the system if the pool has no thread and cannot start one.
    ///
    /// # Panics
    /// Panics outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let mut set = redd::task::JoinSet::new();
    /// set.build_task().name("hash").spawn_blocking(|| (1..=5_u64).product::<u64>())?;
    /// assert_eq!(set.join_all().await, [120]);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F>(self, f: F) -> std::io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking(f)?))
    }

    /// Runs the closure on the blocking pool of `handle`; see [`JoinSet::spawn_blocking_on`].
    ///
    /// # Errors
    /// Returns [`WouldBlock`](std::io::ErrorKind::WouldBlock) or another error of the system if the pool has no thread and cannot start one.
    #[track_caller]
    pub fn spawn_blocking_on<F>(self, f: F, handle: &Handle) -> std::io::Result<AbortHandle>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        Ok(self.set.insert(self.builder.spawn_blocking_on(f, handle)?))
    }

    /// Spawns the task onto the current `LocalSet` or local runtime; see [`JoinSet::spawn_local`].
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Panics
    /// Panics outside of a `LocalSet` and of a local runtime.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(self.builder.spawn_local(future)?))
    }

    /// Spawns the task onto `local_set`; see [`JoinSet::spawn_local_on`].
    ///
    /// # Errors
    /// Returns no error today. It is an `io::Result` as in Tokio.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::task::{JoinSet, LocalSet};
    /// use std::rc::Rc;
    ///
    /// let local = LocalSet::new();
    /// let mut set = JoinSet::new();
    /// let text = Rc::new("abc");
    /// set.build_task().name("local").spawn_local_on(async move { text.len() }, &local)?;
    /// assert_eq!(local.run_until(set.join_all()).await, [3]);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> std::io::Result<AbortHandle>
    where
        F: Future<Output = T> + 'static,
    {
        Ok(self.set.insert(self.builder.spawn_local_on(future, local_set)?))
    }
}

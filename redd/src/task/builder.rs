//! `task::Builder`: spawn with a name.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use super::JoinHandle;
use crate::group::local_set::{self, LocalSet};
use crate::runtime::{Handle, context};

/// Spawns tasks with a name, for reports and dumps.
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
    /// Without a name yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The task's name.
    pub fn name(self, name: &'a str) -> Self {
        Self { name: Some(name) }
    }

    fn owned_name(self) -> Option<Arc<str>> {
        self.name.map(Arc::from)
    }

    /// As [`spawn`](crate::spawn).
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_on(future, &context::expect_current("`task::Builder::spawn`"))
    }

    /// As [`Handle::spawn`].
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    #[track_caller]
    pub fn spawn_on<F>(self, future: F, handle: &Handle) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        Ok(handle.shared.spawn(future, self.owned_name()))
    }

    /// As [`spawn_local`](super::spawn_local).
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    ///
    /// # Panics
    /// Outside of a `LocalSet` and a local runtime.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(local_set::spawn_local_named(future, self.owned_name(), Location::caller()))
    }

    /// As [`LocalSet::spawn_local`].
    ///
    /// # Errors
    /// None today; as in Tokio it is an `io::Result`.
    #[track_caller]
    pub fn spawn_local_on<F>(self, future: F, local_set: &LocalSet) -> io::Result<JoinHandle<F::Output>>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        Ok(local_set.spawn_named(future, self.owned_name(), Location::caller()))
    }

    /// As [`spawn_blocking`](super::spawn_blocking), but a thread that the system refuses is an error.
    ///
    /// # Errors
    /// The pool has no thread and the system refuses one.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    pub fn spawn_blocking<F, R>(self, f: F) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.spawn_blocking_on(f, &context::expect_current("`task::Builder::spawn_blocking`"))
    }

    /// As [`Handle::spawn_blocking`], but a thread that the system refuses is an error.
    ///
    /// # Errors
    /// The pool has no thread and the system refuses one.
    #[track_caller]
    pub fn spawn_blocking_on<F, R>(self, f: F, handle: &Handle) -> io::Result<JoinHandle<R>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        crate::blocking::try_spawn_on(handle, f, self.owned_name())
    }
}

//! `Hold`: a phase of a shutdown waits until it is dropped.
//!
//! Called by user code. Made by `phases`.

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::phases_core::PhasesCore;
use super::phases_report::HoldInfo;
use super::scope::Reason;
use crate::time::clock::real_now;

/// A phase of a shutdown waits until this is dropped. Made by [`Phases::hold`](super::Phases::hold).
///
/// It is for what is not a task of a group: a request that a framework has spawned, a connection, a thread.
///
/// # Examples
/// ```
/// use redd::group::Phases;
/// use redd::time::{Duration, Instant, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let phases = Phases::new().then("requests", Duration::from_secs(20));
/// let hold = phases.hold("requests", "GET /slow");
/// redd::spawn(async move {
///     sleep(Duration::from_secs(3)).await; // The request.
///     drop(hold);
/// });
/// phases.start("shutdown");
/// let report = phases.finished().await;
/// assert!(report.is_clean());
/// assert_eq!(report.took().as_secs(), 3);
/// # });
/// ```
#[must_use = "the phase does not wait for a hold that is dropped"]
pub struct Hold {
    core: Arc<PhasesCore>,
    index: usize,
    /// `None` if the phase was over.
    key: Option<u64>,
}

impl Hold {
    pub(super) fn new(core: &Arc<PhasesCore>, index: usize, name: &str, location: &'static Location<'static>) -> Self {
        let key = core.add_hold(index, HoldInfo { name: Arc::from(name), location, since: real_now() });
        Self { core: Arc::clone(core), index, key }
    }

    /// Returns whether the phase is over, and does not wait any more.
    pub fn is_expired(&self) -> bool {
        self.core.is_over(self.index)
    }

    /// Waits until the phase is over, and does not wait any more. Returns [`Reason::Phase`].
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{Phases, Reason};
    /// use redd::time::Duration;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
    /// let phases = Phases::new().then("requests", Duration::from_secs(20));
    /// let hold = phases.hold("requests", "a stream without an end");
    /// phases.start("shutdown");
    /// assert_eq!(hold.expired().await, Reason::Phase("requests".into()));
    /// drop(hold);
    /// let report = phases.finished().await;
    /// assert_eq!(report.left().next().unwrap().name(), Some("a stream without an end"));
    /// # });
    /// ```
    #[track_caller]
    pub fn expired(&self) -> impl Future<Output = Reason> + Send + use<> {
        let (core, index, location) = (Arc::clone(&self.core), self.index, Location::caller());
        async move {
            core.wait_over(index, Some(location)).await;
            core.reason_of(index)
        }
    }

    /// Runs `future` until the phase is over.
    pub(super) async fn wait_for<F: Future>(
        self,
        future: F,
        location: &'static Location<'static>,
    ) -> Result<F::Output, Reason> {
        let was_late = self.is_expired();
        // Dropped before the hold, so the phase waits for that, too.
        let mut future = pin!(future);
        if was_late {
            return Err(self.core.reason_of(self.index));
        }
        let mut over = pin!(self.core.wait_over(self.index, Some(location)));
        let output = poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => over.as_mut().poll(cx).map(|()| None),
        });
        output.await.ok_or_else(|| {
            if let Some(key) = self.key {
                self.core.cut_hold(self.index, key);
            }
            self.core.reason_of(self.index)
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.core.remove_hold(self.index, key);
        }
    }
}

debug_struct!([] Hold as "Hold", self => { phase: self.core.name(self.index), is_expired: self.is_expired(), .. });

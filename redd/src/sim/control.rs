//! `Control`: what the script of a world changes in it.
//!
//! Called by user code in closures of `World::at`, `every` and `always`, and by `script` and `faults`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::hosts::Hosts;
use super::report::Fault;
use crate::primitives::Mutex;
use crate::primitives::baton::{EventKind, hash_of};

/// What a script has done, for the report.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) faults: Vec<Fault>,
    /// The times of the steps that were not taken.
    pub(super) skipped: Vec<Duration>,
}

/// A handle to a running world, for its script: [`World::at`](super::World::at), [`every`](super::World::every) and
/// [`always`](super::World::always).
///
/// Each change takes effect at once, and is told in the [report](super::Report::faults).
///
/// # Examples
/// ```
/// use redd::sim::World;
/// use redd::time::{Duration, sleep};
///
/// #[redd::main]
/// async fn server() {
///     sleep(Duration::from_secs(5)).await;
/// }
///
/// let report = World::new(1)
///     .host("server", server)
///     .at(Duration::from_secs(2), |w| {
///         w.crash("server");
///         w.restart_after("server", Duration::from_secs(1));
///     })
///     .run();
/// report.expect_ok();
/// assert_eq!(report.elapsed(), Duration::from_secs(2 + 1 + 5));
/// assert_eq!(report.faults()[0].to_string(), "after 2s: `server` crashes");
/// assert_eq!(report.faults()[1].to_string(), "after 3s: `server` starts again");
/// ```
pub struct Control {
    hosts: Arc<Hosts>,
    done: Arc<Mutex<Done>>,
    /// The restarts that the script has to add to its steps.
    restarts: Vec<(Duration, usize)>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Control {
    pub(super) fn new(hosts: &Arc<Hosts>, done: &Arc<Mutex<Done>>) -> Self {
        Self { hosts: Arc::clone(hosts), done: Arc::clone(done), restarts: Vec::new() }
    }

    /// Returns the virtual time since the start of the world.
    pub fn now(&self) -> Duration {
        self.hosts.passed()
    }

    /// Returns whether the function of the host runs: it has not ended, and the host is not down.
    ///
    /// # Panics
    /// If the world has no host with this name.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use redd::time::Duration;
    ///
    /// let world = World::new(1).host("short", || ()).host("long", redd_sleep);
    /// # #[redd::main]
    /// # async fn redd_sleep() { redd::time::sleep(Duration::from_secs(5)).await }
    /// let step = |w: &mut redd::sim::Control| assert!(w.is_running("long") && !w.is_running("short"));
    /// world.at(Duration::from_secs(1), step).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn is_running(&self, host: &str) -> bool {
        self.hosts.is_running(self.hosts.find("`Control::is_running`", host))
    }

    /// Lets the host crash, as if its power had failed.
    ///
    /// - No task of the host is polled any more. The futures of its `block_on`s are dropped, and its runtimes shut down without waiting.
    /// - Closures of `spawn_blocking` end where they wait for something of redd. One that waits for something else is left, and the
    ///   report names it.
    /// - What its destructors do is no part of the simulation: sockets and files of the host do not react any more.
    /// - Statics of the program stay as they are, because all hosts are in one process.
    ///
    /// A host whose function has ended crashes, too. For one that is down already, nothing happens. A crash is not a failure of the
    /// world: the report does not mention panics and tasks of what it has ended.
    ///
    /// # Panics
    /// If the world has no host with this name.
    #[track_caller]
    pub fn crash(&mut self, host: &str) {
        self.crash_now(self.hosts.find("`Control::crash`", host));
    }

    /// Starts the host again after this time: the same function on the same address and disk.
    ///
    /// # Panics
    /// - If the world has no host with this name.
    /// - If the host runs, or will be restarted already.
    #[track_caller]
    pub fn restart_after(&mut self, host: &str, after: Duration) {
        let index = self.hosts.find("`Control::restart_after`", host);
        if let Some(why) = self.hosts.why_no_restart(index) {
            panic!("`Control::restart_after` cannot restart the host `{host}` at {:?}: {why}.", self.now());
        }
        self.restart_at(index, self.now() + after);
    }

    /// Tells the report what has happened.
    pub(super) fn tell(&mut self, text: String) {
        self.hosts.baton().record(EventKind::Scripted, 0, [hash_of(&text), 0]);
        self.done.lock().faults.push(Fault { at: self.now(), text });
    }

    pub(super) fn hosts(&self) -> &Arc<Hosts> {
        &self.hosts
    }

    pub(super) fn crash_now(&mut self, host: usize) {
        if self.hosts.crash(host) {
            self.tell(format!("`{}` crashes", self.hosts.name(host)));
            self.hosts.baton().crash(host);
        }
    }

    pub(super) fn restart_at(&mut self, host: usize, time: Duration) {
        self.hosts.set_will_restart(host);
        self.restarts.push((time, host));
    }

    pub(super) fn restart_now(&mut self, host: usize) {
        if self.hosts.have_ended() {
            return; // A service would only be stopped again.
        }
        self.tell(format!("`{}` starts again", self.hosts.name(host)));
        self.hosts.restart(host);
    }

    pub(super) fn take_restarts(&mut self) -> Vec<(Duration, usize)> {
        std::mem::take(&mut self.restarts)
    }

    pub(super) fn set_skipped(&self, times: impl Iterator<Item = Duration>) {
        self.done.lock().skipped = times.collect();
    }
}

//! `Control`: what the script of a world changes in it.
//!
//! Called by user code in closures of `World::at`, `every` and `always`, and by `script` and `faults`.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::hosts::Hosts;
use super::links::{Setting, Settings};
use super::report::Fault;
use crate::network::LinkState;
use crate::primitives::Mutex;
use crate::primitives::baton::{Baton, EventKind, hash_of};

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
/// Each change takes effect at once, and is listed in the [report](super::Report::faults).
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
    settings: Settings,
    /// The pairs of hosts that [`refuse`](Self::refuse) has separated.
    refused: Vec<(usize, usize)>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Control {
    pub(super) fn new(hosts: &Arc<Hosts>, done: &Arc<Mutex<Done>>, settings: Settings) -> Self {
        let (hosts, done) = (Arc::clone(hosts), Arc::clone(done));
        Self { hosts, done, restarts: Vec::new(), settings, refused: Vec::new() }
    }

    /// Returns the virtual time since the start of the world.
    pub fn now(&self) -> Duration {
        self.hosts.baton().passed()
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
        self.restart_at(index, self.now().saturating_add(after));
    }

    /// Cuts the hosts of `one` off from those of `other`, in both directions: packets between them are lost, also those that are on their
    /// way.
    ///
    /// A stream sends again what is lost. So it continues after [`heal`](Self::heal), or fails after some minutes. Until then neither side
    /// learns of the partition, unless it has a timeout of its own. Partitions add up.
    ///
    /// # Panics
    /// If the world has no host with one of these names.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    ///
    /// #[redd::main]
    /// async fn host() {
    ///     sleep(Duration::from_secs(10)).await;
    /// }
    ///
    /// let report = World::new(1)
    ///     .host("a", host)
    ///     .host("b", host)
    ///     .host("c", host)
    ///     .at(Duration::from_secs(2), |w| w.partition(&["a", "b"], &["c"]))
    ///     .at(Duration::from_secs(9), |w| w.heal())
    ///     .run();
    /// report.expect_ok();
    /// assert_eq!(report.faults()[0].to_string(), "after 2s: `a`, `b` are cut off from `c`");
    /// ```
    #[track_caller]
    pub fn partition(&mut self, one: &[&str], other: &[&str]) {
        let (one, other) = (self.find_all("`Control::partition`", one), self.find_all("`Control::partition`", other));
        self.partition_now(&one, &other);
    }

    /// Refuses all packets between the hosts of `one` and those of `other`, in both directions, with a reset, as a firewall does. It ends
    /// with [`heal`](Self::heal).
    ///
    /// # Panics
    /// If the world has no host with one of these names.
    #[track_caller]
    pub fn refuse(&mut self, one: &[&str], other: &[&str]) {
        let (one, other) = (self.find_all("`Control::refuse`", one), self.find_all("`Control::refuse`", other));
        let text = format!("packets between {} and {} are refused", self.name_all(&one), self.name_all(&other));
        self.tell(text);
        for (from, to) in one.iter().flat_map(|from| other.iter().map(move |to| (*from, *to))) {
            if from != to {
                self.set_state(from, to, LinkState::Refused);
                self.refused.push((from, to));
            }
        }
    }

    /// Resets all TCP connections between the hosts of `one` and those of `other`, as a router does that has lost its state. Both ends notice
    /// it. New connections are possible at once.
    ///
    /// # Panics
    /// If the world has no host with one of these names.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncReadExt;
    /// use redd::net::{TcpListener, TcpStream};
    /// use redd::sim::World;
    /// use redd::time::{Duration, sleep};
    /// use std::io::ErrorKind;
    ///
    /// async fn expect_reset(mut stream: TcpStream) {
    ///     let error = stream.read_u8().await.unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    /// }
    ///
    /// #[redd::main]
    /// async fn server() {
    ///     let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
    ///     expect_reset(listener.accept().await.unwrap().0).await;
    /// }
    ///
    /// #[redd::main]
    /// async fn client() {
    ///     sleep(Duration::from_secs(1)).await;
    ///     expect_reset(TcpStream::connect("server:80").await.unwrap()).await;
    /// }
    ///
    /// let world = World::new(1).host("server", server).host("client", client);
    /// world.at(Duration::from_secs(5), |w| w.reset(&["server"], &["client"])).run().expect_ok();
    /// ```
    #[track_caller]
    pub fn reset(&mut self, one: &[&str], other: &[&str]) {
        let (one, other) = (self.find_all("`Control::reset`", one), self.find_all("`Control::reset`", other));
        let text = format!("the connections between {} and {} are reset", self.name_all(&one), self.name_all(&other));
        self.tell(text);
        for (from, to) in one.iter().flat_map(|from| other.iter().map(move |to| (*from, *to))) {
            self.hosts.network().reset(from, to);
        }
    }

    /// Ends all that [`partition`](Self::partition) and [`refuse`](Self::refuse) have done.
    pub fn heal(&mut self) {
        self.tell("all hosts reach each other again".to_owned());
        self.hosts.network().heal();
        for (from, to) in std::mem::take(&mut self.refused) {
            self.set_state(from, to, LinkState::Up);
        }
    }

    /// Sets how long a packet takes from one host to another. See [`World::latency`](super::World::latency).
    ///
    /// # Panics
    /// If the range ends before it starts.
    #[track_caller]
    pub fn latency(&mut self, range: Range<Duration>) {
        self.set("`Control::latency`", Setting::Latency(range));
    }

    /// Sets how many bytes per second each link between two hosts carries. `None` is no limit. See
    /// [`World::bandwidth`](super::World::bandwidth).
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn bandwidth(&mut self, bytes: Option<u64>) {
        self.set("`Control::bandwidth`", Setting::Bandwidth(bytes));
    }

    /// Sets the probability that a packet between two hosts is lost. See [`World::loss`](super::World::loss).
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    #[track_caller]
    pub fn loss(&mut self, probability: f64) {
        self.set("`Control::loss`", Setting::Loss(probability));
    }

    /// Sets the probability that a datagram is overtaken. See [`World::reorder`](super::World::reorder).
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    #[track_caller]
    pub fn reorder(&mut self, probability: f64) {
        self.set("`Control::reorder`", Setting::Reorder(probability));
    }

    /// Sets the probability that a datagram arrives twice. See [`World::duplicate`](super::World::duplicate).
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    #[track_caller]
    pub fn duplicate(&mut self, probability: f64) {
        self.set("`Control::duplicate`", Setting::Duplicate(probability));
    }

    /// Sets how many of 100 reads and writes of sockets are short. See [`World::short_reads`](super::World::short_reads).
    ///
    /// # Panics
    /// If it is more than 100.
    #[track_caller]
    pub fn short_reads(&mut self, percent: u8) {
        self.set("`Control::short_reads`", Setting::ShortReads(percent));
    }

    #[track_caller]
    fn set(&mut self, method: &str, setting: Setting) {
        setting.check(method);
        self.set_for_now(&setting);
        self.settings.set(setting);
    }

    /// Sets this until [`restore`](Self::restore).
    pub(super) fn set_for_now(&mut self, setting: &Setting) {
        self.tell(setting.describe());
        setting.apply(self.hosts.network());
    }

    pub(super) fn restore(&mut self, fault: &Setting) {
        let setting = self.settings.instead_of(fault);
        self.set_for_now(&setting);
    }

    pub(super) fn partition_now(&mut self, one: &[usize], other: &[usize]) {
        let verb = if one.len() == 1 { "is" } else { "are" };
        self.tell(format!("{} {verb} cut off from {}", self.name_all(one), self.name_all(other)));
        self.hosts.network().partition(one, other);
    }

    /// The hosts with these names, for the method in back quotes.
    #[track_caller]
    fn find_all(&self, method: &str, names: &[&str]) -> Vec<usize> {
        let mut hosts = Vec::new();
        // Not in a closure, which would not have the location of the caller.
        for name in names {
            hosts.push(self.hosts.find(method, name));
        }
        hosts
    }

    fn set_state(&self, from: usize, to: usize, state: LinkState) {
        for (from, to) in [(from, to), (to, from)] {
            self.hosts.network().set_link(Some(from), Some(to), &mut |link| link.state = state);
        }
    }

    fn name_all(&self, hosts: &[usize]) -> String {
        let names: Vec<_> = hosts.iter().map(|host| format!("`{}`", self.hosts.name(*host))).collect();
        names.join(", ")
    }

    /// The world, and the number of the host with this name, for the method in back quotes.
    #[track_caller]
    pub(crate) fn host_for(&self, method: &str, host: &str) -> (Arc<Baton>, usize) {
        (Arc::clone(self.hosts.baton()), self.hosts.find(method, host))
    }

    /// Records what has happened, for the report.
    pub(crate) fn tell(&mut self, text: String) {
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

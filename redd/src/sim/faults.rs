//! `Faults`: random faults of a world, at times that its seed chooses.
//!
//! Set by users with `World::faults`, injected by `script`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::hosts::Hosts;
use super::links::{Setting, check_range};
use crate::primitives::baton::Baton;

/// Random faults, for [`World::faults`](super::World::faults). Nothing happens that was not asked for.
///
/// The seed chooses when a fault begins, which kind it is, what it affects, and how long it lasts. Faults of different kinds may overlap.
/// Each is listed in the [report](super::Report::faults).
///
/// # Examples
/// ```
/// use redd::sim::{Faults, World};
/// use redd::time::{Duration, sleep};
///
/// #[redd::main]
/// async fn server() {
///     sleep(Duration::from_secs(30)).await;
/// }
///
/// #[redd::main]
/// async fn client() {
///     sleep(Duration::from_secs(90)).await;
/// }
///
/// let faults = Faults::new().crash(&["server"]).until(Duration::from_secs(60));
/// let report = World::new(1).host("server", server).host("client", client).faults(faults).run();
/// report.expect_ok();
/// assert!(report.host("server").crashes() > 0);
/// println!("{}", report.faults()[0]); // after 2.3s: `server` crashes
/// ```
#[derive(Clone, Debug)]
pub struct Faults {
    crashes: Vec<String>,
    has_partitions: bool,
    latency: Option<Range<Duration>>,
    loss: Option<f64>,
    every: Range<Duration>,
    lasting: Range<Duration>,
    until: Duration,
}

impl Faults {
    /// No faults: add kinds of them with the other methods.
    #[expect(clippy::new_without_default, reason = "without a kind of fault it is not of use")]
    pub fn new() -> Self {
        Self {
            crashes: Vec::new(),
            has_partitions: false,
            latency: None,
            loss: None,
            every: Duration::from_secs(1)..Duration::from_secs(10),
            lasting: Duration::from_millis(100)..Duration::from_secs(5),
            until: Duration::from_secs(60),
        }
    }

    /// These hosts may crash while they run. Each is restarted.
    pub fn crash(mut self, hosts: &[&str]) -> Self {
        self.crashes.extend(hosts.iter().map(|host| (*host).to_owned()));
        self
    }

    /// The hosts may be cut in two sets that do not reach each other: see [`Control::partition`]. There is one partition at a time. If the
    /// script has made others, they end with it.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{Faults, World};
    /// use redd::time::{Duration, sleep};
    ///
    /// #[redd::main]
    /// async fn host() {
    ///     sleep(Duration::from_secs(90)).await;
    /// }
    ///
    /// let faults = Faults::new().partition().latency(Duration::from_millis(50)..Duration::from_secs(1)).loss(0.2);
    /// let report = World::new(2).host("one", host).host("two", host).faults(faults).run();
    /// report.expect_ok();
    /// assert!(report.faults().iter().any(|fault| fault.to_string().contains("is cut off from")));
    /// ```
    pub fn partition(mut self) -> Self {
        self.has_partitions = true;
        self
    }

    /// Packets may take this time for a while: see [`Control::latency`].
    ///
    /// # Panics
    /// If the range ends before it starts.
    #[track_caller]
    pub fn latency(mut self, range: Range<Duration>) -> Self {
        Setting::Latency(range.clone()).check("`Faults::latency`");
        self.latency = Some(range);
        self
    }

    /// Packets may be lost with this probability for a while: see [`Control::loss`].
    ///
    /// # Panics
    /// If it is not from 0.0 to 1.0.
    #[track_caller]
    pub fn loss(mut self, probability: f64) -> Self {
        Setting::Loss(probability).check("`Faults::loss`");
        self.loss = Some(probability);
        self
    }

    /// Sets the time from the start of the world, or from one fault, to the next one. Default: 1 to 10 seconds.
    ///
    /// # Panics
    /// If the range ends before it starts, and if it ends at zero.
    #[track_caller]
    pub fn every(mut self, range: Range<Duration>) -> Self {
        check_range("`Faults::every`", &range);
        assert!(
            !range.end.is_zero(),
            "`Faults::every` got a range that ends at zero, so the clock would never move. Give a longer time between two faults."
        );
        self.every = range;
        self
    }

    /// Sets how long a fault lasts: until a host is restarted, for example. Default: 0.1 to 5 seconds.
    ///
    /// # Panics
    /// If the range ends before it starts.
    #[track_caller]
    pub fn lasting(mut self, range: Range<Duration>) -> Self {
        check_range("`Faults::lasting`", &range);
        self.lasting = range;
        self
    }

    /// Panics if the world has no host with one of the names.
    #[track_caller]
    pub(super) fn expect_hosts(&self, hosts: &Hosts) {
        for name in &self.crashes {
            hosts.find("`Faults::crash`", name);
        }
    }

    /// Sets the time after which no fault begins. Default: 60 seconds.
    ///
    /// So a world can show that it recovers, and that nothing is left that waits forever.
    pub fn until(mut self, time: Duration) -> Self {
        self.until = time;
        self
    }
}

/// What random faults do at a given time.
#[derive(Clone, Debug)]
pub(super) enum NemesisStep {
    /// A fault begins.
    Begin,
    EndPartition,
    /// The setting of all links ends that the fault with this index in `Nemesis::settings` has made.
    EndSetting(usize),
}

/// A fault that is possible now.
#[derive(Clone, Copy, Debug)]
enum Possible {
    Crash(usize),
    Partition,
    Setting(usize),
}

/// Injects random faults.
pub(super) struct Nemesis {
    faults: Faults,
    crashes: Vec<usize>,
    has_partition: bool,
    /// The settings of all links that are faults, and whether each holds now.
    settings: Vec<(Setting, bool)>,
}

impl Nemesis {
    #[track_caller]
    pub(super) fn new(faults: Faults, hosts: &Arc<Hosts>) -> Self {
        let crashes = faults.crashes.iter().map(|name| hosts.find("`Faults::crash`", name)).collect();
        let latency = faults.latency.clone().map(Setting::Latency);
        let settings =
            latency.into_iter().chain(faults.loss.map(Setting::Loss)).map(|setting| (setting, false)).collect();
        Self { faults, crashes, has_partition: false, settings }
    }

    /// The next fault begins with this step, at this time.
    pub(super) fn next_begin(&self, control: &Control) -> Option<(Duration, NemesisStep)> {
        let time = control.now().saturating_add(choose_in(control.hosts().baton(), &self.faults.every));
        (time < self.faults.until).then_some((time, NemesisStep::Begin))
    }

    /// Takes a step. Returns the steps that follow from it.
    pub(super) fn take(&mut self, step: NemesisStep, control: &mut Control) -> Vec<(Duration, NemesisStep)> {
        match step {
            NemesisStep::Begin => {
                let end = self.begin(control);
                end.into_iter().chain(self.next_begin(control)).collect()
            }
            NemesisStep::EndPartition => {
                self.has_partition = false;
                control.heal();
                Vec::new()
            }
            NemesisStep::EndSetting(index) => {
                let (setting, holds) = &mut self.settings[index];
                *holds = false;
                control.restore(setting);
                Vec::new()
            }
        }
    }

    /// Chooses a fault and injects it. Returns its end, if that is a step of its own.
    fn begin(&mut self, control: &mut Control) -> Option<(Duration, NemesisStep)> {
        let baton = Arc::clone(control.hosts().baton());
        let possible = self.possible(control);
        let chosen = *possible.get(baton.choose(possible.len()))?;
        let end = control.now().saturating_add(choose_in(&baton, &self.faults.lasting));
        match chosen {
            Possible::Crash(host) => {
                control.crash_now(host);
                control.restart_at(host, end);
                None
            }
            Possible::Partition => {
                self.has_partition = true;
                let (one, other) = choose_sides(&baton, control.hosts().len());
                control.partition_now(&one, &other);
                Some((end, NemesisStep::EndPartition))
            }
            Possible::Setting(index) => {
                let (setting, holds) = &mut self.settings[index];
                *holds = true;
                control.set_for_now(setting);
                Some((end, NemesisStep::EndSetting(index)))
            }
        }
    }

    fn possible(&self, control: &Control) -> Vec<Possible> {
        let hosts = control.hosts();
        let crashes = self.crashes.iter().filter(|host| hosts.is_running(**host)).map(|host| Possible::Crash(*host));
        let may_cut = self.faults.has_partitions && !self.has_partition && hosts.len() > 1;
        let settings = self.settings.iter().enumerate().filter(|(_, (_, holds))| !holds);
        crashes
            .chain(may_cut.then_some(Possible::Partition))
            .chain(settings.map(|(index, _)| Possible::Setting(index)))
            .collect()
    }
}

/// Two sets of all hosts, none of them empty.
fn choose_sides(baton: &Baton, hosts: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut one, mut other) = (Vec::new(), Vec::from_iter(0..hosts));
    for _ in 0..1 + baton.choose(hosts / 2) {
        one.push(other.remove(baton.choose(other.len())));
    }
    one.sort_unstable();
    (one, other)
}

/// Chooses a time in the range, to a thousandth of it.
fn choose_in(baton: &Baton, range: &Range<Duration>) -> Duration {
    const PARTS: u32 = 1000;
    let step = range.end.saturating_sub(range.start) / PARTS;
    range.start + step * baton.choose(PARTS as usize) as u32
}

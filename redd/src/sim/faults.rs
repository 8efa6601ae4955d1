//! `Faults`: random faults of a world, at times that its seed chooses.
//!
//! Set by users with `World::faults`, injected by `script`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::hosts::Hosts;
use crate::primitives::baton::Baton;

/// Random faults, for [`World::faults`](super::World::faults). Nothing happens that was not asked for.
///
/// The seed chooses when a fault begins, which kind it is, what it affects, and how long it lasts. Faults of different kinds may overlap.
/// Each is told in the [report](super::Report::faults).
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

    /// Sets the time from the start of the world, or from one fault, to the next one. Default: 1 to 10 seconds.
    pub fn every(mut self, range: Range<Duration>) -> Self {
        self.every = range;
        self
    }

    /// Sets how long a fault lasts: until a host is restarted, for example. Default: 0.1 to 5 seconds.
    pub fn lasting(mut self, range: Range<Duration>) -> Self {
        self.lasting = range;
        self
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
#[derive(Clone, Copy, Debug)]
pub(super) enum NemesisStep {
    /// A fault begins.
    Begin,
}

/// A kind of fault that is possible now.
#[derive(Clone, Copy, Debug)]
enum Possible {
    Crash(usize),
}

/// Injects random faults.
pub(super) struct Nemesis {
    faults: Faults,
    crashes: Vec<usize>,
}

impl Nemesis {
    #[track_caller]
    pub(super) fn new(faults: Faults, hosts: &Arc<Hosts>) -> Self {
        let crashes = faults.crashes.iter().map(|name| hosts.find("`Faults::crash`", name)).collect();
        Self { faults, crashes }
    }

    /// The first step, and its time.
    pub(super) fn first_step(&self, control: &Control) -> Option<(Duration, NemesisStep)> {
        self.next_begin(control)
    }

    fn next_begin(&self, control: &Control) -> Option<(Duration, NemesisStep)> {
        let time = control.now() + choose_in(control.hosts().baton(), &self.faults.every);
        (time < self.faults.until).then_some((time, NemesisStep::Begin))
    }

    /// Takes a step. Returns the steps that follow from it.
    pub(super) fn take(&mut self, step: NemesisStep, control: &mut Control) -> Vec<(Duration, NemesisStep)> {
        match step {
            NemesisStep::Begin => {
                self.begin(control);
                self.next_begin(control).into_iter().collect()
            }
        }
    }

    fn begin(&mut self, control: &mut Control) {
        let baton = Arc::clone(control.hosts().baton());
        let possible: Vec<_> = self.possible(control).collect();
        let Some(chosen) = possible.get(baton.choose(possible.len())) else { return };
        let end = control.now() + choose_in(&baton, &self.faults.lasting);
        match *chosen {
            Possible::Crash(host) => {
                control.crash_now(host);
                control.restart_at(host, end);
            }
        }
    }

    fn possible(&self, control: &Control) -> impl Iterator<Item = Possible> {
        let hosts = Arc::clone(control.hosts());
        self.crashes.clone().into_iter().filter(move |host| hosts.is_running(*host)).map(Possible::Crash)
    }
}

/// Chooses a time in the range, to a thousandth of it.
fn choose_in(baton: &Baton, range: &Range<Duration>) -> Duration {
    const PARTS: u32 = 1000;
    let step = range.end.saturating_sub(range.start) / PARTS;
    range.start + step * baton.choose(PARTS as usize) as u32
}

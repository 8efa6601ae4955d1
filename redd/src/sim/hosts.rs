//! The hosts of one run: their functions, and what has become of each.
//!
//! Called by `world` (the start) and `control` (crash and restart).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::host_report::{HostOutcome, HostReport};
use super::report::FailureKind;
use crate::disk;
use crate::network::{self, Network};
use crate::primitives::Mutex;
use crate::primitives::baton::{self, Baton, EventKind, HostThread, WorldEnded};
use crate::primitives::user_code::drop_guarded;

/// The function of a host. An error is the text of what it has returned.
pub(super) type Main = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A host before the run.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) main: Main,
    /// The world does not wait for its end.
    pub(super) is_service: bool,
}

/// A host during the run.
#[derive(Debug, Default)]
struct HostState {
    /// `None` while it runs.
    outcome: Option<HostOutcome>,
    crashes: u32,
    will_restart: bool,
}

/// The hosts of one run.
pub(super) struct Hosts {
    baton: Arc<Baton>,
    network: Arc<Network>,
    hosts: Vec<Host>,
    states: Mutex<Vec<HostState>>,
    /// The first thread of each incarnation.
    threads: Mutex<Vec<HostThread>>,
}

impl Hosts {
    pub(super) fn new(baton: &Arc<Baton>, hosts: Vec<Host>) -> Arc<Self> {
        let network = network::of(baton);
        for (number, host) in hosts.iter().enumerate() {
            network.add_host(number, &host.name);
        }
        let crashing = Arc::downgrade(&network);
        baton.on_crash(move |host| crashing.upgrade().iter().for_each(|network| network.crash(host)));
        let world = Arc::downgrade(baton);
        baton.on_crash(move |host| world.upgrade().iter().for_each(|baton| disk::crash(baton, host)));
        let states = hosts.iter().map(|_| HostState::default()).collect();
        Arc::new(Self {
            baton: Arc::clone(baton),
            network,
            hosts,
            states: Mutex::new(states),
            threads: Mutex::new(Vec::new()),
        })
    }

    pub(super) fn baton(&self) -> &Arc<Baton> {
        &self.baton
    }

    pub(super) fn network(&self) -> &Network {
        &self.network
    }

    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    pub(super) fn name(&self, host: usize) -> &str {
        &self.hosts[host].name
    }

    /// The host with this name, for the method in back quotes.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub(super) fn find(&self, method: &str, name: &str) -> usize {
        // Not in a closure, which would not have the location of the caller.
        let Some(host) = self.hosts.iter().position(|host| host.name == name) else {
            let names: Vec<_> = self.hosts.iter().map(|host| &*host.name).collect();
            panic!(
                "{method} got the name of a host that the world does not have: `{name}`. Its hosts are: `{}`. Use one of these names, or \
                 add the host with `World::host`.",
                names.join("`, `")
            )
        };
        host
    }

    /// Starts the thread of a host. It waits for the baton.
    ///
    /// # Panics
    /// If the system refuses the thread.
    #[track_caller]
    pub(super) fn start(self: &Arc<Self>, host: usize) {
        let hosts = Arc::clone(self);
        let started = self.baton.start_host(host, self.name(host), move || hosts.run(host));
        self.keep(started);
    }

    /// Keeps a thread of the world until the end of the run.
    #[track_caller]
    pub(super) fn keep(&self, started: std::io::Result<HostThread>) {
        match started {
            Ok(thread) => self.threads.lock().push(thread),
            Err(error) => panic!(
                "the system refuses a thread for a host of a simulated world: {error}. Raise the limit of threads (`ulimit -u`)."
            ),
        }
    }

    fn run(&self, host: usize) {
        if baton::is_dead() {
            return; // It has crashed before it ran.
        }
        let outcome = run_main(&self.hosts[host].main);
        if baton::is_dead() {
            return; // What it returns after its crash is of no interest to anyone.
        }
        let name = self.name(host);
        match &outcome {
            HostOutcome::Failed(error) => {
                self.baton.fail(FailureKind::Host, format!("host `{name}` has failed: {error}"));
            }
            HostOutcome::Panicked(message) => {
                self.baton.fail(FailureKind::Host, format!("host `{name}` has panicked: {message}"));
            }
            HostOutcome::Ended | HostOutcome::Down | HostOutcome::Stopped | HostOutcome::Unfinished => {}
        }
        self.states.lock()[host].outcome = Some(outcome);
        if !self.hosts[host].is_service && self.have_ended() {
            self.stop_services();
        }
    }

    /// Whether all hosts that the world waits for have ended by themselves.
    pub(super) fn have_ended(&self) -> bool {
        let has_ended = |state: &HostState| {
            matches!(
                state.outcome,
                Some(HostOutcome::Ended | HostOutcome::Failed(_) | HostOutcome::Panicked(_) | HostOutcome::Unfinished)
            )
        };
        self.hosts.iter().zip(&*self.states.lock()).all(|(host, state)| host.is_service || has_ended(state))
    }

    /// The calling thread belongs to a host that is no service.
    fn stop_services(&self) {
        for (number, _) in self.hosts.iter().enumerate().filter(|(_, host)| host.is_service) {
            if self.is_running(number) {
                self.states.lock()[number].outcome = Some(HostOutcome::Stopped);
                self.baton.crash(number);
            }
        }
    }

    /// Returns whether it was up. A host whose function has ended is up, too.
    pub(super) fn crash(&self, host: usize) -> bool {
        let state = &mut self.states.lock()[host];
        if state.outcome == Some(HostOutcome::Down) {
            return false;
        }
        state.outcome = Some(HostOutcome::Down);
        state.crashes += 1;
        true
    }

    /// What forbids a restart of the host, now or later.
    pub(super) fn why_no_restart(&self, host: usize) -> Option<&'static str> {
        let state = &self.states.lock()[host];
        match state.outcome {
            None => Some("it runs. Let it crash first: `w.crash(name)`"),
            Some(_) if state.will_restart => Some("it will be restarted already. Ask for one restart after each crash"),
            Some(_) => None,
        }
    }

    pub(super) fn set_will_restart(&self, host: usize) {
        self.states.lock()[host].will_restart = true;
    }

    /// Starts the function of a host again.
    pub(super) fn restart(self: &Arc<Self>, host: usize) {
        {
            let state = &mut self.states.lock()[host];
            (state.outcome, state.will_restart) = (None, false);
        }
        self.baton.record(EventKind::Restarted, host as u32, [self.baton.incarnation(host), 0]);
        self.network.restart(host);
        self.start(host);
    }

    pub(super) fn is_running(&self, host: usize) -> bool {
        self.states.lock()[host].outcome.is_none()
    }

    pub(super) fn is_down(&self, host: usize) -> bool {
        self.states.lock()[host].outcome == Some(HostOutcome::Down)
    }

    pub(super) fn is_any_down(&self) -> bool {
        (0..self.len()).any(|host| self.is_down(host))
    }

    /// The run is over: waits for the threads, unless some of them never end.
    pub(super) fn finish(&self) -> Vec<HostReport> {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.into_iter().filter(|_| self.baton.has_ended()).for_each(|thread| drop(thread.join()));
        let states = std::mem::take(&mut *self.states.lock());
        let reports = self.hosts.iter().zip(states).map(|(host, state)| HostReport {
            name: host.name.clone(),
            outcome: state.outcome.unwrap_or(HostOutcome::Unfinished),
            crashes: state.crashes,
        });
        reports.collect()
    }
}

fn run_main(main: &Main) -> HostOutcome {
    match catch_unwind(AssertUnwindSafe(|| main())) {
        Ok(Ok(())) => HostOutcome::Ended,
        Ok(Err(error)) => HostOutcome::Failed(error),
        Err(payload) => {
            let outcome = message_of(&*payload)
                .map_or(HostOutcome::Unfinished, |message| HostOutcome::Panicked(message.to_owned()));
            drop_guarded(payload);
            outcome
        }
    }
}

/// The message of a panic. `None` if the world has made it.
pub(super) fn message_of(payload: &(dyn Any + Send)) -> Option<&str> {
    if payload.is::<WorldEnded>() {
        return None;
    }
    let text = payload.downcast_ref::<&str>().copied();
    Some(text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(not a text)"))
}

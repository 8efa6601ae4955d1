//! The script of a world: what happens to it at given times, and what must hold all the time.
//!
//! The script is run by a thread of the world, which is its director: it acts when its time has come, and it checks the invariants
//! whenever all other threads wait.
//!
//! Called by `world`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::faults::{Faults, Nemesis, NemesisStep};
use super::hosts::{Hosts, message_of};
use super::report::FailureKind;
use crate::primitives::baton::Turn;
use crate::primitives::user_code::drop_guarded;

/// A closure of the script.
pub(super) type Action = Arc<dyn Fn(&mut Control) + Send + Sync>;
/// An invariant. It returns why it does not hold.
pub(super) type Check = Arc<dyn Fn(&mut Control) -> Option<String> + Send + Sync>;

/// What a script does at a given time.
#[derive(Clone)]
pub(super) enum Step {
    Once(Action),
    Every(Duration, Action),
    Restart(usize),
    Nemesis(NemesisStep),
}

impl Step {
    /// Whether a world goes on for this step if the only hosts that have not ended are down.
    fn may_restart(&self) -> bool {
        matches!(self, Self::Once(_) | Self::Restart(_))
    }
}

/// The script of a world before its run.
#[derive(Clone, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<(Duration, &'static Location<'static>, Step)>,
    pub(super) invariants: Vec<(&'static Location<'static>, Check)>,
    pub(super) faults: Option<Faults>,
}

impl Script {
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.invariants.is_empty() && self.faults.is_none()
    }
}

/// Steps at the same time are taken in the order in which they were added.
type Steps = BTreeMap<(Duration, u64), (&'static Location<'static>, Step)>;

struct RunningScript {
    control: Control,
    steps: Steps,
    added: u64,
    invariants: Vec<(&'static Location<'static>, Check)>,
    nemesis: Option<Nemesis>,
}

/// Why the script ends before its time: the world has failed.
struct Stop;

/// Starts the thread of the script.
#[track_caller]
pub(super) fn start(hosts: &Arc<Hosts>, control: Control, plan: Script) {
    let baton = Arc::clone(hosts.baton());
    let wants_quiet = !plan.invariants.is_empty();
    let nemesis = plan.faults.map(|faults| Nemesis::new(faults, hosts));
    let mut script = RunningScript { control, steps: Steps::new(), added: 0, invariants: plan.invariants, nemesis };
    for (time, location, step) in plan.steps {
        script.add(time, location, step);
    }
    let started = baton.start_director(hosts.len(), "script", wants_quiet, move || {
        // It has stopped the world if it has failed.
        if let Err(message) = catch(|| drop(script.run())) {
            let text = format!("the script cannot go on, because its thread has panicked: {message}");
            script.control.hosts().baton().fail_and_stop(FailureKind::Script, text);
        }
        let is_skipped = |step: &Step| matches!(step, Step::Once(_));
        let skipped = script.steps.iter().filter(|(_, (_, step))| is_skipped(step)).map(|(key, _)| key.0);
        script.control.set_skipped(skipped);
    });
    hosts.keep(started);
}

/// Calls user code. The error is the message of its panic.
fn catch<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let message = message_of(&*payload).unwrap_or("the world has ended").to_owned();
        drop_guarded(payload);
        message
    })
}

impl RunningScript {
    fn add(&mut self, time: Duration, location: &'static Location<'static>, step: Step) {
        self.steps.insert((time, self.added), (location, step));
        self.added += 1;
    }

    fn run(&mut self) -> Result<(), Stop> {
        if let Some(nemesis) = &self.nemesis {
            if let Some((time, step)) = nemesis.next_begin(&self.control) {
                self.add(time, Location::caller(), Step::Nemesis(step));
            }
        }
        let baton = Arc::clone(self.control.hosts().baton());
        loop {
            self.take_due_steps()?;
            if self.steps.is_empty() && self.invariants.is_empty() {
                return Ok(()); // Nothing is left to do.
            }
            if baton.is_alone() && self.is_over() {
                return self.check_invariants();
            }
            // The clock never shows a later time than this.
            let is_reached = |time: &Duration| time.as_nanos() < u128::from(u64::MAX);
            let next = self.steps.keys().next().map(|(time, _)| *time).filter(is_reached);
            match baton.await_turn(next) {
                Turn::Due => {}
                Turn::Quiet | Turn::Alone => self.check_invariants()?,
                Turn::Over => return Ok(()),
            }
        }
    }

    /// All hosts have ended, or no step is left that could restart one.
    fn is_over(&self) -> bool {
        let hosts = self.control.hosts();
        hosts.have_ended() || !hosts.is_any_down() || !self.steps.values().any(|(_, step)| step.may_restart())
    }

    fn take_due_steps(&mut self) -> Result<(), Stop> {
        let now = self.control.now();
        while let Some(entry) = self.steps.first_entry().filter(|entry| entry.key().0 <= now) {
            let (location, step) = entry.remove();
            self.take(location, step)?;
            for (time, host) in self.control.take_restarts() {
                self.add(time, location, Step::Restart(host));
            }
        }
        Ok(())
    }

    fn take(&mut self, location: &'static Location<'static>, step: Step) -> Result<(), Stop> {
        match step {
            Step::Once(action) => self.guard(location, &*action),
            Step::Every(period, action) => {
                self.guard(location, &*action)?;
                self.add(self.control.now().saturating_add(period), location, Step::Every(period, action));
                Ok(())
            }
            Step::Restart(host) => {
                self.control.restart_now(host);
                Ok(())
            }
            Step::Nemesis(step) => {
                let nemesis = self.nemesis.as_mut().expect("it has made the step");
                for (time, step) in nemesis.take(step, &mut self.control) {
                    self.add(time, location, Step::Nemesis(step));
                }
                Ok(())
            }
        }
    }

    /// Calls user code. A panic stops the world.
    fn guard(&mut self, location: &'static Location<'static>, action: &dyn Fn(&mut Control)) -> Result<(), Stop> {
        let control = &mut self.control;
        let Err(message) = catch(|| action(control)) else { return Ok(()) };
        let text = format!("the script at {location} has panicked: {message}");
        self.control.hosts().baton().fail_and_stop(FailureKind::Script, text);
        Err(Stop)
    }

    fn check_invariants(&mut self) -> Result<(), Stop> {
        let control = &mut self.control;
        for (location, check) in &mut self.invariants {
            let objection =
                catch(|| check(control)).unwrap_or_else(|message| Some(format!("it has panicked: {message}")));
            if let Some(objection) = objection {
                let text = format!("the invariant at {location} is violated: {objection}");
                control.hosts().baton().fail_and_stop(FailureKind::Invariant, text);
                return Err(Stop);
            }
        }
        for (time, host) in self.control.take_restarts() {
            self.add(time, Location::caller(), Step::Restart(host));
        }
        Ok(())
    }
}

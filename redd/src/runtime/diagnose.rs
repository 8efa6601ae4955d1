//! When to look for tasks that can never run again, and what becomes of a diagnosis.
//!
//! Called by `lifecycle` (a runtime begins), `observe::looks` (a wait or a park asks for a look), `strict`, and by the monitor
//! thread when the alarm for the next look fires. The process has one alarm for all runtimes.
//!
//! # Protocol
//! 1. A wait or a park asks for a look a second later, by setting the alarm. Further ones cost one load until that look.
//! 2. The look reads a few words of each task. If there is a suspect, it takes a dump.
//! 3. What the dump finds has to be found again 10 ms later, without a poll in between.
//! 4. Then it is reported, once for each of its lines in each runtime.
//! 5. While tasks wait in lists, looks follow after 1, 2 and 4 s, and then none: a wait that began before the holder of its lock
//!    got stuck asks for no look of its own.
//!
//! # Invariants
//! - `hundredth-of-a-cpu`: after a look, the next one comes no sooner than a hundred times the time that it took.
//! - `fewer-for-parks`: if no task waits in a list, the time between looks that parks ask for doubles up to `PARK_GAP_MAX_MS`.
//! - `one-looks`: one thread of a process looks at a time, the monitor thread. If a child of `fork` finds the lock of its state taken, then by
//!   a thread of its parent, and forever. So no look waits for that lock, and there are none in that child.
//! - `hook-last`: the program's hook runs at the end of a look and without a lock, and a panic in it is caught there.

use std::collections::HashSet;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

use super::look::{Glanced, Look, glance, waits_at};
use crate::observe::dump::Diagnosis;
use crate::observe::looks::{self, Reason};
use crate::observe::report::{self, Printable, ReportKind};
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicBool;
use crate::primitives::user_code::guarded;
use crate::scheduler::choices::Flavor;
use crate::scheduler::id::Id;
use crate::scheduler::rescue::monitor_thread::{self, OnAlarm, Registration};
use crate::scheduler::shared::Shared;
use crate::sys;
use crate::sys::alarm::Alarm;
use crate::sys::fork::Process;

/// The time from a request to its look. A grant has to be unnoticed for a second.
const DELAY_MS: u64 = 1100;
/// The time to the look that confirms.
const CONFIRM_MS: u64 = 10;
/// See step 5.
const REPEATS: u32 = 3;
/// See `fewer-for-parks`.
const PARK_GAP_MAX_MS: u64 = 64_000;
/// See `hundredth-of-a-cpu`.
const COST_FACTOR: u64 = 100;
/// For how long nothing can happen in a strict test.
const NOTHING_MS: u64 = 5_000;
/// How many lines and tasks are remembered as reported.
const TOLD_MAX: usize = 4096;

static RUNTIMES: OnceLock<Mutex<Vec<Weak<Shared>>>> = OnceLock::new();
static LOOKS: OnceLock<Arc<Looks>> = OnceLock::new();
/// A thread is inside of [`ask`].
static IS_ASKED: AtomicBool = AtomicBool::new(false);

/// The looks of a process.
#[derive(Default)]
struct Looks {
    schedule: Mutex<Schedule>,
    /// Of the thread that looks (`one-looks`).
    state: Mutex<State>,
    strict: Mutex<Vec<Arc<Failure>>>,
}

/// When the next look is. Times are those of the monotonic clock.
#[derive(Default)]
struct Schedule {
    alarm: Option<(Process, Registration, Alarm)>,
    /// The monitor thread may be started.
    may_start: bool,
    due_ms: Option<u64>,
    /// A wait asks for no look before this.
    waits_from_ms: u64,
    /// As above, for a park.
    parks_from_ms: u64,
    repeats: u32,
}

#[derive(Default)]
struct State {
    park_gap_ms: u64,
    /// What the look before found. It has to be confirmed.
    previous: Option<Look>,
    /// What was reported: the id of the runtime, the type of the diagnosis, and its lines.
    told: HashSet<(Id, u8, Vec<&'static Location<'static>>)>,
    told_tasks: HashSet<u64>,
    /// As in `Glanced`.
    told_grants: HashSet<(Option<&'static Location<'static>>, u32)>,
    /// Since when nothing can happen, and the polls up to then.
    nothing: Option<(u64, (usize, u64))>,
}

/// A call of `block_on` that fails if there is a diagnosis.
pub(super) struct Failure {
    runtime: Id,
    /// The text, what to wake for it, and where the future waits.
    failed: Mutex<(Option<String>, Option<Waker>, Option<&'static Location<'static>>)>,
}

fn all() -> &'static Arc<Looks> {
    LOOKS.get_or_init(Arc::default)
}

/// A runtime begins.
pub(super) fn begin(shared: &Arc<Shared>) {
    if !shared.config.diagnose {
        return;
    }
    {
        let mut runtimes = RUNTIMES.get_or_init(Mutex::default).lock();
        runtimes.retain(|runtime| runtime.strong_count() > 0);
        runtimes.push(Arc::downgrade(shared));
    }
    if shared.config.flavor == Flavor::MultiThread {
        all().schedule.lock().may_start = true;
    }
    looks::begin(ask);
}

/// Asks for a look.
fn ask(reason: Reason) {
    // No thread waits here for another one. So none does in a child of `fork`, in which the other one does not exist. Relaxed, here
    // and below: the lock orders what is done under it.
    if IS_ASKED.swap(true, Ordering::Relaxed) {
        return looks::ask_again(reason);
    }
    let schedule = &mut *all().schedule.lock();
    let now = sys::monotonic_ms();
    schedule.repeats = REPEATS;
    match reason {
        Reason::Wait => schedule.set_by(now + DELAY_MS.max(schedule.waits_from_ms.saturating_sub(now)), true),
        Reason::Park => schedule.set_by(now + DELAY_MS.max(schedule.parks_from_ms.saturating_sub(now)), false),
        Reason::Age => {
            schedule.may_start = true;
            if looks::is_postponed() {
                schedule.set_by(now + DELAY_MS, false);
            }
        }
    }
    IS_ASKED.store(false, Ordering::Relaxed);
}

impl Schedule {
    /// Sets the alarm, unless it is set to an earlier time. `starts`: the monitor thread is started for that.
    fn set_by(&mut self, at_ms: u64, starts: bool) {
        let has_alarm = self.alarm.as_ref().is_some_and(|(process, ..)| process.is_current());
        if has_alarm && self.due_ms.is_some_and(|due_ms| due_ms <= at_ms) {
            return;
        }
        if !has_alarm {
            if !(monitor_thread::is_running() || starts && self.may_start) {
                return looks::set_postponed(true);
            }
            let looks: Weak<dyn OnAlarm> = Arc::downgrade(all()) as Weak<dyn OnAlarm>;
            // Without descriptors there are no looks. Without threads neither.
            let Ok((registration, alarm)) = monitor_thread::register(looks) else { return };
            self.alarm = Some((Process::current(), registration, alarm));
        }
        looks::set_postponed(false);
        self.due_ms = Some(at_ms);
        if let Some((_, _, alarm)) = &self.alarm {
            alarm.set(Some(Duration::from_millis(at_ms.saturating_sub(sys::monotonic_ms()))));
        }
    }
}

impl OnAlarm for Looks {
    fn on_alarm(self: Arc<Self>) {
        let begun_ms = sys::monotonic_ms();
        // `one-looks`
        let Some(mut state) = self.state.try_lock() else { return };
        let repeats = {
            let schedule = &mut *self.schedule.lock();
            schedule.due_ms = None;
            schedule.repeats
        };
        let runtimes = watched();
        if runtimes.is_empty() {
            return; // The next runtime begins anew.
        }
        // `asked-until-looked` of `observe::looks`.
        looks::begin(ask);
        let (next_ms, reports) = state.look(&runtimes, begun_ms, repeats, &self.strict);
        let now = sys::monotonic_ms();
        let rest_ms = (now - begun_ms) * COST_FACTOR;
        {
            let park_gap_ms = state.park_gap_ms;
            // `hook-last`
            drop(state);
            let schedule = &mut *self.schedule.lock();
            schedule.waits_from_ms = now + rest_ms;
            schedule.parks_from_ms = now + rest_ms.max(park_gap_ms);
            match next_ms {
                Next::Confirm => schedule.set_by(now + CONFIRM_MS, false),
                Next::Repeat => {
                    // `quiet-at-rest` of `observe::looks`: fewer than before.
                    let after_ms = 1000 << (REPEATS - repeats);
                    schedule.repeats = schedule.repeats.min(repeats - 1);
                    schedule.set_by(now + rest_ms.max(after_ms), false);
                }
                Next::Strict => schedule.set_by(now + rest_ms.max(1000), false),
                Next::None => {}
            }
        }
        for (runtime, diagnosis) in reports {
            deliver(&runtime, &diagnosis); // `hook-last`
        }
    }
}

/// Why another look follows.
enum Next {
    Confirm,
    Repeat,
    Strict,
    None,
}

/// The runtimes in which to look.
fn watched() -> Vec<Arc<Shared>> {
    let mut runtimes = RUNTIMES.get_or_init(Mutex::default).lock();
    runtimes.retain(|runtime| runtime.strong_count() > 0);
    let own = |runtime: &Arc<Shared>| runtime.is_in_own_process() && !runtime.is_closed();
    runtimes.iter().filter_map(Weak::upgrade).filter(own).collect()
}

impl State {
    /// Looks once. Returns what to report.
    fn look(
        &mut self,
        runtimes: &[Arc<Shared>],
        now_ms: u64,
        repeats: u32,
        strict: &Mutex<Vec<Arc<Failure>>>,
    ) -> (Next, Vec<(Arc<Shared>, Diagnosis)>) {
        let Glanced { mut suspects, mut grants, has_waiters } = glance(runtimes);
        suspects.retain(|id| !self.told_tasks.contains(id));
        grants.retain(|grant| !self.told_grants.contains(grant));
        self.park_gap_ms = if has_waiters { DELAY_MS } else { (self.park_gap_ms * 2).clamp(DELAY_MS, PARK_GAP_MAX_MS) };
        let failures: Vec<_> = strict.lock().clone();
        let rest = if !failures.is_empty() {
            Next::Strict
        } else if has_waiters && repeats > 0 {
            Next::Repeat
        } else {
            Next::None
        };
        if suspects.is_empty() && grants.is_empty() && failures.is_empty() {
            self.previous = None;
            return (rest, Vec::new());
        }
        let look = Look::at(runtimes);
        self.fail_if_nothing_can_happen(&look, now_ms, &failures);
        let Some(mut previous) = self.previous.take() else {
            let has_any = look.dump.diagnoses().iter().any(is_reported);
            self.previous = has_any.then_some(look);
            return (if has_any { Next::Confirm } else { rest }, Vec::new());
        };
        previous.dump.confirm_by(&look.dump);
        let mut reports = Vec::new();
        for diagnosis in previous.dump.diagnoses().iter().filter(|diagnosis| is_reported(diagnosis)) {
            if self.told.len() >= TOLD_MAX {
                self.told.clear();
            }
            if self.told_tasks.len() >= TOLD_MAX {
                self.told_tasks.clear();
            }
            if self.told_grants.len() >= TOLD_MAX {
                self.told_grants.clear();
            }
            if let Diagnosis::Futurelock { granted_at, .. } = diagnosis {
                self.told_grants.extend(grants.iter().filter(|(location, _)| location == granted_at));
            } else {
                self.told_tasks.extend(diagnosis.tasks().iter().map(|id| id.number()));
            }
            let Some(runtime) = runtimes.get(look.owner(diagnosis)) else { continue };
            let (kind, lines) = diagnosis.places();
            if self.told.insert((runtime.id, kind, lines)) {
                reports.push((Arc::clone(runtime), diagnosis.clone()));
            }
            let owners = look.owners(diagnosis);
            let ids: HashSet<Id> = owners.iter().filter_map(|index| runtimes.get(*index)).map(|one| one.id).collect();
            let is_about = |failure: &&Arc<Failure>| {
                let (_, _, last_wait) = &*failure.failed.lock();
                ids.contains(&failure.runtime) || last_wait.is_some_and(|at| ids.is_empty() && waits_at(diagnosis, at))
            };
            for failure in failures.iter().filter(is_about) {
                failure.fail(format!("{diagnosis}\n\nThe tasks:\n{}", look.dump));
            }
        }
        (rest, reports)
    }

    /// Fails strict tests if nothing can happen for long.
    fn fail_if_nothing_can_happen(&mut self, look: &Look, now_ms: u64, failures: &[Arc<Failure>]) {
        let Some(diagnosis) = look.dump.diagnoses().iter().find(|diagnosis| !is_reported(diagnosis)) else {
            self.nothing = None;
            return;
        };
        let polls = look.polls();
        let (since_ms, before) = *self.nothing.get_or_insert((now_ms, polls));
        if before != polls {
            self.nothing = Some((now_ms, polls));
        } else if now_ms - since_ms >= NOTHING_MS {
            failures.iter().for_each(|failure| failure.fail(format!("{diagnosis}\n\nThe tasks:\n{}", look.dump)));
        }
    }
}

/// Whether it is reported without being asked for.
fn is_reported(diagnosis: &Diagnosis) -> bool {
    !matches!(diagnosis, Diagnosis::NothingCanHappen { .. })
}

/// Reports a diagnosis. A panic of the hook or of a subscriber is caught.
fn deliver(runtime: &Shared, diagnosis: &Diagnosis) {
    guarded(|| emit(diagnosis));
    guarded(|| match (&runtime.config.on_diagnosis, &runtime.config.name) {
        (Some(hook), _) => hook(diagnosis),
        (None, Some(name)) => {
            report::report(ReportKind::Diagnosis, format_args!("runtime `{}`: {diagnosis}", Printable(name)));
        }
        (None, None) => report::report(ReportKind::Diagnosis, format_args!("{diagnosis}")),
    });
}

/// Emits a diagnosis as a warning of target `redd::diagnosis`.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "only a subscriber reads it"))]
fn emit(diagnosis: &Diagnosis) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "redd::diagnosis", tasks = ?diagnosis.tasks(), "{diagnosis}");
}

impl Failure {
    /// Begins to look each second for a call of `block_on` on this runtime.
    pub(super) fn begin(shared: &Shared) -> Arc<Self> {
        let this = Arc::new(Self { runtime: shared.id, failed: Mutex::default() });
        all().strict.lock().push(Arc::clone(&this));
        all().schedule.lock().may_start = true;
        // A wait or park of this runtime may have come before it was strict.
        ask(Reason::Wait);
        this
    }

    pub(super) fn end(this: &Arc<Self>) {
        all().strict.lock().retain(|other| !Arc::ptr_eq(this, other));
    }

    fn fail(&self, text: String) {
        let waker = {
            let (failed, waker, _) = &mut *self.failed.lock();
            failed.get_or_insert(text);
            waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// The diagnosis, if there is one. Otherwise it wakes this waker.
    pub(super) fn take(&self, waker: &Waker) -> Option<String> {
        let waker = waker.clone();
        let mut failed = self.failed.lock();
        let text = failed.0.take();
        let old = failed.1.replace(waker);
        drop(failed);
        drop(old);
        text
    }

    /// The future has been polled, and waits there.
    pub(super) fn set_wait(&self, location: Option<&'static Location<'static>>) {
        self.failed.lock().2 = location;
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_look_does_not_wait_for_one_that_never_ends() {
        let _runtime = crate::runtime::Builder::new_current_thread().build().expect("a runtime");
        let looks = Arc::new(Looks::default());
        // As in a child that was forked during a look.
        let taken = looks.state.lock();
        let (told, tells) = std::sync::mpsc::channel();
        let other = Arc::clone(&looks);
        let thread = crate::primitives::thread::spawn_named("looks".to_owned(), None, move || {
            other.on_alarm();
            told.send(())
        });
        let has_ended = tells.recv_timeout(Duration::from_secs(60)).is_ok();
        drop(taken);
        thread.expect("it starts").join().expect("no panic").expect("it is awaited");
        assert!(has_ended);
    }
}

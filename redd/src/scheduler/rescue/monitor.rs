//! The monitor thread: looks when an alarm goes off, wakes a sleeper or starts a spare, and tells.
//!
//! There is one in a process, started for the first runtime that watches; it sleeps in an epoll on the alarms of all, and
//! stays. Called by the runtime (start, stop); `StallDetector` sets the alarms.
//!
//! # Invariants
//! - `own-gap`, `guarded-while-awake`: as in `rescue`.
//! - `nothing-is-taken`: a stuck thread keeps all that it has. Others may take tasks from its slot and fire its timers, which
//!   they may at any time; so it returns when it likes and goes on.
//! - `survives`: a panic in a turn is a mistake of ours, is reported, and does not end the thread.
//! - `hook-last`: the program's hook runs after everything else of a turn, without a lock, and a panic of it ends there.
//! - `not-after-stop`: a turn holds the lock of `StallDetector::monitor` while it acts. `stop` takes it after the end is announced,
//!   so no turn acts for a runtime that is being shut down.
//!
//! # Why not otherwise
//! A thread for each runtime doubles the price of a short one, and a program with a runtime on each core has as many
//! threads that do nothing.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use super::decide::{CpuUse, Lateness, Reading, Situation, Suspect, Verdict, WholePoll, computes, decide};
use super::report::{Behind, LatePoll, Mode, RescueAction, Stack, write_line};
use super::{Compared, OF_ROOT, Seen, polls};
use crate::observe::report::{self, ReportKind};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::lock_wait::waits_for_lock;
use crate::primitives::{Mutex, thread};
use crate::scheduler::spares::{self, Started};
use crate::scheduler::{Flavor, Shared, WorkerSlot, idle};
use crate::sys;
use crate::sys::alarm::Alarm;
use crate::sys::epoll::{Epoll, EventBuffer, flags};
use crate::sys::fork::Process;
use crate::sys::thread::RunState;
use crate::task::hooks::guarded;
use crate::time::clock::real_now;

/// A poll reported late is reported again when it has taken so many times as long.
const REMINDER: u32 = 10;

/// How long a thread may take to tell its stack: as long as one that needs a CPU for it often waits. Picked by feel.
const PATIENCE_WITH_STACK: Duration = Duration::from_millis(20);

/// Threads that tell reports with stacks, and how many there may be: in a storm, or without a thread, stacks are left out.
static TELLERS: AtomicU32 = AtomicU32::new(0);
const TELLERS_MAX: u32 = 8;

/// The monitor of a process: a child of `fork` has none, and must not touch its parent's epoll.
#[derive(Debug)]
struct MonitorThread {
    process: Process,
    epoll: Epoll,
    runtimes: Mutex<Runtimes>,
}

#[derive(Debug, Default)]
struct Runtimes {
    next: u64,
    watched: Vec<(u64, Weak<Shared>)>,
}

static MONITOR_THREAD: OnceLock<Mutex<Option<Arc<MonitorThread>>>> = OnceLock::new();

impl MonitorThread {
    /// The one of this process.
    fn open() -> io::Result<Arc<Self>> {
        let mut monitor_thread = MONITOR_THREAD.get_or_init(Mutex::default).lock();
        if let Some(monitor_thread) =
            monitor_thread.as_ref().filter(|monitor_thread| monitor_thread.process.is_current())
        {
            return Ok(Arc::clone(monitor_thread));
        }
        let new = Self { process: Process::current(), epoll: Epoll::new()?, runtimes: Mutex::default() };
        let new = Arc::new(new);
        let mine = Arc::clone(&new);
        drop(thread::spawn_named("redd-monitor".to_owned(), None, move || mine.on_alarm())?);
        *monitor_thread = Some(Arc::clone(&new));
        Ok(new)
    }

    /// The thread.
    fn on_alarm(&self) {
        let mut events = EventBuffer::with_capacity(16);
        loop {
            if let Err(error) = self.epoll.wait(&mut events, None) {
                return report::report(
                    ReportKind::Own,
                    format_args!(
                        "the monitor ends, so blocked workers are not noticed any more: waiting in its epoll failed: \
                         {error}. Its descriptor was closed or changed by other code of this process; find what closes \
                         descriptors that are not its own."
                    ),
                );
            }
            for (_, number) in events.iter() {
                let find = |runtimes: &Runtimes| {
                    runtimes.watched.iter().find(|(known, _)| *known == number).and_then(|(_, shared)| shared.upgrade())
                };
                let shared = find(&self.runtimes.lock());
                let attended = shared.map(|shared| guarded(|| on_alarm(&shared)));
                if let Some(None) = attended {
                    // `survives`
                    report::report(
                        ReportKind::Own,
                        format_args!(
                            "the monitor panicked and goes on. This is a bug in redd; please report it with the message of \
                             the panic."
                        ),
                    );
                }
            }
        }
    }
}

/// The place of a runtime at the monitor_thread.
#[derive(Debug)]
pub(super) struct Registration {
    monitor_thread: Arc<MonitorThread>,
    number: u64,
}

/// The monitor watches this runtime from now on.
pub(super) fn register(shared: &Shared) -> io::Result<()> {
    let (monitor_thread, alarm) = (MonitorThread::open()?, Alarm::new()?);
    let number = {
        let mut runtimes = monitor_thread.runtimes.lock();
        runtimes.next += 1;
        let number = runtimes.next;
        runtimes.watched.push((number, Arc::downgrade(&shared.handle().shared)));
        number
    };
    let registration = Registration { monitor_thread, number };
    if let Err(error) = registration.monitor_thread.epoll.add(alarm.as_raw_fd(), flags::IN | flags::ET, number) {
        registration.leave();
        return Err(error);
    }
    shared.stall_detector.alarm.get_or_init(|| alarm);
    shared.stall_detector.registration.get_or_init(|| registration);
    Ok(())
}

impl Registration {
    fn leave(&self) {
        self.monitor_thread.runtimes.lock().watched.retain(|(number, _)| *number != self.number);
    }
}

/// Begins to watch a runtime whose workers run.
pub(crate) fn start(shared: &Shared) -> io::Result<()> {
    if shared.config.rescue.mode == Mode::Off {
        return Ok(());
    }
    register(shared)?;
    // The workers run already, and could not set it (`guarded-while-awake`).
    let detector = &shared.stall_detector;
    detector.set(&mut detector.guard.lock(), shared.ms_at(real_now()), detector.threshold);
    Ok(())
}

/// Does not watch it any more. When this returns, the monitor does nothing for the runtime, but may be inside a hook.
pub(crate) fn stop(shared: &Shared) {
    let detector = &shared.stall_detector;
    detector.guard.lock().has_ended = true; // `alarm-under-lock` of `rescue`
    if let (Some(registration), Some(alarm)) = (detector.registration.get(), detector.alarm.get()) {
        registration.leave();
        // An error would mean that the descriptor was closed by other code; then it is gone too.
        let _ = registration.monitor_thread.epoll.delete(alarm.as_raw_fd());
    }
    // `not-after-stop`: a turn that has begun ends first.
    let ended = detector.monitor.lock().take_ended(shared);
    if shared.config.on_late_poll.is_none() {
        for late in &ended {
            write_line(late, shared.config.name.as_deref());
        }
    }
}

/// An alarm went off.
fn on_alarm(shared: &Arc<Shared>) {
    let mut reports = {
        let monitor = &mut *shared.stall_detector.monitor.lock(); // `not-after-stop`
        monitor.on_alarm(shared)
    };
    if reports.is_empty() {
        return;
    }
    if shared.config.rescue.with_stack {
        for report in reports.iter_mut().filter(|report| report.wants_stack) {
            report.late.stack = stack(shared, shared.slot(report.late.worker), report.polls);
        }
    }
    let (held, now): (Vec<_>, Vec<_>) = reports.into_iter().partition(|report| report.is_held);
    if !held.is_empty() {
        shared.stall_detector.monitor.lock().hold(held);
    }
    let reports: Vec<LatePoll> = now.into_iter().map(|report| report.late).collect();
    if reports.iter().all(|late| late.stack.is_none()) {
        tell(shared, reports);
        return;
    }
    let reports = Arc::new(Mutex::new(reports));
    // To read the program's debug information may take a second, and others are to be rescued meanwhile.
    let (mine, theirs) = (Arc::clone(shared), Arc::clone(&reports));
    let teller = Teller::new();
    if teller.is_some() {
        let told = thread::spawn_named("redd-report".to_owned(), None, move || {
            let _teller = teller;
            let reports = std::mem::take(&mut *theirs.lock());
            tell(&mine, reports);
        });
        if told.is_ok() {
            return;
        }
    }
    // Without the stacks, which take the time.
    let reports = std::mem::take(&mut *reports.lock());
    tell(shared, reports.into_iter().map(|late| LatePoll { stack: None, ..late }).collect());
}

/// A thread that tells reports counts while this lives.
struct Teller;

impl Teller {
    /// `None`: there are enough.
    fn new() -> Option<Self> {
        // Dropped if it is one too many.
        let (teller, others) = (Self, TELLERS.fetch_add(1, Ordering::Relaxed));
        (others < TELLERS_MAX).then_some(teller)
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        TELLERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// `hook-last`
fn tell(shared: &Shared, reports: Vec<LatePoll>) {
    for late in reports {
        guarded(|| crate::trace::late_poll(&late));
        match &shared.config.on_late_poll {
            Some(hook) => {
                guarded(|| hook(&late));
            }
            None => {
                guarded(|| write_line(&late, shared.config.name.as_deref()));
            }
        }
    }
}

/// The stack of a poll. It is not taken under the lock, as its thread may keep us waiting.
fn stack(shared: &Shared, slot: &WorkerSlot, before: u64) -> Option<Stack> {
    let frames = sys::stack::of_thread(slot.thread.load(Ordering::Relaxed), PATIENCE_WITH_STACK)?;
    (polls(shared, slot) == before).then_some(Stack(frames))
}

/// What a turn begins with.
struct Look {
    seen: Vec<Seen>,
    now: u64,
    /// The alarm was the monitor's own.
    monitor_was_active: bool,
    /// `own-gap`
    is_late: bool,
}

/// What the monitor knows of one runtime.
#[derive(Debug, Default)]
pub(super) struct Monitor {
    /// By slot.
    tracks: Vec<Track>,
}

/// What the monitor knows of one poll.
#[derive(Debug, Default)]
struct Track {
    polls: u64,
    first: Option<Reading>,
    reading: Option<Reading>,
    cpu: Option<CpuUse>,
    /// Since when its thread was seen at each look to wait for a CPU, which the system counts only afterwards.
    waits_since: Option<u64>,
    /// Time that its thread waited for locks of redd, as far as it was seen.
    in_redd: Duration,
    has_stand_in: bool,
    was_rescued: bool,
    action: Option<RescueAction>,
    /// What waited when that was done.
    behind: Option<Behind>,
    /// How long the poll had taken at its last report.
    reported_at: Option<Duration>,
    has_reminded: bool,
    /// A report that waits for the end of the poll, and how many polls of the worker had panicked before.
    held: Option<LatePoll>,
    panics: u64,
}

/// A report of a poll.
#[derive(Debug)]
struct Report {
    late: LatePoll,
    polls: u64,
    /// It goes back to the poll's track.
    is_held: bool,
    /// Nobody has asked for the stack yet.
    wants_stack: bool,
}

impl Monitor {
    /// One turn, and what it has to report.
    fn on_alarm(&mut self, shared: &Shared) -> Vec<Report> {
        let Some(Look { seen, now, monitor_was_active, is_late }) = look(shared) else { return Vec::new() };
        if is_late {
            // What was read before does not tell what happened since (`own-gap`).
            self.tracks.iter_mut().for_each(|track| track.reading = None);
        }
        let mut reports: Vec<Report> = self
            .take_ended(shared)
            .into_iter()
            .map(|late| Report { late, polls: 0, is_held: false, wants_stack: false })
            .collect();
        self.read(shared, &seen, now);
        if is_late && !self.tracks.iter().any(|track| track.computes(shared.stall_detector.threshold)) {
            set_alarm(shared, &seen, now, false);
            return reports;
        }
        let behind = self.turn(shared, &seen, now);
        set_alarm(shared, &seen, now, monitor_was_active);
        self.late(shared, &seen, now, behind, &mut reports);
        reports
    }

    /// Reports that were held back until now, when their polls have ended. A panic is reported by its own message.
    fn take_ended(&mut self, shared: &Shared) -> Vec<LatePoll> {
        let mut ended = Vec::new();
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let slot = shared.slot(index);
            let Some(late) = track.held.take_if(|_| polls(shared, slot) != track.polls) else { continue };
            // Behind the look at the end of the poll, which comes after the note of the panic.
            if slot.mark.panics() == track.panics {
                let late = LatePoll { has_ended: true, ..late };
                count(shared, &late);
                ended.push(late);
            }
        }
        ended
    }

    /// Keeps reports for the end of their polls.
    fn hold(&mut self, reports: Vec<Report>) {
        for Report { late, polls, .. } in reports {
            let track = &mut self.tracks[late.worker];
            // If the poll has ended meanwhile, the next one may have begun; then this report is lost.
            if track.polls == polls {
                track.held = Some(late);
            }
        }
    }

    /// What the threads do that are in a poll.
    fn read(&mut self, shared: &Shared, seen: &[Seen], now: u64) {
        self.tracks.resize_with(seen.len(), Track::default);
        for (index, (track, seen)) in self.tracks.iter_mut().zip(seen).enumerate() {
            if track.polls != seen.polls {
                let panics = shared.slot(index).mark.panics();
                *track = Track { polls: seen.polls, panics, ..Track::default() };
            }
            if seen.is_polling() {
                track.read(shared.slot(index), now);
            }
        }
    }

    /// Marks who is stuck, and acts.
    fn turn(&mut self, shared: &Shared, seen: &[Seen], now: u64) -> Behind {
        let detector = &shared.stall_detector;
        let rescues = shared.config.rescue.mode == Mode::Rescue;
        let mut needs_cover = false;
        for (index, seen) in seen.iter().enumerate() {
            let slot = shared.slot(index);
            if !is_suspect(shared, *seen, now) {
                shared.workers.states.clear_mark(&slot.state);
                continue;
            }
            detector.counters.longest_poll_ms.fetch_max(now - seen.since, Ordering::Relaxed);
            // `nothing-is-taken`: the mark only opens its slot to others.
            let is_marked = rescues && shared.workers.states.mark_stalled(&slot.state);
            if is_marked && slot.mark.polls() != seen.polls {
                shared.workers.states.clear_mark(&slot.state); // `marked-late` of `states`
            } else if is_marked {
                // Who sleeps has not counted its wheel in.
                needs_cover |= index < shared.config.workers && shared.timers.next_deadline(index).is_some();
            }
        }
        shared.set_has_stalled(shared.slots().any(|slot| slot.state.is_stalled()));
        let mut behind = find_behind(shared, seen, now);
        behind.has_timers = needs_cover;
        if rescues {
            self.act(shared, seen, now, &mut behind);
        }
        behind
    }

    fn act(&mut self, shared: &Shared, seen: &[Seen], now: u64, behind: &mut Behind) {
        let suspects: Vec<usize> = (0..seen.len()).filter(|index| is_suspect(shared, seen[*index], now)).collect();
        let serving = shared.workers.states.active();
        if suspects.is_empty() && serving > 0 {
            return;
        }
        shared.ensure_driver_polled();
        // Behind the marks: who goes to sleep from here on sees them, or is seen to sleep.
        idle::after_remote_push();
        let situation = Situation {
            has_work: behind.has_work(),
            has_io: shared.driver.registrations() > 0,
            sleepers: shared.idle.load().sleepers.into(),
            serving,
            workers: shared.config.workers,
        };
        behind.has_io = situation.has_io && serving == 0;
        let behind = *behind;
        let values: Vec<Suspect> = suspects
            .iter()
            .map(|index| Suspect {
                stuck_for: Duration::from_millis(now - seen[*index].since),
                cpu: self.tracks[*index].cpu,
                computes: self.tracks[*index].computes(shared.stall_detector.threshold),
                has_stand_in: self.tracks[*index].has_stand_in,
            })
            .collect();
        let mut all = RescueAction::LeftAlone;
        match decide(situation, &values, shared.stall_detector.threshold) {
            Verdict::NothingWaits => all = RescueAction::NothingWaits,
            Verdict::AtFullStrength | Verdict::NotYet => {}
            Verdict::Wake => {
                shared.wake_worker();
                all = RescueAction::WokeWorker;
            }
            Verdict::Start(whom) => {
                let action = match spares::start_spare(shared, shared.config.rescue.max_workers) {
                    Started::Yes => RescueAction::StartedSpare,
                    Started::BoundHit => RescueAction::BoundHit,
                    Started::Refused(_) => RescueAction::ThreadRefused,
                    Started::Closed => return,
                };
                if let Some(whom) = whom {
                    let track = &mut self.tracks[suspects[whom]];
                    track.has_stand_in = action == RescueAction::StartedSpare;
                    track.note(action, behind, shared);
                }
            }
        }
        for index in suspects {
            self.tracks[index].note(all, behind, shared);
        }
    }

    /// Adds what is late and was not reported.
    fn late(&mut self, shared: &Shared, seen: &[Seen], now: u64, behind: Behind, reports: &mut Vec<Report>) {
        let report_after = shared.config.rescue.report_after;
        for (index, seen) in seen.iter().enumerate() {
            if !is_suspect(shared, *seen, now) {
                continue;
            }
            let track = &mut self.tracks[index];
            let whole = track.whole(Duration::from_millis(now - seen.since));
            if let Some(before) = track.reported_at {
                let is_due = !track.has_reminded && whole.elapsed >= before.saturating_mul(REMINDER);
                if !is_due {
                    continue;
                }
            }
            let slot = shared.slot(index);
            let thread = slot.thread.load(Ordering::Relaxed);
            if whole.lateness(report_after, false) == Lateness::NotLate || waits_for_lock(thread) {
                continue;
            }
            let system_call = sys::thread::system_call(thread);
            let is_held = match whole.lateness(report_after, sys::thread::may_be_in_panic(system_call)) {
                Lateness::NotLate => continue,
                Lateness::MayPanic => true,
                Lateness::Late => false,
            };
            let now = LatePoll {
                root: shared.root().filter(|_| seen.polls & OF_ROOT != 0 && polls(shared, slot) == seen.polls),
                task: slot.mark.task_of(seen.polls, |task| shared.slab.ref_at(task)).map(|task| task.info()),
                elapsed: whole.elapsed,
                is_reminder: track.reported_at.is_some(),
                has_ended: false,
                cpu: whole.cpu_use(report_after),
                computed: whole.computed,
                system_call,
                wait_channel: sys::thread::wait_channel(thread),
                thread_name: sys::thread::name(thread),
                worker: index,
                behind: track.behind.unwrap_or(behind),
                action: match shared.config.rescue.mode {
                    Mode::Rescue => track.action.unwrap_or(RescueAction::LeftAlone),
                    Mode::Report | Mode::Off => RescueAction::ReportOnly,
                },
                stack: None,
            };
            let wants_stack = track.held.is_none();
            let late = match track.held.take() {
                // It stays about what was seen first, as the thread may already be on its way out of the poll.
                Some(held) if is_held => LatePoll {
                    elapsed: now.elapsed,
                    cpu: now.cpu,
                    computed: now.computed,
                    behind: now.behind,
                    action: now.action,
                    ..held
                },
                Some(held) => LatePoll { stack: held.stack, ..now },
                None => now,
            };
            if !is_held {
                track.has_reminded = late.is_reminder;
                track.reported_at = Some(late.elapsed);
                if !late.is_reminder {
                    count(shared, &late);
                }
            }
            reports.push(Report { late, polls: seen.polls, is_held, wants_stack });
        }
    }
}

/// The slots as they are now; `None` when the runtime ends.
fn look(shared: &Shared) -> Option<Look> {
    let detector = &shared.stall_detector;
    let guard = &mut *detector.guard.lock();
    if guard.has_ended {
        return None;
    }
    let now = shared.ms_at(real_now());
    let Compared { is_late, .. } = guard.compare(shared, now, detector.step_ms());
    Some(Look { seen: guard.seen.clone(), now, monitor_was_active: guard.monitor_is_active, is_late })
}

fn is_suspect(shared: &Shared, seen: Seen, now: u64) -> bool {
    seen.is_polling() && now - seen.since >= shared.stall_detector.step_ms()
}

/// When to look next.
fn set_alarm(shared: &Shared, seen: &[Seen], looked_at: u64, monitor_was_active: bool) {
    let detector = &shared.stall_detector;
    let guard = &mut *detector.guard.lock();
    let now = shared.ms_at(real_now());
    let has_stalled = shared.slots().any(|slot| slot.state.is_stalled());
    let nobody_serves = shared.config.flavor == Flavor::MultiThread && shared.workers.states.active() == 0;
    // Nobody came by for a while, and here is a poll: a second look a step later tells whether it is that one.
    let may_be_stuck = |seen: &Seen| seen.is_polling() && (!monitor_was_active || is_suspect(shared, *seen, looked_at));
    guard.monitor_is_active = has_stalled || nobody_serves || seen.iter().any(may_be_stuck);
    if guard.monitor_is_active {
        detector.set(guard, now, detector.step);
    } else if detector.disarm(guard, shared) {
        detector.disarms_eagerly.store(true, Ordering::Relaxed);
    } else {
        detector.due.store(now + detector.step_ms(), Ordering::Relaxed);
        detector.set(guard, now, detector.threshold);
    }
}

/// What stands behind the stuck workers.
fn find_behind(shared: &Shared, seen: &[Seen], now: u64) -> Behind {
    let mut behind = Behind { injected: shared.injector.len(), ..Behind::default() };
    for (seen, slot) in seen.iter().zip(shared.slots()) {
        if is_suspect(shared, *seen, now) {
            behind.queued += slot.queue.len() + usize::from(slot.queue.has_next());
        } else {
            behind.has_others |= !slot.queue.is_ring_empty();
        }
    }
    if !shared.timers.clock().is_paused() {
        let soon = shared.timers.now_tick() + shared.stall_detector.step_ms();
        let is_due = |wheel| shared.timers.next_deadline(wheel).is_some_and(|deadline| deadline <= soon);
        behind.has_due_timers = match shared.config.flavor {
            Flavor::MultiThread => shared.common_wheels().any(is_due),
            Flavor::CurrentThread | Flavor::Local => (0..=1).any(is_due),
        };
    }
    behind
}

impl Track {
    /// Reads what the thread does, and concludes from the reading before.
    fn read(&mut self, slot: &WorkerSlot, now: u64) {
        let thread = slot.thread.load(Ordering::Relaxed);
        let reading = Reading {
            at_ms: now,
            cpu: sys::thread::cpu_time(thread),
            delay: sys::thread::run_delay(thread),
            state: sys::thread::run_state(thread),
        };
        self.cpu = self.reading.as_ref().map(|before| reading.since(before));
        self.first.get_or_insert(reading);
        if let Some(before) = self.reading {
            if waits_for_lock(thread) {
                self.in_redd += Duration::from_millis(now.saturating_sub(before.at_ms));
            }
            // It runs or waits for a CPU, and has not run, nor has the system counted a wait that is over.
            let is_kept =
                reading.state == Some(RunState::Runnable) && (reading.cpu, reading.delay) == (before.cpu, before.delay);
            self.waits_since = if is_kept { self.waits_since.or(Some(before.at_ms)) } else { None };
        }
        self.reading = Some(reading);
    }

    /// The poll as a whole, as far as it was seen.
    fn whole(&self, elapsed: Duration) -> WholePoll {
        let (Some(first), Some(last)) = (&self.first, &self.reading) else {
            return WholePoll {
                elapsed,
                computed: None,
                delay: Duration::ZERO,
                in_redd: self.in_redd,
                is_stopped: false,
            };
        };
        let counted = last.delay.zip(first.delay).map_or(Duration::ZERO, |(now, then)| now.saturating_sub(then));
        let goes_on = self.waits_since.map_or(0, |since| last.at_ms.saturating_sub(since));
        WholePoll {
            elapsed,
            computed: last.cpu.zip(first.cpu).map(|(now, then)| now.saturating_sub(then)),
            delay: counted + Duration::from_millis(goes_on),
            in_redd: self.in_redd,
            is_stopped: last.state == Some(RunState::Stopped),
        }
    }

    /// Whether the poll is a computation, as far as it was seen.
    fn computes(&self, threshold: Duration) -> bool {
        let (Some(first), Some(now)) = (&self.first, &self.reading) else { return false };
        let spent = now.cpu.unwrap_or_default().saturating_sub(first.cpu.unwrap_or_default());
        computes(spent, Duration::from_millis(now.at_ms - first.at_ms), threshold)
    }

    /// Keeps the strongest thing that was done.
    fn note(&mut self, action: RescueAction, behind: Behind, shared: &Shared) {
        let strength = |action: RescueAction| match action {
            RescueAction::NothingWaits | RescueAction::ReportOnly => 0,
            RescueAction::LeftAlone => 1,
            RescueAction::WokeWorker => 2,
            RescueAction::BoundHit | RescueAction::ThreadRefused => 3,
            RescueAction::StartedSpare => 4,
        };
        if self.action.is_none_or(|before| strength(action) > strength(before)) {
            self.action = Some(action);
            self.behind = (action != RescueAction::NothingWaits && action != RescueAction::LeftAlone).then_some(behind);
        }
        let helped = matches!(action, RescueAction::WokeWorker | RescueAction::StartedSpare);
        if helped && !std::mem::replace(&mut self.was_rescued, true) {
            shared.stall_detector.counters.rescues.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn count(shared: &Shared, late: &LatePoll) {
    let counters = &shared.stall_detector.counters;
    counters.late_polls.fetch_add(1, Ordering::Relaxed);
    if let Some(location) = late.spawned_at() {
        let mut locations = counters.locations.lock();
        match locations.iter_mut().find(|(known, _)| *known == location) {
            Some((_, count)) => *count += 1,
            None => locations.push((location, 1)),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::primitives::ShortMutex;
    use crate::runtime::{Builder, Rescue};

    #[test]
    fn a_wait_for_a_lock_of_redd_is_not_reported() {
        let (mutex, short) = (Arc::new(Mutex::new(())), Arc::new(ShortMutex::new(())));
        for takes_short in [false, true] {
            let (tell, told) = mpsc::channel();
            let rescue = Rescue::report_only().report_after(Duration::from_millis(20));
            let hook = move |late: &LatePoll| tell.send(late.to_string()).unwrap_or(());
            let mut builder = Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).rescue(rescue).on_late_poll(hook).build().unwrap();
            let held = (mutex.lock(), short.lock());
            let (mine, my_short) = (Arc::clone(&mutex), Arc::clone(&short));
            let task = runtime.spawn(async move {
                if takes_short {
                    drop(my_short.lock());
                } else {
                    drop(mine.lock());
                }
            });
            while runtime.metrics().longest_poll() < Duration::from_millis(400) {
                thread::yield_now();
            }
            drop(held);
            runtime.block_on(task).unwrap();
            assert_eq!((told.try_recv().ok(), runtime.metrics().late_polls()), (None, 0));
        }
    }

    #[test]
    fn a_panic_in_a_turn_of_the_monitor_is_survived_and_so_is_a_report_thread_that_counts_itself_out() {
        let tellers: Vec<_> = (0..TELLERS_MAX).map_while(|_| Teller::new()).collect();
        assert!(Teller::new().is_none(), "{} run", tellers.len());
        assert_eq!(guarded(|| std::panic::resume_unwind(Box::new(tellers))), None::<()>);
        assert!(Teller::new().is_some());
    }
}

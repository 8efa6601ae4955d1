//! The monitor thread: looks when the alarm goes off, wakes a sleeper or starts a spare, and tells.
//!
//! Called by the runtime (start, stop, join); `Watch` sets its alarm.
//!
//! # Invariants
//! - `own-gap`, `guarded-while-awake`: as in `rescue`.
//! - `nothing-is-taken`: a stuck thread keeps all that it has. Others may take tasks from its slot and fire its timers, which
//!   they may at any time; so it returns when it likes and goes on.
//! - `hook-last`: foreign code runs after everything else of a turn, without a lock, and a panic of it ends there.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::decide::{CpuUse, Reading, Situation, Suspect, Verdict, decide};
use super::report::{LatePoll, Lines, Mode, RescueAction};
use super::{Compared, Seen, Watch};
use crate::primitives::atomic::Ordering;
use crate::primitives::thread;
use crate::scheduler::spares::{self, Started};
use crate::scheduler::{Flavor, Shared, Slot, idle};
use crate::sys;
use crate::sys::alarm::Alarm;
use crate::task::hooks::guarded;
use crate::time::clock::real_now;

/// A poll reported late is reported again when it has taken so many times as long.
const REMINDER: u32 = 10;

/// Starts the monitor of a runtime that watches.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    if shared.config.rescue.mode == Mode::Off {
        return Ok(());
    }
    start_thread(shared)?;
    // The workers run already, and could not set it (`guarded-while-awake`).
    let watch = &shared.watch;
    watch.set(&mut watch.guard.lock(), shared.ms_at(real_now()), watch.threshold);
    Ok(())
}

pub(super) fn start_thread(shared: &Arc<Shared>) -> io::Result<()> {
    let watch = &shared.watch;
    let alarm = Alarm::new()?;
    let mine = Arc::clone(shared);
    let thread = thread::spawn_named("redd-monitor".to_owned(), None, move || Monitor::new(mine).run())?;
    *watch.thread.lock() = Some(thread);
    watch.alarm.get_or_init(|| alarm);
    watch.started.unpark();
    Ok(())
}

/// The monitor is to end; it does nothing for the runtime any more, but may be inside a hook.
pub(crate) fn stop(shared: &Shared) {
    let watch = &shared.watch;
    let guard = &mut *watch.guard.lock();
    watch.set(guard, 0, Duration::ZERO);
    guard.has_ended = true; // `alarm-under-lock` of `rescue`
}

/// Waits until its thread has ended, at most for `patience`.
pub(crate) fn join(shared: &Shared, patience: Duration) {
    let Some(thread) = shared.watch.thread.lock().take() else {
        return;
    };
    if shared.watch.ended.park_timeout(patience) {
        drop(thread.join());
    }
}

/// What a turn begins with.
struct Look {
    seen: Vec<Seen>,
    now: u64,
    /// The alarm was the monitor's own.
    was_chasing: bool,
    /// `own-gap`
    is_late: bool,
}

struct Monitor {
    shared: Arc<Shared>,
    /// By slot.
    tracks: Vec<Track>,
    lines: Lines,
}

/// What the monitor knows of one poll.
#[derive(Debug, Default)]
struct Track {
    polls: u64,
    first: Option<Reading>,
    reading: Option<Reading>,
    cpu: Option<CpuUse>,
    has_stand_in: bool,
    was_rescued: bool,
    action: Option<RescueAction>,
    reports: u32,
}

/// What stands behind the stuck workers.
#[derive(Clone, Copy, Debug, Default)]
struct Behind {
    queued: usize,
    injected: usize,
    has_due_timers: bool,
    /// Tasks in the queues of workers that serve.
    has_others: bool,
}

impl Monitor {
    fn new(shared: Arc<Shared>) -> Self {
        Self { shared, tracks: Vec::new(), lines: Lines::new() }
    }

    fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        shared.watch.started.park();
        let alarm = shared.watch.alarm.get().expect("set before this thread was told to start");
        while alarm.wait().is_ok() {
            shared.watch.figures.turns.fetch_add(1, Ordering::Relaxed);
            let Some(Look { seen, now, was_chasing, is_late }) = self.look() else { break };
            if is_late {
                // What was read before does not tell what happened since (`own-gap`).
                self.tracks.iter_mut().for_each(|track| track.reading = None);
                self.set_alarm(&seen, now, false);
                continue;
            }
            let behind = self.turn(&seen, now);
            self.set_alarm(&seen, now, was_chasing);
            self.tell(&seen, now, behind);
        }
        shared.watch.ended.unpark();
    }

    fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// The slots as they are now; `None` when the runtime ends.
    fn look(&self) -> Option<Look> {
        let watch = self.watch();
        let guard = &mut *watch.guard.lock();
        if guard.has_ended {
            return None;
        }
        let now = self.shared.ms_at(real_now());
        let Compared { is_late, .. } = guard.compare(&self.shared, now, watch.step_ms());
        Some(Look { seen: guard.seen.clone(), now, was_chasing: guard.is_chasing, is_late })
    }

    fn is_suspect(&self, seen: Seen, now: u64) -> bool {
        seen.is_polling() && now - seen.since >= self.watch().step_ms()
    }

    /// Marks who is stuck, and acts.
    fn turn(&mut self, seen: &[Seen], now: u64) -> Behind {
        let shared = Arc::clone(&self.shared);
        let watch = &shared.watch;
        let rescues = shared.config.rescue.mode == Mode::Rescue;
        self.tracks.resize_with(seen.len(), Track::default);
        let mut needs_cover = false;
        for (index, seen) in seen.iter().enumerate() {
            let slot = shared.slot(index);
            let track = &mut self.tracks[index];
            if track.polls != seen.polls {
                *track = Track { polls: seen.polls, ..Track::default() };
            }
            if !seen.is_polling() {
                shared.workers.roster.unmark(&slot.standing);
                continue;
            }
            track.read(slot, now);
            if !self.is_suspect(*seen, now) {
                shared.workers.roster.unmark(&slot.standing);
                continue;
            }
            watch.figures.longest_poll_ms.fetch_max(now - seen.since, Ordering::Relaxed);
            // `nothing-is-taken`: the mark only opens its slot to others.
            if rescues && shared.workers.roster.mark_stuck(&slot.standing) {
                // Who sleeps has not counted its wheel in.
                needs_cover |= index < shared.config.workers && shared.timers.next_deadline(index).is_some();
            }
        }
        let behind = self.behind(seen, now);
        if rescues {
            self.act(seen, now, behind, needs_cover);
        }
        behind
    }

    fn behind(&self, seen: &[Seen], now: u64) -> Behind {
        let shared = &self.shared;
        let mut behind = Behind { injected: shared.injector.len(), ..Behind::default() };
        for (seen, slot) in seen.iter().zip(shared.slots()) {
            if self.is_suspect(*seen, now) {
                behind.queued += slot.queue.len() + usize::from(slot.queue.has_next());
            } else {
                behind.has_others |= !slot.queue.is_ring_empty();
            }
        }
        if !shared.timers.clock().is_paused() {
            let soon = shared.timers.now_tick() + shared.watch.step_ms();
            let is_due = |wheel| shared.timers.next_deadline(wheel).is_some_and(|deadline| deadline <= soon);
            behind.has_due_timers = match shared.config.flavor {
                Flavor::MultiThread => shared.common_wheels().any(is_due),
                Flavor::CurrentThread | Flavor::Local => (0..=1).any(is_due),
            };
        }
        behind
    }

    fn act(&mut self, seen: &[Seen], now: u64, behind: Behind, needs_cover: bool) {
        let shared = Arc::clone(&self.shared);
        let suspects: Vec<usize> = (0..seen.len()).filter(|index| self.is_suspect(seen[*index], now)).collect();
        let serving = shared.workers.roster.serving();
        if suspects.is_empty() && serving > 0 {
            return;
        }
        shared.man_the_watch();
        // Behind the marks: who goes to sleep from here on sees them, or is seen to sleep.
        idle::after_remote_push();
        let situation = Situation {
            has_work: needs_cover
                || behind.queued > 0
                || behind.injected > 0
                || behind.has_due_timers
                || behind.has_others,
            has_io: shared.driver.registrations() > 0,
            sleepers: shared.idle.load().sleepers.into(),
            serving,
            workers: shared.config.workers,
        };
        let values: Vec<Suspect> = suspects
            .iter()
            .map(|index| Suspect {
                stuck_for: Duration::from_millis(now - seen[*index].since),
                cpu: self.tracks[*index].cpu,
                spent: self.tracks[*index].spent(),
                has_stand_in: self.tracks[*index].has_stand_in,
            })
            .collect();
        let mut all = RescueAction::LeftAlone;
        match decide(situation, &values, shared.watch.threshold) {
            Verdict::NothingWaits => all = RescueAction::NothingWaits,
            Verdict::AtFullStrength | Verdict::NotYet => {}
            Verdict::Wake => {
                shared.wake_worker();
                all = RescueAction::WokeWorker;
            }
            Verdict::Start(whom) => {
                let action = match spares::start_spare(&shared, shared.config.rescue.max_workers) {
                    Started::Yes => RescueAction::StartedSpare,
                    Started::BoundHit => RescueAction::BoundHit,
                    Started::Refused(_) => RescueAction::ThreadRefused,
                    Started::Closed => return,
                };
                if let Some(whom) = whom {
                    let track = &mut self.tracks[suspects[whom]];
                    track.has_stand_in = action == RescueAction::StartedSpare;
                    track.note(action, &shared);
                }
            }
        }
        for index in suspects {
            self.tracks[index].note(all, &shared);
        }
    }

    /// When to look next.
    fn set_alarm(&self, seen: &[Seen], looked_at: u64, was_chasing: bool) {
        let watch = self.watch();
        let guard = &mut *watch.guard.lock();
        let now = self.shared.ms_at(real_now());
        let has_stuck = self.shared.slots().any(|slot| slot.standing.is_stuck());
        let nobody_serves =
            self.shared.config.flavor == Flavor::MultiThread && self.shared.workers.roster.serving() == 0;
        // Nobody came by for a while, and here is a poll: a second look a step later tells whether it is that one.
        let may_be_stuck = |seen: &Seen| seen.is_polling() && (!was_chasing || self.is_suspect(*seen, looked_at));
        guard.is_chasing = has_stuck || nobody_serves || seen.iter().any(may_be_stuck);
        if guard.is_chasing {
            watch.set(guard, now, watch.step);
        } else if watch.stand_down(guard, &self.shared) {
            watch.is_eager.store(true, Ordering::Relaxed);
        } else {
            watch.due.store(now + watch.step_ms(), Ordering::Relaxed);
            watch.set(guard, now, watch.threshold);
        }
    }

    /// Reports what is late and was not reported (`hook-last`).
    fn tell(&mut self, seen: &[Seen], now: u64, behind: Behind) {
        let shared = Arc::clone(&self.shared);
        let late_after = shared.config.rescue.report_after;
        for (index, seen) in seen.iter().enumerate() {
            if !self.is_suspect(*seen, now) {
                continue;
            }
            let elapsed = Duration::from_millis(now - seen.since);
            let track = &mut self.tracks[index];
            let is_late = match track.reports {
                0 => elapsed >= late_after || track.needed_a_thread(),
                1 => elapsed >= late_after.saturating_mul(REMINDER),
                _ => false,
            };
            if !is_late {
                continue;
            }
            track.reports += 1;
            let slot = shared.slot(index);
            let thread = slot.thread.load(Ordering::Relaxed);
            let late = LatePoll {
                task: slot.mark.task_of(seen.polls, |task| shared.heap.keep_at(task)).map(|task| task.info()),
                elapsed,
                is_reminder: track.reports > 1,
                cpu: track.cpu.unwrap_or(CpuUse::Unknown),
                system_call: sys::thread::system_call(thread),
                wait_channel: sys::thread::wait_channel(thread),
                thread_name: sys::thread::name(thread),
                worker: index,
                queued: behind.queued,
                injected: behind.injected,
                has_due_timers: behind.has_due_timers,
                action: match shared.config.rescue.mode {
                    Mode::Rescue => track.action.unwrap_or(RescueAction::LeftAlone),
                    Mode::Report | Mode::Off => RescueAction::ReportOnly,
                },
            };
            if !late.is_reminder {
                count(&shared, &late);
            }
            guarded(|| crate::trace::late_poll(&late));
            match &shared.config.on_late_poll {
                Some(hook) => {
                    guarded(|| hook(&late));
                }
                None => self.lines.write(&late, shared.config.name.as_deref(), now),
            }
        }
    }
}

impl Track {
    /// Reads what the thread does, and concludes from the reading before.
    fn read(&mut self, slot: &Slot, now: u64) {
        let thread = slot.thread.load(Ordering::Relaxed);
        let reading = Reading {
            at_ms: now,
            cpu: sys::thread::cpu_time(thread),
            delay: sys::thread::run_delay(thread),
            state: sys::thread::run_state(thread),
        };
        self.cpu = self.reading.as_ref().map(|before| reading.since(before));
        self.first.get_or_insert(reading);
        self.reading = Some(reading);
    }

    /// CPU time of the poll as far as it was seen.
    fn spent(&self) -> Duration {
        let cpu = |reading: &Option<Reading>| reading.as_ref().and_then(|reading| reading.cpu).unwrap_or_default();
        cpu(&self.reading).saturating_sub(cpu(&self.first))
    }

    fn needed_a_thread(&self) -> bool {
        match self.action {
            Some(RescueAction::StartedSpare | RescueAction::BoundHit | RescueAction::ThreadRefused) => true,
            Some(
                RescueAction::NothingWaits
                | RescueAction::LeftAlone
                | RescueAction::WokeWorker
                | RescueAction::ReportOnly,
            )
            | None => false,
        }
    }

    /// Keeps the strongest thing that was done.
    fn note(&mut self, action: RescueAction, shared: &Shared) {
        let strength = |action: RescueAction| match action {
            RescueAction::NothingWaits | RescueAction::ReportOnly => 0,
            RescueAction::LeftAlone => 1,
            RescueAction::WokeWorker => 2,
            RescueAction::BoundHit | RescueAction::ThreadRefused => 3,
            RescueAction::StartedSpare => 4,
        };
        if self.action.is_none_or(|before| strength(action) > strength(before)) {
            self.action = Some(action);
        }
        let helped = matches!(action, RescueAction::WokeWorker | RescueAction::StartedSpare);
        if helped && !std::mem::replace(&mut self.was_rescued, true) {
            shared.watch.figures.rescues.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn count(shared: &Shared, late: &LatePoll) {
    let figures = &shared.watch.figures;
    figures.late_polls.fetch_add(1, Ordering::Relaxed);
    if let Some(place) = late.spawned_at() {
        let mut places = figures.places.lock();
        match places.iter_mut().find(|(known, _)| *known == place) {
            Some((_, count)) => *count += 1,
            None => places.push((place, 1)),
        }
    }
}

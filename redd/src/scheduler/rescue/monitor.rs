//! The monitor of one runtime. In a turn it scans, wakes a parked worker or starts a spare, and collects reports.
//!
//! Called by the monitor thread when an alarm fires.
//!
//! # Invariants
//! - `own-gap`, `armed-while-awake`: as in `rescue`.
//! - `stalled-keeps-slot`: the thread of a stalled worker keeps its slot and its worker. Other workers only do what they may do at
//!   any time: take tasks from its slot and fire its timers. So the thread can return from the poll at any time and continue.

use std::time::Duration;

use super::decide::{Lateness, Situation, Suspect, Verdict, decide};
use super::detector::Seen;
use super::options::Mode;
use super::scan::{OF_ROOT, ScanResult, polls};
use super::track::{Monitor, Track};
use crate::observe::late_poll::{Behind, LatePoll, RescueAction};
use crate::observe::recorder::{self, EventKind};
use crate::primitives::atomic::Ordering;
use crate::primitives::lock_wait::waits_for_lock;
use crate::scheduler::choices::{Flavor, MAX_SPARES};
use crate::scheduler::pace::REMINDER;
use crate::scheduler::shared::Shared;
use crate::scheduler::spares::Started;
use crate::scheduler::{idle, stand_in, start};
use crate::sys;
use crate::task::Id;
use crate::time::clock::real_now;

/// The input of a turn.
struct Snapshot {
    seen: Vec<Seen>,
    now: u64,
    /// The alarm was the monitor's own.
    monitor_was_active: bool,
    /// `own-gap`
    is_late: bool,
}

/// A report of a poll.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) late: LatePoll,
    pub(super) polls: u64,
    /// It goes back to the poll's track.
    pub(super) is_held: bool,
    /// The stack has not been taken yet.
    pub(super) wants_stack: bool,
}

impl Monitor {
    /// Runs one turn. Returns its reports.
    pub(super) fn take_turn(&mut self, shared: &Shared) -> Vec<Report> {
        let Some(Snapshot { seen, now, monitor_was_active, is_late }) = take_snapshot(shared) else {
            return Vec::new();
        };
        if is_late {
            // A comparison with earlier readings would count the delay (`own-gap`).
            self.tracks.iter_mut().for_each(|track| track.reading = None);
        }
        let mut reports: Vec<Report> = self
            .take_ended(shared)
            .into_iter()
            .map(|late| Report { late, polls: 0, is_held: false, wants_stack: false })
            .collect();
        self.read(shared, &seen, now);
        if is_late && !self.tracks.iter().any(|track| track.computes(shared.stall_detector.threshold)) {
            schedule_next_scan(shared, &seen, now, false);
            return reports;
        }
        let behind = self.turn(shared, &seen, now);
        schedule_next_scan(shared, &seen, now, monitor_was_active);
        self.late(shared, &seen, now, behind, &mut reports);
        reports
    }

    /// The reports that were held until the end of their polls, if these have ended. A poll that panicked needs none: the panic has
    /// its own message.
    pub(super) fn take_ended(&mut self, shared: &Shared) -> Vec<LatePoll> {
        let mut ended = Vec::new();
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let slot = shared.slot(index);
            let Some(late) = track.held.take_if(|_| polls(shared, slot) != track.polls) else { continue };
            // After the check that the poll has ended: a panic is recorded before that end.
            if slot.mark.panics() == track.panics {
                let late = LatePoll { has_ended: true, ..late };
                count(shared, &late);
                ended.push(late);
            }
        }
        ended
    }

    /// Stores reports until the end of their polls.
    pub(super) fn hold(&mut self, reports: Vec<Report>) {
        for Report { late, polls, .. } in reports {
            let track = &mut self.tracks[late.worker];
            // If the poll has ended meanwhile, the next one may have begun. Then this report is dropped.
            if track.polls == polls {
                track.held = Some(late);
            }
        }
    }

    /// The thread of this report's poll is in a panic: the poll is not late now, and is judged anew from here on.
    pub(super) fn excuse(&mut self, report: &Report) {
        let track = &mut self.tracks[report.late.worker];
        if track.polls == report.polls {
            track.excuse(&report.late);
        }
    }

    /// Reads the state of each thread that is in a poll.
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

    /// Marks the stalled workers, and acts.
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
            // `stalled-keeps-slot`: the mark only lets other workers take from the LIFO slot.
            let is_marked = rescues && shared.workers.states.mark_stalled(&slot.state);
            if is_marked && slot.mark.polls() != seen.polls {
                shared.workers.states.clear_mark(&slot.state); // `marked-late` of `worker_states`
            } else if is_marked {
                // The parked workers' timeouts do not cover its wheel.
                needs_cover |= index < shared.config.workers && shared.parts.timers.next_deadline(index).is_some();
            }
        }
        shared.set_has_stalled(shared.slots().any(|slot| slot.state.is_stalled()));
        let mut behind = find_behind(shared, seen, now);
        behind.has_timers = needs_cover;
        if rescues {
            self.act(shared, seen, now, &mut behind);
        } else {
            // A spare for workers that have blocked in place is needed without rescue, too.
            start::retry_if_lacking(shared);
        }
        behind
    }

    fn act(&mut self, shared: &Shared, seen: &[Seen], now: u64, behind: &mut Behind) {
        let suspects: Vec<usize> = (0..seen.len()).filter(|index| is_suspect(shared, seen[*index], now)).collect();
        let active = shared.workers.states.active();
        if suspects.is_empty() && active > 0 {
            return;
        }
        shared.ensure_driver_polled();
        // After the marks: a worker that parks from here on sees them, or we see it as parked.
        idle::fence_after_publish();
        let situation = Situation {
            has_work: behind.has_work(),
            has_io: shared.parts.driver.registrations() > 0,
            sleepers: shared.idle.load().sleepers.into(),
            active,
            workers: shared.config.workers,
        };
        behind.has_io = situation.has_io && active == 0;
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
            Verdict::Start(suspect) => {
                // For workers that have blocked in place the bound is that of `block_in_place`.
                let bound = if suspect.is_some() { shared.config.rescue.max_workers } else { MAX_SPARES };
                let action = match stand_in::start_spare(shared, bound) {
                    Started::Yes => RescueAction::StartedSpare,
                    Started::BoundHit => RescueAction::BoundHit,
                    Started::Refused(_) => RescueAction::ThreadRefused,
                    Started::Closed => return,
                };
                if let Some(suspect) = suspect {
                    let track = &mut self.tracks[suspects[suspect]];
                    track.has_stand_in = action == RescueAction::StartedSpare;
                    count_rescue(shared, track.record_action(action, behind));
                }
            }
        }
        for index in suspects {
            count_rescue(shared, self.tracks[index].record_action(all, behind));
        }
    }

    /// Adds the late polls that were not reported.
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
                // It keeps the first readings, as the thread may already be about to end the poll.
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
            }
            reports.push(Report { late, polls: seen.polls, is_held, wants_stack });
        }
    }
}

/// Reads the slots; `None` if the runtime has ended.
fn take_snapshot(shared: &Shared) -> Option<Snapshot> {
    let detector = &shared.stall_detector;
    let state = &mut *detector.scan_state.lock();
    if state.has_ended {
        return None;
    }
    let now = shared.ms_at(real_now());
    let ScanResult { is_late, .. } = state.compare(shared, now, detector.step_ms());
    Some(Snapshot { seen: state.seen.clone(), now, monitor_was_active: state.monitor_is_active, is_late })
}

fn is_suspect(shared: &Shared, seen: Seen, now: u64) -> bool {
    seen.is_polling() && now - seen.since >= shared.stall_detector.step_ms()
}

/// Arms the alarm for the next scan, or disarms it.
fn schedule_next_scan(shared: &Shared, seen: &[Seen], driver_polled_at: u64, monitor_was_active: bool) {
    let detector = &shared.stall_detector;
    let state = &mut *detector.scan_state.lock();
    let now = shared.ms_at(real_now());
    let has_stalled = shared.slots().any(|slot| slot.state.is_stalled());
    let none_active = shared.config.flavor == Flavor::MultiThread && shared.workers.states.active() == 0;
    // No worker has scanned for a threshold, and there is a poll. A second scan a step later shows whether it is the same.
    let may_be_stuck =
        |seen: &Seen| seen.is_polling() && (!monitor_was_active || is_suspect(shared, *seen, driver_polled_at));
    state.monitor_is_active = has_stalled || none_active || seen.iter().any(may_be_stuck);
    if state.monitor_is_active {
        detector.arm(state, now, detector.step);
    } else if detector.disarm(state, shared) {
        detector.disarms_eagerly.store(true, Ordering::Relaxed);
    } else {
        detector.due.store(now + detector.step_ms(), Ordering::Relaxed);
        detector.arm(state, now, detector.threshold);
    }
}

/// What waits behind the stalled workers.
fn find_behind(shared: &Shared, seen: &[Seen], now: u64) -> Behind {
    let mut behind = Behind { injected: shared.injector.len(), ..Behind::default() };
    for (seen, slot) in seen.iter().zip(shared.slots()) {
        if is_suspect(shared, *seen, now) {
            behind.queued += slot.queue.len() + usize::from(slot.queue.has_lifo_task());
        } else {
            behind.has_others |= !slot.queue.is_ring_empty();
        }
    }
    if !shared.parts.timers.clock().is_paused() {
        let soon = shared.parts.timers.now_tick() + shared.stall_detector.step_ms();
        let is_due = |wheel| shared.parts.timers.next_deadline(wheel).is_some_and(|deadline| deadline <= soon);
        behind.has_due_timers = match shared.config.flavor {
            Flavor::MultiThread => shared.common_wheels().any(is_due),
            Flavor::CurrentThread | Flavor::Local => (0..=1).any(is_due),
        };
    }
    behind
}

fn count_rescue(shared: &Shared, is_first: bool) {
    shared.stall_detector.counters.rescues.fetch_add(u64::from(is_first), Ordering::Relaxed);
}

/// Counts a poll as late.
pub(super) fn count(shared: &Shared, late: &LatePoll) {
    let counters = &shared.stall_detector.counters;
    counters.late_polls.fetch_add(1, Ordering::Relaxed);
    if shared.config.observe {
        recorder::here(EventKind::LatePoll, late.task_id().map_or(0, Id::number));
    }
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
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::primitives::{Mutex, ShortMutex, thread};
    use crate::runtime::{Builder, Rescue};

    #[test]
    fn a_wait_for_a_lock_of_redd_is_not_reported() {
        let (mutex, short) = (Arc::new(Mutex::new(())), Arc::new(ShortMutex::new(())));
        for takes_short in [false, true] {
            let (reports, received) = mpsc::channel();
            let rescue = Rescue::report_only().report_after(Duration::from_millis(20));
            let hook = move |late: &LatePoll| reports.send(late.to_string()).unwrap_or(());
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
            assert_eq!((received.try_recv().ok(), runtime.metrics().late_polls()), (None, 0));
        }
    }
}

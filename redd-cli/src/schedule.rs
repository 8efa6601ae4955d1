//! Which thread ran which task when, and what each poll was the answer to: a recording, put together.
//!
//! Called by `perfetto` and `timeline`.
//!
//! A recording is a window: what began before it has no start, and what goes on after it has no end. Of events that were
//! overwritten, either may be missing too.
//!
//! # Invariants
//! - `nested`: the spans of a thread are sorted by their starts. Two of them are apart, or one is within the other and deeper.
//! - `one-poll`: a task has one open poll at a time. A poll that begins while another one of its task is open shows that the end of that
//!   one is missing.

use std::collections::HashMap;

use crate::recording::{Event, Recording, Task, What};

/// See the module page.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Schedule {
    /// By threads, and within a thread by their starts (`nested`).
    pub(crate) spans: Vec<Span>,
    /// In the order of their times.
    pub(crate) causes: Vec<Cause>,
    /// In the order of their starts.
    pub(crate) lock_waits: Vec<LockWait>,
    /// Those of the recording, then those that only events speak of.
    pub(crate) tasks: Vec<TaskSums>,
    /// The time of the last event.
    pub(crate) end_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanKind {
    Poll,
    Park,
    Closure,
}

/// What a thread did for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) kind: SpanKind,
    pub(crate) thread: usize,
    /// The task, which may be a closure; 0 of a park.
    pub(crate) id: u64,
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
    /// How many spans it is within.
    pub(crate) depth: usize,
    /// Whether the start is in the recording. If not, the span starts where the one before it ends.
    pub(crate) has_start: bool,
    /// Whether the end is in the recording. If not, the span ends where it must have ended.
    pub(crate) has_end: bool,
    /// Whether the task ended with this poll.
    pub(crate) is_last: bool,
    /// The poll was reported as late.
    pub(crate) is_late: bool,
    /// Why the task was queued, an index into the causes.
    pub(crate) cause: Option<usize>,
}

impl Span {
    pub(crate) fn ns(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }
}

/// Why a task was queued: it was spawned or woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) is_spawn: bool,
    pub(crate) at_ns: u64,
    /// The thread that spawned or woke it.
    pub(crate) thread: usize,
    pub(crate) by: Option<u64>,
    pub(crate) task: u64,
    /// The poll that it led to, an index into the spans.
    pub(crate) poll: Option<usize>,
}

/// A task waited for a lock that others had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockWait {
    pub(crate) task: u64,
    pub(crate) from_ns: u64,
    /// The thread that it was polled on.
    pub(crate) thread: usize,
    /// When the lock was handed over, and on which thread and by which task.
    pub(crate) grant: Option<(u64, usize, Option<u64>)>,
}

/// What a task did in all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskSums {
    pub(crate) id: u64,
    pub(crate) name: Option<String>,
    pub(crate) spawned_at: String,
    pub(crate) parent: Option<u64>,
    /// It is a closure, and has one span in place of polls.
    pub(crate) is_closure: bool,
    pub(crate) polls: u64,
    /// The time in its polls, without those of other tasks within them.
    pub(crate) running_ns: u64,
    pub(crate) longest_poll_ns: u64,
    /// The time between being queued and being polled.
    pub(crate) queued_ns: u64,
    pub(crate) longest_queued_ns: u64,
    /// The time between a wait for a lock and its grant.
    pub(crate) locked_out_ns: u64,
    pub(crate) has_ended: bool,
    pub(crate) has_panicked: bool,
}

impl TaskSums {
    /// `writer`, `task 7` or `closure 8`.
    pub(crate) fn label(&self) -> String {
        let kind = if self.is_closure { "closure" } else { "task" };
        self.name.clone().unwrap_or_else(|| format!("{kind} {}", self.id))
    }
}

impl Schedule {
    pub(crate) fn of(recording: &Recording) -> Self {
        let mut builder = Builder::new(recording);
        recording.events.iter().for_each(|event| builder.take(event));
        builder.finish()
    }
}

/// The spans of one thread, as far as they are known.
#[derive(Default)]
struct ThreadSpans {
    spans: Vec<Span>,
    /// The open ones, the deepest last.
    open: Vec<usize>,
    /// The end of the last closed span of each depth that is within the open ones.
    ends: Vec<u64>,
}

/// A span of a thread before the threads are put behind each other.
type Place = (usize, usize);

struct Builder {
    threads: Vec<ThreadSpans>,
    /// The open poll of each task (`one-poll`).
    polls: HashMap<u64, Place>,
    /// The cause that no poll has answered yet.
    pending: HashMap<u64, usize>,
    causes: Vec<Cause>,
    /// The poll of each cause.
    answers: Vec<Option<Place>>,
    lock_waits: Vec<LockWait>,
    open_waits: HashMap<u64, usize>,
    tasks: Vec<TaskSums>,
    indexes: HashMap<u64, usize>,
    end_ns: u64,
}

impl Builder {
    fn new(recording: &Recording) -> Self {
        let tasks: Vec<_> = recording.tasks.iter().map(sums_of).collect();
        Self {
            threads: recording.threads.iter().map(|_| ThreadSpans::default()).collect(),
            polls: HashMap::new(),
            pending: HashMap::new(),
            causes: Vec::new(),
            answers: Vec::new(),
            lock_waits: Vec::new(),
            open_waits: HashMap::new(),
            indexes: tasks.iter().enumerate().map(|(index, task)| (task.id, index)).collect(),
            tasks,
            end_ns: recording.events.last().map_or(0, |event| event.at_ns),
        }
    }

    fn take(&mut self, event: &Event) {
        let Event { at_ns, thread, what } = *event;
        if thread >= self.threads.len() {
            return;
        }
        match what {
            What::Spawn { task, by } => self.queue(at_ns, thread, task, by, true),
            What::Wake { task, by } => self.queue(at_ns, thread, task, by, false),
            What::PollStart { task } => self.start_poll(at_ns, thread, task),
            What::PollEnd { task, has_ended } => {
                self.end(at_ns, thread, SpanKind::Poll, task, |span| span.is_last = has_ended);
                self.task(task).has_ended |= has_ended;
            }
            What::Park => {
                self.start(at_ns, thread, SpanKind::Park, 0);
            }
            What::Unpark => self.end(at_ns, thread, SpanKind::Park, 0, |_| {}),
            What::ClosureStart { id } => {
                self.task(id).is_closure = true;
                self.start(at_ns, thread, SpanKind::Closure, id);
            }
            What::ClosureEnd { id } => {
                self.task(id).is_closure = true;
                self.end(at_ns, thread, SpanKind::Closure, id, |_| {});
            }
            What::LockWait { task } => {
                self.task(task);
                self.open_waits.insert(task, self.lock_waits.len());
                self.lock_waits.push(LockWait { task, from_ns: at_ns, thread, grant: None });
            }
            What::LockGrant { task, by } => {
                let wait = self.open_waits.remove(&task).and_then(|index| self.lock_waits.get_mut(index));
                if let Some(wait) = wait {
                    wait.grant = Some((at_ns, thread, by));
                    let waited = at_ns.saturating_sub(wait.from_ns);
                    self.task(task).locked_out_ns += waited;
                    if let Some(by) = by {
                        self.task(by);
                    }
                }
            }
            What::LatePoll { task } => {
                // Another thread reports it.
                if let Some(&(thread, index)) = self.polls.get(&task) {
                    self.threads[thread].spans[index].is_late = true;
                }
            }
            What::Panic { task } => self.task(task).has_panicked = true,
            What::DriverEvents { .. }
            | What::TimersFired { .. }
            | What::SharedBatch { .. }
            | What::Steal { .. }
            | What::SpareStarted => {}
        }
    }

    fn queue(&mut self, at_ns: u64, thread: usize, task: u64, by: Option<u64>, is_spawn: bool) {
        [Some(task), by].into_iter().flatten().for_each(|id| {
            self.task(id);
        });
        let index = self.causes.len();
        self.causes.push(Cause { is_spawn, at_ns, thread, by, task, poll: None });
        self.answers.push(None);
        // At the same nanosecond, events of different threads are in any order.
        let begun = self.polls.get(&task).copied().filter(|&(of, span)| {
            let span = &self.threads[of].spans[span];
            of != thread && span.from_ns == at_ns && span.has_start && span.cause.is_none()
        });
        match begun {
            Some(place) => self.answer(index, place),
            // A task is queued once, so the poll that an earlier cause has led to is missing.
            None => {
                self.pending.insert(task, index);
            }
        }
    }

    fn answer(&mut self, cause: usize, (thread, span): Place) {
        let poll = &mut self.threads[thread].spans[span];
        poll.cause = Some(cause);
        let Cause { at_ns, task, .. } = self.causes[cause];
        let queued = poll.from_ns.saturating_sub(at_ns);
        self.answers[cause] = Some((thread, span));
        let task = self.task(task);
        task.queued_ns += queued;
        task.longest_queued_ns = task.longest_queued_ns.max(queued);
    }

    fn start_poll(&mut self, at_ns: u64, thread: usize, task: u64) {
        if let Some((of, index)) = self.polls.remove(&task) {
            // `one-poll`
            self.close_from(of, index, at_ns, false);
        }
        self.task(task).polls += 1;
        let index = self.start(at_ns, thread, SpanKind::Poll, task);
        self.polls.insert(task, (thread, index));
        if let Some(cause) = self.pending.remove(&task) {
            self.answer(cause, (thread, index));
        }
    }

    fn start(&mut self, at_ns: u64, thread: usize, kind: SpanKind, id: u64) -> usize {
        let of = &mut self.threads[thread];
        let index = of.spans.len();
        let depth = of.open.len();
        of.open.push(index);
        of.spans.push(Span {
            kind,
            thread,
            id,
            from_ns: at_ns,
            to_ns: at_ns,
            depth,
            has_start: true,
            has_end: false,
            is_last: false,
            is_late: false,
            cause: None,
        });
        index
    }

    /// Ends the deepest open span of that kind and id, with all that are in it; or adds one that began before the recording.
    fn end(&mut self, at_ns: u64, thread: usize, kind: SpanKind, id: u64, complete: impl FnOnce(&mut Span)) {
        let of = &self.threads[thread];
        let is_meant = |index: &usize| of.spans[*index].kind == kind && of.spans[*index].id == id;
        let index = match of.open.iter().rev().copied().find(is_meant) {
            Some(index) => {
                self.close_from(thread, index, at_ns, true);
                index
            }
            None => self.add_begun_before(at_ns, thread, kind, id),
        };
        complete(&mut self.threads[thread].spans[index]);
    }

    /// Adds a span whose start is missing. It starts where the span before it ends (`nested`).
    fn add_begun_before(&mut self, at_ns: u64, thread: usize, kind: SpanKind, id: u64) -> usize {
        let of = &self.threads[thread];
        let outer = of.open.last().map_or(0, |index| of.spans[*index].from_ns);
        let before = of.ends.get(of.open.len()).copied().unwrap_or(0);
        let index = self.start(outer.max(before), thread, kind, id);
        self.threads[thread].spans[index].has_start = false;
        if kind == SpanKind::Poll {
            self.task(id).polls += 1;
        }
        self.close_from(thread, index, at_ns, true);
        index
    }

    /// Closes an open span and those within it. Of these the ends are missing.
    fn close_from(&mut self, thread: usize, index: usize, at_ns: u64, has_end: bool) {
        let of = &mut self.threads[thread];
        while let Some(last) = of.open.pop() {
            let span = &mut of.spans[last];
            span.to_ns = at_ns;
            span.has_end = has_end && last == index;
            of.ends.resize(span.depth, 0);
            of.ends.push(at_ns);
            if span.kind == SpanKind::Poll && self.polls.get(&span.id) == Some(&(thread, last)) {
                self.polls.remove(&span.id);
            }
            if last == index {
                break;
            }
        }
    }

    fn task(&mut self, id: u64) -> &mut TaskSums {
        let index = *self.indexes.entry(id).or_insert_with(|| {
            self.tasks.push(TaskSums { id, ..TaskSums::default() });
            self.tasks.len() - 1
        });
        &mut self.tasks[index]
    }

    fn finish(mut self) -> Schedule {
        for thread in 0..self.threads.len() {
            if let Some(&outermost) = self.threads[thread].open.first() {
                self.close_from(thread, outermost, self.end_ns, false);
            }
        }
        let mut first_of_thread = Vec::new();
        let mut spans = Vec::new();
        for thread in &mut self.threads {
            first_of_thread.push(spans.len());
            spans.append(&mut thread.spans);
        }
        self.add_times(&spans);
        for (cause, answer) in self.causes.iter_mut().zip(&self.answers) {
            cause.poll = answer.map(|(thread, index)| first_of_thread[thread] + index);
        }
        let Self { causes, lock_waits, tasks, end_ns, .. } = self;
        Schedule { spans, causes, lock_waits, tasks, end_ns }
    }

    /// Adds the times of the polls to their tasks.
    fn add_times(&mut self, spans: &[Span]) {
        // The spans around the current one.
        let mut outer: Vec<&Span> = Vec::new();
        for span in spans {
            outer.truncate(span.depth);
            if let Some(around) = outer.last().filter(|around| around.kind != SpanKind::Park) {
                let task = self.task(around.id);
                task.running_ns = task.running_ns.saturating_sub(span.ns());
            }
            outer.push(span);
            if span.kind != SpanKind::Park {
                let task = self.task(span.id);
                task.running_ns += span.ns();
                task.longest_poll_ns = task.longest_poll_ns.max(span.ns());
            }
        }
    }
}

fn sums_of(task: &Task) -> TaskSums {
    let Task { id, name, spawned_at, parent } = task;
    TaskSums { id: *id, name: name.clone(), spawned_at: spawned_at.clone(), parent: *parent, ..TaskSums::default() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::recording::Thread;

    /// A recording of these events, with three threads and the tasks 1 to 3.
    pub(crate) fn recording(events: &[(u64, usize, What)]) -> Recording {
        let thread = |index: u32| Thread { name: format!("worker-{index}"), tid: 100 + index };
        let task = |id| Task { id, name: None, spawned_at: format!("src/a.rs:{id}:1"), parent: None };
        Recording {
            pid: 99,
            program: "a".to_owned(),
            threads: (0..3).map(thread).collect(),
            tasks: (1..4).map(task).collect(),
            events: events.iter().map(|&(at_ns, thread, what)| Event { at_ns, thread, what }).collect(),
            ..Recording::default()
        }
    }

    fn start(task: u64) -> What {
        What::PollStart { task }
    }

    fn end(task: u64) -> What {
        What::PollEnd { task, has_ended: false }
    }

    fn wake(task: u64) -> What {
        What::Wake { task, by: None }
    }

    /// Thread, id, start, end, depth, and what of start and end is missing.
    fn short(schedule: &Schedule) -> Vec<(usize, u64, u64, u64, usize, &'static str)> {
        let shown = |span: &Span| {
            let missing = match (span.has_start, span.has_end) {
                (true, true) => "",
                (false, true) => "start",
                (true, false) => "end",
                (false, false) => "both",
            };
            (span.thread, span.id, span.from_ns, span.to_ns, span.depth, missing)
        };
        schedule.spans.iter().map(shown).collect()
    }

    /// What every schedule has to satisfy.
    pub(crate) fn assert_is_sound(schedule: &Schedule) {
        let mut around: Vec<&Span> = Vec::new();
        let mut thread = 0;
        for (index, span) in schedule.spans.iter().enumerate() {
            assert!(span.from_ns <= span.to_ns && span.to_ns <= schedule.end_ns, "{span:?}");
            assert!(span.thread >= thread, "sorted by threads");
            if span.thread > thread {
                (thread, around) = (span.thread, Vec::new());
            }
            assert!(span.depth <= around.len(), "`nested`: {span:?}");
            if let Some(before) = around.get(span.depth) {
                assert!(before.to_ns <= span.from_ns, "apart: {before:?}, {span:?}");
            }
            around.truncate(span.depth);
            if let Some(outer) = around.last() {
                assert!(outer.from_ns <= span.from_ns && span.to_ns <= outer.to_ns, "within: {outer:?}, {span:?}");
            }
            around.push(span);
            if let Some(cause) = span.cause {
                assert_eq!(schedule.causes[cause].poll, Some(index));
                assert_eq!(schedule.causes[cause].task, span.id);
            }
        }
        let mut polls: Vec<_> = schedule.spans.iter().filter(|span| span.kind == SpanKind::Poll).collect();
        polls.sort_by_key(|span| (span.id, span.from_ns, span.to_ns));
        for pair in polls.windows(2).filter(|pair| pair[0].id == pair[1].id && pair[0].has_start && pair[1].has_start) {
            assert!(pair[0].to_ns <= pair[1].from_ns, "`one-poll`: {pair:?}");
        }
        for (index, cause) in schedule.causes.iter().enumerate() {
            let Some(poll) = cause.poll else { continue };
            assert_eq!(schedule.spans[poll].cause, Some(index), "each poll has one cause");
            assert!(cause.at_ns <= schedule.spans[poll].from_ns);
        }
    }

    fn of(events: &[(u64, usize, What)]) -> Schedule {
        let schedule = Schedule::of(&recording(events));
        assert_is_sound(&schedule);
        schedule
    }

    #[test]
    fn a_poll_goes_from_its_start_to_its_end_and_leads_back_to_its_wake() {
        let schedule = of(&[
            (0, 0, What::Spawn { task: 2, by: Some(1) }),
            (5, 1, start(2)),
            (9, 1, end(2)),
            (20, 0, What::Wake { task: 2, by: Some(1) }),
            (50, 2, start(2)),
            (51, 2, What::PollEnd { task: 2, has_ended: true }),
        ]);
        assert_eq!(short(&schedule), [(1, 2, 5, 9, 0, ""), (2, 2, 50, 51, 0, "")]);
        let causes: Vec<_> = schedule.causes.iter().map(|cause| (cause.is_spawn, cause.by, cause.poll)).collect();
        assert_eq!(causes, [(true, Some(1), Some(0)), (false, Some(1), Some(1))]);
        let task = &schedule.tasks[1];
        assert_eq!((task.id, task.polls, task.running_ns, task.longest_poll_ns), (2, 2, 5, 4));
        assert_eq!((task.queued_ns, task.longest_queued_ns, task.has_ended), (35, 30, true));
        assert!(schedule.spans[1].is_last && !schedule.spans[0].is_last);
    }

    #[test]
    fn what_is_open_at_either_end_of_the_recording_reaches_to_it() {
        let schedule = of(&[
            (0, 1, wake(3)),
            (10, 0, end(1)),
            (12, 0, start(2)),
            (14, 2, What::Unpark),
            (20, 1, What::Park),
            (30, 2, What::ClosureStart { id: 7 }),
            (40, 1, wake(3)),
        ]);
        let shown = short(&schedule);
        assert_eq!(shown[..2], [(0, 1, 0, 10, 0, "start"), (0, 2, 12, 40, 0, "end")]);
        assert_eq!(shown[2..], [(1, 0, 20, 40, 0, "end"), (2, 0, 0, 14, 0, "start"), (2, 7, 30, 40, 0, "end")]);
        assert_eq!(schedule.causes[1].poll, None, "it has not been polled yet");
    }

    #[test]
    fn a_poll_whose_end_was_lost_ends_when_its_task_is_polled_again() {
        // Task 1 moves to another thread; task 3 was polled within its poll.
        let schedule = of(&[(0, 0, start(1)), (2, 0, start(3)), (10, 1, start(1)), (15, 1, end(1)), (16, 0, end(2))]);
        let shown = short(&schedule);
        assert_eq!(shown[..2], [(0, 1, 0, 10, 0, "end"), (0, 3, 2, 10, 1, "end")]);
        assert_eq!(shown[2..], [(0, 2, 10, 16, 0, "start"), (1, 1, 10, 15, 0, "")]);
        // On its own thread, and an end that comes twice.
        let schedule = of(&[(0, 0, start(1)), (5, 0, start(1)), (7, 0, end(1)), (9, 0, end(1))]);
        assert_eq!(short(&schedule), [(0, 1, 0, 5, 0, "end"), (0, 1, 5, 7, 0, ""), (0, 1, 7, 9, 0, "start")]);
    }

    #[test]
    fn polls_within_a_poll_are_nested_and_counted_once() {
        let schedule = of(&[
            (0, 0, start(1)),
            (2, 0, start(2)),
            (5, 0, end(2)),
            (6, 0, start(3)),
            (7, 0, end(3)),
            (10, 0, end(1)),
            (11, 0, start(2)),
            (12, 0, end(2)),
        ]);
        let shown = short(&schedule);
        assert_eq!(shown[..3], [(0, 1, 0, 10, 0, ""), (0, 2, 2, 5, 1, ""), (0, 3, 6, 7, 1, "")]);
        let times: Vec<_> =
            schedule.tasks.iter().map(|task| (task.id, task.running_ns, task.longest_poll_ns)).collect();
        assert_eq!(times, [(1, 6, 10), (2, 4, 3), (3, 1, 1)]);
        // A start that is missing within an open poll does not reach out of it.
        let schedule =
            of(&[(0, 0, start(1)), (1, 0, end(1)), (4, 0, start(1)), (6, 0, end(2)), (8, 0, end(3)), (9, 0, end(1))]);
        assert_eq!(short(&schedule)[2..], [(0, 2, 4, 6, 1, "start"), (0, 3, 6, 8, 1, "start")]);
    }

    #[test]
    fn a_wake_at_the_nanosecond_of_the_poll_is_its_cause_in_either_order() {
        for other_first in [false, true] {
            let mut events = [(5, 0, wake(1)), (5, 1, start(1)), (5, 1, end(1)), (5, 1, start(2))];
            if other_first {
                events[..2].reverse();
            }
            let schedule = of(&events);
            assert_eq!(schedule.causes[0].poll, Some(0), "{events:?}");
        }
        // On the same thread the order is certain: the task was woken during its own poll.
        let schedule = of(&[(5, 1, start(1)), (5, 1, wake(1)), (5, 1, end(1)), (9, 1, start(1))]);
        assert_eq!((schedule.causes[0].poll, schedule.spans[0].cause), (Some(1), None));
        // It has a cause already.
        let schedule = of(&[(1, 0, wake(1)), (5, 1, start(1)), (5, 0, wake(1)), (6, 1, end(1)), (7, 1, start(1))]);
        assert_eq!(schedule.causes.iter().map(|cause| cause.poll).collect::<Vec<_>>(), [Some(0), Some(1)]);
    }

    #[test]
    fn of_two_wakes_without_a_poll_between_them_the_later_one_counts() {
        let schedule = of(&[(1, 0, wake(1)), (4, 2, wake(1)), (9, 1, start(1)), (10, 1, end(1))]);
        assert_eq!(schedule.causes.iter().map(|cause| cause.poll).collect::<Vec<_>>(), [None, Some(0)]);
        assert_eq!(schedule.tasks[0].queued_ns, 5);
    }

    #[test]
    fn locks_late_polls_and_panics_belong_to_their_tasks() {
        let schedule = of(&[
            (0, 0, start(1)),
            (1, 0, What::LockWait { task: 1 }),
            (2, 0, end(1)),
            (3, 1, start(2)),
            (4, 2, What::LatePoll { task: 2 }),
            (5, 2, What::LatePoll { task: 9 }),
            (6, 1, What::LockGrant { task: 1, by: Some(2) }),
            (7, 1, What::Panic { task: 2 }),
            (8, 1, end(2)),
            (9, 1, What::LockGrant { task: 3, by: None }),
            (9, 2, What::LockWait { task: 40 }),
        ]);
        let granted = LockWait { task: 1, from_ns: 1, thread: 0, grant: Some((6, 1, Some(2))) };
        assert_eq!(schedule.lock_waits, [granted, LockWait { task: 40, from_ns: 9, thread: 2, grant: None }]);
        assert_eq!(
            schedule.spans.iter().map(|span| (span.id, span.is_late)).collect::<Vec<_>>(),
            [(1, false), (2, true)]
        );
        assert_eq!((schedule.tasks[0].locked_out_ns, schedule.tasks[1].has_panicked), (5, true));
        let unknown = &schedule.tasks[3];
        assert_eq!((unknown.id, unknown.label().as_str(), unknown.spawned_at.as_str()), (40, "task 40", ""));
    }

    #[test]
    fn nothing_and_events_of_unknown_threads_make_a_schedule_too() {
        assert_eq!(Schedule::of(&Recording::default()), Schedule::default());
        assert_eq!(of(&[(3, 7, start(1))]).spans, []);
    }

    #[test]
    fn a_played_recording_has_each_poll_with_its_cause() {
        let schedule = Schedule::of(&crate::example::recording(20_000));
        assert_is_sound(&schedule);
        let polls: Vec<_> = schedule.spans.iter().filter(|span| span.kind == SpanKind::Poll).collect();
        assert!(polls.len() > 3_000, "{}", polls.len());
        assert!(polls.iter().all(|span| span.cause.is_some()));
        assert!(schedule.lock_waits.iter().any(|wait| wait.grant.is_some()));
        assert!(polls.iter().any(|span| span.is_late) && schedule.tasks.iter().any(|task| task.has_panicked));
    }

    /// Events in any order on few threads: what is lost or torn makes no schedule unsound.
    #[test]
    fn random_events_make_a_sound_schedule() {
        let mut random = 1_u64;
        let mut below = |end: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % end
        };
        for _ in 0..3_000 {
            let mut at = 0;
            let events: Vec<_> = (0..below(40))
                .map(|_| {
                    at += below(3);
                    let task = 1 + below(3);
                    let what = match below(12) {
                        0..=2 => start(task),
                        3..=5 => end(task),
                        6 => wake(task),
                        7 => What::Park,
                        8 => What::Unpark,
                        9 => What::ClosureStart { id: task },
                        10 => What::ClosureEnd { id: task },
                        _ => What::LockWait { task },
                    };
                    (at, below(3) as usize, what)
                })
                .collect();
            of(&events);
        }
    }
}

//! Which thread of a world runs next, and what time it is there.
//!
//! Called by `world` and `member`, under the lock of the world. There are no threads here: a test can take every step by hand.
//!
//! ```text
//!            choose                     block
//!   ready ───────────▶ running ─────────────────────▶ blocked
//!     ▲                   │  └──▶ ended                  │
//!     └──── yield_now ────┘                              │
//!     └───────── wake, end of a thread, deadline ────────┘
//! ```
//!
//! # Invariants
//! - `one-runs`: at most one thread is running. `choose` is called only while none is.
//! - `time-stands`: the clock moves only in [`Schedule::move_clock`], which is called while no thread is ready or running,
//!   and between two polls of a world that is busy (`Baton::before_poll`).

use std::collections::{BTreeSet, VecDeque};
use std::thread::ThreadId;

use super::events::{Event, EventKind, Events, hash_of, mixed};
use super::strategy::{Candidate, Choices, Plan, Strategy, task_candidate};
use super::tape::ChoiceKind;
use crate::primitives::rng::Rng;

/// A thread that could go on lets the others run first after so many turns (`no-starvation`).
const TURNS_MAX: u32 = 64;

/// What a blocked thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A wake on the word at this address. No address is ever part of an event or a choice.
    Word(usize),
    /// The end of this thread.
    End(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ThreadState {
    Ready,
    Running,
    Blocked { on: Wait, deadline: Option<u64> },
    Ended,
}

impl ThreadState {
    fn waits_for(self, event: Wait) -> bool {
        matches!(self, Self::Blocked { on, .. } if on == event)
    }
}

#[derive(Debug)]
struct Thread {
    name: String,
    host: usize,
    id: Option<ThreadId>,
    state: ThreadState,
    /// The last time it was blocked it was woken, and not by its deadline.
    was_woken: bool,
    /// Its host has crashed since it was started.
    is_dead: bool,
    /// How many threads were blocked before it.
    blocked_at: u64,
}

/// The threads and the clock of a world.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) events: Events,
    strategy: Strategy,
    /// Seeds of runtimes and threads. Apart from the choices, so that another choice does not change the seeds.
    seeds: Rng,
    now_ns: u64,
    threads: Vec<Thread>,
    /// In the order in which they became ready, but for a thread that could go on (`first-is-plain`).
    ready: VecDeque<usize>,
    /// Blocked threads with a deadline, the earliest first.
    sleepers: BTreeSet<(u64, usize)>,
    alive: usize,
    /// Of the threads that have not ended, those whose host has crashed since they were started.
    dead: usize,
    blocked: u64,
    /// The thread that ran last, and how often it has let others run since it began.
    last: usize,
    turns: u32,
}

impl Schedule {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            events: Events::new(plan.keeps_events),
            strategy: Strategy::new(plan),
            seeds: Rng::new(mixed(plan.seed)),
            now_ns: 0,
            threads: Vec::new(),
            ready: VecDeque::new(),
            sleepers: BTreeSet::new(),
            alive: 0,
            dead: 0,
            blocked: 0,
            last: 0,
            turns: 0,
        }
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    /// How many threads have not ended, without those that a crash ends.
    pub(super) fn living(&self) -> usize {
        self.alive - self.dead
    }

    /// The name of the thread that has the baton.
    pub(super) fn running(&self) -> Option<&str> {
        self.threads.iter().find(|thread| thread.state == ThreadState::Running).map(|thread| &*thread.name)
    }

    pub(super) fn host_of(&self, index: usize) -> usize {
        self.threads[index].host
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.threads.iter().map(|thread| thread.name.clone()).collect()
    }

    /// The names of the threads that have not ended, and are dead or not.
    pub(super) fn alive_names(&self, is_dead: bool, except: Option<usize>) -> Vec<&str> {
        let alive = |thread: &Thread| thread.state != ThreadState::Ended && thread.is_dead == is_dead;
        let threads = self.threads.iter().enumerate().filter(|(index, _)| Some(*index) != except);
        threads.filter(|(_, thread)| alive(thread)).map(|(_, thread)| &*thread.name).collect()
    }

    pub(super) fn record(&mut self, kind: EventKind, subject: u32, arguments: [u32; 2]) {
        self.events.add(Event { at_ns: self.now_ns, subject, kind, arguments });
    }

    /// The next random number of the world.
    pub(super) fn random_u64(&mut self) -> u64 {
        let random = self.seeds.next_u64();
        self.record(EventKind::Seeded, 0, [(random >> 32) as u32, random as u32]);
        random
    }

    /// Chooses a number below `bound`, which is recorded.
    pub(super) fn choose_number(&mut self, bound: usize) -> usize {
        self.decide(ChoiceKind::Value, bound, &[])
    }

    /// Chooses one of the tasks with these numbers, by its index. There may be none if the strategy does not rank candidates.
    pub(super) fn choose_task(&mut self, bound: usize, numbers: &[u32]) -> usize {
        let candidates: Vec<_> = numbers.iter().map(|number| task_candidate(*number)).collect();
        self.decide(ChoiceKind::Task, bound, &candidates)
    }

    fn decide(&mut self, kind: ChoiceKind, bound: usize, candidates: &[Candidate]) -> usize {
        let choice = self.strategy.choose(kind, bound, candidates);
        if bound > 1 {
            self.record(EventKind::Choice, 0, [bound as u32, choice as u32]);
        }
        choice
    }

    /// Whether something happens that does so in `percent` of all cases.
    pub(super) fn chance(&mut self, name: &str, percent: u8) -> bool {
        let happens = self.strategy.chance(percent);
        self.strategy.describe(&|| format!("chance `{name}` is true"));
        self.record(EventKind::Chance, 0, [hash_of(name), u32::from(happens)]);
        happens
    }

    /// Says what the last choice means, if that is kept and the choice was not the plain one.
    pub(super) fn describe(&mut self, describe: &dyn Fn() -> String) {
        self.strategy.describe(describe);
    }

    /// Whether choices of tasks need to know their numbers.
    pub(super) fn ranks(&self) -> bool {
        self.strategy.ranks()
    }

    pub(super) fn choices(&self) -> Choices {
        self.strategy.choices()
    }

    /// Adds a thread that is ready to run. It is dead if a dead thread has started it.
    pub(super) fn add_thread(&mut self, host: usize, name: String, is_dead: bool) -> usize {
        let index = self.threads.len();
        self.threads.push(Thread {
            name,
            host,
            id: None,
            state: ThreadState::Ready,
            was_woken: false,
            is_dead,
            blocked_at: 0,
        });
        self.ready.push_back(index);
        self.alive += 1;
        self.dead += usize::from(is_dead);
        self.record(EventKind::ThreadStarted, index as u32, [host as u32, 0]);
        index
    }

    pub(super) fn set_id(&mut self, index: usize, id: ThreadId) {
        self.threads[index].id = Some(id);
    }

    pub(super) fn index_of(&self, id: ThreadId) -> Option<usize> {
        self.threads.iter().position(|thread| thread.id == Some(id))
    }

    pub(super) fn has_ended(&self, index: usize) -> bool {
        self.threads[index].state == ThreadState::Ended
    }

    pub(super) fn is_blocked(&self, index: usize) -> bool {
        matches!(self.threads[index].state, ThreadState::Blocked { .. })
    }

    pub(super) fn was_woken(&self, index: usize) -> bool {
        self.threads[index].was_woken
    }

    /// Chooses one of the threads that are ready, and makes it the running one (`one-runs`).
    pub(super) fn choose(&mut self) -> Option<usize> {
        debug_assert!(!self.threads.iter().any(|thread| thread.state == ThreadState::Running), "`one-runs`");
        let count = self.ready.len();
        let ranked: Vec<_> =
            self.ready.iter().filter(|_| self.strategy.ranks()).map(|index| *index as Candidate).collect();
        let skipped = self.strategy.choose(ChoiceKind::Thread, count, &ranked);
        let first = self.ready.front().copied()?;
        self.ready.rotate_left(skipped);
        let index = self.ready.pop_front()?;
        self.strategy
            .describe(&|| format!("{} runs before {}", describe(&self.threads, index), describe(&self.threads, first)));
        self.threads[index].state = ThreadState::Running;
        if std::mem::replace(&mut self.last, index) != index {
            self.turns = 0;
        }
        self.record(EventKind::Switch, index as u32, [count as u32, 0]);
        Some(index)
    }

    /// Whether another thread could run in the place of the running one.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The running thread lets others run. It comes first, so in the plain order it runs until it waits, but for [`TURNS_MAX`].
    pub(super) fn yield_now(&mut self, index: usize) {
        self.make_ready(index, false);
        self.turns += 1;
        if self.turns < TURNS_MAX {
            self.ready.rotate_right(1);
        }
    }

    /// The running thread waits.
    pub(super) fn block(&mut self, index: usize, on: Wait, timeout_ns: Option<u64>) {
        let deadline = timeout_ns.map(|timeout| self.now_ns.saturating_add(timeout));
        if let Some(deadline) = deadline {
            self.sleepers.insert((deadline, index));
        }
        self.blocked += 1;
        self.threads[index].blocked_at = self.blocked;
        self.threads[index].state = ThreadState::Blocked { on, deadline };
    }

    fn make_ready(&mut self, index: usize, was_woken: bool) {
        let thread = &mut self.threads[index];
        if let ThreadState::Blocked { deadline: Some(deadline), .. } = thread.state {
            self.sleepers.remove(&(deadline, index));
        }
        (thread.state, thread.was_woken) = (ThreadState::Ready, was_woken);
        self.ready.push_back(index);
    }

    /// Wakes one of the threads that wait on the word. Returns whether there was one.
    pub(super) fn wake_word(&mut self, word: usize) -> bool {
        let waiters = || (0..self.threads.len()).filter(|index| self.threads[*index].state.waits_for(Wait::Word(word)));
        if let (Some(only), None) = (waiters().next(), waiters().nth(1)) {
            self.make_ready(only, true);
            return true;
        }
        let mut waiters: Vec<_> = waiters().collect();
        waiters.sort_unstable_by_key(|index| self.threads[*index].blocked_at);
        let Some(first) = waiters.first().copied() else { return false };
        let candidates: Vec<_> = waiters.iter().map(|index| *index as Candidate).collect();
        let woken = waiters[self.strategy.choose(ChoiceKind::Wake, waiters.len(), &candidates)];
        self.strategy.describe(&|| {
            format!("{} is woken before {}", describe(&self.threads, woken), describe(&self.threads, first))
        });
        self.make_ready(woken, true);
        true
    }

    /// The name of a thread that waits on the word.
    pub(super) fn waiter_on(&self, word: usize) -> Option<&str> {
        self.threads.iter().find(|thread| thread.state.waits_for(Wait::Word(word))).map(|thread| &*thread.name)
    }

    /// Lets a blocked thread return early.
    pub(super) fn interrupt(&mut self, index: usize) {
        if self.is_blocked(index) {
            self.make_ready(index, false);
        }
    }

    /// The threads of this host are dead, and their waits return early.
    pub(super) fn crash(&mut self, host: usize) {
        for index in 0..self.threads.len() {
            let thread = &mut self.threads[index];
            if thread.host == host && thread.state != ThreadState::Ended && !thread.is_dead {
                thread.is_dead = true;
                self.dead += 1;
                self.interrupt(index);
            }
        }
    }

    /// The blocked thread with the lowest number.
    pub(super) fn first_blocked(&self) -> Option<usize> {
        (0..self.threads.len()).find(|index| self.is_blocked(*index))
    }

    /// The thread ends, and with it all waits for its end.
    pub(super) fn end(&mut self, index: usize) {
        self.ready.retain(|other| *other != index);
        self.threads[index].state = ThreadState::Ended;
        self.alive -= 1;
        self.dead -= usize::from(self.threads[index].is_dead);
        self.record(EventKind::ThreadEnded, index as u32, [0, 0]);
        for other in 0..self.threads.len() {
            if self.threads[other].state.waits_for(Wait::End(index)) {
                self.make_ready(other, true);
            }
        }
    }

    /// The time of the next deadline.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.sleepers.first().map(|(deadline, _)| *deadline)
    }

    /// Moves the clock to `to`, which is not after the next deadline. Makes all threads ready whose deadlines have been reached
    /// (`time-stands`).
    pub(super) fn move_clock(&mut self, to: u64) {
        debug_assert!(self.next_deadline().is_none_or(|deadline| to <= deadline), "a deadline was passed over");
        if to > self.now_ns {
            self.now_ns = to;
            self.record(EventKind::Clock, 0, [0, 0]);
        }
        while let Some((deadline, index)) =
            self.sleepers.first().copied().filter(|(deadline, _)| *deadline <= self.now_ns)
        {
            self.sleepers.remove(&(deadline, index));
            self.make_ready(index, false);
        }
    }
}

/// A thread in words. The first thread of a host has the host's name.
fn describe(threads: &[Thread], index: usize) -> String {
    let thread = &threads[index];
    match threads.iter().find(|other| other.host == thread.host) {
        Some(first) if first.name != thread.name => {
            format!("thread [{index}] `{}` of host `{}`", thread.name, first.name)
        }
        _ => format!("thread [{index}] `{}`", thread.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(threads: usize) -> Schedule {
        let mut schedule = Schedule::new(&Plan { seed: 1, ..Plan::default() });
        for index in 0..threads {
            assert_eq!(schedule.add_thread(0, format!("thread {index}"), false), index);
        }
        schedule
    }

    fn run_all(schedule: &mut Schedule, mut step: impl FnMut(&mut Schedule, usize)) {
        while let Some(index) = schedule.choose() {
            step(schedule, index);
        }
    }

    #[test]
    fn a_deadline_wakes_all_threads_that_have_it_and_no_other() {
        let mut schedule = schedule(4);
        let timeouts = [Some(5), Some(7), Some(5), None];
        run_all(&mut schedule, |schedule, index| schedule.block(index, Wait::Word(1), timeouts[index]));
        schedule.move_clock(5);
        assert_eq!(schedule.now_ns(), 5);
        let mut woken = Vec::new();
        run_all(&mut schedule, |schedule, index| {
            assert!(!schedule.was_woken(index));
            woken.push(index);
            schedule.end(index);
        });
        woken.sort_unstable();
        assert_eq!(woken, [0, 2]);
        assert_eq!(schedule.next_deadline(), Some(7));
    }

    #[test]
    fn a_wake_ends_the_wait_of_one_thread_on_that_word_and_its_deadline() {
        let mut schedule = schedule(3);
        run_all(&mut schedule, |schedule, index| schedule.block(index, Wait::Word(1 + index / 2), Some(9)));
        assert!(!schedule.wake_word(3));
        assert!(schedule.wake_word(1));
        let woken = schedule.choose().expect("one is ready");
        assert!(woken < 2 && schedule.was_woken(woken));
        assert_eq!(schedule.sleepers.len(), 2);
        schedule.end(woken);
        assert!(schedule.wake_word(1));
        assert!(!schedule.wake_word(1));
    }

    #[test]
    fn all_waits_for_the_end_of_a_thread_end_with_it() {
        let mut schedule = schedule(3);
        let mut order = Vec::new();
        run_all(&mut schedule, |schedule, index| {
            order.push(index);
            if index > 0 && !schedule.has_ended(0) {
                schedule.block(index, Wait::End(0), None)
            } else {
                schedule.end(index)
            }
        });
        assert_eq!(schedule.alive(), 0);
        assert!(order.iter().filter(|index| **index > 0).count() >= 2);
    }

    #[test]
    fn a_crash_interrupts_the_waits_of_one_host_and_leaves_its_threads_out_of_those_that_live() {
        let mut schedule = schedule(3);
        assert_eq!(schedule.add_thread(1, "other".to_owned(), false), 3);
        run_all(&mut schedule, |schedule, index| match index {
            0 => schedule.end(index),
            _ => schedule.block(index, Wait::Word(1), Some(9)),
        });
        schedule.crash(0);
        assert_eq!((schedule.alive(), schedule.living()), (3, 1));
        assert_eq!(schedule.add_thread(0, "late".to_owned(), true), 4);
        let mut woken = Vec::new();
        run_all(&mut schedule, |schedule, index| {
            woken.push(index);
            schedule.end(index);
        });
        woken.sort_unstable();
        assert_eq!((woken, schedule.alive_names(false, None)), (vec![1, 2, 4], vec!["other"]));
        assert_eq!((schedule.alive(), schedule.living()), (1, 1));
        schedule.crash(0);
        assert_eq!(schedule.living(), 1, "a second crash finds nothing");
    }

    #[test]
    fn one_seed_chooses_one_order_and_seeds_choose_all_orders() {
        let order = |seed| {
            let mut schedule = Schedule::new(&Plan { seed, ..Plan::default() });
            (0..3).for_each(|index| assert_eq!(schedule.add_thread(0, String::new(), false), index));
            let mut order = Vec::new();
            run_all(&mut schedule, |schedule, index| {
                order.push(index);
                schedule.end(index);
            });
            order
        };
        let orders: BTreeSet<_> = (0..100).map(order).collect();
        assert_eq!(orders.len(), 6);
        (0..100).for_each(|seed| assert_eq!(order(seed), order(seed)));
    }
}

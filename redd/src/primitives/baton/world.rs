//! One world: how its threads pass the baton on, and what happens if nothing can happen.
//!
//! Called by `member`, by the runtimes of the world, and by `sim`.
//!
//! # Protocol
//! 1. The thread that has the baton changes its own state in the schedule: it is blocked, ready or ended.
//! 2. It asks the schedule which thread runs next, and moves the clock if no thread can run now.
//! 3. It gives that thread the baton: a word of its own, on which it sleeps in the system's futex.
//! 4. It sleeps on its own word until another thread has given it the baton.
//!
//! # Invariants
//! - `holder-only`: only the thread that has the baton takes steps of the schedule. A thread outside of the world takes one kind: a
//!   wake, which fails the world.
//! - `no-user-code-under-lock`: wakers are called and dropped, and dumps are made, while the lock is free.
//! - `early-return`: every wait may return early. So a thread that waits may call wakers in the place of the thread that would run next.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::cpu::HomeCpu;
use super::director::Director;
use super::entropy::Entropy;
use super::events::{EventKind, Record};
use super::failure::{FailureKind, WorldFailure};
use super::foreign::Foreign;
use super::guard::{OutsideGuard, lock};
use super::hosts::{Hosts, MadeIn, WorldRuntime};
use super::origin::{self, Origin};
use super::parts::{Agenda, Parts};
use super::schedule::{Schedule, Wait};
use super::strategy::{Choices, Plan};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicU32, AtomicU64};
use crate::sys;
use crate::sys::outside::Outside;

/// How much virtual time a world may use after it has failed, until its threads have ended.
const GRACE: Duration = Duration::from_secs(600);

/// After so many polls at one instant the world is busy: a task may poll, and never wait, until a deadline.
const POLLS_AT_ONE_INSTANT: u64 = 100_000;
/// How long a poll takes in a busy world.
const BUSY_POLL: Duration = Duration::from_micros(10);

/// Where a world stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Runs,
    /// The futures of all `block_on`s end with a panic, and the runtimes shut down.
    Fails,
    /// Threads are left that wait forever, because the world has failed or a host has crashed. The baton lies where it is.
    Abandoned,
    Ended,
}

pub(super) struct State {
    pub(super) schedule: Schedule,
    seats: Vec<Arc<Seat>>,
    pub(super) settlers: Vec<(u64, Waker)>,
    pub(super) next_settler: u64,
    /// The futures of `block_on`, with their threads.
    pub(super) roots: Vec<(usize, Waker)>,
    runtimes: Vec<Box<dyn WorldRuntime>>,
    pub(super) parts: Parts,
    /// The thread that runs agendas now. If it is at its end, its thread-local values no longer say where it belongs.
    pub(super) runs_agendas: Option<ThreadId>,
    pub(super) hosts: Hosts,
    pub(super) director: Option<Director>,
    /// The names of the threads that a crash should have ended, and that wait forever.
    pub(super) left: Vec<String>,
    /// The description of each task that has a number, if events are kept.
    tasks: Vec<String>,
    failures: Vec<WorldFailure>,
    stage: Stage,
    limit_ns: u64,
    /// How many polls began since all threads waited.
    polls: u64,
    /// The thread outside of any host that has made the world: `Builder::simulated`.
    pub(super) caller: Option<usize>,
}

/// One world: its schedule, its clock and its threads.
pub(crate) struct Baton {
    seed: u64,
    /// Where its threads run.
    pub(super) cpu: HomeCpu,
    ranks_tasks: bool,
    keeps_words: bool,
    origin: Origin,
    now_ns: AtomicU64,
    /// The time of day at virtual time 0, in nanoseconds since 1970.
    unix_origin_ns: AtomicU64,
    state: Mutex<State>,
    /// Notified when the world has ended or is abandoned.
    over: Condvar,
    foreign: Foreign,
}

impl fmt::Debug for Baton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Baton").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The seat of a thread in its world: its number in the schedule, its host, and the word by which it gets the baton.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) index: usize,
    pub(super) host: usize,
    pub(super) incarnation: u32,
    pub(super) made_in: MadeIn,
    word: AtomicU32,
    /// The random numbers that the thread has got from the system's functions.
    pub(super) entropy: Entropy,
}

/// In nanoseconds. What is too long is `u64::MAX`, a time that never comes.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

type StateGuard<'a> = OutsideGuard<'a, State>;

impl Seat {
    fn give_baton(&self) {
        let _outside = Outside::begin();
        // Release: publishes what the thread did that had the baton. Pairs with Acquire in `Seat::await_baton`.
        self.word.store(1, Ordering::Release);
        sys::futex_wake_one(&self.word);
    }

    pub(super) fn await_baton(&self) {
        let _outside = Outside::begin();
        // Acquire: what the last thread did is visible. Pairs with Release in `Seat::give_baton`.
        while self.word.swap(0, Ordering::Acquire) == 0 {
            sys::futex_wait(&self.word, 0, None);
        }
    }
}

impl State {
    pub(super) fn fail(&mut self, kind: FailureKind, text: String) {
        self.schedule.record(EventKind::Failed, kind as u32, [0, 0]);
        let at = Duration::from_nanos(self.schedule.now_ns());
        self.failures.push(WorldFailure { kind, text, at });
    }

    /// Whether the clock may move to the next deadline.
    fn may_move_clock(&self) -> bool {
        self.next_ns().is_some_and(|next| self.is_within_limit(next))
    }

    /// Whether the clock may move to this time. `u64::MAX` is a time that never comes: a deadline may be after it.
    fn is_within_limit(&self, at_ns: u64) -> bool {
        let limit_ns = match self.stage {
            Stage::Runs => self.limit_ns,
            Stage::Fails | Stage::Abandoned | Stage::Ended => self.limit_ns.saturating_add(GRACE.as_nanos() as u64),
        };
        at_ns <= limit_ns && at_ns < u64::MAX
    }

    /// The next time at which anything happens: a thread's deadline, or an entry of an agenda.
    fn next_ns(&self) -> Option<u64> {
        self.schedule.next_deadline().into_iter().chain(self.parts.next_ns()).min()
    }
}

impl Baton {
    /// A new world without threads. `member::new_world` makes it known to the threads outside of it.
    pub(super) fn new(plan: &Plan, limit: Duration) -> Arc<Self> {
        let origin = Origin::find();
        let state = State {
            schedule: Schedule::new(plan),
            seats: Vec::new(),
            settlers: Vec::new(),
            next_settler: 0,
            roots: Vec::new(),
            runtimes: Vec::new(),
            parts: Parts::default(),
            runs_agendas: None,
            hosts: Hosts::default(),
            director: None,
            left: Vec::new(),
            tasks: Vec::new(),
            failures: Vec::new(),
            stage: Stage::Runs,
            limit_ns: nanos(limit),
            polls: 0,
            caller: None,
        };
        Arc::new(Self {
            seed: plan.seed,
            cpu: HomeCpu::choose(),
            ranks_tasks: state.schedule.ranks(),
            keeps_words: plan.keeps_events,
            origin,
            now_ns: AtomicU64::new(0),
            unix_origin_ns: AtomicU64::new(origin::UNIX.as_nanos() as u64),
            state: Mutex::new(state),
            over: Condvar::new(),
            foreign: Foreign::new(),
        })
    }

    pub(super) fn lock(&self) -> StateGuard<'_> {
        OutsideGuard::lock(&self.state)
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn now(&self) -> Instant {
        self.origin.instant + self.passed()
    }

    /// The clock behind `Instant`, in nanoseconds.
    pub(super) fn monotonic_ns(&self) -> u64 {
        (origin::MONOTONIC.as_nanos() as u64).saturating_add(self.passed_ns())
    }

    /// The time of day, in nanoseconds since 1970.
    pub(crate) fn unix_ns(&self) -> u64 {
        self.unix_origin_ns.load(Ordering::Relaxed).saturating_add(self.passed_ns())
    }

    /// Sets the time of day of virtual time 0. Called before the world starts.
    pub(crate) fn set_unix_origin(&self, since_1970: Duration) {
        self.unix_origin_ns.store(nanos(since_1970), Ordering::Relaxed);
    }

    /// Whether `std::time`, the keys of `HashMap` and the random numbers of the system follow from the seed.
    pub(crate) fn simulates_std(&self) -> bool {
        self.origin.is_simulated
    }

    /// The virtual time since the start of the world.
    pub(crate) fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed_ns())
    }

    fn passed_ns(&self) -> u64 {
        // Relaxed: the thread that reads it got the baton after the thread that wrote it.
        self.now_ns.load(Ordering::Relaxed)
    }

    /// The hash of all events so far, and how many there were.
    pub(crate) fn hash(&self) -> (u64, u64) {
        let state = self.lock();
        (state.schedule.events.hash(), state.schedule.events.count())
    }

    /// The events, if they are kept, with the names of the threads and the descriptions of the tasks in them.
    pub(crate) fn take_record(&self) -> Record {
        let mut state = self.lock();
        Record {
            events: state.schedule.events.take_kept(),
            threads: state.schedule.names(),
            tasks: std::mem::take(&mut state.tasks),
        }
    }

    /// Adds a thread that is ready to run.
    pub(super) fn add_seat(&self, host: usize, incarnation: u32, name: String) -> Arc<Seat> {
        let mut state = self.lock();
        let life = state.hosts.life(host);
        let made_in = MadeIn::new(&life, incarnation);
        let index = state.schedule.add_thread(host, name, made_in.has_crashed());
        let entropy = Entropy::of_thread(self.seed, index);
        let seat = Arc::new(Seat { index, host, incarnation, made_in, word: AtomicU32::new(0), entropy });
        state.seats.push(Arc::clone(&seat));
        seat
    }

    /// Gives the baton to the first thread. Called once, by a thread outside of the world.
    pub(crate) fn start(&self) {
        let mut state = self.lock();
        let first = state.schedule.choose();
        if first.is_none() {
            state.stage = Stage::Ended; // There are no threads.
        }
        let seat = first.map(|first| Arc::clone(&state.seats[first]));
        drop(state);
        seat.iter().for_each(|seat| seat.give_baton());
    }

    /// Waits until the world is over. Calls `on_silence` if no event has happened for so long, with the name of the thread that runs.
    pub(crate) fn wait_until_over(&self, patience: Duration, mut on_silence: impl FnMut(&str)) {
        let mut state = lock(&self.state);
        let mut last = 0;
        while matches!(state.stage, Stage::Runs | Stage::Fails) {
            let (again, waited) = self.over.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner);
            state = again;
            let count = state.schedule.events.count();
            if waited.timed_out() && std::mem::replace(&mut last, count) == count {
                let name = state.schedule.running().unwrap_or_default().to_owned();
                drop(state);
                on_silence(&name);
                state = lock(&self.state);
            }
        }
    }

    /// Whether all threads have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().stage == Stage::Ended
    }

    /// Records a failure. The run continues.
    pub(crate) fn fail(&self, kind: FailureKind, text: String) {
        self.lock().fail(kind, text);
    }

    pub(crate) fn failures(&self) -> Vec<WorldFailure> {
        self.lock().failures.clone()
    }

    /// If the world has failed so that it cannot continue: why.
    pub(crate) fn end_reason(&self) -> Option<String> {
        let state = self.lock();
        let is_over = state.stage != Stage::Runs;
        state.failures.last().filter(|_| is_over).map(|failure| failure.text.clone())
    }

    /// Whether the world no longer runs: it has failed so that it cannot continue, or all its threads have ended.
    pub(crate) fn is_failing(&self) -> bool {
        self.lock().stage != Stage::Runs
    }

    /// Whether a thread outside of a host has made this world.
    pub(crate) fn has_caller(&self) -> bool {
        self.lock().caller.is_some()
    }

    /// Adds a runtime to the dump of the world.
    pub(crate) fn add_runtime(&self, runtime: Box<dyn WorldRuntime>) {
        self.lock().runtimes.push(runtime);
    }

    /// An event of a task. `other` is the number of another task.
    pub(crate) fn record_task(
        &self,
        kind: EventKind,
        task: u64,
        describe: &dyn Fn() -> String,
        other: Option<u64>,
        argument: u32,
    ) {
        let mut state = self.lock();
        let number = state.schedule.events.number_of(task);
        if state.schedule.events.keeps() && state.tasks.len() < number as usize {
            let text = describe();
            state.tasks.resize(number as usize, String::new());
            state.tasks[number as usize - 1] = text;
        }
        let first = other.map_or(argument, |other| state.schedule.events.number_of(other));
        state.schedule.record(kind, number, [first, 0]);
    }

    /// An event of a part of the world.
    pub(crate) fn record(&self, kind: EventKind, subject: u32, arguments: [u32; 2]) {
        self.lock().schedule.record(kind, subject, arguments);
    }

    /// Chooses a number below `bound`, which is recorded.
    pub(crate) fn choose(&self, bound: usize) -> usize {
        self.lock().schedule.choose_number(bound)
    }

    /// As [`choose`](Self::choose), with words for a choice that is not 0: what it means that this number was chosen.
    pub(crate) fn choose_with(&self, bound: usize, describe: &dyn Fn(usize) -> String) -> usize {
        let choice = self.choose(bound);
        self.describe_choice(&|| describe(choice));
        choice
    }

    /// Whether [`choose_task`](Self::choose_task) needs the ids of the tasks.
    pub(crate) fn ranks_tasks(&self) -> bool {
        self.ranks_tasks
    }

    /// Chooses one of `bound` tasks, which stand in the order in which they became ready.
    pub(crate) fn choose_task(&self, bound: usize, ids: &[u64]) -> usize {
        if bound < 2 {
            return 0;
        }
        let mut state = self.lock();
        let numbers: Vec<_> = ids.iter().map(|id| state.schedule.events.number_of(*id)).collect();
        state.schedule.choose_task(bound, &numbers)
    }

    /// Says what the last choice means, if that is kept and the choice was not the plain one.
    pub(crate) fn describe_choice(&self, describe: &dyn Fn() -> String) {
        if self.keeps_words {
            self.lock().schedule.describe(describe);
        }
    }

    pub(crate) fn keeps_words(&self) -> bool {
        self.keeps_words
    }

    /// A task in words: `{task:#}` has no id of the process and no age, and this adds its number in the world.
    pub(crate) fn name_task(&self, id: u64, task: &dyn fmt::Display) -> String {
        format!("[{}] {task:#}", self.lock().schedule.events.number_of(id))
    }

    /// The choices of the run so far.
    pub(crate) fn choices(&self) -> Choices {
        self.lock().schedule.choices()
    }

    /// Whether an event with this name happens now.
    pub(crate) fn chance(&self, name: &str, percent: u8) -> bool {
        self.lock().schedule.chance(name, percent)
    }

    /// Waits. Returns whether it was woken. It may return early, without a wake and before the time is over (`early-return`).
    pub(super) fn block(&self, mine: &Seat, on: Wait, timeout: Option<Duration>) -> bool {
        self.block_locked(self.lock(), mine, on, timeout)
    }

    /// As [`block`](Self::block), under the lock.
    pub(super) fn block_locked<'a>(
        &'a self,
        mut state: StateGuard<'a>,
        mine: &Seat,
        on: Wait,
        timeout: Option<Duration>,
    ) -> bool {
        state.schedule.block(mine.index, on, timeout.map(nanos));
        self.pass(mine, state, false);
        self.lock().schedule.was_woken(mine.index)
    }

    /// The calling thread leaves the world.
    pub(super) fn end(&self, mine: &Seat) {
        let mut state = self.lock();
        state.schedule.end(mine.index);
        if state.director.as_ref().is_some_and(|director| director.thread == mine.index) {
            state.director = None;
        }
        let root = state.roots.iter().position(|(thread, _)| *thread == mine.index).map(|at| state.roots.remove(at));
        drop(state);
        drop(root);
        self.pass(mine, self.lock(), true);
    }

    /// Steps 2 to 4. The state of the calling thread has changed already.
    pub(super) fn pass<'a>(&'a self, mine: &Seat, mut state: StateGuard<'a>, is_ending: bool) {
        if let Some(drawn) = mine.entropy.take_drawn() {
            state.schedule.record(EventKind::Entropy, mine.index as u32, drawn);
        }
        loop {
            if let Some(next) = state.schedule.choose() {
                if let Some(director) = &mut state.director {
                    director.note_run(next);
                }
                if next == mine.index {
                    return;
                }
                let seat = Arc::clone(&state.seats[next]);
                drop(state);
                seat.give_baton();
                if !is_ending {
                    mine.await_baton();
                }
                return;
            }
            state = match self.when_quiet(mine, state, is_ending) {
                Some(state) => state,
                None if is_ending => return,
                None => self.halt(mine),
            };
        }
    }

    /// No thread can run at this instant. Makes one ready: because tasks have waited for this, because time passes, or because the world
    /// fails. Returns `None` if the world is over.
    fn when_quiet<'a>(&'a self, mine: &Seat, mut state: StateGuard<'a>, is_ending: bool) -> Option<StateGuard<'a>> {
        if state.schedule.alive() == 0 {
            return self.is_over(state, Stage::Ended); // No thread is left that could see what an agenda does.
        }
        if state.schedule.living() == 0 {
            state.left = state.schedule.alive_names(true, None).into_iter().map(str::to_owned).collect();
            return self.is_over(state, Stage::Abandoned);
        }
        let state_now = &mut *state;
        let director = state_now.director.as_mut().and_then(|director| director.on_quiet(&state_now.schedule));
        if let Some(director) = director {
            state.schedule.interrupt(director);
            return Some(state);
        }
        if state.settlers.is_empty() && state.may_move_clock() {
            return Some(self.move_clock(state));
        }
        if state.settlers.is_empty() && state.stage != Stage::Runs {
            return self.is_over(state, Stage::Abandoned); // It has failed already.
        }
        let is_limit = state.next_ns().is_some();
        if state.settlers.is_empty() && !is_limit {
            drop(state);
            self.foreign.wait(|| {
                let state = self.lock();
                (state.schedule.has_ready(), state.failures.len())
            });
            state = self.lock();
            if state.schedule.has_ready() {
                return Some(state); // A thread outside of the world has woken one, which is a failure already.
            }
        }
        // `early-return`: the rest calls wakers. A thread whose thread-local values are gone leaves that to another one.
        let acts = if is_ending { state.schedule.first_blocked() } else { Some(mine.index) };
        if let Some(acts) = acts {
            state.schedule.interrupt(acts);
        }
        if is_ending {
            return Some(state);
        }
        if !state.settlers.is_empty() {
            let settlers = std::mem::take(&mut state.settlers);
            state.schedule.record(EventKind::Settled, 0, [settlers.len() as u32, 0]);
            drop(state);
            settlers.into_iter().for_each(|(_, waker)| waker.wake());
            return Some(self.lock());
        }
        Some(self.begin_failing(state, is_limit))
    }

    /// Moves the clock to the next time at which anything happens, and lets it happen.
    fn move_clock<'a>(&'a self, mut state: StateGuard<'a>) -> StateGuard<'a> {
        state.polls = 0;
        match state.next_ns() {
            Some(next) => self.move_clock_to(state, next),
            None => state,
        }
    }

    /// The calling thread is about to poll. In a busy world time passes.
    pub(super) fn before_poll<'a>(&'a self, mut state: StateGuard<'a>) -> StateGuard<'a> {
        state.polls += 1;
        if state.polls <= POLLS_AT_ONE_INSTANT {
            return state;
        }
        let after = state.schedule.now_ns().saturating_add(BUSY_POLL.as_nanos() as u64);
        let to = state.next_ns().map_or(after, |next| after.min(next));
        if state.is_within_limit(to) {
            self.move_clock_to(state, to)
        } else if state.stage == Stage::Runs {
            self.begin_failing(state, true)
        } else {
            state
        }
    }

    /// Moves the clock, and lets happen what is due.
    fn move_clock_to<'a>(&'a self, mut state: StateGuard<'a>, to: u64) -> StateGuard<'a> {
        state.schedule.move_clock(to);
        let now = state.schedule.now_ns();
        self.now_ns.store(now, Ordering::Relaxed);
        let is_due = |agenda: &Arc<dyn Agenda>| agenda.next_ns().is_some_and(|next| next <= now);
        let due: Vec<_> = state.parts.agendas.iter().filter(|agenda| is_due(agenda)).cloned().collect();
        if due.is_empty() {
            return state;
        }
        state.runs_agendas = Some(std::thread::current().id());
        drop(state);
        due.iter().for_each(|agenda| agenda.run_due(now));
        let mut state = self.lock();
        state.runs_agendas = None;
        state
    }

    /// Nothing can happen, or the limit is reached: all `block_on`s end.
    fn begin_failing<'a>(&'a self, mut state: StateGuard<'a>, is_limit: bool) -> StateGuard<'a> {
        let runtimes = std::mem::take(&mut state.runtimes);
        let director = state.director.as_ref().map(|director| director.thread);
        let names = state.schedule.alive_names(false, director).join("`, `");
        let limit = Duration::from_nanos(state.limit_ns);
        let agendas = state.parts.agendas.clone();
        drop(state);
        let mut text = String::from(if is_limit {
            "the world has reached its limit of virtual time"
        } else {
            "nothing can happen: all threads of the world wait, and no timer is armed"
        });
        if is_limit {
            text.push_str(&format!(
                " ({limit:?}). Raise it with `World::limit`, or find out why the program does not end"
            ));
        }
        text.push_str(&format!(".\nThreads: `{names}`.\n"));
        let foreign = if is_limit { Vec::new() } else { self.foreign.names() };
        if !foreign.is_empty() {
            text.push_str(&format!(
                "Threads of the process that are younger than the world, and do not belong to it: `{}`. If the program has started one and \
                 waits for it, this is why nothing can happen. Use `spawn_blocking` in its place.\n",
                foreign.join("`, `")
            ));
        }
        runtimes.iter().for_each(|runtime| runtime.describe(&mut text));
        agendas.iter().for_each(|agenda| agenda.describe(&mut text));
        let mut state = self.lock();
        state.runtimes = runtimes;
        state.fail(if is_limit { FailureKind::Limit } else { FailureKind::NothingCanHappen }, text);
        self.end_roots(state)
    }

    /// The world has failed: all `block_on`s end, and the director.
    pub(super) fn end_roots<'a>(&'a self, mut state: StateGuard<'a>) -> StateGuard<'a> {
        state.stage = Stage::Fails;
        if let Some(director) = state.director.as_ref().map(|director| director.thread) {
            state.schedule.interrupt(director);
        }
        let roots = std::mem::take(&mut state.roots);
        drop(state);
        roots.into_iter().for_each(|(_, waker)| waker.wake());
        self.lock()
    }

    fn is_over<'a>(&'a self, mut state: StateGuard<'a>, stage: Stage) -> Option<StateGuard<'a>> {
        state.stage = stage;
        self.over.notify_all();
        None
    }

    /// The world is abandoned, and this thread has the baton.
    fn halt(&self, mine: &Seat) -> ! {
        let state = self.lock();
        let is_caller = state.caller == Some(mine.index);
        let text = state.failures.last().map(|failure| failure.text.clone()).unwrap_or_default();
        drop(state);
        if is_caller && !std::thread::panicking() {
            panic!("the simulated world has failed: {text}");
        }
        loop {
            std::thread::park();
        }
    }
}

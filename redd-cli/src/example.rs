//! A recording for tests: a server with connections, a lock that they share, a task whose polls are long, and closures.
//!
//! It is played, not recorded: the same numbers each time, and as many events as a test needs.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};

use crate::recording::{Event, Recording, Task, Thread, What};

const WORKERS: usize = 4;
/// The thread that runs the closures.
const CLOSURES: usize = WORKERS;
const LISTENER: u64 = 1;
const COMPACTION: u64 = 2;
const FIRST_CONNECTION: u64 = 3;
const CONNECTIONS: u64 = 24;
const FIRST_REQUEST: u64 = 100;
const FIRST_CLOSURE: u64 = 1 << 20;
/// A poll of so many nanoseconds is reported as late.
const LATE_NS: u64 = 5_000_000;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Ready(u64),
    /// The worker looks into the queue.
    Next(usize),
    PollEnds(usize, u64),
    Late(u64),
    ClosureEnds(u64),
}

#[derive(Default)]
struct Play {
    random: u64,
    events: Vec<Event>,
    steps: BinaryHeap<Reverse<(u64, Step)>>,
    queue: VecDeque<u64>,
    /// The tasks that wait for one worker.
    own: [VecDeque<u64>; WORKERS],
    idle: BTreeSet<usize>,
    /// The task that each worker polls.
    polled: [Option<u64>; WORKERS],
    holder: Option<u64>,
    waiters: VecDeque<u64>,
    requests: u64,
    closures: u64,
}

/// Plays until there are that many events.
pub(crate) fn recording(events: usize) -> Recording {
    let mut play = Play { random: 7, idle: (0..WORKERS).collect(), ..Play::default() };
    (0..WORKERS).for_each(|worker| play.event(0, worker, What::Park));
    for task in 1..FIRST_CONNECTION + CONNECTIONS {
        let at = play.between(1_000, 2_000_000);
        play.steps.push(Reverse((at, Step::Ready(task))));
    }
    play.steps.push(Reverse((900_000, Step::ClosureEnds(0))));
    while play.events.len() < events {
        let Some(Reverse((at, step))) = play.steps.pop() else { break };
        play.step(at, step);
    }
    play.events.sort_by_key(|event| event.at_ns);
    play.events.truncate(events);
    let worker = |index| Thread { name: format!("redd-worker-{index}"), tid: 5_001 + index };
    let mut threads: Vec<_> = (0..WORKERS as u32).map(worker).collect();
    threads.push(Thread { name: "redd-blocking-0".to_owned(), tid: 5_020 });
    Recording {
        pid: 5_000,
        program: "shop-server".to_owned(),
        started_unix_ns: 1_790_000_000_000_000_000,
        threads,
        tasks: tasks(play.requests),
        events: play.events,
        lost: 0,
    }
}

fn tasks(requests: u64) -> Vec<Task> {
    let task = |id, name: Option<&str>, spawned_at: &str, parent| Task {
        id,
        name: name.map(str::to_owned),
        spawned_at: spawned_at.to_owned(),
        parent,
    };
    let mut tasks = vec![
        task(LISTENER, Some("listener"), "src/main.rs:31:9", None),
        task(COMPACTION, Some("compaction"), "src/store.rs:140:13", None),
    ];
    let connections = FIRST_CONNECTION..FIRST_CONNECTION + CONNECTIONS;
    tasks.extend(connections.map(|id| task(id, None, "src/server.rs:58:17", Some(LISTENER))));
    // Those that have ended are not known any more, but for some.
    let requests = FIRST_REQUEST..FIRST_REQUEST + requests;
    tasks.extend(
        requests.map(|id| task(id, None, if id % 8 == 0 { "" } else { "src/request.rs:22:5" }, Some(LISTENER))),
    );
    tasks
}

impl Play {
    fn event(&mut self, at_ns: u64, thread: usize, what: What) {
        self.events.push(Event { at_ns, thread, what });
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (self.random >> 33) % (high - low)
    }

    fn after(&mut self, at: u64, low: u64, high: u64, step: Step) {
        let delay = self.between(low, high);
        self.steps.push(Reverse((at + delay, step)));
    }

    fn step(&mut self, at: u64, step: Step) {
        match step {
            Step::Ready(task) => self.wake_by_driver(at, task),
            Step::Late(task) => {
                if self.polled.contains(&Some(task)) {
                    self.event(at, CLOSURES, What::LatePoll { task });
                }
            }
            Step::ClosureEnds(id) => {
                if id > 0 {
                    self.event(at, CLOSURES, What::ClosureEnd { id });
                }
                self.closures += 1;
                let id = FIRST_CLOSURE + self.closures;
                let pause = self.between(200_000, 3_000_000);
                self.event(at + 1, CLOSURES, What::ClosureStart { id });
                self.after(at + pause, 300_000, 2_500_000, Step::ClosureEnds(id));
            }
            Step::Next(worker) => self.poll_next(at, worker),
            Step::PollEnds(worker, task) => self.end_poll(at, worker, task),
        }
    }

    fn wake_by_driver(&mut self, at: u64, task: u64) {
        let Some(worker) = self.idle.pop_first() else {
            // The task that a worker polls wakes this one, and so queues it for that worker.
            let worker = self.between(0, WORKERS as u64) as usize;
            self.event(at, worker, What::Wake { task, by: self.polled[worker] });
            self.own[worker].push_back(task);
            return;
        };
        self.event(at, worker, What::Unpark);
        self.event(at, worker, What::DriverEvents { count: 1 });
        self.event(at, worker, What::Wake { task, by: None });
        self.queue.push_back(task);
        self.steps.push(Reverse((at + 1_200, Step::Next(worker))));
    }

    /// Queues the task, for this worker or for one that sleeps.
    fn wake_by(&mut self, at: u64, worker: usize, task: u64, by: u64) {
        self.event(at, worker, What::Wake { task, by: Some(by) });
        self.queue.push_back(task);
        if let Some(other) = self.idle.pop_first() {
            self.event(at, other, What::Unpark);
            self.event(at, other, What::Steal { count: 1 });
            self.steps.push(Reverse((at + 2_500, Step::Next(other))));
        }
    }

    fn poll_next(&mut self, at: u64, worker: usize) {
        let next = self.own[worker].pop_front();
        self.polled[worker] = next.or_else(|| self.queue.pop_front());
        let Some(task) = self.polled[worker] else {
            self.event(at, worker, What::Park);
            self.idle.insert(worker);
            return;
        };
        self.event(at, worker, What::PollStart { task });
        let (low, high) = match task {
            LISTENER => (8_000, 30_000),
            COMPACTION => (1_500_000, 9_000_000),
            _ => (15_000, 350_000),
        };
        let length = self.between(low, high);
        if length > LATE_NS {
            self.steps.push(Reverse((at + LATE_NS, Step::Late(task))));
        }
        self.steps.push(Reverse((at + length, Step::PollEnds(worker, task))));
    }

    fn end_poll(&mut self, at: u64, worker: usize, task: u64) {
        let mut has_ended = false;
        match task {
            LISTENER => {
                let request = FIRST_REQUEST + self.requests;
                self.requests += 1;
                self.event(at, worker, What::Spawn { task: request, by: Some(task) });
                self.queue.push_back(request);
                self.after(at, 150_000, 900_000, Step::Ready(task));
            }
            COMPACTION => self.after(at, 6_000_000, 16_000_000, Step::Ready(task)),
            FIRST_REQUEST.. => {
                has_ended = self.between(0, 2) == 0;
                if has_ended && self.between(0, 40) == 0 {
                    self.event(at, worker, What::Panic { task });
                }
                if !has_ended {
                    self.after(at, 100_000, 2_000_000, Step::Ready(task));
                }
            }
            _ => self.go_on_with_connection(at, worker, task),
        }
        self.event(at, worker, What::PollEnd { task, has_ended });
        self.steps.push(Reverse((at + 300, Step::Next(worker))));
    }

    /// It releases the lock if it has it, or takes it, or waits for the client.
    fn go_on_with_connection(&mut self, at: u64, worker: usize, task: u64) {
        if self.holder == Some(task) {
            self.holder = self.waiters.pop_front();
            if let Some(next) = self.holder {
                self.event(at, worker, What::LockGrant { task: next, by: Some(task) });
                self.wake_by(at, worker, next, task);
            }
        } else if self.between(0, 3) == 0 {
            if self.holder.is_some() {
                self.event(at, worker, What::LockWait { task });
                self.waiters.push_back(task);
                return;
            }
            self.holder = Some(task);
        }
        self.after(at, 100_000, 3_500_000, Step::Ready(task));
    }
}

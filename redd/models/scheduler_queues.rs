//! Models of the queues, of the idle word, and of a thread that starts late: every interleaving, within loom's bounds.
//!
//! Beside each model stands a seeded mistake that it must catch, so that we know that it looks.

#![expect(unsafe_code, reason = "owner-only calls; steps of the components with a mistake in them")]

use std::ptr::NonNull;
/// The checker's own may not be the type of `self`.
use std::sync::Arc as Plain;

use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

use super::active::{Active, CLOSED, COUNT, Step};
use super::idle::{self, Idle, Searching, WakeAction, Word};
use super::injector::testing::Node;
use super::injector::{Batch, Injector, ONE, Popped};
use super::run_queue::{Head, RunQueue};
use super::spares::{Called, ParkedSpare, Spares};
use super::worker_states::join_unless_ended;
use crate::primitives::atomic::{AtomicUsize, Ordering, fixed};

type Ring = RunQueue<Node, 4>;

/// The numbers that came out, once each and none missing.
#[track_caller]
fn assert_each_once(mut seen: Vec<usize>, count: usize) {
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..count), "each task comes out exactly once");
}

/// The end of a node: its number. It is not freed, so that a mistake that hands it out twice is found by the
/// assertion above and not by the allocator.
fn take(node: NonNull<Node>) -> usize {
    // SAFETY: never freed.
    unsafe { node.as_ref() }.number
}

fn finish_batch(batch: Batch<Node>, seen: &mut Vec<usize>) {
    batch.for_each(|node| seen.push(take(node)));
}

// ── M2: the ring ──────────────────────────────────────────────────────────────────────────────────────────────────

type Steal = unsafe fn(&Ring, &Ring) -> Option<NonNull<Node>>;

/// A thief steals into a queue of its own until that fails once.
fn thief(queue: &Ring, steal: Steal) -> Vec<usize> {
    let (mine, mut seen) = (Ring::new(), Vec::new());
    // SAFETY: this thread owns `mine`.
    unsafe {
        seen.extend(steal(queue, &mine).map(take));
        while let Some(node) = mine.pop() {
            seen.push(take(node));
        }
    }
    seen
}

/// The owner pushes `before` tasks, then `after` while thieves are at work, and pops all that is left.
fn ring(before: usize, after: usize, thieves: usize, steal: Steal) {
    let queue = Arc::new(Ring::new());
    let mut seen = Vec::new();
    let push = |number, seen: &mut Vec<usize>| {
        // SAFETY: this thread owns `queue`.
        unsafe { queue.push(Node::new(number), |batch| finish_batch(batch, seen)) };
    };
    (0..before).for_each(|number| push(number, &mut seen));
    let thieves = Vec::from_iter((0..thieves).map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || thief(&queue, steal))
    }));
    (before..before + after).for_each(|number| push(number, &mut seen));
    // SAFETY: as above.
    while let Some(node) = unsafe { queue.pop() } {
        seen.push(take(node));
    }
    for thief in thieves {
        seen.extend(thief.join().expect("a thief does not panic"));
    }
    assert!(queue.is_empty());
    assert_each_once(seen, before + after);
}

model!(loom_ring_owner_and_two_thieves, || ring(3, 0, 2, Ring::steal_into));

model!(loom_ring_owner_pushes_while_stolen_from, || ring(1, 2, 1, Ring::steal_into));

model!(loom_ring_overflows_while_stolen_from, || ring(4, 2, 1, Ring::steal_into));

model!(loom_ring_overflows_with_two_thieves, || ring(4, 1, 2, Ring::steal_into));

/// A thief that reads before it claims, and claims without looking whether the head has moved.
unsafe fn steal_without_claim(queue: &Ring, _: &Ring) -> Option<NonNull<Node>> {
    let head = Head::unpack(queue.head.0.load(Ordering::Acquire));
    if head.real == queue.tail.0.load(Ordering::Acquire) {
        return None;
    }
    let node = NonNull::new(queue.slot(head.real).load(Ordering::Relaxed));
    let real = head.real.wrapping_add(1);
    queue.head.0.store(Head { steal: real, real }.pack(), Ordering::Release);
    node
}

mistake!(loom_ring_catches_a_thief_that_reads_before_it_claims, "exactly once", || ring(2, 0, 1, steal_without_claim));

// ── M3: the next-slot ─────────────────────────────────────────────────────────────────────────────────────────────

type PushNext = unsafe fn(&Ring, NonNull<Node>) -> Option<NonNull<Node>>;

/// The owner fills the slot twice and empties it, while a rescuer takes what it finds.
fn next_slot(push: PushNext) {
    let queue = Arc::new(Ring::new());
    let rescuer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || Vec::from_iter((0..2).filter_map(|_| queue.steal_next().map(take))))
    };
    let mut seen = Vec::new();
    for number in 0..3 {
        // SAFETY: this thread owns `queue`.
        seen.extend(unsafe { push(&queue, Node::new(number)) }.map(take));
    }
    // SAFETY: as above.
    seen.extend(unsafe { queue.pop_next() }.map(take));
    seen.extend(rescuer.join().expect("a rescuer does not panic"));
    assert_each_once(seen, 3);
}

model!(loom_next_slot_owner_and_rescuer, || next_slot(Ring::push_next));

/// Looks at what stands in the slot, and then stores over it.
unsafe fn push_next_by_store(queue: &Ring, node: NonNull<Node>) -> Option<NonNull<Node>> {
    let before = queue.next.load(Ordering::Relaxed);
    queue.next.store(node.as_ptr(), Ordering::Release);
    NonNull::new(before)
}

mistake!(loom_next_slot_catches_a_push_that_stores_over_a_task, "exactly once", || next_slot(push_next_by_store));

// ── M5: the injector ──────────────────────────────────────────────────────────────────────────────────────────────

fn batch(numbers: std::ops::Range<usize>) -> Batch<Node> {
    // SAFETY: the nodes are fresh.
    let mut batch = unsafe { Batch::one(Node::new(numbers.start)) };
    for number in numbers.skip(1) {
        // SAFETY: as above.
        unsafe { batch.push(Node::new(number)) };
    }
    batch
}

fn pop(injector: &Injector<Node>, max: usize, seen: &mut Vec<usize>) {
    injector.pop_batch(max, |node| seen.push(take(node)));
}

model!(loom_injector_two_pushers_one_popper, || {
    let injector = Arc::new(Injector::new());
    let pushers = [0..2, 2..3].map(|numbers| {
        let injector = Arc::clone(&injector);
        thread::spawn(move || injector.push_batch(batch(numbers)).expect("it is open"))
    });
    let mut seen = Vec::new();
    pop(&injector, 2, &mut seen);
    for pusher in pushers {
        pusher.join().expect("a pusher does not panic");
    }
    assert_eq!(injector.is_empty(), seen.len() == 3);
    pop(&injector, 3, &mut seen);
    assert!(seen.iter().position(|n| *n == 0) < seen.iter().position(|n| *n == 1), "first in, first out");
    assert_each_once(seen, 3);
});

model!(loom_injector_two_poppers_and_a_pusher, || {
    let injector = Arc::new(Injector::new());
    injector.push(Node::new(0)).expect("it is open");
    let popper = {
        let injector = Arc::clone(&injector);
        thread::spawn(move || {
            let mut seen = Vec::new();
            pop(&injector, 1, &mut seen);
            seen
        })
    };
    let pusher = {
        let injector = Arc::clone(&injector);
        thread::spawn(move || injector.push(Node::new(1)).expect("it is open"))
    };
    let mut seen = Vec::new();
    pop(&injector, 2, &mut seen);
    pusher.join().expect("a pusher does not panic");
    seen.extend(popper.join().expect("a popper does not panic"));
    pop(&injector, 2, &mut seen);
    assert_each_once(seen, 2);
    assert!(injector.is_empty());
});

/// Two pushers, one of them with a batch, against close and drain: what is accepted comes out of the drain, and what
/// is refused comes back.
fn close(push: fn(&Injector<Node>, Batch<Node>) -> Result<(), Batch<Node>>) {
    let injector = Arc::new(Injector::new());
    let pushers = [0..1, 1..3].map(|numbers| {
        let injector = Arc::clone(&injector);
        thread::spawn(move || {
            let mut refused = Vec::new();
            if let Err(batch) = push(&injector, batch(numbers)) {
                finish_batch(batch, &mut refused);
            }
            refused
        })
    });
    injector.close();
    let mut seen = Vec::new();
    injector.drain(|node| seen.push(take(node)));
    for pusher in pushers {
        seen.extend(pusher.join().expect("a pusher does not panic"));
    }
    assert_each_once(seen, 3);
}

model!(loom_injector_close_strands_nothing, || close(Injector::push_batch));

/// Looks whether the injector is closed, and counts itself afterwards.
fn push_after_a_look(injector: &Injector<Node>, batch: Batch<Node>) -> Result<(), Batch<Node>> {
    if injector.is_closed() {
        return Err(batch);
    }
    injector.pushers.0.backlog.fetch_add(batch.len() * ONE, Ordering::Relaxed);
    injector.link(&batch, injector.claim_end(&batch));
    Ok(())
}

mistake!(loom_injector_catches_a_push_that_looks_before_it_counts, "exactly once", || close(push_after_a_look));

// ── M4: the idle word ─────────────────────────────────────────────────────────────────────────────────────────────

/// The epoll in which all workers sleep: an edge-triggered eventfd, in which writes coalesce, and one socket.
///
/// Nobody blocks in it: a worker that finds nothing ends there, asleep. Being woken later is the same as looking later,
/// and loom tries all the times at which it may look. So when all threads have ended, all sleep (or are blocked in a
/// task), and what is then in the epoll is what would wake them.
struct Epoll(AtomicUsize);

const TOKEN: usize = 1;
const SOCKET: usize = 2;

impl Epoll {
    /// AcqRel: the kernel's lock orders what happens before a write and after it is seen.
    fn add(&self, event: usize) {
        self.0.fetch_or(event, Ordering::AcqRel);
    }

    fn take(&self) -> usize {
        self.0.swap(0, Ordering::AcqRel)
    }
}

/// A runtime in small, with nothing but an injector, which is a number of tasks here (the real one is looked at above,
/// and below with one worker).
struct Workers {
    injected: AtomicUsize,
    idle: Idle,
    epoll: Epoll,
    is_driver_leased: AtomicUsize,
    event_count: EventCount,
    parking: Seating,
    /// Workers that have no thread. Not modelled: only the one clean worker looks at it.
    unstarted: fixed::AtomicUsize,
    /// Of workers that have started later.
    threads: crate::primitives::checker::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    mistake: Mistake,
    tasks: Tasks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seating {
    /// A runtime with one worker, or with all of them in the epoll.
    AllInEpoll,
    /// Decision 0009.
    OneWatches,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    NoFence,
    LookBeforeCount,
    NoChain,
    NoFenceAfterSearch,
    LookBeforeEnd,
    DropToken,
    /// A worker starts its successor when its first task has ended.
    StartAfterTask,
    /// A worker that an event wakes runs what that woke without a successor.
    NoStartForEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tasks {
    End,
    /// The worker never returns from a task: it waits for another one.
    WaitForEachOther,
}

/// The event count of `primitives::event_count`, at which no thread blocks either. What the system does, it does under its lock: look at
/// the rings and fall asleep, or wake one that sleeps.
#[derive(Default)]
struct EventCount {
    rings: AtomicUsize,
    sleepers: AtomicUsize,
    system: crate::primitives::checker::sync::Mutex<Asleep>,
}

#[derive(Default)]
struct Asleep {
    asleep: usize,
    /// Woken, and not yet running.
    woken: usize,
}

impl EventCount {
    fn prepare_wait(&self) -> usize {
        self.rings.load(Ordering::Acquire)
    }

    /// `None`: it sleeps for good. Else whether a ring woke it.
    fn wait(&self, heard: usize) -> Option<bool> {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        crate::primitives::checker::sync::atomic::fence(Ordering::SeqCst);
        let mut system = self.system.lock().unwrap();
        // The system reads the word itself.
        if self.rings.load(Ordering::Relaxed) != heard {
            drop(system);
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
            return Some(false);
        }
        system.asleep += 1;
        drop(system);
        // Time for a ring.
        thread::yield_now();
        self.wake_up().then_some(true)
    }

    fn wake_up(&self) -> bool {
        let mut system = self.system.lock().unwrap();
        let is_woken = system.woken > 0;
        if is_woken {
            system.woken -= 1;
            drop(system);
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
        }
        is_woken
    }

    fn notify_one(&self) -> bool {
        self.rings.fetch_add(1, Ordering::Release);
        crate::primitives::checker::sync::atomic::fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut system = self.system.lock().unwrap();
        let wakes = system.asleep > 0;
        if wakes {
            system.asleep -= 1;
            system.woken += 1;
        }
        wakes
    }
}

impl Workers {
    fn wake(&self) {
        self.apply(self.idle.wake_one());
    }

    fn apply(&self, answer: WakeAction) {
        if answer == WakeAction::WriteToken {
            self.write_token();
        }
    }

    /// `one-ahead`: the worker is about to run a task, the first one if it is clean.
    fn start_successor(self: &Plain<Self>, is_clean: &mut bool) {
        if std::mem::take(is_clean) && self.unstarted.load(Ordering::Relaxed) > 0 {
            // Only the one clean worker starts another.
            self.unstarted.fetch_sub(1, Ordering::Relaxed);
            let mine = Plain::clone(self);
            self.threads.lock().unwrap().push(thread::spawn(move || mine.work()));
        }
    }

    /// `Shared::wake_sleeper`.
    fn write_token(&self) {
        let is_taken = self.parking == Seating::OneWatches && self.event_count.notify_one();
        if !is_taken {
            self.epoll.add(TOKEN);
        }
    }

    /// The events that end a sleep, `None` if nothing does.
    fn sleep(&self, heard: usize) -> Option<usize> {
        if self.parking == Seating::OneWatches && self.is_driver_leased.swap(1, Ordering::Acquire) == 1 {
            return self.event_count.wait(heard).map(|is_woken| if is_woken { TOKEN } else { 0 });
        }
        let events = self.epoll.take();
        if events == 0 {
            return None;
        }
        self.is_driver_leased.store(0, Ordering::Release);
        Some(events)
    }

    /// The submit protocol.
    fn submit(&self) {
        self.injected.fetch_add(1, Ordering::Release);
        idle::after_remote_push();
        self.wake();
    }

    /// The worker loop and the park protocol, until the worker sleeps or is blocked.
    fn work(self: &Plain<Self>) {
        let (mut searching, mut is_clean) = (None, true);
        loop {
            if self.pop() {
                if self.mistake != Mistake::StartAfterTask {
                    self.start_successor(&mut is_clean);
                }
                if let Some(searching) = searching.take() {
                    self.end_search(searching);
                } else if !self.is_empty() {
                    self.wake();
                }
                match self.tasks {
                    Tasks::End => {
                        self.start_successor(&mut is_clean);
                        continue;
                    }
                    Tasks::WaitForEachOther => return,
                }
            }
            if searching.is_none() {
                searching = self.idle.start_search(1);
                if searching.is_some() {
                    continue;
                }
            }
            let heard = self.event_count.prepare_wait();
            if !self.enter_park(searching.take()) {
                self.idle.cancel_park();
                continue;
            }
            let Some(events) = self.sleep(heard) else { return };
            searching = self.idle.leave_park(events & TOKEN != 0);
            if events & SOCKET != 0 {
                if self.mistake != Mistake::NoStartForEvent {
                    self.start_successor(&mut is_clean);
                }
                if let Some(searching) = searching.take() {
                    self.end_search(searching);
                }
                self.poll_driver_and_timers();
                match self.tasks {
                    Tasks::End => {}
                    Tasks::WaitForEachOther => return,
                }
            }
        }
    }

    /// The last searcher looks for what was left to it.
    fn end_search(&self, searching: Searching) {
        let has_more = match self.mistake {
            Mistake::NoChain => return,
            Mistake::NoFenceAfterSearch => self.idle.apply(|word| word.search_ended()) && !self.is_empty(),
            Mistake::LookBeforeEnd => {
                let has_more = !self.is_empty();
                self.idle.end_search(searching) && has_more
            }
            Mistake::None
            | Mistake::NoFence
            | Mistake::LookBeforeCount
            | Mistake::DropToken
            | Mistake::StartAfterTask
            | Mistake::NoStartForEvent => self.idle.end_search(searching) && !self.is_empty(),
        };
        if has_more {
            self.wake();
        }
    }

    fn pop(&self) -> bool {
        let take_one = |count: usize| count.checked_sub(1);
        self.injected.fetch_update(Ordering::AcqRel, Ordering::Acquire, take_one).is_ok()
    }

    fn is_empty(&self) -> bool {
        self.injected.load(Ordering::Relaxed) == 0
    }

    /// False if there is a reason to stay.
    fn enter_park(&self, searching: Option<Searching>) -> bool {
        match self.mistake {
            Mistake::None
            | Mistake::NoChain
            | Mistake::NoFenceAfterSearch
            | Mistake::LookBeforeEnd
            | Mistake::DropToken
            | Mistake::StartAfterTask
            | Mistake::NoStartForEvent => {
                self.idle.enter_park(searching);
                self.is_empty()
            }
            Mistake::NoFence => {
                self.idle.apply(|word| word.park_entered(searching.is_some()));
                self.is_empty()
            }
            Mistake::LookBeforeCount => {
                let is_empty = self.is_empty();
                self.idle.enter_park(searching);
                is_empty
            }
        }
    }

    /// A busy worker that finds the token passes it on.
    fn poll_driver_and_timers(&self) {
        if self.epoll.take() & TOKEN != 0 && self.mistake != Mistake::DropToken {
            self.apply(self.idle.pass_token());
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    Submits(usize),
    RaisesAnEventAndSubmits(usize),
}

/// Two workers, and this thread as the world outside.
fn workers(mistake: Mistake, tasks: Tasks, outside: Outside) {
    workers_in(Seating::AllInEpoll, mistake, tasks, outside);
}

fn workers_in(parking: Seating, mistake: Mistake, tasks: Tasks, outside: Outside) {
    let shared = runtime(0, parking, mistake, tasks);
    let threads = [(); 2].map(|()| {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.work())
    });
    shared.play(outside);
    for thread in threads {
        thread.join().expect("a worker does not panic");
    }
    shared.check();
}

/// The same with a second worker that the first one starts.
fn successor(parking: Seating, mistake: Mistake, tasks: Tasks, outside: Outside) {
    let shared = runtime(1, parking, mistake, tasks);
    let first = {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.work())
    };
    shared.play(outside);
    first.join().expect("a worker does not panic");
    shared.check();
}

fn runtime(unstarted: usize, parking: Seating, mistake: Mistake, tasks: Tasks) -> Plain<Workers> {
    Plain::new(Workers {
        injected: AtomicUsize::new(0),
        idle: Idle::new(),
        epoll: Epoll(AtomicUsize::new(0)),
        is_driver_leased: AtomicUsize::new(0),
        event_count: EventCount::default(),
        parking,
        unstarted: fixed::AtomicUsize::new(unstarted),
        threads: crate::primitives::checker::sync::Mutex::new(Vec::new()),
        mistake,
        tasks,
    })
}

impl Workers {
    /// What the world outside does.
    fn play(&self, outside: Outside) {
        let submits = match outside {
            Outside::Submits(count) => count,
            Outside::RaisesAnEventAndSubmits(count) => {
                self.epoll.add(SOCKET);
                count
            }
        };
        (0..submits).for_each(|_| self.submit());
    }

    /// The first workers have ended, and no thread is outside.
    fn check(&self) {
        loop {
            let Some(thread) = self.threads.lock().unwrap().pop() else { break };
            thread.join().expect("a worker does not panic");
        }
        let has_token = self.epoll.take() & TOKEN != 0 || self.event_count.system.lock().unwrap().woken > 0;
        let Word { sleepers, searchers, .. } = self.idle.load();
        let unstarted = self.unstarted.load(Ordering::Relaxed);
        assert!(
            self.is_empty() || sleepers == 0 || has_token,
            "a task waits, a worker sleeps, and no token is on its way"
        );
        assert!(self.is_empty() || sleepers > 0 || unstarted == 0, "a task waits, and a worker could be started");
        assert!(searchers == 0 || self.mistake != Mistake::None, "no worker searches forever");
    }
}

model!(loom_idle_submit_against_park, || workers(Mistake::None, Tasks::End, Outside::Submits(2)));

model!(loom_idle_submit_against_park_and_an_event, || workers(
    Mistake::None,
    Tasks::End,
    Outside::RaisesAnEventAndSubmits(1)
));

model!(loom_idle_one_leases_submit_against_park, || workers_in(
    Seating::OneWatches,
    Mistake::None,
    Tasks::End,
    Outside::Submits(2)
));

model!(loom_idle_one_leases_submit_against_park_and_an_event, || {
    workers_in(Seating::OneWatches, Mistake::None, Tasks::End, Outside::RaisesAnEventAndSubmits(1))
});

model!(loom_idle_dependent_tasks_get_a_worker_each, || workers(
    Mistake::None,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

model!(loom_idle_a_task_behind_a_blocked_event_gets_a_worker, || {
    workers(Mistake::None, Tasks::WaitForEachOther, Outside::RaisesAnEventAndSubmits(1));
});

mistake!(loom_idle_catches_a_park_without_the_fence, "no token is on its way", || workers(
    Mistake::NoFence,
    Tasks::End,
    Outside::Submits(1)
));

mistake!(loom_idle_catches_a_look_before_the_count, "no token is on its way", || workers(
    Mistake::LookBeforeCount,
    Tasks::End,
    Outside::Submits(1)
));

mistake!(loom_idle_catches_a_searcher_that_does_not_chain, "no token is on its way", || workers(
    Mistake::NoChain,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

mistake!(loom_idle_catches_a_searcher_without_the_fence, "no token is on its way", || workers(
    Mistake::NoFenceAfterSearch,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

mistake!(loom_idle_catches_a_searcher_that_looks_before_it_ends, "no token is on its way", || workers(
    Mistake::LookBeforeEnd,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

mistake!(loom_idle_catches_a_token_that_is_not_passed_on, "no token is on its way", || {
    workers(Mistake::DropToken, Tasks::WaitForEachOther, Outside::RaisesAnEventAndSubmits(1));
});

model!(loom_idle_a_successor_submit_against_park, || {
    successor(Seating::AllInEpoll, Mistake::None, Tasks::End, Outside::Submits(2));
});

model!(loom_idle_one_leases_a_successor_submit_against_park_and_an_event, || {
    successor(Seating::OneWatches, Mistake::None, Tasks::End, Outside::RaisesAnEventAndSubmits(1));
});

model!(loom_idle_dependent_tasks_find_a_successor, || {
    successor(Seating::OneWatches, Mistake::None, Tasks::WaitForEachOther, Outside::Submits(2));
});

#[test]
fn loom_idle_a_task_behind_a_blocked_event_finds_a_successor() {
    // Three: the worker sleeps, is called for, gets up, and only then is the token written.
    crate::primitives::explore_within(Some(3), || {
        let outside = Outside::RaisesAnEventAndSubmits(1);
        successor(Seating::AllInEpoll, Mistake::None, Tasks::WaitForEachOther, outside);
    });
}

mistake!(loom_idle_catches_a_successor_that_starts_after_the_task, "a worker could be started", || {
    successor(Seating::AllInEpoll, Mistake::StartAfterTask, Tasks::WaitForEachOther, Outside::Submits(2));
});

mistake!(loom_idle_catches_an_event_without_a_successor, "a worker could be started", || {
    let outside = Outside::RaisesAnEventAndSubmits(1);
    successor(Seating::AllInEpoll, Mistake::NoStartForEvent, Tasks::WaitForEachOther, outside);
});

/// What a start and a shutdown share: how many threads are alive, which of them the shutdown joins, and where a standby waits.
struct House {
    alive: AtomicUsize,
    is_closed: AtomicUsize,
    threads: crate::primitives::checker::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    spares: crate::primitives::checker::sync::Mutex<Spares>,
    started: AtomicUsize,
    ended: AtomicUsize,
}

impl House {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            alive: AtomicUsize::new(1),
            is_closed: AtomicUsize::new(0),
            threads: crate::primitives::checker::sync::Mutex::new(Vec::new()),
            spares: crate::primitives::checker::sync::Mutex::new(Spares::default()),
            started: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        })
    }

    /// The shutdown from the close on; it joins what is listed.
    fn shut_down(&self) {
        self.is_closed.store(1, Ordering::Release);
        self.release();
        while self.alive.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        loop {
            let Some(thread) = self.threads.lock().unwrap().pop() else { break };
            thread.join().expect("it does not panic");
        }
        let (started, ended) = (self.started.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        assert_eq!(started, ended, "a thread is left");
        assert!(self.spares.lock().unwrap().take_standby().is_none(), "a thread is left on the seat");
    }

    fn release(&self) {
        let standby = self.spares.lock().unwrap().take_standby();
        if let Some(seat) = standby {
            seat.call(None);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) == 1
    }
}

/// The only worker leaves, another one starts, and this thread shuts down.
fn start_against_shutdown(starts_under_lock: bool) {
    let house = House::new();
    let starter = {
        let house = Arc::clone(&house);
        thread::spawn(move || {
            let lock = starts_under_lock.then(|| house.threads.lock().unwrap());
            if !join_unless_ended(&house.alive) {
                return;
            }
            house.started.fetch_add(1, Ordering::Relaxed);
            let late = {
                let house = Arc::clone(&house);
                thread::spawn(move || {
                    house.alive.fetch_sub(1, Ordering::AcqRel);
                    house.ended.fetch_add(1, Ordering::Relaxed); // the hook
                })
            };
            lock.unwrap_or_else(|| house.threads.lock().unwrap()).push(late);
        })
    };
    house.alive.fetch_sub(1, Ordering::AcqRel);
    house.shut_down();
    starter.join().expect("it does not panic");
}

model!(loom_start_against_shutdown_leaves_no_thread, || start_against_shutdown(true));

mistake!(loom_start_catches_one_that_is_listed_late, "a thread is left", || start_against_shutdown(false));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standby {
    Right,
    /// It starts although all have left.
    StartsAfterTheEnd,
    /// It asks whether the runtime has closed before it takes the lock of the parking.
    AsksBeforeItSits,
}

/// The last worker leaves, another thread (the monitor) starts a standby, and this thread shuts down.
fn standby_against_shutdown(standby: Standby) {
    let house = House::new();
    let starter = {
        let house = Arc::clone(&house);
        thread::spawn(move || {
            let mut threads = house.threads.lock().unwrap();
            let has_ended = house.is_closed() || house.alive.load(Ordering::Acquire) == 0;
            if has_ended && standby != Standby::StartsAfterTheEnd {
                return;
            }
            house.started.fetch_add(1, Ordering::Relaxed);
            let mine = Arc::clone(&house);
            threads.push(thread::spawn(move || {
                let seat = Plain::new(ParkedSpare::default());
                let asked = (standby == Standby::AsksBeforeItSits).then(|| mine.is_closed());
                // It does not wait here: a thread that is still listed in the end would wait forever.
                let mut spares = mine.spares.lock().unwrap();
                if !asked.unwrap_or_else(|| mine.is_closed()) {
                    assert_eq!(spares.arrive(&seat, false, 1), None);
                }
                drop(spares);
                mine.ended.fetch_add(1, Ordering::Relaxed);
            }));
        })
    };
    house.alive.fetch_sub(1, Ordering::AcqRel);
    house.shut_down();
    starter.join().expect("it does not panic");
}

model!(loom_start_a_standby_against_shutdown_leaves_no_thread, || standby_against_shutdown(Standby::Right));

mistake!(loom_start_catches_a_standby_that_starts_after_the_end, "a thread is left", || {
    standby_against_shutdown(Standby::StartsAfterTheEnd);
});

mistake!(loom_start_catches_a_standby_that_asks_before_it_sits, "a thread is left on the seat", || {
    standby_against_shutdown(Standby::AsksBeforeItSits);
});

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calls {
    UnderTheLock,
    /// The mistake: a call that finds no spare leaves no wish.
    NoWish,
}

/// Two callers, one standby on its way, which starts a second one when it is called.
fn calls_against_arrivals(calls: Calls) {
    let spares = Plain::new(crate::primitives::checker::sync::Mutex::new(Spares::default()));
    let serving = Plain::new(AtomicUsize::new(0));
    let first = {
        let (spares, serving) = (Plain::clone(&spares), Plain::clone(&serving));
        thread::spawn(move || {
            // The second arrives after the first was called; none waits for a call here.
            for _ in 0..2 {
                let seat = Plain::new(ParkedSpare::default());
                if spares.lock().unwrap().arrive(&seat, true, 2).is_none() {
                    return;
                }
                serving.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for _ in 0..2 {
        let called = match calls {
            Calls::UnderTheLock => spares.lock().unwrap().call(2),
            Calls::NoWish => {
                let standby = spares.lock().unwrap().take_standby();
                match standby {
                    Some(seat) => Called::Standby(seat, 0),
                    None => spares.lock().unwrap().call(0),
                }
            }
        };
        if let Called::Standby(..) = called {
            serving.fetch_add(1, Ordering::Relaxed);
        }
    }
    first.join().expect("it does not panic");
    let has_standby = spares.lock().unwrap().take_standby().is_some();
    let serving = serving.load(Ordering::Relaxed);
    assert!(!has_standby || serving == 2, "a standby waits, and a call has found no spare");
    assert!(serving > 0, "a standby waits, and a call has found no spare");
}

model!(loom_spares_calls_against_arrivals, || calls_against_arrivals(Calls::UnderTheLock));

mistake!(loom_spares_catches_a_call_that_leaves_no_wish, "a call has found no spare", || {
    calls_against_arrivals(Calls::NoWish);
});

/// One worker with the real injector: a push that is counted but not linked keeps it awake.
fn injector_and_idle(after_push: fn()) {
    crate::primitives::explore(move || {
        let shared = Arc::new((Injector::new(), Idle::new(), Epoll(AtomicUsize::new(0))));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (injector, idle, epoll) = &*shared;
                loop {
                    if injector.pop_batch(1, |node| _ = take(node)) == Popped::Tasks(1) {
                        return true;
                    }
                    idle.enter_park(None);
                    if !injector.is_empty() {
                        idle.cancel_park();
                        thread::yield_now();
                        continue;
                    }
                    let events = epoll.take();
                    if events == 0 {
                        return false;
                    }
                    if let Some(searching) = idle.leave_park(events & TOKEN != 0) {
                        assert!(idle.end_search(searching), "there is no other searcher");
                    }
                }
            })
        };
        let (injector, idle, epoll) = &*shared;
        injector.push(Node::new(0)).expect("it is open");
        after_push();
        if idle.wake_one() == WakeAction::WriteToken {
            epoll.add(TOKEN);
        }
        let has_run = worker.join().expect("the worker does not panic");
        assert!(has_run || epoll.take() & TOKEN != 0, "no token is on its way");
        if !has_run {
            assert_eq!(injector.pop_batch(1, |node| _ = take(node)), Popped::Tasks(1));
        }
    });
}

#[test]
fn loom_idle_with_the_injector() {
    injector_and_idle(idle::after_remote_push);
}

#[test]
#[should_panic(expected = "no token is on its way")]
fn loom_idle_catches_a_push_without_the_fence() {
    injector_and_idle(|| ());
}

/// A clean worker that goes to sleep for the first time, and a worker that puts a task into its own ring in the middle of a poll
/// that may never end.
fn ring_and_clean_worker(after_push: fn()) {
    crate::primitives::explore(move || {
        let shared = Arc::new((Ring::new(), Idle::new(), Epoll(AtomicUsize::new(0))));
        let clean = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (ring, idle, epoll) = &*shared;
                let (mine, mut searching) = (Ring::new(), None);
                loop {
                    searching = searching.or_else(|| idle.start_search(1));
                    // SAFETY: this thread owns `mine`.
                    if let Some(task) = unsafe { ring.steal_into(&mine) } {
                        return take(task) == 0;
                    }
                    idle.enter_park(searching.take());
                    if !ring.is_ring_empty() {
                        idle.cancel_park();
                        thread::yield_now();
                        continue;
                    }
                    let events = epoll.take();
                    if events == 0 {
                        return false;
                    }
                    searching = idle.leave_park(events & TOKEN != 0);
                }
            })
        };
        let (ring, idle, epoll) = &*shared;
        // SAFETY: this thread owns `ring`.
        unsafe { ring.push(Node::new(0), |_| unreachable!("the ring has room")) };
        after_push();
        if idle.wake_one() == WakeAction::WriteToken {
            epoll.add(TOKEN);
        }
        let has_run = clean.join().expect("the worker does not panic");
        assert!(has_run || epoll.take() & TOKEN != 0, "no token is on its way");
    });
}

#[test]
fn loom_idle_an_offer_to_a_clean_worker() {
    ring_and_clean_worker(idle::after_remote_push);
}

#[test]
#[should_panic(expected = "no token is on its way")]
fn loom_idle_catches_an_offer_without_the_fence() {
    ring_and_clean_worker(|| ());
}

// ── The end of all waits ──────────────────────────────────────────────────────────────────────────────────────────

const OPEN_PHASE: usize = 0;
const CLOSED_PHASE: usize = 1;

const UNBORN: usize = 0;
const PUBLISHED: usize = 1;
const CANCELLED: usize = 2;

/// A runtime, of which only its active workers, its phase and one task matter.
struct Ending {
    active: Active,
    phase: AtomicUsize,
    task: AtomicUsize,
    /// How often the waits have ended.
    ends: AtomicUsize,
    exit: fn(&Active) -> Step,
    close: fn(&Active) -> Step,
}

impl Ending {
    /// Step 5.
    fn apply(&self, step: Step) {
        if step == Step::Last {
            let ends = self.ends.fetch_add(1, Ordering::AcqRel);
            assert_eq!(ends, 0, "the waits end once");
            self.cancel();
        }
    }

    fn cancel(&self) {
        // A spawn publishes before this, or sees the phase.
        let _ = self.task.compare_exchange(PUBLISHED, CANCELLED, Ordering::AcqRel, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.phase.load(Ordering::Acquire) == CLOSED_PHASE
    }

    /// One poll of a worker that is active, if the runtime is open: it spawns a task, and its waits have not ended.
    fn poll(&self) {
        if self.is_closed() {
            return;
        }
        self.task.store(PUBLISHED, Ordering::Release);
        assert_eq!(self.ends.load(Ordering::Acquire), 0, "no wait ends under a worker that is active");
    }

    fn block(&self) {
        self.apply((self.exit)(&self.active));
    }

    fn leave(&self) {
        self.apply((self.exit)(&self.active));
        self.cancel();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Blocked {
    Stays,
    Returns,
}

/// One worker polls a task that spawns another and then blocks in place, forever or for a while; another leaves when it
/// sees the close, if there is another; this thread closes.
fn end_of_waits(others: usize, blocked: Blocked, exit: fn(&Active) -> Step, close: fn(&Active) -> Step) {
    let ending = Arc::new(Ending {
        active: Active::default(),
        phase: AtomicUsize::new(OPEN_PHASE),
        task: AtomicUsize::new(UNBORN),
        ends: AtomicUsize::new(0),
        exit,
        close,
    });
    (0..=others).for_each(|_| ending.active.enter());
    let mut workers = Vec::new();
    {
        let ending = Arc::clone(&ending);
        workers.push(thread::spawn(move || {
            ending.poll();
            ending.block();
            if blocked == Blocked::Returns {
                ending.active.enter();
                ending.leave();
            }
        }));
    }
    for _ in 0..others {
        let ending = Arc::clone(&ending);
        // What it does before it sees the close does not matter.
        workers.push(thread::spawn(move || ending.leave()));
    }
    ending.phase.store(CLOSED_PHASE, Ordering::Release);
    ending.apply((ending.close)(&ending.active));
    for worker in workers {
        worker.join().expect("no panic");
    }
    assert_eq!(ending.ends.load(Ordering::Relaxed), 1, "the waits end");
    assert_ne!(ending.task.load(Ordering::Relaxed), PUBLISHED, "a task that no worker polls is cancelled");
}

/// Looks whether the runtime has closed in a step before the one that counts.
fn exit_in_two_steps(active: &Active) -> Step {
    let is_closed = active.0.load(Ordering::Acquire) & CLOSED != 0;
    let before = active.0.fetch_sub(1, Ordering::AcqRel);
    match (is_closed, before & COUNT) {
        (false, _) => Step::Open,
        (true, 1) => Step::Last,
        (true, _) => Step::Closed,
    }
}

/// Sets the flag, and leaves the rest to the workers.
fn close_without_a_look(active: &Active) -> Step {
    active.0.fetch_or(CLOSED, Ordering::AcqRel);
    Step::Closed
}

/// Looks at the number and the flag in one step, but does not note that it was the last.
fn exit_without_a_note(active: &Active) -> Step {
    let before = active.0.fetch_sub(1, Ordering::AcqRel);
    match (before & CLOSED != 0, before & COUNT) {
        (false, _) => Step::Open,
        (true, 1) => Step::Last,
        (true, _) => Step::Closed,
    }
}

model!(loom_active_waits_end_when_the_only_worker_stays_blocked, || end_of_waits(
    0,
    Blocked::Stays,
    Active::exit,
    Active::close
));

model!(loom_active_waits_end_once_when_a_worker_blocks_and_another_leaves, || end_of_waits(
    1,
    Blocked::Stays,
    Active::exit,
    Active::close
));

model!(loom_active_waits_end_once_when_a_worker_blocks_and_returns, || end_of_waits(
    0,
    Blocked::Returns,
    Active::exit,
    Active::close
));

mistake!(loom_active_catches_an_exit_that_looks_before_it_counts, "the waits end", || end_of_waits(
    0,
    Blocked::Stays,
    exit_in_two_steps,
    Active::close
));

mistake!(loom_active_catches_a_close_that_does_not_look, "the waits end", || end_of_waits(
    0,
    Blocked::Stays,
    Active::exit,
    close_without_a_look
));

mistake!(loom_active_catches_an_end_that_is_not_noted, "the waits end once", || end_of_waits(
    0,
    Blocked::Returns,
    exit_without_a_note,
    Active::close
));

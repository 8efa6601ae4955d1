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
use super::idle::{self, Idle, OnLeave, OnWake, Word};
use super::injector::testing::Node;
use super::injector::{Batch, Injector, ONE, Popped};
use super::roster::join_unless_ended;
use super::run_queue::{Head, RunQueue};
use crate::primitives::atomic::{AtomicUsize, Ordering};

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
/// and loom tries all the times at which it may look. So when all threads have ended, all sleep (or are stuck in a
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
    is_watched: AtomicUsize,
    bell: Bell,
    seats: Seating,
    system: System,
    /// Of workers that have started later.
    threads: crate::primitives::checker::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    mistake: Mistake,
    tasks: Tasks,
}

/// What it says to whoever wants one more thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    Starts,
    Refuses,
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
    /// The last to get up does not search although a token is out.
    NoTakeOver,
    /// Nobody is started while a token is out.
    NoStartBesideToken,
    NoLookAfterRefusal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tasks {
    End,
    /// The worker never returns from a task: it waits for another one.
    WaitForEachOther,
}

/// The bell of `primitives::bell`, by which nobody blocks either. What the system does, it does under its lock: look at
/// the rings and fall asleep, or wake one that sleeps.
#[derive(Default)]
struct Bell {
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

impl Bell {
    fn listen(&self) -> usize {
        self.rings.load(Ordering::Acquire)
    }

    /// `None`: it sleeps for good. Else whether a ring woke it.
    fn sleep(&self, heard: usize) -> Option<bool> {
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

    fn ring(&self) -> bool {
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
    fn wake(self: &Plain<Self>) {
        let is_kept_waiting = self.mistake == Mistake::NoStartBesideToken && self.idle.has_token();
        if !is_kept_waiting {
            self.obey(self.idle.wake_one());
        }
    }

    fn obey(self: &Plain<Self>, answer: OnWake) {
        match (answer, self.system) {
            (OnWake::WriteToken, _) => self.write_token(),
            (OnWake::Start, System::Starts) => {
                let mine = Plain::clone(self);
                self.threads.lock().unwrap().push(thread::spawn(move || mine.work(true)));
            }
            (OnWake::Start, System::Refuses) => {
                thread::yield_now(); // the call takes its time
                let was_last = self.idle.refuse_start().was_last;
                if was_last && !self.is_empty() && self.mistake != Mistake::NoLookAfterRefusal {
                    self.wake();
                }
            }
            (OnWake::Nothing, _) => {}
        }
    }

    /// `Shared::wake_sleeper`.
    fn write_token(&self) {
        let is_taken = self.seats == Seating::OneWatches && self.bell.ring();
        if !is_taken {
            self.epoll.add(TOKEN);
        }
    }

    /// The events that end a sleep, `None` if nothing does.
    fn sleep(&self, heard: usize) -> Option<usize> {
        if self.seats == Seating::OneWatches && self.is_watched.swap(1, Ordering::Acquire) == 1 {
            return self.bell.sleep(heard).map(|is_woken| if is_woken { TOKEN } else { 0 });
        }
        let events = self.epoll.take();
        if events == 0 {
            return None;
        }
        self.is_watched.store(0, Ordering::Release);
        Some(events)
    }

    /// The submit protocol.
    fn submit(self: &Plain<Self>) {
        self.injected.fetch_add(1, Ordering::Release);
        idle::after_remote_push();
        self.wake();
    }

    /// The worker loop and the park protocol, until the worker sleeps or is stuck.
    fn work(self: &Plain<Self>, mut is_searching: bool) {
        loop {
            if self.pop() {
                if std::mem::take(&mut is_searching) {
                    self.end_search();
                } else if !self.is_empty() {
                    self.wake();
                }
                match self.tasks {
                    Tasks::End => continue,
                    Tasks::WaitForEachOther => return,
                }
            }
            if !is_searching && self.idle.start_search(1) {
                is_searching = true;
                continue;
            }
            let heard = self.bell.listen();
            if !self.enter_park(std::mem::take(&mut is_searching)) {
                is_searching = self.leave_park(false);
                continue;
            }
            let Some(events) = self.sleep(heard) else { return };
            is_searching = self.leave_park(events & TOKEN != 0);
            if events & SOCKET != 0 {
                if std::mem::take(&mut is_searching) {
                    self.end_search();
                }
                self.look_around();
                match self.tasks {
                    Tasks::End => {}
                    Tasks::WaitForEachOther => return,
                }
            }
        }
    }

    /// The last searcher looks for what was left to it.
    fn end_search(self: &Plain<Self>) {
        let has_more = match self.mistake {
            Mistake::NoChain => return,
            Mistake::NoFenceAfterSearch => self.idle.apply(|word| word.search_ended()) && !self.is_empty(),
            Mistake::LookBeforeEnd => {
                let has_more = !self.is_empty();
                self.idle.end_search() && has_more
            }
            Mistake::None
            | Mistake::NoFence
            | Mistake::LookBeforeCount
            | Mistake::DropToken
            | Mistake::NoTakeOver
            | Mistake::NoStartBesideToken
            | Mistake::NoLookAfterRefusal => self.idle.end_search() && !self.is_empty(),
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

    /// True: it is a searcher.
    fn leave_park(&self, has_token: bool) -> bool {
        let answer = match self.mistake {
            Mistake::NoTakeOver if !has_token => self.idle.apply(|word| {
                let (after, _) = word.park_left(false);
                (Word { searchers: word.searchers, ..after }, OnLeave::Continue)
            }),
            _ => self.idle.leave_park(has_token),
        };
        answer == OnLeave::Search
    }

    /// False if there is a reason to stay.
    fn enter_park(&self, was_searching: bool) -> bool {
        match self.mistake {
            Mistake::None
            | Mistake::NoChain
            | Mistake::NoFenceAfterSearch
            | Mistake::LookBeforeEnd
            | Mistake::DropToken
            | Mistake::NoTakeOver
            | Mistake::NoStartBesideToken
            | Mistake::NoLookAfterRefusal => {
                self.idle.enter_park(was_searching);
                self.is_empty()
            }
            Mistake::NoFence => {
                self.idle.apply(|word| word.park_entered(was_searching));
                self.is_empty()
            }
            Mistake::LookBeforeCount => {
                let is_empty = self.is_empty();
                self.idle.enter_park(was_searching);
                is_empty
            }
        }
    }

    /// A busy worker that finds the token passes it on.
    fn look_around(self: &Plain<Self>) {
        if self.epoll.take() & TOKEN != 0 && self.mistake != Mistake::DropToken {
            self.obey(self.idle.pass_token());
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

fn workers_in(seats: Seating, mistake: Mistake, tasks: Tasks, outside: Outside) {
    let shared = runtime(Idle::new(0), System::Starts, seats, mistake, tasks);
    let threads = [(); 2].map(|()| {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.work(false))
    });
    shared.play(outside);
    for thread in threads {
        thread.join().expect("a worker does not panic");
    }
    shared.check();
}

/// The same with a second worker that starts when it is needed.
fn late_worker(seats: Seating, mistake: Mistake, tasks: Tasks, outside: Outside) {
    let shared = runtime(Idle::new(1), System::Starts, seats, mistake, tasks);
    let first = {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.work(true))
    };
    shared.play(outside);
    first.join().expect("a worker does not panic");
    shared.check();
}

/// It is refused. Another thread submits meanwhile; the first worker has just been busy.
fn refused_worker(mistake: Mistake) {
    let shared = runtime(Idle::new(1), System::Refuses, Seating::AllInEpoll, mistake, Tasks::End);
    assert!(shared.idle.end_search());
    let first = {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.work(false))
    };
    let other = {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.submit())
    };
    shared.submit();
    other.join().expect("it does not panic");
    first.join().expect("a worker does not panic");
    shared.check();
}

fn runtime(idle: Idle, system: System, seats: Seating, mistake: Mistake, tasks: Tasks) -> Plain<Workers> {
    Plain::new(Workers {
        injected: AtomicUsize::new(0),
        idle,
        epoll: Epoll(AtomicUsize::new(0)),
        is_watched: AtomicUsize::new(0),
        bell: Bell::default(),
        seats,
        system,
        threads: crate::primitives::checker::sync::Mutex::new(Vec::new()),
        mistake,
        tasks,
    })
}

impl Workers {
    /// What the world outside does.
    fn play(self: &Plain<Self>, outside: Outside) {
        let submits = match outside {
            Outside::Submits(count) => count,
            Outside::RaisesAnEventAndSubmits(count) => {
                self.epoll.add(SOCKET);
                count
            }
        };
        (0..submits).for_each(|_| self.submit());
    }

    /// The first workers have ended, and nobody is outside.
    fn check(&self) {
        loop {
            let Some(thread) = self.threads.lock().unwrap().pop() else { break };
            thread.join().expect("a worker does not panic");
        }
        let has_token = self.epoll.take() & TOKEN != 0 || self.bell.system.lock().unwrap().woken > 0;
        let Word { sleepers, searchers, unstarted, .. } = self.idle.load();
        assert!(
            self.is_empty() || sleepers == 0 || has_token,
            "a task waits, a worker sleeps, and no token is on its way"
        );
        assert!(self.is_empty() || sleepers > 0 || unstarted == 0, "a task waits, and a worker could be started");
        assert!(searchers == 0 || self.mistake != Mistake::None, "nobody searches for ever");
    }
}

model!(loom_idle_submit_against_park, || workers(Mistake::None, Tasks::End, Outside::Submits(2)));

model!(loom_idle_submit_against_park_and_an_event, || workers(
    Mistake::None,
    Tasks::End,
    Outside::RaisesAnEventAndSubmits(1)
));

model!(loom_idle_one_watches_submit_against_park, || workers_in(
    Seating::OneWatches,
    Mistake::None,
    Tasks::End,
    Outside::Submits(2)
));

model!(loom_idle_one_watches_submit_against_park_and_an_event, || {
    workers_in(Seating::OneWatches, Mistake::None, Tasks::End, Outside::RaisesAnEventAndSubmits(1))
});

model!(loom_idle_dependent_tasks_get_a_worker_each, || workers(
    Mistake::None,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

model!(loom_idle_a_task_behind_a_stuck_event_gets_a_worker, || {
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

model!(loom_idle_a_late_worker_submit_against_park, || {
    late_worker(Seating::AllInEpoll, Mistake::None, Tasks::End, Outside::Submits(2));
});

model!(loom_idle_one_watches_a_late_worker_submit_against_park_and_an_event, || {
    late_worker(Seating::OneWatches, Mistake::None, Tasks::End, Outside::RaisesAnEventAndSubmits(1));
});

model!(loom_idle_dependent_tasks_start_a_worker, || {
    late_worker(Seating::OneWatches, Mistake::None, Tasks::WaitForEachOther, Outside::Submits(2));
});

#[test]
fn loom_idle_a_task_behind_a_stuck_event_starts_a_worker() {
    // Three: the worker sleeps, is called for, gets up, and only then is the token written.
    crate::primitives::explore_within(Some(3), || {
        let outside = Outside::RaisesAnEventAndSubmits(1);
        late_worker(Seating::AllInEpoll, Mistake::None, Tasks::WaitForEachOther, outside);
    });
}

#[test]
#[should_panic(expected = "a worker could be started")]
fn loom_idle_catches_a_last_sleeper_that_takes_nothing_over() {
    crate::primitives::explore_within(Some(3), || {
        let outside = Outside::RaisesAnEventAndSubmits(1);
        late_worker(Seating::AllInEpoll, Mistake::NoTakeOver, Tasks::WaitForEachOther, outside);
    });
}

#[test]
#[should_panic(expected = "a worker could be started")]
fn loom_idle_catches_a_token_that_keeps_a_worker_from_starting() {
    crate::primitives::explore_within(Some(3), || {
        let outside = Outside::RaisesAnEventAndSubmits(1);
        late_worker(Seating::AllInEpoll, Mistake::NoStartBesideToken, Tasks::WaitForEachOther, outside);
    });
}

model!(loom_idle_a_refused_worker_leaves_nothing_lying, || refused_worker(Mistake::None));

mistake!(loom_idle_catches_a_refused_start_that_does_not_look, "no token is on its way", || refused_worker(
    Mistake::NoLookAfterRefusal
));

/// What is left of a start beside a shutdown: who is alive, and whom the shutdown joins.
struct House {
    alive: AtomicUsize,
    threads: crate::primitives::checker::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    started: AtomicUsize,
    ended: AtomicUsize,
}

/// The only worker leaves, another one starts, and this thread shuts down.
fn start_against_shutdown(starts_under_lock: bool) {
    let house = Arc::new(House {
        alive: AtomicUsize::new(1),
        threads: crate::primitives::checker::sync::Mutex::new(Vec::new()),
        started: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
    });
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
    while house.alive.load(Ordering::Acquire) > 0 {
        thread::yield_now();
    }
    loop {
        let Some(thread) = house.threads.lock().unwrap().pop() else { break };
        thread.join().expect("it does not panic");
    }
    let (started, ended) = (house.started.load(Ordering::Relaxed), house.ended.load(Ordering::Relaxed));
    assert_eq!(started, ended, "a thread is left");
    starter.join().expect("it does not panic");
}

model!(loom_start_against_shutdown_leaves_no_thread, || start_against_shutdown(true));

mistake!(loom_start_catches_one_that_is_listed_late, "a thread is left", || start_against_shutdown(false));

/// One worker with the real injector: a push that is counted but not linked keeps it awake.
fn injector_and_idle(after_push: fn()) {
    crate::primitives::explore(move || {
        let shared = Arc::new((Injector::new(), Idle::new(0), Epoll(AtomicUsize::new(0))));
        let worker = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (injector, idle, epoll) = &*shared;
                loop {
                    if injector.pop_batch(1, |node| _ = take(node)) == Popped::Tasks(1) {
                        return true;
                    }
                    idle.enter_park(false);
                    if !injector.is_empty() {
                        assert_eq!(idle.cancel_park(), OnLeave::Continue);
                        thread::yield_now();
                        continue;
                    }
                    let events = epoll.take();
                    if events == 0 {
                        return false;
                    }
                    if idle.leave_park(events & TOKEN != 0) == OnLeave::Search {
                        assert!(idle.end_search(), "there is no other searcher");
                    }
                }
            })
        };
        let (injector, idle, epoll) = &*shared;
        injector.push(Node::new(0)).expect("it is open");
        after_push();
        if idle.wake_one() == OnWake::WriteToken {
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
    fn obey(&self, step: Step) {
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
        self.obey((self.exit)(&self.active));
    }

    fn leave(&self) {
        self.obey((self.exit)(&self.active));
        self.cancel();
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Blocked {
    Stays,
    Returns,
}

/// One worker polls a task that spawns another and then blocks in place, for ever or for a while; another leaves when it
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
    ending.obey((ending.close)(&ending.active));
    for worker in workers {
        worker.join().expect("no panic");
    }
    assert_eq!(ending.ends.load(Ordering::Relaxed), 1, "the waits end");
    assert_ne!(ending.task.load(Ordering::Relaxed), PUBLISHED, "a task that nobody polls is cancelled");
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

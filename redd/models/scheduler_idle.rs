//! Models of the idle word (M4): workers that park, search, and start each other.
//!
//! The idle word, the run queue, the injector and the driver lease are the real ones. The worker loop here is a copy of the protocol in
//! `PARKING.md`, small enough for loom to try every order of its steps. Shuttle runs the real loop, in `runtime_whole`.

#![expect(unsafe_code, reason = "owner-only calls of a run queue")]

/// The checker's `Arc` may not be the type of `self`.
use std::sync::Arc as Plain;

use super::super::idle::{self, Idle, Searching, WakeAction, Word};
use super::super::injector::testing::Node;
use super::super::injector::{Injector, Popped};
use super::super::parking::{DriverLease, Parking};
use super::super::run_queue::RunQueue;
use super::take;
use crate::primitives::atomic::{AtomicUsize, Ordering, fixed};
use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

type Ring = RunQueue<Node, 4>;

/// The epoll in which all workers sleep: an edge-triggered eventfd, in which writes coalesce, and one socket.
///
/// No thread blocks in it: a worker that finds no event ends there and counts as asleep. A later wake-up has the same effect as a
/// later check, and loom tries all times of the check. So when all threads have ended, all workers sleep or are blocked in a
/// task. An event that is in the epoll then would wake one of them.
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

/// A small runtime that has only an injector, which is a number of tasks here. The models of the queues have the real
/// injector, and so has the model of one worker below.
struct Workers {
    injected: AtomicUsize,
    idle: Idle,
    epoll: Epoll,
    is_driver_leased: AtomicUsize,
    event_count: EventCount,
    sleepers_are: Sleepers,
    /// Workers that have no thread. Not modelled: only the one clean worker reads it.
    unstarted: fixed::AtomicUsize,
    /// The threads of workers that were started later.
    threads: crate::primitives::checker::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    mistake: Mistake,
    tasks: Tasks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleepers {
    /// A runtime with one worker, or with all of them in the epoll.
    AllInEpoll,
    /// One in the epoll, the others at the event count (decision 0009).
    OneLeases,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    NoFence,
    CheckBeforeCount,
    NoChain,
    NoFenceAfterSearch,
    CheckBeforeEnd,
    DropToken,
    /// A worker starts its successor when its first task has ended.
    StartAfterTask,
    /// A worker that an event wakes runs the task of that event without a successor.
    NoStartForEvent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tasks {
    End,
    /// The worker never returns from a task, because the task waits for another one.
    WaitForEachOther,
}

/// A copy of `primitives::event_count` in which no thread blocks, either. The system does each of its steps under its lock: it
/// compares the count of notifications and puts the thread to sleep, or it wakes a sleeping thread.
#[derive(Default)]
struct EventCount {
    notifications: AtomicUsize,
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
        self.notifications.load(Ordering::Acquire)
    }

    /// `None`: it sleeps forever. Otherwise whether a notification woke it.
    fn wait(&self, key: usize) -> Option<bool> {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        crate::primitives::checker::sync::atomic::fence(Ordering::SeqCst);
        let mut system = self.system.lock().unwrap();
        // The system reads the word itself.
        if self.notifications.load(Ordering::Relaxed) != key {
            drop(system);
            self.sleepers.fetch_sub(1, Ordering::Relaxed);
            return Some(false);
        }
        system.asleep += 1;
        drop(system);
        // Time for a notification.
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
        self.notifications.fetch_add(1, Ordering::Release);
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

    fn apply(&self, action: WakeAction) {
        if action == WakeAction::WriteToken {
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
        let is_taken = self.sleepers_are == Sleepers::OneLeases && self.event_count.notify_one();
        if !is_taken {
            self.epoll.add(TOKEN);
        }
    }

    /// The events that end a sleep; `None` if the sleep does not end.
    fn sleep(&self, key: usize) -> Option<usize> {
        if self.sleepers_are == Sleepers::OneLeases && self.is_driver_leased.swap(1, Ordering::Acquire) == 1 {
            return self.event_count.wait(key).map(|is_woken| if is_woken { TOKEN } else { 0 });
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
        idle::fence_after_publish();
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
            let key = self.event_count.prepare_wait();
            if !self.enter_park(searching.take()) {
                self.idle.cancel_park();
                continue;
            }
            let Some(events) = self.sleep(key) else { return };
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

    /// The last searcher checks for work that other threads have left to the searchers.
    fn end_search(&self, searching: Searching) {
        let has_more = match self.mistake {
            Mistake::NoChain => return,
            Mistake::NoFenceAfterSearch => self.idle.apply(|word| word.search_ended()) && !self.is_empty(),
            Mistake::CheckBeforeEnd => {
                let has_more = !self.is_empty();
                self.idle.end_search(searching) && has_more
            }
            Mistake::None
            | Mistake::NoFence
            | Mistake::CheckBeforeCount
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

    /// False if there is a reason not to sleep.
    fn enter_park(&self, searching: Option<Searching>) -> bool {
        match self.mistake {
            Mistake::None
            | Mistake::NoChain
            | Mistake::NoFenceAfterSearch
            | Mistake::CheckBeforeEnd
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
            Mistake::CheckBeforeCount => {
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

/// Two workers, and this thread as the code outside of them.
fn workers(mistake: Mistake, tasks: Tasks, outside: Outside) {
    workers_in(Sleepers::AllInEpoll, mistake, tasks, outside);
}

fn workers_in(sleepers_are: Sleepers, mistake: Mistake, tasks: Tasks, outside: Outside) {
    let shared = runtime(0, sleepers_are, mistake, tasks);
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
fn successor(sleepers_are: Sleepers, mistake: Mistake, tasks: Tasks, outside: Outside) {
    let shared = runtime(1, sleepers_are, mistake, tasks);
    let first = {
        let shared = Plain::clone(&shared);
        thread::spawn(move || shared.work())
    };
    shared.play(outside);
    first.join().expect("a worker does not panic");
    shared.check();
}

fn runtime(unstarted: usize, sleepers_are: Sleepers, mistake: Mistake, tasks: Tasks) -> Plain<Workers> {
    Plain::new(Workers {
        injected: AtomicUsize::new(0),
        idle: Idle::new(),
        epoll: Epoll(AtomicUsize::new(0)),
        is_driver_leased: AtomicUsize::new(0),
        event_count: EventCount::default(),
        sleepers_are,
        unstarted: fixed::AtomicUsize::new(unstarted),
        threads: crate::primitives::checker::sync::Mutex::new(Vec::new()),
        mistake,
        tasks,
    })
}

impl Workers {
    /// The steps of the thread outside.
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
            "a task waits, a worker sleeps, and no token is in flight"
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
    Sleepers::OneLeases,
    Mistake::None,
    Tasks::End,
    Outside::Submits(2)
));

model!(loom_idle_one_leases_submit_against_park_and_an_event, || {
    workers_in(Sleepers::OneLeases, Mistake::None, Tasks::End, Outside::RaisesAnEventAndSubmits(1))
});

model!(loom_idle_dependent_tasks_get_a_worker_each, || workers(
    Mistake::None,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

model!(loom_idle_a_task_behind_a_blocked_event_gets_a_worker, || {
    workers(Mistake::None, Tasks::WaitForEachOther, Outside::RaisesAnEventAndSubmits(1));
});

mistake!(loom_idle_catches_a_park_without_the_fence, "no token is in flight", || workers(
    Mistake::NoFence,
    Tasks::End,
    Outside::Submits(1)
));

mistake!(loom_idle_catches_a_check_before_the_count, "no token is in flight", || workers(
    Mistake::CheckBeforeCount,
    Tasks::End,
    Outside::Submits(1)
));

mistake!(loom_idle_catches_a_searcher_that_does_not_chain, "no token is in flight", || workers(
    Mistake::NoChain,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

mistake!(loom_idle_catches_a_searcher_without_the_fence, "no token is in flight", || workers(
    Mistake::NoFenceAfterSearch,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

mistake!(loom_idle_catches_a_searcher_that_checks_before_it_ends, "no token is in flight", || workers(
    Mistake::CheckBeforeEnd,
    Tasks::WaitForEachOther,
    Outside::Submits(2)
));

mistake!(loom_idle_catches_a_token_that_is_not_passed_on, "no token is in flight", || {
    workers(Mistake::DropToken, Tasks::WaitForEachOther, Outside::RaisesAnEventAndSubmits(1));
});

model!(loom_idle_a_successor_submit_against_park, || {
    successor(Sleepers::AllInEpoll, Mistake::None, Tasks::End, Outside::Submits(2));
});

model!(loom_idle_one_leases_a_successor_submit_against_park_and_an_event, || {
    successor(Sleepers::OneLeases, Mistake::None, Tasks::End, Outside::RaisesAnEventAndSubmits(1));
});

model!(loom_idle_dependent_tasks_find_a_successor, || {
    successor(Sleepers::OneLeases, Mistake::None, Tasks::WaitForEachOther, Outside::Submits(2));
});

#[test]
fn loom_idle_a_task_behind_a_blocked_event_finds_a_successor() {
    // Three preemptions: the worker sleeps, is claimed, wakes up, and only then is the token written.
    crate::primitives::explore_within(Some(3), || {
        let outside = Outside::RaisesAnEventAndSubmits(1);
        successor(Sleepers::AllInEpoll, Mistake::None, Tasks::WaitForEachOther, outside);
    });
}

mistake!(loom_idle_catches_a_successor_that_starts_after_the_task, "a worker could be started", || {
    successor(Sleepers::AllInEpoll, Mistake::StartAfterTask, Tasks::WaitForEachOther, Outside::Submits(2));
});

mistake!(loom_idle_catches_an_event_without_a_successor, "a worker could be started", || {
    let outside = Outside::RaisesAnEventAndSubmits(1);
    successor(Sleepers::AllInEpoll, Mistake::NoStartForEvent, Tasks::WaitForEachOther, outside);
});

/// One worker with the real injector: a push that is counted but not linked keeps the worker awake.
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
        assert!(has_run || epoll.take() & TOKEN != 0, "no token is in flight");
        if !has_run {
            assert_eq!(injector.pop_batch(1, |node| _ = take(node)), Popped::Tasks(1));
        }
    });
}

#[test]
fn loom_idle_with_the_injector() {
    injector_and_idle(idle::fence_after_publish);
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_a_push_without_the_fence() {
    injector_and_idle(|| ());
}

/// A clean worker goes to sleep for the first time. Another worker pushes a task to its own run queue during a poll that may
/// never end.
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
        assert!(has_run || epoll.take() & TOKEN != 0, "no token is in flight");
    });
}

#[test]
fn loom_idle_an_offer_to_a_clean_worker() {
    ring_and_clean_worker(idle::fence_after_publish);
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_an_offer_without_the_fence() {
    ring_and_clean_worker(|| ());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    Fenced,
    WithoutFence,
    /// The owner of the ring polls its task without an offer.
    Missing,
    /// The other worker does not check rings before it sleeps, unless it has searched.
    UncheckedByOthers,
}

/// Without rescue: a worker takes two events, whose tasks go to its ring. It never returns from the first, and the other worker
/// goes to sleep meanwhile. If `searches`, the token came with the events.
fn ring_of_a_worker_that_blocks(offer: Offer, searches: bool) {
    crate::primitives::explore(move || {
        let shared = Arc::new((Ring::new(), Idle::new(), Epoll(AtomicUsize::new(0))));
        let searching = if searches { shared.1.start_search(1) } else { None };
        let other = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (ring, idle, epoll) = &*shared;
                let (mine, mut searching) = (Ring::new(), None);
                loop {
                    searching = searching.or_else(|| idle.start_search(1));
                    let has_searched = searching.is_some();
                    if has_searched {
                        // SAFETY: this thread owns `mine`.
                        if let Some(task) = unsafe { ring.steal_into(&mine) } {
                            return take(task) == 1;
                        }
                    }
                    idle.enter_park(searching.take());
                    let is_checked = has_searched || offer != Offer::UncheckedByOthers;
                    if is_checked && !ring.is_ring_empty() {
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
        let wake = || {
            if idle.wake_one() == WakeAction::WriteToken {
                epoll.add(TOKEN);
            }
        };
        // The task of the first event is in the LIFO slot.
        // SAFETY: this thread owns `ring`.
        unsafe { ring.push(Node::new(1), |_| unreachable!("the ring has room")) };
        match offer {
            Offer::Fenced | Offer::UncheckedByOthers => {
                idle::fence_after_publish();
                wake();
            }
            Offer::WithoutFence => wake(),
            Offer::Missing => {}
        }
        if let Some(searching) = searching {
            if idle.end_search(searching) && !ring.is_ring_empty() {
                wake();
            }
        }
        let has_run = other.join().expect("the worker does not panic");
        assert!(has_run || epoll.take() & TOKEN != 0, "no token is in flight");
    });
}

#[test]
fn loom_idle_a_ring_of_a_worker_that_blocks() {
    [false, true].into_iter().for_each(|searches| ring_of_a_worker_that_blocks(Offer::Fenced, searches));
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_events_without_an_offer() {
    ring_of_a_worker_that_blocks(Offer::Missing, false);
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_an_offer_of_events_without_the_fence() {
    ring_of_a_worker_that_blocks(Offer::WithoutFence, false);
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_a_worker_that_leaves_rings_to_the_searchers() {
    ring_of_a_worker_that_blocks(Offer::UncheckedByOthers, true);
}

/// The end of a wait in the driver. Returns whether the worker has the token.
type Release = fn(&Idle, DriverLease<'_>) -> bool;

/// As in `Worker::sleep_for`.
fn release_and_check(idle: &Idle, lease: DriverLease<'_>) -> bool {
    drop(lease);
    idle.has_token_after_lease()
}

/// `nothing-behind`: a worker releases the lease after its wait, and then polls a task that never returns. Another worker runs a task
/// from outside, and parks. If it sleeps at the event count then, the next task from outside must wake it.
///
/// The eventfd is not modelled: nothing reads it after that wait. The first worker has the lease before the other threads start.
/// Otherwise loom would spend its preemptions on the steps before this one.
fn release_of_the_lease(enter_park: fn(&Idle), release: Release) {
    crate::primitives::explore(move || {
        let shared = Arc::new((AtomicUsize::new(0), Idle::new(), Parking::default()));
        let (injected, idle, parking) = &*shared;
        idle.enter_park(None);
        let lease = parking.try_lease_driver().expect("it is free");
        let parks = {
            let shared = Arc::clone(&shared);
            // The key with which it sleeps at the event count. If it has the lease instead, a token wakes it.
            thread::spawn(move || {
                let (injected, idle, parking) = &*shared;
                loop {
                    injected.swap(0, Ordering::AcqRel);
                    let key = parking.event_count.prepare_wait();
                    enter_park(idle);
                    if injected.load(Ordering::Relaxed) == 0 {
                        return parking.try_lease_driver().is_none().then_some(key);
                    }
                    idle.cancel_park();
                }
            })
        };
        let submits = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (injected, idle, parking) = &*shared;
                injected.store(1, Ordering::Release);
                idle::fence_after_publish();
                if idle.wake_one() == WakeAction::WriteToken {
                    parking.event_count.notify_one();
                }
            })
        };
        let has_token = release(idle, lease);
        let searching = idle.leave_park(has_token);
        let key = parks.join().expect("the worker does not panic");
        submits.join().expect("the thread outside does not panic");
        let is_asleep = key.is_some_and(|key| !parking.event_count.is_notified_since(key));
        if is_asleep && searching.is_none() {
            assert_eq!(injected.load(Ordering::Relaxed), 0, "the task has run");
            assert_eq!(idle.wake_one(), WakeAction::WriteToken, "no token is in flight");
        }
    });
}

#[test]
fn loom_idle_a_release_of_the_lease_beside_a_park() {
    release_of_the_lease(|idle| idle.enter_park(None), release_and_check);
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_a_release_without_the_check() {
    release_of_the_lease(
        |idle| idle.enter_park(None),
        |_, lease| {
            drop(lease);
            false
        },
    );
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_a_release_without_the_fence() {
    release_of_the_lease(
        |idle| idle.enter_park(None),
        |idle, lease| {
            drop(lease);
            idle.has_token()
        },
    );
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_a_check_before_the_release() {
    release_of_the_lease(
        |idle| idle.enter_park(None),
        |idle, lease| {
            let has_token = idle.has_token_after_lease();
            drop(lease);
            has_token
        },
    );
}

#[test]
#[should_panic(expected = "no token is in flight")]
fn loom_idle_catches_a_park_without_the_fence_beside_a_release() {
    release_of_the_lease(|idle| idle.apply(|word| word.park_entered(false)), release_and_check);
}

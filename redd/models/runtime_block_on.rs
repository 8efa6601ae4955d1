//! Models of the core of a current-thread runtime, which goes from one `block_on` to the next.
//!
//! Each thread is one `block_on`. What only the thread with the core can do is a counter here: the tasks. A hand-over that
//! is lost leaves a thread parked for good; where that is to be, it says so and ends, because loom's own word cannot be
//! caught.

use std::mem;
use std::sync::Weak;
use std::task::Wake;
use std::time::Duration;

use crate::primitives::checker::thread;

use super::block_on::{CoreGuard, take_core_or_wait};
use crate::primitives::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitives::{Arc, Mutex, mistake, model};
use crate::scheduler::shared::{Core, RootWaker, RootWakers};

/// Stands for the worker: its holder is the only thread to run tasks, which loom checks.
type Token = Box<crate::primitives::checker::cell::Cell<usize>>;

struct Model {
    seat: Mutex<Core<Token>>,
    threads: usize,
    /// Threads that have given the core back, if they had it.
    ended: AtomicUsize,
    is_lost: AtomicBool,
    has_panicked: AtomicBool,
}

impl Model {
    fn new(threads: usize) -> Arc<Self> {
        let core = Core { worker: Some(Box::new(crate::primitives::checker::cell::Cell::new(0))), ..Core::default() };
        Arc::new(Self {
            seat: Mutex::new(core),
            threads,
            ended: AtomicUsize::new(0),
            is_lost: AtomicBool::new(false),
            has_panicked: AtomicBool::new(false),
        })
    }

    /// Waits for the token.
    fn park(&self, root: &RootWaker) -> bool {
        root.parker.park();
        true
    }

    /// Waits for the token; false if no thread is left that could leave one. Takes more steps, so only where that is to be.
    fn park_with_an_end(&self, root: &RootWaker) -> bool {
        loop {
            let is_alone = self.ended.load(Ordering::Acquire) == self.threads - 1;
            if root.parker.park_timeout(Duration::ZERO) {
                return true;
            }
            if is_alone {
                return false;
            }
            thread::yield_now();
        }
    }
}

type Take = fn(&Mutex<Core<Token>>, &std::sync::Arc<RootWaker>) -> Option<Token>;
type GiveBack = fn(CoreGuard<'_, Token>);
type Park = fn(&Model, &RootWaker) -> bool;

/// A `block_on` whose root ends when a task of its own has run, or by a wake if `is_over` says so.
fn block_on(model: &Model, take: Take, give_back: GiveBack, park: Park, own: RootWakers, is_over: bool) {
    let woken = std::sync::Arc::clone(&own.woken);
    let core = model.seat.lock().worker.take();
    let mut guard = CoreGuard { core, wakers: Some(own), seat: &model.seat, has_panicked: &model.has_panicked };
    loop {
        if guard.core.is_none() {
            guard.core = take(&model.seat, &woken);
        }
        if let Some(core) = &guard.core {
            core.set(core.get() + 1);
            break;
        }
        if woken.is_woken.swap(false, Ordering::AcqRel) && is_over {
            break;
        }
        if !park(model, &woken) {
            model.is_lost.store(true, Ordering::Relaxed);
            break;
        }
    }
    give_back(guard);
    // Release: what we left in the seat. Pairs with Acquire in `Model::park`.
    model.ended.fetch_add(1, Ordering::Release);
}

fn roots(threads: usize, take: Take, give_back: GiveBack, park: Park) {
    let shared = Model::new(threads);
    let others = Vec::from_iter((1..threads).map(|_| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || block_on(&shared, take, give_back, park, RootWakers::new(Weak::new()), false))
    }));
    block_on(&shared, take, give_back, park, RootWakers::new(Weak::new()), false);
    for other in others {
        other.join().expect("a root does not panic");
    }
    assert!(!shared.is_lost.load(Ordering::Relaxed), "the hand-over is lost");
    let runs = shared.seat.lock().worker.as_ref().map(|token| token.get());
    assert_eq!(runs, Some(threads), "the core is back, and all had it");
}

model!(loom_core_goes_to_whoever_waits, || roots(2, take_core_or_wait, |guard| drop(guard), Model::park));

model!(loom_core_goes_on_to_the_third, || roots(3, take_core_or_wait, |guard| drop(guard), Model::park));

// The root of one ends by a wake from outside, perhaps just when it is told that the core is free: the third has it.
model!(loom_core_is_not_lost_with_a_root_that_ends_without_it, || {
    let shared = Model::new(2);
    let first = RootWakers::new(Weak::new());
    let woken = std::sync::Arc::clone(&first.woken);
    let roots = [first, RootWakers::new(Weak::new())].map(|own| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || block_on(&shared, take_core_or_wait, |guard| drop(guard), Model::park, own, true))
    });
    woken.wake();
    for root in roots {
        root.join().expect("a root does not panic");
    }
    assert!(shared.seat.lock().worker.is_some(), "the core is back");
});

/// Looks for the core, and enters the list in a second critical section.
fn take_or_wait_in_two_steps(seat: &Mutex<Core<Token>>, woken: &std::sync::Arc<RootWaker>) -> Option<Token> {
    let worker = seat.lock().worker.take();
    if worker.is_none() {
        seat.lock().waiters.push(std::sync::Arc::clone(woken));
    }
    worker
}

mistake!(loom_core_catches_a_look_before_the_entry_in_the_list, "the hand-over is lost", || roots(
    2,
    take_or_wait_in_two_steps,
    |guard| drop(guard),
    Model::park_with_an_end
));

/// Puts the core back and forgets the waiting threads.
fn give_back_in_silence(guard: CoreGuard<'_, Token>) {
    let waiters = mem::take(&mut guard.seat.lock().waiters);
    drop(waiters);
    drop(guard);
}

mistake!(loom_core_catches_a_core_that_comes_back_in_silence, "the hand-over is lost", || roots(
    2,
    take_core_or_wait,
    give_back_in_silence,
    Model::park_with_an_end
));

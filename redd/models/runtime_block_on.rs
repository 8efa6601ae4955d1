//! Models of `block_on`: the core of a current-thread runtime, which goes from one call to the next, and the parker that a thread
//! keeps for its next call.
//!
//! In the models of the core, each thread is one `block_on`. A counter stands for the tasks, which only the thread with the core
//! runs. A lost hand-over leaves a thread parked forever. A seeded mistake records that and ends, because a test cannot catch
//! loom's report of a deadlock.

use std::mem;
use std::sync::Weak;
use std::task::Wake;
use std::time::Duration;

use crate::primitives::checker::thread;

use super::block_on::{CoreGuard, take_core_or_wait};
use super::call;
use crate::primitives::atomic::{AtomicBool, AtomicUsize, Ordering, fixed};
use crate::primitives::{Arc, Mutex, mistake, model};
use crate::scheduler::models::core::worker_that_never_runs;
use crate::scheduler::shared::{Core, RootWaker, RootWakers, Worker};

struct Model {
    core_lock: Mutex<Core>,
    /// The tasks that have run. Not modelled: a thread counts only while it owns the worker.
    tasks: fixed::AtomicUsize,
    threads: usize,
    /// Threads that have returned the core, if they had it.
    ended: AtomicUsize,
    is_lost: AtomicBool,
    has_panicked: AtomicBool,
}

impl Model {
    fn new(threads: usize) -> Arc<Self> {
        let core = Core { worker: Some(worker_that_never_runs()), ..Core::default() };
        Arc::new(Self {
            core_lock: Mutex::new(core),
            tasks: fixed::AtomicUsize::new(0),
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

    /// Waits for the token. False if no thread is left that could leave one. It takes more steps, so only the mistakes use it.
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

type Take = fn(&Mutex<Core>, &std::sync::Arc<RootWaker>) -> Option<Box<Worker>>;
type GiveBack = fn(CoreGuard<'_>);
type Park = fn(&Model, &RootWaker) -> bool;

/// A `block_on` whose root ends when a task of its own has run, or by a wake if `is_over` is true.
fn block_on(model: &Model, take: Take, give_back: GiveBack, park: Park, own: RootWakers, is_over: bool) {
    let woken = std::sync::Arc::clone(&own.woken);
    let core = model.core_lock.lock().worker.take();
    let mut guard =
        CoreGuard { core, wakers: Some(own), core_lock: &model.core_lock, has_panicked: &model.has_panicked };
    loop {
        if guard.core.is_none() {
            guard.core = take(&model.core_lock, &woken);
        }
        if guard.core.is_some() {
            model.tasks.fetch_add(1, Ordering::Relaxed);
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
    // Release: what we left under the lock of the core. Pairs with Acquire in `Model::park`.
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
    assert!(shared.core_lock.lock().worker.is_some(), "the core is back");
    assert_eq!(shared.tasks.load(Ordering::Relaxed), threads, "all had it");
}

model!(loom_core_goes_to_a_waiting_thread, || roots(2, take_core_or_wait, |guard| drop(guard), Model::park));

model!(loom_core_goes_on_to_the_third, || roots(3, take_core_or_wait, |guard| drop(guard), Model::park));

// One root ends by a wake from outside, perhaps when it has just been woken because the core is free. Then the third gets the core.
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
    assert!(shared.core_lock.lock().worker.is_some(), "the core is back");
});

/// The mistake: checks for the core, and enters the list in a second critical section.
fn take_or_wait_in_two_steps(core_lock: &Mutex<Core>, woken: &std::sync::Arc<RootWaker>) -> Option<Box<Worker>> {
    let worker = core_lock.lock().worker.take();
    if worker.is_none() {
        core_lock.lock().waiters.push(std::sync::Arc::clone(woken));
    }
    worker
}

mistake!(loom_core_catches_a_check_before_the_entry_in_the_list, "the hand-over is lost", || roots(
    2,
    take_or_wait_in_two_steps,
    |guard| drop(guard),
    Model::park_with_an_end
));

/// The mistake: puts the core back and does not wake the waiting threads.
fn give_back_in_silence(guard: CoreGuard<'_>) {
    let waiters = mem::take(&mut guard.core_lock.lock().waiters);
    drop(waiters);
    drop(guard);
}

mistake!(loom_core_catches_a_core_that_is_returned_without_a_wake, "the hand-over is lost", || roots(
    2,
    take_core_or_wait,
    give_back_in_silence,
    Model::park_with_an_end
));

/// A call ends while another thread drops the last clone of its waker. The step is the real one. The count stands for that of
/// `std::sync::Arc`, and the word for that of a parker. Their orderings are those of the real ones. A whole `Call` is not modelled:
/// what it keeps in the thread would outlive an execution of loom.
fn the_end_of_a_call() {
    const TOKEN: usize = 1;
    let shared = Arc::new((AtomicUsize::new(3), AtomicUsize::new(0)));
    let other = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (references, word) = &*shared;
            // The wake.
            word.swap(TOKEN, Ordering::Release);
            // The drop of the clone.
            references.fetch_sub(1, Ordering::Release);
        })
    };
    let (references, word) = &*shared;
    if call::reset_if_unshared(references.load(Ordering::Relaxed), || word.store(0, Ordering::Relaxed)) {
        // The next call takes a token that it finds.
        assert_ne!(word.load(Ordering::Relaxed), TOKEN, "a wake reaches the next call");
    }
    other.join().expect("a wake does not panic");
}

model!(loom_call_ends_beside_its_last_wake, the_end_of_a_call);

mistake!(
    loom_call_catches_a_reset_that_may_come_before_the_wake,
    "a wake reaches the next call",
    patch "a reset that may come before the wake",
    the_end_of_a_call
);

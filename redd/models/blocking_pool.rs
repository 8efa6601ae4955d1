//! Models of the blocking pool: every interleaving, within loom's bounds.
//!
//! Beside each model is a seeded mistake that the model must catch. This shows that the model checks what it claims.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::primitives::checker::thread;

use super::pool::{Pool, PoolConfig, Refused, Work};
use crate::primitives::thread::JoinHandle;
use crate::primitives::{mistake, model};

type Arc<T> = std::sync::Arc<T>;

/// How many times work ran, was cancelled and was refused. Plain atomics: they observe the model and are not part of it.
#[derive(Default)]
struct Seen {
    running: AtomicUsize,
    done: AtomicUsize,
    cancelled: AtomicUsize,
    refused: AtomicUsize,
    starts: AtomicUsize,
    was_stranded: AtomicBool,
}

/// Work that needs `parties` threads at a time.
struct Meeting {
    seen: Arc<Seen>,
    parties: usize,
}

/// Yields after which no other thread can arrive: each yield lets all other threads run until they block.
const PATIENCE: usize = if cfg!(shuttle) { 500 } else { 8 };

impl Work for Meeting {
    fn run(self) {
        self.seen.running.fetch_add(1, Ordering::Relaxed);
        for _ in 0..PATIENCE {
            if self.seen.running.load(Ordering::Relaxed) >= self.parties {
                break;
            }
            thread::yield_now();
        }
        // The thread blocks forever. Loom would report a deadlock, which a test cannot catch.
        if self.seen.running.load(Ordering::Relaxed) < self.parties {
            self.seen.was_stranded.store(true, Ordering::Relaxed);
        }
        self.seen.done.fetch_add(1, Ordering::Relaxed);
    }

    fn cancel(self) {
        self.seen.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    fn is_mandatory(&self) -> bool {
        self.parties > 1
    }
}

#[derive(Clone)]
struct Model {
    pool: Arc<Pool<Meeting>>,
    seen: Arc<Seen>,
    /// The number of the start that the system refuses.
    refused_start: Option<usize>,
}

impl Model {
    fn new(max_threads: usize, keep_alive: Duration, refused_start: Option<usize>) -> Self {
        Self { pool: Arc::new(Pool::new(PoolConfig { max_threads, keep_alive })), seen: Arc::default(), refused_start }
    }

    fn start(&self, number: usize) -> io::Result<JoinHandle<()>> {
        if self.refused_start == Some(self.seen.starts.fetch_add(1, Ordering::Relaxed)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let model = self.clone();
        Ok(thread::spawn(move || {
            model.pool.run_thread(number, &|number| model.start(number));
        }))
    }

    fn work(&self, parties: usize) -> Meeting {
        Meeting { seen: Arc::clone(&self.seen), parties }
    }

    fn submit(&self, parties: usize) {
        let submitted = self.pool.submit(self.work(parties), &|number| self.start(number));
        if let Err(Refused { work, .. }) = submitted {
            self.seen.refused.fetch_add(1, Ordering::Relaxed);
            drop(work);
        }
    }

    /// Submits once here and once on another thread.
    fn submit_twice(&self, parties: usize) {
        let other = self.clone();
        let other = thread::spawn(move || other.submit(parties));
        self.submit(parties);
        other.join().expect("a submitter does not panic");
    }

    /// Asserts that queued work has a thread that does not sleep.
    fn assert_has_thread(&self) {
        let inner = self.pool.inner.lock();
        let has_thread = inner.queue.is_empty() || inner.idle.len() < inner.threads;
        drop(inner);
        assert!(has_thread, "work was stranded");
    }

    /// Waits for all threads, and checks what happened to `count` pieces of work.
    fn finish(&self, count: usize) {
        self.pool.shutdown();
        assert!(self.pool.join_all(None, &[]));
        let seen = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        assert!(
            !self.seen.was_stranded.load(Ordering::Relaxed),
            "work was stranded: {} queued",
            self.pool.queue_depth()
        );
        let all = seen(&self.seen.done) + seen(&self.seen.cancelled) + seen(&self.seen.refused);
        assert_eq!(all, count, "work was lost");
        assert_eq!(self.pool.threads(), 0);
    }
}

model!(loom_pool_work_that_waits_for_other_work_gets_its_thread, || {
    let model = Model::new(2, Duration::MAX, None);
    model.submit_twice(2);
    model.finish(2);
});

model!(loom_pool_threads_that_do_not_stay_strand_nothing, || {
    let model = Model::new(2, Duration::ZERO, None);
    model.submit_twice(2);
    model.finish(2);
});

model!(loom_pool_a_bound_of_one_strands_nothing, || {
    let model = Model::new(1, Duration::ZERO, None);
    model.submit_twice(1);
    model.assert_has_thread();
    model.finish(2);
});

#[test]
fn loom_pool_a_refused_start_strands_nothing() {
    for refused_start in 0..2 {
        crate::primitives::explore(move || {
            let model = Model::new(2, Duration::MAX, Some(refused_start));
            model.submit_twice(1);
            model.assert_has_thread();
            model.finish(2);
        });
    }
}

model!(loom_pool_a_refused_start_remembers_a_thread_that_went_idle_meanwhile, || {
    let model = Model::new(2, Duration::MAX, Some(1));
    model.submit(1);
    let other = model.clone();
    let other = thread::spawn(move || other.submit(1));
    // Lets the first thread take its work, and the other submitter begin.
    thread::yield_now();
    model.submit(1);
    other.join().expect("a submitter does not panic");
    model.assert_has_thread();
    model.finish(3);
});

/// One piece of work arrives while the pool shuts down.
fn shut_down_while_submitting(submit: fn(&Model)) {
    let model = Model::new(2, Duration::MAX, None);
    let other = model.clone();
    let other = thread::spawn(move || submit(&other));
    model.submit(1);
    model.pool.shutdown();
    assert!(model.pool.join_all(None, &[]));
    other.join().expect("a submitter does not panic");
    let seen = [&model.seen.done, &model.seen.cancelled, &model.seen.refused];
    assert_eq!(seen.map(|count| count.load(Ordering::Relaxed)).iter().sum::<usize>(), 2, "work was lost");
}

model!(loom_pool_shutdown_while_work_is_submitted, || shut_down_while_submitting(|model| model.submit(1)));

model!(loom_pool_shutdown_leaves_the_seeker_its_work, || {
    let model = Model::new(2, Duration::MAX, None);
    model.submit(1);
    model.finish(1);
    assert_eq!(model.seen.done.load(Ordering::Relaxed), 1, "the started thread found no work");
});

// The same with an idle thread that is woken.
model!(loom_pool_shutdown_leaves_the_woken_seeker_its_work, || {
    let model = Model::new(1, Duration::MAX, None);
    model.submit(1);
    while model.pool.idle_threads() == 0 {
        thread::yield_now();
    }
    model.submit(1);
    model.finish(2);
    assert_eq!(model.seen.done.load(Ordering::Relaxed), 2, "the woken thread found no work");
});

/// Two pieces of work arrive at a pool with one idle thread.
fn with_an_idle_thread(submit: fn(&Model)) {
    let model = Model::new(2, Duration::MAX, None);
    model.submit(1);
    while model.pool.idle_threads() == 0 {
        thread::yield_now();
    }
    model.seen.running.store(0, Ordering::Relaxed);
    submit(&model);
    submit(&model);
    model.finish(3);
}

model!(loom_pool_an_idle_thread_is_claimed_once, || with_an_idle_thread(|model| model.submit(2)));

/// Wakes an idle thread, and leaves it in the idle list until it has taken its work. A submitter that checks in between
/// assumes that there is a thread for its own work too.
fn submit_without_a_claim(model: &Model) {
    let mut inner = model.pool.inner.lock();
    inner.queue.push_back((u64::MAX, model.work(2)));
    match inner.idle.last().cloned() {
        Some(idle) => {
            drop(inner);
            idle.unpark();
        }
        None => {
            drop(inner);
            model.submit(2);
        }
    }
}

mistake!(loom_pool_catches_an_idle_thread_that_is_seen_and_not_claimed, "stranded", || with_an_idle_thread(
    submit_without_a_claim
));

/// Queues work without checking whether the pool is shut down.
fn submit_without_a_check(model: &Model) {
    model.pool.inner.lock().queue.push_back((u64::MAX, model.work(1)));
}

mistake!(loom_pool_catches_a_submit_that_does_not_check_for_the_shutdown, "work was lost", || {
    shut_down_while_submitting(submit_without_a_check)
});

// Queues work for the existing threads, and starts none.
mistake!(loom_pool_catches_work_without_a_seeker, "work was stranded", || {
    let model = Model::new(1, Duration::ZERO, None);
    let other = model.clone();
    let other = thread::spawn(move || submit_without_a_check(&other));
    model.submit(1);
    other.join().expect("a submitter does not panic");
    model.assert_has_thread();
    model.finish(2);
});

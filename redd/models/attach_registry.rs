//! Models of the list of runtimes: a runtime ends while the thread for attach requests describes it.
//!
//! The references are counted by std, because the list has trait objects. loom sees no step there, so what counts them down takes a step
//! of its own before (`Fake::end`).
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_attach`.

use std::sync::{Arc, OnceLock, Weak};

use super::{Listed, Observed, Registry, Sampler};
use crate::attach::Format;
use crate::observe::metric_blocks::MetricBlocks;
use crate::observe::task_info::TaskInfo;
use crate::primitives::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

/// A runtime that has its place on the list, as `Shared` does.
struct Fake {
    listed: OnceLock<Listed>,
    is_alive: AtomicBool,
    steps: AtomicUsize,
    dropped: Arc<AtomicUsize>,
}

impl Fake {
    fn new(registry: &'static Registry, dropped: &Arc<AtomicUsize>) -> Arc<Self> {
        let (is_alive, steps) = (AtomicBool::new(true), AtomicUsize::new(0));
        let fake = Arc::new(Self { listed: OnceLock::new(), is_alive, steps, dropped: Arc::clone(dropped) });
        fake.listed.get_or_init(|| registry.list(Arc::downgrade(&fake) as Weak<dyn Observed>));
        fake
    }

    /// Lets go of the reference: at any moment between two steps of a thread that describes it. loom finds these moments in an execution
    /// in which both have taken their steps. So the first one runs other threads before.
    fn end(self: Arc<Self>) {
        thread::yield_now();
        self.steps.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        assert!(self.is_alive.load(Ordering::Relaxed), "it is dropped once");
        self.is_alive.store(false, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Observed for Fake {
    fn write_members(&self, _: &mut String) {}

    /// Two steps, with other threads in between.
    fn write_heading(&self, out: &mut String) {
        for _ in 0..2 {
            self.steps.fetch_add(1, Ordering::Relaxed);
            assert!(self.is_alive.load(Ordering::Relaxed), "what is described lives");
        }
        out.push('x');
    }

    fn write_dump(&self, _: &mut String, _: Format, _: bool) {}

    fn write_stacks(&self, _: &mut String, _: Option<u64>) -> bool {
        false
    }

    fn sampler(self: Arc<Self>) -> Box<dyn Sampler> {
        unreachable!("no client samples")
    }

    fn set_recorded(&self, _: bool) {}

    fn tasks(&self) -> Vec<TaskInfo> {
        Vec::new()
    }

    fn add_metrics(&self, _: &mut MetricBlocks) {}
}

/// A registry for one execution. It is leaked: a runtime's place on the list refers to it without a count.
fn registry() -> &'static Registry {
    Box::leak(Box::default())
}

/// Starts a thread that describes all runtimes, as a reply does. Returns how many there were.
fn describe(registry: &'static Registry) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let runtimes = registry.runtimes();
        let mut text = String::new();
        runtimes.iter().for_each(|runtime| runtime.write_heading(&mut text));
        text.len()
    })
}

fn end_while_described() {
    let (registry, dropped) = (registry(), Arc::new(AtomicUsize::new(0)));
    let runtime = Fake::new(registry, &dropped);
    let reader = describe(registry);
    runtime.end();
    assert!(reader.join().unwrap() <= 1);
    assert_eq!(dropped.load(Ordering::Relaxed), 1, "`weak-list`");
    assert!(registry.runtimes.lock().listed.is_empty());
}

model!(loom_attach_a_runtime_ends_while_it_is_described, end_while_described);

mistake!(
    loom_attach_catches_a_runtime_that_is_let_go_under_the_lock,
    "deadlock",
    patch "a runtime that is let go under the lock",
    end_while_described
);

model!(loom_attach_a_runtime_begins_while_others_end_and_are_described, || {
    let (registry, dropped) = (registry(), Arc::new(AtomicUsize::new(0)));
    let (first, stays) = (Fake::new(registry, &dropped), Fake::new(registry, &dropped));
    let reader = describe(registry);
    let count = Arc::clone(&dropped);
    let beginner = thread::spawn(move || Fake::new(registry, &count).end());
    first.end();
    beginner.join().unwrap();
    assert!((1..=3).contains(&reader.join().unwrap()), "one stays");
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    assert_eq!(registry.runtimes.lock().listed.len(), 1);
    stays.end();
    assert!(registry.runtimes.lock().listed.is_empty());
});

//! Runs models: loom tries every interleaving within a bound, shuttle picks schedules at random.
//!
//! Called by every file of `redd/models`.

/// `loom::model`, which prints the number of executions. It bypasses the test harness's capture, so that passing models
/// print it too.
#[cfg(loom)]
pub(crate) fn explore(f: impl Fn() + Sync + Send + 'static) {
    explore_within(loom::model::Builder::new().preemption_bound, f);
}

/// As [`explore`], with a bound of its own.
#[cfg(loom)]
pub(crate) fn explore_within(preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    struct Count(std::sync::Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            let _ = write!(std::io::stdout(), "executions: {}; ", self.0.load(Ordering::Relaxed));
        }
    }
    let count = Count(std::sync::Arc::default());
    let executions = std::sync::Arc::clone(&count.0);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        executions.fetch_add(1, Ordering::Relaxed);
        f();
    });
}

/// Whether the running test has turned on this mistake, to check that its model catches it.
#[cfg_attr(all(loom, not(redd_mistakes)), expect(dead_code, reason = "asked by seeded mistakes"))]
pub(crate) fn has_mistake(name: &str) -> bool {
    MISTAKE.get() == name
}

std::thread_local! {
    /// All threads of a model are one thread of the system.
    static MISTAKE: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// [`explore`] with a mistake.
pub(crate) fn explore_mistaken(mistake: &'static str, f: impl Fn() + Sync + Send + 'static) {
    MISTAKE.set(mistake);
    explore(f);
}

/// The checker's own threads, `Arc`, `Mutex`, atomics and `block_on`, for model files.
#[cfg(loom)]
pub(crate) use loom as checker;
#[cfg(shuttle)]
pub(crate) mod checker {
    pub(crate) use shuttle::{future, sync, thread};
}

/// Runs as many schedules as `REDD_SCHEDULES` says, from the seed `REDD_SEED`. A failure prints the command that
/// repeats it.
#[cfg(shuttle)]
pub(crate) fn explore(f: impl Fn() + Sync + Send + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use std::io::Write as _;

    /// The number of schedules for one seed. PCT chooses its moments by how long the earlier schedules were.
    const BATCH: usize = 32;

    /// Prints how many schedules ran, and which of them failed.
    struct Report {
        schedules: usize,
        batch: u64,
    }
    impl Drop for Report {
        fn drop(&mut self) {
            let _ = write!(std::io::stdout(), "executions: {}; ", self.schedules);
            if std::thread::panicking() {
                let test = std::thread::current().name().unwrap_or_default().to_owned();
                let _ = writeln!(
                    std::io::stderr(),
                    "\nto see it again: `cargo xtask shuttle --seeds {BATCH} --from {} {test}`",
                    self.batch
                );
            }
        }
    }

    let number = |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, count) = (number("REDD_SEED", 0_u64), number("REDD_SCHEDULES", 1000_u64));
    let f = std::sync::Arc::new(f);
    let mut report = Report { schedules: 0, batch: first };
    while (report.schedules as u64) < count {
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        config.silence_warnings = true;
        // Ten times the steps of the largest model. A thread that retries forever is a thread that was not woken.
        config.max_steps = shuttle::MaxSteps::FailAfter(number("REDD_STEPS", 200_000) as usize);
        let f = std::sync::Arc::clone(&f);
        let run = move || {
            super::clock::reset();
            super::futex::reset();
            f();
        };
        report.schedules += match report.batch % 4 {
            0 | 2 => shuttle::Runner::new(RandomScheduler::new_from_seed(report.batch, BATCH), config).run(run),
            odd => {
                let depth = if odd == 1 { 2 } else { 4 };
                shuttle::Runner::new(PctScheduler::new_from_seed(report.batch, depth, BATCH), config).run(run)
            }
        };
        report.batch += 1;
    }
}

/// As [`explore`]: schedules at random have no bound.
#[cfg(shuttle)]
pub(crate) fn explore_within(_preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    explore(f);
}

/// A test that runs a closure in every order of its threads' steps, up to the bounds of the run.
macro_rules! model {
    ($name:ident, $closure:expr) => {
        #[test]
        fn $name() {
            $crate::primitives::explore($closure);
        }
    };
}

/// A model with a mistake, which must be caught: the test panics with this text. The mistake is in the closure, or it is
/// the one of [`has_mistake`] with this name. With `patch` it is an entry of `redd/models/mistakes.txt`, and the test
/// exists only in the patched copy of the sources.
macro_rules! mistake {
    ($name:ident, $expected:literal, $closure:expr) => {
        mistake!($name, $expected, "", $closure);
    };
    ($name:ident, $expected:literal, patch $mistake:literal, $closure:expr) => {
        #[cfg(redd_mistakes)]
        mod $name {
            use super::*;
            mistake!(patched, $expected, $mistake, $closure);
        }
    };
    ($name:ident, $expected:literal, $mistake:literal, $closure:expr) => {
        #[test]
        #[should_panic(expected = $expected)]
        fn $name() {
            $crate::primitives::explore_mistaken($mistake, $closure);
        }
    };
}
pub(crate) use {mistake, model};

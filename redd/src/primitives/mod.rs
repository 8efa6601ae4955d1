//! The one door to atomics, cells, locks, threads, sleep and randomness: std in programs, loom or shuttle in models.
//!
//! Nothing else in the crate names `std::sync::atomic`, `std::thread`, `std::cell::UnsafeCell` or `std::sync::Mutex`,
//! so that every interleaving can be explored in a model, and every choice of the scheduler follows from one seed.
//!
//! This is the only place (with `redd/models`) that knows `cfg(loom)` and `cfg(shuttle)`. Loom tries every order of
//! the steps of a small model, weak memory included; shuttle tries orders at random, of models as large as a runtime.
//!
//! Both apply only with `test`. A user may set `--cfg loom` for a crate of their own: then redd is built with std, since
//! loom is a dev-dependency.

pub(crate) mod atomic;
pub(crate) mod cache_padded;
pub(crate) mod cell;
pub(crate) mod event_count;
pub(crate) mod immortal;
pub(crate) mod local;
pub(crate) mod lock;
pub(crate) mod lock_wait;
pub(crate) mod parker;
pub(crate) mod rng;
pub(crate) mod spin;
pub(crate) mod system;
pub(crate) mod thread;

pub(crate) use local::thread_local;
pub(crate) use lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, ShortMutex, ShortMutexGuard};

#[cfg(all(test, loom))]
pub(crate) use loom::sync::Arc;
/// Whether this build is a model, in which atomics are larger than in programs.
pub(crate) const IS_MODEL: bool = cfg!(all(test, any(loom, shuttle)));

/// Reference counting, counted by loom in models so that leaks and early frees are found.
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::Arc;

/// `loom::model`, which prints the number of executions. It bypasses the test harness's capture, so that passing models
/// print it too.
#[cfg(all(test, loom))]
pub(crate) fn explore(f: impl Fn() + Sync + Send + 'static) {
    explore_within(loom::model::Builder::new().preemption_bound, f);
}

/// As [`explore`], with a bound of its own.
#[cfg(all(test, loom))]
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

/// Whether the model that runs has this mistake built in, to see that it looks. In programs: no, at compile time.
#[cfg(not(all(test, any(loom, shuttle))))]
#[inline(always)]
pub(crate) const fn has_mistake(_name: &str) -> bool {
    false
}

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn has_mistake(name: &str) -> bool {
    MISTAKE.get() == name
}

#[cfg(all(test, any(loom, shuttle)))]
std::thread_local! {
    /// All threads of a model are one thread of the system.
    static MISTAKE: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// [`explore`] with a mistake.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn explore_mistaken(mistake: &'static str, f: impl Fn() + Sync + Send + 'static) {
    MISTAKE.set(mistake);
    explore(f);
}

/// The checker's own threads, `Arc`, `Mutex`, atomics and `block_on`, for model files.
#[cfg(all(test, loom))]
pub(crate) use loom as checker;
#[cfg(all(test, shuttle))]
pub(crate) mod checker {
    pub(crate) use shuttle::{future, sync, thread};
    pub(crate) mod cell {
        pub(crate) use std::cell::Cell;
    }
}

/// As many schedules as `REDD_SCHEDULES` says, from the seed `REDD_SEED`. A failure prints what to run to see it again.
#[cfg(all(test, shuttle))]
pub(crate) fn explore(f: impl Fn() + Sync + Send + 'static) {
    use shuttle::scheduler::{PctScheduler, RandomScheduler};
    use std::io::Write as _;

    /// So many schedules follow from one seed: which moments PCT picks depends on how long earlier ones were.
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
        // Ten times the steps of the largest model: a thread that retries forever is a thread that was not woken.
        config.max_steps = shuttle::MaxSteps::FailAfter(number("REDD_STEPS", 200_000) as usize);
        let f = std::sync::Arc::clone(&f);
        let run = move || {
            system::reset();
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
#[cfg(all(test, shuttle))]
pub(crate) fn explore_within(_preemptions: Option<usize>, f: impl Fn() + Sync + Send + 'static) {
    explore(f);
}

/// Declares constructors that are `const` in programs. Loom's atomics have none, so in models they are not.
macro_rules! const_fn {
    ($($(#[$attr:meta])* $vis:vis const fn $name:ident($($argument:tt)*) -> Self $body:block)*) => {$(
        #[cfg(not(all(test, loom)))]
        $(#[$attr])* $vis const fn $name($($argument)*) -> Self $body
        #[cfg(all(test, loom))]
        $(#[$attr])* $vis fn $name($($argument)*) -> Self $body
    )*};
}
pub(crate) use const_fn;

/// A test that runs a closure in every order of its threads' steps, up to the bounds of the run.
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! model {
    ($name:ident, $closure:expr) => {
        #[test]
        fn $name() {
            $crate::primitives::explore($closure);
        }
    };
}

/// A model with a mistake, which must be found: the test panics with this text. The mistake is in the closure, or it is
/// the one of [`has_mistake`] with this name.
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! mistake {
    ($name:ident, $expected:literal, $closure:expr) => {
        mistake!($name, $expected, "", $closure);
    };
    ($name:ident, $expected:literal, $mistake:literal, $closure:expr) => {
        #[test]
        #[should_panic(expected = $expected)]
        fn $name() {
            $crate::primitives::explore_mistaken($mistake, $closure);
        }
    };
}
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use {mistake, model};

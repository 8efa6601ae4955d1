//! What a builder decided about a runtime: sizes, features, hooks and names.
//!
//! Written by `runtime::Builder`; read by every room that a runtime is made of.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::choices::{Flavor, UnhandledPanic};
use super::rescue::options::Rescue;
use crate::observe::dump::DiagnosisHook;
use crate::observe::histogram::HistogramConfiguration;
use crate::observe::hooks::TaskHooks;
use crate::observe::late_poll::LatePollHook;
use crate::observe::overdue::OverdueHook;
use crate::primitives::baton::{self, Baton, FailureKind, MadeIn};
use crate::primitives::count::{self, PlainCount};
use crate::primitives::user_code::guarded;

/// What a builder decided.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) flavor: Flavor,
    pub(crate) workers: usize,
    /// If `None`, it follows from how long polls take.
    pub(crate) global_queue_interval: Option<u32>,
    pub(crate) event_interval: u32,
    pub(crate) events_per_turn: usize,
    pub(crate) enable_io: bool,
    pub(crate) enable_time: bool,
    pub(crate) start_paused: bool,
    pub(crate) use_lifo_slot: bool,
    pub(crate) name: Option<String>,
    /// Makes the names of threads, if the program has set it.
    pub(crate) thread_name: Option<Arc<dyn Fn() -> String + Send + Sync>>,
    pub(crate) thread_stack_size: Option<usize>,
    pub(crate) max_blocking_threads: usize,
    pub(crate) thread_keep_alive: Duration,
    pub(crate) unhandled_panic: UnhandledPanic,
    pub(crate) hooks: ThreadHooks,
    pub(crate) task_hooks: TaskHooks,
    /// The histogram of poll times, if wanted.
    pub(crate) poll_times: Option<HistogramConfiguration>,
    pub(crate) latencies: Option<HistogramConfiguration>,
    pub(crate) tracks_latency: bool,
    pub(crate) seed: u64,
    pub(crate) rescue: Rescue,
    pub(crate) on_late_poll: Option<LatePollHook>,
    /// Whether attach requests see the runtime.
    pub(crate) observe: bool,
    /// Whether it is looked for tasks that can never run again.
    pub(crate) diagnose: bool,
    pub(crate) on_diagnosis: Option<DiagnosisHook>,
    pub(crate) on_overdue: Option<OverdueHook>,
    /// Whether tasks inherit the current span. Only with the feature `tracing`.
    pub(crate) inherits_span: bool,
    /// `block_on` panics if there is a diagnosis, or if the world has failed.
    pub(crate) is_watched: bool,
    /// The simulated world to which the runtime belongs.
    pub(crate) baton: Option<Arc<Baton>>,
    /// Its host there.
    pub(crate) made_in: Option<MadeIn>,
}

impl Config {
    /// The options of a runtime in a simulated world: one worker, no thread outside of the world, and a choice of the seed before each
    /// poll.
    pub(crate) fn simulate(&mut self, baton: Arc<Baton>) {
        self.workers = 1;
        self.rescue = Rescue::off();
        (self.on_late_poll, self.observe) = (None, false);
        (self.diagnose, self.on_diagnosis, self.is_watched) = (false, None, true);
        // `Worker::next_in_world` is called at this interval.
        self.global_queue_interval = Some(1);
        // The root of a current-thread runtime is polled after so many tasks at the latest.
        self.event_interval = 1 + baton
            .choose_with(8, &|more| format!("a root is polled after {}", PlainCount(1 + more as u64, "task", "tasks")))
            as u32;
        let hook = self.task_hooks.on_unjoined_panic.take();
        let world = Arc::clone(&baton);
        self.task_hooks.on_unjoined_panic = Some(Arc::new(move |panic| {
            if baton::is_dead() {
                return; // By the crash of its host, or in what is left of it.
            }
            world.fail(FailureKind::UnjoinedPanic, panic.to_string());
            if let Some(hook) = &hook {
                hook(panic);
            }
        }));
        self.baton = Some(baton);
        self.made_in = MadeIn::here();
    }

    /// Whether the runtime belongs to a host of a simulated world that has crashed since it was built.
    pub(crate) fn has_crashed(&self) -> bool {
        self.made_in.as_ref().is_some_and(MadeIn::has_crashed)
    }

    /// The name that the program gives the next thread. `None` if the thread has the default name, also if user code that makes the
    /// name panics.
    pub(crate) fn name_thread(&self) -> Option<String> {
        let make = self.thread_name.as_ref()?;
        guarded(|| {
            let name = make();
            assert!(
                !name.contains('\0'),
                "the name for a thread, {name:?}, contains a zero byte, which ends a name for the system. Remove it from the \
                 name that `Builder::thread_name` or `thread_name_fn` sets."
            );
            name
        })
    }

    /// Adds the stack size to the system's refusal of a thread, if the program gave one. It may be the reason.
    #[cold]
    pub(crate) fn explain_refusal(&self, error: io::Error) -> io::Error {
        let Some(size) = self.thread_stack_size else { return error };
        let size = count::bytes(size);
        Refused::wrap(error, |error| {
            format!(
                "could not start a thread with a stack of {size}, as set by `Builder::thread_stack_size`: {error}. Give \
                 fewer bytes, or raise the process's limit of memory or threads"
            )
        })
    }

    /// Explains why `build` could not start the monitor of stalled workers.
    #[cold]
    pub(crate) fn explain_no_monitor(&self, error: io::Error) -> io::Error {
        Refused::wrap(error, |error| {
            format!(
                "`Builder::build` could not start the monitor of stalled workers: {error}. Raise the limit of threads \
                 (`ulimit -u`, `pids.max` of the cgroup) or of descriptors (`ulimit -n`), or build without it: \
                 `Builder::rescue(Rescue::off())`."
            )
        })
    }

    /// Explains why `build` could not start the worker with this index.
    #[cold]
    pub(crate) fn explain_failed_build(&self, index: usize, error: io::Error) -> io::Error {
        let workers = PlainCount(self.workers as u64, "worker", "workers");
        Refused::wrap(error, |error| {
            format!(
                "`Builder::build` could not start thread {} of {workers}: {error}. Raise the limit of threads \
                 (`ulimit -u`, `pids.max` of the cgroup), or set fewer with `Builder::worker_threads`.",
                index + 1
            )
        })
    }
}

/// The system's refusal of a thread or descriptor, explained. Its source is the system's error.
#[derive(Debug)]
struct Refused {
    message: String,
    error: io::Error,
}

impl Refused {
    fn wrap(error: io::Error, message: impl FnOnce(&io::Error) -> String) -> io::Error {
        io::Error::new(error.kind(), Self { message: message(&error), error })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("workers", &self.workers)
            .field("enable_io", &self.enable_io)
            .field("enable_time", &self.enable_time)
            .field("max_blocking_threads", &self.max_blocking_threads)
            .field("thread_keep_alive", &self.thread_keep_alive)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Called on the runtime's threads; see the builder.
#[derive(Clone, Default)]
pub(crate) struct ThreadHooks {
    pub(crate) on_start: Option<ThreadHook>,
    pub(crate) on_stop: Option<ThreadHook>,
    pub(crate) on_park: Option<ThreadHook>,
    pub(crate) on_unpark: Option<ThreadHook>,
}

pub(crate) type ThreadHook = Arc<dyn Fn() + Send + Sync>;

impl ThreadHooks {
    pub(crate) fn start(&self) {
        call(self.on_start.as_ref());
    }

    pub(crate) fn stop(&self) {
        call(self.on_stop.as_ref());
    }

    /// Whether a worker calls hooks before it runs a task.
    pub(crate) fn run_before_tasks(&self) -> bool {
        self.on_start.is_some() || self.on_park.is_some() || self.on_unpark.is_some()
    }

    /// Returns whether the program has set the hook.
    #[inline]
    pub(crate) fn park(&self) -> bool {
        call(self.on_park.as_ref())
    }

    #[inline]
    pub(crate) fn unpark(&self) {
        call(self.on_unpark.as_ref());
    }
}

/// Catches a panic of the hook: the thread has counters to update after it.
#[inline]
fn call(hook: Option<&ThreadHook>) -> bool {
    let Some(hook) = hook else { return false };
    guarded(|| hook());
    true
}

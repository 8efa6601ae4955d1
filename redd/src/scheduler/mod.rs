//! Which task runs next, and on which thread.
//!
//! [`Shared`] is one runtime: its queues, its workers' slots, its driver, timers and blocking pool. A runnable task goes
//! to the run queue of the worker that woke it, or to the injector if it was woken from outside; `worker.rs` has the
//! loop that takes it from there; `idle.rs` says who sleeps and whom to wake; `start.rs` has the threads, each of which
//! starts the next one; `spares.rs` has more workers for when some are blocked.
//!
//! # Invariants
//! - `closed-cancels`: after the phase is CLOSED no task is left alive that nobody polls: who spawns afterwards cancels
//!   the task itself, and every worker cancels all it finds when it leaves.

#![expect(unsafe_code, reason = "tasks' raw references pass through queues; the current worker is a raw pointer")]

pub(crate) mod active;
pub(crate) mod counters;
pub(crate) mod idle;
pub(crate) mod injector;
mod parking;
pub(crate) mod rescue;
pub(crate) mod run_queue;
pub(crate) mod spares;
pub(crate) mod start;
pub(crate) mod worker;
pub(crate) mod worker_states;

#[cfg(all(test, any(loom, shuttle)))]
mod models;

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Duration;

use crate::blocking::BlockingPool;
use crate::driver::Driver;
use crate::observe::histogram::HistogramConfiguration;
use crate::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fixed};
use crate::primitives::parker::Parker;
use crate::primitives::{Mutex, thread};
use crate::runtime::block_on::{RootWaker, RootWakers};
use crate::runtime::context;
use crate::runtime::{Handle, Id, RuntimeFlavor};
use crate::sys::fork::{self, Process};
use crate::task::cell::{self, Header};
use crate::task::hooks::{TaskHooks, UnjoinedPanic, guarded};
use crate::task::poll::current_is_of;
use crate::task::runnable::Schedule;
use crate::task::slab::TaskSlab;
use crate::task::spans;
use crate::task::{JoinHandle, Runnable};
use crate::time::clock::Clock;
use crate::time::timers::Timers;
use active::{Active, Step};
use counters::{PollInstrumentation, Stamping, WorkerCounters};
use idle::{Idle, WakeAction};
use injector::Injector;
use parking::Parking;
use rescue::StallDetector;
use rescue::poll_mark::PollMark;
use run_queue::RunQueue;
use spares::Spares;
use start::Threads;
use worker::{LOCAL, Worker};
use worker_states::{WorkerState, WorkerStates};

/// Spare workers that may stand in at a time for those in `block_in_place`; as many as Tokio's pool would give.
pub(crate) const MAX_SPARES: usize = 512;

/// At most so many workers, and spare workers for rescue. The idle word counts both together in 16 bits.
pub(crate) const MAX_WORKERS: usize = 32_767;
pub(crate) const MAX_RESCUE_WORKERS: usize = 16_384;

pub(crate) const DEFAULT_THREAD_NAME: &str = "redd-worker";

/// What a builder decided.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) flavor: Flavor,
    pub(crate) workers: usize,
    /// `None`: it follows from how long polls take.
    pub(crate) global_queue_interval: Option<u32>,
    pub(crate) event_interval: u32,
    pub(crate) events_per_turn: usize,
    pub(crate) enable_io: bool,
    pub(crate) enable_time: bool,
    pub(crate) start_paused: bool,
    pub(crate) use_next_slot: bool,
    pub(crate) name: Option<String>,
    pub(crate) thread_name: Arc<dyn Fn() -> String + Send + Sync>,
    pub(crate) thread_stack_size: Option<usize>,
    pub(crate) max_blocking_threads: usize,
    pub(crate) thread_keep_alive: Duration,
    pub(crate) unhandled_panic: UnhandledPanic,
    pub(crate) hooks: ThreadHooks,
    pub(crate) task_hooks: TaskHooks,
    /// Histograms that are wanted.
    pub(crate) poll_times: Option<HistogramConfiguration>,
    pub(crate) latencies: Option<HistogramConfiguration>,
    pub(crate) tracks_latency: bool,
    pub(crate) seed: u64,
    pub(crate) rescue: rescue::Rescue,
    pub(crate) on_late_poll: Option<rescue::LatePollHook>,
}

impl Config {
    /// The name of the next thread; the function for it is foreign code.
    pub(crate) fn name_thread(&self) -> String {
        let name = guarded(|| {
            let name = (self.thread_name)();
            assert!(
                !name.contains('\0'),
                "the name for a thread, {name:?}, contains a zero byte, which the system takes for its end. Leave it out of \
                 what `Builder::thread_name` or `thread_name_fn` gives."
            );
            name
        });
        name.unwrap_or_else(|| DEFAULT_THREAD_NAME.to_owned())
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

/// How the one loop is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    MultiThread,
    CurrentThread,
    /// Current-thread, and its tasks need not be `Send`.
    Local,
}

/// What a runtime or `LocalSet` does when a task panics.
///
/// Either way the usual hook prints the panic, it comes out of the task's handle, and one that nobody joins is reported
/// with the task's name and place; see
/// [`Builder::on_unhandled_panic`](crate::runtime::Builder::on_unhandled_panic).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnhandledPanic {
    /// Everything else goes on.
    Ignore,
    /// The runtime shuts down, also if the task's handle is there: `block_on` panics, other tasks are cancelled. A
    /// panic of a closure of `spawn_blocking` does not count, as in Tokio. Differs from Tokio: any flavor can do it.
    ShutdownRuntime,
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

    /// Whether a worker runs hooks before it runs a task.
    fn run_before_tasks(&self) -> bool {
        self.on_start.is_some() || self.on_park.is_some() || self.on_unpark.is_some()
    }

    /// True if the program has set the hook.
    #[inline]
    pub(crate) fn park(&self) -> bool {
        call(self.on_park.as_ref())
    }

    #[inline]
    pub(crate) fn unpark(&self) {
        call(self.on_unpark.as_ref());
    }
}

/// A panic ends here: the thread has accounts to settle after it.
#[inline]
fn call(hook: Option<&ThreadHook>) -> bool {
    let Some(hook) = hook else { return false };
    guarded(|| hook());
    true
}

/// One worker as the others see it: its queue and its counters.
#[derive(Debug)]
pub(crate) struct WorkerSlot {
    pub(crate) queue: RunQueue<Header>,
    pub(crate) mark: PollMark<Header>,
    /// Whether its thread runs tasks; if not, others look after its next-slot and its wheel.
    pub(crate) state: WorkerState,
    /// The system's number of its thread; 0 if it has none.
    pub(crate) thread: AtomicU32,
    pub(crate) parks: AtomicU64,
    pub(crate) unparks: AtomicU64,
    pub(crate) busy_ns: AtomicU64,
    pub(crate) counters: WorkerCounters,
    /// The thread that is the worker, or was last.
    pub(crate) thread_id: Mutex<Option<thread::PublicId>>,
}

impl WorkerSlot {
    fn new() -> Self {
        Self {
            queue: RunQueue::new(),
            mark: PollMark::new(),
            state: WorkerState::new(),
            thread: AtomicU32::new(0),
            parks: AtomicU64::new(0),
            unparks: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            counters: WorkerCounters::new(),
            thread_id: Mutex::new(None),
        }
    }
}

impl WorkerSlot {
    /// Whether a thief may find something: in the ring, or in the next-slot of a worker that does not get to it.
    pub(crate) fn has_tasks_for_others(&self) -> bool {
        !self.queue.is_ring_empty() || (!self.state.is_active() && self.queue.has_next())
    }
}

/// Bits of `Shared::phase`.
const OPEN: u8 = 0;
/// Only what runs may start more.
const DRAINING: u8 = 1;
const CLOSED: u8 = 2;
/// The monitor has marked a worker as stuck. It stands here for the loop, which loads the phase before each poll.
const HAS_STALLED: u8 = 4;

/// One runtime.
pub(crate) struct Shared {
    pub(crate) id: Id,
    /// The thread that made it; a local runtime stays there.
    home: thread::ThreadId,
    pub(crate) config: Config,
    pub(crate) slab: Arc<TaskSlab>,
    pub(crate) driver: Arc<Driver>,
    pub(crate) timers: Timers,
    pub(crate) blocking: BlockingPool,
    pub(crate) instrumentation: PollInstrumentation,
    /// Polls that ended because their budget was used up.
    pub(crate) forced_yields: AtomicU64,
    pub(crate) injector: Injector<Header>,
    pub(crate) idle: Idle,
    pub(crate) parking: Parking,
    /// Where its threads are.
    process: Process,
    phase: AtomicU8,
    has_shut_down: AtomicBool,
    /// A panic asked the runtime to shut down (`UnhandledPanic::ShutdownRuntime`).
    pub(crate) has_unhandled_panic: AtomicBool,
    /// Of threads in `block_on` that do not run the loop, if that may happen.
    pub(crate) told_of_panic: Mutex<Vec<Waker>>,
    /// The workers' slots.
    slots: Box<[WorkerSlot]>,
    /// Those of spares, made when they are first used, and room for as many as may run.
    spare_slots: OnceLock<Box<[OnceLock<Box<WorkerSlot>>]>>,
    slots_used: AtomicUsize,
    /// The first deadline of the shared wheel that some parked worker will wake up for; `u64::MAX` if none does.
    pub(crate) covered: AtomicU64,
    pub(crate) workers: Workers,
    pub(crate) stall_detector: StallDetector,
    /// Of a current-thread runtime.
    pub(crate) core: Mutex<Core>,
    /// Who called `block_on` last.
    root: AtomicPtr<Location<'static>>,
    started: std::time::Instant,
    me: Weak<Shared>,
}

/// The one worker of a current-thread runtime, and what goes from one `block_on` to the next. (A model has another `W`.)
#[derive(Debug)]
pub(crate) struct Core<W = Box<Worker>> {
    /// There while nobody runs it.
    pub(crate) worker: Option<W>,
    /// Threads in `block_on` that wait for the worker.
    pub(crate) waiters: Vec<Arc<RootWaker>>,
    /// A root's waker that nobody else holds any more, for the next root.
    pub(crate) spare: Option<RootWakers>,
}

impl<W> Default for Core<W> {
    fn default() -> Self {
        Self { worker: None, waiters: Vec::new(), spare: None }
    }
}

/// Who runs the loop.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Workers and spares that have not left their loop for good.
    pub(crate) alive: AtomicUsize,
    /// Which of them run tasks.
    pub(crate) states: WorkerStates,
    /// Which of them may still wait for I/O and timers.
    pub(crate) active: Active,
    pub(crate) threads: Mutex<Threads>,
    /// A worker has not run a task yet.
    has_clean: AtomicBool,
    /// When a busy worker is to try again what the system has refused (milliseconds, as `Shared::ms_at`).
    retry_at: AtomicU64,
    pub(crate) spares: Mutex<Spares>,
    /// Unparked when the last worker has left.
    pub(crate) ended: Parker,
}

impl Default for Workers {
    fn default() -> Self {
        Self {
            alive: AtomicUsize::new(0),
            states: WorkerStates::default(),
            active: Active::default(),
            threads: Mutex::default(),
            has_clean: AtomicBool::new(true),
            retry_at: AtomicU64::new(u64::MAX),
            spares: Mutex::default(),
            ended: Parker::default(),
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).field("config", &self.config).finish_non_exhaustive()
    }
}

static NEXT_RUNTIME: fixed::AtomicU64 = fixed::AtomicU64::new(1);

/// An id for a runtime or a `LocalSet`.
pub(crate) fn next_runtime_id() -> Id {
    Id::new(NEXT_RUNTIME.fetch_add(1, Ordering::Relaxed))
}

impl Shared {
    pub(crate) fn new(config: Config) -> io::Result<Arc<Self>> {
        let driver = Arc::new(Driver::new()?);
        let clock = if config.start_paused { Clock::new_paused() } else { Clock::new() };
        let started = clock.start();
        // Of several workers, one more for a thread in `block_on`.
        let guests = usize::from(config.flavor == Flavor::MultiThread);
        let slab = TaskSlab::new(config.workers + guests, config.task_hooks.clone());
        let stall_detector = StallDetector::new(&config.rescue);
        let shared = Arc::new_cyclic(|me| Self {
            id: next_runtime_id(),
            home: thread::current_id(),
            slab: Arc::clone(&slab),
            timers: Timers::new(clock, config.workers),
            driver,
            blocking: BlockingPool::for_runtime(&config),
            instrumentation: PollInstrumentation::new(&config, started),
            forced_yields: AtomicU64::new(0),
            injector: Injector::new(),
            idle: Idle::new(),
            parking: Parking::default(),
            process: Process::current(),
            phase: AtomicU8::new(OPEN),
            has_shut_down: AtomicBool::new(false),
            has_unhandled_panic: AtomicBool::new(false),
            told_of_panic: Mutex::default(),
            slots: (0..config.workers).map(|index| start::new_slot(&config, index)).collect(),
            spare_slots: OnceLock::new(),
            slots_used: AtomicUsize::new(config.workers),
            covered: AtomicU64::new(u64::MAX),
            workers: Workers::default(),
            stall_detector,
            core: Mutex::default(),
            root: AtomicPtr::new(ptr::null_mut()),
            started,
            me: me.clone(),
            config,
        });
        let owner: Arc<dyn Schedule> = if shared.instrumentation.tracks_latency {
            Arc::new(Stamping(Arc::clone(&shared)))
        } else {
            Arc::clone(&shared) as _
        };
        // SAFETY: no task exists yet, and nobody else has the slab.
        unsafe { slab.set_owner(owner) };
        Ok(shared)
    }

    /// A handle of this runtime.
    pub(crate) fn handle(&self) -> Handle {
        Handle { shared: self.me.upgrade().expect("`&self` comes from an `Arc` that is alive") }
    }

    pub(crate) fn flavor(&self) -> RuntimeFlavor {
        match self.config.flavor {
            Flavor::MultiThread => RuntimeFlavor::MultiThread,
            Flavor::CurrentThread | Flavor::Local => RuntimeFlavor::CurrentThread,
        }
    }

    /// Panics in a forked child of the process that made this runtime; see `sys::fork`.
    #[inline]
    #[track_caller]
    pub(crate) fn expect_own_process(&self, what: &str) {
        if !self.process.is_current() {
            fork::panic_in_child(what, None);
        }
    }

    /// The threads that a shutdown waits for.
    pub(crate) fn threads(&self) -> Vec<thread::ThreadId> {
        let workers = self.workers.threads.lock();
        let mut threads: Vec<_> = workers.started.iter().map(|thread| thread.thread().id()).collect();
        drop(workers);
        self.blocking.add_threads(&mut threads);
        threads
    }

    pub(crate) fn has_thread(&self, thread: thread::ThreadId) -> bool {
        self.threads().contains(&thread)
    }

    /// Whether this process has the runtime's threads.
    pub(crate) fn is_in_own_process(&self) -> bool {
        self.process.is_current()
    }

    /// Whether a `Runtime` began its shutdown before; marks that it has now.
    pub(crate) fn begin_shutdown(&self) -> bool {
        self.has_shut_down.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`.
        self.phase.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether the loop has to see to more than the next task.
    #[inline]
    pub(crate) fn is_disturbed(&self) -> bool {
        // Acquire: as in `is_closed`.
        self.phase.load(Ordering::Acquire) & (CLOSED | HAS_STALLED) != 0
    }

    /// Said by the monitor alone, and a hint: a worker asks its own standing then.
    pub(crate) fn set_has_stalled(&self, has_stalled: bool) {
        let phase = self.phase.load(Ordering::Relaxed);
        if has_stalled && phase & HAS_STALLED == 0 {
            self.phase.fetch_or(HAS_STALLED, Ordering::Relaxed);
        } else if !has_stalled && phase & HAS_STALLED != 0 {
            self.phase.fetch_and(!HAS_STALLED, Ordering::Relaxed);
        }
    }

    /// From now on nothing new is accepted. Idempotent.
    pub(crate) fn close(&self) {
        // Release: pairs with the Acquire in `is_closed`.
        self.phase.fetch_or(CLOSED, Ordering::Release);
        self.injector.close();
        if self.config.flavor == Flavor::MultiThread && self.workers.active.close() == Step::Last {
            self.end_waits();
            self.cancel_unpolled();
        }
    }

    /// Step 5 of `active`: no event comes any more, so what waits for one is told. What need not wait goes on working, for the
    /// destructors of tasks that are still to be cancelled. May be called again. The caller holds no lock.
    pub(crate) fn end_waits(&self) {
        self.timers.shutdown();
        self.driver.end_waits();
    }

    /// Cancels the tasks of a runtime that has closed, but for those in a poll, when the thread that would do it may be the
    /// one that waits for them. Does nothing where tasks that are not `Send` cannot be dropped.
    pub(crate) fn cancel_unpolled(&self) {
        if self.config.flavor == Flavor::Local && !self.is_local_here() {
            return;
        }
        let _entered = context::enter(self.handle());
        // SAFETY: only tasks of a local runtime are not `Send`, and this is their thread then.
        unsafe { self.slab.cancel_all() };
    }

    /// From now on only tasks and closures of this runtime may start more.
    pub(crate) fn start_draining(&self) {
        // Relaxed: it carries nothing, and a spawn that is under way counts as one of before.
        self.phase.fetch_or(DRAINING, Ordering::Relaxed);
    }

    /// Whether work that this thread starts is cancelled at once.
    #[inline]
    pub(crate) fn refuses_here(&self) -> bool {
        // Acquire: as in `is_closed`.
        let phase = self.phase.load(Ordering::Acquire);
        phase != OPEN
            && (phase & CLOSED != 0
                || (phase & DRAINING != 0 && !(worker::runs_here(self) || current_is_of(&self.slab))))
    }

    #[inline]
    pub(crate) fn slot(&self, index: usize) -> &WorkerSlot {
        match self.slots.get(index) {
            Some(slot) => slot,
            None => self.spare_slot(index - self.slots.len()),
        }
    }

    #[cold]
    fn spare_slot(&self, index: usize) -> &WorkerSlot {
        let room = || (0..self.spare_slots_max()).map(|_| OnceLock::new()).collect();
        self.spare_slots.get_or_init(room)[index].get_or_init(|| Box::new(WorkerSlot::new()))
    }

    /// How many slots of spares there may be: as many as may run.
    pub(crate) fn spare_slots_max(&self) -> usize {
        MAX_SPARES.max(self.config.rescue.max_workers)
    }

    /// The slots that are or were in use.
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = &WorkerSlot> {
        // Acquire: pairs with the Release in `use_slot`.
        let used = self.slots_used.load(Ordering::Acquire);
        (0..used).map(|index| self.slot(index))
    }

    /// Makes the slot visible to thieves.
    pub(crate) fn use_slot(&self, index: usize) -> &WorkerSlot {
        let slot = self.slot(index);
        // Release: publishes the slot. Pairs with the Acquire in `slots`.
        self.slots_used.fetch_max(index + 1, Ordering::Release);
        slot
    }

    /// Spawns a task; it is cancelled at once if the runtime has shut down, or drains and this is none of its own code.
    #[track_caller]
    pub(crate) fn spawn<F>(&self, future: F, name: Option<Arc<str>>) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let location = Location::caller();
        if mem::size_of::<F>() > cell::LARGE_FUTURE {
            return spans::spawn_boxed(mem::size_of::<F>(), || {
                // SAFETY: the future and its output are `Send`.
                unsafe { self.spawn_unchecked(Box::pin(future), name, location) }
            });
        }
        // SAFETY: as above.
        unsafe { self.spawn_unchecked(future, name, location) }
    }

    /// # Safety
    /// If the future or its output is not `Send`: this is the thread of the local runtime.
    pub(crate) unsafe fn spawn_unchecked<F: Future>(
        &self,
        future: F,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        if !self.process.is_current() {
            fork::panic_in_child("`spawn`", Some(location));
        }
        // SAFETY: by this function's duty.
        let (runnable, handle) = unsafe { cell::allocate::<F, false>(&self.slab, future, name, location) };
        if self.instrumentation.tracks_latency {
            self.instrumentation.stamp(&runnable);
        }
        if self.refuses_here() {
            runnable.cancel(); // `closed-cancels`
        } else if let Err(refused) = self.try_schedule(runnable) {
            // It closed meanwhile. The walk may have missed a task that was published only just now, so it is cancelled
            // here, where a task that is not `Send` belongs too.
            refused.cancel();
        }
        handle
    }

    /// Hands a batch of tasks that a worker has too many of to the injector.
    pub(crate) fn inject(&self, runnable: Runnable) {
        // Closed: whoever walks the slab cancels the task (`closed-cancels`); only the reference goes here.
        drop(self.try_inject(runnable));
    }

    fn try_inject(&self, runnable: Runnable) -> Result<(), Runnable> {
        match self.injector.push(runnable.into_raw()) {
            Ok(()) => {
                self.wake_worker_for_injected();
                Ok(())
            }
            // SAFETY: it comes from `into_raw` above.
            Err(task) => Err(unsafe { Runnable::from_raw(task) }),
        }
    }

    /// Queues a task with this thread's worker or in the injector; gives it back if the runtime has closed.
    #[inline]
    fn try_schedule(&self, runnable: Runnable) -> Result<(), Runnable> {
        // SAFETY: set while the worker runs on this thread.
        match unsafe { LOCAL.get().as_ref() } {
            Some(local) if ptr::eq(local.shared, self) && local.is_active() => {
                // SAFETY: this thread is the worker, so it owns the queue.
                unsafe { local.push(self, runnable) };
                Ok(())
            }
            _ => self.try_inject(runnable),
        }
    }

    /// After something was put where sleeping workers look.
    pub(crate) fn wake_worker_for_injected(&self) {
        idle::after_remote_push();
        self.wake_worker();
    }

    /// Wakes one that sleeps by the bell, or leaves the token in the driver.
    pub(crate) fn wake_sleeper(&self) {
        if !self.parking.event_count.notify_one() {
            self.driver.wake();
        }
    }

    /// After the phase became CLOSED: whoever sleeps is to see that. Who leaves calls it too, for one token wakes one sleeper.
    pub(crate) fn wake_to_leave(&self) {
        idle::after_remote_push();
        if self.idle.load().sleepers > 0 {
            self.wake_sleeper();
        }
    }

    /// Whether workers serve that do not sleep. A moment's view.
    pub(crate) fn has_others_awake(&self) -> bool {
        usize::from(self.idle.load().sleepers) < self.workers.states.active()
    }

    /// If events go unseen while a worker sleeps by the bell: it next sleeps in the driver.
    pub(crate) fn ensure_driver_polled(&self) {
        if self.parking.needs_lease_holder() {
            // Whatever the word says: a token may lie in the driver, unseen like the events.
            self.parking.event_count.notify_one();
        }
    }

    /// Wakes a parked worker, unless one is on its way already.
    #[inline]
    pub(crate) fn wake_worker(&self) {
        self.apply(self.idle.wake_one());
    }

    /// What the idle word says is to be done.
    #[inline]
    pub(crate) fn apply(&self, answer: WakeAction) {
        match answer {
            WakeAction::WriteToken => self.wake_sleeper(),
            WakeAction::Nothing => {}
        }
    }

    /// The wheels that no worker has for itself: the one of threads that are no workers, and those of blocked and stuck
    /// workers.
    pub(crate) fn common_wheels(&self) -> impl Iterator<Item = usize> {
        let workers = self.config.workers;
        let has_inactive = self.workers.states.has_inactive();
        let away = (0..if has_inactive { workers } else { 0 }).filter(|index| !self.slot(*index).state.is_active());
        std::iter::once(workers).chain(away)
    }

    /// Milliseconds since the runtime's start.
    pub(crate) fn ms_at(&self, now: std::time::Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Keeps the coarse clock of the tasks' ages; the milliseconds since the runtime's start.
    pub(crate) fn note_time(&self, now: std::time::Instant) -> u64 {
        let ms = self.ms_at(now);
        self.slab.coarse_ms.store(ms as u32, Ordering::Relaxed);
        ms
    }

    /// For the reports of a current-thread runtime.
    #[inline]
    pub(crate) fn note_root(&self, location: &'static Location<'static>) {
        self.root.store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn root(&self) -> Option<&'static Location<'static>> {
        // SAFETY: it comes from a `&'static` only.
        unsafe { self.root.load(Ordering::Relaxed).as_ref() }
    }

    pub(crate) fn timer_slot(&self) -> usize {
        let local = LOCAL.get();
        // SAFETY: set while the worker runs on this thread.
        match unsafe { local.as_ref() } {
            Some(local) if ptr::eq(local.shared, self) && local.index < self.config.workers && local.is_active() => {
                local.index
            }
            _ => self.config.workers,
        }
    }

    pub(crate) fn unpark_for_timer(&self) {
        self.wake_worker_for_injected();
    }

    /// Whether this is a local runtime and this its thread.
    pub(crate) fn is_local_here(&self) -> bool {
        self.config.flavor == Flavor::Local && self.home == thread::current_id()
    }

    /// The index of the worker that this thread is, in any runtime. A spare has none: programs use it to find a worker's
    /// own place in a table.
    pub(crate) fn current_worker_index() -> Option<usize> {
        // SAFETY: set while the worker runs on this thread.
        let local = unsafe { LOCAL.get().as_ref() }?;
        // SAFETY: the thread that runs the worker keeps its runtime.
        let workers = unsafe { &*local.shared }.config.workers;
        (local.index < workers).then_some(local.index)
    }

    /// How many tasks wait in a worker's own queue. The list of a current-thread runtime is counted exactly only by its
    /// own thread; others get what it was when the worker looked for I/O last.
    pub(crate) fn queue_depth(&self, worker: usize) -> usize {
        // SAFETY: set while the worker runs on this thread.
        match unsafe { LOCAL.get().as_ref() } {
            Some(local) if ptr::eq(local.shared, self) && local.index == worker => local.queue_depth(),
            _ => {
                let slot = self.slot(worker);
                slot.queue.len() + slot.counters.fifo_len.load(Ordering::Relaxed) as usize
            }
        }
    }

    /// How often a task was queued from outside of the workers: what went through the injector, without what full run
    /// queues sent there.
    pub(crate) fn remote_schedules(&self) -> u64 {
        let overflowed: u64 = self.slots().map(|slot| slot.counters.overflowed_tasks.load(Ordering::Relaxed)).sum();
        self.injector.accepted_total().saturating_sub(overflowed)
    }
}

impl Schedule for Shared {
    fn schedule(&self, runnable: Runnable) {
        // As for `inject`: only the reference goes if the runtime has closed.
        drop(self.try_schedule(runnable));
    }

    fn request_trim(&self) {
        self.wake_worker_for_injected();
    }

    fn is_kept_by_this_thread(&self) -> bool {
        worker::runs_here(self)
    }

    fn task_panicked(&self) {
        worker::note_panic();
        if self.config.unhandled_panic == UnhandledPanic::ShutdownRuntime {
            // Release: pairs with the Acquire in `block_on::has_panicked`.
            self.has_unhandled_panic.store(true, Ordering::Release);
            self.close();
            self.wake_sleeper();
            let roots = std::mem::take(&mut *self.told_of_panic.lock());
            roots.into_iter().for_each(Waker::wake);
        }
    }

    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>) {
        panic.report(self.config.task_hooks.on_unjoined_panic.as_ref());
    }
}

//! Which task runs next, and on which thread.
//!
//! [`Shared`] is one runtime: its queues, its workers' slots, its driver, timers and blocking pool. A runnable task goes
//! to the run queue of the worker that woke it, or to the injector if it was woken from outside.
//!
//! | file | what is in it |
//! |---|---|
//! | `worker`, `search`, `park` | the loop, where its next task comes from, how it polls the driver and parks |
//! | `local` | the worker that a thread is, and its own queue |
//! | `run_queue`, `injector` | the tasks of one worker, and the tasks from other threads |
//! | `idle`, `parking`, `wake` | how many workers are parked or search, where they sleep, how they are woken |
//! | `start`, `spares`, `active` | the threads, each of which starts the next; spare workers; the end of all waits |
//! | `slot`, `worker_states`, `counters` | one worker as the other threads see it |
//! | `rescue` | the detection of stalled workers, and what is done about them |
//! | `config`, `phase`, `pace` | what a builder decided, how far the shutdown is, the tuning constants |
//!
//! # Invariants
//! - `closed-cancels`: after the phase is CLOSED no task stays alive that no worker polls. A thread that spawns afterwards
//!   cancels the task itself, and every worker that leaves cancels all tasks that it finds.

#![expect(unsafe_code, reason = "tasks' raw references pass through queues; the current worker is a raw pointer")]

pub(crate) mod active;
mod config;
pub(crate) mod counters;
pub(crate) mod enter;
pub(crate) mod idle;
pub(crate) mod injector;
pub(crate) mod local;
mod pace;
mod park;
mod parking;
mod phase;
pub(crate) mod rescue;
pub(crate) mod run_queue;
mod search;
mod slot;
pub(crate) mod spares;
pub(crate) mod start;
mod wake;
pub(crate) mod worker;
pub(crate) mod worker_states;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/scheduler.rs"]
mod models;

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, Weak};
use std::task::Waker;

use crate::blocking::BlockingPool;
use crate::current::{Enabled, Parts};
use crate::driver::Driver;
use crate::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fixed};
use crate::primitives::parker::Parker;
use crate::primitives::{Mutex, thread};
use crate::runtime::block_on::{RootWaker, RootWakers};
use crate::runtime::{Id, RuntimeFlavor};
use crate::sys::fork::{self, Process};
use crate::task::cell;
use crate::task::current::current_is_of;
use crate::task::header::Header;
use crate::task::hooks::UnjoinedPanic;
use crate::task::runnable::Schedule;
use crate::task::slab::TaskSlab;
use crate::task::spans;
use crate::task::{JoinHandle, Runnable};
use crate::time::clock::Clock;
use crate::time::timers::{Timers, Unpark};
use active::{Active, Step};
pub use config::UnhandledPanic;
pub(crate) use config::{
    Config, DEFAULT_THREAD_NAME, Flavor, MAX_RESCUE_WORKERS, MAX_SPARES, MAX_WORKERS, ThreadHooks,
};
use counters::{PollInstrumentation, Stamping};
use idle::Idle;
use injector::Injector;
use local::LOCAL;
use parking::Parking;
use phase::{Accepts, Phase};
use rescue::StallDetector;
pub(crate) use slot::WorkerSlot;
use slot::WorkerSlots;
use spares::Spares;
use start::Threads;
use worker::Worker;
use worker_states::WorkerStates;

/// One runtime.
pub(crate) struct Shared {
    pub(crate) id: Id,
    /// The thread that built the runtime. A local runtime stays there.
    home: thread::ThreadId,
    pub(crate) config: Config,
    pub(crate) slab: Arc<TaskSlab>,
    pub(crate) parts: Parts,
    pub(crate) blocking: BlockingPool,
    pub(crate) instrumentation: PollInstrumentation,
    pub(crate) injector: Injector<Header>,
    pub(crate) idle: Idle,
    pub(crate) parking: Parking,
    /// The process that has its threads.
    process: Process,
    phase: Phase,
    has_shut_down: AtomicBool,
    /// A panic asked the runtime to shut down (`UnhandledPanic::ShutdownRuntime`).
    pub(crate) has_unhandled_panic: AtomicBool,
    /// The wakers of threads in `block_on` that do not run the loop, if a panic may end the runtime.
    pub(crate) panic_wakers: Mutex<Vec<Waker>>,
    slots: WorkerSlots,
    /// The first deadline of the shared wheel to which a parked worker sleeps; `u64::MAX` if none does (`cover` of `park`).
    pub(crate) covered: AtomicU64,
    pub(crate) workers: Workers,
    pub(crate) stall_detector: StallDetector,
    /// Of a current-thread runtime.
    pub(crate) core: Mutex<Core>,
    /// The last caller of `block_on`.
    root: AtomicPtr<Location<'static>>,
    started: std::time::Instant,
    me: Weak<Shared>,
}

/// The one worker of a current-thread runtime, and what one `block_on` leaves to the next. A model has another `W`.
#[derive(Debug)]
pub(crate) struct Core<W = Box<Worker>> {
    /// `None` while a thread runs it.
    pub(crate) worker: Option<W>,
    /// Threads in `block_on` that wait for the worker.
    pub(crate) waiters: Vec<Arc<RootWaker>>,
    /// A root's waker that no other code holds, for the next root.
    pub(crate) spare: Option<RootWakers>,
}

impl<W> Default for Core<W> {
    fn default() -> Self {
        Self { worker: None, waiters: Vec::new(), spare: None }
    }
}

/// The threads that run the loop.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Workers and spares that have not left their loop for good.
    pub(crate) alive: AtomicUsize,
    /// Which of them run tasks.
    pub(crate) states: WorkerStates,
    /// Which of them may still wait for I/O and timers.
    pub(crate) active: Active,
    pub(crate) threads: Mutex<Threads>,
    /// Some worker has never run a task.
    has_clean: AtomicBool,
    /// When a busy worker asks again for a thread that the system has refused, in milliseconds as `Shared::ms_at`.
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
        // With several workers there is one more cache, for a thread in `block_on`.
        let guests = usize::from(config.flavor == Flavor::MultiThread);
        let slab = TaskSlab::new(config.workers + guests, config.task_hooks.clone());
        let stall_detector = StallDetector::new(&config.rescue);
        let shared = Arc::new_cyclic(|me| Self {
            id: next_runtime_id(),
            home: thread::current_id(),
            slab: Arc::clone(&slab),
            parts: Parts {
                timers: Timers::new(clock, config.workers, me.clone() as Weak<dyn Unpark>, timer_slot_here),
                driver,
                enabled: Enabled {
                    io: config.enable_io,
                    time: config.enable_time,
                    pause: config.flavor != Flavor::MultiThread,
                },
                forced_yields: AtomicU64::new(0),
            },
            blocking: BlockingPool::for_runtime(&config),
            instrumentation: PollInstrumentation::new(&config, started),
            injector: Injector::new(),
            idle: Idle::new(),
            parking: Parking::default(),
            process: Process::current(),
            phase: Phase::new(),
            has_shut_down: AtomicBool::new(false),
            has_unhandled_panic: AtomicBool::new(false),
            panic_wakers: Mutex::default(),
            slots: WorkerSlots::new(
                (0..config.workers).map(|index| start::new_slot(&config, index)).collect(),
                MAX_SPARES.max(config.rescue.max_workers),
            ),
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
        // SAFETY: no task exists yet, and no other thread has the slab.
        unsafe { slab.set_owner(owner) };
        Ok(shared)
    }

    /// A reference to this runtime.
    pub(crate) fn arc(&self) -> Arc<Self> {
        self.me.upgrade().expect("`&self` comes from an `Arc` that is alive")
    }

    pub(crate) fn flavor(&self) -> RuntimeFlavor {
        match self.config.flavor {
            Flavor::MultiThread => RuntimeFlavor::MultiThread,
            Flavor::CurrentThread | Flavor::Local => RuntimeFlavor::CurrentThread,
        }
    }

    /// Panics in a forked child of the process that built this runtime; see `sys::fork`.
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

    /// Records that the shutdown begins. Returns whether it had begun before.
    pub(crate) fn begin_shutdown(&self) -> bool {
        self.has_shut_down.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase.is_closed()
    }

    /// Whether the loop has to see to more than the next task.
    #[inline]
    pub(crate) fn is_disturbed(&self) -> bool {
        self.phase.is_disturbed()
    }

    /// Set only by the monitor. A hint: the worker re-checks its own state.
    pub(crate) fn set_has_stalled(&self, has_stalled: bool) {
        self.phase.set_has_stalled(has_stalled);
    }

    /// Closes the runtime: from now on no work is accepted. Idempotent.
    pub(crate) fn close(&self) {
        self.phase.close();
        self.injector.close();
        if self.config.flavor == Flavor::MultiThread && self.workers.active.close() == Step::Last {
            self.end_waits();
            self.cancel_unpolled();
        }
    }

    /// Step 5 of `active`: no further event comes, so all waits for one end. Operations that need not wait still work, for the
    /// destructors of tasks that are cancelled later. May be called again. The caller holds no lock.
    pub(crate) fn end_waits(&self) {
        self.parts.timers.shutdown();
        self.parts.driver.end_waits();
    }

    /// Cancels the tasks of a closed runtime that are not in a poll. Needed when the thread that would do so may itself wait for
    /// them. Does nothing where tasks that are not `Send` cannot be dropped.
    pub(crate) fn cancel_unpolled(&self) {
        if self.config.flavor == Flavor::Local && !self.is_local_here() {
            return;
        }
        let _entered = enter::enter(self.arc());
        // SAFETY: only tasks of a local runtime are not `Send`, and then this is their thread.
        unsafe { self.slab.cancel_all() };
    }

    /// From now on only tasks and closures of this runtime may start more work.
    pub(crate) fn start_draining(&self) {
        self.phase.start_draining();
    }

    /// Whether work that this thread starts now is cancelled at once.
    #[inline]
    pub(crate) fn refuses_here(&self) -> bool {
        match self.phase.accepts() {
            Accepts::All => false,
            Accepts::FromItself => !(local::runs_here(self) || current_is_of(&self.slab)),
            Accepts::Nothing => true,
        }
    }

    #[inline]
    pub(crate) fn slot(&self, index: usize) -> &WorkerSlot {
        self.slots.get(index)
    }

    /// The number of slots for spares: as many as may run.
    pub(crate) fn spare_slots_max(&self) -> usize {
        self.slots.spares_max()
    }

    /// The slots that are or were in use.
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = &WorkerSlot> {
        self.slots.used()
    }

    /// Makes the slot visible to searchers.
    pub(crate) fn use_slot(&self, index: usize) -> &WorkerSlot {
        self.slots.enable(index)
    }

    /// Spawns a task. It is cancelled at once if the runtime has shut down, or drains and the caller is not its own code.
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
    /// If the future or its output is not `Send`, this is the thread of the local runtime.
    pub(crate) unsafe fn spawn_unchecked<F: Future>(
        &self,
        future: F,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output> {
        if !self.process.is_current() {
            fork::panic_in_child("`spawn`", Some(location));
        }
        // SAFETY: by the safety contract.
        let (runnable, handle) = unsafe { cell::allocate::<F, false>(&self.slab, future, name, location) };
        if self.instrumentation.tracks_latency {
            self.instrumentation.stamp(&runnable);
        }
        if self.refuses_here() {
            runnable.cancel(); // `closed-cancels`
        } else if let Err(refused) = self.try_schedule(runnable) {
            // The runtime has closed meanwhile. The walk may have missed a task that was published just now, so it is
            // cancelled here. This is also the right thread for a task that is not `Send`.
            refused.cancel();
        }
        handle
    }

    /// Hands a task of a worker to the injector.
    pub(crate) fn inject(&self, runnable: Runnable) {
        // If the runtime is closed, the walk of the slab cancels the task (`closed-cancels`); only the reference is dropped here.
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

    /// Queues a task at this thread's worker or in the injector. Returns it if the runtime has closed.
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

    /// The wheels that no worker has for itself: that of threads that are not workers, and those of blocked and stalled
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

    /// Updates the coarse clock for the ages of tasks. Returns the milliseconds since the runtime's start.
    pub(crate) fn update_coarse_clock(&self, now: std::time::Instant) -> u64 {
        let ms = self.ms_at(now);
        self.slab.coarse_ms.store(ms as u32, Ordering::Relaxed);
        ms
    }

    /// Records the caller of `block_on`, for the reports of a current-thread runtime.
    #[inline]
    pub(crate) fn set_root(&self, location: &'static Location<'static>) {
        self.root.store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn root(&self) -> Option<&'static Location<'static>> {
        // SAFETY: it is null or comes from a `&'static`.
        unsafe { self.root.load(Ordering::Relaxed).as_ref() }
    }

    /// Whether this is a local runtime and the caller is on its thread.
    pub(crate) fn is_local_here(&self) -> bool {
        self.config.flavor == Flavor::Local && self.home == thread::current_id()
    }

    /// The index of the worker that this thread is, in any runtime. A spare has none: programs use the index to find a
    /// worker's own entry in a table.
    pub(crate) fn current_worker_index() -> Option<usize> {
        // SAFETY: set while the worker runs on this thread.
        let local = unsafe { LOCAL.get().as_ref() }?;
        // SAFETY: the thread that runs the worker keeps its runtime.
        let workers = unsafe { &*local.shared }.config.workers;
        (local.index < workers).then_some(local.index)
    }

    /// The number of tasks in a worker's own queue. The list of a current-thread runtime is counted exactly only on its own
    /// thread. Other threads get the number of the last poll of the driver.
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

    /// How often a task was queued by a thread that is not a worker: what went through the injector, without the overflow of
    /// full run queues.
    pub(crate) fn remote_schedules(&self) -> u64 {
        let overflowed: u64 = self.slots().map(|slot| slot.counters.overflowed_tasks.load(Ordering::Relaxed)).sum();
        self.injector.accepted_total().saturating_sub(overflowed)
    }
}

/// The slot on whose wheel this thread arms timers: its worker's own, or the shared one.
fn timer_slot_here(timers: &Timers) -> usize {
    // SAFETY: set while the worker runs on this thread.
    if let Some(local) = unsafe { LOCAL.get().as_ref() } {
        // SAFETY: the thread that runs the worker keeps its runtime.
        let shared = unsafe { &*local.shared };
        if ptr::eq(&raw const shared.parts.timers, timers) && local.index < shared.config.workers && local.is_active() {
            return local.index;
        }
    }
    timers.shared_slot()
}

impl Unpark for Shared {
    fn unpark_for_timer(&self) {
        self.wake_worker_for_injected();
    }
}

impl Schedule for Shared {
    fn schedule(&self, runnable: Runnable) {
        // As in `inject`: if the runtime has closed, only the reference is dropped.
        drop(self.try_schedule(runnable));
    }

    fn request_trim(&self) {
        self.wake_worker_for_injected();
    }

    fn is_kept_by_this_thread(&self) -> bool {
        local::runs_here(self)
    }

    fn task_panicked(&self) {
        local::note_panic();
        if self.config.unhandled_panic == UnhandledPanic::ShutdownRuntime {
            // Release: pairs with the Acquire in `block_on::has_panicked`.
            self.has_unhandled_panic.store(true, Ordering::Release);
            self.close();
            self.wake_sleeper();
            let roots = std::mem::take(&mut *self.panic_wakers.lock());
            roots.into_iter().for_each(Waker::wake);
        }
    }

    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>) {
        panic.report(self.config.task_hooks.on_unjoined_panic.as_ref());
    }
}

//! One runtime: the state of each mechanism, and the types that point back to the whole.
//!
//! This file has data and plain reads. The operations on the data are in the files that use this one: `wake`, `enter`, `leave`,
//! `start`, `local`, `submit`, `stand_in`, and the loop.

#![expect(unsafe_code, reason = "a location in an atomic pointer; a worker has raw pointers to its runtime")]

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Waker;
use std::time::Instant;

use super::choices::{Flavor, RuntimeFlavor};
use super::config::Config;
use super::id::Id;
use super::idle::{Idle, Searching};
use super::injector::Injector;
use super::instrumentation::PollInstrumentation;
use super::local_queue::LocalQueue;
use super::parking::Parking;
use super::phase::Phase;
use super::rescue::detector::StallDetector;
use super::rescue::poll_mark::is_polling;
use super::slot::{WorkerSlot, WorkerSlots};
use super::workers::Workers;
use crate::attach::Listed;
use crate::blocking::task::BlockingPool;
use crate::collections::wake_list::WakeList;
use crate::current::Parts;
use crate::driver::EventBuffer;
use crate::observe::coarse;
use crate::observe::nodes::NodeRegistry;
use crate::observe::roots::Roots;
use crate::observe::task_info::TaskInfo;
use crate::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::primitives::parker::Parker;
use crate::primitives::rng::Rng;
use crate::primitives::spin::Spin;
use crate::primitives::{Mutex, baton, thread};
use crate::sys::fork::{self, Process};
use crate::task::header::Header;
use crate::task::slab::TaskSlab;

/// One runtime.
pub(crate) struct Shared {
    pub(crate) id: Id,
    /// The thread that built the runtime. A local runtime stays there.
    pub(super) home: thread::ThreadId,
    pub(crate) config: Config,
    pub(crate) slab: Arc<TaskSlab>,
    pub(crate) parts: Parts,
    pub(crate) blocking: BlockingPool,
    /// What task groups will start although no task is alive: groups with clean-ups to spawn, and closures without a place.
    pub(crate) due_in_groups: AtomicUsize,
    /// The task groups and supervisors.
    pub(crate) nodes: NodeRegistry,
    pub(crate) instrumentation: PollInstrumentation,
    pub(crate) injector: Injector<Header>,
    pub(crate) idle: Idle,
    pub(crate) parking: Parking,
    /// The process that has its threads.
    pub(super) process: Process,
    pub(super) phase: Phase,
    pub(super) has_shut_down: AtomicBool,
    /// The runtime shuts down because of a panic (`UnhandledPanic::ShutdownRuntime`).
    pub(crate) has_unhandled_panic: AtomicBool,
    /// The wakers of threads in `block_on` that do not run the loop, if a panic may end the runtime.
    pub(crate) panic_wakers: Mutex<Vec<Waker>>,
    pub(super) slots: WorkerSlots,
    /// The earliest deadline of the common wheels, or time to trim, to which a parked worker sleeps. It is `u64::MAX` if none does
    /// (`cover` of `park`).
    pub(crate) covered: AtomicU64,
    pub(crate) workers: Workers,
    pub(crate) stall_detector: StallDetector,
    /// Attach requests see the runtime while this is there.
    pub(crate) listed: OnceLock<Listed>,
    /// Of a current-thread runtime.
    pub(crate) core: Mutex<Core>,
    /// The futures of `block_on`.
    pub(crate) roots: Roots,
    /// The last caller of `block_on`.
    pub(super) root: AtomicPtr<Location<'static>>,
    pub(super) started: Instant,
    /// `started` on the coarse clock of the process.
    pub(super) started_coarse_ms: u32,
    pub(super) me: Weak<Shared>,
    pub(super) thread_mains: ThreadMains,
}

/// The main functions of a runtime's threads. `build` passes them in, because their file is above those that start threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThreadMains {
    /// Of the worker with this index.
    pub(super) worker: fn(&Arc<Shared>, usize),
    pub(super) standby: fn(&Arc<Shared>),
}

/// The only worker of a current-thread runtime, and what one `block_on` keeps for the next.
#[derive(Debug, Default)]
pub(crate) struct Core {
    /// `None` while a thread runs it.
    pub(crate) worker: Option<Box<Worker>>,
    /// Threads in `block_on` that wait for the worker.
    pub(crate) waiters: Vec<Arc<RootWaker>>,
    /// A root's waker that no other code holds, for the next root.
    pub(crate) spare: Option<RootWakers>,
}

/// A root's waker, and the state that it sets.
#[derive(Debug)]
pub(crate) struct RootWakers {
    pub(crate) woken: Arc<RootWaker>,
    pub(crate) waker: Waker,
}

/// Wakes the root of a current-thread runtime.
#[derive(Debug)]
pub(crate) struct RootWaker {
    /// Weak: the runtime keeps one of these for its next root.
    pub(super) shared: Weak<Shared>,
    pub(crate) is_woken: AtomicBool,
    /// Unparked by the root's waker, and by the thread that returns the core.
    pub(crate) parker: Parker,
}

/// One worker: the part that only its own thread touches.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Behind a pointer: code inside a poll reaches it through `LOCAL` while `&mut self` is in use.
    pub(super) local: Box<Local>,
    /// The number of polls at the last park. If it has not changed by the next park, the wake-up was a no-op.
    pub(super) polls_at_park: u64,
    /// The polls that `counters.poll_ns` covers.
    pub(super) polls_timed: u64,
    pub(super) thread: Option<thread::PublicId>,
    pub(super) tick: u32,
    /// Polls between two checks of the injector. It follows from `poll_ns`, the smoothed time of a poll.
    pub(super) injector_interval: u32,
    pub(super) poll_ns: f64,
    pub(super) driver_polled_at: Instant,
    /// Until then the start of a loop does not update the coarse clock.
    pub(super) coarse_until: Instant,
    /// Since when it has left the driver to the lease holder.
    pub(super) lease_wait_since: Option<Instant>,
    pub(super) lifo_streak: u32,
    /// Polls between two polls of the driver.
    pub(super) driver_interval: u32,
    /// At the start of a poll, this many tasks in the ring are worth a wake.
    pub(super) offer_from: usize,
    pub(super) searching: Option<Searching>,
    /// How long it spins before it parks, by the sleeps that a push from outside has ended.
    pub(super) spin: Spin,
    pub(super) is_spare: bool,
    pub(super) laps: u32,
    pub(super) rng: Rng,
    pub(super) events: EventBuffer,
    pub(super) wakers: WakeList,
}

// SAFETY: a worker moves between threads only while no thread runs it. The raw pointers are to its runtime, which the
// thread that runs it keeps alive.
unsafe impl Send for Worker {}

/// The part of a worker that code on its thread reaches during a poll.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) shared: *const Shared,
    /// The same; null while wakes and spawns are recorded. So these need no test of their own (`submit`).
    pub(super) direct: Cell<*const Shared>,
    pub(super) index: usize,
    pub(super) slot: *const WorkerSlot,
    pub(super) queue: LocalQueue,
    /// This thread has not run user code. It starts its successor before it does (`one-ahead` of `start`).
    pub(super) is_clean: Cell<bool>,
    /// Tasks queued here since the last `publish`.
    pub(super) scheduled: Cell<u32>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("id", &self.id).field("config", &self.config).finish_non_exhaustive()
    }
}

impl Shared {
    /// A weak reference to this runtime.
    pub(super) fn weak(&self) -> Weak<Self> {
        Weak::clone(&self.me)
    }

    /// A reference to this runtime.
    pub(crate) fn arc(&self) -> Arc<Self> {
        self.me.upgrade().expect("`&self` comes from an `Arc` that is alive")
    }

    pub(crate) fn flavor(&self) -> RuntimeFlavor {
        self.config.flavor.for_users()
    }

    /// Panics in a forked child of the process that built this runtime; see `sys::fork`.
    #[inline]
    #[track_caller]
    pub(crate) fn expect_own_process(&self, what: &str) {
        if !self.process.is_current() {
            fork::panic_in_child(what, None);
        }
    }

    /// Panics if the runtime belongs to a simulated world to which this thread does not belong.
    pub(crate) fn expect_own_world(&self, what: &str) {
        if let Some(baton) = &self.config.baton {
            assert!(
                baton.is_here(),
                "{what} was called on thread `{}`, which does not belong to the simulated world of the runtime. Call it on a thread of \
                 the world: that of a host, or one of `spawn_blocking`.",
                thread::current_name()
            );
            assert!(
                baton::is_dead() || !self.config.has_crashed(),
                "{what} was called on a runtime of a host that has crashed. The program keeps it in a static, which a crash in a simulated \
                 world does not reset. Build a new runtime in the function of the host."
            );
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

    /// Whether the loop has to do more than poll the next task.
    #[inline]
    pub(crate) fn is_closed_or_stalled(&self) -> bool {
        self.phase.is_closed_or_stalled()
    }

    /// Set only by the monitor. A hint: the worker re-checks its own state.
    pub(crate) fn set_has_stalled(&self, has_stalled: bool) {
        self.phase.set_has_stalled(has_stalled);
    }

    /// From now on only tasks and closures of this runtime may start more work.
    pub(crate) fn start_draining(&self) {
        self.phase.start_draining();
    }

    #[inline]
    pub(crate) fn slot(&self, index: usize) -> &WorkerSlot {
        self.slots.get(index)
    }

    /// The number of slots for spares: as many as may run.
    pub(crate) fn spare_slots_max(&self) -> usize {
        self.slots.spares_max()
    }

    /// The slots that are in use or were in use before.
    pub(crate) fn slots(&self) -> impl ExactSizeIterator<Item = &WorkerSlot> {
        self.slots.used()
    }

    /// Makes the slot visible to searchers.
    pub(crate) fn use_slot(&self, index: usize) -> &WorkerSlot {
        self.slots.enable(index)
    }

    /// The wheels that no active worker owns: the shared one, and those of blocked and stalled workers.
    pub(crate) fn common_wheels(&self) -> impl Iterator<Item = usize> {
        let workers = self.config.workers;
        let has_inactive = self.workers.states.has_inactive();
        let inactive = (0..if has_inactive { workers } else { 0 }).filter(|index| !self.slot(*index).state.is_active());
        std::iter::once(workers).chain(inactive)
    }

    /// Milliseconds since the runtime's start.
    pub(crate) fn ms_at(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis() as u64
    }

    /// Updates the coarse clock of the process. Returns the milliseconds since the runtime's start.
    #[inline]
    pub(crate) fn update_coarse_clock(&self, now: Instant) -> u64 {
        let ms = self.ms_at(now);
        coarse::set(self.started_coarse_ms.wrapping_add(ms as u32));
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

    /// Adds the threads that poll tasks to the descriptions of these.
    pub(crate) fn describe_running(&self, tasks: &mut [TaskInfo]) {
        for slot in self.slots() {
            let polls = slot.mark.polls();
            let polled = slot.mark.task_of(polls, |task| self.slab.ref_at(task)).filter(|_| is_polling(polls));
            let Some(polled) = polled else { continue };
            let thread = Some(slot.thread.load(Ordering::Relaxed)).filter(|thread| *thread != 0);
            tasks.iter_mut().filter(|task| task.id == polled.id()).for_each(|task| task.thread = thread);
        }
    }

    /// The number of times that a thread that is not a worker queued a task: all that went through the injector, without the overflow
    /// of full run queues.
    pub(crate) fn remote_schedules(&self) -> u64 {
        let overflowed: u64 = self.slots().map(|slot| slot.counters.overflowed_tasks.load(Ordering::Relaxed)).sum();
        self.injector.accepted_total().saturating_sub(overflowed)
    }
}

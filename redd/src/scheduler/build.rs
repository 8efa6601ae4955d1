//! Makes a runtime from what its builder decided.

#![expect(unsafe_code, reason = "gives the slab its owner")]

use std::io;
use std::ptr;
use std::sync::{Arc, OnceLock, Weak};

use super::choices::{Flavor, MAX_SPARES};
use super::config::Config;
use super::id::Id;
use super::idle::Idle;
use super::injector::Injector;
use super::instrumentation::PollInstrumentation;
use super::local::timer_slot_here;
use super::parking::Parking;
use super::phase::Phase;
use super::rescue::detector::StallDetector;
use super::shared::{Shared, ThreadMains};
use super::slot::WorkerSlots;
use super::submit::Stamping;
use super::thread_main::{standby_thread, worker_thread};
use super::workers::{Workers, new_slot};
use crate::blocking::pool::PoolConfig;
use crate::blocking::task::BlockingPool;
use crate::current::{Enabled, Parts};
use crate::driver::Driver;
use crate::observe::coarse;
use crate::observe::nodes::NodeRegistry;
use crate::observe::roots::Roots;
use crate::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};
use crate::primitives::{Mutex, thread};
use crate::sys::fork::Process;
use crate::task::runnable::Schedule;
use crate::task::slab::TaskSlab;
use crate::time::clock::Clock;
use crate::time::timers::{Timers, Unpark};

impl Shared {
    pub(crate) fn new(config: Config) -> io::Result<Arc<Self>> {
        let driver = Arc::new(Driver::new()?);
        let clock = if config.start_paused { Clock::new_paused() } else { Clock::new() };
        let started = clock.start();
        // A multi-thread runtime has one more cache, for a thread in `block_on`.
        let guests = usize::from(config.flavor == Flavor::MultiThread);
        let slab = TaskSlab::new(config.workers + guests, config.task_hooks.clone());
        let stall_detector = StallDetector::new(&config.rescue, config.observe && config.flavor != Flavor::MultiThread);
        let shared = Arc::new_cyclic(|me| Self {
            id: Id::next(),
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
            blocking: BlockingPool::new(PoolConfig {
                max_threads: config.max_blocking_threads,
                keep_alive: config.thread_keep_alive,
            }),
            due_in_groups: AtomicUsize::new(0),
            nodes: NodeRegistry::default(),
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
                (0..config.workers).map(|index| new_slot(&config, index)).collect(),
                MAX_SPARES.max(config.rescue.max_workers),
            ),
            covered: AtomicU64::new(u64::MAX),
            workers: Workers::default(),
            stall_detector,
            listed: OnceLock::new(),
            core: Mutex::default(),
            roots: Roots::default(),
            root: AtomicPtr::new(ptr::null_mut()),
            started,
            started_coarse_ms: coarse::at(started),
            me: me.clone(),
            thread_mains: ThreadMains { worker: worker_thread, standby: standby_thread },
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
}

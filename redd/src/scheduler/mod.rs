//! Which task runs next, and on which thread.
//!
//! `shared` is one runtime: its queues, its workers' slots, its driver, timers and blocking pool. A runnable task goes to the run
//! queue of the worker that woke it, or to the injector if it was woken from outside.
//!
//! The files in order: each uses only those before it, and the data of `rescue` (`options`, `poll_mark`, `detector`).
//!
//! | file | what is in it |
//! |---|---|
//! | `choices`, `id`, `config`, `pace` | what a builder decided; the tuning constants |
//! | `run_queue`, `injector`, `local_queue` | the tasks of one worker, and the tasks from other threads |
//! | `idle`, `parking`, `phase`, `running_loops` | how many workers are parked or search, where they sleep; how far the shutdown is |
//! | `worker_states`, `slot`, `instrumentation` | one worker as the other threads see it |
//! | `spares`, `workers` | the threads, and the spare workers that wait |
//! | `shared` | all of these together: one runtime |
//! | `wake`, `enter`, `leave` | wake-ups; the current runtime; the end of a runtime |
//! | `thread_names`, `start` | what threads are named; threads, each of which starts the next |
//! | `local`, `submit`, `root`, `closures` | the worker that a thread is; how tasks are queued; closures for the pool |
//! | `stand_in`, `rescue` | a spare runs in the place of a worker; the detection of stalled workers |
//! | `timing`, `park`, `search`, `worker` | what the loop measures, how it parks, where its next task comes from, and the loop |
//! | `thread_main`, `build` | what the threads run; how a runtime is made |

mod build;
pub(crate) mod choices;
pub(crate) mod closures;
pub(crate) mod config;
pub(crate) mod enter;
pub(crate) mod id;
mod idle;
pub(crate) mod injector;
mod instrumentation;
pub(crate) mod leave;
pub(crate) mod local;
mod local_queue;
mod pace;
mod park;
mod parking;
mod phase;
pub(crate) mod rescue;
pub(crate) mod root;
mod run_queue;
mod running_loops;
mod search;
pub(crate) mod shared;
pub(crate) mod slot;
mod spares;
pub(crate) mod stand_in;
pub(crate) mod start;
mod submit;
mod thread_main;
mod thread_names;
mod timing;
mod wake;
pub(crate) mod worker;
mod worker_states;
mod workers;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/scheduler.rs"]
pub(crate) mod models;

//! Simulated worlds: one seed decides the schedule, the clock and all random choices of a program.
//!
//! A [`World`] has hosts. Each is a function that may be the unmodified `main` of a program: the runtime that it builds finds itself in
//! the world. [`#[redd::test(sim, seeds = 200)]`](crate::test) runs a test in 200 worlds of one host each.
//!
//! - Time is virtual. It moves to the next timer when no thread of the world can run. There is one exception, so that a loop ends that polls
//!   until a deadline: after 100,000 polls at one instant, each further poll takes 10 µs, until all threads wait.
//! - Which thread runs, and which of its ready tasks a worker polls, is chosen by the seed before each poll.
//! - A run fails if a host panics, if a panic is not joined, if nothing can happen any more, and if a thread from outside interferes.
//! - [`Report::event_hash`] is the hash of everything that happened. Two runs of one seed of one program have the same hash.
//!
//! # What happens while it runs
//! [`World::at`] and [`World::every`] add steps to the script of the world: a closure gets a [`Control`], by which hosts crash and are
//! restarted, get signals, and are cut off from each other. [`World::faults`] injects random faults. [`World::always`] adds an invariant
//! that is checked whenever everything waits. The [`Report`] lists what was done, and what has become of each host.
//!
//! # Exploring
//! [`World::explore`] chooses how the orders are explored: [`Explore`]. A run is also a [`Tape`]: its deviations from the plain order.
//! [`World::replay`] repeats it, and [`World::shrink`] looks for the tape with the fewest deviations that fails in the same way.
//!
//! `cargo redd explore TEST` runs a test with many seeds, in fresh processes. `cargo redd check TEST` checks that a seed repeats itself.
//!
//! # Variables
//! | Variable of the environment | Its effect on tests with `sim` and on [`seeds`] |
//! |---|---|
//! | `REDD_SEED=7`, `REDD_SEED=100..200` | only these seeds run |
//! | `REDD_EXPLORE=pct:3` | the strategy: `plain`, `random`, `pct:DEPTH`, `delay:BUDGET` |
//! | `REDD_TAPE=812:1/3t` | replays this tape, or the one in the file of that name. Needs `REDD_SEED` |
//! | `REDD_SHRINK=500` | shrinks the first failing run in at most 500 runs, and shows it in words |
//!
//! # What is not simulated
//! - Pipes, child processes, standard input and sockets that were opened without redd return an error of kind `Unsupported`, which names the
//!   call and its task. The sockets of [`net`](crate::net) are simulated.
//! - Files of `std::fs` are real ones. Those of [`redd::fs`](crate::fs) are on a disk of the host: [`Disk`].
//! - The path of a Unix socket is a name in the network of the host, and no file. [`fs::remove_file`](crate::fs::remove_file) and
//!   [`fs::rename`](crate::fs::rename) know it. Metadata and listings of directories do not.
//! - `std::time` shows the real time and `HashMap` has random keys, unless the program is linked with the package `redd-sim-libc`.
//! - Threads of `std::thread` do not belong to the world.
//!
//! What a program does with these can make runs of one seed differ. Then their hashes usually differ, too.
//!
//! # Examples
//! ```
//! use redd::sim::World;
//! use redd::time::{Duration, sleep};
//!
//! #[redd::main(flavor = "current_thread")]
//! async fn main_of_a_program() {
//!     sleep(Duration::from_secs(3600)).await;
//! }
//!
//! let run = || World::new(7).host("one", main_of_a_program).host("two", main_of_a_program).run();
//! let report = run();
//! report.expect_ok();
//! assert_eq!(report.elapsed(), Duration::from_secs(3600));
//! assert_eq!(report.event_hash(), run().event_hash());
//! ```

// # Design
//
// The code of the runtime does not know that it is simulated. It calls the same functions as ever, and these ask the baton
// (`primitives::baton`). Outside of a world that costs one relaxed load.
//
// | Functions of | In a world |
// |---|---|
// | `primitives::futex` | parkers, the event count, the pool and `blocking_*` wait for a wake in the schedule; a wake chooses a waiter by seed |
// | `driver::Driver` | its wait is a parker with a timeout, and its wake unparks; events of sockets come from the network (`driver::simulated`) |
// | `driver::operations` | sockets of `net` are those of the network; each has a real socket for options (`driver::shadows`) |
// | `primitives::clock` | virtual time |
// | `primitives::thread` | workers, standbys and pool threads start and are joined in the schedule |
// | `primitives::seed` | seeds of runtimes and threads come from the seed of the world |
// | `fs::operations` | files are those of the host's disk (`disk`) |
//
// Decisions:
// - **The baton passes where a thread waits, ends, or is about to poll a task.** No lock of redd is held there. So no thread of a world
//   ever waits for a lock of redd that another thread of that world holds, and none spins for one.
// - **Any wait may return early.** Parkers, the event count and the driver permit that already. So a thread that waits can be used to call
//   the wakers of `settle`, and to begin a failure: it does that and returns, because the wakers may have filled its own queue.
// - **A multi-thread runtime has one worker.** More of them would only add schedules in which tasks move, and every order of polls exists
//   with one. Spares for `block_in_place` are threads of the world.
// - **The monitor is off**, and with it rescue, diagnoses and attach requests: its thread would look at real time. A world that fails
//   for want of events has the dump with its diagnoses.
// - **The choice of a task is made where a worker turns to the injector at an interval.** In a world that interval is 1. So no other run
//   has a new branch for it.
// - **A host has incarnations, and a thread belongs to one of them** (`baton::hosts`). A crash adds one to a number, so all threads of the
//   old incarnation are dead at once. They find out where user code would run next: before a poll of a task, of a `block_on` and of
//   `blocking_*`, and before a closure of the pool. There they cancel instead, or unwind. No thread is stopped in the middle of redd.
// - **The script is the world's director** (`baton::director`): a thread that acts at its times, and whenever all others wait. So its
//   closures may do what any code of a world may do, and they are part of the order that the seed decides.
// - **All threads of a world share a CPU** (`baton::cpu`), so that the baton passes without waking another one.
// - **Polls, spawns and wakes are recorded where the flight recorder records them**, behind branches that exist.
//
// Where determinism could leak, and what is done:
// - Addresses: keys of waits are addresses, and only compared for equality. Large tasks are cancelled in the order of their ids.
// - Ids of tasks and threads are numbers of the process. In events a task has the number of its first appearance.
// - Thread-local destructors run after the function of a thread: the baton passes in the last of them.
// - The coarse clock of the process is not written by threads of a world. Ages in the dump of a world are therefore those of the process.
// - A `LocalSet` has queues of its own: `LocalSet::tick` chooses by seed, too. Wakes of its tasks are no events, and their polls are.

mod chance;
pub(crate) mod check;
mod control;
mod difference;
mod disk;
mod explore;
mod explore_kept;
mod explore_variables;
mod faults;
mod host_report;
mod hosts;
#[doc(hidden)]
pub mod interposed;
mod links;
mod report;
mod script;
mod settle;
mod shrink;
mod told;
mod verdict;
mod world;

pub use chance::chance;
pub use check::{Seeds, seeds};
pub use control::Control;
pub use disk::Disk;
pub use faults::Faults;
pub use host_report::{HostOutcome, HostReport};
pub use report::{Failure, FailureKind, Fault, Report};
pub use settle::{Settle, settle};
pub use shrink::Shrunk;
pub use verdict::Verdict;
pub use world::World;

pub use crate::primitives::baton::{Explore, ExploreError, Tape, TapeError};

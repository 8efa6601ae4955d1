//! Rescue: stalled workers are detected, and the work that waits behind them runs elsewhere.
//!
//! `scan` compares the workers with the last scan, as `detector` remembers it. `monitor_thread` is the process's thread that scans
//! when no worker does: `alarm` runs its turn, which `monitor` takes with what `track` knows of each poll. `decide` chooses what
//! to do. `stacks` shows what the threads do, on request. `options` is what a builder chose. What the program gets to know is in `observe::late_poll`.
//!
//! # When a scan runs
//! 1. A worker calls `maybe_scan` when it polls the driver and when it wakes. It scans if the last scan is a **step** ago (half the
//!    threshold, 5 ms).
//! 2. A scan compares every slot's `polls` with those of the last scan, and sets the monitor's alarm to a **threshold** from now
//!    (10 ms). So the alarm fires only if no worker scans for that long.
//! 3. A poll that the last scan saw too is a *suspect*. Then the alarm fires at once.
//! 4. From then on the monitor scans itself, a turn each step, until there is no suspect.
//!
//! - A poll is suspect 5 to 10 ms after it began if another worker is awake, and 10 to 15 ms after if none is.
//! - Under load the monitor never runs: scans cost the workers a lock and a `timerfd_settime` each 5 ms.
//! - When all workers are parked, the alarm fires once, and the monitor finds no poll. From then on the last worker to park stops
//!   the alarm, and the first to wake sets it (*eager*). So a runtime that has work every now and then has no
//!   wake-ups besides its own. This mode ends after many stops within a step each: there two system calls each time cost
//!   more than one wake-up in the end.
//! - A runtime without work has the alarm stopped, and no wake-ups at all.
//! - A current-thread runtime is monitored from its first scan at an age of 100 ms on.
//!
//! # Invariants
//! - `guarded-while-awake`: while an active worker is awake, the alarm is set. The thread that stops the alarm first sets `due` to
//!   0 and then counts the parked workers. A worker that wakes first leaves the park and then reads `due` (fence
//!   `guard-vs-wake`).
//! - `alarm-under-lock`: the alarm is set and stopped under the lock, and no longer after `has_ended`. So a runtime that
//!   has ended is left alone.
//! - `no-mark`: the future of `block_on` on a current-thread runtime has no mark, so that its polls cost nothing. Its worker
//!   is in it if for a step it is not parked, polls no task, and does not scan (`due`).
//! - `own-gap`: an alarm that arrives late says nothing about the workers. The monitor was kept from running (a stopped process,
//!   too few CPUs), and so may have been the workers. The delay does not count, and nothing is done before the next scan.
//!   The exception is a poll that has had so much CPU time that it computes.
//!
//! # Why not otherwise
//! A thread that samples every 10 ms doubles the context switches of a runtime that wakes every 10 ms. A thread that backs off
//! is late when it matters. A signal per worker would interrupt the system calls that it looks for.

pub(crate) mod alarm;
mod decide;
pub(crate) mod detector;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../../models/scheduler_rescue.rs"]
mod models;
mod monitor;
pub(crate) mod monitor_thread;
pub(crate) mod options;
pub(crate) mod poll_mark;
mod scan;
pub(crate) mod stacks;
mod track;

pub use options::Rescue;

//! Rescue: stalled workers are detected, and the work that waits behind them runs elsewhere.
//!
//! `scan` compares the workers with the last scan, which `detector` stores. `monitor_thread` is the process's thread that scans
//! when no worker does. It runs a turn (`alarm`, `monitor`), with what `track` has recorded of each poll. `decide` chooses the
//! action. `stacks` shows what the threads do, on request. `options` has the builder's choices. The reports to the program are in `observe::late_poll`.
//!
//! # When a scan runs
//! 1. A worker calls `maybe_scan` when it polls the driver and when it wakes. It scans if the last scan was at least a **step** ago
//!    (half the threshold, 5 ms).
//! 2. A scan compares every slot's `polls` with those of the last scan, and sets the monitor's alarm to a **threshold** from now
//!    (10 ms). So the alarm fires only if no worker scans for that long.
//! 3. A worker in a poll that the last scan also saw is a *suspect*. Then the alarm fires at once.
//! 4. From then on the monitor scans itself, a turn each step, until there is no suspect.
//!
//! - A worker becomes a suspect 5 to 10 ms after its poll began if another worker is awake, and 10 to 15 ms after if none is.
//! - Under load the monitor never runs. The scans cost the workers a lock and a `timerfd_settime` each 5 ms.
//! - When all workers are parked, the alarm fires once, and the monitor finds no poll. From then on the last worker to park disarms
//!   the alarm, and the first to wake arms it (*eager*). So a runtime that has work occasionally has no wake-ups besides its own.
//!   This mode ends after many stops within a step of each other: two system calls for each stop would cost more than the one
//!   wake-up.
//! - In a runtime without work the alarm is disarmed, and there are no wake-ups at all.
//! - A current-thread runtime is monitored from its first scan at an age of 100 ms on.
//!
//! # Invariants
//! - `armed-while-awake`: while an active worker is awake, the alarm is armed. A thread that disarms it first sets `due` to
//!   0 and then counts the parked workers. A worker that wakes first leaves the park and then reads `due` (fence
//!   `disarm-vs-wake`).
//! - `alarm-under-lock`: the alarm is armed and disarmed under the lock, and not after `has_ended`. So the monitor does nothing for a
//!   runtime that has ended.
//! - `no-mark`: the future of `block_on` on a current-thread runtime has no mark, so that its polls cost nothing. The worker polls
//!   that future if, for a step, it is not parked, polls no task, and does not scan (`due`).
//! - `own-gap`: an alarm that arrives late is no evidence against the workers. The monitor could not run (a stopped process, too
//!   few CPUs), and perhaps the workers could not either. The delay is not counted, and no action is taken before the next scan.
//!   The exception is a poll that has had so much CPU time that it computes.
//!
//! # Why not otherwise
//! A thread that samples every 10 ms doubles the context switches of a runtime that wakes every 10 ms. A thread that backs off
//! is late when it matters. A signal per worker would interrupt the very system calls that it is to detect.

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
pub(crate) use scan::sleeps_with_root;

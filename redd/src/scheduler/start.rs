//! Worker threads: each one starts the next before it first runs user code.
//!
//! Called by the runtime (`start_first`, `park`), by `worker`, `stand_in`, `thread_main` and `rescue` (`start_successor`, `retry_if_due`,
//! `start_if_refused`, `retry_refused`, `retry_if_lacking`).
//!
//! User code is a task, a hook, or a waker that is not redd's. A thread that has not run any is *clean*: its signal mask, CPUs,
//! working directory, namespaces and capabilities are those of the thread that called `build`.
//!
//! # Invariants
//! - `one-ahead`: a clean thread starts its successor before it first runs user code: the next worker that has no thread or,
//!   once all have one, a standby spare. So there is always one clean thread, unless the system has refused one: it sleeps,
//!   searches, waits as the standby, or is about to.
//! - `clean-parents`: while the system refuses nothing, only clean threads start threads, so that no worker or spare inherits
//!   what a task, a hook or the thread of a waker has changed. After a refusal no thread is clean. Then a worker between
//!   two polls, `block_in_place`, a thread in `block_on` or the monitor starts the next one: a refused thread must not stall the
//!   runtime.
//! - `started-under-lock`: a thread is started and listed for the shutdown to join under the lock of `Workers::threads`, and
//!   only if `alive` is not 0 there. The shutdown takes the list under that lock, after `alive` became 0. So it joins
//!   the thread, or the thread never starts.
//!
//! # Why not otherwise
//! A waker that finds all workers busy could start a thread at the right moment. But its own thread may belong to another network
//! namespace or have all signals blocked. It may hold any lock, and a start takes 10 to 20 µs of its time. Decision 0013.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::config::Config;
use super::leave::{finish, leave};
use super::shared::Shared;
use super::spares::Started;
use super::thread_names::{self, ThreadRole};
use super::worker_states::join_unless_ended;
use super::workers::{Threads, drop_ended, workers_at_build};
use crate::observe::report::{self, ReportKind};
use crate::primitives::atomic::Ordering;
use crate::primitives::parker::Parker;
use crate::time::clock::real_now;

/// How long a busy worker waits after a refusal before it tries again, in milliseconds. Not measured.
const RETRY_INTERVAL_MS: u64 = 1000;

/// How long a clean thread waits before each further attempt. Many refusals last only a few milliseconds. Not measured.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(4)];

/// How long a thread that is about to block as the last active worker waits for a refused thread. Not measured.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(1);

/// The longest pause between two attempts while no worker is active. Not measured.
const REFUSED_PAUSE_MAX: Duration = Duration::from_millis(50);

/// Why a thread is to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// `one-ahead`: the caller is clean, and about to run user code.
    Successor,
    /// A thread has been refused, and the system may grant it now.
    Retry,
    /// A spare is needed, or a worker if some have no thread.
    Need,
    /// As many spares run as allowed, so only a worker can start.
    NeedOfWorker,
}

/// Starts the workers that start with the runtime. If the system refuses one, the started ones end and the refusal is
/// returned.
pub(crate) fn start_first(shared: &Arc<Shared>) -> io::Result<()> {
    let count = workers_at_build(&shared.config);
    let mut names: Vec<_> = (0..shared.config.workers).map(|_| shared.config.name_thread()).collect();
    names.reverse();
    // Two: a standby starts its successor before it makes the name of the one after that.
    let standby_names = (0..2).map(|_| shared.config.name_thread()).collect();
    let workers = &shared.workers;
    {
        let mut threads = workers.threads.lock();
        (threads.unstarted, threads.standby_names) = (names, standby_names);
    }
    workers.alive.store(count, Ordering::Relaxed);
    workers.states.join(count);
    for index in 0..count {
        let started = workers.threads.lock().start_worker(shared);
        if let Err(error) = started {
            // The workers that never started count as having left.
            let missing = count - index;
            // AcqRel: pairs with the decrement in `leave`.
            if workers.alive.fetch_sub(missing, Ordering::AcqRel) == missing {
                finish(shared);
            }
            return Err(shared.config.explain_failed_build(index, error));
        }
    }
    Ok(())
}

impl Threads {
    fn start_worker(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        let worker = shared.thread_mains.worker;
        let index = shared.config.workers - self.unstarted.len();
        let name = self.unstarted.last().expect("the caller has checked that there is one").clone();
        self.start(shared, ThreadRole::Worker(index), name, move |shared| worker(shared, index))?;
        self.unstarted.pop();
        Ok(())
    }

    fn start_standby(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        drop_ended(&mut self.started);
        // Several standbys may be called before the first has made its name; then two threads share one.
        let name = self.standby_names.pop_front().unwrap_or_else(|| self.last_name.clone());
        let slot = shared.workers.spares.lock().reserve_slot(shared.spare_slots_max());
        let started = self.start(shared, ThreadRole::Spare(slot), name.clone(), shared.thread_mains.standby);
        match started {
            Ok(()) => self.last_name = name,
            Err(_) => self.standby_names.push_front(name),
        }
        started
    }

    fn start(
        &mut self,
        shared: &Arc<Shared>,
        role: ThreadRole,
        name: Option<String>,
        run: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> io::Result<()> {
        let mine = Arc::clone(shared);
        let thread = thread_names::spawn(role, name, shared.config.thread_stack_size, move || run(&mine))
            .map_err(|error| shared.config.explain_refusal(error))?;
        self.started.push(thread);
        Ok(())
    }
}

/// `one-ahead`: this thread is clean, and is about to run user code.
#[cold]
pub(super) fn start_successor(shared: &Shared) {
    let mut outcome = start_next(shared, Reason::Successor);
    for pause in PAUSES {
        if !matches!(outcome, Started::Refused(_)) {
            return;
        }
        Parker::new().park_timeout(pause);
        // Another thread may have started it meanwhile.
        outcome = start_next(shared, Reason::Retry);
    }
    if let Started::Refused(error) = outcome {
        report_refusal(shared, &error);
    }
}

/// Retries the start of a refused thread if `RETRY_INTERVAL_MS` have passed. Called by a worker between two polls.
#[inline]
pub(super) fn retry_if_due(shared: &Shared, now: u64) {
    if now >= shared.workers.retry_at.load(Ordering::Relaxed) {
        retry(shared);
    }
}

fn is_retry_due(shared: &Shared) -> bool {
    shared.ms_at(real_now()) >= shared.workers.retry_at.load(Ordering::Relaxed)
}

#[cold]
fn retry(shared: &Shared) {
    // The swap lets one of several workers try. A refusal sets the next time.
    if shared.workers.retry_at.swap(u64::MAX, Ordering::Relaxed) != u64::MAX {
        drop(start_next(shared, Reason::Retry));
    }
}

/// A spare is needed, and none waits. `Yes` means that one is starting, or that there is a clean thread that starts it
/// (`one-ahead`).
pub(super) fn start_if_refused(shared: &Shared, may_be_spare: bool) -> Started {
    start_next(shared, if may_be_spare { Reason::Need } else { Reason::NeedOfWorker })
}

/// Repeats a start that the system has refused; `outcome` is its result. The caller is about to block as the last active worker, so
/// perhaps no other thread tries again. The caller does, for up to [`REFUSED_WAIT_MAX`], before it blocks.
pub(super) fn retry_refused(shared: &Shared, mut outcome: Started) -> Started {
    let (mut waited, mut pause) = (Duration::ZERO, PAUSES[0]);
    while matches!(outcome, Started::Refused(_)) && waited < REFUSED_WAIT_MAX {
        Parker::new().park_timeout(pause);
        waited += pause;
        pause = (pause * 2).min(REFUSED_PAUSE_MAX);
        // Another thread may have started it meanwhile.
        outcome = if shared.workers.states.active() > 0 { Started::Yes } else { start_if_refused(shared, true) };
    }
    outcome
}

/// Parks a thread in `block_on`. While no worker is active, it retries the start of a refused thread: perhaps no other thread does.
pub(crate) fn park(shared: &Shared, parker: &Parker) {
    while lacks_worker(shared) {
        if parker.park_timeout(REFUSED_PAUSE_MAX) {
            return;
        }
        retry_if_lacking(shared);
    }
    parker.park_unless_dead();
}

/// Whether the system has refused a thread and no worker is active.
fn lacks_worker(shared: &Shared) -> bool {
    // Relaxed: a hint. It is `u64::MAX` unless the last thread was refused.
    shared.workers.retry_at.load(Ordering::Relaxed) != u64::MAX && shared.workers.states.active() == 0
}

/// Retries the start of a refused thread at once if no worker is active.
#[cold]
pub(super) fn retry_if_lacking(shared: &Shared) {
    if lacks_worker(shared) {
        drop(start_if_refused(shared, true));
    }
}

fn start_next(shared: &Shared, reason: Reason) -> Started {
    if !shared.is_in_own_process() {
        // A forked child has no workers, and this must not give it one.
        return Started::Closed;
    }
    let workers = &shared.workers;
    let mut threads = workers.threads.lock(); // `started-under-lock`
    let starts_worker = !threads.unstarted.is_empty();
    match reason {
        Reason::Successor => {}
        Reason::NeedOfWorker if !(threads.is_refused && starts_worker) => return Started::BoundHit,
        Reason::Retry | Reason::Need | Reason::NeedOfWorker if !threads.is_refused => return Started::Yes,
        Reason::Need | Reason::NeedOfWorker if workers.states.active() > 0 && !is_retry_due(shared) => {
            // One more worker would help, but the active ones continue without it.
            return Started::Refused(io::ErrorKind::WouldBlock.into());
        }
        Reason::Retry | Reason::Need | Reason::NeedOfWorker => {}
    }
    // Acquire: pairs with the decrement in `leave`.
    if shared.is_closed() || workers.alive.load(Ordering::Acquire) == 0 {
        return Started::Closed;
    }
    let mine = shared.arc();
    let result = if starts_worker {
        if !join_unless_ended(&workers.alive) {
            return Started::Closed;
        }
        workers.states.join(1);
        threads.start_worker(&mine)
    } else {
        // Each worker has run user code, or the last one is about to.
        workers.offers_each.store(!shared.config.rescue.is_on(), Ordering::Relaxed);
        // It counts in `alive` from its first call on.
        threads.start_standby(&mine)
    };
    let Err(error) = result else {
        threads.is_refused = false;
        workers.retry_at.store(u64::MAX, Ordering::Relaxed);
        return Started::Yes;
    };
    threads.is_refused = true;
    workers.retry_at.store(shared.ms_at(real_now()) + RETRY_INTERVAL_MS, Ordering::Relaxed);
    drop(threads);
    if starts_worker {
        workers.states.leave();
        leave(shared);
    }
    Started::Refused(error)
}

fn report_refusal(shared: &Shared, error: &io::Error) {
    if !std::mem::replace(&mut shared.workers.threads.lock().is_reported, true) {
        report::report(ReportKind::Threads, format_args!("{}", refusal(shared, error)));
    }
}

fn refusal(shared: &Shared, error: &io::Error) -> String {
    let Config { name, workers, .. } = &shared.config;
    let runtime = name.as_ref().map_or_else(|| shared.id.to_string(), |name| format!("`{name}`"));
    let (threads, fewer) = match workers {
        1 => (String::from("its standby spare"), ""),
        _ => (
            format!("one more of its {workers} workers, or its standby spare"),
            ", or set fewer with `Builder::worker_threads`",
        ),
    };
    format!(
        "the system refuses runtime {runtime} a thread for {threads}: {error}. The runtime continues with {}, and tries again \
         from time to time. Raise the limit of threads (`ulimit -u`, `pids.max` of the cgroup){fewer}.",
        shared.workers.states.active(),
    )
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails says where")]

    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{Builder, Rescue, Runtime};
    use crate::scheduler::leave::release_spares;
    use crate::scheduler::stand_in::start_spare;
    use crate::sys::faults::{Call, plan};
    use crate::task;

    fn runtime(workers: usize) -> Runtime {
        Builder::new_multi_thread().worker_threads(workers).name("orders").rescue(Rescue::off()).build().unwrap()
    }

    /// Whether the last thread was refused, how many workers have no thread, and whether a line was written about it.
    fn refused(shared: &Shared) -> (bool, usize, bool) {
        let threads = shared.workers.threads.lock();
        (threads.is_refused, threads.unstarted.len(), threads.is_reported)
    }

    /// As a clean thread, when the system refuses `count` threads in a row.
    fn successor_refused(shared: &Shared, count: usize) {
        (0..count).for_each(|_| plan(Call::ThreadStart, 0, libc::EAGAIN));
        start_successor(shared);
    }

    #[test]
    fn a_refusal_that_ends_at_once_is_not_reported() {
        let runtime = runtime(3);
        let shared = &runtime.handle().shared;
        successor_refused(shared, 2);
        assert_eq!(refused(shared), (false, 1, false), "the third attempt had a thread");
        assert_eq!(shared.workers.retry_at.load(Ordering::Relaxed), u64::MAX);
        assert_eq!(shared.workers.alive.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_refusal_that_lasts_is_reported_once_and_retried_later() {
        let runtime = runtime(3);
        let shared = &runtime.handle().shared;
        successor_refused(shared, 3);
        assert_eq!(refused(shared), (true, 2, true));
        assert_eq!((shared.workers.states.active(), shared.workers.alive.load(Ordering::Relaxed)), (1, 1));
        let line = refusal(shared, &io::Error::from_raw_os_error(libc::EAGAIN));
        assert!(line.contains("runtime `orders`") && line.contains("its 3 workers"), "{line}");
        assert!(line.contains("continues with 1"), "{line}");
        assert!(line.contains("`Builder::worker_threads`"), "{line}");

        let now = shared.ms_at(real_now());
        retry_if_due(shared, now);
        assert_eq!(refused(shared).1, 2, "not yet");
        plan(Call::ThreadStart, 0, libc::EAGAIN);
        retry_if_due(shared, now + RETRY_INTERVAL_MS);
        assert_eq!(refused(shared), (true, 2, true), "refused again");
        retry_if_due(shared, now + 2 * RETRY_INTERVAL_MS + 60_000);
        assert_eq!(refused(shared), (false, 1, true));
        assert_eq!(shared.workers.retry_at.load(Ordering::Relaxed), u64::MAX);
    }

    #[test]
    fn block_in_place_gets_the_spare_that_was_refused() {
        let runtime = runtime(1);
        let shared = Arc::clone(&runtime.handle().shared);
        let seven = runtime.block_on(runtime.spawn(async move {
            // The standby leaves, and no other waits.
            release_spares(&shared);
            successor_refused(&shared, 3);
            assert_eq!(refused(&shared), (true, 0, true));
            let (sender, receiver) = mpsc::channel();
            drop(crate::spawn(async move { sender.send(7).unwrap() }));
            let seven = task::block_in_place(move || receiver.recv().unwrap());
            assert!(!refused(&shared).0);
            seven
        }));
        assert_eq!(seven.unwrap(), 7);
    }

    #[test]
    fn a_refused_worker_is_started_at_once_only_if_none_is_active_and_beyond_the_bound_of_spares() {
        let runtime = runtime(3);
        let shared = &runtime.handle().shared;
        assert!(matches!(start_spare(shared, 0), Started::BoundHit), "there is a clean worker");
        successor_refused(shared, 3);
        assert!(matches!(start_spare(shared, 1), Started::Refused(_)), "one is active, and it is too early");
        assert_eq!(refused(shared).1, 2);
        let only = shared.slot(0);
        assert_eq!(shared.workers.states.block(&only.state), 0);
        assert!(matches!(start_spare(shared, 0), Started::Yes));
        assert_eq!(refused(shared), (false, 1, true));
        shared.workers.states.unblock(&only.state);
    }

    #[test]
    fn nothing_starts_when_the_runtime_has_closed() {
        for workers in [1, 3] {
            let runtime = runtime(workers);
            let shared = Arc::clone(&runtime.handle().shared);
            drop(runtime);
            start_successor(&shared);
            assert!(matches!(start_next(&shared, Reason::Successor), Started::Closed));
            assert!(shared.workers.threads.lock().started.is_empty());
        }
    }
}

//! The phases of a shutdown, in order: new work is refused, the workers leave and cancel their tasks, the blocking pool
//! ends, threads are joined. A drain first waits for the work that runs.
//!
//! All waits for timers, descriptors and tasks end when the last worker has left its loop or blocks in
//! `block_in_place`. The protocol is in `scheduler::running_loops`. A shutdown does not wait for threads that wait for it: see
//! `waits`.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::block_on;
use super::waits::Registered;
use crate::current::{self, Entered};
use crate::observe::report::{self, Count, ReportKind};
use crate::observe::task_info::TaskInfo;
use crate::primitives::atomic::Ordering;
use crate::primitives::baton::{self, FailureKind};
use crate::primitives::thread::{self, ThreadId};
use crate::scheduler::choices::Flavor;
use crate::scheduler::leave::release_spares;
use crate::scheduler::rescue::alarm;
use crate::scheduler::shared::Shared;
use crate::scheduler::worker;
use crate::task::Id;
use crate::time::sleep::sleep_on;

/// Shuts the runtime down once; later calls do nothing. With `None` it waits without a limit.
#[track_caller]
pub(super) fn shutdown(shared: &Shared, timeout: Option<Duration>) {
    if shared.begin_shutdown() {
        return;
    }
    if !shared.is_in_own_process() {
        // The threads to wait for exist only in the parent process.
        return;
    }
    let mut timeout = timeout;
    if let Some(baton) = &shared.config.baton {
        if !baton.is_here() {
            baton.fail(
                FailureKind::ForeignThread,
                format!(
                    "a runtime of the world was dropped on thread `{}`, which does not belong to the world. Drop it on a thread of the \
                     world.",
                    thread::current_name()
                ),
            );
            timeout = Some(Duration::ZERO);
        } else if baton.is_failing() || baton::is_dead() {
            timeout = Some(Duration::ZERO); // Some of its threads may wait forever.
        }
    }
    let would_wait = timeout != Some(Duration::ZERO);
    if would_wait && current::entered() != Entered::No {
        // The `Runtime` is gone after this panic, so its threads must end all the same.
        shut_down_now(shared, Some(Duration::ZERO));
        if thread::panicking() {
            return;
        }
        // A string literal: programs that catch this panic find a `&'static str`, as with Tokio.
        panic!(
            "Cannot drop a runtime where tasks run: waiting for its workers would stop them. Drop the `Runtime` outside of \
             async code, or use `Runtime::shutdown_background`."
        );
    }
    shut_down_now(shared, timeout);
}

fn shut_down_now(shared: &Shared, timeout: Option<Duration>) {
    let deadline = timeout.and_then(|timeout| crate::time::clock::real_now().checked_add(timeout));
    shared.close();
    alarm::stop(shared);
    match shared.config.flavor {
        Flavor::MultiThread => {
            release_spares(shared);
            shared.wake_to_leave();
        }
        Flavor::CurrentThread | Flavor::Local => {
            // If a thread is inside `block_on`, it holds the core, and finishes when its future has completed.
            let core = shared.core.lock().worker.take();
            match core {
                Some(core) => worker::finish_current_thread(shared, core),
                None => shared.wake_sleeper(),
            }
        }
    }
    shared.blocking.shutdown();
    wait(shared, deadline, timeout.is_none(), PATIENCE, &mut |line| {
        report::report(ReportKind::Shutdown, format_args!("{line}"))
    });
}

/// How long a shutdown waits before it reports what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Waits for the workers, then for the pool. Reports once, after `patience`.
fn wait(
    shared: &Shared,
    deadline: Option<Instant>,
    for_ever: bool,
    patience: Duration,
    report: &mut dyn FnMut(String),
) {
    if shared.config.flavor != Flavor::MultiThread && shared.blocking.threads() == 0 && shared.threads().is_empty() {
        // A current-thread runtime usually has no thread to wait for.
        return;
    }
    let registered = Registered::new(shared);
    let excluded = &registered.excluded;
    // Acquire: pairs with the AcqRel decrement in `leave`.
    if shared.workers.alive.load(Ordering::Acquire) <= excluded.workers
        && shared.blocking.join_all(Some(Duration::ZERO), &excluded.threads)
    {
        // Returns without a clock read. Beside system calls, that read is a tenth of the cost of a current-thread
        // runtime.
        join_workers(shared, &excluded.threads);
        return;
    }
    let until = |moment: Instant| moment.saturating_duration_since(crate::time::clock::real_now());
    let report_at = crate::time::clock::real_now() + patience;
    let reports = deadline.is_none_or(|deadline| report_at < deadline);
    let patient_until = if reports { Some(report_at) } else { deadline };
    let left = |moment: Option<Instant>| moment.map_or(Duration::MAX, until);
    // Workers first, because they may still submit blocking work.
    let mut have_left = wait_for_workers(shared, left(patient_until), excluded.workers);
    let mut have_ended = have_left && shared.blocking.join_all(Some(left(patient_until)), &excluded.threads);
    if !have_ended && reports {
        report(describe_wait(shared));
        have_left = have_left || wait_for_workers(shared, left(deadline), excluded.workers);
        have_ended = shared.blocking.join_all(deadline.map(until), &excluded.threads);
    }
    if !have_ended {
        // The deadline has passed. The threads that ended in time are joined all the same.
        shared.blocking.join_all(Some(Duration::ZERO), &excluded.threads);
    }
    if for_ever || have_left {
        join_workers(shared, &excluded.threads);
    }
}

/// Describes what a shutdown waits for.
fn describe_wait(shared: &Shared) -> String {
    let running = describe_work(shared).into_iter().filter(|work| work.is_running() || work.is_blocking());
    let running: Vec<String> = running.map(|work| work.to_string()).collect();
    format!(
        "the runtime's shutdown still waits for {} and {} of the blocking pool. {}A task that does \
         not reach an `.await` and a closure that has started cannot be stopped: move blocking work of tasks to \
         `spawn_blocking`, make closures return, or stop waiting with `Runtime::shutdown_timeout`.",
        // Relaxed: only counted.
        Count(shared.workers.alive.load(Ordering::Relaxed) as u64, "worker", "workers"),
        Count(shared.blocking.threads() as u64, "thread", "threads"),
        if running.is_empty() { String::new() } else { format!("Not done: {}. ", running.join("; ")) }
    )
}

/// Returns the tasks and blocking closures that have not ended, the oldest first.
fn describe_work(shared: &Shared) -> Vec<UnfinishedWork> {
    // Stalled workers do not update the clock.
    shared.update_coarse_clock(crate::time::clock::real_now());
    let mut work: Vec<_> = shared.slab.describe_live().into_iter().map(UnfinishedWork).collect();
    work.sort_by_key(|work| std::cmp::Reverse(work.age()));
    work
}

/// A task or blocking closure that had not ended by the deadline of [`Runtime::drain`](super::Runtime::drain).
///
/// # Examples
/// ```
/// use redd::runtime::Builder;
/// use std::time::Duration;
///
/// let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
/// let waiting = runtime.spawn(std::future::pending::<()>());
/// let left = runtime.drain(Duration::from_millis(10));
/// assert_eq!(left.len(), 1);
/// assert_eq!(left[0].id(), waiting.id());
/// assert!(!left[0].is_running() && !left[0].is_blocking());
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct UnfinishedWork(TaskInfo);

impl UnfinishedWork {
    /// Returns the task's id.
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// Returns the task's name, if it was spawned with one.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns the location in the program that spawned it.
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Returns the time since it was spawned, to about one turn of its worker.
    pub fn age(&self) -> Duration {
        self.0.age
    }

    /// Returns whether it was on a thread at that moment. It may still run then, because redd cannot stop it.
    pub fn is_running(&self) -> bool {
        self.0.is_running
    }

    /// Returns whether it is a closure of `spawn_blocking`.
    pub fn is_blocking(&self) -> bool {
        self.0.is_blocking
    }
}

impl fmt::Display for UnfinishedWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest time between two checks of a drain. It polls, so that completions cost nothing. No benchmark chose it.
const LOOK_INTERVAL_MAX: Duration = Duration::from_millis(8);
/// How long a drain waits after its deadline for cancelled futures to be dropped. No benchmark chose it.
const GRACE: Duration = Duration::from_millis(100);

/// See `Runtime::drain`.
#[track_caller]
pub(super) fn drain(shared: &Arc<Shared>, within: Duration) -> Vec<UnfinishedWork> {
    if current::entered() == Entered::No {
        shared.start_draining();
        match shared.config.flavor {
            Flavor::MultiThread => wait_until_quiet(shared, within),
            Flavor::CurrentThread | Flavor::Local => block_on::on_core(shared, quiet(shared, within)),
        }
    }
    let left = if is_quiet(shared) { Vec::new() } else { describe_work(shared) };
    let has_panicked = block_on::has_panicked(shared);
    // Where blocking is forbidden this panics, as a drop does.
    shutdown(shared, if left.is_empty() && !has_panicked { None } else { Some(GRACE) });
    if has_panicked {
        // The remaining work was cancelled and not drained, so an empty list would be wrong.
        panic!("{}", block_on::closed_message(shared));
    }
    left
}

fn wait_until_quiet(shared: &Shared, within: Duration) {
    let since = crate::time::clock::real_now();
    let mut interval = Duration::from_millis(1);
    while !is_quiet(shared) {
        let left = within.saturating_sub(crate::time::clock::real_now().saturating_duration_since(since));
        if left.is_zero() {
            return;
        }
        shared.workers.ended.park_timeout(interval.min(left));
        interval = (interval * 2).min(LOOK_INTERVAL_MAX);
    }
}

/// As `wait_until_quiet`, on the thread that runs the tasks. A paused clock advances as usual.
async fn quiet(shared: &Shared, within: Duration) {
    let now = || shared.parts.timers.clock().now();
    let (since, mut interval) = (now(), Duration::from_millis(1));
    while !is_quiet(shared) {
        let left = within.saturating_sub(now().saturating_duration_since(since));
        if left.is_zero() {
            return;
        }
        sleep_on(&shared.parts.timers, interval.min(left)).await;
        interval = (interval * 2).min(LOOK_INTERVAL_MAX);
    }
}

/// Whether no task is alive, no closure runs or waits, and no task group has clean-ups or closures to start.
fn is_quiet(shared: &Shared) -> bool {
    let spawned = shared.slab.spawned_total();
    // A closure may spawn a task and then end: the second check of the tasks finds that task. A task may submit a
    // closure and then end: it has ended before we check the pool. Either may close a group and then end, so groups come
    // after both. What a clean-up spawned before its group was done, the second check finds. Groups come before the pool, too:
    // a closure that waits there for a task that has ended is in the pool afterwards.
    // Acquire: pairs with Release in `GroupState`.
    let is_due_in_groups = || shared.due_in_groups.load(Ordering::Acquire) > 0;
    shared.slab.alive() == 0
        && !is_due_in_groups()
        && shared.blocking.is_quiet()
        && !is_due_in_groups()
        && shared.slab.spawned_total() == spawned
        && shared.slab.describe_live().is_empty()
}

/// Ends a runtime that has not started completely.
pub(super) fn abandon(shared: &Shared) {
    shut_down_now(shared, None);
}

/// Waits until all workers but `excluded` have ended, at most for `patience`. Returns whether they have.
fn wait_for_workers(shared: &Shared, patience: Duration, excluded: usize) -> bool {
    let since = crate::time::clock::real_now();
    loop {
        // Acquire: pairs with the AcqRel decrement in `leave`.
        if shared.workers.alive.load(Ordering::Acquire) <= excluded {
            return true;
        }
        let waited = crate::time::clock::real_now().saturating_duration_since(since);
        let left = patience.saturating_sub(waited);
        if left.is_zero() {
            return false;
        }
        // At most a day at a time, because the system's timeout has a maximum.
        shared.workers.ended.park_timeout(left.min(Duration::from_secs(86_400)));
    }
}

/// Waits until every worker thread has ended, except for those that wait for this one.
pub(super) fn join_workers(shared: &Shared, excluded: &[ThreadId]) {
    loop {
        let Some(thread) = shared.workers.threads.lock().started.pop() else {
            return;
        };
        if excluded.contains(&thread.thread().id()) {
            continue;
        }
        // A worker catches the panics of tasks. If the worker itself panicked, its message was printed, and we continue
        // to wait.
        drop(thread::join(thread));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{Builder, Handle, Runtime};

    /// Returns the report of a shutdown without patience. `release` lets the work end.
    fn report_of(runtime: &Runtime, release: impl FnOnce()) -> Vec<String> {
        let shared = &runtime.handle.shared;
        assert!(!shared.begin_shutdown());
        shared.close();
        shared.wake_sleeper();
        shared.blocking.shutdown();
        let mut release = Some(release);
        let mut lines = Vec::new();
        wait(shared, None, true, Duration::ZERO, &mut |line| {
            lines.push(line);
            if let Some(release) = release.take() {
                release();
            }
        });
        lines
    }

    #[test]
    fn a_shutdown_that_waits_names_stuck_tasks_and_closures_once() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (start, started) = mpsc::channel();
        let (release, held) = (mpsc::channel::<()>(), mpsc::channel::<()>());
        let (starts, hold) = (start.clone(), release.1);
        let stuck = async move {
            starts.send(()).unwrap();
            let _ = hold.recv();
        };
        drop(crate::task::Builder::new().name("stuck").spawn_on(stuck, runtime.handle()).unwrap());
        let location = line!() + 1;
        drop(runtime.spawn_blocking(move || {
            start.send(()).unwrap();
            let _ = held.1.recv();
        }));
        let waiting = runtime.spawn(std::future::pending::<()>());
        started.recv().unwrap();
        started.recv().unwrap();
        let lines = report_of(&runtime, || drop((release.0, held.0)));
        let [line] = &lines[..] else { panic!("one report, not {lines:?}") };
        assert!(line.contains("waits for 1 worker and 1 thread of the"), "{line}");
        assert!(line.contains("`stuck` (spawned at "), "{line}");
        assert!(line.contains("closure ") && line.contains(&format!("{}:{location}:", file!())), "{line}");
        assert!(line.contains(" old, running"), "{line}");
        assert!(
            !line.contains(&format!("task {}", waiting.id())),
            "it is cancelled, so the shutdown does not wait for it: {line}"
        );
        assert!(line.contains("`spawn_blocking`") && line.contains("`Runtime::shutdown_timeout`"), "{line}");
    }

    /// Waits for a timer when it is dropped.
    struct SleepsInDrop(mpsc::Sender<std::thread::Result<()>>);

    impl Drop for SleepsInDrop {
        fn drop(&mut self) {
            let sleep = || crate::time::sleep(Duration::from_secs(1000));
            let wait = || crate::task::block_in_place(|| Handle::current().block_on(async { sleep().await }));
            if thread::panicking() {
                wait();
                self.0.send(Ok(())).unwrap();
                return;
            }
            let ended = std::panic::catch_unwind(wait);
            let panicked = ended.is_err();
            self.0.send(ended).unwrap();
            assert!(!panicked, "on purpose, so that the next destructor runs in an unwinding thread");
        }
    }

    #[test]
    fn a_destructor_that_waits_in_an_unwinding_thread_does_not_abort_the_process() {
        for workers in [0, 1, 2] {
            let mut builder = if workers == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
            let runtime = builder.worker_threads(workers.max(1)).enable_all().build().unwrap();
            let (first, ended) = mpsc::channel();
            let both = (SleepsInDrop(first.clone()), SleepsInDrop(first));
            drop(runtime.spawn(async move {
                let _both = both;
                std::future::pending::<()>().await;
            }));
            runtime.block_on(crate::task::yield_now());
            drop(runtime);
            let [first, second] = &Vec::from_iter(ended)[..] else { panic!("two destructors") };
            assert!(first.is_err(), "the wait ends with a panic");
            assert!(second.is_ok(), "the wait ends without one");
        }
    }

    #[cfg(feature = "net")]
    #[test]
    fn destructors_of_cancelled_tasks_can_still_do_what_need_not_wait() {
        use crate::net::UnixStream;
        struct Goodbye(UnixStream, mpsc::Sender<[std::io::Result<usize>; 2]>);
        impl Drop for Goodbye {
            fn drop(&mut self) {
                let written = self.0.try_write(b"bye");
                // No byte has arrived, so this would wait.
                let read = crate::task::block_in_place(|| {
                    Handle::current().block_on(crate::io::AsyncReadExt::read(&mut self.0, &mut [0; 1]))
                });
                self.1.send([written, read]).unwrap();
            }
        }
        for workers in [0, 1, 2] {
            let mut builder = if workers == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
            let runtime = builder.worker_threads(workers.max(1)).enable_all().build().unwrap();
            let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let (done, is_done) = mpsc::channel();
            drop(runtime.spawn(async move {
                let _goodbye = Goodbye(UnixStream::from_std(near).unwrap(), done);
                std::future::pending::<()>().await;
            }));
            while runtime.metrics().num_alive_tasks() > 0 && runtime.handle.shared.parts.driver.registrations() == 0 {
                runtime.block_on(crate::task::yield_now());
            }
            drop(runtime);
            let [written, read] = is_done.recv().unwrap();
            assert_eq!(written.unwrap(), 3);
            assert!(crate::runtime::is_rt_shutdown_err(&read.unwrap_err()));
            let mut bytes = [0; 3];
            std::io::Read::read_exact(&mut far, &mut bytes).unwrap();
            assert_eq!(&bytes, b"bye");
        }
    }

    #[test]
    fn three_runtimes_that_drop_each_other_in_a_ring_end() {
        let runtimes = Vec::from_iter((0..3).map(|_| Builder::new_multi_thread().worker_threads(1).build().unwrap()));
        let handles = Vec::from_iter(runtimes.iter().map(|runtime| runtime.handle().clone()));
        let all_are_there = std::sync::Arc::new(std::sync::Barrier::new(3));
        let (done, ended) = mpsc::channel();
        for (index, runtime) in runtimes.into_iter().enumerate() {
            let (all_are_there, done) = (std::sync::Arc::clone(&all_are_there), done.clone());
            drop(handles[(index + 1) % 3].spawn(async move {
                crate::task::block_in_place(|| {
                    all_are_there.wait();
                    drop(runtime);
                    done.send(index).unwrap();
                });
            }));
        }
        drop(done);
        let mut indices = Vec::from_iter(ended);
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2]);
    }

    #[test]
    fn a_shutdown_that_need_not_wait_reports_nothing() {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let shared = Arc::clone(&runtime.handle.shared);
        shutdown(&shared, None);
        wait(&shared, None, true, Duration::ZERO, &mut |line| panic!("{line}"));
    }
}

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/runtime_drain.rs"]
mod models;

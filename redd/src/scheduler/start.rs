//! Worker threads: the first starts with the runtime, the others when they are first needed.
//!
//! Called by the runtime (`start_first`), by whoever the idle word tells to start one, by `spares`, and by `worker` and
//! `rescue` (`ask_again`).
//!
//! A program with `on_thread_start` has all threads from the beginning: it may count on the hook having run, and a hook that
//! takes long, or waits for that of another thread, must not keep tasks waiting that rely on a worker that starts.
//!
//! # Invariants
//! - `started-under-lock`: a later thread is counted in `alive`, started, and put where shutdown joins it, all under the lock
//!   of `Workers::threads`. Shutdown takes that lock when nobody is alive: it joins the thread, or there never is one.
//! - `start-is-search`: as in `idle`: the thread begins as a searcher, or `start_one` ends the search in its place.
//! - `start-inside-a-wake`: wakers are called anywhere, under any lock, so a start calls no foreign code and does not panic:
//!   names are made in `build`, and hooks run on the new thread.

use std::io;
use std::sync::Arc;

use super::idle::Refused;
use super::meter::add;
use super::roster::join_unless_ended;
use super::spares::Started;
use super::worker::{self, Worker, has_work_for_others};
use super::{Config, Shared, Slot};
use crate::observe::report::{self, ReportKind};
use crate::primitives::atomic::Ordering;
use crate::primitives::thread;
use crate::runtime::context::{self, Entered};
use crate::sys;
use crate::time::clock::real_now;

/// How long workers that the system has refused are not asked for, in milliseconds; picked by feel.
const PATIENCE_MS: u64 = 1000;

/// The worker threads, those of spares among them.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// To be joined.
    pub(crate) started: Vec<thread::JoinHandle<()>>,
    /// The names of workers that have not started, the last one first.
    unstarted: Vec<String>,
    /// How many of them are not in the idle word, as the system has refused one.
    refused: u16,
    has_told: bool,
}

/// How many workers start with the runtime.
pub(super) fn at_once(config: &Config) -> usize {
    if config.hooks.on_start.is_some() { config.workers } else { 1 }
}

/// How many the idle word has to give.
pub(super) fn later(config: &Config) -> u16 {
    u16::try_from(config.workers - at_once(config)).unwrap_or(u16::MAX)
}

/// A worker that starts later is asleep from the beginning, as far as its figures say: so it would be if it had started, and
/// it would have been busy for a moment before that.
pub(super) fn new_slot(config: &Config, index: usize) -> Slot {
    let slot = Slot::new();
    if index >= at_once(config) {
        [&slot.parks, &slot.unparks, &slot.tally.noops, &slot.busy_ns].into_iter().for_each(|count| add(count, 1));
    }
    slot
}

/// Those that never started wake up to end, as the others did.
pub(super) fn wake_unstarted(shared: &Shared) {
    let unstarted = shared.workers.threads.lock().unstarted.len();
    (0..shared.config.workers).rev().take(unstarted).for_each(|index| add(&shared.slot(index).unparks, 1));
}

/// Starts those that start with the runtime. If the system refuses one, those started end again and the refusal is the
/// error.
pub(crate) fn start_first(shared: &Arc<Shared>) -> io::Result<()> {
    let count = at_once(&shared.config);
    let mut names: Vec<_> = (0..shared.config.workers).map(|_| shared.config.name_thread()).collect();
    names.reverse();
    let workers = &shared.workers;
    workers.threads.lock().unstarted = names;
    workers.alive.store(count, Ordering::Relaxed);
    workers.roster.join(count);
    for index in 0..count {
        let started = workers.threads.lock().start_next(shared);
        if let Err(error) = started {
            // Those that never started have left.
            let missing = count - index;
            // AcqRel: pairs with the decrement in `worker::leave`.
            if workers.alive.fetch_sub(missing, Ordering::AcqRel) == missing {
                worker::finish(shared);
            }
            return Err(error);
        }
    }
    Ok(())
}

impl Threads {
    fn start_next(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        let index = shared.config.workers - self.unstarted.len();
        let name = self.unstarted.last().expect("the idle word gives no more than there are").clone();
        let mine = Arc::clone(shared);
        let thread = thread::spawn_named(name, shared.config.thread_stack_size, move || worker_thread(&mine, index))?;
        self.started.push(thread);
        self.unstarted.pop();
        Ok(())
    }
}

/// `OnWake::Start`, perhaps inside of a waker (`start-inside-a-wake`).
#[cold]
pub(super) fn start_on_wake(shared: &Shared) {
    if let Started::Refused(error) = start_one(shared) {
        if !std::mem::replace(&mut shared.workers.threads.lock().has_told, true) {
            report::report(ReportKind::Threads, format_args!("{}", refusal(shared, &error)));
        }
    }
}

fn refusal(shared: &Shared, error: &io::Error) -> String {
    let Config { name, workers, .. } = &shared.config;
    format!(
        "the system refuses a thread for one more of the {workers} workers of runtime {}: {error}. It goes on with \
         {}, and asks again from time to time; raise the limit of threads (`ulimit -u`, `pids.max` of the cgroup), or say how \
         many there are to be with `Builder::worker_threads`.",
        name.as_ref().map_or_else(|| shared.id.to_string(), |name| format!("`{name}`")),
        shared.workers.roster.serving(),
    )
}

/// Starts the worker that the idle word has given; it is a searcher already.
pub(super) fn start_one(shared: &Shared) -> Started {
    if !shared.is_in_own_process() {
        // A forked child has no workers, and this must not give it one.
        return Started::Closed;
    }
    let workers = &shared.workers;
    let (error, was_last) = {
        let mut threads = workers.threads.lock(); // `started-under-lock`
        if shared.is_closed() || !join_unless_ended(&workers.alive) {
            // Who leaves cancels what this search might have found.
            let _ = shared.idle.end_search();
            return Started::Closed;
        }
        workers.roster.join(1);
        let Err(error) = threads.start_next(&shared.handle().shared) else { return Started::Yes };
        workers.roster.leave();
        let Refused { others, was_last } = shared.idle.refuse_start();
        threads.refused += 1 + others;
        let now = shared.ms_at(real_now());
        workers.ask_again_at.store(now + PATIENCE_MS, Ordering::Relaxed);
        (error, was_last)
    };
    if was_last && has_work_for_others(shared) {
        // `start-is-search`: others may have relied on it.
        shared.wake_worker();
    }
    worker::leave(shared);
    Started::Refused(error)
}

/// Workers that the system has refused a while ago may be asked for again.
#[inline]
pub(super) fn ask_again(shared: &Shared, now: u64) {
    if now >= shared.workers.ask_again_at.load(Ordering::Relaxed) {
        return_refused(shared);
    }
}

#[cold]
fn return_refused(shared: &Shared) {
    let mut threads = shared.workers.threads.lock();
    shared.workers.ask_again_at.store(u64::MAX, Ordering::Relaxed);
    shared.idle.return_unstarted(std::mem::take(&mut threads.refused));
}

fn worker_thread(shared: &Arc<Shared>, index: usize) {
    if index >= at_once(&shared.config) {
        add(&shared.slot(index).unparks, 1);
        // Whoever started it may be bound to a CPU, or be urgent.
        sys::thread::run_like(shared.slot(0).thread.load(Ordering::Relaxed));
    }
    let _entered = context::enter(shared.handle());
    let _running = context::mark(Entered::Yes);
    shared.config.hooks.start();
    let mut worker = Worker::new(shared, index);
    worker.is_searching = later(&shared.config) > 0;
    worker.run_thread(shared);
    drop(worker);
    worker::leave(shared);
    shared.config.hooks.stop();
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::runtime::{Builder, Rescue};
    use crate::sys::faults::{Call, plan};

    #[test]
    fn who_is_refused_is_told_of_once_not_asked_for_at_once_and_asked_for_again_later() {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(3).name("orders").rescue(Rescue::off()).build().unwrap();
        let shared = &runtime.handle().shared;
        let (release, hold) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let busy = runtime.spawn(async move {
            tell.send(()).unwrap();
            hold.recv().unwrap_err();
        });
        told.recv().unwrap();
        plan(Call::ThreadStart, 0, libc::EAGAIN);
        // Refused, then not asked for: the plan is for one call.
        let (first, second) = (runtime.spawn(async {}), runtime.spawn(async {}));
        assert_eq!(shared.idle.load(), Default::default(), "the one is busy, the others are not to be had");
        assert_eq!((shared.workers.roster.serving(), shared.workers.alive.load(Ordering::Relaxed)), (1, 1));
        {
            let threads = shared.workers.threads.lock();
            assert_eq!((threads.refused, threads.unstarted.len(), threads.has_told), (2, 2, true));
        }
        let line = refusal(shared, &io::Error::from_raw_os_error(libc::EAGAIN));
        assert!(line.contains("3 workers of runtime `orders`") && line.contains("goes on with 1"), "{line}");
        assert!(line.contains("`Builder::worker_threads`"), "{line}");
        let now = shared.ms_at(real_now());
        ask_again(shared, now);
        assert_eq!(shared.idle.load().unstarted, 0, "not yet");
        ask_again(shared, now + PATIENCE_MS);
        assert_eq!(shared.idle.load().unstarted, 2);
        let third = runtime.spawn(async {});
        for task in [first, second, third] {
            runtime.block_on(task).unwrap();
        }
        assert!(shared.workers.threads.lock().started.len() > 1);
        drop(release);
        runtime.block_on(busy).unwrap();
    }

    #[test]
    fn nothing_starts_when_the_runtime_has_closed() {
        let runtime = Builder::new_multi_thread().worker_threads(3).build().unwrap();
        let shared = Arc::clone(&runtime.handle().shared);
        drop(runtime);
        assert!(shared.idle.take_unstarted());
        assert!(matches!(start_one(&shared), Started::Closed));
        assert_eq!(shared.idle.load().searchers, 0);
    }
}

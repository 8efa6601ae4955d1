//! The blocking pool: its number of threads grows and shrinks with the work that blocks them.
//!
//! Called by `spawn_blocking` (submit), by the pool's own threads (`run_thread`) and by `runtime::shutdown`.
//!
//! The thread that queues work makes sure that there is a *seeker*: one thread that was woken or started, and has not taken work
//! from the queue yet. A seeker that takes work makes another thread the seeker if more is queued. So a burst of work costs the
//! submitter one wake, and the threads of the pool wake each other.
//!
//! # Invariants
//! - `work-has-a-seeker`: whenever the lock is free and the queue is not empty, a seeker exists. The exception: all
//!   threads are busy and no more may be started, because of the bound or because the system has just refused one.
//!   So work that waits for other work gets its thread, up to the bound. After a refusal each submit and each end of work tries again.
//! - `seeker-finds-its-work`: if there is a seeker when the pool shuts down, the front of the queue is not cancelled. So work for
//!   which a thread was started or woken is done, however late the thread runs.
//! - `claimed-by-name`: the waking thread takes that very thread out of `idle`, under the lock. There is no count that could be
//!   out of date.
//!
//! # Why not otherwise
//! A count of idle threads beside the queue would be out of date until a woken thread runs. A submitter that reads it meanwhile
//! neither wakes nor starts a thread, and its work waits behind other work that may take long.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::observe::report::{self, AbortOnUnwind, Count, ReportKind};
use crate::primitives::parker::Parker;
use crate::primitives::spin::Spin;
use crate::primitives::thread::{self, JoinHandle, ThreadId};
use crate::primitives::user_code::guarded;
use crate::primitives::{Mutex, MutexGuard};
use crate::time::clock::real_now;

/// A unit of work that may block a thread.
pub(crate) trait Work: Send {
    /// Does the work. If it panics, the work itself reports the panic, and the pool's thread continues.
    fn run(self);
    /// Called in place of `run` for work that is not done.
    fn cancel(self);
    /// Whether it runs even if the pool shuts down before a thread was started or woken for it.
    fn is_mandatory(&self) -> bool;
}

/// The builder's options for the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolConfig {
    pub(crate) max_threads: usize,
    pub(crate) keep_alive: Duration,
}

/// Work that was not accepted.
#[derive(Debug)]
pub(crate) struct Refused<W> {
    pub(crate) work: W,
    pub(crate) reason: Refusal,
}

/// Why work was not accepted.
#[derive(Debug)]
pub(crate) enum Refusal {
    Shutdown,
    /// The pool has no thread and the system refuses one.
    NoThread(io::Error),
}

/// Starts a thread that calls [`Pool::run_thread`] with this number.
pub(crate) type StartThread<'a> = &'a dyn Fn(usize) -> io::Result<JoinHandle<()>>;

/// See the module page.
pub(crate) struct Pool<W> {
    config: PoolConfig,
    pub(super) inner: Mutex<Inner<W>>,
    /// Unparked when a thread has ended after shutdown.
    ended: Parker,
}

pub(super) struct Inner<W> {
    max_threads: usize,
    /// Each with a ticket, by which a submitter finds its own again.
    pub(super) queue: VecDeque<(u64, W)>,
    next_ticket: u64,
    /// Threads without work. The last one that became idle is woken first, as its cache is warmest.
    pub(super) idle: Vec<Arc<Parker>>,
    pub(super) threads: usize,
    /// The ids of those that run.
    ids: Vec<ThreadId>,
    numbers: Numbers,
    /// `work-has-a-seeker`
    has_seeker: bool,
    /// The last attempt to start a thread failed.
    is_refused: bool,
    is_shut_down: bool,
    handles: BTreeMap<usize, JoinHandle<()>>,
    /// Threads that ended before the thread that started them had stored their handle.
    ended_early: Vec<usize>,
    /// The handles of threads that have ended, for the shutdown to join. No thread of the pool joins another: that one may be
    /// inside the destructor of a thread-local, which waits for the pool.
    ended: Vec<JoinHandle<()>>,
}

/// The numbers that threads have, for their names. A number is given back when `handles` and `ended_early` no longer need it.
#[derive(Default)]
struct Numbers {
    free: BTreeSet<usize>,
    made: usize,
}

impl Numbers {
    /// The smallest number that no thread has.
    fn take(&mut self) -> usize {
        self.free.pop_first().unwrap_or_else(|| {
            self.made += 1;
            self.made - 1
        })
    }

    fn give_back(&mut self, number: usize) {
        let is_new = self.free.insert(number);
        debug_assert!(is_new, "two threads of the pool had the number {number}");
    }
}

/// Which thread is to become the seeker.
enum Next {
    Wake(Arc<Parker>),
    Start(usize),
    /// There is a seeker already, or all threads are busy and the bound is reached.
    Nothing,
}

impl<W> std::fmt::Debug for Pool<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<W> Inner<W> {
    /// Makes a thread the seeker if there is work and no seeker. Called before each unlock after which a seeker might be missing.
    fn claim_seeker(&mut self) -> Next {
        if self.has_seeker || self.queue.is_empty() {
            return Next::Nothing;
        }
        if let Some(idle) = self.claim_idle() {
            return Next::Wake(idle);
        }
        if self.threads < self.max_threads {
            self.has_seeker = true;
            self.is_refused = false;
            self.threads += 1;
            return Next::Start(self.numbers.take());
        }
        Next::Nothing
    }

    /// `claimed-by-name`: the thread is the seeker from here on, not from when it wakes.
    fn claim_idle(&mut self) -> Option<Arc<Parker>> {
        let idle = self.idle.pop()?;
        self.has_seeker = true;
        Some(idle)
    }

    /// Takes this thread out of `idle`. False if another thread has already claimed it.
    fn unlist(&mut self, parker: &Arc<Parker>) -> bool {
        let position = self.idle.iter().position(|other| Arc::ptr_eq(other, parker));
        position.map(|position| self.idle.remove(position)).is_some()
    }

    /// `work-has-a-seeker`
    fn has_seeker_if_needed(&self) -> bool {
        let may_start = self.threads < self.max_threads && !self.is_refused;
        self.queue.is_empty() || self.has_seeker || (self.idle.is_empty() && !may_start)
    }
}

/// Releases the lock after a change of the threads or of the queue, and checks the invariant.
fn unlock<W>(inner: MutexGuard<'_, Inner<W>>) {
    debug_assert!(inner.has_seeker_if_needed(), "`work-has-a-seeker`: work was stranded: {inner:?}");
    drop(inner);
}

impl<W: Work> Pool<W> {
    pub(crate) fn new(config: PoolConfig) -> Self {
        let inner = Inner {
            max_threads: config.max_threads,
            queue: VecDeque::new(),
            next_ticket: 0,
            idle: Vec::new(),
            threads: 0,
            ids: Vec::new(),
            numbers: Numbers::default(),
            has_seeker: false,
            is_refused: false,
            is_shut_down: false,
            handles: BTreeMap::new(),
            ended_early: Vec::new(),
            ended: Vec::new(),
        };
        Self { config, inner: Mutex::new(inner), ended: Parker::new() }
    }

    /// Queues work, and wakes or starts a thread for it if needed.
    ///
    /// A thread that the system refuses is an error only if the pool has none. Otherwise the work waits for those that exist.
    pub(crate) fn submit(&self, work: W, start: StartThread<'_>) -> Result<(), Refused<W>> {
        let mut inner = self.inner.lock();
        if inner.is_shut_down {
            drop(inner);
            return Err(Refused { work, reason: Refusal::Shutdown });
        }
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        inner.queue.push_back((ticket, work));
        let next = inner.claim_seeker();
        unlock(inner);
        match self.wake_or_start(next, start) {
            Ok(()) => Ok(()),
            Err(error) => self.return_work(ticket, error),
        }
    }

    /// Wakes or starts the seeker. `Err`: the system has refused it, and the pool has no other thread.
    fn wake_or_start(&self, next: Next, start: StartThread<'_>) -> io::Result<()> {
        let number = match next {
            Next::Nothing => return Ok(()),
            Next::Wake(parker) => {
                parker.unpark();
                return Ok(());
            }
            Next::Start(number) => number,
        };
        match start(number) {
            Ok(handle) => {
                let mut inner = self.inner.lock();
                match inner.ended_early.iter().position(|ended| *ended == number) {
                    Some(position) => {
                        inner.ended_early.swap_remove(position);
                        inner.numbers.give_back(number);
                    }
                    None => drop(inner.handles.insert(number, handle)),
                }
                Ok(())
            }
            Err(error) => self.refused(number, error),
        }
    }

    /// The system has refused the thread that was to be the seeker.
    fn refused(&self, number: usize, error: io::Error) -> io::Result<()> {
        let mut inner = self.inner.lock();
        inner.numbers.give_back(number);
        inner.threads -= 1;
        inner.has_seeker = false;
        inner.is_refused = true;
        let (is_last, is_shut_down) = (inner.threads == 0, inner.is_shut_down);
        // A thread that went idle meanwhile relied on the seeker. Threads that are busy check the queue when their work ends.
        let idle = if inner.queue.is_empty() { None } else { inner.claim_idle() };
        unlock(inner);
        idle.iter().for_each(|idle| idle.unpark());
        if is_shut_down {
            self.ended.unpark();
        }
        if is_last { Err(error) } else { Ok(()) }
    }

    /// Returns the work of `ticket` to its submitter. The work of others that relied on the refused thread is cancelled, and their
    /// handles return that.
    fn return_work(&self, ticket: u64, error: io::Error) -> Result<(), Refused<W>> {
        let mut inner = self.inner.lock();
        if inner.threads > 0 {
            // Another submitter has started a thread meanwhile, which takes this work, too.
            return Ok(());
        }
        let mut queue = std::mem::take(&mut inner.queue);
        drop(inner);
        let mine = queue.iter().position(|(other, _)| *other == ticket).and_then(|at| queue.remove(at));
        if !queue.is_empty() {
            report::report(
                ReportKind::Threads,
                format_args!(
                    "{} cancelled that `spawn_blocking` was given, because the system refuses the pool's first thread: {error}. Raise \
                     the limit of threads or memory.",
                    Count(queue.len() as u64, "closure is", "closures are")
                ),
            );
        }
        cancel_all(queue);
        match mine {
            Some((_, work)) => Err(Refused { work, reason: Refusal::NoThread(error) }),
            // Another submitter whose thread was refused has cancelled it.
            None => Ok(()),
        }
    }

    /// The main function of a thread of the pool. The thread starts as the seeker.
    pub(crate) fn run_thread(&self, number: usize, start: StartThread<'_>) {
        let _own = AbortOnUnwind("the blocking thread");
        let (parker, mut spin) = (Arc::new(Parker::new()), Spin::default());
        let mut is_seeker = true;
        let mut inner = self.inner.lock();
        inner.ids.push(thread::current_id());
        loop {
            if std::mem::take(&mut is_seeker) {
                inner.has_seeker = false;
            }
            if let Some((_, work)) = inner.queue.pop_front() {
                // If there is more work, another thread becomes the seeker.
                let next = inner.claim_seeker();
                unlock(inner);
                // If the system refuses a thread, this one does the remaining work.
                drop(self.wake_or_start(next, start));
                // The panic hook has printed the panic, and the work has stored it for its handle.
                guarded(|| work.run());
                inner = self.inner.lock();
                continue;
            }
            if inner.is_shut_down {
                break;
            }
            inner.idle.push(Arc::clone(&parker));
            unlock(inner);
            let has_token = self.sleep(&parker, &mut spin);
            inner = self.inner.lock();
            if has_token {
                is_seeker = true;
            } else if !inner.unlist(&parker) {
                // `claimed-by-name`: the thread that claimed this one is about to unpark it.
                unlock(inner);
                parker.park();
                is_seeker = true;
                inner = self.inner.lock();
            } else if inner.queue.is_empty() {
                // It ends under the same lock under which it left `idle`. If the lock were released in between, the thread would be
                // neither idle nor busy.
                break;
            }
        }
        self.end(number, inner);
    }

    /// Sleeps until another thread claims this one. False if the keep-alive ends first.
    fn sleep(&self, parker: &Parker, spin: &mut Spin) -> bool {
        if spin.spin(|| parker.has_token()) {
            parker.park();
            return true;
        }
        let since = real_now();
        let waited = || real_now().saturating_duration_since(since);
        if self.config.keep_alive == Duration::MAX {
            parker.park();
        } else {
            loop {
                let left = self.config.keep_alive.saturating_sub(waited());
                if left.is_zero() {
                    return false;
                }
                if parker.park_timeout(left) {
                    break;
                }
            }
        }
        spin.record_sleep(waited());
        true
    }

    fn end(&self, number: usize, mut inner: MutexGuard<'_, Inner<W>>) {
        inner.threads -= 1;
        let me = thread::current_id();
        inner.ids.retain(|id| *id != me);
        match inner.handles.remove(&number) {
            Some(handle) => {
                inner.ended.push(handle);
                inner.numbers.give_back(number);
            }
            None => inner.ended_early.push(number),
        }
        let is_shut_down = inner.is_shut_down;
        let ended = if is_shut_down { Vec::new() } else { std::mem::take(&mut inner.ended) };
        // Handles do not accumulate: that of a thread that has certainly ended is dropped.
        let (gone, ended) = ended.into_iter().partition::<Vec<_>, _>(thread::has_ended);
        if !is_shut_down {
            inner.ended = ended;
        }
        unlock(inner);
        drop(gone);
        if is_shut_down {
            self.ended.unpark();
        }
    }

    /// From now on no work is accepted. Work in the queue is cancelled, except mandatory work and the work that the seeker will take.
    /// When that is done, the threads end.
    pub(crate) fn shutdown(&self) {
        let mut inner = self.inner.lock();
        inner.is_shut_down = true;
        let mut queue = std::mem::take(&mut inner.queue);
        // `seeker-finds-its-work`
        let expected = if inner.has_seeker { queue.pop_front() } else { None };
        let (mandatory, cancelled): (VecDeque<_>, VecDeque<_>) =
            queue.into_iter().partition(|(_, work)| work.is_mandatory());
        inner.queue = expected.into_iter().chain(mandatory).collect();
        let idle = std::mem::take(&mut inner.idle);
        unlock(inner);
        idle.iter().for_each(|parker| parker.unpark());
        cancel_all(cancelled);
    }

    /// Waits until all threads except `excluded` have ended, but no longer than `timeout`. True if they have ended.
    pub(crate) fn join_all(&self, timeout: Option<Duration>, excluded: &[ThreadId]) -> bool {
        let mut since = None;
        loop {
            {
                let mut inner = self.inner.lock();
                debug_assert!(inner.is_shut_down, "threads end after shutdown");
                if inner.threads == inner.ids.iter().filter(|id| excluded.contains(id)).count() {
                    let ended = std::mem::take(&mut inner.ended);
                    drop(inner);
                    for thread in ended.into_iter().filter(|thread| !excluded.contains(&thread.thread().id())) {
                        // A thread of the pool catches all panics.
                        drop(thread::join(thread));
                    }
                    return true;
                }
            }
            match timeout {
                None => self.ended.park(),
                Some(timeout) => {
                    let now = real_now();
                    let since = *since.get_or_insert(now);
                    let left = timeout.saturating_sub(now.saturating_duration_since(since));
                    if left.is_zero() {
                        return false;
                    }
                    self.ended.park_timeout(left);
                }
            }
        }
    }

    /// Adds the ids of the pool's threads, including those that have ended and are not joined.
    pub(crate) fn add_threads(&self, threads: &mut Vec<ThreadId>) {
        let inner = self.inner.lock();
        threads.extend(&inner.ids);
        threads.extend(inner.handles.values().chain(&inner.ended).map(|handle| handle.thread().id()));
    }

    pub(crate) fn threads(&self) -> usize {
        self.inner.lock().threads
    }

    /// Whether no work runs or waits.
    pub(crate) fn is_quiet(&self) -> bool {
        let inner = self.inner.lock();
        inner.queue.is_empty() && inner.threads == inner.idle.len()
    }

    pub(crate) fn idle_threads(&self) -> usize {
        self.inner.lock().idle.len()
    }

    pub(crate) fn queue_depth(&self) -> usize {
        self.inner.lock().queue.len()
    }
}

/// Called without the lock: the destructors of a cancelled task are user code.
fn cancel_all<W: Work>(queue: VecDeque<(u64, W)>) {
    for (_, work) in queue {
        guarded(|| work.cancel());
    }
}

impl<W> std::fmt::Debug for Inner<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("queued", &self.queue.len())
            .field("idle", &self.idle.len())
            .field("threads", &self.threads)
            .field("has_seeker", &self.has_seeker)
            .field("is_refused", &self.is_refused)
            .field("is_shut_down", &self.is_shut_down)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    enum Closure {
        Usual(Box<dyn FnOnce() + Send>),
        Mandatory(Box<dyn FnOnce() + Send>),
    }

    impl Work for Closure {
        fn run(self) {
            match self {
                Self::Usual(f) | Self::Mandatory(f) => f(),
            }
        }
        fn cancel(self) {}
        fn is_mandatory(&self) -> bool {
            matches!(self, Self::Mandatory(_))
        }
    }

    fn pool(max_threads: usize, keep_alive: Duration) -> Arc<Pool<Closure>> {
        Arc::new(Pool::new(PoolConfig { max_threads, keep_alive }))
    }

    fn start(pool: &Arc<Pool<Closure>>, number: usize) -> io::Result<JoinHandle<()>> {
        let pool = Arc::clone(pool);
        thread::spawn_named(format!("pool-{number}"), None, move || {
            pool.run_thread(number, &|number| start(&pool, number));
        })
    }

    fn submit(pool: &Arc<Pool<Closure>>, f: impl FnOnce() + Send + 'static) -> Result<(), Refused<Closure>> {
        pool.submit(Closure::Usual(Box::new(f)), &|number| start(pool, number))
    }

    fn is_accepted(submitted: Result<(), Refused<Closure>>) {
        assert!(submitted.is_ok(), "the pool is open and the system has threads");
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn work_that_waits_for_other_work_gets_its_threads() {
        let pool = pool(8, LONG);
        let (barrier, (done, all)) = (Arc::new(Barrier::new(8)), mpsc::channel());
        for _ in 0..8 {
            let (barrier, done) = (Arc::clone(&barrier), done.clone());
            is_accepted(submit(&pool, move || {
                barrier.wait();
                done.send(()).expect("the test waits");
            }));
        }
        (0..8).for_each(|_| all.recv().expect("each of them ends"));
        assert_eq!(pool.threads(), 8);
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
    }

    #[test]
    fn no_more_threads_than_the_bound_and_all_work_is_done() {
        let pool = pool(3, LONG);
        let (running, most, done) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..200 {
            let (running, most, done) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&done));
            is_accepted(submit(&pool, move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                done.fetch_add(1, Ordering::SeqCst);
            }));
        }
        while done.load(Ordering::SeqCst) < 200 {
            thread::yield_now();
        }
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
        assert!(most.load(Ordering::SeqCst) <= 3);
    }

    #[test]
    fn a_thread_whose_keep_alive_is_over_leaves_no_work_behind() {
        let pool = pool(1, Duration::ZERO);
        let (done, all) = mpsc::channel();
        for number in 0..crate::sys::emulation::rounds(2000) {
            let done = done.clone();
            is_accepted(submit(&pool, move || done.send(number).expect("the test waits")));
            assert_eq!(all.recv(), Ok(number), "each is done before the next one is submitted");
        }
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
    }

    #[test]
    fn shutdown_cancels_work_that_waits_unless_it_is_mandatory() {
        let pool = pool(1, LONG);
        let (go, wait) = mpsc::channel::<()>();
        is_accepted(submit(&pool, move || wait.recv().expect("the test releases it")));
        let (done, all) = mpsc::channel();
        let usual = done.clone();
        is_accepted(submit(&pool, move || usual.send("usual").expect("the test waits")));
        let mandatory = move || done.send("mandatory").expect("the test waits");
        is_accepted(pool.submit(Closure::Mandatory(Box::new(mandatory)), &|_| unreachable!("the bound is reached")));
        while pool.queue_depth() > 2 {
            thread::yield_now();
        }
        pool.shutdown();
        assert_eq!(pool.queue_depth(), 1);
        go.send(()).expect("the closure waits");
        assert!(pool.join_all(None, &[]));
        assert_eq!(all.iter().collect::<Vec<_>>(), ["mandatory"]);
    }

    #[test]
    fn work_for_which_a_thread_was_just_started_is_done_although_shutdown_comes_first() {
        let pool = pool(1, LONG);
        let (go, wait) = mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(Some(wait));
        let late = |number| {
            let wait = wait.lock().expect("no thread panics").take().expect("one thread");
            let pool = Arc::clone(&pool);
            thread::spawn_named("late".to_owned(), None, move || {
                wait.recv().expect("the test releases it");
                pool.run_thread(number, &|_| unreachable!("the bound is reached"));
            })
        };
        let (done, all) = mpsc::channel();
        for number in 0..2 {
            let done = done.clone();
            let work = move || done.send(number).expect("the test waits");
            is_accepted(pool.submit(Closure::Usual(Box::new(work)), &late));
        }
        drop(done);
        pool.shutdown();
        assert_eq!(pool.queue_depth(), 1, "no thread was started for the second piece");
        go.send(()).expect("the closure waits");
        assert!(pool.join_all(None, &[]));
        assert_eq!(all.iter().collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn a_thread_has_the_smallest_number_that_no_other_thread_has() {
        let mut numbers = Numbers::default();
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [0, 1, 2]);
        numbers.give_back(1);
        numbers.give_back(0);
        assert_eq!([numbers.take(), numbers.take(), numbers.take()], [0, 1, 3]);
    }

    #[test]
    fn a_number_is_used_again_after_its_thread_has_ended_or_was_refused() {
        use crate::sys::faults::{Call, plan};
        let pool = pool(3, Duration::ZERO);
        for round in 0..50 {
            if round % 10 == 0 {
                plan(Call::ThreadStart, 0, libc::EAGAIN);
                assert!(submit(&pool, || ()).is_err());
            }
            is_accepted(submit(&pool, || ()));
            while pool.threads() > 0 {
                thread::yield_now();
            }
        }
        assert_eq!(pool.inner.lock().numbers.made, 1, "there was one thread at a time");
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
    }

    #[test]
    fn an_idle_thread_ends_after_its_keep_alive() {
        let pool = pool(3, Duration::ZERO);
        let (done, ended) = mpsc::channel();
        is_accepted(submit(&pool, move || done.send(()).expect("the test waits")));
        ended.recv().expect("it ends");
        while pool.threads() > 0 {
            thread::yield_now();
        }
        is_accepted(submit(&pool, || ()));
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
    }

    #[test]
    fn a_refused_first_thread_is_an_error_and_a_refused_second_is_not() {
        use crate::sys::faults::{Call, plan};
        let pool = pool(3, LONG);
        plan(Call::ThreadStart, 0, libc::EAGAIN);
        let refused = submit(&pool, || ()).expect_err("the system refused");
        assert!(matches!(refused.reason, Refusal::NoThread(error) if error.raw_os_error() == Some(libc::EAGAIN)));
        // The pool is as before: the next submit gets its thread.
        let (go, wait) = mpsc::channel::<()>();
        let (done, all) = mpsc::channel();
        let first = done.clone();
        is_accepted(submit(&pool, move || {
            wait.recv().expect("the test releases it");
            first.send(1).expect("the test waits");
        }));
        while pool.queue_depth() > 0 {
            thread::yield_now();
        }
        plan(Call::ThreadStart, 0, libc::EAGAIN);
        let submitted = pool
            .submit(Closure::Usual(Box::new(move || done.send(2).expect("the test waits"))), &|number| {
                start(&pool, number)
            });
        assert!(submitted.is_ok(), "it waits for the thread that exists");
        go.send(()).expect("the closure waits");
        assert_eq!(all.iter().take(2).collect::<Vec<_>>(), [1, 2]);
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
    }

    #[test]
    fn work_that_panics_leaves_the_pool_as_it_was() {
        let pool = pool(1, LONG);
        struct Nasty;
        impl Drop for Nasty {
            fn drop(&mut self) {
                panic!("on purpose, in the payload");
            }
        }
        is_accepted(submit(&pool, || std::panic::panic_any(Nasty)));
        let (done, ended) = mpsc::channel();
        is_accepted(submit(&pool, move || done.send(()).expect("the test waits")));
        ended.recv().expect("the thread continues");
        pool.shutdown();
        assert!(pool.join_all(None, &[]));
        assert!(matches!(submit(&pool, || ()), Err(Refused { reason: Refusal::Shutdown, .. })));
    }
}

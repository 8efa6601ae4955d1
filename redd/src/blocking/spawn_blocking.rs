//! A closure as a task: it runs once, on a thread of the blocking pool.
//!
//! Called by `task::spawn_blocking`, `fs`, `net::lookup` and stdio.

#![expect(unsafe_code, reason = "allocates tasks")]

use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::pool::{Pool, PoolConfig, Refusal, Refused, Work};
use crate::primitives::thread;
use crate::scheduler::enter::{enter, expect_current};
use crate::scheduler::{Config, Shared};
use crate::task::cell;
use crate::task::poll::Ran;
use crate::task::{JoinHandle, Runnable, coop};

/// The pool of one runtime.
pub(crate) type BlockingPool = Pool<BlockingTask>;

impl BlockingPool {
    pub(crate) fn for_runtime(config: &Config) -> Self {
        Self::new(PoolConfig { max_threads: config.max_blocking_threads, keep_alive: config.thread_keep_alive })
    }
}

/// A closure that waits for a thread.
#[derive(Debug)]
pub(crate) struct BlockingTask {
    runnable: Runnable,
    urgency: Urgency,
    /// Released when the closure has ended.
    _clock: Option<HoldClock>,
}

/// What shutdown does with a closure to which no thread is on its way yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// It is cancelled.
    Usual,
    /// It runs: a write that was accepted reaches its file.
    Mandatory,
}

/// A paused clock does not move on by itself while a closure runs: its end may be what everybody waits for.
#[derive(Debug)]
struct HoldClock(Arc<Shared>);

impl HoldClock {
    fn new(shared: &Arc<Shared>) -> Option<Self> {
        shared.parts.enabled.pause.then(|| {
            shared.parts.timers.clock().inhibit_auto_advance();
            Self(Arc::clone(shared))
        })
    }
}

impl Drop for HoldClock {
    fn drop(&mut self) {
        let clock = self.0.parts.timers.clock();
        clock.allow_auto_advance();
        if clock.is_paused() {
            self.0.wake_worker_for_injected();
        }
    }
}

impl Work for BlockingTask {
    fn run(self) {
        match self.runnable.run() {
            Ran::Done => {}
            Ran::Requeue(_) | Ran::Yielded(_) => unreachable!("a closure is polled once and ends"),
        }
    }

    fn cancel(self) {
        self.runnable.cancel();
    }

    fn is_mandatory(&self) -> bool {
        self.urgency == Urgency::Mandatory
    }
}

/// The closure as a future that is ready at once.
struct Closure<F>(Option<F>);

impl<F> Unpin for Closure<F> {}

impl<F: FnOnce() -> R, R> Future for Closure<F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<R> {
        let f = self.0.take().expect("a closure is polled once");
        // It may use redd's types for as long as it likes: it holds nobody up.
        Poll::Ready(coop::without_limit(f))
    }
}

/// Runs a closure on a thread where blocking is fine, and gives a handle to its result.
///
/// - It starts without being awaited. Threads are added as needed, up to `Builder::max_blocking_threads` (512); then
///   closures wait for one.
/// - Dropping the handle lets it run on. `abort` works only before it has started.
/// - Shutdown waits for closures that have started, and for one for which a thread has just been started or woken; others
///   that wait for a thread are cancelled.
/// - For much computation use few closures or a pool of its own: 512 threads do not make CPUs.
///
/// - If the system refuses the pool's first thread, the handle says so: its error is a panic with the reason. If it
///   refuses a further one, closures wait for the threads that exist. See [`try_spawn_blocking`].
///
/// # Panics
/// Outside of a runtime.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let digits = redd::task::spawn_blocking(|| {
///     // Something slow that does not await.
///     (1..=20_u64).product::<u64>().to_string()
/// });
/// assert_eq!(digits.await.unwrap(), "2432902008176640000");
/// # });
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    spawn_on(&expect_current("`spawn_blocking`"), f, None)
}

/// As [`spawn_blocking`], but a thread that the system refuses is an error, and the closure is dropped.
///
/// # Errors
/// The pool has no thread and the system starts none: the process is at a limit of threads or memory.
///
/// # Panics
/// Outside of a runtime.
#[track_caller]
pub fn try_spawn_blocking<F, R>(f: F) -> io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    try_spawn_on(&expect_current("`try_spawn_blocking`"), f, None)
}

/// As [`spawn_blocking`], on a runtime of choice, with a name.
#[track_caller]
pub(crate) fn spawn_on<F, R>(shared: &Arc<Shared>, f: F, name: Option<Arc<str>>) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let location = Location::caller();
    let error = match submit(shared, f, name.clone(), Urgency::Usual, location) {
        Ok(join) => return join,
        Err(error) => error,
    };
    let refuse = move || -> R {
        panic!(
            "`spawn_blocking` could not start a thread: {error}. The process is at a limit of threads or memory; raise \
             the limit, or start fewer threads."
        )
    };
    // SAFETY: closure and result are `Send`.
    let (runnable, join) = unsafe { cell::allocate::<_, true>(&shared.slab, Closure(Some(refuse)), name, location) };
    // Here and now, for there is no thread; the panic becomes the handle's error.
    match runnable.run() {
        Ran::Done => join,
        Ran::Requeue(_) | Ran::Yielded(_) => unreachable!("a closure is polled once and ends"),
    }
}

/// As [`spawn_on`], but a refused thread is an error.
#[track_caller]
pub(crate) fn try_spawn_on<F, R>(shared: &Arc<Shared>, f: F, name: Option<Arc<str>>) -> io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    submit(shared, f, name, Urgency::Usual, Location::caller())
}

#[track_caller]
fn submit<F, R>(
    shared: &Arc<Shared>,
    f: F,
    name: Option<Arc<str>>,
    urgency: Urgency,
    location: &'static Location<'static>,
) -> io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    shared.expect_own_process("`spawn_blocking`");
    // SAFETY: closure and result are `Send`.
    let (runnable, join) =
        unsafe { cell::allocate::<Closure<F>, true>(&shared.slab, Closure(Some(f)), name, location) };
    let task = BlockingTask { runnable, urgency, _clock: HoldClock::new(shared) };
    // A runtime that has closed still takes what its tasks' drops leave, until the pool is told to end.
    let accepted = if shared.refuses_here() && !shared.is_closed() {
        Err(Refused { work: task, reason: Refusal::Shutdown })
    } else {
        shared.blocking.submit(task, &|number| start_thread(shared, number))
    };
    match accepted {
        Ok(()) => Ok(join),
        Err(Refused { work, reason }) => {
            work.cancel();
            match reason {
                // The handle says that it was cancelled.
                Refusal::Shutdown => Ok(join),
                Refusal::NoThread(error) => Err(error),
            }
        }
    }
}

fn start_thread(shared: &Arc<Shared>, number: usize) -> io::Result<thread::JoinHandle<()>> {
    let mine = Arc::clone(shared);
    let name = shared.config.name_thread();
    thread::spawn_named(name, shared.config.thread_stack_size, move || {
        let _entered = enter(Arc::clone(&mine));
        mine.config.hooks.start();
        mine.blocking.run_thread(number, &|number| start_thread(&mine, number));
        mine.config.hooks.stop();
    })
    .map_err(|error| shared.config.explain_refusal(error))
}

/// Runs `f` on the blocking pool of the current runtime.
#[track_caller]
pub(crate) fn run<T, F>(f: F) -> impl Future<Output = io::Result<T>> + Send + use<T, F>
where
    F: FnOnce() -> io::Result<T> + Send + 'static,
    T: Send + 'static,
{
    let join = try_spawn_on(&expect_current("this operation on the blocking pool"), f, None);
    async move { flatten(join?.await) }
}

/// As [`run`], with the handle. Once it is accepted, `f` runs, also when the runtime shuts down first; a runtime that has
/// shut down drops it. `None` if the system refuses a thread.
#[track_caller]
pub(crate) fn run_mandatory<T, F>(f: F) -> Option<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let shared = expect_current("this operation on a file");
    submit(&shared, f, None, Urgency::Mandatory, Location::caller()).ok()
}

/// The error of work that its runtime does not do any more.
pub(crate) fn runtime_gone() -> io::Error {
    crate::driver::shutdown_error()
}

fn flatten<T>(joined: Result<io::Result<T>, crate::task::JoinError>) -> io::Result<T> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("background task failed")),
    }
}

//! Closures of the blocking pool: how a runtime accepts them, and starts the pool's threads.
//!
//! Called by `blocking::spawn_blocking`, by task groups, and by the loop, which returns idle memory on the pool.

#![expect(unsafe_code, reason = "allocates tasks")]

use std::io;
use std::panic::Location;
use std::sync::Arc;

use super::enter::enter;
use super::shared::Shared;
use super::thread_names::{self, ThreadRole};
use crate::blocking::pool::{Refusal, Refused, Work};
use crate::blocking::task::{BlockingTask, Closure, ClosureHost, Urgency};
use crate::observe::recorder;
use crate::primitives::{baton, thread};
use crate::task::cell;
use crate::task::inherited::Inherited;
use crate::task::poll::Ran;
use crate::task::{JoinHandle, Runnable};

/// Runs a closure on the pool of the runtime. If the system refuses a thread, the handle reports it as a panic.
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
    let refuse = move || -> R { refuse(&error) };
    // SAFETY: closure and result are `Send`.
    let (runnable, join) =
        unsafe { cell::allocate::<_, true>(&shared.slab, None, Closure(Some(refuse)), name, location) };
    // There is no thread, so it runs here. The panic becomes the handle's error.
    match runnable.run() {
        Ran::Done => join,
        Ran::Requeue(_) | Ran::Yielded(_) => unreachable!("a closure is polled once and ends"),
    }
}

/// The panic of a closure for which the system refuses a thread.
pub(crate) fn refuse(error: &io::Error) -> ! {
    panic!(
        "`spawn_blocking` could not start a thread: {error}. The process is at a limit of threads or memory; raise the \
         limit, or start fewer threads."
    )
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

/// Queues a closure for the pool.
#[track_caller]
pub(crate) fn submit<F, R>(
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
    let (runnable, join) = allocate(shared, f, name, location);
    match start(shared, runnable, urgency) {
        Ok(()) => Ok(join),
        Err((runnable, error)) => {
            runnable.cancel();
            Err(error)
        }
    }
}

/// Makes the task of a closure, for [`start`].
pub(crate) fn allocate<F, R>(
    shared: &Shared,
    f: F,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<R>)
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    shared.expect_own_process("`spawn_blocking`");
    shared.expect_own_world("`spawn_blocking`");
    let values = Inherited::capture(shared.config.inherits_span);
    // SAFETY: closure and result are `Send`.
    unsafe { cell::allocate::<Closure<F>, true>(&shared.slab, values, Closure(Some(f)), name, location) }
}

/// Whether a closure from this thread would be accepted now, and neither belongs to a simulated world.
#[inline]
pub(crate) fn accepts_here(shared: &Shared) -> bool {
    !shared.refuses_here() && shared.is_in_own_process() && shared.config.baton.is_none() && !baton::is_member()
}

/// Gives a closure to the pool. If the pool has shut down, the closure is cancelled. If the system refuses a thread, it is returned.
pub(crate) fn start(shared: &Arc<Shared>, runnable: Runnable, urgency: Urgency) -> Result<(), (Runnable, io::Error)> {
    let host = shared.parts.enabled.pause.then(|| Arc::clone(shared) as Arc<dyn ClosureHost>);
    let task = BlockingTask::new(runnable, urgency, host);
    // A runtime that has closed still accepts closures that the drops of its tasks submit, until the pool shuts down.
    let accepted = if shared.refuses_here() && !shared.is_closed() {
        Err(Refused { work: task, reason: Refusal::Shutdown })
    } else {
        shared.blocking.submit(task, &|number| start_thread(shared, number))
    };
    match accepted {
        Ok(()) => Ok(()),
        Err(Refused { work, reason: Refusal::Shutdown }) => {
            // The handle returns that it was cancelled.
            work.cancel();
            Ok(())
        }
        Err(Refused { work, reason: Refusal::NoThread(error) }) => Err((work.into_runnable(), error)),
    }
}

fn start_thread(shared: &Arc<Shared>, number: usize) -> io::Result<thread::JoinHandle<()>> {
    let mine = Arc::clone(shared);
    let name = shared.config.name_thread();
    thread_names::spawn(ThreadRole::Blocking(number), name, shared.config.thread_stack_size, move || {
        if !mine.config.observe {
            recorder::hide_thread();
        }
        let _entered = enter(Arc::clone(&mine));
        mine.config.hooks.start();
        mine.blocking.run_thread(number, &|number| start_thread(&mine, number));
        mine.config.hooks.stop();
    })
    .map_err(|error| shared.config.explain_refusal(error))
}

impl ClosureHost for Shared {
    fn closure_begins(&self) {
        self.parts.timers.clock().inhibit_auto_advance();
    }

    fn closure_ends(&self) {
        let clock = self.parts.timers.clock();
        clock.allow_auto_advance();
        if clock.is_paused() {
            self.wake_worker_after_publish();
        }
    }
}

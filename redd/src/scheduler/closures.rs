//! Closures of the blocking pool: how a runtime accepts them, and starts the pool's threads.
//!
//! Called by `blocking::spawn_blocking`, and by the loop, which returns idle memory on the pool.

#![expect(unsafe_code, reason = "allocates tasks")]

use std::io;
use std::panic::Location;
use std::sync::Arc;

use super::enter::enter;
use super::shared::Shared;
use crate::blocking::pool::{Refusal, Refused, Work};
use crate::blocking::task::{BlockingTask, Closure, ClosureHost, Urgency};
use crate::observe::recorder;
use crate::primitives::thread;
use crate::task::JoinHandle;
use crate::task::cell;
use crate::task::inherited::Inherited;
use crate::task::poll::Ran;

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
    let refuse = move || -> R {
        panic!(
            "`spawn_blocking` could not start a thread: {error}. The process is at a limit of threads or memory; raise \
             the limit, or start fewer threads."
        )
    };
    // SAFETY: closure and result are `Send`.
    let (runnable, join) =
        unsafe { cell::allocate::<_, true>(&shared.slab, None, Closure(Some(refuse)), name, location) };
    // There is no thread, so it runs here. The panic becomes the handle's error.
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
    shared.expect_own_process("`spawn_blocking`");
    let values = Inherited::capture(shared.config.inherits_span);
    // SAFETY: closure and result are `Send`.
    let (runnable, join) =
        unsafe { cell::allocate::<Closure<F>, true>(&shared.slab, values, Closure(Some(f)), name, location) };
    let host = shared.parts.enabled.pause.then(|| Arc::clone(shared) as Arc<dyn ClosureHost>);
    let task = BlockingTask::new(runnable, urgency, host);
    // A runtime that has closed still accepts closures that the drops of its tasks submit, until the pool shuts down.
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
                // The handle returns that it was cancelled.
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

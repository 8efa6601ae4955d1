//! Threads: starting them with a name, waiting briefly for their next steps, and their ids.

use super::baton;
use std::io;
use std::thread;

/// For a loop that waits for another thread's next few steps.
pub(crate) use std::hint::spin_loop;

pub(crate) use std::thread::panicking;
pub(crate) use std::thread::{JoinHandle, ThreadId, yield_now};

const STACK_SIZE_MAX: usize = 1 << 62;

/// Whether a panic unwinds the calling thread.
pub(crate) use std::thread::panicking as is_unwinding;

/// Starts a named thread. Returns the system's error if it refused (too many threads, no memory for a stack).
pub(crate) fn spawn_named<T: Send + 'static>(
    name: String,
    stack_size: Option<usize>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    crate::sys::faults::check(crate::sys::faults::Call::ThreadStart)?;
    let mut builder = thread::Builder::new().name(name);
    if let Some(bytes) = stack_size {
        // std rounds it up, and must not pass the end of the numbers. The system refuses this one.
        builder = builder.stack_size(bytes.min(STACK_SIZE_MAX));
    }
    builder.spawn(f)
}

/// As [`spawn_named`], for a thread of a runtime. If the caller belongs to a simulated world, so does the new thread.
pub(crate) fn spawn_member<T: Send + 'static>(
    name: String,
    stack_size: Option<usize>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let Some(place) = baton::Place::in_current(&name) else {
        return spawn_named(name, stack_size, f);
    };
    let identify = place.identify();
    let thread = spawn_named(name, stack_size, move || {
        place.take();
        f()
    })?;
    // This thread has the baton, so the new one has not run.
    identify(thread.thread().id());
    Ok(thread)
}

/// Waits until the thread has ended, and returns its result.
pub(crate) fn join<T>(thread: JoinHandle<T>) -> thread::Result<T> {
    if baton::is_any() {
        baton::wait_for_end(thread.thread().id());
    }
    thread.join()
}

/// Whether a thread has ended, so that nothing is lost with its handle.
pub(crate) fn has_ended(thread: &JoinHandle<()>) -> bool {
    thread.is_finished()
}

/// The number of turns for which [`spin`] does not yield the CPU to another thread.
pub(crate) const SPINS: u32 = 64;

/// Waits briefly in a loop that waits for a few instructions of another thread. `turns` is the number of waits so far.
///
/// - After 64 turns the other thread has likely been preempted, so this thread yields to it.
/// - After 128 turns yielding has not helped, perhaps because the other has a lower priority. So this thread sleeps.
///
/// The numbers are estimates; no benchmark chose them.
#[inline]
#[expect(
    clippy::disallowed_methods,
    reason = "not a task's time: the scheduler of the system has to run another thread"
)]
pub(crate) fn spin(turns: u32) {
    match turns {
        0..SPINS => std::hint::spin_loop(),
        SPINS..128 => yield_now(),
        // Also in a simulated world: the owner of a short lock may be a thread outside of it.
        _ => crate::sys::outside::outside(|| std::thread::sleep(std::time::Duration::from_micros(50))),
    }
}

/// The name of the calling thread, for messages.
pub(crate) fn current_name() -> String {
    match thread::current().name() {
        Some(name) => name.to_owned(),
        None => format!("{:?}", thread::current().id()),
    }
}

/// An id that users see.
pub(crate) use std::thread::ThreadId as PublicId;

/// The calling thread, for users.
pub(crate) fn public_id() -> PublicId {
    current_id()
}

/// The calling thread.
pub(crate) fn current_id() -> ThreadId {
    thread_local! {
        /// std counts references to find it out.
        static ID: std::cell::Cell<Option<ThreadId>> = const { std::cell::Cell::new(None) };
    }
    ID.get().unwrap_or_else(|| {
        let id = thread::current().id();
        ID.set(Some(id));
        id
    })
}

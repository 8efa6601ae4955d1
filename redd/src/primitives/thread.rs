//! Threads: started with a name, and a refusal of the system is a value.

use std::io;

#[cfg(all(test, loom))]
use loom::thread as imp;
#[cfg(all(test, shuttle))]
use shuttle::thread as imp;
#[cfg(not(all(test, any(loom, shuttle))))]
use std::thread as imp;

#[cfg(all(test, shuttle))]
pub(crate) use imp::yield_now as spin_loop;
/// For a loop that waits for another thread's next few steps. In a model: let another thread run.
#[cfg(all(test, loom))]
pub(crate) use loom::hint::spin_loop;
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use std::hint::spin_loop;

pub(crate) use imp::{JoinHandle, ThreadId, yield_now};
pub(crate) use std::thread::panicking;

#[cfg(not(all(test, loom)))]
const STACK_SIZE_MAX: usize = 1 << 62;

/// Whether a panic unwinds the calling thread. In a model it never counts: a checker ends a thread that way whose
/// schedule has failed.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use std::thread::panicking as is_unwinding;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn is_unwinding() -> bool {
    false
}

/// Starts a named thread. Returns the system's error if it refused (too many threads, no memory for a stack).
#[cfg(not(all(test, loom)))]
pub(crate) fn spawn_named<T: Send + 'static>(
    name: String,
    stack_size: Option<usize>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    crate::sys::faults::check(crate::sys::faults::Call::ThreadStart)?;
    let mut builder = imp::Builder::new().name(name);
    if let Some(bytes) = stack_size {
        // std rounds it up, and must not pass the end of the numbers. The system refuses this one.
        builder = builder.stack_size(bytes.min(STACK_SIZE_MAX));
    }
    builder.spawn(f)
}

#[cfg(all(test, loom))]
pub(crate) fn spawn_named<T: 'static>(
    _name: String,
    _stack_size: Option<usize>,
    f: impl FnOnce() -> T + 'static,
) -> io::Result<JoinHandle<T>> {
    Ok(loom::thread::spawn(f))
}

/// Whether a thread has ended, so that nothing is lost with its handle.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) fn has_ended(thread: &JoinHandle<()>) -> bool {
    thread.is_finished()
}

#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn has_ended(_thread: &JoinHandle<()>) -> bool {
    false
}

/// The number of turns for which [`spin`] does not yield the CPU to another thread.
pub(crate) const SPINS: u32 = 64;

/// Waits briefly in a loop that waits for a few instructions of another thread. `turns` is the number of waits so far.
///
/// - After 64 turns the other thread has likely been preempted, so this thread yields to it.
/// - After 128 turns yielding has not helped, perhaps because the other has a lower priority. So this thread sleeps.
///
/// The numbers are estimates; no benchmark chose them.
#[cfg(not(all(test, any(loom, shuttle))))]
#[inline]
#[expect(
    clippy::disallowed_methods,
    reason = "not a task's time: the scheduler of the system has to run another thread"
)]
pub(crate) fn spin(turns: u32) {
    match turns {
        0..SPINS => std::hint::spin_loop(),
        SPINS..128 => yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}

/// In a model only other threads can end the wait.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn spin(_turns: u32) {
    yield_now();
}

/// The name of the calling thread, for messages.
pub(crate) fn current_name() -> String {
    match std::thread::current().name() {
        Some(name) => name.to_owned(),
        None => format!("{:?}", std::thread::current().id()),
    }
}

/// An id that users see: of std, in models too.
pub(crate) use std::thread::ThreadId as PublicId;

/// The calling thread, for users.
pub(crate) fn public_id() -> PublicId {
    #[cfg(not(all(test, any(loom, shuttle))))]
    return current_id();
    #[cfg(all(test, any(loom, shuttle)))]
    return std::thread::current().id();
}

/// The calling thread.
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) fn current_id() -> ThreadId {
    thread_local! {
        /// std counts references to find it out.
        static ID: std::cell::Cell<Option<ThreadId>> = const { std::cell::Cell::new(None) };
    }
    ID.get().unwrap_or_else(|| {
        let id = imp::current().id();
        ID.set(Some(id));
        id
    })
}

/// The calling thread.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) fn current_id() -> ThreadId {
    imp::current().id()
}

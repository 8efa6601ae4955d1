//! Threads of the checkers.

use std::io;

#[cfg(loom)]
use loom::thread as imp;
#[cfg(shuttle)]
use shuttle::thread as imp;

/// Lets another thread run.
#[cfg(shuttle)]
pub(crate) use imp::yield_now as spin_loop;
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;

pub(crate) use imp::{JoinHandle, ThreadId, yield_now};
pub(crate) use std::thread::panicking;

/// False: a checker unwinds the threads of a schedule that has failed.
pub(crate) fn is_unwinding() -> bool {
    false
}

#[cfg(loom)]
pub(crate) fn spawn_named<T: 'static>(
    _name: String,
    _stack_size: Option<usize>,
    f: impl FnOnce() -> T + 'static,
) -> io::Result<JoinHandle<T>> {
    Ok(loom::thread::spawn(f))
}

#[cfg(shuttle)]
pub(crate) fn spawn_named<T: Send + 'static>(
    name: String,
    _stack_size: Option<usize>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    crate::sys::faults::check(crate::sys::faults::Call::ThreadStart)?;
    imp::Builder::new().name(name).spawn(f)
}

/// Models have no simulated worlds.
pub(crate) use spawn_named as spawn_member;

pub(crate) fn join<T>(thread: JoinHandle<T>) -> std::thread::Result<T> {
    thread.join()
}

pub(crate) fn has_ended(_thread: &JoinHandle<()>) -> bool {
    false
}

/// As in programs: the turns after which a wait for a lock is recorded.
pub(crate) const SPINS: u32 = 64;

/// Only another thread can end the wait.
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
    std::thread::current().id()
}

/// The calling thread.
pub(crate) fn current_id() -> ThreadId {
    imp::current().id()
}

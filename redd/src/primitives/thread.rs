//! Threads: started with a name, and a refusal of the system is a value.

use std::io;

/// For a loop that waits for another thread's next few steps. In a model: let another thread run.
#[cfg(loom)]
pub(crate) use loom::hint::spin_loop;
#[cfg(loom)]
pub(crate) use loom::thread::{JoinHandle, yield_now};
/// For a loop that waits for another thread's next few steps.
#[cfg(not(loom))]
pub(crate) use std::hint::spin_loop;
#[cfg(not(loom))]
pub(crate) use std::thread::{JoinHandle, yield_now};
pub(crate) use std::thread::{Result, panicking};

/// Starts a named thread, or says why the system refused it (too many threads, no memory for a stack).
#[cfg(not(loom))]
pub(crate) fn spawn_named<T: Send + 'static>(
    name: String,
    stack_size: Option<usize>,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    crate::sys::faults::check(crate::sys::faults::Call::ThreadStart)?;
    let mut builder = std::thread::Builder::new().name(name);
    if let Some(bytes) = stack_size {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(f)
}

#[cfg(loom)]
pub(crate) fn spawn_named<T: 'static>(
    _name: String,
    _stack_size: Option<usize>,
    f: impl FnOnce() -> T + 'static,
) -> io::Result<JoinHandle<T>> {
    Ok(loom::thread::spawn(f))
}

/// The name of the calling thread, for messages.
pub(crate) fn current_name() -> String {
    match std::thread::current().name() {
        Some(name) => name.to_owned(),
        None => format!("{:?}", std::thread::current().id()),
    }
}

//! The names of a runtime's threads.
//!
//! Called by `start` and `closures`, on threads that are about to start another one.
//!
//! A thread is named by what it does and a number: `redd-worker-0`, `redd-spare-0`, `redd-blocking-0`. If the program has set a name or
//! a function that makes names, all threads of the runtime have those, as in Tokio.
//!
//! The kernel keeps 15 bytes of a name, and std passes the first 15. So that long numbers tell threads apart there, too, a
//! thread with a default name that is too long renames itself: its word loses letters at the end, and its number is kept.
//! `redd-blocking-10` is `redd-blockin-10` for `ps -L`, `perf` and gdb.

use std::fmt;
use std::io;

use crate::primitives::thread::{self, JoinHandle};
use crate::sys;

/// The number of bytes of a name that the kernel keeps.
const KERNEL_NAME_MAX: usize = 15;

/// What a thread of a runtime does, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThreadRole {
    /// The index of the worker.
    Worker(usize),
    /// Counted from the first spare's slot.
    Spare(usize),
    /// The smallest number that no other thread of the pool has.
    Blocking(usize),
}

impl ThreadRole {
    fn word_and_number(self) -> (&'static str, usize) {
        match self {
            Self::Worker(index) => ("redd-worker", index),
            Self::Spare(slot) => ("redd-spare", slot),
            Self::Blocking(number) => ("redd-blocking", number),
        }
    }

    /// The default name as the kernel is to have it, if that is not the first 15 bytes of it.
    fn kernel_name(self) -> Option<String> {
        let (word, number) = self.word_and_number();
        let number = number.to_string();
        let left = KERNEL_NAME_MAX.saturating_sub(1 + number.len());
        (word.len() > left).then(|| format!("{}-{number}", &word[..left]))
    }
}

/// The default name.
impl fmt::Display for ThreadRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, number) = self.word_and_number();
        write!(f, "{word}-{number}")
    }
}

/// Starts a thread of a runtime. It has the default name of its role unless the program has given it one.
pub(super) fn spawn(
    role: ThreadRole,
    given_name: Option<String>,
    stack_size: Option<usize>,
    f: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    if let Some(name) = given_name {
        return thread::spawn_member(name, stack_size, f);
    }
    let kernel_name = role.kernel_name();
    thread::spawn_member(role.to_string(), stack_size, move || {
        if let Some(name) = kernel_name {
            sys::thread::rename_current(&name);
        }
        f();
    })
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_name_keeps_the_whole_number() {
        let names = |role: ThreadRole| (role.to_string(), role.kernel_name());
        let unchanged = |name: &str| (name.to_owned(), None);
        let shortened = |name: &str, kernel: &str| (name.to_owned(), Some(kernel.to_owned()));
        assert_eq!(names(ThreadRole::Worker(0)), unchanged("redd-worker-0"));
        assert_eq!(names(ThreadRole::Worker(999)), unchanged("redd-worker-999"));
        assert_eq!(names(ThreadRole::Worker(1000)), shortened("redd-worker-1000", "redd-worke-1000"));
        assert_eq!(names(ThreadRole::Spare(511)), unchanged("redd-spare-511"));
        assert_eq!(names(ThreadRole::Blocking(9)), unchanged("redd-blocking-9"));
        assert_eq!(names(ThreadRole::Blocking(10)), shortened("redd-blocking-10", "redd-blockin-10"));
        assert_eq!(names(ThreadRole::Blocking(511)), shortened("redd-blocking-511", "redd-blocki-511"));
        let largest = ThreadRole::Blocking(usize::MAX).kernel_name().expect("it is too long");
        assert_eq!(largest, format!("-{}", usize::MAX), "the system cuts it, and no process has so many threads");
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no `/proc`")]
    fn a_thread_whose_name_is_too_long_for_the_kernel_is_told_apart_there() {
        let check = |role, given: Option<&str>| {
            let (sender, receiver) = std::sync::mpsc::channel();
            let thread = spawn(role, given.map(str::to_owned), None, move || {
                let full = std::thread::current().name().map(str::to_owned);
                sender.send((full, sys::thread::name(sys::thread::current_id()))).expect("the test waits");
            });
            let (full, kernel) = receiver.recv().expect("it sends its names");
            thread.expect("a test may start a thread").join().expect("no panic");
            (full.expect("it has a name"), kernel.expect("`/proc` is there"))
        };
        let both = |full: &str, kernel: &str| (full.to_owned(), kernel.to_owned());
        assert_eq!(check(ThreadRole::Blocking(12), None), both("redd-blocking-12", "redd-blockin-12"));
        assert_eq!(check(ThreadRole::Worker(3), None), both("redd-worker-3", "redd-worker-3"));
        let given = Some("redd-blocking-12");
        assert_eq!(
            check(ThreadRole::Blocking(0), given),
            both("redd-blocking-12", "redd-blocking-1"),
            "as it was given"
        );
    }
}

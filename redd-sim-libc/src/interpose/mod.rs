//! The functions that take the place of those of the C library.
//!
//! - `original` has the functions of the C library themselves.
//! - `clocks`, `random`, `sleeps` and `names` have one group of functions each.
//! - `system_call` has `syscall`, which is written in assembly. `kernel` makes system calls.
//!
//! # Invariants
//! - `anywhere`: `clock_gettime`, `gettimeofday`, `time`, `getrandom`, `getentropy` and `syscall` without a timeout take no lock, allocate
//!   nothing and do not unwind. They may be called in a signal handler, in an allocator, and before `main`.

#![expect(unsafe_code, reason = "the location of `errno`")]

mod clocks;
mod kernel;
mod names;
mod original;
mod random;
mod sleeps;
mod system_call;

/// The result of a failed function in C: -1, with the error in `errno`.
fn refuse(errno: libc::c_int) -> libc::c_int {
    // SAFETY: the location of this thread's `errno` is valid.
    unsafe { *errno_location() = errno };
    -1
}

fn errno_location() -> *mut libc::c_int {
    // SAFETY: the function has no condition.
    unsafe { libc::__errno_location() }
}

//! Time, random numbers and names of the C library that follow from the seed of a simulated world of redd.
//!
//! In a world of `redd::sim`, redd's own time and choices follow from a seed. What the rest of the program asks the system for does not:
//! `std::time`, the keys of `HashMap`, crates of random numbers, `ToSocketAddrs`. A program that is linked with this package gets these
//! from the seed, too.
//!
//! ```toml
//! [dev-dependencies]
//! redd-sim-libc = { path = "path/to/redd/redd-sim-libc" }
//! ```
//!
//! It is of the same checkout, or of the same `git` and `rev`, as `redd` and the patch of `tokio`.
//!
//! And in each file of `tests/` that has worlds, or in the `lib.rs` with `#[cfg(test)]`:
//!
//! ```
//! use redd_sim_libc as _;
//! ```
//!
//! # What it does
//!
//! It defines functions with the names of those in the C library, so that the linker takes these. Each asks redd whether the calling
//! thread belongs to a world and runs there. If not, the function of the C library is called. So threads outside of worlds, such as
//! those of other tests in the process, notice nothing. Such a call costs one relaxed load and a jump.
//!
//! | function | in a world |
//! |---|---|
//! | `clock_gettime`, `gettimeofday`, `time` | the virtual time. The time of day starts at 2026-01-01, or at `World::start_at`. Clocks of CPU time are real |
//! | `getrandom`, `getentropy`, `syscall(SYS_getrandom, …)` | random numbers that follow from the seed, the thread, and how often that thread has asked |
//! | `nanosleep`, `clock_nanosleep` | virtual time passes, and other threads of the world run |
//! | `syscall(SYS_futex, …)` with a timeout | as for `nanosleep`: `park_timeout`, `recv_timeout` and `Condvar::wait_timeout` of std |
//! | `getaddrinfo` | numbers, `localhost`, and the names of the world. No other name exists |
//!
//! # Examples
//! ```
//! use redd::sim::World;
//! use redd_sim_libc as _;
//! use std::sync::mpsc::channel;
//! use std::time::SystemTime;
//!
//! let run = || {
//!     let (sender, receiver) = channel();
//!     let report = World::new(7).host("host", move || sender.send((SystemTime::now(), rand::random::<u64>())).unwrap()).run();
//!     report.expect_ok();
//!     receiver.recv().unwrap()
//! };
//! assert_eq!(run(), run());
//! ```
//!
//! # What stays real
//!
//! - What asks the kernel without the C library: `rustix` with its default backend, `/dev/urandom`, the counters of the processor
//!   (`quanta`, `minstant`, `RDRAND`).
//! - Functions of the C library that call another one inside of it: `sleep`, `poll`, and the timed waits of its locks and semaphores. A lock
//!   of C that waits for a virtual time waits for a wrong one.
//! - Waits without a timeout for a lock or channel of std. The world stands still meanwhile.
//! - The numbers of processes and threads. `fastrand` makes its seed of a `ThreadId`, which is a number of the process. So its numbers are
//!   equal only in fresh processes that run the same tests.
//! - What a process has once, such as the keys of `ahash`. The first world in the process draws it, and the others do not.
//!
//! On systems other than Linux with the GNU C library, on x86-64 and aarch64, this package is empty.

#[cfg(all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod interpose;

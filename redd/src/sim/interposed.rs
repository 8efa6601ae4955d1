//! What the package `redd-sim-libc` asks when a function of the C library is called. Not for programs: it may change in any version.
//!
//! The functions may be called anywhere, also in a signal handler or an allocator, if their description does not say otherwise.

use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::time::Duration;

use crate::network;
use crate::primitives::atomic::fixed::AtomicU32;
use crate::primitives::baton;
pub use crate::primitives::baton::interposed::{Clock, Waited};

/// Whether this process has ever had a world: one relaxed load. While it is false the other functions return that the caller uses
/// the real ones.
#[doc(hidden)]
#[inline]
pub fn is_any() -> bool {
    baton::is_any()
}

/// The time of the calling thread's world, in nanoseconds. `None` if the caller uses the real clock.
#[doc(hidden)]
pub fn clock_ns(clock: Clock) -> Option<u64> {
    baton::interposed::clock_ns(clock)
}

/// Fills the buffer with random numbers of the calling thread's world. Returns false if the caller uses the real ones.
#[doc(hidden)]
pub fn fill_random(buffer: &mut [MaybeUninit<u8>]) -> bool {
    baton::interposed::fill_random(buffer)
}

/// Sleeps for a virtual time. Returns false if the caller uses the real function. Not for signal handlers.
#[doc(hidden)]
pub fn sleep(duration: Duration) -> bool {
    baton::interposed::sleep(duration)
}

/// Waits for [`wake_timed`] or for a virtual time, if the word has the expected value. `None` if the caller uses the real function. Not
/// for signal handlers.
#[doc(hidden)]
pub fn wait_timed(word: &AtomicU32, expected: u32, timeout: Duration) -> Option<Waited> {
    baton::interposed::wait_timed(word, expected, timeout)
}

/// Wakes threads of worlds that are in [`wait_timed`] for the word at this address, and returns how many.
#[doc(hidden)]
pub fn wake_timed(word: usize, at_most: u32) -> u32 {
    baton::interposed::wake_timed(word, at_most)
}

/// The addresses of a name in the calling thread's world. `None` if the caller uses the real function. Not for signal handlers.
#[doc(hidden)]
pub fn resolve(name: &str) -> Option<io::Result<Vec<IpAddr>>> {
    clock_ns(Clock::Monotonic)?; // The thread has the baton, and redd does not need the real function.
    let (baton, host) = baton::current_host()?;
    if name.is_empty() {
        return Some(Err(io::Error::other("an empty name")));
    }
    Some(network::of(&baton).resolve(host, name))
}

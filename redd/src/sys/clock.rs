//! The monotonic clock of the system as a duration, exactly or cheaply.
//!
//! Called by `primitives::clock`. `Instant` shows the exact one only. Also on threads of a simulated world these are the real clocks.

#![expect(unsafe_code, reason = "system calls")]

use std::mem::MaybeUninit;
use std::time::Duration;

use super::outside::outside;

/// The clock behind `Instant`.
pub(crate) fn monotonic() -> Option<Duration> {
    outside(|| read(libc::CLOCK_MONOTONIC))
}

/// The same clock as of the last tick of the kernel: some milliseconds behind, never ahead. It reads no hardware.
/// Not called while there is a simulated world.
#[inline]
pub(crate) fn monotonic_coarse() -> Option<Duration> {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// The time of day, in nanoseconds since 1970. It may be set back.
pub(crate) fn unix_ns() -> u64 {
    outside(|| read(libc::CLOCK_REALTIME)).map_or(0, |time| time.as_nanos() as u64)
}

#[inline]
fn read(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the system writes a `timespec` to memory that is ours.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it was written.
    let time = unsafe { time.assume_init() };
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

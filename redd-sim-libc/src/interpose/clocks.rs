//! `clock_gettime`, `gettimeofday` and `time`.

#![expect(unsafe_code, reason = "functions with the names and the contracts of those in C")]

use libc::{c_int, c_void, clockid_t, time_t, timespec, timeval};
use redd::sim::interposed::{self, Clock};

use super::kernel::raw;
use super::original::CLOCK_GETTIME;
use super::refuse;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// The clock of a world in the place of this one. `None` for clocks of CPU time.
pub(super) fn clock_of(clock: clockid_t) -> Option<Clock> {
    match clock {
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME => {
            Some(Clock::Monotonic)
        }
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => Some(Clock::Realtime),
        _ => None,
    }
}

/// The virtual time of this clock, in nanoseconds (`anywhere`).
#[inline]
fn virtual_ns(clock: clockid_t) -> Option<u64> {
    if !interposed::is_any() {
        return None;
    }
    interposed::clock_ns(clock_of(clock)?)
}

/// The C library's function.
///
/// # Safety
/// `time` may be written.
#[inline]
unsafe fn original(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(address) = CLOCK_GETTIME.address() else {
        // SAFETY: by the safety contract.
        let result = unsafe { raw(libc::SYS_clock_gettime, [clock as usize, time.addr(), 0, 0, 0, 0]) };
        return if result < 0 { refuse(-result as c_int) } else { 0 };
    };
    // SAFETY: the function at this address has this signature. The rest is in the safety contract.
    unsafe {
        let call: unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int = std::mem::transmute(address);
        call(clock, time)
    }
}

/// Takes the place of the C library's function.
///
/// # Safety
/// `time` may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(ns) = virtual_ns(clock) else {
        // SAFETY: by the safety contract.
        return unsafe { original(clock, time) };
    };
    let now = timespec { tv_sec: (ns / NS_PER_SECOND) as time_t, tv_nsec: (ns % NS_PER_SECOND) as libc::c_long };
    // SAFETY: by the safety contract.
    unsafe { time.write(now) };
    0
}

/// The time of day.
fn now() -> timespec {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours.
    unsafe { clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    now
}

/// Takes the place of the C library's function.
///
/// # Safety
/// `time` and `zone` may be written, or are null.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut c_void) -> c_int {
    let now = now();
    if !time.is_null() {
        // SAFETY: by the safety contract.
        unsafe { time.write(timeval { tv_sec: now.tv_sec, tv_usec: now.tv_nsec / 1000 }) };
    }
    if !zone.is_null() {
        // No time zone, as in the C library. The structure has two integers.
        // SAFETY: by the safety contract.
        unsafe { zone.cast::<[c_int; 2]>().write([0, 0]) };
    }
    0
}

/// Takes the place of the C library's function.
///
/// # Safety
/// `time` may be written, or is null.
#[unsafe(no_mangle)]
unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    let now = now().tv_sec;
    if !time.is_null() {
        // SAFETY: by the safety contract.
        unsafe { time.write(now) };
    }
    now
}

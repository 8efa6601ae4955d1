//! `nanosleep` and `clock_nanosleep`.

#![expect(unsafe_code, reason = "functions with the names and the contracts of those in C")]

use std::time::Duration;

use libc::{c_int, clockid_t, timespec};
use redd::sim::interposed;

use super::clocks::clock_of;
use super::kernel::raw;
use super::original::CLOCK_NANOSLEEP;
use super::refuse;

/// The time as a duration. `None` if the system has to say what is wrong with it.
///
/// # Safety
/// `time` may be read, or is null.
pub(super) unsafe fn duration(time: *const timespec) -> Option<Duration> {
    if time.is_null() {
        return None;
    }
    // SAFETY: by the safety contract.
    let time = unsafe { time.read() };
    let ns = u32::try_from(time.tv_nsec).ok().filter(|ns| *ns < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, ns))
}

/// The time until a moment of this clock in the calling thread's world. `None` outside of a world.
pub(super) fn until(clock: clockid_t, moment: Duration) -> Option<Duration> {
    Some(moment.saturating_sub(Duration::from_nanos(interposed::clock_ns(clock_of(clock)?)?)))
}

/// Takes the place of the C library's function.
///
/// # Safety
/// `time` may be read. `left` may be written, or is null.
#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: by the safety contract.
    match unsafe { clock_nanosleep(libc::CLOCK_MONOTONIC, 0, time, left) } {
        0 => 0,
        error => refuse(error),
    }
}

/// Takes the place of the C library's function, which returns the error instead of setting `errno`.
///
/// # Safety
/// As for `nanosleep`.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    if interposed::is_any() && clock_of(clock).is_some() {
        // SAFETY: by the safety contract.
        let duration = unsafe { duration(time) };
        let duration = match flags {
            0 => duration,
            libc::TIMER_ABSTIME => duration.and_then(|moment| until(clock, moment)),
            _ => None,
        };
        if duration.is_some_and(interposed::sleep) {
            return 0;
        }
    }
    let Some(address) = CLOCK_NANOSLEEP.address() else {
        let arguments = [clock as usize, flags as usize, time.addr(), left.addr(), 0, 0];
        // SAFETY: by the safety contract.
        return -unsafe { raw(libc::SYS_clock_nanosleep, arguments) } as c_int;
    };
    // SAFETY: the function at this address has this signature. The rest is in the safety contract.
    unsafe {
        let call: unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int =
            std::mem::transmute(address);
        call(clock, flags, time, left)
    }
}

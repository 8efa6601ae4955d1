//! A clock that is cheap to read: the counter of the processor, where it runs at one rate on all of its cores.
//!
//! Called by `observe::recorder`, which compares it with the system's clock to learn its rate.

#![expect(unsafe_code, reason = "instructions that read a counter")]

use std::sync::atomic::{AtomicU8, Ordering};

use super::clock::monotonic;

/// What [`now`] reads.
static SOURCE: AtomicU8 = AtomicU8::new(UNKNOWN);

const UNKNOWN: u8 = 0;
const COUNTER: u8 = 1;
const SYSTEM: u8 = 2;

/// The time in ticks. Within one thread it does not go back. The rate is constant, and unknown.
#[inline]
pub(crate) fn now() -> u64 {
    // Relaxed: each thread may find out by itself, with the same result.
    if SOURCE.load(Ordering::Relaxed) == COUNTER { counter() } else { system() }
}

/// The system's clock, in nanoseconds, if the counter cannot be used or that is not known yet.
#[cold]
fn system() -> u64 {
    if SOURCE.load(Ordering::Relaxed) == UNKNOWN {
        let is_steady = !cfg!(miri) && has_steady_counter();
        SOURCE.store(if is_steady { COUNTER } else { SYSTEM }, Ordering::Relaxed);
        if is_steady {
            return counter();
        }
    }
    monotonic().map_or(0, |time| time.as_nanos() as u64)
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: every processor of this architecture has the instruction, and it only reads.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Whether the counter runs at one rate, also while the processor saves power.
#[cfg(target_arch = "x86_64")]
#[expect(clippy::allow_attributes, reason = "which compilers need the block differs")]
#[allow(unused_unsafe, reason = "newer compilers know that the instruction is safe")]
fn has_steady_counter() -> bool {
    use core::arch::x86_64::__cpuid;
    const HIGHEST: u32 = 0x8000_0000;
    const LEAF: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    // SAFETY: every processor of this architecture has the instruction, and this leaf.
    let highest = unsafe { __cpuid(HIGHEST) }.eax;
    // SAFETY: as above, and the leaf exists if it is asked for.
    highest >= LEAF && unsafe { __cpuid(LEAF) }.edx & INVARIANT != 0
}

#[cfg(target_arch = "aarch64")]
#[inline]
fn counter() -> u64 {
    let ticks: u64;
    // SAFETY: the register is readable for every program, and reading it has no effect.
    unsafe { core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags)) };
    ticks
}

/// The architecture demands it.
#[cfg(target_arch = "aarch64")]
fn has_steady_counter() -> bool {
    true
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn counter() -> u64 {
    0
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn has_steady_counter() -> bool {
    false
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn ticks_do_not_go_back_and_pass() {
        let first = now();
        let mut last = first;
        while last == first {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}

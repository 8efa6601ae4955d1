//! `syscall`, of which two system calls turn to a world: `SYS_getrandom`, and `SYS_futex` with a timeout.
//!
//! # Why not otherwise
//! `syscall` takes a variable number of arguments. Stable Rust cannot define such a function. One with seven arguments would have another
//! type than its callers declare, which an optimizer may rely on when it sees both. So the function is written in assembly, where only
//! the calling convention counts. Both conventions pass the first arguments of such a call as those of any other one:
//!
//! - x86-64: the number and five arguments in registers, the sixth on the stack. If there are fewer, the function passes on what the
//!   registers and that word happen to contain, as that of the C library does. The kernel ignores it.
//! - aarch64 on Linux: the number and six arguments in `x0` to `x6`.
//!
//! Other numbers go to the kernel at once, in the same instructions as in the C library. Nothing looks for the C library's function.

#![expect(unsafe_code, reason = "a function in assembly")]

use std::arch::global_asm;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use libc::{c_int, c_long, timespec};
use redd::sim::interposed::{self, Waited};

use super::kernel::raw;
use super::random::getrandom;
use super::refuse;
use super::sleeps::{duration, until};

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".pushsection .text.syscall,\"ax\",@progbits",
    ".globl syscall",
    ".type syscall,@function",
    ".p2align 4",
    "syscall:",
    ".cfi_startproc",
    "endbr64",
    "cmp rdi, {getrandom_number}",
    "je 2f",
    "cmp rdi, {futex_number}",
    "je 3f",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "cmp rax, -4095",
    "jae 4f",
    "ret",
    // The rest are jumps to functions with the caller's stack: each returns to the caller.
    "2:",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "jmp {getrandom}",
    "3:",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov rcx, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "jmp {futex}",
    "4:",
    "mov rdi, rax",
    "jmp {fail}",
    ".cfi_endproc",
    ".size syscall, . - syscall",
    ".popsection",
    getrandom_number = const libc::SYS_getrandom,
    futex_number = const libc::SYS_futex,
    getrandom = sym getrandom,
    futex = sym futex,
    fail = sym fail,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".pushsection .text.syscall,\"ax\",%progbits",
    ".globl syscall",
    ".type syscall,%function",
    ".p2align 4",
    "syscall:",
    ".cfi_startproc",
    "hint #34", // `bti c`: a function that may be called through a pointer.
    "cmp x0, #{getrandom_number}",
    "b.eq 2f",
    "cmp x0, #{futex_number}",
    "b.eq 3f",
    "mov x8, x0",
    "mov x0, x1",
    "mov x1, x2",
    "mov x2, x3",
    "mov x3, x4",
    "mov x4, x5",
    "mov x5, x6",
    "svc #0",
    "cmn x0, #4095",
    "b.cs 4f",
    "ret",
    // The rest are jumps to functions with the caller's stack: each returns to the caller.
    "2:",
    "mov x0, x1",
    "mov x1, x2",
    "mov x2, x3",
    "b {getrandom}",
    "3:",
    "mov x0, x1",
    "mov x1, x2",
    "mov x2, x3",
    "mov x3, x4",
    "mov x4, x5",
    "mov x5, x6",
    "b {futex}",
    "4:",
    "b {fail}",
    ".cfi_endproc",
    ".size syscall, . - syscall",
    ".popsection",
    getrandom_number = const libc::SYS_getrandom,
    futex_number = const libc::SYS_futex,
    getrandom = sym getrandom,
    futex = sym futex,
    fail = sym fail,
);

/// The compiler does not know that the assembly defines a function that other packages call. This refers to it, so that the linker takes it
/// out of the archive of this package.
// The signature is that of the C library, though nothing calls it here.
#[used]
static SYSCALL: unsafe extern "C" fn(c_long, ...) -> c_long = libc::syscall;

/// The result of `syscall` for this negative result of the kernel.
extern "C" fn fail(result: isize) -> c_long {
    c_long::from(refuse(-result as c_int))
}

/// The system call `futex`. In a world, a wait with a timeout is a wait in the world, and a wake ends such waits, too.
///
/// # Safety
/// As for the system call.
unsafe extern "C" fn futex(
    word: *mut u32,
    operation: usize,
    value: usize,
    timeout: *const timespec,
    other: usize,
    mask: usize,
) -> c_long {
    let mut left = value as u32;
    let mut woken = 0;
    if interposed::is_any() {
        match operation as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) {
            libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
                // SAFETY: by the safety contract.
                if let Some(result) = unsafe { wait(word, operation as c_int, value as u32, timeout, mask) } {
                    return result;
                }
            }
            libc::FUTEX_WAKE => {
                woken = interposed::wake_timed(word.addr(), left);
                left -= woken;
            }
            _ => {}
        }
    }
    let value = if woken > 0 { left as usize } else { value };
    // SAFETY: by the safety contract.
    let result = unsafe { raw(libc::SYS_futex, [word.addr(), operation, value, timeout.addr(), other, mask]) };
    if result < 0 { fail(result) } else { result as c_long + c_long::from(woken) }
}

/// A wait with a timeout, in a world. `None` if the kernel has to do it.
///
/// # Safety
/// As for the system call.
unsafe fn wait(word: *mut u32, operation: c_int, value: u32, timeout: *const timespec, mask: usize) -> Option<c_long> {
    // SAFETY: by the safety contract.
    let timeout: Duration = unsafe { duration(timeout) }?;
    let is_relative = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME) == libc::FUTEX_WAIT;
    if !word.is_aligned() || word.is_null() || !(is_relative || mask as u32 == u32::MAX) {
        return None;
    }
    let is_realtime = operation & libc::FUTEX_CLOCK_REALTIME != 0;
    let clock = if is_realtime { libc::CLOCK_REALTIME } else { libc::CLOCK_MONOTONIC };
    let left = until(clock, timeout)?; // `None` outside of a world.
    let left = if is_relative { timeout } else { left };
    // SAFETY: by the safety contract the word lives while the call waits. It is not null, and aligned.
    let word = unsafe { AtomicU32::from_ptr(word) };
    Some(match interposed::wait_timed(word, value, left)? {
        Waited::Woken => 0,
        Waited::Changed => c_long::from(refuse(libc::EAGAIN)),
        Waited::TimedOut => c_long::from(refuse(libc::ETIMEDOUT)),
    })
}

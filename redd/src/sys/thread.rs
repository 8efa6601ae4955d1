//! What the system reports about the threads of this process.
//!
//! Called by `scheduler::rescue`. Everything here is best effort: `None` means that the system does not report it.

#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::emulation::is_emulated;

/// Miri stops the program when a thread queries another one.
const CAN_ASK: bool = cfg!(not(miri));

/// Returns the system's number of the calling thread.
pub(crate) fn current_id() -> u32 {
    // SAFETY: no pointers are passed, and it cannot fail.
    unsafe { libc::gettid() as u32 }
}

/// Returns the system's numbers of all threads of this process. Empty if the system does not report it.
pub(crate) fn all() -> Vec<u32> {
    let entries = CAN_ASK.then(|| fs::read_dir("/proc/self/task").ok()).flatten();
    entries.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the CPU time of a thread.
pub(crate) fn cpu_time(thread: u32) -> Option<Duration> {
    if !CAN_ASK {
        return None;
    }
    // The kernel's number of a thread's CPU clock: the thread's number, inverted, above three bits for the kind. It is
    // what `pthread_getcpuclockid` returns.
    let clock = (!(thread as libc::clockid_t) << 3) | 6;
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the system writes a `timespec` to memory that is ours.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: it was written.
    let time = unsafe { time.assume_init() };
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// The state of a thread for the system's scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    /// It runs, or is ready to run.
    Runnable,
    /// It waits for something.
    Sleeping,
    /// A signal or a debugger has stopped it.
    Stopped,
}

/// See [`RunState`].
pub(crate) fn run_state(thread: u32) -> Option<RunState> {
    let stat = read(thread, "stat")?;
    // The name is in parentheses and may contain anything; the state follows the last one.
    match stat.rsplit_once(')')?.1.trim_start().bytes().next()? {
        b'R' => Some(RunState::Runnable),
        b'S' | b'D' => Some(RunState::Sleeping),
        b'T' | b't' => Some(RunState::Stopped),
        _ => None,
    }
}

/// Returns how long a thread has waited for a CPU in total, without a wait that has not ended yet.
pub(crate) fn run_delay(thread: u32) -> Option<Duration> {
    let nanos = read(thread, "schedstat")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// The number of the system call that a thread is in. Under an emulator the kernel reports that of another processor.
pub(crate) fn system_call(thread: u32) -> Option<i64> {
    if is_emulated() {
        return None;
    }
    // "running" if it is in none.
    let number = read(thread, "syscall")?.split_ascii_whitespace().next()?.parse().ok()?;
    (number >= 0).then_some(number)
}

/// Whether a thread in this call, or in none, may be printing the backtrace of a panic. A backtrace computes, allocates, waits for
/// locks, and reads and maps files. All other calls are the program's own.
pub(crate) fn may_be_in_panic(system_call: Option<i64>) -> bool {
    let Some(call) = system_call else { return true };
    !WAITS.contains(&call)
}

/// Calls of all platforms that wait for a time, a peer, a process or another program.
const WAITS: &[i64] = &[
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_connect,
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_accept,
];

/// The function of the kernel that a thread sleeps in.
pub(crate) fn wait_channel(thread: u32) -> Option<String> {
    let channel = read(thread, "wchan")?;
    (!channel.is_empty() && channel != "0").then_some(channel)
}

/// The name of a thread; the system keeps 15 bytes.
pub(crate) fn name(thread: u32) -> Option<String> {
    Some(read(thread, "comm")?.trim_end().to_owned())
}

/// Sets the name that the system has for the calling thread.
pub(crate) fn rename_current(name: &str) {
    let Ok(name) = CString::new(name) else { return };
    if CAN_ASK {
        // SAFETY: the name ends with a zero byte, and lives until the call returns. The system copies at most 16 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

fn read(thread: u32, file: &str) -> Option<String> {
    if !CAN_ASK {
        return None;
    }
    fs::read_to_string(format!("/proc/self/task/{thread}/{file}")).ok()
}

/// Pairs a number of `libc` with its name.
macro_rules! calls {
    ($($call:ident)*) => {
        &[$((libc::$call, stringify!($call))),*]
    };
}

/// The names of system calls in which threads often are, so that a report has no bare numbers.
const CALLS: &[(i64, &str)] = calls! {
    SYS_read SYS_write SYS_openat SYS_close SYS_newfstatat SYS_ppoll SYS_pselect6 SYS_epoll_pwait SYS_pread64
    SYS_pwrite64 SYS_readv SYS_writev SYS_connect SYS_accept SYS_accept4 SYS_sendto SYS_recvfrom SYS_sendmsg
    SYS_recvmsg SYS_wait4 SYS_waitid SYS_flock SYS_fcntl SYS_fsync SYS_fdatasync SYS_getdents64 SYS_renameat
    SYS_renameat2 SYS_unlinkat SYS_nanosleep SYS_clock_nanosleep SYS_futex SYS_mmap SYS_munmap SYS_madvise SYS_ioctl
    SYS_sched_yield SYS_semop SYS_msgrcv
};
/// Those that only the first of the architectures has.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(i64, &str)] = calls! {
    SYS_open SYS_stat SYS_poll SYS_select SYS_epoll_wait SYS_rename SYS_unlink SYS_pause
};
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(i64, &str)] = &[];

/// The name of a system call, if it is one of those that block.
pub(crate) fn call_name(number: i64) -> Option<&'static str> {
    let (_, name) = CALLS.iter().chain(OLD_CALLS).find(|(call, _)| *call == number)?;
    name.strip_prefix("SYS_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    #[cfg_attr(miri, ignore = "Miri stops the program when a thread queries another one")]
    fn a_thread_that_reads_from_a_socket_is_seen_to_sleep_there() {
        if crate::sys::emulation::skips("sys::thread", "the kernel has no number of an emulated system call") {
            assert_eq!(system_call(current_id()), None);
            return;
        }
        let (reader, writer) = std::os::unix::net::UnixStream::pair().expect("descriptors left");
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = crate::primitives::thread::spawn_named("reader".into(), None, move || {
            sender.send(current_id()).expect("the test waits");
            let mut byte = 0_u8;
            // SAFETY: one byte is written to a live `u8`.
            unsafe { libc::read(reader.as_raw_fd(), (&raw mut byte).cast(), 1) }
        })
        .expect("a test may start a thread");
        let id = receiver.recv().expect("the thread sends its number");
        while system_call(id) != Some(libc::SYS_read) || run_state(id) != Some(RunState::Sleeping) {
            crate::primitives::thread::yield_now();
        }
        assert_eq!(call_name(libc::SYS_read), Some("read"));
        assert_eq!(name(id).as_deref(), Some("reader"));
        let (before, waited) = (cpu_time(id).expect("it lives"), run_delay(id));
        assert!(run_delay(id) >= waited);
        assert_eq!(cpu_time(id), Some(before), "it sleeps");
        drop(writer);
        assert_eq!(thread.join().expect("no panic"), 0);
        assert_eq!(run_state(current_id()), Some(RunState::Runnable));
        assert!(cpu_time(current_id()).is_some());
    }
}

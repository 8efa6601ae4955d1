//! `syscall` passes on all arguments and errors, and the functions are safe where the originals are.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "programs in worlds, which know only std")]
#![expect(unsafe_code, reason = "calls of the C library")]

use redd::sim::World;
use redd_sim_libc as _;
use std::io::{Error, Write as _};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs `f` outside of a world, and in one.
fn everywhere(f: fn()) {
    f();
    World::new(1).host("host", f).run().expect_ok();
    f();
}

fn errno() -> i32 {
    Error::last_os_error().raw_os_error().unwrap()
}

#[test]
fn syscall_passes_on_from_none_to_six_arguments() {
    everywhere(|| {
        // SAFETY: the call takes nothing.
        assert_eq!(unsafe { libc::syscall(libc::SYS_getpid) }, i64::from(std::process::id()));

        // The sixth argument is an offset, in a register that `syscall` gets on the stack of x86-64.
        let mut file = tempfile();
        let page = 65_536; // A multiple of each size of a page.
        file.write_all(&vec![1; page]).unwrap();
        file.write_all(&vec![2; page]).unwrap();
        // SAFETY: a new mapping.
        let address = unsafe {
            let (access, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
            libc::syscall(libc::SYS_mmap, 0_usize, page, access, flags, file.as_raw_fd(), page)
        };
        assert!(address > 0, "{}", Error::last_os_error());
        // SAFETY: it has this many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(address as *const u8, page) };
        assert!(bytes.iter().all(|byte| *byte == 2));
        // SAFETY: nothing refers to it from here on.
        assert_eq!(unsafe { libc::syscall(libc::SYS_munmap, address, page) }, 0);
    });
}

/// A file without a name.
fn tempfile() -> std::fs::File {
    // SAFETY: a name, and no flags.
    let fd = unsafe { libc::memfd_create(c"test".as_ptr(), 0) };
    assert!(fd >= 0);
    // SAFETY: it was just made.
    unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }
}

#[test]
fn syscall_returns_errors_as_the_c_library_does() {
    everywhere(|| {
        let mut byte = 0_u8;
        // SAFETY: this descriptor does not exist, so nothing is read.
        let result = unsafe { libc::syscall(libc::SYS_read, -1, &raw mut byte, 1_usize) };
        assert_eq!((result, errno()), (-1, libc::EBADF));
        // SAFETY: this number is that of no system call.
        let result = unsafe { libc::syscall(100_000) };
        assert_eq!((result, errno()), (-1, libc::ENOSYS));
        // SAFETY: the flag does not exist, so nothing is written.
        let result = unsafe { libc::syscall(libc::SYS_getrandom, &raw mut byte, 1_usize, 1 << 30) };
        assert_eq!((result, errno()), (-1, libc::EINVAL));
        // SAFETY: the memory is ours.
        let result = unsafe { libc::getentropy([0_u8; 257].as_mut_ptr().cast(), 257) };
        assert_eq!((result, errno()), (-1, libc::EIO));
        // SAFETY: the times are invalid, so the call does not sleep.
        let result = unsafe { libc::nanosleep(&libc::timespec { tv_sec: 0, tv_nsec: -1 }, std::ptr::null_mut()) };
        assert_eq!((result, errno()), (-1, libc::EINVAL));
        // SAFETY: the clock does not exist, so nothing is written.
        let result = unsafe { libc::clock_gettime(1000, &mut libc::timespec { tv_sec: 0, tv_nsec: 0 }) };
        assert_eq!((result, errno()), (-1, libc::EINVAL));
    });
}

#[test]
fn a_futex_returns_what_the_kernel_returns() {
    fn wait(word: &AtomicU32, operation: i32, value: u32, timeout: libc::timespec) -> (i64, i32) {
        let all = u32::MAX;
        // SAFETY: the word and the time live across the call.
        let result = unsafe {
            libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, &raw const timeout, 0_usize, all)
        };
        (result, errno())
    }
    everywhere(|| {
        let word = AtomicU32::new(5);
        let (zero, soon) = (libc::timespec { tv_sec: 0, tv_nsec: 0 }, libc::timespec { tv_sec: 0, tv_nsec: 1000 });
        for operation in
            [libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET, libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME]
        {
            assert_eq!(wait(&word, operation, 4, soon), (-1, libc::EAGAIN));
            assert_eq!(wait(&word, operation, 5, zero), (-1, libc::ETIMEDOUT), "absolute times are in the past");
            assert_eq!(wait(&word, operation, 5, soon), (-1, libc::ETIMEDOUT));
        }
        // SAFETY: no thread waits, and the word is not read.
        assert_eq!(unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) }, 0);
    });
}

#[test]
fn a_read_of_cpu_time_is_real() {
    World::new(1)
        .host("host", || {
            let cpu_time = || {
                let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                // SAFETY: the memory is ours.
                assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
                (time.tv_sec, time.tv_nsec)
            };
            let before = cpu_time();
            while cpu_time() == before {
                std::hint::spin_loop();
            }
        })
        .run()
        .expect_ok();
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

/// Reads the clock and draws random numbers.
extern "C" fn on_signal(_: libc::c_int) {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut bytes = [0_u8; 8];
    // SAFETY: the memory is ours, and these functions are allowed here.
    unsafe {
        let errno = *libc::__errno_location();
        assert_eq!(libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time), 0);
        assert_eq!(libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0), 8);
        *libc::__errno_location() = errno;
    }
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn a_signal_handler_may_read_the_clock_and_draw() {
    let handler: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: the handler calls what handlers may call. No other test uses the signal.
    unsafe { assert_ne!(libc::signal(libc::SIGUSR2, handler as libc::sighandler_t), libc::SIG_ERR) };
    // SAFETY: the function has no condition.
    let process = unsafe { libc::getpid() };
    let main = move || {
        let runtime = redd::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        // SAFETY: the function has no condition.
        let thread = unsafe { libc::gettid() };
        let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let until = is_over.clone();
        let sender = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                // SAFETY: the thread lives until this one has ended.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR2) };
            }
        });
        runtime.block_on(async {
            for _ in 0..200 {
                redd::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(1))).await.unwrap();
                redd::time::sleep(Duration::from_millis(1)).await;
            }
        });
        is_over.store(true, Ordering::Relaxed);
        sender.join().unwrap();
    };
    let start = Instant::now();
    World::new(1).host("host", main).run().expect_ok();
    assert!(SIGNALS.load(Ordering::Relaxed) > 0);
    assert!(start.elapsed() < Duration::from_secs(300), "a bound far from what it takes");
}

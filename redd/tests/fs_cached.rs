//! Files whose bytes are in memory: operations that need no thread, and the files and moments for which that is not so.
//!
//! A runtime starts the first thread of its blocking pool when an operation needs it. So a runtime without such a thread
//! has done everything at once.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(unsafe_code, reason = "system calls")]

mod support;

use redd::fs::File;
use redd::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};
use redd::runtime::{Builder, Runtime};
use std::fs::File as StdFile;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use support::{block_on, poll_once};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs the program in a runtime of its own. Returns what it returned, and whether it has needed a thread.
fn run<F: Future>(program: F) -> (F::Output, bool) {
    let runtime = runtime();
    let output = runtime.block_on(program);
    (output, runtime.metrics().num_blocking_threads() > 0)
}

/// Runs the program, which must need no thread.
#[track_caller]
fn run_at_once<F: Future>(program: F) -> F::Output {
    let (output, has_thread) = run(program);
    assert!(!has_thread, "an operation has needed a thread");
    output
}

/// Whether the file system of this file has reads that do not wait.
fn has_reads_without_wait(file: &StdFile) -> bool {
    let (mut byte, place) = (0_u8, 0_i64);
    let slice = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let high: libc::c_long = 0;
    // SAFETY: the system writes at most one byte to `byte`, and only reads `slice`.
    let result = unsafe {
        libc::syscall(libc::SYS_preadv2, file.as_raw_fd(), &raw const slice, 1, place, high, libc::RWF_NOWAIT)
    };
    result == 1
}

/// A file with these contents in each place of this machine where its bytes are known to be in memory.
fn cached(contents: &[u8]) -> Vec<StdFile> {
    let filled = |mut file: StdFile| {
        file.write_all(contents).unwrap();
        file.rewind().unwrap();
        file
    };
    let in_memory = tempfile::tempfile_in("/dev/shm").map(filled);
    let on_disk = Some(filled(tempfile::tempfile().unwrap())).filter(has_reads_without_wait);
    let files: Vec<_> = in_memory.into_iter().chain(on_disk).collect();
    assert!(
        !files.is_empty() || support::emulation::is_emulated(),
        "neither `/dev/shm` nor the temporary directory will do"
    );
    files
}

#[test]
fn reads_and_seeks_of_cached_bytes_need_no_thread() {
    for std in cached(&b"salmon\n".repeat(10_000)) {
        run_at_once(async {
            let mut file = File::from_std(std);
            let mut buf = [0; 6];
            assert_eq!(file.seek(SeekFrom::Start(7)).await.unwrap(), 7);
            file.read_exact(&mut buf).await.unwrap();
            assert_eq!((&buf, file.stream_position().await.unwrap()), (b"salmon", 13));
            assert_eq!(file.seek(SeekFrom::Current(-6)).await.unwrap(), 7);
            let mut all = Vec::new();
            assert_eq!(file.read_to_end(&mut all).await.unwrap(), 69_993);
            assert_eq!(file.read(&mut buf).await.unwrap(), 0);
            file.rewind().await.unwrap();
            assert_eq!(redd::io::copy(&mut file, &mut redd::io::sink()).await.unwrap(), 70_000);
            file.rewind().await.unwrap();
            let mut lines = BufReader::new(file).lines();
            let mut count = 0;
            while let Some(line) = lines.next_line().await.unwrap() {
                assert_eq!(line, "salmon");
                count += 1;
            }
            assert_eq!(count, 10_000);
        });
    }
}

#[test]
fn the_first_poll_of_a_cached_read_is_ready() {
    for std in cached(b"salmon") {
        run_at_once(async {
            let mut file = File::from_std(std);
            let mut buf = [0; 6];
            assert!(matches!(poll_once(pin!(file.read(&mut buf[..3]))), Poll::Ready(Ok(3))));
            assert!(matches!(poll_once(pin!(file.stream_position())), Poll::Ready(Ok(3))));
            assert!(matches!(poll_once(pin!(file.read_exact(&mut buf[3..]))), Poll::Ready(Ok(3))));
            assert!(matches!(poll_once(pin!(file.rewind())), Poll::Ready(Ok(0))));
            assert_eq!(&buf, b"salmon");
        });
    }
}

#[test]
fn a_read_follows_the_write_that_is_in_flight() {
    for std in cached(b"......") {
        block_on(async {
            let mut file = File::from_std(std);
            for round in 0..100_u8 {
                file.rewind().await.unwrap();
                file.write_all(&[round; 3]).await.unwrap();
                let mut rest = [0; 3];
                file.read_exact(&mut rest).await.unwrap();
                assert_eq!(&rest, b"...");
                file.rewind().await.unwrap();
                file.read_exact(&mut rest).await.unwrap();
                assert_eq!(rest, [round; 3]);
            }
        });
    }
}

#[test]
fn the_error_of_a_seek_comes_from_poll_complete_and_a_read_discards_it() {
    for std in cached(b"salmon") {
        run_at_once(async {
            let mut file = File::from_std(std);
            assert_eq!(file.seek(SeekFrom::Start(2)).await.unwrap(), 2);
            Pin::new(&mut file).start_seek_by_hand(SeekFrom::Current(-3));
            let error = poll_fn(|cx| redd::io::AsyncSeek::poll_complete(Pin::new(&mut file), cx)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            Pin::new(&mut file).start_seek_by_hand(SeekFrom::Current(-3));
            let mut buf = [0; 4];
            file.read_exact(&mut buf).await.unwrap();
            assert_eq!(&buf, b"lmon");
            // The position of the last seek that succeeded.
            let position = poll_fn(|cx| redd::io::AsyncSeek::poll_complete(Pin::new(&mut file), cx)).await;
            assert_eq!(position.unwrap(), 2);
        });
    }
}

trait ByHand {
    fn start_seek_by_hand(self, position: SeekFrom);
}

impl ByHand for Pin<&mut File> {
    #[track_caller]
    fn start_seek_by_hand(self, position: SeekFrom) {
        redd::io::AsyncSeek::start_seek(self, position).unwrap();
    }
}

#[test]
fn a_task_that_reads_cached_bytes_in_a_loop_lets_others_run() {
    const POLL_BYTES_MAX: usize = 2 * 1024 * 1024;
    for len in [1, 4096, 64 * 1024, 700 * 1024, 4 * 1024 * 1024] {
        for std in cached(&vec![7; 4 * 1024 * 1024]) {
            run_at_once(async {
                let mut file = File::from_std(std);
                let mut buf = vec![0; len];
                let (mut in_poll, mut most, mut operations, mut longest) = (0, 0, 0, 0);
                let mut reader = pin!(async {
                    for _ in 0..1000 {
                        file.rewind().await.unwrap();
                        let read = file.read(&mut buf).await.unwrap();
                        assert!(read > 0);
                        BYTES.set(BYTES.get() + read);
                        OPERATIONS.set(OPERATIONS.get() + 1);
                    }
                });
                poll_fn(|cx| {
                    let poll = reader.as_mut().poll(cx);
                    in_poll += BYTES.take();
                    operations += OPERATIONS.take();
                    most = most.max(in_poll);
                    longest = longest.max(operations);
                    (in_poll, operations) = (0, 0);
                    poll
                })
                .await;
                assert!(most <= POLL_BYTES_MAX, "{most} bytes in one poll, in pieces of {len}");
                assert!(longest <= 64, "{longest} seeks and reads in one poll, in pieces of {len}");
            });
        }
    }
}

thread_local! {
    static BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    static OPERATIONS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[test]
fn a_file_that_was_cloned_uses_the_pool() {
    for std in cached(b"salmon") {
        let (clone, _) = run(async {
            let file = File::from_std(std);
            (file.try_clone().await.unwrap(), file)
        });
        let (mut clone, mut file) = clone;
        let mut buf = [0; 2];
        let ((), has_thread) = run(async { file.read_exact(&mut buf).await.map(drop).unwrap() });
        assert!(has_thread && &buf == b"sa");
        let ((), has_thread) = run(async { clone.read_exact(&mut buf).await.map(drop).unwrap() });
        assert!(has_thread && &buf == b"lm");
        let (position, has_thread) = run(async { clone.stream_position().await.unwrap() });
        assert!(has_thread && position == 4);
    }
}

#[test]
fn reads_at_the_end_of_a_growing_file_return_what_was_added() {
    for std in cached(b"") {
        let mut writer = std.try_clone().unwrap();
        run_at_once(async {
            let path = format!("/proc/self/fd/{}", std.as_raw_fd());
            let mut file = File::from_std(StdFile::open(path).unwrap());
            let mut buf = [0; 8];
            for round in 0..200_u8 {
                assert_eq!(file.read(&mut buf).await.unwrap(), 0);
                writer.write_all(&[round; 3]).unwrap();
                assert_eq!(file.read(&mut buf).await.unwrap(), 3);
                assert_eq!(buf[..3], [round; 3]);
            }
            // Truncated below the position: nothing is left, until the file has grown beyond it.
            writer.set_len(10).unwrap();
            assert_eq!(file.read(&mut buf).await.unwrap(), 0);
            writer.set_len(602).unwrap();
            assert_eq!((file.read(&mut buf).await.unwrap(), buf[..2] == [0, 0]), (2, true));
        });
    }
}

/// The same read from both files, until the end or an error.
async fn assert_same(name: &str, mut ours: File, mut theirs: StdFile) {
    let (mut a, mut b) = (vec![0; 777], vec![0; 777]);
    for _ in 0..20 {
        let read = ours.read(&mut a).await.map_err(|error| (error.kind(), error.raw_os_error()));
        let expected = theirs.read(&mut b).map_err(|error| (error.kind(), error.raw_os_error()));
        assert_eq!(read, expected, "{name}");
        assert_eq!(a[..read.unwrap_or(0)], b[..read.unwrap_or(0)], "{name}");
        if read.unwrap_or(0) == 0 {
            return;
        }
    }
}

#[test]
fn special_files_are_read_as_std_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "salmon".repeat(1000)).unwrap();
    let options = |set: &dyn Fn(&mut std::fs::OpenOptions)| {
        let mut options = StdFile::options();
        set(&mut options);
        let open = || options.open(&path);
        Some((open().ok()?, open().ok()?))
    };
    let twice = |path: &str| Some((StdFile::open(path).ok()?, StdFile::open(path).ok()?));
    let memory = || {
        // SAFETY: the system reads the name, and the descriptor is new.
        let fd = unsafe { libc::memfd_create(c"a".as_ptr(), 0) };
        assert!(fd >= 0);
        // SAFETY: as above.
        let mut file = StdFile::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.write_all(b"salmon").unwrap();
        file.rewind().unwrap();
        file
    };
    let files = [
        ("usual", options(&|options| _ = options.read(true))),
        ("for writing only", options(&|options| _ = options.write(true))),
        ("appending", options(&|options| _ = options.read(true).append(true))),
        // Where there is no such access, it cannot be opened. Here it fails because the length is not aligned, or reads.
        ("past the cache", options(&|options| _ = options.read(true).custom_flags(libc::O_DIRECT))),
        ("only a path", options(&|options| _ = options.read(true).custom_flags(libc::O_PATH))),
        ("memory", Some((memory(), memory()))),
        ("directory", twice("/")),
        ("proc", twice("/proc/filesystems")),
        ("proc", twice("/proc/version")),
        ("sys", twice("/sys/kernel/mm/transparent_hugepage/enabled")),
        ("device", twice("/dev/zero")),
        ("empty device", twice("/dev/null")),
    ];
    block_on(async {
        for (name, files) in files {
            if let Some((ours, theirs)) = files {
                assert_same(name, File::from_std(ours), theirs).await;
            }
        }
    });
}

#[test]
fn reads_past_the_cache_never_hold_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "salmon").unwrap();
    let Ok(std) = StdFile::options().read(true).custom_flags(libc::O_DIRECT).open(&path) else { return };
    let ((), has_thread) = run(async {
        // A buffer that is not aligned is an error on some file systems.
        drop(File::from_std(std).read(&mut [0; 4096]).await);
    });
    assert!(has_thread);
}

/// Reads what is written while the reader waits. Were the read done on the worker, the writer would never run.
async fn assert_waits_aside(name: &str, reader: StdFile, mut writer: StdFile) {
    let mut reader = File::from_std(reader);
    let reading = redd::spawn(async move {
        let (mut first, mut second) = ([0; 3], [0; 3]);
        reader.read_exact(&mut first).await.unwrap();
        reader.read_exact(&mut second).await.unwrap();
        (first, second, reader.seek(SeekFrom::Start(0)).await.map_err(|error| error.raw_os_error()))
    });
    for piece in [b"sal", b"mon"] {
        for _ in 0..10 {
            redd::task::yield_now().await;
        }
        writer.write_all(piece).unwrap();
    }
    let (first, second, seek) = reading.await.unwrap();
    assert_eq!((&first, &second), (b"sal", b"mon"), "{name}");
    assert_eq!(seek, Err(Some(libc::ESPIPE)), "{name}");
}

#[test]
fn pipes_and_terminals_never_hold_the_worker() {
    block_on(async {
        let (ours, theirs) = pipe();
        assert_waits_aside("pipe", ours, theirs).await;
        let dir = tempfile::tempdir().unwrap();
        for dir in [dir.path(), "/dev/shm".as_ref()] {
            let path = dir.join(format!("redd-test-{}", std::process::id()));
            let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
            // SAFETY: the system reads the name.
            if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
                continue;
            }
            // For both, so that opening it need not wait for the other end.
            let writer = StdFile::options().read(true).write(true).open(&path).unwrap();
            let reader = StdFile::open(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            assert_waits_aside("fifo", reader, writer).await;
        }
        if let Some((ours, theirs)) = terminal() {
            assert_waits_aside("terminal", ours, theirs).await;
        }
    });
}

fn pipe() -> (StdFile, StdFile) {
    let mut ends = [0; 2];
    // SAFETY: the system writes two descriptors.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: they are new.
    let [reader, writer] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    (reader.into(), writer.into())
}

/// A terminal that passes bytes on as they are, and its other end. `None` where a sandbox has none.
fn terminal() -> Option<(StdFile, StdFile)> {
    let (mut ours, mut theirs) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: the system writes two descriptors; the other pointers may be null.
    if unsafe { libc::openpty(&raw mut ours, &raw mut theirs, null, null.cast(), null.cast()) } != 0 {
        return None;
    }
    // SAFETY: they are new.
    let [ours, theirs] = [ours, theirs].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let mut settings = std::mem::MaybeUninit::<libc::termios>::uninit();
    // SAFETY: the system writes the settings, which are then changed and read.
    unsafe {
        assert_eq!(libc::tcgetattr(theirs.as_raw_fd(), settings.as_mut_ptr()), 0);
        libc::cfmakeraw(settings.as_mut_ptr());
        assert_eq!(libc::tcsetattr(theirs.as_raw_fd(), libc::TCSANOW, settings.as_ptr()), 0);
    }
    Some((theirs.into(), ours.into()))
}

#[test]
fn outside_of_a_runtime_even_a_cached_read_panics() {
    for std in cached(b"salmon") {
        let mut file = File::from_std(std);
        let panics = |result: std::thread::Result<()>| {
            let payload = result.unwrap_err();
            assert!(payload.downcast_ref::<String>().unwrap().contains("not inside a redd runtime"));
        };
        let poll_read = std::panic::AssertUnwindSafe(|| drop(poll_once(pin!(file.read(&mut [0; 3])))));
        panics(std::panic::catch_unwind(poll_read));
        let poll_seek = std::panic::AssertUnwindSafe(|| drop(poll_once(pin!(file.rewind()))));
        panics(std::panic::catch_unwind(poll_seek));
    }
}

#[test]
fn in_a_simulated_world_every_read_uses_the_pool() {
    // What the kernel has in its caches is no function of the seed.
    let reads = Arc::new(AtomicUsize::new(0));
    let world = redd::sim::World::new(1).host("host", {
        let reads = Arc::clone(&reads);
        move || {
            for std in cached(b"salmon") {
                let ((), has_thread) = run(async {
                    let mut file = File::from_std(std);
                    file.read_exact(&mut [0; 3]).await.map(drop).unwrap();
                });
                assert!(has_thread);
                let ((), has_thread) = run(async {
                    redd::fs::write("a", "salmon").await.unwrap();
                    let mut file = File::open("a").await.unwrap();
                    assert!(poll_once(pin!(file.read(&mut [0; 3]))).is_pending());
                    assert!(poll_once(pin!(file.rewind())).is_pending());
                });
                assert!(has_thread);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    world.run().expect_ok();
    assert!(reads.load(Ordering::Relaxed) > 0);
}

/// Lets `fstatfs` fail on this thread, from now on.
fn refuse_fstatfs() {
    let statement = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        // Loads the number of the call, and returns `EIO` for `fstatfs`.
        statement(0x20, 0, 0, 0),
        statement(0x15, libc::SYS_fstatfs as u32, 0, 1),
        statement(0x06, 0x0005_0000 | libc::EIO as u32, 0, 0),
        statement(0x06, 0x7fff_0000, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the system only reads the program, which lives across the calls.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            + libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    assert_eq!(result, 0);
}

#[test]
fn a_worker_does_not_ask_a_file_system_that_may_wait() {
    // The mount of such files has no path, so no other test makes it known.
    // SAFETY: the name is a constant.
    let fd = unsafe { libc::memfd_create(c"redd".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(fd >= 0);
    // SAFETY: the call has succeeded, so the descriptor is new and ours.
    let mut file = StdFile::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(b"salmon").unwrap();
    file.rewind().unwrap();
    let read = || {
        refuse_fstatfs();
        let mut bytes = [0; 6];
        run_at_once(File::from_std(file).read_exact(&mut bytes)).unwrap();
        assert_eq!(&bytes, b"salmon");
    };
    std::thread::scope(|scope| scope.spawn(read).join()).unwrap();
}

#[test]
fn as_many_files_as_a_process_may_open_are_read() {
    for std in cached(b"salmon") {
        let path = format!("/proc/self/fd/{}", std.as_raw_fd());
        // Half of what this process may open, if that is less: other tests run beside this one.
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the system writes a `rlimit` to memory that is ours.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
        let count = (limit.rlim_cur / 2).min(10_000);
        let files: Vec<_> = (0..count).map(|_| File::from_std(StdFile::open(&path).unwrap())).collect();
        run_at_once(async {
            for mut file in files {
                let mut text = String::new();
                file.read_to_string(&mut text).await.unwrap();
                assert_eq!(text, "salmon");
            }
        });
    }
}

//! A client of attach requests in the process that it asks.

#![allow(dead_code, reason = "each test program uses a part")]

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take. Generous: the machine may be busy with ten other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// The thread of this process that takes requests, and its signal.
pub(crate) fn taker() -> (libc::pid_t, libc::c_int) {
    let since = Instant::now();
    loop {
        for task in fs::read_dir("/proc/self/task").expect("there is /proc").flatten() {
            let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            if let Some(signal) = name.trim_end().strip_prefix("redd-attach:") {
                let thread = task.file_name().into_string().expect("a number");
                return (thread.parse().expect("a number"), signal.parse().expect("a number"));
            }
        }
        assert!(since.elapsed() < PATIENCE, "no thread takes requests");
        std::thread::yield_now();
    }
}

/// Sends a signal with a value to the thread that takes requests.
pub(crate) fn send(key: u64) {
    let (thread, signal) = taker();
    let mut info = [0_u64; 16];
    // SAFETY: both structs are plain data of 128 bytes; the fields are those of a signal that was queued with a value.
    let sent = unsafe {
        let info = info.as_mut_ptr();
        info.cast::<i32>().write(signal);
        info.cast::<i32>().add(2).write(libc::SI_QUEUE);
        info.add(3).write(key);
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, libc::getpid(), thread, signal, info)
    };
    assert_eq!(sent, 0, "{}", io::Error::last_os_error());
}

/// A directory with a listening socket, as a client makes it.
pub(crate) struct Client {
    pub(crate) key: u64,
    pub(crate) directory: PathBuf,
    pub(crate) listener: UnixListener,
}

pub(crate) fn new_key() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Client {
    pub(crate) fn new() -> Self {
        Self::in_folder(Path::new("/tmp"))
    }

    pub(crate) fn in_folder(folder: &Path) -> Self {
        let key = new_key();
        let directory = folder.join(format!("redd-attach-{key:016x}"));
        DirBuilder::new().mode(0o700).create(&directory).expect("the folder can be written");
        let listener = UnixListener::bind(directory.join("s")).expect("the folder can be written");
        listener.set_nonblocking(true).expect("it is open");
        Self { key, directory, listener }
    }

    /// The connection from the thread.
    pub(crate) fn accept(&self) -> UnixStream {
        let since = Instant::now();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("it is open");
                    stream.set_read_timeout(Some(PATIENCE)).expect("it is open");
                    return stream;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    assert!(since.elapsed() < PATIENCE, "it does not connect");
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        send(self.key);
        self.accept()
    }

    /// Whether the thread has connected, as far as it has come.
    pub(crate) fn has_connection(&self) -> bool {
        self.listener.accept().is_ok()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

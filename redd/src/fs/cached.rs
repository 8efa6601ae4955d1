//! What can be done with a path at once, on the worker, because the kernel has all of it in its caches.
//!
//! Called by `functions`, `open_options`, `whole` and `file`.
//!
//! # How a file is opened
//! 1. The path is walked in the caches alone, and the file opened as a mere place (`O_PATH`). That has no effect on a pipe or a
//!    device. A walk that would leave the caches ends here: the pool opens the file.
//! 2. The file's type and its mount are asked for. Only a regular file whose file system never waits for a server goes on.
//! 3. The file is opened, with a second walk in the caches. `O_NONBLOCK` is set: neither another process's lease nor a pipe that
//!    has just taken the place of the file can make it wait.
//! 4. Type and mount are checked once more, since the path may lead to another file by now. Then `O_NONBLOCK` is removed.
//!
//! If another process replaces the file by a pipe or a device between the steps 1 and 3, step 3 opens that for a moment, without
//! a wait. Step 4 closes it, and the pool opens it as ever.
//!
//! # Invariants
//! - `known-file-system`: nothing but a descriptor that is a mere place, and its type, is asked of a file system that is not
//!   in the list of `mounts`. Such a one may be a program or a server that does not reply.
//! - `path-kept`: the caller's argument is dropped when the operation is over, also if the pool does it. It may be the owner of a
//!   temporary file, which its drop removes.
//!
//! # Why not otherwise
//! Decision 0022 has the measurements, and the other ways to open a file that was looked at first.

use std::ffi::CStr;
use std::fs::{File as StdFile, Metadata};
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::direct::Direct;
use super::mounts::{self, Storage, learn, storage_of};
use super::operations::Handle;
use crate::blocking::{self, run};
use crate::sys::cached::{self as calls, Found, Status};
use crate::sys::set_status_flags;
use crate::task::coop::{poll_proceed, spend_on};

/// What was done at once, or else what is left to do on the blocking pool.
pub(super) type Now<R> = Result<io::Result<R>, Later>;

/// The operation has to be done on the blocking pool. It has had no effect yet.
#[derive(Debug)]
#[must_use = "the pool finds out about the file system, so that the next operation need not go there"]
pub(super) struct Later {
    /// A file whose mount was not seen yet.
    unknown: Option<OwnedFd>,
}

impl Later {
    /// No mount is to be found out about.
    pub(super) const NOTHING: Self = Self { unknown: None };

    /// Runs `f` on the pool, as [`run`] does.
    #[track_caller]
    pub(super) fn run<R: Send + 'static>(
        self,
        path: &Path,
        f: impl FnOnce(&Path) -> io::Result<R> + Send + 'static,
    ) -> impl Future<Output = io::Result<R>> + Send {
        let path = path.to_owned();
        run(move || {
            if let Some(fd) = self.unknown {
                learn(fd.as_fd());
            }
            f(&path)
        })
    }
}

/// Does an operation at once if `now` can, and with `later` on the blocking pool otherwise.
pub(super) async fn at_once_or_run<R: Send + 'static>(
    path: impl AsRef<Path>,
    now: impl FnOnce(&Path) -> Now<R>,
    later: impl FnOnce(&Path) -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    turn().await;
    match at_once(|| now(path.as_ref())) {
        Ok(result) => result,
        // `path-kept`: `path` is dropped at the end of this function.
        Err(pool) => pool.run(path.as_ref(), later).await,
    }
}

/// Waits until the task may do something at once. The budget is used by [`at_once`].
pub(super) async fn turn() {
    poll_fn(|cx| poll_proceed(cx).map(drop)).await;
}

/// Runs `f`, which never waits, if the runtime allows that. It takes a unit of the budget if the operation was done.
#[inline]
pub(super) fn at_once<R>(f: impl FnOnce() -> Now<R>) -> Now<R> {
    if !blocking::is_optional() {
        return Err(Later::NOTHING);
    }
    let mut now = Err(Later::NOTHING);
    spend_on(|| {
        now = f();
        now.is_ok()
    });
    now
}

/// As [`std::fs::metadata`], or [`std::fs::symlink_metadata`] if `follows_link` is false.
pub(super) fn metadata(path: &Path, follows_link: bool) -> Now<Metadata> {
    // It works on a mere place, too, and makes the system call of std.
    with_found(path, follows_link, |_path, found| StdFile::from(found.fd).metadata().map_err(|_| Later::NOTHING))
}

/// As [`std::fs::File::metadata`]. On the pool, [`learn`] comes first.
pub(super) fn metadata_of(file: &Handle) -> Now<Metadata> {
    match storage_of(file.as_fd()) {
        Some(Storage::Disk | Storage::Memory) => Ok(file.metadata()),
        Some(Storage::Other) | None => Err(Later::NOTHING),
    }
}

/// As [`Path::try_exists`].
pub(super) fn try_exists(path: &Path) -> Now<bool> {
    match with_found(path, true, |_path, _found| Ok(true)) {
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(Ok(false)),
        now => now,
    }
}

/// A regular file that was opened at once.
pub(super) struct Opened {
    pub(super) file: StdFile,
    /// In bytes, after it was opened.
    pub(super) len: u64,
    pub(super) direct: Direct,
}

/// As [`std::fs::File::open`], but `O_NONBLOCK` is set, which has no effect on reads of a regular file.
pub(super) fn open_nonblocking(path: &Path) -> Now<Opened> {
    with_found(path, true, |path, found| open_found(path, found, libc::O_RDONLY))
}

/// As [`std::fs::OpenOptions::open`] with these flags, which neither create nor truncate.
pub(super) fn open(path: &Path, flags: libc::c_int) -> Now<Handle> {
    with_found(path, flags & libc::O_NOFOLLOW == 0, |path, found| {
        let opened = open_found(path, found, flags)?;
        set_status_flags(opened.file.as_fd(), flags).map_err(|_| Later::NOTHING)?;
        Ok(Handle::opened_now(opened.file, opened.direct))
    })
}

/// A file as a mere place, on a file system that does not wait.
struct FoundFile {
    fd: OwnedFd,
    status: Status,
}

/// The steps 1 and 2 of the module page, then `f`.
fn with_found<R>(path: &Path, follows_link: bool, f: impl FnOnce(&CStr, FoundFile) -> Result<R, Later>) -> Now<R> {
    calls::with_path(path, |path| {
        let fd = match calls::find(path, follows_link) {
            Found::File(fd) => fd,
            Found::Error(error) => return Ok(Err(error)),
            Found::Unknown => return Err(Later::NOTHING),
        };
        let Some(status) = calls::status(fd.as_fd()) else { return Err(Later::NOTHING) };
        match mounts::storage(&status) {
            Some(Storage::Disk | Storage::Memory) => f(path, FoundFile { fd, status }).map(Ok),
            // `known-file-system`
            Some(Storage::Other) => Err(Later::NOTHING),
            None => Err(Later { unknown: Some(fd) }),
        }
    })
    // The pool reports the NUL byte.
    .unwrap_or(Err(Later::NOTHING))
}

/// The steps 3 and 4 of the module page, but for the removal of `O_NONBLOCK`.
fn open_found(path: &CStr, found: FoundFile, flags: libc::c_int) -> Result<Opened, Later> {
    // A directory, too, is opened on the pool: XFS reads its first block then.
    if !found.status.is_regular() {
        return Err(Later::NOTHING);
    }
    // Closed first, so that the file gets the number that it gets without it.
    drop(found.fd);
    let fd = calls::open(path, flags).map_err(|_| Later::NOTHING)?;
    let status = calls::status(fd.as_fd()).ok_or(Later::NOTHING)?;
    match mounts::storage(&status) {
        Some(storage @ (Storage::Disk | Storage::Memory)) if status.is_regular() => {
            let direct = Direct::regular(storage == Storage::Memory);
            Ok(Opened { file: fd.into(), len: status.len(), direct })
        }
        _ => Err(Later::NOTHING),
    }
}

#[cfg(all(test, not(any(miri, loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fs;
    use crate::runtime::{Builder, Runtime};
    use crate::sys::faults::{self, Call};
    use std::path::PathBuf;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().expect("the system has threads")
    }

    fn has_thread(runtime: &Runtime) -> bool {
        runtime.metrics().num_blocking_threads() > 0
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("room for a directory");
        let path = directory.path().join("a");
        std::fs::write(&path, "salmon").expect("room for a file");
        runtime().block_on(fs::metadata(&path)).expect("it is there"); // The mount is known from now on.
        (directory, path)
    }

    #[test]
    fn whatever_a_call_returns_the_pool_does_the_operation() {
        let (_directory, path) = file();
        let errors =
            [libc::EAGAIN, libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EINTR, libc::EIO, libc::EACCES, libc::ENXIO];
        for call in [Call::FindCached, Call::OpenCached, Call::Statx] {
            // The other answers of the first call are errors of the path, or remembered.
            let errors = if call == Call::FindCached { &errors[..6] } else { &errors[..] };
            for &errno in errors {
                let runtime = runtime();
                runtime.block_on(async {
                    faults::plan(call, 0, errno);
                    assert_eq!(fs::read(&path).await.expect("the pool reads it"), b"salmon");
                    assert!(has_thread(&runtime), "{call:?} {errno}");
                    faults::plan(call, 0, errno);
                    fs::File::open(&path).await.expect("the pool opens it");
                });
            }
        }
        // The check of a file after it was opened.
        let runtime = runtime();
        faults::plan(Call::Statx, 1, libc::ENOMEM);
        assert_eq!(runtime.block_on(fs::read(&path)).expect("the pool reads it"), b"salmon");
        assert!(has_thread(&runtime));
    }

    #[test]
    fn a_pipe_in_the_place_of_a_file_that_was_looked_at_is_not_kept() {
        let (_directory, path) = file();
        let now = with_found(&path, true, |c_path, found| {
            std::fs::remove_file(&path).expect("it is there");
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.is_ok_and(|status| status.success()), "`mkfifo` of coreutils is needed");
            assert!(found.status.is_regular());
            open_found(c_path, found, libc::O_RDONLY).map(|_opened| ())
        });
        assert!(now.is_err());
    }
}

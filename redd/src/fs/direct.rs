//! What may be done with an open file at once, on the worker, because it needs no disk.
//!
//! Called by `operations` and `whole`. What it finds out about a file is remembered with the file.
//!
//! - A read is direct if the kernel offers reads that do not wait, and has the bytes in the page cache.
//! - On a file system without a disk, such as tmpfs, an ordinary read is direct.
//! - Any other file uses the blocking pool: a pipe, a device, a file in `/proc`, one on a network.
//!
//! Decision 0027 has the measurements, and what else was tried.
//!
//! # Invariants
//! - `shared-position`: a descriptor that was duplicated shares a lock with the other one. A thread of the pool that waits
//!   for the disk holds it. So nothing that uses the position is direct from then on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use super::mounts::{self, Storage};
use crate::primitives::atomic::{AtomicU8, Ordering};
use crate::sys;
use crate::sys::file::ReadNow;

/// See the module page.
#[derive(Debug)]
pub(super) struct Direct(AtomicU8);

/// How this file is read. No bit is set until it was found out.
const READS: u8 = WITHOUT_WAIT | ORDINARY | NEVER;
const WITHOUT_WAIT: u8 = 1;
const ORDINARY: u8 = 2;
const NEVER: u8 = 4;
/// `shared-position`
const SHARED: u8 = 8;
/// Whether it is a regular file.
const KIND: u8 = REGULAR | SPECIAL;
const REGULAR: u8 = 16;
const SPECIAL: u8 = 32;

impl Direct {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// For a regular file of a file system whose kind is known. Its reads do not pass the cache.
    pub(super) fn regular(is_in_memory: bool) -> Self {
        Self(AtomicU8::new(REGULAR | if is_in_memory { ORDINARY } else { WITHOUT_WAIT }))
    }

    /// The descriptor has been duplicated, or is about to be (`shared-position`).
    pub(super) fn set_shared(&self) {
        self.set(SHARED);
    }

    /// Whether a seek within the file only sets its position. A device or a directory has seeks of its own.
    pub(super) fn is_seekable(&self, fd: BorrowedFd<'_>) -> bool {
        !self.has(SHARED) && self.is_regular(fd)
    }

    fn is_regular(&self, fd: BorrowedFd<'_>) -> bool {
        if !self.has(KIND) {
            let is_regular = sys::file::is_regular(fd).unwrap_or(false);
            self.set(if is_regular { REGULAR } else { SPECIAL });
        }
        self.has(REGULAR)
    }

    fn has(&self, bits: u8) -> bool {
        // Relaxed: each bit is about the file alone, and a task that duplicates the descriptor has waited for the file.
        self.0.load(Ordering::Relaxed) & bits != 0
    }

    fn set(&self, bits: u8) {
        self.0.fetch_or(bits, Ordering::Relaxed);
    }

    /// Reads at the position of the file, if that needs no disk. `None`: use the pool.
    pub(super) fn read(&self, fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> Option<io::Result<usize>> {
        if self.has(NEVER | SHARED) {
            return None;
        }
        if !self.has(READS) {
            // A read that passes the cache waits for the disk, even if it is told not to wait.
            let passes_cache = sys::file::passes_cache(fd).unwrap_or(true);
            self.set(if passes_cache { NEVER } else { WITHOUT_WAIT });
        }
        if self.has(WITHOUT_WAIT) {
            match sys::file::read_now(fd, buf) {
                Ok(ReadNow::Read(len)) => return Some(Ok(len)),
                Ok(ReadNow::WouldBlock) => return None,
                Ok(ReadNow::Unsupported) => {}
                // The pool reads again and reports the error, as it does for files that are not read here.
                Err(_) => return None,
            }
            self.0.fetch_and(!WITHOUT_WAIT, Ordering::Relaxed);
            // A pipe or a device has its place in such a file system, too, and can wait.
            let is_in_memory = self.is_regular(fd) && is_in_memory(fd);
            self.set(if is_in_memory { ORDINARY } else { NEVER });
        }
        if self.has(ORDINARY) { Some(read_ordinarily(fd, buf)) } else { None }
    }
}

/// It never waits: a file of the program's own may be on a server, and its mount was perhaps never seen.
fn is_in_memory(fd: BorrowedFd<'_>) -> bool {
    match mounts::storage_of(fd) {
        Some(storage) => storage == Storage::Memory,
        None => sys::file::can_be_sealed(fd),
    }
}

fn read_ordinarily(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    loop {
        match sys::read_uninit(fd, buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

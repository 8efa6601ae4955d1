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
//! - `late-position`: a seek may only note its position here, and the reads that follow name it and move it. The kernel has an
//!   older one meanwhile. Only a descriptor that the program has never seen has such a position, so that nothing but this file
//!   can use the kernel's. Before an operation of the pool starts, and before the program gets the descriptor, `settle` sets it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use super::mounts::{self, Storage};
use crate::primitives::atomic::fixed::AtomicU64;
use crate::primitives::atomic::{AtomicU8, Ordering};
use crate::sys;
use crate::sys::file::ReadNow;

/// See the module page.
#[derive(Debug)]
pub(super) struct Direct {
    bits: AtomicU8,
    /// `late-position`; `NO_POSITION` if it is the kernel's.
    position: AtomicU64,
}

const NO_POSITION: u64 = u64::MAX;

/// The kernel accepts each position up to this one, whatever the file system.
const LATE_POSITION_MAX: u64 = i32::MAX as u64;

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
/// The program has not seen the descriptor (`late-position`).
const PRIVATE: u8 = 64;

impl Direct {
    /// For a file that the program has opened itself, or a duplicate.
    pub(super) fn new() -> Self {
        Self::with(0)
    }

    /// For a file that was opened here.
    pub(super) fn private() -> Self {
        Self::with(PRIVATE)
    }

    fn with(bits: u8) -> Self {
        Self { bits: AtomicU8::new(bits), position: AtomicU64::new(NO_POSITION) }
    }

    /// For a regular file that was opened here, on a file system whose kind is known. Its reads do not pass the cache.
    pub(super) fn regular(is_in_memory: bool) -> Self {
        Self::with(PRIVATE | REGULAR | if is_in_memory { ORDINARY } else { WITHOUT_WAIT })
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
        self.bits.load(Ordering::Relaxed) & bits != 0
    }

    fn set(&self, bits: u8) {
        self.bits.fetch_or(bits, Ordering::Relaxed);
    }

    /// The program sees the descriptor from now on. If an operation is in flight, `settle` has come before it.
    pub(super) fn set_seen(&self) {
        if self.has(PRIVATE) {
            self.bits.fetch_and(!PRIVATE, Ordering::Relaxed);
        }
    }

    /// Only notes where the next read is to begin, if that is enough (`late-position`).
    pub(super) fn seek(&self, position: SeekFrom) -> Option<u64> {
        const NEEDED: u8 = PRIVATE | REGULAR | WITHOUT_WAIT;
        if self.bits.load(Ordering::Relaxed) & (NEEDED | SHARED) != NEEDED {
            return None;
        }
        let target = match position {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(distance) => self.late_position()?.checked_add_signed(distance)?,
            SeekFrom::End(_) => return None,
        };
        // The kernel decides about one that it may refuse.
        if target > LATE_POSITION_MAX {
            return None;
        }
        self.position.store(target, Ordering::Relaxed);
        Some(target)
    }

    /// Tells the kernel the position that it does not know yet.
    #[inline]
    pub(super) fn settle(&self, mut file: &File) -> io::Result<()> {
        if let Some(position) = self.late_position() {
            file.seek(SeekFrom::Start(position))?;
            self.position.store(NO_POSITION, Ordering::Relaxed);
        }
        Ok(())
    }

    fn late_position(&self) -> Option<u64> {
        // Relaxed, here and above: the file is used by one task at a time, and not while an operation is in flight.
        Some(self.position.load(Ordering::Relaxed)).filter(|position| *position != NO_POSITION)
    }

    /// Reads at the position of the file, if that needs no disk. `None`: use the pool.
    pub(super) fn read(&self, file: &File, buf: &mut [MaybeUninit<u8>]) -> Option<io::Result<usize>> {
        let fd = file.as_fd();
        if self.has(NEVER | SHARED) {
            return None;
        }
        if !self.has(READS) {
            // A read that passes the cache waits for the disk, even if it is told not to wait.
            let uses_cache = sys::file::uses_cache(fd).unwrap_or(false);
            self.set(if uses_cache { WITHOUT_WAIT } else { NEVER });
        }
        if self.has(WITHOUT_WAIT) {
            let position = self.late_position();
            match sys::file::read_now(fd, buf, position) {
                Ok(ReadNow::Read(len)) => {
                    if let Some(position) = position {
                        self.position.store(position + len as u64, Ordering::Relaxed);
                    }
                    return Some(Ok(len));
                }
                Ok(ReadNow::WouldBlock) => return None,
                Ok(ReadNow::Unsupported) => {}
                // The pool reads again and reports the error, as it does for files that are not read here.
                Err(_) => return None,
            }
            self.bits.fetch_and(!WITHOUT_WAIT, Ordering::Relaxed);
            // A pipe or a device has its place in such a file system, too, and can wait.
            let is_in_memory = self.is_regular(fd) && is_in_memory(fd);
            self.set(if is_in_memory { ORDINARY } else { NEVER });
        }
        // If the kernel refuses the position, the pool reports it.
        if self.has(ORDINARY) && self.settle(file).is_ok() { Some(read_ordinarily(fd, buf)) } else { None }
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

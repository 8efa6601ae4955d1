//! Which mounted file systems have their contents in memory or on a disk of this machine, and so never wait for a server.
//!
//! Called by `cached`, `direct`, `file` and `operations`.
//!
//! The question itself may wait. So the blocking pool asks it ([`learn`]), once for each mount, and a table has the replies. Only
//! `direct` asks on a worker ([`ask`]): once for a file that the program has opened itself and that has no reads without a wait.
//!
//! # Invariants
//! - `one-word`: an entry of the table is one atomic word, with the mount and what is known of it. So no ordering is needed.

use std::os::fd::BorrowedFd;

use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicU32, AtomicU64};
use crate::sys::cached::{self as calls, Mount, Status};

/// Where the contents of a file system are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    /// On a disk of this machine. What is in the kernel's caches can be used without a wait.
    Disk = 1,
    /// In memory alone. No operation waits for a disk, unless for pages that were swapped out.
    Memory = 2,
    /// On a server, in a program, or unknown: any operation may wait.
    Other = 3,
}

impl Storage {
    /// File systems by their magic numbers.
    ///
    /// Not in the list: `overlayfs`, since its layers may be anything; `/proc` and `/sys`, where a read may do work.
    fn of_magic(magic: u32) -> Self {
        match magic {
            // tmpfs, ramfs
            0x0102_1994 | 0x8584_58f6 => Self::Memory,
            // ext2 to ext4, XFS, Btrfs, F2FS, bcachefs, ZFS
            0xef53 | 0x5846_5342 | 0x9123_683e | 0xf2f5_2010 | 0xca45_1a4e | 0x2fc1_2fc1 => Self::Disk,
            // SquashFS, EROFS, ISO 9660, UDF
            0x7371_7368 | 0xe0f5_e1e2 | 0x9660 | 0x1501_3346 => Self::Disk,
            // FAT, exFAT, NTFS (not the one in user space), JFS, NILFS
            0x4d44 | 0x2011_bab0 | 0x7366_746e | 0x3153_464a | 0x3434 => Self::Disk,
            _ => Self::Other,
        }
    }

    fn of_bits(bits: u64) -> Self {
        match bits {
            1 => Self::Disk,
            2 => Self::Memory,
            _ => Self::Other,
        }
    }
}

/// The mounts whose file system is known. If it is full, a new entry replaces the oldest.
struct Mounts {
    /// `one-word`; 0 is free. The free ones are the last, but for the moment in which two threads add one.
    entries: [AtomicU64; MOUNTS_MAX],
    added: AtomicU32,
}

/// A program uses few. One that uses more in turn has a trip to the pool for some of them.
const MOUNTS_MAX: usize = 32;

/// The bits of a [`Storage`].
const STORAGE_BITS: u32 = 2;

const _: () = assert!(Mount::BITS + STORAGE_BITS <= u64::BITS, "`one-word`");

static MOUNTS: Mounts = Mounts::new();

impl Mounts {
    const fn new() -> Self {
        Self { entries: [const { AtomicU64::new(0) }; MOUNTS_MAX], added: AtomicU32::new(0) }
    }

    fn storage(&self, mount: Mount) -> Option<Storage> {
        // Relaxed, here and below: `one-word`.
        let words = self.entries.iter().map(|entry| entry.load(Ordering::Relaxed)).take_while(|word| *word != 0);
        let mut found = words.filter(|word| word >> STORAGE_BITS == mount.bits());
        found.next().map(|word| Storage::of_bits(word & ((1 << STORAGE_BITS) - 1)))
    }

    fn add(&self, mount: Mount, storage: Storage) {
        if self.storage(mount) != Some(storage) {
            let index = self.added.fetch_add(1, Ordering::Relaxed) as usize % MOUNTS_MAX;
            self.entries[index].store(mount.bits() << STORAGE_BITS | storage as u64, Ordering::Relaxed);
        }
    }
}

/// Where the contents of an open file are. It never waits. `None` if its mount was not seen yet ([`learn`]
/// finds out), or cannot be told apart from later ones.
pub(super) fn storage_of(fd: BorrowedFd<'_>) -> Option<Storage> {
    storage(&calls::status(fd)?)
}

/// As [`storage_of`], for a file whose status is known.
pub(super) fn storage(status: &Status) -> Option<Storage> {
    MOUNTS.storage(status.mount()?)
}

/// As [`storage_of`], and remembers it. Before Linux 6.8 **it may wait**, so it is called on the blocking pool.
pub(super) fn learn(fd: BorrowedFd<'_>) -> Storage {
    let Some(mount) = calls::status(fd).and_then(|status| status.mount()) else { return Storage::Other };
    if let Some(storage) = MOUNTS.storage(mount) {
        return storage;
    }
    let storage = match calls::file_system_of(mount) {
        Ok(magic) => Storage::of_magic(magic),
        Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => ask(fd),
        Err(_) => Storage::Other,
    };
    MOUNTS.add(mount, storage);
    storage
}

/// As [`storage_of`], but asks the file system, and remembers nothing. **It may wait.**
pub(super) fn ask(fd: BorrowedFd<'_>) -> Storage {
    calls::file_system(fd).map_or(Storage::Other, Storage::of_magic)
}

#[cfg(all(test, not(any(miri, loom, shuttle))))]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_file_is_on_the_mount_that_was_learned() {
        let file = tempfile::tempfile().expect("room for a file");
        let learned = learn(file.as_fd());
        assert!(storage_of(file.as_fd()).is_none_or(|storage| storage == learned));
        let computed = File::open("/proc/self/stat").expect("it is there");
        assert_eq!(ask(computed.as_fd()), Storage::Other);
        assert_eq!(learn(computed.as_fd()), Storage::Other);
        if let Ok(shared) = tempfile::tempfile_in("/dev/shm") {
            assert_eq!(ask(shared.as_fd()), Storage::Memory);
        }
        assert!(storage_of(computed.as_fd()).is_none_or(|storage| storage == Storage::Other));
        assert_eq!(Storage::of_magic(0xef53), Storage::Disk);
        assert_eq!(Storage::of_magic(0x0102_1994), Storage::Memory);
        // NFS, SMB, FUSE, 9P, Ceph, overlayfs, /proc
        for magic in [0x6969, 0xfe53_4d42, 0x6573_5546, 0x0102_1997, 0x00c3_6400, 0x794c_7630, 0x9fa0, 0] {
            assert_eq!(Storage::of_magic(magic), Storage::Other, "{magic:x}");
        }
    }

    #[test]
    fn a_full_table_forgets_the_oldest_mount() {
        let mounts = Mounts::new();
        let mount = |number: usize| Mount::from_unique_id(number as u64 + 1).expect("an id");
        let storage = |number: usize| [Storage::Disk, Storage::Memory, Storage::Other][number % 3];
        for number in 0..3 * MOUNTS_MAX {
            assert_eq!(mounts.storage(mount(number)), None);
            mounts.add(mount(number), storage(number));
            mounts.add(mount(number), storage(number));
            for known in 0..=number {
                let expected = (known + MOUNTS_MAX > number).then_some(storage(known));
                assert_eq!(mounts.storage(mount(known)), expected, "{known} of {number}");
            }
        }
    }
}

//! `Disk`: how the disks of a world behave.
//!
//! Called by users.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::world::World;
use crate::disk::DiskSettings;

/// How the disks of a world behave: their size, their errors, and how long an operation takes.
///
/// Each host has a disk of its own with all paths of [`redd::fs`](crate::fs), which is empty at first but for `/tmp`. The current directory
/// is `/`.
///
/// # What a crash loses
/// - Contents that were not synced with [`sync_all`](crate::fs::File::sync_all) or [`sync_data`](crate::fs::File::sync_data). Each
///   sector of 512 bytes is lost or kept independently, and so is the length of the file.
/// - Names that were created, removed, renamed or linked since their *directory* was synced: open it with
///   [`File::open`](crate::fs::File::open), and call `sync_all`. Syncing a file does not sync its name. Any of these changes may be
///   lost, and a later one kept. A rename is lost or kept as a whole.
/// - Permissions since the last `sync_all`.
///
/// What was synced is always there. If more than 64 MiB or 65,536 names are not synced, the disk writes everything back by itself. Files
/// that were open before the crash return `EIO`.
///
/// # Errors by seed
/// [`errors`](Self::errors) lets reads, writes and syncs fail. As on Linux, a failed sync marks the contents as written: the next
/// sync succeeds, and a crash may still lose them.
///
/// # What is not simulated
/// - `std::fs` and other crates use the real disk.
/// - A file that was opened by std ([`File::from_std`](crate::fs::File::from_std)) is a real one. What a program writes after
///   [`into_std`](crate::fs::File::into_std) is not lost in a crash. Both are events of the run.
/// - In metadata, the times of the last read and modification are those of the world, which begins at [`World::start_at`]. Inode and
///   device numbers, the time of creation and that of the last change are those of the real file.
/// - A removed file that is open has one hard link in its metadata, and not none.
///
/// The files are in a directory of `/dev/shm`, or of the temporary directory if there is no `/dev/shm`. It is removed when the world
/// ends. A process that is killed leaves its directory, whose name is `redd-disk-` and the id of the process.
///
/// # Examples
/// ```
/// use redd::sim::{Disk, World};
/// use redd::time::Duration;
///
/// #[redd::main]
/// async fn fills_the_disk() {
///     let error = redd::fs::write("/log", vec![0; 2000]).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
///     assert_eq!(redd::fs::metadata("/log").await.unwrap().len(), 1000);
/// }
///
/// let disk = Disk::new().capacity(1000).latency(Duration::from_millis(1)..Duration::from_millis(5));
/// let report = World::new(1).disk(disk).host("host", fills_the_disk).run();
/// report.expect_ok();
/// assert!(report.elapsed() >= Duration::from_millis(4), "open, two writes, and the metadata");
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a disk is used by `World::disk`"]
pub struct Disk(DiskSettings);

impl Disk {
    /// A disk without limit and without errors, whose operations take no time.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many bytes all files of a host can have together. A write beyond that is short, and the next one fails with
    /// [`StorageFull`](std::io::ErrorKind::StorageFull).
    ///
    /// The length of a file counts, also where it was only set. Names and directories need no room.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.0.capacity = Some(bytes);
        self
    }

    /// Makes this percentage of reads, writes and syncs fail with `EIO`. A write that fails writes nothing.
    ///
    /// # Panics
    /// If it is more than 100.
    #[track_caller]
    pub fn errors(mut self, percent: u8) -> Self {
        assert!(percent <= 100, "`Disk::errors` got {percent} percent. Give a number from 0 (never) to 100 (always).");
        self.0.error_percent = percent;
        self
    }

    /// Sets how much virtual time an operation takes. The seed chooses a value from the range, both ends included.
    ///
    /// # Panics
    /// If the range ends before it starts.
    #[track_caller]
    pub fn latency(mut self, range: Range<Duration>) -> Self {
        assert!(
            range.start <= range.end,
            "`Disk::latency` got the range {range:?}, which ends before it starts. Give the shorter time first."
        );
        self.0.latency = range;
        self
    }

    /// Sets whether a crash keeps some sectors of a write and loses others. Default: true.
    pub fn torn(mut self, is_torn: bool) -> Self {
        self.0.is_torn = is_torn;
        self
    }

    /// Lets programs read a directory of the real disk, at the same path. They cannot change it. A relative path is at `/` for them.
    ///
    /// What is in it is part of the test, as its code is: a run depends on it.
    ///
    /// # Examples
    /// ```
    /// use redd::sim::{Disk, World};
    ///
    /// #[redd::main]
    /// async fn reads_its_settings() {
    ///     assert!(redd::fs::read_to_string("src/lib.rs").await.is_ok());
    ///     assert!(redd::fs::write("src/lib.rs", "").await.is_err());
    /// }
    ///
    /// World::new(1).disk(Disk::new().real_dir("src")).host("host", reads_its_settings).run().expect_ok();
    /// ```
    pub fn real_dir(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        let real = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.0.real_dirs.push((PathBuf::from("/").join(path), real));
        self
    }
}

impl World {
    /// Sets how the disks of all hosts behave. Default: [`Disk::new`].
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = disk.0;
        self
    }
}

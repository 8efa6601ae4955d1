//! Files and directories.
//!
//! The kernel cannot wait for a file as it waits for a socket. So an operation that may wait for a disk runs that of
//! `std::fs` on the blocking pool, which costs a trip to another thread and back. What the kernel has in memory needs no
//! trip: a [`File`] reads it at once, in the first poll. So do [`read`] and [`read_to_string`] with a file of up to 2 MiB,
//! and [`metadata`], [`symlink_metadata`], [`try_exists`] and [`File::open`], if the path is in the kernel's caches.
//!
//! - Paths are used so since Linux 5.12, on local file systems: ext4, XFS, Btrfs, tmpfs and others. Before Linux 6.8, tmpfs
//!   and Btrfs are not. Network file systems, FUSE, overlayfs and `/proc` always use the pool.
//! - The first path on each mount uses the pool, which finds out about its file system.
//! - A filter of system calls should permit `openat2`, `statx` and `preadv2`, or refuse them with an error. One that kills the
//!   process for them does so.
//!
//! Advice:
//!
//! - For many small reads or writes of one file, use [`BufReader`](crate::io::BufReader) and
//!   [`BufWriter`](crate::io::BufWriter).
//! - For a whole file, use [`read`], [`read_to_string`] and [`write`](write()).
//! - For many small operations, run them together in one [`spawn_blocking`](crate::task::spawn_blocking).
//!
//! ```
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("a");
//! redd::fs::write(&path, b"salmon").await?;
//! assert_eq!(redd::fs::read(&path).await?, b"salmon");
//! # redd::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! # In every operation of this module
//! - Dropping the future does not stop an operation that has started; only its result is lost.
//! - Errors are those of `std::fs`. A path with a NUL byte is [`InvalidInput`](std::io::ErrorKind::InvalidInput). If
//!   the runtime shuts down before an operation starts, that is an error too.
//! - Outside of a runtime, operations panic.
//!
//! A file with many small writes, replaced as a whole:
//! ```
//! use redd::fs::File;
//! use redd::io::{AsyncWriteExt, BufWriter};
//!
//! # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("report");
//! let unfinished = dir.path().join("report.new");
//! let mut writer = BufWriter::new(File::create(&unfinished).await?);
//! for number in 0..1000 {
//!     writer.write_all(format!("{number}\n").as_bytes()).await?;
//! }
//! writer.flush().await?;
//! writer.get_ref().sync_all().await?;
//! redd::fs::rename(&unfinished, &path).await?;
//! assert_eq!(redd::fs::metadata(&path).await?.len(), 3890);
//! # redd::io::Result::Ok(()) }).unwrap();
//! ```

// Called by user code. Uses `blocking` and `io::background`, and in simulated worlds `disk` and `network`.

mod cached;
mod dir;
mod direct;
mod file;
mod functions;
mod mounts;
mod open_options;
mod operations;
mod times;
mod whole;

pub use dir::{DirBuilder, DirEntry, ReadDir, read_dir};
pub use file::File;
pub use functions::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read, read_link, read_to_string, remove_dir,
    remove_dir_all, remove_file, rename, set_permissions, symlink, symlink_metadata, try_exists, write,
};
pub use open_options::OpenOptions;
pub use times::FileTimes;

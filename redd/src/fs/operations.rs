//! Every operation on a file: the one of std, or in a simulated world that of the host's disk.
//!
//! Called by the other files of this room: on the blocking pool, and on the worker for what needs no disk (`cached`, `direct`).
//! It is the only one that knows of worlds.
//!
//! Outside of a world an operation on a path costs one relaxed load more, and one on an open file a branch.

use std::ffi::OsString;
use std::fs::{self, File as StdFile, FileTimes, FileType, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use std::{fmt, vec};

use super::direct::Direct;
use super::mounts;
use crate::blocking;
use crate::disk::{self, DiskEntry, HostDisk, OpenFile};
use crate::network::{self, Network};
use crate::primitives::baton;

/// The disk of the calling thread's host, if it belongs to a world.
#[inline]
fn simulated() -> io::Result<Option<Arc<HostDisk>>> {
    if baton::is_any() { disk::current().transpose() } else { Ok(None) }
}

/// Runs the first expression on a simulated disk, and otherwise the second.
macro_rules! on_disk {
    ($disk:ident => $simulated:expr, $real:expr) => {
        match simulated()? {
            None => $real,
            Some($disk) => $simulated,
        }
    };
}

pub(super) fn canonicalize(path: &Path) -> io::Result<PathBuf> {
    on_disk!(disk => disk.canonicalize(path), fs::canonicalize(path))
}

pub(super) fn copy(from: &Path, to: &Path) -> io::Result<u64> {
    on_disk!(disk => disk.copy(from, to), fs::copy(from, to))
}

pub(super) fn create_dir(path: &Path, mode: Option<u32>, is_recursive: bool) -> io::Result<()> {
    let real = || {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(is_recursive);
        mode.into_iter().for_each(|mode| _ = builder.mode(mode));
        builder.create(path)
    };
    on_disk!(disk => if is_recursive { disk.create_dir_all(path, mode) } else { disk.create_dir(path, mode) }, real())
}

pub(super) fn hard_link(original: &Path, link: &Path) -> io::Result<()> {
    on_disk!(disk => disk.hard_link(original, link), fs::hard_link(original, link))
}

pub(super) fn metadata(path: &Path) -> io::Result<Metadata> {
    on_disk!(disk => disk.metadata(path, true), fs::metadata(path))
}

pub(super) fn open(path: &Path, options: &OpenOptions) -> io::Result<Handle> {
    let real = || {
        let file = options.open(path)?;
        mounts::learn(file.as_fd()); // For its reads, and for the next file.
        io::Result::Ok((file, None))
    };
    let (std, simulated) = on_disk!(disk => disk.open(path, options)?, real()?);
    Ok(Handle { std, simulated, direct: Direct::private() })
}

pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    on_disk!(disk => disk.read_file(path), fs::read(path))
}

pub(super) fn read_dir(path: &Path) -> io::Result<Entries> {
    on_disk!(
        disk => Ok(Entries::Simulated(disk.read_dir(path)?.into_iter())),
        Ok(Entries::Real(fs::read_dir(path)?))
    )
}

pub(super) fn read_link(path: &Path) -> io::Result<PathBuf> {
    on_disk!(disk => disk.read_link(path), fs::read_link(path))
}

pub(super) fn read_to_string(path: &Path) -> io::Result<String> {
    on_disk!(disk => into_text(disk.read_file(path)?), fs::read_to_string(path))
}

/// The bytes as text, or the error of [`std::fs::read_to_string`].
pub(super) fn into_text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).or_else(|error| io::read_to_string(error.as_bytes()))
}

pub(super) fn remove_dir(path: &Path) -> io::Result<()> {
    on_disk!(disk => disk.remove_dir(path), fs::remove_dir(path))
}

pub(super) fn remove_dir_all(path: &Path) -> io::Result<()> {
    on_disk!(disk => disk.remove_dir_all(path), fs::remove_dir_all(path))
}

pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    on_disk!(
        disk => or_socket(disk.remove_file(path), |network, host| network.unlink(host, path)),
        fs::remove_file(path)
    )
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    on_disk!(
        disk => or_socket(disk.rename(from, to), |network, host| network.rename(host, from, to)),
        fs::rename(from, to)
    )
}

/// The path of a Unix socket is a name in the network of its world, and no file of the disk. `f` returns whether there is one.
fn or_socket(result: io::Result<()>, f: impl FnOnce(&Network, usize) -> bool) -> io::Result<()> {
    match (&result, baton::current_host()) {
        (Err(error), Some((baton, host))) if error.kind() == io::ErrorKind::NotFound => {
            if f(&network::of(&baton), host) { Ok(()) } else { result }
        }
        _ => result,
    }
}

pub(super) fn set_permissions(path: &Path, permissions: Permissions) -> io::Result<()> {
    on_disk!(disk => disk.set_permissions(path, permissions), fs::set_permissions(path, permissions))
}

pub(super) fn symlink(original: &Path, link: &Path) -> io::Result<()> {
    on_disk!(disk => disk.symlink(original, link), std::os::unix::fs::symlink(original, link))
}

pub(super) fn symlink_metadata(path: &Path) -> io::Result<Metadata> {
    on_disk!(disk => disk.metadata(path, false), fs::symlink_metadata(path))
}

pub(super) fn try_exists(path: &Path) -> io::Result<bool> {
    match metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    on_disk!(disk => disk.write_file(path, contents), fs::write(path, contents))
}

/// The entries of a directory that were not read yet.
#[derive(Debug)]
pub(super) enum Entries {
    Real(fs::ReadDir),
    Simulated(vec::IntoIter<DiskEntry>),
}

impl Iterator for Entries {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Real(entries) => Some(entries.next()?.map(Entry::Real)),
            Self::Simulated(entries) => entries.next().map(|entry| Ok(Entry::Simulated(entry))),
        }
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub(super) enum Entry {
    Real(fs::DirEntry),
    Simulated(DiskEntry),
}

impl Entry {
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Real(entry) => entry.path(),
            Self::Simulated(entry) => entry.path(),
        }
    }

    pub(super) fn file_name(&self) -> OsString {
        match self {
            Self::Real(entry) => entry.file_name(),
            Self::Simulated(entry) => entry.file_name().to_owned(),
        }
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Real(entry) => entry.metadata(),
            Self::Simulated(entry) => entry.metadata(),
        }
    }

    pub(super) fn file_type(&self) -> io::Result<FileType> {
        match self {
            Self::Real(entry) => entry.file_type(),
            Self::Simulated(entry) => entry.metadata_of_listing().map(|metadata| metadata.file_type()),
        }
    }

    pub(super) fn ino(&self) -> u64 {
        match self {
            Self::Real(entry) => entry.ino(),
            Self::Simulated(entry) => entry.metadata_of_listing().map_or(0, |metadata| metadata.ino()),
        }
    }
}

/// The most bytes that one direct read moves, which bounds how long it holds the worker.
pub(super) const DIRECT_BYTES: usize = 1024 * 1024;

/// An open file: that of std, what its simulated disk knows of it, and what needs no thread.
pub(super) struct Handle {
    std: StdFile,
    simulated: Option<Arc<OpenFile>>,
    direct: Direct,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}

impl Handle {
    /// A file that the program has opened itself.
    #[inline]
    pub(super) fn untracked(std: StdFile) -> Self {
        if baton::is_any() {
            disk::note_untracked();
        }
        Self { std, simulated: None, direct: Direct::new() }
    }

    /// A regular file that was opened without a thread, and not with `O_DIRECT`.
    pub(super) fn opened_now(std: StdFile, direct: Direct) -> Self {
        Self { std, simulated: None, direct }
    }

    /// Gives the file back to the program.
    pub(super) fn into_std(self) -> StdFile {
        if self.simulated.is_some() {
            disk::note_untracked();
        }
        // The kernel refuses no such position; only a filter of system calls could.
        drop(self.settle());
        self.std
    }

    /// The descriptor is about to be duplicated. [`settle`](Self::settle) and [`set_seen`](Self::set_seen) came before.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        self.direct.set_shared();
        let clone = Self { std: self.std.try_clone()?, simulated: self.simulated.clone(), direct: Direct::new() };
        clone.direct.set_shared();
        Ok(clone)
    }

    /// As `Read::read`, if it needs no thread: `None` if it would wait, or cannot be known. At most [`DIRECT_BYTES`]
    /// bytes, into a buffer that is not empty.
    pub(super) fn read_now(&self, buf: &mut [MaybeUninit<u8>]) -> Option<io::Result<usize>> {
        if self.simulated.is_some() || !blocking::is_optional() {
            return None;
        }
        let len = buf.len().min(DIRECT_BYTES);
        self.direct.read(&self.std, &mut buf[..len])
    }

    /// Seeks without a system call, if that is enough. What was read ahead is of no use then.
    pub(super) fn seek_now(&self, position: SeekFrom) -> Option<u64> {
        if self.simulated.is_some() || !blocking::is_optional() {
            return None;
        }
        self.direct.seek(position)
    }

    /// Tells the kernel the position. Called before an operation starts.
    #[inline]
    pub(super) fn settle(&self) -> io::Result<()> {
        self.direct.settle(&self.std)
    }

    /// The program sees the descriptor from now on.
    pub(super) fn set_seen(&self) {
        self.direct.set_seen();
    }

    /// Whether a seek to this position needs no thread.
    pub(super) fn seeks_now(&self, position: SeekFrom) -> bool {
        // A network file system asks for the end.
        let is_local = matches!(position, SeekFrom::Start(_) | SeekFrom::Current(_));
        is_local && self.simulated.is_none() && blocking::is_optional() && self.direct.is_seekable(self.std.as_fd())
    }

    pub(super) fn sync_all(&self) -> io::Result<()> {
        match &self.simulated {
            None => self.std.sync_all(),
            Some(open) => open.sync(&self.std, true),
        }
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        match &self.simulated {
            None => self.std.sync_data(),
            Some(open) => open.sync(&self.std, false),
        }
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        match &self.simulated {
            None => self.std.set_len(len),
            Some(open) => open.set_len(&self.std, len),
        }
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match &self.simulated {
            None => self.std.metadata(),
            Some(open) => open.metadata(&self.std),
        }
    }

    pub(super) fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        match &self.simulated {
            None => self.std.set_permissions(permissions),
            Some(open) => open.set_permissions(&self.std, permissions),
        }
    }

    pub(super) fn set_times(&self, times: FileTimes) -> io::Result<()> {
        match &self.simulated {
            None => self.std.set_times(times),
            Some(open) => open.set_times(&self.std, times),
        }
    }

    pub(super) fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.set_times(FileTimes::new().set_modified(time))
    }
}

impl Read for &Handle {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &self.simulated {
            None => (&self.std).read(buf),
            Some(open) => open.read(&self.std, buf),
        }
    }
}

impl Write for &Handle {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &self.simulated {
            None => (&self.std).write(buf),
            Some(open) => open.write(&self.std, buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // A file has no buffer of its own.
    }
}

impl Seek for &Handle {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        match &self.simulated {
            None => (&self.std).seek(position),
            Some(open) => open.seek(&self.std, position),
        }
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

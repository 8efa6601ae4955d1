//! The functions of `std::fs`, one line each, on the blocking pool.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use crate::blocking::run;

/// An owned path for a closure that runs elsewhere.
fn owned(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().to_owned()
}

/// The absolute path without symbolic links and `..`. As [`std::fs::canonicalize`].
///
/// # Errors
/// As the function of std.
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    run(move || fs::canonicalize(path)).await
}

/// Copies contents and permissions of a file, and answers with the number of bytes. As [`std::fs::copy`].
///
/// # Errors
/// As the function of std.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, io::Error> {
    let (from, to) = (owned(from), owned(to));
    run(move || fs::copy(from, to)).await
}

/// Makes a directory in one that exists. As [`std::fs::create_dir`].
///
/// # Errors
/// As the function of std.
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::create_dir(path)).await
}

/// Makes a directory and those above it that are missing. As [`std::fs::create_dir_all`].
///
/// # Errors
/// As the function of std.
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::create_dir_all(path)).await
}

/// Gives the file `original` a second name, `link`. As [`std::fs::hard_link`].
///
/// # Errors
/// As the function of std.
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    run(move || fs::hard_link(original, link)).await
}

/// What the system knows about the file, following symbolic links. As [`std::fs::metadata`].
///
/// # Errors
/// As the function of std.
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = owned(path);
    run(move || fs::metadata(path)).await
}

/// All bytes of a file. As [`std::fs::read`].
///
/// # Errors
/// As the function of std.
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = owned(path);
    run(move || fs::read(path)).await
}

/// Where a symbolic link leads. As [`std::fs::read_link`].
///
/// # Errors
/// As the function of std.
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    run(move || fs::read_link(path)).await
}

/// All text of a file. As [`std::fs::read_to_string`].
///
/// # Errors
/// As the function of std; [`InvalidData`](io::ErrorKind::InvalidData) if it is not UTF-8.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let path = owned(path);
    run(move || fs::read_to_string(path)).await
}

/// Removes a directory that is empty. As [`std::fs::remove_dir`].
///
/// # Errors
/// As the function of std.
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::remove_dir(path)).await
}

/// Removes a directory **and all that is in it**. As [`std::fs::remove_dir_all`].
///
/// # Errors
/// As the function of std.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::remove_dir_all(path)).await
}

/// Removes a file. As [`std::fs::remove_file`].
///
/// # Errors
/// As the function of std.
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::remove_file(path)).await
}

/// Renames a file or directory, replacing a file `to`. As [`std::fs::rename`].
///
/// # Errors
/// As the function of std.
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (owned(from), owned(to));
    run(move || fs::rename(from, to)).await
}

/// Changes the permissions of a file or directory. As [`std::fs::set_permissions`].
///
/// # Errors
/// As the function of std.
pub async fn set_permissions(path: impl AsRef<Path>, perm: Permissions) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::set_permissions(path, perm)).await
}

/// Makes a symbolic link `link` that leads to `original`. As [`std::os::unix::fs::symlink`].
///
/// # Errors
/// As the function of std.
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    run(move || std::os::unix::fs::symlink(original, link)).await
}

/// What the system knows about the file, or about the symbolic link itself. As [`std::fs::symlink_metadata`].
///
/// # Errors
/// As the function of std.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = owned(path);
    run(move || fs::symlink_metadata(path)).await
}

/// Whether there is something at the path, following symbolic links. As [`Path::try_exists`].
///
/// # Errors
/// If that cannot be found out.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = owned(path);
    run(move || path.try_exists()).await
}

/// Makes `contents` the contents of a file, which is created if need be. As [`std::fs::write`].
///
/// - `contents` is copied for the other thread.
/// - Not atomic: at a crash the file may have a part of it.
///
/// # Errors
/// As the function of std.
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let path = owned(path);
    let contents = contents.as_ref().to_owned();
    run(move || fs::write(path, contents)).await
}

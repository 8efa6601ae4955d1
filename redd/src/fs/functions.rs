//! The functions of `std::fs`, one line each, on the blocking pool.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use crate::blocking::run;

/// An owned path for a closure that runs elsewhere.
fn owned(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().to_owned()
}

/// Functions of paths: what each answers, and the one of std that it runs.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident($($path:ident),+) -> $Answer:ty = $of_std:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// As the function of std.
        pub async fn $name($($path: impl AsRef<Path>),+) -> io::Result<$Answer> {
            $(let $path = owned($path);)+
            run(move || ($of_std)($($path),+)).await
        }
    )*};
}

functions! {
    /// The absolute path without symbolic links and `..`. As [`std::fs::canonicalize`].
    canonicalize(path) -> PathBuf = fs::canonicalize;

    /// Copies contents and permissions of a file, and answers with the number of bytes. As [`std::fs::copy`].
    copy(from, to) -> u64 = fs::copy;

    /// Makes a directory in one that exists. As [`std::fs::create_dir`].
    create_dir(path) -> () = fs::create_dir;

    /// Makes a directory and those above it that are missing. As [`std::fs::create_dir_all`].
    create_dir_all(path) -> () = fs::create_dir_all;

    /// Gives the file `original` a second name, `link`. As [`std::fs::hard_link`].
    hard_link(original, link) -> () = fs::hard_link;

    /// What the system knows about the file, following symbolic links. As [`std::fs::metadata`].
    metadata(path) -> Metadata = fs::metadata;

    /// All bytes of a file. As [`std::fs::read`].
    read(path) -> Vec<u8> = fs::read;

    /// Where a symbolic link leads. As [`std::fs::read_link`].
    read_link(path) -> PathBuf = fs::read_link;

    /// All text of a file, which must be UTF-8. As [`std::fs::read_to_string`].
    read_to_string(path) -> String = fs::read_to_string;

    /// Removes a directory that is empty. As [`std::fs::remove_dir`].
    remove_dir(path) -> () = fs::remove_dir;

    /// Removes a directory **and all that is in it**. As [`std::fs::remove_dir_all`].
    remove_dir_all(path) -> () = fs::remove_dir_all;

    /// Removes a file. As [`std::fs::remove_file`].
    remove_file(path) -> () = fs::remove_file;

    /// Renames a file or directory, replacing a file `to`. As [`std::fs::rename`].
    rename(from, to) -> () = fs::rename;

    /// Makes a symbolic link `link` that leads to `original`. As [`std::os::unix::fs::symlink`].
    symlink(original, link) -> () = std::os::unix::fs::symlink;

    /// What the system knows about the file, or about the symbolic link itself. As [`std::fs::symlink_metadata`].
    symlink_metadata(path) -> Metadata = fs::symlink_metadata;

    /// Whether there is something at the path, following symbolic links. As [`Path::try_exists`].
    try_exists(path) -> bool = |path: PathBuf| path.try_exists();
}

/// Changes the permissions of a file or directory. As [`std::fs::set_permissions`].
///
/// # Errors
/// As the function of std.
pub async fn set_permissions(path: impl AsRef<Path>, perm: Permissions) -> io::Result<()> {
    let path = owned(path);
    run(move || fs::set_permissions(path, perm)).await
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

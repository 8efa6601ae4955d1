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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::block_on_runtime as block_on;
    use std::io::ErrorKind;

    #[test]
    fn files_are_written_read_linked_renamed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c"));
        block_on(async {
            write(&a, "salmon").await.unwrap();
            assert_eq!(copy(&a, &b).await.unwrap(), 6);
            assert_eq!(read(&b).await.unwrap(), b"salmon");
            assert_eq!(read_to_string(&b).await.unwrap(), "salmon");
            assert_eq!(metadata(&b).await.unwrap().len(), 6);
            rename(&b, &c).await.unwrap();
            assert!(!try_exists(&b).await.unwrap());
            hard_link(&c, &b).await.unwrap();
            remove_file(&c).await.unwrap();
            assert!(try_exists(&b).await.unwrap());
            symlink(&b, &c).await.unwrap();
            assert_eq!(read_link(&c).await.unwrap(), b);
            assert!(symlink_metadata(&c).await.unwrap().is_symlink());
            assert_eq!(canonicalize(&c).await.unwrap(), canonicalize(&b).await.unwrap());
            let mut permissions = metadata(&a).await.unwrap().permissions();
            permissions.set_readonly(true);
            set_permissions(&a, permissions).await.unwrap();
            assert!(metadata(&a).await.unwrap().permissions().readonly());
        });
    }

    #[test]
    fn directories_are_made_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("a"), dir.path().join("a/b/c"));
        block_on(async {
            assert_eq!(create_dir(&inner).await.unwrap_err().kind(), ErrorKind::NotFound);
            create_dir_all(&inner).await.unwrap();
            remove_dir(&inner).await.unwrap();
            remove_dir_all(&outer).await.unwrap();
            create_dir(&outer).await.unwrap();
        });
    }

    #[test]
    fn a_path_with_a_nul_byte_is_an_error() {
        let error = block_on(read("sal\0mon")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

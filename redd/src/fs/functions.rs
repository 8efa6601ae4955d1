//! The functions of `std::fs`, on the blocking pool, or at once where the kernel has all of it in its caches.
//!
//! Called by user code.

use crate::observe::waiting::located;
use std::fs::{Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use super::cached::{self, at_once_or_run};
use super::{operations, whole};
use crate::blocking::run;

/// Returns the absolute path without symbolic links, `.` and `..`.
///
/// - It runs [`std::fs::canonicalize`] on the blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound) if the path does not exist.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// redd::fs::create_dir(dir.path().join("eggs")).await?;
/// let path = redd::fs::canonicalize(dir.path().join("eggs/../eggs")).await?;
/// assert_eq!(path, dir.path().canonicalize()?.join("eggs"));
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn canonicalize(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::canonicalize(&path)).await
    })
}

/// Copies contents and permissions of a file to another file, and returns the number of bytes.
///
/// - It runs [`std::fs::copy`] on the blocking pool.
/// - It replaces the contents of an existing file `to`.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound) if `from` or the directory of `to` does not exist,
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied), and [`InvalidInput`](io::ErrorKind::InvalidInput) if `from`
/// is not a file.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let (from, to) = (dir.path().join("a"), dir.path().join("b"));
/// redd::fs::write(&from, "salmon").await?;
/// assert_eq!(redd::fs::copy(&from, &to).await?, 6);
/// assert_eq!(redd::fs::read(&to).await?, b"salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<u64>> {
    located(async move {
        let from = from.as_ref().to_owned();
        let to = to.as_ref().to_owned();
        run(move || operations::copy(&from, &to)).await
    })
}

/// Creates a directory. Its parent must exist; see [`create_dir_all`].
///
/// - It runs [`std::fs::create_dir`] on the blocking pool.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists), and [`NotFound`](io::ErrorKind::NotFound) if the parent does not
/// exist.
///
/// # Examples
/// ```
/// use redd::io::ErrorKind;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("eggs");
/// redd::fs::create_dir(&path).await?;
/// assert!(redd::fs::metadata(&path).await?.is_dir());
/// assert_eq!(redd::fs::create_dir(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn create_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::create_dir(&path, None, false)).await
    })
}

/// Creates a directory and its parents, as far as they do not exist.
///
/// - It runs [`std::fs::create_dir_all`] on the blocking pool.
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied), and an error if a part of the path is a file.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("river/gravel/eggs");
/// redd::fs::create_dir_all(&path).await?;
/// // It exists now, which is not an error.
/// redd::fs::create_dir_all(&path).await?;
/// assert!(redd::fs::metadata(&path).await?.is_dir());
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn create_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::create_dir(&path, None, true)).await
    })
}

/// Creates the hard link `link`: a second name of the file `original`.
///
/// - It runs [`std::fs::hard_link`] on the blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `link` exists, and
/// [`CrossesDevices`](io::ErrorKind::CrossesDevices) if it would be on another file system.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let (original, link) = (dir.path().join("a"), dir.path().join("b"));
/// redd::fs::write(&original, "salmon").await?;
/// redd::fs::hard_link(&original, &link).await?;
/// redd::fs::remove_file(&original).await?;
/// assert_eq!(redd::fs::read(&link).await?, b"salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let original = original.as_ref().to_owned();
        let link = link.as_ref().to_owned();
        run(move || operations::hard_link(&original, &link)).await
    })
}

/// Returns size, type, permissions and times of a file or directory. It follows symbolic links.
///
/// - It needs no thread if the kernel has the path in its caches. Otherwise it runs [`std::fs::metadata`] on the
///   blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), and [`PermissionDenied`](io::ErrorKind::PermissionDenied) for a directory on
/// the way.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// redd::fs::write(&path, "salmon").await?;
/// let metadata = redd::fs::metadata(&path).await?;
/// assert!(metadata.is_file());
/// assert_eq!(metadata.len(), 6);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> {
    located(at_once_or_run(path, |path| cached::metadata(path, true), operations::metadata))
}

/// Returns all bytes of a file.
///
/// - A file of up to 2 MiB that the kernel has in its page cache is read at once. Otherwise one thread of the blocking
///   pool reads the rest in one go, without the 2-MiB steps of a [`File`](super::File).
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), and
/// [`IsADirectory`](io::ErrorKind::IsADirectory).
///
/// # Examples
/// ```
/// use redd::io::ErrorKind;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// assert_eq!(redd::fs::read(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
/// redd::fs::write(&path, "salmon").await?;
/// assert_eq!(redd::fs::read(&path).await?, b"salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Vec<u8>>> {
    located(whole::read(path, Ok, operations::read))
}

/// Returns the target of a symbolic link.
///
/// - It runs [`std::fs::read_link`] on the blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), and [`InvalidInput`](io::ErrorKind::InvalidInput) if the path is not a
/// symbolic link.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let link = dir.path().join("link");
/// redd::fs::symlink("eggs", &link).await?;
/// assert_eq!(redd::fs::read_link(&link).await?.as_os_str(), "eggs");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn read_link(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::read_link(&path)).await
    })
}

/// Returns all text of a file.
///
/// - A file of up to 2 MiB that the kernel has in its page cache is read at once. Otherwise a thread of the blocking
///   pool reads the rest.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData) if the file is not UTF-8, [`NotFound`](io::ErrorKind::NotFound), and
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied).
///
/// # Examples
/// ```
/// use redd::io::ErrorKind;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// redd::fs::write(&path, "salmon").await?;
/// assert_eq!(redd::fs::read_to_string(&path).await?, "salmon");
/// redd::fs::write(&path, [0xff]).await?;
/// assert_eq!(redd::fs::read_to_string(&path).await.unwrap_err().kind(), ErrorKind::InvalidData);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> impl Future<Output = io::Result<String>> {
    located(whole::read(path, operations::into_text, operations::read_to_string))
}

/// Removes an empty directory.
///
/// - It runs [`std::fs::remove_dir`] on the blocking pool.
///
/// # Errors
/// [`DirectoryNotEmpty`](io::ErrorKind::DirectoryNotEmpty), and [`NotFound`](io::ErrorKind::NotFound).
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("eggs");
/// redd::fs::create_dir(&path).await?;
/// redd::fs::remove_dir(&path).await?;
/// assert!(!redd::fs::try_exists(&path).await?);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn remove_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::remove_dir(&path)).await
    })
}

/// Removes a directory **and everything in it**. It does not follow symbolic links.
///
/// - It runs [`std::fs::remove_dir_all`] on the blocking pool.
/// - Dropping the future does not stop it once it has started.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), and [`PermissionDenied`](io::ErrorKind::PermissionDenied): then a part of the
/// contents may be gone.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("river");
/// redd::fs::create_dir_all(path.join("gravel/eggs")).await?;
/// redd::fs::remove_dir_all(&path).await?;
/// assert!(!redd::fs::try_exists(&path).await?);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn remove_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::remove_dir_all(&path)).await
    })
}

/// Removes a file. If it is open, its contents stay until it is closed.
///
/// - It runs [`std::fs::remove_file`] on the blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), and an error for a
/// directory.
///
/// # Examples
/// ```
/// use redd::io::ErrorKind;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// redd::fs::write(&path, "salmon").await?;
/// redd::fs::remove_file(&path).await?;
/// assert_eq!(redd::fs::remove_file(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn remove_file(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::remove_file(&path)).await
    })
}

/// Renames a file or directory, and replaces an existing file `to`.
///
/// - It runs [`std::fs::rename`] on the blocking pool.
/// - It is atomic: another process sees the old file or the new one.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), and [`CrossesDevices`](io::ErrorKind::CrossesDevices) if the names are on two
/// file systems.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// // Replace a file so that no reader sees half of it.
/// let path = dir.path().join("config");
/// redd::fs::write(&path, "old").await?;
/// let new = dir.path().join("config.new");
/// redd::fs::write(&new, "new").await?;
/// redd::fs::rename(&new, &path).await?;
/// assert_eq!(redd::fs::read(&path).await?, b"new");
/// assert!(!redd::fs::try_exists(&new).await?);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let from = from.as_ref().to_owned();
        let to = to.as_ref().to_owned();
        run(move || operations::rename(&from, &to)).await
    })
}

/// Creates the symbolic link `link`, whose target is `original`. The target need not exist.
///
/// - It runs [`std::os::unix::fs::symlink`] on the blocking pool.
///
/// # Errors
/// [`AlreadyExists`](io::ErrorKind::AlreadyExists) if `link` exists, and [`NotFound`](io::ErrorKind::NotFound) if its
/// directory does not.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let link = dir.path().join("latest");
/// redd::fs::write(dir.path().join("1.txt"), "salmon").await?;
/// redd::fs::symlink("1.txt", &link).await?;
/// assert_eq!(redd::fs::read(&link).await?, b"salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let original = original.as_ref().to_owned();
        let link = link.as_ref().to_owned();
        run(move || operations::symlink(&original, &link)).await
    })
}

/// Returns the metadata of a file or directory, or of a symbolic link itself.
///
/// - It needs no thread if the kernel has the path in its caches. Otherwise it runs [`std::fs::symlink_metadata`] on the
///   blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), and [`PermissionDenied`](io::ErrorKind::PermissionDenied) for a directory on
/// the way.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let link = dir.path().join("link");
/// redd::fs::symlink("no such file", &link).await?;
/// assert!(redd::fs::symlink_metadata(&link).await?.is_symlink());
/// assert!(redd::fs::metadata(&link).await.is_err());
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn symlink_metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> {
    located(at_once_or_run(path, |path| cached::metadata(path, false), operations::symlink_metadata))
}

/// Returns whether the path exists. It follows symbolic links.
///
/// - It needs no thread if the kernel has the path in its caches. Otherwise it runs [`Path::try_exists`] on the blocking
///   pool.
/// - The answer may be out of date when it arrives. To create a file only if there is none, use
///   [`create_new`](super::OpenOptions::create_new).
///
/// # Errors
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied) for a directory on the way: then it is unknown.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// assert!(!redd::fs::try_exists(&path).await?);
/// redd::fs::write(&path, "").await?;
/// assert!(redd::fs::try_exists(&path).await?);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn try_exists(path: impl AsRef<Path>) -> impl Future<Output = io::Result<bool>> {
    located(at_once_or_run(path, cached::try_exists, operations::try_exists))
}

/// Changes the permissions of a file or directory. It follows symbolic links.
///
/// - It runs [`std::fs::set_permissions`] on the blocking pool.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), and [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the file has
/// another owner.
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// redd::fs::write(&path, "salmon").await?;
/// let mut permissions = redd::fs::metadata(&path).await?.permissions();
/// permissions.set_readonly(true);
/// redd::fs::set_permissions(&path, permissions).await?;
/// assert!(redd::fs::metadata(&path).await?.permissions().readonly());
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn set_permissions(path: impl AsRef<Path>, perm: Permissions) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        run(move || operations::set_permissions(&path, perm)).await
    })
}

/// Replaces the contents of a file, which is created if it does not exist.
///
/// - It runs [`std::fs::write`] on the blocking pool.
/// - It copies `contents` for the thread that writes them.
/// - It is not atomic: after a crash the file may have a part of it. Write another file and [`rename`] it if that
///   matters.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound) if the directory does not exist,
/// [`PermissionDenied`](io::ErrorKind::PermissionDenied), and [`StorageFull`](io::ErrorKind::StorageFull).
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("a");
/// redd::fs::write(&path, "salmon").await?;
/// redd::fs::write(&path, "redd").await?;
/// assert_eq!(redd::fs::read(&path).await?, b"redd");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> impl Future<Output = io::Result<()>> {
    located(async move {
        let path = path.as_ref().to_owned();
        let contents = contents.as_ref().to_owned();
        run(move || operations::write(&path, &contents)).await
    })
}

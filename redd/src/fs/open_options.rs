//! Opening files: `OpenOptions`, and the functions of `File` that open one.
//!
//! Called by user code. These functions of `File` are here and not in `file`, which need not know the options.

use crate::observe::waiting::located;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::{fmt, io};

use super::cached::{self, Later, at_once_or_run};
use super::{File, operations};

/// How to open a file; the options are those of [`std::fs::OpenOptions`].
///
/// - [`File::open`], [`File::create`] and [`File::create_new`] cover the usual combinations.
///
/// # Examples
/// ```
/// use redd::fs::OpenOptions;
/// use redd::io::AsyncWriteExt;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("log");
/// for line in ["redd\n", "salmon\n"] {
///     let mut log = OpenOptions::new().append(true).create(true).open(&path).await?;
///     log.write_all(line.as_bytes()).await?;
///     log.flush().await?;
/// }
/// assert_eq!(redd::fs::read(&path).await?, b"redd\nsalmon\n");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct OpenOptions {
    std: std::fs::OpenOptions,
    access: Access,
}

/// What std's options do not return: how the file is opened, as far as that can be done at once.
#[derive(Clone, Copy, Default)]
struct Access {
    reads: bool,
    writes: bool,
    appends: bool,
    custom_flags: libc::c_int,
    /// Each of these changes the file or the directory, so it may wait.
    truncates: bool,
    creates: bool,
    creates_new: bool,
    /// The options come from std, which does not show them.
    is_unknown: bool,
}

impl Access {
    /// The flags of the system call, if the kernel may have all that is needed in its caches.
    fn flags(self) -> Option<libc::c_int> {
        // Not `O_DIRECT`: its reads pass the page cache. Not `O_PATH` or `O_DIRECTORY`: such files are not read.
        const HARMLESS: libc::c_int = libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NOATIME | libc::O_NOCTTY;
        let custom = self.custom_flags & !libc::O_ACCMODE; // As std: the mode is not custom.
        if self.truncates || self.creates || self.creates_new || self.is_unknown || custom & !HARMLESS != 0 {
            return None;
        }
        let access = match (self.reads, self.writes, self.appends) {
            (true, false, false) => libc::O_RDONLY,
            (false, true, false) => libc::O_WRONLY,
            (true, true, false) => libc::O_RDWR,
            (false, _, true) => libc::O_WRONLY | libc::O_APPEND,
            (true, _, true) => libc::O_RDWR | libc::O_APPEND,
            (false, false, false) => return None, // std reports the error.
        };
        Some(access | custom)
    }
}

impl OpenOptions {
    /// Creates a value in which all options are off.
    pub fn new() -> OpenOptions {
        OpenOptions { std: std::fs::OpenOptions::new(), access: Access::default() }
    }

    /// Sets whether the file can be read.
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.std.read(read);
        self.access.reads = read;
        self
    }

    /// Sets whether the file can be written. An existing file keeps its contents; see [`truncate`](Self::truncate).
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.std.write(write);
        self.access.writes = write;
        self
    }

    /// Sets whether each write goes to the end. Writes of several processes do not overwrite each other.
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.std.append(append);
        self.access.appends = append;
        self
    }

    /// Sets whether an existing file is emptied. It needs [`write`](Self::write).
    ///
    /// # Examples
    /// ```
    /// use redd::fs::OpenOptions;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a");
    /// redd::fs::write(&path, "salmon").await?;
    /// let mut file = OpenOptions::new().write(true).truncate(true).open(&path).await?;
    /// file.write_all(b"redd").await?;
    /// file.flush().await?;
    /// assert_eq!(redd::fs::read(&path).await?, b"redd");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.std.truncate(truncate);
        self.access.truncates = truncate;
        self
    }

    /// Sets whether a missing file is created. It needs [`write`](Self::write) or [`append`](Self::append).
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.std.create(create);
        self.access.creates = create;
        self
    }

    /// Sets whether the file must be created: opening an existing one fails.
    ///
    /// - The check and the creation are one step, so of several processes exactly one succeeds.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::OpenOptions;
    /// use redd::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("lock");
    /// let mut options = OpenOptions::new();
    /// options.write(true).create_new(true);
    /// let _lock = options.open(&path).await?;
    /// assert_eq!(options.open(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.std.create_new(create_new);
        self.access.creates_new = create_new;
        self
    }

    /// Sets the permissions of a file that is created, before the process's umask. The default is 0o666.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::OpenOptions;
    /// use std::os::unix::fs::PermissionsExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let mut options = OpenOptions::new();
    /// options.write(true).create_new(true).mode(0o600);
    /// let secret = options.open(dir.path().join("secret")).await?;
    /// assert_eq!(secret.metadata().await?.permissions().mode() & 0o077, 0);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn mode(&mut self, mode: u32) -> &mut OpenOptions {
        self.std.mode(mode);
        self
    }

    /// Sets more flags of the system call, such as `O_NOFOLLOW`.
    pub fn custom_flags(&mut self, custom_flags: i32) -> &mut OpenOptions {
        self.std.custom_flags(custom_flags);
        self.access.custom_flags = custom_flags;
        self
    }

    /// Opens the file.
    ///
    /// - It needs no thread for an existing regular file whose path the kernel has in its caches, if the options neither
    ///   create nor truncate. Otherwise a thread of the blocking pool opens it.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop it once it has started: the file may still be created or emptied.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), and
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists) with `create_new`. [`InvalidInput`](io::ErrorKind::InvalidInput)
    /// for options that contradict each other, and for a path with a NUL byte.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::OpenOptions;
    /// use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let mut options = OpenOptions::new();
    /// options.read(true).write(true).create(true);
    /// let mut file = options.open(dir.path().join("a")).await?;
    /// file.write_all(b"salmon").await?;
    /// file.rewind().await?;
    /// let mut text = String::new();
    /// file.read_to_string(&mut text).await?;
    /// assert_eq!(text, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        located(async move {
            let options = self.std.clone();
            let now = |path: &Path| self.access.flags().map_or(Err(Later::NOTHING), |flags| cached::open(path, flags));
            at_once_or_run(path, now, move |path| operations::open(path, &options)).await.map(File::new)
        })
    }
}

// As if it only wrapped the options of std.
impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenOptions").field(&self.std).finish()
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> Self {
        OpenOptions { std: options, access: Access { is_unknown: true, ..Access::default() } }
    }
}

/// Opening a file.
impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound), and [`PermissionDenied`](io::ErrorKind::PermissionDenied). A directory
    /// can be opened, but not read.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::{AsyncBufReadExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("names");
    /// redd::fs::write(&path, "redd\nsalmon\n").await?;
    ///
    /// let mut lines = BufReader::new(File::open(&path).await?).lines();
    /// let mut longest = 0;
    /// while let Some(line) = lines.next_line().await? {
    ///     longest = longest.max(line.len());
    /// }
    /// assert_eq!(longest, 6);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        located(async move { OpenOptions::new().read(true).open(path).await })
    }

    /// Opens a file for writing; it is created, or emptied if it exists.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the directory does not exist,
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied), and [`IsADirectory`](io::ErrorKind::IsADirectory).
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a");
    /// let mut file = File::create(&path).await?;
    /// file.write_all(b"salmon").await?;
    /// // Reports whether the write has succeeded.
    /// file.flush().await?;
    /// assert_eq!(redd::fs::read(&path).await?, b"salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> impl Future<Output = io::Result<File>> {
        located(async move {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            options.open(path).await
        })
    }

    /// Creates a file for reading and writing. The file must not exist.
    ///
    /// # Errors
    /// [`AlreadyExists`](io::ErrorKind::AlreadyExists), [`NotFound`](io::ErrorKind::NotFound) if the directory does not
    /// exist, and [`PermissionDenied`](io::ErrorKind::PermissionDenied).
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a");
    /// assert!(File::create_new(&path).await.is_ok());
    /// assert_eq!(File::create_new(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn create_new<P: AsRef<Path>>(path: P) -> impl Future<Output = io::Result<File>> {
        located(async move {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            options.open(path).await
        })
    }

    /// Returns options for opening a file, all of them off.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("count");
    /// redd::fs::write(&path, "1").await?;
    /// let mut file = File::options().read(true).append(true).open(&path).await?;
    /// file.write_all(b"2").await?;
    /// file.flush().await?;
    /// assert_eq!(redd::fs::read(&path).await?, b"12");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }
}

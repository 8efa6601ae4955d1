//! Directories: creating them, and reading their entries in batches.
//!
//! Called by user code.
//!
//! # Invariants
//! - `one-batch`: `listing` is `None` exactly while a batch is read. The call owns it then, and returns it.

use crate::observe::waiting::located;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::future::{Future, poll_fn};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::operations::{self, Entries, Entry};
use crate::blocking::run;

/// Number of entries in a batch; as many as in Tokio.
const ENTRIES_PER_BATCH: usize = 32;

/// Opens a directory to read its entries.
///
/// # Errors
/// [`NotFound`](io::ErrorKind::NotFound), [`PermissionDenied`](io::ErrorKind::PermissionDenied), and
/// [`NotADirectory`](io::ErrorKind::NotADirectory).
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// redd::fs::write(dir.path().join("redd"), "").await?;
/// redd::fs::write(dir.path().join("salmon"), "").await?;
///
/// let mut names = Vec::new();
/// let mut entries = redd::fs::read_dir(dir.path()).await?;
/// while let Some(entry) = entries.next_entry().await? {
///     names.push(entry.file_name());
/// }
/// names.sort();
/// assert_eq!(names, ["redd", "salmon"]);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn read_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<ReadDir>> {
    located(async move {
        let path = path.as_ref().to_owned();
        let listing = run(move || {
            let mut listing = Listing { entries: VecDeque::new(), rest: Some(operations::read_dir(&path)?) };
            listing.read_batch();
            Ok(listing)
        })
        .await?;
        Ok(ReadDir { listing: Some(listing), call: None })
    })
}

/// The entries of a directory, in no particular order. Made by [`read_dir`].
///
/// - It reads batches of 32 entries on the blocking pool, so most entries need no trip to another thread.
#[must_use = "entries are read only when they are requested"]
pub struct ReadDir {
    /// `one-batch`
    listing: Option<Listing>,
    call: Option<Pin<Box<dyn Future<Output = io::Result<Listing>> + Send + Sync>>>,
}

debug_struct!([] ReadDir as "ReadDir", self => {
    buffered_entries: self.listing.as_ref().map_or(0, |listing| listing.entries.len()),
    is_reading: self.call.is_some(),
    ..
});

/// The entries that were read, and the iterator of the rest; `None` after the last.
#[derive(Debug)]
struct Listing {
    entries: VecDeque<io::Result<DirEntry>>,
    rest: Option<Entries>,
}

impl Listing {
    fn read_batch(&mut self) {
        let Some(rest) = &mut self.rest else { return };
        while self.entries.len() < ENTRIES_PER_BATCH {
            match rest.next() {
                Some(Ok(entry)) => self.entries.push_back(Ok(DirEntry::new(entry))),
                Some(Err(error)) => {
                    self.entries.push_back(Err(error));
                    return;
                }
                None => {
                    self.rest = None;
                    return;
                }
            }
        }
    }
}

impl ReadDir {
    /// Returns the next entry, or `None` after the last.
    ///
    /// - The entries `.` and `..` are left out.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// The errors of the file system; call it again to continue.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// redd::fs::create_dir(dir.path().join("eggs")).await?;
    /// let mut entries = redd::fs::read_dir(dir.path()).await?;
    /// let entry = entries.next_entry().await?.expect("the directory has one entry");
    /// assert_eq!(entry.path(), dir.path().join("eggs"));
    /// assert!(entry.file_type().await?.is_dir());
    /// assert!(entries.next_entry().await?.is_none());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn next_entry(&mut self) -> impl Future<Output = io::Result<Option<DirEntry>>> {
        located(async move { poll_fn(|cx| self.poll_next_entry(cx)).await })
    }

    /// Polls for the next entry, as [`next_entry`](Self::next_entry) does.
    ///
    /// # Errors
    /// As `next_entry`.
    #[track_caller]
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            if let Some(call) = &mut self.call {
                let result = ready!(call.as_mut().poll(cx));
                self.call = None;
                match result {
                    Ok(listing) => self.listing = Some(listing),
                    Err(error) => {
                        // `one-batch`: the listing is lost with the runtime, so the rest reads as the end.
                        self.listing = Some(Listing { entries: VecDeque::new(), rest: None });
                        return Poll::Ready(Err(error));
                    }
                }
            }
            let Some(listing) = &mut self.listing else {
                unreachable!("`one-batch`: without a call the listing is present")
            };
            if let Some(entry) = listing.entries.pop_front() {
                return Poll::Ready(entry.map(Some));
            }
            if listing.rest.is_none() {
                return Poll::Ready(Ok(None));
            }
            if let Some(mut listing) = self.listing.take() {
                self.call = Some(Box::pin(run(move || {
                    listing.read_batch();
                    Ok(listing)
                })));
            }
        }
    }
}

/// An entry of a directory. Made by [`ReadDir::next_entry`].
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// /// Returns the size of all files in a directory and below it, in bytes.
/// async fn disk_usage(path: std::path::PathBuf) -> redd::io::Result<u64> {
///     let mut total = 0;
///     let mut entries = redd::fs::read_dir(path).await?;
///     while let Some(entry) = entries.next_entry().await? {
///         total += if entry.file_type().await?.is_dir() {
///             Box::pin(disk_usage(entry.path())).await?
///         } else {
///             entry.metadata().await?.len()
///         };
///     }
///     Ok(total)
/// }
///
/// let dir = tempfile::tempdir()?;
/// redd::fs::write(dir.path().join("a"), "redd").await?;
/// redd::fs::create_dir(dir.path().join("b")).await?;
/// redd::fs::write(dir.path().join("b/c"), "salmon").await?;
/// assert_eq!(disk_usage(dir.path().to_owned()).await?, 10);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub struct DirEntry {
    entry: Arc<Entry>,
    /// Known already, where the file system returns it with the entry.
    file_type: Option<FileType>,
}

debug_struct!([] DirEntry as "DirEntry", self => { path: self.path(), file_type: self.file_type });

impl DirEntry {
    /// Called on the blocking pool.
    fn new(entry: Entry) -> Self {
        Self { file_type: entry.file_type().ok(), entry: Arc::new(entry) }
    }

    /// Returns the path that was passed to [`read_dir`], joined with the name.
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// Returns the name in the directory.
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// Returns the metadata of the file, or of the symbolic link itself.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the file was removed meanwhile.
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> {
        located(async move {
            let entry = Arc::clone(&self.entry);
            run(move || entry.metadata()).await
        })
    }

    /// Returns whether it is a file, a directory or something else. It does not follow symbolic links.
    ///
    /// - It usually needs no system call: most file systems return the type with the entry.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if the file was removed meanwhile.
    #[track_caller]
    pub fn file_type(&self) -> impl Future<Output = io::Result<FileType>> {
        located(async move {
            if let Some(file_type) = self.file_type {
                return Ok(file_type);
            }
            let entry = Arc::clone(&self.entry);
            run(move || entry.file_type()).await
        })
    }

    /// Returns the inode number.
    pub fn ino(&self) -> u64 {
        self.entry.ino()
    }
}

/// How to create a directory; the options are those of [`std::fs::DirBuilder`].
///
/// # Examples
/// ```
/// use redd::fs::DirBuilder;
/// use std::os::unix::fs::PermissionsExt;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("keys/private");
/// DirBuilder::new().recursive(true).mode(0o700).create(&path).await?;
/// let mode = redd::fs::metadata(&path).await?.permissions().mode();
/// assert_eq!(mode & 0o077, 0);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct DirBuilder {
    is_recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// Creates a value for one directory, in an existing parent.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether missing parents are created too. Then an existing directory is not an error.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.is_recursive = recursive;
        self
    }

    /// Sets the permissions, before the process's umask. The default is 0o777.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = Some(mode);
        self
    }

    /// Creates the directory.
    ///
    /// # Errors
    /// Without [`recursive`](Self::recursive), [`AlreadyExists`](io::ErrorKind::AlreadyExists), and
    /// [`NotFound`](io::ErrorKind::NotFound) if the parent does not exist.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::DirBuilder;
    /// use redd::io::ErrorKind;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("gravel/eggs");
    /// let mut builder = DirBuilder::new();
    /// assert_eq!(builder.create(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
    /// builder.recursive(true);
    /// builder.create(&path).await?;
    /// builder.create(&path).await?;
    /// assert!(redd::fs::metadata(&path).await?.is_dir());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn create(&self, path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> {
        located(async move {
            let path = path.as_ref().to_owned();
            let (mode, is_recursive) = (self.mode, self.is_recursive);
            run(move || operations::create_dir(&path, mode, is_recursive)).await
        })
    }
}

//! Directories: making them, and walking through their entries in batches.
//!
//! # Invariants
//! - `one-batch`: `listing` is `None` exactly while a batch is being read; the call has it and brings it back.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{FileType, Metadata};
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::blocking::run;

/// Entries read in one go. The figure is Tokio's.
const ENTRIES_PER_BATCH: usize = 32;

/// Opens a directory to walk through its entries.
///
/// # Errors
/// As [`std::fs::read_dir`].
///
/// # Examples
/// ```
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut entries = redd::fs::read_dir(".").await?;
/// while let Some(entry) = entries.next_entry().await? {
///     assert!(!entry.file_name().is_empty());
/// }
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let listing = run(move || {
        let mut listing = Listing { entries: VecDeque::new(), rest: Some(std::fs::read_dir(path)?) };
        listing.read_batch();
        Ok(listing)
    })
    .await?;
    Ok(ReadDir { listing: Some(listing), call: None })
}

/// The entries of a directory, in no particular order. Made by [`read_dir`].
///
/// - Entries are read in batches of 32, so most of them cost no way to another thread.
#[must_use = "entries are read only when they are asked for"]
pub struct ReadDir {
    /// `one-batch`
    listing: Option<Listing>,
    call: Option<Pin<Box<dyn Future<Output = io::Result<Listing>> + Send + Sync>>>,
}

debug_struct!([] ReadDir as "ReadDir", self => { listing: self.listing, .. });

/// Entries that were read, and the stream of those that were not; `None` behind the last.
#[derive(Debug)]
struct Listing {
    entries: VecDeque<io::Result<DirEntry>>,
    rest: Option<std::fs::ReadDir>,
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
    /// The next entry; `None` behind the last.
    ///
    /// # Cancel safety
    /// Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// What the system reports; calling again goes on.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// As [`next_entry`](Self::next_entry), to be polled.
    ///
    /// # Errors
    /// As `next_entry`.
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        loop {
            if let Some(call) = &mut self.call {
                let result = ready!(call.as_mut().poll(cx));
                self.call = None;
                match result {
                    Ok(listing) => self.listing = Some(listing),
                    Err(error) => {
                        // `one-batch`: the listing is lost with the runtime; what is left reads as the end.
                        self.listing = Some(Listing { entries: VecDeque::new(), rest: None });
                        return Poll::Ready(Err(error));
                    }
                }
            }
            let Some(listing) = &mut self.listing else {
                unreachable!("`one-batch`: without a call the listing is here")
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
#[derive(Debug)]
pub struct DirEntry {
    std: Arc<std::fs::DirEntry>,
    /// Most systems tell it with the entry.
    file_type: Option<FileType>,
}

impl DirEntry {
    /// Called on the blocking pool.
    fn new(entry: std::fs::DirEntry) -> Self {
        Self { file_type: entry.file_type().ok(), std: Arc::new(entry) }
    }

    /// The path: that given to [`read_dir`], and the name.
    pub fn path(&self) -> PathBuf {
        self.std.path()
    }

    /// The name in the directory.
    pub fn file_name(&self) -> OsString {
        self.std.file_name()
    }

    /// What the system knows about the file, or about the symbolic link itself.
    ///
    /// # Errors
    /// As [`std::fs::DirEntry::metadata`].
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let entry = Arc::clone(&self.std);
        run(move || entry.metadata()).await
    }

    /// Whether it is a file, a directory or something else; symbolic links are not followed.
    ///
    /// # Errors
    /// As [`std::fs::DirEntry::file_type`].
    pub async fn file_type(&self) -> io::Result<FileType> {
        if let Some(file_type) = self.file_type {
            return Ok(file_type);
        }
        let entry = Arc::clone(&self.std);
        run(move || entry.file_type()).await
    }

    /// The number of the inode.
    pub fn ino(&self) -> u64 {
        self.std.ino()
    }
}

/// How a directory is made; the options are those of [`std::fs::DirBuilder`].
#[derive(Debug, Default)]
pub struct DirBuilder {
    is_recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// One directory, in one that exists.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether directories above it that are missing are made too; then one that exists is no error.
    pub fn recursive(&mut self, recursive: bool) -> &mut Self {
        self.is_recursive = recursive;
        self
    }

    /// The permissions, before the process's mask (0o777 unless set).
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = Some(mode);
        self
    }

    /// Makes the directory.
    ///
    /// # Errors
    /// As [`std::fs::DirBuilder::create`].
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref().to_owned();
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(self.is_recursive);
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        run(move || builder.create(path)).await
    }
}

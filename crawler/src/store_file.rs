//! The file of a store: where it lies, that one process uses it at a time, and that a new one appears whole.
//!
//! Called by `store` and `cache`, on a blocking thread.
//!
//! # Invariants
//! - `locked-inode`: a process that uses a store holds the lock of the file that has the store's name. A lock ends with its process.
//! - `whole-store`: a new store is made beside its place and renamed to it. So a `kill -9` during that leaves no half of one.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use redb::backends::FileBackend;
use redb::{Database, StorageBackend};
use sha2::{Digest as _, Sha256};

/// How a file of the database begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// The memory for pages of the database. Records are written once and read once, so a cache is of little use.
const CACHE: usize = 8 << 20;

/// Where the store of a crawl is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorePlace {
    /// Without a store, the crawl cannot be continued.
    Off,
    /// In the user's state directory, under a name that follows from the starts and settings.
    Automatic,
    /// `--store`
    File(PathBuf),
}

/// Why a store cannot be used.
#[derive(Debug)]
pub(crate) enum StoreError {
    InUse,
    /// It was made by another version, or for another crawl: in which way.
    Other(String),
    Damaged(String),
    /// It is a file of another kind. The user may need it.
    Foreign,
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            return Self::InUse;
        }
        if let redb::Error::Io(error) = error {
            // What the database says of files that are not its own, or are cut short.
            let is_damage = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
            return if is_damage { Self::Damaged(error.to_string()) } else { Self::Io(error) };
        }
        Self::Damaged(error.to_string())
    }
}

/// The errors of the database are large, and there is one for each kind of call.
macro_rules! from_errors_of_calls {
    ($($error:ty),*) => {
        $(impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_errors_of_calls!(
    redb::CommitError,
    redb::DatabaseError,
    redb::StorageError,
    redb::TableError,
    redb::TransactionError
);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("it is in use by another redd-crawl"),
            Self::Other(why) => write!(f, "it cannot be continued: {why}"),
            Self::Damaged(why) => write!(f, "it is damaged: {why}"),
            Self::Foreign => f.write_str("it is no store of redd-crawl"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// The path of the store that belongs to `identity`. None if the environment names no state directory.
pub(crate) fn automatic_path(identity: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let states = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let hash = Sha256::digest(identity);
    let name: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(states.join("redd-crawl").join(name).with_extension("redb"))
}

/// Makes the folder of the automatic stores. The addresses of a crawl may be private.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

/// Opens the store at `path`. Returns None if there is none.
///
/// # Errors
/// If it is used by another process, damaged, or cannot be read.
pub(crate) fn open(path: &Path) -> Result<Option<(Database, FileId)>, StoreError> {
    loop {
        let file = match open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let backend = Unsynced(FileBackend::new(file.try_clone()?)?);
        // `locked-inode`
        if !is_at(&file, path)? {
            continue;
        }
        check_magic(&file)?;
        return Ok(Some((database(backend)?, FileId::of(&file)?)));
    }
}

/// Makes a new store at `path`, with what `fill` writes. A store that is there is replaced.
///
/// # Errors
/// If the store that is there is used by another process or is no store at all, or if the disk is full.
pub(crate) fn create(
    path: &Path,
    fill: impl FnOnce(&Database) -> Result<(), StoreError>,
) -> Result<(Database, FileId), StoreError> {
    // What is replaced stays locked meanwhile.
    let _old = match open_file(path) {
        Ok(file) => {
            check_magic(&file)?;
            Some(FileBackend::new(file)?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&part)?;
    let backend = FileBackend::new(file.try_clone()?)?;
    // Another process was faster, and its store has this place by now.
    if !is_at(&file, &part)? {
        return Err(StoreError::InUse);
    }
    let made = backend.set_len(0).map_err(StoreError::from).and_then(|()| {
        let database = database(Unsynced(backend))?;
        fill(&database)?;
        // `whole-store`
        std::fs::rename(&part, path)?;
        Ok((database, FileId::of(&file)?))
    });
    if made.is_err() {
        drop(std::fs::remove_file(&part));
    }
    made
}

fn database(backend: Unsynced) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).create_with_file_format_v3(true);
    // A file that is damaged may make it panic.
    let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| builder.create_with_backend(backend)));
    match opened {
        Ok(opened) => Ok(opened?),
        Err(_panic) => Err(StoreError::Damaged("the database cannot read it, see above".to_owned())),
    }
}

/// Whether `path` leads to this file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    FileId::of(file)?.is_at(path)
}

/// Tells a file from all others, for as long as it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId(u64, u64);

impl FileId {
    fn of(file: &File) -> io::Result<Self> {
        let ours = file.metadata()?;
        Ok(Self(ours.dev(), ours.ino()))
    }

    /// Whether `path` leads to this file.
    pub(crate) fn is_at(self, path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            Ok(there) => Ok(self == Self(there.dev(), there.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Opens what is at `path`. Anything but a file is refused: a read of a pipe or a terminal could wait forever.
fn open_file(path: &Path) -> io::Result<File> {
    // Before it is opened, because that may have an effect on a device.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    OpenOptions::new().read(true).write(true).open(path)
}

/// The time that a file of a database keeps: seconds since 1970, so that later runs can read it.
#[expect(clippy::disallowed_methods, reason = "it goes over runs, and people read it: it is a time of the wall clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

fn check_magic(mut file: &File) -> Result<(), StoreError> {
    let mut start = [0; MAGIC.len()];
    match file.read_exact(&mut start) {
        Ok(()) if start == MAGIC => Ok(()),
        Ok(()) => Err(StoreError::Foreign),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(StoreError::Foreign),
        Err(error) => Err(error.into()),
    }
}

/// A file whose writes are left to the system: they survive the end of the process, and not a power failure.
///
/// # Why not otherwise
/// A crawl would wait for the disk at each transaction. After a power failure the store may be damaged, which is noticed.
#[derive(Debug)]
struct Unsynced(FileBackend);

impl StorageBackend for Unsynced {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.0.read(offset, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

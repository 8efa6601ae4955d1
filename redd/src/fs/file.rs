//! `File`: an open file, with the traits of `io`.
//!
//! Called by programs. How operations run one at a time on the blocking pool stands in `io::background`.
//!
//! # Invariants
//! - `position-follows`: the system's position is that of the task plus what was read ahead; every operation that uses
//!   the position first takes back what was read ahead.

#![expect(unsafe_code, reason = "files can be made of raw descriptors")]

use std::fs::{File as StdFile, Metadata, Permissions};
use std::future::poll_fn;
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use super::{FileTimes, OpenOptions};
use crate::blocking::run;
use crate::io::background::{Background, Buffer, MAX_OPERATION_BYTES, OperationKind, background_failed};
use crate::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};
use crate::observe::waiting::WaitKind;
use crate::primitives::{Arc, Mutex};

/// An open file.
///
/// - A write is ready once its bytes are taken over; they are written in the background, in order. **Its error is
///   reported by the next write, flush, shutdown or sync**: flush before you rely on it.
/// - Dropping the file lets a write that was taken over end, also at the shutdown of the runtime, but nobody hears of
///   its error.
/// - Each operation moves at most 2 MiB ([`set_max_buf_size`](Self::set_max_buf_size)) and costs the way to a thread of
///   the blocking pool: use [`BufReader`](crate::io::BufReader) and [`BufWriter`](crate::io::BufWriter) for small
///   ones.
///
/// # Examples
/// ```
/// use redd::fs::File;
/// use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let path = std::env::temp_dir().join("redd-file-example");
/// let mut file = File::options().read(true).write(true).create(true).open(&path).await?;
/// file.write_all(b"salmon").await?;
/// file.rewind().await?;
/// let mut text = String::new();
/// file.read_to_string(&mut text).await?;
/// assert_eq!(text, "salmon");
/// redd::fs::remove_file(&path).await?;
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub struct File {
    std: Arc<StdFile>,
    background: Background,
    max_bytes: usize,
}

/// Operations with the names of std's: what each answers, and how.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($self:ident $(, $argument:ident: $T:ty)?) -> $Answer:ty = $result:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        #[doc = concat!("As [`std::fs::File::", stringify!($name), "`].")]
        pub async fn $name(&$self $(, $argument: $T)?) -> io::Result<$Answer> {
            $result
        }
    )*};
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// As [`std::fs::File::open`].
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Opens a file for writing; it is created, or emptied if it exists.
    ///
    /// # Errors
    /// As [`std::fs::File::create`].
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Creates a file for reading and writing.
    ///
    /// # Errors
    /// As [`std::fs::File::create_new`]; also if the file exists.
    pub async fn create_new<P: AsRef<Path>>(path: P) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options.open(path).await
    }

    /// All options, off.
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Makes a file of one of std.
    pub fn from_std(std: StdFile) -> File {
        File { std: Arc::new(std), background: Background::new(), max_bytes: MAX_OPERATION_BYTES }
    }

    operations! {
        /// Waits until everything has reached the disk, contents and metadata. Reports the error of a write before it.
        sync_all(self) -> () = {
            self.take_write_error().await?;
            self.run_exclusive(|file, _| file.sync_all()).await
        };

        /// Waits until the contents have reached the disk. Reports the error of a write before it.
        sync_data(self) -> () = {
            self.take_write_error().await?;
            self.run_exclusive(|file, _| file.sync_data()).await
        };

        /// Cuts the file, or extends it with zeros; the position stays.
        set_len(self, size: u64) -> () = {
            let set_len = move |file: &StdFile, buffer: &mut Buffer| {
                rewind_read_ahead(file, buffer)?;
                file.set_len(size)
            };
            self.run_exclusive(set_len).await
        };

        /// What the system knows about the file. A write that is still on its way may not show.
        metadata(self) -> Metadata = self.run_concurrently(StdFile::metadata).await;

        /// Changes the permissions.
        set_permissions(self, perm: Permissions) -> () = self.run_concurrently(move |file| file.set_permissions(perm)).await;

        /// Changes the times of the last read and change, after the operation at work.
        set_times(self, times: FileTimes) -> ()
            = self.run_exclusive(move |file, _| file.set_times(times.into_std())).await;

        /// Changes the time of the last change, after the operation at work.
        set_modified(self, time: SystemTime) -> () = self.run_exclusive(move |file, _| file.set_modified(time)).await;
    }

    /// A second handle to the same file; both share the position.
    ///
    /// # Errors
    /// As [`std::fs::File::try_clone`].
    pub async fn try_clone(&self) -> io::Result<File> {
        self.wait_idle().await;
        let mut clone = File::from_std(self.run_concurrently(StdFile::try_clone).await?);
        clone.max_bytes = self.max_bytes;
        Ok(clone)
    }

    /// The file of std, once the operation at work has ended.
    ///
    /// - The error of a write before it is lost: flush first.
    ///
    /// # Panics
    /// If another operation on the file goes on although its future was dropped, and the system refuses a second
    /// handle.
    pub async fn into_std(self) -> StdFile {
        self.wait_idle().await;
        match Arc::try_unwrap(self.std) {
            Ok(std) => std,
            // Say, a `metadata` whose future was dropped. A second handle is as good.
            Err(shared) => shared.try_clone().unwrap_or_else(|error| {
                panic!(
                    "`File::into_std` was called while an operation on the file was at work, and the system refused \
                     a second handle: {error}. Await operations to their end first."
                )
            }),
        }
    }

    /// The file of std, if no operation is at work.
    ///
    /// # Errors
    /// The file itself, if one is.
    pub fn try_into_std(mut self) -> Result<StdFile, Self> {
        match Arc::try_unwrap(self.std) {
            Ok(std) => Ok(std),
            Err(shared) => {
                self.std = shared;
                Err(self)
            }
        }
    }

    /// One operation moves at most so many bytes.
    ///
    /// # Panics
    /// If `max_buf_size` is zero.
    #[track_caller]
    pub fn set_max_buf_size(&mut self, max_buf_size: usize) {
        assert!(max_buf_size > 0, "`max_buf_size` must be greater than 0: nothing could ever be read or written");
        self.max_bytes = max_buf_size;
    }

    /// How many bytes one operation moves at most; 2 MiB unless set.
    pub fn max_buf_size(&self) -> usize {
        self.max_bytes
    }

    /// Runs `f` beside the operation at work.
    async fn run_concurrently<R: Send + 'static>(
        &self,
        f: impl FnOnce(&StdFile) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let file = Arc::clone(&self.std);
        run(move || f(&file)).await
    }

    /// Waits until no operation is at work.
    async fn wait_idle(&self) {
        poll_fn(|cx| self.background.poll_idle(cx, WaitKind::Writable).map(|_idle| ())).await;
    }

    /// Waits for the operation at work, and takes the error of a write that nobody has heard of.
    async fn take_write_error(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            Poll::Ready(idle.take_write_error().map_or(Ok(()), Err))
        })
        .await
    }

    /// Runs `f` when no other operation is at work. Several tasks may do so at once, so the result has a place of its
    /// own.
    async fn run_exclusive(
        &self,
        f: impl FnOnce(&StdFile, &mut Buffer) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let result = Arc::new(Mutex::new(None));
        let mut operation = Some({
            let (file, result) = (Arc::clone(&self.std), Arc::clone(&result));
            move |buffer: &mut Buffer| {
                *result.lock() = Some(f(&file, buffer));
                Ok(0)
            }
        });
        poll_fn(|cx| {
            let idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            if let Some(operation) = operation.take() {
                idle.start(OperationKind::Other, operation);
            }
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| {
            // Idle may also mean that another task's operation has ended after ours: the result is looked at first and
            // last.
            if let Some(result) = result.lock().take() {
                return Poll::Ready(result);
            }
            drop(ready!(self.background.poll_idle(cx, WaitKind::Writable)));
            Poll::Ready(result.lock().take().unwrap_or_else(|| Err(background_failed())))
        })
        .await
    }
}

/// Moves the system's position back over what was read ahead, and forgets that (`position-follows`). If the file has no
/// position, nothing changes.
fn rewind_read_ahead(file: &StdFile, buffer: &mut Buffer) -> io::Result<()> {
    seek_back(file, buffer.len())?;
    buffer.discard();
    Ok(())
}

fn seek_back(mut file: &StdFile, len: i64) -> io::Result<()> {
    if len > 0 {
        file.seek(SeekFrom::Current(-len))?;
    }
    Ok(())
}

impl AsyncRead for File {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.background.poll_read(cx, buf, self.max_bytes, |len| {
            let file = Arc::clone(&self.std);
            move |buffer| buffer.read_from(&*file, len)
        })
    }
}

impl AsyncSeek for File {
    /// # Errors
    /// If an operation is at work: call `poll_complete` first.
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let Some(idle) = self.background.try_idle() else {
            return Err(io::Error::other(
                "a seek was started while another operation on the file is at work: call `poll_complete` first",
            ));
        };
        let file = Arc::clone(&self.std);
        idle.start(OperationKind::Seek, move |buffer| {
            // First, and not in one seek: one that fails must leave the place of the reader.
            rewind_read_ahead(&file, buffer)?;
            (&*file).seek(position)
        });
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Readable));
        match idle.take_outcome(OperationKind::Seek) {
            Some(result) => Poll::Ready(result),
            None => Poll::Ready(Ok(idle.position())),
        }
    }
}

impl AsyncWrite for File {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.background.poll_write(cx, bufs, self.max_bytes, |ahead| {
            let file = Arc::clone(&self.std);
            move |buffer: &mut Buffer| {
                seek_back(&file, ahead)?;
                buffer.write_to(&*file)
            }
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.background.poll_written(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl From<StdFile> for File {
    fn from(std: StdFile) -> Self {
        Self::from_std(std)
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        Self::from_std(fd.into())
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.std.as_fd().as_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller owns the descriptor, as this trait asks.
        Self::from_std(unsafe { StdFile::from_raw_fd(fd) })
    }
}

// The name is Tokio's: programs compare it.
debug_struct!([] File as "tokio::fs::File", self => { std: self.std });

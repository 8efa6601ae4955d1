//! `File`: an open file, with the traits of `io`.
//!
//! Called by user code. `io::background` runs its operations, one at a time, on the blocking pool; what needs no disk is
//! done at once (`direct`). The functions that open a file are in `open_options`.
//!
//! Long because the methods are those of std's file, each with an example.
//!
//! # Invariants
//! - `position-follows`: the kernel's position is the task's position plus the length of what was read ahead. Every
//!   operation that uses the position first seeks back over what was read ahead. A position that the kernel does not know
//!   yet (`late-position`) is settled before an operation starts; nothing is read ahead then.

#![expect(
    unsafe_code,
    reason = "a file can be made from a raw descriptor; it is read into memory that is not initialised"
)]

use crate::observe::waiting::located;
use std::fs::{File as StdFile, Metadata, Permissions};
use std::future::poll_fn;
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use super::FileTimes;
use super::cached::{self, at_once, turn};
use super::mounts;
use super::operations::Handle;
use crate::blocking::run;
use crate::io::background::{Background, Buffer, MAX_OPERATION_BYTES, OperationKind, background_failed};
use crate::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};
use crate::observe::waiting::WaitKind;
use crate::primitives::{Arc, Mutex};
use crate::task::coop::poll_proceed;

/// An open file.
///
/// - A write is ready as soon as its bytes are buffered; they are written in the background, in order. **The next
///   write, flush, shutdown or sync reports its error**: flush before you rely on it.
/// - Dropping the file lets a write in flight finish, even at the shutdown of the runtime. Its error is lost.
/// - A read of bytes that the kernel has in its page cache is done in the first poll, at most 1 MiB at a time. So is a seek
///   that does not count from the end, and [`metadata`](Self::metadata) on a local file system.
/// - Any other operation needs a trip to a thread of the blocking pool. So do bytes that are only on the disk, and files that are
///   not regular, on a network, opened with `O_DIRECT`, or duplicated by [`try_clone`](Self::try_clone).
/// - A task that reads from the cache in a loop yields: a read takes one unit of the budget, and one more for each 8 KiB.
/// - Each operation moves at most 2 MiB ([`set_max_buf_size`](Self::set_max_buf_size)). Use
///   [`BufReader`](crate::io::BufReader) and [`BufWriter`](crate::io::BufWriter) for small reads and writes.
/// - Operations panic outside of a runtime.
///
/// # Examples
/// ```
/// use redd::fs::File;
/// use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let mut file = File::create_new(dir.path().join("a")).await?;
/// file.write_all(b"salmon").await?;
/// file.rewind().await?;
/// let mut text = String::new();
/// file.read_to_string(&mut text).await?;
/// assert_eq!(text, "salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub struct File {
    handle: Arc<Handle>,
    background: Background,
    max_bytes: usize,
}

impl File {
    /// Creates a file from a file of std.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut file = File::from_std(tempfile::tempfile()?);
    /// file.write_all(b"salmon").await?;
    /// file.rewind().await?;
    /// let mut text = String::new();
    /// file.read_to_string(&mut text).await?;
    /// assert_eq!(text, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn from_std(std: StdFile) -> File {
        Self::new(Handle::untracked(std))
    }

    pub(super) fn new(handle: Handle) -> File {
        File { handle: Arc::new(handle), background: Background::new(), max_bytes: MAX_OPERATION_BYTES }
    }

    /// Waits until contents and metadata have reached the disk.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop it once it has started.
    ///
    /// # Errors
    /// The error of an earlier write that was not reported yet, and the errors of the disk.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("ledger");
    /// let mut file = File::create(&path).await?;
    /// file.write_all(b"salmon").await?;
    /// file.sync_all().await?;
    /// // From here on, the contents survive a power failure.
    /// assert_eq!(redd::fs::read(&path).await?, b"salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.take_write_error().await?;
            self.run_concurrently(Handle::sync_all).await
        })
    }

    /// Waits until the contents have reached the disk, but not necessarily metadata such as times.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop it once it has started.
    ///
    /// # Errors
    /// The error of an earlier write that was not reported yet, and the errors of the disk.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a");
    /// redd::fs::write(&path, "salmon").await?;
    /// // The file is open for reading only. The write is accepted, and its error comes later.
    /// let mut file = File::open(&path).await?;
    /// file.write_all(b"redd").await?;
    /// assert!(file.sync_data().await.is_err());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.take_write_error().await?;
            self.run_concurrently(Handle::sync_data).await
        })
    }

    /// Truncates the file to `size` bytes, or extends it with zeros. The position does not change.
    ///
    /// # Cancel safety
    /// Dropping the future does not stop it once it has started.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is not open for writing.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a");
    /// redd::fs::write(&path, "salmon").await?;
    /// let file = File::options().write(true).open(&path).await?;
    /// file.set_len(3).await?;
    /// assert_eq!(redd::fs::read(&path).await?, b"sal");
    /// file.set_len(5).await?;
    /// assert_eq!(redd::fs::read(&path).await?, b"sal\0\0");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn set_len(&self, size: u64) -> impl Future<Output = io::Result<()>> {
        located(async move {
            let set_len = move |file: &Handle, buffer: &mut Buffer| {
                rewind_read_ahead(file, buffer)?;
                file.set_len(size)
            };
            self.run_exclusive(set_len).await
        })
    }

    /// Returns size, type, permissions and times. A write that is in flight may not be included.
    ///
    /// # Errors
    /// The errors of [`std::fs::File::metadata`].
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let mut file = File::create(dir.path().join("a")).await?;
    /// file.write_all(b"salmon").await?;
    /// file.flush().await?;
    /// assert_eq!(file.metadata().await?.len(), 6);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> {
        located(async move {
            turn().await;
            if let Ok(result) = at_once(|| cached::metadata_of(&self.handle)) {
                return result;
            }
            let learn_and_ask = |file: &Handle| {
                mounts::learn(file.as_fd());
                file.metadata()
            };
            self.run_concurrently(learn_and_ask).await
        })
    }

    /// Changes the permissions.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the file has another owner.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let file = File::create(dir.path().join("a")).await?;
    /// let mut permissions = file.metadata().await?.permissions();
    /// permissions.set_readonly(true);
    /// file.set_permissions(permissions).await?;
    /// assert!(file.metadata().await?.permissions().readonly());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn set_permissions(&self, perm: Permissions) -> impl Future<Output = io::Result<()>> {
        located(async move { self.run_concurrently(move |file| file.set_permissions(perm)).await })
    }

    /// Changes the times of the last read and the last modification, after the operation in flight.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the file has another owner.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::{File, FileTimes};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// redd::fs::write(dir.path().join("a"), "salmon").await?;
    /// let original = redd::fs::metadata(dir.path().join("a")).await?.modified()?;
    /// // A copy with the time of the original.
    /// let copy = File::create(dir.path().join("b")).await?;
    /// copy.set_times(FileTimes::new().set_modified(original)).await?;
    /// assert_eq!(copy.metadata().await?.modified()?, original);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn set_times(&self, times: FileTimes) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.wait_idle().await;
            self.run_concurrently(move |file| file.set_times(times.into_std())).await
        })
    }

    /// Changes the time of the last modification, after the operation in flight.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the file has another owner.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use std::time::{Duration, SystemTime};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let file = File::create(dir.path().join("a")).await?;
    /// let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    /// file.set_modified(then).await?;
    /// assert_eq!(file.metadata().await?.modified()?, then);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn set_modified(&self, time: SystemTime) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.wait_idle().await;
            self.run_concurrently(move |file| file.set_modified(time)).await
        })
    }

    /// Returns a second handle to the same file. Both share the position.
    ///
    /// # Errors
    /// An error (`EMFILE`) if the process has no descriptor left.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let path = dir.path().join("a");
    /// let mut first = File::create(&path).await?;
    /// let mut second = first.try_clone().await?;
    /// first.write_all(b"redd ").await?;
    /// first.flush().await?;
    /// second.write_all(b"salmon").await?;
    /// second.flush().await?;
    /// assert_eq!(redd::fs::read(&path).await?, b"redd salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn try_clone(&self) -> impl Future<Output = io::Result<File>> {
        located(async move {
            self.wait_idle().await;
            self.show();
            let mut clone = File::new(self.run_concurrently(Handle::try_clone).await?);
            clone.max_bytes = self.max_bytes;
            Ok(clone)
        })
    }

    /// Waits for the operation in flight and returns the file of std.
    ///
    /// - The error of an earlier write is lost: flush first.
    ///
    /// # Panics
    /// If another operation on the file continues although its future was dropped, and the system refuses a second
    /// handle.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let dir = tempfile::tempdir()?;
    /// let mut file = File::create(dir.path().join("a")).await?;
    /// file.write_all(b"salmon").await?;
    /// file.flush().await?;
    /// let std: std::fs::File = file.into_std().await;
    /// assert_eq!(std.metadata()?.len(), 6);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn into_std(self) -> impl Future<Output = StdFile> {
        located(async move {
            self.wait_idle().await;
            self.show();
            let handle = match Arc::try_unwrap(self.handle) {
                Ok(handle) => handle,
                // For example, a `metadata` whose future was dropped is still running. A second handle is as good.
                Err(shared) => shared.try_clone().unwrap_or_else(|error| {
                    panic!(
                        "`File::into_std` was called while an operation on the file was in flight, and the system refused \
                         a second handle: {error}. Await operations to their end first."
                    )
                }),
            };
            handle.into_std()
        })
    }

    /// Returns the file of std, if no operation is in flight.
    ///
    /// # Errors
    /// The file itself, if an operation is in flight.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let file = File::from_std(tempfile::tempfile()?);
    /// let std = file.try_into_std().expect("no operation was started");
    /// assert!(std.metadata()?.is_file());
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn try_into_std(mut self) -> Result<StdFile, Self> {
        match Arc::try_unwrap(self.handle) {
            Ok(handle) => Ok(handle.into_std()),
            Err(shared) => {
                self.handle = shared;
                Err(self)
            }
        }
    }

    /// Sets the maximum number of bytes that one operation moves.
    ///
    /// - A larger value needs fewer trips to the blocking pool, and a larger buffer.
    ///
    /// # Panics
    /// If `max_buf_size` is zero.
    ///
    /// # Examples
    /// ```
    /// use redd::fs::File;
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut file = File::from_std(tempfile::tempfile()?);
    /// file.set_max_buf_size(4);
    /// assert_eq!(file.write(b"salmon").await?, 4);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn set_max_buf_size(&mut self, max_buf_size: usize) {
        assert!(max_buf_size > 0, "`max_buf_size` must be greater than 0: nothing could ever be read or written");
        self.max_bytes = max_buf_size;
    }

    /// Returns the maximum number of bytes that one operation moves; 2 MiB unless set.
    pub fn max_buf_size(&self) -> usize {
        self.max_bytes
    }

    /// The program gets the descriptor, so the kernel's position has to be that of the task from now on (`late-position`).
    fn show(&self) {
        self.handle.set_seen();
        if let Some(_idle) = self.background.try_idle() {
            // The kernel refuses no such position; only a filter of system calls could.
            drop(self.handle.settle());
        }
    }

    /// Runs `f` on the blocking pool, concurrently with the operation in flight.
    async fn run_concurrently<R: Send + 'static>(
        &self,
        f: impl FnOnce(&Handle) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let file = Arc::clone(&self.handle);
        run(move || f(&file)).await
    }

    /// Waits until no operation is in flight.
    async fn wait_idle(&self) {
        poll_fn(|cx| self.background.poll_idle(cx, WaitKind::Writable).map(|mut idle| idle.forget_read())).await;
    }

    /// Waits for the operation in flight and returns the error of a write that was not reported yet.
    async fn take_write_error(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            idle.forget_read();
            Poll::Ready(idle.take_write_error().map_or(Ok(()), Err))
        })
        .await
    }

    /// Runs `f` when no other operation is in flight. Several tasks may call this at once, so each has its own result.
    async fn run_exclusive(
        &self,
        f: impl FnOnce(&Handle, &mut Buffer) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let result = Arc::new(Mutex::new(None));
        let mut operation = Some({
            let (file, result) = (Arc::clone(&self.handle), Arc::clone(&result));
            move |buffer: &mut Buffer| {
                *result.lock() = Some(f(&file, buffer));
                Ok(0)
            }
        });
        poll_fn(|cx| {
            let idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            if let Some(operation) = operation.take() {
                let settled = self.handle.settle();
                idle.start(OperationKind::Other, move |buffer| settled.and_then(|()| operation(buffer)));
            }
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| {
            // Idle may also mean that another task's operation has ended after ours. So the result is checked before
            // and after the wait.
            if let Some(result) = result.lock().take() {
                return Poll::Ready(result);
            }
            drop(ready!(self.background.poll_idle(cx, WaitKind::Writable)));
            Poll::Ready(result.lock().take().unwrap_or_else(|| Err(background_failed())))
        })
        .await
    }
}

/// Moves the kernel's position back over what was read ahead and discards that (`position-follows`). If the seek fails,
/// nothing changes.
fn rewind_read_ahead(file: &Handle, buffer: &mut Buffer) -> io::Result<()> {
    seek_back(file, buffer.len())?;
    buffer.discard();
    Ok(())
}

fn seek_back(mut file: &Handle, len: i64) -> io::Result<()> {
    if len > 0 {
        file.seek(SeekFrom::Current(-len))?;
    }
    Ok(())
}

impl AsyncRead for File {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read_now = |buf: &mut ReadBuf<'_>, len| read_now(&self.handle, buf, len);
        self.background.poll_read(cx, buf, self.max_bytes, read_now, |len| {
            let (file, settled) = (Arc::clone(&self.handle), self.handle.settle());
            move |buffer| settled.and_then(|()| buffer.read_from(&*file, len))
        })
    }
}

/// Reads at most `len` bytes into `buf`, if that needs no thread.
fn read_now(file: &Handle, buf: &mut ReadBuf<'_>, len: usize) -> Option<io::Result<usize>> {
    // SAFETY: nothing that was initialised becomes uninitialised: the file only writes bytes.
    let unfilled = unsafe { buf.unfilled_mut() };
    Some(file.read_now(&mut unfilled[..len])?.inspect(|&len| {
        // SAFETY: the file has written as many bytes as it returned.
        unsafe { buf.assume_init(len) };
        buf.advance(len);
    }))
}

impl AsyncSeek for File {
    /// # Errors
    /// An error if an operation is in flight: call `poll_complete` first.
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let Some(mut idle) = self.background.try_idle() else {
            return Err(io::Error::other(
                "a seek was started while another operation on the file is in flight: call `poll_complete` first",
            ));
        };
        if let Some(position) = self.handle.seek_now(position) {
            idle.buffer().discard();
            idle.end(OperationKind::Seek, Ok(position));
        } else if self.handle.seeks_now(position) {
            let result = seek(&self.handle, idle.buffer(), position);
            idle.end(OperationKind::Seek, result);
        } else {
            let (file, settled) = (Arc::clone(&self.handle), self.handle.settle());
            idle.start(OperationKind::Seek, move |buffer| settled.and_then(|()| seek(&file, buffer, position)));
        }
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        // A loop of seeks that need no thread yields, too.
        let unit = ready!(poll_proceed(cx));
        let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Readable));
        idle.forget_read();
        match idle.take_outcome(OperationKind::Seek) {
            Some(result) => {
                unit.made_progress();
                Poll::Ready(result)
            }
            None => Poll::Ready(Ok(idle.position())),
        }
    }
}

fn seek(mut file: &Handle, buffer: &mut Buffer, position: SeekFrom) -> io::Result<u64> {
    file.settle()?;
    // Not in one seek with the next line: if that one fails, the position must be the reader's.
    rewind_read_ahead(file, buffer)?;
    file.seek(position)
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
            let (file, settled) = (Arc::clone(&self.handle), self.handle.settle());
            move |buffer: &mut Buffer| {
                settled?;
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
        self.show();
        self.handle.as_fd()
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: by the safety contract of this trait, the caller owns the descriptor.
        Self::from_std(unsafe { StdFile::from_raw_fd(fd) })
    }
}

// As in Tokio: programs may compare it.
debug_struct!([] File as "tokio::fs::File", self => { std: self.handle });

#[cfg(all(test, not(any(miri, loom, shuttle))))]
mod tests {
    use super::*;
    use crate::fs::direct::Direct;
    use crate::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    use crate::runtime::{Builder, Runtime};
    use crate::sys::faults::{self, Call};
    use proptest::prelude::*;
    use std::io::{Read, Write};

    /// A file in memory: the test does not depend on the directory of temporary files.
    fn file(contents: &[u8]) -> File {
        let mut std = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).expect("room for a file");
        std.write_all(contents).expect("room for its contents");
        std.rewind().expect("a file has a position");
        File::from_std(std)
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().expect("the system has threads")
    }

    /// Reads 3 bytes in a runtime of its own. Returns them, and whether that has needed a thread.
    fn read_3(file: &mut File) -> (io::Result<[u8; 3]>, bool) {
        let (runtime, mut buf) = (runtime(), [0; 3]);
        let result = runtime.block_on(file.read_exact(&mut buf)).map(|_| buf);
        (result, runtime.metrics().num_blocking_threads() > 0)
    }

    fn assert_reads_3(file: &mut File, expected: &[u8; 3], expects_thread: bool) {
        let (read, has_thread) = read_3(file);
        assert_eq!(&read.expect("the file has these bytes"), expected);
        assert_eq!(has_thread, expects_thread);
    }

    #[test]
    fn a_read_that_would_wait_uses_the_pool_and_the_next_one_is_tried_again() {
        let mut file = file(b"salmonredd..");
        for expected in [b"sal", b"mon"] {
            faults::plan(Call::ReadNow, 0, libc::EAGAIN);
            assert_reads_3(&mut file, expected, true);
        }
        assert_reads_3(&mut file, b"red", false);
    }

    #[test]
    fn a_file_whose_reads_all_wait_is_remembered() {
        // Not in memory, where an ordinary read is as good.
        let mut std = tempfile::tempfile().expect("room for a file");
        if mounts::ask(std.as_fd()) == mounts::Storage::Memory {
            return;
        }
        std.write_all(b"salmonredd..").expect("room for its contents");
        for errno in [libc::EOPNOTSUPP, libc::EINVAL, libc::EPERM] {
            std.rewind().expect("a file has a position");
            let mut file = File::from_std(std.try_clone().expect("descriptors left"));
            faults::plan(Call::ReadNow, 0, errno);
            assert_reads_3(&mut file, b"sal", true);
            assert_reads_3(&mut file, b"mon", true);
        }
    }

    #[test]
    fn the_pool_reports_the_error_of_a_read() {
        let mut file = file(b"salmon");
        // The system reads on where the injected error says that it cannot.
        faults::plan(Call::ReadNow, 0, libc::EIO);
        assert_reads_3(&mut file, b"sal", true);
        faults::plan(Call::ReadNow, 0, libc::EINTR);
        assert_reads_3(&mut file, b"mon", false);
        let path = tempfile::NamedTempFile::new().expect("room for a file");
        let unreadable = StdFile::options().write(true).open(path.path()).expect("it is there");
        let (read, has_thread) = read_3(&mut File::from_std(unreadable));
        assert_eq!(
            (read.expect_err("it is open for writing only").raw_os_error(), has_thread),
            (Some(libc::EBADF), true)
        );
    }

    /// As a file that was opened by its path.
    fn private(std: StdFile) -> File {
        File::new(Handle::opened_now(std, Direct::regular(false)))
    }

    fn read_ahead(file: &File) -> u64 {
        file.background.try_idle().expect("no operation is in flight").buffer().len() as u64
    }

    /// The position by a descriptor of the file, without what was read ahead.
    fn kernel_position(file: &File, fd: BorrowedFd<'_>) -> io::Result<u64> {
        // A duplicate has the same position.
        let mut duplicate = StdFile::from(fd.try_clone_to_owned()?);
        Ok(duplicate.stream_position()? - read_ahead(file))
    }

    /// A private file with six bytes, of which three were read after a seek, and no system call has set its position.
    async fn with_late_position() -> File {
        let mut std = tempfile::tempfile().expect("room for a file");
        std.write_all(b"salmon").expect("room for its contents");
        let mut file = private(std);
        assert_eq!(file.seek(SeekFrom::Start(1)).await.expect("it is a file"), 1);
        assert_eq!(file.seek(SeekFrom::Current(-1)).await.expect("it is a file"), 0);
        let mut buf = [0; 3];
        file.read_exact(&mut buf).await.expect("it is long enough");
        assert_eq!(&buf, b"sal");
        file
    }

    #[test]
    fn a_position_that_the_kernel_does_not_know_is_settled_before_it_can_be_seen() {
        // On a file system without such reads, each seek is the kernel's.
        let is_late = runtime().block_on(async {
            let file = with_late_position().await;
            let fd = file.handle.as_fd();
            kernel_position(&file, fd).expect("it is a file") != 3
        });
        if mounts::ask(tempfile::tempfile().expect("room for a file").as_fd()) == mounts::Storage::Disk {
            assert!(is_late, "the seek was made by a system call, so this tests nothing");
        }
        let position = |fd: BorrowedFd<'_>| {
            let duplicate = fd.try_clone_to_owned().expect("descriptors left");
            StdFile::from(duplicate).stream_position().expect("it is a file")
        };
        runtime().block_on(async {
            let file = with_late_position().await;
            assert_eq!(position(file.as_fd()), 3);
            let mut file = with_late_position().await;
            let raw = file.as_raw_fd();
            // From now on each seek is the kernel's.
            assert_eq!(file.seek(SeekFrom::Current(2)).await.expect("it is a file"), 5);
            assert_eq!(position(file.handle.as_fd()), 5);
            assert_eq!(raw, file.handle.as_fd().as_raw_fd());
            let std = with_late_position().await.try_into_std().expect("no operation is in flight");
            assert_eq!(position(std.as_fd()), 3);
            assert_eq!(position(with_late_position().await.into_std().await.as_fd()), 3);
            let mut file = with_late_position().await;
            let mut clone = file.try_clone().await.expect("descriptors left");
            assert_eq!(clone.stream_position().await.expect("it is a file"), 3);
            assert_eq!(file.seek(SeekFrom::Start(1)).await.expect("it is a file"), 1);
            assert_eq!(clone.stream_position().await.expect("it is a file"), 1);
            // The kernel decides about what it may refuse.
            let mut file = with_late_position().await;
            for refused in [SeekFrom::Current(-4), SeekFrom::Start(u64::MAX), SeekFrom::Start(1 << 63)] {
                let error = file.seek(refused).await.expect_err("no file has such a position");
                assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
                assert_eq!(file.stream_position().await.expect("it is a file"), 3);
            }
            // A write goes where the reader is.
            let mut file = with_late_position().await;
            file.write_all(b"MON").await.expect("room for it");
            file.sync_all().await.expect("the disk has room");
            file.rewind().await.expect("it is a file");
            let mut text = String::new();
            file.read_to_string(&mut text).await.expect("it is text");
            assert_eq!(text, "salMON");
        });
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read(usize),
        Write(usize),
        Seek(SeekFrom),
        SetLen(u64),
        Flush,
        Sync,
        Position,
        Clone,
        /// The system drops the file from its cache.
        Cool,
        /// The next read that must not wait fails like this.
        Fault(i32),
        /// The program asks for the descriptor.
        Show,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..9000_usize).prop_map(Step::Read),
            3 => (0..9000_usize).prop_map(Step::Write),
            2 => (0..30_000_u64).prop_map(|place| Step::Seek(SeekFrom::Start(place))),
            2 => (-9000..9000_i64).prop_map(|distance| Step::Seek(SeekFrom::Current(distance))),
            1 => (-9000..9000_i64).prop_map(|distance| Step::Seek(SeekFrom::End(distance))),
            1 => (0..30_000_u64).prop_map(Step::SetLen),
            1 => Just(Step::Flush),
            1 => Just(Step::Sync),
            2 => Just(Step::Position),
            1 => Just(Step::Clone),
            2 => Just(Step::Cool),
            3 => Just(Step::Fault(libc::EAGAIN)),
            1 => prop_oneof![Just(libc::EIO), Just(libc::EINTR), Just(libc::EOPNOTSUPP)].prop_map(Step::Fault),
            1 => Just(Step::Show),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::sys::emulation::rounds(96)))]
        #[test]
        fn a_file_behaves_like_that_of_std_whatever_is_in_the_cache(
            steps in proptest::collection::vec(step(), 0..40), max in 1..9000_usize, is_private in any::<bool>(),
        ) {
            let temporary = || tempfile::tempfile().expect("room for a file");
            let ours = if is_private { private(temporary()) } else { File::from_std(temporary()) };
            let (mut ours, mut theirs) = (ours, temporary());
            ours.set_max_buf_size(max);
            runtime().block_on(async {
                for (number, step) in steps.into_iter().enumerate() {
                    match step {
                        Step::Read(len) => {
                            let (mut a, mut b) = (vec![0; len], vec![0; len]);
                            let read = ours.read(&mut a).await?;
                            // What was read ahead, the maximum and the edge of the cache may shorten a read.
                            theirs.read_exact(&mut b[..read])?;
                            prop_assert_eq!(&a[..read], &b[..read]);
                            prop_assert!(read > 0 || theirs.read(&mut b)? == 0);
                        }
                        Step::Write(len) => {
                            let bytes = vec![number as u8 + 1; len];
                            ours.write_all(&bytes).await?;
                            theirs.write_all(&bytes)?;
                        }
                        Step::Seek(position) => {
                            let (moved, expected) = (ours.seek(position).await, theirs.seek(position));
                            let number = |result: io::Result<u64>| result.map_err(|error| error.raw_os_error());
                            prop_assert_eq!(number(moved), number(expected));
                        }
                        Step::SetLen(len) => {
                            ours.set_len(len).await?;
                            theirs.set_len(len)?;
                        }
                        Step::Flush => ours.flush().await?,
                        Step::Sync => ours.sync_data().await?,
                        Step::Position => prop_assert_eq!(ours.stream_position().await?, theirs.stream_position()?),
                        Step::Clone => {
                            ours.flush().await?;
                            // What was read ahead belongs to the original.
                            let position = ours.stream_position().await?;
                            ours = ours.try_clone().await?;
                            prop_assert_eq!(ours.stream_position().await?, position);
                        }
                        Step::Cool => {
                            ours.sync_data().await?;
                            crate::sys::file::drop_cached(ours.handle.as_fd())?;
                        }
                        Step::Fault(errno) => faults::plan(Call::ReadNow, 0, errno),
                        Step::Show => {
                            ours.flush().await?;
                            prop_assert_eq!(kernel_position(&ours, ours.as_fd())?, theirs.stream_position()?);
                        }
                    }
                }
                ours.flush().await?;
                let read_ahead = read_ahead(&ours);
                let mut ours = ours.into_std().await;
                prop_assert_eq!(ours.stream_position()? - read_ahead, theirs.stream_position()?);
                let (mut a, mut b) = (Vec::new(), Vec::new());
                ours.rewind()?;
                ours.read_to_end(&mut a)?;
                theirs.rewind()?;
                theirs.read_to_end(&mut b)?;
                prop_assert_eq!(a, b);
                Ok(())
            })?;
        }
    }
}

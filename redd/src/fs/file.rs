//! `File`: an open file, with the traits of `io`.
//!
//! Called by programs. How operations run one at a time on the blocking pool stands in `io::background`.
//!
//! # Invariants
//! - `position-follows`: the system's position is that of the task plus what was read ahead; every operation that uses
//!   the position first takes back what was read ahead.

#![expect(unsafe_code, reason = "files can be made of raw descriptors")]

use std::fmt;
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
use crate::io::background::{Background, Buffer, Kind, MAX_BUFFER_BYTES, background_failed};
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
        File { std: Arc::new(std), background: Background::new(), max_bytes: MAX_BUFFER_BYTES }
    }

    /// Waits until everything has reached the disk, contents and metadata.
    ///
    /// # Errors
    /// As [`std::fs::File::sync_all`], or the error of a write before it.
    pub async fn sync_all(&self) -> io::Result<()> {
        self.report_write_error().await?;
        self.perform(|file, _| file.sync_all()).await
    }

    /// Waits until the contents have reached the disk.
    ///
    /// # Errors
    /// As [`std::fs::File::sync_data`], or the error of a write before it.
    pub async fn sync_data(&self) -> io::Result<()> {
        self.report_write_error().await?;
        self.perform(|file, _| file.sync_data()).await
    }

    /// Cuts the file, or extends it with zeros; the position stays.
    ///
    /// # Errors
    /// As [`std::fs::File::set_len`].
    pub async fn set_len(&self, size: u64) -> io::Result<()> {
        self.perform(move |file, buffer| {
            take_back(file, buffer)?;
            file.set_len(size)
        })
        .await
    }

    /// What the system knows about the file. A write that is still on its way may not show.
    ///
    /// # Errors
    /// As [`std::fs::File::metadata`].
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let file = Arc::clone(&self.std);
        run(move || file.metadata()).await
    }

    /// A second handle to the same file; both share the position.
    ///
    /// # Errors
    /// As [`std::fs::File::try_clone`].
    pub async fn try_clone(&self) -> io::Result<File> {
        self.settle().await;
        let file = Arc::clone(&self.std);
        let std = run(move || file.try_clone()).await?;
        let mut clone = File::from_std(std);
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
        self.settle().await;
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

    /// Changes the permissions.
    ///
    /// # Errors
    /// As [`std::fs::File::set_permissions`].
    pub async fn set_permissions(&self, perm: Permissions) -> io::Result<()> {
        let file = Arc::clone(&self.std);
        run(move || file.set_permissions(perm)).await
    }

    /// Changes the times of the last read and change, after the operation at work.
    ///
    /// # Errors
    /// As [`std::fs::File::set_times`].
    pub async fn set_times(&self, times: FileTimes) -> io::Result<()> {
        self.perform(move |file, _| file.set_times(times.into_std())).await
    }

    /// Changes the time of the last change, after the operation at work.
    ///
    /// # Errors
    /// As [`std::fs::File::set_modified`].
    pub async fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.perform(move |file, _| file.set_modified(time)).await
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

    /// Waits until no operation is at work.
    async fn settle(&self) {
        poll_fn(|cx| self.background.poll_idle(cx, WaitKind::Writable).map(|_idle| ())).await;
    }

    /// Waits for the operation at work, and takes the error of a write that nobody has heard of.
    async fn report_write_error(&self) -> io::Result<()> {
        poll_fn(|cx| {
            let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            Poll::Ready(idle.take_write_error().map_or(Ok(()), Err))
        })
        .await
    }

    /// Runs `f` when no other operation is at work. Several tasks may do so at once, so the answer has a place of its
    /// own.
    async fn perform(
        &self,
        f: impl FnOnce(&StdFile, &mut Buffer) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let answer = Arc::new(Mutex::new(None));
        let mut operation = Some({
            let (file, answer) = (Arc::clone(&self.std), Arc::clone(&answer));
            move |buffer: &mut Buffer| {
                *answer.lock() = Some(f(&file, buffer));
                Ok(0)
            }
        });
        poll_fn(|cx| {
            let idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            if let Some(operation) = operation.take() {
                idle.start(Kind::Other, operation);
            }
            Poll::Ready(())
        })
        .await;
        poll_fn(|cx| {
            // Idle may also mean that another task's operation has ended after ours: the answer is looked at first and
            // last.
            if let Some(result) = answer.lock().take() {
                return Poll::Ready(result);
            }
            drop(ready!(self.background.poll_idle(cx, WaitKind::Writable)));
            Poll::Ready(answer.lock().take().unwrap_or_else(|| Err(background_failed())))
        })
        .await
    }
}

/// Moves the system's position back over what was read ahead, and forgets that (`position-follows`). If the file has no
/// position, nothing changes.
fn take_back(file: &StdFile, buffer: &mut Buffer) -> io::Result<()> {
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
        idle.start(Kind::Seek, move |buffer| {
            // First, and not in one seek: one that fails must leave the place of the reader.
            take_back(&file, buffer)?;
            (&*file).seek(position)
        });
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Readable));
        match idle.take_outcome(Kind::Seek) {
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
        self.std.as_raw_fd()
    }
}

impl FromRawFd for File {
    unsafe fn from_raw_fd(fd: RawFd) -> Self {
        // SAFETY: the caller owns the descriptor, as this trait asks.
        Self::from_std(unsafe { StdFile::from_raw_fd(fd) })
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The name is Tokio's: programs compare it.
        f.debug_struct("tokio::fs::File").field("std", &self.std).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{block_on_runtime as block_on, poll_once};
    use crate::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};
    use proptest::prelude::*;
    use std::io::{ErrorKind, Read, Write};
    use std::pin::pin;

    fn temporary() -> StdFile {
        tempfile::tempfile().unwrap()
    }

    #[test]
    fn what_is_written_can_be_read_after_a_seek() {
        block_on(async {
            let mut file = File::from_std(temporary());
            file.write_all(b"redd ").await.unwrap();
            let pieces = [IoSlice::new(b"sal"), IoSlice::new(b""), IoSlice::new(b"mon")];
            assert_eq!(file.write_vectored(&pieces).await.unwrap(), 6);
            assert_eq!(file.seek(SeekFrom::Start(5)).await.unwrap(), 5);
            let mut text = String::new();
            file.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "salmon");
            assert_eq!(file.stream_position().await.unwrap(), 11);
        });
    }

    #[test]
    fn the_error_of_a_write_is_reported_by_what_comes_next() {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a");
            std::fs::write(&path, "").unwrap();
            let mut file = File::open(&path).await.unwrap();
            assert_eq!(file.write(b"x").await.unwrap(), 1);
            assert!(file.flush().await.is_err());
            file.flush().await.unwrap();
            assert_eq!(file.write(b"x").await.unwrap(), 1);
            assert!(file.write(b"x").await.is_err());
            assert_eq!(file.write(b"x").await.unwrap(), 1);
            assert!(file.sync_all().await.is_err());
            assert_eq!(file.write(b"x").await.unwrap(), 1);
            assert!(file.shutdown().await.is_err());
        });
    }

    #[test]
    fn bytes_read_ahead_by_a_dropped_read_are_not_lost() {
        block_on(async {
            let mut std = temporary();
            std.write_all(b"salmon").unwrap();
            std.rewind().unwrap();
            let mut file = File::from_std(std);
            let mut buf = [0; 6];
            // Either it is ready at once or its bytes wait for the next read.
            let len = match poll_once(pin!(file.read(&mut buf))) {
                Poll::Ready(len) => len.unwrap(),
                Poll::Pending => file.read(&mut buf[..2]).await.unwrap(),
            };
            assert_eq!(&buf[..len], &b"salmon"[..len]);
            // A write goes to where the reader is, not to where the read-ahead is.
            file.write_all(b"X").await.unwrap();
            file.rewind().await.unwrap();
            let mut all = Vec::new();
            file.read_to_end(&mut all).await.unwrap();
            let mut expected = b"salmon".to_vec();
            expected.resize(expected.len().max(len + 1), 0);
            expected[len] = b'X';
            assert_eq!(all, expected);
        });
    }

    #[test]
    fn a_seek_that_fails_leaves_the_place_of_the_reader() {
        block_on(async {
            let mut std = temporary();
            std.write_all(b"salmon").unwrap();
            std.rewind().unwrap();
            let mut file = File::from_std(std);
            let place = match poll_once(pin!(file.read(&mut [0; 5]))) {
                Poll::Ready(len) => len.unwrap(),
                Poll::Pending => 0,
            };
            assert!(file.seek(SeekFrom::Current(-6)).await.is_err());
            let mut rest = Vec::new();
            file.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, &b"salmon"[place..]);
        });
    }

    #[test]
    fn operations_through_a_shared_reference_wait_for_each_other() {
        block_on(async {
            let mut file = File::from_std(temporary());
            file.write_all(b"salmon").await.unwrap();
            let (a, b, c) = futures::join!(file.set_len(3), file.sync_all(), file.sync_data());
            a.and(b).and(c).unwrap();
            assert_eq!(file.metadata().await.unwrap().len(), 3);
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
            file.set_times(FileTimes::new().set_accessed(time).set_modified(time)).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().modified().unwrap(), time);
            assert_eq!(file.metadata().await.unwrap().accessed().unwrap(), time);
            file.set_modified(SystemTime::UNIX_EPOCH).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
        });
    }

    #[test]
    fn a_file_goes_back_to_std_after_the_operation_at_work() {
        block_on(async {
            let mut file = File::from_std(temporary());
            file.write_all(b"salmon").await.unwrap();
            let mut std = file.into_std().await;
            std.rewind().unwrap();
            let mut text = String::new();
            std.read_to_string(&mut text).unwrap();
            assert_eq!(text, "salmon");
            assert!(File::from_std(std).try_into_std().is_ok());
        });
    }

    #[test]
    fn one_operation_moves_at_most_the_maximum() {
        block_on(async {
            let mut file = File::from_std(temporary());
            file.set_max_buf_size(2);
            assert_eq!(file.try_clone().await.unwrap().max_buf_size(), 2);
            assert_eq!(file.write(b"salmon").await.unwrap(), 2);
            file.write_all(b"lmon").await.unwrap();
            file.rewind().await.unwrap();
            let mut buf = [0; 6];
            assert_eq!(file.read(&mut buf).await.unwrap(), 2);
            assert_eq!(file.read(&mut []).await.unwrap(), 0);
            assert_eq!(file.read(&mut buf).await.unwrap(), 2);
            assert_eq!(&buf[..2], b"lm");
        });
    }

    #[test]
    #[should_panic(expected = "`max_buf_size` must be greater than 0")]
    fn a_maximum_of_no_bytes_panics() {
        File::from_std(temporary()).set_max_buf_size(0);
    }

    #[test]
    fn opening_follows_the_options() {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a");
            assert_eq!(File::open(&path).await.unwrap_err().kind(), ErrorKind::NotFound);
            File::create_new(&path).await.unwrap().write_all(b"salmon").await.unwrap();
            let error = File::create_new(&path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            File::create(&path).await.unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"");
            assert!(format!("{:?}", OpenOptions::new().append(true)).contains("append: true"));
        });
    }

    #[test]
    fn buffered_seeks_after_writes_find_their_place() {
        block_on(async {
            for (seek, expected) in [(SeekFrom::End(-2), 4), (SeekFrom::Current(-2), 4), (SeekFrom::Start(1), 1)] {
                let mut reader = BufReader::new(File::from_std(temporary()));
                reader.write_all(b"salmon").await.unwrap();
                assert_eq!(reader.seek(seek).await.unwrap(), expected);
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest).await.unwrap();
                assert_eq!(rest, &b"salmon"[expected as usize..]);
            }
        });
    }

    #[test]
    fn a_write_that_was_taken_over_ends_although_file_and_runtime_are_dropped() {
        for _ in 0..20 {
            let mut std = temporary();
            let mut file = File::from_std(std.try_clone().unwrap());
            let runtime = crate::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { file.write_all(b"salmon").await.unwrap() });
            drop(file);
            drop(runtime);
            std.rewind().unwrap();
            let mut text = String::new();
            std.read_to_string(&mut text).unwrap();
            assert_eq!(text, "salmon");
        }
    }

    #[test]
    fn operations_after_the_shutdown_of_the_runtime_fail_and_leave_the_file_usable() {
        let runtime = crate::runtime::Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        let mut file = File::from_std(temporary());
        {
            let _guard = handle.enter();
            // No thread of the pool is needed to hear that there is none.
            futures::executor::block_on(async {
                for _ in 0..2 {
                    assert!(file.write(b"x").await.is_err());
                    assert!(file.read(&mut [0; 4]).await.is_err());
                    assert!(file.rewind().await.is_err());
                    assert!(file.set_len(1).await.is_err());
                    file.flush().await.unwrap();
                }
            });
        }
        block_on(async {
            file.write_all(b"salmon").await.unwrap();
            assert_eq!(file.stream_position().await.unwrap(), 6);
        });
    }

    #[derive(Clone, Debug)]
    enum Op {
        Read(usize),
        /// A read whose future is dropped at once: only its read-ahead may stay.
        PeekRead(usize),
        Write(Vec<u8>),
        Seek(SeekFrom),
        SetLen(u64),
        Sync,
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..9_usize).prop_map(Op::Read),
            (1..9_usize).prop_map(Op::PeekRead),
            proptest::collection::vec(any::<u8>(), 0..9).prop_map(Op::Write),
            (0..30_u64).prop_map(|n| Op::Seek(SeekFrom::Start(n))),
            (-9..9_i64).prop_map(|n| Op::Seek(SeekFrom::Current(n))),
            (-9..9_i64).prop_map(|n| Op::Seek(SeekFrom::End(n))),
            (0..30_u64).prop_map(Op::SetLen),
            Just(Op::Sync),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_file_behaves_like_that_of_std(ops in proptest::collection::vec(op(), 0..24), max in 1..12_usize) {
            let (mut ours, mut theirs) = (File::from_std(temporary()), temporary());
            ours.set_max_buf_size(max);
            block_on(async {
                for op in ops {
                    match op {
                        Op::Read(len) => {
                            let (mut a, mut b) = (vec![0; len], vec![0; len]);
                            let read = ours.read(&mut a).await.unwrap();
                            // Read-ahead and the maximum may shorten a read.
                            prop_assert_eq!(theirs.read(&mut b[..read]).unwrap(), read);
                            prop_assert_eq!(&a[..read], &b[..read]);
                            if read == 0 && len > 0 {
                                prop_assert_eq!(theirs.read(&mut b).unwrap(), 0);
                            }
                        }
                        Op::PeekRead(len) => {
                            let mut a = vec![0; len];
                            if let Poll::Ready(read) = poll_once(pin!(ours.read(&mut a))) {
                                let read = read.unwrap();
                                theirs.read_exact(&mut a[..read]).unwrap();
                            }
                        }
                        Op::Write(bytes) => {
                            ours.write_all(&bytes).await.unwrap();
                            theirs.write_all(&bytes).unwrap();
                        }
                        Op::Seek(position) => {
                            prop_assert_eq!(ours.seek(position).await.ok(), theirs.seek(position).ok());
                        }
                        Op::SetLen(len) => {
                            ours.set_len(len).await.unwrap();
                            theirs.set_len(len).unwrap();
                        }
                        Op::Sync => ours.sync_data().await.unwrap(),
                    }
                }
                ours.flush().await.unwrap();
                let (mut a, mut b) = (Vec::new(), Vec::new());
                ours.rewind().await.unwrap();
                ours.read_to_end(&mut a).await.unwrap();
                theirs.rewind().unwrap();
                theirs.read_to_end(&mut b).unwrap();
                prop_assert_eq!(a, b);
                Ok(())
            })?;
        }
    }
}

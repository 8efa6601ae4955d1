//! `duplex` and `simplex`: streams whose peer is in the same process, over a buffer in memory.
//!
//! Called by user code, mostly in tests of protocols.
//!
//! # Invariants
//! - `user-code-outside-lock`: wakers are cloned before the lock of the pipe is taken. They are woken and dropped after
//!   it is released (`DeferredWakers`).

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::traits::total_len;
use super::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf, split};
use crate::collections::wake_list::wake_guarded;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::{Arc, Mutex};
use crate::task::coop::poll_proceed;

/// Returns two connected streams: what is written to one is read from the other.
///
/// - A writer waits while `max_buf_size` bytes of its direction are unread.
/// - Dropping one stream ends the reads of the other, after what is buffered. Writes to the other fail with
///   [`ErrorKind::BrokenPipe`].
///
/// # Panics
/// If `max_buf_size` is zero.
///
/// # Examples
/// ```
/// use redd::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ErrorKind};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // Test a protocol without a socket.
/// async fn echo_once<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> redd::io::Result<()> {
///     let mut word = [0; 4];
///     stream.read_exact(&mut word).await?;
///     stream.write_all(&word).await
/// }
///
/// let (mut client, server) = redd::io::duplex(64);
/// let served = redd::spawn(echo_once(server));
/// client.write_all(b"ping").await?;
/// let mut reply = String::new();
/// client.read_to_string(&mut reply).await?;
/// assert_eq!(reply, "ping");
/// served.await.unwrap()?;
/// assert_eq!(client.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn duplex(max_buf_size: usize) -> (DuplexStream, DuplexStream) {
    let forward = Arc::new(Mutex::new(SimplexStream::new_unsplit(max_buf_size)));
    let backward = Arc::new(Mutex::new(SimplexStream::new_unsplit(max_buf_size)));
    let one = DuplexStream { read: Arc::clone(&backward), write: Arc::clone(&forward) };
    let other = DuplexStream { read: forward, write: backward };
    (one, other)
}

/// Returns the two halves of a pipe: what is written to one is read from the other.
///
/// - A writer waits while `max_buf_size` bytes are unread.
/// - Dropping the write half does not end the reads: call [`shutdown`](super::AsyncWriteExt::shutdown). Dropping the
///   read half does not fail the writes. [`duplex`] does both.
///
/// # Panics
/// If `max_buf_size` is zero.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut reader, mut writer) = redd::io::simplex(64);
/// writer.write_all(b"salmon").await?;
/// writer.shutdown().await?;
/// let mut text = String::new();
/// reader.read_to_string(&mut text).await?;
/// assert_eq!(text, "salmon");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn simplex(max_buf_size: usize) -> (ReadHalf<SimplexStream>, WriteHalf<SimplexStream>) {
    split(SimplexStream::new_unsplit(max_buf_size))
}

/// One end of a stream in memory. Made by [`duplex`].
pub struct DuplexStream {
    read: Arc<Mutex<SimplexStream>>,
    write: Arc<Mutex<SimplexStream>>,
}

// The bytes are the program's, and may be secret.
debug_struct!([] DuplexStream as "DuplexStream", self => { read: TryShown(&self.read), write: TryShown(&self.write) });

/// A pipe behind a lock, for `Debug`, which does not wait for the lock.
struct TryShown<'a>(&'a Mutex<SimplexStream>);

impl fmt::Debug for TryShown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.try_lock() {
            Some(pipe) => pipe.fmt(f),
            None => f.write_str("<locked>"),
        }
    }
}

/// A pipe in memory: reads return what was written to it. [`simplex`] returns its two halves.
pub struct SimplexStream {
    bytes: VecDeque<u8>,
    max_bytes: usize,
    is_closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

debug_struct!([] SimplexStream as "SimplexStream", self => {
    buffered: self.bytes.len(),
    capacity: self.max_bytes,
    is_closed: self.is_closed,
});

/// Wakers of one operation (`user-code-outside-lock`).
#[derive(Default)]
#[must_use]
struct DeferredWakers {
    /// Woken when the lock is released.
    wake: Option<Waker>,
    /// Dropped when the lock is released.
    discard: Option<Waker>,
    /// A clone of the polling task's waker, made before the lock was taken.
    fresh: Option<Waker>,
    /// The operation has to wait and has no fresh waker: the caller repeats it with one.
    needs_fresh: bool,
}

impl DeferredWakers {
    fn run(self) {
        if let Some(waker) = self.wake {
            wake_guarded(waker);
        }
        drop(self.discard);
        drop(self.fresh);
    }

    /// Stores the polling task's waker in `slot`.
    fn keep_in(&mut self, slot: &mut Option<Waker>, cx: &Context<'_>) {
        if slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        match self.fresh.take() {
            Some(fresh) => self.discard = slot.replace(fresh),
            None => self.needs_fresh = true,
        }
    }
}

impl SimplexStream {
    /// Creates a pipe as one stream: reads return what was written to it.
    ///
    /// # Panics
    /// If `max_buf_size` is zero.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt, SimplexStream};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut pipe = SimplexStream::new_unsplit(64);
    /// pipe.write_all(b"salmon").await?;
    /// pipe.shutdown().await?;
    /// let mut text = String::new();
    /// pipe.read_to_string(&mut text).await?;
    /// assert_eq!(text, "salmon");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn new_unsplit(max_buf_size: usize) -> SimplexStream {
        assert!(
            max_buf_size > 0,
            "`max_buf_size` is 0: every write to the pipe would wait forever. \
             Give it room for at least one byte."
        );
        SimplexStream { bytes: VecDeque::new(), max_bytes: max_buf_size, is_closed: false, reader: None, writer: None }
    }

    fn read_into(
        &mut self,
        cx: &Context<'_>,
        buf: &mut ReadBuf<'_>,
        wakers: &mut DeferredWakers,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.bytes.is_empty() {
            if self.is_closed {
                return Poll::Ready(Ok(()));
            }
            wakers.keep_in(&mut self.reader, cx);
            return Poll::Pending;
        }
        let len = self.bytes.len().min(buf.remaining());
        let (front, back) = self.bytes.as_slices();
        let from_front = len.min(front.len());
        buf.put_slice(&front[..from_front]);
        buf.put_slice(&back[..len - from_front]);
        self.bytes.drain(..len);
        wakers.wake = self.writer.take();
        Poll::Ready(Ok(()))
    }

    fn write_from(
        &mut self,
        cx: &Context<'_>,
        slices: &[IoSlice<'_>],
        wakers: &mut DeferredWakers,
    ) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = self.max_bytes - self.bytes.len();
        let len = total_len(slices).min(room);
        if len == 0 {
            if total_len(slices) == 0 {
                return Poll::Ready(Ok(0));
            }
            wakers.keep_in(&mut self.writer, cx);
            return Poll::Pending;
        }
        let mut left = len;
        for slice in slices {
            let part = &slice[..left.min(slice.len())];
            self.bytes.extend(part);
            left -= part.len();
        }
        wakers.wake = self.reader.take();
        Poll::Ready(Ok(len))
    }

    /// Ends the writing direction: what is buffered can still be read, then the stream ends.
    fn close_for_writing(&mut self) -> DeferredWakers {
        self.is_closed = true;
        DeferredWakers { wake: self.reader.take(), discard: self.writer.take(), ..DeferredWakers::default() }
    }

    /// Ends the reading direction: writes fail from now on.
    fn close_for_reading(&mut self) -> DeferredWakers {
        self.is_closed = true;
        self.bytes = VecDeque::new();
        DeferredWakers { wake: self.writer.take(), discard: self.reader.take(), ..DeferredWakers::default() }
    }
}

/// Runs one operation on a pipe: charges the budget, wakes the wakers after it, and records the wait if it has to wait.
fn poll_pipe<T>(
    cx: &mut Context<'_>,
    kind: WaitKind,
    mut operation: impl FnMut(&Context<'_>, &mut DeferredWakers) -> Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    let unit = ready!(poll_proceed(cx));
    let mut wakers = DeferredWakers::default();
    let mut result = operation(cx, &mut wakers);
    if wakers.needs_fresh {
        wakers.fresh = Some(cx.waker().clone());
        result = operation(cx, &mut wakers);
    }
    wakers.run();
    if result.is_ready() {
        unit.made_progress();
    } else {
        waiting::record(kind, None);
    }
    result
}

impl AsyncRead for SimplexStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        poll_pipe(cx, WaitKind::Readable, |cx, wakers| this.read_into(cx, buf, wakers))
    }
}

impl AsyncWrite for SimplexStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        poll_pipe(cx, WaitKind::Writable, |cx, wakers| this.write_from(cx, bufs, wakers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let wakers = this.close_for_writing();
        wakers.run();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for DuplexStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        poll_pipe(cx, WaitKind::Readable, |cx, wakers| this.read.lock().read_into(cx, buf, wakers))
    }
}

impl AsyncWrite for DuplexStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        poll_pipe(cx, WaitKind::Writable, |cx, wakers| this.write.lock().write_from(cx, bufs, wakers))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let wakers = this.write.lock().close_for_writing();
        wakers.run();
        Poll::Ready(Ok(()))
    }
}

/// Ends both directions.
impl Drop for DuplexStream {
    fn drop(&mut self) {
        let wakers = self.write.lock().close_for_writing();
        wakers.run();
        let wakers = self.read.lock().close_for_reading();
        wakers.run();
    }
}

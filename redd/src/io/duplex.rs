//! `duplex` and `simplex`: streams whose other side is in the same process, over a buffer in memory.
//!
//! Called by programs, above all in tests of protocols.
//!
//! # Invariants
//! - `foreign-code-outside`: wakers are woken and dropped after the lock of the pipe was let go (`Afterwards`).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::write::total_len;
use super::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf, split};
use crate::collections::wake_list::wake_guarded;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::{Arc, Mutex};
use crate::task::coop::poll_proceed;

/// Makes two streams: what is written to one is read from the other.
///
/// - A writer waits while `max_buf_size` bytes of its direction are unread.
/// - Dropping one side ends the reading of the other, after what is buffered, and fails its writing with
///   [`ErrorKind::BrokenPipe`].
///
/// # Panics
/// If `max_buf_size` is zero.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (mut client, mut server) = redd::io::duplex(64);
/// client.write_all(b"ping").await?;
/// drop(client);
/// let mut all = String::new();
/// server.read_to_string(&mut all).await?;
/// assert_eq!(all, "ping");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn duplex(max_buf_size: usize) -> (DuplexStream, DuplexStream) {
    let there = Arc::new(Mutex::new(SimplexStream::new_unsplit(max_buf_size)));
    let back = Arc::new(Mutex::new(SimplexStream::new_unsplit(max_buf_size)));
    let one = DuplexStream { read: Arc::clone(&back), write: Arc::clone(&there) };
    let other = DuplexStream { read: there, write: back };
    (one, other)
}

/// Makes a pipe: what is written to one half is read from the other.
///
/// - A writer waits while `max_buf_size` bytes are unread.
/// - Dropping the writing half does not end the reading, and dropping the reading half does not fail the writing:
///   call [`shutdown`](super::AsyncWriteExt::shutdown). [`duplex`] does both.
///
/// # Panics
/// If `max_buf_size` is zero.
#[track_caller]
pub fn simplex(max_buf_size: usize) -> (ReadHalf<SimplexStream>, WriteHalf<SimplexStream>) {
    split(SimplexStream::new_unsplit(max_buf_size))
}

/// One side of a stream in memory. Made by [`duplex`].
#[derive(Debug)]
pub struct DuplexStream {
    read: Arc<Mutex<SimplexStream>>,
    write: Arc<Mutex<SimplexStream>>,
}

/// A pipe in memory, of which one reads what was written to it. [`simplex`] makes one in two halves.
#[derive(Debug)]
pub struct SimplexStream {
    bytes: VecDeque<u8>,
    max_bytes: usize,
    is_closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Wakers to be woken and dropped once the lock is let go (`foreign-code-outside`).
#[derive(Default)]
#[must_use]
struct Afterwards {
    wake: Option<Waker>,
    discard: Option<Waker>,
}

impl Afterwards {
    fn run(self) {
        if let Some(waker) = self.wake {
            wake_guarded(waker);
        }
        drop(self.discard);
    }
}

/// Keeps the waker of the task that polls now; the one before it is to be dropped outside.
fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match slot {
        Some(waker) if waker.will_wake(cx.waker()) => None,
        Some(_) | None => slot.replace(cx.waker().clone()),
    }
}

impl SimplexStream {
    /// A pipe in one piece: it reads what was written to it.
    ///
    /// # Panics
    /// If `max_buf_size` is zero.
    #[track_caller]
    pub fn new_unsplit(max_buf_size: usize) -> SimplexStream {
        assert!(
            max_buf_size > 0,
            "a pipe was asked for that holds 0 bytes: every write would wait for ever. \
             Give it room for at least one byte."
        );
        SimplexStream { bytes: VecDeque::new(), max_bytes: max_buf_size, is_closed: false, reader: None, writer: None }
    }

    fn read_into(
        &mut self,
        cx: &Context<'_>,
        buf: &mut ReadBuf<'_>,
        afterwards: &mut Afterwards,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.bytes.is_empty() {
            if self.is_closed {
                return Poll::Ready(Ok(()));
            }
            afterwards.discard = keep(&mut self.reader, cx);
            return Poll::Pending;
        }
        let len = self.bytes.len().min(buf.remaining());
        let (front, back) = self.bytes.as_slices();
        let from_front = len.min(front.len());
        buf.put_slice(&front[..from_front]);
        buf.put_slice(&back[..len - from_front]);
        self.bytes.drain(..len);
        afterwards.wake = self.writer.take();
        Poll::Ready(Ok(()))
    }

    fn write_from(
        &mut self,
        cx: &Context<'_>,
        pieces: &[IoSlice<'_>],
        afterwards: &mut Afterwards,
    ) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = self.max_bytes - self.bytes.len();
        let len = total_len(pieces).min(room);
        if len == 0 {
            if total_len(pieces) == 0 {
                return Poll::Ready(Ok(0));
            }
            afterwards.discard = keep(&mut self.writer, cx);
            return Poll::Pending;
        }
        let mut left = len;
        for piece in pieces {
            let part = &piece[..left.min(piece.len())];
            self.bytes.extend(part);
            left -= part.len();
        }
        afterwards.wake = self.reader.take();
        Poll::Ready(Ok(len))
    }

    /// Nothing more is written: what is buffered can be read, then comes the end.
    fn close_for_writing(&mut self) -> Afterwards {
        self.is_closed = true;
        Afterwards { wake: self.reader.take(), discard: self.writer.take() }
    }

    /// Nothing more is read: writing fails.
    fn close_for_reading(&mut self) -> Afterwards {
        self.is_closed = true;
        self.bytes = VecDeque::new();
        Afterwards { wake: self.writer.take(), discard: self.reader.take() }
    }
}

/// Runs one operation on a pipe: with the budget, with the wakers after it, and with a note if it has to wait.
fn poll_pipe<T>(
    cx: &mut Context<'_>,
    kind: WaitKind,
    operation: impl FnOnce(&Context<'_>, &mut Afterwards) -> Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    let unit = ready!(poll_proceed(cx));
    let mut afterwards = Afterwards::default();
    let result = operation(cx, &mut afterwards);
    afterwards.run();
    if result.is_ready() {
        unit.made_progress();
    } else {
        waiting::note(kind, None);
    }
    result
}

impl AsyncRead for SimplexStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_pipe(cx, WaitKind::Readable, |cx, afterwards| self.read_into(cx, buf, afterwards))
    }
}

impl AsyncWrite for SimplexStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close_for_writing().run();
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_pipe(cx, WaitKind::Writable, |cx, afterwards| self.write_from(cx, bufs, afterwards))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl AsyncRead for DuplexStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        poll_pipe(cx, WaitKind::Readable, |cx, afterwards| self.read.lock().read_into(cx, buf, afterwards))
    }
}

impl AsyncWrite for DuplexStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let afterwards = self.write.lock().close_for_writing();
        afterwards.run();
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_pipe(cx, WaitKind::Writable, |cx, afterwards| self.write.lock().write_from(cx, bufs, afterwards))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

/// Both directions end.
impl Drop for DuplexStream {
    fn drop(&mut self) {
        let afterwards = self.write.lock().close_for_writing();
        afterwards.run();
        let afterwards = self.read.lock().close_for_reading();
        afterwards.run();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block_on, poll_once};
    use super::super::{AsyncReadExt, AsyncWriteExt};
    use super::*;
    use proptest::prelude::*;
    use std::pin::pin;
    // `Wake` knows only std's.
    use std::sync::Arc;
    use std::task::Wake;

    #[test]
    fn what_is_written_to_one_side_is_read_from_the_other() {
        block_on(async {
            let (mut a, mut b) = duplex(32);
            let mut word = [0; 4];
            a.write_all(b"ping").await.unwrap();
            b.write_all(b"pong").await.unwrap();
            b.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"ping");
            a.read_exact(&mut word).await.unwrap();
            assert_eq!(&word, b"pong");
        });
    }

    #[test]
    fn dropping_one_side_ends_reading_and_fails_writing_of_the_other() {
        block_on(async {
            let (mut a, mut b) = duplex(4);
            a.write_all(b"last").await.unwrap();
            assert!(poll_once(pin!(a.write_all(b"more"))).is_pending());
            drop(a);
            let mut all = Vec::new();
            b.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"last");
            for bytes in [&b"x"[..], b""] {
                assert_eq!(b.write(bytes).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
        });
    }

    #[test]
    fn operations_of_no_bytes_never_wait() {
        block_on(async {
            let (mut a, mut b) = duplex(1);
            assert_eq!(b.read(&mut []).await.unwrap(), 0);
            a.write_all(b"x").await.unwrap();
            assert_eq!(a.write(&[]).await.unwrap(), 0);
            assert_eq!(a.write_vectored(&[IoSlice::new(&[])]).await.unwrap(), 0);
        });
    }

    #[test]
    fn a_simplex_ends_only_at_its_shutdown() {
        block_on(async {
            let (mut reader, mut writer) = simplex(8);
            writer.write_all(b"salmon").await.unwrap();
            writer.shutdown().await.unwrap();
            assert_eq!(writer.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"salmon");
        });
    }

    #[test]
    #[should_panic(expected = "Give it room for at least one byte")]
    fn a_pipe_without_room_panics() {
        duplex(0);
    }

    /// A waker that uses the same pipe when it is woken or dropped: it would hang under the lock.
    struct Meddling(DuplexStream);
    impl Wake for Meddling {
        fn wake(self: Arc<Self>) {
            let _ = format!("{:?}", self.0);
        }
    }

    #[test]
    fn wakers_are_woken_and_dropped_outside_of_the_lock() {
        let (mut reader, peer) = duplex(1);
        let waker = Waker::from(Arc::new(Meddling(peer)));
        let mut read = pin!(async { reader.read(&mut [0; 1]).await });
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        // Replacing the waker drops the peer, which locks the pipe, closes it, and leaves the end to be read.
        assert!(poll_once(read.as_mut()).is_pending());
        assert!(matches!(poll_once(read.as_mut()), Poll::Ready(Ok(0))));

        let (mut reader, mut writer) = duplex(1);
        let (other, _peer) = duplex(1);
        let waker = Waker::from(Arc::new(Meddling(other)));
        let mut read = pin!(async { reader.read(&mut [0; 1]).await });
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        block_on(writer.write_all(b"x")).unwrap();
        assert!(matches!(poll_once(read.as_mut()), Poll::Ready(Ok(1))));
    }

    proptest! {
        #[test]
        fn a_pipe_is_a_bounded_queue_of_bytes(steps in proptest::collection::vec((any::<bool>(), 0..9_usize), 0..60), max in 1..8_usize) {
            let mut pipe = SimplexStream::new_unsplit(max);
            let mut model: VecDeque<u8> = VecDeque::new();
            let mut next = 0_u8;
            for (is_write, len) in steps {
                if is_write {
                    let bytes: Vec<u8> = (0..len).map(|i| next.wrapping_add(i as u8)).collect();
                    let halves = bytes.split_at(len / 2);
                    let pieces = [IoSlice::new(halves.0), IoSlice::new(halves.1)];
                    let room = max - model.len();
                    match poll_once(pin!(pipe.write_vectored(&pieces))) {
                        Poll::Pending => prop_assert!(room == 0 && len > 0),
                        Poll::Ready(written) => {
                            let written = written.unwrap();
                            prop_assert_eq!(written, len.min(room));
                            model.extend(&bytes[..written]);
                            next = next.wrapping_add(written as u8);
                        }
                    }
                } else {
                    let mut buf = vec![0; len];
                    match poll_once(pin!(pipe.read(&mut buf))) {
                        Poll::Pending => prop_assert!(model.is_empty() && len > 0),
                        Poll::Ready(read) => {
                            let read = read.unwrap();
                            prop_assert_eq!(read, len.min(model.len()));
                            prop_assert_eq!(&buf[..read], &model.drain(..read).collect::<Vec<_>>()[..]);
                        }
                    }
                }
            }
        }
    }
}

//! `BufReader`: fewer, larger reads.
//!
//! # Invariants
//! - `window`: `start <= end <= buf.len()`; `buf[start..end]` was read and not yet used.

use std::fmt;
use std::io::{self, IoSlice, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, DEFAULT_BUFFER_BYTES, ReadBuf};

pin_project! {
    /// Buffers what is read from the inner reader, in pieces of 8 KiB unless the caller says otherwise.
    ///
    /// - A read of at least the buffer's size goes past an empty buffer.
    /// - Seeking discards the buffer.
    /// - Dropping it, or [`into_inner`](Self::into_inner), loses what is buffered.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (mut client, server) = redd::io::duplex(64);
    /// client.write_all(b"redd\nsalmon\n").await?;
    /// let mut line = String::new();
    /// BufReader::new(server).read_line(&mut line).await?;
    /// assert_eq!(line, "redd\n");
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub struct BufReader<R> {
        #[pin]
        pub(super) inner: R,
        pub(super) window: Window,
        pub(super) seek: Seeking,
    }
}

/// The buffer and the part of it that is in use.
pub(super) struct Window {
    buf: Box<[u8]>,
    start: usize,
    end: usize,
}

/// Where a seek stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seeking {
    Idle,
    /// `start_seek` was called.
    Requested(SeekFrom),
    /// The inner reader moves back to where the buffer starts; from there it goes so far.
    SecondLeg(i64),
    /// The inner reader moves to the final position.
    InFlight,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn discard(&mut self) {
        self.start = 0;
        self.end = 0;
    }

    fn consume(&mut self, len: usize) {
        self.start = self.end.min(self.start.saturating_add(len));
    }
}

impl<R: AsyncRead> BufReader<R> {
    /// With a buffer of 8 KiB.
    pub fn new(inner: R) -> Self {
        Self::with_capacity(DEFAULT_BUFFER_BYTES, inner)
    }

    /// With a buffer of so many bytes.
    ///
    /// # Panics
    /// If `capacity` is zero.
    #[track_caller]
    pub fn with_capacity(capacity: usize, inner: R) -> Self {
        assert!(
            capacity > 0,
            "the read buffer's capacity must be greater than zero: nothing could ever be read through it"
        );
        Self {
            inner,
            window: Window { buf: vec![0; capacity].into_boxed_slice(), start: 0, end: 0 },
            seek: Seeking::Idle,
        }
    }

    /// The inner reader.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The inner reader; what is read from it directly comes after what is buffered.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The inner reader, pinned; what is read from it directly comes after what is buffered.
    pub fn get_pin_mut(self: Pin<&mut Self>) -> Pin<&mut R> {
        self.project().inner
    }

    /// Gives the inner reader back; what is [buffered](Self::buffer) is lost.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The bytes that were read and not yet used; reads nothing.
    pub fn buffer(&self) -> &[u8] {
        self.window.bytes()
    }
}

impl<R: AsyncRead> AsyncRead for BufReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.as_mut().project();
        if this.window.is_empty() && buf.remaining() >= this.window.buf.len() {
            ready!(this.inner.poll_read(cx, buf))?;
            this.window.discard();
            return Poll::Ready(Ok(()));
        }
        let bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let len = bytes.len().min(buf.remaining());
        buf.put_slice(&bytes[..len]);
        self.consume(len);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead> AsyncBufRead for BufReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        let window = this.window;
        if window.is_empty() {
            let mut buf = ReadBuf::new(&mut window.buf);
            let start = buf.start();
            ready!(this.inner.poll_read(cx, &mut buf))?;
            // Keeps `window`: the figure is about our buffer.
            buf.assert_still(start);
            let end = buf.filled().len();
            window.start = 0;
            window.end = end;
        }
        Poll::Ready(Ok(window.bytes()))
    }

    fn consume(self: Pin<&mut Self>, amt: usize) {
        self.project().window.consume(amt);
    }
}

impl<R: AsyncRead + AsyncSeek> AsyncSeek for BufReader<R> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        // The inner reader is asked in `poll_complete`, which can do so twice.
        *self.project().seek = Seeking::Requested(position);
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let mut this = self.project();
        loop {
            let next = match *this.seek {
                Seeking::Idle => {
                    let position = ready!(this.inner.poll_complete(cx))?;
                    let buffered = this.window.bytes().len() as u64;
                    return Poll::Ready(Ok(position.saturating_sub(buffered)));
                }
                Seeking::Requested(SeekFrom::Current(distance)) => {
                    // The inner reader is ahead of ours by what is buffered; memory is at most `i64::MAX` bytes.
                    let ahead = this.window.bytes().len() as i64;
                    match distance.checked_sub(ahead) {
                        Some(distance) => (SeekFrom::Current(distance), Seeking::InFlight),
                        None => (SeekFrom::Current(-ahead), Seeking::SecondLeg(distance)),
                    }
                }
                Seeking::Requested(position) => (position, Seeking::InFlight),
                Seeking::SecondLeg(distance) => {
                    let result = ready!(this.inner.as_mut().poll_complete(cx));
                    *this.seek = Seeking::Idle;
                    result?;
                    this.window.discard();
                    (SeekFrom::Current(distance), Seeking::InFlight)
                }
                Seeking::InFlight => {
                    let result = ready!(this.inner.poll_complete(cx));
                    *this.seek = Seeking::Idle;
                    let position = result?;
                    this.window.discard();
                    return Poll::Ready(Ok(position));
                }
            };
            let (position, state) = next;
            *this.seek = Seeking::Idle;
            this.inner.as_mut().start_seek(position)?;
            *this.seek = state;
        }
    }
}

/// Writes go past the read buffer.
impl<R: AsyncRead + AsyncWrite> AsyncWrite for BufReader<R> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_pin_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_pin_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_pin_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_pin_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

impl<R: fmt::Debug> fmt::Debug for BufReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufReader")
            .field("reader", &self.inner)
            .field("buffered", &self.window.bytes().len())
            .field("capacity", &self.window.buf.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Script, Step, block_on};
    use super::super::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt};
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufRead as _, Cursor, Read as _, Seek as _};

    #[derive(Clone, Debug)]
    enum Op {
        Read(usize),
        Fill,
        Consume(usize),
        Seek(SeekFrom),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..12_usize).prop_map(Op::Read),
            Just(Op::Fill),
            (0..6_usize).prop_map(Op::Consume),
            (0..40_u64).prop_map(|n| Op::Seek(SeekFrom::Start(n))),
            (-40..40_i64).prop_map(|n| Op::Seek(SeekFrom::Current(n))),
            (-40..10_i64).prop_map(|n| Op::Seek(SeekFrom::End(n))),
            Just(Op::Seek(SeekFrom::Current(i64::MIN))),
        ]
    }

    proptest! {
        #[test]
        fn reading_and_seeking_agree_with_std(ops in proptest::collection::vec(op(), 0..30), capacity in 1..9_usize) {
            let bytes: Vec<u8> = (0..32).collect();
            let mut ours = BufReader::with_capacity(capacity, Cursor::new(bytes.clone()));
            let mut theirs = std::io::BufReader::with_capacity(capacity, Cursor::new(bytes));
            block_on(async {
                for op in ops {
                    match op {
                        Op::Read(len) => {
                            let (mut a, mut b) = (vec![0; len], vec![0; len]);
                            prop_assert_eq!(ours.read(&mut a).await.unwrap(), theirs.read(&mut b).unwrap());
                            prop_assert_eq!(a, b);
                        }
                        Op::Fill => prop_assert_eq!(ours.fill_buf().await.unwrap(), theirs.fill_buf().unwrap()),
                        Op::Consume(len) => {
                            let len = len.min(ours.buffer().len());
                            ours.consume(len);
                            theirs.consume(len);
                        }
                        Op::Seek(position) => {
                            let (a, b) = (ours.seek(position).await, theirs.seek(position));
                            prop_assert_eq!(a.ok(), b.ok());
                        }
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn large_reads_go_past_an_empty_buffer() {
        block_on(async {
            let mut reader = BufReader::with_capacity(2, Script::reading(&[Step::Data(b"salmon")]));
            let mut buf = [0; 3];
            assert_eq!(reader.read(&mut buf).await.unwrap(), 3);
            assert_eq!(reader.buffer(), b"");
            assert_eq!(reader.read(&mut buf[..1]).await.unwrap(), 1);
            assert_eq!(reader.buffer(), b"o");
            assert_eq!(reader.read(&mut buf).await.unwrap(), 1);
        });
    }

    #[test]
    #[should_panic(expected = "capacity must be greater than zero")]
    fn a_buffer_of_no_bytes_panics() {
        BufReader::with_capacity(0, &b""[..]);
    }
}

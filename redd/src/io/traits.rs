//! The four traits `AsyncRead`, `AsyncBufRead`, `AsyncWrite` and `AsyncSeek`, and their implementations for boxes,
//! references, pinned pointers and memory.
//!
//! Called by the `…Ext` traits and by every adapter.

use std::io::{self, Cursor, IoSlice, Seek, SeekFrom};
use std::ops::DerefMut;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::ReadBuf;

/// Reads bytes without blocking the thread; the asynchronous counterpart of [`std::io::Read`].
///
/// User code calls the methods of [`AsyncReadExt`](super::AsyncReadExt), and implements this trait for its own readers.
///
/// # Examples
/// ```
/// use redd::io::{AsyncRead, AsyncReadExt, ReadBuf};
/// use std::io::Result;
/// use std::pin::Pin;
/// use std::task::{Context, Poll, ready};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// /// Reads text in upper case.
/// struct Shout<R>(R);
///
/// impl<R: AsyncRead + Unpin> AsyncRead for Shout<R> {
///     fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
///         let filled_before = buf.filled().len();
///         ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
///         buf.filled_mut()[filled_before..].make_ascii_uppercase();
///         Poll::Ready(Ok(()))
///     }
/// }
///
/// let mut text = String::new();
/// Shout(&b"salmon"[..]).read_to_string(&mut text).await?;
/// assert_eq!(text, "SALMON");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub trait AsyncRead {
    /// Tries to append bytes to the filled part of `buf`.
    ///
    /// - `Ready(Ok(()))` with bytes added: there may be more. Without any: end of the stream, or `buf` had no room.
    /// - `Pending`: nothing was added; the task is woken when there may be something to read.
    /// - An implementation fills the `buf` that it was given; it must not replace it with another one.
    ///
    /// # Errors
    /// The errors of the reader; nothing was added to `buf`.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>>;
}

/// The method of `AsyncRead`, for a pointer to a reader.
macro_rules! delegate_read {
    ($self:ident => $inner:expr) => {
        fn poll_read($self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            $inner.poll_read(cx, buf)
        }
    };
}

impl<T: ?Sized + AsyncRead + Unpin> AsyncRead for Box<T> {
    delegate_read!(self => Pin::new(&mut **self.get_mut()));
}

impl<T: ?Sized + AsyncRead + Unpin> AsyncRead for &mut T {
    delegate_read!(self => Pin::new(&mut **self.get_mut()));
}

impl<P> AsyncRead for Pin<P>
where
    P: DerefMut,
    P::Target: AsyncRead,
{
    delegate_read!(self => self.as_deref_mut());
}

/// Never pending. A read removes its bytes from the front of the slice.
impl AsyncRead for &[u8] {
    fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (head, tail) = self.split_at(self.len().min(buf.remaining()));
        buf.put_slice(head);
        *self = tail;
        Poll::Ready(Ok(()))
    }
}

/// Never pending. A position after the end reads as the end.
impl<T: AsRef<[u8]> + Unpin> AsyncRead for Cursor<T> {
    fn poll_read(mut self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let rest = rest_of(&self);
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        let position = self.position() + len as u64;
        self.set_position(position);
        Poll::Ready(Ok(()))
    }
}

/// The bytes of a cursor from its position on.
pub(super) fn rest_of<T: AsRef<[u8]>>(cursor: &Cursor<T>) -> &[u8] {
    let bytes = cursor.get_ref().as_ref();
    let start = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
    bytes.get(start..).unwrap_or_default()
}

/// Reads through a buffer that the reader owns; the asynchronous counterpart of [`std::io::BufRead`].
///
/// User code calls the methods of [`AsyncBufReadExt`](super::AsyncBufReadExt).
///
/// # Examples
/// ```
/// use redd::io::AsyncBufRead;
/// use std::future::poll_fn;
/// use std::pin::Pin;
///
/// /// The next byte, left in the buffer.
/// async fn peek(reader: &mut (impl AsyncBufRead + Unpin)) -> redd::io::Result<Option<u8>> {
///     poll_fn(|cx| Pin::new(&mut *reader).poll_fill_buf(cx).map_ok(|bytes| bytes.first().copied())).await
/// }
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut reader = &b"spawn"[..];
/// assert_eq!(peek(&mut reader).await?, Some(b's'));
/// Pin::new(&mut reader).consume(1);
/// assert_eq!(peek(&mut reader).await?, Some(b'p'));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub trait AsyncBufRead: AsyncRead {
    /// Returns the buffered bytes, after reading some if there were none. Empty at the end of the stream.
    ///
    /// - The bytes stay in the buffer until they are [consumed](Self::consume).
    /// - `Pending`: the task is woken when there may be something to read.
    ///
    /// # Errors
    /// The errors of the reader.
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>>;

    /// Removes the first `amt` bytes from the buffer: they have been used.
    ///
    /// - `amt` is at most the length of what `poll_fill_buf` has returned last; more may panic.
    fn consume(self: Pin<&mut Self>, amt: usize);
}

/// The methods of `AsyncBufRead`, for a pointer to a reader.
macro_rules! delegate_buf_read {
    ($self:ident => $inner:expr) => {
        fn poll_fill_buf($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            $inner.poll_fill_buf(cx)
        }

        fn consume($self: Pin<&mut Self>, amt: usize) {
            $inner.consume(amt);
        }
    };
}

impl<T: ?Sized + AsyncBufRead + Unpin> AsyncBufRead for Box<T> {
    delegate_buf_read!(self => Pin::new(&mut **self.get_mut()));
}

impl<T: ?Sized + AsyncBufRead + Unpin> AsyncBufRead for &mut T {
    delegate_buf_read!(self => Pin::new(&mut **self.get_mut()));
}

impl<P> AsyncBufRead for Pin<P>
where
    P: DerefMut,
    P::Target: AsyncBufRead,
{
    delegate_buf_read!(self => self.as_deref_mut());
}

impl AsyncBufRead for &[u8] {
    fn poll_fill_buf(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(*self))
    }

    fn consume(mut self: Pin<&mut Self>, amt: usize) {
        *self = &self[amt..];
    }
}

impl<T: AsRef<[u8]> + Unpin> AsyncBufRead for Cursor<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Ok(rest_of(self.get_mut())))
    }

    fn consume(mut self: Pin<&mut Self>, amt: usize) {
        let position = self.position() + amt as u64;
        self.set_position(position);
    }
}

/// Writes bytes without blocking the thread; the asynchronous counterpart of [`std::io::Write`].
///
/// User code calls the methods of [`AsyncWriteExt`](super::AsyncWriteExt), and implements this trait for its own
/// writers.
///
/// # Examples
/// ```
/// use redd::io::{AsyncWrite, AsyncWriteExt};
/// use std::io::Result;
/// use std::pin::Pin;
/// use std::task::{Context, Poll, ready};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// /// Counts the bytes that go through it.
/// struct Counted<W> {
///     inner: W,
///     bytes: usize,
/// }
///
/// impl<W: AsyncWrite + Unpin> AsyncWrite for Counted<W> {
///     fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
///         let len = ready!(Pin::new(&mut self.inner).poll_write(cx, buf))?;
///         self.bytes += len;
///         Poll::Ready(Ok(len))
///     }
///
///     fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
///         Pin::new(&mut self.inner).poll_flush(cx)
///     }
///
///     fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
///         Pin::new(&mut self.inner).poll_shutdown(cx)
///     }
/// }
///
/// let mut writer = Counted { inner: redd::io::sink(), bytes: 0 };
/// writer.write_all(b"salmon").await?;
/// assert_eq!(writer.bytes, 6);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub trait AsyncWrite {
    /// Tries to write some bytes from the front of `buf` and returns their number.
    ///
    /// - `Ready(Ok(0))`: the writer accepts no more bytes, or `buf` is empty.
    /// - `Pending`: nothing was written; the task is woken when the writer may accept bytes again.
    ///
    /// # Errors
    /// The errors of the writer; no byte of `buf` was written.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Tries to deliver everything written so far to its destination.
    ///
    /// # Errors
    /// The errors of the writer; some of the bytes may not have arrived.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries to flush, and to signal the end of the stream to the peer.
    ///
    /// - After the first call, nothing more may be written.
    ///
    /// # Errors
    /// The errors of the writer.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tries to write from several slices, taken as one sequence, as [`poll_write`](Self::poll_write) does.
    ///
    /// - The default implementation writes from the first slice that is not empty.
    ///
    /// # Errors
    /// As `poll_write`.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write(cx, first_nonempty(bufs))
    }

    /// Returns whether `poll_write_vectored` writes from more than one slice. If not, callers had better join small
    /// slices.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

/// The first slice that is not empty.
pub(super) fn first_nonempty<'a>(slices: &'a [IoSlice<'_>]) -> &'a [u8] {
    slices.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| &**slice)
}

/// The number of bytes in all slices.
pub(super) fn total_len(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().fold(0, |total, slice| total.saturating_add(slice.len()))
}

/// The methods of `AsyncWrite`, for a pointer to a writer.
macro_rules! delegate_write {
    ($self:ident => $inner:expr) => {
        fn poll_write($self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            $inner.poll_write(cx, buf)
        }

        fn poll_flush($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            $inner.poll_flush(cx)
        }

        fn poll_shutdown($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            $inner.poll_shutdown(cx)
        }

        fn poll_write_vectored(
            $self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            $inner.poll_write_vectored(cx, bufs)
        }

        fn is_write_vectored(&$self) -> bool {
            (**$self).is_write_vectored()
        }
    };
}

impl<T: ?Sized + AsyncWrite + Unpin> AsyncWrite for Box<T> {
    delegate_write!(self => Pin::new(&mut **self.get_mut()));
}

impl<T: ?Sized + AsyncWrite + Unpin> AsyncWrite for &mut T {
    delegate_write!(self => Pin::new(&mut **self.get_mut()));
}

impl<P> AsyncWrite for Pin<P>
where
    P: DerefMut,
    P::Target: AsyncWrite,
{
    delegate_write!(self => self.as_deref_mut());
}

/// The methods of `AsyncWrite`, for memory: never pending, nothing to flush, and a write is the one of
/// `std::io::Write`.
macro_rules! write_to_memory {
    () => {
        fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(io::Write::write(self.get_mut(), buf))
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            bufs: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(io::Write::write_vectored(self.get_mut(), bufs))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }
    };
}

/// Appends.
impl AsyncWrite for Vec<u8> {
    write_to_memory!();
}

/// Overwrites bytes from the position on, and accepts none after the end.
impl AsyncWrite for Cursor<&mut [u8]> {
    write_to_memory!();
}

/// Overwrites bytes from the position on, and grows.
impl AsyncWrite for Cursor<&mut Vec<u8>> {
    write_to_memory!();
}

/// Overwrites bytes from the position on, and grows.
impl AsyncWrite for Cursor<Vec<u8>> {
    write_to_memory!();
}

/// Overwrites bytes from the position on, and accepts none after the end.
impl AsyncWrite for Cursor<Box<[u8]>> {
    write_to_memory!();
}

/// Moves the position in a stream without blocking the thread; the asynchronous counterpart of [`std::io::Seek`].
///
/// User code calls the methods of [`AsyncSeekExt`](super::AsyncSeekExt).
///
/// # Examples
/// ```
/// use redd::io::{AsyncSeek, SeekFrom};
/// use std::future::poll_fn;
/// use std::io::Cursor;
/// use std::pin::Pin;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut cursor = Cursor::new("hello");
/// Pin::new(&mut cursor).start_seek(SeekFrom::End(-2))?;
/// let position = poll_fn(|cx| Pin::new(&mut cursor).poll_complete(cx)).await?;
/// assert_eq!(position, 3);
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub trait AsyncSeek {
    /// Starts to move the position; [`poll_complete`](Self::poll_complete) reports its end.
    ///
    /// - Call `poll_complete` first: an operation in progress may make it fail.
    ///
    /// # Errors
    /// An error if the stream cannot move there, or not now.
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()>;

    /// Waits for the seek that was started and returns the position, in bytes from the start.
    ///
    /// - Without a seek in progress it returns at once; the value then depends on the stream.
    ///
    /// # Errors
    /// The error of the seek.
    fn poll_complete(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>>;
}

/// The methods of `AsyncSeek`, for a pointer to a stream.
macro_rules! delegate_seek {
    ($self:ident => $inner:expr) => {
        fn start_seek($self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
            $inner.start_seek(position)
        }

        fn poll_complete($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
            $inner.poll_complete(cx)
        }
    };
}

impl<T: ?Sized + AsyncSeek + Unpin> AsyncSeek for Box<T> {
    delegate_seek!(self => Pin::new(&mut **self.get_mut()));
}

impl<T: ?Sized + AsyncSeek + Unpin> AsyncSeek for &mut T {
    delegate_seek!(self => Pin::new(&mut **self.get_mut()));
}

impl<P> AsyncSeek for Pin<P>
where
    P: DerefMut,
    P::Target: AsyncSeek,
{
    delegate_seek!(self => self.as_deref_mut());
}

/// Never pending.
impl<T: AsRef<[u8]> + Unpin> AsyncSeek for Cursor<T> {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        self.get_mut().seek(position).map(drop)
    }

    fn poll_complete(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position()))
    }
}

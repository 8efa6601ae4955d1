//! `split`: the two directions of a stream as two values.
//!
//! # Invariants
//! - `stays-put`: the stream never moves while it is in the `Arc`. Only `unsplit` takes it out, and requires `Unpin`.

#![expect(unsafe_code, reason = "pins a stream that is behind a lock")]

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{AsyncRead, AsyncWrite, ReadBuf};
use crate::primitives::{Arc, Mutex, MutexGuard};

/// Splits a stream into a read half and a write half, for two tasks.
///
/// - Each operation locks the stream for one poll. `TcpStream`, `UnixStream` and others have a `split` method that
///   needs no lock.
/// - [`ReadHalf::unsplit`] joins the halves again.
/// - Dropping the write half does not shut the stream down; call
///   [`shutdown`](super::AsyncWriteExt::shutdown) for that.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let (client, mut server) = redd::io::duplex(64);
/// let (mut reader, mut writer) = redd::io::split(client);
/// writer.write_all(b"ping").await?;
/// server.write_all(b"pong").await?;
/// let mut word = [0; 4];
/// reader.read_exact(&mut word).await?;
/// assert_eq!(&word, b"pong");
/// let _client = reader.unsplit(writer);
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn split<T>(stream: T) -> (ReadHalf<T>, WriteHalf<T>)
where
    T: AsyncRead + AsyncWrite,
{
    let is_write_vectored = stream.is_write_vectored();
    let shared = Arc::new(SplitState { stream: Mutex::new(stream), is_write_vectored });
    let reader = ReadHalf { shared: Arc::clone(&shared) };
    (reader, WriteHalf { shared })
}

/// The read half of a stream. Made by [`split`].
pub struct ReadHalf<T> {
    shared: Arc<SplitState<T>>,
}

/// The write half of a stream. Made by [`split`].
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (stream, mut peer) = redd::io::duplex(64);
/// let (reader, mut writer) = redd::io::split(stream);
/// assert!(writer.is_pair_of(&reader));
/// writer.write_all(b"done").await?;
/// writer.shutdown().await?;
/// let mut text = String::new();
/// peer.read_to_string(&mut text).await?;
/// assert_eq!(text, "done");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct WriteHalf<T> {
    shared: Arc<SplitState<T>>,
}

struct SplitState<T> {
    stream: Mutex<T>,
    /// Read once, before the stream is locked: `is_write_vectored` must not need the lock.
    is_write_vectored: bool,
}

impl<T> SplitState<T> {
    fn lock(&self) -> Locked<'_, T> {
        Locked(self.stream.lock())
    }
}

/// Exclusive access to the stream, for one poll.
struct Locked<'a, T>(MutexGuard<'a, T>);

impl<T> Locked<'_, T> {
    fn pinned(&mut self) -> Pin<&mut T> {
        // SAFETY: `stays-put`: the `Arc` keeps the stream where it is, and `unsplit` needs `T: Unpin` to move it out.
        unsafe { Pin::new_unchecked(&mut *self.0) }
    }
}

impl<T> ReadHalf<T> {
    /// Returns whether both halves come from the same [`split`].
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (stream, other) = redd::io::duplex(64);
    /// let (reader, writer) = redd::io::split(stream);
    /// let (_, writer_of_other) = redd::io::split(other);
    /// assert!(reader.is_pair_of(&writer));
    /// assert!(!reader.is_pair_of(&writer_of_other));
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn is_pair_of(&self, other: &WriteHalf<T>) -> bool {
        other.is_pair_of(self)
    }

    /// Joins the halves of one stream and returns the stream.
    ///
    /// # Panics
    /// If they are from different streams. Check [`is_pair_of`](Self::is_pair_of) first.
    ///
    /// # Examples
    /// ```
    /// use redd::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (stream, mut peer) = redd::io::duplex(64);
    /// let (mut reader, writer) = redd::io::split(stream);
    /// peer.write_all(b"salmon").await?;
    /// reader.read_exact(&mut [0; 6]).await?;
    /// let stream = reader.unsplit(writer);
    /// drop(stream);
    /// assert_eq!(peer.read(&mut [0; 1]).await?, 0);
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn unsplit(self, wr: WriteHalf<T>) -> T
    where
        T: Unpin,
    {
        assert!(
            self.is_pair_of(&wr),
            "`ReadHalf::unsplit` was called with the half of another stream. Check `is_pair_of` first."
        );
        drop(wr);
        let Ok(shared) = Arc::try_unwrap(self.shared) else {
            unreachable!("a stream has two halves, and `unsplit` consumes both")
        };
        shared.stream.into_inner()
    }
}

impl<T> WriteHalf<T> {
    /// Returns whether both halves come from the same [`split`].
    pub fn is_pair_of(&self, other: &ReadHalf<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: AsyncRead> AsyncRead for ReadHalf<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().pinned().poll_read(cx, buf)
    }
}

impl<T: AsyncWrite> AsyncWrite for WriteHalf<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.lock().pinned().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().pinned().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().pinned().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.lock().pinned().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.shared.is_write_vectored
    }
}

// SAFETY: a shared half gives no access to the stream: it can only be compared and printed. The bound is the same as in
// Tokio.
unsafe impl<T: Sync> Sync for ReadHalf<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for WriteHalf<T> {}

debug_struct!([T: fmt::Debug] ReadHalf<T> as "ReadHalf", self => { .. });

debug_struct!([T: fmt::Debug] WriteHalf<T> as "WriteHalf", self => { .. });

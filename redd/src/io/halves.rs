//! `split`: the two directions of a stream in two hands.
//!
//! # Invariants
//! - `stays-put`: the stream never moves while it is in the `Arc`; only `unsplit` takes it out, and asks for `Unpin`.

#![expect(unsafe_code, reason = "pins a stream that is behind a lock")]

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{AsyncRead, AsyncWrite, ReadBuf};
use crate::primitives::{Arc, Mutex, MutexGuard};

/// Splits a stream into a half that reads and a half that writes, for two tasks.
///
/// - Each operation locks the stream for one poll. `TcpStream`, `UnixStream` and others have a `split` of their own
///   that does without.
/// - [`ReadHalf::unsplit`] joins them again.
/// - Dropping the writing half does not shut the stream down; call
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

/// The half that reads. Made by [`split`].
pub struct ReadHalf<T> {
    shared: Arc<SplitState<T>>,
}

/// The half that writes. Made by [`split`].
pub struct WriteHalf<T> {
    shared: Arc<SplitState<T>>,
}

struct SplitState<T> {
    stream: Mutex<T>,
    /// Asked once: the answer must not need the lock.
    is_write_vectored: bool,
}

impl<T> SplitState<T> {
    fn lock(&self) -> Locked<'_, T> {
        Locked(self.stream.lock())
    }
}

/// The stream to ourselves, for one poll.
struct Locked<'a, T>(MutexGuard<'a, T>);

impl<T> Locked<'_, T> {
    fn pinned(&mut self) -> Pin<&mut T> {
        // SAFETY: `stays-put`: the `Arc` keeps the stream where it is, and `unsplit` needs `T: Unpin` to move it out.
        unsafe { Pin::new_unchecked(&mut *self.0) }
    }
}

impl<T> ReadHalf<T> {
    /// Whether both come from the same [`split`].
    pub fn is_pair_of(&self, other: &WriteHalf<T>) -> bool {
        other.is_pair_of(self)
    }

    /// Joins the halves of one stream again.
    ///
    /// # Panics
    /// If they are from different streams; [`is_pair_of`](Self::is_pair_of) tells.
    #[track_caller]
    pub fn unsplit(self, wr: WriteHalf<T>) -> T
    where
        T: Unpin,
    {
        assert!(
            self.is_pair_of(&wr),
            "`ReadHalf::unsplit` was called with the half of another stream. Ask `is_pair_of` first."
        );
        drop(wr);
        let Ok(shared) = Arc::try_unwrap(self.shared) else {
            unreachable!("a stream has two halves, and both are here")
        };
        shared.stream.into_inner()
    }
}

impl<T> WriteHalf<T> {
    /// Whether both come from the same [`split`].
    pub fn is_pair_of(&self, other: &ReadHalf<T>) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: AsyncRead> AsyncRead for ReadHalf<T> {
    forward_read!(self => self.shared.lock().pinned());
}

impl<T: AsyncWrite> AsyncWrite for WriteHalf<T> {
    forward_write!(self => self.shared.lock().pinned(), self.shared.is_write_vectored);
}

// SAFETY: a shared half gives no access to the stream: it can only be compared and printed. The bound is Tokio's.
unsafe impl<T: Sync> Sync for ReadHalf<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for WriteHalf<T> {}

debug_struct!([T: fmt::Debug] ReadHalf<T> as "ReadHalf", self => { .. });

debug_struct!([T: fmt::Debug] WriteHalf<T> as "WriteHalf", self => { .. });

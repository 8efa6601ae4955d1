//! `duplex` and `simplex`: streams whose other side is in the same process, over a buffer in memory.
//!
//! Called by programs, above all in tests of protocols.
//!
//! # Invariants
//! - `user-code-outside-lock`: wakers are cloned before the lock of the pipe is taken, and woken and dropped after it was
//!   let go (`DeferredWakers`).

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use super::traits::total_len;
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

/// Wakers of one operation (`user-code-outside-lock`).
#[derive(Default)]
#[must_use]
struct DeferredWakers {
    /// To be woken once the lock is let go.
    wake: Option<Waker>,
    /// To be dropped once the lock is let go.
    discard: Option<Waker>,
    /// A clone of the waker of the task that polls, made before the lock was taken.
    fresh: Option<Waker>,
    /// The operation has to wait, and needs a fresh waker: repeat it with one.
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

    /// Keeps the waker of the task that polls now.
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
    /// A pipe in one slice: it reads what was written to it.
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

    /// Nothing more is written: what is buffered can be read, then comes the end.
    fn close_for_writing(&mut self) -> DeferredWakers {
        self.is_closed = true;
        DeferredWakers { wake: self.reader.take(), discard: self.writer.take(), ..DeferredWakers::default() }
    }

    /// Nothing more is read: writing fails.
    fn close_for_reading(&mut self) -> DeferredWakers {
        self.is_closed = true;
        self.bytes = VecDeque::new();
        DeferredWakers { wake: self.writer.take(), discard: self.reader.take(), ..DeferredWakers::default() }
    }
}

/// Runs one operation on a pipe: with the budget, with the wakers after it, and with a note if it has to wait.
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
        waiting::note(kind, None);
    }
    result
}

/// Reading from one pipe and writing to one: how to get at each, for as long as one operation lasts.
macro_rules! pipe_ends {
    ($Type:ty, $self:ident => $this:ident, read: $read:expr, write: $write:expr) => {
        impl AsyncRead for $Type {
            fn poll_read($self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                let $this = $self.get_mut();
                poll_pipe(cx, WaitKind::Readable, |cx, wakers| $read.read_into(cx, buf, wakers))
            }
        }

        impl AsyncWrite for $Type {
            write_pieces! {
                $self, cx, bufs => {
                    let $this = $self.get_mut();
                    poll_pipe(cx, WaitKind::Writable, |cx, wakers| $write.write_from(cx, bufs, wakers))
                }
            }

            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown($self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = $self.get_mut();
                let wakers = $write.close_for_writing();
                wakers.run();
                Poll::Ready(Ok(()))
            }
        }
    };
}

pipe_ends!(SimplexStream, self => this, read: this, write: this);
pipe_ends!(DuplexStream, self => this, read: this.read.lock(), write: this.write.lock());

/// Both directions end.
impl Drop for DuplexStream {
    fn drop(&mut self) {
        let wakers = self.write.lock().close_for_writing();
        wakers.run();
        let wakers = self.read.lock().close_for_reading();
        wakers.run();
    }
}

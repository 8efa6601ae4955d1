//! The standard streams of the process.
//!
//! Called by user code. Reads and writes run on the blocking pool (`background`). The descriptors may be files, pipes
//! or terminals, and are shared with other processes, so they cannot be made non-blocking.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::background::{Background, MAX_OPERATION_BYTES, OperationKind};
use super::{AsyncRead, AsyncWrite, ReadBuf};
use crate::observe::waiting::WaitKind;
use crate::primitives::baton;
use crate::task::refusal::refused_at;

/// The standard input of the process. Made by [`stdin`].
pub struct Stdin {
    std: io::Stdin,
    background: Background,
    made_at: &'static Location<'static>,
}

debug_struct!([] Stdin as "Stdin", self => { made_at: format_args!("{}", self.made_at), .. });

/// Returns the standard input of the process.
///
/// - A read that has started cannot be stopped: **shutting the runtime down waits for the next line**. An interactive
///   program reads on a thread of its own, or ends with
///   [`Runtime::shutdown_background`](crate::runtime::Runtime::shutdown_background).
/// - Bytes that one handle has read are lost to other handles.
/// - Each read runs on the blocking pool, so it panics outside of a runtime.
///
/// # Examples
/// ```no_run
/// use redd::io::{AsyncBufReadExt, BufReader};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut lines = BufReader::new(redd::io::stdin()).lines();
/// let mut total = 0;
/// while let Some(line) = lines.next_line().await? {
///     total += line.trim().parse::<u64>().map_err(redd::io::Error::other)?;
/// }
/// assert!(total < 1000, "more salmon than the river holds");
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn stdin() -> Stdin {
    Stdin { std: io::stdin(), background: Background::new(), made_at: Location::caller() }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if baton::is_member() {
            return Poll::Ready(Err(refused_at(
                self.made_at,
                "a simulated world has no standard input: what is typed is no function of the seed. Pass the input to the host as a value, or \
                 through a socket",
            )));
        }
        let read = |len| move |buffer: &mut super::background::Buffer| buffer.read_from(io::stdin().lock(), len);
        self.background.poll_read(cx, buf, MAX_OPERATION_BYTES, |_, _| None, read)
    }
}

/// What standard output and standard error have in common.
#[derive(Debug)]
struct Output {
    background: Background,
    /// Whether anything was written since the last flush.
    needs_flush: bool,
}

impl Output {
    fn new() -> Self {
        Self { background: Background::new(), needs_flush: false }
    }

    fn poll_write<W: Write + 'static>(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
        open: fn() -> W,
    ) -> Poll<io::Result<usize>> {
        let write = |_ahead| move |buffer: &mut super::background::Buffer| buffer.write_to(open());
        let result = self.background.poll_write(cx, pieces, MAX_OPERATION_BYTES, write);
        if result.is_ready() {
            self.needs_flush = true;
        }
        result
    }

    fn poll_flush<W: Write + 'static>(&mut self, cx: &mut Context<'_>, open: fn() -> W) -> Poll<io::Result<()>> {
        ready!(self.background.poll_written(cx))?;
        loop {
            let mut idle = ready!(self.background.poll_idle(cx, WaitKind::Writable));
            if let Some(result) = idle.take_outcome(OperationKind::Flush) {
                return Poll::Ready(result.map(drop));
            }
            if !self.needs_flush {
                return Poll::Ready(Ok(()));
            }
            self.needs_flush = false;
            idle.start(OperationKind::Flush, move |_| open().flush().map(|()| 0));
        }
    }
}

/// The standard output of the process. Made by [`stdout`].
pub struct Stdout {
    std: io::Stdout,
    output: Output,
}

debug_struct!([] Stdout as "Stdout", self => { .. });

/// Returns the standard output of the process.
///
/// - A write is ready as soon as its bytes are buffered. **Flush before the program ends**, or they may be lost. A
///   line feed flushes, as in std.
/// - Writes through two handles may interleave: use one handle for what belongs together.
/// - Each write runs on the blocking pool, so it panics outside of a runtime.
///
/// # Examples
/// ```
/// use redd::io::AsyncWriteExt;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut out = redd::io::stdout();
/// out.write_all(b"salmon\n").await?;
/// assert!(out.flush().await.is_ok());
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn stdout() -> Stdout {
    Stdout { std: io::stdout(), output: Output::new() }
}

impl AsyncWrite for Stdout {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().output.poll_write(cx, bufs, io::stdout)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx, io::stdout)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// The standard error of the process. Made by [`stderr`].
pub struct Stderr {
    std: io::Stderr,
    output: Output,
}

debug_struct!([] Stderr as "Stderr", self => { .. });

/// Returns the standard error of the process.
///
/// - A write is ready as soon as its bytes are buffered. **Flush before the program ends**, or they may be lost.
/// - Each write runs on the blocking pool, so it panics outside of a runtime.
///
/// # Examples
/// ```
/// use redd::io::AsyncWriteExt;
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut log = redd::io::stderr();
/// log.write_all(b"listening\n").await?;
/// assert!(log.flush().await.is_ok());
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn stderr() -> Stderr {
    Stderr { std: io::stderr(), output: Output::new() }
}

impl AsyncWrite for Stderr {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().output.poll_write(cx, bufs, io::stderr)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_flush(cx, io::stderr)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsFd for Stdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdin {
    fn as_raw_fd(&self) -> RawFd {
        self.std.as_fd().as_raw_fd()
    }
}

impl AsFd for Stdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stdout {
    fn as_raw_fd(&self) -> RawFd {
        self.std.as_fd().as_raw_fd()
    }
}

impl AsFd for Stderr {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.std.as_fd()
    }
}

impl AsRawFd for Stderr {
    fn as_raw_fd(&self) -> RawFd {
        self.std.as_fd().as_raw_fd()
    }
}

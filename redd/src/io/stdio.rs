//! The standard streams of the process.
//!
//! Called by programs. Reads and writes run on the blocking pool (`background`): the descriptors may be files, pipes or
//! terminals, and are shared with other processes, so they cannot be made non-blocking.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::background::{Background, MAX_OPERATION_BYTES, OperationKind};
use super::{AsyncRead, AsyncWrite, ReadBuf};
use crate::observe::waiting::WaitKind;

/// The standard input of the process. Made by [`stdin`].
#[derive(Debug)]
pub struct Stdin {
    std: io::Stdin,
    background: Background,
}

/// The standard input of the process.
///
/// - A read that has begun cannot be stopped: **shutting the runtime down waits for the next line**. For programs that
///   ask a person, read in a thread of its own, or end with
///   [`Runtime::shutdown_background`](crate::runtime::Runtime::shutdown_background).
/// - Bytes that were read for one handle are not seen by another.
///
/// # Examples
/// ```no_run
/// use redd::io::{AsyncBufReadExt, BufReader};
///
/// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut lines = BufReader::new(redd::io::stdin()).lines();
/// while let Some(line) = lines.next_line().await? {
///     println!("{}", line.len());
/// }
/// # redd::io::Result::Ok(()) }).unwrap();
/// ```
pub fn stdin() -> Stdin {
    Stdin { std: io::stdin(), background: Background::new() }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.background
            .poll_read(cx, buf, MAX_OPERATION_BYTES, |len| move |buffer| buffer.read_from(io::stdin().lock(), len))
    }
}

/// Writing: the same for both outputs.
#[derive(Debug)]
struct Output {
    background: Background,
    /// Written since the last flush.
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

/// One of the two outputs.
macro_rules! output {
    ($(#[$type_doc:meta])* $type:ident, $(#[$fn_doc:meta])* $function:ident) => {
        $(#[$type_doc])*
        #[derive(Debug)]
        pub struct $type {
            std: io::$type,
            output: Output,
        }

        $(#[$fn_doc])*
        pub fn $function() -> $type {
            $type { std: io::$function(), output: Output::new() }
        }

        impl AsyncWrite for $type {
            write_pieces!(self, cx, bufs => self.get_mut().output.poll_write(cx, bufs, io::$function));

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.output.poll_flush(cx, io::$function)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
            }
        }
    };
}

output! {
    /// The standard output of the process. Made by [`stdout`].
    Stdout,
    /// The standard output of the process.
    ///
    /// - A write is ready once its bytes are taken over; **flush before the program ends** to be sure that they came
    ///   out. A line feed flushes, as in std.
    /// - Two handles do not keep their writes together: use one for what belongs together.
    ///
    /// # Examples
    /// ```
    /// use redd::io::AsyncWriteExt;
    ///
    /// # redd::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let mut out = redd::io::stdout();
    /// out.write_all(b"salmon\n").await?;
    /// out.flush().await?;
    /// # redd::io::Result::Ok(()) }).unwrap();
    /// ```
    stdout
}

output! {
    /// The standard error of the process. Made by [`stderr`].
    Stderr,
    /// The standard error of the process.
    ///
    /// - A write is ready once its bytes are taken over; **flush before the program ends** to be sure that they came
    ///   out.
    stderr
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

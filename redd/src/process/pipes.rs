//! The parent's ends of a child's standard streams.
//!
//! Called by user code and `child`.
//!
//! # Invariants
//! - `only-our-end`: `O_NONBLOCK` is set on the parent's end. Each end of a pipe has its own flags, so the child's end stays
//!   blocking.

use crate::driver::Driver;
use crate::driver::Source;
use crate::driver::readiness::ready::Interest;
use crate::driver::readiness::source::{Short, current_driver};
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::sys::set_nonblocking;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::process::{self as std_process, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The parent's end of a child's standard input: the child reads what is written to it.
///
/// - Dropping it closes the pipe: the child reads the end of its input.
/// - A pipe holds 64 KiB by default (`pipe(7)`). If the child does not read, writes wait.
///
/// # Examples
/// ```
/// use redd::io::AsyncWriteExt;
/// use redd::process::Command;
/// use std::process::Stdio;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut child = Command::new("wc").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
/// let mut stdin = child.stdin.take().expect("it is piped");
/// stdin.write_all(b"seven\r\n").await?;
/// drop(stdin);
/// assert_eq!(child.wait_with_output().await?.stdout, b"7\n");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct ChildStdin {
    source: Source<std_process::ChildStdin>,
}

debug_struct!([] ChildStdin as "ChildStdin", self => { fd: self.as_raw_fd() });

/// The parent's end of a child's standard output.
///
/// - Dropping it closes the pipe: the child's next write fails.
///
/// # Examples
/// ```
/// use redd::io::{AsyncBufReadExt, BufReader};
/// use redd::process::Command;
/// use std::process::Stdio;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut child = Command::new("printf").arg("one\ntwo\n").stdout(Stdio::piped()).spawn()?;
/// let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
/// assert_eq!(lines.next_line().await?.as_deref(), Some("one"));
/// assert_eq!(lines.next_line().await?.as_deref(), Some("two"));
/// assert_eq!(lines.next_line().await?, None);
/// assert!(child.wait().await?.success());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct ChildStdout {
    source: Source<std_process::ChildStdout>,
}

debug_struct!([] ChildStdout as "ChildStdout", self => { fd: self.as_raw_fd() });

/// The parent's end of a child's standard error.
///
/// - Dropping it closes the pipe: the child's next write fails.
///
/// # Examples
/// ```
/// use redd::io::AsyncReadExt;
/// use redd::process::Command;
/// use std::process::Stdio;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut child = Command::new("sh").args(["-c", "echo no such task >&2"]).stderr(Stdio::piped()).spawn()?;
/// let mut text = String::new();
/// child.stderr.take().expect("it is piped").read_to_string(&mut text).await?;
/// assert_eq!(text, "no such task\n");
/// assert!(child.wait().await?.success());
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
pub struct ChildStderr {
    source: Source<std_process::ChildStderr>,
}

debug_struct!([] ChildStderr as "ChildStderr", self => { fd: self.as_raw_fd() });

fn register<T: AsFd>(pipe: T, interest: Interest, driver: Arc<Driver>) -> io::Result<Source<T>> {
    // `only-our-end`.
    set_nonblocking(pipe.as_fd(), true)?;
    Source::new_with_driver(driver, pipe, interest)
}

fn into_blocking<T: AsFd + Into<OwnedFd>>(source: Source<T>) -> io::Result<OwnedFd> {
    let pipe = source.into_inner()?;
    set_nonblocking(pipe.as_fd(), false)?;
    Ok(pipe.into())
}

impl ChildStdin {
    /// Registers a pipe of the standard library with the runtime that this thread is in.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// `ENOMEM` or `ENOSPC` if the kernel cannot register another descriptor with epoll.
    #[track_caller]
    pub fn from_std(inner: std_process::ChildStdin) -> io::Result<Self> {
        Self::register(inner, current_driver())
    }

    pub(super) fn register(inner: std_process::ChildStdin, driver: Arc<Driver>) -> io::Result<Self> {
        let source = register(inner, Interest::WRITABLE, driver)?;
        Ok(Self { source })
    }

    /// Returns the descriptor in blocking mode, no longer registered.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        into_blocking(self.source)
    }
}

impl TryInto<Stdio> for ChildStdin {
    type Error = io::Error;

    fn try_into(self) -> io::Result<Stdio> {
        Ok(self.into_owned_fd()?.into())
    }
}

impl AsFd for ChildStdin {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl AsRawFd for ChildStdin {
    fn as_raw_fd(&self) -> RawFd {
        self.source.as_raw_fd()
    }
}

impl AsyncWrite for ChildStdin {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.source.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.source.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: written bytes are in the kernel already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: dropping the pipe closes it.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl ChildStdout {
    /// Registers a pipe of the standard library with the runtime that this thread is in.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// `ENOMEM` or `ENOSPC` if the kernel cannot register another descriptor with epoll.
    #[track_caller]
    pub fn from_std(inner: std_process::ChildStdout) -> io::Result<Self> {
        Self::register(inner, current_driver())
    }

    pub(super) fn register(inner: std_process::ChildStdout, driver: Arc<Driver>) -> io::Result<Self> {
        let source = register(inner, Interest::READABLE, driver)?;
        Ok(Self { source })
    }

    /// Returns the descriptor in blocking mode, no longer registered.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    /// use std::process::Stdio;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut first = Command::new("echo").arg("hello").stdout(Stdio::piped()).spawn()?;
    /// let pipe: Stdio = first.stdout.take().expect("it is piped").into_owned_fd()?.into();
    /// let output = Command::new("cat").stdin(pipe).output().await?;
    /// assert_eq!(output.stdout, b"hello\n");
    /// assert!(first.wait().await?.success());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        into_blocking(self.source)
    }
}

impl TryInto<Stdio> for ChildStdout {
    type Error = io::Error;

    fn try_into(self) -> io::Result<Stdio> {
        Ok(self.into_owned_fd()?.into())
    }
}

impl AsFd for ChildStdout {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl AsRawFd for ChildStdout {
    fn as_raw_fd(&self) -> RawFd {
        self.source.as_raw_fd()
    }
}

impl AsyncRead for ChildStdout {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.source.poll_read(cx, buf, Short::WouldBlock)
    }
}

impl ChildStderr {
    /// Registers a pipe of the standard library with the runtime that this thread is in.
    ///
    /// # Panics
    /// Outside of a runtime, and in one that was built without I/O.
    ///
    /// # Errors
    /// `ENOMEM` or `ENOSPC` if the kernel cannot register another descriptor with epoll.
    #[track_caller]
    pub fn from_std(inner: std_process::ChildStderr) -> io::Result<Self> {
        Self::register(inner, current_driver())
    }

    pub(super) fn register(inner: std_process::ChildStderr, driver: Arc<Driver>) -> io::Result<Self> {
        let source = register(inner, Interest::READABLE, driver)?;
        Ok(Self { source })
    }

    /// Returns the descriptor in blocking mode, no longer registered.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_owned_fd(self) -> io::Result<OwnedFd> {
        into_blocking(self.source)
    }
}

impl TryInto<Stdio> for ChildStderr {
    type Error = io::Error;

    fn try_into(self) -> io::Result<Stdio> {
        Ok(self.into_owned_fd()?.into())
    }
}

impl AsFd for ChildStderr {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl AsRawFd for ChildStderr {
    fn as_raw_fd(&self) -> RawFd {
        self.source.as_raw_fd()
    }
}

impl AsyncRead for ChildStderr {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.source.poll_read(cx, buf, Short::WouldBlock)
    }
}

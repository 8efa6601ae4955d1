//! Pipes and FIFOs: [`pipe()`], and files that are pipes.
//!
//! Long because both ends have their methods and traits written out.
//!
//! Called by user code.

use crate::driver::Source;
use crate::driver::readiness::ready::{Interest, Ready};
use crate::driver::readiness::source::Short;
use crate::driver::readiness::state::Direction;
use crate::io::{AsyncRead, AsyncWrite, ReadBuf};
use crate::net::fill;
use crate::observe::waiting::located;
use crate::sys;
use crate::sys::faults::Call;
use bytes::BufMut;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes a pipe without a name: bytes that are written to one end are read at the other.
///
/// - To hand an end to a child process, use `into_blocking_fd`.
///
/// # Panics
/// Outside of a [runtime](crate::net#runtime) with I/O.
///
/// # Errors
/// `EMFILE` or `ENFILE` if the process or the system has no descriptor left.
///
/// # Examples
/// ```
/// use redd::io::{AsyncReadExt, AsyncWriteExt};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (mut sender, mut receiver) = redd::net::unix::pipe::pipe()?;
/// sender.write_all(b"hello").await?;
/// drop(sender);
/// let mut text = String::new();
/// receiver.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (reader, writer) = sys::net::pipe()?;
    Ok((Sender::from_file_unchecked(writer)?, Receiver::from_file_unchecked(reader)?))
}

/// How to open a FIFO: the two ends of a pipe that has a path.
///
/// # Examples
/// ```no_run
/// use redd::net::unix::pipe;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// // A receiver first: a sender cannot open a FIFO that has none.
/// let receiver = pipe::OpenOptions::new().open_receiver("/run/app/requests")?;
/// let sender = pipe::OpenOptions::new().open_sender("/run/app/requests")?;
/// # drop((receiver, sender));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    is_read_write: bool,
    is_unchecked: bool,
}

impl OpenOptions {
    /// Starts with neither `read_write` nor `unchecked`.
    pub fn new() -> Self {
        Self { is_read_write: false, is_unchecked: false }
    }

    /// Opens the FIFO for both directions, whichever end it becomes. Linux supports that.
    ///
    /// - A sender then opens without a receiver, and a receiver never reads to the end, although all senders are gone.
    pub fn read_write(&mut self, value: bool) -> &mut Self {
        self.is_read_write = value;
        self
    }

    /// Does not check whether the file is a FIFO.
    pub fn unchecked(&mut self, value: bool) -> &mut Self {
        self.is_unchecked = value;
        self
    }

    /// Opens the end to read from. It opens without a sender, and then waits for the first one.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is not a FIFO; [`NotFound`](io::ErrorKind::NotFound).
    #[track_caller]
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        let file = self.open(path.as_ref(), PipeEnd::Receiver)?;
        Receiver::from_file_unchecked(file)
    }

    /// Opens the end to write to.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `ENXIO` if the FIFO has no receiver: open one first, try again later, or use [`read_write`](Self::read_write).
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is not a FIFO.
    #[track_caller]
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        let file = self.open(path.as_ref(), PipeEnd::Sender)?;
        Sender::from_file_unchecked(file)
    }

    fn open(&self, path: &Path, end: PipeEnd) -> io::Result<File> {
        let file = File::options()
            .read(end == PipeEnd::Receiver || self.is_read_write)
            .write(end == PipeEnd::Sender || self.is_read_write)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?;
        if !self.is_unchecked {
            check_is_pipe(&file)?;
        }
        Ok(file)
    }
}

impl Default for OpenOptions {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PipeEnd {
    Sender,
    Receiver,
}

fn check_is_pipe(file: &File) -> io::Result<()> {
    if file.metadata()?.file_type().is_fifo() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "the file is not a pipe: make one with `mkfifo`, or open it with `fs::File`",
    ))
}

/// Checks that the file fits the end, and makes it non-blocking.
fn prepare(file: &File, end: PipeEnd) -> io::Result<()> {
    check_is_pipe(file)?;
    let mode = sys::status_flags(file.as_fd())? & libc::O_ACCMODE;
    let (fits, wanted) = match end {
        PipeEnd::Receiver => (mode != libc::O_WRONLY, "reading"),
        PipeEnd::Sender => (mode != libc::O_RDONLY, "writing"),
    };
    if !fits {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the pipe is not open for {wanted}: pass its other end, or open it for {wanted}"),
        ));
    }
    sys::set_nonblocking(file.as_fd(), true)
}

/// The end of a pipe to write to.
///
/// - When the receivers are gone, writing is a [`BrokenPipe`](io::ErrorKind::BrokenPipe) error.
/// - Dropping it closes the end. When all senders are closed, the receiver reads to the end.
pub struct Sender {
    io: Source<File>,
}

impl Sender {
    /// Waits until writing is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::unix::pipe;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, receiver) = pipe::pipe()?;
    /// sender.writable().await?;
    /// assert_eq!(sender.try_write(b"ping")?, 4);
    /// # drop(receiver);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.io.registration().readiness(Interest::WRITABLE).await?;
            Ok(())
        })
    }

    /// Polls whether writing is worth trying. Only the task that polled last is woken: prefer [`writable`](Self::writable).
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_ready(cx, Direction::Write).map_ok(drop)
    }

    /// Writes as many bytes as the send buffer has room for, without waiting. Returns how many. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; [`BrokenPipe`](io::ErrorKind::BrokenPipe) if the peer no
    /// longer reads.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        let source = &self.io;
        let write = || sys::net::retry(Call::Write, || (&**source).write(buf));
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Like [`try_write`](Self::try_write), but takes the bytes of several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let source = &self.io;
        let write = || sys::net::retry(Call::Write, || (&**source).write_vectored(bufs));
        source.registration().try_io(Interest::WRITABLE, write)
    }

    /// Takes over an end of a pipe from a file, and makes it non-blocking.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is not a pipe, or is not open for this direction.
    #[track_caller]
    pub fn from_file(file: File) -> io::Result<Self> {
        prepare(&file, PipeEnd::Sender)?;
        Self::from_file_unchecked(file)
    }

    /// Like [`from_file`](Self::from_file), for a descriptor.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of [`from_file`](Self::from_file).
    ///
    /// # Examples
    /// ```
    /// use redd::net::unix::pipe;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, receiver) = pipe::pipe()?;
    /// let fd = sender.into_nonblocking_fd()?;
    /// let sender = pipe::Sender::from_owned_fd(fd)?;
    /// # drop((sender, receiver));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_owned_fd(owned_fd: OwnedFd) -> io::Result<Self> {
        Self::from_file(owned_fd.into())
    }

    /// Takes over an end of a pipe from a file as it is. **It must be non-blocking**, or it blocks its worker.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `EPERM` if the file cannot be polled, as a regular file.
    #[track_caller]
    pub fn from_file_unchecked(file: File) -> io::Result<Self> {
        let io = Source::new(file, Interest::WRITABLE)?;
        // A FIFO without a writer would read as ended at once.
        io.registration().expect_event();
        Ok(Self { io })
    }

    /// Like [`from_file_unchecked`](Self::from_file_unchecked), for a descriptor.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of [`from_file_unchecked`](Self::from_file_unchecked).
    #[track_caller]
    pub fn from_owned_fd_unchecked(owned_fd: OwnedFd) -> io::Result<Self> {
        Self::from_file_unchecked(owned_fd.into())
    }

    /// Returns the descriptor and makes it blocking, as child processes expect it.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    ///
    /// # Examples
    /// ```
    /// use redd::net::unix::pipe;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, receiver) = pipe::pipe()?;
    /// let fd = sender.into_blocking_fd()?;
    /// let stdio = std::process::Stdio::from(fd);
    /// # drop((stdio, receiver));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
        let fd = self.into_nonblocking_fd()?;
        sys::set_nonblocking(fd.as_fd(), false)?;
        Ok(fd)
    }

    /// Returns the descriptor; it stays non-blocking.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
        self.io.into_inner().map(OwnedFd::from)
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Runs `f`, a non-blocking system call on this end, if it is [ready](crate::net#readiness).
    ///
    /// - If `f` returns `WouldBlock`, the readiness is cleared.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) without a call of `f` if this end is not ready, and the errors of `f`.
    #[track_caller]
    pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.registration().try_user_io(Interest::WRITABLE, f)
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for Sender {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

debug_struct!([] Sender as "Sender", self => { io: self.io });

impl AsyncWrite for Sender {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.io.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Does nothing: written bytes are in the kernel already.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Does nothing: drop it to close this end.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The end of a pipe to read from.
///
/// - Reading ends when all senders are closed. A FIFO that has had no sender yet waits for one.
pub struct Receiver {
    io: Source<File>,
}

impl Receiver {
    /// Waits until reading is worth trying. See [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    ///
    /// # Examples
    /// ```
    /// use redd::net::unix::pipe;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, receiver) = pipe::pipe()?;
    /// sender.writable().await?;
    /// sender.try_write(b"ping")?;
    /// receiver.readable().await?;
    /// let mut buf = [0; 16];
    /// assert_eq!(receiver.try_read(&mut buf)?, 4);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.io.registration().readiness(Interest::READABLE).await?;
            Ok(())
        })
    }

    /// Polls whether reading is worth trying. Only the task that polled last is woken: prefer [`readable`](Self::readable).
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.registration().poll_ready(cx, Direction::Read).map_ok(drop)
    }

    /// Reads the bytes that have arrived, without waiting. Returns how many. See [readiness](crate::net#readiness).
    ///
    /// - `Ok(0)`: the peer has shut down its writing direction, or `buf` is empty.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing has arrived; [`ConnectionReset`](io::ErrorKind::ConnectionReset) if
    /// the peer has reset the connection.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let source = &self.io;
        let read = || sys::net::retry(Call::Read, || (&**source).read(buf));
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but appends to `buf`.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        let source = &self.io;
        let read = || fill::append_from_file(source, buf);
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Like [`try_read`](Self::try_read), but fills several buffers in turn.
    ///
    /// # Errors
    /// Those of [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let source = &self.io;
        let read = || sys::net::retry(Call::Read, || (&**source).read_vectored(bufs));
        source.registration().try_io(Interest::READABLE, read)
    }

    /// Takes over an end of a pipe from a file, and makes it non-blocking.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is not a pipe, or is not open for this direction.
    #[track_caller]
    pub fn from_file(file: File) -> io::Result<Self> {
        prepare(&file, PipeEnd::Receiver)?;
        Self::from_file_unchecked(file)
    }

    /// Like [`from_file`](Self::from_file), for a descriptor.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of [`from_file`](Self::from_file).
    ///
    /// # Examples
    /// ```
    /// use redd::net::unix::pipe;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, receiver) = pipe::pipe()?;
    /// let fd = receiver.into_nonblocking_fd()?;
    /// let receiver = pipe::Receiver::from_owned_fd(fd)?;
    /// # drop((receiver, sender));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn from_owned_fd(owned_fd: OwnedFd) -> io::Result<Self> {
        Self::from_file(owned_fd.into())
    }

    /// Takes over an end of a pipe from a file as it is. **It must be non-blocking**, or it blocks its worker.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `EPERM` if the file cannot be polled, as a regular file.
    #[track_caller]
    pub fn from_file_unchecked(file: File) -> io::Result<Self> {
        let io = Source::new(file, Interest::READABLE)?;
        // A FIFO without a writer would read as ended at once.
        io.registration().expect_event();
        Ok(Self { io })
    }

    /// Like [`from_file_unchecked`](Self::from_file_unchecked), for a descriptor.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// Those of [`from_file_unchecked`](Self::from_file_unchecked).
    #[track_caller]
    pub fn from_owned_fd_unchecked(owned_fd: OwnedFd) -> io::Result<Self> {
        Self::from_file_unchecked(owned_fd.into())
    }

    /// Returns the descriptor and makes it blocking, as child processes expect it.
    ///
    /// # Errors
    /// An error if the descriptor was closed by other code.
    ///
    /// # Examples
    /// ```
    /// use redd::net::unix::pipe;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (sender, receiver) = pipe::pipe()?;
    /// let fd = receiver.into_blocking_fd()?;
    /// let stdio = std::process::Stdio::from(fd);
    /// # drop((stdio, sender));
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
        let fd = self.into_nonblocking_fd()?;
        sys::set_nonblocking(fd.as_fd(), false)?;
        Ok(fd)
    }

    /// Returns the descriptor; it stays non-blocking.
    ///
    /// # Errors
    /// An error if epoll no longer knows the descriptor, because other code has closed it.
    pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
        self.io.into_inner().map(OwnedFd::from)
    }

    /// Waits until an operation of `interest` is worth trying, and returns which ones are. See
    /// [readiness](crate::net#readiness).
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// An error when the runtime has shut down.
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<Ready>> {
        located(async move {
            let event = self.io.registration().readiness(interest).await?;
            Ok(event.ready)
        })
    }

    /// Runs `f`, a non-blocking system call on this end, if it is [ready](crate::net#readiness).
    ///
    /// - If `f` returns `WouldBlock`, the readiness is cleared.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) without a call of `f` if this end is not ready, and the errors of `f`.
    #[track_caller]
    pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.io.registration().try_user_io(Interest::READABLE, f)
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

debug_struct!([] Receiver as "Receiver", self => { io: self.io });

impl AsyncRead for Receiver {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.io.poll_read(cx, buf, Short::WouldBlock)
    }
}

//! Pipes and FIFOs: [`pipe()`], and files that are pipes.
//!
//! Called by user code.

use crate::io::forward::{read_traits, write_traits};
use crate::net::methods::names::*;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Makes a pipe without a name: what is written to one end is read at the other.
///
/// - A child process that shall have an end takes it through `into_blocking_fd`.
///
/// # Panics
/// Outside of a [runtime](crate::net#runtime) with I/O.
///
/// # Errors
/// When the process or the system has no descriptor left.
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
#[derive(Clone, Debug)]
pub struct OpenOptions {
    is_read_write: bool,
    is_unchecked: bool,
}

impl OpenOptions {
    /// Neither `read_write` nor `unchecked`.
    pub fn new() -> Self {
        Self { is_read_write: false, is_unchecked: false }
    }

    /// Opens the FIFO for both directions, whichever end is made of it. Linux can do that.
    ///
    /// - A sender opens although nobody reads, and a receiver never reads to the end although all senders are gone.
    pub fn read_write(&mut self, value: bool) -> &mut Self {
        self.is_read_write = value;
        self
    }

    /// Does not look whether the file is a FIFO.
    pub fn unchecked(&mut self, value: bool) -> &mut Self {
        self.is_unchecked = value;
        self
    }

    /// Opens the end to read from. It opens although nobody writes yet, and then waits for the first sender.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is no FIFO; those of the system.
    #[track_caller]
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        let file = self.open(path.as_ref(), End::Receiver)?;
        Receiver::from_file_unchecked(file)
    }

    /// Opens the end to write to.
    ///
    /// # Panics
    /// Outside of a [runtime](crate::net#runtime) with I/O.
    ///
    /// # Errors
    /// `ENXIO` if nobody reads yet, as the system has it: open a receiver first, try again later, or use
    /// [`read_write`](Self::read_write). [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is no FIFO.
    #[track_caller]
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        let file = self.open(path.as_ref(), End::Sender)?;
        Sender::from_file_unchecked(file)
    }

    fn open(&self, path: &Path, end: End) -> io::Result<File> {
        let file = File::options()
            .read(end == End::Receiver || self.is_read_write)
            .write(end == End::Sender || self.is_read_write)
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
enum End {
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

/// Takes a file for an end, and makes it non-blocking.
fn prepare(file: &File, end: End) -> io::Result<()> {
    check_is_pipe(file)?;
    let mode = sys::status_flags(file.as_fd())? & libc::O_ACCMODE;
    let (fits, wanted) = match end {
        End::Receiver => (mode != libc::O_WRONLY, "reading"),
        End::Sender => (mode != libc::O_RDONLY, "writing"),
    };
    if !fits {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("the pipe is not open for {wanted}: pass its other end, or open it for {wanted}"),
        ));
    }
    sys::set_nonblocking(file.as_fd(), true)
}

/// Making an end of a file, and a file of an end.
macro_rules! file_conversions {
    ($Type:ident, $end:expr, $interest:expr) => {
        impl $Type {
            /// Takes an end of a pipe from a file, and makes it non-blocking.
            ///
            /// # Panics
            /// Outside of a [runtime](crate::net#runtime) with I/O.
            ///
            /// # Errors
            /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the file is no pipe, or not open for this direction; those
            /// of the system.
            #[track_caller]
            pub fn from_file(file: File) -> io::Result<Self> {
                prepare(&file, $end)?;
                Self::from_file_unchecked(file)
            }

            /// As [`from_file`](Self::from_file), of a descriptor.
            ///
            /// # Panics
            /// Outside of a [runtime](crate::net#runtime) with I/O.
            ///
            /// # Errors
            /// As [`from_file`](Self::from_file).
            #[track_caller]
            pub fn from_owned_fd(owned_fd: OwnedFd) -> io::Result<Self> {
                Self::from_file(owned_fd.into())
            }

            /// Takes an end of a pipe from a file as it is. **It must be non-blocking**, or it blocks its worker.
            ///
            /// # Panics
            /// Outside of a [runtime](crate::net#runtime) with I/O.
            ///
            /// # Errors
            /// When the system refuses to watch the descriptor.
            #[track_caller]
            pub fn from_file_unchecked(file: File) -> io::Result<Self> {
                let io = Source::new(file, $interest)?;
                // A FIFO without a writer would read as ended at once.
                io.registration().expect_event();
                Ok(Self { io })
            }

            /// As [`from_file_unchecked`](Self::from_file_unchecked), of a descriptor.
            ///
            /// # Panics
            /// Outside of a [runtime](crate::net#runtime) with I/O.
            ///
            /// # Errors
            /// When the system refuses to watch the descriptor.
            #[track_caller]
            pub fn from_owned_fd_unchecked(owned_fd: OwnedFd) -> io::Result<Self> {
                Self::from_file_unchecked(owned_fd.into())
            }

            /// Gives the descriptor away and makes it blocking, as child processes expect it.
            ///
            /// # Errors
            /// Those of the system.
            pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
                let fd = self.into_nonblocking_fd()?;
                sys::set_nonblocking(fd.as_fd(), false)?;
                Ok(fd)
            }

            /// Gives the descriptor away; it stays non-blocking.
            ///
            /// # Errors
            /// When the system does not stop watching the descriptor.
            pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
                self.io.into_inner().map(OwnedFd::from)
            }

            interest_methods!(self => self.io);

            /// Runs `f` if this end is ready. [Readiness](crate::net#readiness)
            ///
            /// - `f` makes a non-blocking call on this end; if it answers `WouldBlock`, the readiness is cleared.
            ///
            /// # Errors
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) without running `f` if this end is not ready; the errors of `f`.
            pub fn try_io<R>(&self, f: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                self.io.registration().try_io($interest, f)
            }
        }

        descriptor!($Type, self => *self.io);
    };
}

/// The end of a pipe to write to.
///
/// - When the receivers are gone, writing is a [`BrokenPipe`](io::ErrorKind::BrokenPipe) error.
/// - Dropping it closes the end; when all are closed, the receiver reads to the end.
pub struct Sender {
    io: Source<File>,
}

impl Sender {
    direction_methods!(writable, "writing", WRITABLE, self => self.io, poll_write_ready: Write);
    try_write_methods!(self => self.io);
}

file_conversions!(Sender, End::Sender, Interest::WRITABLE);

write_traits! {
    Sender, self => self.io,
    /// Does nothing: drop it to close this end.
    poll_shutdown => Ok(())
}

/// The end of a pipe to read from.
///
/// - Reading gives the end when all senders are closed. A FIFO that none has been opened for yet waits.
pub struct Receiver {
    io: Source<File>,
}

impl Receiver {
    direction_methods!(readable, "reading", READABLE, self => self.io, poll_read_ready: Read);
    try_read_methods!(self => self.io);
}

file_conversions!(Receiver, End::Receiver, Interest::READABLE);

read_traits!(Receiver, self => self.io, Short::WouldBlock);

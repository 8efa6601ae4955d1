//! Sockets and pipes: the system calls that std and socket2 do not make in one step, and functions whose calls a test
//! can make fail.
//!
//! Called by `driver::operations`, and by `net` for pipes.
//!
//! # Invariants
//! - `born-nonblocking`: every descriptor made here is non-blocking and closed on `exec` from its first moment, so
//!   that a `fork` on another thread does not inherit it.

#![expect(unsafe_code, reason = "system calls")]

use super::faults::{self, Call};
use super::{check, check_len};
use socket2::{SockAddr, SockRef, Socket};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

/// Repeats a call until no signal interrupts it.
pub(crate) fn retry<R>(call: Call, mut f: impl FnMut() -> io::Result<R>) -> io::Result<R> {
    loop {
        match faults::check(call).and_then(|()| f()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Takes a connection from a listener's queue, in one call (`born-nonblocking`).
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
    retry(Call::Accept, || {
        // SAFETY: the kernel writes the address of the peer and its length, both within the given length.
        let (fd, peer) = unsafe {
            SockAddr::try_init(|address, len| {
                check(libc::accept4(
                    listener.as_raw_fd(),
                    address.cast(),
                    len,
                    libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
                ))
            })?
        };
        // SAFETY: the descriptor has just been opened, and only we have it.
        let socket = unsafe { Socket::from_raw_fd(fd) };
        Ok((socket, peer))
    })
}

/// Begins to connect a non-blocking socket. It becomes writable when the attempt has ended; its error option then
/// has the result.
pub(crate) fn connect(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    match faults::check(Call::Connect).and_then(|()| socket.connect(address)) {
        // An interrupted attempt continues, as POSIX specifies.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok(()),
        result => result,
    }
}

/// How many buffers one call takes: the kernel refuses more.
const BUFFERS_MAX: usize = libc::UIO_MAXIOV as usize;

/// Receives into `buf`.
#[inline]
pub(crate) fn recv(socket: BorrowedFd<'_>, buf: &mut [u8], flags: libc::c_int) -> io::Result<usize> {
    faults::check(Call::Read)?;
    // SAFETY: the kernel writes at most `buf.len()` bytes to `buf`.
    check_len(unsafe { libc::recv(socket.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags) })
}

/// Receives into several buffers in turn.
pub(crate) fn recv_vectored(socket: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    faults::check(Call::Read)?;
    let count = bufs.len().min(BUFFERS_MAX) as libc::c_int;
    // SAFETY: `IoSliceMut` is laid out as `iovec`, and the kernel writes only to its memory.
    check_len(unsafe { libc::readv(socket.as_raw_fd(), bufs.as_mut_ptr().cast(), count) })
}

/// Sends `buf`. Without a peer it is an error, and never a signal.
#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    faults::check(Call::Write)?;
    // SAFETY: the kernel reads `buf.len()` bytes of `buf`.
    check_len(unsafe { libc::send(socket.as_raw_fd(), buf.as_ptr().cast(), buf.len(), libc::MSG_NOSIGNAL) })
}

/// Sends several buffers in turn.
#[inline]
pub(crate) fn send_vectored(socket: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    faults::check(Call::Write)?;
    let count = bufs.len().min(BUFFERS_MAX) as libc::c_int;
    // SAFETY: `IoSlice` is laid out as `iovec`, and the kernel only reads its memory.
    check_len(unsafe { libc::writev(socket.as_raw_fd(), bufs.as_ptr().cast(), count) })
}

/// Sends a datagram to `address`.
pub(crate) fn send_to(socket: BorrowedFd<'_>, buf: &[u8], address: &SockAddr) -> io::Result<usize> {
    faults::check(Call::Write)?;
    SockRef::from(&socket).send_to_with_flags(buf, address, libc::MSG_NOSIGNAL)
}

/// The same memory, which is initialised now.
pub(crate) fn zeroed(buf: &mut [MaybeUninit<u8>]) -> &mut [u8] {
    buf.fill(MaybeUninit::new(0));
    // SAFETY: all of it has just been written, and the layout is the same.
    unsafe { std::slice::from_raw_parts_mut(buf.as_mut_ptr().cast::<u8>(), buf.len()) }
}

/// What to take from a descriptor, see [`fill`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fill {
    /// Bytes, by `read`.
    Read,
    /// A datagram, or bytes of a stream.
    Receive,
    /// The same, without removing it.
    Peek,
    /// A datagram and the address of its sender.
    ReceiveFrom,
    /// The same, without removing it.
    PeekFrom,
}

/// Moves bytes from `fd` into memory that need not be initialised; returns how many are initialised now.
/// The address is present for the two `From` variants.
pub(crate) fn fill(
    fd: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
    what: Fill,
) -> io::Result<(usize, Option<SockAddr>)> {
    let without_sender = |len| (len, None);
    let with_sender = |(len, sender)| (len, Some(sender));
    let socket = SockRef::from(&fd);
    // `read_uninit` injects faults itself.
    if what == Fill::Read {
        loop {
            match super::read_uninit(fd, buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(without_sender),
            }
        }
    }
    retry(Call::Read, || match what {
        Fill::Read | Fill::Receive => socket.recv(buf).map(without_sender),
        Fill::Peek => socket.peek(buf).map(without_sender),
        Fill::ReceiveFrom => socket.recv_from(buf).map(with_sender),
        Fill::PeekFrom => socket.peek_from(buf).map(with_sender),
    })
}

/// As [`fill`], into memory that is initialised.
pub(crate) fn fill_init(fd: BorrowedFd<'_>, buf: &mut [u8], what: Fill) -> io::Result<(usize, Option<SockAddr>)> {
    // SAFETY: `fill` writes only initialised bytes, so that `buf` stays initialised. The layout is the same.
    let buf = unsafe { std::slice::from_raw_parts_mut(buf.as_mut_ptr().cast::<MaybeUninit<u8>>(), buf.len()) };
    fill(fd, buf, what)
}

/// Both ends of a new pipe: for reading, for writing (`born-nonblocking`).
pub(crate) fn pipe() -> io::Result<(File, File)> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    // SAFETY: both descriptors have just been opened, and only we have them.
    unsafe { Ok((File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))) }
}

/// Process, user and group at the other end of a Unix socket, as they were when it connected.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `credentials`, and the length to `len`.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut len,
        )
    })?;
    debug_assert_eq!(len as usize, size_of::<libc::ucred>());
    Ok(credentials)
}

/// Process, effective user and effective group of this process.
pub(crate) fn own_credentials() -> libc::ucred {
    // SAFETY: these calls take nothing and never fail.
    unsafe { libc::ucred { pid: libc::getpid(), uid: libc::geteuid(), gid: libc::getegid() } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn an_accepted_socket_does_not_block_and_a_planned_refusal_leaves_the_listener_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("is bound");
        let client = TcpStream::connect(address).expect("is listening");
        faults::plan(Call::Accept, 0, libc::EMFILE);
        let error = accept(listener.as_fd()).expect_err("planned");
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        faults::plan(Call::Accept, 0, libc::EINTR);
        let (socket, peer) = accept(listener.as_fd()).expect("the connection is still in the queue");
        assert_eq!(peer.as_socket(), client.local_addr().ok());
        let flags = crate::sys::status_flags(socket.as_fd()).expect("is open");
        assert_ne!(flags & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn a_pipe_is_nonblocking_and_fills_memory_that_was_not_initialised() {
        let (reader, mut writer) = pipe().expect("descriptors left");
        let mut buf = [MaybeUninit::uninit(); 8];
        let error = fill(reader.as_fd(), &mut buf, Fill::Read).expect_err("is empty");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        writer.write_all(b"abc").expect("there is room");
        faults::plan(Call::Read, 0, libc::EINTR);
        let (len, sender) = fill(reader.as_fd(), &mut buf, Fill::Read).expect("has bytes");
        assert_eq!(len, 3);
        assert!(sender.is_none());
        for is_nonblocking in [false, true] {
            crate::sys::set_nonblocking(reader.as_fd(), is_nonblocking).expect("is open");
            let flags = crate::sys::status_flags(reader.as_fd()).expect("is open");
            assert_eq!(flags & libc::O_NONBLOCK != 0, is_nonblocking);
        }
    }
}

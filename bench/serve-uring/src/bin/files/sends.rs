//! A file to a socket: `pread` and `send`, `sendfile`, and `splice` through a pipe. The socket does not block; a thread
//! at its other end discards what it gets. Only the CPU of the sending thread counts.

use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Way, compare, create, make_cold, read_now, result};

const SIZES: [(usize, u64); 3] = [(4096, 60_000), (64 * 1024, 10_000), (1024 * 1024, 1000)];
/// The buffer of `io::copy` is smaller, that of tower-http's `ServeDir` as large.
const BUFFER: usize = 64 * 1024;

pub fn measure(path: &Path, rounds: usize) -> io::Result<()> {
    let (socket, reader) = connection()?;
    let pipe = pipe()?;
    for (size, files) in SIZES {
        let file = create(path, size)?;
        let (file, socket, pipe) = (&*file, &socket, &pipe);
        let each = move |send: &dyn Fn(u64) -> io::Result<usize>| send_all(socket, size, files, send);
        let ways: Vec<Way<'_>> = vec![
            ("`pread` + `send`", Box::new(move || each(&|at| through_buffer(file, socket, at, size)))),
            (
                "`preadv2`, `RWF_NOWAIT` + `send`",
                Box::new(move || each(&|at| through_buffer_now(file, socket, at, size))),
            ),
            ("`sendfile`", Box::new(move || each(&|at| sendfile(file, socket, at, size)))),
            ("`RWF_NOWAIT` of a byte + `sendfile`", Box::new(move || each(&|at| probed(file, socket, at, size)))),
            ("`splice`", Box::new(move || each(&|at| splice(file, pipe, socket, at, size)))),
        ];
        compare(
            &format!("{} KB of a cached file to a socket", size / 1024),
            rounds,
            files,
            libc::CLOCK_THREAD_CPUTIME_ID,
            ways,
        )?;
    }
    let size = 64 * 1024 * 1024;
    let file = create(path, size)?;
    let (file, socket, pipe) = (&*file, &socket, &pipe);
    let cold = |send: &dyn Fn(u64) -> io::Result<usize>| {
        make_cold(file);
        send_all(socket, size, 1, send)
    };
    let ways: Vec<Way<'_>> = vec![
        ("`pread` + `send`", Box::new(|| cold(&|at| through_buffer(file, socket, at, size)))),
        ("`sendfile`", Box::new(|| cold(&|at| sendfile(file, socket, at, size)))),
        ("`splice`, `SPLICE_F_NONBLOCK`", Box::new(|| cold(&|at| splice(file, pipe, socket, at, size)))),
    ];
    compare("64 MB of a cold file to a socket", rounds, 1, libc::CLOCK_THREAD_CPUTIME_ID, ways)?;
    // SAFETY: the call takes no pointer. It ends the reader's input.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_WR) };
    drop(reader.join());
    Ok(())
}

/// Sends `files` times `size` bytes; waits while the socket is full. `send` gets the offset in the file.
fn send_all(
    socket: &TcpStream,
    size: usize,
    files: u64,
    send: &dyn Fn(u64) -> io::Result<usize>,
) -> io::Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..files {
        let mut at = 0;
        while at < size {
            let start = Instant::now();
            let sent = send(at as u64);
            longest = longest.max(start.elapsed());
            match sent {
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut wanted = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
                    // SAFETY: one entry.
                    result(unsafe { libc::poll(&raw mut wanted, 1, -1) } as isize)?;
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(longest)
}

fn through_buffer(file: &File, socket: &TcpStream, at: u64, size: usize) -> io::Result<usize> {
    let mut buffer = [0; BUFFER];
    let count = file.read_at(&mut buffer[..BUFFER.min(size - at as usize)], at)?;
    send(socket, &buffer[..count])
}

fn through_buffer_now(file: &File, socket: &TcpStream, at: u64, size: usize) -> io::Result<usize> {
    let mut buffer = [0; BUFFER];
    let count = read_now(file, &mut buffer[..BUFFER.min(size - at as usize)], at)?;
    send(socket, &buffer[..count])
}

fn sendfile(file: &File, socket: &TcpStream, at: u64, size: usize) -> io::Result<usize> {
    let mut offset = at as i64;
    // SAFETY: the kernel writes the offset during the call.
    result(unsafe { libc::sendfile(socket.as_raw_fd(), file.as_raw_fd(), &raw mut offset, size - at as usize) })
}

/// Asks first whether the page is cached. That a page is says nothing about the next.
fn probed(file: &File, socket: &TcpStream, at: u64, size: usize) -> io::Result<usize> {
    read_now(file, &mut [0], at)?;
    sendfile(file, socket, at, size)
}

fn splice(
    file: &File,
    (reader, writer): &(OwnedFd, OwnedFd),
    socket: &TcpStream,
    at: u64,
    size: usize,
) -> io::Result<usize> {
    let (mut offset, flags) = (at as i64, libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK);
    let wanted = BUFFER.min(size - at as usize);
    // SAFETY: the kernel reads and writes the offset during the call.
    let count = result(unsafe {
        libc::splice(file.as_raw_fd(), &raw mut offset, writer.as_raw_fd(), std::ptr::null_mut(), wanted, flags)
    })?;
    let mut sent = 0;
    while sent < count {
        let null = std::ptr::null_mut();
        // SAFETY: no pointers.
        let moved =
            result(unsafe { libc::splice(reader.as_raw_fd(), null, socket.as_raw_fd(), null, count - sent, flags) });
        match moved {
            Ok(count) => sent += count,
            // What is in the pipe has left the file.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut wanted = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
                // SAFETY: one entry.
                result(unsafe { libc::poll(&raw mut wanted, 1, -1) } as isize)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a slice.
    result(unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
}

/// A socket that does not block, and the thread that discards what it sends.
fn connection() -> io::Result<(TcpStream, std::thread::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    let reader = std::thread::spawn(move || {
        // `MSG_TRUNC`: TCP discards the bytes and copies none.
        // SAFETY: the kernel writes nothing.
        while unsafe { libc::recv(other.as_raw_fd(), std::ptr::null_mut(), 1 << 20, libc::MSG_TRUNC) } > 0 {}
    });
    Ok((socket, reader))
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel writes two descriptors, which are ours.
    unsafe {
        result(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) as isize)?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

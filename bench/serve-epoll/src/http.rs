//! hyper on an epoll loop: each event polls its one connection once. There is no queue, no waker, no timer and no work
//! on other threads. So the cost is that of hyper and the kernel.
//!
//! As on the runtimes, a read that does not fill its buffer has emptied the socket, so no further call is needed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

const GREETING: &[u8] = b"Hello, world!";

type Connection = Pin<Box<dyn Future<Output = Result<(), hyper::Error>>>>;

/// Serves the connections of `epoll`, forever.
pub fn serve(epoll: i32) {
    let mut connections = HashMap::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
    loop {
        for fd in super::wait(epoll, &mut events) {
            let connection = connections.entry(fd).or_insert_with(|| connection(fd));
            // The connection waits for nothing but its socket, so only the next event wakes it.
            if connection.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                connections.remove(&fd);
            }
        }
    }
}

fn connection(fd: i32) -> Connection {
    // SAFETY: the thread that accepted this descriptor has passed it on, and no longer uses it.
    let socket = Socket { fd: unsafe { OwnedFd::from_raw_fd(fd) }, is_empty: false };
    let answer =
        |_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(GREETING)))) };
    Box::pin(http1::Builder::new().serve_connection(socket, service_fn(answer)))
}

struct Socket {
    fd: OwnedFd,
    /// The last read emptied the socket, so wait for the next event first.
    is_empty: bool,
}

impl Read for Socket {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.is_empty) {
            return Poll::Pending;
        }
        // SAFETY: `recv` writes at most as many bytes as there is room for, and `advance` gets the number of bytes
        // written.
        unsafe {
            let room = buffer.as_mut();
            let count = libc::recv(self.fd.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0);
            self.is_empty = count > 0 && (count as usize) < room.len();
            done(count).map_ok(|count| buffer.advance(count))
        }
    }
}

impl Write for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // SAFETY: the pointer and length are those of a slice. A client that does not read is not a client of this
        // server.
        done(unsafe { libc::send(self.fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // SAFETY: `IoSlice` has the layout of `iovec`, and the slices are valid.
        done(unsafe { libc::writev(self.fd.as_raw_fd(), parts.as_ptr().cast(), parts.len().min(1024) as i32) })
    }
}

/// Converts the result of a system call.
fn done(count: isize) -> Poll<io::Result<usize>> {
    if count >= 0 {
        return Poll::Ready(Ok(count as usize));
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        error => Poll::Ready(Err(error)),
    }
}

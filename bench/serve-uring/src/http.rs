//! hyper on a ring: each completed read polls its one connection once. There is no queue, no waker and no timer, as in
//! `serve-epoll`.
//!
//! A read copies from the kernel's buffer into hyper's. A write copies into a buffer of the connection, which is sent at
//! the flush, and is ready at once; its error would come later.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use crate::ring::{Buffer, Ring, Service};

const GREETING: &[u8] = b"Hello, world!";
/// A write waits while so much has not been sent.
const UNSENT_LIMIT: usize = 64 * 1024;

#[derive(Default)]
pub struct Http {
    connections: Vec<Connection>,
}

struct Connection {
    future: Option<Pin<Box<dyn Future<Output = Result<(), hyper::Error>>>>>,
    socket: Rc<RefCell<Socket>>,
}

#[derive(Default)]
struct Socket {
    received: VecDeque<(Buffer, usize)>,
    /// Buffers to be given back to the kernel after the poll.
    emptied: Vec<u16>,
    has_ended: bool,
    unsent: Vec<u8>,
    /// What the kernel is sending; it must not change.
    sending: Vec<u8>,
    is_blocked: bool,
    /// The ring's buffers. Valid during a poll.
    ring: Option<*const Ring>,
}

impl Service for Http {
    fn opened(&mut self, _: &mut Ring, connection: u32) {
        assert_eq!(connection as usize, self.connections.len(), "numbers are given in turn");
        let socket = Rc::new(RefCell::new(Socket::default()));
        let answer = |_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(GREETING))))
        };
        let future = http1::Builder::new().serve_connection(Stream(socket.clone()), service_fn(answer));
        self.connections.push(Connection { future: Some(Box::pin(future)), socket });
    }

    fn received(&mut self, ring: &mut Ring, connection: u32, buffer: Buffer) {
        let at = &mut self.connections[connection as usize];
        at.socket.borrow_mut().received.push_back((buffer, 0));
        at.poll(ring, connection);
    }

    fn ended(&mut self, ring: &mut Ring, connection: u32) {
        let at = &mut self.connections[connection as usize];
        at.socket.borrow_mut().has_ended = true;
        at.poll(ring, connection);
    }

    fn sent(&mut self, ring: &mut Ring, connection: u32, _: u16) {
        let at = &mut self.connections[connection as usize];
        let is_blocked = {
            let mut socket = at.socket.borrow_mut();
            socket.sending.clear();
            socket.send(ring, connection);
            std::mem::take(&mut socket.is_blocked)
        };
        if is_blocked {
            at.poll(ring, connection);
        }
    }
}

impl Connection {
    fn poll(&mut self, ring: &mut Ring, connection: u32) {
        let Some(future) = &mut self.future else { return };
        self.socket.borrow_mut().ring = Some(ring);
        let is_ready = future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        let mut socket = self.socket.borrow_mut();
        socket.ring = None;
        for id in socket.emptied.drain(..) {
            ring.give_back(id);
        }
        socket.send(ring, connection);
        if is_ready {
            for (buffer, _) in socket.received.drain(..) {
                ring.give_back(buffer.id);
            }
            drop(socket);
            self.future = None;
        }
    }
}

impl Socket {
    /// Sends what has been written, unless the previous send is still under way.
    fn send(&mut self, ring: &mut Ring, connection: u32) {
        if self.unsent.is_empty() || !self.sending.is_empty() {
            return;
        }
        std::mem::swap(&mut self.unsent, &mut self.sending);
        // SAFETY: `sending` does not change before `sent` clears it, and connections are never freed.
        unsafe { ring.send(connection, 0, self.sending.as_ptr(), self.sending.len() as u32) };
    }
}

struct Stream(Rc<RefCell<Socket>>);

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut socket = self.0.borrow_mut();
        let Some((buffer, done)) = socket.received.pop_front() else {
            return if socket.has_ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        };
        let ring = socket.ring.expect("the loop polls");
        // SAFETY: the loop has set it for this poll, and does not use the ring meanwhile.
        let bytes = &unsafe { &*ring }.bytes(buffer)[done..];
        let count = bytes.len().min(room.remaining());
        room.put_slice(&bytes[..count]);
        if count < bytes.len() {
            socket.received.push_front((buffer, done + count));
        } else {
            socket.emptied.push(buffer.id);
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
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
        let mut socket = self.0.borrow_mut();
        if socket.unsent.len() > UNSENT_LIMIT {
            socket.is_blocked = true;
            return Poll::Pending;
        }
        let before = socket.unsent.len();
        for part in parts {
            socket.unsent.extend_from_slice(part);
        }
        Poll::Ready(Ok(socket.unsent.len() - before))
    }
}

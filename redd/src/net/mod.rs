//! TCP, UDP, Unix sockets and pipes.
//!
//! [`TcpListener`], [`TcpStream`], [`UdpSocket`], [`UnixListener`], [`UnixStream`] and [`UnixDatagram`] are the sockets of
//! the standard library, with methods that wait instead of blocking; [`TcpSocket`] and [`UnixSocket`] set options before they become one of
//! these; [`unix::pipe`] has pipes. An address is any value that implements [`ToSocketAddrs`].
//!
//! ```
//! use redd::io::{AsyncReadExt, AsyncWriteExt};
//! use redd::net::{TcpListener, TcpStream};
//!
//! # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let mut client = TcpStream::connect(listener.local_addr()?).await?;
//! let (mut server, _peer) = listener.accept().await?;
//! client.write_all(b"ping").await?;
//! let mut word = [0; 4];
//! server.read_exact(&mut word).await?;
//! assert_eq!(&word, b"ping");
//! # std::io::Result::Ok(()) }).unwrap();
//! ```
//!
//! # Readiness
//! Every socket is registered with the driver until it is dropped. The runtime remembers which operations on it are *ready*,
//! that is, worth trying.
//!
//! - **Waiting methods** (`read`, `write`, `accept`, `recv`, `send`, …) try the system call at once, wait only if it would
//!   block, and try again when the socket has become ready. They are what most programs need.
//! - **`readable`, `writable`, `ready`** only wait. Any number of tasks may do so on one socket; all of them are woken.
//! - **`try_*`** only try. If the socket is not ready, they return [`WouldBlock`](std::io::ErrorKind::WouldBlock) without a
//!   system call. So the two go together in a loop:
//! ```no_run
//! # async fn read_some(stream: redd::net::TcpStream, buf: &mut [u8]) -> std::io::Result<usize> {
//! loop {
//!     stream.readable().await?;
//!     match stream.try_read(buf) {
//!         Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
//!         result => return result,
//!     }
//! }
//! # }
//! ```
//! - **Ready is a hint.** An event sets it, and only a try that would block clears it. (An accepted stream counts as
//!   readable from the start, a connected stream and a pair as writable.) So `readable` returns at once until everything
//!   has been read. Sometimes it returns although no bytes are left: another task was faster, or a datagram had a wrong
//!   checksum. Always be prepared for `WouldBlock`.
//! - **Ready includes the end.** A direction that the peer has closed stays ready: the try returns how it ended.
//! - **`poll_*` methods remember one task per direction**: the one that polled last is woken, the others are not.
//!   The `async` methods have no such limit. The halves of a split stream may be polled by two tasks, one each.
//! - **System calls of your own** belong in `try_io` or `async_io`, so that the runtime sees their `WouldBlock`. Otherwise it
//!   takes the socket for ready, and `readable` spins.
//!
//! # Cancel safety
//! An operation happens within one poll or not at all. So a dropped `accept` loses no connection, and a dropped `recv` no
//! datagram. Methods that consist of several operations, such as `write_all`, say otherwise. Dropping a `connect` closes the
//! socket.
//!
//! # Runtime
//! A socket belongs to the runtime in which it was made. The constructor panics outside of a runtime, and in one that was
//! built without `enable_io`. Afterwards any thread may use it, also those of other runtimes. When its own runtime has shut
//! down, every operation that would wait is an error.
//!
//! # Closing
//! Dropping a socket closes it. Written bytes are delivered in the background. If received bytes were not read, the kernel
//! resets the connection. `shutdown`, or dropping an [`OwnedWriteHalf`](tcp::OwnedWriteHalf), ends the writing direction
//! alone: the peer reads to the end.
//!
//! # Out of descriptors
//! `accept`, `connect` and constructors return `EMFILE` when the process has no descriptor left. The listener stays usable,
//! and the connection stays in its queue, so a loop that calls `accept` again at once spins. Wait before the next try:
//! ```no_run
//! # async fn serve(listener: redd::net::TcpListener) {
//! loop {
//!     match listener.accept().await {
//!         Ok((stream, _peer)) => drop(redd::spawn(async move { drop(stream) })),
//!         Err(error) => {
//!             eprintln!("cannot accept: {error}");
//!             redd::time::sleep(std::time::Duration::from_millis(100)).await;
//!         }
//!     }
//! }
//! # }
//! ```
//!

// Called by user code, `process` and `signal`. Uses `driver` (`Source`), `io` (traits), `blocking` (host names) and `sys::net`.

mod addr;
mod fill;
mod lookup;
pub mod tcp;
mod udp;
pub mod unix;

pub use addr::ToSocketAddrs;
pub use lookup::lookup_host;
pub use tcp::{listener::TcpListener, socket::TcpSocket, stream::TcpStream};
pub use udp::UdpSocket;
pub use unix::{datagram::UnixDatagram, listener::UnixListener, socket::UnixSocket, stream::UnixStream};

//! TCP, UDP, Unix sockets and pipes.
//!
//! [`TcpListener`], [`TcpStream`], [`UdpSocket`], [`UnixListener`], [`UnixStream`] and [`UnixDatagram`] are std's sockets
//! with methods that wait instead of blocking; [`TcpSocket`] and [`UnixSocket`] set options before they become one of
//! these; [`unix::pipe`] has pipes. Addresses are whatever implements [`ToSocketAddrs`].
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
//! Every socket is watched from the moment it is made until it is dropped. The runtime remembers for each what is
//! *ready*: which operations are worth trying.
//!
//! - **Waiting methods** (`read`, `write`, `accept`, `recv`, `send`, …) try the system call at once, wait only if it would
//!   block, and try again when the socket has become ready. They are what most programs need.
//! - **`readable`, `writable`, `ready`** only wait. Any number of tasks may do so on one socket; all of them are woken.
//! - **`try_*`** only try. Where the socket is not ready they answer [`WouldBlock`](std::io::ErrorKind::WouldBlock) without
//!   asking the system, so the two go together in a loop:
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
//! - **Ready is a hint.** It is set by an event, and unset only by a try that would block. (An accepted stream is taken
//!   for readable from the start, a connected stream and a pair for writable.) So `readable` returns at once
//!   as long as nobody has read everything, and sometimes although nothing is left: another task was faster, or a
//!   datagram had a wrong checksum. Always be prepared for `WouldBlock`.
//! - **Ready includes the end.** A direction that the other side has closed is ready for ever: the try says how it ended.
//! - **`poll_*` methods remember one task per direction**: the one that polled last is woken, the others are not.
//!   The `async` methods have no such limit. The halves of a split stream may be polled by two tasks, one each.
//! - **System calls of your own** belong in `try_io` or `async_io`, so that their `WouldBlock` is noticed. Without that
//!   the runtime believes the socket to be ready still, and `readable` spins.
//!
//! # Cancel safety
//! A future that is dropped between polls has done nothing yet: an operation happens within one poll or not at all.
//! `accept` dropped loses no connection, `recv` no datagram, `readable` nothing. Only what is built of several operations,
//! such as `write_all`, says otherwise. Dropping a `connect` closes the socket.
//!
//! # Runtime
//! A socket belongs to the runtime in which it was made: the constructor panics outside of one, and in one that was
//! built without `enable_io`. It may be used from anywhere afterwards, also from other runtimes. When its own one is
//! shut down, everything that would wait on it is an error.
//!
//! # Closing
//! Dropping a socket closes it. What was written is delivered in the background; what was not read makes the system
//! reset the connection. `shutdown` (or dropping an [`OwnedWriteHalf`](tcp::OwnedWriteHalf)) ends the writing direction
//! alone, and the other side reads to the end.
//!
//! # Out of descriptors
//! `accept`, `connect` and constructors answer the system's error when the process has no descriptor left (`EMFILE`). The
//! listener survives it, and the connection stays in its queue, so a loop that just calls `accept` again spins.
//! Wait a little before the next try:
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
//! Called by user code and by `process`, `signal`. Stands on `driver` (`Source`), `io` (traits), `blocking` (names) and
//! `sys::net`.

#[macro_use]
mod methods;
#[macro_use]
mod halves;

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

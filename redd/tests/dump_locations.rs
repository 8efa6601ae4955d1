//! Each wait of the public API has the right line in a dump. The tests park a task in each wait, and a dump must name
//! the line of the `await`.
//!
//! A row calls [`Here::at`] on the line of the `await`, which is the line that the dump must show. The last test compares
//! the table with the source: a new public future needs a row, or an entry in [`NOT_PARKED`] that says why not.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a watchdog asks the system's clock")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::panic::Location;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex as StdMutex, mpsc as std_mpsc};
use std::task::{Context, Poll};

use redd::group::{Phases, Supervisor, TaskGroup};
use redd::io::unix::AsyncFd;
use redd::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, Interest, ReadBuf};
use redd::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, unix::pipe};
use redd::process::Command;
use redd::runtime::dump::TaskState;
use redd::runtime::{Builder, Handle};
use redd::signal::unix::{SignalKind, signal};
use redd::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
use redd::task::{JoinSet, LocalSet};
use redd::time::{Duration, Instant, interval, sleep, sleep_until, timeout};

/// More bytes than any buffer of the system holds.
const TOO_MUCH: usize = 1 << 26;
/// Longer than any test runs.
const HOUR: Duration = Duration::from_secs(3600);

/// Records the line that a dump must show.
#[derive(Clone, Default)]
struct Here(Arc<StdMutex<Option<&'static Location<'static>>>>);

impl Here {
    /// Records the line of this call as the expected one.
    #[track_caller]
    fn at<T>(&self, waiting: T) -> T {
        *self.0.lock().unwrap() = Some(Location::caller());
        waiting
    }
}

/// What a dump shows for a wait.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    /// The line of [`Here::at`].
    Line,
    /// The line of [`Here::at`], but the runtime's only blocking thread is in use, so that the operation has to wait.
    LineOfBlocking,
    /// The kind of wait, but no line: a poll function does not see the `await`.
    NoLine,
}

type Row = (&'static str, Shows, Box<dyn FnOnce(Here) -> Pin<Box<dyn Future<Output = ()> + Send>>>);

fn row<F>(rows: &mut Vec<Row>, name: &'static str, shows: Shows, wait: impl FnOnce(Here) -> F + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    rows.push((name, shows, Box::new(move |here| Box::pin(wait(here)))));
}

/// Parks a task in the wait of `row` and returns what is wrong with its line in a dump.
fn check((name, shows, wait): Row) -> Option<String> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (release, held) = std_mpsc::channel::<()>();
    if shows == Shows::LineOfBlocking {
        drop(runtime.spawn_blocking(move || held.recv()));
    }
    let here = Here::default();
    let task = runtime.spawn(wait(here.clone()));
    let give_up = std::time::Instant::now() + Duration::from_secs(60);
    let wrong = runtime.block_on(async {
        loop {
            redd::task::yield_now().await;
            if task.is_finished() {
                return Some(String::from("does not wait"));
            }
            let dump = Handle::current().dump().await;
            let parked = dump.tasks().iter().find(|each| each.id() == task.id()).map(|each| each.state());
            let expected = *here.0.lock().unwrap();
            if let (Some(TaskState::Waiting { on: Some(_), at, .. }), Some(expected)) = (parked, expected) {
                let expected = (shows != Shows::NoLine).then_some((expected.file(), expected.line()));
                let is_ours = !dump.to_string().contains("redd/src/");
                let at = at.map(|at| (at.file(), at.line()));
                return (at != expected || !is_ours).then(|| format!("is at {at:?}, not at {expected:?}\n{dump}"));
            }
            if std::time::Instant::now() > give_up {
                return Some(format!("never waits on anything\n{dump}"));
            }
        }
    });
    task.abort();
    drop(release);
    runtime.shutdown_background();
    wrong.map(|wrong| format!("{name}: {wrong}"))
}

/// Checks every row, so that one run shows all failures.
fn check_all(fill: impl FnOnce(&mut Vec<Row>)) {
    let mut rows = Vec::new();
    fill(&mut rows);
    let total = rows.len();
    let wrong: Vec<_> = rows.into_iter().filter_map(check).collect();
    let mut text = String::new();
    wrong.iter().for_each(|wrong| writeln!(text, "{wrong}").unwrap());
    assert!(wrong.is_empty(), "{} of {total} rows:\n{text}", wrong.len());
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// An address that accepts no more connections, and the connections that fill it.
async fn full_address() -> (std::net::SocketAddr, Box<dyn Send>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut tries = Vec::new();
    for _ in 0..8 {
        let mut connect = Box::pin(TcpSocket::new_v4().unwrap().connect(address));
        poll_fn(|cx| {
            let _ = connect.as_mut().poll(cx).map(keep_open);
            Poll::Ready(())
        })
        .await;
        tries.push(connect);
    }
    (address, Box::new((listener, tries)))
}

/// Keeps a connection open. It counts only as long as it is open.
fn keep_open(connected: std::io::Result<TcpStream>) {
    static OPEN: StdMutex<Vec<std::io::Result<TcpStream>>> = StdMutex::new(Vec::new());
    OPEN.lock().unwrap().push(connected);
}

async fn udp() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(socket.local_addr().unwrap()).await.unwrap();
    socket
}

/// A pair of sockets. The first one cannot send any more.
fn full_datagrams() -> (UnixDatagram, UnixDatagram) {
    let (sender, receiver) = UnixDatagram::pair().unwrap();
    while sender.try_send(&[0; 64]).is_ok() {}
    (sender, receiver)
}

async fn full_pipe() -> (pipe::Sender, pipe::Receiver) {
    let (sender, receiver) = pipe::pipe().unwrap();
    // A pipe tries no write before its first event.
    sender.writable().await.unwrap();
    while sender.try_write(&[0; 4096]).is_ok() {}
    (sender, receiver)
}

fn full_tcp(stream: &TcpStream) {
    while stream.try_write(&[0; 1 << 16]).is_ok() {}
}

fn full_unix() -> (UnixStream, UnixStream) {
    let (stream, peer) = UnixStream::pair().unwrap();
    while stream.try_write(&[0; 4096]).is_ok() {}
    (stream, peer)
}

fn async_fd() -> (AsyncFd<StdUnixStream>, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (AsyncFd::new(ours).unwrap(), theirs)
}

fn full_async_fd() -> (AsyncFd<StdUnixStream>, StdUnixStream) {
    let (ours, theirs) = StdUnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    while (&ours).write(&[0; 4096]).is_ok() {}
    (AsyncFd::new(ours).unwrap(), theirs)
}

fn would_block<T>() -> std::io::Result<T> {
    Err(std::io::ErrorKind::WouldBlock.into())
}

/// A reader and a buffered reader that receive no bytes, and the ends that keep them open.
fn quiet() -> (redd::io::DuplexStream, redd::io::DuplexStream) {
    redd::io::duplex(64)
}

fn file() -> redd::fs::File {
    redd::fs::File::from_std(tempfile::tempfile().unwrap())
}

/// `row!(rows, "name", Line, setup; wait)`: `here.at(…)` is on the line of the wait.
macro_rules! rows {
    ($rows:ident; $($name:literal $shows:ident $here:ident $body:block)*) => {
        $(row($rows, $name, Shows::$shows, |$here| async move { $body });)*
    };
}

#[test]
fn a_wait_on_a_socket_is_at_the_line_of_its_await() {
    check_all(|rows| {
        rows! { rows;
            "TcpListener::accept" Line here {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                drop(here.at(listener.accept()).await);
            }
            "TcpListener::bind" LineOfBlocking here { drop(here.at(TcpListener::bind("localhost:0")).await); }
            "TcpStream::connect" Line here {
                let (address, _full) = full_address().await;
                drop(here.at(TcpStream::connect(address)).await);
            }
            "TcpStream::connect of a name" LineOfBlocking here { drop(here.at(TcpStream::connect("localhost:1")).await); }
            "TcpSocket::connect" Line here {
                let (address, _full) = full_address().await;
                drop(here.at(TcpSocket::new_v4().unwrap().connect(address)).await);
            }
            "TcpStream::readable" Line here { let (one, _other) = tcp_pair().await; drop(here.at(one.readable()).await); }
            "TcpStream::writable" Line here {
                let (one, _other) = tcp_pair().await;
                full_tcp(&one);
                drop(here.at(one.writable()).await);
            }
            "TcpStream::ready" Line here {
                let (one, _other) = tcp_pair().await;
                drop(here.at(one.ready(Interest::READABLE)).await);
            }
            "TcpStream::peek" Line here {
                let (one, _other) = tcp_pair().await;
                drop(here.at(one.peek(&mut [0])).await);
            }
            "TcpStream::async_io" Line here {
                let (one, _other) = tcp_pair().await;
                drop(here.at(one.async_io(Interest::READABLE, would_block::<()>)).await);
            }
            "tcp::ReadHalf::readable" Line here {
                let (mut one, _other) = tcp_pair().await;
                drop(here.at(one.split().0.readable()).await);
            }
            "tcp::ReadHalf::ready" Line here {
                let (mut one, _other) = tcp_pair().await;
                drop(here.at(one.split().0.ready(Interest::READABLE)).await);
            }
            "tcp::ReadHalf::peek" Line here {
                let (mut one, _other) = tcp_pair().await;
                drop(here.at(one.split().0.peek(&mut [0])).await);
            }
            "tcp::WriteHalf::writable" Line here {
                let (mut one, _other) = tcp_pair().await;
                full_tcp(&one);
                drop(here.at(one.split().1.writable()).await);
            }
            "tcp::WriteHalf::ready" Line here {
                let (mut one, _other) = tcp_pair().await;
                full_tcp(&one);
                drop(here.at(one.split().1.ready(Interest::WRITABLE)).await);
            }
            "tcp::OwnedReadHalf::readable" Line here {
                let (one, _other) = tcp_pair().await;
                drop(here.at(one.into_split().0.readable()).await);
            }
            "tcp::OwnedReadHalf::ready" Line here {
                let (one, _other) = tcp_pair().await;
                drop(here.at(one.into_split().0.ready(Interest::READABLE)).await);
            }
            "tcp::OwnedReadHalf::peek" Line here {
                let (one, _other) = tcp_pair().await;
                drop(here.at(one.into_split().0.peek(&mut [0])).await);
            }
            "tcp::OwnedWriteHalf::writable" Line here {
                let (one, _other) = tcp_pair().await;
                full_tcp(&one);
                let (_read, write) = one.into_split();
                drop(here.at(write.writable()).await);
            }
            "tcp::OwnedWriteHalf::ready" Line here {
                let (one, _other) = tcp_pair().await;
                full_tcp(&one);
                let (_read, write) = one.into_split();
                drop(here.at(write.ready(Interest::WRITABLE)).await);
            }
            "UdpSocket::bind" LineOfBlocking here { drop(here.at(UdpSocket::bind("localhost:0")).await); }
            "UdpSocket::connect" LineOfBlocking here {
                let socket = udp().await;
                drop(here.at(socket.connect("localhost:1")).await);
            }
            "UdpSocket::send_to" LineOfBlocking here {
                let socket = udp().await;
                drop(here.at(socket.send_to(&[0], "localhost:1")).await);
            }
            "UdpSocket::ready" Line here {
                let socket = udp().await;
                drop(here.at(socket.ready(Interest::READABLE)).await);
            }
            "UdpSocket::readable" Line here { let socket = udp().await; drop(here.at(socket.readable()).await); }
            "UdpSocket::async_io" Line here {
                let socket = udp().await;
                drop(here.at(socket.async_io(Interest::READABLE, would_block::<()>)).await);
            }
            "UdpSocket::recv" Line here { let socket = udp().await; drop(here.at(socket.recv(&mut [0])).await); }
            "UdpSocket::recv_buf" Line here {
                let socket = udp().await;
                drop(here.at(socket.recv_buf(&mut Vec::with_capacity(8))).await);
            }
            "UdpSocket::recv_from" Line here {
                let socket = udp().await;
                drop(here.at(socket.recv_from(&mut [0])).await);
            }
            "UdpSocket::recv_buf_from" Line here {
                let socket = udp().await;
                drop(here.at(socket.recv_buf_from(&mut Vec::with_capacity(8))).await);
            }
            "UdpSocket::peek" Line here { let socket = udp().await; drop(here.at(socket.peek(&mut [0])).await); }
            "UdpSocket::peek_from" Line here {
                let socket = udp().await;
                drop(here.at(socket.peek_from(&mut [0])).await);
            }
            "UdpSocket::peek_sender" Line here { let socket = udp().await; drop(here.at(socket.peek_sender()).await); }
            "lookup_host" LineOfBlocking here { drop(here.at(redd::net::lookup_host("localhost:1")).await); }
            "UnixListener::accept" Line here {
                let dir = tempfile::tempdir().unwrap();
                let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
                drop(here.at(listener.accept()).await);
            }
            "UnixStream::readable" Line here {
                let (one, _other) = UnixStream::pair().unwrap();
                drop(here.at(one.readable()).await);
            }
            "UnixStream::writable" Line here { let (one, _other) = full_unix(); drop(here.at(one.writable()).await); }
            "UnixStream::ready" Line here {
                let (one, _other) = UnixStream::pair().unwrap();
                drop(here.at(one.ready(Interest::READABLE)).await);
            }
            "UnixStream::async_io" Line here {
                let (one, _other) = UnixStream::pair().unwrap();
                drop(here.at(one.async_io(Interest::READABLE, would_block::<()>)).await);
            }
            "unix::ReadHalf::readable" Line here {
                let (mut one, _other) = UnixStream::pair().unwrap();
                drop(here.at(one.split().0.readable()).await);
            }
            "unix::WriteHalf::writable" Line here {
                let (mut one, _other) = full_unix();
                drop(here.at(one.split().1.writable()).await);
            }
            "unix::OwnedReadHalf::ready" Line here {
                let (one, _other) = UnixStream::pair().unwrap();
                drop(here.at(one.into_split().0.ready(Interest::READABLE)).await);
            }
            "unix::OwnedWriteHalf::ready" Line here {
                let (one, _other) = full_unix();
                let (_read, write) = one.into_split();
                drop(here.at(write.ready(Interest::WRITABLE)).await);
            }
            "UnixDatagram::ready" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.ready(Interest::READABLE)).await);
            }
            "UnixDatagram::readable" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.readable()).await);
            }
            "UnixDatagram::async_io" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.async_io(Interest::READABLE, would_block::<()>)).await);
            }
            "UnixDatagram::writable" Line here { let (one, _other) = full_datagrams(); drop(here.at(one.writable()).await); }
            "UnixDatagram::send" Line here { let (one, _other) = full_datagrams(); drop(here.at(one.send(&[0])).await); }
            "UnixDatagram::recv" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.recv(&mut [0])).await);
            }
            "UnixDatagram::recv_buf" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.recv_buf(&mut Vec::with_capacity(8))).await);
            }
            "UnixDatagram::recv_from" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.recv_from(&mut [0])).await);
            }
            "UnixDatagram::recv_buf_from" Line here {
                let (one, _other) = UnixDatagram::pair().unwrap();
                drop(here.at(one.recv_buf_from(&mut Vec::with_capacity(8))).await);
            }
            "pipe::Sender::writable" Line here { let (sender, _receiver) = full_pipe().await; drop(here.at(sender.writable()).await); }
            "pipe::Sender::ready" Line here {
                let (sender, _receiver) = full_pipe().await;
                drop(here.at(sender.ready(Interest::WRITABLE)).await);
            }
            "pipe::Receiver::readable" Line here {
                let (_sender, receiver) = pipe::pipe().unwrap();
                drop(here.at(receiver.readable()).await);
            }
            "pipe::Receiver::ready" Line here {
                let (_sender, receiver) = pipe::pipe().unwrap();
                drop(here.at(receiver.ready(Interest::READABLE)).await);
            }
            "AsyncFd::ready" Line here {
                let (fd, _peer) = async_fd();
                drop(here.at(fd.ready(Interest::READABLE)).await);
            }
            "AsyncFd::ready_mut" Line here {
                let (mut fd, _peer) = async_fd();
                drop(here.at(fd.ready_mut(Interest::READABLE)).await);
            }
            "AsyncFd::readable" Line here { let (fd, _peer) = async_fd(); drop(here.at(fd.readable()).await); }
            "AsyncFd::readable_mut" Line here { let (mut fd, _peer) = async_fd(); drop(here.at(fd.readable_mut()).await); }
            "AsyncFd::writable" Line here { let (fd, _peer) = full_async_fd(); drop(here.at(fd.writable()).await); }
            "AsyncFd::writable_mut" Line here {
                let (mut fd, _peer) = full_async_fd();
                drop(here.at(fd.writable_mut()).await);
            }
            "AsyncFd::async_io" Line here {
                let (fd, _peer) = async_fd();
                drop(here.at(fd.async_io(Interest::READABLE, |_| would_block::<()>())).await);
            }
            "AsyncFd::async_io_mut" Line here {
                let (mut fd, _peer) = async_fd();
                drop(here.at(fd.async_io_mut(Interest::READABLE, |_| would_block::<()>())).await);
            }
        }
    });
}

/// `read_exact` and similar functions wait in the same future as `read`, so one of each shape represents all numbers.
#[test]
fn a_wait_of_an_io_extension_is_at_the_line_of_its_await() {
    check_all(|rows| {
        rows! { rows;
            "TcpStream read" Line here { let (mut one, _other) = tcp_pair().await; drop(here.at(one.read(&mut [0])).await); }
            "TcpStream write_all" Line here {
                let (mut one, _other) = tcp_pair().await;
                drop(here.at(one.write_all(&vec![0; TOO_MUCH])).await);
            }
            "UnixStream read" Line here {
                let (mut one, _other) = UnixStream::pair().unwrap();
                drop(here.at(one.read(&mut [0])).await);
            }
            "pipe read" Line here {
                let (_sender, mut receiver) = pipe::pipe().unwrap();
                drop(here.at(receiver.read(&mut [0])).await);
            }
            "split half read" Line here {
                let (one, _other) = tcp_pair().await;
                let (mut read, _write) = redd::io::split(one);
                drop(here.at(read.read(&mut [0])).await);
            }
            "read" Line here { let (mut one, _other) = quiet(); drop(here.at(one.read(&mut [0])).await); }
            "read_buf" Line here {
                let (mut one, _other) = quiet();
                drop(here.at(one.read_buf(&mut Vec::with_capacity(8))).await);
            }
            "read_exact" Line here { let (mut one, _other) = quiet(); drop(here.at(one.read_exact(&mut [0])).await); }
            "read_u8" Line here { let (mut one, _other) = quiet(); drop(here.at(one.read_u8()).await); }
            "read_f64_le" Line here { let (mut one, _other) = quiet(); drop(here.at(one.read_f64_le()).await); }
            "read_to_end" Line here {
                let (mut one, _other) = quiet();
                drop(here.at(one.read_to_end(&mut Vec::new())).await);
            }
            "read_to_string" Line here {
                let (mut one, _other) = quiet();
                drop(here.at(one.read_to_string(&mut String::new())).await);
            }
            "write" Line here {
                let (mut one, _other) = quiet();
                one.write_all(&[0; 64]).await.unwrap();
                drop(here.at(one.write(&[0])).await);
            }
            "write_vectored" Line here {
                let (mut one, _other) = quiet();
                one.write_all(&[0; 64]).await.unwrap();
                drop(here.at(one.write_vectored(&[std::io::IoSlice::new(&[0])])).await);
            }
            "write_buf" Line here {
                let (mut one, _other) = quiet();
                one.write_all(&[0; 64]).await.unwrap();
                drop(here.at(one.write_buf(&mut &[0_u8][..])).await);
            }
            "write_all_buf" Line here {
                let (mut one, _other) = quiet();
                drop(here.at(one.write_all_buf(&mut &[0_u8; 65][..])).await);
            }
            "write_all" Line here { let (mut one, _other) = quiet(); drop(here.at(one.write_all(&[0; 65])).await); }
            "write_u8" Line here {
                let (mut one, _other) = quiet();
                one.write_all(&[0; 64]).await.unwrap();
                drop(here.at(one.write_u8(0)).await);
            }
            "BufWriter flush" Line here {
                let (one, _other) = full_pipe().await;
                let mut writer = redd::io::BufWriter::new(one);
                writer.write_all(&[0]).await.unwrap();
                drop(here.at(writer.flush()).await);
            }
            "BufWriter shutdown" Line here {
                let (one, _other) = full_pipe().await;
                let mut writer = redd::io::BufWriter::new(one);
                writer.write_all(&[0]).await.unwrap();
                drop(here.at(writer.shutdown()).await);
            }
            "BufReader read_line" Line here {
                let (one, _other) = quiet();
                drop(here.at(BufReader::new(one).read_line(&mut String::new())).await);
            }
            "read_until" Line here {
                let (one, _other) = quiet();
                drop(here.at(BufReader::new(one).read_until(0, &mut Vec::new())).await);
            }
            "fill_buf" Line here {
                let (one, _other) = quiet();
                let mut reader = BufReader::new(one);
                let _bytes = here.at(reader.fill_buf()).await;
            }
            "Lines::next_line" Line here {
                let (one, _other) = quiet();
                drop(here.at(BufReader::new(one).lines().next_line()).await);
            }
            "Split::next_segment" Line here {
                let (one, _other) = quiet();
                drop(here.at(BufReader::new(one).split(0).next_segment()).await);
            }
            "copy" Line here {
                let (mut one, _other) = quiet();
                drop(here.at(redd::io::copy(&mut one, &mut redd::io::sink())).await);
            }
            "copy_buf" Line here {
                let (one, _other) = quiet();
                drop(here.at(redd::io::copy_buf(&mut BufReader::new(one), &mut redd::io::sink())).await);
            }
            "copy_bidirectional" Line here {
                let ((mut one, _other), (mut two, _another)) = (quiet(), quiet());
                drop(here.at(redd::io::copy_bidirectional(&mut one, &mut two)).await);
            }
            "copy_bidirectional_with_sizes" Line here {
                let ((mut one, _other), (mut two, _another)) = (quiet(), quiet());
                drop(here.at(redd::io::copy_bidirectional_with_sizes(&mut one, &mut two, 8, 8)).await);
            }
            "a reader of the user that awaits inside" Line here {
                struct Later(Pin<Box<redd::time::Sleep>>);
                impl AsyncRead for Later {
                    fn poll_read(
                        mut self: Pin<&mut Self>,
                        cx: &mut Context<'_>,
                        _: &mut ReadBuf<'_>,
                    ) -> Poll<std::io::Result<()>> {
                        self.0.as_mut().poll(cx).map(Ok)
                    }
                }
                let mut later = Later(Box::pin(here.at(sleep(HOUR))));
                drop(later.read(&mut [0]).await);
            }
            "AsyncRead::poll_read by hand" NoLine here {
                let (mut one, _other) = tcp_pair().await;
                let mut bytes = [0];
                let mut buf = ReadBuf::new(&mut bytes);
                drop(poll_fn(|cx| here.at(Pin::new(&mut one)).poll_read(cx, &mut buf)).await);
            }
            "TcpListener::poll_accept by hand" NoLine here {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                drop(poll_fn(|cx| here.at(listener.poll_accept(cx))).await);
            }
        }
    });
}

/// A path at which no call finds or makes anything, since its parent is a file.
const NOWHERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/x");
/// A file that the system computes, so that no call on it is done without the pool.
const COMPUTED: &str = "/proc/self/stat";

/// An open file, whose kind decides which operations need the pool. It is opened without the pool, which is busy.
fn open(path: &str) -> redd::fs::File {
    std::fs::File::open(path).unwrap().into()
}

#[test]
fn a_wait_on_the_blocking_pool_is_at_the_line_of_its_await() {
    use redd::fs;
    check_all(|rows| {
        rows! { rows;
            "canonicalize" LineOfBlocking here { drop(here.at(fs::canonicalize(NOWHERE)).await); }
            "fs::copy" LineOfBlocking here { drop(here.at(fs::copy(NOWHERE, NOWHERE)).await); }
            "create_dir" LineOfBlocking here { drop(here.at(fs::create_dir(NOWHERE)).await); }
            "create_dir_all" LineOfBlocking here { drop(here.at(fs::create_dir_all(NOWHERE)).await); }
            "hard_link" LineOfBlocking here { drop(here.at(fs::hard_link(NOWHERE, NOWHERE)).await); }
            "fs::metadata" LineOfBlocking here { drop(here.at(fs::metadata(COMPUTED)).await); }
            "fs::read" LineOfBlocking here { drop(here.at(fs::read(COMPUTED)).await); }
            "read_link" LineOfBlocking here { drop(here.at(fs::read_link(NOWHERE)).await); }
            "fs::read_to_string" LineOfBlocking here { drop(here.at(fs::read_to_string(COMPUTED)).await); }
            "remove_dir" LineOfBlocking here { drop(here.at(fs::remove_dir(NOWHERE)).await); }
            "remove_dir_all" LineOfBlocking here { drop(here.at(fs::remove_dir_all(NOWHERE)).await); }
            "remove_file" LineOfBlocking here { drop(here.at(fs::remove_file(NOWHERE)).await); }
            "rename" LineOfBlocking here { drop(here.at(fs::rename(NOWHERE, NOWHERE)).await); }
            "symlink" LineOfBlocking here { drop(here.at(fs::symlink(NOWHERE, NOWHERE)).await); }
            "symlink_metadata" LineOfBlocking here { drop(here.at(fs::symlink_metadata(COMPUTED)).await); }
            "try_exists" LineOfBlocking here { drop(here.at(fs::try_exists(COMPUTED)).await); }
            "fs::set_permissions" LineOfBlocking here {
                let permissions = std::fs::metadata(".").unwrap().permissions();
                drop(here.at(fs::set_permissions(NOWHERE, permissions)).await);
            }
            "fs::write" LineOfBlocking here { drop(here.at(fs::write(NOWHERE, NOWHERE)).await); }
            "read_dir" LineOfBlocking here { drop(here.at(fs::read_dir(NOWHERE)).await); }
            "DirBuilder::create" LineOfBlocking here { drop(here.at(fs::DirBuilder::new().create(NOWHERE)).await); }
            "OpenOptions::open" LineOfBlocking here { drop(here.at(fs::OpenOptions::new().read(true).open(COMPUTED)).await); }
            "File::open" LineOfBlocking here { drop(here.at(fs::File::open(COMPUTED)).await); }
            "File::create" LineOfBlocking here { drop(here.at(fs::File::create(NOWHERE)).await); }
            "File::create_new" LineOfBlocking here { drop(here.at(fs::File::create_new(NOWHERE)).await); }
            "File::sync_all" LineOfBlocking here { drop(here.at(file().sync_all()).await); }
            "File::sync_data" LineOfBlocking here { drop(here.at(file().sync_data()).await); }
            "File::set_len" LineOfBlocking here { drop(here.at(file().set_len(0)).await); }
            "File::metadata" LineOfBlocking here {
                drop(here.at(open(COMPUTED).metadata()).await);
            }
            "File::set_permissions" LineOfBlocking here {
                let permissions = std::fs::metadata(".").unwrap().permissions();
                drop(here.at(file().set_permissions(permissions)).await);
            }
            "File::set_times" LineOfBlocking here { drop(here.at(file().set_times(fs::FileTimes::new())).await); }
            "File::set_modified" LineOfBlocking here {
                drop(here.at(file().set_modified(std::time::SystemTime::now())).await);
            }
            "File::try_clone" LineOfBlocking here { drop(here.at(file().try_clone()).await); }
            "File::into_std" LineOfBlocking here {
                let mut file = file();
                file.write_all(b"x").await.unwrap();
                drop(here.at(file.into_std()).await);
            }
            "File read" LineOfBlocking here { drop(here.at(open(COMPUTED).read(&mut [0])).await); }
            "File seek" LineOfBlocking here { drop(here.at(open(".").seek(std::io::SeekFrom::Start(1))).await); }
            "File rewind" LineOfBlocking here { drop(here.at(open(".").rewind()).await); }
            "File stream_position" LineOfBlocking here { drop(here.at(open(".").stream_position()).await); }
            "File flush" LineOfBlocking here {
                let mut file = file();
                file.write_all(b"x").await.unwrap();
                drop(here.at(file.flush()).await);
            }
            "stdin read" LineOfBlocking here { drop(here.at(redd::io::stdin().read(&mut [0])).await); }
        }
    });
}

#[test]
fn a_wait_on_a_listing_is_at_the_line_of_its_await() {
    let dir = tempfile::tempdir().unwrap();
    // More entries than one batch, so that `next_entry` asks the pool.
    (0..200).for_each(|number| drop(fs::write(dir.path().join(number.to_string()), "")));
    let path = dir.path().to_owned();
    check_all(|rows| {
        row(rows, "ReadDir::next_entry", Shows::Line, move |here| async move {
            let mut entries = redd::fs::read_dir(path).await.unwrap();
            let (release, held) = std_mpsc::channel::<()>();
            drop(redd::task::spawn_blocking(move || held.recv()));
            while here.at(entries.next_entry()).await.unwrap().is_some() {}
            drop(release);
        });
        let path = dir.path().to_owned();
        row(rows, "DirEntry::metadata", Shows::Line, move |here| async move {
            let entry = redd::fs::read_dir(path).await.unwrap().next_entry().await.unwrap().unwrap();
            let (_release, held) = std_mpsc::channel::<()>();
            drop(redd::task::spawn_blocking(move || held.recv()));
            drop(here.at(entry.metadata()).await);
        });
    });
}

/// A group whose only place is taken.
fn busy_group() -> TaskGroup<()> {
    let group = TaskGroup::limit(1).start();
    group.spawn(std::future::pending());
    group
}

/// A shutdown that has not started.
fn phases() -> Phases {
    Phases::new().then("only", HOUR)
}

#[test]
fn a_wait_on_a_task_a_timer_a_process_or_a_signal_is_at_the_line_of_its_await() {
    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("1000").kill_on_drop(true).stdin(Stdio::null());
        command
    }
    fn busy() -> JoinSet<()> {
        let mut set = JoinSet::new();
        set.spawn(std::future::pending());
        set
    }
    check_all(|rows| {
        rows! { rows;
            // `await` polls a `JoinHandle` directly, without passing its line. So the dump shows the line that spawned
            // the task.
            "JoinHandle" Line here { drop(here.at(redd::spawn(std::future::pending::<()>())).await); }
            "JoinSet::join_next" Line here { drop(here.at(busy().join_next()).await); }
            "JoinSet::join_next_with_id" Line here { drop(here.at(busy().join_next_with_id()).await); }
            "JoinSet::join_all" Line here { drop(here.at(busy().join_all()).await); }
            "JoinSet::shutdown" Line here {
                let (mut set, (_release, held)) = (JoinSet::new(), std_mpsc::channel::<()>());
                // A blocking task cannot be aborted once it runs.
                let (started, has_started) = oneshot::channel();
                set.spawn_blocking(move || { let _ = (started.send(()), held.recv()); });
                has_started.await.unwrap();
                here.at(set.shutdown()).await;
            }
            "JoinSet::poll_join_next by hand" NoLine here {
                let mut set = busy();
                drop(poll_fn(|cx| here.at(set.poll_join_next(cx))).await);
            }
            "TaskGroup::next" Line here { let group = busy_group(); drop(here.at(group.next()).await); }
            "TaskGroup::ready" Line here { let group = busy_group(); here.at(group.ready()).await; }
            "TaskGroup::close" Line here { drop(here.at(busy_group().close()).await); }
            "TaskGroup::try_close" Line here {
                let group = TaskGroup::<Result<(), ()>>::new();
                group.spawn(std::future::pending());
                drop(here.at(group.try_close()).await);
            }
            "InOrder::next" Line here { drop(here.at(busy_group().in_order().next()).await); }
            "CancelScope::cancelled" Line here {
                let group = busy_group();
                drop(here.at(group.scope().cancelled()).await);
            }
            "Phases::accepting" Line here { here.at(phases().accepting()).await; }
            "Phases::reached" Line here { here.at(phases().reached("only")).await; }
            "Phases::wait_for" Line here { drop(here.at(phases().wait_for("only", "endless", std::future::pending::<()>())).await); }
            "Phases::finished" Line here { drop(here.at(phases().finished()).await); }
            "Phases::on_signals" Line here { drop(here.at(phases().on_signals()).await); }
            "Hold::expired" Line here { let hold = phases().hold("only", "held"); drop(here.at(hold.expired()).await); }
            "Supervisor::run" Line here {
                let supervisor = Supervisor::one_for_one().child("endless", std::future::pending::<()>);
                drop(here.at(supervisor.run()).await);
            }
            "sleep" Line here { here.at(sleep(HOUR)).await; }
            "sleep_until" Line here { here.at(sleep_until(Instant::now() + HOUR)).await; }
            "Interval::tick" Line here {
                let mut ticks = interval(HOUR);
                ticks.tick().await;
                here.at(ticks.tick()).await;
            }
            "timeout of a future without a wait" Line here { drop(here.at(timeout(HOUR, std::future::pending::<()>())).await); }
            "timeout of a wait" Line here {
                let notify = Notify::new();
                let waits = here.at(notify.notified());
                drop(timeout(HOUR, waits).await);
            }
            "select!" Line here {
                let (notify, mut ticks) = (Notify::new(), interval(HOUR));
                ticks.tick().await;
                redd::select! {
                    biased;
                    () = notify.notified() => {}
                    _ = here.at(ticks.tick()) => {}
                }
            }
            "join!" Line here {
                let (one, (mut two, _other)) = (async {}, quiet());
                drop(redd::join!(one, here.at(two.read_u8())));
            }
            "Child::wait" Line here { drop(here.at(sleeper().spawn().unwrap().wait()).await); }
            "Child::wait_with_output" Line here { drop(here.at(sleeper().spawn().unwrap().wait_with_output()).await); }
            "Child::wait_with_output of pipes" Line here {
                let child = sleeper().stdout(Stdio::piped()).spawn().unwrap();
                drop(here.at(child.wait_with_output()).await);
            }
            "Command::status" Line here { drop(here.at(sleeper().status()).await); }
            "Command::output" Line here { drop(here.at(sleeper().output()).await); }
            "ctrl_c" Line here { drop(here.at(redd::signal::ctrl_c()).await); }
            "Signal::recv" Line here {
                let mut signals = signal(SignalKind::user_defined2()).unwrap();
                let _ = here.at(signals.recv()).await;
            }
        }
    });
}

#[test]
fn a_wait_of_sync_is_at_the_line_of_its_await() {
    check_all(|rows| {
        rows! { rows;
            "Mutex::lock" Line here {
                let mutex = Mutex::new(());
                let _held = mutex.lock().await;
                drop(here.at(mutex.lock()).await);
            }
            "Mutex::lock_owned" Line here {
                let mutex = Arc::new(Mutex::new(()));
                let _held = mutex.lock().await;
                drop(here.at(Arc::clone(&mutex).lock_owned()).await);
            }
            "RwLock::read" Line here {
                let lock = RwLock::new(());
                let _held = lock.write().await;
                drop(here.at(lock.read()).await);
            }
            "RwLock::write" Line here {
                let lock = RwLock::new(());
                let _held = lock.read().await;
                drop(here.at(lock.write()).await);
            }
            "RwLock::read_owned" Line here {
                let lock = Arc::new(RwLock::new(()));
                let _held = lock.write().await;
                drop(here.at(Arc::clone(&lock).read_owned()).await);
            }
            "RwLock::write_owned" Line here {
                let lock = Arc::new(RwLock::new(()));
                let _held = lock.read().await;
                drop(here.at(Arc::clone(&lock).write_owned()).await);
            }
            "Semaphore::acquire" Line here { drop(here.at(Semaphore::new(0).acquire()).await); }
            "Semaphore::acquire_many" Line here { drop(here.at(Semaphore::new(0).acquire_many(2)).await); }
            "Semaphore::acquire_owned" Line here { drop(here.at(Arc::new(Semaphore::new(0)).acquire_owned()).await); }
            "Semaphore::acquire_many_owned" Line here {
                drop(here.at(Arc::new(Semaphore::new(0)).acquire_many_owned(2)).await);
            }
            "Notify::notified" Line here { here.at(Notify::new().notified()).await; }
            "Notify::notified_owned" Line here { here.at(Arc::new(Notify::new()).notified_owned()).await; }
            "Barrier::wait" Line here { let _ = here.at(Barrier::new(2).wait()).await; }
            "OnceCell::get_or_init" Line here {
                let cell = OnceCell::new();
                let mut first = Box::pin(cell.get_or_init(std::future::pending::<u8>));
                assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
                here.at(cell.get_or_init(std::future::pending::<u8>)).await;
            }
            "OnceCell::get_or_try_init" Line here {
                let cell = OnceCell::new();
                let mut first = Box::pin(cell.get_or_init(std::future::pending::<u8>));
                assert!(poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
                let _ = here.at(cell.get_or_try_init(std::future::pending::<Result<u8, ()>>)).await;
            }
            "SetOnce::wait" Line here { here.at(SetOnce::<u8>::new().wait()).await; }
            "mpsc::Receiver::recv" Line here { let (_sender, mut one) = mpsc::channel::<()>(1); here.at(one.recv()).await; }
            "mpsc::Receiver::recv_many" Line here {
                let (_sender, mut one) = mpsc::channel::<()>(1);
                here.at(one.recv_many(&mut Vec::new(), 2)).await;
            }
            "mpsc::Sender::send" Line here {
                let (one, _receiver) = mpsc::channel(1);
                one.send(()).await.unwrap();
                let _ = here.at(one.send(())).await;
            }
            "mpsc::Sender::send_timeout" Line here {
                let (one, _receiver) = mpsc::channel(1);
                one.send(()).await.unwrap();
                let _ = here.at(one.send_timeout((), HOUR)).await;
            }
            "mpsc::Sender::reserve" Line here {
                let (one, _receiver) = mpsc::channel(1);
                one.send(()).await.unwrap();
                let _ = here.at(one.reserve()).await;
            }
            "mpsc::Sender::reserve_many" Line here {
                let (one, _receiver) = mpsc::channel(1);
                one.send(()).await.unwrap();
                let _ = here.at(one.reserve_many(1)).await;
            }
            "mpsc::Sender::reserve_owned" Line here {
                let (one, _receiver) = mpsc::channel(1);
                one.send(()).await.unwrap();
                let _ = here.at(one.reserve_owned()).await;
            }
            "mpsc::Sender::closed" Line here { let (one, _receiver) = mpsc::channel::<()>(1); here.at(one.closed()).await; }
            "mpsc::UnboundedSender::closed" Line here {
                let (one, _receiver) = mpsc::unbounded_channel::<()>();
                here.at(one.closed()).await;
            }
            "mpsc::UnboundedReceiver::recv" Line here {
                let (_sender, mut one) = mpsc::unbounded_channel::<()>();
                here.at(one.recv()).await;
            }
            "mpsc::UnboundedReceiver::recv_many" Line here {
                let (_sender, mut one) = mpsc::unbounded_channel::<()>();
                here.at(one.recv_many(&mut Vec::new(), 2)).await;
            }
            "broadcast::Receiver::recv" Line here {
                let (_sender, mut one) = broadcast::channel::<()>(1);
                let _ = here.at(one.recv()).await;
            }
            "broadcast::Sender::closed" Line here {
                let (one, _receiver) = broadcast::channel::<()>(1);
                here.at(one.closed()).await;
            }
            "watch::Receiver::changed" Line here {
                let (_sender, mut one) = watch::channel(());
                let _ = here.at(one.changed()).await;
            }
            "watch::Receiver::wait_for" Line here {
                let (_sender, mut one) = watch::channel(());
                let _ = here.at(one.wait_for(|()| false)).await.is_ok();
            }
            "watch::Sender::closed" Line here { let (one, _receiver) = watch::channel(()); here.at(one.closed()).await; }
            // The receiver itself is awaited, so the dump shows the line that created the channel.
            "oneshot::Receiver" Line here {
                let (_sender, receiver) = here.at(oneshot::channel::<()>());
                let _ = receiver.await;
            }
            "oneshot::Sender::closed" Line here {
                let (mut one, _receiver) = oneshot::channel::<()>();
                here.at(one.closed()).await;
            }
        }
    });
}

/// The tasks of a set are polled within the poll of the task that runs the set.
#[test]
fn a_task_that_runs_a_local_set_waits_at_its_own_line() {
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    let here = [Here::default(), Here::default()];
    let (until, set) = (here[0].clone(), here[1].clone());
    let tasks = [
        runtime.spawn_local(async move {
            let local = LocalSet::new();
            drop(local.spawn_local(sleep(HOUR)));
            local.run_until(async move { until.at(Notify::new().notified()).await }).await;
        }),
        runtime.spawn_local(async move {
            // The set itself is awaited, so the dump shows the line that created it.
            let local = set.at(LocalSet::new());
            drop(local.spawn_local(sleep(HOUR)));
            local.await;
        }),
    ];
    runtime.block_on(async {
        for _ in 0..8 {
            redd::task::yield_now().await;
        }
        let dump = runtime.handle().dump().await;
        for (task, here) in tasks.iter().zip(here) {
            let state = dump.tasks().iter().find(|each| each.id() == task.id()).unwrap().state();
            let TaskState::Waiting { at: Some(at), .. } = state else { panic!("{state:?} in {dump}") };
            let expected = here.0.lock().unwrap().unwrap();
            assert_eq!((at.file(), at.line()), (expected.file(), expected.line()), "{dump}");
        }
        tasks.iter().for_each(redd::task::JoinHandle::abort);
    });
}

/// Public futures without a row, and the reason.
const NOT_PARKED: [(&str, &str); 10] = [
    ("send", "on a `UdpSocket`: loopback never refuses; the future is that of `UnixDatagram::send`"),
    ("file_type", "the listing has it already, unless the file system does not tell"),
    ("connect_addr", "a Unix socket connects at once or fails"),
    ("kill", "the child has ended before a dump could be taken"),
    ("dump", "returns at once"),
    ("yield_now", "the task is queued, and does not wait"),
    ("consume_budget", "the task is queued, and does not wait"),
    ("advance", "the task is queued, and does not wait"),
    ("run_until", "the future that it runs has its own line: see the test of a `LocalSet`"),
    ("watch_for_left_tasks", "the body of the test has lines of its own, and nothing looks into a world that runs"),
];

/// Each `async fn` of the public API. It cannot see its caller, so it must be in [`NOT_PARKED`].
const ASYNC_FNS: [&str; 6] = ["advance", "consume_budget", "dump", "run_until", "watch_for_left_tasks", "yield_now"];

/// The names of the functions in `text` that return a future, and whether they are `async fn`.
fn public_futures(text: &str, found: &mut BTreeSet<(String, bool)>) {
    let product = text.split("#[cfg(all(test").next().unwrap();
    let mut lines = product.lines().map(str::trim_start);
    while let Some(line) = lines.next() {
        let is_async = line.starts_with("pub async fn ");
        let name = ["pub async fn ", "pub fn ", "fn "].iter().find_map(|start| line.strip_prefix(start));
        let Some(name) = name else { continue };
        let mut signature = String::from(line);
        while !signature.contains(['{', ';']) {
            let Some(more) = lines.next() else { break };
            signature.push_str(more);
        }
        let is_public = line.starts_with("pub ") || signature.contains("-> OperationFuture<");
        let is_future = signature.contains("-> impl Future<") || signature.contains("-> OperationFuture<");
        if is_public && (is_async || is_future) {
            let len = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap();
            found.insert((name[..len].to_owned(), is_async));
        }
    }
}

fn visit(dir: &Path, found: &mut BTreeSet<(String, bool)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            public_futures(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

#[test]
fn every_public_future_has_a_row() {
    let mut found = BTreeSet::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 100, "{} are too few: the source is not read as it should", found.len());
    let table = include_str!("dump_locations.rs");
    let is_number = |name: &str| {
        let number = name.strip_prefix("read_").or_else(|| name.strip_prefix("write_")).unwrap_or_default();
        number.starts_with(['u', 'i', 'f']) && number[1..].trim_end_matches("_le").parse::<u8>().is_ok()
    };
    let is_waited = |name: &str| [".", "::", "(", " "].iter().any(|before| table.contains(&format!("{before}{name}(")));
    let missing: Vec<_> = found
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !is_number(name) && !is_waited(name))
        .filter(|name| NOT_PARKED.iter().all(|(exempt, _)| exempt != name))
        .collect();
    assert!(missing.is_empty(), "without a row in the tests of this file: {missing:?}");
    let blind: Vec<_> = found.iter().filter(|(_, is_async)| *is_async).map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        blind, ASYNC_FNS,
        "an `async fn` that waits cannot see its caller: return `located(async move {{ … }})`"
    );
}

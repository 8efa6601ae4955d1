//! Where a case runs, what it saw, and the steps that many cases have in common.

use crate::show::{Show, Word};
use redd::io::{AsyncRead, AsyncReadExt};
use redd::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use redd::task::yield_now;
use redd::time::error::Elapsed;
use redd::time::{sleep, timeout};
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a case is made of: `?` ends it with an error that is then a part of what it saw.
pub(crate) type Out = io::Result<()>;

/// Where the case runs. The *far* side is another host in some worlds; everywhere else it is this one.
#[derive(Clone)]
pub(crate) struct At {
    seen: Arc<Mutex<Vec<String>>>,
    /// The address of the host that the case runs on.
    pub(crate) near: IpAddr,
    /// The address of the far side.
    pub(crate) far: IpAddr,
    /// The runtime of the far side, if that is another one.
    pub(crate) far_runtime: Option<redd::runtime::Handle>,
    /// Whether time is virtual.
    pub(crate) is_world: bool,
}

impl At {
    pub(crate) fn loopback(is_world: bool) -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { seen: Arc::default(), near: address, far: address, far_runtime: None, is_world }
    }

    /// Adds to what the case saw.
    pub(crate) fn see(&self, what: &str, value: impl Show) {
        self.seen.lock().unwrap().push(format!("{what} {}", value.show()));
    }

    /// All that the case saw.
    pub(crate) fn seen(&self) -> String {
        self.seen.lock().unwrap().join("; ")
    }

    /// Runs a future on the far side.
    pub(crate) async fn far<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        match &self.far_runtime {
            Some(runtime) => runtime.spawn(future).await.expect("no panic"),
            None => future.await,
        }
    }

    /// A listener on the far side.
    pub(crate) async fn listener(&self) -> io::Result<TcpListener> {
        self.far(TcpListener::bind((self.far, 0))).await
    }

    /// A connection: its near and its far end.
    pub(crate) async fn streams(&self) -> io::Result<(TcpStream, TcpStream)> {
        let listener = self.listener().await?;
        let near = TcpStream::connect(listener.local_addr()?).await?;
        let (far, _) = listener.accept().await?;
        Ok((near, far))
    }

    /// A bound socket on the near and one on the far side.
    pub(crate) async fn udp(&self) -> io::Result<(UdpSocket, UdpSocket)> {
        Ok((UdpSocket::bind((self.near, 0)).await?, self.far(UdpSocket::bind((self.far, 0))).await?))
    }

    /// The same, connected to each other.
    pub(crate) async fn udp_pair(&self) -> io::Result<(UdpSocket, UdpSocket)> {
        let (near, far) = self.udp().await?;
        near.connect(far.local_addr()?).await?;
        far.connect(near.local_addr()?).await?;
        Ok((near, far))
    }

    /// A socket of the far side. `options` sets its options before it is bound.
    pub(crate) async fn far_socket(
        &self,
        options: impl FnOnce(&TcpSocket) -> Out + Send + 'static,
    ) -> io::Result<(SocketAddr, TcpSocket)> {
        let address = SocketAddr::new(self.far, 0);
        self.far(async move {
            let socket = TcpSocket::new_v4()?;
            options(&socket)?;
            socket.bind(address)?;
            Ok((socket.local_addr()?, socket))
        })
        .await
    }

    /// An address of the far side where no socket listens. It stays so while the second value lives.
    pub(crate) async fn deserted(&self) -> io::Result<(SocketAddr, TcpSocket)> {
        self.far_socket(|_| Ok(())).await
    }

    /// A listener on the far side with this backlog.
    pub(crate) async fn listener_with_backlog(&self, backlog: u32) -> io::Result<TcpListener> {
        let (_, socket) = self.deserted().await?;
        self.far(async move { socket.listen(backlog) }).await
    }

    /// Lets everything that is under way arrive. On loopback that is a matter of turns, for nothing there takes time.
    pub(crate) async fn rest(&self) {
        if self.is_world {
            return sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..200 {
            yield_now().await;
        }
    }

    /// Waits a little, before the case looks again.
    pub(crate) async fn pause(&self) {
        if self.is_world { sleep(Duration::from_millis(1)).await } else { yield_now().await }
    }

    /// Repeats an attempt while it would block.
    pub(crate) async fn retry<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.pause().await,
                result => return result,
            }
        }
    }

    /// Waits until this many bytes can be read at once.
    pub(crate) async fn arrived(&self, stream: &TcpStream, bytes: usize) -> Out {
        let mut buf = vec![0; bytes];
        while stream.peek(&mut buf).await? < bytes {
            self.pause().await;
        }
        Ok(())
    }

    /// Waits until an event has reported that the peer sends no more.
    pub(crate) async fn read_closed(&self, stream: &TcpStream) -> Out {
        while !stream.ready(redd::io::Interest::READABLE).await?.is_read_closed() {
            self.pause().await;
        }
        Ok(())
    }

    /// Waits until an event has reported that the connection has ended, in both directions.
    pub(crate) async fn ended(&self, stream: &TcpStream) -> Out {
        while !stream.ready(redd::io::Interest::WRITABLE).await?.is_write_closed() {
            self.pause().await;
        }
        Ok(())
    }
}

/// One read of at most `len` bytes, as text. The empty text is the end.
pub(crate) async fn read(reader: &mut (impl AsyncRead + Unpin), len: usize) -> io::Result<String> {
    let mut buf = vec![0; len];
    let len = reader.read(&mut buf).await?;
    Ok(text(&buf[..len]))
}

/// Exactly `len` bytes, as text, in as many reads as it takes.
pub(crate) async fn exactly(reader: &mut (impl AsyncRead + Unpin), len: usize) -> io::Result<String> {
    let mut buf = vec![0; len];
    reader.read_exact(&mut buf).await?;
    Ok(text(&buf))
}

/// All bytes until the end, as text.
pub(crate) async fn rest_of(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await?;
    Ok(text(&all))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes that are not all the same: a shift of them is noticed.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

/// Reads all bytes until the end: how many they are, and whether they are the [`pattern`].
pub(crate) async fn rest_is_pattern(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Word<String>> {
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await?;
    Ok(Word(format!("{} {}", all.len(), if all == pattern(all.len()) { "as sent" } else { "otherwise" })))
}

/// Fills the socket until it stays full. Returns how many bytes it took: that depends on the system.
pub(crate) async fn fill(at: &At, stream: &TcpStream) -> io::Result<usize> {
    let bytes = pattern(251 * 1000);
    let mut sent = 0;
    let mut refusals = 0;
    while refusals < 3 {
        match stream.try_write(&bytes[sent % 251..]) {
            Ok(len) => {
                sent += len;
                refusals = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                refusals += 1;
                at.rest().await;
            }
            Err(error) => return Err(error),
        }
        assert!(sent < 200 << 20, "it is never full");
    }
    Ok(sent)
}

/// Waits for something that probably does not happen.
pub(crate) async fn soon<F: IntoFuture>(future: F) -> Result<F::Output, Elapsed> {
    timeout(Duration::from_millis(30), future).await
}

/// Polls a future once and drops it: `pending`, or its result.
pub(crate) fn once<T: Show>(future: impl Future<Output = T>) -> Word<String> {
    Word(match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value.show(),
        Poll::Pending => "pending".to_owned(),
    })
}

/// A path that is in use by no other test, in a directory that is removed when the first value is dropped. In a world the directory is
/// also on the disk of the host.
pub(crate) async fn fresh_path() -> io::Result<(tempfile::TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    redd::fs::create_dir_all(directory.path()).await?;
    let path = directory.path().join("socket");
    Ok((directory, path))
}

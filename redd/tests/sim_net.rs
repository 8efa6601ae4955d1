//! Sockets in simulated worlds: the types of `net` on the network of the world.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use futures::FutureExt;
use redd::io::{AsyncReadExt, AsyncWriteExt, Interest};
use redd::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup_host};
use redd::runtime::Builder;
use redd::sim::{FailureKind, Report, World, settle};
use redd::task::JoinSet;
use redd::time::{Duration, Instant, sleep, timeout};
use socket2::SockRef;
use std::collections::BTreeSet;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

fn run<F: Future<Output = ()> + 'static>(
    test: impl Fn() -> F + Send + Sync + 'static,
) -> impl Fn() + Send + Sync + 'static {
    move || Builder::new_current_thread().enable_all().build().unwrap().block_on(test())
}

fn run_multi<F: Future<Output = ()> + Send + 'static>(
    test: impl Fn() -> F + Send + Sync + 'static,
) -> impl Fn() + Send + Sync + 'static {
    move || Builder::new_multi_thread().enable_all().build().unwrap().block_on(test())
}

/// One host, in worlds of some seeds.
fn on_one_host<F: Future<Output = ()> + 'static>(test: impl Fn() -> F + Clone + Send + Sync + 'static) {
    for seed in 0..10 {
        World::new(seed).host("host", run(test.clone())).run().expect_ok();
    }
}

/// A client that finds the server as soon as it listens.
async fn connect_to(name: &str) -> TcpStream {
    loop {
        match TcpStream::connect(name).await {
            Ok(stream) => return stream,
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        }
        sleep(Duration::from_millis(1)).await;
    }
}

async fn serve_echo(connections: usize) {
    let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), peer);
        tasks.spawn(async move {
            let (mut reader, mut writer) = stream.split();
            redd::io::copy(&mut reader, &mut writer).await.unwrap()
        });
    }
    tasks.join_all().await;
}

async fn ask_echo(text: &[u8]) {
    let mut stream = connect_to("server:80").await;
    stream.write_all(text).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut echo = Vec::new();
    stream.read_to_end(&mut echo).await.unwrap();
    assert_eq!(echo, text);
}

fn echo(seed: u64) -> Report {
    World::new(seed)
        .record(true)
        .host("server", run_multi(|| serve_echo(4)))
        .host("one", run(|| ask_echo(b"hello")))
        .host(
            "two",
            run_multi(|| async {
                let tasks: JoinSet<_> = (0..3).map(|number| ask_echo(&[b'x'; 100_000][..10_000 << number])).collect();
                tasks.join_all().await;
            }),
        )
        .run()
}

#[test]
fn two_hosts_talk_by_tcp_and_a_seed_has_one_hash() {
    let mut hashes = BTreeSet::new();
    for seed in 0..100 {
        let (first, second) = (echo(seed), echo(seed));
        first.expect_ok();
        second.expect_ok();
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!(first.event_hash(), second.event_hash(), "seed {seed}");
        assert!(first.elapsed() >= Duration::from_micros(400), "a connection and an echo take time");
        hashes.insert(first.event_hash());
    }
    assert_eq!(hashes.len(), 100, "seeds differ");
}

#[test]
fn a_host_has_its_own_address_and_others_see_it() {
    World::new(3)
        .host(
            "server",
            run(|| async {
                let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
                let (stream, peer) = listener.accept().await.unwrap();
                let local = stream.local_addr().unwrap();
                assert_eq!(local.port(), 80);
                assert!(!local.ip().is_loopback() && !peer.ip().is_loopback() && local.ip() != peer.ip());
                assert_eq!(lookup_host("client:0").await.unwrap().next().unwrap().ip(), peer.ip());
                assert!(peer.port() >= 32768, "an ephemeral port");
            }),
        )
        .host(
            "client",
            run(|| async {
                let stream = connect_to("server:80").await;
                let server = lookup_host(("server", 80)).await.unwrap().next().unwrap();
                assert_eq!(stream.peer_addr().unwrap(), server);
                let shown = format!("{stream:?}");
                assert_eq!(shown, format!("tcp {} to {server}", stream.local_addr().unwrap()));
                let error = lookup_host("nowhere:80").await.err().unwrap();
                assert!(error.to_string().contains("nowhere"), "{error}");
                let error = TcpStream::connect("nowhere:80").await.unwrap_err();
                assert!(error.to_string().contains("nowhere"), "{error}");
                let local = lookup_host("localhost:80").await.unwrap().next().unwrap();
                assert!(local.ip().is_loopback());
            }),
        )
        .run()
        .expect_ok();
}

#[test]
fn half_close_and_halves() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = client.into_split();
        writer.write_all(b"question").await.unwrap();
        drop(writer);
        let mut text = String::new();
        server.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        text.clear();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "answer");
    });
}

#[test]
fn reads_and_writes_of_all_kinds() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(server.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(
            client.try_write_vectored(&[std::io::IoSlice::new(b"abc"), std::io::IoSlice::new(b"defg")]).unwrap(),
            7
        );
        server.readable().await.unwrap();
        assert_eq!(server.peek(&mut buf).await.unwrap(), 7);
        assert_eq!(&buf[..7], b"abcdefg");
        let (mut left, mut right) = ([0; 2], [0; 3]);
        let bufs = &mut [std::io::IoSliceMut::new(&mut left), std::io::IoSliceMut::new(&mut right)];
        assert_eq!(server.try_read_vectored(bufs).unwrap(), 5);
        assert_eq!((&left, &right), (b"ab", b"cde"));
        let mut rest = Vec::with_capacity(10);
        assert_eq!(server.try_read_buf(&mut rest).unwrap(), 2);
        assert_eq!(rest, b"fg");
        assert_eq!(server.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(server.ready(Interest::WRITABLE).await.unwrap().is_writable());
    });
}

#[test]
fn a_full_connection_waits_until_the_peer_reads() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        const BYTES: usize = 20 << 20;
        let writing = redd::spawn(async move { client.write_all(&vec![7; BYTES]).await });
        settle().await;
        assert!(!writing.is_finished(), "the buffers are smaller than that");
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap();
        writing.await.unwrap().unwrap();
        assert!(all.len() == BYTES && all.iter().all(|byte| *byte == 7));
    });
}

#[test]
fn nobody_listens_and_an_address_is_in_use() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(TcpListener::bind(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(TcpListener::bind("203.0.113.1:0").await.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        drop(listener);
        assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        drop(TcpListener::bind(address).await.unwrap());
    });
}

#[test]
fn a_zero_linger_resets_and_a_dropped_socket_with_unread_bytes_does() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for has_linger in [true, false] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            if has_linger {
                server.set_zero_linger().unwrap();
            } else {
                client.write_all(b"unread").await.unwrap();
            }
            drop(server);
            assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn options_are_those_of_the_shadow() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(!stream.nodelay().unwrap());
        stream.set_nodelay(true).unwrap();
        stream.set_ttl(7).unwrap();
        assert!(stream.nodelay().unwrap() && stream.ttl().unwrap() == 7);
        SockRef::from(&stream).set_keepalive(true).unwrap();
        assert!(SockRef::from(&stream).keepalive().unwrap());
        assert!(stream.as_raw_fd() >= 0);
        // The real socket was never connected.
        assert_eq!(SockRef::from(&stream).peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn an_accepted_socket_has_the_options_of_its_listener() {
    on_one_host(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_keepalive(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(5).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert!(server.nodelay().unwrap() && SockRef::from(&server).keepalive().unwrap());
    });
}

#[test]
fn a_raw_socket_with_options_is_connected_as_hyper_util_does_it() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        raw.set_nonblocking(true).unwrap();
        raw.set_tcp_nodelay(true).unwrap();
        let socket = TcpSocket::from_std_stream(raw.into());
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let local = socket.local_addr().unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        assert_eq!(stream.local_addr().unwrap(), local);
        assert!(stream.nodelay().unwrap());
        let (mut server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, local);
        server.write_all(b"x").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
    });
}

#[test]
fn a_socket_that_was_taken_out_is_found_again() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener.into_std().unwrap()).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        let mut client = TcpStream::connect(address).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::from_std(server.into_std().unwrap()).unwrap();
        server.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
        // A registration of the same socket for a second time is an error, and leaves the first one as it is.
        let twin = SockRef::from(&client).try_clone().unwrap();
        assert_eq!(TcpStream::from_std(twin.into()).unwrap_err().kind(), ErrorKind::AlreadyExists);
        server.write_all(b"y").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'y');
        // By its descriptor.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let fd = OwnedFd::from(SockRef::from(&socket).try_clone().unwrap());
        let raw = socket.into_raw_fd();
        assert_ne!(fd.as_raw_fd(), raw);
        let socket = TcpSocket::from_std_stream(fd.into());
        assert_eq!(socket.local_addr().unwrap(), address);
        drop(socket.listen(1).unwrap());
    });
}

#[test]
fn a_socket_that_was_taken_out_and_closed_is_closed_for_its_peer() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let server = server.into_std().unwrap();
        // Under another number, too, it is the same socket.
        let other = server.try_clone().unwrap();
        drop(server);
        assert!(timeout(Duration::from_secs(1), client.read_u8()).await.is_err());
        let mut server = TcpStream::from_std(other).unwrap();
        server.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
        drop(server.into_std().unwrap());
        assert_eq!(client.read_u8().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_socket_that_was_never_registered_is_closed() {
    on_one_host(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let other = TcpSocket::new_v4().unwrap();
        assert_eq!(other.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(socket);
        other.bind(address).unwrap();
    });
}

#[test]
fn a_connect_that_is_dropped_closes_the_socket() {
    World::new(5)
        .host(
            "server",
            run(|| async {
                let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
                sleep(Duration::from_secs(1)).await;
                let accepted = timeout(Duration::from_secs(1), listener.accept()).await;
                // Either it never came through, or it has ended.
                if let Ok(accepted) = accepted {
                    let mut byte = [0];
                    let read = accepted.unwrap().0.read(&mut byte).await;
                    assert!(matches!(read, Ok(0)) || read.unwrap_err().kind() == ErrorKind::ConnectionReset);
                }
            }),
        )
        .host(
            "client",
            run(|| async {
                sleep(Duration::from_millis(1)).await;
                assert!(TcpStream::connect("server:80").now_or_never().is_none());
            }),
        )
        .run()
        .expect_ok();
}

#[test]
fn datagrams_arrive_from_who_sent_them() {
    World::new(2)
        .host(
            "server",
            run(|| async {
                let socket = UdpSocket::bind("0.0.0.0:53").await.unwrap();
                let mut buf = [0; 100];
                for _ in 0..3 {
                    let peeked = socket.peek_sender().await.unwrap();
                    let (len, peer) = socket.recv_from(&mut buf).await.unwrap();
                    assert_eq!(peeked, peer);
                    assert_eq!(socket.send_to(&buf[..len], peer).await.unwrap(), len);
                }
            }),
        )
        .host(
            "client",
            run(|| async {
                sleep(Duration::from_millis(5)).await;
                let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
                socket.connect("server:53").await.unwrap();
                assert_eq!(socket.peer_addr().unwrap(), lookup_host("server:53").await.unwrap().next().unwrap());
                for text in [&b"one"[..], b"", b"three"] {
                    socket.send(text).await.unwrap();
                    let mut buf = Vec::with_capacity(50);
                    assert_eq!(socket.recv_buf(&mut buf).await.unwrap(), text.len());
                    assert_eq!(buf, text);
                }
                assert_eq!(socket.try_recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
            }),
        )
        .run()
        .expect_ok();
}

#[test]
fn unix_sockets_connect_within_a_host() {
    on_one_host(|| async {
        let listener = UnixListener::bind("\0simulated").unwrap();
        assert_eq!(listener.local_addr().unwrap().as_abstract_name(), Some(&b"simulated"[..]));
        let mut client = UnixStream::connect("\0simulated").await.unwrap();
        let (mut server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed());
        client.write_all(b"hello").await.unwrap();
        let mut word = [0; 5];
        server.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"hello");
        assert_eq!(client.peer_cred().unwrap(), server.peer_cred().unwrap());
        assert_eq!(UnixStream::connect("\0nowhere").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn pairs_of_unix_sockets() {
    on_one_host(|| async {
        let (mut left, mut right) = UnixStream::pair().unwrap();
        assert!(left.try_write(b"ping").unwrap() == 4);
        let mut word = [0; 4];
        right.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        drop(right);
        assert_eq!(left.read(&mut word).await.unwrap(), 0);
        let (left, right) = UnixDatagram::pair().unwrap();
        left.send(b"one").await.unwrap();
        left.send(b"two").await.unwrap();
        assert_eq!(right.recv(&mut word).await.unwrap(), 3);
        assert_eq!(right.recv(&mut word).await.unwrap(), 3);
        assert_eq!(&word[..3], b"two");
    });
}

#[test]
fn unix_datagrams_have_names() {
    on_one_host(|| async {
        let server = UnixDatagram::bind("\0server").unwrap();
        let client = UnixDatagram::bind("\0client").unwrap();
        client.send_to(b"ping", "\0server").await.unwrap();
        let mut buf = [0; 10];
        let (len, peer) = server.recv_from(&mut buf).await.unwrap();
        assert_eq!(&buf[..len], b"ping");
        assert_eq!(peer.as_abstract_name(), Some(&b"client"[..]));
        client.connect("\0server").unwrap();
        assert_eq!(client.send(b"more").await.unwrap(), 4);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn ipv6_works_on_every_machine() {
    on_one_host(|| async {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(address.is_ipv6());
        let client = TcpStream::connect(address).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
    });
}

#[test]
fn many_connections_at_once() {
    const CLIENTS: usize = 20;
    const EACH: usize = 10;
    let mut world = World::new(11).host("server", run_multi(|| serve_echo(CLIENTS * EACH)));
    for number in 0..CLIENTS {
        world = world.host(
            &format!("client-{number}"),
            run_multi(|| async {
                let tasks: JoinSet<_> = (0..EACH).map(|_| ask_echo(b"hello there")).collect();
                tasks.join_all().await;
            }),
        );
    }
    world.run().expect_ok();
}

#[test]
fn a_timeout_ends_a_read_from_a_silent_peer() {
    on_one_host(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let _server = listener.accept().await.unwrap();
        let start = Instant::now();
        assert!(timeout(Duration::from_secs(30), client.read_u8()).await.is_err());
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    });
}

#[test]
fn a_partition_is_a_black_hole_and_what_was_written_arrives_after_it() {
    World::new(4)
        .host("server", run(|| serve_echo(1)))
        .host(
            "client",
            run(|| async {
                let mut stream = connect_to("server:80").await;
                stream.write_all(b"before").await.unwrap();
                let mut word = [0; 6];
                stream.read_exact(&mut word).await.unwrap();
                sleep(Duration::from_secs(2)).await;
                stream.write_all(b"during").await.unwrap();
                assert!(timeout(Duration::from_secs(3), stream.read_exact(&mut word)).await.is_err());
                let connecting = timeout(Duration::from_secs(1), TcpStream::connect("server:80")).await;
                assert!(connecting.is_err(), "no answer at all");
                stream.read_exact(&mut word).await.unwrap();
                assert_eq!(&word, b"during");
            }),
        )
        .at(Duration::from_secs(1), |w| w.partition(&["server"], &["client"]))
        .at(Duration::from_secs(10), |w| w.heal())
        .run()
        .expect_ok();
}

#[test]
fn a_crash_of_the_server_is_a_reset_once_it_is_up_again() {
    World::new(4)
        .service("server", run(|| serve_echo(100)))
        .host(
            "client",
            run(|| async {
                let mut stream = connect_to("server:80").await;
                sleep(Duration::from_secs(2)).await;
                // Nothing has told the client.
                stream.write_all(b"x").await.unwrap();
                assert_eq!(stream.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
                ask_echo(b"a new connection").await;
            }),
        )
        .at(Duration::from_secs(1), |w| {
            w.crash("server");
            w.restart_after("server", Duration::from_secs(4));
        })
        .run()
        .expect_ok();
}

#[test]
fn a_dump_shows_sockets_by_their_simulated_addresses() {
    let report = World::new(1)
        .host(
            "server",
            run(|| async {
                let listener = TcpListener::bind("0.0.0.0:80").await.unwrap();
                let (mut stream, _) = listener.accept().await.unwrap();
                let reader = redd::spawn(async move { stream.read_u8().await });
                let _ = reader.await;
            }),
        )
        .host(
            "client",
            run(|| async {
                let stream = connect_to("server:80").await;
                std::future::pending::<()>().await;
                drop(stream);
            }),
        )
        .run();
    let [failure] = report.failures() else { panic!("one failure, not {report}") };
    assert_eq!(failure.kind(), FailureKind::NothingCanHappen);
    let text = failure.to_string();
    assert!(text.contains("tcp 10.0.0.1:80 to 10.0.0.2:"), "{text}");
    assert!(text.contains("sim_net.rs:"), "{text}");
}

#[test]
fn shadows_are_closed_with_their_sockets() {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    World::new(1)
        .host(
            "host",
            run(move || async move {
                let round = || async {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                    drop((listener.accept().await.unwrap(), client, UnixStream::pair().unwrap()));
                    drop(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                };
                round().await;
                let before = open();
                for _ in 0..1000 {
                    round().await;
                }
                // Other tests of this process have descriptors of their own.
                assert!(open() < before + 1000);
            }),
        )
        .run()
        .expect_ok();
}

#[redd::test(sim, seeds = 10, flavor = "multi_thread")]
async fn a_test_in_worlds_has_sockets() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let server = redd::spawn(async move { listener.accept().await.unwrap().0.write_all(b"x").await });
    assert_eq!(TcpStream::connect(address).await.unwrap().read_u8().await.unwrap(), b'x');
    server.await.unwrap().unwrap();
}

#[test]
fn a_runtime_of_its_own_world_has_sockets() {
    let runtime = Builder::new_current_thread().enable_all().simulated(7).build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        listener.accept().await.unwrap().0.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
    });
}

#[test]
fn a_connection_whose_last_segment_of_the_handshake_is_lost_carries_bytes_both_ways() {
    #[redd::main(flavor = "current_thread")]
    async fn server() -> std::io::Result<()> {
        let (mut stream, _) = TcpListener::bind("0.0.0.0:80").await?.accept().await?;
        let mut question = [0; 2];
        stream.read_exact(&mut question).await?;
        stream.write_all(&question).await
    }

    #[redd::main(flavor = "current_thread")]
    async fn client() -> std::io::Result<()> {
        sleep(Duration::from_millis(2)).await;
        let mut stream = TcpStream::connect("server:80").await?;
        stream.write_all(b"hi").await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"hi");
        Ok(())
    }

    // The client is connected after 4 ms. What it sends then would arrive after 5 ms, the bytes sent again after 205 ms.
    let latency = Duration::from_millis(1)..Duration::from_millis(1);
    let report = World::new(1)
        .latency(latency)
        .host("server", server)
        .host("client", client)
        .at(Duration::from_micros(4500), |w| w.partition(&["server"], &["client"]))
        .at(Duration::from_millis(6), |w| w.heal())
        .run();
    assert!(report.expect_ok().elapsed() < Duration::from_secs(1));
}

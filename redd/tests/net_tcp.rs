//! TCP as programs use it: what `socket_table` does not cover.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use futures::FutureExt;
use redd::io::{AsyncReadExt, AsyncWriteExt, Interest};
use redd::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use redd::runtime::{Builder, Runtime};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("resources left")
}

fn run<T>(test: impl Future<Output = io::Result<T>>) -> T {
    runtime().block_on(test).expect("no error that the test does not check")
}

/// A connection over loopback.
async fn connection() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    assert_eq!(peer, client.local_addr()?);
    assert_eq!(server.peer_addr()?, peer);
    Ok((client, server))
}

/// An address without a listener: it was bound and released again.
async fn deserted_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").await?.local_addr()
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn many_connections_are_served_by_several_workers() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("resources left");
    let served = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        redd::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await?;
                redd::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    redd::io::copy(&mut reader, &mut writer).await
                });
            }
            #[expect(unreachable_code, reason = "it tells the type of the errors")]
            io::Result::Ok(())
        });
        let clients: Vec<_> = (0..50_u32)
            .map(|number| {
                redd::spawn(async move {
                    let mut stream = TcpStream::connect(address).await?;
                    for round in 0..20_u32 {
                        let sent = (number * 1000 + round).to_be_bytes();
                        stream.write_all(&sent).await?;
                        let mut back = [0; 4];
                        stream.read_exact(&mut back).await?;
                        assert_eq!(sent, back);
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        let mut served = 0;
        for client in clients {
            client.await.expect("no panic")?;
            served += 1;
        }
        io::Result::Ok(served)
    });
    assert_eq!(served.expect("no error"), 50);
}

/// Addresses for which no resolver is asked.
fn at_once(host: impl ToSocketAddrs) -> io::Result<Vec<SocketAddr>> {
    let answer = lookup_host(host).now_or_never().expect("no thread is asked");
    answer.map(Iterator::collect)
}

#[test]
fn numeric_addresses_need_no_blocking_thread() {
    let v4: SocketAddr = "127.0.0.1:80".parse().expect("an address");
    let v6: SocketAddr = "[::1]:80".parse().expect("an address");
    assert_eq!(at_once("127.0.0.1:80").expect("literal"), [v4]);
    let owned = "[::1]:80".to_owned();
    assert_eq!(at_once(&owned).expect("literal"), [v6]);
    assert_eq!(at_once(owned).expect("literal"), [v6]);
    assert_eq!(at_once(("::1", 80)).expect("literal"), [v6]);
    assert_eq!(at_once(("127.0.0.1".to_owned(), 80)).expect("literal"), [v4]);
    assert_eq!(at_once((Ipv4Addr::LOCALHOST, 80)).expect("literal"), [v4]);
    assert_eq!(at_once((IpAddr::V6(Ipv6Addr::LOCALHOST), 80)).expect("literal"), [v6]);
    assert_eq!(at_once(&[v4, v6][..]).expect("literal"), [v4, v6]);
    assert!(at_once(&[][..]).expect("literal").is_empty());
}

#[test]
fn a_malformed_address_is_invalid_input_and_says_what_to_write() {
    for (wrong, fix) in [
        ("", "`host:port`"),
        ("localhost", "`host:port`"),
        ("localhost:", "from 0 to 65535"),
        ("localhost:http", "from 0 to 65535"),
        ("127.0.0.1:65536", "from 0 to 65535"),
        (":80", "the host in front"),
        ("a\0b:80", "NUL"),
    ] {
        let error = at_once(wrong).expect_err(wrong);
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
        assert!(error.to_string().contains(fix), "{wrong}: {error}");
    }
    let huge = at_once("é".repeat(100_000)).expect_err("no port");
    assert!(huge.to_string().len() < 400, "only its start is quoted");
}

#[test]
fn halves_work_in_two_tasks() {
    run(async {
        let (client, server) = connection().await?;
        let (mut client_reader, mut client_writer) = client.into_split();
        let (mut server_reader, mut server_writer) = server.into_split();
        let echo = redd::spawn(async move { redd::io::copy(&mut server_reader, &mut server_writer).await });
        let writing = redd::spawn(async move {
            for number in 0..1000_u32 {
                client_writer.write_u32(number).await?;
            }
            io::Result::Ok(())
        });
        for number in 0..1000_u32 {
            assert_eq!(client_reader.read_u32().await?, number);
        }
        writing.await.expect("no panic")?;
        assert_eq!(echo.await.expect("no panic")?, 4000);
        Ok(())
    });
}

#[test]
fn an_operation_that_says_it_would_block_is_not_run_again_before_an_event() {
    run(async {
        let (mut client, server) = connection().await?;
        client.write_all(b"x").await?;
        server.readable().await?;
        let blocked: io::Result<()> = server.try_io(Interest::READABLE, || Err(ErrorKind::WouldBlock.into()));
        assert!(blocked.is_err());
        let error = server
            .try_io(Interest::READABLE, || -> io::Result<()> { panic!("it is not ready") })
            .expect_err("not ready");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        // The next event makes the socket ready again, and the operation waits for it.
        client.write_all(b"y").await?;
        let mut runs = 0;
        let len = server
            .async_io(Interest::READABLE, || {
                runs += 1;
                socket2_recv(&server)
            })
            .await?;
        assert_eq!((len, runs), (2, 1));
        Ok(())
    });
}

fn socket2_recv(stream: &TcpStream) -> io::Result<usize> {
    socket2::SockRef::from(stream).recv(&mut [std::mem::MaybeUninit::uninit(); 16])
}

#[test]
fn a_socket_with_options_listens_and_connects() {
    run(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse().expect("an address"))?;
        let listener = socket.listen(u32::MAX)?;
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        let stream = socket.connect(listener.local_addr()?).await?;
        assert!(stream.nodelay()?);
        listener.accept().await?;
        let error = TcpSocket::new_v4()?.connect(deserted_address().await?).await.expect_err("there is no listener");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn sockets_convert_from_std_and_back() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let client = std::net::TcpStream::connect(listener.local_addr()?)?;
        let (server, _) = listener.accept().await?;
        client.set_nonblocking(true)?;
        let mut client = TcpStream::try_from(client)?;
        client.write_all(b"abc").await?;
        server.readable().await?;
        let mut server = server.into_std()?;
        server.set_nonblocking(false)?;
        let mut buf = [0; 3];
        io::Read::read_exact(&mut server, &mut buf)?;
        assert_eq!(&buf, b"abc");
        let listener = listener.into_std()?;
        assert!(listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        Ok(())
    });
}

#[test]
fn a_socket_that_is_used_after_its_runtime_fails_and_does_not_hang() {
    let first = runtime();
    let (client, server) = first.block_on(connection()).expect("a connection");
    drop(first);
    run(async {
        let error = server.readable().await.expect_err("its runtime has ended");
        assert!(error.to_string().contains("keep the `Runtime` alive"), "{error}");
        assert!(redd::runtime::is_rt_shutdown_err(&error));
        let (mut client, mut server) = (client, server);
        assert!(server.read(&mut [0; 8]).await.is_err());
        assert!(client.write(b"x").await.is_err());
        assert!(client.into_std().is_ok());
        Ok(())
    });
}

#[test]
fn outside_of_a_runtime_and_without_io_the_constructors_say_what_to_do() {
    let listener = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("is open");
        listener
    };
    let message = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<String>().expect("a formatted message");
    let outside = std::panic::catch_unwind(|| TcpListener::from_std(listener()));
    let outside = message(outside.expect_err("no runtime"));
    assert!(outside.contains("handle.enter()"), "{outside}");
    let bare = Builder::new_current_thread().build().expect("resources left");
    let _guard = bare.enter();
    let without_io = std::panic::catch_unwind(|| TcpListener::from_std(listener()));
    let without_io = message(without_io.expect_err("no driver"));
    assert!(without_io.contains("enable_io"), "{without_io}");
}

#[test]
fn a_dropped_connect_closes_its_socket() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        {
            let connect = pin!(TcpStream::connect(listener.local_addr()?));
            let _ = poll_once(connect);
        }
        let (mut server, _) = listener.accept().await?;
        let end = server.read(&mut [0; 8]).await;
        assert!(matches!(end, Ok(0) | Err(_)));
        Ok(())
    });
}

#[test]
fn a_socket_converted_through_its_raw_descriptor_keeps_its_address() {
    let socket = TcpSocket::new_v4().expect("descriptors left");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = socket.local_addr().expect("is bound");
    let std = std::net::TcpStream::from(socket.as_fd().try_clone_to_owned().expect("descriptors left"));
    let socket = TcpSocket::from_std_stream(std);
    assert_eq!(socket.local_addr().expect("is bound"), address);
}

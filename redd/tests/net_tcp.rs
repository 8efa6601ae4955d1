//! TCP as programs use it: connecting, listening, halves, readiness, and errors.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use futures::FutureExt;
use redd::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use redd::net::{TcpListener, TcpSocket, TcpStream, ToSocketAddrs, lookup_host};
use redd::runtime::{Builder, Runtime};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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

/// Lets the driver poll for events, and other tasks run.
async fn turns() {
    for _ in 0..200 {
        redd::task::yield_now().await;
    }
}

#[test]
fn what_one_side_writes_the_other_reads() {
    run(async {
        let (mut client, mut server) = connection().await?;
        client.write_all(b"ping").await?;
        let mut word = [0; 4];
        server.read_exact(&mut word).await?;
        assert_eq!(&word, b"ping");
        server.write_all(b"pong").await?;
        client.read_exact(&mut word).await?;
        assert_eq!(&word, b"pong");
        Ok(())
    });
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

#[test]
fn shutting_the_writing_direction_down_leaves_the_reading_direction_open() {
    run(async {
        let (mut client, mut server) = connection().await?;
        client.write_all(b"question").await?;
        client.shutdown().await?;
        let mut question = String::new();
        server.read_to_string(&mut question).await?;
        assert_eq!(question, "question");
        server.write_all(b"answer").await?;
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await?;
        assert_eq!(answer, "answer");
        let error = client.write_all(b"more").await.expect_err("was shut down");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn much_data_goes_both_ways_at_once_through_borrowed_halves() {
    const BYTES: usize = 3 << 20;
    async fn exchange(mut stream: TcpStream, byte: u8) -> io::Result<Vec<u8>> {
        let (mut reader, mut writer) = stream.split();
        let sending = async {
            writer.write_all(&vec![byte; BYTES]).await?;
            writer.shutdown().await
        };
        let receiving = async {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await?;
            Ok(all)
        };
        let (sent, received) = redd::join!(sending, receiving);
        sent?;
        received
    }
    run(async {
        let (client, server) = connection().await?;
        let (left, right) = redd::join!(exchange(client, 1), exchange(server, 2));
        assert!(left? == vec![2; BYTES]);
        assert!(right? == vec![1; BYTES]);
        Ok(())
    });
}

#[test]
fn after_a_refused_address_the_next_one_is_tried() {
    run(async {
        let deserted = deserted_address().await?;
        let error = TcpStream::connect(deserted).await.expect_err("there is no listener");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addresses = [deserted, listener.local_addr()?];
        let stream = TcpStream::connect(&addresses[..]).await?;
        assert_eq!(stream.peer_addr()?, addresses[1]);
        let error = TcpStream::connect(&[deserted, deserted][..]).await.expect_err("there is no listener");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
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
fn an_empty_list_of_addresses_is_invalid_input() {
    run(async {
        let none: &[SocketAddr] = &[];
        for error in [
            TcpStream::connect(none).await.expect_err("no address"),
            TcpListener::bind(none).await.expect_err("no address"),
            TcpStream::connect("no port").await.expect_err("no address"),
            TcpListener::bind("127.0.0.1:70000").await.expect_err("no address"),
            lookup_host("").await.map(|_| ()).expect_err("no address"),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        Ok(())
    });
}

#[test]
fn a_host_name_is_resolved_away_from_the_worker() {
    run(async {
        let mut addresses = lookup_host("localhost:80").await?;
        assert!(addresses.all(|address| address.ip().is_loopback() && address.port() == 80));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let stream = TcpStream::connect(("localhost", port)).await?;
        assert_eq!(stream.peer_addr()?.port(), port);
        Ok(())
    });
}

#[test]
fn an_address_in_use_is_an_error_and_is_free_after_the_listener_is_dropped() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let error = TcpListener::bind(address).await.expect_err("in use");
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // A connection that the server closed first stays in TIME_WAIT for a minute. The address can be bound
        // nevertheless.
        let client = TcpStream::connect(address).await?;
        let (server, _) = listener.accept().await?;
        drop(server);
        drop(listener);
        drop(client);
        TcpListener::bind(address).await?;
        Ok(())
    });
}

#[test]
fn an_accept_that_is_dropped_loses_no_connection() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        {
            let accept = pin!(listener.accept());
            assert!(poll_once(accept).is_pending());
        }
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (_server, peer) = listener.accept().await?;
        assert_eq!(peer, client.local_addr()?);
        Ok(())
    });
}

#[test]
fn two_tasks_that_accept_get_one_connection_each() {
    run(async {
        let listener = std::sync::Arc::new(TcpListener::bind("127.0.0.1:0").await?);
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let listener = std::sync::Arc::clone(&listener);
                redd::spawn(async move { listener.accept().await.map(|(_, peer)| peer) })
            })
            .collect();
        turns().await;
        let clients =
            [TcpStream::connect(listener.local_addr()?).await?, TcpStream::connect(listener.local_addr()?).await?];
        let mut peers = Vec::new();
        for task in tasks {
            peers.push(task.await.expect("no panic")?);
        }
        for client in clients {
            assert!(peers.contains(&client.local_addr()?));
        }
        Ok(())
    });
}

#[test]
fn only_the_halves_of_one_stream_reunite() {
    run(async {
        let (client, server) = connection().await?;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let error = client_reader.reunite(server_writer).expect_err("of different streams");
        assert!(error.to_string().contains("not of the same socket"));
        let (client_reader, server_writer) = (error.0, error.1);
        let mut client = client_writer.reunite(client_reader).expect("of one stream");
        let mut server = server_reader.reunite(server_writer).expect("of one stream");
        client.write_all(b"x").await?;
        assert_eq!(server.read_u8().await?, b'x');
        Ok(())
    });
}

#[test]
fn dropping_an_owned_writing_half_ends_the_direction_and_forgetting_it_does_not() {
    run(async {
        let (client, mut server) = connection().await?;
        let (mut reader, writer) = client.into_split();
        drop(writer);
        assert_eq!(server.read(&mut [0; 8]).await?, 0);
        server.write_all(b"still open").await?;
        let mut buf = [0; 10];
        reader.read_exact(&mut buf).await?;

        let (client, mut server) = connection().await?;
        let (reader, writer) = client.into_split();
        writer.forget();
        turns().await;
        assert_eq!(server.try_read(&mut [0; 8]).expect_err("nothing was sent").kind(), ErrorKind::WouldBlock);
        drop(reader);
        assert_eq!(server.read(&mut [0; 8]).await?, 0);
        Ok(())
    });
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
fn peeking_leaves_the_bytes_in_the_queue() {
    run(async {
        let (mut client, server) = connection().await?;
        client.write_all(b"peek").await?;
        let mut buf = [0; 8];
        assert_eq!(server.peek(&mut buf).await?, 4);
        assert_eq!(&buf[..4], b"peek");
        let mut memory = [std::mem::MaybeUninit::uninit(); 3];
        let mut read_buf = ReadBuf::uninit(&mut memory);
        assert_eq!(poll_fn(|cx| server.poll_peek(cx, &mut read_buf)).await?, 3);
        assert_eq!(read_buf.filled(), b"pee");
        let (mut reader, _writer) = server.into_split();
        assert_eq!(reader.peek(&mut buf).await?, 4);
        assert_eq!(reader.read(&mut buf).await?, 4);
        Ok(())
    });
}

#[test]
fn trying_without_readiness_would_block_and_after_waiting_gives_the_bytes() {
    run(async {
        let (client, server) = connection().await?;
        let error = server.try_read(&mut [0; 8]).expect_err("nothing was written");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        client.writable().await?;
        assert_eq!(client.try_write(b"abc")?, 3);
        let vectored = client.try_write_vectored(&[IoSlice::new(b"de"), IoSlice::new(b"f")])?;
        assert_eq!(vectored, 3);
        let mut all = Vec::with_capacity(2);
        while all.len() < 2 {
            server.readable().await?;
            match server.try_read_buf(&mut all) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        let (mut one, mut two) = ([0; 1], [0; 3]);
        server.readable().await?;
        let len = server.try_read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)])?;
        all.extend(one.iter().chain(&two).take(len));
        assert_eq!(all, b"abcdef");
        server.readable().await?;
        let error = server.try_read(&mut [0; 8]).expect_err("everything was read");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn every_task_that_waits_for_readiness_is_woken() {
    run(async {
        let (mut client, server) = connection().await?;
        let server = std::sync::Arc::new(server);
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let server = std::sync::Arc::clone(&server);
                redd::spawn(async move { server.readable().await })
            })
            .collect();
        turns().await;
        client.write_all(b"x").await?;
        for task in tasks {
            task.await.expect("no panic")?;
        }
        let ready = server.ready(Interest::READABLE | Interest::WRITABLE).await?;
        assert!(ready.is_readable());
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
fn a_stream_with_a_closed_peer_stays_ready() {
    run(async {
        let (client, server) = connection().await?;
        drop(client);
        for _ in 0..3 {
            server.readable().await?;
            assert_eq!(server.try_read(&mut [0; 8])?, 0);
        }
        // An event reports that the peer has closed, and the driver may not have polled for it yet.
        turns().await;
        assert!(server.ready(Interest::READABLE).await?.is_read_closed());
        Ok(())
    });
}

#[test]
fn a_socket_with_zero_linger_resets_its_connection() {
    run(async {
        let (client, mut server) = connection().await?;
        client.set_zero_linger()?;
        assert_eq!(client.linger()?, Some(Duration::ZERO));
        drop(client);
        let error = server.read(&mut [0; 8]).await.expect_err("was reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        server.shutdown().await?;
        Ok(())
    });
}

#[test]
fn options_read_back_as_they_were_set() {
    run(async {
        let (client, _server) = connection().await?;
        for is_on in [true, false] {
            client.set_nodelay(is_on)?;
            assert_eq!(client.nodelay()?, is_on);
            client.set_quickack(is_on)?;
            client.quickack()?;
        }
        client.set_ttl(33)?;
        assert_eq!(client.ttl()?, 33);
        client.set_linger(Some(Duration::from_secs(1)))?;
        assert_eq!(client.linger()?, Some(Duration::from_secs(1)));
        client.set_linger(None)?;
        assert!(client.take_error()?.is_none());
        Ok(())
    });
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
fn a_polled_read_wakes_the_task_that_polled_last() {
    run(async {
        let (mut client, server) = connection().await?;
        let mut server = server;
        let mut memory = [0; 8];
        let mut buf = ReadBuf::new(&mut memory);
        let noop = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut server).poll_read(noop, &mut buf).is_pending());
        let reading = poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buf));
        let (read, written) = redd::join!(reading, client.write_all(b"x"));
        read?;
        written?;
        assert_eq!(buf.filled(), b"x");
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
fn a_socket_of_one_runtime_works_in_another_while_its_own_is_driven() {
    let first = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("resources left");
    let (mut client, mut server) = first.block_on(connection()).expect("a connection");
    run(async {
        let (read, written) = redd::join!(server.read_u8(), client.write_all(b"x"));
        written?;
        assert_eq!(read?, b'x');
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
fn every_option_reads_back_as_it_was_set() {
    let socket = TcpSocket::new_v4().expect("descriptors left");
    for is_on in [true, false] {
        socket.set_keepalive(is_on).expect("an option");
        socket.set_reuseaddr(is_on).expect("an option");
        socket.set_reuseport(is_on).expect("an option");
        socket.set_nodelay(is_on).expect("an option");
        assert_eq!(socket.keepalive().expect("an option"), is_on);
        assert_eq!(socket.reuseaddr().expect("an option"), is_on);
        assert_eq!(socket.reuseport().expect("an option"), is_on);
        assert_eq!(socket.nodelay().expect("an option"), is_on);
    }
    socket.set_linger(Some(Duration::from_secs(7))).expect("an option");
    assert_eq!(socket.linger().expect("an option"), Some(Duration::from_secs(7)));
    socket.set_zero_linger().expect("an option");
    assert_eq!(socket.linger().expect("an option"), Some(Duration::ZERO));
    socket.set_linger(None).expect("an option");
    assert_eq!(socket.linger().expect("an option"), None);
    socket.set_tos_v4(0x10).expect("an option");
    assert_eq!(socket.tos_v4().expect("an option"), 0x10);
    socket.set_send_buffer_size(32 * 1024).expect("an option");
    assert!(socket.send_buffer_size().expect("an option") >= 32 * 1024);
    socket.set_recv_buffer_size(32 * 1024).expect("an option");
    assert!(socket.recv_buffer_size().expect("an option") >= 32 * 1024);
    assert!(socket.take_error().expect("answers").is_none());
    assert_eq!(socket.device().expect("answers"), None);
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

#[test]
fn an_address_of_the_other_family_is_a_system_error() {
    let socket = TcpSocket::new_v4().expect("descriptors left");
    assert!(socket.bind("[::1]:0".parse().expect("an address")).is_err());
    assert!(socket.set_tclass_v6(1).is_err() || socket.tclass_v6().is_ok());
}

//! Unix sockets and pipes as programs use them.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use redd::net::unix::pipe;
use redd::net::{UnixDatagram, UnixListener, UnixSocket, UnixStream};
use redd::runtime::Builder;
use std::ffi::OsStr;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll, Waker};
use tempfile::TempDir;

fn run<T>(test: impl Future<Output = io::Result<T>>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("resources left");
    runtime.block_on(test).expect("no error that the test does not check")
}

/// A path in a directory that is removed when the first value is dropped.
fn fresh_path() -> io::Result<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    Ok((directory, path))
}

#[test]
fn a_listener_at_a_path_accepts_connections() {
    run(async {
        let (_directory, path) = fresh_path()?;
        let listener = UnixListener::bind(&path)?;
        assert_eq!(listener.local_addr()?.as_pathname(), Some(path.as_path()));
        let mut client = UnixStream::connect(&path).await?;
        let (mut server, peer) = listener.accept().await?;
        assert!(peer.is_unnamed());
        assert_eq!(client.peer_addr()?.as_pathname(), Some(path.as_path()));
        client.write_all(b"ping").await?;
        let mut word = [0; 4];
        server.read_exact(&mut word).await?;
        assert_eq!(&word, b"ping");
        let credentials = server.peer_cred()?;
        assert_eq!(credentials.pid().map(i64::from), Some(i64::from(std::process::id())));
        assert!(listener.take_error()?.is_none() && client.take_error()?.is_none());
        Ok(())
    });
}

#[test]
fn an_address_converts_to_that_of_std_and_back() {
    use redd::net::unix::SocketAddr;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr as StdAddr;

    run(async {
        let (_directory, path) = fresh_path()?;
        let listener = UnixListener::bind(&path)?;
        let address = StdAddr::from(listener.local_addr()?);
        assert_eq!(address.as_pathname(), Some(path.as_path()));
        let client = std::os::unix::net::UnixStream::connect_addr(&address)?;
        let (_server, peer) = listener.accept().await?;
        let unnamed: StdAddr = peer.into();
        assert!(unnamed.is_unnamed());
        assert!(SocketAddr::from(client.local_addr()?).is_unnamed());
        let abstract_address = SocketAddr::from(StdAddr::from_abstract_name(b"redd\0test")?);
        assert_eq!(StdAddr::from(abstract_address).as_abstract_name(), Some(&b"redd\0test"[..]));
        Ok(())
    });
}

#[test]
fn the_file_of_a_dropped_listener_stays_and_refuses() {
    run(async {
        let (_directory, path) = fresh_path()?;
        drop(UnixListener::bind(&path)?);
        assert_eq!(UnixListener::bind(&path).expect_err("the file is there").kind(), ErrorKind::AddrInUse);
        let error = UnixStream::connect(&path).await.expect_err("there is no listener");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        std::fs::remove_file(&path)?;
        let error = UnixStream::connect(&path).await.expect_err("no such file");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        UnixListener::bind(&path)?;
        Ok(())
    });
}

#[test]
fn an_abstract_name_needs_no_file() {
    run(async {
        let name = format!("redd-test-{}-\0abstract", std::process::id());
        let path = format!("\0{name}");
        let listener = UnixListener::bind(&path)?;
        let address = listener.local_addr()?;
        assert_eq!(address.as_abstract_name(), Some(name.as_bytes()));
        let client = UnixStream::connect(&path).await?;
        assert_eq!(client.peer_addr()?.as_abstract_name(), Some(name.as_bytes()));
        listener.accept().await?;
        UnixStream::connect_addr(&address).await?;
        listener.accept().await?;
        drop(listener);
        UnixListener::bind_addr(&address)?;
        Ok(())
    });
}

#[test]
fn unusable_paths_are_errors_in_every_function() {
    run(async {
        let long = "x".repeat(300);
        let (datagram, _) = UnixDatagram::pair()?;
        for path in [Path::new(&long), Path::new(""), Path::new(OsStr::from_bytes(b"a\0b"))] {
            for error in [
                UnixListener::bind(path).err(),
                UnixStream::connect(path).await.err(),
                UnixDatagram::bind(path).err(),
                datagram.connect(path).err(),
                datagram.send_to(b"x", path).await.err(),
                datagram.try_send_to(b"x", path).err(),
                UnixSocket::new_stream()?.bind(path).err(),
                UnixSocket::new_stream()?.connect(path).await.err(),
            ] {
                assert_eq!(error.expect("cannot be used").kind(), ErrorKind::InvalidInput, "{path:?}");
            }
        }
        let long_name = format!("\0{}", "x".repeat(108));
        for (path, fix) in [
            (long.as_str(), "shorter directory"),
            ("a\0b", "no NUL byte"),
            ("", "NUL byte in front"),
            (long_name.as_str(), "at most 107 bytes"),
        ] {
            let error = UnixListener::bind(path).expect_err("cannot be used");
            assert!(error.to_string().contains(fix), "{error}");
        }
        let huge = UnixListener::bind("x".repeat(1 << 20)).expect_err("too long");
        assert!(huge.to_string().len() < 500, "only its start is quoted");
        Ok(())
    });
}

#[test]
fn halves_of_a_pair_end_split_and_reunite() {
    run(async {
        let (mut left, right) = UnixStream::pair()?;
        let (reader, mut writer) = right.into_split();
        writer.write_all(b"abc").await?;
        drop(writer);
        let mut text = String::new();
        left.read_to_string(&mut text).await?;
        assert_eq!(text, "abc");
        left.write_all(b"back").await?;
        let mut reader = reader;
        let mut buf = [0; 4];
        reader.read_exact(&mut buf).await?;
        assert_eq!(&buf, b"back");

        let (left, right) = UnixStream::pair()?;
        let (left_reader, left_writer) = left.into_split();
        let (right_reader, right_writer) = right.into_split();
        let error = left_reader.reunite(right_writer).expect_err("of different streams");
        let (left_reader, right_writer) = (error.0, error.1);
        let mut left = left_reader.reunite(left_writer).expect("of one stream");
        let mut right = right_writer.reunite(right_reader).expect("of one stream");
        let ((mut reader, _), (_, mut writer)) = (left.split(), right.split());
        writer.write_all(b"x").await?;
        assert_eq!(reader.read_u8().await?, b'x');
        Ok(())
    });
}

#[test]
fn more_data_than_the_queue_holds_arrives_whole() {
    const BYTES: usize = 2 << 20;
    run(async {
        let (mut left, mut right) = UnixStream::pair()?;
        let writing = redd::spawn(async move {
            left.write_all(&vec![7; BYTES]).await?;
            left.shutdown().await
        });
        let mut all = Vec::new();
        right.read_to_end(&mut all).await?;
        writing.await.expect("no panic")?;
        assert!(all == vec![7; BYTES]);
        Ok(())
    });
}

#[test]
fn try_operations_follow_readiness() {
    run(async {
        let (left, right) = UnixStream::pair()?;
        assert_eq!(right.try_read(&mut [0; 4]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        left.writable().await?;
        assert_eq!(left.try_write(b"abc")?, 3);
        assert!(right.ready(Interest::READABLE).await?.is_readable());
        let mut all = Vec::new();
        assert_eq!(right.try_read_buf(&mut all)?, 3);
        assert_eq!(all, b"abc");
        let mut sent = 3;
        let full = loop {
            match left.try_write(&[0; 4096]) {
                Ok(len) => sent += len,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(sent > 4096);
        Ok(())
    });
}

#[test]
fn a_socket_converts_to_a_listener_a_stream_or_a_datagram_socket() {
    run(async {
        let (_directory, path) = fresh_path()?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(&path)?;
        let listener = socket.listen(8)?;
        let _client = UnixSocket::new_stream()?.connect(&path).await?;
        listener.accept().await?;
        let datagram = UnixSocket::new_datagram()?.datagram()?;
        assert!(datagram.local_addr()?.is_unnamed());
        Ok(())
    });
}

#[test]
fn datagrams_to_paths_arrive_with_their_sender() {
    run(async {
        let directory = tempfile::tempdir()?;
        let (server_path, client_path) = (directory.path().join("server"), directory.path().join("client"));
        let (server, client) = (UnixDatagram::bind(&server_path)?, UnixDatagram::bind(&client_path)?);
        assert_eq!(client.send_to(b"ping", &server_path).await?, 4);
        let mut buf = [0; 8];
        let (len, sender) = server.recv_from(&mut buf).await?;
        assert_eq!((&buf[..len], sender.as_pathname()), (&b"ping"[..], Some(client_path.as_path())));
        assert_eq!(poll_fn(|cx| client.poll_send_to(cx, b"abc", &server_path)).await?, 3);
        let mut memory = [0; 8];
        let mut read_buf = ReadBuf::new(&mut memory);
        let sender = poll_fn(|cx| server.poll_recv_from(cx, &mut read_buf)).await?;
        assert_eq!(sender.as_pathname(), Some(client_path.as_path()));
        assert_eq!(read_buf.filled(), b"abc");
        let unbound = UnixDatagram::unbound()?;
        unbound.connect(&server_path)?;
        assert_eq!(unbound.peer_addr()?.as_pathname(), Some(server_path.as_path()));
        unbound.send(b"x").await?;
        let mut all = Vec::new();
        let (len, sender) = server.recv_buf_from(&mut all).await?;
        assert!(len == 1 && sender.is_unnamed());
        assert_eq!(server.try_recv_from(&mut buf).expect_err("nothing").kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn a_sender_of_datagrams_waits_while_the_queue_is_full() {
    run(async {
        let (left, right) = UnixDatagram::pair()?;
        left.writable().await?;
        let mut sent = 0_u32;
        while left.try_send(&sent.to_be_bytes()).is_ok() {
            sent += 1;
        }
        let sending = redd::spawn(async move {
            left.send(&sent.to_be_bytes()).await?;
            left.shutdown(Shutdown::Both)?;
            io::Result::Ok(())
        });
        redd::task::yield_now().await;
        assert!(!sending.is_finished());
        for number in 0..=sent {
            let mut buf = [0; 4];
            assert_eq!(right.recv(&mut buf).await?, 4);
            assert_eq!(u32::from_be_bytes(buf), number);
        }
        sending.await.expect("no panic")?;
        Ok(())
    });
}

#[test]
fn sockets_convert_from_std_and_back() {
    run(async {
        let (left, right) = std::os::unix::net::UnixStream::pair()?;
        left.set_nonblocking(true)?;
        let left = UnixStream::try_from(left)?;
        left.writable().await?;
        left.try_write(b"x")?;
        io::Read::read_exact(&mut &right, &mut [0; 1])?;
        left.into_std()?.set_nonblocking(false)?;
        let (one, _two) = UnixDatagram::pair()?;
        UnixDatagram::from_std(one.into_std()?)?;
        let (_directory, path) = fresh_path()?;
        UnixListener::from_std(UnixListener::bind(&path)?.into_std()?)?;
        Ok(())
    });
}

#[test]
fn a_pipe_ends_when_its_sender_is_dropped_and_breaks_when_its_receiver_is() {
    run(async {
        let (mut sender, mut receiver) = pipe::pipe()?;
        let error = receiver.try_read(&mut [0; 8]).expect_err("nothing");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let writing = redd::spawn(async move {
            sender.write_all(&vec![3; 1 << 20]).await?;
            sender.shutdown().await
        });
        let mut all = Vec::new();
        receiver.read_to_end(&mut all).await?;
        writing.await.expect("no panic")?;
        assert!(all == vec![3; 1 << 20]);

        let (mut sender, receiver) = pipe::pipe()?;
        drop(receiver);
        let error = sender.write(b"x").await.expect_err("there is no reader");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn the_ends_of_a_pipe_convert_from_files_and_back() {
    run(async {
        let (sender, receiver) = pipe::pipe()?;
        sender.writable().await?;
        assert_eq!(sender.try_write(b"abc")?, 3);
        receiver.readable().await?;
        assert_eq!(receiver.try_io(|| Ok(7))?, 7);
        let sender_fd = sender.into_blocking_fd()?;
        let receiver_fd = receiver.into_nonblocking_fd()?;
        let error = pipe::Sender::from_owned_fd(receiver_fd.try_clone()?).expect_err("not open for writing");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("open it for writing"), "{error}");
        let error = pipe::Receiver::from_owned_fd(sender_fd.try_clone()?).expect_err("not open for reading");
        assert!(error.to_string().contains("open it for reading"), "{error}");
        let receiver = pipe::Receiver::from_owned_fd(receiver_fd)?;
        let mut sender = pipe::Sender::from_file(File::from(sender_fd))?;
        sender.write_all(b"def").await?;
        receiver.readable().await?;
        let mut all = Vec::new();
        assert_eq!(receiver.try_read_buf(&mut all)?, 6);
        assert_eq!(all, b"abcdef");
        let file = tempfile::tempfile()?;
        let error = pipe::Receiver::from_file(file).expect_err("a plain file");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("mkfifo"), "{error}");
        let file = tempfile::NamedTempFile::new()?;
        let error = pipe::OpenOptions::new().open_sender(file.path()).expect_err("a plain file");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = pipe::OpenOptions::new().open_receiver("/nowhere/fifo").expect_err("missing");
        assert_eq!(error.kind(), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn a_fifo_opens_for_sending_once_it_has_a_reader() {
    run(async {
        let (_directory, path) = fresh_path()?;
        let made = std::process::Command::new("mkfifo").arg(&path).status()?;
        assert!(made.success());
        let error = pipe::OpenOptions::new().open_sender(&path).expect_err("there is no reader");
        assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
        let mut receiver = pipe::OpenOptions::new().open_receiver(&path)?;
        // Without a sender there are no bytes to read, but no end of file either.
        let mut byte = [0; 1];
        let reading = std::pin::pin!(receiver.read(&mut byte));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(reading.poll(&mut cx).is_pending());
        let mut sender = pipe::OpenOptions::new().open_sender(&path)?;
        sender.write_all(b"x").await?;
        assert_eq!(receiver.read_u8().await?, b'x');
        drop(sender);
        assert_eq!(receiver.read(&mut [0; 8]).await?, 0);
        // After a second sender opens the pipe, reads wait again.
        let mut sender = pipe::OpenOptions::new().read_write(true).open_sender(&path)?;
        sender.write_all(b"again").await?;
        let mut buf = [0; 5];
        receiver.read_exact(&mut buf).await?;
        assert_eq!(&buf, b"again");
        Ok(())
    });
}

#[test]
fn a_fresh_pair_is_writable_and_an_accepted_stream_is_assumed_readable_before_any_event() {
    run(async {
        let (left, _right) = UnixStream::pair()?;
        assert_eq!(left.try_write(b"x")?, 1);
        let (left, _right) = UnixDatagram::pair()?;
        assert_eq!(left.try_send(b"x")?, 1);
        let (_directory, path) = fresh_path()?;
        let listener = UnixListener::bind(&path)?;
        let _client = UnixStream::connect(&path).await?;
        let (server, _) = listener.accept().await?;
        server.readable().await?;
        let error = server.try_read(&mut [0; 1]).expect_err("nothing was written");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn readiness_costs_no_budget_when_polled_with_another_waker() {
    run(async {
        let (left, _right) = UnixStream::pair()?;
        for _ in 0..1000 {
            let writable = std::pin::pin!(left.writable());
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(writable.poll(&mut cx).is_ready());
        }
        Ok(())
    });
}

#[test]
fn a_socket_of_the_other_kind_is_refused_with_the_constructor_to_use() {
    let datagram = || UnixSocket::new_datagram().expect("descriptors left");
    let error = datagram().listen(1).expect_err("a datagram socket");
    assert!(error.to_string().contains("UnixSocket::new_stream"), "{error}");
    let mut connect = Box::pin(datagram().connect("/nowhere"));
    let Poll::Ready(result) = connect.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits");
    };
    assert!(result.expect_err("a datagram socket").to_string().contains("new_stream"));
    let stream = UnixSocket::new_stream().expect("descriptors left");
    let error = stream.datagram().expect_err("a stream socket");
    assert!(error.to_string().contains("UnixSocket::new_datagram"), "{error}");
}

#[test]
fn a_bound_path_is_in_use_until_its_file_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let bind = || UnixSocket::new_stream().expect("descriptors left").bind(&path);
    bind().expect("a fresh path");
    assert_eq!(bind().expect_err("the file is there").kind(), ErrorKind::AddrInUse);
    std::fs::remove_file(&path).expect("the file is there");
    bind().expect("the path is free again");
}

//! Unix sockets and pipes as programs use them: what `socket_table` does not cover.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::unix::pipe;
use redd::net::{UnixDatagram, UnixListener, UnixSocket, UnixStream};
use redd::runtime::Builder;
use std::ffi::OsStr;
use std::fs::File;
use std::future::Future;
use std::io::{self, ErrorKind};
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

//! Bad input to every function: the call returns an error of the right kind, and nothing else is affected.
//!
//! Faults of the system are in the tests `faults` and `net_exhausted`. Child processes are in `bad_children`: between
//! `fork` and `exec`, a child keeps this process's descriptors open, and the tests here depend on when they are closed.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use redd::fs;
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup_host};
use redd::signal::unix::{SignalKind, signal};

use support::bad::{assert_kind, run, with_nul};

#[test]
fn a_path_with_a_nul_byte_is_invalid_input_for_every_file_operation() {
    run(async {
        let (bad, good) = (with_nul(), tempfile::tempdir().unwrap());
        let good = good.path();
        let kind = ErrorKind::InvalidInput;
        assert_kind(fs::File::open(bad).await, kind);
        assert_kind(fs::File::create(bad).await, kind);
        assert_kind(fs::File::create_new(bad).await, kind);
        assert_kind(fs::OpenOptions::new().read(true).open(bad).await, kind);
        assert_kind(fs::read(bad).await, kind);
        assert_kind(fs::read_to_string(bad).await, kind);
        assert_kind(fs::write(bad, "x").await, kind);
        assert_kind(fs::copy(bad, good.join("x")).await, kind);
        assert_kind(fs::copy("/dev/null", bad).await, kind);
        assert_kind(fs::rename(bad, good.join("x")).await, kind);
        assert_kind(fs::rename(good.join("x"), bad).await, kind);
        assert_kind(fs::hard_link(bad, good.join("x")).await, kind);
        assert_kind(fs::symlink(bad, good.join("x")).await, kind);
        assert_kind(fs::read_link(bad).await, kind);
        assert_kind(fs::remove_file(bad).await, kind);
        assert_kind(fs::create_dir(bad).await, kind);
        assert_kind(fs::create_dir_all(bad).await, kind);
        assert_kind(fs::DirBuilder::new().create(bad).await, kind);
        assert_kind(fs::remove_dir(bad).await, kind);
        assert_kind(fs::remove_dir_all(bad).await, kind);
        assert_kind(fs::read_dir(bad).await, kind);
        assert_kind(fs::canonicalize(bad).await, kind);
        assert_kind(fs::metadata(bad).await, kind);
        assert_kind(fs::symlink_metadata(bad).await, kind);
        assert_kind(fs::try_exists(bad).await, kind);
        assert_kind(fs::set_permissions(bad, std::fs::Permissions::from_mode(0o600)).await, kind);
        assert_eq!(std::fs::read_dir(good).unwrap().count(), 0);
    });
}

#[test]
fn an_unusable_socket_path_is_invalid_input() {
    let too_long = "x".repeat(200);
    run(async {
        for bad in [with_nul(), Path::new(&too_long)] {
            assert_kind(UnixListener::bind(bad), ErrorKind::InvalidInput);
            assert_kind(UnixStream::connect(bad).await, ErrorKind::InvalidInput);
            assert_kind(UnixDatagram::bind(bad), ErrorKind::InvalidInput);
            let datagram = UnixDatagram::unbound().unwrap();
            assert_kind(datagram.connect(bad), ErrorKind::InvalidInput);
            assert_kind(datagram.send_to(b"x", bad).await, ErrorKind::InvalidInput);
            assert_kind(datagram.try_send_to(b"x", bad), ErrorKind::InvalidInput);
        }
        assert_kind(UnixStream::connect("/nowhere/at/all").await, ErrorKind::NotFound);
        assert_kind(redd::net::unix::pipe::OpenOptions::new().open_receiver(with_nul()), ErrorKind::InvalidInput);
        assert_kind(redd::net::unix::pipe::OpenOptions::new().open_sender(with_nul()), ErrorKind::InvalidInput);
        // This file exists, but is not a pipe.
        assert_kind(redd::net::unix::pipe::OpenOptions::new().open_receiver("/dev/null"), ErrorKind::InvalidInput);
    });
}

#[test]
fn an_address_that_does_not_parse_is_invalid_input_without_asking_a_resolver() {
    run(async {
        for bad in ["", "localhost", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"] {
            assert_kind(TcpStream::connect(bad).await, ErrorKind::InvalidInput);
            assert_kind(TcpListener::bind(bad).await, ErrorKind::InvalidInput);
            assert_kind(UdpSocket::bind(bad).await, ErrorKind::InvalidInput);
            assert_kind(lookup_host(bad).await.map(Iterator::count), ErrorKind::InvalidInput);
        }
        assert_kind(TcpStream::connect(&[][..]).await, ErrorKind::InvalidInput);
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_kind(udp.send_to(b"x", "127.0.0.1").await, ErrorKind::InvalidInput);
        assert_kind(udp.connect("nowhere").await, ErrorKind::InvalidInput);
        // A string that could be a host name goes to a resolver, which refuses it.
        assert!(TcpStream::connect(("a\0b", 80)).await.is_err());
        assert!(TcpStream::connect("::1").await.is_err());
        // The socket still works.
        udp.send_to(b"x", udp.local_addr().unwrap()).await.unwrap();
        assert_eq!(udp.recv(&mut [0; 8]).await.unwrap(), 1);
    });
}

#[test]
fn a_bind_to_an_address_of_another_machine_or_in_use_fails() {
    run(async {
        // TEST-NET-1 of RFC 5737: unassigned.
        assert_kind(TcpListener::bind("192.0.2.1:0").await, ErrorKind::AddrNotAvailable);
        assert_kind(UdpSocket::bind("192.0.2.1:0").await, ErrorKind::AddrNotAvailable);
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_kind(UdpSocket::bind(udp.local_addr().unwrap()).await, ErrorKind::AddrInUse);
        let socket = TcpSocket::new_v4().unwrap();
        let of_the_other_family = socket.bind("[::1]:0".parse().unwrap()).unwrap_err();
        assert_eq!(of_the_other_family.raw_os_error(), Some(libc::EAFNOSUPPORT));
    });
}

#[test]
fn a_closed_peer_ends_reads_and_breaks_writes() {
    run(async {
        let (mut left, right) = UnixStream::pair().unwrap();
        drop(right);
        assert_eq!(left.read(&mut [0; 8]).await.unwrap(), 0);
        assert_kind(left.write_all(b"x").await, ErrorKind::BrokenPipe);
        assert_kind(left.try_write(b"x"), ErrorKind::BrokenPipe);

        let (mut sender, receiver) = redd::net::unix::pipe::pipe().unwrap();
        drop(receiver);
        assert_kind(sender.write_all(b"x").await, ErrorKind::BrokenPipe);

        let (mut left, right) = redd::io::duplex(8);
        drop(right);
        assert_eq!(left.read(&mut [0; 8]).await.unwrap(), 0);
        assert_kind(left.write_all(b"x").await, ErrorKind::BrokenPipe);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, accepted) = redd::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (mut client, mut server) = (client.unwrap(), accepted.unwrap().0);
        server.shutdown().await.unwrap();
        server.shutdown().await.unwrap();
        assert_kind(server.write_all(b"x").await, ErrorKind::BrokenPipe);
        // The other direction still works.
        client.write_all(b"still").await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"still");
        assert_kind(client.read_u8().await, ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_reset_is_reported_once_and_the_listener_still_accepts() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..3 {
            let (client, accepted) = redd::join!(TcpStream::connect(address), listener.accept());
            let (client, mut server) = (client.unwrap(), accepted.unwrap().0);
            // A socket that is closed with unread bytes is reset.
            server.write_all(b"unread").await.unwrap();
            client.readable().await.unwrap();
            drop(client);
            let mut buffer = [0; 8];
            let read = redd::time::timeout(Duration::from_secs(20), server.read(&mut buffer)).await.unwrap();
            assert_kind(read, ErrorKind::ConnectionReset);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0, "reported once");
            assert_kind(server.write(b"x").await, ErrorKind::BrokenPipe);
        }
        // This connection is closed before it is accepted.
        drop(TcpStream::connect(address).await.unwrap());
        let (client, accepted) = redd::join!(TcpStream::connect(address), listener.accept());
        drop((client.unwrap(), accepted.unwrap()));
        drop(listener.accept().await.unwrap());
    });
}

#[test]
fn a_datagram_to_a_closed_port_is_refused_and_the_socket_still_works() {
    run(async {
        let (gone, socket) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = gone.local_addr().unwrap();
        drop(gone);
        socket.connect(address).await.unwrap();
        socket.send(b"x").await.unwrap();
        assert_kind(socket.recv(&mut [0; 8]).await, ErrorKind::ConnectionRefused);
        let back = UdpSocket::bind(address).await.unwrap();
        back.send_to(b"hello", socket.local_addr().unwrap()).await.unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).await.unwrap(), 5);
        // This is larger than any datagram.
        assert!(socket.send(&vec![0; 70_000]).await.is_err());
        // The system truncates a datagram that is longer than the buffer.
        back.send_to(b"hello", socket.local_addr().unwrap()).await.unwrap();
        assert_eq!(socket.recv(&mut [0; 2]).await.unwrap(), 2);
    });
}

#[test]
fn a_writer_whose_peer_reads_small_pieces_loses_no_bytes() {
    run(async {
        let (left, mut right) = UnixStream::pair().unwrap();
        let all: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = all.clone();
        let sender = redd::spawn(async move {
            let mut left = left;
            left.write_all(&all).await?;
            left.shutdown().await?;
            io::Result::Ok(all.len())
        });
        let (mut heard, mut buffer) = (Vec::new(), [0; 1021]);
        loop {
            let len = right.read(&mut buffer).await.unwrap();
            if len == 0 {
                break;
            }
            heard.extend_from_slice(&buffer[..len]);
        }
        assert_eq!(sender.await.unwrap().unwrap(), expected.len());
        assert!(heard == expected);
    });
}

#[test]
fn a_signal_that_cannot_be_handled_is_an_error() {
    run(async {
        for number in [0, -1, 65, 1000, i32::MIN, i32::MAX, libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV] {
            assert!(signal(SignalKind::from_raw(number)).is_err(), "{number}");
        }
        let mut listener = signal(SignalKind::user_defined2()).unwrap();
        let listening = redd::spawn(async move { listener.recv().await });
        redd::task::yield_now().await;
        raise(libc::SIGUSR2);
        assert_eq!(listening.await.unwrap(), Some(()));
    });
}

#[allow(unsafe_code, reason = "std cannot raise a signal")]
fn raise(number: i32) {
    // SAFETY: the signal has a handler.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

#[test]
fn invalid_utf_8_is_invalid_data_and_an_early_end_is_unexpected_eof() {
    run(async {
        let mut text = String::from("kept");
        assert_kind((&b"\xff"[..]).read_to_string(&mut text).await, ErrorKind::InvalidData);
        assert_eq!(text, "kept");
        assert_kind((&b"ab"[..]).read_exact(&mut [0; 3]).await, ErrorKind::UnexpectedEof);
        assert_kind((&b"ab"[..]).read_u32().await, ErrorKind::UnexpectedEof);
        let mut small = [0_u8; 2];
        let mut small = io::Cursor::new(&mut small[..]);
        assert_kind(small.write_all(b"abc").await, ErrorKind::WriteZero);
        assert_eq!(small.into_inner(), b"ab");
    });
}

#[test]
fn the_longest_duration_never_elapses() {
    run(async {
        let far = redd::time::timeout(Duration::MAX, async { 5 });
        assert_eq!(far.await.unwrap(), 5);
        let mut sleep = std::pin::pin!(redd::time::sleep(Duration::MAX));
        let polled = redd::time::timeout(Duration::from_millis(5), sleep.as_mut()).await;
        assert!(polled.is_err());
    });
}

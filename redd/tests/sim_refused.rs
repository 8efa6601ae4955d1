//! What a simulated world refuses: the error names what was refused, where, by which task, and what to do instead.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(
    clippy::disallowed_methods,
    reason = "threads outside of the world, in a test that fails if the system refuses one"
)]

use redd::io::unix::AsyncFd;
use redd::io::{AsyncReadExt, Interest};
use redd::net::unix::pipe;
use redd::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use redd::process::Command;
use redd::runtime::Builder;
use redd::sim::World;
use std::future::Future;
use std::io::{self, ErrorKind};

fn in_world<F: Future<Output = ()> + Send + 'static>(test: impl Fn() -> F + Send + Sync + 'static) {
    let main = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let task = redd::task::Builder::new().name("reader");
        let test = test();
        runtime.block_on(async { task.spawn(test).unwrap().await.unwrap() });
    };
    World::new(1).host("host", main).run().expect_ok();
}

/// The text of a refusal, which names this file and the task.
#[track_caller]
fn refusal<T>(result: io::Result<T>) -> String {
    let Err(error) = result else { panic!("it was not refused") };
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let text = error.to_string();
    assert!(text.contains("called at redd/tests/sim_refused.rs:"), "{text}");
    assert!(text.contains("by task ") && text.contains("`reader`, spawned at redd/tests/sim_refused.rs:"), "{text}");
    text
}

#[test]
fn async_fd_names_the_descriptor() {
    in_world(|| async {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let text = refusal(AsyncFd::new(ours));
        assert!(text.contains("unix stream") && text.contains("`io::duplex`"), "{text}");
        // Nor on the descriptor of a simulated socket, which carries no bytes.
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        refusal(AsyncFd::with_interest(socket.into_std().unwrap(), Interest::READABLE));
    });
}

#[test]
fn pipes_are_named() {
    in_world(|| async {
        let text = refusal(pipe::pipe());
        assert!(text.contains("pipe:["), "{text}");
    });
}

#[test]
fn a_socket_that_was_bound_or_connected_outside_is_named() {
    in_world(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let address = connected.local_addr().unwrap().to_string();
        let text = refusal(TcpStream::from_std(connected));
        assert!(text.contains(&format!("tcp {address} to ")) && text.contains("`redd::net`"), "{text}");
        let text = refusal(TcpListener::from_std(listener));
        assert!(text.contains("tcp listener 127.0.0.1:"), "{text}");
        let text = refusal(UdpSocket::from_std(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()));
        assert!(text.contains("udp 127.0.0.1:"), "{text}");
        let (pair, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let text = refusal(UnixDatagram::from_std(pair));
        assert!(text.contains("unix datagram"), "{text}");
    });
}

#[test]
fn system_calls_of_the_program_on_a_simulated_socket_are_refused_and_not_made() {
    in_world(|| async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let refused = || -> io::Result<()> { panic!("it is called") };
        let text = refusal(socket.try_io(Interest::WRITABLE, refused));
        assert!(text.contains("carries no bytes") && text.contains("`try_read`"), "{text}");
        refusal(socket.async_io(Interest::READABLE, refused).await);
        let (left, _right) = UnixStream::pair().unwrap();
        refusal(left.try_io(Interest::WRITABLE, refused));
        refusal(left.async_io(Interest::WRITABLE, refused).await);
        let (left, _right) = UnixDatagram::pair().unwrap();
        refusal(left.try_io(Interest::WRITABLE, refused));
        refusal(left.async_io(Interest::WRITABLE, refused).await);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        refusal(stream.try_io(Interest::WRITABLE, refused));
        refusal(stream.async_io(Interest::WRITABLE, refused).await);
    });
}

#[test]
fn child_processes_are_not_started() {
    in_world(|| async {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("started");
        let text = refusal(Command::new("touch").arg(&file).spawn());
        assert!(text.contains("`touch` was not started") && text.contains("a host of the world"), "{text}");
        refusal(Command::new("touch").arg(&file).status().await);
        refusal(Command::new("touch").arg(&file).output().await);
        assert!(!file.exists());
    });
}

#[test]
fn standard_input_is_not_read() {
    in_world(|| async {
        let text = refusal(redd::io::stdin().read_u8().await);
        assert!(text.contains("standard input"), "{text}");
    });
}

#[test]
fn multicast_and_devices_are_not_supported() {
    in_world(|| async {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let (group, any) = ("224.0.0.251".parse().unwrap(), "0.0.0.0".parse().unwrap());
        for result in [socket.join_multicast_v4(group, any), socket.bind_device(None)] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(95), "EOPNOTSUPP");
        }
        let error = socket.leave_multicast_v4(group, any).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "it is in no group");
    });
}

#[test]
fn a_thread_outside_of_the_world_cannot_use_its_sockets() {
    in_world(|| async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let thread = std::thread::Builder::new().name("foreign".to_owned());
        let error = thread.spawn(move || socket.local_addr().unwrap_err()).unwrap().join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let text = error.to_string();
        assert!(text.contains("`foreign`") && text.contains("`spawn_blocking`"), "{text}");
        // It was dropped there, which is no event of the world. So its address is taken.
        let error = UdpSocket::bind(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_thread_of_a_world_has_no_sockets_in_a_runtime_outside() {
    let outside = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = outside.handle().clone();
    let main = move || {
        let _guard = handle.enter();
        let error = UnixDatagram::unbound().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("`host` belongs to a simulated world"), "{error}");
    };
    World::new(1).host("host", main).run().expect_ok();
    drop(outside);
}

#[test]
fn a_runtime_outside_of_worlds_refuses_none_of_it() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        drop(AsyncFd::new(ours).unwrap());
        drop(pipe::pipe().unwrap());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        connected.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(connected).unwrap();
        stream.writable().await.unwrap();
        assert_eq!(stream.try_io(Interest::WRITABLE, || Ok(7)).unwrap(), 7);
        assert_eq!(stream.async_io(Interest::WRITABLE, || Ok(8)).await.unwrap(), 8);
        assert!(Command::new("true").status().await.unwrap().success());
        drop(TcpSocket::new_v4().unwrap());
    });
}

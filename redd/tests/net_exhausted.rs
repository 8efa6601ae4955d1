//! A process without free descriptors. This is a test binary of its own, because the limit applies to the whole
//! process.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![expect(unsafe_code, reason = "the limit is set by a system call")]

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use redd::runtime::Builder;
use std::fs::File;
use std::io;

fn set_limit(descriptors: u64) {
    let limit = libc::rlimit { rlim_cur: descriptors, rlim_max: descriptors.max(limit_max()) };
    // SAFETY: the limit outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

fn limit_max() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit outlives the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) }, 0);
    limit.rlim_max
}

#[test]
fn a_listener_recovers_from_a_lack_of_descriptors_and_loses_no_connection() {
    set_limit(64);
    let runtime = Builder::new_current_thread().enable_all().build().expect("resources left");
    runtime
        .block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let mut client = TcpStream::connect(listener.local_addr()?).await?;
            let mut hoard = Vec::new();
            let full = loop {
                match File::open("/dev/null") {
                    Ok(file) => hoard.push(file),
                    Err(error) => break error,
                }
            };
            assert_eq!(full.raw_os_error(), Some(libc::EMFILE));
            for _ in 0..3 {
                let error = listener.accept().await.expect_err("no descriptor left");
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            for error in [
                TcpStream::connect(listener.local_addr()?).await.err(),
                UdpSocket::bind("127.0.0.1:0").await.err(),
                UnixStream::pair().err(),
                redd::net::unix::pipe::pipe().err(),
            ] {
                let error = error.expect("no descriptor left");
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            }
            drop(hoard);
            let (mut server, peer) = listener.accept().await?;
            assert_eq!(peer, client.local_addr()?);
            client.write_all(b"x").await?;
            assert_eq!(server.read_u8().await?, b'x');
            io::Result::Ok(())
        })
        .expect("no other error");
}

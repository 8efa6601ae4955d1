//! UDP as programs use it.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::io::{Interest, ReadBuf};
use redd::net::UdpSocket;
use redd::runtime::Builder;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Waker};

fn run<T>(test: impl Future<Output = io::Result<T>>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("resources left");
    runtime.block_on(test).expect("no error that the test does not check")
}

async fn bound() -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// Two sockets that are connected to each other.
async fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let ((left, left_address), (right, right_address)) = (bound().await?, bound().await?);
    left.connect(right_address).await?;
    right.connect(left_address).await?;
    Ok((left, right))
}

#[test]
fn a_datagram_arrives_whole_with_its_sender() {
    run(async {
        let ((client, client_address), (server, server_address)) = (bound().await?, bound().await?);
        assert_eq!(client.send_to(b"one", server_address).await?, 3);
        assert_eq!(client.send_to(b"", server_address).await?, 0);
        assert_eq!(client.send_to(b"three", &[server_address, client_address][..]).await?, 5);
        let mut buf = [0; 16];
        assert_eq!(server.recv_from(&mut buf).await?, (3, client_address));
        assert_eq!(&buf[..3], b"one");
        assert_eq!(server.recv_from(&mut buf).await?, (0, client_address));
        assert_eq!(server.recv_from(&mut buf).await?, (5, client_address));
        Ok(())
    });
}

#[test]
fn a_fresh_socket_can_be_tried_before_the_drivers_first_event() {
    run(async {
        let ((client, client_address), (server, server_address)) = (bound().await?, bound().await?);
        assert_eq!(client.try_send_to(b"one", server_address)?, 3);
        let mut buf = [0; 16];
        assert_eq!(server.try_recv_from(&mut buf)?, (3, client_address));
        assert_eq!(server.try_recv_from(&mut buf).expect_err("empty").kind(), ErrorKind::WouldBlock);
        assert_eq!(server.try_io(Interest::READABLE, || Ok(())).expect_err("known").kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn the_rest_of_a_truncated_datagram_is_lost() {
    run(async {
        let (left, right) = pair().await?;
        left.send(b"abcdef").await?;
        left.send(b"next").await?;
        let mut buf = [0; 2];
        assert_eq!(right.recv(&mut buf).await?, 2);
        assert_eq!(&buf, b"ab");
        assert_eq!(right.recv(&mut buf).await?, 2);
        assert_eq!(&buf, b"ne");
        Ok(())
    });
}

#[test]
fn a_connected_socket_receives_from_its_peer_only_and_reports_a_closed_port() {
    run(async {
        let (left, right) = pair().await?;
        let (stranger, _) = bound().await?;
        assert_eq!(left.peer_addr()?, right.local_addr()?);
        stranger.send_to(b"noise", left.local_addr()?).await?;
        right.send(b"signal").await?;
        let mut buf = [0; 16];
        assert_eq!(left.recv(&mut buf).await?, 6);
        drop(right);
        left.send(b"anyone?").await?;
        let error = left.recv(&mut buf).await.expect_err("the machine reports a closed port");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(stranger.peer_addr().expect_err("is not connected").kind(), ErrorKind::NotConnected);
        Ok(())
    });
}

#[test]
fn received_bytes_are_appended_to_buffers() {
    run(async {
        let (left, right) = pair().await?;
        let mut all = b"<".to_vec();
        left.send(b"one").await?;
        assert_eq!(right.recv_buf(&mut all).await?, 3);
        left.send(b"two").await?;
        assert_eq!(right.recv_buf_from(&mut all).await?, (3, left.local_addr()?));
        assert_eq!(all, b"<onetwo");
        left.send(b"three").await?;
        right.readable().await?;
        assert_eq!(right.try_recv_buf(&mut all)?, 5);
        left.send(b"four").await?;
        right.readable().await?;
        assert_eq!(right.try_recv_buf_from(&mut all)?, (4, left.local_addr()?));
        assert_eq!(all, b"<onetwothreefour");
        Ok(())
    });
}

#[test]
fn peeking_leaves_the_datagram_in_the_queue() {
    run(async {
        let (left, right) = pair().await?;
        let sender = left.local_addr()?;
        left.send(b"peek").await?;
        let mut buf = [0; 16];
        assert_eq!(right.peek(&mut buf).await?, 4);
        assert_eq!(right.peek_from(&mut buf).await?, (4, sender));
        assert_eq!(right.peek_sender().await?, sender);
        right.readable().await?;
        assert_eq!(right.try_peek(&mut buf)?, 4);
        assert_eq!(right.try_peek_from(&mut buf)?, (4, sender));
        assert_eq!(right.try_peek_sender()?, sender);
        let mut memory = [std::mem::MaybeUninit::uninit(); 16];
        let mut read_buf = ReadBuf::uninit(&mut memory);
        poll_fn(|cx| right.poll_peek(cx, &mut read_buf)).await?;
        assert_eq!(poll_fn(|cx| right.poll_peek_from(cx, &mut read_buf)).await?, sender);
        assert_eq!(poll_fn(|cx| right.poll_peek_sender(cx)).await?, sender);
        poll_fn(|cx| right.poll_recv(cx, &mut read_buf)).await?;
        assert_eq!(read_buf.filled(), b"peekpeekpeek");
        assert_eq!(right.try_recv(&mut buf).expect_err("it was taken").kind(), ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn polled_methods_send_and_receive() {
    run(async {
        let ((left, left_address), (right, right_address)) = (bound().await?, bound().await?);
        let sent = poll_fn(|cx| left.poll_send_to(cx, b"hello", right_address)).await?;
        assert_eq!(sent, 5);
        poll_fn(|cx| right.poll_recv_ready(cx)).await?;
        poll_fn(|cx| left.poll_send_ready(cx)).await?;
        let mut memory = [0; 8];
        let mut buf = ReadBuf::new(&mut memory);
        assert_eq!(poll_fn(|cx| right.poll_recv_from(cx, &mut buf)).await?, left_address);
        assert_eq!(buf.filled(), b"hello");
        left.connect(right_address).await?;
        assert_eq!(poll_fn(|cx| left.poll_send(cx, b"abc")).await?, 3);
        right.readable().await?;
        assert_eq!(right.try_recv_from(&mut [0; 8])?, (3, left_address));
        Ok(())
    });
}

#[test]
fn a_receive_that_is_dropped_loses_no_datagram() {
    run(async {
        let (left, right) = pair().await?;
        let mut buf = [0; 8];
        {
            let recv = pin!(right.recv(&mut buf));
            assert!(recv.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        left.send(b"x").await?;
        assert_eq!(right.recv(&mut buf).await?, 1);
        Ok(())
    });
}

#[test]
fn try_send_to_sends_and_an_unusable_address_is_an_error() {
    run(async {
        let ((left, _), (right, right_address)) = (bound().await?, bound().await?);
        left.writable().await?;
        assert_eq!(left.try_send_to(b"abc", right_address)?, 3);
        assert!(left.try_send(b"abc").is_err(), "it is not connected");
        assert_eq!(right.recv(&mut [0; 8]).await?, 3);
        let none: &[SocketAddr] = &[];
        let error = left.send_to(b"x", none).await.expect_err("no address");
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = left.send_to(&vec![0; 70_000], right_address).await.expect_err("too large");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        Ok(())
    });
}

#[test]
fn many_tasks_use_one_socket_at_once() {
    run(async {
        let (server, server_address) = bound().await?;
        let server = std::sync::Arc::new(server);
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let server = std::sync::Arc::clone(&server);
                redd::spawn(async move {
                    let mut buf = [0; 8];
                    let (len, peer) = server.recv_from(&mut buf).await?;
                    server.send_to(&buf[..len], peer).await
                })
            })
            .collect();
        let (client, _) = bound().await?;
        for _ in 0..4 {
            client.send_to(b"ping", server_address).await?;
            assert_eq!(client.recv(&mut [0; 8]).await?, 4);
        }
        for task in tasks {
            assert_eq!(task.await.expect("no panic")?, 4);
        }
        Ok(())
    });
}

#[test]
fn options_read_back_as_they_were_set_and_the_socket_goes_to_std_and_back() {
    run(async {
        let (socket, address) = bound().await?;
        for is_on in [true, false] {
            socket.set_broadcast(is_on)?;
            assert_eq!(socket.broadcast()?, is_on);
            socket.set_multicast_loop_v4(is_on)?;
            assert_eq!(socket.multicast_loop_v4()?, is_on);
        }
        socket.set_multicast_ttl_v4(3)?;
        assert_eq!(socket.multicast_ttl_v4()?, 3);
        socket.set_ttl(9)?;
        assert_eq!(socket.ttl()?, 9);
        socket.set_tos_v4(0x10)?;
        assert_eq!(socket.tos_v4()?, 0x10);
        assert!(socket.take_error()?.is_none());
        assert_eq!(socket.device()?, None);
        let group = Ipv4Addr::new(239, 1, 2, 3);
        let error = socket.leave_multicast_v4(group, Ipv4Addr::UNSPECIFIED).expect_err("was not joined");
        assert!(error.raw_os_error().is_some());
        let socket = UdpSocket::from_std(socket.into_std()?)?;
        assert_eq!(socket.local_addr()?, address);
        assert!(socket.ready(Interest::WRITABLE).await?.is_writable());
        Ok(())
    });
}

//! The auto traits of the types of `redd::net` and of their futures.

use redd::net::*;
use std::panic::{RefUnwindSafe, UnwindSafe};

fn is_everything<T: Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + std::fmt::Debug>() {}

fn is_send<T: Send>(_value: &T) {}

#[test]
fn every_type_is_send_and_sync() {
    is_everything::<TcpListener>();
    is_everything::<TcpSocket>();
    is_everything::<TcpStream>();
    is_everything::<tcp::ReadHalf<'static>>();
    is_everything::<tcp::WriteHalf<'static>>();
    is_everything::<tcp::OwnedReadHalf>();
    is_everything::<tcp::OwnedWriteHalf>();
    is_everything::<tcp::ReuniteError>();
    is_everything::<UdpSocket>();
    is_everything::<UnixDatagram>();
    is_everything::<UnixListener>();
    is_everything::<UnixSocket>();
    is_everything::<UnixStream>();
    is_everything::<unix::ReadHalf<'static>>();
    is_everything::<unix::WriteHalf<'static>>();
    is_everything::<unix::OwnedReadHalf>();
    is_everything::<unix::OwnedWriteHalf>();
    is_everything::<unix::ReuniteError>();
    is_everything::<unix::SocketAddr>();
    is_everything::<unix::UCred>();
    is_everything::<unix::pipe::OpenOptions>();
    is_everything::<unix::pipe::Receiver>();
    is_everything::<unix::pipe::Sender>();
}

#[test]
fn the_futures_of_methods_are_send() {
    is_send(&TcpStream::connect("localhost:80"));
    is_send(&TcpListener::bind(("localhost".to_owned(), 80)));
    is_send(&UdpSocket::bind(&[][..]));
    is_send(&UnixStream::connect("/nowhere"));
    is_send(&lookup_host("localhost:80"));
    fn methods(stream: &TcpStream, socket: &UdpSocket, buf: &mut [u8]) {
        is_send(&stream.readable());
        is_send(&stream.ready(redd::io::Interest::READABLE));
        is_send(&socket.send_to(&[], "localhost:80"));
        is_send(&socket.recv_from(buf));
    }
    let _ = methods;
}

//! TCP: options, and sockets that go to the standard library and back.

use crate::at::{At, Out, exactly, once, read};
use crate::show::Word;
use crate::table::{Case, case};
use redd::io::AsyncWriteExt;
use redd::net::{TcpListener, TcpSocket, TcpStream};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[
    case!(
        flags_of_a_socket,
        "default [false, false, false, false]; then [true, true, true, true]; then [false, false, false, false]"
    ),
    case!(linger_of_a_socket, "default None; then Some(7s); then Some(0ns); then None"),
    case!(linger_of_a_stream, "linger Some(7s); linger Some(1s); linger None").far(),
    case!(service_types, "tos 16; class 32"),
    case!(buffer_sizes_at_least, "send true; receive true"),
    case!(options_of_a_stream, "nodelay false; nodelay true; ttl 33").far(),
    case!(options_of_a_listener, "ttl 64; ttl 42"),
    case!(a_connected_socket_keeps_its_options, "nodelay true; linger Some(3s)").far(),
    case!(accepted_streams_inherit_options, "nodelay true; linger Some(3s); ttl 42"),
    case!(no_error_to_take, "socket none; near none; far none").far(),
    case!(a_stream_goes_to_std_and_back, "same true; read \"before after\"; read \"\"").far(),
    case!(a_listener_goes_to_std_and_back, "same true; accept true; then pending").far(),
    case!(a_socket_of_socket2_connects, "nodelay true; read \"x\"").far(),
    case!(a_socket_of_socket2_listens, "read \"x\""),
    case!(options_by_descriptor, "keepalive true; nodelay true").far(),
    case!(a_socket_without_device, "device None"),
    case!(ttl_out_of_range, "ttl EINVAL; ttl EINVAL"),
    case!(zero_linger_reads_back, "linger Some(0ns)").far(),
    case!(quickack_can_be_set, "set ok; set ok; quickack true").far(),
    case!(a_socket_of_socket2_binds_first, "local true").far(),
];

async fn flags_of_a_socket(at: At) -> Out {
    let socket = TcpSocket::new_v4()?;
    let read = || [socket.keepalive(), socket.reuseaddr(), socket.reuseport(), socket.nodelay()].into_iter().collect();
    let all: std::io::Result<Vec<bool>> = read();
    at.see("default", all);
    for is_on in [true, false] {
        socket.set_keepalive(is_on)?;
        socket.set_reuseaddr(is_on)?;
        socket.set_reuseport(is_on)?;
        socket.set_nodelay(is_on)?;
        at.see("then", read());
    }
    Ok(())
}

async fn linger_of_a_socket(at: At) -> Out {
    let socket = TcpSocket::new_v4()?;
    at.see("default", socket.linger()?);
    for linger in [Some(Duration::from_secs(7)), Some(Duration::ZERO), None] {
        socket.set_linger(linger)?;
        at.see("then", socket.linger()?);
    }
    Ok(())
}

async fn linger_of_a_stream(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    for linger in [Some(Duration::from_secs(7)), Some(Duration::from_millis(1500)), None] {
        near.set_linger(linger)?;
        at.see("linger", near.linger()?);
    }
    Ok(())
}

async fn service_types(at: At) -> Out {
    let socket = TcpSocket::new_v4()?;
    socket.set_tos_v4(0x10)?;
    at.see("tos", socket.tos_v4());
    let socket = TcpSocket::new_v6()?;
    socket.set_tclass_v6(0x20)?;
    at.see("class", socket.tclass_v6());
    Ok(())
}

/// Linux doubles the sizes that are set.
async fn buffer_sizes_at_least(at: At) -> Out {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(32 * 1024)?;
    socket.set_recv_buffer_size(16 * 1024)?;
    at.see("send", socket.send_buffer_size()? >= 32 * 1024);
    at.see("receive", socket.recv_buffer_size()? >= 16 * 1024);
    Ok(())
}

async fn options_of_a_stream(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    at.see("nodelay", near.nodelay());
    near.set_nodelay(true)?;
    at.see("nodelay", near.nodelay());
    near.set_ttl(33)?;
    at.see("ttl", near.ttl());
    Ok(())
}

async fn options_of_a_listener(at: At) -> Out {
    let listener = at.listener().await?;
    at.see("ttl", listener.ttl());
    listener.set_ttl(42)?;
    at.see("ttl", listener.ttl());
    Ok(())
}

async fn a_connected_socket_keeps_its_options(at: At) -> Out {
    let listener = at.listener().await?;
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.set_linger(Some(Duration::from_secs(3)))?;
    let stream = socket.connect(listener.local_addr()?).await?;
    at.see("nodelay", stream.nodelay());
    at.see("linger", stream.linger()?);
    Ok(())
}

async fn accepted_streams_inherit_options(at: At) -> Out {
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    socket.set_linger(Some(Duration::from_secs(3)))?;
    socket.bind(SocketAddr::new(at.near, 0))?;
    let listener = socket.listen(4)?;
    listener.set_ttl(42)?;
    let _client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    at.see("nodelay", server.nodelay());
    at.see("linger", server.linger()?);
    at.see("ttl", server.ttl());
    Ok(())
}

async fn no_error_to_take(at: At) -> Out {
    let (near, far) = at.streams().await?;
    at.see("socket", TcpSocket::new_v4()?.take_error()?);
    at.see("near", near.take_error()?);
    at.see("far", far.take_error()?);
    Ok(())
}

async fn a_stream_goes_to_std_and_back(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let (local, peer) = (near.local_addr()?, near.peer_addr()?);
    near.write_all(b"before ").await?;
    let mut near = TcpStream::from_std(near.into_std()?)?;
    at.see("same", near.local_addr()? == local && near.peer_addr()? == peer);
    near.write_all(b"after").await?;
    drop(near);
    at.see("read", exactly(&mut far, 12).await);
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_listener_goes_to_std_and_back(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let client = TcpStream::connect(address).await?;
    let listener = TcpListener::from_std(listener.into_std()?)?;
    at.see("same", listener.local_addr()? == address);
    at.see("accept", listener.accept().await?.1 == client.local_addr()?);
    at.see("then", once(async { listener.accept().await.map(drop) }));
    Ok(())
}

fn socket2_stream() -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// As clients of HTTP do it.
async fn a_socket_of_socket2_connects(at: At) -> Out {
    let listener = at.listener().await?;
    let socket = socket2_stream()?;
    socket.set_tcp_nodelay(true)?;
    let mut client = TcpSocket::from_std_stream(socket.into()).connect(listener.local_addr()?).await?;
    at.see("nodelay", client.nodelay());
    client.write_all(b"x").await?;
    at.see("read", read(&mut listener.accept().await?.0, 8).await);
    Ok(())
}

async fn a_socket_of_socket2_binds_first(at: At) -> Out {
    let listener = at.listener().await?;
    let socket = TcpSocket::from_std_stream(socket2_stream()?.into());
    socket.bind(SocketAddr::new(at.near, 0))?;
    let bound = socket.local_addr()?;
    let client = socket.connect(listener.local_addr()?).await?;
    at.see("local", client.local_addr()? == bound);
    Ok(())
}

async fn a_socket_of_socket2_listens(at: At) -> Out {
    let socket = TcpSocket::from_std_stream(socket2_stream()?.into());
    socket.bind(SocketAddr::new(at.near, 0))?;
    let listener = socket.listen(8)?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    client.write_all(b"x").await?;
    at.see("read", read(&mut listener.accept().await?.0, 8).await);
    Ok(())
}

async fn options_by_descriptor(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    let socket = socket2::SockRef::from(&near);
    socket.set_keepalive(true)?;
    at.see("keepalive", socket.keepalive());
    socket.set_tcp_nodelay(true)?;
    at.see("nodelay", near.nodelay());
    near.as_fd().try_clone_to_owned()?;
    Ok(())
}

async fn a_socket_without_device(at: At) -> Out {
    at.see("device", Word(format!("{:?}", TcpSocket::new_v4()?.device()?)));
    Ok(())
}

async fn ttl_out_of_range(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    at.see("ttl", near.set_ttl(256));
    at.see("ttl", near.set_ttl(0));
    Ok(())
}

async fn zero_linger_reads_back(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    near.set_zero_linger()?;
    at.see("linger", near.linger()?);
    Ok(())
}

async fn quickack_can_be_set(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    at.see("set", near.set_quickack(false));
    at.see("set", near.set_quickack(true));
    at.see("quickack", near.quickack());
    Ok(())
}

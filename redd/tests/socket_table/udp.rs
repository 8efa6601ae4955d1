//! UDP.

use crate::at::{At, Out, once, pattern, soon, text};
use crate::show::Word;
use crate::table::{Case, case};
use redd::io::{Interest, ReadBuf};
use redd::net::UdpSocket;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

pub(crate) const CASES: &[Case] = &[
    case!(a_datagram_has_its_sender, "send 3; receive \"one\"; sender true; back 3; receive \"two\"").far(),
    case!(an_empty_datagram_is_one, "send 0; receive 0; send 0; receive 0").far(),
    case!(an_empty_datagram_is_not_nothing, "try WouldBlock; try 0; try WouldBlock").far(),
    case!(the_rest_of_a_datagram_is_lost, "receive 2; bytes \"ab\"; receive 2; bytes \"ne\"").far(),
    case!(the_rest_is_lost_in_every_way_to_receive, "from 2; try 2; buf 3; buf from 1; poll \"4a\"; all \"2ab3\"; then WouldBlock").far(),
    case!(an_empty_buffer_takes_a_datagram, "receive 0; receive \"next\"").far(),
    case!(datagrams_have_borders, "receive \"a\"; receive \"bc\"; receive \"def\"").far(),
    case!(peeks_take_nothing, "peek 4; from 4 true; sender true; try 4; try from 4; try sender true; poll sender true; polls \"peekpeek\"; its sender true; receive \"peek\"; try WouldBlock").far(),
    case!(a_peek_into_a_small_buffer, "peek 2; bytes \"ab\"; receive \"abcdef\"").far(),
    case!(nothing_to_receive_would_block, "try WouldBlock; try WouldBlock; peek WouldBlock; wait pending").far(),
    case!(connected_sockets_talk, "peer true; send 4; receive \"ping\"; send 4; receive \"pong\"; sender true").far(),
    case!(a_connected_socket_hears_its_peer_only, "send 5; receive \"signal\"; then WouldBlock").far(),
    case!(datagrams_from_before_the_connect_stay, "receive \"early\"").far(),
    case!(an_unconnected_socket_needs_a_target, "send EDESTADDRREQ; try EDESTADDRREQ; peer ENOTCONN; no target InvalidInput").far(),
    case!(a_connected_socket_sends_elsewhere, "send 1; receive \"x\"").far(),
    case!(a_second_connect_changes_the_peer, "connect ok; peer true; receive \"x\"").far(),
    case!(a_closed_port_is_reported_to_recv, "send 1; receive ECONNREFUSED; then WouldBlock").far(),
    case!(a_closed_port_is_reported_to_send, "send 1; send ECONNREFUSED; send 1").far(),
    case!(a_closed_port_is_reported_to_take_error, "error ECONNREFUSED; error none; receive WouldBlock").far(),
    case!(a_closed_port_makes_readable, "try WouldBlock; flags R; try ECONNREFUSED").far(),
    case!(an_unconnected_socket_hears_of_no_closed_port, "send 1; send 1; receive WouldBlock; error none").far(),
    case!(sizes_up_to_the_limit, "send 1472; receive 1472; same true; send 9000; receive 9000; same true; send 65507; receive 65507; same true; send EMSGSIZE; send to EMSGSIZE; try EMSGSIZE").far(),
    case!(a_hundred_arrive_in_order, "in order 100"),
    case!(a_full_queue_loses_the_newest, "sent 3000; some true; the oldest true; receive \"after\"").far(),
    case!(broadcast_needs_its_option, "send EACCES; option false; option true"),
    case!(options_read_back, "ttl 64; ttl 9; tos 16; device None"),
    case!(multicast_options, "loop true; loop false; ttl 1; ttl 3; leave EADDRNOTAVAIL"),
    case!(udp_addresses_in_use, "bind EADDRINUSE"),
    case!(a_foreign_udp_address, "bind EADDRNOTAVAIL"),
    case!(udp_port_zero, "send EINVAL; connect ok; peer ENOTCONN; send 1"),
    case!(tcp_and_udp_ports_differ, "bind ok"),
    case!(the_address_of_a_dropped_socket_is_free, "bind ok"),
    case!(a_wildcard_socket_receives, "address 0.0.0.0; sender true; sender true").far(),
    case!(a_connected_wildcard_socket_has_an_address, "address true").far(),
    case!(an_unbound_port_is_chosen, "zeroes 0"),
    case!(a_socket_sends_to_itself, "send 2; receive \"me\"; receive \"again\""),
    case!(v6_datagrams, "send 3; receive \"six\"; sender true"),
    case!(a_v6_target_for_v4, "send EAFNOSUPPORT; connect EAFNOSUPPORT"),
    case!(a_v4_target_for_v6, "send ENETUNREACH"),
    case!(received_bytes_are_appended, "receive 3; from 3; try 5; try from 4; all \"<onetwothreefour\"").far(),
    case!(polls_send_and_receive, "send 5; ready ok; ready ok; sender true; bytes \"hello\"; send 3; bytes \"abc\"").far(),
    case!(tries_send_and_receive, "send 3; receive [true, true]; send 4; receive 4").far(),
    case!(udp_flags, "empty WouldBlock; flags W; flags R+W").far(),
    case!(a_dropped_receive_loses_nothing, "receive pending; receive \"x\"").far(),
    case!(a_receive_times_out, "receive elapsed; receive \"late\"").far(),
    case!(the_first_of_several_targets, "send 1; receive \"x\"; other WouldBlock").far(),
    case!(a_target_by_name, "send 1; receive \"x\""),
    case!(four_tasks_serve_one_socket, "receive \"ping\"; receive \"ping\"; receive \"ping\"; receive \"ping\"; served 4; served 4; served 4; served 4").far(),
    case!(a_udp_socket_goes_to_std_and_back, "same true; peer true; receive \"before\"; receive \"after\"").far(),
    case!(datagrams_outlive_their_sender, "receive \"x\"").far(),
    case!(a_wildcard_bind_conflicts, "bind EADDRINUSE"),
    case!(a_fresh_socket_can_be_tried_at_once, "send 3; receive 3; then WouldBlock"),
    case!(no_udp_error_to_take, "near none; far none").far(),
];

/// One datagram into 64 bytes, as text.
async fn recv(socket: &UdpSocket) -> io::Result<String> {
    let mut buf = [0; 64];
    let len = socket.recv(&mut buf).await?;
    Ok(text(&buf[..len]))
}

async fn a_datagram_has_its_sender(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.send_to(b"one", far.local_addr()?).await);
    let mut buf = [0; 8];
    let (len, sender) = far.recv_from(&mut buf).await?;
    at.see("receive", text(&buf[..len]));
    at.see("sender", sender == near.local_addr()?);
    at.see("back", far.send_to(b"two", sender).await);
    at.see("receive", recv(&near).await);
    Ok(())
}

async fn an_empty_datagram_is_one(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.send_to(b"", far.local_addr()?).await);
    at.see("receive", far.recv_from(&mut [0; 8]).await.map(|(len, _)| len));
    near.connect(far.local_addr()?).await?;
    at.see("send", near.send(b"").await);
    at.see("receive", far.recv(&mut [0; 8]).await);
    Ok(())
}

async fn an_empty_datagram_is_not_nothing(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    at.see("try", far.try_recv(&mut [0; 8]));
    near.send(b"").await?;
    at.see("try", at.retry(|| far.try_recv(&mut [0; 8])).await);
    at.see("try", far.try_recv(&mut [0; 8]));
    Ok(())
}

async fn the_rest_of_a_datagram_is_lost(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    near.send(b"abcdef").await?;
    at.rest().await;
    near.send(b"next").await?;
    let mut buf = [0; 2];
    for _ in 0..2 {
        at.see("receive", far.recv(&mut buf).await);
        at.see("bytes", text(&buf));
    }
    Ok(())
}

async fn the_rest_is_lost_in_every_way_to_receive(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    for number in 0..5 {
        near.send(format!("{number}abcdef").as_bytes()).await?;
        at.rest().await;
    }
    let mut buf = [0; 2];
    at.see("from", far.recv_from(&mut buf).await.map(|(len, _)| len));
    at.see("try", far.try_recv(&mut buf));
    let mut all = Vec::new();
    at.see("buf", far.recv_buf(&mut bytes::BufMut::limit(&mut all, 3)).await);
    at.see("buf from", far.recv_buf_from(&mut bytes::BufMut::limit(&mut all, 1)).await.map(|(len, _)| len));
    let mut read_buf = ReadBuf::new(&mut buf);
    poll_fn(|cx| far.poll_recv(cx, &mut read_buf)).await?;
    at.see("poll", text(read_buf.filled()));
    at.see("all", text(&all));
    at.see("then", far.try_recv(&mut buf));
    Ok(())
}

async fn an_empty_buffer_takes_a_datagram(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    near.send(b"lost").await?;
    at.rest().await;
    near.send(b"next").await?;
    at.see("receive", far.recv(&mut []).await);
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn datagrams_have_borders(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    for datagram in ["a", "bc", "def"] {
        near.send(datagram.as_bytes()).await?;
        at.rest().await;
    }
    for _ in 0..3 {
        at.see("receive", recv(&far).await);
    }
    Ok(())
}

async fn peeks_take_nothing(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    let sender = near.local_addr()?;
    near.send(b"peek").await?;
    let mut buf = [0; 8];
    at.see("peek", far.peek(&mut buf).await);
    at.see("from", far.peek_from(&mut buf).await.map(|(len, from)| Word(format!("{len} {}", from == sender))));
    at.see("sender", far.peek_sender().await? == sender);
    at.see("try", far.try_peek(&mut buf));
    at.see("try from", far.try_peek_from(&mut buf).map(|(len, _)| len));
    at.see("try sender", far.try_peek_sender()? == sender);
    let mut read_buf = ReadBuf::new(&mut buf);
    poll_fn(|cx| far.poll_peek(cx, &mut read_buf)).await?;
    at.see("poll sender", poll_fn(|cx| far.poll_peek_from(cx, &mut read_buf)).await? == sender);
    at.see("polls", text(read_buf.filled()));
    at.see("its sender", poll_fn(|cx| far.poll_peek_sender(cx)).await? == sender);
    at.see("receive", recv(&far).await);
    at.see("try", far.try_peek(&mut buf));
    Ok(())
}

async fn a_peek_into_a_small_buffer(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    near.send(b"abcdef").await?;
    let mut buf = [0; 2];
    at.see("peek", far.peek(&mut buf).await);
    at.see("bytes", text(&buf));
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn nothing_to_receive_would_block(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    at.see("try", far.try_recv(&mut [0; 8]));
    at.see("try", far.try_recv_from(&mut [0; 8]).map(|(len, _)| len));
    at.see("peek", far.try_peek(&mut [0; 8]));
    at.see("wait", once(near.recv(&mut [0; 8])));
    Ok(())
}

async fn connected_sockets_talk(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    at.see("peer", near.peer_addr()? == far.local_addr()?);
    at.see("send", near.send(b"ping").await);
    at.see("receive", recv(&far).await);
    at.see("send", far.send(b"pong").await);
    let mut buf = [0; 8];
    let (len, sender) = near.recv_from(&mut buf).await?;
    at.see("receive", text(&buf[..len]));
    at.see("sender", sender == far.local_addr()?);
    Ok(())
}

async fn a_connected_socket_hears_its_peer_only(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    let stranger = UdpSocket::bind((at.near, 0)).await?;
    at.see("send", stranger.send_to(b"noise", far.local_addr()?).await);
    at.rest().await;
    near.send(b"signal").await?;
    at.see("receive", recv(&far).await);
    at.see("then", far.try_recv(&mut [0; 8]));
    Ok(())
}

async fn datagrams_from_before_the_connect_stay(at: At) -> Out {
    let (near, far) = at.udp().await?;
    let stranger = UdpSocket::bind((at.near, 0)).await?;
    stranger.send_to(b"early", far.local_addr()?).await?;
    at.rest().await;
    far.connect(near.local_addr()?).await?;
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn an_unconnected_socket_needs_a_target(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("send", near.send(b"x").await);
    at.see("try", near.try_send(b"x"));
    at.see("peer", near.peer_addr().map(drop));
    let none: &[SocketAddr] = &[];
    at.see("no target", near.send_to(b"x", none).await);
    Ok(())
}

async fn a_connected_socket_sends_elsewhere(at: At) -> Out {
    let (near, _far) = at.udp_pair().await?;
    let other = at.far(UdpSocket::bind((at.far, 0))).await?;
    at.see("send", near.send_to(b"x", other.local_addr()?).await);
    at.see("receive", recv(&other).await);
    Ok(())
}

async fn a_second_connect_changes_the_peer(at: At) -> Out {
    let (near, _far) = at.udp_pair().await?;
    let other = at.far(UdpSocket::bind((at.far, 0))).await?;
    at.see("connect", near.connect(other.local_addr()?).await);
    at.see("peer", near.peer_addr()? == other.local_addr()?);
    near.send(b"x").await?;
    at.see("receive", recv(&other).await);
    Ok(())
}

/// A socket that is connected to a port of the far side from which nothing can be received: the socket there is connected elsewhere, so
/// the port stays taken. The second value keeps it.
async fn to_closed_port(at: &At) -> io::Result<(UdpSocket, UdpSocket)> {
    let (near, far) = at.udp().await?;
    far.connect((at.far, 9)).await?;
    near.connect((at.far, far.local_addr()?.port())).await?;
    Ok((near, far))
}

async fn a_closed_port_is_reported_to_recv(at: At) -> Out {
    let (near, _taken) = to_closed_port(&at).await?;
    at.see("send", near.send(b"x").await);
    at.see("receive", recv(&near).await);
    at.see("then", near.try_recv(&mut [0; 8]));
    Ok(())
}

async fn a_closed_port_is_reported_to_send(at: At) -> Out {
    let (near, _taken) = to_closed_port(&at).await?;
    at.see("send", near.send(b"x").await);
    at.rest().await;
    at.see("send", near.send(b"x").await);
    at.see("send", near.send(b"x").await);
    Ok(())
}

async fn a_closed_port_is_reported_to_take_error(at: At) -> Out {
    let (near, _taken) = to_closed_port(&at).await?;
    near.send(b"x").await?;
    at.rest().await;
    at.see("error", near.take_error()?);
    at.see("error", near.take_error()?);
    at.see("receive", near.try_recv(&mut [0; 8]));
    Ok(())
}

async fn a_closed_port_makes_readable(at: At) -> Out {
    let (near, _taken) = to_closed_port(&at).await?;
    at.see("try", near.try_recv(&mut [0; 8]));
    near.send(b"x").await?;
    at.see("flags", near.ready(Interest::READABLE).await);
    at.see("try", near.try_recv(&mut [0; 8]));
    Ok(())
}

async fn an_unconnected_socket_hears_of_no_closed_port(at: At) -> Out {
    let (near, taken) = at.udp().await?;
    taken.connect((at.far, 9)).await?;
    let target = SocketAddr::new(at.far, taken.local_addr()?.port());
    for _ in 0..2 {
        at.see("send", near.send_to(b"x", target).await);
        at.rest().await;
    }
    at.see("receive", near.try_recv(&mut [0; 8]));
    at.see("error", near.take_error()?);
    Ok(())
}

async fn sizes_up_to_the_limit(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    for len in [1472, 9000, 65507] {
        at.see("send", near.send(&pattern(len)).await);
        let mut buf = vec![0; 70_000];
        let len = far.recv(&mut buf).await?;
        at.see("receive", len);
        at.see("same", buf[..len] == pattern(len));
    }
    at.see("send", near.send(&pattern(65508)).await);
    at.see("send to", near.send_to(&pattern(70_000), far.local_addr()?).await);
    at.see("try", near.try_send(&pattern(65508)));
    Ok(())
}

/// On loopback. Datagrams between hosts may overtake each other.
async fn a_hundred_arrive_in_order(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    for number in 0..100_u8 {
        near.send(&[number]).await?;
    }
    let mut in_order = 0;
    for number in 0..100 {
        let mut buf = [0; 8];
        in_order += usize::from(far.recv(&mut buf).await? == 1 && buf[0] == number);
    }
    at.see("in order", in_order);
    Ok(())
}

/// How many there is room for depends on the system.
async fn a_full_queue_loses_the_newest(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    let mut sent = 0;
    for number in 0..3000_u32 {
        let mut datagram = vec![0; 1000];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        sent += usize::from(near.send(&datagram).await.is_ok());
        if number % 20 == 0 && at.is_world {
            at.rest().await; // So that they do not overtake each other.
        }
    }
    at.rest().await;
    let mut received = Vec::new();
    let mut buf = [0; 1000];
    while far.try_recv(&mut buf).is_ok() {
        received.push(u32::from_be_bytes(buf[..4].try_into().expect("4 bytes")));
    }
    received.sort_unstable();
    at.see("sent", sent);
    at.see("some", (10..3000).contains(&received.len()));
    at.see("the oldest", received.last().is_some_and(|last| *last as usize <= received.len() + 20));
    near.send(b"after").await?;
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn broadcast_needs_its_option(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.send_to(b"x", (Ipv4Addr::BROADCAST, far.local_addr()?.port())).await);
    at.see("option", near.broadcast());
    near.set_broadcast(true)?;
    at.see("option", near.broadcast());
    Ok(())
}

async fn options_read_back(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("ttl", near.ttl());
    near.set_ttl(9)?;
    at.see("ttl", near.ttl());
    near.set_tos_v4(0x10)?;
    at.see("tos", near.tos_v4());
    at.see("device", Word(format!("{:?}", near.device()?)));
    Ok(())
}

async fn multicast_options(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("loop", near.multicast_loop_v4());
    near.set_multicast_loop_v4(false)?;
    at.see("loop", near.multicast_loop_v4());
    at.see("ttl", near.multicast_ttl_v4());
    near.set_multicast_ttl_v4(3)?;
    at.see("ttl", near.multicast_ttl_v4());
    at.see("leave", near.leave_multicast_v4(Ipv4Addr::new(239, 1, 2, 3), Ipv4Addr::UNSPECIFIED));
    Ok(())
}

async fn udp_addresses_in_use(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("bind", UdpSocket::bind(near.local_addr()?).await.map(drop));
    Ok(())
}

async fn a_wildcard_bind_conflicts(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("bind", UdpSocket::bind((Ipv4Addr::UNSPECIFIED, near.local_addr()?.port())).await.map(drop));
    Ok(())
}

/// An address of TEST-NET-3, which no host has.
async fn a_foreign_udp_address(at: At) -> Out {
    at.see("bind", UdpSocket::bind("203.0.113.1:0").await.map(drop));
    Ok(())
}

async fn udp_port_zero(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("send", near.send_to(b"x", (at.far, 0)).await);
    at.see("connect", near.connect((at.far, 0)).await);
    at.see("peer", near.peer_addr().map(drop));
    at.see("send", near.send(b"x").await);
    Ok(())
}

/// Some other program may have the port, so several are tried.
async fn tcp_and_udp_ports_differ(at: At) -> Out {
    let mut tries = 0;
    let bound = loop {
        tries += 1;
        let listener = at.listener().await?;
        let bound = UdpSocket::bind(listener.local_addr()?).await.map(drop);
        if bound.is_ok() || tries > 10 {
            break bound;
        }
    };
    at.see("bind", bound);
    Ok(())
}

async fn the_address_of_a_dropped_socket_is_free(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    let address = near.local_addr()?;
    drop(near);
    at.see("bind", UdpSocket::bind(address).await.map(drop));
    Ok(())
}

async fn a_wildcard_socket_receives(at: At) -> Out {
    let far = at.far(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).await?;
    let (near, _far) = at.udp().await?;
    at.see("address", Word(far.local_addr()?.ip()));
    near.send_to(b"x", (at.far, far.local_addr()?.port())).await?;
    let mut buf = [0; 8];
    let (_, sender) = far.recv_from(&mut buf).await?;
    at.see("sender", sender == near.local_addr()?);
    far.send_to(b"y", sender).await?;
    let (_, sender) = near.recv_from(&mut buf).await?;
    at.see("sender", sender == SocketAddr::new(at.far, far.local_addr()?.port()));
    Ok(())
}

async fn a_connected_wildcard_socket_has_an_address(at: At) -> Out {
    let near = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    let (_near, far) = at.udp().await?;
    let port = near.local_addr()?.port();
    near.connect(far.local_addr()?).await?;
    at.see("address", near.local_addr()? == SocketAddr::new(at.near, port));
    Ok(())
}

async fn an_unbound_port_is_chosen(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("zeroes", [near, far].iter().filter(|socket| socket.local_addr().is_ok_and(|at| at.port() == 0)).count());
    Ok(())
}

async fn a_socket_sends_to_itself(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("send", near.send_to(b"me", near.local_addr()?).await);
    at.see("receive", recv(&near).await);
    near.connect(near.local_addr()?).await?;
    near.send(b"again").await?;
    at.see("receive", recv(&near).await);
    Ok(())
}

async fn v6_datagrams(at: At) -> Out {
    let (left, right) =
        (UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await?, UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await?);
    at.see("send", left.send_to(b"six", right.local_addr()?).await);
    let mut buf = [0; 8];
    let (len, sender) = right.recv_from(&mut buf).await?;
    at.see("receive", text(&buf[..len]));
    at.see("sender", sender == left.local_addr()?);
    Ok(())
}

async fn a_v6_target_for_v4(at: At) -> Out {
    let (near, _far) = at.udp().await?;
    at.see("send", near.send_to(b"x", (Ipv6Addr::LOCALHOST, 9)).await);
    at.see("connect", near.connect((Ipv6Addr::LOCALHOST, 9)).await);
    Ok(())
}

async fn a_v4_target_for_v6(at: At) -> Out {
    let bound = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await?;
    at.see("send", bound.send_to(b"x", (Ipv4Addr::LOCALHOST, 9)).await);
    Ok(())
}

async fn received_bytes_are_appended(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    let mut all = b"<".to_vec();
    near.send(b"one").await?;
    at.see("receive", far.recv_buf(&mut all).await);
    near.send(b"two").await?;
    at.see("from", far.recv_buf_from(&mut all).await.map(|(len, _)| len));
    near.send(b"three").await?;
    at.see("try", at.retry(|| far.try_recv_buf(&mut all)).await);
    near.send(b"four").await?;
    at.see("try from", at.retry(|| far.try_recv_buf_from(&mut all)).await.map(|(len, _)| len));
    at.see("all", text(&all));
    Ok(())
}

async fn polls_send_and_receive(at: At) -> Out {
    let (near, far) = at.udp().await?;
    let target = far.local_addr()?;
    at.see("send", poll_fn(|cx| near.poll_send_to(cx, b"hello", target)).await);
    at.see("ready", poll_fn(|cx| far.poll_recv_ready(cx)).await);
    at.see("ready", poll_fn(|cx| near.poll_send_ready(cx)).await);
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    at.see("sender", poll_fn(|cx| far.poll_recv_from(cx, &mut buf)).await? == near.local_addr()?);
    at.see("bytes", text(buf.filled()));
    near.connect(target).await?;
    at.see("send", poll_fn(|cx| near.poll_send(cx, b"abc")).await);
    buf.clear();
    poll_fn(|cx| far.poll_recv(cx, &mut buf)).await?;
    at.see("bytes", text(buf.filled()));
    Ok(())
}

async fn tries_send_and_receive(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.try_send_to(b"one", far.local_addr()?));
    let received = at.retry(|| far.try_recv_from(&mut [0; 8])).await;
    at.see("receive", received.map(|(len, sender)| vec![len == 3, near.local_addr().is_ok_and(|near| near == sender)]));
    near.connect(far.local_addr()?).await?;
    at.see("send", near.try_send(b"two!"));
    at.see("receive", at.retry(|| far.try_recv(&mut [0; 8])).await);
    Ok(())
}

async fn udp_flags(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    far.writable().await?;
    at.see("empty", far.try_recv(&mut [0; 8]));
    at.see("flags", far.ready(Interest::READABLE | Interest::WRITABLE).await);
    near.send(b"x").await?;
    far.readable().await?;
    at.see("flags", far.ready(Interest::READABLE | Interest::WRITABLE).await);
    Ok(())
}

async fn a_dropped_receive_loses_nothing(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    at.see("receive", once(far.recv(&mut [0; 8])));
    near.send(b"x").await?;
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn a_receive_times_out(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    at.see("receive", soon(far.recv(&mut [0; 8])).await);
    near.send(b"late").await?;
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn the_first_of_several_targets(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.send_to(b"x", &[far.local_addr()?, near.local_addr()?][..]).await);
    at.see("receive", recv(&far).await);
    at.see("other", near.try_recv(&mut [0; 8]));
    Ok(())
}

async fn a_target_by_name(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.send_to(b"x", format!("localhost:{}", far.local_addr()?.port())).await);
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn four_tasks_serve_one_socket(at: At) -> Out {
    let (near, far) = at.udp().await?;
    let (target, far) = (far.local_addr()?, Arc::new(far));
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let far = Arc::clone(&far);
            redd::spawn(async move {
                let mut buf = [0; 8];
                let (len, peer) = far.recv_from(&mut buf).await?;
                far.send_to(&buf[..len], peer).await
            })
        })
        .collect();
    for _ in 0..4 {
        near.send_to(b"ping", target).await?;
        at.see("receive", recv(&near).await);
    }
    for task in tasks {
        at.see("served", task.await.expect("no panic"));
    }
    Ok(())
}

async fn a_udp_socket_goes_to_std_and_back(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    let address = far.local_addr()?;
    near.send(b"before").await?;
    at.rest().await;
    let far = UdpSocket::from_std(far.into_std()?)?;
    at.see("same", far.local_addr()? == address);
    at.see("peer", far.peer_addr()? == near.local_addr()?);
    near.send(b"after").await?;
    at.see("receive", recv(&far).await);
    at.see("receive", recv(&far).await);
    Ok(())
}

async fn datagrams_outlive_their_sender(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    near.send(b"x").await?;
    drop(near);
    at.see("receive", recv(&far).await);
    Ok(())
}

/// Before the first event. On loopback a datagram is there when it has been sent.
async fn a_fresh_socket_can_be_tried_at_once(at: At) -> Out {
    let (near, far) = at.udp().await?;
    at.see("send", near.try_send_to(b"one", far.local_addr()?));
    at.see("receive", far.try_recv_from(&mut [0; 8]).map(|(len, _)| len));
    at.see("then", far.try_recv_from(&mut [0; 8]).map(|(len, _)| len));
    Ok(())
}

async fn no_udp_error_to_take(at: At) -> Out {
    let (near, far) = at.udp_pair().await?;
    at.see("near", near.take_error()?);
    at.see("far", far.take_error()?);
    Ok(())
}

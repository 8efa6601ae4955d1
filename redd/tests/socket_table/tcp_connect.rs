//! TCP: binding, connecting, accepting.

use crate::at::{At, Out, exactly, once, read, rest_of, soon};
use crate::show::Word;
use crate::table::{Case, case};
use redd::io::AsyncWriteExt;
use redd::net::{TcpListener, TcpSocket, TcpStream};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

pub(crate) const CASES: &[Case] = &[
    case!(both_ends_know_the_addresses, "client true; server true; accept true").far(),
    case!(a_connection_needs_no_accept, "write 4; read \"ping\"").far(),
    case!(no_listener_refuses, "connect ECONNREFUSED").far(),
    case!(port_zero_refuses, "connect ECONNREFUSED").far(),
    case!(the_next_address_is_tried, "peer true").far(),
    case!(the_last_error_of_several_addresses, "connect ECONNREFUSED").far(),
    case!(no_address, "connect InvalidInput; bind InvalidInput"),
    case!(ports_are_chosen, "different 6; zeroes 0"),
    case!(clients_have_different_ports, "different 10").far(),
    case!(a_client_binds_its_port, "peer true; local true").far(),
    case!(a_listening_address_is_in_use, "bind EADDRINUSE"),
    case!(the_address_of_a_dropped_listener_is_free, "bind ok"),
    case!(the_address_is_free_beside_old_connections, "bind ok"),
    case!(a_wildcard_listener_has_all_addresses, "bind EADDRINUSE"),
    case!(addresses_of_loopback_have_their_own_ports, "bind ok"),
    case!(a_bound_address_is_in_use, "bind EADDRINUSE"),
    case!(two_sockets_share_an_address_until_one_listens, "bind ok; listen ok; listen EADDRINUSE"),
    case!(a_port_of_a_connection_is_in_use, "bind EADDRINUSE"),
    case!(a_foreign_address, "bind EADDRNOTAVAIL; listener EADDRNOTAVAIL"),
    case!(binding_to_the_other_family, "v4 EAFNOSUPPORT; v6 EINVAL"),
    case!(connecting_to_the_other_family, "v4 EAFNOSUPPORT; v6 EINVAL"),
    case!(bound_twice, "bind ok; bind EINVAL"),
    case!(a_full_backlog, "third elapsed; accept true; accept true").far(),
    case!(the_accept_order, "first true; second true; third true").far(),
    case!(each_accept_gets_one, "peers true; more pending").far(),
    case!(a_client_that_left_before_the_accept, "read \"x\"; read \"\""),
    case!(a_client_that_reset_before_the_accept, "accept ok; read ECONNRESET; read \"\"; peer ENOTCONN").far(),
    case!(a_listener_with_waiting_connections_is_dropped, "read ECONNRESET; connect ECONNREFUSED").far(),
    case!(an_accepted_connection_outlives_its_listener, "connect ECONNREFUSED; read \"on\"").far(),
    case!(the_unspecified_address_is_this_host, "peer 127.0.0.1; accept true; read \"x\""),
    case!(v6_loopback, "peer ::1; accept true; read \"x\""),
    case!(a_v6_wildcard_accepts_v4, "client 127.0.0.1; server ::ffff:127.0.0.1; accept ::ffff:127.0.0.1; read \"x\""),
    case!(an_unbound_socket_has_no_address, "v4 0.0.0.0:0; v6 [::]:0"),
    case!(a_wildcard_client_gets_an_address, "before true; after true").far(),
    case!(a_wildcard_listener_accepts_at_an_address, "listener true; stream true").far(),
    case!(listening_without_bind_takes_a_port, "port true; address 0.0.0.0; read \"x\""),
    case!(an_accept_waits, "accept pending; poll true").far(),
    case!(one_pair_of_addresses_has_one_connection, "bind ok; connect EADDRNOTAVAIL").far(),
    case!(a_backlog_of_zero_takes_one, "first ok; second elapsed").far(),
    case!(a_new_connection_is_writable, "writable ok; write 1; read \"x\"").far(),
    case!(connect_by_name, "peer true"),
    case!(a_dropped_connect_does_not_disturb_the_next_one, "accepted ok").far(),
    case!(reuse_port_shares_between_listeners, "bind ok; accepted 12"),
    case!(a_bound_socket_that_never_listened_releases_its_port, "bind ok"),
    case!(ten_clients_in_a_row_use_one_listener, "read \"0\"; read \"1\"; read \"2\"; read \"3\"; read \"4\"; read \"5\"; read \"6\"; read \"7\"; read \"8\"; read \"9\"").far(),
    case!(a_client_writes_before_the_listener_is_ready, "read \"early\"; read \"\"; read \"late\"").far(),
];

async fn both_ends_know_the_addresses(at: At) -> Out {
    let listener = at.listener().await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (server, peer) = listener.accept().await?;
    at.see("client", client.peer_addr()? == server.local_addr()?);
    at.see("server", server.peer_addr()? == client.local_addr()?);
    at.see("accept", peer == client.local_addr()?);
    Ok(())
}

async fn a_connection_needs_no_accept(at: At) -> Out {
    let listener = at.listener().await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    at.see("write", client.write(b"ping").await);
    let (mut server, _) = listener.accept().await?;
    at.see("read", read(&mut server, 8).await);
    Ok(())
}

async fn no_listener_refuses(at: At) -> Out {
    let (address, _bound) = at.deserted().await?;
    at.see("connect", TcpStream::connect(address).await.map(drop));
    Ok(())
}

async fn port_zero_refuses(at: At) -> Out {
    at.see("connect", TcpStream::connect((at.far, 0)).await.map(drop));
    Ok(())
}

async fn the_next_address_is_tried(at: At) -> Out {
    let (deserted, _bound) = at.deserted().await?;
    let listener = at.listener().await?;
    let addresses = [deserted, listener.local_addr()?];
    let client = TcpStream::connect(&addresses[..]).await?;
    at.see("peer", client.peer_addr()? == addresses[1]);
    Ok(())
}

async fn the_last_error_of_several_addresses(at: At) -> Out {
    let (deserted, _bound) = at.deserted().await?;
    at.see("connect", TcpStream::connect(&[deserted, deserted][..]).await.map(drop));
    Ok(())
}

async fn no_address(at: At) -> Out {
    let none: &[SocketAddr] = &[];
    at.see("connect", TcpStream::connect(none).await.map(drop));
    at.see("bind", TcpListener::bind(none).await.map(drop));
    Ok(())
}

async fn ports_are_chosen(at: At) -> Out {
    let mut ports = Vec::new();
    let mut listeners = Vec::new();
    for _ in 0..6 {
        let listener = at.listener().await?;
        ports.push(listener.local_addr()?.port());
        listeners.push(listener);
    }
    at.see("different", ports.iter().collect::<BTreeSet<_>>().len());
    at.see("zeroes", ports.iter().filter(|port| **port == 0).count());
    Ok(())
}

async fn clients_have_different_ports(at: At) -> Out {
    let listener = at.listener().await?;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(TcpStream::connect(listener.local_addr()?).await?);
    }
    let ports = clients.iter().map(|client| client.local_addr().map(|address| address.port()));
    at.see("different", ports.collect::<Result<BTreeSet<_>, _>>()?.len());
    Ok(())
}

async fn a_client_binds_its_port(at: At) -> Out {
    let listener = at.listener().await?;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(at.near, 0))?;
    let bound = socket.local_addr()?;
    let client = socket.connect(listener.local_addr()?).await?;
    let (_server, peer) = listener.accept().await?;
    at.see("peer", peer == bound);
    at.see("local", client.local_addr()? == bound);
    Ok(())
}

async fn a_listening_address_is_in_use(at: At) -> Out {
    let listener = at.listener().await?;
    at.see("bind", TcpListener::bind(listener.local_addr()?).await.map(drop));
    Ok(())
}

async fn the_address_of_a_dropped_listener_is_free(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    drop(listener);
    at.see("bind", TcpListener::bind(address).await.map(drop));
    Ok(())
}

async fn the_address_is_free_beside_old_connections(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let client = TcpStream::connect(address).await?;
    let (server, _) = listener.accept().await?;
    let _open = TcpStream::connect(address).await?;
    let _open_too = listener.accept().await?;
    // The server closes first, so its end stays in TIME_WAIT.
    drop(server);
    drop(client);
    drop(listener);
    at.see("bind", TcpListener::bind(address).await.map(drop));
    Ok(())
}

async fn a_wildcard_listener_has_all_addresses(at: At) -> Out {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let port = listener.local_addr()?.port();
    at.see("bind", TcpListener::bind((at.near, port)).await.map(drop));
    Ok(())
}

async fn addresses_of_loopback_have_their_own_ports(at: At) -> Out {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    at.see("bind", TcpListener::bind((Ipv4Addr::new(127, 8, 7, 6), port)).await.map(drop));
    Ok(())
}

fn bound(address: SocketAddr, reuses: bool) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(reuses)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn a_bound_address_is_in_use(at: At) -> Out {
    let first = bound(SocketAddr::new(at.near, 0), false)?;
    at.see("bind", bound(first.local_addr()?, false).map(drop));
    Ok(())
}

async fn two_sockets_share_an_address_until_one_listens(at: At) -> Out {
    let first = bound(SocketAddr::new(at.near, 0), true)?;
    let second = bound(first.local_addr()?, true);
    at.see("bind", second.as_ref().map(drop));
    let listener = first.listen(4);
    at.see("listen", listener.as_ref().map(drop));
    at.see("listen", second?.listen(4).map(drop));
    Ok(())
}

async fn a_port_of_a_connection_is_in_use(at: At) -> Out {
    let (near, _far) = at.streams().await?;
    at.see("bind", TcpListener::bind(near.local_addr()?).await.map(drop));
    Ok(())
}

/// An address of TEST-NET-3, which is no one's.
async fn a_foreign_address(at: At) -> Out {
    let address = SocketAddr::from(([203, 0, 113, 1], 0));
    at.see("bind", TcpSocket::new_v4()?.bind(address));
    at.see("listener", TcpListener::bind(address).await.map(drop));
    Ok(())
}

async fn binding_to_the_other_family(at: At) -> Out {
    at.see("v4", TcpSocket::new_v4()?.bind((Ipv6Addr::LOCALHOST, 0).into()));
    at.see("v6", TcpSocket::new_v6()?.bind((Ipv4Addr::LOCALHOST, 0).into()));
    Ok(())
}

async fn connecting_to_the_other_family(at: At) -> Out {
    at.see("v4", TcpSocket::new_v4()?.connect((Ipv6Addr::LOCALHOST, 9).into()).await.map(drop));
    at.see("v6", TcpSocket::new_v6()?.connect((Ipv4Addr::LOCALHOST, 9).into()).await.map(drop));
    Ok(())
}

async fn bound_twice(at: At) -> Out {
    let socket = TcpSocket::new_v4()?;
    for _ in 0..2 {
        at.see("bind", socket.bind(SocketAddr::new(at.near, 0)));
    }
    Ok(())
}

/// Linux accepts one connection more than the backlog says, and drops the first segment of the next one.
async fn a_full_backlog(at: At) -> Out {
    let listener = at.listener_with_backlog(1).await?;
    let address = listener.local_addr()?;
    let clients = [TcpStream::connect(address).await?, TcpStream::connect(address).await?];
    at.rest().await;
    at.see("third", soon(TcpStream::connect(address)).await.map(|connected| connected.map(drop)));
    for client in clients {
        at.see("accept", listener.accept().await?.1 == client.local_addr()?);
    }
    Ok(())
}

async fn the_accept_order(at: At) -> Out {
    let listener = at.listener().await?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(TcpStream::connect(listener.local_addr()?).await?);
        at.rest().await;
    }
    for (name, client) in ["first", "second", "third"].into_iter().zip(clients) {
        at.see(name, listener.accept().await?.1 == client.local_addr()?);
    }
    Ok(())
}

async fn each_accept_gets_one(at: At) -> Out {
    let listener = Arc::new(at.listener().await?);
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let listener = Arc::clone(&listener);
            redd::spawn(async move { listener.accept().await.map(|(_, peer)| peer) })
        })
        .collect();
    at.rest().await;
    let address = listener.local_addr()?;
    let clients = [TcpStream::connect(address).await?, TcpStream::connect(address).await?];
    let mut peers = BTreeSet::new();
    for task in tasks {
        peers.insert(task.await.expect("no panic")?);
    }
    at.see("peers", peers == clients.iter().map(TcpStream::local_addr).collect::<Result<_, _>>()?);
    at.see("more", once(async { listener.accept().await.map(drop) }));
    Ok(())
}

async fn a_client_that_left_before_the_accept(at: At) -> Out {
    let listener = at.listener().await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    client.write_all(b"x").await?;
    drop(client);
    let (mut server, _) = listener.accept().await?;
    at.see("read", read(&mut server, 8).await);
    at.see("read", read(&mut server, 8).await);
    Ok(())
}

async fn a_client_that_reset_before_the_accept(at: At) -> Out {
    let listener = at.listener().await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    at.rest().await;
    client.set_zero_linger()?;
    drop(client);
    at.rest().await;
    let (mut server, _) = listener.accept().await?;
    at.see("accept", ());
    at.see("read", read(&mut server, 8).await);
    at.see("read", read(&mut server, 8).await);
    at.see("peer", server.peer_addr().map(|_| ()));
    Ok(())
}

async fn a_listener_with_waiting_connections_is_dropped(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let mut client = TcpStream::connect(address).await?;
    at.rest().await;
    drop(listener);
    at.see("read", read(&mut client, 8).await);
    at.see("connect", TcpStream::connect(address).await.map(drop));
    Ok(())
}

async fn an_accepted_connection_outlives_its_listener(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let mut client = TcpStream::connect(address).await?;
    let (mut server, _) = listener.accept().await?;
    drop(listener);
    at.see("connect", TcpStream::connect(address).await.map(drop));
    server.write_all(b"on").await?;
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

/// A listener at `listen`, to which a client connects as `to`: the client, the server, and the peer that `accept` has returned.
async fn connect_across(listen: IpAddr, to: IpAddr) -> io::Result<(TcpStream, TcpStream, SocketAddr)> {
    let listener = TcpListener::bind((listen, 0)).await?;
    let client = TcpStream::connect((to, listener.local_addr()?.port())).await?;
    let (mut server, peer) = listener.accept().await?;
    server.write_all(b"x").await?;
    Ok((client, server, peer))
}

async fn the_unspecified_address_is_this_host(at: At) -> Out {
    let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (mut client, _server, peer) = connect_across(unspecified, unspecified).await?;
    at.see("peer", Word(client.peer_addr()?.ip()));
    at.see("accept", peer == client.local_addr()?);
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

async fn v6_loopback(at: At) -> Out {
    let loopback = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let (mut client, _server, peer) = connect_across(loopback, loopback).await?;
    at.see("peer", Word(client.peer_addr()?.ip()));
    at.see("accept", peer == client.local_addr()?);
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

async fn a_v6_wildcard_accepts_v4(at: At) -> Out {
    let (mut client, server, peer) = connect_across(Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()).await?;
    at.see("client", Word(client.peer_addr()?.ip()));
    at.see("server", Word(server.local_addr()?.ip()));
    at.see("accept", Word(peer.ip()));
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

async fn an_unbound_socket_has_no_address(at: At) -> Out {
    at.see("v4", Word(TcpSocket::new_v4()?.local_addr()?));
    at.see("v6", Word(TcpSocket::new_v6()?.local_addr()?));
    Ok(())
}

async fn a_wildcard_client_gets_an_address(at: At) -> Out {
    let listener = at.listener().await?;
    let socket = bound((Ipv4Addr::UNSPECIFIED, 0).into(), false)?;
    at.see("before", socket.local_addr()?.ip().is_unspecified());
    let port = socket.local_addr()?.port();
    let client = socket.connect(listener.local_addr()?).await?;
    at.see("after", client.local_addr()? == SocketAddr::new(at.near, port));
    Ok(())
}

async fn a_wildcard_listener_accepts_at_an_address(at: At) -> Out {
    let listener = at.far(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).await?;
    let address = SocketAddr::new(at.far, listener.local_addr()?.port());
    at.see("listener", listener.local_addr()?.ip().is_unspecified());
    let _client = TcpStream::connect(address).await?;
    at.see("stream", listener.accept().await?.0.local_addr()? == address);
    Ok(())
}

async fn listening_without_bind_takes_a_port(at: At) -> Out {
    let listener = TcpSocket::new_v4()?.listen(4)?;
    at.see("port", listener.local_addr()?.port() != 0);
    at.see("address", Word(listener.local_addr()?.ip()));
    let mut client = TcpStream::connect((at.near, listener.local_addr()?.port())).await?;
    listener.accept().await?.0.write_all(b"x").await?;
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

async fn an_accept_waits(at: At) -> Out {
    let listener = at.listener().await?;
    at.see("accept", once(async { listener.accept().await.map(drop) }));
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (_server, peer) = poll_fn(|cx| listener.poll_accept(cx)).await?;
    at.see("poll", peer == client.local_addr()?);
    Ok(())
}

async fn one_pair_of_addresses_has_one_connection(at: At) -> Out {
    let listener = at.listener().await?;
    let first = bound(SocketAddr::new(at.near, 0), true)?;
    let second = bound(first.local_addr()?, true)?;
    at.see("bind", ());
    let _client = first.connect(listener.local_addr()?).await?;
    at.see("connect", second.connect(listener.local_addr()?).await.map(drop));
    Ok(())
}

async fn a_backlog_of_zero_takes_one(at: At) -> Out {
    let listener = at.listener_with_backlog(0).await?;
    let _first = TcpStream::connect(listener.local_addr()?).await?;
    at.see("first", ());
    at.rest().await;
    at.see("second", soon(TcpStream::connect(listener.local_addr()?)).await.map(|connected| connected.map(drop)));
    Ok(())
}

async fn a_new_connection_is_writable(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    at.see("writable", near.writable().await);
    at.see("write", near.try_write(b"x"));
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn connect_by_name(at: At) -> Out {
    let listener = TcpListener::bind("localhost:0").await?;
    let client = TcpStream::connect(("localhost", listener.local_addr()?.port())).await?;
    at.see("peer", client.peer_addr()? == listener.local_addr()?);
    Ok(())
}

/// The attempt may have succeeded already, or its first segment is not yet answered.
async fn a_dropped_connect_does_not_disturb_the_next_one(at: At) -> Out {
    let listener = at.listener().await?;
    once(async { TcpStream::connect(listener.local_addr()?).await.map(drop) });
    at.rest().await;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let local = client.local_addr()?;
    while listener.accept().await?.1 != local {}
    at.see("accepted", ());
    Ok(())
}

async fn reuse_port_shares_between_listeners(at: At) -> Out {
    let socket = || TcpSocket::new_v4().and_then(|socket| socket.set_reuseport(true).map(|()| socket));
    let first = socket()?;
    first.bind(SocketAddr::new(at.near, 0))?;
    let (address, second) = (first.local_addr()?, socket()?);
    at.see("bind", second.bind(address));
    let (first, second) = (first.listen(32)?, second.listen(32)?);
    let mut clients = Vec::new();
    for _ in 0..12 {
        clients.push(TcpStream::connect(address).await?);
    }
    let mut accepted = 0;
    while accepted < 12 {
        redd::select! { one = first.accept() => drop(one?), one = second.accept() => drop(one?) }
        accepted += 1;
    }
    at.see("accepted", accepted);
    Ok(())
}

async fn a_bound_socket_that_never_listened_releases_its_port(at: At) -> Out {
    let socket = bound(SocketAddr::new(at.near, 0), false)?;
    let address = socket.local_addr()?;
    drop(socket);
    at.see("bind", bound(address, false).map(drop));
    Ok(())
}

async fn ten_clients_in_a_row_use_one_listener(at: At) -> Out {
    let listener = at.listener().await?;
    for number in 0..10 {
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (mut server, _) = listener.accept().await?;
        server.write_all(format!("{number}").as_bytes()).await?;
        drop(server);
        at.see("read", rest_of(&mut client).await);
    }
    Ok(())
}

async fn a_client_writes_before_the_listener_is_ready(at: At) -> Out {
    let listener = at.listener().await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    client.write_all(b"early").await?;
    client.shutdown().await?;
    let (mut server, _) = listener.accept().await?;
    at.see("read", exactly(&mut server, 5).await);
    at.see("read", read(&mut server, 5).await);
    server.write_all(b"late").await?;
    at.see("read", exactly(&mut client, 4).await);
    Ok(())
}

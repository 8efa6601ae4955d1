//! Ports: conflicts, shared addresses, the wait after a close, exhaustion.

use super::*;

fn bound(net: &Net, ip: Ipv4Addr, port: u16, reuse: bool) -> io::Result<SocketId> {
    let id = net.network.open(0, Family::V4, Kind::Stream);
    net.network.set_reuse(id, reuse);
    net.network.bind(id, &v4(ip.into(), port)).map(|()| id)
}

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn addresses_conflict_if_they_overlap() {
    let net = Net::new(1);
    let first = bound(&net, LOCAL, 80, false).unwrap();
    for ip in [LOCAL, ANY] {
        assert_eq!(code(bound(&net, ip, 80, true)), libc::EADDRINUSE);
    }
    bound(&net, Ipv4Addr::new(10, 0, 0, 1), 80, false).unwrap();
    assert_eq!(code(bound(&net, Ipv4Addr::new(10, 0, 0, 2), 80, false)), libc::EADDRNOTAVAIL);
    assert_eq!(code(net.network.bind(first, &v4(LOCAL.into(), 81))), libc::EINVAL);
    net.network.close(first, None);
    bound(&net, LOCAL, 80, false).unwrap();
    let v6 = net.network.open(0, Family::V6, Kind::Stream);
    assert_eq!(code(net.network.bind(v6, &v4(LOCAL.into(), 82))), libc::EINVAL);
    // All addresses of both families, or of one.
    let all = Address::Inet("[::]:80".parse().unwrap());
    assert_eq!(code(net.network.bind(v6, &all)), libc::EADDRINUSE);
    net.network.set_only_v6(v6, true);
    net.network.bind(v6, &all).unwrap();
}

#[test]
fn sockets_with_reuse_share_an_address_until_one_listens() {
    let net = Net::new(1);
    let one = bound(&net, ANY, 80, true).unwrap();
    let other = bound(&net, ANY, 80, true).unwrap();
    assert_eq!(code(bound(&net, ANY, 80, false)), libc::EADDRINUSE);
    net.network.listen(one, 1).unwrap();
    assert_eq!(code(net.network.listen(other, 1)), libc::EADDRINUSE);
    assert_eq!(code(bound(&net, ANY, 80, true)), libc::EADDRINUSE);
}

#[test]
fn the_seed_shares_out_connections_of_listeners_with_reuse_port() {
    let net = Net::new(1);
    let listeners: Vec<_> = (0..2)
        .map(|_| {
            let id = net.network.open(0, Family::V4, Kind::Stream);
            net.network.set_reuse_port(id, true);
            net.network.bind(id, &v4(ANY.into(), 80)).unwrap();
            net.network.listen(id, 99).unwrap();
            id
        })
        .collect();
    for _ in 0..50 {
        net.client(0, &v4(LOCAL.into(), 80));
    }
    let count = |id: SocketId| std::iter::from_fn(|| net.network.accept(id).ok()).count();
    let (one, other) = (count(listeners[0]), count(listeners[1]));
    assert!(one + other == 50 && one > 10 && other > 10, "{one} {other}");
}

#[test]
fn a_port_is_in_time_wait_after_its_side_has_closed_first() {
    for (closes_first, waits) in [("server", true), ("client", false)] {
        for reuse in [false, true] {
            let net = Net::new(1);
            let listener = bound(&net, ANY, 80, reuse).unwrap();
            net.network.listen(listener, 9).unwrap();
            let client = net.client(1, &v4(net.network.address_of(0), 80));
            net.run();
            let (server, _) = net.network.accept(listener).unwrap();
            net.network.close(listener, None);
            // The connection alone is enough for a conflict.
            assert_eq!(
                bound(&net, ANY, 80, true).is_ok_and(|id| {
                    net.network.close(id, None);
                    true
                }),
                reuse
            );
            let order = if closes_first == "server" { [server, client] } else { [client, server] };
            for id in order {
                net.network.close(id, None);
                net.run();
            }
            let strict = bound(&net, ANY, 80, false);
            assert_eq!(strict.is_err(), waits, "{closes_first} {reuse}");
            strict.into_iter().for_each(|id| net.network.close(id, None));
            assert_eq!(bound(&net, ANY, 80, true).is_err(), waits && !reuse);
            if waits && !reuse {
                net.run_for(Duration::from_secs(61));
                bound(&net, ANY, 80, false).unwrap();
            }
        }
    }
}

#[test]
fn connections_to_one_address_exhaust_the_ports_and_others_do_not() {
    let net = Net::new(1);
    let (listener, address) = net.listener(1, 4096);
    let connect = |to: &Address| {
        let id = net.network.open(0, Family::V4, Kind::Stream);
        let result = code(net.network.connect(id, to));
        (id, result)
    };
    let mut clients = Vec::new();
    let last = loop {
        let (id, result) = connect(&address);
        if result != libc::EINPROGRESS {
            break result;
        }
        clients.push(id);
        if clients.len() % 1000 == 0 {
            net.run();
            while net.network.accept(listener).is_ok() {}
        }
    };
    assert_eq!(last, libc::EADDRNOTAVAIL);
    assert_eq!(clients.len(), 65_536 - 49_152);
    assert_eq!(connect(&v4(net.network.address_of(2), 80)).1, libc::EINPROGRESS);
    net.network.close(clients[77], Some(Duration::ZERO));
    let (id, result) = connect(&address);
    assert_eq!((result, port(&net.network, id)), (libc::EINPROGRESS, 49_152 + 77));
}

#[test]
fn binding_to_any_port_exhausts_them_too() {
    let net = Net::new(1);
    for _ in 49_152..=65_535 {
        bound(&net, ANY, 0, false).unwrap();
    }
    assert_eq!(code(bound(&net, ANY, 0, false)), libc::EADDRINUSE);
}

#[test]
fn a_port_that_connect_has_chosen_is_for_one_connection() {
    let net = Net::new(1);
    let nowhere = v4(LOCAL.into(), 9);
    let client = net.client(0, &nowhere);
    let first = port(&net.network, client);
    assert_eq!(code(net.network.connect(client, &nowhere)), libc::ECONNREFUSED);
    assert_eq!(port(&net.network, client), first);
    assert_eq!(code(net.network.connect(client, &nowhere)), libc::EINPROGRESS);
    assert_ne!(port(&net.network, client), first);
    net.network.bind(client, &v4(LOCAL.into(), 80)).unwrap();
    assert_eq!(code(net.network.connect(client, &nowhere)), libc::ECONNREFUSED);
    assert_eq!(code(net.network.connect(client, &nowhere)), libc::EINPROGRESS);
    assert_eq!(port(&net.network, client), 80);
}

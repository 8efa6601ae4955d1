//! Connections: handshake, data, half-close, close, and the edges of each step.

use super::*;
use std::net::Shutdown;

#[test]
fn within_a_host_everything_has_happened_when_the_call_returns() {
    let net = Net::new(1);
    let (listener, address) = net.listener(0, 16);
    let client = net.client(0, &address);
    assert_eq!(net.take(listener), "in");
    let (server, from) = net.network.accept(listener).unwrap();
    net.watch(server);
    assert_eq!(from, net.network.local_addr(client).unwrap());
    assert_eq!(net.network.peer_addr(server).unwrap(), from);
    assert_eq!(net.network.peer_addr(client).unwrap(), address);
    assert_eq!(code(net.network.accept(listener)), libc::EAGAIN);
    assert!(net.network.take_error(client).unwrap().is_none());
    assert_eq!(code(net.recv(server, 10)), libc::EAGAIN);
    assert_eq!(net.send(client, b"hello").unwrap(), 5);
    assert_eq!(net.take(server), "in|out");
    let mut buf = [0; 3];
    assert_eq!(net.network.recv(server, &mut buf, true).unwrap(), 3);
    assert_eq!(net.recv(server, 10).unwrap(), b"hello");
    assert_eq!(net.network.next_ns(), None);
}

#[test]
fn between_hosts_each_step_takes_the_latency_of_the_link() {
    let net = Net::new(1);
    let (listener, address) = net.listener(1, 16);
    let client = net.client(0, &address);
    assert_eq!((net.take(listener), net.take(client)), (String::new(), String::new()));
    assert_eq!(code(net.network.peer_addr(client)), libc::ENOTCONN);
    assert_eq!(code(net.send(client, b"x")), libc::EAGAIN);
    net.run();
    assert_eq!((net.take(listener), net.take(client)), ("in".to_owned(), "out".to_owned()));
    assert!(net.now() >= Duration::from_micros(300) && net.now() <= Duration::from_millis(3), "{:?}", net.now());
    let (server, _) = net.network.accept(listener).unwrap();
    net.watch(server);
    assert_eq!(net.send(client, b"hello").unwrap(), 5);
    assert_eq!(net.take(server), "");
    net.run();
    assert_eq!(net.take(server), "in|out");
    assert_eq!(net.recv(server, 10).unwrap(), b"hello");
}

#[test]
fn a_connection_without_a_listener_is_refused() {
    for host in [0, 1] {
        let net = Net::new(1);
        let to = v4(net.network.address_of(host), 7);
        let client = net.client(0, &to);
        net.run();
        if host == 1 {
            assert_eq!(net.take(client), "in|out|rdhup|hup|err");
        }
        let error = net.network.take_error(client).unwrap().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(net.network.take_error(client).unwrap().is_none());
    }
}

#[test]
fn a_half_closed_connection_still_sends_the_other_way() {
    let net = Net::new(1);
    let (client, server) = net.connection(0, 1);
    net.send(client, b"request").unwrap();
    net.network.shutdown(client, Shutdown::Write).unwrap();
    net.run();
    assert!(net.take(server).ends_with("in|out|rdhup"));
    assert_eq!(net.recv(server, 99).unwrap(), b"request");
    assert_eq!(net.recv(server, 99).unwrap(), b"");
    assert_eq!(code(net.send(client, b"x")), libc::EPIPE);
    net.send(server, b"answer").unwrap();
    net.network.close(server, None);
    net.run();
    assert_eq!(net.drain(client), b"answer");
    assert_eq!(net.recv(client, 99).unwrap(), b"");
    assert_eq!(code(net.network.peer_addr(client)), libc::ENOTCONN);
}

#[test]
fn many_bytes_arrive_in_order() {
    for (from, to) in [(0, 0), (0, 1)] {
        let net = Net::new(1);
        let (client, server) = net.connection(from, to);
        let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut sent, mut received) = (0, Vec::new());
        while received.len() < bytes.len() {
            if let Ok(count) = net.send(client, &bytes[sent..]) {
                sent += count;
            }
            net.run();
            received.extend(net.drain(server));
        }
        assert!(received == bytes);
    }
}

#[test]
fn readiness_is_that_of_linux_at_each_step() {
    let net = Net::new(1);
    let fresh = net.network.open(0, Family::V4, Kind::Stream);
    net.begin_watch(fresh);
    assert_eq!(net.take(fresh), "out|hup");
    assert_eq!(code(net.network.shutdown(fresh, Shutdown::Both)), libc::ENOTCONN);
    assert_eq!(net.take(fresh), "in|out|rdhup|hup");
    assert_eq!(net.recv(fresh, 1).unwrap(), b"");
    assert_eq!(code(net.send(fresh, b"x")), libc::EPIPE);
    assert_eq!(inet(&net.network.local_addr(fresh).unwrap()).to_string(), "0.0.0.0:0");

    let (a, b) = net.connection(0, 0);
    let steps =
        |label: &str, of_a: &str, of_b: &str| assert_eq!((&*net.take(a), &*net.take(b)), (of_a, of_b), "{label}");
    net.send(a, b"abc").unwrap();
    steps("send", "", "in|out");
    net.send(a, b"abc").unwrap();
    steps("send again", "", "in|out");
    net.network.shutdown(a, Shutdown::Write).unwrap();
    steps("shutdown", "out", "in|out|rdhup");
    assert_eq!(net.drain(b), b"abcabc");
    net.send(b, b"xyz").unwrap();
    steps("answer", "in|out", "");
    net.network.shutdown(b, Shutdown::Write).unwrap();
    steps("shutdown of the other side", "in|out|rdhup|hup", "in|out|rdhup|hup");
    assert_eq!(net.drain(a), b"xyz");
    for id in [a, b] {
        assert_eq!(code(net.network.peer_addr(id)), libc::ENOTCONN);
        assert_eq!(code(net.network.shutdown(id, Shutdown::Write)), libc::ENOTCONN);
        assert_eq!(net.error(id), None);
    }
}

#[test]
fn a_socket_that_reads_no_longer_still_receives() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 0);
    net.network.shutdown(a, Shutdown::Read).unwrap();
    assert_eq!((net.take(a), net.take(b)), ("in|out|rdhup".to_owned(), String::new()));
    net.send(b, b"q").unwrap();
    assert_eq!(net.take(a), "in|out|rdhup");
    assert_eq!(net.recv(a, 9).unwrap(), b"q");
    assert_eq!(net.recv(a, 9).unwrap(), b"");
    net.network.shutdown(a, Shutdown::Both).unwrap();
    assert_eq!((net.take(a), net.take(b)), ("in|out|rdhup|hup".to_owned(), "in|out|rdhup".to_owned()));
    // Nothing can read it, so it resets both ends.
    net.send(b, b"q").unwrap();
    assert_eq!((net.take(a), net.take(b)), ("in|out|rdhup|hup|err".to_owned(), "in|out|rdhup|hup|err".to_owned()));
    assert_eq!(code(net.recv(a, 9)), libc::ECONNRESET);
    assert_eq!(code(net.send(b, b"q")), libc::EPIPE);
    assert_eq!(net.recv(b, 9).unwrap(), b"");
}

#[test]
fn connect_reports_each_result_once() {
    let net = Net::new(1);
    let nowhere = v4(Ipv4Addr::LOCALHOST.into(), 9);
    let refused = net.client(0, &nowhere);
    let codes: Vec<_> = (0..3).map(|_| code(net.network.connect(refused, &nowhere))).collect();
    assert_eq!(codes, [libc::ECONNREFUSED, libc::EINPROGRESS, libc::ECONNREFUSED]);
    let taken = net.client(0, &nowhere);
    assert_eq!(net.error(taken), Some(libc::ECONNREFUSED));
    assert_eq!(net.recv(taken, 1).unwrap(), b"");
    assert_eq!(code(net.send(taken, b"x")), libc::EPIPE);
    assert_eq!(code(net.network.connect(taken, &nowhere)), libc::ECONNABORTED);

    let (listener, address) = net.listener(1, 4);
    let client = net.client(0, &address);
    assert_eq!(code(net.network.connect(client, &address)), libc::EALREADY);
    net.run();
    net.network.connect(client, &address).unwrap();
    assert_eq!(code(net.network.connect(client, &address)), libc::EISCONN);
    for (result, expected) in [
        (net.network.connect(listener, &address), libc::EISCONN),
        (net.recv(listener, 1).map(drop), libc::ENOTCONN),
        (net.send(listener, b"x").map(drop), libc::EPIPE),
        (net.network.peer_addr(listener).map(drop), libc::ENOTCONN),
    ] {
        assert_eq!(code(result), expected);
    }
}

#[test]
fn a_full_backlog_drops_connections_and_they_are_tried_again() {
    let net = Net::new(1);
    let (listener, address) = net.listener(0, 1);
    let clients: Vec<_> = (0..3).map(|_| net.client(0, &address)).collect();
    let edges = |net: &Net| clients.iter().map(|id| net.take(*id)).collect::<Vec<_>>();
    // `client` takes the edges of the first moment.
    assert!(net.network.peer_addr(clients[1]).is_ok());
    assert_eq!(code(net.network.peer_addr(clients[2])), libc::ENOTCONN);
    assert_eq!(net.faults(Fault::BacklogFull), 1);
    net.run_for(Duration::from_millis(2_999));
    assert_eq!(net.faults(Fault::BacklogFull), 2);
    net.network.accept(listener).unwrap();
    assert_eq!(edges(&net), ["", "", ""]);
    net.run_for(Duration::from_millis(1));
    assert_eq!(edges(&net), ["", "", "out"]);
    assert_eq!(net.now(), Duration::from_secs(3));
    // One that never gets a place.
    let late = net.client(0, &address);
    net.run();
    assert_eq!(net.now(), Duration::from_secs(3 + 127));
    assert_eq!(net.take(late), "in|out|rdhup|hup|err");
    assert_eq!(net.error(late), Some(libc::ETIMEDOUT));
}

#[test]
fn a_listener_that_ends_resets_what_was_not_accepted() {
    for closes in [false, true] {
        let net = Net::new(1);
        let (listener, address) = net.listener(0, 8);
        let client = net.client(0, &address);
        if closes {
            net.network.close(listener, None);
        } else {
            net.take(listener);
            net.network.shutdown(listener, Shutdown::Read).unwrap();
            assert_eq!(net.take(listener), "out|hup");
            assert_eq!(code(net.network.accept(listener)), libc::EINVAL);
        }
        assert_eq!(net.take(client), "in|out|rdhup|hup|err");
        assert_eq!(net.error(client), Some(libc::ECONNRESET));
        assert_eq!(net.recv(client, 1).unwrap(), b"");
        let late = net.client(0, &address);
        assert_eq!(net.error(late), Some(libc::ECONNREFUSED));
        if !closes {
            net.network.listen(listener, 8).unwrap();
            let again = net.client(0, &address);
            assert_eq!(net.error(again), None);
        }
    }
}

#[test]
fn addresses_without_a_host_fail_as_they_do_on_a_subnet() {
    let net = Net::new(1);
    let outside = net.network.open(0, Family::V4, Kind::Stream);
    assert_eq!(code(net.network.connect(outside, &v4(Ipv4Addr::new(192, 0, 2, 1).into(), 9))), libc::ENETUNREACH);
    // The first one after those of hosts, and another.
    let absent = [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 9, 9, 9)].map(|ip| net.client(0, &v4(ip.into(), 9)));
    net.run();
    assert_eq!(absent.map(|id| net.error(id)), [Some(libc::EHOSTUNREACH); 2]);
    assert_eq!(net.now(), Duration::from_secs(3));
    for (ip, expected) in [("fd00::9", libc::EINPROGRESS), ("2001:db8::9", libc::ENETUNREACH)] {
        let v6 = net.network.open(0, Family::V6, Kind::Stream);
        assert_eq!(code(net.network.connect(v6, &v4(ip.parse().unwrap(), 9))), expected);
    }
    // From an address of the one family to one of the other.
    let v6 = net.network.open(0, Family::V6, Kind::Stream);
    net.network.bind(v6, &v4("::1".parse().unwrap(), 0)).unwrap();
    assert_eq!(code(net.network.connect(v6, &v4("::ffff:10.0.0.1".parse().unwrap(), 9))), libc::ENETUNREACH);
    let loopback = net.network.open(0, Family::V4, Kind::Stream);
    net.network.bind(loopback, &v4(Ipv4Addr::LOCALHOST.into(), 0)).unwrap();
    let (_, other) = net.listener(1, 1);
    assert_eq!(code(net.network.connect(loopback, &other)), libc::EINVAL);
}

#[test]
fn both_families_reach_a_socket_of_both() {
    let net = Net::new(1);
    let listener = net.open(1, Family::V6, Kind::Stream);
    net.network.bind(listener, &Address::Inet("[::]:0".parse().unwrap())).unwrap();
    net.network.listen(listener, 9).unwrap();
    let port = port(&net.network, listener);
    let addresses = net.network.resolve(0, "host1").unwrap();
    assert_eq!(addresses.len(), 2);
    for ip in addresses {
        let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
        let client = net.open(0, family, Kind::Stream);
        assert_eq!(code(net.network.connect(client, &v4(ip, port))), libc::EINPROGRESS);
        net.run();
        let (server, from) = net.network.accept(listener).unwrap();
        assert!(inet(&from).is_ipv6());
        let (from, mine) = (inet(&from), inet(&net.network.local_addr(client).unwrap()));
        assert_eq!((from.ip().to_canonical(), from.port()), (mine.ip(), mine.port()));
        assert_eq!(inet(&net.network.local_addr(server).unwrap()).ip().to_canonical(), ip);
    }
}

#[test]
fn names_are_those_of_hosts_and_registered_ones() {
    let net = Net::new(1);
    let ip = net.network.add_host(1, "db");
    for name in ["db", "DB", "db."] {
        assert_eq!(net.network.resolve(0, name).unwrap()[0], ip);
    }
    assert_eq!(net.network.resolve(0, "localhost").unwrap()[0], Ipv4Addr::LOCALHOST);
    let error = net.network.resolve(0, "cache").unwrap_err();
    assert!(
        error.to_string().contains("no host with the name `cache`")
            && error.to_string().contains("to a host with `World::name`"),
        "{error}"
    );
    net.network.add_name("cache", vec![ip]);
    assert_eq!(net.network.resolve(0, "cache").unwrap(), [ip]);
}

#[test]
fn the_dump_describes_each_socket() {
    let net = Net::new(1);
    let (client, _) = net.connection(0, 1);
    net.send(client, b"hello").unwrap();
    let mut text = String::new();
    net.network.describe(&mut text);
    assert!(text.contains("1 packet on its way"), "{text}");
    assert!(text.contains("`host0`: TCP Connected, 10.0.0.1:49152 to 10.0.0.2:49152"), "{text}");
    assert!(text.contains("5 bytes not acknowledged"), "{text}");
}

#[test]
fn the_last_acknowledgement_ends_the_connection_with_an_edge() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.shutdown(a, Shutdown::Write).unwrap();
    net.run();
    net.take(b);
    net.network.shutdown(b, Shutdown::Write).unwrap();
    assert_eq!(net.take(b), "in|out|rdhup|hup");
    assert!(net.network.peer_addr(b).is_ok());
    net.run();
    assert_eq!(net.take(b), "in|out|rdhup|hup");
    assert_eq!(code(net.network.peer_addr(b)), libc::ENOTCONN);
}

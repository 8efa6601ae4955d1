//! UDP: datagrams whole or truncated, errors of closed ports, and datagrams that are lost, late or doubled.

use super::*;
use std::net::Shutdown;

fn udp(net: &Net, host: usize) -> (SocketId, Address) {
    let id = net.open(host, Family::V4, Kind::Datagram);
    net.network.bind(id, &v4(Ipv4Addr::UNSPECIFIED.into(), 0)).unwrap();
    (id, v4(net.network.address_of(host), port(&net.network, id)))
}

fn received(net: &Net, id: SocketId) -> Vec<u8> {
    std::iter::from_fn(|| net.recv(id, 9).ok()).map(|bytes| bytes[0]).collect()
}

#[test]
fn datagrams_arrive_whole_or_truncated_with_their_sender() {
    let net = Net::new(1);
    let ((a, from), (b, to)) = (udp(&net, 0), udp(&net, 1));
    assert_eq!(net.network.send_to(a, b"hello", &to).unwrap(), 5);
    assert_eq!(net.network.send_to(a, b"", &to).unwrap(), 0);
    assert_eq!(net.take(b), "");
    net.run();
    assert!(net.take(b).ends_with("in|out"));
    let mut buf = [0; 3];
    let mut seen = Vec::new();
    while let Ok((count, sender)) = net.network.recv_from(b, &mut buf, false) {
        assert_eq!(sender, from);
        seen.push(buf[..count].to_vec());
    }
    seen.sort();
    assert_eq!(seen, [b"".to_vec(), b"hel".to_vec()]);
    assert_eq!(code(net.recv(b, 9)), libc::EAGAIN);
}

#[test]
fn calls_without_an_address_fail_as_on_linux() {
    let net = Net::new(1);
    let id = net.network.open(0, Family::V4, Kind::Datagram);
    net.begin_watch(id);
    assert_eq!(net.take(id), "out");
    assert_eq!(code(net.recv(id, 1)), libc::EAGAIN);
    assert_eq!(code(net.send(id, b"x")), libc::EDESTADDRREQ);
    assert_eq!(code(net.network.peer_addr(id)), libc::ENOTCONN);
    assert_eq!(code(net.network.listen(id, 1)), libc::EOPNOTSUPP);
    assert_eq!(code(net.network.shutdown(id, Shutdown::Both)), libc::ENOTCONN);
    assert_eq!(net.take(id), "in|out|rdhup|hup");
    assert_eq!(code(net.recv(id, 1)), libc::EAGAIN);
}

#[test]
fn a_closed_port_is_an_error_for_a_connected_socket_alone() {
    for host in [0, 1] {
        let net = Net::new(1);
        let to = v4(if host == 0 { Ipv4Addr::LOCALHOST.into() } else { net.network.address_of(1) }, 9);
        let id = net.open(0, Family::V4, Kind::Datagram);
        assert_eq!(net.network.send_to(id, b"x", &to).unwrap(), 1);
        net.run();
        assert_eq!(code(net.recv(id, 1)), libc::EAGAIN);
        net.network.connect(id, &to).unwrap();
        assert_eq!(net.network.peer_addr(id).unwrap(), to);
        assert!(!inet(&net.network.local_addr(id).unwrap()).ip().is_unspecified());
        net.send(id, b"x").unwrap();
        net.run();
        assert_eq!(net.take(id), "out|err");
        assert_eq!(code(net.send(id, b"x")), libc::ECONNREFUSED);
        net.send(id, b"x").unwrap();
        net.run();
        assert_eq!(code(net.recv(id, 1)), libc::ECONNREFUSED);
        assert_eq!(code(net.recv(id, 1)), libc::EAGAIN);
    }
}

#[test]
fn a_connected_socket_receives_from_its_peer_alone() {
    let net = Net::new(1);
    let ((a, address), (b, of_b), (c, _)) = (udp(&net, 0), udp(&net, 1), udp(&net, 2));
    net.network.connect(a, &of_b).unwrap();
    for id in [b, c] {
        net.network.connect(id, &address).unwrap();
        net.send(id, &[id.0 as u8]).unwrap();
    }
    net.run();
    assert_eq!(received(&net, a), [b.0 as u8]);
    assert_eq!((net.error(b), net.error(c)), (None, Some(libc::ECONNREFUSED)));
    net.network.shutdown(a, Shutdown::Write).unwrap();
    assert_eq!(code(net.send(a, b"x")), libc::EPIPE);
}

#[test]
fn lengths_and_destinations_have_limits() {
    let net = Net::new(1);
    let ((a, _), (b, to)) = (udp(&net, 0), udp(&net, 0));
    assert_eq!(code(net.network.send_to(a, &[0; 65_508], &to)), libc::EMSGSIZE);
    assert_eq!(net.network.send_to(a, &[0; 65_507], &to).unwrap(), 65_507);
    assert_eq!(net.recv(b, 1 << 17).unwrap().len(), 65_507);
    assert_eq!(code(net.network.send_to(a, b"x", &v4(Ipv4Addr::LOCALHOST.into(), 0))), libc::EINVAL);
    for group in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        let error = net.network.send_to(a, b"x", &v4(group.into(), 9)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("send to the address of each host instead"), "{error}");
    }
}

#[test]
fn a_full_buffer_drops_datagrams_as_many_as_on_linux() {
    for (length, expected) in [(1, 256), (100, 256), (500, 166), (1000, 92), (2000, 48), (5000, 25), (20_000, 10)] {
        let net = Net::new(1);
        let ((a, _), (b, to)) = (udp(&net, 0), udp(&net, 0));
        (0..600).for_each(|_| assert_eq!(net.network.send_to(a, &vec![0; length], &to).unwrap(), length));
        assert_eq!(received(&net, b).len(), expected, "{length}");
        assert_eq!(net.faults(Fault::BufferFull), 600 - expected);
    }
}

#[test]
fn links_lose_double_and_reorder_datagrams_by_the_seed() {
    let run = |change: &mut dyn FnMut(&mut super::super::Link)| {
        let net = Net::new(1);
        let ((a, _), (b, to)) = (udp(&net, 0), udp(&net, 1));
        net.network.set_link(Some(0), Some(1), &mut |link| {
            link.latency = Duration::from_millis(1)..Duration::from_millis(1);
            change(link);
        });
        for number in 0..200 {
            net.network.send_to(a, &[number], &to).unwrap();
            net.run_for(Duration::from_micros(10));
        }
        net.run();
        received(&net, b)
    };
    let all: Vec<u8> = (0..200).collect();
    assert_eq!(run(&mut |_| {}), all);
    let lossy = run(&mut |link| link.loss = 0.3);
    assert!((100..180).contains(&lossy.len()) && lossy.is_sorted(), "{}", lossy.len());
    let mut late = run(&mut |link| link.reorder = 0.2);
    assert!(!late.is_sorted());
    late.sort_unstable();
    assert_eq!(late, all);
    let mut doubled = run(&mut |link| link.duplicate = 0.2);
    assert!((220..280).contains(&doubled.len()), "{}", doubled.len());
    doubled.sort_unstable();
    doubled.dedup();
    assert_eq!(doubled, all);
}

#[test]
fn of_sockets_with_one_address_the_last_one_receives_and_the_seed_chooses_with_reuse_port() {
    for shares in [false, true] {
        let net = Net::new(1);
        let to = v4(Ipv4Addr::LOCALHOST.into(), 53);
        let sockets = [0, 1].map(|_| {
            let id = net.open(0, Family::V4, Kind::Datagram);
            net.network.set_reuse(id, !shares);
            net.network.set_reuse_port(id, shares);
            net.network.bind(id, &to).unwrap();
            id
        });
        let strict = net.open(0, Family::V4, Kind::Datagram);
        assert_eq!(code(net.network.bind(strict, &to)), libc::EADDRINUSE);
        (0..50).for_each(|_| assert_eq!(net.network.send_to(strict, b"x", &to).unwrap(), 1));
        let counts = sockets.map(|id| received(&net, id).len());
        assert!(if shares { counts[0] > 10 && counts[1] > 10 } else { counts == [0, 50] }, "{counts:?}");
    }
}

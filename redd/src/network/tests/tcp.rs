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

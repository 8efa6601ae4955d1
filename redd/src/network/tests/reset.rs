//! Resets: what causes them, and which calls report them how often, as on Linux.

use super::*;
use std::net::Shutdown;

#[test]
fn a_write_after_the_peer_has_closed_is_answered_by_a_reset() {
    for (from, to) in [(0, 0), (0, 1)] {
        let net = Net::new(1);
        let (a, b) = net.connection(from, to);
        net.network.close(b, None);
        net.run();
        assert_eq!(net.take(a), "in|out|rdhup");
        assert_eq!(net.send(a, b"1").unwrap(), 1);
        net.run();
        assert_eq!(net.take(a), "in|out|rdhup|hup|err");
        assert_eq!(code(net.send(a, b"1")), libc::EPIPE);
        assert_eq!(code(net.send(a, b"1")), libc::EPIPE);
        assert_eq!(net.recv(a, 1).unwrap(), b"");
        assert_eq!(code(net.network.peer_addr(a)), libc::ENOTCONN);
    }
}

#[test]
fn bytes_that_were_not_read_at_close_reset_the_connection() {
    let reset = || {
        let net = Net::new(1);
        let (a, b) = net.connection(0, 0);
        net.send(b, b"data").unwrap();
        net.send(a, b"1").unwrap();
        net.take(a);
        net.network.close(b, None);
        assert_eq!(net.take(a), "in|out|rdhup|hup|err");
        (net, a)
    };
    let (net, a) = reset();
    assert_eq!(net.recv(a, 9).unwrap(), b"data");
    assert_eq!(code(net.recv(a, 9)), libc::ECONNRESET);
    assert_eq!(net.recv(a, 9).unwrap(), b"");
    assert_eq!(code(net.send(a, b"x")), libc::EPIPE);
    let (net, a) = reset();
    assert_eq!(code(net.send(a, b"x")), libc::ECONNRESET);
    assert_eq!(code(net.send(a, b"x")), libc::EPIPE);
    assert_eq!(net.recv(a, 9).unwrap(), b"data");
    assert_eq!(net.recv(a, 9).unwrap(), b"");
    let (net, a) = reset();
    assert_eq!(net.error(a), Some(libc::ECONNRESET));
    assert_eq!(code(net.network.shutdown(a, Shutdown::Both)), libc::ENOTCONN);
}

#[test]
fn a_close_without_linger_resets_and_one_with_linger_sends_all() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.close(b, Some(Duration::ZERO));
    net.run();
    assert_eq!(net.take(a), "in|out|rdhup|hup|err");
    assert_eq!(net.error(a), Some(libc::ECONNRESET));

    for linger in [None, Some(Duration::from_secs(5))] {
        let (a, b) = net.connection(0, 1);
        assert!(net.fill(b) > 1 << 20);
        net.network.close(b, linger);
        let mut total = 0;
        loop {
            net.run();
            match net.recv(a, 1 << 16).unwrap() {
                bytes if bytes.is_empty() => break,
                bytes => total += bytes.len(),
            }
        }
        assert!(total > 1 << 20);
        assert_eq!(net.error(a), None);
        net.network.close(a, None);
        net.run();
    }
}

#[test]
fn a_closed_socket_is_gone_for_calls() {
    let net = Net::new(1);
    let (a, _) = net.connection(0, 1);
    net.network.close(a, None);
    assert_eq!(code(net.send(a, b"x")), libc::EBADF);
    assert_eq!(code(net.recv(a, 1)), libc::EBADF);
    net.network.close(a, None);
    net.run();
    assert_eq!(net.take(a), "");
}

#[test]
fn both_ends_close_at_once() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.close(a, None);
    net.network.close(b, None);
    net.run();
    let mut text = String::new();
    net.network.describe(&mut text);
    assert!(text.contains("0 packets on their way") && !text.contains("Connected"), "{text}");
}

#[test]
fn a_connection_that_ends_before_it_is_accepted_is_accepted_nevertheless() {
    let net = Net::new(1);
    let (listener, address) = net.listener(0, 9);
    let client = net.client(0, &address);
    net.network.close(client, Some(Duration::ZERO));
    let (server, _) = net.network.accept(listener).unwrap();
    net.begin_watch(server);
    assert_eq!(net.take(server), "in|out|rdhup|hup|err");
    assert_eq!(code(net.network.peer_addr(server)), libc::ENOTCONN);
    assert_eq!(code(net.recv(server, 1)), libc::ECONNRESET);
    assert_eq!(net.recv(server, 1).unwrap(), b"");
    assert_eq!(code(net.send(server, b"x")), libc::EPIPE);

    let client = net.client(0, &address);
    net.send(client, b"hi").unwrap();
    net.network.close(client, None);
    let (server, _) = net.network.accept(listener).unwrap();
    assert_eq!(net.recv(server, 9).unwrap(), b"hi");
    assert_eq!(net.recv(server, 9).unwrap(), b"");
    assert_eq!(net.send(server, b"x").unwrap(), 1);
    assert_eq!(code(net.send(server, b"x")), libc::EPIPE);
}

#[test]
fn an_end_that_has_sent_its_fin_is_reset_if_its_bytes_were_not_read() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 0);
    net.send(b, b"abc").unwrap();
    net.network.shutdown(b, Shutdown::Write).unwrap();
    net.take(b);
    net.network.close(a, None);
    assert_eq!(net.take(b), "in|out|rdhup|hup|err");
    assert_eq!(net.error(b), Some(libc::ECONNRESET));
    assert_eq!(net.recv(b, 1).unwrap(), b"");
}

//! Buffers: when a writer has no place, when it gets an edge, and reads and writes that are short by the seed.

use super::*;

#[test]
fn a_writer_has_no_place_when_both_buffers_are_full_and_an_edge_when_a_third_is_free() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 0);
    let full = net.fill(a);
    assert!((2_000_000..3_000_000).contains(&full), "{full}");
    assert_eq!(code(net.send(a, b"x")), libc::EAGAIN);
    assert_eq!(net.take(a), "");
    let mut read = 0;
    while net.take(a).is_empty() {
        read += net.recv(b, 1 << 14).unwrap().len();
    }
    assert!(read > full / 5 && read < full / 2, "{read} of {full}");
    assert!(net.send(a, b"x").is_ok());
    while read < full {
        read += net.recv(b, 1 << 14).unwrap().len();
    }
    assert_eq!(net.take(a), "", "one edge for one wait");
}

#[test]
fn a_window_opens_again_between_hosts() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    let mut sent = 0;
    while let Ok(count) = net.send(a, &[1; 1 << 14]) {
        sent += count;
        net.run();
    }
    let mut read = 0;
    while read < sent {
        net.run();
        let bytes = net.drain(b);
        assert!(!bytes.is_empty(), "{read} of {sent}");
        read += bytes.len();
    }
    net.run();
    assert_eq!(read, sent);
    assert_eq!(net.take(a), "out");
}

#[test]
fn sizes_of_buffers_are_obeyed() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.set_buffers(a, Some(10_000), None);
    assert_eq!(net.send(a, &[0; 20_000]).unwrap(), 10_000);
    assert_eq!(code(net.send(a, b"x")), libc::EAGAIN);
    net.run();
    assert_eq!(net.take(a), "out");
    assert_eq!(net.drain(b).len(), 10_000);
}

#[test]
fn short_reads_and_writes_lose_nothing_and_have_an_edge() {
    for kind in ["tcp", "unix"] {
        let net = Net::new(3);
        let (a, b) = match kind {
            "tcp" => net.connection(0, 0),
            _ => net.network.pair(0, Kind::Stream),
        };
        net.watch(a);
        net.watch(b);
        net.network.set_short(50);
        let bytes: Vec<u8> = (0..10_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut sent, mut short_writes, mut short_reads) = (0, 0, 0);
        let mut received = Vec::new();
        while received.len() < bytes.len() {
            let end = (sent + 100).min(bytes.len());
            let count = if sent < end { net.send(a, &bytes[sent..end]).unwrap() } else { 0 };
            if count < end - sent {
                short_writes += 1;
                assert!(net.take(a).contains("out"));
            }
            sent += count;
            net.take(b);
            let rest = sent - received.len();
            let part = net.recv(b, 100).unwrap();
            if part.len() < rest.min(100) {
                short_reads += 1;
                assert!(net.take(b).contains("in"));
            }
            received.extend(part);
        }
        assert!(received == bytes);
        assert!(short_writes > 20 && short_reads > 20, "{short_writes} {short_reads}");
    }
}

#[test]
fn reads_and_writes_of_no_bytes_are_those_of_linux() {
    let net = Net::new(1);
    for (a, b) in [net.connection(0, 0), net.network.pair(0, Kind::Stream)] {
        assert_eq!(code(net.recv(a, 0)), libc::EAGAIN);
        assert_eq!(net.send(a, b"").unwrap(), 0);
        net.send(b, b"abc").unwrap();
        assert_eq!(net.recv(a, 0).unwrap(), b"");
        assert_eq!(net.recv(a, 3).unwrap(), b"abc");
        net.network.shutdown(b, std::net::Shutdown::Write).unwrap();
        assert_eq!(net.recv(a, 0).unwrap(), b"");
    }
}

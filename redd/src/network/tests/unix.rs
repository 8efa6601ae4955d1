//! Unix sockets: names, streams, datagrams, with the errors and edges of Linux.

use super::*;
use std::net::Shutdown;
use std::path::Path;

fn path(text: &str) -> Address {
    Address::Path(text.into())
}

fn stream_listener(net: &Net, name: &Address, backlog: u32) -> SocketId {
    let id = net.open(0, Family::Unix, Kind::Stream);
    net.network.bind(id, name).unwrap();
    net.network.listen(id, backlog).unwrap();
    net.take(id);
    id
}

fn pair(net: &Net, kind: Kind) -> (SocketId, SocketId) {
    let (a, b) = net.network.pair(0, kind);
    net.watch(a);
    net.watch(b);
    (a, b)
}

#[test]
fn a_stream_connects_at_once() {
    let net = Net::new(1);
    let fresh = net.network.open(0, Family::Unix, Kind::Stream);
    net.begin_watch(fresh);
    assert_eq!(net.take(fresh), "out|hup");
    assert_eq!(code(net.recv(fresh, 1)), libc::EINVAL);
    assert_eq!(code(net.send(fresh, b"x")), libc::ENOTCONN);
    assert_eq!(code(net.network.peer_addr(fresh)), libc::ENOTCONN);
    assert_eq!(code(net.network.connect(fresh, &path("/s"))), libc::ENOENT);
    assert_eq!(code(net.network.connect(fresh, &Address::Abstract(b"s".to_vec()))), libc::ECONNREFUSED);
    let listener = net.open(0, Family::Unix, Kind::Stream);
    net.network.bind(listener, &path("/s")).unwrap();
    assert_eq!(code(net.network.connect(fresh, &path("/s"))), libc::ECONNREFUSED);
    net.network.listen(listener, 1).unwrap();
    net.network.connect(fresh, &path("/s")).unwrap();
    assert_eq!((net.take(listener), net.take(fresh)), ("in".to_owned(), String::new()));
    assert_eq!(code(net.network.connect(fresh, &path("/s"))), libc::EISCONN);
    assert_eq!(net.send(fresh, b"abc").unwrap(), 3);
    let (server, from) = net.network.accept(listener).unwrap();
    assert_eq!(from, Address::Unnamed);
    assert_eq!(net.network.local_addr(server).unwrap(), path("/s"));
    assert_eq!(net.network.peer_addr(fresh).unwrap(), path("/s"));
    assert_eq!(net.recv(server, 9).unwrap(), b"abc");
    assert_eq!(code(net.network.accept(listener)), libc::EAGAIN);
    let datagram = net.open(0, Family::Unix, Kind::Datagram);
    assert_eq!(code(net.network.connect(datagram, &path("/s"))), libc::EPROTOTYPE);
    // Another host has other files.
    let other = net.open(1, Family::Unix, Kind::Stream);
    assert_eq!(code(net.network.connect(other, &path("/s"))), libc::ENOENT);
}

#[test]
fn a_full_backlog_refuses_a_stream_for_now() {
    let net = Net::new(1);
    let listener = stream_listener(&net, &path("/s"), 1);
    let connect = || {
        let id = net.open(0, Family::Unix, Kind::Stream);
        net.network.connect(id, &path("/s")).map(|()| id)
    };
    let waiting = [connect().unwrap(), connect().unwrap()];
    assert_eq!(code(connect()), libc::EAGAIN);
    net.network.accept(listener).unwrap();
    connect().unwrap();
    // The other two were not accepted.
    net.network.close(listener, None);
    assert_eq!(code(net.recv(waiting[1], 1)), libc::ECONNRESET);
    assert_eq!(net.recv(waiting[1], 1).unwrap(), b"");
    assert_eq!(code(net.send(waiting[1], b"x")), libc::EPIPE);
    assert_eq!(net.error(waiting[0]), None);
}

#[test]
fn a_path_stays_until_its_file_is_removed_and_an_abstract_name_does_not() {
    let net = Net::new(1);
    let listener = stream_listener(&net, &path("/s"), 1);
    net.network.close(listener, None);
    let client = net.open(0, Family::Unix, Kind::Stream);
    assert_eq!(code(net.network.connect(client, &path("/s"))), libc::ECONNREFUSED);
    assert_eq!(code(net.network.bind(client, &path("/s"))), libc::EADDRINUSE);
    assert!(net.network.unlink(0, Path::new("/s")) && !net.network.unlink(0, Path::new("/s")));
    assert_eq!(code(net.network.connect(client, &path("/s"))), libc::ENOENT);
    let again = stream_listener(&net, &path("/s"), 1);
    net.network.connect(client, &path("/s")).unwrap();
    // The end of an accepted connection leaves the listener its name.
    let (server, _) = net.network.accept(again).unwrap();
    net.network.close(server, None);
    let next = net.open(0, Family::Unix, Kind::Stream);
    net.network.connect(next, &path("/s")).unwrap();

    let name = Address::Abstract(b"name".to_vec());
    let listener = stream_listener(&net, &name, 1);
    let other = net.open(0, Family::Unix, Kind::Stream);
    assert_eq!(code(net.network.bind(other, &name)), libc::EADDRINUSE);
    assert_eq!(code(net.network.bind(listener, &path("/t"))), libc::EINVAL);
    net.network.close(listener, None);
    net.network.bind(other, &name).unwrap();
    let unnamed = net.open(0, Family::Unix, Kind::Datagram);
    net.network.bind(unnamed, &Address::Unnamed).unwrap();
    assert!(matches!(net.network.local_addr(unnamed).unwrap(), Address::Abstract(name) if name.len() == 5));
}

#[test]
fn a_stream_is_shut_down_and_closed_as_on_linux() {
    let net = Net::new(1);
    let (a, b) = pair(&net, Kind::Stream);
    let steps =
        |label: &str, of_a: &str, of_b: &str| assert_eq!((&*net.take(a), &*net.take(b)), (of_a, of_b), "{label}");
    net.send(a, b"q").unwrap();
    steps("send", "", "in|out");
    net.network.shutdown(a, Shutdown::Write).unwrap();
    steps("shutdown", "out", "in|out|rdhup");
    assert_eq!((net.recv(b, 9).unwrap(), net.recv(b, 9).unwrap()), (b"q".to_vec(), Vec::new()));
    assert_eq!(code(net.send(a, b"1")), libc::EPIPE);
    net.send(b, b"x").unwrap();
    steps("answer", "in|out", "");
    net.network.shutdown(a, Shutdown::Read).unwrap();
    steps("shutdown of reads", "in|out|rdhup|hup", "in|out|rdhup|hup");
    assert_eq!(code(net.send(b, b"1")), libc::EPIPE);
    assert_eq!((net.recv(a, 9).unwrap(), net.recv(a, 9).unwrap()), (b"x".to_vec(), Vec::new()));
    net.network.close(b, None);
    steps("close", "in|out|rdhup|hup", "");
    assert_eq!(net.network.peer_addr(a).unwrap(), Address::Unnamed);

    let (a, b) = pair(&net, Kind::Stream);
    net.send(b, b"data").unwrap();
    net.take(a);
    net.network.close(b, None);
    assert_eq!(net.take(a), "in|out|rdhup|hup");
    assert_eq!(code(net.send(a, b"x")), libc::EPIPE);
    assert_eq!(net.recv(a, 9).unwrap(), b"data");
    assert_eq!(net.error(a), None);

    let (a, b) = pair(&net, Kind::Stream);
    net.send(a, b"not read").unwrap();
    net.network.close(b, None);
    assert_eq!(net.take(a), "in|out|rdhup|hup|err");
    assert_eq!(code(net.recv(a, 1)), libc::ECONNRESET);
    assert_eq!(net.recv(a, 1).unwrap(), b"");
}

#[test]
fn a_stream_takes_as_many_bytes_as_on_linux() {
    // Length of a write, bytes until it is full, bytes to read until the writer has an edge.
    for (length, full, read) in [
        (1, 278, 209),
        (10, 2780, 2090),
        (100, 27_800, 20_900),
        (1000, 93_000, 70_000),
        (4096, 180_224, 139_264),
        (65_536, 233_152, 196_608),
        (1 << 20, 219_264, 219_264),
    ] {
        let net = Net::new(1);
        let (a, b) = pair(&net, Kind::Stream);
        let bytes = vec![7; length];
        let sent: usize = std::iter::from_fn(|| net.send(a, &bytes).ok()).sum();
        assert_eq!(sent, full, "{length}");
        assert_eq!(net.take(a), "");
        let mut done = 0;
        while net.take(a).is_empty() {
            done += net.recv(b, (length / 4).max(1)).unwrap().len();
        }
        // Linux frees a piece when the next one is read.
        assert!(done <= read && done + 36_544 >= read && done * 2 > read, "{length}: {done} of {read}");
        done += net.drain(b).len();
        assert_eq!(done, full);
        assert_eq!(net.take(a), "", "one edge for one wait");
    }
}

#[test]
fn datagrams_of_a_pair_keep_their_bounds_and_fill_a_buffer() {
    let net = Net::new(1);
    let (a, b) = pair(&net, Kind::Datagram);
    net.send(a, b"hello").unwrap();
    net.send(a, b"").unwrap();
    assert_eq!(net.take(b), "in|out in|out");
    assert_eq!(net.recv(b, 2).unwrap(), b"he");
    assert_eq!(net.recv(b, 2).unwrap(), b"");
    assert_eq!(code(net.recv(b, 2)), libc::EAGAIN);
    let full = std::iter::from_fn(|| net.send(a, b"x").ok()).count();
    assert_eq!((full, code(net.send(a, b"x"))), (278, libc::EAGAIN));
    let read = (1..).find(|_| {
        net.recv(b, 1).unwrap();
        !net.take(a).is_empty()
    });
    assert_eq!(read, Some(209));
    assert_eq!(code(net.send(a, &[0; 212_961])), libc::EMSGSIZE);
    net.network.close(b, None);
    assert_eq!([code(net.send(a, b"1")), code(net.send(a, b"1"))], [libc::ECONNREFUSED, libc::ENOTCONN]);
    assert_eq!(code(net.recv(a, 1)), libc::EAGAIN);
    assert_eq!(code(net.network.peer_addr(a)), libc::ENOTCONN);
}

#[test]
fn a_queue_of_datagrams_has_a_limit_and_a_connected_sender_an_edge() {
    let net = Net::new(1);
    let receiver = net.open(0, Family::Unix, Kind::Datagram);
    net.network.bind(receiver, &path("/d")).unwrap();
    let sender = net.open(0, Family::Unix, Kind::Datagram);
    assert_eq!(code(net.send(sender, b"1")), libc::ENOTCONN);
    assert_eq!(code(net.network.send_to(sender, b"1", &path("/none"))), libc::ENOENT);
    let full = std::iter::from_fn(|| net.network.send_to(sender, b"x", &path("/d")).ok()).count();
    assert_eq!(full, 11);
    net.recv(receiver, 1).unwrap();
    assert_eq!(net.take(sender), "out");
    net.network.connect(sender, &path("/d")).unwrap();
    assert_eq!(net.network.peer_addr(sender).unwrap(), path("/d"));
    net.send(sender, b"1").unwrap();
    assert_eq!(code(net.send(sender, b"1")), libc::EAGAIN);
    assert_eq!(net.take(sender), "");
    let (count, from) = net.network.recv_from(receiver, &mut [0; 9], false).unwrap();
    assert_eq!((count, from), (1, Address::Unnamed));
    assert_eq!(net.take(sender), "out");
    net.network.close(receiver, None);
    assert_eq!([code(net.send(sender, b"1")), code(net.send(sender, b"1"))], [libc::ECONNREFUSED, libc::ENOTCONN]);
    assert_eq!(code(net.network.send_to(sender, b"1", &path("/d"))), libc::ECONNREFUSED);
}

#[test]
fn a_datagram_socket_that_is_connected_accepts_from_its_peer_alone() {
    let net = Net::new(1);
    let [a, b, c] = [1, 2, 3].map(|_| net.open(0, Family::Unix, Kind::Datagram));
    let name = |id: SocketId| Address::Abstract(id.0.to_string().into_bytes());
    [a, b, c].into_iter().for_each(|id| net.network.bind(id, &name(id)).unwrap());
    net.network.connect(a, &name(b)).unwrap();
    assert_eq!(code(net.network.send_to(c, b"x", &name(a))), libc::EPERM);
    assert_eq!(code(net.network.connect(c, &name(a))), libc::EPERM);
    assert_eq!(net.network.send_to(b, b"x", &name(a)).unwrap(), 1);
    net.network.shutdown(b, Shutdown::Both).unwrap();
    assert_eq!(code(net.send(a, b"x")), libc::EPIPE);
}

#[test]
fn the_names_of_a_host_end_with_it() {
    let net = Net::new(1);
    stream_listener(&net, &path("/run/s"), 1);
    net.network.crash(0);
    net.network.restart(0);
    let client = net.open(0, Family::Unix, Kind::Stream);
    assert_eq!(code(net.network.connect(client, &path("/run/s"))), libc::ENOENT);
    stream_listener(&net, &path("/run/s"), 1);
    net.network.connect(client, &path("/run/s")).unwrap();
}

//! Faults of links and hosts.

use super::*;

fn exact(net: &Net, latency: Duration) {
    net.network.set_link(None, None, &mut |link| link.latency = latency..latency);
}

#[test]
fn latency_is_within_its_range_and_differs() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network
        .set_link(Some(0), Some(1), &mut |link| link.latency = Duration::from_millis(5)..Duration::from_millis(9));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let start = net.now();
        net.send(a, b"x").unwrap();
        while net.recv(b, 1).is_err() {
            assert!(net.step());
        }
        let took = net.now() - start;
        assert!(took >= Duration::from_millis(5) && took < Duration::from_millis(9), "{took:?}");
        seen.insert(took);
    }
    assert!(seen.len() > 40);
}

#[test]
fn bandwidth_delays_what_is_sent_at_once() {
    let net = Net::new(1);
    exact(&net, Duration::from_millis(1));
    let (a, b) = net.connection(0, 1);
    net.network.set_link(Some(0), Some(1), &mut |link| link.bandwidth = Some(1_000_000));
    let start = net.now();
    net.send(a, &vec![1; 100_000]).unwrap();
    let mut arrived = 0;
    while arrived < 100_000 {
        assert!(net.step());
        arrived += net.drain(b).len();
    }
    assert_eq!(net.now() - start, Duration::from_millis(101));
}

#[test]
fn a_lossy_link_makes_a_stream_late_but_keeps_its_order() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.set_link(None, None, &mut |link| link.loss = 0.3);
    let start = net.now();
    let bytes: Vec<u8> = (0..100).collect();
    for byte in &bytes {
        net.send(a, &[*byte]).unwrap();
    }
    net.run();
    assert_eq!(net.drain(b), bytes);
    assert!(net.now() - start >= Duration::from_millis(200));
    assert!(net.faults(Fault::Late) > 10);
}

#[test]
fn a_link_that_refuses_resets_connections_and_refuses_new_ones() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    let (_, address) = net.listener(1, 4);
    let udp = net.open(0, Family::V4, Kind::Datagram);
    net.network.connect(udp, &address).unwrap();
    net.set_state(0, 1, LinkState::Refused);
    let client = net.client(0, &address);
    net.send(a, b"x").unwrap();
    net.send(udp, b"x").unwrap();
    net.run();
    assert_eq!(net.error(client), Some(libc::ECONNREFUSED));
    assert_eq!(net.error(a), Some(libc::ECONNRESET));
    assert_eq!(net.error(udp), Some(libc::ECONNREFUSED));
    // The other end does not know it.
    assert_eq!((net.take(b), code(net.recv(b, 1))), (String::new(), libc::EAGAIN));
}

#[test]
fn a_black_hole_makes_connect_time_out() {
    let net = Net::new(1);
    let (_, address) = net.listener(1, 4);
    net.set_state(0, 1, LinkState::BlackHole);
    let client = net.client(0, &address);
    net.run();
    assert_eq!(net.error(client), Some(libc::ETIMEDOUT));
    assert_eq!(net.now(), Duration::from_secs(127));
}

#[test]
fn a_black_hole_one_way_loses_answers_too() {
    // The server's answer to the SYN is lost, and sent again after the link is back.
    let net = Net::new(1);
    let (listener, address) = net.listener(1, 4);
    net.set_state(1, 0, LinkState::BlackHole);
    let client = net.client(0, &address);
    net.run_for(Duration::from_secs(4));
    assert_eq!(code(net.network.accept(listener)), libc::EAGAIN);
    net.set_state(1, 0, LinkState::Up);
    net.run_for(Duration::from_secs(4));
    assert_eq!(net.take(client), "out");
    let (server, _) = net.network.accept(listener).unwrap();
    assert_eq!(code(net.network.accept(listener)), libc::EAGAIN);
    // Data arrives, but its acknowledgement does not.
    net.set_state(1, 0, LinkState::BlackHole);
    net.send(client, b"once").unwrap();
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.recv(server, 99).unwrap(), b"once");
    assert_eq!(code(net.recv(server, 99)), libc::EAGAIN);
    net.run();
    assert_eq!(net.error(client), Some(libc::ETIMEDOUT));
}

#[test]
fn streams_survive_a_partition_that_heals_and_time_out_in_one_that_does_not() {
    let net = Net::new(1);
    exact(&net, Duration::from_millis(1));
    let (a, b) = net.connection(0, 1);
    net.send(a, b"on its way ").unwrap();
    net.network.partition(&[0], &[1, 2]);
    net.send(a, b"lost").unwrap();
    net.run_for(Duration::from_secs(10));
    assert_eq!(code(net.recv(b, 99)), libc::EAGAIN);
    assert_eq!(net.error(a), None);
    net.network.heal();
    // The retransmission times are 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s after the loss.
    net.run_for(Duration::from_secs(2));
    assert_eq!(code(net.recv(b, 99)), libc::EAGAIN);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.recv(b, 99).unwrap(), b"on its way lost");
    net.run();

    net.network.partition(&[1], &[0]);
    let start = net.now();
    net.send(a, b"never").unwrap();
    net.run();
    assert_eq!(net.now() - start, Duration::from_millis(924_600));
    assert_eq!(net.take(a).split(' ').next_back(), Some("in|out|rdhup|hup|err"));
    assert_eq!(code(net.send(a, b"x")), libc::ETIMEDOUT);
    assert_eq!(code(net.send(a, b"x")), libc::EPIPE);
    // The other end waits forever.
    net.network.heal();
    net.run();
    assert_eq!(code(net.recv(b, 1)), libc::EAGAIN);
    net.send(b, b"x").unwrap();
    net.run();
    assert_eq!(net.error(b), Some(libc::ECONNRESET));
}

#[test]
fn a_partition_separates_no_other_hosts_and_no_host_from_itself() {
    let net = Net::new(1);
    net.network.partition(&[0, 1], &[2, 0]);
    for (from, to, is_up) in [(0, 2, false), (2, 1, false), (0, 1, false), (0, 0, true), (2, 3, true)] {
        let (listener, address) = net.listener(to, 4);
        let client = net.client(from, &address);
        net.run_for(Duration::from_millis(50));
        assert_eq!(net.network.accept(listener).is_ok(), is_up, "{from} {to}");
        net.network.close(client, None);
    }
}

#[test]
fn a_fin_and_a_window_that_are_lost_are_sent_again() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.partition(&[0], &[1]);
    net.network.close(a, None);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.take(b), "");
    net.network.heal();
    net.run();
    assert_eq!(net.take(b), "in|out|rdhup");

    let (a, b) = net.connection(0, 1);
    let mut sent = 0;
    while let Ok(count) = net.send(a, &[1; 1 << 14]) {
        sent += count;
        net.run();
    }
    net.network.partition(&[0], &[1]);
    let mut read = net.drain(b).len();
    net.network.heal();
    while read < sent {
        assert!(net.step(), "{read} of {sent}");
        read += net.drain(b).len();
    }
}

#[test]
fn a_crashed_host_is_half_open_until_it_is_up_again() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    let (_, address) = net.listener(1, 4);
    net.send(b, b"last words").unwrap();
    net.network.crash(1);
    net.run();
    // What was on its way arrives. Nothing else tells of the crash.
    assert_eq!(net.take(a), "in|out");
    assert_eq!(net.recv(a, 99).unwrap(), b"last words");
    for result in [net.send(b, b"x").map(drop), net.network.listen(b, 1), net.recv(b, 1).map(drop)] {
        assert_eq!(code(result), libc::EIO);
    }
    net.network.close(b, None);
    net.send(a, b"x").unwrap();
    let client = net.client(0, &address);
    net.run_for(Duration::from_secs(2));
    assert_eq!((net.take(a), net.error(a), net.error(client)), (String::new(), None, None));
    net.network.restart(1);
    net.run();
    assert_eq!(net.error(a), Some(libc::ECONNRESET));
    assert_eq!(net.error(client), Some(libc::ECONNREFUSED));
    // Its ports are free.
    let listener = net.network.open(1, Family::V4, Kind::Stream);
    net.network.bind(listener, &address).unwrap();
    net.network.listen(listener, 1).unwrap();
    let client = net.client(0, &address);
    net.run();
    assert_eq!(net.take(client), "out");
}

#[test]
fn sockets_of_a_host_that_is_down_do_not_work() {
    let net = Net::new(1);
    net.network.crash(0);
    let id = net.network.open(0, Family::V4, Kind::Stream);
    assert_eq!(code(net.network.bind(id, &v4(Ipv4Addr::LOCALHOST.into(), 80))), libc::EIO);
}

#[test]
fn a_client_whose_answer_is_lost_times_out_and_takes_no_place_in_the_backlog() {
    let net = Net::new(1);
    let (listener, address) = net.listener(1, 0);
    net.set_state(1, 0, LinkState::BlackHole);
    let client = net.client(0, &address);
    net.run();
    assert_eq!((net.error(client), net.now()), (Some(libc::ETIMEDOUT), Duration::from_secs(127)));
    let other = net.client(2, &address);
    net.run();
    assert_eq!(net.take(other), "out");
    assert!(net.network.accept(listener).is_ok());
}

#[test]
fn a_handshake_whose_last_segment_is_lost_is_completed_later() {
    let net = Net::new(1);
    exact(&net, Duration::from_millis(1));
    let (listener, address) = net.listener(1, 4);
    let client = net.client(0, &address);
    net.step();
    net.set_state(0, 1, LinkState::BlackHole);
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.take(client), "out");
    assert_eq!(code(net.network.accept(listener)), libc::EAGAIN);
    net.set_state(0, 1, LinkState::Up);
    net.run_for(Duration::from_secs(2));
    let (server, _) = net.network.accept(listener).unwrap();
    net.send(server, b"hello").unwrap();
    net.run();
    assert_eq!(net.recv(client, 9).unwrap(), b"hello");
}

#[test]
fn connections_between_two_hosts_are_reset_on_demand() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    let (c, d) = net.connection(0, 2);
    net.network.reset(1, 0);
    for id in [a, b] {
        assert_eq!(net.take(id), "in|out|rdhup|hup|err");
        assert_eq!(net.error(id), Some(libc::ECONNRESET));
    }
    assert_eq!((net.error(c), net.error(d)), (None, None));
    assert_eq!(net.faults(Fault::Reset), 2);
}

#[test]
fn packets_of_an_earlier_connection_do_not_reach_the_next_one_of_the_socket() {
    let net = Net::new(1);
    exact(&net, Duration::from_millis(500));
    let nowhere = v4(net.network.address_of(2), 9);
    let (_, first) = net.listener(1, 4);
    for earlier in [first, nowhere] {
        let client = net.client(0, &earlier);
        net.network.shutdown(client, std::net::Shutdown::Both).unwrap();
        assert_eq!((&*net.take(client), net.error(client)), ("out|hup|err", Some(libc::ECONNRESET)));
        let (listener, other) = net.listener(2, 4);
        assert_eq!(code(net.network.connect(client, &other)), libc::EINPROGRESS);
        net.run();
        assert_eq!(net.error(client), None);
        assert_eq!(net.network.peer_addr(client).unwrap(), other);
        let (server, _) = net.network.accept(listener).unwrap();
        net.send(client, b"hello").unwrap();
        net.run();
        assert_eq!(net.recv(server, 9).unwrap(), b"hello");
    }
}

#[test]
fn a_link_within_a_host_may_be_slow_for_a_while() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 0);
    let bytes: Vec<u8> = (0..60).collect();
    for byte in &bytes {
        let latency = Duration::from_micros(if byte % 20 < 10 { 50 } else { 0 });
        net.network.set_link(Some(0), Some(0), &mut |link| link.latency = latency..latency);
        net.send(a, &[*byte]).unwrap();
        net.run_for(Duration::from_micros(7));
    }
    net.run();
    assert_eq!(net.drain(b), bytes);
    assert!(net.now() < Duration::from_millis(1), "no segment was sent twice: {:?}", net.now());
}

#[test]
fn a_link_that_loses_everything_is_a_black_hole() {
    let net = Net::new(1);
    let (a, b) = net.connection(0, 1);
    net.network.set_link(Some(0), Some(1), &mut |link| link.loss = 1.0);
    net.send(a, b"x").unwrap();
    net.run();
    assert_eq!(net.error(a), Some(libc::ETIMEDOUT));
    assert_eq!(net.recv(b, 1).map_err(|error| error.raw_os_error()), Err(Some(libc::EAGAIN)));
}

#[test]
fn a_host_that_has_crashed_connects_again_from_another_port_or_after_a_reset_of_the_old_connection() {
    let net = Net::new(1);
    let (listener, address) = net.listener(1, 4);
    let client = net.client(0, &address);
    let old_port = port(&net.network, client);
    net.run();
    let (server, _) = net.network.accept(listener).unwrap();
    net.watch(server);
    net.network.crash(0);
    net.network.restart(0);
    let other = net.client(0, &address);
    assert_ne!(port(&net.network, other), old_port);
    net.run();
    assert_eq!((net.take(other), net.take(server)), ("out".to_owned(), String::new()));
    assert!(net.network.accept(listener).is_ok());

    let again = net.network.open(0, Family::V4, Kind::Stream);
    net.network.bind(again, &v4(Ipv4Addr::UNSPECIFIED.into(), old_port)).unwrap();
    assert_eq!(code(net.network.connect(again, &address)), libc::EINPROGRESS);
    let start = net.now();
    net.run();
    assert_eq!(net.error(server), Some(libc::ECONNRESET));
    assert!(net.network.accept(listener).is_ok());
    assert!(net.now() - start > Duration::from_secs(1));
    // Nothing of it is left: the port is free after all have closed.
    net.network.close(again, Some(Duration::ZERO));
    net.network.close(other, Some(Duration::ZERO));
    net.network.close(listener, None);
    net.run();
    let strict = net.network.open(1, Family::V4, Kind::Stream);
    net.network.bind(strict, &address).unwrap();
}

#[test]
fn an_acknowledgement_of_earlier_bytes_does_not_forget_those_that_were_lost() {
    let net = Net::new(1);
    exact(&net, Duration::from_millis(1));
    let (a, b) = net.connection(0, 1);
    net.send(a, b"early ").unwrap();
    net.run_for(Duration::from_micros(1500));
    // The acknowledgement is on its way.
    net.set_state(0, 1, LinkState::BlackHole);
    net.send(a, b"lost").unwrap();
    net.run_for(Duration::from_millis(10));
    net.set_state(0, 1, LinkState::Up);
    net.run_for(Duration::from_millis(250));
    assert_eq!(net.drain(b), b"early lost");
    // Nothing waits for a timer after that.
    let start = net.now();
    net.send(a, b"x").unwrap();
    while net.recv(b, 1).is_err() {
        assert!(net.step());
    }
    assert_eq!(net.now() - start, Duration::from_millis(1));
}

#[test]
fn the_last_acknowledgement_of_a_connection_may_be_lost() {
    for closes in [false, true] {
        let net = Net::new(1);
        exact(&net, Duration::from_millis(1));
        let (a, b) = net.connection(0, 1);
        net.network.shutdown(a, std::net::Shutdown::Write).unwrap();
        net.run();
        net.network.shutdown(b, std::net::Shutdown::Write).unwrap();
        net.set_state(0, 1, LinkState::BlackHole);
        net.run_for(Duration::from_millis(2));
        assert_eq!(code(net.network.peer_addr(a)), libc::ENOTCONN);
        if closes {
            net.network.close(a, None);
        }
        net.set_state(0, 1, LinkState::Up);
        net.run();
        assert_eq!(net.error(b), None);
        assert_eq!(code(net.network.peer_addr(b)), libc::ENOTCONN);
    }
}

#[test]
fn a_lost_acknowledgement_does_not_delay_the_data_after_it() {
    let net = Net::new(1);
    exact(&net, Duration::from_millis(1));
    let (a, b) = net.connection(0, 1);
    net.network.set_link(Some(1), Some(0), &mut |link| link.loss = 0.9);
    for _ in 0..20 {
        net.send(a, b"x").unwrap();
        net.run_for(Duration::from_millis(2));
    }
    assert_eq!(net.drain(b).len(), 20);
    assert!(net.faults(Fault::Late) > 10);
    net.network.set_link(Some(1), Some(0), &mut |link| link.loss = 0.0);
    net.send(b, b"y").unwrap();
    net.run_for(Duration::from_millis(1));
    assert_eq!(net.recv(a, 9).unwrap(), b"y");
}

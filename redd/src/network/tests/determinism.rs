//! One seed has one run: the same events at the same times, and the same edges.

use super::*;

/// A run with many kinds of traffic and faults. Returns its events and the bytes that were read.
fn run(seed: u64) -> (Vec<SeenEvent>, Vec<u8>) {
    let net = Net::new(seed);
    net.network.set_short(20);
    net.network.set_link(None, None, &mut |link| (link.loss, link.reorder, link.duplicate) = (0.1, 0.1, 0.1));
    let pairs: Vec<_> = (0..8).map(|number| net.connection(number % 3, (number + 1) % 4)).collect();
    let receiver = net.open(3, Family::V4, Kind::Datagram);
    net.network.bind(receiver, &v4(Ipv4Addr::UNSPECIFIED.into(), 53)).unwrap();
    let sender = net.open(0, Family::V4, Kind::Datagram);
    let mut read = Vec::new();
    for round in 0..20_u8 {
        for (client, server) in &pairs {
            let _ = net.send(*client, &[round; 1000]);
            let _ = net.send(*server, &[round; 10]);
        }
        let _ = net.network.send_to(sender, &[round], &v4(net.network.address_of(3), 53));
        if round == 7 {
            net.network.partition(&[0, 1], &[2, 3]);
        }
        if round == 12 {
            net.network.heal();
            net.network.crash(2);
        }
        net.run_for(Duration::from_millis(3));
        for (client, server) in &pairs {
            read.extend(net.drain(*client));
            read.extend(net.drain(*server));
        }
        read.extend(std::iter::from_fn(|| net.recv(receiver, 9).ok()).flatten());
    }
    net.network.restart(2);
    net.run();
    let events = std::mem::take(&mut *net.outside.events.lock().unwrap());
    (events, read)
}

#[test]
fn one_seed_has_one_run_and_seeds_differ() {
    let first = run(1);
    assert!(first.0.len() > 500 && first.1.len() > 10_000);
    for seed in 1..20 {
        let (events, read) = run(seed);
        assert_eq!(run(seed), (events.clone(), read), "seed {seed}");
        assert_eq!(events == first.0, seed == 1);
    }
}

#[test]
fn events_have_the_length_and_the_kind_of_each_packet() {
    use EventKind::{NetDelivered, NetSent};
    let net = Net::new(1);
    let taken = |net: &Net| -> Vec<(EventKind, u32, [u32; 2])> {
        let events = std::mem::take(&mut *net.outside.events.lock().unwrap());
        events.into_iter().map(|(_, kind, subject, arguments)| (kind, subject, arguments)).collect()
    };
    let (listener, address) = net.listener(0, 1);
    let client = net.client(0, &address);
    let (server, _) = net.network.accept(listener).unwrap();
    let (l, c, s) = (listener.0, client.0, server.0);
    let handshake = [
        (NetSent, c, [0, 1]),
        (NetDelivered, l, [0, 1]),
        (NetSent, s, [0, 2]),
        (NetDelivered, c, [0, 2]),
        (NetSent, c, [0, 3]),
        (NetDelivered, s, [0, 3]),
    ];
    assert_eq!(taken(&net), handshake);
    net.send(client, b"hello").unwrap();
    let data = [(NetSent, c, [5, 4]), (NetDelivered, s, [5, 4]), (NetSent, s, [0, 6]), (NetDelivered, c, [0, 6])];
    assert_eq!(taken(&net), data);

    let (a, b) = net.network.pair(0, Kind::Stream);
    net.send(a, b"hello").unwrap();
    assert_eq!(taken(&net), [(NetSent, a.0, [5, 12]), (NetDelivered, b.0, [5, 12])]);
    let (a, b) = net.network.pair(0, Kind::Datagram);
    net.send(a, b"hello").unwrap();
    assert_eq!(taken(&net), [(NetSent, a.0, [5, 12]), (NetDelivered, b.0, [5, 12])]);
    let (a, b) = (net.open(0, Family::V4, Kind::Datagram), net.open(0, Family::V4, Kind::Datagram));
    net.network.bind(b, &v4(Ipv4Addr::LOCALHOST.into(), 53)).unwrap();
    net.network.send_to(a, b"hello", &v4(Ipv4Addr::LOCALHOST.into(), 53)).unwrap();
    assert_eq!(taken(&net), [(NetSent, a.0, [5, 10]), (NetDelivered, b.0, [5, 10])]);
}

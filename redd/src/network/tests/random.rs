//! Random traffic over links that fail at random: what is read is the beginning of what was sent, and everything arrives in the end if
//! no end has an error.

use super::*;
use crate::primitives::rng::Rng;
use std::net::Shutdown;

/// One direction of a connection.
#[derive(Default)]
struct Direction {
    sent: Vec<u8>,
    received: Vec<u8>,
    is_shut: bool,
    has_ended: bool,
}

struct Run {
    net: Net,
    rng: Rng,
    /// Links refuse, hosts crash, and sockets are closed, too.
    is_wild: bool,
    /// Both ends of each connection, and the direction that starts at each.
    connections: Vec<([SocketId; 2], [Direction; 2])>,
}

impl Run {
    fn new(seed: u64, is_wild: bool) -> Self {
        let net = Net::new(seed);
        let hosts = [(0, 1), (1, 0), (1, 2), (2, 2)];
        let connections = hosts.map(|(from, to)| {
            let (client, server) = net.connection(from, to);
            for id in [client, server] {
                net.network.set_buffers(id, Some(9000), Some(7000));
            }
            ([client, server], Default::default())
        });
        Self { net, rng: Rng::new(seed ^ 99), is_wild, connections: connections.into() }
    }

    fn below(&self, bound: u32) -> usize {
        self.rng.below(bound) as usize
    }

    fn step(&mut self) {
        let (number, end) = (self.below(4), self.below(2));
        let length = 1 + self.below(6000);
        let (from, to) = (self.below(3), self.below(3));
        match self.below(20) {
            0..7 => {
                let (ids, directions) = &mut self.connections[number];
                let start = directions[end].sent.len();
                let bytes: Vec<u8> = (start..start + length).map(|at| (at % 251) as u8).collect();
                if !directions[end].is_shut {
                    let count = self.net.send(ids[end], &bytes).unwrap_or(0);
                    directions[end].sent.extend(&bytes[..count]);
                }
            }
            7..14 => self.read(number, end, length),
            14 => {
                let (ids, directions) = &mut self.connections[number];
                if length < 600 {
                    directions[end].is_shut = true;
                    let _ = self.net.network.shutdown(ids[end], Shutdown::Write);
                }
            }
            15 => self.net.network.partition(&[from], &[to]),
            16 => self.net.network.heal(),
            17 if from != to => self.net.network.set_link(Some(from), Some(to), &mut |link| {
                link.state = if link.state == LinkState::Up { LinkState::BlackHole } else { LinkState::Up };
            }),
            18 if self.is_wild => self.disturb(number, end, from, to),
            _ => self.net.run_for(Duration::from_micros(length as u64)),
        }
    }

    fn disturb(&mut self, number: usize, end: usize, from: usize, to: usize) {
        match self.below(5) {
            0 => self.net.network.close(self.connections[number].0[end], None),
            1 => self.net.network.close(self.connections[number].0[end], Some(Duration::ZERO)),
            2 => self.net.network.reset(from, to),
            3 => {
                self.net.network.crash(from);
                self.net.network.restart(from);
            }
            _ => self.net.set_state(from, to, LinkState::Refused),
        }
    }

    /// Reads at this end what the other one has sent.
    fn read(&mut self, number: usize, end: usize, length: usize) {
        let (ids, directions) = &mut self.connections[number];
        let direction = &mut directions[1 - end];
        match self.net.recv(ids[end], length) {
            Ok(bytes) if bytes.is_empty() => direction.has_ended = true,
            Ok(bytes) => direction.received.extend(bytes),
            Err(error) => assert!(self.is_wild || error.kind() == io::ErrorKind::WouldBlock, "{error}"),
        }
        assert!(direction.sent.starts_with(&direction.received));
    }
}

#[test]
fn no_byte_is_lost_doubled_or_out_of_order() {
    let mut lost = 0;
    for seed in 0..100 {
        let mut run = Run::new(seed, false);
        (0..200).for_each(|_| run.step());
        run.net.network.heal();
        run.net.network.set_link(None, None, &mut |link| link.state = LinkState::Up);
        for _ in 0..20 {
            run.net.run();
            (0..8).for_each(|number| run.read(number / 2, number % 2, 1 << 16));
        }
        lost += run.net.faults(Fault::Lost);
        for (ids, directions) in &run.connections {
            for (end, direction) in directions.iter().enumerate() {
                assert_eq!(run.net.error(ids[end]), None, "seed {seed}");
                assert_eq!(direction.received.len(), direction.sent.len(), "seed {seed}, socket {}", ids[end].0);
                assert_eq!(direction.has_ended, direction.is_shut, "seed {seed}");
            }
        }
    }
    assert!(lost > 500, "{lost} packets were lost");
}

#[test]
fn whatever_happens_to_a_connection_the_traffic_comes_to_an_end() {
    for seed in 0..200 {
        let mut run = Run::new(seed, true);
        (0..200).for_each(|_| run.step());
        run.net.network.heal();
        let mut arrivals = 0;
        while run.net.step() {
            arrivals += 1;
            assert!(arrivals < 10_000, "seed {seed}");
        }
        (0..8).for_each(|number| run.read(number / 2, number % 2, 1 << 16));
    }
}

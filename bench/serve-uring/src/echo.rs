//! Echo on a ring: the buffer that the kernel has filled is sent as it is, and given back when that is done.

use std::collections::VecDeque;

use crate::ring::{Buffer, Ring, Service};

#[derive(Default)]
pub struct Echo {
    connections: Vec<Connection>,
}

#[derive(Default)]
struct Connection {
    /// The first one is being sent. Two sends at once might change their order.
    unsent: VecDeque<Buffer>,
}

impl Service for Echo {
    fn opened(&mut self, _: &mut Ring, connection: u32) {
        assert_eq!(connection as usize, self.connections.len(), "numbers are given in turn");
        self.connections.push(Connection::default());
    }

    fn received(&mut self, ring: &mut Ring, connection: u32, buffer: Buffer) {
        let unsent = &mut self.connections[connection as usize].unsent;
        unsent.push_back(buffer);
        if unsent.len() == 1 {
            send(ring, connection, buffer);
        }
    }

    fn ended(&mut self, _: &mut Ring, _: u32) {}

    fn sent(&mut self, ring: &mut Ring, connection: u32, tag: u16) {
        ring.give_back(tag);
        let unsent = &mut self.connections[connection as usize].unsent;
        unsent.pop_front();
        if let Some(&next) = unsent.front() {
            send(ring, connection, next);
        }
    }
}

fn send(ring: &mut Ring, connection: u32, buffer: Buffer) {
    let bytes = ring.bytes(buffer).as_ptr();
    // SAFETY: the kernel does not fill the buffer again before `sent` gives it back.
    unsafe { ring.send(connection, buffer.id, bytes, buffer.length) };
}

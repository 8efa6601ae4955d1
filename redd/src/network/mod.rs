//! The simulated network of a world: sockets, packets, links and their faults, as a state machine without threads and real sockets.
//!
//! Called by `driver` for the sockets of programs, by `fs` for the files of Unix sockets, and by `sim` for hosts and faults. [`of`]
//! returns the network of a world.
//!
//! - `handle` has the interface, the lock, and the effects of each call. `calls` chooses the protocol.
//! - `engine` has the state: hosts, sockets (`socket`), ports (`ports`), links (`link`), packets on their way (`packet`).
//! - `inet` has addresses of TCP and UDP. `stream` and `segments` have TCP: what programs call, and what arrives. `datagram` has UDP.
//! - `unix` and `unix_datagram` have Unix sockets, whose two ends are on one host and need no packets.
//! - `retry` has the times of retransmissions, `fault` the crash of a host, `describe` the dump.
//!
//! # What is simulated
//! The measure is Linux's loopback: the same errors in the same order, the same number of times, and the same readiness after each step.
//! - A link has latency, jitter, bandwidth, loss, reordering, duplicates, and may swallow or refuse packets. Within a host, packets
//!   arrive before the call returns that sends them.
//! - TCP has the handshake, backlogs, windows, half-close, resets, lingering closes, retransmission with Linux's times, ephemeral ports,
//!   and the wait of a port after a close.
//! - UDP has truncation, full buffers, and the error of a closed port for connected sockets.
//! - Unix sockets have paths of each host, abstract names, pairs, and the accounting of Linux's buffers.
//!
//! # What is not
//! - No congestion control, no delayed acknowledgements, no Nagle's algorithm, no keep-alive, no urgent data, no path MTU.
//! - A lost segment of a stream arrives later by a time-out, or is sent again once the link is up. A timer runs only after a loss.
//! - A listener reserves a place for each handshake, where Linux checks again at its end. A connection to its own address is refused.
//! - Edges of one call, or of packets of one instant, are one edge with all that is ready, as for a program that calls `epoll_wait`
//!   afterwards. A writer has an edge only if it has found no place before. Linux has further ones that say nothing new.
//! - Ancillary data, broadcast and multicast.
//!
//! # Cost
//! A round trip of one byte between two hosts has 8 events and takes 10 µs: 0.8 million events a second, on a machine of two cores
//! that had other work. No call looks at all sockets, except a crash and a dump.
//!
//! # Invariants
//! - `edges-after-lock`: sinks are called, and dropped, after the lock is released, with what is ready at the end of the call.
//! - `own-choices`: each link has a generator of its own, from the seed of the world. So neither the order of threads nor the traffic
//!   of other links changes the latency of a link's next packet.

mod address;
mod bytes;
mod calls;
mod datagram;
mod describe;
mod engine;
mod fault;
mod handle;
mod inet;
mod link;
mod packet;
mod ports;
mod retry;
mod segments;
mod socket;
mod stream;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
mod unix;
mod unix_datagram;

pub(crate) use address::{Address, Family, Kind, SocketId};
pub(crate) use handle::{Network, of};
pub(crate) use link::{Link, LinkState};
pub(crate) use socket::Sink;

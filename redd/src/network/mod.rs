//! The simulated network of a world: sockets, packets, links and their faults, as a state machine without threads and real sockets.
//!
//! Called by `driver` for the sockets of programs, and by `sim` for hosts and faults. [`of`] returns the network of a world.
//!
//! - `network` has the interface, the lock, and the effects of each call.
//! - `engine` has the state: hosts, sockets (`socket`), ports (`ports`), links (`link`), packets on their way (`packet`).
//! - `inet` has addresses of TCP and UDP. `stream` and `segments` have TCP: what programs call, and what arrives.
//! - `retry` has the times of retransmissions.
//! - `describe` has the dump.
//!
//! # Invariants
//! - `edges-after-lock`: sinks are called after the lock is released, with what is ready at the end of the call.

mod address;
mod bytes;
mod describe;
mod engine;
mod fault;
mod inet;
mod link;
mod network;
mod packet;
mod ports;
mod retry;
mod segments;
mod socket;
mod stream;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub(crate) use address::{Address, Family, Kind, SocketId};
pub(crate) use link::{Link, LinkState};
pub(crate) use network::{Network, of};
pub(crate) use socket::Sink;

//! A model of full recording that is switched on while a thread writes its first events, and another one reads.
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_recorder`.

use super::RingOnDemand;
use crate::primitives::checker::thread;
use crate::primitives::{Arc, mistake, model};

/// Reads all events, each of which must be whole. Returns how many there are.
fn read(rings: &RingOnDemand) -> usize {
    let mut events = Vec::new();
    let lost = rings.get().map_or(0, |ring| ring.copy(0, &mut events));
    assert!(events.iter().all(|[first, second]| *second == first + 100), "each event is whole");
    events.len() + lost as usize
}

/// Prepares the ring while its thread writes, and reads it.
fn switch_on() {
    let rings = Arc::new(RingOnDemand::new(2));
    let other = Arc::clone(&rings);
    let writer = thread::spawn(move || (0..2).for_each(|number| other.get_or_make().push([number, number + 100])));
    rings.prepare();
    assert!(read(&rings) <= 2);
    writer.join().unwrap();
    assert_eq!(read(&rings), 2, "no event is in another ring");
}

model!(loom_recorder_a_writer_and_the_switch_use_one_ring, switch_on);
mistake!(loom_recorder_catches_two_rings_for_one_thread, "another ring", patch "two rings for one thread", switch_on);

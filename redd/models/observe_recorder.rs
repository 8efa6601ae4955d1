//! Models of the rings of the flight recorder: a writer that overwrites, against a reader.
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_recorder`.

use super::Ring;
use crate::primitives::checker::thread;
use crate::primitives::{Arc, mistake, model};

/// A test of a model and one of the same model with a mistake.
macro_rules! model_and_mistake {
    ($name:ident, $mistaken:ident, $mistake:literal, $expected:literal, $closure:expr) => {
        model!($name, $closure);
        mistake!($mistaken, $expected, patch $mistake, $closure);
    };
}

/// Writes the events with these numbers.
fn write(ring: &Ring, numbers: std::ops::Range<u64>) {
    for number in numbers {
        ring.push([number, 100 + number]);
    }
}

/// Reads all events, and checks that each is whole, in its place, and that none is missing.
fn read(ring: &Ring) -> usize {
    let mut events = Vec::new();
    let lost = ring.copy(0, &mut events);
    for (number, [first, second]) in (lost..).zip(&events) {
        assert_eq!((*first, *second), (number, 100 + number), "each event is whole");
    }
    events.len()
}

model_and_mistake!(
    loom_recorder_a_reader_drops_what_was_overwritten_meanwhile,
    loom_recorder_catches_a_reader_that_keeps_overwritten_events,
    "a reader that keeps overwritten events",
    "each event is whole",
    || {
        let ring = Arc::new(Ring::new(2));
        write(&ring, 0..2);
        let other = Arc::clone(&ring);
        let writer = thread::spawn(move || write(&other, 2..4));
        assert!(read(&ring) <= 2);
        writer.join().unwrap();
        assert_eq!(read(&ring), 1);
    }
);

model_and_mistake!(
    loom_recorder_an_event_is_whole_once_it_is_counted,
    loom_recorder_catches_an_event_that_is_counted_too_early,
    "an event that is counted too early",
    "each event is whole",
    || {
        let ring = Arc::new(Ring::new(4));
        let other = Arc::clone(&ring);
        let reader = thread::spawn(move || assert!(read(&other) <= 2));
        write(&ring, 0..2);
        reader.join().unwrap();
        assert_eq!(read(&ring), 2);
    }
);

model_and_mistake!(
    loom_recorder_an_event_is_counted_before_its_slot_is_used_again,
    loom_recorder_catches_a_slot_that_is_used_again_too_early,
    "a slot that is used again too early",
    "each event is whole",
    || {
        let ring = Arc::new(Ring::new(2));
        write(&ring, 0..1);
        let other = Arc::clone(&ring);
        let writer = thread::spawn(move || write(&other, 1..4));
        assert!(read(&ring) <= 2);
        writer.join().unwrap();
    }
);

//! Models of the records of wait cells, against the thread that reads them for a dump.
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_cells`.

use std::panic::Location;

use crate::primitives::checker::thread;

use super::{CellRecord, WaitCell, collect};
use crate::observe::waiter::Subject;
use crate::observe::waiting::WaitKind;
use crate::primitives::reuse_pool::ModelPool;
use crate::primitives::{Arc, mistake, model};
use crate::sync::oneshot;
use crate::sync::senders::{Channel, Senders, Tx};
use crate::sync::testing::poll_once;

/// A test of a model and one of the same model with a mistake.
macro_rules! model_and_mistake {
    ($name:ident, $mistaken:ident, $mistake:literal, $expected:literal, $closure:expr) => {
        model!($name, $closure);
        mistake!($mistaken, $expected, patch $mistake, $closure);
    };
}

model_and_mistake!(
    loom_cells_show_a_wait_as_one,
    loom_cells_catch_a_task_of_the_next_wait,
    "a task of the next wait",
    "the parts belong together",
    || {
        two_waits(|record, location| {
            record.end();
            record.begin(2, WaitKind::MpscReceive, Some(location));
        });
    }
);

model_and_mistake!(
    loom_cells_show_a_wait_that_goes_on_elsewhere_as_one,
    loom_cells_catch_a_wait_that_does_not_end_before_the_next,
    "a wait that does not end before the next",
    "the parts belong together",
    || two_waits(|record, location| record.begin_again(2, WaitKind::MpscReceive, Some(location)))
);

/// A reader beside a wait and the next one, which `begin_next` begins at the location.
fn two_waits(begin_next: impl FnOnce(&CellRecord, &'static Location<'static>)) {
    let record = Arc::new(CellRecord::new());
    let other = Arc::clone(&record);
    let places = [Location::caller(), other_place()];
    let reader = thread::spawn(move || {
        if let Some(wait) = other.read() {
            let parts = (wait.task, wait.kind, wait.location.map(Location::line));
            let is_first = parts == (1, WaitKind::Oneshot, Some(places[0].line()));
            let is_second = parts == (2, WaitKind::MpscReceive, Some(places[1].line()));
            assert!(is_first || is_second, "the parts belong together");
        }
    });
    record.begin(1, WaitKind::Oneshot, Some(places[0]));
    begin_next(&record, places[1]);
    reader.join().unwrap();
    assert!(record.read().is_some());
}

#[track_caller]
fn other_place() -> &'static Location<'static> {
    Location::caller()
}

/// A channel of which only the senders are modelled.
struct Fake(Senders);

impl Channel for Fake {
    fn senders(&self) -> &Senders {
        &self.0
    }

    fn end(&self) {}
}

model_and_mistake!(
    loom_cells_count_the_senders_while_the_channel_lives,
    loom_cells_catch_senders_that_are_gone,
    "senders that are gone",
    "the senders of a channel that lives",
    || {
        let _pool = ModelPool::<CellRecord>::new();
        // It lives on: the count of two stands for freed memory.
        let channel = Arc::new(Fake(Senders::one()));
        let first = Tx::first(Arc::clone(&channel));
        let mut cell = WaitCell::new();
        // SAFETY: the channel lives until the cell is cleared below.
        unsafe { cell.begin_receive(WaitKind::MpscReceive, None, &channel.0) };
        let reader = thread::spawn(|| {
            let mut waiters = Vec::new();
            collect(&mut waiters);
            for waiter in waiters {
                let Subject::Channel { senders, .. } = waiter.subject else { unreachable!("it is a cell") };
                assert_eq!(senders, 1, "the senders of a channel that lives");
            }
        });
        cell.clear_receive();
        let second = first.clone();
        reader.join().unwrap();
        drop((first, second));
    }
);

model!(loom_cells_are_read_beside_a_receiver_that_is_dropped_and_the_next_one, || {
    let _pool = ModelPool::<CellRecord>::new();
    let (first_sender, mut first) = oneshot::channel::<()>();
    assert!(poll_once(std::pin::Pin::new(&mut first)).is_pending());
    let reader = thread::spawn(|| {
        let mut waiters = Vec::new();
        collect(&mut waiters);
        waiters.len()
    });
    drop(first);
    let (second_sender, mut second) = oneshot::channel::<()>();
    assert!(poll_once(std::pin::Pin::new(&mut second)).is_pending());
    assert!(reader.join().unwrap() <= 1);
    drop((first_sender, second_sender));
});

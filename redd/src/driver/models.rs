//! Models of a registration: events, clears, waiters and the reuse of a slot, in every order.
//!
//! The system is an atomic: an event is a store to it followed by `Slot::on_event`, which is the order in which a
//! descriptor changes and its event is harvested.

use super::readiness::ready::{Interest, Ready};
use super::readiness::slot::{Slot, Waited};
use super::readiness::state::{Direction, State};
use crate::collections::wake_list::WakeList;
use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitives::model;
use loom::future::block_on;
use loom::thread;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// A descriptor with so many bytes to read, and its registration.
struct Socket {
    bytes: AtomicUsize,
    slot: Slot,
}

impl Socket {
    fn new() -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), slot: Slot::new() })
    }

    fn receive(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        wake(|wakers| self.slot.on_event(0, Ready::READABLE, wakers));
    }

    /// Takes all bytes; `None` if it would block.
    fn try_read(&self) -> Option<usize> {
        match self.bytes.swap(0, Ordering::AcqRel) {
            0 => None,
            bytes => Some(bytes),
        }
    }

    /// What `Registration::poll_io` does.
    fn poll_read(&self, waker: &Waker) -> Poll<usize> {
        self.poll_read_by(|| self.slot.wait(Direction::Read, waker))
    }

    /// What `Registration::async_io` does.
    fn poll_read_listed(&self, ticket: &mut Option<u64>, waker: &Waker) -> Poll<usize> {
        self.poll_read_by(|| self.slot.wait_in_list(ticket, Interest::READABLE, waker))
    }

    fn poll_read_by(&self, mut wait: impl FnMut() -> Waited) -> Poll<usize> {
        loop {
            let mut seen = self.slot.state();
            if !seen.is_worth_trying(Interest::READABLE) {
                match wait() {
                    Waited::Pending => return Poll::Pending,
                    Waited::Ready(now) => seen = now,
                }
            }
            match self.try_read() {
                Some(bytes) => return Poll::Ready(bytes),
                None => self.slot.clear(seen, Interest::READABLE.mask()),
            }
        }
    }
}

fn wake(collect: impl FnOnce(&mut WakeList)) {
    let mut wakers = WakeList::new();
    collect(&mut wakers);
    wakers.wake_all();
}

fn ready(waited: Waited) -> Poll<State> {
    match waited {
        Waited::Ready(state) => Poll::Ready(state),
        Waited::Pending => Poll::Pending,
    }
}

model!(loom_no_edge_is_lost_between_events_clears_and_waits, || {
    let socket = Socket::new();
    let events = Arc::clone(&socket);
    let driver = thread::spawn(move || {
        events.receive(1);
        events.receive(1);
    });
    let mut read = 0;
    while read < 2 {
        read += block_on(poll_fn(|cx| socket.poll_read(cx.waker())));
    }
    driver.join().expect("no panic");
});

model!(loom_two_threads_that_harvest_at_once_lose_no_edge, || {
    let socket = Socket::new();
    let drivers: Vec<_> = (0..2)
        .map(|_| {
            let events = Arc::clone(&socket);
            thread::spawn(move || events.receive(1))
        })
        .collect();
    let mut read = 0;
    while read < 2 {
        read += block_on(poll_fn(|cx| socket.poll_read(cx.waker())));
    }
    for driver in drivers {
        driver.join().expect("no panic");
    }
});

model!(loom_a_waiter_in_the_list_is_woken_though_another_leaves_it, || {
    let socket = Socket::new();
    let events = Arc::clone(&socket);
    let leaver = Arc::clone(&socket);
    let driver = thread::spawn(move || events.receive(1));
    let leaving = thread::spawn(move || {
        let mut ticket = None;
        let waited = leaver.slot.wait_in_list(&mut ticket, Interest::READABLE, &Waker::noop().clone());
        drop(waited);
        if let Some(ticket) = ticket {
            leaver.slot.leave_list(ticket);
        }
    });
    let mut ticket = None;
    let read = block_on(poll_fn(|cx| socket.poll_read_listed(&mut ticket, cx.waker())));
    assert_eq!(read, 1);
    driver.join().expect("no panic");
    leaving.join().expect("no panic");
});

model!(loom_a_stale_event_does_not_touch_the_next_use_and_the_next_use_loses_nothing, || {
    let slot = Arc::new(Slot::new());
    let late = Arc::clone(&slot);
    // Harvested for the first use, delivered whenever.
    let stale = thread::spawn(move || wake(|wakers| late.on_event(0, Ready::ALL, wakers)));
    let reader = Arc::clone(&slot);
    let _ = slot.wait(Direction::Read, Waker::noop());
    slot.end_use();
    let is_open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&is_open);
    let fresh = thread::spawn(move || {
        opened.store(true, Ordering::Release);
        wake(|wakers| slot.on_event(1, Ready::WRITABLE, wakers));
    });
    let state = block_on(poll_fn(|cx| ready(reader.wait(Direction::Write, cx.waker()))));
    assert_eq!(state.generation(), 1);
    assert_eq!(state.ready(), Ready::WRITABLE);
    assert!(is_open.load(Ordering::Acquire));
    stale.join().expect("no panic");
    fresh.join().expect("no panic");
    assert_eq!(reader.state().ready(), Ready::WRITABLE);
});

model!(loom_shutdown_wakes_whoever_waits, || {
    let socket = Socket::new();
    let ending = Arc::clone(&socket);
    let runtime = thread::spawn(move || wake(|wakers| ending.slot.on_shutdown(wakers)));
    let mut ticket = None;
    let wait = poll_fn(|cx| ready(socket.slot.wait_in_list(&mut ticket, Interest::READABLE, cx.waker())));
    let state = block_on(wait);
    assert!(state.is_shutdown());
    runtime.join().expect("no panic");
});

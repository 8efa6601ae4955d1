//! Models of a registration: events, clears, waiters and the reuse of a slot, in every order.
//!
//! An atomic stands for the system. An event is a store to it, followed by `IoSlot::on_event`: a descriptor changes before
//! its event is collected.

use super::readiness::ready::{Interest, Ready};
use super::readiness::slot::{IoSlot, Waited};
use super::readiness::state::{Direction, State};
use crate::collections::wake_list::WakeList;
use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::primitives::checker::future::block_on;
use crate::primitives::checker::thread;
use std::future::poll_fn;
use std::task::{Poll, Wake, Waker};

/// A descriptor with so many bytes to read, and its registration.
struct Socket {
    bytes: AtomicUsize,
    slot: IoSlot,
}

impl Socket {
    fn new() -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), slot: IoSlot::new() })
    }

    fn receive(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        let mut wakers = WakeList::new();
        self.slot.on_event(0, Ready::READABLE, &mut wakers);
        wakers.wake_all();
    }

    /// Takes all bytes; `None` if it would block.
    fn try_read(&self) -> Option<usize> {
        match self.bytes.swap(0, Ordering::AcqRel) {
            0 => None,
            bytes => Some(bytes),
        }
    }

    /// What `Registration::poll_io` does.
    fn poll_read(&self, mistake: Mistake, waker: &Waker) -> Poll<usize> {
        loop {
            let mut seen = self.slot.state();
            if !seen.is_worth_trying(Interest::READABLE) {
                match self.slot.wait(Direction::Read, waker) {
                    Waited::Pending => return Poll::Pending,
                    Waited::Ready(_) if mistake == Mistake::NoSecondLook => return Poll::Pending,
                    Waited::Ready(now) => seen = now,
                    Waited::Ended => unreachable!("the waits of this model do not end"),
                }
            }
            match self.try_read() {
                Some(bytes) => return Poll::Ready(bytes),
                None if mistake == Mistake::ClearWhatIsThere => {
                    self.slot.clear(self.slot.state(), Interest::READABLE.mask());
                }
                None => self.slot.clear(seen, Interest::READABLE.mask()),
            }
        }
    }

    /// What `Registration::async_io` does.
    fn poll_read_listed(&self, ticket: &mut Option<u64>, waker: &Waker) -> Poll<usize> {
        loop {
            let mut seen = self.slot.state();
            if !seen.is_worth_trying(Interest::READABLE) {
                match self.slot.wait_in_list(ticket, Interest::READABLE, waker) {
                    Waited::Pending => return Poll::Pending,
                    Waited::Ready(now) => seen = now,
                    Waited::Ended => unreachable!("the waits of this model do not end"),
                }
            }
            match self.try_read() {
                Some(bytes) => return Poll::Ready(bytes),
                None => self.slot.clear(seen, Interest::READABLE.mask()),
            }
        }
    }
}

/// A waker that sets a flag.
#[derive(Default)]
struct Mark(AtomicBool);

impl Wake for Mark {
    fn wake(self: std::sync::Arc<Self>) {
        // A swap, as in redd's own wakers: loom lets a store without a read come before a swap that did not see it.
        self.0.swap(true, Ordering::AcqRel);
    }
}

/// Polls whenever it is woken, until it is ready. `ended` counts the other threads that have ended and can no longer wake it:
/// loom would report a wait without an end as a deadlock, which a test cannot catch.
fn poll_until_ready<T>(others: usize, ended: &AtomicUsize, mut poll: impl FnMut(&Waker) -> Poll<T>) -> T {
    let mark = std::sync::Arc::new(Mark::default());
    let waker = Waker::from(std::sync::Arc::clone(&mark));
    loop {
        if let Poll::Ready(value) = poll(&waker) {
            return value;
        }
        loop {
            let is_alone = ended.load(Ordering::Acquire) == others;
            if mark.0.swap(false, Ordering::AcqRel) {
                break;
            }
            assert!(!is_alone, "an edge is lost");
            thread::yield_now();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// The mistake: an event since the waker was stored is not checked.
    NoSecondLook,
    /// The mistake: an event since the read is cleared too.
    ClearWhatIsThere,
}

/// With a bound of 3: at 2 loom does not find the late clear, except with shadows.
fn events_clears_and_waits(mistake: Mistake) {
    crate::primitives::explore_within(Some(3), move || {
        let (socket, ended) = (Socket::new(), Arc::new(AtomicUsize::new(0)));
        let (events, ends) = (Arc::clone(&socket), Arc::clone(&ended));
        let driver = thread::spawn(move || {
            events.receive(1);
            events.receive(1);
            ends.fetch_add(1, Ordering::Release);
        });
        let mut read = 0;
        while read < 2 {
            read += poll_until_ready(1, &ended, |waker| socket.poll_read(mistake, waker));
        }
        driver.join().expect("no panic");
    });
}

#[test]
fn loom_no_edge_is_lost_between_events_clears_and_waits() {
    events_clears_and_waits(Mistake::None);
}

#[test]
#[should_panic(expected = "an edge is lost")]
fn loom_catches_a_wait_without_a_second_look() {
    events_clears_and_waits(Mistake::NoSecondLook);
}

#[test]
#[should_panic(expected = "an edge is lost")]
fn loom_catches_a_clear_of_an_event_that_came_after_the_read() {
    events_clears_and_waits(Mistake::ClearWhatIsThere);
}

#[test]
fn loom_two_threads_that_harvest_at_once_lose_no_edge() {
    crate::primitives::explore(|| {
        let socket = Socket::new();
        let drivers: Vec<_> = (0..2)
            .map(|_| {
                let events = Arc::clone(&socket);
                thread::spawn(move || events.receive(1))
            })
            .collect();
        let mut read = 0;
        while read < 2 {
            read += block_on(poll_fn(|cx| socket.poll_read(Mistake::None, cx.waker())));
        }
        for driver in drivers {
            driver.join().expect("no panic");
        }
    });
}

fn leave_the_list(leave: fn(&IoSlot, u64)) {
    crate::primitives::explore(move || {
        let (socket, ended) = (Socket::new(), Arc::new(AtomicUsize::new(0)));
        let (events, leaver) = (Arc::clone(&socket), Arc::clone(&socket));
        let ends = [Arc::clone(&ended), Arc::clone(&ended)];
        let [driver_ends, leaver_ends] = ends;
        let driver = thread::spawn(move || {
            events.receive(1);
            driver_ends.fetch_add(1, Ordering::Release);
        });
        let leaving = thread::spawn(move || {
            let mut ticket = None;
            let waited = leaver.slot.wait_in_list(&mut ticket, Interest::READABLE, &Waker::noop().clone());
            drop(waited);
            if let Some(ticket) = ticket {
                leave(&leaver.slot, ticket);
            }
            leaver_ends.fetch_add(1, Ordering::Release);
        });
        let mut ticket = None;
        let read = poll_until_ready(2, &ended, |waker| socket.poll_read_listed(&mut ticket, waker));
        assert_eq!(read, 1);
        driver.join().expect("no panic");
        leaving.join().expect("no panic");
    });
}

#[test]
fn loom_a_waiter_in_the_list_is_woken_though_another_leaves_it() {
    leave_the_list(IoSlot::leave_list);
}

#[test]
#[should_panic(expected = "an edge is lost")]
fn loom_catches_one_who_leaves_the_list_in_the_place_of_another() {
    leave_the_list(|slot, _| (0..2).for_each(|ticket| slot.leave_list(ticket)));
}

fn stale_event(deliver: fn(&IoSlot, &mut WakeList)) {
    crate::primitives::explore(move || {
        let slot = Arc::new(IoSlot::new());
        let late = Arc::clone(&slot);
        // Collected for the first use of the slot, and delivered at any time.
        let stale = thread::spawn(move || {
            let mut wakers = WakeList::new();
            deliver(&late, &mut wakers);
            wakers.wake_all();
        });
        let reader = Arc::clone(&slot);
        let _ = slot.wait(Direction::Read, Waker::noop());
        slot.end_use();
        let is_open = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&is_open);
        let fresh = thread::spawn(move || {
            opened.store(true, Ordering::Release);
            let mut wakers = WakeList::new();
            slot.on_event(1, Ready::WRITABLE, &mut wakers);
            wakers.wake_all();
        });
        let state = block_on(poll_fn(|cx| match reader.wait(Direction::Write, cx.waker()) {
            Waited::Ready(state) => Poll::Ready(state),
            Waited::Ended => unreachable!("the waits of this model do not end"),
            Waited::Pending => Poll::Pending,
        }));
        assert_eq!(state.generation(), 1);
        assert_eq!(state.ready(), Ready::WRITABLE);
        assert!(is_open.load(Ordering::Acquire));
        stale.join().expect("no panic");
        fresh.join().expect("no panic");
        assert_eq!(reader.state().ready(), Ready::WRITABLE);
    });
}

#[test]
fn loom_a_stale_event_does_not_touch_the_next_use_and_the_next_use_loses_nothing() {
    stale_event(|slot, wakers| slot.on_event(0, Ready::ALL, wakers));
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn loom_catches_an_event_that_does_not_look_whose_it_is() {
    stale_event(|slot, wakers| slot.on_event(slot.state().generation(), Ready::ALL, wakers));
}

fn shutdown_against_a_waiter(wake: fn(&mut WakeList)) {
    crate::primitives::explore(move || {
        let (socket, ended) = (Socket::new(), Arc::new(AtomicUsize::new(0)));
        let (ending, ends) = (Arc::clone(&socket), Arc::clone(&ended));
        let runtime = thread::spawn(move || {
            let mut wakers = WakeList::new();
            ending.slot.on_shutdown(&mut wakers);
            wake(&mut wakers);
            drop(wakers);
            ends.fetch_add(1, Ordering::Release);
        });
        let mut ticket = None;
        let state: State = poll_until_ready(1, &ended, |waker| {
            match socket.slot.wait_in_list(&mut ticket, Interest::READABLE, waker) {
                Waited::Ready(state) => Poll::Ready(state),
                Waited::Ended => unreachable!("the word has SHUTDOWN set"),
                Waited::Pending => Poll::Pending,
            }
        });
        assert!(state.is_shutdown());
        runtime.join().expect("no panic");
    });
}

/// As above, for a descriptor that gets no more events while its operations continue.
fn end_of_waits_against_a_waiter(wake: fn(&mut WakeList)) {
    crate::primitives::explore(move || {
        let (socket, ended) = (Socket::new(), Arc::new(AtomicUsize::new(0)));
        let (ending, ends) = (Arc::clone(&socket), Arc::clone(&ended));
        let runtime = thread::spawn(move || {
            let mut wakers = WakeList::new();
            ending.slot.end_waits(&mut wakers);
            wake(&mut wakers);
            drop(wakers);
            ends.fetch_add(1, Ordering::Release);
        });
        let mut ticket = None;
        poll_until_ready(1, &ended, |waker| match socket.slot.wait_in_list(&mut ticket, Interest::READABLE, waker) {
            Waited::Ready(state) => unreachable!("there is no event: {state:?}"),
            Waited::Ended => Poll::Ready(()),
            Waited::Pending => Poll::Pending,
        });
        assert!(!socket.slot.state().is_shutdown());
        runtime.join().expect("no panic");
    });
}

#[test]
fn loom_the_end_of_waits_reaches_present_and_later_waiters() {
    end_of_waits_against_a_waiter(WakeList::wake_all);
}

#[test]
#[should_panic(expected = "an edge is lost")]
fn loom_catches_an_end_of_waits_that_wakes_no_waiter() {
    end_of_waits_against_a_waiter(|_| ());
}

#[test]
fn loom_shutdown_wakes_all_waiters() {
    shutdown_against_a_waiter(WakeList::wake_all);
}

#[test]
#[should_panic(expected = "an edge is lost")]
fn loom_catches_a_shutdown_that_wakes_no_waiter() {
    shutdown_against_a_waiter(|_| ());
}

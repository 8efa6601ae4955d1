//! What a worker waits in: one epoll that every thread of a runtime may wait on, and the registrations in it.
//!
//! A worker calls [`Driver::wait`] with the time until its next timer, then [`Driver::dispatch`]. One such turn returns
//! the wakers of tasks that waited for a descriptor, and perhaps the token that [`Driver::wake`] left.
//!
//! Called by `scheduler` (new, wait, dispatch, wake, shutdown), and through `readiness::source` by `net`, `process`
//! and `signal`.
//!
//! # Invariants
//! - `one-edge-one-thread`: everything in the epoll is edge-triggered, so each event is reported to one of the threads
//!   that wait. That thread dispatches the event before it does anything else.
//! - `stale-is-dropped`: a token carries the index and generation of a slot, not a pointer. An event for an earlier use
//!   of the slot is dropped.
//!
//! # Why not otherwise
//! With an epoll per worker, two sleeping workers would wake for events that one running thread can handle. A socket
//! would also belong to one worker, which may be stalled.

pub(crate) mod errors;
#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/driver_readiness.rs"]
mod models;
#[cfg(feature = "net")]
pub(crate) mod operations;
pub(crate) mod readiness;

pub(crate) use crate::sys::epoll::EventBuffer;
pub(crate) use errors::{is_shutdown_error, shutdown_error};
pub(crate) use readiness::{Registration, Source};

use crate::collections::wake_list::WakeList;
use crate::observe::waiter::WaiterInfo;
use crate::primitives::atomic::{AtomicU64, Ordering};
use crate::primitives::baton;
use crate::primitives::event_wait::wait_for_events;
use crate::primitives::parker::Parker;
use crate::sys::epoll::{Epoll, EventFd, flags};
use readiness::ready::{Interest, Ready};
use readiness::slab::Slab;
use readiness::slot::IoSlot;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

/// The token of the eventfd. No slot has this index.
const WAKE_TOKEN: u64 = u64::MAX;

/// See the module page. Shared by the runtime and by every registration.
#[derive(Debug)]
pub(crate) struct Driver {
    epoll: Epoll,
    wake: EventFd,
    slots: Slab,
    /// In a simulated world: where its one waiter sleeps. There the epoll has no descriptors.
    simulated: Option<Parker>,
    /// Total number of events of descriptors.
    events: AtomicU64,
}

impl Driver {
    pub(crate) fn new() -> io::Result<Self> {
        let (epoll, wake) = (Epoll::new()?, EventFd::new()?);
        epoll.add(wake.as_raw_fd(), flags::IN | flags::ET, WAKE_TOKEN)?;
        let simulated = baton::is_member().then(Parker::new);
        Ok(Self { epoll, wake, slots: Slab::new(), simulated, events: AtomicU64::new(0) })
    }

    /// First half of a turn, which calls no wakers: waits for events, at most for `timeout`. With `None` it waits until
    /// there are some. Any number of threads may do so at once. May return early without events. Returns whether the
    /// wake token is among the events.
    ///
    /// An error means that epoll is broken: the turn cannot be repeated.
    pub(crate) fn wait(&self, buffer: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<bool> {
        if let Some(parker) = &self.simulated {
            buffer.clear();
            return Ok(wait_in_world(parker, timeout));
        }
        wait_for_events(&self.epoll, buffer, timeout)?;
        // The counter is not read: an edge reports only its change, and `EventFd::signal` keeps it from overflowing.
        Ok(buffer.iter().any(|(_, token)| token == WAKE_TOKEN))
    }

    /// Second half: moves the wakers of the tasks that waited for the events into `wakers`, and empties the buffer.
    /// Returns how many events there were.
    ///
    /// The caller holds no lock, because a full `wakers` is woken here.
    pub(crate) fn dispatch(&self, buffer: &mut EventBuffer, wakers: &mut WakeList) -> usize {
        let mut count = 0;
        for (events, token) in buffer.iter() {
            if token == WAKE_TOKEN {
                continue;
            }
            count += 1;
            let (index, generation) = (token as u32, (token >> 32) as u32);
            // `stale-is-dropped`: the slot compares the generation.
            if let Some(slot) = self.slots.slot(index) {
                slot.on_event(generation, Ready::from_epoll(events), wakers);
            }
        }
        buffer.clear();
        if count > 0 {
            self.events.fetch_add(count as u64, Ordering::Relaxed);
        }
        count
    }

    /// Leaves a token. One of the threads in `wait`, or the next thread that calls it, returns with the token.
    pub(crate) fn wake(&self) {
        // `one-edge-one-thread`.
        match &self.simulated {
            None => self.wake.signal(),
            Some(parker) => parker.unpark(),
        }
    }

    /// From now on no event is dispatched. All waiting tasks are woken, and a wait that begins later returns the
    /// shutdown error. Operations that need not wait continue to work. Nothing more can be registered.
    pub(crate) fn end_waits(&self) {
        let mut wakers = WakeList::new();
        for index in 0..self.slots.close() {
            if let Some(slot) = self.slots.slot(index) {
                slot.end_waits(&mut wakers);
            }
        }
        wakers.wake_all();
    }

    /// Ends all registrations: wakes their waiters, and makes this and every later operation fail.
    pub(crate) fn shutdown(&self) {
        let mut wakers = WakeList::new();
        for index in 0..self.slots.close() {
            if let Some(slot) = self.slots.slot(index) {
                slot.on_shutdown(&mut wakers);
            }
        }
        wakers.wake_all();
    }

    /// Adds the tasks that wait for a descriptor.
    pub(crate) fn collect(&self, out: &mut Vec<WaiterInfo>) {
        for index in 0..self.slots.used() {
            if let Some(slot) = self.slots.slot(index) {
                slot.collect(crate::sys::descriptor::describe, out);
            }
        }
    }

    /// Returns how many descriptors were ever registered.
    pub(crate) fn registered_total(&self) -> u64 {
        self.slots.allocated_total()
    }

    /// Returns how many events of descriptors there ever were.
    pub(crate) fn events_total(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns how many descriptors are registered.
    pub(crate) fn registrations(&self) -> usize {
        self.slots.len()
    }

    fn register(&self, fd: RawFd, interest: Interest) -> io::Result<(u32, u32)> {
        if self.simulated.is_some() {
            return Err(errors::not_simulated(&crate::sys::descriptor::describe(fd)));
        }
        let index = self.slots.allocate()?;
        let generation = self.slot(index).state().generation();
        self.slot(index).begin_use(fd);
        let token = u64::from(generation) << 32 | u64::from(index);
        // From here on events may arrive. The end of the slot's last use has prepared it for this one.
        match self.epoll.add(fd, interest.to_epoll(), token) {
            Ok(()) => Ok((index, generation)),
            Err(error) => {
                self.slots.free(index);
                Err(error)
            }
        }
    }

    fn end_use(&self, index: u32, generation: u32) {
        let slot = self.slot(index);
        debug_assert_eq!(slot.state().generation(), generation, "a registration holds its slot until it ends");
        slot.end_use();
        self.slots.free(index);
    }

    fn slot(&self, index: u32) -> &'static IoSlot {
        self.slots.slot(index).expect("an allocated index has a slot")
    }
}

/// As [`Driver::wait`], in a simulated world.
#[cold]
fn wait_in_world(parker: &Parker, timeout: Option<Duration>) -> bool {
    match timeout {
        None => parker.park_once(),
        Some(Duration::ZERO) => parker.has_token() && parker.park_once(),
        Some(timeout) => parker.park_timeout(timeout),
    }
}

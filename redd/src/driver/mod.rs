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
pub(crate) mod operations;
pub(crate) mod readiness;
mod shadows;
mod simulated;
mod unix_paths;

pub(crate) use crate::sys::epoll::EventBuffer;
pub(crate) use errors::{is_shutdown_error, shutdown_error};
pub(crate) use readiness::{Registration, Source};

use crate::collections::wake_list::WakeList;
use crate::observe::waiter::WaiterInfo;
use crate::primitives::atomic::{AtomicU64, Ordering};
use crate::primitives::baton;
use crate::primitives::event_wait::wait_for_events;
use crate::sys::epoll::{Epoll, EventFd, flags};
use readiness::ready::{Interest, Ready};
use readiness::slab::Slab;
use readiness::slot::IoSlot;
use simulated::SimulatedDriver;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// The token of the eventfd. No slot has this index.
const WAKE_TOKEN: u64 = u64::MAX;

/// See the module page. Shared by the runtime and by every registration.
#[derive(Debug)]
pub(crate) struct Driver {
    epoll: Epoll,
    wake: EventFd,
    slots: Slab,
    /// In a simulated world, where the epoll has no descriptors.
    simulated: Option<Box<SimulatedDriver>>,
    /// Total number of events of descriptors.
    events: AtomicU64,
    /// `MAY_HAVE_MORE`, and the number of waits that brought as many events as they could.
    fullness: AtomicU64,
}

/// The last wait brought as many events as it could, and no wait that began later has found fewer.
const MAY_HAVE_MORE: u64 = 1;
const FULL_WAIT: u64 = 2;

impl Driver {
    pub(crate) fn new() -> io::Result<Self> {
        let (epoll, wake) = (Epoll::new()?, EventFd::new()?);
        epoll.add(wake.as_raw_fd(), flags::IN | flags::ET, WAKE_TOKEN)?;
        let simulated = SimulatedDriver::new().map(Box::new);
        Ok(Self { epoll, wake, slots: Slab::new(), simulated, events: AtomicU64::new(0), fullness: AtomicU64::new(0) })
    }

    /// First half of a turn, which calls no wakers: waits for events, at most for `timeout`. With `None` it waits until
    /// there are some. Any number of threads may do so at once. May return early without events. Returns whether the
    /// wake token is among the events.
    ///
    /// An error means that epoll is broken: the turn cannot be repeated.
    pub(crate) fn wait(&self, buffer: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<bool> {
        let begun = self.begin_wait();
        if let Some(simulated) = &self.simulated {
            simulated.close_abandoned();
            let has_token = simulated.wait(buffer, timeout);
            self.record_fullness(buffer, begun);
            return Ok(has_token);
        }
        wait_for_events(&self.epoll, buffer, timeout)?;
        self.record_fullness(buffer, begun);
        // The counter is not read: an edge reports only its change, and `EventFd::signal` keeps it from overflowing.
        Ok(buffer.iter().any(|(_, token)| token == WAKE_TOKEN))
    }

    /// To be passed to `record_fullness` at the end of the wait.
    fn begin_wait(&self) -> u64 {
        // Relaxed, here and below: a hint. The events themselves are in the kernel.
        self.fullness.load(Ordering::Relaxed)
    }

    fn record_fullness(&self, buffer: &EventBuffer, begun: u64) {
        if buffer.is_full() {
            let more = |fullness: u64| Some(fullness.wrapping_add(FULL_WAIT) | MAY_HAVE_MORE);
            let _ = self.fullness.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        } else if begun & MAY_HAVE_MORE != 0 {
            // It fails if another thread has left events since this wait began. This thread need not have seen those.
            let none = begun & !MAY_HAVE_MORE;
            let _ = self.fullness.compare_exchange(begun, none, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Whether a wait may have left events that no later one has found. A hint: another thread may take them meanwhile.
    #[inline]
    pub(crate) fn may_have_more(&self) -> bool {
        self.fullness.load(Ordering::Relaxed) & MAY_HAVE_MORE != 0
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
            Some(simulated) => simulated.wake(),
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
                slot.collect(|number| self.describe(number), out);
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

    /// Whether it belongs to a simulated world.
    fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// Describes what is registered with this number.
    fn describe(&self, number: RawFd) -> Option<Box<str>> {
        match &self.simulated {
            None => crate::sys::descriptor::describe(number),
            Some(simulated) => simulated.describe(number as u32),
        }
    }

    /// Registers a descriptor. Not in a world.
    fn register(&self, fd: RawFd, interest: Interest) -> io::Result<(u32, u32)> {
        debug_assert!(!self.is_simulated(), "the epoll of a world has no descriptors");
        let (index, generation, token) = self.allocate()?;
        self.slot(index).begin_use(fd);
        // From here on events may arrive. The end of the slot's last use has prepared it for this one.
        match self.epoll.add(fd, interest.to_epoll(), token) {
            Ok(()) => Ok((index, generation)),
            Err(error) => {
                self.slots.free(index);
                Err(error)
            }
        }
    }

    /// Registers a socket of `net`. Returns its number: that of the descriptor, or in a world that of the simulated socket.
    fn register_socket(&self, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<(RawFd, u32, u32)> {
        let Some(simulated) = &self.simulated else {
            if baton::is_member() {
                return Err(errors::runtime_outside());
            }
            let (index, generation) = self.register(fd.as_raw_fd(), interest)?;
            return Ok((fd.as_raw_fd(), index, generation));
        };
        let (index, generation, token) = self.allocate()?;
        match simulated.register(fd, token) {
            Ok(number) => {
                self.slot(index).begin_use(number as RawFd);
                Ok((number as RawFd, index, generation))
            }
            Err(error) => {
                self.slots.free(index);
                Err(error)
            }
        }
    }

    /// Returns a slot for a registration: its index, its generation, and the token of its events.
    fn allocate(&self) -> io::Result<(u32, u32, u64)> {
        let index = self.slots.allocate()?;
        let generation = self.slot(index).state().generation();
        Ok((index, generation, u64::from(generation) << 32 | u64::from(index)))
    }

    /// No more events come for what is registered with this number. The program keeps the descriptor.
    fn forget(&self, number: RawFd) -> io::Result<()> {
        match &self.simulated {
            None => self.epoll.delete(number),
            Some(simulated) => {
                simulated.unregister(number as u32);
                Ok(())
            }
        }
    }

    /// As [`forget`](Self::forget). The descriptor is closed next.
    fn close(&self, number: RawFd) {
        match &self.simulated {
            // If user code has closed the descriptor already, epoll has removed it by then.
            None => drop(self.epoll.delete(number)),
            Some(simulated) => simulated.close(number as u32),
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

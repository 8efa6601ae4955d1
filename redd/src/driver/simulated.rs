//! The driver in a simulated world: where its one waiter sleeps, and the events that the network reports.
//!
//! Called by `Driver`, and by `shadows`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::primitives::Mutex;
use crate::primitives::baton::{self, Baton};
use crate::primitives::parker::Parker;
use crate::sys::epoll::EventBuffer;

/// What a driver has in a simulated world, in the place of an epoll.
#[derive(Debug)]
pub(crate) struct SimulatedDriver {
    baton: Arc<Baton>,
    host: usize,
    events: Arc<Events>,
}

/// Where the network reports what has happened to sockets. The network keeps it, so it has no reference to the driver.
#[derive(Debug, Default)]
pub(crate) struct Events {
    parker: Parker,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What has happened, in order: the token of a registration, and events as epoll has them.
    events: Vec<(u64, u32)>,
    /// The place of each token in `events`.
    places: BTreeMap<u64, usize>,
    /// `Driver::wake` has left its token.
    is_woken: bool,
}

impl Events {
    /// Something has happened to the socket with this token. Until the waiter takes it, more of the same socket is added to it, as epoll
    /// does.
    pub(super) fn add(&self, token: u64, events: u32) {
        let mut queue = self.queue.lock();
        let Queue { events: all, places, .. } = &mut *queue;
        match places.get(&token) {
            Some(place) => all[*place].1 |= events,
            None => {
                places.insert(token, all.len());
                all.push((token, events));
            }
        }
        drop(queue);
        self.parker.unpark();
    }
}

impl SimulatedDriver {
    /// `None` on a thread that belongs to no world.
    pub(super) fn new() -> Option<Self> {
        let (baton, host) = baton::current_host()?;
        Some(Self { baton, host, events: Arc::default() })
    }

    pub(super) fn baton(&self) -> &Arc<Baton> {
        &self.baton
    }

    pub(super) fn host(&self) -> usize {
        self.host
    }

    pub(super) fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// As `Driver::wait`.
    #[cold]
    pub(super) fn wait(&self, buffer: &mut EventBuffer, timeout: Option<Duration>) -> bool {
        let Events { parker, queue } = &*self.events;
        buffer.clear();
        let is_idle = {
            let queue = queue.lock();
            queue.events.is_empty() && !queue.is_woken
        };
        let _: bool = match timeout {
            None if is_idle => parker.park_once(),
            Some(timeout) if is_idle && !timeout.is_zero() => parker.park_timeout(timeout),
            // What the token stands for is in the queue.
            None | Some(_) => parker.has_token() && parker.park_once(),
        };
        let mut queue = queue.lock();
        let taken = queue.events.iter().take_while(|(token, events)| buffer.push(*events, *token)).count();
        queue.events.drain(..taken);
        queue.places = queue.events.iter().enumerate().map(|(place, (token, _))| (*token, place)).collect();
        std::mem::take(&mut queue.is_woken)
    }

    /// As `Driver::wake`.
    #[cold]
    pub(super) fn wake(&self) {
        self.events.queue.lock().is_woken = true;
        self.events.parker.unpark();
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn wait(driver: &SimulatedDriver, capacity: usize) -> (bool, Vec<(u32, u64)>) {
        let mut buffer = EventBuffer::with_capacity(capacity);
        let is_woken = driver.wait(&mut buffer, Some(Duration::ZERO));
        (is_woken, buffer.iter().collect())
    }

    #[test]
    fn events_of_one_token_are_one_until_they_are_taken_and_a_full_buffer_leaves_the_rest() {
        let baton = baton::new_world(1, Duration::from_secs(1), false);
        let joined = baton.join();
        let driver = SimulatedDriver::new().expect("this thread belongs to a world");
        for (token, events) in [(7, 1), (3, 4), (7, 8), (9, 1)] {
            driver.events.add(token, events);
        }
        assert_eq!(wait(&driver, 2), (false, vec![(9, 7), (4, 3)]));
        driver.events.add(9, 2);
        driver.events.add(7, 1);
        driver.wake();
        assert_eq!(wait(&driver, 8), (true, vec![(3, 9), (1, 7)]));
        assert_eq!(wait(&driver, 8), (false, vec![]));
        drop(joined);
    }
}

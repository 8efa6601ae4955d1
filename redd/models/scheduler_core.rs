//! A worker for models that pass one from thread to thread and never run it.

use std::cell::Cell;
use std::ptr;

use super::super::local_queue::{Fifo, LocalQueue};
use super::super::shared::{Local, Worker};
use crate::collections::wake_list::WakeList;
use crate::driver::EventBuffer;
use crate::primitives::rng::Rng;
use crate::primitives::spin::Spin;
use crate::time::clock::real_now;

/// The worker of a current-thread runtime, without the runtime.
pub(crate) fn worker_that_never_runs() -> Box<Worker> {
    Box::new(Worker {
        local: Box::new(Local {
            shared: ptr::null(),
            direct: Cell::new(ptr::null()),
            index: 0,
            slot: ptr::null(),
            queue: LocalQueue::Private { ready: Fifo::new(), yielded: Fifo::new() },
            is_clean: Cell::new(false),
            scheduled: Cell::new(0),
        }),
        polls_at_park: 0,
        polls_timed: 0,
        thread: None,
        tick: 0,
        injector_interval: 1,
        poll_ns: 0.0,
        driver_polled_at: real_now(),
        coarse_until: real_now(),
        lease_wait_since: None,
        lifo_streak: 0,
        driver_interval: 1,
        offer_from: 1,
        searching: None,
        spin: Spin::default(),
        is_spare: false,
        laps: 0,
        rng: Rng::new(0),
        events: EventBuffer::with_capacity(1),
        wakers: WakeList::new(),
    })
}

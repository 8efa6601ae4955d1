//! A blocking call at work, as a value that is `Sync` and can be kept in a public type.
//!
//! Called by `dir`. (`blocking::run` gives a future without a name.)
//!
//! # Invariants
//! - `always-answered`: the slot is filled when the closure ends, and also when it is dropped before it ran.

use std::io;
use std::task::{Context, Poll, Waker};

use crate::blocking;
use crate::collections::wake_list::wake_guarded;
use crate::io::background::background_failed;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::{Arc, Mutex};

/// See the module page.
#[derive(Debug)]
pub(super) struct Call<T> {
    slot: Arc<Mutex<Slot<T>>>,
}

#[derive(Debug)]
struct Slot<T> {
    answer: Option<io::Result<T>>,
    waiter: Option<Waker>,
}

impl<T: Send + 'static> Call<T> {
    /// Starts `f` on the blocking pool.
    #[track_caller]
    pub(super) fn start(f: impl FnOnce() -> io::Result<T> + Send + 'static) -> Self {
        let slot = Arc::new(Mutex::new(Slot { answer: None, waiter: None }));
        let mut ticket = Ticket { slot: Arc::clone(&slot), answer: Some(Err(background_failed())) };
        drop(blocking::run(move || {
            ticket.answer = Some(f());
            drop(ticket);
            Ok(())
        }));
        Self { slot }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let mut slot = self.slot.lock();
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(answer);
        }
        let before = slot.waiter.replace(cx.waker().clone());
        drop(slot);
        // Foreign code: dropped without the lock.
        drop(before);
        waiting::note(WaitKind::Readable, None);
        Poll::Pending
    }
}

/// `always-answered`: fills the slot when dropped.
struct Ticket<T> {
    slot: Arc<Mutex<Slot<T>>>,
    answer: Option<io::Result<T>>,
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        let waiter = {
            let mut slot = self.slot.lock();
            slot.answer = self.answer.take();
            slot.waiter.take()
        };
        if let Some(waiter) = waiter {
            wake_guarded(waiter);
        }
    }
}

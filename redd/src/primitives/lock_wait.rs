//! Which threads wait for one of redd's own locks, for another thread that inspects them.
//!
//! Called by `lock` on its slow paths, and by the monitor of `scheduler::rescue`: a task is not to blame for such a wait.
//!
//! # Invariants
//! - `own-entry`: a thread writes its number only to an entry that was free, and only it makes the entry free again.

use super::atomic::Ordering;
use super::atomic::fixed::AtomicU32;
use super::thread_local;
use crate::sys::thread;
use std::cell::Cell;

/// More threads than wait at a time. One too many is taken for a thread that waits for something else.
const ENTRIES: usize = 64;

/// An entry is free, or has the system's number of a thread.
#[repr(align(64))]
struct Entry(AtomicU32);

const FREE: u32 = 0;

static WAITERS: [Entry; ENTRIES] = [const { Entry(AtomicU32::new(FREE)) }; ENTRIES];

thread_local! {
    /// The number of this thread, which is a system call.
    static NUMBER: Cell<u32> = const { Cell::new(FREE) };
}

/// The calling thread waits for a lock of redd while this lives.
#[derive(Debug)]
pub(super) struct LockWait(Option<usize>);

impl LockWait {
    #[cold]
    pub(super) fn begin() -> Self {
        if NUMBER.get() == FREE {
            NUMBER.set(thread::current_id());
        }
        let number = NUMBER.get();
        let first = number as usize;
        // Relaxed, here and below: the monitor reads it as a hint, and nothing is published with it.
        let claim = |index: &usize| {
            WAITERS[*index].0.compare_exchange(FREE, number, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        Self((first..first + ENTRIES).map(|index| index % ENTRIES).find(claim))
    }
}

impl Drop for LockWait {
    fn drop(&mut self) {
        if let Some(index) = self.0 {
            WAITERS[index].0.store(FREE, Ordering::Relaxed); // `own-entry`
        }
    }
}

/// Whether the thread with this number waits for a lock of redd.
pub(crate) fn waits_for_lock(thread: u32) -> bool {
    thread != FREE && WAITERS.iter().any(|entry| entry.0.load(Ordering::Relaxed) == thread)
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_seen_to_wait_while_it_does_and_not_before_or_after() {
        let own = thread::current_id();
        assert!(!waits_for_lock(own) && !waits_for_lock(FREE));
        let outer = LockWait::begin();
        drop(LockWait::begin());
        assert!(waits_for_lock(own));
        drop(outer);
        assert!(!waits_for_lock(own));
    }

    #[test]
    fn a_thread_that_waits_for_either_kind_of_lock_is_seen() {
        let (mutex, short) = (super::super::Mutex::new(()), super::super::ShortMutex::new(()));
        for takes_short in [false, true] {
            let held = (mutex.lock(), short.lock());
            std::thread::scope(|scope| {
                let (sender, receiver) = std::sync::mpsc::channel();
                let (mutex, short) = (&mutex, &short);
                let waiter = scope.spawn(move || {
                    sender.send(thread::current_id()).expect("the test waits");
                    if takes_short {
                        drop(short.lock());
                    } else {
                        drop(mutex.lock());
                    }
                    assert!(!waits_for_lock(thread::current_id()));
                });
                let id = receiver.recv().expect("it starts");
                while !waits_for_lock(id) {
                    std::thread::yield_now();
                }
                drop(held);
                waiter.join().expect("no panic");
            });
        }
    }
}

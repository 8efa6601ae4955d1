//! Models of the waiting primitives, for loom: every interleaving of a few threads, up to the bound of the run.
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use loom::thread;

use super::blocking::block_on_parker;
use super::permits::{Permits, TryAcquireError as Refusal};
use super::testing::poll_once;
use super::{Barrier, Mutex, Notify, OnceCell, RwLock, SetOnce};
use crate::observe::waiting::WaitKind;
use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::model;

fn acquire(permits: &Permits, count: usize) -> impl Future<Output = Result<(), Refusal>> {
    permits.acquire(count, WaitKind::Semaphore, None)
}

model!(loom_notify_one_is_never_lost, || {
    let notify = Arc::new(Notify::new());
    let other = Arc::clone(&notify);
    let thread = thread::spawn(move || block_on_parker(other.notified()));
    notify.notify_one();
    // Ends only if the notification arrived: a lost one is a deadlock, which loom reports.
    thread.join().unwrap();
});

model!(loom_notify_one_goes_on_when_its_waiter_is_dropped, || {
    let notify = Arc::new(Notify::new());
    let (dropping, waiting) = (Arc::clone(&notify), Arc::clone(&notify));
    let one = thread::spawn(move || {
        // Heard or not: if it was called and is dropped, the call is forwarded. If it heard, it passes it on.
        let is_heard = {
            let mut notified = pin!(dropping.notified());
            poll_once(notified.as_mut()).is_ready()
        };
        if is_heard {
            dropping.notify_one();
        }
    });
    let two = thread::spawn(move || block_on_parker(waiting.notified()));
    notify.notify_one();
    one.join().unwrap();
    two.join().unwrap();
});

model!(loom_notify_waiters_reaches_those_made_before_and_a_flag_is_seen, || {
    let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
    let other = Arc::clone(&shared);
    let thread = thread::spawn(move || {
        let (notify, flag) = &*other;
        let notified = notify.notified();
        // Relaxed: the notification itself must carry what was written before it.
        if flag.load(Ordering::Relaxed) == 0 {
            block_on_parker(notified);
            assert_eq!(flag.load(Ordering::Relaxed), 1);
        }
    });
    let (notify, flag) = &*shared;
    flag.store(1, Ordering::Relaxed);
    notify.notify_waiters();
    thread.join().unwrap();
});

model!(loom_notify_waiters_against_a_drop_and_a_permit, || {
    let notify = Arc::new(Notify::new());
    let (dropping, calling) = (Arc::clone(&notify), Arc::clone(&notify));
    let one = thread::spawn(move || {
        let mut notified = pin!(dropping.notified());
        let _ = poll_once(notified.as_mut());
    });
    let two = thread::spawn(move || calling.notify_waiters());
    {
        let mut notified = pin!(notify.notified());
        let _ = poll_once(notified.as_mut());
        let _ = poll_once(notified.as_mut());
    }
    one.join().unwrap();
    two.join().unwrap();
    // Nothing is stored by a call to all, whoever heard it.
    assert!(poll_once(pin!(notify.notified())).is_pending());
    notify.notify_one();
    assert!(poll_once(pin!(notify.notified())).is_ready());
});

model!(loom_permits_release_against_lining_up, || {
    let shared = Arc::new((Permits::new(0), AtomicUsize::new(0)));
    let threads = [1, 2].map(|count| {
        let other = Arc::clone(&shared);
        thread::spawn(move || {
            block_on_parker(acquire(&other.0, count)).unwrap();
            // Relaxed: whoever has permits sees what was done before they were released.
            assert!(other.1.load(Ordering::Relaxed) >= 1);
        })
    });
    shared.1.store(1, Ordering::Relaxed);
    shared.0.release(2);
    shared.0.release(1);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(shared.0.available(), 0);
});

model!(loom_permits_carry_what_every_releaser_did, || {
    let shared = Arc::new((Permits::new(0), [AtomicUsize::new(0), AtomicUsize::new(0)]));
    let threads = [0, 1].map(|index| {
        let other = Arc::clone(&shared);
        thread::spawn(move || {
            other.1[index].store(1, Ordering::Relaxed);
            other.0.release(1);
        })
    });
    // Polled without having been woken, so that nothing but the permits orders the threads.
    let mut both = pin!(acquire(&shared.0, 2));
    for _ in 0..3 {
        if poll_once(both.as_mut()).is_ready() {
            let done = [0, 1].map(|index| shared.1[index].load(Ordering::Relaxed));
            assert_eq!(done, [1, 1]);
            break;
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
});

model!(loom_permits_are_not_lost_by_a_cancellation, || {
    let permits = Arc::new(Permits::new(1));
    let (cancelling, taking) = (Arc::clone(&permits), Arc::clone(&permits));
    let one = thread::spawn(move || {
        let is_granted = {
            let mut two = pin!(acquire(&cancelling, 2));
            poll_once(two.as_mut()).is_ready()
        };
        if is_granted {
            cancelling.release(2);
        }
    });
    let two = thread::spawn(move || {
        block_on_parker(acquire(&taking, 1)).unwrap();
        taking.release(1);
    });
    permits.release(1);
    one.join().unwrap();
    two.join().unwrap();
    assert_eq!(permits.available(), 2);
    assert_eq!(permits.try_acquire(2), Ok(()), "nobody is taken to wait");
});

model!(loom_permits_first_come_first_served, || {
    let permits = Arc::new(Permits::new(0));
    let mut first = pin!(acquire(&permits, 2));
    assert!(poll_once(first.as_mut()).is_pending());
    let other = Arc::clone(&permits);
    let late = thread::spawn(move || {
        let mut late = pin!(acquire(&other, 1));
        let has_overtaken = poll_once(late.as_mut()).is_ready();
        let has_taken = other.try_acquire(1).is_ok();
        has_overtaken || has_taken
    });
    permits.release(1);
    assert!(!late.join().unwrap(), "the first has not got its two yet");
    permits.release(1);
    assert!(poll_once(first.as_mut()).is_ready());
});

model!(loom_permits_close_refuses_or_the_permits_come_back, || {
    let permits = Arc::new(Permits::new(1));
    let (asking, closing) = (Arc::clone(&permits), Arc::clone(&permits));
    let asker = thread::spawn(move || {
        let granted = block_on_parker(acquire(&asking, 2));
        if granted.is_ok() {
            asking.release(2);
        }
    });
    let closer = thread::spawn(move || closing.close());
    permits.release(1);
    asker.join().unwrap();
    closer.join().unwrap();
    assert_eq!(permits.available(), 2);
    assert_eq!(permits.try_acquire(1), Err(Refusal::Closed));
});

model!(loom_mutex_excludes_and_hands_over, || {
    let mutex = std::sync::Arc::new(Mutex::new(0));
    let threads = [(); 2].map(|()| {
        let mutex = std::sync::Arc::clone(&mutex);
        thread::spawn(move || *block_on_parker(mutex.lock()) += 1)
    });
    if let Ok(mut guard) = mutex.try_lock() {
        *guard += 0;
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(*mutex.try_lock().unwrap(), 2);
});

model!(loom_rwlock_readers_and_a_writer_that_downgrades, || {
    let lock = std::sync::Arc::new(RwLock::with_max_readers((0, 0), 2));
    let (writing, reading) = (std::sync::Arc::clone(&lock), std::sync::Arc::clone(&lock));
    let writer = thread::spawn(move || {
        let mut guard = block_on_parker(writing.write());
        guard.0 += 1;
        guard.1 += 1;
        let guard = guard.downgrade();
        assert_eq!(*guard, (1, 1));
    });
    let reader = thread::spawn(move || {
        let guard = block_on_parker(reading.read());
        assert_eq!(guard.0, guard.1);
    });
    {
        let guard = block_on_parker(lock.read());
        assert_eq!(guard.0, guard.1);
    }
    writer.join().unwrap();
    reader.join().unwrap();
    assert!(lock.try_write().is_ok());
});

model!(loom_barrier_has_one_leader, || {
    let barrier = Arc::new(Barrier::new(2));
    let other = Arc::clone(&barrier);
    let thread = thread::spawn(move || block_on_parker(other.wait()).is_leader());
    let here = block_on_parker(barrier.wait()).is_leader();
    assert!(here != thread.join().unwrap());
});

model!(loom_once_cell_is_initialised_once, || {
    let shared = Arc::new((OnceCell::new(), AtomicUsize::new(0)));
    let threads = [1, 2].map(|number| {
        let other = Arc::clone(&shared);
        thread::spawn(move || {
            let (cell, runs) = &*other;
            let value = *block_on_parker(cell.get_or_init(|| async {
                runs.fetch_add(1, Ordering::Relaxed);
                number
            }));
            assert_eq!(cell.get(), Some(&value));
        })
    });
    let _ = shared.0.set(3);
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(shared.1.load(Ordering::Relaxed) <= 1);
});

model!(loom_once_cell_passes_the_turn_on_when_the_first_is_dropped, || {
    let cell = Arc::new(OnceCell::new());
    let (dropping, waiting) = (Arc::clone(&cell), Arc::clone(&cell));
    let one = thread::spawn(move || {
        let _ = poll_once(pin!(dropping.get_or_init(std::future::pending)));
    });
    let two = thread::spawn(move || *block_on_parker(waiting.get_or_init(|| async { 2 })));
    one.join().unwrap();
    assert_eq!(two.join().unwrap(), 2);
});

model!(loom_set_once_wakes_who_waits_and_is_set_once, || {
    let cell = Arc::new(SetOnce::new());
    let (waiting, setting) = (Arc::clone(&cell), Arc::clone(&cell));
    let waiter = thread::spawn(move || *block_on_parker(waiting.wait()));
    let setter = thread::spawn(move || setting.set(1).is_ok());
    let is_ours = cell.set(2).is_ok();
    assert!(is_ours != setter.join().unwrap());
    assert_eq!(waiter.join().unwrap(), if is_ours { 2 } else { 1 });
});

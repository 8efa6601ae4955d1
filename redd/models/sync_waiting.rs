//! Models of the waiting primitives, for loom: every interleaving of a few threads, up to the bound of the run.
//!
//! Run with `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test --release --lib -p redd -- --test-threads=1 loom_`.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::primitives::checker::thread;

use super::blocking::block_on_parker;
use super::permits::{Permits, TryAcquireError as Refusal};
use super::testing::{Wakes, poll_once};
use super::waker_cell::WakerCell;
use super::{Barrier, Mutex, Notify, OnceCell, RwLock, SetOnce, broadcast, mpsc, oneshot, watch};
use crate::observe::waiting::WaitKind;
use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::{mistake, model};

fn acquire(permits: &Permits, count: usize) -> impl Future<Output = Result<(), Refusal>> {
    permits.acquire(count, WaitKind::Semaphore, None)
}

model!(loom_notify_one_is_forwarded_when_its_waiter_is_dropped, || {
    let notify = Arc::new(Notify::new());
    let (dropping, waiting) = (Arc::clone(&notify), Arc::clone(&notify));
    let one = thread::spawn(move || {
        // If it was notified and is dropped, the notification is forwarded. If it received it, it passes it on.
        let is_notified = {
            let mut notified = pin!(dropping.notified());
            poll_once(notified.as_mut()).is_ready()
        };
        if is_notified {
            dropping.notify_one();
        }
    });
    let two = thread::spawn(move || block_on_parker(waiting.notified()));
    notify.notify_one();
    one.join().unwrap();
    // Ends only if the notification arrived: a lost one is a deadlock, which loom reports.
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
    // `notify_waiters` stores no permit, whichever waiter was notified.
    assert!(poll_once(pin!(notify.notified())).is_pending());
    notify.notify_one();
    assert!(poll_once(pin!(notify.notified())).is_ready());
});

model!(loom_permits_release_beside_waiters_that_enqueue, || {
    let shared = Arc::new((Permits::new(0), AtomicUsize::new(0)));
    let threads = [1, 2].map(|count| {
        let other = Arc::clone(&shared);
        thread::spawn(move || {
            block_on_parker(acquire(&other.0, count)).unwrap();
            // Relaxed: an owner of permits sees what was done before they were released.
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
    assert_eq!(permits.try_acquire(2), Ok(()), "no waiter is recorded");
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

model!(loom_once_cell_is_initialized_once, || {
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

model!(loom_once_cell_is_initialized_by_the_next_waiter_when_the_first_is_dropped, || {
    let cell = Arc::new(OnceCell::new());
    let (dropping, waiting) = (Arc::clone(&cell), Arc::clone(&cell));
    let one = thread::spawn(move || {
        let _ = poll_once(pin!(dropping.get_or_init(std::future::pending)));
    });
    let two = thread::spawn(move || *block_on_parker(waiting.get_or_init(|| async { 2 })));
    one.join().unwrap();
    assert_eq!(two.join().unwrap(), 2);
});

model!(loom_set_once_wakes_its_waiter_and_is_set_once, || {
    let cell = Arc::new(SetOnce::new());
    let (waiting, setting) = (Arc::clone(&cell), Arc::clone(&cell));
    let waiter = thread::spawn(move || *block_on_parker(waiting.wait()));
    let setter = thread::spawn(move || setting.set(1).is_ok());
    let is_ours = cell.set(2).is_ok();
    assert!(is_ours != setter.join().unwrap());
    assert_eq!(waiter.join().unwrap(), if is_ours { 2 } else { 1 });
});

// Mistakes of `mistakes.txt`. The model beside each must catch it.

/// Polls once, while another thread does what `future` waits for. If it is pending, it is woken, and then it is ready.
#[track_caller]
fn is_woken_by(future: impl Future, act: impl FnOnce() + Send + 'static) {
    let mut future = pin!(future);
    let (wakes, waker) = Wakes::new();
    let thread = thread::spawn(act);
    let is_waiting = future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending();
    thread.join().unwrap();
    if is_waiting {
        assert!(wakes.count() > 0, "a waiter is woken");
        assert!(poll_once(future).is_ready(), "a woken waiter is ready");
    }
}

/// A test of a model and one of the same model with a mistake.
macro_rules! model_and_mistake {
    ($name:ident, $mistaken:ident, $mistake:literal, $expected:literal, $closure:expr) => {
        model!($name, $closure);
        mistake!($mistaken, $expected, patch $mistake, $closure);
    };
}

model_and_mistake!(
    loom_permits_wake_a_waiter_that_enqueues_beside_a_release,
    loom_permits_catches_a_release_that_does_not_look_again,
    "a release that does not look again",
    "a waiter is woken",
    || {
        let permits = Arc::new(Permits::new(0));
        let other = Arc::clone(&permits);
        is_woken_by(acquire(&permits, 1), move || other.release(1));
    }
);

model_and_mistake!(
    loom_permits_show_what_their_last_writer_did,
    loom_permits_catches_a_release_that_publishes_nothing,
    "a release that publishes nothing",
    "Causality violation",
    || {
        let shared = Arc::new(RwLock::with_max_readers(0, 2));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            if let Ok(mut value) = other.try_write() {
                *value += 1;
            }
        });
        if let Ok(mut value) = shared.try_write() {
            *value += 1;
        }
        thread.join().unwrap();
    }
);

model_and_mistake!(
    loom_permits_show_what_their_last_owner_did,
    loom_permits_catches_a_release_of_all_that_publishes_nothing,
    "a release of all that publishes nothing",
    "Causality violation",
    || {
        let shared = Arc::new(Mutex::new(0));
        let other = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            if let Ok(mut value) = other.try_lock() {
                *value += 1;
            }
        });
        if let Ok(mut value) = shared.try_lock() {
            *value += 1;
        }
        thread.join().unwrap();
    }
);

model_and_mistake!(
    loom_wait_list_a_notification_shows_what_came_before_it,
    loom_wait_list_catches_a_notification_that_publishes_nothing,
    "a notification that publishes nothing",
    "what the notifier did is seen",
    || {
        let shared = Arc::new((Notify::new(), AtomicUsize::new(0)));
        let other = Arc::clone(&shared);
        let mut waiting = pin!(shared.0.notified());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let thread = thread::spawn(move || {
            other.1.store(1, Ordering::Relaxed);
            other.0.notify_one();
        });
        if poll_once(waiting).is_ready() {
            assert_eq!(shared.1.load(Ordering::Relaxed), 1, "what the notifier did is seen");
        }
        thread.join().unwrap();
    }
);

model_and_mistake!(
    loom_notify_one_beside_a_waiter_that_leaves_is_kept,
    loom_notify_catches_a_notification_that_does_not_look_again,
    "a notification that does not look again",
    "`waiting-bit`",
    || {
        let notify = Arc::new(Notify::new());
        let other = Arc::clone(&notify);
        let mut waiting = Box::pin(notify.notified());
        assert!(poll_once(waiting.as_mut()).is_pending());
        let thread = thread::spawn(move || other.notify_one());
        drop(waiting);
        thread.join().unwrap();
        assert!(poll_once(pin!(notify.notified())).is_ready(), "the permit is kept");
    }
);

model_and_mistake!(
    loom_oneshot_wakes_a_receiver_that_registers_beside_a_send,
    loom_oneshot_catches_a_waker_that_is_left_without_a_second_look,
    "a waker that is left without a second look",
    "a waiter is woken",
    || {
        let (sender, receiver) = oneshot::channel();
        is_woken_by(receiver, move || sender.send(1).unwrap());
    }
);

model_and_mistake!(
    loom_waker_cell_wakes_a_waker_that_registers_beside_a_wake,
    loom_waker_cell_catches_an_unlock_that_stores_over_a_wake,
    "an unlock that stores over a wake",
    "Causality violation",
    || {
        let shared = Arc::new((WakerCell::new(), AtomicUsize::new(0)));
        let other = Arc::clone(&shared);
        let waiting = std::future::poll_fn(move |cx| {
            shared.0.register(cx.waker());
            if shared.1.load(Ordering::Relaxed) == 1 { Poll::Ready(()) } else { Poll::Pending }
        });
        is_woken_by(waiting, move || {
            other.1.store(1, Ordering::Relaxed);
            other.0.wake();
        });
    }
);

model_and_mistake!(
    loom_chain_shows_the_value_with_its_slot,
    loom_chain_catches_a_slot_without_its_value,
    "a slot without its value",
    "Causality violation",
    || {
        let (sender, receiver) = mpsc::unbounded_channel();
        // Not dropped while a mistake is reported: its drop would access the same value.
        let mut receiver = ManuallyDrop::new(receiver);
        let thread = thread::spawn(move || sender.send(Box::new(1)).unwrap());
        // Not `try_recv`, which waits for a push that has begun.
        if let Poll::Ready(received) = poll_once(pin!(receiver.recv())) {
            assert_eq!(received, Some(Box::new(1)));
        }
        thread.join().unwrap();
        drop(ManuallyDrop::into_inner(receiver));
    }
);

model_and_mistake!(
    loom_bounded_the_last_permit_wakes_a_closed_receiver,
    loom_bounded_catches_a_receiver_that_does_not_look_again,
    "an mpsc receiver that does not look again",
    "a woken waiter is ready",
    || {
        let (sender, mut receiver) = mpsc::channel::<u8>(1);
        let permit = sender.clone().try_reserve_owned().unwrap();
        receiver.close();
        is_woken_by(receiver.recv(), move || drop(permit));
        drop(sender);
    }
);

model_and_mistake!(
    loom_watch_wakes_a_receiver_that_enqueues_beside_a_change,
    loom_watch_catches_a_receiver_that_does_not_look_again,
    "a watch receiver that does not look again",
    "a waiter is woken",
    || {
        let (sender, mut receiver) = watch::channel(0);
        let kept = sender.clone();
        is_woken_by(receiver.changed(), move || _ = sender.send_replace(1));
        drop(kept);
    }
);

model_and_mistake!(
    loom_broadcast_wakes_a_receiver_that_enqueues_beside_a_send,
    loom_broadcast_catches_a_receiver_that_does_not_look_again,
    "a broadcast receiver that does not look again",
    "a waiter is woken",
    || {
        let (sender, mut receiver) = broadcast::channel(1);
        let kept = sender.clone();
        is_woken_by(receiver.recv(), move || _ = sender.send(1).unwrap());
        drop(kept);
    }
);

model_and_mistake!(
    loom_set_once_shows_the_value_with_the_flag,
    loom_set_once_catches_a_cell_without_its_value,
    "a cell without its value",
    "Causality violation",
    || {
        let cell = Arc::new(SetOnce::<Box<u32>>::new());
        let other = Arc::clone(&cell);
        let thread = thread::spawn(move || {
            if let Some(value) = other.get() {
                assert_eq!(**value, 1);
            }
        });
        cell.set(Box::new(1)).unwrap();
        thread.join().unwrap();
    }
);

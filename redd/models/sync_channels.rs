//! Loom models of the channels: small programs, run in every order of steps.

#![expect(unsafe_code, reason = "the chain's consumer is chosen here")]

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Waker};

use crate::primitives::checker::future::block_on;
use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::sync::atomic::{AtomicUsize, Ordering};
use crate::primitives::checker::thread::{self, JoinHandle};

use super::mpsc::chain::{Chain, Parked, Popped};
use super::testing::{Wakes, poll_once};
use super::waker_cell::WakerCell;
use super::{broadcast, mpsc, oneshot, watch};
use crate::primitives::{mistake, model};

/// A value whose drops are counted, so that leaks and double drops show.
struct Counted(Arc<AtomicUsize>);
impl Counted {
    fn new(drops: &Arc<AtomicUsize>) -> Self {
        Self(Arc::clone(drops))
    }
}
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn dropped(drops: &Arc<AtomicUsize>) -> usize {
    drops.load(Ordering::Relaxed)
}

fn join_all<T>(threads: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

// The waker cell.

model!(loom_waker_cell_loses_no_wake, || {
    let cell = Arc::new((WakerCell::new(), AtomicUsize::new(0)));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                cell.1.fetch_add(1, Ordering::Relaxed);
                cell.0.wake();
            })
        })
        .collect();
    block_on(poll_fn(|cx| {
        cell.0.register(cx.waker());
        if cell.1.load(Ordering::Relaxed) == 2 { Poll::Ready(()) } else { Poll::Pending }
    }));
    join_all(threads);
});

model!(loom_waker_cell_forgets_a_replaced_waker, || {
    let cell = Arc::new(WakerCell::new());
    let ((first, first_waker), (second, second_waker)) = (Wakes::new(), Wakes::new());
    cell.register(&first_waker);
    let other = Arc::clone(&cell);
    let thread = thread::spawn(move || other.wake());
    cell.register(&second_waker);
    thread.join().unwrap();
    assert!(first.count() + second.count() >= 1, "one of the two was registered all the time");
    drop((cell, first_waker, second_waker));
    assert_eq!((StdArc::strong_count(&first), StdArc::strong_count(&second)), (1, 1));
});

// oneshot

model!(loom_oneshot_a_sent_value_is_received, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = oneshot::channel();
    let value = Counted::new(&drops);
    let thread = thread::spawn(move || assert!(sender.send(value).is_ok()));
    drop(block_on(receiver).unwrap());
    thread.join().unwrap();
    assert_eq!(dropped(&drops), 1);
});

model!(loom_oneshot_a_dropped_sender_is_noticed, || {
    let (sender, receiver) = oneshot::channel::<u8>();
    let thread = thread::spawn(move || drop(sender));
    assert!(block_on(receiver).is_err());
    thread.join().unwrap();
});

model!(loom_oneshot_either_side_drops_the_value_once, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = oneshot::channel();
    let value = Counted::new(&drops);
    let thread = thread::spawn(move || sender.send(value).is_ok());
    let received = match poll_once(Pin::new(&mut receiver)) {
        Poll::Ready(value) => value.is_ok(),
        Poll::Pending => false,
    };
    drop(receiver);
    let sent = thread.join().unwrap();
    assert!(sent || !received);
    assert_eq!(dropped(&drops), 1);
});

model!(loom_oneshot_close_races_with_send, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = oneshot::channel();
    let value = Counted::new(&drops);
    let thread = thread::spawn(move || sender.send(value).is_ok());
    let mut received = match poll_once(Pin::new(&mut receiver)) {
        Poll::Ready(value) => value.is_ok(),
        Poll::Pending => false,
    };
    receiver.close();
    received |= receiver.try_recv().is_ok();
    assert!(receiver.is_terminated());
    assert_eq!(thread.join().unwrap(), received);
    assert_eq!(dropped(&drops), 1);
});

model!(loom_oneshot_a_waiting_sender_is_woken_by_the_close, || {
    let (mut sender, receiver) = oneshot::channel::<u8>();
    let thread = thread::spawn(move || drop(receiver));
    assert!(poll_once(pin!(poll_fn(|cx| sender.poll_closed(cx)))).is_pending() || sender.is_closed());
    block_on(sender.closed());
    thread.join().unwrap();
    assert!(sender.send(1).is_err());
});

model!(loom_oneshot_a_receiver_changes_its_waker, || {
    let (sender, mut receiver) = oneshot::channel::<u8>();
    let thread = thread::spawn(move || sender.send(7).unwrap());
    if poll_once(Pin::new(&mut receiver)).is_pending() {
        assert_eq!(block_on(receiver), Ok(7));
    }
    thread.join().unwrap();
});

model!(loom_oneshot_a_sender_that_waited_sends_to_a_receiver_that_is_dropped, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (mut sender, receiver) = oneshot::channel();
    let value = Counted::new(&drops);
    let thread = thread::spawn(move || {
        let _ = poll_once(pin!(poll_fn(|cx| sender.poll_closed(cx))));
        let _ = sender.send(value);
    });
    drop(receiver);
    thread.join().unwrap();
    assert_eq!(dropped(&drops), 1);
});

// The chain.

/// Pops values, and waits as a receiver does.
struct Consumer<T>(Arc<Chain<T, 2>>);
impl<T> Consumer<T> {
    fn next(&self) -> Option<T> {
        block_on(poll_fn(|cx| {
            loop {
                // SAFETY: each model has one `Consumer`, used by one thread at a time.
                match unsafe { self.0.pop() } {
                    Popped::Value(value) => return Poll::Ready(Some(value)),
                    Popped::Closed => return Poll::Ready(None),
                    Popped::Empty => {}
                }
                // SAFETY: as above.
                if unsafe { self.0.park(cx.waker()) } == Parked::Yes {
                    return Poll::Pending;
                }
            }
        }))
    }
}

impl Consumer<u32> {
    /// Returns the sum of all values: `pops` pops beside the threads, and the rest after they have ended.
    fn sum(&self, pops: usize, threads: impl IntoIterator<Item = JoinHandle<()>>) -> u32 {
        let pop = || {
            // SAFETY: as above.
            match unsafe { self.0.pop() } {
                Popped::Value(number) => Some(number),
                Popped::Closed | Popped::Empty => None,
            }
        };
        let beside = (0..pops).filter_map(|_| pop()).sum::<u32>();
        join_all(threads);
        beside + std::iter::from_fn(pop).sum::<u32>()
    }
}

fn chain<T>() -> (Arc<Chain<T, 2>>, Consumer<T>) {
    let chain = Arc::new(Chain::new());
    (Arc::clone(&chain), Consumer(chain))
}

model!(loom_chain_two_producers_two_values_each, || {
    let (chain, consumer) = chain();
    let threads: Vec<_> = (0..2)
        .map(|id| {
            let chain = Arc::clone(&chain);
            thread::spawn(move || {
                for number in 0..2 {
                    assert!(chain.push((id, number)).is_ok());
                }
            })
        })
        .collect();
    join_all(threads);
    // A consumer beside them is in the next model: both at once are too many steps.
    let mut next = [0, 0];
    for _ in 0..4 {
        let (id, number) = consumer.next().unwrap();
        assert_eq!(number, next[id], "in the order of each producer");
        next[id] += 1;
    }
    // SAFETY: the consumer is not used meanwhile.
    assert_eq!(unsafe { chain.len() }, 0);
});

model!(loom_chain_two_producers_link_a_block_under_the_consumer, || {
    let (chain, consumer) = chain();
    assert!(chain.push(0).is_ok());
    let threads: Vec<_> = (1..3)
        .map(|number| {
            let chain = Arc::clone(&chain);
            thread::spawn(move || assert!(chain.push(number).is_ok()))
        })
        .collect();
    let mut sum = 0;
    for _ in 0..3 {
        sum += consumer.next().unwrap();
    }
    assert_eq!(sum, 3);
    join_all(threads);
});

model!(loom_chain_blocks_are_reused_while_a_producer_lags, || {
    let (chain, consumer) = chain();
    // Two blocks are full before the threads start; the consumer frees them while the producer pushes.
    for number in 0..3 {
        assert!(chain.push(number).is_ok());
    }
    let other = Arc::clone(&chain);
    let thread = thread::spawn(move || {
        for number in 3..6 {
            assert!(other.push(number).is_ok());
        }
    });
    for number in 0..6 {
        assert_eq!(consumer.next(), Some(number));
    }
    thread.join().unwrap();
});

model!(loom_chain_a_block_is_not_freed_under_a_producer_that_lags, || {
    let (chain, consumer) = chain();
    assert!(chain.push(0).is_ok());
    assert!(chain.push(1).is_ok());
    // Both start at the first block, which the consumer leaves before they do.
    let threads: Vec<_> = (2..4)
        .map(|number| {
            let chain = Arc::clone(&chain);
            thread::spawn(move || assert!(chain.push(number).is_ok()))
        })
        .collect();
    assert_eq!(consumer.sum(3, threads), 6, "a value is lost or was read twice");
});

model!(loom_chain_a_late_claim_does_not_start_at_a_freed_block, || {
    let (chain, consumer) = chain();
    assert!(chain.push(0).is_ok());
    assert!(chain.push(1).is_ok());
    let threads = [&[2, 3, 4][..], &[5]].map(|numbers| {
        let chain = Arc::clone(&chain);
        thread::spawn(move || {
            for number in numbers {
                assert!(chain.push(*number).is_ok());
            }
        })
    });
    assert_eq!(consumer.sum(5, threads), 15, "a value is lost or was read twice");
});

model!(loom_chain_the_last_sender_ends_it, || {
    let (chain, consumer) = chain();
    let thread = thread::spawn(move || {
        assert!(chain.push(1).is_ok());
        assert!(chain.push(2).is_ok());
        chain.close_tx();
    });
    assert_eq!(consumer.next(), Some(1));
    assert_eq!(consumer.next(), Some(2));
    assert_eq!(consumer.next(), None);
    assert_eq!(consumer.next(), None);
    thread.join().unwrap();
});

model!(loom_chain_a_close_of_the_receiver_keeps_what_was_pushed, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (chain, consumer) = chain();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (chain, value) = (Arc::clone(&chain), Counted::new(&drops));
            thread::spawn(move || chain.push(value).is_ok())
        })
        .collect();
    // SAFETY: this thread is the consumer.
    unsafe { consumer.0.close_rx() };
    let mut received = 0;
    while consumer.next().is_some() {
        received += 1;
    }
    let sent = join_all(threads).into_iter().filter(|is_sent| *is_sent).count();
    assert_eq!(received, sent);
    assert_eq!(dropped(&drops), 2);
});

model!(loom_chain_drops_what_is_left, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (chain, consumer) = chain();
    let value = Counted::new(&drops);
    let more = [Counted::new(&drops), Counted::new(&drops)];
    assert!(chain.push(value).is_ok());
    let thread = thread::spawn(move || {
        for value in more {
            assert!(chain.push(value).is_ok());
        }
    });
    // SAFETY: this thread is the consumer.
    drop(unsafe { consumer.0.pop() });
    // SAFETY: as above.
    let _ = unsafe { consumer.0.park(Waker::noop()) };
    // SAFETY: as above.
    unsafe { consumer.0.forget_waker() };
    drop(consumer);
    thread.join().unwrap();
    assert_eq!(dropped(&drops), 3);
});

/// The consumer ends while a producer pushes. The chain stays, as it does for other senders.
fn leave_while_pushing(leave: unsafe fn(&Chain<Counted, 2>) -> usize) {
    let drops = Arc::new(AtomicUsize::new(0));
    let (chain, consumer) = chain();
    let values = [Counted::new(&drops), Counted::new(&drops)];
    let thread = thread::spawn(move || {
        for value in values {
            drop(chain.push(value));
        }
        chain
    });
    // SAFETY: this thread is the consumer.
    unsafe { leave(&consumer.0) };
    let chain = thread.join().unwrap();
    assert_eq!(dropped(&drops), 2, "a value is left in the chain");
    drop(chain);
}

model!(loom_chain_no_value_is_left_when_the_consumer_is_dropped, || leave_while_pushing(Chain::end_rx));

mistake!(loom_mistake_a_consumer_that_does_not_close_before_it_drains, "a value is left in the chain", || {
    leave_while_pushing(|chain| {
        // SAFETY: as for `end_rx`.
        unsafe {
            let count = chain.drain();
            chain.close_rx();
            count
        }
    });
});

mistake!(loom_mistake_a_consumer_that_does_not_wait_for_a_claimed_slot, "a value is left in the chain", || {
    leave_while_pushing(|chain| {
        // SAFETY: as for `end_rx`.
        unsafe {
            chain.close_rx();
            chain.drain()
        }
    });
});

model!(loom_chain_the_consumer_changes_its_waker, || {
    let (chain, consumer) = chain();
    let thread = thread::spawn(move || assert!(chain.push(1).is_ok()));
    // SAFETY: this thread is the consumer.
    let _ = unsafe { consumer.0.park(Waker::noop()) };
    assert_eq!(consumer.next(), Some(1));
    thread.join().unwrap();
});

// mpsc

model!(loom_bounded_senders_wait_for_room, || {
    let (sender, mut receiver) = mpsc::channel(1);
    let thread = thread::spawn(move || {
        block_on(async {
            sender.send(1).await.unwrap();
            sender.send(2).await.unwrap();
        });
    });
    block_on(async {
        assert_eq!(receiver.recv().await, Some(1));
        assert_eq!(receiver.recv().await, Some(2));
        assert_eq!(receiver.recv().await, None);
    });
    thread.join().unwrap();
});

model!(loom_bounded_close_waits_for_permits, || {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let other = sender.clone();
    let thread = thread::spawn(move || {
        // The permit is dropped unused, after the close or before.
        drop(block_on(other.reserve()));
    });
    receiver.close();
    assert_eq!(block_on(receiver.recv()), None);
    assert!(sender.try_send(1).is_err());
    thread.join().unwrap();
});

model!(loom_bounded_a_permit_is_used_after_the_close, || {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let thread = thread::spawn(move || match sender.try_reserve() {
        Ok(permit) => {
            permit.send(1);
            true
        }
        Err(_) => false,
    });
    receiver.close();
    let received = block_on(receiver.recv()).is_some();
    assert_eq!(thread.join().unwrap(), received);
});

model!(loom_bounded_dropping_the_receiver_drops_values_and_fails_senders, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::channel(1);
    let values = [Counted::new(&drops), Counted::new(&drops)];
    let thread = thread::spawn(move || {
        block_on(async {
            for value in values {
                let _ = sender.send(value).await;
            }
            sender.closed().await;
        });
    });
    drop(receiver);
    thread.join().unwrap();
    assert_eq!(dropped(&drops), 2);
});

model!(loom_bounded_a_collected_permit_comes_back_after_the_close, || {
    let (sender, mut receiver) = mpsc::channel::<u8>(2);
    let held = sender.clone().try_reserve_owned().unwrap();
    let thread = thread::spawn(move || {
        // Collects one of two, and is dropped or refused.
        let mut waiting = Box::pin(sender.reserve_many(2));
        let _ = poll_once(waiting.as_mut());
        drop(waiting);
    });
    receiver.close();
    drop(held);
    assert_eq!(block_on(receiver.recv()), None);
    thread.join().unwrap();
});

model!(loom_unbounded_try_recv_sees_what_was_sent_before, || {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let other = sender.clone();
    let thread = thread::spawn(move || other.send(1).unwrap());
    sender.send(2).unwrap();
    // The other send may have claimed an earlier slot and not have published it.
    assert!(receiver.try_recv().is_ok());
    thread.join().unwrap();
    assert!(receiver.try_recv().is_ok());
    drop(sender);
    assert_eq!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
});

model!(loom_unbounded_the_last_of_two_senders_ends_it, || {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let other = sender.clone();
    let thread = thread::spawn(move || {
        other.send(1).unwrap();
    });
    drop(sender);
    assert_eq!(block_on(receiver.recv()), Some(1));
    assert_eq!(block_on(receiver.recv()), None);
    thread.join().unwrap();
});

// watch

model!(loom_watch_a_waiting_receiver_sees_the_last_value_and_the_end, || {
    let (sender, mut receiver) = watch::channel(0);
    let thread = thread::spawn(move || {
        sender.send(1).unwrap();
        sender.send(2).unwrap();
    });
    let mut last = 0;
    while block_on(receiver.changed()).is_ok() {
        let value = *receiver.borrow_and_update();
        assert!(value > last || value == 2, "a value is not older than its version");
        last = value;
    }
    assert_eq!(last, 2);
    thread.join().unwrap();
});

model!(loom_watch_wait_for_finds_the_value, || {
    let (sender, mut receiver) = watch::channel(0);
    let thread = thread::spawn(move || {
        sender.send_modify(|value| *value = 1);
        sender
    });
    assert_eq!(*block_on(receiver.wait_for(|value| *value == 1)).unwrap(), 1);
    thread.join().unwrap();
});

model!(loom_watch_a_sender_is_woken_when_the_last_receiver_is_dropped, || {
    let (sender, receiver) = watch::channel(0);
    let second = receiver.clone();
    let thread = thread::spawn(move || drop(receiver));
    drop(second);
    block_on(sender.closed());
    assert!(sender.send(1).is_err());
    thread.join().unwrap();
});

model!(loom_watch_a_dropped_wait_leaves_the_list_while_all_are_called, || {
    let (sender, mut receiver) = watch::channel(0);
    let mut second = receiver.clone();
    let thread = thread::spawn(move || sender.send(1).unwrap());
    {
        let mut waiting = pin!(receiver.changed());
        let _ = poll_once(waiting.as_mut());
    }
    assert!(block_on(second.changed()).is_ok());
    thread.join().unwrap();
});

// broadcast

model!(loom_broadcast_each_receiver_gets_each_message, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, mut receiver) = broadcast::channel(2);
    let mut second = sender.subscribe();
    let value = Arc::new(Counted::new(&drops));
    let thread = thread::spawn(move || {
        assert!(block_on(second.recv()).is_ok());
        assert!(block_on(second.recv()).is_err());
    });
    assert!(sender.send(value).is_ok());
    assert!(block_on(receiver.recv()).is_ok());
    drop(sender);
    thread.join().unwrap();
    assert_eq!(dropped(&drops), 1, "the last receiver drops it");
});

model!(loom_broadcast_a_receiver_that_lags_loses_the_oldest_only, || {
    let (sender, mut receiver) = broadcast::channel(1);
    let thread = thread::spawn(move || {
        assert!(sender.send(0).is_ok());
        assert!(sender.send(1).is_ok());
    });
    let mut next = 0;
    loop {
        match block_on(receiver.recv()) {
            Ok(message) => {
                assert_eq!(message, next);
                next += 1;
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => next += lost,
            Err(broadcast::error::RecvError::Closed) => break,
        }
    }
    assert_eq!(next, 2);
    thread.join().unwrap();
});

model!(loom_broadcast_a_receiver_goes_while_a_message_comes, || {
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = broadcast::channel(1);
    let second = sender.subscribe();
    let values = [Counted::new(&drops), Counted::new(&drops)];
    let thread = thread::spawn(move || drop(receiver));
    for value in values {
        assert!(sender.send(Arc::new(value)).is_ok());
    }
    drop(second);
    thread.join().unwrap();
    assert_eq!(dropped(&drops), 2);
    assert_eq!(sender.receiver_count(), 0);
});

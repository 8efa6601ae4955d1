//! Tests of the channels: a random comparison with plain queues, and behaviour that the models do not cover.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};

use super::support::emulation::rounds;
use super::support::{Rng, Wakes, poll_once, poll_with};
use redd::sync::{broadcast, mpsc, oneshot, watch};

/// Seeds of the random comparisons. A failure names its seed.
const SEEDS: std::ops::Range<u64> = 0..64;

/// Polls a receive once.
macro_rules! now {
    ($future:expr) => {
        poll_once(pin!($future))
    };
}

struct Panicking;
impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

/// A value that counts its drops.
#[derive(Clone)]
struct Counted(Arc<AtomicUsize>);
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

// Comparison with plain queues.

#[test]
fn bounded_mpsc_behaves_as_a_deque_with_a_limit() {
    for seed in SEEDS {
        let rng = Rng::new(seed);
        let bound = 1 + rng.below(70) as usize;
        let (sender, mut receiver) = mpsc::channel(bound);
        let mut model = VecDeque::new();
        let (mut held, mut next, mut is_closed) = (Vec::new(), 0, false);
        for _ in 0..rounds(2_000) {
            let is_full = model.len() + held.len() == bound;
            match rng.below(if is_closed { 7 } else { 400 }) {
                0 => {
                    receiver.close();
                    is_closed = true;
                }
                1..40 => {
                    held.pop(); // A permit given back unused.
                }
                40..100 => {
                    if let Ok(permit) = sender.try_reserve() {
                        assert!(!is_full && !is_closed, "seed {seed}");
                        held.push(permit);
                    } else {
                        assert!(is_full || is_closed, "seed {seed}");
                    }
                }
                100..160 => {
                    if let Some(permit) = held.pop() {
                        permit.send(next);
                        model.push_back(next);
                    }
                }
                160..250 => match now!(sender.send(next)) {
                    Poll::Ready(Ok(())) => model.push_back(next),
                    Poll::Ready(Err(error)) => assert!(is_closed && error.0 == next),
                    Poll::Pending => assert!(is_full && !is_closed, "seed {seed}"),
                },
                250..280 => {
                    let mut buffer = Vec::new();
                    let limit = 1 + rng.below(5) as usize;
                    let expected: Vec<_> = model.drain(..limit.min(model.len())).collect();
                    match now!(receiver.recv_many(&mut buffer, limit)) {
                        Poll::Ready(count) => assert_eq!(count, expected.len(), "seed {seed}"),
                        Poll::Pending => assert!(expected.is_empty()),
                    }
                    assert_eq!(buffer, expected, "seed {seed}");
                }
                _ => match now!(receiver.recv()) {
                    Poll::Ready(Some(value)) => assert_eq!(Some(value), model.pop_front()),
                    Poll::Ready(None) => {
                        assert!(is_closed && held.is_empty() && model.is_empty(), "seed {seed}");
                    }
                    Poll::Pending => assert!(model.is_empty() && !(is_closed && held.is_empty())),
                },
            }
            next += 1;
            assert_eq!(receiver.len(), model.len(), "seed {seed}");
            assert_eq!(sender.capacity(), bound - model.len() - held.len(), "seed {seed}");
        }
    }
}

#[test]
fn unbounded_mpsc_behaves_as_a_deque() {
    for seed in SEEDS {
        let rng = Rng::new(seed);
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut senders = vec![sender];
        let mut model = VecDeque::new();
        let mut is_closed = false;
        for next in 0..rounds(3_000) {
            match rng.below(300) {
                0 => {
                    receiver.close();
                    is_closed = true;
                }
                1..=3 => drop(senders.pop()),
                4..=6 if !senders.is_empty() => senders.push(senders[0].clone()),
                7..160 => {
                    if let Some(sender) = senders.last() {
                        let sent = sender.send(next);
                        assert_eq!(sent.is_ok(), !is_closed, "seed {seed}");
                        model.extend(sent.is_ok().then_some(next));
                    }
                }
                _ => {
                    let is_over = is_closed || senders.is_empty();
                    assert_eq!(receiver.is_closed(), is_over, "seed {seed}");
                    match receiver.try_recv() {
                        Ok(value) => assert_eq!(Some(value), model.pop_front(), "seed {seed}"),
                        Err(error) => {
                            assert!(model.is_empty(), "seed {seed}");
                            let is_last = error == mpsc::error::TryRecvError::Disconnected;
                            assert_eq!(is_last, is_over, "seed {seed}");
                        }
                    }
                }
            }
            assert_eq!(receiver.len(), model.len(), "seed {seed}");
            assert_eq!(receiver.sender_strong_count(), senders.len(), "seed {seed}");
        }
    }
}

#[test]
fn broadcast_behaves_as_a_deque_with_a_position_per_receiver() {
    for seed in SEEDS {
        let rng = Rng::new(seed);
        let asked = 1 + rng.below(9) as usize;
        let capacity = asked.next_power_of_two() as u64;
        let sender = broadcast::Sender::new(asked);
        let mut receivers: Vec<(broadcast::Receiver<u64>, u64)> = Vec::new();
        // Messages are their own positions.
        let mut end = 0_u64;
        for _ in 0..rounds(2_000) {
            match rng.below(20) {
                0 => receivers.push((sender.subscribe(), end)),
                1 if !receivers.is_empty() => {
                    drop(receivers.swap_remove(rng.below(receivers.len() as u32) as usize));
                }
                2..9 => match sender.send(end) {
                    Ok(count) => {
                        assert_eq!(count, receivers.len(), "seed {seed}");
                        end += 1;
                    }
                    Err(error) => assert!(receivers.is_empty() && error.0 == end),
                },
                _ if !receivers.is_empty() => {
                    let index = rng.below(receivers.len() as u32) as usize;
                    let (receiver, place) = &mut receivers[index];
                    assert_eq!(receiver.len() as u64, end - *place, "seed {seed}");
                    let oldest = end.saturating_sub(capacity);
                    let expected = if *place < oldest {
                        let lost = oldest - *place;
                        *place = oldest;
                        Poll::Ready(Err(broadcast::error::RecvError::Lagged(lost)))
                    } else if *place < end {
                        *place += 1;
                        Poll::Ready(Ok(*place - 1))
                    } else {
                        Poll::Pending
                    };
                    assert_eq!(now!(receiver.recv()), expected, "seed {seed}");
                }
                _ => {}
            }
            let oldest = end.saturating_sub(capacity);
            let unseen = receivers.iter().map(|(_, place)| end - (*place).max(oldest)).max();
            assert_eq!(sender.len() as u64, unseen.unwrap_or(0), "seed {seed}");
            assert_eq!(sender.is_empty(), unseen.unwrap_or(0) == 0, "seed {seed}");
        }
    }
}

#[test]
fn watch_behaves_as_a_version_counter() {
    for seed in SEEDS {
        let rng = Rng::new(seed);
        let (sender, receiver) = watch::channel(0_u64);
        let mut receivers = vec![(receiver, 0_u64)];
        let mut current = 0;
        for _ in 0..rounds(2_000) {
            let index = rng.below(receivers.len() as u32) as usize;
            let count = receivers.len();
            let (receiver, seen) = &mut receivers[index];
            match rng.below(12) {
                0 => {
                    let copy = (receiver.clone(), *seen);
                    receivers.push(copy);
                }
                1 if count > 1 => drop(receivers.swap_remove(index)),
                2..4 => {
                    current += 1;
                    sender.send(current).unwrap();
                }
                4 => assert!(!sender.send_if_modified(|_| false)),
                5 => {
                    receiver.mark_unchanged();
                    *seen = current;
                }
                6 => {
                    receiver.mark_changed();
                    *seen = u64::MAX;
                }
                7 => {
                    let value = receiver.borrow();
                    assert_eq!((*value, value.has_changed()), (current, *seen != current));
                }
                8 => {
                    let value = receiver.borrow_and_update();
                    assert_eq!((*value, value.has_changed()), (current, *seen != current));
                    *seen = current;
                }
                9 => {
                    assert_eq!(now!(receiver.wait_for(|value| value % 2 == 0)).is_ready(), current % 2 == 0);
                    *seen = current;
                }
                _ => {
                    assert_eq!(receiver.has_changed().unwrap(), *seen != current, "seed {seed}");
                    assert_eq!(now!(receiver.changed()).is_ready(), *seen != current, "seed {seed}");
                    *seen = current;
                }
            }
            assert_eq!(sender.receiver_count(), receivers.len(), "seed {seed}");
        }
    }
}

// Wakers.

#[test]
fn a_pending_mpsc_receiver_is_woken_once_and_forgets_its_waker_when_dropped() {
    let (wakes, waker) = Wakes::new();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    assert!(poll_with(pin!(receiver.recv()), &waker).is_pending());
    assert!(poll_with(pin!(receiver.recv()), &waker).is_pending());
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert_eq!(wakes.count(), 1, "no receiver waits for the second message");
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(receiver.try_recv(), Ok(2));
    assert!(poll_with(pin!(receiver.recv()), &waker).is_pending());
    assert!(now!(receiver.recv()).is_pending(), "another waker takes its place");
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
    let (wakes, waker) = Wakes::new();
    assert!(poll_with(pin!(receiver.recv()), &waker).is_pending());
    drop((receiver, waker));
    assert_eq!(Arc::strong_count(&wakes), 1);
    assert!(sender.send(3).is_err());
}

#[test]
fn a_closed_receiver_is_woken_by_the_last_permit() {
    let (wakes, waker) = Wakes::new();
    let (sender, mut receiver) = mpsc::channel::<u8>(2);
    let permits = sender.try_reserve_many(2).unwrap();
    receiver.close();
    assert!(poll_with(pin!(receiver.recv()), &waker).is_pending());
    assert_eq!(wakes.count(), 0);
    drop(permits);
    assert_eq!(wakes.count(), 1);
    assert_eq!(now!(receiver.recv()), Poll::Ready(None));
}

#[test]
fn a_panicking_waker_does_not_lose_the_message() {
    let bad = Waker::from(Arc::new(Panicking));
    let (sender, mut receiver) = oneshot::channel();
    assert!(poll_with(Pin::new(&mut receiver), &bad).is_pending());
    sender.send(7).unwrap();
    assert_eq!(receiver.try_recv(), Ok(7));

    let (sender, mut receiver) = mpsc::channel(1);
    assert!(poll_with(pin!(receiver.recv()), &bad).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| sender.try_send(7))).is_err());
    assert_eq!(receiver.try_recv(), Ok(7));
    assert!(poll_with(pin!(receiver.recv()), &bad).is_pending());
    drop(sender);
    assert_eq!(now!(receiver.recv()), Poll::Ready(None));

    let (sender, mut receiver) = watch::channel(0);
    assert!(poll_with(pin!(receiver.changed()), &bad).is_pending());
    sender.send(7).unwrap();
    assert_eq!(*receiver.borrow_and_update(), 7);
}

#[test]
fn a_dropped_wait_leaves_no_waker_behind() {
    let (wakes, waker) = Wakes::new();
    let (sender, mut receiver) = watch::channel(0);
    assert!(poll_with(pin!(receiver.changed()), &waker).is_pending());
    assert!(poll_with(pin!(sender.closed()), &waker).is_pending());
    let (sender, mut receiver) = broadcast::channel::<u8>(1);
    assert!(poll_with(pin!(receiver.recv()), &waker).is_pending());
    assert!(poll_with(pin!(sender.closed()), &waker).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 1);
}

// Drops and panics.

#[test]
fn every_message_is_dropped_once_wherever_it_is() {
    let drops = Arc::new(AtomicUsize::new(0));
    let value = || Counted(Arc::clone(&drops));
    let count = || drops.swap(0, Ordering::Relaxed);

    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(value()).is_ok());
    drop(receiver);
    assert_eq!(count(), 1);

    let (sender, mut receiver) = mpsc::unbounded_channel();
    for _ in 0..100 {
        assert!(sender.send(value()).is_ok());
    }
    drop(receiver.try_recv());
    assert_eq!(count(), 1);
    drop(receiver);
    assert_eq!(count(), 99, "the receiver drops what is queued");
    assert!(sender.send(value()).is_err());
    assert_eq!(count(), 1);

    let (sender, receiver) = mpsc::channel(1);
    let permit = sender.try_reserve().unwrap();
    drop(receiver);
    permit.send(value());
    assert_eq!(
        count(),
        1,
        "a message sent after the receiver was dropped is dropped at once, although the channel stays"
    );
    assert_eq!(sender.capacity(), 1);
    let owned = sender.clone().try_reserve_owned();
    assert!(owned.is_err(), "the channel is closed");
    drop(sender);
    assert_eq!(count(), 0);

    let (sender, receiver) = broadcast::channel(2);
    let second = sender.subscribe();
    for _ in 0..3 {
        assert!(sender.send(value()).is_ok());
    }
    assert_eq!(count(), 1, "overwritten");
    drop(receiver);
    assert_eq!(count(), 0);
    drop(second);
    assert_eq!(count(), 2, "the last receiver counts everything as seen");
}

#[test]
fn a_message_whose_drop_panics_does_not_leak_the_others() {
    struct Bomb(Arc<AtomicUsize>, bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert!(!self.1, "a drop that panics");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = mpsc::unbounded_channel();
    for number in 0..50 {
        assert!(sender.send(Bomb(Arc::clone(&drops), number == 10)).is_ok());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err());
    assert_eq!(drops.load(Ordering::Relaxed), 50);
}

#[test]
fn a_panic_while_a_watched_value_is_changed_poisons_nothing() {
    let (sender, mut receiver) = watch::channel(1);
    let change = || {
        sender.send_modify(|value| {
            *value = 2;
            panic!("in the middle");
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(change)).is_err());
    assert!(!receiver.has_changed().unwrap(), "receivers are not woken");
    assert_eq!(*receiver.borrow(), 2);
    sender.send(3).unwrap();
    assert!(now!(receiver.changed()).is_ready());
    let asked = catch_unwind(AssertUnwindSafe(|| now!(receiver.wait_for(|_| panic!("a condition"))).is_ready()));
    assert!(asked.is_err());
    assert_eq!(sender.send_replace(4), 3);
}

#[test]
fn a_broadcast_message_whose_clone_panics_is_skipped() {
    #[derive(Debug)]
    struct NoClone;
    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("a clone that panics");
        }
    }
    let (sender, mut receiver) = broadcast::channel(2);
    let _second = sender.subscribe();
    sender.send(NoClone).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver.try_recv()))).is_err());
    assert!(receiver.is_empty());
    assert_eq!(sender.len(), 1, "the other receiver has not seen it");
}

#[test]
#[should_panic(expected = "check `is_terminated` first")]
fn polling_a_finished_oneshot_says_what_to_check() {
    let (sender, mut receiver) = oneshot::channel();
    sender.send(1).unwrap();
    assert!(poll_once(Pin::new(&mut receiver)).is_ready());
    let _ = poll_once(Pin::new(&mut receiver));
}

#[test]
#[should_panic(expected = "use a buffer of at least 1")]
fn a_channel_of_capacity_zero_panics() {
    let _ = mpsc::channel::<u8>(0);
}

// Threads.

#[test]
fn many_producers_deliver_each_message_once_and_in_order() {
    let each = rounds(20_000);
    let (sender, mut receiver) = mpsc::channel(7);
    let threads: Vec<_> = (0..4)
        .map(|id| {
            let sender = sender.clone();
            let send = move || {
                for number in 0..each {
                    sender.blocking_send((id, number)).unwrap();
                }
            };
            std::thread::spawn(send)
        })
        .collect();
    drop(sender);
    let mut next = [0; 4];
    while let Some((id, number)) = receiver.blocking_recv() {
        assert_eq!(number, next[id as usize]);
        next[id as usize] += 1;
    }
    assert_eq!(next, [each; 4]);
    for thread in threads {
        thread.join().unwrap();
    }
}

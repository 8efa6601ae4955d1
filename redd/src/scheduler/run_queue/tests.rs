//! Tests of the run queue on one thread, compared with a `VecDeque`, and one with a thief.

use super::super::injector::testing::Node;
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

// SAFETY (all calls below): a test with one thread is the owner of all its queues.
macro_rules! owner {
    ($call:expr) => {
        // SAFETY: see above.
        unsafe { $call }
    };
}

fn filled(numbers: std::ops::Range<usize>) -> RunQueue<Node, 4> {
    let queue = RunQueue::new();
    for number in numbers {
        owner!(queue.push(Node::new(number), |_| panic!("there is room")));
    }
    queue
}

fn drain(queue: &RunQueue<Node, 4>) -> Vec<usize> {
    std::iter::from_fn(|| owner!(queue.pop())).map(Node::finish).collect()
}

fn number(node: Option<NonNull<Node>>) -> Option<usize> {
    node.map(Node::finish)
}

#[test]
fn a_full_ring_overflows_its_newer_half_and_keeps_the_older() {
    let queue = filled(0..4);
    let mut given = Vec::new();
    owner!(queue.push(Node::new(4), |batch| {
        assert_eq!(batch.len(), 3);
        batch.for_each(|node| given.push(Node::finish(node)));
    }));
    assert_eq!(given, [2, 3, 4]);
    assert_eq!(queue.len(), 2);
    assert_eq!(drain(&queue), [0, 1]);
    assert!(queue.is_empty());
}

#[test]
fn a_thief_takes_half_rounded_up_oldest_first() {
    let (queue, mine) = (filled(0..3), filled(0..0));
    assert_eq!(number(owner!(queue.steal_into(&mine))), Some(0));
    assert_eq!(drain(&mine), [1]);
    assert_eq!(drain(&queue), [2]);
    assert_eq!(number(owner!(queue.steal_into(&mine))), None);
}

#[test]
fn a_thief_without_room_takes_nothing() {
    let (queue, mine) = (filled(0..2), filled(10..13));
    assert_eq!(number(owner!(queue.steal_into(&mine))), None);
    assert_eq!(drain(&mine), [10, 11, 12]);
    assert_eq!(drain(&queue), [0, 1]);
}

#[test]
fn while_a_thief_copies_the_owner_overflows_one_task_and_a_second_thief_gets_none() {
    let (queue, mine) = (filled(0..4), filled(0..0));
    let (start, count) = queue.claim().expect("there are tasks");
    assert_eq!((start, count), (0, 2));
    assert_eq!(number(owner!(queue.steal_into(&mine))), None, "`one-thief`");
    let mut given = Vec::new();
    owner!(queue.push(Node::new(4), |batch| { batch.for_each(|node| given.push(Node::finish(node))) }));
    assert_eq!(given, [4]);
    assert_eq!(number(owner!(queue.pop())), Some(2));
    let claimed: Vec<_> = (0..2).map(|position| Node::finish(queue.read(position))).collect();
    assert_eq!(claimed, [0, 1]);
    queue.finish_copying();
    assert_eq!(drain(&queue), [3]);
}

#[test]
fn the_lifo_slot_holds_the_newest_task_and_returns_the_one_before() {
    let queue = filled(0..0);
    assert_eq!(number(owner!(queue.push_lifo(Node::new(0)))), None);
    assert!(!queue.is_empty());
    assert!(queue.is_ring_empty());
    assert_eq!(number(owner!(queue.push_lifo(Node::new(1)))), Some(0));
    assert_eq!(number(queue.steal_lifo()), Some(1));
    assert_eq!(number(owner!(queue.take_lifo())), None);
    assert_eq!(number(owner!(queue.push_lifo(Node::new(2)))), None);
    assert_eq!(number(owner!(queue.take_lifo())), Some(2));
    assert!(queue.is_empty());
}

#[test]
fn positions_wrap() {
    let queue = filled(0..0);
    let near_the_end = u32::MAX - 2;
    queue.head.0.store(Head::at(near_the_end).pack(), Ordering::Relaxed);
    queue.tail.0.store(near_the_end, Ordering::Relaxed);
    for lap in 0..3 {
        for number in 0..4 {
            owner!(queue.push(Node::new(lap * 4 + number), |_| panic!("there is room")));
        }
        let mine = filled(0..0);
        assert_eq!(number(owner!(queue.steal_into(&mine))), Some(lap * 4));
        assert_eq!(drain(&mine), [lap * 4 + 1]);
        assert_eq!(drain(&queue), [lap * 4 + 2, lap * 4 + 3]);
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_vec_deque(steps in prop::collection::vec(0_u8..8, 0..200)) {
        let (queue, mine) = (filled(0..0), filled(0..0));
        let mut dull = VecDeque::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                0..=4 => {
                    let mut given = Vec::new();
                    dull.push_back(number);
                    owner!(queue.push(Node::new(number), |batch| {
                        batch.for_each(|node| given.push(Node::finish(node)));
                    }));
                    if !given.is_empty() {
                        prop_assert_eq!(given, dull.drain(2..).collect::<Vec<_>>());
                    }
                }
                5..=6 => prop_assert_eq!(owner!(queue.pop()).map(Node::finish), dull.pop_front()),
                _ => {
                    let half = dull.len().div_ceil(2);
                    let mut stolen = Vec::from_iter(owner!(queue.steal_into(&mine)).map(Node::finish));
                    stolen.extend(drain(&mine));
                    prop_assert_eq!(stolen, dull.drain(..half).collect::<Vec<_>>());
                }
            }
            prop_assert_eq!(queue.len(), dull.len());
        }
        prop_assert_eq!(drain(&queue), dull.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn tasks_stolen_under_load_are_seen_once() {
    use crate::primitives::thread::spawn_named;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    const TASKS: usize = 20_000;
    let queue = Arc::new(RunQueue::<Node>::new());
    let is_done = Arc::new(AtomicBool::new(false));
    let thief = {
        let (queue, is_done) = (Arc::clone(&queue), Arc::clone(&is_done));
        let steal = move || {
            let (mine, mut seen) = (RunQueue::<Node>::new(), Vec::new());
            while !is_done.load(Ordering::Acquire) || !queue.is_ring_empty() {
                // SAFETY: this thread owns `mine`.
                let mut node = unsafe { queue.steal_into(&mine) };
                while let Some(stolen) = node {
                    seen.push(Node::finish(stolen));
                    // SAFETY: as above.
                    node = unsafe { mine.pop() };
                }
            }
            seen
        };
        spawn_named("thief".into(), None, steal).expect("a test may start a thread")
    };
    let mut seen = Vec::new();
    for number in 0..TASKS {
        // SAFETY: this thread owns `queue`.
        unsafe {
            queue.push(Node::new(number), |batch| batch.for_each(|node| seen.push(Node::finish(node))));
            if number % 3 == 0 {
                seen.extend(queue.pop().map(Node::finish));
            }
        }
    }
    is_done.store(true, Ordering::Release);
    seen.extend(thief.join().expect("the thief does not panic"));
    // SAFETY: as above.
    seen.extend(std::iter::from_fn(|| unsafe { queue.pop() }).map(Node::finish));
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..TASKS));
}

//! Models of the run queue (M2), its LIFO slot (M3) and the injector (M5).

#![expect(unsafe_code, reason = "owner-only calls; steps of the queues with a mistake in them")]

use std::ptr::NonNull;

use super::super::injector::testing::Node;
use super::super::injector::{Batch, Injector, ONE};
use super::super::run_queue::{Head, RunQueue};
use super::{assert_each_once, take};
use crate::primitives::atomic::Ordering;
use crate::primitives::checker::sync::Arc;
use crate::primitives::checker::thread;
use crate::primitives::{mistake, model};

type Ring = RunQueue<Node, 4>;

fn finish_batch(batch: Batch<Node>, seen: &mut Vec<usize>) {
    batch.for_each(|node| seen.push(take(node)));
}

// ── M2: the run queue ──────────────────────────────────────────────────────────────────────────────────────────────────

type Steal = unsafe fn(&Ring, &Ring) -> Option<NonNull<Node>>;

/// A thief steals into a queue of its own until that fails once.
fn thief(queue: &Ring, steal: Steal) -> Vec<usize> {
    let (mine, mut seen) = (Ring::new(), Vec::new());
    // SAFETY: this thread owns `mine`.
    unsafe {
        seen.extend(steal(queue, &mine).map(take));
        while let Some(node) = mine.pop() {
            seen.push(take(node));
        }
    }
    seen
}

/// The owner pushes `before` tasks, then `after` while thieves steal, and pops what is left.
fn ring(before: usize, after: usize, thieves: usize, steal: Steal) {
    let queue = Arc::new(Ring::new());
    let mut seen = Vec::new();
    let push = |number, seen: &mut Vec<usize>| {
        // SAFETY: this thread owns `queue`.
        unsafe { queue.push(Node::new(number), |batch| finish_batch(batch, seen)) };
    };
    (0..before).for_each(|number| push(number, &mut seen));
    let thieves = Vec::from_iter((0..thieves).map(|_| {
        let queue = Arc::clone(&queue);
        thread::spawn(move || thief(&queue, steal))
    }));
    (before..before + after).for_each(|number| push(number, &mut seen));
    // SAFETY: as above.
    while let Some(node) = unsafe { queue.pop() } {
        seen.push(take(node));
    }
    for thief in thieves {
        seen.extend(thief.join().expect("a thief does not panic"));
    }
    assert!(queue.is_empty());
    assert_each_once(seen, before + after);
}

model!(loom_ring_owner_and_two_thieves, || ring(3, 0, 2, Ring::steal_into));

model!(loom_ring_owner_pushes_while_stolen_from, || ring(1, 2, 1, Ring::steal_into));

model!(loom_ring_overflows_while_stolen_from, || ring(4, 2, 1, Ring::steal_into));

model!(loom_ring_overflows_with_two_thieves, || ring(4, 1, 2, Ring::steal_into));

/// The mistake: a thief that reads before it claims, and claims without checking whether the head has moved.
unsafe fn steal_without_claim(queue: &Ring, _: &Ring) -> Option<NonNull<Node>> {
    let head = Head::unpack(queue.head.0.load(Ordering::Acquire));
    if head.real == queue.tail.0.load(Ordering::Acquire) {
        return None;
    }
    let node = NonNull::new(queue.slot(head.real).load(Ordering::Relaxed));
    let real = head.real.wrapping_add(1);
    queue.head.0.store(Head { steal: real, real }.pack(), Ordering::Release);
    node
}

mistake!(loom_ring_catches_a_thief_that_reads_before_it_claims, "exactly once", || ring(2, 0, 1, steal_without_claim));

// ── M3: the LIFO slot ─────────────────────────────────────────────────────────────────────────────────────────────

type PushLifo = unsafe fn(&Ring, NonNull<Node>) -> Option<NonNull<Node>>;

/// The owner fills the slot twice and empties it, while a rescuer takes what it finds.
fn lifo_slot(push: PushLifo) {
    let queue = Arc::new(Ring::new());
    let rescuer = {
        let queue = Arc::clone(&queue);
        thread::spawn(move || Vec::from_iter((0..2).filter_map(|_| queue.steal_lifo().map(take))))
    };
    let mut seen = Vec::new();
    for number in 0..3 {
        // SAFETY: this thread owns `queue`.
        seen.extend(unsafe { push(&queue, Node::new(number)) }.map(take));
    }
    // SAFETY: as above.
    seen.extend(unsafe { queue.take_lifo() }.map(take));
    seen.extend(rescuer.join().expect("a rescuer does not panic"));
    assert_each_once(seen, 3);
}

model!(loom_lifo_slot_owner_and_rescuer, || lifo_slot(Ring::push_lifo));

/// The mistake: reads the slot, and then stores over it.
unsafe fn push_lifo_by_store(queue: &Ring, node: NonNull<Node>) -> Option<NonNull<Node>> {
    let before = queue.lifo_slot.load(Ordering::Relaxed);
    queue.lifo_slot.store(node.as_ptr(), Ordering::Release);
    NonNull::new(before)
}

mistake!(loom_lifo_slot_catches_a_push_that_stores_over_a_task, "exactly once", || lifo_slot(push_lifo_by_store));

// ── M5: the injector ──────────────────────────────────────────────────────────────────────────────────────────────

fn batch(numbers: std::ops::Range<usize>) -> Batch<Node> {
    // SAFETY: the nodes are fresh.
    let mut batch = unsafe { Batch::one(Node::new(numbers.start)) };
    for number in numbers.skip(1) {
        // SAFETY: as above.
        unsafe { batch.push(Node::new(number)) };
    }
    batch
}

fn pop(injector: &Injector<Node>, max: usize, seen: &mut Vec<usize>) {
    injector.pop_batch(max, |node| seen.push(take(node)));
}

model!(loom_injector_two_pushers_one_popper, || {
    let injector = Arc::new(Injector::new());
    let pushers = [0..2, 2..3].map(|numbers| {
        let injector = Arc::clone(&injector);
        thread::spawn(move || injector.push_batch(batch(numbers)).expect("it is open"))
    });
    let mut seen = Vec::new();
    pop(&injector, 2, &mut seen);
    for pusher in pushers {
        pusher.join().expect("a pusher does not panic");
    }
    assert_eq!(injector.is_empty(), seen.len() == 3);
    pop(&injector, 3, &mut seen);
    assert!(seen.iter().position(|n| *n == 0) < seen.iter().position(|n| *n == 1), "first in, first out");
    assert_each_once(seen, 3);
});

model!(loom_injector_two_poppers_and_a_pusher, || {
    let injector = Arc::new(Injector::new());
    injector.push(Node::new(0)).expect("it is open");
    let popper = {
        let injector = Arc::clone(&injector);
        thread::spawn(move || {
            let mut seen = Vec::new();
            pop(&injector, 1, &mut seen);
            seen
        })
    };
    let pusher = {
        let injector = Arc::clone(&injector);
        thread::spawn(move || injector.push(Node::new(1)).expect("it is open"))
    };
    let mut seen = Vec::new();
    pop(&injector, 2, &mut seen);
    pusher.join().expect("a pusher does not panic");
    seen.extend(popper.join().expect("a popper does not panic"));
    pop(&injector, 2, &mut seen);
    assert_each_once(seen, 2);
    assert!(injector.is_empty());
});

/// Two pushers, one of them with a batch, against close and drain: the drain returns each task that is accepted, and the push
/// returns each task that is refused.
fn close(push: fn(&Injector<Node>, Batch<Node>) -> Result<(), Batch<Node>>) {
    let injector = Arc::new(Injector::new());
    let pushers = [0..1, 1..3].map(|numbers| {
        let injector = Arc::clone(&injector);
        thread::spawn(move || {
            let mut refused = Vec::new();
            if let Err(batch) = push(&injector, batch(numbers)) {
                finish_batch(batch, &mut refused);
            }
            refused
        })
    });
    injector.close();
    let mut seen = Vec::new();
    injector.drain(|node| seen.push(take(node)));
    for pusher in pushers {
        seen.extend(pusher.join().expect("a pusher does not panic"));
    }
    assert_each_once(seen, 3);
}

model!(loom_injector_close_strands_nothing, || close(Injector::push_batch));

/// The mistake: checks whether the injector is closed, and counts itself afterwards.
fn push_after_a_check(injector: &Injector<Node>, batch: Batch<Node>) -> Result<(), Batch<Node>> {
    if injector.is_closed() {
        return Err(batch);
    }
    injector.pushers.0.backlog.fetch_add(batch.len() * ONE, Ordering::Relaxed);
    injector.link(&batch, injector.claim_end(&batch));
    Ok(())
}

mistake!(loom_injector_catches_a_push_that_checks_before_it_counts, "exactly once", || close(push_after_a_check));

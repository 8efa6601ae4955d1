//! Loom: trimming beside a walker, a spawn and an end.

#![expect(unsafe_code, reason = "a heap without a scheduler")]

use super::{Chunk, Heap, Trimming, for_each_slot};
use crate::primitives::{mistake, model};
use crate::task::cell;
use crate::task::hooks::{TaskHooks, UnjoinedPanic};
use crate::task::runnable::{Runnable, Schedule};
use std::panic::Location;
use std::sync::Arc;

struct NoScheduler;

impl Schedule for NoScheduler {
    fn schedule(&self, runnable: Runnable) {
        drop(runnable);
    }
    fn task_panicked(&self) {}

    fn panic_unjoined(&self, _: &UnjoinedPanic<'_>) {}
}

fn heap() -> Arc<Heap> {
    let heap = Heap::new(1, TaskHooks::default());
    // SAFETY: no task exists yet.
    unsafe { heap.set_owner(Arc::new(NoScheduler)) };
    heap
}

/// A task that is spawned and cancelled at once: its slot comes and goes.
fn spawn_and_end(heap: &Heap) {
    // SAFETY: the future is `Send`.
    let (runnable, handle) = unsafe { cell::allocate::<_, false>(heap, async {}, None, Location::caller()) };
    runnable.cancel();
    drop(handle);
}

fn trim(heap: &Arc<Heap>) {
    Trimming { heap: Arc::clone(heap), most: usize::MAX }.run();
}

fn beside_a_walker() {
    let heap = heap();
    spawn_and_end(&heap);
    let walker = {
        let heap = Arc::clone(&heap);
        crate::primitives::checker::thread::spawn(move || assert!(heap.describe_live().is_empty()))
    };
    trim(&heap);
    walker.join().unwrap();
    spawn_and_end(&heap);
    heap.close();
}

model!(loom_trimming_takes_no_chunk_from_under_a_walker, beside_a_walker);

fn beside_a_spawn() {
    let heap = heap();
    spawn_and_end(&heap);
    let spawner = {
        let heap = Arc::clone(&heap);
        crate::primitives::checker::thread::spawn(move || spawn_and_end(&heap))
    };
    trim(&heap);
    spawner.join().unwrap();
    let (out, is_whole) = {
        let central = heap.central.lock();
        let mut lists = central.magazines.concat();
        lists.extend(central.loose);
        let mut is_whole = true;
        for_each_slot(&lists, |slot| is_whole &= central.chunks.contains(&Chunk::of(slot)));
        (central.out, is_whole)
    };
    assert_eq!(out, 0, "no slot is lost");
    assert!(is_whole, "each slot has its chunk");
    heap.close();
}

model!(loom_trimming_leaves_a_task_that_is_spawned_meanwhile_alone, beside_a_spawn);

mistake!(
    loom_trimming_catches_a_chunk_that_goes_with_a_task_in_it,
    "each slot has its chunk",
    "a chunk that goes with a task in it",
    beside_a_spawn
);

//! Models of a trim while a walker looks at the slab, or a task is spawned and ends.

#![expect(unsafe_code, reason = "a slab without a scheduler")]

use super::{Chunk, TaskSlab, Trim, for_each_slot};
use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
use crate::primitives::{mistake, model};
use crate::task::cell;
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

fn slab() -> Arc<TaskSlab> {
    let slab = TaskSlab::new(1, TaskHooks::default());
    // SAFETY: no task exists yet.
    unsafe { slab.set_owner(Arc::new(NoScheduler)) };
    slab
}

/// Spawns a task and cancels it at once, so a slot is taken and given back.
fn spawn_and_end(slab: &TaskSlab) {
    // SAFETY: the future is `Send`.
    let (runnable, handle) = unsafe { cell::allocate::<_, false>(slab, None, async {}, None, Location::caller()) };
    runnable.cancel();
    drop(handle);
}

fn trim(slab: &Arc<TaskSlab>) {
    Trim { slab: Arc::clone(slab), most: usize::MAX }.run();
}

fn beside_a_walker() {
    let slab = slab();
    spawn_and_end(&slab);
    let walker = {
        let slab = Arc::clone(&slab);
        crate::primitives::checker::thread::spawn(move || assert!(slab.describe_live().is_empty()))
    };
    trim(&slab);
    walker.join().unwrap();
    spawn_and_end(&slab);
    slab.close();
}

model!(loom_trimming_takes_no_chunk_from_under_a_walker, beside_a_walker);

fn beside_a_spawn() {
    let slab = slab();
    spawn_and_end(&slab);
    let spawner = {
        let slab = Arc::clone(&slab);
        crate::primitives::checker::thread::spawn(move || spawn_and_end(&slab))
    };
    trim(&slab);
    spawner.join().unwrap();
    let (out, is_whole) = {
        let central = slab.central.lock();
        let mut lists = central.magazines.concat();
        lists.extend(central.loose);
        let mut is_whole = true;
        for_each_slot(&lists, |slot| is_whole &= central.chunks.contains(&Chunk::of(slot)));
        (central.out, is_whole)
    };
    assert_eq!(out, 0, "no slot is lost");
    assert!(is_whole, "each slot has its chunk");
    slab.close();
}

model!(loom_trimming_leaves_a_task_that_is_spawned_meanwhile_alone, beside_a_spawn);

mistake!(
    loom_trimming_catches_a_chunk_that_goes_with_a_task_in_it,
    "each slot has its chunk",
    patch "a chunk that goes with a task in it",
    beside_a_spawn
);

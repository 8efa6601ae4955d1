//! Trimming: chunks whose slots have all been free for a while are returned to the system.
//!
//! Called by workers that check their timers (`maybe_trim`), after the slab has recorded that free memory has grown
//! (`record_idle`). A thread of the blocking pool does the work (`Trim::run`).
//!
//! ```text
//!   NEVER ──free grew by KEPT──▶ SOON ──maybe_trim──▶ a time ──maybe_trim──▶ a later time   (much was needed meanwhile)
//!     ▲                                                 └─────maybe_trim──▶ under way ──run──▶ NEVER
//! ```
//!
//! # Invariants
//! - `in-hand`: a list of free slots that was taken out of the central lists belongs to the trimmer. No other thread
//!   has these slots. So a chunk whose slots are all in hand holds no task and cannot get one.
//! - `walkers-pin`: a chunk leaves the list of chunks only under the lock and while no walker is active, because a
//!   walker reads slots without the lock.
//!
//! # Why not otherwise
//! A count of free slots per chunk would show at once which chunk is empty. In a burst it would cost every task two
//! more writes. Here slots are counted only when memory is idle. Then one thread that runs no tasks reads the lists
//! once. The chunks are not deallocated: only whole areas could be, and allocators keep such blocks. Their pages are
//! returned, and their addresses are kept for the next burst.

#![expect(unsafe_code, reason = "free slots are raw memory")]

use super::central::{Central, Record};
use super::chunk::{CLASSES, Chunk, FreeList, GONE};
use super::pages::give_back_pages;
use super::sizes::{CHUNK, MAGAZINE, TRIM_MIN};
use super::task_slab::{NEVER, SOON, TaskSlab};
use crate::primitives::atomic::Ordering;
use crate::task::header::Header;
use std::ptr::NonNull;
use std::sync::Arc;

/// How long memory must be idle, in milliseconds. Twice this plus the work is well below the 30 s after which users
/// report a leak. No benchmark chose it.
const PATIENCE_MS: u64 = 8_000;

impl TaskSlab {
    /// Returns the work if idle memory should be returned now. The caller runs it where it delays no task.
    #[cold]
    pub(crate) fn maybe_trim(self: &Arc<Self>, now: u64) -> Option<Trim> {
        let mut central = self.central.lock();
        let due = self.tending.load(Ordering::Relaxed);
        if due > now || central.is_closed {
            return None;
        }
        let Record { free, least, .. } = central.record;
        central.record.least = free;
        if due == SOON || least < free / 2 {
            self.tending.store(now + PATIENCE_MS, Ordering::Relaxed);
            return None;
        }
        central.record.is_under_way = true;
        self.tending.store(NEVER, Ordering::Relaxed);
        Some(Trim { slab: Arc::clone(self), most: least })
    }
}

/// The work of a trim, for a thread that runs no tasks. If it is dropped without being run, a later trim can be started.
pub(crate) struct Trim {
    slab: Arc<TaskSlab>,
    /// The largest number of bytes to return.
    most: usize,
}

impl Drop for Trim {
    fn drop(&mut self) {
        let record = &mut self.slab.central.lock().record;
        record.is_under_way = false;
        record.floor = record.free;
    }
}

impl Trim {
    pub(crate) fn run(mut self) {
        for class in 0..CLASSES.len() {
            self.trim_class(class);
        }
    }

    fn trim_class(&mut self, class: usize) {
        let slab = &*self.slab;
        let (mut lists, taken) = {
            let mut central = slab.central.lock();
            if central.is_closed {
                return;
            }
            let mut lists = std::mem::take(&mut central.magazines[class]);
            lists.push(std::mem::take(&mut central.loose[class]));
            let taken: usize = lists.iter().map(|list| list.len as usize).sum();
            // `in-hand`. The slab stays while they are out.
            central.take_out(class, taken);
            (lists, taken)
        };
        let mut empty = Vec::new();
        if self.most >= CHUNK && taken * CLASSES[class] as usize >= TRIM_MIN {
            empty = find_empty(&lists, self.most / CHUNK);
            if !empty.is_empty() {
                lists = without_empty(lists);
            }
        }
        let refused = slab.central.lock().remove(&mut empty);
        for chunk in refused {
            // A later trim may take it.
            let count = Chunk::at(chunk).in_hand() & !EMPTY;
            Chunk::at(chunk).in_hand.store(0, Ordering::Relaxed);
            lists.push(Chunk::first_slots(chunk, count));
        }
        for chunk in &empty {
            // SAFETY: `in-hand` and `walkers-pin`: no thread has a slot of it, and no walker finds it any more.
            unsafe { give_back_pages(chunk.cast(), CHUNK) };
        }
        self.most -= empty.len() * CHUNK;
        let kept: usize = lists.iter().map(|list| list.len as usize).sum();
        let mut central = slab.central.lock();
        central.record.spare.extend(empty);
        central.out -= taken - kept;
        central.put_back(class, kept);
        central.magazines[class].extend(lists.into_iter().filter(|list| list.len > 0));
        central.magazines[class].shrink_to_fit();
        drop(slab.finish_if_closed(central));
    }
}

/// Marks a chunk whose slots are all in hand. The other bits count these slots.
const EMPTY: u32 = 1 << 31;

/// Finds at most `most` chunks whose slots are all in these lists, and marks them.
fn find_empty(lists: &[FreeList], most: usize) -> Vec<NonNull<Chunk>> {
    let mut touched = Vec::new();
    for_each_slot(lists, |slot| {
        let chunk = Chunk::of(slot);
        let count = Chunk::at(chunk).in_hand();
        if count == 0 {
            touched.push(chunk);
        }
        Chunk::at(chunk).in_hand.store(count + 1, Ordering::Relaxed);
    });
    let mut empty = Vec::new();
    for chunk in touched {
        let count = Chunk::at(chunk).in_hand();
        let is_empty = empty.len() < most && count == Chunk::at(chunk).used();
        Chunk::at(chunk).in_hand.store(if is_empty { count | EMPTY } else { 0 }, Ordering::Relaxed);
        if is_empty {
            empty.push(chunk);
        }
    }
    empty
}

/// Returns lists of the slots in chunks that are not marked.
fn without_empty(lists: Vec<FreeList>) -> Vec<FreeList> {
    let mut kept = Vec::new();
    let mut list = FreeList::EMPTY;
    for_each_slot(&lists, |slot| {
        if Chunk::at(Chunk::of(slot)).in_hand() & EMPTY != 0 {
            return;
        }
        if list.len == MAGAZINE {
            kept.push(std::mem::take(&mut list));
        }
        // SAFETY: `in-hand`: the slot is free and ours. `for_each_slot` has read its link, so it may be linked again.
        unsafe { list.push(slot) };
    });
    kept.push(list);
    kept
}

fn for_each_slot(lists: &[FreeList], mut visit: impl FnMut(NonNull<Header>)) {
    for list in lists {
        let mut list = *list;
        while let Some(slot) = list.pop() {
            visit(slot);
        }
    }
}

impl Central {
    /// Removes these marked chunks from the list of chunks. Returns those that must stay: all of them while a walker is
    /// active (`walkers-pin`), and those whose number of slots has grown since they were marked.
    fn remove(&mut self, empty: &mut Vec<NonNull<Chunk>>) -> Vec<NonNull<Chunk>> {
        let may_go = self.record.walkers == 0;
        let is_whole = |chunk: NonNull<Chunk>| Chunk::at(chunk).in_hand() == Chunk::at(chunk).used() | EMPTY;
        let goes = |chunk| may_go && is_whole(chunk);
        let (gone, refused) = empty.drain(..).partition(|chunk| goes(*chunk));
        *empty = gone;
        if !empty.is_empty() {
            self.chunks.retain(|chunk| !goes(*chunk));
            self.chunks.shrink_to_fit();
            for chunk in empty.iter() {
                Chunk::at(*chunk).used.store(GONE, Ordering::Relaxed);
            }
        }
        refused
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::central::KEPT;
    use super::*;
    use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
    use crate::runtime::{Builder, Runtime};
    use crate::task::cell;
    use crate::task::runnable::{Runnable, Schedule};
    use std::future::pending;
    use std::panic::Location;
    use std::time::Duration;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().expect("the system has room")
    }

    /// Spawns this many tasks, all alive at once, and lets them end.
    fn spike(runtime: &Runtime, count: usize) {
        runtime.block_on(async {
            let tasks: Vec<_> = (0..count).map(|_| crate::spawn(async { crate::task::yield_now().await })).collect();
            for task in tasks {
                task.await.expect("it does not panic");
            }
        });
        settle(runtime);
    }

    /// Does what a worker does before it sleeps.
    fn settle(runtime: &Runtime) {
        let slab = &runtime.handle().shared.slab;
        slab.caches[0].flush(&mut slab.central.lock());
        slab.tending.store(SOON, Ordering::Relaxed);
    }

    /// The number of chunks in use, and of all chunks.
    fn chunks(slab: &TaskSlab) -> (usize, usize) {
        let central = slab.central.lock();
        (central.chunks.len(), central.chunks.len() + central.record.spare.len())
    }

    /// Runs a trim if one is due.
    fn maybe_trim(slab: &Arc<TaskSlab>, now: u64) -> bool {
        slab.maybe_trim(now).map(Trim::run).is_some()
    }

    const MANY: usize = 20_000;

    #[test]
    fn idle_memory_of_a_spike_is_given_back_and_used_again_by_the_next() {
        let runtime = runtime();
        let slab = &runtime.handle().shared.slab;
        for _ in 0..3 {
            spike(&runtime, MANY);
            let (full, all) = chunks(slab);
            assert!(full >= MANY * 128 / CHUNK);
            assert!(!maybe_trim(slab, 5), "it has not been idle for long");
            assert_eq!(slab.next_trim_at(), 5 + PATIENCE_MS);
            assert!(!maybe_trim(slab, 5 + PATIENCE_MS - 1));
            assert!(maybe_trim(slab, 5 + PATIENCE_MS));
            assert_eq!(slab.next_trim_at(), NEVER);
            let (left, still) = chunks(slab);
            assert!(left <= 1, "{left} of {full}");
            assert_eq!(still, all, "addresses stay");
        }
    }

    #[test]
    fn memory_that_was_needed_meanwhile_stays() {
        let runtime = runtime();
        let slab = &runtime.handle().shared.slab;
        spike(&runtime, MANY);
        let before = chunks(slab);
        assert!(!maybe_trim(slab, 0));
        let due = slab.next_trim_at();
        spike(&runtime, MANY);
        slab.tending.store(due, Ordering::Relaxed);
        assert!(!maybe_trim(slab, PATIENCE_MS));
        assert_eq!(chunks(slab), before);
        assert!(maybe_trim(slab, 2 * PATIENCE_MS), "and now it has not been");
    }

    #[test]
    fn chunks_with_a_task_in_them_stay() {
        let runtime = runtime();
        let slab = &runtime.handle().shared.slab;
        // One of a thousand stays, so every other chunk or so has one.
        let mut staying = Vec::new();
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for number in 0..MANY {
                tasks.push(crate::spawn(async {}));
                if number % 1000 == 0 {
                    staying.push(crate::spawn(pending::<()>()));
                }
            }
            for task in tasks {
                task.await.expect("it does not panic");
            }
        });
        settle(&runtime);
        let (full, _) = chunks(slab);
        assert!(!maybe_trim(slab, 0) && maybe_trim(slab, PATIENCE_MS));
        let (left, _) = chunks(slab);
        assert!(left >= staying.len() && left < full, "{left} of {full}");
        assert_eq!(slab.describe_live().len(), staying.len());
        staying.iter().for_each(crate::task::JoinHandle::abort);
        spike(&runtime, MANY);
        assert_eq!(slab.describe_live().len(), 0);
    }

    #[test]
    fn a_walker_keeps_all_chunks_where_they_are() {
        let runtime = runtime();
        let slab = &runtime.handle().shared.slab;
        spike(&runtime, MANY);
        let before = chunks(slab);
        let stays = runtime.spawn(pending::<()>());
        assert!(!maybe_trim(slab, 0));
        let mut is_trimmed = false;
        slab.for_each_live(|_task| is_trimmed = maybe_trim(slab, PATIENCE_MS));
        assert!(is_trimmed);
        assert_eq!(chunks(slab), before);
        stays.abort();
        // All slots are in the lists again.
        spike(&runtime, MANY);
        assert_eq!(chunks(slab), before);
    }

    #[test]
    fn an_address_that_is_not_the_start_of_a_slot_is_not_a_task() {
        struct Pattern(#[expect(dead_code, reason = "the test searches memory for it")] [u64; 64]);
        impl std::future::Future for Pattern {
            type Output = ();
            fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<()> {
                std::task::Poll::Pending
            }
        }
        let runtime = runtime();
        let slab = &runtime.handle().shared.slab;
        // Each word of the future looks like the state of a task that is alive.
        let future = Pattern([4 << 6; 64]);
        // SAFETY: the future is `Send`.
        let (runnable, handle) = unsafe { cell::allocate::<_, false>(slab, None, future, None, Location::caller()) };
        let task = runnable.as_ptr();
        assert_eq!(slab.ref_at(task).map(|task| task.id()), Some(handle.id()));
        for words in 1..72 {
            // The address of a task of a smaller class, from before the chunk was used for another class.
            let inside = task.map_addr(|address| address + 8 * words);
            assert!(slab.ref_at(inside).is_none(), "{words} words behind the start");
        }
        runnable.cancel();
        assert!(slab.ref_at(task).is_none());
        drop(handle);
    }

    /// A scheduler that has another thread take the slab's lock when it is notified of idle memory.
    struct LocksWhenNotified {
        slab: std::sync::OnceLock<std::sync::Weak<TaskSlab>>,
        notified: std::sync::atomic::AtomicUsize,
    }

    impl Schedule for LocksWhenNotified {
        fn schedule(&self, runnable: Runnable) {
            drop(runnable);
        }

        fn task_panicked(&self) {}

        fn panic_unjoined(&self, _: &UnjoinedPanic<'_>) {}

        fn request_trim(&self) {
            self.notified.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let slab = self.slab.get().and_then(std::sync::Weak::upgrade).expect("the test keeps it");
            let (done, is_done) = std::sync::mpsc::channel();
            let take = move || {
                drop(slab.central.lock());
                let _ = done.send(());
            };
            drop(
                crate::primitives::thread::spawn_named("taker".into(), None, take).expect("a test may start a thread"),
            );
            is_done.recv_timeout(Duration::from_secs(20)).expect("the slab's lock is free");
        }
    }

    #[test]
    fn the_scheduler_is_notified_of_idle_memory_without_a_lock() {
        let slab = TaskSlab::new(1, TaskHooks::default());
        let owner = Arc::new(LocksWhenNotified { slab: std::sync::OnceLock::new(), notified: Default::default() });
        owner.slab.set(Arc::downgrade(&slab)).expect("set once");
        // SAFETY: before the first task.
        unsafe { slab.set_owner(Arc::clone(&owner) as Arc<dyn Schedule>) };
        let notifications = || owner.notified.load(std::sync::atomic::Ordering::Relaxed);
        let spike = || {
            let tasks: Vec<_> = (0..KEPT / 2048 + 1)
                .map(|_| {
                    let future = std::future::ready([0_u8; 1700]);
                    // SAFETY: the future is `Send`.
                    let task = unsafe { cell::allocate::<_, false>(&slab, None, future, None, Location::caller()) };
                    task.0.cancel();
                    task.1
                })
                .collect();
            drop(tasks);
        };
        // One by one, on a thread without a cache.
        spike();
        assert_eq!(notifications(), 1, "recorded once, until it is checked");
        // By a guest that parks, and by one that leaves.
        slab.tending.store(NEVER, Ordering::Relaxed);
        let guest = slab.enter_as_guest(0).expect("it is alone");
        spike();
        guest.flush();
        assert_eq!(notifications(), 2);
        slab.tending.store(NEVER, Ordering::Relaxed);
        spike();
        drop(guest);
        assert_eq!(notifications(), 3);
        slab.close();
        assert_eq!(Arc::strong_count(&owner), 1, "the closed slab has dropped its owner");
    }

    #[test]
    fn a_guest_leaves_no_slot_behind_even_if_the_runtime_ends_meanwhile() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("the system has room");
        let (handle, slab) = (runtime.handle().clone(), Arc::clone(&runtime.handle().shared.slab));
        handle.block_on(async {
            assert_eq!(slab.central.lock().guest, None, "it has not spawned yet");
            let tasks: Vec<_> = (0..200).map(|_| crate::spawn(async {})).collect();
            assert_eq!(slab.central.lock().guest, Some(1));
            for task in tasks {
                task.await.expect("it does not panic");
            }
            let other = std::thread::scope(|scope| {
                let other = scope.spawn(|| handle.block_on(async { crate::spawn(async {}).await }));
                other.join().expect("no panic")
            });
            other.expect("a second one does without the cache");
            runtime.shutdown_background();
            assert!(crate::spawn(async {}).await.expect_err("it is too late").is_cancelled());
        });
        while !slab.central.lock().is_closed || slab.central.lock().out > 0 {
            crate::primitives::thread::yield_now();
        }
        assert!(slab.central.lock().areas.is_empty(), "the slab is freed");
    }
}

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../../models/task_trim.rs"]
mod models;

//! The injector: tasks from other threads, and the overflow of full run queues. Any thread pushes. One worker at a time
//! pops; the others find it busy and do not wait.
//!
//! Called by `scheduler::Shared` (push, close) and `search` (pop).
//!
//! The tasks form a chain through their own links, oldest first. A push swaps its task into `last`, and then links it behind
//! the task that it displaced. Between the two steps the chain has a gap: the tasks behind it cannot be reached yet.
//! `backlog` already counts them.
//!
//! # Invariants
//! - `counted-first`: a push counts itself in `backlog` before it touches the chain, and is subtracted after it was
//!   popped. So the injector never reads as empty while a task is in the chain or is being pushed.
//! - `one-popper`: only the holder of `popping` takes tasks off the chain.
//! - `first-writer`: `first` is written by the popper while the chain has tasks, and by the pusher that displaced
//!   no task while it has none.
//! - `closed-stays-closed`: the closed bit of `backlog` is never cleared. It is in the word in which a push counts
//!   itself. So each push is either counted before the close, and `drain` waits for it, or it is refused.
//!
//! # Why not otherwise
//! A stack with compare-and-swap has no gap, but pushers retry under contention, and the popper has to reverse the
//! order. A separate closed flag would need a fence in every push to be seen in time.

#![expect(unsafe_code, reason = "an intrusive chain of tasks")]

use std::fmt;
use std::ptr::{self, NonNull};

use crate::observe::counters::add;
use crate::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::primitives::cache_padded::CachePadded;
use crate::primitives::count::PlainCount;
use crate::primitives::thread;
use crate::task::queue_link::QueueLink;

/// A chain of nodes that moves as one. It owns the nodes, and its holder must consume each of them.
#[must_use = "the tasks in a batch are lost if it is dropped"]
pub(crate) struct Batch<T> {
    first: NonNull<T>,
    last: NonNull<T>,
    len: usize,
}

impl<T: QueueLink> Batch<T> {
    /// # Safety
    /// The caller passes on the ownership of `node`.
    pub(crate) unsafe fn one(node: NonNull<T>) -> Self {
        Self { first: node, last: node, len: 1 }
    }

    /// # Safety
    /// As for [`one`](Self::one).
    pub(crate) unsafe fn push(&mut self, node: NonNull<T>) {
        // SAFETY: the batch owns its last node.
        unsafe { T::next(self.last) }.store(node.as_ptr(), Ordering::Relaxed);
        self.last = node;
        self.len += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Passes the nodes with their ownership to `f`, oldest first.
    pub(crate) fn for_each(self, mut f: impl FnMut(NonNull<T>)) {
        let mut node = self.first;
        for _ in 1..self.len {
            // The link is read before the node is passed on. Relaxed: the thread that made the batch saw the chain.
            // SAFETY: the batch owns this node.
            let next = unsafe { T::next(node) }.load(Ordering::Relaxed);
            f(node);
            node = NonNull::new(next).expect("a batch has as many nodes as its `len` says");
        }
        f(node);
    }
}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The queue for tasks from other threads.
pub(crate) struct Injector<T> {
    pub(super) pushers: CachePadded<Pushers<T>>,
    popper: CachePadded<Popper<T>>,
}

pub(super) struct Pushers<T> {
    /// How many tasks were accepted and are not yet popped, times [`ONE`]; and [`CLOSED`].
    pub(super) backlog: AtomicUsize,
    /// The newest task; null if the chain is empty.
    last: AtomicPtr<T>,
}

struct Popper<T> {
    popping: AtomicBool,
    /// The oldest task, if it can be reached.
    first: AtomicPtr<T>,
    /// All tasks ever popped; `one-popper` writes it.
    popped: AtomicU64,
}

/// What [`Injector::pop_batch`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popped {
    /// This many tasks were popped. Zero means that the injector is empty or that the oldest push is under way.
    Tasks(usize),
    /// Another worker is popping.
    Busy,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        Self {
            pushers: CachePadded(Pushers { backlog: AtomicUsize::new(0), last: AtomicPtr::new(ptr::null_mut()) }),
            popper: CachePadded(Popper {
                popping: AtomicBool::new(false),
                first: AtomicPtr::new(ptr::null_mut()),
                popped: AtomicU64::new(0),
            }),
        }
    }

    /// The number of tasks, including those whose push or pop is under way.
    pub(crate) fn len(&self) -> usize {
        self.pushers.0.backlog.load(Ordering::Relaxed) / ONE
    }

    /// The approximate number of tasks that were ever accepted.
    pub(crate) fn accepted_total(&self) -> u64 {
        self.popper.0.popped.load(Ordering::Relaxed) + self.len() as u64
    }

    /// Whether no task waits or is being pushed (`counted-first`). Exact for a thread that has passed the fence
    /// `submit-vs-park`.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pushers.0.backlog.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// From now on pushes are refused. Tasks that were accepted stay, and `pop_batch` and `drain` return them. Idempotent.
    pub(crate) fn close(&self) {
        // `closed-stays-closed`. Release: what the closing thread did before is visible to a push that is refused.
        // Pairs with the Acquire in `count_in`.
        self.pushers.0.backlog.fetch_or(CLOSED, Ordering::Release);
    }

    /// `counted-first`: true if the push of `count` tasks is accepted.
    fn count_in(&self, count: usize) -> bool {
        let backlog = &self.pushers.0.backlog;
        // Acquire: pairs with the Release in `close`.
        if backlog.load(Ordering::Acquire) & CLOSED != 0 {
            return false;
        }
        // Acquire: as above.
        if backlog.fetch_add(count * ONE, Ordering::Acquire) & CLOSED == 0 {
            return true;
        }
        backlog.fetch_sub(count * ONE, Ordering::Relaxed);
        false
    }
}

impl<T: QueueLink> Injector<T> {
    /// Appends a task, or returns it if the injector is closed. The caller owns the node. After `Ok` it must wake a
    /// worker by the submit protocol (PARKING.md), unless it is a worker that checks the injector before it sleeps.
    pub(crate) fn push(&self, node: NonNull<T>) -> Result<(), NonNull<T>> {
        // SAFETY: the caller owns the node; a refusal returns it.
        match self.push_batch(unsafe { Batch::one(node) }) {
            Ok(()) => Ok(()),
            Err(refused) => Err(refused.first),
        }
    }

    /// Appends all tasks of the batch, or none if the injector is closed.
    pub(crate) fn push_batch(&self, batch: Batch<T>) -> Result<(), Batch<T>> {
        if !self.count_in(batch.len) {
            return Err(batch);
        }
        self.link(&batch, self.claim_end(&batch));
        Ok(())
    }

    /// First half of a push: makes the batch the end of the chain. Returns the task that was the last before.
    pub(super) fn claim_end(&self, batch: &Batch<T>) -> *mut T {
        // SAFETY: the batch owns its nodes.
        unsafe { T::next(batch.last) }.store(ptr::null_mut(), Ordering::Relaxed);
        // Release: publishes the empty link of our last node. Pairs with the Acquire right here in the next push, which
        // stores to that link. Acquire: also pairs with the Release in `take_last`, so that `link` below stores to
        // `first` after the popper emptied it.
        self.pushers.0.last.swap(batch.last.as_ptr(), Ordering::AcqRel)
    }

    /// Second half of a push: closes the gap. `before` is what `claim_end` displaced.
    pub(super) fn link(&self, batch: &Batch<T>, before: *mut T) {
        let link = match NonNull::new(before) {
            // SAFETY: the popper takes no node whose link is null unless it is `last`, and `before` no longer is; so
            // it stays alive until this store, which is our last use of it.
            Some(before) => unsafe { T::next(before) },
            None => &self.popper.0.first, // `first-writer`
        };
        // Release: publishes the nodes. Pairs with the Acquire in `cut`.
        link.store(batch.first.as_ptr(), Ordering::Release);
    }

    /// Passes up to `max` tasks with their ownership to `f`, oldest first. `f` runs after the injector was released, so it
    /// may push to it.
    pub(crate) fn pop_batch(&self, max: usize, f: impl FnMut(NonNull<T>)) -> Popped {
        let popping = &self.popper.0.popping;
        // A load first keeps the cache line shared while another worker pops.
        // Acquire: the chain as the previous popper left it. Pairs with the Release below.
        if popping.load(Ordering::Relaxed)
            || popping.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return Popped::Busy;
        }
        let batch = self.cut(max);
        if let Some(batch) = &batch {
            add(&self.popper.0.popped, batch.len as u64);
        }
        // Release: pairs with the Acquire above.
        popping.store(false, Ordering::Release);
        let Some(batch) = batch else {
            return Popped::Tasks(0);
        };
        let len = batch.len;
        // `counted-first`: subtracted after they left the chain. Relaxed: only counted.
        self.pushers.0.backlog.fetch_sub(len * ONE, Ordering::Relaxed);
        batch.for_each(f);
        Popped::Tasks(len)
    }

    /// Pops every task that was accepted before `close`, including those that are still being pushed. The caller has closed the
    /// injector, and must not be called by a push.
    pub(crate) fn drain(&self, mut f: impl FnMut(NonNull<T>)) {
        debug_assert!(self.is_closed(), "`closed-stays-closed`: an open injector has no end");
        while !self.is_empty() {
            match self.pop_batch(usize::MAX, &mut f) {
                Popped::Tasks(0) | Popped::Busy => thread::yield_now(),
                Popped::Tasks(_) => {}
            }
        }
    }

    /// Takes up to `max` nodes off the front of the chain. `one-popper`: the caller holds `popping`.
    fn cut(&self, max: usize) -> Option<Batch<T>> {
        let first = &self.popper.0.first;
        // Acquire: the node behind the link. Pairs with the Release in `link`.
        let start = NonNull::new(first.load(Ordering::Acquire))?;
        let (mut end, mut taken, mut len) = (start, None, 0);
        while len < max {
            // SAFETY: `end` is in the chain, and by `one-popper` only we take it off.
            // Acquire: as above.
            match NonNull::new(unsafe { T::next(end) }.load(Ordering::Acquire)) {
                Some(next) => {
                    len += 1;
                    taken = Some(end);
                    first.store(next.as_ptr(), Ordering::Relaxed);
                    end = next;
                }
                None => {
                    if self.take_last(end) {
                        len += 1;
                        taken = Some(end);
                    }
                    break;
                }
            }
        }
        taken.map(|last| Batch { first: start, last, len })
    }

    /// Takes the only node of the chain, unless a pusher has claimed the position behind it and is about to link it.
    fn take_last(&self, node: NonNull<T>) -> bool {
        let first = &self.popper.0.first;
        first.store(ptr::null_mut(), Ordering::Relaxed);
        // Release: publishes the null in `first`. Pairs with the Acquire in `claim_end`.
        let taken =
            self.pushers.0.last.compare_exchange(node.as_ptr(), ptr::null_mut(), Ordering::Release, Ordering::Relaxed);
        if taken.is_err() {
            // The chain is not empty, so no pusher writes `first` (`first-writer`).
            first.store(node.as_ptr(), Ordering::Relaxed);
        }
        taken.is_ok()
    }
}

impl<T> Drop for Injector<T> {
    fn drop(&mut self) {
        debug_assert!(
            thread::panicking() || self.is_empty(),
            "an injector was dropped with {} in it: close and drain it first",
            PlainCount(self.len() as u64, "task", "tasks")
        );
    }
}

impl<T> fmt::Debug for Injector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injector")
            .field("len", &self.len())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// In `backlog`.
const CLOSED: usize = 1;
/// One task in `backlog`.
pub(super) const ONE: usize = 2;

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A node for tests and models.
    #[derive(Debug)]
    pub(in crate::scheduler) struct Node {
        next: AtomicPtr<Node>,
        pub(in crate::scheduler) number: usize,
    }

    impl Node {
        pub(in crate::scheduler) fn new(number: usize) -> NonNull<Self> {
            let node = Self { next: AtomicPtr::new(ptr::null_mut()), number };
            NonNull::from(Box::leak(Box::new(node)))
        }

        /// Frees the node and returns its number. Models free none.
        #[cfg(not(any(loom, shuttle)))]
        pub(in crate::scheduler) fn finish(node: NonNull<Self>) -> usize {
            // SAFETY: made by `new`; a queue returns each node once, which is what the tests check.
            unsafe { Box::from_raw(node.as_ptr()) }.number
        }
    }

    // SAFETY: one field, which only the queues store to.
    unsafe impl QueueLink for Node {
        unsafe fn next<'a>(node: NonNull<Self>) -> &'a AtomicPtr<Self> {
            // SAFETY: alive by the safety contract.
            unsafe { &(*node.as_ptr()).next }
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::testing::Node;
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn batch(numbers: impl IntoIterator<Item = usize>) -> Option<Batch<Node>> {
        let mut nodes = numbers.into_iter().map(Node::new);
        // SAFETY: the nodes are fresh.
        let mut batch = unsafe { Batch::one(nodes.next()?) };
        // SAFETY: as above.
        nodes.for_each(|node| unsafe { batch.push(node) });
        Some(batch)
    }

    fn pop(injector: &Injector<Node>, max: usize) -> Vec<usize> {
        let mut numbers = Vec::new();
        injector.pop_batch(max, |node| numbers.push(Node::finish(node)));
        numbers
    }

    #[test]
    fn tasks_come_out_in_the_order_in_which_they_went_in() {
        let injector = Injector::new();
        injector.push(Node::new(0)).expect("open");
        injector.push_batch(batch(1..4).expect("not empty")).expect("open");
        injector.push(Node::new(4)).expect("open");
        assert_eq!(injector.len(), 5);
        assert_eq!(pop(&injector, 2), [0, 1]);
        assert_eq!(pop(&injector, 10), [2, 3, 4]);
        assert!(injector.is_empty());
        assert_eq!(pop(&injector, 1), [0_usize; 0]);
    }

    #[test]
    fn a_half_linked_push_counts_as_not_empty_and_stops_the_popper() {
        let injector = Injector::new();
        injector.push(Node::new(0)).expect("open");
        let late = batch([1]).expect("not empty");
        assert!(injector.count_in(1));
        let before = injector.claim_end(&late);
        injector.push(Node::new(2)).expect("open");
        assert_eq!(pop(&injector, 10), [0_usize; 0], "the link behind 0 is missing, so a pusher may still store to it");
        assert!(!injector.is_empty());
        injector.link(&late, before);
        assert_eq!(pop(&injector, 10), [0, 1, 2]);
        assert!(injector.is_empty());
    }

    #[test]
    fn a_closed_injector_refuses_new_tasks_and_returns_old_ones() {
        let injector = Injector::new();
        injector.push(Node::new(0)).expect("open");
        injector.close();
        injector.close();
        let refused = injector.push(Node::new(1)).expect_err("closed");
        assert_eq!(Node::finish(refused), 1);
        let refused = injector.push_batch(batch(2..4).expect("not empty")).expect_err("closed");
        assert_eq!(refused.len(), 2);
        let mut numbers = Vec::new();
        refused.for_each(|node| numbers.push(Node::finish(node)));
        assert_eq!(numbers, [2, 3]);
        assert_eq!(injector.len(), 1);
        let mut numbers = Vec::new();
        injector.drain(|node| numbers.push(Node::finish(node)));
        assert_eq!(numbers, [0]);
    }

    #[test]
    fn a_popped_task_may_be_pushed_again_at_once() {
        let injector = Injector::new();
        injector.push_batch(batch(0..3).expect("not empty")).expect("open");
        let popped = injector.pop_batch(3, |node| injector.push(node).expect("open"));
        assert_eq!(popped, Popped::Tasks(3));
        assert_eq!(pop(&injector, 10), [0, 1, 2]);
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_vec_deque(steps in prop::collection::vec((0_usize..4, 0_usize..6), 0..60)) {
            let (injector, mut dull) = (Injector::new(), VecDeque::new());
            let mut number = 0;
            for (verb, count) in steps {
                if verb == 0 {
                    prop_assert_eq!(pop(&injector, count), dull.drain(..count.min(dull.len())).collect::<Vec<_>>());
                } else if let Some(batch) = batch(number..number + count) {
                    injector.push_batch(batch).expect("open");
                    dull.extend(number..number + count);
                    number += count;
                }
                prop_assert_eq!(injector.len(), dull.len());
            }
            prop_assert_eq!(pop(&injector, usize::MAX), dull.into_iter().collect::<Vec<_>>());
        }
    }
}

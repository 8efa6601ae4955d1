//! The run queue: tasks ready to run on one worker. It has a ring and the LIFO slot, which holds the task that was woken
//! last.
//!
//! Called by `local` and `search`: its own worker pushes and pops, other workers steal.
//!
//! `head` holds two positions of the ring, `steal <= real <= tail` (they wrap). Tasks in `real..tail` wait; those in
//! `steal..real` are claimed by a thief, a worker that is copying them to its own ring. Without a thief the two are equal.
//!
//! ```text
//!        steal        real              tail            steal + CAP
//!   free   |  claimed  |  waiting        |     free        |
//! ```
//!
//! # Invariants
//! - `one-owner`: only the owning worker stores to `tail`, to slots and to a LIFO slot that is empty.
//! - `claim-first`: a thread that takes a task from the ring moves `real` past it before it reads the slot, so no slot is
//!   read twice.
//! - `one-thief`: a thief claims only if `steal == real`, and makes them equal again when it has copied.
//! - `no-overwrite`: the owner stores to a slot only if its position is below `steal + CAP`.
//!
//! # Why not otherwise
//! A Chase-Lev deque reads first and validates afterwards; Miri and TSan rightly object to that. If only the owner could
//! reach the LIFO slot, its task would wait while the worker is stalled.

#![expect(unsafe_code, reason = "owner-only calls")]

use std::fmt;
use std::ptr::{self, NonNull};

use super::injector::Batch;
use crate::primitives::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::primitives::cache_padded::CachePadded;
use crate::task::queue_link::QueueLink;

/// The run queue of one worker. `CAP` is a power of two; models use a small one.
pub(crate) struct RunQueue<T, const CAP: usize = 256> {
    /// Two positions; see [`Head`].
    pub(super) head: CachePadded<AtomicU64>,
    pub(super) tail: CachePadded<AtomicU32>,
    /// Null if there is none. Filled by the owner only (`one-owner`).
    pub(super) lifo_slot: AtomicPtr<T>,
    pub(super) slots: [AtomicPtr<T>; CAP],
}

/// `head` as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) steal: u32,
    pub(super) real: u32,
}

impl Head {
    pub(super) fn unpack(word: u64) -> Self {
        Self { steal: (word >> 32) as u32, real: word as u32 }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.steal) << 32 | u64::from(self.real)
    }

    /// No thief is copying.
    fn at(position: u32) -> Self {
        Self { steal: position, real: position }
    }

    fn has_thief(self) -> bool {
        self.steal != self.real
    }

    /// The owner takes the first task.
    fn popped(self) -> Self {
        let real = self.real.wrapping_add(1);
        if self.has_thief() { Self { real, ..self } } else { Self::at(real) }
    }

    /// A thief claims the first `count` tasks.
    fn claimed(self, count: u32) -> Self {
        debug_assert!(!self.has_thief(), "`one-thief`");
        Self { real: self.real.wrapping_add(count), ..self }
    }

    /// The thief has copied what it claimed.
    fn copied(self) -> Self {
        debug_assert!(self.has_thief(), "`one-thief`: this thief is copying");
        Self::at(self.real)
    }
}

impl<T, const CAP: usize> RunQueue<T, CAP> {
    const HALF: u32 = {
        assert!(CAP.is_power_of_two() && CAP >= 2 && CAP <= 1 << 16, "positions wrap at 2^32");
        (CAP / 2) as u32
    };

    pub(crate) fn new() -> Self {
        Self {
            head: CachePadded(AtomicU64::new(Head::at(0).pack())),
            tail: CachePadded(AtomicU32::new(0)),
            lifo_slot: AtomicPtr::new(ptr::null_mut()),
            slots: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }

    /// The number of tasks in the ring. The owner may read one too few after a theft; for other threads it is an
    /// estimate.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let head = self.head();
        // Acquire: pairs with the Release in `publish`; see `head` for the order of the two loads.
        let tail = self.tail.0.load(Ordering::Acquire);
        // An older head with a newer tail may be further apart than the ring is long.
        (tail.wrapping_sub(head.real) as usize).min(CAP)
    }

    #[inline]
    pub(crate) fn is_ring_empty(&self) -> bool {
        matches!(self.len(), 0)
    }

    /// Whether neither the ring nor the LIFO slot has a task.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.is_ring_empty() && !self.has_lifo_task()
    }

    #[inline]
    pub(crate) fn has_lifo_task(&self) -> bool {
        !self.lifo_slot.load(Ordering::Relaxed).is_null()
    }

    #[inline]
    fn head(&self) -> Head {
        // Acquire: the thread that moved `real` there saw a `tail` not below it, and so do we when we load it after this. If a
        // thief moved `steal`, its slots are read and may be stored to. Pairs with the Release in `move_head`.
        Head::unpack(self.head.0.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn slot(&self, position: u32) -> &AtomicPtr<T> {
        &self.slots[position as usize & (CAP - 1)]
    }

    /// Claims positions or releases them. `Err` has the head that was there instead.
    #[inline]
    fn move_head(&self, from: Head, to: Head) -> Result<(), Head> {
        // AcqRel: pairs with itself and with the Acquire in `head`, where the comment says what it publishes.
        self.head
            .0
            .compare_exchange_weak(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Acquire)
            .map_err(Head::unpack)
            .map(drop)
    }

    /// Makes the slots below `tail` visible to thieves.
    #[inline]
    fn publish(&self, tail: u32) {
        // Release: the slots and the tasks in them. Pairs with the Acquire in `len` and `claim`.
        self.tail.0.store(tail, Ordering::Release);
    }

    #[inline]
    fn read(&self, position: u32) -> NonNull<T> {
        // Relaxed: the claim that made the position ours also made the slot visible.
        NonNull::new(self.slot(position).load(Ordering::Relaxed)).expect("a published slot holds a task")
    }
}

impl<T: QueueLink, const CAP: usize> RunQueue<T, CAP> {
    /// Appends a task. If the ring is full, its second half and the task go to `overflow` as one batch. The older half stays:
    /// otherwise tasks that have just been taken from the injector would go back there.
    ///
    /// # Safety
    /// `one-owner`: only the owning worker calls this. The caller passes on the ownership of `node`.
    #[inline]
    pub(crate) unsafe fn push(&self, node: NonNull<T>, overflow: impl FnOnce(Batch<T>)) {
        let tail = self.tail.0.load(Ordering::Relaxed);
        let head = self.head();
        // `no-overwrite`
        if tail.wrapping_sub(head.steal) < CAP as u32 {
            self.slot(tail).store(node.as_ptr(), Ordering::Relaxed);
            self.publish(tail.wrapping_add(1));
        } else {
            overflow(self.take_half(head, tail, node));
        }
    }

    /// The second half of a full ring, and `node` behind it. `one-owner`: the caller is the owner.
    #[cold]
    fn take_half(&self, head: Head, tail: u32, node: NonNull<T>) -> Batch<T> {
        // If a thief is copying, there will soon be room. If the exchange fails, a thief has just claimed.
        if head.has_thief() || !self.claim_full_ring(head, tail) {
            // SAFETY: the caller of `push` passed on the node.
            return unsafe { Batch::one(node) };
        }
        // The whole ring is ours (`claim-first`), and thieves see an empty one. A position and the one CAP further on
        // are the same slot: publishing half a lap from here restores the older half in place.
        let second_half = (Self::HALF + 1..CAP as u32).map(|offset| self.read(head.real.wrapping_add(offset)));
        // SAFETY: the claim made the tasks ours, and each position is read once.
        let mut batch = unsafe { Batch::one(self.read(head.real.wrapping_add(Self::HALF))) };
        // SAFETY: as above; `node` was passed on by the caller of `push`.
        second_half.chain([node]).for_each(|node| unsafe { batch.push(node) });
        self.publish(tail.wrapping_add(Self::HALF));
        batch
    }

    fn claim_full_ring(&self, head: Head, tail: u32) -> bool {
        debug_assert_eq!(tail.wrapping_sub(head.real), CAP as u32, "`no-overwrite`: the ring is full, not fuller");
        self.move_head(head, Head::at(tail)).is_ok()
    }

    /// Takes the oldest task of the ring.
    ///
    /// # Safety
    /// `one-owner`: only the owning worker calls this.
    #[inline]
    pub(crate) unsafe fn pop(&self) -> Option<NonNull<T>> {
        let tail = self.tail.0.load(Ordering::Relaxed);
        let mut head = self.head();
        // `claim-first`
        while head.real != tail {
            match self.move_head(head, head.popped()) {
                Ok(()) => return Some(self.read(head.real)),
                Err(now) => head = now,
            }
        }
        None
    }

    /// Puts a task into the LIFO slot and returns the one that was there.
    ///
    /// # Safety
    /// As for [`push`](Self::push).
    #[inline]
    pub(crate) unsafe fn push_lifo(&self, node: NonNull<T>) -> Option<NonNull<T>> {
        if self.has_lifo_task() {
            // Release: publishes the task. Pairs with the Acquire in `steal_lifo`.
            NonNull::new(self.lifo_slot.swap(node.as_ptr(), Ordering::Release))
        } else {
            // `one-owner`: an empty slot stays empty until we fill it, so no exchange is needed.
            // Release: as above.
            self.lifo_slot.store(node.as_ptr(), Ordering::Release);
            None
        }
    }

    /// Takes the task out of the LIFO slot.
    ///
    /// # Safety
    /// As for [`pop`](Self::pop).
    #[inline]
    pub(crate) unsafe fn take_lifo(&self) -> Option<NonNull<T>> {
        if !self.has_lifo_task() {
            return None;
        }
        // Relaxed: the owner put it there. A searcher may have taken it first.
        NonNull::new(self.lifo_slot.swap(ptr::null_mut(), Ordering::Relaxed))
    }

    /// Takes the task out of another worker's LIFO slot. Any thread may do so. Searchers do it only to a worker that is not
    /// active: an active one runs this task next, with a warm cache.
    pub(crate) fn steal_lifo(&self) -> Option<NonNull<T>> {
        if !self.has_lifo_task() {
            return None;
        }
        // Acquire: the task. Pairs with the Release in `push_lifo`.
        NonNull::new(self.lifo_slot.swap(ptr::null_mut(), Ordering::Acquire))
    }

    /// Moves half of this ring, rounded up, to `dst`, except the first task, which the caller runs. `None` if there is no task,
    /// if another thief is copying, or if `dst` has no room for half a ring.
    ///
    /// # Safety
    /// `one-owner`: only the owning worker of **`dst`** calls this, and `dst` is another queue.
    pub(crate) unsafe fn steal_into(&self, dst: &Self) -> Option<NonNull<T>> {
        debug_assert!(!ptr::eq(self, dst), "a worker does not steal from itself");
        let dst_tail = dst.tail.0.load(Ordering::Relaxed);
        // `no-overwrite`, for as many as there can be.
        if dst_tail.wrapping_sub(dst.head().steal) > Self::HALF {
            return None;
        }
        let (start, count) = self.claim()?;
        let first = self.read(start);
        for offset in 1..count {
            let node = self.read(start.wrapping_add(offset));
            dst.slot(dst_tail.wrapping_add(offset - 1)).store(node.as_ptr(), Ordering::Relaxed);
        }
        self.finish_copying();
        if count > 1 {
            dst.publish(dst_tail.wrapping_add(count - 1));
        }
        Some(first)
    }

    /// `claim-first`, for a thief: position and number of the tasks that are now its own.
    fn claim(&self) -> Option<(u32, u32)> {
        let mut head = self.head();
        loop {
            // Acquire: the slots below `tail`. Pairs with the Release in `publish`.
            let tail = self.tail.0.load(Ordering::Acquire);
            let waiting = tail.wrapping_sub(head.real);
            let count = waiting - waiting / 2;
            if head.has_thief() || count == 0 {
                return None; // `one-thief`
            }
            if count > Self::HALF {
                // The tail is newer than the head.
                head = self.head();
                continue;
            }
            match self.move_head(head, head.claimed(count)) {
                Ok(()) => return Some((head.real, count)),
                Err(now) => head = now,
            }
        }
    }

    /// Releases the claimed slots after the thief has read them. The owner may have popped meanwhile.
    fn finish_copying(&self) {
        let mut head = self.head();
        while let Err(now) = self.move_head(head, head.copied()) {
            head = now;
        }
    }
}

impl<T, const CAP: usize> fmt::Debug for RunQueue<T, CAP> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunQueue")
            .field("len", &self.len())
            .field("has_lifo_task", &self.has_lifo_task())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

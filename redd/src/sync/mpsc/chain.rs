//! The queue of both mpsc channels: a lock-free list of blocks of slots, with many producers and one consumer.
//!
//! Called by `shared`, which makes sure that there is one consumer. Long because producers and consumer share the proof
//! below.
//!
//! 1. A push claims an index with one `fetch_add` on the tail.
//! 2. It finds the block with that index, writes the value, and sets the slot's state.
//! 3. The consumer reads the states in order of index.
//! 4. If it has to wait, it stores its waker and sets the state of the slot that it waits for. So the step that
//!    publishes the value also shows the producer of that slot that the consumer waits. No other producer is involved.
//!
//! ```text
//! slot   EMPTY ── publish ─────────────────────────────> READY (or CLOSED, the last sender's mark)
//!        EMPTY ── park ──> WAITING ── publish ──> TAKING ──> READY    (between the two the producer moves the waker out)
//!        WAITING ── park with another waker, forget_waker ──> EMPTY
//! ```
//!
//! # Invariants
//! - `one-consumer`: pops, parks and reads of the head are calls of the one receiver, one at a time.
//! - `slot-owner`: the value of a slot belongs to the producer that claimed its index until the state is READY, then to
//!   the consumer.
//! - `waker-owner`: the consumer writes the waker while no slot is WAITING or TAKING. The step WAITING → TAKING gives
//!   it to the producer, which moves it out by reading only. So the consumer may compare it in both states.
//! - `tail-behind`: `tail_block` is at or before the block of every index that is claimed and not yet published,
//!   because it moves past a block only when all of the block's slots are published.
//! - `free-after`: a producer that may hold a pointer to a block has an unpublished index below the block's
//!   `release_at`: it claims before it loads `tail_block`, and publishing is its last access to any block. So the
//!   consumer frees a block once it has popped up to `release_at`.
//! - `no-value-left`: once the consumer has gone, a value that a producer pushes is returned to the producer.
//!
//! # Why not otherwise
//! A compare-exchange on (index, block) makes freeing easier, but every producer then waits for the one that links a
//! block.

#![expect(unsafe_code, reason = "slots and blocks are shared by index, not by borrow")]

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::task::{Poll, Waker};

use crate::collections::wake_list::wake_guarded;
use crate::primitives::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::thread::spin_loop;
use crate::sync::blocking::block_on_parker;

/// Slots in a block: a power of two, few enough for a small idle channel. With 8 `mpsc_bounded` costs 15 % more and `mpsc_unbounded`
/// 27 %, with 128 both cost the same (docs/benchmarks/constants.md).
const SLOTS_PER_BLOCK: usize = 32;

/// Flags in the tail word, below the index.
const RX_CLOSED: usize = 1;
const TX_CLOSED: usize = 2;
const SHIFT: u32 = 2;
const ONE: usize = 1 << SHIFT;
/// Indices count modulo this, so that the flags fit; block starts stay aligned because it is a multiple of `SLOTS`.
const INDEX_MASK: usize = usize::MAX >> SHIFT;

const EMPTY: u8 = 0;
const READY: u8 = 1;
const CLOSED: u8 = 2;
const WAITING: u8 = 3;
const TAKING: u8 = 4;

/// See the module page. Models use smaller blocks.
#[repr(C)]
pub(crate) struct Chain<T, const SLOTS: usize = SLOTS_PER_BLOCK> {
    /// The next index to claim, and the two flags.
    tail: AtomicUsize,
    tail_block: AtomicPtr<Block<T, SLOTS>>,
    /// One used block, kept for the next link.
    spare: AtomicPtr<Block<T, SLOTS>>,
    waker: UnsafeCell<MaybeUninit<Waker>>,
    /// The consumer's position (`one-consumer`).
    head: UnsafeCell<Head<T, SLOTS>>,
}

struct Head<T, const SLOTS: usize> {
    index: usize,
    /// The block of `index`, or the one before if that is not linked yet.
    block: NonNull<Block<T, SLOTS>>,
    /// The first block that is not freed yet.
    oldest: NonNull<Block<T, SLOTS>>,
    /// Where the queue ends, if the consumer has closed it.
    end: Option<usize>,
    /// Whether a slot may be WAITING: the one at `index`.
    may_wait: bool,
}

struct Block<T, const SLOTS: usize> {
    start: usize,
    next: AtomicPtr<Block<T, SLOTS>>,
    /// Whether `tail_block` has moved past, and `release_at` is set.
    is_released: AtomicBool,
    release_at: AtomicUsize,
    states: [AtomicU8; SLOTS],
    values: [UnsafeCell<MaybeUninit<T>>; SLOTS],
}

// SAFETY: values cross threads by value only (`slot-owner`), so `T: Send`; blocks are reached through atomics.
unsafe impl<T: Send, const SLOTS: usize> Send for Chain<T, SLOTS> {}
// SAFETY: as above.
unsafe impl<T: Send, const SLOTS: usize> Sync for Chain<T, SLOTS> {}

/// What [`Chain::pop`] found.
#[must_use]
pub(crate) enum Popped<T> {
    Value(T),
    /// Nothing at the head right now.
    Empty,
    /// All senders are gone and all values are popped, or all before the point at which the receiver closed the chain.
    Closed,
}

/// What [`Chain::park`] did.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// The waker will be woken when the head slot is published.
    Yes,
    /// The head slot has been published meanwhile: pop again.
    No,
}

impl<T, const SLOTS: usize> Block<T, SLOTS> {
    fn new(start: usize) -> NonNull<Self> {
        NonNull::from(Box::leak(Box::new(Self {
            start,
            next: AtomicPtr::new(ptr::null_mut()),
            is_released: AtomicBool::new(false),
            release_at: AtomicUsize::new(0),
            states: std::array::from_fn(|_| AtomicU8::new(EMPTY)),
            values: std::array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit())),
        })))
    }

    /// The `start` of the block that an index is in.
    const fn start_of(index: usize) -> usize {
        index & !(SLOTS - 1)
    }

    /// The offset of an index in its block.
    const fn offset_of(index: usize) -> usize {
        index & (SLOTS - 1)
    }

    /// Resets a used block. Its `start` is set when it is linked.
    fn reset(&self) {
        self.next.store(ptr::null_mut(), Ordering::Relaxed);
        self.is_released.store(false, Ordering::Relaxed);
        for state in &self.states {
            state.store(EMPTY, Ordering::Relaxed);
        }
    }

    fn is_published(&self) -> bool {
        self.states.iter().all(|state| {
            let state = state.load(Ordering::Relaxed);
            state == READY || state == CLOSED
        })
    }
}

/// Frees a block.
///
/// # Safety
/// No other thread has a pointer to it.
unsafe fn free<T, const SLOTS: usize>(block: NonNull<Block<T, SLOTS>>) {
    // SAFETY: made by `Box::leak` in `Block::new`; this is the only pointer to it, by the safety contract.
    drop(unsafe { Box::from_raw(block.as_ptr()) });
}

/// Returns how far `to` is ahead of `from`. It must not be behind.
const fn distance(from: usize, to: usize) -> usize {
    to.wrapping_sub(from) & INDEX_MASK
}

impl<T, const SLOTS: usize> Chain<T, SLOTS> {
    pub(crate) fn new() -> Self {
        let first = Block::new(0);
        Self {
            tail: AtomicUsize::new(0),
            tail_block: AtomicPtr::new(first.as_ptr()),
            spare: AtomicPtr::new(ptr::null_mut()),
            waker: UnsafeCell::new(MaybeUninit::uninit()),
            head: UnsafeCell::new(Head { index: 0, block: first, oldest: first, end: None, may_wait: false }),
        }
    }

    // Producers.

    /// Appends a value, or returns it if the receiver has closed the chain.
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        // Acquire: sees how far `tail_block` has moved (`free-after`). Pairs with Release in `Chain::leave_block`.
        let seen = self.tail.fetch_add(ONE, Ordering::Acquire);
        if seen & RX_CLOSED != 0 {
            // The index lies behind the end that the consumer has recorded, so the consumer will not look for it.
            return Err(value);
        }
        let index = seen >> SHIFT;
        let block = self.find_block(index);
        // SAFETY: `free-after`: this index is not published yet.
        let block = unsafe { block.as_ref() };
        let offset = Block::<T, SLOTS>::offset_of(index);
        // SAFETY: `slot-owner`: this call has claimed the index.
        block.values[offset].with_mut(|slot| unsafe { (*slot).write(value) });
        if let Some(waker) = self.publish(&block.states[offset], READY) {
            // The message is sent whatever the waker does. Its panic goes to the caller, as in Tokio.
            waker.wake();
        }
        Ok(())
    }

    /// Marks the end of the queue: no push follows. Called once, when the last sender is dropped.
    pub(crate) fn close_tx(&self) {
        // Acquire: as in `push`; and everything that other senders pushed before they went.
        let seen = self.tail.fetch_or(TX_CLOSED, Ordering::Acquire);
        if seen & RX_CLOSED != 0 {
            return;
        }
        let index = seen >> SHIFT;
        let block = self.find_block(index);
        // SAFETY: there is no other producer, so only this call can release a block, and `find_block` returns one that
        // it has not released.
        let block = unsafe { block.as_ref() };
        wake_guarded(self.publish(&block.states[Block::<T, SLOTS>::offset_of(index)], CLOSED));
    }

    /// Sets the slot's state. The caller wakes the result: then the consumer waits for this slot.
    ///
    /// The caller does not access the block afterwards (`free-after`).
    fn publish(&self, state: &AtomicU8, published: u8) -> Option<Waker> {
        let mut seen = state.load(Ordering::Relaxed);
        loop {
            if seen == WAITING {
                // Acquire: sees the waker. Pairs with Release in `Chain::park`.
                match state.compare_exchange_weak(WAITING, TAKING, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(now) => seen = now,
                }
            } else {
                debug_assert_eq!(seen, EMPTY, "`slot-owner`: only one producer publishes a slot");
                // Release: publishes the value. Pairs with Acquire in `Chain::pop`, `Chain::park`.
                match state.compare_exchange_weak(EMPTY, published, Ordering::Release, Ordering::Relaxed) {
                    Ok(_) => return None,
                    Err(now) => seen = now,
                }
            }
        }
        // SAFETY: `waker-owner`: this call made the step to TAKING.
        let waker = self.waker.with(|waker| unsafe { (*waker).assume_init_read() });
        // Release: publishes the value, and that the waker is moved out. Pairs with Acquire in `Chain::pop`,
        // `Chain::park`.
        state.store(published, Ordering::Release);
        Some(waker)
    }

    /// Returns the block of a claimed index, and links blocks as needed.
    fn find_block(&self, index: usize) -> NonNull<Block<T, SLOTS>> {
        let start = Block::<T, SLOTS>::start_of(index);
        // Acquire: sees the block's `start`. Pairs with Release in `Chain::leave_block`.
        let mut block = self.tail_block.load(Ordering::Acquire);
        loop {
            // SAFETY: `tail-behind` and `free-after`: the index was claimed before the load and is not published.
            let current = unsafe { &*block };
            if current.start == start {
                return NonNull::from(current);
            }
            let next = self.next_or_link(current);
            self.leave_block(NonNull::from(current), next);
            block = next.as_ptr();
        }
    }

    /// Returns the block behind `block`, and links one if there is none.
    fn next_or_link(&self, block: &Block<T, SLOTS>) -> NonNull<Block<T, SLOTS>> {
        // Acquire: sees the next block's contents. Pairs with Release below.
        if let Some(next) = NonNull::new(block.next.load(Ordering::Acquire)) {
            return next;
        }
        let start = (block.start + SLOTS) & INDEX_MASK;
        // Acquire: sees the reset. Pairs with Release in `Chain::keep_or_free`.
        let spare = self.spare.swap(ptr::null_mut(), Ordering::Acquire);
        let new = match NonNull::new(spare) {
            Some(spare) => {
                // SAFETY: the swap took the spare block for this call alone.
                unsafe { (*spare.as_ptr()).start = start };
                spare
            }
            None => Block::new(start),
        };
        // Release: publishes the new block. Pairs with Acquire here and above.
        match block.next.compare_exchange(ptr::null_mut(), new.as_ptr(), Ordering::Release, Ordering::Acquire) {
            Ok(_) => new,
            Err(linked) => {
                self.keep_or_free(new);
                NonNull::new(linked).expect("the exchange failed because it is not null")
            }
        }
    }

    /// Moves `tail_block` from `block` to `next` if every slot of `block` is published.
    ///
    /// The caller does not access `block` afterwards.
    fn leave_block(&self, block: NonNull<Block<T, SLOTS>>, next: NonNull<Block<T, SLOTS>>) {
        let from = block.as_ptr();
        if self.tail_block.load(Ordering::Relaxed) != from {
            return;
        }
        // SAFETY: `free-after`: the caller's index is not published, and the block is not released before the end.
        let block = unsafe { block.as_ref() };
        if !block.is_published() {
            return;
        }
        // Release: publishes `next`, which this thread may have linked. Pairs with Acquire in `Chain::find_block`.
        if self.tail_block.compare_exchange(from, next.as_ptr(), Ordering::Release, Ordering::Relaxed).is_err() {
            return;
        }
        // Release: a producer that claims an index that is not counted here will load `next` or a later block
        // (`free-after`). Pairs with Acquire in `Chain::push`.
        let claimed = self.tail.fetch_add(0, Ordering::Release) >> SHIFT;
        block.release_at.store(claimed, Ordering::Relaxed);
        // Release: publishes `release_at`. Pairs with Acquire in `Chain::free_old_blocks`.
        block.is_released.store(true, Ordering::Release);
    }

    /// Keeps an unlinked block as the spare one, or frees it if there is one already.
    fn keep_or_free(&self, block: NonNull<Block<T, SLOTS>>) {
        // Release: publishes the reset. Pairs with Acquire in `Chain::next_or_link`.
        if self.spare.compare_exchange(ptr::null_mut(), block.as_ptr(), Ordering::Release, Ordering::Relaxed).is_err() {
            // SAFETY: the caller has the only pointer to it.
            unsafe { free(block) };
        }
    }

    // Both sides.

    /// Returns whether the receiver has closed the chain with [`close_rx`](Self::close_rx).
    pub(crate) fn is_rx_closed(&self) -> bool {
        // Acquire: sees what the receiver did before closing. Pairs with Release in `Chain::close_rx`.
        self.tail.load(Ordering::Acquire) & RX_CLOSED != 0
    }

    // The consumer.

    /// Takes the value at the head.
    ///
    /// # Safety
    /// `one-consumer`.
    pub(crate) unsafe fn pop(&self) -> Popped<T> {
        // SAFETY: `one-consumer`, by the safety contract.
        self.head.with_mut(|head| unsafe { self.pop_at(&mut *head) })
    }

    /// # Safety
    /// As for [`pop`](Self::pop), whose `head` it is.
    #[inline]
    unsafe fn pop_at(&self, head: &mut Head<T, SLOTS>) -> Popped<T> {
        if head.end == Some(head.index) {
            return Popped::Closed;
        }
        // SAFETY: the head's block is not freed before the head has left it.
        let mut block = unsafe { head.block.as_ref() };
        if block.start != Block::<T, SLOTS>::start_of(head.index) {
            // Acquire: sees the next block's contents. Pairs with Release in `Chain::next_or_link`.
            let Some(next) = NonNull::new(block.next.load(Ordering::Acquire)) else {
                return Popped::Empty;
            };
            head.block = next;
            self.free_old_blocks(head);
            // SAFETY: as above.
            block = unsafe { next.as_ref() };
        }
        let offset = Block::<T, SLOTS>::offset_of(head.index);
        // Acquire: sees the value. Pairs with Release in `Chain::publish`.
        match block.states[offset].load(Ordering::Acquire) {
            READY => {
                // SAFETY: `slot-owner`: READY was seen, and the head moves on so that it is read once.
                let value = block.values[offset].with(|slot| unsafe { (*slot).assume_init_read() });
                head.index = (head.index + 1) & INDEX_MASK;
                head.may_wait = false;
                Popped::Value(value)
            }
            CLOSED => {
                head.may_wait = false;
                Popped::Closed
            }
            _ => Popped::Empty,
        }
    }

    /// Frees blocks that the head has left and that no producer can reach.
    fn free_old_blocks(&self, head: &mut Head<T, SLOTS>) {
        while head.oldest != head.block {
            // SAFETY: `oldest` is freed below and nowhere else.
            let block = unsafe { head.oldest.as_ref() };
            // Acquire: sees `release_at`, and the releasing thread's last access. Pairs with Release in
            // `Chain::leave_block`.
            if !block.is_released.load(Ordering::Acquire) {
                return;
            }
            let release_at = block.release_at.load(Ordering::Relaxed);
            if distance(release_at, head.index) > INDEX_MASK / 2 {
                return; // The head has not reached it yet.
            }
            let next = NonNull::new(block.next.load(Ordering::Relaxed))
                .expect("the head has left this block for a linked one");
            let old = std::mem::replace(&mut head.oldest, next);
            // `free-after`: no producer has a pointer to it any more.
            block.reset();
            self.keep_or_free(old);
        }
    }

    /// Stores `waker` for the producer of the head slot.
    ///
    /// # Safety
    /// `one-consumer`.
    pub(crate) unsafe fn park(&self, waker: &Waker) -> Parked {
        // An earlier waker. It is dropped at the end, because that is user code.
        let mut _old = None;
        // SAFETY: `one-consumer`, by the safety contract.
        let state = unsafe { self.head_state() };
        // Acquire: sees the value, and that the waker has been moved out. Pairs with Release in `Chain::publish`.
        let mut seen = state.load(Ordering::Acquire);
        loop {
            match seen {
                EMPTY => {
                    let new = waker.clone();
                    // SAFETY: `waker-owner`: the head slot is EMPTY, and no other slot can be WAITING.
                    return unsafe { self.store_waker(state, new) };
                }
                WAITING | TAKING => {
                    // SAFETY: `waker-owner`: the consumer stored it, and the producer only reads.
                    let is_same = self.waker.with(|stored| unsafe { (*stored).assume_init_ref().will_wake(waker) });
                    if is_same {
                        return Parked::Yes;
                    }
                    if seen == TAKING {
                        // The producer is about to publish the value, and to wake the earlier waker.
                        waker.wake_by_ref();
                        spin_loop();
                        return Parked::Yes;
                    }
                    // Acquire: as above.
                    match state.compare_exchange(WAITING, EMPTY, Ordering::Acquire, Ordering::Acquire) {
                        Ok(_) => {
                            // SAFETY: `waker-owner`: taken back before a producer took it.
                            _old = Some(self.waker.with(|stored| unsafe { (*stored).assume_init_read() }));
                            seen = EMPTY;
                        }
                        Err(now) => seen = now,
                    }
                }
                _ => return Parked::No,
            }
        }
    }

    /// # Safety
    /// `waker-owner`: the consumer calls it, when the head slot is not WAITING or TAKING.
    unsafe fn store_waker(&self, state: &AtomicU8, waker: Waker) -> Parked {
        // SAFETY: by the safety contract.
        self.waker.with_mut(|slot| unsafe { (*slot).write(waker) });
        // SAFETY: `one-consumer`: the caller is the consumer.
        self.head.with_mut(|head| unsafe { (*head).may_wait = true });
        // Release: publishes the waker. Pairs with Acquire in `Chain::publish`. Acquire: sees the value, pairs with
        // Release there.
        if state.compare_exchange(EMPTY, WAITING, Ordering::Release, Ordering::Acquire).is_ok() {
            return Parked::Yes;
        }
        // SAFETY: `waker-owner`: the state is READY or CLOSED now, and the producer saw no waker.
        drop(self.waker.with(|slot| unsafe { (*slot).assume_init_read() }));
        Parked::No
    }

    /// Returns the state of the head slot, and links its block if needed.
    ///
    /// # Safety
    /// `one-consumer`.
    unsafe fn head_state(&self) -> &AtomicU8 {
        self.head.with_mut(|head| {
            // SAFETY: `one-consumer`, by the safety contract.
            let head = unsafe { &mut *head };
            // SAFETY: the head's block is not freed before the head has left it.
            let mut block = unsafe { head.block.as_ref() };
            if block.start != Block::<T, SLOTS>::start_of(head.index) {
                head.block = self.next_or_link(block);
                self.free_old_blocks(head);
                // SAFETY: as above.
                block = unsafe { head.block.as_ref() };
            }
            &block.states[Block::<T, SLOTS>::offset_of(head.index)]
        })
    }

    /// Takes the waker back, if it is still stored.
    ///
    /// # Safety
    /// `one-consumer`.
    pub(crate) unsafe fn forget_waker(&self) {
        // SAFETY: `one-consumer`, by the safety contract.
        let may_wait = self.head.with_mut(|head| unsafe { std::mem::take(&mut (*head).may_wait) });
        if !may_wait {
            return;
        }
        // SAFETY: as above. `park` has seen this slot, so its block is linked already.
        let state = unsafe { self.head_state() };
        if state.compare_exchange(WAITING, EMPTY, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // SAFETY: `waker-owner`: taken back before a producer took it.
            drop(self.waker.with(|stored| unsafe { (*stored).assume_init_read() }));
        }
    }

    /// Makes later pushes fail. Values that were pushed, or whose index was claimed, can still be popped.
    ///
    /// # Safety
    /// `one-consumer`.
    pub(crate) unsafe fn close_rx(&self) {
        // Release: publishes what the receiver did before. Pairs with Acquire in `Chain::is_rx_closed`.
        let seen = self.tail.fetch_or(RX_CLOSED, Ordering::Release);
        if seen & RX_CLOSED == 0 {
            // SAFETY: `one-consumer`, by the safety contract.
            self.head.with_mut(|head| unsafe { (*head).end = Some(seen >> SHIFT) });
        }
    }

    /// Waits until the head slot, which a producer has claimed, is published. That takes the producer a few
    /// instructions.
    ///
    /// # Safety
    /// `one-consumer`.
    #[cold]
    pub(crate) unsafe fn wait_for_head_slot(&self) {
        let mut has_parked = false;
        block_on_parker(poll_fn(|cx| {
            // SAFETY: `one-consumer`, by the safety contract.
            if std::mem::replace(&mut has_parked, true) || unsafe { self.park(cx.waker()) } == Parked::No {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
    }

    /// Ends the consumer: drops all values, and returns how many there were. Afterwards no value is in the chain.
    ///
    /// 1. Close the chain, so that later pushes fail (`no-value-left`).
    /// 2. Drop what is published.
    /// 3. If a producer has claimed an index before step 1 and not published it, wait for it, and repeat step 2.
    ///
    /// # Safety
    /// `one-consumer`, and this is its last call.
    pub(crate) unsafe fn end_rx(&self) -> usize {
        // SAFETY: `one-consumer`, by the safety contract, for each of the calls.
        unsafe {
            self.close_rx();
            self.forget_waker();
            let mut count = self.drain();
            while self.len() > 0 {
                self.wait_for_head_slot();
                count += self.drain();
            }
            count
        }
    }

    /// Returns how many values are pushed, or about to be pushed, and not popped.
    ///
    /// # Safety
    /// `one-consumer`; several calls of this one may run at once.
    pub(crate) unsafe fn len(&self) -> usize {
        // SAFETY: `one-consumer`: the head does not move meanwhile.
        let (index, end) = self.head.with(|head| unsafe { ((*head).index, (*head).end) });
        distance(index, end.unwrap_or_else(|| self.tail.load(Ordering::Relaxed) >> SHIFT))
    }
}

impl<T, const SLOTS: usize> Drop for Chain<T, SLOTS> {
    fn drop(&mut self) {
        /// Frees the blocks, even if a value's drop panics.
        struct Blocks<'a, T, const SLOTS: usize>(&'a mut Chain<T, SLOTS>);
        impl<T, const SLOTS: usize> Drop for Blocks<'_, T, SLOTS> {
            fn drop(&mut self) {
                // SAFETY: `&mut`: this is the only access.
                let mut next = self.0.head.with(|head| unsafe { (*head).oldest.as_ptr() });
                while let Some(block) = NonNull::new(next) {
                    // SAFETY: as above; every block is in this one list.
                    next = unsafe { block.as_ref().next.load(Ordering::Relaxed) };
                    // SAFETY: as above.
                    unsafe { free(block) };
                }
                if let Some(spare) = NonNull::new(self.0.spare.load(Ordering::Relaxed)) {
                    // SAFETY: as above; the spare block is not in the list.
                    unsafe { free(spare) };
                }
            }
        }
        let blocks = Blocks(self);
        // SAFETY: `&mut`: this is the only access.
        unsafe { blocks.0.forget_waker() };
        // SAFETY: as above.
        unsafe { blocks.0.drain() };
    }
}

impl<T, const SLOTS: usize> Chain<T, SLOTS> {
    /// Drops all queued values, even if one of the drops panics. Returns how many there were.
    ///
    /// # Safety
    /// `one-consumer`.
    pub(crate) unsafe fn drain(&self) -> usize {
        struct Rest<'a, T, const SLOTS: usize>(&'a Chain<T, SLOTS>);
        impl<T, const SLOTS: usize> Drop for Rest<'_, T, SLOTS> {
            fn drop(&mut self) {
                // SAFETY: `one-consumer`, by the safety contract of `drain`.
                while let Popped::Value(value) = unsafe { self.0.pop() } {
                    drop(value);
                }
            }
        }
        let rest = Rest(self);
        let mut count = 0;
        // SAFETY: `one-consumer`, by the safety contract.
        while let Popped::Value(value) = unsafe { rest.0.pop() } {
            drop(value);
            count += 1;
        }
        count
    }
}

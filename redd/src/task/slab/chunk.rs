//! Chunks of equal slots, the lists of free slots, and the layout of large tasks.
//!
//! Called by the other files of the slab, and by `cell` (`class_of`). The invariants are those of the slab.

#![expect(unsafe_code, reason = "slots are raw memory")]

use std::alloc::{Layout, dealloc};
use std::ptr::{self, NonNull};

use crate::primitives::atomic::{AtomicU32, Ordering};
use crate::task::header::Header;

use super::sizes::CHUNK;

/// The bytes reserved for the chunk's own header.
pub(super) const CHUNK_HEADER: usize = 128;
/// Slot sizes in bytes. All are multiples of 64, so that two tasks never share a cache line.
pub(super) const CLASSES: [u32; 14] = [128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048];
/// The class of tasks with an allocation of their own.
pub(crate) const LARGE: u8 = CLASSES.len() as u8;

/// The value of `Chunk::used` in a chunk that has left the list of chunks.
pub(super) const GONE: u32 = u32::MAX;

/// The smallest class for a task of this layout.
pub(crate) const fn class_of(layout: Layout) -> u8 {
    let mut class = 0;
    while class < CLASSES.len() {
        if layout.size() <= CLASSES[class] as usize && layout.align() <= 64 {
            return class as u8;
        }
        class += 1;
    }
    LARGE
}

/// The header at the start of each chunk.
#[repr(C)]
pub(super) struct Chunk {
    /// The chunk's `TaskSlab`, whose type is defined in a file above this one.
    pub(super) slab: *const (),
    pub(super) slot_size: u32,
    /// The number of slots that were ever handed out. A walker stops here.
    pub(super) used: AtomicU32,
    /// Used only by the trimmer: how many of the slots it has taken.
    pub(super) in_hand: AtomicU32,
}

impl Chunk {
    /// The chunk of a slot that is not large.
    #[inline]
    pub(super) fn of(slot: NonNull<Header>) -> NonNull<Self> {
        let chunk = slot.as_ptr().map_addr(|addr| addr & !(CHUNK - 1));
        // SAFETY: chunks are aligned to their size and not at address 0.
        unsafe { NonNull::new_unchecked(chunk.cast()) }
    }

    /// The header of a chunk in the lists.
    pub(super) fn at<'a>(chunk: NonNull<Self>) -> &'a Self {
        // SAFETY: `type-stable`.
        unsafe { chunk.as_ref() }
    }

    pub(super) fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn in_hand(&self) -> u32 {
        self.in_hand.load(Ordering::Relaxed)
    }

    pub(super) fn slot(chunk: NonNull<Self>, index: u32) -> NonNull<Header> {
        let size = Self::at(chunk).slot_size;
        // SAFETY: callers pass the index of a slot inside the chunk.
        unsafe { chunk.cast::<u8>().add(CHUNK_HEADER + (index * size) as usize) }.cast()
    }

    /// Whether one of the slots that were handed out starts at this address inside the chunk.
    pub(super) fn has_slot(chunk: NonNull<Self>, address: NonNull<Header>) -> bool {
        let this = Self::at(chunk);
        let from_first = (address.addr().get() - chunk.addr().get()).checked_sub(CHUNK_HEADER);
        let (size, used) = (this.slot_size as usize, this.used() as usize);
        from_first.is_some_and(|bytes| bytes % size == 0 && bytes / size < used)
    }

    /// Makes a list of the first slots, which are free and in no list.
    pub(super) fn first_slots(chunk: NonNull<Self>, count: u32) -> FreeList {
        let mut list = FreeList::EMPTY;
        for index in (0..count).rev() {
            // SAFETY: by the safety contract.
            unsafe { list.push(Self::slot(chunk, index)) };
        }
        list
    }
}

/// A list of free slots, linked through `Header::next`.
#[derive(Clone, Copy)]
pub(super) struct FreeList {
    pub(super) head: *mut Header,
    pub(super) len: u32,
}

impl FreeList {
    pub(super) const EMPTY: Self = Self { head: ptr::null_mut(), len: 0 };

    /// Adds a slot at the front.
    ///
    /// # Safety
    /// `slot` is free and in no list.
    #[inline]
    pub(super) unsafe fn push(&mut self, slot: NonNull<Header>) {
        // SAFETY: a free slot's `next` belongs to the owner of the list that it is in.
        unsafe { (*slot.as_ptr()).next.store(self.head, Ordering::Relaxed) };
        self.head = slot.as_ptr();
        self.len += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<NonNull<Header>> {
        let slot = NonNull::new(self.head)?;
        // SAFETY: it is in this list, so it is free and `next` is ours.
        self.head = unsafe { (*slot.as_ptr()).next.load(Ordering::Relaxed) };
        self.len -= 1;
        Some(slot)
    }
}

impl Default for FreeList {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The layout of a large task's allocation, and the offset of the task in it, behind the slab's address.
pub(super) fn large_layout(task: Layout) -> (Layout, usize) {
    let prefix = Layout::from_size_align(64, task.align().max(64)).expect("a valid alignment");
    let (whole, offset) = prefix.extend(task).expect("a future's size is far below the limit");
    (whole, offset)
}

/// # Safety
/// `slot` was made by `allocate_large` with this layout, and no thread uses it now.
pub(super) unsafe fn free_large(slot: NonNull<Header>, layout: Layout) {
    let (whole, offset) = large_layout(layout);
    // SAFETY: the address and layout that `allocate_large` used.
    unsafe { dealloc(slot.cast::<u8>().sub(offset).as_ptr(), whole) };
}

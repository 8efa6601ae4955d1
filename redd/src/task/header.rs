//! The header of a task: one cache line that does not depend on the type of its future, and the table of the functions
//! that do.
//!
//! Called by every file of the room above it, and by the scheduler (`next`, `set_next`, `queued_at`).
//!
//! # Invariants
//! - `header-first`: a pointer to the header is a pointer to the whole cell of the type that its table was made for.

#![expect(unsafe_code, reason = "a header is written into raw memory, and shared by the owners of its fields")]

use std::alloc::Layout;
use std::panic::Location;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use super::id::Id;
use super::queue_link::QueueLink;
use super::state::State;
use crate::observe::waiting::{WaitKind, Waiting};
use crate::primitives::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::primitives::cell::UnsafeCell;

/// The part of a cell that does not depend on the type of the future.
#[repr(C)]
pub(crate) struct Header {
    pub(super) state: State,
    /// The link of the queue or free list that holds the task.
    pub(super) next: AtomicPtr<Header>,
    vtable: UnsafeCell<&'static VTable>,
    id: UnsafeCell<Id>,
    /// See `join-waker` in `state`.
    pub(super) join_waker: UnsafeCell<Option<Waker>>,
    location: UnsafeCell<&'static Location<'static>>,
    /// What the task waits on: the kind in the top byte, the address of the location below; 0 if that is not known. Or the
    /// time at which it was queued, see `set_queued_at`.
    waiting: AtomicU64,
}

debug_struct!([] Header as "Header", self => { state: self.state.load(), .. });

/// In the top byte of `waiting`: the other bytes are a time, not a location. No `WaitKind` has this number.
const QUEUED_AT: u64 = 0xff;

/// How the last poll of a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Panicked,
}

/// The functions of a task's type, and its layout.
pub(crate) struct VTable {
    /// Polls the future. `Ready` means that the output is in the cell and the future is dropped.
    pub(super) poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Poll<End>,
    /// Drops the future and stores a `JoinError` as output.
    pub(super) cancel: unsafe fn(NonNull<Header>),
    /// Moves the output to the given `Poll<Result<T, JoinError>>`, which stays unchanged if the output was taken before.
    pub(super) take_output: unsafe fn(NonNull<Header>, NonNull<()>),
    /// Drops the value in the stage.
    pub(super) drop_stage: unsafe fn(NonNull<Header>),
    /// Drops the value in the stage and returns the slot to its slab. For the thread that released the last reference.
    pub(super) free: unsafe fn(NonNull<Header>),
    /// Whether it is a closure of the blocking pool. The pool keeps track of these: walks skip them, and they do not count
    /// as alive.
    pub(super) is_blocking: bool,
    pub(super) class: u8,
    pub(super) layout: Layout,
    /// The size of the future, or of the box that it is in.
    pub(super) future_bytes: usize,
}

impl Header {
    /// Turns fresh memory into a free slot.
    ///
    /// # Safety
    /// `slot` points to unused memory with room for a header.
    pub(super) unsafe fn initialise_free(slot: NonNull<Self>) {
        // SAFETY: fresh memory, by the safety contract.
        unsafe {
            (&raw mut (*slot.as_ptr()).state).write(State::free());
            (&raw mut (*slot.as_ptr()).next).write(AtomicPtr::new(std::ptr::null_mut()));
            (&raw mut (*slot.as_ptr()).waiting).write(AtomicU64::new(0));
        }
    }

    #[inline]
    pub(super) fn vtable(&self) -> &'static VTable {
        // SAFETY: written before the task was published, never changed while it has references.
        self.vtable.with(|vtable| unsafe { *vtable })
    }

    #[inline]
    pub(crate) fn id(&self) -> Id {
        // SAFETY: as for the table.
        self.id.with(|id| unsafe { *id })
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        // SAFETY: as for the table.
        self.location.with(|location| unsafe { *location })
    }

    /// The next task of the list that this one is in.
    #[inline]
    pub(crate) fn next(&self) -> *mut Self {
        self.next.load(Ordering::Relaxed)
    }

    /// Called only by the owner of the list that the task is in.
    #[inline]
    pub(crate) fn set_next(&self, next: *mut Self) {
        self.next.store(next, Ordering::Relaxed);
    }

    pub(super) fn set_waiting(&self, waiting: Option<Waiting>) {
        let packed = waiting.map_or(0, |waiting| {
            let location = waiting.location.map_or(0, |location| std::ptr::from_ref(location).expose_provenance());
            (waiting.kind as u64) << 56 | (location as u64 & ((1 << 56) - 1))
        });
        self.waiting.store(packed, Ordering::Relaxed);
    }

    /// What the task recorded when its last poll returned `Pending`.
    pub(crate) fn waiting(&self) -> Option<(WaitKind, Option<&'static Location<'static>>)> {
        let packed = self.waiting.load(Ordering::Relaxed);
        let kind = WaitKind::from_u8((packed >> 56) as u8)?;
        let address = (packed & ((1 << 56) - 1)) as usize;
        // SAFETY: a non-zero address was exposed from a `&'static Location` in `set_waiting`.
        let location = unsafe { std::ptr::with_exposed_provenance::<Location<'static>>(address).as_ref() };
        Some((kind, location))
    }

    /// Returns the coarse time of the spawn, and whether the task has a name.
    ///
    /// # Safety
    /// The caller has a reference to the task.
    pub(super) unsafe fn extra(task: NonNull<Self>) -> Extra {
        // SAFETY: `header-first`; the extra follows the header in every cell and is not changed after the spawn.
        unsafe { task.add(1).cast::<Extra>().read() }
    }

    /// Records when the task was queued, in nanoseconds since its runtime was built. It overwrites what the task waits on.
    /// Called only by the holder of its `Runnable`.
    pub(crate) fn set_queued_at(&self, ns: u64) {
        self.waiting.store(QUEUED_AT << 56 | ns & ((1 << 56) - 1), Ordering::Relaxed);
    }

    /// When the task was queued, if that was recorded.
    pub(crate) fn queued_at(&self) -> Option<u64> {
        let packed = self.waiting.load(Ordering::Relaxed);
        (packed >> 56 == QUEUED_AT).then_some(packed & ((1 << 56) - 1))
    }

    /// Makes a free slot's header that of a task, except for the state word.
    ///
    /// # Safety
    /// The caller owns the slot, which is free. It is a cell of the type that `vtable` was made for.
    #[inline]
    pub(super) unsafe fn initialise_task(
        slot: NonNull<Self>,
        vtable: &'static VTable,
        id: Id,
        location: &'static Location<'static>,
    ) {
        let slot = slot.as_ptr();
        // SAFETY: by the safety contract. Field by field, because a walker may read the state word meanwhile
        // (`zero-is-free` in `slab`); `next` and `waiting` are atomics that stay initialised.
        unsafe {
            (&raw mut (*slot).vtable).write(UnsafeCell::new(vtable));
            (&raw mut (*slot).id).write(UnsafeCell::new(id));
            (&raw mut (*slot).join_waker).write(UnsafeCell::new(None));
            (&raw mut (*slot).location).write(UnsafeCell::new(location));
            (*slot).waiting.store(0, Ordering::Relaxed);
        }
    }

    /// Frees the task after its last reference was released.
    ///
    /// # Safety
    /// A transition returned that no reference is left, so no other thread touches the task.
    #[inline]
    pub(super) unsafe fn free(task: NonNull<Self>) {
        // SAFETY: by the safety contract; the table is that of the task's cell.
        unsafe { (task.as_ref().vtable().free)(task) }
    }
}

/// What follows the header in every cell.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Extra {
    pub(super) spawned_ms: u32,
    pub(super) has_name: bool,
}

// SAFETY: `next` returns the address of the one link of the header, by raw projection.
unsafe impl QueueLink for Header {
    unsafe fn next<'a>(node: NonNull<Self>) -> &'a AtomicPtr<Self> {
        // SAFETY: the queue that holds the node owns a reference to its task.
        unsafe { &(*node.as_ptr()).next }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_header_fills_one_cache_line() {
        assert_eq!(size_of::<Header>(), 64);
    }
}

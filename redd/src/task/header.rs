//! The header of a task: one cache line that does not depend on the type of its future, and the table of the functions
//! that do.
//!
//! Called by every file of the room above it, and by the scheduler (`next`, `set_next`, `queued_at`).
//!
//! # Invariants
//! - `header-first`: a pointer to the header is a pointer to the whole cell of the type that its table was made for.

#![expect(unsafe_code, reason = "a header is written into raw memory, and shared by the owners of its fields")]

use std::alloc::Layout;
use std::any::Any;
use std::panic::Location;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use super::id::Id;
use super::queue_link::QueueLink;
use super::state::State;
use crate::observe::coarse;
use crate::observe::waiting::{WaitKind, Waiting};
use crate::primitives::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
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
    /// Of a task that inherits values.
    pub(super) inherits: Option<Inherits>,
}

/// What the table of a task that inherits values has beside its functions. These are around those of the usual table.
pub(super) struct Inherits {
    pub(super) plain: &'static VTable,
    /// Drops the future or output, and stores a `JoinError` with the panic as output.
    pub(super) fail: unsafe fn(NonNull<Header>, Box<dyn Any + Send>),
    /// Where the values are, in bytes from the header.
    pub(super) values_at: usize,
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

    #[inline]
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

    #[inline]
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

    /// Returns what dumps show of the task beside its header.
    ///
    /// # Safety
    /// The caller has a reference to the task, and does not use the result longer than that.
    #[inline]
    pub(super) unsafe fn extra<'a>(task: NonNull<Self>) -> &'a Extra {
        // SAFETY: `header-first`; the extra follows the header in every cell, and only its atomics change after the spawn.
        unsafe { task.add(1).cast::<Extra>().as_ref() }
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

/// What follows the header in every cell: for dumps and reports. The times are those of the coarse clock.
#[repr(C)]
pub(super) struct Extra {
    /// The id of the task that spawned it, 0 if that was no task; and `HAS_NAME`.
    parent: u64,
    spawned_ms: u32,
    /// When its last poll began, if there was one. Written by the holder of the poll lock, like `polls`.
    last_poll_ms: AtomicU32,
    /// How often it was polled. It wraps around.
    polls: AtomicU32,
    /// The last three describe the last poll of the `JoinHandle` that returned `Pending`. They are valid while the task
    /// has a join waker. Written by the owner of the handle.
    joined_ms: AtomicU32,
    joiner: AtomicU64,
    /// Null: no `JoinHandle` was polled.
    joined_at: AtomicPtr<Location<'static>>,
}

/// In `Extra::parent`: the task has a name. Ids do not get this far.
const HAS_NAME: u64 = 1 << 63;

/// In `Extra::joiner`: the join waker is that of the task with this id.
pub(super) const IS_DIRECT: u64 = 1 << 63;

/// The wait for the end of a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    /// The id of the task that waits. 0 if that is no task.
    pub(super) task: u64,
    pub(super) location: &'static Location<'static>,
    pub(super) since_ms: u32,
    /// The join waker is that task's own.
    pub(super) is_direct: bool,
}

impl Extra {
    #[inline]
    pub(super) fn new(parent: u64) -> Self {
        Self {
            parent,
            spawned_ms: coarse::now_ms(),
            // All zeros, which are stored as one.
            last_poll_ms: AtomicU32::new(0),
            polls: AtomicU32::new(0),
            joined_ms: AtomicU32::new(0),
            joiner: AtomicU64::new(0),
            joined_at: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The slab has a name for the task.
    pub(super) fn set_has_name(&mut self) {
        self.parent |= HAS_NAME;
    }

    #[inline]
    pub(super) fn has_name(&self) -> bool {
        self.parent & HAS_NAME != 0
    }

    /// The id of the task that spawned it. 0 if that was no task.
    pub(super) fn parent(&self) -> u64 {
        self.parent & !HAS_NAME
    }

    pub(super) fn spawned_ms(&self) -> u32 {
        self.spawned_ms
    }

    /// A poll begins. Called by the holder of the poll lock.
    #[inline]
    pub(super) fn count_poll(&self) {
        self.last_poll_ms.store(coarse::now_ms(), Ordering::Relaxed);
        // Only the holder of the poll lock writes, so no read-modify-write is needed.
        self.polls.store(self.polls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// The number of polls, and when the last one began. The time means nothing if there was none.
    pub(super) fn polls(&self) -> (u32, u32) {
        (self.polls.load(Ordering::Relaxed), self.last_poll_ms.load(Ordering::Relaxed))
    }

    /// A `JoinHandle` is about to wait for the task, for the first time. Called by its owner, before it stores its waker.
    /// `joiner` is the id of the task that waits, and `IS_DIRECT`.
    #[inline]
    pub(super) fn begin_join(&self, joiner: u64, location: &'static Location<'static>) {
        self.joiner.store(joiner, Ordering::Relaxed);
        self.joined_ms.store(coarse::now_ms(), Ordering::Relaxed);
        // Release: publishes the other two. Pairs with Acquire in `Extra::joining`.
        self.joined_at.store(std::ptr::from_ref(location).cast_mut(), Ordering::Release);
    }

    /// As [`begin_join`](Self::begin_join), for a handle that may have waited before. The same joiner has waited since then.
    pub(super) fn continue_join(&self, joiner: u64, location: &'static Location<'static>) {
        let is_first = self.joined_at.load(Ordering::Relaxed).is_null();
        if is_first || self.joiner.load(Ordering::Relaxed) != joiner {
            self.begin_join(joiner, location);
        } else {
            self.joined_at.store(std::ptr::from_ref(location).cast_mut(), Ordering::Release);
        }
    }

    /// What these two have stored. For a reader that has seen the task's join waker: the handle may be polled by another
    /// task meanwhile, and the parts be those of two polls.
    pub(super) fn joining(&self) -> Option<Joining> {
        // Acquire: sees the joiner that was stored before. Pairs with Release in `Extra::begin_join`.
        // SAFETY: it is null or comes from a `&'static`.
        let location = unsafe { self.joined_at.load(Ordering::Acquire).as_ref() }?;
        let since_ms = self.joined_ms.load(Ordering::Relaxed);
        let joiner = self.joiner.load(Ordering::Relaxed);
        Some(Joining { task: joiner & !IS_DIRECT, location, since_ms, is_direct: joiner & IS_DIRECT != 0 })
    }
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

    #[test]
    fn what_dumps_show_costs_forty_bytes_for_each_task() {
        assert_eq!(size_of::<Extra>(), 40);
    }

    /// Stands for the functions of a type: no test calls them.
    static TABLE: VTable = VTable {
        poll: |_, _| unreachable!("no test polls"),
        cancel: |_| unreachable!("no test cancels"),
        take_output: |_, _| unreachable!("no test joins"),
        drop_stage: |_| unreachable!("the stage is empty"),
        free: |_| unreachable!("it is in no slab"),
        is_blocking: false,
        class: 0,
        layout: Layout::new::<Header>(),
        future_bytes: 0,
        inherits: None,
    };

    fn header() -> Header {
        Header {
            state: State::free(),
            next: AtomicPtr::new(std::ptr::null_mut()),
            vtable: UnsafeCell::new(&TABLE),
            id: UnsafeCell::new(Id(1)),
            join_waker: UnsafeCell::new(None),
            location: UnsafeCell::new(Location::caller()),
            waiting: AtomicU64::new(0),
        }
    }

    #[test]
    fn a_wait_and_the_time_of_queueing_share_a_word() {
        let header = header();
        assert!(header.waiting().is_none() && header.queued_at().is_none());
        let here = Location::caller();
        for location in [Some(here), None] {
            header.set_waiting(Some(Waiting { kind: WaitKind::Notify, location }));
            assert_eq!(header.waiting(), Some((WaitKind::Notify, location)));
            assert_eq!(header.queued_at(), None);
        }
        const TIME_MAX: u64 = (1 << 56) - 1;
        for time in [0, 1, TIME_MAX] {
            header.set_queued_at(time);
            assert_eq!(header.queued_at(), Some(time));
            assert!(header.waiting().is_none());
        }
        header.set_queued_at(TIME_MAX + 3);
        assert_eq!(header.queued_at(), Some(2), "it wraps around and leaves the kind alone");
        header.set_waiting(None);
        assert!(header.waiting().is_none() && header.queued_at().is_none());
    }

    #[test]
    fn what_dumps_show_is_read_as_it_was_stored() {
        for (parent, has_name) in [(0, false), (7, false), (0, true), (7, true)] {
            let mut extra = Extra::new(parent);
            if has_name {
                extra.set_has_name();
            }
            assert_eq!((extra.parent(), extra.has_name()), (parent, has_name));
            assert_eq!(extra.polls().0, 0);
            assert!(extra.joining().is_none());
            extra.count_poll();
            assert_eq!(extra.polls().0, 1);
        }
        let extra = Extra::new(0);
        let store = [Extra::begin_join, Extra::continue_join];
        for (joiner, is_direct, store) in
            [(9, true, store[1]), (9, false, store[0]), (9, true, store[1]), (0, false, store[1])]
        {
            let here = Location::caller();
            store(&extra, joiner | if is_direct { IS_DIRECT } else { 0 }, here);
            let joining = extra.joining().expect("a handle was polled");
            assert_eq!((joining.task, joining.is_direct, joining.location), (joiner, is_direct, here));
        }
    }
}

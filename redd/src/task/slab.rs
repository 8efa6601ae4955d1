//! Memory of tasks: chunks of equal slots, which are also the registry of live tasks.
//!
//! Called by `cell` (allocate, free), by `runtime::shutdown` and the dump (walk), by the scheduler (one [`Cache`] per
//! worker). A [`TaskSlab`] belongs to one runtime or one `LocalSet`.
//!
//! # Invariants
//! - `zero-is-free`: a slot holds a task exactly while its state word counts references. The word is only ever accessed
//!   atomically, also when a task moves in, so a walker may look at any slot at any time.
//! - `body-needs-ref`: nothing of a slot but the word (and, for the owner of the free list, `next`) is touched without
//!   a reference.
//! - `type-stable`: a chunk stays a chunk until all its slots are free and either the heap is closed or the chunk is
//!   trimmed, which happens while nobody walks (`trim`'s `walkers-pin`).
//! - `cache-owner`: a `Cache` is used only by the thread that entered it, one thread at a time. A guest's cache goes from
//!   one thread to the next under the lock of the central lists, and is empty then.
//! - `slab-outlives-slots`: while a closed heap has slots out, it owns a reference to itself, and it has its owner. So a
//!   thread that has a reference to a task may use the heap and its owner.
//! - `no-suicide`: no method of a heap drops what may be the last reference to it, its owner or its memory. They return
//!   it as [`Remains`], which the caller drops where no reference to the heap is an argument any more.
//!
//! # Why not otherwise
//! `malloc` and a sharded list of live tasks cost 60-90 ns a task (two locks, three read-modify-writes); here a spawn
//! takes no lock, and freeing goes to the freeing worker's own list, which needs no atomics either.

#![expect(unsafe_code, reason = "slots are raw memory")]

mod trim;

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Weak};

use super::Id;
use super::cell::{Header, TaskRef, VTable};
use super::hooks::TaskHooks;
use super::runnable::Schedule;
use crate::primitives::atomic::{AtomicU32, AtomicU64, Ordering, fixed};
use crate::primitives::{IS_MODEL, Mutex, cell::UnsafeCell, thread_local};
use trim::{NEVER, Record, Walker};

/// Size and alignment of a chunk; a slot finds its chunk by masking its address.
const CHUNK: usize = 64 * 1024;
/// So many chunks are allocated at once, as many as there are, so that allocations stay few: the alignment costs an
/// allocator a chunk of addresses and two pages each time.
const AREA_MIN: usize = 16;
const AREA_MAX: usize = 1024;
/// Room of the chunk's own header.
const CHUNK_HEADER: usize = 128;
/// Slot sizes. All multiples of 64, so that two tasks never share a line.
const CLASSES: [u32; 14] = [128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 2048];
/// The class of tasks with an allocation of their own.
pub(super) const LARGE: u8 = CLASSES.len() as u8;
/// Slots that move between a cache and the central lists at once: one lock per 64 operations.
const MAGAZINE: u32 = if IS_MODEL { 2 } else { 64 };
/// Ids that a cache takes at once.
const ID_BLOCK: u64 = 1024;

/// The smallest class for a task of this layout.
pub(super) const fn class_of(layout: Layout) -> u8 {
    let mut class = 0;
    while class < CLASSES.len() {
        if layout.size() <= CLASSES[class] as usize && layout.align() <= 64 {
            return class as u8;
        }
        class += 1;
    }
    LARGE
}

/// At the start of each chunk.
#[repr(C)]
struct Chunk {
    slab: *const TaskSlab,
    slot_size: u32,
    /// Slots that were ever handed out; a walker goes up to here.
    used: AtomicU32,
    /// For the trimmer alone.
    in_hand: AtomicU32,
}

impl Chunk {
    /// The chunk of a slot that is not large.
    fn of(slot: NonNull<Header>) -> NonNull<Self> {
        let chunk = slot.as_ptr().map_addr(|addr| addr & !(CHUNK - 1));
        // SAFETY: chunks are aligned to their size and not at address 0.
        unsafe { NonNull::new_unchecked(chunk.cast()) }
    }

    /// The header of a chunk in the lists.
    fn at<'a>(chunk: NonNull<Self>) -> &'a Self {
        // SAFETY: `type-stable`.
        unsafe { chunk.as_ref() }
    }

    fn used(&self) -> u32 {
        self.used.load(Ordering::Relaxed)
    }

    fn in_hand(&self) -> u32 {
        self.in_hand.load(Ordering::Relaxed)
    }

    fn slot(chunk: NonNull<Self>, index: u32) -> NonNull<Header> {
        let size = Self::at(chunk).slot_size;
        // SAFETY: callers ask for slots inside the chunk.
        unsafe { chunk.cast::<u8>().add(CHUNK_HEADER + (index * size) as usize) }.cast()
    }

    /// Whether one of the slots that were handed out begins at this address inside of the chunk.
    fn has_slot(chunk: NonNull<Self>, address: NonNull<Header>) -> bool {
        let this = Self::at(chunk);
        let from_first = (address.addr().get() - chunk.addr().get()).checked_sub(CHUNK_HEADER);
        let (size, used) = (this.slot_size as usize, this.used() as usize);
        from_first.is_some_and(|bytes| bytes % size == 0 && bytes / size < used)
    }

    /// The first slots, which are free and in no list.
    fn first_slots(chunk: NonNull<Self>, count: u32) -> FreeList {
        let mut list = FreeList::EMPTY;
        for index in (0..count).rev() {
            // SAFETY: by this function's duty.
            unsafe { list.push(Self::slot(chunk, index)) };
        }
        list
    }
}

/// Some free slots, linked through `Header::next`.
#[derive(Clone, Copy)]
struct FreeList {
    head: *mut Header,
    len: u32,
}

impl FreeList {
    const EMPTY: Self = Self { head: ptr::null_mut(), len: 0 };

    /// # Safety
    /// `slot` is free and in no list.
    unsafe fn push(&mut self, slot: NonNull<Header>) {
        // SAFETY: a free slot's `next` belongs to the owner of the list that it is in.
        unsafe { (*slot.as_ptr()).next.store(self.head, Ordering::Relaxed) };
        self.head = slot.as_ptr();
        self.len += 1;
    }

    fn pop(&mut self) -> Option<NonNull<Header>> {
        let slot = NonNull::new(self.head)?;
        // SAFETY: it is in this list, so it is free and `next` is ours.
        self.head = unsafe { (*slot.as_ptr()).next.load(Ordering::Relaxed) };
        self.len -= 1;
        Some(slot)
    }
}

/// One worker's free slots, block of ids and counters. See `cache-owner`.
pub(crate) struct Cache {
    current: [Cell<FreeList>; CLASSES.len()],
    previous: [Cell<FreeList>; CLASSES.len()],
    next_id: Cell<u64>,
    end_id: Cell<u64>,
    spawned: AtomicU64,
    completed: AtomicU64,
}

// SAFETY: `cache-owner`; the counters are atomics and may be read by anyone.
unsafe impl Sync for Cache {}
// SAFETY: free slots belong to no thread.
unsafe impl Send for Cache {}

impl Cache {
    fn new() -> Self {
        Self {
            current: std::array::from_fn(|_| Cell::new(FreeList::EMPTY)),
            previous: std::array::from_fn(|_| Cell::new(FreeList::EMPTY)),
            next_id: Cell::new(0),
            end_id: Cell::new(0),
            spawned: AtomicU64::new(0),
            completed: AtomicU64::new(0),
        }
    }

    /// Gives all free slots to the central lists. True if someone should look at these.
    fn flush(&self, central: &mut Central) -> bool {
        let mut is_much = false;
        for class in 0..CLASSES.len() {
            for list in [self.current[class].take(), self.previous[class].take()] {
                if list.len > 0 {
                    is_much |= central.put_back(class, list.len as usize);
                    central.magazines[class].push(list);
                }
            }
        }
        is_much
    }

    fn allocate(&self, slab: &TaskSlab, class: u8) -> NonNull<Header> {
        let (current, previous) = (&self.current[class as usize], &self.previous[class as usize]);
        let mut list = current.get();
        if list.head.is_null() {
            list = previous.replace(FreeList::EMPTY);
            if list.head.is_null() {
                list = slab.take_magazine(&mut slab.central.lock(), class);
            }
        }
        let slot = list.pop().expect("a magazine holds at least one slot");
        current.set(list);
        slot
    }

    fn free(&self, slab: &TaskSlab, class: u8, slot: NonNull<Header>) {
        let (current, previous) = (&self.current[class as usize], &self.previous[class as usize]);
        let mut list = current.get();
        if list.len == MAGAZINE {
            let full = previous.replace(list);
            if full.len > 0 {
                slab.give_magazine(class, full);
            }
            list = FreeList::EMPTY;
        }
        // SAFETY: the slot was just freed, nobody else has it.
        unsafe { list.push(slot) };
        current.set(list);
    }

    fn id(&self) -> u64 {
        let mut id = self.next_id.get();
        if id == self.end_id.get() {
            id = NEXT_ID.fetch_add(ID_BLOCK, Ordering::Relaxed);
            self.end_id.set(id + ID_BLOCK);
        }
        self.next_id.set(id + 1);
        id
    }
}

/// Counts what only the owner writes, without a read-modify-write.
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The next id for threads without a cache. Ids start at 1, are unique in the process and not handed out twice.
static NEXT_ID: fixed::AtomicU64 = fixed::AtomicU64::new(1);

thread_local! {
    /// The cache that this thread has entered, with its slab.
    static ENTERED: Cell<(*const TaskSlab, *const Cache)> = const { Cell::new((ptr::null(), ptr::null())) };
}

/// Slots that are in no cache.
struct Central {
    /// What chunks are made of.
    areas: Vec<(NonNull<u8>, Layout)>,
    chunks: Vec<NonNull<Chunk>>,
    magazines: [Vec<FreeList>; CLASSES.len()],
    /// Freed one by one, by threads without a cache.
    loose: [FreeList; CLASSES.len()],
    large: BTreeSet<NonNull<Header>>,
    /// Slots that are in caches or hold a task; and one for each walker, and one for a guest.
    out: usize,
    is_closed: bool,
    /// `slab-outlives-slots`
    pinned: Option<Arc<TaskSlab>>,
    /// The cache that a guest has entered.
    guest: Option<usize>,
    record: Record,
}

impl Central {
    /// The first chunk of a new area; the others are spare.
    fn new_area(&mut self) -> NonNull<Chunk> {
        let count = self.chunks.len().clamp(AREA_MIN, AREA_MAX);
        let layout = Layout::from_size_align(count * CHUNK, CHUNK).expect("a power of two is a valid alignment");
        // SAFETY: the layout is not empty.
        let Some(area) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        self.areas.push((area, layout));
        // SAFETY: inside the area.
        let chunk = |index| unsafe { area.add(index * CHUNK) }.cast();
        self.record.spare.extend((1..count).rev().map(chunk));
        area.cast()
    }
}

/// The memory of one scheduler's tasks.
pub(crate) struct TaskSlab {
    central: Mutex<Central>,
    caches: Box<[Cache]>,
    owner: UnsafeCell<Option<Arc<dyn Schedule>>>,
    pub(crate) hooks: TaskHooks,
    spawned: AtomicU64,
    completed: AtomicU64,
    /// Names given with `task::Builder`.
    pub(super) names: Mutex<BTreeMap<Id, Arc<str>>>,
    /// Milliseconds since the heap was made, updated when workers look at the clock.
    pub(crate) coarse_ms: AtomicU32,
    /// See [`next_trim_at`](Self::next_trim_at). Written under the lock of `central`.
    tending: AtomicU64,
    me: Weak<TaskSlab>,
}

/// What a heap lets go of, for the caller of its method to drop (`no-suicide`).
#[derive(Default)]
#[must_use = "dropped where no reference to the slab is an argument"]
pub(crate) struct Remains {
    /// Whom to tell that memory lies idle.
    tell: Option<Arc<dyn Schedule>>,
    /// These three are let go when the last slot of a closed heap is free.
    _owner: Option<Arc<dyn Schedule>>,
    _pinned: Option<Arc<TaskSlab>>,
    areas: Vec<(NonNull<u8>, Layout)>,
}

impl Remains {
    fn telling(mut self, tell: Option<Arc<dyn Schedule>>) -> Self {
        self.tell = tell;
        self
    }
}

impl Drop for Remains {
    fn drop(&mut self) {
        for (area, layout) in self.areas.drain(..) {
            // SAFETY: made by `new_area`; all slots of its chunks are free and in no list.
            unsafe { dealloc(area.as_ptr(), layout) };
        }
        if let Some(owner) = self.tell.take() {
            // No lock is held: this may end the runtime, which closes the slab.
            owner.request_trim();
        }
    }
}

// SAFETY: chunks and slots are shared under the invariants above; `owner` is written before the first task exists
// and taken after the last slot is free.
unsafe impl Send for TaskSlab {}
// SAFETY: as above.
unsafe impl Sync for TaskSlab {}

impl TaskSlab {
    pub(crate) fn new(caches: usize, hooks: TaskHooks) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            central: Mutex::new(Central {
                areas: Vec::new(),
                chunks: Vec::new(),
                magazines: std::array::from_fn(|_| Vec::new()),
                loose: [FreeList::EMPTY; CLASSES.len()],
                large: BTreeSet::new(),
                out: 0,
                is_closed: false,
                pinned: None,
                guest: None,
                record: Record::new(),
            }),
            caches: (0..caches).map(|_| Cache::new()).collect(),
            owner: UnsafeCell::new(None),
            hooks,
            spawned: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            names: Mutex::default(),
            coarse_ms: AtomicU32::new(0),
            tending: AtomicU64::new(NEVER),
            me: me.clone(),
        })
    }

    /// Says who schedules the tasks of this slab.
    ///
    /// # Safety
    /// Called once, before the first task is spawned and before the heap is shared.
    pub(crate) unsafe fn set_owner(&self, owner: Arc<dyn Schedule>) {
        // SAFETY: nobody else has the heap yet.
        self.owner.with_mut(|slot| unsafe { *slot = Some(owner) });
    }

    /// Who schedules the tasks.
    ///
    /// # Safety
    /// The caller has a reference to a task of this heap (`slab-outlives-slots`), or has the owner by other means.
    pub(super) unsafe fn owner(&self) -> &dyn Schedule {
        // SAFETY: by this function's duty.
        unsafe { self.owner_if_open() }.expect("an owner is set before the first task is spawned")
    }

    /// As [`owner`](Self::owner); `None` for a task that was born after the heap had been closed.
    ///
    /// # Safety
    /// As for `owner`.
    pub(super) unsafe fn owner_if_open(&self) -> Option<&dyn Schedule> {
        // SAFETY: written before the first task, taken after the last slot is free; the caller holds a slot.
        self.owner.with(|owner| unsafe { (*owner).as_deref() })
    }

    /// The heap of a task.
    ///
    /// # Safety
    /// The caller has a reference to the task; it is not used longer than that.
    pub(super) unsafe fn of<'a>(task: NonNull<Header>) -> &'a Self {
        // SAFETY: by this function's duty the header is alive.
        let vtable = unsafe { (*task.as_ptr()).vtable() };
        let slab = if vtable.class == LARGE {
            // SAFETY: `allocate` wrote the heap's address just before a large task.
            unsafe { task.cast::<*const Self>().sub(1).read() }
        } else {
            // SAFETY: the slot of a task that is alive is in a chunk (`type-stable`).
            unsafe { Chunk::of(task).as_ref() }.slab
        };
        // SAFETY: `slab-outlives-slots`.
        unsafe { &*slab }
    }

    /// The calling thread's cache, if it has entered this slab.
    #[inline]
    fn my_cache(&self) -> Option<&Cache> {
        let (slab, cache) = ENTERED.get();
        // SAFETY: set by `enter` for as long as its guard lives, and the guard's owner keeps the slab.
        ptr::eq(slab, self).then(|| unsafe { &*cache })
    }

    /// Whether this thread has entered the slab; then it keeps the owner (see [`enter`](Self::enter)).
    #[inline]
    pub(super) fn is_entered_here(&self) -> bool {
        ptr::eq(ENTERED.get().0, self)
    }

    /// Makes this thread the owner of cache `index` while the guard lives.
    ///
    /// # Safety
    /// `cache-owner`: no other thread uses this cache meanwhile; this thread keeps the heap and its owner for longer than
    /// the guard lives.
    pub(crate) unsafe fn enter(&self, index: usize) -> CacheGuard {
        CacheGuard { before: ENTERED.replace((ptr::from_ref(self), &raw const self.caches[index])) }
    }

    /// As [`enter`](Self::enter), for a thread that is no worker, in a cache that is kept for such; `None` if another one
    /// is in there.
    pub(crate) fn enter_as_guest(self: &Arc<Self>, index: usize) -> Option<GuestGuard<'_>> {
        let mut central = self.central.lock();
        if central.guest.is_some() || central.is_closed {
            return None;
        }
        central.guest = Some(index);
        // A guest may wake tasks without a reference to them: the owner stays until it leaves.
        central.out += 1;
        // SAFETY: `cache-owner`: the entry above is ours until the guard's drop, which the borrow of the heap outlives.
        Some(GuestGuard { slab: self, entered: Some(unsafe { self.enter(index) }), index })
    }

    /// A free slot (state 0) and an id, for a task with this table. The caller moves the task in and publishes it.
    pub(super) fn allocate(&self, vtable: &'static VTable) -> (NonNull<Header>, Id) {
        let cache = self.my_cache();
        let id = match cache {
            Some(cache) => cache.id(),
            None => NEXT_ID.fetch_add(1, Ordering::Relaxed),
        };
        match cache {
            _ if vtable.is_blocking => {}
            Some(cache) => bump(&cache.spawned),
            None => {
                self.spawned.fetch_add(1, Ordering::Relaxed);
            }
        }
        let slot = match cache {
            _ if vtable.class == LARGE => self.allocate_large(vtable.layout),
            Some(cache) => cache.allocate(self, vtable.class),
            None => {
                let (mut central, class) = (self.central.lock(), vtable.class as usize);
                if central.loose[class].head.is_null() {
                    let magazine = self.take_magazine(&mut central, vtable.class);
                    // Not news: the slots were there before, or the memory is about to be used.
                    let _ = central.put_back(class, magazine.len as usize);
                    central.loose[class] = magazine;
                }
                let slot = central.loose[class].pop().expect("a magazine holds at least one slot");
                central.take_out(class, 1);
                self.pin_if_closed(&mut central);
                slot
            }
        };
        (slot, Id(id))
    }

    /// Takes a slot back into this thread's cache; false if it has none, or if the slot is large: then see [`free`](Self::free).
    ///
    /// # Safety
    /// As for `free`.
    #[inline]
    pub(super) unsafe fn free_to_cache(&self, slot: NonNull<Header>, class: u8) -> bool {
        if class == LARGE {
            return false;
        }
        let Some(cache) = self.my_cache() else { return false };
        cache.free(self, class, slot);
        true
    }

    /// Takes a slot back.
    ///
    /// # Safety
    /// The slot belongs to this slab, its state counts no reference and is marked free, its body is dropped. The heap
    /// must not be used by the caller once it has dropped the answer, unless it owns a reference of its own.
    #[inline(never)]
    pub(super) unsafe fn free(&self, slot: NonNull<Header>, class: u8, layout: Layout) -> Remains {
        if class == LARGE {
            let mut central = self.central.lock();
            central.large.remove(&slot);
            central.out -= 1;
            // SAFETY: made by `allocate_large` with the same layout; no walker can reach it any more (`zero-is-free`,
            // and it has left the set that walkers read under this lock).
            unsafe { free_large(slot, layout) };
            self.finish_if_closed(central)
        } else {
            let mut central = self.central.lock();
            let is_much = central.put_back(class as usize, 1);
            let tell = self.whom_to_tell(&central, is_much);
            let mut loose = central.loose[class as usize];
            if loose.len == MAGAZINE {
                central.magazines[class as usize].push(loose);
                loose = FreeList::EMPTY;
            }
            // SAFETY: the slot was just freed, nobody else has it.
            unsafe { loose.push(slot) };
            central.loose[class as usize] = loose;
            self.finish_if_closed(central).telling(tell)
        }
    }

    /// Notes that much memory lies idle; whom to tell, if that is news. A reference of its own: after the lock is let go
    /// the heap may close.
    fn whom_to_tell(&self, central: &Central, is_much: bool) -> Option<Arc<dyn Schedule>> {
        if !is_much || central.is_closed || !self.record_idle() {
            return None;
        }
        // SAFETY: written before the first task; taken under the lock, which we hold, of a heap that is closed.
        self.owner.with(|owner| unsafe { (*owner).clone() })
    }

    pub(super) fn count_completed(&self, vtable: &VTable) {
        match self.my_cache() {
            _ if vtable.is_blocking => {}
            Some(cache) => bump(&cache.completed),
            None => {
                self.completed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Tasks that were spawned and have not completed. A moment's view: other threads go on.
    pub(crate) fn alive(&self) -> usize {
        // Completed first: a task counted there was counted as spawned before, so the difference is not negative
        // by more than what is in flight.
        let completed = self.completed.load(Ordering::Relaxed)
            + self.caches.iter().map(|cache| cache.completed.load(Ordering::Relaxed)).sum::<u64>();
        self.spawned_total().saturating_sub(completed) as usize
    }

    /// All tasks ever spawned here.
    pub(crate) fn spawned_total(&self) -> u64 {
        self.spawned.load(Ordering::Relaxed)
            + self.caches.iter().map(|cache| cache.spawned.load(Ordering::Relaxed)).sum::<u64>()
    }

    /// Calls `visit` with a reference to each task that is alive now. No lock is held during `visit`; tasks spawned
    /// meanwhile may or may not be visited.
    pub(super) fn for_each_live(self: &Arc<Self>, mut visit: impl FnMut(TaskRef)) {
        let (chunks, large): (Vec<_>, Vec<_>) = {
            let mut central = self.central.lock();
            central.record.walkers += 1;
            central.out += 1;
            self.pin_if_closed(&mut central);
            // SAFETY: in the set, so allocated; freeing needs this lock.
            let live = central.large.iter().filter_map(|slot| unsafe { try_ref(*slot) });
            (central.chunks.clone(), live.collect())
        };
        let _walker = Walker(self);
        for chunk in chunks {
            // Acquire: the words of the slots below are initialised. Pairs with Release in `carve`.
            let used = Chunk::at(chunk).used.load(Ordering::Acquire);
            debug_assert_ne!(used, trim::GONE, "`walkers-pin`");
            for index in 0..used {
                // SAFETY: `zero-is-free`: it was handed out.
                if let Some(task) = unsafe { try_ref(Chunk::slot(chunk, index)) } {
                    visit(task);
                }
            }
        }
        large.into_iter().for_each(visit);
    }

    /// A reference to the task at `address`, if one is alive there now. The address may be stale: it need only have been
    /// a task of this heap once, as `Runnable::as_ptr` gives it. Its chunk may have other slots by now.
    pub(crate) fn ref_at(&self, address: *mut Header) -> Option<TaskRef> {
        let task = NonNull::new(address)?;
        // Under this lock no chunk and no large task is freed.
        let central = self.central.lock();
        let chunk = Chunk::of(task);
        let is_slot = || {
            let known = central.chunks.iter().find(|known| **known == chunk);
            known.is_some_and(|known| Chunk::has_slot(*known, task))
        };
        // SAFETY: `zero-is-free`: a slot that was handed out once may be looked at while its chunk or itself is in the
        // lists above; no more is touched without a reference.
        (central.large.contains(&task) || is_slot()).then(|| unsafe { try_ref(task) })?
    }

    fn give_magazine(&self, class: u8, list: FreeList) {
        let mut central = self.central.lock();
        if central.put_back(class as usize, list.len as usize) {
            // This thread is a worker and looks by itself before it sleeps.
            self.record_idle();
        }
        central.magazines[class as usize].push(list);
        debug_assert!(!central.is_closed || central.out > 0 || central.pinned.is_some());
    }

    fn take_magazine(&self, central: &mut Central, class: u8) -> FreeList {
        let list = match central.magazines[class as usize].pop() {
            Some(list) => {
                central.take_out(class as usize, list.len as usize);
                list
            }
            None => {
                let list = self.carve(central, class);
                central.out += list.len as usize;
                list
            }
        };
        self.pin_if_closed(central);
        list
    }

    /// Slots that were never used, from the newest chunk of the class or a new one.
    fn carve(&self, central: &mut Central, class: u8) -> FreeList {
        let size = CLASSES[class as usize];
        let capacity = (CHUNK - CHUNK_HEADER) as u32 / size;
        let has_room = |chunk: &NonNull<Chunk>| {
            let chunk = Chunk::at(*chunk);
            chunk.slot_size == size && chunk.used() < capacity
        };
        // The newest chunks are at the end, so a chunk with room is found at once or not at all.
        let chunk = match central.chunks.iter().rev().take(2 * CLASSES.len()).find(|chunk| has_room(chunk)) {
            Some(chunk) => *chunk,
            None => {
                let chunk = self.new_chunk(central, size);
                central.chunks.push(chunk);
                chunk
            }
        };
        let used = &Chunk::at(chunk).used;
        let first = used.load(Ordering::Relaxed);
        let count = MAGAZINE.min(capacity - first);
        let mut list = FreeList::EMPTY;
        for index in (first..first + count).rev() {
            // SAFETY: inside the chunk, never handed out before, so nobody else looks at it (`used` is lower).
            unsafe {
                let slot = Chunk::slot(chunk, index);
                Header::initialise_free(slot);
                list.push(slot);
            }
        }
        // Release: publishes the state words. Pairs with Acquire in `for_each_live`.
        used.store(first + count, Ordering::Release);
        list
    }

    fn new_chunk(&self, central: &mut Central, slot_size: u32) -> NonNull<Chunk> {
        let chunk = central.record.spare.pop().unwrap_or_else(|| central.new_area());
        let (used, in_hand) = (AtomicU32::new(0), AtomicU32::new(0));
        // SAFETY: memory that nobody uses, large enough.
        unsafe { chunk.write(Chunk { slab: self, slot_size, used, in_hand }) };
        chunk
    }

    fn allocate_large(&self, layout: Layout) -> NonNull<Header> {
        let (whole, offset) = large_layout(layout);
        // SAFETY: the layout is not empty.
        let Some(start) = NonNull::new(unsafe { alloc(whole) }) else { handle_alloc_error(whole) };
        // SAFETY: the offset leaves at least 64 bytes before the task, and the layout has room for it behind.
        let slot = unsafe {
            let slot = start.add(offset).cast::<Header>();
            slot.cast::<*const Self>().sub(1).write(self);
            Header::initialise_free(slot);
            slot
        };
        let mut central = self.central.lock();
        central.large.insert(slot);
        central.out += 1;
        self.pin_if_closed(&mut central);
        slot
    }

    /// `slab-outlives-slots`: called after `out` grew.
    fn pin_if_closed(&self, central: &mut Central) {
        if central.is_closed && central.pinned.is_none() {
            central.pinned = self.me.upgrade();
        }
    }

    /// Called after `out` shrank; if nobody can come back for the memory, the caller gets it.
    fn finish_if_closed(&self, mut central: crate::primitives::MutexGuard<'_, Central>) -> Remains {
        if !central.is_closed || central.out > 0 {
            return Remains::default();
        }
        let areas = std::mem::take(&mut central.areas);
        if !areas.is_empty() {
            (central.chunks, central.record.spare) = (Vec::new(), Vec::new());
            central.magazines = std::array::from_fn(|_| Vec::new());
            central.loose = [FreeList::EMPTY; CLASSES.len()];
        }
        // SAFETY: all slots are free and the heap is closed, so nobody asks for the owner any more.
        let owner = self.owner.with_mut(|owner| unsafe { (*owner).take() });
        Remains { tell: None, _owner: owner, _pinned: central.pinned.take(), areas }
    }

    /// A thread that is about to sleep while memory lies idle lets go of the free slots that it keeps.
    pub(crate) fn flush_cache(&self) {
        if let Some(cache) = self.my_cache() {
            let mut central = self.central.lock();
            if cache.flush(&mut central) {
                self.record_idle();
            }
        }
    }

    /// The scheduler has ended: no cache is entered any more, but for a guest's. Slots that are still out (a `JoinHandle` or a waker
    /// outlives the runtime) keep the slab; the last one frees it.
    pub(crate) fn close(self: &Arc<Self>) {
        drop(self.end());
    }

    fn end(&self) -> Remains {
        let mut central = self.central.lock();
        // Without chunks no slot is anywhere.
        let caches = if central.chunks.is_empty() { &[][..] } else { &self.caches };
        for (index, cache) in caches.iter().enumerate() {
            // A guest empties its own when it leaves.
            if central.guest != Some(index) {
                cache.flush(&mut central);
            }
        }
        central.is_closed = true;
        if central.out > 0 {
            self.pin_if_closed(&mut central);
        }
        self.finish_if_closed(central)
    }
}

impl Default for FreeList {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Drop for TaskSlab {
    fn drop(&mut self) {
        // A heap that was never closed (its runtime could not be built) has no tasks.
        drop(self.end());
    }
}

/// While it lives, this thread allocates from and frees to one cache.
#[derive(Debug)]
pub(crate) struct CacheGuard {
    before: (*const TaskSlab, *const Cache),
}

impl Drop for CacheGuard {
    fn drop(&mut self) {
        ENTERED.set(self.before);
    }
}

/// A reference to the task in this slot, if one is alive there now.
///
/// # Safety
/// The slot was handed out once and its memory is still there (`zero-is-free`); no more than its word is touched without
/// the reference (`body-needs-ref`).
unsafe fn try_ref(slot: NonNull<Header>) -> Option<TaskRef> {
    // SAFETY: by this function's duty; the reference was counted by `try_ref`.
    unsafe { (*slot.as_ptr()).state.try_ref().then(|| TaskRef::from_raw(slot)) }
}

/// As [`CacheGuard`], for a guest.
pub(crate) struct GuestGuard<'a> {
    slab: &'a Arc<TaskSlab>,
    /// There until the drop.
    entered: Option<CacheGuard>,
    index: usize,
}

impl GuestGuard<'_> {
    /// Gives all free slots to the central lists, for a guest that is about to sleep: who knows for how long.
    pub(crate) fn flush(&self) {
        let (central, tell) = self.flush_locked();
        drop(central);
        drop(Remains::default().telling(tell));
    }

    fn flush_locked(&self) -> (crate::primitives::MutexGuard<'_, Central>, Option<Arc<dyn Schedule>>) {
        let mut central = self.slab.central.lock();
        // `cache-owner`: this thread has entered it.
        let is_much = self.slab.caches[self.index].flush(&mut central);
        let tell = self.slab.whom_to_tell(&central, is_much);
        (central, tell)
    }
}

impl Drop for GuestGuard<'_> {
    fn drop(&mut self) {
        drop(self.entered.take());
        let (mut central, tell) = self.flush_locked();
        central.guest = None;
        central.out -= 1;
        drop(self.slab.finish_if_closed(central).telling(tell));
    }
}

/// The allocation of a large task, and where in it the task stands: behind the heap's address.
fn large_layout(task: Layout) -> (Layout, usize) {
    let prefix = Layout::from_size_align(64, task.align().max(64)).expect("a valid alignment");
    let (whole, offset) = prefix.extend(task).expect("a future's size is far below the limit");
    (whole, offset)
}

/// # Safety
/// `slot` was made by `allocate_large` with this layout, and nobody uses it any more.
unsafe fn free_large(slot: NonNull<Header>, layout: Layout) {
    let (whole, offset) = large_layout(layout);
    // SAFETY: the address and layout that `allocate_large` used.
    unsafe { dealloc(slot.cast::<u8>().sub(offset).as_ptr(), whole) };
}

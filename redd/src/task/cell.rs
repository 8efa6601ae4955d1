//! The memory of one task: a header of one cache line, then the future or its output.
//!
//! Called by `poll`, `join`, `waker` and `runnable`, through the table of functions in the header.
//!
//! # Invariants
//! - `header-first`: a pointer to the header is a pointer to the whole cell of the type that its table was made for.
//! - `stage-owner`: the stage belongs to the holder of the poll lock before COMPLETE, and to the owner of the output
//!   afterwards (`state`'s `poll-lock` and `output-owner`).
//! - `large-is-boxed`: a future that does not fit a slot has an allocation of its own, which goes when the future ends,
//!   even if wakers and handles keep the task longer.

#![expect(unsafe_code, reason = "a task is raw memory with a table of functions")]

use std::alloc::Layout;
use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, Location, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::drop_guarded::drop_guarded;
use super::hooks::{TaskHook, TaskMeta, UnjoinedPanic, guarded};
use super::id::Id;
use super::info::TaskInfo;
use super::join::JoinHandle;
use super::join_error::JoinError;
use super::queue_link::QueueLink;
use super::runnable::Runnable;
use super::slab::{self, TaskSlab};
use super::spans;
use super::state::State;
use crate::observe::waiting::{WaitKind, Waiting};
use crate::primitives::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::primitives::cell::UnsafeCell;
use std::sync::Arc;

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

/// How a task's last poll ended.
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
    /// Drops what is in the stage.
    pub(super) drop_stage: unsafe fn(NonNull<Header>),
    /// Whether it is a closure of the blocking pool. The pool keeps track of these: walks skip them, and they do not count
    /// as alive.
    pub(super) is_blocking: bool,
    pub(super) class: u8,
    pub(super) layout: Layout,
    /// The size of the future, or of the box that it is in.
    pub(super) future_bytes: usize,
}

/// A counted reference to a task. Dropping the last one frees the task.
#[derive(Debug)]
pub(crate) struct TaskRef(NonNull<Header>);

// SAFETY: it gives access only to the state word, and to fields that do not change after the spawn.
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}
impl UnwindSafe for TaskRef {}
impl RefUnwindSafe for TaskRef {}

impl TaskRef {
    /// # Safety
    /// The caller gives up a reference that the state word counts.
    pub(super) unsafe fn from_raw(task: NonNull<Header>) -> Self {
        Self(task)
    }

    /// The task, with the reference.
    pub(super) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    pub(super) fn as_raw(&self) -> NonNull<Header> {
        self.0
    }

    /// Calls a hook with the task's description.
    pub(crate) fn tell(&self, hook: &TaskHook, schedule_latency: Option<Duration>) {
        // SAFETY: a reference is held.
        unsafe { Header::tell(self.0, hook, schedule_latency) };
    }

    pub(crate) fn info(&self) -> TaskInfo {
        // SAFETY: a reference is held.
        unsafe { info(self.0) }
    }
}

impl Deref for TaskRef {
    type Target = Header;

    #[inline]
    fn deref(&self) -> &Header {
        // SAFETY: a reference is held.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for TaskRef {
    #[inline]
    fn clone(&self) -> Self {
        self.state.add_ref();
        Self(self.0)
    }
}

impl Drop for TaskRef {
    #[inline]
    fn drop(&mut self) {
        if self.state.drop_refs(1) {
            // SAFETY: ours was the last.
            unsafe { free(self.0) };
        }
    }
}

/// # Safety
/// The caller has a reference.
unsafe fn info(task: NonNull<Header>) -> TaskInfo {
    // SAFETY: by the safety contract.
    let (header, slab, extra) = unsafe { (task.as_ref(), TaskSlab::of(task), Header::extra(task)) };
    let state = header.state.load();
    TaskInfo {
        id: header.id(),
        location: header.location(),
        name: extra.name(slab, header.id()),
        age: Duration::from_millis(u64::from(slab.coarse_ms.load(Ordering::Relaxed).wrapping_sub(extra.spawned_ms))),
        waiting: header.waiting(),
        is_running: state.is_running(),
        is_complete: state.is_complete(),
        is_queued: state.is_queued(),
        is_blocking: header.vtable().is_blocking,
    }
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
            let location = waiting.place.map_or(0, |location| std::ptr::from_ref(location).expose_provenance());
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

    /// The coarse time of the spawn, and whether the task has a name.
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

    /// Calls a hook with the task's description.
    ///
    /// # Safety
    /// The caller has a reference to the task.
    pub(super) unsafe fn tell(task: NonNull<Self>, hook: &TaskHook, schedule_latency: Option<Duration>) {
        // SAFETY: a reference is held, by the safety contract.
        let (header, slab, extra) = unsafe { (task.as_ref(), TaskSlab::of(task), Self::extra(task)) };
        let (id, spawned_at) = (header.id(), header.location());
        let name = extra.name(slab, id);
        let future_bytes = header.vtable().future_bytes;
        guarded(|| hook(&TaskMeta { id, spawned_at, name: name.as_deref(), schedule_latency, future_bytes }));
    }
}

/// What follows the header in every cell.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Extra {
    pub(super) spawned_ms: u32,
    pub(super) has_name: bool,
}

impl Extra {
    fn name(self, slab: &TaskSlab, id: Id) -> Option<Arc<str>> {
        if self.has_name { slab.names.lock().get(&id).cloned() } else { None }
    }
}

#[repr(C)]
struct Cell<F: Future, const IS_BLOCKING: bool> {
    header: Header,
    extra: Extra,
    stage: UnsafeCell<TaskStage<F>>,
}

enum TaskStage<F: Future> {
    Future(F),
    Output(Result<F::Output, JoinError>),
    Consumed,
}

impl<F: Future, const IS_BLOCKING: bool> Cell<F, IS_BLOCKING> {
    const VTABLE: VTable = VTable {
        poll: Self::poll,
        cancel: Self::cancel,
        take_output: Self::take_output,
        drop_stage: Self::drop_stage,
        is_blocking: IS_BLOCKING,
        class: slab::class_of(Layout::new::<Self>()),
        layout: Layout::new::<Self>(),
        future_bytes: mem::size_of::<F>(),
    };

    /// # Safety
    /// `task` is a cell of this type, and the caller owns its stage (`stage-owner`).
    unsafe fn with_stage<R>(task: NonNull<Header>, f: impl FnOnce(&mut TaskStage<F>) -> R) -> R {
        // SAFETY: `header-first`; only the stage's own field is referenced.
        let stage = unsafe { &(*task.cast::<Self>().as_ptr()).stage };
        // SAFETY: `stage-owner`, by the safety contract.
        stage.with_mut(|stage| f(unsafe { &mut *stage }))
    }

    unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Poll<End> {
        let polled = catch_unwind(AssertUnwindSafe(|| {
            // A future that panics is dropped while its panic unwinds, so `thread::panicking` is true in its destructors.
            let mut guard = DropOnUnwind::<F, IS_BLOCKING>(Some(task), PhantomData);
            // SAFETY: the caller holds the poll lock of a cell of this type.
            let polled = unsafe {
                Self::with_stage(task, |stage| match stage {
                    // SAFETY: the cell does not move until it is freed, and the stage is dropped in place.
                    TaskStage::Future(future) => Pin::new_unchecked(future).poll(cx),
                    TaskStage::Output(_) | TaskStage::Consumed => {
                        unreachable!("`poll-lock`: a task with an output is complete and not polled")
                    }
                })
            };
            guard.0 = None;
            polled
        }));
        let output = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            // SAFETY: a reference is held.
            Err(payload) => Err(JoinError::panic(unsafe { task.as_ref() }.id(), payload)),
        };
        let mut has_panicked = output.is_err();
        // SAFETY: as above. The future's own drop may panic; then that panic is the result, unless there is one already.
        if let Err(payload) = unsafe { Self::replace_guarded(task, TaskStage::Output(output)) } {
            if has_panicked {
                drop_guarded(payload);
            } else {
                // SAFETY: a reference is held.
                let error = JoinError::panic(unsafe { task.as_ref() }.id(), payload);
                // SAFETY: as above; the output's drop may panic too.
                let second = unsafe { Self::replace_guarded(task, TaskStage::Output(Err(error))) };
                drop_guarded(second.err());
                has_panicked = true;
            }
        }
        Poll::Ready(if has_panicked { End::Panicked } else { End::Finished })
    }

    /// Puts `next` into the stage and drops the old value. A panic of that drop is returned.
    ///
    /// # Safety
    /// As for `with_stage`.
    unsafe fn replace_guarded(task: NonNull<Header>, next: TaskStage<F>) -> Result<(), Box<dyn Any + Send>> {
        catch_unwind(AssertUnwindSafe(|| {
            // The assignment drops in place (the future is pinned), and writes `next` also when that drop panics.
            // SAFETY: by the safety contract.
            unsafe { Self::with_stage(task, |stage| *stage = next) }
        }))
    }

    unsafe fn cancel(task: NonNull<Header>) {
        // SAFETY: a reference is held.
        let id = unsafe { task.as_ref() }.id();
        // SAFETY: the caller holds the poll lock of a cell of this type.
        let error = match unsafe { Self::replace_guarded(task, TaskStage::Consumed) } {
            Ok(()) => JoinError::cancelled(id),
            Err(payload) => JoinError::panic(id, payload),
        };
        // SAFETY: as above; the stage is `Consumed`.
        unsafe { Self::with_stage(task, |stage| *stage = TaskStage::Output(Err(error))) };
    }

    unsafe fn take_output(task: NonNull<Header>, to: NonNull<()>) {
        // SAFETY: the caller owns the output (`output-owner`).
        let stage = unsafe { Self::with_stage(task, |stage| mem::replace(stage, TaskStage::Consumed)) };
        if let TaskStage::Output(output) = stage {
            // SAFETY: the caller passes the address of a `Poll<Result<F::Output, JoinError>>`.
            unsafe {
                *to.cast::<Poll<Result<F::Output, JoinError>>>().as_ptr() = Poll::Ready(output);
            }
        }
    }

    unsafe fn drop_stage(task: NonNull<Header>) {
        // SAFETY: the caller owns the stage.
        unsafe {
            Self::with_stage(task, |stage| match stage {
                TaskStage::Output(Err(error)) if error.is_panic() => report_unjoined(task, error),
                TaskStage::Output(_) | TaskStage::Future(_) | TaskStage::Consumed => {}
            });
        }
        // SAFETY: the caller owns the stage.
        let dropped = unsafe { Self::replace_guarded(task, TaskStage::Consumed) };
        drop_guarded(dropped.err());
    }
}

/// Reports a panic of this task that is dropped without having been read.
///
/// # Safety
/// The task's memory and its slab are alive.
#[cold]
unsafe fn report_unjoined(task: NonNull<Header>, error: &JoinError) {
    // SAFETY: by the safety contract.
    let (mut info, slab) = unsafe { (info(task), TaskSlab::of(task)) };
    // It has ended, although its last poll may not have returned yet.
    (info.is_running, info.is_complete, info.waiting) = (false, true, None);
    // SAFETY: as above; the slot is not free yet.
    let owner = unsafe { slab.owner_if_open() };
    error.with_message(|message| {
        let panic = UnjoinedPanic { task: &info, message };
        match owner {
            Some(owner) => owner.panic_unjoined(&panic),
            None => panic.report(slab.hooks.on_unjoined_panic.as_ref()),
        }
    });
}

/// Drops the future of a cell if its poll unwinds.
struct DropOnUnwind<F: Future, const IS_BLOCKING: bool>(Option<NonNull<Header>>, PhantomData<F>);

impl<F: Future, const IS_BLOCKING: bool> Drop for DropOnUnwind<F, IS_BLOCKING> {
    fn drop(&mut self) {
        let Some(task) = self.0 else { return };
        // SAFETY: made and dropped inside `poll`, whose caller owns the stage.
        let dropped = unsafe { Cell::<F, IS_BLOCKING>::replace_guarded(task, TaskStage::Consumed) };
        drop_guarded(dropped.err());
    }
}

/// A larger future, in bytes, is boxed by the function that receives it. Each call that passes it on would copy it, and an
/// unoptimised build keeps all the copies on the stack at once.
pub(crate) const LARGE_FUTURE: usize = if cfg!(debug_assertions) { 2048 } else { 16 * 1024 };

/// Moves `future` into a slot of `slab` and publishes the task: QUEUED, to be enqueued by the caller.
///
/// # Safety
/// If `F` or its output is not `Send`, the caller ensures that the task is polled, cancelled, joined and dropped on one
/// thread only.
pub(crate) unsafe fn allocate<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    future: F,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    if const { is_boxed::<F, IS_BLOCKING>() } {
        return spans::spawn_boxed(mem::size_of::<F>(), || {
            // SAFETY: by the safety contract.
            unsafe { allocate_as_is::<_, IS_BLOCKING>(slab, Box::pin(future), name, location) }
        });
    }
    // SAFETY: by the safety contract.
    unsafe { allocate_as_is::<F, IS_BLOCKING>(slab, future, name, location) }
}

/// `large-is-boxed`: whether the future makes the cell too large for a slot.
const fn is_boxed<F: Future, const IS_BLOCKING: bool>() -> bool {
    slab::class_of(Layout::new::<Cell<F, IS_BLOCKING>>()) == slab::LARGE
        && slab::class_of(Layout::new::<Cell<Pin<Box<F>>, IS_BLOCKING>>()) != slab::LARGE
}

/// # Safety
/// As for [`allocate`].
unsafe fn allocate_as_is<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    future: F,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    const { assert!(mem::size_of::<Header>() == 64 || crate::primitives::IS_MODEL) };
    let vtable: &'static VTable = const { &Cell::<F, IS_BLOCKING>::VTABLE };
    let (task, id) = slab.allocate(vtable);
    let extra = Extra { spawned_ms: slab.coarse_ms.load(Ordering::Relaxed), has_name: name.is_some() };
    if let Some(name) = name {
        slab.names.lock().insert(id, name);
    }
    let cell = task.cast::<Cell<F, IS_BLOCKING>>().as_ptr();
    // SAFETY: the slot is ours and large enough for the table's layout. Field by field, because a walker may look at
    // the state word meanwhile (`zero-is-free` in `slab`); `next` and `waiting` are atomics that stay initialised.
    unsafe {
        (&raw mut (*cell).header.vtable).write(UnsafeCell::new(vtable));
        (&raw mut (*cell).header.id).write(UnsafeCell::new(id));
        (&raw mut (*cell).header.join_waker).write(UnsafeCell::new(None));
        (&raw mut (*cell).header.location).write(UnsafeCell::new(location));
        (*cell).header.waiting.store(0, Ordering::Relaxed);
        (&raw mut (*cell).extra).write(extra);
        (&raw mut (*cell).stage).write(UnsafeCell::new(TaskStage::Future(future)));
        (*cell).header.state.publish();
    }
    if let Some(on_spawn) = &slab.hooks.on_spawn {
        // SAFETY: we hold the references of the `Runnable` and the handle.
        unsafe { Header::tell(task, on_spawn, None) };
    }
    // SAFETY: `publish` made one reference for each.
    unsafe { (Runnable::from_raw(task), JoinHandle::from_raw(task)) }
}

/// Returns the slot to the slab after the last reference was released.
///
/// # Safety
/// A transition returned that no reference is left, so no other thread touches the task.
pub(super) unsafe fn free(task: NonNull<Header>) {
    // SAFETY: no other thread has a reference to the task any more.
    let header = unsafe { task.as_ref() };
    let vtable = header.vtable();
    // The output was taken or dropped by its owner. At most an output that a panicking reader left behind is still there.
    // SAFETY: we are the only one.
    unsafe { (vtable.drop_stage)(task) };
    // SAFETY: as above.
    let has_waker = header.join_waker.with(|waker| unsafe { (*waker).is_some() });
    debug_assert!(!has_waker, "`join-waker`: the cell is empty when the last reference goes");
    // SAFETY: as above. The slab lives while the slot is out, and until its remains are dropped.
    let remains = unsafe {
        let slab = TaskSlab::of(task);
        if Header::extra(task).has_name {
            slab.names.lock().remove(&header.id());
        }
        header.state.mark_free();
        if slab.free_to_cache(task, vtable.class) {
            return;
        }
        slab.free(task, vtable.class, vtable.layout)
    };
    // `no-suicide` of `slab`: the slab may be freed here, with the runtime.
    drop(remains);
}

// SAFETY: `next` returns the address of the one link of the header, by raw projection.
unsafe impl QueueLink for Header {
    unsafe fn next<'a>(node: NonNull<Self>) -> &'a AtomicPtr<Self> {
        // SAFETY: the queue that holds the node owns a reference to its task.
        unsafe { &(*node.as_ptr()).next }
    }
}

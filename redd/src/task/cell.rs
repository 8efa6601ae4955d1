//! The memory of one task: the header, then the future or its output.
//!
//! Called by the scheduler, the blocking pool and `LocalSet` (`allocate`), and through the table of functions in the header.
//!
//! # Invariants
//! - `stage-owner`: the stage belongs to the holder of the poll lock before COMPLETE, and to the owner of the output
//!   afterwards (`state`'s `poll-lock` and `output-owner`).
//! - `large-is-boxed`: a future that does not fit a slot has an allocation of its own. That is freed when the future
//!   ends, even if wakers and handles keep the task alive for longer.

#![expect(unsafe_code, reason = "a task is raw memory with a table of functions")]

use std::alloc::Layout;
use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::current;
use super::describe::{call_hook, report_unjoined};
use super::header::{End, Extra, Header, Inherits, VTable};
use super::inherited::Inherited;
use super::inheriting::{self, Values};
use super::join::JoinHandle;
use super::join_error::JoinError;
use super::runnable::Runnable;
use super::slab::{self, TaskSlab};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::user_code::drop_guarded;

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

/// A cell of a task that inherits values. The functions of `Cell` find theirs at the beginning.
#[repr(C)]
struct InheritingCell<F: Future, const IS_BLOCKING: bool> {
    cell: Cell<F, IS_BLOCKING>,
    values: Values,
}

impl<F: Future, const IS_BLOCKING: bool> InheritingCell<F, IS_BLOCKING> {
    const VTABLE: VTable = VTable {
        poll: inheriting::poll,
        cancel: inheriting::cancel,
        class: slab::class_of(Layout::new::<Self>()),
        layout: Layout::new::<Self>(),
        inherits: Some(Inherits {
            plain: &Cell::<F, IS_BLOCKING>::VTABLE,
            fail: Cell::<F, IS_BLOCKING>::fail,
            values_at: mem::offset_of!(Self, values),
        }),
        ..Cell::<F, IS_BLOCKING>::VTABLE
    };
}

impl<F: Future, const IS_BLOCKING: bool> Cell<F, IS_BLOCKING> {
    const VTABLE: VTable = VTable {
        poll: Self::poll,
        cancel: Self::cancel,
        take_output: Self::take_output,
        drop_stage: Self::drop_stage,
        free: Self::free,
        is_blocking: IS_BLOCKING,
        class: slab::class_of(Layout::new::<Self>()),
        layout: Layout::new::<Self>(),
        future_bytes: mem::size_of::<F>(),
        inherits: None,
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
        // SAFETY: as above. The future's own drop may panic. Then that panic is the result, unless the poll has one
        // already.
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

    #[cold]
    unsafe fn fail(task: NonNull<Header>, panic: Box<dyn Any + Send>) {
        // SAFETY: a reference is held.
        let error = JoinError::panic(unsafe { task.as_ref() }.id(), panic);
        // SAFETY: the caller holds the poll lock of a cell of this type.
        let second = unsafe { Self::replace_guarded(task, TaskStage::Output(Err(error))) };
        drop_guarded(second.err());
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

    unsafe fn free(task: NonNull<Header>) {
        // The output was taken or dropped by its owner. Only an output that a panicking reader left behind can still be
        // there.
        // SAFETY: no reference is left, so the stage is ours.
        unsafe { Self::drop_stage(task) };
        // SAFETY: as above. No value of the user is left in the cell.
        unsafe { free_slot(task) };
    }
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

/// A larger future, in bytes, is boxed before it is stored or polled. Each call that passes it on would copy it, and an
/// unoptimised build keeps all the copies on the stack at once.
pub(crate) const LARGE_FUTURE: usize = if cfg!(debug_assertions) { 2048 } else { 16 * 1024 };

/// Moves `future` into a slot of `slab` and publishes the task: QUEUED, to be enqueued by the caller. It inherits `values`, if there
/// are any.
///
/// # Safety
/// If `F` or its output is not `Send`, the caller ensures that the task is polled, cancelled, joined and dropped on one
/// thread only.
pub(crate) unsafe fn allocate<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    values: Option<Inherited>,
    future: F,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    if const { is_boxed::<F, IS_BLOCKING>() } {
        let (future, bytes) = (Box::pin(future), Some(mem::size_of::<F>()));
        // SAFETY: by the safety contract.
        unsafe { allocate_with::<_, IS_BLOCKING>(slab, values, future, bytes, name, location) }
    } else {
        // SAFETY: by the safety contract.
        unsafe { allocate_with::<F, IS_BLOCKING>(slab, values, future, None, name, location) }
    }
}

/// # Safety
/// As for [`allocate`].
#[inline]
unsafe fn allocate_with<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    values: Option<Inherited>,
    future: F,
    original_bytes: Option<usize>,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    match values {
        // SAFETY: by the safety contract.
        None => unsafe { allocate_as_is::<F, IS_BLOCKING>(slab, future, original_bytes, name, location) },
        // SAFETY: as above.
        Some(values) => unsafe {
            allocate_inheriting::<F, IS_BLOCKING>(slab, values, future, original_bytes, name, location)
        },
    }
}

/// `large-is-boxed`: whether the future is large, or makes the cell too large for a slot. Nothing else decides which tasks have
/// their future in a box.
pub(crate) const fn is_boxed<F: Future, const IS_BLOCKING: bool>() -> bool {
    let is_too_large_for_slot = slab::class_of(Layout::new::<Cell<F, IS_BLOCKING>>()) == slab::LARGE
        && slab::class_of(Layout::new::<Cell<Pin<Box<F>>, IS_BLOCKING>>()) != slab::LARGE;
    is_too_large_for_slot || mem::size_of::<F>() > LARGE_FUTURE
}

/// As [`allocate`], for a future that is in its box if it has to be, and inherits nothing. `original_bytes`: the size of the future
/// in its box.
///
/// # Safety
/// As for [`allocate`].
// More than one caller in a program would keep it from being inlined.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) unsafe fn allocate_as_is<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    future: F,
    original_bytes: Option<usize>,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    let vtable = const { &Cell::<F, IS_BLOCKING>::VTABLE };
    // SAFETY: by the safety contract; the table is that of the cell.
    unsafe { initialise::<F, IS_BLOCKING>(slab, vtable, |_| {}, future, original_bytes, name, location) }
}

/// As [`allocate_as_is`], with values.
///
/// # Safety
/// As for [`allocate`].
#[cold]
#[inline(never)]
pub(crate) unsafe fn allocate_inheriting<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    values: Inherited,
    future: F,
    original_bytes: Option<usize>,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    let vtable = const { &InheritingCell::<F, IS_BLOCKING>::VTABLE };
    let write_values = |task: NonNull<Header>| {
        let cell = task.cast::<InheritingCell<F, IS_BLOCKING>>().as_ptr();
        // SAFETY: the slot is ours, and has room for what the table is made for.
        unsafe { (&raw mut (*cell).values).write(Values::new(Some(values))) };
    };
    // SAFETY: by the safety contract; the table is that of the cell.
    unsafe { initialise::<F, IS_BLOCKING>(slab, vtable, write_values, future, original_bytes, name, location) }
}

/// Makes the task. `write_values` writes what the cell has beside the future.
///
/// # Safety
/// As for [`allocate`]. The table is that of `Cell<F>`, or of a type that begins with it.
// `write_values` is a closure because an `Option` of values would be stored and looked at by spawns without values, too.
#[cfg_attr(not(debug_assertions), inline(always))]
unsafe fn initialise<F: Future, const IS_BLOCKING: bool>(
    slab: &TaskSlab,
    vtable: &'static VTable,
    write_values: impl FnOnce(NonNull<Header>),
    future: F,
    original_bytes: Option<usize>,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>) {
    let (task, id) = slab.allocate(vtable);
    let mut extra = Extra::new(current::id_or_zero());
    if let Some(name) = name {
        extra.set_has_name();
        slab.names.lock().insert(id, name);
    }
    let cell = task.cast::<Cell<F, IS_BLOCKING>>().as_ptr();
    // SAFETY: the slot is ours, free, and large enough for the table's layout.
    unsafe {
        Header::initialise_task(task, vtable, id, location);
        (&raw mut (*cell).extra).write(extra);
        (&raw mut (*cell).stage).write(UnsafeCell::new(TaskStage::Future(future)));
        write_values(task);
        (*cell).header.state.publish();
    }
    if let Some(on_spawn) = &slab.hooks.on_spawn {
        // SAFETY: we hold the references of the `Runnable` and the handle.
        unsafe { call_hook(task, on_spawn, None, original_bytes) };
    }
    // SAFETY: `publish` made one reference for each.
    unsafe { (Runnable::from_raw(task), JoinHandle::from_raw(task)) }
}

/// Returns the slot to the slab after the last reference was released.
///
/// # Safety
/// A transition returned that no reference is left, so no other thread touches the task. Its stage is dropped.
// One copy for all types of futures.
#[inline(never)]
unsafe fn free_slot(task: NonNull<Header>) {
    // SAFETY: no other thread has a reference to the task any more.
    let header = unsafe { task.as_ref() };
    let vtable = header.vtable();
    // SAFETY: as above.
    let has_waker = header.join_waker.with(|waker| unsafe { (*waker).is_some() });
    debug_assert!(!has_waker, "`join-waker`: the cell is empty when the last reference goes");
    // SAFETY: as above. The slab lives while the slot is out, and until its remains are dropped.
    let remains = unsafe {
        let slab = TaskSlab::of(task);
        if Header::extra(task).has_name() {
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

//! The list of those who wait: the only one in redd.
//!
//! Called by every primitive of `sync`. A waiter lives inside the future that waits; the list links it in, so waiting
//! allocates nothing and a dropped future leaves in constant time, from wherever it stands.
//!
//! A waiter is *called* when its turn has come: it leaves the list, is told by which [`Notification`], and its task is woken.
//!
//! ```text
//!            push_back                 notify_one, notify_all
//!   Idle ───────────────▶ Linked ──────────────────────────────────────▶ Called
//!     ▲                     │ remove                                        │ acknowledge
//!     └─────────────────────┴───────────────────────────────────────────────┘
//! ```
//! (`notify_self` goes from Idle to Called directly.)
//!
//! # Invariants
//! - `under-lock`: a linked waiter's entry is read and written only by who holds its list's lock.
//! - `notified-is-last`: the store of `Notified` is the last thing that a caller does to a waiter: from there on the entry
//!   is its owner's, who may free it without taking the lock.
//! - `same-list`: a linked waiter stays where it is in memory, its list outlives the link, and it leaves through the
//!   list that it was pushed to.
//! - `user-code-outside`: wakers are cloned, woken and dropped only while the lock is not held.
//! - `all-means-all-linked-before`: `notify_all` calls exactly the waiters that were linked when it was called.
//!
//! # Why not otherwise
//! A wake-all that keeps the lock while it wakes would run wakers under it; one that pops until the list is empty would
//! also call those who came during the walk. Here the whole list changes sides in one step, under a new epoch: a waiter
//! of an older epoch counts as called from that moment on, and is told so batch by batch.

#![expect(unsafe_code, reason = "the waiters live in the futures that wait")]

use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Waker};

use crate::collections::linked_list::{Linked, LinkedList, Links};
use crate::collections::wake_list::{WakeList, wake_guarded};
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::atomic::{AtomicU8, Ordering};
use crate::primitives::cell::UnsafeCell;
use crate::primitives::{ShortMutex, ShortMutexGuard, const_fn, has_mistake};

/// The place in the program that asked for something.
pub(crate) type CallSite = Option<&'static Location<'static>>;

/// How a waiter was called. A call to one that is dropped unheard must go to another; a call to all need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Notification {
    /// As the first in the list.
    First = 2,
    /// As the last in the list.
    Last,
    /// Together with everybody else.
    All,
}

/// Where a waiter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitStage {
    /// In no list.
    Idle,
    /// In the list.
    Linked,
    /// Out of the list again, because of this call.
    Notified(Notification),
}

const IDLE: u8 = 0;
const LINKED: u8 = 1;
const NOTIFIED_FIRST: u8 = Notification::First as u8;
const NOTIFIED_LAST: u8 = Notification::Last as u8;

/// One who waits, inside the future that does.
pub(crate) struct Waiter {
    /// A [`WaitStage`]. Becomes `LINKED` and `IDLE` by the owner, `CALLED_*` by a caller under the lock.
    stage: AtomicU8,
    /// What the owner waits on, for dumps.
    kind: WaitKind,
    /// Where the program asked for it, for dumps.
    location: CallSite,
    /// `under-lock` while linked, the owner's otherwise.
    entry: UnsafeCell<WaitEntry>,
}

struct WaitEntry {
    links: Links<Waiter>,
    /// `None` if nobody polled yet (`Notified::enable`).
    waker: Option<Waker>,
    /// The list's epoch when the waiter was linked: an older one than the list's means that `notify_all` came since.
    epoch: usize,
    /// For permits: how many are still missing.
    need: usize,
}

// SAFETY: the entry is used by one thread at a time: `under-lock` while linked, by the owner otherwise; a `Waker` may
// be used from any thread.
unsafe impl Send for Waiter {}
// SAFETY: as above; through a shared reference everything else is atomic or constant.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// A waiter in no list.
    #[inline]
    pub(crate) fn new(kind: WaitKind, location: CallSite) -> Self {
        Self {
            stage: AtomicU8::new(IDLE),
            kind,
            location,
            entry: UnsafeCell::new(WaitEntry { links: Links::new(), waker: None, epoch: 0, need: 0 }),
        }
    }

    /// Where this waiter stands, without the lock. `Linked` may be out of date when it returns: ask
    /// [`Guard::stage`] then.
    #[inline]
    pub(crate) fn stage(&self) -> WaitStage {
        // Acquire: what the caller did before the call is visible, and the entry is ours (`notified-is-last`).
        // Pairs with Release in `Waiter::mark_notified`.
        match self.stage.load(Ordering::Acquire) {
            IDLE => WaitStage::Idle,
            LINKED => WaitStage::Linked,
            NOTIFIED_FIRST => WaitStage::Notified(Notification::First),
            NOTIFIED_LAST => WaitStage::Notified(Notification::Last),
            _ => WaitStage::Notified(Notification::All),
        }
    }

    /// The owner has heard the call: the waiter is in no list again. Nothing happens to one that was not called.
    #[inline]
    pub(crate) fn acknowledge(&self) {
        if let WaitStage::Notified(_) = self.stage() {
            self.stage.store(IDLE, Ordering::Relaxed);
        }
    }

    /// The owner has got at once what it would have waited for, and will hear it as a call. The waiter is in no list.
    pub(crate) fn notify_self(&self) {
        debug_assert_eq!(self.stage(), WaitStage::Idle, "only the owner touches an idle waiter");
        self.stage.store(NOTIFIED_FIRST, Ordering::Relaxed);
    }

    /// How many permits are still missing; asked by the owner of a waiter that is not linked.
    pub(crate) fn need(&self) -> usize {
        assert_ne!(self.stage(), WaitStage::Linked, "`under-lock`: ask the guard");
        // SAFETY: not linked (Acquire in `stage`), so the entry is the owner's, who calls us.
        self.entry.with(|entry| unsafe { (*entry).need })
    }

    /// Tells the task's record what it is about to wait on; called just before the owner answers `Pending`.
    #[inline]
    pub(crate) fn record(&self) {
        waiting::note(self.kind, self.location);
    }

    /// Takes the waker and says that the waiter is called.
    ///
    /// # Safety
    /// The caller holds the lock of the list that `waiter` has just left, and uses `waiter` no more (`notified-is-last`).
    unsafe fn mark_notified(waiter: NonNull<Self>, call: Notification) -> Option<Waker> {
        // SAFETY: `same-list`: it was linked until now, so it is alive, and its owner frees it only after the store.
        let waiter = unsafe { waiter.as_ref() };
        // SAFETY: `under-lock`: the stage is still `LINKED`, and we hold the lock.
        let waker = waiter.entry.with_mut(|entry| unsafe { (*entry).waker.take() });
        // Release: publishes what happened before the call, and hands the entry to the owner. Pairs with Acquire in
        // `Waiter::stage`.
        let order =
            if has_mistake("a notification that publishes nothing") { Ordering::Relaxed } else { Ordering::Release };
        waiter.stage.store(call as u8, order);
        waker
    }
}

debug_struct!([] Waiter as "Waiter", self => { stage: self.stage(), kind: self.kind, location: self.location });

// SAFETY: always the links of the entry, reached by raw projection; only the cell is referred to, which may be shared.
unsafe impl Linked for Waiter {
    unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>> {
        // SAFETY: alive by this function's duty; `under-lock`: the list's owner holds the lock.
        unsafe { (*element.as_ptr()).entry.with_mut(|entry| NonNull::new_unchecked(&raw mut (*entry).links)) }
    }
}

/// The waiters, in the order they came, and what else `D` the same lock guards.
pub(crate) struct WaitList<D = ()> {
    locked: ShortMutex<Locked<D>>,
}

struct Locked<D> {
    /// Who waits, first come first. All of the current epoch.
    waiting: LinkedList<Waiter>,
    /// Who was called by a `notify_all` that has not told them yet. All of older epochs.
    leaving: LinkedList<Waiter>,
    epoch: usize,
    data: D,
}

impl<D> WaitList<D> {
    const_fn! {
        /// An empty list.
        pub(crate) const fn new(data: D) -> Self {
            Self {
                locked: ShortMutex::new(Locked {
                    waiting: LinkedList::new(),
                    leaving: LinkedList::new(),
                    epoch: 0,
                    data,
                }),
            }
        }
    }

    /// Takes the lock. No foreign code may run until the guard is gone (`user-code-outside`).
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, D> {
        Guard { list: self, locked: self.locked.lock() }
    }

    /// For a waiter that was polled again: makes `cx` the one to be woken. Returns where the waiter stands now; only a
    /// linked waiter's waker is renewed.
    pub(crate) fn update_waker(&self, waiter: Pin<&Waiter>, cx: &Context<'_>) -> WaitStage {
        {
            let mut guard = self.lock();
            let stage = guard.stage(waiter);
            if stage != WaitStage::Linked || guard.waker(waiter).as_ref().is_some_and(|old| old.will_wake(cx.waker())) {
                return stage;
            }
        }
        // `user-code-outside`: the new waker is cloned and the old one dropped without the lock.
        let waker = cx.waker().clone();
        let mut guard = self.lock();
        let stage = guard.stage(waiter);
        let unused = match stage {
            WaitStage::Linked => guard.waker(waiter).replace(waker),
            WaitStage::Idle | WaitStage::Notified(_) => Some(waker),
        };
        drop(guard);
        drop(unused);
        stage
    }

    /// Takes the waiter out of the list, if it is in it, unheard.
    pub(crate) fn unlink(&self, waiter: Pin<&Waiter>) {
        let mut guard = self.lock();
        let (_, unused) = guard.remove(waiter);
        drop(guard);
        drop(unused);
    }
}

debug_struct!([D] WaitList<D> as "WaitList", self => { .. });

/// The lock of a [`WaitList`] is held while this lives.
pub(crate) struct Guard<'a, D = ()> {
    list: &'a WaitList<D>,
    locked: ShortMutexGuard<'a, Locked<D>>,
}

impl<D> Deref for Guard<'_, D> {
    type Target = D;

    fn deref(&self) -> &D {
        &self.locked.data
    }
}

impl<D> DerefMut for Guard<'_, D> {
    fn deref_mut(&mut self) -> &mut D {
        &mut self.locked.data
    }
}

impl<D> Guard<'_, D> {
    /// Whether nobody waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.locked.waiting.is_empty()
    }

    /// Links `waiter`, which is in no list, behind the others. `need` is for permits, 0 elsewhere.
    ///
    /// # Safety
    /// `same-list`: until the waiter is called or removed, this list lives, and the waiter is neither moved nor freed.
    /// A pinned waiter whose owner borrows (or holds a reference count of) the list and calls
    /// [`remove`](Self::remove) in its drop fulfils this.
    pub(crate) unsafe fn push_back(&mut self, waiter: Pin<&Waiter>, waker: Option<Waker>, need: usize) {
        debug_assert_eq!(waiter.stage(), WaitStage::Idle, "a waiter is in one list at most");
        let epoch = self.locked.epoch;
        let unused = waiter.entry.with_mut(|entry| {
            // SAFETY: an idle waiter's entry is its owner's, who calls us.
            let entry = unsafe { &mut *entry };
            entry.epoch = epoch;
            entry.need = need;
            std::mem::replace(&mut entry.waker, waker)
        });
        debug_assert!(unused.is_none(), "a waker leaves with the call or with `remove`");
        // Relaxed: the lock orders it for callers, and for the owner it is its own store.
        waiter.stage.store(LINKED, Ordering::Relaxed);
        // SAFETY: by this function's duty.
        unsafe { self.locked.waiting.push_back(NonNull::from(waiter.get_ref())) };
    }

    /// Where `waiter`, a waiter of this list, stands. Exact: one that a `notify_all` will reach counts as called.
    pub(crate) fn stage(&self, waiter: Pin<&Waiter>) -> WaitStage {
        match waiter.stage() {
            // `all-means-all-linked-before`: the epoch has moved on since it was linked.
            WaitStage::Linked if self.is_leaving(waiter) => WaitStage::Notified(Notification::All),
            stage @ (WaitStage::Idle | WaitStage::Linked | WaitStage::Notified(_)) => stage,
        }
    }

    fn is_leaving(&self, waiter: Pin<&Waiter>) -> bool {
        // SAFETY: `under-lock`.
        let epoch = waiter.entry.with(|entry| unsafe { (*entry).epoch });
        epoch != self.locked.epoch
    }

    /// How many permits the first in the list still misses, to be lowered; `None` if nobody waits.
    pub(crate) fn front_need(&mut self) -> Option<&mut usize> {
        let front = self.locked.waiting.front()?;
        // SAFETY: `under-lock`, alive by `same-list`; the result borrows the guard.
        unsafe { front.as_ref().entry.with_mut(|entry| Some(&mut (*entry).need)) }
    }

    /// The waker of a linked waiter of this list. What it is replaced by or with is dropped without the lock.
    fn waker(&mut self, waiter: Pin<&Waiter>) -> &mut Option<Waker> {
        // SAFETY: `under-lock`; the result borrows the guard.
        waiter.entry.with_mut(|entry| unsafe { &mut (*entry).waker })
    }

    /// Takes the first waiter out, or the last, and says that it is called. `None`: nobody waits. The waker, if it has
    /// one, is to be woken without the lock.
    pub(crate) fn notify_one(&mut self, call: Notification) -> Option<Option<Waker>> {
        let waiter = match call {
            Notification::First | Notification::All => self.locked.waiting.pop_front(),
            Notification::Last => self.locked.waiting.pop_back(),
        };
        // SAFETY: it has just left this list, and we are done with it.
        waiter.map(|waiter| unsafe { Waiter::mark_notified(waiter, call) })
    }

    /// Takes `waiter` out, if it is in: its owner waits no more. The result says where it stood until now; the waker
    /// is to be dropped without the lock. Afterwards the waiter is idle or called.
    #[must_use = "the waker must be dropped after the lock is let go"]
    pub(crate) fn remove(&mut self, waiter: Pin<&Waiter>) -> (WaitStage, Option<Waker>) {
        if waiter.stage() != WaitStage::Linked {
            return (waiter.stage(), None);
        }
        let element = NonNull::from(waiter.get_ref());
        let stage = if self.is_leaving(waiter) {
            // SAFETY: `same-list`, and it is linked: those of older epochs are in `leaving`.
            unsafe { self.locked.leaving.remove(element) };
            WaitStage::Notified(Notification::All)
        } else {
            // SAFETY: `same-list`, and it is linked: those of this epoch are in `waiting`.
            unsafe { self.locked.waiting.remove(element) };
            WaitStage::Linked
        };
        let waker = self.waker(waiter).take();
        waiter.stage.store(IDLE, Ordering::Relaxed);
        (stage, waker)
    }

    /// Calls all who wait now, lets the lock go, and wakes them in batches.
    pub(crate) fn notify_all(mut self) {
        let Some(first) = self.locked.waiting.pop_front() else {
            return;
        };
        // SAFETY: it has just left this list, and we are done with it.
        let first = unsafe { Waiter::mark_notified(first, Notification::All) };
        if self.is_empty() {
            // The usual case, without the batch, which is half a kilobyte to set up.
            drop(self);
            wake_guarded(first);
            return;
        }
        // `all-means-all-linked-before`: who comes from here on is of the new epoch and in a new list.
        self.locked.epoch = self.locked.epoch.wrapping_add(1);
        let called = self.locked.waiting.take();
        self.locked.leaving.append(called);

        let list = self.list;
        let mut wakes = WakeList::new();
        wakes.push(first);
        loop {
            let is_done = loop {
                if !wakes.has_room() {
                    break false;
                }
                let Some(waiter) = self.locked.leaving.pop_front() else {
                    break true;
                };
                // SAFETY: it has just left this list, and we are done with it.
                wakes.push(unsafe { Waiter::mark_notified(waiter, Notification::All) });
            };
            drop(self);
            // `user-code-outside`
            wakes.wake_all();
            if is_done {
                return;
            }
            self = list.lock();
        }
    }
}

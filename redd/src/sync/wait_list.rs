//! The wait list: the waiters of every primitive of `sync`.
//!
//! Called by `permits`, `notify`, `wait_until` and the types that use the latter. A waiter is a node inside the future
//! that waits. So waiting allocates nothing, and a dropped future leaves the list in constant time.
//!
//! To *notify* a waiter is to remove it from the list, store the [`Notification`] in it, and wake its task.
//!
//! ```text
//!            push_back                notify_one, notify_all
//!   Idle ───────────────▶ Linked ────────────────────────────────────▶ Notified
//!     ▲                     │ remove                                        │ acknowledge
//!     └─────────────────────┴───────────────────────────────────────────────┘
//! ```
//! (`notify_self` goes from Idle to Notified directly.)
//!
//! # Invariants
//! - `under-lock`: a linked waiter's entry is read and written only by a thread that holds its list's lock.
//! - `notified-is-last`: the store of `Notified` is the notifier's last access to a waiter. From then on the entry
//!   belongs to the waiter's owner, which may free it without taking the lock.
//! - `same-list`: a linked waiter stays where it is in memory, its list outlives the link, and it leaves through the
//!   list that it was pushed to.
//! - `user-code-outside`: wakers are cloned, woken and dropped only while the lock is not held.
//! - `all-means-all-linked-before`: `notify_all` notifies exactly the waiters that were linked when it was called.
//!
//! # Why not otherwise
//! A `notify_all` that keeps the lock while it wakes would run wakers under it. One that pops until the list is empty
//! would also notify waiters that came during the walk. Here the whole list changes sides in one step, under a new
//! epoch. A waiter of an older epoch counts as notified from that moment on; the store in it follows batch by batch.

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
use crate::primitives::{ShortMutex, ShortMutexGuard, const_fn};

/// Where the user code called the method that waits.
pub(crate) type CallSite = Option<&'static Location<'static>>;

/// How a waiter was notified.
///
/// If a waiter is dropped before it acknowledges `First` or `Last`, the notification must go to another waiter. `All`
/// need not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Notification {
    /// As the first in the list.
    First = 2,
    /// As the last in the list.
    Last,
    /// Together with all others.
    All,
}

/// The stage of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitStage {
    /// In no list.
    Idle,
    /// In the list.
    Linked,
    /// Removed from the list by this notification.
    Notified(Notification),
}

const IDLE: u8 = 0;
const LINKED: u8 = 1;
const NOTIFIED_FIRST: u8 = Notification::First as u8;
const NOTIFIED_LAST: u8 = Notification::Last as u8;

/// A waiter: a node inside the future that waits.
pub(crate) struct Waiter {
    /// A [`WaitStage`]. The owner stores `LINKED` and `IDLE`; a notifier stores a notification, under the lock.
    stage: AtomicU8,
    /// What the owner waits on, for dumps.
    kind: WaitKind,
    /// Where user code called the method that waits, for dumps.
    location: CallSite,
    /// `under-lock` while linked. Otherwise the owner's.
    entry: UnsafeCell<WaitEntry>,
}

struct WaitEntry {
    links: Links<Waiter>,
    /// `None` before the first poll (`Notified::enable`).
    waker: Option<Waker>,
    /// The list's epoch when the waiter was linked. If the list's epoch is newer, `notify_all` was called since.
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
    /// Makes a waiter that is in no list.
    #[inline]
    pub(crate) fn new(kind: WaitKind, location: CallSite) -> Self {
        Self {
            stage: AtomicU8::new(IDLE),
            kind,
            location,
            entry: UnsafeCell::new(WaitEntry { links: Links::new(), waker: None, epoch: 0, need: 0 }),
        }
    }

    /// Returns the stage, without the lock. `Linked` may be out of date: [`Guard::stage`] is exact.
    #[inline]
    pub(crate) fn stage(&self) -> WaitStage {
        // Acquire: what the notifier did before is visible, and the entry is the owner's (`notified-is-last`). Pairs
        // with Release in `Waiter::mark_notified`.
        match self.stage.load(Ordering::Acquire) {
            IDLE => WaitStage::Idle,
            LINKED => WaitStage::Linked,
            NOTIFIED_FIRST => WaitStage::Notified(Notification::First),
            NOTIFIED_LAST => WaitStage::Notified(Notification::Last),
            _ => WaitStage::Notified(Notification::All),
        }
    }

    /// Makes a notified waiter idle again: its owner has received the notification. Otherwise does nothing.
    #[inline]
    pub(crate) fn acknowledge(&self) {
        if let WaitStage::Notified(_) = self.stage() {
            self.stage.store(IDLE, Ordering::Relaxed);
        }
    }

    /// Notifies an idle waiter: its owner got at once what it would have waited for, and returns it at its next poll.
    pub(crate) fn notify_self(&self) {
        debug_assert_eq!(self.stage(), WaitStage::Idle, "only the owner touches an idle waiter");
        self.stage.store(NOTIFIED_FIRST, Ordering::Relaxed);
    }

    /// Returns how many permits are still missing. Called by the owner of a waiter that is not linked.
    pub(crate) fn need(&self) -> usize {
        assert_ne!(self.stage(), WaitStage::Linked, "`under-lock`: ask the guard");
        // SAFETY: not linked (Acquire in `stage`), so the entry belongs to the owner, which is the caller.
        self.entry.with(|entry| unsafe { (*entry).need })
    }

    /// Records what the task is about to wait on. Called just before the owner returns `Pending`.
    #[inline]
    pub(crate) fn record(&self) {
        waiting::record(self.kind, self.location);
    }

    /// Takes the waker and stores the notification.
    ///
    /// # Safety
    /// The caller holds the lock of the list that `waiter` has just left, and does not use `waiter` afterwards
    /// (`notified-is-last`).
    unsafe fn mark_notified(waiter: NonNull<Self>, notification: Notification) -> Option<Waker> {
        // SAFETY: `same-list`: it was linked until now, so it is alive, and its owner frees it only after the store.
        let waiter = unsafe { waiter.as_ref() };
        // SAFETY: `under-lock`: the stage is still `LINKED`, and the caller holds the lock.
        let waker = waiter.entry.with_mut(|entry| unsafe { (*entry).waker.take() });
        // Release: publishes what happened before, and hands the entry to the owner. Pairs with Acquire in
        // `Waiter::stage`.
        waiter.stage.store(notification as u8, Ordering::Release);
        waker
    }
}

debug_struct!([] Waiter as "Waiter", self => { stage: self.stage(), kind: self.kind, location: self.location });

// SAFETY: always the links of the entry, reached by raw projection. A reference is made only to the cell, which may be
// shared.
unsafe impl Linked for Waiter {
    unsafe fn links(element: NonNull<Self>) -> NonNull<Links<Self>> {
        // SAFETY: alive, by the safety contract; `under-lock`: the caller holds the list's lock.
        unsafe { (*element.as_ptr()).entry.with_mut(|entry| NonNull::new_unchecked(&raw mut (*entry).links)) }
    }
}

/// The waiters in the order in which they came, and the data `D` that the same lock protects.
pub(crate) struct WaitList<D = ()> {
    locked: ShortMutex<Locked<D>>,
}

struct Locked<D> {
    /// The waiters in order, all of the current epoch.
    waiting: LinkedList<Waiter>,
    /// The waiters that a `notify_all` has yet to reach, all of older epochs.
    leaving: LinkedList<Waiter>,
    epoch: usize,
    data: D,
}

impl<D> WaitList<D> {
    const_fn! {
        /// Makes an empty list.
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

    /// Takes the lock. No user code may run until the guard is dropped (`user-code-outside`).
    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_, D> {
        Guard { list: self, locked: self.locked.lock() }
    }

    /// Stores the waker of `cx` in a waiter that was polled again, if it is still linked. Returns the waiter's stage.
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

    /// Removes the waiter from the list, if it is linked.
    pub(crate) fn unlink(&self, waiter: Pin<&Waiter>) {
        let mut guard = self.lock();
        let (_, unused) = guard.remove(waiter);
        drop(guard);
        drop(unused);
    }
}

debug_struct!([D] WaitList<D> as "WaitList", self => { .. });

/// Holds the lock of a [`WaitList`].
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
    /// Returns whether no task waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.locked.waiting.is_empty()
    }

    /// Links `waiter`, which is in no list, at the back. `need` is for permits, and 0 elsewhere.
    ///
    /// # Safety
    /// `same-list`: until the waiter is notified or removed, this list lives, and the waiter is neither moved nor freed.
    /// A pinned waiter fulfils this if its owner borrows the list (or owns a reference to it) and calls
    /// [`remove`](Self::remove) in its drop.
    pub(crate) unsafe fn push_back(&mut self, waiter: Pin<&Waiter>, waker: Option<Waker>, need: usize) {
        debug_assert_eq!(waiter.stage(), WaitStage::Idle, "a waiter is in one list at most");
        let epoch = self.locked.epoch;
        let unused = waiter.entry.with_mut(|entry| {
            // SAFETY: an idle waiter's entry belongs to its owner, which is the caller.
            let entry = unsafe { &mut *entry };
            entry.epoch = epoch;
            entry.need = need;
            std::mem::replace(&mut entry.waker, waker)
        });
        debug_assert!(unused.is_none(), "a waker is taken by the notification or by `remove`");
        // Relaxed: the lock orders it for notifiers, and for the owner it is its own store.
        waiter.stage.store(LINKED, Ordering::Relaxed);
        // SAFETY: by the safety contract.
        unsafe { self.locked.waiting.push_back(NonNull::from(waiter.get_ref())) };
    }

    /// Returns the exact stage of a waiter of this list. A waiter that a `notify_all` has yet to reach counts as
    /// notified.
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

    /// Returns how many permits the first waiter still needs, to be lowered. `None` if no task waits.
    pub(crate) fn front_need(&mut self) -> Option<&mut usize> {
        let front = self.locked.waiting.front()?;
        // SAFETY: `under-lock`, alive by `same-list`; the result borrows the guard.
        unsafe { front.as_ref().entry.with_mut(|entry| Some(&mut (*entry).need)) }
    }

    /// Returns the waker of a linked waiter of this list. The caller drops a replaced waker without the lock.
    fn waker(&mut self, waiter: Pin<&Waiter>) -> &mut Option<Waker> {
        // SAFETY: `under-lock`; the result borrows the guard.
        waiter.entry.with_mut(|entry| unsafe { &mut (*entry).waker })
    }

    /// Notifies the first waiter, or the last. Returns `None` if no task waits.
    ///
    /// The caller wakes the waker, if there is one, without the lock.
    pub(crate) fn notify_one(&mut self, notification: Notification) -> Option<Option<Waker>> {
        let waiter = match notification {
            Notification::First | Notification::All => self.locked.waiting.pop_front(),
            Notification::Last => self.locked.waiting.pop_back(),
        };
        // SAFETY: it has just left this list, and is not used afterwards.
        waiter.map(|waiter| unsafe { Waiter::mark_notified(waiter, notification) })
    }

    /// Removes `waiter` from the list, if it is linked. Returns its stage before, and its waker.
    ///
    /// The caller drops the waker without the lock. Afterwards the waiter is idle or notified.
    #[must_use = "the waker must be dropped after the lock is released"]
    pub(crate) fn remove(&mut self, waiter: Pin<&Waiter>) -> (WaitStage, Option<Waker>) {
        if waiter.stage() != WaitStage::Linked {
            return (waiter.stage(), None);
        }
        let element = NonNull::from(waiter.get_ref());
        let stage = if self.is_leaving(waiter) {
            // SAFETY: `same-list`, and it is linked: waiters of older epochs are in `leaving`.
            unsafe { self.locked.leaving.remove(element) };
            WaitStage::Notified(Notification::All)
        } else {
            // SAFETY: `same-list`, and it is linked: waiters of this epoch are in `waiting`.
            unsafe { self.locked.waiting.remove(element) };
            WaitStage::Linked
        };
        let waker = self.waker(waiter).take();
        waiter.stage.store(IDLE, Ordering::Relaxed);
        (stage, waker)
    }

    /// Notifies all present waiters, releases the lock, and wakes them in batches.
    pub(crate) fn notify_all(mut self) {
        let Some(first) = self.locked.waiting.pop_front() else {
            return;
        };
        // SAFETY: it has just left this list, and is not used afterwards.
        let first = unsafe { Waiter::mark_notified(first, Notification::All) };
        if self.is_empty() {
            // The usual case. It avoids the batch, which is half a kilobyte to initialize.
            drop(self);
            wake_guarded(first);
            return;
        }
        // `all-means-all-linked-before`: later waiters are of the new epoch and in a new list.
        self.locked.epoch = self.locked.epoch.wrapping_add(1);
        let notified = self.locked.waiting.take();
        self.locked.leaving.append(notified);

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
                // SAFETY: it has just left this list, and is not used afterwards.
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

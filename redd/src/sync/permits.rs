//! A number of permits, handed out first come, first served: the basis of semaphores, locks and bounded channels.
//!
//! Called by `semaphore`, `mutex`, `rwlock`, `once_cell` and the bounded channel.
//!
//! One word holds the number of free permits and two bits. While no task waits, taking is one compare-exchange and
//! releasing is one addition. The lock of the list is taken only when a task waits.
//!
//! # Invariants
//! - `waiters-bit`: under the lock, `WAITERS` is set exactly if the list is not empty.
//! - `no-overtaking`: while `WAITERS` is set, only the holder of the lock takes permits out of the word, and it takes
//!   them for the first waiter. A new waiter enqueues even if some are free.
//! - `closed-is-final`: once `CLOSED` is set, no waiter is linked. It is set while `WAITERS` is clear, or under the lock.
//!   A waiter sets `WAITERS` under the lock, and only while `CLOSED` is clear.
//! - `none-while-it-yields`: a task that has used up its budget takes no free permits before it yields. It asks again in its
//!   next poll. So it does not keep the other tasks waiting until its next turn.
//! - `none-lost`: a permit is in the word, collected by a waiter (its count minus `need`), or held by its owner.
//!
//! # Why not otherwise
//! Giving a free permit to the task that runs first is faster under contention. But it starves waiters for many
//! permits, and programs rely on the order.
//!
//! If a task without budget took the permits, as in Tokio, the next task would find none and wait. From then on each release
//! is a grant, and each acquire a wait: tasks that share a lock in a loop would never get out of that (decision 0026).

#![expect(unsafe_code, reason = "links the waiter that the future pins")]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use super::last_taken::LastTaken;
use super::wait_list::{CallSite, Guard, Notification, PermitsState, WaitList, WaitStage, Waiter};
use crate::collections::wake_list::{WakeList, wake_guarded};
use crate::observe::looks;
use crate::observe::recorder::{self, EventKind, pair};
use crate::observe::resources::Resource;
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::const_fn;
use crate::primitives::count::PlainCount;
use crate::task::{coop, current};

/// The permits are closed: every acquire fails.
const CLOSED: usize = 0b01;
/// The list is not empty.
const WAITERS: usize = 0b10;
/// One permit.
const ONE: usize = 0b100;

/// Why a permit could not be taken at once.
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// Too few permits are free, or other tasks wait for them.
    NoPermits,
}

error_texts! {
    [] TryAcquireError,
    Self::Closed => "semaphore closed",
    Self::NoPermits => "no permits available",
}

/// See the module page.
pub(crate) struct Permits {
    /// The free permits times [`ONE`], plus the two bits.
    word: AtomicUsize,
    waiters: WaitList,
    /// For dumps.
    last_taken: LastTaken,
    /// How many permits there are, free or not. 0 if that changes, or does not fit.
    total: u32,
    /// The lock or semaphore that these permits are a part of.
    pub(super) resource: Resource,
}

impl Permits {
    /// The most permits there may be. One bit of the word stays free, so that the sum of two such numbers does not
    /// overflow.
    pub(crate) const MAX: usize = usize::MAX >> 3;

    const_fn! {
        /// Makes permits of which the number may change.
        #[track_caller]
        pub(crate) const fn new(permits: usize) -> Self {
            assert!(
                permits <= Self::MAX,
                "a semaphore was created with more permits than it can count; use at most `Semaphore::MAX_PERMITS`"
            );
            Self {
                word: AtomicUsize::new(permits * ONE),
                waiters: WaitList::new(()),
                last_taken: LastTaken::none(),
                total: 0,
                resource: Resource::NONE,
            }
        }

        /// Makes permits of which there are always as many: each that is taken is released.
        #[track_caller]
        pub(crate) const fn fixed(permits: usize) -> Self {
            let mut this = Self::new(permits);
            this.total = if permits > u32::MAX as usize { 0 } else { permits as u32 };
            this
        }
    }

    /// Makes the permits a part of `resource`.
    #[inline]
    pub(super) fn with_resource(self, resource: Resource) -> Self {
        Self { resource, ..self }
    }

    /// Records for tokio-console how many permits are free.
    #[inline(always)]
    pub(super) fn record_available(&self) {
        self.resource.record_available(|| self.available());
    }

    /// Records for tokio-console that a guard held `before` permits and now holds `after`.
    #[inline(always)]
    pub(super) fn record_held(&self, before: usize, after: usize) {
        self.resource.record_held(before, after, || self.available());
    }

    /// Returns how many permits are free.
    pub(crate) fn available(&self) -> usize {
        // Acquire: a thread that sees a permit free sees what its last owner did. Pairs with Release in
        // `Permits::release`.
        self.word.load(Ordering::Acquire) / ONE
    }

    /// Returns whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: what happened before the closing is visible. Pairs with Release in `Permits::close`.
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether a task waits for permits. For people: it is out of date at once.
    pub(crate) fn has_waiters(&self) -> bool {
        self.word.load(Ordering::Relaxed) & WAITERS != 0
    }

    /// Takes `count` permits if that many are free and no task waits for them.
    #[inline]
    pub(crate) fn try_acquire(&self, count: usize) -> Result<(), TryAcquireError> {
        // Acquire: pairs with Release in `Permits::close`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & (CLOSED | WAITERS) != 0 || word / ONE < count {
                return Self::refuse(word, count);
            }
            // Acquire: what the last owners did is visible. Pairs with Release in `Permits::release`.
            match self.word.compare_exchange_weak(word, word - count * ONE, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(current) => word = current,
            }
        }
    }

    /// Whether `count` permits are free and no task waits for them.
    #[cold]
    fn has(&self, count: usize) -> bool {
        // Relaxed: a hint. A permit that is taken or released meanwhile costs one poll more, or is held for one poll longer.
        let word = self.word.load(Ordering::Relaxed);
        word & (CLOSED | WAITERS) == 0 && word / ONE >= count
    }

    /// The result of [`try_acquire`](Self::try_acquire) if it has seen a `word` from which it takes nothing.
    #[cold]
    fn refuse(word: usize, count: usize) -> Result<(), TryAcquireError> {
        if word & CLOSED != 0 {
            Err(TryAcquireError::Closed)
        } else if count == 0 {
            Ok(())
        } else {
            // `no-overtaking`
            Err(TryAcquireError::NoPermits)
        }
    }

    /// Takes all permits, of which there are `count`, if they are free and no task waits. As [`try_acquire`], in fewer steps.
    ///
    /// [`try_acquire`]: Self::try_acquire
    #[inline]
    pub(super) fn try_acquire_all(&self, count: usize) -> bool {
        debug_assert!(self.is_all(count), "it is for one owner at a time");
        let free = count * ONE;
        // `no-overtaking`: neither bit is set. Acquire: as in `try_acquire`. Pairs with Release in `Permits::release` and
        // `Permits::release_all`.
        self.word.load(Ordering::Relaxed) == free
            && self.word.compare_exchange(free, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// As [`acquire_at_once`](Self::acquire_at_once), for all permits.
    #[inline]
    pub(super) fn acquire_all_at_once(&self, count: usize) -> bool {
        coop::spend_on(|| self.try_acquire_all(count))
    }

    /// Takes `count` permits if they are free, no task waits for them and the budget is not used up.
    ///
    /// This is the first poll of [`acquire`](Self::acquire) without the cost of a waiter. Called inside a poll.
    #[inline]
    pub(crate) fn acquire_at_once(&self, count: usize) -> bool {
        coop::spend_on(|| self.try_acquire(count).is_ok())
    }

    /// Records for dumps that the current task has taken permits at `location`. Called by the new owner of the permits.
    ///
    /// - `is_writer` says that these are all permits of an object that can be shared.
    /// - `is_owned` says that the new guard owns the object.
    /// - An owner of all permits releases them with [`release_all`](Self::release_all) or
    ///   [`release_held`](Self::release_held).
    #[inline(always)]
    pub(super) fn record_taken(&self, location: &'static Location<'static>, is_writer: bool, is_owned: bool) {
        self.last_taken.store(location, is_writer, is_owned);
    }

    /// Releases all permits, which one owner has.
    #[inline(always)]
    pub(super) fn release_all(&self, count: usize) {
        debug_assert!(self.is_all(count), "it is for the one owner");
        // `right-or-none` of `last_taken`.
        self.last_taken.clear();
        // Zero: no task waits, and the permits are open. Release: publishes what the owner did under the permits. Pairs
        // with Acquire in `Permits::try_acquire`, `Permits::try_acquire_all`, `Permits::enqueue` and `Permits::serve`.
        if self.word.compare_exchange(0, count * ONE, Ordering::Release, Ordering::Relaxed).is_err() {
            self.release_to_waiters(count);
        }
    }

    /// Releases `count` permits, which one owner has: all, or some.
    #[inline(always)]
    pub(super) fn release_held(&self, count: usize) {
        if self.is_all(count) {
            self.last_taken.clear();
        }
        self.release(count);
    }

    /// Releases `count` of all permits. Their owner keeps the others, and shares the object from now on.
    pub(super) fn downgrade(&self, count: usize) {
        self.last_taken.set_shared();
        self.release(count);
    }

    /// Makes a future that takes `count` permits when it is its turn. `kind` and `location` are for dumps.
    #[inline]
    pub(crate) fn acquire(&self, count: usize, kind: WaitKind, location: CallSite) -> Acquire<'_> {
        Acquire { permits: self, count, waiter: Waiter::new(kind, location) }
    }

    /// As [`acquire`](Self::acquire), for a guard that owns the object.
    #[inline]
    pub(crate) fn acquire_owned(&self, count: usize, kind: WaitKind, location: CallSite) -> Acquire<'_> {
        Acquire { permits: self, count, waiter: Waiter::new(kind, location).for_owned() }
    }

    /// Releases `count` permits: first to the waiters, then to the word.
    ///
    /// # Panics
    /// If more than [`MAX`](Self::MAX) would be free.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn release(&self, count: usize) {
        if count == 0 {
            return;
        }
        if count > Self::MAX || self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            return self.release_to_waiters(count);
        }
        // Release: publishes what the owner did under the permits. Pairs with Acquire in `Permits::try_acquire`,
        // `Permits::enqueue` and `Permits::serve`.
        let before = self.word.fetch_add(count * ONE, Ordering::Release);
        if before & WAITERS != 0 || before / ONE + count > Self::MAX {
            self.correct_release(before, count);
        }
    }

    #[cold]
    #[track_caller]
    fn release_to_waiters(&self, count: usize) {
        if count > Self::MAX {
            panic_too_many(count);
        }
        looks::on_wait();
        self.serve(self.waiters.lock(), count);
    }

    /// Finishes a release into the word that found `before` there: undoes it, or serves the waiters.
    #[cold]
    #[track_caller]
    fn correct_release(&self, before: usize, count: usize) {
        if before / ONE + count > Self::MAX {
            self.word.fetch_sub(count * ONE, Ordering::Relaxed);
            panic_too_many(count);
        }
        // A waiter enqueued between the load and the addition. `no-overtaking`: only a holder of the lock serves it.
        self.serve(self.waiters.lock(), 0);
    }

    /// Removes up to `count` free permits, and returns how many.
    pub(crate) fn forget(&self, count: usize) -> usize {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            // `no-overtaking`: permits that are in the word while a task waits will be given to that task.
            let removed = if word & WAITERS == 0 { count.min(word / ONE) } else { 0 };
            if removed == 0 {
                return 0;
            }
            // Acquire: as if they had been acquired. Pairs with Release in `Permits::release`.
            match self.word.compare_exchange_weak(word, word - removed * ONE, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return removed,
                Err(current) => word = current,
            }
        }
    }

    /// Makes all waiters and all later calls fail.
    pub(crate) fn close(&self) {
        // `closed-is-final`. Release: publishes what the closer did before. Pairs with Acquire in `Permits::try_acquire`,
        // `Permits::enqueue` and `Permits::is_closed`.
        let close = |word| (word & WAITERS == 0).then_some(word | CLOSED);
        if self.word.fetch_update(Ordering::Release, Ordering::Relaxed, close).is_err() {
            self.close_with_waiters();
        }
    }

    #[cold]
    fn close_with_waiters(&self) {
        let guard = self.waiters.lock();
        // Release: as in `close`.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            // `waiters-bit`: `notify_all` removes all waiters before it releases the lock.
            Some((word | CLOSED) & !WAITERS)
        });
        // `closed-is-final`
        guard.notify_all();
    }

    /// Gives `spare` permits to the waiters in order, and also those that other threads have just put into the word.
    ///
    /// The rest goes into the word.
    #[cold]
    #[track_caller]
    fn serve<'a>(&'a self, mut guard: Guard<'a>, mut spare: usize) {
        let first = match self.serve_front(&mut guard, &mut spare) {
            Served::Notified(waker) => waker,
            Served::NoWaiter => return check_excess(self.store_spare(guard, spare)),
            Served::InPart => return,
        };
        let mut excess = 0;
        if guard.is_empty() {
            excess = self.store_spare(guard, spare);
        } else if spare == 0 {
            // A thread that has put permits into the word meanwhile will call this too.
            drop(guard);
        } else {
            return self.serve_many(guard, spare, first);
        }
        wake_guarded(first);
        check_excess(excess);
    }

    /// The rest of [`serve`](Self::serve), when more than one waiter may have to be woken.
    #[track_caller]
    fn serve_many<'a>(&'a self, mut guard: Guard<'a>, mut spare: usize, first: Option<Waker>) {
        let mut wakes = WakeList::new();
        wakes.push(first);
        loop {
            let mut served = Served::Notified(None);
            while wakes.has_room() {
                served = self.serve_front(&mut guard, &mut spare);
                match &mut served {
                    Served::Notified(waker) => wakes.push(waker.take()),
                    Served::NoWaiter | Served::InPart => break,
                }
            }
            let excess = match served {
                Served::NoWaiter => self.store_spare(guard, spare),
                Served::InPart | Served::Notified(_) => {
                    drop(guard);
                    0
                }
            };
            // A waker may call any method of these permits: no lock is held, and `spare` is a local variable.
            wakes.wake_all();
            if !matches!(served, Served::Notified(_)) {
                return check_excess(excess);
            }
            guard = self.waiters.lock();
        }
    }

    /// Gives the spare permits, and those in the word, to the first waiter.
    fn serve_front(&self, guard: &mut Guard<'_>, spare: &mut usize) -> Served {
        let Some(need) = guard.front_need() else {
            return Served::NoWaiter;
        };
        let late = self.word.load(Ordering::Relaxed) / ONE;
        if late > 0 {
            // A thread released into the word while `WAITERS` was set. `no-overtaking`: only this thread takes them out.
            // Acquire: what their last owners did goes to the waiter. Pairs with Release in `Permits::release`.
            self.word.fetch_sub(late * ONE, Ordering::Acquire);
            *spare += late;
        }
        let given = (*spare).min(*need);
        *need -= given;
        *spare -= given;
        let served = if *need > 0 { Served::InPart } else { self.grant(guard) };
        self.show(guard);
        served
    }

    /// Notifies the first waiter, which has all its permits.
    fn grant(&self, guard: &mut Guard<'_>) -> Served {
        if let Some(taker) = guard.front_taker() {
            let is_writer = self.total > 1 && self.is_all(taker.count);
            self.last_taken.store_as(taker.task, taker.location, is_writer, taker.is_owned);
            recorder::here(EventKind::LockGrant, pair(taker.task, current::id_or_zero()));
        }
        guard.follow_grant();
        match guard.notify_one(Notification::First) {
            Some(waker) => Served::Notified(waker),
            None => Served::NoWaiter,
        }
    }

    fn is_all(&self, count: usize) -> bool {
        self.total > 0 && count == self.total as usize
    }

    /// Shows in dumps how many permits are out and which task took some last, if a task waits for them.
    fn show(&self, guard: &mut Guard<'_>) {
        let Some(front) = guard.front_taker() else { return };
        let total = self.total as usize;
        let out = (total > 0).then(|| {
            // Acquire: an owner that has released into the word has cleared its location before. Pairs with Release in
            // `Permits::release`.
            let free = self.word.load(Ordering::Acquire) / ONE;
            total.saturating_sub(free + front.collected)
        });
        let taken = match out {
            // All permits are in the word, on their way to this waiter.
            Some(0) => None,
            // If there is only one permit, its owner is always alone.
            _ => self.last_taken.load(out == Some(total) && total > 1),
        };
        guard.set_permits(PermitsState { taken, out, address: std::ptr::from_ref(self).addr() });
    }

    /// Clears the bit, because the list is empty, puts `spare` into the word and releases the lock.
    ///
    /// Returns how many permits the word could not take, for [`check_excess`] after all wakes.
    #[must_use]
    fn store_spare(&self, guard: Guard<'_>, spare: usize) -> usize {
        debug_assert!(guard.is_empty(), "`no-overtaking`: waiters are served before the word");
        let mut excess = 0;
        // Release: publishes what the last owners did. Pairs with Acquire in `Permits::try_acquire`.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            excess = if word / ONE + spare > Self::MAX { spare } else { 0 };
            // `waiters-bit`
            Some((word & !WAITERS) + (spare - excess) * ONE)
        });
        excess
    }

    /// Returns the result for a waiter that was notified. A grant that was not received before the close is void.
    fn acknowledged(&self, notification: Notification) -> Result<(), TryAcquireError> {
        if notification == Notification::All || self.is_closed() { Err(TryAcquireError::Closed) } else { Ok(()) }
    }

    /// The first poll, if the permits could not be taken at once: takes what is free and enqueues `waiter` for the rest.
    ///
    /// # Safety
    /// The safety contract of [`Guard::push_back`] for `waiter`.
    unsafe fn enqueue(
        &self,
        waiter: Pin<&Waiter>,
        count: usize,
        cx: &Context<'_>,
    ) -> Poll<Result<(), TryAcquireError>> {
        waiter.begin();
        let waker = cx.waker().clone();
        let mut guard = self.waiters.lock();
        // Acquire: pairs with Release in `Permits::close`.
        let mut word = self.word.load(Ordering::Acquire);
        let need = loop {
            if word & CLOSED != 0 {
                // `closed-is-final`
                drop(guard);
                // `waker` is user code: it is dropped after the lock is released.
                return Poll::Ready(Err(TryAcquireError::Closed));
            }
            if word & WAITERS != 0 {
                // `no-overtaking`
                break count;
            }
            let taken = count.min(word / ONE);
            // `waiters-bit`: set in the same step that takes the free permits, so that no release is missed.
            let next = if taken == count { word - count * ONE } else { WAITERS };
            // Acquire: what the last owners did is visible. Pairs with Release in `Permits::release`.
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) if taken == count => {
                    drop(guard);
                    return Poll::Ready(Ok(()));
                }
                Ok(_) => break count - taken,
                Err(current) => word = current,
            }
        };
        // SAFETY: by the safety contract.
        unsafe { guard.push_back(waiter, Some(waker), need) };
        guard.set_count(waiter, count);
        self.show(&mut guard);
        drop(guard);
        recorder::here(EventKind::LockWait, current::id_or_zero());
        looks::on_wait();
        Poll::Pending
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits")
            .field("available", &self.available())
            .field("has_waiters", &self.has_waiters())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// The result of serving the first waiter.
enum Served {
    /// It has all permits that it requested, and is notified. The caller wakes it.
    Notified(Option<Waker>),
    /// It got all there were, and needs more.
    InPart,
    /// No task waits.
    NoWaiter,
}

/// Panics if the word could not take all permits.
#[track_caller]
fn check_excess(excess: usize) {
    if excess > 0 {
        panic_too_many(excess);
    }
}

#[cold]
#[track_caller]
fn panic_too_many(count: usize) -> ! {
    panic!(
        "adding {} would leave more than a semaphore can count ({}); add fewer, or forget some first",
        PlainCount(count as u64, "permit", "permits"),
        Permits::MAX
    )
}

pin_project! {
    /// Takes permits when it is its turn. Made by [`Permits::acquire`].
    ///
    /// After `Ok`, the caller owns the permits. If it is dropped before, it leaves the queue, and the permits it had
    /// collected go to the next waiter.
    pub(crate) struct Acquire<'a> {
        permits: &'a Permits,
        count: usize,
        #[pin]
        waiter: Waiter,
    }

    impl PinnedDrop for Acquire<'_> {
        fn drop(this: Pin<&mut Self>) {
            if this.waiter.stage() != WaitStage::Idle {
                this.leave();
            }
        }
    }
}

impl Acquire<'_> {
    /// Leaves the queue. The permits collected so far go to the next waiter (`none-lost`).
    #[cold]
    fn leave(self: Pin<&mut Self>) {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        let mut guard = this.permits.waiters.lock();
        if waiter.stage() == WaitStage::Notified(Notification::First) && this.permits.is_all(*this.count) {
            this.permits.last_taken.clear();
        }
        let (_, unused) = guard.remove(waiter);
        this.permits.waiters.hear(&waiter);
        waiter.acknowledge();
        let collected = *this.count - waiter.need();
        // Also with nothing collected: the list may be empty now (`waiters-bit`).
        this.permits.serve(guard, collected);
        drop(unused);
    }
}

impl Future for Acquire<'_> {
    type Output = Result<(), TryAcquireError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        let waiter = this.waiter.as_ref();
        if !coop::has_budget_remaining() && waiter.stage() == WaitStage::Idle && this.permits.has(*this.count) {
            // `none-while-it-yields`. After very many refusals it proceeds, and the unit goes back.
            drop(ready!(coop::poll_proceed(cx)));
        }
        let outcome = match waiter.stage() {
            WaitStage::Idle => match this.permits.try_acquire(*this.count) {
                Err(TryAcquireError::NoPermits) => {
                    // SAFETY: `same-list`: the waiter is pinned, `permits` is borrowed for longer than this future
                    // lives, and `leave`, called in drop, removes it.
                    unsafe { this.permits.enqueue(waiter, *this.count, cx) }
                }
                outcome => Poll::Ready(outcome),
            },
            WaitStage::Linked => match this.permits.waiters.update_waker(waiter, cx) {
                WaitStage::Idle | WaitStage::Linked => Poll::Pending,
                WaitStage::Notified(notification) => Poll::Ready(this.permits.acknowledged(notification)),
            },
            WaitStage::Notified(notification) => Poll::Ready(this.permits.acknowledged(notification)),
        };
        let Poll::Ready(outcome) = outcome else {
            waiter.record();
            this.permits.record_available();
            return Poll::Pending;
        };
        // The budget is checked last, as in Tokio: a task without budget keeps its place in the queue.
        match coop::poll_proceed(cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => {
                if outcome.is_ok() && waiter.stage() == WaitStage::Idle {
                    // `none-lost`: the waiter holds them until the next poll or the drop.
                    waiter.notify_self();
                }
                return Poll::Pending;
            }
        }
        match outcome {
            Ok(()) if waiter.stage() != WaitStage::Idle => {
                this.permits.waiters.hear(&waiter);
                waiter.acknowledge();
            }
            Ok(()) => {}
            Err(_) if waiter.stage() != WaitStage::Idle => self.leave(),
            Err(_) => {}
        }
        Poll::Ready(outcome)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::testing::{Wakes, poll_once};
    use super::*;
    use crate::primitives::rng::Rng;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::task::Wake;

    fn poll_with<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(waker))
    }

    /// A waker that runs a closure.
    struct WakeFn<F>(F);

    impl<F: Fn() + Send + Sync + 'static> Wake for WakeFn<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }

    fn ask(permits: &Permits, count: usize) -> Pin<Box<Acquire<'_>>> {
        Box::pin(permits.acquire(count, WaitKind::Semaphore, None))
    }

    /// The simple version to compare with. `line` has each waiter, how many it requested and how many it still needs.
    #[derive(Default)]
    struct Model {
        free: usize,
        line: VecDeque<(usize, usize, usize)>,
        granted: Vec<usize>,
    }

    impl Model {
        fn give(&mut self, mut spare: usize) {
            while let Some((id, _, need)) = self.line.front_mut() {
                let given = spare.min(*need);
                *need -= given;
                spare -= given;
                if *need > 0 {
                    return;
                }
                self.granted.push(*id);
                self.line.pop_front();
            }
            self.free += spare;
        }

        fn ask(&mut self, id: usize, count: usize) {
            if self.line.is_empty() || count == 0 {
                let taken = if count == 0 { 0 } else { self.free.min(count) };
                self.free -= taken;
                if taken == count {
                    return self.granted.push(id);
                }
                self.line.push_back((id, count, count - taken));
            } else {
                self.line.push_back((id, count, count));
            }
        }
    }

    fn compare_with_model(seed: u64) {
        let rng = Rng::new(seed);
        let start = rng.below(5) as usize;
        let permits = Permits::new(start);
        let mut model = Model { free: start, ..Model::default() };
        let mut asking: Vec<(usize, usize, Pin<Box<Acquire<'_>>>)> = Vec::new();
        let mut held: Vec<usize> = Vec::new();
        for id in 0..300 {
            match rng.below(10) {
                0..=3 => {
                    let count = rng.below(5) as usize;
                    let mut one = ask(&permits, count);
                    model.ask(id, count);
                    match poll_once(one.as_mut()) {
                        Poll::Ready(result) => {
                            assert_eq!(result, Ok(()));
                            assert_eq!(model.granted.pop(), Some(id), "seed {seed}");
                            held.push(count);
                        }
                        Poll::Pending => asking.push((id, count, one)),
                    }
                }
                4 | 5 if !held.is_empty() => {
                    let count = held.swap_remove(rng.below(held.len() as u32) as usize);
                    permits.release(count);
                    if count > 0 {
                        model.give(count);
                    }
                }
                6 if !asking.is_empty() => {
                    // Cancelled, granted or not.
                    let (id, count, one) = asking.swap_remove(rng.below(asking.len() as u32) as usize);
                    drop(one);
                    let returned = match model.line.iter().position(|(other, ..)| *other == id) {
                        Some(at) => {
                            let (_, _, need) = model.line.remove(at).expect("found");
                            count - need
                        }
                        None => {
                            model.granted.retain(|other| *other != id);
                            count
                        }
                    };
                    model.give(returned);
                }
                7 => {
                    let count = rng.below(3) as usize;
                    let expected = count == 0 || (model.line.is_empty() && model.free >= count);
                    assert_eq!(permits.try_acquire(count).is_ok(), expected, "seed {seed}");
                    if expected {
                        model.free -= count;
                        held.push(count);
                    }
                }
                8 => {
                    let count = rng.below(3) as usize;
                    let removed = count.min(model.free);
                    assert_eq!(permits.forget(count), removed);
                    model.free -= removed;
                    permits.release(removed);
                    if removed > 0 {
                        model.give(removed);
                    }
                }
                _ => {
                    // All are polled again, in any order: exactly those that the model granted are ready.
                    asking.retain_mut(|(id, count, one)| {
                        let is_granted = model.granted.contains(id);
                        let is_ready = poll_once(one.as_mut()).is_ready();
                        assert_eq!(is_ready, is_granted, "seed {seed}, {id}");
                        if is_ready {
                            held.push(*count);
                        }
                        !is_ready
                    });
                    model.granted.clear();
                }
            }
            assert_eq!(permits.available(), model.free, "seed {seed}, step {id}");
        }
        drop(asking);
        assert_eq!(permits.available() + held.iter().sum::<usize>(), start, "none-lost, seed {seed}");
        assert_eq!(permits.word.load(Ordering::Relaxed) & WAITERS, 0);
    }

    #[test]
    fn it_behaves_as_a_simple_queue_for_200_seeds() {
        for seed in 0..200 {
            compare_with_model(seed);
        }
    }

    #[test]
    fn a_waiter_for_many_permits_is_not_overtaken() {
        let permits = Permits::new(2);
        let mut many = ask(&permits, 3);
        assert!(poll_once(many.as_mut()).is_pending());
        let mut few = ask(&permits, 1);
        assert!(poll_once(few.as_mut()).is_pending());
        assert_eq!(permits.available(), 0, "collected by the first in the list");
        permits.release(1);
        assert!(poll_once(few.as_mut()).is_pending());
        assert_eq!(poll_once(many.as_mut()), Poll::Ready(Ok(())));
        permits.release(3);
        assert_eq!(poll_once(few.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(permits.available(), 2);
    }

    #[test]
    fn closing_refuses_the_waiters_and_returns_what_they_had_collected() {
        let permits = Permits::new(2);
        let mut granted = ask(&permits, 1);
        assert!(poll_once(granted.as_mut()).is_ready());
        let (wakes, waker) = Wakes::new();
        let mut many = ask(&permits, 3);
        assert!(poll_with(many.as_mut(), &waker).is_pending());
        let mut dropped = ask(&permits, 3);
        assert!(poll_with(dropped.as_mut(), &waker).is_pending());
        permits.close();
        assert_eq!(wakes.count(), 2);
        drop(dropped);
        assert_eq!(poll_once(many.as_mut()), Poll::Ready(Err(TryAcquireError::Closed)));
        assert_eq!(permits.available(), 1);
        permits.release(1);
        assert_eq!(permits.available(), 2);
        assert_eq!(permits.try_acquire(0), Err(TryAcquireError::Closed));
        assert_eq!(poll_once(ask(&permits, 1).as_mut()), Poll::Ready(Err(TryAcquireError::Closed)));
    }

    #[test]
    fn a_grant_that_was_not_received_before_the_close_comes_back() {
        let permits = Permits::new(0);
        let mut one = ask(&permits, 1);
        assert!(poll_once(one.as_mut()).is_pending());
        permits.release(1);
        permits.close();
        assert_eq!(poll_once(one.as_mut()), Poll::Ready(Err(TryAcquireError::Closed)));
        assert_eq!(permits.available(), 1);
    }

    #[test]
    fn a_release_that_serves_more_than_a_batch_leaves_the_rest_in_the_word() {
        let permits = Arc::new(Permits::new(0));
        let (wakes, waker) = Wakes::new();
        let mut all: Vec<_> = (0..100).map(|_| ask(&permits, 1)).collect();
        for one in &mut all {
            assert!(poll_with(one.as_mut(), &waker).is_pending());
        }
        permits.release(150);
        assert_eq!(wakes.count(), 100);
        assert_eq!(permits.available(), 50);
        for one in &mut all {
            assert_eq!(poll_once(one.as_mut()), Poll::Ready(Ok(())));
        }
    }

    #[test]
    fn a_panicking_waker_loses_no_permit_and_wakers_may_release() {
        let permits = Arc::new(Permits::new(0));
        let other = Arc::clone(&permits);
        let waker = Waker::from(Arc::new(WakeFn(move || {
            other.release(1);
            panic!("a waker that panics");
        })));
        let mut first = ask(&permits, 1);
        assert!(poll_with(first.as_mut(), &waker).is_pending());
        let mut second = ask(&permits, 1);
        assert!(poll_once(second.as_mut()).is_pending());
        permits.release(1);
        assert_eq!(poll_once(first.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(poll_once(second.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(permits.available(), 0);
    }

    #[test]
    fn without_budget_it_keeps_its_place_in_the_queue_and_takes_nothing_that_is_free() {
        let without_budget = |one: &mut Pin<Box<Acquire<'_>>>| {
            crate::task::coop::with_full(|| {
                let (wakes, waker) = Wakes::new();
                let mut cx = Context::from_waker(&waker);
                while let Poll::Ready(unit) = coop::poll_proceed(&mut cx) {
                    unit.made_progress();
                }
                let before = wakes.count();
                assert!(poll_with(one.as_mut(), &waker).is_pending());
                wakes.count() - before
            })
        };
        let permits = Permits::new(1);
        let mut first = ask(&permits, 1);
        assert_eq!(without_budget(&mut first), 1, "it is polled again");
        assert_eq!(permits.available(), 1);
        let mut owner = ask(&permits, 1);
        assert_eq!(poll_once(owner.as_mut()), Poll::Ready(Ok(())));
        assert_eq!(without_budget(&mut first), 0, "it is in the queue");
        let mut second = ask(&permits, 1);
        assert!(poll_once(second.as_mut()).is_pending());
        permits.release(1);
        assert_eq!(without_budget(&mut first), 1, "it keeps what it was granted");
        assert!(poll_once(second.as_mut()).is_pending());
        assert_eq!(poll_once(first.as_mut()), Poll::Ready(Ok(())));
        permits.release(1);
        assert_eq!(poll_once(second.as_mut()), Poll::Ready(Ok(())));
    }

    #[test]
    fn without_any_budget_it_is_not_refused_forever() {
        let permits = Permits::new(1);
        let mut one = ask(&permits, 1);
        let polls = crate::task::coop::with_full(|| {
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(unit) = coop::poll_proceed(&mut cx) {
                unit.made_progress();
            }
            (1..1000).find(|_| poll_once(one.as_mut()).is_ready())
        });
        assert!(polls.is_some_and(|polls| polls > 1), "{polls:?}");
        assert_eq!(permits.available(), 0);
    }

    #[test]
    fn more_than_the_maximum_is_refused_and_changes_nothing() {
        let permits = Permits::new(1);
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            permits.release(Permits::MAX);
        }));
        let payload = refused.expect_err("too many");
        let message = payload.downcast_ref::<String>().expect("a message");
        assert!(message.contains("add fewer, or forget some first"), "{message}");
        assert_eq!(permits.available(), 1);
    }
}

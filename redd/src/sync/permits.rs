//! A number of permits, handed out first come, first served: what semaphores, locks and bounded channels stand on.
//!
//! Called by `semaphore`, `mutex`, `rwlock`, `once_cell` and the bounded channel.
//!
//! One word holds the free permits and two bits. While nobody waits, taking is one compare-exchange and giving back is
//! one addition; the lock of the list is taken only when someone waits.
//!
//! # Invariants
//! - `waiters-bit`: under the lock, `WAITERS` is set exactly if the list is not empty.
//! - `no-overtaking`: while `WAITERS` is set, only the holder of the lock takes permits out of the word, and it takes
//!   them for the first in the list. A newcomer stands in line even if some are free.
//! - `closed-is-final`: once `CLOSED` is set, under the lock, nobody is linked any more.
//! - `none-lost`: a permit is in the word, in a waiter's account (asked minus `need`), or with its owner.
//!
//! # Why not otherwise
//! Giving a free permit to whoever runs first is faster under contention, but starves those who ask for many, and
//! programs rely on the order.

#![expect(unsafe_code, reason = "links the waiter that the future pins")]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::wait_list::{CallSite, Guard, Notification, WaitList, WaitStage, Waiter};
use crate::collections::wake_list::{WakeList, wake_guarded};
use crate::observe::resources::{Resource, ResourceKind, Update, tell_here};
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::{const_fn, has_mistake};
use crate::task::coop;

/// Nobody gets a permit any more.
const CLOSED: usize = 0b01;
/// The list is not empty.
const WAITERS: usize = 0b10;
/// One permit.
const ONE: usize = 0b100;

/// Why there was no permit at once.
#[derive(Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// Too few permits are free, or others wait for them.
    NoPermits,
}

error_texts! {
    [] TryAcquireError,
    Self::Closed => "semaphore closed",
    Self::NoPermits => "no permits available",
}

/// See the module page.
pub(crate) struct Permits {
    /// Free permits times [`ONE`], plus the two bits.
    word: AtomicUsize,
    waiters: WaitList,
    /// What these permits are a part of, for whoever looks on.
    pub(super) owner: Resource,
    resource: Resource,
}

impl Permits {
    /// The most permits there may be; one bit of the word stays free, so that a sum of two such numbers is noticed.
    pub(crate) const MAX: usize = usize::MAX >> 3;

    const_fn! {
        #[track_caller]
        pub(crate) const fn new(permits: usize) -> Self {
            assert!(
                permits <= Self::MAX,
                "more permits were asked for than a semaphore can count; use at most `Semaphore::MAX_PERMITS`"
            );
            Self {
                word: AtomicUsize::new(permits * ONE),
                waiters: WaitList::new(()),
                owner: Resource::UNSEEN,
                resource: Resource::UNSEEN,
            }
        }
    }

    /// Permits that are shown as a part of `owner`, which begins with `updates`.
    #[inline]
    #[track_caller]
    pub(crate) fn part_of<const N: usize>(owner: Resource, permits: usize, updates: [Update; N]) -> Self {
        let this = Self::new(permits);
        let resource = owner.scope(|| {
            tell_here(|| updates);
            let resource = Resource::new(ResourceKind::Permits);
            resource.tell(|| [Update::Permits(permits)]);
            resource
        });
        Self { owner, resource, ..this }
    }

    /// Tells how many are free, and `updates` of what these permits are a part of.
    #[inline(always)]
    pub(super) fn report<const N: usize>(&self, updates: impl FnOnce() -> [Update; N]) {
        self.resource.tell(|| [Update::Permits(self.available())]);
        self.owner.tell(updates);
    }

    /// How many are free.
    pub(crate) fn available(&self) -> usize {
        // Acquire: whoever sees a permit free sees what its last owner did. Pairs with Release in `Permits::release`.
        self.word.load(Ordering::Acquire) / ONE
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closed(&self) -> bool {
        // Acquire: what happened before the closing is visible. Pairs with Release in `Permits::close`.
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Takes `count` permits if so many are free and nobody waits for them.
    #[inline]
    pub(crate) fn try_acquire(&self, count: usize) -> Result<(), TryAcquireError> {
        // Acquire: pairs with Release in `Permits::close`.
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & CLOSED != 0 {
                return Err(TryAcquireError::Closed);
            }
            if count == 0 {
                return Ok(());
            }
            // `no-overtaking`
            if word & WAITERS != 0 || word / ONE < count {
                return Err(TryAcquireError::NoPermits);
            }
            // Acquire: what the last owners did is visible. Pairs with Release in `Permits::release`.
            match self.word.compare_exchange_weak(word, word - count * ONE, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(current) => word = current,
            }
        }
    }

    /// What the first poll of [`acquire`](Self::acquire) would answer if the permits are free and the budget is not
    /// used up, without a waiter to build for it. Called inside a poll.
    #[inline]
    pub(crate) fn acquire_at_once(&self, count: usize) -> bool {
        coop::spend_on(|| self.try_acquire(count).is_ok())
    }

    /// A future that takes `count` permits when it is its turn. `kind` and `place` are for dumps.
    #[inline]
    pub(crate) fn acquire(&self, count: usize, kind: WaitKind, location: CallSite) -> Acquire<'_> {
        Acquire { permits: self, count, waiter: Waiter::new(kind, location) }
    }

    /// Gives `count` permits: to those who wait, else to the word.
    ///
    /// # Panics
    /// If there would be more than [`MAX`](Self::MAX) free.
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
        let order = if has_mistake("a release that publishes nothing") { Ordering::Relaxed } else { Ordering::Release };
        let before = self.word.fetch_add(count * ONE, order);
        let has_waiters = before & WAITERS != 0 && !has_mistake("a release that does not look again");
        if has_waiters || before / ONE + count > Self::MAX {
            self.correct_release(before, count);
        }
    }

    #[cold]
    #[track_caller]
    fn release_to_waiters(&self, count: usize) {
        if count > Self::MAX {
            panic_too_many(count);
        }
        self.serve(self.waiters.lock(), count);
    }

    /// After a release into the word that found `before` there.
    #[cold]
    #[track_caller]
    fn correct_release(&self, before: usize, count: usize) {
        if before / ONE + count > Self::MAX {
            self.word.fetch_sub(count * ONE, Ordering::Relaxed);
            panic_too_many(count);
        }
        // Someone lined up between the load and the addition; `no-overtaking` lets nobody but us serve him.
        self.serve(self.waiters.lock(), 0);
    }

    /// Removes up to `count` free permits and says how many.
    pub(crate) fn forget(&self, count: usize) -> usize {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            // `no-overtaking`: what is in the word while someone waits is on its way to him.
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

    /// From now on everybody, also who waits already, gets an error instead of permits.
    pub(crate) fn close(&self) {
        let guard = self.waiters.lock();
        // Release: publishes what the closer did before. Pairs with Acquire in `Permits::try_acquire`,
        // `Permits::enqueue` and `Permits::is_closed`.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            // `waiters-bit`: `notify_all` takes them all out before it lets the lock go.
            Some((word | CLOSED) & !WAITERS)
        });
        // `closed-is-final`
        guard.notify_all();
    }

    /// Gives `spare` permits, and those that others have just put into the word, to those who wait, first come first;
    /// what is left goes into the word.
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
            // Whoever put permits into the word meanwhile will come here himself.
            drop(guard);
        } else {
            return self.serve_many(guard, spare, first);
        }
        wake_guarded(first);
        check_excess(excess);
    }

    /// The rest of [`serve`](Self::serve), when more than one may have to be woken.
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
            // A waker may call anything of ours: nothing is locked, and `spare` is in our hands.
            wakes.wake_all();
            if !matches!(served, Served::Notified(_)) {
                return check_excess(excess);
            }
            guard = self.waiters.lock();
        }
    }

    /// Gives what there is to the first in the list.
    fn serve_front(&self, guard: &mut Guard<'_>, spare: &mut usize) -> Served {
        let Some(need) = guard.front_need() else {
            return Served::NoWaiter;
        };
        let late = self.word.load(Ordering::Relaxed) / ONE;
        if late > 0 {
            // Someone released into the word while `WAITERS` was set; `no-overtaking`: only we take them out.
            // Acquire: what their last owners did goes to the waiter. Pairs with Release in `Permits::release`.
            self.word.fetch_sub(late * ONE, Ordering::Acquire);
            *spare += late;
        }
        let given = (*spare).min(*need);
        *need -= given;
        *spare -= given;
        if *need > 0 {
            return Served::InPart;
        }
        match guard.notify_one(Notification::First) {
            Some(waker) => Served::Notified(waker),
            None => Served::NoWaiter,
        }
    }

    /// The list is empty: clears the bit, puts `spare` into the word, and lets the lock go. Returns how many permits
    /// the word could not take, for [`check_excess`] when everybody has been woken.
    #[must_use]
    fn store_spare(&self, guard: Guard<'_>, spare: usize) -> usize {
        debug_assert!(guard.is_empty(), "`no-overtaking`: the first in the list comes before the word");
        let mut excess = 0;
        // Release: publishes what the last owners did. Pairs with Acquire in `Permits::try_acquire`.
        let _ = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            excess = if word / ONE + spare > Self::MAX { spare } else { 0 };
            // `waiters-bit`
            Some((word & !WAITERS) + (spare - excess) * ONE)
        });
        excess
    }

    /// What a waiter that was called has come to. A grant that is not heard before the closing counts for nothing.
    fn acknowledged(&self, call: Notification) -> Result<(), TryAcquireError> {
        if call == Notification::All || self.is_closed() { Err(TryAcquireError::Closed) } else { Ok(()) }
    }

    /// The first poll, when the permits could not be had at once: takes what is free and stands in line for the rest.
    ///
    /// # Safety
    /// The duty of [`Guard::push_back`] for `waiter`.
    unsafe fn enqueue(
        &self,
        waiter: Pin<&Waiter>,
        count: usize,
        cx: &Context<'_>,
    ) -> Poll<Result<(), TryAcquireError>> {
        let waker = cx.waker().clone();
        let mut guard = self.waiters.lock();
        // Acquire: pairs with Release in `Permits::close`.
        let mut word = self.word.load(Ordering::Acquire);
        let need = loop {
            if word & CLOSED != 0 {
                // `closed-is-final`
                drop(guard);
                // `waker` is foreign: it goes when the lock has gone.
                return Poll::Ready(Err(TryAcquireError::Closed));
            }
            if word & WAITERS != 0 {
                // `no-overtaking`
                break count;
            }
            let taken = count.min(word / ONE);
            // `waiters-bit`: set together with taking what there was, so that no release is missed.
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
        // SAFETY: by this function's duty.
        unsafe { guard.push_back(waiter, Some(waker), need) };
        Poll::Pending
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permits").field("available", &self.available()).field("is_closed", &self.is_closed()).finish()
    }
}

/// What came of serving the first in the list.
enum Served {
    /// It has all it asked for and is called; wake it.
    Notified(Option<Waker>),
    /// It has got what there was, and misses more.
    InPart,
    /// Nobody waits.
    NoWaiter,
}

/// Panics if there were more permits than the word can take.
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
        "adding {count} permits would leave more than a semaphore can count ({}); add fewer, or forget some first",
        Permits::MAX
    )
}

pin_project! {
    /// Takes permits when it is its turn. Made by [`Permits::acquire`].
    ///
    /// The one who gets `Ok` owns the permits. Dropped before that, it leaves the line, and what it had collected goes
    /// to the next.
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
    /// Leaves the line, or the call unheard: the permits collected so far go to the next (`none-lost`).
    #[cold]
    fn leave(self: Pin<&mut Self>) {
        let this = self.project();
        let waiter = this.waiter.as_ref();
        let mut guard = this.permits.waiters.lock();
        let (_, unused) = guard.remove(waiter);
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
                WaitStage::Notified(call) => Poll::Ready(this.permits.acknowledged(call)),
            },
            WaitStage::Notified(call) => Poll::Ready(this.permits.acknowledged(call)),
        };
        let Poll::Ready(outcome) = outcome else {
            waiter.record();
            this.permits.report(|| []);
            return Poll::Pending;
        };
        // The budget is asked last, as in Tokio: a task that has none keeps its place in line, or the permits.
        match coop::poll_proceed(cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => {
                if outcome.is_ok() && waiter.stage() == WaitStage::Idle {
                    // `none-lost`: they are in the waiter's account until the next poll or the drop.
                    waiter.notify_self();
                }
                return Poll::Pending;
            }
        }
        match outcome {
            Ok(()) => waiter.acknowledge(),
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

    /// The dull version: who waits, how many each asked for and still misses.
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
                    // Everybody polls again, in any order: exactly those whom the model granted are ready.
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
    fn without_budget_it_takes_its_place_and_a_drop_returns_what_it_took() {
        let without_budget = |one: &mut Pin<Box<Acquire<'_>>>| {
            crate::task::coop::with_full(|| {
                let mut cx = Context::from_waker(Waker::noop());
                while let Poll::Ready(unit) = coop::poll_proceed(&mut cx) {
                    unit.made_progress();
                }
                assert!(poll_once(one.as_mut()).is_pending());
            });
        };
        let permits = Permits::new(1);
        let mut first = ask(&permits, 1);
        without_budget(&mut first);
        assert_eq!(permits.available(), 0);
        let mut second = ask(&permits, 1);
        without_budget(&mut second);
        let mut third = ask(&permits, 1);
        assert!(poll_once(third.as_mut()).is_pending());
        drop(first);
        assert!(poll_once(third.as_mut()).is_pending());
        without_budget(&mut second);
        assert_eq!(poll_once(second.as_mut()), Poll::Ready(Ok(())));
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

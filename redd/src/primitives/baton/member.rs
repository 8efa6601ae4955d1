//! The threads of worlds: which world the calling thread belongs to, and what other files of `primitives` ask it.
//!
//! Called by `primitives::{futex, thread, clock, seed}`, by the builder of runtimes, and by `sim`.
//!
//! # Invariants
//! - `last-destructor`: a thread passes the baton on in the destructor of its first thread-local value. The standard library runs these
//!   destructors last to first, so those of user code are part of the world, too.
//! - `pointer-in-here`: `POINTER` is null, or it points to the member in `HERE` of the same thread.

#![expect(unsafe_code, reason = "a thread's place as a pointer, which signal handlers and allocators may read")]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ptr;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::cpu::FormerCpus;
use super::failure::{FailureKind, WorldEnded, WorldFailure};
use super::foreign;
use super::guard::lock;
use super::hosts::MadeIn;
use super::schedule::Wait;
use super::strategy::Plan;
use super::world::{Baton, Seat, State};
use crate::primitives::atomic::Ordering;
use crate::primitives::atomic::fixed::{AtomicBool, AtomicU32};
use crate::primitives::virtual_time;
use crate::sys::outside::is_outside;

/// Whether this process has ever had a world. While it is false, no thread reads a thread-local for it.
static WAS_ANY: AtomicBool = AtomicBool::new(false);

/// The worlds that exist, for wakes by threads outside of them.
static WORLDS: Mutex<Vec<Weak<Baton>>> = Mutex::new(Vec::new());

/// A thread's place in its world.
struct Member {
    baton: Arc<Baton>,
    seat: Arc<Seat>,
}

/// The value of the thread-local: its drop ends the thread in the world (`last-destructor`).
struct Here(Option<Arc<Member>>);

impl Drop for Here {
    fn drop(&mut self) {
        POINTER.set(ptr::null()); // `pointer-in-here`
        if let Some(member) = self.0.take() {
            foreign::leave();
            member.baton.end(&member.seat);
        }
    }
}

thread_local! {
    static HERE: RefCell<Here> = const { RefCell::new(Here(None)) };
    /// It has no destructor: to read it allocates nothing, and never fails.
    static POINTER: Cell<*const Member> = const { Cell::new(ptr::null()) };
}

/// The calling thread belongs to a world from here on.
fn set_here(member: &Arc<Member>) {
    foreign::enter();
    HERE.with(|here| here.borrow_mut().0 = Some(Arc::clone(member)));
    POINTER.set(Arc::as_ptr(member));
}

/// Calls `f` with the world and the place of the calling thread, if functions of the C library are to turn to them. `f` calls no other
/// code. Signal handlers and allocators may call this.
pub(super) fn with_member<R>(f: impl FnOnce(&Baton, &Seat) -> R) -> Option<R> {
    let pointer = POINTER.get();
    if pointer.is_null() || is_outside() {
        return None;
    }
    // SAFETY: `pointer-in-here`, and `f` does not take the member out of `HERE`.
    let member = unsafe { &*pointer };
    Some(f(&member.baton, &member.seat))
}

/// Whether this process has ever had a world: one relaxed load.
#[inline]
pub(crate) fn is_any() -> bool {
    WAS_ANY.load(Ordering::Relaxed)
}

fn here() -> Option<Arc<Member>> {
    if !is_any() {
        return None;
    }
    HERE.try_with(|here| here.borrow().0.clone()).ok().flatten()
}

/// The world of the calling thread.
pub(crate) fn current() -> Option<Arc<Baton>> {
    Some(Arc::clone(&here()?.baton))
}

/// The world of the calling thread, and the number of its host there.
pub(crate) fn current_host() -> Option<(Arc<Baton>, usize)> {
    let member = here()?;
    Some((Arc::clone(&member.baton), member.seat.host))
}

/// Whether the host of the calling thread has crashed since the thread was started. False outside of a world.
pub(crate) fn is_dead() -> bool {
    here().is_some_and(|member| member.seat.made_in.has_crashed())
}

/// If the calling thread is dead ([`is_dead`]), this ends what it does with a panic that the panic hook does not see. Called where
/// user code is about to be polled.
#[inline]
pub(crate) fn end_if_dead() {
    if is_any() && is_dead() {
        WorldEnded::unwind_unless_panicking();
    }
}

/// Whether the calling thread belongs to a world.
#[inline]
pub(crate) fn is_member() -> bool {
    is_any() && HERE.try_with(|here| here.borrow().0.is_some()).unwrap_or(false)
}

/// A random number from the seed of the world.
pub(crate) fn random_u64() -> Option<u64> {
    Some(here()?.baton.lock().schedule.random_u64())
}

/// The time of the calling thread's world.
#[cold]
pub(crate) fn now() -> Option<Instant> {
    HERE.try_with(|here| here.borrow().0.as_ref().map(|member| member.baton.now())).ok().flatten()
}

/// Waits until the word is woken, at most for `timeout`. `None` on a thread of no world. The result is as for `sys::futex_wait`.
#[cold]
pub(crate) fn wait_word(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Option<bool> {
    let member = here()?;
    let state = member.baton.lock();
    // `holder-only`: no other thread of the world changes the word now. Under the lock: one outside of the world that changes it after
    // this check finds the wait when it wakes.
    if word.load(Ordering::Relaxed) != expected {
        return Some(false);
    }
    Some(member.baton.block_locked(state, &member.seat, Wait::Word(ptr::from_ref(word).addr()), timeout))
}

/// Wakes one thread of a world that waits for the word. Returns whether there was one. If the caller does not belong to that world,
/// the world has failed.
#[cold]
pub(crate) fn wake_word(word: &AtomicU32) -> bool {
    wake_address(ptr::from_ref(word).addr())
}

/// As [`wake_word`].
pub(super) fn wake_address(address: usize) -> bool {
    if let Some(member) = here() {
        if member.baton.lock().schedule.wake_word(address) {
            return true;
        }
    }
    let worlds: Vec<_> = lock(&WORLDS).iter().filter_map(Weak::upgrade).collect();
    worlds.iter().any(|baton| {
        let mut state = baton.lock();
        let Some(waiter) = state.schedule.waiter_on(address).map(str::to_owned) else { return false };
        let is_woken = state.schedule.wake_word(address);
        if is_woken && state.runs_agendas != Some(std::thread::current().id()) {
            let text = format!(
                "thread `{}` has woken thread `{waiter}` of the world, to which it does not belong. {FOREIGN}",
                name_of_this_thread()
            );
            state.fail(FailureKind::ForeignThread, text);
        }
        is_woken
    })
}

const FOREIGN: &str = "When that happens depends on the system, so the run cannot be repeated. Start threads with \
    `spawn_blocking`, which belong to the world.";

/// Waits until the thread with this id has ended, if it belongs to the world of the caller.
#[cold]
pub(crate) fn wait_for_end(id: ThreadId) {
    let Some(member) = here() else { return };
    let index = member.baton.lock().schedule.index_of(id);
    let Some(index) = index else { return };
    while !member.baton.lock().schedule.has_ended(index) {
        member.baton.block(&member.seat, Wait::End(index), None);
    }
}

/// Waits until the timeout is over. Nothing wakes this wait, but it may return early.
pub(super) fn wait_for_own_end(timeout: Option<Duration>) {
    if let Some(member) = here() {
        member.baton.block(&member.seat, Wait::End(member.seat.index), timeout);
    }
}

/// As `primitives::thread::current_name`, which this file cannot name: that file calls this one.
fn name_of_this_thread() -> String {
    let thread = std::thread::current();
    thread.name().map_or_else(|| format!("{:?}", thread.id()), str::to_owned)
}

/// The thread of a host.
pub(crate) type HostThread = std::thread::JoinHandle<()>;

/// A new world without threads, whose choices are random.
pub(crate) fn new_world(seed: u64, limit: Duration, keeps_events: bool) -> Arc<Baton> {
    new_world_of(&Plan { seed, keeps_events, ..Plan::default() }, limit)
}

/// A new world without threads.
pub(crate) fn new_world_of(plan: &Plan, limit: Duration) -> Arc<Baton> {
    // Before the world: it finds out whether the clocks of std ask this file.
    WAS_ANY.store(true, Ordering::Relaxed);
    let baton = Baton::new(plan, limit);
    {
        let mut worlds = lock(&WORLDS);
        worlds.retain(|world| world.strong_count() > 0);
        worlds.push(Arc::downgrade(&baton));
    }
    virtual_time::begin();
    baton
}

impl MadeIn {
    /// What is made now by the calling thread.
    pub(crate) fn here() -> Option<Self> {
        Some(here()?.seat.made_in.clone())
    }
}

impl Baton {
    /// Whether the calling thread belongs to this world.
    pub(crate) fn is_here(self: &Arc<Self>) -> bool {
        here().is_some_and(|member| Arc::ptr_eq(&member.baton, self))
    }

    /// Makes the calling thread the first thread of this world. It has the baton until it waits.
    pub(crate) fn join(self: &Arc<Self>) -> Joined {
        let mut place = self.add_thread(0, self.incarnation(0), name_of_this_thread());
        let member = place.0.take().expect("it was just made");
        let mut state = self.lock();
        state.caller = Some(member.seat.index);
        state.schedule.set_id(member.seat.index, std::thread::current().id());
        let chosen = state.schedule.choose();
        debug_assert_eq!(chosen, Some(member.seat.index), "it is the only thread");
        drop(state);
        let former = self.cpu.enter();
        set_here(&member);
        Joined { baton: Arc::clone(self), thread: std::thread::current().id(), former }
    }

    /// Starts the thread of a host, which waits for the baton.
    pub(crate) fn start_host(
        self: &Arc<Self>,
        host: usize,
        name: &str,
        f: impl FnOnce() + Send + 'static,
    ) -> io::Result<HostThread> {
        self.start_host_with(host, name, |_, _| (), f)
    }

    /// As `start_host`. `begin` gets the number of the thread before it runs.
    pub(super) fn start_host_with(
        self: &Arc<Self>,
        host: usize,
        name: &str,
        begin: impl FnOnce(&mut State, usize),
        f: impl FnOnce() + Send + 'static,
    ) -> io::Result<HostThread> {
        let place = self.add_thread(host, self.incarnation(host), name.to_owned());
        let identify = place.identify();
        if let Some(member) = &place.0 {
            begin(&mut self.lock(), member.seat.index);
        }
        // In models too this is a thread of std.
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            place.take();
            f();
        })?;
        identify(thread.thread().id());
        Ok(thread)
    }

    /// A thread of this world that has not started. It starts when it has the baton.
    fn add_thread(self: &Arc<Self>, host: usize, incarnation: u32, name: String) -> Place {
        let seat = self.add_seat(host, incarnation, name);
        Place(Some(Arc::new(Member { baton: Arc::clone(self), seat })))
    }

    /// A thread outside of the world has made a task of it ready.
    #[cold]
    pub(crate) fn fail_for_foreign_wake(&self, task: &dyn fmt::Display) {
        self.fail(
            FailureKind::ForeignThread,
            format!(
                "thread `{}` has woken or spawned {task}, and it does not belong to the world. {FOREIGN}",
                name_of_this_thread()
            ),
        );
    }

    /// The future of a `block_on` was woken. If the caller does not belong to the world, and a thread has not been woken for it, which
    /// would have been noticed, the world has failed.
    #[cold]
    pub(crate) fn note_root_wake(self: &Arc<Self>) {
        let is_noticed = |failures: &[WorldFailure]| failures.iter().any(|one| one.kind == FailureKind::ForeignThread);
        if !self.is_here() && !is_noticed(&self.failures()) {
            self.fail_for_foreign_wake(&"the future of a `block_on`");
        }
    }

    /// Sets the waker of the future that this thread is in `block_on` with. `None` when it has ended.
    pub(crate) fn set_root(&self, waker: Option<&Waker>) {
        let Some(member) = here() else { return };
        let mut state = self.lock();
        let at = state.roots.iter().position(|(thread, _)| *thread == member.seat.index);
        let old = match (at, waker) {
            (Some(at), Some(waker)) if state.roots[at].1.will_wake(waker) => None,
            (Some(at), Some(waker)) => Some(std::mem::replace(&mut state.roots[at].1, waker.clone())),
            (None, Some(waker)) => {
                state.roots.push((member.seat.index, waker.clone()));
                None
            }
            (Some(at), None) => Some(state.roots.remove(at).1),
            (None, None) => None,
        };
        drop(state);
        drop(old); // `no-user-code-under-lock`
    }

    /// Before a poll: lets another thread run, if the seed says so.
    pub(crate) fn maybe_pass() {
        let Some(member) = here() else { return };
        let mut state = member.baton.before_poll(member.baton.lock());
        if state.schedule.has_ready() {
            state.schedule.yield_now(member.seat.index);
            member.baton.pass(&member.seat, state, false);
        }
    }
}

/// The place of a thread that has not started. If it never starts, the place ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Member>>);

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("seat", &self.seat).finish_non_exhaustive()
    }
}

impl Place {
    /// The place of a new thread in the world of the calling thread, on the same host and in the same incarnation.
    pub(crate) fn in_current(name: &str) -> Option<Self> {
        let member = here()?;
        Some(member.baton.add_thread(member.seat.host, member.seat.incarnation, name.to_owned()))
    }

    /// For the thread that starts it. Called before that thread passes the baton on.
    pub(crate) fn identify(&self) -> impl FnOnce(ThreadId) + use<> {
        let member = self.0.clone();
        move |id| {
            member.iter().for_each(|member| member.baton.lock().schedule.set_id(member.seat.index, id));
        }
    }

    /// First call of the new thread: waits for the baton. From here on the thread belongs to the world.
    pub(crate) fn take(mut self) {
        if let Some(member) = self.0.take() {
            let _ = member.baton.cpu.enter(); // It does not leave before it ends.
            set_here(&member);
            member.seat.await_baton();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(member) = self.0.take() {
            // The thread was refused. It never had the baton, so there is nothing to pass on.
            member.baton.lock().schedule.end(member.seat.index);
        }
    }
}

/// The calling thread belongs to a world until this is dropped.
#[derive(Debug)]
pub(crate) struct Joined {
    baton: Arc<Baton>,
    thread: ThreadId,
    former: FormerCpus,
}

impl Drop for Joined {
    fn drop(&mut self) {
        // Dropped on another thread: the thread leaves its world when it ends.
        if self.thread == std::thread::current().id() && self.baton.is_here() {
            self.former.restore();
            foreign::leave();
            POINTER.set(ptr::null()); // `pointer-in-here`
            let member = HERE.try_with(|here| here.borrow_mut().0.take()).ok().flatten();
            member.iter().for_each(|member| member.baton.end(&member.seat));
        }
    }
}

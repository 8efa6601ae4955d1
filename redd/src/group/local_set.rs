//! `LocalSet`: tasks that are not `Send`, run by one task or one `block_on` of one thread.
//!
//! Called by user code.
//!
//! # Invariants
//! - `own-thread`: the set's tasks are polled, cancelled and dropped on the thread that made the set; it is not `Send`.
//!   Wakers on other threads only move a reference to the remote queue.
//! - `current-is-alive`: the pointer in the thread-local owns a reference to its set. A guard that replaces the pointer
//!   takes that reference over. So guards may be dropped in any order, or leaked.

#![expect(unsafe_code, reason = "spawns tasks that are not `Send`, on their thread")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::current::{self, Entered};
use crate::observe::hooks::{TaskHooks, UnjoinedPanic};
use crate::observe::recorder::{self, EventKind, pair};
use crate::observe::spans::HAS_SPANS;
use crate::observe::waiting::{self, WaitKind};
use crate::primitives::atomic::{AtomicBool, Ordering};
use crate::primitives::baton::{self, Baton};
use crate::primitives::{Mutex, thread, thread_local};
use crate::runtime::{Runtime, UnhandledPanic};
use crate::scheduler::choices::Flavor;
use crate::scheduler::id::Id;
use crate::scheduler::{enter, local};
use crate::sync::waker_cell::WakerCell;
use crate::task::cell;
use crate::task::inherited::Inherited;
use crate::task::local_slabs::ListedSlab;
use crate::task::poll::Ran;
use crate::task::recorded::{PollInWorld, RecordedPoll};
use crate::task::runnable::Schedule;
use crate::task::slab::TaskSlab;
use crate::task::{self, JoinHandle, Runnable, coop};

/// The number of tasks that a set runs before its host yields. The value is Tokio's.
const TASKS_PER_TICK: usize = 61;
/// After this many tasks, the set takes one from the remote queue first. The value is Tokio's.
const REMOTE_FIRST_INTERVAL: u8 = 31;

/// A set of tasks that stay on this thread, so they need not be `Send`.
///
/// - **Its tasks run only while the set does**: inside [`run_until`](Self::run_until), inside [`block_on`](Self::block_on),
///   or while the set itself is awaited. Awaiting the set returns when all its tasks have ended.
/// - Dropping it drops its tasks at their await points.
/// - [`block_in_place`](crate::task::block_in_place) must not be called in its tasks: it panics.
///
/// If the whole program stays on one thread, a [`LocalRuntime`](crate::runtime::LocalRuntime) needs no set.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// let runtime = redd::runtime::Runtime::new().unwrap();
/// let local = redd::task::LocalSet::new();
/// let sum = local.block_on(&runtime, async {
///     let shared = Rc::new(20);
///     let twice = Rc::clone(&shared);
///     redd::task::spawn_local(async move { *twice + *shared }).await.unwrap()
/// });
/// assert_eq!(sum, 40);
/// ```
pub struct LocalSet {
    inner: Rc<Inner>,
    /// Awaiting the set waits here: a `Future` cannot see the line that awaits it.
    location: &'static Location<'static>,
}

/// The part of a set that stays on its thread.
struct Inner {
    queue: RefCell<VecDeque<Runnable>>,
    tick: Cell<u8>,
    is_ticking: Cell<bool>,
    /// For dumps.
    listed: ListedSlab,
    shared: Arc<LocalSetState>,
}

/// The part of a set that wakers on other threads use.
struct LocalSetState {
    id: Id,
    slab: Arc<TaskSlab>,
    /// `None` once the set is dropped.
    remote: Mutex<Option<VecDeque<Runnable>>>,
    /// The waker of the task that runs the set. Each poll registers it again, so a wake may take it.
    waker: WakerCell,
    unhandled_panic: Mutex<UnhandledPanic>,
    has_unhandled_panic: AtomicBool,
}

thread_local! {
    /// The set that is running or entered on this thread (`current-is-alive`).
    static CURRENT: Cell<*const Inner> = const { Cell::new(ptr::null()) };
}

/// Records what happens to a task, while the flight recorder records all of that.
fn record(kind: EventKind, runnable: &Runnable) {
    if recorder::is_full() {
        recorder::full(kind, pair(runnable.header().id().number(), task::current::id_or_zero()));
    }
}

impl Schedule for LocalSetState {
    fn schedule(&self, runnable: Runnable) {
        record(EventKind::Wake, &runnable);
        // SAFETY: `current-is-alive`; it is not used after the waker below, which is user code.
        if let Some(inner) = unsafe { CURRENT.get().as_ref() } {
            if ptr::eq(&raw const *inner.shared, self) {
                let is_ticking = inner.is_ticking.get();
                inner.queue.borrow_mut().push_back(runnable);
                if !is_ticking {
                    self.waker.wake();
                }
                return;
            }
        }
        let refused = match &mut *self.remote.lock() {
            Some(remote) => {
                remote.push_back(runnable);
                None
            }
            // The set's drop cancels the task. Only the reference is dropped here, on any thread (`own-thread`).
            None => Some(runnable),
        };
        drop(refused);
        self.waker.wake();
    }

    /// Inside `tick` the set is borrowed, and `schedule` calls no waker.
    fn is_kept_by_this_thread(&self) -> bool {
        // SAFETY: `current-is-alive`; it is not used after this.
        let current = unsafe { CURRENT.get().as_ref() };
        current.is_some_and(|inner| ptr::eq(&raw const *inner.shared, self) && inner.is_ticking.get())
    }

    fn task_panicked(&self) {
        local::record_panic();
        if *self.unhandled_panic.lock() == UnhandledPanic::ShutdownRuntime {
            self.has_unhandled_panic.store(true, Ordering::Relaxed);
            self.waker.wake();
        }
    }

    /// Reports the panic to the current runtime; a set has no hook of its own.
    fn panic_unjoined(&self, panic: &UnjoinedPanic<'_>) {
        match enter::current() {
            Some(shared) => shared.panic_unjoined(panic),
            None => panic.report(None),
        }
    }
}

/// What the builder of the runtime that this thread is in says about spans.
#[inline]
fn inherits_span() -> bool {
    HAS_SPANS && enter::with_current(|shared| shared.config.inherits_span) == Some(true)
}

impl LocalSet {
    /// Creates an empty set. It may be called outside of a runtime.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let local = redd::task::LocalSet::new();
    /// assert_ne!(local.id(), redd::task::LocalSet::new().id());
    /// local.await; // It has no tasks, so this returns at once.
    /// # });
    /// ```
    #[track_caller]
    pub fn new() -> Self {
        let slab = TaskSlab::new(0, TaskHooks::default());
        let shared = Arc::new(LocalSetState {
            id: Id::next(),
            slab: Arc::clone(&slab),
            remote: Mutex::new(Some(VecDeque::new())),
            waker: WakerCell::new(),
            unhandled_panic: Mutex::new(UnhandledPanic::Ignore),
            has_unhandled_panic: AtomicBool::new(false),
        });
        // SAFETY: no task exists yet, and no other thread has the slab.
        unsafe { slab.set_owner(Arc::clone(&shared) as Arc<dyn Schedule>) };
        let inner = Inner {
            queue: RefCell::new(VecDeque::new()),
            tick: Cell::new(0),
            is_ticking: Cell::new(false),
            listed: ListedSlab::new(&slab),
            shared,
        };
        Self { inner: Rc::new(inner), location: Location::caller() }
    }

    /// Makes this set the current one on this thread until the guard is dropped, so that [`spawn_local`] spawns onto it.
    ///
    /// The set's tasks do not run because of that; see [`LocalSet`].
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::task::{LocalSet, spawn_local};
    ///
    /// let local = LocalSet::new();
    /// let task = {
    ///     let _guard = local.enter();
    ///     spawn_local(async { 42 })
    /// };
    /// assert_eq!(local.run_until(task).await.unwrap(), 42);
    /// # });
    /// ```
    pub fn enter(&self) -> LocalEnterGuard {
        self.inner.enter()
    }

    /// Spawns a task onto this set. It starts when the set runs.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use std::rc::Rc;
    ///
    /// let local = redd::task::LocalSet::new();
    /// let shared = Rc::new("not Send");
    /// let task = local.spawn_local(async move { shared.len() });
    /// assert!(!task.is_finished());
    /// local.await;
    /// assert_eq!(task.await.unwrap(), 8);
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.inner.spawn(future, None, Location::caller())
    }

    /// As [`spawn_local`](Self::spawn_local), with a name.
    pub(crate) fn spawn_named<F>(
        &self,
        future: F,
        name: Option<Arc<str>>,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.inner.spawn(future, name, location)
    }

    /// Runs a future and the set's tasks on `runtime`, on this thread, until the future completes.
    ///
    /// Tasks that have not ended then continue when the set runs again.
    ///
    /// # Panics
    /// As for [`Runtime::block_on`].
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::{LocalSet, spawn_local};
    /// use std::cell::Cell;
    /// use std::rc::Rc;
    ///
    /// let runtime = Runtime::new()?;
    /// let local = LocalSet::new();
    /// let count = Rc::new(Cell::new(0));
    /// local.block_on(&runtime, async {
    ///     let count = Rc::clone(&count);
    ///     spawn_local(async move { count.set(count.get() + 1) }).await
    /// })?;
    /// assert_eq!(count.get(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, runtime: &Runtime, future: F) -> F::Output {
        runtime.block_on(self.run_until(future))
    }

    /// Runs the set's tasks beside a future until that future completes. Tasks that have not ended then continue when the set
    /// runs again.
    ///
    /// # Cancel safety
    /// If the future is dropped, the set's tasks stop at their await points. They continue when the set runs again.
    ///
    /// # Examples
    /// ```
    /// # redd::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// use redd::task::{LocalSet, spawn_local};
    /// use std::rc::Rc;
    ///
    /// let local = LocalSet::new();
    /// let len = local.run_until(async {
    ///     let text = Rc::new(String::from("not Send"));
    ///     spawn_local(async move { text.len() }).await
    /// });
    /// assert_eq!(len.await.unwrap(), 8);
    /// # });
    /// ```
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            self.inner.with_current(|| {
                self.inner.shared.waker.register(cx.waker());
                if let Poll::Ready(output) = coop::with_full_unless_spent(|| future.as_mut().poll(cx)) {
                    return Poll::Ready(output);
                }
                if self.inner.tick() {
                    cx.waker().wake_by_ref();
                }
                Poll::Pending
            })
        })
        .await
    }

    /// Sets what happens when a task of the set panics. By default only its handle reports it, and the other tasks continue.
    ///
    /// With [`UnhandledPanic::ShutdownRuntime`] the future that runs the set panics too.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Runtime, UnhandledPanic};
    /// use redd::task::{LocalSet, spawn_local};
    /// use std::panic::{AssertUnwindSafe, catch_unwind};
    ///
    /// let runtime = Runtime::new()?;
    /// let mut local = LocalSet::new();
    /// local.unhandled_panic(UnhandledPanic::ShutdownRuntime);
    /// let run = || local.block_on(&runtime, async {
    ///     spawn_local(async { panic!("a bug") });
    ///     std::future::pending::<()>().await;
    /// });
    /// assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn unhandled_panic(&mut self, policy: UnhandledPanic) -> &mut Self {
        *self.inner.shared.unhandled_panic.lock() = policy;
        self
    }

    /// Returns the set's id. Sets and runtimes of a process have different ids.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Runtime;
    /// use redd::task::LocalSet;
    ///
    /// let (runtime, local) = (Runtime::new()?, LocalSet::new());
    /// assert_ne!(local.id(), runtime.handle().id());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn id(&self) -> Id {
        self.inner.shared.id
    }
}

impl Inner {
    fn spawn<F>(&self, future: F, name: Option<Arc<str>>, location: &'static Location<'static>) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let values = Inherited::capture(inherits_span());
        // SAFETY: `own-thread`: the set is here, and neither it nor the handle of an output that is not `Send` leaves.
        let (runnable, handle) =
            unsafe { cell::allocate::<F, false>(&self.shared.slab, values, future, name, location) };
        record(EventKind::Spawn, &runnable);
        if self.shared.remote.lock().is_none() {
            runnable.cancel();
        } else {
            self.queue.borrow_mut().push_back(runnable);
            if !self.is_ticking.get() {
                self.shared.waker.wake();
            }
        }
        handle
    }

    fn enter(self: &Rc<Self>) -> LocalEnterGuard {
        LocalEnterGuard { before: CURRENT.replace(Rc::into_raw(Rc::clone(self))) }
    }

    /// The current set of this thread.
    fn current() -> Option<Rc<Self>> {
        let current = CURRENT.get();
        if current.is_null() {
            return None;
        }
        // SAFETY: `current-is-alive`: it came from `Rc::into_raw`; its reference stays with the thread-local.
        let borrowed = ManuallyDrop::new(unsafe { Rc::from_raw(current) });
        Some(Rc::clone(&borrowed))
    }

    fn with_current<R>(self: &Rc<Self>, f: impl FnOnce() -> R) -> R {
        let _entered = self.enter();
        self.listed.runs_in(current::parts().addr());
        let _pinned = (current::entered() == Entered::Yes).then(|| current::mark(Entered::NoBlockInPlace));
        f()
    }

    fn next(&self) -> Option<Runnable> {
        let tick = self.tick.get();
        self.tick.set(tick.wrapping_add(1));
        let from_remote = || self.shared.remote.lock().as_mut().and_then(VecDeque::pop_front);
        if tick % REMOTE_FIRST_INTERVAL == 0 {
            from_remote().or_else(|| self.queue.borrow_mut().pop_front())
        } else {
            let own = self.queue.borrow_mut().pop_front();
            own.or_else(from_remote)
        }
    }

    /// Lets another thread of the world run, if the seed says so. Then chooses one of the set's tasks that are ready, unless the host has
    /// crashed meanwhile.
    #[cold]
    fn next_in_world(&self, baton: &Baton) -> Option<Runnable> {
        Baton::maybe_pass();
        // A destructor may run a set while the end of its host unwinds.
        if baton::is_dead() && !thread::is_unwinding() {
            return None;
        }
        let remote = self.shared.remote.lock().as_mut().map(std::mem::take).unwrap_or_default();
        let mut queue = self.queue.borrow_mut();
        queue.extend(remote);
        let id = |runnable: &Runnable| runnable.task().id().number();
        let ids: Vec<_> = queue.iter().filter(|_| baton.ranks_tasks()).map(id).collect();
        let chosen = baton.choose_task(queue.len(), &ids);
        let name = |runnable: &Runnable| baton.name_task(id(runnable), &runnable.task().info());
        let first = queue.front().filter(|_| chosen > 0 && baton.keeps_words()).map(name);
        // Those before it go to the end, as in the queue of a worker.
        queue.rotate_left(chosen);
        let next = queue.pop_front()?;
        if let Some(first) = first {
            let next = name(&next);
            baton.describe_choice(&|| format!("{next} runs before {first}"));
        }
        Some(next)
    }

    /// Runs some tasks. Returns true if more may be queued.
    fn tick(&self) -> bool {
        struct Ticking<'a>(&'a Cell<bool>);
        impl Drop for Ticking<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.is_ticking.set(true);
        let _ticking = Ticking(&self.is_ticking);
        // Each task takes the note of its own poll. That of the future that runs the set is kept for its own task.
        let _noted = waiting::Kept::take();
        let world = if baton::is_any() { baton::current() } else { None };
        for _ in 0..TASKS_PER_TICK {
            assert!(
                !self.shared.has_unhandled_panic.load(Ordering::Relaxed),
                "a spawned task panicked and the LocalSet is configured to shutdown on unhandled panic. The task's \
                 panic was printed above; fix it, or use `UnhandledPanic::Ignore`."
            );
            let next = match &world {
                Some(baton) => self.next_in_world(baton),
                None => self.next(),
            };
            let Some(runnable) = next else {
                return false;
            };
            let simulated = world.as_ref().map(|baton| PollInWorld::begin(baton, &runnable));
            let recorded = recorder::is_full().then(|| RecordedPoll::begin(&runnable));
            let ran = runnable.run();
            if let Some(recorded) = recorded {
                recorded.end(&ran);
            }
            if let Some(simulated) = simulated {
                simulated.end(&ran);
            }
            match ran {
                Ran::Done => {}
                Ran::Requeue(runnable) | Ran::Yielded(runnable) => self.queue.borrow_mut().push_back(runnable),
            }
        }
        true
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.with_current(|| {
            self.inner.shared.waker.register(cx.waker());
            if self.inner.tick() {
                cx.waker().wake_by_ref();
                Poll::Pending
            } else if self.inner.shared.slab.alive() == 0 {
                Poll::Ready(())
            } else {
                waiting::record(WaitKind::Join, Some(self.location));
                Poll::Pending
            }
        })
    }
}

impl Default for LocalSet {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

debug_struct!([] LocalSet as "LocalSet", self => { id: self.id(), .. });

impl Drop for LocalSet {
    fn drop(&mut self) {
        let inner = &self.inner;
        inner.with_current(|| {
            let remote = inner.shared.remote.lock().take();
            // These are only references; the walk below drops the futures.
            drop(remote);
            drop(std::mem::take(&mut *inner.queue.borrow_mut()));
            // SAFETY: `own-thread`.
            unsafe { inner.shared.slab.cancel_all() };
            drop(std::mem::take(&mut *inner.queue.borrow_mut()));
        });
        drop(inner.shared.waker.take());
        inner.shared.slab.close();
    }
}

/// Makes a set the current one of this thread until it is dropped. Created by [`LocalSet::enter`].
pub struct LocalEnterGuard {
    /// The set that was current before, with the reference that the thread-local owned.
    before: *const Inner,
}

impl Drop for LocalEnterGuard {
    fn drop(&mut self) {
        let current = CURRENT.replace(self.before);
        if !current.is_null() {
            // SAFETY: `current-is-alive`: we took its reference over.
            drop(unsafe { Rc::from_raw(current) });
        }
    }
}

debug_struct!([] LocalEnterGuard as "LocalEnterGuard", self => { .. });

/// Spawns a task that need not be `Send` onto the current [`LocalSet`] or local runtime.
///
/// Dropping the handle detaches the task. A task of a `LocalSet` runs only while its set does.
///
/// # Panics
/// Panics outside of a `LocalSet` and of a local runtime.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// redd::runtime::LocalRuntime::new().unwrap().block_on(async {
///     let text = Rc::new("not Send");
///     let task = redd::task::spawn_local(async move { text.len() });
///     assert_eq!(task.await.unwrap(), 8);
/// });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    spawn_local_named(future, None, Location::caller())
}

#[track_caller]
pub(crate) fn spawn_local_named<F>(
    future: F,
    name: Option<Arc<str>>,
    location: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    // A local runtime comes before a set that is current inside of it, as in Tokio: its tasks outlive the set.
    let local = enter::with_current(|shared| (shared.config.flavor == Flavor::Local).then(|| shared.clone())).flatten();
    if let Some(shared) = local.as_ref().filter(|shared| shared.is_local_here()) {
        // SAFETY: this is the thread of the local runtime.
        return unsafe { shared.spawn_unchecked(future, name, location) };
    }
    if let Some(inner) = Inner::current() {
        return inner.spawn(future, name, location);
    }
    if local.is_some() {
        panic!(
            "`spawn_local` was called on thread `{}` for a runtime of another thread. Local tasks can only be spawned on a \
             LocalRuntime from the thread the runtime was created on; use `Handle::spawn` for a `Send` future.",
            thread::current_name()
        );
    }
    panic!(
        "thread `{}`: `spawn_local` called from outside of a `task::LocalSet` or `runtime::LocalRuntime`, so no task \
         that is not `Send` can run here. Call it inside `LocalSet::run_until`, or use `spawn` for a `Send` future.",
        thread::current_name()
    )
}

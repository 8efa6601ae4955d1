//! Cancel scopes: whether the tasks of a group should end, and why.
//!
//! Called by user code, and by every file of task groups. Each group has one scope. Its tasks find the scope in a thread-local
//! while they are polled, so no function has to pass a token on.
//!
//! ```text
//!   RUNNING ──request──▶ REQUESTED ──stop──▶ STOPPING
//!            (`cancelled` returns)   (tasks are dropped, unless a shield protects them)
//! ```
//! Between the two steps is the group's grace period.
//!
//! # Invariants
//! - `swapped-back`: the function that swaps a context into the thread-local swaps it out before it returns, also in a panic.
//! - `first-reason`: a scope keeps the reason of the first request.
//! - `told-once`: a child is registered before or after its parent's request. Before: the request reaches it. After: the
//!   registration returns the reason.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::{Arc, OnceLock, Weak};

use super::phases_report::Left;
use crate::observe::coarse;
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::primitives::{Mutex, thread_local};
use crate::sync::wait_list::{CallSite, WaitList};
use crate::sync::wait_until::wait_until;
use crate::task::Id;
use crate::task::current::id_or_zero;

/// Why a task was cancelled.
///
/// # Examples
/// ```
/// use redd::group::{Reason, TaskGroup};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::<()>::new();
/// group.spawn(std::future::pending());
/// group.cancel("the user pressed Ctrl-C");
/// let error = group.next().await.unwrap().unwrap_err();
/// assert_eq!(error.reason(), Some(&Reason::from("the user pressed Ctrl-C")));
/// # });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The program asked for it, with this text.
    Requested(Cow<'static, str>),
    /// The time of the group was over.
    Deadline,
    /// Another task of the group panicked or returned an error. This is its id.
    SiblingFailed(Id),
    /// The [`TaskGroup`](super::TaskGroup) was dropped.
    Dropped,
    /// The task itself was aborted, with [`AbortHandle::abort`](crate::task::AbortHandle::abort).
    Aborted,
    /// The runtime was shut down.
    Shutdown,
    /// Its phase of the shutdown was over. This is the name of the phase; see [`Phases`](super::Phases).
    Phase(Cow<'static, str>),
    /// A clean-up did not end within its time; see [`TaskGroup::defer`](super::TaskGroup::defer).
    CleanUpTooLong,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested(text) => f.write_str(text),
            Self::Deadline => f.write_str("the time of its group was over"),
            Self::SiblingFailed(id) => write!(f, "task {id} of its group failed"),
            Self::Dropped => f.write_str("its group was dropped"),
            Self::Aborted => f.write_str("it was aborted"),
            Self::Shutdown => f.write_str("its runtime was shut down"),
            Self::Phase(name) => write!(f, "the phase `{name}` of the shutdown was over"),
            Self::CleanUpTooLong => f.write_str("it is a clean-up that did not end within its time"),
        }
    }
}

impl std::error::Error for Reason {}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self::Requested(Cow::Borrowed(text))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::Requested(Cow::Owned(text))
    }
}

const RUNNING: u8 = 0;
const REQUESTED: u8 = 1;
const STOPPING: u8 = 2;

/// How far a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum ScopeStage {
    /// Its tasks should end, and may take the grace period for it.
    Requested = REQUESTED,
    /// Its tasks are dropped.
    Stopping = STOPPING,
}

/// A group that a scope belongs to.
pub(super) trait CancelTarget: Send + Sync {
    fn scope(&self) -> &Scope;
    fn name(&self) -> Option<Arc<str>>;
    /// Does what follows from a request. `is_first`: it was the first one.
    fn requested(self: Arc<Self>, is_first: bool);
    /// A group that was made inside is about to close. This one is not done before it.
    fn inner_closes(&self, key: InnerKey, inner: ClosingInside);
    /// A group that was made inside is done. Returns the next group for which that holds, and what to tell it.
    fn inner_is_done(self: Arc<Self>, key: InnerKey) -> Option<(Arc<dyn CancelTarget>, InnerKey)>;
    /// Describes its tasks and clean-ups that are left. Returns the groups made inside that close and have no phase.
    fn left_here(&self) -> (Vec<Left>, Vec<Arc<dyn CancelTarget>>);
}

/// A group inside of another one that closes.
pub(super) struct ClosingInside {
    pub(super) group: Weak<dyn CancelTarget>,
    /// It has a phase of its own, which waits for it and lists what is left of it.
    pub(super) is_in_phase: bool,
}

/// Which of the groups inside of another one that close: the address of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InnerKey(usize);

/// Cancels a group, and the groups that were made inside of it. First all of them know the reason, then the innermost stop first.
///
/// Without recursion, because groups may be nested as deeply as memory allows.
pub(super) fn cancel_all(first: Arc<dyn CancelTarget>, reason: &Reason) {
    let mut inside = Vec::new();
    let is_first = request(&first, reason, &mut inside);
    let mut next = 0;
    while let Some((target, _)) = inside.get(next) {
        let target = Arc::clone(target);
        let is_first = request(&target, reason, &mut inside);
        inside[next].1 = is_first;
        next += 1;
    }
    for (target, is_first) in inside.into_iter().rev() {
        target.requested(is_first);
    }
    first.requested(is_first);
}

/// Adds the groups that were made in `target` to `inside`. Returns whether it was the first request.
fn request(target: &Arc<dyn CancelTarget>, reason: &Reason, inside: &mut Vec<(Arc<dyn CancelTarget>, bool)>) -> bool {
    let Some(children) = target.scope().request(reason) else { return false };
    inside.extend(children.into_values().filter_map(|child| Some((child.upgrade()?, false))));
    true
}

type Children = BTreeMap<u64, Weak<dyn CancelTarget>>;

pub(super) struct Scope {
    stage: AtomicU8,
    /// Tasks with lower numbers may run. Only for groups with a limit.
    granted: AtomicU64,
    inner: Mutex<ScopeInner>,
    waiters: WaitList,
    target: OnceLock<Weak<dyn CancelTarget>>,
    /// The scope in which this one was made, and its key there. None for a scope that was made inside of a shield.
    parent: OnceLock<(Arc<Scope>, u64)>,
    /// The program has had a `CancelScope` of it.
    is_handed_out: AtomicBool,
    /// The group in which this one was made.
    outer: OnceLock<Weak<dyn CancelTarget>>,
    pub(super) created_at: &'static Location<'static>,
}

struct ScopeInner {
    reason: Option<Reason>,
    /// When that was, on the coarse clock, for dumps.
    requested_ms: u32,
    next_child: u64,
    children: Children,
}

impl Scope {
    pub(super) fn new(created_at: &'static Location<'static>) -> Arc<Self> {
        Arc::new(Self {
            stage: AtomicU8::new(RUNNING),
            granted: AtomicU64::new(1),
            inner: Mutex::new(ScopeInner { reason: None, requested_ms: 0, next_child: 0, children: BTreeMap::new() }),
            waiters: WaitList::new(()),
            target: OnceLock::new(),
            parent: OnceLock::new(),
            is_handed_out: AtomicBool::new(false),
            outer: OnceLock::new(),
            created_at,
        })
    }

    /// Tells the scope its group, as the first call. If the scope that this thread is in has been cancelled, this returns the
    /// reason.
    pub(super) fn attach(self: &Arc<Self>, target: Weak<dyn CancelTarget>) -> Option<Reason> {
        let around = Context::with_current(|context| (Arc::clone(&context.scope), context.depth == 0));
        if let Some(outer) = around.as_ref().and_then(|(scope, _)| scope.target.get()) {
            let _ = self.outer.set(Weak::clone(outer));
        }
        let parent = around.filter(|(_, is_cancelled_together)| *is_cancelled_together).map(|(scope, _)| scope);
        let registered = parent.map(|parent| {
            let mut inner = parent.inner.lock();
            let key = inner.next_child;
            inner.next_child += 1;
            // `told-once`
            if inner.reason.is_none() {
                inner.children.insert(key, Weak::clone(&target));
            }
            let reason = inner.reason.clone();
            drop(inner);
            (parent, key, reason)
        });
        // All are set once: the caller has just made the scope.
        let _ = self.target.set(target);
        let (parent, key, reason) = registered?;
        let _ = self.parent.set((parent, key));
        reason
    }

    /// The key of its group in the group around it.
    pub(super) fn inner_key(&self) -> InnerKey {
        InnerKey(std::ptr::from_ref(self).addr())
    }

    /// The group in which this one was made, if it still exists.
    pub(super) fn outer(&self) -> Option<Arc<dyn CancelTarget>> {
        self.outer.get().and_then(Weak::upgrade)
    }

    #[inline]
    fn reached(&self, stage: ScopeStage) -> bool {
        // Acquire: the reason is visible. Pairs with Release in `Scope::advance`.
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.reached(ScopeStage::Requested)
    }

    #[inline]
    pub(super) fn is_stopping(&self) -> bool {
        self.reached(ScopeStage::Stopping)
    }

    /// Whether the task with that number may run. Task 0 has no limit.
    #[inline]
    pub(super) fn is_granted(&self, number: u64) -> bool {
        // Acquire: what happened before the grant is visible. Pairs with Release in `Scope::grant`.
        number == 0 || number < self.granted.load(Ordering::Acquire)
    }

    /// Lets the task with that number run, like those before it. The caller wakes it afterwards, and calls this in the order of
    /// the numbers, under a lock.
    pub(super) fn grant(&self, number: u64) {
        // Release: what happened before is visible to the task. Pairs with Acquire in `Scope::is_granted`.
        self.granted.store(number + 1, Ordering::Release);
    }

    /// The reason of the first request.
    pub(super) fn reason(&self) -> Option<Reason> {
        if self.is_cancelled() { self.inner.lock().reason.clone() } else { None }
    }

    /// The reason of the first request as text, and when that was, on the coarse clock of the process.
    pub(super) fn describe_request(&self) -> Option<(String, u32)> {
        let (reason, requested_ms) = {
            let inner = self.inner.lock();
            (inner.reason.clone()?, inner.requested_ms)
        };
        Some((reason.to_string(), requested_ms))
    }

    /// A handle with which the program can cancel the group.
    pub(super) fn hand_out(self: &Arc<Self>) -> CancelScope {
        // Relaxed, here and below: dumps only show it.
        self.is_handed_out.store(true, Ordering::Relaxed);
        CancelScope(Arc::clone(self))
    }

    pub(super) fn is_handed_out(&self) -> bool {
        self.is_handed_out.load(Ordering::Relaxed)
    }

    /// The name of its group.
    pub(super) fn group_name(&self) -> Option<Arc<str>> {
        self.target.get().and_then(Weak::upgrade)?.name()
    }

    /// The scope in which this one was made.
    pub(super) fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.get().map(|(parent, _)| parent)
    }

    /// Cancels the group, and the groups that were made inside of it.
    pub(super) fn cancel(&self, reason: &Reason) {
        if let Some(target) = self.target.get().and_then(Weak::upgrade) {
            cancel_all(target, reason);
        }
    }

    /// Records a request, and returns the groups that were made inside. `None` if there was a request before (`first-reason`).
    fn request(&self, reason: &Reason) -> Option<Children> {
        let children = {
            let mut inner = self.inner.lock();
            if inner.reason.is_some() {
                return None;
            }
            inner.reason = Some(reason.clone());
            inner.requested_ms = coarse::now_ms();
            self.advance(ScopeStage::Requested);
            std::mem::take(&mut inner.children)
        };
        self.waiters.lock().notify_all();
        Some(children)
    }

    /// The tasks are dropped from now on. The caller wakes them afterwards.
    pub(super) fn stop(&self) {
        self.advance(ScopeStage::Stopping);
    }

    /// Wakes what waits for the scope to stop.
    pub(super) fn notify_stopped(&self) {
        self.waiters.lock().notify_all();
    }

    fn advance(&self, stage: ScopeStage) {
        // Release: publishes the reason, which was set under the lock. Pairs with Acquire in `Scope::reached`.
        self.stage.fetch_max(stage as u8, Ordering::Release);
    }

    /// Waits until the scope has reached a stage. Dumps show the wait as one of this kind.
    pub(super) fn wait(
        &self,
        stage: ScopeStage,
        kind: WaitKind,
        location: CallSite,
    ) -> impl Future<Output = ()> + Send {
        let has_reached = move || self.reached(stage).then_some(());
        wait_until(&self.waiters, kind, location, has_reached, move |_| has_reached())
    }

    /// Whether `other` is this scope, or one around it.
    fn is_inside(&self, other: &Self) -> bool {
        let mut scope = self;
        loop {
            if std::ptr::eq(scope, other) {
                return true;
            }
            match scope.parent.get() {
                Some((parent, _)) => scope = parent,
                None => return false,
            }
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // Without recursion, as in `cancel_all`.
        let mut parent = self.parent.take();
        while let Some((scope, key)) = parent {
            let child = scope.inner.lock().children.remove(&key);
            drop(child);
            parent = Arc::into_inner(scope).and_then(|mut scope| scope.parent.take());
        }
    }
}

/// The number of shields that protect a task. They entered in polls of that task.
#[derive(Default)]
pub(super) struct Shields(AtomicU32);

impl Shields {
    /// A shield begins. Called inside a poll of the task.
    pub(super) fn enter(&self) {
        // Relaxed: the task itself reads it, in a poll. Polls of a task are ordered.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A shield ends. Outside of a poll of the task, the caller wakes the task afterwards.
    pub(super) fn leave(&self) {
        // Relaxed: as above. The wake orders it before the poll that follows.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// What a task of a group carries: its scope, and how it is protected.
pub(super) struct Context {
    pub(super) scope: Arc<Scope>,
    kind: ContextKind,
    /// The task, or the closure as a task. 0 before it is first entered.
    task: u64,
    /// Made by the first shield.
    shields: Option<Arc<Shields>>,
    /// The number of shields around the code that runs. A clean-up counts as one.
    depth: u32,
}

/// What carries a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContextKind {
    /// A stop of the group drops it.
    Task,
    /// A stop does not end it: a closure or a clean-up. Shields in it have nothing to protect from.
    Lasting,
}

thread_local! {
    /// The context of the group's task whose code runs on this thread. Without a destructor, like redd's other thread-locals:
    /// `swapped-back` leaves nothing behind.
    static CURRENT: RefCell<ManuallyDrop<Option<Context>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

impl Context {
    pub(super) fn new(scope: Arc<Scope>) -> Self {
        Self { scope, kind: ContextKind::Task, task: 0, shields: None, depth: 0 }
    }

    /// The context of a blocking closure.
    pub(super) fn of_closure(scope: Arc<Scope>) -> Self {
        Self { kind: ContextKind::Lasting, ..Self::new(scope) }
    }

    /// The context of a clean-up.
    pub(super) fn of_clean_up(scope: Arc<Scope>) -> Self {
        Self { kind: ContextKind::Lasting, depth: 1, ..Self::new(scope) }
    }

    /// Whether the task is to be dropped now.
    #[inline]
    pub(super) fn must_stop(&self) -> bool {
        self.scope.is_stopping() && self.shields.as_ref().is_none_or(|shields| shields.is_empty())
    }

    /// Runs `f` with this context as the one of the thread. The caller is in a poll of the context's task.
    #[inline]
    pub(super) fn enter<R>(context: &mut Option<Self>, f: impl FnOnce() -> R) -> R {
        if let Some(context) = context.as_mut().filter(|context| context.task == 0) {
            context.task = id_or_zero();
        }
        let swap = |context: &mut Option<Self>| {
            CURRENT.with(|current| std::mem::swap(&mut **current.borrow_mut(), context));
        };
        /// `swapped-back`
        struct SwapBack<'a, S: Fn(&mut Option<Context>)>(&'a mut Option<Context>, S);
        impl<S: Fn(&mut Option<Context>)> Drop for SwapBack<'_, S> {
            fn drop(&mut self) {
                (self.1)(self.0);
            }
        }
        swap(context);
        let _swap_back = SwapBack(context, swap);
        f()
    }

    /// Calls `f` with the context of the current task. It must not run user code.
    ///
    /// The code of one task may run another one on this thread: it may block on a runtime. The context is not that task's.
    fn with_current<R>(f: impl FnOnce(&mut Self) -> R) -> Option<R> {
        CURRENT.with(|current| current.borrow_mut().as_mut().filter(|context| context.task == id_or_zero()).map(f))
    }

    /// The scope and the shields of the current task. `None` if no stop of its group drops it.
    pub(super) fn current_shields() -> Option<(Arc<Scope>, Arc<Shields>)> {
        let shields = Self::with_current(|context| {
            let is_task = context.kind == ContextKind::Task;
            is_task.then(|| (Arc::clone(&context.scope), Arc::clone(context.shields.get_or_insert_with(Arc::default))))
        });
        shields.flatten()
    }

    /// Whether these are the shields of the current task.
    pub(super) fn is_protected_by(shields: &Arc<Shields>) -> bool {
        let is_own =
            Self::with_current(|context| context.shields.as_ref().is_some_and(|own| Arc::ptr_eq(own, shields)));
        is_own.unwrap_or(false)
    }

    /// The scope of the task that runs on this thread.
    pub(super) fn current_scope() -> Option<Arc<Scope>> {
        Self::with_current(|context| Arc::clone(&context.scope))
    }

    /// Runs `f` as code inside a shield.
    pub(super) fn inside_shield<R>(f: impl FnOnce() -> R) -> R {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                Context::with_current(|context| context.depth -= 1);
            }
        }
        let _leave = Self::with_current(|context| context.depth += 1).map(|()| Leave);
        f()
    }

    /// Whether this thread runs code of a task of that scope, or of a group inside of it.
    pub(super) fn is_inside(scope: &Scope) -> bool {
        Self::with_current(|context| context.scope.is_inside(scope)).unwrap_or(false)
    }
}

/// Waits until the group of the current task is cancelled, and returns the reason.
///
/// A task of a group is dropped at its next `.await` after the cancellation, unless the group has a
/// [grace period](super::TaskGroupBuilder::grace) or a [`shield`](super::shield()) protects the task. So this is for tasks that
/// have one of these, and want to end by themselves.
///
/// Outside of a group's task and of its [`spawn_blocking`](super::TaskGroup::spawn_blocking) it waits forever. A task that is
/// spawned with [`redd::spawn`](crate::spawn) or `spawn_local` belongs to no group, also if a group's task spawns it.
///
/// # Cancel safety
/// Nothing is lost if the future is dropped.
///
/// # Examples
/// ```
/// use redd::group::{self, TaskGroup};
/// use redd::time::Duration;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::builder().grace(Duration::from_secs(5)).start();
/// group.spawn(async {
///     let reason = group::cancelled().await;
///     format!("wrote a last line: {reason}")
/// });
/// group.cancel("enough");
/// assert_eq!(group.next().await.unwrap().unwrap(), "wrote a last line: enough");
/// # });
/// ```
#[track_caller]
pub fn cancelled() -> impl Future<Output = Reason> + Send {
    let location = Location::caller();
    async move {
        let Some(scope) = Context::current_scope() else {
            return std::future::pending().await;
        };
        wait_for_reason(&scope, location).await
    }
}

async fn wait_for_reason(scope: &Scope, location: &'static Location<'static>) -> Reason {
    scope.wait(ScopeStage::Requested, WaitKind::Cancelled, Some(location)).await;
    scope.reason().unwrap_or(Reason::Dropped)
}

/// Returns whether the group of the current task, or of the current blocking closure, is cancelled. False outside of a group.
///
/// # Examples
/// ```
/// use redd::group::{self, TaskGroup};
///
/// # redd::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::new();
/// let (start, started) = redd::sync::oneshot::channel();
/// group.spawn_blocking(|| {
///     start.send(()).unwrap();
///     // A closure cannot be dropped: it has to ask.
///     while !group::is_cancelled() {
///         std::thread::yield_now();
///     }
/// });
/// started.await.unwrap();
/// group.cancel("enough");
/// assert!(group.next().await.unwrap().is_ok());
/// assert!(!group::is_cancelled(), "this code is in no group");
/// # });
/// ```
pub fn is_cancelled() -> bool {
    Context::with_current(|context| context.scope.is_cancelled()).unwrap_or(false)
}

/// A handle to the cancellation of a group: for code that has no access to the group, such as a signal handler.
///
/// It does not keep the group or its tasks alive.
///
/// # Examples
/// ```
/// use redd::group::TaskGroup;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let group = TaskGroup::<()>::new();
/// let scope = group.scope();
/// group.spawn(std::future::pending());
/// let outside = redd::spawn(async move {
///     scope.cancel("asked from outside");
///     scope.cancelled().await
/// });
/// assert_eq!(group.close().await.unwrap_err().reason(), Some(&outside.await.unwrap()));
/// # });
/// ```
#[derive(Clone)]
pub struct CancelScope(Arc<Scope>);

impl CancelScope {
    /// Returns the scope of the current task, or of the current blocking closure. `None` outside of a group.
    ///
    /// # Examples
    /// ```
    /// use redd::group::{CancelScope, TaskGroup};
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// assert!(CancelScope::current().is_none());
    /// let group = TaskGroup::<()>::new();
    /// group.spawn(async {
    ///     CancelScope::current().unwrap().cancel("a task asks its own group to end");
    ///     std::future::pending().await
    /// });
    /// assert!(group.close().await.unwrap_err().to_string().ends_with("a task asks its own group to end"));
    /// # });
    /// ```
    pub fn current() -> Option<Self> {
        Context::current_scope().map(|scope| scope.hand_out())
    }

    /// Cancels the group; see [`TaskGroup::cancel`](super::TaskGroup::cancel).
    pub fn cancel(&self, reason: impl Into<Reason>) {
        self.0.cancel(&reason.into());
    }

    /// Returns whether the group is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns why the group was cancelled. `None` if it was not.
    pub fn reason(&self) -> Option<Reason> {
        self.0.reason()
    }

    /// Waits until the group is cancelled, and returns the reason. If the group is closed without that, it waits forever.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    #[track_caller]
    pub fn cancelled(&self) -> impl Future<Output = Reason> + Send + use<> {
        let (scope, location) = (Arc::clone(&self.0), Location::caller());
        async move { wait_for_reason(&scope, location).await }
    }
}

debug_struct!([] CancelScope as "CancelScope", self => { reason: self.reason(), .. });

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::{Context as TaskContext, Poll, Waker};

    /// A group that records what it is told.
    struct Group {
        scope: Arc<Scope>,
        told: Mutex<Vec<bool>>,
        log: Arc<Mutex<Vec<&'static str>>>,
        name: &'static str,
    }

    impl CancelTarget for Group {
        fn scope(&self) -> &Scope {
            &self.scope
        }

        fn name(&self) -> Option<Arc<str>> {
            Some(Arc::from(self.name))
        }

        fn requested(self: Arc<Self>, is_first: bool) {
            self.told.lock().push(is_first);
            self.log.lock().push(self.name);
        }

        fn inner_closes(&self, _: InnerKey, _: ClosingInside) {}

        fn inner_is_done(self: Arc<Self>, _: InnerKey) -> Option<(Arc<dyn CancelTarget>, InnerKey)> {
            None
        }

        fn left_here(&self) -> (Vec<Left>, Vec<Arc<dyn CancelTarget>>) {
            (Vec::new(), Vec::new())
        }
    }

    fn scope() -> Arc<Scope> {
        Scope::new(Location::caller())
    }

    /// A group that is made by the code that runs on this thread, and the reason that it is told at once.
    fn group(name: &'static str, log: &Arc<Mutex<Vec<&'static str>>>) -> (Arc<Group>, Option<Reason>) {
        let group = Arc::new(Group { scope: scope(), told: Mutex::default(), log: Arc::clone(log), name });
        let target: Weak<Group> = Arc::downgrade(&group);
        let reason = group.scope.attach(target);
        (group, reason)
    }

    /// Runs `f` as code of a task of that scope.
    fn inside<R>(scope: &Arc<Scope>, f: impl FnOnce() -> R) -> R {
        let mut context = Some(Context::new(Arc::clone(scope)));
        Context::enter(&mut context, f)
    }

    #[test]
    fn a_request_reaches_all_that_is_inside_and_the_innermost_first() {
        let log = Arc::default();
        let (outer, reason) = group("outer", &log);
        assert_eq!(reason, None);
        let (middle, reason) = inside(&outer.scope, || group("middle", &log));
        assert_eq!(reason, None);
        let (inner, _) = inside(&middle.scope, || group("inner", &log));
        let (beside, _) = group("beside", &log);
        outer.scope.cancel(&"first".into());
        assert_eq!(*log.lock(), ["inner", "middle", "outer"]);
        for group in [&outer, &middle, &inner] {
            assert_eq!(group.scope.reason(), Some("first".into()));
            assert!(group.scope.is_cancelled() && !group.scope.is_stopping());
            assert_eq!(*group.told.lock(), [true]);
        }
        assert!(!beside.scope.is_cancelled());
        assert_eq!(beside.scope.reason(), None);
    }

    #[test]
    fn the_first_reason_stays_and_a_later_request_is_known_as_such() {
        let log = Arc::default();
        let (outer, _) = group("outer", &log);
        let (inner, _) = inside(&outer.scope, || group("inner", &log));
        inner.scope.cancel(&"inside".into());
        outer.scope.cancel(&"outside".into());
        outer.scope.cancel(&"later".into());
        assert_eq!(inner.scope.reason(), Some("inside".into()));
        assert_eq!(outer.scope.reason(), Some("outside".into()));
        assert_eq!((&*inner.told.lock(), &*outer.told.lock()), (&vec![true, false], &vec![true, false]));
        assert_eq!(outer.scope.describe_request().expect("it was requested").0, "outside");
    }

    #[test]
    fn a_group_that_is_made_later_is_told_at_once() {
        let log = Arc::default();
        let (outer, _) = group("outer", &log);
        outer.scope.cancel(&"enough".into());
        let (_inner, reason) = inside(&outer.scope, || group("inner", &log));
        assert_eq!(reason, Some("enough".into()), "`told-once`");
        assert!(outer.scope.inner.lock().children.is_empty(), "`told-once`");
        assert_eq!(*log.lock(), ["outer"]);
    }

    #[test]
    fn a_group_that_is_gone_is_forgotten() {
        let log = Arc::default();
        let (outer, _) = group("outer", &log);
        let (first, _) = inside(&outer.scope, || group("first", &log));
        let (second, _) = inside(&outer.scope, || group("second", &log));
        drop(first);
        assert_eq!(outer.scope.inner.lock().children.len(), 1);
        outer.scope.cancel(&"enough".into());
        assert_eq!(*log.lock(), ["second", "outer"]);
        drop(second);
    }

    #[test]
    fn a_group_that_is_made_in_a_shield_has_an_outer_group_and_is_not_cancelled_with_it() {
        let log = Arc::default();
        let (outer, _) = group("outer", &log);
        let (inner, after) = inside(&outer.scope, || {
            let inner = Context::inside_shield(|| {
                Context::inside_shield(|| ());
                group("inner", &log).0
            });
            let _ = catch_unwind(AssertUnwindSafe(|| Context::inside_shield(|| panic!("in a shield"))));
            (inner, group("after", &log).0)
        });
        outer.scope.cancel(&"enough".into());
        assert!(!inner.scope.is_cancelled());
        assert!(inner.scope.parent().is_none());
        assert_eq!(inner.scope.outer().and_then(|group| group.name()).as_deref(), Some("outer"));
        assert!(after.scope.is_cancelled(), "the shields have ended");
    }

    #[test]
    fn a_clean_up_is_as_in_a_shield_and_a_closure_is_not() {
        let log = Arc::default();
        let (outer, _) = group("outer", &log);
        let contexts = [Context::of_clean_up(Arc::clone(&outer.scope)), Context::of_closure(Arc::clone(&outer.scope))];
        let inner = contexts.map(|context| {
            Context::enter(&mut Some(context), || {
                assert!(Context::current_shields().is_none(), "a stop does not end it");
                group("inner", &log).0
            })
        });
        outer.scope.cancel(&"enough".into());
        assert_eq!(inner.map(|group| group.scope.is_cancelled()), [false, true]);
    }

    #[test]
    fn a_context_is_current_in_its_code_only() {
        let (outer, inner) = (scope(), scope());
        let is_current =
            |scope: &Arc<Scope>| Context::current_scope().is_some_and(|current| Arc::ptr_eq(&current, scope));
        inside(&outer, || {
            assert!(is_current(&outer));
            inside(&inner, || assert!(is_current(&inner)));
            assert!(is_current(&outer));
            let _ = catch_unwind(AssertUnwindSafe(|| inside(&inner, || panic!("in a task"))));
            assert!(is_current(&outer), "`swapped-back`");
        });
        assert!(Context::current_scope().is_none());
        assert!(!is_cancelled());
    }

    #[test]
    fn a_scope_is_inside_of_itself_and_of_those_around_it() {
        let log = Arc::default();
        let (outer, _) = group("outer", &log);
        let (inner, _) = inside(&outer.scope, || group("inner", &log));
        inside(&inner.scope, || {
            assert!(Context::is_inside(&inner.scope) && Context::is_inside(&outer.scope));
            assert!(!Context::is_inside(&scope()));
        });
        inside(&outer.scope, || assert!(!Context::is_inside(&inner.scope)));
        assert!(!Context::is_inside(&outer.scope));
    }

    #[test]
    fn a_task_must_stop_when_its_scope_stops_and_no_shield_is_left() {
        let scope = scope();
        let mut context = Some(Context::new(Arc::clone(&scope)));
        let must_stop = |context: &Option<Context>| context.as_ref().is_some_and(Context::must_stop);
        assert!(scope.request(&"enough".into()).is_some());
        assert!(!must_stop(&context), "there may be a grace period");
        let shields = Context::enter(&mut context, || {
            let (_, shields) = Context::current_shields().expect("it is a task");
            let (_, again) = Context::current_shields().expect("it is a task");
            assert!(Arc::ptr_eq(&shields, &again) && Context::is_protected_by(&shields));
            assert!(!Context::is_protected_by(&Arc::default()));
            shields.enter();
            shields.enter();
            shields
        });
        assert!(!Context::is_protected_by(&shields), "this is another task");
        scope.stop();
        assert!(scope.is_stopping() && scope.is_cancelled());
        assert!(!must_stop(&context));
        shields.leave();
        assert!(!must_stop(&context));
        shields.leave();
        assert!(must_stop(&context));
        assert!(must_stop(&Some(Context::new(scope))), "it never had a shield");
    }

    #[test]
    fn places_are_granted_up_to_a_number() {
        let scope = scope();
        assert_eq!([0, 1, 2].map(|number| scope.is_granted(number)), [true, false, false]);
        scope.grant(1);
        assert_eq!([0, 1, 2].map(|number| scope.is_granted(number)), [true, true, false]);
        scope.grant(5);
        assert_eq!([5, 6].map(|number| scope.is_granted(number)), [true, false]);
    }

    #[test]
    fn a_wait_for_the_cancellation_returns_the_reason() {
        let log = Arc::default();
        let (group, _) = group("group", &log);
        let handle = group.scope.hand_out();
        let mut inside_it = pin!(cancelled());
        let mut outside = pin!(handle.cancelled());
        let mut nowhere = pin!(cancelled());
        let mut context = Some(Context::new(Arc::clone(&group.scope)));
        let mut cx = TaskContext::from_waker(Waker::noop());
        assert!(Context::enter(&mut context, || inside_it.as_mut().poll(&mut cx)).is_pending());
        assert!(outside.as_mut().poll(&mut cx).is_pending() && nowhere.as_mut().poll(&mut cx).is_pending());
        assert!(!handle.is_cancelled() && handle.reason().is_none());
        handle.cancel("enough");
        assert_eq!(Context::enter(&mut context, || inside_it.as_mut().poll(&mut cx)), Poll::Ready("enough".into()));
        assert_eq!(outside.as_mut().poll(&mut cx), Poll::Ready("enough".into()));
        assert!(nowhere.as_mut().poll(&mut cx).is_pending());
        assert!(Context::enter(&mut context, is_cancelled));
    }

    #[test]
    fn a_handle_of_the_program_is_known() {
        let log = Arc::default();
        let (group, _) = group("group", &log);
        assert!(!group.scope.is_handed_out());
        let _handle = inside(&group.scope, CancelScope::current).expect("it is in a group");
        assert!(group.scope.is_handed_out());
        assert_eq!(group.scope.group_name().as_deref(), Some("group"));
        assert!(CancelScope::current().is_none());
    }
}

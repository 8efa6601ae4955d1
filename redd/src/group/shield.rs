//! `shield`: a future that is completed although its task was cancelled.
//!
//! Called by user code. A shield counts in the `Shields` of its task. As long as one does, the task's wrapper (`group_task`) does
//! not drop the task.
//!
//! # Invariants
//! - `left-once`: a shield that has entered leaves once: at its end, when its time is over, or when it is dropped.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::scope::{Context, Scope, ScopeStage, Shields};
use crate::collections::wake_list::wake_guarded;
use crate::observe::overdue::{Overdue, OverdueKind};
use crate::observe::shields;
use crate::observe::waiting::{Kept, WaitKind};
use crate::runtime::Handle;
use crate::task;
use crate::time::sleep::sleep_at;

/// Protects a part of a group's task from cancellation: `future` is completed before the task is dropped.
///
/// - Without a cancellation it is as if `future` was awaited directly.
/// - If the group is cancelled, `future` gets `within` from then on, or from its first poll if that is later. If it does not
///   complete in this time, it is dropped, and the task with it. That is [reported](crate::runtime::Builder::on_overdue), because the
///   error of the task only has the reason of the cancellation.
/// - It protects from the cancellation of the group, of a group around it, and from the drop of the
///   [`TaskGroup`](super::TaskGroup). It does not protect from [`AbortHandle::abort`](crate::task::AbortHandle::abort) and from
///   the end of the runtime.
/// - [`is_cancelled`](super::is_cancelled) and [`cancelled`](super::cancelled) still tell the truth inside. A group that is
///   started inside is not cancelled together with the outer one.
/// - Shields nest, and each has its own time. The task is dropped when the last of them has ended.
/// - Outside of a group's task it protects from nothing: a future whose owner drops it is gone. A clean-up and a blocking closure
///   are not cancelled, so there it is as if `future` was awaited directly.
/// - It protects the task in which it is first polled, also if another task completes it.
///
/// # Panics
/// The future panics when its time begins in a runtime that was built without `enable_time`.
///
/// # Examples
/// ```
/// use redd::group::{TaskGroup, shield};
/// use redd::time::{Duration, sleep};
///
/// # redd::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let (sender, receiver) = redd::sync::oneshot::channel();
/// let group = TaskGroup::new();
/// group.spawn(async move {
///     shield(Duration::from_secs(5), async move {
///         sleep(Duration::from_secs(2)).await; // For example, the commit of a transaction.
///         sender.send("committed").unwrap();
///     })
///     .await;
///     std::future::pending::<()>().await;
/// });
/// redd::task::yield_now().await;
/// group.cancel("shutdown");
/// assert!(group.close().await.is_err());
/// assert_eq!(receiver.await.unwrap(), "committed");
/// # });
/// ```
#[track_caller]
pub fn shield<F: IntoFuture>(within: Duration, future: F) -> Shield<F::IntoFuture> {
    Shield { future: Some(future.into_future()), within, guard: None, was_polled: false, location: Location::caller() }
}

pin_project! {
    /// The future of [`shield`].
    #[must_use = "a future does nothing until it is awaited"]
    pub struct Shield<F> {
        #[pin]
        future: Option<F>,
        within: Duration,
        // Leaves the shield when dropped (`left-once`). `None` outside of a group, and after the end.
        guard: Option<Guard>,
        was_polled: bool,
        location: &'static Location<'static>,
    }
}

/// A shield that has entered.
struct Guard {
    shields: Arc<Shields>,
    scope: Arc<Scope>,
    /// That of the task. Set when the shield first waits.
    waker: Option<Waker>,
    /// Completes when the time is over. Made when the shield first waits.
    expiry: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shields.leave();
        if !Context::is_protected_by(&self.shields) {
            // Another task had it, or the task is being dropped. The task may have to stop now.
            wake_guarded(self.waker.take());
        }
    }
}

impl Guard {
    fn enter() -> Option<Self> {
        let (scope, shields) = Context::current_shields()?;
        shields.enter();
        Some(Self { shields, scope, waker: None, expiry: None })
    }

    fn poll_expired(
        &mut self,
        within: Duration,
        location: &'static Location<'static>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        let is_new = self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker()));
        if is_new && Context::is_protected_by(&self.shields) {
            self.waker = Some(cx.waker().clone());
        }
        let scope = &self.scope;
        let expiry = self.expiry.get_or_insert_with(|| {
            let scope = Arc::clone(scope);
            Box::pin(async move {
                scope.wait(ScopeStage::Stopping, WaitKind::Shield, Some(location)).await;
                shields::begin_time_at(location);
                sleep_at(within, location).await;
            })
        });
        // A reader of a dump wants to see what the future inside waits for.
        let _kept = Kept::take();
        expiry.as_mut().poll(cx)
    }
}

impl Guard {
    /// The time was over: what the future did is incomplete, and no call returns that.
    fn report(self, within: Duration, made_at: &'static Location<'static>) {
        let kind = OverdueKind::Shield { task: task::try_id(), made_at, within };
        let (group, group_created_at) = (self.scope.group_name(), self.scope.created_at);
        let runtime = Handle::try_current().ok();
        let config = runtime.as_ref().map(|runtime| &runtime.shared.config);
        let (hook, name) = config.map_or((None, None), |config| (config.on_overdue.as_ref(), config.name.as_deref()));
        Overdue { kind, group, group_created_at }.deliver(hook, name);
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if !std::mem::replace(this.was_polled, true) {
            *this.guard = Guard::enter();
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // Its time was over. The task is dropped when no other shield protects it.
            return Poll::Pending;
        };
        if let Poll::Ready(output) = Context::inside_shield(|| future.poll(cx)) {
            *this.guard = None;
            return Poll::Ready(output);
        }
        if this.guard.as_mut().is_some_and(|guard| guard.poll_expired(*this.within, this.location, cx).is_ready()) {
            this.future.set(None);
            if let Some(guard) = this.guard.take() {
                guard.report(*this.within, this.location);
            }
        }
        Poll::Pending
    }
}

debug_struct!([F] Shield<F> as "Shield", self => { within: self.within, location: self.location, .. });

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    const LONG: Duration = Duration::from_secs(1000);

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task of a group, and how often it was woken.
    struct Task {
        context: Option<Context>,
        wakes: Arc<Wakes>,
        waker: Waker,
    }

    impl Task {
        fn new(scope: &Arc<Scope>) -> Self {
            let wakes = Arc::<Wakes>::default();
            Self { context: Some(Context::new(Arc::clone(scope))), waker: Waker::from(Arc::clone(&wakes)), wakes }
        }

        fn poll<F: Future>(&mut self, future: Pin<&mut F>) -> Poll<F::Output> {
            let mut cx = TaskContext::from_waker(&self.waker);
            Context::enter(&mut self.context, || future.poll(&mut cx))
        }

        fn must_stop(&self) -> bool {
            self.context.as_ref().is_some_and(Context::must_stop)
        }

        fn wakes(&self) -> usize {
            self.wakes.0.load(Ordering::Relaxed)
        }
    }

    fn scope() -> Arc<Scope> {
        Scope::new(Location::caller())
    }

    #[test]
    fn a_shield_protects_from_its_first_poll_to_its_end() {
        let scope = scope();
        let mut task = Task::new(&scope);
        let (mut first, mut second) =
            (Box::pin(shield(LONG, pending::<()>())), Box::pin(shield(LONG, pending::<()>())));
        assert!(task.poll(first.as_mut()).is_pending() && task.poll(second.as_mut()).is_pending());
        assert!(task.poll(first.as_mut()).is_pending(), "it enters once");
        scope.stop();
        assert!(!task.must_stop());
        drop(first);
        assert!(!task.must_stop(), "there is another one");
        drop(second);
        assert!(task.must_stop(), "`left-once`");
    }

    #[test]
    fn a_shield_ends_with_its_future() {
        let scope = scope();
        let mut task = Task::new(&scope);
        let mut shield = pin!(shield(LONG, ready(5)));
        assert_eq!(task.poll(shield.as_mut()), Poll::Ready(5));
        scope.stop();
        assert!(task.must_stop(), "also while the shield is still there");
        assert_eq!(task.wakes(), 0, "the task itself looks after its poll");
    }

    #[test]
    fn a_shield_that_was_not_polled_protects_nothing() {
        let scope = scope();
        let task = Task::new(&scope);
        let _shield = shield(LONG, pending::<()>());
        scope.stop();
        assert!(task.must_stop());
    }

    #[test]
    fn a_shield_that_is_dropped_elsewhere_wakes_its_task() {
        let scope = scope();
        let (mut task, mut other) = (Task::new(&scope), Task::new(&scope));
        let mut shields: Vec<_> = (0..3).map(|_| Box::pin(shield(LONG, pending::<()>()))).collect();
        shields.iter_mut().for_each(|shield| assert!(task.poll(shield.as_mut()).is_pending()));
        assert!(other.poll(shields[0].as_mut()).is_pending(), "another task polls it, too");
        Context::enter(&mut task.context, || drop(shields.pop()));
        assert_eq!(task.wakes(), 0, "the task itself looks after its poll");
        Context::enter(&mut other.context, || drop(shields.pop()));
        assert_eq!(task.wakes(), 1);
        drop(shields);
        assert_eq!((task.wakes(), other.wakes()), (2, 0));
    }

    #[test]
    fn a_task_that_got_another_waker_is_woken_by_that() {
        let scope = scope();
        let mut task = Task::new(&scope);
        let mut shield = Box::pin(shield(LONG, pending::<()>()));
        assert!(task.poll(shield.as_mut()).is_pending());
        let new = Task::new(&scope);
        task.waker = new.waker.clone();
        assert!(task.poll(shield.as_mut()).is_pending());
        drop(shield);
        assert_eq!((task.wakes(), new.wakes()), (0, 1));
    }

    #[test]
    fn outside_of_a_group_a_shield_is_its_future() {
        let mut cx = TaskContext::from_waker(Waker::noop());
        assert!(pin!(shield(LONG, pending::<()>())).poll(&mut cx).is_pending());
        assert_eq!(pin!(shield(LONG, ready(5))).poll(&mut cx), Poll::Ready(5));
    }
}

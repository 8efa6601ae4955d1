//! The clean-ups of a group: their tasks, and what becomes of their failures.
//!
//! Called by `task_group`; by `group_end` when the tasks have ended; and by `group_state` when a clean-up has.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::group_inner::{CancelledBy, DeferSlot, Deferral, EndedTask, GroupEntry};
use super::group_state::GroupState;
use super::group_task::CleanUp;
use super::unread_overdue::UnreadOverdue;
use crate::observe::overdue::OverdueKind;
use crate::primitives::Mutex;
use crate::primitives::user_code::drop_guarded;
use crate::task::JoinHandle;
use crate::task::ended::Ended;
use crate::task::inherited;
use crate::time::timeout;

impl<T: Send + 'static> GroupState<T> {
    /// Adds a clean-up. The last one runs first.
    pub(super) fn defer(
        &self,
        within: Duration,
        future: impl Future<Output = ()> + Send + 'static,
        location: &'static Location<'static>,
    ) -> Arc<DeferSlot> {
        let _span = inherited::choose_span(self.options.inherits_span);
        let future = inherited::boxed(Box::pin(future), self.runtime.shared.config.inherits_span);
        let deferral = Deferral { within, future, location };
        let slot = Arc::new(DeferSlot(Mutex::new(Some(deferral))));
        self.inner.lock().defer(Arc::clone(&slot));
        slot
    }

    /// Starts a clean-up.
    pub(super) fn clean_up(self: &Arc<Self>, deferral: Deferral) {
        let Deferral { within, future, location } = deferral;
        // Its time begins with its first poll, as for every future.
        let timed = async move { timeout(within, future).await.is_ok() };
        let task = CleanUp::new(timed, &self.scope);
        self.inner.lock().clean_up = Some((location, within));
        // It has inherited what was set at `defer`.
        let handle = inherited::without(|| self.runtime.shared.spawn_at(task, self.options.name.clone(), location));
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let index = inner.first_free;
        if handle.give_waker(inner.wakers.waker(self, index)) {
            inner.put(index, GroupEntry::CleanUp(handle));
        } else {
            drop(guard);
            self.clean_up_is_done(handle);
        }
    }

    /// The caller calls `advance`.
    pub(super) fn clean_up_is_done(&self, handle: JoinHandle<bool>) {
        let (id, spawned_at) = (handle.id(), handle.location());
        let (ended, cancelled_by) = match handle.into_ended() {
            Ended::Output(true) => (None, CancelledBy::OwnTime),
            Ended::Output(false) => (Some(Ended::Cancelled), CancelledBy::OwnTime),
            Ended::Cancelled if self.runtime.shared.is_closed() => (Some(Ended::Cancelled), CancelledBy::Shutdown),
            Ended::Cancelled => (Some(Ended::Cancelled), CancelledBy::Abort),
            Ended::Panicked(panic) => (Some(Ended::Panicked(panic)), CancelledBy::OwnTime),
        };
        let within = self.inner.lock().clean_up.take().map(|(_, within)| within);
        let mut failed = ended.map(|ended| {
            let overdue = match (&ended, within) {
                (Ended::Cancelled, Some(within)) if cancelled_by == CancelledBy::OwnTime => {
                    let overdue = self.overdue(OverdueKind::CleanUp { deferred_at: spawned_at, within });
                    UnreadOverdue::new(overdue, self.runtime.clone())
                }
                (Ended::Output(()) | Ended::Cancelled | Ended::Panicked(_), _) => UnreadOverdue::NONE,
            };
            (EndedTask { id, number: 0, spawned_at, has_place: false, cancelled_by, ended }, overdue)
        });
        let mut inner = self.inner.lock();
        inner.cleaning_up = None;
        if inner.failed_clean_up.is_none() {
            inner.failed_clean_up = failed.take();
        }
        drop(inner);
        // If it is not the first, it is reported here (`reported-or-returned`).
        drop_guarded(failed);
    }
}

//! What a `JoinSet` shares with the join wakers of its tasks: the tasks that have not ended, and the outputs of those that have.
//!
//! Called by `entry_waker` (on the thread where a task ends) and by `join_set`.
//!
//! # Invariants
//! - `ended-once`: a task ends once, so its waker is called once. Then its entry is removed, and the output queued.
//! - `closed-is-empty`: once the set has closed its state, the state holds no output and no task, and gets none. So it may be
//!   dropped on any thread.
//!
//! # Why not otherwise
//! If the set took the output when it joins, the finished task would keep its memory until then, which has the size of its
//! future.

#![expect(unsafe_code, reason = "outputs that are not `Send` stay on their thread, which the compiler does not see")]

use std::mem;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};
use std::task::Waker;

use super::entry_waker::{EntryOwner, EntryWakers};
use super::result_queue::ResultQueue;
use crate::observe::unjoined::{self, FinishedTasks, LISTED_MIN};
use crate::primitives::ShortMutex;
use crate::primitives::atomic::{AtomicUsize, Ordering};
use crate::primitives::user_code::drop_guarded;
use crate::task::ended::Ended;
use crate::task::{AbortHandle, Id, JoinError, JoinHandle};

/// The number of entries that are looked at under one lock. No benchmark chose it.
const STEPS_PER_LOCK: usize = 64;

pub(super) struct SetState<T> {
    /// Held for a few steps at a time; see `STEPS_PER_LOCK`.
    inner: ShortMutex<SetInner<T>>,
    /// The number of outputs that have left the set, and `usize::MAX` at the end. Written only by the owner of the set.
    joined: AtomicUsize,
    /// The line that created the set.
    pub(super) created_at: &'static Location<'static>,
}

struct SetInner<T> {
    entries: Vec<SetEntry<T>>,
    /// The index of the first free entry; `entries.len()` if there is none.
    first_free: usize,
    /// In the order in which the tasks ended.
    ended: ResultQueue<EndedTask<T>>,
    /// Of the task that waits for the next output.
    waker: Option<Waker>,
    /// The number of tasks that have ended.
    pushed: usize,
    /// While `pushed` is less than this, the set has fewer than `LISTED_MIN` finished tasks. `usize::MAX`: dumps know of it.
    list_at: usize,
}

enum SetEntry<T> {
    /// A task that has not ended, or whose waker is about to be called.
    Task(JoinHandle<T>),
    /// The index of the next free entry.
    Free(usize),
}

/// A task that has ended and was not joined.
pub(super) struct EndedTask<T> {
    pub(super) id: Id,
    ended: Ended<T>,
}

// SAFETY: the handles and outputs are touched by the set, on its thread, and where its tasks end. A task whose output is not
// `Send` was spawned on the set's thread and ends there. Another thread may drop the state, when it is empty
// (`closed-is-empty`); dumps only read counters.
unsafe impl<T> Send for SetState<T> {}
// SAFETY: as above, and a lock protects them.
unsafe impl<T> Sync for SetState<T> {}

impl<T> SetState<T> {
    /// `created_at` is the line that created the set.
    pub(super) fn new(created_at: &'static Location<'static>) -> Arc<Self> {
        let inner = SetInner {
            entries: Vec::new(),
            first_free: 0,
            ended: ResultQueue::new(),
            waker: None,
            pushed: 0,
            list_at: LISTED_MIN,
        };
        Arc::new(Self { inner: ShortMutex::new(inner), joined: AtomicUsize::new(0), created_at })
    }

    /// An output has left the set. Called only by the owner of the set.
    #[inline]
    pub(super) fn count_joined(&self) {
        // Only one thread writes, so no read-modify-write is needed.
        self.joined.store(self.joined.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A number that may be old by now. An output may be counted as joined before its push is seen.
    fn finished_of(&self, pushed: usize) -> usize {
        pushed.saturating_sub(self.joined.load(Ordering::Relaxed))
    }

    /// Moves all outputs to `ended`, which is empty.
    pub(super) fn take_into(&self, ended: &mut ResultQueue<EndedTask<T>>) {
        mem::swap(ended, &mut self.inner.lock().ended);
    }

    /// As [`take_into`](Self::take_into). If there is no output, the next end of a task calls `waker`.
    pub(super) fn take_or_register(&self, ended: &mut ResultQueue<EndedTask<T>>, waker: &Waker) {
        {
            let mut inner = self.inner.lock();
            mem::swap(ended, &mut inner.ended);
            if !ended.is_empty() || inner.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
                return;
            }
        }
        // A waker is user code: it is cloned and dropped without the lock. A task may end meanwhile.
        let waker = waker.clone();
        let mut inner = self.inner.lock();
        mem::swap(ended, &mut inner.ended);
        let unused = if ended.is_empty() { inner.waker.replace(waker) } else { Some(waker) };
        drop(inner);
        drop(unused);
    }

    /// Aborts the tasks that have not ended. Meanwhile none is added.
    pub(super) fn abort_all(&self) {
        let count = self.inner.lock().entries.len();
        for first in (0..count).step_by(STEPS_PER_LOCK) {
            let last = count.min(first + STEPS_PER_LOCK);
            let tasks: Vec<_> = {
                let inner = self.inner.lock();
                let tasks = inner.entries[first..last].iter().filter_map(|entry| match entry {
                    SetEntry::Task(handle) => Some(handle.abort_handle()),
                    SetEntry::Free(_) => None,
                });
                tasks.collect()
            };
            tasks.iter().for_each(AbortHandle::abort);
        }
    }

    /// Records for dumps that the current task waits for the tasks of the set, at one of them: a dump needs one of them to find
    /// the set in what its task waits for. `marked` is where the last search ended. A search that finds only tasks that have ended
    /// goes on at the next call.
    pub(super) fn mark_joined(&self, marked: &mut usize) {
        let inner = self.inner.lock();
        let count = inner.entries.len();
        for _ in 0..count.min(STEPS_PER_LOCK) {
            if let SetEntry::Task(handle) = &inner.entries[*marked % count] {
                handle.mark_joined();
                return;
            }
            *marked = (*marked + 1) % count;
        }
    }

    /// Empties the state, as its owner's last call (`closed-is-empty`). Returns the handles of the tasks that have not ended.
    pub(super) fn close(&self) -> impl Iterator<Item = JoinHandle<T>> + use<T> {
        self.joined.store(usize::MAX, Ordering::Relaxed);
        let (entries, mut ended, waker) = {
            let mut inner = self.inner.lock();
            // From here on the wakers find no entry.
            inner.first_free = 0;
            (mem::take(&mut inner.entries), mem::replace(&mut inner.ended, ResultQueue::new()), inner.waker.take())
        };
        drop_guarded(waker);
        while let Some(task) = ended.pop() {
            task.drop_unjoined();
        }
        entries.into_iter().filter_map(|entry| match entry {
            SetEntry::Task(handle) => Some(handle),
            SetEntry::Free(_) => None,
        })
    }
}

impl<T: 'static> SetState<T> {
    /// Adds a task.
    pub(super) fn insert(self: &Arc<Self>, handle: JoinHandle<T>, wakers: &mut EntryWakers<Self>) {
        let has_ended = {
            let mut inner = self.inner.lock();
            let index = inner.first_free;
            if handle.give_waker(wakers.waker(self, index)) {
                inner.put(index, handle);
                None
            } else {
                Some(handle)
            }
        };
        if let Some(handle) = has_ended {
            // Without the lock: this may be the last reference to the task.
            let task = EndedTask { id: handle.id(), ended: handle.into_ended() };
            self.push(|inner| {
                inner.ended.push(task);
                true
            });
        }
    }

    /// Lets `push` add the output of a task, and wakes the task that waits for it. `push` returns whether it has added one.
    fn push(self: &Arc<Self>, push: impl FnOnce(&mut SetInner<T>) -> bool) {
        let (waker, becomes_large) = {
            let mut inner = self.inner.lock();
            if !push(&mut inner) {
                return;
            }
            inner.pushed += 1;
            let becomes_large = inner.pushed >= inner.list_at && self.becomes_large(&mut inner);
            (inner.waker.take(), becomes_large)
        };
        if becomes_large {
            self.list();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether dumps have to know of this set from now on. Otherwise they need not before some more tasks have ended.
    #[cold]
    fn becomes_large(&self, inner: &mut SetInner<T>) -> bool {
        let finished = self.finished_of(inner.pushed);
        let is_large = finished >= LISTED_MIN;
        // Outputs leave the set meanwhile, so this comes too early, and never too late.
        inner.list_at = if is_large { usize::MAX } else { inner.pushed + (LISTED_MIN - finished) };
        is_large
    }

    #[cold]
    fn list(self: &Arc<Self>) {
        let set: Weak<Self> = Arc::downgrade(self);
        unjoined::list(set);
    }
}

impl<T: 'static> EntryOwner for SetState<T> {
    fn task_ended(self: &Arc<Self>, index: usize) {
        self.push(|inner| {
            // There is none if the set was closed meanwhile; its owner has the handle then.
            let Some(handle) = inner.take(index) else { return false };
            // The caller has a reference to the task, so nothing is freed under the lock (`ended-once`).
            inner.ended.push(EndedTask { id: handle.id(), ended: handle.into_ended() });
            true
        });
    }
}

impl<T> SetInner<T> {
    #[inline]
    fn put(&mut self, index: usize, handle: JoinHandle<T>) {
        match self.entries.get_mut(index) {
            Some(entry) => {
                if let SetEntry::Free(next) = mem::replace(entry, SetEntry::Task(handle)) {
                    self.first_free = next;
                }
            }
            None => {
                self.entries.push(SetEntry::Task(handle));
                self.first_free = self.entries.len();
            }
        }
    }

    #[inline]
    fn take(&mut self, index: usize) -> Option<JoinHandle<T>> {
        let entry = self.entries.get_mut(index)?;
        let SetEntry::Task(handle) = mem::replace(entry, SetEntry::Free(self.first_free)) else {
            unreachable!("`ended-once`: the entry is removed when its task has ended, and put once");
        };
        self.first_free = index;
        Some(handle)
    }
}

impl<T> EndedTask<T> {
    pub(super) fn into_result(self) -> Result<T, JoinError> {
        match self.ended {
            Ended::Output(output) => Ok(output),
            Ended::Cancelled => Err(JoinError::cancelled(self.id)),
            Ended::Panicked(panic) => Err(panic.into_error()),
        }
    }

    /// Drops it, also if its destructor panics: the task would have done so too.
    pub(super) fn drop_unjoined(self) {
        drop_guarded(self.ended);
    }
}

impl<T: 'static> FinishedTasks for SetState<T> {
    fn created_at(&self) -> &'static Location<'static> {
        self.created_at
    }

    fn finished(&self) -> usize {
        let pushed = self.inner.lock().pushed;
        self.finished_of(pushed)
    }
}

/// Outputs that the set has taken out of its state.
pub(super) struct TakenOutputs<T>(pub(super) ResultQueue<EndedTask<T>>);

// SAFETY: there is no way to an output through a shared reference.
unsafe impl<T: Send> Sync for TakenOutputs<T> {}
/// Outputs are only moved: none is pinned here. So a set is `Unpin`, whatever its tasks return.
impl<T> Unpin for TakenOutputs<T> {}
impl<T> UnwindSafe for TakenOutputs<T> {}
impl<T> RefUnwindSafe for TakenOutputs<T> {}

impl<T> Drop for TakenOutputs<T> {
    fn drop(&mut self) {
        while let Some(task) = self.0.pop() {
            task.drop_unjoined();
        }
    }
}

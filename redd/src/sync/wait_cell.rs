//! The wait of an object that has at most one waiter, such as the receiver of a channel, as dumps show it.
//!
//! Called by `oneshot` and `mpsc`. A [`WaitCell`] is a part of the object. While its task waits, it has a record that any
//! thread can read, without a lock, also while the object is moved or dropped.
//!
//! # Invariants
//! - `location-last`: a waiter stores its task, kind and time, and then the location. When it waits no longer, it stores
//!   null as the location before anything else. So a reader that finds the same location before and after it reads the
//!   rest has read what belongs to this location.
//! - `senders-live`: the pointer to the senders is stored only while the channel lives. It is read and cleared under the
//!   lock.
//!
//! # Why not otherwise
//! A pointer from the record to the object would need no copies. But objects move.

#![expect(unsafe_code, reason = "a location is stored as a pointer, and the senders of a channel")]

use std::panic::Location;
use std::ptr::{self, NonNull};

use super::senders::Senders;
use super::wait_list::CallSite;
use crate::observe::coarse;
use crate::observe::waiter::{Subject, WaiterInfo};
use crate::observe::waiting::WaitKind;
use crate::primitives::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::primitives::record_pool::OwnedRecord;
use crate::primitives::{ShortMutex, const_fn, reuse_pool};
use crate::task::current;

#[cfg(all(test, any(loom, shuttle)))]
#[path = "../../models/sync_wait_cells.rs"]
mod models;

/// The address of a location that is not known.
const UNKNOWN: usize = 1;

#[inline]
fn stored(location: CallSite) -> *mut Location<'static> {
    location.map_or(ptr::without_provenance(UNKNOWN), ptr::from_ref).cast_mut()
}

/// How long [`collect`] tries to take a lock that is held for a few instructions.
const TURNS: u32 = 100;

/// See the module page.
pub(crate) struct CellRecord {
    /// Null if no task waits. [`UNKNOWN`], or a location that lives forever (`location-last`).
    location: AtomicPtr<Location<'static>>,
    /// The id of the task that polled last. 0 if that was no task.
    task: AtomicU64,
    since_ms: AtomicU32,
    kind: AtomicU8,
    /// The senders of the channel whose receiver waits. `None` if there is always one.
    senders: ShortMutex<Option<LiveSenders>>,
}

/// `senders-live`
struct LiveSenders(NonNull<Senders>);

// SAFETY: `Senders` is `Sync`, and it is only read here.
unsafe impl Send for LiveSenders {}

impl CellRecord {
    const_fn! {
        const fn new() -> Self {
            Self {
                location: AtomicPtr::new(ptr::null_mut()),
                task: AtomicU64::new(0),
                since_ms: AtomicU32::new(0),
                kind: AtomicU8::new(0),
                senders: ShortMutex::new(None),
            }
        }
    }

    /// The task waits from now on, or does so already.
    fn begin_again(&self, task: u64, kind: WaitKind, location: CallSite) {
        let before = self.location.load(Ordering::Relaxed);
        if before != stored(location) {
            if !before.is_null() {
                self.end();
            }
            self.begin(task, kind, location);
        } else {
            // Release: as in `begin`.
            self.task.store(task, Ordering::Release);
        }
    }

    /// The task waits from now on. The record shows no wait.
    #[inline]
    fn begin(&self, task: u64, kind: WaitKind, location: CallSite) {
        // Release, three times: published after the end of the wait before. Pairs with Acquire in `CellRecord::read`.
        self.since_ms.store(coarse::now_ms(), Ordering::Release);
        self.kind.store(kind as u8, Ordering::Release);
        self.task.store(task, Ordering::Release);
        // Release: publishes the rest (`location-last`). Pairs with Acquire in `CellRecord::read`.
        self.location.store(stored(location), Ordering::Release);
    }

    #[inline]
    fn end(&self) {
        // Relaxed: a reader that sees a later store sees this, too, because that one is a release.
        self.location.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// Returns the wait, if there is one and it does not change meanwhile.
    fn read(&self) -> Option<WaiterInfo> {
        // Acquire: sees what was stored before. Pairs with Release in `CellRecord::begin`.
        let location = self.location.load(Ordering::Acquire);
        if location.is_null() {
            return None;
        }
        // Acquire, three times: if one is of a later wait, the last load sees that this one has ended. Pair with Release
        // in `CellRecord::begin`. The lock does the same for the senders.
        let task = self.task.load(Ordering::Acquire);
        let since_ms = self.since_ms.load(Ordering::Acquire);
        let kind = self.kind.load(Ordering::Acquire);
        let senders = match self.senders.lock_within(TURNS)?.as_ref() {
            // SAFETY: `senders-live`: the lock is held.
            Some(senders) => unsafe { senders.0.as_ref() }.strong_count(),
            None => 1,
        };
        if self.location.load(Ordering::Relaxed) != location {
            return None;
        }
        let is_known = location.addr() != UNKNOWN;
        // SAFETY: not null, and known: from a reference that lives forever.
        let location = is_known.then(|| unsafe { &*location });
        let object = ptr::from_ref(self).addr();
        let subject = Subject::Channel { object, senders, receivers: 1, length: 0 };
        Some(WaiterInfo { task, kind: WaitKind::from_u8(kind)?, location, since_ms, is_direct: false, subject })
    }
}

reuse_pool::recorded!(CellRecord, Self::new());

/// Shows that a task waits. A part of the object that it waits for.
#[derive(Default)]
pub(crate) struct WaitCell {
    /// `None` before the first wait.
    record: Option<OwnedRecord<CellRecord>>,
}

impl WaitCell {
    pub(crate) const fn new() -> Self {
        Self { record: None }
    }

    /// The current task waits from now on, or does so already.
    #[inline]
    pub(crate) fn begin(&mut self, kind: WaitKind, location: CallSite) {
        let task = current::id_or_zero();
        match &self.record {
            Some(record) => record.value().begin_again(task, kind, location),
            None => {
                let record = reuse_pool::take::<CellRecord>();
                record.value().begin(task, kind, location);
                self.record = Some(record);
            }
        }
    }

    /// The current task waits for a sender of a channel.
    ///
    /// # Safety
    /// `senders` lives until [`clear_receive`](Self::clear_receive) was called, or forever. It is the same each time.
    #[inline]
    pub(crate) unsafe fn begin_receive(&mut self, kind: WaitKind, location: CallSite, senders: &Senders) {
        if self.record.is_none() {
            let record = reuse_pool::take::<CellRecord>();
            *record.value().senders.lock() = Some(LiveSenders(NonNull::from(senders)));
            self.record = Some(record);
        }
        self.begin(kind, location);
    }

    /// The task waits no longer. The record stays, for the next wait.
    #[inline]
    pub(crate) fn end(&self) {
        if let Some(record) = &self.record {
            record.value().end();
        }
    }

    /// The task waits no longer, and does not soon. The record is given back.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(record) = self.record.take() {
            record.value().end();
            reuse_pool::give_back(record);
        }
    }

    /// As [`clear`](Self::clear), after [`begin_receive`](Self::begin_receive).
    pub(crate) fn clear_receive(&mut self) {
        if let Some(record) = &self.record {
            // Before the senders are cleared (`location-last`).
            record.value().end();
            // `senders-live`
            *record.value().senders.lock() = None;
        }
        self.clear();
    }
}

impl Drop for WaitCell {
    #[inline]
    fn drop(&mut self) {
        self.clear();
    }
}

/// Adds the waits of all cells of the process to `waiters`.
pub(super) fn collect(waiters: &mut Vec<WaiterInfo>) {
    reuse_pool::for_each::<CellRecord>(|record| waiters.extend(record.read()));
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::pin::Pin;

    use super::super::testing::poll_once;
    use super::super::{mpsc, oneshot};
    use super::*;

    /// The waits at `line`. Other tests of this process have waits, too.
    fn shown(line: u32) -> Vec<WaiterInfo> {
        let mut waiters = Vec::new();
        collect(&mut waiters);
        let is_here = |location: &Location<'_>| location.file() == file!() && location.line() == line;
        waiters.retain(|waiter| waiter.location.is_some_and(is_here));
        waiters
    }

    fn senders(waiter: &WaiterInfo) -> usize {
        let Subject::Channel { senders, receivers: 1, length: 0, .. } = waiter.subject else {
            panic!("a channel, not {waiter:?}");
        };
        senders
    }

    #[test]
    fn a_oneshot_receiver_is_shown_while_it_waits() {
        let ((sender, mut receiver), line) = (oneshot::channel(), line!());
        assert!(shown(line).is_empty());
        assert!(poll_once(Pin::new(&mut receiver)).is_pending());
        let moved = Box::new(receiver);
        let waits = shown(line);
        assert_eq!(waits.len(), 1);
        assert_eq!((waits[0].kind, senders(&waits[0])), (WaitKind::Oneshot, 1));
        assert!(!waits[0].is_direct, "whose waker it has is not known");
        sender.send(1).expect("the receiver lives");
        let mut receiver = *moved;
        assert!(poll_once(Pin::new(&mut receiver)).is_ready());
        assert!(shown(line).is_empty());

        let ((_sender, mut dropped), line) = (oneshot::channel::<()>(), line!());
        assert!(poll_once(Pin::new(&mut dropped)).is_pending());
        drop(dropped);
        assert!(shown(line).is_empty());

        let (mut sender, receiver) = oneshot::channel::<()>();
        let (mut closed, line) = (Box::pin(sender.closed()), line!());
        assert!(poll_once(closed.as_mut()).is_pending());
        assert_eq!(shown(line).len(), 1);
        drop(receiver);
        assert!(poll_once(closed.as_mut()).is_ready());
        assert!(shown(line).is_empty());
    }

    #[test]
    fn an_mpsc_receiver_is_shown_with_its_senders_while_it_waits() {
        let (sender, mut receiver) = mpsc::channel(1);
        let (mut receiving, line) = (Box::pin(receiver.recv()), line!());
        assert!(poll_once(receiving.as_mut()).is_pending());
        let others = [sender.clone(), sender.clone()];
        let waits = shown(line);
        assert_eq!(waits.len(), 1);
        assert_eq!((waits[0].kind, senders(&waits[0])), (WaitKind::MpscReceive, 3));
        let object = |waits: &[WaiterInfo]| {
            let Subject::Channel { object, .. } = waits[0].subject else { unreachable!("see `senders`") };
            object
        };
        let first = object(&waits);
        drop(receiving);
        assert!(shown(line).is_empty(), "a future that is dropped waits no longer");
        drop(others);
        let (mut receiving, line) = (Box::pin(receiver.recv()), line!());
        assert!(poll_once(receiving.as_mut()).is_pending());
        assert_eq!((senders(&shown(line)[0]), object(&shown(line))), (1, first), "the same channel");
        sender.try_send(1).expect("there is room");
        assert!(poll_once(receiving.as_mut()).is_ready());
        assert!(shown(line).is_empty());
        drop(receiving);
        drop(sender);
        drop(receiver);
        assert!(shown(line).is_empty());
    }

    #[test]
    #[expect(clippy::mem_forget, reason = "forgetting is safe, so it must do no harm")]
    fn a_forgotten_wait_of_a_receiver_stays_visible_and_is_not_freed() {
        let (sender, mut receiver) = mpsc::unbounded_channel::<u32>();
        let (mut receiving, line) = (Box::pin(receiver.recv()), line!());
        assert!(poll_once(receiving.as_mut()).is_pending());
        std::mem::forget(receiving);
        std::mem::forget(receiver);
        drop(sender);
        let waits = shown(line);
        assert_eq!((waits.len(), senders(&waits[0])), (1, 0));
    }
}

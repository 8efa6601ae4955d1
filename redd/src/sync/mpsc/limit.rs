//! The limit of a bounded channel: a message needs a permit, and the receiver returns it.
//!
//! Called by `bounded` and `receiver`.
//!
//! # Invariants
//! - `permit-then-push`: a sender holds a permit when it pushes, so at most `bound` messages are in the chain. The
//!   receiver returns the permit after it has taken the message.
//! - `drained-is-idle`: all permits of a closed channel are free exactly if it holds no message and none can still come.
//!   A permit that is returned without a message therefore wakes the receiver if it was the last.

use super::chain::Chain;
use super::error::{SendError, TrySendError};
use super::shared::{FlowControl, MpscState};
use crate::observe::waiting::WaitKind;
use crate::sync::permits::{Permits, TryAcquireError};
use crate::sync::wait_list::CallSite;

/// Flow control by permits.
#[derive(Debug)]
pub(super) struct Limited {
    permits: Permits,
    bound: usize,
}

impl Limited {
    #[track_caller]
    pub(super) fn new(bound: usize) -> Self {
        Self { permits: Permits::fixed(bound), bound }
    }

    /// Returns for how many messages there is room now.
    pub(super) fn available(&self) -> usize {
        self.permits.available()
    }

    /// Returns for how many messages there is room in an empty channel.
    pub(super) fn bound(&self) -> usize {
        self.bound
    }
}

impl FlowControl for Limited {
    #[inline]
    fn release(&self, permits: usize) {
        self.permits.release(permits);
    }

    fn capacity(&self) -> Option<(usize, usize)> {
        Some((self.available(), self.bound))
    }

    fn close(&self) {
        self.permits.close();
    }

    const ENDS_AT_CLOSE: bool = false;

    fn is_closed<T>(&self, _chain: &Chain<T>) -> bool {
        self.permits.is_closed()
    }

    fn is_drained<T>(&self, _chain: &Chain<T>) -> bool {
        self.permits.is_closed() && self.permits.available() == self.bound
    }
}

impl<T> MpscState<T, Limited> {
    /// Sends `message`, or returns it if the receiver has gone. The caller holds a permit, which goes to the message
    /// (`permit-then-push`).
    #[inline]
    pub(super) fn push(&self, message: T) -> Result<(), T> {
        let pushed = self.chain.push(message);
        if pushed.is_err() {
            self.release_unused(1);
        }
        pushed
    }

    /// Returns permits that were not used.
    pub(super) fn release_unused(&self, permits: usize) {
        self.flow.release(permits);
        self.wake_if_drained();
    }

    /// `drained-is-idle`: permits may have been returned without a message.
    fn wake_if_drained(&self) {
        if self.flow.is_drained(&self.chain) {
            self.on_drained.wake();
        }
    }

    /// Waits for permits. Afterwards the caller owns them.
    pub(super) async fn acquire(&self, count: usize, location: CallSite) -> Result<(), SendError<()>> {
        /// Dropped after the future that may have collected some of the permits and returned them.
        struct Collected<'a, T>(&'a MpscState<T, Limited>);
        impl<T> Drop for Collected<'_, T> {
            fn drop(&mut self) {
                self.0.wake_if_drained();
            }
        }
        if count > self.flow.bound {
            return Err(SendError(()));
        }
        let permits = &self.flow.permits;
        if permits.acquire_at_once(count) {
            return Ok(());
        }
        let _collected = Collected(self);
        permits.acquire(count, WaitKind::MpscSend, location).await.map_err(|_closed| SendError(()))
    }

    pub(super) fn try_acquire(&self, count: usize) -> Result<(), TrySendError<()>> {
        if count > self.flow.bound {
            return Err(TrySendError::Full(()));
        }
        self.flow.permits.try_acquire(count).map_err(|error| match error {
            TryAcquireError::Closed => TrySendError::Closed(()),
            TryAcquireError::NoPermits => TrySendError::Full(()),
        })
    }
}

//! Room for messages in a bounded channel, acquired and not used yet.
//!
//! Called by user code; made by `bounded`.

use std::fmt;
use std::iter::FusedIterator;
use std::mem::ManuallyDrop;

use super::limit::Limited;
use super::shared::MpscState;

/// Room for one message in a channel. Made by [`Sender::reserve`](super::Sender::reserve); dropping it returns the room.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// let (sender, mut receiver) = mpsc::channel(1);
/// drop(sender.try_reserve().unwrap()); // not used
/// sender.try_reserve().unwrap().send("used");
/// assert_eq!(receiver.try_recv(), Ok("used"));
/// ```
pub struct Permit<'a, T> {
    shared: &'a MpscState<T, Limited>,
}

impl<'a, T> Permit<'a, T> {
    /// Makes a permit for room that the caller has acquired.
    pub(super) fn new(shared: &'a MpscState<T, Limited>) -> Self {
        Self { shared }
    }

    /// Sends a message. This neither waits nor fails.
    ///
    /// - If the receiver was dropped, the message is dropped at once.
    pub fn send(self, message: T) {
        drop(ManuallyDrop::new(self).shared.push(message));
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.shared.release_unused(1);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt_as("Permit", f)
    }
}

/// Room for several messages, as an iterator of permits. Made by [`Sender::reserve_many`](super::Sender::reserve_many).
///
/// - Dropping it returns the room that is left.
///
/// # Examples
/// ```
/// use redd::sync::mpsc;
///
/// let (sender, _receiver) = mpsc::channel(4);
/// let mut permits = sender.try_reserve_many(3).unwrap();
/// permits.next().unwrap().send("one");
/// assert_eq!(permits.len(), 2);
/// drop(permits);
/// assert_eq!(sender.capacity(), 3);
/// ```
pub struct PermitIterator<'a, T> {
    shared: &'a MpscState<T, Limited>,
    n: usize,
}

impl<'a, T> PermitIterator<'a, T> {
    /// Makes permits for room for `n` messages that the caller has acquired.
    pub(super) fn new(shared: &'a MpscState<T, Limited>, n: usize) -> Self {
        Self { shared, n }
    }
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Permit<'a, T>> {
        self.n = self.n.checked_sub(1)?;
        Some(Permit { shared: self.shared })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.n, Some(self.n))
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}
impl<T> FusedIterator for PermitIterator<'_, T> {}

impl<T> Drop for PermitIterator<'_, T> {
    fn drop(&mut self) {
        if self.n > 0 {
            self.shared.release_unused(self.n);
        }
    }
}

debug_struct!([T] PermitIterator<'_, T> as "PermitIterator", self => { capacity: self.n, .. });

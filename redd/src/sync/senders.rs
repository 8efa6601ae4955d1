//! The senders of a channel and their counts: strong senders keep the channel open, weak ones do not.
//!
//! Called by `mpsc` and `broadcast`, whose public types wrap [`Tx`] and [`WeakTx`].
//!
//! # Invariants
//! - `zero-stays`: when the count of strong senders falls to zero, it stays there. The sender that was dropped then
//!   ends the channel.

use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicUsize, Ordering};

/// The state that the handles of a channel share.
pub(super) trait Channel {
    fn senders(&self) -> &Senders;

    /// Ends the channel. Called once, when the last sender is dropped.
    fn end(&self);
}

/// How many strong and weak senders there are.
pub(super) struct Senders {
    strong: AtomicUsize,
    weak: AtomicUsize,
}

impl Senders {
    /// Makes the counts of a channel with one sender.
    pub(super) fn one() -> Self {
        Self { strong: AtomicUsize::new(1), weak: AtomicUsize::new(0) }
    }

    pub(super) fn strong_count(&self) -> usize {
        // Acquire: a count of zero is seen after what the last sender did. Pairs with AcqRel in `Tx::drop`.
        self.strong.load(Ordering::Acquire)
    }

    pub(super) fn weak_count(&self) -> usize {
        self.weak.load(Ordering::Relaxed)
    }
}

/// A strong sender's reference to the channel.
pub(super) struct Tx<C: Channel> {
    channel: Arc<C>,
}

impl<C: Channel> Tx<C> {
    /// Makes the reference of the sender that [`Senders::one`] has counted.
    pub(super) fn first(channel: Arc<C>) -> Self {
        Self { channel }
    }

    pub(super) fn shared(&self) -> &Arc<C> {
        &self.channel
    }

    pub(super) fn downgrade(&self) -> WeakTx<C> {
        self.channel.senders().weak.fetch_add(1, Ordering::Relaxed);
        WeakTx { channel: Arc::clone(&self.channel) }
    }
}

impl<C: Channel> Clone for Tx<C> {
    fn clone(&self) -> Self {
        self.channel.senders().strong.fetch_add(1, Ordering::Relaxed);
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<C: Channel> Drop for Tx<C> {
    fn drop(&mut self) {
        // AcqRel: the last sender sees what all others sent. Pairs with itself, and with Acquire in
        // `Senders::strong_count`.
        if self.channel.senders().strong.fetch_sub(1, Ordering::AcqRel) == 1 {
            // `zero-stays`
            self.channel.end();
        }
    }
}

/// A weak sender's reference to the channel.
pub(super) struct WeakTx<C: Channel> {
    channel: Arc<C>,
}

impl<C: Channel> WeakTx<C> {
    pub(super) fn shared(&self) -> &C {
        &self.channel
    }

    pub(super) fn upgrade(&self) -> Option<Tx<C>> {
        let strong = &self.channel.senders().strong;
        let mut seen = strong.load(Ordering::Relaxed);
        while seen != 0 {
            // Never from zero (`zero-stays`).
            match strong.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(Tx { channel: Arc::clone(&self.channel) }),
                Err(now) => seen = now,
            }
        }
        None
    }
}

impl<C: Channel> Clone for WeakTx<C> {
    fn clone(&self) -> Self {
        self.channel.senders().weak.fetch_add(1, Ordering::Relaxed);
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<C: Channel> Drop for WeakTx<C> {
    fn drop(&mut self) {
        self.channel.senders().weak.fetch_sub(1, Ordering::Relaxed);
    }
}

//! The senders of a channel, counted: strong ones keep it open, weak ones only know where it is.
//!
//! Called by `mpsc` and `broadcast`, whose public types wrap [`Tx`] and [`WeakTx`].
//!
//! # Invariants
//! - `zero-stays`: when the count of strong senders falls to zero, it stays there, and that sender ends the channel.

use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicUsize, Ordering};

/// What the handles of a channel share.
pub(super) trait Channel {
    fn senders(&self) -> &Senders;

    /// The last sender is gone.
    fn end(&self);
}

/// The counts.
pub(super) struct Senders {
    strong: AtomicUsize,
    weak: AtomicUsize,
}

impl Senders {
    /// Those of a channel with one sender.
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

/// A sender's share of the channel.
pub(super) struct Tx<C: Channel> {
    channel: Arc<C>,
}

impl<C: Channel> Tx<C> {
    /// The share of the sender that [`Senders::one`] has counted.
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
        // AcqRel: the last sender comes after what all others sent. Pairs with itself, and with Acquire in
        // `Senders::strong_count`.
        if self.channel.senders().strong.fetch_sub(1, Ordering::AcqRel) == 1 {
            // `zero-stays`
            self.channel.end();
        }
    }
}

/// A weak sender's share of the channel.
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

/// The public methods about handles of a sender with a field `tx: Tx<_>`, and its weak sender.
macro_rules! sender_handles {
    ($Sender:ident, $WeakSender:ident, $Shared:ty) => {
        impl<T> $Sender<T> {
            /// Whether both send to the same channel.
            pub fn same_channel(&self, other: &Self) -> bool {
                Arc::ptr_eq(self.tx.shared(), other.tx.shared())
            }

            /// A sender that does not keep the channel open.
            #[must_use = "a weak sender does nothing until it is upgraded"]
            pub fn downgrade(&self) -> $WeakSender<T> {
                let weak = self.tx.downgrade();
                $WeakSender { weak }
            }

            /// How many senders there are.
            pub fn strong_count(&self) -> usize {
                self.tx.shared().senders().strong_count()
            }

            /// How many weak senders there are.
            pub fn weak_count(&self) -> usize {
                self.tx.shared().senders().weak_count()
            }
        }

        impl<T> Clone for $Sender<T> {
            fn clone(&self) -> Self {
                let tx = self.tx.clone();
                Self { tx }
            }
        }

        /// A sender that does not keep the channel open; [`upgrade`](Self::upgrade) it to send.
        pub struct $WeakSender<T> {
            weak: WeakTx<$Shared>,
        }

        impl<T> $WeakSender<T> {
            /// A sender, if there is one left.
            pub fn upgrade(&self) -> Option<$Sender<T>> {
                self.weak.upgrade().map(|tx| $Sender { tx })
            }

            /// How many senders there are.
            pub fn strong_count(&self) -> usize {
                self.weak.shared().senders().strong_count()
            }

            /// How many weak senders there are.
            pub fn weak_count(&self) -> usize {
                self.weak.shared().senders().weak_count()
            }
        }

        impl<T> Clone for $WeakSender<T> {
            fn clone(&self) -> Self {
                let weak = self.weak.clone();
                Self { weak }
            }
        }

        debug_struct!([T] $WeakSender<T> as stringify!($WeakSender), self => { .. });
    };
}

pub(super) use sender_handles;

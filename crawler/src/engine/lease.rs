//! The lease of a partition: while it is valid, this process alone sends requests to the hosts of the partition.
//!
//! Renewed by `keeper`, asked by `crawl` before each request. Pure, except that it asks the clock.
//!
//! # Invariants
//! - `stops-before-the-server`: the server forgets a lease [`LEASE_AGE`] after it has stored it. We count from before the
//!   request was sent, and stop [`LEASE_MARGIN`] earlier. So no request starts after another process can have the lease.
//! - `held-until-acknowledged`: a message is held from its delivery until its page is recorded and its links are announced, or
//!   until it is given back. A partition is given up when none is held.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::message::Acker;
use redd::sync::watch;
use redd::time::{Instant, sleep_until};

use crate::engine::names::Partition;

/// How long the server keeps a lease that is not renewed.
pub(super) const LEASE_AGE: Duration = Duration::from_secs(10);
/// See `stops-before-the-server`.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug)]
struct Validity {
    until: Instant,
    is_released: bool,
}

/// The lease of a partition.
pub(crate) struct Lease {
    partition: Partition,
    taken_at: Instant,
    validity: watch::Sender<Validity>,
    /// The messages that are not acknowledged, by their number in the stream (`held-until-acknowledged`).
    held: Mutex<BTreeMap<u64, Arc<Acker>>>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("partition", &self.partition).field("held", &self.held().len()).finish()
    }
}

impl Lease {
    /// A lease whose request was sent at `sent_at`, and has been answered.
    pub(super) fn new(partition: Partition, sent_at: Instant) -> Self {
        let (validity, _) = watch::channel(Validity { until: valid_until(sent_at), is_released: false });
        Self { partition, taken_at: Instant::now(), validity, held: Mutex::new(BTreeMap::new()) }
    }

    pub(crate) fn partition(&self) -> Partition {
        self.partition
    }

    /// When it was taken: no other process has sent a request to these hosts since.
    pub(super) fn taken_at(&self) -> Instant {
        self.taken_at
    }

    /// Whether a request to a host of the partition may start now (`stops-before-the-server`).
    pub(crate) fn may_start(&self) -> bool {
        let validity = *self.validity.borrow();
        !validity.is_released && Instant::now() < validity.until
    }

    pub(super) fn is_valid(&self) -> bool {
        Instant::now() < self.validity.borrow().until
    }

    pub(super) fn is_released(&self) -> bool {
        self.validity.borrow().is_released
    }

    /// A renewal that was sent at `sent_at` has been answered. It does not revive a lease that has run out, because another
    /// process may have had it since.
    pub(super) fn renew(&self, sent_at: Instant) {
        self.validity.send_modify(|validity| {
            if Instant::now() < validity.until {
                validity.until = validity.until.max(valid_until(sent_at));
            }
        });
    }

    /// No request starts from now on.
    pub(super) fn release(&self) {
        self.validity.send_modify(|validity| validity.is_released = true);
    }

    /// It is known to be lost.
    pub(super) fn revoke(&self) {
        self.validity.send_modify(|validity| validity.until = validity.until.min(Instant::now()));
    }

    /// Completes when the lease has run out: then another process may send requests to these hosts.
    pub(crate) async fn lost(&self) {
        let mut validity = self.validity.subscribe();
        loop {
            let until = validity.borrow_and_update().until;
            if Instant::now() >= until {
                return;
            }
            redd::select! {
                () = sleep_until(until) => {}
                _ = validity.changed() => {}
            }
        }
    }

    /// Holds a message. Returns whether it was held already: then it was delivered again, and the new delivery counts.
    pub(super) fn hold(&self, sequence: u64, acker: Acker) -> bool {
        self.held().insert(sequence, Arc::new(acker)).is_some()
    }

    /// The message is acknowledged or given back. The process that takes the partition next gets it if it was not
    /// acknowledged.
    pub(super) fn forget(&self, sequence: u64) {
        self.held().remove(&sequence);
    }

    pub(super) fn acker(&self, sequence: u64) -> Option<Arc<Acker>> {
        self.held().get(&sequence).cloned()
    }

    pub(super) fn ackers(&self) -> Vec<Arc<Acker>> {
        self.held().values().cloned().collect()
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.held().is_empty()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Acker>>> {
        // No code that can panic runs under this lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn valid_until(sent_at: Instant) -> Instant {
    sent_at + (LEASE_AGE - LEASE_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redd::time::{advance, timeout};

    const SECOND: Duration = Duration::from_secs(1);

    #[redd::test(start_paused = true)]
    async fn no_request_starts_when_the_lease_was_not_renewed_in_time() {
        let lease = Lease::new(1, Instant::now());
        advance(7 * SECOND).await;
        assert!(lease.may_start());
        advance(2 * SECOND).await;
        assert!(!lease.may_start() && LEASE_AGE > 9 * SECOND);
        timeout(SECOND, lease.lost()).await.expect("it is lost");
    }

    #[redd::test(start_paused = true)]
    async fn a_renewal_counts_from_when_it_was_sent_and_revives_nothing() {
        let lease = Lease::new(1, Instant::now());
        let sent_at = Instant::now();
        advance(5 * SECOND).await;
        lease.renew(sent_at);
        advance(4 * SECOND).await;
        assert!(!lease.may_start(), "the server may have stored it nine seconds ago");
        lease.renew(Instant::now());
        assert!(!lease.may_start(), "another process may have had it");
    }

    #[redd::test(start_paused = true)]
    async fn a_renewed_lease_is_not_lost_and_a_revoked_one_is() {
        let lease = Lease::new(1, Instant::now());
        let lost = lease.lost();
        redd::pin!(lost);
        for _ in 0..10 {
            assert!(timeout(5 * SECOND, &mut lost).await.is_err());
            lease.renew(Instant::now());
        }
        lease.revoke();
        timeout(SECOND, lost).await.expect("it is lost");
    }

    #[redd::test(start_paused = true)]
    async fn a_released_lease_stays_valid_and_starts_nothing() {
        let lease = Lease::new(1, Instant::now());
        lease.release();
        assert!(!lease.may_start() && lease.is_valid() && lease.is_released());
    }
}

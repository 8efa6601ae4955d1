//! What outlives a change of the process that sends requests to a host: its delay and its pauses.
//!
//! Created by `announcer`, changed by the process that has the lease of the host's partition.
//!
//! # Invariants
//! - `servers-clock`: a pause counts from when the server stored it, and is compared with when the server stored the lease.
//!   So the clocks of the machines need not agree.

use std::sync::Arc;
use std::time::Duration;

use redd::time::Instant;
use serde::{Deserialize, Serialize};

use crate::engine::event::{Events, Retry};
use crate::engine::layout::Layout;
use crate::engine::names::host_key;

/// The time between two requests to the host with this origin, unless its robots.txt asks for a longer one.
pub(crate) type Interval = Arc<dyn Fn(&str) -> Duration + Send + Sync>;

/// What is stored about a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HostRecord {
    pub(super) origin: String,
    /// Whether a request was sent to it.
    was_asked: bool,
    /// The `Crawl-delay` of its robots.txt.
    delay_ms: Option<u64>,
    /// How long it asked to wait, from when this was stored.
    pause_ms: Option<u64>,
}

/// What a process that has taken the partition must know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) not_before: Instant,
    pub(super) delay: Option<Duration>,
}

impl HostRecord {
    pub(super) fn of_origin(origin: String) -> Self {
        Self { origin, ..Self::default() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers can be written as JSON")
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        // A record of another version has no delay and no pause that can be known.
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// When the first request may start, if the lease was taken at `taken_at`, and `since_stored` after the server had stored
    /// this.
    fn opening(&self, taken_at: Instant, since_stored: Duration, interval: Duration) -> Opening {
        let delay = self.delay_ms.map(Duration::from_millis);
        // `servers-clock`
        let pause = Duration::from_millis(self.pause_ms.unwrap_or(0)).saturating_sub(since_stored);
        // The last request of the process before may have been sent just before the lease was taken.
        let wait = if self.was_asked { interval.max(delay.unwrap_or_default()).max(pause) } else { Duration::ZERO };
        Opening { not_before: taken_at + wait, delay }
    }
}

/// Reads what is known about a host, and stores that requests are sent to it from now on. `interval` is the time between two
/// requests to any host. `lease_stored_at` is the server's time, in nanoseconds.
pub(super) async fn open(
    layout: &Layout,
    events: &Arc<Events>,
    origin: &str,
    taken_at: Instant,
    lease_stored_at: i128,
    interval: Duration,
) -> Opening {
    let mut retry = Retry::new(events, "say what is known about a host");
    let entry = loop {
        match layout.hosts.entry(host_key(origin)).await {
            Ok(entry) => break entry,
            Err(error) => retry.wait(error).await,
        }
    };
    let (record, stored_at) = match entry {
        Some(entry) => (HostRecord::from_bytes(&entry.value), entry.created.unix_timestamp_nanos()),
        None => (HostRecord::of_origin(origin.to_owned()), lease_stored_at),
    };
    let since_stored = u64::try_from(lease_stored_at - stored_at).map_or(Duration::ZERO, Duration::from_nanos);
    let opening = record.opening(taken_at, since_stored, interval);
    if !record.was_asked {
        put(layout, events, &HostRecord { origin: origin.to_owned(), was_asked: true, ..record }).await;
    }
    opening
}

/// Stores the delay of a host, and how long it asks to wait from now on.
pub(super) async fn store(
    layout: &Layout,
    events: &Arc<Events>,
    origin: &str,
    delay: Option<Duration>,
    pause: Option<Duration>,
) {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let (delay_ms, pause_ms) = (delay.map(milliseconds), pause.map(milliseconds));
    put(layout, events, &HostRecord { origin: origin.to_owned(), was_asked: true, delay_ms, pause_ms }).await;
}

async fn put(layout: &Layout, events: &Arc<Events>, record: &HostRecord) {
    let mut retry = Retry::new(events, "store what is known about a host");
    while let Err(error) = layout.hosts.put(host_key(&record.origin), record.to_bytes().into()).await {
        retry.wait(error).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[redd::test(start_paused = true)]
    async fn a_host_that_was_asked_waits_for_its_interval_its_delay_and_its_pause() {
        let now = Instant::now();
        let fresh = HostRecord::of_origin("http://a".into());
        let wait = |record: &HostRecord, since| record.opening(now, since, SECOND).not_before - now;
        assert_eq!(wait(&fresh, Duration::ZERO), Duration::ZERO);
        let asked = HostRecord { was_asked: true, ..fresh };
        assert_eq!(wait(&asked, 9 * SECOND), SECOND);
        let slow = HostRecord { delay_ms: Some(5000), ..asked };
        assert_eq!(wait(&slow, 9 * SECOND), 5 * SECOND);
        let paused = HostRecord { pause_ms: Some(30_000), ..slow };
        assert_eq!(wait(&paused, 9 * SECOND), 21 * SECOND);
        assert_eq!(wait(&paused, 60 * SECOND), 5 * SECOND);
    }

    #[test]
    fn a_record_is_read_back_and_one_of_another_version_is_empty() {
        let record = HostRecord { origin: "http://a".into(), was_asked: true, delay_ms: Some(1), pause_ms: None };
        assert_eq!(HostRecord::from_bytes(&record.to_bytes()), record);
        assert_eq!(HostRecord::from_bytes(b"[]"), HostRecord::default());
    }
}

//! Whose turn it is: a queue for each host, with a bound on what is in flight there and a gap between requests.
//!
//! Called by `crawl`. Pure: the time is handed in, as the time since the crawl began.
//!
//! # Invariants
//! - `robots-first`: a host hands out no page before [`HostQueues::open`], which is called when its robots.txt is known.
//! - `fair-hosts`: hosts take turns, so that a slow or strict one does not hold up the others.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::page::PageId;

/// A host's place in the list of hosts. A host is an origin: scheme, name and port.
pub(crate) type HostId = usize;

/// The longest `Crawl-delay` that is obeyed; a larger one would be a ban, and robots.txt has `Disallow` for that.
const DELAY_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Host {
    origin: String,
    queue: VecDeque<PageId>,
    in_flight: usize,
    gap: Duration,
    next_at: Duration,
    is_open: bool,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum NextPage {
    /// Fetch this page, then call [`HostQueues::finish`] for the host.
    Start(PageId, HostId),
    /// Nothing before that time.
    At(Duration),
    /// Nothing before something in flight is finished.
    Later,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct HostQueues {
    hosts: Vec<Host>,
    ids: HashMap<String, HostId>,
    per_host: usize,
    turn: usize,
    waiting: usize,
}

impl HostQueues {
    pub(crate) fn new(per_host: usize) -> Self {
        Self { hosts: Vec::new(), ids: HashMap::new(), per_host, turn: 0, waiting: 0 }
    }

    /// The host of an origin, and whether it was seen for the first time: then its robots.txt is to be fetched.
    pub(crate) fn host(&mut self, origin: &str, gap: Duration) -> (HostId, bool) {
        if let Some(&id) = self.ids.get(origin) {
            return (id, false);
        }
        let id = self.hosts.len();
        self.ids.insert(origin.to_owned(), id);
        self.hosts.push(Host { origin: origin.to_owned(), gap, ..Host::default() });
        (id, true)
    }

    pub(crate) fn origin(&self, host: HostId) -> &str {
        &self.hosts[host].origin
    }

    pub(crate) fn push(&mut self, host: HostId, page: PageId) {
        self.hosts[host].queue.push_back(page);
        self.waiting += 1;
    }

    /// The robots.txt of `host` is known and asks for `delay` between requests.
    pub(crate) fn open(&mut self, host: HostId, delay: Option<Duration>) {
        let host = &mut self.hosts[host];
        host.is_open = true;
        host.gap = host.gap.max(delay.unwrap_or_default().min(DELAY_MAX));
    }

    /// How many pages wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn next(&mut self, now: Duration) -> NextPage {
        let mut soonest = None;
        for step in 0..self.hosts.len() {
            // `fair-hosts`
            let id = (self.turn + step) % self.hosts.len();
            let host = &mut self.hosts[id];
            // `robots-first`
            if !host.is_open || host.in_flight >= self.per_host {
                continue;
            }
            if host.next_at > now && !host.queue.is_empty() {
                soonest = Some(soonest.map_or(host.next_at, |at: Duration| at.min(host.next_at)));
                continue;
            }
            if let Some(page) = host.queue.pop_front() {
                host.in_flight += 1;
                host.next_at = now + host.gap;
                self.waiting -= 1;
                self.turn = id + 1;
                return NextPage::Start(page, id);
            }
        }
        soonest.map_or(NextPage::Later, NextPage::At)
    }

    pub(crate) fn finish(&mut self, host: HostId) {
        self.hosts[host].in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host_queues(per_host: usize, gap: Duration, pages: &[(&str, PageId)]) -> HostQueues {
        let mut host_queues = HostQueues::new(per_host);
        for &(origin, page) in pages {
            let (host, _) = host_queues.host(origin, gap);
            host_queues.open(host, None);
            host_queues.push(host, page);
        }
        host_queues
    }

    #[test]
    fn a_host_waits_for_its_robots() {
        let mut host_queues = HostQueues::new(1);
        let (host, is_new) = host_queues.host("a", Duration::ZERO);
        assert!(is_new);
        host_queues.push(host, 7);
        assert_eq!(host_queues.next(SECOND), NextPage::Later);
        host_queues.open(host, None);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(7, host));
        assert!(!host_queues.host("a", Duration::ZERO).1);
    }

    #[test]
    fn a_host_has_no_more_in_flight_than_it_may() {
        let mut host_queues = host_queues(1, Duration::ZERO, &[("a", 1), ("a", 2)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::Later);
        host_queues.finish(0);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(2, 0));
        assert_eq!(host_queues.waiting(), 0);
    }

    #[test]
    fn requests_to_a_host_keep_their_distance() {
        let mut host_queues = host_queues(9, SECOND, &[("a", 1), ("a", 2)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::At(2 * SECOND));
        assert_eq!(host_queues.next(2 * SECOND), NextPage::Start(2, 0));
    }

    #[test]
    fn a_crawl_delay_widens_the_gap_up_to_a_bound() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2)]);
        host_queues.open(0, Some(100 * SECOND));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::At(31 * SECOND));
    }

    #[test]
    fn hosts_take_turns() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(3, 1));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(2, 0));
    }
}

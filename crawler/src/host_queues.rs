//! A queue of pages for each host, with a limit of requests in flight and an interval between requests.
//!
//! Called by `crawl`. Pure: the caller passes the time since the crawl began.
//!
//! # Invariants
//! - `robots-first`: no page of a host is returned before [`HostQueues::open`], which is called when its robots.txt is known.
//! - `fair-hosts`: hosts are served round-robin, so a slow host does not delay the others.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::page::PageId;

/// The index of a host. A host is an origin: scheme, name and port.
pub(crate) type HostId = usize;

/// The longest `Crawl-delay` that is obeyed. To forbid crawling, robots.txt has `Disallow`.
const DELAY_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Host {
    origin: String,
    queue: VecDeque<PageId>,
    in_flight: usize,
    interval: Duration,
    next_at: Duration,
    is_open: bool,
}

/// What the caller does next.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum NextPage {
    /// Fetch this page, then call [`HostQueues::finish`] for the host.
    Start(PageId, HostId),
    /// Call again at that time.
    At(Duration),
    /// Call again after a request has finished.
    AfterCompletion,
}

/// The queues of all hosts.
#[derive(Debug)]
pub(crate) struct HostQueues {
    hosts: Vec<Host>,
    ids: HashMap<String, HostId>,
    per_host: usize,
    next_host: usize,
    waiting: usize,
}

impl HostQueues {
    pub(crate) fn new(per_host: usize) -> Self {
        Self { hosts: Vec::new(), ids: HashMap::new(), per_host, next_host: 0, waiting: 0 }
    }

    /// The host of an origin, and whether it is new: then its robots.txt must be fetched.
    pub(crate) fn host(&mut self, origin: &str, interval: Duration) -> (HostId, bool) {
        if let Some(&id) = self.ids.get(origin) {
            return (id, false);
        }
        let id = self.hosts.len();
        self.ids.insert(origin.to_owned(), id);
        self.hosts.push(Host { origin: origin.to_owned(), interval, ..Host::default() });
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
        host.interval = host.interval.max(delay.unwrap_or_default().min(DELAY_MAX));
    }

    /// How many pages are queued.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn next(&mut self, now: Duration) -> NextPage {
        let mut soonest = None;
        for step in 0..self.hosts.len() {
            // `fair-hosts`
            let id = (self.next_host + step) % self.hosts.len();
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
                host.next_at = now + host.interval;
                self.waiting -= 1;
                self.next_host = id + 1;
                return NextPage::Start(page, id);
            }
        }
        soonest.map_or(NextPage::AfterCompletion, NextPage::At)
    }

    pub(crate) fn finish(&mut self, host: HostId) {
        self.hosts[host].in_flight -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host_queues(per_host: usize, interval: Duration, pages: &[(&str, PageId)]) -> HostQueues {
        let mut host_queues = HostQueues::new(per_host);
        for &(origin, page) in pages {
            let (host, _) = host_queues.host(origin, interval);
            host_queues.open(host, None);
            host_queues.push(host, page);
        }
        host_queues
    }

    #[test]
    fn a_host_has_no_page_before_its_robots_file_is_known() {
        let mut host_queues = HostQueues::new(1);
        let (host, is_new) = host_queues.host("a", Duration::ZERO);
        assert!(is_new);
        host_queues.push(host, 7);
        assert_eq!(host_queues.next(SECOND), NextPage::AfterCompletion);
        host_queues.open(host, None);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(7, host));
        assert!(!host_queues.host("a", Duration::ZERO).1);
    }

    #[test]
    fn the_requests_in_flight_to_a_host_are_limited() {
        let mut host_queues = host_queues(1, Duration::ZERO, &[("a", 1), ("a", 2)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::AfterCompletion);
        host_queues.finish(0);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(2, 0));
        assert_eq!(host_queues.waiting(), 0);
    }

    #[test]
    fn requests_to_a_host_have_an_interval() {
        let mut host_queues = host_queues(9, SECOND, &[("a", 1), ("a", 2)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::At(2 * SECOND));
        assert_eq!(host_queues.next(2 * SECOND), NextPage::Start(2, 0));
    }

    #[test]
    fn a_crawl_delay_lengthens_the_interval_up_to_a_limit() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2)]);
        host_queues.open(0, Some(100 * SECOND));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::At(31 * SECOND));
    }

    #[test]
    fn hosts_are_served_round_robin() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(3, 1));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(2, 0));
    }
}

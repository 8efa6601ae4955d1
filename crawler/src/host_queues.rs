//! A queue of pages for each host, with a limit of requests in flight and an interval between requests.
//!
//! Called by `crawl`. Pure: the caller passes the time since the crawl began.
//!
//! # Invariants
//! - `robots-first`: no page of a host is returned before [`HostQueues::open`], which is called when its robots.txt is known.
//! - `fair-hosts`: hosts are served round-robin, so a slow host does not delay the others.
//! - `pause-of-host`: no page of a host is returned before the end of each pause that the host asked for.

use std::collections::{BTreeSet, HashMap, VecDeque};
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
    /// The pages to fetch again, by the time from which that is allowed.
    retries: BTreeSet<(Duration, PageId)>,
    in_flight: usize,
    interval: Duration,
    next_at: Duration,
    /// See `pause-of-host`.
    paused_until: Duration,
    is_open: bool,
}

impl Host {
    /// From when on a page can be fetched. None if there is no page.
    fn ready_at(&self) -> Option<Duration> {
        let page_at = match self.retries.first() {
            _ if !self.queue.is_empty() => Duration::ZERO,
            Some(&(at, _)) => at,
            None => return None,
        };
        Some(page_at.max(self.next_at).max(self.paused_until))
    }

    /// Takes the page to fetch at `now`: first those to fetch again, because their results are waited for longest.
    fn take(&mut self, now: Duration) -> Option<PageId> {
        match self.retries.first() {
            Some(&(at, _)) if at <= now => self.retries.pop_first().map(|(_, page)| page),
            _ => self.queue.pop_front(),
        }
    }
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

    /// Queues a page again, to be fetched at `at` or later.
    pub(crate) fn push_retry(&mut self, host: HostId, page: PageId, at: Duration) {
        self.hosts[host].retries.insert((at, page));
        self.waiting += 1;
    }

    /// Starts no request to `host` before `until`. A longer pause stays as it is. Returns whether the pause is longer now,
    /// by more than the time in which requests in flight are answered alike.
    pub(crate) fn pause(&mut self, host: HostId, until: Duration) -> bool {
        let host = &mut self.hosts[host];
        let is_longer = until > host.paused_until.saturating_add(Duration::from_secs(1));
        host.paused_until = host.paused_until.max(until);
        is_longer
    }

    /// Takes out the pages that `is_withdrawn` names, unless they are in flight. Returns those.
    pub(crate) fn withdraw(&mut self, is_withdrawn: impl Fn(PageId) -> bool) -> Vec<PageId> {
        let mut withdrawn = Vec::new();
        let mut stays = |page: PageId| {
            let stays = !is_withdrawn(page);
            withdrawn.extend((!stays).then_some(page));
            stays
        };
        for host in &mut self.hosts {
            host.queue.retain(|&page| stays(page));
            host.retries.retain(|&(_, page)| stays(page));
        }
        self.waiting -= withdrawn.len();
        withdrawn
    }

    /// Whether the robots.txt of `host` is known.
    pub(crate) fn is_open(&self, host: HostId) -> bool {
        self.hosts[host].is_open
    }

    /// The time between two requests to `host`.
    pub(crate) fn interval(&self, host: HostId) -> Duration {
        self.hosts[host].interval
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
            let Some(ready_at) = host.ready_at() else { continue };
            if ready_at > now {
                soonest = Some(soonest.map_or(ready_at, |at: Duration| at.min(ready_at)));
                continue;
            }
            if let Some(page) = host.take(now) {
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
    fn a_pause_holds_for_all_pages_of_its_host_and_for_no_other_host() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        host_queues.finish(0);
        host_queues.push_retry(0, 1, 5 * SECOND);
        assert!(host_queues.pause(0, 5 * SECOND));
        assert!(!host_queues.pause(0, 3 * SECOND) && !host_queues.pause(0, 5 * SECOND));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(4, 1));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(5, 1));
        for now in [SECOND, 3 * SECOND, 5 * SECOND - Duration::from_nanos(1)] {
            assert_eq!(host_queues.next(now), NextPage::At(5 * SECOND));
        }
        assert_eq!(host_queues.waiting(), 3);
        for page in [1, 2, 3] {
            assert_eq!(host_queues.next(5 * SECOND), NextPage::Start(page, 0));
        }
        assert_eq!(host_queues.next(5 * SECOND), NextPage::AfterCompletion);
        assert_eq!(host_queues.waiting(), 0);
    }

    #[test]
    fn a_page_that_is_fetched_again_later_does_not_delay_the_others() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        host_queues.push_retry(0, 1, 4 * SECOND);
        assert_eq!(host_queues.next(2 * SECOND), NextPage::Start(2, 0));
        assert_eq!(host_queues.next(2 * SECOND), NextPage::At(4 * SECOND));
        assert_eq!(host_queues.next(4 * SECOND), NextPage::Start(1, 0));
    }

    #[test]
    fn a_pause_that_no_page_waits_for_is_no_reason_to_wake() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        host_queues.pause(0, 600 * SECOND);
        assert_eq!(host_queues.next(SECOND), NextPage::AfterCompletion);
    }

    #[test]
    fn a_page_that_is_withdrawn_is_not_returned() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2), ("a", 3), ("b", 4)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        host_queues.finish(0);
        host_queues.push_retry(0, 1, SECOND);
        assert_eq!(host_queues.withdraw(|page| page != 3), [2, 1, 4]);
        assert_eq!(host_queues.waiting(), 1);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(3, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::AfterCompletion);
    }

    #[test]
    fn hosts_are_served_round_robin() {
        let mut host_queues = host_queues(9, Duration::ZERO, &[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(host_queues.next(SECOND), NextPage::Start(1, 0));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(3, 1));
        assert_eq!(host_queues.next(SECOND), NextPage::Start(2, 0));
    }
}

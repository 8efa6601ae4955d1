//! The main loop of a crawl: it fetches the pages that `work` hands out, and submits their records, until no page is left or
//! the deadline passes.
//!
//! Called by `main`. Each page is fetched by a task of its own, in a group. The loop owns all state, so there are no locks.
//!
//! # Invariants
//! - `slot-until-recorded`: at most `--concurrency` pages are between their start and the time when their record is safe. So
//!   that bounds the tasks, the bodies and the results in memory.
//! - `recorded-once`: a page that was started has one record. If its task is aborted it has none, and stays pending.
//! - `one-way-out`: a signal and the deadline start a shutdown in phases. The loop ends when the phase of the requests is over
//!   and their records are safe, however the crawl ends.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use redd::group::{Phases, TaskError, TaskGroup};
use redd::task::spawn_blocking;
use redd::time::{Instant, MissedTickBehavior, interval, sleep_until};
use url::{Host, Url};

use crate::address::{Credentials, Start};
use crate::body::ReadSettings;
use crate::cache::{Cache, Keeper};
use crate::fetch::{FailedTry, FetchResult, FetchSettings, Fetcher};
use crate::files;
use crate::filters::Filters;
use crate::fold::{Plan, Reading, Selection};
use crate::frontier::Limits;
use crate::host_queues::{HostId, HostQueues, NextPage};
use crate::interrupt::Interrupts;
use crate::links::{LinkCollector, LinkKind};
use crate::local_site::{self, LocalSite};
use crate::outcome::{End, Outcome};
use crate::page::{Content, Failure, PageId, Reason, Scope};
use crate::plural::count;
use crate::progress::Progress;
use crate::record::{Answer, PageRecord, Secrets};
use crate::request_settings::RequestSettings;
use crate::robots::Rules;
use crate::work::Work;
use crate::work_item::{Changes, HostOpening, Item};

/// The settings of a crawl, from the command line.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) concurrency: usize,
    pub(crate) per_host: usize,
    /// Requests per second to each host. If None, [`REMOTE_RATE`], and no limit for this machine.
    pub(crate) rate: Option<f64>,
    pub(crate) limits: Limits,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) wait_max: Duration,
    pub(crate) body_max: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) same_origin: bool,
    /// See [`Selection`].
    pub(crate) only_folders: bool,
    pub(crate) filters: Filters,
    pub(crate) requests: RequestSettings,
    /// Whether links to parts of pages are checked.
    pub(crate) has_fragments: bool,
    /// Whether the sitemaps of the starts' hosts are crawled.
    pub(crate) has_sitemaps: bool,
    /// The files that were given.
    pub(crate) site: Arc<LocalSite>,
    /// The answers of earlier crawls.
    pub(crate) cache: Option<Cache>,
}

/// Requests per second to a host that is not this machine, unless `--rate` is given.
const REMOTE_RATE: f64 = 10.0;

/// The phase of the shutdown in which requests that are in flight are finished, and the group of their tasks.
const REQUESTS: &str = "requests";

/// What a request may take after its time: its page is read on a blocking thread.
const GRACE: Duration = Duration::from_secs(10);

/// What a task returns.
#[derive(Debug)]
enum Ended {
    OfHost(Completed),
    /// The answer of an earlier crawl, if it could be read.
    Cached(PageId, Option<Box<PageRecord>>),
}

/// A request that completed.
#[derive(Debug)]
struct Completed {
    host: HostId,
    result: TaskResult,
}

#[derive(Debug)]
enum TaskResult {
    Robots(Rules, Option<Duration>),
    /// A page that was answered.
    Answered(PageId, Box<PageRecord>, Secrets),
    Failed(PageId, FailedTry),
    /// Another process may send requests to the host.
    Withdrawn(PageId),
}

struct Crawl<'a> {
    settings: &'a Settings,
    progress: &'a mut Progress,
    fetcher: Fetcher,
    fetch_settings: FetchSettings,
    work: Work,
    host_queues: HostQueues,
    /// The pages that are queued or fetched.
    items: HashMap<PageId, Item>,
    /// The credentials of the starts, by origin. They are sent with each request to that origin.
    credentials: HashMap<String, Credentials>,
    /// The credentials of links that have their own, by address.
    link_credentials: HashMap<String, Credentials>,
    /// How often the pages that are to be fetched again were tried.
    tries: HashMap<PageId, u32>,
    robots: HashMap<HostId, Rules>,
    robots_wanted: VecDeque<HostId>,
    /// Hosts whose robots.txt is not asked for before that time.
    robots_later: BTreeSet<(Instant, HostId)>,
    /// Why the crawl cannot go on.
    failure: Option<String>,
    /// The hosts whose pages are searched for links.
    inside: HashSet<HostId>,
    /// The pages that an earlier crawl has asked for.
    in_cache: VecDeque<PageId>,
    keeper: Option<Keeper>,
    tasks: TaskGroup<Ended>,
    /// See `slot-until-recorded`.
    slots_taken: usize,
    began: Instant,
}

/// What the records of a crawl from `starts` depend on, beside the records themselves.
pub(crate) fn plan(settings: &Settings, starts: &[Start]) -> Plan {
    Plan {
        starts: starts.iter().map(|start| start.url.to_string()).collect(),
        selection: Selection {
            limits: settings.limits,
            same_origin: settings.same_origin,
            only_folders: settings.only_folders,
            filters: settings.filters.clone(),
            given_files: settings.site.given.clone(),
        },
        reading: Reading {
            has_fragments: settings.has_fragments,
            has_outside_fragments: settings.has_fragments && settings.requests.is_outside_get,
            has_sitemaps: settings.has_sitemaps,
            root: settings.site.root.as_ref().map(Url::to_string),
            base: settings.site.base.as_ref().map(Url::to_string),
            accept: settings.requests.accept.clone(),
        },
    }
}

/// What decides whether an answer of an earlier crawl can be used.
pub(crate) fn question(settings: &Settings, starts: &[Start]) -> String {
    let requests = settings.requests.fingerprint(starts);
    format!("{requests} {} {}", settings.has_fragments, settings.body_max)
}

/// Crawls from `starts`, with the `work` of their [`plan`].
///
/// # Errors
/// If the client cannot be set up, or what many processes share cannot be read. All other failures are part of the outcome.
pub(crate) async fn crawl(
    settings: &Settings,
    starts: &[Start],
    work: Work,
    progress: &mut Progress,
    interrupts: &mut Interrupts,
) -> Result<Outcome, String> {
    let fetch_settings = FetchSettings {
        timeout: settings.timeout,
        retries: settings.retries,
        wait_max: settings.wait_max,
        body_max: settings.body_max,
        has_fragments: settings.has_fragments,
        idle_max: settings.per_host,
    };
    let addresses: Vec<Url> = starts.iter().map(|start| start.url.clone()).collect();
    let of_start = |start: &Start| Some((start.url.origin().ascii_serialization(), start.credentials.clone()?));
    // A request that is in flight has ended by then.
    let phases = Phases::new().then(REQUESTS, settings.timeout.saturating_add(GRACE));
    let mut crawl = Crawl {
        fetcher: Fetcher::new(fetch_settings, settings.requests.clone(), &addresses)?,
        fetch_settings,
        work,
        host_queues: HostQueues::new(settings.per_host),
        items: HashMap::new(),
        credentials: starts.iter().filter_map(of_start).collect(),
        link_credentials: HashMap::new(),
        tries: HashMap::new(),
        robots: HashMap::new(),
        robots_wanted: VecDeque::new(),
        robots_later: BTreeSet::new(),
        failure: None,
        inside: HashSet::new(),
        in_cache: VecDeque::new(),
        keeper: settings.cache.as_ref().map(Cache::keeper),
        tasks: TaskGroup::limit(settings.concurrency).name(REQUESTS).in_phase(&phases, REQUESTS).start(),
        slots_taken: 0,
        began: Instant::now(),
        settings,
        progress,
    };
    if settings.has_sitemaps && !crawl.work.is_shared() {
        // Also if a crawl that is continued has fetched all pages that it knows of.
        for start in &addresses {
            crawl.add_host(start, Scope::Inside);
        }
    }
    let end = crawl.run(&phases, interrupts).await;
    if let Some(keeper) = crawl.keeper.take() {
        keeper.finish().await.iter().for_each(|line| crawl.progress.line(line));
    }
    crawl.progress.finish();
    let fold = crawl.work.finish().await?;
    if let Some(why) = crawl.failure {
        return Err(why);
    }
    Ok(Outcome { end, bytes: fold.bytes(), elapsed: crawl.began.elapsed(), frontier: fold.into_frontier() })
}

impl Crawl<'_> {
    async fn run(&mut self, phases: &Phases, interrupts: &mut Interrupts) -> End {
        let deadline = self.settings.deadline.map(|limit| self.began + limit);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end = End::Complete;
        loop {
            let wake = if end == End::Complete { self.start_tasks() } else { None };
            // `one-way-out`
            if self.slots_taken == 0 && wake.is_none() && self.work.is_idle() {
                return end;
            }
            redd::select! {
                Some(ended) = self.tasks.next() => self.handle_completion(ended),
                changes = self.work.next() => self.handle_changes(changes),
                () = sleep_until(wake.unwrap_or(self.began)), if wake.is_some() => {}
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() && end != End::Deadline => {
                    self.progress.line("the deadline has passed: finished pages are kept, the rest is aborted");
                    phases.end_now("the deadline has passed");
                    self.work.stop(true);
                    end = End::Deadline;
                }
                () = interrupts.recv() => {
                    if phases.is_started() {
                        phases.end_now("interrupted again");
                        self.work.stop(true);
                    } else {
                        let in_flight = count(self.slots_taken, "request");
                        self.progress.line(&format!("interrupted: finishing {in_flight} in flight; another Ctrl-C aborts them"));
                        phases.start("interrupted");
                        self.work.stop(false);
                        end = End::Interrupted;
                    }
                }
                _ = tick.tick() => {
                    self.work.set_load(self.slots_taken, self.host_queues.waiting());
                    self.progress.tick(self.host_queues.waiting() + self.in_cache.len(), self.slots_taken, self.work.bytes());
                }
            }
        }
    }

    /// Starts tasks while there are slots and pages. Returns when to call it again if a page waits only for its time.
    fn start_tasks(&mut self) -> Option<Instant> {
        loop {
            // `slot-until-recorded`
            if self.slots_taken >= self.settings.concurrency {
                return None;
            }
            if let Some(page) = self.in_cache.pop_front() {
                self.read_from_cache(page);
                continue;
            }
            self.want_robots_that_waited();
            if let Some(host) = self.robots_wanted.pop_front() {
                self.start_robots(host);
                continue;
            }
            let (page, host) = match self.host_queues.next(self.began.elapsed()) {
                NextPage::Start(page, host) => (page, host),
                NextPage::At(time) => return self.sooner(self.began.checked_add(time)),
                NextPage::AfterCompletion => return self.sooner(None),
            };
            let lease = self.work.lease(&self.items[&page].url);
            if lease.as_ref().is_some_and(|lease| !lease.may_start()) {
                self.host_queues.finish(host);
                self.withdraw(page);
                continue;
            }
            self.slots_taken += 1;
            let Item { url: address, depth, scope, .. } = self.items[&page].clone();
            if let Some(reason) = self.robots.get(&host).and_then(|rules| rules.denial(&address)) {
                self.host_queues.finish(host);
                self.submit(page, PageRecord::without_links(&address, depth, scope, Answer::Forbidden(reason)));
                continue;
            }
            let of_origin = || self.credentials.get(self.host_queues.origin(host));
            let credentials = self.link_credentials.get(&*address).or_else(of_origin).cloned();
            let (fetcher, site) = (self.fetcher.clone(), Arc::clone(&self.settings.site));
            let read_settings =
                ReadSettings { limit: self.settings.body_max, has_fragments: self.settings.has_fragments };
            self.tasks.spawn(async move {
                let fetch = async {
                    match Url::parse(&address) {
                        Ok(url) if local_site::is_file(&url) => files::page(&url, scope, read_settings, &site).await,
                        Ok(url) => fetcher.page(&url, scope, credentials.as_ref()).await,
                        Err(error) => {
                            FetchResult::Failed(Failure::without_status(Reason::UnusableUrl(error.to_string())).into())
                        }
                    }
                };
                let fetched = match lease {
                    Some(lease) => redd::select! {
                        fetched = fetch => fetched,
                        () = lease.lost() => return Ended::OfHost(Completed { host, result: TaskResult::Withdrawn(page) }),
                    },
                    None => fetch.await,
                };
                let record = |answer| PageRecord::without_links(&address, depth, scope, answer);
                let (record, secrets) = match fetched {
                    FetchResult::Good(content, links) => record(Answer::Good(content)).with_links(links),
                    FetchResult::Redirect { status, to } => PageRecord::of_redirect(&address, depth, scope, status, to),
                    FetchResult::Failed(failed) => {
                        return Ended::OfHost(Completed { host, result: TaskResult::Failed(page, failed) });
                    }
                };
                Ended::OfHost(Completed { host, result: TaskResult::Answered(page, Box::new(record), secrets) })
            });
        }
    }

    /// Asks for the robots.txt of a host.
    fn start_robots(&mut self, host: HostId) {
        let origin = self.host_queues.origin(host).to_owned();
        if !self.work.may_ask(&origin) {
            return;
        }
        let (fetcher, credentials) = (self.fetcher.clone(), self.credentials.get(&origin).cloned());
        self.slots_taken += 1;
        self.tasks.spawn(async move {
            let (rules, retry_after) = fetcher.robots(&origin, credentials.as_ref()).await;
            Ended::OfHost(Completed { host, result: TaskResult::Robots(rules, retry_after) })
        });
    }

    /// Starts the task that reads the answer of an earlier crawl.
    fn read_from_cache(&mut self, page: PageId) {
        let Some(cache) = self.settings.cache.clone() else { return };
        let Item { url, depth, scope, .. } = self.items[&page].clone();
        self.slots_taken += 1;
        self.tasks.spawn(async move {
            let read = spawn_blocking(move || cache.get(&url, depth, scope));
            Ended::Cached(page, read.await.ok().flatten().map(Box::new))
        });
    }

    fn handle_completion(&mut self, ended: Result<Ended, TaskError>) {
        let completed = match ended {
            Ok(Ended::OfHost(completed)) => completed,
            Ok(Ended::Cached(page, Some(record))) => return self.submit(page, *record),
            Ok(Ended::Cached(page, None)) => {
                self.slots_taken -= 1;
                return self.queue_at_host(page);
            }
            Err(error) => {
                self.slots_taken -= 1;
                if !error.is_cancelled() {
                    let line = format!("a task of the crawler failed: {error}");
                    self.progress.line(&line);
                    if self.work.is_shared() {
                        // Its page is held until this process leaves.
                        self.failure = Some(line);
                        self.work.stop(false);
                    }
                }
                return;
            }
        };
        match completed.result {
            TaskResult::Robots(rules, retry_after) => {
                self.slots_taken -= 1;
                self.host_queues.open(completed.host, rules.delay());
                self.pause(completed.host, retry_after);
                self.share_robots(completed.host, &rules, retry_after);
                if self.settings.has_sitemaps && self.inside.contains(&completed.host) {
                    self.add_sitemaps(completed.host, &rules);
                }
                self.robots.insert(completed.host, rules);
            }
            TaskResult::Answered(page, record, secrets) => {
                self.host_queues.finish(completed.host);
                for (address, credentials) in secrets {
                    self.link_credentials.entry(address).or_insert(credentials);
                }
                if let Some(keeper) = &self.keeper {
                    keeper.keep(&record, self.link_credentials.contains_key(&record.url));
                }
                self.submit(page, *record);
            }
            TaskResult::Failed(page, failed) => {
                self.host_queues.finish(completed.host);
                self.retry_or_give_up(page, completed.host, failed);
            }
            TaskResult::Withdrawn(page) => {
                self.slots_taken -= 1;
                self.host_queues.finish(completed.host);
                self.withdraw(page);
            }
        }
    }

    /// Gives a page back that another process is to fetch.
    fn withdraw(&mut self, page: PageId) {
        self.tries.remove(&page);
        if let Some(item) = self.items.remove(&page) {
            self.work.give_back(&item.url);
        }
    }

    /// Tells the process that has the host next what it must know. The request for the robots.txt counts as one: where
    /// processes take turns, it is not the only one.
    fn share_robots(&mut self, host: HostId, rules: &Rules, retry_after: Option<Duration>) {
        if self.work.is_shared() {
            self.host_queues.pause(host, self.began.elapsed().saturating_add(self.host_queues.interval(host)));
            let pause = retry_after.map(|wait| wait.min(self.settings.wait_max));
            if rules.delay().is_some() || pause.is_some() {
                self.work.store_host(self.host_queues.origin(host), rules.delay(), pause);
            }
        }
    }

    /// The robots.txt of hosts whose time has come are wanted now.
    fn want_robots_that_waited(&mut self) {
        while let Some(&(at, host)) = self.robots_later.first() {
            if at > Instant::now() {
                return;
            }
            self.robots_later.pop_first();
            self.robots_wanted.push_back(host);
        }
    }

    /// The sooner one of this time and that at which a robots.txt is wanted.
    fn sooner(&self, at: Option<Instant>) -> Option<Instant> {
        self.robots_later.first().map(|&(at, _)| at).into_iter().chain(at).min()
    }

    /// Crawls the sitemaps that the robots.txt of `host` names. If it names none, there should be one at the usual place.
    fn add_sitemaps(&mut self, host: HostId, rules: &Rules) {
        let Ok(robots) = Url::parse(self.host_queues.origin(host)).and_then(|origin| origin.join("/robots.txt")) else {
            return;
        };
        if rules.sitemaps().is_empty() {
            if let Ok(usual) = robots.join("/sitemap.xml") {
                self.work.add_start(&usual);
            }
            return;
        }
        let mut collector = LinkCollector::new(&robots, false);
        rules.sitemaps().iter().for_each(|address| collector.add(address, LinkKind::Sitemap, || 0));
        let content = Content { status: 200, bytes: 0, sha256: None, note: None };
        let record = PageRecord::without_links(robots.as_str(), 0, Scope::Inside, Answer::Good(content));
        // The slot of the request is free when this record is safe.
        self.slots_taken += 1;
        self.work.submit(record.with_links(collector.finish()).0);
    }

    /// Hands over the record of a page (`recorded-once`). Its slot is free when the record is safe.
    fn submit(&mut self, page: PageId, record: PageRecord) {
        self.items.remove(&page);
        self.work.submit(record);
    }

    fn handle_changes(&mut self, changes: Changes) {
        self.slots_taken -= changes.recorded;
        changes.lines.iter().for_each(|line| self.progress.line(line));
        for page in changes.settled {
            self.progress.page_finished(self.work.entry(page));
        }
        for host in changes.hosts {
            self.open(host);
        }
        for item in changes.queued {
            self.queue(item);
        }
        if !changes.withdrawn.is_empty() {
            let withdrawn: HashSet<PageId> = changes.withdrawn.into_iter().collect();
            let queued = self.host_queues.withdraw(|page| withdrawn.contains(&page));
            queued.into_iter().for_each(|page| self.withdraw(page));
        }
        self.failure = changes.failure.or(self.failure.take());
    }

    /// This process may send requests to a host, from some time on.
    fn open(&mut self, opening: HostOpening) {
        let Ok(url) = Url::parse(&opening.origin) else { return };
        let (host, _) = self.host_queues.host(&opening.origin, self.request_interval(&url));
        self.host_queues.pause(host, opening.not_before.saturating_duration_since(self.began));
        if self.host_queues.is_open(host) {
            self.host_queues.open(host, opening.delay);
        } else {
            self.robots_later.insert((opening.not_before, host));
        }
    }

    fn queue(&mut self, item: Item) {
        let has_own_credentials = self.link_credentials.contains_key(&*item.url);
        let cache = self.settings.cache.as_ref().filter(|_| !has_own_credentials);
        let (id, is_cached) = (item.id, cache.is_some_and(|cache| cache.has(&item.url, item.scope)));
        self.items.insert(id, item);
        if is_cached {
            self.in_cache.push_back(id);
        } else {
            self.queue_at_host(id);
        }
    }

    fn queue_at_host(&mut self, page: PageId) {
        let Item { url, scope, .. } = &self.items[&page];
        // `fold` queues only what can be parsed.
        let (Ok(url), scope) = (Url::parse(url), *scope) else { return };
        let host = self.add_host(&url, scope);
        self.host_queues.push(host, page);
    }

    /// The host of an address. The robots.txt of a new one is asked for first.
    fn add_host(&mut self, url: &Url, scope: Scope) -> HostId {
        let origin = url.origin().ascii_serialization();
        let (host, is_new) = self.host_queues.host(&origin, self.request_interval(url));
        if is_new && local_site::is_file(url) {
            self.host_queues.open(host, None);
        } else if is_new {
            self.robots_wanted.push_back(host);
        }
        if scope == Scope::Inside {
            self.inside.insert(host);
        }
        host
    }

    /// Queues a page again that may be fetched later, and makes its host wait if that asks for it.
    fn retry_or_give_up(&mut self, page: PageId, host: HostId, failed: FailedTry) {
        self.pause(host, failed.retry_after);
        let tries = self.tries.remove(&page).unwrap_or(0);
        match failed.wait_before_retry(tries, &self.fetch_settings) {
            Ok(wait) => {
                self.slots_taken -= 1;
                self.tries.insert(page, tries + 1);
                self.host_queues.push_retry(host, page, self.began.elapsed().saturating_add(wait));
            }
            Err(failure) => {
                let Item { url, depth, scope, .. } = &self.items[&page];
                let record = PageRecord::without_links(url, *depth, *scope, Answer::Broken(failure));
                self.submit(page, record);
            }
        }
    }

    /// Starts no request to `host` for as long as it asks, at most for `--max-wait`.
    fn pause(&mut self, host: HostId, retry_after: Option<Duration>) {
        if let Some(wait) = retry_after {
            let wait = wait.min(self.settings.wait_max);
            let is_longer = self.host_queues.pause(host, self.began.elapsed().saturating_add(wait));
            if is_longer && self.inside.contains(&host) {
                self.progress.host_waits(self.host_queues.origin(host), wait);
            }
            let delay = self.robots.get(&host).and_then(Rules::delay);
            self.work.store_host(self.host_queues.origin(host), delay, Some(wait));
        }
    }

    fn request_interval(&self, link: &Url) -> Duration {
        request_interval(self.settings.rate, link)
    }
}

/// The time between two requests to the host of `link`.
pub(crate) fn request_interval(rate: Option<f64>, link: &Url) -> Duration {
    if local_site::is_file(link) {
        return Duration::ZERO;
    }
    let is_this_machine = match link.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let rate = rate.unwrap_or(if is_this_machine { f64::INFINITY } else { REMOTE_RATE });
    Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default()
}

//! The main loop of a crawl: it starts tasks and records their results until no page is left or the deadline passes.
//!
//! Called by `main`. Each page is fetched by a task of its own, in a `JoinSet`. The loop owns all state, so there are no locks.
//!
//! # Invariants
//! - `permit-until-recorded`: a task is spawned with a permit, which is released when its result has been recorded.
//!   So `--concurrency` bounds the tasks, the bodies and the results in memory.
//! - `recorded-once`: the state of each started page is recorded once. If its task is aborted, the page stays pending.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use redd::sync::{OwnedSemaphorePermit, Semaphore};
use redd::task::{JoinError, JoinSet};
use redd::time::{Instant, MissedTickBehavior, interval, sleep_until};
use url::{Host, Url};

use crate::address::{Credentials, Start, redact, take_credentials};
use crate::fetch::{FailedTry, FetchResult, FetchSettings, Fetcher};
use crate::frontier::{Admission, Frontier, Limits};
use crate::host_queues::{HostId, HostQueues, NextPage};
use crate::interrupt::Interrupts;
use crate::links::Links;
use crate::outcome::{End, Outcome};
use crate::page::{Failure, PageId, PageState, Reason, Scope, Skipped};
use crate::plural::count;
use crate::progress::Progress;
use crate::robots::Rules;

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
}

/// Requests per second to a host that is not this machine, unless `--rate` is given.
const REMOTE_RATE: f64 = 10.0;

/// A task that completed.
#[derive(Debug)]
struct Completed {
    host: HostId,
    result: TaskResult,
    /// See `permit-until-recorded`.
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum TaskResult {
    Robots(Rules, Option<Duration>),
    Page(PageId, FetchResult),
}

struct Crawl<'a> {
    settings: &'a Settings,
    progress: &'a mut Progress,
    fetcher: Fetcher,
    fetch_settings: FetchSettings,
    frontier: Frontier,
    host_queues: HostQueues,
    /// The credentials of the starts, by origin. They are sent with each request to that origin.
    credentials: HashMap<String, Credentials>,
    /// The credentials of links that have their own.
    page_credentials: HashMap<PageId, Credentials>,
    /// How often the pages that are to be fetched again were tried.
    tries: HashMap<PageId, u32>,
    robots: HashMap<HostId, Rules>,
    robots_wanted: VecDeque<HostId>,
    tasks: JoinSet<Completed>,
    permits: Arc<Semaphore>,
    began: Instant,
    bytes: u64,
}

/// Crawls from `starts`.
///
/// # Errors
/// If the client cannot be set up. All later failures are part of the outcome.
pub(crate) async fn crawl(
    settings: &Settings,
    starts: &[Start],
    progress: &mut Progress,
    interrupts: &mut Interrupts,
) -> Result<Outcome, String> {
    let fetch_settings = FetchSettings {
        timeout: settings.timeout,
        retries: settings.retries,
        wait_max: settings.wait_max,
        body_max: settings.body_max,
        has_fragments: false,
        idle_max: settings.per_host,
    };
    let mut crawl = Crawl {
        fetcher: Fetcher::new(fetch_settings)?,
        fetch_settings,
        frontier: Frontier::new(settings.limits),
        host_queues: HostQueues::new(settings.per_host),
        credentials: HashMap::new(),
        page_credentials: HashMap::new(),
        tries: HashMap::new(),
        robots: HashMap::new(),
        robots_wanted: VecDeque::new(),
        tasks: JoinSet::new(),
        permits: Arc::new(Semaphore::new(settings.concurrency)),
        began: Instant::now(),
        bytes: 0,
        settings,
        progress,
    };
    crawl.add_starts(starts);
    let end = crawl.run(interrupts).await;
    crawl.progress.finish();
    Ok(Outcome { frontier: crawl.frontier, end, bytes: crawl.bytes, elapsed: crawl.began.elapsed() })
}

impl Crawl<'_> {
    async fn run(&mut self, interrupts: &mut Interrupts) -> End {
        let deadline = self.settings.deadline.map(|limit| self.began + limit);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut end = End::Complete;
        loop {
            let wake = if end == End::Complete { self.start_tasks() } else { None };
            if self.tasks.is_empty() && wake.is_none() {
                return end;
            }
            redd::select! {
                Some(joined) = self.tasks.join_next() => self.handle_completion(joined),
                () = sleep_until(wake.unwrap_or(self.began)), if wake.is_some() => {}
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    self.progress.line("the deadline has passed: finished pages are kept, the rest is aborted");
                    self.abort().await;
                    return End::Deadline;
                }
                () = interrupts.recv() => {
                    if end == End::Interrupted {
                        self.abort().await;
                        return End::Interrupted;
                    }
                    let in_flight = count(self.tasks.len(), "request");
                    self.progress.line(&format!("interrupted: finishing {in_flight} in flight; another Ctrl-C aborts them"));
                    end = End::Interrupted;
                }
                _ = tick.tick() => self.progress.tick(self.host_queues.waiting(), self.tasks.len(), self.bytes),
            }
        }
    }

    /// Records the results of completed tasks and aborts the others.
    async fn abort(&mut self) {
        while let Some(joined) = self.tasks.try_join_next() {
            self.handle_completion(joined);
        }
        self.tasks.shutdown().await;
    }

    fn add_starts(&mut self, starts: &[Start]) {
        for Start { url, credentials, .. } in starts {
            let origin = url.origin().ascii_serialization();
            if let Some(credentials) = credentials {
                self.credentials.insert(origin.clone(), credentials.clone());
            }
            self.frontier.add_start_origin(origin);
            self.add_link(url.clone(), None, 0);
        }
    }

    /// Starts tasks while there are permits and pages. Returns when to call it again if a page waits only for its time.
    fn start_tasks(&mut self) -> Option<Instant> {
        loop {
            // `permit-until-recorded`
            let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
            let fetcher = self.fetcher.clone();
            if let Some(host) = self.robots_wanted.pop_front() {
                let origin = self.host_queues.origin(host).to_owned();
                let credentials = self.credentials.get(&origin).cloned();
                self.tasks.spawn(async move {
                    let (rules, retry_after) = fetcher.robots(&origin, credentials.as_ref()).await;
                    Completed { host, result: TaskResult::Robots(rules, retry_after), _permit: permit }
                });
                continue;
            }
            let (page, host) = match self.host_queues.next(self.began.elapsed()) {
                NextPage::Start(page, host) => (page, host),
                NextPage::At(time) => return self.began.checked_add(time),
                NextPage::AfterCompletion => return None,
            };
            let entry = self.frontier.entry(page);
            let (address, scope) = (Arc::clone(&entry.url), entry.scope);
            if let Some(reason) = self.robots.get(&host).and_then(|rules| rules.denial(&address)) {
                self.host_queues.finish(host);
                self.set_state(page, PageState::Skipped(Skipped::Robots(reason)));
                continue;
            }
            let of_origin = || self.credentials.get(self.host_queues.origin(host));
            let credentials = self.page_credentials.get(&page).or_else(of_origin).cloned();
            self.tasks.spawn(async move {
                let result = match Url::parse(&address) {
                    Ok(url) => fetcher.page(&url, scope, credentials.as_ref()).await,
                    Err(error) => {
                        FetchResult::Failed(Failure::without_status(Reason::UnusableUrl(error.to_string())).into())
                    }
                };
                Completed { host, result: TaskResult::Page(page, result), _permit: permit }
            });
        }
    }

    fn handle_completion(&mut self, joined: Result<Completed, JoinError>) {
        let completed = match joined {
            Ok(completed) => completed,
            Err(error) => return self.progress.line(&format!("a task of the crawler failed: {error}")),
        };
        match completed.result {
            TaskResult::Robots(rules, retry_after) => {
                self.host_queues.open(completed.host, rules.delay());
                self.pause(completed.host, retry_after);
                self.robots.insert(completed.host, rules);
            }
            TaskResult::Page(page, result) => {
                self.host_queues.finish(completed.host);
                self.record(page, completed.host, result);
            }
        }
    }

    /// Records the result of fetching a page (`recorded-once`).
    fn record(&mut self, page: PageId, host: HostId, result: FetchResult) {
        let depth = self.frontier.entry(page).depth;
        match result {
            FetchResult::Good(content, links) => {
                self.bytes += content.bytes;
                self.set_state(page, PageState::Good(content));
                self.add_links(page, &links, depth.saturating_add(1));
            }
            FetchResult::Failed(failed) => self.retry_or_give_up(page, host, failed),
            FetchResult::Redirect { status, to } => {
                if let Some(reason) = self.frontier.too_many_redirects(page) {
                    return self.set_state(page, PageState::Broken(Failure::with_status(status, reason)));
                }
                // If a start redirects to another origin, that origin is crawled.
                if depth == 0 {
                    self.frontier.add_start_origin(to.origin().ascii_serialization());
                }
                match self.add_link(to, Some(page), depth) {
                    Some(target) => match &self.frontier.redirect(page, status, target)[..] {
                        [] => self.progress.page_finished(self.frontier.entry(page)),
                        cycle => cycle.iter().for_each(|&page| self.progress.page_finished(self.frontier.entry(page))),
                    },
                    None => {
                        let reason = Reason::BadRedirect("its target is left out by --max-pages".into());
                        self.set_state(page, PageState::Broken(Failure::with_status(status, reason)));
                    }
                }
            }
        }
    }

    /// Queues a page again that may be fetched later, and makes its host wait if that asks for it.
    fn retry_or_give_up(&mut self, page: PageId, host: HostId, failed: FailedTry) {
        self.pause(host, failed.retry_after);
        let tries = self.tries.remove(&page).unwrap_or(0);
        match failed.wait_before_retry(tries, &self.fetch_settings) {
            Ok(wait) => {
                self.tries.insert(page, tries + 1);
                self.host_queues.push_retry(host, page, self.began.elapsed().saturating_add(wait));
            }
            Err(failure) => self.set_state(page, PageState::Broken(failure)),
        }
    }

    /// Starts no request to `host` for as long as it asks, at most for `--max-wait`.
    fn pause(&mut self, host: HostId, retry_after: Option<Duration>) {
        if let Some(wait) = retry_after {
            self.host_queues.pause(host, self.began.elapsed().saturating_add(wait.min(self.settings.wait_max)));
        }
    }

    fn add_links(&mut self, page: PageId, links: &Links, depth: u16) {
        for link in &links.found {
            if let Ok(link) = Url::parse(&link.url) {
                self.add_link(link, Some(page), depth);
            }
        }
        for (scheme, hash) in &links.ignored {
            self.frontier.ignore(scheme, *hash);
        }
        for (link, why) in &links.unusable {
            self.add_unusable(link, why, Some(page), depth);
        }
    }

    /// Records a link, and queues its page if it is new. Returns None if a limit excludes it.
    fn add_link(&mut self, mut link: Url, from: Option<PageId>, depth: u16) -> Option<PageId> {
        // `no-userinfo`
        let credentials = take_credentials(&mut link);
        let origin = link.origin().ascii_serialization();
        let scope = self.frontier.scope_of(&origin);
        let will_be_fetched = !self.settings.same_origin || scope == Scope::Inside;
        match self.frontier.add_link(link.as_str(), from, depth, scope, will_be_fetched) {
            Admission::New(page) if !will_be_fetched => {
                self.set_state(page, PageState::Skipped(Skipped::Outside));
                Some(page)
            }
            Admission::New(page) => {
                if let Some(credentials) = credentials {
                    self.page_credentials.insert(page, credentials);
                }
                let (host, is_new) = self.host_queues.host(&origin, self.request_interval(&link));
                if is_new {
                    self.robots_wanted.push_back(host);
                }
                self.host_queues.push(host, page);
                Some(page)
            }
            Admission::Known(page) => Some(page),
            Admission::Refused => None,
        }
    }

    fn add_unusable(&mut self, link: &str, why: &str, from: Option<PageId>, depth: u16) {
        if let Admission::New(page) = self.frontier.add_link(&redact(link), from, depth, Scope::Outside, false) {
            self.set_state(page, PageState::Broken(Failure::without_status(Reason::UnusableUrl(why.to_owned()))));
        }
    }

    fn set_state(&mut self, page: PageId, state: PageState) {
        self.frontier.set_state(page, state);
        self.progress.page_finished(self.frontier.entry(page));
    }

    /// The time between two requests to the host of `link`.
    fn request_interval(&self, link: &Url) -> Duration {
        let is_this_machine = match link.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let rate = self.settings.rate.unwrap_or(if is_this_machine { f64::INFINITY } else { REMOTE_RATE });
        Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default()
    }
}

//! The whole flow of a crawl: what may start is started, what ends is taken in, until nothing is left or time is up.
//!
//! Called by `main`. One task a page, in a `JoinSet`; one loop owns all the state, so nothing is shared and nothing locked.
//!
//! # Invariants
//! - `permit-to-the-end`: a task has a permit before it exists, and its permit is freed only when its answer was taken in.
//!   So `--concurrency` bounds the tasks, the bodies and the answers in memory.
//! - `settled-once`: each page that was started is settled by its answer, or stays waiting if its task was aborted.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use redd::signal::ctrl_c;
use redd::sync::{OwnedSemaphorePermit, Semaphore};
use redd::task::{JoinError, JoinSet};
use redd::time::{Instant, MissedTickBehavior, interval, sleep_until};
use url::{Host, Url};

use crate::address::{Credentials, Start, redact, take_credentials};
use crate::extract::Links;
use crate::fetch::{FetchResult, FetchSettings, Fetcher};
use crate::frontier::{Admission, Frontier, Limits};
use crate::host_queues::{HostId, HostQueues, NextPage};
use crate::outcome::{End, Outcome};
use crate::page::{Failure, PageId, PageState, Reason, Scope, Skipped};
use crate::plural::count;
use crate::progress::Progress;
use crate::robots::Rules;

/// How a crawl goes; `main` fills it from the arguments.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) concurrency: usize,
    pub(crate) per_host: usize,
    /// Requests a second to each host; none for no limit.
    pub(crate) rate: Option<f64>,
    pub(crate) limits: Limits,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) wait_max: Duration,
    pub(crate) body_max: usize,
    pub(crate) deadline: Option<Duration>,
    pub(crate) same_origin: bool,
}

/// Requests a second to a host that is not this machine, if `--rate` does not say otherwise.
const REMOTE_RATE: f64 = 10.0;

/// What a task brings home.
#[derive(Debug)]
struct Completed {
    host: HostId,
    result: TaskResult,
    /// See `permit-to-the-end`.
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum TaskResult {
    Robots(Rules),
    Page(PageId, FetchResult),
}

struct Crawl<'a> {
    settings: &'a Settings,
    progress: &'a mut Progress,
    fetcher: Fetcher,
    frontier: Frontier,
    host_queues: HostQueues,
    /// Of the starts, by origin. They are sent with every request to that origin.
    credentials: HashMap<String, Credentials>,
    /// Of single links.
    page_credentials: HashMap<PageId, Credentials>,
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
/// If the client cannot be set up. Whatever goes wrong later is part of the outcome.
pub(crate) async fn crawl(settings: &Settings, starts: &[Start], progress: &mut Progress) -> Result<Outcome, String> {
    let mut crawl = Crawl {
        fetcher: Fetcher::new(&FetchSettings {
            timeout: settings.timeout,
            retries: settings.retries,
            wait_max: settings.wait_max,
            body_max: settings.body_max,
            idle_max: settings.per_host,
        })?,
        frontier: Frontier::new(settings.limits),
        host_queues: HostQueues::new(settings.per_host),
        credentials: HashMap::new(),
        page_credentials: HashMap::new(),
        robots: HashMap::new(),
        robots_wanted: VecDeque::new(),
        tasks: JoinSet::new(),
        permits: Arc::new(Semaphore::new(settings.concurrency)),
        began: Instant::now(),
        bytes: 0,
        settings,
        progress,
    };
    crawl.begin(starts);
    let end = crawl.run().await;
    crawl.progress.finish();
    Ok(Outcome { frontier: crawl.frontier, end, bytes: crawl.bytes, elapsed: crawl.began.elapsed() })
}

impl Crawl<'_> {
    async fn run(&mut self) -> End {
        let deadline = self.settings.deadline.map(|limit| self.began + limit);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut interrupt = std::pin::pin!(ctrl_c());
        let mut end = End::Complete;
        // This loop is the crawl.
        loop {
            let wake = if end == End::Complete { self.start_what_may() } else { None };
            if self.tasks.is_empty() && wake.is_none() {
                return end;
            }
            redd::select! {
                Some(joined) = self.tasks.join_next() => self.take(joined),
                () = sleep_until(wake.unwrap_or(self.began)), if wake.is_some() => {}
                () = sleep_until(deadline.unwrap_or(self.began)), if deadline.is_some() => {
                    self.progress.line("the deadline is over: what is done is kept, the rest is aborted");
                    self.abort().await;
                    return End::Deadline;
                }
                heard = &mut interrupt => {
                    interrupt.set(ctrl_c());
                    if heard.is_err() || end == End::Interrupted {
                        self.abort().await;
                        return End::Interrupted;
                    }
                    let flying = count(self.tasks.len(), "request");
                    self.progress.line(&format!("interrupted: finishing {flying} in flight; once more aborts them"));
                    end = End::Interrupted;
                }
                _ = tick.tick() => self.progress.tick(self.host_queues.waiting(), self.tasks.len(), self.bytes),
            }
        }
    }

    /// Takes in what is done, and aborts the rest.
    async fn abort(&mut self) {
        while let Some(joined) = self.tasks.try_join_next() {
            self.take(joined);
        }
        self.tasks.shutdown().await;
    }

    fn begin(&mut self, starts: &[Start]) {
        for Start { url, credentials, .. } in starts {
            let origin = url.origin().ascii_serialization();
            if let Some(credentials) = credentials {
                self.credentials.insert(origin.clone(), credentials.clone());
            }
            self.frontier.add_start_origin(origin);
            self.cite(url.clone(), None, 0);
        }
    }

    /// Starts tasks while there are permits and pages; says when to look again if only time is missing.
    fn start_what_may(&mut self) -> Option<Instant> {
        loop {
            // `permit-to-the-end`
            let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
            let fetcher = self.fetcher.clone();
            if let Some(host) = self.robots_wanted.pop_front() {
                let origin = self.host_queues.origin(host).to_owned();
                let credentials = self.credentials.get(&origin).cloned();
                self.tasks.spawn(async move {
                    let result = TaskResult::Robots(fetcher.robots(&origin, credentials.as_ref()).await);
                    Completed { host, result, _permit: permit }
                });
                continue;
            }
            let (page, host) = match self.host_queues.next(self.began.elapsed()) {
                NextPage::Start(page, host) => (page, host),
                NextPage::At(time) => return Some(self.began + time),
                NextPage::Later => return None,
            };
            let entry = self.frontier.entry(page);
            let (address, scope) = (Arc::clone(&entry.url), entry.scope);
            if let Some(reason) = self.robots.get(&host).and_then(|rules| rules.denial(&address)) {
                self.host_queues.finish(host);
                self.settle(page, PageState::Skipped(Skipped::Robots(reason)));
                continue;
            }
            let of_origin = || self.credentials.get(self.host_queues.origin(host));
            let credentials = self.page_credentials.get(&page).or_else(of_origin).cloned();
            self.tasks.spawn(async move {
                let answer = match Url::parse(&address) {
                    Ok(url) => fetcher.page(&url, scope, credentials.as_ref()).await,
                    Err(error) => FetchResult::Broken(Failure::without_status(Reason::UnusableUrl(error.to_string()))),
                };
                Completed { host, result: TaskResult::Page(page, answer), _permit: permit }
            });
        }
    }

    fn take(&mut self, joined: Result<Completed, JoinError>) {
        let done = match joined {
            Ok(done) => done,
            Err(error) => return self.progress.line(&format!("a page was lost: {error}")),
        };
        match done.result {
            TaskResult::Robots(rules) => {
                self.host_queues.open(done.host, rules.delay());
                self.robots.insert(done.host, rules);
            }
            TaskResult::Page(page, answer) => {
                self.host_queues.finish(done.host);
                self.answer(page, answer);
            }
        }
    }

    /// Settles a page by its answer (`settled-once`).
    fn answer(&mut self, page: PageId, answer: FetchResult) {
        let depth = self.frontier.entry(page).depth;
        match answer {
            FetchResult::Good(content, links) => {
                self.bytes += content.bytes;
                self.settle(page, PageState::Good(content));
                self.follow(page, &links, depth.saturating_add(1));
            }
            FetchResult::Broken(failure) => self.settle(page, PageState::Broken(failure)),
            FetchResult::Redirect { status, to } => {
                if let Some(reason) = self.frontier.too_many_redirects(page) {
                    return self.settle(page, PageState::Broken(Failure::with_status(status, reason)));
                }
                // A start that moved takes the crawl with it.
                if depth == 0 {
                    self.frontier.add_start_origin(to.origin().ascii_serialization());
                }
                match self.cite(to, Some(page), depth) {
                    Some(target) => match &self.frontier.redirect(page, status, target)[..] {
                        [] => self.progress.settled(self.frontier.entry(page)),
                        circle => circle.iter().for_each(|&page| self.progress.settled(self.frontier.entry(page))),
                    },
                    None => {
                        let reason = Reason::BadRedirect("one page too many (--max-pages)".into());
                        self.settle(page, PageState::Broken(Failure::with_status(status, reason)));
                    }
                }
            }
        }
    }

    fn follow(&mut self, page: PageId, links: &Links, depth: u16) {
        for link in &links.found {
            if let Ok(link) = Url::parse(link) {
                self.cite(link, Some(page), depth);
            }
        }
        for (scheme, hash) in &links.ignored {
            self.frontier.ignore(scheme, *hash);
        }
        for (link, why) in &links.unusable {
            self.unusable(link, why, Some(page), depth);
        }
    }

    /// Notes a link; if it is new, queues the page behind it.
    fn cite(&mut self, mut link: Url, from: Option<PageId>, depth: u16) -> Option<PageId> {
        // `no-userinfo`
        let credentials = take_credentials(&mut link);
        let origin = link.origin().ascii_serialization();
        let scope = self.frontier.scope_of(&origin);
        let will_be_fetched = !self.settings.same_origin || scope == Scope::Inside;
        match self.frontier.cite(link.as_str(), from, depth, scope, will_be_fetched) {
            Admission::New(page) if !will_be_fetched => {
                self.settle(page, PageState::Skipped(Skipped::Outside));
                Some(page)
            }
            Admission::New(page) => {
                if let Some(credentials) = credentials {
                    self.page_credentials.insert(page, credentials);
                }
                let (host, is_new) = self.host_queues.host(&origin, self.gap(&link));
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

    fn unusable(&mut self, link: &str, why: &str, from: Option<PageId>, depth: u16) {
        if let Admission::New(page) = self.frontier.cite(&redact(link), from, depth, Scope::Outside, false) {
            self.settle(page, PageState::Broken(Failure::without_status(Reason::UnusableUrl(why.to_owned()))));
        }
    }

    fn settle(&mut self, page: PageId, state: PageState) {
        self.frontier.settle(page, state);
        self.progress.settled(self.frontier.entry(page));
    }

    /// The time between two requests to the host of `link`.
    fn gap(&self, link: &Url) -> Duration {
        let is_here = match link.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let rate = self.settings.rate.unwrap_or(if is_here { f64::INFINITY } else { REMOTE_RATE });
        Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default()
    }
}

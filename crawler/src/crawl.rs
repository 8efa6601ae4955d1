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
use crate::fetch::{Answer, FetchSettings, Fetcher};
use crate::frontier::{Cited, Frontier, Limits};
use crate::outcome::{End, Outcome};
use crate::page::{Failure, Fate, Left, PageId, Reach, Trouble};
use crate::plural::count;
use crate::polite::{HostId, Polite, Turn};
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
const RATE_ABROAD: f64 = 10.0;

/// What a task brings home.
#[derive(Debug)]
struct Done {
    host: HostId,
    news: News,
    /// See `permit-to-the-end`.
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum News {
    Robots(Rules),
    Page(PageId, Answer),
}

struct Crawl<'a> {
    settings: &'a Settings,
    progress: &'a mut Progress,
    fetcher: Fetcher,
    frontier: Frontier,
    polite: Polite,
    /// Of the starts, by origin. They are sent with every request to that origin.
    credentials: HashMap<String, Credentials>,
    /// Of single links.
    page_credentials: HashMap<PageId, Credentials>,
    robots: HashMap<HostId, Rules>,
    robots_wanted: VecDeque<HostId>,
    tasks: JoinSet<Done>,
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
        polite: Polite::new(settings.per_host),
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
                _ = tick.tick() => self.progress.tick(self.polite.waiting(), self.tasks.len(), self.bytes),
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
            self.frontier.widen(origin);
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
                let origin = self.polite.origin(host).to_owned();
                let credentials = self.credentials.get(&origin).cloned();
                self.tasks.spawn(async move {
                    let news = News::Robots(fetcher.robots(&origin, credentials.as_ref()).await);
                    Done { host, news, _permit: permit }
                });
                continue;
            }
            let (page, host) = match self.polite.next(self.began.elapsed()) {
                Turn::Start(page, host) => (page, host),
                Turn::At(time) => return Some(self.began + time),
                Turn::Later => return None,
            };
            let entry = self.frontier.entry(page);
            let (address, reach) = (Arc::clone(&entry.url), entry.reach);
            if let Some(reason) = self.robots.get(&host).and_then(|rules| rules.refuse(&address)) {
                self.polite.finish(host);
                self.settle(page, Fate::Left(Left::Robots(reason)));
                continue;
            }
            let of_origin = || self.credentials.get(self.polite.origin(host));
            let credentials = self.page_credentials.get(&page).or_else(of_origin).cloned();
            self.tasks.spawn(async move {
                let answer = match Url::parse(&address) {
                    Ok(url) => fetcher.page(&url, reach, credentials.as_ref()).await,
                    Err(error) => Answer::Broken(Failure::unanswered(Trouble::UnusableUrl(error.to_string()))),
                };
                Done { host, news: News::Page(page, answer), _permit: permit }
            });
        }
    }

    fn take(&mut self, joined: Result<Done, JoinError>) {
        let done = match joined {
            Ok(done) => done,
            Err(error) => return self.progress.line(&format!("a page was lost: {error}")),
        };
        match done.news {
            News::Robots(rules) => {
                self.polite.open(done.host, rules.delay());
                self.robots.insert(done.host, rules);
            }
            News::Page(page, answer) => {
                self.polite.finish(done.host);
                self.answer(page, answer);
            }
        }
    }

    /// Settles a page by its answer (`settled-once`).
    fn answer(&mut self, page: PageId, answer: Answer) {
        let depth = self.frontier.entry(page).depth;
        match answer {
            Answer::Good(content, links) => {
                self.bytes += content.bytes;
                self.settle(page, Fate::Good(content));
                self.follow(page, &links, depth.saturating_add(1));
            }
            Answer::Broken(failure) => self.settle(page, Fate::Broken(failure)),
            Answer::Redirect { status, to } => {
                if let Some(trouble) = self.frontier.too_many_hops(page) {
                    return self.settle(page, Fate::Broken(Failure::answered(status, trouble)));
                }
                // A start that moved takes the crawl with it.
                if depth == 0 {
                    self.frontier.widen(to.origin().ascii_serialization());
                }
                match self.cite(to, Some(page), depth) {
                    Some(target) => match &self.frontier.redirect(page, status, target)[..] {
                        [] => self.progress.settled(self.frontier.entry(page)),
                        circle => circle.iter().for_each(|&page| self.progress.settled(self.frontier.entry(page))),
                    },
                    None => {
                        let trouble = Trouble::BadRedirect("one page too many (--max-pages)".into());
                        self.settle(page, Fate::Broken(Failure::answered(status, trouble)));
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
        let reach = self.frontier.reach_of(&origin);
        let will_be_fetched = !self.settings.same_origin || reach == Reach::Inside;
        match self.frontier.cite(link.as_str(), from, depth, reach, will_be_fetched) {
            Cited::New(page) if !will_be_fetched => {
                self.settle(page, Fate::Left(Left::Outside));
                Some(page)
            }
            Cited::New(page) => {
                if let Some(credentials) = credentials {
                    self.page_credentials.insert(page, credentials);
                }
                let (host, is_new) = self.polite.host(&origin, self.gap(&link));
                if is_new {
                    self.robots_wanted.push_back(host);
                }
                self.polite.push(host, page);
                Some(page)
            }
            Cited::Known(page) => Some(page),
            Cited::Refused => None,
        }
    }

    fn unusable(&mut self, link: &str, why: &str, from: Option<PageId>, depth: u16) {
        if let Cited::New(page) = self.frontier.cite(&redact(link), from, depth, Reach::Outside, false) {
            self.settle(page, Fate::Broken(Failure::unanswered(Trouble::UnusableUrl(why.to_owned()))));
        }
    }

    fn settle(&mut self, page: PageId, fate: Fate) {
        self.frontier.settle(page, fate);
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
        let rate = self.settings.rate.unwrap_or(if is_here { f64::INFINITY } else { RATE_ABROAD });
        Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default()
    }
}

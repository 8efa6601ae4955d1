//! The work of a crawl that many processes share: what `crawl` needs of the engine.
//!
//! Called by `work`; joined by `main`.
//!
//! # Invariants
//! - `one-decision`: which links are followed is decided by the same code as in a crawl of one process. A record is taken in
//!   by a fold that knows the starts alone; the pages that this queues are announced.

use std::collections::{BTreeSet, HashMap};
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use redd::group::TaskGroup;
use redd::time::{Instant, sleep_until};
use serde_json::json;
use url::Url;

use crate::engine::address::FrontierAddress;
use crate::engine::event::Event;
use crate::engine::item::{Announcement, Item as SharedItem, Work};
use crate::engine::lease::Lease;
use crate::engine::names::{Key, Partition, partition_of};
use crate::engine::{Engine, Joining, Records};
use crate::fold::{Fold, Plan};
use crate::frontier::REDIRECTS_MAX;
use crate::links::{Link, Unusable};
use crate::page::{Failure, PageId, Reason, Scope};
use crate::record::{Answer, PageRecord};
use crate::work_item::{Changes, HostOpening, Item};

/// The version of the records and of what is announced. Processes of different versions do not share a crawl.
const FORMAT: u64 = 1;
/// How long an aborted crawl waits until the records of its finished pages are stored.
const GIVE_UP: Duration = Duration::from_secs(2);
/// The length of the longest address that the client sends a request to.
const ADDRESS_LENGTH_MAX: usize = 65_534;
/// How many characters the name of a crawl has that was not given one.
const NAME_LENGTH: usize = 12;

/// A page that this process has.
#[derive(Debug)]
struct Held {
    id: PageId,
    item: SharedItem,
}

/// Work that is shared.
#[derive(Debug)]
pub(crate) struct Cluster {
    address: FrontierAddress,
    engine: Engine,
    plan: Arc<Plan>,
    /// What this process has recorded, for its progress.
    fold: Fold,
    held: HashMap<String, Held>,
    leases: HashMap<Partition, Arc<Lease>>,
    next_id: PageId,
    commits: TaskGroup<PageRecord>,
    announcements: TaskGroup<()>,
    changes: Changes,
    has_changes: bool,
    /// Whether no page comes any more.
    is_over: bool,
    /// When records that are not stored are given up.
    gives_up_at: Option<Instant>,
}

/// The name of the crawl: that of the address, or one that follows from the starts.
pub(crate) fn name_of(address: &FrontierAddress, plan: &Plan) -> String {
    match address.name() {
        Some(name) => name.to_owned(),
        None => Key::of(&plan.starts.join(" ")).to_string()[..NAME_LENGTH].to_owned(),
    }
}

/// The plan that the processes of a crawl have agreed on.
///
/// # Errors
/// If the crawl is of another version.
pub(crate) async fn plan_of(records: &Records) -> Result<Plan, String> {
    let settings = records.settings().await?;
    if settings["format"] != FORMAT {
        return Err(format!("the crawl is of another version of redd-crawl ({}, not {FORMAT})", settings["format"]));
    }
    serde_json::from_value(settings["plan"].clone()).map_err(|error| format!("the settings cannot be read: {error}"))
}

/// All that the processes of a crawl have found so far.
///
/// # Errors
/// If it cannot be read.
pub(crate) async fn fold_of(records: &Records, plan: &Plan) -> Result<Fold, String> {
    let mut fold = Fold::of_plan(plan);
    let read = records.read(|bytes| {
        fold.apply(&PageRecord::from_bytes(bytes)?);
        Ok(())
    });
    read.await?;
    Ok(fold)
}

impl Cluster {
    /// Joins the crawl with this plan. `interval` is the time between two requests to a host.
    ///
    /// # Errors
    /// If that is not possible. The message says how to fix it.
    pub(crate) async fn join(
        address: FrontierAddress,
        plan: &Plan,
        interval: impl Fn(&str) -> Duration + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let plan = Arc::new(plan.clone());
        let inside = Arc::clone(&plan);
        let joining = Joining {
            name: name_of(&address, &plan),
            settings: json!({ "format": FORMAT, "plan": serde_json::to_value(&*plan).map_err(|error| error.to_string())? }),
            starts: Announcement {
                pages: plan.starts.iter().map(|start| start_of(start)).collect(),
                inside: Vec::new(),
            },
            announce: Box::new(move |work, record, known| {
                PageRecord::from_bytes(record).map(|record| announcement(&inside, work, &record, known))
            }),
            interval: Arc::new(interval),
        };
        let engine = Engine::join(&address, joining).await?;
        Ok(Self {
            address,
            engine,
            fold: Fold::of_plan(&plan),
            plan,
            held: HashMap::new(),
            leases: HashMap::new(),
            next_id: 0,
            commits: TaskGroup::builder().name("commits").start(),
            announcements: TaskGroup::discarding().name("announcements").start(),
            changes: Changes::default(),
            has_changes: false,
            is_over: false,
            gives_up_at: None,
        })
    }

    pub(crate) fn fold(&self) -> &Fold {
        &self.fold
    }

    /// Crawls from `url`, too.
    pub(crate) fn add_start(&mut self, url: &Url) {
        self.announcements.spawn(self.engine.announce(start_of(url.as_str())));
    }

    pub(crate) fn submit(&mut self, mut record: PageRecord) {
        leave_out_long_addresses(&mut record);
        let Some(Held { item, .. }) = self.held.remove(&record.url) else {
            let work = start_of(&record.url);
            let commit = self.engine.commit_extra(work, record.to_bytes());
            self.commits.spawn(async move {
                commit.await;
                record
            });
            return;
        };
        if let Answer::Redirect { status, .. } = record.answer {
            if usize::from(item.work.hops) >= REDIRECTS_MAX {
                let reason = Reason::EndlessRedirect(format!("more than {REDIRECTS_MAX} hops"));
                record.answer = Answer::Broken(Failure::with_status(status, reason));
            }
        }
        let commit = self.engine.commit(item, record.to_bytes());
        self.commits.spawn(async move {
            commit.await;
            record
        });
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.is_over && !self.has_changes && self.commits.is_empty()
    }

    /// Waits until something has changed.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Changes {
        while !take(&mut self.has_changes) {
            let gives_up_at = self.gives_up_at;
            redd::select! {
                Some(committed) = self.commits.next() => self.note(committed.ok()),
                () = sleep_until(gives_up_at.unwrap_or_else(Instant::now)), if gives_up_at.is_some() => {
                    self.gives_up_at = None;
                    self.commits.cancel("the crawl is aborted");
                }
                event = self.engine.next() => self.handle(event),
            }
        }
        take(&mut self.changes)
    }

    /// A record is safe. None if it was given up.
    fn note(&mut self, record: Option<PageRecord>) {
        self.changes.recorded += 1;
        self.has_changes = true;
        if let Some(record) = record {
            self.changes.settled.extend(self.fold.apply(&record).settled);
        }
    }

    fn handle(&mut self, event: Event) {
        self.has_changes = true;
        match event {
            Event::Page(item) => self.hold(item),
            Event::Host { origin, lease, not_before, delay } => {
                self.leases.insert(lease.partition(), lease);
                self.changes.hosts.push(HostOpening { origin, not_before, delay });
            }
            Event::Release(partition) | Event::Lost(partition) => {
                let is_gone = |item: &SharedItem| item.lease.partition() == partition && !item.lease.may_start();
                let gone = self.held.values().filter(|held| is_gone(&held.item)).map(|held| held.id);
                self.changes.withdrawn.extend(gone);
            }
            Event::Line(line) => self.changes.lines.push(line),
            // It comes again. What this process is about to announce is work, too.
            Event::Done => self.is_over |= self.commits.is_empty() && self.announcements.is_empty(),
            Event::Failed(why) => {
                self.is_over = true;
                self.changes.failure = Some(why);
            }
        }
    }

    fn hold(&mut self, item: SharedItem) {
        if self.is_over {
            return self.engine.give_back(&item);
        }
        let id = self.next_id;
        self.next_id += 1;
        let scope = if item.work.is_inside { Scope::Inside } else { Scope::Outside };
        self.changes.queued.push(Item { id, url: item.work.url.as_str().into(), depth: item.work.depth, scope });
        self.held.insert(item.work.url.clone(), Held { id, item });
    }

    pub(crate) fn stop(&mut self, is_abort: bool) {
        self.is_over = true;
        if is_abort {
            self.gives_up_at = Some(Instant::now() + GIVE_UP);
        }
    }

    pub(crate) fn may_ask(&self, origin: &str) -> bool {
        self.leases.get(&partition_of(origin)).is_some_and(|lease| lease.may_start())
    }

    pub(crate) fn lease(&self, url: &str) -> Option<Arc<Lease>> {
        self.held.get(url).map(|held| Arc::clone(&held.item.lease))
    }

    pub(crate) fn give_back(&mut self, url: &str) {
        if let Some(held) = self.held.remove(url) {
            self.engine.give_back(&held.item);
        }
    }

    pub(crate) fn store_host(&self, origin: &str, delay: Option<Duration>, pause: Option<Duration>) {
        self.engine.store_host(origin.to_owned(), delay, pause);
    }

    pub(crate) fn set_load(&self, in_flight: usize, waiting: usize) {
        self.engine.set_load(in_flight, waiting);
    }

    /// Leaves the crawl, and reads what all its processes have found.
    pub(crate) async fn finish(self) -> Result<Fold, String> {
        let records = self.engine.leave().await;
        fold_of(&records, &self.plan).await.map_err(|error| {
            let name = name_of(&self.address, &self.plan);
            format!("{error}. `redd-crawl report --frontier {}/{name}` shows what was found", self.address.server())
        })
    }
}

/// Addresses that no request can be sent to are broken at once: a message to announce one may be too large for the server.
fn leave_out_long_addresses(record: &mut PageRecord) {
    let (links, long) = take(&mut record.links).into_iter().partition(|link| link.url.len() <= ADDRESS_LENGTH_MAX);
    record.links = links;
    let why = || format!("it has more than {ADDRESS_LENGTH_MAX} bytes");
    record.unusable.extend(long.into_iter().map(|link: Link| Unusable { text: link.url, why: why(), line: link.line }));
    if let Answer::Redirect { status, to } = &record.answer {
        if to.len() > ADDRESS_LENGTH_MAX {
            record.answer = Answer::Broken(Failure::with_status(*status, Reason::BadRedirect(why())));
        }
    }
}

/// A start, as work.
fn start_of(url: &str) -> Work {
    Work { url: url.to_owned(), depth: 0, is_inside: true, hops: 0, inside_known: 0 }
}

/// What follows from a record (`one-decision`).
fn announcement(plan: &Plan, work: &Work, record: &PageRecord, inside: &BTreeSet<String>) -> Announcement {
    let mut fold = Fold::of_plan(plan);
    inside.iter().for_each(|address| fold.add_inside(address));
    let queued = fold.apply(record).queued;
    let (is_redirect, targets) = match &record.answer {
        Answer::Redirect { to, .. } if record.depth == 0 => (true, vec![to.clone()]),
        Answer::Redirect { .. } => (true, Vec::new()),
        Answer::Good(_) | Answer::Broken(_) | Answer::Forbidden(_) => (false, Vec::new()),
    };
    let page = |id: PageId| {
        let entry = fold.frontier().entry(id);
        Work {
            url: entry.url.to_string(),
            depth: entry.depth,
            is_inside: entry.scope == Scope::Inside,
            hops: if is_redirect { work.hops.saturating_add(1) } else { 0 },
            inside_known: 0,
        }
    };
    Announcement { pages: queued.into_iter().map(page).collect(), inside: targets }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::LinkKind;
    use crate::page::Content;

    #[test]
    fn an_address_that_is_too_long_is_broken_and_not_announced() {
        let content = Content { status: 200, bytes: 1, sha256: None, note: None };
        let mut record = PageRecord::without_links("http://a/", 0, Scope::Inside, Answer::Good(content));
        let long = format!("http://a/{}", "x".repeat(ADDRESS_LENGTH_MAX));
        for url in ["http://a/1".to_owned(), long.clone()] {
            record.links.push(Link { url, fragment: None, kind: LinkKind::Anchor, line: 1 });
        }
        leave_out_long_addresses(&mut record);
        assert_eq!(record.links.len(), 1);
        assert_eq!(record.unusable[0].text, long);
        record.answer = Answer::Redirect { status: 301, to: long };
        leave_out_long_addresses(&mut record);
        assert!(matches!(record.answer, Answer::Broken(_)));
    }
}

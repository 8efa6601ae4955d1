//! The frontier of a crawl on many machines, kept in NATS JetStream.
//!
//! Called by `crawl`, which fetches the pages. The queue of pages, the addresses that are known, the records and what limits
//! the requests to each host are on the server; a process has what it works on.
//!
//! # Steps for each page
//! 1. Its message is delivered to the process that has the lease of its host's partition (`puller`).
//! 2. The page is fetched, by `crawl`.
//! 3. The record is stored; the first one counts (`records`).
//! 4. Its links are announced, each address once (`announcer`).
//! 5. The message is acknowledged (`committer`).
//!
//! A process that ends anywhere in between leaves a message that is delivered again, to the process that gets the lease. The
//! steps that were done are found done.
//!
//! # Why not otherwise
//! One lease for each host would be finer than 64 partitions, and cost a renewal for each host every two seconds. Leases that
//! expire one by one need a server from 2.11 on; a bucket whose entries all expire does not.

pub(crate) mod address;
mod announcer;
mod committer;
pub(crate) mod event;
mod host;
pub(crate) mod item;
mod keeper;
mod layout;
pub(crate) mod lease;
mod member;
pub(crate) mod names;
mod puller;
mod records;
mod share;
pub(crate) mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redd::group::TaskGroup;
use redd::sync::{mpsc, oneshot, watch};
use redd::time::timeout;
use serde_json::Value;

use crate::engine::address::FrontierAddress;
use crate::engine::announcer::Announcer;
use crate::engine::committer::{Announce, Committer};
use crate::engine::event::{Event, Events};
use crate::engine::host::Interval;
use crate::engine::item::{Announcement, Item, Work};
use crate::engine::keeper::Keeper;
use crate::engine::layout::Layout;
use crate::engine::member::Load;
use crate::engine::status::Status;

/// How long a process waits for the engine when it leaves.
const LEAVE: Duration = Duration::from_secs(6);

/// What a process brings when it joins a crawl.
pub(crate) struct Joining {
    pub(crate) name: String,
    /// What decides which pages belong to the crawl. All processes must have the same.
    pub(crate) settings: Value,
    pub(crate) starts: Announcement,
    /// What follows from a record.
    pub(crate) announce: Box<Announce>,
    pub(crate) interval: Interval,
}

/// A process's membership of a crawl.
#[derive(Debug)]
pub(crate) struct Engine {
    layout: Layout,
    sender: Arc<Events>,
    events: mpsc::UnboundedReceiver<Event>,
    announcer: Arc<Announcer>,
    committer: Arc<Committer>,
    load: Arc<Load>,
    leave: Option<oneshot::Sender<()>>,
    tasks: TaskGroup<()>,
}

impl Engine {
    /// Joins the crawl, and creates it if it does not exist.
    ///
    /// # Errors
    /// If the server cannot be reached or has no JetStream, or the crawl has other settings. The message says how to fix it.
    pub(crate) async fn join(address: &FrontierAddress, joining: Joining) -> Result<Self, String> {
        let (sender, mut events) = mpsc::unbounded_channel();
        let sender = Arc::new(Events::new(sender));
        let connection = layout::connect(address, Arc::clone(&sender)).await?;
        let layout = Layout::open_or_create(connection, &joining.name, &joining.settings).await?;
        let number = layout.next_member().await?;
        // The number alone would do, but a crawl that is started over begins at 1 again.
        let random: String =
            layout.client.new_inbox().chars().rev().take(8).filter(char::is_ascii_alphanumeric).collect();
        let inside = Arc::new(watch::Sender::new(BTreeSet::new()));
        let announcer = Arc::new(Announcer::new(layout.clone(), Arc::clone(&sender), Arc::clone(&inside)));
        let committer = Arc::new(Committer::new(
            layout.clone(),
            Arc::clone(&sender),
            Arc::clone(&announcer),
            Arc::clone(&inside),
            joining.announce,
        ));
        let load = Arc::<Load>::default();
        let keeper = Keeper {
            layout: layout.clone(),
            events: Arc::clone(&sender),
            committer: Arc::clone(&committer),
            load: Arc::clone(&load),
            inside,
            interval: joining.interval,
            me: format!("{number:012}-{random}"),
            machine: machine().await,
        };
        let (leave, left) = oneshot::channel();
        let starts = Arc::clone(&announcer);
        let tasks = TaskGroup::discarding().name("frontier").start();
        tasks.spawn(async move {
            // `empty-is-the-end`: the starts are announced first.
            starts.starts(joining.starts).await;
            // It completes too when the engine is dropped.
            keeper.run(async { drop(left.await) }).await;
        });
        // That it is connected is what the user expects at the start.
        while matches!(events.try_recv(), Ok(Event::Line(_))) {}
        Ok(Self { layout, sender, events, announcer, committer, load, leave: Some(leave), tasks })
    }

    /// What to do next. If this is dropped, no event is lost.
    pub(crate) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(event) => event,
            // We hold a sender.
            None => std::future::pending().await,
        }
    }

    /// Stores the record of a page, announces its links and acknowledges the page. It waits while the engine is not there. If it
    /// is dropped, the page is delivered again.
    pub(crate) fn commit(&self, item: Item, record: Vec<u8>) -> impl Future<Output = ()> + Send + use<> {
        let committer = Arc::clone(&self.committer);
        async move { committer.commit(&item, &record).await }
    }

    /// The same for a record that is not of a page that was delivered, such as that of a robots.txt that names sitemaps.
    pub(crate) fn commit_extra(&self, work: Work, record: Vec<u8>) -> impl Future<Output = ()> + Send + use<> {
        let committer = Arc::clone(&self.committer);
        async move { committer.commit_extra(&work, &record).await }
    }

    /// Announces a page from which the crawl starts, too.
    pub(crate) fn announce(&self, start: Work) -> impl Future<Output = ()> + Send + use<> {
        let announcer = Arc::clone(&self.announcer);
        async move { announcer.starts(Announcement { pages: vec![start], inside: Vec::new() }).await }
    }

    /// Gives a page back that was not fetched.
    pub(crate) fn give_back(&self, item: &Item) {
        item.lease.forget(item.sequence);
    }

    /// Stores what a host asks for, for the process that sends requests to it later.
    pub(crate) fn store_host(&self, origin: String, delay: Option<Duration>, pause: Option<Duration>) {
        let (layout, events) = (self.layout.clone(), Arc::clone(&self.sender));
        self.tasks.spawn(async move { host::store(&layout, &events, &origin, delay, pause).await });
    }

    /// Says how much this process has to do, for `status`.
    pub(crate) fn set_load(&self, in_flight: usize, waiting: usize) {
        self.load.in_flight.store(in_flight as u64, Ordering::Relaxed);
        self.load.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    /// Leaves the crawl: other processes take the partitions at once.
    pub(crate) async fn leave(mut self) -> Records {
        drop(self.leave.take());
        let _ = timeout(LEAVE, self.tasks.close()).await;
        Records { layout: self.layout }
    }
}

/// What a crawl has found so far.
#[derive(Debug)]
pub(crate) struct Records {
    layout: Layout,
}

impl Records {
    /// Opens the crawl `name`, without joining it.
    ///
    /// # Errors
    /// If the server cannot be reached, or has no such crawl.
    pub(crate) async fn open(address: &FrontierAddress, name: &str) -> Result<Self, String> {
        let (sender, _) = mpsc::unbounded_channel();
        let connection = layout::connect(address, Arc::new(Events::new(sender))).await?;
        Ok(Self { layout: Layout::open(connection, name).await? })
    }

    /// The settings of the crawl.
    ///
    /// # Errors
    /// If the server does not return them.
    pub(crate) async fn settings(&self) -> Result<Value, String> {
        self.layout.read_settings().await
    }

    /// Whether no page is left to fetch.
    ///
    /// # Errors
    /// If the server does not say so.
    pub(crate) async fn is_complete(&self) -> Result<bool, String> {
        self.layout.unfinished().await.map(|pages| pages == 0)
    }

    /// Which processes work on the crawl, and on what.
    ///
    /// # Errors
    /// If the server does not say so.
    pub(crate) async fn status(&self) -> Result<Status, String> {
        status::read(&self.layout).await
    }

    /// Calls `each` with every record, in the order in which they were stored.
    ///
    /// # Errors
    /// If the server does not return them all, or `each` fails.
    pub(crate) async fn read(&self, each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
        records::read_all(&self.layout, each).await
    }
}

/// The names of the crawls that the server has.
///
/// # Errors
/// If it cannot be reached, or has no JetStream.
pub(crate) async fn list(address: &FrontierAddress) -> Result<BTreeSet<String>, String> {
    let (sender, _) = mpsc::unbounded_channel();
    let connection = layout::connect(address, Arc::new(Events::new(sender))).await?;
    connection.crawls().await
}

/// Deletes the crawl `name`.
///
/// # Errors
/// If processes work on it, or the server refuses.
pub(crate) async fn start_over(address: &FrontierAddress, name: &str) -> Result<(), String> {
    let (sender, _) = mpsc::unbounded_channel();
    let connection = layout::connect(address, Arc::new(Events::new(sender))).await?;
    layout::delete(connection, name).await
}

/// The name of this machine.
async fn machine() -> String {
    let name = redd::fs::read_to_string("/proc/sys/kernel/hostname").await.unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "a machine without a name".to_owned() } else { name.to_owned() }
}

//! Where the pages of a crawl come from, and where their records go.
//!
//! Called by `crawl`, which fetches the pages. A page is handed out once; its record is submitted once.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::cluster::Cluster;
use crate::engine::lease::Lease;
use crate::fold::Fold;
use crate::frontier::Entry;
use crate::page::PageId;
use crate::record::PageRecord;
use crate::work_item::Changes;
use crate::work_local::Local;

/// The source of pages.
#[derive(Debug)]
pub(crate) enum Work {
    /// All of it is in this process.
    Local(Box<Local>),
    /// It is shared by many processes.
    Cluster(Box<Cluster>),
}

impl Work {
    /// Crawls from `url`, too.
    pub(crate) fn add_start(&mut self, url: &Url) {
        match self {
            Self::Local(local) => local.add_start(url),
            Self::Cluster(cluster) => cluster.add_start(url),
        }
    }

    /// Hands over what became of an item. Never waits: [`Changes::recorded`] says when the record is safe.
    pub(crate) fn submit(&mut self, record: PageRecord) {
        match self {
            Self::Local(local) => local.submit(record),
            Self::Cluster(cluster) => cluster.submit(record),
        }
    }

    /// Waits until something has changed.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Changes {
        match self {
            Self::Local(local) => local.next().await,
            Self::Cluster(cluster) => cluster.next().await,
        }
    }

    /// Whether nothing will change before another record is submitted.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Local(local) => local.is_idle(),
            Self::Cluster(cluster) => cluster.is_idle(),
        }
    }

    /// An address whose state was decided.
    pub(crate) fn entry(&self, id: PageId) -> &Entry {
        match self {
            Self::Local(local) => local.fold().frontier().entry(id),
            Self::Cluster(cluster) => cluster.fold().frontier().entry(id),
        }
    }

    /// The size of the pages so far.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Local(local) => local.fold().bytes(),
            Self::Cluster(cluster) => cluster.fold().bytes(),
        }
    }

    /// All that was found. The crawl has ended.
    ///
    /// # Errors
    /// If that cannot be read.
    pub(crate) async fn finish(self) -> Result<Fold, String> {
        match self {
            Self::Local(local) => Ok(local.finish()),
            Self::Cluster(cluster) => cluster.finish().await,
        }
    }

    /// No page is started any more. With `is_abort`, nothing is waited for either.
    pub(crate) fn stop(&mut self, is_abort: bool) {
        match self {
            Self::Local(_) => {}
            Self::Cluster(cluster) => cluster.stop(is_abort),
        }
    }

    /// Whether other processes may send requests to the same hosts, before and after this one.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// Whether a request to this host may start now.
    pub(crate) fn may_ask(&self, origin: &str) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Cluster(cluster) => cluster.may_ask(origin),
        }
    }

    /// The lease under which a page is fetched. None if there is no other process.
    pub(crate) fn lease(&self, url: &str) -> Option<Arc<Lease>> {
        match self {
            Self::Local(_) => None,
            Self::Cluster(cluster) => cluster.lease(url),
        }
    }

    /// This process does not fetch this page any more.
    pub(crate) fn give_back(&mut self, url: &str) {
        match self {
            Self::Local(_) => {}
            Self::Cluster(cluster) => cluster.give_back(url),
        }
    }

    /// What the next process must know of a host: its `Crawl-delay`, and how long it asked to wait.
    pub(crate) fn store_host(&self, origin: &str, delay: Option<Duration>, pause: Option<Duration>) {
        match self {
            Self::Local(_) => {}
            Self::Cluster(cluster) => cluster.store_host(origin, delay, pause),
        }
    }

    /// How much there is to do in this process.
    pub(crate) fn set_load(&self, in_flight: usize, waiting: usize) {
        match self {
            Self::Local(_) => {}
            Self::Cluster(cluster) => cluster.set_load(in_flight, waiting),
        }
    }
}

//! Where the pages of a crawl come from, and where their records go.
//!
//! Called by `crawl`, which fetches the pages. A page is handed out once; its record is submitted once.

use url::Url;

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
}

impl Work {
    /// Crawls from `url`, too.
    pub(crate) fn add_start(&mut self, url: &Url) {
        match self {
            Self::Local(local) => local.add_start(url),
        }
    }

    /// Hands over what became of an item. Never waits: [`Changes::recorded`] says when the record is safe.
    pub(crate) fn submit(&mut self, record: PageRecord) {
        match self {
            Self::Local(local) => local.submit(record),
        }
    }

    /// Waits until something has changed.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Changes {
        match self {
            Self::Local(local) => local.next().await,
        }
    }

    /// Whether nothing will change before another record is submitted.
    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Local(local) => local.is_idle(),
        }
    }

    /// An address whose state was decided.
    pub(crate) fn entry(&self, id: PageId) -> &Entry {
        match self {
            Self::Local(local) => local.fold().frontier().entry(id),
        }
    }

    /// The size of the pages so far.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Local(local) => local.fold().bytes(),
        }
    }

    /// All that was found. The crawl has ended.
    pub(crate) fn finish(self) -> Fold {
        match self {
            Self::Local(local) => local.finish(),
        }
    }
}

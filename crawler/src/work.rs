//! Where the pages of a crawl come from, and where their records go.
//!
//! Called by `crawl`, which fetches the pages. A page is handed out once; its record is submitted once.

use std::future::pending;
use std::mem::take;
use std::sync::Arc;

use url::Url;

use crate::fold::{Effects, Fold, Selection};
use crate::frontier::Entry;
use crate::page::{PageId, Scope};
use crate::record::PageRecord;

/// A page that is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Names the page within this process.
    pub(crate) id: PageId,
    pub(crate) url: Arc<str>,
    pub(crate) depth: u16,
    pub(crate) scope: Scope,
}

/// What has happened since the last call of [`Work::next`].
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// How many of the submitted records are safe.
    pub(crate) recorded: usize,
    /// Addresses whose state was decided. See [`Work::entry`].
    pub(crate) settled: Vec<PageId>,
    /// Pages that are to be fetched.
    pub(crate) queued: Vec<Item>,
}

/// The source of pages.
#[derive(Debug)]
pub(crate) enum Work {
    /// All of it is in this process.
    Local(Box<Local>),
}

impl Work {
    /// The work of one process, which starts from `starts`.
    pub(crate) fn local(selection: Selection, starts: &[Url]) -> Self {
        Self::Local(Box::new(Local::new(selection, starts)))
    }

    /// Crawls from `url`, too.
    pub(crate) fn add_start(&mut self, url: &Url) {
        match self {
            Self::Local(local) => local.add_start(url),
        }
    }

    /// Hands over what became of an [`Item`]. Never waits: [`Changes::recorded`] says when the record is safe.
    pub(crate) fn submit(&mut self, record: PageRecord) {
        match self {
            Self::Local(local) => local.submit(&record),
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
            Self::Local(local) => !local.has_changes,
        }
    }

    /// An address whose state was decided.
    pub(crate) fn entry(&self, id: PageId) -> &Entry {
        match self {
            Self::Local(local) => local.fold.frontier().entry(id),
        }
    }

    /// The size of the pages so far.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Local(local) => local.fold.bytes(),
        }
    }

    /// All that was found. The crawl has ended.
    pub(crate) fn finish(self) -> Fold {
        match self {
            Self::Local(local) => local.fold,
        }
    }
}

/// Work that is all in this process.
#[derive(Debug)]
pub(crate) struct Local {
    fold: Fold,
    changes: Changes,
    has_changes: bool,
}

impl Local {
    fn new(selection: Selection, starts: &[Url]) -> Self {
        let mut local = Self { fold: Fold::new(selection), changes: Changes::default(), has_changes: true };
        for start in starts {
            local.add_start(start);
        }
        local
    }

    fn add_start(&mut self, url: &Url) {
        let effects = self.fold.add_start(url);
        self.note(effects);
    }

    fn submit(&mut self, record: &PageRecord) {
        let effects = self.fold.apply(record);
        self.changes.recorded += 1;
        self.note(effects);
    }

    fn note(&mut self, effects: Effects) {
        self.has_changes = true;
        self.changes.settled.extend(effects.settled);
        for id in effects.queued {
            let entry = self.fold.frontier().entry(id);
            self.changes.queued.push(Item { id, url: Arc::clone(&entry.url), depth: entry.depth, scope: entry.scope });
        }
    }

    async fn next(&mut self) -> Changes {
        if !take(&mut self.has_changes) {
            pending::<()>().await;
        }
        take(&mut self.changes)
    }
}

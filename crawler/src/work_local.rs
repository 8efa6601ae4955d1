//! The work of a crawl that is all in this process, with or without a store.
//!
//! Called by `work`, and made by `main`.
//!
//! # Invariants
//! - `stored-first`: with a store, a record is in it before it changes anything here.
//! - `one-write`: one batch of records is written at a time. The records that come meanwhile are the next batch. So the
//!   store keeps up with any number of pages a second, and their order is that of the file.

use std::future::pending;
use std::mem::take;
use std::sync::Arc;

use redd::task::{JoinHandle, spawn_blocking};
use url::Url;

use crate::exit::EarlyExit;
use crate::fold::{Effects, Fold, Plan};
use crate::record::PageRecord;
use crate::store::Store;
use crate::work_item::{Changes, Item};

/// Work that is all in this process.
#[derive(Debug)]
pub(crate) struct Local {
    fold: Fold,
    changes: Changes,
    has_changes: bool,
    store: Option<Store>,
    /// See `one-write`.
    waiting: Vec<PageRecord>,
    writing: Option<Writing>,
}

/// A batch of records that is being written.
#[derive(Debug)]
struct Writing {
    records: Arc<Vec<PageRecord>>,
    result: JoinHandle<Result<(), String>>,
}

impl Local {
    /// The work of a crawl that starts anew.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self::from_fold(Fold::of_plan(plan), None)
    }

    /// The work that the crawl of this store has left.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) async fn with_store(plan: &Plan, store: Store) -> Result<Self, EarlyExit> {
        let mut fold = Fold::of_plan(plan);
        let reading = spawn_blocking(move || {
            store.read(|record| {
                fold.apply(&record);
            })?;
            Ok(Self::from_fold(fold, Some(store)))
        });
        reading.await.unwrap_or_else(|error| Err(EarlyExit::incomplete(format!("the store was not read: {error}"))))
    }

    /// What is left after the records of `fold`, in the order of its discovery.
    fn from_fold(fold: Fold, store: Option<Store>) -> Self {
        let queued = fold.pending();
        let mut local =
            Self { fold, changes: Changes::default(), has_changes: true, store, waiting: Vec::new(), writing: None };
        local.note(Effects { queued, settled: Vec::new() });
        local
    }

    pub(crate) fn fold(&self) -> &Fold {
        &self.fold
    }

    pub(crate) fn finish(self) -> Fold {
        self.fold
    }

    pub(crate) fn add_start(&mut self, url: &Url) {
        let effects = self.fold.add_start(url);
        self.note(effects);
    }

    pub(crate) fn submit(&mut self, record: PageRecord) {
        // An earlier run of this crawl may have stored what is found out in each run.
        if self.store.is_some() && self.fold.is_pending(&record.url) {
            self.waiting.push(record);
            self.start_writing();
        } else {
            self.apply(&record);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.has_changes && self.writing.is_none() && self.waiting.is_empty()
    }

    /// Waits until something has changed.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Changes {
        while !take(&mut self.has_changes) {
            match &mut self.writing {
                Some(writing) => {
                    let result = (&mut writing.result).await;
                    let records = Arc::clone(&writing.records);
                    self.writing = None;
                    let failed = |error| Err(format!("{error}. The crawl goes on without a store."));
                    self.handle_written(&records, result.unwrap_or_else(failed));
                }
                None => pending().await,
            }
        }
        take(&mut self.changes)
    }

    fn start_writing(&mut self) {
        if let (Some(store), None, false) = (&self.store, &self.writing, self.waiting.is_empty()) {
            let (store, records) = (store.clone(), Arc::new(take(&mut self.waiting)));
            let written = Arc::clone(&records);
            self.writing = Some(Writing { records, result: spawn_blocking(move || store.append(&written)) });
        }
    }

    /// Acts upon records that were written (`stored-first`), or that cannot be.
    fn handle_written(&mut self, records: &[PageRecord], result: Result<(), String>) {
        if let Err(line) = result {
            self.store = None;
            self.changes.lines.push(line);
        }
        records.iter().for_each(|record| self.apply(record));
        if self.store.is_some() {
            self.start_writing();
        } else {
            take(&mut self.waiting).iter().for_each(|record| self.apply(record));
        }
    }

    fn apply(&mut self, record: &PageRecord) {
        let effects = self.fold.apply(record);
        self.changes.recorded += 1;
        self.note(effects);
    }

    fn note(&mut self, effects: Effects) {
        self.has_changes = true;
        self.changes.settled.extend(effects.settled);
        for id in effects.queued {
            let entry = self.fold.frontier().entry(id);
            let url = Arc::clone(&entry.url);
            self.changes.queued.push(Item { id, url, depth: entry.depth, scope: entry.scope });
        }
    }
}

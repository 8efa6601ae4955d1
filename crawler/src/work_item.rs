//! What passes between `crawl` and the source of its pages, `work`.

use std::sync::Arc;

use crate::page::{PageId, Scope};

/// A page that is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Names the page within this process.
    pub(crate) id: PageId,
    pub(crate) url: Arc<str>,
    pub(crate) depth: u16,
    pub(crate) scope: Scope,
}

/// What has happened since it was asked for last.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// How many of the submitted records are safe.
    pub(crate) recorded: usize,
    /// Addresses whose state was decided.
    pub(crate) settled: Vec<PageId>,
    /// Pages that are to be fetched.
    pub(crate) queued: Vec<Item>,
    /// What the user is told.
    pub(crate) lines: Vec<String>,
}

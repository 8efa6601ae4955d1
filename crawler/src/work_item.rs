//! What passes between `crawl` and the source of its pages, `work`.

use std::sync::Arc;
use std::time::Duration;

use redd::time::Instant;

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
    /// Hosts of a crawl that is shared, each before its first page.
    pub(crate) hosts: Vec<HostOpening>,
    /// Pages that are not to be started any more, because another process takes them.
    pub(crate) withdrawn: Vec<PageId>,
    /// Why the crawl cannot go on.
    pub(crate) failure: Option<String>,
}

/// A host to which this process may send requests from some time on.
#[derive(Debug)]
pub(crate) struct HostOpening {
    pub(crate) origin: String,
    pub(crate) not_before: Instant,
    /// The `Crawl-delay` that another process has read.
    pub(crate) delay: Option<Duration>,
}

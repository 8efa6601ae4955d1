//! The pages to fetch, as they wait in the frontier and as a process holds them.
//!
//! Made by `engine`, handled by `crawl`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::lease::Lease;
use crate::engine::names::{Key, origin_of};

/// A page to fetch, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) url: String,
    /// Clicks from a start, along the links that were found first.
    pub(crate) depth: u16,
    /// Whether its links are followed.
    pub(crate) is_inside: bool,
    /// How many redirects have led to it.
    pub(crate) hops: u8,
    /// How many addresses were searched for links beside the starts, when it was announced. A process that knows fewer asks
    /// for them first.
    #[serde(default)]
    pub(crate) inside_known: usize,
}

impl Work {
    pub(crate) fn key(&self) -> Key {
        Key::of(&self.url)
    }

    pub(crate) fn origin(&self) -> String {
        origin_of(&self.url)
    }
}

/// A page that this process holds: no other process fetches it meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) work: Work,
    pub(crate) lease: Arc<Lease>,
    /// The number of the message in the stream.
    pub(super) sequence: u64,
    /// Whether the page may have been handled before, so that some of its links are known because of itself.
    pub(super) is_again: bool,
}

/// What follows from a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// Pages that are to be fetched, unless they are known.
    pub(crate) pages: Vec<Work>,
    /// Addresses that are starts, too: what is near them is searched for links. A start redirects to them.
    pub(crate) inside: Vec<String>,
}

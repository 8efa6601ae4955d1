//! Announces pages: each address is put into the work of the crawl once, by whichever process finds it first.
//!
//! Called by `engine`, for the starts and for the links of each record.
//!
//! # Invariants
//! - `once`: an address is announced by the process that creates its entry in `seen`. The entry says for which page, and that
//!   page is acknowledged only after all its links are announced. If the process ends in between, the page is delivered
//!   again, finds its own name in the entries, and announces these links again.
//! - `host-before-work`: the partition and the host of an address are stored before its work. So a process leases each
//!   partition that has work.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::HeaderMap;
use futures_util::StreamExt as _;
use futures_util::stream;
use redd::sync::watch;

use crate::engine::event::{Events, Retry};
use crate::engine::host::HostRecord;
use crate::engine::item::{Announcement, Work};
use crate::engine::layout::Layout;
use crate::engine::names::{Key, from_key, host_key, partition_of, to_key};
use crate::engine::records::{self, Created};

/// The keys of the settings that name the partitions with hosts, and the addresses that starts redirect to.
pub(super) const PARTITION_PREFIX: &str = "partitions.";
const INSIDE_PREFIX: &str = "inside.";
/// The header of work that was announced again: its page may have been fetched.
pub(super) const AGAIN: &str = "Redd-Again";
/// What `seen` says of an address that a start was given as.
const START: &str = "start";
/// How many links of a page are announced at once.
const AT_ONCE: usize = 64;
/// How many addresses are remembered, so that the server is not asked about a link that is on every page.
const REMEMBERED_MAX: usize = 1 << 20;

/// The addresses that starts redirect to, as far as this process knows.
pub(super) type Inside = watch::Sender<BTreeSet<String>>;

/// What this process knows to be stored.
#[derive(Debug, Default)]
struct Known {
    addresses: HashSet<Key>,
    hosts: HashSet<Key>,
}

/// Takes in the keys of the settings.
pub(super) fn learn_inside(inside: &Inside, keys: &BTreeSet<String>) {
    let addresses = keys.iter().filter_map(|key| from_key(key.strip_prefix(INSIDE_PREFIX)?));
    inside.send_modify(|known| known.extend(addresses));
}

/// Announces pages.
#[derive(Debug)]
pub(super) struct Announcer {
    layout: Layout,
    events: Arc<Events>,
    inside: Arc<Inside>,
    known: Mutex<Known>,
}

impl Announcer {
    pub(super) fn new(layout: Layout, events: Arc<Events>, inside: Arc<Inside>) -> Self {
        Self { layout, events, inside, known: Mutex::default() }
    }

    /// Announces the starts. Each process does that, so that none ends before they are announced.
    pub(super) async fn starts(&self, starts: Announcement) {
        self.announce(starts, START, true).await;
    }

    /// Announces what follows from the record of `page`. `is_again` says whether that may have been done before.
    pub(super) async fn links(&self, announcement: Announcement, page: Key, is_again: bool) {
        self.announce(announcement, &page.to_string(), is_again).await;
    }

    async fn announce(&self, announcement: Announcement, from: &str, is_again: bool) {
        self.add_inside(&announcement.inside).await;
        let pages = announcement.pages.into_iter().filter(|page| !self.known().addresses.contains(&page.key()));
        let pages: Vec<Work> = pages.collect();
        stream::iter(pages).for_each_concurrent(AT_ONCE, |page| self.announce_page(page, from, is_again)).await;
    }

    /// Stores that what is near these addresses is searched for links.
    pub(super) async fn add_inside(&self, inside: &[String]) {
        for address in inside {
            let key = format!("{INSIDE_PREFIX}{}", to_key(address));
            self.create_in(&self.layout.settings.prefix, &key, Vec::new()).await;
            self.inside.send_modify(|known| {
                known.insert(address.clone());
            });
        }
    }

    /// See `once`.
    async fn announce_page(&self, page: Work, from: &str, is_again: bool) {
        let address = page.key();
        let must_publish = match self.create_in(&self.layout.seen.prefix, &address.to_string(), from.into()).await {
            Created::New => Some(false),
            Created::Exists { may_be_ours } if may_be_ours || is_again => {
                let is_ours = self.announced_by(address).await.as_deref() == Some(from.as_bytes());
                (is_ours && !records::exists(&self.layout, &self.events, address).await).then_some(true)
            }
            Created::Exists { .. } => None,
        };
        if let Some(may_have_been_fetched) = must_publish {
            self.publish(&page, address, may_have_been_fetched).await;
        }
        let mut known = self.known();
        if known.addresses.len() >= REMEMBERED_MAX {
            known.addresses.clear();
        }
        known.addresses.insert(address);
    }

    async fn publish(&self, page: &Work, address: Key, may_have_been_fetched: bool) {
        let origin = page.origin();
        let host = Key::of(&origin);
        // `host-before-work`
        let is_known = self.known().hosts.contains(&host);
        if !is_known {
            let record = HostRecord::of_origin(origin.clone());
            self.create_in(&self.layout.hosts.prefix, &host_key(&origin), record.to_bytes()).await;
            let partition = format!("{PARTITION_PREFIX}{}", partition_of(&origin));
            self.create_in(&self.layout.settings.prefix, &partition, Vec::new()).await;
            self.known().hosts.insert(host);
        }
        let mut headers = HeaderMap::new();
        if may_have_been_fetched {
            headers.insert(AGAIN, "1");
        }
        let page = Work { inside_known: self.inside.borrow().len(), ..page.clone() };
        let payload = serde_json::to_vec(&page).expect("text and numbers can be written as JSON");
        // If it exists, it waits already.
        let _ = records::create(&self.layout, &self.events, self.layout.names.work(&origin, address), headers, payload)
            .await;
    }

    /// The page for which an address was announced.
    async fn announced_by(&self, address: Key) -> Option<Vec<u8>> {
        let mut retry = Retry::new(&self.events, "say which addresses are known");
        loop {
            match self.layout.seen.get(address.to_string()).await {
                Ok(value) => return value.map(|value| value.to_vec()),
                Err(error) => retry.wait(error).await,
            }
        }
    }

    async fn create_in(&self, prefix: &str, key: &str, value: Vec<u8>) -> Created {
        records::create(&self.layout, &self.events, format!("{prefix}{key}"), HeaderMap::new(), value).await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // No code that can panic runs under this lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

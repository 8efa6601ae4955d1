//! What follows a fetch: the record is stored, its links are announced, and the work is acknowledged, in this order.
//!
//! Called by `crawl` through `engine`, and by `puller` for pages that have a record.
//!
//! # Invariants
//! - `ack-last`: a page is acknowledged when its record is stored and all its links are announced. So a crash at any moment
//!   loses nothing: the page is delivered again, and goes on from its record.
//! - `targets-before-records`: where a start redirects to is stored before its record. So a process that reads later records
//!   knows what is searched for links.
//! - `links-of-the-record`: links are announced from the record that is stored, also if another process has stored it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redd::time::sleep;

use crate::engine::announcer::{Announcer, Inside};
use crate::engine::event::{Event, Events};
use crate::engine::item::{Announcement, Item, Work};
use crate::engine::layout::Layout;
use crate::engine::records;

/// How often an acknowledgement is sent. If all fail, the page is delivered again.
const ACKS: u32 = 3;
const WAIT: Duration = Duration::from_millis(200);

/// What a record announces. The arguments are the page, its record, and the addresses that starts redirect to.
pub(crate) type Announce = dyn Fn(&Work, &[u8], &BTreeSet<String>) -> Result<Announcement, String> + Send + Sync;

pub(super) struct Committer {
    layout: Layout,
    events: Arc<Events>,
    announcer: Arc<Announcer>,
    inside: Arc<Inside>,
    announce: Box<Announce>,
    committed: AtomicU64,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").field("committed", &self.committed).finish_non_exhaustive()
    }
}

impl Committer {
    pub(super) fn new(
        layout: Layout,
        events: Arc<Events>,
        announcer: Arc<Announcer>,
        inside: Arc<Inside>,
        announce: Box<Announce>,
    ) -> Self {
        Self { layout, events, announcer, inside, announce, committed: AtomicU64::new(0) }
    }

    /// Stores the record of a page, and does what follows from it.
    pub(super) async fn commit(&self, item: &Item, record: &[u8]) {
        let earlier = self.store(&item.work, record).await;
        self.finish(item, earlier.as_deref().unwrap_or(record)).await;
    }

    /// Stores a record that is not of a page that was delivered, and announces its links.
    pub(super) async fn commit_extra(&self, work: &Work, record: &[u8]) {
        let earlier = self.store(work, record).await;
        if let Some(announcement) = self.announcement(work, earlier.as_deref().unwrap_or(record)) {
            self.announcer.links(announcement, work.key(), true).await;
        }
    }

    /// Stores a record. Returns the earlier one if there is one.
    async fn store(&self, work: &Work, record: &[u8]) -> Option<Vec<u8>> {
        // `targets-before-records`
        if let Some(announcement) = self.announcement(work, record) {
            self.announcer.add_inside(&announcement.inside).await;
        }
        let earlier = records::store(&self.layout, &self.events, work.key(), record).await;
        self.committed.fetch_add(1, Ordering::Relaxed);
        earlier
    }

    fn announcement(&self, work: &Work, record: &[u8]) -> Option<Announcement> {
        let announcement = (self.announce)(work, record, &self.inside.borrow());
        announcement
            .map_err(|why| {
                self.events.send(Event::Failed(format!(
                    "the record of {} cannot be read: {why}. Use the version of redd-crawl that began the crawl, or start \
                     over with --fresh",
                    work.url
                )));
            })
            .ok()
    }

    /// Announces the links of a record and acknowledges its page (`ack-last`, `links-of-the-record`).
    pub(super) async fn finish(&self, item: &Item, record: &[u8]) {
        let Some(announcement) = self.announcement(&item.work, record) else { return };
        self.announcer.links(announcement, item.work.key(), item.is_again).await;
        if let Some(acker) = item.lease.acker(item.sequence) {
            for _ in 0..ACKS {
                if acker.double_ack().await.is_ok() {
                    break;
                }
                sleep(WAIT).await;
            }
        }
        item.lease.forget(item.sequence);
    }

    /// How many records this process has made.
    pub(super) fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }
}

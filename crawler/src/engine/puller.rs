//! Receives the work of one partition while this process has its lease.
//!
//! Started by `keeper`, which ends it when the lease is given up or lost.
//!
//! # Invariants
//! - `one-consumer`: the process that takes a partition deletes the consumer of the process before it. So messages that were
//!   delivered to that one are delivered again at once, and what it still acknowledges has no effect.
//! - `asked-before-fetched`: a message that may have been delivered before is looked up in the results. If it has a record,
//!   its page is not fetched again; its links are announced from the record.
//! - `fresh-after-a-crash`: when the connection was lost, the consumer is replaced too. A server that was killed may have kept
//!   an acknowledgement and lost the removal of its message, or the other way round. A new consumer delivers what is there.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use async_nats::jetstream::message::Message;
use futures_util::StreamExt as _;
use redd::group::TaskGroup;
use redd::time::sleep;

use crate::engine::announcer::{AGAIN, Inside, learn_inside};
use crate::engine::committer::Committer;
use crate::engine::event::{Event, Events, Retry};
use crate::engine::host;
use crate::engine::host::Interval;
use crate::engine::item::{Item, Work};
use crate::engine::layout::{Layout, keys};
use crate::engine::lease::Lease;
use crate::engine::records;

/// After so long without a word from the process that holds it, a message is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often the server is told that a message is still held.
pub(super) const PROGRESS: Duration = Duration::from_secs(8);
/// How many messages of a partition are held at once. More would only wait here in place of there.
const HELD_MAX: i64 = 256;
/// How many messages are asked for at once.
const BATCH: usize = 64;
/// How long a request for messages waits, and how often the server says that it still does.
const REQUEST_AGE: Duration = Duration::from_secs(10);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The wait before messages are asked for again after a failure.
const WAIT: Duration = Duration::from_millis(200);
/// How many pages with a record are finished at once.
const FINISHED_AT_ONCE: usize = 16;

/// Receives the work of a partition.
pub(super) struct Puller {
    pub(super) layout: Layout,
    pub(super) events: Arc<Events>,
    pub(super) committer: Arc<Committer>,
    pub(super) lease: Arc<Lease>,
    pub(super) inside: Arc<Inside>,
    /// The number of the lease. It makes the name of the consumer.
    pub(super) revision: u64,
    /// The time between two requests to a host, if its robots.txt asks for no longer one.
    pub(super) interval: Interval,
}

impl Puller {
    pub(super) async fn run(self) {
        let mut connections = self.layout.connections.clone();
        connections.mark_unchanged();
        let stored_at = self.lease_stored_at().await;
        let (mut consumer, mut checked_up_to) = self.take_over().await;
        let mut hosts = HashSet::new();
        let finishing = TaskGroup::discarding().name("finishing").limit(FINISHED_AT_ONCE).start();
        loop {
            let builder = consumer.stream().max_messages_per_batch(BATCH).expires(REQUEST_AGE).heartbeat(HEARTBEAT);
            if let Ok(mut messages) = builder.messages().await {
                loop {
                    let message = redd::select! {
                        message = messages.next() => message,
                        // `fresh-after-a-crash`
                        _ = connections.changed() => None,
                    };
                    let Some(Ok(message)) = message else { break };
                    let Some(item) = self.hold(&message, &mut checked_up_to) else { continue };
                    self.learn_inside(item.work.inside_known).await;
                    self.open(&item.work.origin(), &mut hosts, stored_at).await;
                    if item.is_again {
                        finishing.ready().await;
                        let (layout, events) = (self.layout.clone(), Arc::clone(&self.events));
                        finishing.spawn(finish_or_fetch(layout, events, Arc::clone(&self.committer), item));
                    } else {
                        self.events.send(Event::Page(item));
                    }
                }
            }
            // The connection was lost, a heartbeat is missing, or the consumer is gone.
            sleep(WAIT).await;
            (consumer, checked_up_to) = self.take_over().await;
        }
    }

    /// When the server stored the lease, in its own time.
    async fn lease_stored_at(&self) -> i128 {
        let mut retry = Retry::new(&self.events, "return a lease");
        loop {
            match self.layout.leases.entry_for_revision(self.lease.partition().to_string(), self.revision).await {
                Ok(Some(entry)) => return entry.created.unix_timestamp_nanos(),
                // It was renewed before we looked. Then pauses are taken for a little longer than they are.
                Ok(None) => return 0,
                Err(error) => retry.wait(error).await,
            }
        }
    }

    /// Replaces the consumer of the process before (`one-consumer`). Returns the new one, and the number of the last message
    /// that the old one may have delivered.
    async fn take_over(&self) -> (Consumer<pull::Config>, u64) {
        let mut retry = Retry::new(&self.events, "deliver pages");
        loop {
            match self.try_take_over().await {
                Ok(taken) => return taken,
                Err(error) => retry.wait(error).await,
            }
        }
    }

    async fn try_take_over(&self) -> Result<(Consumer<pull::Config>, u64), String> {
        let partition = self.lease.partition();
        let prefix = format!("p{partition}-");
        let mut names = self.layout.work.consumer_names();
        let mut old = Vec::new();
        while let Some(name) = names.next().await {
            old.extend(Some(name.map_err(|error| error.to_string())?).filter(|name| name.starts_with(&prefix)));
        }
        let mut checked_up_to = 0;
        for name in old {
            let info = self.layout.work.get_info().await.map_err(|error| error.to_string())?;
            checked_up_to = info.state.last_sequence;
            self.layout.work.delete_consumer(&name).await.map_err(|error| error.to_string())?;
        }
        let config = pull::Config {
            durable_name: Some(format!("{prefix}{}", self.revision)),
            filter_subject: self.layout.names.work_of_partition(partition),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: HELD_MAX,
            ..pull::Config::default()
        };
        let consumer = self.layout.work.create_consumer(config).await.map_err(|error| error.to_string())?;
        Ok((consumer, checked_up_to))
    }

    /// Holds a message. None if it is held already, cannot be read, or the partition is being given up.
    fn hold(&self, message: &Message, checked_up_to: &mut u64) -> Option<Item> {
        let info = message.info().ok()?;
        let (sequence, delivered) = (info.stream_sequence, info.delivered);
        // `asked-before-fetched`. After a crash of the server a message that was acknowledged may come again as if for the
        // first time.
        let has_again = message.headers.as_ref().is_some_and(|headers| headers.get(AGAIN).is_some());
        let is_again = delivered > 1 || sequence <= *checked_up_to || has_again;
        *checked_up_to = (*checked_up_to).max(sequence);
        let acker = async_nats::jetstream::message::Acker::new(self.layout.context.clone(), message.reply.clone());
        let Ok(work) = serde_json::from_slice::<Work>(&message.payload) else {
            self.events.send(Event::Line(format!(
                "message {sequence} of the frontier is no page of this version of redd-crawl: it is left there"
            )));
            return None;
        };
        if self.lease.is_released() || self.lease.hold(sequence, acker) {
            return None;
        }
        Some(Item { work, lease: Arc::clone(&self.lease), sequence, is_again })
    }

    /// Asks for the addresses that starts redirect to, if the process that announced a page knew more than this one.
    async fn learn_inside(&self, inside_known: usize) {
        let mut retry = Retry::new(&self.events, "say where starts redirect to");
        while self.inside.borrow().len() < inside_known {
            match keys(&self.layout.settings, "").await {
                Ok(keys) => return learn_inside(&self.inside, &keys),
                Err(error) => retry.wait(error).await,
            }
        }
    }

    /// Says what is known about a host, once.
    async fn open(&self, origin: &str, hosts: &mut HashSet<String>, stored_at: i128) {
        if !hosts.insert(origin.to_owned()) {
            return;
        }
        let interval = (self.interval)(origin);
        let taken_at = self.lease.taken_at();
        let opening = host::open(&self.layout, &self.events, origin, taken_at, stored_at, interval).await;
        self.events.send(Event::Host {
            origin: origin.to_owned(),
            lease: Arc::clone(&self.lease),
            not_before: opening.not_before,
            delay: opening.delay,
        });
    }
}

/// Finishes a page that has a record; one that has none is to be fetched (`asked-before-fetched`).
async fn finish_or_fetch(layout: Layout, events: Arc<Events>, committer: Arc<Committer>, item: Item) {
    match records::find(&layout, &events, item.work.key()).await {
        Some(record) => committer.finish(&item, &record).await,
        None => events.send(Event::Page(item)),
    }
}

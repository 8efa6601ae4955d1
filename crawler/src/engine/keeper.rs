//! Keeps this process a member of the crawl: registers it, renews its leases, takes and gives up partitions, and notices the
//! end.
//!
//! Started by `engine`. Once a second, and more often while it joins or leaves.
//!
//! # Invariants
//! - `renewed-by-comparison`: a lease is renewed only from the revision that this process wrote. A process that has lost a lease
//!   cannot take it back by renewing.
//! - `empty-is-the-end`: work is removed when it is acknowledged, and a page is acknowledged after its links were announced. So
//!   when no work is stored, none will be, and the crawl is complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream::kv::UpdateErrorKind;
use futures_util::future::join_all;
use redd::group::TaskGroup;
use redd::task::AbortHandle;
use redd::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::engine::announcer::{Inside, PARTITION_PREFIX, learn_inside};
use crate::engine::committer::Committer;
use crate::engine::event::{Event, Events};
use crate::engine::host::Interval;
use crate::engine::layout::{Layout, keys, remove};
use crate::engine::lease::Lease;
use crate::engine::member::{Load, Member};
use crate::engine::names::{PARTITIONS, Partition};
use crate::engine::puller::{PROGRESS, Puller};
use crate::engine::share::{Plan, View, plan};

/// How often the keeper looks.
const TICK: Duration = Duration::from_secs(1);
/// How often a lease and the entry of the member are renewed.
const RENEWED_EVERY: Duration = Duration::from_millis(2000);
/// How long one request of the keeper may take. It must not delay the renewal of the leases.
const REQUEST: Duration = Duration::from_secs(2);
/// How long a renewal may take. One whose answer does not come may have been carried out, so it is waited for.
const RENEWAL: Duration = Duration::from_secs(4);
/// How long a process that leaves waits for the server.
const LEAVE: Duration = Duration::from_secs(3);

struct Owned {
    lease: Arc<Lease>,
    revision: u64,
    renewed_at: Instant,
    puller: AbortHandle,
}

/// Keeps this process a member of the crawl.
pub(super) struct Keeper {
    pub(super) layout: Layout,
    pub(super) events: Arc<Events>,
    pub(super) committer: Arc<Committer>,
    pub(super) load: Arc<Load>,
    pub(super) inside: Arc<Inside>,
    pub(super) interval: Interval,
    /// The name of this process. Names are ordered by when the processes joined.
    pub(super) me: String,
    pub(super) machine: String,
}

/// What changes while the keeper runs.
struct Standing {
    owned: BTreeMap<Partition, Owned>,
    pullers: TaskGroup<()>,
    joined_at: Instant,
    member_revision: Option<u64>,
    member_renewed_at: Option<Instant>,
    progress_at: Instant,
    /// Records made, and when, for the rate.
    rate_from: (Instant, u64),
}

impl Keeper {
    /// Runs until `leave` completes, then gives everything up.
    pub(super) async fn run(self, leave: impl Future<Output = ()>) {
        let now = Instant::now();
        let mut standing = Standing {
            owned: BTreeMap::new(),
            pullers: TaskGroup::discarding().name("pullers").start(),
            joined_at: now,
            member_revision: None,
            member_renewed_at: None,
            progress_at: now,
            rate_from: (now, 0),
        };
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        redd::pin!(leave);
        loop {
            redd::select! {
                () = &mut leave => break,
                _ = tick.tick() => {}
            }
            // A turn is not interrupted: its requests have been sent.
            self.turn(&mut standing).await;
        }
        standing.pullers.cancel("the process leaves the crawl");
        let _ = timeout(LEAVE, self.give_all_up(&mut standing)).await;
    }

    async fn turn(&self, standing: &mut Standing) {
        self.renew(standing).await;
        self.drop_lost(standing);
        self.progress(standing).await;
        self.register(standing).await;
        self.give_up_released(standing).await;
        let view = self.look().await;
        // On a slow server the steps before may have taken seconds.
        self.renew(standing).await;
        if let Ok(view) = view {
            let mine = standing.owned.keys().copied().collect();
            self.carry_out(plan(&view, &self.me, &mine), standing).await;
        }
        if standing.owned.values().all(|owned| owned.lease.holds_nothing()) {
            // `empty-is-the-end`
            if let Ok(Ok(0)) = timeout(REQUEST, self.layout.unfinished()).await {
                self.events.send(Event::Done);
            }
        }
    }

    /// See `renewed-by-comparison`.
    async fn renew(&self, standing: &mut Standing) {
        let due = standing.owned.iter_mut().filter(|(_, owned)| owned.renewed_at.elapsed() >= RENEWED_EVERY);
        join_all(due.map(|(partition, owned)| async {
            let sent_at = Instant::now();
            let key = partition.to_string();
            let renewed =
                timeout(RENEWAL, self.layout.leases.update(&key, self.me.clone().into(), owned.revision)).await;
            match renewed {
                Ok(Ok(revision)) => {
                    owned.revision = revision;
                    owned.renewed_at = sent_at;
                    owned.lease.renew(sent_at);
                }
                Ok(Err(error)) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    // A renewal whose answer was lost has another revision, and our name.
                    match timeout(REQUEST, self.layout.leases.entry(&key)).await {
                        Ok(Ok(Some(entry))) if entry.value == self.me.as_bytes() => owned.revision = entry.revision,
                        Ok(Ok(_)) => owned.lease.revoke(),
                        Ok(Err(_)) | Err(_) => {}
                    }
                }
                // It is tried again at the next tick, while the lease is valid.
                Ok(Err(_)) | Err(_) => {}
            }
        }))
        .await;
    }

    fn drop_lost(&self, standing: &mut Standing) {
        let lost: Vec<Partition> = standing
            .owned
            .iter()
            .filter(|(_, owned)| !owned.lease.is_valid())
            .map(|(&partition, _)| partition)
            .collect();
        for partition in lost {
            if let Some(owned) = standing.owned.remove(&partition) {
                owned.puller.abort();
                owned.lease.revoke();
                self.events.send(Event::Lost(partition));
            }
        }
    }

    /// Says of all messages that they are held.
    async fn progress(&self, standing: &mut Standing) {
        if standing.progress_at.elapsed() < PROGRESS {
            return;
        }
        standing.progress_at = Instant::now();
        for acker in standing.owned.values().flat_map(|owned| owned.lease.ackers()) {
            // One that is lost is made up for by the next.
            let _ = timeout(REQUEST, acker.ack_with(async_nats::jetstream::AckKind::Progress)).await;
        }
    }

    async fn register(&self, standing: &mut Standing) {
        if standing.member_renewed_at.is_some_and(|at| at.elapsed() < RENEWED_EVERY) {
            return;
        }
        let (pages, now) = (self.committer.committed(), Instant::now());
        let (since, before) = standing.rate_from;
        let seconds = (now - since).as_secs_f64();
        standing.rate_from = (now, pages);
        let member = Member {
            machine: self.machine.clone(),
            process: std::process::id(),
            partitions: standing.owned.keys().copied().collect(),
            pages,
            pages_per_s: if seconds > 0.0 { per_second(pages - before, seconds) } else { 0.0 },
            in_flight: self.load.in_flight.load(Ordering::Relaxed),
            waiting: self.load.waiting.load(Ordering::Relaxed),
            seconds: standing.joined_at.elapsed().as_secs(),
        };
        let value = serde_json::to_vec(&member).expect("text and numbers can be written as JSON");
        if let Ok(Ok(revision)) = timeout(REQUEST, self.layout.members.put(&self.me, value.into())).await {
            standing.member_revision = Some(revision);
            standing.member_renewed_at = Some(now);
        }
    }

    /// Reads what there is to know about the other processes.
    async fn look(&self) -> Result<View, String> {
        let read = async {
            let members = keys(&self.layout.members, "").await?;
            let settings = keys(&self.layout.settings, "").await?;
            let leases = keys(&self.layout.leases, "").await?;
            Ok::<_, String>((members, settings, leases))
        };
        let (members, settings, leases) = timeout(REQUEST, read).await.map_err(|error| error.to_string())??;
        learn_inside(&self.inside, &settings);
        let partition = |key: &str| key.parse().ok().filter(|&partition| partition < PARTITIONS);
        Ok(View {
            members,
            partitions: settings.iter().filter_map(|key| partition(key.strip_prefix(PARTITION_PREFIX)?)).collect(),
            leased: leases.iter().filter_map(|key| partition(key)).collect(),
        })
    }

    async fn carry_out(&self, plan: Plan, standing: &mut Standing) {
        for partition in plan.give_up {
            if let Some(owned) = standing.owned.get(&partition) {
                if !owned.lease.is_released() {
                    owned.lease.release();
                    self.events.send(Event::Release(partition));
                }
            }
        }
        let taken = join_all(plan.take.into_iter().map(|partition| async move {
            let sent_at = Instant::now();
            let create = self.layout.leases.update(partition.to_string(), self.me.clone().into(), 0);
            let revision = timeout(REQUEST, create).await.ok()?.ok()?;
            Some((Lease::new(partition, sent_at), revision, sent_at))
        }))
        .await;
        for (lease, revision, sent_at) in taken.into_iter().flatten() {
            let lease = Arc::new(lease);
            let puller = Puller {
                layout: self.layout.clone(),
                events: Arc::clone(&self.events),
                committer: Arc::clone(&self.committer),
                lease: Arc::clone(&lease),
                inside: Arc::clone(&self.inside),
                revision,
                interval: Arc::clone(&self.interval),
            };
            let puller = standing.pullers.spawn(puller.run());
            standing.owned.insert(lease.partition(), Owned { lease, revision, renewed_at: sent_at, puller });
        }
    }

    /// Gives up the partitions that are to be given up and hold nothing any more.
    async fn give_up_released(&self, standing: &mut Standing) {
        let is_over = |owned: &Owned| owned.lease.is_released() && owned.lease.holds_nothing();
        let over: Vec<Partition> =
            standing.owned.iter().filter(|(_, owned)| is_over(owned)).map(|(&partition, _)| partition).collect();
        for partition in over {
            if let Some(owned) = standing.owned.remove(&partition) {
                owned.puller.abort();
                let _ = timeout(REQUEST, remove(&self.layout.leases, &partition.to_string(), owned.revision)).await;
            }
        }
    }

    async fn give_all_up(&self, standing: &mut Standing) {
        join_all(standing.owned.iter().map(|(partition, owned)| async move {
            owned.lease.release();
            owned.lease.revoke();
            remove(&self.layout.leases, &partition.to_string(), owned.revision).await
        }))
        .await;
        if let Some(revision) = standing.member_revision {
            let _ = remove(&self.layout.members, &self.me, revision).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "fewer pages than 2^52")]
fn per_second(pages: u64, seconds: f64) -> f64 {
    pages as f64 / seconds
}

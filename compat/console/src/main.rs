//! console-subscriber on redd: the console's server, and a client that asks it for the tasks and resources.
//!
//! It is built with the flag `tokio_unstable`, which its crate requires.
//!
//! Called by `cargo xtask compat`.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use console_api::async_ops::{AsyncOp, Stats as OpStats};
use console_api::field::Value;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, PauseRequest, ResumeRequest, Update};
use console_api::resources::{Resource, Stats as ResourceStats};
use console_api::tasks::{Stats, Task};
use console_subscriber::{ConsoleLayer, ServerParts};
use harness::{Outcome, ensure};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, Notify};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;
use tracing_subscriber::layer::SubscriberExt;

redd::assert_active!();

fn main() -> ExitCode {
    harness::run(&[("console-subscriber", || Box::pin(run()))])
}

async fn run() -> Outcome {
    let (layer, server) = ConsoleLayer::builder().publish_interval(Duration::from_millis(50)).build();
    let subscriber = tracing_subscriber::registry().with(layer);
    // A subscriber for this thread only. The global one, which workers need too, can be set once.
    let mut guard = None;
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        guard = Some(tracing::subscriber::set_default(subscriber));
    } else {
        tracing::subscriber::set_global_default(subscriber)?;
    }

    let ServerParts { instrument_server, aggregator, .. } = server.into_parts();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // The console's own tasks are not shown.
    let quiet = tracing::Dispatch::new(NoSubscriber::new());
    let spawn_quietly = || {
        let _guard = tracing::dispatcher::set_default(&quiet);
        let aggregator = tokio::spawn(aggregator.run().with_subscriber(NoSubscriber::new()));
        let serving = Server::builder()
            .add_service(instrument_server)
            .serve_with_incoming(TcpListenerStream::new(listener))
            .with_subscriber(NoSubscriber::new());
        (aggregator, tokio::spawn(serving))
    };
    let (aggregator, serving) = spawn_quietly();

    // One task that waits, and one that works and ends.
    let stop = std::sync::Arc::new(Notify::new());
    let told = stop.clone();
    let waiting = tokio::task::Builder::new().name("waiting").spawn(async move { told.notified().await })?;
    let working = tokio::task::Builder::new().name("working").spawn(async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    })?;
    working.await?;
    // A lock that one task holds and another waits for, and a timer.
    let lock = std::sync::Arc::new(Mutex::new(()));
    let held = lock.lock().await;
    let wanted = lock.clone();
    let locking = tokio::task::Builder::new().name("locking").spawn(async move { drop(wanted.lock().await) })?;
    let sleeping = tokio::spawn(tokio::time::sleep(Duration::from_secs(3600)));

    let seen = watch(&address.to_string()).with_subscriber(NoSubscriber::new()).await?;
    let (task, stats) = seen.named("waiting").ok_or("the console does not show a task that waits")?;
    ensure(task.location.as_ref().is_some_and(|place| place.file().ends_with("main.rs")), "a task has its location")?;
    ensure(stats.dropped_at.is_none(), "a task that waits is alive")?;
    ensure(stats.waker_clones > stats.waker_drops, "and a waker of it is still held")?;
    let (_, stats) = seen.named("working").ok_or("the console does not show a task that has ended")?;
    ensure(stats.dropped_at.is_some(), "a task that has ended is dropped")?;
    let polls = stats.poll_stats.as_ref().map_or(0, |stats| stats.polls);
    // The console counts entries of a task's span. The end of the task is one of them, with Tokio too.
    ensure(polls == 12, &format!("a task that yielded ten times has 11 polls and an end, not {polls} entries"))?;

    let (lock, stats) = seen.resource("Mutex").ok_or("the console does not show a lock")?;
    ensure(lock.location.as_ref().is_some_and(|place| place.file().ends_with("main.rs")), "a lock has its location")?;
    let is_locked = stats
        .attributes
        .iter()
        .filter_map(|attribute| attribute.field.as_ref())
        .any(|field| matches!(&field.value, Some(Value::BoolVal(true))));
    ensure(is_locked, "and it is locked")?;
    let (locker, _) = seen.named("locking").ok_or("the console does not show the task that waits for the lock")?;
    let (_, stats) = seen.operation("Mutex::lock", lock).ok_or("the console does not show the wait for the lock")?;
    ensure(stats.task_id == locker.id, "and this task waits for it")?;
    seen.resource("Sleep").ok_or("the console does not show a timer")?;

    stop.notify_one();
    waiting.await?;
    drop(held);
    locking.await?;
    sleeping.abort();
    drop(guard);
    aggregator.abort();
    serving.abort();
    Ok(())
}

/// What the console reported about tasks and resources.
#[derive(Debug, Default)]
struct Seen {
    tasks: HashMap<u64, Task>,
    stats: HashMap<u64, Stats>,
    resources: HashMap<u64, Resource>,
    resource_stats: HashMap<u64, ResourceStats>,
    ops: HashMap<u64, AsyncOp>,
    op_stats: HashMap<u64, OpStats>,
}

impl Seen {
    fn add(&mut self, update: Update) {
        if let Some(update) = update.task_update {
            self.tasks.extend(update.new_tasks.into_iter().filter_map(|task| Some((task.id?.id, task))));
            self.stats.extend(update.stats_update);
        }
        if let Some(update) = update.resource_update {
            self.resources.extend(update.new_resources.into_iter().filter_map(|new| Some((new.id?.id, new))));
            self.resource_stats.extend(update.stats_update);
        }
        if let Some(update) = update.async_op_update {
            self.ops.extend(update.new_async_ops.into_iter().filter_map(|new| Some((new.id?.id, new))));
            self.op_stats.extend(update.stats_update);
        }
    }

    fn resource(&self, concrete_type: &str) -> Option<(&Resource, &ResourceStats)> {
        let (id, resource) = self.resources.iter().find(|(_, resource)| resource.concrete_type == concrete_type)?;
        Some((resource, self.resource_stats.get(id)?))
    }

    /// A pending operation on `resource`.
    fn operation(&self, source: &str, resource: &Resource) -> Option<(&AsyncOp, &OpStats)> {
        let ops = self.ops.iter().filter(|(_, op)| op.source == source && op.resource_id == resource.id);
        ops.filter_map(|(id, op)| Some((op, self.op_stats.get(id)?))).find(|(_, stats)| stats.dropped_at.is_none())
    }

    fn named(&self, name: &str) -> Option<(&Task, &Stats)> {
        let is_named = |task: &Task| {
            task.fields.iter().any(|field| field.value.as_ref().is_some_and(|value| value.to_string().contains(name)))
        };
        self.tasks.iter().find(|(_, task)| is_named(task)).and_then(|(id, task)| Some((task, self.stats.get(id)?)))
    }
}

async fn watch(address: &str) -> Result<Seen, Box<dyn std::error::Error + Send + Sync>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    let mut client = InstrumentClient::new(channel);
    let mut updates = client.watch_updates(InstrumentRequest {}).await?.into_inner();
    let mut seen = Seen::default();
    // Six intervals: the events so far are in the first or the second one.
    for _ in 0..6 {
        seen.add(updates.message().await?.ok_or("the console ends its updates")?);
    }
    client.pause(PauseRequest {}).await?;
    client.resume(ResumeRequest {}).await?;
    seen.add(updates.message().await?.ok_or("the console ends its updates")?);
    Ok(seen)
}

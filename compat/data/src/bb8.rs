//! bb8: a pool of three connections to PostgreSQL, used by many tasks. A broken connection is replaced. A task that
//! waits too long gets an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bb8::{ManageConnection, Pool, RunError};
use harness::{Outcome, ensure, peer};
use tokio::task::JoinSet;
use tokio_postgres::{Client, Error};

/// Connections to this peer.
#[derive(Debug, Clone)]
struct Manager {
    peer: String,
    made: Arc<AtomicU32>,
}

impl ManageConnection for Manager {
    type Connection = Client;
    type Error = Error;

    async fn connect(&self) -> Result<Client, Error> {
        self.made.fetch_add(1, Ordering::Relaxed);
        // The task ends with the connection.
        crate::tokio_postgres::connect(&self.peer).await.map(|(client, _)| client)
    }

    async fn is_valid(&self, client: &mut Client) -> Result<(), Error> {
        client.batch_execute("").await
    }

    fn has_broken(&self, client: &mut Client) -> bool {
        client.is_closed()
    }
}

pub(crate) async fn run() -> Outcome {
    let manager = Manager { peer: peer("postgres")?, made: Arc::default() };
    let pool = Pool::builder()
        .max_size(3)
        .min_idle(1)
        .connection_timeout(Duration::from_secs(20))
        .reaper_rate(Duration::from_millis(20))
        .build(manager.clone())
        .await?;
    let mut tasks = JoinSet::new();
    for number in 0..60_i64 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let client = pool.get().await.map_err(|error| error.to_string())?;
            let answer = client.query_one_scalar::<i64, _>("SELECT $1::bigint * 2", &[&number]).await;
            Ok::<_, String>(answer.map_err(|error| error.to_string())? == number * 2)
        });
    }
    while let Some(is_own) = tasks.join_next().await {
        ensure(is_own??, "each of 60 tasks gets its own answer")?;
    }
    ensure(manager.made.load(Ordering::Relaxed) <= 3, "three connections serve them all")?;

    let broken = pool.get_owned().await?;
    // The server closes the connection while the pool holds it.
    let ended = broken.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await;
    ensure(ended.is_err(), "a connection ends its own session")?;
    drop(broken);
    for _ in 0..6 {
        pool.get().await?.batch_execute("SELECT 1").await?;
    }

    let hasty =
        Pool::builder().max_size(1).min_idle(1).connection_timeout(Duration::from_millis(500)).build(manager).await?;
    let held = hasty.get().await?;
    ensure(matches!(hasty.get().await, Err(RunError::TimedOut)), "a task that waits too long gets a timeout")?;
    drop(held);
    hasty.get().await?.batch_execute("SELECT 1").await?;
    Ok(())
}

//! deadpool: a managed pool of connections to PostgreSQL, used by many tasks. A broken connection is replaced. A task that
//! waits too long, or uses a closed pool, gets an error.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleResult};
use harness::{Outcome, ensure, peer};
use tokio::task::JoinSet;
use tokio_postgres::{Client, Error};

/// Connections to this peer.
#[derive(Debug)]
struct Manager {
    peer: String,
}

impl managed::Manager for Manager {
    type Type = Client;
    type Error = Error;

    async fn create(&self) -> Result<Client, Error> {
        // The task ends with the connection.
        crate::tokio_postgres::connect(&self.peer).await.map(|(client, _)| client)
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Error> {
        Ok(client.batch_execute("").await?)
    }
}

pub(crate) async fn run() -> Outcome {
    let peer = peer("postgres")?;
    let pool: Pool<Manager> = Pool::builder(Manager { peer: peer.clone() })
        .max_size(3)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(20)))
        .create_timeout(Some(Duration::from_secs(20)))
        .recycle_timeout(Some(Duration::from_secs(20)))
        .build()?;
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
    let status = pool.status();
    ensure(status.size <= 3 && status.available == status.size, "all connections are back")?;

    let broken = pool.get().await?;
    let ended = broken.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())").await;
    ensure(ended.is_err(), "a connection ends its own session")?;
    drop(broken);
    for _ in 0..6 {
        pool.get().await?.batch_execute("SELECT 1").await?;
    }

    let pool: Pool<Manager> = Pool::builder(Manager { peer }).max_size(1).runtime(Runtime::Tokio1).build()?;
    let held = pool.get().await?;
    let hasty = managed::Timeouts { wait: Some(Duration::from_millis(50)), ..pool.timeouts() };
    let late = pool.timeout_get(&hasty).await;
    ensure(
        matches!(late, Err(PoolError::Timeout(managed::TimeoutType::Wait))),
        "a task that waits too long gets a timeout",
    )?;
    drop(held);
    pool.get().await?.batch_execute("SELECT 1").await?;
    pool.close();
    ensure(matches!(pool.get().await, Err(PoolError::Closed)), "a closed pool lends nothing")
}

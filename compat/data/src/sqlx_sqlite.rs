//! sqlx on SQLite: a pool on a database in a file, transactions, rows as a stream, writers that wait for each other.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::TryStreamExt;
use harness::{Outcome, ensure};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Connection, Error, SqlitePool};
use tokio::task::JoinSet;

/// A database file that is removed at the end, with the files that SQLite keeps beside it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) async fn run() -> Outcome {
    let name = format!("redd-compat-{}-{:?}", std::process::id(), std::thread::current().id());
    let folder = Folder(std::env::temp_dir().join(name));
    tokio::fs::create_dir_all(&folder.0).await?;
    let options = SqliteConnectOptions::new()
        .filename(folder.0.join("rows.sqlite"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(20));
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(20))
        .connect_with(options.clone())
        .await?;
    sqlx::query("CREATE TABLE rows (id INTEGER PRIMARY KEY, word TEXT NOT NULL)").execute(&pool).await?;

    // There are more writers than connections, and more connections than SQLite allows to write.
    let mut writers = JoinSet::new();
    for id in 0..100_i64 {
        let pool = pool.clone();
        writers.spawn(async move {
            let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("INSERT INTO rows VALUES (?, ?)")
                .bind(id)
                .bind(format!("word {id}"))
                .execute(&mut *transaction)
                .await?;
            // Every tenth transaction is dropped, so it is rolled back.
            if id % 10 == 0 { Ok(()) } else { transaction.commit().await }
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    let mut rows = sqlx::query_as::<_, (i64, String)>("SELECT id, word FROM rows ORDER BY id").fetch(&pool);
    let mut expected = (0..100).filter(|id| id % 10 != 0);
    while let Some((id, word)) = rows.try_next().await? {
        ensure(expected.next() == Some(id) && word == format!("word {id}"), "rows come back as a stream, in order")?;
    }
    drop(rows);
    ensure(expected.next().is_none(), "90 transactions were committed")?;
    let twice = sqlx::query("INSERT INTO rows VALUES (1, 'twice')").execute(&pool).await;
    let is_violation = |error: Error| error.as_database_error().is_some_and(|error| error.is_unique_violation());
    ensure(twice.is_err_and(is_violation), "a key may be there once")?;

    a_full_pool(&pool).await?;
    pool.close().await;
    ensure(matches!(pool.acquire().await, Err(Error::PoolClosed)), "a closed pool lends nothing")?;

    // The written data is still there when the file is opened again.
    let mut again = sqlx::SqliteConnection::connect_with(&options).await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM rows").fetch_one(&mut again).await?;
    again.close().await?;
    ensure(count == 90, "the file keeps what was written")
}

/// All connections are in use, so the next task waits until one is returned.
async fn a_full_pool(pool: &SqlitePool) -> Outcome {
    let mut lent = Vec::new();
    for _ in 0..4 {
        lent.push(pool.acquire().await?);
    }
    ensure(pool.try_acquire().is_none(), "four connections and no more")?;
    let waiting = tokio::time::timeout(Duration::from_millis(20), pool.acquire()).await;
    ensure(waiting.is_err(), "the fifth waits")?;
    let (fifth, ()) = tokio::join!(pool.acquire(), async {
        tokio::task::yield_now().await;
        lent.pop();
    });
    fifth?;
    Ok(())
}

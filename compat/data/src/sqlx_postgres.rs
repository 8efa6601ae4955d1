//! sqlx on PostgreSQL: a pool of connections, transactions, `COPY`, a listener, and queries that are dropped halfway.

use std::time::Duration;

use futures_util::TryStreamExt;
use harness::{Outcome, ensure, peer};
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Connection, Error, PgPool};
use tokio::task::JoinSet;

pub(crate) async fn run() -> Outcome {
    let pool = PgPoolOptions::new()
        .min_connections(1)
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(20))
        .connect(&peer("postgres")?)
        .await?;
    sqlx::raw_sql("DROP TABLE IF EXISTS of_sqlx; CREATE TABLE of_sqlx (id bigint PRIMARY KEY, word text NOT NULL)")
        .execute(&pool)
        .await?;

    let mut writers = JoinSet::new();
    for id in 0..100_i64 {
        let pool = pool.clone();
        writers.spawn(async move {
            let mut transaction = pool.begin().await?;
            sqlx::query("INSERT INTO of_sqlx VALUES ($1, $2)")
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
    let mut rows = sqlx::query_as::<_, (i64, String)>("SELECT id, word FROM of_sqlx ORDER BY id").fetch(&pool);
    let mut expected = (0..100).filter(|id| id % 10 != 0);
    while let Some((id, word)) = rows.try_next().await? {
        ensure(expected.next() == Some(id) && word == format!("word {id}"), "rows come back as a stream, in order")?;
    }
    drop(rows);
    ensure(expected.next().is_none(), "90 transactions were committed")?;
    let twice = sqlx::query("INSERT INTO of_sqlx VALUES (1, 'twice')").execute(&pool).await;
    let is_violation = |error: Error| error.as_database_error().is_some_and(|error| error.is_unique_violation());
    ensure(twice.is_err_and(is_violation), "a key may be there once")?;

    copy(&pool).await?;
    listen(&pool).await?;
    dropped_halfway(&pool).await?;
    sqlx::query("DROP TABLE of_sqlx").execute(&pool).await?;
    pool.close().await;
    ensure(matches!(pool.acquire().await, Err(Error::PoolClosed)), "a closed pool lends nothing")
}

async fn copy(pool: &PgPool) -> Outcome {
    let mut connection = pool.acquire().await?;
    let mut copy = connection.copy_in_raw("COPY of_sqlx FROM STDIN").await?;
    let lines: String = (1000..6000).map(|id| format!("{id}\tcopied\n")).collect();
    copy.read_from(lines.as_bytes()).await?;
    ensure(copy.finish().await? == 5000, "5000 rows are copied in")?;
    connection.ping().await?;
    Ok(())
}

async fn listen(pool: &PgPool) -> Outcome {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen("of_sqlx").await?;
    for number in 0..20 {
        sqlx::query("SELECT pg_notify('of_sqlx', $1)").bind(number.to_string()).execute(pool).await?;
    }
    for number in 0..20 {
        let notification = listener.recv().await?;
        ensure(notification.payload() == number.to_string(), "notices come in order")?;
    }
    Ok(())
}

/// Futures of queries are dropped before their results arrive. The pool must work afterwards.
async fn dropped_halfway(pool: &PgPool) -> Outcome {
    for _ in 0..8 {
        let sleep = sqlx::query("SELECT pg_sleep(0.1)").execute(pool);
        let ended = tokio::time::timeout(Duration::from_millis(10), sleep).await;
        ensure(ended.is_err(), "a query times out")?;
    }
    for number in 0..8_i32 {
        let answer: i32 = sqlx::query_scalar("SELECT $1").bind(number).fetch_one(pool).await?;
        ensure(answer == number, "each later query gets its own answer")?;
    }
    Ok(())
}

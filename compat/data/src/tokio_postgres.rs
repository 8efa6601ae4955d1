//! tokio-postgres: a login by SCRAM, pipelined and prepared queries, transactions, `COPY` both ways, notices between
//! connections, and a query that is cancelled, against a real PostgreSQL.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{SinkExt, TryStreamExt};
use harness::{Outcome, ensure, peer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Error, NoTls, Notification};

pub(crate) async fn run() -> Outcome {
    let peer = peer("postgres")?;
    let (mut client, connection) = connect(&peer).await?;
    client.batch_execute("CREATE TEMPORARY TABLE rows (id bigint PRIMARY KEY, word text NOT NULL)").await?;

    let insert = client.prepare("INSERT INTO rows VALUES ($1, $2)").await?;
    let words: Vec<_> = (0..200_i64).map(|id| (id, format!("word {id}"))).collect();
    // All of them are in flight on one connection.
    let inserted =
        try_join_all(words.iter().map(async |(id, word)| client.execute(&insert, &[id, word]).await)).await?;
    ensure(inserted.iter().sum::<u64>() == 200, "200 pipelined inserts")?;
    let doubled = client.query_one_scalar::<i64, _>("SELECT sum(id)::bigint * 2 FROM rows", &[]).await?;
    ensure(doubled == 199 * 200, "the sum of what was inserted")?;
    let rows = client.query_raw("SELECT id, word FROM rows ORDER BY id", Vec::<i64>::new()).await?;
    let read: Vec<(i64, String)> = rows.map_ok(|row| (row.get(0), row.get(1))).try_collect().await?;
    ensure(read == words, "rows come back as a stream, in order")?;

    transactions(&mut client).await?;
    copies(&client).await?;
    notices(&peer, &client).await?;
    cancelled(&client).await?;

    ensure(!client.is_closed(), "the connection is alive after all that")?;
    drop(client);
    connection.await??;
    Ok(())
}

/// A client, and the task that drives its connection.
pub(crate) async fn connect(peer: &str) -> Result<(Client, JoinHandle<Result<(), Error>>), Error> {
    let (client, connection) = tokio_postgres::connect(peer, NoTls).await?;
    Ok((client, tokio::spawn(connection)))
}

async fn transactions(client: &mut Client) -> Outcome {
    let transaction = client.transaction().await?;
    transaction.execute("DELETE FROM rows WHERE id >= 100", &[]).await?;
    transaction.commit().await?;
    // The transaction is dropped, so it is rolled back.
    let transaction = client.transaction().await?;
    transaction.execute("DELETE FROM rows", &[]).await?;
    drop(transaction);
    let left = client.query_one_scalar::<i64, _>("SELECT count(*) FROM rows", &[]).await?;
    ensure(left == 100, "one transaction is committed, and one that is dropped is rolled back")?;
    let twice = client.execute("INSERT INTO rows VALUES (0, 'twice')", &[]).await;
    ensure(twice.is_err_and(|error| error.code() == Some(&SqlState::UNIQUE_VIOLATION)), "a key may be there once")
}

async fn copies(client: &Client) -> Outcome {
    let mut sink = pin!(client.copy_in("COPY rows FROM STDIN").await?);
    for id in 1000..6000 {
        sink.send(Bytes::from(format!("{id}\t{}\n", "x".repeat(100)))).await?;
    }
    ensure(sink.finish().await? == 5000, "5000 rows are copied in")?;
    let copied = client.copy_out("COPY (SELECT word FROM rows WHERE id >= 1000) TO STDOUT").await?;
    let bytes: usize =
        copied.map_ok(|piece| piece.len()).try_fold(0, |sum, length| async move { Ok(sum + length) }).await?;
    ensure(bytes == 5000 * 101, "and copied out again")
}

async fn notices(peer: &str, client: &Client) -> Outcome {
    let (listener, mut connection) = tokio_postgres::connect(peer, NoTls).await?;
    let (heard, mut hear) = mpsc::unbounded_channel::<Notification>();
    let driver = tokio::spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(notification) = message? {
                let _ = heard.send(notification);
            }
        }
        Ok::<_, Error>(())
    });
    listener.batch_execute("LISTEN compat").await?;
    for number in 0..20 {
        client.execute("SELECT pg_notify('compat', $1)", &[&number.to_string()]).await?;
    }
    for number in 0..20 {
        let notification = hear.recv().await.ok_or("the listener has ended")?;
        ensure(notification.payload() == number.to_string(), "notices come in order")?;
    }
    drop(listener);
    driver.await??;
    Ok(())
}

async fn cancelled(client: &Client) -> Outcome {
    let token = client.cancel_token();
    let (slept, ()) = tokio::join!(client.batch_execute("SELECT pg_sleep(60)"), async {
        // Repeat the cancellation: the query may not have begun when the first one arrives.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let _ = token.cancel_query(NoTls).await;
    });
    ensure(slept.is_err_and(|error| error.code() == Some(&SqlState::QUERY_CANCELED)), "a query is cancelled")
}

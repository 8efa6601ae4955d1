//! redis: a multiplexed connection used by a hundred tasks, pipelines, scripts, blocking pops, subscriptions and
//! streams. A managed connection reconnects after it was cut. The server is a real redis-server.

use std::time::Duration;

use futures_util::StreamExt;
use harness::{Outcome, ensure, peer};
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::streams::StreamReadReply;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, Script};
use tokio::task::JoinSet;

pub(crate) async fn run() -> Outcome {
    let client = Client::open(peer("redis")?)?;
    // A debug build on a busy machine may be slower than the default allows.
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
    let mut connection = client.get_multiplexed_async_connection_with_config(&patient).await?;
    let _: () = redis::cmd("FLUSHDB").query_async(&mut connection).await?;

    shared(&connection).await?;
    let (old, new): (i64, i64) =
        redis::pipe().atomic().get("count").incr("count", 1).query_async(&mut connection).await?;
    ensure((old, new) == (100, 101), "a pipeline answers in order")?;
    let script = Script::new("return redis.call('GET', KEYS[1]) * ARGV[1]");
    let product: i64 = script.key("count").arg(2).invoke_async(&mut connection).await?;
    ensure(product == 202, "a script is sent and run")?;
    let large = vec![7_u8; 3 << 20];
    let _: () = connection.set("large", &large).await?;
    ensure(connection.get::<_, Vec<u8>>("large").await? == large, "three megabytes go there and back")?;
    let error = connection.lpush::<_, _, ()>("large", 1).await;
    ensure(error.is_err_and(|error| error.code() == Some("WRONGTYPE")), "an error of the server comes back")?;

    blocking_pop(&client, &mut connection).await?;
    subscribed(&client, &mut connection).await?;
    streams(&mut connection).await?;
    managed(&client, &mut connection).await?;

    let hasty = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_millis(50)));
    let mut hasty = client.get_multiplexed_async_connection_with_config(&hasty).await?;
    let late: redis::RedisResult<Option<(String, String)>> = hasty.blpop("nothing", 5.0).await;
    ensure(late.is_err_and(|error| error.is_timeout()), "an answer that is late times out")
}

async fn shared(connection: &MultiplexedConnection) -> Outcome {
    let mut tasks = JoinSet::new();
    for number in 0..100_i64 {
        let mut connection = connection.clone();
        tasks.spawn(async move {
            let key = format!("key {number}");
            let _: () = connection.set(&key, number).await?;
            let _: i64 = connection.incr("count", 1).await?;
            connection.get::<_, i64>(&key).await.map(|value| value == number)
        });
    }
    while let Some(is_own) = tasks.join_next().await {
        ensure(is_own??, "each of 100 tasks on one connection gets its own answers")?;
    }
    Ok(())
}

async fn blocking_pop(client: &Client, connection: &mut MultiplexedConnection) -> Outcome {
    let waits = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut waiting = client.get_multiplexed_async_connection_with_config(&waits).await?;
    let popper = tokio::spawn(async move {
        let mut popped = Vec::new();
        while popped.len() < 20 {
            let (_, value): (String, i64) = waiting.blpop("queue", 0.0).await?;
            popped.push(value);
        }
        redis::RedisResult::Ok(popped)
    });
    for number in 0..20_i64 {
        let _: i64 = connection.rpush("queue", number).await?;
    }
    ensure(popper.await?? == (0..20).collect::<Vec<_>>(), "a blocking pop gets all in order")
}

async fn subscribed(client: &Client, connection: &mut MultiplexedConnection) -> Outcome {
    let (mut sink, mut messages) = client.get_async_pubsub().await?.split();
    sink.subscribe("news").await?;
    sink.psubscribe("more.*").await?;
    for number in 0..20 {
        let hearers: i64 = connection.publish(if number % 2 == 0 { "news" } else { "more.news" }, number).await?;
        ensure(hearers == 1, "a message has one hearer")?;
    }
    for number in 0..20 {
        let message = messages.next().await.ok_or("the subscription has ended")?;
        ensure(message.get_payload::<i64>()? == number, "messages come in order")?;
    }
    Ok(())
}

async fn streams(connection: &mut MultiplexedConnection) -> Outcome {
    for number in 0..10 {
        let _: String = connection.xadd("stream", "*", &[("number", number)]).await?;
    }
    let read: StreamReadReply = connection.xread(&["stream"], &["0"]).await?;
    let numbers = read.keys.iter().flat_map(|key| &key.ids).filter_map(|entry| entry.get::<i64>("number"));
    ensure(numbers.eq(0..10), "a stream is read from its start")
}

async fn managed(client: &Client, connection: &mut MultiplexedConnection) -> Outcome {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(Duration::from_secs(10)))
        .set_min_delay(Duration::from_millis(1));
    let mut managed = ConnectionManager::new_with_config(client.clone(), config).await?;
    let id: i64 = redis::cmd("CLIENT").arg("ID").query_async(&mut managed).await?;
    let killed: i64 = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query_async(connection).await?;
    ensure(killed == 1, "the server cuts a connection")?;
    for _ in 0..100 {
        // The first one or two requests may fail because the connection was cut.
        if redis::cmd("CLIENT").arg("ID").query_async::<i64>(&mut managed).await.is_ok_and(|new| new != id) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("a managed connection does not come back".into())
}

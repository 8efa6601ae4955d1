//! async-nats: subscriptions, requests, queue groups, JetStream with acknowledgements, and a reconnect, against a real
//! nats-server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, RequestErrorKind};
use futures_util::{StreamExt, TryStreamExt};
use harness::{Outcome, ensure, peer};
use tokio::task::JoinSet;

/// Each run has subjects and streams of its own.
static RUNS: AtomicU64 = AtomicU64::new(0);

pub(crate) async fn run() -> Outcome {
    let peer = peer("nats")?;
    let prefix = format!("compat-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let client = async_nats::connect(&peer).await?;
    let other = async_nats::connect(&peer).await?;

    publish(&client, &other, &prefix).await?;
    requests(&client, &other, &prefix).await?;
    let error = client.request(format!("{prefix}.nobody"), "hello?".into()).await.err();
    let is_nobody = error.is_some_and(|error| error.kind() == RequestErrorKind::NoResponders);
    ensure(is_nobody, "a request without a responder fails at once")?;
    jetstream(&client, &prefix).await?;

    // The client reconnects and subscribes again.
    let mut messages = other.subscribe(format!("{prefix}.again")).await?;
    settled(&other).await?;
    other.force_reconnect().await?;
    let received = async {
        loop {
            client.publish(format!("{prefix}.again"), "again".into()).await?;
            client.flush().await?;
            let message = tokio::time::timeout(Duration::from_millis(50), messages.next()).await;
            if let Ok(message) = message {
                return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(message.is_some());
            }
        }
    };
    ensure(received.await?, "a subscription survives a reconnect")?;
    drop(messages);
    other.drain().await?;
    client.drain().await?;
    Ok(())
}

/// Waits until the server has received all that this client has sent: it keeps the order, and this message comes back
/// from it.
async fn settled(client: &Client) -> Outcome {
    let inbox = client.new_inbox();
    let mut messages = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, "".into()).await?;
    ensure(messages.next().await.is_some(), "a message to oneself arrives")
}

async fn publish(client: &Client, other: &Client, prefix: &str) -> Outcome {
    let mut messages = other.subscribe(format!("{prefix}.news.*")).await?;
    settled(other).await?;
    for number in 0..500 {
        client.publish(format!("{prefix}.news.{}", number % 3), format!("{number}").into()).await?;
    }
    client.publish(format!("{prefix}.news.large"), vec![7; 500_000].into()).await?;
    client.flush().await?;
    for number in 0..500 {
        let message = messages.next().await.ok_or("the subscription has ended")?;
        ensure(message.payload == format!("{number}"), "messages come in order")?;
    }
    let large = messages.next().await.ok_or("the subscription has ended")?;
    ensure(large.payload.len() == 500_000, "a large message comes whole")?;
    messages.unsubscribe().await?;
    ensure(messages.next().await.is_none(), "a subscription that is given up ends")
}

/// Two responders share the requests of fifty tasks.
async fn requests(client: &Client, other: &Client, prefix: &str) -> Outcome {
    let subject = format!("{prefix}.double");
    let mut responders = JoinSet::new();
    for _ in 0..2 {
        let other = other.clone();
        let mut requests = other.queue_subscribe(subject.clone(), "doublers".to_owned()).await?;
        responders.spawn(async move {
            while let Some(request) = requests.next().await {
                let number: u64 = std::str::from_utf8(&request.payload).ok().and_then(|text| text.parse().ok())?;
                other.publish(request.reply?, format!("{}", number * 2).into()).await.ok()?;
            }
            Some(())
        });
    }
    settled(other).await?;
    let mut tasks = JoinSet::new();
    for number in 0..50_u64 {
        let (client, subject) = (client.clone(), subject.clone());
        tasks.spawn(async move {
            let answer = client.request(subject, format!("{number}").into()).await?;
            Ok::<_, async_nats::RequestError>(answer.payload == format!("{}", number * 2))
        });
    }
    while let Some(is_own) = tasks.join_next().await {
        ensure(is_own??, "each of 50 requests gets its own answer")?;
    }
    ensure(responders.try_join_next().is_none(), "both responders go on")
}

async fn jetstream(client: &Client, prefix: &str) -> Outcome {
    let context = jetstream::new(client.clone());
    let name = format!("{prefix}-stream");
    let config = stream::Config {
        name: name.clone(),
        subjects: vec![format!("{prefix}.jobs")],
        storage: stream::StorageType::Memory,
        ..stream::Config::default()
    };
    let stream = context.create_stream(config).await?;
    for number in 0..100 {
        context.publish(format!("{prefix}.jobs"), format!("{number}").into()).await?.await?;
    }
    let config =
        consumer::pull::Config { durable_name: Some("worker".to_owned()), ..consumer::pull::Config::default() };
    let consumer = stream.create_consumer(config).await?;
    let mut messages = consumer.messages().await?;
    for number in 0..100 {
        let message = messages.try_next().await?.ok_or("the stream has ended")?;
        ensure(message.payload == format!("{number}"), "a stream gives its messages in order")?;
        message.ack().await?;
    }
    drop(messages);
    context.delete_stream(name).await?;
    Ok(())
}

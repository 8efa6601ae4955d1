//! tower: timeout, concurrency limit, retry, buffer and rate limit around a service that asks a peer over TCP.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Outcome, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

/// A request: one word.
#[derive(Debug, Clone, Copy)]
struct Line(&'static str);

/// The requests that the peer has received.
#[derive(Debug, Default)]
struct Seen {
    now: AtomicUsize,
    most: AtomicUsize,
    flaky: AtomicUsize,
}

pub(crate) async fn run() -> Outcome {
    let seen = Arc::new(Seen::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shared = seen.clone();
    let peer = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = shared.clone();
            tokio::spawn(async move { answer(stream, &seen).await });
        }
    });
    let ask = move |line| ask(address, line);

    let mut slow = ServiceBuilder::new().timeout(Duration::from_millis(20)).service_fn(ask);
    let error =
        slow.ready().await?.call(Line("never")).await.err().ok_or("a request that is never answered was answered")?;
    ensure(error.is::<tower::timeout::error::Elapsed>(), "a slow answer times out")?;
    ensure(slow.ready().await?.call(Line("hello")).await? == "hello", "the service still works after a timeout")?;

    let limited = ServiceBuilder::new().concurrency_limit(3).service_fn(ask);
    let mut requests = JoinSet::new();
    for _ in 0..30 {
        let limited = limited.clone();
        requests.spawn(async move { limited.oneshot(Line("work")).await });
    }
    while let Some(answer) = requests.join_next().await {
        ensure(answer?? == "work", "every request gets through the limit")?;
    }
    ensure(seen.most.load(Ordering::Relaxed) == 3, "three requests at once, and no more")?;

    let retried = ServiceBuilder::new().retry(Attempts(5)).service_fn(ask);
    ensure(retried.oneshot(Line("flaky")).await? == "flaky", "a retry gets through at last")?;
    ensure(seen.flaky.load(Ordering::Relaxed) == 3, "two failures, then an answer")?;

    let buffered = ServiceBuilder::new().buffer(4).rate_limit(10, Duration::from_millis(10)).service_fn(ask);
    let mut requests = JoinSet::new();
    for _ in 0..25 {
        let buffered = buffered.clone();
        requests.spawn(async move { buffered.oneshot(Line("hello")).await });
    }
    while let Some(answer) = requests.join_next().await {
        ensure(answer?? == "hello", "every request gets through the buffer")?;
    }

    let shedding = ServiceBuilder::new().load_shed().concurrency_limit(1).service_fn(ask);
    let (mut first, mut second) = (shedding.clone(), shedding);
    let waiting = first.ready().await?;
    let refused = second.ready().await?.call(Line("hello")).await;
    ensure(
        refused.is_err_and(|error| error.is::<tower::load_shed::error::Overloaded>()),
        "a full service sheds its load",
    )?;
    ensure(waiting.call(Line("hello")).await? == "hello", "the one that holds the permit is served")?;

    peer.abort();
    ensure(peer.await.is_err_and(|error| error.is_cancelled()), "the peer is aborted")
}

async fn ask(address: SocketAddr, Line(line): Line) -> Result<String, BoxError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    if answer.is_empty() { Err("no answer".into()) } else { Ok(answer) }
}

async fn answer(stream: TcpStream, seen: &Seen) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    match line.trim() {
        "never" => std::future::pending().await,
        "flaky" if seen.flaky.fetch_add(1, Ordering::Relaxed) < 2 => return Ok(()),
        "work" => {
            let now = seen.now.fetch_add(1, Ordering::Relaxed) + 1;
            seen.most.fetch_max(now, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            seen.now.fetch_sub(1, Ordering::Relaxed);
        }
        _ => {}
    }
    stream.write_all(line.trim().as_bytes()).await
}

/// The number of retries that are left.
#[derive(Debug, Clone)]
struct Attempts(usize);

impl tower::retry::Policy<Line, String, BoxError> for Attempts {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Line, result: &mut Result<String, BoxError>) -> Option<Self::Future> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Line) -> Option<Line> {
        Some(*request)
    }
}

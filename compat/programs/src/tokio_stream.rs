//! tokio-stream: the wrappers of our types, and the combinators that use timers.

use std::time::Duration;

use harness::{Outcome, ensure};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::{
    BroadcastStream, IntervalStream, LinesStream, ReceiverStream, TcpListenerStream, WatchStream,
};
use tokio_stream::{StreamExt, StreamMap};

pub(crate) async fn run() -> Outcome {
    connections().await?;
    channels().await?;
    timers().await
}

async fn connections() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut connections = TcpListenerStream::new(listener).take(10);
        while let Some(stream) = connections.try_next().await? {
            let mut lines = LinesStream::new(BufReader::new(stream).lines());
            while let Some(line) = lines.try_next().await? {
                seen.push(line);
            }
        }
        Ok::<_, std::io::Error>(seen)
    });
    for number in 0..10 {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(format!("a{number}\nb{number}\n").as_bytes()).await?;
    }
    let seen = server.await??;
    let expected: Vec<String> = (0..10).flat_map(|number| [format!("a{number}"), format!("b{number}")]).collect();
    ensure(seen == expected, "the lines of ten connections arrive")
}

async fn channels() -> Outcome {
    let mut map = StreamMap::new();
    for name in ["left", "right"] {
        let (sender, receiver) = mpsc::channel(1);
        map.insert(name, ReceiverStream::new(receiver));
        tokio::spawn(async move {
            for number in 0..100_u32 {
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    while let Some((name, number)) = map.next().await {
        if name == "left" { left.push(number) } else { right.push(number) }
    }
    ensure(left == right && left == (0..100).collect::<Vec<_>>(), "two channels arrive complete and in order")?;

    let (sender, receiver) = broadcast::channel(4);
    for number in 0..10 {
        sender.send(number)?;
    }
    drop(sender);
    let seen: Vec<_> = BroadcastStream::new(receiver).collect().await;
    ensure(seen.first() == Some(&Err(BroadcastStreamRecvError::Lagged(6))), "a slow receiver learns what it missed")?;
    let kept: Vec<i32> = seen.into_iter().filter_map(Result::ok).collect();
    ensure(kept == [6, 7, 8, 9], "a slow receiver gets what is left")?;

    let (sender, receiver) = watch::channel(0);
    let mut values = WatchStream::from_changes(receiver);
    sender.send(1)?;
    ensure(values.next().await == Some(1), "a watch shows its change")?;
    drop(sender);
    ensure(values.next().await.is_none(), "a watch ends with its sender")
}

async fn timers() -> Outcome {
    let ticks = IntervalStream::new(tokio::time::interval(Duration::from_millis(2)));
    ensure(ticks.take(5).collect::<Vec<_>>().await.len() == 5, "an interval ticks")?;

    let (sender, receiver) = mpsc::unbounded_channel();
    let chunks = tokio_stream::wrappers::UnboundedReceiverStream::new(receiver);
    let mut chunks = Box::pin(chunks.chunks_timeout(3, Duration::from_millis(20)));
    for number in 0..4 {
        sender.send(number)?;
    }
    ensure(chunks.next().await == Some(vec![0, 1, 2]), "a full chunk does not wait")?;
    ensure(chunks.next().await == Some(vec![3]), "a chunk that is not full comes after its time")?;

    let mut silent = Box::pin(tokio_stream::pending::<()>().timeout(Duration::from_millis(5)));
    ensure(matches!(silent.next().await, Some(Err(_))), "a silent stream times out")?;

    let throttled = Box::pin(tokio_stream::iter(0..3).throttle(Duration::from_millis(10)));
    let start = tokio::time::Instant::now();
    ensure(throttled.collect::<Vec<_>>().await == [0, 1, 2], "a throttled stream is complete")?;
    ensure(start.elapsed() >= Duration::from_millis(20), "a throttled stream is slow")
}

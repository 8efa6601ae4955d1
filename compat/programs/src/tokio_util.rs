//! tokio-util: codecs over TCP, cancellation, a task tracker, a delay queue, and blocking reads of an async stream.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use harness::{Outcome, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec, LinesCodec, LinesCodecError};
use tokio_util::io::SyncIoBridge;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::time::DelayQueue;

pub(crate) async fn run() -> Outcome {
    frames().await?;
    lines().await?;
    cancellation().await?;
    delays().await?;
    bridge().await
}

async fn frames() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let (sink, stream) = Framed::new(stream, LengthDelimitedCodec::new()).split::<Bytes>();
        stream.map(|frame| frame.map(BytesMut::freeze)).forward(sink).await
    });
    let (mut sink, mut stream) =
        Framed::new(TcpStream::connect(address).await?, LengthDelimitedCodec::new()).split::<Bytes>();
    let frames: Vec<Bytes> = (0..200_usize).map(|number| vec![number as u8; number * 97].into()).collect();
    let to_send = frames.clone();
    let sender = tokio::spawn(async move {
        for frame in to_send {
            sink.feed(frame).await?;
        }
        sink.close().await
    });
    for frame in frames {
        let received = stream.next().await.ok_or("the stream of frames ended early")??;
        ensure(received == frame, "200 frames come back in order")?;
    }
    sender.await??;
    server.await??;
    ensure(stream.next().await.is_none(), "the stream of frames ends")
}

async fn lines() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"one\r\ntwo\nmuch too long a line\nthree").await?;
        stream.shutdown().await
    });
    let stream = TcpStream::connect(address).await?;
    let seen: Vec<_> = tokio_util::codec::FramedRead::new(stream, LinesCodec::new_with_max_length(8)).collect().await;
    server.await??;
    let words: Vec<&str> = seen.iter().filter_map(|line| line.as_deref().ok()).collect();
    ensure(words.starts_with(&["one", "two"]), "lines are cut")?;
    ensure(
        seen.iter().any(|line| matches!(line, Err(LinesCodecError::MaxLineLengthExceeded))),
        "a long line is refused",
    )
}

async fn cancellation() -> Outcome {
    let token = CancellationToken::new();
    let tracker = TaskTracker::new();
    let ended = Arc::new(AtomicU32::new(0));
    for number in 0..50 {
        let (child, ended) = (token.child_token(), ended.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = child.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(3600 + number)) => return,
            }
            ended.fetch_add(1, Ordering::Relaxed);
        });
    }
    let other = token.child_token();
    other.cancel();
    other.cancelled().await;
    ensure(!token.is_cancelled(), "a child does not cancel its parent")?;
    tracker.close();
    ensure(tracker.len() == 50, "the tracker counts its tasks")?;
    let never = token.run_until_cancelled(std::future::pending::<()>());
    let (never, ()) = tokio::join!(never, async { token.cancel() });
    ensure(never.is_none(), "what runs until it is cancelled, ends")?;
    tracker.wait().await;
    ensure(ended.load(Ordering::Relaxed) == 50, "every task heard of it")
}

async fn delays() -> Outcome {
    let mut queue = DelayQueue::new();
    queue.insert("third", Duration::from_millis(30));
    queue.insert("first", Duration::from_millis(1));
    let moved = queue.insert("second", Duration::from_secs(3600));
    let removed = queue.insert("never", Duration::from_millis(5));
    queue.reset(&moved, Duration::from_millis(15));
    queue.remove(&removed);
    let mut order = Vec::new();
    while let Some(expired) = queue.next().await {
        order.push(expired.into_inner());
    }
    ensure(order == ["first", "second", "third"], "delays end in order")
}

/// A blocking thread reads what tasks write.
async fn bridge() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let reader = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = SyncIoBridge::new(stream);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        });
        read.await?
    });
    let mut stream = TcpStream::connect(address).await?;
    let sent = vec![7; 1 << 20];
    stream.write_all(&sent).await?;
    stream.shutdown().await?;
    ensure(reader.await?? == sent, "a blocking thread reads all that was written")
}

//! A server with a limit of connections and a graceful end, from Tokio's and tokio-util's parts.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Answers each byte after a moment. A byte that was read is answered, also while the server ends.
async fn connection(mut stream: TcpStream, stop: CancellationToken) -> io::Result<()> {
    loop {
        let byte = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            byte = stream.read_u8() => byte?,
        };
        sleep(Duration::from_millis(300)).await;
        stream.write_u8(byte).await?;
    }
}

async fn serve(listener: TcpListener, stop: CancellationToken) -> io::Result<usize> {
    let places = Arc::new(Semaphore::new(100));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place.expect("it is never closed"),
            // Without this the results of all connections are kept until the end.
            Some(_) = connections.join_next() => continue,
        };
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted?.0,
        };
        let stop = stop.child_token();
        connections.spawn(async move {
            let _place = place;
            connection(stream, stop).await
        });
    }
    let ended = timeout(Duration::from_secs(5), async { while connections.join_next().await.is_some() {} });
    if ended.await.is_err() {
        connections.abort_all();
        while connections.join_next().await.is_some() {}
    }
    Ok(connections.len())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, stop.clone()));

    let mut client = TcpStream::connect(address).await?;
    client.write_u8(7).await?;
    sleep(Duration::from_millis(150)).await;
    stop.cancel();
    println!("the byte that was sent before the stop: {}", client.read_u8().await?);
    println!("connections left: {}", server.await??);
    Ok(())
}

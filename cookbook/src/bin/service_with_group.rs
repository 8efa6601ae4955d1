//! The same server with a task group.

use std::io;
use std::time::Duration;

use redd::group::{TaskGroup, shield};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// Answers each byte after a moment. A byte that was read is answered, also while the server ends.
async fn connection(mut stream: TcpStream) -> io::Result<()> {
    loop {
        let byte = stream.read_u8().await?;
        shield(Duration::from_secs(5), async {
            sleep(Duration::from_millis(300)).await;
            stream.write_u8(byte).await
        })
        .await?;
    }
}

async fn serve(listener: TcpListener, stop: oneshot::Receiver<()>) -> io::Result<()> {
    let connections = TaskGroup::builder().discarding().limit(100).start();
    connections.cancel_when(stop, "the server stops");
    let scope = connections.scope();
    loop {
        connections.ready().await;
        tokio::select! {
            _ = scope.cancelled() => break,
            accepted = listener.accept() => connections.spawn(connection(accepted?.0)),
        };
    }
    let _ = connections.close().await; // It returns when no task is left.
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, stopped));

    let mut client = TcpStream::connect(address).await?;
    client.write_u8(7).await?;
    sleep(Duration::from_millis(150)).await;
    stop.send(()).expect("the server runs");
    println!("the byte that was sent before the stop: {}", client.read_u8().await?);
    server.await??;
    println!("connections left: 0");
    Ok(())
}

//! A `JoinSet` that is never joined: each finished task stays in it, with its result.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Aborts what is left when the server ends, and that is all it is for.
async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let mut connections = JoinSet::new(); // culprit: the set
    loop {
        let (stream, _) = listener.accept().await?;
        connections.spawn(echo(stream));
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    let mut line = vec![0; 64];
    let length = stream.read(&mut line).await?;
    line.truncate(length);
    stream.write_all(&line).await?;
    Ok(line)
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let server = listener.local_addr().expect("it is bound");
    tokio::spawn(serve(listener));
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server).await.expect("the server is there");
        stream.write_all(b"hello").await.expect("the server reads");
        stream.read_to_end(&mut Vec::new()).await.expect("the server answers");
    }
    println!("50 connections are closed");
    // The service goes on.
    sleep(Duration::from_secs(600)).await;
}

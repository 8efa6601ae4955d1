//! A relay between clients and a server. It counts bytes, and passes on the end of each direction by itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use redd::group::TaskGroup;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

async fn relay(mut client: TcpStream, server: SocketAddr) -> io::Result<(u64, u64)> {
    let mut server = timeout(Duration::from_secs(5), TcpStream::connect(server)).await??;
    // At the end of one direction it shuts down the other socket's write half, and goes on with the other direction.
    copy_bidirectional(&mut client, &mut server).await
}

async fn accept(listener: TcpListener, server: SocketAddr) -> io::Result<()> {
    let connections = TaskGroup::discarding().name("connections").limit(1000).start();
    loop {
        connections.ready().await; // The kernel keeps further clients in its queue.
        let (client, _) = listener.accept().await?;
        connections.spawn(async move {
            match relay(client, server).await {
                Ok((up, down)) => println!("relayed {up} bytes up, {down} bytes down"),
                Err(error) => println!("a connection broke: {error}"),
            }
        });
    }
}

/// Reads to the end of the request, and only then answers: it needs the half close.
async fn serve(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut request = Vec::new();
    stream.read_to_end(&mut request).await?;
    stream.write_all(format!("got {} bytes", request.len()).as_bytes()).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let (server, relay) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let (server_address, relay_address) = (server.local_addr()?, relay.local_addr()?);
    let server = tokio::spawn(serve(server));
    let relay = tokio::spawn(accept(relay, server_address));

    let mut client = TcpStream::connect(relay_address).await?;
    client.write_all(&[7; 100_000]).await?;
    client.shutdown().await?; // "That was all", and the other half stays open.
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    println!("the client got: {answer}");

    server.await??;
    relay.abort();
    Ok(())
}

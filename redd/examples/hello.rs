//! A server that says hello. A browser understands it, too.

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};

/// Answers one request, and closes the connection.
async fn greet(mut client: TcpStream) -> std::io::Result<()> {
    let _ = client.read(&mut [0; 1024]).await?;
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n").await
}

#[redd::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    loop {
        let (client, _) = listener.accept().await?;
        redd::spawn(greet(client));
    }
}

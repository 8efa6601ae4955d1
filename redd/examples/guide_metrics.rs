//! Metrics over HTTP, for Prometheus.

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::runtime::Handle;

/// Sends the metrics to each client, whatever it requests.
async fn serve_metrics(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        redd::spawn(async move {
            let _ = stream.read(&mut [0; 1024]).await?;
            let body = Handle::current().metrics().open_metrics();
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";
            let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await
        });
    }
}

#[redd::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    redd::spawn(serve_metrics(listener));

    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    println!("{}", answer.lines().find(|line| line.starts_with("redd_workers")).unwrap_or("nothing"));
    println!("{}", Handle::current().metrics());
    Ok(())
}

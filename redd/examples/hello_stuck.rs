//! The server that says hello, with two mistakes.
#![allow(clippy::disallowed_methods, reason = "it blocks on purpose")]
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::sync::Mutex;
use std::sync::Arc;
use std::time::Duration;

async fn greet(mut client: TcpStream, visitors: Arc<Mutex<u64>>) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    let length = client.read(&mut buffer).await?;
    let request = String::from_utf8_lossy(&buffer[..length]);
    if request.starts_with("GET /block ") {
        // A mistake: until this returns, the thread can run no other task.
        std::thread::sleep(Duration::from_secs(2));
    }
    let mut visitors = visitors.lock().await;
    *visitors += 1;
    if request.starts_with("GET /stuck ") {
        // A mistake: the lock stays locked.
        redd::time::sleep(Duration::from_secs(3600)).await;
    }
    let body = format!("hello, visitor {visitors}\n");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    client.write_all(answer.as_bytes()).await
}

#[redd::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    let visitors = Arc::new(Mutex::new(0));
    loop {
        let (client, _) = listener.accept().await?;
        redd::spawn(greet(client, visitors.clone()));
    }
}

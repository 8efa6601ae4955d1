//! A request to another service without a timeout: the service accepts the connection, and never answers.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn weather(State(upstream): State<SocketAddr>) -> Result<String, StatusCode> {
    forecast(upstream).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

async fn forecast(upstream: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(upstream).await?;
    stream.write_all(b"GET /forecast HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?; // culprit: waits
    Ok(answer)
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    // The system completes connections for a listener that accepts none.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let upstream = silent.local_addr().expect("it is bound");
    let app = Router::new().route("/weather", get(weather)).with_state(upstream);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let server = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let answer = demos::get(server, "/weather").await;
        println!("{answer:?}");
    });
    axum::serve(listener, app).await.expect("`serve` does not fail");
    drop(silent);
}

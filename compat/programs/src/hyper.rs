//! hyper 1: server and client of HTTP/1 and of HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use harness::{Outcome, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) async fn run() -> Outcome {
    http1().await?;
    silence_is_ended().await?;
    http2().await
}

/// Streams the request body back, so that both directions flow at the same time.
async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}

fn body(length: usize, seed: usize) -> Bytes {
    (0..length).map(|at| (at.wrapping_mul(31) + seed) as u8).collect()
}

async fn http1() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service_fn(echo));
        connection.await.map_err(std::io::Error::other)
    });
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let client = tokio::spawn(connection);
    for (seed, length) in [0, 1, 1000, 1 << 20, 5].into_iter().enumerate() {
        let sent = body(length, seed);
        sender.ready().await?;
        let request = Request::post("/").header("host", "localhost").body(Full::new(sent.clone()))?;
        let answer = sender.send_request(request).await?;
        ensure(answer.version() == Version::HTTP_11, "the answer is HTTP/1.1")?;
        ensure(answer.into_body().collect().await?.to_bytes() == sent, "five bodies come back on one connection")?;
    }
    drop(sender);
    client.await??;
    server.await??;
    Ok(())
}

/// The server's timer closes a connection on which no request head arrives.
async fn silence_is_ended() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(20))
            .serve_connection(TokioIo::new(stream), service_fn(echo));
        Ok::<_, std::io::Error>(connection.await)
    });
    let mut stream = TcpStream::connect(address).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    let ended = server.await??;
    ensure(ended.is_err_and(|error| error.is_timeout()), "a silent connection ends with a timeout")
}

async fn http2() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_millis(50))
            .serve_connection(TokioIo::new(stream), service_fn(echo));
        connection.await.map_err(std::io::Error::other)
    });
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let client = tokio::spawn(connection);
    let mut requests = JoinSet::new();
    for seed in 0..64 {
        let mut sender = sender.clone();
        requests.spawn(async move {
            // Some bodies are larger than the window, so they wait for each other.
            let sent = body(if seed % 8 == 0 { 300_000 } else { 1000 }, seed);
            let request = Request::post("http://localhost/").body(Full::new(sent.clone()))?;
            let answer = sender.send_request(request).await?;
            ensure(answer.version() == Version::HTTP_2, "the answer is HTTP/2")?;
            ensure(answer.into_body().collect().await?.to_bytes() == sent, "64 bodies come back on one connection")
        });
    }
    while let Some(outcome) = requests.join_next().await {
        outcome??;
    }
    drop(sender);
    client.await??;
    server.await??;
    Ok(())
}

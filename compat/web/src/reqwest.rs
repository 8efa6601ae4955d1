//! reqwest: HTTP/2 and HTTP/1.1 over TLS with an authority of our own, against axum behind tokio-rustls. Bodies are
//! streamed in both directions. Also redirects and each of its timeouts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::response::Redirect;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use harness::{Outcome, ensure};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use reqwest::{Certificate, Client, ClientBuilder, StatusCode, Version};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;

/// Pieces of a streamed body, and the size of each.
const PIECES: usize = 64;
const PIECE: usize = 10_000;

pub(crate) async fn run() -> Outcome {
    let authority = Authority::new()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(&["h2", "http/1.1"])?));
    let server = tokio::spawn(serve(listener, acceptor));

    let client = trusting(&authority, address)?.timeout(Duration::from_secs(10)).build()?;
    let base = format!("https://localhost:{}", address.port());
    let answer = client.post(format!("{base}/sum")).json(&json!({ "numbers": [1, 2, 39] })).send().await?;
    ensure(answer.status() == StatusCode::OK && answer.version() == Version::HTTP_2, "HTTP/2 is agreed upon")?;
    ensure(answer.json::<Value>().await? == json!({ "total": 42 }), "JSON goes in and out")?;

    let old = trusting(&authority, address)?.http1_only().build()?;
    let answer = old.get(format!("{base}/hello/redd")).send().await?;
    ensure(answer.version() == Version::HTTP_11 && answer.text().await? == "hello, redd", "HTTP/1.1 if asked for")?;
    let answer = client.get(format!("{base}/moved")).send().await?;
    ensure(answer.url().path() == "/hello/again" && answer.text().await? == "hello, again", "redirects are followed")?;
    let answer = client.get(format!("{base}/nowhere")).send().await?;
    ensure(
        answer.error_for_status().is_err_and(|error| error.is_status()),
        "an error status is an error if asked for",
    )?;

    for client in [&client, &old] {
        streams(client, &base).await?;
        many_at_once(client, &base).await?;
    }
    timeouts(&authority, address, &base).await?;

    let stranger = trusting(&Authority::new()?, address)?.build()?;
    let refused = stranger.get(format!("{base}/hello/nobody")).send().await;
    ensure(refused.is_err_and(|error| error.is_connect()), "a certificate of another authority is refused")?;
    server.abort();
    ensure(server.await.is_err_and(|error| error.is_cancelled()), "the server is aborted")?;
    let late = trusting(&authority, address)?.build()?.get(format!("{base}/hello/nobody")).send().await;
    ensure(late.is_err_and(|error| error.is_connect()), "a server that has ended is a connection error")
}

/// A client for a server on loopback that does not depend on how `localhost` resolves.
fn trusting(authority: &Authority, server: SocketAddr) -> reqwest::Result<ClientBuilder> {
    let root = Certificate::from_der(&authority.root)?;
    Ok(Client::builder().no_proxy().tls_certs_only([root]).resolve("localhost", server))
}

/// A request body that is produced while it is sent, and a response body that is read while it is produced.
async fn streams(client: &Client, base: &str) -> Outcome {
    let pieces = stream::iter(0..PIECES).then(|number| async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Bytes::from(vec![number as u8; PIECE]))
    });
    let body = reqwest::Body::wrap_stream(pieces);
    let mut answer = client.post(format!("{base}/echo")).body(body).send().await?.bytes_stream();
    let mut received = Vec::new();
    while let Some(piece) = answer.next().await {
        received.extend_from_slice(&piece?);
    }
    let is_same =
        received.chunks(PIECE).enumerate().all(|(number, piece)| piece.iter().all(|&byte| byte == number as u8));
    ensure(received.len() == PIECES * PIECE && is_same, "a stream comes back in order")
}

async fn many_at_once(client: &Client, base: &str) -> Outcome {
    let mut requests = JoinSet::new();
    for number in 0..50 {
        let request = client.get(format!("{base}/hello/{number}"));
        requests.spawn(async move { (number, request.send().await.map(reqwest::Response::text)) });
    }
    while let Some(answer) = requests.join_next().await {
        let (number, text) = answer?;
        ensure(text?.await? == format!("hello, {number}"), "each of 50 requests gets its own answer")?;
    }
    Ok(())
}

async fn timeouts(authority: &Authority, server: SocketAddr, base: &str) -> Outcome {
    // Long enough for a handshake of a debug build on a busy machine, which counts as part of reading.
    const SHORT: Duration = Duration::from_millis(500);
    let total = trusting(authority, server)?.timeout(SHORT).build()?;
    let error = total.get(format!("{base}/never")).send().await.err().ok_or("what is never answered was answered")?;
    ensure(error.is_timeout(), "an answer that never comes times out")?;

    let between_reads = trusting(authority, server)?.read_timeout(SHORT).build()?;
    let answer = between_reads.get(format!("{base}/stalls")).send().await?;
    ensure(answer.status() == StatusCode::OK, "the head arrives before a body that stalls")?;
    let error = answer.bytes().await.err().ok_or("a body that stalls has ended")?;
    ensure(error.is_timeout(), "a body that stalls times out")?;

    // This server accepts connections and sends nothing, so no handshake completes.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let address = silent.local_addr()?;
    let connecting = trusting(authority, address)?.connect_timeout(SHORT).build()?;
    let error = connecting.get(format!("https://localhost:{}/", address.port())).send().await;
    ensure(error.is_err_and(|error| error.is_connect() && error.is_timeout()), "a handshake that stalls times out")
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    let app = Router::new()
        .route("/sum", post(sum))
        .route("/hello/{name}", get(async |Path(name): Path<String>| format!("hello, {name}")))
        .route("/moved", get(async || Redirect::temporary("/hello/again")))
        .route("/echo", post(async |body: Body| body))
        .route("/never", get(std::future::pending::<&'static str>))
        .route("/stalls", get(async || Body::from_stream(stalling())));
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
        connections.spawn(async move {
            // Some clients refuse the certificate, and others disconnect in the middle. Both are intended.
            if let Ok(stream) = acceptor.accept(stream).await {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

async fn sum(Json(numbers): Json<Value>) -> Json<Value> {
    let total: u64 = numbers["numbers"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
    Json(json!({ "total": total }))
}

/// A first piece, and then no more.
fn stalling() -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    stream::once(async { Ok(Bytes::from_static(b"begin")) }).chain(stream::pending())
}

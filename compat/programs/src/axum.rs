//! axum: routes and extractors, with hyper-util's client; a WebSocket, with tokio-tungstenite's client; and a graceful
//! shutdown that lets a request in flight finish.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use harness::{Outcome, ensure};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Slow {
    started: Notify,
    may_end: Notify,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    numbers: Vec<u64>,
    total: u64,
}

#[derive(Debug, Deserialize)]
struct Greeting {
    word: String,
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) async fn run() -> Outcome {
    let slow = Arc::new(Slow::default());
    let shutdown = Arc::new(Notify::new());
    let app = Router::new()
        .route("/greet/{name}", get(greet))
        .route("/sum", post(sum))
        .route("/talk/{name}", get(upgrade))
        .route("/slow", get(wait_until_told))
        .with_state(slow.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let asked = shutdown.clone();
    let server = tokio::spawn(async move {
        axum::serve(listener, app).with_graceful_shutdown(async move { asked.notified().await }).await
    });

    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let base = format!("http://{address}");

    let (status, body) = ask(&client, Request::get(format!("{base}/greet/redd?word=hello")), "").await?;
    ensure(status == StatusCode::OK && body == "hello, redd", "a path and a query are extracted")?;

    let request = Request::post(format!("{base}/sum")).header("content-type", "application/json");
    let (status, body) = ask(&client, request, r#"{"numbers":[1,2,39],"total":0}"#).await?;
    ensure(status == StatusCode::OK && body == r#"{"numbers":[1,2,39],"total":42}"#, "JSON goes in and out")?;

    let (status, _) = ask(&client, Request::post(format!("{base}/sum")), "{").await?;
    ensure(status == StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body without its type is refused")?;
    let (status, _) = ask(&client, Request::get(format!("{base}/nowhere")), "").await?;
    ensure(status == StatusCode::NOT_FOUND, "an unknown path is not found")?;

    let mut many = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (client, uri) = (client.clone(), format!("{base}/greet/{number}?word=hi"));
        many.spawn(async move { ask(&client, Request::get(uri), "").await.map(|(_, body)| (number, body)) });
    }
    while let Some(answer) = many.join_next().await {
        let (number, body) = answer??;
        ensure(body == format!("hi, {number}"), "each of 100 requests gets its own answer")?;
    }

    talk(&format!("ws://{address}/talk/redd")).await?;

    let (in_flight, uri) = (client.clone(), format!("{base}/slow"));
    let in_flight = tokio::spawn(async move { ask(&in_flight, Request::get(uri), "").await });
    slow.started.notified().await;
    shutdown.notify_one();
    // The listener is closed while the request is still in flight.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    ensure(!server.is_finished(), "the server waits for the request in flight")?;
    slow.may_end.notify_one();
    let (status, body) = in_flight.await??;
    ensure(status == StatusCode::OK && body == "at last", "the request in flight is answered")?;
    server.await??;
    Ok(())
}

async fn ask(
    client: &HttpClient,
    request: axum::http::request::Builder,
    body: &'static str,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let answer = client.request(request.body(Full::from(body))?).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

async fn greet(Path(name): Path<String>, Query(greeting): Query<Greeting>) -> String {
    format!("{}, {name}", greeting.word)
}

async fn sum(Json(mut sum): Json<Sum>) -> Json<Sum> {
    sum.total = sum.numbers.iter().sum();
    Json(sum)
}

/// Eight clients, each of which sends some lines, including large ones, and then closes.
async fn talk(uri: &str) -> Outcome {
    use tokio_tungstenite::tungstenite::Message;
    let mut clients = tokio::task::JoinSet::new();
    for seed in 0..8 {
        let uri = uri.to_owned();
        clients.spawn(async move {
            let (mut socket, _) = tokio_tungstenite::connect_async(uri).await?;
            for length in [1, 100, 200_000] {
                let line = format!("{seed}").repeat(length);
                socket.send(Message::text(line.clone())).await?;
                let answer = socket.next().await.ok_or("the socket is closed too early")??;
                ensure(answer == Message::text(format!("redd hears {line}")), "a line is answered")?;
            }
            socket.close(None).await?;
            while let Some(last) = socket.next().await {
                ensure(last?.is_close(), "nothing comes after the end but the end")?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(outcome) = clients.join_next().await {
        outcome??;
    }
    Ok(())
}

async fn upgrade(Path(name): Path<String>, upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(async move |socket| answer(name, socket).await)
}

async fn answer(name: String, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(line) = message {
            if socket.send(Message::text(format!("{name} hears {line}"))).await.is_err() {
                return;
            }
        }
    }
}

async fn wait_until_told(State(slow): State<Arc<Slow>>) -> &'static str {
    slow.started.notify_one();
    slow.may_end.notified().await;
    "at last"
}

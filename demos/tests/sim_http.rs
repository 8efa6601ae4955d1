//! axum as the server and hyper as the client, unmodified, as hosts of one simulated world.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use redd::sim::{Report, World};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::sleep;

#[tokio::main]
async fn server() -> std::io::Result<()> {
    let slow = get(|| async {
        sleep(Duration::from_secs(2)).await;
        "slow"
    });
    let app = Router::new().route("/slow", slow).route("/echo", post(|body: Bytes| async move { body }));
    axum::serve(TcpListener::bind("0.0.0.0:80").await?, app).await
}

/// Begins when the server listens.
async fn connected() -> TcpStream {
    loop {
        match TcpStream::connect("server:80").await {
            Ok(stream) => return stream,
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
}

/// One connection of hyper's own.
#[tokio::main(flavor = "current_thread")]
async fn low_level_client() {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connected().await)).await.unwrap();
    let driving = tokio::spawn(connection);
    for length in [0, 10, 100_000] {
        let body = Bytes::from(vec![b'x'; length]);
        let request = Request::post("/echo").header("host", "server").body(Full::new(body.clone())).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
    }
    drop(sender);
    driving.await.unwrap().unwrap();
}

/// A pool of connections, whose connector makes raw sockets and sets options on them.
#[tokio::main]
async fn pooled_client() {
    drop(connected().await);
    let server = lookup_host("server:80").await.unwrap().next().unwrap();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_secs(60)));
    connector.set_connect_timeout(Some(Duration::from_secs(5)));
    let client = Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector);
    let mut requests = JoinSet::new();
    for number in 0..8 {
        let client = client.clone();
        requests.spawn(async move {
            let (request, expected) = if number % 2 == 0 {
                (Request::get(format!("http://{server}/slow")), "slow")
            } else {
                (Request::post(format!("http://{server}/echo")), "text")
            };
            let response = client.request(request.body(Full::from("text")).unwrap()).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), expected);
        });
    }
    requests.join_all().await;
}

fn run(seed: u64) -> Report {
    World::new(seed)
        .record(true)
        .service("server", server)
        .host("low-level", low_level_client)
        .host("pooled", pooled_client)
        .limit(Duration::from_secs(60))
        .run()
}

#[test]
fn axum_and_hyper_run_unmodified_and_a_seed_has_one_hash() {
    let mut hashes = BTreeSet::new();
    for seed in 0..20 {
        let (first, second) = (run(seed), run(seed));
        first.expect_ok();
        second.expect_ok();
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!(first.event_hash(), second.event_hash(), "seed {seed}");
        assert!(first.elapsed() >= Duration::from_secs(2), "the slow answer takes its time");
        hashes.insert(first.event_hash());
    }
    assert_eq!(hashes.len(), 20, "seeds differ");
}

//! A shop: a backend that speaks gRPC (tonic), a gateway that speaks HTTP (axum) and asks the backend, and a client (reqwest).

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::health_reporter;

use crate::http_client;

/// How long the gateway waits for the backend.
pub const BACKEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The `main` of the backend.
///
/// # Errors
/// Those of the listener and of the server.
#[tokio::main]
pub async fn backend() -> Result<(), Box<dyn Error>> {
    let (reporter, service) = health_reporter();
    reporter.set_service_status("stock", ServingStatus::Serving).await;
    let listener = TcpListener::bind("0.0.0.0:50051").await?;
    Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)).await?;
    Ok(())
}

async fn stock(State(mut backend): State<HealthClient<Channel>>) -> (StatusCode, String) {
    let request = HealthCheckRequest { service: "stock".to_owned() };
    match backend.check(request).await {
        Ok(reply) => (StatusCode::OK, reply.into_inner().status.to_string()),
        Err(status) => (StatusCode::SERVICE_UNAVAILABLE, status.to_string()),
    }
}

/// The `main` of the gateway.
///
/// # Errors
/// Those of the listener and of the server.
#[tokio::main]
pub async fn gateway() -> Result<(), Box<dyn Error>> {
    let backend =
        Endpoint::from_static("http://backend:50051").connect_timeout(BACKEND_TIMEOUT).timeout(BACKEND_TIMEOUT);
    let app = Router::new().route("/stock", get(stock)).with_state(HealthClient::new(backend.connect_lazy()));
    axum::serve(TcpListener::bind("0.0.0.0:80").await?, app).await?;
    Ok(())
}

/// What the client saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it asked, since the start of the client.
    pub at: Duration,
    /// How long the answer took.
    pub took: Duration,
    /// 0 if there was none.
    pub status: u16,
}

/// The `main` of the client: asks the gateway for a minute, and notes the answers.
///
/// # Errors
/// If the client cannot be built.
///
/// # Panics
/// If a thread has panicked with the notes.
#[tokio::main(flavor = "current_thread")]
pub async fn client(seen: &Mutex<Vec<Seen>>) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let client = http_client(Duration::from_secs(3))?;
    while start.elapsed() < Duration::from_secs(60) {
        let at = start.elapsed();
        let answer = client.get("http://gateway/stock").send().await;
        let status = answer.map_or(0, |answer| answer.status().as_u16());
        seen.lock().expect("no thread panics with it").push(Seen { at, took: start.elapsed() - at, status });
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

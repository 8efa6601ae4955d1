//! A service that answers requests, and shuts down in phases when the system asks it to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use redd::group::Phases;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::http_client;

/// Which requests the service has begun and answered.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    begun: Arc<AtomicU32>,
    answered: Arc<AtomicU32>,
}

impl Requests {
    /// How many requests the service has begun.
    pub fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many of them a client has seen answered.
    pub fn answered(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }
}

async fn work(State((_, requests)): State<(Phases, Requests)>) -> &'static str {
    requests.begun.fetch_add(1, Ordering::Relaxed);
    sleep(Duration::from_millis(300)).await;
    "done"
}

async fn hold(State((phases, _)): State<(Phases, Requests)>, request: Request, next: Next) -> Response {
    let _hold = phases.hold("requests", request.uri().path());
    next.run(request).await
}

/// The `main` of the service. If it is not `careful`, it ends with the signal, as many services do.
///
/// # Errors
/// Those of the listener and of the signals.
#[tokio::main]
pub async fn serve(requests: Requests, careful: bool) -> io::Result<()> {
    let time = if careful { Duration::from_secs(20) } else { Duration::ZERO };
    let phases = Phases::new().then("requests", time);
    let state = (phases.clone(), requests);
    let app =
        Router::new().route("/work", get(work)).route_layer(from_fn_with_state(state.clone(), hold)).with_state(state);
    let server = axum::serve(TcpListener::bind("0.0.0.0:80").await?, app).with_graceful_shutdown(phases.accepting());
    tokio::spawn(phases.wait_for("requests", "axum", server));
    phases.on_signals().await?;
    Ok(())
}

/// The `main` of a client: `count` requests, one after the other, until the service accepts no more connections.
///
/// # Errors
/// If a client cannot be built.
#[tokio::main(flavor = "current_thread")]
pub async fn client(requests: Requests, count: u32) -> reqwest::Result<()> {
    for _ in 0..count {
        // A connection for each request.
        let client = http_client(Duration::from_secs(30))?;
        let ask = async { client.get("http://service/work").send().await?.text().await };
        match ask.await {
            Ok(text) if text == "done" => requests.answered.fetch_add(1, Ordering::Relaxed),
            _ => break,
        };
    }
    Ok(())
}

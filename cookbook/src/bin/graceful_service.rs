//! A service that answers each request it has accepted, then stops its background job, then writes the last lines.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use redd::group::{Phases, Report};
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};

/// While this value lives, the first phase is not over. The report names the path if it is left.
async fn hold(State(phases): State<Phases>, request: Request, next: Next) -> Response {
    let _hold = phases.hold("requests", request.uri().path());
    next.run(request).await
}

/// An order that takes longer than the service will live.
async fn order(State(phases): State<Phases>) -> &'static str {
    let process = std::process::id().to_string();
    tokio::process::Command::new("kill").args(["-TERM", &process]).status().await.expect("there is a `kill`");
    phases.accepting().await;
    println!("the shutdown has begun, and the order is still being processed");
    sleep(Duration::from_millis(100)).await;
    "the order is placed"
}

async fn refresh(stop: impl Future<Output = ()>) {
    let mut ticks = interval(Duration::from_millis(20));
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => {} // Here it refreshes a cache.
        }
    }
    println!("the background job has stopped");
}

async fn serve(listener: TcpListener) -> io::Result<Report> {
    let phases = Phases::new()
        .then("requests", Duration::from_secs(20))
        .then("background", Duration::from_secs(5))
        .then("flush", Duration::from_secs(2));
    let app = Router::new()
        .route("/order", get(order))
        .route_layer(from_fn_with_state(phases.clone(), hold))
        .with_state(phases.clone());

    let server = axum::serve(listener, app).with_graceful_shutdown(phases.accepting());
    tokio::spawn(phases.wait_for("requests", "axum", server));
    tokio::spawn(phases.wait_for("background", "refresh", refresh(phases.reached("background"))));
    let flush = phases.reached("flush");
    tokio::spawn(phases.wait_for("flush", "statistics", async move {
        flush.await;
        println!("the statistics are written");
    }));
    phases.on_signals().await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/order", listener.local_addr()?);
    // reqwest asks for a provider of TLS where another package of the workspace uses TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = tokio::spawn(async move { reqwest::get(url).await?.text().await });

    let report = serve(listener).await?;
    println!("the client got: {}", client.await??);
    println!("started by {}, nothing left: {}", report.reason(), report.is_clean());
    Ok(())
}

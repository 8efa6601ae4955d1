//! A service on axum that shuts down without losing a request.
//!
//! `cargo run -p demos --example graceful_axum`, then `curl localhost:3000/slow`, and Ctrl-C meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use redd::group::{Phases, Report};
use tokio::net::TcpListener;

/// Answers when the shutdown has begun: the request that has just come when the signal does.
async fn slow(State(phases): State<Phases>) -> &'static str {
    phases.accepting().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    "slow"
}

/// The phase `requests` waits for each request. The report has its path if it is left.
async fn hold(State(phases): State<Phases>, request: Request, next: Next) -> Response {
    let _hold = phases.hold("requests", request.uri().path());
    next.run(request).await
}

/// Serves until a signal comes, and then until each request is answered or the time is over.
pub(crate) async fn serve(listener: TcpListener, requests: Duration) -> io::Result<Report> {
    let phases = Phases::new().then("requests", requests).then("flush", Duration::from_secs(2));
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let app = Router::new()
        .route("/", get(|| async { "quick" }))
        .route("/slow", get(slow))
        .route("/hang", get(|| async { std::future::pending::<&str>().await }))
        .route_layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            count.fetch_add(1, Ordering::Relaxed);
            next.run(request)
        }))
        .route("/accepted", get(move || async move { accepted.load(Ordering::Relaxed).to_string() }))
        .route_layer(from_fn_with_state(phases.clone(), hold))
        .with_state(phases.clone());

    let server = axum::serve(listener, app).with_graceful_shutdown(phases.accepting());
    tokio::spawn(phases.wait_for("requests", "axum", server));

    let (begins, flush) = (phases.reached("flush"), phases.clone());
    tokio::spawn(flush.wait_for("flush", "write the statistics", async move {
        begins.await;
        println!("no request is under way");
    }));
    phases.on_signals().await
}

/// With a time for the tasks that belong to no phase.
fn main() -> io::Result<()> {
    let runtime = redd::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:3000").await?;
        serve(listener, Duration::from_secs(20)).await
    })?;
    println!("{report}");
    for task in runtime.drain(Duration::from_millis(100)) {
        println!("not ended: {task}");
    }
    Ok(())
}

//! A client that gives up on slow servers, tries again with longer and longer pauses, and limits its requests in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use redd::group::TaskGroup;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Api {
    client: Client,
    in_flight: Arc<Semaphore>,
    base: String,
}

impl Api {
    /// Returns the body, and how many attempts it took.
    async fn get(&self, path: &str) -> Result<(String, u32), reqwest::Error> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match self.attempt(path).await {
                Ok(body) => return Ok((body, attempt)),
                Err(error) => error,
            };
            if attempt == ATTEMPTS || !is_temporary(&error) {
                return Err(error);
            }
            // Between a half and the whole pause: clients that failed together do not come back together.
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        unreachable!("the last attempt returns");
    }

    /// Holds a permit for one attempt, and not for the pause after it.
    async fn attempt(&self, path: &str) -> Result<String, reqwest::Error> {
        let _permit = self.in_flight.acquire().await.expect("it is never closed");
        let response = self.client.get(format!("{}{path}", self.base)).send().await?;
        response.error_for_status()?.text().await
    }
}

/// Whether another attempt may succeed. Only requests that change nothing may be sent twice.
fn is_temporary(error: &reqwest::Error) -> bool {
    let by_status = |status: StatusCode| status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    error.is_timeout() || error.is_connect() || error.status().is_some_and(by_status)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (base, peak) = start_server().await?;
    // reqwest asks for a provider of TLS where another package of the workspace uses TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The time limit is that of one attempt: connection, answer and body.
    let client = Client::builder().timeout(Duration::from_millis(1500)).build()?;
    let api = Api { client, in_flight: Arc::new(Semaphore::new(4)), base };

    for path in ["/busy", "/stuck", "/missing", "/broken"] {
        match api.get(path).await {
            Ok((body, attempts)) => println!("{path}: {body} after {attempts} attempts"),
            Err(error) => println!("{path}: gave up with {}", error.status().expect("the server answered")),
        }
    }

    let pages = TaskGroup::new();
    for number in 0..40 {
        let api = api.clone();
        pages.spawn(async move { api.get(&format!("/page/{number}")).await });
    }
    let pages = pages.try_close().await?;
    println!("{} pages, at most {} requests in flight", pages.len(), peak.load(Ordering::Relaxed));
    Ok(())
}

/// A request that the server works on. It is dropped with its handler, also if the client gives up.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(now: Arc<AtomicUsize>, peak: &AtomicUsize) -> Self {
        peak.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(now)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A server with bad days: what a client meets sooner or later.
async fn start_server() -> std::io::Result<(String, Arc<AtomicUsize>)> {
    let (busy, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let highest = Arc::clone(&peak);
    let app = Router::new()
        .route(
            "/busy",
            get(move || async move {
                let refuses = busy.fetch_add(1, Ordering::Relaxed) < 2;
                if refuses { Err(StatusCode::SERVICE_UNAVAILABLE) } else { Ok("ok") }
            }),
        )
        .route(
            "/stuck",
            get(move || async move {
                if stuck.fetch_add(1, Ordering::Relaxed) == 0 {
                    std::future::pending::<()>().await;
                }
                "ok"
            }),
        )
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route(
            "/page/{number}",
            get(move || async move {
                let _request = Counted::new(now, &peak);
                sleep(Duration::from_millis(5)).await;
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async { axum::serve(listener, app).await });
    Ok((base, highest))
}

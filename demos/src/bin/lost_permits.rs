//! Permits that are never given back: a failed upload keeps its entry in a map, and with it a permit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

/// Two transfers may run at a time.
#[derive(Debug)]
struct Transfers {
    slots: Arc<Semaphore>,
    uploads: Mutex<HashMap<u64, OwnedSemaphorePermit>>,
}

async fn upload(State(transfers): State<Arc<Transfers>>, Path(id): Path<u64>) -> StatusCode {
    let slot = transfers.slots.clone().acquire_owned().await.expect("it is never closed"); // culprit: holder
    transfers.uploads.lock().expect("no panic").insert(id, slot);
    if store(id).await.is_err() {
        // The entry stays, and so does the permit in it.
        return StatusCode::BAD_GATEWAY;
    }
    transfers.uploads.lock().expect("no panic").remove(&id);
    StatusCode::CREATED
}

async fn download(State(transfers): State<Arc<Transfers>>) -> &'static str {
    let _slot = transfers.slots.acquire().await.expect("it is never closed"); // culprit: waits
    sleep(Duration::from_millis(10)).await;
    "content"
}

/// The disk is full for odd numbers.
async fn store(id: u64) -> Result<(), StatusCode> {
    sleep(Duration::from_millis(10)).await;
    if id % 2 == 1 { Err(StatusCode::INSUFFICIENT_STORAGE) } else { Ok(()) }
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let transfers = Arc::new(Transfers { slots: Arc::new(Semaphore::new(2)), uploads: Mutex::default() });
    let app = Router::new().route("/upload/{id}", get(upload)).route("/download", get(download)).with_state(transfers);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let server = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        for path in ["/upload/0", "/upload/1", "/download", "/upload/3", "/download"] {
            let answer = demos::get(server, path).await.expect("the server is there");
            println!("{path}: {}", answer.lines().next().unwrap_or_default());
        }
    });
    axum::serve(listener, app).await.expect("`serve` does not fail");
}

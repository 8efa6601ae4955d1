//! A handler keeps a lock across a slow await, and every request that needs the lock waits for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The price of a parcel to a country.
type Prices = Arc<Mutex<u64>>;

async fn refresh(State(prices): State<Prices>) -> &'static str {
    let mut price = prices.lock().await; // culprit: holder
    *price = ask_carrier().await;
    "refreshed"
}

async fn show(State(prices): State<Prices>) -> String {
    let price = prices.lock().await; // culprit: waits
    format!("{price} cents")
}

/// The carrier's service has a bad day.
async fn ask_carrier() -> u64 {
    sleep(Duration::from_secs(600)).await;
    499
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let app = Router::new().route("/refresh", get(refresh)).route("/price", get(show)).with_state(Prices::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let server = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let refreshing = tokio::spawn(demos::get(server, "/refresh"));
        sleep(Duration::from_millis(100)).await;
        let answer = demos::get(server, "/price").await;
        println!("{answer:?}, {:?}", refreshing.await);
    });
    axum::serve(listener, app).await.expect("`serve` does not fail");
}

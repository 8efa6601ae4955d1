//! A request starts three tasks, one of which starts two more. The client disconnects, and all of them end.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use redd::group::TaskGroup;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

static RUNNING: AtomicI32 = AtomicI32::new(0);

/// Counts the queries that run, and the scratch table.
struct Running;

impl Running {
    fn new() -> Self {
        RUNNING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn query() {
    let _running = Running::new();
    sleep(Duration::from_secs(3600)).await;
}

async fn query_with_parts() {
    let _running = Running::new();
    let parts = TaskGroup::new();
    parts.spawn(query());
    parts.spawn(query());
    let _ = parts.close().await;
}

/// The group lives in the handler. When the client disconnects, hyper drops the handler, and so the group.
async fn report() -> &'static str {
    let queries = TaskGroup::new();
    let table = Running::new();
    queries.defer(Duration::from_secs(1), async move {
        sleep(Duration::from_millis(1)).await; // A clean-up may await.
        println!("the scratch table is dropped");
        drop(table);
    });
    queries.spawn(query());
    queries.spawn(query());
    queries.spawn(query_with_parts());
    match queries.close().await {
        Ok(_) => "done",
        Err(_) => "failed",
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, Router::new().route("/report", get(report))).await });

    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"GET /report HTTP/1.1\r\nHost: a\r\n\r\n").await?;
    wait_for(6).await;
    println!("5 queries run, on a scratch table");

    drop(client);
    wait_for(0).await;
    println!("the client is gone, and no query runs");
    Ok(())
}

async fn wait_for(count: i32) {
    while RUNNING.load(Ordering::Relaxed) != count {
        sleep(Duration::from_millis(5)).await;
    }
}

//! A worker that is blocked: a synchronous library renders an invoice for 300 ms, and the mail about it is queued behind.
//!
//! `cargo run -p demos --example blocked_worker`, and the same program on Tokio:
//! `cargo run --manifest-path demos/on-tokio/Cargo.toml --example blocked_worker`. The README shows what it prints.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

async fn invoice(start: Instant) -> JoinHandle<()> {
    let mail = tokio::spawn(mail(start));
    render();
    println!("the invoice was ready after {} ms", start.elapsed().as_millis());
    mail
}

/// A library that knows no `.await`.
fn render() {
    std::thread::sleep(Duration::from_millis(300));
}

async fn mail(start: Instant) {
    println!("the mail was sent after {} ms", start.elapsed().as_millis());
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mail = tokio::spawn(invoice(Instant::now())).await.expect("`invoice` does not panic");
    mail.await.expect("`mail` does not panic");
}

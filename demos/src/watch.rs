//! The end of every program: a report of what the runtime shows, and an exit.
//!
//! Called by the programs in `bin`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::seen::describe;

/// The variable with the time until the report, in milliseconds.
const AFTER_MS: &str = "DEMO_AFTER_MS";

/// Prints what the runtime shows of its tasks after a second and a half, and ends the process.
///
/// # Panics
/// Outside of a runtime, or if the system starts no thread.
pub fn report_soon() {
    let runtime = Handle::current();
    let after_ms = std::env::var(AFTER_MS).ok().and_then(|text| text.parse().ok()).unwrap_or(1500);
    let report = move || {
        std::thread::sleep(Duration::from_millis(after_ms));
        print!("{}", describe(&runtime));
        std::process::exit(0);
    };
    let thread = std::thread::Builder::new().name("report".to_owned()).spawn(report);
    thread.expect("one thread can be started");
}

/// Sends a GET request to a server, as a client would, and returns the response.
///
/// # Errors
/// The connection is refused or reset.
pub async fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    Ok(response)
}

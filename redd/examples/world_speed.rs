//! How fast simulated worlds are: events per second of two hosts that talk over TCP, and an hour of 100 hosts with a timer each second.
//!
//! `cargo run --release -p redd --example world_speed`

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::sim::{Report, World};
use redd::time::{Duration, sleep};
use std::io;
use std::time::Instant;

const ECHOES: u32 = 20_000;

#[redd::main(flavor = "current_thread")]
async fn server() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80").await?;
    let (mut stream, _) = listener.accept().await?;
    let mut message = [0; 64];
    while stream.read_exact(&mut message).await.is_ok() {
        stream.write_all(&message).await?;
    }
    Ok(())
}

#[redd::main(flavor = "current_thread")]
async fn client() -> io::Result<()> {
    sleep(Duration::from_secs(1)).await; // The server listens by then.
    let mut stream = TcpStream::connect("server:80").await?;
    let mut message = [0; 64];
    for _ in 0..ECHOES {
        stream.write_all(&message).await?;
        stream.read_exact(&mut message).await?;
    }
    Ok(())
}

#[redd::main(flavor = "current_thread")]
async fn ticks_for_an_hour() {
    for _ in 0..3600 {
        sleep(Duration::from_secs(1)).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures the real time")]
fn timed(what: &str, world: World) -> Report {
    let start = Instant::now();
    let report = world.run();
    let took = start.elapsed();
    report.expect_ok();
    println!(
        "{what}: {} events in {took:.2?}, {:.0} a second",
        report.events(),
        report.events() as f64 / took.as_secs_f64()
    );
    report
}

fn main() {
    let _ = timed("two hosts, TCP", World::new(1).host("server", server).host("client", client));
    let hosts = (0..100).fold(World::new(1), |world, number| world.host(&format!("host-{number}"), ticks_for_an_hour));
    let report = timed("an hour of 100 hosts", hosts);
    assert_eq!(report.elapsed(), Duration::from_secs(3600));
}

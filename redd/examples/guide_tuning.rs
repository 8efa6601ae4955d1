//! A runtime whose options were chosen by hand.

use redd::runtime::{Builder, Rescue};
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let runtime = Builder::new_multi_thread()
        .name("api")
        .worker_threads(4)
        .max_blocking_threads(64)
        .rescue(Rescue::new().report_after(Duration::from_millis(250)))
        .enable_all()
        .build()?;
    println!("{} workers", runtime.metrics().num_workers());
    Ok(())
}

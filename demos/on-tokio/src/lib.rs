//! What the programs of `demos` share, for the registry's Tokio.

mod seen;
#[path = "../../src/watch.rs"]
mod watch;

pub use watch::{get, report_soon};

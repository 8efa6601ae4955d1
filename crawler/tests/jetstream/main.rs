//! Crawls that many processes share through a real nats-server.
//!
//! On a machine without nats-server each test prints SKIPPED.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod kills;
mod nats;
mod processes;
mod scaling;
mod site;

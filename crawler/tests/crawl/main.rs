//! Whole crawls by the binary: of its embedded site, and of small hostile sites on loopback.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod addresses;
mod encodings;
mod exit_codes;
mod formats;
mod hostile;
mod outputs;
mod pace;
mod progress;
mod reports;
mod runs;
mod server;

//! Whole crawls by the binary: of its embedded site, and of small hostile sites on loopback.

#![expect(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

mod addresses;
mod cache;
mod command_line;
mod encodings;
mod exit_codes;
mod files;
mod formats;
mod hostile;
mod kills;
mod links;
mod odd;
mod odd_answers;
mod odd_site;
mod outputs;
mod pace;
mod progress;
mod reports;
mod requests;
mod resume;
mod runs;
mod selection;
mod server;
mod state;
mod tls;

//! `redd::io` as user code uses it: with scripted readers and writers, and compared with std.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

mod adapters;
mod buf_reader;
mod buf_writer;
mod copy;
mod duplex;
mod lines;
mod numbers;
mod read;
mod read_buf;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod write;

//! The facade has Tokio's paths, and its types are redd's.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::any::TypeId;

redd::assert_active!();

tokio::task_local! {
    static NUMBER: u8;
}

#[test]
fn a_type_of_the_facade_is_redds_own() {
    fn key(_: &'static redd::task::LocalKey<u8>) {}
    key(&NUMBER);
    assert_eq!(TypeId::of::<tokio::runtime::Handle>(), TypeId::of::<redd::runtime::Handle>());
}

/// Every feature of Tokio 1.54.1, from its manifest.
const FEATURES: [&str; 26] = [
    "bytes",
    "default",
    "fs",
    "full",
    "io-std",
    "io-uring",
    "io-util",
    "libc",
    "macros",
    "mio",
    "net",
    "parking_lot",
    "process",
    "rt",
    "rt-multi-thread",
    "schedule-latency",
    "signal",
    "signal-hook-registry",
    "socket2",
    "sync",
    "taskdump",
    "test-util",
    "time",
    "tokio-macros",
    "tracing",
    "windows-sys",
];

#[test]
fn the_facade_declares_every_feature_of_tokio() {
    let manifest = include_str!("../Cargo.toml");
    for feature in FEATURES {
        assert!(
            manifest.lines().any(|line| line.starts_with(&format!("{feature} = ["))),
            "`{feature}` is missing in the facade's [features]"
        );
    }
}

//! The facade has Tokio's paths, and its types are redd's.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::any::TypeId;

redd::assert_active!();

tokio::task_local! {
    static NUMBER: u8;
    #[inherited]
    static INHERITED: u8;
}

#[test]
fn a_type_of_the_facade_is_redds_own() {
    fn key(_: &'static redd::task::LocalKey<u8>) {}
    key(&NUMBER);
    assert_eq!(TypeId::of::<tokio::runtime::Handle>(), TypeId::of::<redd::runtime::Handle>());
}

#[test]
fn the_facades_task_local_takes_redds_attribute() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let spawn = || runtime.spawn(async { (NUMBER.try_get().is_ok(), INHERITED.get()) });
    let task = INHERITED.sync_scope(7, || NUMBER.sync_scope(8, spawn));
    assert_eq!(runtime.block_on(task).unwrap(), (false, 7));
}

#[test]
#[expect(deprecated, reason = "programs still use these names, which Tokio does not show in its documentation")]
fn names_that_tokio_hides_but_keeps_are_there() {
    use tokio::io::unix::{AsyncFdRegisterError, AsyncFdTryNewError};
    use tokio::sync::mpsc::error::RecvError;
    assert_eq!(TypeId::of::<AsyncFdTryNewError<u8>>(), TypeId::of::<AsyncFdRegisterError<u8>>());
    fn is_error<T: std::error::Error + Clone + Send + Sync + 'static>() {}
    is_error::<RecvError>();

    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_metrics_poll_count_histogram().build().unwrap();
    runtime.block_on(runtime.spawn(async {})).unwrap();
    let metrics = runtime.metrics();
    assert!(metrics.poll_count_histogram_enabled());
    let buckets = metrics.poll_count_histogram_num_buckets();
    let polls: u64 = (0..buckets).map(|bucket| metrics.poll_count_histogram_bucket_count(0, bucket)).sum();
    assert_eq!((polls, metrics.injection_queue_depth()), (1, 0));
    assert_eq!(metrics.poll_count_histogram_bucket_range(0), metrics.poll_time_histogram_bucket_range(0));
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

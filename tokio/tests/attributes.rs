//! `#[tokio::main]` and `#[tokio::test]` through the facade.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![cfg(feature = "macros")]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::all, clippy::pedantic)]

use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};

fn flavor() -> RuntimeFlavor {
    Handle::current().runtime_flavor()
}

#[tokio::test]
async fn a_test_runs_on_one_thread() {
    assert_eq!(flavor(), RuntimeFlavor::CurrentThread);
    assert_eq!(tokio::spawn(async { 1 }).await.expect("it does not panic"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_runs_on_the_flavor_that_it_asks_for() {
    assert_eq!(flavor(), RuntimeFlavor::MultiThread);
    assert_eq!(Handle::current().metrics().num_workers(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_paused_test_sleeps_no_real_time() {
    let start = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(start.elapsed() >= Duration::from_secs(3600));
}

#[tokio::test(sim, seeds = 3, flavor = "multi_thread")]
async fn a_test_in_worlds_sleeps_no_real_time_on_any_flavor() {
    let start = tokio::time::Instant::now();
    tokio::spawn(tokio::time::sleep(Duration::from_secs(3600))).await.expect("it does not panic");
    assert_eq!(start.elapsed(), Duration::from_secs(3600));
    assert_eq!(flavor(), RuntimeFlavor::MultiThread);
}

#[tokio::test(flavor = "local")]
async fn a_local_test_spawns_futures_that_are_not_send() {
    let value = std::rc::Rc::new(1);
    let task = tokio::task::spawn_local(async move { *value });
    assert_eq!(task.await.expect("it does not panic"), 1);
}

#[tokio::test]
#[should_panic(expected = "as it should")]
async fn a_panic_fails_the_test() {
    panic!("as it should");
}

#[tokio::test]
async fn a_test_may_return_a_result() -> Result<(), std::num::ParseIntError> {
    "1".parse::<u8>()?;
    Ok(())
}

mod renamed {
    pub(crate) use tokio as runtime_crate;
}

#[tokio::test(crate = "renamed::runtime_crate")]
async fn the_path_of_the_crate_can_be_given() {
    assert_eq!(flavor(), RuntimeFlavor::CurrentThread);
}

#[tokio::main(flavor = "current_thread")]
async fn doubled<T: Clone>(value: &T) -> (T, T) {
    let copy = value.clone();
    (copy, value.clone())
}

#[tokio::main(worker_threads = 1)]
async fn early(number: u8) -> Result<impl Iterator<Item = u8>, String> {
    if number == 0 {
        return Err("none".to_owned());
    }
    Ok(0..number)
}

#[test]
fn main_works_on_any_function_with_its_arguments_and_generics() {
    assert_eq!(doubled(&"a".to_owned()), ("a".to_owned(), "a".to_owned()));
    assert_eq!(early(3).expect("not zero").sum::<u8>(), 3);
    assert!(early(0).is_err());
}

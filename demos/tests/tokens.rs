//! Task groups beside the `CancellationToken` of tokio-util, in both directions.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::future::pending;

use redd::group::{Reason, TaskGroup};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_token_cancels_a_group() {
    let token = CancellationToken::new();
    let group = TaskGroup::<()>::new();
    group.cancel_when(token.child_token().cancelled_owned(), "the token");
    group.spawn(pending());
    tokio::task::yield_now().await;
    assert!(!group.is_cancelled());
    token.cancel();
    assert_eq!(group.close().await.unwrap_err().reason(), Some(&Reason::from("the token")));
}

#[tokio::test]
async fn a_group_cancels_a_token() {
    let token = CancellationToken::new();
    let group = TaskGroup::<()>::new();
    let (scope, of_task) = (group.scope(), token.clone());
    let bridge = tokio::spawn(async move {
        scope.cancelled().await;
        of_task.cancel();
    });
    group.spawn(pending());
    tokio::task::yield_now().await;
    assert!(!token.is_cancelled());
    group.cancel("the group");
    token.cancelled().await;
    bridge.await.unwrap();
    assert!(group.close().await.is_err());
}

#[tokio::test]
async fn a_group_that_ends_drops_its_wait_for_a_token() {
    let token = CancellationToken::new();
    let group = TaskGroup::new();
    group.cancel_when(token.clone().cancelled_owned(), "the token");
    group.spawn(async { 1 });
    assert_eq!(group.close().await.unwrap(), [1]);
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

//! The tests of the guide's chapter on tests.

use redd::group::TaskGroup;
use redd::runtime::Handle;
use redd::sync::Mutex;
use redd::time::{Duration, Instant, sleep};
use std::sync::Arc;

/// Asks until there is an answer. It waits for 100 ms, then for 200 ms, and so on.
async fn ask(mut server: impl AsyncFnMut() -> Option<u32>) -> u32 {
    let mut pause = Duration::from_millis(100);
    loop {
        match server().await {
            Some(answer) => return answer,
            None => sleep(pause).await,
        }
        pause *= 2;
    }
}

#[redd::test(start_paused = true)]
async fn the_fifth_attempt_comes_after_a_second_and_a_half() {
    let (start, mut attempts) = (Instant::now(), 0);
    let answer = ask(async || {
        attempts += 1;
        (attempts == 5).then_some(7)
    });
    assert_eq!(answer.await, 7);
    assert_eq!(start.elapsed().as_millis(), 1500);
}

#[redd::test]
async fn no_task_is_left_when_the_group_is_closed() {
    let group = TaskGroup::new();
    for seconds in 0..100 {
        group.spawn(sleep(Duration::from_secs(seconds)));
    }
    group.cancel("the test has seen enough");
    let _ = group.close().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[redd::test(strict)]
#[should_panic(expected = "can never run again")]
async fn a_task_that_nothing_can_wake_fails_a_strict_test() {
    drop(redd::spawn(std::future::pending::<()>()));
    redd::task::yield_now().await;
}

#[redd::test(sim, seeds = 100)]
async fn two_deposits_add_up_in_each_order() {
    let balance = Arc::new(Mutex::new(0));
    let deposits = [30, 12].map(|amount| {
        let balance = balance.clone();
        redd::spawn(async move { *balance.lock().await += amount })
    });
    for deposit in deposits {
        deposit.await.expect("no deposit panics");
    }
    assert_eq!(*balance.lock().await, 42);
}

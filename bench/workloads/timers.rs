//! Time.

use super::{Row, on_worker, workers};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

pub const ROWS: &[Row] = &[
    ("sleep_create_poll_drop", 500_000, |n| on_worker(&workers(1), n, sleep)),
    ("timeout_ready", 1_000_000, |n| on_worker(&workers(1), n, timeout_ready)),
    ("timeout_that_never_fires", 300_000, |n| on_worker(&workers(1), n, timeout_pending)),
];

async fn sleep(n: u64) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..n {
        let sleep = pin!(rt::time::sleep(Duration::from_secs(60)));
        assert!(rt::task::unconstrained(sleep).poll_once(&mut cx));
    }
}

trait PollOnce: Future + Unpin {
    /// Whether it is pending.
    fn poll_once(mut self, cx: &mut Context<'_>) -> bool
    where
        Self: Sized,
    {
        std::pin::Pin::new(&mut self).poll(cx).is_pending()
    }
}

impl<F: Future + Unpin> PollOnce for F {}

async fn timeout_ready(n: u64) {
    for _ in 0..n {
        rt::time::timeout(Duration::from_secs(60), async {}).await.expect("it is ready");
    }
}

async fn timeout_pending(n: u64) {
    for _ in 0..n {
        rt::time::timeout(Duration::from_secs(60), rt::task::yield_now()).await.expect("it is in time");
    }
}

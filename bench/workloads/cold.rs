//! Reads of a file that is not in the page cache.

use std::future::Future;
use std::io::SeekFrom;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::costs::waits_of_this_thread;
use super::scratch::{COLD, PIECE, Scratch, place};
use super::{Measure, Row, measure, workers};
use rt::fs::File;
use rt::io::{AsyncReadExt, AsyncSeekExt};

/// `floors` has the same rows for a loop on one thread, without a runtime.
pub const ROWS: &[Row] = &[
    ("file_cold_sequential", 4096, |n| cold(n, |number| number * PIECE as u64)),
    ("file_cold_random", 1024, |n| cold(n, |number| place(number, COLD))),
];

/// The kernel reads ahead where the places are in order.
///
/// A second pass watches the polls, because watching costs CPU time.
fn cold(n: u64, place: fn(u64) -> u64) -> Measure {
    let runtime = workers(2);
    let scratch = Arc::new(Scratch::new(COLD));
    let start = || {
        scratch.cool();
        let scratch = scratch.clone();
        async move {
            let mut file = File::open(&scratch.0).await.expect("it is there");
            let mut buffer = vec![0; PIECE];
            for number in 0..n {
                file.seek(SeekFrom::Start(place(number))).await.expect("a file can do it");
                file.read_exact(&mut buffer).await.expect("it is long enough");
            }
        }
    };
    let measured = start();
    let task = runtime.spawn(async move { measure(n, measured).await });
    let mut measure = runtime.block_on(task).expect("does not panic");
    measure.values.push(("wall_us", measure.costs.wall().as_secs_f64() * 1e6 / n as f64));
    let longest = runtime.block_on(runtime.spawn(longest_polls(start()))).expect("does not panic");
    measure.values.push(("poll_us_max", longest.any.as_secs_f64() * 1e6));
    measure.values.push(("worker_blocked_us_max", longest.blocked.as_secs_f64() * 1e6));
    measure
}

/// How long the longest polls of a program took: that long its worker did not return to its loop.
#[derive(Default)]
struct Longest {
    any: Duration,
    /// Of those in which the worker's thread waited in the kernel. In the others it computed, or another thread had its
    /// processor.
    blocked: Duration,
}

async fn longest_polls(program: impl Future<Output = ()>) -> Longest {
    let mut program = pin!(program);
    let mut longest = Longest::default();
    std::future::poll_fn(|cx| {
        let (waits, start) = (waits_of_this_thread(), Instant::now());
        let poll = program.as_mut().poll(cx);
        let length = start.elapsed();
        longest.any = longest.any.max(length);
        if waits_of_this_thread() > waits {
            longest.blocked = longest.blocked.max(length);
        }
        poll
    })
    .await;
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    const LONG: Duration = Duration::from_millis(5);

    #[test]
    fn a_poll_that_sleeps_blocks_its_worker() {
        let longest = workers(1).block_on(longest_polls(async { std::thread::sleep(LONG) }));
        assert!(longest.blocked >= LONG && longest.any >= LONG);
    }

    #[test]
    fn what_a_thread_does_between_polls_blocks_no_worker() {
        let mut is_first = true;
        let mut watched = pin!(longest_polls(std::future::poll_fn(|_| match std::mem::take(&mut is_first) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(watched.as_mut().poll(&mut cx).is_pending());
        std::thread::sleep(LONG);
        let Poll::Ready(longest) = watched.as_mut().poll(&mut cx) else { panic!("the second poll is the last") };
        assert_eq!(longest.blocked, Duration::ZERO);
    }
}

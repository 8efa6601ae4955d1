//! A queue of jobs: callers send them through an mpsc channel, blocking threads do them, and each result returns through
//! a oneshot channel.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::costs::Costs;

type Hash = [u8; 32];

struct Job {
    input: Arc<[u8]>,
    reply: oneshot::Sender<Hash>,
}

/// Each has one job under way.
const CALLERS: usize = 64;
/// How many jobs may run at the same time.
const PARALLEL: usize = 16;
/// Jobs that wait in the queue before callers wait.
const QUEUE: usize = 256;
/// A hash of this many bytes takes about 20 µs.
const INPUT: usize = 32 << 10;

/// For each line of the input, works that many milliseconds, and prints what it cost.
pub fn run(runtime: &Runtime) {
    let mut output = std::io::stdout();
    let mut say = |text: &str| writeln!(output, "{text}").and_then(|()| output.flush()).is_ok();
    // In place of a port.
    if !say("0") {
        return;
    }
    let (jobs, queue) = mpsc::channel(QUEUE);
    drop(runtime.spawn(work(queue)));
    for line in std::io::stdin().lock().lines() {
        let length = line.ok().and_then(|line| line.parse().ok()).map(Duration::from_millis);
        let Some(length) = length else { return };
        let before = Costs::of_others();
        let latencies = runtime.block_on(load(jobs.clone(), length));
        let costs = Costs::of_others().since(&before).json();
        let list: Vec<String> = latencies.iter().map(|latency| latency.as_nanos().to_string()).collect();
        if !say(&format!("{{\"costs\":{{{costs}}},\"latencies\":[{}]}}", list.join(","))) {
            return;
        }
    }
}

/// The worker of the queue.
async fn work(mut queue: mpsc::Receiver<Job>) {
    let permits = Arc::new(Semaphore::new(PARALLEL));
    while let Some(Job { input, reply }) = queue.recv().await {
        let permit = permits.clone().acquire_owned().await.expect("the semaphore is never closed");
        drop(tokio::task::spawn_blocking(move || {
            // A caller that does not wait for its result any more needs none.
            let _ = reply.send(Sha256::digest(&input).into());
            drop(permit);
        }));
    }
}

/// Callers for this long. Returns how long each job took.
async fn load(jobs: mpsc::Sender<Job>, length: Duration) -> Vec<Duration> {
    let end = Instant::now() + length;
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let jobs = jobs.clone();
        let input: Arc<[u8]> = (0..INPUT).map(|index| (index * (number + 3)) as u8).collect();
        let expected: Hash = Sha256::digest(&input).into();
        callers.spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let (reply, result) = oneshot::channel();
                let sent = Instant::now();
                let job = Job { input: input.clone(), reply };
                assert!(jobs.send(job).await.is_ok(), "the worker of the queue lives");
                assert_eq!(result.await, Ok(expected), "a wrong or a missing result");
                latencies.push(sent.elapsed());
            }
            latencies
        });
    }
    callers.join_all().await.concat()
}

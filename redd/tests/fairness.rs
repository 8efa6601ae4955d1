//! No ready connection waits for more than two rounds of the others.
//!
//! The connections of these tests are always ready: each service sends the next request. Between a request and its service a
//! test counts the services of other tasks. So it measures in rounds, not in time.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a thread from outside wakes tasks")]

use std::fs::File;
use std::future::poll_fn;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use redd::io::AsyncReadExt;
use redd::net::unix::pipe;
use redd::runtime::{Builder, Rescue, Runtime, worker_index};
use redd::sync::{Notify, oneshot};
use redd::task::yield_now;
use redd::time::timeout;

/// More than a run queue holds, and with two descriptors each fewer than a process may usually have.
const CONNECTIONS: usize = 400;
/// The number of services of a test, as a multiple of its tasks.
const ROUNDS: usize = 60;

const WORKERS_MAX: usize = 2;

/// How many services each worker has done.
type Moment = [u64; WORKERS_MAX];

/// A server whose services are counted.
struct Server {
    runtime: Runtime,
    services: Arc<Services>,
    tasks: usize,
}

struct Services {
    workers: usize,
    by_worker: [AtomicU64; WORKERS_MAX],
    longest_wait: AtomicU64,
    /// Waits count from then on: all tasks have been spawned and served.
    start: AtomicU64,
    /// After this many services the test ends.
    enough: AtomicU64,
    end: Mutex<Option<oneshot::Sender<()>>>,
}

impl Services {
    fn now(&self) -> Moment {
        std::array::from_fn(|worker| self.by_worker[worker].load(Ordering::Relaxed))
    }

    /// The calling task is served.
    fn count(&self) {
        self.by_worker[worker_index().unwrap()].fetch_add(1, Ordering::Relaxed);
        if self.now().iter().sum::<u64>() >= self.enough.load(Ordering::Relaxed) {
            if let Some(end) = self.end.lock().unwrap().take() {
                end.send(()).unwrap();
            }
        }
    }

    /// The calling task is served, and has been ready since then.
    ///
    /// The system may stop the worker that has taken the task, while the other worker serves thousands. So the services are those of
    /// the worker that served least meanwhile.
    fn count_ready_since(&self, ready: Moment) {
        let now = self.now();
        let least = (0..self.workers).map(|worker| now[worker] - ready[worker]).min().unwrap();
        if ready.iter().sum::<u64>() >= self.start.load(Ordering::Relaxed) {
            self.longest_wait.fetch_max(least, Ordering::Relaxed);
        }
        self.count();
    }
}

impl Server {
    fn new(mut builder: Builder, workers: usize) -> Self {
        let runtime = builder.worker_threads(workers).enable_all().rescue(Rescue::off()).build().unwrap();
        let services = Services {
            workers,
            by_worker: Default::default(),
            longest_wait: AtomicU64::new(0),
            start: AtomicU64::new(u64::MAX),
            enough: AtomicU64::new(u64::MAX),
            end: Mutex::new(None),
        };
        Self { runtime, services: Arc::new(services), tasks: 0 }
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, task: impl FnOnce(Arc<Services>) -> F) {
        self.tasks += 1;
        self.runtime.spawn(task(Arc::clone(&self.services)));
    }

    fn add_connections(&mut self, count: usize) {
        for _ in 0..count {
            self.spawn(async |services| {
                let (theirs, mut ours) = pipe::pipe().unwrap();
                let mut theirs = File::from(theirs.into_blocking_fd().unwrap());
                let mut buffer = [0; 64];
                loop {
                    theirs.write_all(b"request").unwrap();
                    let ready = services.now();
                    assert_eq!(ours.read(&mut buffer).await.unwrap(), b"request".len());
                    services.count_ready_since(ready);
                }
            });
        }
    }

    /// Adds tasks that wake themselves in each poll. Half of them also yield.
    fn add_self_wakers(&mut self, count: usize) {
        for number in 0..count {
            self.spawn(async move |services| {
                loop {
                    let ready = services.now();
                    if number % 2 == 0 {
                        yield_now().await;
                    } else {
                        wake_once().await;
                    }
                    services.count_ready_since(ready);
                }
            });
        }
    }

    /// Adds pairs of tasks that wake each other in turn, through the LIFO slot.
    fn add_pairs(&mut self, count: usize) {
        for _ in 0..count {
            let notifies = [(); 2].map(|()| Arc::new(Notify::new()));
            notifies[0].notify_one();
            for own in [0, 1] {
                let (own, other) = (Arc::clone(&notifies[own]), Arc::clone(&notifies[1 - own]));
                self.spawn(async move |services| {
                    loop {
                        own.notified().await;
                        services.count();
                        other.notify_one();
                    }
                });
            }
        }
    }

    /// Adds tasks that a thread outside of the runtime wakes in bursts.
    fn add_tasks_of_a_thread(&mut self, count: usize) {
        let mut senders = Vec::new();
        for _ in 0..count {
            let (sender, mut requests) = redd::sync::mpsc::unbounded_channel::<Arc<OnceLock<Moment>>>();
            senders.push(sender);
            self.spawn(async move |services| {
                while let Some(sent) = requests.recv().await {
                    services.count_ready_since(*sent.get_or_init(|| services.now()));
                }
            });
        }
        let services = Arc::clone(&self.services);
        std::thread::spawn(move || {
            loop {
                let sent = services.now().iter().sum::<u64>();
                for sender in &senders {
                    let when = Arc::new(OnceLock::new());
                    if sender.send(Arc::clone(&when)).is_err() {
                        return; // the runtime has shut down
                    }
                    // The system may stop this thread here. So the moment is that after the wake.
                    when.get_or_init(|| services.now());
                }
                while services.now().iter().sum::<u64>() < sent + 4 * CONNECTIONS as u64 {
                    if senders[0].is_closed() {
                        return;
                    }
                    std::thread::yield_now();
                }
            }
        });
    }

    /// Serves until each task has had `ROUNDS` services on average. Returns the longest wait, in rounds.
    #[track_caller]
    fn longest_wait(self) -> f64 {
        let (end, ended) = oneshot::channel();
        *self.services.end.lock().unwrap() = Some(end);
        let start = self.services.now().iter().sum::<u64>() + 4 * self.tasks as u64;
        self.services.start.store(start, Ordering::Relaxed);
        self.services.enough.store(start + (ROUNDS * self.tasks) as u64, Ordering::Relaxed);
        let ended = async { timeout(Duration::from_secs(300), ended).await };
        self.runtime.block_on(ended).expect("the services end").unwrap();
        let events = self.runtime.metrics().io_driver_ready_count();
        assert!(events > (ROUNDS / 4 * self.tasks) as u64, "only {events} services came from the driver");
        self.services.longest_wait.load(Ordering::Relaxed) as f64 / self.tasks as f64
    }
}

/// Wakes its task in the poll, and is ready in the next.
async fn wake_once() {
    let mut is_woken = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_woken, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn servers() -> impl Iterator<Item = (&'static str, Server)> {
    [
        ("a current-thread runtime", Builder::new_current_thread(), 1),
        ("one worker", Builder::new_multi_thread(), 1),
        ("two workers", Builder::new_multi_thread(), 2),
    ]
    .into_iter()
    .map(|(name, builder, workers)| (name, Server::new(builder, workers)))
}

/// Lets `add` complete each server, and checks it.
#[track_caller]
fn assert_two_rounds(add: impl Fn(&mut Server)) {
    for (name, mut server) in servers() {
        add(&mut server);
        let rounds = server.longest_wait();
        eprintln!("{name}: {rounds:.2} rounds");
        assert!(rounds <= 2.0, "{name}: a ready connection has waited for {rounds:.1} rounds of the others");
    }
}

#[test]
fn connections_that_are_more_than_a_run_queue_holds_are_served_in_turn() {
    assert_two_rounds(|server| server.add_connections(CONNECTIONS));
}

#[test]
fn a_few_connections_are_served_in_turn() {
    assert_two_rounds(|server| server.add_connections(64));
}

#[test]
fn connections_are_served_in_turn_beside_tasks_that_wake_themselves() {
    assert_two_rounds(|server| {
        server.add_self_wakers(8);
        server.add_connections(CONNECTIONS);
    });
}

/// The run queues are long, as the tasks that wake themselves stay in them.
#[test]
fn connections_are_served_in_turn_beside_many_tasks_that_wake_themselves() {
    assert_two_rounds(|server| {
        server.add_self_wakers(60);
        server.add_connections(CONNECTIONS);
    });
}

#[test]
fn connections_are_served_in_turn_beside_pairs_that_wake_each_other_through_the_lifo_slot() {
    assert_two_rounds(|server| {
        server.add_pairs(4);
        server.add_connections(CONNECTIONS);
    });
}

#[test]
fn tasks_that_a_thread_outside_wakes_are_served_in_turn_with_connections() {
    assert_two_rounds(|server| {
        server.add_tasks_of_a_thread(100);
        server.add_connections(CONNECTIONS);
    });
}

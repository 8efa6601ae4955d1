//! Hot paths of a current-thread runtime, for counting their instructions.
//!
//! `instructions` prints the names of the rows, `instructions ROW N` runs one N times. `cargo xtask instructions` runs
//! each with two lengths under callgrind, so that the part that is not repeated cancels out, and compares with `instructions.txt`.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use redd::group::TaskGroup;
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::runtime::{Builder, Runtime};
use redd::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use redd::task::{JoinSet, yield_now};
use redd::time::{sleep, timeout};

/// All rows but `block_on_empty` run inside `block_on`.
const ROWS: &[(&str, fn(u64))] = &[
    ("block_on_empty", block_on_empty),
    ("spawn_await", |n| run(spawn_await(n))),
    ("spawn_detached", |n| run(spawn_detached(n))),
    ("wake_poll", |n| run(wake_poll(n))),
    ("yield", |n| run(yields(n))),
    ("oneshot", |n| run(oneshots(n))),
    ("mpsc_bounded", |n| run(mpsc_bounded(n))),
    ("mpsc_unbounded", |n| run(mpsc_unbounded(n))),
    ("mutex_short", |n| run(mutex_short(n))),
    ("semaphore_short", |n| run(semaphore_short(n))),
    ("notify", |n| run(notify(n))),
    ("sleep_create_poll_drop", |n| run(sleeps(n))),
    ("timeout_ready", |n| run(timeouts(n))),
    ("join_set", |n| run(join_set(n))),
    ("group_spawn_next", |n| run(group_spawn_next(n))),
    ("group_limit", |n| run(group_limit(n))),
    ("tcp_echo", |n| run(tcp_echo(n))),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        ROWS.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let row = ROWS.iter().find(|(row, _)| *row == name).expect("the row is one that is printed without arguments");
    let n = arguments.next().and_then(|text| text.parse().ok()).expect("the second argument is a number");
    (row.1)(n);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("the system has room for descriptors")
}

fn run(program: impl Future<Output = ()>) {
    runtime().block_on(program);
}

fn block_on_empty(n: u64) {
    let runtime = runtime();
    (0..n).for_each(|_| runtime.block_on(async {}));
}

async fn spawn_await(n: u64) {
    for _ in 0..n {
        redd::spawn(async {}).await.expect("it does not panic");
    }
}

/// Batches of 100 tasks whose handles are not awaited, as in a server.
async fn spawn_detached(n: u64) {
    for _ in 0..n / 100 {
        for _ in 0..100 {
            drop(redd::spawn(async {}));
        }
        yield_now().await;
    }
}

/// A task that waits, and a waker that another task calls: the minimal cost of a wake.
async fn wake_poll(n: u64) {
    #[derive(Clone, Default)]
    struct Slot(Arc<StdMutex<Option<Waker>>>);
    struct Turns(Slot, u64);
    impl Future for Turns {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if self.1 == 0 {
                return Poll::Ready(());
            }
            self.1 -= 1;
            *self.0.0.lock().expect("not poisoned") = Some(cx.waker().clone());
            Poll::Pending
        }
    }
    let slot = Slot::default();
    let waiting = redd::spawn(Turns(slot.clone(), n));
    let waking = redd::spawn(async move {
        for _ in 0..=n {
            if let Some(waker) = slot.0.lock().expect("not poisoned").take() {
                waker.wake();
            }
            yield_now().await;
        }
    });
    waiting.await.expect("it does not panic");
    waking.await.expect("it does not panic");
}

async fn yields(n: u64) {
    let task = redd::spawn(async move {
        for _ in 0..n {
            yield_now().await;
        }
    });
    task.await.expect("it does not panic");
}

async fn oneshots(n: u64) {
    for number in 0..n {
        let (sender, mut receiver) = oneshot::channel();
        let mut receiver = pin!(&mut receiver);
        assert!(receiver.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        sender.send(number).expect("the receiver lives");
        black_box(receiver.await.expect("it was sent"));
    }
}

async fn mpsc_bounded(n: u64) {
    let (sender, mut receiver) = mpsc::channel(256);
    let task = redd::spawn(async move {
        for number in 0..n {
            sender.send(number).await.expect("the receiver lives");
        }
    });
    while let Some(number) = receiver.recv().await {
        black_box(number);
    }
    task.await.expect("it does not panic");
}

async fn mpsc_unbounded(n: u64) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for number in 0..n {
        sender.send(number).expect("the receiver lives");
        black_box(receiver.recv().await);
    }
}

async fn mutex_short(n: u64) {
    let mutex = Mutex::new(0_u64);
    for _ in 0..n {
        *mutex.lock().await += 1;
    }
}

async fn semaphore_short(n: u64) {
    let semaphore = Semaphore::new(1);
    for _ in 0..n {
        drop(semaphore.acquire().await.expect("it is open"));
    }
}

/// Two tasks that notify each other in turn: two notifications per operation.
async fn notify(n: u64) {
    let (ping, pong) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let other = (ping.clone(), pong.clone());
    let task = redd::spawn(async move {
        for _ in 0..n {
            other.0.notified().await;
            other.1.notify_one();
        }
    });
    for _ in 0..n {
        ping.notify_one();
        pong.notified().await;
    }
    task.await.expect("it does not panic");
}

async fn sleeps(n: u64) {
    for _ in 0..n {
        let sleep = pin!(sleep(Duration::from_secs(3600)));
        assert!(sleep.poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}

async fn timeouts(n: u64) {
    for _ in 0..n {
        timeout(Duration::from_secs(3600), async {}).await.expect("it is ready at once");
    }
}

async fn join_set(n: u64) {
    let mut set = JoinSet::new();
    for _ in 0..n / 100 {
        for _ in 0..100 {
            set.spawn(async {});
        }
        while let Some(joined) = set.join_next().await {
            joined.expect("it does not panic");
        }
    }
}

async fn group_spawn_next(n: u64) {
    let group = TaskGroup::new();
    for _ in 0..n / 100 {
        for _ in 0..100 {
            group.spawn(async {});
        }
        while let Some(ended) = group.next().await {
            ended.expect("it does not panic");
        }
    }
}

/// Eight places; the loop that spawns waits for a free one. Each task is polled twice.
async fn group_limit(n: u64) {
    let group = TaskGroup::limit(8).start();
    for _ in 0..n / 100 {
        for _ in 0..100 {
            group.ready().await;
            group.spawn(yield_now());
        }
        while let Some(ended) = group.next().await {
            ended.expect("it does not panic");
        }
    }
}

/// A round trip of 64 bytes over loopback, both ends in this runtime.
async fn tcp_echo(n: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    let task = redd::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("someone connects");
        let mut buffer = [0; 64];
        while stream.read_exact(&mut buffer).await.is_ok() {
            stream.write_all(&buffer).await.expect("the peer reads");
        }
    });
    let mut stream = TcpStream::connect(address).await.expect("the listener waits");
    let mut buffer = [0; 64];
    for _ in 0..n {
        stream.write_all(&[7; 64]).await.expect("the peer reads");
        stream.read_exact(&mut buffer).await.expect("the peer answers");
    }
    drop(stream);
    task.await.expect("it does not panic");
}

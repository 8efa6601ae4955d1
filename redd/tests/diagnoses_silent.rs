//! Near misses: programs that look stuck and can go on. No look may report one of them.
//!
//! Each round starts several copies of all of them, waits until they are more than a second old, and then makes a deadlock. Its report
//! must be the only one. So a look has seen each near miss. The environment variable `NEAR_MISS_ROUNDS` sets the number of rounds.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "the threads of a program use the standard library")]

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Poll, Waker};

use futures::stream::{FuturesUnordered, StreamExt};
use redd::io::AsyncReadExt;
use redd::net::UnixStream;
use redd::runtime::dump::Diagnosis;
use redd::runtime::{Builder, Handle};
use redd::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use redd::task::{AbortHandle, JoinHandle, JoinSet, LocalSet, yield_now};
use redd::time::{Duration, interval, sleep, timeout};

const WATCHDOG: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(3600);
/// The copies of each near miss in a round.
const COPIES: usize = 4;

type Lock = Arc<Mutex<()>>;

/// What one round keeps until its end.
#[derive(Default)]
struct Kept {
    handles: Vec<JoinHandle<()>>,
    aborts: Vec<AbortHandle>,
    wakers: Arc<StdMutex<Vec<Waker>>>,
    /// The threads end when this is dropped.
    ends: Vec<std::sync::mpsc::Sender<()>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    sets: Vec<JoinSet<()>>,
}

impl Kept {
    fn spawn(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        self.handles.push(redd::spawn(future));
    }

    /// Starts a thread that does nothing until the round ends, and then calls `then`.
    fn thread(&mut self, then: impl FnOnce() + Send + 'static) {
        let (end, ended) = channel::<()>();
        self.ends.push(end);
        self.threads.push(std::thread::spawn(move || {
            let _ = ended.recv();
            then();
        }));
    }

    /// A task that has the first lock and does `then` with the second.
    fn holding<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        first: &Lock,
        second: &Lock,
        then: impl FnOnce(Lock) -> F + Send + 'static,
    ) {
        let (first, second) = (first.clone(), second.clone());
        self.spawn(async move {
            let _guard = first.lock().await;
            sleep(Duration::from_millis(5)).await;
            then(second).await;
        });
    }
}

async fn take(lock: Lock) {
    drop(lock.lock().await);
}

fn pair() -> (Lock, Lock) {
    (Lock::default(), Lock::default())
}

fn locks_with_a_way_out(kept: &mut Kept) {
    let (a, b) = pair();
    kept.holding(&a, &b, take);
    kept.holding(&b, &a, |lock| async move { drop(timeout(HOUR, lock.lock()).await) });

    let (a, b) = pair();
    kept.holding(&a, &b, take);
    kept.holding(&b, &a, |lock| async move {
        redd::select! {
            _ = lock.lock() => {}
            () = sleep(HOUR) => {}
        }
    });

    // Its `AbortHandle` can end it.
    let (a, b) = pair();
    kept.holding(&a, &b, take);
    kept.holding(&b, &a, take);
    kept.aborts.extend(kept.handles.last().map(JoinHandle::abort_handle));

    // A thread has another waker of it.
    let (a, b) = pair();
    kept.holding(&a, &b, take);
    let wakers = kept.wakers.clone();
    kept.holding(&b, &a, |lock| async move {
        let mut locking = pin!(lock.lock());
        poll_fn(|cx| {
            wakers.lock().unwrap().push(cx.waker().clone());
            locking.as_mut().poll(cx).map(drop)
        })
        .await;
    });

    // A set of futures has another one.
    let (a, b) = pair();
    kept.holding(&a, &b, take);
    kept.holding(&b, &a, |lock| async move {
        let set: FuturesUnordered<futures::future::BoxFuture<'_, ()>> = FuturesUnordered::new();
        set.push(Box::pin(async { drop(lock.lock().await) }));
        set.push(Box::pin(sleep(HOUR)));
        set.collect::<()>().await;
    });
}

/// The guard is in another task, which goes on.
fn guards_that_moved(kept: &mut Kept) {
    static STATIC: Mutex<()> = Mutex::const_new(());
    let lock = Lock::default();
    let (sender, receiver) = oneshot::channel();
    kept.spawn(async move {
        let _guard = receiver.await.unwrap();
        sleep(HOUR).await;
    });
    kept.spawn(async move {
        sender.send(lock.clone().lock_owned().await).unwrap();
        drop(lock.lock().await);
    });
    let (sender, receiver) = oneshot::channel();
    kept.spawn(async move {
        let _guard = receiver.await.unwrap();
        sleep(HOUR).await;
    });
    kept.spawn(async move {
        let guard: redd::sync::MutexGuard<'static, ()> = STATIC.lock().await;
        sender.send(guard).unwrap();
        drop(STATIC.lock().await);
    });
    // A lock that is never freed is as good as a static.
    let leaked: &'static Mutex<()> = Box::leak(Box::default());
    kept.spawn(async move {
        let guard = leaked.lock().await;
        drop(redd::spawn(async move {
            let _guard = guard;
            sleep(HOUR).await;
        }));
        drop(leaked.lock().await);
    });
    // What takes too long goes on in the background.
    let lock = Lock::default();
    kept.spawn(async move {
        let other = lock.clone();
        let mut long = Box::pin(async move {
            let _guard = other.lock().await;
            sleep(Duration::from_millis(30)).await;
            sleep(HOUR).await;
        });
        assert!(timeout(Duration::from_millis(10), &mut long).await.is_err());
        drop(redd::spawn(long));
        sleep(Duration::from_millis(100)).await;
        drop(lock.lock().await);
    });
    // In a channel that nothing reads.
    let lock = Lock::default();
    let (sender, receiver) = mpsc::channel(1);
    kept.spawn(async move {
        sender.send(lock.clone().lock_owned().await).await.unwrap();
        drop(lock.lock().await);
    });
    kept.spawn(async move {
        let _receiver = receiver;
        sleep(HOUR).await;
    });
}

/// A lock is held over something that takes long and goes on.
fn long_operations(kept: &mut Kept) {
    let (a, b) = pair();
    kept.holding(&a, &b, |_| sleep(HOUR));
    kept.spawn(take(a.clone()));
    kept.spawn(take(a));
    let (a, b) = pair();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    kept.holding(&a, &b, |_| async move {
        let _theirs = theirs;
        let _ = ours.read_u8().await;
    });
    kept.spawn(take(a));
    // A closure of the blocking pool.
    let (a, b) = pair();
    let (end, ended) = channel::<()>();
    kept.ends.push(end);
    kept.holding(&a, &b, |_| async move {
        let _ = redd::task::spawn_blocking(move || ended.recv().is_ok()).await.unwrap();
    });
    kept.spawn(take(a));
    // Another task that sleeps.
    let (a, b) = pair();
    kept.holding(&a, &b, |_| async { redd::spawn(sleep(HOUR)).await.unwrap() });
    kept.spawn(take(a));
}

/// Futures in a task that are all polled.
fn loops(kept: &mut Kept) {
    let lock = Lock::default();
    for _ in 0..2 {
        let lock = lock.clone();
        kept.spawn(async move {
            loop {
                let mut locking = pin!(lock.lock());
                let mut ticks = interval(Duration::from_millis(7));
                loop {
                    redd::select! {
                        _guard = &mut locking => {
                            sleep(Duration::from_millis(20)).await;
                            break;
                        }
                        _ = ticks.tick() => {}
                    }
                }
                yield_now().await;
            }
        });
    }
    let rw = Arc::new(RwLock::new(0_u64));
    for _ in 0..2 {
        let rw = rw.clone();
        kept.spawn(async move {
            loop {
                let set: FuturesUnordered<_> = (0..3)
                    .map(|number| {
                        let rw = rw.clone();
                        async move {
                            if number == 0 {
                                *rw.write().await += 1;
                            } else {
                                let _read = rw.read().await;
                            }
                            sleep(Duration::from_millis(3)).await;
                        }
                    })
                    .collect();
                set.collect::<()>().await;
            }
        });
    }
}

/// A grant that is not noticed keeps no other task from anything.
fn grants_that_nobody_misses(kept: &mut Kept) {
    let lock = Lock::default();
    kept.spawn(async move {
        let guard = lock.lock().await;
        let mut locking = pin!(lock.lock());
        assert!(poll_fn(|cx| Poll::Ready(locking.as_mut().poll(cx).is_pending())).await);
        drop(guard);
        loop {
            sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Permits are added from elsewhere.
fn signals(kept: &mut Kept) {
    let semaphore = Arc::new(Semaphore::new(1));
    for _ in 0..3 {
        let semaphore = semaphore.clone();
        kept.spawn(async move {
            loop {
                semaphore.acquire().await.unwrap().forget();
            }
        });
    }
    kept.thread(move || semaphore.add_permits(3));
    let notify = Arc::new(Notify::new());
    let other = notify.clone();
    kept.spawn(async move { other.notified().await });
    kept.thread(move || notify.notify_waiters());
}

/// A thread will wake them.
fn threads(kept: &mut Kept) {
    let (sender, receiver) = oneshot::channel();
    kept.spawn(async move { receiver.await.unwrap() });
    kept.thread(move || sender.send(()).unwrap());
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    kept.spawn(async move { while receiver.recv().await.is_some() {} });
    kept.thread(move || drop(sender));
    let lock = Lock::default();
    let guard = lock.clone().try_lock_owned().unwrap();
    kept.spawn(take(lock.clone()));
    kept.spawn(take(lock));
    kept.thread(move || drop(guard));

    let wakers = kept.wakers.clone();
    drop(redd::spawn(poll_fn(move |cx| {
        wakers.lock().unwrap().push(cx.waker().clone());
        Poll::<()>::Pending
    })));

    // A lock is granted to a future that a busy thread does not poll.
    let lock = Lock::default();
    let guard = lock.clone().try_lock_owned().unwrap();
    let handle = Handle::current();
    let (busy, is_busy) = oneshot::channel();
    let other = lock.clone();
    let (end, ended) = channel::<()>();
    kept.ends.push(end);
    kept.threads.push(std::thread::spawn(move || {
        handle.block_on(async move {
            let mut locking = pin!(other.lock());
            assert!(poll_fn(|cx| Poll::Ready(locking.as_mut().poll(cx).is_pending())).await);
            busy.send(()).unwrap();
            let _ = ended.recv();
            drop(locking.await);
        });
    }));
    kept.spawn(async move {
        is_busy.await.unwrap();
        drop(guard);
        take(lock).await;
    });

    // As above, with another executor.
    let lock = Lock::default();
    let guard = lock.clone().try_lock_owned().unwrap();
    let (busy, is_busy) = oneshot::channel();
    let other = lock.clone();
    let (end, ended) = channel::<()>();
    kept.ends.push(end);
    kept.threads.push(std::thread::spawn(move || {
        futures::executor::block_on(async move {
            let mut locking = pin!(other.lock());
            assert!(poll_fn(|cx| Poll::Ready(locking.as_mut().poll(cx).is_pending())).await);
            busy.send(()).unwrap();
            let _ = ended.recv();
            drop(locking.await);
        });
    }));
    kept.spawn(async move {
        is_busy.await.unwrap();
        drop(guard);
        take(lock).await;
    });
}

/// What has their handles can abort them.
fn kept_tasks(kept: &mut Kept) {
    kept.spawn(pending());
    kept.aborts.push(redd::spawn(pending::<()>()).abort_handle());
    let mut set = JoinSet::new();
    set.spawn(pending());
    set.spawn(sleep(HOUR));
    kept.sets.push(set);
    kept.spawn(async {
        let mut set = JoinSet::new();
        set.spawn(pending());
        set.spawn(sleep(HOUR));
        while set.join_next().await.is_some() {}
    });
    kept.spawn(async {
        redd::select! {
            joined = redd::spawn(pending::<()>()) => joined.unwrap(),
            () = sleep(HOUR) => {}
        }
    });
}

fn start() -> Kept {
    let mut kept = Kept::default();
    for _ in 0..COPIES {
        locks_with_a_way_out(&mut kept);
        guards_that_moved(&mut kept);
        long_operations(&mut kept);
        loops(&mut kept);
        grants_that_nobody_misses(&mut kept);
        signals(&mut kept);
        threads(&mut kept);
        kept_tasks(&mut kept);
    }
    kept
}

async fn round(reports: Arc<StdMutex<Receiver<Diagnosis>>>) {
    let set = LocalSet::new();
    set.spawn_local(async {
        let (a, b) = pair();
        let _guard = a.lock().await;
        redd::task::spawn_local(take(a.clone()));
        redd::task::spawn_local(take(b));
        sleep(HOUR).await;
    });
    let _kept = set.spawn_local(pending::<()>());
    set.run_until(async {
        let kept = start();
        sleep(Duration::from_millis(1200)).await;
        let lock = Lock::default();
        let canary = redd::spawn(async move {
            let _guard = lock.lock().await;
            drop(lock.lock().await);
        });
        let id = canary.id();
        // In a task of its own, which does not get in the way of the others.
        let first = redd::task::spawn_blocking(move || reports.lock().unwrap().recv_timeout(WATCHDOG).unwrap());
        let first = first.await.unwrap();
        assert_eq!(first.tasks(), [id], "{first}\n{:#}", Handle::current().snapshot());
        canary.abort();
        let Kept { handles, aborts, wakers, ends, threads, sets } = kept;
        drop(ends);
        for thread in threads {
            thread.join().unwrap();
        }
        handles.iter().for_each(JoinHandle::abort);
        aborts.iter().for_each(AbortHandle::abort);
        drop(sets);
        wakers.lock().unwrap().drain(..).for_each(Waker::wake);
    })
    .await;
}

fn rounds() -> usize {
    std::env::var("NEAR_MISS_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

fn run(builder: impl Fn() -> Builder) {
    for _ in 0..rounds() {
        let (send, receive) = channel();
        let mut builder = builder();
        builder.enable_all().on_diagnosis(move |diagnosis: &Diagnosis| drop(send.send(diagnosis.clone())));
        let runtime = builder.build().unwrap();
        let receive = Arc::new(StdMutex::new(receive));
        runtime.block_on(round(receive.clone()));
        assert!(receive.lock().unwrap().try_recv().is_err());
    }
}

#[test]
fn near_misses_on_several_workers_are_not_reported() {
    run(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    });
}

#[test]
fn near_misses_on_one_thread_are_not_reported() {
    run(Builder::new_current_thread);
}

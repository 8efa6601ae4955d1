//! A program that uses many features on four workers, for ThreadSanitizer. It has no test harness, which would report
//! races of its own. Bounded by counts. `REDD_STRESS=n` repeats everything n times.
//!
//! Each part checks its count. A part that fails says so, and the last line has the totals.

#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redd::group::{self, Phases, TaskGroup, shield};
use redd::runtime::{Builder, Runtime};
use redd::sync::{Mutex, Notify, RwLock, Semaphore, broadcast, mpsc, oneshot, watch};
use redd::task::{self, JoinSet};

fn workers(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).enable_all().build().expect("the system can start threads")
}

/// The number of repetitions of each part.
fn times() -> usize {
    std::env::var("REDD_STRESS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn main() {
    let parts: &[(&str, fn())] = &[
        ("tasks are spawned, awaited and dropped", spawn_and_await),
        ("tasks are spawned from outside and by tasks", spawn_from_outside),
        ("tasks are aborted while they run", abort_while_running),
        ("join sets are joined and dropped", join_sets),
        ("task groups are joined, cancelled and dropped", groups),
        ("phases end groups and holds", phases),
        ("channels carry every value once", channels),
        ("locks exclude", locks),
        ("timers fire and are dropped", timers),
        ("blocking work goes beside", blocking),
        ("workers are stood in for", in_place),
        ("sockets echo", sockets),
        ("a current-thread runtime is woken from outside", current_thread),
        ("runtimes are shut down while tasks run", shutdown),
    ];
    let (mut passed, mut failed) = (0, 0);
    for (name, part) in parts {
        let result = catch_unwind(AssertUnwindSafe(|| (0..times()).for_each(|_| part())));
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("{name} ... {word}");
        *(if result.is_ok() { &mut passed } else { &mut failed }) += 1;
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

fn spawn_and_await() {
    let runtime = workers(4);
    let sum = runtime.block_on(async {
        let mut sum = 0;
        for round in 0..20_usize {
            let tasks: Vec<_> = (0..100)
                .map(|n| {
                    redd::spawn(async move {
                        for _ in 0..n % 5 {
                            task::yield_now().await;
                        }
                        Box::new(n + round)
                    })
                })
                .collect();
            for (n, task) in tasks.into_iter().enumerate() {
                // Every third handle is dropped, before, while or after its task ends.
                if n % 3 == 0 {
                    drop(task);
                } else {
                    sum += *task.await.expect("no panic");
                }
            }
        }
        sum
    });
    let expected: usize = (0..20).flat_map(|round| (0..100).filter(|n| n % 3 != 0).map(move |n| n + round)).sum();
    assert_eq!(sum, expected);
}

fn spawn_from_outside() {
    let runtime = workers(4);
    let ended = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let tasks: Vec<_> = (0..300)
                    .map(|_| {
                        let ended = Arc::clone(&ended);
                        runtime.spawn(async move {
                            let counted = Arc::clone(&ended);
                            let inner = redd::spawn(async move {
                                counted.fetch_add(1, Ordering::Relaxed);
                            });
                            inner.await.expect("no panic");
                            ended.fetch_add(1, Ordering::Relaxed);
                        })
                    })
                    .collect();
                for task in tasks {
                    futures::executor::block_on(task).expect("no panic");
                }
            });
        }
    });
    assert_eq!(ended.load(Ordering::Relaxed), 1800);
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn abort_while_running() {
    let runtime = workers(4);
    let drops = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&drops);
    runtime.block_on(async move {
        for round in 0..30 {
            let tasks: Vec<_> = (0..20)
                .map(|n| {
                    let counted = Counted(Arc::clone(&made));
                    redd::spawn(async move {
                        let _counted = counted;
                        if n % 2 == 0 {
                            pending::<()>().await;
                        }
                        for _ in 0..50 {
                            task::yield_now().await;
                        }
                    })
                })
                .collect();
            if round % 2 == 0 {
                task::yield_now().await;
            }
            let aborts: Vec<_> = tasks.iter().map(task::JoinHandle::abort_handle).collect();
            let other = redd::spawn(async move { aborts.iter().for_each(task::AbortHandle::abort) });
            tasks.iter().for_each(task::JoinHandle::abort);
            for task in tasks {
                let _ = task.await;
            }
            other.await.expect("no panic");
        }
    });
    assert_eq!(drops.load(Ordering::Relaxed), 600);
}

fn join_sets() {
    workers(4).block_on(async {
        for round in 0..20_usize {
            let mut set = JoinSet::new();
            for n in 0..30_usize {
                if n % 10 == 9 {
                    set.spawn_blocking(move || n);
                } else {
                    set.spawn(async move {
                        task::yield_now().await;
                        n
                    });
                }
            }
            if round % 4 == 3 {
                let _ = set.join_next().await;
                drop(set);
            } else {
                assert_eq!(set.join_all().await.into_iter().sum::<usize>(), 435);
            }
        }
    });
}

redd::task_local! {
    #[inherited]
    static ROUND: Arc<usize>;
}

/// Spawns a few tasks and closures that read what they have inherited, with a limit and inner groups.
fn fill(group: &TaskGroup<usize>, round: usize) {
    for n in 0..8 {
        drop(group.spawn(async move {
            task::yield_now().await;
            if n % 3 == 0 {
                shield(Duration::from_secs(100), task::yield_now()).await;
            }
            let inner = TaskGroup::new();
            drop(inner.spawn(async move { *ROUND.get() + n }));
            inner.next().await.expect("one task").unwrap_or(round)
        }));
        drop(group.spawn_blocking(move || *ROUND.get() + usize::from(group::is_cancelled())));
    }
}

fn groups() {
    let runtime = workers(4);
    let cleaned = Arc::new(AtomicUsize::new(0));
    let begun = runtime.block_on(ROUND.scope(Arc::new(0), async {
        let mut begun = 0;
        for round in 0..40_usize {
            begun += 1;
            let (group, counted) = (TaskGroup::limit(4).start(), Arc::clone(&cleaned));
            drop(group.defer(Duration::from_secs(100), async move {
                task::yield_now().await;
                counted.fetch_add(1, Ordering::Relaxed);
            }));
            ROUND.sync_scope(Arc::new(round), || fill(&group, round));
            let scope = group.scope();
            let other = redd::spawn(async move {
                task::yield_now().await;
                scope.cancel("enough");
            });
            match round % 4 {
                0 => while group.next().await.is_some() {},
                1 => drop(group.close().await),
                2 => {
                    let mut results = group.in_order();
                    while results.next().await.is_some() {}
                }
                _ => drop(group),
            }
            other.await.expect("no panic");
        }
        begun
    }));
    assert!(runtime.drain(Duration::from_secs(100)).is_empty());
    assert_eq!(cleaned.load(Ordering::Relaxed), begun);
}

fn phases() {
    let runtime = workers(4);
    runtime.block_on(async {
        for _ in 0..20 {
            let phases = Phases::new().then("first", Duration::from_secs(100)).then("second", Duration::from_secs(100));
            let first = TaskGroup::limit(2).in_phase(&phases, "first").start();
            let second = TaskGroup::<()>::builder().in_phase(&phases, "second").start();
            (0..8).for_each(|_| drop(first.spawn(task::yield_now())));
            let hold = phases.hold("second", "held");
            let reached = phases.reached("second");
            drop(second.spawn(async move {
                reached.await;
                drop(hold);
            }));
            phases.start("enough");
            assert!(phases.finished().await.is_clean());
            first.close().await.expect("none was cancelled");
            second.close().await.expect("none was cancelled");
        }
    });
}

fn channels() {
    workers(4).block_on(async {
        let (sender, mut receiver) = mpsc::channel(4);
        let (all_sender, mut all_receiver) = mpsc::unbounded_channel();
        let (version, mut versions) = watch::channel(0);
        let (news, _) = broadcast::channel(1024);
        let mut hearers = JoinSet::new();
        for _ in 0..3 {
            let mut hearer = news.subscribe();
            hearers.spawn(async move {
                let mut heard = 0_usize;
                while let Ok(value) = hearer.recv().await {
                    heard += value;
                }
                heard
            });
        }
        let mut senders = JoinSet::new();
        for _ in 0..4 {
            let (sender, all_sender) = (sender.clone(), all_sender.clone());
            senders.spawn(async move {
                for n in 0..250_usize {
                    sender.send(n).await.expect("the receiver lives");
                    all_sender.send(n).expect("the receiver lives");
                    let (answer, asked) = oneshot::channel();
                    redd::spawn(async move { answer.send(n) });
                    assert_eq!(asked.await, Ok(n));
                }
            });
        }
        drop((sender, all_sender));
        let watcher = redd::spawn(async move {
            while *versions.borrow_and_update() < 200 {
                versions.changed().await.expect("the sender lives");
            }
        });
        for n in 1..=200 {
            version.send(n).expect("the watcher lives");
            news.send(n).expect("hearers live");
        }
        let mut sum = 0;
        while let Some(n) = receiver.recv().await {
            sum += n;
        }
        let mut all = 0;
        while let Some(n) = all_receiver.recv().await {
            all += n;
        }
        senders.join_all().await;
        watcher.await.expect("no panic");
        drop(news);
        assert_eq!((sum, all), (4 * 249 * 125, 4 * 249 * 125));
        assert_eq!(hearers.join_all().await, [20_100; 3]);
    });
}

fn locks() {
    workers(4).block_on(async {
        let lock = Arc::new((Mutex::new(0_usize), RwLock::new(0_usize), Semaphore::new(2)));
        let told = Arc::new(Notify::new());
        let mut set = JoinSet::new();
        for _ in 0..8 {
            let (lock, told) = (Arc::clone(&lock), Arc::clone(&told));
            set.spawn(async move {
                for _ in 0..100 {
                    let _permit = lock.2.acquire().await.expect("open");
                    *lock.0.lock().await += 1;
                    let seen = *lock.1.read().await;
                    *lock.1.write().await += 1;
                    assert!(*lock.1.read().await > seen);
                    told.notify_one();
                }
            });
        }
        told.notified().await;
        set.join_all().await;
        assert_eq!((*lock.0.lock().await, *lock.1.read().await), (800, 800));
    });
}

fn timers() {
    let runtime = workers(4);
    let fired = runtime.block_on(async {
        let mut set = JoinSet::new();
        for n in 0..200_u64 {
            set.spawn(async move {
                redd::time::sleep(Duration::from_millis(n % 10)).await;
                let late = redd::time::timeout(Duration::from_millis(n % 3), pending::<()>());
                assert!(late.await.is_err());
                // One worker arms the timer, and another one may drop it.
                let in_time = redd::time::timeout(Duration::from_secs(60), async { redd::spawn(async {}).await });
                assert!(in_time.await.is_ok());
                1
            });
        }
        set.join_all().await.len()
    });
    assert_eq!(fired, 200);
}

fn blocking() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .max_blocking_threads(3)
        .thread_keep_alive(Duration::from_millis(1))
        .enable_all()
        .build()
        .expect("the system can start threads");
    let sum = runtime.block_on(async {
        let mut sum = 0;
        for _ in 0..10 {
            let tasks: Vec<_> = (0..40).map(|n| task::spawn_blocking(move || Box::new(n))).collect();
            for (n, task) in tasks.into_iter().enumerate() {
                if n % 7 == 0 {
                    task.abort();
                    let _ = task.await;
                } else {
                    sum += *task.await.expect("no panic");
                }
            }
        }
        sum
    });
    assert_eq!(sum, 10 * (0..40).filter(|n| n % 7 != 0).sum::<usize>());
}

fn in_place() {
    let sum = workers(4).block_on(async {
        let mut set = JoinSet::new();
        for n in 0..60_usize {
            set.spawn(async move {
                let inner = redd::spawn(async move { n });
                // All four workers block at once, so only spares can run `inner`.
                let got = task::block_in_place(|| futures::executor::block_on(inner));
                task::yield_now().await;
                got.expect("no panic")
            });
        }
        set.join_all().await.into_iter().sum::<usize>()
    });
    assert_eq!(sum, 59 * 30);
    // Spares retire while the only worker blocks again.
    workers(1).block_on(async {
        let blocks = redd::spawn(async {
            for round in 0..300 {
                for _ in 0..4 {
                    redd::spawn(async {});
                }
                task::yield_now().await;
                let inner = redd::spawn(async move { round });
                let got = task::block_in_place(|| futures::executor::block_on(inner));
                assert_eq!(got.expect("no panic"), round);
            }
        });
        blocks.await.expect("no panic");
    });
}

fn sockets() {
    use redd::io::{AsyncReadExt, AsyncWriteExt};
    use redd::net::{TcpListener, TcpStream};
    workers(4).block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = redd::spawn(async move {
            for _ in 0..10 {
                let (mut stream, _) = listener.accept().await.expect("a client");
                redd::spawn(async move {
                    let mut buffer = [0; 64];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        stream.write_all(&buffer[..count]).await.expect("it reads");
                    }
                });
            }
        });
        let mut clients = JoinSet::new();
        for n in 0..10_u8 {
            clients.spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("a server");
                for _ in 0..20 {
                    stream.write_all(&[n; 16]).await.expect("it reads");
                    let mut echoed = [0; 16];
                    stream.read_exact(&mut echoed).await.expect("it writes");
                    assert_eq!(echoed, [n; 16]);
                }
            });
        }
        clients.join_all().await;
        server.await.expect("no panic");
    });
}

fn current_thread() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let handle = runtime.handle().clone();
    let (sender, mut receiver) = mpsc::channel(1);
    let outside = std::thread::spawn(move || {
        for n in 0..300_usize {
            let sender = sender.clone();
            handle.spawn(async move { sender.send(n).await });
        }
        // This also covers a `block_on` that does not run the tasks.
        handle.block_on(async { redd::spawn(async { 1 }).await })
    });
    let sum = runtime.block_on(async {
        let mut sum = 0;
        while let Some(n) = receiver.recv().await {
            sum += n;
        }
        while !outside.is_finished() {
            task::yield_now().await;
        }
        sum
    });
    assert_eq!(sum, 299 * 150);
    assert_eq!(outside.join().expect("no panic").expect("it ran"), 1);
}

fn shutdown() {
    for round in 0..20 {
        let runtime = workers(4);
        let drops = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = oneshot::channel();
        let mut handles = Vec::new();
        for n in 0..40 {
            let counted = Counted(Arc::clone(&drops));
            handles.push(runtime.spawn(async move {
                let _counted = counted;
                match n % 4 {
                    0 => pending().await,
                    1 => redd::time::sleep(Duration::from_secs(60)).await,
                    2 => loop {
                        task::yield_now().await;
                    },
                    _ => drop(redd::spawn(pending::<()>())),
                }
            }));
        }
        runtime.spawn(async move { sender.send(()) });
        runtime.spawn_blocking(|| ());
        if round % 2 == 0 {
            let _ = runtime.block_on(receiver);
        }
        // Handles are dropped on another thread while the runtime shuts down.
        let other = std::thread::spawn(move || drop(handles));
        drop(runtime);
        other.join().expect("no panic");
        assert_eq!(drops.load(Ordering::Relaxed), 40);
    }
}

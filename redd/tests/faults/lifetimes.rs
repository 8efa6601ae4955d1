//! Many, deep, large and late: large numbers of tasks, and unusual orders in which objects end.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use redd::io::AsyncReadExt;
use redd::net::{TcpListener, TcpStream};
use redd::runtime::Builder;
use redd::sync::oneshot;
use redd::time::sleep;

use crate::inject::HOLD;
use crate::{Case, case, current_thread, resources, until, workers};

pub(crate) const CASES: &[Case] = &[
    case("a million tasks are aborted at once", "all cancelled", a_million_aborts),
    case("20,000 aborts race with polls", "none lost", aborts_race_with_polls),
    case("a poll that is aborted meanwhile returns a value", "the value is kept", abort_during_the_last_poll),
    case("a task aborts itself", "cancelled at its next await", abort_of_itself),
    case("100,000 nested spawns", "fine", spawns_in_each_other),
    case("100,000 tasks each own the next one's handle", "fine", chain_of_handles),
    case("a future of 1 MB", "fine", large_future),
    case("a task wakes itself forever beside others", "the others go on", busy_task),
    case("10,000 timers at one instant", "all fire", many_timers),
    case("10,000 runtimes one after another", "flat", many_runtimes),
    case("wakers are used by other threads when the runtime is gone", "no effect", late_wakers),
    case("a thread outside wakes a task while the runtime ends", "the runtime stays", wake_outlives_the_runtime),
    case("a drop at shutdown spawns", "ends at once", spawns_at_shutdown),
    case("a runtime ends while a closure runs", "waits, or leaves it after a timeout", closure_at_shutdown),
    case("a runtime ends while a task does not yield", "leaves it after a timeout", busy_task_at_shutdown),
    case("spawn and spawn_blocking after the runtime has ended", "cancelled", spawn_after_the_end),
    case("a socket after its runtime has ended", "an error", socket_after_the_end),
    case("a timer after its runtime has ended", "panic", timer_after_the_end),
];

/// Counts drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn a_million_aborts() {
    const TASKS: usize = 1_000_000;
    for runtime in [workers(2), current_thread()] {
        let dropped = Arc::new(AtomicUsize::new(0));
        runtime.block_on(async {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let value = Counted(Arc::clone(&dropped));
                    redd::spawn(async move {
                        let _value = value;
                        pending::<()>().await;
                    })
                })
                .collect();
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                assert!(task.await.unwrap_err().is_cancelled());
            }
        });
        assert_eq!(dropped.load(Ordering::Relaxed), TASKS);
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    }
}

fn aborts_race_with_polls() {
    let runtime = workers(2);
    let dropped = Arc::new(AtomicUsize::new(0));
    let (mut cancelled, mut completed) = (0, 0);
    runtime.block_on(async {
        for n in 0..20_000_u32 {
            let value = Counted(Arc::clone(&dropped));
            let task = redd::spawn(async move {
                let _value = value;
                for _ in 0..n % 4 {
                    redd::task::yield_now().await;
                }
            });
            if n % 3 == 0 {
                redd::task::yield_now().await;
            }
            task.abort();
            match task.await {
                Ok(()) => completed += 1,
                Err(error) => {
                    assert!(error.is_cancelled());
                    cancelled += 1;
                }
            }
        }
    });
    assert_eq!(cancelled + completed, 20_000);
    assert_eq!(dropped.load(Ordering::Relaxed), 20_000);
}

fn abort_during_the_last_poll() {
    let runtime = workers(2);
    runtime.block_on(async {
        let (started, start) = oneshot::channel();
        let may_end = Arc::new(AtomicBool::new(false));
        let task = redd::spawn({
            let may_end = Arc::clone(&may_end);
            async move {
                started.send(()).unwrap();
                until(|| may_end.load(Ordering::SeqCst));
                5
            }
        });
        start.await.unwrap();
        task.abort();
        may_end.store(true, Ordering::SeqCst);
        assert_eq!(task.await.unwrap(), 5);
    });
}

fn abort_of_itself() {
    for runtime in [workers(2), current_thread()] {
        runtime.block_on(async {
            let (give, given) = oneshot::channel::<redd::task::AbortHandle>();
            let went_on = Arc::new(AtomicBool::new(false));
            let task = redd::spawn({
                let went_on = Arc::clone(&went_on);
                async move {
                    given.await.unwrap().abort();
                    went_on.store(true, Ordering::SeqCst);
                    redd::task::yield_now().await;
                    unreachable!("an aborted task is not polled again");
                }
            });
            give.send(task.abort_handle()).unwrap();
            assert!(task.await.unwrap_err().is_cancelled());
            assert!(went_on.load(Ordering::SeqCst), "up to the next await");
        });
    }
}

fn spawns_in_each_other() {
    fn nest(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move { if depth == 0 { 0 } else { redd::spawn(nest(depth - 1)).await.unwrap() + 1 } })
    }
    for runtime in [workers(2), current_thread()] {
        assert_eq!(runtime.block_on(async { redd::spawn(nest(100_000)).await.unwrap() }), 100_000);
        // The same if an abort in the middle leaves the inner tasks without a joiner.
        runtime.block_on(async {
            let task = redd::spawn(nest(100_000));
            redd::task::yield_now().await;
            task.abort();
            let _ = task.await;
        });
    }
}

fn chain_of_handles() {
    for runtime in [workers(2), current_thread()] {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut next: Option<AbortOnDrop> = None;
        for _ in 0..100_000 {
            let (value, inner) = (Counted(Arc::clone(&dropped)), next.take());
            next = Some(AbortOnDrop(runtime.spawn(async move {
                let (_value, _inner) = (value, inner);
                pending::<()>().await;
            })));
        }
        // The outermost handle aborts the next task, whose drop aborts the next, and so on. This must not recurse
        // 100,000 levels deep.
        drop(next);
        runtime.block_on(async {
            while dropped.load(Ordering::Relaxed) < 100_000 {
                redd::task::yield_now().await;
            }
        });
    }
}

struct AbortOnDrop(redd::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn large_future() {
    for runtime in [workers(2), current_thread()] {
        runtime.block_on(async {
            let bytes = redd::spawn(async {
                let mut bytes = [0_u8; 1 << 20];
                bytes[12_345] = 7;
                redd::task::yield_now().await;
                u32::from(bytes[12_345]) + u32::from(std::hint::black_box(&bytes)[0])
            });
            assert_eq!(bytes.await.unwrap(), 7);
        });
    }
}

fn busy_task() {
    for runtime in [workers(1), workers(2), current_thread()] {
        runtime.block_on(async {
            let yielding = redd::spawn(async {
                loop {
                    redd::task::yield_now().await;
                }
            });
            // This task wakes itself inside its poll, without the help of the runtime.
            let self_waking = redd::spawn(std::future::poll_fn(|cx| -> Poll<()> {
                cx.waker().wake_by_ref();
                Poll::Pending
            }));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            for _ in 0..20 {
                sleep(Duration::from_millis(1)).await;
                redd::spawn(async {}).await.unwrap();
                let connecting = redd::spawn(TcpStream::connect(listener.local_addr().unwrap()));
                listener.accept().await.unwrap();
                connecting.await.unwrap().unwrap();
                redd::task::spawn_blocking(|| ()).await.unwrap();
            }
            yielding.abort();
            self_waking.abort();
        });
    }
}

fn many_timers() {
    for runtime in [workers(2), current_thread()] {
        runtime.block_on(async {
            let instant = redd::time::Instant::now() + Duration::from_millis(50);
            let timers: Vec<_> = (0..10_000)
                .map(|_| {
                    redd::spawn(async move {
                        redd::time::sleep_until(instant).await;
                        assert!(redd::time::Instant::now() >= instant);
                    })
                })
                .collect();
            for timer in timers {
                timer.await.unwrap();
            }
        });
    }
}

fn many_runtimes() {
    let round = |n: usize| {
        let runtime = if n % 2 == 0 { workers(1) } else { current_thread() };
        runtime.block_on(async {
            redd::spawn(async {}).await.unwrap();
            if n % 16 == 0 {
                redd::task::spawn_blocking(|| ()).await.unwrap();
            }
            drop(redd::spawn(pending::<()>()));
        });
    };
    (0..1000).for_each(round);
    let before = resources();
    (0..10_000).for_each(round);
    until(|| resources().0 <= before.0);
    let after = resources();
    assert_eq!(before.1, after.1, "descriptors");
    assert!(after.2 < before.2 + (4 << 20), "resident bytes before {} and after {}", before.2, after.2);
}

/// A thread outside the runtime queues a task and stops where it wakes a worker. Meanwhile a timer wakes the worker,
/// the task ends, and the runtime is dropped. When the thread continues, all that it uses must still be valid.
fn wake_outlives_the_runtime() {
    for flavor in [|| workers(1), current_thread] {
        // If the worker is awake when the task is queued, nothing is written.
        let was_held = (0..100).any(|_| {
            let runtime = flavor();
            let (sender, receiver) = oneshot::channel::<()>();
            let task = runtime.spawn(receiver);
            let outside = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                HOLD.hold_next_write(true);
                sender.send(()).unwrap();
                HOLD.hold_next_write(false);
            });
            runtime.block_on(async {
                while !task.is_finished() {
                    // The worker of the first flavor also sleeps until the deadline of a timer.
                    redd::spawn(sleep(Duration::from_millis(50))).await.unwrap();
                }
                task.await.unwrap().unwrap();
            });
            drop(runtime);
            let was_held = HOLD.is_held();
            if was_held {
                HOLD.release();
            }
            outside.join().unwrap();
            assert!(HOLD.was_open(), "the thread wrote to a descriptor that the runtime had closed");
            was_held
        });
        assert!(was_held, "the thread was never held");
    }
}

fn late_wakers() {
    for runtime in [workers(2), current_thread()] {
        let (send, wakers) = std::sync::mpsc::channel::<Waker>();
        runtime.block_on(async {
            for _ in 0..100 {
                let send = send.clone();
                drop(redd::spawn(std::future::poll_fn(move |cx: &mut Context<'_>| -> Poll<()> {
                    send.send(cx.waker().clone()).unwrap();
                    Poll::Pending
                })));
            }
        });
        let mut early = Vec::new();
        runtime.block_on(async {
            while early.len() < 100 {
                early.extend(wakers.try_iter());
                redd::task::yield_now().await;
            }
        });
        let late = early.split_off(50);
        // Some wake while the runtime is dropped, the others afterwards.
        let threads: Vec<_> = early
            .into_iter()
            .map(|waker| std::thread::spawn(move || (0..100).for_each(|_| waker.wake_by_ref())))
            .collect();
        drop(runtime);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let threads: Vec<_> = late.into_iter().map(|waker| std::thread::spawn(move || waker.wake())).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

/// Spawns another instance when it is dropped. After the runtime has closed, `spawn` itself drops that instance. So the
/// recursion is as deep as the number of instances.
struct SpawnsOnDrop(redd::runtime::Handle, Arc<AtomicUsize>);

impl Drop for SpawnsOnDrop {
    fn drop(&mut self) {
        if self.1.fetch_add(1, Ordering::Relaxed) < 200 {
            let next = Self(self.0.clone(), Arc::clone(&self.1));
            drop(self.0.spawn(async move {
                let _next = next;
                pending::<()>().await;
            }));
            drop(self.0.spawn_blocking(|| ()));
        }
    }
}

fn spawns_at_shutdown() {
    for runtime in [workers(2), current_thread()] {
        let drops = Arc::new(AtomicUsize::new(0));
        let spawns = SpawnsOnDrop(runtime.handle().clone(), Arc::clone(&drops));
        drop(runtime.spawn(async move {
            let _spawns = spawns;
            pending::<()>().await;
        }));
        drop(runtime);
        assert!(drops.load(Ordering::Relaxed) > 0);
        assert_eq!(Arc::strong_count(&drops), 1, "all of them are dropped");
    }
}

fn closure_at_shutdown() {
    let ended = Arc::new(AtomicBool::new(false));
    let (started, start) = std::sync::mpsc::channel();
    let runtime = workers(2);
    drop(runtime.spawn_blocking({
        let ended = Arc::clone(&ended);
        move || {
            started.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            ended.store(true, Ordering::SeqCst);
        }
    }));
    start.recv().unwrap();
    drop(runtime);
    assert!(ended.load(Ordering::SeqCst), "a drop waits for closures that run");

    let (release, released) = std::sync::mpsc::channel::<()>();
    let (started, start) = std::sync::mpsc::channel();
    let runtime = workers(2);
    drop(runtime.spawn_blocking(move || {
        started.send(()).unwrap();
        let _ = released.recv();
    }));
    start.recv().unwrap();
    runtime.shutdown_timeout(Duration::from_millis(20));
    release.send(()).unwrap();
}

fn busy_task_at_shutdown() {
    let stop = Arc::new(AtomicBool::new(false));
    let (started, start) = std::sync::mpsc::channel();
    let runtime = workers(2);
    drop(runtime.spawn({
        let stop = Arc::clone(&stop);
        async move {
            started.send(()).unwrap();
            while !stop.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        }
    }));
    start.recv().unwrap();
    runtime.shutdown_timeout(Duration::from_millis(20));
    stop.store(true, Ordering::SeqCst);
    until(|| resources().0 <= 1);
}

fn spawn_after_the_end() {
    for runtime in [workers(2), current_thread()] {
        let handle = runtime.handle().clone();
        drop(runtime);
        let dropped = Arc::new(AtomicUsize::new(0));
        let (first, second) = (Counted(Arc::clone(&dropped)), Counted(Arc::clone(&dropped)));
        let task = handle.spawn(async move { drop(first) });
        let call = handle.spawn_blocking(move || drop(second));
        assert!(futures::executor::block_on(task).unwrap_err().is_cancelled());
        assert!(futures::executor::block_on(call).unwrap_err().is_cancelled());
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
    }
}

fn socket_after_the_end() {
    let since = Instant::now();
    for runtime in [workers(2), current_thread(), Builder::new_multi_thread().enable_all().build().unwrap()] {
        let (mut client, _server) = runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (client, listener.accept().await.unwrap().0)
        });
        drop(runtime);
        let error = futures::executor::block_on(client.read_u8()).unwrap_err();
        assert!(error.to_string().contains("shut"), "{error}");
    }
    assert!(since.elapsed() < Duration::from_secs(50));
}

/// The poll does not hang and does not claim that the time has passed. The waiting task is woken, and the message says
/// how to fix the problem.
fn timer_after_the_end() {
    for runtime in [workers(2), current_thread()] {
        let entered = runtime.enter();
        let [mut waiting, mut fresh] = [(); 2].map(|()| Box::pin(sleep(Duration::from_secs(3600))));
        drop(entered);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        runtime.block_on(async {
            assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        });
        drop(runtime);
        assert!(woken.0.load(Ordering::Relaxed), "the waiting task is woken");
        for timer in [&mut waiting, &mut fresh] {
            let poll = std::panic::AssertUnwindSafe(|| timer.as_mut().poll(&mut Context::from_waker(Waker::noop())));
            let payload = std::panic::catch_unwind(poll).unwrap_err();
            let words = payload.downcast_ref::<String>().unwrap();
            assert!(words.contains("lifetimes.rs") && words.contains("keep the `Runtime` alive longer"), "{words}");
        }
        // Here the timers are dropped as usual.
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

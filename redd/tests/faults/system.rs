//! The kernel refuses or interrupts a call.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use redd::runtime::{Builder, Rescue};
use redd::task;

use crate::inject::{ACCEPT, EPOLL_CREATE, EPOLL_CTL, EPOLL_WAIT, EVENTFD, RECV, SEND, THREAD};
use crate::{Case, case, current_thread, fatal, resources, until, workers};

pub(crate) const CASES: &[Case] = &[
    case("epoll_wait is interrupted every third time", "serves all", waits_are_interrupted),
    fatal("epoll_wait always fails", "hangs forever", "waiting for I/O failed", waits_always_fail),
    case("epoll_ctl has no room for another descriptor", "an error", no_room_in_the_epoll),
    case("a runtime gets no epoll and no eventfd", "build() is Err", no_epoll_for_a_runtime),
    case("accept finds no free descriptor", "an error each time, then serves all", accept_without_descriptors),
    case("accept finds that the peer has left", "an error, then serves all", accept_of_a_peer_that_left),
    case("recv and send are interrupted", "6 of 20 requests lost", transfers_are_interrupted),
    case("the first thread of a runtime is refused", "panics", first_worker_is_refused),
    case("the third thread of a runtime is refused", "hangs forever", third_worker_is_refused),
    case("the monitor of stalled workers gets no thread", "has no monitor", monitor_is_refused),
    case("requests from outside get no thread", "takes none", no_thread_for_attach_requests),
    case("a worker gets no thread when it is needed", "hangs in `build`", later_workers_are_refused),
    case("one thread of a worker is refused, once", "panics", one_refusal),
    case("threads are refused while the last worker blocks in place", "not tried", refusals_in_place),
    case("threads are refused when more spares block than rescue may start", "not tried", refusals_beyond_the_bound),
    case("spawn_blocking gets no thread at all", "panics in the caller", no_thread_for_closures),
    case("spawn_blocking gets no second thread", "waits for the first", no_second_thread_for_closures),
    case("files are read when no thread starts", "panics in the caller", no_thread_for_files),
    case("a report with a stack gets no thread", "there is no report", no_thread_for_a_report),
    case("rescue gets no thread for a spare", "there is no rescue", no_spare_for_rescue),
    case("block_in_place gets no thread for a spare", "panics", no_spare_for_block_in_place),
    case("there is no memory for thread stacks", "existing threads do it", no_memory_for_stacks),
    fatal("there is no memory", "aborts", "memory allocation of", no_memory),
];

/// Twenty clients send one request each. Each must be answered.
fn serve_twenty(runtime: &redd::runtime::Runtime) {
    let answered = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = redd::spawn(async move {
            loop {
                let Ok((mut peer, _)) = listener.accept().await else { continue };
                redd::spawn(async move {
                    let mut request = [0; 4];
                    peer.read_exact(&mut request).await.unwrap();
                    peer.write_all(&request).await.unwrap();
                });
            }
        });
        let clients: Vec<_> = (0..20_u32)
            .map(|n| {
                redd::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    stream.write_all(&n.to_be_bytes()).await.unwrap();
                    stream.read_u32().await.unwrap() == n
                })
            })
            .collect();
        let mut answered = 0;
        for client in clients {
            answered += usize::from(client.await.unwrap());
        }
        server.abort();
        answered
    });
    assert_eq!(answered, 20);
}

fn waits_are_interrupted() {
    for runtime in [workers(2), current_thread()] {
        EPOLL_WAIT.fail_every(3, 0, u64::MAX, libc::EINTR);
        serve_twenty(&runtime);
        runtime.block_on(async { redd::time::sleep(Duration::from_millis(5)).await });
        EPOLL_WAIT.restore();
    }
}

fn waits_always_fail() {
    let runtime = workers(2);
    EPOLL_WAIT.fail(4, u64::MAX, libc::EINVAL);
    runtime.block_on(async {
        for _ in 0..100 {
            redd::time::sleep(Duration::from_millis(1)).await;
        }
        std::future::pending::<()>().await;
    });
}

fn no_room_in_the_epoll() {
    let runtime = workers(2);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut early = TcpStream::connect(address).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        EPOLL_CTL.fail(0, 1, libc::ENOSPC);
        let error = TcpStream::connect(address).await.expect_err("the epoll is full");
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        early.write_all(b"x").await.unwrap();
        assert_eq!(peer.read_u8().await.unwrap(), b'x');
        // The failed connection has reached the listener's queue, and its client has closed it.
        assert_eq!(
            listener.accept().await.unwrap().0.read_u8().await.unwrap_err().kind(),
            std::io::ErrorKind::UnexpectedEof
        );
    });
    serve_twenty(&runtime);
}

fn no_epoll_for_a_runtime() {
    let before = resources();
    for call in [&EPOLL_CREATE, &EVENTFD, &EPOLL_CTL] {
        for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
            call.fail(0, 1, libc::EMFILE);
            let error = builder.enable_all().build().expect_err("there is no descriptor");
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        }
    }
    let after = resources();
    assert_eq!((before.0, before.1), (after.0, after.1), "threads and descriptors are released");
    serve_twenty(&workers(2));
}

fn accept_without_descriptors() {
    let runtime = workers(2);
    ACCEPT.fail(0, 50, libc::EMFILE);
    serve_twenty(&runtime);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        ACCEPT.fail(0, 1, libc::ENFILE);
        assert_eq!(listener.accept().await.unwrap_err().raw_os_error(), Some(libc::ENFILE));
        listener.accept().await.expect("the connection has waited");
    });
}

fn accept_of_a_peer_that_left() {
    let runtime = current_thread();
    ACCEPT.fail(0, 3, libc::ECONNABORTED);
    serve_twenty(&runtime);
}

fn transfers_are_interrupted() {
    for runtime in [workers(2), current_thread()] {
        RECV.fail_every(2, 0, u64::MAX, libc::EINTR);
        SEND.fail_every(2, 0, u64::MAX, libc::EINTR);
        serve_twenty(&runtime);
        assert!(RECV.calls() > 20, "this program's `recv` is the one that is called");
        RECV.restore();
        SEND.restore();
    }
}

/// `build` returns an error, and releases all it has created.
fn refuse_worker(number: u64) {
    let before = resources();
    THREAD.fail(number, 1, libc::EAGAIN);
    // With the hook, all threads start in `build`.
    let mut builder = Builder::new_multi_thread();
    let error = builder.worker_threads(4).on_thread_start(|| {}).enable_all().build().expect_err("no thread");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(source.expect("the system's error").raw_os_error(), Some(libc::EAGAIN), "{error}");
    let message = error.to_string();
    for part in
        [&*format!("thread {} of 4", number + 1), "`Builder::build`", "`Builder::worker_threads`", "`ulimit -u`"]
    {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    THREAD.restore();
    let after = resources();
    assert_eq!((before.0, before.1), (after.0, after.1), "threads and descriptors are released");
    serve_twenty(&workers(4));
}

/// As above, for the thread that starts after the first worker. Without a hook that worker starts no other thread.
fn monitor_is_refused() {
    let before = resources();
    THREAD.fail(1, 1, libc::EAGAIN);
    let error = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect_err("no monitor");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    let message = error.to_string();
    for part in ["`Builder::build`", "monitor", "`ulimit -u`", "`Builder::rescue(Rescue::off())`"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    THREAD.restore();
    assert_eq!(before.0, resources().0, "threads are released");
    serve_twenty(&workers(4));
}

/// Only requests from outside are lost. The next runtime asks again.
fn no_thread_for_attach_requests() {
    let taker = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| name.starts_with("redd-attach")).count()
    };
    // It has all other threads that are needed, and cannot be asked.
    let mut builder = Builder::new_multi_thread();
    let hidden = builder.worker_threads(2).on_thread_start(|| {}).observe(false).enable_all().build().unwrap();
    serve_twenty(&hidden);
    let started = THREAD.calls();
    THREAD.fail(0, u64::MAX, libc::EAGAIN);
    let asked = current_thread();
    asked.block_on(async {
        // Once it is old enough.
        while THREAD.calls() == started {
            redd::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(taker(), 0);
    THREAD.restore();
    serve_twenty(&asked);
    serve_twenty(&workers(2));
    // The thread gets its name when it runs.
    until(|| taker() == 1);
}

fn first_worker_is_refused() {
    refuse_worker(0);
}

fn third_worker_is_refused() {
    refuse_worker(2);
}

/// The runtime continues with the workers that it has, and does not try to start a thread each time.
fn later_workers_are_refused() {
    let runtime = Builder::new_multi_thread().worker_threads(4).rescue(Rescue::off()).enable_all().build().unwrap();
    THREAD.fail(0, u64::MAX, libc::EAGAIN);
    let before = THREAD.calls();
    let (release, hold) = std_mpsc::channel::<()>();
    let busy = runtime.spawn(async move { hold.recv().unwrap_err() });
    let waiting: Vec<_> = (0..100).map(|n| runtime.spawn(async move { n })).collect();
    drop(release);
    let sum: i32 = waiting.into_iter().map(|task| futures::executor::block_on(task).unwrap()).sum();
    assert_eq!(sum, 4950);
    futures::executor::block_on(busy).unwrap();
    serve_twenty(&runtime);
    let asked = THREAD.calls() - before;
    assert!((1..10).contains(&asked), "{asked} times, by closures too");
    THREAD.restore();
    drop(runtime);
    serve_twenty(&workers(4));
}

/// Tasks that block on each other each get a worker, without rescue.
fn one_refusal() {
    for workers in [1, 2] {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).rescue(Rescue::off()).enable_all().build().unwrap();
        THREAD.fail(0, 1, libc::EAGAIN);
        let (tell, told) = std_mpsc::channel();
        let first = runtime.spawn(async move { task::block_in_place(|| told.recv().unwrap()) });
        let second = runtime.spawn(async move { tell.send(7).unwrap() });
        assert_eq!(futures::executor::block_on(first).unwrap(), 7);
        futures::executor::block_on(second).unwrap();
        THREAD.restore();
        serve_twenty(&runtime);
    }
}

/// The task waits in place for its own runtime. Threads can be started again before it stops trying. Without rescue, no
/// other thread would start a worker.
fn refusals_in_place() {
    for (workers, rescue) in [(1, Rescue::off()), (2, Rescue::off()), (1, Rescue::report_only()), (2, Rescue::new())] {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(workers).rescue(rescue).enable_all().build().unwrap();
        // The runtime makes three attempts before the first task. The thread that blocks makes the others.
        THREAD.fail(0, 8, libc::EAGAIN);
        let (tell, told) = std_mpsc::channel();
        let first = runtime.spawn(async move { task::block_in_place(|| told.recv().unwrap()) });
        let second = runtime.spawn(async move {
            redd::time::sleep(Duration::from_millis(1)).await;
            tell.send(7).unwrap();
        });
        assert_eq!(futures::executor::block_on(first).unwrap(), 7);
        futures::executor::block_on(second).unwrap();
        THREAD.restore();
        serve_twenty(&runtime);
    }
}

/// The bound is for workers that stall. Workers that block in place get their spares, also from the monitor.
fn refusals_beyond_the_bound() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).rescue(Rescue::new().max_workers(1)).enable_all().build().unwrap();
    let block = |held: std_mpsc::Receiver<()>| {
        let (tell, told) = std_mpsc::channel();
        let task = runtime.spawn(async move {
            tell.send(()).unwrap();
            task::block_in_place(|| held.recv().unwrap());
        });
        told.recv().unwrap();
        task
    };
    let (releases, held): (Vec<_>, Vec<_>) = (0..3).map(|_| std_mpsc::channel()).unzip();
    let mut blocked = Vec::new();
    for (index, held) in held.into_iter().enumerate() {
        if index == 2 {
            // More failures than a thread makes attempts before it blocks.
            THREAD.fail(0, 60, libc::EAGAIN);
        }
        blocked.push(block(held));
    }
    let release = runtime.spawn(async move { releases.iter().for_each(|release| release.send(()).unwrap()) });
    futures::executor::block_on(release).unwrap();
    blocked.into_iter().for_each(|task| futures::executor::block_on(task).unwrap());
    THREAD.restore();
    serve_twenty(&runtime);
}

/// A task that waits for a stalled worker waits until that worker is back, and nothing is lost. Later there are spares
/// again.
fn no_spare_for_rescue() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let block = |ms| runtime.spawn(async move { std::thread::sleep(Duration::from_millis(ms)) });
    // By now the monitor runs, and has started the threads that it needs.
    runtime.block_on(async { block(50).await.unwrap() });
    let before = THREAD.calls();
    THREAD.fail(0, u64::MAX, libc::EAGAIN);
    let busy = [block(300), block(300)];
    let waiting = runtime.spawn(async {
        redd::time::sleep(Duration::from_millis(5)).await;
        7
    });
    assert_eq!(futures::executor::block_on(waiting).unwrap(), 7);
    busy.into_iter().for_each(|task| futures::executor::block_on(task).unwrap());
    assert!(THREAD.calls() > before, "a spare was asked for");
    THREAD.restore();
    serve_twenty(&runtime);
}

fn no_thread_for_a_report() {
    let (tell, told) = std_mpsc::channel();
    let rescue = Rescue::report_only().report_after(Duration::from_millis(20)).with_stack(true);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).rescue(rescue).on_late_poll(move |late| tell.send(late.stack().is_none()).unwrap_or(()));
    let runtime = builder.build().unwrap();
    THREAD.fail(0, u64::MAX, libc::EAGAIN);
    let (release, released) = std_mpsc::channel::<()>();
    let task = runtime.spawn(async move { released.recv().unwrap_err() });
    assert!(told.recv_timeout(Duration::from_secs(30)).unwrap(), "it is reported, without the stack");
    THREAD.restore();
    drop(release);
    futures::executor::block_on(task).unwrap();
}

fn no_thread_for_closures() {
    for runtime in [workers(2), current_thread()] {
        runtime.block_on(async {
            THREAD.fail(0, u64::MAX, libc::EAGAIN);
            let calls: Vec<_> = (0..8).map(|n| task::spawn_blocking(move || n)).collect();
            for call in calls {
                let error = call.await.expect_err("there is no thread");
                assert!(error.is_panic());
                let message = error.into_panic();
                let message = message.downcast_ref::<String>().unwrap();
                assert!(message.contains("could not start a thread") && message.contains("limit"), "{message}");
            }
            let error = task::try_spawn_blocking(|| ()).expect_err("there is no thread");
            assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
            THREAD.restore();
            assert_eq!(task::spawn_blocking(|| 5).await.unwrap(), 5);
        });
    }
}

fn no_second_thread_for_closures() {
    let runtime = current_thread();
    runtime.block_on(async {
        // One thread exists, and is busy.
        let (release, released) = std_mpsc::channel::<()>();
        let (start, started) = redd::sync::oneshot::channel();
        let busy = task::spawn_blocking(move || {
            start.send(()).unwrap();
            released.recv().unwrap();
        });
        started.await.unwrap();
        THREAD.fail(0, u64::MAX, libc::EAGAIN);
        let waiting: Vec<_> = (0..8).map(|n| task::spawn_blocking(move || n)).collect();
        release.send(()).unwrap();
        busy.await.unwrap();
        for (n, call) in waiting.into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), n);
        }
    });
}

fn no_thread_for_files() {
    current_thread().block_on(async {
        THREAD.fail(0, u64::MAX, libc::EAGAIN);
        let error = redd::fs::read("/proc/self/status").await.expect_err("there is no thread");
        assert_eq!(error.raw_os_error(), Some(libc::EAGAIN), "{error}");
        THREAD.restore();
        assert!(!redd::fs::read("/proc/self/status").await.unwrap().is_empty());
    });
}

fn no_spare_for_block_in_place() {
    let runtime = workers(1);
    runtime.block_on(async {
        redd::spawn(async {
            THREAD.fail(0, u64::MAX, libc::EAGAIN);
            assert_eq!(task::block_in_place(|| 5), 5);
            THREAD.restore();
        })
        .await
        .unwrap();
    });
    serve_twenty(&runtime);
}

/// Limits the memory of the process to its current size plus this many bytes.
fn limit_memory(beyond: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmSize:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: kib * 1024 + beyond, rlim_max: kib * 1024 + beyond };
    // SAFETY: the limit outlives the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

fn no_memory_for_stacks() {
    let runtime = workers(2);
    runtime.block_on(async {
        task::spawn_blocking(|| ()).await.unwrap();
        // Less than one stack of 2 MiB.
        limit_memory(1 << 20);
        let done = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let done = Arc::clone(&done);
                task::spawn_blocking(move || done.fetch_add(1, Ordering::Relaxed))
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(done.load(Ordering::Relaxed), 200);
    });
}

fn no_memory() {
    let runtime = workers(2);
    limit_memory(64 << 20);
    let since = Instant::now();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        loop {
            tasks.push(redd::spawn(std::future::pending::<()>()));
            assert!(since.elapsed() < Duration::from_secs(50), "64 MiB hold few tasks");
        }
    });
    until(|| false);
}

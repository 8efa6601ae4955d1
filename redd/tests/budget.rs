//! Operations that are always ready consume the task's budget. So a loop of them lets other tasks run, and a poll that
//! never returns still makes progress.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "a watchdog asks the system's clock")]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use redd::io::unix::AsyncFd;
use redd::io::{AsyncReadExt, AsyncWriteExt, Interest};
use redd::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixStream};
use redd::runtime::{Builder, LocalRuntime, Runtime};
use redd::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
use redd::task::coop::{has_budget_remaining, poll_proceed};
use redd::time::{Instant, interval, sleep_until, timeout_at};

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn local() -> LocalRuntime {
    Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap()
}

/// More operations than any budget allows, but few enough to end soon.
const ROUNDS: usize = 20_000;

/// Runs `leaf` repeatedly, in a task and in the future of `block_on`, until another task has run.
#[track_caller]
fn assert_yields(name: &str, mut leaf: impl AsyncFnMut() + 'static) {
    let runtime = local();
    let (rounds, leaf) = runtime.block_on(async move {
        let busy = redd::task::spawn_local(async move { (rounds_until_another_runs(&mut leaf).await, leaf) });
        busy.await.unwrap()
    });
    assert!(rounds < ROUNDS, "{name} in a task delayed another task");
    let rounds = runtime.block_on(async move {
        let mut leaf = leaf;
        rounds_until_another_runs(&mut leaf).await
    });
    assert!(rounds < ROUNDS, "{name} in `block_on` delayed a task");
}

async fn rounds_until_another_runs(leaf: &mut impl AsyncFnMut()) -> usize {
    let has_run = Rc::new(Cell::new(false));
    let other = redd::task::spawn_local({
        let has_run = Rc::clone(&has_run);
        async move { has_run.set(true) }
    });
    let mut rounds = 0;
    while !has_run.get() && rounds < ROUNDS {
        leaf().await;
        rounds += 1;
    }
    assert!(rounds > 0, "the other task has not run before");
    other.await.unwrap();
    rounds
}

/// Makes what a leaf needs on its first use, inside the runtime.
fn lazily<T: 'static>(make: impl Fn() -> T + 'static) -> impl Fn() -> Rc<T> {
    let made = RefCell::new(None);
    move || Rc::clone(made.borrow_mut().get_or_insert_with(|| Rc::new(make())))
}

#[test]
fn waits_for_persistent_readiness_yield() {
    let unix = || lazily(|| UnixStream::pair().unwrap());
    let pair = unix();
    assert_yields("UnixStream::writable", async move || pair().0.writable().await.unwrap());
    let pair = unix();
    assert_yields("UnixStream::ready", async move || {
        pair().0.ready(Interest::WRITABLE).await.unwrap();
    });
    let pair = lazily(|| {
        let (a, b) = UnixStream::pair().unwrap();
        a.try_write(b"x").unwrap();
        (a, b)
    });
    assert_yields("UnixStream::readable", async move || pair().1.readable().await.unwrap());
    let pair = unix();
    assert_yields("UnixStream::poll_write_ready", async move || {
        let pair = pair();
        poll_fn(|cx| pair.0.poll_write_ready(cx)).await.unwrap();
    });
    let pair = lazily(|| UnixDatagram::pair().unwrap());
    assert_yields("UnixDatagram::writable", async move || pair().0.writable().await.unwrap());
    let udp = lazily(|| UdpSocket::from_std(nonblocking(std::net::UdpSocket::bind("127.0.0.1:0").unwrap())).unwrap());
    assert_yields("UdpSocket::ready", async move || {
        udp().ready(Interest::WRITABLE).await.unwrap();
    });
    let tcp = lazily(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        (TcpStream::from_std(stream).unwrap(), listener)
    });
    assert_yields("TcpStream::writable", async move || tcp().0.writable().await.unwrap());
}

fn nonblocking(socket: std::net::UdpSocket) -> std::net::UdpSocket {
    socket.set_nonblocking(true).unwrap();
    socket
}

fn readable_fd() -> (AsyncFd<std::os::unix::net::UnixStream>, std::os::unix::net::UnixStream) {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.write_all(b"x").unwrap();
    (AsyncFd::new(ours).unwrap(), theirs)
}

#[test]
fn waits_for_a_descriptor_that_stays_ready_yield() {
    let fd = lazily(readable_fd);
    assert_yields("AsyncFd::readable", async move || fd().0.readable().await.unwrap().retain_ready());
    let fd = lazily(readable_fd);
    assert_yields("AsyncFd::ready", async move || {
        let _ = fd().0.ready(Interest::WRITABLE).await.unwrap();
    });
    let fd = lazily(readable_fd);
    assert_yields("AsyncFd::async_io", async move || {
        fd().0.async_io(Interest::WRITABLE, |_| Ok(())).await.unwrap();
    });
    // The guard clears a direction whose end was seen. The end stays, unless the guard is for that direction alone.
    let fd = lazily(|| {
        let (fd, theirs) = readable_fd();
        drop(theirs);
        fd
    });
    assert_yields("a guard that clears the end of a direction", async move || {
        fd().ready(Interest::READABLE | Interest::WRITABLE).await.unwrap().clear_ready();
    });
}

#[test]
fn a_closed_direction_that_would_block_is_waited_for_again() {
    current_thread().block_on(async {
        let (fd, theirs) = readable_fd();
        drop(theirs);
        let would_block = || io::Error::from(io::ErrorKind::WouldBlock);
        let mut guard = fd.readable().await.unwrap();
        assert!(guard.ready().is_read_closed());
        assert!(guard.try_io(|_| Err::<(), _>(would_block())).is_err());
        drop(guard);
        assert!(poll_once(fd.readable()).is_pending());
        assert!(fd.try_io(Interest::READABLE, |_| Ok(())).is_err(), "nothing is known to be ready");
    });
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn free_locks_and_stored_notifications_yield() {
    let notify = Notify::new();
    assert_yields("Notify::notified", async move || {
        notify.notify_one();
        notify.notified().await;
    });
    let notify = Arc::new(Notify::new());
    assert_yields("Notify::notified_owned", async move || {
        notify.notify_one();
        Arc::clone(&notify).notified_owned().await;
    });
    let cell = SetOnce::new_with(Some(1));
    assert_yields("SetOnce::wait", async move || {
        cell.wait().await;
    });
    let cell = OnceCell::new_with(Some(1));
    assert_yields("OnceCell::get_or_init", async move || {
        cell.get_or_init(async || 2).await;
    });
    let barrier = Barrier::new(1);
    assert_yields("Barrier::wait", async move || {
        barrier.wait().await;
    });
    let mutex = Mutex::new(());
    assert_yields("Mutex::lock", async move || drop(mutex.lock().await));
    let lock = RwLock::new(());
    assert_yields("RwLock::read", async move || drop(lock.read().await));
    let semaphore = Semaphore::new(1);
    assert_yields("Semaphore::acquire", async move || drop(semaphore.acquire().await));
    let semaphore = Semaphore::new(1);
    semaphore.close();
    assert_yields("a closed semaphore", async move || drop(semaphore.acquire().await));
}

#[test]
fn operations_on_closed_or_filled_channels_yield() {
    let (bounded, _) = mpsc::channel::<()>(1);
    let sender = bounded.clone();
    assert_yields("mpsc::Sender::closed", async move || sender.closed().await);
    assert_yields("mpsc::Sender::send", async move || {
        let _ = bounded.send(()).await;
    });
    let (unbounded, _) = mpsc::unbounded_channel::<()>();
    assert_yields("mpsc::UnboundedSender::closed", async move || unbounded.closed().await);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    assert_yields("mpsc::UnboundedReceiver::recv", async move || {
        sender.send(()).unwrap();
        receiver.recv().await;
    });
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    drop(sender);
    assert_yields("the end of mpsc", async move || {
        let _ = receiver.recv().await;
    });
    let (sender, receiver) = broadcast::channel::<()>(1);
    drop(receiver);
    assert_yields("broadcast::Sender::closed", async move || sender.closed().await);
    let (sender, mut receiver) = broadcast::channel::<()>(1);
    drop(sender);
    assert_yields("the end of broadcast", async move || {
        let _ = receiver.recv().await;
    });
    let (sender, receiver) = watch::channel(());
    drop(receiver);
    assert_yields("watch::Sender::closed", async move || sender.closed().await);
    let (sender, mut receiver) = watch::channel(());
    assert_yields("watch::Receiver::changed", async move || {
        sender.send_replace(());
        receiver.changed().await.unwrap();
    });
    let (mut sender, receiver) = oneshot::channel::<()>();
    drop(receiver);
    assert_yields("oneshot::Sender::closed", async move || sender.closed().await);
    assert_yields("oneshot::Receiver", async || {
        let (sender, receiver) = oneshot::channel();
        sender.send(()).unwrap();
        receiver.await.unwrap();
    });
}

#[test]
fn waits_for_a_time_that_has_passed_yield() {
    assert_yields("sleep_until", async || sleep_until(Instant::now() - Duration::from_millis(50)).await);
    let ticks = RefCell::new(None);
    assert_yields("Interval::tick", async move || {
        let mut interval = ticks.take().unwrap_or_else(|| interval(Duration::from_nanos(1)));
        interval.tick().await;
        ticks.replace(Some(interval));
    });
}

#[test]
fn operations_that_complete_at_once_yield() {
    assert_yields("lookup_host", async || {
        let _ = redd::net::lookup_host("127.0.0.1:1").await.unwrap();
    });
    assert_yields("TcpListener::bind", async || drop(TcpListener::bind("127.0.0.1:0").await));
    assert_yields("UdpSocket::bind", async || drop(UdpSocket::bind("127.0.0.1:0").await));
    assert_yields("UnixStream::connect", async || drop(UnixStream::connect("/nowhere/at/all").await.unwrap_err()));
    assert_yields("empty and sink", async || {
        redd::io::empty().read(&mut [0]).await.unwrap();
        redd::io::sink().write(b"x").await.unwrap();
    });
    let (mut a, mut b) = redd::io::duplex(16);
    assert_yields("duplex", async move || {
        a.write_all(b"x").await.unwrap();
        b.read_exact(&mut [0]).await.unwrap();
    });
    let mut set = redd::task::JoinSet::<()>::new();
    assert_yields("an empty JoinSet", async move || {
        let _ = set.join_next().await;
    });
}

/// Polls with its own waker until the future is ready, as another executor does.
fn block_on_elsewhere<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = another_waker();
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
    panic!("the other executor polls again and again");
}

fn another_waker() -> std::task::Waker {
    struct Nothing;
    impl std::task::Wake for Nothing {
        fn wake(self: Arc<Self>) {}
    }
    std::task::Waker::from(Arc::new(Nothing))
}

#[test]
fn another_executor_inside_a_task_gets_more_than_one_budget() {
    let work = || async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for number in 0..2_000 {
            sender.send(number).unwrap();
            assert_eq!(receiver.recv().await, Some(number));
        }
        redd::task::consume_budget().await;
    };
    let runtime = current_thread();
    runtime.block_on(async {
        redd::spawn(async move { block_on_elsewhere(work()) }).await.unwrap();
        block_on_elsewhere(work());
        redd::spawn(async move { futures::executor::block_on(work()) }).await.unwrap();
        let set = redd::task::LocalSet::new();
        set.run_until(async { redd::task::spawn_local(async move { block_on_elsewhere(work()) }).await.unwrap() })
            .await;
    });
}

#[test]
fn a_poll_that_returns_after_its_refusals_gets_one_budget() {
    current_thread().block_on(async {
        redd::spawn(poll_fn(|cx| {
            let taken = (0..250).filter(|_| poll_proceed(cx).map(|unit| unit.made_progress()).is_ready()).count();
            assert_eq!(taken, 128);
            assert!(!has_budget_remaining());
            Poll::Ready(())
        }))
        .await
        .unwrap();
    });
}

#[test]
fn a_unit_that_is_dropped_outside_its_poll_leaves_the_thread_without_a_budget() {
    let mut kept = None;
    current_thread().block_on(poll_fn(|cx| {
        let Poll::Ready(unit) = poll_proceed(cx) else { panic!("the budget is fresh") };
        kept = Some(unit);
        Poll::Ready(())
    }));
    drop(kept);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for operation in 0..300 {
        let Poll::Ready(unit) = poll_proceed(&mut cx) else {
            panic!("operation {operation} on this thread has no budget");
        };
        unit.made_progress();
    }
}

/// Runs `poll` within one poll of a task until it is ready. The worker cannot fire a timer meanwhile.
async fn in_one_poll(mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>) {
    poll_fn(|cx| {
        let start = std::time::Instant::now();
        loop {
            if poll(cx).is_ready() {
                return Poll::Ready(());
            }
            assert!(start.elapsed() < Duration::from_secs(20), "the time has passed, and the timer is not ready");
        }
    })
    .await;
}

#[test]
fn a_timer_whose_time_has_passed_ends_a_poll_that_waits_for_it() {
    let soon = || Instant::now() + Duration::from_millis(5);
    for runtime in [current_thread(), Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()] {
        runtime.block_on(async {
            redd::spawn(async move {
                let mut nap = pin!(redd::time::sleep(Duration::from_millis(5)));
                in_one_poll(|cx| nap.as_mut().poll(cx)).await;
                assert!(nap.is_elapsed());
                nap.as_mut().reset(soon());
                in_one_poll(|cx| nap.as_mut().poll(cx)).await;
                let deadline = soon();
                in_one_poll(|cx| pin!(sleep_until(deadline)).poll(cx)).await;
                assert!(Instant::now() >= deadline, "it was early");
                let deadline = soon();
                let pending = || timeout_at(deadline, std::future::pending::<()>());
                in_one_poll(|cx| pin!(pending()).poll(cx).map(drop)).await;
                let mut ticks = interval(Duration::from_millis(5));
                for _ in 0..3 {
                    in_one_poll(|cx| ticks.poll_tick(cx).map(drop)).await;
                }
            })
            .await
            .unwrap();
        });
    }
}

/// Two tasks that take and release a lock in a loop. Returns how often tasks were polled.
fn polls_of_two_tasks_that_share<L, F>(lock: L, section: fn(Arc<L>) -> F) -> u64
where
    L: 'static,
    F: Future<Output = ()> + 'static,
{
    let (runtime, lock) = (local(), Arc::new(lock));
    runtime.block_on(async {
        let tasks = [(); 2].map(|()| {
            let lock = lock.clone();
            redd::task::spawn_local(async move {
                for _ in 0..ROUNDS {
                    section(lock.clone()).await;
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    });
    runtime.metrics().worker_poll_count(0)
}

#[test]
fn a_task_that_yields_does_not_take_a_free_lock_into_its_next_turn() {
    let polls = [
        ("Mutex", polls_of_two_tasks_that_share(Mutex::new(()), |lock| async move { drop(lock.lock().await) })),
        ("read", polls_of_two_tasks_that_share(RwLock::new(()), |lock| async move { drop(lock.read().await) })),
        ("write", polls_of_two_tasks_that_share(RwLock::new(()), |lock| async move { drop(lock.write().await) })),
        (
            "Semaphore",
            polls_of_two_tasks_that_share(Semaphore::new(1), |semaphore| async move {
                drop(semaphore.acquire().await.unwrap());
            }),
        ),
        (
            "owned",
            polls_of_two_tasks_that_share(Semaphore::new(2), |semaphore| async move {
                drop(semaphore.acquire_many_owned(2).await.unwrap());
            }),
        ),
    ];
    // One poll for each budget, and a few more. If a task took the lock before it yields, each round would be a poll.
    let budgets = (2 * ROUNDS / 128) as u64;
    for (name, polls) in polls {
        assert!(polls >= budgets && polls <= budgets + 10, "{name}: {polls} polls, {budgets} budgets");
    }
}

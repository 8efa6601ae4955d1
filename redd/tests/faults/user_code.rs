//! User code fails: wakers, destructors and hooks panic where the runtime calls them.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use redd::net::{TcpListener, TcpStream, UdpSocket};
use redd::runtime::{Builder, Runtime};
use redd::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};
use redd::time::sleep;

use crate::{Case, case, current_thread, until, workers};

pub(crate) const CASES: &[Case] = &[
    case("a waker panics when a timer fires", "every other timer hangs", waker_of_a_timer),
    case("a waker panics when a socket is ready", "the worker dies", waker_of_a_socket),
    case("a waker panics when another task wakes it", "that task panics", waker_woken_by_a_task),
    case("a waker panics when a task that is joined ends", "contained", waker_of_a_joiner),
    case("a waker panics when the runtime is shut down", "not tried", waker_at_shutdown),
    case("a waker panics when it is cloned or dropped", "not tried", waker_that_cannot_be_cloned),
    case("a future panics when an abort drops it", "reported as cancelled", future_panics_on_abort),
    case("an output panics when it is dropped", "contained", output_panics),
    case("a panic's payload panics when it is dropped", "comes out at the JoinError", payload_panics),
    case("a local variable panics when a poll ends", "is_panic", local_panics),
    case("hooks of threads and tasks panic", "the thread dies", hooks_panic),
    case("a thread-local's destructor uses the runtime", "aborts", thread_local_destructor),
    case("a runtime is dropped inside a task", "panics, clear", dropped_inside_of_a_task),
    case("a runtime is dropped inside its own task", "panics, clear", dropped_inside_of_its_own_task),
];

/// A waker that panics, and counts how often it was woken.
struct PanickingWaker(AtomicUsize);

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("this waker panics on purpose");
    }
}

fn panicking_waker() -> (Arc<PanickingWaker>, Waker) {
    let panicking = Arc::new(PanickingWaker(AtomicUsize::new(0)));
    (Arc::clone(&panicking), Waker::from(panicking))
}

/// Polls once with this waker; the future must be pending.
fn arm(future: Pin<&mut impl Future>, waker: &Waker) {
    assert!(future.poll(&mut Context::from_waker(waker)).is_pending());
}

fn runtimes() -> [Runtime; 3] {
    [workers(1), workers(2), current_thread()]
}

/// Asserts that timers, tasks and sockets of this runtime still work.
fn assert_alive(runtime: &Runtime) {
    runtime.block_on(async {
        redd::spawn(sleep(Duration::from_millis(1))).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = redd::spawn(TcpStream::connect(listener.local_addr().unwrap()));
        listener.accept().await.unwrap();
        connecting.await.unwrap().unwrap();
        assert_eq!(redd::task::spawn_blocking(|| 5).await.unwrap(), 5);
    });
}

fn waker_of_a_timer() {
    for runtime in runtimes() {
        let (panicking, waker) = panicking_waker();
        runtime.block_on(async {
            let others: Vec<_> = (0..50).map(|_| redd::spawn(sleep(Duration::from_millis(5)))).collect();
            redd::spawn(async move {
                let mut timer = pin!(sleep(Duration::from_millis(5)));
                arm(timer.as_mut(), &waker);
                sleep(Duration::from_millis(10)).await;
            })
            .await
            .unwrap();
            for other in others {
                other.await.unwrap();
            }
        });
        assert_eq!(panicking.0.load(Ordering::SeqCst), 1);
        assert_alive(&runtime);
    }
}

fn waker_of_a_socket() {
    for runtime in runtimes() {
        let (panicking, waker) = panicking_waker();
        runtime.block_on(async {
            let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut buf = [0; 1];
            let mut receiving = Box::pin(receiver.recv(&mut buf));
            arm(receiving.as_mut(), &waker);
            sender.send_to(b"x", receiver.local_addr().unwrap()).await.unwrap();
            sender.send_to(b"x", other.local_addr().unwrap()).await.unwrap();
            other.recv(&mut [0; 1]).await.unwrap();
            while panicking.0.load(Ordering::SeqCst) == 0 {
                redd::task::yield_now().await;
            }
            drop(receiving);
        });
        assert_alive(&runtime);
    }
}

/// The task that sends, releases or drops may see the panic. The object must work afterwards.
fn waker_woken_by_a_task() {
    for runtime in runtimes() {
        let (panicking, waker) = panicking_waker();
        runtime.block_on(async {
            let (send, receive) = oneshot::channel();
            let mut receive = pin!(receive);
            arm(receive.as_mut(), &waker);
            let _ = redd::spawn(async move { send.send(5) }).await;
            assert_eq!(receive.await.unwrap(), 5);

            let (send, mut receive) = mpsc::channel(1);
            arm(pin!(receive.recv()), &waker);
            let _ = redd::spawn(async move { send.send(6).await }).await;
            assert_eq!(receive.recv().await, Some(6));

            let (send, mut receive) = watch::channel(0);
            {
                let mut changed = pin!(receive.changed());
                arm(changed.as_mut(), &waker);
                let mut other = send.subscribe();
                let waiting = redd::spawn(async move { other.changed().await });
                redd::task::yield_now().await;
                let _ = catch_unwind(AssertUnwindSafe(|| send.send(7)));
                changed.await.unwrap();
                waiting.await.unwrap().unwrap();
            }
            assert_eq!(*receive.borrow(), 7);

            let (send, mut receive) = broadcast::channel(4);
            let mut second = send.subscribe();
            {
                let mut receiving = pin!(receive.recv());
                arm(receiving.as_mut(), &waker);
                let waiting = redd::spawn(async move { second.recv().await });
                redd::task::yield_now().await;
                let _ = catch_unwind(AssertUnwindSafe(|| send.send(8)));
                assert_eq!(waiting.await.unwrap(), Ok(8));
                assert_eq!(receiving.await, Ok(8));
            }

            let notify = Arc::new(Notify::new());
            let mut notified = Box::pin(notify.notified());
            arm(notified.as_mut(), &waker);
            let (started, start) = oneshot::channel();
            let waiting = redd::spawn({
                let notify = Arc::clone(&notify);
                async move {
                    // From here on `notify_waiters` notifies this future.
                    let notified = notify.notified();
                    started.send(()).unwrap();
                    notified.await;
                }
            });
            start.await.unwrap();
            let _ = catch_unwind(AssertUnwindSafe(|| notify.notify_waiters()));
            notified.await;
            waiting.await.unwrap();

            let semaphore = Arc::new(Semaphore::new(0));
            let mut acquiring = Box::pin(semaphore.acquire());
            arm(acquiring.as_mut(), &waker);
            let waiting = redd::spawn(Arc::clone(&semaphore).acquire_owned());
            redd::task::yield_now().await;
            let _ = catch_unwind(AssertUnwindSafe(|| semaphore.add_permits(2)));
            acquiring.await.unwrap().forget();
            waiting.await.unwrap().unwrap().forget();
        });
        assert!(panicking.0.load(Ordering::SeqCst) >= 6);
        assert_alive(&runtime);
    }
}

fn waker_of_a_joiner() {
    for runtime in runtimes() {
        let (panicking, waker) = panicking_waker();
        runtime.block_on(async {
            let (release, released) = oneshot::channel::<()>();
            let mut task = redd::spawn(released);
            arm(Pin::new(&mut task), &waker);
            release.send(()).unwrap();
            while panicking.0.load(Ordering::SeqCst) == 0 {
                redd::task::yield_now().await;
            }
            task.await.unwrap().unwrap();
        });
        assert_alive(&runtime);
    }
}

fn waker_at_shutdown() {
    for runtime in runtimes() {
        let (_, waker) = panicking_waker();
        let tasks: Vec<_> = (0..10).map(|_| runtime.spawn(pending::<()>())).collect();
        let mut tasks: Vec<_> = tasks.into_iter().map(Box::pin).collect();
        for task in &mut tasks {
            arm(task.as_mut(), &waker);
        }
        drop(runtime);
        for task in tasks {
            assert!(futures::executor::block_on(task).unwrap_err().is_cancelled());
        }
    }
}

/// A waker whose clone or drop panics.
mod odd_waker {
    use std::cell::Cell;
    use std::task::{RawWaker, RawWakerVTable, Waker};

    thread_local! {
        pub(super) static CLONE_PANICS: Cell<bool> = const { Cell::new(false) };
        pub(super) static DROP_PANICS: Cell<bool> = const { Cell::new(false) };
    }

    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| (), |_| (), drop);

    fn clone(_: *const ()) -> RawWaker {
        assert!(!CLONE_PANICS.get(), "this waker cannot be cloned, on purpose");
        RawWaker::new(std::ptr::null(), &TABLE)
    }

    fn drop(_: *const ()) {
        assert!(!DROP_PANICS.replace(false), "this waker cannot be dropped, on purpose");
    }

    pub(super) fn waker() -> Waker {
        // SAFETY: the functions of the table use no data.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
    }
}

fn waker_that_cannot_be_cloned() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (send, mut receive) = oneshot::channel();
            let mut task = redd::spawn(pending::<()>());
            let mut timer = Box::pin(sleep(Duration::from_millis(1)));
            let notify = Notify::new();
            let mut notified = Box::pin(notify.notified());
            let waker = odd_waker::waker();
            odd_waker::CLONE_PANICS.set(true);
            let mut cx = Context::from_waker(&waker);
            let _ = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut receive).poll(&mut cx)));
            let _ = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut task).poll(&mut cx)));
            let _ = catch_unwind(AssertUnwindSafe(|| timer.as_mut().poll(&mut cx)));
            let _ = catch_unwind(AssertUnwindSafe(|| notified.as_mut().poll(&mut cx)));
            odd_waker::CLONE_PANICS.set(false);
            // Each future stores this waker. Then the waker of `await` replaces it.
            for future in 0..4 {
                let mut poll = |waker: &Waker| {
                    let mut cx = Context::from_waker(waker);
                    match future {
                        0 => drop(Pin::new(&mut receive).poll(&mut cx)),
                        1 => drop(Pin::new(&mut task).poll(&mut cx)),
                        2 => drop(timer.as_mut().poll(&mut cx)),
                        _ => drop(notified.as_mut().poll(&mut cx)),
                    }
                };
                poll(&waker);
                odd_waker::DROP_PANICS.set(true);
                let _ = catch_unwind(AssertUnwindSafe(|| poll(Waker::noop())));
                odd_waker::DROP_PANICS.set(false);
            }
            notify.notify_one();
            send.send(4).unwrap();
            assert_eq!(receive.await.unwrap(), 4);
            timer.await;
            notified.await;
        });
        assert_alive(&runtime);
    }
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("this value panics when it is dropped, on purpose");
    }
}

fn future_panics_on_abort() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let (started, start) = oneshot::channel();
            let task = redd::spawn(async {
                let _value = PanicsOnDrop;
                started.send(()).unwrap();
                pending::<()>().await;
            });
            start.await.unwrap();
            task.abort();
            let error = task.await.unwrap_err();
            assert!(error.is_panic(), "a panic is not lost: {error}");
        });
        assert_alive(&runtime);
    }
}

fn output_panics() {
    for runtime in runtimes() {
        runtime.block_on(async {
            drop(redd::spawn(async { PanicsOnDrop }));
            let task = redd::spawn(async { PanicsOnDrop });
            while !task.is_finished() {
                redd::task::yield_now().await;
            }
            let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
        });
        assert_alive(&runtime);
    }
}

fn payload_panics() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let task = redd::spawn(async { std::panic::panic_any(PanicsOnDrop) });
            let error = task.await.unwrap_err();
            assert!(error.is_panic());
            assert!(catch_unwind(AssertUnwindSafe(|| drop(error))).is_err());
            // No task takes this payload: it is dropped where the task ends.
            drop(redd::spawn(async { std::panic::panic_any(PanicsOnDrop) }));
            redd::task::yield_now().await;
        });
        assert_alive(&runtime);
    }
}

fn local_panics() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let task = redd::spawn(async {
                let value = PanicsOnDrop;
                redd::task::yield_now().await;
                drop(value);
            });
            assert!(task.await.unwrap_err().is_panic());
        });
        assert_alive(&runtime);
    }
}

fn hooks_panic() {
    for multi in [true, false] {
        let mut builder = if multi { Builder::new_multi_thread() } else { Builder::new_current_thread() };
        let runtime = builder
            .worker_threads(2)
            .enable_all()
            .thread_name_fn(|| panic!("this name panics on purpose"))
            .on_thread_start(|| panic!("this hook panics on purpose"))
            .on_thread_stop(|| panic!("this hook panics on purpose"))
            .on_thread_park(|| panic!("this hook panics on purpose"))
            .on_thread_unpark(|| panic!("this hook panics on purpose"))
            .on_task_spawn(|_| panic!("this hook panics on purpose"))
            .on_before_task_poll(|_| panic!("this hook panics on purpose"))
            .on_after_task_poll(|_| panic!("this hook panics on purpose"))
            .on_task_terminate(|_| panic!("this hook panics on purpose"))
            .build()
            .unwrap();
        assert_alive(&runtime);
        drop(runtime);
    }
}

/// Uses the runtime when its thread ends. The runtime's own thread-locals may have been destroyed before.
struct AtThreadEnd;

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        let Some(handle) = HANDLE.get() else { return };
        let _entered = handle.enter();
        drop(handle.spawn(async {}));
        drop(handle.spawn_blocking(|| ()));
        let _ = redd::runtime::Handle::try_current();
        let mut timer = pin!(poll_fn(|_| Poll::Ready(())));
        assert!(timer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
        USED.fetch_add(1, Ordering::SeqCst);
    }
}

static HANDLE: std::sync::OnceLock<redd::runtime::Handle> = std::sync::OnceLock::new();
static USED: AtomicUsize = AtomicUsize::new(0);

fn thread_local_destructor() {
    thread_local!(static EARLY: std::cell::RefCell<Option<AtThreadEnd>> = const { std::cell::RefCell::new(None) });
    thread_local!(static LATE: std::cell::RefCell<Option<AtThreadEnd>> = const { std::cell::RefCell::new(None) });
    let runtime = workers(2);
    HANDLE.set(runtime.handle().clone()).unwrap();
    for _ in 0..4 {
        let handle = runtime.handle().clone();
        std::thread::spawn(move || {
            // One is created before the runtime's own thread-locals and one after them, so they are destroyed in both
            // orders.
            EARLY.set(Some(AtThreadEnd));
            handle.block_on(async {
                redd::spawn(async {}).await.unwrap();
            });
            LATE.set(Some(AtThreadEnd));
        })
        .join()
        .unwrap();
    }
    // The destructors of the workers' threads do the same.
    for _ in 0..4 {
        runtime.block_on(async { redd::spawn(async { EARLY.set(Some(AtThreadEnd)) }).await.unwrap() });
    }
    assert_alive(&runtime);
    drop(runtime);
    until(|| USED.load(Ordering::SeqCst) >= 9);
}

fn dropped_inside_of_a_task() {
    for runtime in runtimes() {
        for inner in runtimes() {
            runtime.block_on(async {
                let error = redd::spawn(async move { drop(inner) }).await.unwrap_err();
                let message = error.into_panic();
                let message = message.downcast_ref::<&str>().unwrap();
                assert!(message.contains("shutdown_background"), "{message}");
            });
        }
        assert_alive(&runtime);
    }
}

fn dropped_inside_of_its_own_task() {
    let runtime = workers(2);
    let handle = runtime.handle().clone();
    let (send, receive) = oneshot::channel::<Runtime>();
    let task = handle.spawn(async move {
        let runtime = receive.await.unwrap();
        drop(runtime);
    });
    send.send(runtime).unwrap();
    let error = futures::executor::block_on(task).unwrap_err();
    assert!(error.is_panic());
    // The runtime's threads end nevertheless.
    until(|| crate::resources().0 <= 1);
    assert!(futures::executor::block_on(handle.spawn(async {})).unwrap_err().is_cancelled());
}

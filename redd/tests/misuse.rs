//! Misuse and bad input: each causes a panic or an error that says what to do, at the caller's location.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "../src/sys/emulation.rs"]
mod emulation;

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex, Once};
use std::task::Poll;
use std::time::Duration;

use redd::runtime::{Builder, Handle, LocalOptions, Runtime};
use redd::task;

thread_local! {
    /// The message and file of this thread's last panic.
    static LAST: std::cell::RefCell<Option<(String, String)>> = const { std::cell::RefCell::new(None) };
}

/// Installs a hook that records the location of panics, and prints them as before.
fn record_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let file = info.location().map_or_else(String::new, |place| place.file().to_owned());
            let payload = info.payload();
            let text = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            LAST.set(Some((text, file)));
            usual(info);
        }));
    });
}

/// Asserts that `misuse` panics at a location in this file, with a message that contains each of `parts`. The last part
/// is the fix.
#[track_caller]
fn assert_panics(parts: &[&str], misuse: impl FnOnce()) {
    record_panics();
    LAST.set(None);
    let result = catch_unwind(AssertUnwindSafe(misuse));
    assert!(result.is_err(), "no panic; expected one with {parts:?}");
    let (text, file) = LAST.take().expect("a panic is recorded");
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    assert!(file.ends_with("misuse.rs"), "the panic points to {file}: {text}");
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

const ENTER: &str = "let _guard = handle.enter();";

#[test]
fn spawning_outside_of_a_runtime_says_how_to_enter_one() {
    assert_panics(&["`spawn`", "not inside", ENTER], || {
        drop(redd::spawn(async {}));
    });
    assert_panics(&["`spawn_blocking`", "not inside", ENTER], || {
        drop(task::spawn_blocking(|| ()));
    });
    assert_panics(&["`spawn_local`", "LocalSet::run_until"], || {
        drop(task::spawn_local(async {}));
    });
    assert_panics(&["`task::Builder::spawn`", ENTER], || {
        drop(task::Builder::new().name("lost").spawn(async {}));
    });
    assert_panics(&["`spawn`", ENTER], || {
        task::JoinSet::new().spawn(async {});
    });
    assert_panics(&["`spawn_blocking`", ENTER], || {
        task::JoinSet::new().spawn_blocking(|| ());
    });
    assert_panics(&["`spawn_local`", "LocalSet::run_until"], || {
        task::JoinSet::new().spawn_local(async {});
    });
}

#[test]
fn the_message_names_the_thread() {
    let named = std::thread::Builder::new().name("db-3".to_owned());
    let checked = named.spawn(|| {
        assert_panics(&["`spawn`", "db-3", ENTER], || drop(redd::spawn(async {})));
    });
    checked.unwrap().join().unwrap();
}

#[test]
fn timers_outside_of_a_runtime_say_how_to_enter_one() {
    let second = Duration::from_secs(1);
    assert_panics(&["`sleep`", ENTER], || drop(redd::time::sleep(second)));
    assert_panics(&["`timeout`", ENTER], || {
        drop(redd::time::timeout(second, pending::<()>()));
    });
    assert_panics(&["`interval`", ENTER], || {
        drop(redd::time::interval(second));
    });
}

#[test]
fn handle_and_task_id_outside_of_a_runtime_say_what_to_do() {
    assert_panics(&["`Handle::current`", ENTER], || drop(Handle::current()));
    assert_panics(&["`task::id`", "task::try_id"], || {
        let _ = task::id();
    });
    let runtime = current_thread();
    runtime.block_on(async {
        assert_panics(&["`task::id`", "task::try_id"], || {
            let _ = task::id();
        });
    });
    let error = Handle::try_current().unwrap_err();
    assert!(error.to_string().contains("Handle::enter"), "{error}");
}

#[test]
fn a_socket_outside_of_a_runtime_says_how_to_enter_one() {
    use std::net::TcpListener as StdListener;
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    assert_panics_somewhere(ENTER, || {
        let mut connecting = Box::pin(redd::net::TcpStream::connect(address));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let _ = connecting.as_mut().poll(&mut cx);
    });
    listener.set_nonblocking(true).unwrap();
    assert_panics(&[ENTER], || {
        drop(redd::net::TcpListener::from_std(listener));
    });
}

/// As `assert_panics`, for a panic inside an `async fn`: its location is where the future is awaited or polled.
#[track_caller]
fn assert_panics_somewhere(fix: &str, misuse: impl FnOnce()) {
    let payload = catch_unwind(AssertUnwindSafe(misuse)).expect_err("a panic");
    let text = message(&*payload);
    assert!(text.contains(fix), "{fix:?} is missing in: {text}");
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| payload.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()))
}

const AWAIT: &str = "Use `.await` here";

#[test]
fn block_on_inside_block_on_and_inside_a_task_says_to_await() {
    for runtime in [current_thread(), multi_thread()] {
        let other = current_thread();
        runtime.block_on(async {
            assert_panics(&["`Runtime::block_on`", AWAIT], || other.block_on(async {}));
            assert_panics(&["`Runtime::block_on`", AWAIT], || {
                runtime.block_on(async {});
            });
            assert_panics(&["`Handle::block_on`", AWAIT], || {
                Handle::current().block_on(async {});
            });
        });
        let in_task = runtime.spawn(async {
            assert_panics(&["`Handle::block_on`", AWAIT], || {
                Handle::current().block_on(async {});
            });
        });
        runtime.block_on(in_task).unwrap();
    }
}

#[test]
fn blocking_methods_of_sync_inside_a_runtime_say_to_await() {
    use redd::sync::{Mutex as AsyncMutex, RwLock, broadcast, mpsc, oneshot};
    for runtime in [current_thread(), multi_thread()] {
        let misuse = || {
            assert_panics(&["Mutex::blocking_lock", AWAIT], || {
                drop(AsyncMutex::new(1).blocking_lock());
            });
            assert_panics(&["RwLock::blocking_read", AWAIT], || {
                drop(RwLock::new(1).blocking_read());
            });
            assert_panics(&["RwLock::blocking_write", AWAIT], || {
                drop(RwLock::new(1).blocking_write());
            });
            let (sender, mut receiver) = mpsc::channel(1);
            assert_panics(&["blocking_recv", AWAIT], || {
                let _ = receiver.blocking_recv();
            });
            assert_panics(&["blocking_send", AWAIT], || {
                let _ = sender.blocking_send(1);
            });
            let (_sender, mut receiver) = mpsc::unbounded_channel::<u8>();
            assert_panics(&["blocking_recv", AWAIT], || {
                let _ = receiver.blocking_recv();
            });
            let (_sender, receiver) = oneshot::channel::<u8>();
            assert_panics(&["oneshot::Receiver::blocking_recv", AWAIT], || {
                let _ = receiver.blocking_recv();
            });
            let (_sender, mut receiver) = broadcast::channel::<u8>(1);
            assert_panics(&["broadcast::Receiver::blocking_recv", AWAIT], || {
                let _ = receiver.blocking_recv();
            });
        };
        runtime.block_on(async { misuse() });
        runtime.block_on(runtime.spawn(async move { misuse() })).unwrap();
    }
}

/// Counts the threads of a runtime that have started and not ended.
fn counted(builder: &mut Builder) -> (Runtime, std_mpsc::Receiver<()>) {
    let (alive, ended) = std_mpsc::channel::<()>();
    let alive = Mutex::new(alive);
    let runtime = builder
        .on_thread_start(move || {
            thread_local! {
                static KEEP: std::cell::RefCell<Option<std_mpsc::Sender<()>>> =
                    const { std::cell::RefCell::new(None) };
            }
            KEEP.set(Some(alive.lock().unwrap().clone()));
        })
        .build()
        .unwrap();
    (runtime, ended)
}

#[test]
fn a_runtime_dropped_inside_a_task_says_what_to_do_and_its_threads_end() {
    for outer in [current_thread(), multi_thread()] {
        let (inner, ended) = counted(Builder::new_multi_thread().worker_threads(2).enable_all());
        inner.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
        outer.block_on(async {
            // A drop has no caller's location.
            assert_panics_somewhere("use `Runtime::shutdown_background`", || drop(inner));
        });
        // The last sender is dropped with the last thread, and with the hook that created the senders.
        assert_eq!(ended.recv(), Err(std_mpsc::RecvError));
    }
}

#[test]
fn a_runtime_that_a_panicking_task_drops_is_not_waited_for() {
    let (release, is_released) = std_mpsc::channel::<()>();
    let outer = multi_thread();
    let inner = multi_thread();
    let (started, has_started) = std_mpsc::channel();
    inner.spawn_blocking(move || {
        started.send(()).unwrap();
        let _ = is_released.recv();
    });
    has_started.recv().unwrap();
    let error = outer.block_on(outer.spawn(async move {
        let _inner = inner;
        panic!("on purpose");
    }));
    assert!(error.unwrap_err().is_panic());
    drop(release);
}

#[test]
fn block_in_place_where_no_worker_can_take_over_says_to_use_spawn_blocking() {
    let misuse = || {
        assert_panics(&["`block_in_place`", "Use `spawn_blocking`"], || {
            task::block_in_place(|| ());
        });
    };
    current_thread().block_on(async { misuse() });
    let runtime = current_thread();
    runtime.block_on(runtime.spawn(async move { misuse() })).unwrap();
    let runtime = multi_thread();
    task::LocalSet::new().block_on(&runtime, async {
        misuse();
        task::spawn_local(async move { misuse() }).await.unwrap();
    });
    // Where another worker can take over, and outside of a runtime, the closure simply runs.
    assert_eq!(runtime.block_on(async { task::block_in_place(|| 1) }), 1);
    assert_eq!(task::block_in_place(|| 2), 2);
}

#[test]
fn bad_numbers_and_names_are_refused_where_they_are_given() {
    assert_panics(&["`Builder::worker_threads`", "Give at least 1"], || {
        Builder::new_multi_thread().worker_threads(0);
    });
    assert_panics(&["`Builder::max_blocking_threads`", "Give at least 1"], || {
        Builder::new_multi_thread().max_blocking_threads(0);
    });
    assert_panics(&["`Builder::event_interval`", "at least 1"], || {
        Builder::new_multi_thread().event_interval(0);
    });
    assert_panics(&["`Builder::global_queue_interval`", "at least 1"], || {
        Builder::new_multi_thread().global_queue_interval(0);
    });
    assert_panics(&["`Builder::max_io_events_per_tick`", "at least 1"], || {
        Builder::new_multi_thread().max_io_events_per_tick(0);
    });
    for name in ["", "  "] {
        assert_panics(&["`Builder::name`", "Give a word, or no name"], || {
            Builder::new_multi_thread().name(name);
        });
    }
    assert_panics(&["`Builder::start_paused`", "Builder::new_current_thread"], || {
        drop(Builder::new_multi_thread().start_paused(true).build());
    });
    assert_panics(&["`Builder::build_local`", "Builder::new_current_thread"], || {
        drop(Builder::new_multi_thread().build_local(LocalOptions::default()));
    });
    let metrics = current_thread().metrics();
    assert_panics(&["worker 7", "`num_workers`"], || {
        metrics.worker_park_count(7);
    });
}

#[test]
fn an_interval_of_zero_is_refused() {
    current_thread().block_on(async {
        assert_panics(&["`interval`", "at least a nanosecond"], || {
            drop(redd::time::interval(Duration::ZERO));
        });
        assert_panics(&["`interval_at`", "at least a nanosecond"], || {
            drop(redd::time::interval_at(redd::time::Instant::now(), Duration::ZERO));
        });
    });
}

#[test]
fn parts_that_were_not_enabled_name_the_builder_method() {
    let no_time = Builder::new_current_thread().enable_io().build().unwrap();
    no_time.block_on(async {
        assert_panics(&["`sleep`", "Builder::enable_time()"], || {
            drop(redd::time::sleep(Duration::from_secs(1)));
        });
        assert_panics(&["`timeout`", "Builder::enable_time()"], || {
            drop(redd::time::timeout(Duration::from_secs(1), async {}));
        });
    });
    let no_io = Builder::new_current_thread().enable_time().build().unwrap();
    no_io.block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        assert_panics(&["Builder::enable_io()"], || {
            drop(redd::net::TcpListener::from_std(listener));
        });
    });
}

#[test]
fn guards_dropped_in_the_wrong_order_say_which_to_drop_first() {
    let (first, second) = (current_thread(), current_thread());
    let outer = first.enter();
    let inner = second.enter();
    assert_panics_somewhere("the last one first", || drop(outer));
    // The right order still works, and the wrong one leaves nothing behind.
    drop(inner);
    let third = second.enter();
    assert_eq!(Handle::current().id(), second.handle().id());
    drop(third);
}

#[test]
fn into_panic_of_a_cancelled_task_says_to_ask_first() {
    let runtime = current_thread();
    let forever = runtime.spawn(pending::<()>());
    forever.abort();
    let error = runtime.block_on(forever).unwrap_err();
    assert_panics(&["was cancelled", "Check `is_panic` first"], || {
        drop(error.into_panic());
    });
}

#[test]
fn a_handle_polled_after_it_returned_its_output_says_so() {
    for runtime in [current_thread(), multi_thread()] {
        let mut handle = runtime.spawn(async { 1 });
        assert_eq!(runtime.block_on(&mut handle).unwrap(), 1);
        assert_panics(&["`JoinHandle`", "Await each handle once"], || {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = Pin::new(&mut handle).poll(&mut cx);
        });
        runtime.block_on(async {
            let mut task = task::spawn_blocking(|| 2);
            assert_eq!((&mut task).await.unwrap(), 2);
            record_panics();
            let again = redd::spawn(task);
            let text = message(&*again.await.unwrap_err().into_panic());
            assert!(text.contains("Await each handle once"), "{text}");
        });
    }
}

#[test]
fn a_wrong_number_of_workers_in_the_environment_says_what_to_set() {
    const CHILD: &str = "a_wrong_number_of_workers_in_the_environment_says_what_to_set";
    if std::env::var_os("REDD_MISUSE_CHILD").is_some() {
        let wrong = std::env::var("TOKIO_WORKER_THREADS").unwrap();
        assert_panics(&["TOKIO_WORKER_THREADS", &wrong, "Set it to 1 or"], || {
            drop(Builder::new_multi_thread().build());
        });
        // An explicit number has priority, so the variable is not read.
        drop(Builder::new_multi_thread().worker_threads(1).build().unwrap());
        return;
    }
    if emulation::skips(CHILD, "the program cannot start itself") {
        return;
    }
    for wrong in ["abc", "0", "-1", ""] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD])
            .env("REDD_MISUSE_CHILD", "1")
            .env("TOKIO_WORKER_THREADS", wrong)
            .output()
            .unwrap();
        assert!(output.status.success(), "{wrong:?}: {output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("1 passed"), "{text}");
    }
}

#[test]
fn a_task_spawned_after_the_runtime_is_gone_is_cancelled_and_its_future_dropped() {
    struct Tells(Arc<Mutex<bool>>);
    impl Drop for Tells {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = true;
        }
    }
    let runtime = multi_thread();
    let handle = runtime.handle().clone();
    drop(runtime);
    let is_dropped = Arc::new(Mutex::new(false));
    let tells = Tells(Arc::clone(&is_dropped));
    let joined = handle.spawn(async move {
        let _tells = tells;
        pending::<()>().await;
    });
    let joined = futures::executor::block_on(joined);
    assert!(joined.unwrap_err().is_cancelled());
    assert!(*is_dropped.lock().unwrap());
}

#[test]
fn a_panicking_poll_of_block_on_leaves_the_runtime_usable() {
    for runtime in [current_thread(), multi_thread()] {
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(poll_fn(|_| -> Poll<()> { panic!("on purpose") }));
        }));
        assert!(result.is_err());
        assert_eq!(runtime.block_on(async { 3 }), 3);
    }
}

#[test]
fn each_misuse_of_the_clock_points_to_its_caller() {
    use redd::time::{pause, resume};
    assert_panics(&["`time::pause`", ENTER], || {
        pause();
    });
    assert_panics(&["`time::pause`", "Builder::new_current_thread()"], || multi_thread().block_on(async { pause() }));
    assert_panics(&["`time::pause`", "Call it once"], || {
        current_thread().block_on(async {
            pause();
            pause();
        });
    });
    assert_panics(&["`time::resume`", "Call `time::pause` first"], || current_thread().block_on(async { resume() }));
}

#[test]
fn the_name_of_a_host_that_a_world_does_not_have_points_to_its_caller() {
    use redd::sim::{Faults, World};
    let world = || World::new(1).host("server", || ());
    let names = ["`sever`", "`server`", "Use one of these names"];
    let report = world().run();
    assert_panics(&names, || {
        report.host("sever");
    });
    assert_panics(&names, || drop(world().name("db.example.com", "sever").run()));
    assert_panics(&names, || drop(world().faults(Faults::new().crash(&["sever"])).run()));
}

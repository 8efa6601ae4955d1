//! What a dump says of tasks that wait on several things at once, and of what each wait is for.
//!
//! [`Here::at`] stands on the line of each wait. A dump must show exactly these lines.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeSet;
use std::future::{pending, poll_fn};
use std::panic::Location;
use std::sync::{Arc, Mutex as StdMutex, mpsc as std_mpsc};
use std::task::Poll;

use futures::stream::{self, FuturesUnordered, StreamExt};
use redd::io::AsyncReadExt;
use redd::net::{TcpListener, TcpStream};
use redd::observe::WaitKind;
use redd::process::Command;
use redd::runtime::dump::{Dump, Task, TaskState, Wait, What};
use redd::runtime::{Builder, Handle, Runtime};
use redd::signal::unix::{SignalKind, signal};
use redd::sync::{Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use redd::task::{self, LocalSet, yield_now};
use redd::time::{Duration, Instant, sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// The lines that wait.
#[derive(Clone, Default)]
struct Here(Arc<StdMutex<BTreeSet<(&'static str, u32)>>>);

impl Here {
    /// The line of this call is one that waits.
    #[track_caller]
    fn at<T>(&self, waiting: T) -> T {
        self.0.lock().unwrap().insert(place(Location::caller()));
        waiting
    }

    fn lines(&self) -> BTreeSet<(&'static str, u32)> {
        self.0.lock().unwrap().clone()
    }
}

fn place(location: &'static Location<'static>) -> (&'static str, u32) {
    (location.file(), location.line())
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Lets all tasks run until they wait, then takes a dump.
async fn dump() -> Dump {
    for _ in 0..32 {
        yield_now().await;
    }
    Handle::current().snapshot()
}

#[track_caller]
fn find(dump: &Dump, id: task::Id) -> &Task {
    dump.tasks().get(id).unwrap_or_else(|| panic!("task {id} is not in the dump:\n{dump:#}"))
}

fn lines(task: &Task) -> BTreeSet<(&'static str, u32)> {
    task.waits().iter().filter_map(|wait| wait.location().map(place)).collect()
}

/// Spawns a task, and returns a dump in which it waits at the lines of `here`, and nowhere else.
async fn check(here: &Here, future: impl Future<Output = ()> + Send + 'static, kinds: &[WaitKind]) -> (Dump, task::Id) {
    let task = redd::spawn(future);
    let dump = dump().await;
    let found = find(&dump, task.id());
    assert!(matches!(found.state(), TaskState::Waiting { .. }), "{dump:#}");
    assert_eq!(lines(found), here.lines(), "{dump:#}");
    assert_eq!(kinds_of(found), kinds, "{dump:#}");
    let text = format!("{dump:#}");
    let printed = found.waits().iter().filter_map(Wait::location);
    assert!(printed.into_iter().all(|location| text.contains(&location.to_string())), "{text}");
    assert!(!text.contains("redd/src/"), "{text}");
    task.abort();
    (dump, task.id())
}

/// Sorted by name, without repetitions.
fn kinds_of(task: &Task) -> Vec<WaitKind> {
    let mut kinds: Vec<_> = task.waits().iter().map(Wait::kind).collect();
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    kinds.dedup();
    kinds
}

/// The one wait of a task.
#[track_caller]
fn only_wait(dump: &Dump, id: task::Id) -> &Wait {
    let [wait] = find(dump, id).waits() else { panic!("{dump:#}") };
    wait
}

#[test]
fn select_waits_on_each_of_its_branches() {
    runtime().block_on(async {
        let here = Here::default();
        let (_sender, mut receiver) = mpsc::channel::<()>(1);
        let at = here.clone();
        let future = async move {
            let (lock, notify, semaphore) = (Mutex::new(()), Notify::new(), Semaphore::new(0));
            let _guard = lock.lock().await;
            redd::select! {
                _ = at.at(lock.lock()) => {}
                _ = at.at(notify.notified()) => {}
                _ = at.at(semaphore.acquire()) => {}
                _ = at.at(receiver.recv()) => {}
                () = at.at(sleep(HOUR)) => {}
            }
        };
        let kinds = [WaitKind::MpscReceive, WaitKind::Mutex, WaitKind::Notify, WaitKind::Semaphore, WaitKind::Timer];
        check(&here, future, &kinds).await;
    });
}

#[test]
fn join_waits_on_each_part_that_has_not_ended() {
    runtime().block_on(async {
        let here = Here::default();
        let at = here.clone();
        let future = async move {
            let lock = RwLock::new(());
            let _guard = lock.write().await;
            let read = async { drop(at.at(lock.read()).await) };
            let sleeps = async { at.at(sleep(HOUR)).await };
            let ends = yield_now();
            redd::join!(read, sleeps, ends);
        };
        check(&here, future, &[WaitKind::RwLock, WaitKind::Timer]).await;
    });
}

#[test]
fn a_timeout_waits_on_its_future_and_on_its_timer() {
    runtime().block_on(async {
        let here = Here::default();
        let at = here.clone();
        let future = async move {
            let (_sender, receiver) = at.at(oneshot::channel::<()>());
            let _ = at.at(timeout(HOUR, receiver)).await;
        };
        check(&here, future, &[WaitKind::Oneshot, WaitKind::Timer]).await;
    });
}

/// Each of these futures has a waker of the set, which redd knows nothing of.
#[test]
fn a_set_of_futures_waits_on_each_of_them() {
    runtime().block_on(async {
        let here = Here::default();
        let at = here.clone();
        let future = async move {
            let notify = Notify::new();
            let set = FuturesUnordered::new();
            let sleeping = async { at.at(sleep(HOUR)).await };
            set.push(futures::future::Either::Left(sleeping));
            let notified = async { at.at(notify.notified()).await };
            set.push(futures::future::Either::Right(notified));
            set.collect::<()>().await;
        };
        let (dump, id) = check(&here, future, &[WaitKind::Notify, WaitKind::Timer]).await;
        assert_eq!(find(&dump, id).waits().len(), 2, "{dump:#}");
    });
}

#[test]
fn a_buffered_stream_waits_on_each_of_its_futures() {
    runtime().block_on(async {
        let here = Here::default();
        let at = here.clone();
        let future = async move {
            let at = &at;
            let sleeping = |hours| async move { at.at(sleep(HOUR * hours)).await };
            stream::iter(1..100).map(sleeping).buffer_unordered(7).collect::<()>().await;
        };
        let (dump, id) = check(&here, future, &[WaitKind::Timer]).await;
        assert_eq!(find(&dump, id).waits().len(), 7, "{dump:#}");
        assert!(dump.to_string().contains(", 7 waits for up to "), "{dump}");
    });
}

#[test]
fn a_wait_that_is_given_up_is_not_shown() {
    runtime().block_on(async {
        let here = Here::default();
        let at = here.clone();
        let future = async move {
            let (lock, notify) = (Mutex::new(()), Notify::new());
            let _guard = lock.lock().await;
            let (_sender, receiver) = oneshot::channel::<()>();
            redd::select! {
                _ = lock.lock() => {}
                () = notify.notified() => {}
                _ = receiver => {}
                () = sleep(HOUR) => {}
                () = yield_now() => {}
            }
            at.at(pending::<()>()).await;
        };
        let task = redd::spawn(future);
        let dump = dump().await;
        assert_eq!(find(&dump, task.id()).waits().len(), 0, "{dump:#}");
        assert!(dump.to_string().contains("waits on something outside of redd"), "{dump:#}");
        task.abort();
    });
}

#[test]
fn a_lock_names_the_task_and_the_line_that_took_it() {
    runtime().block_on(async {
        let lock = Arc::new(Mutex::new(()));
        let here = Here::default();
        let at = here.clone();
        let holder = task::Builder::new().name("holder").spawn({
            let lock = lock.clone();
            async move {
                let _guard = at.at(lock.lock()).await;
                pending::<()>().await;
            }
        });
        let holder = holder.unwrap();
        yield_now().await;
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let lock = lock.clone();
                redd::spawn(async move { drop(lock.lock().await) })
            })
            .collect();
        let dump = dump().await;
        for waiter in &waiters {
            let What::Lock { taken: Some(taken), waiting: 3, .. } = only_wait(&dump, waiter.id()).what() else {
                panic!("{dump:#}")
            };
            assert_eq!((taken.by, taken.is_only), (Some(holder.id()), true));
            assert!(here.lines().contains(&place(taken.location.unwrap())), "{dump:#}");
        }
        assert!(dump.to_string().contains(&format!("taken by task {} `holder` at ", holder.id())), "{dump}");
        assert!(dump.to_string().contains("3 tasks (spawned at "), "{dump}");
        holder.abort();
    });
}

#[test]
fn a_lock_that_changed_hands_names_the_last_task() {
    runtime().block_on(async {
        let lock = Arc::new(RwLock::new(()));
        let first = redd::spawn({
            let lock = lock.clone();
            async move { drop(lock.write().await) }
        });
        first.await.unwrap();
        let guard = lock.read().await;
        let writer = redd::spawn({
            let lock = lock.clone();
            async move { drop(lock.write().await) }
        });
        let dump = dump().await;
        let What::Lock { taken: Some(taken), out: Some(1), .. } = only_wait(&dump, writer.id()).what() else {
            panic!("{dump:#}")
        };
        assert_eq!((taken.by, taken.is_only), (None, false), "{dump:#}");
        assert!(dump.to_string().contains("last taken outside of tasks at "), "{dump}");
        drop(guard);
        writer.await.unwrap();
    });
}

#[test]
fn a_join_names_its_task() {
    runtime().block_on(async {
        let joined = task::Builder::new().name("endless").spawn(pending::<()>()).unwrap();
        let (id, abort) = (joined.id(), joined.abort_handle());
        let joiner = redd::spawn(async move { drop(joined.await) });
        let dump = dump().await;
        let wait = only_wait(&dump, joiner.id());
        assert_eq!((wait.kind(), wait.what()), (WaitKind::Join, &What::Task(id)), "{dump:#}");
        assert!(dump.to_string().contains(&format!("joins task {id} `endless`")), "{dump}");
        abort.abort();
    });
}

#[test]
fn a_timer_tells_when_it_is_due() {
    runtime().block_on(async {
        let sleeping = redd::spawn(sleep(HOUR));
        let dump = dump().await;
        let What::Deadline(remaining) = *only_wait(&dump, sleeping.id()).what() else { panic!("{dump:#}") };
        assert!(remaining <= HOUR + Duration::from_secs(1) && remaining > HOUR / 2, "{remaining:?}");
        assert!(dump.to_string().contains("; due in "), "{dump}");
        sleeping.abort();
    });
}

#[test]
fn a_socket_tells_its_addresses() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (_peer, client) = listener.accept().await.unwrap();
        let server = listener.local_addr().unwrap();
        let accepting = redd::spawn(async move { drop(listener.accept().await) });
        let reading = redd::spawn(async move { drop(stream.read(&mut [0]).await) });
        let dump = dump().await;
        let addresses = |id| {
            let What::Descriptor { about, .. } = only_wait(&dump, id).what() else { panic!("{dump:#}") };
            about.as_str()
        };
        assert_eq!(addresses(accepting.id()), format!("tcp listener {server}"));
        assert_eq!(addresses(reading.id()), format!("tcp {client} to {server}"));
        assert!(dump.to_string().contains(&format!(", tcp {client} to {server}")), "{dump}");
        accepting.abort();
        reading.abort();
    });
}

#[test]
fn a_channel_tells_how_many_senders_and_messages_it_has() {
    runtime().block_on(async {
        let (sender, mut receiver) = mpsc::channel::<()>(2);
        let other = sender.clone();
        let receiving = redd::spawn(async move { receiver.recv().await.unwrap_or_default() });
        let dump = dump().await;
        let wait = only_wait(&dump, receiving.id());
        let What::Channel { senders: 2, length: 0, .. } = wait.what() else { panic!("{dump:#}") };
        receiving.abort();
        drop((sender, other));
    });
}

#[test]
fn processes_and_signals_are_named_by_their_numbers() {
    runtime().block_on(async {
        let mut child = Command::new("sleep").arg("3600").kill_on_drop(true).spawn().unwrap();
        let id = child.id().unwrap();
        let waiting = redd::spawn(async move { drop(child.wait().await) });
        let mut signals = signal(SignalKind::hangup()).unwrap();
        let listening = redd::spawn(async move { signals.recv().await.unwrap_or_default() });
        let dump = dump().await;
        let has = |task: &redd::task::JoinHandle<()>, what| {
            find(&dump, task.id()).waits().iter().any(|wait| wait.what() == &what)
        };
        assert!(has(&waiting, What::Process(id)), "{dump:#}");
        assert!(has(&listening, What::Signal(1)), "{dump:#}");
        waiting.abort();
        listening.abort();
    });
}

#[test]
fn tasks_of_a_local_set_are_in_the_dump_of_the_runtime_that_drives_it() {
    let runtime = runtime();
    let set = LocalSet::new();
    set.block_on(&runtime, async {
        let here = Here::default();
        let at = here.clone();
        let local = task::spawn_local(async move {
            let notify = Notify::new();
            redd::select! {
                () = at.at(sleep(HOUR)) => {}
                () = at.at(notify.notified()) => {}
            }
        });
        let dump = dump().await;
        assert_eq!(lines(find(&dump, local.id())), here.lines(), "{dump:#}");
        local.abort();
    });
}

#[test]
fn a_task_that_drives_a_local_set_shows_its_own_waits_and_not_those_of_the_tasks() {
    runtime().block_on(LocalSet::new().run_until(async {
        let inner = LocalSet::new();
        let here = Here::default();
        let (at, outer_at) = (here.clone(), Here::default());
        let local = inner.spawn_local(async move { at.at(sleep(HOUR)).await });
        let own = outer_at.clone();
        let driving = task::spawn_local(async move {
            let notify = Notify::new();
            inner.run_until(async { own.at(notify.notified()).await }).await;
        });
        let dump = dump().await;
        assert_eq!(lines(find(&dump, local.id())), here.lines(), "{dump:#}");
        assert_eq!(lines(find(&dump, driving.id())), outer_at.lines(), "{dump:#}");
        driving.abort();
    }));
}

#[test]
fn closures_that_run_and_that_wait_for_a_thread_are_in_the_dump() {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let (release, held) = std_mpsc::channel::<()>();
    let running = runtime.spawn_blocking(move || held.recv().is_ok());
    let queued = runtime.spawn_blocking(|| {});
    runtime.block_on(async {
        // How long it has been running is shown from the first millisecond on.
        let limit = Instant::now() + Duration::from_secs(10);
        let dump = loop {
            let dump = dump().await;
            let is_running = matches!(find(&dump, running.id()).state(), TaskState::Running);
            if is_running && (dump.to_string().contains(", running for ") || Instant::now() > limit) {
                break dump;
            }
        };
        assert!(find(&dump, running.id()).is_blocking());
        assert!(matches!(find(&dump, queued.id()).state(), TaskState::Queued), "{dump:#}");
        let text = dump.to_string();
        assert!(
            text.contains(&format!("closure {} (spawned at ", running.id())) && text.contains(", running for "),
            "{text}"
        );
        release.send(()).unwrap();
        queued.await.unwrap();
    });
}

#[test]
fn the_future_of_block_on_shows_its_line_and_its_wait() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let here = Here::default();
    // The line of `block_on` itself is the first one of the call.
    let called = line!() + 1;
    runtime.block_on(async {
        let notify = Arc::new(Notify::new());
        let looking = redd::spawn({
            let (notify, here) = (notify.clone(), here.clone());
            async move {
                let is_shown = || {
                    let dump = handle.snapshot();
                    let root = dump.roots().iter().find(|root| place(root.called_at()) == (file!(), called)).unwrap();
                    let shown: Vec<_> = root.waits().iter().filter_map(Wait::location).map(place).collect();
                    here.lines().iter().any(|line| shown.contains(line))
                };
                poll_fn(|cx| {
                    if is_shown() {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                notify.notify_one();
            }
        });
        here.at(notify.notified()).await;
        looking.await.unwrap();
    });
}

//! Traces of runtimes in this process: it asks itself.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test is about few of the events")]

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redd::io::{AsyncReadExt as _, AsyncWriteExt as _};
use redd::net::{TcpListener, TcpStream};
use redd::runtime::Builder;
use redd::task::{LocalSet, yield_now};

use super::*;

/// A process is traced for one client at a time.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn traced(ms: u64) -> Recording {
    let reply = attach::ask_for(std::process::id(), &format!("trace {ms}"), Duration::from_millis(ms));
    parse(&reply.expect("this process replies")).expect("it is well formed")
}

/// What the tasks of a program do until it is stopped.
#[derive(Clone, Default)]
struct Running {
    is_over: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
}

impl Running {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }
}

/// Sends requests, each of which must be answered.
async fn request(running: Running) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    redd::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 8];
        while stream.read_exact(&mut buffer).await.is_ok() {
            stream.write_all(&buffer).await.unwrap();
        }
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    while running.goes_on() {
        let number = running.requests.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        stream.write_all(&number).await.unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, number);
    }
}

/// Two tasks that wake each other.
async fn ping_pong(running: Running) {
    let (ping, mut pinged) = redd::sync::mpsc::channel::<u64>(1);
    let (pong, mut ponged) = redd::sync::mpsc::channel::<u64>(1);
    redd::spawn(async move {
        while let Some(number) = pinged.recv().await {
            let _ = pong.send(number).await;
        }
    });
    while running.goes_on() {
        ping.send(1).await.unwrap();
        ponged.recv().await.unwrap();
    }
}

async fn contend(running: Running, lock: Arc<redd::sync::Mutex<u64>>) {
    while running.goes_on() {
        let mut held = lock.lock().await;
        yield_now().await;
        *held += 1;
    }
}

async fn spawn_and_sleep(running: Running) {
    while running.goes_on() {
        redd::spawn(async { yield_now().await }).await.unwrap();
        redd::task::spawn_blocking(|| {}).await.unwrap();
        redd::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Tasks of a `LocalSet`, in a current-thread runtime on a thread of its own.
fn run_local(running: Running) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let set = LocalSet::new();
    set.block_on(&runtime, async {
        let count = Rc::new(std::cell::Cell::new(0));
        let tasks: Vec<_> = (0..2)
            .map(|_| {
                let (count, running) = (Rc::clone(&count), running.clone());
                redd::task::spawn_local(async move {
                    while running.goes_on() {
                        count.set(count.get() + 1);
                        yield_now().await;
                        redd::time::sleep(Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn what_tasks_do_is_consistent_and_no_request_is_lost() {
    let _turn = one_at_a_time();
    let running = Running::default();
    let runtime =
        Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("traced-worker").build().unwrap();
    let lock = Arc::new(redd::sync::Mutex::new(0));
    let mut tasks = vec![
        runtime.spawn(request(running.clone())),
        runtime.spawn(ping_pong(running.clone())),
        runtime.spawn(spawn_and_sleep(running.clone())),
    ];
    tasks.extend((0..3).map(|_| runtime.spawn(contend(running.clone(), Arc::clone(&lock)))));
    let named =
        redd::task::Builder::new().name("named").spawn_on(std::future::pending::<()>(), runtime.handle()).unwrap();
    let of_thread = running.clone();
    let local = std::thread::Builder::new().name("local-thread".into()).spawn(move || run_local(of_thread)).unwrap();
    let waker = runtime.spawn({
        let (running, named) = (running.clone(), named.abort_handle());
        async move {
            while running.goes_on() {
                redd::time::sleep(Duration::from_millis(5)).await;
            }
            named.abort();
        }
    });
    let (recording, requests) = loop {
        let before = running.requests.load(Ordering::Relaxed);
        let recording = traced(400);
        let requests = running.requests.load(Ordering::Relaxed) - before;
        let has_all = EXPECTED.iter().all(|kind| recording.events.iter().any(|event| kind(&event.what)));
        // On a machine that is busy with other things some kinds may be missing. The test runs for as long as it takes.
        if has_all && requests > 0 {
            break (recording, requests);
        }
    };
    assert!(requests > 0);
    running.is_over.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
        waker.await.unwrap();
    });
    local.join().unwrap();

    check_order(&recording);
    check_polls(&recording);
    check_wakes(&recording);
    let thread = |name: &str| recording.threads.iter().filter(|thread| thread.name.starts_with(name)).count();
    assert!(thread("traced-worker") >= 2 && thread("local-thread") == 1, "{:?}", recording.threads);
    let at = |id: u64| recording.tasks.iter().find(|task| task.id == id).unwrap();
    let child = recording.events.iter().find_map(|event| match event.what {
        What::PollEnd { task, has_ended: true } => Some(at(task)).filter(|task| task.parent.is_some()),
        _ => None,
    });
    let child = child.expect("`spawn_and_sleep` has spawned some that have ended");
    assert!(child.spawned_at.contains("live.rs:"), "{child:?}");
    assert!(
        recording.tasks.iter().all(|task| !task.spawned_at.is_empty() || recording.lost > 0),
        "{:?}",
        recording.tasks
    );
}

const EXPECTED: &[fn(&What) -> bool] = &[
    |what| matches!(what, What::Spawn { by: Some(_), .. }),
    |what| matches!(what, What::PollStart { .. }),
    |what| matches!(what, What::PollEnd { has_ended: true, .. }),
    |what| matches!(what, What::Wake { by: Some(_), .. }),
    |what| matches!(what, What::Wake { by: None, .. }),
    |what| matches!(what, What::Park),
    |what| matches!(what, What::DriverEvents { .. }),
    |what| matches!(what, What::TimersFired { .. }),
    |what| matches!(what, What::ClosureStart { .. }),
    |what| matches!(what, What::ClosureEnd { .. }),
    |what| matches!(what, What::LockWait { .. }),
    |what| matches!(what, What::LockGrant { by: Some(_), .. }),
];

fn by_thread(recording: &Recording) -> BTreeMap<usize, Vec<&Event>> {
    let mut threads: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
    recording.events.iter().for_each(|event| threads.entry(event.thread).or_default().push(event));
    threads
}

/// Times do not go back, and a thread that parks is not parked already.
fn check_order(recording: &Recording) {
    assert!(recording.events.is_sorted_by_key(|event| event.at_ns));
    for (thread, events) in by_thread(recording) {
        let mut is_parked = false;
        for event in events {
            match event.what {
                What::Park => {
                    assert!(!std::mem::replace(&mut is_parked, true), "thread {thread} parks twice: {event:?}")
                }
                What::Unpark => {
                    assert!(std::mem::replace(&mut is_parked, false), "thread {thread} was awake: {event:?}")
                }
                What::PollStart { .. } => assert!(!is_parked, "thread {thread} polls and sleeps: {event:?}"),
                _ => {}
            }
        }
    }
}

/// Each poll ends on its thread, and polls of the same thread are one inside the other, as those of a `LocalSet` are.
fn check_polls(recording: &Recording) {
    for (thread, events) in by_thread(recording) {
        let mut polled = Vec::new();
        // It may begin in the middle of polls.
        let mut is_begun = false;
        for event in events {
            match event.what {
                What::PollStart { task } => {
                    is_begun = true;
                    polled.push(task);
                }
                What::PollEnd { task, .. } if is_begun || !polled.is_empty() => {
                    if let Some(last) = polled.pop() {
                        assert_eq!(last, task, "thread {thread}: {event:?}");
                    }
                }
                What::Wake { by: Some(by), .. } if !polled.is_empty() => {
                    assert!(polled.contains(&by), "thread {thread}: {event:?} inside of {polled:?}");
                }
                _ => {}
            }
        }
        assert!(polled.len() <= 2, "thread {thread}: {polled:?}");
    }
}

/// How long after its start, and before its end, threads may not know of the recording yet or any more.
const EDGE_NS: u64 = 20_000_000;

/// A task that was woken is polled before it is woken again.
fn check_wakes(recording: &Recording) {
    let end = recording.events.last().unwrap().at_ns;
    // A thread whose first events were overwritten is seen later than others.
    let first_poll = |events: &Vec<&Event>| {
        events.iter().find(|event| matches!(event.what, What::PollStart { .. })).map(|event| event.at_ns)
    };
    let start = by_thread(recording).values().filter_map(first_poll).max().unwrap();
    let mut woken = BTreeSet::new();
    let mut checked = 0;
    let inner =
        recording.events.iter().filter(|event| (start + EDGE_NS..end.saturating_sub(EDGE_NS)).contains(&event.at_ns));
    for event in inner {
        match event.what {
            What::Wake { task, .. } | What::Spawn { task, .. } => {
                assert!(woken.insert(task), "it is queued already: {event:?}");
            }
            What::PollStart { task } => checked += usize::from(woken.remove(&task)),
            _ => {}
        }
    }
    assert!(checked > 0 || start + 2 * EDGE_NS >= end, "{checked} wakes");
}

#[test]
fn events_that_were_overwritten_are_counted() {
    let _turn = one_at_a_time();
    let running = Running::default();
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let busy = running.clone();
    let task = runtime.spawn(async move {
        while busy.goes_on() {
            yield_now().await;
        }
    });
    let lost =
        [500, 2_000, 8_000, 32_000].into_iter().find_map(|ms| Some(traced(ms)).filter(|recording| recording.lost > 0));
    running.is_over.store(true, Ordering::Relaxed);
    runtime.block_on(task).unwrap();
    let recording = lost.expect("a task that yields all the time fills the ring");
    check_order(&recording);
    check_polls(&recording);
    assert!(recording.events.len() > 100_000, "{} events", recording.events.len());
}

/// What is recorded always has no polls, and a runtime whose threads have ended is in it.
#[test]
fn quiet_events_are_there_without_being_asked_for() {
    let _turn = one_at_a_time();
    let runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().thread_name("quiet-worker").build().unwrap();
    let slept = runtime.spawn(async { redd::time::sleep(Duration::from_millis(1)).await });
    runtime.block_on(slept).unwrap();
    let panicked = runtime.spawn(async { panic!("on purpose") });
    let id = panicked.id();
    drop(runtime.block_on(panicked));
    drop(runtime);
    let recording = traced(0);
    let worker = recording.threads.iter().position(|thread| thread.name == "quiet-worker").expect("it had events");
    let kinds: Vec<_> =
        recording.events.iter().filter(|event| event.thread == worker).map(|event| event.what).collect();
    assert!(kinds.contains(&What::Park) && kinds.contains(&What::TimersFired { count: 1 }), "{kinds:?}");
    assert!(
        kinds.iter().any(|what| matches!(what, What::Panic { task } if task.to_string() == id.to_string())),
        "{kinds:?}"
    );
    check_order(&recording);
}

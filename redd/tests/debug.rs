//! What `Debug` shows of public types: the name, and the state that it is in. It waits for no lock, and shows no bytes of streams.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use redd::sync::{Barrier, Mutex, Notify, OnceCell, RwLock, Semaphore, SetOnce, broadcast, mpsc, oneshot, watch};
use redd::{fs, group, io, net, process, runtime, signal, task, time};

/// Compares, with `#` for each number in the expected text that stands for any number.
#[track_caller]
fn shows(value: &dyn Debug, expected: &str) {
    let shown = format!("{value:?}");
    let mut rest = shown.as_str();
    for (index, part) in expected.split('#').enumerate() {
        if index > 0 {
            let digits = rest.len() - rest.trim_start_matches(|one: char| one.is_ascii_digit()).len();
            assert!(digits > 0, "{shown} is not {expected}");
            rest = &rest[digits..];
        }
        rest = rest.strip_prefix(part).unwrap_or_else(|| panic!("{shown} is not {expected}"));
    }
    assert_eq!(rest, "", "{shown} is not {expected}");
}

fn block_on<F: Future>(future: F) -> F::Output {
    runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_runtime_shows_its_name_and_size() {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().name("orders");
    shows(
        &builder,
        "Builder { name: \"orders\", flavor: MultiThread, worker_threads: Some(2), enable_io: true, enable_time: true, \
         start_paused: false, max_blocking_threads: 512, thread_keep_alive: 10s, thread_stack_size: None, .. }",
    );
    let orders = builder.build().unwrap();
    shows(&orders, "Runtime { id: Id(#), name: \"orders\", flavor: MultiThread, workers: 2, .. }");
    shows(orders.handle(), "Handle { id: Id(#), name: \"orders\", flavor: MultiThread, workers: 2, .. }");
    shows(&orders.enter(), "EnterGuard { .. }");
    let local = runtime::LocalRuntime::new().unwrap();
    shows(&local, "LocalRuntime { id: Id(#), flavor: CurrentThread, workers: 1, .. }");
    shows(&runtime::Handle::try_current(), "Err(TryCurrentError { reason: \"not inside a runtime\" })");
    let metrics = format!("{:?}", orders.metrics());
    assert!(metrics.starts_with("RuntimeMetrics { num_workers: 2, num_alive_tasks: 0, "), "{metrics}");
}

#[test]
fn tasks_and_their_sets_show_what_is_left() {
    block_on(async {
        let pending = redd::spawn(std::future::pending::<()>());
        shows(&pending, "JoinHandle { id: Id(#), is_finished: false }");
        shows(&pending.abort_handle(), "AbortHandle { id: Id(#), is_finished: false }");
        pending.abort();
        shows(&pending.await, "Err(JoinError::Cancelled(Id(#)))");
        let panics = redd::spawn(async { panic!("on purpose") });
        shows(&panics.await, "Err(JoinError::Panic(Id(#), \"on purpose\", ...))");
        let done = redd::spawn(async { 1 });
        while !done.is_finished() {
            task::yield_now().await;
        }
        shows(&done, "JoinHandle { id: Id(#), is_finished: true }");
        let mut set = task::JoinSet::new();
        set.spawn(std::future::pending::<()>());
        shows(&set, "JoinSet { len: 1 }");
        shows(
            &set.build_task().name("a"),
            "JoinSetBuilder { set: JoinSet { len: 1 }, builder: Builder { name: Some(\"a\") } }",
        );
        shows(&task::LocalSet::new(), "LocalSet { id: Id(#), .. }");
        let group = group::TaskGroup::<()>::builder().name("pages").start();
        shows(&group, "TaskGroup { name: Some(\"pages\"), len: 0, .. }");
    });
}

#[test]
fn locks_and_permits_show_who_can_go_on() {
    block_on(async {
        let mutex = Mutex::new(5);
        shows(&mutex, "Mutex { data: 5 }");
        let guard = mutex.lock().await;
        shows(&guard, "5");
        shows(&mutex, "Mutex { data: <locked> }");
        let lock = RwLock::new(5);
        let reads = lock.read().await;
        shows(&(&reads, &lock), "(5, RwLock { data: 5 })");
        drop(reads);
        let _writes = lock.write().await;
        shows(&lock, "RwLock { data: <locked> }");
        let semaphore = Arc::new(Semaphore::new(1));
        let permit = semaphore.acquire().await.unwrap();
        shows(
            &permit,
            "SemaphorePermit { semaphore: Semaphore { permits: 0, has_waiters: false, is_closed: false }, count: 1 }",
        );
        let waits = redd::spawn({
            let semaphore = Arc::clone(&semaphore);
            async move { semaphore.acquire_owned().await.map(drop) }
        });
        task::yield_now().await;
        shows(&semaphore, "Semaphore { permits: 0, has_waiters: true, is_closed: false }");
        semaphore.close();
        shows(&semaphore, "Semaphore { permits: 0, has_waiters: false, is_closed: true }");
        assert!(waits.await.unwrap().is_err());
        shows(&Barrier::new(3), "Barrier { size: 3, arrived: 0 }");
        shows(&OnceCell::new_with(Some(1)), "OnceCell { value: Some(1) }");
        shows(&SetOnce::<u8>::new(), "SetOnce { value: None }");
        let notify = Notify::new();
        let notified = notify.notified();
        shows(&notified, "Notified { notify: Notify { has_permit: false, has_waiters: false }, is_notified: false }");
        notify.notify_waiters();
        shows(&notified, "Notified { notify: Notify { has_permit: false, has_waiters: false }, is_notified: true }");
        notify.notify_one();
        shows(&notify, "Notify { has_permit: true, has_waiters: false }");
    });
}

/// Of the program, and without `Debug`.
struct Secret;

#[test]
fn channels_show_their_room_and_their_ends() {
    let (sender, mut receiver) = mpsc::channel(4);
    assert!(sender.try_send(Secret).is_ok());
    shows(&sender, "Sender { capacity: 3, max_capacity: 4, senders: 1, is_closed: false, .. }");
    shows(&sender.try_reserve(), "Ok(Permit { capacity: 2, max_capacity: 4, senders: 1, is_closed: false, .. })");
    shows(&sender.try_reserve_many(2), "Ok(PermitIterator { capacity: 2, .. })");
    shows(&sender.downgrade(), "WeakSender { .. }");
    receiver.close();
    shows(&receiver, "Receiver { capacity: 3, max_capacity: 4, senders: 1, is_closed: true, .. }");
    shows(&sender.try_send(Secret), "Err(Closed(..))");
    let (sender, receiver) = mpsc::unbounded_channel::<Secret>();
    shows(&sender, "UnboundedSender { senders: 1, is_closed: false, .. }");
    drop(sender);
    shows(&receiver, "UnboundedReceiver { senders: 0, is_closed: false, .. }");
    let (sender, receiver) = oneshot::channel();
    shows(&sender, "Sender { is_closed: false }");
    shows(&receiver, "Receiver { is_terminated: false, is_empty: true }");
    assert!(sender.send(1).is_ok());
    shows(&receiver, "Receiver { is_terminated: false, is_empty: false }");
    let (sender, receiver) = broadcast::channel(4);
    assert!(sender.send(1).is_ok());
    shows(&sender, "Sender { capacity: 4, receivers: 1 }");
    shows(&receiver, "Receiver { len: 1, .. }");
    let (sender, receiver) = watch::channel(1);
    sender.send_replace(2);
    shows(&receiver, "Receiver { value: 2, has_changed: true, is_closed: false }");
    shows(&receiver.borrow(), "Ref { value: 2, has_changed: true }");
    shows(&sender, "Sender { value: 2, senders: 1, receivers: 1 }");
    // It does not wait for the closure that it is called in.
    sender.send_modify(|_| shows(&sender, "Sender { value: <locked>, senders: 1, receivers: 1 }"));
}

#[test]
fn timers_show_when_they_are_due() {
    block_on(async {
        let sleep = time::sleep(Duration::from_secs(1));
        shows(
            &sleep,
            "Sleep { deadline: Instant { tv_sec: #, tv_nsec: # }, is_elapsed: false, made_at: redd/tests/debug.rs:#:# }",
        );
        let interval = time::interval(Duration::from_secs(1));
        shows(
            &interval,
            "Interval { next_tick: Instant(Instant { tv_sec: #, tv_nsec: # }), period: 1s, missed_tick_behavior: Burst }",
        );
        let elapsed = time::timeout(Duration::ZERO, std::future::pending::<()>()).await;
        shows(&elapsed, "Err(Elapsed(()))");
    });
}

#[test]
fn sockets_and_files_show_their_address_and_descriptor() {
    block_on(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        shows(&listener, "TcpListener { addr: 127.0.0.1:#, fd: # }");
        let stream = net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (reads, _writes) = stream.into_split();
        shows(&reads, "OwnedReadHalf { stream: TcpStream { addr: 127.0.0.1:#, peer: 127.0.0.1:#, fd: # } }");
        shows(&net::TcpSocket::new_v4().unwrap(), "TcpSocket { local_addr: Some(0.0.0.0:0), fd: # }");
        shows(&net::UdpSocket::bind("127.0.0.1:0").await.unwrap(), "UdpSocket { addr: 127.0.0.1:#, fd: # }");
        shows(&net::UnixSocket::new_stream().unwrap(), "UnixSocket { fd: # }");
        let (sender, _receiver) = net::unix::pipe::pipe().unwrap();
        shows(&sender, "Sender { io: File { fd: #, path: \"pipe:[#]\", read: false, write: true } }");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = fs::File::create(&path).await.unwrap();
        shows(&file, &format!("tokio::fs::File {{ std: File {{ fd: #, path: {path:?}, read: false, write: true }} }}"));
        let mut entries = fs::read_dir(dir.path()).await.unwrap();
        shows(&entries, "ReadDir { buffered_entries: 1, is_reading: false, .. }");
        let entry = entries.next_entry().await.unwrap().unwrap();
        let shown = format!("{entry:?}");
        assert!(shown.starts_with(&format!("DirEntry {{ path: {path:?}, file_type: Some(")), "{shown}");
        let mut command = process::Command::new("cat");
        command.stdin(std::process::Stdio::piped()).kill_on_drop(true);
        shows(&command, "Command { std: \"cat\", kill_on_drop: true }");
        let mut child = command.spawn().unwrap();
        shows(
            &child,
            "Child { id: #, stdin: Some(ChildStdin { fd: # }), stdout: None, stderr: None, kill_on_drop: true }",
        );
        drop(child.stdin.take());
        child.wait().await.unwrap();
        let shown = format!("{child:?}");
        assert!(shown.starts_with("Child { status: ExitStatus("), "{shown}");
        shows(&signal::unix::signal(signal::unix::SignalKind::hangup()), "Ok(Signal { number: 1, .. })");
    });
}

#[test]
fn adapters_show_how_much_is_buffered_and_not_what() {
    block_on(async {
        let (mut client, server) = io::duplex(64);
        client.write_all(b"secret\nrest").await.unwrap();
        let pipes = |written| {
            format!(
                "read: SimplexStream {{ buffered: 0, capacity: 64, is_closed: false }}, \
                 write: SimplexStream {{ buffered: {written}, capacity: 64, is_closed: false }}"
            )
        };
        shows(&client, &format!("DuplexStream {{ {} }}", pipes(11)));
        let mut reader = io::BufReader::new(server);
        reader.read_u8().await.unwrap();
        let buffered = format!("BufReader {{ reader: DuplexStream {{ {} }}, buffered: 10, capacity: 8192 }}", pipes(0));
        shows(&reader, &buffered);
        shows(&reader.split(b'\n'), &format!("Split {{ reader: {buffered}, partial_len: 0, .. }}"));
        shows(&io::BufWriter::new(io::sink()), "BufWriter { writer: Sink, buffered: 0, capacity: 8192 }");
        shows(&io::empty().take(3), "Take { inner: Empty, limit: 3 }");
        shows(&io::stdout(), "Stdout { .. }");
        shows(&(io::Interest::READABLE | io::Interest::WRITABLE), "READABLE | WRITABLE");
    });
}

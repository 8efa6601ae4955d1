//! The service: echo of frames, and HTTP, where each path uses another part of the runtime.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use redd::net::{TcpListener, TcpStream};
use redd::runtime::Builder;
use redd::sync::{Mutex, Notify, Semaphore, broadcast, mpsc, oneshot};
use redd::task::JoinSet;

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    answered: AtomicU64,
    /// The client had disconnected.
    unsent: AtomicU64,
    spawned: AtomicU64,
    ended: AtomicU64,
    wrong: AtomicU64,
}

/// What requests share.
#[derive(Debug)]
struct World {
    counts: Arc<Counts>,
    total: Mutex<u64>,
    jobs: mpsc::Sender<(u64, oneshot::Sender<u64>)>,
    news: broadcast::Sender<u64>,
    gate: Semaphore,
}

pub(crate) fn run() {
    let counts = Arc::new(Counts::default());
    let (spawned, ended) = (Arc::clone(&counts), Arc::clone(&counts));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        // With this hook all workers start now, so the number of threads after the load is that before the load.
        .on_thread_start(|| ())
        .enable_all()
        .thread_keep_alive(Duration::from_secs(2))
        .on_task_spawn(move |_| {
            spawned.spawned.fetch_add(1, Ordering::Relaxed);
        })
        .on_task_terminate(move |_| {
            ended.ended.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    // The last worker starts the standby before its first task, so that one exists before the load, too.
    let together = Arc::new(std::sync::Barrier::new(2));
    let first: Vec<_> = (0..2)
        .map(|_| {
            let together = Arc::clone(&together);
            runtime.spawn(async move { together.wait() })
        })
        .collect();
    for task in first {
        runtime.block_on(task).unwrap();
    }
    let stop = Arc::new(Notify::new());
    let serving = runtime.spawn(serve(Arc::clone(&counts), Arc::clone(&stop)));
    // This waits until the other process closes the input.
    let _ = std::io::stdin().read(&mut [0; 1]);
    stop.notify_one();
    runtime.block_on(serving).unwrap();
    let metrics = runtime.metrics();
    while metrics.num_alive_tasks() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let alive = metrics.num_alive_tasks();
    drop(runtime);
    let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
    println!(
        "accepted={} answered={} unsent={} spawned={} ended={} alive={alive} wrong={}",
        of(&counts.accepted),
        of(&counts.answered),
        of(&counts.unsent),
        of(&counts.spawned),
        of(&counts.ended),
        of(&counts.wrong)
    );
}

/// Serves until it is stopped, then waits for the open connections.
async fn serve(counts: Arc<Counts>, stop: Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let (jobs, mut queue) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(16);
    let clerk = redd::spawn(async move {
        while let Some((number, answer)) = queue.recv().await {
            let _ = answer.send(number + 1);
        }
    });
    let world =
        Arc::new(World { counts, total: Mutex::new(0), jobs, news: broadcast::channel(64).0, gate: Semaphore::new(8) });
    let mut connections = JoinSet::new();
    loop {
        redd::select! {
            accepted = listener.accept() => {
                // There is no free descriptor, or a client has left: the next accept may succeed.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection(stream, Arc::clone(&world)));
            }
            Some(ended) = connections.join_next() => {
                if ended.is_err() {
                    world.counts.wrong.fetch_add(1, Ordering::Relaxed);
                }
            }
            () = stop.notified() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    drop(world);
    clerk.await.unwrap();
}

/// The first byte decides: HTTP begins with a letter, a frame with its length.
async fn connection(stream: TcpStream, world: Arc<World>) {
    let mut stream = BufReader::new(stream);
    loop {
        let Ok(first) = stream.fill_buf().await else { return };
        let Some(&first) = first.first() else { return };
        let result = if first == b'G' { http(&mut stream, &world).await } else { echo(&mut stream, &world).await };
        if result.is_err() {
            return;
        }
    }
}

/// Counts accepted connections and their ends.
async fn answer(stream: &mut BufReader<TcpStream>, counts: &Counts, bytes: &[u8]) -> std::io::Result<()> {
    let sent = stream.write_all(bytes).await;
    let count = if sent.is_ok() { &counts.answered } else { &counts.unsent };
    count.fetch_add(1, Ordering::Relaxed);
    sent
}

async fn echo(stream: &mut BufReader<TcpStream>, world: &World) -> std::io::Result<()> {
    let len = stream.read_u32().await?;
    let mut frame = vec![0; len as usize + 4];
    frame[..4].copy_from_slice(&len.to_be_bytes());
    stream.read_exact(&mut frame[4..]).await?;
    world.counts.accepted.fetch_add(1, Ordering::Relaxed);
    answer(stream, &world.counts, &frame).await
}

async fn http(stream: &mut BufReader<TcpStream>, world: &Arc<World>) -> std::io::Result<()> {
    let mut request = String::new();
    stream.read_line(&mut request).await?;
    let mut header = String::new();
    while header != "\r\n" {
        header.clear();
        if stream.read_line(&mut header).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    world.counts.accepted.fetch_add(1, Ordering::Relaxed);
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (kind, number) = path.trim_start_matches('/').split_once('/').unwrap_or(("", "0"));
    let number: u64 = number.parse().unwrap_or(0);
    let body = respond(kind, number, world).await.to_string();
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    answer(stream, &world.counts, response.as_bytes()).await
}

/// Each kind returns the number plus one.
async fn respond(kind: &str, number: u64, world: &Arc<World>) -> u64 {
    let expect = |is_so: bool| {
        if !is_so {
            world.counts.wrong.fetch_add(1, Ordering::Relaxed);
        }
    };
    match kind {
        "sleep" => {
            redd::time::sleep(Duration::from_millis(number % 20)).await;
            number + 1
        }
        "timeout" => {
            let late = redd::time::timeout(Duration::from_millis(1), std::future::pending::<()>()).await;
            expect(late.is_err());
            number + 1
        }
        "blocking" => redd::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_micros(number % 2000));
            number + 1
        })
        .await
        .unwrap(),
        "tasks" => {
            let mut set = JoinSet::new();
            for n in 0..10 {
                set.spawn(async move {
                    redd::task::yield_now().await;
                    n
                });
            }
            let mut sum = 0;
            while let Some(n) = set.join_next().await {
                sum += n.unwrap();
            }
            expect(sum == 45);
            number + 1
        }
        "abort" => {
            let task = redd::spawn(std::future::pending::<()>());
            if number % 2 == 0 {
                redd::task::yield_now().await;
            }
            task.abort();
            expect(task.await.is_err_and(|error| error.is_cancelled()));
            number + 1
        }
        "panic" => {
            let task = redd::spawn(async { std::panic::resume_unwind(Box::new("on purpose")) });
            let result: Result<(), _> = task.await;
            expect(result.is_err_and(|error| error.is_panic()));
            number + 1
        }
        "channel" => {
            let (send, receive) = oneshot::channel();
            world.jobs.send((number, send)).await.unwrap();
            receive.await.unwrap()
        }
        "news" => {
            let mut subscriber = world.news.subscribe();
            let _ = world.news.send(number);
            expect(matches!(subscriber.recv().await, Ok(_) | Err(broadcast::error::RecvError::Lagged(_))));
            number + 1
        }
        "locks" => {
            let _permit = world.gate.acquire().await.unwrap();
            let mut total = world.total.lock().await;
            redd::task::yield_now().await;
            *total += 1;
            number + 1
        }
        // This is what a program should not do: it blocks a worker.
        "stuck" => {
            std::thread::sleep(Duration::from_millis(50));
            number + 1
        }
        "in_place" => redd::task::block_in_place(|| {
            std::thread::sleep(Duration::from_millis(1));
            number + 1
        }),
        _ => number + 1,
    }
}

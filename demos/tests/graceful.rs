//! The services in `examples` get SIGTERM in the middle of requests. Each runs in a process of its own, which is this program.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "threads of no runtime, in a test that fails if the system refuses one")]

#[allow(dead_code, reason = "its `main` is for the example")]
#[path = "../examples/graceful_axum.rs"]
mod on_axum;
#[allow(dead_code, reason = "its `main` is for the example")]
#[path = "../examples/graceful_hyper.rs"]
mod on_hyper;

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use redd::runtime::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A service may take so long in all, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The variables that make this program a service: which one, the number of its workers (0 for a current-thread runtime), and the
/// time of its phase `requests`.
const SERVICE: &str = "GRACEFUL_SERVICE";
const WORKERS: &str = "GRACEFUL_WORKERS";
const REQUESTS_MS: &str = "GRACEFUL_REQUESTS_MS";

/// Not a test: the process of a service. Run as a test, it does nothing.
#[test]
fn service() {
    let Ok(service) = std::env::var(SERVICE) else { return };
    let requests = Duration::from_millis(std::env::var(REQUESTS_MS).unwrap().parse().unwrap());
    let workers: usize = std::env::var(WORKERS).unwrap().parse().unwrap();
    let mut builder = if workers == 0 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let runtime = builder.worker_threads(workers.max(1)).enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listens: {}", listener.local_addr().unwrap());
        if service == "axum" {
            on_axum::serve(listener, requests).await
        } else {
            on_hyper::serve(listener, requests).await
        }
    });
    let report = report.unwrap();
    println!("{report}");
    println!("took: {}", report.took().as_millis());
    println!("drained: {}", runtime.drain(Duration::from_millis(200)).len());
}

struct Service {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Service {
    fn start((name, workers): (&str, usize), requests_ms: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "service", "--nocapture"])
            .env(SERVICE, name)
            .env(WORKERS, workers.to_string())
            .env(REQUESTS_MS, requests_ms.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut service = Self { child, lines, address: String::new() };
        service.address = service.line("listens: ");
        service
    }

    /// The rest of the first line that begins so.
    fn line(&mut self, begin: &str) -> String {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if let Some((_, rest)) = line.split_once(begin) {
                return rest.trim().to_owned();
            }
            line.clear();
        }
        panic!("the service ended without a line `{begin}`");
    }

    fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// What it prints until it ends.
    fn end(mut self) -> String {
        let text = std::thread::spawn(move || {
            let mut text = String::new();
            while self.lines.read_line(&mut text).unwrap() > 0 {}
            let has_succeeded = self.child.wait().unwrap().success();
            (text, has_succeeded)
        });
        let begin = Instant::now();
        while !text.is_finished() {
            assert!(begin.elapsed() < PATIENCE, "the service does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        let (text, has_succeeded) = text.join().unwrap();
        assert!(has_succeeded, "{text}");
        text
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// The body of the answer. `None` if there is none.
async fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

/// Sends requests, SIGTERM when 1,000 have been accepted, and returns what the service prints. All are answered but those that
/// hang.
fn signalled(kind: (&str, usize), requests_ms: u64, hangs: bool, then: impl FnOnce(&Service)) -> String {
    let service = Service::start(kind, requests_ms);
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let hanging = hangs.then(|| {
        let address = service.address.clone();
        runtime.spawn(async move { get(&address, "/hang").await })
    });
    let answers = runtime.block_on(async {
        let spawn = |path: &'static str| {
            let address = service.address.clone();
            tokio::spawn(async move { get(&address, path).await })
        };
        let mut answers = Vec::new();
        for _ in 0..10 {
            for quick in Vec::from_iter((0..50).map(|_| spawn("/"))) {
                answers.push(quick.await.unwrap());
            }
        }
        let slow = Vec::from_iter((0..500).map(|_| spawn("/slow")));
        let all = 1000 + usize::from(hangs);
        while get(&service.address, "/accepted").await.unwrap().parse::<usize>().unwrap() < all {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(slow.iter().all(|slow| !slow.is_finished()), "500 are in the middle");
        service.send("-TERM");
        for slow in slow {
            answers.push(slow.await.unwrap());
        }
        answers
    });
    then(&service);
    let text = service.end();
    let answered = |body: &str| answers.iter().filter(|answer| answer.as_deref() == Some(body)).count();
    assert_eq!((answered("quick"), answered("slow")), (500, 500), "{text}");
    if let Some(hanging) = hanging {
        assert_eq!(runtime.block_on(hanging).unwrap(), None);
    }
    text
}

fn number_after(text: &str, begin: &str) -> u64 {
    let (_, rest) = text.split_once(begin).unwrap();
    rest.lines().next().unwrap().parse().unwrap()
}

#[track_caller]
fn line_with<'a>(text: &'a str, part: &str) -> &'a str {
    text.lines().find(|line| line.contains(part)).expect(text)
}

#[test]
fn a_thousand_requests_are_answered_and_nothing_is_left() {
    for kind in [("hyper", 2), ("axum", 2), ("hyper", 0), ("axum", 0)] {
        let text = signalled(kind, 60_000, false, |_| {});
        assert!(text.contains("shutdown (SIGTERM) took ") && text.contains(", nothing was left\n"), "{kind:?}: {text}");
        assert_eq!(number_after(&text, "drained: "), 0, "{kind:?}: {text}");
    }
}

#[test]
fn a_request_that_hangs_is_named_when_its_time_is_over() {
    let text = signalled(("hyper", 2), 1500, true, |_| {});
    assert!(line_with(&text, "hold `/hang` (made at ").contains("examples/graceful_hyper.rs:"), "{text}");
    assert!(line_with(&text, " `connection` (spawned at ").contains("examples/graceful_hyper.rs:"), "{text}");
    assert_eq!(number_after(&text, "drained: "), 0, "the group cancels its connection: {text}");
    let of_axum = signalled(("axum", 2), 1500, true, |_| {});
    assert!(line_with(&of_axum, "hold `/hang` (made at ").contains("examples/graceful_axum.rs:"), "{of_axum}");
    assert!(line_with(&of_axum, "hold `axum` (made at ").contains("examples/graceful_axum.rs:"), "{of_axum}");
    assert_eq!(number_after(&of_axum, "drained: "), 1, "the task that axum has spawned is in no group: {of_axum}");
    for text in [text, of_axum] {
        assert!(text.contains("  requests: 1.5s of 1.5s, ") && text.contains("  flush: "), "{text}");
        // The sum of the phases, and the time for cancelled tasks to be dropped; with a second for a busy machine.
        assert!(number_after(&text, "took: ") <= 1500 + 2000 + 100 + 1000, "{text}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for kind in [("hyper", 2), ("axum", 0)] {
        let text = signalled(kind, 3_600_000, true, |service| service.send("-INT"));
        assert!(text.contains("shutdown (SIGTERM) took ") && text.contains(", ended early (SIGINT), "), "{text}");
        assert!(text.contains("hold `/hang` (made at "), "{text}");
    }
}

//! Events outside the program: signals, forks, clocks, peers.

use std::io::ErrorKind;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream, UdpSocket};
use redd::signal::unix::{SignalKind, signal};
use redd::time::interval;

use crate::inject::shift_wall_clock;
use crate::{Case, case, current_thread, workers};

pub(crate) const CASES: &[Case] = &[
    case("a forked child uses the runtime of its parent", "the child hangs", fork_and_use),
    case("a forked child leaves, and the parent goes on", "goes on", fork_and_leave),
    case("a process is forked between awaits of block_on", "the child hangs", fork_inside_of_block_on),
    case("the process is stopped and continued", "catches up", stopped_and_continued),
    case("the wall clock jumps by -3 days", "no effect", wall_clock_jumps),
    case("10,000 signals arrive while a service answers", "answers all", signal_storm),
    case("a pipe is full", "waits", full_pipe),
    case("a peer resets its connection", "an error", peer_resets),
    case("a peer closes while it is written to", "an error", peer_closes_meanwhile),
    case("no process listens at the address", "an error", no_process_listens),
    case("no process reads a datagram's port", "an error", no_process_receives),
];

/// Runs `child` in a forked child process. Returns true if it exits with status 0 within ten seconds, otherwise what
/// went wrong.
fn forked(child: impl FnOnce() -> i32) -> Result<(), String> {
    // SAFETY: the child uses nothing of the other threads except what the case tests, and ends by `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
        // SAFETY: ends this process without its exit handlers.
        unsafe { libc::_exit(status) };
    }
    let since = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: our own child; `status` lives across the call.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid {
            return if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 {
                Ok(())
            } else {
                Err(format!("status {status:#x}"))
            };
        }
        if since.elapsed() > Duration::from_secs(10) {
            // SAFETY: our own child, which has not been waited for.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            return Err("the child hangs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns 0 if `misuse` panics with these words.
fn panics_with(words: &str, misuse: impl FnOnce()) -> i32 {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(misuse)) {
        Ok(()) => 1,
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            if text.contains(words) { 0 } else { 2 }
        }
    }
}

fn fork_and_use() {
    for runtime in [workers(2), current_thread()] {
        runtime.block_on(async { redd::spawn(async {}).await.unwrap() });
        let runtime = std::mem::ManuallyDrop::new(runtime);
        forked(|| panics_with("fork", || runtime.block_on(async {}))).unwrap();
        forked(|| panics_with("fork", || drop(runtime.spawn(async {})))).unwrap();
        forked(|| panics_with("fork", || drop(runtime.spawn_blocking(|| ())))).unwrap();
        // A child needs its own runtime.
        forked(|| {
            let own = workers(2);
            own.block_on(async { redd::spawn(redd::time::sleep(Duration::from_millis(1))).await.unwrap() });
            0
        })
        .unwrap();
        runtime.block_on(async { redd::spawn(async {}).await.unwrap() });
        drop(std::mem::ManuallyDrop::into_inner(runtime));
    }
}

fn fork_and_leave() {
    for runtime in [workers(2), current_thread()] {
        let mut kept = Some(runtime);
        forked(|| {
            // Dropping it must not wait for threads that exist only in the parent.
            drop(kept.take());
            0
        })
        .unwrap();
        let runtime = kept.take().unwrap();
        runtime.block_on(async {
            let mut ticks = interval(Duration::from_millis(1));
            for _ in 0..5 {
                ticks.tick().await;
            }
        });
    }
}

fn fork_inside_of_block_on() {
    for runtime in [workers(2), current_thread()] {
        let in_child = std::cell::Cell::new(false);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                // SAFETY: as in `forked`.
                let pid = unsafe { libc::fork() };
                if pid == 0 {
                    in_child.set(true);
                    redd::time::sleep(Duration::from_millis(1)).await;
                    return;
                }
                let mut status = 0;
                // SAFETY: our own child; `status` lives across the call.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                assert_eq!(status, 0, "the child's `block_on` says what is wrong");
                redd::spawn(async {}).await.unwrap();
            });
        }));
        if in_child.get() {
            // SAFETY: ends this process without its exit handlers.
            unsafe { libc::_exit(i32::from(result.is_ok())) };
        }
        result.unwrap();
    }
}

/// Returns how long this many ticks take. The first tick is immediate, and missed ticks come in a burst.
async fn ticks(period: Duration, count: u32) -> Duration {
    let since = Instant::now();
    let mut interval = interval(period);
    for _ in 0..count {
        interval.tick().await;
    }
    since.elapsed()
}

fn stopped_and_continued() {
    for runtime in [workers(2), current_thread()] {
        let helper = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -STOP {0}; sleep 0.3; kill -CONT {0}", std::process::id()))
            .spawn();
        let elapsed = runtime.block_on(async { ticks(Duration::from_millis(20), 31).await });
        helper.unwrap().wait().unwrap();
        // No tick comes early.
        assert!(elapsed >= Duration::from_millis(600), "{elapsed:?}");
    }
}

fn wall_clock_jumps() {
    for runtime in [workers(2), current_thread()] {
        let elapsed = runtime.block_on(async {
            let ticking = redd::spawn(ticks(Duration::from_millis(5), 21));
            redd::time::sleep(Duration::from_millis(20)).await;
            shift_wall_clock(-3 * 86_400);
            ticking.await.unwrap()
        });
        shift_wall_clock(0);
        assert!(elapsed >= Duration::from_millis(100), "{elapsed:?}");
    }
}

fn signal_storm() {
    let runtime = workers(2);
    runtime.block_on(async {
        let mut received = signal(SignalKind::user_defined1()).unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let counting = redd::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while received.recv().await.is_some() {
                    seen.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let echo = redd::spawn(async move {
            let mut byte = [0];
            while peer.read_exact(&mut byte).await.is_ok() {
                peer.write_all(&byte).await.unwrap();
            }
        });
        let storm = std::thread::spawn(|| {
            for _ in 0..10_000 {
                // SAFETY: a signal to this process.
                unsafe { libc::kill(libc::getpid(), libc::SIGUSR1) };
            }
        });
        for n in 0..1000_u32 {
            client.write_u8(n as u8).await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), n as u8);
        }
        while !storm.is_finished() || seen.load(Ordering::Relaxed) == 0 {
            redd::task::yield_now().await;
        }
        storm.join().unwrap();
        drop(client);
        echo.await.unwrap();
        counting.abort();
    });
}

fn full_pipe() {
    current_thread().block_on(async {
        let (mut sender, mut receiver) = redd::net::unix::pipe::pipe().unwrap();
        let bytes = vec![7_u8; 1 << 20];
        let expected = bytes.clone();
        let writing = redd::spawn(async move { sender.write_all(&bytes).await });
        // The pipe holds 64 KiB, so the writer waits until the reader reads.
        for _ in 0..10 {
            redd::task::yield_now().await;
        }
        assert!(!writing.is_finished());
        let mut read = vec![0; 1 << 20];
        receiver.read_exact(&mut read).await.unwrap();
        writing.await.unwrap().unwrap();
        assert!(read == expected);
    });
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Closes the socket at once, with an RST to the peer.
fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

fn peer_resets() {
    for runtime in [workers(2), current_thread()] {
        runtime.block_on(async {
            let (client, mut server) = pair().await;
            let waiting = redd::spawn(async move {
                let error = server.read_u8().await.unwrap_err();
                (server, error)
            });
            redd::task::yield_now().await;
            reset(client);
            let (mut server, error) = waiting.await.unwrap();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            let error = server.write_all(b"too late").await.unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
        });
    }
}

fn peer_closes_meanwhile() {
    current_thread().block_on(async {
        let (mut client, server) = pair().await;
        let writing = redd::spawn(async move {
            let bytes = vec![1; 1 << 16];
            loop {
                if let Err(error) = client.write_all(&bytes).await {
                    return error;
                }
            }
        });
        // The buffers of this socket are full.
        redd::time::sleep(Duration::from_millis(20)).await;
        drop(server);
        let error = writing.await.unwrap();
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    });
}

fn no_process_listens() {
    current_thread().block_on(async {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

fn no_process_receives() {
    current_thread().block_on(async {
        let address = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(address).await.unwrap();
        socket.send(b"x").await.unwrap();
        let error = socket.recv(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // The socket still works.
        let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(b"y", peer.local_addr().unwrap()).await.unwrap();
        assert_eq!(peer.recv(&mut [0; 8]).await.unwrap(), 1);
    });
}

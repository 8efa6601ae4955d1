//! Random bytes and sequences as input, compared with a simple model: `ReadBuf`, lines and delimiters of `BufReader`,
//! `copy`, timers on a paused clock, the semaphore and the bounded channel.
//!
//! `cargo xtask fuzz --seconds N` runs for N seconds. A failure prints the command that replays it.
//!
//! This program has its own `main` instead of the test harness, because it counts inputs. The last line has the totals.

#![allow(clippy::print_stdout, reason = "a program without a harness reports by itself")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::disallowed_methods, reason = "it stops by the real clock")]

mod support;

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, BufRead as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use redd::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use redd::runtime::{Builder, RngSeed};
use redd::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};
use redd::time::{self, Instant as Moment};

use support::lives::{Rng, panic_text};
use support::{Wakes, block_on};

type Target = (&'static str, fn(&mut Rng));

const TARGETS: &[Target] = &[
    ("read_buf", read_buf),
    ("lines", lines),
    ("copy", copy),
    ("timers", timers),
    ("semaphore", semaphore),
    ("channel", channel),
];

/// The number of inputs for each target, without arguments.
const FEW: u64 = 2_000;

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("REDD_FUZZ_SECONDS");
    let only = std::env::var("REDD_FUZZ").ok();
    let from = number("REDD_FROM").unwrap_or(0);
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    std::panic::set_hook(Box::new(|_| ()));
    let (mut passed, mut failed) = (0, 0);
    let mut seed = from;
    let mut has_failed = Vec::new();
    while until.map_or(seed - from < if only.is_some() { 1 } else { FEW }, |until| Instant::now() < until) {
        for (name, target) in TARGETS {
            if only.as_ref().is_some_and(|only| only != name) || has_failed.contains(name) {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| target(&mut Rng::new(seed)))) {
                Ok(()) => passed += 1,
                Err(payload) => {
                    failed += 1;
                    has_failed.push(*name);
                    println!("FAILED: {name}: {}", panic_text(&*payload));
                    println!("  REDD_FUZZ={name} REDD_FROM={seed} cargo test -p redd --test fuzz");
                }
            }
        }
        seed += 1;
    }
    println!("inputs for {} targets, from seed {from} to {seed}:", TARGETS.len());
    println!("{passed} cases passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}

// ── ReadBuf ───────────────────────────────────────────────────────────────────────────────────────────────────────

/// Compares a `ReadBuf` with a record of each byte: whether it is filled or initialised, and its value.
fn read_buf(rng: &mut Rng) {
    let capacity = rng.below(24);
    let mut memory = vec![std::mem::MaybeUninit::<u8>::uninit(); capacity];
    let mut buffer = ReadBuf::uninit(&mut memory);
    let (mut filled, mut initialised): (Vec<u8>, usize) = (Vec::new(), 0);
    for _ in 0..rng.below(20) {
        let room = capacity - filled.len();
        match rng.below(7) {
            0 => {
                let bytes = Vec::from_iter((0..rng.below(room + 1)).map(|_| rng.next() as u8));
                buffer.put_slice(&bytes);
                filled.extend(&bytes);
            }
            1 => {
                let n = rng.below(room + 1);
                let byte = rng.next() as u8;
                buffer.initialize_unfilled_to(n).fill(byte);
                assert_eq!(buffer.initialize_unfilled_to(n), vec![byte; n]);
                buffer.advance(n);
                initialised = initialised.max(filled.len() + n);
                filled.resize(filled.len() + n, byte);
            }
            2 => {
                assert_eq!(buffer.initialize_unfilled().len(), room);
                initialised = capacity;
            }
            3 => {
                buffer.clear();
                filled.clear();
            }
            4 => {
                let n = rng.below(filled.len() + 1);
                buffer.set_filled(n);
                filled.truncate(n);
            }
            5 => {
                let n = rng.below(room + 4);
                let mut part = buffer.take(n);
                let n = n.min(room);
                assert_eq!((part.capacity(), part.filled().len()), (n, 0));
                let initialised_there = part.initialize_unfilled().len();
                assert_eq!(initialised_there, n);
                initialised = initialised.max(filled.len() + n);
                // The whole buffer does not learn what its part initialised, and must not forget what it knew before.
                initialised = initialised.min(buffer.initialized().len().max(filled.len()));
            }
            _ => {
                let byte = rng.next() as u8;
                if let Some(last) = buffer.filled_mut().last_mut() {
                    *last = byte;
                    *filled.last_mut().unwrap() = byte;
                }
            }
        }
        initialised = initialised.max(filled.len());
        assert_eq!(buffer.filled(), filled);
        assert_eq!((buffer.capacity(), buffer.remaining()), (capacity, capacity - filled.len()));
        let known = buffer.initialized().len();
        assert!(known >= initialised && known <= capacity, "{known} are initialised, at least {initialised} expected");
    }
}

// ── Readers and writers that transfer a few bytes at a time ───────────────────────────────────────────────────────

/// Returns a few bytes at a time, and is pending in between.
struct Source {
    bytes: VecDeque<u8>,
    rng: Rng,
    fails: bool,
}

impl AsyncRead for Source {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.rng.below(8) {
            0 | 1 => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            2 if self.fails => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => {}
        }
        let most = self.bytes.len().min(buffer.remaining());
        let count = if most == 0 { 0 } else { 1 + self.rng.below(most) };
        for byte in self.bytes.drain(..count) {
            buffer.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }
}

/// Accepts a few bytes at a time, and is pending in between.
struct Sink {
    bytes: Vec<u8>,
    rng: Rng,
    is_flushed: bool,
}

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.rng.one_in(4) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = if bytes.is_empty() { 0 } else { 1 + self.rng.below(bytes.len()) };
        self.bytes.extend(&bytes[..count]);
        self.is_flushed = false;
        Poll::Ready(Ok(count))
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.rng.one_in(4) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// Text with many line ends, and sometimes a byte that is not UTF-8.
fn text(rng: &mut Rng) -> Vec<u8> {
    const PIECES: &[&[u8]] = &[b"\n", b"\r\n", b"\r", b"a", b"bc", "ä".as_bytes(), "€".as_bytes(), b",", b"\xff"];
    let kinds = if rng.one_in(4) { PIECES.len() } else { PIECES.len() - 1 };
    let mut bytes = Vec::new();
    for _ in 0..rng.below(30) {
        bytes.extend(PIECES[rng.below(kinds)]);
    }
    bytes
}

/// Compares with what std reads from the same bytes.
fn lines(rng: &mut Rng) {
    let bytes = text(rng);
    let source = Source { bytes: bytes.iter().copied().collect(), rng: Rng::new(rng.next()), fails: false };
    let mut reader = BufReader::with_capacity(1 + rng.below(9), source);
    let mut expected = io::BufReader::with_capacity(1 + rng.below(9), &bytes[..]);
    block_on(async {
        match rng.below(4) {
            0 => loop {
                let (mut ours, mut theirs) = ("x".to_owned(), "x".to_owned());
                let (read, there) = (reader.read_line(&mut ours).await, expected.read_line(&mut theirs));
                assert_eq!(read.as_ref().map_err(io::Error::kind), there.as_ref().map_err(io::Error::kind));
                assert_eq!(ours, theirs);
                if !matches!(read, Ok(1..)) {
                    break;
                }
            },
            1 => {
                let mut ours = reader.lines();
                for theirs in expected.lines() {
                    let line = ours.next_line().await;
                    match theirs {
                        Ok(theirs) => assert_eq!(line.unwrap(), Some(theirs)),
                        Err(error) => {
                            assert_eq!(line.unwrap_err().kind(), error.kind());
                            return;
                        }
                    }
                }
                assert_eq!(ours.next_line().await.unwrap(), None);
            }
            2 => {
                let mut ours = reader.split(b',');
                for theirs in expected.split(b',') {
                    assert_eq!(ours.next_segment().await.unwrap(), Some(theirs.unwrap()));
                }
                assert_eq!(ours.next_segment().await.unwrap(), None);
            }
            _ => loop {
                let delimiter = [b'\n', b',', b'a'][rng.below(3)];
                let (mut ours, mut theirs) = (vec![1], vec![1]);
                let read = reader.read_until(delimiter, &mut ours).await.unwrap();
                assert_eq!(read, expected.read_until(delimiter, &mut theirs).unwrap());
                assert_eq!(ours, theirs);
                if read == 0 {
                    break;
                }
            },
        }
    });
}

fn copy(rng: &mut Rng) {
    let bytes = Vec::from_iter((0..rng.below(200)).map(|_| rng.next() as u8));
    let fails = rng.one_in(4);
    let mut source = Source { bytes: bytes.iter().copied().collect(), rng: Rng::new(rng.next()), fails };
    let mut sink = Sink { bytes: Vec::new(), rng: Rng::new(rng.next()), is_flushed: false };
    let copied = block_on(async {
        if rng.one_in(2) {
            redd::io::copy(&mut source, &mut sink).await
        } else {
            redd::io::copy_buf(&mut BufReader::with_capacity(1 + rng.below(20), source), &mut sink).await
        }
    });
    match copied {
        Ok(count) => {
            assert_eq!(sink.bytes, bytes);
            assert_eq!(count, bytes.len() as u64);
            assert!(sink.is_flushed, "what is copied is flushed");
        }
        Err(error) => {
            assert!(fails && error.kind() == io::ErrorKind::ConnectionReset);
            assert!(bytes.starts_with(&sink.bytes), "what was read before is in order");
        }
    }
}

// ── Timers ────────────────────────────────────────────────────────────────────────────────────────────────────────

type Sleeper = (Pin<Box<time::Sleep>>, Duration, Arc<Wakes>, std::task::Waker);

/// Creates, resets, drops and fires sleeps on a paused clock. None fires before or after its deadline.
fn timers(rng: &mut Rng) {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true).rng_seed(RngSeed::from_bytes(&rng.next().to_le_bytes()));
    builder.build().unwrap().block_on(async {
        let start = Moment::now();
        let mut sleeps: Vec<Sleeper> = Vec::new();
        let span =
            |rng: &mut Rng| Duration::from_millis(rng.next() % [3, 70, 5_000, 300_000, 20_000_000][rng.below(5)]);
        for _ in 0..rng.below(40) {
            let now = start.elapsed();
            match rng.below(6) {
                0..=2 => {
                    let deadline = now + span(rng);
                    let (wakes, waker) = Wakes::new();
                    let mut sleep = Box::pin(time::sleep_until(start + deadline));
                    let polled = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                    assert_eq!(polled.is_ready(), deadline <= now);
                    if polled.is_pending() {
                        sleeps.push((sleep, deadline, wakes, waker));
                    }
                }
                3 if !sleeps.is_empty() => {
                    let at = rng.below(sleeps.len());
                    drop(sleeps.swap_remove(at));
                }
                4 if !sleeps.is_empty() => {
                    let at = rng.below(sleeps.len());
                    let (sleep, deadline, wakes, waker) = &mut sleeps[at];
                    *deadline = now + Duration::from_millis(1) + span(rng);
                    sleep.as_mut().reset(start + *deadline);
                    (*wakes, *waker) = Wakes::new();
                    assert!(sleep.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                }
                _ => {
                    let by = match sleeps.iter().map(|(_, deadline, ..)| *deadline).min() {
                        // Just before, at, or just after the next deadline; or anywhere.
                        Some(next) if rng.one_in(2) => (next + Duration::from_millis(rng.next() % 3))
                            .saturating_sub(now + Duration::from_millis(1)),
                        _ => span(rng),
                    };
                    time::advance(by).await;
                    let now = start.elapsed();
                    sleeps.retain_mut(|(sleep, deadline, wakes, waker)| {
                        let is_due = *deadline <= now;
                        assert_eq!(
                            wakes.count() > 0,
                            is_due,
                            "woken exactly when due: {deadline:?}, and it is {now:?}"
                        );
                        assert_eq!(sleep.as_mut().poll(&mut Context::from_waker(waker)).is_ready(), is_due);
                        !is_due
                    });
                }
            }
        }
    });
}

// ── The semaphore ─────────────────────────────────────────────────────────────────────────────────────────────────

/// The simple semaphore: the number of free permits, and the waiters in order, each with the permits that it needs and
/// has.
#[derive(Default)]
struct SimpleSemaphore {
    available: usize,
    waiting: VecDeque<(usize, usize, usize)>,
    granted: Vec<usize>,
}

impl SimpleSemaphore {
    fn release(&mut self, count: usize) {
        self.available += count;
        while let Some((waiter, needs, has)) = self.waiting.front_mut() {
            let taken = self.available.min(*needs - *has);
            self.available -= taken;
            *has += taken;
            if has < needs {
                return;
            }
            self.granted.push(*waiter);
            self.waiting.pop_front();
        }
    }

    /// Adds a waiter. Returns true if its permits are granted immediately.
    fn ask(&mut self, waiter: usize, needs: usize) -> bool {
        self.waiting.push_back((waiter, needs, 0));
        self.release(0);
        let at_once = self.granted.last() == Some(&waiter);
        if at_once {
            self.granted.pop();
        }
        at_once
    }

    fn take(&mut self, count: usize) -> bool {
        let has_enough = self.available >= count;
        self.available -= if has_enough { count } else { 0 };
        has_enough
    }

    /// Removes a waiter, and passes its permits to the next one. Returns true if all its permits had been granted.
    fn leave(&mut self, waiter: usize, needs: usize) -> bool {
        if let Some(at) = self.granted.iter().position(|granted| *granted == waiter) {
            self.granted.swap_remove(at);
            self.release(needs);
            return true;
        }
        let at = self.waiting.iter().position(|(waiting, ..)| *waiting == waiter).unwrap();
        let (.., has) = self.waiting.remove(at).unwrap();
        self.release(has);
        false
    }
}

type Asking = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, redd::sync::AcquireError>>>>;

fn semaphore(rng: &mut Rng) {
    let start = rng.below(5);
    let semaphore = Arc::new(Semaphore::new(start));
    let mut simple = SimpleSemaphore { available: start, ..SimpleSemaphore::default() };
    let mut asking: Vec<(usize, usize, Asking, Arc<Wakes>, std::task::Waker)> = Vec::new();
    let mut held: Vec<OwnedSemaphorePermit> = Vec::new();
    for number in 0..rng.below(60) {
        match rng.below(7) {
            0 => {
                let count = 1 + rng.below(3);
                match Arc::clone(&semaphore).try_acquire_many_owned(count as u32) {
                    Ok(permit) => {
                        assert!(simple.take(count));
                        held.push(permit);
                    }
                    Err(error) => {
                        assert_eq!(error, TryAcquireError::NoPermits);
                        assert!(simple.available < count);
                    }
                }
            }
            1 | 2 => {
                let needs = 1 + rng.below(4);
                let (wakes, waker) = Wakes::new();
                let mut future: Asking = Box::pin(Arc::clone(&semaphore).acquire_many_owned(needs as u32));
                match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(permit) => {
                        assert!(simple.ask(number, needs));
                        held.push(permit.unwrap());
                    }
                    Poll::Pending => {
                        assert!(!simple.ask(number, needs), "first come, first served");
                        asking.push((number, needs, future, wakes, waker));
                    }
                }
            }
            3 if !asking.is_empty() => {
                let at = rng.below(asking.len());
                let (waiter, needs, ..) = asking.swap_remove(at);
                simple.leave(waiter, needs);
            }
            4 if !held.is_empty() => {
                let at = rng.below(held.len());
                let permit = held.swap_remove(at);
                let count = permit.num_permits();
                if rng.one_in(6) {
                    permit.forget();
                } else {
                    drop(permit);
                    simple.release(count);
                }
            }
            5 => {
                let count = rng.below(4);
                semaphore.add_permits(count);
                simple.release(count);
            }
            _ => {
                asking.retain_mut(|(waiter, _, future, wakes, waker)| {
                    let granted = simple.granted.iter().position(|granted| granted == waiter);
                    assert_eq!(wakes.count() > 0, granted.is_some(), "woken exactly when granted");
                    match future.as_mut().poll(&mut Context::from_waker(waker)) {
                        Poll::Ready(permit) => {
                            simple.granted.swap_remove(granted.expect("granted out of turn"));
                            held.push(permit.unwrap());
                            false
                        }
                        Poll::Pending => {
                            assert!(granted.is_none(), "granted, but not woken");
                            true
                        }
                    }
                });
            }
        }
        assert_eq!(semaphore.available_permits(), simple.available);
    }
    semaphore.close();
    for (waiter, needs, mut future, wakes, waker) in asking {
        assert!(wakes.count() > 0, "the close wakes the waiter");
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let Poll::Ready(answer) = polled else { panic!("closed, and it still waits") };
        // A waiter whose permits had been granted may get them or an error. No permit is lost in either case.
        match answer {
            Err(_) => {
                drop(future);
                simple.leave_closed(waiter, needs);
            }
            Ok(permit) => {
                let at = simple.granted.iter().position(|granted| *granted == waiter).expect("granted by the close");
                simple.granted.swap_remove(at);
                held.push(permit);
            }
        }
    }
    let held_count: usize = held.iter().map(OwnedSemaphorePermit::num_permits).sum();
    drop(held);
    simple.available += held_count;
    assert_eq!(semaphore.available_permits(), simple.available, "all permits are back");
}

impl SimpleSemaphore {
    /// As `leave`, after the close: no more permits are granted.
    fn leave_closed(&mut self, waiter: usize, needs: usize) {
        if let Some(at) = self.granted.iter().position(|granted| *granted == waiter) {
            self.granted.swap_remove(at);
            self.available += needs;
        } else {
            let at = self.waiting.iter().position(|(waiting, ..)| *waiting == waiter).unwrap();
            self.available += self.waiting.remove(at).unwrap().2;
        }
    }
}

// ── The bounded channel ───────────────────────────────────────────────────────────────────────────────────────────

type Sending = Pin<Box<dyn Future<Output = Result<(), mpsc::error::SendError<usize>>>>>;

/// Compares a bounded channel with a queue and a list of waiting senders.
fn channel(rng: &mut Rng) {
    let capacity = 1 + rng.below(3);
    let (sender, mut receiver) = mpsc::channel::<usize>(capacity);
    let mut sender = Some(sender);
    let mut simple = SimpleSemaphore { available: capacity, ..SimpleSemaphore::default() };
    let mut queue: VecDeque<usize> = VecDeque::new();
    let mut sending: Vec<(usize, Sending, Arc<Wakes>, std::task::Waker)> = Vec::new();
    let mut permits: Vec<mpsc::OwnedPermit<usize>> = Vec::new();
    let receiving: Mutex<Option<Arc<Wakes>>> = Mutex::new(None);
    // A waiting receiver is woken for each change that concerns it.
    let told = |what: &str| {
        let wakes = receiving.lock().unwrap().take();
        assert!(wakes.is_none_or(|wakes| wakes.count() > 0), "{what}, and the receiver is not woken");
    };
    for number in 0..rng.below(60) {
        match rng.below(9) {
            0 | 1 => {
                let Some(sender) = &sender else { continue };
                match sender.try_send(number) {
                    Ok(()) => {
                        assert!(simple.take(1), "more than it holds");
                        queue.push_back(number);
                        told("a message was sent");
                    }
                    Err(error) => {
                        assert_eq!(error, mpsc::error::TrySendError::Full(number));
                        assert_eq!(simple.available, 0);
                    }
                }
            }
            2 | 3 => {
                let Some(sender) = sender.clone() else { continue };
                let (wakes, waker) = Wakes::new();
                let mut future: Sending = Box::pin(async move { sender.send(number).await });
                match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    Poll::Ready(sent) => {
                        sent.unwrap();
                        assert!(simple.ask(number, 1));
                        queue.push_back(number);
                        told("a message was sent");
                    }
                    Poll::Pending => {
                        assert!(!simple.ask(number, 1), "first come, first served");
                        sending.push((number, future, wakes, waker));
                    }
                }
            }
            4 => {
                let Some(sender) = sender.clone() else { continue };
                match sender.try_reserve_owned() {
                    Ok(permit) => {
                        assert!(simple.take(1));
                        permits.push(permit);
                    }
                    Err(_) => assert_eq!(simple.available, 0),
                }
            }
            5 => {
                if let Some(permit) = permits.pop() {
                    if rng.one_in(2) {
                        drop(permit.send(number));
                        queue.push_back(number);
                        told("a message was sent");
                    } else {
                        drop(permit.release());
                        simple.release(1);
                    }
                }
            }
            6 if !sending.is_empty() => {
                let at = rng.below(sending.len());
                let (waiter, ..) = sending.swap_remove(at);
                simple.leave(waiter, 1);
            }
            7 => {
                sending.retain_mut(|(waiter, future, wakes, waker)| {
                    let granted = simple.granted.iter().position(|granted| granted == waiter);
                    assert_eq!(wakes.count() > 0, granted.is_some(), "woken exactly when there is room");
                    match future.as_mut().poll(&mut Context::from_waker(waker)) {
                        Poll::Ready(sent) => {
                            sent.unwrap();
                            simple.granted.swap_remove(granted.expect("sent out of turn"));
                            queue.push_back(*waiter);
                            told("a message was sent");
                            false
                        }
                        Poll::Pending => {
                            assert!(granted.is_none(), "there is room, and it waits");
                            true
                        }
                    }
                });
            }
            _ => {
                let (wakes, waker) = Wakes::new();
                let polled = receiver.poll_recv(&mut Context::from_waker(&waker));
                let is_over = sender.is_none() && sending.is_empty() && permits.is_empty();
                match queue.pop_front() {
                    Some(message) => {
                        assert_eq!(polled, Poll::Ready(Some(message)), "in order");
                        simple.release(1);
                    }
                    None if is_over => assert_eq!(polled, Poll::Ready(None)),
                    None => {
                        assert_eq!(polled, Poll::Pending);
                        *receiving.lock().unwrap() = Some(wakes);
                    }
                }
            }
        }
        if rng.one_in(80) {
            sender = None;
        }
        if let Some(sender) = &sender {
            assert_eq!(sender.capacity(), simple.available);
        }
        assert_eq!(receiver.len(), queue.len());
    }
    receiver.close();
    for (_, mut future, wakes, waker) in sending {
        assert!(wakes.count() > 0, "the close wakes the waiter");
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(())) => queue.extend([usize::MAX]),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => panic!("closed, and it still waits"),
        }
    }
    for permit in permits {
        drop(permit.send(usize::MAX - 1));
        queue.push_back(usize::MAX - 1);
    }
    drop(sender);
    let mut left: VecDeque<usize> = VecDeque::new();
    while let Ok(message) = receiver.try_recv() {
        left.push_back(message);
    }
    let ours = |queue: &VecDeque<usize>| Vec::from_iter(queue.iter().copied().filter(|n| *n < usize::MAX - 1));
    assert_eq!(ours(&left), ours(&queue));
    assert_eq!(left.len(), queue.len(), "a permit that was given is good after the close");
}

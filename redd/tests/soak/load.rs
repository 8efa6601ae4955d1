//! The load: clients that send, check, give up and start again, each with its own seed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redd::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use redd::net::TcpStream;
use redd::sync::mpsc;

use crate::Sample;

const CLIENTS: u64 = 32;

/// A request without an answer after this time counts as lost. The limit is far above the latency on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// The client left without waiting.
    pub(crate) abandoned: u64,
    pub(crate) wrong: u64,
    connections: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} sent, {} answered, {} abandoned, {} wrong, {} connections",
            self.sent, self.answered, self.abandoned, self.wrong, self.connections
        )
    }
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    answered: AtomicU64,
    abandoned: AtomicU64,
    wrong: AtomicU64,
    connections: AtomicU64,
}

/// SplitMix64, after Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Puts load on the service at `port` for `length`, and takes a sample every second.
pub(crate) fn run(
    port: u16,
    length: Duration,
    seed: u64,
    resources: &mut dyn FnMut() -> (u64, usize, usize),
) -> (Totals, Vec<Sample>) {
    let runtime = redd::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let counts = Arc::new(Counts::default());
    let (send_latency, mut latencies) = mpsc::unbounded_channel();
    let start = Instant::now();
    let mut samples = Vec::new();
    runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (counts, send) = (Arc::clone(&counts), send_latency.clone());
                redd::spawn(client(port, start + length, Random(seed ^ n << 32), counts, send))
            })
            .collect();
        let period = Duration::from_secs(1).min(length / 4);
        let mut ticks = redd::time::interval(period);
        ticks.tick().await;
        let (mut window, mut before) = (Vec::new(), 0);
        while start.elapsed() < length {
            ticks.tick().await;
            while let Ok(latency) = latencies.try_recv() {
                window.push(latency);
            }
            window.sort_unstable();
            let at = |part: f64| window.get((window.len() as f64 * part) as usize).map_or(0.0, Duration::as_secs_f64);
            let (rss_kib, threads, descriptors) = resources();
            let answered = counts.answered.load(Ordering::Relaxed);
            samples.push(Sample {
                seconds: start.elapsed().as_secs_f64(),
                requests: answered - before,
                p50_ms: at(0.5) * 1e3,
                p99_ms: at(0.99) * 1e3,
                rss_kib,
                threads,
                descriptors,
            });
            before = answered;
            window.clear();
        }
        for client in clients {
            client.await.unwrap();
        }
    });
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let totals = Totals {
        sent: of(&counts.sent),
        answered: of(&counts.answered),
        abandoned: of(&counts.abandoned),
        wrong: of(&counts.wrong),
        connections: of(&counts.connections),
    };
    (totals, samples)
}

/// Opens one connection after another until the time is over.
async fn client(
    port: u16,
    until: Instant,
    mut random: Random,
    counts: Arc<Counts>,
    latencies: mpsc::UnboundedSender<Duration>,
) {
    while Instant::now() < until {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the service accepts");
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let mut stream = BufReader::new(stream);
        for _ in 0..random.below(200) {
            if Instant::now() >= until {
                return;
            }
            // Some clients leave in the middle of a request, half of them with a reset.
            let gives_up = random.below(500) == 0;
            counts.sent.fetch_add(1, Ordering::Relaxed);
            let start = Instant::now();
            let request = async {
                if random.below(3) == 0 {
                    echo(&mut stream, &mut random, &counts, gives_up).await
                } else {
                    get(&mut stream, &mut random, &counts, gives_up).await
                }
            };
            let Ok(is_quick) = redd::time::timeout(PATIENCE, request).await else {
                // This request was sent and not answered, so it is lost.
                println!("no answer within {PATIENCE:?}");
                break;
            };
            if gives_up {
                if random.below(2) == 0 {
                    let _ = stream.get_ref().set_zero_linger();
                }
                break;
            }
            if is_quick {
                let _ = latencies.send(start.elapsed());
            }
        }
    }
}

async fn echo(stream: &mut BufReader<TcpStream>, random: &mut Random, counts: &Counts, gives_up: bool) -> bool {
    let len = if random.below(20) == 0 { random.below(100_000) } else { random.below(1000) };
    let mut frame = (len as u32).to_be_bytes().to_vec();
    // The first byte is never `G`, because the length is below 2^24.
    frame.resize_with(len as usize + 4, || random.next() as u8);
    if gives_up {
        let part = random.below(frame.len() as u64) as usize;
        let _ = stream.write_all(&frame[..part]).await;
        counts.abandoned.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    stream.write_all(&frame).await.expect("the service reads");
    let mut answer = vec![0; frame.len()];
    stream.read_exact(&mut answer).await.expect("the service answers");
    record(counts, answer == frame);
    len < 1000
}

/// The kinds of request and their frequency per thousand. The last value is whether the latency depends on the runtime
/// alone.
const KINDS: &[(&str, u64, bool)] = &[
    ("plain", 600, true),
    ("tasks", 60, true),
    ("abort", 60, true),
    ("panic", 20, true),
    ("channel", 60, true),
    ("news", 30, true),
    ("locks", 40, true),
    ("sleep", 60, false),
    ("timeout", 20, false),
    ("blocking", 44, false),
    ("in_place", 5, false),
    ("stuck", 1, false),
];

async fn get(stream: &mut BufReader<TcpStream>, random: &mut Random, counts: &Counts, gives_up: bool) -> bool {
    let mut ticket = random.below(1000);
    let (kind, is_quick) = KINDS
        .iter()
        .find_map(|(kind, share, is_quick)| {
            if ticket < *share {
                return Some((*kind, *is_quick));
            }
            ticket -= share;
            None
        })
        .expect("the shares are a thousand");
    let number = random.below(1_000_000);
    let request = format!("GET /{kind}/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the service reads");
    if gives_up {
        counts.abandoned.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stream.read_line(&mut line).await.expect("the service answers") > 0, "the service hung up");
        if line == "\r\n" {
            break;
        }
        if let Some(text) = line.strip_prefix("Content-Length: ") {
            length = text.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the service answers");
    record(counts, body == (number + 1).to_string().as_bytes());
    is_quick
}

fn record(counts: &Counts, is_right: bool) {
    counts.answered.fetch_add(1, Ordering::Relaxed);
    if !is_right {
        counts.wrong.fetch_add(1, Ordering::Relaxed);
    }
}

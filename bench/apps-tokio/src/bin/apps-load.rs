//! The clients of the programs that speak more than HTTP/1.1: always on Tokio, whatever the program runs on.
//!
//! `apps-load chat|grpc PORT CONNECTIONS` connects, and prints `0`. Then, for each line `MILLISECONDS RATE` of its input,
//! it sends requests for that long, and prints the latencies of the responses in nanoseconds as a list of JSON. The rate
//! is in requests per second; 0 is as fast as responses arrive. A wrong or missing response ends the process with an
//! error. It ends when its input ends.

#[path = "../../../apps/hello.rs"]
mod hello;

use std::cell::RefCell;
use std::error::Error;
use std::io::{BufRead, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::task::{JoinSet, LocalSet};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use hello::{HelloReply, HelloRequest, PATH, greeting};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a run waits for missing responses.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls under way on each connection.
const CALLS: usize = 8;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [client, port, connections] = &args[..] else {
        return Err("usage: apps-load chat|grpc PORT CONNECTIONS".into());
    };
    let (port, connections) = (port.parse()?, connections.parse()?);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    let chat = match client.as_str() {
        "chat" => Some(local.block_on(&runtime, Chat::join(port, connections))?),
        "grpc" => None,
        client => return Err(format!("no client is called `{client}`").into()),
    };
    let channels = match chat {
        Some(_) => Vec::new(),
        None => runtime.block_on(channels(port, connections))?,
    };
    say("0")?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (length, rate) = line.split_once(' ').ok_or("a line has a length and a rate")?;
        let length = Duration::from_millis(length.parse()?);
        let rate: f64 = rate.parse()?;
        let pace = Pace { start: Instant::now(), length, rate: (rate > 0.0).then_some(rate) };
        let run = async {
            match &chat {
                Some(chat) => chat.run(pace).await,
                None => calls(&channels, pace).await,
            }
        };
        let run = async { tokio::time::timeout(length + PATIENCE, run).await };
        let latencies = local.block_on(&runtime, run).map_err(|_| "responses are missing")??;
        let list: Vec<String> = latencies.iter().map(|latency| latency.as_nanos().to_string()).collect();
        say(&format!("[{}]", list.join(",")))?;
    }
    Ok(())
}

fn say(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout();
    writeln!(output, "{text}")?;
    output.flush()?;
    Ok(())
}

/// When requests go out.
#[derive(Clone, Copy)]
struct Pace {
    start: Instant,
    length: Duration,
    /// Per second; `None` is as fast as responses arrive.
    rate: Option<f64>,
}

impl Pace {
    /// Waits until the request of this number is due. Returns since when its response is awaited, or `None` at the end.
    ///
    /// A caller that is late because of the responses before measures from when the request was due. If it was early, it
    /// measures from now: the clock of a runtime wakes it up to a millisecond later, which is no latency of the server.
    async fn due(&self, number: usize) -> Option<Instant> {
        let now = Instant::now();
        let due = self.rate.map_or(now, |rate| self.start + Duration::from_secs_f64(number as f64 / rate));
        if due >= self.start + self.length {
            return None;
        }
        if due <= now {
            return Some(due);
        }
        tokio::time::sleep_until(due.into()).await;
        Some(Instant::now())
    }
}

/// The members of a chat room.
struct Chat {
    /// Each member's task passes on what is sent to it.
    first: RefCell<futures_util::stream::SplitSink<WebSocketStream<TcpStream>, Message>>,
    seen: Rc<Seen>,
}

/// What the members have received.
#[derive(Default)]
struct Seen {
    members: usize,
    sent: RefCell<Vec<Instant>>,
    latencies: RefCell<Vec<Duration>>,
    failure: RefCell<Option<Failure>>,
    changed: Notify,
}

impl Chat {
    async fn join(port: u16, members: usize) -> Result<Chat, Failure> {
        let seen = Rc::new(Seen { members, ..Seen::default() });
        let mut first = None;
        for _ in 0..members {
            let stream = TcpStream::connect(("127.0.0.1", port)).await?;
            stream.set_nodelay(true)?;
            let (socket, _) = client_async("ws://localhost/", stream).await?;
            let (sink, mut messages) = socket.split();
            first.get_or_insert(sink);
            let seen = seen.clone();
            drop(tokio::task::spawn_local(async move {
                let mut number = 0;
                loop {
                    let message = messages.next().await;
                    if let Err(failure) = seen.receive(number, message) {
                        seen.failure.replace(Some(failure));
                        seen.changed.notify_one();
                        return;
                    }
                    number += 1;
                }
            }));
        }
        Ok(Chat { first: RefCell::new(first.ok_or("a room has members")?), seen })
    }

    /// The first member speaks, and all members listen. A request is one delivery.
    async fn run(&self, pace: Pace) -> Result<Vec<Duration>, Failure> {
        let pace = Pace { rate: pace.rate.map(|rate| rate / self.seen.members as f64), ..pace };
        let mut count = 0;
        while let Some(due) = pace.due(count).await {
            let number = self.seen.sent.borrow().len();
            self.seen.sent.borrow_mut().push(due);
            // One task speaks, so the borrow conflicts with no other.
            self.first.borrow_mut().send(Message::text(text(number))).await?;
            count += 1;
            if pace.rate.is_none() {
                self.delivered(count).await?;
            }
        }
        self.delivered(count).await?;
        Ok(self.seen.latencies.take())
    }

    /// Waits until all members have received this many messages of the run.
    async fn delivered(&self, messages: usize) -> Result<(), Failure> {
        while self.seen.latencies.borrow().len() < messages * self.seen.members {
            self.seen.changed.notified().await;
            if let Some(failure) = self.seen.failure.take() {
                return Err(failure);
            }
        }
        Ok(())
    }
}

impl Seen {
    /// Notes the next message of one member, which must be the one of this number.
    fn receive(
        &self,
        number: usize,
        message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), Failure> {
        let message = message.ok_or("the server hung up")??;
        let sent = *self.sent.borrow().get(number).ok_or("a message that was not sent")?;
        if message.to_text()? != text(number) {
            return Err(format!("message {number} was expected: {message}").into());
        }
        let mut latencies = self.latencies.borrow_mut();
        latencies.push(sent.elapsed());
        if latencies.len() % self.members == 0 {
            self.changed.notify_one();
        }
        Ok(())
    }
}

/// The message of this number, of the length of a line in a chat.
fn text(number: usize) -> String {
    format!("{number:08} {:.<80}", "so says the first member")
}

async fn channels(port: u16, connections: usize) -> Result<Vec<Channel>, Failure> {
    let mut channels = Vec::new();
    for _ in 0..connections {
        channels.push(Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true).connect().await?);
    }
    Ok(channels)
}

/// Calls on all channels, each with several under way.
async fn calls(channels: &[Channel], pace: Pace) -> Result<Vec<Duration>, Failure> {
    let callers = channels.len() * CALLS;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let channel = channels[caller % channels.len()].clone();
        tasks.spawn(async move {
            let mut client = tonic::client::Grpc::new(channel);
            let mut latencies = Vec::new();
            let mut number = caller;
            while let Some(due) = pace.due(number).await {
                let name = format!("caller {caller}, call {number}");
                let expected = greeting(&name);
                client.ready().await?;
                let codec = ProstCodec::<HelloRequest, HelloReply>::default();
                let request = tonic::Request::new(HelloRequest { name });
                let reply = client.unary(request, PathAndQuery::from_static(PATH), codec).await?;
                if reply.get_ref().message != expected {
                    return Err(format!("{expected:?} was expected: {reply:?}").into());
                }
                latencies.push(due.elapsed());
                number += callers;
            }
            Ok::<_, Failure>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    Ok(latencies)
}

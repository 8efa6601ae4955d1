//! A load generator for HTTP/1.1 whose requests differ, and which compares every byte of the bodies that come back.
//!
//! Called by `apps`. One thread with epoll, as in `load`. Loopback only; each run has a length, and each wait a limit.
//!
//! # Invariants
//! - `one-exchange`: a connection has at most one request under way; `busy` is true then.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::load::{Outcome, Pace};

/// A request, and the body that must come back.
pub struct Exchange {
    request: Vec<u8>,
    body: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    busy: bool,
    due: Instant,
    /// Which exchange is under way, or comes next.
    exchange: usize,
    /// The head of the response, until it is complete.
    head: Vec<u8>,
    /// How much of the body has arrived, once the head is complete.
    body: Option<usize>,
}

pub struct Load {
    epoll: OwnedFd,
    exchanges: Vec<Exchange>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

/// How long a run waits for missing responses.
const PATIENCE: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 16 * 1024;

impl Exchange {
    pub fn get(path: &str, body: Vec<u8>) -> Exchange {
        Exchange { request: format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes(), body }
    }
}

impl Load {
    /// Connection `i` begins with exchange `i`, and each goes through all of them in turn.
    pub fn connect(port: u16, connections: usize, exchanges: Vec<Exchange>) -> io::Result<Load> {
        // SAFETY: the call takes no pointer.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just opened, and nothing else owns it.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        // Without this call, a wait of microseconds takes 50 µs longer.
        // SAFETY: the call takes no pointer.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
        let mut load = Load { epoll, exchanges, connections: Vec::new(), buffer: vec![0; 256 * 1024] };
        for number in 0..connections {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: number as u64 };
            // SAFETY: the kernel reads the event during the call.
            check(unsafe {
                libc::epoll_ctl(load.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, stream.as_raw_fd(), &raw mut event)
            })?;
            let exchange = number % load.exchanges.len();
            let (due, head) = (Instant::now(), Vec::new());
            load.connections.push(Connection { stream, busy: false, due, exchange, head, body: None });
        }
        Ok(load)
    }

    /// Sends requests for this long, and waits for the responses. An error is a missing or a wrong response, too.
    pub fn run(&mut self, pace: Pace, length: Duration) -> io::Result<Outcome> {
        let start = Instant::now();
        let (end, limit) = (start + length, start + length + PATIENCE);
        let mut outcome = Outcome { requests: 0, latencies: Vec::new() };
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut next = start;
        let mut ready = Vec::new();
        loop {
            let now = Instant::now();
            if now > limit {
                return Err(io::Error::other("responses are missing"));
            }
            let all_sent = match pace {
                Pace::Closed => {
                    let over = now >= end;
                    while let Some(number) = if over { None } else { free.pop_front() } {
                        self.send(number, Instant::now())?;
                    }
                    over
                }
                Pace::PerSecond(rate) => {
                    while next <= now && next < end {
                        let Some(number) = free.pop_front() else { break };
                        self.send(number, next)?;
                        next += Duration::from_secs_f64(1.0 / rate);
                    }
                    next >= end
                }
            };
            if all_sent && free.len() == self.connections.len() {
                break;
            }
            let wait = match pace {
                Pace::PerSecond(_) if !all_sent && !free.is_empty() => next.saturating_duration_since(Instant::now()),
                Pace::Closed | Pace::PerSecond(_) => Duration::from_millis(100),
            };
            self.wait(wait, &mut ready)?;
            for number in ready.drain(..) {
                if self.receive(number)? {
                    outcome.requests += 1;
                    outcome.latencies.push(self.connections[number].due.elapsed().as_nanos() as f64);
                    free.push_back(number);
                }
            }
        }
        outcome.latencies.sort_by(f64::total_cmp);
        Ok(outcome)
    }

    fn send(&mut self, number: usize, due: Instant) -> io::Result<()> {
        let connection = &mut self.connections[number];
        assert!(!connection.busy, "`one-exchange`: only a free connection sends");
        (connection.busy, connection.due) = (true, due);
        // A request is shorter than the buffer of an idle socket.
        (&connection.stream).write_all(&self.exchanges[connection.exchange].request)
    }

    /// Reads the available bytes, and returns whether the response is complete.
    fn receive(&mut self, number: usize) -> io::Result<bool> {
        let connection = &mut self.connections[number];
        loop {
            let length = match connection.stream.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::other("the server hung up")),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            if !connection.busy {
                return Err(io::Error::other("a response without a request"));
            }
            let exchange = &self.exchanges[connection.exchange];
            if connection.take(&self.buffer[..length], &exchange.body).map_err(io::Error::other)? {
                (connection.busy, connection.body) = (false, None);
                connection.exchange = (connection.exchange + 1) % self.exchanges.len();
                return Ok(true);
            }
        }
    }

    fn wait(&self, limit: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        let limit = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        // SAFETY: the kernel writes at most as many events as the buffer holds, and reads the limit during the call.
        let count = unsafe {
            libc::epoll_pwait2(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr(),
                events.len() as i32,
                &raw const limit,
                std::ptr::null(),
            )
        };
        match check(count) {
            Ok(count) => ready.extend(events[..count as usize].iter().map(|event| event.u64 as usize)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Connection {
    /// Takes the next bytes of a response, and returns whether it is complete.
    fn take(&mut self, bytes: &[u8], expected: &[u8]) -> Result<bool, String> {
        let (before, bytes) = match self.body {
            Some(before) => (before, bytes),
            None => {
                // The end of a head may be divided between two reads.
                let searched = self.head.len().saturating_sub(3);
                let known = self.head.len();
                self.head.extend_from_slice(&bytes[..bytes.len().min(HEAD_MAX)]);
                let Some(end) = self.head[searched..].windows(4).position(|window| window == b"\r\n\r\n") else {
                    if self.head.len() > HEAD_MAX {
                        return Err("a head that does not end".into());
                    }
                    return Ok(false);
                };
                let end = searched + end + 4;
                check_head(&self.head[..end], expected.len())?;
                self.head.clear();
                (0, &bytes[end - known..])
            }
        };
        let after = before + bytes.len();
        if expected.get(before..after) != Some(bytes) {
            return Err(format!("a wrong body: {} bytes after the first {before} differ", bytes.len()));
        }
        self.body = Some(after);
        Ok(after == expected.len())
    }
}

fn check_head(head: &[u8], length: usize) -> Result<(), String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let lengths = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    if status.starts_with("HTTP/1.1 200") && lengths.eq([Ok(length)]) {
        return Ok(());
    }
    Err(format!("a wrong head; status 200 and {length} bytes were expected: {text}"))
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let stream = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        Connection { stream, busy: true, due: Instant::now(), exchange: 0, head: Vec::new(), body: None }
    }

    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn a_response_is_complete_however_it_is_divided() {
        for first in 1..RESPONSE.len() {
            let mut connection = connection();
            assert_eq!(connection.take(&RESPONSE[..first], b"hello"), Ok(false), "after {first} bytes");
            assert_eq!(connection.take(&RESPONSE[first..], b"hello"), Ok(true), "after {first} bytes");
        }
    }

    #[test]
    fn a_wrong_response_is_an_error() {
        assert!(connection().take(RESPONSE, b"hallo").is_err(), "another body");
        assert!(connection().take(RESPONSE, b"hell").is_err(), "a shorter body");
        assert!(connection().take(RESPONSE, b"hello!").is_err(), "a longer body");
        let refused = b"HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\nhello";
        assert!(connection().take(refused, b"hello").is_err(), "another status");
        let more = [RESPONSE, b"H"].concat();
        assert!(connection().take(&more, b"hello").is_err(), "bytes after the body");
    }
}

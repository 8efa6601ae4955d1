//! The load generator: requests from one thread with epoll. It uses little CPU, and is the same for all servers.
//!
//! Called by `servers`. Loopback only, and it ends by itself: each run has a length, and each wait a limit.
//!
//! # Invariants
//! - `one-in-flight`: a connection has at most one request under way; `busy` is true then.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq)]
pub enum Protocol {
    TcpEcho,
    UdpEcho,
    Http,
}

/// When the next request goes out.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As soon as a connection is free.
    Closed,
    /// At this rate per second, even if the server cannot keep up. Latency is measured from when the request was due,
    /// not from when it was sent.
    PerSecond(f64),
}

pub struct Outcome {
    pub requests: u64,
    /// Nanoseconds, sorted.
    pub latencies: Vec<f64>,
}

struct Connection {
    fd: OwnedFd,
    busy: bool,
    due: Instant,
    received: usize,
    /// The bytes of a response. For HTTP they are known after the first response.
    answer: Option<usize>,
}

pub struct Load {
    protocol: Protocol,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

const ECHO: [u8; 64] = [b'x'; 64];
const HTTP: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
/// How long a run waits for missing responses.
const PATIENCE: Duration = Duration::from_secs(10);

impl Load {
    pub fn connect(protocol: Protocol, port: u16, connections: usize) -> io::Result<Load> {
        // SAFETY: the call takes no pointer, and the descriptor is ours.
        let epoll = unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))? };
        // Without this call, a wait of microseconds takes 50 µs longer.
        // SAFETY: the call takes no pointer.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
        let mut load = Load { protocol, epoll, connections: Vec::new(), buffer: vec![0; 64 * 1024] };
        for number in 0..connections {
            let fd = match protocol {
                Protocol::TcpEcho | Protocol::Http => {
                    let stream = TcpStream::connect(("127.0.0.1", port))?;
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    OwnedFd::from(stream)
                }
                Protocol::UdpEcho => {
                    let socket = UdpSocket::bind("127.0.0.1:0")?;
                    socket.connect(("127.0.0.1", port))?;
                    socket.set_nonblocking(true)?;
                    OwnedFd::from(socket)
                }
            };
            let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: number as u64 };
            // SAFETY: the kernel reads the event during the call.
            check(unsafe {
                libc::epoll_ctl(load.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event)
            })?;
            let answer = if protocol == Protocol::Http { None } else { Some(ECHO.len()) };
            load.connections.push(Connection { fd, busy: false, due: Instant::now(), received: 0, answer });
        }
        Ok(load)
    }

    /// Sends requests for this long, and waits for the responses.
    pub fn run(&mut self, pace: Pace, length: Duration) -> io::Result<Outcome> {
        let start = Instant::now();
        let (end, limit) = (start + length, start + length + PATIENCE);
        let gap = match pace {
            Pace::Closed => Duration::ZERO,
            Pace::PerSecond(rate) => Duration::from_secs_f64(1.0 / rate),
        };
        let mut outcome = Outcome { requests: 0, latencies: Vec::new() };
        let mut free: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut next = start;
        let mut ready = Vec::new();
        loop {
            let now = Instant::now();
            if now > limit {
                return Err(io::Error::other("the server does not answer"));
            }
            match pace {
                Pace::Closed if now < end => {
                    while let Some(number) = free.pop_front() {
                        self.send(number, Instant::now())?;
                    }
                }
                Pace::Closed => {}
                Pace::PerSecond(_) => {
                    while next <= now && next < end {
                        let Some(number) = free.pop_front() else { break };
                        self.send(number, next)?;
                        next += gap;
                    }
                }
            }
            let all_sent = match pace {
                Pace::Closed => now >= end,
                Pace::PerSecond(_) => next >= end,
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
                    let connection = &mut self.connections[number];
                    connection.busy = false;
                    outcome.requests += 1;
                    outcome.latencies.push(connection.due.elapsed().as_nanos() as f64);
                    free.push_back(number);
                }
            }
        }
        outcome.latencies.sort_by(f64::total_cmp);
        Ok(outcome)
    }

    fn send(&mut self, number: usize, due: Instant) -> io::Result<()> {
        let connection = &mut self.connections[number];
        assert!(!connection.busy, "`one-in-flight`: only a free connection sends");
        (connection.busy, connection.due, connection.received) = (true, due, 0);
        let request = if self.protocol == Protocol::Http { HTTP } else { &ECHO };
        // SAFETY: the pointer and length are those of a slice.
        let sent = unsafe { libc::send(connection.fd.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent == request.len() as isize {
            return Ok(());
        }
        Err(io::Error::last_os_error())
    }

    /// Reads the available bytes, and returns whether the response is complete.
    fn receive(&mut self, number: usize) -> io::Result<bool> {
        let connection = &mut self.connections[number];
        let buffer = &mut self.buffer[connection.received..];
        // SAFETY: the kernel writes at most `len` bytes into the buffer.
        let length = unsafe { libc::recv(connection.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        match length {
            0 => return Err(io::Error::other("the server hung up")),
            1.. => connection.received += length as usize,
            _ => {
                let error = io::Error::last_os_error();
                // An edge-triggered event may be for a response that was read before.
                return if error.kind() == io::ErrorKind::WouldBlock { Ok(false) } else { Err(error) };
            }
        }
        if !connection.busy {
            return Err(io::Error::other("an answer to nothing"));
        }
        if connection.answer.is_none() {
            connection.answer = http_length(&self.buffer[..connection.received]);
        }
        Ok(connection.answer.is_some_and(|answer| connection.received >= answer))
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
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        ready.extend(events[..count as usize].iter().map(|event| event.u64 as usize));
        Ok(())
    }
}

/// Bytes of a response with its head, once the head is complete.
fn http_length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).ok()?.to_ascii_lowercase();
    let body: usize = text.split("content-length:").nth(1)?.split("\r\n").next()?.trim().parse().ok()?;
    Some(head + body)
}

fn check(answer: i32) -> io::Result<i32> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// # Safety
/// The caller owns the descriptor.
unsafe fn owned(fd: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: by the safety contract.
    check(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(http_length(answer), Some(answer.len()));
        assert_eq!(http_length(&answer[..20]), None);
    }
}

//! The load generator: requests from one thread with epoll. It uses little CPU, and is the same for all servers.
//!
//! Called by `servers`; `run` is also for other clients. Loopback only, and it ends by itself: each run has a length, and
//! each wait a limit.
//!
//! A latency is what the server is responsible for: from when the request was due until the response was in the
//! client's socket. The kernel says when that was. The generator may read it later, and that delay is its own.
//!
//! # Invariants
//! - `one-in-flight`: a connection has at most one request under way.
//! - `at-once`: what comes next on a connection does not wait for other connections. A response is followed by the next
//!   request before another response is read, and a request that is due is sent before a response is read.

use std::collections::VecDeque;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

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
    /// How late the generator itself was: from when each request was due, and a connection was free, until it was sent.
    /// Nanoseconds, sorted.
    pub lateness: Vec<f64>,
}

impl Outcome {
    /// In microseconds, by the names that rows have for them.
    pub fn values(&self) -> [(&'static str, f64); 4] {
        let at = |sorted: &[f64], part: f64| {
            sorted.get((sorted.len().saturating_sub(1) as f64 * part) as usize).map_or(0.0, |value| value / 1000.0)
        };
        [
            ("latency_median_us", at(&self.latencies, 0.5)),
            ("latency_p99_us", at(&self.latencies, 0.99)),
            ("latency_p99.9_us", at(&self.latencies, 0.999)),
            ("generator_late_p99_us", at(&self.lateness, 0.99)),
        ]
    }
}

/// A moment in nanoseconds of `CLOCK_REALTIME`, the clock of the kernel's timestamps.
pub type Moment = i64;

/// The connections of a load, as [`run`] drives them.
pub trait Client {
    fn connections(&self) -> usize;

    /// Sends the next request on a connection that has none under way.
    fn send(&mut self, connection: usize) -> io::Result<()>;

    /// Reads the available bytes, and returns when the response was complete, if it is.
    fn receive(&mut self, connection: usize) -> io::Result<Option<Moment>>;

    /// Waits for responses, at most this long, and adds their connections.
    fn wait(&self, limit: Duration, ready: &mut VecDeque<usize>) -> io::Result<()>;

    /// The time by the clock of the moments that `receive` returns.
    fn now(&self) -> Moment {
        now()
    }
}

/// How long a run waits for missing responses.
const PATIENCE: Moment = 10 * SECOND;
const SECOND: Moment = 1_000_000_000;

/// Sends requests for this long, and waits for the responses.
pub fn run(client: &mut impl Client, pace: Pace, length: Duration) -> io::Result<Outcome> {
    let start = client.now();
    let end = start + length.as_nanos() as Moment;
    let mut outcome = Outcome { requests: 0, latencies: Vec::new(), lateness: Vec::new() };
    let mut free: VecDeque<usize> = (0..client.connections()).collect();
    let mut due_at = vec![start; client.connections()];
    let mut sent: u64 = 0;
    let mut free_since = start;
    let mut ready = VecDeque::new();
    loop {
        let mut now_at = client.now();
        // `at-once`: before a response is read.
        let next = loop {
            let next = match pace {
                Pace::Closed => now_at,
                // Not the sum of the gaps: their rounding would change the rate.
                Pace::PerSecond(rate) => start + (sent as f64 / rate * SECOND as f64) as Moment,
            };
            if next > now_at || next >= end {
                break next;
            }
            let Some(connection) = free.pop_front() else { break next };
            due_at[connection] = next;
            outcome.lateness.push((now_at - next.max(free_since)).max(0) as f64);
            client.send(connection)?;
            sent += 1;
            now_at = client.now();
        };
        if next >= end && free.len() == client.connections() {
            break;
        }
        if now_at > end + PATIENCE {
            return Err(io::Error::other("the server does not answer"));
        }
        let Some(connection) = ready.pop_front() else {
            let until_next = Duration::from_nanos((next - now_at).max(0) as u64);
            let idle = if next < end && !free.is_empty() { until_next } else { Duration::from_millis(100) };
            client.wait(idle, &mut ready)?;
            continue;
        };
        if let Some(arrived) = client.receive(connection)? {
            outcome.requests += 1;
            outcome.latencies.push((arrived - due_at[connection]).max(0) as f64);
            if free.is_empty() {
                free_since = arrived;
            }
            free.push_back(connection);
        }
    }
    outcome.latencies.sort_by(f64::total_cmp);
    outcome.lateness.sort_by(f64::total_cmp);
    Ok(outcome)
}

struct Connection {
    fd: OwnedFd,
    busy: bool,
    received: usize,
    /// The bytes of a response. For HTTP they are known once the first head is complete.
    answer: Option<usize>,
    /// What has arrived while `answer` is not known. The pieces of several connections may come in turns.
    beginning: Vec<u8>,
}

pub struct Load {
    protocol: Protocol,
    epoll: Epoll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

const ECHO: [u8; 64] = [b'x'; 64];
const HTTP: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

impl Load {
    pub fn connect(protocol: Protocol, port: u16, connections: usize) -> io::Result<Load> {
        let mut load = Load { protocol, epoll: Epoll::new()?, connections: Vec::new(), buffer: vec![0; 64 * 1024] };
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
            load.epoll.watch(&fd, number)?;
            let answer = if protocol == Protocol::Http { None } else { Some(ECHO.len()) };
            load.connections.push(Connection { fd, busy: false, received: 0, answer, beginning: Vec::new() });
        }
        Ok(load)
    }
}

impl Client for Load {
    fn connections(&self) -> usize {
        self.connections.len()
    }

    fn send(&mut self, connection: usize) -> io::Result<()> {
        let connection = &mut self.connections[connection];
        assert!(!connection.busy, "`one-in-flight`: only a free connection sends");
        (connection.busy, connection.received) = (true, 0);
        let request = if self.protocol == Protocol::Http { HTTP } else { &ECHO };
        // SAFETY: the pointer and length are those of a slice.
        let sent = unsafe { libc::send(connection.fd.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
        if sent == request.len() as isize {
            return Ok(());
        }
        Err(io::Error::last_os_error())
    }

    fn receive(&mut self, connection: usize) -> io::Result<Option<Moment>> {
        let connection = &mut self.connections[connection];
        let (length, arrived) = match receive(&connection.fd, &mut self.buffer) {
            Ok((0, _)) => return Err(io::Error::other("the server hung up")),
            Ok(received) => received,
            // An edge-triggered event may be for a response that was read before.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        connection.received += length;
        if !connection.busy {
            return Err(io::Error::other("an answer to nothing"));
        }
        if connection.answer.is_none() {
            connection.beginning.extend_from_slice(&self.buffer[..length]);
            connection.answer = http_length(&connection.beginning);
        }
        let complete = connection.answer.is_some_and(|answer| connection.received >= answer);
        connection.busy = !complete;
        Ok(complete.then_some(arrived))
    }

    fn wait(&self, limit: Duration, ready: &mut VecDeque<usize>) -> io::Result<()> {
        self.epoll.wait(limit, ready)
    }
}

/// The descriptors of a client's connections, edge-triggered, with their numbers.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // Without this call, a wait of microseconds takes 50 µs longer.
        // SAFETY: the call takes no pointer.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
        // SAFETY: the call takes no pointer, and the descriptor is ours.
        Ok(Epoll(unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))? }))
    }

    /// Reports the descriptor's events under this number. Its received bytes get timestamps.
    pub fn watch(&self, fd: &impl AsRawFd, number: usize) -> io::Result<()> {
        let on: i32 = 1;
        // SAFETY: the kernel reads an integer of the given size during the call.
        check(unsafe {
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_TIMESTAMPNS,
                (&raw const on).cast(),
                size_of_val(&on) as u32,
            )
        })?;
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: number as u64 };
        // SAFETY: the kernel reads the event during the call.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &raw mut event) })?;
        Ok(())
    }

    pub fn wait(&self, limit: Duration, ready: &mut VecDeque<usize>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        let limit = libc::timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        // SAFETY: the kernel writes at most as many events as the buffer holds, and reads the limit during the call.
        let count = unsafe {
            libc::epoll_pwait2(
                self.0.as_raw_fd(),
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

/// Reads from a socket that [`Epoll::watch`] has prepared. Returns how much, and when the last byte of it had arrived.
pub fn receive(fd: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(usize, Moment)> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // Room for one timestamp, aligned as its header needs.
    let mut control = [0_u64; 8];
    // SAFETY: zeroes are a valid value of the structure.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    (message.msg_control, message.msg_controllen) = (control.as_mut_ptr().cast(), size_of_val(&control));
    // SAFETY: the message's pointers and lengths are those of the two buffers.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has filled the message, whose buffers still exist.
    let arrived = unsafe { timestamp(&message) };
    // The kernel begins with timestamps a moment after the first socket asks for them.
    Ok((length as usize, arrived.unwrap_or_else(now)))
}

/// # Safety
/// `recvmsg` filled the message, and its buffers still exist.
unsafe fn timestamp(message: &libc::msghdr) -> Option<Moment> {
    // SAFETY: by the safety contract.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: the kernel wrote this header.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: this kind of header is followed by a `timespec`, perhaps unaligned.
            return Some(moment(unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() }));
        }
        // SAFETY: by the safety contract.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

fn now() -> Moment {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes the time during the call.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    moment(time)
}

fn moment(time: libc::timespec) -> Moment {
    time.tv_sec * SECOND + time.tv_nsec
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
    use std::cell::Cell;
    use std::ops::Range;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(http_length(answer), Some(answer.len()));
        assert_eq!(http_length(&answer[..20]), None);
    }

    #[test]
    fn responses_whose_pieces_come_in_turns_are_told_apart() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let port = listener.local_addr().expect("it is bound").port();
        let mut load = Load::connect(Protocol::Http, port, 2).expect("it listens");
        let accept = || listener.accept().expect("both clients came").0;
        let mut servers = [accept(), accept()];
        let responses = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".as_slice(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nhello, salmon!",
        ];
        for connection in [0, 1] {
            load.send(connection).expect("the server is there");
        }
        // The number of the header is divided.
        let mut pieces = |range: fn(usize) -> Range<usize>| {
            [0, 1].map(|connection| {
                let piece = &responses[connection][range(responses[connection].len())];
                servers[connection].write_all(piece).expect("the client is there");
                loop {
                    let before = load.connections[connection].received;
                    let arrived = load.receive(connection).expect("the server is there");
                    if load.connections[connection].received - before == piece.len() {
                        return arrived.is_some();
                    }
                }
            })
        };
        assert_eq!(pieces(|_| 0..34), [false, false]);
        assert_eq!(pieces(|len| 34..len), [true, true]);
        let lengths = load.connections.iter().map(|connection| connection.answer);
        assert!(lengths.eq(responses.map(|response| Some(response.len()))));
    }

    /// A server of which each response takes this long, with a clock of its own. One connection.
    struct Slow {
        response: Duration,
        arrives: Option<Moment>,
        clock: Cell<Moment>,
    }

    const MS: Moment = 1_000_000;

    impl Slow {
        fn new() -> Slow {
            Slow { response: Duration::from_millis(2), arrives: None, clock: Cell::new(SECOND) }
        }
    }

    impl Client for Slow {
        fn connections(&self) -> usize {
            1
        }

        fn send(&mut self, _: usize) -> io::Result<()> {
            self.arrives = Some(self.clock.get() + self.response.as_nanos() as Moment);
            Ok(())
        }

        fn receive(&mut self, _: usize) -> io::Result<Option<Moment>> {
            Ok(self.arrives.take())
        }

        fn wait(&self, _: Duration, ready: &mut VecDeque<usize>) -> io::Result<()> {
            // The response is read late; that is not the server's time.
            self.clock.set(self.clock.get() + self.response.as_nanos() as Moment * 3);
            ready.push_back(0);
            Ok(())
        }

        fn now(&self) -> Moment {
            self.clock.get()
        }
    }

    #[test]
    fn a_latency_ends_when_the_response_arrived_not_when_it_is_read() {
        let outcome = run(&mut Slow::new(), Pace::Closed, Duration::from_millis(20)).expect("it answers");
        // At 0, 6, 12 and 18 ms.
        assert_eq!(outcome.latencies, [2.0 * MS as f64; 4]);
    }

    #[test]
    fn a_latency_begins_when_the_request_was_due_not_when_it_was_sent() {
        // A request is due each millisecond, and the only connection is free each sixth.
        let outcome = run(&mut Slow::new(), Pace::PerSecond(1000.0), Duration::from_millis(40)).expect("it answers");
        let expected: Vec<f64> = (0..40).map(|number| ((5 * number + 2) * MS) as f64).collect();
        assert_eq!(outcome.latencies, expected);
    }

    #[test]
    fn the_kernel_says_when_bytes_arrived() {
        use std::io::Write;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        let (mut server, _) = listener.accept().expect("the client came");
        let epoll = Epoll::new().expect("there is room");
        epoll.watch(&client, 7).expect("a socket can be watched");
        let mut buffer = [0; 16];
        let mut is_stamped = |server: &mut TcpStream| {
            let sent = now();
            server.write_all(b"hello").expect("the client is there");
            let mut ready = VecDeque::new();
            while ready.is_empty() {
                epoll.wait(Duration::from_secs(10), &mut ready).expect("it is an epoll");
            }
            assert_eq!(ready, [7]);
            let noticed = now();
            let (length, arrived) = receive(&client, &mut buffer).expect("it was sent");
            assert_eq!(length, 5);
            assert!(sent <= arrived);
            // Otherwise it is the time of the call.
            arrived <= noticed
        };
        // The kernel begins with timestamps a moment after the first socket asks for them.
        assert!((0..1000).any(|_| is_stamped(&mut server)));
    }
}

//! Connections for HTTP/1.1 whose requests differ, and which compare every byte of the bodies that come back.
//!
//! Called by `apps`; `load::run` drives them.
//!
//! # Invariants
//! - `one-exchange`: a connection has at most one request under way; `busy` is true then.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::load::{Client, Epoll, Moment, receive};

/// A request, and the body that must come back.
pub struct Exchange {
    request: Vec<u8>,
    body: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    busy: bool,
    /// Which exchange is under way, or comes next.
    exchange: usize,
    /// The head of the response, until it is complete.
    head: Vec<u8>,
    /// How much of the body has arrived, once the head is complete.
    body: Option<usize>,
}

pub struct Exchanges {
    epoll: Epoll,
    exchanges: Vec<Exchange>,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

const HEAD_MAX: usize = 16 * 1024;

impl Exchange {
    pub fn get(path: &str, body: Vec<u8>) -> Exchange {
        Exchange { request: format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes(), body }
    }
}

impl Exchanges {
    /// Connection `i` begins with exchange `i`, and each goes through all of them in turn.
    pub fn connect(port: u16, connections: usize, exchanges: Vec<Exchange>) -> io::Result<Exchanges> {
        let mut load =
            Exchanges { epoll: Epoll::new()?, exchanges, connections: Vec::new(), buffer: vec![0; 256 * 1024] };
        for number in 0..connections {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            load.epoll.watch(&stream, number)?;
            let exchange = number % load.exchanges.len();
            load.connections.push(Connection { stream, busy: false, exchange, head: Vec::new(), body: None });
        }
        Ok(load)
    }
}

/// A missing or a wrong response is an error, too.
impl Client for Exchanges {
    fn connections(&self) -> usize {
        self.connections.len()
    }

    fn send(&mut self, connection: usize) -> io::Result<()> {
        let connection = &mut self.connections[connection];
        assert!(!connection.busy, "`one-exchange`: only a free connection sends");
        connection.busy = true;
        // A request is shorter than the buffer of an idle socket.
        connection.stream.write_all(&self.exchanges[connection.exchange].request)
    }

    fn receive(&mut self, connection: usize) -> io::Result<Option<Moment>> {
        let connection = &mut self.connections[connection];
        loop {
            let (length, arrived) = match receive(&connection.stream, &mut self.buffer) {
                Ok((0, _)) => return Err(io::Error::other("the server hung up")),
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            if !connection.busy {
                return Err(io::Error::other("a response without a request"));
            }
            let exchange = &self.exchanges[connection.exchange];
            if connection.take(&self.buffer[..length], &exchange.body).map_err(io::Error::other)? {
                (connection.busy, connection.body) = (false, None);
                connection.exchange = (connection.exchange + 1) % self.exchanges.len();
                return Ok(Some(arrived));
            }
        }
    }

    fn wait(&self, limit: Duration, ready: &mut VecDeque<usize>) -> io::Result<()> {
        self.epoll.wait(limit, ready)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a port");
        let stream = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
        Connection { stream, busy: true, exchange: 0, head: Vec::new(), body: None }
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

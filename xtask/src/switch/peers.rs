//! What clients and tunnels talk to: servers of this lane, on threads that end with it.
//!
//! Called by `switch::trial`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

/// A server that returns each byte, and its port.
pub(super) fn echo() -> Result<u16, String> {
    serve(|mut stream| {
        let mut answers = stream.try_clone()?;
        std::io::copy(&mut stream, &mut answers).map(drop)
    })
}

/// A web server of HTTP/1.1 that keeps connections, and its port. A `GET` returns the path, a `POST` the body.
pub(super) fn web() -> Result<u16, String> {
    serve(|stream| {
        let mut answers = stream.try_clone()?;
        let mut requests = BufReader::new(stream);
        while let Some(Request { line, body, is_last }) = request(&mut requests)? {
            let path = line.split(' ').nth(1).unwrap_or_default();
            let text = if line.starts_with("GET ") { format!("you asked for {path}\n") } else { body };
            let length = text.len();
            write!(answers, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{text}")?;
            if is_last {
                break;
            }
        }
        Ok(())
    })
}

/// A port of the loopback interface that is free now.
pub(super) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    line: String,
    body: String,
    /// Whether the client wants the connection to end behind it.
    is_last: bool,
}

/// The next request; nothing at the end of the connection.
fn request(stream: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut first = String::new();
    if stream.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let (mut length, mut is_last) = (0, false);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().map_err(std::io::Error::other)?;
        }
        is_last |= line == "connection: close";
    }
    let mut body = String::new();
    stream.take(length).read_to_string(&mut body)?;
    Ok(Some(Request { line: first.trim_end().to_owned(), body, is_last }))
}

/// A thread for each connection. A connection that breaks ends its thread, and is seen by the program that is tried.
fn serve(connection: fn(TcpStream) -> std::io::Result<()>) -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| format!("no free port: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let serve = move || {
                let _ = connection(stream);
            };
            let _ = std::thread::Builder::new().name("switch-connection".to_owned()).spawn(serve);
        }
    };
    let thread = std::thread::Builder::new().name("switch-peer".to_owned()).spawn(accept);
    thread.map(|_| port).map_err(|error| format!("no thread for a server: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_one_after_the_other() {
        let mut text =
            "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nConnection: close\r\n\r\n".as_bytes();
        let mut next = || request(&mut text).expect("it is whole");
        let first = Request { line: "POST /a HTTP/1.1".to_owned(), body: "abc".to_owned(), is_last: false };
        assert_eq!(next(), Some(first));
        let second = Request { line: "GET /b HTTP/1.1".to_owned(), body: String::new(), is_last: true };
        assert_eq!(next(), Some(second));
        assert_eq!(next(), None, "the end is no error");
    }
}

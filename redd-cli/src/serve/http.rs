//! HTTP for a few readers on the same machine: one request for each connection, `GET` only.
//!
//! Called by `metrics` and `web`.
//!
//! # Invariants
//! - `known-host`: a server on loopback replies only to requests for a loopback host. So a page of another site whose name is made
//!   to lead to this machine (DNS rebinding) reads nothing.
//! - `bounded-connection`: a client that says nothing or reads nothing is dropped after a while, and there is a limit on the number of
//!   clients.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, str};

use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use redd::io::{AsyncRead, AsyncWrite, ReadBuf};
use redd::net::{TcpListener, TcpStream};
use redd::sync::{Mutex, Semaphore};

/// How long a connection may take (`bounded-connection`). A process that is busy may need ten seconds for a reply.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many connections there may be at a time (`bounded-connection`).
const CONNECTIONS: usize = 64;

/// What a client wants.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    /// The content types that it takes.
    pub(super) accept: String,
}

/// What it gets.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: String,
}

pub(super) const TEXT: &str = "text/plain; charset=utf-8";

impl Answer {
    /// A sentence.
    pub(super) fn sentence(status: StatusCode, sentence: &str) -> Self {
        Self { status, content_type: TEXT, headers: Vec::new(), body: format!("{sentence}\n") }
    }

    fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.extend(self.headers);
        response
    }
}

/// Serves clients for as long as the future lives. `answer` runs on a thread of its own, for one request at a time.
pub(super) async fn serve(listener: TcpListener, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let server = Arc::new(Server { is_local, turn: Mutex::new(()), answer: Box::new(answer) });
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No descriptor is left, or the client has gone.
            redd::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let server = Arc::clone(&server);
        redd::spawn(async move {
            let service = service_fn(|request| reply(&server, request));
            let connection = http1::Builder::new().keep_alive(false).serve_connection(Io(stream), service);
            // A client that breaks off, or that does not speak HTTP, is no reason for a report.
            let _ = redd::time::timeout(PATIENCE, connection).await;
            drop(permit);
        });
    }
}

struct Server {
    is_local: bool,
    turn: Mutex<()>,
    answer: Box<dyn Fn(&Asked) -> Answer + Send + Sync>,
}

async fn reply(server: &Arc<Server>, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let answer = match refusal(server.is_local, &request) {
        Some(refusal) => refusal,
        None => {
            let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            let asked = Asked { path: request.uri().path().to_owned(), accept: accept.unwrap_or_default().to_owned() };
            let _turn = server.turn.lock().await;
            let server = Arc::clone(server);
            let answered = redd::task::spawn_blocking(move || (server.answer)(&asked)).await;
            answered.unwrap_or_else(|_| Answer::sentence(StatusCode::INTERNAL_SERVER_ERROR, "The reply panicked."))
        }
    };
    Ok(answer.into_response())
}

/// Why a request is refused, whatever it asks for.
fn refusal<B>(is_local: bool, request: &Request<B>) -> Option<Answer> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if is_local && !host.is_some_and(is_loopback) {
        return Some(Answer::sentence(
            StatusCode::FORBIDDEN,
            "The host of the request is not this machine's. Use `localhost` or `127.0.0.1`.",
        ));
    }
    if request.method() != Method::GET {
        let mut answer = Answer::sentence(StatusCode::METHOD_NOT_ALLOWED, "There is only `GET`: requests only read.");
        answer.headers.push((header::ALLOW, HeaderValue::from_static("GET")));
        return Some(answer);
    }
    None
}

/// Whether the value of a `Host` header is this machine under a name that no DNS server can give away (`known-host`). Its port may be
/// that of a tunnel.
fn is_loopback(host: &str) -> bool {
    let has_port =
        |text: &str| text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let is_localhost = |name: &str| name.eq_ignore_ascii_case("localhost");
    if let Some((address, rest)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return has_port(rest) && address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    }
    let name = host.find(':').map_or(host, |colon| &host[..colon]);
    has_port(&host[name.len()..])
        && (is_localhost(name) || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

/// An address to listen on: `9100` and `:9100` are ports of loopback.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix(':').unwrap_or(text).parse::<u16>();
    let address = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
    match (port.ok().or(address), text.parse()) {
        (Some(port), _) => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        (None, Ok(address)) => Ok(address),
        (None, Err(_)) => {
            Err("an address is a port such as `9100`, or an IP address and a port such as `0.0.0.0:9100`".to_owned())
        }
    }
}

/// A connection as hyper uses it.
struct Io(TcpStream);

impl hyper::rt::Read for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut to: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [0; 4096];
        let len = bytes.len().min(to.remaining());
        let mut buf = ReadBuf::new(&mut bytes[..len]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        to.put_slice(buf.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redd::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn only_hosts_that_no_dns_server_can_give_away_are_this_machine() {
        for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.0.0.1:9100", "127.9.9.9:1", "[::1]", "[::1]:65535"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            ":80",
            "example.org",
            "example.org:9100",
            "localhost.example.org",
            "127.0.0.1.example.org",
            "127.0.0.1@example.org",
            "localhost:x",
            "localhost:99999",
            "localhost:80:80",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "::1",
            "0.0.0.0",
            "localhost/",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_on_loopback() {
        for (text, address) in [
            ("9100", "127.0.0.1:9100"),
            (":9100", "127.0.0.1:9100"),
            ("localhost:9100", "127.0.0.1:9100"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("0.0.0.0:9100", "0.0.0.0:9100"),
            ("[::1]:9100", "[::1]:9100"),
        ] {
            assert_eq!(parse_address(text).map(|address| address.to_string()).as_deref(), Ok(address));
        }
        for text in ["", "x", "example.org:80", "127.0.0.1", "99999", "::1"] {
            assert!(parse_address(text).is_err_and(|why| why.contains("0.0.0.0:9100")), "{text}");
        }
    }

    /// What a server on loopback sends for this text.
    async fn exchange(request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let answer = |asked: &Asked| Answer::sentence(StatusCode::OK, &format!("{} for {}", asked.path, asked.accept));
        let server = redd::spawn(serve(listener, answer));
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("text");
        server.abort();
        text
    }

    #[test]
    fn requests_get_an_answer_and_the_headers_that_keep_it_private() {
        super::super::runtime().expect("a runtime").block_on(async {
            let text = exchange("GET /a?b HTTP/1.1\r\nHost: localhost\r\nAccept: x/y\r\n\r\n").await;
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n/a for x/y\n"), "{text}");
            for header in [
                "content-type: text/plain; charset=utf-8",
                "cache-control: no-store",
                "x-content-type-options: nosniff",
                "connection: close",
            ] {
                assert!(text.contains(header), "{text}");
            }
            for request in ["GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
                let text = exchange(request).await;
                assert!(text.contains(" 403 Forbidden") && text.contains("Use `localhost`"), "{text}");
            }
            for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
                let text = exchange(&format!("{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
                assert!(text.starts_with("HTTP/1.1 405 ") && text.contains("allow: GET\r\n"), "{text}");
            }
            let text = exchange("what is this?\r\n\r\n").await;
            assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        });
    }

    #[test]
    fn a_client_that_says_nothing_is_dropped() {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            assert_eq!(exchange("").await, "");
        });
    }

    use redd::runtime::Builder;
}

//! A small site inside the binary, so that the crawler can be tried on a machine without a network.
//!
//! Called by `main` when there are no arguments. It is also a small example of a server on redd: a listener, and a task
//! per connection in a `JoinSet`.

use std::io;
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use redd::net::{TcpListener, TcpStream};

/// How long the slow page takes.
const SLOW: Duration = Duration::from_millis(600);
/// The longest request head in bytes. A longer one is an error of the client.
const REQUEST_MAX: usize = 8 * 1024;

/// The pages of the site that a crawl has to find broken.
pub(crate) const BROKEN: [&str; 4] = ["/missing.html", "/never.html", "/round/a", "/round/b"];
/// How many good pages it has to find.
pub(crate) const GOOD: usize = 7;
/// How many redirects lead somewhere.
pub(crate) const REDIRECTS: usize = 1;
/// How many pages robots.txt forbids.
pub(crate) const FORBIDDEN: usize = 1;

enum Reply {
    Page(&'static str, &'static str),
    Moved(&'static str),
    Missing,
    Never,
}

fn reply(path: &str) -> Reply {
    const HTML: &str = "text/html; charset=utf-8";
    match path {
        "/" => Reply::Page(
            HTML,
            "<!doctype html><title>A redd</title><link rel=stylesheet href=style.css><h1>A redd</h1>
             <a href=eggs.html>eggs</a> <a href=fry.html>fry</a> <a href=slow.html>a slow page</a>
             <a href=old.html>an old address</a> <a href=never.html>a page that never answers</a>
             <a href=round/a>an endless redirect</a> <a href=private/nest.html>a private page</a>",
        ),
        "/eggs.html" => Reply::Page(
            HTML,
            "<!doctype html><title>Eggs</title><a href=/>up</a> <a href=missing.html>a broken link</a>",
        ),
        "/fry.html" => Reply::Page(
            HTML,
            "<!doctype html><title>Fry</title><a href=/>up</a> <a href=eggs.html#many>eggs</a>
             <a href=missing.html>the same broken link</a> <img src=fry.svg>",
        ),
        "/slow.html" => Reply::Page(HTML, "<!doctype html><title>Slow</title><a href=/>up</a>"),
        "/new.html" => Reply::Page(HTML, "<!doctype html><title>New</title><a href=/>up</a>"),
        "/private/nest.html" => Reply::Page(HTML, "<!doctype html><title>Forbidden by robots.txt</title>"),
        "/style.css" => Reply::Page("text/css", "h1 { color: salmon }"),
        "/fry.svg" => Reply::Page("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "/robots.txt" => Reply::Page("text/plain", "User-agent: *\nDisallow: /private/\n"),
        "/old.html" => Reply::Moved("/new.html"),
        "/round/a" => Reply::Moved("/round/b"),
        "/round/b" => Reply::Moved("/round/a"),
        "/never.html" => Reply::Never,
        _ => Reply::Missing,
    }
}

/// Serves the site until it is dropped, and all connections with it.
///
/// # Errors
/// If the listener fails.
pub(crate) async fn serve(listener: TcpListener) -> io::Result<()> {
    let mut connections = redd::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        // Remove finished tasks, otherwise the set only grows.
        while connections.try_join_next().is_some() {}
        // If a client disconnects, the site goes on.
        connections.spawn(async move { serve_connection(stream).await.ok() });
    }
}

async fn serve_connection(mut stream: TcpStream) -> io::Result<()> {
    let (input, mut output) = stream.split();
    let mut input = BufReader::new(input);
    loop {
        let Some(path) = request(&mut input).await? else {
            return Ok(());
        };
        if path == "/slow.html" {
            redd::time::sleep(SLOW).await;
        }
        let text = match reply(&path) {
            Reply::Page(kind, body) => response("200 OK", &format!("Content-Type: {kind}\r\n"), body),
            Reply::Moved(to) => response("301 Moved Permanently", &format!("Location: {to}\r\n"), ""),
            Reply::Missing => response("404 Not Found", "", "nothing here"),
            Reply::Never => std::future::pending().await,
        };
        output.write_all(text.as_bytes()).await?;
    }
}

fn response(status: &str, header: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// The path of the next request. None if the client has closed the connection.
async fn request(input: &mut (impl redd::io::AsyncBufRead + Unpin)) -> io::Result<Option<String>> {
    let mut path = None;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        length += input.read_line(&mut line).await?;
        if line.is_empty() || length > REQUEST_MAX {
            return Ok(None);
        }
        if line.trim_end().is_empty() {
            return Ok(path);
        }
        if path.is_none() {
            path = line.split(' ').nth(1).map(str::to_owned);
        }
    }
}

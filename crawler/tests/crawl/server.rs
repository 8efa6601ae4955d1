//! A small HTTP server on loopback. A test chooses its responses, byte for byte.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use redd::net::{TcpListener, TcpStream};

/// The pause of a slow server.
const PAUSE: Duration = Duration::from_millis(50);

/// What the server does with a request.
pub(crate) enum Act {
    /// Sends these bytes and closes the connection.
    Send(Vec<u8>),
    /// Sends these, with a pause before each, and closes the connection.
    SendSlowly(Vec<Vec<u8>>),
    /// Sends this, then nothing more, and keeps the connection open.
    Hang(String),
    /// Resets the connection.
    Reset,
}

/// A request, as far as the tests check it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The header lines in lower case, except for their values.
    headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// An HTML page.
pub(crate) fn page(body: &str) -> Act {
    answer("200 OK", "Content-Type: text/html\r\n", body)
}

/// An answer with a status, header lines and a body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    bytes(status, headers, body.as_bytes())
}

/// Like [`answer`], with a body that need not be text.
pub(crate) fn bytes(status: &str, headers: &str, body: &[u8]) -> Act {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Act::Send([head.as_bytes(), body].concat())
}

/// The answer for a file that does not exist.
pub(crate) fn missing() -> Act {
    answer("404 Not Found", "", "")
}

/// Serves `site` on a free port for as long as the runtime lives. Returns its address without a slash at the end.
pub(crate) async fn serve(site: impl Fn(&str) -> Act + Send + Sync + 'static) -> String {
    serve_requests(move |request| site(&request.path)).await
}

/// Like [`serve`], for a site that looks at the whole request.
pub(crate) async fn serve_requests(site: impl Fn(&Request) -> Act + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("http://{}", listener.local_addr().unwrap());
    let site = Arc::new(site);
    redd::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let site = Arc::clone(&site);
            redd::spawn(async move { serve_connection(stream, &*site).await });
        }
    });
    home
}

async fn serve_connection(stream: TcpStream, site: &(impl Fn(&Request) -> Act + Sync)) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        line.clear();
    }
    match site(&Request { method, path, headers }) {
        Act::Send(bytes) => {
            stream.write_all(&bytes).await?;
            stream.flush().await
        }
        Act::SendSlowly(pieces) => {
            for piece in pieces {
                redd::time::sleep(PAUSE).await;
                stream.write_all(&piece).await?;
                stream.flush().await?;
            }
            Ok(())
        }
        Act::Hang(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Act::Reset => stream.get_ref().set_zero_linger(),
    }
}

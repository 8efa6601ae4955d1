//! redd with one current-thread runtime per worker, and no work shared between them: what a ring per thread gives up,
//! too. So this shows how much of its gain is that of the ring.

use std::convert::Infallible;
use std::net::TcpStream;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::sync::mpsc::UnboundedReceiver;

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Echo,
    Http,
}

/// Serves the connections that come through the channel, forever.
pub fn serve(kind: Kind, mut connections: UnboundedReceiver<TcpStream>) {
    let runtime = rt::runtime::Builder::new_current_thread().enable_all().build().expect("the system has room");
    runtime.block_on(async move {
        while let Some(stream) = connections.recv().await {
            let stream = rt::net::TcpStream::from_std(stream).expect("an open socket can be watched");
            match kind {
                Kind::Echo => drop(rt::spawn(echo(stream))),
                Kind::Http => drop(rt::spawn(http(stream))),
            }
        }
    });
}

async fn echo(mut stream: rt::net::TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn http(stream: rt::net::TcpStream) {
    let answer = |_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello, world!"))))
    };
    // A client that disconnects is no error here.
    drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await);
}

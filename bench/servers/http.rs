//! HTTP: a greeting through hyper and through axum, and a service that does several things per request.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rt::net::TcpListener;
use rt::sync::{mpsc, oneshot};

const GREETING: &str = "Hello, world!";

pub async fn hyper() -> u16 {
    serve(|| async { Bytes::from_static(GREETING.as_bytes()) }).await
}

pub async fn axum() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    let service = axum::Router::new().route("/", axum::routing::get(|| async { GREETING }));
    drop(rt::spawn(async move { axum::serve(listener, service).await }));
    port
}

/// A request waits for a millisecond, computes a checksum on a blocking thread, and gets its number from a task that
/// counts. A timer ticks at the same time.
pub async fn mixed() -> u16 {
    let (requests, mut at_counter) = mpsc::channel::<oneshot::Sender<u64>>(64);
    drop(rt::spawn(async move {
        let mut tick = rt::time::interval(Duration::from_millis(10));
        let mut count = 0;
        loop {
            rt::select! {
                _ = tick.tick() => {}
                request = at_counter.recv() => match request {
                    Some(reply) => {
                        count += 1;
                        // A client that has disconnected does not need its number.
                        let _ = reply.send(count);
                    }
                    None => return,
                }
            }
        }
    }));
    serve(move || {
        let requests = requests.clone();
        async move {
            rt::time::sleep(Duration::from_millis(1)).await;
            let sum =
                rt::task::spawn_blocking(|| (0..4096_u64).fold(7, |sum, byte| std::hint::black_box(sum * 31 + byte)));
            let sum = sum.await.expect("does not panic");
            let (reply, number) = oneshot::channel();
            requests.send(reply).await.expect("the counter lives");
            let number = number.await.expect("the counter answers");
            // Each response has the same length.
            Bytes::from(format!("{number:010} {sum:020}"))
        }
    })
    .await
}

async fn serve<F>(answer: impl Fn() -> F + Clone + Send + 'static) -> u16
where
    F: Future<Output = Bytes> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("TCP can do it");
            let answer = answer.clone();
            drop(rt::spawn(async move {
                let service = service_fn(move |_: Request<Incoming>| {
                    let body = answer();
                    async move { Ok::<_, Infallible>(Response::new(Full::new(body.await))) }
                });
                // A client that disconnects is no error here.
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            }));
        }
    }));
    port
}

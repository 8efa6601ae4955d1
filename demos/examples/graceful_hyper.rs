//! A service on hyper that shuts down without losing a request.
//!
//! `cargo run -p demos --example graceful_hyper`, then `curl localhost:3000/slow`, and Ctrl-C meanwhile.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use redd::group::{Phases, Report, TaskGroup};
use tokio::net::TcpListener;

/// What the requests share.
struct Service {
    phases: Phases,
    accepted: AtomicUsize,
}

impl Service {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        let path = request.uri().path();
        // The phase `requests` waits for it. The report has its path if it is left.
        let _hold = self.phases.hold("requests", path);
        let count = if path == "/accepted" { 0 } else { 1 };
        let accepted = self.accepted.fetch_add(count, Ordering::Relaxed);
        let text = match path {
            "/accepted" => accepted.to_string(),
            // Answers when the shutdown has begun: the request that has just come when the signal does.
            "/slow" => {
                self.phases.accepting().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
                "slow".to_owned()
            }
            "/hang" => std::future::pending().await,
            _ => "quick".to_owned(),
        };
        Ok(Response::new(text))
    }

    /// Accepts connections until the shutdown begins, and then waits until all are closed.
    fn accept(self: Arc<Self>, listener: TcpListener) -> impl Future<Output = ()> + Send {
        let connections = TaskGroup::discarding().name("connection").in_phase(&self.phases, "requests").start();
        let accepting = self.phases.accepting();
        async move {
            let graceful = GracefulShutdown::new();
            let mut accepting = pin!(accepting);
            loop {
                let stream = tokio::select! {
                    () = &mut accepting => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        // For example, no descriptors are left.
                        Err(_) => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                            continue;
                        }
                    },
                };
                let service = Arc::clone(&self);
                let answer = service_fn(move |request| {
                    let service = Arc::clone(&service);
                    async move { service.answer(request).await }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                let connection = graceful.watch(connection);
                // A client that breaks its connection is no error of the service.
                connections.spawn(async move { drop(connection.await) });
            }
            drop(listener);
            graceful.shutdown().await;
            drop(connections.close().await);
        }
    }
}

/// Serves until a signal comes, and then until each request is answered or the time is over.
pub(crate) async fn serve(listener: TcpListener, requests: Duration) -> io::Result<Report> {
    let phases = Phases::new().then("requests", requests).then("flush", Duration::from_secs(2));
    let service = Arc::new(Service { phases: phases.clone(), accepted: AtomicUsize::new(0) });
    // The loop is in the phase of its connections. So that phase is not over before the loop has ended, and a connection that
    // it has accepted is served.
    tokio::spawn(phases.wait_for("requests", "accept", service.accept(listener)));
    phases.on_signals().await
}

/// With a time for the tasks that belong to no phase.
fn main() -> io::Result<()> {
    let runtime = redd::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:3000").await?;
        serve(listener, Duration::from_secs(20)).await
    })?;
    println!("{report}");
    for task in runtime.drain(Duration::from_millis(100)) {
        println!("not ended: {task}");
    }
    Ok(())
}

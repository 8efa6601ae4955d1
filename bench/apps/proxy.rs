//! A reverse proxy: hyper's server in front of hyper-util's pooled client; and the server behind the proxy.

use std::convert::Infallible;
use std::future::Future;

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

type Body = Either<Incoming, Full<Bytes>>;

/// How many bytes a response of the upstream has.
const BODY: usize = 1024;

/// Forwards each request to the upstream at this port.
pub async fn serve(listener: TcpListener, upstream: String) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector);
    accept(listener, move |mut request: Request<Incoming>| {
        let (client, upstream) = (client.clone(), upstream.clone());
        async move {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
            let Ok(uri) = format!("http://127.0.0.1:{upstream}{path}").parse::<Uri>() else {
                return failed(StatusCode::BAD_REQUEST);
            };
            *request.uri_mut() = uri;
            match client.request(request).await {
                Ok(response) => response.map(Either::Left),
                Err(_) => failed(StatusCode::BAD_GATEWAY),
            }
        }
    })
    .await;
}

fn failed(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = status;
    response
}

/// Answers with the request's path, repeated and cut off at [`BODY`] bytes.
pub async fn upstream(listener: TcpListener) {
    accept(listener, |request: Request<Incoming>| async move {
        let body: Bytes = request.uri().path().bytes().cycle().take(BODY).collect();
        Response::new(Either::Right(Full::new(body)))
    })
    .await;
}

async fn accept<F>(listener: TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static)
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("TCP can do it");
        let answer = answer.clone();
        drop(tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            // A client that disconnects is no error here.
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        }));
    }
}

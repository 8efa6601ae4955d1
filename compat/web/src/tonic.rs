//! tonic: unary calls, a stream in both directions, deadlines, status codes and a graceful shutdown over TCP on
//! loopback. The service is written by hand, so that no compiler of protocol files is needed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use harness::{Outcome, ensure};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataValue;
use tonic::server::{Grpc, NamedService, StreamingService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// A message in both directions.
#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(uint64, tag = "2")]
    number: u64,
}

/// The service `compat.Lines`.
#[derive(Debug, Clone, Copy)]
struct Lines;

impl NamedService for Lines {
    const NAME: &'static str = "compat.Lines";
}

impl Service<http::Request<Body>> for Lines {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<Line, Line>::default());
            Ok(match request.uri().path() {
                "/compat.Lines/Ask" => grpc.unary(Ask, request).await,
                "/compat.Lines/Talk" => grpc.streaming(Talk, request).await,
                _ => Status::unimplemented("there are Ask and Talk").into_http(),
            })
        })
    }
}

/// One line, one reply.
#[derive(Debug)]
struct Ask;

impl UnaryService<Line> for Ask {
    type Response = Line;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Line>, Status>> + Send>>;

    fn call(&mut self, request: Request<Line>) -> Self::Future {
        Box::pin(async move {
            let token = request.metadata().get("token").cloned();
            let line = request.into_inner();
            match line.text.as_str() {
                "fail" => Err(Status::failed_precondition("as you like")),
                "panic" => panic!("as you like"),
                "never" => std::future::pending().await,
                text => {
                    let mut answer = Response::new(Line { text: format!("{text}!"), number: line.number + 1 });
                    if let Some(token) = token {
                        answer.metadata_mut().insert("token", token);
                    }
                    Ok(answer)
                }
            }
        })
    }
}

/// A reply for each line as it arrives.
#[derive(Debug)]
struct Talk;

impl StreamingService<Line> for Talk {
    type Response = Line;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Line, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Line>>) -> Self::Future {
        let answers = request.into_inner().map(|line| {
            let line = line?;
            if line.text == "fail" {
                Err(Status::aborted("as you like"))
            } else {
                Ok(Line { number: line.number * 2, ..line })
            }
        });
        std::future::ready(Ok(Response::new(Box::pin(answers))))
    }
}

pub(crate) async fn run() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let asked = async {
            let _ = stopped.await;
        };
        Server::builder().add_service(Lines).serve_with_incoming_shutdown(TcpListenerStream::new(listener), asked).await
    });
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    unary(&channel).await?;
    both_directions(&channel).await?;

    // A lazy channel with a deadline of its own.
    let hasty = Endpoint::from_shared(format!("http://{address}"))?.timeout(Duration::from_millis(50)).connect_lazy();
    let error = ask(&hasty, "never", 0).await.err().ok_or("what is never answered was answered")?;
    ensure(matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded), "a channel's timeout ends a call")?;

    // The shutdown lets an open stream finish.
    let (say, mut hear) = talk(&channel).await?;
    stop.send(()).map_err(|()| "the server ended before it was asked to")?;
    for number in 0..10 {
        say.send(Line { text: "still here".to_owned(), number }).await?;
        let answer = hear.next().await.ok_or("the shutdown cuts a conversation off")??;
        ensure(answer.number == number * 2, "a stream continues while the server is shutting down")?;
    }
    ensure(!server.is_finished(), "the server waits for the conversation")?;
    drop(say);
    ensure(hear.next().await.is_none(), "the conversation ends")?;
    drop((hear, channel, hasty));
    server.await??;
    Ok(())
}

async fn ask(channel: &Channel, text: &str, number: u64) -> Result<Line, Status> {
    call(channel, Request::new(Line { text: text.to_owned(), number })).await.map(Response::into_inner)
}

async fn call(channel: &Channel, request: Request<Line>) -> Result<Response<Line>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static("/compat.Lines/Ask");
    client.unary(request, path, ProstCodec::<Line, Line>::default()).await
}

async fn unary(channel: &Channel) -> Outcome {
    let mut request = Request::new(Line { text: "hello".to_owned(), number: 41 });
    request.metadata_mut().insert("token", MetadataValue::from_static("abc"));
    let answer = call(channel, request).await?;
    ensure(answer.metadata().get("token").is_some_and(|token| token == "abc"), "metadata goes there and back")?;
    ensure(*answer.get_ref() == Line { text: "hello!".to_owned(), number: 42 }, "a message goes there and back")?;

    let mut calls = JoinSet::new();
    for number in 0..100 {
        let channel = channel.clone();
        calls.spawn(async move { (number, ask(&channel, "many", number).await) });
    }
    while let Some(answer) = calls.join_next().await {
        let (number, line) = answer?;
        ensure(line?.number == number + 1, "each of 100 calls on one channel gets its own answer")?;
    }
    let large = "x".repeat(1 << 20);
    ensure(ask(channel, &large, 0).await?.text.len() == large.len() + 1, "a message of a megabyte goes through")?;

    let error = ask(channel, "fail", 0).await.err().ok_or("a call that fails has an answer")?;
    ensure(error.code() == Code::FailedPrecondition && error.message() == "as you like", "a status comes back")?;
    let mut request = Request::new(Line { text: "never".to_owned(), number: 0 });
    request.set_timeout(Duration::from_millis(50));
    let error = call(channel, request).await.err().ok_or("what is never answered was answered")?;
    ensure(matches!(error.code(), Code::Cancelled | Code::DeadlineExceeded), "a call's own deadline ends it")?;
    ensure(ask(channel, "after", 1).await?.number == 2, "the channel still works afterwards")
}

async fn talk(channel: &Channel) -> Result<(mpsc::Sender<Line>, Streaming<Line>), Status> {
    let (say, said) = mpsc::channel(8);
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = http::uri::PathAndQuery::from_static("/compat.Lines/Talk");
    let request = Request::new(ReceiverStream::new(said));
    let answers = client.streaming(request, path, ProstCodec::<Line, Line>::default()).await?;
    Ok((say, answers.into_inner()))
}

async fn both_directions(channel: &Channel) -> Outcome {
    // In lockstep: each line is sent after the reply to the line before.
    let (say, mut hear) = talk(channel).await?;
    for number in 0..100 {
        say.send(Line { text: "step".to_owned(), number }).await?;
        let answer = hear.next().await.ok_or("the stream ends too early")??;
        ensure(answer.number == number * 2, "each line is answered while the stream is open")?;
    }
    drop(say);
    ensure(hear.next().await.is_none(), "the end of one direction ends the other")?;

    // Not in lockstep: more lines than fit in the windows of HTTP/2, so each direction waits for the other.
    let (say, mut hear) = talk(channel).await?;
    let speaker = tokio::spawn(async move {
        for number in 0..100 {
            say.send(Line { text: "x".repeat(10_000), number }).await?;
        }
        say.send(Line { text: "fail".to_owned(), number: 0 }).await
    });
    for number in 0..100 {
        let answer = hear.next().await.ok_or("the stream ends too early")??;
        ensure(answer.number == number * 2 && answer.text.len() == 10_000, "a megabyte of lines comes back in order")?;
    }
    let end = hear.next().await.ok_or("the stream ends without its status")?;
    ensure(end.is_err_and(|status| status.code() == Code::Aborted), "a status ends a stream")?;
    speaker.await??;
    Ok(())
}

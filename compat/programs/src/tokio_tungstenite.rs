//! tokio-tungstenite: a WebSocket echo, with pings, large messages, several clients and an orderly close.

use futures_util::{SinkExt, StreamExt};
use harness::{Outcome, ensure};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Error, Message};

const CLIENTS: usize = 8;

pub(crate) async fn run() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept().await?;
            connections.spawn(echo(stream));
        }
        while let Some(outcome) = connections.join_next().await {
            outcome??;
        }
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(talk(format!("ws://{address}/{number}"), number));
    }
    while let Some(outcome) = clients.join_next().await {
        outcome??;
    }
    server.await?
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn talk(address: String, number: usize) -> Outcome {
    let (mut socket, _) = tokio_tungstenite::connect_async(address).await?;
    for round in 0..20 {
        let message = Message::text(format!("{number}: {round}"));
        socket.send(message.clone()).await?;
        ensure(socket.next().await.ok_or("it ended early")?? == message, "a text comes back")?;
    }
    let large = Message::binary(vec![number as u8; 1 << 20]);
    let (mut sink, mut stream) = socket.split();
    let (sent, received) = tokio::join!(sink.send(large.clone()), stream.next());
    sent?;
    ensure(received.ok_or("it ended early")?? == large, "a mebibyte comes back")?;
    let ping = Message::Ping(b"are you there".as_slice().into());
    sink.send(ping).await?;
    let pong = stream.next().await.ok_or("it ended early")??;
    ensure(pong.is_pong() && pong.into_data().as_ref() == b"are you there", "a ping is answered")?;
    sink.send(Message::Close(None)).await?;
    let close = stream.next().await.ok_or("it ended early")??;
    ensure(close.is_close(), "a close is answered")?;
    ensure(stream.next().await.is_none(), "the stream ends after the close")
}

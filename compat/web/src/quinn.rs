//! quinn: a server that answers requests on streams, as in HTTP/3, over UDP on loopback. Also datagrams, a
//! unidirectional stream, a connection that times out, and an untrusted certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use harness::{Outcome, ensure};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, Incoming, ServerConfig, TransportConfig, VarInt};
use tokio::task::JoinSet;

use crate::authority::Authority;

const PROTOCOL: &[&str] = &["echo"];
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(crate) async fn run() -> Outcome {
    let authority = Authority::new()?;
    let crypto = QuicServerConfig::try_from(authority.server(PROTOCOL)?)?;
    let endpoint = Endpoint::server(ServerConfig::with_crypto(Arc::new(crypto)), LOOPBACK)?;
    let address = endpoint.local_addr()?;
    let accepting = endpoint.clone();
    let server = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Some(incoming) = accepting.accept().await {
            connections.spawn(serve(incoming));
        }
        // The endpoint is closed, so the connections report how they ended.
        while connections.join_next().await.is_some() {}
    });

    let client = Endpoint::client(LOOPBACK)?;
    let connection = client.connect_with(config(&authority, None)?, address, "localhost")?.await?;
    let mut requests = JoinSet::new();
    for seed in 0..32 {
        let connection = connection.clone();
        requests.spawn(async move { request(&connection, if seed % 8 == 0 { 400_000 } else { 1_000 }, seed).await });
    }
    while let Some(outcome) = requests.join_next().await {
        outcome??;
    }
    one_direction(&connection).await?;
    datagrams(&connection).await?;
    // Eight clients at once, each with a socket of its own.
    let mut clients = JoinSet::new();
    for seed in 0..8 {
        let config = config(&authority, None)?;
        clients.spawn(async move {
            let client = Endpoint::client(LOOPBACK)?;
            let connection = client.connect_with(config, address, "localhost")?.await?;
            request(&connection, 50_000, seed).await?;
            connection.close(VarInt::from_u32(0), b"done");
            client.wait_idle().await;
            Outcome::Ok(())
        });
    }
    while let Some(outcome) = clients.join_next().await {
        outcome??;
    }

    let stranger = config(&Authority::new()?, None)?;
    let refused = client.connect_with(stranger, address, "localhost")?.await;
    ensure(
        refused.is_err_and(|error| matches!(error, ConnectionError::TransportError(_))),
        "a certificate of another authority is refused",
    )?;
    let quiet =
        client.connect_with(config(&authority, Some(Duration::from_millis(100)))?, address, "localhost")?.await?;
    ensure(matches!(quiet.closed().await, ConnectionError::TimedOut), "a quiet connection ends by its timer")?;

    endpoint.close(VarInt::from_u32(7), b"good bye");
    let end = connection.closed().await;
    ensure(
        matches!(end, ConnectionError::ApplicationClosed(ref close) if close.error_code == VarInt::from_u32(7)),
        "the client gets the reason why the server closed",
    )?;
    client.wait_idle().await;
    endpoint.wait_idle().await;
    server.await?;
    Ok(())
}

fn config(
    authority: &Authority,
    idle: Option<Duration>,
) -> Result<ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(authority.client(PROTOCOL)?)?));
    let mut transport = TransportConfig::default();
    if let Some(idle) = idle {
        transport.max_idle_timeout(Some(idle.try_into()?));
    }
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Echoes each stream and each datagram, until the connection ends.
async fn serve(incoming: Incoming) -> Result<(), ConnectionError> {
    let connection = incoming.await?;
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_bi() => {
                let (mut send, mut receive) = stream?;
                streams.spawn(async move {
                    // The client reads while it writes, so this does too.
                    let _ = tokio::io::copy(&mut receive, &mut send).await;
                    let _ = send.finish();
                    let _ = send.stopped().await;
                });
            }
            stream = connection.accept_uni() => {
                let (mut receive, connection) = (stream?, connection.clone());
                streams.spawn(async move {
                    let Ok(all) = receive.read_to_end(1 << 20).await else { return };
                    let Ok(mut send) = connection.open_uni().await else { return };
                    let _ = send.write_all(&all).await;
                    let _ = send.finish();
                    let _ = send.stopped().await;
                });
            }
            datagram = connection.read_datagram() => {
                let _ = connection.send_datagram(datagram?);
            }
        }
    }
}

fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(31) + seed) as u8).collect()
}

async fn request(connection: &Connection, length: usize, seed: usize) -> Outcome {
    let sent = body(length, seed);
    let (mut send, mut receive) = connection.open_bi().await?;
    let reader = tokio::spawn(async move { receive.read_to_end(length + 1).await });
    send.write_all(&sent).await?;
    send.finish()?;
    ensure(reader.await?? == sent, "a request comes back on its stream")
}

async fn one_direction(connection: &Connection) -> Outcome {
    let sent = body(100_000, 3);
    let mut send = connection.open_uni().await?;
    send.write_all(&sent).await?;
    send.finish()?;
    let received = connection.accept_uni().await?.read_to_end(sent.len() + 1).await?;
    ensure(received == sent, "a stream of one direction is answered by one of the other")
}

async fn datagrams(connection: &Connection) -> Outcome {
    // A datagram may be lost, although that is rare on loopback: each is sent until it comes back.
    for number in 0..20_u8 {
        let sent = Bytes::from(vec![number; 100]);
        loop {
            connection.send_datagram(sent.clone())?;
            match tokio::time::timeout(Duration::from_millis(200), connection.read_datagram()).await {
                Ok(received) if received.as_ref().is_ok_and(|received| *received == sent) => break,
                // This was a late copy of an earlier datagram.
                Ok(received) => drop(received?),
                Err(_) => {}
            }
        }
    }
    Ok(())
}

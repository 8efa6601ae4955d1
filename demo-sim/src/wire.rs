//! Requests and replies as JSON, each after its length. One connection carries one request.
//!
//! Called by `raft`.

use std::future::Future;
use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A longer message is an error.
const LENGTH_MAX: u32 = 1 << 20;

async fn write<T: Serialize>(stream: &mut TcpStream, message: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    stream.write_u32(bytes.len() as u32).await?;
    stream.write_all(&bytes).await
}

async fn read<T: DeserializeOwned>(stream: &mut TcpStream) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length > LENGTH_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Sends one request, and waits for the reply.
///
/// # Errors
/// Those of the connection and of the reply.
pub async fn call<Q: Serialize, A: DeserializeOwned>(address: &str, request: &Q) -> io::Result<A> {
    let mut stream = TcpStream::connect(address).await?;
    write(&mut stream, request).await?;
    read(&mut stream).await
}

/// Accepts connections, and answers each request in a task of its own. It ends only with an error of the listener.
///
/// # Errors
/// Those of the listener.
pub async fn serve<Q, A, F>(listener: TcpListener, handle: impl Fn(Q) -> F + Clone + Send + 'static) -> io::Result<()>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + Sync + 'static,
    F: Future<Output = A> + Send + 'static,
{
    loop {
        let (mut stream, _) = listener.accept().await?;
        let handle = handle.clone();
        tokio::spawn(async move {
            // If the peer is gone, it will ask again.
            if let Ok(request) = read(&mut stream).await {
                let reply = handle(request).await;
                let _ = write(&mut stream, &reply).await;
            }
        });
    }
}

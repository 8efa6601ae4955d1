//! An upload becomes a file when all of it is on the disk, or never: a client that disconnects leaves nothing behind.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::put;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;

/// Writes beside the target, on the same file system. Dropping a `NamedTempFile` deletes it.
async fn save(folder: &Path, name: &str, body: Body) -> io::Result<u64> {
    let parent = folder.to_owned();
    let temporary = tokio::task::spawn_blocking(move || NamedTempFile::new_in(parent)).await??;
    let mut file = File::from_std(temporary.as_file().try_clone()?);

    let (mut chunks, mut length) = (body.into_data_stream(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(io::Error::other)?; // The client is gone, or has sent nonsense.
        file.write_all(&chunk).await?;
        length += chunk.len() as u64;
    }
    file.sync_all().await?; // The contents are on the disk before the name is.

    let (folder, target) = (folder.to_owned(), folder.join(name));
    tokio::task::spawn_blocking(move || {
        temporary.persist(target)?;
        std::fs::File::open(folder)?.sync_all() // The name is on the disk, too.
    })
    .await??;
    Ok(length)
}

async fn upload(
    State(folder): State<Arc<PathBuf>>,
    UrlPath(name): UrlPath<String>,
    body: Body,
) -> Result<String, StatusCode> {
    // The router has decoded the name: it could be `../passwd`.
    if !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    match save(&folder, &name, body).await {
        Ok(length) => Ok(format!("{length} bytes")),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let app = Router::new().route("/{name}", put(upload)).with_state(Arc::new(folder.path().to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async { axum::serve(listener, app).await });

    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"PUT /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello").await?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).await?;
    println!("whole: {}", answer.lines().last().unwrap_or_default());

    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"PUT /half HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").await?;
    wait_for_files(folder.path(), 2).await?;
    println!("half of the second upload is in a temporary file");
    drop(client);
    wait_for_files(folder.path(), 1).await?;
    println!("the client is gone, and so is that file");
    println!("whole has: {}", tokio::fs::read_to_string(folder.path().join("whole")).await?);
    Ok(())
}

async fn wait_for_files(folder: &Path, count: usize) -> io::Result<()> {
    while std::fs::read_dir(folder)?.count() != count {
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

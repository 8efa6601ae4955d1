//! TLS with a certificate that nobody has signed.

use std::io::{self, Read, Write};
use std::sync::Arc;

use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use crate::runs::{crawl, reason, run, stdout};

const PEM: &[u8] = include_bytes!("self_signed.pem");

/// Serves one page on a free port, with the certificate.
async fn serve() -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let certificate = CertificateDer::from_pem_slice(PEM).unwrap();
    let key = PrivateKeyDer::from_pem_slice(PEM).unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = format!("https://{}/", listener.local_addr().unwrap());
    redd::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            redd::spawn(serve_connection(stream, Arc::clone(&config)));
        }
    });
    home
}

/// Answers one request. The bytes of TLS are carried between the socket and rustls by hand.
async fn serve_connection(mut stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<()> {
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut request = Vec::new();
    loop {
        if request.ends_with(b"\r\n\r\n") {
            tls.writer().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
            tls.send_close_notify();
        }
        let mut to_send = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut to_send)?;
        }
        stream.write_all(&to_send).await?;
        let mut received = [0; 4096];
        let length = stream.read(&mut received).await?;
        if length == 0 {
            return Ok(());
        }
        let mut received = &received[..length];
        while !received.is_empty() {
            tls.read_tls(&mut received)?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        let mut plain = [0; 4096];
        while let Ok(length @ 1..) = tls.reader().read(&mut plain) {
            request.extend_from_slice(&plain[..length]);
        }
    }
}

#[redd::test]
async fn a_wrong_certificate_is_refused_unless_the_user_accepts_it() {
    let home = serve().await;
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let why = reason(&value, &home);
    assert_eq!(why, "TLS failed: nobody that this machine trusts has signed the certificate; --insecure accepts it");
    let output = run(&["--insecure", &home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
}

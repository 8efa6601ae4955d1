//! tokio-rustls: TLS 1.2 and 1.3 with a certificate generated at run time. A name that is not in the certificate is
//! refused.

use std::sync::Arc;

use harness::{Outcome, ensure};
use rcgen::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, ServerConfig, version};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const CLIENTS: u8 = 8;

pub(crate) async fn run() -> Outcome {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())?;
    let acceptor = TlsAcceptor::from(Arc::new(server));

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    for version in [&version::TLS12, &version::TLS13] {
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(client));
        echo(&acceptor, &connector, version.version).await?;
        refuse(&acceptor, &connector).await?;
    }
    Ok(())
}

async fn echo(acceptor: &TlsAcceptor, connector: &TlsConnector, version: ProtocolVersion) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let acceptor = acceptor.clone();
    let server = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let stream = acceptor.accept(stream).await?;
                let (mut reader, mut writer) = tokio::io::split(stream);
                tokio::io::copy(&mut reader, &mut writer).await?;
                writer.shutdown().await
            });
        }
        while let Some(outcome) = connections.join_next().await {
            outcome??;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let connector = connector.clone();
        clients.spawn(async move {
            let stream = connector.connect("localhost".try_into()?, TcpStream::connect(address).await?).await?;
            ensure(
                stream.get_ref().1.protocol_version() == Some(version),
                "the version is the one that was asked for",
            )?;
            let (mut reader, mut writer) = tokio::io::split(stream);
            let sent = vec![number; 1 << 20];
            let mut received = Vec::new();
            let write = async {
                writer.write_all(&sent).await?;
                // The peer's copy ends with our close_notify, not with the connection.
                writer.shutdown().await
            };
            tokio::try_join!(write, reader.read_to_end(&mut received))?;
            ensure(received == sent, "a mebibyte comes back")
        });
    }
    while let Some(outcome) = clients.join_next().await {
        outcome??;
    }
    server.await??;
    Ok(())
}

async fn refuse(acceptor: &TlsAcceptor, connector: &TlsConnector) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (accepted, _) = listener.accept().await?;
    let (server, client) = tokio::join!(acceptor.accept(accepted), connector.connect("elsewhere".try_into()?, stream));
    ensure(client.is_err(), "a name that is not in the certificate is refused")?;
    ensure(server.is_err(), "the server learns of it")
}

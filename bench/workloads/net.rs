//! Sockets, both ends in this process. The servers that are measured from outside are in `../servers`.

use super::{Row, on_worker, workers};
use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::{TcpListener, TcpStream, UdpSocket};

pub const ROWS: &[Row] = &[
    ("tcp_echo_1_inside", 20_000, |n| on_worker(&workers(2), n, |n| tcp_echo(n, 1))),
    ("tcp_echo_64_inside", 60_000, |n| on_worker(&workers(2), n, |n| tcp_echo(n, 64))),
    ("tcp_echo_512_inside", 60_000, |n| on_worker(&workers(2), n, |n| tcp_echo(n, 512))),
    ("udp_echo_1_inside", 20_000, |n| on_worker(&workers(2), n, udp_echo)),
];

const MESSAGE: usize = 64;
/// Larger than a message, as a server's buffer is. A read that does not fill it shows that the socket is empty.
const BUFFER: usize = 1024;

async fn tcp_echo(n: u64, connections: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let address = listener.local_addr().expect("it is bound");
    let server = rt::spawn(async move {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await.expect("the client comes");
            drop(rt::spawn(async move {
                let mut buffer = [0; BUFFER];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..length]).await.expect("the client reads");
                }
            }));
        }
    });
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            rt::spawn(async move {
                let mut stream = TcpStream::connect(address).await.expect("the server listens");
                stream.set_nodelay(true).expect("TCP can do it");
                let mut buffer = [7; BUFFER];
                for _ in 0..n / connections {
                    stream.write_all(&buffer[..MESSAGE]).await.expect("the server reads");
                    let mut left = MESSAGE;
                    while left > 0 {
                        let length = stream.read(&mut buffer).await.expect("the server answers");
                        assert!(length > 0, "the server stays");
                        left -= length;
                    }
                }
            })
        })
        .collect();
    server.await.expect("does not panic");
    for client in clients {
        client.await.expect("does not panic");
    }
}

async fn udp_echo(n: u64) {
    let server = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a port");
    let client = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a port");
    let address = server.local_addr().expect("it is bound");
    let server = rt::spawn(async move {
        let mut buffer = [0; MESSAGE];
        for _ in 0..n {
            let (length, from) = server.recv_from(&mut buffer).await.expect("the client sends");
            server.send_to(&buffer[..length], from).await.expect("the client reads");
        }
    });
    let mut buffer = [7; MESSAGE];
    for _ in 0..n {
        client.send_to(&buffer, address).await.expect("the server reads");
        client.recv_from(&mut buffer).await.expect("the server answers");
    }
    server.await.expect("does not panic");
}

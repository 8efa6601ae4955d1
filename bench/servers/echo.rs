//! Echo: sends back what it receives.

use rt::io::{AsyncReadExt, AsyncWriteExt};
use rt::net::{TcpListener, TcpStream, UdpSocket};

const BUFFER: usize = 1024;

pub async fn tcp() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(rt::spawn(connection(stream)));
        }
    }));
    port
}

async fn connection(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("TCP can do it");
    let mut buffer = [0; BUFFER];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

pub async fn udp() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback has a port");
    let port = socket.local_addr().expect("it is bound").port();
    drop(rt::spawn(async move {
        let mut buffer = [0; BUFFER];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if socket.send_to(&buffer[..length], from).await.is_err() {
                return;
            }
        }
    }));
    port
}

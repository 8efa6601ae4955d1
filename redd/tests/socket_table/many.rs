//! Many connections, and many tasks.

use crate::at::{At, Out, exactly, fresh_path, pattern, rest_is_pattern, rest_of};
use crate::table::{Case, case};
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use redd::task::JoinSet;
use std::io;
use std::sync::Arc;

pub(crate) const CASES: &[Case] = &[
    case!(a_hundred_clients_echo, "rounds 500").far(),
    case!(a_thousand_connections_stay_open, "answered 1000"),
    case!(a_thousand_connections_one_after_another, "ends 1000"),
    case!(fifty_connections_at_once, "known 50").far(),
    case!(ten_tasks_accept, "bytes 50; served 50").far(),
    case!(ten_transfers_at_once, "writers 10; readers 10").far(),
    case!(a_chain_of_proxies, "read \"around\"; read \"\"").far(),
    case!(a_thousand_datagrams_with_replies, "same 1000").far(),
    case!(fifty_unix_clients, "bytes 250"),
    case!(a_broadcast_to_twenty_clients, "bytes 800").far(),
    case!(connections_that_come_and_go, "bytes 80").far(),
    case!(every_client_gets_its_own_answer, "own 20").far(),
];

/// Serves until the task is dropped: sends back what each client sends.
async fn echo(listener: TcpListener) -> io::Result<()> {
    let mut clients = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await?;
        clients.spawn(async move {
            let (mut reader, mut writer) = stream.split();
            let copied = redd::io::copy(&mut reader, &mut writer).await?;
            writer.shutdown().await.map(|()| copied)
        });
    }
}

/// The numbers that tasks return, added up.
async fn sum(mut tasks: JoinSet<io::Result<usize>>) -> io::Result<usize> {
    let mut sum = 0;
    while let Some(task) = tasks.join_next().await {
        sum += task.expect("no panic")?;
    }
    Ok(sum)
}

async fn a_hundred_clients_echo(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let server = redd::spawn(echo(listener));
    let mut clients = JoinSet::new();
    for number in 0..100_u32 {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            for round in 0..5 {
                let sent = number * 100 + round;
                stream.write_u32(sent).await?;
                assert_eq!(stream.read_u32().await?, sent);
            }
            Ok(5)
        });
    }
    at.see("rounds", sum(clients).await);
    server.abort();
    Ok(())
}

async fn a_thousand_connections_stay_open(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let mut open = Vec::new();
    for _ in 0..1000 {
        let near = TcpStream::connect(address).await?;
        open.push((near, listener.accept().await?.0));
    }
    let mut answered = 0;
    for (number, (near, far)) in open.iter_mut().enumerate() {
        near.write_u32(number as u32).await?;
        answered += usize::from(far.read_u32().await? == number as u32);
    }
    at.see("answered", answered);
    Ok(())
}

async fn a_thousand_connections_one_after_another(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let mut ends = 0;
    for _ in 0..1000 {
        let near = TcpStream::connect(address).await?;
        let (mut far, _) = listener.accept().await?;
        drop(near);
        ends += usize::from(rest_of(&mut far).await?.is_empty());
    }
    at.see("ends", ends);
    Ok(())
}

async fn fifty_connections_at_once(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        clients.spawn(async move { TcpStream::connect(address).await });
    }
    let mut peers = std::collections::BTreeSet::new();
    for _ in 0..50 {
        peers.insert(listener.accept().await?.1);
    }
    let mut known = 0;
    while let Some(client) = clients.join_next().await {
        known += usize::from(peers.contains(&client.expect("no panic")?.local_addr()?));
    }
    at.see("known", known);
    Ok(())
}

async fn ten_tasks_accept(at: At) -> Out {
    let listener = Arc::new(at.listener().await?);
    let address = listener.local_addr()?;
    let mut servers = JoinSet::new();
    for _ in 0..10 {
        let listener = Arc::clone(&listener);
        servers.spawn(async move {
            for _ in 0..5 {
                let (mut stream, _) = listener.accept().await?;
                stream.write_all(b"x").await?;
            }
            Ok(5)
        });
    }
    let mut bytes = 0;
    for _ in 0..50 {
        bytes += rest_of(&mut TcpStream::connect(address).await?).await?.len();
    }
    at.see("bytes", bytes);
    at.see("served", sum(servers).await);
    Ok(())
}

async fn ten_transfers_at_once(at: At) -> Out {
    let mut tasks = JoinSet::new();
    let mut writers = JoinSet::new();
    for _ in 0..10 {
        let (mut near, mut far) = at.streams().await?;
        writers.spawn(async move { near.write_all(&pattern(200_000)).await.map(|()| 1) });
        tasks.spawn(async move { rest_is_pattern(&mut far).await.map(|text| usize::from(text.0 == "200000 as sent")) });
    }
    at.see("writers", sum(writers).await);
    at.see("readers", sum(tasks).await);
    Ok(())
}

async fn a_chain_of_proxies(at: At) -> Out {
    let last = at.listener().await?;
    let mut address = last.local_addr()?;
    let mut tasks = vec![redd::spawn(echo(last))];
    for _ in 0..4 {
        let listener = at.listener().await?;
        let (own, next) = (listener.local_addr()?, address);
        tasks.push(redd::spawn(async move {
            let (mut client, _) = listener.accept().await?;
            let mut server = TcpStream::connect(next).await?;
            redd::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
        }));
        address = own;
    }
    let mut client = TcpStream::connect(address).await?;
    client.write_all(b"around").await?;
    at.see("read", exactly(&mut client, 6).await);
    client.shutdown().await?;
    at.see("read", rest_of(&mut client).await);
    tasks.iter().for_each(redd::task::JoinHandle::abort);
    Ok(())
}

async fn a_thousand_datagrams_with_replies(at: At) -> Out {
    let (near, far) = at.udp().await?;
    let target = far.local_addr()?;
    let server = redd::spawn(async move {
        let mut buf = [0; 8];
        loop {
            let (len, peer) = far.recv_from(&mut buf).await?;
            far.send_to(&buf[..len], peer).await?;
        }
        #[expect(unreachable_code, reason = "it tells the type of the errors")]
        io::Result::Ok(())
    });
    let mut same = 0;
    for number in 0..1000_u32 {
        near.send_to(&number.to_be_bytes(), target).await?;
        let mut buf = [0; 4];
        near.recv(&mut buf).await?;
        same += usize::from(u32::from_be_bytes(buf) == number);
    }
    at.see("same", same);
    server.abort();
    Ok(())
}

async fn fifty_unix_clients(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        let path = path.clone();
        clients.spawn(async move {
            let mut stream = UnixStream::connect(&path).await?;
            stream.write_all(b"ping").await?;
            Ok(rest_of(&mut stream).await?.len())
        });
    }
    for _ in 0..50 {
        let (mut stream, _) = listener.accept().await?;
        exactly(&mut stream, 4).await?;
        stream.write_all(b"pong!").await?;
    }
    at.see("bytes", sum(clients).await);
    Ok(())
}

async fn a_broadcast_to_twenty_clients(at: At) -> Out {
    let listener = at.listener().await?;
    let (mut clients, mut servers) = (JoinSet::new(), Vec::new());
    for _ in 0..20 {
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        clients.spawn(async move { Ok(rest_of(&mut client).await?.len()) });
        servers.push(listener.accept().await?.0);
    }
    for _ in 0..10 {
        for server in &mut servers {
            server.write_all(b"news").await?;
        }
    }
    drop(servers);
    at.see("bytes", sum(clients).await);
    Ok(())
}

async fn connections_that_come_and_go(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let server = redd::spawn(echo(listener));
    let mut clients = JoinSet::new();
    for number in 0..40_u32 {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            if number % 4 == 0 {
                stream.set_zero_linger()?;
                return Ok(0);
            }
            stream.write_u32(number).await?;
            if number % 4 == 1 {
                return Ok(0);
            }
            stream.shutdown().await?;
            Ok(rest_of(&mut stream).await?.len())
        });
    }
    at.see("bytes", sum(clients).await);
    server.abort();
    Ok(())
}

async fn every_client_gets_its_own_answer(at: At) -> Out {
    let socket = Arc::new(at.far(UdpSocket::bind((at.far, 0))).await?);
    let (near, target) = (at.near, socket.local_addr()?);
    let server = redd::spawn(async move {
        let mut buf = [0; 8];
        while let Ok((len, peer)) = socket.recv_from(&mut buf).await {
            let _ = socket.send_to(&buf[..len], peer).await;
        }
    });
    let mut clients = JoinSet::new();
    for number in 0..20_u32 {
        clients.spawn(async move {
            let socket = UdpSocket::bind((near, 0)).await?;
            socket.connect(target).await?;
            socket.send(&number.to_be_bytes()).await?;
            let mut buf = [0; 4];
            socket.recv(&mut buf).await?;
            Ok(usize::from(u32::from_be_bytes(buf) == number))
        });
    }
    at.see("own", sum(clients).await);
    server.abort();
    Ok(())
}

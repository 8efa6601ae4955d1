//! Unix datagram sockets.

use crate::at::{At, Out, fresh_path, once, pattern, text};
use crate::show::Word;
use crate::table::{Case, case};
use redd::io::{Interest, ReadBuf};
use redd::net::{UnixDatagram, UnixListener, UnixSocket};
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::path::PathBuf;

pub(crate) const CASES: &[Case] = &[
    case!(a_unix_datagram_has_its_sender, "send 4; receive \"ping\"; sender true; back 4; receive \"pong\""),
    case!(an_unbound_sender_is_unnamed, "local true; send 1; sender true"),
    case!(connected_unix_datagrams, "connect ok; peer true; send 1; receive \"x\""),
    case!(datagrams_to_a_missing_path, "send ENOENT; try ENOENT; connect ENOENT"),
    case!(datagrams_to_a_path_that_was_dropped, "send ECONNREFUSED; connect ECONNREFUSED"),
    case!(datagrams_to_a_path_of_the_other_kind, "send EPROTOTYPE; connect EPROTOTYPE"),
    case!(datagram_paths_in_use, "bind EADDRINUSE; listener EADDRINUSE"),
    case!(an_unconnected_unix_datagram, "send ENOTCONN; peer ENOTCONN; error none"),
    case!(datagram_pair, "send 4; receive \"ping\"; send 4; receive \"pong\""),
    case!(datagram_pair_addresses, "local true; peer true; sender true"),
    case!(empty_unix_datagrams, "send 0; receive 0; then WouldBlock; receive 0; receive \"next\""),
    case!(the_rest_of_a_unix_datagram_is_lost, "receive 2; bytes \"ab\"; receive \"next\""),
    case!(unix_datagram_would_block, "try WouldBlock; try 1; from WouldBlock"),
    case!(a_full_unix_datagram_queue, "full true; refused WouldBlock; writable pending; writable ok; again 1"),
    case!(a_send_waits_for_room, "done false; in order true; receive \"last\"; send 4"),
    case!(a_shutdown_writing_direction, "shutdown ok; send EPIPE; receive \"y\"; peer pending"),
    case!(a_shutdown_reading_direction, "shutdown ok; send EPIPE; receive \"early\"; then WouldBlock; send 1"),
    case!(a_shutdown_of_both_directions, "shutdown ok; shutdown ok; send EPIPE; receive WouldBlock; peer EPIPE"),
    case!(the_peer_of_a_pair_is_dropped, "receive \"last\"; send ECONNREFUSED; send ENOTCONN"),
    case!(the_connected_path_is_dropped, "send ECONNREFUSED; send ENOTCONN; peer ENOTCONN"),
    case!(a_connected_receiver_takes_its_peer_only, "send EPERM; connect EPERM; send 1; receive \"y\""),
    case!(a_unix_datagram_connects_again, "connect ok; receive \"one\"; receive \"two\""),
    case!(an_abstract_datagram_name, "send 1; receive \"x\"; address true; send ECONNREFUSED"),
    case!(large_unix_datagrams, "send 100000; same true; send EMSGSIZE"),
    case!(unix_datagrams_stay_in_order, "in order 100; send ok"),
    case!(unix_datagram_polls, "send 3; ready ok; sender true; ready ok; send 2; bytes \"abcde\""),
    case!(unix_datagrams_into_a_vec, "receive 3; from 3; try 5; try from 4; sender true; all \"onetwothreefour\""),
    case!(unix_datagram_flags, "fresh W; data R+W"),
    case!(a_unix_datagram_sends_to_itself, "send 2; receive \"me\""),
    case!(a_unix_datagram_goes_to_std_and_back, "address true; receive \"before\""),
    case!(a_dropped_unix_receive_loses_nothing, "receive pending; receive \"x\""),
    case!(an_unbound_socket_receives_on_no_path, "local true; receive pending"),
];

struct Bound {
    /// Removed with the value.
    directory: tempfile::TempDir,
    left: UnixDatagram,
    left_path: PathBuf,
    right: UnixDatagram,
    right_path: PathBuf,
}

/// Two sockets at paths.
async fn bound() -> io::Result<Bound> {
    let (directory, left_path) = fresh_path().await?;
    let right_path = directory.path().join("right");
    let (left, right) = (UnixDatagram::bind(&left_path)?, UnixDatagram::bind(&right_path)?);
    Ok(Bound { directory, left, left_path, right, right_path })
}

async fn recv(socket: &UnixDatagram) -> io::Result<String> {
    let mut buf = [0; 64];
    let len = socket.recv(&mut buf).await?;
    Ok(text(&buf[..len]))
}

async fn a_unix_datagram_has_its_sender(at: At) -> Out {
    let Bound { left, left_path, right, right_path, .. } = &bound().await?;
    at.see("send", left.send_to(b"ping", right_path).await);
    let mut buf = [0; 8];
    let (len, sender) = right.recv_from(&mut buf).await?;
    at.see("receive", text(&buf[..len]));
    at.see("sender", sender.as_pathname() == Some(left_path));
    at.see("back", right.send_to(b"pong", sender.as_pathname().expect("it has a path")).await);
    at.see("receive", recv(left).await);
    Ok(())
}

async fn an_unbound_sender_is_unnamed(at: At) -> Out {
    let Bound { right, right_path, .. } = &bound().await?;
    let unbound = UnixDatagram::unbound()?;
    at.see("local", unbound.local_addr()?.is_unnamed());
    at.see("send", unbound.send_to(b"x", right_path).await);
    at.see("sender", right.recv_from(&mut [0; 8]).await?.1.is_unnamed());
    Ok(())
}

async fn connected_unix_datagrams(at: At) -> Out {
    let Bound { left, right, right_path, .. } = &bound().await?;
    at.see("connect", left.connect(right_path));
    at.see("peer", left.peer_addr()?.as_pathname() == Some(right_path));
    at.see("send", left.send(b"x").await);
    at.see("receive", recv(right).await);
    Ok(())
}

async fn datagrams_to_a_missing_path(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let socket = UnixDatagram::unbound()?;
    at.see("send", socket.send_to(b"x", &path).await);
    at.see("try", socket.try_send_to(b"x", &path));
    at.see("connect", socket.connect(&path));
    Ok(())
}

async fn datagrams_to_a_path_that_was_dropped(at: At) -> Out {
    let Bound { directory: _directory, left, right, right_path, .. } = bound().await?;
    drop(right);
    at.see("send", left.send_to(b"x", &right_path).await);
    at.see("connect", left.connect(&right_path));
    Ok(())
}

async fn datagrams_to_a_path_of_the_other_kind(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let _listener = UnixListener::bind(&path)?;
    let socket = UnixDatagram::unbound()?;
    at.see("send", socket.send_to(b"x", &path).await);
    at.see("connect", socket.connect(&path));
    Ok(())
}

async fn datagram_paths_in_use(at: At) -> Out {
    let Bound { left_path, .. } = &bound().await?;
    at.see("bind", UnixDatagram::bind(left_path).map(drop));
    at.see("listener", UnixListener::bind(left_path).map(drop));
    Ok(())
}

async fn an_unconnected_unix_datagram(at: At) -> Out {
    let Bound { left, .. } = &bound().await?;
    at.see("send", left.send(b"x").await);
    at.see("peer", left.peer_addr().map(drop));
    at.see("error", left.take_error()?);
    Ok(())
}

async fn datagram_pair(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("send", left.send(b"ping").await);
    at.see("receive", recv(&right).await);
    at.see("send", right.try_send(b"pong"));
    at.see("receive", recv(&left).await);
    Ok(())
}

async fn datagram_pair_addresses(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("local", left.local_addr()?.is_unnamed());
    at.see("peer", left.peer_addr()?.is_unnamed());
    left.send(b"x").await?;
    at.see("sender", right.recv_from(&mut [0; 8]).await?.1.is_unnamed());
    Ok(())
}

async fn empty_unix_datagrams(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("send", left.send(b"").await);
    at.see("receive", right.recv(&mut [0; 8]).await);
    at.see("then", right.try_recv(&mut [0; 8]));
    left.send(b"lost").await?;
    left.send(b"next").await?;
    at.see("receive", right.recv(&mut []).await);
    at.see("receive", recv(&right).await);
    Ok(())
}

async fn the_rest_of_a_unix_datagram_is_lost(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    left.send(b"abcdef").await?;
    left.send(b"next").await?;
    let mut buf = [0; 2];
    at.see("receive", right.recv(&mut buf).await);
    at.see("bytes", text(&buf));
    at.see("receive", recv(&right).await);
    Ok(())
}

async fn unix_datagram_would_block(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("try", right.try_recv(&mut [0; 8]));
    left.try_send(b"x")?;
    at.see("try", at.retry(|| right.try_recv(&mut [0; 8])).await);
    at.see("from", right.try_recv_from(&mut [0; 8]).map(|(len, _)| len));
    Ok(())
}

/// How many there is room for depends on the system.
fn fill(socket: &UnixDatagram) -> u32 {
    let mut sent = 0_u32;
    while socket.try_send(&sent.to_be_bytes()).is_ok() {
        sent += 1;
    }
    sent
}

async fn a_full_unix_datagram_queue(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    let sent = fill(&left);
    at.see("full", (2..10_000).contains(&sent));
    at.see("refused", left.try_send(b"x"));
    at.see("writable", once(left.writable()));
    for _ in 0..sent {
        right.recv(&mut [0; 8]).await?;
    }
    at.see("writable", left.writable().await);
    at.see("again", at.retry(|| left.try_send(b"x")).await);
    Ok(())
}

async fn a_send_waits_for_room(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    let sent = fill(&left);
    let sending = redd::spawn(async move { left.send(b"last").await });
    at.rest().await;
    at.see("done", sending.is_finished());
    let mut in_order = 0;
    for number in 0..sent {
        let mut buf = [0; 4];
        right.recv(&mut buf).await?;
        in_order += u32::from(u32::from_be_bytes(buf) == number);
    }
    at.see("in order", in_order == sent);
    at.see("receive", recv(&right).await);
    at.see("send", sending.await.expect("no panic"));
    Ok(())
}

async fn a_shutdown_writing_direction(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("shutdown", left.shutdown(Shutdown::Write));
    at.see("send", left.send(b"x").await);
    right.send(b"y").await?;
    at.see("receive", recv(&left).await);
    at.see("peer", once(right.recv(&mut [0; 8])));
    Ok(())
}

async fn a_shutdown_reading_direction(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    right.send(b"early").await?;
    at.see("shutdown", left.shutdown(Shutdown::Read));
    at.see("send", right.send(b"late").await);
    at.see("receive", recv(&left).await);
    at.see("then", left.try_recv(&mut [0; 8]));
    at.see("send", left.send(b"x").await);
    Ok(())
}

async fn a_shutdown_of_both_directions(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("shutdown", left.shutdown(Shutdown::Both));
    at.see("shutdown", left.shutdown(Shutdown::Both));
    at.see("send", left.send(b"x").await);
    at.see("receive", left.try_recv(&mut [0; 8]));
    at.see("peer", right.send(b"x").await);
    Ok(())
}

async fn the_peer_of_a_pair_is_dropped(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    right.send(b"last").await?;
    drop(right);
    at.see("receive", recv(&left).await);
    at.see("send", left.send(b"x").await);
    at.see("send", left.send(b"x").await);
    Ok(())
}

async fn the_connected_path_is_dropped(at: At) -> Out {
    let Bound { directory: _directory, left, right, right_path, .. } = bound().await?;
    left.connect(&right_path)?;
    left.send(b"x").await?;
    drop(right);
    at.see("send", left.send(b"x").await);
    at.see("send", left.send(b"x").await);
    at.see("peer", left.peer_addr().map(drop));
    Ok(())
}

async fn a_connected_receiver_takes_its_peer_only(at: At) -> Out {
    let Bound { left, left_path, right, right_path, .. } = &bound().await?;
    right.connect(left_path)?;
    let stranger = UnixDatagram::unbound()?;
    at.see("send", stranger.send_to(b"x", right_path).await);
    at.see("connect", stranger.connect(right_path));
    at.see("send", left.send_to(b"y", right_path).await);
    at.see("receive", recv(right).await);
    Ok(())
}

async fn a_unix_datagram_connects_again(at: At) -> Out {
    let Bound { left, left_path, right, right_path, .. } = &bound().await?;
    let socket = UnixDatagram::unbound()?;
    socket.connect(left_path)?;
    socket.send(b"one").await?;
    at.see("connect", socket.connect(right_path));
    socket.send(b"two").await?;
    at.see("receive", recv(left).await);
    at.see("receive", recv(right).await);
    Ok(())
}

async fn an_abstract_datagram_name(at: At) -> Out {
    let name = format!("\0redd-{}-datagram", std::process::id());
    let bound = UnixDatagram::bind(&name)?;
    let socket = UnixDatagram::unbound()?;
    at.see("send", socket.send_to(b"x", &name).await);
    at.see("receive", recv(&bound).await);
    at.see("address", bound.local_addr()?.as_abstract_name() == Some(&name.as_bytes()[1..]));
    drop(bound);
    at.see("send", socket.send_to(b"x", &name).await);
    Ok(())
}

async fn large_unix_datagrams(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("send", left.send(&pattern(100_000)).await);
    let mut buf = vec![0; 200_000];
    let len = right.recv(&mut buf).await?;
    at.see("same", buf[..len] == pattern(100_000));
    at.see("send", left.send(&pattern(1 << 20)).await);
    Ok(())
}

async fn unix_datagrams_stay_in_order(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    let sending = redd::spawn(async move {
        for number in 0..100_u8 {
            left.send(&[number]).await?;
        }
        io::Result::Ok(())
    });
    let mut in_order = 0;
    for number in 0..100 {
        let mut buf = [0; 2];
        in_order += usize::from(right.recv(&mut buf).await? == 1 && buf[0] == number);
    }
    at.see("in order", in_order);
    at.see("send", sending.await.expect("no panic"));
    Ok(())
}

async fn unix_datagram_polls(at: At) -> Out {
    let Bound { left, left_path, right, right_path, .. } = &bound().await?;
    at.see("send", poll_fn(|cx| left.poll_send_to(cx, b"abc", right_path)).await);
    at.see("ready", poll_fn(|cx| right.poll_recv_ready(cx)).await);
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    let sender = poll_fn(|cx| right.poll_recv_from(cx, &mut buf)).await?;
    at.see("sender", sender.as_pathname() == Some(left_path));
    left.connect(right_path)?;
    at.see("ready", poll_fn(|cx| left.poll_send_ready(cx)).await);
    at.see("send", poll_fn(|cx| left.poll_send(cx, b"de")).await);
    poll_fn(|cx| right.poll_recv(cx, &mut buf)).await?;
    at.see("bytes", text(buf.filled()));
    Ok(())
}

async fn unix_datagrams_into_a_vec(at: At) -> Out {
    let Bound { left, left_path, right, right_path, .. } = &bound().await?;
    for datagram in ["one", "two", "three", "four"] {
        left.send_to(datagram.as_bytes(), right_path).await?;
    }
    let mut all = Vec::new();
    at.see("receive", right.recv_buf(&mut all).await);
    at.see("from", right.recv_buf_from(&mut all).await.map(|(len, _)| len));
    at.see("try", right.try_recv_buf(&mut all));
    let (len, sender) = right.try_recv_buf_from(&mut all)?;
    at.see("try from", len);
    at.see("sender", sender.as_pathname() == Some(left_path));
    at.see("all", text(&all));
    Ok(())
}

async fn unix_datagram_flags(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.rest().await;
    at.see("fresh", right.ready(Interest::READABLE | Interest::WRITABLE).await);
    left.send(b"x").await?;
    right.readable().await?;
    at.see("data", right.ready(Interest::READABLE | Interest::WRITABLE).await);
    Ok(())
}

async fn a_unix_datagram_sends_to_itself(at: At) -> Out {
    let Bound { left, left_path, .. } = &bound().await?;
    at.see("send", left.send_to(b"me", left_path).await);
    at.see("receive", recv(left).await);
    Ok(())
}

async fn a_unix_datagram_goes_to_std_and_back(at: At) -> Out {
    let Bound { directory: _directory, left, right, right_path, .. } = bound().await?;
    left.send_to(b"before", &right_path).await?;
    let right = UnixDatagram::from_std(right.into_std()?)?;
    at.see("address", right.local_addr()?.as_pathname() == Some(&right_path));
    at.see("receive", recv(&right).await);
    Ok(())
}

async fn a_dropped_unix_receive_loses_nothing(at: At) -> Out {
    let (left, right) = UnixDatagram::pair()?;
    at.see("receive", once(right.recv(&mut [0; 8])));
    left.send(b"x").await?;
    at.see("receive", recv(&right).await);
    Ok(())
}

async fn an_unbound_socket_receives_on_no_path(at: At) -> Out {
    let socket = UnixSocket::new_datagram()?.datagram()?;
    at.see("local", socket.local_addr()?.is_unnamed());
    at.see("receive", Word(once(socket.recv(&mut [0; 8])).0));
    Ok(())
}

//! Unix stream sockets.

use crate::at::{At, Out, exactly, fresh_path, once, pattern, read, rest_is_pattern, rest_of, text};
use crate::show::Word;
use crate::table::{Case, case};
use redd::io::{AsyncReadExt, AsyncWriteExt, Interest};
use redd::net::unix::SocketAddr;
use redd::net::{UnixDatagram, UnixListener, UnixSocket, UnixStream};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

// The path of a socket in a world is a name of its network, and no file: so one case differs.
pub(crate) const CASES: &[Case] = &[
    case!(
        a_path_connects,
        "listener this path; client unnamed; its peer this path; server this path; its peer unnamed; accept unnamed; read \"ping\"; read \"pong\""
    ),
    case!(a_missing_path, "connect ENOENT"),
    case!(a_missing_directory, "bind ENOENT; connect ENOENT"),
    case!(a_file_in_the_place_of_a_directory, "bind ENOTDIR; connect ENOTDIR"),
    case!(a_path_that_is_no_socket, "file ECONNREFUSED; directory ECONNREFUSED; bind EADDRINUSE; bind EADDRINUSE"),
    case!(a_path_in_use, "listener EADDRINUSE; socket EADDRINUSE; datagram EADDRINUSE"),
    case!(the_path_of_a_dropped_listener_refuses, "connect ECONNREFUSED; bind EADDRINUSE"),
    case!(a_bound_path_is_a_socket_file, "socket true; stays true").differs("unexpected ENOENT"),
    case!(a_bound_path_without_listener_refuses, "bind ok; connect ECONNREFUSED; connect ok; accept ok"),
    case!(a_renamed_path_still_connects, "old ENOENT; new ok; address this path"),
    case!(a_path_of_the_other_kind, "connect EPROTOTYPE"),
    case!(
        unusable_paths,
        "bind InvalidInput; connect InvalidInput; socket InvalidInput; bind InvalidInput; connect InvalidInput; socket InvalidInput; bind InvalidInput; connect InvalidInput; socket InvalidInput"
    ),
    case!(an_abstract_name_connects, "peer true; accept unnamed; read \"x\"; connect ok"),
    case!(an_abstract_name_is_in_use_until_it_is_dropped, "bind EADDRINUSE; bind ok"),
    case!(an_abstract_name_is_compared_as_bytes, "longer ECONNREFUSED; same ok"),
    case!(a_missing_abstract_name, "connect ECONNREFUSED"),
    case!(a_client_with_a_path, "client this path; accept this path"),
    case!(addresses_of_a_pair, "local unnamed; peer unnamed; peer ok"),
    case!(credentials_of_a_connection, "pid true; uid true; pid true; uid true"),
    case!(credentials_of_a_pair, "pid true; uid true; pid true; uid true"),
    case!(a_full_unix_backlog, "connect ok; connect ok; connect WouldBlock; accept ok; connect ok"),
    case!(unix_accept_order, "accept 0; accept 1; accept 2"),
    case!(each_unix_accept_gets_one, "sum 3"),
    case!(a_unix_connection_needs_no_accept, "write 5; read \"early\""),
    case!(a_unix_client_that_left_before_the_accept, "read \"x\"; write EPIPE"),
    case!(a_unix_listener_with_waiting_connections_is_dropped, "read ECONNRESET; read \"\"; write EPIPE"),
    case!(an_accepted_unix_stream_outlives_its_listener, "connect ECONNREFUSED; read \"on\""),
    case!(a_unix_listener_goes_to_std_and_back, "address this path; read \"x\""),
    case!(pair_goes_both_ways, "write 4; read \"ping\"; write 4; read \"pong\""),
    case!(pair_reads_what_fits, "read \"012\"; read \"345\"; read \"6789\""),
    case!(pair_half_close, "read \"question\"; read \"answer\"; write EPIPE; read \"\""),
    case!(pair_shutdown_twice, "shutdown ok; shutdown ok; read \"\"; shutdown ok"),
    case!(pair_closed, "read \"\"; write EPIPE; write EPIPE; read \"\"; error none"),
    case!(pair_dropped_with_unread_bytes, "read ECONNRESET; read \"\"; write EPIPE"),
    case!(pair_bytes_before_a_reset, "read \"hello\"; read ECONNRESET; read \"\""),
    case!(pair_error_is_taken_once, "error ECONNRESET; error none; read \"\""),
    case!(pair_would_block, "try WouldBlock; write 3; try 3; try WouldBlock"),
    case!(pair_full, "full true; refused WouldBlock; as sent true; again 1"),
    case!(pair_full_is_not_writable, "writable pending; writable ok"),
    case!(pair_empty_reads_and_writes, "write 0; nothing there: 0; a byte: 0; read \"x\""),
    case!(pair_two_megabytes, "read 2000000 as sent; write ok"),
    case!(pair_flags, "fresh W; data R+W"),
    case!(pair_flags_after_half_close, "flags R+W+RC"),
    case!(pair_flags_after_close, "flags R+W+RC+WC"),
    case!(pair_vectored, "write 5; read 5; bytes \"bcde\""),
    case!(pair_waiting_read_sees_the_end, "done false; read \"\""),
    case!(pair_waiting_write_sees_its_peer_go, "done false; write EPIPE; read ECONNRESET"),
    case!(pair_dropped_writing_half, "read \"\"; read \"open\""),
    case!(pair_forgotten_writing_half, "try WouldBlock"),
    case!(pair_halves_reunite, "read \"x\""),
    case!(pair_goes_to_std_and_back, "read \"before after\""),
    case!(pair_addresses_after_close, "local ok; peer ok"),
    case!(unix_no_error_to_take, "listener none; client none; server none"),
    case!(a_removed_path_frees_the_name, "connect ENOENT; connect ok; second ok; first pending"),
];

/// A listener at a fresh path, and a connection to it.
struct Connected {
    directory: tempfile::TempDir,
    listener: UnixListener,
    client: UnixStream,
    server: UnixStream,
}

async fn connected() -> io::Result<Connected> {
    let (directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let client = UnixStream::connect(&path).await?;
    let (server, _) = listener.accept().await?;
    Ok(Connected { directory, listener, client, server })
}

async fn connect(path: impl AsRef<Path>) -> io::Result<()> {
    UnixStream::connect(path).await.map(drop)
}

fn bind(path: impl AsRef<Path>) -> io::Result<()> {
    UnixListener::bind(path).map(drop)
}

/// The kind of an address, and whether it is this path.
fn shown(address: &SocketAddr, path: &Path) -> Word<&'static str> {
    Word(match (address.as_pathname(), address.as_abstract_name(), address.is_unnamed()) {
        (Some(own), None, false) if own == path => "this path",
        (Some(_), None, false) => "another path",
        (None, Some(_), false) => "abstract",
        (None, None, true) => "unnamed",
        _ => "contradictory",
    })
}

async fn a_path_connects(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let mut client = UnixStream::connect(&path).await?;
    let (mut server, peer) = listener.accept().await?;
    at.see("listener", shown(&listener.local_addr()?, &path));
    at.see("client", shown(&client.local_addr()?, &path));
    at.see("its peer", shown(&client.peer_addr()?, &path));
    at.see("server", shown(&server.local_addr()?, &path));
    at.see("its peer", shown(&server.peer_addr()?, &path));
    at.see("accept", shown(&peer, &path));
    client.write_all(b"ping").await?;
    at.see("read", read(&mut server, 8).await);
    server.write_all(b"pong").await?;
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

async fn a_missing_path(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    at.see("connect", connect(&path).await);
    Ok(())
}

async fn a_missing_directory(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    at.see("bind", bind(path.join("deeper")));
    at.see("connect", connect(path.join("deeper")).await);
    Ok(())
}

async fn a_file_in_the_place_of_a_directory(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    redd::fs::write(&path, "").await?;
    at.see("bind", bind(path.join("deeper")));
    at.see("connect", connect(path.join("deeper")).await);
    Ok(())
}

async fn a_path_that_is_no_socket(at: At) -> Out {
    let (directory, path) = fresh_path().await?;
    redd::fs::write(&path, "").await?;
    at.see("file", connect(&path).await);
    at.see("directory", connect(directory.path()).await);
    at.see("bind", bind(&path));
    at.see("bind", bind(directory.path()));
    Ok(())
}

async fn a_path_in_use(at: At) -> Out {
    let Connected { directory, .. } = &connected().await?;
    let path = directory.path().join("socket");
    at.see("listener", bind(&path));
    at.see("socket", UnixSocket::new_stream()?.bind(&path));
    at.see("datagram", UnixDatagram::bind(&path).map(drop));
    Ok(())
}

async fn the_path_of_a_dropped_listener_refuses(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    bind(&path)?;
    at.see("connect", connect(&path).await);
    at.see("bind", bind(&path));
    Ok(())
}

async fn a_removed_path_frees_the_name(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    redd::fs::remove_file(&path).await?;
    at.see("connect", connect(&path).await);
    let second = UnixListener::bind(&path)?;
    at.see("connect", connect(&path).await);
    at.see("second", second.accept().await.map(drop));
    at.see("first", once(async { listener.accept().await.map(drop) }));
    Ok(())
}

async fn a_bound_path_is_a_socket_file(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    at.see("socket", redd::fs::symlink_metadata(&path).await?.file_type().is_socket());
    drop(listener);
    at.see("stays", redd::fs::try_exists(&path).await);
    Ok(())
}

async fn a_bound_path_without_listener_refuses(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let socket = UnixSocket::new_stream()?;
    at.see("bind", socket.bind(&path));
    at.see("connect", connect(&path).await);
    let listener = socket.listen(4)?;
    at.see("connect", connect(&path).await);
    at.see("accept", listener.accept().await.map(drop));
    Ok(())
}

async fn a_renamed_path_still_connects(at: At) -> Out {
    let (directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let renamed = directory.path().join("renamed");
    redd::fs::rename(&path, &renamed).await?;
    at.see("old", connect(&path).await);
    at.see("new", connect(&renamed).await);
    at.see("address", shown(&listener.local_addr()?, &path));
    Ok(())
}

async fn a_path_of_the_other_kind(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let _datagram = UnixDatagram::bind(&path)?;
    at.see("connect", connect(&path).await);
    Ok(())
}

async fn unusable_paths(at: At) -> Out {
    let long = format!("/tmp/{}", "x".repeat(200));
    for path in ["", "a\0b", &long] {
        at.see("bind", bind(path));
        at.see("connect", connect(path).await);
        at.see("socket", UnixSocket::new_stream()?.bind(path));
    }
    Ok(())
}

/// An abstract name of this process and case.
fn abstract_name(case: &str) -> String {
    format!("\0redd-{}-{case}", std::process::id())
}

async fn an_abstract_name_connects(at: At) -> Out {
    let name = abstract_name("connects");
    let listener = UnixListener::bind(&name)?;
    let client = UnixStream::connect(&name).await?;
    let (mut server, peer) = listener.accept().await?;
    at.see("peer", client.peer_addr()?.as_abstract_name() == Some(&name.as_bytes()[1..]));
    at.see("accept", shown(&peer, Path::new("")));
    server.write_all(b"x").await?;
    let mut client = client;
    at.see("read", read(&mut client, 8).await);
    let again = UnixStream::connect_addr(&listener.local_addr()?).await;
    at.see("connect", again.map(drop));
    Ok(())
}

async fn an_abstract_name_is_in_use_until_it_is_dropped(at: At) -> Out {
    let name = abstract_name("in use");
    let listener = UnixListener::bind(&name)?;
    at.see("bind", bind(&name));
    let address = listener.local_addr()?;
    drop(listener);
    at.see("bind", UnixListener::bind_addr(&address).map(drop));
    Ok(())
}

async fn an_abstract_name_is_compared_as_bytes(at: At) -> Out {
    let name = abstract_name("bytes");
    let _listener = UnixListener::bind(&name)?;
    at.see("longer", connect(format!("{name}\0")).await);
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name.as_bytes()[1..])?;
    at.see("same", UnixStream::connect_addr(&address.into()).await.map(drop));
    Ok(())
}

async fn a_missing_abstract_name(at: At) -> Out {
    at.see("connect", connect(abstract_name("missing")).await);
    Ok(())
}

async fn a_client_with_a_path(at: At) -> Out {
    let Connected { directory, listener, .. } = connected().await?;
    let path = directory.path().join("client");
    let socket = UnixSocket::new_stream()?;
    socket.bind(&path)?;
    let client = socket.connect(directory.path().join("socket")).await?;
    at.see("client", shown(&client.local_addr()?, &path));
    at.see("accept", shown(&listener.accept().await?.1, &path));
    Ok(())
}

async fn addresses_of_a_pair(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    at.see("local", shown(&left.local_addr()?, Path::new("")));
    at.see("peer", shown(&left.peer_addr()?, Path::new("")));
    drop(right);
    at.see("peer", left.peer_addr().map(drop));
    Ok(())
}

fn see_credentials(at: &At, stream: &UnixStream) -> Out {
    let credentials = stream.peer_cred()?;
    at.see("pid", credentials.pid().map(i64::from) == Some(i64::from(std::process::id())));
    let own = std::fs::metadata("/proc/self")?;
    at.see("uid", credentials.uid() == std::os::unix::fs::MetadataExt::uid(&own));
    Ok(())
}

async fn credentials_of_a_connection(at: At) -> Out {
    let Connected { client, server, .. } = &connected().await?;
    see_credentials(&at, client)?;
    see_credentials(&at, server)
}

async fn credentials_of_a_pair(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    see_credentials(&at, &left)?;
    see_credentials(&at, &right)
}

/// One more than the backlog says, as for TCP. But the next one fails at once.
async fn a_full_unix_backlog(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let socket = UnixSocket::new_stream()?;
    socket.bind(&path)?;
    let listener = socket.listen(1)?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let client = UnixStream::connect(&path).await;
        at.see("connect", client.as_ref().map(drop));
        clients.extend(client);
    }
    at.see("accept", listener.accept().await.map(drop));
    at.see("connect", connect(&path).await);
    Ok(())
}

async fn unix_accept_order(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let mut clients = Vec::new();
    for number in 0..3_u8 {
        let mut client = UnixStream::connect(&path).await?;
        client.write_u8(number).await?;
        clients.push(client);
    }
    for _ in 0..3 {
        at.see("accept", listener.accept().await?.0.read_u8().await);
    }
    Ok(())
}

async fn each_unix_accept_gets_one(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = Arc::new(UnixListener::bind(&path)?);
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let listener = Arc::clone(&listener);
            redd::spawn(async move { listener.accept().await?.0.read_u8().await })
        })
        .collect();
    at.rest().await;
    let mut clients = Vec::new();
    for number in 1..3 {
        let mut client = UnixStream::connect(&path).await?;
        client.write_u8(number).await?;
        clients.push(client);
    }
    let mut sum = 0;
    for task in tasks {
        sum += task.await.expect("no panic")?;
    }
    at.see("sum", sum);
    Ok(())
}

async fn a_unix_connection_needs_no_accept(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let mut client = UnixStream::connect(&path).await?;
    at.see("write", client.write(b"early").await);
    let (mut server, _) = listener.accept().await?;
    at.see("read", read(&mut server, 8).await);
    Ok(())
}

async fn a_unix_client_that_left_before_the_accept(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let mut client = UnixStream::connect(&path).await?;
    client.write_all(b"x").await?;
    drop(client);
    let (mut server, _) = listener.accept().await?;
    at.see("read", rest_of(&mut server).await);
    at.see("write", server.write(b"x").await);
    Ok(())
}

async fn a_unix_listener_with_waiting_connections_is_dropped(at: At) -> Out {
    let (_directory, path) = fresh_path().await?;
    let listener = UnixListener::bind(&path)?;
    let mut client = UnixStream::connect(&path).await?;
    drop(listener);
    at.see("read", read(&mut client, 8).await);
    at.see("read", read(&mut client, 8).await);
    at.see("write", client.write(b"x").await);
    Ok(())
}

async fn an_accepted_unix_stream_outlives_its_listener(at: At) -> Out {
    let Connected { directory, listener, mut client, mut server } = connected().await?;
    drop(listener);
    at.see("connect", connect(directory.path().join("socket")).await);
    server.write_all(b"on").await?;
    at.see("read", read(&mut client, 8).await);
    Ok(())
}

async fn a_unix_listener_goes_to_std_and_back(at: At) -> Out {
    let Connected { directory, listener, .. } = connected().await?;
    let path = directory.path().join("socket");
    let mut client = UnixStream::connect(&path).await?;
    let listener = UnixListener::from_std(listener.into_std()?)?;
    at.see("address", shown(&listener.local_addr()?, &path));
    client.write_all(b"x").await?;
    at.see("read", read(&mut listener.accept().await?.0, 8).await);
    Ok(())
}

async fn pair_goes_both_ways(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    at.see("write", left.write(b"ping").await);
    at.see("read", read(&mut right, 8).await);
    at.see("write", right.write(b"pong").await);
    at.see("read", read(&mut left, 8).await);
    Ok(())
}

async fn pair_reads_what_fits(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    left.write_all(b"0123").await?;
    left.write_all(b"456789").await?;
    for len in [3, 3, 8] {
        at.see("read", read(&mut right, len).await);
    }
    Ok(())
}

async fn pair_half_close(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    left.write_all(b"question").await?;
    left.shutdown().await?;
    at.see("read", rest_of(&mut right).await);
    right.write_all(b"answer").await?;
    at.see("read", exactly(&mut left, 6).await);
    at.see("write", left.write(b"x").await);
    drop(right);
    at.see("read", read(&mut left, 8).await);
    Ok(())
}

async fn pair_shutdown_twice(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    at.see("shutdown", left.shutdown().await);
    at.see("shutdown", left.shutdown().await);
    at.see("read", read(&mut right, 8).await);
    drop(right);
    at.see("shutdown", left.shutdown().await);
    Ok(())
}

async fn pair_closed(at: At) -> Out {
    let (mut left, right) = UnixStream::pair()?;
    drop(right);
    at.see("read", read(&mut left, 8).await);
    at.see("write", left.write(b"x").await);
    at.see("write", left.write(b"x").await);
    at.see("read", read(&mut left, 8).await);
    at.see("error", left.take_error()?);
    Ok(())
}

async fn pair_dropped_with_unread_bytes(at: At) -> Out {
    let (mut left, right) = UnixStream::pair()?;
    left.write_all(b"abc").await?;
    drop(right);
    at.see("read", read(&mut left, 8).await);
    at.see("read", read(&mut left, 8).await);
    at.see("write", left.write(b"x").await);
    Ok(())
}

async fn pair_bytes_before_a_reset(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    left.write_all(b"abc").await?;
    right.write_all(b"hello").await?;
    drop(right);
    for _ in 0..3 {
        at.see("read", read(&mut left, 8).await);
    }
    Ok(())
}

async fn pair_error_is_taken_once(at: At) -> Out {
    let (mut left, right) = UnixStream::pair()?;
    left.write_all(b"abc").await?;
    drop(right);
    at.see("error", left.take_error()?);
    at.see("error", left.take_error()?);
    at.see("read", read(&mut left, 8).await);
    Ok(())
}

async fn pair_would_block(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    at.see("try", right.try_read(&mut [0; 8]));
    at.see("write", left.try_write(b"abc"));
    at.see("try", at.retry(|| right.try_read(&mut [0; 8])).await);
    at.see("try", right.try_read(&mut [0; 8]));
    Ok(())
}

/// Fills a socket. Returns how many bytes it took: that depends on the system.
fn fill(stream: &UnixStream) -> io::Result<usize> {
    let bytes = pattern(251 * 16);
    let mut sent = 0;
    loop {
        match stream.try_write(&bytes[sent % 251..]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(sent),
            Err(error) => return Err(error),
        }
    }
}

async fn pair_full(at: At) -> Out {
    let (left, mut right) = UnixStream::pair()?;
    let sent = fill(&left)?;
    at.see("full", (10_000..10_000_000).contains(&sent));
    at.see("refused", left.try_write(b"x"));
    let mut all = vec![0; sent];
    right.read_exact(&mut all).await?;
    at.see("as sent", all == pattern(sent));
    at.see("again", at.retry(|| left.try_write(b"x")).await);
    Ok(())
}

async fn pair_full_is_not_writable(at: At) -> Out {
    let (left, mut right) = UnixStream::pair()?;
    let mut all = vec![0; fill(&left)?];
    at.see("writable", once(left.writable()));
    let (writable, read) = redd::join!(left.writable(), right.read_exact(&mut all));
    read?;
    at.see("writable", writable);
    Ok(())
}

async fn pair_empty_reads_and_writes(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    at.see("write", left.write(b"").await);
    at.see("nothing there:", once(async { right.read(&mut []).await }));
    left.write_all(b"x").await?;
    right.readable().await?;
    at.see("a byte:", right.try_read(&mut []));
    at.see("read", read(&mut right, 8).await);
    Ok(())
}

async fn pair_two_megabytes(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    let writing = redd::spawn(async move {
        left.write_all(&pattern(2_000_000)).await?;
        left.shutdown().await
    });
    at.see("read", rest_is_pattern(&mut right).await);
    at.see("write", writing.await.expect("no panic"));
    Ok(())
}

const ALL: fn() -> Interest = || Interest::READABLE | Interest::WRITABLE | Interest::ERROR;

async fn pair_flags(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    at.rest().await;
    at.see("fresh", right.ready(ALL()).await);
    left.try_write(b"x")?;
    right.readable().await?;
    at.see("data", right.ready(ALL()).await);
    Ok(())
}

async fn until_flag(at: &At, stream: &UnixStream, flag: impl Fn(redd::io::Ready) -> bool) -> Out {
    while !flag(stream.ready(ALL()).await?) {
        at.pause().await;
    }
    Ok(())
}

async fn pair_flags_after_half_close(at: At) -> Out {
    let (mut left, right) = UnixStream::pair()?;
    left.shutdown().await?;
    until_flag(&at, &right, redd::io::Ready::is_read_closed).await?;
    at.see("flags", right.ready(ALL()).await);
    Ok(())
}

async fn pair_flags_after_close(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    drop(left);
    until_flag(&at, &right, redd::io::Ready::is_write_closed).await?;
    at.see("flags", right.ready(ALL()).await);
    Ok(())
}

async fn pair_vectored(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    at.see("write", left.try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]));
    right.readable().await?;
    let (mut one, mut two) = ([0; 1], [0; 8]);
    let bufs = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
    at.see("read", at.retry(|| right.try_read_vectored(bufs)).await);
    at.see("bytes", text(&two[..4]));
    Ok(())
}

async fn pair_waiting_read_sees_the_end(at: At) -> Out {
    let (left, mut right) = UnixStream::pair()?;
    let reading = redd::spawn(async move { read(&mut right, 8).await });
    at.rest().await;
    at.see("done", reading.is_finished());
    drop(left);
    at.see("read", reading.await.expect("no panic"));
    Ok(())
}

async fn pair_waiting_write_sees_its_peer_go(at: At) -> Out {
    let (mut left, right) = UnixStream::pair()?;
    fill(&left)?;
    let writing = redd::spawn(async move { (left.write_all(b"x").await, left) });
    at.rest().await;
    at.see("done", writing.is_finished());
    drop(right);
    let (written, mut left) = writing.await.expect("no panic");
    at.see("write", written);
    at.see("read", read(&mut left, 8).await);
    Ok(())
}

async fn pair_dropped_writing_half(at: At) -> Out {
    let (left, mut right) = UnixStream::pair()?;
    let (mut reader, writer) = left.into_split();
    drop(writer);
    at.see("read", read(&mut right, 8).await);
    right.write_all(b"open").await?;
    at.see("read", exactly(&mut reader, 4).await);
    Ok(())
}

async fn pair_forgotten_writing_half(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    let (_reader, writer) = left.into_split();
    writer.forget();
    at.rest().await;
    at.see("try", right.try_read(&mut [0; 8]));
    Ok(())
}

async fn pair_halves_reunite(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    let ((left_reader, left_writer), (right_reader, right_writer)) = (left.into_split(), right.into_split());
    let error = left_reader.reunite(right_writer).expect_err("of two streams");
    let mut left = error.0.reunite(left_writer).expect("of one stream");
    let mut right = error.1.reunite(right_reader).expect("of one stream");
    left.write_all(b"x").await?;
    at.see("read", read(&mut right, 8).await);
    Ok(())
}

async fn pair_goes_to_std_and_back(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    left.write_all(b"before ").await?;
    let mut left = UnixStream::from_std(left.into_std()?)?;
    left.write_all(b"after").await?;
    drop(left);
    at.see("read", rest_of(&mut right).await);
    Ok(())
}

async fn pair_addresses_after_close(at: At) -> Out {
    let (left, right) = UnixStream::pair()?;
    drop(right);
    at.see("local", left.local_addr().map(drop));
    at.see("peer", left.peer_addr().map(drop));
    Ok(())
}

async fn unix_no_error_to_take(at: At) -> Out {
    let Connected { directory: _directory, listener, client, server } = connected().await?;
    at.see("listener", listener.take_error()?);
    at.see("client", client.take_error()?);
    at.see("server", server.take_error()?);
    Ok(())
}

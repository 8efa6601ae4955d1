//! Operations that are given up in the middle, and runtimes that end before their sockets.

use crate::at::{At, Out, exactly, fill, once, pattern, read, rest_of, soon};
use crate::table::{Case, case};
use redd::io::{AsyncReadExt, AsyncWriteExt};
use redd::net::{TcpListener, TcpStream, UnixStream};
use redd::task::spawn_blocking;
use redd::time::timeout;
use std::io;
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[
    case!(an_accept_times_out, "accept elapsed; accept true").far(),
    case!(a_read_times_out, "read elapsed; read \"late\"").far(),
    case!(a_write_times_out, "write elapsed; write ECONNRESET").far(),
    case!(a_connect_times_out, "connect elapsed; accept true; connect ok").far(),
    case!(a_timeout_is_not_needed, "read \"x\"").far(),
    case!(select_between_two_streams, "one \"1\"; two \"2\"").far(),
    case!(select_between_accept_and_read, "read \"x\"; accepted ok").far(),
    case!(
        select_drops_the_other_read,
        "rest 0; read \"x\"; rest 1; read \"x\"; rest 2; read \"x\"; rest 3; read \"x\"; rest 4; read \"x\""
    )
    .far(),
    case!(an_aborted_task_closes_its_stream, "cancelled true; read \"\"").far(),
    case!(an_aborted_task_closes_its_listener, "cancelled true; connect ECONNREFUSED").far(),
    case!(an_aborted_reader_leaves_the_bytes, "read \"abc\"").far(),
    case!(an_aborted_task_leaves_the_shared_stream, "try 3").far(),
    case!(a_panicked_task_closes_its_stream, "panicked true; read \"\"").far(),
    case!(a_write_that_is_dropped_has_written_something, "write elapsed; some true; beginning true").far(),
    case!(a_read_exact_that_is_dropped_has_taken_bytes, "exact elapsed; read \"de\"").far(),
    case!(a_peek_that_is_dropped, "peek pending; read \"abc\"").far(),
    case!(a_hundred_dropped_accepts, "accept true").far(),
    case!(a_dropped_join_set_closes_all, "ends 10").far(),
    case!(sockets_of_a_runtime_that_has_ended, "readable true; read true; write true; into_std true"),
    case!(a_runtime_that_ends_closes_its_tasks_sockets, "ended ok; read \"x\""),
    case!(a_socket_of_another_runtime, "read \"x\""),
    case!(a_unix_read_times_out, "read elapsed; read \"late\""),
    case!(an_interval_beside_a_read, "read \"x\"; ticks true").far(),
];

async fn an_accept_times_out(at: At) -> Out {
    let listener = at.listener().await?;
    at.see("accept", soon(async { listener.accept().await.map(drop) }).await);
    let client = TcpStream::connect(listener.local_addr()?).await?;
    at.see("accept", listener.accept().await?.1 == client.local_addr()?);
    Ok(())
}

async fn a_read_times_out(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("read", soon(read(&mut near, 8)).await);
    far.write_all(b"late").await?;
    at.see("read", exactly(&mut near, 4).await);
    Ok(())
}

async fn a_write_times_out(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    fill(&at, &near).await?;
    at.see("write", soon(near.write_all(&pattern(10_000_000))).await);
    drop(far);
    at.ended(&near).await?;
    at.see("write", near.write(b"x").await);
    Ok(())
}

/// To a listener whose backlog is full.
async fn a_connect_times_out(at: At) -> Out {
    let listener = at.listener_with_backlog(0).await?;
    let address = listener.local_addr()?;
    let first = TcpStream::connect(address).await?;
    at.rest().await;
    at.see("connect", soon(TcpStream::connect(address)).await.map(|connected| connected.map(drop)));
    at.see("accept", listener.accept().await?.1 == first.local_addr()?);
    let third = TcpStream::connect(address).await?;
    at.see("connect", ());
    while listener.accept().await?.1 != third.local_addr()? {}
    Ok(())
}

async fn a_timeout_is_not_needed(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"x").await?;
    at.see("read", timeout(Duration::from_secs(60), read(&mut far, 8)).await);
    Ok(())
}

async fn select_between_two_streams(at: At) -> Out {
    let ((mut one, mut one_far), (mut two, mut two_far)) = (at.streams().await?, at.streams().await?);
    for (number, writer) in [(1, &mut one_far), (2, &mut two_far)] {
        writer.write_all(format!("{number}").as_bytes()).await?;
        redd::select! {
            text = read(&mut one, 8) => at.see("one", text),
            text = read(&mut two, 8) => at.see("two", text),
        }
    }
    Ok(())
}

async fn select_between_accept_and_read(at: At) -> Out {
    let listener = at.listener().await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (mut server, _) = listener.accept().await?;
    client.write_all(b"x").await?;
    redd::select! {
        _ = listener.accept() => at.see("accepted", ()),
        text = read(&mut server, 8) => at.see("read", text),
    }
    let _second = TcpStream::connect(listener.local_addr()?).await?;
    redd::select! {
        accepted = listener.accept() => at.see("accepted", accepted.map(drop)),
        text = read(&mut server, 8) => at.see("read", text),
    }
    Ok(())
}

async fn select_drops_the_other_read(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    for number in 0..5 {
        redd::select! {
            text = read(&mut far, 8) => at.see("read", text),
            () = at.rest() => at.see("rest", number),
        }
        near.write_all(b"x").await?;
        at.arrived(&far, 1).await?;
        at.see("read", read(&mut far, 8).await);
    }
    Ok(())
}

async fn an_aborted_task_closes_its_stream(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let task = redd::spawn(async move { read(&mut far, 8).await });
    at.rest().await;
    task.abort();
    at.see("cancelled", task.await.is_err_and(|error| error.is_cancelled()));
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

async fn an_aborted_task_closes_its_listener(at: At) -> Out {
    let listener = at.listener().await?;
    let address = listener.local_addr()?;
    let task = redd::spawn(async move { listener.accept().await.map(drop) });
    at.rest().await;
    task.abort();
    at.see("cancelled", task.await.is_err());
    at.see("connect", TcpStream::connect(address).await.map(drop));
    Ok(())
}

async fn an_aborted_reader_leaves_the_bytes(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    let (mut reader, _writer) = far.into_split();
    let (sender, receiver) = redd::sync::oneshot::channel();
    let task = redd::spawn(async move {
        let _ = soon(read(&mut reader, 8)).await;
        let _ = sender.send(reader);
    });
    let mut reader = receiver.await.expect("it is sent");
    task.abort();
    near.write_all(b"abc").await?;
    at.see("read", exactly(&mut reader, 3).await);
    Ok(())
}

async fn an_aborted_task_leaves_the_shared_stream(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    let far = std::sync::Arc::new(far);
    let shared = std::sync::Arc::clone(&far);
    let task = redd::spawn(async move { shared.readable().await });
    at.rest().await;
    task.abort();
    let _ = task.await;
    near.write_all(b"abc").await?;
    at.see("try", at.retry(|| far.try_read(&mut [0; 8])).await);
    Ok(())
}

async fn a_panicked_task_closes_its_stream(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let task = redd::spawn(async move {
        let text = read(&mut far, 8).await.expect("bytes");
        std::panic::resume_unwind(Box::new(text));
    });
    near.write_all(b"x").await?;
    at.see("panicked", task.await.is_err_and(|error: redd::task::JoinError| error.is_panic()));
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

/// How much it has written is open, but it is the beginning of the bytes.
async fn a_write_that_is_dropped_has_written_something(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let bytes = pattern(100 << 20);
    at.see("write", soon(near.write_all(&bytes)).await);
    let reading = redd::spawn(async move {
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.map(|_| all)
    });
    drop(near);
    let all = reading.await.expect("no panic")?;
    at.see("some", !all.is_empty() && all.len() < bytes.len());
    at.see("beginning", bytes.starts_with(&all));
    Ok(())
}

async fn a_read_exact_that_is_dropped_has_taken_bytes(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"abc").await?;
    at.arrived(&far, 3).await?;
    at.see("exact", soon(exactly(&mut far, 5)).await);
    near.write_all(b"de").await?;
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_peek_that_is_dropped(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("peek", once(far.peek(&mut [0; 8])));
    near.write_all(b"abc").await?;
    at.see("read", exactly(&mut far, 3).await);
    Ok(())
}

async fn a_hundred_dropped_accepts(at: At) -> Out {
    let listener = at.listener().await?;
    for _ in 0..100 {
        once(async { listener.accept().await.map(drop) });
    }
    let client = TcpStream::connect(listener.local_addr()?).await?;
    at.see("accept", listener.accept().await?.1 == client.local_addr()?);
    Ok(())
}

async fn a_dropped_join_set_closes_all(at: At) -> Out {
    let mut tasks = redd::task::JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..10 {
        let (near, mut far) = at.streams().await?;
        tasks.spawn(async move { read(&mut far, 8).await });
        streams.push(near);
    }
    at.rest().await;
    drop(tasks);
    let mut ends = 0;
    for mut stream in streams {
        ends += usize::from(rest_of(&mut stream).await?.is_empty());
    }
    at.see("ends", ends);
    Ok(())
}

fn other_runtime() -> redd::runtime::Runtime {
    redd::runtime::Builder::new_current_thread().enable_all().build().expect("resources left")
}

async fn loopback_streams() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    Ok((near, listener.accept().await?.0))
}

async fn sockets_of_a_runtime_that_has_ended(at: At) -> Out {
    let streams = spawn_blocking(|| other_runtime().block_on(loopback_streams())).await.expect("no panic");
    let (mut near, mut far) = streams?;
    at.see("readable", near.readable().await.is_err_and(|error| redd::runtime::is_rt_shutdown_err(&error)));
    at.see("read", far.read(&mut [0; 8]).await.is_err());
    at.see("write", near.write(b"x").await.is_err());
    at.see("into_std", near.into_std().is_ok());
    Ok(())
}

async fn a_runtime_that_ends_closes_its_tasks_sockets(at: At) -> Out {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let ended = spawn_blocking(move || {
        other_runtime().block_on(async {
            let mut client = TcpStream::connect(address).await?;
            client.write_all(b"x").await?;
            redd::spawn(async move { read(&mut client, 8).await });
            io::Result::Ok(())
        })
    });
    let (mut server, _) = listener.accept().await?;
    at.see("ended", ended.await.expect("no panic"));
    at.see("read", rest_of(&mut server).await);
    Ok(())
}

async fn a_socket_of_another_runtime(at: At) -> Out {
    let (sender, receiver) = redd::sync::oneshot::channel();
    let (end, ended) = redd::sync::oneshot::channel::<()>();
    let thread = spawn_blocking(move || {
        other_runtime().block_on(async {
            let streams = loopback_streams().await;
            let _ = sender.send(streams);
            let _ = ended.await;
        });
    });
    let (mut near, mut far) = receiver.await.expect("it is sent")?;
    let (text, written) = redd::join!(read(&mut far, 8), near.write_all(b"x"));
    written?;
    at.see("read", text);
    drop(end);
    thread.await.expect("no panic");
    Ok(())
}

async fn a_unix_read_times_out(at: At) -> Out {
    let (mut left, mut right) = UnixStream::pair()?;
    at.see("read", soon(read(&mut left, 8)).await);
    right.write_all(b"late").await?;
    at.see("read", exactly(&mut left, 4).await);
    Ok(())
}

async fn an_interval_beside_a_read(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let mut ticks = redd::time::interval(Duration::from_millis(1));
    let mut count = 0;
    loop {
        redd::select! {
            text = read(&mut far, 8) => break at.see("read", text),
            _ = ticks.tick() => {
                count += 1;
                if count == 5 {
                    near.write_all(b"x").await?;
                }
            }
        }
    }
    at.see("ticks", count >= 5);
    Ok(())
}

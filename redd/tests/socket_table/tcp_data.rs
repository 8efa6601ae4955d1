//! TCP: bytes, readiness, and back-pressure.

use crate::at::{At, Out, exactly, fill, once, pattern, read, rest_is_pattern, rest_of, text};
use crate::show::Word;
use crate::table::{Case, case};
use redd::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, Interest, ReadBuf};
use redd::net::{TcpSocket, TcpStream};
use std::future::poll_fn;
use std::io::{IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

pub(crate) const CASES: &[Case] = &[
    case!(bytes_go_both_ways, "write 4; read \"ping\"; write 4; read \"pong\"").far(),
    case!(a_read_takes_what_fits, "read \"0123\"; read \"4567\"; read \"89\"").far(),
    case!(writes_have_no_borders, "read \"onetwo\"").far(),
    case!(an_empty_read, "nothing there: 0; a byte: 0; try 0; read \"x\"; end: 0").far(),
    case!(an_empty_write, "write 0; read \"x\"").far(),
    case!(a_peek_takes_nothing, "peek \"peek\"; peek \"pe\"; read \"peek\"; try WouldBlock").far(),
    case!(a_peek_at_the_end, "peek 0; peek 0; read \"\"").far(),
    case!(a_poll_of_peek, "poll 3; filled \"pee\"; read \"peek\"").far(),
    case!(nothing_to_read_would_block, "try WouldBlock; again WouldBlock; peer WouldBlock").far(),
    case!(everything_was_read_would_block, "try 3; try WouldBlock").far(),
    case!(reads_into_a_vec, "limited 2; try 4; read 2; all \"abcdefgh\"").far(),
    case!(reads_into_several_buffers, "try 5; bytes \"abcde\"; none 0; again 3; all 10").far(),
    case!(writes_from_several_buffers, "try 3; none 0; is true; write 4; read \"abcdefg\"").far(),
    case!(a_full_socket_would_block, "full true; refused WouldBlock; read as sent; again 1; read \"x\"").far(),
    case!(a_full_socket_is_not_writable, "writable pending; writable ok; read as sent").far(),
    case!(a_writer_waits_for_its_reader, "done false; read as sent; read \"the end\"; write ok").far(),
    case!(small_buffers_hold_little, "little true; read as sent").far(),
    case!(flags_of_a_fresh_connection, "near W; far W").far(),
    case!(flags_with_data, "both R+W; read R; write W").far(),
    case!(flags_clear_after_everything_was_read, "first R; try 1; try WouldBlock; then pending; later R").far(),
    case!(readable_is_not_used_up, "readable ok; readable ok; try 1").far(),
    case!(every_waiting_task_is_woken, "woken 10").far(),
    case!(a_read_wakes_the_task_that_polled_last, "pending true; read ok; filled \"x\"").far(),
    case!(a_dropped_read_loses_nothing, "read pending; read \"abc\"").far(),
    case!(a_dropped_readable_loses_nothing, "try WouldBlock; readable pending; readable ok; try 3").far(),
    case!(five_megabytes, "read 5000000 as sent; write ok").far(),
    case!(two_megabytes_each_way_at_once, "near 2000000 as sent; far 2000000 as sent").far(),
    case!(a_thousand_numbers_stay_in_order, "in order 1000; write ok").far(),
    case!(read_exact_meets_the_end, "exact UnexpectedEof; read \"\"").far(),
    case!(lines_are_read, "line \"one\"; line \"two\"; line \"three\"; write ok").far(),
    case!(copy_is_an_echo, "read \"0123456789\"; copied 10").far(),
    case!(copy_in_both_directions, "right \"ping\"; left \"pong!\"; copied [4, 5]").far(),
    case!(writes_through_a_mutex_stay_whole, "lines [100, 100]").far(),
    case!(three_tasks_read_one_stream, "bytes 300").far(),
    case!(bytes_after_a_pause, "read \"a\"; read \"b\"; read \"c\"; write ok").far(),
    case!(two_hundred_rounds, "rounds 200; echo ok").far(),
    case!(borrowed_halves_at_once, "far \"left\"; near \"right\"").far(),
    case!(
        halves_try_and_peek,
        "writable ok; write 2; vectored 2; readable ok; try 2; buf 2; bytes \"abcd\"; none WouldBlock; ready W"
    )
    .far(),
    case!(a_polled_read_leaves_the_rest_of_its_buffer, "filled \"xyz\"; left 5").far(),
    case!(written_bytes_arrive_without_flush, "flush ok; read \"x\"; flush ok").far(),
    case!(write_buf_advances, "wrote 5; left 0; read \"hello\"").far(),
    case!(poll_ready_of_both_directions, "write ok; read ok; try 1").far(),
    case!(numbers_in_both_byte_orders, "u32 16909060; u16 513; i64 -2; f64 1.5").far(),
    case!(a_large_read_buffer_takes_all_that_is_there, "read 1000").far(),
];

async fn bytes_go_both_ways(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("write", near.write(b"ping").await);
    at.see("read", read(&mut far, 8).await);
    at.see("write", far.write(b"pong").await);
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

async fn a_read_takes_what_fits(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"0123456789").await?;
    at.arrived(&far, 10).await?;
    for _ in 0..3 {
        at.see("read", read(&mut far, 4).await);
    }
    Ok(())
}

async fn writes_have_no_borders(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"one").await?;
    near.write_all(b"two").await?;
    at.arrived(&far, 6).await?;
    at.see("read", read(&mut far, 16).await);
    Ok(())
}

async fn an_empty_read(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("nothing there:", once(async { far.read(&mut []).await }));
    near.write_all(b"x").await?;
    // An accepted stream counts as readable until a try shows that nothing is there. This waits for the byte.
    far.peek(&mut [0]).await?;
    at.see("a byte:", far.read(&mut []).await);
    at.see("try", far.try_read(&mut []));
    at.see("read", read(&mut far, 1).await);
    drop(near);
    at.read_closed(&far).await?;
    at.see("end:", far.read(&mut []).await);
    Ok(())
}

async fn an_empty_write(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("write", near.write(b"").await);
    near.write_all(b"x").await?;
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_peek_takes_nothing(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"peek").await?;
    at.arrived(&far, 4).await?;
    for len in [8, 2] {
        let mut buf = vec![0; len];
        let len = far.peek(&mut buf).await?;
        at.see("peek", text(&buf[..len]));
    }
    at.see("read", read(&mut far, 8).await);
    at.see("try", far.try_read(&mut [0; 8]));
    Ok(())
}

async fn a_peek_at_the_end(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    drop(near);
    for _ in 0..2 {
        at.see("peek", far.peek(&mut [0; 8]).await);
    }
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_poll_of_peek(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"peek").await?;
    at.arrived(&far, 4).await?;
    let mut memory = [0; 3];
    let mut buf = ReadBuf::new(&mut memory);
    at.see("poll", poll_fn(|cx| far.poll_peek(cx, &mut buf)).await);
    at.see("filled", text(buf.filled()));
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn nothing_to_read_would_block(at: At) -> Out {
    let (near, far) = at.streams().await?;
    at.see("try", far.try_read(&mut [0; 8]));
    at.see("again", far.try_read(&mut [0; 8]));
    at.see("peer", near.try_read(&mut [0; 8]));
    Ok(())
}

async fn everything_was_read_would_block(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"abc").await?;
    at.arrived(&far, 3).await?;
    at.see("try", far.try_read(&mut [0; 8]));
    at.see("try", far.try_read(&mut [0; 8]));
    Ok(())
}

async fn reads_into_a_vec(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"abcdefgh").await?;
    at.arrived(&far, 8).await?;
    let mut all = Vec::with_capacity(6);
    at.see("limited", far.try_read_buf(&mut bytes::BufMut::limit(&mut all, 2)));
    at.see("try", far.try_read_buf(&mut bytes::BufMut::limit(&mut all, 4)));
    at.see("read", far.read_buf(&mut all).await);
    at.see("all", text(&all));
    Ok(())
}

async fn reads_into_several_buffers(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"abcde").await?;
    at.arrived(&far, 5).await?;
    let (mut one, mut two, mut three) = ([0; 2], [0; 0], [0; 8]);
    let bufs = &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two), IoSliceMut::new(&mut three)];
    at.see("try", far.try_read_vectored(bufs));
    at.see("bytes", format!("{}{}", text(&one), text(&three[..3])));
    near.write_all(b"xyz").await?;
    at.arrived(&far, 3).await?;
    at.see("none", far.try_read_vectored(&mut []));
    at.see("again", far.try_read_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut three)]));
    near.write_all(b"0123456789").await?;
    at.arrived(&far, 10).await?;
    let (mut two, mut four) = ([0; 3], [0; 7]);
    let bufs = [&mut two[..], &mut one, &mut four].map(IoSliceMut::new);
    at.see("all", far.try_read_vectored(&mut { bufs }));
    Ok(())
}

async fn writes_from_several_buffers(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.writable().await?;
    at.see("try", near.try_write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"c")]));
    at.see("none", near.try_write_vectored(&[]));
    at.see("is", near.is_write_vectored());
    at.see("write", near.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"de"), IoSlice::new(b"fg")]).await);
    at.see("read", exactly(&mut far, 7).await);
    Ok(())
}

/// Reads exactly this many bytes. Whether they are the pattern.
async fn is_pattern(reader: &mut (impl AsyncRead + Unpin), bytes: usize) -> std::io::Result<Word<&'static str>> {
    let mut all = vec![0; bytes];
    reader.read_exact(&mut all).await?;
    Ok(Word(if all == pattern(bytes) { "as sent" } else { "otherwise" }))
}

async fn a_full_socket_would_block(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let sent = fill(&at, &near).await?;
    at.see("full", sent > 10_000);
    at.see("refused", near.try_write(b"x"));
    at.see("read", is_pattern(&mut far, sent).await);
    at.see("again", at.retry(|| near.try_write(b"x")).await);
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_full_socket_is_not_writable(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let sent = fill(&at, &near).await?;
    at.see("writable", once(near.writable()));
    let (writable, read) = redd::join!(near.writable(), is_pattern(&mut far, sent));
    at.see("writable", writable);
    at.see("read", read);
    Ok(())
}

async fn a_writer_waits_for_its_reader(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let sent = fill(&at, &near).await?;
    let mut near = near;
    let writing = redd::spawn(async move { near.write_all(b"the end").await.map(|()| near) });
    at.rest().await;
    at.see("done", writing.is_finished());
    at.see("read", is_pattern(&mut far, sent).await);
    at.see("read", exactly(&mut far, 7).await);
    at.see("write", writing.await.expect("no panic").map(drop));
    Ok(())
}

async fn small_buffers_hold_little(at: At) -> Out {
    let (_, socket) = at.far_socket(|socket| socket.set_recv_buffer_size(8192)).await?;
    let listener = at.far(async move { socket.listen(4) }).await?;
    let near = TcpSocket::new_v4()?;
    near.set_send_buffer_size(8192)?;
    let near = near.connect(listener.local_addr()?).await?;
    let (mut far, _) = listener.accept().await?;
    let sent = fill(&at, &near).await?;
    at.see("little", sent < 200_000);
    at.see("read", is_pattern(&mut far, sent).await);
    Ok(())
}

/// The first event may not have been reported yet, so the case waits for the flag that it is about.
async fn flags_of_a_fresh_connection(at: At) -> Out {
    let (near, far) = at.streams().await?;
    near.writable().await?;
    far.writable().await?;
    at.rest().await;
    // An accepted stream is assumed to be readable until a read finds nothing.
    let _ = (near.try_read(&mut [0; 1]), far.try_read(&mut [0; 1]));
    at.see("near", near.ready(Interest::READABLE | Interest::WRITABLE).await);
    at.see("far", far.ready(Interest::READABLE | Interest::WRITABLE).await);
    Ok(())
}

async fn flags_with_data(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"x").await?;
    far.writable().await?;
    at.arrived(&far, 1).await?;
    at.see("both", far.ready(Interest::READABLE | Interest::WRITABLE).await);
    at.see("read", far.ready(Interest::READABLE).await);
    at.see("write", far.ready(Interest::WRITABLE).await);
    Ok(())
}

async fn flags_clear_after_everything_was_read(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"x").await?;
    at.arrived(&far, 1).await?;
    at.rest().await;
    at.see("first", far.ready(Interest::READABLE).await);
    at.see("try", far.try_read(&mut [0; 1]));
    at.see("try", far.try_read(&mut [0; 1]));
    at.see("then", once(far.ready(Interest::READABLE)));
    near.write_all(b"y").await?;
    at.see("later", far.ready(Interest::READABLE).await);
    Ok(())
}

async fn readable_is_not_used_up(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"x").await?;
    at.arrived(&far, 1).await?;
    for _ in 0..2 {
        at.see("readable", far.readable().await);
    }
    at.see("try", far.try_read(&mut [0; 8]));
    Ok(())
}

async fn every_waiting_task_is_woken(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    let _ = far.try_read(&mut [0; 1]);
    let far = Arc::new(far);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let far = Arc::clone(&far);
            redd::spawn(async move { far.readable().await })
        })
        .collect();
    at.rest().await;
    near.write_all(b"x").await?;
    let mut woken = 0;
    for task in tasks {
        task.await.expect("no panic")?;
        woken += 1;
    }
    at.see("woken", woken);
    Ok(())
}

async fn a_read_wakes_the_task_that_polled_last(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    let first = Pin::new(&mut far).poll_read(&mut Context::from_waker(Waker::noop()), &mut buf);
    at.see("pending", first.is_pending());
    let (read, written) = redd::join!(poll_fn(|cx| Pin::new(&mut far).poll_read(cx, &mut buf)), near.write_all(b"x"));
    written?;
    at.see("read", read);
    at.see("filled", text(buf.filled()));
    Ok(())
}

async fn a_dropped_read_loses_nothing(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("read", once(far.read(&mut [0; 8])));
    near.write_all(b"abc").await?;
    at.see("read", exactly(&mut far, 3).await);
    Ok(())
}

async fn a_dropped_readable_loses_nothing(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    at.see("try", far.try_read(&mut [0; 8]));
    at.see("readable", once(far.readable()));
    near.write_all(b"abc").await?;
    at.see("readable", far.readable().await);
    at.see("try", at.retry(|| far.try_read(&mut [0; 8])).await);
    Ok(())
}

async fn five_megabytes(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let writing = redd::spawn(async move {
        near.write_all(&pattern(5_000_000)).await?;
        near.shutdown().await
    });
    at.see("read", rest_is_pattern(&mut far).await);
    at.see("write", writing.await.expect("no panic"));
    Ok(())
}

async fn exchange(mut stream: TcpStream) -> std::io::Result<Word<String>> {
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        writer.write_all(&pattern(2_000_000)).await?;
        writer.shutdown().await
    };
    let (sent, received) = redd::join!(sending, rest_is_pattern(&mut reader));
    sent.and(received)
}

async fn two_megabytes_each_way_at_once(at: At) -> Out {
    let (near, far) = at.streams().await?;
    let (near, far) = redd::join!(exchange(near), exchange(far));
    at.see("near", near);
    at.see("far", far);
    Ok(())
}

async fn a_thousand_numbers_stay_in_order(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let writing = redd::spawn(async move {
        for number in 0..1000 {
            near.write_u32(number).await?;
        }
        near.shutdown().await
    });
    let mut in_order = 0;
    while let Ok(number) = far.read_u32().await {
        in_order += u32::from(number == in_order);
    }
    at.see("in order", in_order);
    at.see("write", writing.await.expect("no panic"));
    Ok(())
}

async fn read_exact_meets_the_end(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"abc").await?;
    drop(near);
    at.see("exact", exactly(&mut far, 4).await);
    at.see("read", read(&mut far, 4).await);
    Ok(())
}

async fn lines_are_read(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    let writing = redd::spawn(async move {
        for part in ["on", "e\ntwo\r\nth", "ree"] {
            near.write_all(part.as_bytes()).await?;
        }
        std::io::Result::Ok(())
    });
    let mut lines = BufReader::new(far).lines();
    while let Some(line) = lines.next_line().await? {
        at.see("line", line);
    }
    at.see("write", writing.await.expect("no panic"));
    Ok(())
}

async fn copy_is_an_echo(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let echo = redd::spawn(async move {
        let (mut reader, mut writer) = far.split();
        redd::io::copy(&mut reader, &mut writer).await
    });
    near.write_all(b"0123456789").await?;
    near.shutdown().await?;
    at.see("read", rest_of(&mut near).await);
    at.see("copied", echo.await.expect("no panic").map(|bytes| bytes as usize));
    Ok(())
}

async fn copy_in_both_directions(at: At) -> Out {
    let ((mut left, mut left_far), (mut right_far, mut right)) = (at.streams().await?, at.streams().await?);
    let copying = redd::spawn(async move { redd::io::copy_bidirectional(&mut left_far, &mut right_far).await });
    left.write_all(b"ping").await?;
    right.write_all(b"pong!").await?;
    left.shutdown().await?;
    right.shutdown().await?;
    at.see("right", rest_of(&mut right).await);
    at.see("left", rest_of(&mut left).await);
    at.see("copied", copying.await.expect("no panic").map(|(a, b)| vec![a as usize, b as usize]));
    Ok(())
}

async fn writes_through_a_mutex_stay_whole(at: At) -> Out {
    let (near, far) = at.streams().await?;
    let near = Arc::new(redd::sync::Mutex::new(near));
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let near = Arc::clone(&near);
            redd::spawn(async move {
                for line in 0..10 {
                    let line = format!("{task} {line} {}\n", "-".repeat(100));
                    near.lock().await.write_all(line.as_bytes()).await?;
                }
                std::io::Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic")?;
    }
    drop(near);
    let mut lines = BufReader::new(far).lines();
    let (mut whole, mut all) = (0, 0);
    while let Some(line) = lines.next_line().await? {
        all += 1;
        whole += usize::from(line.len() == 104 && line.ends_with(&"-".repeat(100)));
    }
    at.see("lines", vec![all, whole]);
    Ok(())
}

/// Which task reads how much is open.
async fn three_tasks_read_one_stream(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    let far = Arc::new(far);
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (at, far) = (at.clone(), Arc::clone(&far));
            redd::spawn(async move {
                let mut bytes = 0;
                loop {
                    far.readable().await?;
                    match at.retry(|| far.try_read(&mut [0; 7])).await? {
                        0 => return std::io::Result::Ok(bytes),
                        len => bytes += len,
                    }
                }
            })
        })
        .collect();
    for _ in 0..3 {
        near.write_all(&pattern(100)).await?;
        at.rest().await;
    }
    drop(near);
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await.expect("no panic")?;
    }
    at.see("bytes", bytes);
    Ok(())
}

async fn bytes_after_a_pause(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let pauses = at.clone();
    let writing = redd::spawn(async move {
        for byte in ["a", "b", "c"] {
            pauses.rest().await;
            near.write_all(byte.as_bytes()).await?;
        }
        std::io::Result::Ok(())
    });
    for _ in 0..3 {
        at.see("read", exactly(&mut far, 1).await);
    }
    at.see("write", writing.await.expect("no panic"));
    Ok(())
}

async fn two_hundred_rounds(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let echo = redd::spawn(async move {
        for _ in 0..200 {
            let number = far.read_u32().await?;
            far.write_u32(number + 1).await?;
        }
        std::io::Result::Ok(())
    });
    let mut number = 0;
    while number < 200 {
        near.write_u32(number).await?;
        number = near.read_u32().await?;
    }
    at.see("rounds", number);
    at.see("echo", echo.await.expect("no panic"));
    Ok(())
}

async fn borrowed_halves_at_once(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let ((mut near_reader, mut near_writer), (mut far_reader, mut far_writer)) = (near.split(), far.split());
    let (at_far, at_near, left, right) = redd::join!(
        exactly(&mut far_reader, 4),
        exactly(&mut near_reader, 5),
        near_writer.write_all(b"left"),
        far_writer.write_all(b"right")
    );
    left.and(right)?;
    at.see("far", at_far);
    at.see("near", at_near);
    Ok(())
}

async fn halves_try_and_peek(at: At) -> Out {
    let (near, far) = at.streams().await?;
    let ((mut near_reader, _near_writer), (_far_reader, far_writer)) = (near.into_split(), far.into_split());
    at.see("writable", far_writer.writable().await);
    at.see("write", far_writer.try_write(b"ab"));
    at.see("vectored", far_writer.try_write_vectored(&[IoSlice::new(b"c"), IoSlice::new(b"d")]));
    at.see("readable", near_reader.readable().await);
    let mut buf = [0; 8];
    while near_reader.peek(&mut buf).await? < 4 {
        at.pause().await;
    }
    at.see("try", near_reader.try_read(&mut buf[..2]));
    let mut all = Vec::with_capacity(8);
    at.see("buf", near_reader.try_read_buf(&mut all));
    at.see("bytes", format!("{}{}", text(&buf[..2]), text(&all)));
    at.see("none", near_reader.try_read_vectored(&mut [IoSliceMut::new(&mut buf)]));
    at.see("ready", far_writer.ready(Interest::WRITABLE).await);
    Ok(())
}

async fn a_polled_read_leaves_the_rest_of_its_buffer(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"xyz").await?;
    at.arrived(&far, 3).await?;
    let mut memory = [0; 8];
    let mut buf = ReadBuf::new(&mut memory);
    poll_fn(|cx| Pin::new(&mut far).poll_read(cx, &mut buf)).await?;
    at.see("filled", text(buf.filled()));
    at.see("left", buf.remaining());
    Ok(())
}

async fn written_bytes_arrive_without_flush(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("flush", near.flush().await);
    poll_fn(|cx| Pin::new(&mut near).poll_write(cx, b"x")).await?;
    at.see("read", read(&mut far, 8).await);
    at.see("flush", near.flush().await);
    Ok(())
}

async fn write_buf_advances(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    let mut rest = &b"hello"[..];
    at.see("wrote", near.write_buf(&mut rest).await);
    at.see("left", rest.len());
    at.see("read", exactly(&mut far, 5).await);
    Ok(())
}

async fn poll_ready_of_both_directions(at: At) -> Out {
    let (near, far) = at.streams().await?;
    at.see("write", poll_fn(|cx| near.poll_write_ready(cx)).await);
    near.try_write(b"x")?;
    at.arrived(&far, 1).await?;
    at.see("read", poll_fn(|cx| far.poll_read_ready(cx)).await);
    at.see("try", far.try_read(&mut [0; 8]));
    Ok(())
}

async fn numbers_in_both_byte_orders(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_u32(0x0102_0304).await?;
    near.write_u16_le(0x0102).await?;
    near.write_i64(-2).await?;
    near.write_f64_le(1.5).await?;
    at.see("u32", far.read_u32().await);
    at.see("u16", far.read_u16().await);
    at.see("i64", far.read_i64().await.map(Word));
    at.see("f64", far.read_f64_le().await.map(Word));
    Ok(())
}

async fn a_large_read_buffer_takes_all_that_is_there(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(&pattern(1000)).await?;
    at.arrived(&far, 1000).await?;
    at.see("read", far.read(&mut vec![0; 100_000]).await);
    Ok(())
}

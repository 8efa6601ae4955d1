//! TCP: half-close, close, reset, and what the other end sees of them.

use crate::at::{At, Out, exactly, fill, once, pattern, read, rest_is_pattern, rest_of};
use crate::table::{Case, case};
use redd::io::{AsyncReadExt, AsyncWriteExt, Interest};
use redd::net::TcpStream;
use std::io;
use std::time::Duration;

pub(crate) const CASES: &[Case] = &[
    case!(half_close_by_the_client, "shutdown ok; read \"question\"; read \"answer\"; write EPIPE").far(),
    case!(half_close_by_the_server, "read \"banner\"; write 5; write 4; read \"stillhere\"; write EPIPE").far(),
    case!(both_ends_shut_down, "read \"\"; write EPIPE; error none; read \"\"; write EPIPE; error none").far(),
    case!(shutdown_twice, "shutdown ok; shutdown ok; read \"\"").far(),
    case!(shutdown_after_both_ends, "near ok; far ok").far(),
    case!(the_end_is_read_again_and_again, "read \"\"; read \"\"; read \"\"; try 0").far(),
    case!(a_drop_after_all_was_read, "read \"abc\"; read \"\"; error none").far(),
    case!(a_drop_with_unread_bytes_resets, "read ECONNRESET; read \"\"; write EPIPE").far(),
    case!(bytes_before_a_reset_are_read, "read \"hello\"; read ECONNRESET; read \"\"").far(),
    case!(zero_linger_resets, "read ECONNRESET; read \"\"; write EPIPE; write EPIPE").far(),
    case!(zero_linger_resets_a_writer, "write ECONNRESET; write EPIPE; read \"\"").far(),
    case!(zero_linger_leaves_unread_bytes, "read \"last words\"; read ECONNRESET").far(),
    case!(an_error_is_taken_once, "error ECONNRESET; error none; read \"\"; write EPIPE").far(),
    case!(addresses_after_a_reset, "local ok; peer ENOTCONN").far(),
    case!(addresses_after_the_peer_has_closed, "read \"\"; local ok; peer ok").far(),
    case!(
        addresses_after_both_ends_have_closed,
        "read \"\"; read \"\"; local ok; peer ENOTCONN; local ok; peer ENOTCONN"
    )
    .far(),
    case!(writes_to_a_peer_that_has_gone, "write 1; write EPIPE; write EPIPE; read \"\"").far(),
    case!(reads_from_a_peer_that_has_gone, "read \"\"; write 1; read \"\"; write EPIPE").far(),
    case!(the_error_of_a_peer_that_has_gone, "error none; error EPIPE; error none; local ok; peer ENOTCONN").far(),
    case!(shutdown_after_a_reset, "shutdown ok; read ECONNRESET; shutdown ok").far(),
    case!(flush_after_a_reset, "flush ok").far(),
    case!(flags_after_the_peer_has_shut_down, "flags R+W+RC; try 0; flags R+W+RC").far(),
    case!(flags_after_both_have_shut_down, "flags R+W+RC+WC; flags R+W+RC+WC").far(),
    case!(flags_after_a_reset, "flags R+W+RC+WC+E; try ECONNRESET; try EPIPE; flags R+W+RC+WC+E").far(),
    case!(bytes_that_were_written_before_a_drop_arrive, "read 60000 as sent").far(),
    case!(lingering_delivers, "read 1000 as sent").far(),
    case!(a_shutdown_waits_for_no_reader, "shutdown ok; read 50000 as sent").far(),
    case!(a_waiting_read_sees_the_end, "done false; read \"\"").far(),
    case!(a_waiting_read_sees_a_reset, "read ECONNRESET").far(),
    case!(a_waiting_write_sees_a_reset, "done false; write ECONNRESET; error none; write EPIPE; read \"\"").far(),
    case!(a_waiting_write_sees_its_peer_go, "done false; write ECONNRESET; error none; write EPIPE; read \"\"").far(),
    case!(a_dropped_writing_half_is_a_shutdown, "read \"\"; read \"still open\"").far(),
    case!(a_dropped_reading_half_changes_nothing, "try WouldBlock; write 6; write 1; read \"x\"").far(),
    case!(a_forgotten_writing_half_changes_nothing, "try WouldBlock; read \"\"").far(),
    case!(both_halves_dropped_close, "read \"\"; write 1; write EPIPE").far(),
    case!(halves_of_two_streams_do_not_reunite, "of both true; says true; near true; far true").far(),
    case!(reunited_halves_work, "read \"x\"; try WouldBlock").far(),
    case!(borrowed_halves_close_nothing, "read \"x\"; try WouldBlock; read \"\"").far(),
    case!(a_shutdown_half_still_reads, "write EPIPE; read \"abc\"; then pending").far(),
    case!(a_peek_after_a_reset, "peek ECONNRESET; peek 0").far(),
    case!(writes_cross_a_close, "write 1; read \"abc\"; read \"\"; error EPIPE").far(),
    case!(an_empty_write_after_shutdown, "write EPIPE; try EPIPE").far(),
    case!(both_drop_with_unread_bytes, "connect ok").far(),
];

async fn half_close_by_the_client(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"question").await?;
    at.see("shutdown", near.shutdown().await);
    at.see("read", rest_of(&mut far).await);
    far.write_all(b"answer").await?;
    drop(far);
    at.see("read", rest_of(&mut near).await);
    at.see("write", near.write(b"more").await);
    Ok(())
}

async fn half_close_by_the_server(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    far.write_all(b"banner").await?;
    far.shutdown().await?;
    at.see("read", rest_of(&mut near).await);
    at.see("write", near.write(b"still").await);
    at.see("write", near.write(b"here").await);
    drop(near);
    at.see("read", rest_of(&mut far).await);
    at.see("write", far.write(b"x").await);
    Ok(())
}

async fn both_ends_shut_down(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.shutdown().await?;
    far.shutdown().await?;
    for stream in [&mut near, &mut far] {
        at.see("read", read(stream, 8).await);
        at.see("write", stream.write(b"x").await);
        at.see("error", stream.take_error()?);
    }
    Ok(())
}

async fn shutdown_twice(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    at.see("shutdown", near.shutdown().await);
    at.see("shutdown", near.shutdown().await);
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn shutdown_after_both_ends(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.shutdown().await?;
    far.shutdown().await?;
    at.ended(&near).await?;
    at.ended(&far).await?;
    at.see("near", near.shutdown().await);
    at.see("far", far.shutdown().await);
    Ok(())
}

async fn the_end_is_read_again_and_again(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    drop(near);
    for _ in 0..3 {
        far.readable().await?;
        at.see("read", read(&mut far, 8).await);
    }
    at.see("try", far.try_read(&mut [0; 8]));
    Ok(())
}

async fn a_drop_after_all_was_read(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"abc").await?;
    at.see("read", exactly(&mut far, 3).await);
    drop(far);
    at.see("read", read(&mut near, 8).await);
    at.see("error", near.take_error()?);
    Ok(())
}

async fn a_drop_with_unread_bytes_resets(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"abc").await?;
    at.arrived(&far, 3).await?;
    drop(far);
    at.see("read", read(&mut near, 8).await);
    at.see("read", read(&mut near, 8).await);
    at.see("write", near.write(b"x").await);
    Ok(())
}

async fn bytes_before_a_reset_are_read(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(b"abc").await?;
    far.write_all(b"hello").await?;
    at.arrived(&far, 3).await?;
    at.arrived(&near, 5).await?;
    drop(far);
    at.ended(&near).await?;
    at.see("read", read(&mut near, 8).await);
    at.see("read", read(&mut near, 8).await);
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

/// A connection that its far end has reset.
async fn reset(at: &At) -> io::Result<TcpStream> {
    let (near, far) = at.streams().await?;
    far.set_zero_linger()?;
    drop(far);
    at.ended(&near).await?;
    Ok(near)
}

async fn zero_linger_resets(at: At) -> Out {
    let mut near = reset(&at).await?;
    at.see("read", read(&mut near, 8).await);
    at.see("read", read(&mut near, 8).await);
    at.see("write", near.write(b"x").await);
    at.see("write", near.write(b"x").await);
    Ok(())
}

async fn zero_linger_resets_a_writer(at: At) -> Out {
    let mut near = reset(&at).await?;
    at.see("write", near.write(b"x").await);
    at.see("write", near.write(b"x").await);
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

/// Bytes that the peer has received before the reset stay readable there. Those on the way are lost.
async fn zero_linger_leaves_unread_bytes(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    far.write_all(b"last words").await?;
    at.arrived(&near, 10).await?;
    far.set_zero_linger()?;
    drop(far);
    at.ended(&near).await?;
    at.see("read", read(&mut near, 16).await);
    at.see("read", read(&mut near, 16).await);
    Ok(())
}

async fn an_error_is_taken_once(at: At) -> Out {
    let mut near = reset(&at).await?;
    at.see("error", near.take_error()?);
    at.see("error", near.take_error()?);
    at.see("read", read(&mut near, 8).await);
    at.see("write", near.write(b"x").await);
    Ok(())
}

fn see_addresses(at: &At, stream: &TcpStream) {
    at.see("local", stream.local_addr().map(drop));
    at.see("peer", stream.peer_addr().map(drop));
}

async fn addresses_after_a_reset(at: At) -> Out {
    see_addresses(&at, &reset(&at).await?);
    Ok(())
}

async fn addresses_after_the_peer_has_closed(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    drop(far);
    at.see("read", read(&mut near, 8).await);
    see_addresses(&at, &near);
    Ok(())
}

async fn addresses_after_both_ends_have_closed(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.shutdown().await?;
    at.see("read", read(&mut far, 8).await);
    far.shutdown().await?;
    at.see("read", read(&mut near, 8).await);
    at.ended(&near).await?;
    at.ended(&far).await?;
    at.rest().await;
    see_addresses(&at, &near);
    see_addresses(&at, &far);
    Ok(())
}

/// The near end of a connection whose far end has closed it without a reset.
async fn left_alone(at: &At) -> io::Result<TcpStream> {
    let (near, far) = at.streams().await?;
    drop(far);
    at.read_closed(&near).await?;
    Ok(near)
}

/// The first write makes the other host answer with a reset.
async fn writes_to_a_peer_that_has_gone(at: At) -> Out {
    let mut near = left_alone(&at).await?;
    at.see("write", near.write(b"x").await);
    at.ended(&near).await?;
    at.see("write", near.write(b"x").await);
    at.see("write", near.write(b"x").await);
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

async fn reads_from_a_peer_that_has_gone(at: At) -> Out {
    let mut near = left_alone(&at).await?;
    at.see("read", read(&mut near, 8).await);
    at.see("write", near.write(b"x").await);
    at.ended(&near).await?;
    at.see("read", read(&mut near, 8).await);
    at.see("write", near.write(b"x").await);
    Ok(())
}

async fn the_error_of_a_peer_that_has_gone(at: At) -> Out {
    let mut near = left_alone(&at).await?;
    at.see("error", near.take_error()?);
    near.write_all(b"x").await?;
    at.ended(&near).await?;
    at.see("error", near.take_error()?);
    at.see("error", near.take_error()?);
    see_addresses(&at, &near);
    Ok(())
}

async fn shutdown_after_a_reset(at: At) -> Out {
    let mut near = reset(&at).await?;
    at.see("shutdown", near.shutdown().await);
    at.see("read", read(&mut near, 8).await);
    at.see("shutdown", near.shutdown().await);
    Ok(())
}

async fn flush_after_a_reset(at: At) -> Out {
    let mut near = reset(&at).await?;
    at.see("flush", near.flush().await);
    Ok(())
}

async fn see_flags(at: &At, stream: &TcpStream) -> Out {
    let all = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
    at.see("flags", stream.ready(all).await?);
    Ok(())
}

async fn flags_after_the_peer_has_shut_down(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.shutdown().await?;
    at.read_closed(&far).await?;
    see_flags(&at, &far).await?;
    at.see("try", far.try_read(&mut [0; 8]));
    see_flags(&at, &far).await
}

async fn flags_after_both_have_shut_down(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.shutdown().await?;
    far.shutdown().await?;
    at.ended(&near).await?;
    at.ended(&far).await?;
    see_flags(&at, &near).await?;
    see_flags(&at, &far).await
}

async fn flags_after_a_reset(at: At) -> Out {
    let near = reset(&at).await?;
    see_flags(&at, &near).await?;
    at.see("try", near.try_read(&mut [0; 8]));
    at.see("try", near.try_write(b"x"));
    see_flags(&at, &near).await
}

async fn bytes_that_were_written_before_a_drop_arrive(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(&pattern(60_000)).await?;
    drop(near);
    at.see("read", rest_is_pattern(&mut far).await);
    Ok(())
}

async fn lingering_delivers(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.set_linger(Some(Duration::from_secs(1)))?;
    near.write_all(&pattern(1000)).await?;
    at.arrived(&far, 1000).await?;
    drop(near);
    at.see("read", rest_is_pattern(&mut far).await);
    Ok(())
}

async fn a_shutdown_waits_for_no_reader(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.write_all(&pattern(50_000)).await?;
    at.see("shutdown", near.shutdown().await);
    at.see("read", rest_is_pattern(&mut far).await);
    Ok(())
}

async fn a_waiting_read_sees_the_end(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let reading = redd::spawn(async move { read(&mut far, 8).await });
    at.rest().await;
    at.see("done", reading.is_finished());
    drop(near);
    at.see("read", reading.await.expect("no panic"));
    Ok(())
}

async fn a_waiting_read_sees_a_reset(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let reading = redd::spawn(async move { read(&mut far, 8).await });
    at.rest().await;
    near.set_zero_linger()?;
    drop(near);
    at.see("read", reading.await.expect("no panic"));
    Ok(())
}

/// A task that writes to a full socket when the peer goes.
async fn writing_until(at: &At, leave: impl AsyncFnOnce(TcpStream) -> Out) -> Out {
    let (mut near, far) = at.streams().await?;
    fill(at, &near).await?;
    let writing = redd::spawn(async move {
        let bytes = pattern(10_000_000);
        (near.write_all(&bytes).await, near)
    });
    at.rest().await;
    at.see("done", writing.is_finished());
    leave(far).await?;
    let (written, mut near) = writing.await.expect("no panic");
    at.see("write", written);
    at.see("error", near.take_error()?);
    at.see("write", near.write(b"x").await);
    at.see("read", read(&mut near, 8).await);
    Ok(())
}

async fn a_waiting_write_sees_a_reset(at: At) -> Out {
    writing_until(&at, async |far| {
        far.set_zero_linger()?;
        drop(far);
        Ok(())
    })
    .await
}

async fn a_waiting_write_sees_its_peer_go(at: At) -> Out {
    writing_until(&at, async |far| {
        drop(far);
        Ok(())
    })
    .await
}

async fn a_dropped_writing_half_is_a_shutdown(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let (mut reader, writer) = near.into_split();
    drop(writer);
    at.see("read", read(&mut far, 8).await);
    far.write_all(b"still open").await?;
    at.see("read", exactly(&mut reader, 10).await);
    Ok(())
}

async fn a_dropped_reading_half_changes_nothing(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let (reader, mut writer) = near.into_split();
    drop(reader);
    at.rest().await;
    at.see("try", far.try_read(&mut [0; 8]));
    at.see("write", far.write(b"unread").await);
    at.see("write", writer.write(b"x").await);
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_forgotten_writing_half_changes_nothing(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let (reader, writer) = near.into_split();
    writer.forget();
    at.rest().await;
    at.see("try", far.try_read(&mut [0; 8]));
    drop(reader);
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn both_halves_dropped_close(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let (reader, writer) = near.into_split();
    drop(reader);
    drop(writer);
    at.see("read", read(&mut far, 8).await);
    at.see("write", far.write(b"x").await);
    at.ended(&far).await?;
    at.see("write", far.write(b"x").await);
    Ok(())
}

async fn halves_of_two_streams_do_not_reunite(at: At) -> Out {
    let (near, far) = at.streams().await?;
    let ((near_reader, near_writer), (far_reader, far_writer)) = (near.into_split(), far.into_split());
    at.see("of both", near_reader.as_ref().local_addr()? == near_writer.as_ref().local_addr()?);
    let error = near_reader.reunite(far_writer).expect_err("of two streams");
    at.see("says", error.to_string().contains("not of the same socket"));
    at.see("near", error.0.reunite(near_writer).is_ok());
    at.see("far", error.1.reunite(far_reader).is_ok());
    Ok(())
}

async fn reunited_halves_work(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let (reader, writer) = near.into_split();
    let mut near = reader.reunite(writer).expect("of one stream");
    near.write_all(b"x").await?;
    at.see("read", read(&mut far, 8).await);
    at.rest().await;
    at.see("try", far.try_read(&mut [0; 8]));
    Ok(())
}

async fn borrowed_halves_close_nothing(at: At) -> Out {
    let (mut near, mut far) = at.streams().await?;
    near.split().1.write_all(b"x").await?;
    at.see("read", read(&mut far, 8).await);
    at.rest().await;
    at.see("try", far.try_read(&mut [0; 8]));
    near.split().1.shutdown().await?;
    at.see("read", read(&mut far, 8).await);
    Ok(())
}

async fn a_shutdown_half_still_reads(at: At) -> Out {
    let (near, mut far) = at.streams().await?;
    let (mut reader, mut writer) = near.into_split();
    writer.shutdown().await?;
    at.see("write", writer.write(b"x").await);
    far.write_all(b"abc").await?;
    at.see("read", exactly(&mut reader, 3).await);
    at.see("then", once(reader.read(&mut [0; 8])));
    Ok(())
}

async fn a_peek_after_a_reset(at: At) -> Out {
    let near = reset(&at).await?;
    at.see("peek", near.peek(&mut [0; 8]).await);
    at.see("peek", near.peek(&mut [0; 8]).await);
    Ok(())
}

/// What the peer writes after our end has been closed is answered with a reset.
async fn writes_cross_a_close(at: At) -> Out {
    let (mut near, far) = at.streams().await?;
    near.write_all(b"abc").await?;
    at.arrived(&far, 3).await?;
    drop(near);
    at.read_closed(&far).await?;
    let mut far = far;
    at.see("write", far.write(b"x").await);
    at.ended(&far).await?;
    at.see("read", read(&mut far, 8).await);
    at.see("read", read(&mut far, 8).await);
    at.see("error", far.take_error()?);
    Ok(())
}

async fn an_empty_write_after_shutdown(at: At) -> Out {
    let (mut near, _far) = at.streams().await?;
    near.shutdown().await?;
    at.see("write", near.write(b"").await);
    at.see("try", near.try_write(b""));
    Ok(())
}

async fn both_drop_with_unread_bytes(at: At) -> Out {
    let listener = at.listener().await?;
    let mut near = TcpStream::connect(listener.local_addr()?).await?;
    let (mut far, _) = listener.accept().await?;
    near.write_all(b"abc").await?;
    far.write_all(b"abc").await?;
    at.arrived(&near, 3).await?;
    at.arrived(&far, 3).await?;
    drop(near);
    drop(far);
    let near = TcpStream::connect(listener.local_addr()?).await;
    at.see("connect", near.map(drop));
    Ok(())
}

//! The records of a crawl: stored once for each address, and read back in the order in which they were stored.
//!
//! Called by `engine` (store, find) and by the report (read all). A record is bytes here.
//!
//! # Invariants
//! - `first-wins`: a record is stored only if its address has none. So each address has one record, however often its page
//!   was fetched.
//! - `parts-first`: a record that is too large for a message is divided. Its parts are stored under a name that no other
//!   attempt uses, and then the message that names them. Parts that no such message names are not read.

use std::collections::HashMap;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use futures_util::StreamExt as _;

use crate::engine::event::{Events, Retry};
use crate::engine::layout::Layout;
use crate::engine::names::Key;

/// What a message needs beside its payload, at most.
const HEADERS_MAX: usize = 1024;
/// The header of a record that is divided: the name of the attempt, and the number of parts.
const PARTS: &str = "Redd-Parts";

/// What became of a message that is stored only if its subject has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    New,
    /// There was one. If an earlier try of this call has failed, it may be our own.
    Exists {
        may_be_ours: bool,
    },
}

/// Stores `payload` under `subject` unless that has a message. Tries until the server has answered.
pub(super) async fn create(
    layout: &Layout,
    events: &Arc<Events>,
    subject: String,
    headers: HeaderMap,
    payload: Vec<u8>,
) -> Created {
    let message = PublishMessage::build().headers(headers).payload(payload.into()).expected_last_subject_sequence(0);
    let mut retry = Retry::new(events, "store what was found");
    loop {
        let sent = layout.context.send_publish(subject.clone(), message.clone()).await;
        let answered = match sent {
            Ok(answer) => answer.await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(_) => return Created::New,
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                return Created::Exists { may_be_ours: retry.has_failed() };
            }
            Err(error) => retry.wait(error).await,
        }
    }
}

/// Stores the record of an address (`first-wins`). Returns the record that counts, if an earlier one exists.
pub(super) async fn store(layout: &Layout, events: &Arc<Events>, address: Key, record: &[u8]) -> Option<Vec<u8>> {
    let mut headers = HeaderMap::new();
    let mut bytes = record.to_vec();
    let size_max = layout.client.server_info().max_payload.saturating_sub(HEADERS_MAX).max(HEADERS_MAX);
    if bytes.len() > size_max {
        // `parts-first`
        let attempt: String = layout.client.new_inbox().chars().filter(char::is_ascii_alphanumeric).collect();
        let parts: Vec<&[u8]> = bytes.chunks(size_max).collect();
        for (number, part) in parts.iter().enumerate() {
            let subject = layout.names.part(&attempt, number);
            create(layout, events, subject, HeaderMap::new(), part.to_vec()).await;
        }
        headers.insert(PARTS, format!("{attempt} {}", parts.len()).as_str());
        bytes = Vec::new();
    }
    match create(layout, events, layout.names.result(address), headers, bytes).await {
        Created::New => None,
        Created::Exists { .. } => Some(find(layout, events, address).await.unwrap_or_else(|| record.to_vec())),
    }
}

/// The record of an address, if it has one. Tries until the server has answered.
pub(super) async fn find(layout: &Layout, events: &Arc<Events>, address: Key) -> Option<Vec<u8>> {
    let (headers, mut bytes) = get(layout, events, layout.names.result(address)).await?;
    if let Some((attempt, parts)) = parts_of(&headers) {
        for number in 0..parts {
            bytes.extend(get(layout, events, layout.names.part(attempt, number)).await?.1);
        }
    }
    Some(bytes)
}

/// Whether an address has a record. Tries until the server has answered.
pub(super) async fn exists(layout: &Layout, events: &Arc<Events>, address: Key) -> bool {
    get(layout, events, layout.names.result(address)).await.is_some()
}

async fn get(layout: &Layout, events: &Arc<Events>, subject: String) -> Option<(HeaderMap, Vec<u8>)> {
    let mut retry = Retry::new(events, "return a record");
    loop {
        match layout.results.direct_get_last_for_subject(subject.clone()).await {
            Ok(message) => return Some((message.headers, message.payload.to_vec())),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return None,
            Err(error) => retry.wait(error).await,
        }
    }
}

/// Reads the records that exist now, in the order in which they were stored.
///
/// # Errors
/// If the server does not return them all, or one cannot be read.
pub(super) async fn read_all(layout: &Layout, mut each: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("the records of the frontier cannot be read: {error}. Try again");
    let state = layout.results.get_info().await.map_err(|error| failed(&error))?.state;
    if state.messages == 0 {
        return Ok(());
    }
    let consumer = layout.results.create_consumer(pull::OrderedConfig::default()).await;
    let mut messages = consumer.map_err(|error| failed(&error))?.messages().await.map_err(|error| failed(&error))?;
    // `parts-first`: they come before the message that names them.
    let mut parts: HashMap<String, Vec<u8>> = HashMap::new();
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| failed(&error))?;
        let sequence = message.info().map_err(|error| failed(&error))?.stream_sequence;
        if let Some(attempt) = layout.names.attempt_of_part(&message.subject) {
            parts.entry(attempt.to_owned()).or_default().extend_from_slice(&message.payload);
        } else {
            let empty = HeaderMap::new();
            let headers = message.headers.as_ref().unwrap_or(&empty);
            match parts_of(headers) {
                Some((attempt, _)) => each(&parts.remove(attempt).unwrap_or_default())?,
                None => each(&message.payload)?,
            }
        }
        if sequence >= state.last_sequence {
            return Ok(());
        }
    }
    Err(failed(&"the server has ended the list"))
}

/// How many records there are.
pub(super) async fn count(layout: &Layout) -> Result<u64, String> {
    layout.results.get_info().await.map(|info| info.state.messages).map_err(|error| error.to_string())
}

fn parts_of(headers: &HeaderMap) -> Option<(&str, usize)> {
    let (attempt, parts) = headers.get(PARTS)?.as_str().split_once(' ')?;
    Some((attempt, parts.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_record_are_named_in_a_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(parts_of(&headers), None);
        headers.insert(PARTS, "abc 3");
        assert_eq!(parts_of(&headers), Some(("abc", 3)));
    }
}

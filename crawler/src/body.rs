//! The body of a page: decoding, checksum, character set, and whether it is HTML with links.
//!
//! Called by `fetch` on a blocking thread: a large page takes longer than a task may keep its worker. Pure.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use sha2::{Digest, Sha256};
use url::Url;

use crate::decode::{self, DecodeError};
use crate::links::{self, Links};
use crate::page::Content;

/// What the headers of a response say about its body.
#[derive(Clone, Debug)]
pub(crate) struct BodyHeaders {
    /// The `Content-Type`, in lower case. Empty if there is none.
    pub(crate) content_type: String,
    /// All `Content-Encoding` headers as one list. Empty if there is none.
    pub(crate) content_encoding: String,
}

/// Decodes a body, hashes it and, if it is HTML, finds its links.
///
/// # Errors
/// If the body cannot be decoded to at most `limit` bytes.
pub(crate) fn read(
    body: Vec<u8>,
    headers: &BodyHeaders,
    limit: usize,
    url: &Url,
    status: u16,
) -> Result<(Content, Links), DecodeError> {
    let body = decode::decode(body, &headers.content_encoding, limit)?;
    let sha256 = Some(Sha256::digest(&body).into());
    let mut content = Content { status, bytes: body.len() as u64, sha256, note: None };
    let mut notes = Vec::new();
    match media_type(&headers.content_type) {
        Some("text/html" | "application/xhtml+xml") => {}
        None if looks_like_html(&body) => {
            notes.push("no content type; searched for links because it looks like HTML".to_owned());
        }
        Some(_) | None => return Ok((content, Links::default())),
    }
    let (text, note) = text(&body, &headers.content_type);
    notes.extend(note);
    content.note = (!notes.is_empty()).then(|| notes.join("; ").into());
    Ok((content, links::links(&text, url)))
}

/// The media type without its parameters. None if the server names none, as the WHATWG's "MIME Sniffing" defines that.
fn media_type(content_type: &str) -> Option<&str> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = media_type.split_once('/')?;
    let is_unknown = matches!(media_type, "unknown/unknown" | "application/unknown" | "*/*");
    (!kind.is_empty() && !subtype.is_empty() && !is_unknown).then_some(media_type)
}

/// The text of `body`, and a note if its character set is unknown or wrong. Bytes that cannot be decoded become U+FFFD.
fn text<'a>(body: &'a [u8], content_type: &str) -> (Cow<'a, str>, Option<String>) {
    let label = label_in(content_type.as_bytes()).or_else(|| label_in(&body[..body.len().min(1024)]));
    let mut note = None;
    let encoding = match &label {
        None => UTF_8,
        Some(label) => Encoding::for_label(label.as_bytes()).unwrap_or_else(|| {
            note = Some(format!("unknown character set `{label}`, read as UTF-8"));
            UTF_8
        }),
    };
    let (text, used, had_errors) = encoding.decode(body);
    if had_errors && note.is_none() {
        note = Some(format!("not valid {}, read as far as possible", used.name()));
    }
    (text, note)
}

/// Whether a body without a content type is HTML, by the patterns of the WHATWG's "MIME Sniffing".
fn looks_like_html(body: &[u8]) -> bool {
    const TAGS: [&str; 16] = [
        "!doctype html",
        "html",
        "head",
        "script",
        "iframe",
        "h1",
        "div",
        "font",
        "table",
        "a",
        "style",
        "title",
        "b",
        "body",
        "br",
        "p",
    ];
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let Some(rest) = body.strip_prefix(b"<") else {
        return false;
    };
    // A tag's name ends where a space or `>` follows; a comment needs no end.
    rest.starts_with(b"!--")
        || TAGS.iter().any(|tag| {
            let name = rest.get(..tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(tag.as_bytes()));
            name && matches!(rest.get(tag.len()), Some(b' ' | b'>' | b'\t' | b'\n' | b'\r'))
        })
}

/// What follows the first `charset=`.
fn label_in(bytes: &[u8]) -> Option<String> {
    const KEY: &[u8] = b"charset=";
    let at = bytes.windows(KEY.len()).position(|window| window.eq_ignore_ascii_case(KEY))?;
    let label: String = bytes[at + KEY.len()..]
        .iter()
        .map(|&byte| char::from(byte))
        .skip_while(|c| matches!(c, '"' | '\'' | ' '))
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c))
        .take(40)
        .collect();
    (!label.is_empty()).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_set_is_taken_from_the_header_then_from_the_page() {
        let (text_of, note) = text(b"caf\xe9", "text/html; charset=ISO-8859-1");
        assert_eq!((&*text_of, note), ("café", None));
        let (text_of, note) = text(b"<meta charset=\"windows-1252\">\x80", "text/html");
        assert!(text_of.ends_with('€') && note.is_none());
    }

    #[test]
    fn html_is_recognised_by_its_first_tag() {
        for html in ["<!DOCTYPE HTML>", "\n\t <html lang=en>", "\u{feff}<p>x", "<!-- x", "<a href=x>", "<BODY\n>"] {
            assert!(looks_like_html(html.as_bytes()), "{html}");
        }
        for other in
            ["", "<", "text <html>", "<abc>", "<htmlx>", "<html", "{\"a\": \"<html>\"}", "<?xml version='1.0'?>"]
        {
            assert!(!looks_like_html(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn an_unknown_character_set_is_noted_and_read_as_utf_8() {
        let (text_of, note) = text(b"plain", "text/html; charset=klingon");
        assert_eq!(text_of, "plain");
        assert!(note.unwrap().contains("klingon"));
        let (_, note) = text(b"\xff\xff", "text/html");
        assert!(note.unwrap().contains("UTF-8"));
    }

    #[test]
    fn only_html_is_searched_for_links() {
        let url = Url::parse("http://a/").unwrap();
        let read = |content_type: &str| {
            let headers = BodyHeaders { content_type: content_type.into(), content_encoding: String::new() };
            read(b"<a href=x>".to_vec(), &headers, 100, &url, 200).unwrap()
        };
        assert_eq!(read("text/html; charset=utf-8").1.found, ["http://a/x"]);
        let (content, links) = read("text/plain");
        assert!(links.found.is_empty());
        assert_eq!(content.bytes, 10);
    }

    #[test]
    fn a_content_type_that_names_nothing_is_none() {
        for nothing in ["", "html", "/", "text/", "*/*", "unknown/unknown; charset=utf-8"] {
            assert_eq!(media_type(nothing), None, "{nothing}");
        }
        assert_eq!(media_type("text/html; charset=utf-8"), Some("text/html"));
    }
}

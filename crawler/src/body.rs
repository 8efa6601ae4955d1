//! The body of a page: decoding, checksum, character set, and its links if it has a format that can be searched.
//!
//! Called by `fetch` on a blocking thread: a large page takes longer than a task may keep its worker. Pure.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use sha2::{Digest, Sha256};
use url::Url;

use crate::charset;
use crate::css;
use crate::decode::{self, DecodeError};
use crate::html;
use crate::links::{LinkCollector, Links};
use crate::markdown;
use crate::page::Content;
use crate::sitemap;

/// What the headers of a response say about its body.
#[derive(Clone, Debug)]
pub(crate) struct BodyHeaders {
    /// The `Content-Type`, in lower case. Empty if there is none.
    pub(crate) content_type: String,
    /// All `Content-Encoding` headers as one list. Empty if there is none.
    pub(crate) content_encoding: String,
}

/// How a body is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadSettings {
    /// The largest size in bytes, decoded.
    pub(crate) limit: usize,
    /// Whether links to parts of pages are checked.
    pub(crate) has_fragments: bool,
}

/// The formats that are searched for links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    /// HTML that is XML.
    Xhtml,
    Css,
    Markdown,
    Sitemap,
    /// A sitemap without XML.
    List,
}

/// Decodes a body, hashes it and, if it is HTML, a style sheet, Markdown or a sitemap, finds its links.
///
/// # Errors
/// If the body cannot be decoded to at most `settings.limit` bytes.
pub(crate) fn read(
    body: Vec<u8>,
    headers: &BodyHeaders,
    settings: ReadSettings,
    url: &Url,
    status: u16,
) -> Result<(Content, Links), DecodeError> {
    read_into(LinkCollector::new(url, settings.has_fragments), body, headers, settings, url, status)
}

/// Like [`read`], with a collector that may resolve links in its own way.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_into(
    mut collector: LinkCollector,
    body: Vec<u8>,
    headers: &BodyHeaders,
    settings: ReadSettings,
    url: &Url,
    status: u16,
) -> Result<(Content, Links), DecodeError> {
    let body = decode::decode(body, &headers.content_encoding, settings.limit)?;
    let sha256 = Some(Sha256::digest(&body).into());
    let mut content = Content { status, bytes: body.len() as u64, sha256, note: None };
    let mut notes = Vec::new();
    let body = unpack_sitemap(body, url, settings.limit)?;
    let format = match format_of(&headers.content_type) {
        Some(format) => format,
        // Servers name many types for a packed one.
        None if may_be_sitemap(url, &headers.content_type) && sitemap::is_sitemap(&String::from_utf8_lossy(&body)) => {
            Format::Sitemap
        }
        None if media_type(&headers.content_type).is_none() && looks_like_html(&body) => {
            notes.push("no content type; searched for links because it looks like HTML".to_owned());
            Format::Html
        }
        None if is_named_text_sitemap(url) => Format::List,
        None => return Ok((content, Links::default())),
    };
    let Text { text, encoding, note } = text(&body, &headers.content_type, format);
    notes.extend(note);
    match format {
        Format::Html => {
            collector.expect_ids();
            collector.set_encoding(encoding);
            html::collect(&text, 1, &mut collector);
        }
        Format::Xhtml => {
            collector.expect_ids();
            html::collect_xhtml(&text, &mut collector);
        }
        Format::Css => css::collect(&text, 1, &mut collector),
        Format::Markdown => {
            collector.expect_ids();
            markdown::collect(&text, &mut collector);
        }
        Format::List => sitemap::collect_list(&text, &mut collector),
        Format::Sitemap => notes.extend(sitemap::collect(&text, &mut collector)),
    }
    content.note = (!notes.is_empty()).then(|| notes.join("; ").into());
    Ok((content, collector.finish()))
}

/// Whether a body is of a format whose ids are known.
pub(crate) fn has_ids(headers: &BodyHeaders) -> bool {
    matches!(format_of(&headers.content_type), Some(Format::Html | Format::Xhtml | Format::Markdown))
}

/// The format that a content type names, if it is searched for links.
fn format_of(content_type: &str) -> Option<Format> {
    match media_type(content_type)? {
        "text/html" => Some(Format::Html),
        "application/xhtml+xml" => Some(Format::Xhtml),
        "text/css" => Some(Format::Css),
        "text/markdown" | "text/x-markdown" => Some(Format::Markdown),
        _ => None,
    }
}

/// A sitemap may be a packed file: its encoding is a matter of the name, not of the response.
fn unpack_sitemap(body: Vec<u8>, url: &Url, limit: usize) -> Result<Vec<u8>, DecodeError> {
    let is_packed = url.path().ends_with(".xml.gz") && body.starts_with(b"\x1f\x8b");
    if is_packed { decode::decode(body, "gzip", limit) } else { Ok(body) }
}

/// Whether the body may be XML.
fn may_be_sitemap(url: &Url, content_type: &str) -> bool {
    let is_named_so = url.path().ends_with(".xml") || url.path().ends_with(".xml.gz");
    is_named_so || matches!(media_type(content_type), Some("application/xml" | "text/xml"))
}

/// Whether it has the usual name of a sitemap that is a list, such as `sitemap.txt`.
fn is_named_text_sitemap(url: &Url) -> bool {
    let name = url.path().rsplit('/').next().unwrap_or_default();
    name.starts_with("sitemap") && name.ends_with(".txt")
}

/// The media type without its parameters. None if the server names none, as the WHATWG's "MIME Sniffing" defines that.
fn media_type(content_type: &str) -> Option<&str> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = media_type.split_once('/')?;
    let is_unknown = matches!(media_type, "unknown/unknown" | "application/unknown" | "*/*");
    (!kind.is_empty() && !subtype.is_empty() && !is_unknown).then_some(media_type)
}

/// A body as text.
struct Text<'a> {
    text: Cow<'a, str>,
    encoding: &'static Encoding,
    /// If its character set is unknown or wrong.
    note: Option<String>,
}

/// The text of `body`. Bytes that cannot be decoded become U+FFFD.
fn text<'a>(body: &'a [u8], content_type: &str, format: Format) -> Text<'a> {
    let head = &body[..body.len().min(1024)];
    let in_body = || match format {
        Format::Html => charset::declared_in(head),
        Format::Xhtml | Format::Sitemap => label_in(head, b"encoding="),
        Format::Markdown | Format::List => None,
        Format::Css => head.starts_with(b"@charset \"").then(|| label_in(head, b"@charset "))?,
    };
    let label = label_in(content_type.as_bytes(), b"charset=");
    let mut unknown = None;
    let mut known = |label: String| {
        let encoding = Encoding::for_label(label.as_bytes());
        unknown = unknown.take().or_else(|| encoding.is_none().then_some(label));
        encoding
    };
    // What a body declares of itself was readable as ASCII.
    let of_body = |encoding: &'static Encoding| if encoding.is_ascii_compatible() { encoding } else { UTF_8 };
    let declared = label.and_then(&mut known).or_else(|| in_body().and_then(&mut known).map(of_body));
    let (text, encoding, had_errors) = declared.unwrap_or(UTF_8).decode(body);
    let note = match unknown {
        Some(label) if declared.is_none() => Some(format!("unknown character set `{label}`, read as UTF-8")),
        Some(_) | None => had_errors.then(|| format!("not valid {}, read as far as possible", encoding.name())),
    };
    Text { text, encoding, note }
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

/// The name of a character set that follows the first `key`.
fn label_in(bytes: &[u8], key: &[u8]) -> Option<String> {
    let at = bytes.windows(key.len()).position(|window| window.eq_ignore_ascii_case(key))?;
    let label: String = bytes[at + key.len()..]
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
        let read = text(b"caf\xe9", "text/html; charset=ISO-8859-1", Format::Html);
        assert_eq!((&*read.text, read.note), ("café", None));
        for header in ["text/html", "text/html; charset=klingon"] {
            let read = text(b"<meta charset=\"windows-1252\">\x80", header, Format::Html);
            assert!(read.text.ends_with('€') && read.note.is_none(), "{header}");
        }
        let read = text("<meta charset=utf-16>é".as_bytes(), "text/html", Format::Html);
        assert!(read.text.ends_with('é') && read.note.is_none());
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
        let read = text(b"plain", "text/html; charset=klingon", Format::Html);
        assert_eq!(read.text, "plain");
        assert!(read.note.unwrap().contains("klingon"));
        assert!(text(b"\xff\xff", "text/html", Format::Html).note.unwrap().contains("UTF-8"));
    }

    #[test]
    fn only_known_formats_are_searched_for_links() {
        let url = Url::parse("http://a/").unwrap();
        let read = |content_type: &str| {
            let headers = BodyHeaders { content_type: content_type.into(), content_encoding: String::new() };
            let settings = ReadSettings { limit: 100, has_fragments: true };
            let (content, links) = read(b"<a href=x>url(y)".to_vec(), &headers, settings, &url, 200).unwrap();
            (content.bytes, links.found.into_iter().map(|link| link.url).collect::<Vec<_>>(), links.ids.is_some())
        };
        assert_eq!(read("text/html; charset=utf-8"), (16, vec!["http://a/x".to_owned()], true));
        assert_eq!(read("text/css"), (16, vec!["http://a/y".to_owned()], false));
        assert_eq!(read("text/plain"), (16, vec![], false));
    }

    #[test]
    fn a_sitemap_is_recognised_also_if_it_is_packed() {
        use std::io::Write as _;
        let xml = b"<urlset><url><loc>http://a/1</loc></url></urlset>";
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(xml).unwrap();
        let packed = encoder.finish().unwrap();
        for (path, content_type, body) in [
            ("sitemap.xml", "application/xml", &xml[..]),
            ("sitemap.xml", "", xml),
            ("map", "text/xml; charset=utf-8", xml),
            ("sitemap.xml.gz", "application/x-gzip", &packed),
            ("sitemap.xml.gz", "application/xml", xml),
            ("sitemap-1.txt", "text/plain", b"http://a/1\r\n\n"),
        ] {
            let headers = BodyHeaders { content_type: content_type.into(), content_encoding: String::new() };
            let url = Url::parse("http://a/").unwrap().join(path).unwrap();
            let settings = ReadSettings { limit: 1000, has_fragments: false };
            let (_, links) = read(body.to_vec(), &headers, settings, &url, 200).unwrap();
            assert_eq!(links.found.len(), 1, "{path} {content_type}");
        }
        let url = Url::parse("http://a/sitemap.xml.gz").unwrap();
        let headers = BodyHeaders { content_type: String::new(), content_encoding: String::new() };
        let settings = ReadSettings { limit: 20, has_fragments: false };
        assert_eq!(read(packed, &headers, settings, &url, 200).unwrap_err(), DecodeError::TooLarge);
    }

    #[test]
    fn no_text_stops_the_search_and_each_link_has_a_line_of_it() {
        // Pieces that begin, end and escape what the formats are made of, in random orders.
        const PIECES: [&str; 48] = [
            "<",
            ">",
            "</",
            "/>",
            "<a href=",
            "<style>",
            "</style>",
            "<noscript>",
            "</noscript>",
            "<iframe srcdoc='",
            " style=\"",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<base href=",
            "<meta http-equiv=refresh content='0;url=",
            "srcset=",
            "<img ",
            "url(",
            ")",
            "(",
            "@import ",
            "image-set(",
            "/*",
            "*/",
            "\\",
            "\\e9 ",
            "{",
            "}",
            ";",
            ",",
            "\"",
            "'",
            "\n",
            "\r\n",
            "[x](",
            "[y]: ",
            "](",
            "# ",
            "```",
            "http://h/p",
            "mailto:a@b",
            "#é",
            "é😀\u{0}",
            "<urlset><loc>",
            "</loc>",
            "&amp;",
        ];
        let mut state = 1_u64;
        let mut next = |below: usize| {
            // The generator of Knuth's MMIX.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mut found = 0;
        for _ in 0..4000 {
            let text: String = (0..next(40)).map(|_| PIECES[next(PIECES.len())]).collect();
            let lines = 1 + text.matches('\n').count();
            for (path, content_type) in
                [("x", "text/html"), ("x", "text/css"), ("x", "text/markdown"), ("x.xml", "application/xml")]
            {
                let headers = BodyHeaders { content_type: content_type.into(), content_encoding: String::new() };
                let settings = ReadSettings { limit: 1 << 20, has_fragments: true };
                let url = Url::parse("http://a/").unwrap().join(path).unwrap();
                let (_, links) = read(text.clone().into_bytes(), &headers, settings, &url, 200).unwrap();
                for link in &links.found {
                    assert!((1..=lines).contains(&(link.line as usize)), "{content_type} {link:?}: {text:?}");
                    assert!(Url::parse(&link.url).unwrap().fragment().is_none(), "{link:?}");
                }
                found += links.found.len();
            }
        }
        assert!(found > 1000, "{found}");
    }

    #[test]
    fn a_content_type_that_names_nothing_is_none() {
        for nothing in ["", "html", "/", "text/", "*/*", "unknown/unknown; charset=utf-8"] {
            assert_eq!(media_type(nothing), None, "{nothing}");
        }
        assert_eq!(media_type("text/html; charset=utf-8"), Some("text/html"));
    }
}

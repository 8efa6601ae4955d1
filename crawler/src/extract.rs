//! The links of an HTML page, and the text of its bytes.
//!
//! Called by `fetch` on a blocking thread: a large page takes longer than a task may keep its worker. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use encoding_rs::{Encoding, UTF_8};
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use url::Url;

use crate::address::{AddressHash, address_hash, is_web, without_fragment};

/// What a page links to, each address once, without fragments.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) found: Vec<String>,
    /// What stands where an address should, and what is wrong with it.
    pub(crate) unusable: Vec<(String, String)>,
    /// Addresses that cannot be fetched, such as `mailto:`: the scheme, and a hash of the address.
    pub(crate) ignored: Vec<(String, AddressHash)>,
}

/// All that `html`, found at `page`, links to: pages, images, scripts, style sheets.
pub(crate) fn links(html: &str, page: &Url) -> Links {
    let mut collector = Collector::new(page.clone());
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _span: Span<()>| -> Option<()> {
        collector.take(event);
        None
    });
    // Within `<script>` and `<style>` nothing is a tag.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(()) = token;
    }
    collector.links
}

/// The attribute whose value comes next, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Address,
    AddressSet,
    Rel,
    HttpEquiv,
    Content,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Base,
    Link,
    Meta,
    /// `a`, `area`: `href`.
    Anchor,
    /// `img`, `script`, `iframe` and their like: `src`.
    Embed,
    Other,
}

#[derive(Debug)]
struct Collector {
    links: Links,
    base: Url,
    has_base: bool,
    seen: HashSet<String>,
    tag: Tag,
    attribute: Attribute,
    /// Of the tag at hand; `link` and `meta` mean something only as a whole.
    address: Option<String>,
    is_hint: bool,
    is_refresh: bool,
}

impl Collector {
    fn new(base: Url) -> Self {
        Self {
            links: Links::default(),
            base,
            has_base: false,
            seen: HashSet::new(),
            tag: Tag::Other,
            attribute: Attribute::Other,
            address: None,
            is_hint: false,
            is_refresh: false,
        }
    }

    fn take(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = match name {
                    b"a" | b"area" => Tag::Anchor,
                    b"link" => Tag::Link,
                    b"base" => Tag::Base,
                    b"meta" => Tag::Meta,
                    b"img" | b"script" | b"iframe" | b"frame" | b"source" | b"video" | b"audio" | b"track"
                    | b"embed" => Tag::Embed,
                    _ => Tag::Other,
                };
                self.attribute = Attribute::Other;
                self.address = None;
                self.is_hint = false;
                self.is_refresh = false;
            }
            CallbackEvent::AttributeName { name } => {
                self.attribute = match (self.tag, name) {
                    (Tag::Anchor | Tag::Link | Tag::Base, b"href") | (Tag::Embed, b"src" | b"poster") => {
                        Attribute::Address
                    }
                    (Tag::Embed, b"srcset") => Attribute::AddressSet,
                    (Tag::Link, b"rel") => Attribute::Rel,
                    (Tag::Meta, b"http-equiv") => Attribute::HttpEquiv,
                    (Tag::Meta, b"content") => Attribute::Content,
                    _ => Attribute::Other,
                };
            }
            CallbackEvent::AttributeValue { value } => self.value(value),
            CallbackEvent::CloseStartTag { .. } => self.close(),
            CallbackEvent::EndTag { .. }
            | CallbackEvent::String { .. }
            | CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => {}
        }
    }

    fn value(&mut self, value: &[u8]) {
        if self.attribute == Attribute::Other {
            return;
        }
        let value = String::from_utf8_lossy(value);
        match self.attribute {
            Attribute::Address => match self.tag {
                Tag::Anchor | Tag::Embed => self.link(&value),
                Tag::Base | Tag::Link | Tag::Meta | Tag::Other => self.address = Some(value.into_owned()),
            },
            Attribute::AddressSet => {
                for candidate in value.split(',') {
                    if let Some(address) = candidate.split_ascii_whitespace().next() {
                        self.link(address);
                    }
                }
            }
            // A hint names a host to be warm for, not a page.
            Attribute::Rel => {
                self.is_hint = value
                    .split_ascii_whitespace()
                    .any(|rel| rel.eq_ignore_ascii_case("preconnect") || rel.eq_ignore_ascii_case("dns-prefetch"));
            }
            Attribute::HttpEquiv => self.is_refresh = value.eq_ignore_ascii_case("refresh"),
            Attribute::Content => self.address = refresh_address(&value),
            Attribute::Other => {}
        }
    }

    fn close(&mut self) {
        let Some(address) = self.address.take() else {
            return;
        };
        match self.tag {
            Tag::Link if !self.is_hint => self.link(&address),
            Tag::Meta if self.is_refresh => self.link(&address),
            // Only the first `base` counts.
            Tag::Base if !self.has_base => {
                self.has_base = true;
                if let Ok(base) = self.base.join(address.trim()) {
                    self.base = base;
                    self.seen.clear();
                }
            }
            Tag::Link | Tag::Meta | Tag::Base | Tag::Anchor | Tag::Embed | Tag::Other => {}
        }
    }

    fn link(&mut self, raw: &str) {
        let address = raw.trim_ascii();
        let address = address.split_once('#').map_or(address, |(address, _)| address);
        if address.is_empty() || self.seen.contains(address) {
            return;
        }
        self.seen.insert(address.to_owned());
        match self.base.join(address) {
            Ok(url) if is_web(&url) => {
                self.links.found.push(without_fragment(url).into());
            }
            Ok(url) => self.links.ignored.push((url.scheme().to_owned(), address_hash(url.as_str()))),
            Err(error) => self.links.unusable.push((address.to_owned(), error.to_string())),
        }
    }
}

/// The address in `5; url=next.html`.
fn refresh_address(content: &str) -> Option<String> {
    let (_, rest) = content.split_once([';', ','])?;
    let (name, address) = rest.split_once('=')?;
    let address = address.trim().trim_matches(['"', '\'']);
    name.trim().eq_ignore_ascii_case("url").then(|| address.to_owned())
}

/// The text of `body`, and what was odd about its character set. Never fails: what cannot be read becomes U+FFFD.
pub(crate) fn text<'a>(body: &'a [u8], content_type: &str) -> (Cow<'a, str>, Option<String>) {
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
pub(crate) fn looks_like_html(body: &[u8]) -> bool {
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

    fn found(html: &str) -> Vec<String> {
        links(html, &Url::parse("http://a/dir/page.html").unwrap()).found
    }

    #[test]
    fn links_are_resolved_and_come_once() {
        let html =
            r##"<a href="x.html">1</a><a href='x.html#part'>2</a><A HREF=/y?a=1&amp;b=2>3</A><a href="#top">4</a>"##;
        assert_eq!(found(html), ["http://a/dir/x.html", "http://a/y?a=1&b=2"]);
    }

    #[test]
    fn images_scripts_styles_and_refreshes_count() {
        let html = r#"<link rel=stylesheet href=s.css><script src="s.js"></script><img src=i.png srcset="j.png 1x, k.png 2x">
            <meta http-equiv="refresh" content="0; url='next.html'"><meta name=x content="0; url=no.html">"#;
        assert_eq!(
            found(html),
            ["s.css", "s.js", "i.png", "j.png", "k.png", "next.html"].map(|name| format!("http://a/dir/{name}"))
        );
    }

    #[test]
    fn hints_other_schemes_comments_and_scripts_do_not_count() {
        let html = r#"<link rel="preconnect" href="http://cdn/"><a href="mailto:a@b">m</a><a href="javascript:x()">j</a>
            <!-- <a href="old.html"> --><script>"<a href='no.html'>"</script><a href=yes.html>"#;
        assert_eq!(found(html), ["http://a/dir/yes.html"]);
        let ignored = links(html, &Url::parse("http://a/").unwrap()).ignored;
        assert_eq!(ignored.iter().map(|(scheme, _)| &**scheme).collect::<Vec<_>>(), ["mailto", "javascript"]);
    }

    #[test]
    fn a_base_changes_what_follows() {
        assert_eq!(found("<base href='/b/'><base href='/c/'><a href=x>"), ["http://a/b/x"]);
    }

    #[test]
    fn an_unusable_address_is_told_and_not_followed() {
        let links = links("<a href='http://[bad/'>", &Url::parse("http://a/").unwrap());
        assert!(links.found.is_empty());
        assert_eq!(links.unusable[0].0, "http://[bad/");
    }

    #[test]
    fn character_sets_are_found_in_the_header_then_in_the_page() {
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
    fn an_unknown_character_set_is_noted_and_read_all_the_same() {
        let (text_of, note) = text(b"plain", "text/html; charset=klingon");
        assert_eq!(text_of, "plain");
        assert!(note.unwrap().contains("klingon"));
        let (_, note) = text(b"\xff\xff", "text/html");
        assert!(note.unwrap().contains("UTF-8"));
    }
}

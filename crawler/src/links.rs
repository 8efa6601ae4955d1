//! The links of an HTML page.
//!
//! Called by `body` on a blocking thread. Pure.

use std::collections::HashSet;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use url::Url;

use crate::address::{AddressHash, address_hash, is_web, without_fragment};

/// The links of a page: each address once, without its fragment.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) found: Vec<String>,
    /// Text that is not an address, and what is wrong with it.
    pub(crate) unusable: Vec<(String, String)>,
    /// Addresses that cannot be fetched, such as `mailto:`: the scheme, and a hash of the address.
    pub(crate) ignored: Vec<(String, AddressHash)>,
}

/// Finds all links of `html`, which was fetched from `page`: to pages, images, scripts and style sheets.
pub(crate) fn links(html: &str, page: &Url) -> Links {
    let mut collector = Collector::new(page.clone());
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _span: Span<()>| -> Option<()> {
        collector.handle_event(event);
        None
    });
    // Inside `<script>` and `<style>` there are no tags.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(()) = token;
    }
    collector.links
}

/// The attribute whose value comes next.
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
    /// `img`, `script`, `iframe` and similar tags: `src`.
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
    /// The address of the current tag. Whether `link` and `meta` link to it depends on their other attributes.
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

    fn handle_event(&mut self, event: CallbackEvent<'_>) {
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
            CallbackEvent::AttributeValue { value } => self.handle_value(value),
            CallbackEvent::CloseStartTag { .. } => self.close_tag(),
            CallbackEvent::EndTag { .. }
            | CallbackEvent::String { .. }
            | CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => {}
        }
    }

    fn handle_value(&mut self, value: &[u8]) {
        if self.attribute == Attribute::Other {
            return;
        }
        let value = String::from_utf8_lossy(value);
        match self.attribute {
            Attribute::Address => match self.tag {
                Tag::Anchor | Tag::Embed => self.add(&value),
                Tag::Base | Tag::Link | Tag::Meta | Tag::Other => self.address = Some(value.into_owned()),
            },
            Attribute::AddressSet => {
                for candidate in value.split(',') {
                    if let Some(address) = candidate.split_ascii_whitespace().next() {
                        self.add(address);
                    }
                }
            }
            // A hint names a host to connect to early, not a page.
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

    fn close_tag(&mut self) {
        let Some(address) = self.address.take() else {
            return;
        };
        match self.tag {
            Tag::Link if !self.is_hint => self.add(&address),
            Tag::Meta if self.is_refresh => self.add(&address),
            // Only the first `base` applies.
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

    fn add(&mut self, raw: &str) {
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

/// The address in the content of a refresh, such as `5; url=next.html`.
fn refresh_address(content: &str) -> Option<String> {
    let (_, rest) = content.split_once([';', ','])?;
    let (name, address) = rest.split_once('=')?;
    let address = address.trim().trim_matches(['"', '\'']);
    name.trim().eq_ignore_ascii_case("url").then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(html: &str) -> Vec<String> {
        links(html, &Url::parse("http://a/dir/page.html").unwrap()).found
    }

    #[test]
    fn links_are_resolved_and_each_is_found_once() {
        let html =
            r##"<a href="x.html">1</a><a href='x.html#part'>2</a><A HREF=/y?a=1&amp;b=2>3</A><a href="#top">4</a>"##;
        assert_eq!(found(html), ["http://a/dir/x.html", "http://a/y?a=1&b=2"]);
    }

    #[test]
    fn images_scripts_styles_and_refreshes_are_links() {
        let html = r#"<link rel=stylesheet href=s.css><script src="s.js"></script><img src=i.png srcset="j.png 1x, k.png 2x">
            <meta http-equiv="refresh" content="0; url='next.html'"><meta name=x content="0; url=no.html">"#;
        assert_eq!(
            found(html),
            ["s.css", "s.js", "i.png", "j.png", "k.png", "next.html"].map(|name| format!("http://a/dir/{name}"))
        );
    }

    #[test]
    fn hints_other_schemes_comments_and_scripts_are_no_links() {
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
    fn an_unusable_address_is_reported_and_not_followed() {
        let links = links("<a href='http://[bad/'>", &Url::parse("http://a/").unwrap());
        assert!(links.found.is_empty());
        assert_eq!(links.unusable[0].0, "http://[bad/");
    }
}

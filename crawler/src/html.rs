//! The links and the ids of an HTML page.
//!
//! Called by `body` and `markdown`, on a blocking thread. Pure.

use std::cell::Cell;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Emitter, ForwardingEmitter, Span, State, Tokenizer};

use crate::css;
use crate::lines::Lines;
use crate::links::{LinkCollector, LinkKind};
use crate::srcset;

/// How deep pages within pages are searched: `srcdoc` and `noscript` hold HTML themselves.
const NESTED_MAX: u32 = 4;

/// Adds the links and ids of `html`, whose first line is line `first_line` of the page.
pub(crate) fn collect(html: &str, first_line: u32, collector: &mut LinkCollector) {
    collect_nested(html, first_line, Nesting { levels: NESTED_MAX, has_ids: true, is_xml: false }, collector);
}

/// Adds the links and ids of a page that is XML.
pub(crate) fn collect_xhtml(xhtml: &str, collector: &mut LinkCollector) {
    collect_nested(xhtml, 1, Nesting { levels: NESTED_MAX, has_ids: true, is_xml: true }, collector);
}

/// How a page stands in another one.
#[derive(Clone, Copy, Debug)]
struct Nesting {
    /// How many levels of pages may follow.
    levels: u32,
    /// Whether its ids are those of the outer page.
    has_ids: bool,
    is_xml: bool,
}

fn collect_nested(html: &str, first_line: u32, nesting: Nesting, collector: &mut LinkCollector) {
    let lines = Lines::new(html, first_line);
    let is_empty_element = Cell::new(false);
    let mut scan = Scan {
        collector,
        is_empty_element: &is_empty_element,
        drawings: 0,
        lines,
        nesting,
        tag: Tag::Other,
        role: Role::Nothing,
        held: Held::default(),
        attributes: Vec::new(),
    };
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, span: Span<usize>| -> Option<()> {
        scan.handle_event(event, span.start);
        None
    });
    // Inside `<script>` and `<style>` there are no tags.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, Tags { emitter, is_empty_element: &is_empty_element }) {
        let Ok(()) = token;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Base,
    Link,
    Meta,
    /// `a`, `area`.
    Anchor,
    /// `img`, `script`, `iframe` and similar tags.
    Embed,
    Object,
    /// `svg` and `math`, in which elements may end where they begin, as in XML.
    Foreign,
    /// Parts of a drawing that refer to others: `use`, `image`.
    Drawing,
    /// Texts that name their source.
    Quote,
    Style,
    NoScript,
    Other,
}

impl Tag {
    fn of(name: &[u8]) -> Self {
        match name {
            b"a" | b"area" => Self::Anchor,
            b"link" => Self::Link,
            b"base" => Self::Base,
            b"meta" => Self::Meta,
            b"img" | b"script" | b"iframe" | b"frame" | b"source" | b"video" | b"audio" | b"track" | b"embed"
            | b"input" => Self::Embed,
            b"object" => Self::Object,
            b"svg" | b"math" => Self::Foreign,
            b"use" | b"image" | b"feimage" => Self::Drawing,
            b"blockquote" | b"q" | b"ins" | b"del" => Self::Quote,
            b"style" => Self::Style,
            b"noscript" => Self::NoScript,
            _ => Self::Other,
        }
    }
}

/// What the value of an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Address(LinkKind),
    AddressSet,
    /// An address whose meaning depends on the other attributes of the tag.
    HeldAddress,
    /// A style sheet without selectors.
    Declarations,
    /// A page of its own.
    Page,
    Id,
    Rel,
    HttpEquiv,
    Content,
    Nothing,
}

impl Role {
    fn of(tag: Tag, attribute: &[u8]) -> Self {
        match (tag, attribute) {
            (_, b"id") | (Tag::Anchor, b"name") => Self::Id,
            (_, b"style") => Self::Declarations,
            (_, b"background") => Self::Address(LinkKind::Resource),
            (Tag::Anchor, b"href" | b"xlink:href") | (Tag::Quote, b"cite") | (Tag::Embed, b"longdesc") => {
                Self::Address(LinkKind::Anchor)
            }
            (Tag::Embed, b"src" | b"poster")
            | (Tag::Object, b"data")
            | (Tag::Drawing, b"href" | b"xlink:href" | b"src") => Self::Address(LinkKind::Resource),
            (Tag::Embed, b"srcset") | (Tag::Link, b"imagesrcset") => Self::AddressSet,
            (Tag::Embed, b"srcdoc") => Self::Page,
            (Tag::Link | Tag::Base, b"href") => Self::HeldAddress,
            (Tag::Link, b"rel") => Self::Rel,
            (Tag::Meta, b"http-equiv") => Self::HttpEquiv,
            (Tag::Meta, b"content") => Self::Content,
            _ => Self::Nothing,
        }
    }
}

/// An emitter that is not told what is wrong with the page: to find that out costs a quarter of the time.
#[derive(Debug)]
struct Tags<'a, E> {
    emitter: E,
    /// See [`Scan`].
    is_empty_element: &'a Cell<bool>,
}

impl<E: Emitter> ForwardingEmitter for Tags<'_, E> {
    type Token = E::Token;

    fn inner(&mut self) -> &mut impl Emitter<Token = Self::Token> {
        &mut self.emitter
    }

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn emit_current_tag(&mut self) -> Option<State> {
        let state = self.emitter.emit_current_tag();
        // There is no text that ends with `</script>` if the element has ended already.
        state.filter(|_| !self.is_empty_element.take())
    }
}

/// What is known of a tag that is not closed yet. Whether `link` and `meta` link to an address depends on all of it.
#[derive(Debug, Default)]
struct Held {
    address: Option<String>,
    offset: usize,
    is_hint: bool,
    is_refresh: bool,
}

#[derive(Debug)]
struct Scan<'a> {
    collector: &'a mut LinkCollector,
    lines: Lines<'a>,
    nesting: Nesting,
    tag: Tag,
    /// Of the attribute whose value comes next.
    role: Role,
    held: Held,
    /// Whether the element of the current tag has ended with it (`<script/>`), where that is possible.
    is_empty_element: &'a Cell<bool>,
    /// How many drawings are open.
    drawings: u32,
    /// The names of the attributes of the current tag that have a role, each with a space behind it.
    attributes: Vec<u8>,
}

impl Scan<'_> {
    /// Whether this attribute stands in its tag for the first time. A browser ignores the others.
    fn is_first(&mut self, name: &[u8]) -> bool {
        // There are few. A name holds no space.
        if self.attributes.split(|&byte| byte == b' ').any(|earlier| earlier == name) {
            return false;
        }
        self.attributes.extend_from_slice(name);
        self.attributes.push(b' ');
        true
    }

    fn handle_event(&mut self, event: CallbackEvent<'_>, offset: usize) {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag = Tag::of(name);
                self.role = Role::Nothing;
                self.held = Held::default();
                self.attributes.clear();
            }
            CallbackEvent::AttributeName { name } => {
                self.role = Role::of(self.tag, name);
                if self.role != Role::Nothing && !self.is_first(name) {
                    self.role = Role::Nothing;
                }
            }
            CallbackEvent::AttributeValue { value } => {
                if self.role != Role::Nothing {
                    self.handle_value(&String::from_utf8_lossy(value), offset);
                }
            }
            CallbackEvent::CloseStartTag { self_closing } => {
                self.close_tag();
                let is_empty_element = self_closing && (self.nesting.is_xml || self.drawings > 0);
                self.is_empty_element.set(is_empty_element);
                if is_empty_element {
                    self.tag = Tag::Other;
                } else if self.tag == Tag::Foreign && !self_closing {
                    self.drawings += 1;
                }
            }
            CallbackEvent::String { value } => self.handle_text(value, offset),
            CallbackEvent::EndTag { name } => {
                self.tag = Tag::Other;
                if Tag::of(name) == Tag::Foreign {
                    self.drawings = self.drawings.saturating_sub(1);
                }
            }
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } | CallbackEvent::Error(_) => {}
        }
    }

    fn handle_value(&mut self, value: &str, offset: usize) {
        match self.role {
            Role::Address(kind) => self.add(value, kind, offset),
            Role::AddressSet => {
                srcset::addresses(value).into_iter().for_each(|address| self.add(address, LinkKind::Resource, offset));
            }
            Role::HeldAddress => self.hold(Some(value.to_owned()), offset),
            Role::Declarations => self.collect_style(value, offset),
            // The ids of a page within the page are its own.
            Role::Page => self.collect_page(value, offset, false),
            Role::Id => {
                if self.nesting.has_ids {
                    self.collector.add_id(value);
                }
            }
            // A hint names a host to connect to early, not a page.
            Role::Rel => {
                self.held.is_hint = value
                    .split_ascii_whitespace()
                    .any(|rel| rel.eq_ignore_ascii_case("preconnect") || rel.eq_ignore_ascii_case("dns-prefetch"));
            }
            Role::HttpEquiv => self.held.is_refresh = value.trim_ascii().eq_ignore_ascii_case("refresh"),
            Role::Content => self.hold(refresh_address(value).map(str::to_owned), offset),
            Role::Nothing => {}
        }
    }

    fn add(&mut self, address: &str, kind: LinkKind, offset: usize) {
        self.collector.add(address, kind, || self.lines.line_of(offset));
    }

    fn hold(&mut self, address: Option<String>, offset: usize) {
        self.held.offset = offset;
        self.held.address = address;
    }

    fn close_tag(&mut self) {
        let Held { address: Some(address), offset, is_hint, is_refresh } = std::mem::take(&mut self.held) else {
            return;
        };
        match self.tag {
            Tag::Link if !is_hint => self.add(&address, LinkKind::Resource, offset),
            Tag::Meta if is_refresh => self.add(&address, LinkKind::Refresh, offset),
            Tag::Base => self.collector.set_base(&address),
            Tag::Link
            | Tag::Meta
            | Tag::Anchor
            | Tag::Embed
            | Tag::Object
            | Tag::Foreign
            | Tag::Drawing
            | Tag::Quote
            | Tag::Style
            | Tag::NoScript
            | Tag::Other => {}
        }
    }

    /// What stands between tags. Inside `style` and `noscript` that includes tags.
    fn handle_text(&mut self, value: &[u8], offset: usize) {
        match self.tag {
            Tag::Style => self.collect_style(&String::from_utf8_lossy(value), offset),
            Tag::NoScript => self.collect_page(&String::from_utf8_lossy(value), offset, self.nesting.has_ids),
            Tag::Base
            | Tag::Link
            | Tag::Meta
            | Tag::Anchor
            | Tag::Embed
            | Tag::Object
            | Tag::Foreign
            | Tag::Drawing
            | Tag::Quote
            | Tag::Other => {}
        }
    }

    fn collect_style(&mut self, css: &str, offset: usize) {
        let first_line = self.lines.line_of(offset);
        css::collect(css, first_line, self.collector);
    }

    fn collect_page(&mut self, html: &str, offset: usize, has_ids: bool) {
        let line = self.lines.line_of(offset);
        if let Some(levels) = self.nesting.levels.checked_sub(1) {
            collect_nested(html, line, Nesting { levels, has_ids, is_xml: false }, self.collector);
        }
    }
}

/// The address in the content of a refresh, such as `5; url=next.html`, by the rules of the HTML standard.
pub(crate) fn refresh_address(content: &str) -> Option<&str> {
    let rest = content.trim_ascii_start();
    let time = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let rest = time.trim_ascii_start();
    // A time, and then a separator.
    if time.len() == content.trim_ascii_start().len() || (rest.len() == time.len() && !rest.starts_with([';', ','])) {
        return None;
    }
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    let address = match rest.get(..3) {
        Some(name) if name.eq_ignore_ascii_case("url") => {
            rest[3..].trim_ascii_start().strip_prefix('=').map_or(rest, str::trim_ascii_start)
        }
        _ => rest,
    };
    let address = match address.chars().next() {
        Some(quote @ ('"' | '\'')) => address[1..].split(quote).next().unwrap_or_default(),
        _ => address.trim_ascii_end(),
    };
    (!address.is_empty()).then_some(address)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::links::Links;

    fn links(html: &str) -> Links {
        let mut collector = LinkCollector::new(&Url::parse("http://a/dir/page.html").unwrap(), true);
        collect(html, 1, &mut collector);
        collector.finish()
    }

    fn found(html: &str) -> Vec<String> {
        links(html).found.into_iter().map(|link| link.url.replace("http://a/dir/", "")).collect()
    }

    #[test]
    fn links_are_resolved_and_each_is_found_once() {
        let html = r#"<a href="x.html">1</a><a href='x.html'>2</a><A HREF=/y?a=1&amp;b=2>3</A><a href="">4</a>"#;
        assert_eq!(found(html), ["x.html", "http://a/y?a=1&b=2"]);
    }

    #[test]
    fn what_a_browser_loads_and_a_reader_follows_are_links() {
        for (html, expected) in [
            ("<link rel=stylesheet href=s.css>", &["s.css"][..]),
            ("<link rel=preload as=image imagesrcset='a.png 1x, b.png 2x'>", &["a.png", "b.png"]),
            ("<script src='s.js'></script>", &["s.js"]),
            ("<img src=i.png srcset='data:x,y 1x, k.png 2x' longdesc=l.html>", &["i.png", "k.png", "l.html"]),
            ("<picture><source srcset='a.webp 1x,b.webp 2x'><img src=c.png></picture>", &["a.webp", "b.webp", "c.png"]),
            ("<video poster=p.png src=v.mp4><track src=t.vtt></video>", &["p.png", "v.mp4", "t.vtt"]),
            ("<object data=o.pdf></object><embed src=e.pdf><input type=image src=n.png>", &["o.pdf", "e.pdf", "n.png"]),
            (
                "<iframe src=f.html></iframe><iframe srcdoc='<a href=&quot;in.html&quot;>'></iframe>",
                &["f.html", "in.html"],
            ),
            (
                "<svg><use xlink:href='s.svg#x'/><image href=j.png /><a xlink:href=k></a></svg>",
                &["s.svg", "j.png", "k"],
            ),
            (
                "<blockquote cite=q.html></blockquote><area href=m.html><body background=b.png>",
                &["q.html", "m.html", "b.png"],
            ),
            ("<p style='background: url(\"p.png\")'>", &["p.png"]),
            ("<style>@import 'i.css'; b { background: url(c.png) }</style><a href=d>", &["i.css", "c.png", "d"]),
            ("<noscript><img src=n.png></noscript>", &["n.png"]),
        ] {
            assert_eq!(found(html), expected, "{html}");
        }
    }

    #[test]
    fn a_refresh_is_a_link_and_other_meta_tags_are_not() {
        for (content, expected) in [
            ("0; url=next.html", Some("next.html")),
            ("5;URL='a b.html' x", Some("a b.html")),
            ("0, next.html", Some("next.html")),
            ("1.5 url = n.html ", Some("n.html")),
            ("0;urls.html", Some("urls.html")),
            ("5", None),
            ("0;", None),
            ("next.html", None),
            ("url=next.html", None),
        ] {
            assert_eq!(refresh_address(content), expected, "{content}");
        }
        let html = "<meta content='0; url=next.html' http-equiv=Refresh><meta name=x content='0; url=no.html'>";
        assert_eq!(found(html), ["next.html"]);
    }

    #[test]
    fn hints_other_schemes_comments_and_scripts_are_no_links() {
        let html = r#"<link rel="preconnect" href="http://cdn/"><a href="mailto:a@b">m</a><a href="javascript:x()">j</a>
            <!-- <a href="old.html"> --><script>"<a href='no.html'>"</script><textarea><a href=no></textarea>
            <template><a href=yes.html></template>"#;
        assert_eq!(found(html), ["yes.html"]);
        let ignored = links(html).ignored;
        assert_eq!(ignored.iter().map(|(scheme, _)| &**scheme).collect::<Vec<_>>(), ["mailto", "javascript"]);
    }

    #[test]
    fn in_xml_and_in_drawings_an_element_may_end_where_it_begins() {
        let text = "<title/><script src='s'/><style/>url(no)<a href=yes>";
        let mut collector = LinkCollector::new(&Url::parse("http://a/dir/page.html").unwrap(), true);
        collect_xhtml(text, &mut collector);
        let urls: Vec<String> = collector.finish().found.into_iter().map(|link| link.url).collect();
        assert_eq!(urls, ["http://a/dir/s", "http://a/dir/yes"]);
        assert_eq!(found(text), Vec::<String>::new());
        assert_eq!(
            found("<svg><title/><style/>url(no)<script/><a href=x></svg><a href=y><script/><a href=no>"),
            ["x", "y"]
        );
        assert_eq!(found("<svg/><math></math></svg><style/>a{b:url(c)}"), ["c"]);
    }

    #[test]
    fn of_an_attribute_that_stands_twice_the_first_counts() {
        assert_eq!(found("<a href=a href=b><img src=c src=d><a href href=e><a href=f>"), ["a", "c", "f"]);
    }

    #[test]
    fn the_first_base_changes_what_follows() {
        assert_eq!(found("<base href='/b/'><base href='/c/'><a href=x>"), ["http://a/b/x"]);
    }

    #[test]
    fn an_unusable_address_is_reported_and_not_followed() {
        let links = links("<a href='http://[bad/'>");
        assert!(links.found.is_empty());
        assert_eq!(links.unusable[0].text, "http://[bad/");
    }

    #[test]
    fn ids_are_those_of_all_elements_and_the_names_of_anchors() {
        let html = "<h1 id=Title>x</h1><a name='old'></a><p name=no><a id='&eacute;'></a><noscript><p id=n></noscript>
            <iframe srcdoc='<p id=inner>'></iframe><!-- <p id=no> -->";
        assert_eq!(links(html).ids.unwrap(), ["Title", "n", "old", "\u{e9}"]);
    }

    #[test]
    fn each_link_has_the_line_on_which_it_stands() {
        let html = "<p>\r\n\n<a\n  href=one.html>x</a> <img src=two.png>\n<style>\n\nb{c:url(three.png)}</style>\n
            <noscript>\n<a href=four></noscript><p style='\nx:url(five)'>";
        let lines: Vec<(String, u32)> =
            links(html).found.into_iter().map(|link| (link.url.replace("http://a/dir/", ""), link.line)).collect();
        let expected = [("one.html", 4), ("two.png", 4), ("three.png", 7), ("four", 10), ("five", 11)];
        assert_eq!(lines, expected.map(|(url, line)| (url.to_owned(), line)));
    }

    #[test]
    fn pages_within_pages_end() {
        let mut html = "<a href=x>".to_owned();
        for _ in 0..8 {
            html = format!("<iframe srcdoc=\"{}\"></iframe>", html.replace('&', "&amp;").replace('"', "&quot;"));
        }
        assert!(found(&html).is_empty());
    }
}

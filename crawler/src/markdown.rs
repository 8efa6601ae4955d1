//! The links and the ids of a Markdown page: CommonMark with the extensions that hosts of source code have.
//!
//! Called by `body`, on a blocking thread. Pure.

use std::collections::HashMap;
use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeWithOffset};

use crate::html;
use crate::lines::Lines;
use crate::links::{LinkCollector, LinkKind};

/// Adds the links and ids of `markdown`.
pub(crate) fn collect(markdown: &str, collector: &mut LinkCollector) {
    let extensions = Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
        | Options::ENABLE_GFM;
    let mut scan = Scan {
        collector,
        lines: Lines::new(markdown, 1),
        heading: None,
        slugs: HashMap::new(),
        html: None,
        literal: 0,
    };
    for (event, range) in TextMergeWithOffset::new(Parser::new_ext(markdown, extensions).into_offset_iter()) {
        scan.handle_event(&event, &range);
    }
}

#[derive(Debug)]
struct Scan<'a> {
    collector: &'a mut LinkCollector,
    lines: Lines<'a>,
    /// The text of the heading that is open.
    heading: Option<String>,
    /// How many headings had each slug.
    slugs: HashMap<String, usize>,
    /// The block of HTML that is open, and its first line.
    html: Option<(String, u32)>,
    /// How many code blocks, links and other blocks are open whose text has no addresses of its own.
    literal: u32,
}

impl Scan<'_> {
    fn handle_event(&mut self, event: &Event<'_>, range: &Range<usize>) {
        match event {
            Event::Start(tag) => self.open(tag, range),
            Event::End(tag) => self.close(*tag),
            Event::Text(text) => {
                if let Some(heading) = &mut self.heading {
                    heading.push_str(text);
                }
                if self.literal == 0 {
                    let lines = &mut self.lines;
                    bare_addresses(text, |address| {
                        self.collector.add(address, LinkKind::Anchor, || lines.line_of(range.start));
                    });
                }
            }
            Event::Code(text) => {
                if let Some(heading) = &mut self.heading {
                    heading.push_str(text);
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => match &mut self.html {
                Some((html, _)) => html.push_str(text),
                None => {
                    let line = self.lines.line_of(range.start);
                    html::collect(text, line, self.collector);
                }
            },
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut self.heading {
                    heading.push(' ');
                }
            }
            Event::FootnoteReference(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_)
            | Event::Rule
            | Event::TaskListMarker(_) => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser has many tags without an address")]
    fn open(&mut self, tag: &Tag<'_>, range: &Range<usize>) {
        match tag {
            Tag::Link { link_type, dest_url, .. } => {
                self.literal += 1;
                let line = || self.lines.line_of(range.start);
                if *link_type == LinkType::Email {
                    self.collector.add(&format!("mailto:{dest_url}"), LinkKind::Anchor, line);
                } else {
                    self.collector.add(dest_url, LinkKind::Anchor, line);
                }
            }
            Tag::Image { dest_url, .. } => {
                self.literal += 1;
                self.collector.add(dest_url, LinkKind::Resource, || self.lines.line_of(range.start));
            }
            Tag::Heading { id, .. } => {
                if let Some(id) = id {
                    self.collector.add_id(id);
                }
                self.heading = Some(String::new());
            }
            Tag::HtmlBlock => self.html = Some((String::new(), self.lines.line_of(range.start))),
            Tag::CodeBlock(_) | Tag::MetadataBlock(_) => self.literal += 1,
            _ => {}
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the parser has many tags without an address")]
    fn close(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Link | TagEnd::Image | TagEnd::CodeBlock | TagEnd::MetadataBlock(_) => {
                self.literal = self.literal.saturating_sub(1);
            }
            TagEnd::Heading(_) => {
                if let Some(heading) = self.heading.take() {
                    let id = self.unique_slug(&heading);
                    self.collector.add_id(&id);
                }
            }
            TagEnd::HtmlBlock => {
                if let Some((html, line)) = self.html.take() {
                    html::collect(&html, line, self.collector);
                }
            }
            _ => {}
        }
    }

    /// The id of a heading. The second one of the same text gets `-1`, the third one `-2`.
    fn unique_slug(&mut self, heading: &str) -> String {
        let slug = slug(heading);
        let earlier = self.slugs.entry(slug.clone()).or_insert(0);
        let id = if *earlier == 0 { slug } else { format!("{slug}-{earlier}") };
        *earlier += 1;
        id
    }
}

/// A heading as hosts of source code make an id of it: in lower case, without punctuation, with `-` for each space.
fn slug(heading: &str) -> String {
    let kept = |c: char| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then_some(c),
    };
    heading.trim().to_lowercase().chars().filter_map(kept).collect()
}

/// Calls `add` with each address that stands in a text without being marked as a link, by the rules of GitHub's Markdown.
fn bare_addresses(text: &str, mut add: impl FnMut(&str)) {
    let mut from = 0;
    while let Some(at) = text[from..].find("http").map(|at| from + at) {
        from = at + 4;
        let rest = &text[at..];
        let is_begin = text[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "*_~(".contains(c));
        let scheme = ["http://", "https://"].into_iter().find(|scheme| rest.starts_with(scheme));
        let (true, Some(scheme)) = (is_begin, scheme) else {
            continue;
        };
        let end = rest.find(|c: char| c.is_whitespace() || c == '<').unwrap_or(rest.len());
        let address = without_punctuation(&rest[..end]);
        if address.len() > scheme.len() {
            add(address);
        }
        from = at + end.max(4);
    }
}

/// Without the punctuation at the end, which belongs to the sentence. A parenthesis belongs to it unless it was opened in
/// the address.
fn without_punctuation(address: &str) -> &str {
    let mut address = address;
    // Punctuation that is left out has no parentheses, so these are counted once.
    let mut unopened = address.matches(')').count().saturating_sub(address.matches('(').count());
    loop {
        let shorter = address.trim_end_matches(['?', '!', '.', ',', ':', ';', '*', '_', '~', '\'', '"']);
        match shorter.strip_suffix(')').filter(|_| unopened > 0) {
            Some(inner) => address = inner,
            None => return shorter,
        }
        unopened -= 1;
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::links::Links;

    fn links(markdown: &str) -> Links {
        let mut collector = LinkCollector::new(&Url::parse("http://a/README.md").unwrap(), true);
        collector.expect_ids();
        collect(markdown, &mut collector);
        collector.finish()
    }

    fn found(markdown: &str) -> Vec<(String, u32)> {
        let found = links(markdown).found.into_iter();
        found.map(|link| (link.url.replace("http://a/", ""), link.line)).collect()
    }

    #[test]
    fn links_images_references_and_html_are_found_with_their_lines() {
        let markdown = "---\ntitle: https://no/\n---\n# [T](one.md)\n\ntext ![i](two.png) <https://three/>\n\
            [four][ref] [not defined][x] `[no](no.md)`\n\n    [no](no.md)\n\n```\n[no](no.md) https://no/\n```\n\
            <p align=center>\n<img src=five.png>\n</p>\n\n<a href=six>x</a>\n\n[ref]: four.md 'title'\n\n| [seven](7) |\n|--|\n";
        let expected = [
            ("one.md", 4),
            ("two.png", 6),
            ("https://three/", 6),
            ("four.md", 7),
            ("five.png", 15),
            ("six", 18),
            ("7", 22),
        ];
        assert_eq!(found(markdown), expected.map(|(url, line)| (url.to_owned(), line)));
    }

    #[test]
    fn bare_addresses_end_before_the_punctuation_of_the_sentence() {
        let markdown = "See https://x/a_b. Or (https://x/b), https://x/c_(d)! **https://x/e** xhttp://no http:// http\n\
            <b>https://x/f</b>; [https://no/](https://x/g) https://x/h?a=1&b=2";
        let urls: Vec<String> = found(markdown).into_iter().map(|(url, _)| url).collect();
        assert_eq!(urls, ["a_b", "b", "c_(d)", "e", "f", "g", "h?a=1&b=2"].map(|path| format!("https://x/{path}")));
    }

    #[test]
    fn many_parentheses_behind_an_address_take_one_pass() {
        // A pass for each of them would take an hour.
        let closing = ")".repeat(4_000_000);
        assert_eq!(found(&format!("https://x/(a{closing}")), [("https://x/(a)".to_owned(), 1)]);
    }

    #[test]
    fn a_mail_address_in_angle_brackets_is_one() {
        assert_eq!(links("<me@example.com>").ignored[0].0, "mailto");
    }

    #[test]
    fn headings_and_html_have_ids() {
        let markdown = "# What's `new` in 1.2?\n\n## Same\n\n## Same\n\nSet _text_\n===\n\n## Own {#mine}\n\n\
            <a name=\"named\"></a>\n\n## \u{c9}t\u{e9} \u{1f600} x_y\n";
        let mut ids = links(markdown).ids.unwrap();
        ids.sort_unstable();
        let expected = ["mine", "named", "own", "same", "same-1", "set-text", "whats-new-in-12", "\u{e9}t\u{e9}--x_y"];
        assert_eq!(ids, expected);
    }
}

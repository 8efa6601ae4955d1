//! Results as Markdown, for the summary of a job or for an issue.
//!
//! Called by `formats`. Pure.
//!
//! # Invariants
//! - `links-and-code`: what a site chooses is an autolink or a code span, so none of it is markup, a mention or an image.

use std::fmt::Write as _;

use crate::frontier::Referrer;
use crate::plural::count;
use crate::printable::printable;
use crate::report::{CITERS_OF_BROKEN_SHOWN, CITERS_OF_REDIRECT_SHOWN, REDIRECTS_SHOWN, parts};
use crate::results::Results;

/// The document.
pub(super) fn render(results: &Results<'_>) -> String {
    let mut text = format!("# Links: {}\n\n", results.verdict());
    if !results.starts.is_empty() {
        let starts: Vec<String> = results.starts.iter().map(|start| link(start)).collect();
        let _ = writeln!(text, "From {}.\n", starts.join(", "));
    }
    let counts = &results.counts;
    let _ = writeln!(text, "{} found: {}.", count(counts.found(), "address"), parts(counts));
    write_section(
        &mut text,
        "Incomplete",
        results.shortfalls.iter().map(|shortfall| format!("- {}\n", code(shortfall))),
    );
    write_broken(&mut text, results);
    write_redirects(&mut text, results);
    if let Some(difference) = results.difference {
        let lists = [
            ("changed", &difference.changed),
            ("appeared", &difference.appeared),
            ("vanished", &difference.vanished),
            ("not reached this time", &difference.not_reached),
        ];
        let lines =
            lists.into_iter().flat_map(|(word, urls)| urls.iter().map(move |url| format!("- {word}: {}\n", link(url))));
        write_section(&mut text, "Compared with the saved snapshot", lines);
    }
    text
}

/// A heading and its list. Nothing if the list is empty.
fn write_section(text: &mut String, heading: &str, items: impl Iterator<Item = String>) {
    let mut items = items.peekable();
    if items.peek().is_some() {
        let _ = writeln!(text, "\n## {heading}\n");
        text.extend(items);
    }
}

fn write_broken(text: &mut String, results: &Results<'_>) {
    let items = results.broken().map(|(row, _, reason)| {
        format!("- {}: {}\n{}", link(row.url), code(reason), citers(&row.citers, CITERS_OF_BROKEN_SHOWN))
    });
    write_section(text, "Broken links", items);
}

fn write_redirects(text: &mut String, results: &Results<'_>) {
    let items = results.redirects().take(REDIRECTS_SHOWN).map(|(row, to)| {
        let status = row.status.map(|status| status.to_string()).unwrap_or_default();
        format!("- {status} {} to {}\n{}", link(row.url), link(to), citers(&row.citers, CITERS_OF_REDIRECT_SHOWN))
    });
    write_section(text, "Redirects", items);
    if let Some(rest @ 1..) = results.counts.redirects.checked_sub(REDIRECTS_SHOWN) {
        let _ = writeln!(text, "- and {}", count(rest, "more redirect"));
    }
}

/// An inner list of the pages that cite an address.
fn citers(citers: &[Referrer<'_>], shown: usize) -> String {
    let mut text = String::new();
    for citer in citers.iter().take(shown) {
        let through = citer.through.map(|redirect| format!(" through {}", link(redirect))).unwrap_or_default();
        let line = citer.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let _ = writeln!(text, "  - cited by {}{through}{line}", link(citer.page));
    }
    match citers.len() {
        0 => text.push_str("  - a start of the crawl\n"),
        number if number > shown => {
            let _ = writeln!(text, "  - cited by {}", count(number - shown, "more page"));
        }
        _ => {}
    }
    text
}

/// An address that can be clicked if it is one (`links-and-code`).
fn link(address: &str) -> String {
    let is_web = ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme));
    let is_plain = address.chars().all(|character| character.is_ascii_graphic() && !"<>`".contains(character));
    if is_web && is_plain { format!("<{address}>") } else { code(address) }
}

/// A code span (`links-and-code`), longer than any that begins inside.
fn code(text: &str) -> String {
    let plain = printable(text.trim());
    let longest = plain.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    // An empty span is no span.
    if plain.is_empty() { "(nothing)".to_owned() } else { format!("{fence}{space}{plain}{space}{fence}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{HOSTILE, broken, good, hostile, redirect, results};
    use pulldown_cmark::{Event, LinkType, Parser, Tag};

    #[test]
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else may come out")]
    fn hostile_texts_are_code_or_links_and_nothing_else() {
        let text = render(&hostile());
        let (mut headings, mut codes, mut links) = (0, Vec::new(), 0);
        for event in Parser::new(&text) {
            match event {
                Event::Start(Tag::Heading { .. }) => headings += 1,
                Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                    assert_eq!(link_type, LinkType::Autolink, "{dest_url}");
                    assert!(dest_url.starts_with("http://"));
                    links += 1;
                }
                Event::Code(code) => codes.push(code.into_string()),
                Event::Start(Tag::Paragraph | Tag::List(None) | Tag::Item) | Event::End(_) | Event::SoftBreak => {}
                Event::Text(text) => assert!(!text.contains(['<', '@', '*', '`']), "{text}"),
                other => panic!("not expected: {other:?}"),
            }
        }
        let shown = printable(HOSTILE);
        assert_eq!(codes.iter().filter(|code| **code == *shown).count(), 2, "{codes:#?}");
        assert!(headings == 4 && links > 8, "{text}");
    }

    #[test]
    fn each_backtick_finds_a_longer_fence() {
        for text in ["`", "``", "a`b``c", "` ", " x ", "```"] {
            let span = code(text);
            let events: Vec<Event<'_>> = Parser::new(&span).collect();
            assert!(events.contains(&Event::Code(text.trim().into())), "{span}: {events:?}");
        }
        assert_eq!([code("\n"), code("a\n# b")], ["(nothing)", "`a\\u{a}# b`"]);
    }

    #[test]
    fn a_clean_crawl_has_no_empty_sections_and_long_lists_say_what_is_left_out() {
        let text = render(&results(vec![good("http://h/")]));
        assert_eq!(text, "# Links: no broken links\n\n1 address found: 1 checked.\n");
        let pages: Vec<String> = (10..30).map(|page| format!("http://h/{page}")).collect();
        let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
        let mut rows = vec![broken("http://h/gone", "404 Not Found", &pages)];
        rows.extend(pages.iter().map(|page| redirect(page, 301, "http://h/", "http://h/")));
        rows.push(redirect("http://h/more", 301, "http://h/", "http://h/"));
        let text = render(&results(rows));
        assert!(text.contains("  - cited by <http://h/19>, line 3\n  - cited by 10 more pages\n"), "{text}");
        assert!(text.ends_with("- and 1 more redirect\n"), "{text}");
    }
}

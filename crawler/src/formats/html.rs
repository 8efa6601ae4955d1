//! Results as a page for a browser: one file that works offline, with a table that can be sorted and filtered.
//!
//! Called by `formats`. Pure.
//!
//! # Invariants
//! - `only-text`: what a site chooses gets into the page as escaped text or as JSON, and the script makes text of it. It is
//!   never read as markup or as a script, and only addresses of the web become links.
//! - `no-requests`: the policy of the page forbids every request. A link is followed only when it is clicked.

use std::fmt::Write as _;

use serde::Serialize;

use crate::plural::count;
use crate::printable::printable;
use crate::report::parts;
use crate::results::{Fate, Results, Row, citation};

const TEMPLATE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/page.js");

/// See `no-requests`. Trusted types let the browser refuse to make markup of a string (`only-text`).
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The document.
pub(super) fn render(results: &Results<'_>) -> String {
    let heading = format!("Links of {}: {}", results.subject(), results.verdict());
    let counts = &results.counts;
    let summary = format!("{} found: {}.", count(counts.found(), "address"), parts(counts));
    fill([
        ("policy", POLICY),
        ("title", &escaped(&heading)),
        ("style", STYLE),
        ("heading", &escaped(&heading)),
        ("summary", &escaped(&summary)),
        ("notices", &notices(results)),
        ("plain", &plain(results)),
        ("data", &quoted(&data(results))),
        ("script", SCRIPT),
    ])
}

/// The template with its places filled, each of which it has once and in this order. The parts are not searched again.
fn fill(parts: [(&str, &str); 9]) -> String {
    let mut page = String::with_capacity(TEMPLATE.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = TEMPLATE;
    for (place, part) in parts {
        let (before, after) = rest.split_once(&format!("{{{{{place}}}}}")).expect("the template has the place");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// What is said above the table: why the crawl is incomplete, and how it differs from a snapshot.
fn notices(results: &Results<'_>) -> String {
    let mut text = String::new();
    let mut write = |class: &str, heading: &str, items: &[String]| {
        if !items.is_empty() {
            let items: String = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
            let _ = writeln!(text, "<section class=\"{class}\"><h2>{heading}</h2><ul>{items}</ul></section>");
        }
    };
    write("notice alarm", "The crawl is incomplete", &results.shortfalls);
    if let Some(difference) = results.difference {
        write("notice alarm", "Vanished since the snapshot", &difference.vanished);
        write("notice", "Changed since the snapshot", &difference.changed);
        write("notice", "Appeared since the snapshot", &difference.appeared);
        write("notice", "In the snapshot, and not reached this time", &difference.not_reached);
    }
    text
}

/// The broken links for a browser without scripts.
fn plain(results: &Results<'_>) -> String {
    let mut text = String::from("<ul>");
    for (row, _, reason) in results.broken() {
        let _ = write!(text, "<li>{}: {}<ul>", escaped(row.url), escaped(reason));
        for citer in &row.citers {
            let _ = write!(text, "<li>{}</li>", escaped(&citation(citer)));
        }
        let start = if row.citers.is_empty() { "<li>a start of the crawl</li>" } else { "" };
        let _ = writeln!(text, "{start}</ul></li>");
    }
    text + "</ul>"
}

/// What the script shows.
#[derive(Debug, Serialize)]
struct Data<'a> {
    rows: Vec<DataRow<'a>>,
}

/// An address: its fate, itself, the status, the details, the size, the links to it and the advice. A list is shorter than an
/// object, and there may be many.
#[derive(Debug, Serialize)]
struct DataRow<'a>(&'static str, &'a str, Option<u16>, &'a str, Option<u64>, Vec<DataLink<'a>>, &'static str);

/// A link: the page, the redirect that it goes through, and the line.
#[derive(Debug, Serialize)]
struct DataLink<'a>(&'a str, Option<&'a str>, Option<u32>);

fn data<'a>(results: &'a Results<'_>) -> Data<'a> {
    let row = |row: &'a Row<'_>| {
        let bytes = if let Fate::Good { bytes, .. } = row.fate { Some(bytes) } else { None };
        let advice = if let Fate::Broken { rule, .. } = &row.fate { rule.advice } else { "" };
        let links = row.citers.iter().map(|citer| DataLink(citer.page, citer.through, citer.line)).collect();
        DataRow(row.word(), row.url, row.status, row.detail(), bytes, links, advice)
    };
    Data { rows: results.rows.iter().map(row).collect() }
}

/// Text as it may stand in an element (`only-text`).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// A value as JSON that may stand in an element `script`: it has no mark that ends the element or begins a comment.
fn quoted(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("it has no maps");
    let mut out = String::with_capacity(json.len());
    // In JSON these occur only within strings.
    for part in json.split_inclusive(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        let mut characters = part.chars();
        match characters.next_back() {
            Some(mark @ ('<' | '>' | '&' | '\u{2028}' | '\u{2029}')) => {
                out.push_str(characters.as_str());
                let _ = write!(out, "\\u{:04x}", u32::from(mark));
            }
            Some(_) | None => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests;

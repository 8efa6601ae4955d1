//! The report for people, at the end of a crawl: the findings first, the counts last.
//!
//! Called by `main`. Pure.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use crate::outcome::{Counts, Outcome, memory_max};
use crate::page::PageState;
use crate::plural::count;
use crate::snapshot::{Difference, hex};

/// How many citing pages are shown for each broken link. The JSON and CSV forms have all.
const CITERS_OF_BROKEN_SHOWN: usize = 10;
/// How many citing pages are shown for each redirect.
const CITERS_OF_REDIRECT_SHOWN: usize = 3;
/// How many redirects are shown.
const REDIRECTS_SHOWN: usize = 20;
/// How many schemes of ignored addresses are shown.
const SCHEMES_SHOWN: usize = 5;

/// `url -> checksum`, a line per page, sorted.
pub(crate) fn checksums(outcome: &Outcome) -> String {
    let mut text = String::from("\nChecksums (SHA-256):\n");
    for (_, entry) in outcome.sorted() {
        if let PageState::Good(content) = &entry.state {
            if let Some(sha256) = &content.sha256 {
                let _ = writeln!(text, "{} -> {}", entry.url, hex(sha256));
            }
        }
    }
    text
}

/// The report.
pub(crate) fn summary(outcome: &Outcome, difference: Option<&Difference>) -> String {
    let mut text = String::new();
    write_broken(&mut text, outcome);
    write_redirects(&mut text, outcome);
    if let Some(difference) = difference {
        write_difference(&mut text, difference);
    }
    write_counts(&mut text, outcome);
    text
}

fn write_broken(text: &mut String, outcome: &Outcome) {
    let broken = outcome.broken();
    if !broken.is_empty() {
        text.push_str("\nBroken links:\n");
    }
    for broken in &broken {
        let _ = writeln!(text, "  {}\n    {}", broken.url, broken.failure.reason);
        write_citers(text, &broken.referrers, CITERS_OF_BROKEN_SHOWN);
    }
}

fn write_redirects(text: &mut String, outcome: &Outcome) {
    let redirects = outcome.redirects();
    if !redirects.is_empty() {
        text.push_str("\nRedirects:\n");
    }
    for redirect in redirects.iter().take(REDIRECTS_SHOWN) {
        let _ = writeln!(text, "  {} {} -> {}", redirect.status, redirect.url, redirect.to);
        write_citers(text, &redirect.referrers, CITERS_OF_REDIRECT_SHOWN);
    }
    if let Some(rest @ 1..) = redirects.len().checked_sub(REDIRECTS_SHOWN) {
        let _ = writeln!(text, "  and {} more (--json and --csv list all)", count(rest, "redirect"));
    }
}

fn write_citers(text: &mut String, referrers: &[(&str, Option<&str>)], shown: usize) {
    for (referrer, through) in referrers.iter().take(shown) {
        let through = through.map(|redirect| format!(" through {redirect}")).unwrap_or_default();
        let _ = writeln!(text, "    cited by {referrer}{through}");
    }
    match referrers.len() {
        0 => text.push_str("    given on the command line\n"),
        number if number > shown => {
            let _ = writeln!(text, "    cited by {} more (--json and --csv list all)", count(number - shown, "page"));
        }
        _ => {}
    }
}

fn write_difference(text: &mut String, difference: &Difference) {
    text.push_str("\nCompared with the saved snapshot:\n");
    let lists = [
        ("changed", &difference.changed),
        ("appeared", &difference.appeared),
        ("vanished", &difference.vanished),
        ("not reached this time", &difference.not_reached),
    ];
    if lists.iter().all(|(_, urls)| urls.is_empty()) {
        text.push_str("  nothing changed\n");
    }
    for (word, urls) in lists {
        for url in urls {
            let _ = writeln!(text, "  {word}: {url}");
        }
    }
}

fn write_counts(text: &mut String, outcome: &Outcome) {
    let counts = outcome.counts();
    let _ = writeln!(text, "\n{} found: {}", count(counts.found(), "address"), parts(&counts));
    let (good, broken) = (counts.good, counts.broken);
    let _ = writeln!(text, "Checked: {good} good, {broken} broken, {}", count(counts.redirects, "redirect"));
    for shortfall in outcome.shortfalls() {
        let _ = writeln!(text, "Incomplete: {shortfall}");
    }
    let memory = memory_max().map(|bytes| format!(", {} memory at most", HumanBytes(bytes))).unwrap_or_default();
    let _ = writeln!(text, "{} in {:.1} s{memory}", HumanBytes(outcome.bytes), outcome.elapsed.as_secs_f64());
}

/// What the number of addresses is made of. Parts that are zero are left out.
fn parts(counts: &Counts) -> String {
    let mut parts = vec![format!("{} checked", counts.checked())];
    if counts.checked_outside > 0 {
        parts[0] += &format!(" ({} of them outside)", counts.checked_outside);
    }
    let others = [
        (counts.skipped, "skipped (robots.txt)".to_owned()),
        (counts.outside, "outside not checked (--same-origin)".to_owned()),
        (counts.excluded, "left out (--include, --exclude)".to_owned()),
        (counts.ignored(), format!("ignored ({})", schemes(counts))),
        (counts.too_deep, "too deep (--depth)".to_owned()),
        (counts.over_max_pages, "left out (--max-pages)".to_owned()),
        (counts.not_reached, "not reached".to_owned()),
    ];
    parts.extend(others.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")));
    parts.join(", ")
}

/// The schemes of the ignored addresses, the most frequent first.
fn schemes(counts: &Counts) -> String {
    let mut schemes: Vec<(&str, usize)> = counts.ignored.iter().map(|(scheme, &number)| (&**scheme, number)).collect();
    schemes.sort_by_key(|&(scheme, number)| (std::cmp::Reverse(number), scheme));
    let others: usize = schemes.iter().skip(SCHEMES_SHOWN).map(|(_, number)| number).sum();
    let mut parts: Vec<String> =
        schemes.iter().take(SCHEMES_SHOWN).map(|(scheme, number)| format!("{number} {scheme}")).collect();
    if others > 0 {
        parts.push(format!("{others} others"));
    }
    parts.join(", ")
}

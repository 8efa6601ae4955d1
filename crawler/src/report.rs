//! The report for people, at the end of a crawl: the findings first, the counts last.
//!
//! Called by `formats`; `formats` shares its limits and the parts of the counts. Pure.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use crate::frontier::Referrer;
use crate::outcome::Counts;
use crate::plural::count;
use crate::printable::printable;
use crate::results::{Fate, Results, citation};
use crate::snapshot::Difference;

/// How many citing pages are shown for each broken link. The forms for programs have all.
pub(crate) const CITERS_OF_BROKEN_SHOWN: usize = 10;
/// How many citing pages are shown for each redirect.
pub(crate) const CITERS_OF_REDIRECT_SHOWN: usize = 3;
/// How many redirects are shown.
pub(crate) const REDIRECTS_SHOWN: usize = 20;
/// How many schemes of ignored addresses are shown.
const SCHEMES_SHOWN: usize = 5;

/// Where all of a list is.
const ALL_LISTED: &str = "(--html, --json and --csv list all)";

/// `url -> checksum`, a line per page, sorted.
pub(crate) fn checksums(results: &Results<'_>) -> String {
    let mut text = String::from("\nChecksums (SHA-256):\n");
    for row in &results.rows {
        if let Fate::Good { sha256: Some(sha256), .. } = &row.fate {
            let _ = writeln!(text, "{} -> {sha256}", printable(row.url));
        }
    }
    text
}

/// The report.
pub(crate) fn summary(results: &Results<'_>) -> String {
    let mut text = String::new();
    write_broken(&mut text, results);
    write_redirects(&mut text, results);
    if let Some(difference) = results.difference {
        write_difference(&mut text, difference);
    }
    write_counts(&mut text, results);
    text
}

fn write_broken(text: &mut String, results: &Results<'_>) {
    if results.counts.broken > 0 {
        text.push_str("\nBroken links:\n");
    }
    for (row, _, reason) in results.broken() {
        let _ = writeln!(text, "  {}  BROKEN: {}", printable(row.url), printable(reason));
        write_citers(text, &row.citers, CITERS_OF_BROKEN_SHOWN);
    }
}

fn write_redirects(text: &mut String, results: &Results<'_>) {
    if results.counts.redirects > 0 {
        text.push_str("\nRedirects:\n");
    }
    for (row, to) in results.redirects().take(REDIRECTS_SHOWN) {
        let status = row.status.map(|status| format!("{status} ")).unwrap_or_default();
        let _ = writeln!(text, "  {status}{} -> {}", printable(row.url), printable(to));
        write_citers(text, &row.citers, CITERS_OF_REDIRECT_SHOWN);
    }
    if let Some(rest @ 1..) = results.counts.redirects.checked_sub(REDIRECTS_SHOWN) {
        let _ = writeln!(text, "  and {} {ALL_LISTED}", count(rest, "more redirect"));
    }
}

fn write_citers(text: &mut String, citers: &[Referrer<'_>], shown: usize) {
    for citer in citers.iter().take(shown) {
        let _ = writeln!(text, "    {}", printable(&citation(citer)));
    }
    match citers.len() {
        0 => text.push_str("    a start of the crawl\n"),
        number if number > shown => {
            let _ = writeln!(text, "    cited by {} {ALL_LISTED}", count(number - shown, "more page"));
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
            let _ = writeln!(text, "  {word}: {}", printable(url));
        }
    }
}

fn write_counts(text: &mut String, results: &Results<'_>) {
    let counts = &results.counts;
    let _ = writeln!(text, "\n{} found: {}", count(counts.found(), "address"), parts(counts));
    let (good, broken) = (counts.good, counts.broken);
    let _ = writeln!(text, "Checked: {good} good, {broken} broken, {}", count(counts.redirects, "redirect"));
    for shortfall in &results.shortfalls {
        let _ = writeln!(text, "Incomplete: {}", printable(shortfall));
    }
    let memory = results.memory_max.map(|bytes| format!(", {} memory at most", HumanBytes(bytes))).unwrap_or_default();
    let _ = writeln!(text, "{} in {:.1} s{memory}", HumanBytes(results.bytes), results.elapsed.as_secs_f64());
}

/// What the number of addresses is made of. Parts that are zero are left out.
pub(crate) fn parts(counts: &Counts) -> String {
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
        parts.push(count(others, "other"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{HOSTILE, broken, hostile, redirect, results};

    #[test]
    fn no_text_of_a_site_begins_a_line_or_reaches_a_terminal_as_a_command() {
        let text = summary(&hostile()) + &checksums(&hostile());
        assert!(!text.contains(|character: char| character.is_control() && character != '\n'), "{text:?}");
        let shown = printable(HOSTILE);
        assert!(text.contains(&format!("  {shown}  BROKEN: {shown}\n    cited by http://h/a")), "{text}");
        assert!(text.contains("    cited by http://h/ through http://h/old\n"), "{text}");
        assert!(text.contains("    a start of the crawl\n"), "{text}");
    }

    #[test]
    fn long_lists_are_cut_and_say_where_the_rest_is() {
        let pages: Vec<String> = (10..31).map(|page| format!("http://h/{page}")).collect();
        let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
        let mut rows = vec![broken("http://h/gone", "404 Not Found", &pages)];
        rows.extend(pages.iter().map(|page| redirect(page, 301, "http://h/", "http://h/")));
        let text = summary(&results(rows));
        assert!(text.contains("cited by 11 more pages (--html, --json and --csv list all)\n"), "{text}");
        assert!(text.contains("  and 1 more redirect (--html, --json and --csv list all)\n"), "{text}");
        assert!(text.contains("cited by http://h/19, line 3\n") && !text.contains("cited by http://h/20,"), "{text}");
    }
}

//! The report for people, at the end of a crawl.
//!
//! Called by `main`. Pure.

use std::fmt::Write as _;

use indicatif::HumanBytes;

use crate::outcome::{End, Outcome, memory_max};
use crate::page::Fate;
use crate::store::{Difference, hex};

/// How many citing pages the text report shows for each broken link; the JSON and CSV forms have all.
const CITERS_SHOWN: usize = 10;

/// `url -> checksum`, a line a page, sorted.
pub(crate) fn checksums(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (_, entry) in outcome.sorted() {
        if let Fate::Good(content) = &entry.fate {
            if let Some(sha256) = &content.sha256 {
                let _ = writeln!(text, "{} -> {}", entry.url, hex(sha256));
            }
        }
    }
    text
}

/// The report for people.
pub(crate) fn summary(outcome: &Outcome, difference: Option<&Difference>) -> String {
    let mut text = String::new();
    let broken = outcome.broken();
    if !broken.is_empty() {
        let _ = writeln!(text, "\nBroken links:");
    }
    for broken in &broken {
        let _ = writeln!(text, "  {}\n    {}", broken.url, broken.trouble);
        for (citer, through) in broken.citers.iter().take(CITERS_SHOWN) {
            let through = through.map(|redirect| format!(" through {redirect}")).unwrap_or_default();
            let _ = writeln!(text, "    cited by {citer}{through}");
        }
        match broken.citers.len() {
            0 => text.push_str("    given on the command line\n"),
            number if number > CITERS_SHOWN => {
                let _ = writeln!(text, "    and by {} more (--json and --csv list all)", number - CITERS_SHOWN);
            }
            _ => {}
        }
    }
    let redirects = || {
        outcome.sorted().into_iter().filter_map(|(_, entry)| match entry.fate {
            Fate::Redirect { status, to } => Some((status, &*entry.url, outcome.target(to))),
            Fate::Waiting | Fate::Good(_) | Fate::Broken(_) | Fate::Left(_) => None,
        })
    };
    for (at, (status, from, to)) in redirects().enumerate() {
        match at {
            0 => text.push_str("\nRedirects:\n"),
            // The other forms list all.
            20 => {
                text.push_str("  …\n");
                break;
            }
            _ => {}
        }
        let _ = writeln!(text, "  {status} {from} -> {to}");
    }
    if let Some(difference) = difference {
        let _ = writeln!(text, "\nCompared with the saved snapshot:");
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
    let counts = outcome.counts();
    let _ = write!(
        text,
        "\n{} pages good, {} broken, {} redirects, {} forbidden by robots.txt, {} outside",
        counts.good, counts.broken, counts.redirects, counts.forbidden, counts.outside
    );
    if outcome.frontier.refused > 0 {
        let _ = write!(text, "; {} links left out by --max-pages", outcome.frontier.refused);
    }
    let how = match outcome.end {
        End::Complete => String::new(),
        End::Deadline => format!("; cut short by the deadline, {} pages not reached", counts.not_reached),
        End::Interrupted => format!("; interrupted, {} pages not reached", counts.not_reached),
    };
    let _ = writeln!(text, "{how}");
    let memory = memory_max().map(|bytes| format!(", {} memory at most", HumanBytes(bytes))).unwrap_or_default();
    let _ = writeln!(text, "{} in {:.1} s{memory}", HumanBytes(outcome.bytes), outcome.elapsed.as_secs_f64());
    text
}

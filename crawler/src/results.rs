//! What a crawl found, in the form that all outputs are made of.
//!
//! Made by `delivery`; read by `report` and the `formats`. Pure.

use std::time::Duration;

use crate::frontier::Referrer;
use crate::outcome::{Counts, End, Outcome, memory_max};
use crate::page::{PageState, Skipped};
use crate::plural::count;
use crate::rules::Rule;
use crate::snapshot::{Difference, hex};

/// A crawl that has ended.
#[derive(Debug)]
pub(crate) struct Results<'a> {
    /// The addresses that the crawl started from.
    pub(crate) starts: &'a [String],
    /// The address of the working folder, with a slash at its end.
    pub(crate) folder: Option<&'a str>,
    pub(crate) end: End,
    /// Why the crawl is incomplete, a sentence each.
    pub(crate) shortfalls: Vec<String>,
    pub(crate) counts: Counts,
    /// An address each, sorted.
    pub(crate) rows: Vec<Row<'a>>,
    /// The difference to a snapshot, if there is one.
    pub(crate) difference: Option<&'a Difference>,
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
    /// The largest amount of memory, in bytes.
    pub(crate) memory_max: Option<u64>,
}

/// What became of an address.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) url: &'a str,
    /// None if there was no response.
    pub(crate) status: Option<u16>,
    pub(crate) fate: Fate<'a>,
    /// The pages that cite a broken link or a redirect, sorted. Empty for a start.
    pub(crate) citers: Vec<Referrer<'a>>,
}

#[derive(Debug)]
pub(crate) enum Fate<'a> {
    Good { bytes: u64, sha256: Option<String>, note: Option<&'a str> },
    Redirect { to: &'a str },
    Broken { rule: &'static Rule, reason: String },
    Forbidden { reason: &'a str },
    Outside,
    Excluded,
    NotReached,
}

impl<'a> Results<'a> {
    pub(crate) fn of(outcome: &'a Outcome, starts: &'a [String], difference: Option<&'a Difference>) -> Self {
        let mut rows = Vec::new();
        for (id, entry) in outcome.sorted() {
            let (status, fate) = match &entry.state {
                PageState::Good(content) => {
                    let sha256 = content.sha256.map(|sha256| hex(&sha256));
                    let note = content.note.as_deref();
                    (Some(content.status), Fate::Good { bytes: content.bytes, sha256, note })
                }
                PageState::Redirect { status, to } => (Some(*status), Fate::Redirect { to: outcome.target(*to) }),
                PageState::Broken(failure) => {
                    let reason = failure.reason.to_string();
                    (failure.status, Fate::Broken { rule: Rule::of(failure), reason })
                }
                PageState::Skipped(Skipped::Robots(reason)) => (None, Fate::Forbidden { reason }),
                PageState::Skipped(Skipped::Outside) => (None, Fate::Outside),
                PageState::Skipped(Skipped::Excluded) => (None, Fate::Excluded),
                PageState::Pending => (None, Fate::NotReached),
            };
            let citers = if matches!(fate, Fate::Broken { .. } | Fate::Redirect { .. }) {
                outcome.frontier.referrers(id)
            } else {
                Vec::new()
            };
            rows.push(Row { url: &entry.url, status, fate, citers });
        }
        Self {
            starts,
            folder: None,
            end: outcome.end,
            shortfalls: outcome.shortfalls(),
            counts: outcome.counts(),
            rows,
            difference,
            bytes: outcome.bytes,
            elapsed: outcome.elapsed,
            memory_max: memory_max(),
        }
    }

    /// The broken links and why they are broken.
    pub(crate) fn broken(&self) -> impl Iterator<Item = (&Row<'a>, &'static Rule, &str)> {
        self.rows.iter().filter_map(|row| match &row.fate {
            Fate::Broken { rule, reason } => Some((row, *rule, reason.as_str())),
            Fate::Good { .. }
            | Fate::Redirect { .. }
            | Fate::Forbidden { .. }
            | Fate::Outside
            | Fate::Excluded
            | Fate::NotReached => None,
        })
    }

    /// The redirects and where they lead.
    pub(crate) fn redirects(&self) -> impl Iterator<Item = (&Row<'a>, &'a str)> {
        self.rows.iter().filter_map(|row| match row.fate {
            Fate::Redirect { to } => Some((row, to)),
            Fate::Good { .. }
            | Fate::Broken { .. }
            | Fate::Forbidden { .. }
            | Fate::Outside
            | Fate::Excluded
            | Fate::NotReached => None,
        })
    }

    /// Pages of the snapshot that have vanished.
    pub(crate) fn vanished(&self) -> &'a [String] {
        self.difference.map_or(&[], |difference| &difference.vanished)
    }

    /// What the crawl is about, for a heading.
    pub(crate) fn subject(&self) -> String {
        match self.starts {
            [] => "the crawl".to_owned(),
            [start] => start.clone(),
            [start, others @ ..] => format!("{start} and {}", count(others.len(), "more start")),
        }
    }

    /// The result in a few words.
    pub(crate) fn verdict(&self) -> String {
        let broken = match self.counts.broken {
            0 => "no broken links".to_owned(),
            number => count(number, "broken link"),
        };
        let vanished = match self.vanished().len() {
            0 => String::new(),
            number => format!(", {} vanished", count(number, "page")),
        };
        format!("{broken}{vanished}{}", if self.shortfalls.is_empty() { "" } else { ", incomplete" })
    }
}

impl Row<'_> {
    /// The fate in a word, as programs read it.
    pub(crate) fn word(&self) -> &'static str {
        match self.fate {
            Fate::Good { .. } => "good",
            Fate::Redirect { .. } => "redirect",
            Fate::Broken { .. } => "broken",
            Fate::Forbidden { .. } => "skipped",
            Fate::Outside => "outside",
            Fate::Excluded => "excluded",
            Fate::NotReached => "not reached",
        }
    }

    /// The citing pages, each once.
    pub(crate) fn pages(&self) -> Vec<&str> {
        let mut pages: Vec<&str> = self.citers.iter().map(|citer| citer.page).collect();
        pages.dedup();
        pages
    }

    /// What there is to say: a note, where a redirect leads, or why the address is broken or was skipped.
    pub(crate) fn detail(&self) -> &str {
        match &self.fate {
            Fate::Good { note, .. } => note.unwrap_or_default(),
            Fate::Redirect { to } => to,
            Fate::Broken { reason, .. } => reason,
            Fate::Forbidden { reason } => reason,
            Fate::Outside | Fate::Excluded | Fate::NotReached => "",
        }
    }
}

/// How a page cites an address, in words.
pub(crate) fn citation(citer: &Referrer<'_>) -> String {
    let through = citer.through.map(|redirect| format!(" through {redirect}")).unwrap_or_default();
    let line = citer.line.map(|line| format!(", line {line}")).unwrap_or_default();
    format!("cited by {}{through}{line}", citer.page)
}

/// Results that are written down, for the tests of the forms of output.
#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use crate::rules;

    /// Text that would do harm if a form of output took it for its own syntax.
    pub(crate) const HOSTILE: &str = "//[</script><script>document.title='x'</script><!-- ]]> \"'`&lt;|@me #1 **b** {0} ](x) \u{202e}\u{1}\u{2028}\n\t,\\$& 名前";

    /// A page address with every character that the parser leaves as it is.
    pub(crate) const ODD_PAGE: &str = "http://h/a'(b)[c](d)|e^f{g}`*_~!$&;=@:,%20?q='%22|[x]`{y}&amp;";

    pub(crate) fn good(url: &str) -> Row<'_> {
        let fate = Fate::Good { bytes: 7, sha256: Some("ab".repeat(32)), note: None };
        Row { url, status: Some(200), fate, citers: Vec::new() }
    }

    pub(crate) fn broken<'a>(url: &'a str, reason: &str, pages: &[&'a str]) -> Row<'a> {
        let fate = Fate::Broken { rule: &rules::NOT_FOUND, reason: reason.to_owned() };
        let citers = pages.iter().map(|&page| Referrer { page, through: None, line: Some(3) }).collect();
        Row { url, status: Some(404), fate, citers }
    }

    pub(crate) fn redirect<'a>(url: &'a str, status: u16, to: &'a str, page: &'a str) -> Row<'a> {
        Row {
            url,
            status: Some(status),
            fate: Fate::Redirect { to },
            citers: vec![Referrer { page, through: None, line: None }],
        }
    }

    pub(crate) fn results<'a>(rows: Vec<Row<'a>>) -> Results<'a> {
        let mut counts = Counts::default();
        for row in &rows {
            match row.fate {
                Fate::Good { .. } => counts.good += 1,
                Fate::Redirect { .. } => counts.redirects += 1,
                Fate::Broken { .. } => counts.broken += 1,
                Fate::Forbidden { .. } => counts.skipped += 1,
                Fate::Outside => counts.outside += 1,
                Fate::Excluded => counts.excluded += 1,
                Fate::NotReached => counts.not_reached += 1,
            }
        }
        Results {
            starts: &[],
            folder: None,
            end: End::Complete,
            shortfalls: Vec::new(),
            counts,
            rows,
            difference: None,
            bytes: 0,
            elapsed: Duration::ZERO,
            memory_max: None,
        }
    }

    /// A row of each fate, with hostile texts wherever a site chooses the text.
    pub(crate) fn hostile() -> Results<'static> {
        let through = Referrer { page: "http://h/", through: Some("http://h/old"), line: None };
        let mut gone = broken("http://h/gone", "404 Not Found", &["http://h/", ODD_PAGE]);
        gone.citers.push(through);
        let note = Fate::Good { bytes: 1 << 40, sha256: None, note: Some(HOSTILE) };
        let mut results = results(vec![
            broken(HOSTILE, HOSTILE, &[ODD_PAGE]),
            Row { url: "http://elsewhere/", status: None, fate: Fate::Outside, citers: Vec::new() },
            good("http://h/"),
            good(ODD_PAGE),
            gone,
            broken("http://h/start", "500 Internal Server Error", &[]),
            redirect("http://h/moved", 308, ODD_PAGE, "http://h/"),
            redirect("http://h/old", 302, "http://h/gone", ODD_PAGE),
            Row { url: "http://h/note", status: Some(200), fate: note, citers: Vec::new() },
            Row {
                url: "http://h/private",
                status: None,
                fate: Fate::Forbidden { reason: HOSTILE },
                citers: Vec::new(),
            },
            Row { url: "http://h/y", status: None, fate: Fate::Excluded, citers: Vec::new() },
            Row { url: "http://h/z", status: None, fate: Fate::NotReached, citers: Vec::new() },
        ]);
        results.end = End::Interrupted;
        results.shortfalls = vec![format!("the crawl was interrupted, {HOSTILE}")];
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_names_what_decides_the_exit_code() {
        let mut results = samples::results(vec![samples::good("a")]);
        assert_eq!(results.verdict(), "no broken links");
        results.rows.push(samples::broken("b", "why", &[]));
        results.counts.broken = 1;
        let difference = Difference { vanished: vec!["c".into(), "d".into()], ..Difference::default() };
        results.difference = Some(&difference);
        results.shortfalls.push("why".into());
        assert_eq!(results.verdict(), "1 broken link, 2 pages vanished, incomplete");
    }

    #[test]
    fn the_subject_is_short_however_many_starts_there_are() {
        let starts = ["http://a/".to_owned(), "http://b/".to_owned(), "http://c/".to_owned()];
        let subject = |starts| Results { starts, ..samples::results(Vec::new()) }.subject();
        assert_eq!(subject(&starts), "http://a/ and 2 more starts");
        assert_eq!(subject(&starts[..2]), "http://a/ and 1 more start");
        assert_eq!(subject(&starts[..1]), "http://a/");
        assert_eq!(subject(&[]), "the crawl");
    }
}

//! Results as JSON: everything.
//!
//! Called by `formats`. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::frontier::Referrer;
use crate::outcome::{Counts, End};
use crate::results::{Fate, Results, Row};
use crate::snapshot::Difference;

/// The names of its fields are part of the program's interface: the README lists them.
#[derive(Debug, Serialize)]
struct Document<'a> {
    starts: &'a [String],
    end: &'static str,
    complete: bool,
    incomplete_because: &'a [String],
    counts: CountsObject<'a>,
    broken: Vec<Page<'a>>,
    pages: Vec<Page<'a>>,
    bytes: u64,
    seconds: f64,
    memory_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<&'a Difference>,
}

#[derive(Debug, Serialize)]
struct CountsObject<'a> {
    found: usize,
    checked: usize,
    checked_outside: usize,
    good: usize,
    broken: usize,
    redirects: usize,
    skipped: usize,
    outside: usize,
    excluded: usize,
    too_deep: usize,
    over_max_pages: usize,
    not_reached: usize,
    ignored: usize,
    ignored_schemes: &'a BTreeMap<String, usize>,
}

/// An address that was dealt with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Page<'a> {
    Good {
        url: &'a str,
        status: Option<u16>,
        bytes: u64,
        sha256: Option<&'a str>,
        note: Option<&'a str>,
    },
    Redirect {
        url: &'a str,
        status: Option<u16>,
        redirect_to: &'a str,
        cited_by: Vec<&'a str>,
        citations: &'a [Referrer<'a>],
    },
    Broken {
        url: &'a str,
        status: Option<u16>,
        kind: &'static str,
        reason: &'a str,
        cited_by: Vec<&'a str>,
        citations: &'a [Referrer<'a>],
    },
    Forbidden {
        url: &'a str,
        skipped: &'a str,
    },
}

/// Everything.
pub(super) fn render(results: &Results<'_>) -> String {
    let end = match results.end {
        End::Complete => "complete",
        End::Deadline => "deadline",
        End::Interrupted => "interrupted",
        End::Unfinished => "unfinished",
    };
    let (broken, pages) = results.rows.iter().filter_map(page).partition(|page| matches!(page, Page::Broken { .. }));
    let document = Document {
        starts: results.starts,
        end,
        complete: results.shortfalls.is_empty(),
        incomplete_because: &results.shortfalls,
        counts: counts(&results.counts),
        broken,
        pages,
        bytes: results.bytes,
        seconds: results.elapsed.as_secs_f64(),
        memory_max: results.memory_max,
        compared: results.difference,
    };
    serde_json::to_string_pretty(&document).expect("its maps have text as keys") + "\n"
}

fn counts(counts: &Counts) -> CountsObject<'_> {
    CountsObject {
        found: counts.found(),
        checked: counts.checked(),
        checked_outside: counts.checked_outside,
        good: counts.good,
        broken: counts.broken,
        redirects: counts.redirects,
        skipped: counts.skipped,
        outside: counts.outside,
        excluded: counts.excluded,
        too_deep: counts.too_deep,
        over_max_pages: counts.over_max_pages,
        not_reached: counts.not_reached,
        ignored: counts.ignored(),
        ignored_schemes: &counts.ignored,
    }
}

fn page<'a>(row: &'a Row<'_>) -> Option<Page<'a>> {
    let (url, status, citations) = (row.url, row.status, &*row.citers);
    match &row.fate {
        Fate::Good { bytes, sha256, note } => {
            Some(Page::Good { url, status, bytes: *bytes, sha256: sha256.as_deref(), note: *note })
        }
        Fate::Redirect { to } => {
            Some(Page::Redirect { url, status, redirect_to: to, cited_by: row.pages(), citations })
        }
        Fate::Broken { rule, reason } => {
            Some(Page::Broken { url, status, kind: rule.id, reason, cited_by: row.pages(), citations })
        }
        Fate::Forbidden { reason } => Some(Page::Forbidden { url, skipped: reason }),
        Fate::Outside | Fate::Excluded | Fate::NotReached => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::results::samples::{HOSTILE, hostile};

    #[test]
    fn hostile_texts_read_back_as_they_are() {
        let value: Value = serde_json::from_str(&render(&hostile())).unwrap();
        let broken = &value["broken"][0];
        assert_eq!((&broken["url"], &broken["reason"]), (&json!(HOSTILE), &json!(HOSTILE)));
        assert_eq!(
            value["broken"][1]["citations"][2],
            json!({ "page": "http://h/", "line": null, "through": "http://h/old" })
        );
        assert_eq!(broken["citations"][0]["line"], 3);
        assert_eq!(value["pages"].as_array().unwrap().len(), 6);
        assert_eq!(value["complete"], false);
    }
}

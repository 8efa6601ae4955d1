//! Results as JSON: everything.
//!
//! Called by `formats`. Pure.

use serde_json::{Value, json};

use crate::frontier::Referrer;
use crate::outcome::{Counts, End};
use crate::results::{Fate, Results, Row};

/// Everything.
pub(super) fn render(results: &Results<'_>) -> String {
    let end = match results.end {
        End::Complete => "complete",
        End::Deadline => "deadline",
        End::Interrupted => "interrupted",
    };
    let (pages, broken): (Vec<_>, Vec<_>) =
        results.rows.iter().partition(|row| !matches!(row.fate, Fate::Broken { .. }));
    let mut value = json!({
        "starts": results.starts, "end": end, "complete": results.shortfalls.is_empty(),
        "incomplete_because": results.shortfalls, "counts": counts(&results.counts),
        "pages": pages.into_iter().filter_map(page).collect::<Vec<_>>(),
        "broken": broken.into_iter().filter_map(page).collect::<Vec<_>>(),
        "bytes": results.bytes, "seconds": results.elapsed.as_secs_f64(), "memory_max": results.memory_max,
    });
    if let Some(difference) = results.difference {
        value["compared"] = json!({
            "changed": difference.changed, "appeared": difference.appeared,
            "vanished": difference.vanished, "not_reached": difference.not_reached,
        });
    }
    format!("{value:#}\n")
}

fn counts(counts: &Counts) -> Value {
    json!({
        "found": counts.found(), "checked": counts.checked(), "checked_outside": counts.checked_outside,
        "good": counts.good, "broken": counts.broken, "redirects": counts.redirects,
        "skipped": counts.skipped, "outside": counts.outside, "excluded": counts.excluded, "too_deep": counts.too_deep,
        "over_max_pages": counts.over_max_pages, "not_reached": counts.not_reached,
        "ignored": counts.ignored(), "ignored_schemes": counts.ignored,
    })
}

/// An address that was dealt with.
fn page(row: &Row<'_>) -> Option<Value> {
    let (url, status) = (row.url, row.status);
    match &row.fate {
        Fate::Good { bytes, sha256, note } => {
            Some(json!({ "url": url, "status": status, "bytes": bytes, "sha256": sha256, "note": note }))
        }
        Fate::Redirect { to } => Some(json!({
            "url": url, "status": status, "redirect_to": to,
            "cited_by": row.pages(), "citations": citations(&row.citers),
        })),
        Fate::Broken { rule, reason } => Some(json!({
            "url": url, "status": status, "kind": rule.id, "reason": reason,
            "cited_by": row.pages(), "citations": citations(&row.citers),
        })),
        Fate::Forbidden { reason } => Some(json!({ "url": url, "skipped": reason })),
        Fate::Outside | Fate::Excluded | Fate::NotReached => None,
    }
}

/// The citing pages, and how they cite.
fn citations(citers: &[Referrer<'_>]) -> Vec<Value> {
    let citation = |citer: &Referrer<'_>| json!({ "page": citer.page, "line": citer.line, "through": citer.through });
    citers.iter().map(citation).collect()
}

#[cfg(test)]
mod tests {
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

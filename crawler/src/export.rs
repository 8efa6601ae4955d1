//! The forms of an outcome that programs read: JSON and CSV.
//!
//! Called by `main`. Pure.

use serde_json::{Value, json};

use crate::outcome::{Counts, End, Outcome, memory_max};
use crate::page::{PageState, Skipped};
use crate::snapshot::{Difference, hex};

/// Everything, as JSON.
pub(crate) fn to_json(outcome: &Outcome, difference: Option<&Difference>) -> String {
    let end = match outcome.end {
        End::Complete => "complete",
        End::Deadline => "deadline",
        End::Interrupted => "interrupted",
    };
    let mut value = json!({
        "end": end, "complete": outcome.shortfalls().is_empty(), "incomplete_because": outcome.shortfalls(), "counts": counts(&outcome.counts()), "pages": pages(outcome), "broken": broken(outcome),
        "bytes": outcome.bytes, "seconds": outcome.elapsed.as_secs_f64(), "memory_max": memory_max(),
    });
    if let Some(difference) = difference {
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

/// The pages that are not broken.
fn pages(outcome: &Outcome) -> Vec<Value> {
    let mut pages = Vec::new();
    for (id, entry) in outcome.sorted() {
        match &entry.state {
            PageState::Good(content) => pages.push(json!({
                "url": &*entry.url, "status": content.status, "bytes": content.bytes,
                "sha256": content.sha256.map(|sha256| hex(&sha256)), "note": content.note.as_deref(),
            })),
            PageState::Redirect { status, to } => pages.push(json!({
                "url": &*entry.url, "status": status, "redirect_to": outcome.target(*to),
                "cited_by": names(&outcome.frontier.referrers(id)),
            })),
            PageState::Skipped(Skipped::Robots(reason)) => {
                pages.push(json!({ "url": &*entry.url, "left_alone": reason }))
            }
            PageState::Pending | PageState::Broken(_) | PageState::Skipped(Skipped::Outside | Skipped::Excluded) => {}
        }
    }
    pages
}

fn broken(outcome: &Outcome) -> Vec<Value> {
    let broken = outcome.broken();
    let values = broken.iter().map(|broken| {
        json!({
            "url": broken.url, "status": broken.failure.status, "reason": broken.failure.reason.to_string(),
            "cited_by": names(&broken.referrers),
        })
    });
    values.collect()
}

/// The citing pages without the redirects through which they cite.
fn names<'a>(referrers: &[(&'a str, Option<&'a str>)]) -> Vec<&'a str> {
    referrers.iter().map(|(referrer, _)| *referrer).collect()
}

/// One row per address, with all pages that cite it if it is broken or a redirect.
///
/// # Errors
/// None that can happen: the writer is memory.
pub(crate) fn to_csv(outcome: &Outcome) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["url", "outcome", "status", "bytes", "sha256", "detail", "cited_by"])?;
    for (id, entry) in outcome.sorted() {
        let none = String::new;
        let referrers = || names(&outcome.frontier.referrers(id)).join(" ");
        let row = match &entry.state {
            PageState::Good(content) => [
                "good".into(),
                content.status.to_string(),
                content.bytes.to_string(),
                content.sha256.map(|sha256| hex(&sha256)).unwrap_or_default(),
                content.note.as_deref().unwrap_or_default().to_owned(),
                none(),
            ],
            PageState::Redirect { status, to } => {
                let detail = outcome.target(*to).to_owned();
                ["redirect".into(), status.to_string(), none(), none(), detail, referrers()]
            }
            PageState::Broken(failure) => {
                let status = failure.status.map(|status| status.to_string()).unwrap_or_default();
                ["broken".into(), status, none(), none(), failure.reason.to_string(), referrers()]
            }
            PageState::Skipped(Skipped::Robots(reason)) => {
                ["left alone".into(), none(), none(), none(), reason.clone(), none()]
            }
            PageState::Pending => ["not reached".into(), none(), none(), none(), none(), none()],
            PageState::Skipped(Skipped::Outside | Skipped::Excluded) => continue,
        };
        writer.write_record(std::iter::once(entry.url.to_string()).chain(row))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

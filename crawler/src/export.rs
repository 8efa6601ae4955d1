//! The forms of an outcome that programs read: JSON and CSV.
//!
//! Called by `main`. Pure.

use serde_json::{Value, json};

use crate::outcome::{End, Outcome, memory_max};
use crate::page::{Fate, Left};
use crate::store::{Difference, hex};

/// Everything, for programs.
pub(crate) fn to_json(outcome: &Outcome, difference: Option<&Difference>) -> String {
    let mut pages = Vec::new();
    for (_, entry) in outcome.sorted() {
        match &entry.fate {
            Fate::Good(content) => pages.push(json!({
                "url": &*entry.url, "status": content.status, "bytes": content.bytes,
                "sha256": content.sha256.map(|sha256| hex(&sha256)), "note": content.note.as_deref(),
            })),
            Fate::Redirect { status, to } => pages.push(json!({
                "url": &*entry.url, "status": status, "redirect_to": outcome.target(*to),
            })),
            Fate::Left(Left::Robots(reason)) => pages.push(json!({ "url": &*entry.url, "left_alone": reason })),
            Fate::Waiting | Fate::Broken(_) | Fate::Left(Left::Outside) => {}
        }
    }
    let broken: Vec<Value> = outcome
        .broken()
        .iter()
        .map(|broken| {
            let citers: Vec<&str> = broken.citers.iter().map(|(citer, _)| *citer).collect();
            json!({ "url": broken.url, "reason": broken.trouble.to_string(), "cited_by": citers })
        })
        .collect();
    let end = match outcome.end {
        End::Complete => "complete",
        End::Deadline => "deadline",
        End::Interrupted => "interrupted",
    };
    let mut value = json!({
        "end": end, "pages": pages, "broken": broken, "bytes": outcome.bytes,
        "seconds": outcome.elapsed.as_secs_f64(), "memory_max": memory_max(),
    });
    if let Some(difference) = difference {
        value["compared"] = json!({
            "changed": difference.changed, "appeared": difference.appeared,
            "vanished": difference.vanished, "not_reached": difference.not_reached,
        });
    }
    format!("{value:#}\n")
}

/// One row an address, with all pages that cite it if it is broken.
///
/// # Errors
/// None that can happen: the writer is memory.
pub(crate) fn to_csv(outcome: &Outcome) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["url", "outcome", "status", "bytes", "sha256", "detail", "cited_by"])?;
    for (id, entry) in outcome.sorted() {
        let none = String::new;
        let row = match &entry.fate {
            Fate::Good(content) => [
                "good".into(),
                content.status.to_string(),
                content.bytes.to_string(),
                content.sha256.map(|sha256| hex(&sha256)).unwrap_or_default(),
                content.note.as_deref().unwrap_or_default().to_owned(),
                none(),
            ],
            Fate::Redirect { status, to } => {
                let detail = outcome.target(*to).to_owned();
                ["redirect".into(), status.to_string(), none(), none(), detail, none()]
            }
            Fate::Broken(trouble) => {
                let citers: Vec<&str> = outcome.frontier.citers(id).iter().map(|(citer, _)| *citer).collect();
                ["broken".into(), none(), none(), none(), trouble.to_string(), citers.join(" ")]
            }
            Fate::Left(Left::Robots(reason)) => ["left alone".into(), none(), none(), none(), reason.clone(), none()],
            Fate::Waiting => ["not reached".into(), none(), none(), none(), none(), none()],
            Fate::Left(Left::Outside) => continue,
        };
        writer.write_record(std::iter::once(entry.url.to_string()).chain(row))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

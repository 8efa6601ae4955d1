//! The snapshot: the pages of a crawl as a file, and how a later crawl differs from it.
//!
//! Called by `main`. The file is JSON: `{"format": 1, "complete": true, "pages": {"url": "sha256", …}}`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::address::redact;
use crate::frontier::Frontier;
use crate::page::PageState;

const FORMAT: u64 = 1;

/// The good pages of a crawl and their checksums.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) pages: BTreeMap<String, String>,
    /// Whether the crawl was complete.
    pub(crate) is_complete: bool,
}

/// How one snapshot differs from another.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    pub(crate) changed: Vec<String>,
    pub(crate) appeared: Vec<String>,
    pub(crate) vanished: Vec<String>,
    /// Pages that an incomplete crawl did not reach. They may still exist.
    pub(crate) not_reached: Vec<String>,
}

impl Snapshot {
    pub(crate) fn of(frontier: &Frontier, is_complete: bool) -> Self {
        let mut pages = BTreeMap::new();
        for entry in frontier.entries() {
            if let PageState::Good(content) = &entry.state {
                if let Some(sha256) = &content.sha256 {
                    pages.insert(entry.url.to_string(), hex(sha256));
                }
            }
        }
        Self { pages, is_complete }
    }

    /// # Errors
    /// If the file cannot be read or is no snapshot; the message says which.
    pub(crate) async fn load(path: &Path) -> Result<Self, String> {
        let text = redd::fs::read(path).await.map_err(|error| {
            format!("--compare {}: cannot be read: {error}. Give a file that --save has written", path.display())
        })?;
        let wrong = || {
            format!(
                "--compare {}: this is no snapshot of redd-crawl in format {FORMAT}. Give a file that --save has written",
                path.display()
            )
        };
        let value: Value = serde_json::from_slice(&text).map_err(|_| wrong())?;
        Self::from_json(&value).ok_or_else(wrong)
    }

    fn from_json(value: &Value) -> Option<Self> {
        if value["format"].as_u64()? != FORMAT {
            return None;
        }
        let mut pages = BTreeMap::new();
        for (url, sha256) in value["pages"].as_object()? {
            // Earlier versions wrote passwords (`no-userinfo`).
            pages.insert(redact(url), sha256.as_str()?.to_owned());
        }
        Some(Self { pages, is_complete: value["complete"].as_bool()? })
    }

    fn to_json(&self) -> Value {
        json!({ "format": FORMAT, "complete": self.is_complete, "pages": self.pages })
    }

    /// The content of its file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        format!("{:#}\n", self.to_json()).into_bytes()
    }

    /// How `self` differs from the `old` one. If the crawl of `old` was
    /// incomplete, a page that appeared may have existed before.
    pub(crate) fn since(&self, old: &Self) -> Difference {
        let mut difference = Difference::default();
        for (url, sha256) in &self.pages {
            match old.pages.get(url) {
                None => difference.appeared.push(url.clone()),
                Some(before) if before != sha256 => difference.changed.push(url.clone()),
                Some(_) => {}
            }
        }
        let gone = old.pages.keys().filter(|url| !self.pages.contains_key(*url)).cloned().collect();
        if self.is_complete {
            difference.vanished = gone;
        } else {
            difference.not_reached = gone;
        }
        difference
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(pages: &[(&str, &str)], is_complete: bool) -> Snapshot {
        let pages = pages.iter().map(|&(url, sha256)| (url.into(), sha256.into())).collect();
        Snapshot { pages, is_complete }
    }

    #[test]
    fn changed_appeared_and_vanished_pages_are_told_apart() {
        let old = snapshot(&[("same", "1"), ("changed", "1"), ("gone", "1")], true);
        let new = snapshot(&[("same", "1"), ("changed", "2"), ("fresh", "1")], true);
        let difference = new.since(&old);
        assert_eq!(difference.changed, ["changed"]);
        assert_eq!(difference.appeared, ["fresh"]);
        assert_eq!(difference.vanished, ["gone"]);
    }

    #[test]
    fn an_incomplete_crawl_claims_no_vanished_page() {
        let difference = snapshot(&[], false).since(&snapshot(&[("a", "1")], true));
        assert!(difference.vanished.is_empty());
        assert_eq!(difference.not_reached, ["a"]);
    }

    #[test]
    fn a_snapshot_is_read_back_as_it_was_written() {
        let snapshot = snapshot(&[("a", "1"), ("b", "2")], true);
        assert_eq!(Snapshot::from_json(&snapshot.to_json()), Some(snapshot));
        assert_eq!(Snapshot::from_json(&json!({ "format": 2 })), None);
        assert_eq!(Snapshot::from_json(&json!([])), None);
    }

    #[test]
    fn checksums_are_lower_case_hexadecimal() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}

//! Results as CSV: a row for each address that belongs to the crawl.
//!
//! Called by `formats`. Pure.

use crate::results::{Fate, Results};

const HEAD: [&str; 7] = ["url", "outcome", "status", "bytes", "sha256", "detail", "cited_by"];

/// The rows, with all pages that cite an address if it is broken or a redirect.
pub(super) fn render(results: &Results<'_>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |row: [&str; 7]| writer.write_record(row).expect("memory can be written, and all rows are as long");
    write(HEAD);
    for row in &results.rows {
        let (bytes, sha256) = match &row.fate {
            Fate::Good { bytes, sha256, .. } => (bytes.to_string(), sha256.as_deref().unwrap_or_default()),
            Fate::Outside | Fate::Excluded => continue,
            Fate::Redirect { .. } | Fate::Broken { .. } | Fate::Forbidden { .. } | Fate::NotReached => {
                (String::new(), "")
            }
        };
        let status = row.status.map(|status| status.to_string()).unwrap_or_default();
        write([row.url, row.word(), &status, &bytes, sha256, row.detail(), &row.pages().join(" ")]);
    }
    let bytes = writer.into_inner().expect("memory can be written");
    String::from_utf8(bytes).expect("all parts are text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{HOSTILE, ODD_PAGE, hostile};

    #[test]
    fn hostile_texts_stay_within_their_fields() {
        let text = render(&hostile());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        assert_eq!(reader.headers().unwrap(), HEAD.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 10, "all but those that do not belong to the crawl");
        assert_eq!(rows[0], vec![HOSTILE, "broken", "404", "", "", HOSTILE, ODD_PAGE]);
        assert_eq!(rows[9], vec!["http://h/z", "not reached", "", "", "", "", ""]);
    }
}

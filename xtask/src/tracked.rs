//! The version of Tokio that the facade has, and the record of its API.
//!
//! Called by `lanes::compatibility`, `switch` and `tidy`.

/// The record of Tokio's API. The version is the one that the facade has.
pub(crate) const RECORD: &str = "xtask/api/tokio-1.54.1.txt";

/// The version in the name of the record.
pub(crate) fn tracked_tokio() -> &'static str {
    let name = RECORD.rsplit('-').next().unwrap_or(RECORD);
    name.strip_suffix(".txt").unwrap_or(name)
}

//! What a check finds, what it reads besides Rust, and whole words in a text.
//!
//! Called by every check of `tidy`.

use std::fmt;

/// One thing to fix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    what: String,
    fix: String,
}

impl Finding {
    /// `line` 0 means the whole file.
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), fix: fix.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line.max(1), self.what, self.fix)
    }
}

/// A text that is not Rust.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) path: String,
    pub(super) text: String,
}

/// Whether `text` contains `word` as a whole word; letters, digits and `_` make words.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_inside = |mark: char| mark.is_alphanumeric() || mark == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_inside) && !text[at + word.len()..].starts_with(is_inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("a job.", "job"));
        assert!(!has_word("jobs", "job"));
        assert!(!has_word("a_job", "job"));
    }

    #[test]
    fn a_finding_reads_as_location_what_and_fix() {
        assert_eq!(Finding::new("a.rs", 0, "is bad", "make it good").to_string(), "a.rs:1: is bad: make it good");
    }
}

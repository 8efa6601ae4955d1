//! The statuses of good pages: what `--accept` says.
//!
//! Made by `arguments`, used by `fetch`. Pure.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// A set of statuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Statuses(Vec<RangeInclusive<u16>>);

impl Default for Statuses {
    fn default() -> Self {
        Self(vec![200..=299])
    }
}

impl Statuses {
    /// Reads a list such as `200..=206,429`.
    ///
    /// # Errors
    /// If it is none. The message shows one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("--accept `{text}`: give statuses from 100 to 599, such as 200,204 or 200..=299,429");
        let status = |text: &str| match text.trim().parse::<u16>() {
            Ok(status) if (100..600).contains(&status) => Some(status),
            _ => None,
        };
        let range = |part: &str| match part.split_once("..") {
            None => status(part).map(|status| status..=status),
            Some((first, last)) => match last.strip_prefix('=') {
                Some(last) => Some(status(first)?..=status(last)?),
                None if last.trim() == "600" => Some(status(first)?..=599),
                None => Some(status(first)?..=status(last)?.checked_sub(1)?),
            },
        };
        let ranges = text.split(',').map(|part| range(part).filter(|range| !range.is_empty()));
        ranges.collect::<Option<_>>().map(Self).ok_or_else(wrong)
    }

    pub(crate) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| range.contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_statuses_and_ranges_are_read() {
        let statuses = Statuses::parse("200..=206, 429,500..502").unwrap();
        for (status, is_good) in
            [(199, false), (200, true), (206, true), (207, false), (429, true), (501, true), (502, false)]
        {
            assert_eq!(statuses.contains(status), is_good, "{status}");
        }
        assert!(Statuses::parse("200..600").unwrap().contains(599));
    }

    #[test]
    fn what_is_no_status_is_refused_with_an_example() {
        for text in ["", "2xx", "99", "600", "300..200", "200..200", "200,", "..300"] {
            let error = Statuses::parse(text).unwrap_err();
            assert!(error.contains("200..=299"), "{text}: {error}");
        }
    }
}

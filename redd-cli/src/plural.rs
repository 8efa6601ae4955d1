//! Numbers with their nouns.

/// `1 event` or `2 events`, for a noun whose plural ends in `s`.
pub(crate) fn count(number: impl TryInto<u64>, noun: &str) -> String {
    // No number of things is negative or larger.
    let number = number.try_into().unwrap_or(u64::MAX);
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!([0_usize, 1, 2].map(|number| count(number, "event")), ["0 events", "1 event", "2 events"]);
    }
}

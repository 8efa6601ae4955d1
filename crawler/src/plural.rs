//! Numbers with their nouns.

/// `1 page` or `2 pages`, for a noun whose plural ends in `s`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!([0, 1, 2].map(|number| count(number, "page")), ["0 pages", "1 page", "2 pages"]);
        assert_eq!([1, 11].map(|number| count(number, "address")), ["1 address", "11 addresses"]);
    }
}

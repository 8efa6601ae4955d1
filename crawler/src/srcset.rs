//! The addresses of a `srcset` attribute, by the rules of the HTML standard.
//!
//! Called by `html`. Pure.
//!
//! # Why not otherwise
//! A split at the commas is wrong: `data:` addresses have commas, and so may the descriptors in parentheses.

/// The addresses of the image candidates in `srcset`, in their order.
pub(crate) fn addresses(srcset: &str) -> Vec<&str> {
    let mut addresses = Vec::new();
    let mut rest = srcset;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
        if rest.is_empty() {
            return addresses;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let address = word.trim_end_matches(',');
        addresses.push(address);
        // A comma at the end of the address means that there are no descriptors.
        rest = if address.len() < word.len() { behind } else { skip_descriptors(behind) };
    }
}

/// What follows the comma that ends the descriptors. Commas in parentheses do not end them.
fn skip_descriptors(text: &str) -> &str {
    let mut is_in_parentheses = false;
    for (at, c) in text.char_indices() {
        match c {
            '(' => is_in_parentheses = true,
            ')' => is_in_parentheses = false,
            ',' if !is_in_parentheses => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_separated_by_commas_behind_spaces_or_descriptors() {
        for (srcset, expected) in [
            ("a.png 1x, b.png 2x", &["a.png", "b.png"][..]),
            (" , a.png,\tb.png 100w 50h ,c.png,", &["a.png", "b.png", "c.png"]),
            ("data:image/gif;base64,R0lG,x== 1x, b.png", &["data:image/gif;base64,R0lG,x==", "b.png"]),
            ("a,b.png 2x,c.png", &["a,b.png", "c.png"]),
            ("a.png (1,2) 3x, b.png", &["a.png", "b.png"]),
            ("a.png (1, b.png", &["a.png"]),
            ("a.png,,, b.png", &["a.png", "b.png"]),
            ("", &[]),
            (" ,, ", &[]),
            ("é.png\u{a0}x 2x", &["é.png\u{a0}x"]),
        ] {
            assert_eq!(addresses(srcset), expected, "{srcset}");
        }
    }
}

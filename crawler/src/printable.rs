//! Text that a site chose, as it may be shown to people.
//!
//! Called by `report`, `progress` and the `formats` for people. Pure.
//!
//! A site must not be able to move the cursor of a terminal, to begin a new line of a report, or to reorder its letters.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with each character that is a command to a terminal, shows nothing or reorders its neighbours as `\u{…}`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_hidden_is_escaped() {
        assert_eq!(printable("a\u{1b}[31m\n\u{85}\u{202e}b\u{200b}"), "a\\u{1b}[31m\\u{a}\\u{85}\\u{202e}b\\u{200b}");
        assert!(matches!(printable("http://名前/?a=b&c <\"'>"), Cow::Borrowed(_)));
    }
}

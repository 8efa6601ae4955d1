//! The parts of JSON that a reply is made of.
//!
//! Called by `server` and by what describes a runtime.

use std::fmt::Write as _;

/// Writes a string with its quotes.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for mark in text.chars() {
        match mark {
            '"' | '\\' => out.extend(['\\', mark]),
            '\n' => out.push_str("\\n"),
            mark if mark < ' ' => {
                // A write to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(mark));
            }
            mark => out.push(mark),
        }
    }
    out.push('"');
}

/// Writes a string, or `null`.
pub(crate) fn write_optional(out: &mut String, text: Option<&str>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.push_str("null"),
    }
}

/// Writes a number, or `null`.
pub(crate) fn write_number(out: &mut String, number: Option<u64>) {
    match number {
        Some(number) => drop(write!(out, "{number}")),
        None => out.push_str("null"),
    }
}

/// Writes the items between brackets, with commas between them.
pub(crate) fn write_list<T>(out: &mut String, items: impl IntoIterator<Item = T>, write: impl Fn(&mut String, T)) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn marks_that_json_reserves_are_escaped() {
        let mut out = String::new();
        write_list(&mut out, [Some("a\"\\\n\u{1b}é"), None], write_optional);
        assert_eq!(out, r#"["a\"\\\n\u001bé",null]"#);
    }
}

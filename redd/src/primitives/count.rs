//! Numbers and the nouns that follow them, for messages.

use std::fmt::{self, Write};

/// A number of things: `1 report`, `2 reports`, `1,002 reports`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, one, several) = *self;
        write!(f, "{} {}", Grouped(count), if count == 1 { one } else { several })
    }
}

/// As [`Count`], without separators between the thousands: `1002 events`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainCount(pub(crate) u64, pub(crate) &'static str, pub(crate) &'static str);

impl fmt::Display for PlainCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, one, several) = *self;
        write!(f, "{count} {}", if count == 1 { one } else { several })
    }
}

/// A number of bytes.
pub(crate) fn bytes(count: usize) -> PlainCount {
    PlainCount(count as u64, "byte", "bytes")
}

/// A number with separators between the thousands: `1,002`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let numbers = [0, 1, 999, 1002, 1_234_567].map(|number| Grouped(number).to_string());
        assert_eq!(numbers, ["0", "1", "999", "1,002", "1,234,567"]);
        let counts = [0, 1, 2, 1000].map(|count| Count(count, "task", "tasks").to_string());
        assert_eq!(counts, ["0 tasks", "1 task", "2 tasks", "1,000 tasks"]);
        let counts = [0, 1, 2, 1000].map(|count| bytes(count).to_string());
        assert_eq!(counts, ["0 bytes", "1 byte", "2 bytes", "1000 bytes"]);
    }
}

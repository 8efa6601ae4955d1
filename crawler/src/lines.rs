//! The line of a byte in a text.
//!
//! Called by what finds links. Pure.

/// Counts the lines of a text up to offsets that do not decrease, so that the whole takes one pass.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    line: u32,
}

impl<'a> Lines<'a> {
    /// Lines of `text`, of which the first one has the number `first`.
    pub(crate) fn new(text: &'a str, first: u32) -> Self {
        Self { text: text.as_bytes(), at: 0, line: first }
    }

    /// The line of the byte at `offset`. For an offset that is less than an earlier one: the line of that.
    pub(crate) fn line_of(&mut self, offset: usize) -> u32 {
        let passed = self.text.get(self.at..offset).unwrap_or_default();
        let newlines = passed.iter().filter(|&&byte| byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.at = self.at.max(offset);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_behind_its_newline() {
        let mut lines = Lines::new("a\n\nb\nc", 1);
        let numbers: Vec<u32> = [0, 1, 2, 3, 3, 2, 5, 6, 9].into_iter().map(|offset| lines.line_of(offset)).collect();
        assert_eq!(numbers, [1, 1, 2, 3, 3, 3, 4, 4, 4]);
    }
}

//! The result of a lane.
//!
//! Called by every lane, by `lanes` for the table, and by `track`.

/// Whether a lane passed, and one line for the table.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(super) passed: bool,
    pub(super) note: String,
}

/// The start of the note of a lane that ran nothing, because the machine lacks something.
pub(super) const SKIPPED: &str = "SKIPPED: ";

impl Outcome {
    pub(super) fn of(passed: bool) -> Self {
        Self { passed, note: String::new() }
    }

    /// Not a failure: the machine lacks something.
    pub(super) fn skipped(why: impl std::fmt::Display) -> Self {
        Self { passed: true, note: format!("{SKIPPED}{why}") }
    }

    /// One line about the result.
    pub(crate) fn note(&self) -> &str {
        &self.note
    }

    /// Not if it was skipped: then nothing is known.
    pub(crate) fn is_known_to_pass(&self) -> bool {
        self.passed && !self.is_skipped()
    }

    pub(super) fn is_skipped(&self) -> bool {
        self.note.starts_with(SKIPPED)
    }

    pub(super) fn word(&self) -> &'static str {
        match (self.is_skipped(), self.passed) {
            (true, _) => "SKIPPED",
            (false, true) => "ok",
            (false, false) => "FAILED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_that_is_skipped_neither_fails_nor_passes() {
        let skipped = Outcome::skipped("no valgrind here");
        assert_eq!((skipped.passed, skipped.word(), skipped.is_known_to_pass()), (true, "SKIPPED", false));
        assert_eq!((Outcome::of(true).word(), Outcome::of(false).word()), ("ok", "FAILED"));
    }
}

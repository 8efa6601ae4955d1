//! The tape of a run: the choices in which it deviates from the plain order.
//!
//! Written and read by `strategy`, and shown to users by `sim`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// What a choice of a world is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ChoiceKind {
    /// Which thread of the world runs.
    Thread,
    /// Which of its ready tasks a worker polls.
    Task,
    /// Which of several threads a wake is for.
    Wake,
    /// Whether something rare happens.
    Chance,
    /// Any other number, such as the latency of a message.
    Value,
}

impl ChoiceKind {
    const ALL: [(Self, char, &'static str); 5] = [
        (Self::Thread, 'h', "of a thread"),
        (Self::Task, 't', "of a task"),
        (Self::Wake, 'w', "of a waiting thread"),
        (Self::Chance, 'c', "of a chance"),
        (Self::Value, 'v', "of a number"),
    ];

    fn row(self) -> (Self, char, &'static str) {
        let row = Self::ALL.into_iter().find(|row| row.0 == self);
        row.unwrap_or(Self::ALL[4])
    }

    fn letter(self) -> char {
        self.row().1
    }

    pub(super) fn text(self) -> &'static str {
        self.row().2
    }

    /// Whether the choice decides an order, and not what happens.
    pub(super) fn is_order(self) -> bool {
        matches!(self, Self::Thread | Self::Task | Self::Wake)
    }
}

/// One choice that differs from that of the plain order, which is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deviation {
    /// The number of the choice in the run. The first one is 0.
    pub(crate) step: u64,
    pub(crate) value: u32,
    /// The number of choices, and what they were about: a program that has changed since has others. `None` if the text had none.
    pub(crate) among: Option<(u32, ChoiceKind)>,
    /// How many choices of the same kind with as many values the run had before. A tape that was read has no such numbers: 0.
    pub(crate) nth: u64,
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.step, self.value)?;
        match self.among {
            Some((bound, kind)) => write!(f, "/{bound}{}", kind.letter()),
            None => Ok(()),
        }
    }
}

impl FromStr for Deviation {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (step, rest) = text.split_once(':').ok_or(())?;
        let (value, among) = match rest.split_once('/') {
            None => (rest, None),
            Some((value, among)) => {
                let letter = among.chars().next_back().ok_or(())?;
                let bound = among[..among.len() - letter.len_utf8()].parse().map_err(drop)?;
                let kind = ChoiceKind::ALL.into_iter().find(|row| row.1 == letter).ok_or(())?.0;
                (value, Some((bound, kind)))
            }
        };
        let (step, value) = (step.parse().map_err(drop)?, value.parse().map_err(drop)?);
        let deviation = Self { step, value, among, nth: 0 };
        let fits = among.is_none_or(|(bound, _)| deviation.value < bound);
        if deviation.value == 0 || !fits { Err(()) } else { Ok(deviation) }
    }
}

/// The choices of a run, as its deviations from the plain order.
///
/// A world makes one choice after the other: which thread runs, which task it polls, whether a [`chance`](crate::sim::chance) is true,
/// how long a message takes. In the plain order each of them is the first one: see [`Explore::Plain`](crate::sim::Explore). The seed of the
/// world and its tape decide the whole run.
///
/// Its text is one item for each deviation: `812:1/3t` is *choice 812 was the second of three tasks*. The letters are `h` for threads,
/// `t` for tasks, `w` for threads that wait for one wake, `c` for chances and `v` for numbers. `812:1` is enough to replay it.
///
/// # Examples
/// ```
/// use redd::sim::Tape;
///
/// let tape: Tape = "812:1/3t,1044:2".parse()?;
/// assert_eq!(tape.len(), 2);
/// assert_eq!(tape.to_string(), "812:1/3t,1044:2");
/// assert_eq!("".parse(), Ok(Tape::default()));
/// assert!("812".parse::<Tape>().unwrap_err().to_string().contains("812:1"));
/// # Ok::<(), redd::sim::TapeError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tape {
    /// In the order of their steps.
    pub(crate) deviations: Vec<Deviation>,
}

impl Tape {
    /// A tape with these deviations. They may be in any order.
    pub(crate) fn of(mut deviations: Vec<Deviation>) -> Self {
        deviations.sort_unstable();
        deviations.dedup_by_key(|deviation| deviation.step);
        Self { deviations }
    }

    /// Returns the number of deviations from the plain order.
    pub fn len(&self) -> usize {
        self.deviations.len()
    }

    /// Returns whether this is the tape of the plain order.
    pub fn is_empty(&self) -> bool {
        self.deviations.is_empty()
    }
}

impl fmt::Display for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, deviation) in self.deviations.iter().enumerate() {
            write!(f, "{}{deviation}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Tape {
    type Err = TapeError;

    /// # Errors
    /// If an item is no deviation, and if two of them are of one step.
    fn from_str(text: &str) -> Result<Self, TapeError> {
        let (mut steps, mut deviations) = (BTreeSet::new(), Vec::new());
        for item in text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty()) {
            let deviation = item.parse().ok().filter(|deviation: &Deviation| steps.insert(deviation.step));
            deviations.push(deviation.ok_or_else(|| TapeError(item.to_owned()))?);
        }
        Ok(Self::of(deviations))
    }
}

/// The error of a text that is no [`Tape`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeError(String);

impl fmt::Display for TapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no deviation of a tape. One is `step:value` or `step:value/bound` and a letter, such as `812:1` or `812:1/3t`; the \
             value is above 0 and below the bound, each step is there once, and commas are between them",
            self.0
        )
    }
}

impl std::error::Error for TapeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_tape_is_read_again() {
        let kinds = ChoiceKind::ALL.map(|row| row.0);
        let deviations: Vec<_> = (1..)
            .zip(kinds)
            .map(|(number, kind)| Deviation {
                step: u64::from(number) * 1000,
                value: number,
                among: Some((number + 1, kind)),
                nth: 0,
            })
            .collect();
        let tape = Tape::of(deviations.into_iter().rev().collect());
        assert_eq!(tape.to_string(), "1000:1/2h,2000:2/3t,3000:3/4w,4000:4/5c,5000:5/6v");
        assert_eq!(tape.to_string().parse(), Ok(tape.clone()));
        assert_eq!(tape.to_string().replace(',', "\n ").parse(), Ok(tape));
    }

    #[test]
    fn what_is_no_deviation_is_an_error_that_names_it() {
        let single = ["7", "7:", ":1", "7:0", "7:1/1t", "7:1/2", "7:1/t", "7:1/2x", "7:-1", "x:1", "7:1/é"];
        let repeated = [("5:1,7:1,5:2", "5:2"), ("5:1,5:2,7:1", "5:2"), ("7:1,5:1\n7:1,9:1", "7:1")];
        for (wrong, item) in single.map(|item| (item, item)).into_iter().chain(repeated) {
            let error = wrong.parse::<Tape>().expect_err(wrong);
            assert!(error.to_string().starts_with(&format!("{item:?} is no deviation")), "{error}");
        }
    }
}

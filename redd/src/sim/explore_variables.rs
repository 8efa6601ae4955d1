//! The environment variables of worlds.
//!
//! Called by `explore` and `check`.

use std::env;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::primitives::baton::{Explore, Tape};

/// What the environment asks of worlds. Read once, so that a world costs no look-up.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// `REDD_SEED`: the only seeds that run.
    pub(super) seeds: Option<Range<u64>>,
    /// `REDD_EXPLORE`: the strategy.
    pub(super) explore: Option<Explore>,
    /// `REDD_TAPE`: the tape to replay, or a file with it.
    pub(super) tape: Option<Tape>,
    /// `REDD_SHRINK`: in how many runs a failing run is shrunk.
    pub(super) shrink: Option<u32>,
    /// `REDD_EVENTS`: a file for the events of each world.
    pub(super) events: Option<PathBuf>,
    /// `REDD_OUTCOMES`: a file for the outcome of each world.
    pub(super) outcomes: Option<PathBuf>,
}

impl Variables {
    /// # Panics
    /// If one of them has a value that it cannot have.
    pub(super) fn get() -> &'static Self {
        static VARIABLES: OnceLock<Variables> = OnceLock::new();
        VARIABLES.get_or_init(|| match Self::read(|name| env::var(name).ok()) {
            Ok(variables) => variables,
            Err(why) => panic!("{why}"),
        })
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let set = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
        let seeds = set("REDD_SEED").map(|text| seeds(text.trim())).transpose()?;
        let explore = set("REDD_EXPLORE").map(|text| {
            text.trim().parse().map_err(|error| format!("the environment variable REDD_EXPLORE is wrong: {error}"))
        });
        let shrink = set("REDD_SHRINK").map(|text| {
            text.trim().parse().map_err(|_| {
                format!("the environment variable REDD_SHRINK is {text:?}, which is not a number of runs, such as 500")
            })
        });
        let tape = set("REDD_TAPE").map(|text| tape(text.trim())).transpose()?;
        if tape.is_some() && seeds.as_ref().is_none_or(|seeds| seeds.end - seeds.start != 1) {
            return Err(
                "the environment variable REDD_TAPE replays a run of one seed. Set REDD_SEED to that seed".into()
            );
        }
        Ok(Self {
            seeds,
            explore: explore.transpose()?,
            tape,
            shrink: shrink.transpose()?,
            events: set("REDD_EVENTS").map(PathBuf::from),
            outcomes: set("REDD_OUTCOMES").map(PathBuf::from),
        })
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match text.split_once("..") {
        None => number(text).and_then(|seed| Some(seed..seed.checked_add(1)?)),
        Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| from..to).filter(|range| !range.is_empty()),
    };
    range.ok_or_else(|| {
        format!(
            "the environment variable REDD_SEED is {text:?}, which is not a seed. Set it to a number or to a range such as `100..200`, or \
             unset it."
        )
    })
}

/// A tape, or the name of a file with one.
fn tape(text: &str) -> Result<Tape, String> {
    let error = match text.parse() {
        Ok(tape) => return Ok(tape),
        Err(error) => error,
    };
    match fs::read_to_string(text) {
        Ok(content) => {
            content.parse().map_err(|error| format!("the file {text} of the environment variable REDD_TAPE: {error}"))
        }
        Err(no_file) => Err(format!(
            "the environment variable REDD_TAPE is neither a tape nor the name of a file that can be read ({no_file}): {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Variables, String> {
        Variables::read(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
    }

    #[test]
    fn values_are_read_and_empty_ones_are_as_if_unset() {
        let variables = read(&[
            ("REDD_SEED", " 7 "),
            ("REDD_EXPLORE", "pct:4"),
            ("REDD_TAPE", "3:1/2t"),
            ("REDD_SHRINK", "50"),
            ("REDD_EVENTS", ""),
        ])
        .expect("all are right");
        assert_eq!(variables.seeds, Some(7..8));
        assert_eq!(variables.explore, Some(Explore::Pct { depth: 4 }));
        assert_eq!(variables.tape.map(|tape| tape.to_string()).as_deref(), Some("3:1/2t"));
        assert_eq!((variables.shrink, variables.events), (Some(50), None));
        assert_eq!(read(&[("REDD_SEED", "5..9")]).expect("a range").seeds, Some(5..9));
    }

    #[test]
    fn a_tape_may_stand_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("tape");
        fs::write(&file, "3:1/2t\n10:2\n").expect("it can be written");
        let variables = read(&[("REDD_SEED", "1"), ("REDD_TAPE", &file.to_string_lossy())]).expect("a tape");
        assert_eq!(variables.tape.map(|tape| tape.len()), Some(2));
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_the_variable_and_what_it_may_be() {
        for (pairs, part) in [
            (&[("REDD_SEED", "x")][..], "`100..200`"),
            (&[("REDD_SEED", "9..5")], "`100..200`"),
            (&[("REDD_SEED", "18446744073709551615")], "`100..200`"),
            (&[("REDD_EXPLORE", "chaos")], "`delay:2`"),
            (&[("REDD_SHRINK", "all")], "such as 500"),
            (&[("REDD_SEED", "1"), ("REDD_TAPE", "no/such/file")], "nor the name of a file"),
            (&[("REDD_TAPE", "3:1")], "Set REDD_SEED"),
            (&[("REDD_SEED", "1..5"), ("REDD_TAPE", "3:1")], "Set REDD_SEED"),
        ] {
            let error = read(pairs).expect_err("it is wrong");
            assert!(error.contains(pairs.last().expect("one").0) && error.contains(part), "{error}");
        }
    }
}

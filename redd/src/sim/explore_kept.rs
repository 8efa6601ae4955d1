//! Seeds that are kept because a test has failed with them: `tests/seeds/<test>.txt` of the package.
//!
//! Called by `check`, and by `explore` for the strategy of a kept seed.

use std::cell::Cell;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::primitives::baton::Explore;

thread_local! {
    /// The kept seed that the calling thread runs.
    static RUNS: Cell<Option<Kept>> = const { Cell::new(None) };
}

/// A seed, and the strategy with which it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) seed: u64,
    pub(super) explore: Explore,
}

impl Kept {
    /// The strategy of worlds with this seed, if the calling thread runs it because it is kept.
    pub(super) fn explore_of(seed: u64) -> Option<Explore> {
        RUNS.get().filter(|kept| kept.seed == seed).map(|kept| kept.explore)
    }

    /// Sets the kept seed that the calling thread runs.
    pub(super) fn set_running(kept: Option<Self>) {
        RUNS.set(kept);
    }
}

/// The file with the kept seeds of a test. `package` is the folder of its package.
fn file(package: &Path, test: &str) -> PathBuf {
    package.join("tests/seeds").join(format!("{}.txt", test.replace("::", ".")))
}

/// The seeds that are kept for a test. `built_in` is the folder of its package when it was compiled; a checkout may have moved since.
///
/// # Panics
/// If the file cannot be read, or has a line that is no seed.
pub(super) fn kept_seeds(test: &str, built_in: Option<&str>) -> Vec<Kept> {
    let Some(package) = env::var("CARGO_MANIFEST_DIR").ok().or_else(|| built_in.map(str::to_owned)) else {
        return Vec::new();
    };
    let file = file(Path::new(&package), test);
    match fs::read_to_string(&file).map(|text| parse(&text)) {
        Ok(Ok(kept)) => kept,
        Ok(Err(line)) => panic!(
            "line {line} of {} is no seed. A line has a seed and a strategy, such as `37` or `37 pct:3`, and `#` begins a comment.",
            file.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => panic!("the kept seeds in {} cannot be read: {error}", file.display()),
    }
}

/// The error is the number of a line.
fn parse(text: &str) -> Result<Vec<Kept>, usize> {
    let mut kept = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(seed) = words.next() else { continue };
        let explore = words.next().map_or(Ok(Explore::Random), str::parse);
        match (seed.parse(), explore, words.next()) {
            (Ok(seed), Ok(explore), None) => kept.push(Kept { seed, explore }),
            _ => return Err(number),
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_seed_with_or_without_a_strategy() {
        let kept = parse("# why\n37\n\n  40 pct:3 # Host: lost\n41 delay:2\n").expect("all are seeds");
        let kept: Vec<_> = kept.into_iter().map(|kept| (kept.seed, kept.explore.to_string())).collect();
        assert_eq!(kept, [(37, "random".to_owned()), (40, "pct:3".to_owned()), (41, "delay:2".to_owned())]);
        for (text, line) in [("x", 1), ("1\n2 chaos", 2), ("1 plain 3", 1)] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
    }

    #[test]
    fn a_strategy_is_that_of_the_kept_seed_alone() {
        let explore = Explore::Delay { budget: 1 };
        Kept::set_running(Some(Kept { seed: 5, explore }));
        assert_eq!((Kept::explore_of(5), Kept::explore_of(6)), (Some(explore), None));
        Kept::set_running(None);
        assert_eq!(Kept::explore_of(5), None);
    }

    #[test]
    fn the_name_of_the_file_has_no_colons() {
        assert_eq!(file(Path::new("/shop"), "orders::are_kept"), Path::new("/shop/tests/seeds/orders.are_kept.txt"));
    }
}

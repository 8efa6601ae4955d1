//! Runs worlds twice and compares all their events.
//!
//! Called by the tests.

use redd::sim::{Report, seeds};

/// How many seeds a test runs, unless the environment variable `REDD_WORLDS` says otherwise.
const SEEDS: u64 = 10;

/// The seeds of a test: [`redd::sim::seeds`] of 10, or of as many as the environment variable `REDD_WORLDS` says.
///
/// # Panics
/// If one of the environment variables is not a number.
pub fn demo_seeds() -> impl Iterator<Item = u64> {
    let count = std::env::var("REDD_WORLDS").map_or(SEEDS, |text| {
        text.parse().unwrap_or_else(|_| panic!("the environment variable REDD_WORLDS is {text:?}, which is no number"))
    });
    seeds(count)
}

/// Calls `run` twice for each seed. Prints a hash of all hashes, which other builds of this source must print, too.
///
/// # Panics
/// If the runs of a seed differ. The message has the first event that does.
pub fn repeats(name: &str, run: impl Fn(u64) -> Report) {
    let mut all = 0_u64;
    for seed in demo_seeds() {
        let (first, second) = (run(seed), run(seed));
        assert_eq!(first.first_difference(&second), None, "seed {seed}");
        assert_eq!(first.event_hash(), second.event_hash(), "seed {seed}");
        all = all.rotate_left(5) ^ first.event_hash();
    }
    println!("hash of part {name}: {all:016x}");
}

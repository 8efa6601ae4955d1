//! What programs can name in the facade, next to what they can name in Tokio: recorded once from rustdoc's JSON of the
//! tracked version, as names and signatures without a word of documentation, and compared with the facade's.
//!
//! Called by the lane `api-diff`; `cargo xtask api-diff --record` documents the registry's Tokio and writes the record
//! anew.

mod inventory;
pub(crate) mod json;
mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::path::Path;

use inventory::{Inventory, Walk};

/// The record. The version is the one that the facade has.
pub(crate) const RECORD: &str = "xtask/api/tokio-1.54.1.txt";

/// Items under `tokio_unstable` have this mark in the record.
const UNSTABLE: &str = "unstable ";

/// Reads the JSON of crates, by name, and lists what can be named in `name`.
pub(crate) fn inventory(documents: &[(String, String)], name: &str) -> Result<Inventory, String> {
    let mut read = HashMap::new();
    for (name, text) in documents {
        let value = json::parse(text).ok_or_else(|| format!("what rustdoc wrote for `{name}` is no JSON"))?;
        read.insert(name.clone(), value);
    }
    Ok(Walk::inventory(&read, name))
}

/// The text of the record.
pub(crate) fn record(stable: &Inventory, unstable: &Inventory) -> String {
    let mut text = String::from(
        "# Names and signatures of the tracked Tokio, features `full` and `test-util`, Linux. Written by\n\
         # `cargo xtask api-diff --record` from rustdoc's JSON. Lines with `unstable` need `tokio_unstable` there.\n",
    );
    for (path, signature) in unstable {
        let mark = match stable.get(path) {
            Some(stable) if stable == signature => "",
            // Traits that an item has in both: what the stable one has counts.
            Some(stable) => {
                let _ = writeln!(text, "{path} = {stable}");
                continue;
            }
            None => UNSTABLE,
        };
        let _ = writeln!(text, "{mark}{path} = {signature}");
    }
    text
}

/// What the comparison found.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) lines: Vec<String>,
    pub(crate) present: usize,
    pub(crate) missing: usize,
    /// Present with another signature; a trait that is lacking, or one that Tokio is without.
    pub(crate) differing: usize,
    pub(crate) unstable_present: usize,
    pub(crate) unstable_missing: usize,
    /// Lacking, or an auto trait that Tokio withholds.
    pub(crate) lost_traits: usize,
    /// `UnwindSafe` and its like, where Tokio has none.
    pub(crate) wider_traits: usize,
}

/// Compares the facade with the record.
pub(crate) fn compare(record: &str, facade: &Inventory) -> Comparison {
    let mut found = Comparison::default();
    let mut wider: BTreeMap<String, usize> = BTreeMap::new();
    for line in record.lines().filter(|line| !line.starts_with('#')) {
        let (is_unstable, rest) = match line.strip_prefix(UNSTABLE) {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let Some((path, theirs)) = rest.split_once(" = ") else { continue };
        let ours = facade.get(path);
        if path.ends_with(": traits") || path.ends_with(": others") {
            if let Some(ours) = ours {
                compare_traits(path, theirs, ours, &mut found, &mut wider);
            }
            continue;
        }
        match ours {
            None if is_unstable => {
                found.unstable_missing += 1;
                found.lines.push(format!("missing, unstable: {path} = {theirs}"));
            }
            None => {
                found.missing += 1;
                found.lines.push(format!("MISSING: {path} = {theirs}"));
            }
            Some(ours) => {
                *if is_unstable { &mut found.unstable_present } else { &mut found.present } += 1;
                if !is_compatible(theirs, ours) {
                    found.differing += 1;
                    found.lines.push(format!("differs: {path}\n    tokio:  {theirs}\n    facade: {ours}"));
                }
            }
        }
    }
    for (name, count) in wider {
        found.lines.push(format!("wider: {count} types are {name}, and not in Tokio"));
    }
    found
}

/// Equal, or ours promises more: `const`.
fn is_compatible(theirs: &str, ours: &str) -> bool {
    // A re-export of another crate is only a name.
    theirs == ours || ours.strip_prefix("const ") == Some(theirs) || theirs == "re-export"
}

fn compare_traits(path: &str, theirs: &str, ours: &str, found: &mut Comparison, wider: &mut BTreeMap<String, usize>) {
    let list = |text: &str| text.split("; ").map(str::to_owned).collect::<BTreeSet<_>>();
    let (theirs, ours) = (list(theirs), list(ours));
    for lacking in theirs.difference(&ours) {
        // Not to have an auto trait is no promise that a program can use.
        if let Some(name) = lacking.strip_prefix('!') {
            if !ours.contains(name) {
                continue;
            }
            if name.ends_with("UnwindSafe") {
                *wider.entry(name.to_owned()).or_default() += 1;
                found.wider_traits += 1;
            } else {
                // What may move between threads or in memory is decided with care: as there, or argued.
                found.lost_traits += 1;
                found.lines.push(format!("DIFFERS: {path} has {name}"));
            }
        } else if !lacking.is_empty() {
            found.lost_traits += 1;
            found.lines.push(format!("LOST: {path} lacks {lacking}"));
        }
    }
}

/// The version in the name of the record.
pub(crate) fn tracked() -> &'static str {
    let name = RECORD.rsplit('-').next().unwrap_or(RECORD);
    name.strip_suffix(".txt").unwrap_or(name)
}

/// Where `cargo rustdoc` puts the JSON of a crate.
pub(crate) fn json_path(target: &Path, name: &str) -> std::path::PathBuf {
    target.join("doc").join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(lines: &[(&str, &str)]) -> Inventory {
        lines.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_lacking_or_withheld_is_found() {
        let stable = inventory(&[
            ("tokio::a", "fn()"),
            ("tokio::B", "struct"),
            ("tokio::B: traits", "!Send; !UnwindSafe; Debug; Sync"),
        ]);
        let mut unstable = stable.clone();
        unstable.insert("tokio::c".to_owned(), "fn() -> B".to_owned());
        let record = record(&stable, &unstable);

        let found = compare(&record, &unstable);
        assert_eq!((found.present, found.missing, found.differing, found.lost_traits), (2, 0, 0, 0));
        assert_eq!((found.unstable_present, found.unstable_missing, found.wider_traits), (1, 0, 0));

        let facade = inventory(&[
            ("tokio::a", "const fn()"),
            ("tokio::B", "enum"),
            ("tokio::B: traits", "Send; Sync; UnwindSafe"),
        ]);
        let found = compare(&record, &facade);
        assert_eq!((found.present, found.missing, found.differing), (2, 0, 1));
        // `Debug` is lacking, `Send` was withheld.
        assert_eq!((found.unstable_missing, found.lost_traits, found.wider_traits), (1, 2, 1));
        assert_eq!(compare(&record, &Inventory::new()).missing, 2);
    }
}

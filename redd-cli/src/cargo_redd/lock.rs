//! `Cargo.lock`: its packages, and what differs between two of them.
//!
//! Called by `switch`, `back`, `trial` and `doctor`.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{Document, Item, Value};

/// The registry that a patch of `crates-io` is for, as lock files name it.
pub(crate) const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A package of a lock file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// None for a package of the machine, at a path.
    pub(crate) source: Option<String>,
    /// Names, with the version where the lock file has several.
    pub(crate) dependencies: Vec<String>,
}

/// What a lock file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) packages: Vec<Locked>,
    /// Patches that fit nothing.
    pub(crate) unused: Vec<Locked>,
}

impl Lock {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|error| format!("Cargo.lock cannot be read: {error}"))?;
        let packages = |item: Option<&Item>| {
            let tables = item.and_then(Item::as_array_of_tables).into_iter().flatten();
            let text = |item: Option<&Item>| item.and_then(Item::as_str).map(str::to_owned);
            let package = |table: &toml_edit::Table| {
                let (name, version) = (text(table.get("name"))?, text(table.get("version"))?);
                let dependencies = table.get("dependencies").and_then(Item::as_array).into_iter().flatten();
                let dependencies = dependencies.filter_map(Value::as_str).map(str::to_owned).collect();
                Some(Locked { name, version, source: text(table.get("source")), dependencies })
            };
            tables.filter_map(package).collect::<Vec<_>>()
        };
        Ok(Self {
            packages: packages(document.get("package")),
            unused: packages(document.get("patch").and_then(|patch| patch.get("unused"))),
        })
    }

    /// Each Tokio of the major version that redd has the API of.
    pub(crate) fn tokios(&self) -> impl Iterator<Item = &Locked> {
        self.packages.iter().filter(|package| package.name == "tokio" && package.version.starts_with("1."))
    }

    /// The names of what this package needs on any platform.
    pub(crate) fn needed_by<'a>(&'a self, package: &'a Locked) -> BTreeSet<&'a str> {
        let (mut seen, mut next) = (BTreeSet::new(), vec![package]);
        while let Some(package) = next.pop() {
            for dependency in &package.dependencies {
                let mut words = dependency.split(' ');
                let (name, version) = (words.next().unwrap_or_default(), words.next());
                let is_it =
                    |other: &&Locked| other.name == name && version.is_none_or(|version| other.version == version);
                next.extend(self.packages.iter().filter(is_it).filter(|package| seen.insert(*package)));
            }
        }
        seen.into_iter().map(|package| package.name.as_str()).collect()
    }
}

/// One package that differs between two lock files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Added { name: String, version: String },
    Removed { name: String, version: String },
    Moved { name: String, from: String, to: String },
}

impl Change {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Added { name, .. } | Self::Removed { name, .. } | Self::Moved { name, .. } => name,
        }
    }
}

/// What has to be done with `before` to get `after`.
pub(crate) fn changes(before: &Lock, after: &Lock) -> Vec<Change> {
    let by_name = |lock: &Lock| {
        let mut names: BTreeMap<String, BTreeSet<(String, Option<String>)>> = BTreeMap::new();
        for package in &lock.packages {
            names.entry(package.name.clone()).or_default().insert((package.version.clone(), package.source.clone()));
        }
        names
    };
    let (mut before, mut after) = (by_name(before), by_name(after));
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let mut changes = Vec::new();
    for name in names {
        let (had, has) = (before.remove(&name).unwrap_or_default(), after.remove(&name).unwrap_or_default());
        let mut gone: Vec<&str> = had.difference(&has).map(|(version, _)| version.as_str()).collect();
        let mut new: Vec<&str> = has.difference(&had).map(|(version, _)| version.as_str()).collect();
        // Two versions that Cargo takes as replacements of each other are one package that has moved.
        while let Some((one, other)) = pair(&gone, &new) {
            let (from, to) = (gone.remove(one).to_owned(), new.remove(other).to_owned());
            changes.push(Change::Moved { name: name.clone(), from, to });
        }
        let owned = |version: &&str| (name.clone(), (*version).to_owned());
        changes.extend(gone.iter().map(owned).map(|(name, version)| Change::Removed { name, version }));
        changes.extend(new.iter().map(owned).map(|(name, version)| Change::Added { name, version }));
    }
    changes
}

/// The first pair of compatible versions, and else of any two if there is only one of each.
fn pair(gone: &[&str], new: &[&str]) -> Option<(usize, usize)> {
    let compatible = gone.iter().enumerate().find_map(|(one, from)| {
        let other = new.iter().position(|to| series(from) == series(to))?;
        Some((one, other))
    });
    compatible.or_else(|| (gone.len() == 1 && new.len() == 1).then_some((0, 0)))
}

/// The part of a version that compatible versions have in common.
pub(crate) fn series(version: &str) -> String {
    let numbers: Vec<&str> = version.split(['+', '-']).next().unwrap_or(version).split('.').collect();
    let first = numbers.iter().position(|number| *number != "0").unwrap_or(numbers.len() - 1);
    numbers[..=first].join(".")
}

/// `before`, with the packages that differ between `after` and `now`. Cargo completes what does not fit together.
pub(crate) fn merged(before: &str, after: &str, now: &str) -> String {
    let (head, kept) = blocks(before);
    let (after, now) = (blocks(after).1, blocks(now).1);
    let mut packages: BTreeMap<Key, &str> = kept;
    for (package, block) in &now {
        if after.get(package) != Some(block) {
            packages.insert(package.clone(), block);
        }
    }
    for package in after.keys().filter(|package| !now.contains_key(package)) {
        packages.remove(package);
    }
    let mut text = head.to_owned();
    packages.values().for_each(|block| text += block);
    text
}

/// The lock file without this package. Cargo chooses a version again.
pub(crate) fn without(text: &str, name: &str) -> String {
    let (head, packages) = blocks(text);
    let others = packages.into_iter().filter(|(package, _)| package.0 != name);
    others.fold(head.to_owned(), |text, (_, block)| text + block)
}

/// Name, version and source.
type Key = (String, String, Option<String>);

/// What is before the packages, and the text of each package.
fn blocks(text: &str) -> (&str, BTreeMap<Key, &str>) {
    const START: &str = "[[package]]";
    // Without the patches that fit nothing, behind the packages.
    let text = text.split("[[patch.unused]]").next().unwrap_or(text);
    // The ends of lines are CRLF in a file that Git has checked out so.
    let is_line = |at: &usize| *at == 0 || text[..*at].ends_with('\n');
    let starts: Vec<usize> = text.match_indices(START).map(|(at, _)| at).filter(is_line).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let blocks = starts.iter().zip(ends).filter_map(|(start, end)| {
        let block = &text[*start..end];
        let package = Lock::parse(block).ok()?.packages.pop()?;
        Some(((package.name, package.version, package.source), block))
    });
    (&text[..starts.first().copied().unwrap_or(text.len())], blocks.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, dependencies: &str) -> String {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{CRATES_IO}\"\ndependencies = [{dependencies}]\n\n"
        )
    }

    #[test]
    fn packages_that_moved_came_and_went_are_told_apart() {
        let lock = |packages: &[(&str, &str)]| {
            let text: String = packages.iter().map(|(name, version)| package(name, version, "")).collect();
            Lock::parse(&text).expect("it is a lock file")
        };
        let before = lock(&[("a", "1.0.0"), ("b", "0.3.1"), ("b", "1.0.0"), ("c", "0.1.0"), ("d", "0.0.3")]);
        let after = lock(&[("a", "1.2.0"), ("b", "0.4.0"), ("b", "1.0.1"), ("e", "2.0.0"), ("d", "0.1.0")]);
        let moved =
            |name: &str, from: &str, to: &str| Change::Moved { name: name.into(), from: from.into(), to: to.into() };
        assert_eq!(
            changes(&before, &after),
            [
                moved("a", "1.0.0", "1.2.0"),
                moved("b", "1.0.0", "1.0.1"),
                moved("b", "0.3.1", "0.4.0"),
                Change::Removed { name: "c".into(), version: "0.1.0".into() },
                moved("d", "0.0.3", "0.1.0"),
                Change::Added { name: "e".into(), version: "2.0.0".into() },
            ]
        );
        assert!(changes(&before, &before).is_empty());
    }

    #[test]
    fn what_a_package_needs_is_found_through_versions_and_circles() {
        let text = package("tokio", "1.0.0", "\"a\", \"b 2.0.0\"")
            + &package("a", "1.0.0", "\"tokio\"")
            + &package("b", "1.0.0", "\"x\"")
            + &package("b", "2.0.0", "")
            + &package("x", "1.0.0", "");
        let lock = Lock::parse(&text).expect("it is a lock file");
        let tokio = lock.tokios().next().expect("it has one");
        assert_eq!(lock.needed_by(tokio).into_iter().collect::<Vec<_>>(), ["a", "b", "tokio"]);
    }

    #[test]
    fn edits_since_the_switch_are_put_into_the_lock_file_from_before() {
        let head = "version = 4\n\n";
        let lock = |packages: &[(&str, &str)]| {
            head.to_owned() + &packages.iter().map(|(name, version)| package(name, version, "")).collect::<String>()
        };
        let before = lock(&[("a", "1.0.0"), ("bytes", "1.4.0"), ("mio", "0.8.0"), ("web", "1.0.0")]);
        let after = lock(&[("a", "1.0.0"), ("bytes", "1.12.0"), ("redd", "0.1.0"), ("web", "1.0.0")]);
        assert_eq!(merged(&before, &after, &after), before);
        // `cargo update -p web`, `cargo add new`, and `a` is removed.
        let now = lock(&[("bytes", "1.12.0"), ("new", "1.0.0"), ("redd", "0.1.0"), ("web", "1.1.0")]);
        let expected = lock(&[("bytes", "1.4.0"), ("mio", "0.8.0"), ("new", "1.0.0"), ("web", "1.1.0")]);
        assert_eq!(merged(&before, &after, &now), expected);
    }
}

//! Features, dependencies and the oldest Rust of a package, as `cargo metadata` describes them.
//!
//! Called by `track`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::lanes::names;

/// What a manifest promises.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) version: String,
    rust_version: String,
    /// What each feature enables.
    features: BTreeMap<String, BTreeSet<String>>,
    /// Of programs, not of tests: name and platform, and the requirement.
    dependencies: BTreeMap<String, String>,
}

impl Manifest {
    pub(super) fn read(package: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let features = names(&package["features"]).into_iter().map(|name| {
            let enabled = package["features"][name].as_array().into_iter().flatten().map(text).collect();
            (name.to_owned(), enabled)
        });
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let dependencies = dependencies.filter(|dependency| dependency["kind"] != "dev").map(|dependency| {
            let platform = match dependency["target"].as_str() {
                Some(target) => format!(" for {target}"),
                None => String::new(),
            };
            let optional = if dependency["optional"] == true { ", optional" } else { "" };
            (format!("{}{platform}", text(&dependency["name"])), format!("{}{optional}", text(&dependency["req"])))
        });
        Self {
            version: text(&package["version"]),
            rust_version: text(&package["rust_version"]),
            features: features.collect(),
            dependencies: dependencies.collect(),
        }
    }

    /// One line for each difference.
    pub(super) fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rust_version != old.rust_version {
            lines.push(format!("oldest Rust: {}, was {}", self.rust_version, old.rust_version));
        }
        let show = |enabled: &BTreeSet<String>| format!("{enabled:?}");
        let of = |features: &BTreeMap<String, BTreeSet<String>>| {
            features.iter().map(|(name, enabled)| (name.clone(), show(enabled))).collect()
        };
        lines.extend(differences("feature", &of(&old.features), &of(&self.features)));
        lines.extend(differences("dependency", &old.dependencies, &self.dependencies));
        lines
    }

    /// The features of `theirs` that are missing here, or that enable less.
    pub(super) fn lacks_of(&self, theirs: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for name in theirs.features.keys() {
            if !self.features.contains_key(name) {
                lines.push(format!("feature {name}"));
                continue;
            }
            let (ours, all) = (self.enabled_by(name), theirs.enabled_by(name));
            // What is missing has its own line.
            let less = all.difference(&ours).filter(|enabled| self.features.contains_key(*enabled));
            lines.extend(less.map(|enabled| format!("feature {name} has to enable {enabled}")));
        }
        lines
    }

    /// The features that `name` enables, directly or not.
    fn enabled_by(&self, name: &str) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut left = vec![name.to_owned()];
        while let Some(next) = left.pop() {
            for enabled in self.features.get(&next).into_iter().flatten() {
                // `crate/feature` enables the dependency's own feature, too.
                let enabled = enabled.split(['/', '?']).next().unwrap_or(enabled);
                if self.features.contains_key(enabled) && all.insert(enabled.to_owned()) {
                    left.push(enabled.to_owned());
                }
            }
        }
        all
    }
}

fn differences(what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let all: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let lines = all.into_iter().filter_map(|name| match (old.get(name), new.get(name)) {
        (None, Some(is)) => Some(format!("added: {what} {name} = {is}")),
        (Some(was), None) => Some(format!("removed: {what} {name} = {was}")),
        (Some(was), Some(is)) if was != is => Some(format!("changed: {what} {name} = {is}, was {was}")),
        _ => None,
    });
    lines.collect()
}

/// Whether version `one` is newer than `other`. Both are three numbers.
pub(super) fn is_newer(one: &str, other: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().unwrap_or(0)).collect::<Vec<_>>();
    numbers(one) > numbers(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn old() -> Manifest {
        Manifest::read(&json!({
            "version": "1.9.0", "rust_version": "1.70",
            "features": {"default": [], "net": ["libc", "mio/net"], "libc": ["dep:libc"], "mio": ["dep:mio"]},
            "dependencies": [
                {"name": "mio", "req": "^1.0", "kind": null, "target": null, "optional": true},
                {"name": "loom", "req": "^0.7", "kind": "dev", "target": null, "optional": false},
            ],
        }))
    }

    fn new() -> Manifest {
        Manifest::read(&json!({
            "version": "1.10.0", "rust_version": "1.71",
            "features": {
                "default": [], "net": ["libc", "mio/net", "time"], "libc": ["dep:libc"], "mio": ["dep:mio"], "time": [],
                "ring": ["net"]
            },
            "dependencies": [
                {"name": "mio", "req": "^1.1", "kind": null, "target": null, "optional": true},
                {"name": "slab", "req": "^0.4", "kind": null, "target": "cfg(unix)", "optional": false},
            ],
        }))
    }

    #[test]
    fn differences_are_named() {
        assert_eq!(
            new().changes_since(&old()),
            [
                "oldest Rust: 1.71, was 1.70",
                "changed: feature net = {\"libc\", \"mio/net\", \"time\"}, was {\"libc\", \"mio/net\"}",
                "added: feature ring = {\"net\"}",
                "added: feature time = {}",
                "changed: dependency mio = ^1.1, optional, was ^1.0, optional",
                "added: dependency slab for cfg(unix) = ^0.4",
            ]
        );
        assert_eq!(old().changes_since(&old()), [""; 0]);
    }

    #[test]
    fn a_feature_that_is_missing_or_enables_less_is_named() {
        assert_eq!(old().lacks_of(&new()), ["feature ring", "feature time"]);
        let facade = Manifest::read(&json!({
            "version": "1.9.0", "rust_version": "1.85", "dependencies": [],
            "features": {"default": [], "net": ["libc"], "libc": [], "mio": [], "time": [], "ring": ["net", "time"]},
        }));
        assert_eq!(
            facade.lacks_of(&new()),
            ["feature net has to enable mio", "feature net has to enable time", "feature ring has to enable mio"]
        );
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_newer("1.10.0", "1.9.9"));
        assert!(is_newer("2.0.0", "1.99.99"));
        assert!(!is_newer("1.9.0", "1.9.0"));
        assert!(!is_newer("1.8.5", "1.9.0"));
    }
}

//! The dependencies that a user of redd gets, both in the build and in the lock file.
//!
//! Called by the lane `dependencies`. Licences, sources and bans of all dependencies are the lane `deny`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::compat;
use crate::plural::count;
use crate::tidy::{Finding, read_list};

/// The crates that come with redd, as a committed list.
const LIST: &str = "xtask/dependencies.txt";

/// The packages in the lock file of a program that asks for `tokio` and gets the facade, as a committed list.
const USER_LIST: &str = "xtask/user-lock.txt";

/// Where users read [`USER_LIST`], and the command that writes it there.
const DOCUMENT: &str = "docs/compatibility.md";
const WRITER: &str = "dependencies --write";

/// The name of that program.
pub(crate) const USER: &str = "user";

/// So many packages may be on [`USER_LIST`] that the registry's Tokio does not bring.
const MAX_NEW: usize = 12;

/// Behind such a package on [`USER_LIST`].
const NEW: &str = " new";

/// Checks the lock file, the trees that `cargo tree` prints for the given arguments, and the lock file of a new user.
pub(crate) fn check(
    root: &Path,
    tree: impl Fn(&[&str]) -> Option<String>,
    user_lock: Result<String, String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match std::fs::read_to_string(root.join("Cargo.lock")) {
        Ok(lock) => findings.extend(check_lock("Cargo.lock", &lock)),
        Err(error) => findings.push(Finding::new("Cargo.lock", 0, format!("cannot be read: {error}"), "commit it")),
    }
    match user_lock {
        Ok(lock) => findings.extend(check_user_lock(&lock, &read_list(root, USER_LIST))),
        Err(why) => findings.push(Finding::new(
            USER_LIST,
            0,
            why,
            "fix the manifests; if the registry's index is what is missing, run `cargo fetch`",
        )),
    }
    let document = std::fs::read_to_string(root.join(DOCUMENT)).unwrap_or_default();
    findings.extend(check_text(&document, &read_list(root, USER_LIST)));
    // For the machine at hand: what a user of redd builds.
    let of_redd = tree(&[
        "tree",
        "--locked",
        "-p",
        "redd",
        "--all-features",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let Some(of_redd) = of_redd else {
        findings.push(Finding::new(
            "Cargo.lock",
            0,
            "`cargo tree --locked` failed (its message is above)",
            "if the lock file is stale, run `cargo check` and commit it",
        ));
        return findings;
    };
    findings.extend(check_redd(&of_redd, &read_list(root, LIST)));
    findings
}

/// Sources: only the crate registry and this repository; and no `tokio` but the facade.
pub(crate) fn check_lock(path: &str, lock: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut name = "";
    for (index, line) in lock.lines().enumerate() {
        let value = |key: &str| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"');
        if let Some(value) = value("name") {
            name = value;
        }
        let Some(source) = value("source") else {
            continue;
        };
        if !source.starts_with("registry+https://github.com/rust-lang/crates.io-index") {
            findings.push(Finding::new(
                path,
                index + 1,
                format!("`{name}` comes from `{source}`"),
                "use a release from the crate registry",
            ));
        }
        if name == "tokio" {
            findings.push(Finding::new(
                path,
                index + 1,
                "the real `tokio` is in the graph, so a part of it does not run on redd",
                "`[patch.crates-io]` did not apply: does the facade's version satisfy everyone? `cargo tree -i tokio`",
            ));
        }
    }
    findings
}

/// `name` and `version` of each line of `cargo tree`.
fn packages(tree: &str) -> impl Iterator<Item = (&str, &str)> {
    tree.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let version = words.next()?.trim_start_matches('v');
        Some((name, version))
    })
}

/// What comes with redd: exactly the committed list, and nothing twice.
fn check_redd(tree: &str, list: &[String]) -> Vec<Finding> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, version) in packages(tree) {
        versions.entry(name).or_default().insert(version);
    }
    let mut findings = Vec::new();
    for (name, versions) in &versions {
        if versions.len() > 1 {
            findings.push(Finding::new(
                "Cargo.lock",
                0,
                format!("redd's dependencies hold `{name}` in {} versions: {versions:?}", versions.len()),
                "update the one that lags behind: `cargo tree -p redd -d`",
            ));
        }
        if !list.iter().any(|listed| listed == name) {
            findings.push(Finding::new(
                LIST,
                0,
                format!("`{name}` comes with redd but is not on the list"),
                "a new dependency needs a decision note; then add it to the list",
            ));
        }
    }
    for (index, listed) in list.iter().enumerate() {
        if !versions.contains_key(listed.as_str()) {
            findings.push(Finding::new(
                LIST,
                index + 1,
                format!("`{listed}` is on the list but does not come with redd"),
                "remove it from the list",
            ));
        }
    }
    findings
}

/// The manifest of a program that asks for all of Tokio, with a checkout of redd inside of its own workspace.
pub(crate) fn user_manifest() -> String {
    format!(
        "[package]\nname = \"{USER}\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         tokio = {{ version = \"1\", features = [\"full\"] }}\n\n\
         [patch.crates-io]\ntokio = {{ path = \"redd/tokio\" }}\n"
    )
}

/// Cargo resolves for every target and does not look at `cfg`, so a lock file holds more than a build. It holds exactly
/// the committed list, and few packages that the registry's Tokio does not bring.
fn check_user_lock(lock: &str, list: &[String]) -> Vec<Finding> {
    const LOCK: &str = "a new user's Cargo.lock";
    let mut findings = check_lock(LOCK, lock);
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let locked: BTreeSet<&str> = names.filter(|name| ![USER, "tokio"].contains(name)).collect();
    let listed: BTreeSet<&str> = list.iter().map(|line| line.trim_end_matches(NEW)).collect();
    if !lock.contains("name = \"tokio\"") {
        findings.push(Finding::new(LOCK, 0, "`tokio` is not in it", "fix `user_manifest` in xtask"));
    }
    for name in locked.difference(&listed) {
        findings.push(Finding::new(
            USER_LIST,
            0,
            format!("`{name}` is in {LOCK} but is not on the list"),
            "a dependency of tests is a dev-dependency; any other needs a decision note, then add it to the list",
        ));
    }
    for name in listed.difference(&locked) {
        findings.push(Finding::new(
            USER_LIST,
            0,
            format!("`{name}` is on the list but not in {LOCK}"),
            "remove it from the list",
        ));
    }
    let new = list.iter().filter(|line| line.ends_with(NEW)).count();
    if new > MAX_NEW {
        findings.push(Finding::new(
            USER_LIST,
            0,
            format!("a user of Tokio gets {}, and may get at most {MAX_NEW}", count(new, "new package")),
            "do without some of them",
        ));
    }
    findings
}

/// What users read about the list.
fn user_text(list: &[String]) -> String {
    let (new, old): (Vec<_>, Vec<_>) = list.iter().partition(|line| line.ends_with(NEW));
    let names = |lines: &[&String]| -> String {
        let names = lines.iter().map(|line| format!("`{}`", line.trim_end_matches(NEW)));
        names.collect::<Vec<_>>().join(", ")
    };
    format!(
        "{} packages beside the program itself and the facade `tokio`:\n\n\
         - {} that the registry's Tokio brings, too: {}\n\
         - {} that it does not bring: {}\n",
        list.len(),
        old.len(),
        names(&old),
        new.len(),
        names(&new)
    )
}

fn check_text(document: &str, list: &[String]) -> Option<Finding> {
    let what = match compat::written_text(document, WRITER) {
        Some(text) if text == user_text(list) => return None,
        Some(_) => format!("its list of packages is not that of {USER_LIST}"),
        None => format!("it has no place for the list of packages in {USER_LIST}"),
    };
    Some(Finding::new(DOCUMENT, 0, what, format!("run `cargo xtask {WRITER}`")))
}

/// `cargo xtask dependencies --write`: puts the list and its length into the document.
pub(crate) fn write_text(root: &Path) -> bool {
    let path = root.join(DOCUMENT);
    let written = std::fs::read_to_string(&path).map_err(|error| error.to_string()).and_then(|document| {
        let text = user_text(&read_list(root, USER_LIST));
        let document = compat::replace_text(&document, WRITER, &text).ok_or("it has no place for the list")?;
        std::fs::write(&path, document).map_err(|error| error.to_string())
    });
    written.inspect_err(|why| eprintln!("{DOCUMENT}: {why}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_lock_file_holds_the_list_and_little_that_is_new() {
        let lock_of = |names: &[&str]| -> String {
            names.iter().map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n\n")).collect()
        };
        let texts = |lock: &str, list: &[&str]| -> Vec<String> {
            let list: Vec<String> = list.iter().map(|line| (*line).to_owned()).collect();
            check_user_lock(lock, &list).iter().map(ToString::to_string).collect()
        };
        let lock = lock_of(&["bytes", "redd", "tokio", "user"]);
        assert_eq!(texts(&lock, &["bytes", "redd new"]), Vec::<String>::new());

        let found = texts(&lock_of(&["bytes", "loom", "redd", "tokio", "user"]), &["bytes", "gone", "redd new"]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("`loom` is in a new user's Cargo.lock but is not on the list"), "{found:?}");
        assert!(found[1].contains("`gone` is on the list"), "{found:?}");

        let found = texts(&lock_of(&["bytes", "user"]), &["bytes"]);
        assert!(found.len() == 1 && found[0].contains("`tokio` is not in it"), "{found:?}");

        let registry = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        let found = texts(&format!("[[package]]\nname = \"tokio\"\n{registry}"), &[]);
        assert!(found.len() == 1 && found[0].contains("real `tokio`"), "{found:?}");

        let names: Vec<String> = (0..=MAX_NEW).map(|number| format!("a{number:02}")).collect();
        let marked: Vec<String> = names.iter().map(|name| format!("{name} new")).collect();
        let of = |texts: &[String]| -> Vec<String> { texts.iter().take(MAX_NEW).cloned().collect() };
        let all = |names: &[String]| lock_of(&names.iter().map(String::as_str).chain(["tokio"]).collect::<Vec<_>>());
        assert_eq!(check_user_lock(&all(&of(&names)), &of(&marked)), Vec::new());
        let found = check_user_lock(&all(&names), &marked);
        assert!(found.len() == 1 && found[0].to_string().contains("13 packages are new"), "{found:?}");
    }

    #[test]
    fn users_read_the_list_and_its_length() {
        let list = ["bytes", "libc", "redd new"].map(str::to_owned);
        let text = user_text(&list);
        assert_eq!(
            text,
            "3 packages beside the program itself and the facade `tokio`:\n\n\
             - 2 that the registry's Tokio brings, too: `bytes`, `libc`\n- 1 that it does not bring: `redd`\n"
        );
        let document = compat::replace_text(
            "before\n<!-- written by `cargo xtask dependencies --write` -->\n<!-- up to here -->\nafter\n",
            WRITER,
            &text,
        )
        .expect("the place is there");
        assert_eq!(check_text(&document, &list), None);
        let found = check_text(&document, &list[..2]).map(|finding| finding.to_string()).unwrap_or_default();
        assert!(found.contains("is not that of") && found.contains("cargo xtask dependencies --write"), "{found}");
        assert!(check_text("no place", &list).is_some());
    }

    #[test]
    fn foreign_sources_and_a_second_tokio_are_found() {
        let registry = "registry+https://github.com/rust-lang/crates.io-index";
        let lock = format!(
            "[[package]]\nname = \"tokio\"\nversion = \"1.54.1\"\n\n[[package]]\nname = \"a\"\nsource = \"{registry}\"\n"
        );
        assert!(check_lock("Cargo.lock", &lock).is_empty());
        let lock = format!("{lock}[[package]]\nname = \"tokio\"\nsource = \"{registry}\"\n");
        assert!(check_lock("Cargo.lock", &lock)[0].to_string().contains("real `tokio`"));
        let lock = "[[package]]\nname = \"b\"\nsource = \"git+https://example.org/b\"\n";
        assert!(check_lock("Cargo.lock", lock)[0].to_string().contains("comes from `git+"));
    }

    #[test]
    fn the_list_and_the_tree_have_to_agree() {
        let tree = "redd v0.1.0 (path)\nbytes v1.2.0\nlibc v0.2.1 (*)\n\nlibc v0.3.0\n";
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let findings = check_redd(tree, &list(&["redd", "bytes", "gone"]));
        let text: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 3, "{text:?}");
        assert!(text[0].contains("`libc` in 2 versions"));
        assert!(text[1].contains("`libc` comes with redd but is not on the list"));
        assert!(text[2].contains("`gone` is on the list"));
    }
}

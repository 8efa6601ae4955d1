//! The public items of the facade, compared with those of Tokio. Tokio's are recorded once from rustdoc's JSON of the
//! tracked version, as names and signatures without documentation.
//!
//! Called by `main`, for the lanes `api-diff` and `own-api`, their `--record`, and `cargo xtask track`.

mod changes;
mod conditions;
mod inventory;
mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

pub(crate) use changes::changes;
use conditions::{conditions, demands_more};
pub(crate) use inventory::Inventory;
use inventory::Walk;
use rustdoc_types::{Crate, FORMAT_VERSION};
use serde_json::Value;

/// Items under `tokio_unstable` have this mark in the record.
const UNSTABLE: &str = "unstable ";

/// Why there is no inventory.
#[derive(Debug)]
pub(crate) enum Unread {
    /// rustdoc writes another format of its JSON than this program reads.
    Format(String),
    Other(String),
}

/// Reads the JSON of crates, by name, and lists what can be named in `name`.
pub(crate) fn inventory(documents: &[(String, String)], name: &str) -> Result<Inventory, Unread> {
    let mut read = HashMap::new();
    for (name, text) in documents {
        let not_read = |error| Unread::Other(format!("cannot read what rustdoc wrote for `{name}`: {error}"));
        // The format's number first: a document of another format is also a document that lacks fields.
        let value: Value = serde_json::from_str(text).map_err(not_read)?;
        let format = value.get("format_version").and_then(Value::as_u64);
        if format != Some(u64::from(FORMAT_VERSION)) {
            let format = format.map_or_else(|| "no format number".to_owned(), |format| format!("format {format}"));
            return Err(Unread::Format(format!(
                "rustdoc's JSON of `{name}` has {format}, and `xtask-deep` reads format {FORMAT_VERSION}: change the \
                 version of `rustdoc-types` in xtask-deep/Cargo.toml"
            )));
        }
        let document: Crate = serde_json::from_value(value).map_err(not_read)?;
        read.insert(name.clone(), document);
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
        if path.starts_with("impl ") {
            match ours {
                Some(ours) if demands_more(theirs, ours).is_none() => {}
                _ if is_unstable => {
                    found.unstable_missing += 1;
                    found.lines.push(format!("missing, unstable: {path}"));
                }
                None => {
                    found.lost_traits += 1;
                    found.lines.push(format!("LOST: {path}"));
                }
                Some(ours) => {
                    found.lost_traits += 1;
                    found.lines.push(format!("NARROWER: {path}\n    tokio:  {theirs}\n    facade: {ours}"));
                }
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
        let (head, _) = conditions(lacking);
        if let Some(same) = ours.iter().find(|each| conditions(each).0 == head) {
            if let Some(more) = demands_more(lacking, same) {
                found.lost_traits += 1;
                found.lines.push(format!("NARROWER: {path}: {head} needs {more}"));
            } else if ["Send", "Sync"].contains(&head) {
                found.lost_traits += 1;
                found.lines.push(format!("DIFFERS: {path} has {same}, Tokio {lacking}"));
            }
            continue;
        }
        // Not to have an auto trait is no promise that a program can use.
        if let Some(name) = lacking.strip_prefix('!') {
            if !ours.iter().any(|each| conditions(each).0 == name) {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_format_is_told_apart_from_a_broken_document() {
        let of = |text: &str| super::inventory(&[("c".to_owned(), text.to_owned())], "c");
        let other = json!({"format_version": FORMAT_VERSION + 1}).to_string();
        assert!(matches!(of(&other), Err(Unread::Format(why)) if why.contains("xtask-deep/Cargo.toml")));
        let broken = json!({"format_version": FORMAT_VERSION, "root": 0}).to_string();
        assert!(matches!(of(&broken), Err(Unread::Other(why)) if why.contains("`c`")));
        assert!(matches!(of("{"), Err(Unread::Other(_))));
    }

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

    #[test]
    fn implementations_for_types_of_other_crates_are_listed() {
        // `mod a { pub struct B; }`, and implementations of `From` and of a trait without a path, for types of std.
        let item = |id: u32, name: &str, visibility: &str, inner: Value| {
            json!({
                "id": id, "crate_id": 0, "name": name, "span": null, "visibility": visibility, "docs": null,
                "links": {}, "attrs": [], "deprecation": null, "inner": inner
            })
        };
        let generics = || json!({"params": [], "where_predicates": []});
        let module = |items: &[u32]| json!({"module": {"is_crate": false, "items": items, "is_stripped": false}});
        let unit = || json!({"struct": {"kind": "unit", "generics": generics(), "impls": []}});
        let path = |path: &str, id: u32, args: Value| json!({"path": path, "id": id, "args": args});
        let resolved = |name: &str, id: u32| json!({"resolved_path": path(name, id, Value::Null)});
        let implementation = |id: u32, argument: u32, target: Value| {
            let arguments = json!({
                "angle_bracketed": {"args": [{"type": resolved("B", argument)}], "constraints": []}
            });
            let of = json!({
                "is_unsafe": false, "generics": generics(), "provided_trait_methods": [],
                "trait": path("From", 10, arguments), "for": target, "items": [], "is_negative": false,
                "is_synthetic": false, "blanket_impl": null
            });
            item(id, "", "default", json!({"impl": of}))
        };
        let reference = json!({"borrowed_ref": {"lifetime": null, "is_mutable": false, "type": resolved("B", 2)}});
        let summary = |path: &[&str], kind: &str| json!({"crate_id": 1, "path": path, "kind": kind});
        let document = json!({
            "root": 0, "crate_version": null, "includes_private": true, "external_crates": {},
            "target": {"triple": "", "target_features": []}, "format_version": FORMAT_VERSION,
            "index": {
                "0": item(0, "c", "public", module(&[1])),
                "1": item(1, "a", "public", module(&[2, 3])),
                "2": item(2, "B", "public", unit()),
                "3": item(3, "Hidden", "default", unit()),
                "5": implementation(5, 2, resolved("Error", 11)),
                // Of no use to programs: they cannot name `Hidden`.
                "6": implementation(6, 3, resolved("Error", 11)),
                // Stand at the type, also behind a reference.
                "7": implementation(7, 2, resolved("B", 2)),
                "8": implementation(8, 2, reference),
            },
            "paths": {
                "10": summary(&["core", "convert", "From"], "trait"),
                "11": summary(&["std", "io", "error", "Error"], "struct"),
            }
        });
        let text = document.to_string();
        let found = super::inventory(&[("c".to_owned(), text)], "c").expect("it is a document");
        let listed: Vec<_> = found.iter().filter(|(path, _)| path.starts_with("impl ")).collect();
        assert_eq!(
            listed,
            [(&"impl core::convert::From<c::a::B> for std::io::error::Error".to_owned(), &"impl".to_owned())]
        );
    }

    #[test]
    fn an_implementation_that_is_lacking_or_demands_more_is_found() {
        let theirs = inventory(&[
            ("impl From<a::B> for std::C", "impl"),
            ("impl From<a::D<#0>> for std::C", "impl where #0: ?Sized + Debug"),
            ("tokio::B: traits", "!Sync; Clone where #0: Clone; Debug; Send where #0: Send"),
            ("tokio::E: others", "for &mut #0 where #0: ?Sized + E"),
        ]);
        let record = record(&theirs, &theirs);
        let same = compare(&record, &theirs);
        assert_eq!((same.lost_traits, same.lines.len()), (0, 0));

        let wider = inventory(&[
            ("impl From<a::B> for std::C", "impl"),
            ("impl From<a::D<#0>> for std::C", "impl where #0: ?Sized"),
            ("tokio::B: traits", "Clone; Debug; Send where #0: Send"),
            ("tokio::E: others", "for &mut #0 where #0: ?Sized"),
        ]);
        assert_eq!(compare(&record, &wider).lines, Vec::<String>::new());

        let narrower = inventory(&[
            ("impl From<a::D<#0>> for std::C", "impl where #0: Debug"),
            ("tokio::B: traits", "Clone where #0: Clone; Debug where #0: Debug + Copy; Send; Sync where #0: Sync"),
            ("tokio::E: others", "for &mut #0 where #0: E + Unpin"),
        ]);
        let found = compare(&record, &narrower);
        assert_eq!(
            found.lines,
            [
                "LOST: impl From<a::B> for std::C",
                "NARROWER: impl From<a::D<#0>> for std::C\n    tokio:  impl where #0: ?Sized + Debug\n    \
                 facade: impl where #0: Debug",
                "DIFFERS: tokio::B: traits has Sync",
                "NARROWER: tokio::B: traits: Debug needs #0: Copy, #0: Debug",
                "DIFFERS: tokio::B: traits has Send, Tokio Send where #0: Send",
                "NARROWER: tokio::E: others: for &mut #0 needs #0: Unpin, #0: Sized",
            ]
        );
        assert_eq!(found.lost_traits, 6);
    }
}

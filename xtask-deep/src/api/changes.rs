//! What changed between two records, and whether a program for the old one still compiles.
//!
//! Called by `main`: for two versions of Tokio, and for redd since its record was written.
//!
//! # Invariants
//! - `strict`: a change that is not known to be compatible is breaking.

use std::collections::{BTreeMap, BTreeSet};

use super::UNSTABLE;
use super::conditions::{conditions, demands_more};
use super::inventory::{ALL_FIELDS_PUBLIC, NON_EXHAUSTIVE};

/// What changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) lines: Vec<String>,
    pub(crate) breaking: usize,
    pub(crate) compatible: usize,
    /// Of items that are not stable in both records.
    pub(crate) unstable: usize,
}

/// A line of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry<'a> {
    is_unstable: bool,
    text: &'a str,
}

type Record<'a> = BTreeMap<&'a str, Entry<'a>>;

/// Compares two records.
pub(crate) fn changes(old: &str, new: &str) -> Changes {
    let mut found = Changes::default();
    let new = read(new);
    let renamed = with_new_names(old, &new, &mut found);
    let old = read(&renamed);
    for path in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(path), new.get(path)) {
            (Some(was), None) => found.removed(path, *was, &new),
            (None, Some(is)) => found.added(path, *is, &old),
            (Some(was), Some(is)) if was != is => found.changed(path, *was, *is),
            _ => {}
        }
    }
    found
}

/// The old record with the names of today. A type whose old name is an alias of the new one is the same type.
fn with_new_names(old: &str, new: &Record<'_>, found: &mut Changes) -> String {
    let mut renamed = old.to_owned();
    let was = read(old);
    for (path, is) in new {
        let Some(alias) = is.text.strip_prefix("alias of ") else { continue };
        let (Some((module, before)), Some(now)) = (path.rsplit_once("::"), alias.split('<').next()) else { continue };
        let is_type = |entry: &Entry<'_>| ["struct", "enum", "union"].iter().any(|kind| entry.text.starts_with(kind));
        if was.get(path).is_some_and(is_type) && new.get(format!("{module}::{now}").as_str()).is_some_and(is_type) {
            renamed = replace_word(&renamed, before, now);
            // The old name stays, as what it is now.
            renamed.push_str(&format!("{path} = {}\n", is.text));
            found.compatible(format!("renamed: {path} is an alias of {now}"));
        }
    }
    renamed
}

fn replace_word(text: &str, word: &str, with: &str) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        replaced.push_str(before);
        let is_whole = !replaced.ends_with(is_part) && !after.starts_with(is_part);
        replaced.push_str(if is_whole { with } else { word });
        rest = after;
    }
    replaced + rest
}

fn read(record: &str) -> Record<'_> {
    let lines = record.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (is_unstable, rest) = match line.strip_prefix(UNSTABLE) {
                Some(rest) => (true, rest),
                None => (false, line),
            };
            let (path, text) = rest.split_once(" = ")?;
            Some((path, Entry { is_unstable, text }))
        })
        .collect()
}

/// A list of traits belongs to an item; the item's own line says whether that one is new.
fn item_of(path: &str) -> Option<&str> {
    path.strip_suffix(": traits").or_else(|| path.strip_suffix(": others"))
}

impl Changes {
    fn removed(&mut self, path: &str, was: Entry<'_>, new: &Record<'_>) {
        if item_of(path).is_some_and(|item| !new.contains_key(item)) {
            return;
        }
        match item_of(path) {
            // The item is there without any trait.
            Some(_) => self.traits(path, was, Entry { text: "", ..was }),
            None if was.is_unstable => self.unstable(format!("removed, unstable: {path} = {}", was.text)),
            None => self.breaking(format!("BREAKING, removed: {path} = {}", was.text)),
        }
    }

    fn added(&mut self, path: &str, is: Entry<'_>, old: &Record<'_>) {
        match item_of(path) {
            Some(item) if !old.contains_key(item) => {}
            Some(_) => self.traits(path, Entry { text: "", ..is }, is),
            None if is.is_unstable => self.unstable(format!("added, unstable: {path} = {}", is.text)),
            None => match why_breaking(path, is.text, old) {
                Some(why) => self.breaking(format!("BREAKING, added: {path} = {} ({why})", is.text)),
                None => self.compatible(format!("added: {path} = {}", is.text)),
            },
        }
    }

    fn changed(&mut self, path: &str, was: Entry<'_>, is: Entry<'_>) {
        let both = format!("{path}\n    was: {}\n    is:  {}", was.text, is.text);
        match (was.is_unstable, is.is_unstable) {
            (true, false) => self.compatible(format!("added: {path} = {} (unstable before)", is.text)),
            (false, true) => self.breaking(format!("BREAKING, unstable now: {path} = {}", is.text)),
            _ if item_of(path).is_some() => self.traits(path, was, is),
            (true, true) => self.unstable(format!("changed, unstable: {both}")),
            (false, false) if is_compatible(was.text, is.text) => self.compatible(format!("changed: {both}")),
            (false, false) => self.breaking(format!("BREAKING, changed: {both}")),
        }
    }

    fn traits(&mut self, path: &str, was: Entry<'_>, is: Entry<'_>) {
        fn list(text: &str) -> BTreeSet<&str> {
            text.split("; ").filter(|each| !each.is_empty()).collect()
        }
        let (was_list, is_list) = (list(was.text), list(is.text));
        let with_head = |list: &BTreeSet<&str>, head: &str| {
            list.iter().copied().find(|each| conditions(each).0 == head).map(str::to_owned)
        };
        for lost in was_list.difference(&is_list).filter(|each| !each.starts_with('!')) {
            match with_head(&is_list, conditions(lost).0) {
                Some(same) if demands_more(lost, &same).is_none() => {
                    self.compatible(format!("changed: {path}: {same}, was {lost}"));
                }
                Some(same) => self.breaking(format!("BREAKING, narrower: {path}: {same}, was {lost}")),
                None if was.is_unstable => self.unstable(format!("removed, unstable: {path}: {lost}")),
                None => self.breaking(format!("BREAKING, removed: {path}: {lost}")),
            }
        }
        for gained in is_list.difference(&was_list).filter(|each| !each.starts_with('!')) {
            if with_head(&was_list, conditions(gained).0).is_none() {
                self.compatible(format!("added: {path}: {gained}"));
            }
        }
    }

    fn breaking(&mut self, line: String) {
        self.breaking += 1;
        self.lines.push(line);
    }

    fn compatible(&mut self, line: String) {
        self.compatible += 1;
        self.lines.push(line);
    }

    fn unstable(&mut self, line: String) {
        self.unstable += 1;
        self.lines.push(line);
    }
}

/// Why a new item breaks programs: a `match` without it, a struct expression without it, an implementation without it.
fn why_breaking(path: &str, text: &str, old: &Record<'_>) -> Option<&'static str> {
    let (owner, _) = path.rsplit_once("::")?;
    let owner = old.get(owner)?.text;
    if owner.starts_with("enum") && text.starts_with("variant") && !owner.ends_with(NON_EXHAUSTIVE) {
        return Some("a `match` on all variants does not compile");
    }
    if owner.starts_with("struct") && owner.ends_with(ALL_FIELDS_PUBLIC) && text.starts_with("field") {
        return Some("an expression with all fields does not compile");
    }
    // A supertrait that cannot be named, `_`, keeps others from implementing it.
    let is_sealed = owner.split_once(": ").is_some_and(|(_, bounds)| bounds.split(" + ").any(|bound| bound == "_"));
    if owner.starts_with("trait") && !is_sealed && (text.starts_with("required") || text.starts_with("type")) {
        return Some("an implementation does not compile");
    }
    None
}

/// Fewer conditions, `const`, a default for what was required, or `#[non_exhaustive]` that is gone; nothing else (`strict`).
fn is_compatible(was: &str, is: &str) -> bool {
    let is = is.strip_prefix("const ").filter(|_| !was.starts_with("const ")).unwrap_or(is);
    let (was, is) = match (was.strip_prefix("required "), is.strip_prefix("provided ")) {
        (Some(was), Some(is)) => (was, is),
        _ => (was, is),
    };
    let was = was.strip_suffix(NON_EXHAUSTIVE).filter(|was| *was == is).unwrap_or(was);
    was == is
        || (was == "off by default" && is == "on by default")
        || (conditions(was).0 == conditions(is).0 && demands_more(was, is).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(old: &str, new: &str) -> Vec<String> {
        changes(old, new).lines
    }

    #[test]
    fn additions_are_compatible() {
        let old = "a::B = struct\na::B: traits = Debug\n";
        let new = "a::B = struct\na::B: traits = Clone; Debug\na::c = fn()\na::D = struct\na::D: traits = Send\n";
        let found = changes(old, new);
        assert_eq!(found.lines, ["added: a::B: traits: Clone", "added: a::D = struct", "added: a::c = fn()"]);
        assert_eq!((found.breaking, found.compatible), (0, 3));
    }

    #[test]
    fn what_is_gone_or_narrower_is_breaking() {
        let old = "a::B = struct\na::B: traits = Clone; Send where #0: Send; Sync\na::c = fn<#0>(#0)\nfeature x = on by default\n";
        let new = "a::B = struct\na::B: traits = !Sync; Send where #0: Copy\na::c = fn<#0>(#0) where #0: Send\nfeature x = off by default\n";
        assert_eq!(
            lines(old, new),
            [
                "BREAKING, removed: a::B: traits: Clone",
                "BREAKING, narrower: a::B: traits: Send where #0: Copy, was Send where #0: Send",
                "BREAKING, removed: a::B: traits: Sync",
                "BREAKING, changed: a::c\n    was: fn<#0>(#0)\n    is:  fn<#0>(#0) where #0: Send",
                "BREAKING, changed: feature x\n    was: on by default\n    is:  off by default",
            ]
        );
        let gone = changes(old, "");
        assert_eq!((gone.breaking, gone.compatible), (3, 0), "{:?}", gone.lines);
    }

    #[test]
    fn a_signature_that_asks_for_less_or_promises_more_is_compatible() {
        let old = "a::b = fn<#0>(#0) where #0: Clone + Send\na::c = fn()\na::T::m = required fn()\n";
        let new = "a::b = fn<#0>(#0) where #0: Send\na::c = const fn()\na::T::m = provided fn()\n";
        assert_eq!(changes(old, new).breaking, 0);
        assert_eq!(changes(new, old).breaking, 3);
    }

    #[test]
    fn what_others_list_in_full_may_not_grow() {
        let old = "a::E = enum\na::F = enum, non-exhaustive\na::S = struct, all fields public\na::T = trait: \na::U = trait: _\n";
        let new = format!(
            "{old}a::E::A = variant\na::F::A = variant\na::S::x = field u8\na::T::m = required fn()\na::T::n = provided fn()\n\
             a::U::m = required fn()\n"
        );
        let found = changes(old, &new);
        let breaking: Vec<_> = found.lines.iter().filter(|line| line.starts_with("BREAKING")).collect();
        assert_eq!(
            breaking,
            [
                "BREAKING, added: a::E::A = variant (a `match` on all variants does not compile)",
                "BREAKING, added: a::S::x = field u8 (an expression with all fields does not compile)",
                "BREAKING, added: a::T::m = required fn() (an implementation does not compile)",
            ]
        );
        assert_eq!((found.breaking, found.compatible), (3, 3));
    }

    #[test]
    fn a_type_whose_old_name_stays_as_an_alias_is_renamed() {
        let old = "a::Old = struct<T>\na::Old: traits = Debug\na::Old::get = fn(self: Old) -> T\na::Older = struct\na::f = fn(Old<T>)\n";
        let new = "a::New = struct<T>\na::New: traits = Debug\na::New::get = fn(self: New) -> T\na::Old = alias of New<T>\na::Older = struct\na::f = fn(New<T>)\n";
        let found = changes(old, new);
        assert_eq!(found.lines, ["renamed: a::Old is an alias of New"]);
        assert_eq!((found.breaking, found.compatible), (0, 1));
        assert_eq!(replace_word("Old, OldOld, Older, _Old, Old", "Old", "New"), "New, OldOld, Older, _Old, New");
        // Without the old name, all of it is gone.
        assert_eq!(changes(old, &new.replace("a::Old = alias of New<T>\n", "")).breaking, 3);
    }

    #[test]
    fn a_new_variant_of_a_new_enum_breaks_nothing() {
        assert_eq!(changes("", "a::E = enum\na::E::A = variant\n").breaking, 0);
    }

    #[test]
    fn unstable_items_are_counted_apart() {
        let old = "unstable a::b = fn()\nunstable a::c = fn()\na::d = fn()\n";
        let new = "a::b = fn()\nunstable a::d = fn()\nunstable a::e = fn()\n";
        let found = changes(old, new);
        assert_eq!(
            found.lines,
            [
                "added: a::b = fn() (unstable before)",
                "removed, unstable: a::c = fn()",
                "BREAKING, unstable now: a::d = fn()",
                "added, unstable: a::e = fn()",
            ]
        );
        assert_eq!((found.breaking, found.compatible, found.unstable), (1, 1, 2));
    }
}

//! Bounds of an implementation or a signature, one by one.
//!
//! Called by `api` and `api::changes`.

use std::collections::BTreeSet;

/// What an implementation says, and its conditions one by one: `T: A + B` are two.
pub(super) fn conditions(text: &str) -> (&str, BTreeSet<String>) {
    let Some((head, rest)) = text.split_once(" where ") else { return (text, BTreeSet::new()) };
    let each = rest.split(", ").filter_map(|condition| condition.split_once(": "));
    let each = each.flat_map(|(what, bounds)| bounds.split(" + ").map(move |bound| format!("{what}: {bound}")));
    (head, each.collect())
}

/// A condition on which ours is implemented and theirs is without: a bound, or `Sized`, which is there without a word.
pub(super) fn demands_more(theirs: &str, ours: &str) -> Option<String> {
    let ((_, theirs), (_, ours)) = (conditions(theirs), conditions(ours));
    let is_relaxed = |condition: &str| condition.ends_with(": ?Sized");
    let more = ours.difference(&theirs).filter(|condition| !is_relaxed(condition));
    let sized = theirs.difference(&ours).filter(|condition| is_relaxed(condition));
    let all: Vec<String> = more.cloned().chain(sized.map(|condition| condition.replace("?Sized", "Sized"))).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

//! How the settings of two crawls differ, as JSON.
//!
//! Called by `store` and `engine::layout`. Pure.

use std::collections::BTreeSet;

use serde_json::Value;

/// The settings that differ, each with both values. Objects are compared entry by entry.
pub(crate) fn differing(ours: &Value, theirs: &Value) -> Vec<String> {
    let (Value::Object(ours), Value::Object(theirs)) = (ours, theirs) else { return Vec::new() };
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        match (ours.get(name).unwrap_or(&Value::Null), theirs.get(name).unwrap_or(&Value::Null)) {
            (ours @ Value::Object(_), theirs @ Value::Object(_)) => found.extend(differing(ours, theirs)),
            (ours, theirs) if ours != theirs => {
                found.push(format!("{name} is {} there, and {} here", text(theirs), text(ours)));
            }
            _ => {}
        }
    }
    found
}

/// The longest value that is printed whole, in characters. The starts of a crawl may be many.
const TEXT_MAX: usize = 100;

fn text(value: &Value) -> String {
    let text = if value.is_null() { "not given".to_owned() } else { value.to_string() };
    if text.chars().count() > TEXT_MAX { text.chars().take(TEXT_MAX).chain(['…']).collect() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_that_differ_are_named_with_both_values() {
        let ours = json!({"limits": {"depth": 2}, "same": 1, "new": "x"});
        let theirs = json!({"limits": {"depth": null}, "same": 1});
        let expected = ["depth is not given there, and 2 here", "new is not given there, and \"x\" here"];
        assert_eq!(differing(&ours, &theirs), expected);
        assert!(differing(&ours, &ours).is_empty());
        let many = json!({"starts": vec!["http://a/"; 100]});
        let [line] = &differing(&many, &json!({}))[..] else { panic!("the starts differ") };
        assert!(line.contains("… here") && line.chars().count() < 200, "{line}");
    }
}

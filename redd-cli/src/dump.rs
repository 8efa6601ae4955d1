//! `redd dump --html` and the page of `redd web`: the dumps of a process's runtimes as one.

use serde_json::{Value, json};

use crate::dump_page;

/// The page of a reply to `dump json all`.
pub(crate) fn page(pid: u32, reply: &[u8]) -> Result<String, String> {
    let merged = serde_json::from_slice(reply).ok().and_then(|mut reply| merge(&mut reply));
    let dump =
        merged.ok_or_else(|| format!("the reply of process {pid} is not understood: it is of another version"))?;
    Ok(dump_page::write(&dump))
}

/// One dump of those of all runtimes. The ids of tasks are unique in a process; the numbers of objects are made so.
fn merge(reply: &mut Value) -> Option<Value> {
    let mut whole = json!({
        "format": "redd-dump/1", "diagnoses": [], "tasks": [], "nodes": [], "roots": [], "outside": [], "unjoined": [],
        "left_out": 0,
    });
    let mut objects = 0;
    for (index, runtime) in reply["runtimes"].as_array_mut()?.iter_mut().enumerate() {
        let mut dump = runtime["dump"].take();
        if dump["format"] != whole["format"] {
            return None;
        }
        objects = renumber(&mut dump, objects);
        for key in ["diagnoses", "tasks", "roots"] {
            let more = dump[key].as_array_mut().map(std::mem::take)?;
            whole[key].as_array_mut()?.extend(more);
        }
        // A process with an older redd has none.
        if let Some(more) = dump["nodes"].as_array_mut() {
            whole["nodes"].as_array_mut()?.append(more);
        }
        // These are of the whole process, so each dump has them.
        if index == 0 {
            for key in ["outside", "unjoined", "left_out"] {
                whole[key] = dump[key].take();
            }
        }
    }
    Some(whole)
}

/// The keys of numbers that mean something in their own dump only.
const NUMBERS: [&str; 3] = ["object", "node", "around"];

/// Adds `offset` to the numbers of objects and nodes. Returns the highest one.
fn renumber(value: &mut Value, offset: u64) -> u64 {
    match value {
        Value::Array(items) => items.iter_mut().map(|item| renumber(item, offset)).max().unwrap_or(offset),
        Value::Object(members) => {
            let mut highest = offset;
            for (key, member) in members {
                match member.as_u64() {
                    Some(number) if NUMBERS.contains(&key.as_str()) => {
                        highest = highest.max(number + offset);
                        *member = (number + offset).into();
                    }
                    _ => highest = highest.max(renumber(member, offset)),
                }
            }
            highest
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(id: u64, objects: &[u64]) -> Value {
        let waits: Vec<_> =
            objects.iter().map(|object| json!({ "what": { "type": "lock", "object": object } })).collect();
        json!({
            "format": "redd-dump/1", "diagnoses": [], "tasks": [{ "id": id, "waits": waits }], "roots": [{ "age_ms": id }],
            "outside": [{ "kind": "Timer" }], "unjoined": [], "left_out": 4,
        })
    }

    #[test]
    fn the_dumps_of_all_runtimes_become_one_with_objects_of_their_own() {
        let dumps = [dump(1, &[1, 2, 1]), dump(7, &[]), dump(9, &[1])];
        let runtimes: Vec<_> = dumps.into_iter().map(|dump| json!({ "id": 1, "dump": dump })).collect();
        let merged = merge(&mut json!({ "runtimes": runtimes })).expect("they are dumps");
        let objects: Vec<_> = merged["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|task| task["waits"].as_array().into_iter().flatten())
            .map(|wait| wait["what"]["object"].as_u64())
            .collect();
        assert_eq!(objects, [Some(1), Some(2), Some(1), Some(3)]);
        let len = |key: &str| merged[key].as_array().map(Vec::len);
        assert_eq!(["tasks", "roots", "outside"].map(len), [Some(3), Some(3), Some(1)]);
        assert_eq!(merged["left_out"], 4);
    }

    #[test]
    fn the_nodes_of_all_runtimes_keep_their_tasks_and_what_is_around_them() {
        let with_nodes = || {
            let mut dump = dump(1, &[]);
            dump["nodes"] = json!([{ "node": 1, "around": null }, { "node": 2, "around": 1 }]);
            dump["tasks"][0]["group"] = json!({ "node": 2, "role": "task", "before": null });
            dump
        };
        let dumps = [with_nodes(), dump(7, &[1]), with_nodes()];
        let runtimes: Vec<_> = dumps.into_iter().map(|dump| json!({ "id": 1, "dump": dump })).collect();
        let merged = merge(&mut json!({ "runtimes": runtimes })).expect("they are dumps");
        let expected = json!([
            { "node": 1, "around": null }, { "node": 2, "around": 1 }, { "node": 4, "around": null }, { "node": 5, "around": 4 }
        ]);
        assert_eq!(merged["nodes"], expected);
        let of_tasks = [0, 2].map(|index| merged["tasks"][index]["group"]["node"].as_u64());
        assert_eq!(of_tasks, [Some(2), Some(5)]);
    }

    #[test]
    fn a_reply_of_another_version_is_said_to_be_one() {
        for reply in ["", "{}", r#"{"runtimes":[{"dump":{"format":"redd-dump/2"}}]}"#] {
            assert!(page(7, reply.as_bytes()).is_err_and(|why| why.contains("process 7 is not understood")), "{reply}");
        }
        assert!(page(7, br#"{"runtimes":[]}"#).is_ok());
    }
}

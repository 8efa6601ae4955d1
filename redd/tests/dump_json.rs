//! `Dump::to_json`, read by a parser.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use redd::runtime::{Builder, Handle};
use redd::task::yield_now;
use serde_json::{Value, json};

#[test]
fn a_parser_reads_each_task_as_the_dump_shows_it() {
    let names: Vec<String> =
        (0..0x3000).step_by(97).map(|first| (first..first + 97).filter_map(char::from_u32).collect()).collect();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let waits = redd::sync::Semaphore::new(0);
        let waits = std::sync::Arc::new(waits);
        for name in &names {
            let waits = waits.clone();
            let task = async move { waits.acquire().await.map(drop) };
            redd::task::Builder::new().name(name).spawn(task).unwrap();
        }
        for _ in 0..2 * names.len() {
            yield_now().await;
        }
        let dump = Handle::current().snapshot();
        let json: Value = serde_json::from_str(&dump.to_json()).unwrap();
        assert_eq!(json["format"], "redd-dump/1");
        let tasks = json["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), names.len());
        let mut found: Vec<_> = tasks.iter().map(|task| task["name"].as_str().unwrap()).collect();
        found.sort_unstable();
        let mut expected: Vec<_> = names.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
        for (task, shown) in tasks.iter().zip(dump.tasks().iter()) {
            assert_eq!(task["id"].to_string(), shown.id().to_string());
            assert_eq!(task["spawned_at"], shown.spawned_at().to_string());
            assert_eq!(task["state"], "waiting");
            let wait = &task["waits"][0];
            let location = shown.waits()[0].location().unwrap().to_string();
            assert_eq!((&wait["kind"], &wait["at"]), (&json!("Semaphore"), &json!(location)));
        }
        waits.close();
    });
}

//! A dump as a page of HTML: what is wrong, groups of equal tasks, the tasks, their tree.
//!
//! Called for `redd dump --html`. The page reads the format `redd-dump/1`, which `to_json` of the library's `Dump` documents.

use serde_json::Value;

use crate::page;

const TEMPLATE: &str = include_str!("dump_page.html");

/// Makes the page of a dump in the format `redd-dump/1`.
pub(crate) fn write(dump: &Value) -> String {
    page::fill(TEMPLATE, &page::quoted(dump))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::page::tests::{HOSTILE, assert_is_sound, data_of, keep_for_browser, with_steps};

    fn wait(kind: &str, what: &Value) -> Value {
        let at = match kind {
            "Mutex" => "src/bank.rs:54:31",
            "Timer" => "src/server.rs:52:42",
            "Readable" => "src/main.rs:33:26",
            _ => "src/jobs.rs:61:20",
        };
        json!({ "kind": kind, "at": at, "since_ms": 12_100, "what": what })
    }

    fn task(id: u64, name: Option<&str>, spawned_at: &str, waits: &[Value]) -> Value {
        json!({
            "id": id, "name": name, "is_blocking": false, "parent": (id > 1).then_some(1), "spawned_at": spawned_at,
            "age_ms": 65_000 + id, "polls": id * 3, "since_polled_ms": 12_100, "state": "waiting", "thread": null,
            "waits": waits,
        })
    }

    fn lock(object: u64, by: Option<u64>) -> Value {
        let taken =
            json!({ "task": by, "at": "src/bank.rs:52:31", "ago_ms": 12_100, "is_only": true, "is_owned": false });
        json!({ "type": "lock", "object": object, "taken": taken, "out": 1, "waiting": 2 })
    }

    /// Each kind of state and of wait, a deadlock, and a task with that name.
    fn example(name: &str) -> Value {
        let timer = wait("Timer", &json!({ "type": "deadline", "remaining_ms": 8_500 }));
        let mut tasks = vec![
            task(
                1,
                Some("listener"),
                "src/main.rs:17:9",
                &[wait("Readable", &json!({ "type": "descriptor", "fd": 9, "about": "listens on 127.0.0.1:8080" }))],
            ),
            task(2, Some("transfer-a"), "src/bank.rs:31:5", &[wait("Mutex", &lock(1, Some(3)))]),
            task(3, Some("transfer-b"), "src/bank.rs:38:5", &[wait("Mutex", &lock(2, Some(2)))]),
            task(
                4,
                Some(name),
                "src/main.rs:20:9",
                &[
                    wait("Join", &json!({ "type": "task", "task": 2 })),
                    wait("Timer", &json!({ "type": "deadline", "remaining_ms": 900 })),
                ],
            ),
            task(
                5,
                None,
                "src/jobs.rs:9:5",
                &[wait(
                    "MpscRecv",
                    &json!({ "type": "channel", "object": 3, "senders": 4, "receivers": 1, "length": 0 }),
                )],
            ),
            task(6, None, "src/jobs.rs:12:5", &[wait("Process", &json!({ "type": "process", "pid": 411 }))]),
            task(7, None, "src/jobs.rs:14:5", &[wait("Signal", &json!({ "type": "signal", "number": 15 }))]),
            task(8, None, "src/jobs.rs:16:5", &[wait("Unknown", &Value::Null)]),
            task(
                9,
                None,
                "src/jobs.rs:18:5",
                &[wait("Mutex", &lock(4, None)), wait("New", &json!({ "type": "new", "x": 1 }))],
            ),
            task(10, Some("indexer"), "src/index.rs:44:9", &[]),
            task(11, None, "src/index.rs:51:9", &[]),
        ];
        for (index, state) in [(9, "running"), (10, "queued")] {
            tasks[index]["state"] = json!(state);
        }
        tasks[9]["thread"] = json!(4711);
        tasks[10]["is_blocking"] = json!(true);
        tasks[4]["parent"] = json!(4);
        tasks.extend((100..400).map(|id| task(id, None, "src/server.rs:41:13", std::slice::from_ref(&timer))));
        json!({
            "format": "redd-dump/1",
            "diagnoses": [{ "type": "deadlock", "tasks": [2, 3] }],
            "tasks": tasks,
            "roots": [{ "called_at": "src/main.rs:70:5", "age_ms": 65_000, "is_running": false, "waits": [timer] }],
            "outside": [wait("Notified", &Value::Null)],
            "unjoined": [{ "created_at": "src/jobs.rs:5:9", "sets": 1, "tasks": 100 }],
            "left_out": 3,
        })
    }

    /// A process that has just started.
    fn empty() -> Value {
        json!({
            "format": "redd-dump/1", "diagnoses": [], "tasks": [], "roots": [], "outside": [], "unjoined": [], "left_out": 0,
        })
    }

    #[test]
    fn a_page_has_the_dump_and_nothing_that_a_name_could_break() {
        for dump in [example(HOSTILE), empty()] {
            let page = write(&dump);
            assert_is_sound(TEMPLATE, &page);
            let read: Value = serde_json::from_str(data_of(&page)).expect("it is JSON");
            assert_eq!(read, dump);
        }
    }

    #[test]
    fn pages_for_the_browser() {
        keep_for_browser("dump", &write(&example(HOSTILE)), "tasks=311 groups=12 diagnoses=1 rows=12");
        keep_for_browser("dump-empty", &write(&empty()), "tasks=0 groups=0 diagnoses=0 rows=0");
        let mut wrong = example(HOSTILE);
        wrong["diagnoses"] = json!([
            { "type": "deadlock", "tasks": [2, 3, 99] },
            {
                "type": "futurelock", "task": 4, "kind": "Mutex", "granted_at": "src/bank.rs:70:9", "ago_ms": 2_000,
                "released_by": 3, "waiting": 1, "waits": [wait("Mutex", &lock(1, None))],
            },
            { "type": "stranded", "task": 8 },
            { "type": "nothing_can_happen", "waiting": 311 },
            { "type": "some_new_kind", "tasks": [5], "why": HOSTILE },
            { "type": "toString" },
        ]);
        let steps = "
            const text = at('diagnoses').textContent;
            const words = ['task 99 (not listed)', 'granted: Mutex at src/bank.rs:70:9 2.0 s ago, released by task 3',
                'nothing can wake this task', '311 tasks wait', 'some new kind', 'why: <', 'toString'];
            document.documentElement.dataset.drawn = [...words.filter(word => !text.includes(word)), `${at('diagnoses').childElementCount}`].join();";
        keep_for_browser("dump-wrong", &with_steps(&write(&wrong), steps), "6");
        keep_for_browser("dump-picture", &write(&example("audit")), "tasks=311 groups=12 diagnoses=1 rows=12");
        let steps = "
            const press = text => [...document.querySelectorAll('button')].find(each => each.textContent === text).click();
            const rows = () => document.querySelectorAll('#list tbody tr').length;
            const seen = [];
            press('Tasks'); seen.push(`tasks ${rows()}`);
            press('Age'); seen.push(`oldest ${document.querySelector('#list tbody td').textContent}`);
            press('Groups'); document.querySelector('#list tbody tr').click(); seen.push(`group ${rows()}`);
            press('show all');
            at('search').value = 'BANK.rs 38'; at('search').dispatchEvent(new Event('input')); seen.push(`found ${rows()}`);
            document.querySelector('#list tbody tr').click(); seen.push(at('detail').querySelector('h2').textContent);
            document.querySelector('#detail li .link').click(); seen.push(at('detail').querySelector('h2').textContent);
            at('search').value = ''; at('state').value = 'queued'; at('state').dispatchEvent(new Event('change'));
            seen.push(`queued ${rows()}`);
            press('Tree'); seen.push(`tree ${document.querySelectorAll('#tree li').length}`);
            press('Outside of tasks'); seen.push(`outside ${document.querySelectorAll('#list li').length}`);
            choose(byId.get(4)); seen.push(`escaped ${at('detail').textContent.includes('\\\\u{202e}')}`);
            document.documentElement.dataset.drawn = seen.join(', ');";
        let drawn = "tasks 311, oldest 399, group 300, found 1, task 3 transfer-b, task 2 transfer-a, queued 1, tree 2, \
                     outside 3, escaped true";
        keep_for_browser("dump-steps", &with_steps(&write(&example(HOSTILE)), steps), drawn);
        let mut many = empty();
        let timer = wait("Timer", &json!({ "type": "deadline", "remaining_ms": 8_500 }));
        let tasks = (2..20_002).map(|id| task(id, None, "src/server.rs:41:13", std::slice::from_ref(&timer)));
        many["tasks"] = tasks.collect();
        keep_for_browser("dump-many", &write(&many), "tasks=20000 groups=1 diagnoses=0 rows=1");
    }
}

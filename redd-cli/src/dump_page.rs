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

    /// A server with a group that is cancelled, and a supervisor that was made outside of tasks.
    fn with_groups(name: &str) -> Value {
        let in_group = |task: Value, node: u64, role: &str, before: Option<u64>| {
            let mut task = task;
            task["group"] = json!({ "node": node, "role": role, "before": before });
            task["shields"] = json!([]);
            task
        };
        let group = |number: u64, name: &str, created_by: Option<u64>, around: Option<u64>, child: Option<u64>| {
            json!({
                "node": number, "name": name, "created_at": "src/server.rs:30:9", "created_by": created_by, "around": around,
                "age_ms": 9_000, "type": "group", "child": child, "limit": 1, "running": 1, "queued": 1, "ended": 2,
                "deadline_left_ms": null, "is_closing": true, "is_left": false, "cancelled": null, "clean_up": null, "clean_ups_left": 0,
            })
        };
        let child = |name: &str, state: &str, remaining_ms: Option<u64>| {
            json!({
                "name": name, "state": state, "remaining_ms": remaining_ms, "restarts": 3,
                "last_failure": { "text": name, "ago_ms": 1_900 },
            })
        };
        let place = wait("GroupPlace", &json!({ "type": "group", "node": 1, "before": 0 }));
        let mut dump = empty();
        dump["tasks"] = json!([
            task(
                1,
                Some("server"),
                "src/main.rs:9:5",
                &[wait("GroupEnd", &json!({ "type": "group", "node": 1, "before": null }))]
            ),
            in_group(task(2, Some(name), "src/server.rs:31:9", &[]), 1, "task", None),
            in_group(task(3, Some(name), "src/server.rs:31:9", &[place]), 1, "queued", Some(0)),
            in_group(task(4, Some(name), "src/server.rs:30:9", &[]), 1, "watcher", None),
            in_group(task(5, Some("ingest"), "src/jobs.rs:5:9", &[]), 4, "task", None),
            in_group(task(6, None, "src/jobs.rs:8:9", &[]), 99, "toString", None),
        ]);
        dump["tasks"][1]["shields"] = json!([{ "made_at": "src/store.rs:8:5", "remaining_ms": 3_500 }]);
        dump["nodes"] = json!([
            group(1, name, Some(1), None, None),
            {
                "node": 2, "name": null, "created_at": "src/jobs.rs:3:5", "created_by": null, "around": null, "age_ms": 9_000,
                "type": "supervisor", "strategy": "one_for_one",
                "children": [child("ingest", "running", None), child(name, "waiting", Some(2_100))],
            },
            group(3, "of a task that has ended", Some(77), Some(1), None),
            group(4, "ingest", None, Some(2), Some(0)),
        ]);
        dump["nodes"][0]["cancelled"] = json!({ "reason": name, "ago_ms": 1_500 });
        dump["nodes"][0]["in_phase"] = json!({ "name": name, "has_begun": true, "is_over": false });
        dump
    }

    #[test]
    fn the_tree_of_a_page_has_groups_and_supervisors_as_inner_nodes() {
        let steps = "
            const press = text => [...document.querySelectorAll('button')].find(each => each.textContent === text).click();
            press('Tree');
            const depthOf = line => { let depth = 0; for (let ul = line.closest('ul'); ul !== null && ul.closest('#tree') !== null; ul = ul.parentElement.closest('ul')) depth++; return depth; };
            const found = (start) => [...document.querySelectorAll('#tree li')].find(li => li.textContent.startsWith(start));
            const seen = ['task 1 server', 'group #1', 'task 2', 'task 3', 'task 4', 'group #3', 'supervisor #2', 'child ingest', 'task 5', 'child <', 'task 6']
                .map(start => found(start) === undefined ? `no ${start}` : `${depthOf(found(start))}`);
            const words = (text, ...all) => { for (const word of all) if (!text.includes(word)) seen.push(`no ${word} in ${text}`); };
            words(found('group #1').querySelector('summary').textContent, '1 running of at most 1, 1 queued, 2 results not taken; cancelled 1.5 s ago: <', '; in phase <', ', which has begun; closing');
            words(found('task 2').textContent, 'in a shield made at src/store.rs:8:5 with 3.5 s left');
            words(found('task 4').textContent, ' as its watcher');
            words(found('supervisor #2').querySelector('summary').textContent, 'one_for_one, 2 children, 6 restarts');
            words(found('child <').textContent, 'starts again in 2.1 s, 3 restarts, failed 1.9 s ago: <');
            seen.push(`items ${document.querySelectorAll('#tree li').length}`);
            choose(byId.get(3));
            words(at('detail').textContent, 'in its queue, 0 before it', 'GroupPlace at src/jobs.rs:61:20');
            at('detail').querySelector('dd .link').click();
            choose(byId.get(6));
            words(at('detail').textContent, 'group #99 (not listed)');
            chooseNode(nodeByNumber.get(1));
            words(at('detail').textContent, 'Created bytask 1 server', 'Tasks (3)', 'as its watcher');
            at('search').value = 'ingest'; at('search').dispatchEvent(new Event('input'));
            seen.push(`found ${document.querySelectorAll('#tree li').length}`);
            document.documentElement.dataset.drawn = seen.join(' ');";
        let hostile = HOSTILE.trim_start();
        let page = write(&with_groups(hostile));
        assert_is_sound(TEMPLATE, &page);
        keep_for_browser("dump-groups", &with_steps(&page, steps), "1 2 3 3 3 3 1 2 3 2 2 items 11 found 3");
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

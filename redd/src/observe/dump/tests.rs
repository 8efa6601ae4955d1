//! Dumps of tasks and waiters that are made by hand.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::{Dump, Task, Unjoined, What};
use crate::observe::WaitKind;
use crate::observe::task_info::TaskInfo;
use crate::observe::waiter::{Subject, Taken, WaiterInfo};
use crate::task::Id;

type At = &'static Location<'static>;

/// What the coarse clock shows. It has wrapped since the waiters below began to wait.
const NOW_MS: u32 = 500;

#[track_caller]
fn here() -> At {
    Location::caller()
}

fn idle(id: u64, location: At, age_ms: u64) -> TaskInfo {
    TaskInfo {
        id: Id::from_number(id),
        location,
        name: None,
        age: Duration::from_millis(age_ms),
        parent: None,
        polls: 1,
        since_polled: None,
        joined: None,
        waiting: None,
        is_running: false,
        is_complete: false,
        is_queued: false,
        is_blocking: false,
        is_internal: false,
        is_root: false,
        has_handle: true,
        wakers: Some(1),
        thread: None,
    }
}

fn waiter(task: u64, kind: WaitKind, location: At, for_ms: u32, subject: Subject) -> WaiterInfo {
    WaiterInfo { task, kind, location: Some(location), since_ms: NOW_MS.wrapping_sub(for_ms), is_direct: true, subject }
}

fn timer(task: u64, location: At, for_ms: u32, remaining_ms: u64) -> WaiterInfo {
    let remaining = Duration::from_millis(remaining_ms);
    waiter(task, WaitKind::Timer, location, for_ms, Subject::Deadline { remaining })
}

fn lock(object: usize, by: u64, at: At, out: usize, waiting: usize) -> Subject {
    let taken = Taken { task: by, location: Some(at), at_ms: NOW_MS.wrapping_sub(2000), is_owned: false };
    Subject::Permits { object, taken: Some(taken), out: Some(out), waiting }
}

fn dump(infos: Vec<TaskInfo>, waiters: Vec<WaiterInfo>) -> Dump {
    Dump::new(infos, waiters, vec![], 0, NOW_MS)
}

fn task(dump: &Dump, id: u64) -> &Task {
    dump.tasks().get(Id::from_number(id)).expect("it is in the dump")
}

#[test]
fn every_wait_of_a_task_is_shown_with_its_line() {
    let (spawned, sleep, mutex) = (here(), here(), here());
    let waiters = vec![
        waiter(1, WaitKind::Mutex, mutex, 1500, lock(77, 2, spawned, 1, 1)),
        timer(1, sleep, 1500, 3000),
        timer(9, sleep, 10, 10),
    ];
    let dump = dump(vec![idle(1, spawned, 61_000), idle(2, spawned, 90_000)], waiters);
    assert_eq!(task(&dump, 1).waits().len(), 2);
    assert_eq!(
        format!("{dump:#}"),
        format!(
            "task 1 (spawned at {spawned}, 1m 1s old)\n    \
             waits: Timer at {sleep} for 1.5s; due in 3.0s\n    \
             waits: Mutex at {mutex} for 1.5s; #1 taken by task 2 at {spawned} 2.0s ago, 1 waiting\n\
             task 2 (spawned at {spawned}, 1m 30s old) waits on something outside of redd\n"
        )
    );
    assert_eq!(dump.outside().len(), 0, "task 9 is of another runtime");
}

#[test]
fn equal_tasks_are_counted_and_the_holder_of_a_lock_is_not() {
    let (spawned, other, sleep) = (here(), here(), here());
    let infos = (1..=304).map(|id| idle(id, if id == 304 { other } else { spawned }, id)).collect();
    let mut waiters: Vec<_> = (1..=303).map(|id| timer(id, sleep, id as u32, 1000 * id)).collect();
    waiters.push(waiter(304, WaitKind::Mutex, other, 1, lock(5, 303, sleep, 1, 1)));
    let dump = dump(infos, waiters);
    assert_eq!(
        dump.to_string(),
        format!(
            "302 tasks (spawned at {spawned}, oldest 302ms) waits: Timer at {sleep} for up to 302ms; due in 1.0s to 5m 2s\n\
             task 304 (spawned at {other}, 304ms old) waits: Mutex at {other} for 1ms; #1 taken by task 303 at {sleep} \
             2.0s ago, 1 waiting\n\
             task 303 (spawned at {spawned}, 303ms old) waits: Timer at {sleep} for 303ms; due in 5m 3s\n"
        )
    );
    assert_eq!(format!("{dump:#}").lines().count(), 304);
}

#[test]
fn many_waits_of_a_task_at_one_line_are_counted() {
    let (spawned, sleep) = (here(), here());
    let waiters = (0..1000).map(|ms| timer(1, sleep, 10, ms)).collect();
    let dump = dump(vec![idle(1, spawned, 5)], waiters);
    assert_eq!(
        dump.to_string(),
        format!(
            "task 1 (spawned at {spawned}, 5ms old) waits: Timer at {sleep}, 1,000 waits for up to 10ms; \
             due in less than 1ms to 999ms\n"
        )
    );
    assert_eq!(task(&dump, 1).waits().len(), 1000);
}

#[test]
fn tasks_that_wait_for_different_things_at_one_line_show_three_of_them() {
    let (spawned, line) = (here(), here());
    let infos = (1..=5).map(|id| idle(id, spawned, 5)).collect();
    let joins = (1..=5).map(|id| waiter(id, WaitKind::Join, line, 1, Subject::Task(id + 10)));
    assert_eq!(
        dump(infos, joins.collect()).to_string(),
        format!(
            "5 tasks (spawned at {spawned}, oldest 5ms) waits: Join at {line} for up to 1ms; \
             joins task 11 (not in this dump); joins task 12 (not in this dump); joins task 13 (not in this dump); \
             and 2 more\n"
        )
    );
}

#[test]
fn tasks_in_different_states_are_not_equal() {
    let spawned = here();
    let running = TaskInfo { is_running: true, ..idle(1, spawned, 1) };
    let queued = TaskInfo { is_queued: true, ..idle(2, spawned, 1) };
    let ended = TaskInfo { is_complete: true, ..idle(4, spawned, 1) };
    let text = dump(vec![running, queued, idle(3, spawned, 1), ended], vec![timer(2, spawned, 1, 1)]).to_string();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            format!("task 1 (spawned at {spawned}, 1ms old, running)"),
            format!("task 2 (spawned at {spawned}, 1ms old, queued) waits: Timer at {spawned} for 1ms; due in 1ms"),
            format!("task 3 (spawned at {spawned}, 1ms old) waits on something outside of redd"),
        ]
    );
}

#[test]
fn a_task_shows_its_parent_and_its_polls() {
    let spawned = here();
    let child = |id, ms: u64| TaskInfo {
        parent: Some(Id::from_number(9)),
        polls: 2,
        since_polled: Some(Duration::from_millis(ms)),
        ..idle(id, spawned, 70)
    };
    let infos = vec![
        child(1, 60),
        TaskInfo { is_running: true, thread: Some(4711), ..child(2, 1500) },
        TaskInfo { is_blocking: true, is_queued: true, name: Some(Arc::from("zip")), ..idle(3, spawned, 70) },
        TaskInfo { parent: Some(Id::from_number(3)), ..idle(4, spawned, 70) },
        TaskInfo { is_internal: true, is_running: true, is_blocking: true, ..child(5, 3) },
    ];
    assert_eq!(
        format!("{:#}", dump(infos, vec![])),
        format!(
            "task 1 (spawned at {spawned} by task 9 (not in this dump), 70ms old, 2 polls, the last 60ms ago) \
             waits on something outside of redd\n\
             task 2 (spawned at {spawned} by task 9 (not in this dump), 70ms old, running for 1.5s on thread 4711)\n\
             closure 3 `zip` (spawned at {spawned}, 70ms old, queued)\n\
             task 4 (spawned at {spawned} by closure 3 `zip`, 70ms old) waits on something outside of redd\n\
             closure 5 (spawned inside of redd by task 9 (not in this dump), 70ms old, running for 3ms)\n"
        )
    );
}

#[test]
fn the_tree_has_each_task_once_below_its_parent_and_counts_equal_leaves() {
    let (spawned, line) = (here(), here());
    let child = |id, parent| TaskInfo { parent: Some(Id::from_number(parent)), ..idle(id, spawned, id) };
    let infos = vec![
        idle(1, spawned, 1),
        child(2, 1),
        child(3, 1),
        child(4, 1),
        child(5, 2),
        child(6, 4),
        child(7, 90),
        child(8, 91),
        child(9, 5),
    ];
    let waiters =
        vec![timer(2, line, 1, 1), waiter(2, WaitKind::Notify, line, 1, Subject::Unknown), timer(9, line, 1, 1)];
    let task = |id: u64| format!("task {id} (spawned at {spawned}, {id}ms old)");
    let (timer, outside) = (format!("waits: Timer at {line} for 1ms"), "waits on something outside of redd");
    assert_eq!(
        dump(infos, waiters).tree().to_string(),
        [
            format!("{} {outside}", task(1)),
            format!("├─ {} {outside}", task(3)),
            format!("├─ {}", task(2)),
            format!("│      {timer}; due in 1ms"),
            format!("│      waits: Notify at {line} for 1ms"),
            format!("│  └─ {} {outside}", task(5)),
            format!("│     └─ {} {timer}; due in 1ms", task(9)),
            format!("└─ {} {outside}", task(4)),
            format!("   └─ {} {outside}", task(6)),
            String::from("2 ended tasks"),
            format!("└─ 2 tasks (spawned at {spawned}, oldest 8ms) {outside}"),
            String::new(),
        ]
        .join("\n")
    );
}

#[test]
fn a_whole_tree_has_a_line_for_each_of_equal_tasks() {
    let spawned = here();
    let child = |id| TaskInfo { parent: Some(Id::from_number(1)), ..idle(id, spawned, 1) };
    let dump = dump(vec![idle(1, spawned, 1), child(2), child(3)], vec![]);
    let (counted, each) = (dump.tree().to_string(), format!("{:#}", dump.tree()));
    assert_eq!(counted.lines().count(), 2, "{counted}");
    assert!(counted.contains("└─ 2 tasks "), "{counted}");
    let heads: Vec<_> = each.lines().map(|line| line.split(" (").next().unwrap()).collect();
    assert_eq!(heads, ["task 1", "├─ task 2", "└─ task 3"], "{each}");
}

#[test]
fn a_tree_of_a_chain_of_tasks_stays_small() {
    let spawned = here();
    let parent = |id| Some(Id::from_number(id)).filter(|id| id.number() > 0);
    let infos = (1..=20_000).map(|id| TaskInfo { parent: parent(id - 1), ..idle(id, spawned, 1) });
    let tree = dump(infos.collect(), vec![]).tree().to_string();
    assert_eq!(tree.lines().count(), 20_000);
    assert!(tree.lines().all(|line| line.len() < 300));
    assert!(tree.lines().last().unwrap().contains("(level 19999) task 20000"));
}

#[test]
fn the_note_of_the_last_poll_and_its_waiter_are_one_wait() {
    let (spawned, line, other, joined) = (here(), here(), here(), here());
    let noted = |id, kind, at| TaskInfo { waiting: Some((kind, at)), ..idle(id, spawned, 1) };
    let unknown = |id, kind| WaiterInfo { location: None, ..waiter(id, kind, line, 1, Subject::Unknown) };
    let join = |id, at| waiter(id, WaitKind::Join, at, 1, Subject::Task(99));
    // The task, its note, its waiters, and its lines if no waiter was left out, and if some were.
    let none: [At; 0] = [];
    let rows = [
        (noted(1, WaitKind::Readable, Some(line)), vec![unknown(1, WaitKind::Readable)], vec![line], vec![line]),
        (noted(2, WaitKind::Timer, Some(line)), vec![timer(2, line, 1, 1)], vec![line], vec![line]),
        // An interval.
        (noted(3, WaitKind::Timer, Some(line)), vec![timer(3, other, 1, 1)], vec![line], vec![line]),
        (noted(4, WaitKind::Timer, None), vec![timer(4, line, 1, 1)], vec![line], vec![line]),
        (
            noted(5, WaitKind::Timer, Some(line)),
            vec![timer(5, line, 1, 1), timer(5, other, 1, 1)],
            vec![line, other],
            vec![line, other],
        ),
        // Given up in the poll that recorded it, unless its waiter was left out.
        (noted(6, WaitKind::Notify, Some(line)), vec![timer(6, other, 1, 1)], vec![other], vec![line, other]),
        // An in-memory stream.
        (noted(7, WaitKind::Readable, Some(line)), vec![timer(7, other, 1, 1)], vec![line, other], vec![line, other]),
        // A `JoinHandle`, a `JoinSet`, and a `LocalSet` beside a `JoinHandle`.
        (noted(8, WaitKind::Join, Some(joined)), vec![join(8, line)], vec![line], vec![line]),
        (noted(9, WaitKind::Join, Some(line)), vec![join(9, joined)], vec![line], vec![line]),
        (noted(10, WaitKind::Join, Some(line)), vec![join(10, other)], vec![line, other], vec![line, other]),
        // Woken since.
        (
            TaskInfo { is_queued: true, ..noted(11, WaitKind::Readable, Some(line)) },
            vec![],
            none.to_vec(),
            none.to_vec(),
        ),
    ];
    for (info, waiters, all, some_left_out) in rows {
        let (id, waiting, is_queued) = (info.id.number(), info.waiting, info.is_queued);
        for (left_out, expected) in [(0, all), (1, some_left_out)] {
            let info = TaskInfo { waiting, is_queued, ..idle(id, spawned, 1) };
            let dump = Dump::new(vec![info, idle(99, joined, 1)], waiters.clone(), vec![], left_out, NOW_MS);
            let lines: Vec<_> = task(&dump, id).waits().iter().filter_map(|wait| wait.location()).collect();
            assert_eq!(lines, expected, "task {id}, {left_out} left out");
        }
    }
}

#[test]
fn only_a_mutex_and_a_write_lock_have_one_holder() {
    let line = here();
    let rows = [
        (WaitKind::Mutex, 1, true),
        (WaitKind::RwLock, 1, false),
        (WaitKind::RwLock, (u32::MAX >> 3) as usize, true),
        (WaitKind::Semaphore, 1, false),
    ];
    for (kind, out, is_only) in rows {
        let dump = dump(vec![idle(1, line, 1)], vec![waiter(1, kind, line, 1, lock(1, 2, line, out, 3))]);
        let What::Lock { taken: Some(taken), .. } = task(&dump, 1).waits()[0].what() else { panic!("{dump}") };
        assert_eq!(taken.is_only, is_only, "{kind:?}, {out} out");
        let shown =
            if is_only { " taken by task 2 (not in this dump)" } else { " last taken by task 2 (not in this dump)" };
        assert!(dump.to_string().contains(shown), "{dump}");
        assert_eq!(dump.to_string().contains("is out"), !is_only, "{dump}");
    }
}

#[test]
fn a_wait_that_no_task_registered_is_outside() {
    let line = here();
    let dump = dump(vec![], vec![timer(0, line, 1, 1), timer(0, line, 1, 2)]);
    assert_eq!(dump.outside().len(), 2);
    assert_eq!(
        dump.to_string(),
        format!("outside of tasks waits: Timer at {line}, 2 waits for up to 1ms; due in 1ms to 2ms\n")
    );
}

#[test]
fn a_future_of_block_on_has_the_wait_that_it_recorded() {
    let (called, line, other) = (here(), here(), here());
    let root = |at, waiting| TaskInfo { is_root: true, waiting, ..idle(0, at, 1500) };
    let infos = vec![
        root(called, Some((WaitKind::Timer, Some(line)))),
        TaskInfo { is_running: true, ..root(other, None) },
        root(line, None),
    ];
    let dump = dump(infos, vec![timer(0, other, 10, 20), timer(0, line, 30, 40)]);
    assert_eq!((dump.roots().len(), dump.outside().len(), dump.tasks().iter().count()), (3, 1, 0));
    assert_eq!(
        dump.to_string(),
        format!(
            "future of `block_on` (called at {called}, 1.5s old) waits: Timer at {line} for 30ms; due in 40ms\n\
             future of `block_on` (called at {other}, 1.5s old, running)\n\
             future of `block_on` (called at {line}, 1.5s old)\n\
             outside of tasks waits: Timer at {other} for 10ms; due in 20ms\n"
        )
    );
}

#[test]
fn sets_with_finished_tasks_are_shown_by_the_lines_that_created_them() {
    let (one, several) = (here(), here());
    let unjoined =
        vec![Unjoined { created_at: one, sets: 1, tasks: 1204 }, Unjoined { created_at: several, sets: 3, tasks: 99 }];
    assert_eq!(
        Dump::new(vec![], vec![], vec![], 512, NOW_MS).with_unjoined(unjoined).to_string(),
        format!(
            "1,204 finished tasks are not joined, in a `JoinSet` created at {one}\n\
             99 finished tasks are not joined, in 3 sets of type `JoinSet` created at {several}\n\
             not all was read of 512 further waits\n"
        )
    );
}

#[test]
fn the_json_has_all_of_it() {
    let (spawned, line) = (here(), here());
    let infos = vec![
        TaskInfo {
            name: Some(Arc::from("reader")),
            parent: Some(Id::from_number(3)),
            polls: 12,
            since_polled: Some(Duration::from_millis(1)),
            ..idle(7, spawned, 1500)
        },
        TaskInfo { is_running: true, is_blocking: true, thread: Some(4711), ..idle(8, spawned, 1) },
    ];
    let channel = |object| Subject::Channel { object, senders: 1, receivers: 2, length: 3 };
    let waiters = vec![
        waiter(7, WaitKind::Mutex, line, 1, lock(70, 8, line, 1, 2)),
        waiter(7, WaitKind::MpscReceive, line, 2, channel(900)),
        waiter(7, WaitKind::MpscSend, line, 3, channel(900)),
        waiter(7, WaitKind::Join, line, 4, Subject::Task(8)),
        waiter(7, WaitKind::Readable, line, 5, Subject::Descriptor { fd: 3, about: None }),
        waiter(7, WaitKind::Process, line, 6, Subject::Process(42)),
        waiter(7, WaitKind::Signal, line, 7, Subject::Signal(15)),
        timer(7, line, 8, 9),
        WaiterInfo { location: None, ..waiter(0, WaitKind::Notify, line, 9, Subject::Unknown) },
    ];
    let wait = |kind: &str, since: u32, what: &str| {
        format!("{{\"kind\":\"{kind}\",\"at\":\"{line}\",\"since_ms\":{since},\"what\":{{\"type\":{what}}}}}")
    };
    let taken = format!(r#"{{"task":8,"at":"{line}","ago_ms":2000,"is_only":true,"is_owned":false}}"#);
    let channel = r#""channel","object":2,"senders":1,"receivers":2,"length":3"#;
    let waits = [
        wait("Timer", 8, r#""deadline","remaining_ms":9"#),
        wait("Mutex", 1, &format!(r#""lock","object":1,"taken":{taken},"out":1,"waiting":2"#)),
        wait("MpscReceive", 2, channel),
        wait("MpscSend", 3, channel),
        wait("Join", 4, r#""task","task":8"#),
        wait("Readable", 5, r#""descriptor","fd":3,"about":null"#),
        wait("Process", 6, r#""process","pid":42"#),
        wait("Signal", 7, r#""signal","number":15"#),
    ];
    let expected = [
        r#"{"format":"redd-dump/1","diagnoses":[],"tasks":["#,
        &format!(
            r#"{{"id":7,"name":"reader","is_blocking":false,"parent":3,"spawned_at":"{spawned}","age_ms":1500,{}{}],{}}},"#,
            r#""polls":12,"since_polled_ms":1,"state":"waiting","thread":null,"waits":["#,
            waits.join(","),
            r#""group":null,"shields":[]"#
        ),
        &format!(
            r#"{{"id":8,"name":null,"is_blocking":true,"parent":null,"spawned_at":"{spawned}","age_ms":1,{}{}{}"#,
            r#""polls":1,"since_polled_ms":null,"state":"running","thread":4711,"waits":[],"group":null,"shields":[]}],"nodes":[],"#,
            r#""roots":[],"outside":[{"kind":"Notify","at":null,"since_ms":9,"what":null}],"#,
            format_args!(r#""unjoined":[{{"created_at":"{line}","sets":2,"tasks":300}}],"left_out":5}}"#)
        ),
        "",
    ];
    let unjoined = vec![Unjoined { created_at: line, sets: 2, tasks: 300 }];
    assert_eq!(Dump::new(infos, waiters, vec![], 5, NOW_MS).with_unjoined(unjoined).to_json(), expected.join("\n"));
}

#[test]
fn the_json_of_a_future_of_block_on_has_its_line_and_its_wait() {
    let line = here();
    let root = TaskInfo { is_root: true, waiting: Some((WaitKind::Timer, Some(line))), ..idle(0, line, 1500) };
    let json = dump(vec![root], vec![timer(0, line, 10, 20)]).to_json();
    let wait =
        format!(r#"{{"kind":"Timer","at":"{line}","since_ms":10,"what":{{"type":"deadline","remaining_ms":20}}}}"#);
    let expected = format!(
        r#""roots":[{{"called_at":"{line}","age_ms":1500,"is_running":false,"waits":[{wait}]}}],"outside":[],"#
    );
    assert!(json.contains(&expected), "{json}");
}

#[test]
fn names_are_escaped_in_json_and_printable_in_text() {
    let name = "a\n\"b\" \\ \u{1b}[31m <script> ünïcödé 🦀 \u{202e}\u{2028}\u{0}\u{7f}";
    let named = TaskInfo { name: Some(Arc::from(name)), ..idle(1, here(), 1) };
    let dump = dump(vec![named], vec![]);
    let json = dump.to_json();
    let escaped = r#""a\n\"b\" \\ \u001b[31m \u003cscript\u003e ünïcödé 🦀 \u202e\u2028\u0000\u007f""#;
    assert!(json.contains(&format!("\"name\":{escaped},")), "{json}");
    let text = dump.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r#"`a\n"b" \ \u{1b}[31m <script> ünïcödé 🦀 \u{202e}\u{2028}\u{0}\u{7f}`"#), "{text}");
}

#[test]
fn a_waiter_newer_than_the_clock_has_waited_for_no_time() {
    let dump = dump(vec![idle(1, here(), 1)], vec![timer(1, here(), 5_u32.wrapping_neg(), 1)]);
    assert_eq!(task(&dump, 1).waits()[0].since(), Some(Duration::ZERO));
}

#[test]
fn a_deadlock_must_be_seen_twice_without_a_poll_in_between() {
    let line = here();
    let look = |polls, second: u64| {
        let infos = [1, 2].map(|id| TaskInfo { polls, ..idle(id, line, 1) });
        let waiters = [(1, second), (2, 1)];
        let waiters = waiters.map(|(id, by)| waiter(id, WaitKind::Mutex, line, 1, lock(id as usize, by, line, 1, 1)));
        dump(infos.into(), waiters.into())
    };
    let confirmed = |again: &dyn Fn() -> Dump| {
        let mut dump = look(1, 2);
        dump.confirm(again);
        dump.diagnoses().len()
    };
    assert_eq!(look(1, 2).diagnoses().len(), 1);
    assert_eq!(confirmed(&|| look(1, 2)), 1);
    assert_eq!(confirmed(&|| look(2, 2)), 0, "they were polled");
    assert_eq!(confirmed(&|| look(1, 9)), 0, "another task has the lock");
    look(1, 9).confirm(|| panic!("nothing was found, so no second look is needed"));
}

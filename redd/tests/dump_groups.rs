//! Task groups, shields, clean-ups and supervisors in dumps.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test is about few of the variants")]
#![allow(clippy::disallowed_methods, reason = "the threads of a program use the standard library")]

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redd::group::{Phases, Supervisor, TaskGroup, shield};
use redd::observe::WaitKind;
use redd::runtime::dump::{Child, ChildStage, Dump, Node, NodeKind, Role, Task, What};
use redd::runtime::{Builder, Handle};
use redd::sync::{Mutex, Notify, oneshot};
use redd::task::{Id, yield_now};
use redd::time::{Duration, advance, sleep, timeout};

/// On a current-thread runtime with a clock that stands still.
fn paused<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
        test().await;
    });
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

fn dump() -> Dump {
    Handle::current().snapshot()
}

fn task(dump: &Dump, id: Id) -> &Task {
    dump.tasks().get(id).unwrap_or_else(|| panic!("task {id} is not in {dump}"))
}

fn node<'a>(dump: &'a Dump, name: &str) -> &'a Node {
    let named = |node: &&Node| node.name() == Some(name);
    dump.nodes().iter().find(named).unwrap_or_else(|| panic!("no node `{name}` in {dump}"))
}

/// The lines of the tree, without what follows the first parenthesis of each.
fn tree(dump: &Dump) -> Vec<String> {
    let tree = dump.tree().to_string();
    tree.lines().map(|line| line.split(" (").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_group_is_an_inner_node_with_its_counts_and_its_tasks() {
    paused(|| async {
        let owner = redd::task::Builder::new()
            .name("owner")
            .spawn(async {
                let group = TaskGroup::limit(2).name("downloads").deadline(secs(30)).start();
                group.spawn(async { 1 });
                for _ in 0..4 {
                    group.spawn(pending());
                }
                // The results stay.
                pending::<()>().await;
            })
            .unwrap();
        settle().await;
        advance(secs(12)).await;
        let dump = dump();
        let group = node(&dump, "downloads");
        assert_eq!(group.created_by(), Some(owner.id()));
        let NodeKind::Group {
            running: 2, queued: 2, ended: 1, limit: Some(2), is_closing: false, is_left: false, ..
        } = group.kind()
        else {
            panic!("{dump}")
        };
        let NodeKind::Group { deadline_left: Some(left), cancelled: None, clean_up: None, .. } = group.kind() else {
            panic!("{dump}")
        };
        assert_eq!(left.as_secs_f64().round(), 18.0);
        let lines = tree(&dump);
        assert_eq!(lines[0], format!("task {} `owner`", owner.id()));
        assert_eq!(lines[1], format!("└─ group #{} `downloads`", group.number()));
        // Two that run, and two that wait for a place; and the task that waits for the deadline.
        assert_eq!(lines[2..4], ["   ├─ 2 tasks `downloads`", "   ├─ 2 tasks `downloads`"], "{}", dump.tree());
        let text = dump.tree().to_string();
        assert!(text.contains("2 running of at most 2, 2 queued, 1 result is not taken, 18.0s left\n"), "{text}");
        assert!(text.contains(" as its watcher, "), "{text}");
        assert!(text.contains("waits: GroupPlace at "), "{text}");
        assert!(text.contains(&format!("; group #{} `downloads`, 0 to 1 before them\n", group.number())), "{text}");
        owner.abort();
    });
}

#[test]
fn a_queued_task_says_how_many_are_before_it() {
    paused(|| async {
        let group = TaskGroup::<()>::limit(1).name("queue").start();
        let tasks: Vec<_> = (0..5).map(|_| group.spawn(pending()).id()).collect();
        settle().await;
        let before = |dump: &Dump| -> Vec<Option<usize>> {
            let before = |id: &Id| match task(dump, *id).group().unwrap().role {
                Role::Queued { before, .. } => Some(before),
                _ => None,
            };
            tasks.iter().filter(|id| dump.tasks().get(**id).is_some()).map(before).collect()
        };
        let first = dump();
        assert_eq!(before(&first), [None, Some(0), Some(1), Some(2), Some(3)]);
        let [wait] = task(&first, tasks[3]).waits() else { panic!("{first}") };
        assert_eq!(wait.kind(), WaitKind::GroupPlace);
        assert!(matches!(wait.what(), What::Group { before: Some(2), .. }), "{wait:?}");
        let aborted = Handle::current().metrics().task_group_queue_depth();
        assert_eq!(aborted, 4);
        group.cancel("enough");
        group.close().await.unwrap_err();
        assert_eq!(dump().nodes().len(), 0, "it has ended");
    });
}

#[test]
fn an_aborted_task_leaves_the_queue() {
    paused(|| async {
        let group = TaskGroup::<()>::limit(1).name("queue").start();
        let tasks: Vec<_> = (0..4).map(|_| group.spawn(pending())).collect();
        settle().await;
        tasks[1].abort();
        settle().await;
        let dump = dump();
        assert!(matches!(task(&dump, tasks[2].id()).group().unwrap().role, Role::Queued { before: 0, .. }));
        assert!(matches!(node(&dump, "queue").kind(), NodeKind::Group { running: 1, queued: 2, .. }));
        assert_eq!(Handle::current().metrics().task_group_queue_depth(), 2);
    });
}

#[test]
fn what_waits_for_a_group_names_it() {
    paused(|| async {
        let start = |name| {
            let group = TaskGroup::<()>::limit(1).name(name).start();
            group.spawn(pending());
            group
        };
        let (next, ready, close, order) = (start("next"), start("ready"), start("close"), start("order"));
        let waits = [
            redd::spawn(async move { drop(next.next().await) }),
            redd::spawn(async move { ready.ready().await }),
            redd::spawn(async move { drop(close.close().await) }),
            redd::spawn(async move { drop(order.in_order().next().await) }),
        ];
        settle().await;
        let dump = dump();
        let kinds = [WaitKind::GroupTask, WaitKind::GroupPlace, WaitKind::GroupEnd, WaitKind::GroupTask];
        for ((waits, kind), name) in waits.iter().zip(kinds).zip(["next", "ready", "close", "order"]) {
            let [wait] = task(&dump, waits.id()).waits() else { panic!("{dump}") };
            assert_eq!(wait.kind(), kind);
            assert_eq!(wait.location().unwrap().file(), file!(), "{name}");
            let What::Group { node: number, name: Some(shown), before: None, .. } = wait.what() else {
                panic!("{name}: {wait:?}")
            };
            assert_eq!((&**shown, *number), (name, node(&dump, name).number()));
        }
        assert!(dump.to_string().contains("; closing\n"), "{dump}");
        waits.iter().for_each(redd::task::JoinHandle::abort);
    });
}

#[test]
fn nested_groups_nest_and_stay_in_the_outer_one_when_their_owner_has_ended() {
    paused(|| async {
        let outer = TaskGroup::<()>::builder().name("outer").start();
        let (send, receive) = oneshot::channel();
        outer.spawn(async move {
            let inner = TaskGroup::<()>::builder().name("inner").start();
            inner.spawn(pending());
            let _ = send.send(inner);
        });
        let owner = outer.spawn(async {
            let inner = TaskGroup::<()>::builder().name("owned").start();
            inner.spawn(pending());
            drop(inner.next().await);
        });
        let inner = receive.await.unwrap();
        settle().await;
        let dump = dump();
        let number = |name| node(&dump, name).number();
        assert_eq!(node(&dump, "inner").around(), Some(number("outer")));
        let lines = tree(&dump);
        let expected = [
            format!("group #{} `outer`", number("outer")),
            format!("├─ task {} `outer`", owner.id()),
            format!("│  └─ group #{} `owned`", number("owned")),
        ];
        assert_eq!(lines[..3], expected, "{}", dump.tree());
        assert_eq!(lines[4], format!("└─ group #{} `inner`", number("inner")), "{}", dump.tree());
        assert!(lines[5].starts_with("   └─ task "), "{}", dump.tree());
        assert!(dump.tree().to_string().contains(", owner gone, "), "{}", dump.tree());
        drop(inner);
    });
}

#[test]
fn a_cancelled_group_shows_why_and_a_task_in_a_shield_shows_the_shield() {
    paused(|| async {
        let group = TaskGroup::<()>::builder().name("commits").start();
        let line = line!() + 1;
        let shielded = group.spawn(async { shield(secs(5), sleep(secs(3))).await });
        settle().await;
        let before = dump();
        let [shown] = task(&before, shielded.id()).shields() else { panic!("{before}") };
        assert_eq!((shown.made_at.file(), shown.made_at.line(), shown.remaining), (file!(), line, None));
        let [wait] = task(&before, shielded.id()).waits() else { panic!("{before}") };
        assert_eq!(wait.kind(), WaitKind::Timer);
        group.cancel("the service stops");
        settle().await;
        advance(secs(2)).await;
        settle().await;
        let after = dump();
        let [shown] = task(&after, shielded.id()).shields() else { panic!("{after}") };
        assert_eq!((shown.made_at.line(), shown.remaining.unwrap().as_secs_f64().round()), (line, 3.0));
        assert_eq!(task(&after, shielded.id()).waits().len(), 1, "{after}");
        let text = after.to_string();
        assert!(text.contains(&format!(", in a shield made at {}:{line}:", file!())), "{text}");
        assert!(text.contains(" with 3.0s left)"), "{text}");
        assert!(text.contains("; cancelled ") && text.contains(" ago: the service stops\n"), "{text}");
        assert_eq!(group.close().await.unwrap(), [()]);
    });
}

#[test]
fn a_group_shows_the_phase_of_a_shutdown_that_it_is_in() {
    paused(|| async {
        let phases = Phases::new().then("requests", secs(20)).then("flush", secs(10));
        let build = |phase: &str| TaskGroup::<()>::builder().name(phase).in_phase(&phases, phase).start();
        let (requests, flush) = (build("requests"), build("flush"));
        let other = TaskGroup::<()>::builder().name("other").start();
        for group in [&requests, &flush, &other] {
            group.spawn(shield(secs(300), pending()));
        }
        let in_phase = |dump: &Dump, name: &str| {
            let NodeKind::Group { in_phase, .. } = node(dump, name).kind() else { panic!("{dump}") };
            in_phase.as_ref().map(|phase| (phase.name.to_string(), phase.has_begun, phase.is_over))
        };
        let both = |dump: &Dump| {
            ["requests", "flush"].map(|name| {
                let (phase, has_begun, is_over) = in_phase(dump, name).unwrap();
                assert_eq!(phase, name);
                (has_begun, is_over)
            })
        };
        settle().await;
        let before = dump();
        assert_eq!((in_phase(&before, "other"), both(&before)), (None, [(false, false), (false, false)]));
        assert!(before.to_string().contains("; in phase `requests`, which has not begun\n"), "{before}");
        phases.start("SIGTERM");
        settle().await;
        let first = dump();
        assert_eq!(both(&first), [(true, false), (false, false)], "{first}");
        assert!(first.to_string().contains("; in phase `requests`, which has begun\n"), "{first}");
        sleep(secs(21)).await;
        let second = dump();
        assert_eq!(both(&second), [(true, true), (true, false)], "{second}");
        assert!(second.to_string().contains("; in phase `requests`, which is over\n"), "{second}");
        let json: serde_json::Value = serde_json::from_str(&second.to_json()).unwrap();
        let phase = |name: &str| {
            let nodes = json["nodes"].as_array().unwrap();
            nodes.iter().find(|node| node["name"] == name).unwrap()["in_phase"].clone()
        };
        assert_eq!(phase("flush"), serde_json::json!({ "name": "flush", "has_begun": true, "is_over": false }));
        assert!(phase("other").is_null());
    });
}

#[test]
fn a_dropped_group_shows_what_is_left_and_the_clean_up_that_runs() {
    paused(|| async {
        let line = line!() + 1;
        let group = TaskGroup::<()>::builder().name("leaves").start();
        group.defer(secs(1), async {});
        let deferred = line!() + 1;
        group.defer(secs(9), sleep(secs(8)));
        group.spawn(pending());
        drop(group);
        settle().await;
        let dump = dump();
        let NodeKind::Group { is_left: true, clean_up: Some(clean_up), clean_ups_left: 1, running: 0, .. } =
            node(&dump, "leaves").kind()
        else {
            panic!("{dump}")
        };
        assert_eq!((clean_up.deferred_at.line(), clean_up.within), (deferred, secs(9)));
        let cleans_up = task(&dump, clean_up.task.unwrap());
        assert_eq!(cleans_up.group().unwrap().role, Role::CleanUp);
        let text = dump.tree().to_string();
        assert!(text.contains(&format!("`leaves` (left by a dropped group at {}:{line}:", file!())), "{text}");
        let clean_up = format!("; cleans up, deferred at {}:{deferred}:", file!());
        assert!(text.contains(&clean_up) && text.contains(", which may take 9.0s, and 1 more\n"), "{text}");
        sleep(secs(10)).await;
        assert_eq!(self::dump().nodes().len(), 0);
    });
}

#[test]
fn a_supervisor_shows_its_children_and_their_restarts() {
    paused(|| async {
        let has_run = AtomicBool::new(false);
        let supervisor = Supervisor::one_for_one()
            .intensity(5, secs(60))
            .backoff(secs(4)..secs(8))
            .child("ingest", move || {
                let is_first = !has_run.swap(true, Ordering::Relaxed);
                async move {
                    sleep(if is_first { secs(1) } else { secs(3600) }).await;
                    Err::<(), _>("the connection is lost")
                }
            })
            .child("flush", pending::<()>)
            .child("short", || async {});
        let runs = redd::spawn(supervisor.run());
        settle().await;
        let children = |dump: &Dump| -> Vec<Child> {
            let [NodeKind::Supervisor { strategy: "one_for_one", children, .. }] = dump
                .nodes()
                .iter()
                .map(Node::kind)
                .filter(|kind| matches!(kind, NodeKind::Supervisor { .. }))
                .collect::<Vec<_>>()[..]
            else {
                panic!("{dump}")
            };
            children.clone()
        };
        let first = dump();
        let stages: Vec<_> = children(&first).iter().map(|child| (child.name.to_string(), child.stage)).collect();
        let expected = [("ingest", ChildStage::Running), ("flush", ChildStage::Running), ("short", ChildStage::Done)];
        assert_eq!(stages, expected.map(|(name, stage)| (name.to_owned(), stage)));
        // The task that supervises has a line for each wait.
        let lines = tree(&first).into_iter().skip_while(|line| !line.contains("supervisor")).collect::<Vec<_>>();
        assert!(lines[0].starts_with("└─ supervisor #"), "{}", first.tree());
        assert_eq!(lines[1], "   ├─ child `ingest`: running, 0 restarts");
        assert!(lines[2].starts_with("   │  └─ task ") && lines[2].ends_with(" `ingest`"), "{}", first.tree());
        assert_eq!(lines[3], "   ├─ child `flush`: running, 0 restarts");
        assert_eq!(lines[5], "   └─ child `short`: done, 0 restarts");
        sleep(Duration::from_millis(1100)).await;
        let waits = dump();
        let ChildStage::Waiting { remaining, .. } = children(&waits)[0].stage else { panic!("{waits}") };
        assert!(remaining > secs(1) && remaining <= secs(4), "{remaining:?}");
        assert!(waits.tree().to_string().contains("child `ingest`: starts again in "), "{}", waits.tree());
        sleep(secs(4)).await;
        let again = dump();
        let ingest = &children(&again)[0];
        assert_eq!((ingest.stage, ingest.restarts), (ChildStage::Running, 1), "{again}");
        assert_eq!(&*ingest.last_failure.as_ref().unwrap().0, "the connection is lost");
        let metrics = Handle::current().metrics();
        assert_eq!(metrics.supervisor_restart_count(), 1);
        assert_eq!(metrics.num_task_groups(), 2);
        let text = metrics.to_string();
        assert!(
            text.contains("task groups: 2 groups, 0 tasks wait for a place, 1 restart of supervised children\n"),
            "{text}"
        );
        runs.abort();
        settle().await;
        assert_eq!(dump().nodes().len(), 0);
        assert_eq!(metrics.num_task_groups(), 0);
    });
}

#[test]
fn the_json_has_groups_and_supervisors() {
    paused(|| async {
        let group = TaskGroup::<()>::limit(1).name("a \"name\"").start();
        group.spawn(pending());
        let queued = group.spawn(pending());
        let supervisor = Supervisor::rest_for_one().child("c", pending::<()>);
        let runs = redd::spawn(supervisor.run());
        settle().await;
        let json: serde_json::Value = serde_json::from_str(&dump().to_json()).unwrap();
        assert_eq!(json["format"], "redd-dump/1");
        let nodes = json["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3);
        let find = |key: &str, value: &str| nodes.iter().find(|node| node[key] == value).unwrap();
        let node = find("name", "a \"name\"");
        assert_eq!((&node["type"], &node["running"], &node["queued"]), (&"group".into(), &1.into(), &1.into()));
        assert!(node["created_by"].is_null() && node["cancelled"].is_null() && node["clean_up"].is_null());
        let supervisor = find("type", "supervisor");
        assert_eq!(supervisor["strategy"], "rest_for_one");
        assert_eq!(supervisor["children"][0]["state"], "running");
        assert_eq!(find("name", "c")["around"], supervisor["node"]);
        assert_eq!(find("name", "c")["child"], 0);
        let tasks = json["tasks"].as_array().unwrap();
        let id: u64 = queued.id().to_string().parse().unwrap();
        let task = tasks.iter().find(|task| task["id"] == id).unwrap();
        assert_eq!(task["group"], serde_json::json!({ "node": node["node"], "role": "queued", "before": 0 }));
        assert_eq!(task["waits"][0]["what"], serde_json::json!({ "type": "group", "node": node["node"], "before": 0 }));
        runs.abort();
    });
}

#[test]
fn equal_groups_are_counted() {
    paused(|| async {
        let groups: Vec<_> = (0..300)
            .map(|_| {
                let group = TaskGroup::<()>::builder().name("request").start();
                group.spawn(pending());
                group
            })
            .collect();
        settle().await;
        let dump = dump();
        let text = dump.to_string();
        assert!(text.contains("300 groups `request` (created at "), "{text}");
        assert!(text.contains("): 300 running, 0 queued, 0 results not taken\n"), "{text}");
        assert_eq!(format!("{dump:#}").lines().filter(|line| line.starts_with("group #")).count(), 300);
        drop(groups);
    });
}

/// Dumps on one thread, while others run tasks in groups.
#[test]
fn dumps_and_groups_do_not_wait_for_each_other() {
    const GROUPS: usize = 1000;
    const TASKS: usize = 100;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let dumps = std::thread::spawn(move || {
        let mut dumps = 0;
        while !is_done.load(Ordering::Relaxed) {
            let dump = handle.snapshot();
            assert!(dump.diagnoses().is_empty(), "{dump}");
            drop((dump.to_string(), dump.tree().to_string(), dump.to_json()));
            dumps += 1;
        }
        dumps
    });
    let runs = async {
        let owners: Vec<_> = (0..4)
            .map(|_| {
                redd::spawn(async {
                    for number in 0..GROUPS / 4 {
                        let group = TaskGroup::limit(8).name("load").start();
                        for _ in 0..TASKS {
                            group.spawn(yield_now());
                        }
                        match number % 3 {
                            0 => drop(group),
                            1 => assert_eq!(group.close().await.unwrap().len(), TASKS),
                            _ => {
                                let mut results = group.in_order();
                                while results.next().await.is_some() {}
                            }
                        }
                    }
                })
            })
            .collect();
        for owner in owners {
            owner.await.unwrap();
        }
    };
    runtime.block_on(async { timeout(secs(300), runs).await.expect("no group waits forever") });
    done.store(true, Ordering::Relaxed);
    assert!(dumps.join().unwrap() > 0);
    runtime.block_on(async {
        while runtime.metrics().num_task_groups() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn the_owner_that_closes_a_group_with_a_lock_that_a_task_of_it_needs_is_in_a_deadlock() {
    let deadlock = |build: fn() -> TaskGroup<()>| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let lock = Arc::new(Mutex::new(()));
            let owner = redd::spawn(async move {
                let guard = lock.lock().await;
                let group = build();
                let lock = Arc::clone(&lock);
                group.spawn(async move { drop(lock.lock().await) });
                group.spawn(yield_now());
                drop(group.close().await);
                drop(guard);
            });
            settle().await;
            let dump = dump();
            owner.abort();
            let rings: Vec<Vec<Id>> = dump.diagnoses().iter().map(|diagnosis| diagnosis.tasks()).collect();
            (rings, owner.id(), dump.to_string())
        })
    };
    let (rings, owner, text) = deadlock(TaskGroup::new);
    let [ring] = &rings[..] else { panic!("{text}") };
    assert!(ring.len() == 2 && ring.contains(&owner), "{text}");
    assert!(text.starts_with("deadlock: 2 tasks wait for each other\n"), "{text}");
    // A deadline ends it.
    let (rings, _, text) = deadlock(|| TaskGroup::builder().deadline(secs(3600)).start());
    assert!(rings.is_empty(), "{text}");
}

#[test]
fn an_owner_that_waits_for_its_tasks_is_in_no_deadlock() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (lock, notify) = (Arc::new(Mutex::new(())), Arc::new(Notify::new()));
        let mut owners = Vec::new();
        // A task of the group waits for a lock that another task has, which can go on.
        let holder = redd::spawn({
            let (lock, notify) = (Arc::clone(&lock), Arc::clone(&notify));
            async move {
                let _guard = lock.lock().await;
                notify.notified().await;
            }
        });
        settle().await;
        for waits_for in 0..3 {
            let lock = Arc::clone(&lock);
            owners.push(redd::spawn(async move {
                let group = TaskGroup::<()>::new();
                group.spawn(async move { drop(lock.lock().await) });
                match waits_for {
                    0 => drop(group.close().await),
                    1 => drop(group.next().await),
                    _ => drop(group.in_order().next().await),
                }
            }));
        }
        // An owner with a lock that its task waits for, and that stops waiting.
        owners.push(redd::spawn(async {
            let lock = Arc::new(Mutex::new(()));
            let _guard = lock.lock().await;
            let group = TaskGroup::<()>::new();
            let wanted = Arc::clone(&lock);
            group.spawn(async move { drop(wanted.lock().await) });
            drop(timeout(secs(3600), group.close()).await);
        }));
        // `next` returns when the other task ends.
        owners.push(redd::spawn(async {
            let lock = Arc::new(Mutex::new(()));
            let _guard = lock.lock().await;
            let group = TaskGroup::<()>::new();
            let wanted = Arc::clone(&lock);
            group.spawn(async move { drop(wanted.lock().await) });
            group.spawn(sleep(secs(3600)));
            drop(group.next().await);
        }));
        // The group can be cancelled.
        let (send, receive) = oneshot::channel();
        owners.push(redd::spawn(async {
            let lock = Arc::new(Mutex::new(()));
            let _guard = lock.lock().await;
            let group = TaskGroup::<()>::new();
            let wanted = Arc::clone(&lock);
            group.spawn(async move { drop(wanted.lock().await) });
            let _ = send.send(group.scope());
            drop(group.close().await);
        }));
        let _scope = receive.await.unwrap();
        settle().await;
        let dump = dump();
        assert!(dump.diagnoses().is_empty(), "{dump}");
        assert_eq!(dump.nodes().len(), 6, "{dump}");
        owners.iter().for_each(redd::task::JoinHandle::abort);
        notify.notify_one();
        holder.await.unwrap();
    });
}

//! `Dump`: the tasks of a runtime at one moment.
//!
//! Called by `runtime::handle` and by user code.

use std::fmt::{self, Write as _};

use super::diagnosis::Diagnosis;
use super::join::{Contents, join};
use super::node::Node;
use super::rules;
use super::task::{Root, Tasks};
use super::tree::Tree;
use super::wait::Wait;
use super::{json, text};
use crate::observe::nodes::NodeInfo;
use crate::observe::task_info::TaskInfo;
use crate::observe::unjoined::Unjoined;
use crate::observe::waiter::WaiterInfo;

/// The tasks of a runtime at one moment. Each may have changed since.
///
/// `Display` counts equal tasks: those spawned at the same line, with waits of the same kinds at the same lines. `{:#}`
/// shows each task for itself. A task that holds a lock for which others wait is never counted among others.
///
/// ```text
/// 300 tasks (spawned at src/server.rs:41:13, oldest 1m 5s) waits: Timer at src/server.rs:52:42 for up to 1.5s; due in 8.5s to 10.0s
/// task 4096 `writer` (spawned at src/main.rs:17:9 by task 1, 1m 5s old, 9 polls, the last 12.1s ago)
///     waits: Mutex at src/store.rs:88:31 for 12.1s; #1 taken by task 1025 `compact` at src/store.rs:140:24 12.1s ago, 1 waiting
///     waits: Timer at src/store.rs:88:9 for 12.1s; due in 17.9s
/// ```
///
/// Control characters in names and paths are shown as escapes.
///
/// # Examples
/// ```
/// use redd::runtime::Handle;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let waiting: Vec<_> = (0..3).map(|_| redd::spawn(std::future::pending::<()>())).collect();
/// redd::task::yield_now().await;
/// let dump = Handle::current().snapshot();
/// assert_eq!(dump.tasks().iter().count(), 3);
/// assert!(dump.to_string().starts_with("3 tasks (spawned at "));
/// let each = format!("{dump:#}");
/// assert_eq!(each.lines().filter(|line| line.starts_with("task ")).count(), 3);
/// # waiting.iter().for_each(redd::task::JoinHandle::abort); });
/// ```
#[derive(Debug)]
pub struct Dump {
    contents: Contents,
}

impl Dump {
    /// Joins the tasks and nodes of a runtime and the waiters of the process. So many waiters were `left_out`. `now_ms` is the
    /// coarse clock of the process.
    pub(crate) fn new(
        infos: Vec<TaskInfo>,
        waiters: Vec<WaiterInfo>,
        nodes: Vec<NodeInfo>,
        left_out: usize,
        now_ms: u32,
    ) -> Self {
        let mut contents = join(infos, waiters, nodes, left_out, now_ms);
        contents.diagnoses = rules::find(&contents);
        Self { contents }
    }

    /// Removes the diagnoses that a dump of a later moment does not confirm.
    pub(crate) fn confirm(&mut self, look_again: impl FnOnce() -> Self) {
        if !self.contents.diagnoses.is_empty() {
            self.confirm_by(&look_again());
        }
    }

    /// As [`confirm`](Self::confirm), by this dump.
    pub(crate) fn confirm_by(&mut self, again: &Self) {
        let mut found = std::mem::take(&mut self.contents.diagnoses);
        rules::confirm(&mut found, &self.contents, &again.contents);
        self.contents.diagnoses = found;
    }

    /// If nothing else is wrong, finds out whether anything can happen. For a dump of all that a runtime has.
    pub(crate) fn with_stillness(mut self) -> Self {
        if self.contents.diagnoses.is_empty() {
            self.contents.diagnoses.extend(rules::nothing_can_happen(&self.contents));
        }
        self
    }

    pub(crate) fn with_unjoined(self, unjoined: Vec<Unjoined>) -> Self {
        Self { contents: Contents { unjoined, ..self.contents } }
    }

    /// Returns the tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.contents.tasks
    }

    /// Returns what is wrong: tasks that wait for each other, and others that can never run again or keep others from running.
    ///
    /// - A ring is found if each task in it waits on one thing only: on a lock that the next one has taken, or for the end of the next
    ///   one. It is not found if one of the tasks has another waker or an `AbortHandle`. Nor is it found if a guard in it owns its lock, or
    ///   the lock is a `static`: another task may have the guard by now. Rings through read locks and semaphores are not found.
    /// - A guard of a lock that was leaked (`Box::leak`) can be moved to another task, too. If that was done, tasks may be reported that
    ///   can go on.
    /// - [`Diagnosis::NothingCanHappen`] is there only without another one. A thread outside of the runtime may still wake a task.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Handle;
    /// use redd::runtime::dump::Diagnosis;
    /// use redd::sync::Mutex;
    /// use std::sync::Arc;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    /// let take_both = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
    ///     let (first, second) = (first.clone(), second.clone());
    ///     redd::spawn(async move {
    ///         let _first = first.lock().await;
    ///         redd::task::yield_now().await;
    ///         let _second = second.lock().await;
    ///     })
    /// };
    /// let tasks = [take_both(&a, &b), take_both(&b, &a)];
    /// for _ in 0..3 {
    ///     redd::task::yield_now().await;
    /// }
    /// let dump = Handle::current().snapshot();
    /// let [deadlock @ Diagnosis::Deadlock { .. }] = dump.diagnoses() else { panic!("{dump}") };
    /// assert!(tasks.iter().all(|task| deadlock.tasks().contains(&task.id())));
    /// assert!(dump.to_string().starts_with("deadlock: 2 tasks wait for each other\n"));
    /// # tasks.iter().for_each(redd::task::JoinHandle::abort); });
    /// ```
    pub fn diagnoses(&self) -> &[Diagnosis] {
        &self.contents.diagnoses
    }

    /// Returns the tasks as a tree: each below the task group that it belongs to, or else below the task that spawned it. Groups and
    /// supervisors are below the tasks that made them. It is there to be printed.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Handle;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let outer = redd::spawn(async {
    ///     let inner = redd::spawn(std::future::pending::<()>());
    ///     let _joined = inner.await;
    /// });
    /// redd::task::yield_now().await;
    /// let tree = Handle::current().snapshot().tree().to_string();
    /// let lines: Vec<&str> = tree.lines().collect();
    /// assert!(lines[0].starts_with(&format!("task {}", outer.id())));
    /// assert!(lines[1].starts_with("└─ task "));
    /// # outer.abort(); });
    /// ```
    pub fn tree(&self) -> Tree<'_> {
        Tree::new(&self.contents)
    }

    /// Writes what is wrong, the tree, and what `Display` shows besides tasks. If `is_whole`, each task is written for itself.
    pub(crate) fn write_tree(&self, out: &mut String, is_whole: bool) -> fmt::Result {
        write!(out, "{}", text::Diagnoses(&self.contents))?;
        let tree = self.tree();
        if is_whole {
            write!(out, "{tree:#}")?
        } else {
            write!(out, "{tree}")?
        }
        write!(out, "{}", text::Others(&self.contents))
    }

    /// Returns the task groups and supervisors, the oldest first.
    pub fn nodes(&self) -> &[Node] {
        &self.contents.nodes
    }

    /// Returns the futures of `block_on` that the runtime runs.
    pub fn roots(&self) -> &[Root] {
        &self.contents.roots
    }

    /// Returns the other waits that no task registered: those of threads and of other executors, and the further ones of a future
    /// inside `block_on`.
    ///
    /// They are those of the process, and need not belong to this runtime.
    pub fn outside(&self) -> &[Wait] {
        &self.contents.outside
    }

    /// Returns the finished tasks that stay in large `JoinSet`s until they are joined. A set that is never joined is a leak.
    ///
    /// They are those of the process: a set may have tasks of several runtimes.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Handle;
    /// use redd::task::JoinSet;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut set = JoinSet::new();
    /// for _ in 0..100 {
    ///     set.spawn(async {});
    ///     redd::task::yield_now().await;
    /// }
    /// let dump = Handle::current().snapshot();
    /// assert_eq!((dump.unjoined()[0].sets, dump.unjoined()[0].tasks), (1, 100));
    /// assert!(dump.to_string().contains("100 finished tasks are not joined, in a `JoinSet` created at "));
    /// # set.join_all().await; });
    /// ```
    pub fn unjoined(&self) -> &[Unjoined] {
        &self.contents.unjoined
    }

    /// Returns the number of waits of the process whose details are missing: of a lock or notification for which hundreds of tasks
    /// wait, not all waiters are read. Such a task has the wait that its last poll recorded, with its line.
    pub fn left_out(&self) -> usize {
        self.contents.left_out
    }

    /// Returns the dump as JSON, in a format that stays as it is: keys may be added to it, and none is removed or changes its
    /// meaning.
    ///
    /// | object | keys |
    /// |---|---|
    /// | dump | `format`: `"redd-dump/1"`; `diagnoses`; `tasks`; `nodes`; `roots`; `outside`: a list of waits; `unjoined`; `left_out` |
    /// | task | `id`; `name` or null; `is_blocking`: it is a closure; `parent`: the id of the task that spawned it, or null; |
    /// | | `spawned_at`; `age_ms`; `polls`; `since_polled_ms` or null; `state`: `"running"`, `"queued"` or `"waiting"`; |
    /// | | `thread`: the system's id of the thread that runs it, or null; `waits`; |
    /// | | `group` or null, with `node`; `role`: `"task"`, `"queued"`, `"watcher"` or `"clean_up"`; `before` or null; |
    /// | | `shields`: a list with `made_at`, and `remaining_ms` or null |
    /// | node | `node`: its number; `name` or null; `created_at`; `created_by`: the id of a task, or null; |
    /// | | `around`: the number of a node, or null; `age_ms`; `type`, with further keys |
    /// | node, `"group"` | `child`: the index of a supervisor's child, or null; `limit` or null; `running`; `queued`; `ended`; |
    /// | | `deadline_left_ms` or null; `is_closing`; `is_left`; `cancelled` or null, with `reason` and `ago_ms`; |
    /// | | `clean_up` or null, with `task` or null, `deferred_at` and `within_ms`; `clean_ups_left`; |
    /// | | `in_phase` or null, with `name`, `has_begun` and `is_over` |
    /// | node, `"supervisor"` | `strategy`; `children`: a list with `name`; `state`: `"running"`, `"waiting"` or `"done"`; |
    /// | | `remaining_ms` or null; `restarts`; `last_failure` or null, with `text` and `ago_ms` |
    /// | root | `called_at`; `age_ms`; `is_running`; `waits` |
    /// | wait | `kind`: the name of a [`WaitKind`](crate::observe::WaitKind); `at` or null; `since_ms` or null; `what` or null |
    /// | diagnosis | `type`: `"deadlock"`, with `tasks`: the ids in the ring; |
    /// | | `"futurelock"`, with `task` or null; `kind`; `granted_at` or null; `ago_ms`; `released_by` or null; `waiting`; `waits`; |
    /// | | `"stranded"`, with `task`; or `"nothing_can_happen"`, with `waiting` |
    /// | unjoined | `created_at`, `sets`, `tasks` |
    ///
    /// A location (`spawned_at`, `called_at`, `created_at`, `made_at`, `deferred_at`, `at`) is a string: path, line and column with colons between them. The path of a dependency's
    /// file begins with the name and version of its crate. Numbers are integers, and times are in milliseconds. All keys of an
    /// object are always there. The key `type` of `what` says which other keys it has:
    ///
    /// | `type` | keys |
    /// |---|---|
    /// | `lock` | `object`; `taken` or null, with `task` or null, `at` or null, `ago_ms`, `is_only` and `is_owned`; `out` or null; `waiting` |
    /// | `task` | `task`, the id of the joined one |
    /// | `deadline` | `remaining_ms` |
    /// | `descriptor` | `fd`; `about` or null |
    /// | `channel` | `object`, `senders`, `receivers`, `length` |
    /// | `group` | `node`; `before` or null |
    /// | `process` | `pid` |
    /// | `signal` | `number` |
    ///
    /// [`What`](super::What) and [`NodeKind`](super::NodeKind) explain them. There is one line for each task and for each node.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::Handle;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let task = redd::task::Builder::new().name("a \"quoted\" name").spawn(std::future::pending::<()>()).unwrap();
    /// let json = Handle::current().snapshot().to_json();
    /// assert!(json.starts_with(r#"{"format":"redd-dump/1","diagnoses":[],"tasks":["#));
    /// assert!(json.contains(r#""name":"a \"quoted\" name""#));
    /// # task.abort(); });
    /// ```
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    /// Writes one task with all of its waits. False if there is none with this number.
    pub(crate) fn write_task(&self, out: &mut String, number: u64) -> bool {
        let task = self.contents.tasks.iter().find(|task| task.id().number() == number);
        task.is_some_and(|task| text::write_task(out, task, &self.contents.tasks).is_ok())
    }

    /// Writes [`to_json`](Self::to_json) behind what `out` has.
    pub(crate) fn write_json(&self, out: &mut String) {
        json::write(out, &self.contents);
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, &self.contents)
    }
}

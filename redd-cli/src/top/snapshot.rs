//! One picture of a process, as it replied.

use std::cmp::Reverse;

use serde_json::Value;

/// What a process did in the last moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) runtimes: Vec<Runtime>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Runtime {
    /// Its kind and counts, in one line.
    pub(crate) heading: String,
    pub(crate) workers: Vec<Worker>,
    pub(crate) groups: Vec<Row>,
    /// Single tasks: those that were polled, then others, as far as the process lists them.
    pub(crate) tasks: Vec<Row>,
}

/// Counters of a worker since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Worker {
    pub(crate) polls: u64,
    pub(crate) busy_ns: u64,
    pub(crate) parks: u64,
    pub(crate) stolen: u64,
    pub(crate) queued: u64,
}

/// One task, or several that are alike.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// In thousandths of one worker.
    pub(crate) busy: u64,
    pub(crate) tasks: u64,
    /// Of one task.
    pub(crate) id: Option<u64>,
    /// The oldest task of several that are alike.
    pub(crate) oldest: Option<u64>,
    pub(crate) age_ms: u64,
    pub(crate) state: String,
    pub(crate) wait: String,
    pub(crate) spawned_at: String,
}

/// By what rows are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Busy,
    Tasks,
    Age,
    State,
    Wait,
    Location,
}

impl Sort {
    pub(crate) const ALL: [(char, Self, &'static str); 6] = [
        ('b', Self::Busy, "busy"),
        ('n', Self::Tasks, "number"),
        ('a', Self::Age, "age"),
        ('s', Self::State, "state"),
        ('w', Self::Wait, "wait"),
        ('l', Self::Location, "location"),
    ];

    pub(crate) fn sort(self, rows: &mut [Row]) {
        match self {
            Self::Busy => rows.sort_by_key(|row| Reverse((row.busy, row.tasks))),
            Self::Tasks => rows.sort_by_key(|row| Reverse((row.tasks, row.busy))),
            Self::Age => rows.sort_by_key(|row| Reverse(row.age_ms)),
            Self::State => rows.sort_by(|a, b| a.state.cmp(&b.state)),
            Self::Wait => rows.sort_by(|a, b| a.wait.cmp(&b.wait)),
            Self::Location => rows.sort_by(|a, b| a.spawned_at.cmp(&b.spawned_at)),
        }
    }
}

/// The columns of rows.
pub(crate) const COLUMNS: [&str; 6] = ["BUSY", "TASKS", "AGE", "STATE", "WAITS FOR", "SPAWNED AT"];

impl Row {
    /// Whether it had at least half of a worker.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy >= 500
    }

    /// The task to look at: this one, or the oldest of several.
    pub(crate) fn task(&self) -> Option<u64> {
        self.id.or(self.oldest)
    }

    pub(crate) fn cells(&self) -> [String; 6] {
        let number = self.id.map_or_else(|| self.tasks.to_string(), |id| format!("#{id}"));
        let busy = format!("{}.{} %", self.busy / 10, self.busy % 10);
        [busy, number, age(self.age_ms), self.state.clone(), self.wait.clone(), self.spawned_at.clone()]
    }

    fn parse(value: &Value, samples: u64) -> Option<Self> {
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| value[name].as_u64();
        let (wait, at) = (text("wait"), text("at"));
        let (spawned_at, name) = (text("spawned_at"), text("name"));
        let state = text("state");
        Some(Self {
            busy: number("sampled")? * 1000 / samples.max(1),
            tasks: number("tasks").unwrap_or(1),
            id: number("id"),
            oldest: number("oldest"),
            age_ms: number("oldest_ms").or_else(|| number("age_ms"))?,
            wait: match (&*wait, &*at) {
                ("", _) if state == "waiting" => "something outside of redd".to_owned(),
                (wait, "") => wait.to_owned(),
                (wait, at) => format!("{wait} at {at}"),
            },
            state,
            spawned_at: if name.is_empty() { spawned_at } else { format!("{spawned_at} `{}`", name.escape_debug()) },
        })
    }
}

impl Snapshot {
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(text).ok()?;
        let runtimes = value["runtimes"].as_array()?.iter().map(Runtime::parse).collect::<Option<_>>()?;
        Some(Self { runtimes })
    }

    /// The picture as text.
    pub(crate) fn text(&self, sort: Sort) -> String {
        let mut text = String::new();
        for runtime in &self.runtimes {
            text += &format!("{}\n", runtime.heading);
            let mut rows = runtime.groups.clone();
            sort.sort(&mut rows);
            text += &table(&rows);
        }
        text
    }
}

impl Runtime {
    fn parse(value: &Value) -> Option<Self> {
        let number = |value: &Value| value.as_u64();
        let samples = number(&value["samples"])?;
        let name = value["name"].as_str().map(|name| format!(" `{}`", name.escape_debug())).unwrap_or_default();
        let blocking = &value["blocking"];
        let heading = format!(
            "runtime {}{name}: {}, workers: {}, tasks: {}, injector: {}, blocking threads: {} ({} idle), queued closures: {}, \
             late polls: {}",
            number(&value["id"])?,
            value["kind"].as_str()?,
            number(&value["workers"])?,
            number(&value["tasks"])?,
            number(&value["injector"])?,
            number(&blocking["threads"])?,
            number(&blocking["idle"])?,
            number(&blocking["queued"])?,
            number(&value["late_polls"])?,
        );
        let heading = heading + &task_groups(&value["task_groups"]);
        let worker = |value: &Value| {
            Some(Worker {
                polls: number(&value["polls"])?,
                busy_ns: number(&value["busy_ns"])?,
                parks: number(&value["parks"])?,
                stolen: number(&value["stolen"])?,
                queued: number(&value["queued"])?,
            })
        };
        let rows =
            |name: &str| value[name].as_array()?.iter().map(|row| Row::parse(row, samples)).collect::<Option<_>>();
        Some(Self {
            heading,
            workers: value["each_worker"].as_array()?.iter().map(worker).collect::<Option<_>>()?,
            groups: rows("groups")?,
            tasks: rows("each_task")?,
        })
    }
}

/// The task groups and supervisors of a runtime, if it has or had some. A process with an older redd does not say it.
fn task_groups(value: &Value) -> String {
    let [alive, queued, restarts] =
        ["alive", "queued", "restarts"].map(|name| value[name].as_u64().unwrap_or_default());
    if alive + restarts == 0 {
        return String::new();
    }
    format!(", task groups: {alive} ({queued} queued tasks), restarts: {restarts}")
}

/// The rows below their headings, in columns as wide as their longest value.
fn table(rows: &[Row]) -> String {
    let cells: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [busy, tasks, age, state, wait] = [0, 1, 2, 3, 4].map(width);
    let line = |row: &[String; 6]| {
        let [a, b, c, d, e, f] = row;
        format!("{a:>busy$}  {b:>tasks$}  {c:>age$}  {d:<state$}  {e:<wait$}  {f}\n")
    };
    cells.iter().map(line).collect()
}

/// A time with its most useful unit.
fn age(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..600_000 => format!("{} s", ms / 1000),
        600_000..36_000_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const REPLY: &str = r#"{"format":"redd-attach/1","runtimes":[{"id":1,"name":"web","kind":"multi-thread","workers":2,
        "tasks":301,"samples":90,"each_worker":[{"polls":10,"busy_ns":5000000000,"parks":3,"stolen":1,"queued":0},
        {"polls":20,"busy_ns":100,"parks":4,"stolen":0,"queued":7}],"injector":0,
        "blocking":{"threads":2,"idle":1,"queued":0},"late_polls":1,
        "groups":[{"spawned_at":"src/main.rs:3:4","name":null,"state":"waiting","wait":"Timer","at":"src/main.rs:9:9","tasks":300,
        "oldest":3,"oldest_ms":1500,"sampled":0},{"spawned_at":"src/main.rs:5:6","name":"loop","state":"running","wait":null,"at":null,
        "tasks":1,"oldest":7,"oldest_ms":61000,"sampled":45}],
        "each_task":[{"spawned_at":"src/main.rs:5:6","name":"loop","state":"running","wait":null,"at":null,"id":7,"age_ms":61000,
        "sampled":45}]}]}"#;

    #[test]
    fn rows_are_in_the_order_that_was_asked_for() {
        let snapshot = Snapshot::parse(REPLY.as_bytes()).expect("it is a reply");
        assert_eq!(
            snapshot.text(Sort::Busy),
            "runtime 1 `web`: multi-thread, workers: 2, tasks: 301, injector: 0, blocking threads: 2 (1 idle), queued closures: 0, \
             late polls: 1\n\
             \x20 BUSY  TASKS    AGE  STATE    WAITS FOR                 SPAWNED AT\n\
             50.0 %      1   61 s  running                            src/main.rs:5:6 `loop`\n\
             \x200.0 %    300  1.5 s  waiting  Timer at src/main.rs:9:9  src/main.rs:3:4\n"
        );
        for (_, sort, name) in Sort::ALL {
            let first = snapshot.text(sort).lines().nth(2).expect("a row").contains("`loop`");
            assert_eq!(first, !matches!(name, "number" | "location"), "{name}");
        }
        assert!(Snapshot::parse(b"{}").is_none());
    }

    #[test]
    fn task_groups_and_restarts_are_counted_if_there_are_any() {
        let heading = |groups: &str| {
            let reply = REPLY.replace("\"late_polls\":1,", &format!("\"late_polls\":1,{groups}"));
            Snapshot::parse(reply.as_bytes()).expect("it is a reply").runtimes.remove(0).heading
        };
        let some = heading(r#""task_groups":{"alive":2,"queued":3,"restarts":1},"#);
        assert!(some.ends_with("late polls: 1, task groups: 2 (3 queued tasks), restarts: 1"), "{some}");
        let ended = heading(r#""task_groups":{"alive":0,"queued":0,"restarts":4},"#);
        assert!(ended.ends_with(", task groups: 0 (0 queued tasks), restarts: 4"), "{ended}");
        for none in ["", r#""task_groups":{"alive":0,"queued":0,"restarts":0},"#] {
            assert!(heading(none).ends_with("late polls: 1"), "{none}");
        }
    }
}

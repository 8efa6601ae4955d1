//! `Diagnosis`: something that is wrong with the tasks of a dump, with what a person needs to fix it.
//!
//! Made by `rules`; printed by `text` and by reports.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::groups::WaitLine;
use super::wait::{Wait, What};
use super::wait_text::{Age, write_wait};
use crate::observe::WaitKind;
use crate::observe::report::{Count, Grouped, Printable, ShortLocation};
use crate::task::Id;

pub(crate) type DiagnosisHook = Arc<dyn Fn(&Diagnosis) + Send + Sync>;

/// Something that is wrong with the tasks of a runtime. [`Dump::diagnoses`](super::Dump::diagnoses) returns those of one moment. A
/// runtime also looks for them by itself, see [`Builder::on_diagnosis`](crate::runtime::Builder::on_diagnosis).
///
/// `Display` prints lines: what is wrong, where each task waits and where what it waits for was taken, and how to fix it.
///
/// # Examples
/// RFD 609's *futurelock*: a task lets a future wait for a lock, and then waits for the same lock without polling that future.
/// ```
/// use redd::runtime::Handle;
/// use redd::runtime::dump::Diagnosis;
/// use redd::sync::Mutex;
/// use std::pin::pin;
/// use std::sync::Arc;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let lock = Arc::new(Mutex::new(()));
/// let guard = lock.lock().await;
/// let other = lock.clone();
/// let task = redd::spawn(async move {
///     let mut first = pin!(other.lock());
///     redd::select! {
///         biased;
///         _guard = &mut first => {}
///         // The lock will be granted to `first`, and nothing polls `first` here.
///         () = redd::task::yield_now() => drop(other.lock().await),
///     }
/// });
/// for _ in 0..3 {
///     redd::task::yield_now().await;
/// }
/// drop(guard);
/// redd::task::yield_now().await;
/// let dump = Handle::current().snapshot();
/// let [Diagnosis::Futurelock { task: Some(id), granted_at, waits, .. }] = dump.diagnoses() else { panic!("{dump}") };
/// assert_eq!(*id, task.id());
/// assert_ne!(granted_at.unwrap().line(), waits[0].location().unwrap().line());
/// # task.abort(); });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Diagnosis {
    /// Each of these tasks waits for the next one, and the last for the first: for a lock that it has taken, or for its end. None of
    /// them can be woken in another way.
    ///
    /// redd knows which task polled the future that took a lock. If that future, with its guard, is driven by an older task now,
    /// as futures that several tasks share may be, a ring is shown that is none.
    #[non_exhaustive]
    Deadlock {
        /// The tasks, in the order in which they wait for each other.
        tasks: Vec<StuckTask>,
    },
    /// A lock, or permits, were granted to a future that has not been polled since, although its task was. Others wait for them.
    ///
    /// It is certain if the task itself waits for the same lock, and nothing else can wake it. Otherwise the grant is older than a
    /// second.
    #[non_exhaustive]
    Futurelock {
        /// The task that polled the future last. `None`: the future of `block_on`.
        task: Option<Id>,
        /// What was granted.
        kind: WaitKind,
        /// The line that waited for the grant.
        granted_at: Option<&'static Location<'static>>,
        /// The time since the grant.
        ago: Duration,
        /// The task that released what was granted. `None` if that was no task.
        released_by: Option<Id>,
        /// The number of tasks that wait for the same object.
        waiting: usize,
        /// What the task waits for now.
        waits: Vec<Wait>,
    },
    /// A task that waits, and of which no waker is left: it can only be aborted. No `JoinHandle` or `AbortHandle` can do that, or
    /// the `JoinHandle` is awaited by a task that waits for nothing else.
    #[non_exhaustive]
    Stranded {
        /// The task.
        task: StuckTask,
    },
    /// All tasks of the runtime wait, and no timer, descriptor, signal, process or closure can wake one of them. Only a thread outside
    /// of the runtime can.
    #[non_exhaustive]
    NothingCanHappen {
        /// The number of tasks that wait, with the futures of `block_on`.
        waiting: usize,
    },
}

/// A task of a [`Diagnosis`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StuckTask {
    /// Its id.
    pub id: Id,
    /// Its name, if it was spawned with one.
    pub name: Option<Arc<str>>,
    /// The line that spawned it.
    pub spawned_at: &'static Location<'static>,
    /// How often it was polled.
    pub polls: u32,
    /// What it waits for.
    pub waits: Vec<Wait>,
}

impl Diagnosis {
    /// Returns the ids of the tasks that it is about.
    ///
    /// # Examples
    /// ```
    /// use redd::runtime::{Builder, dump::Diagnosis};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let stuck = Arc::new(Mutex::new(Vec::new()));
    /// let seen = stuck.clone();
    /// let _builder = Builder::new_multi_thread()
    ///     .on_diagnosis(move |diagnosis: &Diagnosis| seen.lock().unwrap().extend(diagnosis.tasks()));
    /// assert!(stuck.lock().unwrap().is_empty());
    /// ```
    pub fn tasks(&self) -> Vec<Id> {
        match self {
            Self::Deadlock { tasks } => tasks.iter().map(|task| task.id).collect(),
            Self::Futurelock { task, .. } => Vec::from_iter(*task),
            Self::Stranded { task } => vec![task.id],
            Self::NothingCanHappen { .. } => Vec::new(),
        }
    }

    /// Whether both are about the same tasks and lines.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.tasks() == other.tasks() && self.places() == other.places()
    }

    /// What tells it from others of the same program, for one report of each: its type and its lines.
    pub(crate) fn places(&self) -> (u8, Vec<&'static Location<'static>>) {
        let locations = |waits: &[Wait]| -> Vec<_> { waits.iter().filter_map(|wait| wait.location).collect() };
        match self {
            Self::Deadlock { tasks } => {
                let mut places: Vec<_> = tasks.iter().flat_map(|task| locations(&task.waits)).collect();
                places.sort_unstable();
                (0, places)
            }
            Self::Futurelock { granted_at, .. } => (1, Vec::from_iter(*granted_at)),
            Self::Stranded { task } => (2, vec![task.spawned_at]),
            Self::NothingCanHappen { .. } => (3, Vec::new()),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { tasks } => write_deadlock(f, tasks),
            Self::Futurelock { task, kind, granted_at, ago, released_by, waiting, waits } => {
                let (object, verb) = if matches!(kind, WaitKind::Mutex | WaitKind::RwLock) {
                    ("a lock", "was")
                } else if *kind == WaitKind::MpscSend {
                    ("room in a channel", "was")
                } else {
                    ("permits", "were")
                };
                writeln!(f, "futurelock: {object} {verb} granted to a future that {} does not poll", Holder(*task))?;
                write!(f, "    granted: {kind:?}")?;
                if let Some(location) = granted_at {
                    write!(f, " at {}", ShortLocation(location))?;
                }
                write!(f, " {} ago", Age(*ago))?;
                if let Some(id) = released_by {
                    write!(f, ", released by task {id}")?;
                }
                writeln!(f, "; {} waiting", Grouped(*waiting as u64))?;
                write_waits(f, &Holder(*task), waits)?;
                f.write_str(
                    "    The future has what it waited for, and gives it back only if it is polled. Poll it together with what is \
                     awaited now (`join!`), spawn it as a task, or drop it before.",
                )
            }
            Self::Stranded { task } => {
                let StuckTask { spawned_at, polls, waits, .. } = task;
                writeln!(
                    f,
                    "stranded: {task} (spawned at {}, {}) can never run again",
                    ShortLocation(spawned_at),
                    Count((*polls).into(), "poll", "polls")
                )?;
                write_waits(f, task, waits)?;
                f.write_str(
                    "    It waits, and no waker of it is left. A future in it returned `Pending` and kept no waker, or what had \
                     the waker dropped it. If the task is to wait forever, keep its `JoinHandle`.",
                )
            }
            Self::NothingCanHappen { waiting } => {
                f.write_str("nothing can happen: no task runs or is ready, and no timer, descriptor, signal, process or closure ")?;
                match waiting {
                    1 => f.write_str("can wake what waits")?,
                    waiting => write!(f, "can wake one of the {} that wait", Grouped(*waiting as u64))?,
                }
                f.write_str(". Only a thread outside of the runtime can.")
            }
        }
    }
}

fn write_deadlock(f: &mut fmt::Formatter<'_>, tasks: &[StuckTask]) -> fmt::Result {
    match tasks.len() {
        1 => writeln!(f, "deadlock: a task waits for itself")?,
        tasks => writeln!(f, "deadlock: {} tasks wait for each other", Grouped(tasks as u64))?,
    }
    for task in tasks {
        write_waits(f, task, &task.waits)?;
    }
    let has_join = tasks.iter().flat_map(|task| &task.waits).any(|wait| matches!(wait.what, What::Task(_)));
    f.write_str(match tasks.len() {
        1 => {
            "    It has taken that lock before. The guard is still in a variable, or in a future that nothing polls now: drop it \
             first. If another task drives that future now, this is no deadlock."
        }
        _ if has_join => "    Release the lock before awaiting a task that takes it.",
        _ => "    Take the locks in the same order everywhere, or release one before waiting for the other.",
    })
}

/// Writes a line for each of the waits.
fn write_waits(f: &mut fmt::Formatter<'_>, task: &impl fmt::Display, waits: &[Wait]) -> fmt::Result {
    for wait in waits {
        write!(f, "    {task} ")?;
        write_wait(f, &WaitLine { kind: wait.kind, location: wait.location, waits: vec![wait] }, 1, None)?;
        writeln!(f)?;
    }
    Ok(())
}

impl fmt::Display for StuckTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        self.name.as_ref().map_or(Ok(()), |name| write!(f, " `{}`", Printable(name)))
    }
}

/// The task that has a grant.
struct Holder(Option<Id>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(f, "task {id}"),
            None => f.write_str("the future of `block_on`"),
        }
    }
}

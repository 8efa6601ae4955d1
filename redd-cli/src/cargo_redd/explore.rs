//! `cargo redd explore`: runs seeds until one fails, shrinks the failure, and shows it.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redd::sim::Explore;

use crate::folder::Folder;
use crate::plural::count;
use crate::process::{Failed, Outcomes, Process};
use crate::test::Test;
use crate::{Exploration, print};

/// How long the run of a failing seed may take, and its shrinking.
const ALONE: Duration = Duration::from_secs(600);

/// How often the progress is shown.
const PROGRESS: Duration = Duration::from_secs(10);

/// Seeds of one strategy, for one process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Batch {
    strategy: Explore,
    seeds: Range<u64>,
}

/// What the threads share.
#[derive(Debug, Default)]
struct Search {
    batches: VecDeque<Batch>,
    ran: u64,
    /// One of each class.
    found: Vec<Failed>,
    error: Option<String>,
    ends: bool,
}

/// Returns whether a seed has failed.
pub(crate) fn run(exploration: &Exploration) -> Result<bool, String> {
    let folder = Folder::new()?;
    let test = Test::find(&exploration.selection, &folder)?;
    let since = Instant::now();
    let explorer = Explorer {
        exploration,
        test: &test,
        folder: &folder,
        deadline: exploration.minutes.map(|minutes| since + minutes),
        search: Mutex::new(Search { batches: batches(exploration), ..Search::default() }),
    };
    let jobs = exploration.jobs.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    thread::scope(|scope| {
        let explorer = &explorer;
        (0..jobs).for_each(|job| drop(scope.spawn(move || explorer.work(job))));
        explorer.show_progress(jobs);
    });
    let search = explorer.search.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = search.error {
        return Err(error);
    }
    for failed in &search.found {
        print(&tell(exploration, &test, &folder, failed)?)?;
    }
    let (ran, took) = (search.ran, since.elapsed().as_secs_f64());
    let left = if search.batches.is_empty() || search.ends { "" } else { "; the time is over, and seeds are left" };
    let found = match search.found.len() {
        0 => "no failure".to_owned(),
        1 => "1 failure".to_owned(),
        count => format!("{count} different failures"),
    };
    let names = exploration.strategy.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    print(&format!("{found} in {} of {names}, in {took:.1} s{left}", count(ran, "run")))?;
    Ok(!search.found.is_empty())
}

/// All seeds, with the strategies in turns.
fn batches(exploration: &Exploration) -> VecDeque<Batch> {
    let end = exploration.from.saturating_add(exploration.seeds);
    let mut batches = VecDeque::new();
    let mut from = exploration.from;
    while from < end {
        let to = from.saturating_add(exploration.batch).min(end);
        batches.extend(exploration.strategy.iter().map(|strategy| Batch { strategy: *strategy, seeds: from..to }));
        from = to;
    }
    batches
}

struct Explorer<'a> {
    exploration: &'a Exploration,
    test: &'a Test,
    folder: &'a Folder,
    deadline: Option<Instant>,
    search: Mutex<Search>,
}

impl Explorer<'_> {
    fn search(&self) -> MutexGuard<'_, Search> {
        self.search.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.search().ends || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Runs batches until none is left. Each thread has files of its own.
    fn work(&self, job: usize) {
        while !self.is_over() {
            let Some(batch) = self.search().batches.pop_front() else { return };
            if let Err(error) = self.run_batch(job, &batch) {
                let mut search = self.search();
                search.error.get_or_insert(error);
                search.ends = true;
            }
        }
    }

    fn run_batch(&self, job: usize, batch: &Batch) -> Result<(), String> {
        let file = self.folder.path().join(format!("outcomes-{job}"));
        let _ = fs::remove_file(&file);
        let variables = [
            ("REDD_SEED", format!("{}..{}", batch.seeds.start, batch.seeds.end)),
            ("REDD_EXPLORE", batch.strategy.to_string()),
            ("REDD_OUTCOMES", file.display().to_string()),
        ];
        let mut process = Process::start_test(self.test, &variables, self.folder.path().join(format!("output-{job}")))?;
        if !process.wait_unless(|| self.is_over())? {
            self.search().batches.push_front(batch.clone());
            return Ok(());
        }
        let outcomes = Outcomes::read(&file);
        let failed = match outcomes.failed.first() {
            Some(failed) => Some(failed.clone()),
            None if process.succeeded() => None,
            None => Some(outside(batch, &outcomes, &process)),
        };
        if failed.is_none() {
            expect_seeds(self.test, batch, &outcomes)?;
        }
        self.count(batch, &outcomes, failed);
        Ok(())
    }

    /// Adds the result of a batch.
    fn count(&self, batch: &Batch, outcomes: &Outcomes, failed: Option<Failed>) {
        let mut search = self.search();
        search.ran += outcomes.ran.len() as u64;
        let Some(failed) = failed else { return };
        let rest = failed.seed.saturating_add(1).max(batch.seeds.start + 1)..batch.seeds.end;
        if !search.found.iter().any(|other| other.class == failed.class) {
            search.found.push(failed);
        }
        if !self.exploration.keep_going {
            search.found.truncate(1);
            search.ends = true;
        } else if !rest.is_empty() {
            search.batches.push_front(Batch { strategy: batch.strategy, seeds: rest });
        }
    }

    /// Prints from time to time how far it is, until the threads have nothing left.
    fn show_progress(&self, jobs: usize) {
        let mut last = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(20));
            let (is_over, ran, found) = {
                let search = self.search();
                (search.ends || search.batches.is_empty(), search.ran, search.found.len())
            };
            if is_over || self.is_over() {
                return;
            }
            if last.elapsed() >= PROGRESS {
                last = Instant::now();
                let at_once = if jobs == 1 { "1 process".to_owned() } else { format!("{jobs} processes at once") };
                let (runs, failures) = (count(ran, "run"), count(found, "failure"));
                let _ = writeln!(std::io::stderr(), "{runs} in {at_once}, {failures}");
            }
        }
    }
}

/// A failure outside of any world: the process has crashed, or the test has asserted something of the report.
fn outside(batch: &Batch, outcomes: &Outcomes, process: &Process) -> Failed {
    let seed = outcomes.ran.last().copied().unwrap_or(batch.seeds.start);
    let text = format!("the test has failed, and no world of it: {}", process.last_output());
    Failed { seed, strategy: batch.strategy.to_string(), class: ("Outside".to_owned(), String::new()), text }
}

/// Checks that the test has run the seeds that it was given.
fn expect_seeds(test: &Test, batch: &Batch, outcomes: &Outcomes) -> Result<(), String> {
    let path = &test.path;
    if outcomes.ran.is_empty() {
        return Err(format!(
            "the test `{path}` has run no simulated world. Write `#[redd::test(sim)]`, or make a `redd::sim::World` in it"
        ));
    }
    match batch.seeds.clone().find(|seed| !outcomes.ran.contains(seed)) {
        Some(missing) => Err(format!(
            "the test `{path}` has not run seed {missing}. Its worlds must have the seeds of `redd::sim::seeds`: `for seed in seeds(100) {{ \
             World::new(seed)… }}`"
        )),
        None => Ok(()),
    }
}

/// Runs a failing seed alone, and says what was found. Adds the seed to the kept ones if that is wanted.
fn tell(exploration: &Exploration, test: &Test, folder: &Folder, failed: &Failed) -> Result<String, String> {
    let Failed { seed, strategy, text, .. } = failed;
    let mut told = format!("seed {seed} fails with {strategy}: {text}\n");
    let alone = |extra: &[(&'static str, String)]| {
        let file = folder.path().join("outcomes-alone");
        let _ = fs::remove_file(&file);
        let mut variables = vec![("REDD_SEED", seed.to_string()), ("REDD_OUTCOMES", file.display().to_string())];
        variables.extend_from_slice(extra);
        let mut process = Process::start_test(test, &variables, folder.path().join("output-alone"))?;
        let has_ended = process.wait(ALONE)?;
        Ok::<_, String>((Outcomes::read(&file), has_ended))
    };
    let fails_so = |outcomes: &Outcomes| outcomes.failed.first().is_some_and(|other| other.class == failed.class);
    if failed.class.0 != "Outside" {
        let shrink = Some(exploration.shrink).filter(|runs| *runs > 0).map(|runs| ("REDD_SHRINK", runs.to_string()));
        let explore = ("REDD_EXPLORE", strategy.clone());
        let (outcomes, has_ended) = alone(&[explore].into_iter().chain(shrink).collect::<Vec<_>>())?;
        match &outcomes.shrunk {
            Some((tape, words)) if fails_so(&outcomes) => {
                let _ = writeln!(told, "{words}");
                let (again, _) = alone(&[("REDD_TAPE", tape.clone())])?;
                told += if fails_so(&again) {
                    "The shrunk run fails in the same way in a fresh process.\n"
                } else {
                    "In a fresh process the shrunk run does not fail in this way: a static or a thread-local value has outlived a run.\n"
                };
            }
            _ if !has_ended => told += "Its shrinking has taken too long. `--shrink` limits the number of runs.\n",
            _ if !fails_so(&outcomes) => {
                told += "In a process of its own the seed does not fail in this way: a static, a thread-local value or a file has outlived \
                         the worlds before it. `--batch 1` runs each seed in its own process.\n";
            }
            _ => {}
        }
    }
    let explore = if strategy == "random" { String::new() } else { format!(" REDD_EXPLORE={strategy}") };
    let _ = writeln!(
        told,
        "to repeat the run of the seed: REDD_SEED={seed}{explore} cargo test -p {} -- --exact {}",
        test.package, test.path
    );
    if exploration.keep {
        told += &keep(test, failed)?;
        told.push('\n');
    }
    Ok(told)
}

/// Adds the seed to the kept ones of the test.
fn keep(test: &Test, failed: &Failed) -> Result<String, String> {
    let file = test.kept_seeds();
    let cannot = |error| format!("{} cannot be written: {error}", file.display());
    let seed = format!("{} {}", failed.seed, failed.strategy);
    let before = fs::read_to_string(&file).unwrap_or_default();
    if before.lines().any(|line| line.split('#').next().unwrap_or_default().trim() == seed) {
        return Ok(format!("The seed is in {} already.", file.display()));
    }
    fs::create_dir_all(file.parent().unwrap_or(&test.folder)).map_err(cannot)?;
    let mut opened = OpenOptions::new().create(true).append(true).open(&file).map_err(cannot)?;
    let comment: String = failed.class.1.chars().take(120).collect();
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    opened.write_all(format!("{gap}{seed} # {}: {comment}\n", failed.class.0).as_bytes()).map_err(cannot)?;
    Ok(format!("The seed is kept in {}. Add the file to the repository.", file.display()))
}

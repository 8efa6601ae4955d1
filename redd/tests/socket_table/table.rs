//! The cases, and what runs them.

use crate::at::{At, Out};
use redd::runtime::{Builder, Runtime};
use redd::time::timeout;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Running = Pin<Box<dyn Future<Output = Out> + Send>>;

/// A case of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(At) -> Running,
    /// What Linux gives.
    pub(crate) expected: &'static str,
    /// Whether it is also about sockets of two hosts.
    pub(crate) is_far: bool,
    /// What a world gives instead. The case says why.
    pub(crate) in_worlds: Option<&'static str>,
}

impl Case {
    /// Also runs with the far side on another host.
    pub(crate) const fn far(mut self) -> Self {
        self.is_far = true;
        self
    }

    /// Gives something else in a world.
    pub(crate) const fn differs(mut self, in_worlds: &'static str) -> Self {
        self.in_worlds = Some(in_worlds);
        self
    }
}

/// A case: the function of that name, and what Linux gives.
macro_rules! case {
    ($name:ident, $expected:expr) => {
        $crate::table::Case {
            name: stringify!($name),
            run: |at| Box::pin($name(at)),
            expected: $expected,
            is_far: false,
            in_worlds: None,
        }
    };
}
pub(crate) use case;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Flavor {
    CurrentThread,
    MultiThread,
}

impl Flavor {
    pub(crate) const ALL: [Self; 2] = [Self::CurrentThread, Self::MultiThread];

    pub(crate) fn runtime(self) -> Runtime {
        let mut builder = match self {
            Self::CurrentThread => Builder::new_current_thread(),
            Self::MultiThread => Builder::new_multi_thread(),
        };
        builder.worker_threads(2).enable_all().build().expect("resources left")
    }
}

/// Runs a case in the current runtime, as a task: so it is polled by a worker of a multi-thread runtime.
pub(crate) async fn run(case: &Case, at: At) -> String {
    match timeout(PATIENCE, redd::spawn((case.run)(at.clone()))).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => at.see("unexpected", error),
        Ok(Err(error)) => at.see("it has panicked:", error.to_string()),
        Err(_) => at.see("it hangs", ()),
    }
    at.seen()
}

/// The cases to run.
pub(crate) fn selected(cases: &'static [Case]) -> impl Iterator<Item = &'static Case> {
    let part = std::env::var("REDD_CASE").unwrap_or_default();
    cases.iter().filter(move |case| case.name.contains(&part))
}

/// What differs from the table, with the places where it does.
#[derive(Default)]
pub(crate) struct Differences(BTreeMap<(&'static str, String), Vec<String>>);

impl Differences {
    pub(crate) fn compare(&mut self, case: &'static Case, place: String, expected: &str, seen: &str) {
        if seen != expected {
            self.add(case, place, format!("the table: {expected}\n  here:      {seen}"));
        }
    }

    pub(crate) fn add(&mut self, case: &'static Case, place: String, difference: String) {
        self.0.entry((case.name, difference)).or_default().push(place);
    }

    pub(crate) fn expect_none(self) {
        let mut text = String::new();
        for ((name, difference), places) in &self.0 {
            let _ = write!(text, "\n{name}, {} ({} times)\n  {difference}", places[0], places.len());
        }
        assert!(self.0.is_empty(), "{} differences{text}", self.0.len());
    }
}

/// Runs cases on the loopback of this machine.
pub(crate) fn on_loopback(cases: &'static [Case]) {
    let mut differences = Differences::default();
    for flavor in Flavor::ALL {
        for case in selected(cases) {
            let seen = flavor.runtime().block_on(run(case, At::loopback(false)));
            differences.compare(case, format!("on loopback, {flavor:?}"), case.expected, &seen);
        }
    }
    differences.expect_none();
}

//! The cases, and what runs them.

use crate::at::{At, Out};
use redd::runtime::{Builder, Runtime};
use redd::time::timeout;
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
}

impl Case {
    /// Also runs with the far side on another host.
    pub(crate) const fn far(mut self) -> Self {
        self.is_far = true;
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

/// What differs from the table.
#[derive(Default)]
pub(crate) struct Differences(Vec<String>);

impl Differences {
    pub(crate) fn compare(&mut self, case: &Case, place: &str, seen: &str) {
        if seen != case.expected {
            let (name, expected) = (case.name, case.expected);
            self.0.push(format!("{name}, {place}\n  the table: {expected}\n  here:      {seen}"));
        }
    }

    pub(crate) fn expect_none(self) {
        assert!(self.0.is_empty(), "{} differences\n{}", self.0.len(), self.0.join("\n"));
    }
}

/// Runs cases on the loopback of this machine.
pub(crate) fn on_loopback(cases: &'static [Case]) {
    let mut differences = Differences::default();
    for flavor in Flavor::ALL {
        for case in selected(cases) {
            let seen = flavor.runtime().block_on(run(case, At::loopback(false)));
            differences.compare(case, &format!("on loopback, {flavor:?}"), &seen);
        }
    }
    differences.expect_none();
}

//! Why a program is not on redd, and what to do: the words of `switch` and `doctor`.

use crate::facade::Facade;
use crate::graph::Graph;
use crate::program::Program;

/// Whether all Tokios of the graph are this facade, and there is one.
pub(crate) fn is_on(graph: &Graph, facade: &Facade) -> bool {
    let mut tokios = graph.tokios().peekable();
    tokios.peek().is_some() && tokios.all(|tokio| tokio.is(facade))
}

/// The source of a package in a lock file, for people.
pub(crate) fn short_source(source: &str) -> &str {
    match source {
        "registry+https://github.com/rust-lang/crates.io-index" => "crates.io",
        other => other,
    }
}

/// Why the switch was not possible.
pub(crate) fn refusal(_program: &Program, _facade: &Facade, error: &str) -> String {
    error.to_owned()
}

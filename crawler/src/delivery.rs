//! The delivery of what a crawl found: to the files that were asked for, and to standard output.
//!
//! Called by `main`: first before the crawl, so that what cannot be written is noticed at once, then after it.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use redd::task::spawn_blocking;
use url::Url;

use crate::exit::{EarlyExit, ExitStatus};
use crate::formats::render;
use crate::interrupt::Interrupts;
use crate::options::Format;
use crate::outcome::Outcome;
use crate::output::{self, Output, write_to_standard_output};
use crate::plural::count;
use crate::printable::printable;
use crate::progress::Progress;
use crate::report;
use crate::results::Results;
use crate::snapshot::Snapshot;

/// What is written to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Snapshot,
    Results(Format),
}

/// What is to be delivered, as the command line says.
#[derive(Debug)]
pub(crate) struct Order {
    /// The option, what it asks for, and the file.
    pub(crate) files: Vec<(&'static str, Content, PathBuf)>,
    /// What standard output gets.
    pub(crate) format: Format,
    /// Whether the report has a line per page.
    pub(crate) has_checksums: bool,
    /// A snapshot to compare with.
    pub(crate) compare: Option<PathBuf>,
    /// The addresses that the crawl starts from.
    pub(crate) starts: Vec<String>,
}

/// Outputs that can be written, as far as that is known before the crawl.
#[derive(Debug)]
pub(crate) struct Delivery {
    files: Vec<(Content, Output)>,
    format: Format,
    has_checksums: bool,
    old: Option<Snapshot>,
    starts: Vec<String>,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    pub(crate) exit: ExitStatus,
    /// Whether all outputs were written.
    pub(crate) is_written: bool,
}

impl Delivery {
    /// Tries all outputs, and reads the snapshot to compare with.
    ///
    /// # Errors
    /// If an output cannot be written, or if the snapshot cannot be read, or on an interrupt. Files stay as they were.
    pub(crate) async fn prepare(order: Order, interrupts: &mut Interrupts) -> Result<Self, EarlyExit> {
        // A wrong file is noticed now, not after an hour of crawling.
        let old = match &order.compare {
            Some(path) => Some(Snapshot::load(path).await.map_err(EarlyExit::usage)?),
            None => None,
        };
        let contents: Vec<Content> = order.files.iter().map(|(_, content, _)| *content).collect();
        let wanted = order.files.into_iter().map(|(option, _, path)| (option, path)).collect();
        let outputs = output::open_all(wanted, interrupts).await?;
        if order.format != Format::Text {
            if let Some(output) = outputs.iter().find(|output| output.is_standard_output()) {
                return Err(EarlyExit::usage(format!(
                    "--format and {} would both write to standard output. Give {} a file.",
                    output.option(),
                    output.option()
                )));
            }
        }
        let files = contents.into_iter().zip(outputs).collect();
        let Order { format, has_checksums, starts, .. } = order;
        Ok(Self { files, format, has_checksums, old, starts })
    }

    /// Writes everything. What fails is reported, and the rest is still written.
    pub(crate) async fn deliver(
        self,
        outcome: &Outcome,
        progress: &Progress,
        interrupts: &mut Interrupts,
    ) -> Delivered {
        let snapshot = Snapshot::of(&outcome.frontier, outcome.shortfalls().is_empty());
        let difference = self.old.as_ref().map(|old| snapshot.since(old));
        let folder = std::env::current_dir().ok().and_then(|folder| Url::from_directory_path(folder).ok());
        let mut results = Results::of(outcome, &self.starts, difference.as_ref());
        results.folder = folder.as_ref().map(Url::as_str);
        let is_standard_output_taken = self.files.iter().any(|(_, output)| output.is_standard_output());
        let mut is_written = true;
        for (content, output) in self.files {
            is_written &= write(content, output, &results, &snapshot, progress, interrupts).await;
        }
        let mut text = render(self.format, &results);
        if self.has_checksums && self.format == Format::Text {
            text += &report::checksums(&results);
        }
        is_written &= show(text, is_standard_output_taken, &results.shortfalls, interrupts).await;
        let exit = if is_written { ExitStatus::of(outcome, difference.as_ref()) } else { ExitStatus::Incomplete };
        Delivered { exit, is_written }
    }
}

/// Writes one of the files, and says so if that fails.
async fn write(
    content: Content,
    output: Output,
    results: &Results<'_>,
    snapshot: &Snapshot,
    progress: &Progress,
    interrupts: &mut Interrupts,
) -> bool {
    let kind = if output.is_standard_output() { " (standard output)" } else { "" };
    let name = format!("{} {}{kind}", output.option(), output.path().display());
    let (bytes, saved) = match content {
        Content::Snapshot => {
            let saved = format!("saved {} to {}", count(snapshot.pages.len(), "page"), output.path().display());
            (snapshot.to_bytes(), Some(saved))
        }
        Content::Results(format) => (render(format, results).into_bytes(), None),
    };
    match output.write(bytes, interrupts).await {
        Ok(()) => {
            saved.iter().for_each(|line| progress.line(line));
            true
        }
        Err(error) => {
            print_to_stderr(&format!("{name}: was not written: {error}"));
            false
        }
    }
}

/// Shows the results, on standard error if a file has taken standard output.
async fn show(text: String, is_taken: bool, shortfalls: &[String], interrupts: &mut Interrupts) -> bool {
    if is_taken {
        print_to_stderr(&text);
        return true;
    }
    // A pipe that is full and not read must not make the program deaf to signals.
    let printed = redd::select! {
        printed = spawn_blocking(move || print(text.as_bytes())) => {
            printed.unwrap_or_else(|error| Err(EarlyExit::incomplete(format!("the report was not printed: {error}"))))
        }
        () = interrupts.recv() => Err(EarlyExit::incomplete("interrupted: the report was not printed".to_owned())),
    };
    if let Err(stop) = &printed {
        print_to_stderr(&stop.message);
    }
    if printed.is_err() || !io::stdout().is_terminal() {
        // The report says so too, but it may be in a file.
        shortfalls.iter().for_each(|shortfall| print_to_stderr(&format!("incomplete: {}", printable(shortfall))));
    }
    printed.is_ok()
}

/// # Errors
/// If standard output cannot be written, for example because it is a closed pipe.
pub(crate) fn print(text: &[u8]) -> Result<(), EarlyExit> {
    write_to_standard_output(text)
        .map_err(|error| EarlyExit::incomplete(format!("standard output cannot be written: {error}")))
}

/// Prints to standard error. If that is closed or full, there is no place left to say so.
pub(crate) fn print_to_stderr(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

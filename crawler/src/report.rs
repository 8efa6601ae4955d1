//! What the user sees: progress while it runs, and the report at the end.
//!
//! Called by `crawl` (progress) and `main` (report). Progress goes to standard error, results to standard output.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::crawl::{End, Outcome};
use crate::fetch::Trouble;
use crate::frontier::{Entry, Fate, Left, PageId};
use crate::store::{Difference, hex};

/// How many citing pages the text report shows for each broken link; the JSON and CSV forms have all.
const CITERS_SHOWN: usize = 10;

/// How much is said while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Nothing but what the user has to know.
    Quiet,
    /// Troubles, and now and then how far it is.
    Normal,
    /// Each page.
    Verbose,
}

/// A bar on a terminal, plain lines otherwise.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    talk: Talk,
    settled: u64,
    broken: u64,
    /// Plain lines come every few ticks only.
    ticks: u64,
}

impl Progress {
    pub(crate) fn new(talk: Talk) -> Self {
        let bar = (talk != Talk::Quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, talk, settled: 0, broken: 0, ticks: 0 }
    }

    /// Says one line, above the bar if there is one.
    pub(crate) fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            // Standard error may be closed; then nobody wants to know.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    pub(crate) fn settled(&mut self, entry: &Entry) {
        if matches!(entry.fate, Fate::Left(Left::Outside)) {
            return;
        }
        self.settled += 1;
        let (is_broken, is_odd) = match &entry.fate {
            Fate::Broken(_) => (true, false),
            Fate::Good(content) => (false, content.note.is_some()),
            Fate::Waiting | Fate::Redirect { .. } | Fate::Left(_) => (false, false),
        };
        self.broken += u64::from(is_broken);
        if self.talk == Talk::Verbose || (self.talk == Talk::Normal && (is_broken || is_odd)) {
            self.line(&format!("{}  {}", entry.url, fate(&entry.fate)));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.settled);
        }
    }

    /// Once a second.
    pub(crate) fn tick(&mut self, waiting: usize, flying: usize, bytes: u64) {
        let bytes = HumanBytes(bytes);
        self.ticks += 1;
        if let Some(bar) = &self.bar {
            bar.set_length(self.settled + (waiting + flying) as u64);
            bar.set_message(format!("{} broken, {bytes}", self.broken));
        } else if self.talk != Talk::Quiet && self.ticks % 5 == 0 {
            let (settled, broken) = (self.settled, self.broken);
            self.line(&format!("{settled} done, {waiting} waiting, {flying} in flight, {broken} broken, {bytes}"));
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What became of a page, in a few words.
fn fate(fate: &Fate) -> String {
    match fate {
        Fate::Waiting => "not reached".to_owned(),
        Fate::Good(content) => match &content.note {
            Some(note) => format!("{} ({note})", content.status),
            None => content.status.to_string(),
        },
        Fate::Redirect { status, .. } => format!("{status} redirect"),
        Fate::Broken(trouble) => format!("BROKEN: {trouble}"),
        Fate::Left(Left::Outside) => "outside".to_owned(),
        Fate::Left(Left::Robots(reason)) => format!("left alone: {reason}"),
    }
}

/// A broken link and who cites it.
#[derive(Debug)]
pub(crate) struct Broken<'a> {
    pub(crate) url: &'a str,
    pub(crate) trouble: &'a Trouble,
    /// The citing page, and the redirect through which it cites.
    pub(crate) citers: Vec<(&'a str, Option<&'a str>)>,
}

/// How many addresses had which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) good: usize,
    pub(crate) broken: usize,
    pub(crate) redirects: usize,
    pub(crate) forbidden: usize,
    pub(crate) outside: usize,
    pub(crate) not_reached: usize,
}

impl Outcome {
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.frontier.entries() {
            match &entry.fate {
                Fate::Good(_) => counts.good += 1,
                Fate::Broken(_) => counts.broken += 1,
                Fate::Redirect { .. } => counts.redirects += 1,
                Fate::Left(Left::Robots(_)) => counts.forbidden += 1,
                Fate::Left(Left::Outside) => counts.outside += 1,
                Fate::Waiting => counts.not_reached += 1,
            }
        }
        counts
    }

    /// The broken links, sorted.
    pub(crate) fn broken(&self) -> Vec<Broken<'_>> {
        let mut broken: Vec<_> = (0..)
            .zip(self.frontier.entries())
            .filter_map(|(id, entry): (PageId, &Entry)| match &entry.fate {
                Fate::Broken(trouble) => Some(Broken { url: &entry.url, trouble, citers: self.frontier.citers(id) }),
                Fate::Waiting | Fate::Good(_) | Fate::Redirect { .. } | Fate::Left(_) => None,
            })
            .collect();
        broken.sort_by_key(|broken| broken.url);
        broken
    }

    fn sorted(&self) -> Vec<(PageId, &Entry)> {
        let mut entries: Vec<(PageId, &Entry)> = (0..).zip(self.frontier.entries()).collect();
        entries.sort_by_key(|(_, entry)| &*entry.url);
        entries
    }

    fn target(&self, to: PageId) -> &str {
        &self.frontier.entry(to).url
    }
}

/// `url -> checksum`, a line a page, sorted.
pub(crate) fn checksums(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (_, entry) in outcome.sorted() {
        if let Fate::Good(content) = &entry.fate {
            if let Some(sha256) = &content.sha256 {
                let _ = writeln!(text, "{} -> {}", entry.url, hex(sha256));
            }
        }
    }
    text
}

/// The report for people.
pub(crate) fn summary(outcome: &Outcome, difference: Option<&Difference>) -> String {
    let mut text = String::new();
    let broken = outcome.broken();
    if !broken.is_empty() {
        let _ = writeln!(text, "\nBroken links:");
    }
    for broken in &broken {
        let _ = writeln!(text, "  {}\n    {}", broken.url, broken.trouble);
        for (citer, through) in broken.citers.iter().take(CITERS_SHOWN) {
            let through = through.map(|redirect| format!(" through {redirect}")).unwrap_or_default();
            let _ = writeln!(text, "    cited by {citer}{through}");
        }
        match broken.citers.len() {
            0 => text.push_str("    given on the command line\n"),
            number if number > CITERS_SHOWN => {
                let _ = writeln!(text, "    and by {} more (--json and --csv list all)", number - CITERS_SHOWN);
            }
            _ => {}
        }
    }
    let redirects = || {
        outcome.sorted().into_iter().filter_map(|(_, entry)| match entry.fate {
            Fate::Redirect { status, to } => Some((status, &*entry.url, outcome.target(to))),
            Fate::Waiting | Fate::Good(_) | Fate::Broken(_) | Fate::Left(_) => None,
        })
    };
    for (at, (status, from, to)) in redirects().enumerate() {
        match at {
            0 => text.push_str("\nRedirects:\n"),
            // The other forms list all.
            20 => {
                text.push_str("  …\n");
                break;
            }
            _ => {}
        }
        let _ = writeln!(text, "  {status} {from} -> {to}");
    }
    if let Some(difference) = difference {
        let _ = writeln!(text, "\nCompared with the saved snapshot:");
        let lists = [
            ("changed", &difference.changed),
            ("appeared", &difference.appeared),
            ("vanished", &difference.vanished),
            ("not reached this time", &difference.not_reached),
        ];
        if lists.iter().all(|(_, urls)| urls.is_empty()) {
            text.push_str("  nothing changed\n");
        }
        for (word, urls) in lists {
            for url in urls {
                let _ = writeln!(text, "  {word}: {url}");
            }
        }
    }
    let counts = outcome.counts();
    let _ = write!(
        text,
        "\n{} pages good, {} broken, {} redirects, {} forbidden by robots.txt, {} outside",
        counts.good, counts.broken, counts.redirects, counts.forbidden, counts.outside
    );
    if outcome.frontier.refused > 0 {
        let _ = write!(text, "; {} links left out by --max-pages", outcome.frontier.refused);
    }
    let how = match outcome.end {
        End::Complete => String::new(),
        End::Deadline => format!("; cut short by the deadline, {} pages not reached", counts.not_reached),
        End::Interrupted => format!("; interrupted, {} pages not reached", counts.not_reached),
    };
    let _ = writeln!(text, "{how}");
    let memory = memory_max().map(|bytes| format!(", {} memory at most", HumanBytes(bytes))).unwrap_or_default();
    let _ = writeln!(text, "{} in {:.1} s{memory}", HumanBytes(outcome.bytes), outcome.elapsed.as_secs_f64());
    text
}

/// The most memory this process ever had resident.
fn memory_max() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Everything, for programs.
pub(crate) fn to_json(outcome: &Outcome, difference: Option<&Difference>) -> String {
    let mut pages = Vec::new();
    for (_, entry) in outcome.sorted() {
        match &entry.fate {
            Fate::Good(content) => pages.push(json!({
                "url": &*entry.url, "status": content.status, "bytes": content.bytes,
                "sha256": content.sha256.map(|sha256| hex(&sha256)), "note": content.note.as_deref(),
            })),
            Fate::Redirect { status, to } => pages.push(json!({
                "url": &*entry.url, "status": status, "redirect_to": outcome.target(*to),
            })),
            Fate::Left(Left::Robots(reason)) => pages.push(json!({ "url": &*entry.url, "left_alone": reason })),
            Fate::Waiting | Fate::Broken(_) | Fate::Left(Left::Outside) => {}
        }
    }
    let broken: Vec<Value> = outcome
        .broken()
        .iter()
        .map(|broken| {
            let citers: Vec<&str> = broken.citers.iter().map(|(citer, _)| *citer).collect();
            json!({ "url": broken.url, "reason": broken.trouble.to_string(), "cited_by": citers })
        })
        .collect();
    let end = match outcome.end {
        End::Complete => "complete",
        End::Deadline => "deadline",
        End::Interrupted => "interrupted",
    };
    let mut value = json!({
        "end": end, "pages": pages, "broken": broken, "bytes": outcome.bytes,
        "seconds": outcome.elapsed.as_secs_f64(), "memory_max": memory_max(),
    });
    if let Some(difference) = difference {
        value["compared"] = json!({
            "changed": difference.changed, "appeared": difference.appeared,
            "vanished": difference.vanished, "not_reached": difference.not_reached,
        });
    }
    format!("{value:#}\n")
}

/// One row an address, with all pages that cite it if it is broken.
///
/// # Errors
/// None that can happen: the writer is memory.
pub(crate) fn to_csv(outcome: &Outcome) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["url", "outcome", "status", "bytes", "sha256", "detail", "cited_by"])?;
    for (id, entry) in outcome.sorted() {
        let none = String::new;
        let row = match &entry.fate {
            Fate::Good(content) => [
                "good".into(),
                content.status.to_string(),
                content.bytes.to_string(),
                content.sha256.map(|sha256| hex(&sha256)).unwrap_or_default(),
                content.note.as_deref().unwrap_or_default().to_owned(),
                none(),
            ],
            Fate::Redirect { status, to } => {
                let detail = outcome.target(*to).to_owned();
                ["redirect".into(), status.to_string(), none(), none(), detail, none()]
            }
            Fate::Broken(trouble) => {
                let citers: Vec<&str> = outcome.frontier.citers(id).iter().map(|(citer, _)| *citer).collect();
                ["broken".into(), none(), none(), none(), trouble.to_string(), citers.join(" ")]
            }
            Fate::Left(Left::Robots(reason)) => ["left alone".into(), none(), none(), none(), reason.clone(), none()],
            Fate::Waiting => ["not reached".into(), none(), none(), none(), none(), none()],
            Fate::Left(Left::Outside) => continue,
        };
        writer.write_record(std::iter::once(entry.url.to_string()).chain(row))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

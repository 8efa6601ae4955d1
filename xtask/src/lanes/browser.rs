//! The pages that `redd` and `redd-crawl` write, in a browser.
//!
//! Called by `cargo xtask browser`.
//!
//! Two pages are of a program that runs: what it did, and its tasks. They have to draw something. The others are known exactly: tests of `redd-cli` and of the crawler write the pages, and beside each what it has to say that it drew. The browser has no network. A page fails if it
//! says something else, if a script fails or writes a message, or if the page's policy refuses what it asks for. Pages whose
//! names begin with `wrong-` have such a mistake, and the text beside them is in the message with which this lane has to notice it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::commands::{cargo, passes, run_tests, target_dir};
use super::outcome::Outcome;
use crate::packages::{Apt, Packages};
use crate::plural::count;

/// The pages that the guide shows, and the pictures there.
const PICTURES: [(&str, &str); 2] =
    [("timeline-picture", "docs/guide/timeline.png"), ("dump-picture", "docs/guide/dump.png")];

/// What a page that is wrong says that it drew, unless that is what is wrong with it.
const WRONG_DRAWN: &str = "x";

/// The program that `redd` asks: a server that has answered fifty clients when it prints its first line.
const ASKED: &str = "growing_set";

/// The tests that write pages.
const WRITERS: [[&str; 6]; 2] = [
    ["test", "-p", "redd-cli", "--bin", "redd", "page"],
    ["test", "-p", "redd-crawler", "--bin", "redd-crawl", "formats::html"],
];

/// The pages about it, with what each says that it drew at least so often.
const LIVE: [(&str, &str, u64); 2] = [("live-timeline", "spans", 100), ("live-dump", "tasks", 1)];

/// A picture is at most so large, and one of less shows nothing.
const PICTURE_BYTES: std::ops::Range<u64> = 20_000..200_000;

/// A page that has not been drawn after so many seconds is given up.
const WATCHDOG_S: &str = "600";

pub(super) fn browser(root: &Path) -> Outcome {
    run(root, false)
}

/// `cargo xtask browser --write`: puts the pictures into the guide.
pub(crate) fn write_pictures(root: &Path) -> bool {
    let outcome = run(root, true);
    println!("browser: {}, {}", outcome.word(), outcome.note);
    outcome.passed && !outcome.is_skipped()
}

fn run(root: &Path, writes: bool) -> Outcome {
    let browser = match Browser::find(&target_dir(root)) {
        Ok(browser) => browser,
        Err(why) => return Outcome::skipped(why),
    };
    match check(root, &browser, writes) {
        Ok(outcome) => outcome,
        Err(note) => Outcome { passed: false, note },
    }
}

fn check(root: &Path, browser: &Browser, writes: bool) -> Result<Outcome, String> {
    let version = browser.version()?;
    let folder = std::path::absolute(target_dir(root)).map_err(|error| error.to_string())?.join("pages");
    let show = |error: std::io::Error| format!("{}: {error}", folder.display());
    // What an earlier run has left may be of pages that there are no more.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(show)?;
    for writer in WRITERS {
        let written = run_tests(cargo(root, &writer).env("REDD_PAGES", &folder));
        if !written.succeeded {
            return Err(format!("the tests that write the pages: {written}"));
        }
    }
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(&folder).map_err(show)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    pages.retain(|page| page.extension() == Some(OsStr::new("html")));
    pages.sort();
    let (mut drawn, mut noticed, mut findings) = (0, 0, Vec::new());
    for page in &pages {
        let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(page.with_extension("drawn")).map_err(show)?;
        let is_wrong = name.starts_with("wrong-");
        let faults = faults(&browser.open(&folder, page)?, if is_wrong { WRONG_DRAWN } else { &expected });
        println!("  {name}: {}", if faults.is_empty() { expected.clone() } else { faults.join("; ") });
        if is_wrong {
            let is_noticed = faults.iter().any(|fault| fault.contains(&expected));
            noticed += usize::from(is_noticed);
            if !is_noticed {
                findings.push(format!("{name}: no word of `{expected}`"));
            }
        } else if faults.is_empty() {
            drawn += 1;
        } else {
            findings.push(format!("{name}: {}", faults.join("; ")));
        }
    }
    write_live_pages(root, &folder)?;
    for (name, counted, least) in LIVE {
        let opened = browser.open(&folder, &folder.join(format!("{name}.html")))?;
        let text = attribute(&opened.document, "data-drawn").unwrap_or_default();
        let mut faults = faults(&opened, text);
        if number(text, counted) < Some(least) {
            faults.push(format!("drew `{text}`"));
        }
        println!("  {name}: {}", if faults.is_empty() { text.to_owned() } else { faults.join("; ") });
        drawn += usize::from(faults.is_empty());
        findings.extend(faults.iter().map(|fault| format!("{name}: {fault}")));
    }
    for (page, picture) in PICTURES {
        for is_dark in [false, true] {
            let suffix = if is_dark { "-dark" } else { "" };
            let taken = folder.join(format!("{page}{suffix}.png"));
            browser.take_picture(&folder, &folder.join(format!("{page}.html")), &taken, is_dark)?;
            let bytes = std::fs::metadata(&taken).map_err(show)?.len();
            println!("  {page}{suffix}.png: {}", count(bytes, "byte"));
            if !PICTURE_BYTES.contains(&bytes) {
                findings.push(format!("{page}{suffix}.png has {}", count(bytes, "byte")));
            }
            if writes && !is_dark {
                std::fs::copy(&taken, root.join(picture)).map_err(|error| format!("{picture}: {error}"))?;
            }
        }
    }
    findings.iter().for_each(|finding| println!("{finding}"));
    let note = format!(
        "{version}: {} drawn, {} noticed, {}",
        count(drawn, "page"),
        count(noticed, "mistake"),
        count(findings.len(), "finding")
    );
    Ok(Outcome { passed: findings.is_empty() && drawn > 0 && noticed > 0, note })
}

/// Runs a program with its polls recorded, and lets `redd` write the pages about it.
fn write_live_pages(root: &Path, folder: &Path) -> Result<(), String> {
    let build = ["build", "--quiet", "-p", "demos", "-p", "redd-cli", "--bin", ASKED, "--bin", "redd"];
    if !passes(&mut cargo(root, &build)) {
        return Err(format!("`{ASKED}` and `redd` do not build"));
    }
    let programs = target_dir(root).join("debug");
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", WATCHDOG_S]).arg(programs.join(ASKED));
    // It prints its report when this lane is over.
    command.env("DEMO_AFTER_MS", "600000").env("REDD_DEBUG", "recorder=full");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("`{ASKED}`: {error}"))?;
    let written = child.stdout.take().map_or(Ok(0), |out| BufReader::new(out).read_line(&mut String::new()));
    let asked =
        written.map_err(|error| error.to_string()).and_then(|_| ask(&programs.join("redd"), child.id(), folder));
    // The command `timeout` passes it on to the program.
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    child.wait().map_err(|error| error.to_string())?;
    asked
}

/// Writes the pages about the child of the command `timeout` that has this number.
fn ask(redd: &Path, timeout: u32, folder: &Path) -> Result<(), String> {
    let children = format!("/proc/{timeout}/task/{timeout}/children");
    let children = std::fs::read_to_string(&children).map_err(|error| format!("{children}: {error}"))?;
    let pid = children.trim();
    let [timeline, dump] = LIVE.map(|(name, ..)| folder.join(format!("{name}.html")));
    let mut trace = Command::new(redd);
    trace.args(["trace", pid, "--last", "60s", "-o"]).arg(timeline);
    let mut dumped = Command::new(redd);
    dumped.args(["dump", pid, "--html"]).arg(dump);
    if passes(&mut trace) && passes(&mut dumped) { Ok(()) } else { Err(format!("`redd` has no page of `{ASKED}`")) }
}

/// The number behind `name=` in what a page says that it drew.
fn number(drawn: &str, name: &str) -> Option<u64> {
    drawn.split(' ').find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// Chromium: this machine's, or Debian's package unpacked into `target`.
struct Browser {
    program: PathBuf,
    unpacked: Option<crate::packages::Unpacked>,
}

impl Browser {
    fn find(target: &Path) -> Result<Self, String> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&folders)
            .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)));
        if let Some(program) = candidates.into_iter().find(|program| program.is_file()) {
            return Ok(Self { program, unpacked: None });
        }
        let packages =
            Packages { name: "browser", whole: &["chromium", "chromium-common", "fonts-dejavu-core"], alone: &[] };
        let unpacked = Apt::open(target)?.unpack(&packages)?;
        // Debian's script in `usr/bin` looks for the program outside of `target`.
        let browser = Self { program: unpacked.path("usr/lib/chromium/chromium"), unpacked: Some(unpacked) };
        browser.version().map_err(|why| format!("Chromium, unpacked from Debian's packages, does not start: {why}"))?;
        Ok(browser)
    }

    fn version(&self) -> Result<String, String> {
        let output = self.command().arg("--version").output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if text.is_empty() { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) } else { Ok(text) }
    }

    fn command(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", WATCHDOG_S]).arg(&self.program);
        if let Some(unpacked) = &self.unpacked {
            // A library of PulseAudio, which Chromium needs to start, is in a folder of its own.
            command.env("LD_LIBRARY_PATH", unpacked.path("usr/lib/x86_64-linux-gnu/pulseaudio"));
            unpacked.add_libraries(&mut command);
            // Where it looks for fonts.
            command.env("XDG_DATA_HOME", unpacked.path("usr/share"));
        }
        command
    }

    /// A command that opens a page without a window and without a network.
    fn headless(&self, folder: &Path) -> Command {
        let mut command = self.command();
        command.args([
            "--headless",
            // Root has no sandbox, and the pages are our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--hide-scrollbars",
        ]);
        command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
        command
    }

    /// The document after its scripts have run, and the messages of the console.
    fn open(&self, folder: &Path, page: &Path) -> Result<Opened, String> {
        let mut command = self.headless(folder);
        let output = command
            .args(["--window-size=1280,800", "--dump-dom"])
            .arg(url(page))
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{}: {}", page.display(), output.status));
        }
        let log = String::from_utf8_lossy(&output.stderr);
        let messages = log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect();
        Ok(Opened { document: String::from_utf8_lossy(&output.stdout).into_owned(), messages })
    }

    fn take_picture(&self, folder: &Path, page: &Path, picture: &Path, is_dark: bool) -> Result<(), String> {
        let mut command = self.headless(folder);
        command.arg("--window-size=1280,720");
        command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!is_dark)));
        command.arg(format!("--screenshot={}", picture.display())).arg(url(page));
        let output = command.output().map_err(|error| error.to_string())?;
        if output.status.success() && picture.exists() {
            return Ok(());
        }
        Err(format!("no picture of {}: {}", page.display(), String::from_utf8_lossy(&output.stderr)))
    }
}

fn url(page: &Path) -> String {
    format!("file://{}", page.display())
}

/// What the browser makes of a page.
#[derive(Debug, Default)]
struct Opened {
    document: String,
    messages: Vec<String>,
}

/// What is wrong with a page that had to draw `expected`.
fn faults(opened: &Opened, expected: &str) -> Vec<String> {
    let mut faults = Vec::new();
    match attribute(&opened.document, "data-drawn") {
        Some(drawn) if drawn == expected => {}
        Some(drawn) => faults.push(format!("drew `{drawn}`, not `{expected}`")),
        None => faults.push(format!("drew nothing, not `{expected}`")),
    }
    faults.extend(attribute(&opened.document, "data-error").map(|error| format!("failed: {error}")));
    faults.extend(opened.messages.iter().map(|message| format!("console: {message}")));
    faults
}

/// An attribute of the element `html`.
fn attribute<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, element) = document.split_once("<html")?;
    let (element, _) = element.split_once('>')?;
    let (_, value) = element.split_once(&format!("{name}=\""))?;
    value.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        assert_eq!(number("spans=7 tasks=12", "tasks"), Some(12));
        assert_eq!(number("spans=7 tasks=12", "s"), None);
        assert_eq!(number("", "tasks"), None);
    }

    #[test]
    fn each_fault_of_a_page_is_found() {
        let opened = |attributes: &str, messages: &[&str]| Opened {
            document: format!("<!DOCTYPE html><html lang=\"en\"{attributes}><head></head></html>"),
            messages: messages.iter().map(|message| (*message).to_owned()).collect(),
        };
        assert_eq!(faults(&opened(" data-drawn=\"a=1 b=2\"", &[]), "a=1 b=2"), [] as [String; 0]);
        assert_eq!(faults(&opened(" data-drawn=\"a=1\"", &[]), "a=2"), ["drew `a=1`, not `a=2`"]);
        assert_eq!(faults(&opened("", &[]), "a"), ["drew nothing, not `a`"]);
        assert_eq!(faults(&opened(" data-drawn=\"a\" data-error=\"x is null\"", &[]), "a"), ["failed: x is null"]);
        assert_eq!(faults(&opened(" data-drawn=\"a\"", &["1:CONSOLE: y"]), "a"), ["console: 1:CONSOLE: y"]);
        assert_eq!(faults(&Opened::default(), "a").len(), 1);
    }
}

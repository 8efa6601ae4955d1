//! A site of odd links, each with the right answer beside it, and the comparison of a crawl with these answers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::process::Output;
use std::sync::Mutex;

use serde_json::Value;

use crate::runs::{run, scratch, stderr, stdout};
use crate::server::{Act, Request, answer, missing, serve_requests};

/// What a crawl has to say about a link.
#[derive(Clone, Debug)]
pub(super) enum Right {
    Good {
        status: u16,
        /// Part of the note. Empty if there must be none.
        note: &'static str,
    },
    /// The target, as in [`Odd::url`].
    Redirect { status: u16, to: String },
    Broken {
        status: Option<u16>,
        kind: &'static str,
        /// Part of the reason.
        says: &'static str,
    },
    /// robots.txt forbids it.
    Forbidden { says: &'static str },
}

pub(super) fn good(status: u16) -> Right {
    Right::Good { status, note: "" }
}

pub(super) fn noted(note: &'static str) -> Right {
    Right::Good { status: 200, note }
}

pub(super) fn redirect(status: u16, to: &str) -> Right {
    Right::Redirect { status, to: to.into() }
}

pub(super) fn broken(status: u16, kind: &'static str, says: &'static str) -> Right {
    Right::Broken { status: Some(status), kind, says }
}

/// There is no answer.
pub(super) fn failed(kind: &'static str, says: &'static str) -> Right {
    Right::Broken { status: None, kind, says }
}

/// The link is no address.
pub(super) fn unusable(says: &'static str) -> Right {
    failed("unusable-address", says)
}

/// An address that the crawl has to find, and what it has to say about it.
#[derive(Debug)]
struct Odd {
    /// An address that begins with a slash is one of the site.
    url: String,
    right: Right,
    /// The page that has the first link to it, and the line. An empty page is not compared.
    page: String,
    line: u64,
}

/// Makes the answer to a request. The number says how often the address was asked for before.
type Serve = Box<dyn Fn(&Request, usize) -> Act + Send + Sync>;

/// A site whose first page has all links, one on a line.
pub(super) struct OddSite {
    index: String,
    odd: Vec<Odd>,
    served: HashMap<String, Serve>,
    ignored: BTreeMap<&'static str, u64>,
    /// The addresses that are not compared, such as that of the first page.
    known: BTreeSet<String>,
}

/// The words that a report for people must not have: they are about the crawler's inside.
const INTERNAL: [&str; 16] = [
    "hyper",
    "reqwest",
    "rustls",
    "tokio",
    "redd::",
    "os error",
    "Error(",
    "Some(",
    "Ok(",
    "Err(",
    "panicked",
    "unwrap",
    "::new",
    "internal error",
    "dns error",
    "Os {",
];

/// The longest reason, in bytes. A terminal shows it in two lines.
const REASON_MAX: usize = 200;

impl OddSite {
    pub(super) fn new() -> Self {
        Self {
            index: "<!DOCTYPE html>\n".into(),
            odd: Vec::new(),
            served: HashMap::new(),
            ignored: BTreeMap::new(),
            known: BTreeSet::from(["/".to_owned()]),
        }
    }

    /// A link to a page of the site.
    pub(super) fn link(&mut self, path: &str, right: Right, serve: impl Fn() -> Act + Send + Sync + 'static) {
        self.html(&format!("<a href=\"{path}\">x</a>"), path, right);
        self.serve(path, move |_, _| serve());
    }

    /// Markup that links to `url`. `{home}` is the address of the site, and `{port}` its port.
    pub(super) fn html(&mut self, markup: &str, url: &str, right: Right) {
        let line = self.next_line();
        self.index += markup;
        self.index.push('\n');
        self.odd.push(Odd { url: url.into(), right, page: "/".into(), line });
    }

    /// Like [`Self::html`] with a page that is fine.
    pub(super) fn fine(&mut self, markup: &str, path: &str) {
        self.html(markup, path, good(200));
        self.serve(path, |_, _| fine());
    }

    /// Markup without a link.
    pub(super) fn nothing(&mut self, markup: &str) {
        self.index += markup;
        self.index.push('\n');
    }

    /// Markup with a link that is counted and not asked for.
    pub(super) fn ignored(&mut self, href: &str, scheme: &'static str) {
        self.nothing(&format!("<a href=\"{href}\">x</a>"));
        *self.ignored.entry(scheme).or_default() += 1;
    }

    /// An address that is found on another page than the first.
    pub(super) fn found_on(&mut self, page: &str, line: u64, url: &str, right: Right) {
        self.odd.push(Odd { url: url.into(), right, page: page.into(), line });
    }

    /// A page that is fine and is found on the page `page`, in its first line.
    pub(super) fn leaf_of(&mut self, page: &str, path: &str) {
        self.found_on(page, 1, path, good(200));
        self.serve(path, |_, _| fine());
    }

    pub(super) fn serve(&mut self, path: &str, serve: impl Fn(&Request, usize) -> Act + Send + Sync + 'static) {
        self.served.insert(path.into(), Box::new(serve));
    }

    fn next_line(&self) -> u64 {
        1 + self.index.matches('\n').count() as u64
    }

    /// How many links have an answer beside them.
    pub(super) fn len(&self) -> usize {
        self.odd.len() + self.ignored.values().sum::<u64>() as usize
    }

    /// Serves the site, crawls it, and compares each answer in each form of output. Returns what it said.
    pub(super) async fn compare(self, name: &str, options: &[&str]) -> (Value, Output) {
        let Self { index, odd, served, ignored, known } = self;
        let asked = Mutex::new(HashMap::<String, usize>::new());
        let home = serve_requests(move |request| {
            let number = {
                let mut asked = asked.lock().unwrap();
                let number = asked.entry(request.path.clone()).or_default();
                *number += 1;
                *number - 1
            };
            match served.get(&request.path) {
                Some(serve) => serve(request, number),
                None if request.path == "/" => {
                    let host = request.header("host");
                    let port = host.rsplit(':').next().unwrap_or_default();
                    let html = index.replace("{home}", &format!("http://{host}")).replace("{port}", port);
                    answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", &html)
                }
                None => missing(),
            }
        })
        .await;
        let (json_file, json) = scratch(&format!("odd-{name}.json"));
        let (csv_file, csv) = scratch(&format!("odd-{name}.csv"));
        let port = home.rsplit(':').next().unwrap_or_default().to_owned();
        let absolute = |url: &str| {
            if url.starts_with('/') && !url.starts_with("//") {
                format!("{home}{url}")
            } else {
                url.replace("{home}", &home).replace("{port}", &port)
            }
        };
        let start = format!("{home}/");
        let mut arguments = vec!["--json", &json, "--csv", &csv, "--no-store", "--progress", "never"];
        arguments.extend(["--per-host", "16", "--concurrency", "64"]);
        arguments.extend(options);
        arguments.push(&start);
        let output = run(&arguments).await;
        let json = std::fs::read(json_file).unwrap_or_else(|_| panic!("no JSON: {}", stderr(&output)));
        let value: Value = serde_json::from_slice(&json).unwrap();
        let expected: Vec<Odd> = odd
            .into_iter()
            .map(|odd| Odd {
                url: absolute(&odd.url),
                page: if odd.page.is_empty() { String::new() } else { absolute(&odd.page) },
                right: match odd.right {
                    Right::Redirect { status, to } => Right::Redirect { status, to: absolute(&to) },
                    right @ (Right::Good { .. } | Right::Broken { .. } | Right::Forbidden { .. }) => right,
                },
                ..odd
            })
            .collect();
        let mut wrong = Vec::new();
        compare_json(&value, &expected, &known.iter().map(|url| absolute(url)).collect(), &mut wrong);
        compare_counts(&value, &ignored, &mut wrong);
        compare_csv(&value, &std::fs::read_to_string(csv_file).unwrap(), &mut wrong);
        compare_text(&value, &stdout(&output), &mut wrong);
        let code = i32::from(!value["broken"].as_array().unwrap().is_empty());
        if value["complete"] == true && output.status.code() != Some(code) {
            wrong.push(format!("the exit code is {:?}, not {code}", output.status.code()));
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}\n{}", wrong.len(), wrong.join("\n"), stderr(&output));
        (value, output)
    }
}

/// All addresses of the JSON that were dealt with, by address.
fn entries(value: &Value) -> BTreeMap<&str, &Value> {
    let lists = ["broken", "pages"].map(|list| value[list].as_array().unwrap());
    lists.into_iter().flatten().map(|entry| (entry["url"].as_str().unwrap(), entry)).collect()
}

fn compare_json(value: &Value, expected: &[Odd], known: &BTreeSet<String>, wrong: &mut Vec<String>) {
    let entries = entries(value);
    for Odd { url, right, page, line } in expected {
        let Some(entry) = entries.get(&**url) else {
            wrong.push(format!("{url} was not found (line {line} of {page})"));
            continue;
        };
        let is_right = match right {
            Right::Good { status, note } => {
                let said = entry["note"].as_str().unwrap_or_default();
                entry.get("kind").is_none()
                    && entry.get("redirect_to").is_none()
                    && entry["status"] == *status
                    && if note.is_empty() { said.is_empty() } else { said.contains(note) }
            }
            Right::Redirect { status, to } => entry["status"] == *status && entry["redirect_to"] == **to,
            Right::Broken { status, kind, says } => {
                entry["status"].as_u64() == status.map(u64::from)
                    && entry["kind"] == *kind
                    && entry["reason"].as_str().is_some_and(|reason| reason.contains(says))
            }
            Right::Forbidden { says } => entry["skipped"].as_str().is_some_and(|reason| reason.contains(says)),
        };
        let is_cited = page.is_empty()
            || match right {
                Right::Redirect { .. } | Right::Broken { .. } => {
                    let citations = entry["citations"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let line = (*line > 0).then_some(*line);
                    citations.iter().any(|citation| citation["page"] == **page && citation["line"].as_u64() == line)
                }
                Right::Good { .. } | Right::Forbidden { .. } => true,
            };
        if !is_right || !is_cited {
            wrong.push(format!("{url}: {entry}\n    is not {right:?}, line {line} of {page}"));
        }
    }
    for (url, entry) in entries {
        if !known.contains(url) && expected.iter().all(|odd| odd.url != url) {
            wrong.push(format!("{url} is no link: {entry}"));
        }
    }
}

/// The counts of the JSON add up, and are those of its lists.
fn compare_counts(value: &Value, ignored: &BTreeMap<&str, u64>, wrong: &mut Vec<String>) {
    let counts = &value["counts"];
    let count = |name: &str| counts[name].as_u64().unwrap();
    let pages = value["pages"].as_array().unwrap();
    let with = |field: &str| pages.iter().filter(|page| page.get(field).is_some()).count() as u64;
    let parts = ["good", "broken", "redirects", "skipped"];
    let listed =
        [with("bytes"), value["broken"].as_array().unwrap().len() as u64, with("redirect_to"), with("skipped")];
    if parts.map(count) != listed {
        wrong.push(format!("the lists have {listed:?}: {counts}"));
    }
    if count("checked") != count("good") + count("broken") + count("redirects") {
        wrong.push(format!("checked: {counts}"));
    }
    let others = ["checked", "skipped", "outside", "excluded", "ignored", "too_deep", "over_max_pages", "not_reached"];
    if count("found") != others.map(count).iter().sum::<u64>() {
        wrong.push(format!("found: {counts}"));
    }
    let said: BTreeMap<&str, u64> = counts["ignored_schemes"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(scheme, number)| (&**scheme, number.as_u64().unwrap()))
        .collect();
    if said != *ignored {
        wrong.push(format!("ignored: {said:?}, not {ignored:?}"));
    }
}

/// Each row of the CSV says what the JSON says.
fn compare_csv(value: &Value, text: &str, wrong: &mut Vec<String>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let entries = entries(value);
    if rows.len() != entries.len() {
        wrong.push(format!("the CSV has {} rows, the JSON {}", rows.len(), entries.len()));
    }
    for row in &rows {
        let Some(entry) = entries.get(&row[0]) else {
            wrong.push(format!("only the CSV has {row:?}"));
            continue;
        };
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let number = |field: &str| entry[field].as_u64().map(|number| number.to_string()).unwrap_or_default();
        let (word, detail) = if entry.get("kind").is_some() {
            ("broken", text("reason"))
        } else if entry.get("redirect_to").is_some() {
            ("redirect", text("redirect_to"))
        } else if entry.get("skipped").is_some() {
            ("skipped", text("skipped"))
        } else {
            ("good", text("note"))
        };
        let cited: Vec<&str> = entry["cited_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let expected = [text("url"), word.into(), number("status"), number("bytes"), text("sha256"), detail];
        if row.iter().take(6).ne(expected.iter().map(String::as_str)) || row[6] != *cited.join(" ") {
            wrong.push(format!("the CSV has {row:?}, the JSON {entry}"));
        }
    }
}

/// Each broken link has a line with its address and its cause, followed by the pages that cite it.
fn compare_text(value: &Value, text: &str, wrong: &mut Vec<String>) {
    for entry in value["broken"].as_array().unwrap() {
        let (url, reason) = (entry["url"].as_str().unwrap(), entry["reason"].as_str().unwrap());
        let mut place = "    given on the command line\n".to_owned();
        if let Some(citation) = entry["citations"].as_array().and_then(|citations| citations.first()) {
            let through = citation["through"].as_str().map(|url| format!(" through {url}")).unwrap_or_default();
            let line = citation["line"].as_u64().map(|line| format!(", line {line}")).unwrap_or_default();
            place = format!("    cited by {}{through}{line}\n", citation["page"].as_str().unwrap());
        }
        let lines = format!("  {url}  BROKEN: {reason}\n{place}");
        if !text.contains(&lines) {
            wrong.push(format!("the report lacks:\n{lines}"));
        }
        if reason.len() > REASON_MAX + entry["url"].as_str().unwrap().len() {
            wrong.push(format!("{} bytes are too many for: {reason}", reason.len()));
        }
        if let Some(word) = INTERNAL.iter().find(|word| reason.contains(**word)) {
            wrong.push(format!("{url}: `{word}` says nothing to people: {reason}"));
        }
    }
    if text.contains(|c: char| c.is_control() && c != '\n') {
        wrong.push("the report has control characters".into());
    }
}

/// A page without links.
pub(super) fn fine() -> Act {
    crate::server::page("fine")
}

/// These bytes, and the end of the connection.
pub(super) fn raw(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Send(bytes.into())
}

//! The pages of `redd web`. All that a process sends is text in them.
//!
//! Called by `web`.

use std::fmt::{self, Display, Write as _};

use crate::top::snapshot::{COLUMNS, Snapshot, Worker};

const STYLE: &str = "body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}\
    pre,table{font-family:ui-monospace,monospace;font-size:13px}table{border-collapse:collapse;margin:.5rem 0 1.5rem}\
    h1{font-size:1.4rem}h2{font-size:1.05rem}th,td{text-align:left;padding:.1rem .8rem .1rem 0;vertical-align:top}tr.busy td{color:#b35900}nav a{margin-right:1rem}\
    @media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8ab4f8}tr.busy td{color:#ffb454}}";

/// The pages that the others lead to: their addresses and names.
const PAGES: [(&str, &str); 3] =
    [("dump", "Tasks and their waits"), ("top", "Busy tasks and workers"), ("metrics", "Metrics")];

/// The columns of workers, whose counters are those since the start.
const WORKER_COLUMNS: [&str; 6] = ["WORKER", "AWAKE", "POLLS", "PARKS", "STOLEN", "QUEUED"];

/// Seconds after which the page of busy tasks loads itself again.
const RELOAD_S: u32 = 2;

pub(super) fn index(pid: u32) -> String {
    let links: String = PAGES.iter().map(|(page, name)| format!("<li><a href=\"{page}\">{name}</a></li>\n")).collect();
    page(pid, "What it does", None, &format!("<ul>\n{links}</ul>\n"))
}

pub(super) fn failure(pid: u32, why: &str) -> String {
    page(pid, "No reply", None, &format!("<p>{}</p>\n", Escaped(why)))
}

pub(super) fn metrics(pid: u32, text: &str) -> String {
    page(pid, "Metrics", None, &format!("<pre>{}</pre>\n", Escaped(text)))
}

pub(super) fn top(pid: u32, snapshot: &Snapshot) -> String {
    let mut body = String::new();
    if snapshot.runtimes.is_empty() {
        body.push_str("<p>No runtime is there now.</p>\n");
    }
    for runtime in &snapshot.runtimes {
        // Writing to a string does not fail.
        let _ = writeln!(body, "<h2>{}</h2>", Escaped(&runtime.heading));
        table(
            &mut body,
            &WORKER_COLUMNS,
            runtime.workers.iter().enumerate().map(|(index, worker)| (false, worker_cells(index, worker))),
        );
        table(&mut body, &COLUMNS, runtime.groups.iter().map(|row| (row.is_busy(), row.cells())));
        // The page of the dump has all others.
        let mut polled = runtime.tasks.iter().filter(|row| row.busy > 0).peekable();
        if polled.peek().is_some() {
            body.push_str("<h3>Single tasks that were polled</h3>\n");
            table(&mut body, &COLUMNS, polled.map(|row| (row.is_busy(), row.cells())));
        }
    }
    page(pid, "Busy tasks and workers", Some(RELOAD_S), &body)
}

fn worker_cells(index: usize, worker: &Worker) -> [String; 6] {
    let busy = format!("{}.{} s", worker.busy_ns / 1_000_000_000, worker.busy_ns / 100_000_000 % 10);
    let [polls, parks, stolen, queued] =
        [worker.polls, worker.parks, worker.stolen, worker.queued].map(|count| count.to_string());
    [index.to_string(), busy, polls, parks, stolen, queued]
}

fn table<const N: usize>(body: &mut String, heads: &[&str; N], rows: impl Iterator<Item = (bool, [String; N])>) {
    body.push_str("<table>\n<tr>");
    heads.iter().for_each(|head| body.extend(["<th>", head, "</th>"]));
    body.push_str("</tr>\n");
    for (is_busy, cells) in rows {
        body.push_str(if is_busy { "<tr class=\"busy\">" } else { "<tr>" });
        for cell in &cells {
            let _ = write!(body, "<td>{}</td>", Escaped(cell));
        }
        body.push_str("</tr>\n");
    }
    body.push_str("</table>\n");
}

fn page(pid: u32, title: &str, reload_s: Option<u32>, body: &str) -> String {
    let reload = reload_s.map(|s| format!("<meta http-equiv=\"refresh\" content=\"{s}\">\n")).unwrap_or_default();
    let links = PAGES.iter().map(|(page, name)| format!("<a href=\"{page}\">{name}</a>"));
    let links: String = std::iter::once("<a href=\"./\">All</a>".to_owned()).chain(links).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{reload}<title>{title}, process {pid}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<nav>{links}</nav>\n<h1>{title}, process {pid}</h1>\n{body}</body>\n</html>\n"
    )
}

/// A text that is no markup.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|mark| match mark {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            mark => f.write_char(mark),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::snapshot::{Row, Runtime};

    #[test]
    fn what_a_process_sends_is_text_on_each_page() {
        let hostile = "<script>alert('1')</script>\"&amp;";
        let row = Row {
            wait: hostile.to_owned(),
            spawned_at: hostile.to_owned(),
            state: hostile.to_owned(),
            ..Row::default()
        };
        let runtime = Runtime {
            heading: hostile.to_owned(),
            workers: vec![Worker { busy_ns: 1_250_000_000, ..Worker::default() }],
            groups: vec![Row { busy: 900, ..row.clone() }],
            tasks: vec![Row { busy: 1, ..row.clone() }, row],
        };
        for page in [top(7, &Snapshot { runtimes: vec![runtime.clone()] }), metrics(7, hostile), failure(7, hostile)] {
            assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(&#39;1&#39;)"), "{page}");
        }
        let page = top(7, &Snapshot { runtimes: vec![runtime] });
        assert_eq!(page.matches("<td>0.1 %</td>").count(), 1, "{page}");
        assert!(!page.contains("<td>0.0 %</td>"), "{page}");
        assert!(page.contains("<td>1.2 s</td>") && page.matches("class=\"busy\"").count() == 1, "{page}");
        assert!(top(7, &Snapshot::default()).contains("No runtime is there now"));
    }

    #[test]
    fn no_page_loads_anything() {
        for page in [index(7), failure(7, "why"), metrics(7, "x 1"), top(7, &Snapshot::default())] {
            for words in ["src=", "url(", "http:", "https:", "@import", "<script", "<link", "<form"] {
                assert!(!page.contains(words), "{words}: {page}");
            }
        }
    }
}

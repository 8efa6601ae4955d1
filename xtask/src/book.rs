//! The book's pages: the table of contents, and links as they are in the book.
//!
//! Called by the lane `book`, which builds the book with mdBook and checks its links, and by the lane `hello`.
//!
//! Pages are also read on the repository's site, so they link to the files that are beside `docs` by relative paths. In the book
//! these files are missing, so such a link gets the repository's address.

use std::path::{Component, Path, PathBuf};

/// The folder of the pages, in the repository.
pub(crate) const FOLDER: &str = "docs";

/// The table of contents, in that folder.
pub(crate) const CONTENTS: &str = "SUMMARY.md";

/// Pages that are for those who write pages. Links to them lead to the repository.
const NOT_IN_THE_BOOK: [&str; 2] = [CONTENTS, "decisions/0000-template.md"];

/// Where the repository's files are shown.
const REPOSITORY: &str = "https://github.com/redd-rs/redd";

/// A page as the book has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) text: String,
    /// How many links lead to the repository.
    pub(crate) outward: usize,
    pub(crate) findings: Vec<String>,
}

/// Rewrites the links of a page that lead out of the book. `path` is the page's, from `docs`; `kind` says what a path of the
/// repository is.
pub(crate) fn page(path: &str, text: &str, kind: impl Fn(&Path) -> Kind) -> Page {
    let folder = Path::new(FOLDER).join(path).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut page = Page { text: String::with_capacity(text.len()), outward: 0, findings: Vec::new() };
    let mut fence: Option<&str> = None;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let trimmed = line.trim();
        match fence {
            Some(end) => {
                if trimmed.starts_with(end) && trimmed.trim_start_matches('`').is_empty() {
                    fence = None;
                }
            }
            None if trimmed.starts_with("```") => {
                fence = Some(&trimmed[..trimmed.len() - trimmed.trim_start_matches('`').len()]);
            }
            None => {
                rewrite_line(path, index + 1, line, &folder, &kind, &mut page);
                continue;
            }
        }
        page.text.push_str(line);
    }
    page
}

/// What a path of the repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Missing,
}

fn rewrite_line(path: &str, number: usize, line: &str, folder: &Path, kind: &impl Fn(&Path) -> Kind, page: &mut Page) {
    let mut rest = line;
    while let Some((start, end)) = next_target(rest) {
        let target = &rest[start..end];
        page.text.push_str(&rest[..start]);
        rest = &rest[end..];
        let (file, part) = target.find('#').map_or((target, ""), |at| target.split_at(at));
        let outside = if file.is_empty() || file.contains(':') { None } else { repository_path(folder, file) };
        match outside {
            Some(outside) if is_outside(&outside) => {
                let shown = outside.display();
                let way = match kind(&outside) {
                    Kind::File => "blob",
                    Kind::Folder => "tree",
                    Kind::Missing => {
                        page.findings.push(format!(
                            "{FOLDER}/{path}:{number}: the link leads to `{shown}`, which is not in the repository; correct it"
                        ));
                        "blob"
                    }
                };
                page.outward += 1;
                page.text.push_str(&format!("{REPOSITORY}/{way}/main/{shown}{part}"));
            }
            // mdBook makes an index of a folder's README, but does not change the links to it.
            Some(_) if file.ends_with("README.md") => {
                page.text.push_str(&format!("{}index.md{part}", file.trim_end_matches("README.md")));
            }
            _ => page.text.push_str(target),
        }
    }
    page.text.push_str(rest);
}

/// The range of the next target of a link, `](…)`, that is not in back quotes.
fn next_target(line: &str) -> Option<(usize, usize)> {
    let mut at = 0;
    while let Some(found) = line[at..].find(['`', ']']) {
        let here = at + found;
        if line[here..].starts_with('`') {
            let ticks = line[here..].len() - line[here..].trim_start_matches('`').len();
            let inside = here + ticks;
            // A span ends at as many back quotes as it begins with.
            at = closing_ticks(&line[inside..], ticks).map_or(inside, |end| inside + end);
        } else if line[here..].starts_with("](") {
            let start = here + 2;
            let length = line[start..].find([')', ' '])?;
            return Some((start, start + length));
        } else {
            at = here + 1;
        }
    }
    None
}

/// Where the text after the next run of exactly so many back quotes begins.
fn closing_ticks(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        if run == ticks {
            return Some(start + run);
        }
        at = start + run;
    }
    None
}

/// A path of the repository, without `.` and `..`; `None` if it leaves the repository.
fn repository_path(folder: &Path, target: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

/// Whether a path of the repository is not in the book. A folder has no page of its own there.
fn is_outside(path: &Path) -> bool {
    match path.strip_prefix(FOLDER) {
        Ok(inside) => inside.extension().is_none() || NOT_IN_THE_BOOK.iter().any(|page| inside == Path::new(page)),
        Err(_) => true,
    }
}

/// What is wrong with the table of contents: pages that it lacks, or has twice. `pages` are the paths from `docs`.
pub(crate) fn check_contents(contents: &str, pages: &[String]) -> Vec<String> {
    let mut listed = Vec::new();
    for line in contents.lines() {
        if let Some((start, end)) = next_target(line) {
            listed.push(&line[start..end]);
        }
    }
    let mut findings = Vec::new();
    for page in pages.iter().filter(|page| !NOT_IN_THE_BOOK.contains(&page.as_str())) {
        match listed.iter().filter(|listed| *listed == page).count() {
            0 => findings.push(format!("{FOLDER}/{CONTENTS} does not list {page}; add a line for it")),
            1 => {}
            _ => findings.push(format!("{FOLDER}/{CONTENTS} lists {page} more than once; keep one line")),
        }
    }
    for page in listed.iter().filter(|listed| !pages.iter().any(|page| page == *listed)) {
        findings.push(format!("{FOLDER}/{CONTENTS} lists {page}, which does not exist; remove the line"));
    }
    findings
}

/// The blocks of code of a page: their language, and their text.
pub(crate) fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    let mut is_open = false;
    for line in page.lines() {
        match (is_open, line.strip_prefix("```")) {
            (true, Some(_)) => is_open = false,
            (true, None) => {
                if let Some((_, text)) = blocks.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            (false, Some(language)) => {
                is_open = true;
                blocks.push((language.to_owned(), String::new()));
            }
            (false, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> Page {
        page("guide/a.md", text, |path| match path.to_str() {
            Some("demos/src/bin") => Kind::Folder,
            Some("redd/gone.rs") => Kind::Missing,
            _ => Kind::File,
        })
    }

    #[test]
    fn links_out_of_the_book_get_the_address_of_the_repository() {
        let page = rewritten("[a](../../redd/a.rs) and [b](../../demos/src/bin), [c](../../README.md#part)\n");
        let at = "https://github.com/redd-rs/redd";
        let expected = format!(
            "[a]({at}/blob/main/redd/a.rs) and [b]({at}/tree/main/demos/src/bin), [c]({at}/blob/main/README.md#part)\n"
        );
        assert_eq!(page, Page { text: expected, outward: 3, findings: Vec::new() });
    }

    #[test]
    fn links_within_the_book_and_to_other_servers_stay() {
        let text = "[a](b.md#c), [d](../glossary.md), ![e](f.svg), [g](#h), [i](https://example.com/)\n";
        assert_eq!(rewritten(text), Page { text: text.to_owned(), outward: 0, findings: Vec::new() });
    }

    #[test]
    fn a_page_that_is_a_readme_is_the_index_of_its_folder() {
        let page = rewritten("[a](../benchmarks/README.md#part), [b](https://example.com/README.md)\n");
        assert_eq!(page.text, "[a](../benchmarks/index.md#part), [b](https://example.com/README.md)\n");
    }

    #[test]
    fn code_is_not_rewritten() {
        let text = "`[a](../../redd/a.rs)`, ``a ` [b](../../redd/b.rs)``\n\n````text\n```\n[c](../../c.rs)\n````\n";
        assert_eq!(rewritten(text), Page { text: text.to_owned(), outward: 0, findings: Vec::new() });
        assert_eq!(rewritten("a ` alone, [b](../../b.rs)\n").outward, 1);
    }

    #[test]
    fn a_link_to_a_missing_file_is_found_with_its_line() {
        let findings = rewritten("\n[a](../../redd/gone.rs)\n").findings;
        let expected =
            "docs/guide/a.md:2: the link leads to `redd/gone.rs`, which is not in the repository; correct it";
        assert_eq!(findings, [expected]);
    }

    #[test]
    fn pages_that_are_not_in_the_book_lead_to_the_repository() {
        let page = rewritten("[a](../decisions/0000-template.md), [b](../decisions)\n");
        assert_eq!(page.outward, 2);
        assert!(page.text.contains("blob/main/docs/decisions/0000-template.md"), "{}", page.text);
    }

    #[test]
    fn blocks_have_their_language_and_lines() {
        let blocks = blocks("a\n```sh\nls\ncd\n```\nb\n```text\n```\n");
        assert_eq!(blocks, [("sh", "ls\ncd\n"), ("text", "")].map(|(one, other)| (one.to_owned(), other.to_owned())));
    }

    #[test]
    fn the_contents_list_each_page_once() {
        let pages = ["SUMMARY.md", "README.md", "guide/a.md", "guide/b.md"].map(str::to_owned);
        let contents = "[Front](README.md)\n\n- [A](guide/a.md)\n  - [A again](guide/a.md)\n- [C](guide/c.md)\n";
        let findings = check_contents(contents, &pages);
        assert_eq!(
            findings,
            [
                "docs/SUMMARY.md lists guide/a.md more than once; keep one line",
                "docs/SUMMARY.md does not list guide/b.md; add a line for it",
                "docs/SUMMARY.md lists guide/c.md, which does not exist; remove the line",
            ]
        );
        assert_eq!(check_contents("[F](README.md)\n- [A](guide/a.md)\n- [B](guide/b.md)", &pages), [""; 0]);
    }
}

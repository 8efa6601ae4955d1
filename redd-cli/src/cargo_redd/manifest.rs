//! `Cargo.toml` of the workspace's root: the patch for `tokio`, added and removed.
//!
//! Called by `switch`, `back` and `doctor`.
//!
//! # Invariants
//! - `one-place`: an edit inserts one text at one place, so all other bytes stay, and the edit can be taken back.
//! - `checked-edit`: the edited text is parsed and compared with the tables that it should have before it is used.
//!
//! # Why not otherwise
//! `toml_edit` can write a changed document. It then also changes the ends of lines of a file with CRLF, so it is used for
//! the places of keys and values only.

use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml_edit::{Document, Item, Table, TableLike, Value};

/// What a patch for `tokio` puts in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// As in the manifest, so perhaps relative to its folder.
    Path(String),
    Git {
        url: String,
        /// `rev`, `branch` or `tag`, with its value.
        reference: Option<(String, String)>,
    },
    /// Neither: another version or registry.
    Other(String),
}

/// A patch for `tokio`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patch {
    /// `crates-io`, or the address of a registry or repository.
    pub(crate) of: String,
    /// In the manifest, from 1 on.
    pub(crate) line: usize,
    pub(crate) replacement: Replacement,
}

/// An edit that inserts one text at one place (`one-place`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Insertion {
    at: usize,
    pub(crate) text: String,
}

impl Insertion {
    /// `at` is the place in the text that it is applied to.
    pub(crate) fn new(at: usize, text: String) -> Self {
        Self { at, text }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn apply(&self, to: &str) -> String {
        format!("{}{}{}", &to[..self.at], self.text, &to[self.at..])
    }
}

/// All patches for `tokio` in a manifest, or in a configuration file of Cargo, which has the same table.
pub(crate) fn patches(text: &str) -> Result<Vec<Patch>, String> {
    let document = parse(text)?;
    let line = |at: usize| text[..at].matches('\n').count() + 1;
    let mut found = Vec::new();
    for (of, packages) in tables(document.get("patch")) {
        for (key, item) in packages.as_table_like().into_iter().flat_map(TableLike::iter) {
            let name = item.get("package").and_then(Item::as_str).unwrap_or(key);
            if name == "tokio" {
                let at = packages.as_table_like().and_then(|table| table.get_key_value(key)?.0.span());
                found.push(Patch {
                    of: of.to_owned(),
                    line: at.map_or(1, |at| line(at.start)),
                    replacement: replacement(item),
                });
            }
        }
    }
    for (key, item) in tables(document.get("replace")) {
        let name = key.rsplit_once('#').map_or(key, |(_, name)| name);
        if name.starts_with("tokio:") || name.starts_with("tokio@") {
            let at = item.span().map_or(0, |span| span.start);
            found.push(Patch { of: "[replace]".to_owned(), line: line(at), replacement: replacement(item) });
        }
    }
    Ok(found)
}

fn tables(item: Option<&Item>) -> impl Iterator<Item = (&str, &Item)> {
    item.and_then(Item::as_table_like).into_iter().flat_map(TableLike::iter)
}

fn replacement(item: &Item) -> Replacement {
    let text = |key: &str| item.get(key).and_then(Item::as_str).map(str::to_owned);
    if let Some(path) = text("path") {
        return Replacement::Path(path);
    }
    match text("git") {
        Some(url) => {
            let reference = ["rev", "branch", "tag"].iter().find_map(|key| Some(((*key).to_owned(), text(key)?)));
            Replacement::Git { url, reference }
        }
        None => Replacement::Other(item.to_string().trim().to_owned()),
    }
}

/// The insertion that patches `tokio` of crates.io. `entry` is the inline table of the patch, such as `{ path = "../redd/tokio" }`.
pub(crate) fn add_patch(text: &str, entry: &str) -> Result<Insertion, String> {
    let document = parse(text)?;
    let line = format!("tokio = {entry}");
    let added = Document::parse(line.as_str()).map_err(|error| format!("`{line}`: {error}"))?;
    let mut expected = plain(document.as_item());
    let table = child(&mut expected, "patch").and_then(|patch| child(patch, "crates-io")).and_then(Json::as_object_mut);
    let Some(table) = table else { return Err("`patch.crates-io` is not a table in it".to_owned()) };
    table.insert("tokio".to_owned(), plain(&added["tokio"]));

    let insertion = place(text, &document, &line);
    match Document::parse(insertion.apply(text).as_str()) {
        Ok(edited) if plain(edited.as_item()) == expected => Ok(insertion),
        _ => Err(format!(
            "no place was found in it for the patch. Add it by hand: `{line}` in the table `[patch.crates-io]`"
        )),
    }
}

/// The table of this name, made if there is none.
fn child<'a>(of: &'a mut Json, name: &str) -> Option<&'a mut Json> {
    Some(of.as_object_mut()?.entry(name).or_insert_with(|| Json::Object(Map::new())))
}

/// Where the line goes, and with what around it.
fn place(text: &str, document: &Document<&str>, line: &str) -> Insertion {
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let patch = document.get("patch");
    let packages = patch.and_then(|patch| patch.get("crates-io"));
    let inline = |table: &Item, line: String| match table.as_inline_table().and_then(|inline| inline.span()) {
        Some(span) => match end_of_values(table) {
            Some(at) => Some(Insertion { at, text: format!(", {line}") }),
            None => Some(Insertion { at: span.start + 1, text: format!(" {line} ") }),
        },
        None => None,
    };
    let below = |at: usize, line: &str| {
        let indent = indent(text, at);
        let at = end_of_line(text, at);
        Insertion { at, text: format!("{newline}{indent}{line}") }
    };
    let found = match (patch, packages) {
        (Some(patch), None) if patch.is_inline_table() => inline(patch, format!("crates-io = {{ {line} }}")),
        (Some(patch), None) if is_dotted(patch) => {
            end_of_values(patch).map(|at| below(at, &format!("patch.crates-io.{line}")))
        }
        (_, Some(packages)) if packages.is_inline_table() => inline(packages, line.to_owned()),
        (Some(patch), Some(packages)) if is_dotted(packages) => {
            let prefix = if is_dotted(patch) { "patch.crates-io" } else { "crates-io" };
            end_of_values(packages).map(|at| below(at, &format!("{prefix}.{line}")))
        }
        (_, Some(packages)) if packages.as_table().is_some_and(|table| !table.is_implicit()) => {
            end_of_values(packages).or_else(|| Some(packages.span()?.end)).map(|at| below(at, line))
        }
        _ => None,
    };
    found.unwrap_or_else(|| {
        let before = match text.as_bytes().last() {
            None => "",
            Some(b'\n') => newline,
            Some(_) => &newline.repeat(2),
        };
        Insertion { at: text.len(), text: format!("{before}[patch.crates-io]{newline}{line}{newline}") }
    })
}

fn is_dotted(item: &Item) -> bool {
    item.as_table().is_some_and(Table::is_dotted)
}

/// Where the last value of a table ends. Tables with a header of their own are not part of it.
fn end_of_values(table: &Item) -> Option<usize> {
    let end = |item: &Item| match item {
        Item::Value(value) => value.span().map(|span| span.end),
        Item::Table(table) if table.is_dotted() => end_of_values(item),
        Item::Table(_) | Item::ArrayOfTables(_) | Item::None => None,
    };
    table.as_table_like()?.iter().filter_map(|(_, item)| end(item)).max()
}

fn start_of_line(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// Before the end of the line, so that a comment stays where it is.
fn end_of_line(text: &str, at: usize) -> usize {
    let rest = text[at..].find('\n').map_or(&text[at..], |newline| &text[at..at + newline]);
    at + rest.strip_suffix('\r').unwrap_or(rest).len()
}

fn indent(text: &str, at: usize) -> &str {
    let line = &text[start_of_line(text, at)..at];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}

/// The manifest without the patch of `tokio` of crates.io. It is for a patch whose insertion is no longer there as it was.
pub(crate) fn remove_patch(text: &str) -> Result<String, String> {
    let document = parse(text)?;
    let mut expected = plain(document.as_item());
    let has_had =
        expected.pointer_mut("/patch/crates-io").and_then(Json::as_object_mut).map(|table| table.remove("tokio"));
    let packages = document.get("patch").and_then(|patch| patch.get("crates-io"));
    let (Some(Some(_)), Some(packages)) = (has_had, packages) else {
        return Err("it has no patch for `tokio` of crates.io".to_owned());
    };
    let mut ranges = ranges_of_patch(text, packages);
    ranges.sort_by_key(|range| range.start);
    let mut rest = text.to_owned();
    ranges.into_iter().rev().for_each(|range| rest.replace_range(range, ""));
    let edited = Document::parse(rest.as_str()).map(|edited| without_empty_patch(plain(edited.as_item())));
    if edited.is_ok_and(|edited| edited == without_empty_patch(expected)) {
        return Ok(rest);
    }
    Err("the patch for `tokio` cannot be taken out of it. Remove `tokio` of `[patch.crates-io]` by hand".to_owned())
}

/// An empty table patches nothing, and whether there is one depends on how it was written.
fn without_empty_patch(mut tables: Json) -> Json {
    let is_empty = |table: Option<&Json>| table.and_then(Json::as_object).is_some_and(Map::is_empty);
    if let Some(patch) = tables.get_mut("patch").and_then(Json::as_object_mut) {
        if is_empty(patch.get("crates-io")) {
            patch.remove("crates-io");
        }
    }
    if is_empty(tables.get("patch")) {
        tables.as_object_mut().map(|tables| tables.remove("patch"));
    }
    tables
}

/// What of the text is the patch: whole lines, or a part of an inline table.
fn ranges_of_patch(text: &str, packages: &Item) -> Vec<Range<usize>> {
    let Some(table) = packages.as_table_like() else { return Vec::new() };
    let Some((key, item)) = table.get_key_value("tokio") else { return Vec::new() };
    let whole_lines = |range: Range<usize>| {
        let end = end_of_line(text, range.end);
        let end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
        start_of_line(text, range.start)..end
    };
    let (Some(key), Some(span)) = (key.span(), item.span()) else { return Vec::new() };
    if packages.is_inline_table() {
        let end = end_of_values(item).filter(|_| is_dotted(item)).unwrap_or(span.end);
        let before = text[..key.start].trim_end();
        // With the comma before it, or with the one behind it if it is the first.
        if before.ends_with(',') {
            return vec![before.len() - 1..end];
        }
        let behind = &text[end..];
        let comma = behind.trim_start().strip_prefix(',').map_or(0, |rest| behind.len() - rest.trim_start().len());
        return vec![key.start..end + comma];
    }
    match item {
        Item::Table(table) => {
            let values = table.iter().filter_map(|(name, _)| {
                let (key, item) = table.get_key_value(name)?;
                Some(whole_lines(key.span()?.start..item.span()?.end))
            });
            let header = (!table.is_dotted()).then(|| whole_lines(span));
            values.chain(header).collect()
        }
        Item::Value(_) | Item::ArrayOfTables(_) | Item::None => vec![whole_lines(key.start..span.end)],
    }
}

fn parse(text: &str) -> Result<Document<&str>, String> {
    Document::parse(text).map_err(|error| format!("it cannot be read: {error}"))
}

/// Keys and values without their format.
fn plain(item: &Item) -> Json {
    match item {
        Item::None => Json::Null,
        Item::Value(value) => plain_value(value),
        Item::Table(table) => plain_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| plain_table(table)).collect(),
    }
}

fn plain_value(value: &Value) -> Json {
    match value {
        Value::String(text) => text.value().clone().into(),
        Value::Boolean(value) => (*value.value()).into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => number.value().to_string().into(),
        Value::Datetime(time) => time.value().to_string().into(),
        Value::Array(values) => values.iter().map(plain_value).collect(),
        Value::InlineTable(table) => plain_table(table),
    }
}

fn plain_table(table: &dyn TableLike) -> Json {
    Json::Object(table.iter().map(|(key, item)| (key.to_owned(), plain(item))).collect())
}

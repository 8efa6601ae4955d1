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

/// Another name of `crates-io` in a table of patches.
const CRATES_IO_ADDRESS: &str = "https://github.com/rust-lang/crates.io-index";

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

    /// The text without what was inserted, if that is in it exactly once.
    pub(crate) fn take_out(&self, of: &str) -> Option<String> {
        (of.matches(&self.text).count() == 1).then(|| of.replacen(&self.text, "", 1))
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
                    of: if of == CRATES_IO_ADDRESS { "crates-io" } else { of }.to_owned(),
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

    // Whatever was written before, the result is right (`checked-edit`).
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

/// Whether a folder of this name beside the manifest would be taken for a member of the workspace, as by `members = ["*"]`.
pub(crate) fn takes_as_member(text: &str, name: &str) -> bool {
    let Ok(document) = parse(text) else { return false };
    let list = |key: &str| {
        let items = document.get("workspace").and_then(|workspace| workspace.get(key)).and_then(Item::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let is_glob = |pattern: &String| {
        let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
        pattern.starts_with("**") || (pattern.contains(['*', '?', '[']) && !pattern.trim_end_matches('/').contains('/'))
    };
    list("members").iter().any(is_glob) && !list("exclude").iter().any(|excluded| excluded == name)
}

/// The manifest without the patch of `tokio` of crates.io. It is for a patch whose insertion is no longer there as it was.
pub(crate) fn remove_patch(text: &str) -> Result<String, String> {
    let document = parse(text)?;
    let mut expected = plain(document.as_item());
    let patch = document.get("patch");
    let named = |name: &str| patch.and_then(|patch| patch.get(name)).filter(|packages| packages.get("tokio").is_some());
    let name = if named(CRATES_IO_ADDRESS).is_some() { CRATES_IO_ADDRESS } else { "crates-io" };
    let table = expected.get_mut("patch").and_then(|patch| patch.get_mut(name)).and_then(Json::as_object_mut);
    let has_had = table.map(|table| table.remove("tokio"));
    let packages = named(name);
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
        for name in ["crates-io", CRATES_IO_ADDRESS] {
            if is_empty(patch.get(name)) {
                patch.remove(name);
            }
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
    let Some(key) = key.span() else { return Vec::new() };
    if packages.is_inline_table() {
        // `tokio.path = "…"` has its end at its last value.
        let is_dotted = item.as_inline_table().is_some_and(toml_edit::InlineTable::is_dotted);
        let end = if is_dotted { end_of_values(item) } else { item.span().map(|span| span.end) };
        let Some(end) = end else { return Vec::new() };
        let before = text[..key.start].trim_end();
        // With the comma before it, or with the one behind it if it is the first.
        if before.ends_with(',') {
            return std::iter::once(before.len() - 1..end).collect();
        }
        let behind = &text[end..];
        let comma = behind.trim_start().strip_prefix(',').map_or(0, |rest| behind.len() - rest.trim_start().len());
        return std::iter::once(key.start..end + comma).collect();
    }
    let Some(span) = item.span() else { return Vec::new() };
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENTRY: &str = r#"{ path = "../redd/tokio" }"#;

    fn added(text: &str) -> String {
        let insertion = add_patch(text, ENTRY).expect(text);
        let edited = insertion.apply(text);
        assert_eq!(insertion.take_out(&edited).as_deref(), Some(text));
        let found = patches(&edited).expect("it was checked");
        assert_eq!(found.len(), 1, "{edited}");
        assert_eq!(found[0].replacement, Replacement::Path("../redd/tokio".to_owned()));
        edited
    }

    #[test]
    fn the_patch_goes_where_a_person_would_write_it() {
        let header = "[patch.crates-io]\ntokio = { path = \"../redd/tokio\" }\n";
        for (text, expected) in [
            ("", header.to_owned()),
            ("[package]\n", format!("[package]\n\n{header}")),
            ("[package]", format!("[package]\n\n{header}")),
            ("[package]\r\n", format!("[package]\r\n\r\n{}", header.replace('\n', "\r\n"))),
            ("\u{feff}[package]\n", format!("\u{feff}[package]\n\n{header}")),
            (
                "[patch.crates-io] # ours\n  a = { path = \"a\" } # one\n\n# next\n[features]\n",
                "[patch.crates-io] # ours\n  a = { path = \"a\" } # one\n  tokio = { path = \"../redd/tokio\" }\n\n# next\n[features]\n".to_owned(),
            ),
            (
                "[patch.\"crates-io\"]\na = {\n  path = \"a\" }",
                "[patch.\"crates-io\"]\na = {\n  path = \"a\" }\n  tokio = { path = \"../redd/tokio\" }".to_owned(),
            ),
            ("[patch.crates-io]\n[features]\n", "[patch.crates-io]\ntokio = { path = \"../redd/tokio\" }\n[features]\n".to_owned()),
            ("[patch.crates-io.a]\npath = \"a\"\n", format!("[patch.crates-io.a]\npath = \"a\"\n\n{header}")),
            (
                "[patch]\ncrates-io.a.path = \"a\"\n[features]\n",
                "[patch]\ncrates-io.a.path = \"a\"\ncrates-io.tokio = { path = \"../redd/tokio\" }\n[features]\n".to_owned(),
            ),
            (
                "patch.crates-io.a.path = \"a\"\n[features]\n",
                "patch.crates-io.a.path = \"a\"\npatch.crates-io.tokio = { path = \"../redd/tokio\" }\n[features]\n".to_owned(),
            ),
            (
                "patch.other.a.path = \"a\"\n[features]\n",
                "patch.other.a.path = \"a\"\npatch.crates-io.tokio = { path = \"../redd/tokio\" }\n[features]\n".to_owned(),
            ),
            (
                "[patch]\ncrates-io = { a = { path = \"a\" } } # b\n",
                "[patch]\ncrates-io = { a = { path = \"a\" }, tokio = { path = \"../redd/tokio\" } } # b\n".to_owned(),
            ),
            ("[patch]\ncrates-io = {}\n", "[patch]\ncrates-io = { tokio = { path = \"../redd/tokio\" } }\n".to_owned()),
            (
                "patch = { other = { a = { path = \"a\" } } }\n",
                "patch = { other = { a = { path = \"a\" } }, crates-io = { tokio = { path = \"../redd/tokio\" } } }\n".to_owned(),
            ),
            ("[patch.other]\na.path = \"a\"\n", format!("[patch.other]\na.path = \"a\"\n\n{header}")),
        ] {
            assert_eq!(added(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_patch_that_people_wrote_is_removed_with_its_lines_alone() {
        for (text, rest) in [
            (
                "[a]\n\n[patch.crates-io]\ntokio = { path = \"x\" } # c\nb.path = \"b\"\n",
                "[a]\n\n[patch.crates-io]\nb.path = \"b\"\n",
            ),
            (
                "[patch.crates-io]\nb.path = \"b\"\ntokio.git = \"x\"\ntokio.rev = \"y\"\n",
                "[patch.crates-io]\nb.path = \"b\"\n",
            ),
            ("[patch.crates-io.tokio]\npath = \"x\"\n[a]\n", "[a]\n"),
            (
                "[patch]\ncrates-io = { tokio = { path = \"x\" }, b = { path = \"b\" } }\n",
                "[patch]\ncrates-io = { b = { path = \"b\" } }\n",
            ),
            (
                "[patch]\ncrates-io = { b = { path = \"b\" }, tokio.path = \"x\" }\n",
                "[patch]\ncrates-io = { b = { path = \"b\" } }\n",
            ),
            ("[patch.crates-io]\r\ntokio = { path = \"x\" }\r\n", "[patch.crates-io]\r\n"),
            (
                "[patch.\"https://github.com/rust-lang/crates.io-index\"]\ntokio = { path = \"x\" }\n",
                "[patch.\"https://github.com/rust-lang/crates.io-index\"]\n",
            ),
            ("[patch.crates-io]\ntokio = { path = \"x\" }", "[patch.crates-io]\n"),
        ] {
            assert_eq!(remove_patch(text).as_deref(), Ok(rest), "{text:?}");
        }
        assert!(remove_patch("[a]\n").is_err_and(|why| why.contains("no patch")));
    }

    #[test]
    fn patches_are_found_with_their_lines_and_what_they_are_for() {
        let text = "[patch.crates-io]\nb.path = \"b\"\nmine = { package = \"tokio\", git = \"g\", branch = \"h\" }\n\
                    [patch.\"https://example.com\"]\ntokio = \"1\"\n[replace]\n\"tokio:1.0.0\" = { path = \"c\" }\n";
        let found = patches(text).expect("it is TOML");
        let git = Replacement::Git { url: "g".to_owned(), reference: Some(("branch".to_owned(), "h".to_owned())) };
        assert_eq!(found[0], Patch { of: "crates-io".to_owned(), line: 3, replacement: git });
        assert_eq!((found[1].of.as_str(), found[1].line), ("https://example.com", 5));
        assert!(matches!(&found[1].replacement, Replacement::Other(entry) if entry == "\"1\""));
        assert_eq!((found[2].of.as_str(), found[2].line), ("[replace]", 7));
        assert_eq!(found.len(), 3);
        assert!(patches("[a\n").is_err_and(|why| why.contains("cannot be read")));
    }

    #[test]
    fn a_folder_beside_the_manifest_is_a_member_only_by_a_pattern() {
        let takes = |members: &str| takes_as_member(&format!("[workspace]\n{members}\n"), ".redd");
        assert!(takes("members = [\"a\", \"*\"]") && takes("members = [\"./*\"]") && takes("members = [\"**/b\"]"));
        assert!(
            !takes("members = [\"crates/*\", \"a\"]")
                && !takes("members = [\"*\"]\nexclude = [\".redd\"]")
                && !takes("")
        );
    }

    /// A manifest as people write them, with patches in all forms.
    fn manifests() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            "[package]\nname = \"a\"   # name\n",
            "\n",
            "# comment [patch.crates-io]\n",
            "[dependencies]\ntokio = { version = \"1\", features = [\n  \"full\", # all\n] }\n",
            "[features]\ndefault = []\n",
            "[profile.release]\nlto = true\n",
            "[patch.other]\nb = { path = \"b\" }\n",
            "[[bin]]\nname = \"x\"\n",
            "[package.metadata]\ntext = \"\"\"\n[patch.crates-io]\ntokio = 1\n\"\"\"\n",
        ]);
        let patch = prop::sample::select(vec![
            "",
            "[patch.crates-io]\n",
            "[patch.crates-io]\nb = { path = \"b\" } # b\n\n",
            "[ patch . 'crates-io' ]\n\tb.path = \"b\"\n",
            "[patch.crates-io.b]\npath = \"b\"\n",
            "[patch]\ncrates-io = { b = { path = \"b\" } }\n",
            "[patch]\ncrates-io.b.path = \"b\"\n",
        ]);
        let ends = (any::<bool>(), any::<bool>(), any::<bool>());
        (prop::collection::vec(part, 0..8), patch, 0..8_usize, ends).prop_map(
            |(mut parts, patch, at, (crlf, bom, cut))| {
                parts.insert(at.min(parts.len()), patch);
                let mut text = parts.concat();
                if cut {
                    text.truncate(text.trim_end().len());
                }
                if crlf {
                    text = text.replace('\n', "\r\n");
                }
                if bom { format!("\u{feff}{text}") } else { text }
            },
        )
    }

    proptest! {
        #[test]
        fn any_manifest_has_the_patch_and_is_the_same_without_it(text in manifests()) {
            // Parts may stand in it twice, and then it is not TOML.
            if Document::parse(text.as_str()).is_ok() {
                let edited = added(&text);
                let removed = remove_patch(&edited).expect("it has one");
                let tables = |text: &str| without_empty_patch(plain(parse(text).expect("it is TOML").as_item()));
                prop_assert_eq!(tables(&removed), tables(&text));
            }
        }
    }
}

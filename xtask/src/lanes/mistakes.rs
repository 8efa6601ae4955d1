//! Mistakes that are seeded into product files: a copy of the sources in which models must fail.
//!
//! Called by the lanes `loom` and `shuttle`. The mistakes are entries of `redd/models/mistakes.txt`, which says how an
//! entry is written. The copy is a workspace in the target folder; files that have not changed are not written again, so
//! that cargo builds only what is new.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The table of mistakes.
const TABLE: &str = "redd/models/mistakes.txt";

/// The `cfg` of the tests that need a seeded mistake. The copy turns it on in its text: a flag of the compiler would build
/// all dependencies once more.
const SWITCH: &str = "redd_mistakes";

/// What the workspace consists of beside its members.
const COPIED: &[&str] = &["Cargo.toml", "Cargo.lock"];

/// The version of the workspace's packages, up to its closing quote, and that of the copy's.
const VERSION: &str = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"));
const COPY_VERSION: &str = concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "+mistakes");

/// An entry of the table.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    name: String,
    file: String,
    /// Whole lines, each with its line feed.
    find: String,
    replace: String,
}

/// Brings the copy up to date, with every mistake in it. Returns its folder.
pub(super) fn seeded_copy(root: &Path, target: &Path) -> Result<PathBuf, String> {
    let table = fs::read_to_string(root.join(TABLE)).map_err(|error| format!("cannot read {TABLE}: {error}"))?;
    let mistakes = parse(&table)?;
    let folder = target.join("mistakes");
    let mut expected = BTreeSet::new();
    let manifest =
        fs::read_to_string(root.join("Cargo.toml")).map_err(|error| format!("cannot read Cargo.toml: {error}"))?;
    let members = members(&manifest)?;
    for name in COPIED.iter().copied().chain(members) {
        copy(root, &folder, Path::new(name), &mistakes, &mut expected)?;
    }
    remove_others(&folder, &expected).map_err(|error| format!("cannot clear {}: {error}", folder.display()))?;
    Ok(folder)
}

/// The members of a workspace. Cargo loads all of their manifests, so the copy needs every one.
fn members(manifest: &str) -> Result<Vec<&str>, String> {
    let list = manifest.lines().find_map(|line| line.strip_prefix("members = [")?.strip_suffix(']'));
    let list =
        list.ok_or("Cargo.toml has no line `members = [...]`: write the members of the workspace into one line")?;
    Ok(list.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty()).collect())
}

fn copy(
    root: &Path,
    folder: &Path,
    path: &Path,
    mistakes: &[Mistake],
    expected: &mut BTreeSet<PathBuf>,
) -> Result<(), String> {
    let cannot = |error: io::Error| format!("cannot copy {}: {error}", path.display());
    let (from, to) = (root.join(path), folder.join(path));
    if from.is_dir() {
        fs::create_dir_all(&to).map_err(cannot)?;
        for entry in fs::read_dir(&from).map_err(cannot)? {
            let name = entry.map_err(cannot)?.file_name();
            if name != "target" {
                copy(root, folder, &path.join(name), mistakes, expected)?;
            }
        }
        return Ok(());
    }
    let mut bytes = fs::read(&from).map_err(cannot)?;
    let is_model = path.starts_with("redd/models");
    let is_workspace = path == Path::new("Cargo.toml");
    if is_model || is_workspace || mistakes.iter().any(|mistake| Path::new(&mistake.file) == path) {
        let mut text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))?;
        for mistake in mistakes.iter().filter(|mistake| Path::new(&mistake.file) == path) {
            text = mistake.apply(&text)?;
        }
        if is_model {
            text = text.replace(SWITCH, "test");
        }
        if is_workspace {
            // Both builds share the target folder. With one version, Cargo would take either for the other.
            text = text.replacen(VERSION, COPY_VERSION, 1);
        }
        bytes = text.into_bytes();
    }
    expected.insert(to.clone());
    if fs::read(&to).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().unwrap_or(folder)).and_then(|()| fs::write(&to, bytes)).map_err(cannot)
}

/// Removes files that the repository no longer has.
fn remove_others(folder: &Path, expected: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, expected)?;
        } else if !expected.contains(&path) && path.file_name().is_some_and(|name| name != "Cargo.lock") {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

impl Mistake {
    fn apply(&self, text: &str) -> Result<String, String> {
        let starts_line = |at: &usize| *at == 0 || text.as_bytes()[*at - 1] == b'\n';
        let places: Vec<usize> = text.match_indices(&self.find).map(|(at, _)| at).filter(starts_line).collect();
        let &[at] = places.as_slice() else {
            return Err(format!(
                "{}: the lines of the seeded mistake \"{}\" occur {} times instead of once: copy the lines as they are now \
                 into its entry in {TABLE}, with enough of their neighbours, and seed the mistake into them again",
                self.file,
                self.name,
                places.len()
            ));
        };
        Ok(format!("{}{}{}", &text[..at], self.replace, &text[at + self.find.len()..]))
    }

    fn check(&self) -> Result<(), String> {
        let asks = format!("has_mistake(\"{}\")", self.name);
        let what = if self.file.is_empty() {
            "names no file: add `file: redd/src/…`".to_owned()
        } else if self.find.is_empty() {
            "finds no lines: add the lines of the file, each behind a `-`".to_owned()
        } else if !self.replace.contains(&asks) {
            format!("does not ask for itself: add `{asks}` to its `+` lines")
        } else {
            return Ok(());
        };
        Err(format!("{TABLE}: the mistake \"{}\" {what}", self.name))
    }
}

/// The entries of the table.
fn parse(table: &str) -> Result<Vec<Mistake>, String> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    for (index, line) in table.lines().enumerate() {
        let wrong = || format!("{TABLE}:{}: expected `mistake:`, `file:`, `-`, `+` or `#`: {line}", index + 1);
        if let Some(name) = line.strip_prefix("mistake: ") {
            if mistakes.iter().any(|mistake| mistake.name == name) {
                return Err(format!("{TABLE}:{}: the mistake \"{name}\" is there twice: rename one", index + 1));
            }
            let name = name.to_owned();
            mistakes.push(Mistake { name, file: String::new(), find: String::new(), replace: String::new() });
        } else if !line.is_empty() && !line.starts_with('#') {
            let mistake = mistakes.last_mut().ok_or_else(wrong)?;
            if let Some(file) = line.strip_prefix("file: ") {
                file.clone_into(&mut mistake.file);
            } else {
                let side = match line.as_bytes()[0] {
                    b'-' => &mut mistake.find,
                    b'+' => &mut mistake.replace,
                    _ => return Err(wrong()),
                };
                side.push_str(&line[1..]);
                side.push('\n');
            }
        }
    }
    mistakes.iter().try_for_each(Mistake::check)?;
    Ok(mistakes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "# A.\nmistake: a b\nfile: c.rs\n-x();\n+if !has_mistake(\"a b\") {\n+    x();\n+}\n";

    #[test]
    fn a_mistake_is_seeded_into_the_one_place_where_its_lines_are() {
        let [mistake] = parse(ONE).unwrap().try_into().unwrap();
        assert_eq!(
            mistake.apply("y();\nx();\nz.x();\n").unwrap(),
            "y();\nif !has_mistake(\"a b\") {\n    x();\n}\nz.x();\n"
        );
        for (text, count) in [("y();\n", 0), ("x();\nx();\n", 2)] {
            let error = mistake.apply(text).unwrap_err();
            assert!(error.contains(&format!("occur {count} times")), "{error}");
            assert!(error.starts_with("c.rs: ") && error.contains("copy the lines as they are now"), "{error}");
        }
    }

    #[test]
    fn a_table_with_an_error_says_how_to_fix_it() {
        for (table, fix) in [
            (ONE.replace("file: c.rs\n", ""), "add `file: "),
            (ONE.replace("-x();\n", ""), "each behind a `-`"),
            (ONE.replace("\"a b\"", "\"a\""), "add `has_mistake(\"a b\")`"),
            (ONE.replace("-x", "x"), "expected `mistake:`"),
            (format!("{ONE}{ONE}"), "rename one"),
        ] {
            let error = parse(&table).unwrap_err();
            assert!(error.starts_with(TABLE) && error.contains(fix), "{table}: {error}");
        }
    }

    #[test]
    fn every_member_of_the_workspace_is_copied() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        // Cargo's own list.
        let mut metadata = std::process::Command::new(env!("CARGO"));
        metadata.args(["metadata", "--offline", "--no-deps", "--format-version=1"]).current_dir(root);
        let metadata: serde_json::Value = serde_json::from_slice(&metadata.output().unwrap().stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap();
        let paths = packages.iter().map(|package| Path::new(package["manifest_path"].as_str().unwrap()));
        let expected: BTreeSet<&Path> =
            paths.map(|path| path.parent().unwrap().strip_prefix(root.canonicalize().unwrap()).unwrap()).collect();
        assert_eq!(members(&manifest).unwrap().into_iter().map(Path::new).collect::<BTreeSet<_>>(), expected);
        assert!(members("[workspace]\n").unwrap_err().contains("into one line"));
    }

    #[test]
    fn every_seeded_mistake_fits_its_file_and_is_turned_on_by_a_test() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mistakes = parse(&fs::read_to_string(root.join(TABLE)).unwrap()).unwrap();
        assert!(!mistakes.is_empty());
        let models: Vec<String> = fs::read_dir(root.join("redd/models"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        for mistake in &mistakes {
            let text = fs::read_to_string(root.join(&mistake.file)).unwrap();
            mistake.apply(&text).unwrap();
            let quoted = format!("\"{}\"", mistake.name);
            assert!(models.iter().any(|model| model.contains(&quoted)), "no model has the mistake {quoted}");
        }
    }
}

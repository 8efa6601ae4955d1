//! Packages as the registry gets them, and their documentation as docs.rs builds it. Nothing is uploaded.
//!
//! Called by `cargo xtask publish` and `docs-rs`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::api::depend_on_tokio;
use super::commands::{cargo, passes, rustup_cargo, target_dir};
use super::outcome::Outcome;

/// What a release publishes, each after those that it needs. All other packages say `publish = false`, and why is in
/// docs/releases.md.
const PUBLISHED: &[&str] = &["redd-macros", "redd", "redd-sim-libc", "redd-cli"];

/// Compressed. The registry accepts 10 MiB; this notices what was included by mistake.
const ARCHIVE_BYTES_MAX: u64 = 2 << 20;

/// Of one file. The largest one is a source file.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// What cargo writes into each archive.
const OF_CARGO: &[&str] = &["Cargo.toml", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json"];

const OF_EACH: &[&str] = &["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Categories of the registry that our packages use. It refuses a package with a category that it does not know.
const CATEGORIES: &[&str] = &[
    "asynchronous",
    "command-line-utilities",
    "concurrency",
    "development-tools::cargo-plugins",
    "development-tools::debugging",
    "development-tools::procedural-macro-helpers",
    "development-tools::testing",
    "network-programming",
];

/// Packages, builds and checks everything that a release publishes, in a dry run.
pub(super) fn publish(root: &Path) -> Outcome {
    let failed = |note: String| Outcome { passed: false, note };
    let packages = match workspace_packages(root) {
        Ok(packages) => packages,
        Err(why) => return failed(why),
    };
    let mut findings = check_list(&packages);
    if !reaches_registry(root) {
        return Outcome::skipped("the index of the crate registry cannot be read, and `cargo publish` needs it");
    }
    let folder = std::path::absolute(target_dir(root).join("package-check")).unwrap_or_default();
    // Dirty trees, too: the lane is run before a commit.
    let dry_run = ["publish", "--workspace", "--dry-run", "--locked", "--allow-dirty"];
    if !passes(cargo(root, &dry_run).env("CARGO_TARGET_DIR", &folder)) {
        return failed("`cargo publish --dry-run` fails (its message is above)".to_owned());
    }
    // The dry run keeps its archives where only cargo knows.
    let mut archives = vec!["package", "--no-verify", "--locked", "--allow-dirty", "--quiet"];
    archives.extend(PUBLISHED.iter().flat_map(|name| ["-p", name]));
    if !passes(cargo(root, &archives).env("CARGO_TARGET_DIR", &folder)) {
        return failed("`cargo package` fails (its message is above)".to_owned());
    }
    // Not below the repository, whose `.cargo` and workspace a package of the registry does not see.
    let outside = std::env::temp_dir().join(format!("redd-published-{}", std::process::id()));
    let mut bytes = 0;
    for package in packages.iter().filter(|package| is_published(package)) {
        let (name, version) = (text(&package["name"]), text(&package["version"]));
        let archive = folder.join(format!("package/{name}-{version}.crate"));
        bytes += std::fs::metadata(&archive).map_or(0, |archive| archive.len());
        match unpack(&archive, &outside) {
            Ok(()) => findings.extend(check_package(package, &outside.join(format!("{name}-{version}")), &archive)),
            Err(why) => findings.push(why),
        }
    }
    let runs = findings.is_empty() && runs_outside(root, &outside, &packages);
    let _ = std::fs::remove_dir_all(&outside);
    findings.iter().for_each(|finding| println!("{finding}"));
    Outcome {
        passed: findings.is_empty() && runs,
        note: format!(
            "{} packages, {} KiB; {} findings; a program on them {} outside of the repository",
            PUBLISHED.len(),
            bytes >> 10,
            findings.len(),
            if runs { "runs" } else { "does not run" }
        ),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_published(package: &Value) -> bool {
    package["publish"].is_null()
}

fn workspace_packages(root: &Path) -> Result<Vec<Value>, String> {
    let output = cargo(root, &["metadata", "--format-version", "1", "--no-deps"]).output();
    let output = output.map_err(|error| format!("cannot start cargo: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("`cargo metadata` printed no JSON ({error})"))?;
    Ok(metadata["packages"].as_array().cloned().unwrap_or_default())
}

/// A package that is new is published only after a decision.
fn check_list(packages: &[Value]) -> Vec<String> {
    let published = packages.iter().filter(|package| is_published(package)).map(|package| text(&package["name"]));
    let published: Vec<_> = published.collect();
    let unlisted = published.iter().filter(|name| !PUBLISHED.contains(name)).map(|name| {
        format!(
            "{name}: it would be published. Add `publish = false` to its manifest, or the name to `PUBLISHED` in xtask"
        )
    });
    let missing = PUBLISHED.iter().filter(|name| !published.contains(name)).map(|name| {
        format!("{name}: it is in `PUBLISHED` in xtask, but its manifest says `publish = false`, or it is gone")
    });
    unlisted.chain(missing).collect()
}

fn reaches_registry(root: &Path) -> bool {
    depend_on_tokio(root, "1").is_ok_and(|project| {
        let _ = std::fs::remove_file(project.join("Cargo.lock"));
        passes(&mut cargo(&project, &["generate-lockfile", "--quiet"]))
    })
}

fn unpack(archive: &Path, into: &Path) -> Result<(), String> {
    std::fs::create_dir_all(into).map_err(|error| format!("{}: {error}", into.display()))?;
    let is_unpacked = passes(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(into));
    is_unpacked.then_some(()).ok_or_else(|| format!("{}: it cannot be unpacked", archive.display()))
}

/// What the registry would refuse or show wrongly, and files that nobody meant to include.
fn check_package(package: &Value, unpacked: &Path, archive: &Path) -> Vec<String> {
    let name = text(&package["name"]);
    let mut findings = check_metadata(package);
    let size = std::fs::metadata(archive).map_or(0, |archive| archive.len());
    if size == 0 || size > ARCHIVE_BYTES_MAX {
        findings.push(format!(
            "{name}: the archive has {size} bytes, at most {ARCHIVE_BYTES_MAX} are expected: see `include`"
        ));
    }
    let mut files = Vec::new();
    list(unpacked, unpacked, &mut files);
    findings.extend(check_files(name, &files));
    let readme = std::fs::read_to_string(unpacked.join("README.md")).unwrap_or_default();
    findings.extend(relative_links(&readme).into_iter().map(|link| {
        format!("{name}/README.md: the link `{link}` leads nowhere on a page of the registry: write the whole address")
    }));
    findings
}

/// Files below `folder`, as paths from `root`, with their sizes.
fn list(root: &Path, folder: &Path, files: &mut Vec<(String, u64)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            list(root, &path, files);
        } else if let Ok(below) = path.strip_prefix(root) {
            let size = std::fs::metadata(&path).map_or(0, |file| file.len());
            files.push((below.to_string_lossy().into_owned(), size));
        }
    }
}

fn check_files(name: &str, files: &[(String, u64)]) -> Vec<String> {
    let mut findings = Vec::new();
    for wanted in OF_EACH {
        if files.iter().all(|(file, size)| file != wanted || *size == 0) {
            findings.push(format!("{name}: `{wanted}` is not in the archive, or empty"));
        }
    }
    for (file, size) in files {
        let is_known = file.starts_with("src/") || OF_CARGO.iter().chain(OF_EACH).any(|known| known == file);
        if !is_known {
            findings.push(format!("{name}: `{file}` is in the archive: see `include` in its manifest"));
        }
        if *size > FILE_BYTES_MAX && file != "Cargo.lock" {
            findings.push(format!("{name}: `{file}` has {size} bytes"));
        }
    }
    findings
}

fn check_metadata(package: &Value) -> Vec<String> {
    let name = text(&package["name"]);
    let mut findings = Vec::new();
    for key in ["description", "license", "repository", "documentation", "rust_version", "readme"] {
        if text(&package[key]).is_empty() {
            findings.push(format!("{name}: no `{}` in its manifest", key.replace('_', "-")));
        }
    }
    if !package["homepage"].is_null() && package["homepage"] == package["repository"] {
        findings.push(format!("{name}: `homepage` repeats `repository`: leave it out"));
    }
    let words = |key: &str| package[key].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let (keywords, categories) = (words("keywords"), words("categories"));
    for (key, words) in [("keywords", &keywords), ("categories", &categories)] {
        if words.is_empty() || words.len() > 5 {
            findings.push(format!("{name}: {} {key}; the registry takes up to five", words.len()));
        }
    }
    for keyword in keywords {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte);
        let starts = keyword.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts || keyword.len() > 20 || !keyword.bytes().all(is_letter) {
            findings.push(format!("{name}: the registry refuses the keyword `{keyword}`"));
        }
    }
    for category in categories.iter().filter(|category| !CATEGORIES.contains(category)) {
        findings.push(format!(
            "{name}: the category `{category}` is not in `CATEGORIES` in xtask: look it up at https://crates.io/category_slugs"
        ));
    }
    findings
}

/// Targets of links and pictures that are neither whole addresses nor places on the same page.
fn relative_links(markdown: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in markdown.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let references =
            line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
        links.extend(
            targets.chain(references).filter(|target| !target.starts_with("https://") && !target.starts_with('#')),
        );
    }
    links
}

/// What a user of the registry writes first: a runtime, a task, a socket.
const PROGRAM: &str = r#"use redd::io::{AsyncReadExt, AsyncWriteExt};

#[redd::main]
async fn main() -> std::io::Result<()> {
    let listener = redd::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = redd::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"hello").await
    });
    let mut text = String::new();
    redd::net::TcpStream::connect(address).await?.read_to_string(&mut text).await?;
    server.await??;
    assert_eq!(text, "hello");
    Ok(())
}
"#;

/// Builds a program from the unpacked packages, as a user of the registry does, and runs it.
fn runs_outside(root: &Path, outside: &Path, packages: &[Value]) -> bool {
    let folder = |name: &str| {
        let version = packages.iter().find(|package| package["name"] == name).map(|package| text(&package["version"]));
        outside.join(format!("{name}-{}", version.unwrap_or_default()))
    };
    let user = outside.join("user");
    let manifest = format!(
        "[package]\nname = \"user\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\nredd = \"*\"\n\n\
         [patch.crates-io]\nredd = {{ path = {:?} }}\nredd-macros = {{ path = {:?} }}\n",
        folder("redd"),
        folder("redd-macros")
    );
    let written = std::fs::create_dir_all(user.join("src"))
        .and_then(|()| std::fs::write(user.join("Cargo.toml"), manifest))
        .and_then(|()| std::fs::write(user.join("src/main.rs"), PROGRAM));
    if let Err(error) = written {
        eprintln!("{}: {error}", user.display());
        return false;
    }
    let target = std::path::absolute(target_dir(root).join("package-check/user")).unwrap_or_default();
    passes(cargo(&user, &["run", "--quiet"]).env("CARGO_TARGET_DIR", target))
}

/// Builds the documentation as docs.rs does, from the same metadata.
pub(super) fn docs_rs(root: &Path) -> Outcome {
    let packages = match workspace_packages(root) {
        Ok(packages) => packages,
        Err(why) => return Outcome { passed: false, note: why },
    };
    let has_nightly = rustup_cargo(root).args(["+nightly", "--version"]).output().is_ok_and(|it| it.status.success());
    let folder = std::path::absolute(target_dir(root).join("docs-rs")).unwrap_or_default();
    let (mut built, mut not_built, mut failed) = (0, Vec::new(), Vec::new());
    for package in packages.iter().filter(|package| is_published(package) && has_library(package)) {
        let (name, metadata) = (text(&package["name"]), &package["metadata"]["docs"]["rs"]);
        let words = |key: &str| metadata[key].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let targets = match words("targets") {
            targets if targets.is_empty() => vec!["x86_64-unknown-linux-gnu"],
            targets => targets,
        };
        for target in targets {
            if !has_std(root, has_nightly, target) {
                not_built.push(format!("{name} for {target}"));
                continue;
            }
            let mut command = documenting(root, has_nightly);
            command.args(["doc", "--no-deps", "-p", name, "--target", target]);
            if metadata["all-features"] == true {
                command.arg("--all-features");
            }
            command
                .env("RUSTDOCFLAGS", format!("{} -D warnings", words("rustdoc-args").join(" ")))
                .env("DOCS_RS", "1")
                .env("CARGO_TARGET_DIR", &folder);
            if passes(&mut command) {
                built += 1;
            } else {
                failed.push(format!("{name} for {target}"));
            }
        }
    }
    let page = folder.join("x86_64-unknown-linux-gnu/doc/redd/fs/index.html");
    let page = std::fs::read_to_string(&page).unwrap_or_default();
    // What `doc(cfg)` adds to a module behind a feature.
    if failed.is_empty() && !page.contains("Available on") {
        failed.push("redd::fs (its page does not name the feature that it needs)".to_owned());
    }
    let mut note = format!(
        "built: {built}, with {}",
        if has_nightly { "nightly" } else { "the stable compiler's unstable options" }
    );
    for (words, list) in [("not built, no standard library here", &not_built), ("failed", &failed)] {
        if !list.is_empty() {
            note.push_str(&format!("; {words}: {}", list.join(", ")));
        }
    }
    Outcome { passed: failed.is_empty() && built > 0, note }
}

fn has_library(package: &Value) -> bool {
    let kinds = package["targets"].as_array().into_iter().flatten().filter_map(|target| target["kind"].as_array());
    kinds.flatten().any(|kind| kind == "lib" || kind == "proc-macro")
}

/// A compiler that takes unstable options, as that of docs.rs.
fn documenting(root: &Path, has_nightly: bool) -> Command {
    if has_nightly {
        let mut command = rustup_cargo(root);
        command.arg("+nightly");
        return command;
    }
    let mut command = cargo(root, &[]);
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

fn has_std(root: &Path, has_nightly: bool, target: &str) -> bool {
    let mut command = Command::new("rustc");
    if has_nightly {
        command.arg("+nightly").env_remove("RUSTUP_TOOLCHAIN");
    }
    let output = command.current_dir(root).args(["--print", "target-libdir", "--target", target]).output();
    let folder = output.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())).unwrap_or_default();
    std::fs::read_dir(folder).is_ok_and(|files| files.count() > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package() -> Value {
        json!({
            "name": "redd", "description": "d", "license": "MIT", "repository": "https://r", "documentation": "https://d",
            "rust_version": "1.85", "readme": "README.md", "homepage": null,
            "keywords": ["async"], "categories": ["asynchronous"], "publish": null,
        })
    }

    #[test]
    fn metadata_that_the_registry_refuses_is_named() {
        assert_eq!(check_metadata(&package()), [""; 0]);
        let mut wrong = package();
        wrong["license"] = Value::Null;
        wrong["homepage"] = json!("https://r");
        wrong["keywords"] = json!(["two words", "a-keyword-of-21-letters"]);
        wrong["categories"] = json!(["asynchronous", "fast"]);
        let findings = check_metadata(&wrong).join("\n");
        for part in ["no `license`", "repeats `repository`", "`two words`", "`a-keyword-of-21-letters`", "`fast`"] {
            assert!(findings.contains(part), "{part}: {findings}");
        }
        assert_eq!(findings.lines().count(), 5, "{findings}");
    }

    #[test]
    fn a_package_is_published_only_if_it_is_on_the_list() {
        let of = |name: &str, publish: Value| json!({"name": name, "publish": publish});
        let mut packages: Vec<_> = PUBLISHED.iter().map(|name| of(name, Value::Null)).collect();
        packages.push(of("tokio", json!([])));
        assert_eq!(check_list(&packages), [""; 0]);
        packages[0] = of(PUBLISHED[0], json!([]));
        packages.push(of("demos", Value::Null));
        let findings = check_list(&packages);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("demos: ") && findings[1].starts_with("redd-macros: "), "{findings:?}");
    }

    #[test]
    fn files_that_are_missing_or_that_nobody_meant_are_named() {
        let files = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 1)).collect::<Vec<_>>();
        let good = files(&["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"]);
        assert_eq!(check_files("a", &good), [""; 0]);
        let mut wrong = files(&["README.md", "LICENSE-MIT", "tests/a.rs"]);
        wrong.push(("src/big.rs".to_owned(), FILE_BYTES_MAX + 1));
        let findings = check_files("a", &wrong).join("\n");
        for part in ["`LICENSE-APACHE` is not", "`tests/a.rs` is in", "`src/big.rs` has"] {
            assert!(findings.contains(part), "{findings}");
        }
        assert_eq!(findings.lines().count(), 3, "{findings}");
    }

    #[test]
    fn links_that_are_relative_are_found_outside_of_code() {
        let page = "[a](https://a) ![b](b.png) [c](#c)\n```rust\nlet a = [0](1);\n```\n[d](../d.md)\n[e]: e.md\n";
        assert_eq!(relative_links(page), ["b.png", "../d.md", "e.md"]);
    }
}

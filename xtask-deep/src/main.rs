//! The parts of the deep lanes that need more than the standard library: Tokio's API and the facade's, from rustdoc's JSON.
//!
//! Called by `cargo xtask`, which also runs rustdoc. The last line on standard output is the note for the table of lanes.
//!
//! | call | purpose |
//! |---|---|
//! | `compare RECORD CRATE=JSON…` | compares the first crate with the record; the other crates are those it re-exports |
//! | `record STABLE UNSTABLE` | prints a record from two documents of Tokio |
//! | `record-own CRATE=JSON…` | prints the lines of a record of the first crate; the others are those it re-exports |
//! | `changes OLD NEW` | prints what changed between two records, and passes if nothing breaks programs |
//!
//! The exit code is 0 if the call passed, 1 if it failed, and 3 if it cannot read what this machine's rustdoc writes.

mod api;

use std::process::ExitCode;

use api::Unread;

/// The exit code of a lane to be skipped: rustdoc writes another format than this program reads.
const OTHER_FORMAT: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["compare", record, documents @ ..] if !documents.is_empty() => compare(record, documents),
        ["record", stable, unstable] => record(stable, unstable),
        ["record-own", documents @ ..] if !documents.is_empty() => record_own(documents),
        ["changes", old, new] => changes(old, new),
        _ => Err(Unread::Other(
            "usage: xtask-deep compare RECORD CRATE=JSON… | record STABLE UNSTABLE | record-own CRATE=JSON… | \
             changes OLD NEW"
                .to_owned(),
        )),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(Unread::Format(why)) => {
            println!("{why}");
            ExitCode::from(OTHER_FORMAT)
        }
        Err(Unread::Other(why)) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<String, Unread> {
    std::fs::read_to_string(path).map_err(|error| Unread::Other(format!("{path}: {error}")))
}

/// Reads documents of the form `CRATE=JSON`; returns what can be named in the first crate.
fn inventory(documents: &[&str]) -> Result<api::Inventory, Unread> {
    let mut read_documents = Vec::new();
    for document in documents {
        let (name, path) = document
            .split_once('=')
            .ok_or_else(|| Unread::Other(format!("`{document}` does not have the form CRATE=JSON")))?;
        read_documents.push((name.to_owned(), read(path)?));
    }
    api::inventory(&read_documents, &read_documents[0].0)
}

fn compare(record: &str, documents: &[&str]) -> Result<bool, Unread> {
    let facade = inventory(documents)?;
    let found = api::compare(&read(record)?, &facade);
    found.lines.iter().for_each(|line| println!("{line}"));
    println!(
        "{} present, {} missing, {} spelt differently; unstable: {} present, {} missing; traits: {} lost, {} more",
        found.present,
        found.missing,
        found.differing,
        found.unstable_present,
        found.unstable_missing,
        found.lost_traits,
        found.wider_traits
    );
    Ok(found.present > 0 && found.missing == 0 && found.lost_traits == 0)
}

fn record(stable: &str, unstable: &str) -> Result<bool, Unread> {
    let of = |path| api::inventory(&[("tokio".to_owned(), read(path)?)], "tokio");
    print!("{}", api::record(&of(stable)?, &of(unstable)?));
    Ok(true)
}

fn record_own(documents: &[&str]) -> Result<bool, Unread> {
    for (path, signature) in inventory(documents)? {
        println!("{path} = {signature}");
    }
    Ok(true)
}

fn changes(old: &str, new: &str) -> Result<bool, Unread> {
    let found = api::changes(&read(old)?, &read(new)?);
    found.lines.iter().for_each(|line| println!("{line}"));
    println!("{} breaking, {} compatible, {} unstable", found.breaking, found.compatible, found.unstable);
    Ok(found.breaking == 0)
}

//! The store of a crawl: a file with its records, from which the same command continues after any end of the process.
//!
//! Called by `main`, which opens and removes it, and by `work`, which reads and appends records, on blocking threads.
//!
//! # Invariants
//! - `stored-first`: a record is in the store before the crawl acts upon it. So what the store holds is all that happened.
//! - `secrets-are-found-again`: the credentials of links are not stored. The record of a page with such links does not count
//!   until those links have records: the page is fetched again.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use redb::{Database, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};

use crate::differing::differing;
use crate::exit::EarlyExit;
use crate::plural::count;
use crate::record::PageRecord;
use crate::store_file::{self, FileId, StoreError, StorePlace, now};

/// The version of what is in the tables. Increase it when records change in a way that older ones cannot be read.
const FORMAT: u64 = 2;

/// What is known of the crawl: numbers in decimal, and its identity.
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
/// The records, in their order.
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// The records of pages whose links had credentials. See `secrets-are-found-again`.
const WITH_SECRETS: TableDefinition<'_, u64, ()> = TableDefinition::new("with_secrets");

/// The open store of this crawl.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    database: Arc<Database>,
    path: Arc<Path>,
    file: FileId,
    /// When the crawl began, in seconds since 1970.
    began: u64,
    kept: u64,
    /// Whether records are missing, because they could not be written.
    is_incomplete: Arc<AtomicBool>,
}

/// Opens the store of the crawl that has this identity, or makes a new one. With `is_fresh`, the old one is replaced.
///
/// The second value is a line for the user, if something is to be said. Must be called on a blocking thread.
///
/// # Errors
/// If the store cannot be used. The message says how to go on.
pub(crate) fn open(
    place: &StorePlace,
    identity: &str,
    is_fresh: bool,
) -> Result<(Option<Store>, Option<String>), EarlyExit> {
    let (path, is_automatic) = match place {
        StorePlace::Off => return Ok((None, None)),
        StorePlace::File(path) => (path.clone(), false),
        StorePlace::Automatic => match store_file::automatic_path(identity) {
            Some(path) => (path, true),
            None => {
                return Ok((None, without_store("neither XDG_STATE_HOME nor HOME is set")));
            }
        },
    };
    if is_automatic {
        if let Err(error) = store_file::create_folder(&path) {
            return Ok((None, without_store(&format!("the folder of {} cannot be made: {error}", path.display()))));
        }
    }
    match Store::open(&path, identity, is_fresh) {
        Ok(store) => {
            let line = (store.kept > 0).then(|| store.greeting());
            Ok((Some(store), line))
        }
        Err(StoreError::Io(error)) if is_automatic => {
            Ok((None, without_store(&format!("{} cannot be written: {error}", path.display()))))
        }
        Err(error) => Err(explain(&path, &error)),
    }
}

fn without_store(why: &str) -> Option<String> {
    Some(format!("This crawl cannot be continued if it is ended: {why}. Give it a file with --store, or --no-store."))
}

fn explain(path: &Path, error: &StoreError) -> EarlyExit {
    let path = path.display();
    match error {
        StoreError::InUse => EarlyExit::incomplete(format!(
            "the store {path} is in use by another redd-crawl. Nothing was crawled. Wait until that ends, or give this \
             crawl a store of its own with --store FILE, or none with --no-store."
        )),
        StoreError::Other(why) => EarlyExit::usage(format!(
            "the store {path} cannot be continued: {why}. Nothing was crawled. Give another file with --store, or start \
             over with --fresh, which replaces it."
        )),
        StoreError::Damaged(why) => EarlyExit::usage(format!(
            "the store {path} is damaged: {why}. Nothing was crawled. Remove the file, or give another one with --store."
        )),
        StoreError::Foreign => EarlyExit::usage(format!(
            "the file {path} is no store of redd-crawl, and stays as it is. Nothing was crawled. Give another file with \
             --store."
        )),
        StoreError::Io(error) => EarlyExit::incomplete(format!(
            "the store {path} cannot be used: {error}. Nothing was crawled. Give a file in a folder that exists and is \
             writable with --store, or --no-store."
        )),
    }
}

impl Store {
    fn open(path: &Path, identity: &str, is_fresh: bool) -> Result<Self, StoreError> {
        let database = if is_fresh { None } else { store_file::open(path)? };
        let ((database, file), began, kept) = match database {
            Some(database) => {
                let (began, kept) = look_into(&database.0, identity)?;
                (database, began, kept)
            }
            None => {
                let began = now();
                (store_file::create(path, |database| describe(database, identity, began))?, began, 0)
            }
        };
        let is_incomplete = Arc::new(AtomicBool::new(false));
        Ok(Self { database: Arc::new(database), path: path.into(), file, began, kept, is_incomplete })
    }

    /// Says that this crawl continues another one.
    fn greeting(&self) -> String {
        format!(
            "Continues the crawl that began on {}, with {} that it has stored (--fresh starts over).",
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.began)),
            count(usize::try_from(self.kept).unwrap_or(usize::MAX), "page"),
        )
    }

    /// Says how this crawl can be continued.
    pub(crate) fn farewell(&self) -> &'static str {
        if self.is_incomplete.load(Ordering::Relaxed) {
            "Only a part of what was done is stored. The same command continues from there, and with --fresh it starts over."
        } else {
            "What was done is stored. The same command continues from there, and with --fresh it starts over."
        }
    }

    /// Reads all records, in their order. Must be called on a blocking thread.
    ///
    /// # Errors
    /// If the store is damaged.
    pub(crate) fn read(&self, each: impl FnMut(PageRecord)) -> Result<(), EarlyExit> {
        self.read_records(each).map_err(|error| explain(&self.path, &error))
    }

    fn read_records(&self, mut each: impl FnMut(PageRecord)) -> Result<(), StoreError> {
        let ignored = self.without_their_secrets()?;
        let records = self.database.begin_read()?.open_table(RECORDS)?;
        for row in records.iter()? {
            let (number, bytes) = row?;
            if !ignored.contains(&number.value()) {
                each(record(bytes.value())?);
            }
        }
        Ok(())
    }

    /// The records that do not count (`secrets-are-found-again`).
    fn without_their_secrets(&self) -> Result<HashSet<u64>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (records, with_secrets) = (transaction.open_table(RECORDS)?, transaction.open_table(WITH_SECRETS)?);
        let mut candidates = Vec::new();
        for row in with_secrets.iter()? {
            let number = row?.0.value();
            if let Some(bytes) = records.get(number)? {
                candidates.push((number, record(bytes.value())?));
            }
        }
        let mut ignored = HashSet::new();
        if candidates.is_empty() {
            return Ok(ignored);
        }
        let mut done = HashSet::new();
        for row in records.iter()? {
            done.insert(record(row?.1.value())?.url);
        }
        // A page that does not count may be what another page waits for.
        while let Some(at) =
            candidates.iter().position(|(_, page)| page.secret_links.iter().any(|link| !done.contains(link)))
        {
            let (number, page) = candidates.swap_remove(at);
            done.remove(&page.url);
            ignored.insert(number);
        }
        Ok(ignored)
    }

    /// Stores records, all or none. Must be called on a blocking thread.
    ///
    /// # Errors
    /// If the file cannot be written, for example because the disk is full.
    pub(crate) fn append(&self, records: &[PageRecord]) -> Result<(), String> {
        let bytes: Vec<Vec<u8>> = records.iter().map(PageRecord::to_bytes).collect();
        let append = || -> Result<(), StoreError> {
            let transaction = self.database.begin_write()?;
            {
                let mut table = transaction.open_table(RECORDS)?;
                let mut with_secrets = transaction.open_table(WITH_SECRETS)?;
                let next = table.last()?.map_or(0, |(number, _)| number.value() + 1);
                for (number, (record, bytes)) in (next..).zip(records.iter().zip(&bytes)) {
                    table.insert(number, &**bytes)?;
                    if !record.secret_links.is_empty() {
                        with_secrets.insert(number, ())?;
                    }
                }
            }
            Ok(transaction.commit()?)
        };
        append().map_err(|error| {
            self.is_incomplete.store(true, Ordering::Relaxed);
            format!(
                "The store {} cannot be written: {error}. The crawl goes on, and what it finds from now on is not stored. \
                 Make room on the disk before it is continued.",
                self.path.display()
            )
        })
    }

    /// Removes the file. The crawl is complete. What has taken the place of the file since it was opened is kept: an output of
    /// this crawl, or the store of another process.
    pub(crate) fn remove(self) -> Result<(), String> {
        let remove = || if self.file.is_at(&self.path)? { std::fs::remove_file(&self.path) } else { Ok(()) };
        remove().map_err(|error| format!("The store {} was not removed: {error}", self.path.display()))
    }
}

fn record(bytes: &[u8]) -> Result<PageRecord, StoreError> {
    PageRecord::from_bytes(bytes).map_err(|why| StoreError::Damaged(format!("a record cannot be read: {why}")))
}

/// Writes what is known of a new crawl.
fn describe(database: &Database, identity: &str, began: u64) -> Result<(), StoreError> {
    let transaction = database.begin_write()?;
    {
        let mut about = transaction.open_table(ABOUT)?;
        about.insert("format", &*FORMAT.to_string())?;
        about.insert("identity", identity)?;
        about.insert("began", &*began.to_string())?;
        transaction.open_table(RECORDS)?;
        transaction.open_table(WITH_SECRETS)?;
    }
    Ok(transaction.commit()?)
}

/// When the crawl began, and how many records there are.
///
/// # Errors
/// If it is of another version or for another crawl, or damaged.
fn look_into(database: &Database, identity: &str) -> Result<(u64, u64), StoreError> {
    let transaction = database.begin_read()?;
    let about = transaction.open_table(ABOUT)?;
    let get = |key| -> Result<_, StoreError> { Ok(about.get(key)?.map(|value| value.value().to_owned())) };
    let (format, theirs, began) = (get("format")?, get("identity")?, get("began")?);
    let kept = transaction.open_table(RECORDS)?.len()?;
    if format.as_deref() != Some(&*FORMAT.to_string()) {
        let format = format.unwrap_or_else(|| "unknown".to_owned());
        return Err(StoreError::Other(format!("it has the format {format}, and this version has {FORMAT}")));
    }
    if theirs.as_deref() != Some(identity) {
        let parse = |text: &str| serde_json::from_str(text).unwrap_or_default();
        let differing = differing(&parse(identity), &parse(&theirs.unwrap_or_default())).join("; ");
        return Err(StoreError::Other(format!("it is of another crawl: {differing}")));
    }
    let began = began.and_then(|began| began.parse().ok());
    began.map(|began| (began, kept)).ok_or_else(|| StoreError::Damaged("it does not say when it began".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::page::{Content, Scope};
    use crate::record::Answer;

    /// A path of the tests' own where there is no file.
    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("redd-crawl-{}-{name}.redb", std::process::id()));
        drop(std::fs::remove_file(&path));
        path
    }

    fn open(path: &Path, identity: &str, is_fresh: bool) -> Result<Store, EarlyExit> {
        super::open(&StorePlace::File(path.to_owned()), identity, is_fresh).map(|(store, _)| store.unwrap())
    }

    fn page(url: &str, secret_links: &[&str]) -> PageRecord {
        let content = Content { status: 200, bytes: 1, sha256: None, note: None };
        let mut record = PageRecord::without_links(url, 0, Scope::Inside, Answer::Good(content));
        record.secret_links = secret_links.iter().map(|&link| link.to_owned()).collect();
        record
    }

    fn urls(store: &Store) -> Vec<String> {
        let mut urls = Vec::new();
        store.read(|record| urls.push(record.url)).unwrap();
        urls
    }

    #[test]
    fn records_are_read_back_in_their_order_and_fresh_drops_them() {
        let path = scratch("order");
        let store = open(&path, "a", false).unwrap();
        store.append(&[page("1", &[]), page("2", &[])]).unwrap();
        store.append(&[page("0", &[])]).unwrap();
        drop(store);
        let store = open(&path, "a", false).unwrap();
        assert_eq!(urls(&store), ["1", "2", "0"]);
        assert!(store.greeting().contains("3 pages"), "{}", store.greeting());
        drop(store);
        let store = open(&path, "a", true).unwrap();
        assert!(urls(&store).is_empty());
        store.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_page_does_not_count_before_the_links_with_credentials_on_it_are_done() {
        let path = scratch("secrets");
        let store = open(&path, "a", false).unwrap();
        store.append(&[page("1", &["2"]), page("2", &["3"]), page("4", &["5"]), page("5", &[])]).unwrap();
        assert_eq!(urls(&store), ["4", "5"]);
        store.append(&[page("3", &[])]).unwrap();
        assert_eq!(urls(&store), ["1", "2", "4", "5", "3"]);
        store.remove().unwrap();
    }

    #[test]
    fn a_store_that_cannot_be_used_is_refused_with_a_way_out() {
        let path = scratch("refused");
        let refused = |identity, is_fresh, what: &str| {
            let stop = open(&path, identity, is_fresh).unwrap_err();
            assert!(stop.message.contains(what) && stop.message.contains("--store"), "{what}: {}", stop.message);
        };
        let store = open(&path, "a", false).unwrap();
        refused("a", false, "in use");
        refused("a", true, "in use");
        store.append(&[page("1", &[])]).unwrap();
        drop(store);
        refused("b", false, "another crawl");

        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(RECORDS).unwrap().insert(0, &b"damaged"[..]).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let damaged = open(&path, "a", false).unwrap().read(|_| {}).unwrap_err();
        assert!(damaged.message.contains("damaged"), "{}", damaged.message);

        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(ABOUT).unwrap().insert("format", "0").unwrap();
        transaction.commit().unwrap();
        drop(database);
        refused("a", false, "format");

        // Not even --fresh replaces a file that is no store.
        std::fs::write(&path, "a letter").unwrap();
        refused("a", false, "no store");
        refused("a", true, "no store");
        assert_eq!(std::fs::read(&path).unwrap(), b"a letter");
        std::fs::remove_file(&path).unwrap();

        // A read of a pipe would wait for a writer.
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        refused("a", false, "not a regular file");
        refused("a", true, "not a regular file");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_has_taken_the_place_of_a_store_is_not_removed_with_it() {
        let path = scratch("replaced");
        let store = open(&path, "a", false).unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = open(&path, "a", false).unwrap();
        store.remove().unwrap();
        assert!(path.exists(), "the store of another process");
        other.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_store_that_was_half_made_is_no_hindrance() {
        let path = scratch("half");
        let mut part = path.clone().into_os_string();
        part.push(".part");
        std::fs::write(&part, "half of a store").unwrap();
        open(&path, "a", false).unwrap().remove().unwrap();
        assert!(!Path::new(&part).exists());
    }
}

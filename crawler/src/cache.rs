//! The cache of answers: good pages that an earlier crawl has asked for, by address.
//!
//! Opened by `main`, used by `crawl`. Reading and writing the file blocks, so both run on blocking threads.
//!
//! # Invariants
//! - `same-question`: an answer counts only for a crawl that would ask the same way. What decides that is the fingerprint.
//! - `good-only`: a broken link, a redirect and a page that robots.txt forbids are asked for in each crawl.
//! - `no-secrets`: the page of a link with credentials and a page with such links are not kept, since the credentials could
//!   not be found again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableTable as _, TableDefinition};
use redd::sync::mpsc;
use redd::task::{JoinHandle, spawn_blocking};
use sha2::{Digest as _, Sha256};

use crate::address::{AddressHash, address_hash};
use crate::exit::EarlyExit;
use crate::page::Scope;
use crate::plural::count;
use crate::record::{Answer, PageRecord};
use crate::store_file::{self, StoreError, now};

/// The answers by key, each with the second at which it came. The name has the version of the records.
const ANSWERS: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("answers-1");
/// How many answers wait for the disk. If there are more, some are not kept.
const WAITING_MAX: usize = 1024;
/// How many answers share a transaction.
const BATCH_MAX: usize = 256;

/// What `--cache` and `--max-age` say.
#[derive(Clone, Debug)]
pub(crate) struct CacheSettings {
    pub(crate) path: PathBuf,
    pub(crate) max_age: Duration,
}

/// An open cache.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    database: Arc<Database>,
    path: Arc<Path>,
    /// The hash of the fingerprint, in hexadecimal.
    question: Arc<str>,
    /// The addresses that have a usable answer, inside and outside.
    inside: Arc<HashSet<AddressHash>>,
    outside: Arc<HashSet<AddressHash>>,
}

/// Opens the cache, or makes a new one. Answers that are too old are removed. Must be called on a blocking thread.
///
/// # Errors
/// If the file cannot be used. The message says how to go on.
pub(crate) fn open(settings: &CacheSettings, fingerprint: &str) -> Result<Cache, EarlyExit> {
    let path = &settings.path;
    Cache::open(path, settings.max_age, fingerprint, now()).map_err(|error| match error {
        StoreError::InUse => EarlyExit::incomplete(format!(
            "the cache {} is in use by another redd-crawl. Nothing was crawled. Wait until that ends, or give another file \
             with --cache.",
            path.display()
        )),
        StoreError::Io(error) => EarlyExit::incomplete(format!(
            "the cache {} cannot be used: {error}. Nothing was crawled. Give a file in a folder that exists and is writable \
             with --cache.",
            path.display()
        )),
        StoreError::Foreign => EarlyExit::usage(format!(
            "the file {} is no cache of redd-crawl, and stays as it is. Nothing was crawled. Give another file with \
             --cache.",
            path.display()
        )),
        StoreError::Damaged(why) | StoreError::Other(why) => EarlyExit::usage(format!(
            "the cache {} cannot be read: {why}. Nothing was crawled. Remove the file, or give another one with --cache.",
            path.display()
        )),
    })
}

impl Cache {
    fn open(path: &Path, max_age: Duration, fingerprint: &str, now: u64) -> Result<Self, StoreError> {
        let database = match store_file::open(path)? {
            Some((database, _)) => database,
            None => store_file::create(path, |_| Ok(()))?.0,
        };
        // `same-question`
        let question: String = Sha256::digest(fingerprint)[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let (mut inside, mut outside) = (HashSet::new(), HashSet::new());
        let transaction = database.begin_write()?;
        {
            let mut answers = transaction.open_table(ANSWERS)?;
            // An answer from the future came from a clock that was wrong.
            answers.retain(|_, (at, _)| at <= now && now - at <= max_age.as_secs())?;
            for row in answers.iter()? {
                let key = row?.0;
                if let Some(address) = key.value().strip_prefix(&*prefix(&question, Scope::Inside)) {
                    inside.insert(address_hash(address));
                } else if let Some(address) = key.value().strip_prefix(&*prefix(&question, Scope::Outside)) {
                    outside.insert(address_hash(address));
                }
            }
        }
        transaction.commit()?;
        Ok(Self {
            database: Arc::new(database),
            path: path.into(),
            question: question.into(),
            inside: inside.into(),
            outside: outside.into(),
        })
    }

    /// Says how much there is. None if there is nothing.
    pub(crate) fn greeting(&self) -> Option<String> {
        let answers = self.inside.len() + self.outside.len();
        let path = self.path.display();
        (answers > 0).then(|| format!("{} of {path} will not be asked for again", count(answers, "good page")))
    }

    /// Whether there is probably an answer for this address.
    pub(crate) fn has(&self, url: &str, scope: Scope) -> bool {
        let hash = address_hash(url);
        self.inside.contains(&hash) || (scope == Scope::Outside && self.outside.contains(&hash))
    }

    /// The answer for an address. Must be called on a blocking thread.
    pub(crate) fn get(&self, url: &str, depth: u16, scope: Scope) -> Option<PageRecord> {
        let answers = self.database.begin_read().ok()?.open_table(ANSWERS).ok()?;
        let find = |in_scope| {
            let row = answers.get(&*key(&self.question, in_scope, url)).ok()??;
            PageRecord::from_bytes(row.value().1).ok()
        };
        // A page that was read exists for those who only ask that, too.
        let record = find(scope).or_else(|| if scope == Scope::Outside { find(Scope::Inside) } else { None })?;
        let (Answer::Good(mut content), true) = (record.answer.clone(), record.url == url) else { return None };
        if scope == Scope::Inside {
            return Some(PageRecord { depth, ..record });
        }
        (content.bytes, content.sha256, content.note) = (0, None, None);
        Some(PageRecord::without_links(url, depth, scope, Answer::Good(content)))
    }

    /// Keeps answers, all or none. Must be called on a blocking thread.
    fn put(&self, records: &[PageRecord], now: u64) -> Result<(), StoreError> {
        let transaction = self.database.begin_write()?;
        {
            let mut answers = transaction.open_table(ANSWERS)?;
            for record in records {
                answers.insert(&*key(&self.question, record.scope, &record.url), (now, &*record.to_bytes()))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Starts the task that keeps answers.
    pub(crate) fn keeper(&self) -> Keeper {
        let (sender, mut receiver) = mpsc::channel::<PageRecord>(WAITING_MAX);
        let cache = self.clone();
        let task = spawn_blocking(move || {
            while let Some(first) = receiver.blocking_recv() {
                let mut batch = vec![first];
                while let (true, Ok(next)) = (batch.len() < BATCH_MAX, receiver.try_recv()) {
                    batch.push(next);
                }
                if let Err(error) = cache.put(&batch, now()) {
                    // The sender notices that nobody receives.
                    let path = cache.path.display();
                    return Some(format!(
                        "the cache {path} is not written any more: {error}. The crawl is not affected"
                    ));
                }
            }
            None
        });
        Keeper { sender, task }
    }
}

/// The task that keeps answers.
#[derive(Debug)]
pub(crate) struct Keeper {
    sender: mpsc::Sender<PageRecord>,
    task: JoinHandle<Option<String>>,
}

impl Keeper {
    /// Keeps the record of a page if it is one to be kept (`good-only`, `no-secrets`). Never waits.
    pub(crate) fn keep(&self, record: &PageRecord, was_asked_with_own_credentials: bool) {
        let has_secrets = was_asked_with_own_credentials || !record.secret_links.is_empty();
        let is_file = record.url.starts_with("file:");
        if matches!(record.answer, Answer::Good(_)) && !has_secrets && !is_file {
            // If too many wait, or nothing can be written, it is asked for again in the next crawl.
            drop(self.sender.try_send(record.clone()));
        }
    }

    /// Waits until all is written. Returns what went wrong.
    pub(crate) async fn finish(self) -> Option<String> {
        drop(self.sender);
        self.task.await.unwrap_or_else(|error| Some(format!("the cache was not written to the end: {error}")))
    }
}

fn prefix(question: &str, scope: Scope) -> String {
    let scope = match scope {
        Scope::Inside => "inside",
        Scope::Outside => "outside",
    };
    format!("{question} {scope} ")
}

fn key(question: &str, scope: Scope, url: &str) -> String {
    prefix(question, scope) + url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::{Content, Failure, Reason};

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("redd-crawl-{}-{name}.cache", std::process::id()));
        drop(std::fs::remove_file(&path));
        path
    }

    fn at(path: &Path, fingerprint: &str, now: u64) -> Cache {
        Cache::open(path, Duration::from_secs(10), fingerprint, now).unwrap()
    }

    fn good(url: &str, scope: Scope) -> PageRecord {
        let content = Content { status: 200, bytes: 7, sha256: Some([1; 32]), note: None };
        PageRecord::without_links(url, 1, scope, Answer::Good(content))
    }

    #[test]
    fn an_answer_is_good_for_its_age_and_its_question() {
        let path = scratch("age");
        let cache = at(&path, "q", 100);
        assert_eq!(cache.greeting(), None);
        cache.put(&[good("a", Scope::Inside)], 100).unwrap();
        drop(cache);
        let has = |fingerprint, now| at(&path, fingerprint, now).has("a", Scope::Inside);
        assert!(has("q", 110) && !has("other", 110));
        assert!(!has("q", 111), "it is too old, and removed");
        assert!(!has("q", 110), "it was removed");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_page_that_was_read_answers_for_outside_and_not_the_other_way() {
        let path = scratch("scope");
        let cache = at(&path, "q", 100);
        cache.put(&[good("in", Scope::Inside), good("out", Scope::Outside)], 100).unwrap();
        drop(cache);
        let cache = at(&path, "q", 100);
        let get = |url, scope| {
            let found = cache.get(url, 5, scope);
            assert_eq!(found.is_some(), cache.has(url, scope), "{url}");
            found
        };
        assert_eq!(get("in", Scope::Inside).unwrap().depth, 5);
        let Answer::Good(content) = get("in", Scope::Outside).unwrap().answer else { panic!("it is good") };
        assert_eq!((content.bytes, content.sha256), (0, None));
        assert!(get("out", Scope::Outside).is_some() && get("out", Scope::Inside).is_none());
        drop(cache);
        std::fs::remove_file(&path).unwrap();
    }

    #[redd::test]
    async fn only_good_pages_without_secrets_are_kept() {
        let path = scratch("kept");
        let cache = at(&path, "q", now());
        let keeper = cache.keeper();
        keeper.keep(&good("good", Scope::Inside), false);
        keeper.keep(&good("own", Scope::Inside), true);
        let failure = Failure::with_status(404, Reason::Status(404));
        keeper.keep(&PageRecord::without_links("broken", 1, Scope::Inside, Answer::Broken(failure)), false);
        keeper.keep(&PageRecord { secret_links: vec!["x".into()], ..good("links", Scope::Inside) }, false);
        assert_eq!(keeper.finish().await, None);
        drop(cache);
        let cache = at(&path, "q", now());
        let kept: Vec<bool> =
            ["good", "own", "broken", "links"].iter().map(|url| cache.has(url, Scope::Inside)).collect();
        assert_eq!(kept, [true, false, false, false]);
        drop(cache);
        std::fs::remove_file(&path).unwrap();
    }
}

//! What a test sees from outside of a crawl that can be continued: its store, and the requests that a site has had.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::{Database, ReadableTable as _, TableDefinition};
use serde_json::Value;

/// How often each path was asked for.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<BTreeMap<String, u32>>>);

impl Requests {
    pub(crate) fn count(&self, path: &str) {
        *self.0.lock().unwrap().entry(path.to_owned()).or_default() += 1;
    }

    pub(crate) fn of(&self, path: &str) -> u32 {
        self.0.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// The paths of these addresses of `home` that were asked for since there were `then` requests.
    pub(crate) fn since(&self, then: &BTreeMap<String, u32>, home: &str, addresses: &BTreeSet<String>) -> Vec<String> {
        let now = self.all();
        let paths = addresses.iter().map(|address| address.strip_prefix(home).unwrap().to_owned());
        paths.filter(|path| now.get(path) != then.get(path)).collect()
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u32> {
        self.0.lock().unwrap().clone()
    }
}

/// A store of a test, at a place where nothing is yet.
pub(crate) struct StoreFile(PathBuf);

impl StoreFile {
    pub(crate) fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.redb"));
        drop(std::fs::remove_file(&path));
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// The addresses in the store. It is copied first: to open it may repair it, which is the task of the program.
    pub(crate) fn addresses(&self) -> BTreeSet<String> {
        let copy = self.0.with_extension("copy");
        match std::fs::copy(&self.0, &copy) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeSet::new(),
            Err(error) => panic!("{error}"),
        }
        let database = Database::open(&copy).unwrap();
        let transaction = database.begin_read().unwrap();
        let table = transaction.open_table(TableDefinition::<u64, &[u8]>::new("records")).unwrap();
        let url = |bytes: &[u8]| {
            let mut json = String::new();
            flate2::read::GzDecoder::new(bytes).read_to_string(&mut json).unwrap();
            let record: Value = serde_json::from_str(&json).unwrap();
            record["url"].as_str().unwrap().to_owned()
        };
        let addresses: Vec<String> = table.iter().unwrap().map(|row| url(row.unwrap().1.value())).collect();
        std::fs::remove_file(&copy).unwrap();
        let count = addresses.len();
        let addresses = BTreeSet::from_iter(addresses);
        assert_eq!(addresses.len(), count, "an address is stored twice");
        addresses
    }
}

/// What a crawl found, without what may differ from run to run.
pub(crate) fn findings(mut result: Value) -> Value {
    let fields = result.as_object_mut().unwrap();
    for name in ["seconds", "memory_max"] {
        fields.remove(name);
    }
    result
}

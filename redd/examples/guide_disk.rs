//! A key-value store that does not sync its directory: a crash loses values that it has acknowledged.

use redd::fs::{self, File};
use redd::io::AsyncWriteExt;
use redd::sim::{Disk, Report, World};
use redd::time::{Duration, sleep};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

type Values = BTreeMap<u32, u32>;

/// A file with one line for each value that was put. Some lines later it is replaced by a file with the latest values.
struct Store {
    values: Values,
    file: File,
    syncs_directory: bool,
}

impl Store {
    async fn open(syncs_directory: bool) -> io::Result<Self> {
        let text = fs::read("store").await.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        // The end of a line that was not acknowledged may be missing.
        let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let pair =
            |line: &str| line.split_once('=').and_then(|(key, value)| Some((key.parse().ok()?, value.parse().ok()?)));
        let values = whole.filter_map(pair).collect();
        let file = Self::replace(&values, syncs_directory).await?;
        Ok(Self { values, file, syncs_directory })
    }

    /// Writes a new file and gives it the name of the old one.
    async fn replace(values: &Values, syncs_directory: bool) -> io::Result<File> {
        let mut file = File::create("store.new").await?;
        for (key, value) in values {
            file.write_all(format!("{key}={value}\n").as_bytes()).await?;
        }
        file.sync_all().await?;
        fs::rename("store.new", "store").await?;
        if syncs_directory {
            File::open(".").await?.sync_all().await?;
        }
        Ok(file)
    }

    /// When it returns, the value survives a crash. Or so it says.
    async fn put(&mut self, key: u32, value: u32) -> io::Result<()> {
        self.file.write_all(format!("{key}={value}\n").as_bytes()).await?;
        self.file.sync_data().await?;
        self.values.insert(key, value);
        if value % 5 == 0 {
            self.file = Self::replace(&self.values, self.syncs_directory).await?;
        }
        Ok(())
    }
}

/// Puts values, one after the other. After a crash it looks for those that were acknowledged.
#[redd::main(flavor = "current_thread")]
async fn serve(acknowledged: Arc<Mutex<Values>>, syncs_directory: bool) -> io::Result<()> {
    let mut store = Store::open(syncs_directory).await?;
    let expected = acknowledged.lock().expect("no thread panics with it").clone();
    for (key, value) in &expected {
        let found = store.values.get(key);
        assert!(found >= Some(value), "key {key} had the value {value}, and has {found:?}");
    }
    let last = store.values.values().max().copied().unwrap_or(0);
    for value in last + 1..=last + 20 {
        store.put(value % 3, value).await?;
        acknowledged.lock().expect("no thread panics with it").insert(value % 3, value);
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

fn world(seed: u64, syncs_directory: bool) -> World {
    let acknowledged = Arc::new(Mutex::new(Values::new()));
    let reset = acknowledged.clone();
    World::new(seed)
        .before_each_run(move || reset.lock().expect("no thread panics with it").clear())
        .disk(Disk::new().latency(Duration::from_micros(50)..Duration::from_millis(1)))
        .host("store", move || serve(acknowledged.clone(), syncs_directory))
        .at(Duration::from_millis(12), |world| {
            world.crash("store");
            world.restart_after("store", Duration::from_secs(1));
        })
}

fn run(seed: u64, syncs_directory: bool) -> Report {
    world(seed, syncs_directory).run()
}

fn main() {
    std::panic::set_hook(Box::new(|_| ())); // The report has the message.
    let seed = (0..1000).find(|seed| !run(*seed, false).failures().is_empty());
    let seed = seed.expect("one of a thousand crashes shows the bug");
    let failure = run(seed, false).failures()[0].to_string();
    assert!(failure.contains("had the value"), "{failure}");
    println!("a crash has lost an acknowledged value");
    assert_eq!(run(seed, false).event_hash(), run(seed, false).event_hash());
    println!("the seed loses it again");
    let shrunk = world(seed, false).shrink(500).expect("it fails");
    assert!(shrunk.report().tape().len() <= 3, "{shrunk}");
    println!("shrunk: {}", shrunk.words().join("; "));

    for seed in 0..1000 {
        run(seed, true).expect_ok();
    }
    println!("no seed loses one if the directory is synced");
}

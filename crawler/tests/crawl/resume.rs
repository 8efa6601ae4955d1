//! Crawls that end early and are continued, and the stores by which that works.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redd::io::{AsyncBufReadExt as _, BufReader};
use redd::process::Command;
use redd::time::timeout;
use serde_json::Value;

use crate::runs::{run, scratch, state_folder, stderr};
use crate::server::{Act, answer, missing, page, serve_requests};
use crate::state::{Requests, StoreFile};

/// A site whose start has links, and a page that hangs until it is told to come.
#[derive(Clone, Default)]
struct Site {
    requests: Requests,
    is_open: Arc<AtomicBool>,
    /// A folder that vanishes when the last page is asked for.
    vanishing: Option<PathBuf>,
}

impl Site {
    async fn serve(&self) -> String {
        let site = self.clone();
        serve_requests(move |request| {
            site.requests.count(&request.path);
            match &*request.path {
                "/" => page("<a href=leaf>leaf</a><a href=gone>gone</a><a href=old>old</a><a href=late>late</a>"),
                "/leaf" => page("<a href=/>home</a>"),
                "/old" => answer("301 Moved Permanently", "Location: /leaf\r\n", ""),
                "/late" if !site.is_open.load(Ordering::Relaxed) => Act::Hang(String::new()),
                "/late" => page("<a href=last>last</a>"),
                "/last" => {
                    site.vanishing.iter().for_each(|folder| std::fs::remove_dir(folder).unwrap());
                    page("the end")
                }
                _ => missing(),
            }
        })
        .await
    }

    /// Asserts how often the pages that do not hang were asked for.
    fn assert_fetched(&self, times: u32) {
        for path in ["/", "/leaf", "/gone", "/old"] {
            assert_eq!(self.requests.of(path), times, "{path}");
        }
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.env("XDG_STATE_HOME", folder).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    timeout(Duration::from_secs(60), command(folder, arguments).output()).await.expect("the crawl ends").unwrap()
}

/// Ends a crawl by its deadline, while a page hangs.
async fn end_early(folder: &Path, arguments: &[&str]) -> Output {
    let output = run_in(folder, &[arguments, &["--deadline", "2s", "--timeout", "30s"]].concat()).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    output
}

fn stores_in(folder: &Path) -> usize {
    std::fs::read_dir(folder.join("redd-crawl")).map_or(0, Iterator::count)
}

#[redd::test]
async fn the_same_command_continues_and_a_complete_crawl_leaves_no_store() {
    let site = Site::default();
    let (home, folder) = (site.serve().await, state_folder());
    let output = end_early(&folder, &[&home]).await;
    assert!(stderr(&output).contains("The same command continues"), "{}", stderr(&output));
    assert_eq!(stores_in(&folder), 1);
    site.assert_fetched(1);

    site.is_open.store(true, Ordering::Relaxed);
    // How fast it crawls does not matter.
    let output = run_in(&folder, &["--json", "-", "--concurrency", "3", &home]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("Continues the crawl that began on"), "{}", stderr(&output));
    assert!(stderr(&output).contains("4 pages"), "{}", stderr(&output));
    site.assert_fetched(1);
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["counts"]["good"], 4, "{value:#}");
    assert_eq!(value["broken"][0]["cited_by"][0], format!("{home}/"), "{value:#}");
    assert_eq!(stores_in(&folder), 0);

    let output = run_in(&folder, &[&home]).await;
    assert!(!stderr(&output).contains("Continues"), "{}", stderr(&output));
    site.assert_fetched(2);
}

#[redd::test]
async fn another_depth_is_another_crawl() {
    let site = Site::default();
    let (home, folder) = (site.serve().await, state_folder());
    end_early(&folder, &[&home]).await;
    end_early(&folder, &["--depth", "7", &home]).await;
    assert_eq!(stores_in(&folder), 2);
    site.assert_fetched(2);
}

#[redd::test]
async fn fresh_starts_over_and_no_store_keeps_nothing() {
    let site = Site::default();
    let (home, folder) = (site.serve().await, state_folder());
    end_early(&folder, &[&home]).await;
    let output = end_early(&folder, &["--fresh", &home]).await;
    assert!(!stderr(&output).contains("Continues"), "{}", stderr(&output));
    site.assert_fetched(2);
    let output = end_early(&folder, &["--no-store", &home]).await;
    assert!(!stderr(&output).contains("Continues") && !stderr(&output).contains("same command"), "{}", stderr(&output));
    site.assert_fetched(3);
    assert_eq!(stores_in(&folder), 1);
}

#[redd::test]
async fn a_store_of_another_crawl_is_refused_and_stays() {
    let site = Site::default();
    let (home, folder, store) = (site.serve().await, state_folder(), StoreFile::new("other"));
    end_early(&folder, &["--store", store.name(), &home]).await;
    let output = run(&["--store", store.name(), "--same-origin", &home]).await;
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("another crawl: same_origin is false there, and true here. "), "{said}");
    assert!(said.contains("--fresh"), "{said}");
    assert_eq!(store.addresses().len(), 4);
    site.assert_fetched(1);
}

#[redd::test]
async fn two_crawls_do_not_share_a_store() {
    let site = Site::default();
    let (home, folder) = (site.serve().await, state_folder());
    let mut first = command(&folder, &["--verbose", "--timeout", "60s", &home]).spawn().unwrap();
    let mut said = BufReader::new(first.stderr.take().unwrap());
    // A page is done, so the store is open.
    said.read_line(&mut String::new()).await.unwrap();
    for more in [&[][..], &["--fresh"]] {
        let output = run_in(&folder, &[more, &[&home]].concat()).await;
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("in use") && stderr(&output).contains("--store"), "{}", stderr(&output));
    }
    first.kill().await.unwrap();
    site.assert_fetched(1);
}

#[redd::test]
async fn a_file_that_is_no_store_is_refused_and_stays() {
    let (file, name) = scratch("letter.txt");
    std::fs::write(&file, "a letter").unwrap();
    for options in [&["--store", &name][..], &["--store", &name, "--fresh"], &["--no-store", "--cache", &name]] {
        let output = run(&[options, &["http://127.0.0.1:9/"]].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = stderr(&output);
        // The file may be a thing that the user needs, so nothing says to remove it.
        assert!(said.contains("of redd-crawl, and stays as it is") && !said.contains("Remove"), "{said}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"a letter");
}

#[redd::test]
async fn a_store_that_cannot_be_made_is_an_error_if_it_was_asked_for() {
    let site = Site::default();
    site.is_open.store(true, Ordering::Relaxed);
    let home = site.serve().await;
    let output = run(&["--store", "/dev/null/store.redb", &home]).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    site.assert_fetched(0);
    // Nobody has asked for the automatic one.
    let output = run_in(Path::new("/dev/null"), &[&home]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("cannot be continued"), "{}", stderr(&output));
    site.assert_fetched(1);
}

#[redd::test]
async fn a_full_disk_ends_the_storing_and_not_the_crawl() {
    let requests = Requests::default();
    let counted = requests.clone();
    let home = serve_requests(move |request| {
        counted.count(&request.path);
        match request.path.strip_prefix("/page/") {
            None if request.path == "/" => {
                page(&(0..20).map(|number| format!("<a href=/page/{number}>x</a>")).collect::<String>())
            }
            // The links are too deep to be followed. They do not compress well.
            Some(number) => {
                let mut state: u64 = number.parse().unwrap();
                let link = |_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    format!("<a href=/{state:x}>x</a>")
                };
                page(&(0..4_000).map(link).collect::<String>())
            }
            None => missing(),
        }
    })
    .await;
    let store = StoreFile::new("full");
    // A write beyond the limit of the shell fails, as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 2000; exec \"$0\" --depth 1 --store \"$@\"";
    let mut limited = Command::new("bash");
    limited.args(["-c", script, env!("CARGO_BIN_EXE_redd-crawl"), store.name(), &home]).kill_on_drop(true);
    let output = timeout(Duration::from_secs(60), limited.output()).await.expect("the crawl ends").unwrap();
    assert!(stderr(&output).contains("is not stored"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(requests.all().len(), 22, "{:?}", requests.all());
    assert!(!store.path().exists());
}

#[redd::test]
async fn a_crawl_whose_output_was_not_written_is_not_repeated_for_it() {
    let (folder, place) = (state_folder(), state_folder());
    let site = Site { vanishing: Some(place.clone()), ..Site::default() };
    site.is_open.store(true, Ordering::Relaxed);
    let home = site.serve().await;
    let file = place.join("result.json");
    let arguments = ["--json", file.to_str().unwrap(), &*home];
    std::fs::create_dir_all(&place).unwrap();
    let output = run_in(&folder, &arguments).await;
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("was not written"), "{}", stderr(&output));
    std::fs::create_dir_all(&place).unwrap();
    let output = run_in(&folder, &arguments).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let value: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(value["counts"]["good"], 4, "{value:#}");
    site.assert_fetched(1);
}

#[redd::test]
async fn passwords_in_links_are_not_stored_and_sent_nevertheless() {
    let requests = Requests::default();
    let is_open = Arc::new(AtomicBool::new(false));
    let (counted, opened) = (requests.clone(), Arc::clone(&is_open));
    let home = serve_requests(move |request| {
        counted.count(&request.path);
        match &*request.path {
            "/" => {
                let host = request.header("host");
                page(&format!("<a href=leaf>leaf</a><a href=http://me:hunter2@{host}/late>late</a>"))
            }
            "/late" if !opened.load(Ordering::Relaxed) => Act::Hang(String::new()),
            // me:hunter2
            "/late" if request.header("authorization") == "Basic bWU6aHVudGVyMg==" => page("late"),
            "/leaf" => page("leaf"),
            _ => missing(),
        }
    })
    .await;
    let (folder, store) = (state_folder(), StoreFile::new("secrets"));
    end_early(&folder, &["--store", store.name(), &home]).await;
    let mut bytes = Vec::new();
    std::fs::File::open(store.path()).unwrap().read_to_end(&mut bytes).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    is_open.store(true, Ordering::Relaxed);
    let output = run(&["--store", store.name(), &home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    // The page with the password is the only one that was fetched again.
    assert_eq!((requests.of("/"), requests.of("/leaf"), requests.of("/late")), (2, 1, 2));
}

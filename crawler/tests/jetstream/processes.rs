//! Several processes, the commands `report` and `status`, and what is refused.

use std::process::{Output, Stdio};
use std::time::Duration;

use redd::process::{Child, Command};
use redd::time::{sleep, timeout};
use serde_json::Value;

use crate::nats::NatsServer;
use crate::site::Site;

/// A run that does not end is a failure.
const WATCHDOG: Duration = Duration::from_secs(120);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_redd-crawl"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts a process that crawls the site.
pub(crate) fn start(server: &NatsServer, site: &Site, more: &[&str]) -> Child {
    let frontier = format!("{}/test", server.address());
    let mut command = command(&["--frontier", &frontier, "--retries", "0"]);
    command.args(more).args(site.starts()).spawn().unwrap()
}

/// Waits until a process has ended.
pub(crate) async fn ended(child: Child) -> Output {
    timeout(WATCHDOG, child.wait_with_output()).await.expect("the process ends").unwrap()
}

pub(crate) async fn run(arguments: &[&str]) -> Output {
    ended(command(arguments).spawn().unwrap()).await
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `report` or `status` says, as JSON.
pub(crate) async fn ask(server: &NatsServer, what: &str) -> (Value, Option<i32>) {
    let output = run(&[what, "--frontier", &server.address(), "--format", "json"]).await;
    let value = serde_json::from_slice(&output.stdout);
    (value.unwrap_or_else(|_| panic!("no JSON: {}", text(&output.stderr))), output.status.code())
}

/// The sorted addresses of a list in a report.
pub(crate) fn urls(list: &Value) -> Vec<String> {
    let mut urls: Vec<String> =
        list.as_array().unwrap().iter().map(|entry| entry["url"].as_str().unwrap().to_owned()).collect();
    urls.sort();
    urls
}

/// Checks that the report has exactly the pages and the broken links of the site, and the frontier one record for each.
pub(crate) async fn check_report(server: &NatsServer, site: &Site) {
    let (report, code) = ask(server, "report").await;
    assert_eq!(urls(&report["broken"]), site.broken());
    let good = report["pages"].as_array().unwrap().iter().filter(|page| page["status"] == 200).cloned().collect();
    assert_eq!(urls(&Value::Array(good)), site.urls());
    assert_eq!(report["complete"], true);
    assert_eq!(code, Some(i32::from(!site.broken().is_empty())));
    let (status, _) = ask(server, "status").await;
    let expected = site.urls().len() + site.broken().len();
    assert_eq!(status["recorded"], expected, "each address has one record");
    assert_eq!(status["unfinished"], 0);
}

#[redd::test(flavor = "multi_thread")]
async fn three_processes_ask_for_each_page_once_and_each_reports_all() {
    let Some(server) = NatsServer::start().await else { return };
    let site = Site::serve(600, 12, Duration::from_millis(5)).await;
    let children: Vec<Child> = (0..3).map(|_| start(&server, &site, &["--json", "-"])).collect();
    for child in children {
        let output = ended(child).await;
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(urls(&report["broken"]), site.broken());
    }
    check_report(&server, &site).await;
    assert!(site.requests().values().all(|&times| times == 1), "{:?}", site.requests());
    assert_eq!(site.requests().len(), site.urls().len() + site.broken().len());
}

#[redd::test(flavor = "multi_thread")]
async fn one_start_is_enough_and_the_other_hosts_are_checked_only() {
    let Some(server) = NatsServer::start().await else { return };
    let site = Site::serve(40, 4, Duration::ZERO).await;
    let output = run(&["--frontier", &server.address(), "--json", "-", &site.start()]).await;
    let shared: Value = serde_json::from_slice(&output.stdout).unwrap();
    let output = run(&["--no-store", "--json", "-", &site.start()]).await;
    let alone: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shared["counts"], alone["counts"]);
    assert_eq!(urls(&shared["pages"]), urls(&alone["pages"]));
    let again = run(&["--frontier", &server.address(), "--json", "-", &site.start()]).await;
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["counts"], alone["counts"], "a crawl that is complete is reported again");
}

#[redd::test(flavor = "multi_thread")]
async fn limits_and_redirects_decide_as_in_a_crawl_of_one_process() {
    let Some(server) = NatsServer::start().await else { return };
    let site = Site::serve(300, 3, Duration::ZERO).await;
    for (name, more) in
        [("depth", &["--depth", "3"][..]), ("origin", &["--same-origin"]), ("both", &["--same-origin", "--depth", "2"])]
    {
        let frontier = format!("{}/{name}", server.address());
        let output = run(&[&["--frontier", &frontier, "--json", "-"], more, &[&site.start()]].concat()).await;
        let shared: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        let output = run(&[&["--no-store", "--json", "-"], more, &[&site.start()]].concat()).await;
        let alone: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(shared["counts"], alone["counts"], "{name}");
    }
}

#[redd::test(flavor = "multi_thread")]
async fn status_lists_processes_and_hosts_and_report_says_that_it_is_not_finished() {
    let Some(server) = NatsServer::start().await else { return };
    let site = Site::serve(2000, 6, Duration::from_millis(50)).await;
    let children: Vec<Child> = (0..2).map(|_| start(&server, &site, &["--rate", "30"])).collect();
    let both_work = async {
        loop {
            let output = run(&["status", "--frontier", &server.address(), "--format", "json"]).await;
            if let Ok(status) = serde_json::from_slice::<Value>(&output.stdout) {
                let members = status["members"].as_array().unwrap();
                let works = |member: &Value| !member["partitions"].as_array().unwrap().is_empty();
                if members.len() == 2 && members.iter().all(works) && !status["hosts"].as_array().unwrap().is_empty() {
                    return status;
                }
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let status = timeout(WATCHDOG, both_work).await.expect("both processes get work");
    assert!(
        status["hosts"][0]["pages"].as_u64().unwrap() > 0
            && status["hosts"][0]["origin"].as_str().unwrap().starts_with("http://127")
    );
    let output = run(&["status", "--frontier", &server.address()]).await;
    let said = text(&output.stdout);
    assert!(
        said.contains("2 processes") && said.contains(" in flight, ") && said.contains("http://127.0.0.1:"),
        "{said}"
    );
    let output = run(&["report", "--frontier", &server.address()]).await;
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).contains("the crawl is not finished"), "{}", text(&output.stdout));
    drop(children);
}

#[redd::test(flavor = "multi_thread")]
async fn a_process_that_is_asked_to_end_leaves_the_rest_to_the_other() {
    let Some(server) = NatsServer::start().await else { return };
    let site = Site::serve(600, 6, Duration::from_millis(5)).await;
    let (first, second) = (start(&server, &site, &["--rate", "60"]), start(&server, &site, &["--rate", "60"]));
    let begun = async {
        while site.requests().len() < 100 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WATCHDOG, begun).await.expect("the crawl begins");
    assert!(send_sigterm(&first));
    let output = ended(first).await;
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(ended(second).await.status.code(), Some(1));
    check_report(&server, &site).await;
    assert!(site.requests().values().all(|&times| times == 1));
    site.check_rate(60.0, Duration::from_millis(500));
}

/// Sends SIGTERM.
fn send_sigterm(child: &Child) -> bool {
    let id = child.id().unwrap().to_string();
    std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success()
}

#[redd::test(flavor = "multi_thread")]
async fn a_frontier_that_goes_away_is_waited_for_until_the_deadline() {
    let Some(mut server) = NatsServer::start().await else { return };
    let site = Site::serve(5000, 3, Duration::from_millis(5)).await;
    let child = start(&server, &site, &["--rate", "50", "--deadline", "6s"]);
    let begun = async {
        while site.requests().len() < 30 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(WATCHDOG, begun).await.expect("the crawl begins");
    server.kill().await;
    let output = ended(child).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the connection to nats://127.0.0.1") && said.contains("is lost"), "{said}");
    assert!(said.contains("redd-crawl report --frontier nats://127.0.0.1"), "{said}");
}

#[redd::test(flavor = "multi_thread")]
async fn what_cannot_be_shared_is_refused_with_a_way_out() {
    for (arguments, expected) in [
        (&["--frontier", "nats://127.0.0.1:9/x", "--max-pages", "9", "http://a/"][..], "--max-pages cannot be used"),
        (&["--frontier", "nats://127.0.0.1:9/x", "--store", "f", "http://a/"], "--store cannot be used"),
        (&["--frontier", "nats://127.0.0.1:9/x"], "needs a URL"),
        (&["--frontier", "http://me:secret@a/", "http://a/"], "neither nats nor tls"),
        (&["status", "--frontier", "nats://me:secret@a/b.c"], "letters, digits"),
    ] {
        let output = run(arguments).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(expected) && !said.contains("secret"), "{arguments:?}: {said}");
    }
}

#[redd::test(flavor = "multi_thread")]
async fn other_settings_are_refused_and_fresh_starts_over() {
    let Some(server) = NatsServer::start().await else { return };
    let site = Site::serve(20, 2, Duration::ZERO).await;
    assert_eq!(ended(start(&server, &site, &[])).await.status.code(), Some(0));
    let output = ended(start(&server, &site, &["--depth", "1"])).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("depth is not given there, and 1 here") && said.contains("--fresh"), "{said}");
    let output = ended(start(&server, &site, &["--depth", "1", "--fresh"])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[redd::test(flavor = "multi_thread")]
async fn a_password_of_the_frontier_is_used_and_not_printed() {
    let Some(server) = NatsServer::start_with(&["-js", "--user", "me", "--pass", "secret"]).await else { return };
    let site = Site::serve(20, 2, Duration::ZERO).await;
    let with_password = server.address().replace("nats://", "nats://me:secret@");
    let output = run(&["--frontier", &with_password, "-v", &site.start()]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("secret") && !text(&output.stdout).contains("secret"));
    let without = run(&["--frontier", &server.address(), &site.start()]).await;
    let said = text(&without.stderr);
    assert_eq!(without.status.code(), Some(2), "{said}");
    assert!(said.contains("refuses the log-in") && !said.contains("secret"), "{said}");
}

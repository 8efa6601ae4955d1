//! `redd metrics --listen`, `redd web` and `redd dump --html`: what a process replies, for other programs to read.

#![allow(clippy::disallowed_methods, reason = "threads and clocks of the outside world")]
#![allow(clippy::unwrap_used, reason = "a test that fails says where")]
#![allow(unsafe_code, reason = "system calls")]

mod programs;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use programs::{Program, printed, redd, refused, skip, tempdir};

/// A client that serves. It is killed when this is dropped.
struct Server {
    process: Child,
    out: BufReader<std::process::ChildStdout>,
    /// Host and port.
    host: String,
    path: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redd"));
        let mut process = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let address = line.split_once("http://").expect(&line).1.split_whitespace().next().unwrap();
        let address = address.trim_end_matches('.');
        let (host, path) = address.split_once('/').unwrap();
        Self { process, out, host: host.to_owned(), path: format!("/{path}") }
    }

    /// Status and text of a page.
    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        let host = if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.host) };
        stream.write_all(format!("GET {path} HTTP/1.1\r\n{host}{headers}\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
    }

    /// Presses Ctrl-C.
    fn interrupt(mut self) -> ExitStatus {
        // SAFETY: no pointers are passed; the process is a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.process.id() as i32, libc::SIGINT) }, 0);
        self.process.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

/// What `promtool check metrics` says.
fn check_metrics(text: &str) {
    let tool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut tool) = tool else { return skip("`promtool` is not here") };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn metrics_are_served_anew_at_each_scrape_and_503_when_the_process_has_ended() {
    let mut program = Program::start("several").open();
    let pid = program.pid().to_string();
    let server = Server::start(&["metrics", &pid, "--listen", "127.0.0.1:0"]);
    assert_eq!(server.path, "/metrics");
    for _ in 0..2 {
        let (status, text) = server.get("/metrics", "");
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{text}");
        assert!(body(&text).contains("name=\"second\"} 1\n"), "{text}");
        check_metrics(body(&text));
    }
    let (_, text) = server.get("/metrics", "Accept: application/openmetrics-text;version=1.0.0\r\n");
    assert!(text.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"), "{text}");
    assert!(text.contains("# TYPE redd_tasks_spawned counter\nredd_tasks_spawned_total{"), "{text}");
    assert_eq!(server.get("/", "").0, 404);
    assert_eq!(server.get("/metrics", "Host: example.org\r\n").0, 403, "DNS rebinding");
    program.process.kill().unwrap();
    program.process.wait().unwrap();
    let (status, text) = server.get("/metrics", "");
    assert_eq!((status, body(&text)), (503, &*format!("process {pid} has ended\n")));
    assert!(server.interrupt().success());
}

#[test]
fn the_web_pages_are_behind_a_token_and_end_with_the_process() {
    let mut program = Program::start("several").open();
    let pid = program.pid().to_string();
    let mut server = Server::start(&["web", &pid]);
    assert!(server.host.starts_with("127.0.0.1:"), "{}", server.host);
    for (page, words) in [
        ("", "href=\"dump\""),
        ("dump", "redd-dump/1"),
        ("top", "`first`: multi-thread"),
        ("metrics", "redd_tasks_alive{"),
    ] {
        let (status, text) = server.get(&format!("{}{page}", server.path), "");
        assert!(status == 200 && text.contains(words), "{page}: {text}");
        assert!(text.contains("content-security-policy: default-src 'none'; "), "{text}");
    }
    let port = server.host.rsplit(':').next().unwrap();
    for (path, headers, status) in [
        ("/", "", 403),
        ("/dump", "", 403),
        ("/00000000000000000000000000000000/dump", "", 403),
        (&server.path, "Host: example.org\r\n", 403),
        (&server.path, &format!("Host: localhost:{port}\r\n"), 200),
    ] {
        assert_eq!(server.get(path, headers).0, status, "{path} {headers}");
    }
    program.process.kill().unwrap();
    program.process.wait().unwrap();
    assert!(server.process.wait().unwrap().success());
    let mut rest = String::new();
    server.out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("process {pid} has ended\n"));
}

#[test]
fn ctrl_c_ends_the_pages_and_the_process_lives() {
    let mut program = Program::start("idle").open();
    let server = Server::start(&["web", &program.pid().to_string()]);
    assert!(server.interrupt().success());
    assert!(program.is_alive());
}

#[test]
fn a_process_that_cannot_be_asked_is_not_served() {
    for command in [&["web", "4194304"][..], &["metrics", "4194304", "--listen", "0"]] {
        assert!(refused(command).contains("there is no process 4194304"));
    }
    assert!(refused(&["metrics", "1", "--listen", "example.org:80"]).contains("0.0.0.0:9100"));
}

#[test]
fn a_dump_as_a_page_has_each_task_of_each_runtime() {
    let program = Program::start("several").open();
    let folder = tempdir();
    let file = folder.0.join("dump.html");
    assert_eq!(printed(&["dump", &program.pid().to_string(), "--html", file.to_str().unwrap()]), "");
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.matches("\"spawned_at\":").count() >= 2, "{page}");
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let program = Program::start("idle").open();
    let pid = program.pid().to_string();
    assert!(refused(&["dump", &pid, "--html", "/no/such/folder/x.html"]).contains("x.html cannot be written"));
    if std::path::Path::new("/dev/full").exists() {
        assert!(refused(&["dump", &pid, "--html", "/dev/full"]).contains("/dev/full cannot be written: No space left"));
    }
    if let Ok(full) = std::fs::File::options().write(true).open("/dev/full") {
        let mut client = Command::new(env!("CARGO_BIN_EXE_redd"));
        let output = client.args(["dump", &pid]).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && why.contains("cannot be written: No space left"), "{why}");
    }
    let output = redd(&["dump", "4194304", "--html", "/no/such/folder/x.html"]);
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("x.html cannot be written"), "the file is opened before the process is asked: {why}");
    assert!(refused(&["dump", &pid, "--html", "x", "--json"]).contains("cannot be used with"));
}

//! The server on axum of the guide's first chapter answers. `redd/tests/guide.rs` compares its text with the page.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

#[test]
fn the_server_on_axum_says_hello() {
    let build = ["build", "--quiet", "-p", "demos", "--example", "hello_axum"];
    assert!(Command::new(env!("CARGO")).args(build).status().unwrap().success());
    // This test is `target/debug/deps/hello_axum-…`.
    let examples = std::env::current_exe().unwrap().parent().unwrap().with_file_name("examples");
    let mut child = Command::new(examples.join("hello_axum")).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let answer = || -> Option<String> {
        let address = line.trim().strip_prefix("http://")?.strip_suffix('/')?;
        let mut stream = std::net::TcpStream::connect(address).ok()?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: hello\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    let answer = answer();
    child.kill().unwrap();
    child.wait().unwrap();
    let answer = answer.unwrap_or_else(|| panic!("it printed `{}` and has not answered", line.trim()));
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"), "{answer}");
}

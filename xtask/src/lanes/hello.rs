//! The chapter `docs/guide/hello.md`: its commands from an empty folder, and what its programs print.
//!
//! Called by `cargo xtask hello`.
//!
//! The commands run as the page shows them, with a home of their own. Only where `git clone` gets the repository from is
//! another place: this checkout, so what is not committed is not tried. The crate registry has to be reachable, since the home has
//! no packages. The program `redd` is built here instead of `cargo install`, which would build the same once more.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::commands::{cargo, passes, remove_own_variables, target_dir};
use super::outcome::Outcome;
use crate::{book, demos};

const PAGE: &str = "docs/guide/hello.md";

/// The address that `git clone` has on the page.
const CLONED: &str = "https://github.com/redd-rs/redd";

/// How many commands the page promises.
const COMMANDS: usize = 5;

/// How long a server may take for an answer, and how long it is watched when it must not answer.
const ANSWER: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(2);

pub(super) fn hello(root: &Path) -> Outcome {
    run(root).unwrap_or_else(|note| Outcome { passed: false, note })
}

fn run(root: &Path) -> Result<Outcome, String> {
    let page = std::fs::read_to_string(root.join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let blocks = book::blocks(&page);
    let of = |language: &str| -> Vec<&str> {
        blocks.iter().filter(|(of, _)| of == language).map(|(_, text)| text.trim_end()).collect()
    };
    let (shells, texts) = (of("sh"), of("text"));
    let &[first, _, second, ..] = shells.as_slice() else {
        return Err(format!(
            "{PAGE} has {} blocks of commands; the first and the third start the servers",
            shells.len()
        ));
    };
    let &[hello, late_poll, dump] = texts.as_slice() else {
        return Err(format!("{PAGE} has {} blocks of text, and not an answer, a late poll and a dump", texts.len()));
    };
    if !passes(&mut cargo(root, &["build", "--quiet", "-p", "redd-cli", "--bin", "redd"])) {
        return Err("`redd` does not build".to_owned());
    }
    let folder = Folder::new(root)?;
    let (commands, server) = folder.start(first)?;
    if commands != COMMANDS {
        return Err(format!("{PAGE} promises five commands and has {commands}"));
    }
    let answer = server.ask("/", ANSWER)?;
    if answer.as_deref() != Some(hello) {
        return Err(format!("the server answers {answer:?}, and the page shows `{hello}`"));
    }
    drop(server);

    let (_, mut server) = folder.start(second)?;
    let is_blocked = server.send("/block")?;
    let meanwhile = server.ask("/", ANSWER)?;
    let after = read(is_blocked, ANSWER)?;
    if (meanwhile.as_deref(), after.as_deref()) != (Some("hello, visitor 1"), Some("hello, visitor 2")) {
        return Err(format!("`/` answers {meanwhile:?}, and after it `/block` {after:?}: one waits for the other"));
    }
    let is_stuck = server.send("/stuck")?;
    if let Some(answer) = read(is_stuck.try_clone().map_err(|error| error.to_string())?, SILENCE)? {
        return Err(format!("`/stuck` answers `{answer}`"));
    }
    let waits = server.send("/")?;
    if let Some(answer) = read(waits, SILENCE)? {
        return Err(format!("`/` answers `{answer}` while the lock is taken"));
    }
    let printed = server.dump(root)?;
    let reported = server.end()?;
    let mut findings = Vec::new();
    if demos::comparable(printed.lines()) != demos::comparable(dump.lines()) {
        findings.push(format!("`redd dump` prints something else than {PAGE}:\n{printed}"));
    }
    // The page wraps the line.
    let shown = late_poll.lines().collect::<Vec<_>>().join(" ");
    let shown = demos::comparable(std::iter::once(shown.as_str()));
    if !reported.lines().any(|line| demos::comparable(std::iter::once(line)) == shown) {
        findings.push(format!("the server reports something else than {PAGE}:\n{reported}"));
    }
    for finding in &findings {
        println!("{finding}");
    }
    let note = format!("{COMMANDS} commands, 2 servers, {} differences from the page", findings.len());
    Ok(Outcome { passed: findings.is_empty(), note })
}

/// An empty folder, and an empty home.
#[derive(Debug)]
struct Folder {
    work: PathBuf,
    home: PathBuf,
    repository: PathBuf,
}

impl Folder {
    fn new(root: &Path) -> Result<Self, String> {
        let folder = target_dir(root).join("hello");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let of = Self { work: folder.join("work"), home: folder.join("home"), repository: root.to_path_buf() };
        std::fs::create_dir_all(&of.work).map_err(failed)?;
        std::fs::create_dir_all(of.home.join(".cargo")).map_err(failed)?;
        // Which registry this machine uses is not part of the page.
        let settings = cargo_home().join("config.toml");
        if settings.exists() {
            std::fs::copy(&settings, of.home.join(".cargo/config.toml")).map_err(failed)?;
        }
        Ok(of)
    }

    /// Runs the lines of a block. The last one starts a server.
    fn start(&self, block: &str) -> Result<(usize, Server), String> {
        let commands: Vec<&str> = block.lines().collect();
        let (last, before) = commands.split_last().ok_or("a block of commands is empty")?;
        for command in before {
            if !passes(&mut self.shell(command)) {
                return Err(format!("`{command}` of {PAGE} fails"));
            }
        }
        let mut command = self.shell(&format!("exec {last}"));
        println!("  $ {last}");
        let errors = self.home.join("standard-error");
        let file = std::fs::File::create(&errors).map_err(|error| error.to_string())?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("cannot start `{last}`: {error}"))?;
        let mut line = String::new();
        let output = child.stdout.take().map(BufReader::new);
        let mut server = Server { child, address: String::new(), errors };
        output.ok_or("it has no output")?.read_line(&mut line).map_err(|error| error.to_string())?;
        match line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix('/')) {
            Some(address) => address.clone_into(&mut server.address),
            None => return Err(format!("`{last}` prints `{}` and no address:\n{}", line.trim(), server.end()?)),
        }
        Ok((commands.len(), server))
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        command.current_dir(&self.work).args(["-c", line]);
        remove_own_variables(&mut command);
        for name in ["CARGO_TARGET_DIR", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(name);
        }
        // The toolchain is that of this machine.
        if let Some(home) = std::env::var_os("HOME").filter(|_| std::env::var_os("RUSTUP_HOME").is_none()) {
            command.env("RUSTUP_HOME", Path::new(&home).join(".rustup"));
        }
        command.env("HOME", &self.home).env("CARGO_HOME", self.home.join(".cargo"));
        command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", CLONED);
        command.env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", self.repository.display()));
        command
    }
}

fn cargo_home() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).unwrap_or_default()
}

/// A server that runs; dropping it ends it.
#[derive(Debug)]
struct Server {
    child: Child,
    address: String,
    errors: PathBuf,
}

impl Server {
    fn send(&self, path: &str) -> Result<TcpStream, String> {
        let failed = |error: std::io::Error| format!("{}{path}: {error}", self.address);
        let mut stream = TcpStream::connect(&self.address).map_err(failed)?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: hello\r\n\r\n").as_bytes()).map_err(failed)?;
        Ok(stream)
    }

    fn ask(&self, path: &str, within: Duration) -> Result<Option<String>, String> {
        read(self.send(path)?, within)
    }

    fn dump(&self, root: &Path) -> Result<String, String> {
        let mut command = Command::new(target_dir(root).join("debug/redd"));
        // `cargo run` has replaced itself by the server.
        let output =
            command.args(["dump", &self.child.id().to_string()]).output().map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(printed) } else { Err(format!("`redd dump` fails: {said}")) }
    }

    /// Ends it, and returns what it printed to standard error.
    fn end(&mut self) -> Result<String, String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::fs::read_to_string(&self.errors).map_err(|error| format!("{}: {error}", self.errors.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The body of the answer; `None` if there is no answer within that time.
fn read(mut stream: TcpStream, within: Duration) -> Result<Option<String>, String> {
    stream.set_read_timeout(Some(within)).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Ok(_) => match answer.split_once("\r\n\r\n") {
            Some((_, body)) => Ok(Some(body.trim_end().to_owned())),
            None => Err(format!("`{answer}` is no answer of HTTP")),
        },
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

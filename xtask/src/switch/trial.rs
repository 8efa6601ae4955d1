//! A real run of a program: files, servers, requests, and the text that must come back.
//!
//! Called by `switch`. What is tried is in `programs`.
//!
//! # Invariants
//! - `ends-with-the-trial`: each process that a trial started has ended when the trial has.
//! - `bounded`: each wait has an end, also if a program never answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::peers;

/// One step of a trial.
///
/// In each text, `{folder}` is the trial's folder. Any other `{word}` in lower case is a free port of the loopback
/// interface, which is the same at each place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// Writes a file of the trial's folder.
    Write { file: &'static str, text: &'static str },
    /// A server of this lane that returns each byte.
    Echo { port: &'static str },
    /// A web server of this lane: a `GET` returns the path, a `POST` the body.
    Web { port: &'static str },
    /// Starts a program, and waits until it accepts connections there.
    Start { program: &'static str, words: &'static [&'static str], port: &'static str },
    /// Starts a program that listens nowhere, and waits until its output has this text.
    Watch { program: &'static str, words: &'static [&'static str], until: &'static str },
    /// Waits until the output of the program that was started last has this text.
    Reads { until: &'static str },
    /// Runs a program to its end. It succeeds, and its output has these texts.
    Call { program: &'static str, words: &'static [&'static str], expected: &'static [&'static str] },
    /// A `GET` by HTTP/1.1. The response has these texts.
    Get { port: &'static str, path: &'static str, expected: &'static [&'static str] },
    /// A `PUT` by HTTP/1.1, which succeeds.
    Put { port: &'static str, path: &'static str, body: &'static str },
    /// On one connection: sends the first of each pair, and reads until the second has come.
    Tcp { port: &'static str, exchange: &'static [(&'static [u8], &'static [u8])] },
    /// Sends a datagram. The one that comes back has these bytes.
    Udp { port: &'static str, sent: &'static [u8], expected: &'static [u8] },
}

/// So long may a program take for a step. They are debug builds, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// So long it may take to end after `SIGTERM`.
const END: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(50);

/// Performs the steps in an empty folder, with the programs of `programs`.
///
/// # Errors
/// The first step that did not do what it must, with what the program printed.
pub(super) fn perform(steps: &[Step], programs: &Path, folder: &Path) -> Result<(), String> {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut trial =
        Trial { programs: programs.to_owned(), folder: folder.to_owned(), ports: BTreeMap::new(), running: Vec::new() };
    let performed = steps
        .iter()
        .try_for_each(|step| trial.step(step).map_err(|why| format!("{}: {why}{}", step.name(), trial.output())));
    let ended = trial.end();
    performed.and(ended)
}

impl Step {
    fn name(&self) -> String {
        match self {
            Self::Write { file, .. } => format!("writing {file}"),
            Self::Echo { .. } | Self::Web { .. } => "starting a server of this lane".to_owned(),
            Self::Start { program, .. } | Self::Watch { program, .. } => format!("starting {program}"),
            Self::Reads { until } => format!("waiting for {until:?}"),
            Self::Call { program, words, .. } => format!("{program} {}", words.join(" ")),
            Self::Get { path, .. } => format!("GET {path}"),
            Self::Put { path, .. } => format!("PUT {path}"),
            Self::Tcp { .. } => "an exchange by TCP".to_owned(),
            Self::Udp { .. } => "an exchange by UDP".to_owned(),
        }
    }
}

struct Trial {
    programs: PathBuf,
    folder: PathBuf,
    ports: BTreeMap<String, u16>,
    running: Vec<Running>,
}

struct Running {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        // `ends-with-the-trial`: it has no effect on a process that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it is so. If the program ends before that, it never will be.
    fn wait_until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) -> Result<(), String> {
        wait(PATIENCE, || {
            if is_so(self) {
                return Some(Ok(()));
            }
            match self.child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(Err(format!("{} ended with {status} before {what}", self.name))),
                Err(error) => Some(Err(format!("{}: {error}", self.name))),
            }
        })
        .unwrap_or_else(|| Err(format!("{} for {PATIENCE:?}: not {what}", self.name)))
    }

    /// Asks it to end, as a service manager does.
    fn end(&mut self) -> Result<(), String> {
        if let Ok(Some(_)) = self.child.try_wait() {
            return Ok(());
        }
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(format!("no signal can be sent to {}", self.name));
        }
        wait(END, || self.child.try_wait().ok().flatten())
            .map(drop)
            .ok_or_else(|| format!("{} did not end within {END:?} of SIGTERM", self.name))
    }
}

impl Trial {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Write { file, text } => {
                let (path, text) = (self.folder.join(file), self.fill(text)?);
                let folder = path.parent().unwrap_or(&self.folder);
                std::fs::create_dir_all(folder)
                    .and_then(|()| std::fs::write(&path, text))
                    .map_err(|error| format!("{}: {error}", path.display()))
            }
            Step::Echo { port } => self.listen(port, peers::echo),
            Step::Web { port } => self.listen(port, peers::web),
            Step::Start { program, words, port } => {
                let port = self.port(port)?;
                self.start(program, words)?;
                let accepts = |_: &Running| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
                self.last()?.wait_until(&format!("it accepted connections at port {port}"), accepts)
            }
            Step::Watch { program, words, until } => {
                self.start(program, words)?;
                self.reads(until)
            }
            Step::Reads { until } => self.reads(until),
            Step::Call { program, words, expected } => self.call(program, words, expected),
            Step::Get { port, path, expected } => {
                let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
                let response = self.request(port, &request)?;
                contains(&response, expected)
            }
            Step::Put { port, path, body } => {
                let request = format!(
                    "PUT {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                let response = self.request(port, &request)?;
                contains(&response, &["HTTP/1.1 2"])
            }
            Step::Tcp { port, exchange } => {
                let mut stream = self.connect(port)?;
                exchange.iter().try_for_each(|(sent, expected)| {
                    stream.write_all(sent).map_err(|error| error.to_string())?;
                    read_until(&mut stream, expected)
                })
            }
            Step::Udp { port, sent, expected } => {
                let address = (Ipv4Addr::LOCALHOST, self.port(port)?);
                let answer = exchange_datagram(address, sent).map_err(|error| error.to_string())?;
                if holds(&answer, expected) { Ok(()) } else { Err(format!("the datagram was {answer:02x?}")) }
            }
        }
    }

    fn listen(&mut self, port: &str, serve: fn() -> Result<u16, String>) -> Result<(), String> {
        let number = serve()?;
        self.ports.insert(port.to_owned(), number);
        Ok(())
    }

    fn last(&mut self) -> Result<&mut Running, String> {
        self.running.last_mut().ok_or_else(|| "no program has been started".to_owned())
    }

    fn reads(&mut self, until: &str) -> Result<(), String> {
        let until = self.fill(until)?;
        self.last()?.wait_until(&format!("it printed {until:?}"), |running| running.output().contains(&until))
    }

    /// The port of this name. The system chooses one that is free; another process may take it before the program does.
    fn port(&mut self, name: &str) -> Result<u16, String> {
        if let Some(port) = self.ports.get(name) {
            return Ok(*port);
        }
        loop {
            let port = peers::free_port()?;
            if !self.ports.values().any(|taken| *taken == port) {
                self.ports.insert(name.to_owned(), port);
                return Ok(port);
            }
        }
    }

    /// The text with the folder and the ports in it. Braces around anything else stay.
    fn fill(&mut self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            filled.push_str(before);
            let word = behind.split_once('}').filter(|(word, _)| is_word(word));
            match word {
                Some(("folder", after)) => {
                    filled.push_str(&self.folder.display().to_string());
                    rest = after;
                }
                Some((word, after)) => {
                    filled.push_str(&self.port(word)?.to_string());
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = behind;
                }
            }
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// A program of the trial, which finds neither the user's files nor settings.
    fn command(&mut self, program: &str, words: &[&str]) -> Result<Command, String> {
        let mut command = Command::new(self.programs.join(program));
        for word in words {
            command.arg(self.fill(word)?);
        }
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "http_proxy", "HTTP_PROXY", "all_proxy"]
        {
            command.env_remove(variable);
        }
        command.current_dir(&self.folder).env("HOME", &self.folder).stdin(Stdio::null());
        Ok(command)
    }

    fn start(&mut self, program: &'static str, words: &[&str]) -> Result<(), String> {
        let mut command = self.command(program, words)?;
        let log = self.folder.join(format!("{program}-{}.log", self.running.len()));
        let open = || std::fs::File::options().create(true).append(true).open(&log);
        let files = open().and_then(|file| Ok((file, open()?)));
        let (output, errors) = files.map_err(|error| format!("{}: {error}", log.display()))?;
        let child = command.stdout(output).stderr(errors).spawn().map_err(|error| error.to_string())?;
        self.running.push(Running { name: program, child, log });
        Ok(())
    }

    fn call(&mut self, program: &'static str, words: &[&str], expected: &[&str]) -> Result<(), String> {
        self.start(program, words)?;
        let mut called = self.running.pop().ok_or("it was not started")?;
        let Some(status) = wait(PATIENCE, || called.child.try_wait().ok().flatten()) else {
            return Err(format!("it ran for {PATIENCE:?} and printed:\n{}", called.output()));
        };
        let output = called.output();
        if !status.success() {
            return Err(format!("{status}\n{output}"));
        }
        contains(&output, expected)
    }

    fn connect(&mut self, port: &str) -> Result<TcpStream, String> {
        let address = (Ipv4Addr::LOCALHOST, self.port(port)?);
        TcpStream::connect(address)
            .and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(|error| format!("port {}: {error}", address.1))
    }

    /// The whole response: the server closes the connection behind it.
    fn request(&mut self, port: &str, request: &str) -> Result<String, String> {
        let mut stream = self.connect(port)?;
        let mut response = Vec::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut response))
            .map_err(|error| format!("{error}, after {:?}", String::from_utf8_lossy(&response)))?;
        Ok(String::from_utf8_lossy(&response).into_owned())
    }

    /// What the programs that still run have printed.
    fn output(&self) -> String {
        self.running.iter().map(|running| format!("\n--- {}\n{}", running.name, running.output())).collect()
    }

    /// Ends what runs, the last one first.
    fn end(&mut self) -> Result<(), String> {
        let mut ended = Ok(());
        while let Some(mut running) = self.running.pop() {
            ended = ended.and(running.end());
        }
        ended
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn contains(text: &str, expected: &[&str]) -> Result<(), String> {
    match expected.iter().find(|expected| !text.contains(**expected)) {
        None => Ok(()),
        Some(missing) => Err(format!("{missing:?} is not in:\n{text}")),
    }
}

fn holds(bytes: &[u8], expected: &[u8]) -> bool {
    expected.is_empty() || bytes.windows(expected.len()).any(|window| window == expected)
}

fn read_until(stream: &mut TcpStream, expected: &[u8]) -> Result<(), String> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while !holds(&received, expected) {
        match stream.read(&mut buffer) {
            Ok(0) => return Err(format!("the connection ended after {:?}", String::from_utf8_lossy(&received))),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => return Err(format!("{error}, after {:?}", String::from_utf8_lossy(&received))),
        }
    }
    Ok(())
}

fn exchange_datagram(address: (Ipv4Addr, u16), sent: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(sent, address)?;
    let mut buffer = vec![0; 4096];
    let count = socket.recv(&mut buffer)?;
    buffer.truncate(count);
    Ok(buffer)
}

/// Asks until there is an answer, or the time is over.
fn wait<T>(patience: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..patience.as_millis() / PAUSE.as_millis() {
        if let Some(answer) = answer() {
            return Some(answer);
        }
        pause();
    }
    answer()
}

#[expect(clippy::disallowed_methods, reason = "it waits for a program of another project")]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(steps: &[Step]) -> Result<(), String> {
        let folder = std::env::temp_dir().join(format!("redd-trial-{}-{:p}", std::process::id(), steps.as_ptr()));
        let result = perform(steps, Path::new("/bin"), &folder);
        std::fs::remove_dir_all(&folder).expect("the trial made it");
        result
    }

    #[test]
    fn the_peers_of_this_lane_return_what_they_must() {
        let steps = &[
            Step::Echo { port: "echo" },
            Step::Web { port: "web" },
            Step::Tcp { port: "echo", exchange: &[(b"one", b"one"), (b"two", b"two")] },
            Step::Get { port: "web", path: "/a/b", expected: &["HTTP/1.1 200 OK", "you asked for /a/b"] },
        ];
        assert_eq!(tried(steps), Ok(()));
        let wrong = tried(&[Step::Web { port: "web" }, Step::Get { port: "web", path: "/a", expected: &["/b"] }]);
        assert!(wrong.clone().is_err_and(|why| why.contains("GET /a: \"/b\" is not in:")), "{wrong:?}");
    }

    #[test]
    fn programs_get_files_and_ports_and_are_judged_by_status_and_output() {
        let steps = &[
            Step::Write { file: "a/b.txt", text: "port {web}, {\"json\": {}}" },
            Step::Call { program: "cat", words: &["{folder}/a/b.txt"], expected: &["port ", "{\"json\": {}}"] },
        ];
        assert_eq!(tried(steps), Ok(()));
        let wrong = tried(&[Step::Call { program: "cat", words: &["/nowhere"], expected: &[] }]);
        assert!(wrong.clone().is_err_and(|why| why.contains("exit status: 1")), "{wrong:?}");
        let wrong = tried(&[Step::Call { program: "echo", words: &["a"], expected: &["b"] }]);
        assert!(wrong.clone().is_err_and(|why| why.contains("\"b\" is not in:\na\n")), "{wrong:?}");
    }

    #[test]
    fn a_program_that_ends_too_early_is_named_with_its_output() {
        let words = &["-c", "echo started; exit 3"];
        let wrong = tried(&[Step::Start { program: "sh", words, port: "web" }]);
        let is_named = |why: &String| why.contains("sh ended with exit status: 3 before") && why.contains("started");
        assert!(wrong.as_ref().is_err_and(is_named), "{wrong:?}");
        let words = &["-c", "echo started; exec sleep 100"];
        assert_eq!(tried(&[Step::Watch { program: "sh", words, until: "started" }]), Ok(()), "and it is ended");
    }
}

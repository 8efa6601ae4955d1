//! The process of a server that is measured from outside.
//!
//! Called by `servers` and `apps`, and by `serve-uring`. `bench/servers/protocol.rs` is the other side.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A server's process. It ends when this value is dropped.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Server {
    /// Starts a server that prints its port first.
    pub fn spawn(mut command: Command) -> Result<Server, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().ok_or("a pipe was asked for")?);
        let mut server = Server { child, input, output, port: 0 };
        let line = server.line()?;
        server.port = line.trim().parse().map_err(|_| format!("not a port: {line}"))?;
        Ok(server)
    }

    /// Writes a line, and returns the line that comes back.
    pub fn ask(&mut self, text: &str) -> Result<String, String> {
        let input = self.input.as_mut().ok_or("the server was stopped")?;
        input
            .write_all(format!("{text}\n").as_bytes())
            .map_err(|error| format!("the server does not listen: {error}"))?;
        self.line()
    }

    /// Reads the kernel's status of the process; the result finds a number in it by name.
    pub fn status(&self) -> Result<impl Fn(&str) -> Result<f64, String>, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        Ok(move |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
            value.ok_or_else(|| format!("{path} has no {name}"))
        })
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(1..) => Ok(line),
            Ok(_) => Err("the server ended".into()),
            Err(error) => Err(format!("the server does not speak: {error}")),
        }
    }

    /// Ends the server by closing its input. Waits for the process that `spawn` started, and kills it if necessary.
    pub fn stop(&mut self) {
        if self.input.take().is_none() {
            return;
        }
        for _ in 0..200 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

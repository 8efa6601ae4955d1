//! Rows whose server runs in its own process, under load from this one. Only the costs of the server are counted.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::load::{self, Load, Outcome, Pace, Protocol};
use crate::measure::{Measure, Runtime};

/// The load generator.
#[derive(Clone, Copy, PartialEq)]
pub enum Generator {
    /// Our own: each connection sends its next request when the response has arrived.
    Closed,
    /// Our own, at half of the maximal rate of Tokio's server, for latencies.
    HalfLoad,
    /// `wrk`, where it is installed.
    Wrk,
}

#[derive(Clone, Copy)]
pub struct ServerRow {
    pub name: &'static str,
    pub kind: &'static str,
    protocol: Protocol,
    connections: usize,
    pub generator: Generator,
    pub runtimes: &'static [Runtime],
}

/// Of each server and program.
pub const WORKERS: &str = "2";

/// With fewer connections, a row is for the CPU time alone.
const FOR_LATENCIES: usize = 64;
/// A run of a row for latencies takes this many times as long, of a program, too: a thousandth of its requests has to be a
/// hundred.
pub const LONGER: u32 = 4;
/// The same at half load. In half a second, the tail latency mostly showed how a freshly started server distributes its
/// work.
const HALF_LOAD_LONGER: u32 = 6;

pub fn rows() -> Vec<ServerRow> {
    use Generator::{Closed, HalfLoad, Wrk};
    use Protocol::{Http, TcpEcho, UdpEcho};
    const ALL: &[Runtime] = &[Runtime::Redd, Runtime::Tokio, Runtime::Floor, Runtime::Smol];
    const NO_SMOL: &[Runtime] = &[Runtime::Redd, Runtime::Tokio, Runtime::Floor];
    const TWO: &[Runtime] = &[Runtime::Redd, Runtime::Tokio];
    let row = |name, kind, protocol, connections, generator, runtimes| ServerRow {
        name,
        kind,
        protocol,
        connections,
        generator,
        runtimes,
    };
    let mut rows = vec![
        row("tcp_echo_1", "tcp_echo", TcpEcho, 1, Closed, ALL),
        row("tcp_echo_64", "tcp_echo", TcpEcho, 64, Closed, ALL),
        row("tcp_echo_512", "tcp_echo", TcpEcho, 512, Closed, ALL),
        row("udp_echo_64", "udp_echo", UdpEcho, 64, Closed, ALL),
        row("http_hyper_1", "http_hyper", Http, 1, Closed, NO_SMOL),
        row("http_hyper_64", "http_hyper", Http, 64, Closed, NO_SMOL),
        row("http_hyper_512", "http_hyper", Http, 512, Closed, NO_SMOL),
        row("http_axum_64", "http_axum", Http, 64, Closed, TWO),
        row("mixed_service_64", "mixed", Http, 64, Closed, TWO),
        row("tcp_echo_64_half_load", "tcp_echo", TcpEcho, 64, HalfLoad, ALL),
        row("tcp_echo_512_half_load", "tcp_echo", TcpEcho, 512, HalfLoad, ALL),
        row("http_hyper_64_half_load", "http_hyper", Http, 64, HalfLoad, NO_SMOL),
        row("http_hyper_512_half_load", "http_hyper", Http, 512, HalfLoad, NO_SMOL),
    ];
    if has_wrk() {
        rows.push(row("http_hyper_64_wrk", "http_hyper", Http, 64, Wrk, NO_SMOL));
        rows.push(row("http_hyper_512_wrk", "http_hyper", Http, 512, Wrk, NO_SMOL));
        rows.push(row("http_axum_64_wrk", "http_axum", Http, 64, Wrk, TWO));
    }
    rows
}

pub fn has_wrk() -> bool {
    let wrk = Command::new("wrk").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    // Its command that prints the version ends with status 1.
    wrk.is_ok()
}

impl ServerRow {
    /// Half of the rate of Tokio's server at full load, in requests per second.
    pub fn half_load(&self, folder: &Path, length: Duration) -> Result<f64, String> {
        let mut server = Server::start(folder, self.kind, Runtime::Tokio, false)?;
        let mut load = self.connect(&server)?;
        self.drive(&mut load, Pace::Closed, length / 4)?;
        let outcome = self.drive(&mut load, Pace::Closed, length)?;
        server.stop();
        Ok(outcome.requests as f64 / length.as_secs_f64() / 2.0)
    }

    /// One run. `rate` is for [`Generator::HalfLoad`].
    pub fn run(
        &self,
        folder: &Path,
        runtime: Runtime,
        length: Duration,
        rate: f64,
        counts: bool,
    ) -> Result<Measure, String> {
        let mut server = Server::start(folder, self.kind, runtime, counts)?;
        let measure = match self.generator {
            Generator::Closed if self.is_for_latencies() => self.run_ours(&mut server, Pace::Closed, length * LONGER),
            Generator::Closed => self.run_ours(&mut server, Pace::Closed, length),
            Generator::HalfLoad => self.run_ours(&mut server, Pace::PerSecond(rate), length * HALF_LOAD_LONGER),
            Generator::Wrk => self.run_wrk(&mut server),
        };
        server.stop();
        measure.map_err(|error| format!("{} on {}: {error}", self.name, runtime.name()))
    }

    /// Whether the tail of its latencies says something: echo and hyper without more behind it.
    fn is_for_latencies(&self) -> bool {
        self.connections >= FOR_LATENCIES && ["tcp_echo", "http_hyper"].contains(&self.kind)
    }

    fn run_ours(&self, server: &mut Server, pace: Pace, length: Duration) -> Result<Measure, String> {
        let mut load = self.connect(server)?;
        self.drive(&mut load, pace, length / 4)?;
        server.costs()?;
        let outcome = self.drive(&mut load, pace, length)?;
        server.served(&outcome)
    }

    fn run_wrk(&self, server: &mut Server) -> Result<Measure, String> {
        server.costs()?;
        let output = Command::new("wrk")
            .args(["-t1", "-d1s", &format!("-c{}", self.connections), &format!("http://127.0.0.1:{}/", server.port)])
            .output()
            .map_err(|error| format!("wrk could not be started: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut measure = server.costs()?;
        measure.operations = text
            .lines()
            .find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())
            .ok_or_else(|| format!("wrk does not say how many requests: {text}"))?;
        Ok(measure)
    }

    fn connect(&self, server: &Server) -> Result<Load, String> {
        Load::connect(self.protocol, server.port, self.connections).map_err(|error| format!("connect: {error}"))
    }

    fn drive(&self, load: &mut Load, pace: Pace, length: Duration) -> Result<Outcome, String> {
        load::run(load, pace, length).map_err(|error| format!("{}: {error}", self.name))
    }
}

/// A server's process. It ends when this value is dropped.
pub struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub port: u16,
}

impl Server {
    fn start(folder: &Path, kind: &str, runtime: Runtime, counts: bool) -> Result<Server, String> {
        let runtime = if runtime == Runtime::Floor { "epoll" } else { runtime.suffix() };
        let binary = folder.join(format!("serve-{runtime}"));
        let mut command = Command::new(&binary);
        command.args([kind, WORKERS]);
        if counts {
            command.arg("counts");
        }
        Server::spawn(command)
    }

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

    /// The resources that the server used since the previous call.
    pub fn costs(&mut self) -> Result<Measure, String> {
        let line = self.ask("")?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
    }

    /// Writes a line, and returns the line that comes back.
    pub fn ask(&mut self, text: &str) -> Result<String, String> {
        let input = self.input.as_mut().ok_or("the server was stopped")?;
        input
            .write_all(format!("{text}\n").as_bytes())
            .map_err(|error| format!("the server does not listen: {error}"))?;
        self.line()
    }

    /// What the server has used since the previous [`Server::costs`], and how it served these requests meanwhile.
    pub fn served(&mut self, outcome: &Outcome) -> Result<Measure, String> {
        let measure = self.costs()?;
        self.served_at(measure, outcome)
    }

    /// Adds to the costs of these requests how the server served them.
    pub fn served_at(&mut self, mut measure: Measure, outcome: &Outcome) -> Result<Measure, String> {
        if outcome.requests == 0 {
            return Err("not one response".into());
        }
        measure.operations = outcome.requests;
        let status = self.status()?;
        let process = [
            ("requests_per_s", outcome.requests as f64 / (measure.wall_ns as f64 / 1e9)),
            ("rss_peak_mib", status("VmHWM:")? / 1024.0),
            ("rss_after_mib", status("VmRSS:")? / 1024.0),
            ("threads", status("Threads:")?),
        ];
        let values = outcome.values().into_iter().chain(process);
        measure.values.extend(values.map(|(name, value)| (name.to_owned(), value)));
        Ok(measure)
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

    /// Ends the server by closing its input. Waits for the process that `start` started, and kills it if necessary.
    fn stop(&mut self) {
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

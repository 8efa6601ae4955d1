//! Rows whose server runs in its own process, under load from this one. Only the costs of the server are counted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::load::{self, Load, Outcome, Pace, Protocol};
use crate::measure::{Measure, Runtime};
use crate::process::Server;

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
    /// The row at full load, if this is one at half load.
    pub fn at_full_load(&self) -> Option<ServerRow> {
        (self.generator == Generator::HalfLoad).then_some(ServerRow { generator: Generator::Closed, ..*self })
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
        let mut load =
            Load::connect(self.protocol, server.port, self.connections).map_err(|error| format!("connect: {error}"))?;
        server.under_load(length, |length| load::run(&mut load, pace, length).map_err(|error| error.to_string()))
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

    /// The resources that the server used since the previous call.
    pub fn costs(&mut self) -> Result<Measure, String> {
        let line = self.ask("")?;
        serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))
    }

    /// What the server uses, and how it serves, while `run` sends requests for this long. A shorter run comes first.
    pub fn under_load(
        &mut self,
        length: Duration,
        mut run: impl FnMut(Duration) -> Result<Outcome, String>,
    ) -> Result<Measure, String> {
        run(length / 4)?;
        self.costs()?;
        let outcome = run(length)?;
        let measure = self.costs()?;
        self.served_at(measure, &outcome)
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
}

//! The machine and the versions of a measurement.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Machine {
    pub date: String,
    pub commit: String,
    pub cpu: String,
    pub processors: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub virtual_machine: bool,
    pub rustc: String,
    pub tokio: String,
    pub smol: String,
    pub hyper: String,
    pub load_before: f64,
    pub load_after: f64,
}

impl Machine {
    pub fn describe(workspace: &Path) -> Machine {
        let cpuinfo = read("/proc/cpuinfo");
        let field = |text: &str, name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split_once(':'))
                .map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kibibytes: u64 = memory.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
        let lock = read(&workspace.join("Cargo.lock").to_string_lossy());
        let version = |name: &str| {
            let start = format!("name = \"{name}\"\nversion = \"");
            lock.split_once(&start).and_then(|(_, rest)| rest.split('"').next()).unwrap_or("?").to_owned()
        };
        Machine {
            date: said("date", &["-u", "+%F"]),
            commit: said("git", &["-C", &workspace.to_string_lossy(), "rev-parse", "--short", "HEAD"]),
            cpu: field(&cpuinfo, "model name"),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kibibytes.div_ceil(1024 * 1024),
            kernel: read("/proc/sys/kernel/osrelease").trim().split('-').next().unwrap_or("?").to_owned(),
            virtual_machine: field(&cpuinfo, "flags").split(' ').any(|flag| flag == "hypervisor"),
            rustc: said("rustc", &["--version"]).split(' ').nth(1).unwrap_or("?").to_owned(),
            tokio: version("tokio"),
            smol: version("smol"),
            hyper: version("hyper"),
            load_before: load(),
            load_after: 0.0,
        }
    }

    pub fn sentence(&self) -> String {
        format!(
            "{}{} processors ({}), {} GiB, Linux {}, the system's allocator, rustc {}, `--release`. Tokio {}, smol {}, \
             hyper {}.",
            if self.virtual_machine { "Virtual machine, " } else { "" },
            self.processors,
            self.cpu,
            self.memory_gib,
            self.kernel,
            self.rustc,
            self.tokio,
            self.smol,
            self.hyper
        )
    }

    /// Whether results of both may be on one page.
    pub fn is_like(&self, other: &Machine) -> bool {
        self.sentence() == other.sentence()
    }
}

/// The load average of the last minute.
pub fn load() -> f64 {
    read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or("?".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

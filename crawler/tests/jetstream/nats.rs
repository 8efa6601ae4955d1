//! Debian's `nats-server` on loopback, with a store of its own.
//!
//! Used by the tests of the engine and by those of the whole program.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redd::process::{Child, Command};
use redd::time::{sleep, timeout};

/// Where Debian puts it, if the path of commands does not have it.
const PLACES: [&str; 2] = ["nats-server", "/usr/sbin/nats-server"];
/// How long it may take to start. It takes some tens of milliseconds.
const START: Duration = Duration::from_secs(30);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A server. It is killed, and its store is removed, when this is dropped.
pub(crate) struct NatsServer {
    program: &'static str,
    folder: PathBuf,
    options: Vec<&'static str>,
    /// The port that the kernel has chosen at the first start.
    port: u16,
    child: Child,
}

impl NatsServer {
    /// Starts a server with JetStream. None, and a line that says so, if this machine has none.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(&["-js"]).await
    }

    pub(crate) async fn start_with(options: &[&'static str]) -> Option<Self> {
        let program = find().await?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("redd-nats-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (child, port) = spawn(program, &folder, options, 0).await;
        Some(Self { program, folder, options: options.to_vec(), port, child })
    }

    /// Its address, without the name of a crawl.
    pub(crate) fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Kills it at once (SIGKILL).
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again after [`NatsServer::kill`], with the same port and store.
    pub(crate) async fn start_again(&mut self) {
        let (child, port) = spawn(self.program, &self.folder, &self.options, self.port).await;
        assert_eq!(port, self.port);
        self.child = child;
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        // It may have been killed already.
        drop(self.child.start_kill());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

async fn find() -> Option<&'static str> {
    for program in PLACES {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        if version.is_ok_and(|status| status.success()) {
            return Some(program);
        }
    }
    eprintln!("SKIPPED: there is no nats-server (Debian: apt-get install nats-server)");
    None
}

/// Starts it and waits until it has a port.
async fn spawn(program: &str, folder: &PathBuf, options: &[&str], port: u16) -> (Child, u16) {
    // -1 asks the kernel for a free port.
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let store = folder.join("store");
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(program);
    command
        .args(["-a", "127.0.0.1", "-p", &port])
        .args(options)
        .arg("-sd")
        .arg(store)
        .arg("--ports_file_dir")
        .arg(folder);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap();
    let ports = folder.join(format!("nats-server_{}.ports", child.id().unwrap()));
    let port = timeout(START, async {
        loop {
            let port = std::fs::read_to_string(&ports).ok().and_then(|text| port_of(&text));
            match port {
                Some(port) if redd::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() => return port,
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    (child, port.await.expect("nats-server starts"))
}

fn port_of(text: &str) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(text).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}

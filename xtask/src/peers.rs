//! Servers that the programs of `compat` use: started before them, stopped after them.
//!
//! PostgreSQL has to be installed. redis-server and nats-server are installed from Debian's packages if they are missing
//! and the lane is permitted to. A missing peer is not a failure: its programs get the reason, and skip.
//!
//! Called by the lane `compat`.
//!
//! # Invariants
//! - `ends-with-us`: a peer is ended when its handle is dropped, and by the kernel if the lane dies before that.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server, its folder, and the variable that the programs get.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The variable of the programs' environment, and its value: an address, or `missing: why`.
    pub(crate) variable: (&'static str, String),
    /// Nothing, for a peer that is missing.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    folder: Folder,
    /// The command that ends it; without one it is killed.
    stop: Option<Command>,
}

/// Removed when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Only litter if it fails.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // `ends-with-us`
        if let Some(running) = &mut self.running {
            let is_asked = running.stop.as_mut().is_some_and(|stop| succeeds(stop).is_ok());
            if !is_asked {
                let _ = running.child.kill();
            }
            let _ = running.child.wait();
        }
    }
}

/// Starts all of them.
pub(crate) fn start() -> Vec<Peer> {
    [("COMPAT_POSTGRES", postgres as fn() -> _), ("COMPAT_REDIS", redis), ("COMPAT_NATS", nats)]
        .into_iter()
        .map(|(variable, start)| match start() {
            Ok((address, running)) => Peer { variable: (variable, address), running: Some(running) },
            Err(why) => Peer { variable: (variable, format!("missing: {why}")), running: None },
        })
        .collect()
}

/// An address, and the process that listens there.
type Started = Result<(String, Running), String>;

fn postgres() -> Started {
    const NAME: &str = "postgres";
    for program in ["initdb", "pg_ctl", NAME] {
        if find(program).is_none() {
            return Err(format!("there is no {program} on the PATH"));
        }
    }
    let folder = folder(NAME)?;
    let (data, word) = (folder.0.join("data"), folder.0.join("word"));
    std::fs::write(&word, "secret\n").map_err(|error| format!("{}: {error}", word.display()))?;
    let user = if is_root() { Some("nobody") } else { None };
    if let Some(user) = user {
        // initdb and the server refuse to be run by root.
        succeeds(Command::new("chown").arg("-R").arg(user).arg(&folder.0))?;
    }
    let mut initdb = as_user(user, "initdb", "TERM");
    initdb.arg("-D").arg(&data).arg("--pwfile").arg(&word);
    initdb.args(["--username=compat", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8", "--locale=C"]);
    succeeds(&mut initdb)?;
    let port = free_port()?;
    let mut server = as_user(user, NAME, "INT");
    server.arg("-D").arg(&data).arg("-k").arg(&folder.0).arg("-p").arg(port.to_string());
    server.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
    // It keeps memory that only it can give back, and so it is asked.
    let mut stop = as_user(user, "pg_ctl", "KILL");
    stop.args(["stop", "--silent", "--mode=fast", "-D"]).arg(&data);
    let running = Running { child: spawn(&mut server, &folder)?, folder, stop: Some(stop) };
    // It takes connections before it answers them, with an error; the pid file's last line says when it is ready.
    let pid_file = data.join("postmaster.pid");
    let is_ready =
        || std::fs::read_to_string(&pid_file).is_ok_and(|text| text.lines().any(|line| line.trim_end() == "ready"));
    let address = format!("postgres://compat:secret@127.0.0.1:{port}/postgres");
    wait(NAME, running, address, is_ready)
}

fn redis() -> Started {
    const NAME: &str = "redis-server";
    install(NAME)?;
    let (folder, port) = (folder(NAME)?, free_port()?);
    let mut server = as_user(None, NAME, "KILL");
    server.args(["--bind", "127.0.0.1", "--save", "", "--port"]).arg(port.to_string()).arg("--dir").arg(&folder.0);
    let running = Running { child: spawn(&mut server, &folder)?, folder, stop: None };
    wait(NAME, running, format!("redis://127.0.0.1:{port}/"), || answers(port))
}

fn nats() -> Started {
    const NAME: &str = "nats-server";
    install(NAME)?;
    let (folder, port) = (folder(NAME)?, free_port()?);
    let mut server = as_user(None, NAME, "KILL");
    server.args(["-a", "127.0.0.1", "-js", "-p"]).arg(port.to_string()).arg("-sd").arg(&folder.0);
    let running = Running { child: spawn(&mut server, &folder)?, folder, stop: None };
    wait(NAME, running, format!("nats://127.0.0.1:{port}"), || answers(port))
}

/// Where a program is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout == b"0\n")
}

/// Debian's package of this name, if the program of this name is not there.
fn install(name: &str) -> Result<(), String> {
    if find(name).is_some() {
        return Ok(());
    }
    let how = format!("there is no {name} on the PATH; fix: `apt-get install {name}`");
    if find("apt-get").is_none() || !is_root() {
        return Err(how);
    }
    println!("  installing {name}");
    let apt = |arguments: &[&str]| {
        // The run level keeps the package from starting the server as a service.
        succeeds(
            Command::new("apt-get").args(arguments).envs([("DEBIAN_FRONTEND", "noninteractive"), ("RUNLEVEL", "1")]),
        )
    };
    // Old lists may still do.
    let updated = apt(&["update"]);
    apt(&["install", "--yes", "--no-install-recommends", name])
        .map_err(|why| format!("{how} ({why}{})", updated.err().map(|why| format!("; {why}")).unwrap_or_default()))
}

fn folder(name: &str) -> Result<Folder, String> {
    // Short, since the path of a socket in it must not be long, and where every user may go.
    let path = std::env::temp_dir().join(format!("redd-{name}-{}", std::process::id()));
    let folder = Folder(path);
    std::fs::create_dir_all(&folder.0).map_err(|error| format!("{}: {error}", folder.0.display()))?;
    Ok(folder)
}

/// A free port. Another process may take it before the server does, which then does not start.
fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// A command for this user, or for ours, that gets a signal if we die.
fn as_user(user: Option<&str>, program: &str, at_our_end: &str) -> Command {
    let mut command = Command::new("setpriv");
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", "65534", "--clear-groups"]);
    }
    // `ends-with-us`
    command.args(["--pdeathsig", at_our_end, "--", program]);
    command
}

/// Runs a command to its end; what it said is the error.
fn succeeds(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
    Err(format!("{:?} failed: {said}", command.get_args().next().unwrap_or(command.get_program())))
}

fn spawn(command: &mut Command, folder: &Folder) -> Result<Child, String> {
    let log = folder.0.join("log");
    let open = || std::fs::File::options().create(true).append(true).open(&log);
    let (output, errors) = open().and_then(|file| Ok((file, open()?))).map_err(|error| format!("no log: {error}"))?;
    let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).current_dir(&folder.0).spawn();
    child.map_err(|error| format!("cannot start it: {error}"))
}

fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits until it is ready: it then accepts connections at `address`.
fn wait(name: &str, mut running: Running, address: String, is_ready: impl Fn() -> bool) -> Started {
    for _ in 0..600 {
        if is_ready() {
            println!("  {name} at {address}");
            return Ok((address, running));
        }
        if !matches!(running.child.try_wait(), Ok(None)) {
            return Err(format!("{name} has ended: {}", last_lines(&running.folder.0)));
        }
        pause();
    }
    // `ends-with-us`
    drop(Peer { variable: ("", String::new()), running: Some(running) });
    Err(format!("{name} does not answer"))
}

fn last_lines(folder: &Path) -> String {
    match std::fs::read_to_string(folder.join("log")) {
        Ok(log) => log.lines().rev().take(3).collect::<Vec<_>>().join(" | "),
        Err(error) if error.kind() == ErrorKind::NotFound => "it said nothing".to_owned(),
        Err(error) => format!("its log cannot be read: {error}"),
    }
}

#[expect(clippy::disallowed_methods, reason = "it waits for the server of another project")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

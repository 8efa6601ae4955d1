//! A child process whose lines are passed on as they come. When its time is over, it is killed with all that it has started.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// Kills the processes of a group when it is dropped: also if this task is aborted while the child runs.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL); // An error means that they have all ended.
        }
    }
}

async fn pass_on(name: &str, stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        println!("{name}: {line}");
    }
    Ok(())
}

/// Returns `None` if it was killed because the time was over.
async fn run(script: &str, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0) // A new group, with the number of the child.
        .spawn()?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id as i32)));
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");

    // Both pipes are read while the child runs. If one were full, the child would wait forever.
    let work = async { tokio::try_join!(pass_on("out", stdout), pass_on("err", stderr), child.wait()) };
    let status = match timeout(limit, work).await {
        Ok(ended) => {
            group.0 = None; // The child is reaped: its number may be that of another group from now on.
            Some(ended?.2)
        }
        Err(_) => None,
    };
    drop(group);
    child.wait().await?; // Reaps it, also if it was killed.
    Ok(status)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let status = run("echo one; echo two; sleep 0.2; echo 'disk is low' >&2; exit 3", Duration::from_secs(30)).await?;
    println!("it ended with code {:?}", status.and_then(|status| status.code()));

    // The shell waits for `sleep`, a process of its own that keeps the pipe open.
    let status = run("echo working; sleep 60; echo done", Duration::from_secs(1)).await?;
    println!("killed: {}", status.is_none());
    Ok(())
}

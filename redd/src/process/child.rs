//! A child process.
//!
//! Called by user code and `command`.
//!
//! # Invariants
//! - `once-waited`: the process is waited for exactly once. Afterwards `state` holds its status and its id is not used: the
//!   kernel may give the id to another process.

use super::pipes::{ChildStderr, ChildStdin, ChildStdout};
use super::reaper::{Running, leave_over};
use crate::driver::Driver;
use crate::io::{AsyncRead, AsyncReadExt};
use crate::observe::waiting::located;
use crate::task::coop::poll_proceed;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A child process. Made by [`Command::spawn`](super::Command::spawn).
///
/// - Dropping it lets the process run on, or kills it with [`kill_on_drop`](super::Command::kill_on_drop). In both cases
///   redd waits for it when it ends, as long as a runtime with I/O runs.
/// - To be sure that the process is gone, await [`wait`](Self::wait).
///
/// # Examples
/// ```
/// use redd::process::Command;
///
/// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
/// assert_eq!(child.wait().await?.code(), Some(3));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub struct Child {
    // First: a process that is killed is killed before its pipes are closed.
    process: Process,
    /// The child's standard input, if it is [`piped`](std::process::Stdio::piped) and has not been taken.
    pub stdin: Option<ChildStdin>,
    /// The child's standard output, if it is [`piped`](std::process::Stdio::piped) and has not been taken.
    pub stdout: Option<ChildStdout>,
    /// The child's standard error, if it is [`piped`](std::process::Stdio::piped) and has not been taken.
    pub stderr: Option<ChildStderr>,
}

/// What is done when a [`Child`] is dropped. A separate type: a pipe cannot be moved out of a type that implements
/// `Drop`.
struct Process {
    state: ChildState,
    on_drop: OnDrop,
}

enum ChildState {
    Running(Box<Running>),
    Ended(ExitStatus),
    /// Only during `drop`.
    Abandoned,
}

/// What happens to a running process when its [`Child`] is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDrop {
    Kill,
    RunOn,
}

impl Child {
    /// Takes over a process that was just started.
    pub(super) fn new(mut child: std::process::Child, on_drop: OnDrop, driver: &Arc<Driver>) -> io::Result<Self> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let running = Running::new(child, driver).map_err(|(error, mut child)| {
            if on_drop == OnDrop::Kill {
                // An error means that it has ended by itself.
                let _ = child.kill();
            }
            leave_over(child);
            error
        })?;
        // From here on an error drops `this`, which kills the process or lets it continue.
        let mut this = Self {
            process: Process { state: ChildState::Running(Box::new(running)), on_drop },
            stdin: None,
            stdout: None,
            stderr: None,
        };
        this.stdin = stdin.map(|pipe| ChildStdin::register(pipe, Arc::clone(driver))).transpose()?;
        this.stdout = stdout.map(|pipe| ChildStdout::register(pipe, Arc::clone(driver))).transpose()?;
        this.stderr = stderr.map(|pipe| ChildStderr::register(pipe, Arc::clone(driver))).transpose()?;
        Ok(this)
    }

    /// Returns the id of the process, or `None` once it was waited for: the kernel may then reuse the id.
    pub fn id(&self) -> Option<u32> {
        match &self.process.state {
            ChildState::Running(running) => Some(running.child.id()),
            ChildState::Ended(_) | ChildState::Abandoned => None,
        }
    }

    /// Kills the process with `SIGKILL`, without waiting for its end. Does nothing if it was waited for already.
    ///
    /// # Errors
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if the process now belongs to another user.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut child = Command::new("sleep").arg("1000").spawn()?;
    /// child.start_kill()?;
    /// assert!(!child.wait().await?.success());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.process.state {
            ChildState::Running(running) => running.child.kill(),
            // `once-waited`: its id may belong to another process by now.
            ChildState::Ended(_) | ChildState::Abandoned => Ok(()),
        }
    }

    /// Kills the process and waits for its end.
    ///
    /// # Cancel safety
    /// If the future is dropped after its first poll, the process is killed, but perhaps not waited for.
    ///
    /// # Errors
    /// Those of [`start_kill`](Self::start_kill) and [`wait`](Self::wait).
    #[track_caller]
    pub fn kill(&mut self) -> impl Future<Output = io::Result<()>> {
        located(async move {
            self.start_kill()?;
            self.wait_until_end().await?;
            Ok(())
        })
    }

    /// Waits until the process ends. It closes the standard input first, so that the process does not wait for more.
    ///
    /// - Afterwards every call returns the same status.
    ///
    /// # Cancel safety
    /// If the future is dropped, the next call returns the status. The standard input stays closed.
    ///
    /// # Errors
    /// An error when the runtime has shut down, and `ECHILD` if other code of this process has waited for the child.
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = io::Result<ExitStatus>> {
        located(self.wait_until_end())
    }

    /// As [`wait`](Self::wait), for a caller that adds the location.
    pub(super) async fn wait_until_end(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let unit = ready!(poll_proceed(cx));
        let result = match &mut self.process.state {
            ChildState::Running(running) => ready!(running.poll_wait(cx)),
            ChildState::Ended(status) => Ok(*status),
            ChildState::Abandoned => unreachable!("a child is not polled while it is dropped"),
        };
        unit.made_progress();
        if let Ok(status) = result {
            // `once-waited`.
            self.process.state = ChildState::Ended(status);
        }
        Poll::Ready(result)
    }

    /// Returns the status of the process if it has ended. Does not wait, and leaves the standard input open.
    ///
    /// # Errors
    /// `ECHILD` if other code of this process has waited for the child.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut child = Command::new("sleep").arg("1000").spawn()?;
    /// assert!(child.try_wait()?.is_none(), "it runs");
    /// child.kill().await?;
    /// assert!(child.try_wait()?.is_some());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = match &mut self.process.state {
            ChildState::Running(running) => running.child.try_wait()?,
            ChildState::Ended(status) => Some(*status),
            ChildState::Abandoned => None,
        };
        if let Some(status) = status {
            // `once-waited`.
            self.process.state = ChildState::Ended(status);
        }
        Ok(status)
    }

    /// Waits until the process ends and its piped outputs are closed, and returns what was written to them. It closes the
    /// standard input first.
    ///
    /// - It also waits for other processes that have inherited these outputs.
    ///
    /// # Cancel safety
    /// If the future is dropped, the output is lost, and the child is dropped.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait), and errors of reading.
    ///
    /// # Examples
    /// ```
    /// use redd::process::Command;
    ///
    /// # redd::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let mut command = Command::new("echo");
    /// command.arg("hello").stdout(std::process::Stdio::piped());
    /// let output = command.spawn()?.wait_with_output().await?;
    /// assert_eq!(output.stdout, b"hello\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn wait_with_output(self) -> impl Future<Output = io::Result<Output>> {
        located(self.into_output())
    }

    /// As [`wait_with_output`](Self::wait_with_output), for a caller that adds the location.
    pub(super) async fn into_output(mut self) -> io::Result<Output> {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let mut wait = pin!(self.wait_until_end());
        let (mut read_out, mut read_err) = (pin!(read_to_end(stdout)), pin!(read_to_end(stderr)));
        let (mut status, mut stdout, mut stderr) = (None, None, None);
        poll_fn(|cx| {
            poll_into(&mut status, wait.as_mut(), cx)?;
            poll_into(&mut stdout, read_out.as_mut(), cx)?;
            poll_into(&mut stderr, read_err.as_mut(), cx)?;
            match (status, stdout.take(), stderr.take()) {
                (Some(status), Some(stdout), Some(stderr)) => Poll::Ready(Ok(Output { status, stdout, stderr })),
                (_, out, err) => {
                    (stdout, stderr) = (out, err);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Polls `future` unless it has completed.
fn poll_into<T>(
    result: &mut Option<T>,
    future: Pin<&mut impl Future<Output = io::Result<T>>>,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    if result.is_none() {
        if let Poll::Ready(value) = future.poll(cx) {
            *result = Some(value?);
        }
    }
    Ok(())
}

/// Reads `pipe` to its end, and closes it. Nothing if it is not piped.
async fn read_to_end(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

impl Drop for Process {
    fn drop(&mut self) {
        if let ChildState::Running(mut running) = std::mem::replace(&mut self.state, ChildState::Abandoned) {
            if self.on_drop == OnDrop::Kill {
                // An error means that it has ended by itself.
                let _ = running.child.kill();
            }
            running.abandon();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Child");
        match &self.process.state {
            ChildState::Running(running) => debug.field("id", &running.child.id()),
            ChildState::Ended(status) => debug.field("status", status),
            ChildState::Abandoned => &mut debug,
        };
        debug
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("kill_on_drop", &(self.process.on_drop == OnDrop::Kill))
            .finish()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::Command;
    use super::*;
    use crate::runtime::Builder;
    use crate::sys::faults::{self, Call};
    use std::process::Stdio;

    #[test]
    fn without_pidfds_the_end_of_a_child_is_learned_from_its_signal() {
        let runtime = Builder::new_current_thread().enable_all().build().expect("descriptors left");
        runtime.block_on(async {
            let mut cat = Command::new("cat");
            cat.stdin(Stdio::piped());
            faults::plan(Call::PidfdOpen, 0, libc::ENOSYS);
            let mut child = cat.spawn().expect("cat is there");
            let stdin = child.stdin.take();
            assert!(futures::FutureExt::now_or_never(child.wait()).is_none());
            drop(stdin);
            assert!(child.wait().await.expect("ours").success());

            faults::plan(Call::PidfdOpen, 0, libc::ENOSYS);
            let path = format!("/proc/{}", cat.spawn().expect("cat is there").id().expect("runs"));
            while std::fs::exists(&path).expect("proc is mounted") {
                crate::task::yield_now().await;
            }
        });
    }

    #[test]
    fn a_child_that_is_started_with_the_last_descriptor_is_waited_for_when_there_are_more() {
        let runtime = Builder::new_current_thread().enable_all().build().expect("descriptors left");
        runtime.block_on(async {
            // Neither its pidfd nor the signal of children can be registered.
            let refuse = |times| (0..times).for_each(|_| faults::plan(Call::EpollCtl, 0, libc::EMFILE));
            refuse(2);
            let mut child = Command::new("true").spawn().expect("it runs, although its end cannot be waited for yet");
            assert!(child.wait().await.expect("ours").success());

            refuse(4);
            let mut sleep = Command::new("sleep").arg("1000").spawn().expect("it runs");
            assert_eq!(sleep.wait().await.expect_err("refused").raw_os_error(), Some(libc::EMFILE));
            sleep.kill().await.expect("by now it can be waited for");
        });
    }

    #[test]
    fn a_child_that_cannot_be_registered_is_not_left_as_a_zombie() {
        let driver = Arc::new(Driver::new().expect("descriptors left"));
        driver.shutdown();
        let sleep = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep is there");
        let id = sleep.id();
        let refused = Child::new(sleep, OnDrop::Kill, &driver);
        assert_eq!(refused.expect_err("shut down").kind(), io::ErrorKind::Other);
        while std::fs::exists(format!("/proc/{id}")).expect("proc is mounted") {
            super::super::reaper::reap_left_over();
        }
    }
}

//! A process that was started.
//!
//! # Invariants
//! - `once-waited`: the process is waited for exactly once; from then on `state` holds its status and nothing is done
//!   with its number, which the system may give to another process.

use super::pipes::{ChildStderr, ChildStdin, ChildStdout};
use super::reaper::{Running, leave_over};
use crate::driver::Driver;
use crate::io::{AsyncRead, AsyncReadExt};
use crate::task::coop::poll_proceed;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Output};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A child process. Made by [`Command::spawn`](super::Command::spawn).
///
/// - Dropping it lets the process run on; with [`kill_on_drop`](super::Command::kill_on_drop) it is killed. In both
///   cases redd waits for it when it ends, as long as a runtime with I/O runs.
/// - Await [`wait`](Self::wait) where you need the process to be gone for sure.
pub struct Child {
    /// The child's standard input, if it was [`piped`](std::process::Stdio::piped) and not taken out.
    pub stdin: Option<ChildStdin>,
    /// The child's standard output, if it was [`piped`](std::process::Stdio::piped) and not taken out.
    pub stdout: Option<ChildStdout>,
    /// The child's standard error, if it was [`piped`](std::process::Stdio::piped) and not taken out.
    pub stderr: Option<ChildStderr>,
    state: State,
    on_drop: OnDrop,
}

enum State {
    Running(Box<Running>),
    Ended(ExitStatus),
    /// Only while it is dropped.
    Abandoned,
}

/// What becomes of a process that is still running when its [`Child`] is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDrop {
    Kill,
    RunOn,
}

impl Child {
    /// Takes charge of a process that was just started.
    pub(super) fn new(mut child: std::process::Child, on_drop: OnDrop, driver: &Arc<Driver>) -> io::Result<Self> {
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let running = Running::new(child, driver).map_err(|(error, mut child)| {
            if on_drop == OnDrop::Kill {
                // It may have ended by itself; nobody could be told otherwise.
                let _ = child.kill();
            }
            leave_over(child);
            error
        })?;
        // From here on an error drops `this`, which does with the process what was asked for.
        let mut this =
            Self { stdin: None, stdout: None, stderr: None, state: State::Running(Box::new(running)), on_drop };
        this.stdin = stdin.map(|pipe| ChildStdin::register(pipe, Arc::clone(driver))).transpose()?;
        this.stdout = stdout.map(|pipe| ChildStdout::register(pipe, Arc::clone(driver))).transpose()?;
        this.stderr = stderr.map(|pipe| ChildStderr::register(pipe, Arc::clone(driver))).transpose()?;
        Ok(this)
    }

    /// The number of the process; `None` once it was waited for, for then the system may give the number away.
    pub fn id(&self) -> Option<u32> {
        match &self.state {
            State::Running(running) => Some(running.child.id()),
            State::Ended(_) | State::Abandoned => None,
        }
    }

    /// Asks the system to kill the process, and does not wait for its end. Nothing happens if it has ended.
    ///
    /// # Errors
    /// The error of the system: the process now belongs to another user, for example.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Running(running) => running.child.kill(),
            // `once-waited`: its number may be another process's by now.
            State::Ended(_) | State::Abandoned => Ok(()),
        }
    }

    /// Kills the process and waits for its end.
    ///
    /// # Cancel safety
    /// When it is dropped after its first poll the process has been killed, but was perhaps not waited for.
    ///
    /// # Errors
    /// As [`start_kill`](Self::start_kill) and [`wait`](Self::wait).
    #[track_caller]
    pub fn kill(&mut self) -> impl Future<Output = io::Result<()>> {
        let place = Location::caller();
        async move {
            self.start_kill()?;
            self.wait_at(place).await?;
            Ok(())
        }
    }

    /// Waits for the process to end; closes its standard input first, so that it does not wait for more of it.
    ///
    /// - After the end every call answers with the same status.
    ///
    /// # Cancel safety
    /// The status is not lost when it is dropped: the next call returns it. Standard input stays closed.
    ///
    /// # Errors
    /// The runtime has shut down, or somebody else has waited for the process.
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = io::Result<ExitStatus>> {
        self.wait_at(Location::caller())
    }

    /// As [`wait`](Self::wait), for that place.
    pub(super) async fn wait_at(&mut self, place: &'static Location<'static>) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        poll_fn(|cx| self.poll_wait(cx, place)).await
    }

    fn poll_wait(&mut self, cx: &mut Context<'_>, place: &'static Location<'static>) -> Poll<io::Result<ExitStatus>> {
        let unit = ready!(poll_proceed(cx));
        let result = match &mut self.state {
            State::Running(running) => ready!(running.poll_wait(cx, Some(place))),
            State::Ended(status) => Ok(*status),
            State::Abandoned => unreachable!("a child is not polled while it is dropped"),
        };
        unit.made_progress();
        if let Ok(status) = result {
            // `once-waited`.
            self.state = State::Ended(status);
        }
        Poll::Ready(result)
    }

    /// The status of the process if it has ended; does not wait, and leaves standard input open.
    ///
    /// # Errors
    /// Somebody else has waited for the process.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = match &mut self.state {
            State::Running(running) => running.child.try_wait()?,
            State::Ended(status) => Some(*status),
            State::Abandoned => None,
        };
        if let Some(status) = status {
            // `once-waited`.
            self.state = State::Ended(status);
        }
        Ok(status)
    }

    /// Waits for the process to end and for all that it writes to the outputs that are piped; closes its standard
    /// input first.
    ///
    /// - What another process writes to an output that it inherited from this one is waited for too.
    ///
    /// # Cancel safety
    /// What was read is lost when it is dropped, and the process is treated as dropped.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and errors of reading.
    #[track_caller]
    pub fn wait_with_output(self) -> impl Future<Output = io::Result<Output>> {
        self.output_at(Location::caller())
    }

    /// As [`wait_with_output`](Self::wait_with_output), for that place.
    pub(super) async fn output_at(mut self, place: &'static Location<'static>) -> io::Result<Output> {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let mut wait = pin!(self.wait_at(place));
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

/// Polls `future` unless its result is there.
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

/// All that is written to `pipe`, which is closed then; nothing if it was not piped.
async fn read_to_end(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

impl Drop for Child {
    fn drop(&mut self) {
        if let State::Running(mut running) = std::mem::replace(&mut self.state, State::Abandoned) {
            if self.on_drop == OnDrop::Kill {
                // It may have ended by itself; nobody could be told otherwise.
                let _ = running.child.kill();
            }
            running.abandon();
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Child");
        match &self.state {
            State::Running(running) => debug.field("id", &running.child.id()),
            State::Ended(status) => debug.field("status", status),
            State::Abandoned => &mut debug,
        };
        debug
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("on_drop", &self.on_drop)
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
    fn without_pidfds_the_signal_of_children_is_listened_to() {
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
            let mut child = Command::new("true").spawn().expect("it runs, whoever hears of its end");
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
            super::super::reaper::ask_left_over();
        }
    }
}

//! Waits for the end of another process.

use std::os::fd::OwnedFd;
use std::time::Duration;

use redd::io::Interest;
use redd::io::unix::AsyncFd;

use crate::{process, system};

/// Another process, which may end.
pub(super) struct Watched {
    pid: u32,
    /// `None` where the system has none.
    fd: Option<AsyncFd<OwnedFd>>,
}

impl Watched {
    /// `None` if there is no such process.
    pub(super) fn new(pid: u32) -> Option<Self> {
        let fd = system::open_process(pid).ok().and_then(|fd| AsyncFd::with_interest(fd, Interest::READABLE).ok());
        // The descriptor is that of the process which is there now, even if its number becomes another one's.
        process::user(pid).map(|_| Self { pid, fd })
    }

    /// Returns once the process has ended.
    pub(super) async fn ended(&self) {
        if let Some(fd) = &self.fd {
            if fd.readable().await.is_ok() {
                return;
            }
        }
        while process::user(self.pid).is_some() {
            redd::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_that_ends_is_noticed_with_and_without_a_descriptor() {
        super::super::runtime().expect("a runtime").block_on(async {
            for has_fd in [true, false] {
                let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
                let mut child = child.expect("`cat` is everywhere");
                let mut watched = Watched::new(child.id()).expect("it runs");
                if !has_fd {
                    watched.fd = None;
                }
                let early = redd::time::timeout(Duration::from_millis(20), watched.ended()).await;
                assert!(early.is_err(), "it runs");
                drop(child.stdin.take());
                let child = redd::task::spawn_blocking(move || child.wait());
                watched.ended().await;
                assert!(child.await.expect("no panic").expect("it is a child").success());
            }
            assert!(Watched::new(4_194_304).is_none());
        });
    }
}

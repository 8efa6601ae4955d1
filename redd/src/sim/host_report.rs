//! What has become of a host.
//!
//! Made by `hosts`, read by users through `Report`.

use std::fmt;

/// What has become of a host of a world.
///
/// # Examples
/// ```
/// use redd::sim::{HostOutcome, World};
/// use redd::time::Duration;
///
/// #[redd::main]
/// async fn server() {
///     std::future::pending().await
/// }
///
/// let world = World::new(1).host("server", server).host("client", || ());
/// let report = world.at(Duration::from_secs(1), |w| w.crash("server")).run();
/// report.expect_ok();
/// assert_eq!(report.host("client").outcome(), &HostOutcome::Ended);
/// assert_eq!(report.host("server").outcome(), &HostOutcome::Down);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostOutcome {
    /// Its function has returned.
    Ended,
    /// Its function has returned an error or a failing exit code. The text says which.
    Failed(String),
    /// Its function has panicked, with this message.
    Panicked(String),
    /// It has crashed, and was not restarted.
    Down,
    /// It is a [service](super::World::service), and the world has stopped it at its end.
    Stopped,
    /// It ran when the world stopped because of a failure.
    Unfinished,
}

/// What has become of a host: [`Report::host`](super::Report::host).
///
/// # Examples
/// ```
/// use redd::sim::World;
/// use redd::time::{Duration, sleep};
///
/// #[redd::main]
/// async fn server() {
///     sleep(Duration::from_secs(5)).await;
/// }
///
/// let world = World::new(1).host("server", server).at(Duration::from_secs(1), |w| w.crash("server"));
/// let report = world.at(Duration::from_secs(2), |w| w.restart_after("server", Duration::ZERO)).run();
/// assert_eq!(report.host("server").crashes(), 1);
/// assert_eq!(report.hosts()[0].to_string(), "host `server` has ended (it has crashed once)");
/// ```
#[derive(Clone, Debug)]
pub struct HostReport {
    pub(super) name: String,
    pub(super) outcome: HostOutcome,
    pub(super) crashes: u32,
}

impl HostReport {
    /// Returns the name of the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what has become of the host, of its last run if it was restarted.
    pub fn outcome(&self) -> &HostOutcome {
        &self.outcome
    }

    /// Returns how often it has crashed.
    pub fn crashes(&self) -> u32 {
        self.crashes
    }
}

impl fmt::Display for HostReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host `{}` ", self.name)?;
        match &self.outcome {
            HostOutcome::Ended => f.write_str("has ended")?,
            HostOutcome::Failed(error) => write!(f, "has failed: {error}")?,
            HostOutcome::Panicked(message) => write!(f, "has panicked: {message}")?,
            HostOutcome::Down => f.write_str("is down")?,
            HostOutcome::Stopped => f.write_str("was stopped at the end")?,
            HostOutcome::Unfinished => f.write_str("had not ended")?,
        }
        match self.crashes {
            0 => Ok(()),
            1 => f.write_str(" (it has crashed once)"),
            crashes => write!(f, " (it has crashed {crashes} times)"),
        }
    }
}

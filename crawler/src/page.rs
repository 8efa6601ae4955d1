//! The state of a page, and the reasons why a page is broken.
//!
//! Made by `fetch` and `crawl`, kept by `frontier`, read by the reports. Pure.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::decode;
use crate::plural::count;

/// The index of an entry in the frontier.
pub(crate) type PageId = u32;

/// Whether the links of a page are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scope {
    /// On the origin of a start: its body is read and its links are followed.
    Inside,
    /// On another origin: only its status is checked.
    Outside,
}

/// Why an address was not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// It is on another origin, and `--same-origin` was given.
    Outside,
    /// `--include` or `--exclude` leaves it out.
    Excluded,
    /// The robots.txt of its host forbids it, with the reason.
    Robots(String),
}

/// The state of a page.
#[derive(Clone, Debug)]
pub(crate) enum PageState {
    /// Not fetched yet.
    Pending,
    /// The server returned it.
    Good(Content),
    /// The server redirects to another address.
    Redirect { status: u16, to: PageId },
    /// It cannot be fetched.
    Broken(Failure),
    /// It is not asked for.
    Skipped(Skipped),
}

/// The content of a good page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    /// None for a page outside, whose body is not read.
    pub(crate) sha256: Option<[u8; 32]>,
    /// Something unusual that is no failure, such as an unknown character set.
    pub(crate) note: Option<Box<str>>,
}

/// Why a page is broken, and the status of the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    /// None if there was no response, or none in time.
    pub(crate) status: Option<u16>,
}

impl Failure {
    /// A failure without a response.
    pub(crate) fn without_status(reason: Reason) -> Self {
        Self { reason, status: None }
    }

    /// A failure of a page whose response has `status`.
    pub(crate) fn with_status(status: u16, reason: Reason) -> Self {
        Self { reason, status: Some(status) }
    }
}

/// Why a page is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reason {
    Status(u16),
    /// A status of success that `--accept` does not list.
    NotAccepted(u16),
    /// The server asks for a longer wait before the next request than `--max-wait` allows.
    AskedToWait {
        status: u16,
        wait: Duration,
        wait_max: Duration,
    },
    UnusableUrl(String),
    Unreachable(String),
    Tls(String),
    TimedOut(Duration),
    CutShort(String),
    BodyTooLarge(usize),
    UnknownEncoding(String),
    DamagedEncoding(Cow<'static, str>, String),
    EndlessRedirect(String),
    BadRedirect(String),
    /// The page is there, and has no part of this name.
    MissingFragment(String),
    /// A file of this machine.
    UnreadableFile(String),
    Internal(String),
}

impl Reason {
    /// Whether another try may succeed.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Unreachable(_) | Self::TimedOut(_) | Self::CutShort(_) => true,
            Self::NotAccepted(_)
            | Self::AskedToWait { .. }
            | Self::UnusableUrl(_)
            | Self::Tls(_)
            | Self::BodyTooLarge(_)
            | Self::UnknownEncoding(_)
            | Self::DamagedEncoding(..)
            | Self::EndlessRedirect(_)
            | Self::BadRedirect(_)
            | Self::MissingFragment(_)
            | Self::UnreadableFile(_)
            | Self::Internal(_) => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => f.write_str(&status_line(*status)),
            Self::NotAccepted(status) => {
                write!(f, "{}: --accept does not list this status", status_line(*status))
            }
            Self::AskedToWait { status, wait, wait_max } => write!(
                f,
                "{}: the server asks to wait {} s (Retry-After), longer than the {} s of --max-wait: not asked again",
                status_line(*status),
                wait.as_secs(),
                wait_max.as_secs_f64(),
            ),
            Self::UnusableUrl(why) => write!(f, "unusable URL: {why}"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Tls(why) => write!(f, "TLS failed: {why}"),
            Self::TimedOut(limit) => write!(f, "no complete response within {limit:?} (--timeout)"),
            Self::CutShort(why) => write!(f, "the connection broke off: {why}"),
            Self::BodyTooLarge(limit) => write!(f, "body larger than {} (--max-body)", count(*limit, "byte")),
            Self::UnknownEncoding(name) => write!(
                f,
                "the body is encoded as `{name}`, which was not asked for: it was not read. \
                 The server should honour the request's `Accept-Encoding: {}`",
                decode::ACCEPTED
            ),
            Self::DamagedEncoding(name, why) => {
                write!(f, "the body says that it is encoded as `{name}`, and cannot be decoded: {why}")
            }
            Self::EndlessRedirect(why) => write!(f, "endless redirect: {why}"),
            Self::BadRedirect(why) => write!(f, "unusable redirect: {why}"),
            Self::UnreadableFile(why) => f.write_str(why),
            Self::MissingFragment(name) => write!(
                f,
                "the page has no element with the id `{name}` (--fragments): correct the link, or give the element its id back"
            ),
            Self::Internal(why) => write!(f, "internal error: {why}"),
        }
    }
}

/// A status with its usual reason.
fn status_line(status: u16) -> String {
    match reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_that_may_pass_is_tried_again() {
        assert!(Reason::Status(503).is_passing());
        assert!(Reason::CutShort(String::new()).is_passing());
        assert!(!Reason::Status(404).is_passing());
        assert!(!Reason::Tls(String::new()).is_passing());
    }
}

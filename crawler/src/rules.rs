//! The kinds of findings, as programs read them: an identifier, a title, and what to do about it.
//!
//! Called by `results`; read by the forms of output. Pure.

use crate::page::{Failure, Reason};

/// A kind of finding. Identifiers are part of the program's interface: the README lists them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) advice: &'static str,
}

macro_rules! rules {
    ($($name:ident = $id:literal, $title:literal, $advice:literal;)*) => {
        $(pub(crate) static $name: Rule = Rule { id: $id, title: $title, advice: $advice };)*
        /// All of them, in the order in which they are listed.
        pub(crate) static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    NOT_FOUND = "not-found", "The page does not exist", "Correct or remove the link, or bring the page back.";
    ACCESS_DENIED = "access-denied", "The server denies access",
        "Link to a page that everybody can read, or give the crawler access.";
    HTTP_STATUS = "http-status", "The server answers with an error", "Look for the cause in the log of the server.";
    NOT_ACCEPTED = "not-accepted", "The status is not among those that are accepted",
        "Add the status to `--accept`, or correct the link.";
    MISSING_FILE = "missing-file", "The file cannot be read", "Correct the link, or bring the file back.";
    ASKED_TO_WAIT = "asked-to-wait", "The server asks for a longer wait than is allowed",
        "Crawl more slowly (`--rate`), later, or with a larger `--max-wait`.";
    UNUSABLE_ADDRESS = "unusable-address", "The link is not an address", "Correct the link.";
    MISSING_FRAGMENT = "missing-fragment", "The page has no such part",
        "Correct the part of the link behind `#`, or give the part of the page that identifier.";
    UNREACHABLE = "unreachable", "The server cannot be reached",
        "Correct the host and the port of the link, or start the server.";
    TLS = "tls", "No secure connection can be made", "Renew or correct the certificate of the server.";
    TIMED_OUT = "timed-out", "The server does not answer in time",
        "Look for the cause at the server, or allow more time (`--timeout`).";
    CUT_SHORT = "cut-short", "The connection breaks off", "Look for the cause in the log of the server.";
    TOO_LARGE = "too-large", "The page is larger than is allowed", "Allow larger pages (`--max-body`).";
    ENCODING = "encoding", "The page cannot be decoded",
        "Let the server send an encoding that the request accepts, and name it rightly.";
    ENDLESS_REDIRECT = "endless-redirect", "Redirects do not end", "Let the redirect lead to a page.";
    BAD_REDIRECT = "bad-redirect", "A redirect leads to no page", "Correct the target of the redirect.";
    INTERNAL = "internal", "The crawler failed", "Report this as a fault of redd-crawl.";
    MOVED = "moved", "The page has moved for good", "Link to the new address.";
    VANISHED = "vanished", "A page of the snapshot has vanished",
        "Bring the page back or redirect its address, or save a new snapshot (`--save`).";
    INCOMPLETE = "incomplete", "The crawl is incomplete",
        "Crawl again, without the limit or the interruption that is named.";
}

impl Rule {
    /// The kind of a failure.
    pub(crate) fn of(failure: &Failure) -> &'static Self {
        match &failure.reason {
            Reason::Status(404 | 410) => &NOT_FOUND,
            Reason::Status(401 | 403 | 407 | 451) => &ACCESS_DENIED,
            Reason::Status(_) => &HTTP_STATUS,
            Reason::NotAccepted(_) => &NOT_ACCEPTED,
            Reason::UnreadableFile(_) => &MISSING_FILE,
            Reason::AskedToWait { .. } => &ASKED_TO_WAIT,
            Reason::UnusableUrl(_) => &UNUSABLE_ADDRESS,
            Reason::MissingFragment(_) => &MISSING_FRAGMENT,
            Reason::Unreachable(_) => &UNREACHABLE,
            Reason::Tls(_) => &TLS,
            Reason::TimedOut(_) => &TIMED_OUT,
            Reason::CutShort(_) => &CUT_SHORT,
            Reason::BodyTooLarge(_) => &TOO_LARGE,
            Reason::UnknownEncoding(_) | Reason::DamagedEncoding(..) => &ENCODING,
            Reason::EndlessRedirect(_) => &ENDLESS_REDIRECT,
            Reason::BadRedirect(_) => &BAD_REDIRECT,
            Reason::Internal(_) => &INTERNAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn identifiers_are_distinct_and_titles_are_no_sentences() {
        let ids: BTreeSet<&str> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for rule in ALL {
            assert!(rule.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{rule:?}");
            assert!(!rule.title.ends_with('.') && rule.advice.ends_with('.'), "{rule:?}");
        }
    }
}

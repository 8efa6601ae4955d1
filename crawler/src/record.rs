//! The record of one address: what the server answered, and what was found there.
//!
//! Made by `crawl` when an address has been dealt with. What a crawl knows is a fold over its records, in their order (see
//! `fold`). So they may come from a crawl that runs, from a store, or from another machine. Pure.
//!
//! # Invariants
//! - `no-secrets`: a record holds no user name and no password. Those of its links are handed over beside it, and the record
//!   says which links had some.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::{AddressHash, Credentials, redact, take_credentials};
use crate::links::{Link, Links, Unusable};
use crate::page::{Content, Failure, Scope};

/// What is known of an address that was dealt with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageRecord {
    pub(crate) url: String,
    /// The clicks from a start.
    pub(crate) depth: u16,
    pub(crate) scope: Scope,
    pub(crate) answer: Answer,
    /// The links on the page, in their order. Empty unless it is good and inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
    /// See [`Links`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unusable: Vec<Unusable>,
    /// Addresses that cannot be fetched: the scheme, and a hash of the address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored: Vec<(String, AddressHash)>,
    /// The links that had credentials. See `no-secrets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) secret_links: Vec<String>,
}

/// What became of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Good(Content),
    /// The server redirects to another address.
    Redirect {
        status: u16,
        to: String,
    },
    Broken(Failure),
    /// The robots.txt of its host forbids it, with the reason.
    Forbidden(String),
}

/// The credentials that stood in addresses of a page, by address. They are never stored.
pub(crate) type Secrets = Vec<(String, Credentials)>;

/// An address with its credentials taken off (`no-secrets`).
fn without_secrets(mut url: Url, secrets: &mut Secrets) -> String {
    let credentials = take_credentials(&mut url);
    let url = String::from(url);
    secrets.extend(credentials.map(|credentials| (url.clone(), credentials)));
    url
}

impl PageRecord {
    /// A record of an address on which no links were found.
    pub(crate) fn without_links(url: &str, depth: u16, scope: Scope, answer: Answer) -> Self {
        Self {
            url: url.to_owned(),
            depth,
            scope,
            answer,
            links: Vec::new(),
            ids: None,
            unusable: Vec::new(),
            ignored: Vec::new(),
            secret_links: Vec::new(),
        }
    }

    /// The record of a redirect, and the credentials of its target.
    pub(crate) fn of_redirect(url: &str, depth: u16, scope: Scope, status: u16, to: Url) -> (Self, Secrets) {
        let mut secrets = Secrets::new();
        let to = without_secrets(to, &mut secrets);
        let mut record = Self::without_links(url, depth, scope, Answer::Redirect { status, to });
        record.note_secrets(&secrets);
        (record, secrets)
    }

    /// The same record with what was found on the page, and the credentials of its links.
    pub(crate) fn with_links(mut self, links: Links) -> (Self, Secrets) {
        let mut secrets = Secrets::new();
        for link in links.found {
            if let Ok(url) = Url::parse(&link.url) {
                self.links.push(Link { url: without_secrets(url, &mut secrets), ..link });
            }
        }
        self.ids = links.ids;
        self.unusable =
            links.unusable.into_iter().map(|unusable| Unusable { text: redact(&unusable.text), ..unusable }).collect();
        self.ignored = links.ignored;
        self.note_secrets(&secrets);
        (self, secrets)
    }

    fn note_secrets(&mut self, secrets: &Secrets) {
        self.secret_links = secrets.iter().map(|(address, _)| address.clone()).collect();
    }

    /// The record as bytes: compressed JSON.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("its maps have text as keys");
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let written = encoder.write_all(&json).and_then(|()| encoder.finish());
        written.expect("memory takes all that is written")
    }

    /// # Errors
    /// If the bytes are not those of a record: what is wrong with them.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let mut json = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut json).map_err(|error| error.to_string())?;
        serde_json::from_slice(&json).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::LinkKind;
    use crate::page::Reason;

    fn link(url: &str, fragment: Option<&str>) -> Link {
        Link { url: url.into(), fragment: fragment.map(str::to_owned), kind: LinkKind::Anchor, line: 3 }
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let content = Content { status: 200, bytes: 7, sha256: Some([9; 32]), note: Some("odd".into()) };
        let wait = std::time::Duration::from_millis(1500);
        let reason = Reason::AskedToWait { status: 429, wait, wait_max: wait };
        let answers = [
            Answer::Good(content),
            Answer::Redirect { status: 301, to: "http://b/".into() },
            Answer::Broken(Failure::with_status(429, reason)),
            Answer::Broken(Failure::without_status(Reason::DamagedEncoding("br".into(), "cut".into()))),
            Answer::Forbidden("robots.txt".into()),
        ];
        for answer in answers {
            let links = Links {
                found: vec![link("http://a/1", None), link("http://a/1", Some("x"))],
                ids: Some(vec!["y".into()]),
                unusable: vec![Unusable { text: "http://[x".into(), why: "bad".into(), line: 3 }],
                ignored: vec![("mailto".into(), u64::MAX)],
            };
            let (record, _) = PageRecord::without_links("http://a/", 3, Scope::Inside, answer).with_links(links);
            assert_eq!(PageRecord::from_bytes(&record.to_bytes()), Ok(record));
        }
        assert!(PageRecord::from_bytes(b"no record").is_err());
    }

    #[test]
    fn passwords_of_links_are_handed_over_and_not_recorded() {
        let links = Links {
            found: vec![link("http://me:hunter2@a/1", None)],
            ids: None,
            unusable: vec![Unusable { text: "http://me:hunter2@[x".into(), why: "bad".into(), line: 3 }],
            ignored: Vec::new(),
        };
        let content = Content { status: 200, bytes: 7, sha256: None, note: None };
        let record = PageRecord::without_links("http://a/", 0, Scope::Inside, Answer::Good(content));
        let (record, secrets) = record.with_links(links);
        assert!(!format!("{record:?}").contains("hunter2"));
        assert_eq!((&*secrets[0].0, &*record.secret_links), ("http://a/1", &["http://a/1".to_owned()][..]));
        assert_eq!(secrets[0].1.password.as_deref(), Some("hunter2"));
    }

    #[test]
    fn no_wrong_bit_of_a_stored_record_is_overlooked() {
        let content = Content { status: 200, bytes: 7, sha256: None, note: None };
        let record = PageRecord::without_links("http://a/page", 3, Scope::Inside, Answer::Good(content));
        let bytes = record.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let read = PageRecord::from_bytes(&wrong);
            assert!(read.is_err() || read.as_ref().ok() == Some(&record), "bit {bit}: {read:?}");
        }
    }
}

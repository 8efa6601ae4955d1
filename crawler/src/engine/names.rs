//! The names of what a crawl has in JetStream, and the hashes that they are made of.
//!
//! Called by the other files of `engine`. Pure.
//!
//! # Invariants
//! - `same-everywhere`: a hash depends on the text alone, so that processes of other versions and machines agree.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use url::Url;

/// How many parts the hosts of a crawl are divided into. Each part is leased by one process at a time.
pub(crate) const PARTITIONS: u8 = 64;

/// A part of the hosts.
pub(crate) type Partition = u8;

/// The hash of an address or an origin: 128 bits, so that no two addresses of a crawl are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key([u8; 16]);

impl Key {
    pub(crate) fn of(text: &str) -> Self {
        // `same-everywhere`
        let digest = Sha256::digest(text.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// The partition of the origin with this hash.
    fn partition(self) -> Partition {
        self.0[0] % PARTITIONS
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The origin of an address: the host for which requests are limited.
pub(crate) fn origin_of(url: &str) -> String {
    Url::parse(url).map_or_else(|_| "null".to_owned(), |url| url.origin().ascii_serialization())
}

pub(crate) fn partition_of(origin: &str) -> Partition {
    Key::of(origin).partition()
}

/// The names for one crawl.
#[derive(Clone, Debug)]
pub(super) struct Names {
    name: String,
}

impl Names {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// The name of the crawl.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name of a stream or a bucket.
    pub(super) fn store(&self, what: &str) -> String {
        format!("redd-crawl-{}-{what}", self.name)
    }

    pub(super) fn all_work(&self) -> String {
        format!("redd-crawl.{}.work.>", self.name)
    }

    pub(super) fn work_of_partition(&self, partition: Partition) -> String {
        format!("redd-crawl.{}.work.{partition}.>", self.name)
    }

    /// The subject under which the work for an address waits.
    pub(super) fn work(&self, origin: &str, address: Key) -> String {
        let host = Key::of(origin);
        format!("redd-crawl.{}.work.{}.{host}.{address}", self.name, host.partition())
    }

    /// The key of a host, out of a subject of [`Names::work`].
    pub(super) fn host_of_work(subject: &str) -> Option<&str> {
        subject.rsplit('.').nth(1)
    }

    /// The subjects of the stream of results.
    pub(super) fn all_results(&self) -> [String; 2] {
        [format!("redd-crawl.{}.results.>", self.name), format!("redd-crawl.{}.parts.>", self.name)]
    }

    pub(super) fn result(&self, address: Key) -> String {
        format!("redd-crawl.{}.results.{address}", self.name)
    }

    /// The subject of one part of a record that is too large for a message.
    pub(super) fn part(&self, attempt: &str, number: usize) -> String {
        format!("redd-crawl.{}.parts.{attempt}.{number}", self.name)
    }

    /// The attempt out of a subject of [`Names::part`]. None for other subjects.
    pub(super) fn attempt_of_part<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix("redd-crawl.")?.strip_prefix(&*self.name)?.strip_prefix(".parts.")?;
        rest.split('.').next()
    }
}

/// The key of a host in its bucket.
pub(super) fn host_key(origin: &str) -> String {
    let host = Key::of(origin);
    format!("{}.{host}", host.partition())
}

/// Text as a key of a bucket.
pub(super) fn to_key(text: &str) -> String {
    text.bytes().fold(String::new(), |mut key, byte| {
        // The result of writing to a string is always `Ok`.
        let _ = write!(key, "{byte:02x}");
        key
    })
}

/// The text of a key of [`to_key`].
pub(super) fn from_key(key: &str) -> Option<String> {
    let digits = key.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_same_everywhere() {
        assert_eq!(Key::of("http://a/").to_string(), "282a35d7a0da6ae48eee116ad6193fa8");
        assert_eq!(partition_of("http://a"), partition_of(&origin_of("http://a:80/x?y")));
        assert!((0..200).map(|n| partition_of(&format!("http://h{n}"))).all(|partition| partition < PARTITIONS));
    }

    #[test]
    fn subjects_name_partition_host_and_address() {
        let names = Names::new("x");
        let subject = names.work("http://a", Key::of("http://a/b"));
        let (host, address) = (Key::of("http://a"), Key::of("http://a/b"));
        assert_eq!(subject, format!("redd-crawl.x.work.{}.{host}.{address}", partition_of("http://a")));
        assert_eq!(Names::host_of_work(&subject), Some(&*host.to_string()));
        assert_eq!(names.attempt_of_part(&names.part("abc", 3)), Some("abc"));
        assert_eq!(names.attempt_of_part(&names.result(address)), None);
    }

    #[test]
    fn text_is_read_back_from_its_key() {
        for text in ["", "http://a:8080", "https://ä"] {
            assert_eq!(from_key(&to_key(text)).as_deref(), Some(text));
        }
        assert_eq!(from_key("x"), None);
    }
}

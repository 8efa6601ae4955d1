//! The addresses of pages: how a start is read, and how passwords are kept out of everything that is printed.
//!
//! Called by `main` (starts, messages), `crawl` (links), `fetch` (credentials) and `snapshot` (old snapshots). Pure.
//!
//! # Invariants
//! - `no-userinfo`: an address that is stored, printed or written has no user name and no password. They are taken off
//!   where an address enters, and text that is not an address passes through [`redact`] or [`redact_message`].
//!
//! # Why not otherwise
//! The query stays, although it may hold a token: two addresses that differ in the query are two pages, and a report that
//! hides the difference cannot be acted on.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use percent_encoding::percent_decode_str;
use url::{ParseError, Url};

/// A user name and a password from an address. They are sent, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// An address that a crawl starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) url: Url,
    pub(crate) credentials: Option<Credentials>,
    /// Whether the scheme was missing, so that `http` was assumed.
    pub(crate) is_scheme_assumed: bool,
}

impl Start {
    /// Reads an address as a browser's address bar does: without a scheme, it means `http`.
    ///
    /// # Errors
    /// If it is not an address of a web page. The message says how to fix it, and holds no password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const HINT: &str = "Give an address such as http://example.com/ or 127.0.0.1:8080/";
        let text = text.trim();
        let wrong = |why: &str| format!("`{}` cannot be crawled: {why}. {HINT}", redact(text));
        let is_path = (text.starts_with('/') && !text.starts_with("//")) || text.starts_with('.');
        if text.is_empty() || is_path {
            return Err(wrong("it names no host"));
        }
        let (parsed, is_scheme_assumed) = match Url::parse(text) {
            Err(ParseError::RelativeUrlWithoutBase) if text.starts_with("//") => {
                (Url::parse(&format!("http:{text}")), true)
            }
            Err(ParseError::RelativeUrlWithoutBase) => (Url::parse(&format!("http://{text}")), true),
            // The parser takes the host of `localhost:8080` for a scheme.
            Ok(_) if is_host_and_port(text) => (Url::parse(&format!("http://{text}")), true),
            parsed => (parsed, false),
        };
        let mut url = parsed.map_err(|error| wrong(&error.to_string()))?;
        if !url.has_host() || !is_web(&url) {
            return Err(wrong("only http and https can be crawled"));
        }
        let credentials = take_credentials(&mut url);
        Ok(Self { url: without_fragment(url), credentials, is_scheme_assumed })
    }
}

/// Whether `text` is `host:port`, with or without a path behind it.
fn is_host_and_port(text: &str) -> bool {
    text.split_once(':').is_some_and(|(_, rest)| {
        let port = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether it is http or https.
pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The address without its fragment, which names a place within the same page.
pub(crate) fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

/// Removes the user name and the password from `url` (`no-userinfo`) and returns them.
pub(crate) fn take_credentials(url: &mut Url) -> Option<Credentials> {
    let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let credentials = Credentials { user: decode(url.username()), password: url.password().map(decode) };
    // These fail only for addresses that cannot hold any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (!credentials.user.is_empty() || credentials.password.is_some()).then_some(credentials)
}

/// What is kept of an address that is only counted: it may be long, as `data:` is.
pub(crate) type AddressHash = u64;

/// The hash of an address that is only counted.
pub(crate) fn address_hash(address: &str) -> AddressHash {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    hasher.finish()
}

/// What may be printed of `text`, which stands where an address should.
pub(crate) fn redact(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.has_host() => {
            let had_any = take_credentials(&mut url).is_some();
            if had_any { url.into() } else { text.to_owned() }
        }
        Ok(url) if url.scheme() == "mailto" => text.to_owned(),
        Ok(_) | Err(_) => redact_up_to_last_at(text),
    }
}

/// A message in which no address has a user name or a password.
pub(crate) fn redact_message(message: &str) -> String {
    let redact = |word: &str| if word.contains("://") { redact_up_to_last_at(word) } else { word.to_owned() };
    message.split_inclusive(char::is_whitespace).map(redact).collect()
}

/// Leaves out what may be a password in text that is not an address. A wrong guess hides too much, not too little.
fn redact_up_to_last_at(text: &str) -> String {
    let Some((before, after)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
    if scheme.is_empty() && !before.contains([':', '/']) {
        return text.to_owned();
    }
    format!("{scheme}…@{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(text: &str) -> (String, bool) {
        let start = Start::parse(text).unwrap();
        (start.url.into(), start.is_scheme_assumed)
    }

    #[test]
    fn a_start_without_a_scheme_is_http() {
        assert_eq!(start("127.0.0.1:18200/ok"), ("http://127.0.0.1:18200/ok".into(), true));
        assert_eq!(start("localhost:8080"), ("http://localhost:8080/".into(), true));
        assert_eq!(start("example.com:8080?a#b"), ("http://example.com:8080/?a".into(), true));
        assert_eq!(start("[::1]:80/x"), ("http://[::1]/x".into(), true));
        assert_eq!(start(" example.com/a "), ("http://example.com/a".into(), true));
        assert_eq!(start("//example.com/a"), ("http://example.com/a".into(), true));
        assert_eq!(start("https://example.com/a#b"), ("https://example.com/a".into(), false));
    }

    #[test]
    fn what_is_not_an_address_of_a_page_is_refused_with_a_way_out() {
        for text in
            ["", "/a/b.html", "./a", "../a", "ftp://a/", "mailto:a@b", "file:///a", "http://", "http://a:b/", "a b"]
        {
            let error = Start::parse(text).unwrap_err();
            assert!(error.contains("http://example.com/"), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_taken_off_and_decoded() {
        let start = Start::parse("http://me:p%40ss@host/").unwrap();
        assert_eq!(start.url.as_str(), "http://host/");
        assert_eq!(start.credentials, Some(Credentials { user: "me".into(), password: Some("p@ss".into()) }));
        assert!(!format!("{start:?}").contains("p@ss"));
        assert_eq!(Start::parse("http://host/").unwrap().credentials, None);
    }

    #[test]
    fn no_password_survives_redaction() {
        for text in [
            "http://me:secret@host/",
            "ftp://me:secret@host/",
            "http://me:secret@[bad/",
            "//me:secret@[bad/",
            "me:secret@host/",
            "http://me:se/secret@[bad/",
            "view-source:http://me:secret@host/",
            "//secret@[bad/",
            "http://secret@host/",
        ] {
            assert!(!redact(text).contains("secret"), "{text}: {}", redact(text));
            let message = redact_message(&format!("cannot parse \"http://x\" or \"http://me:secret@{text}\": wrong"));
            assert!(!message.contains("me:") && message.starts_with("cannot parse ") && message.ends_with(" wrong"));
        }
        for text in ["http://host/a@b", "http://[bad/", "mailto:me@here", "x@y", "no such file"] {
            assert_eq!(redact(text), text);
        }
    }
}

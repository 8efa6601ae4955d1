//! The address of a frontier: `nats://[user:password@]host:port[/NAME]`.
//!
//! Called by the command line and by `engine`. Pure.

use std::fmt;

use url::Url;

use crate::address::{Credentials, redact, take_credentials};

/// The longest name of a crawl. Names of streams are names of folders on the server.
const NAME_LENGTH_MAX: usize = 64;

/// Where the frontier of a crawl is.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct FrontierAddress {
    /// Without a user name, a password and the name of the crawl (`no-userinfo`).
    server: Url,
    credentials: Option<Credentials>,
    name: Option<String>,
}

impl FrontierAddress {
    /// # Errors
    /// If it is not such an address. The message says how to fix it, and holds no password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const HINT: &str = "Give an address such as nats://127.0.0.1:4222/my-crawl";
        let wrong = |why: &str| format!("`{}` is no frontier: {why}. {HINT}", redact(text));
        let mut server = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(server.scheme(), "nats" | "tls") {
            return Err(wrong("its scheme is neither nats nor tls"));
        }
        if server.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it names no host"));
        }
        if server.query().is_some() || server.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        let credentials = take_credentials(&mut server);
        let name = server.path().trim_matches('/').to_owned();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.len() > NAME_LENGTH_MAX || !name.bytes().all(is_name) {
            return Err(wrong(&format!(
                "the name of the crawl has at most {NAME_LENGTH_MAX} characters, which are letters, digits, `-` and `_`"
            )));
        }
        server.set_path("");
        Ok(Self { server, credentials, name: Some(name).filter(|name| !name.is_empty()) })
    }

    /// The name of the crawl, if the address has one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The server, as it may be printed.
    pub(crate) fn server(&self) -> &str {
        self.server.as_str().trim_end_matches('/')
    }
}

impl fmt::Debug for FrontierAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrontierAddress({self})")
    }
}

impl fmt::Display for FrontierAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{}/{name}", self.server()),
            None => f.write_str(self.server()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_server_and_may_have_a_name_and_a_password() {
        let plain = FrontierAddress::parse("nats://host:4222").unwrap();
        assert_eq!((plain.server(), plain.name()), ("nats://host:4222", None));
        let whole = FrontierAddress::parse("nats://me:secret@host:4222/docs-2").unwrap();
        assert_eq!((whole.server(), whole.name()), ("nats://host:4222", Some("docs-2")));
        assert_eq!(whole.credentials().unwrap().password.as_deref(), Some("secret"));
        for text in [format!("{whole}"), format!("{whole:?}")] {
            assert!(!text.contains("secret") && text.contains("nats://host:4222/docs-2"), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_with_a_way_out_and_without_the_password() {
        for text in [
            "",
            "host:4222",
            "http://me:secret@host/",
            "nats://",
            "nats://host/a.b",
            "nats://host/a/b",
            "nats://host/a?b",
            "nats://me:secret@host/a b",
        ] {
            let error = FrontierAddress::parse(text).unwrap_err();
            assert!(error.contains("nats://127.0.0.1:4222/my-crawl") && !error.contains("secret"), "{text}: {error}");
        }
    }
}

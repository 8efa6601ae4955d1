//! What requests carry and how they are sent: headers, log-ins, the proxy and the statuses that count as good.
//!
//! Made by `arguments`, used by `fetch`. It reads the files that options name, and the environment.
//!
//! # Invariants
//! - `own-hosts`: a header or log-in without a host goes to the origins of the starts only, so that no secret leaves them.
//! - `no-value-printed`: no message and no `Debug` output has the value of a header or a password.

use std::collections::BTreeSet;
use std::fmt;

use reqwest::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use url::Url;

use crate::address::{Credentials, Start, is_web, redact, take_credentials};
use crate::cookies::Cookies;
use crate::options::{OutsideMethod, RequestOptions, Secret};
use crate::statuses::Statuses;

/// The variable with lines as `--header` has them.
const HEADERS_VARIABLE: &str = "REDD_CRAWL_HEADERS";
/// The variable with lines as `--basic-auth` has them.
const BASIC_AUTH_VARIABLE: &str = "REDD_CRAWL_BASIC_AUTH";

/// The hosts that a header or a log-in is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Audience {
    /// The origins of the starts (`own-hosts`).
    Starts,
    /// A host, with or without a port, in lower case.
    Host(String),
    Everyone,
}

impl Audience {
    fn has(&self, url: &Url, is_start_origin: bool) -> bool {
        match self {
            Self::Starts => is_start_origin,
            Self::Everyone => true,
            Self::Host(host) => url.host_str().is_some_and(|name| {
                let rest = host.strip_prefix(name);
                rest == Some("")
                    || rest.and_then(|rest| rest.strip_prefix(':')).is_some_and(|port| {
                        url.port_or_known_default().is_some_and(|number| number.to_string() == port)
                    })
            }),
        }
    }
}

/// What requests carry.
#[derive(Clone, Default)]
pub(crate) struct RequestSettings {
    headers: Vec<(Audience, HeaderName, HeaderValue)>,
    log_ins: Vec<(Audience, Credentials)>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) proxy: Proxy,
    pub(crate) is_insecure: bool,
    /// Whether links that lead elsewhere are asked for with GET.
    pub(crate) is_outside_get: bool,
    pub(crate) accept: Statuses,
    /// The cookies to begin with. None: no cookies are kept.
    pub(crate) cookies: Option<Cookies>,
}

/// Which proxy is used.
#[derive(Clone, Default)]
pub(crate) enum Proxy {
    /// Those of the environment.
    #[default]
    Environment,
    None,
    Url(Url, Option<Credentials>),
}

impl fmt::Debug for RequestSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `no-value-printed`
        let names: Vec<&str> = self.headers.iter().map(|(_, name, _)| name.as_str()).collect();
        f.debug_struct("RequestSettings").field("headers", &names).finish_non_exhaustive()
    }
}

impl RequestSettings {
    /// Checks what the options say.
    ///
    /// # Errors
    /// If something cannot be sent, or a file cannot be read. The message has no value (`no-value-printed`).
    pub(crate) fn new(options: &RequestOptions, accept: Option<&str>) -> Result<Self, String> {
        let mut settings = Self {
            is_insecure: options.insecure,
            is_outside_get: options.method == OutsideMethod::Get,
            accept: accept.map(Statuses::parse).transpose()?.unwrap_or_default(),
            ..Self::default()
        };
        for (source, line) in lines("--header", HEADERS_VARIABLE, &options.header)? {
            settings.headers.push(header(&line).map_err(|why| format!("{source}: {why}"))?);
        }
        for (source, line) in lines("--basic-auth", BASIC_AUTH_VARIABLE, &options.basic_auth)? {
            settings.log_ins.push(log_in(&line).map_err(|why| format!("{source}: {why}"))?);
        }
        settings.cookies = match &options.cookie_file {
            Some(path) => Some(Cookies::load(path)?),
            None => options.cookies.then(Cookies::default),
        };
        if let Some(name) = &options.user_agent {
            let value = HeaderValue::from_str(name);
            settings.user_agent = Some(
                value.map_err(|_| format!("--user-agent {name:?}: it has a character that a header cannot have"))?,
            );
        }
        if let Some(Secret(text)) = &options.proxy {
            settings.proxy = proxy(text)?;
        }
        Ok(settings)
    }

    /// The headers for a request. Of two with the same name, the later one counts.
    pub(crate) fn headers(&self, url: &Url, is_start_origin: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (audience, name, value) in &self.headers {
            if audience.has(url, is_start_origin) {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    /// The user and the password for a request: those given last.
    pub(crate) fn log_in(&self, url: &Url, is_start_origin: bool) -> Option<&Credentials> {
        let mut from_last = self.log_ins.iter().rev();
        from_last.find(|(audience, _)| audience.has(url, is_start_origin)).map(|(_, credentials)| credentials)
    }
}

impl RequestSettings {
    /// What decides whether an answer of another crawl can be used. It has no values (`no-value-printed`).
    pub(crate) fn fingerprint(&self, starts: &[Start]) -> String {
        let headers: Vec<_> = self.headers.iter().map(|(audience, name, _)| (audience, name.as_str())).collect();
        let log_ins: Vec<_> = self.log_ins.iter().map(|(audience, _)| audience).collect();
        // To whom the secrets for the starts go is of importance only if there are some.
        let mut audiences = headers.iter().map(|(audience, _)| audience).chain(&log_ins);
        let is_for_starts = audiences.any(|audience| **audience == Audience::Starts);
        let receivers = starts.iter().filter(|start| is_for_starts || start.credentials.is_some());
        let receivers: BTreeSet<String> = receivers.map(|start| start.url.origin().ascii_serialization()).collect();
        let proxy = match &self.proxy {
            Proxy::Environment => "environment",
            Proxy::None => "none",
            Proxy::Url(url, _) => url.as_str(),
        };
        let Self { user_agent, accept, is_insecure, is_outside_get, .. } = self;
        let has_cookies = self.cookies.is_some();
        format!(
            "{headers:?} {log_ins:?} {receivers:?} {user_agent:?} {proxy} {accept:?} {is_insecure} {is_outside_get} \
             {has_cookies}"
        )
    }
}

/// The lines of an option, its files and its variable, each with where it stands. The option itself comes last.
fn lines(option: &str, variable: &str, given: &[Secret]) -> Result<Vec<(String, String)>, String> {
    let mut found = match std::env::var(variable) {
        Ok(text) => lines_of(variable, &text),
        Err(std::env::VarError::NotPresent) => Vec::new(),
        Err(std::env::VarError::NotUnicode(_)) => return Err(format!("the variable {variable} is not UTF-8")),
    };
    for Secret(text) in given {
        match text.strip_prefix('@') {
            None => found.push((option.to_owned(), text.clone())),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("{option}: the file `{path}` cannot be read: {error}. Behind `@` give the name of a file")
                })?;
                found.extend(lines_of(&format!("{option} @{path}"), &text));
            }
        }
    }
    Ok(found)
}

/// The lines of a text that are neither empty nor comments.
fn lines_of(source: &str, text: &str) -> Vec<(String, String)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line): (u32, _)| (format!("{source}, line {number}"), line.to_owned())).collect()
}

/// Reads `NAME: VALUE`, with or without `HOST=` before it.
fn header(line: &str) -> Result<(Audience, HeaderName, HeaderValue), String> {
    const EXAMPLE: &str = "Write it as `N: V`, `HOST=N: V` or `*=N: V`, with N for the name and V for the value";
    // They say how the body is sent, which is the client's affair.
    const OWN: [HeaderName; 4] = [ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    let (audience, line) = split_audience(line);
    let (name, value) = line.split_once(':').ok_or_else(|| format!("there is no colon. {EXAMPLE}"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes());
    let name = name.map_err(|_| format!("what is before the colon is no name of a header. {EXAMPLE}"))?;
    if OWN.contains(&name) {
        return Err(format!("`{name}` cannot be set, because redd-crawl sets it. Leave it out"));
    }
    let value = HeaderValue::from_str(value.trim());
    let mut value = value.map_err(|_| format!("the value of `{name}` has a character that a header cannot have"))?;
    value.set_sensitive(true);
    Ok((audience, name, value))
}

/// Reads `USER:PASSWORD`, with or without `HOST=` before it.
fn log_in(line: &str) -> Result<(Audience, Credentials), String> {
    let (audience, line) = split_audience(line);
    let (user, password) = line.split_once(':').ok_or_else(|| {
        "there is no colon. Write it as `USER:PASSWORD` or `HOST=USER:PASSWORD`; the password may be empty".to_owned()
    })?;
    Ok((audience, Credentials { user: user.to_owned(), password: Some(password.to_owned()) }))
}

/// Takes off `HOST=`, `HOST:PORT=` or `*=`. What follows it must have a colon.
fn split_audience(line: &str) -> (Audience, &str) {
    let is_host = |text: &str| {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !text.ends_with(']') => (name, port),
            _ => (text, "0"),
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            || (name.starts_with('[') && name.ends_with(']'));
        !name.is_empty() && is_name && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    };
    match line.split_once('=') {
        Some(("*", rest)) => (Audience::Everyone, rest),
        Some((host, rest)) if rest.contains(':') && is_host(host) => (Audience::Host(host.to_ascii_lowercase()), rest),
        _ => (Audience::Starts, line),
    }
}

/// Reads what `--proxy` says.
fn proxy(text: &str) -> Result<Proxy, String> {
    const EXAMPLE: &str = "Give an address such as http://proxy.example.com:3128, or `none`";
    if text == "none" {
        return Ok(Proxy::None);
    }
    let mut url = Url::parse(text).map_err(|error| format!("--proxy `{}`: {error}. {EXAMPLE}", redact(text)))?;
    if !is_web(&url) || !url.has_host() {
        return Err(format!("--proxy `{}`: only proxies for http and https are known. {EXAMPLE}", redact(text)));
    }
    let credentials = take_credentials(&mut url);
    Ok(Proxy::Url(url, credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn header_parts(line: &str) -> (Audience, String, String) {
        let (audience, name, value) = header(line).unwrap();
        (audience, name.to_string(), value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_header_may_name_its_host() {
        let host = |name: &str| Audience::Host(name.into());
        let of = |line, audience, name: &str, value: &str| {
            assert_eq!(header_parts(line), (audience, name.to_owned(), value.to_owned()), "{line}");
        };
        of("X-A: b", Audience::Starts, "x-a", "b");
        of("Cookie:a=b", Audience::Starts, "cookie", "a=b");
        of("X: a=b:c", Audience::Starts, "x", "a=b:c");
        of("Host.example=X:1", host("host.example"), "x", "1");
        of("127.0.0.1:80=X: a=b", host("127.0.0.1:80"), "x", "a=b");
        of("[::1]:80=X: y", host("[::1]:80"), "x", "y");
        of("*=X: y", Audience::Everyone, "x", "y");
    }

    #[test]
    fn a_wrong_header_or_log_in_is_refused_without_its_value() {
        for line in ["topsecret", "a b: topsecret", "X: topsecret\u{1}", "Connection: topsecret", ": topsecret"] {
            let error = header(line).unwrap_err();
            assert!(!error.contains("topsecret"), "{line}: {error}");
        }
        assert!(!log_in("topsecret").unwrap_err().contains("topsecret"));
    }

    #[test]
    fn a_host_gets_what_is_for_it_and_the_last_counts() {
        let mut settings = RequestSettings::default();
        for line in ["me:1", "a=me:2", "b:81=me:3"] {
            settings.log_ins.push(log_in(line).unwrap());
        }
        let password = |text, is_start_origin| {
            settings.log_in(&url(text), is_start_origin).and_then(|found| found.password.clone())
        };
        assert_eq!(password("http://start/", true).as_deref(), Some("1"));
        assert_eq!(password("http://other/", false), None);
        assert_eq!(password("http://a:8080/", true).as_deref(), Some("2"));
        assert_eq!(password("http://b/", false), None);
        assert_eq!(password("http://b:81/", false).as_deref(), Some("3"));
        for line in ["X: 1", "*=X: 2", "a=Y: 3"] {
            settings.headers.push(header(line).unwrap());
        }
        let of = |text, is_start_origin| {
            let headers = settings.headers(&url(text), is_start_origin);
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(of("http://start/", true), ["x=2"]);
        assert_eq!(of("http://other/", false), ["x=2"]);
        assert_eq!(of("https://a/", false), ["x=2", "y=3"]);
        assert!(!format!("{settings:?}").contains("x=2"));
    }

    #[test]
    fn the_fingerprint_depends_on_who_gets_secrets_and_has_none() {
        let start = |text: &str| Start::parse(text).unwrap();
        let of = |lines: &[&str], starts: &[Start]| {
            let headers = lines.iter().map(|line| header(line).unwrap()).collect();
            RequestSettings { headers, ..RequestSettings::default() }.fingerprint(starts)
        };
        let (one, other) = ([start("http://a/")], [start("http://b/")]);
        assert_eq!(of(&[], &one), of(&[], &other));
        assert_eq!(of(&["*=X: 1"], &one), of(&["*=X: topsecret"], &other));
        assert_ne!(of(&["X: 1"], &one), of(&["X: 1"], &other));
        assert_ne!(of(&["X: 1"], &one), of(&["Y: 1"], &one));
        assert_ne!(of(&[], &one), of(&[], &[start("http://me:topsecret@a/")]));
        assert!(!of(&["X: topsecret"], &[start("http://me:topsecret@a/")]).contains("topsecret"));
    }

    #[test]
    fn a_proxy_is_an_address_or_none_and_its_password_is_kept_apart() {
        assert!(matches!(proxy("none"), Ok(Proxy::None)));
        let Ok(Proxy::Url(address, Some(_))) = proxy("http://me:topsecret@host:3128") else {
            panic!("it is a proxy with a password")
        };
        assert_eq!(address.as_str(), "http://host:3128/");
        for text in ["ftp://me:topsecret@host", "me:topsecret@host", "http://me:topsecret@[bad"] {
            let Err(error) = proxy(text) else { panic!("{text}") };
            assert!(error.contains("http://proxy") && !error.contains("topsecret"), "{error}");
        }
    }

    #[test]
    fn comments_and_empty_lines_of_a_file_are_left_out() {
        let lines = lines_of("file", "# me\n\n  a:b \nc:d");
        assert_eq!(lines, [("file, line 3".into(), "a:b".into()), ("file, line 4".into(), "c:d".into())]);
    }
}

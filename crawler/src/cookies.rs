//! Cookies: those that servers set during the crawl, and those of a file.
//!
//! Called by `fetch` for each request and response. The rules are those of RFC 6265, section 5. Pure: the caller passes
//! the time.
//!
//! # Invariants
//! - `bounded-jar`: there are at most [`HOST_MAX`] cookies of a host, each at most [`COOKIE_MAX`] bytes long.
//! - `never-printed`: `Debug` prints the number of cookies only.
//!
//! # Why not otherwise
//! reqwest's jar keeps cookies in hash maps, whose order shows in requests, and asks the clock of the system. There is no
//! list of public suffixes: a server can set a cookie for `co.uk`, which then goes to other hosts of one crawl.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use url::Url;

/// The most cookies of one host. RFC 6265 asks for 50 at least.
const HOST_MAX: usize = 180;
/// The longest name and value together, in bytes. RFC 6265 asks for 4096 at least.
const COOKIE_MAX: usize = 4096;

/// One cookie.
#[derive(Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    /// Whether the hosts below its own get it too.
    has_subdomains: bool,
    is_secure: bool,
    /// None: as long as the crawl.
    expires: Option<SystemTime>,
}

/// All cookies of a crawl.
#[derive(Clone, Default)]
pub(crate) struct Cookies {
    /// By host, in the order in which they were set.
    by_host: BTreeMap<String, Vec<Cookie>>,
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `never-printed`
        write!(f, "Cookies({})", self.by_host.values().map(Vec::len).sum::<usize>())
    }
}

impl Cookies {
    /// Reads a file as browsers and curl export it: seven fields with tabs between them.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no cookie. The message has no value.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("--cookie-file {}: cannot be read: {error}", path.display()))?;
        Self::parse(&text).map_err(|line| {
            format!(
                "--cookie-file {}:{line}: this is no cookie. A line has seven fields with tabs between them: \
                 host, TRUE or FALSE, path, TRUE or FALSE, seconds since 1970 or 0, name, value",
                path.display()
            )
        })
    }

    /// Reads the content of a file. An error is the number of the wrong line.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut cookies = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split('\t').collect();
            let &[host, has_subdomains, path, is_secure, expires, name, ref value @ ..] = &fields[..] else {
                return Err(number);
            };
            let value = match value {
                [] => "",
                [value] => value,
                _ => return Err(number),
            };
            let seconds: u64 = expires.parse().map_err(|_| number)?;
            cookies.insert(
                host.trim_start_matches('.').to_ascii_lowercase(),
                Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    path: path.to_owned(),
                    has_subdomains: has_subdomains.eq_ignore_ascii_case("true"),
                    is_secure: is_secure.eq_ignore_ascii_case("true"),
                    expires: (seconds > 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(1 << 40))),
                },
            );
        }
        Ok(cookies)
    }

    /// Takes a `Set-Cookie` header of a response from `url`. One that is not valid is ignored, as the RFC says.
    pub(crate) fn set(&mut self, url: &Url, header: &str, now: SystemTime) {
        let Some(host) = url.host_str() else { return };
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        let has_control = header.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t');
        if name.is_empty() || has_control || name.len() + value.len() > COOKIE_MAX {
            return;
        }
        let mut domain = None;
        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: default_path(url.path()).to_owned(),
            has_subdomains: false,
            is_secure: false,
            expires: None,
        };
        let mut max_age = None;
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match &*key.trim().to_ascii_lowercase() {
                "domain" if !value.is_empty() => domain = Some(value.trim_start_matches('.').to_ascii_lowercase()),
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "path" => default_path(url.path()).clone_into(&mut cookie.path),
                "secure" => cookie.is_secure = true,
                "expires" => cookie.expires = date(value).or(cookie.expires),
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            // A negative or zero age has passed.
            let age = Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 40));
            cookie.expires = Some(now + age);
        }
        if cookie.is_secure && url.scheme() != "https" {
            return;
        }
        let home = match domain {
            Some(domain) if domain != host => {
                if !domain.contains('.') || !is_below(host, &domain) {
                    return;
                }
                cookie.has_subdomains = true;
                domain
            }
            Some(domain) => {
                cookie.has_subdomains = true;
                domain
            }
            None => host.to_owned(),
        };
        if cookie.expires.is_some_and(|expires| expires <= now) {
            self.remove(&home, &cookie);
        } else {
            self.insert(home, cookie);
        }
    }

    /// The value of the `Cookie` header for a request to `url`. None if there is no cookie for it.
    pub(crate) fn header(&self, url: &Url, now: SystemTime) -> Option<String> {
        let host = url.host_str()?;
        let fits = |cookie: &Cookie| {
            is_path_within(url.path(), &cookie.path)
                && (!cookie.is_secure || url.scheme() == "https")
                && cookie.expires.is_none_or(|expires| expires > now)
        };
        let mut found: Vec<&Cookie> = Vec::new();
        for domain in hosts_above(host) {
            let cookies = self.by_host.get(domain).into_iter().flatten();
            found.extend(cookies.filter(|cookie| (domain == host || cookie.has_subdomains) && fits(cookie)));
        }
        // Longer paths come first. The sort is stable, so older cookies come first otherwise.
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = found.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn insert(&mut self, host: String, cookie: Cookie) {
        let cookies = self.by_host.entry(host).or_default();
        match cookies.iter_mut().find(|known| is_same(known, &cookie)) {
            Some(known) => *known = cookie,
            None => {
                // `bounded-jar`
                if cookies.len() == HOST_MAX {
                    cookies.remove(0);
                }
                cookies.push(cookie);
            }
        }
    }

    fn remove(&mut self, host: &str, cookie: &Cookie) {
        if let Some(cookies) = self.by_host.get_mut(host) {
            cookies.retain(|known| !is_same(known, cookie));
        }
    }
}

/// Whether the one replaces the other.
fn is_same(one: &Cookie, other: &Cookie) -> bool {
    (&one.name, &one.path) == (&other.name, &other.path)
}

/// `a.b.c`, `b.c` and `c`. An IP address is only itself.
fn hosts_above(host: &str) -> impl Iterator<Item = &str> {
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    std::iter::successors(Some(host), move |at| at.split_once('.').filter(|_| !is_address).map(|(_, above)| above))
}

/// Whether `host` is below `domain`, as `www.example.com` is below `example.com`.
fn is_below(host: &str, domain: &str) -> bool {
    hosts_above(host).skip(1).any(|above| above == domain)
}

/// The path of a cookie that names none: that of the page, without its last part.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        Some(slash) if slash > 0 => &path[..slash],
        _ => "/",
    }
}

fn is_path_within(path: &str, folder: &str) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) => rest.is_empty() || folder.ends_with('/') || rest.starts_with('/'),
        None => false,
    }
}

/// A date, also in the old form with dashes between day, month and year.
fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).or_else(|_| httpdate::parse_http_date(&text.replace('-', " "))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn later(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn jar(from: &str, headers: &[&str]) -> Cookies {
        let mut jar = Cookies::default();
        headers.iter().for_each(|header| jar.set(&url(from), header, NOW));
        jar
    }

    #[test]
    fn a_cookie_goes_back_to_its_host_and_to_those_below_only_if_it_says_so() {
        let jar = jar(
            "http://www.a.example/",
            &["own=1", "all=2; Domain=.a.example", "alien=3; Domain=b.example", "tld=4; Domain=example"],
        );
        let of = |text| jar.header(&url(text), NOW);
        assert_eq!(of("http://www.a.example/x").as_deref(), Some("own=1; all=2"));
        assert_eq!(of("http://a.example/").as_deref(), Some("all=2"));
        assert_eq!(of("http://x.www.a.example/").as_deref(), Some("all=2"));
        assert_eq!(of("http://nota.example/"), None);
        assert_eq!(of("http://b.example/"), None);
        let jar = super::tests::jar("http://10.0.0.1/", &["a=1; Domain=0.0.1"]);
        assert_eq!(jar.header(&url("http://9.0.0.1/"), NOW), None);
    }

    #[test]
    fn a_cookie_is_for_its_path_and_longer_paths_come_first() {
        let jar =
            jar("http://a/docs/index.html", &["any=1; Path=/", "docs=2", "deep=3; Path=/docs/x/", "odd=4; Path=x"]);
        let of = |text| jar.header(&url(text), NOW).unwrap();
        assert_eq!(of("http://a/"), "any=1");
        assert_eq!(of("http://a/docs"), "docs=2; odd=4; any=1");
        assert_eq!(of("http://a/docsx"), "any=1");
        assert_eq!(of("http://a/docs/x/y"), "deep=3; docs=2; odd=4; any=1");
    }

    #[test]
    fn a_cookie_ends_at_its_time_and_max_age_comes_before_expires() {
        let jar = jar(
            "http://a/",
            &[
                "for-ever=1",
                "age=2; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                "old=3; Expires=Thu, 01-Jan-1970 00:00:20 GMT",
                "gone=4; Max-Age=0",
            ],
        );
        assert_eq!(jar.header(&url("http://a/"), NOW).unwrap(), "for-ever=1; age=2; old=3");
        assert_eq!(jar.header(&url("http://a/"), later(10)).unwrap(), "for-ever=1; old=3");
        assert_eq!(jar.header(&url("http://a/"), later(20)).unwrap(), "for-ever=1");
    }

    #[test]
    fn a_cookie_is_replaced_and_removed_by_its_name_and_path() {
        let set = |headers: &[&str]| jar("http://a/", headers).header(&url("http://a/"), NOW);
        assert_eq!(set(&["a=1", "b=2", "a=3"]).as_deref(), Some("a=3; b=2"));
        assert_eq!(set(&["a=1", "a=; Max-Age=-1"]), None);
        assert_eq!(set(&["=1", "novalue", "a\u{1}=2"]), None);
    }

    #[test]
    fn a_secure_cookie_goes_over_https_only() {
        let jar = jar("https://a/", &["s=1; Secure"]);
        assert_eq!(jar.header(&url("https://a/"), NOW).as_deref(), Some("s=1"));
        assert_eq!(jar.header(&url("http://a/"), NOW), None);
        assert_eq!(super::tests::jar("http://a/", &["s=1; Secure"]).header(&url("https://a/"), NOW), None);
    }

    #[test]
    fn the_jar_is_bounded() {
        let headers: Vec<String> = (0..HOST_MAX + 20).map(|number| format!("c{number}=1")).collect();
        let headers: Vec<&str> = headers.iter().map(|header| &**header).collect();
        let jar = jar("http://a/", &headers);
        let sent = jar.header(&url("http://a/"), NOW).unwrap();
        assert_eq!(sent.matches('=').count(), HOST_MAX);
        assert!(!sent.contains("c19=") && sent.contains("c20="));
        assert_eq!(
            super::tests::jar("http://a/", &[&format!("a={}", "x".repeat(COOKIE_MAX))]).header(&url("http://a/"), NOW),
            None
        );
    }

    #[test]
    fn a_file_of_curl_is_read_and_a_wrong_line_named() {
        let text = "# Netscape HTTP Cookie File\n\n#HttpOnly_.a.example\tTRUE\t/\tFALSE\t0\tname\tvalue\n\
                    b.example\tFALSE\t/x\tTRUE\t100\tempty\t\n";
        let jar = Cookies::parse(text).unwrap();
        assert_eq!(jar.header(&url("http://w.a.example/"), NOW).as_deref(), Some("name=value"));
        assert_eq!(jar.header(&url("https://b.example/x"), NOW).as_deref(), Some("empty="));
        assert_eq!(jar.header(&url("https://b.example/x"), later(100)), None);
        assert_eq!(Cookies::parse("# fine\nname=value\n").err(), Some(2));
        assert_eq!(Cookies::parse("a\tTRUE\t/\tTRUE\tsoon\tname\tvalue").err(), Some(1));
    }
}

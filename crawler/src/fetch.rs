//! One page: the request, its retries, and what its body holds.
//!
//! Called by `crawl`, inside the page's task.
//!
//! # Invariants
//! - `bounded-body`: of a body, at most `body_max` bytes are held as they came, and as many after each decoding step.
//! - `off-the-workers`: decoding, hashing and parsing, which may take milliseconds, happen on blocking threads.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use redd::task::spawn_blocking;
use redd::time::{sleep, timeout};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use sha2::{Digest, Sha256};
use url::Url;

use crate::address::{Credentials, is_web, redact, redact_message, take_credentials, without_fragment};
use crate::decode::{self, DecodeError};
use crate::extract::{self, Links};
use crate::page::{Content, Failure, Reason, Scope};
use crate::robots::{AGENT, Rules};

/// A robots.txt larger than this is cut, as RFC 9309 allows.
const ROBOTS_MAX: usize = 512 * 1024;
/// The wait before the first retry; it doubles with each. Picked by feel.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// What a page answered.
#[derive(Debug)]
pub(crate) enum FetchResult {
    Good(Content, Links),
    Redirect { status: u16, to: Url },
    Broken(Failure),
}

/// How pages are fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchSettings {
    /// For one request, from its start to the last byte of the answer.
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    /// The longest `Retry-After` that is obeyed. A server that asks for more is not asked again.
    pub(crate) wait_max: Duration,
    /// The largest body in bytes, as it comes and decoded.
    pub(crate) body_max: usize,
    /// Idle connections that are kept for each host.
    pub(crate) idle_max: usize,
}

/// Asks politely: says who we are, gives up in time, holds no more than it may.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    timeout: Duration,
    retries: u32,
    wait_max: Duration,
    body_max: usize,
}

impl Fetcher {
    /// # Errors
    /// If TLS cannot be set up.
    pub(crate) fn new(settings: &FetchSettings) -> Result<Self, String> {
        let FetchSettings { timeout, retries, wait_max, body_max, idle_max } = *settings;
        // Fails only if a provider is there already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .user_agent(format!("{AGENT}/{}", env!("CARGO_PKG_VERSION")))
                .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(decode::ACCEPTED))]))
                // A redirect is a page of its own, so that robots.txt and the pace count for each hop.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(timeout)
                .pool_max_idle_per_host(idle_max)
        };
        let client = builder()
            .build()
            // A machine without root certificates can still crawl what needs none.
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(|error| format!("the HTTP client could not be set up: {}", root_cause(&error)))?;
        Ok(Self { client, timeout, retries, wait_max, body_max })
    }

    /// Fetches a page, with retries.
    pub(crate) async fn page(&self, url: &Url, scope: Scope, credentials: Option<&Credentials>) -> FetchResult {
        let mut tries = 0;
        loop {
            let (failure, wait) = match timeout(self.timeout, self.once(url, scope, credentials)).await {
                Ok(Ok(answer)) => return answer,
                Ok(Err(failure)) => failure,
                Err(_elapsed) => (Failure::without_status(Reason::TimedOut(self.timeout)), None),
            };
            if tries >= self.retries || !failure.reason.is_passing() {
                return FetchResult::Broken(failure);
            }
            match (wait, failure.status) {
                (Some(wait), Some(status)) if wait > self.wait_max => {
                    let reason = Reason::AskedToWait { status, wait, wait_max: self.wait_max };
                    return FetchResult::Broken(Failure::with_status(status, reason));
                }
                _ => sleep(wait.unwrap_or(RETRY_DELAY * 2_u32.saturating_pow(tries))).await,
            }
            tries += 1;
        }
    }

    /// Fetches and reads the robots.txt of an origin.
    pub(crate) async fn robots(&self, origin: &str, credentials: Option<&Credentials>) -> Rules {
        let request = async {
            // Up to five redirects, as RFC 9309 asks for.
            let mut url = Url::parse(origin).ok()?.join("/robots.txt").ok()?;
            let home = url.origin();
            for _ in 0..=5 {
                take_credentials(&mut url);
                let credentials = credentials.filter(|_| url.origin() == home);
                let mut response = self.request(Method::GET, &url, credentials).send().await.ok()?;
                let status = response.status();
                if let Some(to) = location(&response, &url).and_then(Result::ok) {
                    url = to;
                    continue;
                }
                let encoding = content_encoding(&response);
                let mut body = Vec::new();
                while let Some(chunk) = response.chunk().await.ok()? {
                    body.extend_from_slice(&chunk[..chunk.len().min(ROBOTS_MAX - body.len())]);
                    if body.len() == ROBOTS_MAX {
                        break;
                    }
                }
                return Some((status.as_u16(), body, encoding));
            }
            None
        };
        match timeout(self.timeout, request).await {
            // `off-the-workers`: the rules become regular expressions.
            Ok(Some((status, body, encoding))) => {
                let rules = move || match decode::decode(body, &encoding, ROBOTS_MAX) {
                    Ok(body) => Rules::from_response(status, &body),
                    Err(_) if status >= 300 => Rules::from_response(status, &[]),
                    // It may forbid anything.
                    Err(_) => Rules::Nothing(format!("its robots.txt cannot be decoded from `{encoding}`")),
                };
                spawn_blocking(rules).await.unwrap_or(Rules::Everything)
            }
            // An unreachable host's pages say so themselves.
            Ok(None) | Err(_) => Rules::Everything,
        }
    }

    fn request(&self, method: Method, url: &Url, credentials: Option<&Credentials>) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url.clone());
        match credentials {
            Some(Credentials { user, password }) => request.basic_auth(user, password.as_ref()),
            None => request,
        }
    }

    async fn once(
        &self,
        url: &Url,
        scope: Scope,
        credentials: Option<&Credentials>,
    ) -> Result<FetchResult, (Failure, Option<Duration>)> {
        let send = |method| self.request(method, url, credentials).send();
        let mut response = match scope {
            Scope::Inside => send(Method::GET).await,
            // A server that refuses HEAD gets a GET, whose body is not read; but not one that asks for a pause.
            Scope::Outside => match send(Method::HEAD).await {
                Ok(response) if response.status().as_u16() >= 400 && !asks_for_pause(&response) => {
                    send(Method::GET).await
                }
                other => other,
            },
        }
        .map_err(|error| (Failure::without_status(reason(&error)), None))?;
        let status = response.status().as_u16();
        let broken = |reason| (Failure::with_status(status, reason), None);
        match location(&response, url) {
            Some(Ok(to)) => {
                return Ok(FetchResult::Redirect { status, to: without_fragment(to) });
            }
            Some(Err(why)) => return Ok(FetchResult::Broken(Failure::with_status(status, Reason::BadRedirect(why)))),
            None => {}
        }
        if !response.status().is_success() {
            return Err((Failure::with_status(status, Reason::Status(status)), retry_after(&response)));
        }
        if scope == Scope::Outside {
            let content = Content { status, bytes: 0, sha256: None, note: None };
            return Ok(FetchResult::Good(content, Links::default()));
        }
        let content_type = header(&response, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
        let encoding = content_encoding(&response);

        // `bounded-body`
        let too_large = || broken(Reason::BodyTooLarge(self.body_max));
        let length = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if length > self.body_max {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(length);
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(reason(&error)))? {
            if body.len() + chunk.len() > self.body_max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }

        // `off-the-workers`
        let url = url.clone();
        let body_max = self.body_max;
        let read = spawn_blocking(move || {
            let body = decode::decode(body, &encoding, body_max)?;
            Ok(read(&body, &content_type, &url, status))
        });
        match read.await {
            Ok(Ok((content, links))) => Ok(FetchResult::Good(content, links)),
            Ok(Err(DecodeError::TooLarge)) => Err(too_large()),
            Ok(Err(DecodeError::UnknownEncoding(name))) => Err(broken(Reason::UnknownEncoding(name))),
            Ok(Err(DecodeError::Damaged(name, why))) => Err(broken(Reason::DamagedEncoding(name, why))),
            Err(error) => Err(broken(Reason::Internal(error.to_string()))),
        }
    }
}

/// Hashes a body and, if it is HTML, finds its links.
fn read(body: &[u8], content_type: &str, url: &Url, status: u16) -> (Content, Links) {
    let mut content =
        Content { status, bytes: body.len() as u64, sha256: Some(Sha256::digest(body).into()), note: None };
    let mut notes = Vec::new();
    match media_type(content_type) {
        Some("text/html" | "application/xhtml+xml") => {}
        None if extract::looks_like_html(body) => {
            notes.push("no content type; searched for links because it looks like HTML".to_owned());
        }
        Some(_) | None => return (content, Links::default()),
    }
    let (text, note) = extract::text(body, content_type);
    notes.extend(note);
    content.note = (!notes.is_empty()).then(|| notes.join("; ").into());
    (content, extract::links(&text, url))
}

/// The media type without its parameters. None if the server names none, as the WHATWG's "MIME Sniffing" defines that.
fn media_type(content_type: &str) -> Option<&str> {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let (kind, subtype) = media_type.split_once('/')?;
    let is_unknown = matches!(media_type, "unknown/unknown" | "application/unknown" | "*/*");
    (!kind.is_empty() && !subtype.is_empty() && !is_unknown).then_some(media_type)
}

/// All `Content-Encoding` headers as one list.
fn content_encoding(response: &Response) -> String {
    let values = response.headers().get_all(CONTENT_ENCODING).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
}

fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<&str> {
    response.headers().get(name)?.to_str().ok()
}

fn asks_for_pause(response: &Response) -> bool {
    response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS || retry_after(response).is_some()
}

#[expect(clippy::disallowed_methods, reason = "the date in the header is a time of the wall clock")]
fn retry_after(response: &Response) -> Option<Duration> {
    parse_retry_after(header(response, RETRY_AFTER)?, SystemTime::now())
}

/// The wait in a `Retry-After` header: a number of seconds, or a date.
fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is a long wait, not a missing header.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date in the past asks for no wait.
    Some(date.duration_since(now).unwrap_or_default())
}

/// Where a redirect leads.
fn location(response: &Response, url: &Url) -> Option<Result<Url, String>> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let Some(location) = header(response, LOCATION) else {
        return Some(Err("it names no usable location".to_owned()));
    };
    Some(match url.join(location) {
        Ok(to) if is_web(&to) => Ok(to),
        Ok(to) => Err(format!("`{}` is neither http nor https", redact(to.as_str()))),
        Err(error) => Err(format!("`{}`: {error}", redact(location))),
    })
}

/// Sorts an error of the client into one of ours.
fn reason(error: &reqwest::Error) -> Reason {
    let mut cause = error.source();
    while let Some(at) = cause {
        let inner = at.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = at.downcast_ref::<rustls::Error>().or_else(|| inner?.downcast_ref::<rustls::Error>()) {
            return Reason::Tls(redact_message(&tls.to_string()));
        }
        cause = at.source();
    }
    let root = root_cause(error);
    if root.starts_with("tls handshake") {
        // The other side hung up in the middle of it; rustls has no error of its own for that.
        Reason::Tls(root)
    } else if error.is_builder() {
        Reason::UnusableUrl(root)
    } else if error.is_connect() {
        Reason::Unreachable(root)
    } else {
        Reason::CutShort(root)
    }
}

/// The innermost reason, which is the one that says something.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    redact_message(&cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let parse = |value| parse_retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(parse(" 600 "), Some(600));
        assert_eq!(parse("99999999999999999999"), Some(u64::MAX));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(parse("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(parse("soon"), None);
        assert_eq!(parse("-1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn only_html_is_searched_for_links() {
        let url = Url::parse("http://a/").unwrap();
        let body = b"<a href=x>";
        assert_eq!(read(body, "text/html; charset=utf-8", &url, 200).1.found, ["http://a/x"]);
        let (content, links) = read(body, "text/plain", &url, 200);
        assert!(links.found.is_empty());
        assert_eq!(content.bytes, 10);
        assert!(read(body, "text/plain", &url, 200).1.found.is_empty());
    }

    #[test]
    fn a_content_type_that_names_nothing_is_none() {
        for nothing in ["", "html", "/", "text/", "*/*", "unknown/unknown; charset=utf-8"] {
            assert_eq!(media_type(nothing), None, "{nothing}");
        }
        assert_eq!(media_type("text/html; charset=utf-8"), Some("text/html"));
    }
}

//! Requests for pages and robots.txt files: limits and errors, and when a failed one is tried again.
//!
//! Called by `crawl`, inside the page's task.
//!
//! # Invariants
//! - `bounded-body`: at most `body_max` bytes of an encoded body are held, and as many after each decoding step.
//! - `off-the-workers`: decoding, hashing and parsing, which may take milliseconds, run on blocking threads.

use std::borrow::Cow;
use std::error::Error as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use redd::task::spawn_blocking;
use redd::time::timeout;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, LOCATION, REFRESH,
    RETRY_AFTER, SET_COOKIE, USER_AGENT,
};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response};
use url::{Origin, Url};

use crate::address::{Credentials, is_web, redact, redact_message, take_credentials, without_fragment};
use crate::body::{self, BodyHeaders, ReadSettings};
use crate::cookies::Cookies;
use crate::decode::{self, DecodeError};
use crate::html;
use crate::links::Links;
use crate::page::{Content, Failure, Reason, Scope};
use crate::request_settings::{Proxy, RequestSettings};
use crate::robots::{AGENT, Rules};

/// How many header lines a response may have. Browsers limit only their size, which the client does as well.
const HEADERS_MAX: usize = 4096;
/// A robots.txt that is larger, in bytes, is cut, as RFC 9309 allows.
const ROBOTS_MAX: usize = 512 * 1024;
/// How many redirects of a robots.txt are followed, as RFC 9309 asks for.
const ROBOTS_REDIRECTS_MAX: usize = 5;
/// The wait before the first retry. It doubles with each retry. Chosen without measurement.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The result of fetching a page.
#[derive(Debug)]
pub(crate) enum FetchResult {
    Good(Content, Links),
    Redirect { status: u16, to: Url },
    Failed(FailedTry),
}

/// A failed try.
#[derive(Debug)]
pub(crate) struct FailedTry {
    pub(crate) failure: Failure,
    /// The wait that the server asks for before the next request to it.
    pub(crate) retry_after: Option<Duration>,
}

impl FailedTry {
    /// Whether to try again, after `tries` earlier tries.
    ///
    /// # Errors
    /// If there is no further try: why the page is broken.
    pub(crate) fn wait_before_retry(self, tries: u32, settings: &FetchSettings) -> Result<Duration, Failure> {
        if tries >= settings.retries || !self.failure.reason.is_passing() {
            return Err(self.failure);
        }
        match (self.retry_after, self.failure.status) {
            (Some(wait), Some(status)) if wait > settings.wait_max => {
                let reason = Reason::AskedToWait { status, wait, wait_max: settings.wait_max };
                Err(Failure::with_status(status, reason))
            }
            (Some(wait), _) => Ok(wait),
            (None, _) => Ok(RETRY_DELAY * 2_u32.saturating_pow(tries)),
        }
    }
}

impl From<Failure> for FailedTry {
    fn from(failure: Failure) -> Self {
        Self { failure, retry_after: None }
    }
}

/// How pages are fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchSettings {
    /// For one try, from the request to the last byte of the response.
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    /// The longest `Retry-After` that is obeyed. A server that asks for more gets no retry.
    pub(crate) wait_max: Duration,
    /// The largest body in bytes, as received and decoded.
    pub(crate) body_max: usize,
    /// Whether links to parts of pages are checked.
    pub(crate) has_fragments: bool,
    /// How many idle connections are kept for each host.
    pub(crate) idle_max: usize,
}

/// An HTTP client that names itself, respects timeouts and bounds the memory of each response.
#[derive(Clone, Debug)]
pub(crate) struct Fetcher {
    client: Client,
    settings: FetchSettings,
    carried: Arc<Carried>,
}

/// What requests carry.
#[derive(Debug)]
struct Carried {
    settings: RequestSettings,
    /// Headers and log-ins without a host are for these.
    start_origins: Vec<Origin>,
    cookies: Option<Mutex<Cookies>>,
}

impl Fetcher {
    /// # Errors
    /// If TLS or the proxy cannot be set up.
    pub(crate) fn new(settings: FetchSettings, requests: RequestSettings, starts: &[Url]) -> Result<Self, String> {
        // Fails only if a provider is installed already. That one works as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let own_name = HeaderValue::from_str(&format!("{AGENT}/{}", env!("CARGO_PKG_VERSION")));
        let own_name = own_name.unwrap_or(HeaderValue::from_static(AGENT));
        let user_agent = requests.user_agent.clone().unwrap_or(own_name);
        let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(decode::ACCEPTED)), (USER_AGENT, user_agent)];
        let headers = HeaderMap::from_iter(headers);
        let builder = || {
            with_proxy(Client::builder(), &requests.proxy)
                .default_headers(headers.clone())
                .tls_danger_accept_invalid_certs(requests.is_insecure)
                // A redirect is a page of its own: robots.txt and the request rate apply to each hop.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                // Browsers read such headers, so the links are not broken.
                .http1_allow_obsolete_multiline_headers_in_responses(true)
                .http1_allow_spaces_after_header_name_in_responses(true)
                .http1_max_headers(HEADERS_MAX)
                .connect_timeout(settings.timeout)
                .pool_max_idle_per_host(settings.idle_max)
        };
        let client = builder()
            .build()
            // A machine without root certificates can still crawl http pages.
            .or_else(|_| builder().tls_certs_only([]).build())
            .map_err(|error| format!("the HTTP client could not be set up: {}", root_cause(&error)))?;
        let start_origins = starts.iter().map(Url::origin).collect();
        let cookies = requests.cookies.clone().map(Mutex::new);
        Ok(Self { client, settings, carried: Arc::new(Carried { settings: requests, start_origins, cookies }) })
    }

    /// Fetches a page, in one try.
    pub(crate) async fn page(&self, url: &Url, scope: Scope, credentials: Option<&Credentials>) -> FetchResult {
        match timeout(self.settings.timeout, self.try_page(url, scope, credentials)).await {
            Ok(Ok(result)) => result,
            Ok(Err(failed)) => FetchResult::Failed(failed),
            Err(_elapsed) => {
                FetchResult::Failed(Failure::without_status(Reason::TimedOut(self.settings.timeout)).into())
            }
        }
    }

    async fn try_page(
        &self,
        url: &Url,
        scope: Scope,
        credentials: Option<&Credentials>,
    ) -> Result<FetchResult, FailedTry> {
        let response = self.send(url, scope, credentials).await;
        let response = response.map_err(|error| Failure::without_status(self.reason_of(&error)))?;
        let status = response.status().as_u16();
        let is_accepted = self.carried.settings.accept.contains(status);
        match location(&response, url) {
            Some(Ok(to)) => return Ok(FetchResult::Redirect { status, to: without_fragment(to) }),
            Some(Err(why)) if !is_accepted => {
                return Err(Failure::with_status(status, Reason::BadRedirect(why)).into());
            }
            Some(Err(_)) | None => {}
        }
        if !is_accepted {
            let is_success = response.status().is_success();
            let reason = if is_success { Reason::NotAccepted(status) } else { Reason::Status(status) };
            let failure = Failure::with_status(status, reason);
            return Err(FailedTry { failure, retry_after: retry_after(&response) });
        }
        if scope == Scope::Outside {
            let content = Content { status, bytes: 0, sha256: None, note: None };
            return Ok(FetchResult::Good(content, self.read_ids(response, url).await));
        }
        let refresh = header(&response, REFRESH).map(Cow::into_owned);
        let read = self.read(response, url).await;
        let (content, mut links) = read.map_err(|reason| Failure::with_status(status, reason))?;
        if let Some(address) = refresh.as_deref().and_then(html::refresh_address) {
            links.add_refresh(address, url, self.settings.has_fragments);
        }
        Ok(FetchResult::Good(content, links))
    }

    /// Asks for a page, and outside only whether it exists.
    async fn send(
        &self,
        url: &Url,
        scope: Scope,
        credentials: Option<&Credentials>,
    ) -> Result<Response, reqwest::Error> {
        let settings = &self.carried.settings;
        let send = |method| self.exchange(method, url, credentials);
        if scope == Scope::Inside || settings.is_outside_get {
            return send(Method::GET).await;
        }
        // A server that refuses HEAD gets a GET, whose body is not read. A server that asks for a pause gets none.
        let is_refusal = |status: u16| status >= 400 && !settings.accept.contains(status);
        match send(Method::HEAD).await {
            Ok(response) if is_refusal(response.status().as_u16()) && !asks_for_pause(&response) => {
                send(Method::GET).await
            }
            // A server that does not know HEAD may end the connection.
            Err(error) if matches!(reason_of(&error), Reason::CutShort(_)) => send(Method::GET).await,
            other => other,
        }
    }

    /// Sends a request, and keeps the cookies of the response.
    async fn exchange(
        &self,
        method: Method,
        url: &Url,
        credentials: Option<&Credentials>,
    ) -> Result<Response, reqwest::Error> {
        let response = self.request(method, url, credentials).send().await?;
        if let Some(cookies) = &self.carried.cookies {
            let mut cookies = cookies.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let headers = response.headers().get_all(SET_COOKIE).iter();
            for cookie in headers.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok()) {
                cookies.set(url, cookie, now());
            }
        }
        Ok(response)
    }

    /// A request with all that it carries. The credentials of an address come before a header, and that before a log-in.
    fn request(&self, method: Method, url: &Url, credentials: Option<&Credentials>) -> RequestBuilder {
        let Carried { settings, start_origins, cookies } = &*self.carried;
        let is_start_origin = start_origins.contains(&url.origin());
        let mut headers = settings.headers(url, is_start_origin);
        let credentials = match credentials {
            Some(own) => {
                headers.remove(AUTHORIZATION);
                Some(own)
            }
            None if headers.contains_key(AUTHORIZATION) => None,
            None => settings.log_in(url, is_start_origin),
        };
        if let Some(cookies) = cookies {
            let cookies = cookies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).header(url, now());
            // A request has one such header at most.
            let all = [headers.get(COOKIE).map(HeaderValue::as_bytes), cookies.as_deref().map(str::as_bytes)];
            let all = all.into_iter().flatten().collect::<Vec<_>>().join(&b"; "[..]);
            if let (false, Ok(mut value)) = (all.is_empty(), HeaderValue::from_bytes(&all)) {
                value.set_sensitive(true);
                headers.insert(COOKIE, value);
            }
        }
        let request = self.client.request(method, url.clone()).headers(headers);
        match credentials {
            Some(Credentials { user, password }) => request.basic_auth(user, password.as_ref()),
            None => request,
        }
    }

    /// Translates an error of the client. If there is a proxy, that may be what cannot be reached.
    fn reason_of(&self, error: &reqwest::Error) -> Reason {
        match (reason_of(error), &self.carried.settings.proxy) {
            (Reason::Unreachable(why), Proxy::Url(..)) => {
                Reason::Unreachable(format!("{why} (through the proxy of --proxy)"))
            }
            (reason, _) => reason,
        }
    }

    /// Reads the ids of a page outside, if that is asked for. That it cannot be read is no failure of the link to it.
    async fn read_ids(&self, response: Response, url: &Url) -> Links {
        let is_wanted = self.settings.has_fragments && self.carried.settings.is_outside_get;
        if !is_wanted || !body::has_ids(&body_headers(&response)) {
            return Links::default();
        }
        self.read(response, url).await.map(|(_, links)| links.only_ids()).unwrap_or_default()
    }

    /// Receives a body and reads it.
    async fn read(&self, mut response: Response, url: &Url) -> Result<(Content, Links), Reason> {
        let body_max = self.settings.body_max;
        let (status, headers) = (response.status().as_u16(), body_headers(&response));
        // `bounded-body`
        let length = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        if length > body_max {
            return Err(Reason::BodyTooLarge(body_max));
        }
        let mut body = Vec::with_capacity(length);
        while let Some(chunk) = response.chunk().await.map_err(|error| self.reason_of(&error))? {
            if body.len() + chunk.len() > body_max {
                return Err(Reason::BodyTooLarge(body_max));
            }
            body.extend_from_slice(&chunk);
        }
        // `off-the-workers`
        let url = url.clone();
        let settings = ReadSettings { limit: body_max, has_fragments: self.settings.has_fragments };
        match spawn_blocking(move || body::read(body, &headers, settings, &url, status)).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(DecodeError::TooLarge)) => Err(Reason::BodyTooLarge(body_max)),
            Ok(Err(DecodeError::UnknownEncoding(name))) => Err(Reason::UnknownEncoding(name)),
            Ok(Err(DecodeError::Damaged(name, why))) => Err(Reason::DamagedEncoding(name.into(), why)),
            Err(error) => Err(Reason::Internal(error.to_string())),
        }
    }

    /// Fetches and reads the robots.txt of an origin. The second value is the wait that the origin asks for.
    pub(crate) async fn robots(&self, origin: &str, credentials: Option<&Credentials>) -> (Rules, Option<Duration>) {
        match timeout(self.settings.timeout, self.try_robots(origin, credentials)).await {
            // `off-the-workers`: the rules become regular expressions.
            Ok(Some(RobotsFile { status, body, encoding, retry_after })) => {
                let rules = move || match decode::decode(body, &encoding, ROBOTS_MAX) {
                    Ok(body) => Rules::from_response(status, &body),
                    Err(_) if status >= 300 => Rules::from_response(status, &[]),
                    // It may forbid anything.
                    Err(_) => Rules::Nothing(format!("its robots.txt cannot be decoded from `{encoding}`")),
                };
                (spawn_blocking(rules).await.unwrap_or(Rules::Everything), retry_after)
            }
            // If the host cannot be reached, each of its pages is reported as broken.
            Ok(None) | Err(_) => (Rules::Everything, None),
        }
    }

    /// Follows redirects to the robots.txt of an origin.
    async fn try_robots(&self, origin: &str, credentials: Option<&Credentials>) -> Option<RobotsFile> {
        let mut url = Url::parse(origin).ok()?.join("/robots.txt").ok()?;
        let home = url.origin();
        for _ in 0..=ROBOTS_REDIRECTS_MAX {
            take_credentials(&mut url);
            let credentials = credentials.filter(|_| url.origin() == home);
            let mut response = self.exchange(Method::GET, &url, credentials).await.ok()?;
            if let Some(to) = location(&response, &url).and_then(Result::ok) {
                url = to;
                continue;
            }
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.ok()? {
                body.extend_from_slice(&chunk[..chunk.len().min(ROBOTS_MAX - body.len())]);
                if body.len() == ROBOTS_MAX {
                    break;
                }
            }
            let is_asked_to_wait = !response.status().is_success() && url.origin() == home;
            return Some(RobotsFile {
                status: response.status().as_u16(),
                body,
                encoding: content_encoding(&response),
                retry_after: retry_after(&response).filter(|_| is_asked_to_wait),
            });
        }
        None
    }
}

/// A response to the request for a robots.txt.
#[derive(Debug)]
struct RobotsFile {
    status: u16,
    body: Vec<u8>,
    encoding: String,
    /// The wait that the origin itself asks for.
    retry_after: Option<Duration>,
}

fn body_headers(response: &Response) -> BodyHeaders {
    BodyHeaders {
        content_type: header(response, CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase(),
        content_encoding: content_encoding(response),
    }
}

/// All `Content-Encoding` headers as one list.
fn content_encoding(response: &Response) -> String {
    let values = response.headers().get_all(CONTENT_ENCODING).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
}

/// The value of a header. Servers send UTF-8 there, although the standard of HTTP knows ASCII only.
fn header(response: &Response, name: reqwest::header::HeaderName) -> Option<Cow<'_, str>> {
    Some(String::from_utf8_lossy(response.headers().get(name)?.as_bytes()))
}

fn asks_for_pause(response: &Response) -> bool {
    response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS || retry_after(response).is_some()
}

fn retry_after(response: &Response) -> Option<Duration> {
    parse_retry_after(&header(response, RETRY_AFTER)?, now())
}

#[expect(clippy::disallowed_methods, reason = "dates in headers are times of the wall clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The builder of a client that uses this proxy.
fn with_proxy(builder: ClientBuilder, proxy: &Proxy) -> ClientBuilder {
    match proxy {
        Proxy::Environment => builder,
        Proxy::None => builder.no_proxy(),
        Proxy::Url(address, credentials) => match reqwest::Proxy::all(address.clone()) {
            Ok(proxy) => builder.proxy(match credentials {
                Some(Credentials { user, password }) => proxy.basic_auth(user, password.as_deref().unwrap_or_default()),
                None => proxy,
            }),
            // `request_settings` has checked it.
            Err(_) => builder,
        },
    }
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
    Some(match url.join(&location) {
        Ok(to) if is_web(&to) => Ok(to),
        Ok(to) => Err(format!("`{}` is neither http nor https", redact(to.as_str()))),
        Err(error) => Err(format!("`{}`: {error}", redact(&location))),
    })
}

/// Translates an error of the client.
fn reason_of(error: &reqwest::Error) -> Reason {
    let mut cause = error.source();
    while let Some(at) = cause {
        if let Some(tls) = tls_error(at) {
            return Reason::Tls(tls_reason(tls));
        }
        cause = at.source();
    }
    let root = root_cause(error);
    if root.starts_with("tls handshake") {
        // The server closed the connection during the handshake. rustls has no error of its own for that.
        Reason::Tls(root)
    } else if error.is_builder() {
        Reason::UnusableUrl(root)
    } else if error.is_connect() {
        Reason::Unreachable(root)
    } else {
        Reason::CutShort(root)
    }
}

/// The error of rustls in an error. An error of I/O hides what it wraps from `source`, and may wrap another one.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => tls_error(io.get_ref()?),
        None => error.downcast_ref::<rustls::Error>(),
    }
}

/// What is wrong with TLS, for people.
fn tls_reason(error: &rustls::Error) -> String {
    use rustls::CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, Revoked,
        UnknownIssuer,
    };
    let rustls::Error::InvalidCertificate(why) = error else {
        return redact_message(&error.to_string());
    };
    let why = if matches!(why, Expired | ExpiredContext { .. }) {
        "the certificate has expired".to_owned()
    } else if matches!(why, NotValidYet | NotValidYetContext { .. }) {
        "the certificate is not valid yet".to_owned()
    } else if matches!(why, NotValidForName | NotValidForNameContext { .. }) {
        "the certificate is for another host".to_owned()
    } else if matches!(why, UnknownIssuer) {
        "nobody that this machine trusts has signed the certificate".to_owned()
    } else if matches!(why, Revoked) {
        "the certificate has been revoked".to_owned()
    } else {
        format!("the certificate is wrong: {}", redact_message(&why.to_string()))
    };
    format!("{why}; --insecure accepts it")
}

/// The innermost cause. The outer ones only say that a request failed.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let message = cause.to_string();
    // The number of an error of the system says nothing to people.
    let message = message.split_once(" (os error ").map_or(&*message, |(words, _)| words);
    redact_message(message)
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
}

//! `redd web`: what a process does, as pages for a browser on this machine.
//!
//! # Invariants
//! - `token`: each page is below a path that is random and printed once. A wrong one gets 403, after a comparison that takes as long as
//!   for the right one. No page has a link to another site, and none is told where a reader came from.
//! - `no-resources`: a page loads nothing. The `Content-Security-Policy` forbids it, besides the page's own style and script.

use std::fs::File;
use std::io::{self, Read as _};

use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use subtle::ConstantTimeEq as _;

use super::ended::Watched;
use super::http::{self, Answer, Asked};
use super::{announce, ctrl_c, listen, pages, runtime};
use crate::{attach, dump, top};

const HTML: &str = "text/html; charset=utf-8";

/// Serves until the process ends, or Ctrl-C.
pub(crate) fn run(pid: u32, port: u16) -> Result<Vec<u8>, String> {
    // Why it cannot be asked is said at once.
    attach::ask(pid, "info")?;
    let token = token().map_err(|error| format!("the system gives no random numbers: {error}"))?;
    runtime()?.block_on(async {
        let watched = Watched::new(pid).ok_or_else(|| format!("there is no process {pid}"))?;
        let mut ctrl_c = ctrl_c()?;
        let (listener, address) = listen(([127, 0, 0, 1], port).into()).await?;
        announce(&format!("what process {pid} does is at http://{address}/{token}/ until it ends. Ctrl-C ends this"));
        redd::select! {
            () = http::serve(listener, move |asked| answer(&token, asked, &Process(pid))) => {}
            () = watched.ended() => announce(&format!("process {pid} has ended")),
            _ = ctrl_c.recv() => {}
        }
        Ok(Vec::new())
    })
}

/// 128 bits that no other user can guess.
fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// What the pages are made of.
trait Source {
    fn pid(&self) -> u32;
    fn ask(&self, request: &str) -> Result<Vec<u8>, String>;
}

struct Process(u32);

impl Source for Process {
    fn pid(&self) -> u32 {
        self.0
    }

    fn ask(&self, request: &str) -> Result<Vec<u8>, String> {
        attach::ask(self.0, request)
    }
}

fn answer(token: &str, asked: &Asked, source: &impl Source) -> Answer {
    let path = asked.path.strip_prefix('/').unwrap_or_default();
    let (given, page) = path.split_once('/').unwrap_or((path, ""));
    // `token`
    if !bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
        return Answer::sentence(StatusCode::FORBIDDEN, "The address is not the one that `redd web` has printed.");
    }
    let made = match page {
        "" => Ok(pages::index(source.pid())),
        "dump" => source.ask("dump json all").and_then(|reply| dump::page(source.pid(), &reply)),
        "top" => top(source),
        "metrics" => source.ask("metrics").map(|text| pages::metrics(source.pid(), &String::from_utf8_lossy(&text))),
        _ => return html(StatusCode::NOT_FOUND, pages::failure(source.pid(), "There is no such page.")),
    };
    match made {
        Ok(page) => html(StatusCode::OK, page),
        Err(why) => html(StatusCode::SERVICE_UNAVAILABLE, pages::failure(source.pid(), &why)),
    }
}

fn top(source: &impl Source) -> Result<String, String> {
    let snapshot = top::parse(source.pid(), &source.ask(&top::request())?)?;
    Ok(pages::top(source.pid(), &snapshot))
}

/// A page (`no-resources`).
fn html(status: StatusCode, body: String) -> Answer {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'";
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let headers = vec![
        fixed(header::CONTENT_SECURITY_POLICY, POLICY),
        fixed(header::REFERRER_POLICY, "no-referrer"),
        fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    Answer { status, content_type: HTML, headers, body }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::snapshot::tests::REPLY;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    /// Replies, or has ended.
    struct Fake(bool);

    impl Source for Fake {
        fn pid(&self) -> u32 {
            7
        }

        fn ask(&self, request: &str) -> Result<Vec<u8>, String> {
            let reply = match request {
                "dump json all" => r#"{"runtimes":[]}"#,
                "metrics" => "redd_workers{name=\"<b>\"} 1\n",
                request if request.starts_with("top ") => REPLY,
                request => panic!("{request}"),
            };
            if self.0 { Ok(reply.as_bytes().to_vec()) } else { Err("process 7 has ended".to_owned()) }
        }
    }

    fn get(path: &str, source: &Fake) -> Answer {
        answer(TOKEN, &Asked { path: path.to_owned(), accept: String::new() }, source)
    }

    #[test]
    fn the_token_leads_to_each_page_and_nothing_else_does() {
        for (page, words) in
            [("", "href=\"dump\""), ("dump", ""), ("top", "`web`: multi-thread"), ("metrics", "redd_workers{")]
        {
            let answer = get(&format!("/{TOKEN}/{page}"), &Fake(true));
            assert_eq!((answer.status, answer.content_type), (StatusCode::OK, HTML), "{page}");
            assert!(answer.body.contains(words), "{}", answer.body);
        }
        assert_eq!(get(&format!("/{TOKEN}/other"), &Fake(true)).status, StatusCode::NOT_FOUND);
        let wrong = TOKEN.replace('0', "1");
        let (short, long) = (&TOKEN[1..], format!("{TOKEN}0"));
        for path in [
            "/",
            "",
            "//",
            "/favicon.ico",
            "/dump",
            &format!("/{wrong}/"),
            &format!("/{short}/"),
            &format!("/{long}/dump"),
            &format!("//{TOKEN}/"),
        ] {
            let answer = get(path, &Fake(true));
            assert_eq!((answer.status, answer.content_type), (StatusCode::FORBIDDEN, http::TEXT), "{path}");
        }
    }

    #[test]
    fn pages_may_load_nothing_and_tell_no_site_their_address() {
        for path in ["", "dump", "top", "metrics", "other"] {
            let answer = get(&format!("/{TOKEN}/{path}"), &Fake(true));
            let value = |name: &str| {
                let header = answer.headers.iter().find(|(header, _)| header.as_str() == name);
                header.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default().to_owned()
            };
            let policy = value("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
                "{policy}"
            );
            assert_eq!(value("referrer-policy"), "no-referrer");
        }
    }

    #[test]
    fn a_process_that_does_not_reply_is_a_page_that_says_so() {
        for path in ["dump", "top", "metrics"] {
            let answer = get(&format!("/{TOKEN}/{path}"), &Fake(false));
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.body.contains("process 7 has ended"), "{}", answer.body);
        }
    }

    #[test]
    fn each_token_is_another_one() {
        let tokens = [token(), token()].map(|token| token.expect("random numbers"));
        assert_ne!(tokens[0], tokens[1]);
        assert!(tokens.iter().all(|token| token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}

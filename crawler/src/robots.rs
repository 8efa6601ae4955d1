//! What the robots.txt of a host allows.
//!
//! Called by `crawl`, which fetches the file. Pure.

use std::time::Duration;

use texting_robots::Robot;

/// The name of this crawler in robots.txt files.
pub(crate) const AGENT: &str = "redd-crawl";

/// How many bytes are kept of a line that is too complex. Its beginning is plain text or has `*`, which the parser can read.
const RULE_MAX: usize = 200;

/// The rules of one host.
#[derive(Debug)]
pub(crate) enum Rules {
    /// There is no file, or no rule for this crawler: everything is allowed.
    Everything,
    /// The rules cannot be read, so by RFC 9309 nothing is allowed, with the reason.
    Nothing(String),
    /// The file's rules.
    Listed(Box<Robot>),
}

impl Rules {
    /// The rules that follow from the response to the request for robots.txt.
    pub(crate) fn from_response(status: u16, body: &[u8]) -> Self {
        match status {
            200..=299 => match Robot::new(AGENT, body).or_else(|_| Robot::new(AGENT, &readable(body))) {
                Ok(robot) => Self::Listed(Box::new(robot)),
                Err(_) => Self::Nothing("its robots.txt cannot be read".to_owned()),
            },
            500..=599 => Self::Nothing(format!("its robots.txt has the status {status}")),
            _ => Self::Everything,
        }
    }

    /// Returns why `url` must not be fetched, or None if it may be.
    pub(crate) fn denial(&self, url: &str) -> Option<String> {
        match self {
            Self::Everything => None,
            Self::Nothing(reason) => Some(reason.clone()),
            Self::Listed(robot) if robot.allowed(url) => None,
            Self::Listed(_) => Some("its robots.txt disallows it".to_owned()),
        }
    }

    /// The addresses of the sitemaps that the file names, as they are written there.
    pub(crate) fn sitemaps(&self) -> &[String] {
        match self {
            Self::Everything | Self::Nothing(_) => &[],
            Self::Listed(robot) => &robot.sitemaps,
        }
    }

    /// The time that the host asks for between requests.
    pub(crate) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Everything | Self::Nothing(_) => None,
            Self::Listed(robot) => robot.delay.and_then(|delay| Duration::try_from_secs_f32(delay).ok()),
        }
    }
}

/// The lines of a file, without what is too complex for the parser. That refuses the whole file for one such line.
///
/// An `Allow` is left out. Of another rule, the beginning is kept: it forbids more than the rule.
fn readable(body: &[u8]) -> Vec<u8> {
    let mut readable = Vec::with_capacity(body.len());
    for line in body.split(|byte| matches!(byte, b'\n' | b'\r' | 0)) {
        if Robot::new(AGENT, line).is_ok() {
            readable.extend_from_slice(line);
        } else if !line.trim_ascii_start().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"allow")) {
            let end = line.iter().position(|&byte| byte == b'$').unwrap_or(line.len());
            readable.extend_from_slice(&line[..end.min(RULE_MAX)]);
        }
        readable.push(b'\n');
    }
    readable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disallowed_folder_is_refused_and_the_rest_is_not() {
        let rules = Rules::from_response(200, b"User-agent: *\nDisallow: /private/\nCrawl-delay: 0.5\n");
        assert!(rules.denial("http://a/private/x.html").is_some());
        assert!(rules.denial("http://a/public.html").is_none());
        assert_eq!(rules.delay(), Some(Duration::from_millis(500)));
    }

    #[test]
    fn sitemaps_are_named_for_all_agents() {
        let rules =
            Rules::from_response(200, b"User-agent: other\nDisallow: /\n\nSitemap: http://a/s.xml\nsitemap: /t.xml\n");
        assert_eq!(rules.sitemaps(), ["http://a/s.xml", "/t.xml"]);
        assert!(Rules::from_response(404, b"Sitemap: http://a/s.xml").sitemaps().is_empty());
    }

    #[test]
    fn rules_for_our_name_come_before_rules_for_all() {
        let text = b"User-agent: redd-crawl\nAllow: /\n\nUser-agent: *\nDisallow: /\n";
        assert!(Rules::from_response(200, text).denial("http://a/").is_none());
        assert!(Rules::from_response(200, b"User-agent: *\nDisallow: /\n").denial("http://a/").is_some());
    }

    #[test]
    fn no_file_allows_everything_and_a_failing_server_nothing() {
        assert!(Rules::from_response(404, b"").denial("http://a/").is_none());
        assert!(Rules::from_response(503, b"").denial("http://a/").is_some());
    }

    #[test]
    fn a_rule_that_is_too_complex_does_not_lift_the_others() {
        let complex = "/a*".repeat(3_000);
        let text = format!(
            "User-agent: *\nDisallow: /private/\nDisallow: /b{complex}$\r\nallow: /private/{complex}$\nCrawl-delay: 3\n"
        );
        let rules = Rules::from_response(200, text.as_bytes());
        assert!(rules.denial("http://a/private/x").is_some());
        assert!(rules.denial("http://a/private/a/a/a").is_some());
        assert!(rules.denial("http://a/public").is_none());
        // More than the rule says is forbidden.
        assert!(rules.denial(&format!("http://a/b{}", "/a".repeat(3_000))).is_some());
        assert_eq!(rules.delay(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_file_that_is_not_text_has_no_rules() {
        assert!(Rules::from_response(200, &[0xff, 0, 0xfe, b'\n', b':']).denial("http://a/x").is_none());
    }
}

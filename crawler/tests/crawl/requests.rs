//! What requests carry and how they are sent: headers, log-ins, cookies, the user agent, proxies and methods.

use std::sync::{Arc, Mutex};

use crate::runs::{broken, crawl, find_page, reason, run, run_with, scratch, stderr, stdout};
use crate::server::{Act, Request, answer, missing, page, serve_requests};

/// The requests that a server has received.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Request>>>);

impl Seen {
    fn push(&self, request: &Request) {
        self.0.lock().unwrap().push(request.clone());
    }

    /// The values of a header in the requests for a path, without repetitions.
    fn values(&self, path: &str, header: &str) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        let mut values: Vec<String> = requests
            .iter()
            .filter(|request| request.path == path)
            .map(|request| request.header(header).into())
            .collect();
        values.dedup();
        values
    }

    fn methods(&self, path: &str) -> Vec<String> {
        let requests = self.0.lock().unwrap();
        requests.iter().filter(|request| request.path == path).map(|request| request.method.clone()).collect()
    }
}

/// A start with a link to another host. Both answer everything else with 404.
struct TwoHosts {
    start: String,
    outside: String,
    at_start: Seen,
    at_outside: Seen,
}

async fn two_hosts() -> TwoHosts {
    let (at_start, at_outside) = (Seen::default(), Seen::default());
    let seen = at_outside.clone();
    let outside = serve_requests(move |request| {
        seen.push(request);
        if request.path == "/page" { page("") } else { missing() }
    })
    .await;
    let (seen, link) = (at_start.clone(), format!("<a href={outside}/page>x</a>"));
    let start = serve_requests(move |request| {
        seen.push(request);
        if request.path == "/" { page(&link) } else { missing() }
    })
    .await;
    TwoHosts { start, outside, at_start, at_outside }
}

fn host(home: &str) -> &str {
    home.trim_start_matches("http://")
}

#[redd::test]
async fn a_header_goes_to_the_hosts_of_the_starts_only_and_is_not_printed() {
    let hosts = two_hosts().await;
    let (file, name) = scratch("headers.txt");
    std::fs::write(&file, "# secrets\n\nX-File: tops3cret-file\n").unwrap();
    let named = format!("{}=X-Named: tops3cret-named", host(&hosts.outside));
    let file_option = format!("@{name}");
    let (json, json_name) = scratch("headers.json");
    let arguments = [
        ["--header", "X-Own: tops3cret-own"],
        ["--header", "*=X-All: tops3cret-all"],
        ["--header", &named],
        ["--header", &file_option],
        ["--json", &json_name],
        ["-v", &hosts.start],
    ];
    let output = run_with(&arguments.concat(), |command| {
        command.env("REDD_CRAWL_HEADERS", "X-Variable: tops3cret-variable");
    })
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for (header, at_start, at_outside) in [
        ("x-own", "tops3cret-own", ""),
        ("x-all", "tops3cret-all", "tops3cret-all"),
        ("x-named", "", "tops3cret-named"),
        ("x-file", "tops3cret-file", ""),
        ("x-variable", "tops3cret-variable", ""),
    ] {
        assert_eq!(hosts.at_start.values("/", header), [at_start], "{header}");
        assert_eq!(hosts.at_start.values("/robots.txt", header), [at_start], "{header}");
        assert_eq!(hosts.at_outside.values("/page", header), [at_outside], "{header}");
    }
    let texts = [stdout(&output), stderr(&output), std::fs::read_to_string(json).unwrap()];
    assert!(!texts.concat().contains("tops3cret"), "{texts:?}");
}

#[redd::test]
async fn a_wrong_header_exits_2_and_does_not_print_its_value() {
    for arguments in [
        ["--header", "tops3cret"],
        ["--header", "a b: tops3cret"],
        ["--header", "Content-Length: tops3cret"],
        ["--header", "@no-such-file"],
        ["--basic-auth", "tops3cret"],
        ["--basic-auth", "@no-such-file"],
        ["--proxy", "me:tops3cret@host"],
        ["--user-agent", "a\nb"],
        ["--accept", "fine"],
        ["--method", "post"],
        ["--cookie-file", "no-such-file"],
    ] {
        let output = run(&[&arguments[..], &["http://127.0.0.1:1/"]].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.contains(arguments[0]) && !text.contains("tops3cret"), "{arguments:?}: {text}");
    }
}

#[redd::test]
async fn a_log_in_goes_to_its_hosts_only_and_is_not_printed() {
    // `me:tops3cret` and `you:tops3cret`, as browsers send them.
    let (me, you) = ("Basic bWU6dG9wczNjcmV0", "Basic eW91OnRvcHMzY3JldA==");
    let hosts = two_hosts().await;
    let output = run(&["-v", "--basic-auth", "me:tops3cret", &hosts.start]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(hosts.at_start.values("/", "authorization"), [me]);
    assert_eq!(hosts.at_start.values("/robots.txt", "authorization"), [me]);
    assert_eq!(hosts.at_outside.values("/page", "authorization"), [""]);
    assert!(!(stdout(&output) + &stderr(&output)).contains("tops3cret"));

    // The variable comes first, so the option counts. The password of an address comes before all.
    let hosts = two_hosts().await;
    let named = format!("{}=you:tops3cret", host(&hosts.outside));
    let output = run_with(&["--basic-auth", &named, "--basic-auth", "me:tops3cret", &hosts.start], |command| {
        command.env("REDD_CRAWL_BASIC_AUTH", "nobody:x");
    })
    .await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(hosts.at_start.values("/", "authorization"), [me]);
    assert_eq!(hosts.at_outside.values("/page", "authorization"), [you]);
    let start = hosts.start.replace("http://", "http://you:tops3cret@");
    let hosts_again = run(&["--basic-auth", "me:tops3cret", "--header", "Authorization: Bearer x", &start]).await;
    assert_eq!(hosts_again.status.code(), Some(0), "{}", stderr(&hosts_again));
    assert_eq!(hosts.at_start.values("/", "authorization"), [me, you]);
}

#[redd::test]
async fn cookies_are_kept_if_that_is_asked_for() {
    let seen = Seen::default();
    let log = seen.clone();
    let home = serve_requests(move |request| {
        log.push(request);
        match &*request.path {
            "/" => answer("302 Found", "Location: /home\r\nSet-Cookie: session=tops3cret; Path=/\r\n", ""),
            "/home" if request.header("cookie").contains("session=tops3cret") => page("<a href=leaf>l</a>"),
            "/home" => answer("403 Forbidden", "", ""),
            "/leaf" => answer("200 OK", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", ""),
            _ => missing(),
        }
    })
    .await;
    assert_eq!(run(&[&home]).await.status.code(), Some(1));
    let output = run(&["-v", "--cookies", &home]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(!(stdout(&output) + &stderr(&output)).contains("tops3cret"));

    let (file, name) = scratch("cookies.txt");
    std::fs::write(&file, "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\ttops3cret\n").unwrap();
    let start = format!("{home}/home");
    assert_eq!(run(&[&start]).await.status.code(), Some(1));
    let output = run(&["--cookie-file", &name, "--header", "Cookie: own=3", &start]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(seen.values("/leaf", "cookie").last().unwrap(), "own=3; session=tops3cret");
    std::fs::write(&file, "session=tops3cret\n").unwrap();
    let output = run(&["--cookie-file", &name, &start]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("cookies.txt:1:") && !stderr(&output).contains("tops3cret"),
        "{}",
        stderr(&output)
    );
}

#[redd::test]
async fn the_user_agent_can_be_chosen_and_robots_rules_stay_those_for_redd_crawl() {
    let seen = Seen::default();
    let log = seen.clone();
    let home = serve_requests(move |request| {
        log.push(request);
        match &*request.path {
            "/robots.txt" => answer("200 OK", "", "User-agent: redd-crawl\nDisallow: /secret\n\nUser-agent: *\n"),
            "/" => page("<a href=secret>s</a>"),
            _ => missing(),
        }
    })
    .await;
    assert_eq!(run(&[&home]).await.status.code(), Some(0));
    assert_eq!(run(&["--user-agent", "tester/1", &home]).await.status.code(), Some(0));
    let agents = seen.values("/", "user-agent");
    assert!(agents[0].starts_with("redd-crawl/"), "{agents:?}");
    assert_eq!(agents[1], "tester/1");
}

#[redd::test]
async fn requests_go_through_a_proxy_and_its_password_is_not_printed() {
    let seen = Seen::default();
    let log = seen.clone();
    let proxy = serve_requests(move |request| {
        log.push(request);
        match &*request.path {
            "http://site.invalid/" => page("<a href=gone>g</a>"),
            _ => missing(),
        }
    })
    .await;
    let with_password = proxy.replace("http://", "http://me:tops3cret@");
    let (value, output) = crawl("http://site.invalid/", &["--proxy", &with_password]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(find_page(&value, "http://site.invalid/").is_some(), "{value:#}");
    assert_eq!(broken(&value, "http://site.invalid/gone")["status"], 404);
    assert_eq!(seen.values("http://site.invalid/", "proxy-authorization"), ["Basic bWU6dG9wczNjcmV0"]);
    assert!(!(stdout(&output) + &stderr(&output)).contains("tops3cret"));

    let (value, _) = crawl("http://site.invalid/", &["--proxy", "http://me:tops3cret@127.0.0.1:1"]).await;
    let why = reason(&value, "http://site.invalid/");
    assert!(why.contains("--proxy") && !why.contains("tops3cret"), "{why}");
}

#[redd::test]
async fn the_proxy_of_the_environment_can_be_ignored() {
    let home = serve_requests(|request| if request.path == "/" { page("") } else { missing() }).await;
    let run = |arguments: &'static [&'static str], home: String| async move {
        let arguments = [arguments, &["--retries", "0", &home]].concat();
        let output = run_with(&arguments, |command| {
            command.env("HTTP_PROXY", "http://127.0.0.1:1").env_remove("NO_PROXY").env_remove("no_proxy");
        });
        output.await.status.code()
    };
    assert_eq!(run(&[], home.clone()).await, Some(1));
    assert_eq!(run(&["--proxy", "none"], home).await, Some(0));
}

#[redd::test]
async fn outside_the_method_can_be_chosen_and_head_falls_back_to_get() {
    let seen = Seen::default();
    let log = seen.clone();
    let outside = serve_requests(move |request| {
        log.push(request);
        match (&*request.path, &*request.method) {
            ("/page", "HEAD") | ("/robots.txt", _) => missing(),
            (_, "HEAD") => Act::Reset,
            _ => page(""),
        }
    })
    .await;
    let body = format!("<a href={outside}/page>x</a><a href={outside}/reset>r</a>");
    let home = serve_requests(move |request| {
        assert_eq!(request.method, "GET");
        if request.path == "/" { page(&body) } else { missing() }
    })
    .await;
    for (arguments, methods) in
        [(&[][..], &["HEAD", "GET"][..]), (&["--method", "head"], &["HEAD", "GET"]), (&["--method", "get"], &["GET"])]
    {
        let output = run(&[arguments, &[&home]].concat()).await;
        assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
        assert_eq!(seen.methods("/page"), methods);
        assert_eq!(seen.methods("/reset"), methods);
        seen.0.lock().unwrap().clear();
    }
}

#[redd::test]
async fn accepted_statuses_are_good_and_others_broken() {
    let home = serve_requests(|request| match &*request.path {
        "/" => page("<a href=teapot>t</a><a href=busy>b</a><a href=partial>p</a><a href=moved>m</a>"),
        "/teapot" => answer("418 I'm a teapot", "Content-Type: text/html\r\n", "<a href=behind>b</a>"),
        "/busy" => answer("429 Too Many Requests", "Retry-After: 600\r\n", ""),
        "/partial" => answer("206 Partial Content", "", ""),
        "/moved" => answer("301 Moved", "Location: /behind\r\n", ""),
        "/behind" => page(""),
        _ => missing(),
    })
    .await;
    let (value, output) = crawl(&home, &["--accept", "200..=205,418,429"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let all = value["broken"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{value:#}");
    let why = reason(&value, &format!("{home}/partial"));
    assert!(why.contains("206") && why.contains("--accept"), "{why}");
    assert_eq!(find_page(&value, &format!("{home}/teapot")).unwrap()["status"], 418);
    assert!(find_page(&value, &format!("{home}/behind")).is_some(), "{value:#}");
    let (value, _) = crawl(&home, &["--max-wait", "1s"]).await;
    let mut paths: Vec<&str> = Vec::new();
    value["broken"].as_array().unwrap().iter().for_each(|broken| paths.push(broken["url"].as_str().unwrap()));
    assert_eq!(paths, [format!("{home}/busy"), format!("{home}/teapot")]);
}

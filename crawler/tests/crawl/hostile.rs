//! Sites that send nonsense, too much, or nothing.

use crate::runs::{crawl, reason};
use crate::server::{Act, answer, page, serve};

#[redd::test]
async fn no_hostile_page_stops_the_crawl_and_each_has_its_own_error() {
    let home = serve(|path| match path {
        "/" => page(
            "<a href=reset>1</a><a href=never>2</a><a href=half>3</a><a href=huge>4</a><a href=endless>5</a>
             <a href=charset>6</a><a href=loop>7</a><a href=deeper/0>8</a><a href='http://[bad'>9</a>
             <a href=http://127.0.0.1:1/>10</a><a href=garbage>11</a><a href=nowhere>12</a><a href=fine>13</a>",
        ),
        "/reset" => Act::Reset,
        "/never" => Act::Hang(String::new()),
        "/half" => Act::Hang("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".into()),
        "/huge" => Act::Send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec()),
        "/endless" => {
            let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096)).repeat(40);
            Act::Hang(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"))
        }
        "/charset" => answer("200 OK", "Content-Type: text/html; charset=klingon\r\n", "<a href=found>x</a>"),
        "/loop" => answer("302 Found", "Location: /loop\r\n", ""),
        "/garbage" => Act::Send(b"this is not HTTP\r\n\r\n".to_vec()),
        "/nowhere" => answer("301 Moved", "Location: mailto:me@here\r\n", ""),
        "/found" | "/fine" => page("fine"),
        "/robots.txt" => answer("404 Not Found", "", ""),
        _ => match path.strip_prefix("/deeper/").and_then(|hop| hop.parse::<u64>().ok()) {
            Some(hop) => answer("302 Found", &format!("Location: /deeper/{}\r\n", hop + 1), ""),
            None => answer("404 Not Found", "", ""),
        },
    })
    .await;
    let (value, output) = crawl(&home, &["--max-body", "100K"]).await;
    assert_eq!(output.status.code(), Some(1));
    let reason = |path: &str| reason(&value, &format!("{home}{path}"));
    assert!(reason("/reset").contains("broke off"), "{}", reason("/reset"));
    assert!(reason("/never").contains("--timeout"));
    assert!(reason("/half").contains("--timeout"));
    assert!(reason("/huge").contains("--max-body"));
    assert!(reason("/endless").contains("--max-body"));
    assert!(reason("/loop").contains("endless redirect"));
    assert!(reason("/garbage").contains("broke off"), "{}", reason("/garbage"));
    assert!(reason("/nowhere").contains("unusable redirect"));
    let text = value.to_string();
    assert!(text.contains("more than 10 hops") && text.contains("unusable URL") && text.contains("unreachable"));
    assert!(text.contains("klingon") && text.contains("/found"));
    let cited =
        &value["broken"].as_array().unwrap().iter().find(|broken| broken["url"] == "http://[bad").unwrap()["cited_by"];
    assert_eq!(cited[0], format!("{home}/"));
}

#[redd::test]
async fn a_server_that_speaks_no_tls_is_a_tls_failure() {
    let home = serve(|_| page("plain")).await.replace("http://", "https://");
    let (value, output) = crawl(&home, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let reason = reason(&value, &format!("{home}/"));
    assert!(reason.contains("TLS failed"), "{reason}");
}

//! `redd metrics --listen`: the metrics of a process for Prometheus. The process is asked at each scrape.

use std::net::SocketAddr;

use hyper::StatusCode;

use super::http::{self, Answer, Asked};
use super::{announce, ctrl_c, listen, runtime};
use crate::{attach, process};

/// The format that the process writes.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until Ctrl-C. When the process has ended, a scraper is told so.
pub(crate) fn run(pid: u32, address: SocketAddr) -> Result<Vec<u8>, String> {
    // Why it cannot be asked is said at once.
    attach::ask(pid, "info")?;
    let started_at = process::started_at(pid);
    let ask = move || {
        // Another process may have the number by now.
        if started_at.is_none() || process::started_at(pid) != started_at {
            return Err(format!("process {pid} has ended"));
        }
        attach::ask(pid, "metrics")
    };
    runtime()?.block_on(async {
        let mut ctrl_c = ctrl_c()?;
        let (listener, address) = listen(address).await?;
        announce(&format!("the metrics of process {pid} are at http://{address}/metrics until Ctrl-C"));
        redd::select! {
            () = http::serve(listener, move |asked| answer(asked, ask)) => {}
            _ = ctrl_c.recv() => {}
        }
        Ok(Vec::new())
    })
}

fn answer(asked: &Asked, ask: impl Fn() -> Result<Vec<u8>, String>) -> Answer {
    if asked.path != "/metrics" {
        return Answer::sentence(StatusCode::NOT_FOUND, "The metrics are at /metrics.");
    }
    match ask().map(String::from_utf8) {
        Ok(Ok(text)) => {
            let is_open = asked.accept.contains("application/openmetrics-text");
            let (content_type, body) = if is_open { (OPEN_METRICS, open_metrics(&text)) } else { (PROMETHEUS, text) };
            Answer { status: StatusCode::OK, content_type, headers: Vec::new(), body }
        }
        Ok(Err(_)) => Answer::sentence(StatusCode::BAD_GATEWAY, "The reply of the process is not text."),
        Err(why) => Answer::sentence(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// The text as OpenMetrics 1.0 wants it: there the name of a counter is that of its samples without `_total`.
fn open_metrics(text: &str) -> String {
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(word @ ("HELP" | "TYPE")), Some(name), Some(rest)) => {
                format!("# {word} {} {rest}\n", name.strip_suffix("_total").unwrap_or(name))
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &str = "# HELP a_total What is it.\n# TYPE a_total counter\na_total{x=\"# TYPE b_total c\"} 1\n# TYPE b gauge\nb 1\n# EOF\n";

    fn asked(path: &str, accept: &str) -> Asked {
        Asked { path: path.to_owned(), accept: accept.to_owned() }
    }

    #[test]
    fn a_scrape_gets_the_format_that_it_takes() {
        let ask = || Ok(REPLY.as_bytes().to_vec());
        let plain = answer(&asked("/metrics", "text/plain"), ask);
        assert_eq!((plain.status, plain.content_type, &*plain.body), (StatusCode::OK, PROMETHEUS, REPLY));
        let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        let open = answer(&asked("/metrics", accept), ask);
        let body =
            "# HELP a What is it.\n# TYPE a counter\na_total{x=\"# TYPE b_total c\"} 1\n# TYPE b gauge\nb 1\n# EOF\n";
        assert_eq!((open.status, open.content_type, &*open.body), (StatusCode::OK, OPEN_METRICS, body));
    }

    #[test]
    fn a_process_that_has_ended_is_a_sentence_with_503_and_other_pages_are_not_there() {
        let gone = answer(&asked("/metrics", ""), || Err("there is no process 7".to_owned()));
        assert_eq!((gone.status.as_u16(), &*gone.body), (503, "there is no process 7\n"));
        assert_eq!(answer(&asked("/", ""), || Err(String::new())).status.as_u16(), 404);
        assert_eq!(answer(&asked("/metrics", ""), || Ok(vec![0xff])).status.as_u16(), 502);
    }
}

//! A site on several hosts, which notes when each page was asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redd::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use redd::net::{TcpListener, TcpStream};
use redd::time::{Instant, sleep};

/// One page of so many has a broken link.
const BROKEN_EVERY: usize = 50;

/// The requests for each host: the path, and when it was asked for.
type Requests = Mutex<Vec<Vec<(String, Instant)>>>;

/// A site. Its pages are `/p1` to `/pN`, on hosts that take turns. Page 1 leads to all.
pub(crate) struct Site {
    pub(crate) pages: usize,
    /// The hosts, without a slash at the end.
    pub(crate) hosts: Vec<String>,
    requests: Arc<Requests>,
}

impl Site {
    /// Serves it for as long as the runtime lives. Each page takes `delay`.
    pub(crate) async fn serve(pages: usize, hosts: usize, delay: Duration) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..hosts {
            // The kernel chooses the ports.
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let address = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let hosts: Arc<Vec<String>> = Arc::new(listeners.iter().map(address).collect());
        let requests = Arc::new(Mutex::new(vec![Vec::new(); hosts.len()]));
        for (host, listener) in listeners.into_iter().enumerate() {
            let (hosts, requests) = (Arc::clone(&hosts), Arc::clone(&requests));
            redd::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (hosts, requests) = (Arc::clone(&hosts), Arc::clone(&requests));
                    redd::spawn(async move {
                        // A client that is killed is no failure of the site.
                        drop(serve_connection(stream, host, pages, delay, &hosts, &requests).await);
                    });
                }
            });
        }
        Self { pages, hosts: hosts.to_vec(), requests }
    }

    /// The start: the first page.
    pub(crate) fn start(&self) -> String {
        url(1, &self.hosts)
    }

    /// All starts: a page of each host, so that all of them are searched for links.
    pub(crate) fn starts(&self) -> Vec<String> {
        (1..=self.hosts.len()).map(|page| url(page, &self.hosts)).collect()
    }

    /// The addresses of all pages.
    pub(crate) fn urls(&self) -> Vec<String> {
        let mut urls: Vec<String> = (1..=self.pages).map(|page| url(page, &self.hosts)).collect();
        urls.sort();
        urls
    }

    /// The addresses that are linked to and do not exist.
    pub(crate) fn broken(&self) -> Vec<String> {
        let pages = (1..=self.pages).filter(|page| page % BROKEN_EVERY == 0);
        let mut urls: Vec<String> = pages.map(|page| format!("{}/gone{page}", host_of(page, &self.hosts))).collect();
        urls.sort();
        urls
    }

    /// How often each path was asked for, robots.txt left out.
    pub(crate) fn requests(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for (path, _) in self.requests.lock().unwrap().iter().flatten().filter(|(path, _)| path != "/robots.txt") {
            *counts.entry(path.clone()).or_default() += 1;
        }
        counts
    }

    /// Checks that no host has got more requests than `rate` a second, over each stretch of time. A delay on the way moves a
    /// request by `jitter` at most.
    pub(crate) fn check_rate(&self, rate: f64, jitter: Duration) {
        for (host, requests) in self.hosts.iter().zip(self.requests.lock().unwrap().iter()) {
            let mut times: Vec<Instant> = requests.iter().map(|(_, at)| *at).collect();
            times.sort();
            for (index, from) in times.iter().enumerate() {
                for (more, to) in (0_u32..).zip(&times[index..]) {
                    let least = Duration::from_secs_f64(f64::from(more) / rate).saturating_sub(jitter);
                    assert!(*to - *from >= least, "{} requests to {host} in {:?}, at {rate}/s", more + 1, *to - *from);
                }
            }
        }
    }
}

fn host_of(page: usize, hosts: &[String]) -> &str {
    &hosts[page % hosts.len()]
}

fn url(page: usize, hosts: &[String]) -> String {
    format!("{}/p{page}", host_of(page, hosts))
}

/// The page, or None if there is none at that path.
fn body(path: &str, host: usize, pages: usize, hosts: &[String]) -> Option<String> {
    let page: usize = path.strip_prefix("/p")?.parse().ok()?;
    if page == 0 || page > pages || page % hosts.len() != host {
        return None;
    }
    let mut links: Vec<String> = [2 * page, 2 * page + 1, 1 + page * 7 % pages, 1]
        .iter()
        .filter(|&&page| page <= pages)
        .map(|&page| url(page, hosts))
        .collect();
    if page % BROKEN_EVERY == 0 {
        links.push(format!("/gone{page}"));
    }
    Some(links.iter().map(|link| format!("<a href=\"{link}\">x</a>")).collect())
}

async fn serve_connection(
    stream: TcpStream,
    host: usize,
    pages: usize,
    delay: Duration,
    hosts: &[String],
    requests: &Requests,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut path = None;
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match (line.trim_end(), &path) {
                ("", _) => break,
                (first, None) => path = Some(first.split(' ').nth(1).unwrap_or_default().to_owned()),
                (_, Some(_)) => {}
            }
        }
        let path = path.unwrap_or_default();
        requests.lock().unwrap()[host].push((path.clone(), Instant::now()));
        sleep(delay).await;
        let (status, body) = match body(&path, host, pages, hosts) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", String::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.flush().await?;
    }
}

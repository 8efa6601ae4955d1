//! What the engine has for the loop of a crawl, and how lines about the connection get there.
//!
//! Made by the other files of `engine`, read by `crawl`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redd::sync::mpsc;
use redd::time::{Instant, sleep};

use crate::engine::item::Item;
use crate::engine::lease::Lease;
use crate::engine::names::Partition;

/// What the loop of a crawl handles next.
#[derive(Debug)]
pub(crate) enum Event {
    /// Fetch this page, then call `Engine::commit`, or give it back.
    Page(Item),
    /// Comes before the first page of each host, whenever its partition was taken.
    Host {
        origin: String,
        lease: Arc<Lease>,
        /// No request to the host starts before: another process may have sent one just now, or was asked to wait.
        not_before: Instant,
        /// The `Crawl-delay` that another process has read.
        delay: Option<Duration>,
    },
    /// Give back the pages of this partition for which no request has started: another process takes it.
    Release(Partition),
    /// The lease of this partition ran out: drop its pages.
    Lost(Partition),
    /// What to say to the user.
    Line(String),
    /// No work is left. It is sent again while that is so.
    Done,
    /// The crawl cannot go on.
    Failed(String),
}

/// Where events are sent.
#[derive(Clone, Debug)]
pub(super) struct Events {
    sender: mpsc::UnboundedSender<Event>,
}

impl Events {
    pub(super) fn new(sender: mpsc::UnboundedSender<Event>) -> Self {
        Self { sender }
    }

    /// Sends an event. If the loop has ended, nothing needs it.
    pub(super) fn send(&self, event: Event) {
        drop(self.sender.send(event));
    }
}

/// The wait after the first failure. It doubles up to [`WAIT_MAX`]. Chosen without measurement.
const WAIT: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(2);
/// After so many failures in a row, and as many more, a line says so.
const TRIES_OF_LINE: u32 = 10;

/// A request that is sent until the server has answered it.
#[derive(Debug)]
pub(super) struct Retry {
    events: Arc<Events>,
    what: &'static str,
    tries: u32,
}

impl Retry {
    pub(super) fn new(events: &Arc<Events>, what: &'static str) -> Self {
        Self { events: Arc::clone(events), what, tries: 0 }
    }

    /// Whether an earlier try has failed. It may have been carried out all the same.
    pub(super) fn has_failed(&self) -> bool {
        self.tries > 0
    }

    /// Waits before the next try.
    pub(super) async fn wait(&mut self, error: impl fmt::Display) {
        let wait = (WAIT * 2_u32.saturating_pow(self.tries)).min(WAIT_MAX);
        self.tries += 1;
        if self.tries % TRIES_OF_LINE == 0 {
            self.events.send(Event::Line(format!(
                "the frontier does not {} ({error}): it is asked again until it does. Look at the server, or stop with Ctrl-C",
                self.what
            )));
        }
        sleep(wait).await;
    }
}

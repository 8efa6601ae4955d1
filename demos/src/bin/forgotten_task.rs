//! Forgotten tasks: they wait for a notification that was sent before they waited, and nothing joins them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::sleep;

#[derive(Debug, Default)]
struct Session {
    closed: Notify,
}

impl Session {
    fn open() -> Arc<Self> {
        let session = Arc::new(Self::default());
        // Its handle is dropped: it is on its own.
        tokio::spawn(clean_up(session.clone())); // culprit: spawned
        session
    }

    /// Notifies the tasks that wait at this moment, and no later ones.
    fn close(&self) {
        self.closed.notify_waiters();
    }
}

async fn clean_up(session: Arc<Session>) {
    load_settings().await;
    session.closed.notified().await; // culprit: waits
    println!("a session is cleaned up");
}

/// Takes longer than a short session.
async fn load_settings() {
    sleep(Duration::from_millis(100)).await;
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    for _ in 0..300 {
        let session = Session::open();
        yield_now().await;
        session.close();
    }
    println!("300 sessions are over");
    // The service goes on.
    sleep(Duration::from_secs(600)).await;
}

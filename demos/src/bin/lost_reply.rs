//! A lost reply: the answer comes under another number, so the sender that the caller waits for stays in the map.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

#[derive(Debug)]
struct Client {
    requests: mpsc::Sender<u64>,
    pending: Mutex<HashMap<u64, oneshot::Sender<String>>>,
}

impl Client {
    async fn call(&self, id: u64) -> String {
        let (reply, answer) = oneshot::channel(); // culprit: waits
        self.pending.lock().expect("no panic").insert(id, reply);
        self.requests.send(id).await.expect("the server receives");
        answer.await.expect("a sender in the map is not dropped")
    }

    fn on_answer(&self, id: u64, text: String) {
        if let Some(reply) = self.pending.lock().expect("no panic").remove(&id) {
            let _ = reply.send(text);
        }
    }
}

/// Mixes up the numbers of two digits.
async fn serve(mut requests: mpsc::Receiver<u64>, client: Arc<Client>) {
    while let Some(id) = requests.recv().await {
        sleep(Duration::from_millis(5)).await;
        let answered = if id < 10 { id } else { id % 10 };
        client.on_answer(answered, format!("answer {id}"));
    }
}

#[tokio::main]
async fn main() {
    demos::report_soon();
    let (requests, queue) = mpsc::channel(16);
    let client = Arc::new(Client { requests, pending: Mutex::default() });
    tokio::spawn(serve(queue, client.clone()));
    let calls = tokio::spawn(async move {
        for id in 8..12 {
            println!("{}", client.call(id).await);
        }
    });
    calls.await.expect("`call` does not panic");
}

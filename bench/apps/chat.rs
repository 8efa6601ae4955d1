//! A chat room: axum's WebSockets around one broadcast channel.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// A member that is this many messages behind loses the oldest ones.
const BEHIND_MAX: usize = 1024;

/// Sends what each member says to all of them.
pub async fn serve(listener: TcpListener) {
    let (room, _) = broadcast::channel::<Utf8Bytes>(BEHIND_MAX);
    let app = Router::new().route("/", get(join)).with_state(room);
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("TCP can do it"));
    axum::serve(listener, app).await.expect("a server of axum runs until its process ends");
}

async fn join(upgrade: WebSocketUpgrade, State(room): State<broadcast::Sender<Utf8Bytes>>) -> Response {
    // Subscribed before the response, so that a member misses nothing after it.
    let said = room.subscribe();
    upgrade.on_upgrade(move |socket| member(socket, room, said))
}

async fn member(mut socket: WebSocket, room: broadcast::Sender<Utf8Bytes>, mut said: broadcast::Receiver<Utf8Bytes>) {
    loop {
        tokio::select! {
            text = said.recv() => match text {
                Ok(text) => {
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    // An error means that the room is empty.
                    drop(room.send(text));
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

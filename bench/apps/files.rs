//! A static file server: axum, and tower-http's `ServeDir`.

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

/// Serves the files of a folder.
pub async fn serve(listener: TcpListener, folder: String) {
    let app = Router::new().fallback_service(ServeDir::new(folder));
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("TCP can do it"));
    axum::serve(listener, app).await.expect("a server of axum runs until its process ends");
}

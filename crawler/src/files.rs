//! Pages that are files of this machine.
//!
//! Called by `crawl`, inside the page's task. What a server does for a page is done here: a folder has an index page, and
//! the name of a file says what is in it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redd::task::spawn_blocking;
use url::Url;

use crate::body::{self, BodyHeaders, ReadSettings};
use crate::decode::DecodeError;
use crate::fetch::FetchResult;
use crate::links::{LinkCollector, Links};
use crate::local_site::LocalSite;
use crate::page::{Content, Failure, Reason, Scope};

/// The status of a file that is there: that of a page which a server returns.
const STATUS: u16 = 200;
/// The index pages of a folder, the first that exists counts.
const INDEX_PAGES: [&str; 4] = ["index.html", "index.htm", "README.md", "index.md"];

/// The media type of a file, by its name. Empty if it is not searched for links.
pub(crate) fn media_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match &*extension {
        "html" | "htm" | "xhtml" => "text/html",
        "md" | "markdown" | "mdown" | "mkd" => "text/markdown",
        "css" => "text/css",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    }
}

/// Whether a file of this name is a page that people read.
pub(crate) fn is_page(path: &Path) -> bool {
    matches!(media_type(path), "text/html" | "text/markdown")
}

/// Reads the file at `url`. Outside, only whether it is there, and its ids if links to parts are checked.
pub(crate) async fn page(url: &Url, scope: Scope, settings: ReadSettings, site: &Arc<LocalSite>) -> FetchResult {
    match try_page(url, scope, settings, site).await {
        Ok((content, links)) => FetchResult::Good(content, links),
        Err(reason) => FetchResult::Failed(Failure::without_status(reason).into()),
    }
}

async fn try_page(
    url: &Url,
    scope: Scope,
    settings: ReadSettings,
    site: &Arc<LocalSite>,
) -> Result<(Content, Links), Reason> {
    let path = url.to_file_path().map_err(|()| Reason::UnusableUrl("it names another machine".to_owned()))?;
    let unreadable = |error: io::Error| {
        let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        let why = format!("the file cannot be read: {error}");
        Reason::UnreadableFile(if is_missing { "there is no such file".to_owned() } else { why })
    };
    let mut found = Found { path, url: url.clone(), bytes: 0 };
    let metadata = redd::fs::metadata(&found.path).await.map_err(unreadable)?;
    if metadata.is_dir() {
        match index_of(&found.path).await {
            Some(index) => found = index,
            None => return Ok((there(0, Some("a folder without an index page")), Links::default())),
        }
    } else if metadata.is_file() {
        // `page.html/` is a file with a slash too many.
        if url.path().ends_with('/') {
            return Err(Reason::UnreadableFile("it is a file, and the address of a folder".to_owned()));
        }
        found.bytes = metadata.len();
    } else {
        return Err(Reason::UnreadableFile("it is neither a file nor a folder".to_owned()));
    }
    let is_searched = media_type(&found.path) != media_type(Path::new(""));
    if scope == Scope::Outside && !(settings.has_fragments && is_searched) {
        return Ok((there(0, None), Links::default()));
    }
    if found.bytes > settings.limit as u64 {
        return match scope {
            Scope::Inside if is_searched => Err(Reason::BodyTooLarge(settings.limit)),
            Scope::Inside => Ok((there(found.bytes, Some("larger than --max-body, no checksum")), Links::default())),
            Scope::Outside => Ok((there(0, None), Links::default())),
        };
    }
    let body = redd::fs::read(&found.path).await.map_err(unreadable)?;
    let headers = BodyHeaders { content_type: media_type(&found.path).to_owned(), content_encoding: String::new() };
    let site = Arc::clone(site);
    // A large page takes longer than a task may keep its worker.
    let read = spawn_blocking(move || {
        let collector = LinkCollector::new(&found.url, settings.has_fragments).with_site(site);
        body::read_into(collector, body, &headers, settings, &found.url, STATUS)
    });
    match (read.await, scope) {
        (Ok(Ok(read)), Scope::Inside) => Ok(read),
        (Ok(Ok((_, links))), Scope::Outside) => Ok((there(0, None), links.only_ids())),
        (Ok(Err(DecodeError::TooLarge)), _) => Err(Reason::BodyTooLarge(settings.limit)),
        (Ok(Err(DecodeError::UnknownEncoding(name))), _) => Err(Reason::UnknownEncoding(name)),
        (Ok(Err(DecodeError::Damaged(name, why))), _) => Err(Reason::DamagedEncoding(name.into(), why)),
        (Err(error), _) => Err(Reason::Internal(error.to_string())),
    }
}

/// A file that is read.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    /// Its links are relative to this.
    url: Url,
    bytes: u64,
}

async fn index_of(folder: &Path) -> Option<Found> {
    for name in INDEX_PAGES {
        let path = folder.join(name);
        match redd::fs::metadata(&path).await {
            Ok(metadata) if metadata.is_file() => {
                let url = Url::from_file_path(&path).ok()?;
                return Some(Found { path, url, bytes: metadata.len() });
            }
            Ok(_) | Err(_) => {}
        }
    }
    None
}

/// The content of a file that was not read.
fn there(bytes: u64, note: Option<&str>) -> Content {
    Content { status: STATUS, bytes, sha256: None, note: note.map(Into::into) }
}

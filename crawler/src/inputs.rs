//! What is given on the command line: addresses, files, folders, and `-` for a list from standard input.
//!
//! Called by `arguments`, which tells them apart, and by `main`, which reads the folders and the list.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use redd::task::spawn_blocking;
use url::Url;

use crate::address::{Start, redact};
use crate::exit::EarlyExit;
use crate::files;
use crate::interrupt::Interrupts;
use crate::local_site::{LocalSite, SCHEME};

/// The word that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// The longest list, in bytes. Longer ones are most likely not lists.
const LIST_MAX: u64 = 256 << 20;

/// A word of the command line that says where to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A page on a server.
    Web(Start),
    /// A file or a folder that exists.
    Path(PathBuf),
    /// Standard input, a list of the others.
    List,
}

impl Input {
    /// Reads a word. A file is meant if it looks like a path, or if there is one of that name.
    ///
    /// # Errors
    /// If it is neither an address nor a file. The message says how to fix it, and holds no password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text == STANDARD_INPUT {
            return Ok(Self::List);
        }
        let path = match Url::parse(text) {
            Ok(url) if url.scheme() == SCHEME => url
                .to_file_path()
                .map_err(|()| format!("`{text}` names a file of another machine: copy it to this one"))?,
            _ => PathBuf::from(text),
        };
        let is_path = text.starts_with("file:")
            || (text.starts_with('/') && !text.starts_with("//"))
            || [".", ".."].contains(&text)
            || text.starts_with("./")
            || text.starts_with("../");
        // `:` stands in addresses: `http://host/`, `host:80`.
        let may_be_path = is_path || (!text.is_empty() && !text.contains(':') && !text.starts_with("//"));
        if may_be_path && path.exists() {
            return Ok(Self::Path(path));
        }
        let is_page = !text.contains('/') && matches!(extension(&path), Some("html" | "htm" | "xhtml" | "markdown"));
        if is_path || is_page {
            return Err(format!(
                "`{}` cannot be crawled: there is no such file or folder. Give one that exists, or an address such as \
                 http://example.com/",
                redact(text)
            ));
        }
        Start::parse(text).map(Self::Web)
    }
}

fn extension(path: &Path) -> Option<&str> {
    path.extension()?.to_str()
}

/// What the inputs stand for.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) starts: Vec<Start>,
    pub(crate) site: LocalSite,
}

/// How the files that are given will be published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Publication {
    /// See [`LocalSite::root`].
    pub(crate) root: Option<PathBuf>,
    /// See [`LocalSite::base`].
    pub(crate) base: Option<String>,
}

/// Reads the list from standard input and the folders. Each page in a folder is a start.
///
/// # Errors
/// If one cannot be read, or holds no page, or on an interrupt.
pub(crate) async fn read(
    inputs: &[Input],
    publication: &Publication,
    interrupts: &mut Interrupts,
) -> Result<Inputs, EarlyExit> {
    let mut read = Inputs::default();
    for input in inputs {
        match input {
            Input::Web(start) => read.starts.push(start.clone()),
            Input::Path(path) => read.add_path(path).await.map_err(EarlyExit::usage)?,
            Input::List => {
                for input in read_list(interrupts).await? {
                    match input {
                        Input::Web(start) => read.starts.push(start),
                        Input::Path(path) => read.add_path(&path).await.map_err(EarlyExit::usage)?,
                        Input::List => {}
                    }
                }
            }
        }
    }
    if read.starts.is_empty() {
        return Err(EarlyExit::usage("standard input lists no address: write one on each line".to_owned()));
    }
    if let Some(root) = &publication.root {
        let folder =
            canonical(root).await.and_then(|path| Url::from_directory_path(path).map_err(|()| wrong_name(root)));
        let folder = folder.map_err(|why| EarlyExit::usage(format!("--root-dir {why}")))?;
        if !redd::fs::metadata(root).await.is_ok_and(|metadata| metadata.is_dir()) {
            return Err(EarlyExit::usage(format!("--root-dir {}: it is not a folder, give one", root.display())));
        }
        read.site.root = Some(folder);
    }
    if let Some(base) = &publication.base {
        if !base.contains("://") {
            // Links of the site may begin with http or https, and only those that begin like this are below it.
            return Err(EarlyExit::usage(format!("--base-url: give the scheme, too: https://{base} or http://{base}")));
        }
        let mut base = Start::parse(base).map_err(|why| EarlyExit::usage(format!("--base-url: {why}")))?.url;
        base.set_query(None);
        // The site is in a folder, also if the slash was forgotten.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        read.site.base = Some(base);
    }
    Ok(read)
}

impl Inputs {
    async fn add_path(&mut self, path: &Path) -> Result<(), String> {
        let path = canonical(path).await?;
        let metadata = redd::fs::metadata(&path).await.map_err(|error| format!("{}: {error}", path.display()))?;
        let given = if metadata.is_dir() { Url::from_directory_path(&path) } else { Url::from_file_path(&path) };
        self.site.given.push(given.map_err(|()| wrong_name(&path))?.into());
        let pages = if metadata.is_dir() { pages_in(&path).await? } else { vec![path] };
        for page in pages {
            let url = Url::from_file_path(&page).map_err(|()| wrong_name(&page))?;
            self.starts.push(Start { url, credentials: None, is_scheme_assumed: false });
        }
        Ok(())
    }
}

async fn canonical(path: &Path) -> Result<PathBuf, String> {
    redd::fs::canonicalize(path).await.map_err(|error| format!("{}: {error}: give one that exists", path.display()))
}

fn wrong_name(path: &Path) -> String {
    format!("{}: its name cannot be an address: rename it", path.display())
}

/// All pages in `folder` and the folders in it, sorted. What is hidden is left out, and so are links to folders.
///
/// # Errors
/// If a folder cannot be read, or there is no page.
async fn pages_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut pages = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        let unreadable = |error: io::Error| format!("{}: the folder cannot be read: {error}", at.display());
        let mut entries = redd::fs::read_dir(&at).await.map_err(unreadable)?;
        while let Some(entry) = entries.next_entry().await.map_err(unreadable)? {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let kind = entry.file_type().await.map_err(unreadable)?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if files::is_page(&entry.path()) {
                pages.push(entry.path());
            }
        }
    }
    pages.sort_unstable();
    if pages.is_empty() {
        return Err(format!(
            "{}: there is no HTML or Markdown file in this folder: give another one",
            folder.display()
        ));
    }
    Ok(pages)
}

async fn read_list(interrupts: &mut Interrupts) -> Result<Vec<Input>, EarlyExit> {
    let read = spawn_blocking(|| {
        let mut list = Vec::new();
        io::stdin().lock().take(LIST_MAX).read_to_end(&mut list).map(|_| list)
    });
    let list = redd::select! {
        list = read => list.unwrap_or_else(|error| Err(io::Error::other(error))),
        () = interrupts.recv() => return Err(EarlyExit::incomplete("interrupted: nothing was crawled".to_owned())),
    };
    let list = list.map_err(|error| EarlyExit::usage(format!("standard input cannot be read: {error}")))?;
    parse_list(&String::from_utf8_lossy(&list)).map_err(EarlyExit::usage)
}

/// The inputs of a list. Empty lines and those that begin with `#` are left out.
fn parse_list(list: &str) -> Result<Vec<Input>, String> {
    let lines = (1..).zip(list.lines()).map(|(number, line)| (number, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let inputs = lines.map(|(number, line)| match Input::parse(line) {
        Ok(Input::List) => Err(format!("standard input, line {number}: `-` cannot stand in a list")),
        Ok(input) => Ok(input),
        Err(why) => Err(format!("standard input, line {number}: {why}")),
    });
    inputs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_addresses() {
        for path in [".", "./src", "src", "Cargo.toml", "./Cargo.toml"] {
            assert_eq!(Input::parse(path), Ok(Input::Path(path.into())), "{path}");
        }
        for address in ["http://host/", "host", "host:80/x", "//host/", "Cargo.toml:80"] {
            assert!(matches!(Input::parse(address), Ok(Input::Web(_))), "{address}");
        }
        assert_eq!(Input::parse(" - "), Ok(Input::List));
        for wrong in ["./none", "/none/none", "none.html", "file:///none", "file://host/x", "ftp://host/", ""] {
            assert!(Input::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_list_has_an_address_on_each_line() {
        let list = "\u{feff}# mine\n\n http://a/ \r\n\tsrc\n";
        let list = list.trim_start_matches('\u{feff}');
        assert_eq!(parse_list(list).unwrap().len(), 2);
        let error = parse_list("http://a/\nftp://b/\n").unwrap_err();
        assert!(error.starts_with("standard input, line 2: ") && error.contains("http://example.com/"), "{error}");
        assert!(parse_list("-").is_err());
    }
}

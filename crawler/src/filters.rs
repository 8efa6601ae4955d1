//! Which addresses belong to a crawl: the expressions of `--include` and `--exclude`, and the places that are searched.
//!
//! Made by `arguments`, used by `crawl` and `frontier`. Pure.

use std::collections::BTreeMap;

use regex::RegexSet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::local_site;
use crate::page::Scope;

/// The expressions of `--include` and `--exclude`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "FilterTexts", into = "FilterTexts")]
pub(crate) struct Filters {
    /// If there is none, each address is included.
    include: Option<RegexSet>,
    exclude: RegexSet,
}

/// The expressions as they were given.
#[derive(Serialize, Deserialize)]
struct FilterTexts {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl From<Filters> for FilterTexts {
    fn from(filters: Filters) -> Self {
        let include = filters.include.unwrap_or_default();
        Self { include: include.patterns().to_vec(), exclude: filters.exclude.patterns().to_vec() }
    }
}

impl TryFrom<FilterTexts> for Filters {
    type Error = String;

    fn try_from(texts: FilterTexts) -> Result<Self, String> {
        Self::new(&texts.include, &texts.exclude)
    }
}

impl Filters {
    /// # Errors
    /// If an expression cannot be read. The message says where.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self, String> {
        let include = if include.is_empty() { None } else { Some(expressions("--include", include)?) };
        Ok(Self { include, exclude: expressions("--exclude", exclude)? })
    }

    /// Whether `url`, which has no fragment, is left out.
    pub(crate) fn excludes(&self, url: &str) -> bool {
        self.exclude.is_match(url) || self.include.as_ref().is_some_and(|include| !include.is_match(url))
    }
}

fn expressions(option: &str, texts: &[String]) -> Result<RegexSet, String> {
    // One by one, so that the message names the wrong one.
    for text in texts {
        RegexSet::new([text]).map_err(|error| {
            format!(
                "{option} `{text}` is no regular expression:\n{error}\nWrite `\\.` for a dot, and `.*` for any text"
            )
        })?;
    }
    RegexSet::new(texts).map_err(|error| format!("the expressions of {option} are too large together: {error}"))
}

/// The places whose pages are searched for links: the origins of the starts, or only the starts' folders.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchedPlaces {
    /// Whether only the folders count (`--no-parent`).
    only_folders: bool,
    /// The folders of the starts, by origin.
    folders: BTreeMap<String, Vec<String>>,
    /// The files and folders of this machine that were given.
    given_files: Vec<String>,
}

impl SearchedPlaces {
    pub(crate) fn new(only_folders: bool, given_files: Vec<String>) -> Self {
        Self { only_folders, folders: BTreeMap::new(), given_files }
    }

    /// From now on, the pages around `start` are searched.
    pub(crate) fn add_start(&mut self, start: &Url) {
        if local_site::is_file(start) {
            return;
        }
        let folders = self.folders.entry(start.origin().ascii_serialization()).or_default();
        let folder = folder(start.path());
        if !folders.iter().any(|known| folder.starts_with(&**known)) {
            folders.push(folder.to_owned());
        }
    }

    pub(crate) fn scope_of(&self, url: &Url) -> Scope {
        if local_site::is_file(url) {
            return local_site::scope_of(&self.given_files, url);
        }
        let is_inside = self.folders.get(&url.origin().ascii_serialization()).is_some_and(|folders| {
            !self.only_folders || folders.iter().any(|folder| url.path().starts_with(&**folder))
        });
        if is_inside { Scope::Inside } else { Scope::Outside }
    }
}

/// A path up to its last slash.
fn folder(path: &str) -> &str {
    path.rfind('/').map_or("/", |slash| &path[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(include: &[&str], exclude: &[&str]) -> Filters {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Filters::new(&owned(include), &owned(exclude)).unwrap()
    }

    #[test]
    fn without_expressions_nothing_is_left_out() {
        assert!(!filters(&[], &[]).excludes("http://a/"));
    }

    #[test]
    fn an_address_must_match_an_inclusion_and_no_exclusion() {
        let filters = filters(&["/docs/", r"\.css$"], &["old", "draft"]);
        assert!(!filters.excludes("http://a/docs/x"));
        assert!(!filters.excludes("http://a/style.css"));
        assert!(filters.excludes("http://a/other"));
        assert!(filters.excludes("http://a/docs/old/x"));
        assert!(filters.excludes("http://a/draft.css"));
    }

    #[test]
    fn expressions_are_read_back_as_they_were_written() {
        for filters in [filters(&[], &[]), filters(&["a.b"], &["c", "d|e"])] {
            let text = serde_json::to_string(&filters).unwrap();
            let read: Filters = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
            for url in ["http://a/", "http://axb/c", "http://axb/"] {
                assert_eq!(read.excludes(url), filters.excludes(url), "{url}");
            }
        }
    }

    #[test]
    fn a_wrong_expression_is_named_and_so_is_its_option() {
        let error = Filters::new(&[], &["fine".into(), "(wrong".into()]).unwrap_err();
        assert!(error.contains("--exclude `(wrong`") && error.contains("unclosed group"), "{error}");
    }

    #[test]
    fn only_the_folders_of_the_starts_are_searched_if_that_is_asked_for() {
        let url = |text: &str| Url::parse(text).unwrap();
        let scopes = |only_folders, urls: &[&str]| {
            let mut places = SearchedPlaces::new(only_folders, Vec::new());
            places.add_start(&url("http://a/docs/index.html?x=/y/"));
            places.add_start(&url("http://b"));
            urls.iter().map(|text| places.scope_of(&url(text))).collect::<Vec<_>>()
        };
        use Scope::{Inside, Outside};
        let urls =
            ["http://a/docs/", "http://a/docs/x/y", "http://a/docs", "http://a/", "http://b/x", "http://a:81/docs/"];
        assert_eq!(scopes(true, &urls), [Inside, Inside, Outside, Outside, Inside, Outside]);
        assert_eq!(scopes(false, &urls), [Inside, Inside, Inside, Inside, Inside, Outside]);
    }
}

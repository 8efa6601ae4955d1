//! The links of a page, as `html`, `css`, `markdown` and `sitemap` find them: resolved, each once, and sorted by what can
//! be done with them.
//!
//! Called by those and by `body`. Pure.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_8};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::address::{AddressHash, address_hash, is_web};
use crate::local_site::{self, LocalSite};
use crate::mailto;

/// The longest address in bytes. Servers refuse far shorter ones.
const ADDRESS_MAX: usize = 16 << 10;
/// How many bytes the addresses of one page may have in all. A long base and many short links would fill the memory.
const ADDRESSES_MAX: usize = 64 << 20;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LinkKind {
    /// A reader follows it: `a`, `area`, `cite` and the links of Markdown.
    Anchor,
    /// A browser loads it with the page: images, scripts, style sheets, frames.
    Resource,
    /// `url()` or `@import` of a style sheet or a `style` attribute.
    Style,
    /// The target of `<meta http-equiv=refresh>`.
    Refresh,
    /// An address that a sitemap lists.
    Sitemap,
}

/// A link to an address that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Without its fragment. It may hold a user name and a password.
    pub(crate) url: String,
    /// What follows `#`, as it is written. None if there is nothing to check.
    pub(crate) fragment: Option<String>,
    pub(crate) kind: LinkKind,
    /// The line on which it stands, from 1 on. 0 if it is unknown.
    pub(crate) line: u32,
}

/// Text that stands where an address should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unusable {
    pub(crate) text: String,
    /// What is wrong with it.
    pub(crate) why: String,
    /// As in [`Link`].
    pub(crate) line: u32,
}

/// The links of a page: each address once. If fragments are checked: each address with each of its fragments once.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) found: Vec<Link>,
    /// The fragments by which other pages can refer to parts of this one. None if fragments are not checked, or if the
    /// page has a format whose fragments are not known.
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) unusable: Vec<Unusable>,
    /// Addresses that cannot be fetched, such as `mailto:`: the scheme, and a hash of the address.
    pub(crate) ignored: Vec<(String, AddressHash)>,
}

impl Links {
    /// Adds the target of a `Refresh` header of the page at `page`, which may have the same as a tag.
    pub(crate) fn add_refresh(&mut self, address: &str, page: &Url, has_fragments: bool) {
        let mut collector = LinkCollector::new(page, has_fragments);
        collector.add(address, LinkKind::Refresh, || 0);
        let Self { found, unusable, ignored, .. } = collector.finish();
        self.found.extend(found);
        self.unusable.extend(unusable);
        self.ignored.extend(ignored);
    }

    /// What is kept of a page that is not searched: its ids. A page that only leads to another one has the ids of that.
    pub(crate) fn only_ids(self) -> Self {
        let found = self.found.into_iter().filter(|link| link.kind == LinkKind::Refresh).collect();
        Self { found, ids: self.ids, ..Self::default() }
    }
}

/// Collects the links of one page.
#[derive(Debug)]
pub(crate) struct LinkCollector {
    links: Links,
    base: Url,
    has_base: bool,
    has_fragments: bool,
    /// If the page is a file.
    site: Option<Arc<LocalSite>>,
    /// The characters of the page, in which the query of an address is sent.
    encoding: &'static Encoding,
    /// The links as they are written, since the last change of `base`.
    seen: HashSet<String>,
    /// How many bytes the addresses that follow may have ([`ADDRESSES_MAX`]).
    bytes_left: usize,
}

impl LinkCollector {
    /// A collector for the page at `page`. `has_fragments` says whether fragments are checked.
    pub(crate) fn new(page: &Url, has_fragments: bool) -> Self {
        Self {
            links: Links::default(),
            base: page.clone(),
            has_base: false,
            has_fragments,
            site: None,
            encoding: UTF_8,
            seen: HashSet::new(),
            bytes_left: ADDRESSES_MAX,
        }
    }

    /// The page is a file of `site`.
    pub(crate) fn with_site(self, site: Arc<LocalSite>) -> Self {
        Self { site: Some(site), ..self }
    }

    /// The page has the characters of `encoding`.
    pub(crate) fn set_encoding(&mut self, encoding: &'static Encoding) {
        self.encoding = encoding.output_encoding();
    }

    /// The page has fragments that are known. Without this call, links to its parts are not checked.
    pub(crate) fn expect_ids(&mut self) {
        if self.has_fragments {
            self.links.ids.get_or_insert_default();
        }
    }

    /// Notes a fragment by which a part of the page can be referred to.
    pub(crate) fn add_id(&mut self, id: &str) {
        if self.has_fragments && !id.is_empty() {
            self.links.ids.get_or_insert_default().push(id.to_owned());
        }
    }

    /// Resolves the links that follow against `address`. Only the first call has an effect.
    pub(crate) fn set_base(&mut self, address: &str) {
        if self.has_base {
            return;
        }
        self.has_base = true;
        // Every link would be too long.
        if address.len() > ADDRESS_MAX {
            self.links.unusable.push(too_long(address, 0));
            return;
        }
        match self.resolve(address.trim()) {
            // The HTML standard ignores these.
            Ok(base) if matches!(base.scheme(), "data" | "javascript") => {}
            Ok(base) => {
                self.base = base;
                self.seen.clear();
            }
            Err(_) => {}
        }
    }

    /// Adds the link that is written as `text`. `line` is called if it is new: most links of a page repeat others.
    pub(crate) fn add(&mut self, text: &str, kind: LinkKind, line: impl FnOnce() -> u32) {
        let text = text.trim_ascii();
        let (address, fragment) = text.split_once('#').map_or((text, None), |(address, rest)| (address, Some(rest)));
        let fragment = fragment.filter(|_| self.has_fragments).and_then(|fragment| fragment_to_check(fragment, kind));
        if (address.is_empty() && fragment.is_none()) || self.bytes_left == 0 || !self.see(address, fragment) {
            return;
        }
        match self.resolve(address) {
            Ok(mut url) if is_web(&url) || (self.site.is_some() && local_site::is_file(&url)) => {
                // An empty address is the base with its fragment.
                url.set_fragment(None);
                if url.as_str().len() > ADDRESS_MAX {
                    self.links.unusable.push(too_long(address, line()));
                    return;
                }
                let Some(bytes_left) = self.bytes_left.checked_sub(url.as_str().len()) else {
                    self.bytes_left = 0;
                    let why = format!(
                        "the addresses of the page have more than {} MiB, the rest was not read",
                        ADDRESSES_MAX >> 20
                    );
                    self.links.unusable.push(Unusable { text: address.to_owned(), why, line: line() });
                    return;
                };
                self.bytes_left = bytes_left;
                self.links.found.push(Link {
                    url: url.into(),
                    fragment: fragment.map(str::to_owned),
                    kind,
                    line: line(),
                });
            }
            Ok(url) => match if url.scheme() == "mailto" { mailto::check(&url) } else { Ok(()) } {
                Ok(()) => self.links.ignored.push((url.scheme().to_owned(), address_hash(url.as_str()))),
                Err(why) => self.links.unusable.push(Unusable { text: address.to_owned(), why, line: line() }),
            },
            Err(why) => self.links.unusable.push(Unusable { text: address.to_owned(), why, line: line() }),
        }
    }

    fn resolve(&self, address: &str) -> Result<Url, String> {
        match &self.site {
            Some(site) => site.resolve(&self.base, address),
            None => {
                let encode: &dyn Fn(&str) -> Cow<'_, [u8]> =
                    &|query| Cow::Owned(self.encoding.encode(query).0.into_owned());
                Url::options()
                    .base_url(Some(&self.base))
                    .encoding_override((self.encoding != UTF_8).then_some(encode))
                    .parse(address)
                    .map_err(|error| error.to_string())
            }
        }
    }

    /// Whether this is new on the page.
    fn see(&mut self, address: &str, fragment: Option<&str>) -> bool {
        let key = match fragment {
            Some(fragment) => format!("{address}#{fragment}"),
            None => address.to_owned(),
        };
        self.seen.insert(key)
    }

    /// What was collected.
    pub(crate) fn finish(mut self) -> Links {
        if let Some(ids) = &mut self.links.ids {
            ids.sort_unstable();
            ids.dedup();
        }
        self.links
    }
}

/// The part of a fragment that must be an id of the page. None if the fragment is right on each page: it is empty, `top`,
/// or the beginning of a text to search for (`:~:text=`). What a style sheet or an image refers to is not checked.
fn fragment_to_check(fragment: &str, kind: LinkKind) -> Option<&str> {
    let is_followed = match kind {
        LinkKind::Anchor | LinkKind::Refresh => true,
        LinkKind::Resource | LinkKind::Style | LinkKind::Sitemap => false,
    };
    let id = fragment.split_once(":~:").map_or(fragment, |(id, _)| id);
    (is_followed && !id.is_empty() && !id.eq_ignore_ascii_case("top")).then_some(id)
}

/// What is said of an address that is too long. Its beginning is enough to find it.
fn too_long(address: &str, line: u32) -> Unusable {
    let text: String = address.chars().take(100).chain(['…']).collect();
    Unusable { text, why: format!("the address has more than {} KiB", ADDRESS_MAX >> 10), line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(has_fragments: bool, texts: &[&str]) -> Links {
        let mut collector = LinkCollector::new(&Url::parse("http://a/dir/page").unwrap(), has_fragments);
        texts.iter().for_each(|text| collector.add(text, LinkKind::Anchor, || 7));
        collector.finish()
    }

    fn found(has_fragments: bool, texts: &[&str]) -> Vec<(String, Option<String>)> {
        collect(has_fragments, texts).found.into_iter().map(|link| (link.url, link.fragment)).collect()
    }

    #[test]
    fn without_fragments_an_address_is_found_once() {
        assert_eq!(found(false, &["x", "x#1", " x#2\n", "#3", "", "#"]), [("http://a/dir/x".into(), None)]);
    }

    #[test]
    fn with_fragments_each_of_them_is_found_once() {
        let found = found(true, &["x", "x#1", "x#1", "x#2", "#3", "#", "x#", "x#top", "x#TOP"]);
        let (x, page) = ("http://a/dir/x".to_owned(), "http://a/dir/page".to_owned());
        let fragment = |text: &str| Some(text.to_owned());
        assert_eq!(found, [(x.clone(), None), (x.clone(), fragment("1")), (x, fragment("2")), (page, fragment("3"))]);
    }

    #[test]
    fn the_text_to_search_for_is_no_id() {
        let found = found(true, &["x#:~:text=a%20b", "y#id:~:text=a"]);
        assert_eq!(found, [("http://a/dir/x".into(), None), ("http://a/dir/y".into(), Some("id".to_owned()))]);
    }

    #[test]
    fn a_right_mail_address_is_ignored_and_a_wrong_one_is_unusable() {
        let links = collect(false, &["mailto:a@b", "mailto:a", "tel:+1-2", "javascript:x()", "http://[bad/"]);
        let schemes: Vec<&str> = links.ignored.iter().map(|(scheme, _)| &**scheme).collect();
        assert_eq!(schemes, ["mailto", "tel", "javascript"]);
        let unusable: Vec<&str> = links.unusable.iter().map(|unusable| &*unusable.text).collect();
        assert_eq!(unusable, ["mailto:a", "http://[bad/"]);
    }

    #[test]
    fn files_are_links_on_pages_that_are_files_only() {
        let file = Url::parse("file:///site/page.html").unwrap();
        let mut collector = LinkCollector::new(&file, true).with_site(Arc::default());
        ["x.html#a", "/x.html", "http://a/", "#b"].iter().for_each(|text| collector.add(text, LinkKind::Anchor, || 1));
        let links = collector.finish();
        let urls: Vec<&str> = links.found.iter().map(|link| &*link.url).collect();
        assert_eq!(urls, ["file:///site/x.html", "http://a/", "file:///site/page.html"]);
        assert_eq!(links.unusable[0].text, "/x.html");
        assert_eq!(collect(true, &["file:///site/x.html"]).ignored[0].0, "file");
    }

    #[test]
    fn ids_are_kept_only_if_fragments_are_checked() {
        for has_fragments in [false, true] {
            let mut collector = LinkCollector::new(&Url::parse("http://a/").unwrap(), has_fragments);
            collector.expect_ids();
            for id in ["b", "a", "b", ""] {
                collector.add_id(id);
            }
            let expected = has_fragments.then(|| vec!["a".to_owned(), "b".to_owned()]);
            assert_eq!(collector.finish().ids, expected);
        }
    }

    #[test]
    fn long_addresses_and_a_long_base_with_many_links_do_not_fill_the_memory() {
        let page = Url::parse("http://a/").unwrap();
        let mut collector = LinkCollector::new(&page, false);
        collector.set_base(&"b".repeat(ADDRESS_MAX + 1));
        collector.add(&"c".repeat(ADDRESS_MAX + 1), LinkKind::Anchor, || 7);
        collector.add("d", LinkKind::Anchor, || 8);
        collector.add(&format!("data:,{}", "e".repeat(ADDRESS_MAX)), LinkKind::Anchor, || 9);
        let links = collector.finish();
        assert_eq!(links.found.iter().map(|link| &*link.url).collect::<Vec<_>>(), ["http://a/d"]);
        assert_eq!(links.unusable.iter().map(|unusable| unusable.line).collect::<Vec<_>>(), [0, 7]);
        assert!(links.unusable.iter().all(|unusable| unusable.text.len() < 200), "{:?}", links.unusable);

        let mut collector = LinkCollector::new(&page, false);
        collector.set_base(&format!("{}/", "b".repeat(ADDRESS_MAX - 100)));
        for number in 0..5_000 {
            collector.add(&number.to_string(), LinkKind::Anchor, || 1);
        }
        let links = collector.finish();
        assert!(links.found.iter().map(|link| link.url.len()).sum::<usize>() <= ADDRESSES_MAX);
        assert_eq!(links.unusable.len(), 1);
    }
}

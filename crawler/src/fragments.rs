//! Links to parts of pages: whether the page has the part that a link names.
//!
//! Called by `fold`. Pure. A link may be found before or after its page is read, so both are kept until they meet.
//!
//! # Invariants
//! - `hashes-only`: of the ids of a page only hashes are kept, because any page may be linked to until the crawl ends. Two
//!   different ids have the same hash once in 10^19 pairs.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use crate::address::{AddressHash, address_hash};
use crate::frontier::Citation;
use crate::page::PageId;

/// How many redirects are followed from a link to the page that has the part.
const HOPS_MAX: usize = 20;

/// A link to a part of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) from: Citation,
    /// The address that is linked to. It may redirect to the page.
    pub(crate) cited: PageId,
    /// As it is written.
    pub(crate) fragment: String,
}

/// The pages whose parts are known, and the links that wait for others.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    pages: HashMap<PageId, Page>,
}

#[derive(Debug)]
enum Page {
    /// The links that wait for it.
    Unread(Vec<Reference>),
    Redirect(PageId),
    Read {
        /// Its parts, sorted (`hashes-only`).
        ids: Box<[AddressHash]>,
        /// The page that it shows instead of itself. Scripts beside a refresh keep the fragment.
        refresh: Option<PageId>,
    },
    /// It is broken, or of a format whose parts are not known.
    Unknown,
}

impl Fragments {
    /// Notes a link. Returns it if its page is known and does not have the part.
    pub(crate) fn add(&mut self, reference: Reference) -> Option<Reference> {
        let mut at = reference.cited;
        for _ in 0..HOPS_MAX {
            match self.pages.entry(at).or_insert_with(|| Page::Unread(Vec::new())) {
                Page::Unread(waiting) => {
                    waiting.push(reference);
                    return None;
                }
                Page::Read { ids, .. } if has_part(ids, &reference.fragment) => return None,
                Page::Read { refresh: None, .. } => return Some(reference),
                Page::Read { refresh: Some(to), .. } | Page::Redirect(to) => at = *to,
                Page::Unknown => return None,
            }
        }
        // A cycle of redirects is broken itself.
        None
    }

    /// `page` was dealt with. `ids` are its parts, None if they are not known. `refresh` is the page that it shows instead of
    /// itself. Returns the links to parts that it lacks.
    pub(crate) fn settle(&mut self, page: PageId, ids: Option<&[String]>, refresh: Option<PageId>) -> Vec<Reference> {
        let Some(ids) = ids else {
            return self.set(page, Page::Unknown);
        };
        let mut hashes: Vec<AddressHash> = ids.iter().map(|id| address_hash(id)).collect();
        hashes.sort_unstable();
        // A page may load itself again.
        self.set(page, Page::Read { ids: hashes.into(), refresh: refresh.filter(|&to| to != page) })
    }

    /// `page` redirects to `to`. Returns the links to parts that `to` lacks, if it was read already.
    pub(crate) fn redirect(&mut self, page: PageId, to: PageId) -> Vec<Reference> {
        self.set(page, Page::Redirect(to))
    }

    /// Checks the links that have waited for the page.
    fn set(&mut self, page: PageId, state: Page) -> Vec<Reference> {
        let waiting = match self.pages.insert(page, state) {
            Some(Page::Unread(waiting)) => waiting,
            Some(Page::Redirect(_) | Page::Read { .. } | Page::Unknown) | None => Vec::new(),
        };
        waiting.into_iter().filter_map(|reference| self.add(reference)).collect()
    }
}

/// Whether a page with these parts has the one that `fragment` names, by the rules of the HTML standard: as it is written,
/// or percent-decoded. Some pages give their fragments a meaning by scripts; what is known of these is not missing.
fn has_part(hashes: &[AddressHash], fragment: &str) -> bool {
    let has = |id: &str| hashes.binary_search(&address_hash(id)).is_ok();
    let decoded = percent_decode_str(fragment).decode_utf8_lossy();
    has(fragment)
        || has(&decoded)
        // Hosts of Markdown pages put this before ids, so that they are not confused with their own.
        || has(&format!("user-content-{decoded}"))
        || is_route(&decoded)
        || lines(&decoded).is_some_and(|(first, last)| has(first) && has(last))
}

/// An address within an application of one page, such as `#/settings` or `#!/settings`.
fn is_route(fragment: &str) -> bool {
    fragment.starts_with('/') || fragment.starts_with('!')
}

/// The ends of a range of lines in a source text, such as `10-20` or `L10-L20`.
fn lines(fragment: &str) -> Option<(&str, &str)> {
    let is_line = |text: &str| {
        let digits = text.strip_prefix('L').unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    fragment.split_once('-').filter(|(first, last)| is_line(first) && is_line(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(from: PageId, cited: PageId, fragment: &str) -> Reference {
        Reference { from: Citation { page: from, line: 1 }, cited, fragment: fragment.to_owned() }
    }

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn a_part_may_be_linked_to_before_and_after_its_page_is_read() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(reference(0, 1, "here")), None);
        assert_eq!(fragments.add(reference(0, 1, "gone")), None);
        assert_eq!(fragments.settle(1, Some(&ids(&["other", "here"])), None), [reference(0, 1, "gone")]);
        assert_eq!(fragments.add(reference(2, 1, "gone")), Some(reference(2, 1, "gone")));
        assert_eq!(fragments.add(reference(2, 1, "other")), None);
    }

    #[test]
    fn a_page_whose_parts_are_not_known_lacks_none() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(reference(0, 1, "page=2")), None);
        assert_eq!(fragments.settle(1, None, None), []);
        assert_eq!(fragments.add(reference(0, 1, "page=3")), None);
    }

    #[test]
    fn a_part_is_looked_for_where_the_redirects_lead() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(reference(0, 1, "gone")), None);
        assert_eq!(fragments.redirect(1, 2), []);
        assert_eq!(fragments.redirect(2, 3), []);
        assert_eq!(fragments.settle(3, Some(&ids(&["here"])), None), [reference(0, 1, "gone")]);
        assert_eq!(fragments.add(reference(5, 1, "here")), None);
        assert_eq!(fragments.add(reference(5, 2, "gone")), Some(reference(5, 2, "gone")));
        // The page was read before the redirect to it was found.
        assert_eq!(fragments.add(reference(5, 4, "gone")), None);
        assert_eq!(fragments.redirect(4, 3), [reference(5, 4, "gone")]);
    }

    #[test]
    fn a_page_that_shows_another_one_has_the_parts_of_both() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(reference(0, 1, "own")), None);
        assert_eq!(fragments.add(reference(0, 1, "there")), None);
        assert_eq!(fragments.add(reference(0, 1, "gone")), None);
        assert_eq!(fragments.settle(1, Some(&ids(&["own"])), Some(2)), []);
        assert_eq!(fragments.settle(2, Some(&ids(&["there"])), Some(2)), [reference(0, 1, "gone")]);
    }

    #[test]
    fn a_cycle_of_redirects_ends() {
        let mut fragments = Fragments::default();
        assert_eq!(fragments.add(reference(0, 1, "x")), None);
        assert_eq!(fragments.redirect(1, 2), []);
        assert_eq!(fragments.redirect(2, 1), []);
        assert_eq!(fragments.add(reference(0, 1, "x")), None);
    }

    #[test]
    fn fragments_are_right_as_written_and_decoded_and_scripts_have_their_own() {
        let mut hashes: Vec<AddressHash> =
            ["a b", "%41", "caf\u{e9}", "user-content-part", "10", "20", "L3", "L4", "Case"].map(address_hash).to_vec();
        hashes.sort_unstable();
        for there in
            ["a%20b", "%41", "caf%C3%A9", "caf\u{e9}", "part", "10", "10-20", "L3-L4", "/route", "!/route", "Case"]
        {
            assert!(has_part(&hashes, there), "{there}");
        }
        for missing in ["A", "a+b", "caf", "10-30", "10-", "L3-L5", "30", "case", "-"] {
            assert!(!has_part(&hashes, missing), "{missing}");
        }
    }
}

//! Every address that a crawl has found: the pages that link to it, its distance from a start, and its state.
//!
//! Called by `fold`, which adds links and sets states; read through `outcome`. Pure: no clock, no socket.
//!
//! # Invariants
//! - `one-entry`: an address has one entry, so it is fetched at most once.
//! - `referrers-of-unproven`: the pages that link to a page are kept only while the page may still turn out broken.
//!   So the memory of a crawl grows with its pages, not with its links.
//! - `short-chains`: a redirect is an entry that points to another entry. All redirects of a cycle are broken. A chain of
//!   more than [`REDIRECTS_MAX`] redirects is broken at its end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{AddressHash, address_hash};
use crate::page::{Failure, PageId, PageState, Reason, Scope};

/// The longest chain of redirects that is followed. Chosen without measurement; browsers stop at 20.
pub(crate) const REDIRECTS_MAX: usize = 10;

/// A link, from the side of the page that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) page: PageId,
    /// The line on which it stands, from 1 on. 0 if it stands on none, as the target of a redirect.
    pub(crate) line: u32,
}

/// A page that links to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Referrer<'a> {
    pub(crate) page: &'a str,
    /// The redirect through which it links there.
    pub(crate) through: Option<&'a str>,
    /// The line of its first link there. None if that is not known.
    pub(crate) line: Option<u32>,
}

/// An address.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) url: Arc<str>,
    pub(crate) depth: u16,
    pub(crate) scope: Scope,
    pub(crate) state: PageState,
    /// The links to it (`referrers-of-unproven`). Empty for a start.
    referrers: Vec<Citation>,
}

/// What [`Frontier::add_link`] did with a link.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Admission {
    /// It is new: queue it.
    New(PageId),
    /// It has an entry already.
    Known(PageId),
    /// A limit excludes it.
    Refused,
}

/// The limits of a crawl.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) depth: Option<u16>,
    #[serde(default = "no_limit", skip_serializing_if = "is_no_limit")]
    pub(crate) pages: usize,
}

fn no_limit() -> usize {
    usize::MAX
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_no_limit(pages: &usize) -> bool {
    *pages == no_limit()
}

/// All addresses of a crawl.
#[derive(Debug)]
pub(crate) struct Frontier {
    ids: HashMap<Arc<str>, PageId>,
    entries: Vec<Entry>,
    limits: Limits,
    admitted: usize,
    /// Addresses that `--depth` or `--max-pages` excludes. An address that is admitted later is removed.
    too_deep: HashSet<AddressHash>,
    over_max_pages: HashSet<AddressHash>,
    /// Addresses that cannot be fetched, by scheme.
    ignored: HashMap<String, HashSet<AddressHash>>,
}

impl Frontier {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            ids: HashMap::new(),
            entries: Vec::new(),
            limits,
            admitted: 0,
            too_deep: HashSet::new(),
            over_max_pages: HashSet::new(),
            ignored: HashMap::new(),
        }
    }

    pub(crate) fn find(&self, url: &str) -> Option<PageId> {
        self.ids.get(url).copied()
    }

    /// Records that `from` links to an address that has an entry. Returns None if it has none.
    pub(crate) fn cite(&mut self, url: &str, from: Option<Citation>) -> Option<PageId> {
        let id = self.find(url)?;
        let entry = &mut self.entries[id as usize];
        // `referrers-of-unproven`
        if !matches!(entry.state, PageState::Good(_) | PageState::Skipped(_)) {
            entry.referrers.extend(from);
        }
        Some(id)
    }

    /// Records that `from` (None for a start) links to `url`, `depth` clicks from a start. An address that will not be
    /// fetched does not count as a page.
    pub(crate) fn add_link(
        &mut self,
        url: &str,
        from: Option<Citation>,
        depth: u16,
        scope: Scope,
        will_be_fetched: bool,
    ) -> Admission {
        if let Some(id) = self.cite(url, from) {
            return Admission::Known(id);
        }
        let hash = address_hash(url);
        if self.limits.depth.is_some_and(|limit| depth > limit) {
            if !self.over_max_pages.contains(&hash) {
                self.too_deep.insert(hash);
            }
            return Admission::Refused;
        }
        self.too_deep.remove(&hash);
        if will_be_fetched && self.admitted >= self.limits.pages {
            self.over_max_pages.insert(hash);
            return Admission::Refused;
        }
        self.over_max_pages.remove(&hash);
        self.admitted += usize::from(will_be_fetched);
        let id = self.insert(url, depth, scope);
        self.entries[id as usize].referrers.extend(from);
        Admission::New(id)
    }

    /// Adds an address that has no entry yet, whatever the limits are.
    pub(crate) fn insert(&mut self, url: &str, depth: u16, scope: Scope) -> PageId {
        let id = PageId::try_from(self.entries.len()).expect("four billion addresses do not fit into memory");
        let url: Arc<str> = url.into();
        // `one-entry`
        self.ids.insert(Arc::clone(&url), id);
        self.entries.push(Entry { url, depth, scope, state: PageState::Pending, referrers: Vec::new() });
        id
    }

    /// Sets where an address is. Records that many processes made decide that.
    pub(crate) fn place(&mut self, id: PageId, depth: u16, scope: Scope) {
        let entry = &mut self.entries[id as usize];
        (entry.depth, entry.scope) = (depth, scope);
    }

    /// Counts an address that cannot be fetched.
    pub(crate) fn ignore(&mut self, scheme: &str, hash: AddressHash) {
        match self.ignored.get_mut(scheme) {
            Some(hashes) => hashes.insert(hash),
            None => self.ignored.entry(scheme.to_owned()).or_default().insert(hash),
        };
    }

    /// How many addresses were refused because of `--depth`.
    pub(crate) fn too_deep(&self) -> usize {
        self.too_deep.len()
    }

    /// How many addresses were refused because of `--max-pages`.
    pub(crate) fn over_max_pages(&self) -> usize {
        self.over_max_pages.len()
    }

    /// How many addresses of each scheme cannot be fetched.
    pub(crate) fn ignored(&self) -> BTreeMap<String, usize> {
        self.ignored.iter().map(|(scheme, hashes)| (scheme.clone(), hashes.len())).collect()
    }

    pub(crate) fn entry(&self, id: PageId) -> &Entry {
        &self.entries[id as usize]
    }

    /// All entries, in the order of their discovery.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Sets the state of a page that was pending.
    pub(crate) fn set_state(&mut self, id: PageId, state: PageState) {
        let entry = &mut self.entries[id as usize];
        if matches!(state, PageState::Good(_) | PageState::Skipped(_)) {
            // `referrers-of-unproven`
            entry.referrers = Vec::new();
        }
        entry.state = state;
    }

    /// Sets `from` to a redirect to `to`. If that closes a cycle, all its redirects become broken, and are returned.
    pub(crate) fn redirect(&mut self, from: PageId, status: u16, to: PageId) -> Vec<PageId> {
        self.set_state(from, PageState::Redirect { status, to });
        // `short-chains`: follow the chain to its end.
        let mut ahead = vec![from];
        let mut at = to;
        loop {
            if ahead.contains(&at) {
                for &id in &ahead {
                    let PageState::Redirect { status, .. } = self.entry(id).state else {
                        continue;
                    };
                    let reason = Reason::EndlessRedirect("it leads back to itself".into());
                    self.set_state(id, PageState::Broken(Failure::with_status(status, reason)));
                }
                return ahead;
            }
            let PageState::Redirect { to, .. } = self.entry(at).state else {
                break;
            };
            ahead.push(at);
            at = to;
        }
        Vec::new()
    }

    /// The reason why `id` is broken if it redirects: [`REDIRECTS_MAX`] redirects have led to it already. Must be called
    /// before the target is added, otherwise the target is fetched and the chain does not end (`short-chains`).
    pub(crate) fn too_many_redirects(&self, id: PageId) -> Option<Reason> {
        let mut at = id;
        for _ in 0..REDIRECTS_MAX {
            let mut pages = self.entry(at).referrers.iter().map(|citation| citation.page);
            at = pages.find(|&page| self.leads_to(page, at))?;
        }
        Some(Reason::EndlessRedirect(format!("more than {REDIRECTS_MAX} hops")))
    }

    fn leads_to(&self, from: PageId, target: PageId) -> bool {
        matches!(self.entry(from).state, PageState::Redirect { to, .. } if to == target)
    }

    /// The pages that link to `id`, sorted. In place of a redirect to `id`: the pages that link to the redirect, with the
    /// address of the redirect.
    pub(crate) fn referrers(&self, id: PageId) -> Vec<Referrer<'_>> {
        let mut found: BTreeMap<(&str, Option<&str>), u32> = BTreeMap::new();
        let mut seen = HashSet::from([id]);
        let mut open: Vec<(PageId, Option<PageId>)> = vec![(id, None)];
        while let Some((at, through)) = open.pop() {
            for &Citation { page, line } in &self.entry(at).referrers {
                if self.leads_to(page, at) {
                    if seen.insert(page) {
                        open.push((page, Some(through.unwrap_or(page))));
                    }
                } else {
                    let place = (&*self.entry(page).url, through.map(|id| &*self.entry(id).url));
                    found.entry(place).and_modify(|first| *first = line.min(*first)).or_insert(line);
                }
            }
        }
        let referrer = |((page, through), line)| Referrer { page, through, line: (line > 0).then_some(line) };
        found.into_iter().map(referrer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Content;

    fn frontier() -> Frontier {
        Frontier::new(Limits { depth: Some(3), pages: 100 })
    }

    fn add(frontier: &mut Frontier, url: &str, from: Option<PageId>) -> PageId {
        let from = from.map(|page| Citation { page, line: 3 });
        match frontier.add_link(url, from, 0, Scope::Inside, true) {
            Admission::New(id) | Admission::Known(id) => id,
            Admission::Refused => panic!("refused {url}"),
        }
    }

    fn good() -> PageState {
        PageState::Good(Content { status: 200, bytes: 1, sha256: None, note: None })
    }

    #[test]
    fn an_address_is_new_once() {
        let mut frontier = frontier();
        assert_eq!(frontier.add_link("a", None, 0, Scope::Inside, true), Admission::New(0));
        assert_eq!(frontier.add_link("a", None, 2, Scope::Inside, true), Admission::Known(0));
    }

    #[test]
    fn depth_and_number_are_limited() {
        let mut frontier = Frontier::new(Limits { depth: Some(1), pages: 1 });
        let mut add_link =
            |url, depth, will_be_fetched| frontier.add_link(url, None, depth, Scope::Inside, will_be_fetched);
        assert_eq!(add_link("deep", 2, true), Admission::Refused);
        assert_eq!(add_link("a", 1, true), Admission::New(0));
        assert_eq!(add_link("b", 1, true), Admission::Refused);
        assert_eq!(add_link("b", 2, true), Admission::Refused);
        assert_eq!(add_link("b", 1, true), Admission::Refused);
        assert_eq!(add_link("free", 1, false), Admission::New(1));
        assert_eq!((frontier.too_deep(), frontier.over_max_pages()), (1, 1));
    }

    #[test]
    fn an_address_that_was_too_deep_is_admitted_nearer_to_the_start() {
        let mut frontier = Frontier::new(Limits { depth: Some(1), pages: 1 });
        assert_eq!(frontier.add_link("a", None, 2, Scope::Inside, true), Admission::Refused);
        assert_eq!(frontier.add_link("a", None, 1, Scope::Inside, true), Admission::New(0));
        assert_eq!(frontier.too_deep(), 0);
    }

    #[test]
    fn an_ignored_address_is_counted_once() {
        let mut frontier = frontier();
        for address in ["mailto:a", "mailto:b", "mailto:a"] {
            frontier.ignore("mailto", address_hash(address));
        }
        assert_eq!(frontier.ignored(), BTreeMap::from([("mailto".to_owned(), 2)]));
    }

    #[test]
    fn referrers_are_kept_of_pages_that_are_not_proven_good() {
        let mut frontier = frontier();
        let (start, fine, gone) = (
            add(&mut frontier, "start", None),
            add(&mut frontier, "fine", Some(0)),
            add(&mut frontier, "gone", Some(0)),
        );
        frontier.set_state(fine, good());
        frontier.set_state(gone, PageState::Broken(Failure::with_status(404, Reason::Status(404))));
        add(&mut frontier, "fine", Some(start));
        add(&mut frontier, "gone", Some(fine));
        assert!(frontier.referrers(fine).is_empty());
        let from = |page| Referrer { page, through: None, line: Some(3) };
        assert_eq!(frontier.referrers(gone), ["fine", "start"].map(from));
    }

    #[test]
    fn a_cycle_of_redirects_is_broken_as_a_whole() {
        let mut frontier = frontier();
        let a = add(&mut frontier, "a", None);
        let b = add(&mut frontier, "b", Some(a));
        assert!(frontier.redirect(a, 301, b).is_empty());
        assert_eq!(frontier.redirect(b, 301, a), [b, a]);
        assert!(matches!(frontier.entry(a).state, PageState::Broken(_)));
        assert!(matches!(frontier.entry(b).state, PageState::Broken(_)));
        let own = add(&mut frontier, "own", None);
        assert_eq!(frontier.redirect(own, 302, own), [own]);
    }

    #[test]
    fn an_endless_chain_of_redirects_ends() {
        let mut frontier = frontier();
        let mut at = add(&mut frontier, "0", None);
        for hop in 1..=REDIRECTS_MAX {
            let next = add(&mut frontier, &hop.to_string(), Some(at));
            assert!(frontier.too_many_redirects(at).is_none(), "hop {hop}");
            assert!(frontier.redirect(at, 302, next).is_empty(), "hop {hop}");
            at = next;
        }
        assert!(frontier.too_many_redirects(at).is_some());
    }

    #[test]
    fn a_broken_target_names_the_pages_behind_the_redirect() {
        let mut frontier = frontier();
        let page = add(&mut frontier, "page", None);
        let old = add(&mut frontier, "old", Some(page));
        let new = add(&mut frontier, "new", Some(old));
        assert!(frontier.redirect(old, 301, new).is_empty());
        frontier.set_state(new, PageState::Broken(Failure::with_status(410, Reason::Status(410))));
        assert_eq!(frontier.referrers(new), [Referrer { page: "page", through: Some("old"), line: Some(3) }]);
    }

    #[test]
    fn a_page_that_links_twice_is_one_referrer_with_its_first_line() {
        let mut frontier = frontier();
        let page = add(&mut frontier, "page", None);
        let gone = add(&mut frontier, "gone", Some(page));
        for line in [2, 9] {
            assert_eq!(frontier.cite("gone", Some(Citation { page, line })), Some(gone));
        }
        assert_eq!(frontier.referrers(gone), [Referrer { page: "page", through: None, line: Some(2) }]);
        let other = add(&mut frontier, "other", None);
        assert_eq!(frontier.cite("gone", Some(Citation { page: other, line: 0 })), Some(gone));
        assert_eq!(frontier.referrers(gone)[0], Referrer { page: "other", through: None, line: None });
    }
}

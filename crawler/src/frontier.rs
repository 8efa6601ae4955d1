//! What is known of every address: who cites it, how far it is from the start, and what became of it.
//!
//! Called by `crawl`, which asks [`Frontier::cite`] for each link and says what it found; read by `report` and `store`.
//! Pure: no clock, no socket.
//!
//! # Invariants
//! - `one-entry`: an address has one entry, so it is fetched at most once, whatever cites it.
//! - `citers-of-the-unproven`: who cites a page is kept only as long as the page may turn out broken. The memory of a
//!   crawl so grows with its pages and not with its links.
//! - `short-chains`: a redirect is an entry that points to another one; a chain that comes back to itself is broken as a
//!   whole, and one of more than [`HOPS_MAX`] hops is broken at its end.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::page::{Fate, Left, PageId, Reach, Trouble};

/// The longest chain of redirects that is followed. Picked by feel; browsers stop at 20.
pub(crate) const HOPS_MAX: usize = 10;

/// An address.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) url: Arc<str>,
    pub(crate) depth: u16,
    pub(crate) reach: Reach,
    pub(crate) fate: Fate,
    /// See `citers-of-the-unproven`. Empty for a start.
    cited_by: Vec<PageId>,
}

/// What [`Frontier::cite`] did with a link.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Cited {
    /// It is new: schedule it.
    New(PageId),
    /// It is known: nothing to do.
    Known(PageId),
    /// It is too deep or one page too many.
    Refused,
}

/// How far a crawl goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) depth: Option<u16>,
    pub(crate) pages: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Frontier {
    ids: HashMap<Arc<str>, PageId>,
    entries: Vec<Entry>,
    scope: HashSet<String>,
    limits: Limits,
    admitted: usize,
    /// Links refused because of `--max-pages`; a page is counted as often as it is cited.
    pub(crate) refused: usize,
}

impl Frontier {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { ids: HashMap::new(), entries: Vec::new(), scope: HashSet::new(), limits, admitted: 0, refused: 0 }
    }

    /// Pages on `origin` are searched for links from now on.
    pub(crate) fn widen(&mut self, origin: String) {
        self.scope.insert(origin);
    }

    pub(crate) fn reach_of(&self, origin: &str) -> Reach {
        if self.scope.contains(origin) { Reach::Inside } else { Reach::Outside }
    }

    /// Notes that `from` (nothing for a start) links to `url`, `depth` clicks from a start. `reach` is asked only for an
    /// address that is new.
    pub(crate) fn cite(
        &mut self,
        url: &str,
        from: Option<PageId>,
        depth: u16,
        reach: impl FnOnce(&Self) -> Reach,
    ) -> Cited {
        if let Some(&id) = self.ids.get(url) {
            let entry = &mut self.entries[id as usize];
            // `citers-of-the-unproven`
            if !matches!(entry.fate, Fate::Good(_) | Fate::Left(_)) {
                entry.cited_by.extend(from);
            }
            return Cited::Known(id);
        }
        if self.limits.depth.is_some_and(|limit| depth > limit) {
            return Cited::Refused;
        }
        if self.admitted >= self.limits.pages {
            self.refused += 1;
            return Cited::Refused;
        }
        self.admitted += 1;
        let id = PageId::try_from(self.entries.len()).expect("four billion addresses do not fit into memory");
        let reach = reach(self);
        let url: Arc<str> = url.into();
        // `one-entry`
        self.ids.insert(Arc::clone(&url), id);
        self.entries.push(Entry { url, depth, reach, fate: Fate::Waiting, cited_by: from.into_iter().collect() });
        Cited::New(id)
    }

    pub(crate) fn entry(&self, id: PageId) -> &Entry {
        &self.entries[id as usize]
    }

    /// All entries, in the order of their discovery.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Says what became of a page that was waiting.
    pub(crate) fn settle(&mut self, id: PageId, fate: Fate) {
        if matches!(fate, Fate::Left(Left::Outside)) {
            // It costs no request, so it does not count as a page.
            self.admitted -= 1;
        }
        let entry = &mut self.entries[id as usize];
        if matches!(fate, Fate::Good(_) | Fate::Left(_)) {
            // `citers-of-the-unproven`
            entry.cited_by = Vec::new();
        }
        entry.fate = fate;
    }

    /// Settles `from` as a redirect to `to`, or, if that closes a circle, the whole circle as broken; returns what it broke.
    pub(crate) fn redirect(&mut self, from: PageId, status: u16, to: PageId) -> Vec<PageId> {
        self.settle(from, Fate::Redirect { status, to });
        // `short-chains`: walk forward to the chain's end.
        let mut ahead = vec![from];
        let mut at = to;
        loop {
            if ahead.contains(&at) {
                let trouble = Trouble::EndlessRedirect("it comes back to itself".into());
                for &id in &ahead {
                    self.settle(id, Fate::Broken(trouble.clone()));
                }
                return ahead;
            }
            let Fate::Redirect { to, .. } = self.entry(at).fate else {
                break;
            };
            ahead.push(at);
            at = to;
        }
        Vec::new()
    }

    /// What is wrong if `id` redirects, after [`HOPS_MAX`] redirects that led to it. To be asked before the target is
    /// cited, or the next hop would be fetched and the chain would not end (`short-chains`).
    pub(crate) fn too_many_hops(&self, id: PageId) -> Option<Trouble> {
        let mut at = id;
        for _ in 0..HOPS_MAX {
            at = self.entry(at).cited_by.iter().copied().find(|&citer| self.leads_to(citer, at))?;
        }
        Some(Trouble::EndlessRedirect(format!("more than {HOPS_MAX} hops")))
    }

    fn leads_to(&self, from: PageId, target: PageId) -> bool {
        matches!(self.entry(from).fate, Fate::Redirect { to, .. } if to == target)
    }

    /// The pages that cite `id`, sorted; where that is a redirect, the pages that cite the redirect, with its address.
    pub(crate) fn citers(&self, id: PageId) -> Vec<(&str, Option<&str>)> {
        let mut found = BTreeSet::new();
        let mut seen = HashSet::from([id]);
        let mut open: Vec<(PageId, Option<PageId>)> = vec![(id, None)];
        while let Some((at, through)) = open.pop() {
            for &citer in &self.entry(at).cited_by {
                if self.leads_to(citer, at) {
                    if seen.insert(citer) {
                        open.push((citer, Some(through.unwrap_or(citer))));
                    }
                } else {
                    found.insert((&*self.entry(citer).url, through.map(|id| &*self.entry(id).url)));
                }
            }
        }
        found.into_iter().collect()
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
        match frontier.cite(url, from, 0, |_| Reach::Inside) {
            Cited::New(id) | Cited::Known(id) => id,
            Cited::Refused => panic!("refused {url}"),
        }
    }

    fn good() -> Fate {
        Fate::Good(Content { status: 200, bytes: 1, sha256: None, note: None })
    }

    #[test]
    fn an_address_is_new_once() {
        let mut frontier = frontier();
        assert_eq!(frontier.cite("a", None, 0, |_| Reach::Inside), Cited::New(0));
        assert_eq!(frontier.cite("a", None, 2, |_| unreachable!()), Cited::Known(0));
    }

    #[test]
    fn depth_and_number_are_limited() {
        let mut frontier = Frontier::new(Limits { depth: Some(1), pages: 1 });
        assert_eq!(frontier.cite("deep", None, 2, |_| Reach::Inside), Cited::Refused);
        assert_eq!(frontier.cite("a", None, 1, |_| Reach::Inside), Cited::New(0));
        assert_eq!(frontier.cite("b", None, 1, |_| Reach::Inside), Cited::Refused);
        assert_eq!(frontier.refused, 1);
    }

    #[test]
    fn citers_are_kept_of_what_is_not_proven_good() {
        let mut frontier = frontier();
        let (start, fine, gone) = (
            add(&mut frontier, "start", None),
            add(&mut frontier, "fine", Some(0)),
            add(&mut frontier, "gone", Some(0)),
        );
        frontier.settle(fine, good());
        frontier.settle(gone, Fate::Broken(Trouble::Status(404)));
        add(&mut frontier, "fine", Some(start));
        add(&mut frontier, "gone", Some(fine));
        assert!(frontier.citers(fine).is_empty());
        assert_eq!(frontier.citers(gone), [("fine", None), ("start", None)]);
    }

    #[test]
    fn a_circle_of_redirects_is_broken_as_a_whole() {
        let mut frontier = frontier();
        let a = add(&mut frontier, "a", None);
        let b = add(&mut frontier, "b", Some(a));
        assert!(frontier.redirect(a, 301, b).is_empty());
        assert_eq!(frontier.redirect(b, 301, a), [b, a]);
        assert!(matches!(frontier.entry(a).fate, Fate::Broken(_)));
        assert!(matches!(frontier.entry(b).fate, Fate::Broken(_)));
        let own = add(&mut frontier, "own", None);
        assert_eq!(frontier.redirect(own, 302, own), [own]);
    }

    #[test]
    fn an_endless_chain_of_redirects_ends() {
        let mut frontier = frontier();
        let mut at = add(&mut frontier, "0", None);
        for hop in 1..=HOPS_MAX {
            let next = add(&mut frontier, &hop.to_string(), Some(at));
            assert!(frontier.too_many_hops(at).is_none(), "hop {hop}");
            assert!(frontier.redirect(at, 302, next).is_empty(), "hop {hop}");
            at = next;
        }
        assert!(frontier.too_many_hops(at).is_some());
    }

    #[test]
    fn a_broken_target_names_the_pages_behind_the_redirect() {
        let mut frontier = frontier();
        let page = add(&mut frontier, "page", None);
        let old = add(&mut frontier, "old", Some(page));
        let new = add(&mut frontier, "new", Some(old));
        assert!(frontier.redirect(old, 301, new).is_empty());
        frontier.settle(new, Fate::Broken(Trouble::Status(410)));
        assert_eq!(frontier.citers(new), [("page", Some("old"))]);
    }

    #[test]
    fn the_scope_says_what_is_inside() {
        let mut frontier = frontier();
        frontier.widen("http://a".into());
        assert_eq!(frontier.reach_of("http://a"), Reach::Inside);
        assert_eq!(frontier.reach_of("http://b"), Reach::Outside);
    }
}

//! How records become what a crawl knows: the pages that are to be fetched, and the state of each.
//!
//! Called by `work`. Pure: what it holds is a function of the settings, the starts and the records in their order. A crawl
//! that runs, one that continues from a store and a report from another machine all come to the same result.

use std::mem::take;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::filters::{Filters, SearchedPlaces};
use crate::fragments::{Fragments, Reference};
use crate::frontier::{Admission, Citation, Frontier, Limits};
use crate::links::{LinkKind, Unusable};
use crate::local_site;
use crate::page::{Failure, PageId, PageState, Reason, Scope, Skipped};
use crate::record::{Answer, PageRecord};
use crate::statuses::Statuses;

/// What a crawl starts from, and what belongs to it. Two crawls with the same plan are the same crawl.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) starts: Vec<String>,
    pub(crate) selection: Selection,
    /// What decides which links a page has, and which pages are good.
    pub(crate) reading: Reading,
}

/// The settings that decide what is recorded of a page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) has_fragments: bool,
    /// Whether parts of pages outside are checked, too.
    pub(crate) has_outside_fragments: bool,
    pub(crate) has_sitemaps: bool,
    /// See `LocalSite`.
    pub(crate) root: Option<String>,
    pub(crate) base: Option<String>,
    /// The statuses of good pages.
    pub(crate) accept: Statuses,
}

impl Plan {
    /// The plan as text, by which it can be told from others.
    pub(crate) fn identity(&self) -> String {
        serde_json::to_string(self).expect("its maps have text as keys")
    }

    /// Whether all starts are files of this machine.
    pub(crate) fn has_only_files(&self) -> bool {
        self.starts.iter().all(|start| Url::parse(start).is_ok_and(|start| local_site::is_file(&start)))
    }
}

/// The settings that decide which pages belong to a crawl.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Selection {
    pub(crate) limits: Limits,
    pub(crate) same_origin: bool,
    /// Whether only the folders of the starts are searched for links (`--no-parent`).
    pub(crate) only_folders: bool,
    pub(crate) filters: Filters,
    /// The files and folders that were given. See [`local_site::scope_of`].
    pub(crate) given_files: Vec<String>,
}

/// All that is known after some records.
#[derive(Debug)]
pub(crate) struct Fold {
    selection: Selection,
    frontier: Frontier,
    places: SearchedPlaces,
    /// Of all good pages.
    bytes: u64,
    fragments: Fragments,
    effects: Effects,
}

/// What a record changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    /// Addresses whose state was decided.
    pub(crate) settled: Vec<PageId>,
    /// Pages that are to be fetched.
    pub(crate) queued: Vec<PageId>,
}

impl Fold {
    /// The state before the first record.
    fn new(selection: Selection) -> Self {
        Self {
            frontier: Frontier::new(selection.limits),
            places: SearchedPlaces::new(selection.only_folders, selection.given_files.clone()),
            selection,
            bytes: 0,
            fragments: Fragments::default(),
            effects: Effects::default(),
        }
    }

    pub(crate) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(crate) fn into_frontier(self) -> Frontier {
        self.frontier
    }

    /// The size of all good pages.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The state before the first record: the starts are pending.
    pub(crate) fn of_plan(plan: &Plan) -> Self {
        let mut fold = Self::new(plan.selection.clone());
        plan.starts.iter().filter_map(|start| Url::parse(start).ok()).for_each(|start| drop(fold.add_start(&start)));
        fold
    }

    /// Whether no record of this address was taken in.
    pub(crate) fn is_pending(&self, url: &str) -> bool {
        let id = self.frontier.find(url);
        id.is_none_or(|id| matches!(self.frontier.entry(id).state, PageState::Pending))
    }

    /// The pages that are to be fetched, in the order of their discovery.
    pub(crate) fn pending(&self) -> Vec<PageId> {
        let entries = (0..).zip(self.frontier.entries());
        entries.filter(|(_, entry)| matches!(entry.state, PageState::Pending)).map(|(id, _)| id).collect()
    }

    /// Starts from `url`, whose origin is crawled from now on. No filter leaves out a start.
    pub(crate) fn add_start(&mut self, url: &Url) -> Effects {
        self.places.add_start(url);
        self.add_link(url.as_str(), None, 0);
        take(&mut self.effects)
    }

    /// From now on, what is near `url` is searched for links: a start redirects there.
    pub(crate) fn add_inside(&mut self, url: &str) {
        if let Ok(parsed) = Url::parse(url) {
            self.places.add_start(&parsed);
        }
    }

    /// Takes in what became of an address. A second record of an address changes nothing.
    pub(crate) fn apply(&mut self, record: &PageRecord) -> Effects {
        let page = self.page_of(record);
        // Another process may have found it nearer to a start, or may have known earlier that it is inside.
        if matches!(self.frontier.entry(page).state, PageState::Pending | PageState::Skipped(Skipped::Outside)) {
            self.frontier.place(page, record.depth, record.scope);
            self.settle(page, record);
        }
        take(&mut self.effects)
    }

    /// The entry of the address. It is usually there, because a link led to it.
    fn page_of(&mut self, record: &PageRecord) -> PageId {
        self.frontier.find(&record.url).unwrap_or_else(|| self.frontier.insert(&record.url, record.depth, record.scope))
    }

    fn settle(&mut self, page: PageId, record: &PageRecord) {
        match &record.answer {
            Answer::Good(content) => {
                self.bytes += content.bytes;
                self.set_state(page, PageState::Good(content.clone()));
            }
            Answer::Broken(failure) => self.set_state(page, PageState::Broken(failure.clone())),
            Answer::Forbidden(reason) => self.set_state(page, PageState::Skipped(Skipped::Robots(reason.clone()))),
            Answer::Redirect { status, to } => self.redirect(page, *status, to),
        }
        let depth = self.frontier.entry(page).depth.saturating_add(1);
        let mut refresh = None;
        for link in &record.links {
            // What sitemaps list is one click from a start, also if a sitemap lists other ones.
            let depth = if link.kind == LinkKind::Sitemap { depth.min(1) } else { depth };
            let from = Citation { page, line: link.line };
            let cited = self.add_link(&link.url, Some(from), depth);
            if link.kind == LinkKind::Refresh {
                refresh = refresh.or(cited);
            }
            if let (Some(cited), Some(fragment)) = (cited, &link.fragment) {
                let reference = Reference { from, cited, fragment: fragment.clone() };
                if let Some(missing) = self.fragments.add(reference) {
                    self.add_missing(&missing);
                }
            }
        }
        if !matches!(self.frontier.entry(page).state, PageState::Redirect { .. }) {
            let missing = self.fragments.settle(page, record.ids.as_deref(), refresh);
            missing.iter().for_each(|reference| self.add_missing(reference));
        }
        for (scheme, hash) in &record.ignored {
            self.frontier.ignore(scheme, *hash);
        }
        for Unusable { text, why, line } in &record.unusable {
            self.add_unusable(text, why, Citation { page, line: *line }, depth);
        }
    }

    fn redirect(&mut self, page: PageId, status: u16, to: &str) {
        if let Some(reason) = self.frontier.too_many_redirects(page) {
            return self.set_state(page, PageState::Broken(Failure::with_status(status, reason)));
        }
        let depth = self.frontier.entry(page).depth;
        // If a start redirects to another origin, that origin is crawled.
        if depth == 0 {
            if let Ok(to) = Url::parse(to) {
                self.places.add_start(&to);
            }
        }
        match self.add_link(to, Some(Citation { page, line: 0 }), depth) {
            Some(target) => match self.frontier.redirect(page, status, target) {
                cycle if cycle.is_empty() => {
                    self.effects.settled.push(page);
                    let missing = self.fragments.redirect(page, target);
                    missing.iter().for_each(|reference| self.add_missing(reference));
                }
                cycle => self.effects.settled.extend(cycle),
            },
            None => {
                let reason = Reason::BadRedirect("its target is left out by --max-pages".into());
                self.set_state(page, PageState::Broken(Failure::with_status(status, reason)));
            }
        }
    }

    /// Notes a link, and queues its page if it is new. Returns None if a limit excludes it, or if it is no address.
    fn add_link(&mut self, link: &str, from: Option<Citation>, depth: u16) -> Option<PageId> {
        if let Some(known) = self.frontier.cite(link, from) {
            return Some(known);
        }
        let url = Url::parse(link).ok()?;
        let scope = self.places.scope_of(&url);
        // A start, and where one redirects to, is never left out.
        let skipped = if depth > 0 && self.selection.filters.excludes(link) {
            Some(Skipped::Excluded)
        } else {
            // Looking at a file asks no server.
            let is_elsewhere = scope == Scope::Outside && !local_site::is_file(&url);
            (self.selection.same_origin && is_elsewhere).then_some(Skipped::Outside)
        };
        let will_be_fetched = skipped.is_none();
        match self.frontier.add_link(link, from, depth, scope, will_be_fetched) {
            Admission::New(page) => {
                match skipped {
                    None => self.effects.queued.push(page),
                    Some(skipped) => self.set_state(page, PageState::Skipped(skipped)),
                }
                Some(page)
            }
            Admission::Known(page) => Some(page),
            Admission::Refused => None,
        }
    }

    fn add_unusable(&mut self, text: &str, why: &str, from: Citation, depth: u16) {
        if let Admission::New(page) = self.frontier.add_link(text, Some(from), depth, Scope::Outside, false) {
            self.set_state(page, PageState::Broken(Failure::without_status(Reason::UnusableUrl(why.to_owned()))));
        }
    }

    /// A link to a part that its page does not have is a broken address of its own.
    fn add_missing(&mut self, Reference { from, cited, fragment }: &Reference) {
        let entry = self.frontier.entry(*cited);
        let (url, depth, scope) = (format!("{}#{fragment}", entry.url), entry.depth, entry.scope);
        if let Admission::New(id) = self.frontier.add_link(&url, Some(*from), depth, scope, false) {
            let reason = Reason::MissingFragment(fragment.clone());
            self.set_state(id, PageState::Broken(Failure::without_status(reason)));
        }
    }

    fn set_state(&mut self, page: PageId, state: PageState) {
        self.frontier.set_state(page, state);
        self.effects.settled.push(page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Link;
    use crate::page::Content;

    fn selection() -> Selection {
        let limits = Limits { depth: None, pages: 100 };
        Selection {
            limits,
            same_origin: true,
            only_folders: false,
            filters: Filters::default(),
            given_files: Vec::new(),
        }
    }

    fn fold() -> Fold {
        let mut fold = Fold::new(selection());
        let effects = fold.add_start(&Url::parse("http://a/").unwrap());
        assert_eq!(effects.queued, [0]);
        fold
    }

    fn link(text: &str) -> Link {
        let (url, fragment) = text.split_once('#').map_or((text, None), |(url, part)| (url, Some(part.to_owned())));
        Link { url: url.into(), fragment, kind: LinkKind::Anchor, line: 1 }
    }

    fn good(url: &str, depth: u16, links: &[&str]) -> PageRecord {
        let content = Content { status: 200, bytes: 5, sha256: None, note: None };
        let mut record = PageRecord::without_links(url, depth, Scope::Inside, Answer::Good(content));
        record.links = links.iter().map(|&text| link(text)).collect();
        record
    }

    #[test]
    fn a_page_queues_its_links_once() {
        let mut fold = fold();
        let effects = fold.apply(&good("http://a/", 0, &["http://a/1", "http://b/", "http://a/1"]));
        assert_eq!(effects, Effects { settled: vec![0, 2], queued: vec![1] });
        assert!(fold.apply(&good("http://a/1", 1, &["http://a/"])).queued.is_empty());
        assert_eq!((fold.bytes(), fold.frontier().entry(1).depth), (10, 1));
    }

    #[test]
    fn a_second_record_of_an_address_changes_nothing() {
        let mut fold = fold();
        fold.apply(&good("http://a/", 0, &["http://a/1"]));
        assert_eq!(fold.apply(&good("http://a/", 0, &["http://a/2"])), Effects::default());
        assert_eq!(fold.bytes(), 5);
    }

    #[test]
    fn a_record_of_an_address_that_no_link_leads_to_is_kept() {
        let mut fold = fold();
        fold.apply(&good("http://a/lost", 4, &[]));
        assert_eq!(fold.frontier().entry(1).depth, 4);
        assert!(matches!(fold.frontier().entry(1).state, PageState::Good(_)));
    }

    #[test]
    fn a_missing_part_is_a_broken_address_that_all_its_citers_cite() {
        let mut fold = fold();
        let with_ids = |mut record: PageRecord, ids: &[&str]| {
            record.ids = Some(ids.iter().map(|&id| id.to_owned()).collect());
            record
        };
        fold.apply(&with_ids(good("http://a/", 0, &["http://a/1", "http://a/1#here", "http://a/1#gone"]), &[]));
        let effects = fold.apply(&with_ids(good("http://a/1", 1, &["http://a/1#gone", "http://a/#gone"]), &["here"]));
        assert_eq!(effects, Effects { settled: vec![1, 2, 3], queued: vec![] });
        let gone = fold.frontier().entry(3);
        assert_eq!((&*gone.url, gone.depth, gone.scope), ("http://a/1#gone", 1, Scope::Inside));
        assert!(matches!(&gone.state, PageState::Broken(Failure { reason: Reason::MissingFragment(_), .. })));
        let pages: Vec<&str> = fold.frontier().referrers(3).iter().map(|referrer| referrer.page).collect();
        assert_eq!(pages, ["http://a/", "http://a/1"]);
        assert_eq!(&*fold.frontier().entry(2).url, "http://a/#gone");
    }

    #[test]
    fn a_filter_leaves_out_links_and_no_start() {
        let filters = Filters::new(&[], &["a/".into()]).unwrap();
        let mut fold = Fold::new(Selection { filters, ..selection() });
        assert_eq!(fold.add_start(&Url::parse("http://a/").unwrap()).queued, [0]);
        let effects = fold.apply(&good("http://a/", 0, &["http://a/1"]));
        assert_eq!(effects, Effects { settled: vec![0, 1], queued: vec![] });
        assert!(matches!(fold.frontier().entry(1).state, PageState::Skipped(Skipped::Excluded)));
    }

    #[test]
    fn above_the_folder_of_a_start_pages_are_checked_only() {
        let mut fold = Fold::new(Selection { same_origin: false, only_folders: true, ..selection() });
        fold.add_start(&Url::parse("http://a/docs/").unwrap());
        fold.apply(&good("http://a/docs/", 0, &["http://a/docs/1", "http://a/2"]));
        assert_eq!([1, 2].map(|id| fold.frontier().entry(id).scope), [Scope::Inside, Scope::Outside]);
    }

    #[test]
    fn the_target_of_a_start_is_inside() {
        let mut fold = fold();
        let answer = Answer::Redirect { status: 301, to: "http://b/".into() };
        let effects = fold.apply(&PageRecord::without_links("http://a/", 0, Scope::Inside, answer));
        assert_eq!(effects, Effects { settled: vec![0], queued: vec![1] });
        assert_eq!(fold.frontier().entry(1).scope, Scope::Inside);
    }
}

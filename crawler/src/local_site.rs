//! The files of this machine that are checked: which of them are searched for links, and where the links between them lead.
//!
//! Made by `inputs`; called by `links`, `filters` and `files`. Pure.

use url::Url;

use crate::page::Scope;

/// The scheme of addresses of files.
pub(crate) const SCHEME: &str = "file";

/// Whether it is the address of a file of this machine.
pub(crate) fn is_file(url: &Url) -> bool {
    url.scheme() == SCHEME
}

/// The files and folders that were given, and how they will be published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LocalSite {
    /// Their addresses. Those of folders end in `/`.
    pub(crate) given: Vec<String>,
    /// The folder in which a link such as `/a` is. It ends in `/`.
    pub(crate) root: Option<Url>,
    /// The address of the published site. It ends in `/`.
    pub(crate) base: Option<Url>,
}

impl LocalSite {
    /// Where `address` leads that stands on a page with the given base.
    ///
    /// # Errors
    /// If that cannot be known. The message says how to fix it.
    pub(crate) fn resolve(&self, base: &Url, address: &str) -> Result<Url, String> {
        let folder = || self.given.iter().find(|given| contains(given, base)).and_then(|given| Url::parse(given).ok());
        let root = self.root.clone().or_else(folder);
        let is_rooted = is_file(base) && address.starts_with('/');
        let url = if is_rooted && address.starts_with("//") {
            // It names a host, and has the scheme of the page, which a published page does not share with a file.
            Url::parse(&format!("https:{address}"))
        } else if is_rooted {
            match (&self.base, &root) {
                (Some(base), _) => base.join(address),
                (None, Some(root)) => root.join(address.trim_start_matches('/')),
                (None, None) => {
                    return Err("it begins with `/`, and the folder that this means is not known: give it with \
                                --root-dir, or give the address of the site with --base-url"
                        .to_owned());
                }
            }
        } else {
            base.join(address)
        };
        let url = url.map_err(|error| error.to_string())?;
        // A page of the site itself is checked as a file, because it may not be published yet.
        let published = self.base.as_ref().and_then(|base| url.as_str().strip_prefix(base.as_str()));
        match (published, root) {
            (Some(rest), Some(root)) => root.join(&format!("./{rest}")).map_err(|error| error.to_string()),
            _ => Ok(url),
        }
    }
}

/// The scope of the file at `url`: one of those `given`, or in a folder of these, is inside.
pub(crate) fn scope_of(given: &[String], url: &Url) -> Scope {
    let is_inside = given.iter().any(|given| contains(given, url) || *given == without_query(url));
    if is_inside { Scope::Inside } else { Scope::Outside }
}

/// Whether `folder` is one and `url` is in it.
fn contains(folder: &str, url: &Url) -> bool {
    folder.ends_with('/') && url.as_str().starts_with(folder)
}

/// An address without what does not name the file.
fn without_query(url: &Url) -> &str {
    &url[..url::Position::AfterPath]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn site(given: &[&str], root: Option<&str>, base: Option<&str>) -> LocalSite {
        LocalSite {
            given: given.iter().map(|&text| text.to_owned()).collect(),
            root: root.map(url),
            base: base.map(url),
        }
    }

    #[test]
    fn what_was_given_is_inside() {
        let given = ["file:///site/".to_owned(), "file:///a/README.md".to_owned()];
        for inside in ["file:///site/", "file:///site/x/y.html", "file:///a/README.md", "file:///a/README.md?x"] {
            assert_eq!(scope_of(&given, &url(inside)), Scope::Inside, "{inside}");
        }
        for outside in ["file:///site.html", "file:///a/b.md", "file:///", "http://site/", "file:///a/README.md/x"] {
            assert_eq!(scope_of(&given, &url(outside)), Scope::Outside, "{outside}");
        }
    }

    #[test]
    fn links_lead_to_files_beside_the_page_and_in_the_root() {
        let page = url("file:///site/a/page.html");
        let in_folder = site(&["file:///site/"], None, None);
        let with_root = site(&["file:///site/"], Some("file:///www/"), None);
        let single = site(&["file:///site/a/page.html"], None, None);
        let with_base = site(&["file:///site/"], None, Some("https://me.example/docs/"));
        let single_with_base = site(&["file:///site/a/page.html"], None, Some("https://me.example/docs/"));
        for (site, address, expected) in [
            (&in_folder, "x.html", "file:///site/a/x.html"),
            (&in_folder, "../x/", "file:///site/x/"),
            (&in_folder, "/x.html", "file:///site/x.html"),
            (&in_folder, "//host/x", "https://host/x"),
            (&in_folder, "http://host/x", "http://host/x"),
            (&with_root, "/x.html", "file:///www/x.html"),
            (&with_root, "/../x.html", "file:///x.html"),
            (&single, "x.html", "file:///site/a/x.html"),
            (&with_base, "/docs/x.html?y", "file:///site/x.html?y"),
            (&with_base, "https://me.example/docs/a/x", "file:///site/a/x"),
            (&with_base, "https://me.example/docs/", "file:///site/"),
            (&with_base, "/x.html", "https://me.example/x.html"),
            (&with_base, "x.html", "file:///site/a/x.html"),
            (&single_with_base, "/docs/x.html", "https://me.example/docs/x.html"),
        ] {
            assert_eq!(site.resolve(&page, address).unwrap().as_str(), expected, "{address}");
        }
        let error = single.resolve(&page, "/x.html").unwrap_err();
        assert!(error.contains("--root-dir") && error.contains("--base-url"), "{error}");
    }
}

//! The addresses that a sitemap lists: pages, images and translations (`urlset`), or other sitemaps (`sitemapindex`).
//!
//! Called by `body`, on a blocking thread. Pure.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::lines::Lines;
use crate::links::{LinkCollector, LinkKind};

/// Whether an XML text is a sitemap or an index of sitemaps.
pub(crate) fn is_sitemap(xml: &str) -> bool {
    let mut reader = Reader::from_str(xml);
    loop {
        match reader.read_event() {
            Ok(Event::Start(root) | Event::Empty(root)) => {
                return matches!(root.local_name().as_ref(), b"urlset" | b"sitemapindex");
            }
            Ok(Event::Decl(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) | Event::Text(_)) => {}
            Ok(Event::End(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Eof) | Err(_) => return false,
        }
    }
}

/// Adds the addresses that a sitemap lists. Returns a note if it is damaged: what follows the damage is not read.
pub(crate) fn collect(xml: &str, collector: &mut LinkCollector) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let mut lines = Lines::new(xml, 1);
    // The text of the `loc` that is open, and the offset at which it begins.
    let mut location: Option<(String, usize)> = None;
    loop {
        let begin = offset(reader.buffer_position());
        match reader.read_event() {
            Ok(Event::Start(element)) if element.local_name().as_ref() == b"loc" => {
                location = Some((String::new(), offset(reader.buffer_position())));
            }
            Ok(Event::Start(element) | Event::Empty(element)) => {
                if let Some(address) = alternate(&element) {
                    collector.add(&address, LinkKind::Sitemap, || lines.line_of(begin));
                }
            }
            Ok(Event::Text(text)) => push(&mut location, text.decode().ok().as_deref()),
            Ok(Event::CData(text)) => push(&mut location, text.decode().ok().as_deref()),
            Ok(Event::GeneralRef(reference)) => push(&mut location, resolve(&reference).as_deref()),
            Ok(Event::End(_)) => {
                if let Some((address, begin)) = location.take() {
                    let space = address.len() - address.trim_start().len();
                    collector.add(&address, LinkKind::Sitemap, || lines.line_of(begin + space));
                }
            }
            Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
            Ok(Event::Eof) => return None,
            Err(error) => {
                let line = lines.line_of(offset(reader.error_position()));
                return Some(format!("the sitemap is damaged on line {line}, what follows was not read: {error}"));
            }
        }
    }
}

/// Adds the addresses of a sitemap that has one on each line, and no XML.
pub(crate) fn collect_list(text: &str, collector: &mut LinkCollector) {
    for (line, address) in (1..).zip(text.lines()) {
        collector.add(address, LinkKind::Sitemap, || line);
    }
}

fn offset(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn push(location: &mut Option<(String, usize)>, text: Option<&str>) {
    if let (Some((address, _)), Some(text)) = (location, text) {
        address.push_str(text);
    }
}

/// The address of a translation: `<xhtml:link rel="alternate" hreflang="…" href="…"/>`.
fn alternate(element: &BytesStart<'_>) -> Option<String> {
    if element.local_name().as_ref() != b"link" {
        return None;
    }
    let href = element.try_get_attribute("href").ok()??;
    href.unescape_value().ok().map(std::borrow::Cow::into_owned)
}

fn resolve(reference: &BytesRef<'_>) -> Option<String> {
    match reference.resolve_char_ref() {
        Ok(Some(c)) => Some(c.to_string()),
        Ok(None) => resolve_predefined_entity(&reference.decode().ok()?).map(str::to_owned),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn read(xml: &str) -> (Vec<(String, u32)>, Option<String>) {
        let mut collector = LinkCollector::new(&Url::parse("http://a/sitemap.xml").unwrap(), true);
        let note = collect(xml, &mut collector);
        (collector.finish().found.into_iter().map(|link| (link.url, link.line)).collect(), note)
    }

    #[test]
    fn pages_images_and_translations_are_listed_with_their_lines() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://x">
<url><loc>http://a/1?x=1&amp;y=&#50;</loc><lastmod>2026-01-01</lastmod></url>
<url><loc>
  http://a/2
</loc><image:image><image:loc>http://a/i.png</image:loc></image:image>
<xhtml:link rel="alternate" hreflang="de" href="http://a/de?a&amp;b"/></url>
<url><loc><![CDATA[http://a/3?a&b]]></loc></url><!-- <loc>http://no</loc> -->
</urlset>"#;
        let expected = [("1?x=1&y=2", 3), ("2", 5), ("i.png", 6), ("de?a&b", 7), ("3?a&b", 8)]
            .map(|(name, line)| (format!("http://a/{name}"), line));
        assert_eq!(read(xml), (expected.to_vec(), None));
        assert!(is_sitemap(xml));
    }

    #[test]
    fn an_index_lists_sitemaps() {
        let xml = "<sitemapindex><sitemap><loc>http://a/s.xml.gz</loc></sitemap></sitemapindex>";
        assert_eq!(read(xml).0, [("http://a/s.xml.gz".to_owned(), 1)]);
        assert!(is_sitemap(xml));
    }

    #[test]
    fn other_xml_is_no_sitemap() {
        for xml in ["", "text", "<rss><loc>http://a/</loc></rss>", "<?xml version='1.0'?><svg/>", "<", "&amp;<urlset>"]
        {
            assert!(!is_sitemap(xml), "{xml}");
        }
        assert!(is_sitemap("\u{feff}<!-- x --><!DOCTYPE urlset>\n<x:urlset/>"));
    }

    #[test]
    fn a_damaged_sitemap_is_read_up_to_the_damage() {
        let (found, note) = read("<urlset><url><loc>http://a/1</loc></url>\n<url><loc>http://a/2</wrong></urlset>");
        assert_eq!(found.len(), 1);
        let note = note.unwrap();
        assert!(note.contains("line 2"), "{note}");
    }
}

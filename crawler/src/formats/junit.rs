//! Results as JUnit's XML, which continuous integration reads: a suite for each origin, a case for each address.
//!
//! Called by `formats`. Pure.
//!
//! A broken link is a failure. An address that was not asked for is a skipped case. What the crawl as a whole did not do
//! is an error of the first suite.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use url::Url;

use crate::results::{Fate, Results, Row, citation};
use crate::rules::{INCOMPLETE, VANISHED};

/// The suite of what concerns no single address.
const WHOLE: &str = "redd-crawl";

/// The suite of broken links that name no host.
const UNUSABLE: &str = "no address";

/// A case, and its lines inside.
#[derive(Debug)]
struct Case {
    name: String,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    Passed,
    Failed { kind: &'static str, message: String, text: String },
    Error { message: String },
    Skipped { message: String },
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Numbers {
    fn add(&mut self, case: &Case) {
        self.tests += 1;
        match case.verdict {
            Verdict::Passed => {}
            Verdict::Failed { .. } => self.failures += 1,
            Verdict::Error { .. } => self.errors += 1,
            Verdict::Skipped { .. } => self.skipped += 1,
        }
    }

    fn attributes(self) -> String {
        let Self { tests, failures, errors, skipped } = self;
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }
}

/// The document.
pub(super) fn render(results: &Results<'_>) -> String {
    let mut suites: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for row in &results.rows {
        if let Some(case) = case(row) {
            suites.entry(origin(row.url)).or_default().push(case);
        }
    }
    let whole = (WHOLE.to_owned(), whole_cases(results));
    let suites: Vec<(String, Vec<Case>)> = std::iter::once(whole).chain(suites).collect();
    let mut numbers = Numbers::default();
    suites.iter().flat_map(|(_, cases)| cases).for_each(|case| numbers.add(case));
    let time = results.elapsed.as_secs_f64();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{WHOLE}\" {} time=\"{time:.3}\">\n",
        numbers.attributes()
    );
    for (name, cases) in &suites {
        write_suite(&mut text, name, cases);
    }
    text.push_str("</testsuites>\n");
    text
}

/// The suite of an address.
fn origin(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if url.origin().is_tuple() => url.origin().ascii_serialization(),
        Ok(url) if url.scheme() == "file" => "file://".to_owned(),
        Ok(_) | Err(_) => UNUSABLE.to_owned(),
    }
}

/// The case of an address that belongs to the crawl.
fn case(row: &Row<'_>) -> Option<Case> {
    let skipped = |message: &str| Verdict::Skipped { message: message.to_owned() };
    let verdict = match &row.fate {
        Fate::Good { .. } | Fate::Redirect { .. } => Verdict::Passed,
        Fate::Broken { rule, reason } => {
            let mut text = format!("{} is broken: {reason}\n", row.url);
            for citer in &row.citers {
                let _ = writeln!(text, "{}", citation(citer));
            }
            if row.citers.is_empty() {
                text.push_str("a start of the crawl\n");
            }
            let _ = writeln!(text, "{}", rule.advice);
            Verdict::Failed { kind: rule.id, message: reason.clone(), text }
        }
        Fate::Forbidden { reason } => skipped(reason),
        Fate::NotReached => skipped("not reached"),
        Fate::Outside | Fate::Excluded => return None,
    };
    Some(Case { name: row.url.to_owned(), verdict })
}

/// The cases that concern the crawl as a whole.
fn whole_cases(results: &Results<'_>) -> Vec<Case> {
    let complete = "the crawl is complete";
    let mut cases: Vec<Case> = results
        .shortfalls
        .iter()
        .map(|shortfall| Case { name: complete.to_owned(), verdict: Verdict::Error { message: shortfall.clone() } })
        .collect();
    if cases.is_empty() {
        cases.push(Case { name: complete.to_owned(), verdict: Verdict::Passed });
    }
    for url in results.vanished() {
        let message = format!("{url} is in the snapshot and was not found");
        let text = format!("{message}\n{}\n", VANISHED.advice);
        let name = format!("{url} is still there");
        cases.push(Case { name, verdict: Verdict::Failed { kind: VANISHED.id, message, text } });
    }
    cases
}

fn write_suite(text: &mut String, name: &str, cases: &[Case]) {
    let mut numbers = Numbers::default();
    cases.iter().for_each(|case| numbers.add(case));
    let name = escaped(name);
    let _ = writeln!(text, "  <testsuite name=\"{name}\" {}>", numbers.attributes());
    for case in cases {
        let _ = write!(text, "    <testcase classname=\"{name}\" name=\"{}\"", escaped(&case.name));
        let _ = match &case.verdict {
            Verdict::Passed => writeln!(text, "/>"),
            Verdict::Failed { kind, message, text: inside } => {
                // In text, unlike in an attribute, a new line may stand as it is.
                let (message, inside) = (escaped(message), escaped(inside).replace("&#10;", "\n"));
                let failure = format!("<failure type=\"{kind}\" message=\"{message}\">{inside}</failure>");
                writeln!(text, ">\n      {failure}\n    </testcase>")
            }
            Verdict::Error { message } => {
                let error = format!("<error type=\"{}\" message=\"{}\"/>", INCOMPLETE.id, escaped(message));
                writeln!(text, ">\n      {error}\n    </testcase>")
            }
            Verdict::Skipped { message } => {
                writeln!(text, ">\n      <skipped message=\"{}\"/>\n    </testcase>", escaped(message))
            }
        };
    }
    text.push_str("  </testsuite>\n");
}

/// Text as it may stand in an element or an attribute. XML cannot hold control characters, not even escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\0'..=' ' if character != ' ' => out.push(char::REPLACEMENT_CHARACTER),
            '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{HOSTILE, ODD_PAGE, good, hostile, results};
    use crate::snapshot::Difference;
    use quick_xml::Reader;
    use quick_xml::events::{BytesStart, Event};

    /// An element with its attributes and its text.
    #[derive(Debug, Default)]
    struct Element {
        name: String,
        attributes: BTreeMap<String, String>,
        text: String,
    }

    impl Element {
        fn of(start: &BytesStart<'_>) -> Self {
            let attribute = |attribute: quick_xml::events::attributes::Attribute<'_>| {
                let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                (name, attribute.unescape_value().unwrap().into_owned())
            };
            let attributes = start.attributes().map(|found| attribute(found.unwrap())).collect();
            Self { name: String::from_utf8(start.name().as_ref().to_vec()).unwrap(), attributes, text: String::new() }
        }

        fn number(&self, name: &str) -> usize {
            self.attributes[name].parse().unwrap()
        }
    }

    /// All elements, in the order of their ends, as a parser finds them.
    #[expect(clippy::wildcard_enum_match_arm, reason = "a document has nothing else")]
    fn elements(xml: &str) -> Vec<Element> {
        let mut reader = Reader::from_str(xml);
        let (mut open, mut done): (Vec<Element>, Vec<Element>) = Default::default();
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => open.push(Element::of(&start)),
                Event::Empty(start) => done.push(Element::of(&start)),
                Event::End(_) => done.push(open.pop().unwrap()),
                Event::Text(text) => open.last_mut().map_or((), |at| at.text += &text.decode().unwrap()),
                Event::GeneralRef(reference) => {
                    let name = reference.decode().unwrap().into_owned();
                    let character = reference.resolve_char_ref().unwrap().map(String::from);
                    let text =
                        character.unwrap_or_else(|| quick_xml::escape::unescape(&format!("&{name};")).unwrap().into());
                    open.last_mut().unwrap().text += &text;
                }
                Event::Decl(_) => {}
                Event::Eof => return done,
                other => panic!("not expected: {other:?}"),
            }
        }
    }

    #[test]
    fn each_suite_says_how_many_of_its_cases_ended_how() {
        let xml = render(&hostile());
        let elements = elements(&xml);
        let all = |name: &'static str| elements.iter().filter(move |element| element.name == name);
        for name in ["tests", "failures", "errors", "skipped"] {
            let of_suites: usize = all("testsuite").map(|suite| suite.number(name)).sum();
            assert_eq!(of_suites, elements.last().unwrap().number(name), "{name}");
        }
        assert_eq!(all("testcase").count(), elements.last().unwrap().number("tests"));
        assert_eq!((all("failure").count(), all("error").count(), all("skipped").count()), (3, 1, 2));
        let names: Vec<&str> = all("testsuite").map(|suite| &*suite.attributes["name"]).collect();
        assert_eq!(names, [WHOLE, "http://h", UNUSABLE]);
    }

    #[test]
    fn hostile_texts_read_back_and_what_xml_cannot_hold_is_replaced() {
        let xml = render(&hostile());
        let elements = elements(&xml);
        let shown = HOSTILE.replace('\u{1}', "\u{fffd}");
        let is_it = |element: &&Element| element.name == "failure" && element.attributes["message"] == shown;
        let failure = elements.iter().find(is_it).unwrap();
        assert!(failure.text.contains(&shown) && failure.text.contains(ODD_PAGE), "{failure:?}");
        assert!(!xml.contains(|character: char| character.is_ascii_control() && character != '\n'));
        assert_eq!(escaped("a\u{0}\u{1f}\u{ffff}\u{7f} b"), "a\u{fffd}\u{fffd}\u{fffd}\u{7f} b");
    }

    #[test]
    fn a_vanished_page_is_a_failure_and_a_complete_crawl_passes() {
        let difference = Difference { vanished: vec!["http://h/old".into()], ..Difference::default() };
        let results = Results { difference: Some(&difference), ..results(vec![good("http://h/")]) };
        let elements = elements(&render(&results));
        let failures: Vec<&Element> = elements.iter().filter(|element| element.name == "failure").collect();
        assert_eq!(failures.len(), 1);
        assert!(failures[0].text.starts_with("http://h/old is in the snapshot"), "{failures:?}");
        assert!(!elements.iter().any(|element| element.name == "error"));
    }
}

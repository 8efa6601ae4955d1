//! Results as SARIF 2.1.0, which code hosts and editors read: a result for each place that has to be changed.
//!
//! Called by `formats`. Pure.
//!
//! The place of a broken link is the page that cites it, and that of a start is the start. What the crawl as a whole did not
//! do is a notification of the invocation.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::frontier::Referrer;
use crate::results::Results;
use crate::rules::{self, MOVED, Rule, VANISHED};
use crate::snapshot::hex;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The statuses of redirects that name a new address for good.
const PERMANENT: [u16; 2] = [301, 308];

/// The document.
pub(super) fn render(results: &Results<'_>) -> String {
    let mut found = Vec::new();
    for (row, rule, reason) in results.broken() {
        let text = format!("The link to {} is broken: {reason}", row.url);
        for citer in &row.citers {
            found.push(result(rule, "error", &through(&text, citer), &Place::of(citer, row.url, results)));
        }
        if row.citers.is_empty() {
            found.push(result(
                rule,
                "error",
                &format!("{} is broken: {reason}", row.url),
                &Place::of_page(row.url, results),
            ));
        }
    }
    for (row, to) in results.redirects() {
        if row.status.is_some_and(|status| PERMANENT.contains(&status)) {
            let text = format!("{} has moved to {to}", row.url);
            for citer in &row.citers {
                found.push(result(&MOVED, "note", &through(&text, citer), &Place::of(citer, row.url, results)));
            }
        }
    }
    for url in results.vanished() {
        let text = format!("{url} is in the snapshot and was not found");
        found.push(result(&VANISHED, "error", &text, &Place::of_page(url, results)));
    }
    let notifications: Vec<Value> =
        results.shortfalls.iter().map(|why| json!({ "level": "error", "message": message(why) })).collect();
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "redd-crawl",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules::ALL.iter().map(|rule| description(rule)).collect::<Vec<_>>(),
            } },
            "invocations": [{
                "executionSuccessful": results.shortfalls.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "columnKind": "unicodeCodePoints",
            "results": found,
        }],
    });
    format!("{document:#}\n")
}

fn description(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": format!("{}.", rule.title) },
        "help": { "text": rule.advice },
    })
}

/// A text with the redirect through which a page cites an address.
fn through(text: &str, citer: &Referrer<'_>) -> String {
    citer
        .through
        .map_or_else(|| text.to_owned(), |redirect| format!("{text} (cited as {redirect}, which redirects to it)"))
}

/// What has to be changed.
#[derive(Debug)]
struct Place<'a> {
    page: &'a str,
    line: Option<u32>,
    /// The address that stands there.
    cited: &'a str,
    /// See [`Results::folder`].
    folder: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// The link of a page to `url`, or to a redirect that leads there.
    fn of(citer: &Referrer<'a>, url: &'a str, results: &Results<'a>) -> Self {
        Self { page: citer.page, line: citer.line, cited: citer.through.unwrap_or(url), folder: results.folder }
    }

    /// A page itself.
    fn of_page(url: &'a str, results: &Results<'a>) -> Self {
        Self { page: url, line: None, cited: url, folder: results.folder }
    }

    fn location(&self) -> Value {
        // A code host knows a file by its path within the repository.
        let artifact = match self.folder.and_then(|folder| self.page.strip_prefix(folder)) {
            Some(path) => json!({ "uri": path_uri(path), "uriBaseId": "%SRCROOT%" }),
            None => json!({ "uri": uri(self.page) }),
        };
        match self.line {
            Some(line) => {
                json!({ "physicalLocation": { "artifactLocation": artifact, "region": { "startLine": line } } })
            }
            None => json!({ "physicalLocation": { "artifactLocation": artifact } }),
        }
    }
}

/// One thing to change.
fn result(rule: &Rule, level: &str, text: &str, place: &Place<'_>) -> Value {
    let index = rules::ALL.iter().position(|other| other.id == rule.id);
    // The same finding of the next crawl has the same fingerprint, whatever the server says then, and on whatever line.
    let fingerprint = Sha256::digest(format!("{level}\n{}\n{}", place.page, place.cited));
    json!({
        "ruleId": rule.id,
        "ruleIndex": index,
        "level": level,
        "message": message(text),
        "locations": [place.location()],
        "partialFingerprints": { "citation/v1": hex(&fingerprint) },
    })
}

/// A message that a viewer shows as it is: braces would be arguments, and brackets a link.
fn message(text: &str) -> Value {
    let text = text.replace('{', "{{").replace('}', "}}");
    let text =
        if text.contains("](") { text.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]") } else { text };
    json!({ "text": text })
}

/// An address as RFC 3986 allows it. URLs allow more characters.
fn uri(url: &str) -> String {
    let path_at = url.find("://").map_or(0, |at| url[at + 3..].find('/').map_or(url.len(), |slash| at + 3 + slash));
    format!("{}{}", &url[..path_at], path_uri(&url[path_at..]))
}

/// The same for what follows the host.
fn path_uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::samples::{ODD_PAGE, broken, hostile, results};
    use crate::snapshot::Difference;

    /// Fails unless `value` is an object that has no other properties than `allowed`, and has the `required`.
    fn assert_object(value: &Value, required: &[&str], allowed: &[&str]) {
        let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
        for name in required {
            assert!(object.contains_key(*name), "no {name}: {value}");
        }
        for name in object.keys() {
            assert!(required.contains(&&**name) || allowed.contains(&&**name), "{name}: {value}");
        }
    }

    fn assert_message(value: &Value) {
        assert_object(value, &["text"], &[]);
        assert!(!value["text"].as_str().unwrap().is_empty());
    }

    /// What the schema of SARIF 2.1.0 asks for, as far as this program makes use of it.
    fn assert_is_sarif(document: &Value) {
        assert_object(document, &["version", "runs"], &["$schema"]);
        assert_eq!(document["version"], "2.1.0");
        for run in document["runs"].as_array().unwrap() {
            assert_object(run, &["tool"], &["results", "invocations", "columnKind"]);
            assert!(["utf16CodeUnits", "unicodeCodePoints"].map(Value::from).contains(&run["columnKind"]));
            assert_object(&run["tool"], &["driver"], &[]);
            let driver = &run["tool"]["driver"];
            assert_object(driver, &["name"], &["version", "semanticVersion", "rules"]);
            let rules = driver["rules"].as_array().unwrap();
            for rule in rules {
                assert_object(rule, &["id"], &["shortDescription", "help"]);
                assert_message(&rule["shortDescription"]);
                assert_message(&rule["help"]);
            }
            for invocation in run["invocations"].as_array().unwrap() {
                assert_object(invocation, &["executionSuccessful"], &["toolExecutionNotifications"]);
                assert!(invocation["executionSuccessful"].is_boolean());
                for notification in invocation["toolExecutionNotifications"].as_array().unwrap() {
                    assert_object(notification, &["message"], &["level"]);
                    assert_message(&notification["message"]);
                }
            }
            for result in run["results"].as_array().unwrap() {
                assert_object(
                    result,
                    &["message"],
                    &["ruleId", "ruleIndex", "level", "locations", "partialFingerprints"],
                );
                assert_message(&result["message"]);
                assert_eq!(
                    rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()]["id"],
                    result["ruleId"]
                );
                assert!(["none", "note", "warning", "error"].map(Value::from).contains(&result["level"]));
                for location in result["locations"].as_array().unwrap() {
                    assert_object(location, &["physicalLocation"], &[]);
                    assert_object(&location["physicalLocation"], &["artifactLocation"], &["region"]);
                    let artifact = &location["physicalLocation"]["artifactLocation"];
                    assert_object(artifact, &["uri"], &["uriBaseId"]);
                    let uri = artifact["uri"].as_str().unwrap();
                    if let Some(region) = location["physicalLocation"].get("region") {
                        assert_object(region, &["startLine"], &[]);
                        assert!(region["startLine"].as_u64().unwrap() > 0);
                    }
                    assert!(
                        uri.is_ascii() && !uri.contains(['[', ']', '{', '}', '|', '^', '`', ' ', '"', '<', '>', '\\'])
                    );
                }
            }
        }
    }

    #[test]
    fn hostile_results_are_sarif() {
        let document: Value = serde_json::from_str(&render(&hostile())).unwrap();
        assert_is_sarif(&document);
        let run = &document["runs"][0];
        // Four broken citations, a start, and one page that has moved for good.
        let results = run["results"].as_array().unwrap();
        let levels: Vec<&str> = results.iter().map(|result| result["level"].as_str().unwrap()).collect();
        assert_eq!(levels, ["error", "error", "error", "error", "error", "note"]);
        assert_eq!(run["invocations"][0]["executionSuccessful"], false);
        assert!(
            results[3]["message"]["text"].as_str().unwrap().ends_with("(cited as http://h/old, which redirects to it)")
        );
        let text = results[0]["message"]["text"].as_str().unwrap();
        assert!(text.contains("{{0}}") && text.contains("\\](x)") && text.contains("\\\\$&"), "{text}");
        let prints: std::collections::BTreeSet<String> =
            results.iter().map(|result| result["partialFingerprints"]["citation/v1"].to_string()).collect();
        assert_eq!(prints.len(), results.len());
    }

    #[test]
    fn an_address_keeps_its_host_and_escapes_what_a_uri_cannot_hold() {
        assert_eq!(uri("http://[::1]:80/[a]|?{b}#^`"), "http://[::1]:80/%5Ba%5D%7C?%7Bb%7D#%5E%60");
        assert_eq!(uri("http://h"), "http://h");
        assert!(uri(ODD_PAGE).starts_with("http://h/a'(b)%5Bc%5D(d)%7Ce%5Ef%7Bg%7D%60*_~!$&;=@:,%20?q='%22%7C"));
    }

    #[test]
    fn a_file_below_the_working_folder_has_a_path_and_each_link_its_line() {
        let rows =
            || vec![broken("http://h/gone", "404 Not Found", &["file:///src/docs/a%20b.md", "file:///other/c.md"])];
        let document = render(&Results { folder: Some("file:///src/"), ..results(rows()) });
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_is_sarif(&document);
        let places = &document["runs"][0]["results"];
        let place = |number: usize| &places[number]["locations"][0]["physicalLocation"];
        assert_eq!(place(0)["artifactLocation"], json!({ "uri": "docs/a%20b.md", "uriBaseId": "%SRCROOT%" }));
        assert_eq!(place(1)["artifactLocation"], json!({ "uri": "file:///other/c.md" }));
        assert_eq!(place(0)["region"]["startLine"], 3);
    }

    #[test]
    fn a_vanished_page_is_a_result_and_a_complete_crawl_is_successful() {
        let difference = Difference { vanished: vec!["http://h/old".into()], ..Difference::default() };
        let document = render(&Results { difference: Some(&difference), ..results(Vec::new()) });
        let document: Value = serde_json::from_str(&document).unwrap();
        assert_is_sarif(&document);
        assert_eq!(document["runs"][0]["results"][0]["ruleId"], "vanished");
        assert_eq!(document["runs"][0]["invocations"][0]["executionSuccessful"], true);
    }
}

//! The forms of output: to standard output and to files.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::runs::{run, scratch, stderr, stdout};
use crate::server::{answer, missing, page, serve};

/// A site with a broken link and a page that has moved, with addresses that would harm a careless form of output.
async fn site() -> String {
    serve(|path| match path {
        "/" => page("<a href='gone?<b>&amp;\"|`]](x)'>g</a><a href=old>o</a><a href='http://[</script>'>u</a>"),
        "/old" => answer("301 Moved", "Location: /\r\n", ""),
        _ => missing(),
    })
    .await
}

/// Each form by its name, and how it begins and ends.
const FORMS: [(&str, &str, &str); 6] = [
    ("json", "{\n", "}\n"),
    ("csv", "url,outcome,", "\n"),
    (
        "junit",
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"redd-crawl\" tests=\"5\" failures=\"2\"",
        "</testsuites>\n",
    ),
    ("markdown", "# Links: 2 broken links\n", "\n"),
    ("sarif", "{\n", "}\n"),
    ("html", "<!doctype html>\n", "</html>\n"),
];

#[redd::test]
async fn standard_output_is_in_the_form_that_is_asked_for_and_nothing_else() {
    let home = site().await;
    for (form, begins, ends) in FORMS {
        let output = run(&["--format", form, &home]).await;
        assert_eq!(output.status.code(), Some(1), "{form}: {}", stderr(&output));
        let text = stdout(&output);
        assert!(text.starts_with(begins) && text.ends_with(ends), "{form}: {text}");
        assert!(text.contains("/gone?"), "{form}: {text}");
        assert!(!stderr(&output).contains("Checked:"), "the report is not printed as well: {}", stderr(&output));
    }
    assert_eq!(stdout(&run(&["--format", "text", &home]).await).lines().nth(1), Some("Broken links:"));
}

#[redd::test]
async fn files_have_the_forms_of_their_options_beside_the_report() {
    let home = site().await;
    let (mut arguments, mut files) = (vec![home], Vec::new());
    for (form, begins, ends) in FORMS {
        let (file, name) = scratch(&format!("all-forms.{form}"));
        arguments.extend([format!("--{form}"), name]);
        files.push((file, begins, ends));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("Broken links:"), "{}", stdout(&output));
    for (file, begins, ends) in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with(begins) && text.ends_with(ends), "{}: {text}", file.display());
    }
}

#[redd::test]
async fn two_forms_on_standard_output_are_refused_before_the_first_request() {
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    let home = serve(move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
        page("")
    })
    .await;
    let output = run(&["--format", "json", "--csv", "-", &home]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--format and --csv") && stderr(&output).contains("a file"),
        "{}",
        stderr(&output)
    );
    let unknown = run(&["--format", "xml", &home]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("junit"), "the message lists the forms: {}", stderr(&unknown));
    assert_eq!(requests.load(Ordering::Relaxed), 0);
}

#[redd::test]
async fn an_incomplete_crawl_says_so_in_every_form() {
    let home = serve(|path| match path {
        "/" => page("<a href=a>a</a><a href=b>b</a>"),
        "/robots.txt" => missing(),
        _ => page(""),
    })
    .await;
    for (form, said) in [
        ("json", "\"complete\": false"),
        ("junit", "<error type=\"incomplete\" message=\"--max-pages left out 1 address\"/>"),
        ("markdown", "## Incomplete\n\n- `--max-pages left out 1 address`"),
        ("sarif", "\"executionSuccessful\": false"),
        ("html", "<h2>The crawl is incomplete</h2><ul><li>--max-pages left out 1 address</li>"),
    ] {
        let output = run(&["--max-pages", "2", "--format", form, &home]).await;
        assert_eq!(output.status.code(), Some(3), "{form}");
        assert!(stdout(&output).contains(said), "{form}: {}", stdout(&output));
        assert!(stderr(&output).contains("incomplete: --max-pages left out"), "{form}: {}", stderr(&output));
    }
}

#[redd::test]
async fn a_sarif_result_names_the_page_that_has_to_be_changed() {
    let home = serve(|path| match path {
        "/" => page("<a href=a>a</a>"),
        "/a" => page("\n<a href=gone>g</a><a href=moved>m</a><a href=found>f</a>"),
        "/moved" => answer("308 Permanent Redirect", "Location: /\r\n", ""),
        "/found" => answer("302 Found", "Location: /\r\n", ""),
        _ => missing(),
    })
    .await;
    let output = run(&["--format", "sarif", &home]).await;
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = value["runs"][0]["results"].as_array().unwrap();
    let rules: Vec<&str> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(rules, ["not-found", "moved"], "a redirect for now is nothing to change");
    for result in results {
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], format!("{home}/a"));
        assert_eq!(place["region"]["startLine"], 2);
    }
    let text = results[0]["message"]["text"].as_str().unwrap();
    assert_eq!(text, format!("The link to {home}/gone is broken: 404 Not Found"));
}

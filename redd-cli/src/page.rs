//! Pages of HTML that work offline: one file each, with its style, its script and its data.
//!
//! Called by `dump_page` and `timeline`.
//!
//! # Invariants
//! - `data-only`: what a program sends gets into a page as JSON or base64, and the script makes text of it. It is never
//!   read as markup or as a script.
//! - `no-network`: the policy of a page forbids every request.

use std::fmt::Write as _;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/common.js");

/// Nothing is loaded or sent (`no-network`), and trusted types let the browser refuse to make markup of a string
/// (`data-only`).
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The places of a template that are filled. A template has each of them once, in this order.
const PLACES: [&str; 4] = ["{{policy}}", "{{style}}", "{{data}}", "{{script}}"];

/// Makes a page of a template and its data, which [`quoted`] or base64 has made harmless.
pub(crate) fn fill(template: &str, data: &str) -> String {
    let mut page = String::with_capacity(template.len() + STYLE.len() + SCRIPT.len() + data.len());
    let mut rest = template;
    // The parts are not searched for places again.
    for (place, part) in PLACES.into_iter().zip([POLICY, STYLE, data, SCRIPT]) {
        let (before, after) = rest.split_once(place).unwrap_or((rest, ""));
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    page
}

/// A value as JSON that may stand in an element `script`: it has no mark that ends the element or begins a comment.
pub(crate) fn quoted(value: &serde_json::Value) -> String {
    let json = value.to_string();
    let mut out = String::with_capacity(json.len());
    let mut rest = json.as_str();
    // In JSON these occur only within strings.
    while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}', '\u{7f}']) {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut marks = tail.chars();
        // Writing to a string does not fail.
        let _ = marks.next().map(|mark| write!(out, "\\u{:04x}", u32::from(mark)));
        rest = marks.as_str();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// Checks what holds for each page, whatever its data are.
    pub(crate) fn assert_is_sound(template: &str, page: &str) {
        let places = PLACES.map(|place| {
            assert_eq!(template.matches(place).count(), 1, "{place}");
            template.find(place)
        });
        assert!(places.is_sorted(), "`fill` goes through them in this order");
        for forbidden in ["innerHTML", "outerHTML", "document.write", "eval(", "http://", "https://", "src=", "@import"]
        {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        let start = page.find("<meta http-equiv=\"Content-Security-Policy\"").expect("a policy");
        assert!(start < page.find("<style").expect("a style"), "the policy comes before what it governs");
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
        assert_eq!(page.matches("<script").count(), 2, "one of data and one of code");
        assert_eq!(page.matches("<style").count(), 1);
        assert!(page.starts_with("<!doctype html>\n") && page.ends_with("</html>\n"));
    }

    /// What stands in the element of the data.
    pub(crate) fn data_of(page: &str) -> &str {
        let (_, rest) = page.split_once("id=\"data\">").expect("an element with the data");
        rest.split_once("</script>").expect("its end").0
    }

    /// Leaves a page where the lane `browser` finds it, with what the page has to say that it drew. If the name begins with
    /// `wrong-`, `drawn` is instead what the lane has to find wrong.
    ///
    /// Without the variable of that lane it only checks that the page can say it.
    pub(crate) fn keep_for_browser(name: &str, page: &str, drawn: &str) {
        assert!(page.contains("dataset.drawn = "), "the page of {name} does not say what it drew");
        if let Some(folder) = std::env::var_os("REDD_PAGES") {
            let folder = std::path::Path::new(&folder);
            std::fs::write(folder.join(format!("{name}.html")), page).expect("the lane has made the folder");
            std::fs::write(folder.join(format!("{name}.drawn")), drawn).expect("the lane has made the folder");
        }
    }

    /// The page with a script that uses it as a person would, and then sets what was drawn.
    pub(crate) fn with_steps(page: &str, steps: &str) -> String {
        let (before, after) = page.rsplit_once("</body>").expect("a body");
        format!("{before}<script>{{{steps}}}</script></body>{after}")
    }

    /// A name that would do harm if it were markup, JSON or a pattern.
    pub(crate) const HOSTILE: &str = "</script><script>document.title='x'</script><!-- \"'`&lt; {{data}} {{style}} \u{202e}\u{2028}\n\t\\u0000 $& 名前";

    #[test]
    fn each_place_is_filled_once_and_parts_are_not_filled_again() {
        let page = fill("a {{policy}} b {{style}} c {{data}} d {{script}} e", "{{script}}");
        assert_eq!(page, format!("a {POLICY} b {STYLE} c {{{{script}}}} d {SCRIPT} e"));
    }

    /// Pages that are wrong: the lane has to notice each.
    #[test]
    fn wrong_pages_for_the_browser() {
        let template = "<!doctype html>\n<html><meta http-equiv=\"Content-Security-Policy\" content=\"{{policy}}\">\
                        <style>{{style}}</style><body><script type=\"application/json\" id=\"data\">{{data}}</script><script>{{script}}\
                        document.documentElement.dataset.drawn = 'x';</script></body></html>\n";
        let page = fill(template, "{}");
        keep_for_browser("right", &page, "x");
        for (name, steps, noticed) in [
            ("wrong-error", "null.x", "Cannot read properties of null"),
            ("wrong-markup", "document.body.innerHTML = '<b>x</b>'", "'TrustedHTML' assignment"),
            ("wrong-script", "eval('1')", "'unsafe-eval'"),
            (
                "wrong-request",
                "document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/'}))",
                "img-src",
            ),
            ("wrong-message", "console.error('something')", "something"),
            ("wrong-drawn", "document.documentElement.dataset.drawn = 'y'", "drew `y`"),
        ] {
            keep_for_browser(name, &with_steps(&page, steps), noticed);
        }
    }

    #[test]
    fn quoted_json_has_no_markup_and_reads_back_the_same() {
        let value = json!({ "name": HOSTILE, HOSTILE: [null, true, 1.5, u64::MAX] });
        let text = quoted(&value);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\n', '\t']), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("it is JSON"), value);
    }
}

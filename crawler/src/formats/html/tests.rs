//! The page. The lane `browser` opens those that are kept for it, and checks what each says that it drew.

use serde_json::Value;

use super::*;
use crate::results::samples::{HOSTILE, ODD_PAGE, broken, good, hostile, results};
use crate::snapshot::Difference;

/// Leaves a page where the lane `browser` finds it, with what the page has to say that it drew. If the name begins with
/// `wrong-`, `drawn` is instead what the lane has to find wrong.
fn keep_for_browser(name: &str, page: &str, drawn: &str) {
    if let Some(folder) = std::env::var_os("REDD_PAGES") {
        let folder = std::path::Path::new(&folder);
        std::fs::write(folder.join(format!("{name}.html")), page).expect("the lane has made the folder");
        std::fs::write(folder.join(format!("{name}.drawn")), drawn).expect("the lane has made the folder");
    }
}

/// The page with a script that uses it as a person would. A step that fails is an error of the page.
fn with_steps(page: &str, steps: &str) -> String {
    const TOOLS: &str = "
        const check = (is, what) => { if (!is) throw new Error(`step failed: ${what}`); };
        const fates = () => [...document.querySelectorAll('#rows .word')].map(cell => cell.textContent);
        const addresses = () => [...document.querySelectorAll('#rows th')].map(cell => cell.textContent);
        const head = name => [...document.querySelectorAll('#heads th')].find(head => head.textContent === name);
        const sorted = name => head(name).getAttribute('aria-sort');
        const choose = fate => document.querySelector(`input[value=\"${fate}\"]`).click();
        const search = words => {
          document.getElementById('words').value = words;
          document.getElementById('words').dispatchEvent(new Event('input'));
        };
        const matches = () => document.getElementById('matches').textContent;";
    let (before, after) = page.rsplit_once("</body>").unwrap();
    format!("{before}<script>{{{TOOLS}{steps}}}</script></body>{after}")
}

#[test]
fn the_page_is_sound_whatever_its_data_are() {
    let difference = Difference { vanished: vec![HOSTILE.to_owned()], ..Difference::default() };
    let mut results = hostile();
    results.difference = Some(&difference);
    let page = render(&results);
    for forbidden in ["innerHTML", "outerHTML", "document.write", "eval(", " src=", "@import", "url(", "<link", "<img"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<script").count(), 2, "one of data and one of code");
    assert_eq!(page.matches("</script").count(), 2);
    assert_eq!((page.matches("<!--").count(), page.matches("<title>").count()), (0, 1));
    let policy = page.find("Content-Security-Policy").unwrap();
    assert!(policy < page.find("<style>").unwrap(), "the policy comes before what it governs");
    assert!(page.starts_with("<!doctype html>\n") && page.ends_with("</html>\n"));
    assert!(!page.contains("{{policy}}") && page.contains("Vanished since the snapshot"));
    // Outside of the script there is no link, so that nothing can be clicked that was not checked to be of the web.
    assert!(!page.contains("href="));
}

#[test]
fn the_data_read_back_as_they_are() {
    let page = render(&hostile());
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    let text = rest.split_once("</script>").unwrap().0;
    assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["rows"][0][1], HOSTILE);
    assert_eq!(value["rows"][3][1], ODD_PAGE);
    assert_eq!(value["rows"].as_array().unwrap().len(), 12);
}

#[test]
fn without_scripts_the_page_lists_the_broken_links() {
    let page =
        render(&results(vec![broken("http://h/gone", "404 <Not> Found", &["http://h/?a&b"]), good("http://h/")]));
    let (_, rest) = page.split_once("<noscript>").unwrap();
    let plain = rest.split_once("</noscript>").unwrap().0;
    assert!(
        plain.contains("<li>http://h/gone: 404 &lt;Not&gt; Found<ul><li>cited by http://h/?a&amp;b, line 3</li>"),
        "{plain}"
    );
    assert!(page.contains("<h1>Links of the crawl: 1 broken link</h1>"));
}

#[test]
fn the_page_works_in_a_browser() {
    let page = render(&hostile());
    keep_for_browser("crawl-hostile", &page, "shown=12 matches=12 all=12");
    let steps = format!(
        "check(document.title !== 'x' && document.querySelectorAll('b').length === 0, 'no text is markup');
         check(sorted('Outcome') === 'ascending' && fates().join() === 'broken,broken,broken,redirect,redirect,'
           + 'not reached,skipped,outside,excluded,good,good,good', 'what needs work comes first: ' + fates());
         for (const a of document.links) check(/^http:/.test(a.href) && a.rel === 'noreferrer noopener', a.href);
         check(addresses()[0].includes('\\\\u{{202e}}') && addresses()[0].includes('<' + '/script>'), 'the text is shown');
         choose('broken');
         check(matches() === '3 of 12 addresses' && location.hash === '#show=broken', matches() + location.hash);
         search('GONE cited');
         check(matches() === '0 of 12 addresses', matches());
         search('old');
         check(addresses().join() === 'http://h/gone', 'citers are searched: ' + addresses());
         choose(''); search('{start}');
         check(addresses().join() === 'http://h/start' && document.querySelector('#rows').textContent
           .includes('a start of the crawl'), 'a start');",
        start = "h/start"
    );
    keep_for_browser("crawl-steps", &with_steps(&page, &steps), "shown=1 matches=1 all=12");
    keep_for_browser("wrong-crawl-steps", &with_steps(&page, "check(fates().length === 1, 'one row')"), "step failed");
    keep_for_browser(
        "wrong-crawl-markup",
        &with_steps(&page, "document.body.innerHTML = 'x'"),
        "'TrustedHTML' assignment",
    );
}

#[test]
fn a_large_table_is_sorted_and_shown_in_parts_in_a_browser() {
    let urls: Vec<String> = (0..1200).map(|page| format!("http://h/{page:04}")).collect();
    let mut rows: Vec<Row<'_>> = urls.iter().map(|url| good(url)).collect();
    for (size, row) in (0..).zip(&mut rows) {
        row.fate = Fate::Good { bytes: size, sha256: None, note: None };
    }
    let pages: Vec<&str> = urls.iter().take(40).map(String::as_str).collect();
    rows[700] = broken("http://h/0700", "404 Not Found", &pages);
    let steps = "
        const top = () => addresses()[0];
        check(top() === 'http://h/0700', 'the broken one is first');
        check(document.querySelector('details summary').textContent === '40 pages', 'many citers are folded');
        head('Bytes').firstChild.click();
        check(top() === 'http://h/1199' && sorted('Bytes') === 'descending' && sorted('Outcome') === null, top());
        head('Bytes').firstChild.click();
        check(addresses()[1] === 'http://h/0000' && sorted('Bytes') === 'ascending', addresses()[1]);
        document.querySelector('#more button').click();
        check(addresses().length === 1000 && document.activeElement === document.querySelectorAll('#rows tr')[500],
          'the focus goes to the first new row');
        document.querySelector('#more button').click();
        check(addresses().length === 1200 && document.querySelector('#more button') === null, 'all are shown');
        // The focus can reach every control, and each has a name.
        for (const control of document.querySelectorAll('button, input, summary')) {
          const name = control.labels?.[0]?.textContent ?? control.textContent;
          check(control.tabIndex === 0 && name.trim() !== '', control.outerHTML);
        }
        for (const cell of document.querySelectorAll('#heads th')) check(cell.scope === 'col', 'a head of a column');
        location.hash = '#show=good&sort=1&down=1&words=h%2F11';";
    keep_for_browser("crawl-large", &with_steps(&render(&results(rows)), steps), "shown=100 matches=100 all=1200");
}

#[test]
fn a_crawl_that_found_nothing_is_a_page_too() {
    keep_for_browser("crawl-empty", &render(&results(Vec::new())), "shown=0 matches=0 all=0");
}

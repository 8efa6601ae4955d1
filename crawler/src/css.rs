//! The addresses in a style sheet: `url()`, `src()`, `image-set()` and `@import`.
//!
//! Called by `html` (`style` elements and attributes) and `body` (style sheets). Pure.
//!
//! It splits the text into tokens by the rules of "CSS Syntax", as far as they decide where an address begins and ends:
//! comments, strings, escapes, unquoted addresses, and which function a string stands in.

use crate::lines::Lines;
use crate::links::{LinkCollector, LinkKind};

/// Adds the addresses of `css`, whose first line is line `first_line` of the page.
pub(crate) fn collect(css: &str, first_line: u32, collector: &mut LinkCollector) {
    // Most `style` attributes have no address.
    if !css.contains(['(', '@']) {
        return;
    }
    let mut lines = Lines::new(css, first_line);
    for_each_address(css, |address, offset| collector.add(address, LinkKind::Style, || lines.line_of(offset)));
}

/// Calls `add` with each address of `css`, and with the offset in bytes at which its token begins.
fn for_each_address(css: &str, mut add: impl FnMut(&str, usize)) {
    let mut scanner = Scanner { text: css, at: 0 };
    // The functions and parentheses that are open.
    let mut open: Vec<Open> = Vec::new();
    let mut rule = Rule::Other;
    while let Some(byte) = scanner.peek() {
        let start = scanner.at;
        match byte {
            b'/' if scanner.rest().starts_with("/*") => scanner.skip_comment(),
            b'"' | b'\'' => {
                let Some(text) = scanner.string(byte) else {
                    continue;
                };
                if (rule == Rule::Import && open.is_empty()) || open.last() == Some(&Open::ImageSet) {
                    add(&text, start);
                    rule = Rule::Other;
                }
            }
            b'@' => {
                scanner.at += 1;
                let name = scanner.name();
                rule = if name.eq_ignore_ascii_case("import") {
                    Rule::Import
                } else if name.eq_ignore_ascii_case("namespace") {
                    Rule::Namespace
                } else {
                    Rule::Other
                };
            }
            b'(' => {
                scanner.at += 1;
                open.push(Open::Other);
            }
            b')' => {
                scanner.at += 1;
                open.pop();
            }
            b'{' | b'}' | b';' => {
                scanner.at += 1;
                open.clear();
                rule = Rule::Other;
            }
            _ if is_name_byte(byte) => {
                let name = scanner.name();
                if scanner.peek() != Some(b'(') {
                    continue;
                }
                scanner.at += 1;
                let is_address = name.eq_ignore_ascii_case("url") || name.eq_ignore_ascii_case("src");
                if is_address {
                    // The address of a namespace is a name.
                    match scanner.function_address() {
                        Some(address) if rule != Rule::Namespace => add(&address, start),
                        Some(_) | None => {}
                    }
                    rule = Rule::Other;
                } else if name.eq_ignore_ascii_case("image-set") || name.eq_ignore_ascii_case("-webkit-image-set") {
                    open.push(Open::ImageSet);
                } else {
                    open.push(Open::Other);
                }
            }
            _ => scanner.at += 1,
        }
    }
}

/// What an open parenthesis belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    ImageSet,
    Other,
}

/// The at-rule whose beginning is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Import,
    Namespace,
    Other,
}

/// Letters, digits, `-`, `_`, escapes, and all that is not ASCII.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'\\') || !byte.is_ascii()
}

#[derive(Debug)]
struct Scanner<'a> {
    text: &'a str,
    /// Always at a boundary of characters.
    at: usize,
}

impl<'a> Scanner<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take_char(&mut self) -> Option<char> {
        let next = self.rest().chars().next()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) {
        let rest = self.rest();
        self.at += rest.get(2..).and_then(|rest| rest.find("*/")).map_or(rest.len(), |end| end + 4);
    }

    /// A name, without its escapes. `self` is behind it afterwards. Takes one character at least, if there is one.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(byte) = self.peek() {
            if byte == b'\\' {
                self.at += 1;
                self.take_escape(&mut name);
            } else if is_name_byte(byte) {
                name.extend(self.take_char());
            } else {
                break;
            }
        }
        name
    }

    /// The string that begins here with `quote`. None if it does not end on its line: that is an error of the sheet.
    fn string(&mut self, quote: u8) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                // The end of the sheet ends the string.
                None => return Some(text),
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Some(text);
                }
                Some(b'\n') => return None,
                Some(b'\\') => {
                    self.at += 1;
                    self.take_escape(&mut text);
                }
                Some(_) => text.extend(self.take_char()),
            }
        }
    }

    /// What stands behind `\`.
    fn take_escape(&mut self, text: &mut String) {
        let digits = self.rest().bytes().take(6).take_while(u8::is_ascii_hexdigit).count();
        if digits == 0 {
            // A line break behind `\` is left out.
            text.extend(self.take_char().filter(|&next| next != '\n'));
            return;
        }
        let code = u32::from_str_radix(&self.rest()[..digits], 16).unwrap_or(0);
        text.push(char::from_u32(code).filter(|&c| c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER));
        self.at += digits;
        if self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The address behind `url(`. None if it is not one. `self` is behind the closing parenthesis afterwards.
    fn function_address(&mut self) -> Option<String> {
        self.skip_spaces();
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            let address = self.string(quote);
            self.skip_past_parenthesis();
            return address;
        }
        let mut address = String::new();
        loop {
            match self.peek() {
                None => return Some(address),
                Some(b')') => {
                    self.at += 1;
                    return Some(address);
                }
                Some(byte) if byte.is_ascii_whitespace() => {
                    self.skip_spaces();
                    let is_end = matches!(self.peek(), None | Some(b')'));
                    self.skip_past_parenthesis();
                    return is_end.then_some(address);
                }
                // Not an address, for example `src(var(--x))`.
                Some(b'"' | b'\'' | b'(') => {
                    self.skip_past_parenthesis();
                    return None;
                }
                Some(b'\\') => {
                    self.at += 1;
                    self.take_escape(&mut address);
                }
                Some(_) => address.extend(self.take_char()),
            }
        }
    }

    fn skip_past_parenthesis(&mut self) {
        let rest = self.rest();
        self.at += rest.find(')').map_or(rest.len(), |end| end + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(css: &str) -> Vec<String> {
        let mut found = Vec::new();
        for_each_address(css, |address, _| found.push(address.to_owned()));
        found
    }

    #[test]
    fn addresses_are_quoted_or_not_and_imports_need_no_function() {
        let css = r#"@import "a.css"; @import url(b.css) screen; @IMPORT url('c.css') layer(x);
            body { background: url( d.png ) no-repeat, URL("e.png"); src: src("f.woff") }"#;
        assert_eq!(addresses(css), ["a.css", "b.css", "c.css", "d.png", "e.png", "f.woff"]);
    }

    #[test]
    fn strings_are_addresses_in_image_sets_only() {
        let css = r#"a { content: "no.png"; background: image-set("a.png" 1x, url(b.png) 2x, "c.avif" type("image/avif")) }
            b { x: -webkit-image-set("d.png" 1x) "no" } @font-face { font-family: "no" } @import-not "no";"#;
        assert_eq!(addresses(css), ["a.png", "b.png", "c.avif", "d.png"]);
    }

    #[test]
    fn comments_namespaces_strings_and_broken_functions_have_no_addresses() {
        let css = r#"/* url(no.png) */ @namespace url(http://no/); @namespace svg "no"; a { content: "url(no.png)" }
            b { x: url(a b.png); y: src(var(--no)); z: url(it's.png) } c { d: "open
            ; e: url(yes.png) } @charset "no";"#;
        assert_eq!(addresses(css), ["yes.png"]);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(addresses(r"a{b:url(x\29 y\20z.png)}"), ["x)y z.png"]);
        assert_eq!(addresses("a{b:u\\72l('a\\\nb\\'.png')}"), ["ab'.png"]);
    }

    #[test]
    fn a_sheet_that_ends_early_has_the_addresses_up_to_there() {
        for css in ["a{b:url(x.png", "a{b:url('x.png", "a{b:url(\"x.png\"", "@import 'x.png", "@import url(x.png /* c"]
        {
            let found = addresses(css);
            assert!(found.is_empty() || found == ["x.png"], "{css}: {found:?}");
        }
        for css in ["", "\\", "url(", "url(\\", "'\\", "/*", "/", "@", "((((", "))))", "é\\é(url(é"] {
            assert!(addresses(css).len() <= 1, "{css}");
        }
    }

    #[test]
    fn the_offset_is_that_of_the_token() {
        let mut offsets = Vec::new();
        for_each_address("a{}\n b{c:url(d)}\n@import 'e';", |_, offset| offsets.push(offset));
        assert_eq!(offsets, [9, 25]);
    }
}

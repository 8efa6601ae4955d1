//! The character set that an HTML page declares in its first bytes, as the HTML standard finds it before the page is read.
//!
//! Called by `body`. Pure.

/// The label of the first `<meta charset>` or `<meta http-equiv=content-type>`. Comments and other tags declare none.
pub(crate) fn declared_in(head: &[u8]) -> Option<String> {
    let mut rest = head;
    while let Some(at) = rest.iter().position(|&byte| byte == b'<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix(b"!--") {
            let end = comment.windows(3).position(|window| window == b"-->");
            rest = &comment[end? + 3..];
            continue;
        }
        if matches!(rest.first(), Some(b'!' | b'?')) {
            rest = &rest[rest.iter().position(|&byte| byte == b'>')? + 1..];
            continue;
        }
        let name = rest.strip_prefix(b"/").unwrap_or(rest);
        if !name.first().is_some_and(u8::is_ascii_alphabetic) {
            continue;
        }
        let end = name.iter().position(|&byte| is_separator(byte) || byte == b'>')?;
        let is_meta = name[..end].eq_ignore_ascii_case(b"meta") && name.len() == rest.len();
        let tag = Attributes(&name[end..]);
        if is_meta {
            if let Some(label) = declared_by(tag) {
                return Some(label);
            }
        }
        // A `>` within quotes does not end the tag.
        let mut tag = Attributes(&name[end..]);
        while tag.next().is_some() {}
        rest = tag.0;
    }
    None
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'/'
}

/// The label that the attributes of a `meta` tag declare.
fn declared_by(attributes: Attributes<'_>) -> Option<String> {
    let (mut charset, mut content, mut is_content_type) = (None, None, false);
    for (name, value) in attributes {
        match &*name {
            b"charset" => charset = charset.or(Some(value)),
            b"content" => content = content.or_else(|| label_in_content(value)),
            b"http-equiv" => is_content_type |= value.eq_ignore_ascii_case(b"content-type"),
            _ => {}
        }
    }
    let label = charset.or(content.filter(|_| is_content_type))?;
    let label = String::from_utf8_lossy(label.trim_ascii());
    (!label.is_empty()).then(|| label.chars().take(40).collect())
}

/// The label in text such as `text/html; charset=utf-8`.
fn label_in_content(content: &[u8]) -> Option<&[u8]> {
    let at = content.windows(7).position(|window| window.eq_ignore_ascii_case(b"charset"))?;
    let value = content[at + 7..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (value, is_end): (_, fn(u8, u8) -> bool) = match value.first()? {
        b'"' | b'\'' => (&value[1..], |byte, quote| byte == quote),
        _ => (value, |byte, _| byte == b';' || byte.is_ascii_whitespace()),
    };
    let quote = content[content.len() - value.len() - 1];
    let end = value.iter().position(|&byte| is_end(byte, quote)).unwrap_or(value.len());
    Some(&value[..end])
}

/// The attributes of a tag, up to its `>`. The names are in lower case.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (Vec<u8>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|&byte| !is_separator(byte)).unwrap_or(self.0.len());
        let rest = &self.0[start..];
        if matches!(rest.first(), None | Some(b'>')) {
            self.0 = rest;
            return None;
        }
        // A name may begin with `=`.
        let is_end = |byte: u8| is_separator(byte) || matches!(byte, b'=' | b'>');
        let end = rest[1..].iter().position(|&byte| is_end(byte)).map_or(rest.len(), |at| at + 1);
        let (name, behind) = rest.split_at(end);
        let name = name.to_ascii_lowercase();
        let Some(value) = behind.trim_ascii_start().strip_prefix(b"=") else {
            self.0 = behind;
            return Some((name, &[]));
        };
        let value = value.trim_ascii_start();
        if let Some(&quote @ (b'"' | b'\'')) = value.first() {
            let text = &value[1..];
            let end = text.iter().position(|&byte| byte == quote).unwrap_or(text.len());
            self.0 = text.get(end + 1..).unwrap_or_default();
            return Some((name, &text[..end]));
        }
        let end = value.iter().position(|&byte| byte.is_ascii_whitespace() || byte == b'>').unwrap_or(value.len());
        self.0 = &value[end..];
        Some((name, &value[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_meta_tag_that_declares_a_character_set_counts() {
        for (html, expected) in [
            ("<meta charset=utf-8>", Some("utf-8")),
            ("<META\nCHARSET = \" latin1 \"/>", Some("latin1")),
            ("<meta/charset='a'><meta charset=b>", Some("a")),
            ("<meta http-equiv=Content-Type content='text/html; charset=x'>", Some("x")),
            ("<meta content='text/html; Charset = \"y\" z' http-equiv=content-type>", Some("y")),
            ("<meta content='charset=z;a' http-equiv=content-type>", Some("z")),
            ("<meta content='text/html; charset=no'>", None),
            ("<meta http-equiv=content-type content='text/html'><meta charset=b>", Some("b")),
            ("<meta charset=><meta charset=b>", Some("b")),
            ("<!-- <meta charset=no> --><meta charset=b>", Some("b")),
            ("<!doctype html><?x?><meta charset=b>", Some("b")),
            ("<img alt='<meta charset=no>'><meta charset=b>", Some("b")),
            ("<a href='?charset=no'>charset=no</a>", None),
            ("</meta charset=no><metas charset=no><x meta charset=no>", None),
            ("< meta charset=no><<meta charset=b>", Some("b")),
        ] {
            assert_eq!(declared_in(html.as_bytes()).as_deref(), expected, "{html}");
        }
    }

    #[test]
    fn a_page_that_is_cut_anywhere_declares_the_same_or_nothing() {
        let html = b"<!-- x --><meta a='>' http-equiv=\"content-type\" content='a;charset=\"b\"'><meta charset=c>";
        for end in 0..=html.len() {
            let label = declared_in(&html[..end]);
            assert!(label.is_none() || label.as_deref() == Some("b"), "{end}: {label:?}");
        }
    }
}

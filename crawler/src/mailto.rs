//! Whether a `mailto:` address is written by the rules of RFC 6068. No mail is sent and no server is asked.
//!
//! Called by `links`. Pure.

use percent_encoding::percent_decode_str;
use url::Url;

/// The longest part before `@` that mail servers take, in bytes (RFC 5321).
const LOCAL_MAX: usize = 64;
/// The longest label of a domain name, in bytes (RFC 1035). Names in other scripts become longer when they are encoded.
const LABEL_MAX: usize = 63;

/// # Errors
/// If `url` names no recipient, or a wrong one. The message says how to write it.
pub(crate) fn check(url: &Url) -> Result<(), String> {
    let mut recipients: Vec<&str> = vec![url.path()];
    let fields = url.query().unwrap_or_default();
    for field in fields.split('&') {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        if ["to", "cc", "bcc"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
            recipients.push(value);
        }
    }
    // An address without a recipient opens an empty mail, which makes sense only if it has other fields.
    if fields.is_empty() && url.path().is_empty() {
        return Err("it names no recipient. Write it like mailto:name@example.com".to_owned());
    }
    for list in recipients.into_iter().filter(|list| !list.is_empty()) {
        // A comma within an address is encoded, so the list is split before it is decoded.
        for address in list.split(',') {
            let address = percent_decode_str(address).decode_utf8_lossy();
            check_address(address.trim())
                .map_err(|why| format!("the mail address `{address}` {why}. Write it like mailto:name@example.com"))?;
        }
    }
    Ok(())
}

fn check_address(address: &str) -> Result<(), &'static str> {
    if address.is_empty() {
        return Err("is empty");
    }
    let (local, domain) = address.rsplit_once('@').ok_or("has no `@`")?;
    if local.is_empty() {
        return Err("has nothing before `@`");
    }
    if local.len() > LOCAL_MAX {
        return Err("has more than 64 bytes before `@`");
    }
    let is_quoted = local.len() >= 2 && local.starts_with('"') && local.ends_with('"');
    if !is_quoted && !local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char)) {
        return Err("has characters before `@` that need quotes, or dots in the wrong place");
    }
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_domain = match literal {
        Some(host) => {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-'))
        }
        None => domain.strip_suffix('.').unwrap_or(domain).split('.').all(is_label),
    };
    if is_domain { Ok(()) } else { Err("has no valid domain behind `@`") }
}

/// A character that needs no quotes before `@` (RFC 5322), or one that is not ASCII (RFC 6532).
fn is_atom_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_whitespace())
}

fn is_label(label: &str) -> bool {
    let is_right =
        |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && c.is_alphanumeric());
    !label.is_empty()
        && label.len() <= LABEL_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> Result<(), String> {
        check(&Url::parse(text).unwrap())
    }

    #[test]
    fn right_addresses_pass() {
        for text in [
            "mailto:a@b",
            "mailto:name.surname+tag@example.com",
            "mailto:a@example.com,b@example.org?cc=c@d&subject=a%20b",
            "mailto:?to=a@b&subject=x",
            "mailto:?subject=share",
            "mailto:%22a%20b%22@example.com",
            "mailto:gorby%25kremvax@example.com",
            "mailto:jo\u{eb}l@ex\u{e4}mple.com",
            "mailto:a@[192.0.2.1]",
            "mailto:a@example.com?subject",
        ] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused_with_a_way_out() {
        for text in [
            "mailto:",
            "mailto:nobody",
            "mailto:@example.com",
            "mailto:a@",
            "mailto:a@b,",
            "mailto:a..b@example.com",
            "mailto:.a@example.com",
            "mailto:a%20b@example.com",
            "mailto:Name%20%3Ca@example.com%3E",
            "mailto:a@ex%20ample.com",
            "mailto:a@example..com",
            "mailto:a@-example.com",
            "mailto:a@b@c",
            "mailto://a@example.com",
            "mailto:a@b?cc=wrong",
        ] {
            let error = check_text(text).unwrap_err();
            assert!(error.contains("mailto:name@example.com"), "{text}: {error}");
        }
        assert!(check_text(&format!("mailto:{}@b", "x".repeat(65))).is_err());
        assert!(check_text(&format!("mailto:a@{}.com", "x".repeat(64))).is_err());
    }
}

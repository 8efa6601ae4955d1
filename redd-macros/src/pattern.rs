//! Removes the bindings from a branch's pattern, to check whether a value matches before anything is moved.
//!
//! Called by `select`.
//!
//! # Why not otherwise
//! Matching a reference to the value with the pattern as written would need no rewriting, but the caller's `&`, `ref`,
//! `mut` and constants mean something else behind a reference. Without bindings the value itself can be matched:
//! nothing moves.

use syn::{Member, Pat, PatIdent, PatWild, Token};

use crate::tree::own;

/// Whether a pattern can fail to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matches {
    /// It cannot fail.
    Always,
    /// It can fail, as far as its syntax shows.
    Sometimes,
}

/// Removes the bindings of `pattern` in place.
///
/// A single name that begins with an upper-case letter stays, because it is a constant or a variant (`None`). Any other
/// name counts as a binding.
#[expect(clippy::wildcard_enum_match_arm, reason = "syn adds kinds of patterns; what we do not know stays as it is")]
pub(crate) fn remove_bindings(pattern: &mut Pat) -> Matches {
    match pattern {
        Pat::Ident(binding) => {
            if let Some((_, inner)) = binding.subpat.take() {
                *pattern = *inner;
                return remove_bindings(pattern);
            }
            if is_constant(binding) {
                return Matches::Sometimes;
            }
            *pattern = wild();
            Matches::Always
        }
        Pat::Wild(_) | Pat::Rest(_) => Matches::Always,
        Pat::Paren(paren) => remove_bindings(&mut paren.pat),
        Pat::Reference(reference) => remove_bindings(&mut reference.pat),
        Pat::Tuple(tuple) => of_all(tuple.elems.iter_mut()),
        Pat::Or(or) => of_all(or.cases.iter_mut()),
        Pat::Slice(slice) => {
            of_all(slice.elems.iter_mut());
            Matches::Sometimes
        }
        Pat::TupleStruct(tuple) => {
            of_all(tuple.elems.iter_mut());
            Matches::Sometimes
        }
        Pat::Struct(fields) => {
            for field in &mut fields.fields {
                // `Point { x, mut y }` is short for `Point { x: x, y: mut y }`.
                if let (None, Pat::Ident(binding)) = (&field.colon_token, &*field.pat) {
                    field.member = Member::Named(binding.ident.clone());
                    field.colon_token = Some(Token![:](binding.ident.span()));
                    *field.pat = wild();
                } else {
                    remove_bindings(&mut field.pat);
                }
            }
            Matches::Sometimes
        }
        // Literals, ranges, paths, constants; and macros, whose bindings are not visible here.
        _ => Matches::Sometimes,
    }
}

fn of_all<'a>(patterns: impl Iterator<Item = &'a mut Pat>) -> Matches {
    let mut matches = Matches::Always;
    for pattern in patterns {
        if remove_bindings(pattern) == Matches::Sometimes {
            matches = Matches::Sometimes;
        }
    }
    matches
}

fn is_constant(binding: &PatIdent) -> bool {
    let name = binding.ident.to_string();
    let first = name.trim_start_matches("r#").trim_start_matches('_').chars().next();
    binding.by_ref.is_none() && binding.mutability.is_none() && first.is_some_and(char::is_uppercase)
}

fn wild() -> Pat {
    Pat::Wild(PatWild { attrs: Vec::new(), underscore_token: Token![_](own()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;
    use syn::parse::Parser;

    fn removed(text: &str) -> (String, Matches) {
        let mut pattern = Pat::parse_multi_with_leading_vert.parse_str(text).expect("a pattern");
        let matches = remove_bindings(&mut pattern);
        (pattern.into_token_stream().to_string(), matches)
    }

    #[test]
    fn bindings_go_and_everything_that_can_fail_to_match_stays() {
        use Matches::{Always, Sometimes};
        for (text, left, matches) in [
            ("x", "_", Always),
            ("_", "_", Always),
            ("mut x", "_", Always),
            ("ref Some_thing", "_", Always),
            ("(a, (mut b, _), ..)", "(_ , (_ , _) , ..)", Always),
            ("&(a, b)", "& (_ , _)", Always),
            ("Some(x)", "Some (_)", Sometimes),
            ("None", "None", Sometimes),
            ("_LIMIT", "_LIMIT", Sometimes),
            ("x @ 1..=5", "1 ..= 5", Sometimes),
            ("Ok(Some(ref mut x))", "Ok (Some (_))", Sometimes),
            ("A(x) | B(x)", "A (_) | B (_)", Sometimes),
            ("Point { x, mut y, z: w, .. }", "Point { x : _ , y : _ , z : _ , .. }", Sometimes),
            ("[first, rest @ ..]", "[_ , ..]", Sometimes),
            ("\"text\"", "\"text\"", Sometimes),
        ] {
            assert_eq!(removed(text), (left.to_owned(), matches), "{text}");
        }
    }
}

//! Several values of different types as one: a balanced tree of pairs.
//!
//! `select!` and `join!` hold their futures in a tree of `Both` and `select!` returns a tree of `Fork`. A leaf's path
//! is the same in both. A tree needs no type made up for each call, projects pins without unsafe code in the caller's
//! crate, and is at most six levels deep for 64 leaves.
//!
//! Called by `select` and `join`.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{format_ident, quote_spanned};
use syn::parse::ParseStream;
use syn::{Expr, Token};

/// The maximum number of branches of one call: their states are the bits of a `u64`.
pub(crate) const BRANCHES_MAX: usize = 64;

/// Parses the path of `macros::support`, which the wrapper passes as the first group.
pub(crate) fn parse_support(input: ParseStream<'_>) -> syn::Result<TokenStream> {
    Ok(input.parse::<Group>()?.stream())
}

/// Parses an optional `biased;`.
pub(crate) fn parse_biased(input: ParseStream<'_>) -> syn::Result<Order> {
    let is_biased = input.fork().parse::<Ident>().is_ok_and(|word| word == "biased");
    if !is_biased || !input.peek2(Token![;]) {
        return Ok(Order::Mixed);
    }
    input.parse::<Ident>()?;
    input.parse::<Token![;]>()?;
    Ok(Order::AsWritten)
}

/// The order in which branches are polled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// From the first to the last: `biased;`.
    AsWritten,
    /// Starting with a different one each time, so that none starves.
    Mixed,
}

/// The span for names of our own (`own-names`).
pub(crate) fn own() -> Span {
    Span::mixed_site()
}

/// The location of `tokens`, with names resolved as ours. Errors about the value point at the caller's code.
pub(crate) fn own_at(tokens: &TokenStream) -> Span {
    tokens.clone().into_iter().next().map_or_else(own, |first: TokenTree| first.span().resolved_at(own()))
}

/// Evaluates the caller's expressions in order and pins the futures as one tree in `futures`.
///
/// It is one statement, so temporaries are dropped at its end, as the caller expects. `wrap` turns a future into a leaf.
pub(crate) fn pin_futures(
    support: &TokenStream,
    expressions: &[TokenStream],
    wrap: impl Fn(TokenStream, Span) -> TokenStream,
) -> TokenStream {
    let names: Vec<Ident> = (0..expressions.len()).map(|index| format_ident!("future_{index}", span = own())).collect();
    let leaves: Vec<TokenStream> = expressions
        .iter()
        .zip(&names)
        .map(|(expression, name)| {
            let at = own_at(expression);
            let future = quote_spanned!(at => #support::IntoFuture::into_future(#name));
            wrap(future, at)
        })
        .collect();
    let tree = both(support, &leaves);
    quote_spanned! {own()=>
        let (#(#names,)*) = (#(#expressions,)*);
        let mut futures = #support::pin!(#tree);
    }
}

fn both(support: &TokenStream, leaves: &[TokenStream]) -> TokenStream {
    if let [leaf] = leaves {
        return leaf.clone();
    }
    let (left, right) = leaves.split_at(leaves.len() / 2);
    let (left, right) = (both(support, left), both(support, right));
    quote_spanned!(own() => #support::Both::new(#left, #right))
}

/// The pinned leaf `index` of `futures`, which has `count` leaves.
pub(crate) fn leaf(index: usize, count: usize) -> TokenStream {
    leaf_at(own(), index, count)
}

/// As [`leaf`]; `at` is the location for errors about its type.
pub(crate) fn leaf_at(at: Span, index: usize, count: usize) -> TokenStream {
    let mut tokens = quote_spanned!(at => futures.as_mut());
    for side in path(index, count) {
        tokens = match side {
            Side::Left => quote_spanned!(at => #tokens.left()),
            Side::Right => quote_spanned!(at => #tokens.right()),
        };
    }
    tokens
}

/// The value or pattern `inner` as leaf `index` of a tree of `Fork`.
pub(crate) fn fork(support: &TokenStream, index: usize, count: usize, inner: TokenStream) -> TokenStream {
    path(index, count).into_iter().rev().fold(inner, |inner, side| match side {
        Side::Left => quote_spanned!(own() => #support::Fork::Left(#inner)),
        Side::Right => quote_spanned!(own() => #support::Fork::Right(#inner)),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// The path from the root to leaf `index`. It splits as [`both`] does.
fn path(mut index: usize, mut count: usize) -> Vec<Side> {
    let mut sides = Vec::new();
    while count > 1 {
        let half = count / 2;
        if index < half {
            sides.push(Side::Left);
            count = half;
        } else {
            sides.push(Side::Right);
            index -= half;
            count -= half;
        }
    }
    sides
}

/// The statement before the turns that chooses the branch with which the first turn begins.
pub(crate) fn begin_turns(order: Order, start: &TokenStream) -> Option<TokenStream> {
    (order == Order::Mixed).then(|| quote_spanned!(own() => let mut first: u32 = #start;))
}

/// One turn: polls each branch once, in order, or starting with branch `first` and wrapping around. The next turn starts
/// one branch further, so that no branch profits from its position.
pub(crate) fn turn(order: Order, polls: &[TokenStream]) -> TokenStream {
    if order == Order::AsWritten {
        return quote_spanned!(own() => #({ #polls })*);
    }
    let count = u32::try_from(polls.len()).expect("at most `BRANCHES_MAX` branches");
    let numbers = 0..count - 1;
    let (last, others) = polls.split_last().expect("a call without branches has no turns");
    quote_spanned! {own()=>
        let mut branch = first;
        first = (first + 1) % #count;
        for _ in 0..#count {
            match branch {
                #(#numbers => { #others })*
                _ => { #last }
            }
            branch += 1;
            if branch == #count {
                branch = 0;
            }
        }
    }
}

/// Returns whether `tokens` are one complete expression.
pub(crate) fn is_expression(tokens: &TokenStream) -> bool {
    syn::parse2::<Expr>(tokens.clone()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_has_its_own_path_and_none_is_deeper_than_six() {
        for count in 1..=BRANCHES_MAX {
            let paths: Vec<_> = (0..count).map(|index| path(index, count)).collect();
            for (index, way) in paths.iter().enumerate() {
                assert!(way.len() <= 6);
                assert!(paths[index + 1..].iter().all(|other| !other.starts_with(way)));
            }
        }
    }
}

//! `join!` and `try_join!`: run several futures on one task until all are ready, or until the first error.
//!
//! Called through the wrappers `redd::join!` and `redd::try_join!`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Result, Token};

use crate::tree::{self, BRANCHES_MAX, Order, own};

/// When to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `join!`: when all are ready.
    All,
    /// `try_join!`: when all are ready or one has failed.
    UntilError,
}

struct Join {
    support: TokenStream,
    order: Order,
    futures: Vec<TokenStream>,
}

impl Parse for Join {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let support = tree::parse_support(input)?;
        let order = tree::parse_biased(input)?;
        let futures = Punctuated::<Expr, Token![,]>::parse_terminated(input)?;
        if let Some(extra) = futures.iter().nth(BRANCHES_MAX) {
            return Err(Error::new_spanned(
                extra,
                format!(
                    "it takes up to {BRANCHES_MAX} futures; join some of them in a future of their own, or use a `JoinSet`"
                ),
            ));
        }
        let futures = futures.into_iter().map(ToTokens::into_token_stream).collect();
        Ok(Self { support, order, futures })
    }
}

pub(crate) fn expand(input: TokenStream, kind: Kind) -> TokenStream {
    match syn::parse2::<Join>(input) {
        Ok(join) => join.expand(kind),
        Err(error) => error.into_compile_error(),
    }
}

impl Join {
    fn expand(self, kind: Kind) -> TokenStream {
        let Self { support, order, futures: expressions } = self;
        let count = expressions.len();
        if count == 0 {
            return match kind {
                Kind::All => quote_spanned!(own() => async {}.await),
                Kind::UntilError => quote_spanned!(own() => async { #support::Ok(()) }.await),
            };
        }
        let futures = tree::pin_futures(
            &support,
            &expressions,
            |future, at| quote_spanned!(at => #support::Joining::new(#future)),
        );
        let polls: Vec<_> = expressions
            .iter()
            .enumerate()
            .map(|(index, expression)| poll(&support, kind, tree::own_at(expression), index, count))
            .collect();
        let first = tree::begin_turns(order, &quote_spanned!(own() => 0));
        let turn = tree::turn(order, &polls);
        let outputs = (0..count).map(|index| {
            let leaf = tree::leaf(index, count);
            match kind {
                Kind::All => quote_spanned!(own() => #support::take_output(#leaf)),
                Kind::UntilError => quote_spanned!(own() => #support::take_ok(#leaf)),
            }
        });
        let outputs = quote_spanned!(own() => (#(#outputs,)*));
        let outputs = match kind {
            Kind::All => outputs,
            Kind::UntilError => quote_spanned!(own() => #support::Ok(#outputs)),
        };
        quote_spanned! {own()=> {
            #futures
            #first
            #[allow(unreachable_code, clippy::all, reason = "generated")]
            let output = #support::poll_fn(move |cx| {
                let mut is_pending = false;
                #turn
                if is_pending {
                    return #support::Poll::Pending;
                }
                #support::Poll::Ready(#outputs)
            })
            .await;
            output
        }}
    }
}

fn poll(support: &TokenStream, kind: Kind, at: Span, index: usize, count: usize) -> TokenStream {
    let leaf = tree::leaf_at(at, index, count);
    match kind {
        Kind::All => quote_spanned! {own()=>
            is_pending |= #support::poll_done(#leaf, cx).is_pending();
        },
        Kind::UntilError => quote_spanned! {own()=>
            match #support::poll_ok(#leaf, cx) {
                #support::Poll::Ready(#support::Ok(())) => {}
                #support::Poll::Ready(#support::Err(error)) => {
                    return #support::Poll::Ready(#support::Err(error));
                }
                #support::Poll::Pending => is_pending = true,
            }
        },
    }
}

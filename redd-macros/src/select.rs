//! `select!`: waits for several futures and handles the first that is ready.
//!
//! Called through the wrapper `redd::select!`.
//!
//! The expansion is `match { …wait… } { …handlers… }`. So the futures are dropped before a handler runs. A handler is part
//! of the caller's own function, so `return`, `?`, `break` and `.await` work there as usual.
//!
//! # Invariants
//! - `no-user-code-inside`: the closure that polls contains no tokens of the caller except patterns without bindings.
//! - `disabled-stays-disabled`: a branch is not polled again once its bit in `disabled` is set. Either its condition was
//!   false, or its future was ready with a value that its pattern refused.

use proc_macro2::{Literal, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Pat, Result, Token, token};

use crate::pattern::{Matches, remove_bindings};
use crate::tree::{self, BRANCHES_MAX, Order, own};

struct Branch {
    pattern: Pat,
    future: TokenStream,
    condition: Option<TokenStream>,
    handler: TokenStream,
}

struct Select {
    support: TokenStream,
    order: Order,
    branches: Vec<Branch>,
    otherwise: Option<TokenStream>,
}

pub(crate) fn expand(input: TokenStream) -> TokenStream {
    match syn::parse2::<Select>(input) {
        Ok(select) => select.expand(),
        Err(error) => error.into_compile_error(),
    }
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let support = tree::parse_support(input)?;
        let order = tree::parse_biased(input)?;
        let (mut branches, mut otherwise) = (Vec::new(), None);
        while !input.is_empty() {
            if input.peek(Token![else]) {
                input.parse::<Token![else]>()?;
                input.parse::<Token![=>]>()?;
                otherwise = Some(parse_handler(input)?);
                if !input.is_empty() {
                    return Err(input.error("`else` is the last branch of `select!`; move it to the end"));
                }
                break;
            }
            if branches.len() == BRANCHES_MAX {
                return Err(input.error(format!(
                    "`select!` takes up to {BRANCHES_MAX} branches; put some of them in a `select!` of their own, \
                     inside an async block"
                )));
            }
            branches.push(input.parse()?);
        }
        if branches.is_empty() && otherwise.is_none() {
            return Err(Error::new(
                Span::call_site(),
                "`select!` needs at least one branch: `pattern = future => handler`",
            ));
        }
        Ok(Self { support, order, branches, otherwise })
    }
}

impl Parse for Branch {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let pattern = Pat::parse_multi_with_leading_vert(input)?;
        if !input.peek(Token![=]) || input.peek(Token![=>]) {
            return Err(input.error("expected `= future`: a branch of `select!` is `pattern = future => handler`"));
        }
        input.parse::<Token![=]>()?;
        let future = parse_future(input)?;
        let condition = if input.peek(Token![,]) {
            input.parse::<Token![,]>()?;
            input.parse::<Token![if]>()?;
            Some(tokens_until_arrow(input, "condition")?)
        } else {
            None
        };
        input.parse::<Token![=>]>()?;
        Ok(Self { pattern, future, condition, handler: parse_handler(input)? })
    }
}

/// The tokens up to `=>` or `, if`. No expression contains either outside of brackets, so only the compiler parses it.
fn parse_future(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut future = TokenStream::new();
    loop {
        if input.peek(Token![=>]) || input.peek(Token![,]) && input.peek2(Token![if]) {
            break;
        }
        // A comma may occur in `collect::<Vec<A, B>>()`. After a complete expression it is a mistake.
        if input.is_empty() || input.peek(Token![,]) && tree::is_expression(&future) {
            return Err(
                input.error("expected `=> handler` behind the future of this branch (or `, if condition => handler`)")
            );
        }
        future.extend([input.parse::<TokenTree>()?]);
    }
    if future.is_empty() {
        return Err(input.error("expected a future between `=` and `=>`"));
    }
    Ok(future)
}

fn tokens_until_arrow(input: ParseStream<'_>, what: &str) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.peek(Token![=>]) {
        if input.is_empty() {
            return Err(input.error(format!("expected `=> handler` behind the {what} of this branch")));
        }
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    if tokens.is_empty() {
        return Err(input.error(format!("expected a {what} in front of `=>`")));
    }
    Ok(tokens)
}

/// A block with or without a comma, or an expression up to a comma or the end.
fn parse_handler(input: ParseStream<'_>) -> Result<TokenStream> {
    if input.is_empty() {
        return Err(input.error("expected a handler behind `=>`"));
    }
    if input.peek(token::Brace) {
        let block = input.parse::<TokenTree>()?;
        input.parse::<Option<Token![,]>>()?;
        return Ok(block.into());
    }
    let mut handler = TokenStream::new();
    if input.fork().parse::<Expr>().is_ok() {
        handler = input.parse::<Expr>()?.into_token_stream();
    } else {
        // Syntax that is newer than our parser, or a mistake: the compiler's message about it is better than ours.
        while !input.is_empty() && !input.peek(Token![,]) {
            handler.extend([input.parse::<TokenTree>()?]);
        }
    }
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(input.error("expected `,` behind the handler; only a block `{ … }` can do without"));
    }
    input.parse::<Option<Token![,]>>()?;
    Ok(handler)
}

impl Select {
    fn expand(self) -> TokenStream {
        let Self { support, order, branches, otherwise } = self;
        if branches.is_empty() {
            return otherwise.unwrap_or_default();
        }
        let matchers: Vec<(Pat, Matches)> = branches
            .iter()
            .map(|branch| {
                let mut pattern = branch.pattern.clone();
                let matches = remove_bindings(&mut pattern);
                (pattern, matches)
            })
            .collect();
        let can_refuse = matchers.iter().any(|(_, matches)| *matches == Matches::Sometimes);
        // Without conditions and refutable patterns, some branch is always enabled: no bits, no `else`.
        let can_end = can_refuse || branches.iter().any(|branch| branch.condition.is_some());
        let has_none = can_end || otherwise.is_some();
        let shape = Shape { support: &support, count: branches.len(), can_end, has_none };

        let disabled = can_end.then(|| shape.disabled(&branches));
        let expressions: Vec<_> = branches.iter().map(|branch| branch.future.clone()).collect();
        let futures = tree::pin_futures(&support, &expressions, |future, _| future);
        let first = tree::begin_turns(order, &shape.start());
        let poll = shape.poll(order, &matchers);
        let handlers = shape.handlers(&branches, otherwise, can_refuse);
        quote_spanned! {own()=>
            match {
                #disabled
                #futures
                #first
                #[allow(unreachable_code, unreachable_patterns, clippy::all, reason = "generated")]
                let output = #support::poll_fn(move |cx| { #poll }).await;
                output
            } {
                #handlers
            }
        }
    }
}

/// The bit of branch `index` in `disabled`.
fn bit(index: usize) -> Literal {
    Literal::u64_unsuffixed(1 << index)
}

/// The properties that all parts of an expansion share.
struct Shape<'a> {
    support: &'a TokenStream,
    count: usize,
    /// All branches can be disabled.
    can_end: bool,
    /// The output is an `Option`, with `None` for `else`.
    has_none: bool,
}

impl Shape<'_> {
    /// The statements that declare `disabled` and evaluate the conditions.
    fn disabled(&self, branches: &[Branch]) -> TokenStream {
        let conditions = branches.iter().enumerate().filter_map(|(index, branch)| {
            let condition = branch.condition.as_ref()?;
            let bit = bit(index);
            Some(quote_spanned! {own()=>
                let is_enabled: bool = #condition;
                if !is_enabled {
                    disabled |= #bit;
                }
            })
        });
        let bits = if self.count <= 32 { quote_spanned!(own() => u32) } else { quote_spanned!(own() => u64) };
        quote_spanned! {own()=>
            let mut disabled: #bits = 0;
            #(#conditions)*
        }
    }

    /// The branch with which the first turn begins.
    fn start(&self) -> TokenStream {
        let support = self.support;
        match u32::try_from(self.count).expect("at most `BRANCHES_MAX` branches") {
            1 => quote_spanned!(own() => 0),
            count => quote_spanned!(own() => #support::random_below(#count)),
        }
    }

    /// The body of the closure that polls: one turn over all branches.
    fn poll(&self, order: Order, matchers: &[(Pat, Matches)]) -> TokenStream {
        let support = self.support;
        let polls: Vec<_> = matchers
            .iter()
            .enumerate()
            .map(|(index, (pattern, matches))| self.poll_branch(index, pattern, *matches))
            .collect();
        let turn = tree::turn(order, &polls);
        let is_pending = self.can_end.then(|| quote_spanned!(own() => let mut is_pending = false;));
        let end = self.can_end.then(|| {
            quote_spanned! {own()=>
                if !is_pending {
                    return #support::Poll::Ready(#support::None);
                }
            }
        });
        quote_spanned! {own()=>
            if let #support::Poll::Pending = #support::poll_budget(cx) {
                return #support::Poll::Pending;
            }
            #is_pending
            #turn
            #end
            #support::Poll::Pending
        }
    }

    /// Polls one branch if it is enabled; returns from the closure when it is ready (`no-user-code-inside`).
    fn poll_branch(&self, index: usize, pattern: &Pat, matches: Matches) -> TokenStream {
        let support = self.support;
        let future = tree::leaf(index, self.count);
        let output = self.output(index, quote_spanned!(own() => output));
        let bit = bit(index);
        let done = match matches {
            Matches::Always => quote_spanned!(own() => return #support::Poll::Ready(#output);),
            Matches::Sometimes => quote_spanned! {own()=>
                let is_match = match output {
                    #pattern => true,
                    _ => false,
                };
                if is_match {
                    return #support::Poll::Ready(#output);
                }
                disabled |= #bit;
            },
        };
        let pending = self.can_end.then(|| quote_spanned!(own() => is_pending = true;));
        // The arm that breaks lets the compiler infer a type for an output of unknown type (`poll_fn(|_| panic!())`).
        let poll = quote_spanned! {own()=>
            'polled: {
                let output = match #support::Future::poll(#future, cx) {
                    #support::Poll::Ready(output) => output,
                    #support::Poll::Pending => {
                        #pending
                        break 'polled;
                    }
                };
                #done
            }
        };
        if self.can_end {
            // `disabled-stays-disabled`
            quote_spanned!(own() => if disabled & #bit == 0 { #poll })
        } else {
            poll
        }
    }

    /// The arms of the outer `match`: the caller's patterns and handlers.
    fn handlers(&self, branches: &[Branch], otherwise: Option<TokenStream>, can_refuse: bool) -> TokenStream {
        let support = self.support;
        let arms = branches.iter().enumerate().map(|(index, branch)| {
            let pattern = self.output(index, branch.pattern.to_token_stream());
            let handler = &branch.handler;
            quote_spanned!(own() => #pattern => #handler,)
        });
        let none = self.has_none.then(|| {
            let handler = otherwise.unwrap_or_else(|| quote_spanned!(own() => #support::no_branch_left()));
            quote_spanned!(own() => #support::None => #handler,)
        });
        let refused = can_refuse.then(|| {
            quote_spanned! {own()=>
                #[allow(unreachable_patterns, reason = "some patterns that look refutable are not")]
                _ => #support::pattern_refused(),
            }
        });
        quote_spanned!(own() => #(#arms)* #none #refused)
    }

    /// `inner` (a value or a pattern) as the output of branch `index`.
    fn output(&self, index: usize, inner: TokenStream) -> TokenStream {
        let support = self.support;
        let output = tree::fork(support, index, self.count, inner);
        if self.has_none { quote_spanned!(own() => #support::Some(#output)) } else { output }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let input = format!("(support) {text}").parse().expect("tokens");
        syn::parse2::<Select>(input).err().expect("an error").to_string()
    }

    #[test]
    fn error_messages_show_the_correct_form() {
        for (text, answer) in [
            ("", "at least one branch"),
            ("biased;", "at least one branch"),
            ("x => y", "pattern = future => handler"),
            ("x = y", "=> handler"),
            ("x = y, z = w => v", "=> handler"),
            ("x = => v", "expected a future"),
            ("x = y, if => v", "expected a condition"),
            ("x = y, if z", "=> handler"),
            ("x = y =>", "expected a handler"),
            ("x = y => a b = c => d", "only a block"),
            ("else => a, x = y => b", "move it to the end"),
        ] {
            assert!(error(text).contains(answer), "{text}: {}", error(text));
        }
        let many = "x = y => {}".repeat(65);
        assert!(error(&many).contains("up to 64"));
    }

    #[test]
    fn handlers_are_blocks_or_expressions_up_to_a_comma() {
        let text = "(support) biased; \
            a = f::<A, B>(|x, y| x) => {} \
            Some(b) = g(), if c => d(|p, q| p), \
            1..=5 | 7 = h => return, \
            e = async { 1 } => {}, \
            else => i";
        let select = syn::parse2::<Select>(text.parse().expect("tokens")).expect("it parses");
        assert!(select.order == Order::AsWritten);
        assert_eq!(select.branches.len(), 4);
        assert_eq!(select.branches[1].handler.to_string(), "d (| p , q | p)");
        assert!(select.branches[1].condition.is_some());
        assert!(select.otherwise.is_some());
    }
}

//! `#[main]` and `#[test]`: turn an async function into a synchronous one that runs its body on a new runtime.
//!
//! Only the signature is parsed. The body is passed through unchanged, so that the compiler reports mistakes at their
//! location, even in syntax that is newer than our parser.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Expr, Lit, Meta, Path, Result, ReturnType, Signature, Token, Visibility, token};

use crate::tree::own;

/// The attribute that is expanded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavor {
    MultiThread,
    CurrentThread,
    Local,
}

struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let signature = input.parse()?;
        if !input.peek(token::Brace) {
            return Err(input.error("expected the body of the function"));
        }
        Ok(Self { attributes, visibility, signature, body: input.parse()? })
    }
}

/// The arguments of the attribute, each with its location.
#[derive(Default)]
struct Options {
    flavor: Option<(Flavor, Span)>,
    worker_threads: Option<(usize, Span)>,
    start_paused: Option<(bool, Span)>,
    unhandled_panic: Option<(TokenStream, Span)>,
    name: Option<(String, Span)>,
    is_strict: Option<((), Span)>,
    is_sim: Option<((), Span)>,
    seeds: Option<(usize, Span)>,
    krate: Option<(Path, Span)>,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream, kind: Kind, krate: &str) -> TokenStream {
    let function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        // The item is emitted unchanged: the compiler's own messages and editors need it.
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#item #error);
        }
    };
    let checked = check_function(&function, kind)
        .and_then(|()| parse_options(arguments, kind))
        .and_then(|options| Ok((builder(&options, kind, krate)?, world(&options, krate)?)));
    match checked {
        Ok((runtime, world)) => function.expand(&runtime, world.as_ref(), kind),
        Err(error) => {
            let error = error.into_compile_error();
            // An `async fn main` would cause a second error that is less helpful than ours.
            let stand_in = if function.signature.ident == "main" {
                quote!(
                    fn main() {}
                )
            } else {
                item
            };
            quote!(#stand_in #error)
        }
    }
}

fn check_function(function: &Function, kind: Kind) -> Result<()> {
    let signature = &function.signature;
    if signature.asyncness.is_none() {
        return Err(Error::new_spanned(
            signature.fn_token,
            "the `async` keyword is missing from this function; write `async fn`",
        ));
    }
    match kind {
        Kind::Main if signature.ident == "main" && !signature.inputs.is_empty() => Err(Error::new_spanned(
            &signature.inputs,
            "the main function takes no arguments; `std::env::args` has those of the command line",
        )),
        Kind::Test if !signature.inputs.is_empty() => {
            Err(Error::new_spanned(&signature.inputs, "a test function takes no arguments"))
        }
        Kind::Test => match function.attributes.iter().find(|attribute| is_test(attribute)) {
            Some(second) => Err(Error::new_spanned(
                second,
                "a second test attribute: this function would run twice as a test; remove one of the two",
            )),
            None => Ok(()),
        },
        Kind::Main => Ok(()),
    }
}

/// Matches `#[test]` and `#[::core::prelude::v1::test]`, which test attributes of other crates may have added.
fn is_test(attribute: &Attribute) -> bool {
    let Meta::Path(path) = &attribute.meta else {
        return false;
    };
    let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    matches!(names.as_slice(), ["test"] | ["core" | "std", "prelude", _, "test"])
}

fn parse_options(arguments: TokenStream, kind: Kind) -> Result<Options> {
    let mut options = Options::default();
    let metas = Punctuated::<Meta, Token![,]>::parse_terminated.parse2(arguments)?;
    for meta in metas {
        let at = meta.path().to_token_stream();
        let name = at.to_string().replace(' ', "");
        if let (Meta::Path(_), "strict", Kind::Test) = (&meta, name.as_str(), kind) {
            set(&mut options.is_strict, (), &meta)?;
            continue;
        }
        if let (Meta::Path(_), "sim", Kind::Test) = (&meta, name.as_str(), kind) {
            set(&mut options.is_sim, (), &meta)?;
            continue;
        }
        let Meta::NameValue(pair) = &meta else {
            return Err(Error::new_spanned(&meta, bare_argument(&name, kind)));
        };
        let value = Value { name: &name, value: &pair.value };
        match name.as_str() {
            "flavor" => set(&mut options.flavor, value.flavor()?, &meta)?,
            "worker_threads" => set(&mut options.worker_threads, value.count()?, &meta)?,
            "start_paused" => set(&mut options.start_paused, value.boolean()?, &meta)?,
            "unhandled_panic" => set(&mut options.unhandled_panic, value.unhandled_panic()?, &meta)?,
            "name" => set(&mut options.name, value.string()?, &meta)?,
            "seeds" if kind == Kind::Test => set(&mut options.seeds, value.count()?, &meta)?,
            "crate" => set(&mut options.krate, value.path()?, &meta)?,
            "core_threads" => {
                return Err(Error::new_spanned(at, "`core_threads` is called `worker_threads`"));
            }
            "strict" => return Err(Error::new_spanned(&meta, strict_argument(kind))),
            "sim" => return Err(Error::new_spanned(&meta, sim_argument(kind))),
            _ => return Err(Error::new_spanned(at, unknown_argument(&name, kind))),
        }
    }
    Ok(options)
}

fn unknown_argument(name: &str, kind: Kind) -> String {
    let last = if kind == Kind::Test { "`name`, `strict`, `sim`, `seeds` and `crate`" } else { "`name` and `crate`" };
    format!(
        "unknown argument `{name}`; the arguments are `flavor`, `worker_threads`, `start_paused`, `unhandled_panic`, {last}"
    )
}

fn strict_argument(kind: Kind) -> &'static str {
    match kind {
        Kind::Main => "`strict` is for tests; a program calls `Builder::fail_on_diagnosis`",
        Kind::Test => "`strict` takes no value: `#[test(strict)]`",
    }
}

fn sim_argument(kind: Kind) -> &'static str {
    match kind {
        Kind::Main => "`sim` is for tests; a program runs in a simulated world as a host of `sim::World`",
        Kind::Test => "`sim` takes no value: `#[test(sim)]`",
    }
}

fn bare_argument(name: &str, kind: Kind) -> String {
    let flavor = match name {
        "threaded_scheduler" | "multi_thread" => "multi_thread",
        "basic_scheduler" | "current_thread" | "single_threaded" => "current_thread",
        "local" => "local",
        "flavor" | "worker_threads" | "start_paused" | "unhandled_panic" | "name" | "crate" => {
            return format!("`{name}` needs a value: `{name} = …`");
        }
        "strict" => return strict_argument(kind).to_owned(),
        "sim" => return sim_argument(kind).to_owned(),
        "seeds" if kind == Kind::Test => return "`seeds` needs a value: `seeds = …`".to_owned(),
        _ => return unknown_argument(name, kind),
    };
    format!("the runtime's flavor is set with `#[{}(flavor = \"{flavor}\")]`", kind.name())
}

fn set<T>(option: &mut Option<(T, Span)>, value: T, meta: &Meta) -> Result<()> {
    if option.is_some() {
        let name = meta.path().to_token_stream();
        return Err(Error::new_spanned(meta, format!("`{name}` is set twice; remove one of the two")));
    }
    let span = meta.path().segments.first().map_or_else(Span::call_site, |segment| segment.ident.span());
    *option = Some((value, span));
    Ok(())
}

/// The right side of `name = value`.
struct Value<'a> {
    name: &'a str,
    value: &'a Expr,
}

impl Value<'_> {
    fn error(&self, wanted: &str) -> Error {
        let got = self.value.to_token_stream();
        Error::new_spanned(self.value, format!("`{}` wants {wanted}, not `{got}`", self.name))
    }

    fn literal(&self) -> Option<&Lit> {
        let mut value = self.value;
        // A literal that came through a `macro_rules!` of the caller.
        while let Expr::Group(group) = value {
            value = &group.expr;
        }
        if let Expr::Lit(literal) = value { Some(&literal.lit) } else { None }
    }

    fn string(&self) -> Result<String> {
        match self.literal() {
            Some(Lit::Str(text)) => Ok(text.value()),
            _ => Err(self.error("a string literal")),
        }
    }

    fn count(&self) -> Result<usize> {
        let count = match self.literal() {
            Some(Lit::Int(number)) => number.base10_parse::<usize>().ok(),
            _ => None,
        };
        match count {
            Some(0) => Err(self.error("at least 1")),
            Some(count) => Ok(count),
            None => Err(self.error("a number literal")),
        }
    }

    fn boolean(&self) -> Result<bool> {
        match self.literal() {
            Some(Lit::Bool(boolean)) => Ok(boolean.value),
            _ => Err(self.error("`true` or `false`")),
        }
    }

    fn flavor(&self) -> Result<Flavor> {
        match self.string()?.as_str() {
            "multi_thread" => Ok(Flavor::MultiThread),
            "current_thread" => Ok(Flavor::CurrentThread),
            "local" => Ok(Flavor::Local),
            _ => Err(self.error("\"multi_thread\", \"current_thread\" or \"local\"")),
        }
    }

    fn unhandled_panic(&self) -> Result<TokenStream> {
        match self.string()?.as_str() {
            "ignore" => Ok(quote_spanned!(own() => Ignore)),
            "shutdown_runtime" => Ok(quote_spanned!(own() => ShutdownRuntime)),
            _ => Err(self.error("\"ignore\" or \"shutdown_runtime\"")),
        }
    }

    fn path(&self) -> Result<Path> {
        match (self.literal(), self.value) {
            (Some(Lit::Str(text)), _) => text.parse_with(Path::parse_mod_style).map_err(|_| self.error("a path")),
            (None, Expr::Path(path)) if path.qself.is_none() => Ok(path.path.clone()),
            _ => Err(self.error("a path")),
        }
    }
}

/// Returns the expression that builds the runtime, or an error if the options conflict.
fn builder(options: &Options, kind: Kind, krate: &str) -> Result<TokenStream> {
    let flavor = match (options.flavor, kind) {
        (Some((flavor, _)), _) => flavor,
        (None, Kind::Main) => Flavor::MultiThread,
        (None, Kind::Test) => Flavor::CurrentThread,
    };
    let krate = crate_path(options, krate);
    let conflict = |at: Span, option: &str, flavor: &str| {
        let name = kind.name();
        Err(Error::new(
            at,
            format!("`{option}` needs the flavor {flavor}: `#[{name}(flavor = \"{flavor}\", {option} = …)]`"),
        ))
    };
    let is_multi = flavor == Flavor::MultiThread;
    let mut steps = TokenStream::new();
    if let Some((count, at)) = options.worker_threads {
        if !is_multi {
            return conflict(at, "worker_threads", "multi_thread");
        }
        steps.extend(quote_spanned!(own() => .worker_threads(#count)));
    }
    if let Some((is_paused, at)) = options.start_paused {
        if is_multi {
            return conflict(at, "start_paused", "current_thread");
        }
        steps.extend(quote_spanned!(own() => .start_paused(#is_paused)));
    }
    if let Some((choice, _)) = &options.unhandled_panic {
        steps.extend(quote_spanned!(own() => .unhandled_panic(#krate::runtime::UnhandledPanic::#choice)));
    }
    if let Some((name, _)) = &options.name {
        steps.extend(quote_spanned!(own() => .name(#name)));
    }
    if options.is_strict.is_some() {
        steps.extend(quote_spanned!(own() => .fail_on_diagnosis(true)));
    }
    let new = match flavor {
        Flavor::MultiThread => quote_spanned!(own() => new_multi_thread()),
        Flavor::CurrentThread | Flavor::Local => quote_spanned!(own() => new_current_thread()),
    };
    let build = match flavor {
        Flavor::MultiThread | Flavor::CurrentThread => quote_spanned!(own() => build()),
        Flavor::Local => quote_spanned!(own() => build_local(::core::default::Default::default())),
    };
    let message = format!(
        "the runtime of `#[{}]` could not be built; build it with `runtime::Builder` to handle the error",
        kind.name()
    );
    Ok(quote_spanned! {own()=>
        #krate::runtime::Builder::#new.enable_all()#steps.#build.expect(#message)
    })
}

/// The path of the crate with the runtime.
fn crate_path(options: &Options, krate: &str) -> TokenStream {
    match &options.krate {
        Some((path, _)) => path.to_token_stream(),
        None => {
            let krate = proc_macro2::Ident::new(krate, own());
            quote_spanned!(own() => ::#krate)
        }
    }
}

/// The worlds of a test with `sim`.
struct World {
    /// The path of the functions that run them.
    support: TokenStream,
    seeds: u64,
}

/// Returns the worlds in which the test is to run, if it is to run in any.
fn world(options: &Options, krate: &str) -> Result<Option<World>> {
    match (options.is_sim, options.seeds) {
        (None, Some((_, at))) => Err(Error::new(at, "`seeds` needs `sim`: `#[test(sim, seeds = …)]`")),
        (None, None) => Ok(None),
        (Some(_), seeds) => {
            let krate = crate_path(options, krate);
            let support = quote_spanned!(own() => #krate::macros::support);
            Ok(Some(World { support, seeds: seeds.map_or(1, |(count, _)| count as u64) }))
        }
    }
}

impl Function {
    fn expand(self, runtime: &TokenStream, world: Option<&World>, kind: Kind) -> TokenStream {
        let Self { attributes, visibility, mut signature, body } = self;
        signature.asyncness = None;
        let (inner_attributes, body_tokens) = split_inner_attributes(body.stream());
        let hint = return_type_hint(&signature.output);
        let test = (kind == Kind::Test).then(|| quote_spanned!(own() => #[::core::prelude::v1::test]));
        // Both blocks have the span of the caller's body, so a missing value is reported there.
        let mut future = Group::new(Delimiter::Brace, quote_spanned!(own() => #hint #body_tokens));
        future.set_span(body.span());
        let run = match world {
            None => quote_spanned! {own()=>
                let body = async #future;
                #runtime.block_on(body)
            },
            Some(World { support, seeds }) => {
                // The worlds report what the body returns.
                signature.output = ReturnType::Default;
                let name = signature.ident.unraw().to_string();
                quote_spanned! {own()=>
                    let test = #support::SimulatedTest {
                        seeds: #seeds,
                        package: ::core::option_env!("CARGO_MANIFEST_DIR"),
                        module: ::core::module_path!(),
                        name: #name,
                    };
                    test.run(|| {
                        let body = async #future;
                        #runtime.block_on(#support::watch_for_left_tasks(body))
                    });
                }
            }
        };
        let mut block = Group::new(
            Delimiter::Brace,
            quote_spanned! {own()=>
                #inner_attributes
                #run
            },
        );
        block.set_span(body.span());
        quote_spanned! {own()=>
            #test
            #(#attributes)*
            #visibility #signature #block
        }
    }
}

/// Splits off `#![…]` at the start of a body: it belongs to the function, not to the async block inside.
fn split_inner_attributes(body: TokenStream) -> (TokenStream, TokenStream) {
    let tokens: Vec<TokenTree> = body.into_iter().collect();
    let mut end = 0;
    while let [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(_), ..] = &tokens[end..] {
        if hash.as_char() != '#' || bang.as_char() != '!' {
            break;
        }
        end += 3;
    }
    let (attributes, body) = tokens.split_at(end);
    (attributes.iter().cloned().collect(), body.iter().cloned().collect())
}

/// Declares the return type inside the async block, so that a wrong value is reported at its location. Types that cannot
/// be written in a `let` (`impl Trait`, `!`) have no hint.
fn return_type_hint(output: &ReturnType) -> TokenStream {
    let output = match output {
        ReturnType::Default => quote_spanned!(own() => ()),
        ReturnType::Type(_, output) if has_no_name(output.to_token_stream()) => {
            return TokenStream::new();
        }
        ReturnType::Type(_, output) => output.to_token_stream(),
    };
    quote_spanned! {own()=>
        #[allow(unreachable_code, unused_variables, clippy::all, reason = "generated")]
        if false {
            let never: #output = loop {};
            return never;
        }
    }
}

fn has_no_name(output: TokenStream) -> bool {
    output.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "impl",
        TokenTree::Punct(mark) => mark.as_char() == '!',
        TokenTree::Group(group) => has_no_name(group.stream()),
        TokenTree::Literal(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str, kind: Kind) -> String {
        expand(arguments.parse().expect("tokens"), item.parse().expect("tokens"), kind, "redd")
            .to_string()
            .replace(' ', "")
    }

    #[test]
    fn each_mistake_has_a_message_that_says_what_to_write() {
        let f = "async fn f() {}";
        for (kind, arguments, item, answer) in [
            (Kind::Main, "", "fn main() {}", "`async`keywordismissing"),
            (Kind::Main, "", "async fn main(x: u8) {}", "std::env::args"),
            (Kind::Test, "", "async fn f(x: u8) {}", "noarguments"),
            (Kind::Test, "", "#[test] async fn f() {}", "secondtestattribute"),
            (Kind::Test, "", "#[::core::prelude::v1::test] async fn f() {}", "secondtestattribute"),
            (Kind::Main, "foo = 1", f, "unknownargument`foo`"),
            (Kind::Main, "foo", f, "unknownargument`foo`"),
            (Kind::Main, "flavor", f, "needsavalue"),
            (Kind::Main, "threaded_scheduler", f, "multi_thread"),
            (Kind::Main, "flavor = 5", f, "astringliteral"),
            (Kind::Main, "flavor = \"foo\"", f, "current_thread"),
            (Kind::Main, "flavor = \"local\", flavor = \"local\"", f, "settwice"),
            (Kind::Main, "worker_threads = 0", f, "atleast1"),
            (Kind::Main, "worker_threads = \"x\"", f, "anumberliteral"),
            (Kind::Test, "worker_threads = 2", f, "needstheflavormulti_thread"),
            (Kind::Main, "start_paused = true", f, "needstheflavorcurrent_thread"),
            (Kind::Test, "unhandled_panic = \"foo\"", f, "shutdown_runtime"),
            (Kind::Main, "strict", f, "Builder::fail_on_diagnosis"),
            (Kind::Main, "strict = true", f, "Builder::fail_on_diagnosis"),
            (Kind::Test, "strict = true", f, "takesnovalue"),
            (Kind::Test, "strict, strict", f, "settwice"),
            (Kind::Test, "foo = 1", f, "`strict`"),
            (Kind::Main, "sim", f, "sim::World"),
            (Kind::Main, "sim = true", f, "sim::World"),
            (Kind::Main, "seeds = 2", f, "unknownargument`seeds`"),
            (Kind::Test, "sim = true", f, "takesnovalue"),
            (Kind::Test, "sim, sim", f, "settwice"),
            (Kind::Test, "seeds = 2", f, "needs`sim`"),
            (Kind::Test, "sim, seeds", f, "needsavalue"),
            (Kind::Test, "sim, seeds = 0", f, "atleast1"),
            (Kind::Test, "crate = 456", f, "apath"),
            (Kind::Test, "crate = \"a b\"", f, "apath"),
        ] {
            let text = expanded(arguments, item, kind);
            assert!(text.contains("compile_error") && text.contains(answer), "{arguments} {item}: {text}");
        }
    }

    #[test]
    fn the_defaults_are_many_threads_for_main_and_one_for_tests() {
        let main = expanded("worker_threads = 2", "pub async fn f<T>(x: T) -> T { x }", Kind::Main);
        assert!(main.contains("::redd::runtime::Builder::new_multi_thread().enable_all().worker_threads(2usize)"));
        assert!(main.contains("pubfnf<T>(x:T)->T{"));
        let strict = expanded("strict", "async fn f() {}", Kind::Test);
        assert!(strict.contains(".enable_all().fail_on_diagnosis(true).build()"), "{strict}");
        let test = expanded("crate = \"a::b\"", "async fn f() { #![allow(unused)] }", Kind::Test);
        assert!(test.contains("a::b::runtime::Builder::new_current_thread()"));
        assert!(test.contains("#[::core::prelude::v1::test]fnf(){#![allow(unused)]letbody"));
    }
}

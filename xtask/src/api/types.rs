//! Types and signatures as short text, spelt one way: paths without their modules, no lifetimes, bounds in a sorted
//! `where`, `Self` by its name, `async fn` as what it returns. So two spellings of one signature compare equal.
//!
//! Called by `api::inventory`.

use super::json::Value;

/// What the text depends on beside the value.
pub(super) struct Spelling<'a> {
    /// The name that `Self` stands for; a trait's methods keep `Self`.
    pub(super) own: &'a str,
    /// Its parameters, as they are declared: `Own<T>` is `Self` too.
    pub(super) own_parameters: &'a str,
    /// Whether a type of the documented crates can be named by programs; one that cannot is `_`.
    pub(super) is_nameable: &'a dyn Fn(&Value) -> bool,
    /// The whole path of a type, where its last name would not tell two types from each other.
    pub(super) full: Option<&'a FullPath<'a>>,
}

/// The whole path of a type, if it has one.
pub(super) type FullPath<'a> = dyn Fn(&Value) -> Option<String> + 'a;

impl Spelling<'_> {
    pub(super) fn of_type(&self, value: &Value) -> String {
        let (kind, of) = value.variant();
        match kind {
            "resolved_path" => self.path(of),
            "dyn_trait" => {
                let traits = of.at("traits").list().iter().map(|each| self.path(each.at("trait")));
                format!("dyn {}", sorted(traits))
            }
            "generic" => if of.text() == "Self" { self.own } else { of.text() }.to_owned(),
            "primitive" => if of.text() == "never" { "!" } else { of.text() }.to_owned(),
            "function_pointer" => format!("fn{}", self.ends(of.at("sig"), Returns::Plainly)),
            "tuple" => format!("({})", self.types(of)),
            "slice" => format!("[{}]", self.of_type(of)),
            "array" => format!("[{}; {}]", self.of_type(of.at("type")), of.at("len").text()),
            "impl_trait" => format!("impl {}", self.bounds(of)),
            "raw_pointer" | "borrowed_ref" => {
                let is_reference = kind == "borrowed_ref";
                let sigil = match (is_reference, of.at("is_mutable").is_true()) {
                    (true, true) => "&mut ",
                    (true, false) => "&",
                    (false, true) => "*mut ",
                    (false, false) => "*const ",
                };
                format!("{sigil}{}", self.of_type(of.at("type")))
            }
            "qualified_path" => format!("{}::{}", self.of_type(of.at("self_type")), of.at("name").text()),
            other => other.to_owned(),
        }
    }

    fn types(&self, list: &Value) -> String {
        list.list().iter().map(|each| self.of_type(each)).collect::<Vec<_>>().join(", ")
    }

    /// A path with its arguments.
    pub(super) fn path(&self, path: &Value) -> String {
        if !(self.is_nameable)(path) {
            return "_".to_owned();
        }
        let name = path.at("path").text();
        let name = name.rsplit("::").next().unwrap_or(name);
        let arguments = self.arguments(path.at("args"));
        if let Some(full) = self.full.and_then(|full| full(path)) {
            return format!("{full}{arguments}");
        }
        if name == self.own && arguments == self.own_parameters {
            name.to_owned()
        } else {
            format!("{name}{arguments}")
        }
    }

    fn arguments(&self, arguments: &Value) -> String {
        let (kind, of) = arguments.variant();
        match kind {
            "angle_bracketed" => {
                let mut parts = Vec::new();
                for each in of.at("args").list() {
                    match each.variant() {
                        ("type", of) => parts.push(self.of_type(of)),
                        ("const", of) => parts.push(of.at("expr").text().to_owned()),
                        _ => {} // a lifetime
                    }
                }
                for each in of.at("constraints").list() {
                    let name = each.at("name").text();
                    match each.at("binding").variant() {
                        ("equality", of) => parts.push(format!("{name} = {}", self.of_type(of.at("type")))),
                        (_, of) => parts.push(format!("{name}: {}", self.bounds(of))),
                    }
                }
                if parts.is_empty() { String::new() } else { format!("<{}>", parts.join(", ")) }
            }
            "parenthesized" => {
                let output = of.at("output");
                let output = if output.is_null() { String::new() } else { format!(" -> {}", self.of_type(output)) };
                format!("({}){output}", self.types(of.at("inputs")))
            }
            _ => String::new(),
        }
    }

    pub(super) fn bounds(&self, bounds: &Value) -> String {
        sorted(bounds.list().iter().filter_map(|bound| match bound.variant() {
            ("trait_bound", of) => {
                let mark = if of.at("modifier").text() == "maybe" { "?" } else { "" };
                let text = format!("{mark}{}", self.path(of.at("trait")));
                // It is what there is without a word.
                (text != "Sized").then_some(text)
            }
            ("outlives", of) if of.text() == "'static" => Some("'static".to_owned()),
            _ => None,
        }))
    }

    /// The bounds of parameters and of the `where` clause, as one sorted list.
    pub(super) fn conditions(&self, generics: &Value) -> String {
        let mut all: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
        let mut add = |what: String, bounds: &Value| {
            let text = self.bounds(bounds);
            if !text.is_empty() {
                all.entry(what).or_default().extend(text.split(" + ").map(str::to_owned));
            }
        };
        for parameter in generics.at("params").list() {
            let of = parameter.at("kind").at("type");
            if !of.at("is_synthetic").is_true() {
                add(parameter.at("name").text().to_owned(), of.at("bounds"));
            }
        }
        for predicate in generics.at("where_predicates").list() {
            let of = predicate.at("bound_predicate");
            if !of.is_null() {
                add(self.of_type(of.at("type")), of.at("bounds"));
            }
        }
        if all.is_empty() {
            return String::new();
        }
        let all = all.into_iter().map(|(what, bounds)| format!("{what}: {}", sorted(bounds.into_iter())));
        format!(" where {}", all.collect::<Vec<_>>().join(", "))
    }

    /// What `text` says of an implementation, and on which conditions.
    pub(super) fn implementation(&self, text: &str, generics: &Value) -> String {
        rename_parameters(format!("{text}{}", self.conditions(generics)), generics)
    }

    /// Parameters of types and constants; how many and in which order counts for programs that name them.
    pub(super) fn parameters(&self, generics: &Value) -> String {
        let names = generics.at("params").list().iter().filter_map(|parameter| match parameter.at("kind").variant() {
            ("type", of) if !of.at("is_synthetic").is_true() => Some(parameter.at("name").text().to_owned()),
            ("const", of) => Some(format!("const {}: {}", parameter.at("name").text(), self.of_type(of.at("type")))),
            _ => None,
        });
        let names: Vec<_> = names.collect();
        if names.is_empty() { String::new() } else { format!("<{}>", names.join(", ")) }
    }

    fn ends(&self, signature: &Value, returns: Returns) -> String {
        let inputs = signature.at("inputs").list().iter().map(|input| {
            let (name, of) = (input.list()[0].text(), &input.list()[1]);
            let text = self.of_type(of);
            if name != "self" {
                return text;
            }
            // `self: &Self` and `&self` are one.
            format!("self: {text}")
        });
        let inputs: Vec<_> = inputs.collect();
        let output = signature.at("output");
        let output = if output.is_null() { "()".to_owned() } else { self.of_type(output) };
        let output = match returns {
            Returns::Plainly => output,
            Returns::Future => format!("impl Future<Output = {output}>"),
        };
        if output == "()" {
            return format!("({})", inputs.join(", "));
        }
        format!("({}) -> {output}", inputs.join(", "))
    }

    pub(super) fn function(&self, function: &Value) -> String {
        let (header, generics) = (function.at("header"), function.at("generics"));
        let returns = if header.at("is_async").is_true() { Returns::Future } else { Returns::Plainly };
        let text = format!(
            "{}{}fn{}{}{}",
            if header.at("is_const").is_true() { "const " } else { "" },
            if header.at("is_unsafe").is_true() { "unsafe " } else { "" },
            self.parameters(generics),
            self.ends(function.at("sig"), returns),
            self.conditions(generics)
        );
        rename_parameters(text, generics)
    }
}

/// How the output of a function stands in its signature.
#[derive(Clone, Copy)]
enum Returns {
    Plainly,
    Future,
}

/// The names of a function's own parameters are its business: the first is `#0`, and so on. Their conditions are sorted
/// before, so two that are renamed to another order may differ where they need not.
fn rename_parameters(text: String, generics: &Value) -> String {
    let names = generics.at("params").list().iter().filter(|parameter| {
        let of = parameter.at("kind").at("type");
        !of.is_null() && !of.at("is_synthetic").is_true()
    });
    let names: Vec<&str> = names.map(|parameter| parameter.at("name").text()).collect();
    let mut renamed = String::new();
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        if letter.is_alphanumeric() || letter == '_' {
            word.push(letter);
            continue;
        }
        match names.iter().position(|name| *name == word) {
            Some(position) => renamed.push_str(&format!("#{position}")),
            None => renamed.push_str(&word),
        }
        word.clear();
        renamed.push(letter);
    }
    renamed.truncate(renamed.len() - 1);
    renamed
}

fn sorted(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    parts.dedup();
    parts.join(" + ")
}

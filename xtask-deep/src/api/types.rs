//! Types and signatures as short text, spelt one way: paths without their modules, no lifetimes, bounds in a sorted
//! `where`, `Self` by its name, `async fn` as what it returns. So two spellings of one signature compare equal.
//!
//! Called by `api::inventory`.

use rustdoc_types::{
    AssocItemConstraintKind, Function, FunctionSignature, GenericArg, GenericArgs, GenericBound, GenericParamDefKind,
    Generics, Path, Term, TraitBoundModifier, Type, WherePredicate,
};

/// What the text depends on beside the value.
pub(super) struct Spelling<'a> {
    /// The name that `Self` stands for; a trait's methods keep `Self`.
    pub(super) own: &'a str,
    /// Its parameters, as they are declared: `Own<T>` is `Self` too.
    pub(super) own_parameters: &'a str,
    /// Whether a type of the documented crates can be named by programs; one that cannot is `_`.
    pub(super) is_nameable: &'a dyn Fn(&Path) -> bool,
    /// The whole path of a type, where its last name would not tell two types from each other.
    pub(super) full: Option<&'a FullPath<'a>>,
}

/// The whole path of a type, if it has one.
pub(super) type FullPath<'a> = dyn Fn(&Path) -> Option<String> + 'a;

impl Spelling<'_> {
    pub(super) fn of_type(&self, of: &Type) -> String {
        match of {
            Type::ResolvedPath(path) => self.path(path),
            Type::DynTrait(of) => format!("dyn {}", sorted(of.traits.iter().map(|each| self.path(&each.trait_)))),
            Type::Generic(name) => if name == "Self" { self.own } else { name }.to_owned(),
            Type::Primitive(name) => if name == "never" { "!" } else { name }.to_owned(),
            Type::FunctionPointer(of) => format!("fn{}", self.ends(&of.sig, Returns::Plainly)),
            Type::Tuple(types) => format!("({})", self.types(types)),
            Type::Slice(of) => format!("[{}]", self.of_type(of)),
            Type::Array { type_, len } => format!("[{}; {len}]", self.of_type(type_)),
            Type::ImplTrait(bounds) => format!("impl {}", self.bounds(bounds)),
            Type::RawPointer { is_mutable, type_ } => {
                format!("{}{}", if *is_mutable { "*mut " } else { "*const " }, self.of_type(type_))
            }
            Type::BorrowedRef { is_mutable, type_, .. } => {
                format!("{}{}", if *is_mutable { "&mut " } else { "&" }, self.of_type(type_))
            }
            Type::QualifiedPath { name, self_type, .. } => format!("{}::{name}", self.of_type(self_type)),
            Type::Infer => "infer".to_owned(),
            Type::Pat { .. } => "pat".to_owned(),
        }
    }

    fn types(&self, types: &[Type]) -> String {
        types.iter().map(|each| self.of_type(each)).collect::<Vec<_>>().join(", ")
    }

    /// A path with its arguments.
    pub(super) fn path(&self, path: &Path) -> String {
        if !(self.is_nameable)(path) {
            return "_".to_owned();
        }
        let name = path.path.rsplit("::").next().unwrap_or(&path.path);
        let arguments = path.args.as_deref().map_or_else(String::new, |arguments| self.arguments(arguments));
        if let Some(full) = self.full.and_then(|full| full(path)) {
            return format!("{full}{arguments}");
        }
        if name == self.own && arguments == self.own_parameters {
            name.to_owned()
        } else {
            format!("{name}{arguments}")
        }
    }

    fn arguments(&self, arguments: &GenericArgs) -> String {
        match arguments {
            GenericArgs::AngleBracketed { args, constraints } => {
                let mut parts = Vec::new();
                for each in args {
                    match each {
                        GenericArg::Type(of) => parts.push(self.of_type(of)),
                        GenericArg::Const(of) => parts.push(of.expr.clone()),
                        GenericArg::Lifetime(_) | GenericArg::Infer => {}
                    }
                }
                for each in constraints {
                    let name = &each.name;
                    match &each.binding {
                        AssocItemConstraintKind::Equality(Term::Type(of)) => {
                            parts.push(format!("{name} = {}", self.of_type(of)));
                        }
                        AssocItemConstraintKind::Equality(Term::Constant(of)) => {
                            parts.push(format!("{name} = {}", of.expr));
                        }
                        AssocItemConstraintKind::Constraint(bounds) => {
                            parts.push(format!("{name}: {}", self.bounds(bounds)));
                        }
                    }
                }
                if parts.is_empty() { String::new() } else { format!("<{}>", parts.join(", ")) }
            }
            GenericArgs::Parenthesized { inputs, output } => {
                let output = output.as_ref().map_or_else(String::new, |of| format!(" -> {}", self.of_type(of)));
                format!("({}){output}", self.types(inputs))
            }
            GenericArgs::ReturnTypeNotation => String::new(),
        }
    }

    pub(super) fn bounds(&self, bounds: &[GenericBound]) -> String {
        sorted(bounds.iter().filter_map(|bound| match bound {
            GenericBound::TraitBound { trait_, modifier, .. } => {
                let mark = if *modifier == TraitBoundModifier::Maybe { "?" } else { "" };
                let text = format!("{mark}{}", self.path(trait_));
                // It is what there is without a word.
                (text != "Sized").then_some(text)
            }
            GenericBound::Outlives(lifetime) if lifetime == "'static" => Some("'static".to_owned()),
            GenericBound::Outlives(_) | GenericBound::Use(_) => None,
        }))
    }

    /// The bounds of parameters and of the `where` clause, as one sorted list.
    pub(super) fn conditions(&self, generics: &Generics) -> String {
        let mut all: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
        let mut add = |what: String, bounds: &[GenericBound]| {
            let text = self.bounds(bounds);
            if !text.is_empty() {
                all.entry(what).or_default().extend(text.split(" + ").map(str::to_owned));
            }
        };
        for parameter in &generics.params {
            if let GenericParamDefKind::Type { bounds, is_synthetic: false, .. } = &parameter.kind {
                add(parameter.name.clone(), bounds);
            }
        }
        for predicate in &generics.where_predicates {
            if let WherePredicate::BoundPredicate { type_, bounds, .. } = predicate {
                add(self.of_type(type_), bounds);
            }
        }
        if all.is_empty() {
            return String::new();
        }
        let all = all.into_iter().map(|(what, bounds)| format!("{what}: {}", sorted(bounds.into_iter())));
        format!(" where {}", all.collect::<Vec<_>>().join(", "))
    }

    /// What `text` says of an implementation, and on which conditions.
    pub(super) fn implementation(&self, text: &str, generics: &Generics) -> String {
        rename_parameters(format!("{text}{}", self.conditions(generics)), generics)
    }

    /// Parameters of types and constants; how many and in which order counts for programs that name them.
    pub(super) fn parameters(&self, generics: &Generics) -> String {
        let names = generics.params.iter().filter_map(|parameter| match &parameter.kind {
            GenericParamDefKind::Type { is_synthetic: false, .. } => Some(parameter.name.clone()),
            GenericParamDefKind::Const { type_, .. } => {
                Some(format!("const {}: {}", parameter.name, self.of_type(type_)))
            }
            GenericParamDefKind::Type { .. } | GenericParamDefKind::Lifetime { .. } => None,
        });
        let names: Vec<_> = names.collect();
        if names.is_empty() { String::new() } else { format!("<{}>", names.join(", ")) }
    }

    fn ends(&self, signature: &FunctionSignature, returns: Returns) -> String {
        let inputs = signature.inputs.iter().map(|(name, of)| {
            let text = self.of_type(of);
            if name != "self" {
                return text;
            }
            // `self: &Self` and `&self` are one.
            format!("self: {text}")
        });
        let inputs: Vec<_> = inputs.collect();
        let output = signature.output.as_ref().map_or_else(|| "()".to_owned(), |of| self.of_type(of));
        let output = match returns {
            Returns::Plainly => output,
            Returns::Future => format!("impl Future<Output = {output}>"),
        };
        if output == "()" {
            return format!("({})", inputs.join(", "));
        }
        format!("({}) -> {output}", inputs.join(", "))
    }

    pub(super) fn function(&self, function: &Function) -> String {
        let (header, generics) = (&function.header, &function.generics);
        let returns = if header.is_async { Returns::Future } else { Returns::Plainly };
        let text = format!(
            "{}{}fn{}{}{}",
            if header.is_const { "const " } else { "" },
            if header.is_unsafe { "unsafe " } else { "" },
            self.parameters(generics),
            self.ends(&function.sig, returns),
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
fn rename_parameters(text: String, generics: &Generics) -> String {
    let is_named = |kind: &GenericParamDefKind| matches!(kind, GenericParamDefKind::Type { is_synthetic: false, .. });
    let names = generics.params.iter().filter(|parameter| is_named(&parameter.kind));
    let names: Vec<&str> = names.map(|parameter| parameter.name.as_str()).collect();
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

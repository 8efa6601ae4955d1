//! Everything that a program can name in a crate: walked from its root, through re-exports, also into crates of the
//! same workspace.
//!
//! Called by `api`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rustdoc_types::{
    Attribute, Crate, Generics, Id, Impl, Item, ItemEnum, Path, Struct, StructKind, Trait, Type, Use, VariantKind,
    Visibility,
};

use super::types::Spelling;

/// An item: which crate's documentation, and its number there.
type Place<'a> = (&'a str, Id);

/// Path to kind and signature; a type has a second entry `path: traits` with its traits. An implementation of another
/// crate's trait for another crate's type has the entry `impl TRAIT for TYPE`, with whole paths.
pub(crate) type Inventory = BTreeMap<String, String>;

/// How many of the traits of a type are compiler's business, and no promise.
const UNPROMISED: &[&str] = &["Freeze", "StructuralPartialEq", "UnsafeUnpin", "TrivialClone", "Drop"];

/// Behind a type that may grow: programs cannot list all of its parts.
pub(super) const NON_EXHAUSTIVE: &str = ", non-exhaustive";

/// Behind a struct that programs can build by listing its fields.
pub(super) const ALL_FIELDS_PUBLIC: &str = ", all fields public";

pub(super) struct Walk<'a> {
    documents: &'a HashMap<String, Crate>,
    /// Types and traits that have a path.
    nameable: HashSet<Place<'a>>,
    seen: HashSet<(Place<'a>, String)>,
    /// What to describe once all nameable ones are known: path and place. Without a place, a crate that is not
    /// documented here has the item.
    found: Vec<(String, Option<Place<'a>>)>,
}

impl<'a> Walk<'a> {
    /// All of crate `name`, under that name.
    pub(super) fn inventory(documents: &'a HashMap<String, Crate>, name: &'a str) -> Inventory {
        let nameable = HashSet::new();
        let mut walk = Self { documents, nameable, seen: HashSet::new(), found: Vec::new() };
        if let Some(document) = documents.get(name) {
            walk.module((name, document.root), name);
        }
        let mut inventory = Inventory::new();
        for (path, place) in &walk.found {
            walk.describe(path, *place, &mut inventory);
        }
        for name in documents.keys() {
            walk.foreign_implementations(name, &mut inventory);
        }
        inventory
    }

    fn item(&self, (name, id): Place<'_>) -> Option<&'a Item> {
        self.documents.get(name)?.index.get(&id)
    }

    fn items(&self, name: &'a str, ids: &'a [Id]) -> impl Iterator<Item = &'a Item> {
        ids.iter().filter_map(move |id| self.item((name, *id)))
    }

    fn module(&mut self, place: Place<'a>, path: &str) {
        if !self.seen.insert((place, path.to_owned())) {
            return;
        }
        let Some(ItemEnum::Module(module)) = self.item(place).map(|item| &item.inner) else { return };
        for id in &module.items {
            let child = (place.0, *id);
            let Some(item) = self.item(child) else { continue };
            if item.visibility != Visibility::Public || (is_hidden(item) && !self.leads_to_deprecated(place.0, item)) {
                // An exported macro is public wherever it stands.
                continue;
            }
            match &item.inner {
                ItemEnum::Use(of) => self.re_export(place.0, of, path),
                _ => self.visit(child, &format!("{path}::{}", name_of(item))),
            }
        }
    }

    fn re_export(&mut self, from: &'a str, of: &'a Use, path: &str) {
        match self.resolve(from, of) {
            Some(target) if of.is_glob => self.module(target, path),
            Some(target) => self.visit(target, &format!("{path}::{}", of.name)),
            // Of a crate that is not documented here, such as an attribute.
            None if !of.is_glob => self.found.push((format!("{path}::{}", of.name), None)),
            None => {}
        }
    }

    /// Where a re-export leads: in the same crate, or in another one of those documented.
    fn resolve(&self, from: &'a str, of: &Use) -> Option<Place<'a>> {
        let id = of.id?;
        if self.item((from, id)).is_some() {
            return Some((from, id));
        }
        let summary = self.documents.get(from)?.paths.get(&id)?;
        let (name, document) = self.documents.get_key_value(summary.path.first()?)?;
        let same = document.paths.iter().find(|(id, other)| {
            other.crate_id == 0
                && other.kind == summary.kind
                && other.path == summary.path
                && document.index.contains_key(id)
        });
        same.map(|(id, _)| (name.as_str(), *id))
    }

    /// Whether a hidden re-export names an item that programs may still use.
    fn leads_to_deprecated(&self, from: &'a str, item: &'a Item) -> bool {
        let ItemEnum::Use(of) = &item.inner else { return false };
        self.resolve(from, of).and_then(|target| self.item(target)).is_some_and(|target| target.deprecation.is_some())
    }

    fn visit(&mut self, place: Place<'a>, path: &str) {
        let Some(item) = self.item(place) else { return };
        match &item.inner {
            ItemEnum::Module(_) => {
                self.found.push((path.to_owned(), Some(place)));
                self.module(place, path);
            }
            ItemEnum::ExternCrate { .. } => {}
            _ => {
                self.nameable.insert(place);
                self.found.push((path.to_owned(), Some(place)));
            }
        }
    }

    fn describe(&self, path: &str, place: Option<Place<'a>>, inventory: &mut Inventory) {
        let mut add = |path: String, text: String| {
            inventory.entry(path).or_insert(text);
        };
        let Some((name, item)) = place.and_then(|place| Some((place.0, self.item(place)?))) else {
            add(path.to_owned(), "re-export".to_owned());
            return;
        };
        let own = path.rsplit("::").next().unwrap_or(path);
        let is_nameable = |of: &Path| {
            let place = (name, of.id);
            self.item(place).is_none() || self.nameable.contains(&place)
        };
        let in_trait = Spelling { own: "Self", own_parameters: "", is_nameable: &is_nameable, full: None };
        let own_parameters = generics_of(&item.inner).map_or_else(String::new, |of| in_trait.parameters(of));
        let spelling = Spelling { own, own_parameters: &own_parameters, is_nameable: &is_nameable, full: None };
        match &item.inner {
            ItemEnum::Function(of) => add(path.to_owned(), spelling.function(of)),
            ItemEnum::Struct(of) => {
                let mark = self.struct_mark(name, item, of);
                add(path.to_owned(), format!("struct{own_parameters}{mark}"));
                self.fields(path, name, of, &spelling, &mut add);
                self.implementations(path, name, &of.impls, &spelling, &mut add);
            }
            ItemEnum::Enum(of) => {
                add(path.to_owned(), format!("enum{own_parameters}{}", exhaustiveness(item)));
                for item in self.items(name, &of.variants) {
                    let ItemEnum::Variant(variant) = &item.inner else { continue };
                    let shape = match &variant.kind {
                        VariantKind::Tuple(of) => format!("({})", self.values(name, of, &spelling)),
                        VariantKind::Struct { fields, .. } => {
                            let named = self.items(name, fields).filter_map(|field| match &field.inner {
                                ItemEnum::StructField(of) => {
                                    Some(format!("{}: {}", name_of(field), spelling.of_type(of)))
                                }
                                _ => None,
                            });
                            format!(" {{ {} }}", named.collect::<Vec<_>>().join(", "))
                        }
                        VariantKind::Plain => String::new(),
                    };
                    let shape = format!("variant{shape}{}", exhaustiveness(item));
                    add(format!("{path}::{}", name_of(item)), shape);
                }
                self.implementations(path, name, &of.impls, &spelling, &mut add);
            }
            ItemEnum::Union(of) => {
                add(path.to_owned(), format!("union{own_parameters}"));
                self.implementations(path, name, &of.impls, &spelling, &mut add);
            }
            ItemEnum::Trait(of) => self.describe_trait(path, name, of, &in_trait, &mut add),
            ItemEnum::TypeAlias(of) => add(path.to_owned(), format!("alias of {}", spelling.of_type(&of.type_))),
            ItemEnum::Constant { type_, .. } => add(path.to_owned(), format!("const {}", spelling.of_type(type_))),
            other => add(path.to_owned(), word(other).to_owned()),
        }
    }

    /// The types of a tuple's values.
    fn values(&self, name: &'a str, ids: &'a [Option<Id>], spelling: &Spelling<'_>) -> String {
        let types = ids.iter().map(|id| match id.and_then(|id| self.item((name, id))).map(|item| &item.inner) {
            Some(ItemEnum::StructField(of)) => spelling.of_type(of),
            _ => "_".to_owned(),
        });
        types.collect::<Vec<_>>().join(", ")
    }

    fn field_items(&self, name: &'a str, of: &'a Struct) -> Vec<&'a Item> {
        match &of.kind {
            StructKind::Plain { fields, .. } => self.items(name, fields).collect(),
            StructKind::Tuple(fields) => {
                fields.iter().filter_map(|id| id.and_then(|id| self.item((name, id)))).collect()
            }
            StructKind::Unit => Vec::new(),
        }
    }

    fn struct_mark(&self, name: &'a str, item: &Item, of: &'a Struct) -> &'static str {
        let mark = exhaustiveness(item);
        let fields = self.field_items(name, of);
        // A unit struct can be named as a value, too.
        let is_open = !fields.is_empty() || matches!(of.kind, StructKind::Unit);
        let is_public = |field: &&Item| field.visibility == Visibility::Public && !is_hidden(field);
        if mark.is_empty() && is_open && fields.iter().all(is_public) {
            return ALL_FIELDS_PUBLIC;
        }
        mark
    }

    fn fields(
        &self,
        path: &str,
        name: &'a str,
        of: &'a Struct,
        spelling: &Spelling<'_>,
        add: &mut impl FnMut(String, String),
    ) {
        for field in self.field_items(name, of) {
            if let (Visibility::Public, ItemEnum::StructField(of), false) =
                (&field.visibility, &field.inner, is_hidden(field))
            {
                add(format!("{path}::{}", name_of(field)), format!("field {}", spelling.of_type(of)));
            }
        }
    }

    fn describe_trait(
        &self,
        path: &str,
        name: &'a str,
        of: &'a Trait,
        spelling: &Spelling<'_>,
        add: &mut impl FnMut(String, String),
    ) {
        let bounds = spelling.bounds(&of.bounds);
        add(path.to_owned(), format!("trait{}: {bounds}", spelling.parameters(&of.generics)));
        for member in self.items(name, &of.items).filter(|member| !is_hidden(member)) {
            let text = match &member.inner {
                ItemEnum::Function(of) => {
                    let provided = if of.has_body { "provided" } else { "required" };
                    format!("{provided} {}", spelling.function(of))
                }
                ItemEnum::AssocType { bounds, .. } => format!("type: {}", spelling.bounds(bounds)),
                other => word(other).to_owned(),
            };
            add(format!("{path}::{}", name_of(member)), text);
        }
        let mut others = BTreeSet::new();
        for item in self.items(name, &of.implementations) {
            let ItemEnum::Impl(of) = &item.inner else { continue };
            let is_local = matches!(&of.for_, Type::ResolvedPath(path) if self.item((name, path.id)).is_some());
            if of.blanket_impl.is_none() && !is_local {
                let text = format!("for {}", spelling.of_type(&of.for_));
                others.insert(spelling.implementation(&text, &of.generics));
            }
        }
        if !others.is_empty() {
            add(format!("{path}: others"), others.into_iter().collect::<Vec<_>>().join("; "));
        }
    }

    fn implementations(
        &self,
        path: &str,
        name: &'a str,
        ids: &'a [Id],
        spelling: &Spelling<'_>,
        add: &mut impl FnMut(String, String),
    ) {
        let mut traits = BTreeSet::new();
        for item in self.items(name, ids) {
            let ItemEnum::Impl(of) = &item.inner else { continue };
            let Some(implemented) = &of.trait_ else {
                for member in self.items(name, &of.items) {
                    if member.visibility != Visibility::Public || is_hidden(member) {
                        continue;
                    }
                    let text = match &member.inner {
                        ItemEnum::Function(of) => spelling.function(of),
                        ItemEnum::AssocConst { type_, .. } => format!("const {}", spelling.of_type(type_)),
                        other => word(other).to_owned(),
                    };
                    add(format!("{path}::{}", name_of(member)), text);
                }
                continue;
            };
            let text = spelling.path(implemented);
            // A trait that nobody can name is nobody's promise, nor one for a type that nobody can name.
            if of.blanket_impl.is_some()
                || text == "_"
                || text.contains("<_>")
                || UNPROMISED.contains(&text.as_str())
                || (text == "Unpin" && is_decided_by_pinned_fields(of))
            {
                continue;
            }
            let receiver = match &of.for_ {
                Type::BorrowedRef { is_mutable: true, .. } => "&mut: ",
                Type::BorrowedRef { .. } => "&: ",
                _ => "",
            };
            let mark = if of.is_negative { "!" } else { "" };
            traits.insert(spelling.implementation(&format!("{receiver}{mark}{text}"), &of.generics));
        }
        add(format!("{path}: traits"), traits.into_iter().collect::<Vec<_>>().join("; "));
    }

    /// Such as `impl From<Ours> for TheirType`: neither the trait nor the type is of the documented crates, so that no
    /// item that can be named leads there. Without a type of ours in it there is no such implementation.
    fn foreign_implementations(&self, name: &str, inventory: &mut Inventory) {
        let Some(document) = self.documents.get(name) else { return };
        let is_local = |of: &Path| document.index.contains_key(&of.id);
        // A type that is re-exported has several paths; the first one in the alphabet, which is the same in every crate.
        let path_of = |of: &Path| {
            if is_local(of) {
                let paths = self.found.iter().filter(|(_, place)| *place == Some((name, of.id)));
                return paths.map(|(path, _)| path.clone()).min();
            }
            let summary = document.paths.get(&of.id)?;
            (!summary.path.is_empty()).then(|| summary.path.join("::"))
        };
        let is_nameable = |of: &Path| !is_local(of) || path_of(of).is_some();
        let spelling = Spelling { own: "Self", own_parameters: "", is_nameable: &is_nameable, full: Some(&path_of) };
        for item in document.index.values() {
            let ItemEnum::Impl(of) = &item.inner else { continue };
            let Some(implemented) = &of.trait_ else { continue };
            // Those for a type of ours stand at the type, those of a trait of ours at the trait.
            let is_for_local = matches!(referent(&of.for_), Type::ResolvedPath(path) if is_local(path));
            if of.blanket_impl.is_some() || is_local(implemented) || is_for_local {
                continue;
            }
            let (implemented, target) = (spelling.path(implemented), spelling.of_type(&of.for_));
            // The machine's alias of an integer is spelt one way.
            let target = if target.ends_with("::c_int") { "i32".to_owned() } else { target };
            let text = spelling.implementation(&format!("impl {implemented} for {target}"), &of.generics);
            if text.contains("<_") || text.contains(" _") {
                continue;
            }
            let head = text.split(" where ").next().unwrap_or(&text);
            inventory.entry(head.to_owned()).or_insert_with(|| format!("impl{}", &text[head.len()..]));
        }
    }
}

/// Pinned fields decide; those of `pin-project-lite` are no promise by themselves.
fn is_decided_by_pinned_fields(of: &Impl) -> bool {
    let conditions = format!("{:?}", of.generics.where_predicates);
    conditions.contains("__Origin") || conditions.contains("PhantomPinned")
}

fn generics_of(inner: &ItemEnum) -> Option<&Generics> {
    match inner {
        ItemEnum::Function(of) => Some(&of.generics),
        ItemEnum::Struct(of) => Some(&of.generics),
        ItemEnum::Enum(of) => Some(&of.generics),
        ItemEnum::Union(of) => Some(&of.generics),
        ItemEnum::Trait(of) => Some(&of.generics),
        ItemEnum::TypeAlias(of) => Some(&of.generics),
        _ => None,
    }
}

/// The word in the record for an item that has no signature there.
fn word(inner: &ItemEnum) -> &'static str {
    match inner {
        ItemEnum::Module(_) => "module",
        ItemEnum::Macro(_) | ItemEnum::ProcMacro(_) => "macro",
        ItemEnum::Static(_) => "static",
        ItemEnum::TraitAlias(_) => "trait_alias",
        ItemEnum::ExternType => "extern_type",
        ItemEnum::Primitive(_) => "primitive",
        ItemEnum::AssocType { .. } => "assoc_type",
        ItemEnum::AssocConst { .. } => "assoc_const",
        _ => "item",
    }
}

fn exhaustiveness(item: &Item) -> &'static str {
    if item.attrs.iter().any(|attribute| matches!(attribute, Attribute::NonExhaustive)) { NON_EXHAUSTIVE } else { "" }
}

fn name_of(item: &Item) -> &str {
    item.name.as_deref().unwrap_or_default()
}

/// The type behind a reference, or the type itself.
fn referent(target: &Type) -> &Type {
    match target {
        Type::BorrowedRef { type_, .. } => referent(type_),
        of => of,
    }
}

/// No promise. What is deprecated is hidden for another reason: programs written before still use it.
fn is_hidden(item: &Item) -> bool {
    item.deprecation.is_none()
        && item.attrs.iter().any(|attribute| matches!(attribute, Attribute::Other(text) if text.contains("hidden")))
}

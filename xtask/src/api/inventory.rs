//! Everything that a program can name in a crate: walked from its root, through re-exports, also into crates of the
//! same workspace.
//!
//! Called by `api`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::json::Value;
use super::types::Spelling;

/// An item: which crate's documentation, and its number there.
type Place<'a> = (&'a str, String);

/// Path to kind and signature; a type has a second entry `path: traits` with its traits. An implementation of another
/// crate's trait for another crate's type has the entry `impl TRAIT for TYPE`, with whole paths.
pub(super) type Inventory = BTreeMap<String, String>;

/// How many of the traits of a type are compiler's business, and no promise.
const UNPROMISED: &[&str] = &["Freeze", "StructuralPartialEq", "UnsafeUnpin", "TrivialClone", "Drop"];

pub(super) struct Walk<'a> {
    documents: &'a HashMap<String, Value>,
    /// Types and traits that have a path.
    nameable: HashSet<Place<'a>>,
    seen: HashSet<(Place<'a>, String)>,
    /// What to describe once all nameable ones are known: path, its place, the name of its parent if it has one.
    found: Vec<(String, Place<'a>)>,
}

impl<'a> Walk<'a> {
    /// All of crate `name`, under that name.
    pub(super) fn inventory(documents: &'a HashMap<String, Value>, name: &'a str) -> Inventory {
        let nameable = HashSet::new();
        let mut walk = Self { documents, nameable, seen: HashSet::new(), found: Vec::new() };
        let root = documents.get(name).map_or(String::new(), |document| document.at("root").text().to_owned());
        walk.module(&(name, root), name);
        let mut inventory = Inventory::new();
        for (path, place) in &walk.found {
            walk.describe(path, place, &mut inventory);
        }
        for name in documents.keys() {
            walk.foreign_implementations(name, &mut inventory);
        }
        inventory
    }

    fn item(&self, place: &Place<'_>) -> Option<&'a Value> {
        let item = self.documents.get(place.0)?.at("index").at(&place.1);
        (!item.is_null()).then_some(item)
    }

    fn module(&mut self, place: &Place<'a>, path: &str) {
        if !self.seen.insert((place.clone(), path.to_owned())) {
            return;
        }
        let Some(module) = self.item(place) else { return };
        for number in module.at("inner").at("module").at("items").list() {
            let child = (place.0, number.text().to_owned());
            let Some(item) = self.item(&child) else { continue };
            let is_public = item.at("visibility").text() == "public";
            if !is_public || is_hidden(item) {
                // An exported macro is public wherever it stands.
                continue;
            }
            match item.at("inner").variant() {
                ("use", of) => self.re_export(place, of, path),
                _ => self.visit(&child, &format!("{path}::{}", item.at("name").text())),
            }
        }
    }

    fn re_export(&mut self, from: &Place<'a>, of: &'a Value, path: &str) {
        let Some(target) = self.resolve(from.0, of) else {
            if !of.at("is_glob").is_true() {
                // Of a crate that is not documented here, such as an attribute.
                self.found.push((format!("{path}::{}", of.at("name").text()), (from.0, String::new())));
            }
            return;
        };
        if of.at("is_glob").is_true() {
            self.module(&target, path);
        } else {
            self.visit(&target, &format!("{path}::{}", of.at("name").text()));
        }
    }

    /// Where a re-export leads: in the same crate, or in another one of those documented.
    fn resolve(&self, from: &'a str, of: &Value) -> Option<Place<'a>> {
        let number = of.at("id").text();
        if self.item(&(from, number.to_owned())).is_some() {
            return Some((from, number.to_owned()));
        }
        let summary = self.documents.get(from)?.at("paths").at(number);
        let names: Vec<&str> = summary.at("path").list().iter().map(Value::text).collect();
        let (name, document) = self.documents.get_key_value(*names.first()?)?;
        let same = document.at("paths").entries().find(|(number, other)| {
            other.at("crate_id").text() == "0"
                && other.at("kind").text() == summary.at("kind").text()
                && other.at("path").list().iter().map(Value::text).eq(names.iter().copied())
                && !document.at("index").at(number).is_null()
        });
        same.map(|(number, _)| (name.as_str(), number.clone()))
    }

    fn visit(&mut self, place: &Place<'a>, path: &str) {
        let Some(item) = self.item(place) else { return };
        match item.at("inner").variant().0 {
            "module" => {
                self.found.push((path.to_owned(), place.clone()));
                self.module(place, path);
            }
            "extern_crate" => {}
            _ => {
                self.nameable.insert(place.clone());
                self.found.push((path.to_owned(), place.clone()));
            }
        }
    }

    fn describe(&self, path: &str, place: &Place<'a>, inventory: &mut Inventory) {
        let mut add = |path: String, text: String| {
            inventory.entry(path).or_insert(text);
        };
        let Some(item) = self.item(place) else {
            add(path.to_owned(), "re-export".to_owned());
            return;
        };
        let own = path.rsplit("::").next().unwrap_or(path);
        let is_nameable = |of: &Value| {
            let number = of.at("id").text().to_owned();
            let inner = (place.0, number);
            self.item(&inner).is_none() || self.nameable.contains(&inner)
        };
        let (kind, of) = item.at("inner").variant();
        let in_trait = Spelling { own: "Self", own_parameters: "", is_nameable: &is_nameable, full: None };
        let own_parameters = in_trait.parameters(of.at("generics"));
        let spelling = Spelling { own, own_parameters: &own_parameters, is_nameable: &is_nameable, full: None };
        match kind {
            "function" => add(path.to_owned(), spelling.function(of)),
            "struct" | "enum" | "union" => {
                add(path.to_owned(), format!("{kind}{own_parameters}"));
                for number in of.at("variants").list() {
                    let Some(variant) = self.item(&(place.0, number.text().to_owned())) else { continue };
                    let shape = variant.at("inner").at("variant").at("kind");
                    let shape = match shape.variant() {
                        ("tuple", of) => format!("variant with {} values", of.list().len()),
                        ("struct", of) => format!("variant with {} fields", of.at("fields").list().len()),
                        _ => "variant".to_owned(),
                    };
                    add(format!("{path}::{}", variant.at("name").text()), shape);
                }
                for number in of.at("kind").at("plain").at("fields").list() {
                    let Some(field) = self.item(&(place.0, number.text().to_owned())) else { continue };
                    if field.at("visibility").text() == "public" && !is_hidden(field) {
                        let text = spelling.of_type(field.at("inner").at("struct_field"));
                        add(format!("{path}::{}", field.at("name").text()), format!("field {text}"));
                    }
                }
                self.implementations(path, place.0, of.at("impls"), &spelling, &mut add);
            }
            "trait" => {
                let bounds = in_trait.bounds(of.at("bounds"));
                add(path.to_owned(), format!("trait{}: {bounds}", in_trait.parameters(of.at("generics"))));
                for number in of.at("items").list() {
                    let Some(member) = self.item(&(place.0, number.text().to_owned())) else { continue };
                    if is_hidden(member) {
                        continue;
                    }
                    let text = match member.at("inner").variant() {
                        ("function", of) => {
                            let provided = if of.at("has_body").is_true() { "provided" } else { "required" };
                            format!("{provided} {}", in_trait.function(of))
                        }
                        ("assoc_type", of) => format!("type: {}", in_trait.bounds(of.at("bounds"))),
                        (other, _) => other.to_owned(),
                    };
                    add(format!("{path}::{}", member.at("name").text()), text);
                }
                let mut others = BTreeSet::new();
                for number in of.at("implementations").list() {
                    let Some(of) = self.item(&(place.0, number.text().to_owned())) else { continue };
                    let of = of.at("inner").at("impl");
                    let target = of.at("for");
                    let is_local =
                        self.item(&(place.0, target.at("resolved_path").at("id").text().to_owned())).is_some();
                    if of.at("blanket_impl").is_null() && !is_local {
                        let text = format!("for {}", in_trait.of_type(target));
                        others.insert(in_trait.implementation(&text, of.at("generics")));
                    }
                }
                if !others.is_empty() {
                    add(format!("{path}: others"), others.into_iter().collect::<Vec<_>>().join("; "));
                }
            }
            "type_alias" => add(path.to_owned(), format!("alias of {}", spelling.of_type(of.at("type")))),
            "constant" => add(path.to_owned(), format!("const {}", spelling.of_type(of.at("type")))),
            "macro" | "proc_macro" => add(path.to_owned(), "macro".to_owned()),
            other => add(path.to_owned(), other.to_owned()),
        }
    }

    fn implementations(
        &self,
        path: &str,
        name: &'a str,
        numbers: &Value,
        spelling: &Spelling<'_>,
        add: &mut impl FnMut(String, String),
    ) {
        let mut traits = BTreeSet::new();
        for number in numbers.list() {
            let Some(item) = self.item(&(name, number.text().to_owned())) else { continue };
            let of = item.at("inner").at("impl");
            let implemented = of.at("trait");
            if implemented.is_null() {
                for number in of.at("items").list() {
                    let Some(member) = self.item(&(name, number.text().to_owned())) else { continue };
                    if member.at("visibility").text() != "public" || is_hidden(member) {
                        continue;
                    }
                    let text = match member.at("inner").variant() {
                        ("function", of) => spelling.function(of),
                        ("assoc_const", of) => format!("const {}", spelling.of_type(of.at("type"))),
                        (other, _) => other.to_owned(),
                    };
                    add(format!("{path}::{}", member.at("name").text()), text);
                }
                continue;
            }
            let text = spelling.path(implemented);
            let is_promised = !UNPROMISED.iter().any(|other| text == *other);
            // Pinned fields decide; those of `pin-project-lite` are no promise by themselves.
            let conditions = of.at("generics").at("where_predicates");
            let is_decided_elsewhere =
                text == "Unpin" && (conditions.mentions("__Origin") || conditions.mentions("PhantomPinned"));
            // A trait that nobody can name is nobody's promise, nor one for a type that nobody can name.
            if !of.at("blanket_impl").is_null()
                || text == "_"
                || text.contains("<_>")
                || !is_promised
                || is_decided_elsewhere
            {
                continue;
            }
            let receiver = match of.at("for").variant() {
                ("borrowed_ref", of) => {
                    if of.at("is_mutable").is_true() {
                        "&mut: "
                    } else {
                        "&: "
                    }
                }
                _ => "",
            };
            let mark = if of.at("is_negative").is_true() { "!" } else { "" };
            traits.insert(spelling.implementation(&format!("{receiver}{mark}{text}"), of.at("generics")));
        }
        add(format!("{path}: traits"), traits.into_iter().collect::<Vec<_>>().join("; "));
    }
}

impl Walk<'_> {
    /// Such as `impl From<Ours> for TheirType`: neither the trait nor the type is of the documented crates, so that no
    /// item that can be named leads there. Without a type of ours in it there is no such implementation.
    fn foreign_implementations(&self, name: &str, inventory: &mut Inventory) {
        let Some(document) = self.documents.get(name) else { return };
        let is_local = |of: &Value| !document.at("index").at(of.at("id").text()).is_null();
        // A type that is re-exported has several paths; the first one in the alphabet, which is the same in every crate.
        let path_of = |of: &Value| {
            let number = of.at("id").text();
            if is_local(of) {
                let paths = self.found.iter().filter(|(_, place)| place.0 == name && place.1 == number);
                return paths.map(|(path, _)| path.clone()).min();
            }
            let names = document.at("paths").at(number).at("path").list();
            (!names.is_empty()).then(|| names.iter().map(Value::text).collect::<Vec<_>>().join("::"))
        };
        let is_nameable = |of: &Value| !is_local(of) || path_of(of).is_some();
        let spelling = Spelling { own: "Self", own_parameters: "", is_nameable: &is_nameable, full: Some(&path_of) };
        for (_, item) in document.at("index").entries() {
            let of = item.at("inner").at("impl");
            let (implemented, target) = (of.at("trait"), of.at("for"));
            // Those for a type of ours stand at the type, those of a trait of ours at the trait.
            if implemented.is_null()
                || !of.at("blanket_impl").is_null()
                || is_local(implemented)
                || is_local(referent(target))
            {
                continue;
            }
            let (implemented, target) = (spelling.path(implemented), spelling.of_type(target));
            // The machine's alias of an integer is spelt one way.
            let target = if target.ends_with("::c_int") { "i32".to_owned() } else { target };
            let text = spelling.implementation(&format!("impl {implemented} for {target}"), of.at("generics"));
            if text.contains("<_") || text.contains(" _") {
                continue;
            }
            let head = text.split(" where ").next().unwrap_or(&text);
            inventory.entry(head.to_owned()).or_insert_with(|| format!("impl{}", &text[head.len()..]));
        }
    }
}

/// The path of the type behind a reference, or of the type itself.
fn referent(target: &Value) -> &Value {
    match target.variant() {
        ("borrowed_ref", of) => referent(of.at("type")),
        (_, of) => of,
    }
}

fn is_hidden(item: &Value) -> bool {
    item.at("attrs").mentions("doc(hidden)") || item.at("attrs").mentions("hidden")
}

//! Runtimes that a program builds without timers and I/O.
//!
//! Called by `doctor`.
//!
//! # Invariants
//! - `no-guess`: only in a package that uses timers or I/O and enables them nowhere. And only a builder whose whole life is seen is
//!   reported: one that is built in the same chain of calls, or a variable that is used for nothing but calls of its methods.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Block, Expr, ExprMethodCall, Local, Pat, UseTree};

/// The places of such runtimes in the sources of a package: file and line.
///
/// Many runtimes need neither timers nor I/O. So there are none if the package enables them for any runtime, or uses none of them.
pub(crate) fn without_drivers(package: &Path) -> Vec<(PathBuf, usize)> {
    let sources = sources(package).into_iter().map(|file| {
        let text = fs::read_to_string(&file).unwrap_or_default();
        (file, text)
    });
    let sources: Vec<_> = sources.collect();
    let is_in = |words: &[&str]| sources.iter().any(|(_, text)| words.iter().any(|word| text.contains(word)));
    if is_in(&["enable_all", "enable_io", "enable_time"]) || !is_in(NEED_DRIVERS) {
        return Vec::new();
    }
    let found = sources.iter().flat_map(|(file, text)| lines(text).into_iter().map(|line| (file.clone(), line)));
    found.collect()
}

/// Words of sources that use timers or I/O.
const NEED_DRIVERS: &[&str] =
    &["tokio::time", "tokio::net", "tokio::process", "tokio::signal", "time::sleep(", "TcpListener", "TcpStream"];

/// Folders of a package that are not its programs: what was built, and what has reasons of its own.
const NOT_PROGRAMS: &[&str] = &["target", "tests", "benches", "examples"];

/// The Rust files of a package, without those of packages in it.
fn sources(package: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![package.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => {
                    let is_other = name.starts_with('.')
                        || NOT_PROGRAMS.contains(&name.as_str())
                        || path.join("Cargo.toml").exists();
                    folders.extend((!is_other).then_some(path));
                }
                Ok(kind) if kind.is_file() && name.ends_with(".rs") => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// The lines of the constructors.
fn lines(text: &str) -> Vec<usize> {
    // What the compiler does not accept either is not looked at.
    let Ok(file) = syn::parse_file(text) else { return Vec::new() };
    let mut imports = Imports::default();
    imports.visit_file(&file);
    let mut finder = Finder { imports, found: Vec::new() };
    finder.visit_file(&file);
    finder.found.sort_unstable();
    finder.found.dedup();
    finder.found
}

/// Names by which the file calls Tokio's builder and the module that it is in.
#[derive(Debug, Default)]
struct Imports {
    builders: Vec<String>,
    modules: Vec<String>,
}

impl Imports {
    fn add(&mut self, path: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.add(path, &part.tree);
                path.pop();
            }
            UseTree::Name(name) => self.name(path, &name.ident.to_string(), &name.ident.to_string()),
            UseTree::Rename(name) => self.name(path, &name.ident.to_string(), &name.rename.to_string()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add(path, tree)),
            UseTree::Glob(_) => self.name(path, "*", "Builder"),
        }
    }

    fn name(&mut self, path: &[String], name: &str, known_as: &str) {
        let is_tokio = path.first().is_some_and(|first| first == "tokio" || first == "redd");
        match (is_tokio, path.get(1).map(String::as_str), name) {
            (true, Some("runtime"), "Builder" | "*") if path.len() == 2 => self.builders.push(known_as.to_owned()),
            (true, Some("runtime"), "self") if path.len() == 2 => self.modules.push("runtime".to_owned()),
            (true, None, "runtime") => self.modules.push(known_as.to_owned()),
            _ => {}
        }
    }

    /// Whether this path is a constructor of Tokio's builder.
    fn is_constructor(&self, path: &syn::Path) -> bool {
        let parts: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            ["tokio" | "redd", "runtime", "Builder", name] => is_constructor_name(name),
            [module, "Builder", name] => is_constructor_name(name) && self.modules.iter().any(|known| known == module),
            [builder, name] => is_constructor_name(name) && self.builders.iter().any(|known| known == builder),
            _ => false,
        }
    }
}

fn is_constructor_name(name: &str) -> bool {
    name == "new_multi_thread" || name == "new_current_thread"
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add(&mut Vec::new(), &item.tree);
    }
}

struct Finder {
    imports: Imports,
    found: Vec<usize>,
}

/// The methods of a chain, and what it starts with.
fn chain(expression: &Expr) -> (Vec<String>, &Expr) {
    let (mut methods, mut start) = (Vec::new(), expression);
    loop {
        if let Expr::MethodCall(call) = start {
            methods.push(call.method.to_string());
            start = &call.receiver;
        } else if let Expr::Paren(inner) = start {
            start = &inner.expr;
        } else if let Expr::Reference(inner) = start {
            start = &inner.expr;
        } else {
            return (methods, start);
        }
    }
}

fn is_enabling(method: &str) -> bool {
    method.starts_with("enable_")
}

fn is_building(method: &str) -> bool {
    method == "build" || method == "build_local"
}

impl Finder {
    /// The line of the expression, if it calls a constructor.
    fn constructor(&self, expression: &Expr) -> Option<usize> {
        let Expr::Call(call) = expression else { return None };
        let Expr::Path(path) = &*call.func else { return None };
        let first = path.path.segments.first().filter(|_| self.imports.is_constructor(&path.path))?;
        Some(first.ident.span().start().line)
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let (methods, start) = chain(&call.receiver);
        if is_building(&call.method.to_string()) && !methods.iter().any(|method| is_enabling(method)) {
            self.found.extend(self.constructor(start));
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let mut variables = BTreeMap::new();
        for statement in &block.stmts {
            let syn::Stmt::Local(Local { pat: Pat::Ident(name), init: Some(init), .. }) = statement else { continue };
            let (methods, start) = chain(&init.expr);
            let constructor =
                self.constructor(start).filter(|_| !methods.iter().any(|name| is_enabling(name) || is_building(name)));
            if let Some(constructor) = constructor {
                variables.insert(name.ident.to_string(), constructor);
            }
        }
        for (name, line) in variables {
            let mut uses = Uses { name: &name, ..Uses::default() };
            uses.visit_block(block);
            // A macro may do anything with it (`no-guess`).
            let is_seen = uses.all == uses.as_receiver && !uses.in_macro;
            if is_seen
                && uses.methods.iter().any(|method| is_building(method))
                && !uses.methods.iter().any(|method| is_enabling(method))
            {
                self.found.push(line);
            }
        }
        syn::visit::visit_block(self, block);
    }
}

/// What a block does with a variable.
#[derive(Default)]
struct Uses<'a> {
    name: &'a str,
    all: usize,
    as_receiver: usize,
    in_macro: bool,
    methods: Vec<String>,
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if let Expr::Path(path) = &*call.receiver {
            if path.path.is_ident(self.name) {
                self.as_receiver += 1;
            }
        }
        let (methods, start) = chain(&call.receiver);
        if matches!(start, Expr::Path(path) if path.path.is_ident(self.name)) {
            self.methods.extend(methods);
            self.methods.push(call.method.to_string());
        }
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.all += usize::from(path.path.is_ident(self.name));
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        // Its tokens may be anything (`no-guess`).
        self.in_macro |=
            call.tokens.to_string().split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_built_without_drivers_is_found_by_its_line() {
        let chained = "fn main() {\n    let runtime = tokio::runtime::Builder::new_multi_thread()\n        .worker_threads(2)\n        .build();\n}\n";
        assert_eq!(lines(chained), [2]);
        let imported = "use tokio::runtime::{self, Builder as B};\nfn a() { B::new_current_thread().build().unwrap(); }\n\
                        fn b() { runtime::Builder::new_multi_thread().build_local(Default::default()); }\n";
        assert_eq!(lines(imported), [2, 3]);
        let variable = "use tokio::runtime::*;\nfn main() {\n    let mut builder = Builder::new_multi_thread();\n    builder.worker_threads(2);\n\
                        let runtime = builder.thread_name(\"a\").build();\n}\n";
        assert_eq!(lines(variable), [3]);
    }

    #[test]
    fn a_package_that_enables_drivers_or_needs_none_is_silent() {
        let folder = tempfile::TempDir::new().expect("there is a temporary folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it can be written");
        write("a.rs", "fn a() {\n    tokio::runtime::Builder::new_current_thread().build();\n}\n");
        assert!(without_drivers(folder.path()).is_empty(), "nothing needs them");
        write("b.rs", "use tokio::time::sleep;\n");
        assert_eq!(without_drivers(folder.path()), [(folder.path().join("a.rs"), 2)]);
        fs::create_dir(folder.path().join("tests")).expect("it can be made");
        write("tests/t.rs", "fn t() { tokio::runtime::Builder::new_current_thread().build(); }\n");
        assert_eq!(without_drivers(folder.path()).len(), 1, "a test may try that");
        write("c.rs", "fn c() { tokio::runtime::Builder::new_current_thread().enable_time().build(); }\n");
        assert!(without_drivers(folder.path()).is_empty(), "the author knows");
    }

    #[test]
    fn what_may_have_drivers_is_not_reported() {
        for quiet in [
            "fn main() { tokio::runtime::Builder::new_multi_thread().enable_all().build(); }",
            "fn main() { tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build(); }",
            "fn main() { let mut b = tokio::runtime::Builder::new_multi_thread(); b.enable_io(); b.build(); }",
            "fn main() { let mut b = tokio::runtime::Builder::new_multi_thread(); if io { b.worker_threads(1).enable_all(); } b.build(); }",
            // A function or a macro may enable them.
            "fn main() { let mut b = tokio::runtime::Builder::new_multi_thread(); configure(&mut b); b.build(); }",
            "fn main() { let mut b = tokio::runtime::Builder::new_multi_thread(); configure!(b); b.build(); }",
            "fn builder() -> tokio::runtime::Builder { tokio::runtime::Builder::new_multi_thread() }",
            "fn main() { configure(tokio::runtime::Builder::new_multi_thread()).build(); }",
            // Other builders.
            "use other::Builder; fn main() { Builder::new_multi_thread().build(); }",
            "fn main() { rayon::Builder::new_multi_thread().build(); }",
            "mod runtime { pub mod inner {} } fn main() { runtime::Builder::new_multi_thread().build(); }",
            "fn main() { tokio::runtime::Builder::new_multi_thread(); }",
            "// tokio::runtime::Builder::new_multi_thread().build()\nfn main() {}",
            "not rust",
        ] {
            assert_eq!(lines(quiet), [0; 0], "{quiet}");
        }
    }
}

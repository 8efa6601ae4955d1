//! Names for the addresses in a stack. A program without the feature `stack` writes `file+0x…`, and this process reads that file.
//!
//! # Invariants
//! - `rights-of-the-process`: which files are opened depends on what the process sends, and on what these files name. So root opens them
//!   with the rights of the process's user: to open a device may be enough to make it do something.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use addr2line::Loader;

use crate::{process, system};

/// The runtime's own code, in which a poll begins. An inlined function may have the last part of its name only.
const BELOW_THE_TASK: [&str; 2] = ["redd::task::cell::", "/src/task/cell.rs:"];

/// How lines of a stack are indented.
const INDENT: &str = "    ";

/// Replaces addresses by functions, and leaves out the runtime's own calls below the task.
pub(crate) fn name_addresses(pid: u32, text: &str) -> String {
    // `rights-of-the-process`
    let Some(user) = process::user(pid) else { return text.to_owned() };
    system::as_user(user, || name_as_user(pid, text)).unwrap_or_else(|_| text.to_owned())
}

fn name_as_user(pid: u32, text: &str) -> String {
    let mut files = Files { pid, loaded: HashMap::new() };
    let mut named = String::new();
    let mut is_below = false;
    for line in text.lines() {
        let Some((file, address)) = address(line) else {
            is_below = false;
            named += line;
            named.push('\n');
            continue;
        };
        if is_below {
            continue;
        }
        let functions = files.functions(file, address);
        if functions.is_empty() {
            named += line;
            named.push('\n');
        }
        for function in functions {
            if BELOW_THE_TASK.iter().any(|below| function.contains(below)) {
                is_below = true;
                break;
            }
            named += &format!("{INDENT}{function}\n");
        }
    }
    named
}

/// The file and the offset of a line `    file+0x…`.
fn address(line: &str) -> Option<(&str, u64)> {
    let (file, offset) = line.strip_prefix(INDENT)?.rsplit_once("+0x")?;
    Some((file, u64::from_str_radix(offset, 16).ok()?))
}

struct Files {
    pid: u32,
    loaded: HashMap<String, Option<Loader>>,
}

impl Files {
    /// The functions that the address is in, the innermost first: with inlining, that can be several.
    fn functions(&mut self, file: &str, offset: u64) -> Vec<String> {
        let path = self.path(file);
        let loader = self.loaded.entry(file.to_owned()).or_insert_with(|| Loader::new(path).ok());
        let Some(loader) = loader else { return Vec::new() };
        let probe = offset.wrapping_add(loader.relative_address_base());
        let mut functions = Vec::new();
        if let Ok(mut frames) = loader.find_frames(probe) {
            while let Ok(Some(frame)) = frames.next() {
                let name = frame.function.as_ref().and_then(|name| Some(name.demangle().ok()?.into_owned()));
                let place = frame.location.and_then(|location| Some((location.file?.to_owned(), location.line?)));
                functions.push((name.unwrap_or_default(), place));
            }
        }
        // The table of symbols has the whole name of the function that the others are inlined in. The debug information may have its last
        // part only, or be missing.
        if let Some(symbol) = loader.find_symbol(probe) {
            let name = addr2line::demangle_auto(symbol.into(), None).into_owned();
            match functions.last_mut() {
                Some(outermost) => outermost.0 = name,
                None => functions.push((name, None)),
            }
        }
        functions.retain(|(name, _)| !name.is_empty());
        let functions = functions.into_iter().map(|(name, place)| {
            let place = place.map(|(file, line)| format!(" at {}:{line}", in_crate(&file))).unwrap_or_default();
            format!("{}{place}", without_hash(&name))
        });
        functions.collect()
    }

    /// Where this process finds a file that the other one has loaded. A program's own file has the name by which it was called.
    fn path(&self, file: &str) -> PathBuf {
        let own = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let is_own = own.split(|byte| *byte == 0).next().is_some_and(|name| name == file.as_bytes());
        if is_own || !file.starts_with('/') {
            return PathBuf::from(format!("/proc/{}/exe", self.pid));
        }
        PathBuf::from(format!("/proc/{}/root{file}", self.pid))
    }
}

/// A file of the standard library or of a crate from a registry begins with the name of the crate.
fn in_crate(file: &str) -> &str {
    if let Some((_, rest)) = file.split_once("/registry/src/") {
        return rest.split_once('/').map_or(file, |(_index, rest)| rest);
    }
    file.strip_prefix("/rustc/").and_then(|rest| rest.split_once("/library/")).map_or(file, |(_commit, rest)| rest)
}

/// The compiler's names may end in `::h` and a hash.
fn without_hash(name: &str) -> &str {
    let is_hash = |hash: &str| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.rsplit_once("::h").filter(|(_, hash)| is_hash(hash)).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for a test that runs alone.
    const ALONE: &str = "REDD_TEST_ALONE";

    #[test]
    fn an_address_of_this_program_gets_its_function_and_other_lines_stay() {
        let own = std::env::args().next().expect("it has a name");
        let maps = fs::read_to_string("/proc/self/maps").expect("there is /proc");
        let base = maps.lines().next().and_then(|line| line.split('-').next()).expect("it has a base");
        let base = u64::from_str_radix(base, 16).expect("a number");
        let here = name_addresses as fn(u32, &str) -> String as usize as u64 - base;
        let text = format!("worker 0\n{INDENT}{own}+{here:#x}\n{INDENT}/no/such/file+0x10\nend\n");
        let named = name_addresses(std::process::id(), &text);
        let lines: Vec<_> = named.lines().collect();
        assert_eq!((lines[0], lines[2], lines[3]), ("worker 0", "    /no/such/file+0x10", "end"));
        assert!(lines[1].contains("symbols::name_addresses"), "{named}");
    }

    #[test]
    fn root_reads_only_what_the_user_of_the_process_may_read() {
        use std::os::unix::fs::PermissionsExt as _;
        use std::os::unix::process::CommandExt as _;
        use std::process::{Command, Stdio};

        if system::own_user().uid != 0 {
            return; // Only root can take the rights of another user.
        }
        if std::env::var_os(ALONE).is_none() {
            // In a process of its own: the rights are those of all its threads.
            let name = "symbols::tests::root_reads_only_what_the_user_of_the_process_may_read";
            let mut alone = Command::new(std::env::current_exe().expect("it has a file"));
            assert!(alone.args([name, "--exact"]).env(ALONE, "").status().expect("it starts").success());
            return;
        }
        let maps = fs::read_to_string("/proc/self/maps").expect("there is /proc");
        let base = maps.lines().next().and_then(|line| line.split('-').next()).expect("it has a base");
        let here = name_addresses as fn(u32, &str) -> String as usize as u64
            - u64::from_str_radix(base, 16).expect("a number");
        let copy = std::env::temp_dir().join(format!("redd-symbols-{}", std::process::id()));
        fs::copy(std::env::current_exe().expect("it has a file"), &copy).expect("the folder can be written");
        let child = Command::new("cat").uid(65_534).gid(65_534).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child = child.expect("`cat` is everywhere");
        let text = format!("{INDENT}{}+{here:#x}\n", copy.display());
        let named = [0o600, 0o644].map(|mode| {
            fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).expect("it is ours");
            name_addresses(child.id(), &text)
        });
        drop(child.stdin.take());
        child.wait().expect("it is a child");
        fs::remove_file(&copy).expect("it is ours");
        assert_eq!(named[0], text);
        assert!(named[1].contains("symbols::name_addresses"), "{}", named[1]);
    }

    #[test]
    fn hashes_are_left_out_and_only_they() {
        assert_eq!(without_hash("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(without_hash("a::hello"), "a::hello");
        assert_eq!(in_crate("/rustc/59807616/library/std/src/thread.rs"), "std/src/thread.rs");
        assert_eq!(in_crate("/home/x/.cargo/registry/src/index-1/tokio-1.0/src/a.rs"), "tokio-1.0/src/a.rs");
        assert_eq!(in_crate("/home/x/src/main.rs"), "/home/x/src/main.rs");
        assert_eq!(address("    /a+b+0x1f"), Some(("/a+b", 31)));
        assert_eq!(address("/a+0x1f"), None);
        assert_eq!(address("    main at x.rs:3"), None);
    }
}
